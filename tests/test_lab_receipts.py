"""Receipts in the panel: verified by the same function as ``sls verify``, from bytes, and compared with cells and results."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import pytest
from e2e import World, finish, needs_sandbox, world
from test_notebook_whole import run, write

from sls_jupyter.documents import canonical_json
from sls_jupyter.errors import BadInput, MalformedDocument
from sls_jupyter.lab import card_messages, messages, receipts
from sls_jupyter.lab.asking import Asked
from sls_jupyter.receipt.files import verify_file
from sls_jupyter.session import Session

__all__ = ["world"]
pytestmark = needs_sandbox
BODY = "n = free.groupby('sex').size().to_frame('n')\nn"
CELL = f"%%safestream -i free -o n\n{BODY}"
_ran: dict[Path, str] = {}


def ran(world: World) -> str:
    """A run of the cell that all of these tests look at."""
    if world.root not in _ran:
        ended = world.do(BODY, outputs=["n"])
        assert set(ended.outputs) == {"n"}
        _ran[world.root] = ended.run.id
    return _ran[world.root]


def receipt_of(world: World) -> bytes:
    return (world.analyst.home.folder("runs") / ran(world) / "receipt.json").read_bytes()


def verify(session: Session, data: bytes, name: str = "receipt.json", **expected: object) -> messages.Verified:
    options = {"accept_simulated": True, **expected}
    body = messages.VerifyAsked.model_validate({"name": name, "data": base64.b64encode(data).decode(), **options})
    return receipts.verify(Asked(session, body=body))


def checked(session: Session, run: str, cell: str = CELL) -> messages.CellChecked:
    body = messages.NotebookAsked(cells=(messages.RemoteCell(run=run, cell=cell),))
    (found,) = receipts.notebook(Asked(session, body=body)).cells
    return found


# --- a file ---------------------------------------------------------------------------------------


def test_the_verdict_is_that_of_sls_verify(world: World) -> None:
    """Every check is on the card, the run is named where it is one of this persona's, and simulation is said."""
    found, data = verify(world.analyst, receipt_of(world)), receipt_of(world)
    same = verify_file(data, accept_simulated=True)
    assert (found.kind, found.accepted, found.id) == ("receipt", True, same.id)
    assert found.verdict.startswith("ACCEPTED, SIMULATED: all ")
    assert found.run == ran(world)
    (card,) = found.cards
    (checks,) = [one for one in card.blocks if isinstance(one, card_messages.ChecksData)]
    assert [one.name for one in checks.checks] == [one.name for one in same.checks]
    assert "SIMULATED" in card.marks
    assert verify(world.hospital, data).run == "", "the run is another persona's"


def test_what_no_hardware_signed_is_refused_unless_that_is_said(world: World) -> None:
    """A simulated receipt proves nothing about hardware, and nobody takes it for one that does."""
    found = verify(world.analyst, receipt_of(world), accept_simulated=False)
    assert not found.accepted
    assert found.run == ""
    assert "no hardware signed this receipt" in found.verdict


def test_a_changed_receipt_is_refused_with_the_check_that_failed(world: World) -> None:
    """One byte of what was signed: red, by name, and nothing in it is believed."""
    value = json.loads(receipt_of(world))
    payload = base64.b64decode(value["statement"]["payload"])
    place = payload.index(b'"bytes":') + len(b'"bytes":')
    changed = payload[:place] + (b"1" if payload[place : place + 1] != b"1" else b"2") + payload[place + 1 :]
    value["statement"]["payload"] = base64.b64encode(changed).decode()
    found = verify(world.analyst, canonical_json(value))
    assert (found.kind, found.accepted, found.run) == ("receipt", False, "")
    (card,) = found.cards
    (checks,) = [one for one in card.blocks if isinstance(one, card_messages.ChecksData)]
    failed = [one.name for one in checks.checks if not one.ok]
    assert {"report_data", "evidence"} <= set(failed)
    assert f"Failed: {', '.join(f'{one.number} {one.name}' for one in checks.checks if not one.ok)}." in str(card)
    assert card.tone == "bad"


@pytest.mark.parametrize("place", [0.02, 0.3, 0.5, 0.7, 0.98])
def test_one_changed_byte_anywhere_is_refused(world: World, place: float) -> None:
    """Whatever was changed, the verdict is a refusal and no error."""
    data = bytearray(receipt_of(world))
    data[int(len(data) * place)] ^= 1
    found = verify(world.analyst, bytes(data))
    assert not found.accepted
    assert found.verdict.startswith("REFUSED")
    assert found.cards


def test_whom_one_expects_is_held_against_it(world: World) -> None:
    """Owners and logs are chosen from those that are known here; another one is refused, by check."""
    parties = receipts.listed(Asked(world.analyst)).parties
    owner = next(one.did for one in parties if one.words == "hospital" and one.role == "owner")
    log = next(one.did for one in parties if one.words == "hospital's log" and one.role == "log")
    data = receipt_of(world)
    assert verify(world.analyst, data, owners=(owner,), logs=(log,)).accepted
    other = verify(world.analyst, data, owners=(world.analyst.did,), logs=(log,))
    assert not other.accepted
    assert "owners" in other.model_dump_json()
    with pytest.raises(MalformedDocument):
        verify(world.analyst, data, owners=("nobody",))


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("x.json", b"hello", "other"),
        ("x.ipynb", b"{}", "notebook"),
        ("x.json", b"", "other"),
        ("a.png", b"\x89PNG", "other"),
    ],
)
def test_another_file_is_an_answer_too(world: World, name: str, data: bytes, kind: str) -> None:
    """Dropping the wrong file says so, and accepts nothing."""
    found = verify(world.analyst, data, name)
    assert (found.kind, found.accepted) == (kind, False)
    assert found.verdict.startswith("REFUSED: This")
    assert "\n" not in verify(world.analyst, data, "a\nb").model_dump_json()


def test_bytes_that_did_not_arrive_are_no_verdict(world: World) -> None:
    """A broken transfer is an error of ours, not a refused receipt."""
    body = messages.VerifyAsked(name="x", data="%%%")
    with pytest.raises(BadInput, match="did not arrive whole"):
        receipts.verify(Asked(world.analyst, body=body))


def test_evidence_is_judged_as_evidence(world: World) -> None:
    """What a processor signed is judged without a receipt around it; a simulated one's root is believed only if that is said."""
    evidence = base64.b64decode(json.loads(receipt_of(world))["statement"]["signatures"][0]["sig"])
    found = verify(world.analyst, evidence)
    assert (found.kind, found.accepted) == ("evidence", True)
    assert found.verdict.startswith("ACCEPTED, SIMULATED: all ")
    refused = verify(world.analyst, evidence, accept_simulated=False)
    assert (refused.accepted, refused.verdict) == (False, "REFUSED, SIMULATED: root; no hardware signed this evidence")
    genoa = Path(__file__).parent / "vectors" / "snp"
    alone = next(genoa.rglob("report.bin")).read_bytes()
    assert verify(world.analyst, alone).verdict.startswith("REFUSED"), "a report without its certificates"


def test_an_executed_notebook_is_one_chain_and_the_broken_receipt_is_shown(world: World, tmp_path: Path) -> None:
    """All of its receipts and the code above them, as ``sls verify`` judges the file; what is refused has its check list."""
    _, book = run(world, write(tmp_path, ["a = len(free)\na", "a + 1"], input=["free"]))
    found = verify(world.analyst, json.dumps(book).encode(), "out.ipynb")
    assert (found.kind, found.accepted, len(found.cards)) == ("notebook", True, 1)
    assert found.verdict == "ACCEPTED, SIMULATED: 2 receipts, one after the other; no hardware signed them"
    book["cells"][1]["source"] = "a = 10\na"
    changed = verify(world.analyst, json.dumps(book).encode(), "out.ipynb")
    assert (changed.accepted, changed.verdict) == (False, "REFUSED, SIMULATED: code")
    book["cells"][1]["metadata"]["sls"]["receipt"]["recorded"] = []
    broken = verify(world.analyst, json.dumps(book).encode(), "out.ipynb")
    assert "1 of 2 receipts refused" in broken.verdict
    assert [card.title for card in broken.cards] == ["REFUSED", "REFUSED"]


# --- cells and what lies here ---------------------------------------------------------------------


def test_a_cell_is_verified_by_code_receipt_and_results(world: World) -> None:
    """The badge counts a cell only where all three belong together; otherwise it says in a few words why not."""
    run = ran(world)
    assert checked(world.analyst, run) == messages.CellChecked(run=run, verified=True, words="verified, SIMULATED")
    assert checked(world.analyst, run, f"\n{CELL}\n\n").verified, "what an editor adds is no change"
    assert checked(world.analyst, run, CELL.replace("size", "count")).words == "the code was changed since"
    assert checked(world.analyst, run[:5]).words == "no such run here"
    assert checked(world.analyst, "../../..").words == "no such run here"
    assert checked(world.hospital, run).words == "no such run here"


def test_a_receipt_or_a_result_that_is_another_verifies_nothing(world: World, tmp_path: Path) -> None:
    """Whoever changes what is kept turns the badge, and taking it away does, too."""
    folder, kept = world.analyst.home.folder("runs") / ran(world), tmp_path / "kept"
    shutil.copytree(folder, kept)
    try:
        data = bytearray((folder / "result.sealed").read_bytes())
        data[-1] ^= 1
        (folder / "result.sealed").write_bytes(data)
        assert not checked(world.analyst, ran(world)).verified
        (folder / "result.sealed").unlink()
        assert checked(world.analyst, ran(world)).words == "its results are not kept here"
        text = (folder / "receipt.json").read_bytes()
        (folder / "receipt.json").write_bytes(text[: len(text) // 2])
        assert checked(world.analyst, ran(world)).words == "its receipt cannot be read"
        (folder / "receipt.json").unlink()
        assert checked(world.analyst, ran(world)).words == "no receipt here"
    finally:
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)
    assert checked(world.analyst, ran(world)).verified


def test_nobody_is_asked_for_what_lies_here(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Receipts are listed and cells are checked offline, also where no authority answers."""
    run = ran(world)
    monkeypatch.setattr(world.analyst, "_client", lambda *_: pytest.fail("somebody was asked"))
    monkeypatch.setattr(world.analyst, "authorities", lambda: pytest.fail("somebody was asked"))
    assert run in [one.run for one in receipts.listed(Asked(world.analyst)).rows]
    assert checked(world.analyst, run).verified


def test_a_cell_that_failed_has_a_receipt_without_results(world: World) -> None:
    """Its receipt proves that it failed; there is nothing to compare it with."""
    ended = finish(world.start("1 / 0"))
    assert checked(world.analyst, ended.run.id, "%%safestream -i free\n1 / 0").verified
