"""The inbox: requests that wait for this persona, and its signed answers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sls_jupyter.contract.grants import Approval, Denial
from sls_jupyter.contract.spec import AssetInput, StreamSpec
from sls_jupyter.documents import b64decode, sign, verify
from sls_jupyter.errors import BadInput, UnknownName
from sls_jupyter.identity import verify_signature
from sls_jupyter.session.contacts import Who
from sls_jupyter.session.directory import Directory

APPROVAL_SECONDS = 90 * 86400  # how long an approval holds unless the policy ends earlier


@dataclass(frozen=True, slots=True)
class InputReview:
    """One asset of a request, as its owner signed it."""

    alias: str
    kind: str
    asset: str  # digest of the manifest
    name: str | None  # from the verified manifest; None: it could not be looked up
    owner: Who
    columns: tuple[str, ...] | None  # that would leave the owner; None: not known
    kinds: tuple[str, ...]  # of output that this owner lets out of this request
    text: Mapping[str, str] | None  # files of a non-confidential code asset, digests checked
    confidential: bool


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """A request that waits for somebody, or did."""

    id: str
    state: str
    requester: str
    who: Who
    authority: str
    spec: StreamSpec
    code: str
    parameters: bytes
    inputs: tuple[InputReview, ...]
    mine_to_decide: bool
    doubts: tuple[str, ...]


class Inbox(Directory):
    """Requests and verdicts."""

    def requests(self) -> list[RequestInfo]:
        """Requests that wait for this persona, and its own; newest first."""
        found = []
        for client in self.authorities():
            owner, values = client.facts.owner, list[dict[str, Any]]()
            with self._unless_silent(client):
                values = client.requests()
            for value in values:
                spec = verify(str(value["spec"]).encode(), StreamSpec, verify_signature, did=None)
                found.append(
                    RequestInfo(
                        id=str(value["id"]),
                        state=str(value["state"]),
                        requester=spec.requester,
                        who=Who(spec.requester, None, str(value["requester_name"])),
                        authority=str(value["authority"]),
                        spec=spec,
                        code=str(value["code"]),
                        parameters=b64decode(str(value.get("parameters", ""))),
                        inputs=tuple(self._review(item, spec) for item in spec.inputs),
                        mine_to_decide=spec.requester != self.did or owner == self.did,
                        doubts=(),
                    )
                )
        return found

    def _review(self, item: AssetInput, spec: StreamSpec) -> InputReview:
        who = Who(item.owner, self.names().get(item.owner))
        return InputReview(item.alias, item.kind, item.asset, None, who, item.columns, spec.kinds, None, False)

    def doubts(self) -> list[str]:
        """Sentences about requests that an authority shows and that do not verify."""
        return []

    def request(self, id_: str) -> RequestInfo:
        """The request whose id begins like that.

        Raises:
            UnknownName: none, or several. Unavailable: none, and an authority that may have it does not answer.
        """
        wanted = id_.removeprefix("sha256:")
        fitting = [one for one in self.requests() if wanted and one.id.removeprefix("sha256:").startswith(wanted)]
        mine = [one for one in fitting if one.mine_to_decide] or fitting
        if len(mine) != 1:
            error = UnknownName(
                "There is no such request." if not mine else "Several requests begin like that.",
                found=id_[:80],
                hint="%sls requests lists them.",
            )
            raise error if mine else self._unknown(error)
        return mine[0]

    def approve(self, id_: str, reason: str = "", *, expires_in: int = APPROVAL_SECONDS) -> int:
        """Approve a request on its terms; returns the index of the log entry.

        The approval holds for every run with the same code, assets, columns, parameters, outputs and
        recipients by the same requester, until it expires.
        """
        request, now = self.request(id_), int(time.time())
        approval = Approval(
            approver=self.did,
            authority=request.authority,
            terms=request.spec.terms,
            code=request.spec.code_digests,
            requester=request.requester,
            reason=reason,
            issued_at=now,
            expires_at=now + expires_in,
        )
        return self._client_of(request.authority).approve(sign(approval, self.identity))

    def deny(self, id_: str, reason: str) -> int:
        """Deny a request; the requester reads the reason. Returns the index of the log entry."""
        if not reason.strip():
            raise BadInput("A denial needs a reason; the requester will read it.", hint='--reason "…"')
        request = self.request(id_)
        denial = Denial(
            approver=self.did,
            authority=request.authority,
            terms=request.spec.terms,
            requester=request.requester,
            reason=reason,
            issued_at=int(time.time()),
        )
        return self._client_of(request.authority).deny(sign(denial, self.identity))
