"""One hostile or broken authority among honest ones: a line about it, and nothing else, in a bounded time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from e2e import LIMITS, World, _home, needs_sandbox, patients
from hostile_kit import Hostile, bomb, drip, drip_headers, endless, redirect, says

from sls_jupyter.assets.sealing import SealedAsset
from sls_jupyter.documents import sign
from sls_jupyter.errors import MAX_SAID, SlsError
from sls_jupyter.safestream.request import MAX_REASONS
from sls_jupyter.session import Session, catalogue, directory


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    world.seal("patients")
    yield world
    world.close()


@pytest.fixture(scope="module")
def evil(world, tmp_path_factory) -> Iterator[Hostile]:
    """Another user's authority that the analyst is connected to; it seals one asset of its own."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(world.root / "machine", elsewhere / "machine")
    mallory = Session(_home(elsewhere, "mallory"))
    mallory.own_authority()
    evil = Hostile(mallory)
    _seal_with_url(mallory, "extra", evil.url, world.analyst.did)
    world.analyst.connect(evil.url)
    yield evil
    evil.close()
    mallory.close()


def _seal_with_url(owner: Session, name: str, url: str, requester: str) -> None:
    """Seal an asset whose manifest names another URL of the owner's authority."""
    original = catalogue.seal

    def renamed(*args: Any, **options: Any) -> SealedAsset:
        sealed = original(*args, **options)
        manifest = sealed.manifest.model_copy(update={"authority_url": url})
        return SealedAsset(manifest, sign(manifest, options["owner"]), sealed.keys)

    catalogue.seal = renamed  # type: ignore[assignment]
    try:
        owner.seal(patients(), name, allow_code="any", requester=requester, tee="simulated-snp")
    finally:
        catalogue.seal = original


@pytest.fixture
def analyst(world, evil, monkeypatch) -> Iterator[Session]:
    """The analyst, with short patience, so that these tests do not take long."""
    monkeypatch.setattr(directory, "EACH_SECONDS", 3.0)
    monkeypatch.setattr(directory, "IMPATIENT_SECONDS", 3.0)
    world.analyst._reachable = (-3600.0, [])
    yield world.analyst
    evil.behave = {}


PROBLEM = {"type": "urn:sls-jupyter:problem:not-authorised", "detail": "\x1b[2J pay", "hint": "\x1b[31m", "found": "x"}
BEHAVIOURS = {
    "numbers": says([1]),
    "object": says({"a": 1}),
    "unsigned manifest": says([{"id": "x", "manifest": {}, "policy": {}}]),
    "no JSON": says(b"<html>"),
    "null": says(None),
    "deep": says(b"[" * 100_000),
    "many": says(b"[" + b"1," * 2_000_000 + b"1]"),
    "refusal": says(PROBLEM, 403),
    "bomb": bomb,
    "drip": drip,
    "drip of headers": drip_headers,
    "endless": endless,
    "redirect": redirect("http://127.0.0.1:9/"),
    "unsigned": lambda call: call.send(200, b"[]"),
}


@pytest.mark.parametrize("path", ["/v1/assets", "/v1/authority"])
@pytest.mark.parametrize("name", BEHAVIOURS)
def test_whatever_one_authority_answers_the_others_assets_are_listed(analyst, evil, name, path):
    """A hostile catalogue costs its own line; the honest hospital's assets are there, and the run can be prepared."""
    evil.behave = {path: BEHAVIOURS[name]}
    assert [one.name for one in analyst.assets() if one.owner_name == "hospital"] == ["patients"]
    (silent,) = [one for one in analyst.silent() if one.url == evil.url]
    assert silent.trouble
    assert "\x1b" not in f"{silent} {silent.trouble} {silent.hint}"
    assert analyst.prepare("x = patients.age.mean()", ["patients"], outputs=["x"]).spec.inputs


def test_a_catalogue_that_repeats_anothers_asset_changes_nothing(analyst, evil, world):
    """The hospital's own signed manifest in a hostile list makes the hospital's asset neither ambiguous nor moved."""
    real = httpx.get(world.hospital.own_authority().url + "/v1/assets", trust_env=False).json()
    evil.behave = {"/v1/assets": says(real)}
    found = analyst.asset("patients")
    assert found.manifest.authority == world.hospital.own_authority().did
    assert analyst.asset(real[0]["id"]).id == found.id
    assert [one.id for one in analyst.assets() if one.name == "patients"] == [found.id]
    assert any(one.url == evil.url and "another one" in one.reason for one in analyst.silent())


def test_another_authority_at_a_known_url_is_refused_with_both_names(analyst, evil, world):
    """A key that changes is not taken silently; the way out names the new DID."""
    known, hospital = evil.key, world.hospital.home.path / "authority" / "ed25519"
    evil.real, before = world.hospital.own_authority().url, evil.real
    try:
        with pytest.raises(SlsError) as raised:
            analyst.connect(evil.url)
        assert known.did in str(raised.value)
        assert world.hospital.own_authority().did in str(raised.value)
        assert f"%sls connect {evil.url}#did:key:" in raised.value.hint
        assert hospital.exists()
    finally:
        evil.real = before


@needs_sandbox
@pytest.mark.parametrize("behaviour", [drip, drip_headers, endless])
def test_an_owner_who_never_answers_keeps_neither_group_nor_cell(analyst, evil, world, behaviour):
    """Told that a run has ended, one owner drips: the run has ended all the same, and no container is left."""
    assert [one.name for one in analyst.assets()]  # it answers so far
    evil.behave = {"/end": behaviour, "/receipt": behaviour}
    ended = world.do("x = patients.age.mean()", ["hospital/patients", "extra"], outputs=["x"], limits=LIMITS)
    assert ended.outputs["x"] > 0
    assert ("POST", f"/v1/runs/{ended.run.spec_digest}/end") in evil.seen


def history(analyst: Session, evil: Hostile, digest: str) -> dict[str, Any]:
    """What the hostile authority would honestly tell of a run."""
    return analyst._client(evil.url)._call("GET", f"/v1/runs/{digest}", signed=True)


@needs_sandbox
def test_one_owners_authority_ends_nobodys_audit(analyst, evil, world):
    """What it refuses or garbles is a line about its log; many trees for one run cost no call each."""
    ended = world.do("x = patients.age.mean()", ["hospital/patients", "extra"], outputs=["x"], limits=LIMITS)
    path, honest = f"/v1/runs/{ended.run.spec_digest}", history(analyst, evil, ended.run.spec_digest)
    for wrong in (says(PROBLEM, 403), says({"log": 1}), says({**honest, "log": world.hospital.did})):
        evil.behave = {path: wrong}
        try:
            audit = analyst.audit(ended.run.id)
        except SlsError as error:
            assert "another log" in str(error)  # noqa: PT017  # what contradicts a signature is not folded away
            continue
        assert any(line.log_name.startswith("hospital") for line in audit.lines)
        assert len(audit.unreached) == 1
    evil.behave = {}
    assert not analyst.audit(ended.run.id).unreached


def test_a_decision_without_a_reason_or_with_too_many_is_bounded(analyst, evil):
    """A card has room for another party's words, and does not fail for want of them."""
    honest = analyst._client(evil.url)
    request = analyst.prepare("x = extra.age.mean()", ["extra"], outputs=["x"])
    told = honest.submit(request.envelope, request.code, request.contact, request.parameters, dry_run=True)
    answer = told.model_dump(mode="json")
    decision = answer["decisions"][0]["decision"]
    reason = {"code": "x", "text": "y" * 10_000, "fix": "\x1b[2J\n", "level": "deny"}
    answer["grants"] = []
    decision |= {"verdict": "deny", "reasons": []}
    evil.behave = {"/v1/requests": says(answer)}
    with pytest.raises(SlsError, match="no reason"):
        analyst.preflight(request)
    decision["reasons"] = [reason] * 5_000
    (found,) = analyst.preflight(request).values()
    assert len(found.reasons) == MAX_REASONS
    assert all(len(one.text) < 2 * MAX_SAID and "\x1b" not in one.fix for one in found.reasons)
