"""A request: a signed spec with everything it names by digest, and the authorities' answers to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.contract.grants import Grant
from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.documents import canonical_json, verify
from sls_jupyter.errors import AccessDenied, DigestMismatch, MalformedDocument, SlsError
from sls_jupyter.identity import verify_signature
from sls_jupyter.network import side_by_side
from sls_jupyter.policy.decide import Decision

ASK_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """What the requester has: the contract and its material."""

    spec: StreamSpec
    envelope: bytes  # DSSE of the spec
    code: str
    parameters: bytes
    manifests: Mapping[str, bytes]  # asset id -> DSSE of its manifest
    contact: bytes  # DSSE of the requester's Contact

    def __repr__(self) -> str:
        return f"<StreamRequest {self.spec.digest[7:19]} over {', '.join(item.alias for item in self.spec.inputs)}>"


@dataclass(frozen=True, slots=True)
class Answers:
    """All authorities' decisions on one request."""

    decisions: Mapping[str, Decision]  # alias -> decision
    grants: tuple[Grant, ...] = ()
    grant_envelopes: tuple[bytes, ...] = field(default=(), repr=False)

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
        raise AccessDenied(
            f"The owner's policy does not allow this use of {', '.join(denied)}.",
            found=" ".join(f"{alias}: {reason.text}" for alias, reason in reasons),
            hint=" ".join(dict.fromkeys(reason.fix for _, reason in reasons)),
            detail={"reasons": [{"alias": alias, **reason.model_dump()} for alias, reason in reasons]},
        )


def ask_all(request: StreamRequest, clients: Mapping[str, AuthorityClient], *, dry_run: bool = False) -> Answers:
    """Submit to every authority of the spec, side by side.

    Args:
        clients: authority's DID -> client.

    Raises:
        what an authority raises; its DID is in the error's detail.
    """
    aliases = {item.asset: item.alias for item in request.spec.inputs}
    decisions: dict[str, Decision] = {}
    envelopes: list[bytes] = []

    def ask(did: str) -> dict[str, Any]:
        try:
            return clients[did].submit(request.envelope, request.code, request.contact, dry_run=dry_run)
        except SlsError as error:
            error.detail.setdefault("authority", did)
            raise

    asked = [partial(ask, did) for did, _ in request.spec.authorities()]
    for answer in side_by_side(asked, ASK_SECONDS):
        for one in _decisions(answer):
            decisions[aliases[one[0]]] = one[1]
        envelopes += [canonical_json(grant) for grant in answer["grants"]]
    return Answers(decisions, tuple(_grant(request.spec, envelope) for envelope in envelopes), tuple(envelopes))


def _decisions(answer: dict[str, Any]) -> list[tuple[str, Decision]]:
    try:
        return [
            (str(one["asset"]), Decision.model_validate_json(json.dumps(one["decision"])))
            for one in answer["decisions"]
        ]
    except (KeyError, TypeError, ValueError):
        raise MalformedDocument("An authority's answer is not of the expected form.") from None


def _grant(spec: StreamSpec, envelope: bytes) -> Grant:
    grant = verify(envelope, Grant, verify_signature, did=None)
    if grant.spec != spec.digest or grant.authority not in {did for did, _ in spec.authorities()}:
        raise DigestMismatch("An authority granted something else.", found=grant.spec, expected=spec.digest)
    return grant
