"""The contract at the doors: exactly the measured spec, its requester, its grants, its material."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from builders import CODE, IMAGE, World, person, recipient

from sls_jupyter.assets.sealing import SealedAsset
from sls_jupyter.contract import cce
from sls_jupyter.contract.grants import Grant, Obligations
from sls_jupyter.contract.group import group_for
from sls_jupyter.contract.image import GuestImage
from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.documents import b64encode, sign
from sls_jupyter.errors import BadInput, DigestMismatch, MalformedDocument, NotAuthorised, SignatureInvalid
from sls_jupyter.guest.contract import Contract, accept_contract, accept_material
from sls_jupyter.receipt.statement import ImageRecord

RUN_IMAGE = ImageRecord.of(IMAGE).model_dump(mode="json")


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("w"))
    yield made
    made.close()


@pytest.fixture
def granted(world: World) -> tuple[SealedAsset, StreamSpec]:
    return world.granted()


def grant(world: World, of: StreamSpec, signer: str = "", **changes: Any) -> str:
    who = person(signer or world.authority_name)
    fields = {
        "authority": who.did,
        "spec": of.digest,
        "asset": of.inputs[0].asset,
        "columns": ("age",),
        "obligations": Obligations(max_rows=5),
        "tees": ("simulated-snp",),
        "issued_at": world.clock(),
        "expires_at": world.clock() + 60,
    }
    return sign(Grant(**(fields | changes)), who).decode()


def body(world: World, spec: StreamSpec, *grants: str) -> dict[str, Any]:
    return {"spec": sign(spec, world.analyst).decode(), "grants": list(grants)}


def test_the_measured_contract_is_accepted_with_the_strictest_rules(world: World, granted: Any) -> None:
    """The gate's rules come from the grants that the owners signed for this very spec."""
    _, spec = granted
    found = accept_contract(body(world, spec, grant(world, spec)), spec.digest, spec.requester, now=world.clock())
    assert found.spec == spec
    assert found.obligations.max_rows == 5
    assert found.obligations.kinds == ("table", "figure")


def test_another_spec_or_person_is_refused(world: World, granted: Any) -> None:
    """The group was started, and measured, for one spec of one requester."""
    _, spec = granted
    good = body(world, spec, grant(world, spec))
    with pytest.raises(DigestMismatch):
        accept_contract(good, "sha256:" + "0" * 64, spec.requester, now=world.clock())
    with pytest.raises(NotAuthorised):
        accept_contract(good, spec.digest, person("other").did, now=world.clock())


def test_a_grant_for_something_else_is_none(world: World, granted: Any) -> None:
    """No grant of another spec, asset, authority or time stands in for the one that is needed."""
    _, spec = granted
    wrong = [
        grant(world, spec, spec="sha256:" + "0" * 64),
        grant(world, spec, asset="sha256:" + "0" * 64),
        grant(world, spec, expires_at=world.clock()),
        grant(world, spec, signer="somebody"),
    ]
    for one in [*wrong, None]:
        with pytest.raises(BadInput, match="patients"):
            accept_contract(body(world, spec, *([one] if one else [])), spec.digest, spec.requester, now=world.clock())


def test_a_forged_grant_or_spec_is_refused(world: World, granted: Any) -> None:
    """Obligations are signed; looser ones in an authority's name do not verify."""
    _, spec = granted
    forged = grant(world, spec).replace('"sig":"', '"sig":"AAAA')
    with pytest.raises((SignatureInvalid, MalformedDocument)):
        accept_contract(body(world, spec, forged), spec.digest, spec.requester, now=world.clock())


def test_a_recipients_key_that_somebody_else_chose_is_refused(world: World, granted: Any) -> None:
    """The guest seals results to keys that their owners signed, even where an authority granted the spec."""
    _, spec = granted
    lie = recipient(person("board")).model_copy(update={"hpke_public_key": spec.recipients[0].hpke_public_key})
    forged = spec.model_copy(update={"recipients": (lie,)})
    with pytest.raises(SignatureInvalid, match="not signed by the recipient"):
        accept_contract(body(world, forged, grant(world, forged)), forged.digest, forged.requester, now=world.clock())


@pytest.mark.parametrize(
    "wrong", [[], {}, {"spec": 1}, {"spec": "{}", "grants": []}, {"spec": "x", "grants": 7}, "text", None]
)
def test_what_is_no_contract_is_malformed(wrong: Any) -> None:
    """A door takes any JSON from the network."""
    with pytest.raises(MalformedDocument):
        accept_contract(wrong, "sha256:" + "0" * 64, "did", now=0)


def contract_of(world: World, spec: StreamSpec) -> Contract:
    return accept_contract(body(world, spec, grant(world, spec)), spec.digest, spec.requester, now=world.clock())


def own(spec: StreamSpec, image: GuestImage = IMAGE) -> bytes:
    """HOST_DATA of the group that runs ``spec``."""
    return cce.host_data(cce.render(group_for(spec, image)))


def test_the_image_is_the_one_that_the_hardware_measured(world: World, granted: Any) -> None:
    """A requester who names another image would get a receipt that no authority takes: a run without one."""
    sealed, spec = granted
    good = {
        "code": CODE,
        "parameters": b64encode(b""),
        "manifests": {sealed.digest: sealed.envelope.decode()},
        "image": RUN_IMAGE,
    }
    assert accept_material(good, contract_of(world, spec), own(spec)).image == IMAGE
    other = replace(IMAGE, layers=("0" * 64,))
    with pytest.raises(DigestMismatch, match="another guest image"):
        accept_material(good, contract_of(world, spec), own(spec, other))
    lie = good | {"image": ImageRecord.of(other).model_dump(mode="json")}
    with pytest.raises(DigestMismatch, match="another guest image"):
        accept_material(lie, contract_of(world, spec), own(spec))


def test_material_is_compared_with_its_digests(world: World, granted: Any) -> None:
    """Code, parameters and manifests are the ones in the spec, to the byte."""
    sealed, spec = granted
    contract = contract_of(world, spec)
    good = {
        "code": CODE,
        "parameters": b64encode(b""),
        "manifests": {sealed.digest: sealed.envelope.decode()},
        "image": RUN_IMAGE,
    }
    assert accept_material(good, contract, own(spec)).code == CODE
    for change in ({"code": CODE + " "}, {"parameters": b64encode(b"x")}):
        with pytest.raises(DigestMismatch):
            accept_material(good | change, contract, own(spec))
    for change in ({"manifests": {}}, {"manifests": 7}, {"parameters": "*"}, {"code": None}):
        with pytest.raises((MalformedDocument, DigestMismatch)):
            accept_material(good | change, contract, own(spec))


def test_keys_are_asked_for_where_the_owner_said(world: World) -> None:
    """A requester who names the URL could stand in between, and keep the end of the run from the owner's log."""
    sealed = world.publish("elsewhere")
    item = world.input(sealed, authority_url="https://requester.example")
    with pytest.raises(BadInput, match="describes elsewhere wrongly"):
        world.submit(world.spec(item))
    contract = contract_of(world, world.spec(item))
    material = {
        "code": CODE,
        "parameters": b64encode(b""),
        "manifests": {sealed.digest: sealed.envelope.decode()},
        "image": RUN_IMAGE,
    }
    with pytest.raises(BadInput, match="another authority"):
        accept_material(material, contract, own(contract.spec))


def test_a_contract_that_no_receipt_could_hold_gets_no_keys(world: World, granted: Any, monkeypatch: Any) -> None:
    """Padding would be a way to results without a receipt."""
    sealed, spec = granted
    good = {
        "code": CODE,
        "parameters": b64encode(b""),
        "manifests": {sealed.digest: sealed.envelope.decode()},
        "image": RUN_IMAGE,
    }
    monkeypatch.setattr("sls_jupyter.guest.contract.MAX_CONTRACT_BYTES", 5000)
    with pytest.raises(BadInput, match="too large for a receipt"):
        accept_material(good, contract_of(world, spec), own(spec))
    with pytest.raises(ValueError, match="outputs"):
        world.spec(spec.inputs[0], outputs=tuple(sorted(f"x{number}" for number in range(300))))
