"""Promise 1: what the operator sees holds no plaintext of an asset, of confidential code, or of a result."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import pytest
from e2e import Tap, files, memory, needs_sandbox, patients, process, sightings, told, until, world
from e2e import World as _World

from sls_jupyter.session import Session

__all__ = ["world"]
pytestmark = needs_sandbox


def _frame(granted: str, kept: str) -> pd.DataFrame:
    frame = patients(1000)
    frame["note"] = [f"{granted}{i % 3}" for i in range(1000)]
    frame["secret"] = kept
    return frame


def test_no_canary_is_found_anywhere_outside_the_group(world: _World, tmp_path: Path) -> None:
    """An operator who keeps every byte of disk, network, logs and memory would read patients, code or results."""
    search_outside_the_group(tmp_path, "local")


def search_outside_the_group(
    tmp_path: Path, host: str, more: Callable[[], Iterable[tuple[str, bytes]]] = lambda: ()
) -> None:
    """Run over sealed canaries on a host, and look for them wherever its operator could.

    Args:
        host: ``local`` or ``podman``; the owner trusts its image already.
        more: what else that host keeps, as (where, bytes).
    """
    canaries = {name: secrets.token_urlsafe(24) for name in ("granted", "ungranted", "code", "result")}
    control = {"purpose": secrets.token_urlsafe(24)}  # is public; shows that the search finds what is there
    doctor = Session(_World(tmp_path).session("doctor").home)
    root = doctor.home.root
    with process("serve", root, "owner") as authority:
        tap = Tap(int(told(authority).rpartition(":")[2]))
        url = f"http://127.0.0.1:{tap.port}"
        owner, analyst = _World(root).session("owner"), _World(root).session("analyst")
        options = {"allow_code": "any", "requester": analyst.did, "recipient": doctor.did, "tee": "simulated-snp"}
        table = _frame(canaries["granted"], canaries["ungranted"])
        owner.connect(url)
        analyst.connect(url)
        owner.seal(table, "records", authority=url, columns="age,note", **options)
        secret_code = f"key = {canaries['code']!r}\ndef turned(text): return text[::-1]\n"
        owner.seal_code(secret_code, "turning", confidential=True, authority=url, **options)
        cell = (
            "import pandas as pd\nfound = pd.DataFrame({'n': [1], 'x': [turned(records.note.iloc[0])]})\n"
            "shown = records.head()\nshown"
        )
        record = tmp_path / "recorded"
        asked = {"inputs": ["records"], "code_assets": ["turning"], "outputs": ["found", "shown"]}
        asked |= {
            "code": cell,
            "recipients": [doctor.did],
            "purpose": control["purpose"],
            "record": str(record),
            "host": host,
        }
        with process("launch", root, "analyst", **asked) as launcher:
            run = told(launcher)
            assert told(launcher) == {"state": "done", "error": None}
            canaries["result"] = (canaries["granted"] + "0")[::-1]
            network = [("network", bytes(tap.seen)), ("doors and logs", record.read_bytes())]
            processes = [*memory(authority.pid), *memory(launcher.pid)]
            seen = sightings(canaries, [*files(root), *network, *processes, *more()])
            known = sightings(control, [*files(root), *network, *processes])
        sealed = next((root / "personas" / "analyst" / "runs" / run).glob("result*.sealed")).read_bytes()
    tap.close()
    assert seen == set()
    for place in ("authority.db", "network", f"memory of {authority.pid}", f"memory of {launcher.pid}", "spec.json"):
        assert any(place in where for where in known), f"the search does not reach {place}"
    assert _opened_by(doctor, sealed, root / "personas" / "analyst" / "runs" / run).endswith(canaries["result"][-9:])
    owner.close(), analyst.close(), doctor.close()


def _opened_by(doctor: Session, sealed: bytes, folder: Path) -> str:
    from sls_jupyter.contract.spec import StreamSpec
    from sls_jupyter.documents import verify
    from sls_jupyter.guest.bundle import open_result
    from sls_jupyter.identity import verify_signature

    spec = verify((folder / "spec.json").read_bytes(), StreamSpec, verify_signature, did=None)
    result = open_result(sealed, spec.digest, doctor.did, doctor.identity.hpke)
    return str(dict(zip(("found", "shown"), (table for _, table in result.tables), strict=True))["found"]["x"][0])


def test_an_error_text_is_not_kept_on_disk(world: _World) -> None:
    """A value in an exception would lie in the analyst's folder for ever."""
    canary = secrets.token_urlsafe(24)
    half = len(canary) // 2
    ended = world.do(f"raise ValueError({canary[:half]!r} + {canary[half:]!r})")
    assert canary in str(ended.error)
    assert ended.error.message == "The cell raised ValueError."
    world.analyst.runs()
    until(lambda: (world.analyst.home.path / "runs" / ended.run.id / "end.json").exists(), "the run is remembered")
    assert sightings({"error": canary}, files(world.root)) == set()


@pytest.mark.parametrize("place", ["audit", "end"])
def test_a_cell_cannot_leave_words_outside_the_gate(world: _World, place: str) -> None:
    """A cell that may return nothing could still write patients into the authority's database or the run's end."""
    half, other = secrets.token_urlsafe(12), secrets.token_urlsafe(12)
    code = {
        "audit": """
import json, socket, glob
for path in glob.glob("/run/sls/*/*.sock"):
    try:
        line = socket.socket(socket.AF_UNIX); line.connect(path)
        data = json.dumps({"event": HALF + OTHER, "finish": HALF + OTHER}).encode()
        line.sendall(len(data).to_bytes(4, "big") + data)
    except OSError:
        pass
""",
        "end": """
import json, socket
line = socket.socket(socket.AF_UNIX); line.connect("/run/sls/result/result.sock")
def say(**message):
    data = json.dumps(message).encode(); line.sendall(len(data).to_bytes(4, "big") + data)
say(**{"from": "supervisor"}); say(ended=HALF + OTHER, allowed=HALF + OTHER)
import time; time.sleep(2)
""",
    }[place]
    ended = world.do(f"HALF, OTHER = {half!r}, {other!r}\nif not HALF: x = 0\n" + code, ["guarded:age"], outputs=["x"])
    shown = repr(ended.events) + repr(ended.run.summary) + str(ended.run.error) + repr(ended.run.error.detail)
    records = repr(world.analyst.audit(ended.run.id).records)
    found = sightings({"words": half + other}, [*files(world.root), ("shown", (shown + records).encode())])
    assert found == set()
