"""A request: a signed spec with everything it names by digest, and the authorities' answers to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from sls_jupyter.assets.opening import verify_manifest
from sls_jupyter.authority.answers import SubmitAnswer
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.contract.grants import Grant
from sls_jupyter.contract.spec import AssetInput, StreamSpec
from sls_jupyter.documents import canonical_model_json, verify
from sls_jupyter.errors import MAX_SAID, AccessDenied, DigestMismatch, MalformedDocument, SlsError, printable
from sls_jupyter.identity import verify_signature
from sls_jupyter.network import side_by_side
from sls_jupyter.policy.decide import Decision

ASK_SECONDS = 30.0
MAX_REASONS = 100  # of one decision that are shown


def named_column(
    spec: StreamSpec,
    manifests: Mapping[str, bytes],
    end: Mapping[str, Any],
    granted: Mapping[str, tuple[str, ...] | None],
) -> Mapping[str, Any]:
    """The end of a run; where an input could not be opened, with the name of the column, if its place was told.

    Args:
        manifests: asset id -> DSSE of its manifest.
        granted: the columns of each asset that went into the group. Their names are taken from the signed
            manifest: the group's program told a number, and may have lied.
    """
    item = next((one for one in spec.inputs if one.alias == end.get("alias")), None)
    place = end.get("column")
    if item is None or not isinstance(place, int):
        return end
    chosen = granted.get(item.asset)
    known = verify_manifest(manifests[item.asset], item.asset).columns
    names = [name for name in known if chosen is None or name in chosen]
    return {**end, "name": names[place]} if 0 <= place < len(names) else end


class Requested(Protocol):
    """What an answer is held against: of a run, or of a session."""

    @property
    def spec(self) -> StreamSpec: ...
    @property
    def manifests(self) -> Mapping[str, bytes]: ...


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """What the requester has: the contract and its material."""

    spec: StreamSpec
    envelope: bytes  # DSSE of the spec
    code: str
    parameters: bytes
    manifests: Mapping[str, bytes]  # asset id -> DSSE of its manifest
    contact: bytes  # DSSE of the requester's Contact

    def with_column_named(
        self, end: Mapping[str, Any], granted: Mapping[str, tuple[str, ...] | None]
    ) -> Mapping[str, Any]:
        """The end of a run with the name of the column that could not be opened (:func:`named_column`)."""
        return named_column(self.spec, self.manifests, end, granted)

    def __repr__(self) -> str:
        return f"<StreamRequest {self.spec.digest[7:19]} over {', '.join(item.alias for item in self.spec.inputs)}>"


@dataclass(frozen=True, slots=True)
class Answers:
    """All authorities' decisions on one request."""

    decisions: Mapping[str, Decision]  # alias -> decision
    grants: tuple[Grant, ...] = ()
    grant_envelopes: tuple[bytes, ...] = field(default=(), repr=False)
    cell_grants: tuple[bytes, ...] = field(
        default=(), repr=False
    )  # envelopes, one of each authority; of a session's cell

    @classmethod
    def of(cls, answered: Sequence[Answers]) -> Answers:
        """Those of several authorities together."""
        return cls(
            {alias: decision for one in answered for alias, decision in one.decisions.items()},
            tuple(grant for one in answered for grant in one.grants),
            tuple(envelope for one in answered for envelope in one.grant_envelopes),
        )

    @property
    def verdict(self) -> str:
        """deny beats ask beats allow."""
        found = {decision.verdict for decision in self.decisions.values()}
        return next(verdict for verdict in ("deny", "ask", "allow") if verdict in found)

    def require_not_denied(self) -> None:
        """Raise :class:`AccessDenied` with every reason of every owner that denies."""
        denied = {alias: one for alias, one in self.decisions.items() if one.verdict == "deny"}
        if not denied:
            return
        reasons = [
            (alias, reason)
            for alias, decision in denied.items()
            for reason in decision.reasons
            if reason.level == "deny"
        ]
        error = AccessDenied(
            f"The owner's policy does not allow this use of {', '.join(denied)}.",
            found=" ".join(f"{alias}: {reason.text}" for alias, reason in reasons),
            hint=" ".join(dict.fromkeys(reason.fix for _, reason in reasons)),
            detail={"reasons": [{"alias": alias, **reason.model_dump()} for alias, reason in reasons]},
        )
        error.said_by = "the owner's authority"  # reasons and fixes are its words
        raise error


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a requester is told about a request of theirs that a person has to decide on."""

    since: int | None = None  # seconds since 1970, by the authority's word; None: it is not known
    earlier: str = ""  # id of a request like it that was approved or granted
    state: str = ""  # which of both, by the authority's word
    differences: tuple[str, ...] = ()  # what this one has that the earlier one had not, a sentence each


def ask_all(request: StreamRequest, clients: Mapping[str, AuthorityClient], *, dry_run: bool = False) -> Answers:
    """Submit to every authority of the spec, side by side.

    Args:
        clients: authority's DID -> client.

    Raises:
        what an authority raises; its DID is in the error's detail.
    """
    asking = [partial(_ask, request, did, clients[did], dry_run=dry_run) for did, _ in request.spec.authorities()]
    return Answers.of(side_by_side(asking, ASK_SECONDS))


def _ask(request: StreamRequest, did: str, client: AuthorityClient, *, dry_run: bool) -> Answers:
    try:
        answer = client.submit(request.envelope, request.code, request.contact, request.parameters, dry_run=dry_run)
        return judged_answer(request, did, answer, dry_run=dry_run)
    except SlsError as error:
        error.detail.setdefault("authority", did)
        raise


def judged_answer(request: Requested, did: str, answer: SubmitAnswer, *, dry_run: bool) -> Answers:
    """One authority's decisions by alias, and its grants with their envelopes: each about its own inputs, once.

    Raises:
        MalformedDocument, DigestMismatch, SignatureInvalid: they are about something else.
    """
    inputs = {item.asset: item for item in request.spec.inputs_of(did)}
    decided = [(one.asset, one.decision) for one in answer.decisions]
    if sorted(asset for asset, _ in decided) != sorted(inputs):
        raise MalformedDocument(
            "An authority decided about something else.",
            found=", ".join(asset for asset, _ in decided)[:500],
            expected=", ".join(sorted(inputs)),
        )
    decisions = {inputs[asset].alias: _bounded(decision) for asset, decision in decided}
    grants = _grants(request, did, [canonical_model_json(one) for one in answer.grants])
    allowed = not dry_run and all(one.verdict == "allow" for one in decisions.values())
    if sorted(grant.asset for grant, _ in grants) != (sorted(inputs) if allowed else []):
        raise MalformedDocument(
            "An authority's grants do not fit its decisions.",
            found=f"{len(grants)} grants",
            expected=f"{len(inputs)}, one for each of its assets" if allowed else "none",
        )
    return Answers(decisions, tuple(grant for grant, _ in grants), tuple(envelope for _, envelope in grants))


def _bounded(decision: Decision) -> Decision:
    """A decision with as many words as a screen can take: they are another party's.

    Raises:
        MalformedDocument: a request is held up without a reason.
    """
    if decision.verdict != "allow" and not decision.reasons:
        raise MalformedDocument("An authority gives no reason for its decision.", found=decision.verdict)
    some = [
        one.model_copy(update={"text": printable(one.text, MAX_SAID), "fix": printable(one.fix, MAX_SAID)})
        for one in decision.reasons[:MAX_REASONS]
    ]
    return decision.model_copy(update={"reasons": tuple(some)})


def _grants(request: Requested, did: str, envelopes: list[bytes]) -> list[tuple[Grant, bytes]]:
    """The grants of one authority, each for an input of it in this very spec, with their envelopes."""
    inputs = {item.asset: item for item in request.spec.inputs_of(did)}
    found = [(verify(envelope, Grant, verify_signature, did=did), envelope) for envelope in envelopes]
    for grant, _ in found:
        if grant.spec != request.spec.digest or grant.asset not in inputs:
            raise DigestMismatch("An authority granted something else.", found=grant.spec, expected=request.spec.digest)
        _require_within(request, inputs[grant.asset], grant)
    return found


def _require_within(request: Requested, item: AssetInput, grant: Grant) -> None:
    """A grant gives columns that were asked for and that the asset has, to kinds of TEE that were asked for."""
    manifest = verify_manifest(request.manifests[item.asset], item.asset)
    known = None if item.kind != "table" or manifest.arrow_schema is None else manifest.columns
    for asked in (item.columns, known):
        if asked is not None and not set(grant.columns or ()) <= set(asked):
            raise DigestMismatch(
                f"An authority granted other columns of {item.alias} than were asked for.",
                found=", ".join(sorted(set(grant.columns or ()) - set(asked)))[:500],
                expected=", ".join(asked)[:500],
            )
    if not set(grant.tees) <= set(request.spec.tees):
        raise DigestMismatch(
            "An authority granted another TEE than was asked for.",
            found=", ".join(grant.tees)[:500],
            expected=", ".join(request.spec.tees),
        )
