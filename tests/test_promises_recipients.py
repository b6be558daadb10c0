"""Results go to whom the owner allowed, under a key that they chose: through a real run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from e2e import World, needs_sandbox, patients

from sls_jupyter.documents import sign
from sls_jupyter.errors import AccessDenied, DigestMismatch, SignatureInvalid, SlsError
from sls_jupyter.guest.bundle import open_result
from sls_jupyter.identity import Home
from sls_jupyter.session import Session
from sls_jupyter.session.contacts import People

CELL = "x = table.head(3)"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("home"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> tuple[People, Path]:
    """Somebody on another machine, without an authority, and the contact file that they sent."""
    folder = tmp_path_factory.mktemp("board")
    people = People(Home(folder, "board"))
    return people, people.save_contact(folder / "board.json")


@needs_sandbox
def test_a_contact_file_is_enough_to_get_results(world: World, board: tuple[People, Path]) -> None:
    """The owner pins the key in the file, the requester seals to it, and nobody else opens the result."""
    them, file = board
    world.seal("table", patients(20), recipient=[str(file)])
    ended = world.do(CELL, ["table"], outputs=["x"], recipients=[str(file)])
    assert ended.run.error is None, ended.run.error
    folder, analyst = world.analyst._run_folder(ended.run.spec_digest), world.analyst
    (sealed,) = (path.read_bytes() for path in folder.glob("result-*.sealed"))
    found = open_result(sealed, ended.run.spec_digest, them.did, them.identity.hpke)
    assert found.tables[0][1].num_rows == 3
    for did in (them.did, analyst.did):
        with pytest.raises(SlsError):
            open_result(sealed, ended.run.spec_digest, did, analyst.identity.hpke)
    _opens_with_its_receipt(Session(them.home), analyst, next(folder.glob("result-*.sealed")), ended.run.id)
    verdict = analyst.receipt(ended.run.id).verdict
    (check,) = (one for one in verdict.checks if one.name == "spec")
    assert them.did in check.found
    assert [one["name"] for one in verdict.to_json()["statement"]["spec"]["recipients"]] == ["board"]


def _opens_with_its_receipt(them: Session, analyst: Session, sealed: Path, run: str) -> None:
    """The recipient, who has no authority, needs two files; the receipt says that they belong together."""
    receipt = them.home.path / "receipt.json"
    analyst.receipt(run).save(receipt)
    pins = {"accept_simulated": True, "anchors": analyst.anchors}
    assert them.open_sealed(sealed, receipt, **pins)["x"].shape[0] == 3
    changed = them.home.path / "changed.sealed"
    changed.write_bytes(sealed.read_bytes() + b"x")
    with pytest.raises(DigestMismatch, match="not the result that the receipt names"):
        them.open_sealed(changed, receipt, **pins)
    with pytest.raises(DigestMismatch):
        analyst.open_sealed(sealed, receipt, **pins)
    them.close()


@needs_sandbox
def test_a_key_of_the_requester_s_choice_gets_nothing(world: World, board: tuple[People, Path]) -> None:
    """The requester writes the board's DID with a key of her own, signed by nobody, herself, or with an old signature."""
    them, file = board
    world.seal("forged", patients(20), recipient=[str(file)])
    analyst = world.analyst
    theirs, hers = analyst.recipient(str(file)), analyst.recipient(analyst.did)
    for lie in (
        theirs.model_copy(update={"hpke_public_key": hers.hpke_public_key}),
        hers.model_copy(update={"did": them.did}),
        theirs.model_copy(update={"hpke_public_key": hers.hpke_public_key, "signature": hers.signature}),
    ):
        request = analyst.prepare(CELL.replace("table", "forged"), ["forged"], outputs=["x"])
        spec = request.spec.model_copy(update={"recipients": (lie,)})
        run = analyst.run(replace(request, spec=spec, envelope=sign(spec, analyst.identity)))
        with pytest.raises(SignatureInvalid, match="not signed by the recipient"):
            run.wait()


@needs_sandbox
def test_another_key_of_the_same_person_is_not_the_pinned_one(world: World, board: tuple[People, Path]) -> None:
    """Even a key that the recipient signed is refused where the owner pinned another."""
    them, file = board
    world.seal("pinned", patients(20), recipient=[str(file)])
    other = replace(them.identity, hpke=world.analyst.identity.hpke)
    path = file.with_name("other.json")
    path.write_bytes(sign(other.contact(), other))
    with pytest.raises(AccessDenied, match="another key"):
        assert world.do(CELL.replace("table", "pinned"), ["pinned"], outputs=["x"], recipients=[str(path)]).outputs
