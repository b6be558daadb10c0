"""Promises 3, 7 and 8 on whole runs: changed bytes, dying processes, and what goes wrong without malice."""

from __future__ import annotations

import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from e2e import (
    LIMITS,
    World,
    container,
    containers,
    finish,
    needs_sandbox,
    patients,
    process,
    running,
    told,
    until,
    world,
)

from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.errors import (
    AccessDenied,
    ApprovalPending,
    BadInput,
    DigestMismatch,
    HostDied,
    HostUnsuitable,
    OutputWithheld,
    ProgramFailed,
    RunCancelled,
    RunFailed,
    SignatureInvalid,
    SlsError,
    Unavailable,
    UnknownName,
    VerificationError,
)

__all__ = ["world"]
pytestmark = needs_sandbox
SLEEP = "import time; time.sleep(60)"


def ends(world: World, run: Any) -> set[str]:
    """Kinds of the entries that say how a run ended; every proof is checked on the way."""
    return {line.entry.kind for line in world.analyst.audit(run.id).lines} & {"run.ended", "run.killed"}


def parts(world: World, name: str) -> list[Path]:
    manifest = world.hospital.asset(name).manifest
    folder = Path(manifest.storage.removeprefix("file://"))
    return [folder / part.name for part in manifest.data_parts]


# --- changed bytes --------------------------------------------------------------------------------


def test_a_changed_or_swapped_part_ends_the_run(world: World) -> None:
    """Storage belongs to the operator: a byte, or a whole part of another version, must not pass as the data."""
    world.seal("flip", patients(500))
    good = parts(world, "flip")[0]
    time.sleep(1.1)  # versions of one second have no order
    world.seal("flip", patients(500))  # the next version of the same asset
    part = parts(world, "flip")[0]
    original = part.read_bytes()
    middle = bytearray(original)
    middle[len(middle) // 3] ^= 1
    for data in (bytes(middle), good.read_bytes()):
        part.write_bytes(data)
        ended = world.do("x = flip.age.sum()", ["flip"], outputs=["x"])
        assert isinstance(ended.error, VerificationError), ended.error
        assert "x" not in ended.run.outputs
        assert ended.seconds < 30
        assert ends(world, ended.run)
    part.write_bytes(original)
    assert world.do("x = flip.age.sum()", ["flip"], outputs=["x"]).outputs["x"] > 0


def test_a_changed_manifest_or_cell_is_refused_at_the_door(world: World) -> None:
    """The measured spec names manifest and code by digest; whatever else is brought gets no key."""
    session = world.analyst
    other = session.asset("guarded").manifest_envelope
    changed: list[tuple[Any, type[SlsError]]] = [
        (lambda one: replace(one, manifests=dict.fromkeys(one.manifests, other)), SlsError),
        (lambda one: replace(one, code="x = free"), DigestMismatch),
        (lambda one: replace(one, envelope=one.envelope.replace(b'"sig":"', b'"sig":"AAAA', 1)), SlsError),
    ]
    for change, kind in changed:
        request = session.prepare("x = free.age.sum()", ["free"], outputs=["x"], limits=LIMITS)
        ended = finish(session.run(change(request)))
        assert isinstance(ended.error, kind)
        assert not isinstance(ended.error, ProgramFailed)
        assert ended.run.summary.get("entries") is None  # no key left
    assert isinstance(ended.error, SignatureInvalid | BadInput | VerificationError)


# --- dying ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["input", "program", "output", "audit"])
def test_a_killed_container_ends_the_run_and_is_logged(world: World, role: str) -> None:
    """A container that the machine kills leaves a reported end, and nothing that runs on."""
    run = world.start(SLEEP if role != "audit" else "import time; time.sleep(1)")
    until(lambda: running(run), "the cell runs")
    os.kill(container(role), signal.SIGKILL)
    ended = finish(run, 30)
    assert isinstance(ended.error, HostDied if role == "output" else RunFailed | Unavailable)
    if role == "output":  # nobody could tell an end: it is told apart from a cell that failed, with what the host saw
        assert "ended" in ended.error.detail["containers"]["output"]
        assert "cell is not to blame" in ended.error.hint
    assert ended.seconds < 20
    assert ends(world, run)
    until(lambda: not containers(), "every container ends", 10)


def test_a_killed_launcher_leaves_no_container_and_no_gap(world: World) -> None:
    """A laptop that loses power in a run: nothing goes on, and the key that left is in the log for ever."""
    asked: dict[str, Any] = {"code": SLEEP, "inputs": ["free"]}
    with process("launch", world.root, "analyst", **asked) as child:
        run = told(child)
        until(lambda: containers(child.pid), "containers start")
        until(lambda: _released(world, run), "the key is released")
        guests = containers(child.pid)
        child.kill()
        child.wait()
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in guests), "the containers end", 10)
    kinds = [line.entry.kind for line in world.analyst.audit(run).lines]
    assert "key.released" in kinds
    assert next(one for one in world.analyst.runs() if one.id == run).state != "done"
    folder = Path(os.environ["XDG_RUNTIME_DIR"])
    for left in folder.iterdir():  # removed by the next launch, a minute later
        shutil.rmtree(left)


def _released(world: World, run: str) -> bool:
    return "key.released" in {line.entry.kind for line in world.analyst.audit(run).lines}


def test_a_killed_seal_publishes_all_or_nothing(world: World) -> None:
    """An owner's process that dies while sealing leaves no asset that cannot be read."""
    with process("seal", world.root, "clinic") as child:
        told(child)
        time.sleep(0.4)
        child.kill()
    clinic = world.session("clinic")
    known = clinic.assets()
    mine = [info for info in known if info.mine]
    assert mine
    for info in mine:
        folder = Path(info.manifest.storage.removeprefix("file://"))
        assert all((folder / part.name).stat().st_size == part.size for part in info.manifest.parts)


# --- what goes wrong without malice ---------------------------------------------------------------


def test_several_owners_meet_in_one_stream(world: World) -> None:
    """Two hospitals, two authorities, two policies: one cell over both, the stricter rules for all of it."""
    world.seal("north", patients(200), columns="age,sex", min_group=5)
    world.seal("south", patients(300), owner="clinic", columns="age,sex", min_group=120)
    code = (
        "import pandas as pd\nboth = pd.concat([north, south], ignore_index=True)\n"
        "x = both.groupby('sex').age.mean().reset_index()\ny = both.groupby('age').sex.count().reset_index()"
    )
    ended = world.do(code, ["north", "clinic/south=south"], outputs=["x", "y"])
    assert len(ended.outputs["x"]) == 2
    assert len(ended.outputs["y"]) == 0  # groups of 8 pass the north's rule and not the south's
    assert len(ended.run.summary["entries"]) == 2
    assert len({line.log_name for line in world.analyst.audit(ended.run.id).lines}) == 2


def test_names_that_do_not_exist_are_told_with_the_nearest(world: World) -> None:
    """A misspelt asset, column, recipient or host costs a sentence, not an hour."""
    with pytest.raises(UnknownName, match="guarded"):
        world.analyst.prepare("1", ["gaurded"])
    with pytest.raises(UnknownName, match="age"):
        world.analyst.prepare("1", ["free:agee"])
    with pytest.raises(UnknownName, match="nobody"):
        world.analyst.prepare("1", ["free"], recipients=["nobody"])
    with pytest.raises(BadInput, match="alias"):
        world.analyst.prepare("1", ["free", "guarded=free"])
    with pytest.raises(BadInput, match="line 1"):
        world.analyst.prepare("x = (", ["free"], outputs=["x"])
    with pytest.raises(HostUnsuitable, match="no such host"):
        world.analyst.run(world.analyst.prepare("1", ["free"]), host="azure")
    huge = LIMITS.model_copy(update={"memory_bytes": 170 * 2**30})
    error = world.do("1", limits=huge).error
    assert isinstance(error, HostUnsuitable)
    assert "GiB" in str(error)


@pytest.mark.parametrize(
    ("code", "outputs", "kind", "word"),
    [
        ("y = 1; del y  # and no x", ["x"], RunFailed, "no such variable"),
        ("x = lambda: 1", ["x"], RunFailed, "function"),
        ("x = guarded", ["x"], OutputWithheld, "groupby"),
        ("x = guarded.age.max()", ["x"], OutputWithheld, "10"),
        ("x = 1 / 0", ["x"], ProgramFailed, "ZeroDivisionError"),
        ("exec('x = (')", ["x"], ProgramFailed, "SyntaxError"),
    ],
)
def test_a_cell_that_does_not_keep_its_word_says_why(
    world: World, code: str, outputs: list[str], kind: type[SlsError], word: str
) -> None:
    """A result that does not come has a reason, and the reason has a next step."""
    ended = world.do(code, ["guarded"], outputs=outputs)
    assert isinstance(ended.error, kind)
    assert word in str(ended.error)
    assert ended.error.hint
    assert ends(world, ended.run)


def test_kinds_that_no_owner_allows_are_held_back_and_counted(world: World) -> None:
    """A figure or a print that may not leave is missed by name, not silently."""
    world.seal("tables", kinds="table")
    code = "import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()\nprint('text'); x = tables.age.sum()"
    ended = world.do(code, ["tables"], outputs=["x"])
    assert ended.outputs["x"] > 0
    assert {"text", "figure"} <= set(ended.run.summary["withheld"])
    assert not ended.of("display") + ended.of("stream")


def test_a_person_is_asked_waited_for_and_may_say_no(world: World) -> None:
    """Approval is a state a user sees, with who is asked and why it was denied."""
    world.seal("asks", allow_code="reviewed", requester=None)
    code = "x = asks.age.sum()"
    pending = world.do(code, ["asks"], outputs=["x"]).error
    assert isinstance(pending, ApprovalPending)
    assert "hospital" in pending.message
    waiting = world.start(code, ["asks"], outputs=["x"], wait_for_approval=True)
    asked = until(
        lambda: [one for one in world.hospital.requests() if one.mine_to_decide and one.state == "open"], "asked"
    )
    world.hospital.approve(asked[0].id)
    assert finish(waiting).outputs["x"] > 0
    world.do(code + "  # again", ["asks"], outputs=["x"])
    asked = [one for one in world.hospital.requests() if one.mine_to_decide and one.state == "open"]
    world.hospital.deny(asked[0].id, "not for this purpose")
    denied = world.do(code + "  # again", ["asks"], outputs=["x"]).error
    assert isinstance(denied, AccessDenied)
    assert "not for this purpose" in str(denied)
    assert denied.hint


@pytest.mark.parametrize("step", ["planned", "approved", "launched", "attested", "keys released", "running"])
def test_cancelling_ends_a_run_in_every_step(world: World, step: str) -> None:
    """An interrupt must reach the group wherever it is, and be logged where something was granted."""
    waits = step == "approved"
    if waits:
        world.seal("waits", allow_code="reviewed", requester=None)
    run = world.start(SLEEP, ["waits"] if waits else ["free"], wait_for_approval=waits)
    until(lambda: run.steps[step].state != "waiting" or run.state != "running", step)
    start = time.monotonic()
    run.cancel()
    assert run.state == "cancelled"
    assert isinstance(run.error, RunCancelled)
    assert time.monotonic() - start < 12
    until(lambda: not containers(), "every container ends", 10)
    if step == "running":
        assert ends(world, run) == {"run.killed"}


def test_two_runs_at_once_do_not_meet(world: World) -> None:
    """Two cells started together each get their own result."""
    runs = [world.start(f"x = free.age.sum() * 0 + {n}", outputs=["x"]) for n in (1, 2)]
    assert [finish(run).outputs["x"] for run in runs] == [1, 2]


def test_a_stopped_authority_is_named_and_nothing_hangs(world: World) -> None:
    """An owner whose laptop sleeps: before a run, and in the middle of one."""
    with process("serve", world.root, "sleeper") as child:
        url = told(child)
        world.seal("asleep", patients(50), owner="sleeper")
        request = world.analyst.prepare("x = 1", ["asleep"], limits=LIMITS)
        run = world.start(SLEEP.replace("60", "2"), ["asleep"])
        until(lambda: running(run), "the cell runs")
        child.kill()
        child.wait()
        ended = finish(run, 45)
        assert ended.run.error is None or isinstance(ended.run.error, Unavailable)
        assert ended.run.summary["audited"] is False
    error = finish(world.analyst.run(request)).error
    assert isinstance(error, Unavailable)
    assert url in str(error)


def test_a_wrong_clock_is_said_to_be_one(world: World) -> None:
    """A laptop whose clock is an hour off gets a sentence about time, not about signatures."""
    client = AuthorityClient(world.hospital.own_authority().url, world.analyst.identity, now=lambda: time.time() - 3600)
    with pytest.raises(SlsError) as raised:
        client.requests()
    assert any(word in str(raised.value).lower() for word in ("clock", "time", "old", "expired"))
    client.close()
