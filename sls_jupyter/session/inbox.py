"""The inbox: requests that wait for this persona, and its signed answers."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

from sls_jupyter.authority.answers import RequestDetail
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.contract.grants import Approval, Denial
from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.documents import sign, verify
from sls_jupyter.errors import BadInput, UnknownName
from sls_jupyter.identity import Contact, verify_signature
from sls_jupyter.session.directory import Directory

MAX_LISTED = 200
APPROVAL_SECONDS = 90 * 86400  # how long an approval holds unless the policy ends earlier


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """A request that waits for somebody, or did."""

    id: str
    state: str
    requester: str
    requester_name: str
    authority: str
    code: str
    spec: StreamSpec
    assets: tuple[str, ...]
    mine_to_decide: bool


class Inbox(Directory):
    """Requests and verdicts."""

    def requests(self) -> list[RequestInfo]:
        """Requests that wait for this persona, and its own; newest first."""
        found = list[RequestInfo]()
        for client in self.authorities():
            owner, after, more = client.facts.owner, None, True
            with self._unless_silent(client):
                while more and len(found) < MAX_LISTED:
                    page = client.requests(after=after)
                    found += [self._info_of(client, client.request(one.id), owner) for one in page.requests]
                    after, more = page.next, page.next is not None
        return found

    def _info_of(self, client: AuthorityClient, told: RequestDetail, owner: str) -> RequestInfo:
        spec = verify(told.spec.encode(), StreamSpec, verify_signature, did=None)
        contact = None if told.contact is None else told.contact.encode()
        name = "" if contact is None else verify(contact, Contact, verify_signature, did=spec.requester).name
        return RequestInfo(
            id=told.id,
            state=told.state,
            requester=spec.requester,
            requester_name=name or spec.requester,
            authority=client.did,
            code=told.code,
            spec=spec,
            assets=tuple(item.alias for item in spec.inputs_of(client.did)),
            mine_to_decide=spec.requester != self.did or owner == self.did,
        )

    def request(self, id_: str) -> RequestInfo:
        """The request whose id begins like that.

        Raises:
            UnknownName: none, or several. Unavailable: none, and an authority that may have it does not answer.
        """
        wanted = id_.removeprefix("sha256:")
        fitting = []
        for client in self.authorities() if wanted else []:
            with contextlib.suppress(UnknownName), self._unless_silent(client):
                fitting.append(self._info_of(client, client.request(f"sha256:{wanted}"), client.facts.owner))
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
