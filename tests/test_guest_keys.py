"""Getting keys: the guest takes them only with the log's word for this very release."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from builders import NOW
from receipt_forge import OTHER, log, run, two
from receipt_kit import SignedRun

from sls_jupyter.attestation.claims import Evidence
from sls_jupyter.authority.answers import ReleaseAnswer
from sls_jupyter.authority.protocol import pass_info, release_info
from sls_jupyter.contract.grants import Grant
from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.documents import Envelope, b64decode, b64encode, canonical_json, digest
from sls_jupyter.errors import LogInconsistent, SlsError, VerificationError
from sls_jupyter.guest.keys import AssetKeys, fetch_keys
from sls_jupyter.hpke import seal
from sls_jupyter.transparency.cosignature import add_signatures
from sls_jupyter.transparency.note import NoteSignature
from sls_jupyter.transparency.proofs import DisclosedEntry

__all__ = ["run", "two"]


class Middle:
    """Whoever stands between a group and its authority: the requester named the URL, the host has the network."""

    def __init__(self, logged: Callable[[str], DisclosedEntry]) -> None:
        self.logged = logged

    def challenge(self, _: str) -> bytes:
        return bytes(32)

    def release(self, spec: bytes, asset: str, _: bytes, key: bytes, __: Evidence) -> Any:
        """Keys of its own: HPKE does not tell the guest who sealed them."""
        name = Envelope.parse(spec, StreamSpec.payload_type)
        sealed = seal(key, release_info(digest(name.payload), asset), canonical_json({"k": b64encode(bytes(32))}))
        logged = self.logged(digest(key))
        return ReleaseAnswer(
            sealed_keys=b64encode(sealed), columns=("age",), entry=logged.proof.index, logged=logged, **self.more(key)
        )

    def more(self, _: bytes) -> dict[str, Any]:
        """Further members of the answer."""
        return {}


def fetch(run: SignedRun, logged: Callable[[str], DisclosedEntry], make: Any = None) -> AssetKeys:
    """Get keys from :class:`Middle`, or from what ``make`` makes; ``logged`` makes its entry from the digest of the guest's key."""
    device: Any = type(
        "Device", (), {"evidence": lambda _, data: next(iter(run.worlds.values())).evidence(data, run.spec)}
    )()
    item = run.spec.inputs[0]
    client: Any = Middle(logged) if make is None else make(logged, run.spec.digest, item.asset)
    signed = run.statement().predicate.spec.encode()
    grant = Grant.parse(b64decode(run.statement().predicate.inputs[0].grant.payload))
    return fetch_keys(client, device, run.spec, signed, grant)


def test_a_second_group_does_not_take_the_first_ones_release_for_its_own(run: SignedRun) -> None:
    """Else a group that got no keys has a receipt that verifies, and hides what the first one let go."""
    logged = run.statement().predicate.inputs[0].released
    assert logged is not None
    with pytest.raises(LogInconsistent, match="logged something else"):
        fetch(run, lambda _: logged)


def entry(run: SignedRun, wrong: str) -> Callable[[str], DisclosedEntry]:
    """The log's word for a release, right but for one thing."""
    item = run.spec.inputs[0]
    world = run.worlds[next(one for one in run.worlds if one != item.authority) if wrong == "log" else item.authority]

    def make(guest: str) -> DisclosedEntry:
        meaning: dict[str, Any] = {"spec": run.spec.digest, "asset": item.asset, "guest": guest}
        meaning |= {"requester": run.spec.requester, "columns": ["age", "outcome", "sex"]}
        meaning |= {wrong: OTHER} if wrong in meaning or wrong == "more" else {}
        kind: Any = "key.refused" if wrong == "kind" else "key.released"
        tee = "sev-snp" if wrong == "tee" else "simulated-snp"
        logged = log(world, kind, run.spec.digest, meaning, {"tee": tee}, NOW + 5)
        if wrong == "line":
            line = NoteSignature("stranger.example/log", b"1234", bytes(64))
            note = add_signatures(logged.proof.checkpoint.encode(), [line]).decode()
            return logged.model_copy(update={"proof": logged.proof.model_copy(update={"checkpoint": note})})
        if wrong == "shown":
            return logged.model_copy(update={"meaning": {**(logged.meaning or {}), "guest": guest, "spec": OTHER}})
        return logged.model_copy(update={"salt": None, "meaning": None}) if wrong == "forgotten" else logged

    return make


def test_keys_are_taken_with_the_logs_word_for_them(run: SignedRun) -> None:
    """The refusals below are refusals of what they name."""
    assert fetch(run, entry(run, "")).keys == {"k": bytes(32)}


@pytest.mark.parametrize(
    "wrong",
    ["kind", "spec", "asset", "guest", "requester", "columns", "more", "tee", "line", "forgotten", "log", "shown"],
)
def test_a_group_runs_on_no_release_that_an_auditor_will_refuse(run: SignedRun, wrong: str) -> None:
    """An owner whose authority logs nonsense would have results computed, and no receipt that binds it."""
    with pytest.raises(VerificationError):
        fetch(run, entry(run, wrong))


class Giving(Middle):
    """An authority that also gives a pass for its storage."""

    def __init__(self, logged: Callable[[str], DisclosedEntry], spec: str, asset: str, value: object) -> None:
        super().__init__(logged)
        self.info, self.value = pass_info(spec, asset), value

    def more(self, key: bytes) -> dict[str, Any]:
        return {"sealed_pass": b64encode(seal(key, self.info, canonical_json(self.value)))}


PASS = {"endpoint": "https://a.example", "query": {"sr": "b"}, "signatures": {"part-00000.parquet": "A" * 43 + "="}}


def test_a_pass_comes_with_the_keys(run: SignedRun) -> None:
    """Sealed to the same guest, for the same run and asset; it is not shown."""
    found = fetch(run, entry(run, ""), lambda *made: Giving(*made, PASS))
    assert found.read_pass is not None
    assert found.read_pass.signatures == PASS["signatures"]
    assert "A" * 43 not in repr(found)


@pytest.mark.parametrize(
    "value", [{}, [], {**PASS, "more": 1}, {**PASS, "signatures": {"../x": "A" * 43 + "="}}, "x" * 2**20]
)
def test_what_is_no_pass_is_refused(run: SignedRun, value: object) -> None:
    """Within bounds, and before anything is read."""
    with pytest.raises(SlsError):
        fetch(run, entry(run, ""), lambda *made: Giving(*made, value))
