"""One request as an authority shows it, compared piece by piece with what its requester and the owners signed.

An authority is not believed about anything that an approver is shown: who asks, which code, which assets and
columns, whose yes is wanted. What does not fit is refused with a sentence; what cannot be looked up is said.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sls_jupyter.assets.manifest import AssetManifest
from sls_jupyter.authority.answers import RequestDetail, RequestSummary
from sls_jupyter.contract.cells import CellOrder
from sls_jupyter.contract.grants import Approval
from sls_jupyter.contract.proposal import CellText, Proposal, verify_proposal
from sls_jupyter.contract.spec import AssetInput, Kind, StreamSpec
from sls_jupyter.documents import b64decode, digest, lp, verify
from sls_jupyter.errors import DigestMismatch, MalformedDocument, NotAuthorised
from sls_jupyter.identity import Contact, verify_signature
from sls_jupyter.policy.model import OwnerPolicy
from sls_jupyter.session.contacts import Who
from sls_jupyter.session.parameters import read_parameters


@dataclass(frozen=True, slots=True)
class Owned:
    """What an owner signed about an asset; ``policy`` is the one that the manifest names."""

    manifest: AssetManifest
    policy: OwnerPolicy

    @property
    def approvers(self) -> tuple[str, ...]:
        """DIDs of the people whose yes counts."""
        return self.policy.approvers or (self.policy.owner,)


@dataclass(frozen=True, slots=True)
class InputReview:
    """One input of a request: what would leave its owner, from the documents that the owner signed."""

    alias: str  # the variable in the cell
    kind: str
    asset: str
    name: str | None  # as its owner calls it; None: its manifest could not be looked up
    owner: Who
    columns: tuple[str, ...] | None  # of a table, what was asked for and the owner lets go; None: every column
    kinds: tuple[Kind, ...]  # what was asked for and the owner lets out
    text: Mapping[str, str] | None = field(default=None, repr=False)  # files of code that reviewers may read
    confidential: bool = False  # code that they may not, or a table that does not tell its columns


@dataclass(frozen=True, slots=True)
class CellStep:
    """Where the cells of two sessions differ; places count from 0."""

    pairs: tuple[tuple[int, int], ...] = ()  # (here, there): one took the place of the other
    came: tuple[int, ...] = ()  # here, and not there
    gone: tuple[int, ...] = ()  # there, and not here


@dataclass(frozen=True, slots=True)
class Earlier:
    """A request like this one that its authority says was approved or granted."""

    id: str
    state: str
    differences: tuple[str, ...]
    changed: Mapping[int, tuple[str, ...]] = field(default_factory=dict)  # of a session: lines of cells that changed
    texts: tuple[CellText, ...] = field(default=(), repr=False)  # every cell of it, as its requester signed them
    cells: tuple[CellStep, ...] = ()  # of a session: where the cells differ
    besides: tuple[str, ...] = ()  # of ``differences`` those that are not of the code's lines; parameters by cell
    short: str = ""  # all of them in few words


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """A request that waits for somebody, or did. Everything in it fits what was signed.

    In a session ``code`` and ``parameters`` are the newest cell's, and ``before`` has the cells before it.
    """

    id: str  # the terms of what is asked for
    state: str  # at this authority, by its word
    requester: str
    who: Who
    authority: str  # DID of the one that showed it; it decides on some of the inputs
    spec: StreamSpec
    code: str = field(repr=False)  # "" unless ``opened``
    parameters: bytes = field(repr=False)  # as packed; "" unless ``opened``
    inputs: tuple[InputReview, ...]
    mine_to_decide: bool  # this persona is an approver of an input at this authority, by the owner's policy
    doubts: tuple[str, ...] = ()  # what could not be looked up
    created_at: int = 0  # seconds since 1970-01-01 UTC, by the authority's word
    opened: bool = True  # False: one of a list, without its code and parameters
    earlier: Earlier | None = None  # of an open request: one like it that was let run before, with what differs
    order: CellOrder | None = None  # of the newest cell; None: a run
    before: tuple[CellText, ...] = field(default=(), repr=False)  # () unless ``opened``
    approved_cells: int = 0  # from the first on, that were approved before, by the authority's word
    own_cells: int = 0  # the same, by an approval that this persona signed

    @property
    def proposal(self) -> Proposal:
        """What an approval would be of."""
        return Proposal(self.spec, self.order)

    @property
    def texts(self) -> tuple[CellText, ...]:
        """Every cell, in order; of a run its one."""
        return (*self.before, CellText(self.code, self.parameters))

    @property
    def requester_name(self) -> str:
        return str(self.who)

    @property
    def assets(self) -> tuple[str, ...]:
        """Names of the inputs of this authority."""
        mine = {item.alias for item in self.spec.inputs_of(self.authority)}
        return tuple(one.name or f"{one.alias} (not looked up)" for one in self.inputs if one.alias in mine)

    def values(self) -> Mapping[str, Any]:
        """The parameters by name, decoded and not executed.

        Raises:
            MalformedDocument: they are not of the form that can be shown.
        """
        return read_parameters(self.parameters)


@dataclass(frozen=True, slots=True)
class History:
    """What an authority says that was decided before a request."""

    on_assets: tuple[RequestInfo, ...]  # requests for one of the same assets, the newest first
    of_requester: int  # requests of the same requester, for whatever
    first_asked: int  # when the first of these was made, in seconds since 1970-01-01 UTC; 0: none, or not said


def seen_digest(request: RequestInfo, me: str) -> str:
    """Digest of everything that a page is made of which shows this request: what a decision can be held against.

    It tells whether somebody is shown the same again. It is no signature, and what an approval signs are the terms.

    Args:
        me: DID of the persona that is shown it; what one was shown, another does not decide on.
    """
    earlier = request.earlier
    inputs = [
        [one.alias, one.asset, one.name, str(one.owner), one.columns, one.kinds, one.confidential,
         sorted((one.text or {}).items())]
        for one in request.inputs
    ]  # fmt: skip
    made_of = {
        "me": me,
        "id": request.id,
        "state": request.state,
        "who": [request.requester, str(request.who)],
        "authority": request.authority,
        "texts": [[digest(one.code.encode(errors="surrogatepass")), digest(one.parameters)] for one in request.texts],
        "inputs": inputs,
        "mine": request.mine_to_decide,
        "doubts": request.doubts,
        "cells": [request.approved_cells, request.own_cells],
        "earlier": None if earlier is None else [earlier.id, earlier.state, earlier.differences],
    }
    return digest(json.dumps(made_of, sort_keys=True).encode())


def signed_proposal(summary: RequestSummary, authority: str) -> Proposal:
    """What a request asks for, signed, by its id, with inputs of the authority that shows it.

    Raises:
        SlsError: the reason why it is none.
    """
    order = None if summary.order is None else summary.order.encode()
    asked = verify_proposal(summary.spec.encode(), order)
    if asked.terms != summary.id:
        raise DigestMismatch("It has the id of another request.", found=summary.id, expected=asked.terms)
    if not asked.spec.inputs_of(authority):
        raise NotAuthorised("It is about no asset of that authority.", found=authority)
    return asked


@dataclass(frozen=True, slots=True)
class Signed:
    """What of a request its requester signed."""

    asked: Proposal
    said: str  # what they call themselves; "" if they do not say


class SignedOnes:
    """Requests that were verified, by the bytes of their documents: an inbox is listed many times and changes little.

    Which state a request has and when it came is not among them: it is told anew each time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[str, Signed] = {}

    def of(self, summary: RequestSummary, authority: str) -> Signed:
        """A request as it was signed.

        Raises:
            SlsError: as :func:`signed_proposal` and :func:`said_name`; that is not kept.
        """
        key = digest(lp(authority, summary.id, summary.spec, summary.order or "", summary.contact or ""))
        found = self._kept.get(key)
        if found is None:
            asked = signed_proposal(summary, authority)
            contact = None if summary.contact is None else summary.contact.encode()
            found = Signed(asked, said_name(contact, asked.spec.requester))
            if len(self._kept) >= self._most:
                self._kept.clear()
            self._kept[key] = found
        return found


def texts_in(detail: RequestDetail) -> tuple[CellText, ...]:
    """Every cell that an authority shows of a request; nothing is verified."""
    newest = CellText(detail.code, b64decode(detail.parameters))
    return (*(CellText(one.code, b64decode(one.parameters)) for one in detail.before or ()), newest)


def own_approval_of(asked: Proposal, detail: RequestDetail, me: str) -> int:
    """How many of a session's cells, from the first on, this persona has approved, by its own signature.

    That is about the code: the parameters of a cell are in the terms that were signed, and not in what can be compared here.

    Raises:
        SignatureInvalid, MalformedDocument: what the authority shows is no approval of this persona's.
        DigestMismatch: it is about somebody else's request, or about other code.
    """
    if asked.order is None or detail.approval is None:
        return 0
    approval = verify(detail.approval.encode(), Approval, verify_signature, did=me)
    count, codes = detail.approved_cells, tuple(cell.code for cell in asked.cells)
    if approval.requester != asked.spec.requester or count > len(codes) or approval.code[:count] != codes[:count]:
        raise DigestMismatch("It shows an approval of yours that is about something else.", found=approval.terms)
    return count


def said_name(contact: bytes | None, did: str) -> str:
    """What the requester calls themselves, in a contact that they signed; "" without one."""
    return "" if contact is None else verify(contact, Contact, verify_signature, did=did).name


def review(item: AssetInput, spec: StreamSpec, owned: Owned | None, who: Callable[[str], Who]) -> InputReview:
    """What an owner would let go for one input.

    Raises:
        DigestMismatch: the spec says of the asset what its owner did not sign.
    """
    if owned is None:
        return InputReview(item.alias, item.kind, item.asset, None, who(item.owner), item.columns, spec.kinds)
    manifest, policy = owned.manifest, owned.policy
    signed = (manifest.kind, manifest.owner, manifest.authority, manifest.authority_url)
    if signed != (item.kind, item.owner, item.authority, item.authority_url):
        raise DigestMismatch(f"It says of {item.alias} what its owner did not sign.", expected=" ".join(signed[:3]))
    return InputReview(
        alias=item.alias,
        kind=item.kind,
        asset=item.asset,
        name=manifest.name,
        owner=who(item.owner),
        columns=_leaving(item, manifest, policy),
        kinds=tuple(kind for kind in spec.kinds if kind in policy.kinds),
        confidential=manifest.confidential,
    )


def _leaving(item: AssetInput, manifest: AssetManifest, policy: OwnerPolicy) -> tuple[str, ...] | None:
    """The columns of a table that are asked for and may go; ``None``: all, whatever they are called."""
    if item.kind != "table":
        return None
    known = None if manifest.arrow_schema is None else manifest.columns
    found = item.columns if item.columns is not None else policy.columns if policy.columns is not None else known
    if found is None:
        return None
    return tuple(
        name
        for name in found
        if (policy.columns is None or name in policy.columns) and (known is None or name in known)
    )


def checked_files(manifest: AssetManifest, files: Mapping[str, bytes]) -> Mapping[str, str]:
    """The texts of sealed code, each with the digest that its owner signed, in the order of their paths.

    Raises:
        MalformedDocument: the manifest has no digests, or a file is no text.
        DigestMismatch: a file is missing, added or another.
    """
    expected = {one.path: (one.sha256, one.size) for one in manifest.files or ()}
    if {path: (digest(data), len(data)) for path, data in files.items()} != expected:
        raise DigestMismatch("The files are not those that its owner sealed.", expected=", ".join(sorted(expected)))
    try:
        return {path: files[path].decode() for path in sorted(files)}
    except UnicodeDecodeError:
        raise MalformedDocument("A file of it is no text.") from None
