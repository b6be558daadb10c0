"""The inbox: requests that wait for this persona, and its signed answers."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from sls_jupyter.authority.answers import RequestDetail, RequestPage, RequestState, RequestSummary
from sls_jupyter.authority.client import AuthorityClient, check_url
from sls_jupyter.contract.grants import Approval, Denial
from sls_jupyter.contract.proposal import Proposal
from sls_jupyter.contract.spec import AssetInput, verify_stream_spec
from sls_jupyter.documents import sign
from sls_jupyter.errors import (
    BadInput,
    DigestMismatch,
    LogInconsistent,
    MalformedDocument,
    NotAuthorised,
    SignatureInvalid,
    SlsError,
    Unavailable,
    UnknownName,
    printable,
)
from sls_jupyter.identity import Home
from sls_jupyter.network import within
from sls_jupyter.printing import short_digest
from sls_jupyter.session.catalogue import Catalogue
from sls_jupyter.session.differing import Material, earlier_like
from sls_jupyter.session.lookout import Lookout
from sls_jupyter.session.reviewing import (
    Earlier,
    History,
    InputReview,
    Owned,
    RequestInfo,
    Signed,
    SignedOnes,
    checked_files,
    own_approval_of,
    review,
    seen_digest,
    texts_in,
)
from sls_jupyter.session.shown import Shown
from sls_jupyter.transparency.entries import EntryKind

T = TypeVar("T")
__all__ = ["APPROVAL_SECONDS", "Inbox", "InputReview", "RequestInfo"]

APPROVAL_SECONDS = 90 * 86400  # how long an approval holds unless the policy ends earlier
PAGE = 100  # requests of one call
ASIDE_SECONDS = 2.0  # of a look-up at another authority while one is listed, of the EACH_SECONDS that both have
REST_SECONDS = 60.0  # how long one that did not answer such a look-up is not asked again
MAX_DOUBTS = 10  # sentences about one authority
MAX_LISTED = 2_500  # newest requests of one authority that are listed
MAX_OPENED = 50  # of them, those that wait for this persona and are listed with their code
_DECIDED: tuple[RequestState, ...] = ("approved", "denied", "granted")
MAX_REMEMBERED = 1000  # assets whose documents are kept, by digest: they cannot change


@dataclass(frozen=True, slots=True)
class _Summary:
    """A request that an authority shows; what it asks for is verified."""

    client: AuthorityClient
    summary: RequestSummary
    signed: Signed

    @property
    def asked(self) -> Proposal:
        return self.signed.asked


class Inbox(Catalogue):
    """Requests and verdicts."""

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self._owned: dict[str, Owned] = {}  # by the asset's digest
        self._signed_ones = SignedOnes(2 * MAX_LISTED)
        self._doubts: list[str] = []
        self._shown = Shown(home.path / "requests-shown.json")
        self.lookout = Lookout(self)
        self._resting: dict[str, float] = {}  # authorities whose look-ups failed: DID -> when they are asked again

    # --- reading ----------------------------------------------------------------------------------

    def requests(
        self, *, waiting: bool = False, mine: bool = False, by: str = "", opened: bool = True
    ) -> list[RequestInfo]:
        """Requests that wait for this persona, and its own: those that wait for it first, then what waits for others.

        Among these the newest are first. Those that wait for this persona come with their code, ``MAX_OPENED`` of an
        authority at most; :meth:`request` opens any. What an authority shows and nobody signed so is not listed;
        :meth:`doubts` tells of it, and :meth:`silent` of authorities that do not answer as they should.

        Args:
            waiting: only those that somebody has to decide on. mine: only those of this persona. by: only those of
                somebody, by the name that they have here or their DID.
            opened: false leaves the code of all of them where it is, which makes a long list cheap.

        Raises:
            UnknownName, BadInput: nobody, or several, are called so.
        """
        requester = self.find(by) if by else ""
        state: RequestState | None = "open" if waiting else None
        answers = [
            answer
            for _, answer in self._each(
                self.authorities(), lambda client: self._inbox_of(client, state, MAX_OPENED if opened else 0)
            )
        ]
        self._doubts = [doubt for _, doubts in answers for doubt in doubts]
        found = [
            info
            for infos, _ in answers
            for info in infos
            if requester in ("", info.requester)
            and (not mine or info.requester == self.did)
            and (not waiting or info.state == "open")
        ]
        self._shown.add(one.id for one in found if one.mine_to_decide)
        return sorted(found, key=lambda one: (one.state != "open", not one.mine_to_decide, -one.created_at))

    def open_at(
        self, client: AuthorityClient, known: Mapping[str, RequestInfo | None]
    ) -> dict[str, RequestInfo | None]:
        """The open requests that one authority shows, by id, the newest first, without their code.

        ``None`` stands for one that this persona does not decide on, or that nobody signed so.

        Args:
            known: an earlier answer. What it settled is taken from it, and not verified and looked up again.
        """
        found: dict[str, RequestInfo | None] = {}
        after = None
        while len(found) < MAX_LISTED:
            page = _page(client, after, "open")
            for summary in page.requests:
                earlier = known.get(summary.id)
                settled = summary.id in known and (earlier is None or earlier.mine_to_decide)
                found[summary.id] = earlier if settled else self._to_decide(client, summary)
            if page.next is None or not page.requests:
                break
            after = page.next
        return found

    def _to_decide(self, client: AuthorityClient, summary: RequestSummary) -> RequestInfo | None:
        try:
            info = self._listed(_Summary(client, summary, self._signed_ones.of(summary, client.did)))
        except Unavailable:
            raise
        except SlsError:
            return None
        return info if info.mine_to_decide or info.doubts else None  # what was in doubt is looked up again

    def doubts(self) -> tuple[str, ...]:
        """A sentence for each thing that does not fit in what authorities showed when they were listed last."""
        return tuple(dict.fromkeys(self._doubts))

    def request(self, id_: str) -> RequestInfo:
        """The request whose id begins like that, asked for anew, with its code.

        Raises:
            UnknownName: none, or several. Unavailable: none, and an authority that may have it does not answer.
            SlsError: an authority shows it otherwise than it was signed.
        """
        found = self._fitting(id_)[0]
        self._shown.add([found.id])
        return replace(found, earlier=self._earlier(found))

    def history(self, request: RequestInfo, *, most: int = 20) -> History | None:
        """What was decided before: on requests for one of the same assets, and on any of the same requester.

        By the word of the authority that shows this one; when they were decided on is not told. Looked for among the
        newest hundred of each state. ``None`` if it cannot be had: it only helps to read.
        """
        try:
            found = [one for one in self._decided_at(request.authority) if one.id != request.id]
        except (SlsError, ValueError):
            return None
        assets = {(item.owner, item.name) for item in request.inputs if item.name is not None}
        same = [one for one in found if any((item.owner, item.name) in assets for item in one.inputs)]
        theirs = [one.created_at for one in found if one.requester == request.requester]
        first = min(filter(None, theirs), default=0)
        return History(tuple(sorted(same, key=lambda one: -one.created_at)[:most]), len(theirs), first)

    def _decided_at(self, authority: str) -> list[RequestInfo]:
        """Without their code. Raises: the authority does not answer in time."""
        client, found = self._client_of(authority), list[RequestInfo]()
        with within(ASIDE_SECONDS):
            for state in _DECIDED:
                for summary in client.requests(limit=PAGE, state=state).requests:
                    with contextlib.suppress(DigestMismatch, SignatureInvalid, MalformedDocument, NotAuthorised):
                        signed = self._signed_ones.of(summary, client.did)
                        found.append(self._listed(_Summary(client, summary, signed)))
        return found

    def require_seen(self, id_: str, seen: str) -> RequestInfo:
        """The request as it is shown now, if it is what somebody was shown.

        Args:
            id_: the whole number. seen: :func:`~sls_jupyter.session.reviewing.seen_digest` of what they were shown.

        Raises:
            as :meth:`request`. DigestMismatch: something of it is otherwise now, be it that somebody has decided.
        """
        found = self.request(id_)
        if seen_digest(found, self.did) != seen:
            now = (
                f"it is {found.state} now, as its authority says"
                if found.state != "open"
                else "something of it differs"
            )
            raise DigestMismatch(
                "It is not what you were shown any more.", found=now, hint="Open it anew, and read what it is now."
            )
        return found

    def _earlier(self, request: RequestInfo) -> Earlier | None:
        """What a request that waits is to be compared with; ``None`` also if that cannot be had: it only helps to read."""
        if request.state != "open":
            return None
        try:
            client = self._client_of(request.authority)
            with within(ASIDE_SECONDS):
                material = Material(request.spec, request.code, request.parameters, request.order, request.before)
                return earlier_like(client, material)
        except (SlsError, ValueError):  # another party's texts
            return None

    def _fitting(self, id_: str) -> list[RequestInfo]:
        """One request at each authority that shows it; those that this persona decides at, if there are any."""
        wanted, failed = id_.removeprefix("sha256:"), list[SlsError]()

        def fitting(client: AuthorityClient) -> list[RequestInfo]:
            try:
                found = self._opened(client, f"sha256:{wanted}")
                return [found] if found.id[7:].startswith(wanted) else []
            except (UnknownName, Unavailable) as error:
                if isinstance(error, Unavailable):
                    raise
            except SlsError as error:
                failed.append(error)
            return []

        asked = self.authorities() if wanted else []
        found = [one for _, infos in self._each(asked, fitting) for one in infos]
        if not found and failed:
            raise failed[0]
        if len({one.id for one in found}) != 1:
            error = UnknownName(
                "There is no such request." if not found else "Several requests begin like that.",
                found=id_[:80],
                hint=("" if found else self._of_run(id_)) or "%sls requests lists them.",
            )
            raise error if found else self._unknown(error)
        return [one for one in found if one.mine_to_decide] or found

    def _of_run(self, id_: str) -> str:
        """Which request a run of this persona made, if this is the id of one."""
        name = short_digest(id_)
        path = self.home.folder("runs") / name / "spec.json"
        if re.fullmatch(r"[0-9a-f]{12}", name) is None or not path.exists():
            return ""
        spec = verify_stream_spec(path.read_bytes(), did=self.did)
        return f"That is a run; its request is {short_digest(spec.terms)}: %sls show {short_digest(spec.terms)}"

    def _inbox_of(
        self, client: AuthorityClient, state: RequestState | None, most_opened: int
    ) -> tuple[list[RequestInfo], list[str]]:
        """What one authority shows that verifies, and a sentence for each thing that does not."""
        doubts: list[str] = []
        found: list[RequestInfo] = []
        opened = 0
        for shown in self._shown_by(client, doubts, state):
            try:
                info = self._listed(shown)
                if info.mine_to_decide and info.state == "open" and opened < most_opened:
                    info, opened = self._opened(client, info.id), opened + 1
                found.append(info)
            except Unavailable:
                raise
            except SlsError as error:
                doubts.append(self._doubt(client, error))
        doubts = list(dict.fromkeys(doubts))
        left = len(doubts) - MAX_DOUBTS
        more = [f"{self._label(client)} shows {left} more that nobody signed so."] if left > 0 else []
        return found, [*doubts[:MAX_DOUBTS], *more]

    def _shown_by(self, client: AuthorityClient, doubts: list[str], state: RequestState | None) -> Iterator[_Summary]:
        """The requests that one authority shows, newest first, each with a signed spec about its assets."""
        after, count, seen = None, 0, set[str]()
        while count < MAX_LISTED:
            try:
                page = _page(client, after, state)
            except Unavailable:
                if not seen:
                    raise
                doubts.append(
                    f"{self._label(client)} did not tell of all its requests in time; the newest {count} are listed."
                )
                return
            for summary in page.requests:
                count += 1
                try:
                    signed = self._signed_ones.of(summary, client.did)
                except SlsError as error:
                    doubts.append(self._doubt(client, error))
                    continue
                if summary.id not in seen:
                    seen.add(summary.id)
                    yield _Summary(client, summary, signed)
            if page.next is None or not page.requests:
                return
            after = page.next
        doubts.append(f"{self._label(client)} has more than {MAX_LISTED} requests; the newest are listed.")

    def _doubt(self, client: AuthorityClient, error: SlsError) -> str:
        return f"{self._label(client)} shows a request that nobody signed so: {_line(error)}"

    def _label(self, client: AuthorityClient) -> str:
        owner = self.who(client.facts.owner, client.facts.owner_contact.name)
        return f"{owner}'s authority" if owner.petname is not None else f"The authority of {owner}"

    # --- judging ----------------------------------------------------------------------------------

    def _listed(self, shown: _Summary) -> RequestInfo:
        """A request without its code."""
        spec, summary, authority = shown.asked.spec, shown.summary, shown.client.did
        doubts: list[str] = []
        owned = {item.alias: self._owned_by(item, shown.client, doubts) for item in spec.inputs}
        mine = any((one := owned[item.alias]) and self.did in one.approvers for item in spec.inputs_of(authority))
        return RequestInfo(
            id=shown.asked.terms,
            state=summary.state,
            requester=spec.requester,
            who=self.who(spec.requester, shown.signed.said),
            authority=authority,
            spec=spec,
            code="",
            parameters=b"",
            inputs=tuple(review(item, spec, owned[item.alias], self.who) for item in spec.inputs),
            mine_to_decide=mine,
            doubts=tuple(doubts),
            created_at=summary.created_at,
            opened=False,
            order=shown.asked.order,
        )

    def _opened(self, client: AuthorityClient, terms: str) -> RequestInfo:
        """The request whose terms begin like that, as the authority shows it now, with its code, its parameters and the texts of its code assets."""
        detail: RequestDetail = client.request(terms)
        signed, texts = self._signed_ones.of(detail, client.did), texts_in(detail)
        asked = signed.asked
        if not asked.terms.startswith(terms):
            raise DigestMismatch("An authority shows another request.", found=asked.terms, expected=terms)
        asked.require_texts(texts)
        own = own_approval_of(asked, detail, self.did)
        listed = self._listed(_Summary(client, detail, signed))
        doubts, items = list(listed.doubts), asked.spec.inputs
        inputs = tuple(
            self._with_text(one, item, client, doubts) for one, item in zip(listed.inputs, items, strict=True)
        )
        return replace(
            listed,
            code=texts[-1].code,
            parameters=texts[-1].parameters,
            before=texts[:-1],
            approved_cells=min(detail.approved_cells, len(asked.cells)),
            own_cells=own,
            inputs=inputs,
            doubts=tuple(doubts),
            opened=True,
        )

    def _with_text(self, one: InputReview, item: AssetInput, listed: AuthorityClient, doubts: list[str]) -> InputReview:
        """Open code that reviewers may read; that it cannot be opened is a doubt."""
        owned, client = self._owned.get(item.asset), self._known_authority(item.authority)
        if item.kind != "code" or one.confidential or owned is None or client is None:
            return one
        try:
            files = self._asked_beside(client, listed, lambda: client.files(item.asset))
            return replace(one, text=checked_files(owned.manifest, files))
        except SlsError as error:
            doubts.append(f"The code of {item.alias} cannot be shown: {_line(error)}")
            return one

    def _owned_by(self, item: AssetInput, listed: AuthorityClient, doubts: list[str]) -> Owned | None:
        """What the owner signed about an input; that it cannot be had is a doubt."""
        try:
            return self._owned.get(item.asset) or self._look_up_owned(item, listed)
        except SlsError as error:
            doubts.append(f"What {item.alias} is could not be looked up: {_line(error)}")
            return None

    def _look_up_owned(self, item: AssetInput, listed: AuthorityClient) -> Owned:
        client = self._known_authority(item.authority)
        if client is None:  # the URL in the spec is a stranger's word: it is not asked
            raise UnknownName(f"You are not connected to its authority, {_place(item)}.")
        info = self._asked_beside(client, listed, lambda: self._info(client, client.asset(item.asset), {}))
        if info.id != item.asset:
            raise DigestMismatch("Its authority shows another asset.", found=info.id, expected=item.asset)
        if len(self._owned) >= MAX_REMEMBERED:
            self._owned.clear()
        return self._owned.setdefault(item.asset, Owned(info.manifest, info.policy))

    def _asked_beside(self, client: AuthorityClient, listed: AuthorityClient, call: Callable[[], T]) -> T:
        """What an authority says of an input of a request that the authority ``listed`` shows.

        If it is another one, a stranger's request named it: it may take a part of the time, once, and then it is
        left alone for a while, so that it ends nobody's inbox.
        """
        if client.did == listed.did:
            return call()
        if time.monotonic() < self._resting.get(client.did, 0.0):
            raise Unavailable("Its authority did not answer a moment ago.", found=client.url)
        try:
            with within(ASIDE_SECONDS):
                return call()
        except Unavailable:
            self._resting[client.did] = time.monotonic() + REST_SECONDS
            raise

    def _known_authority(self, did: str) -> AuthorityClient | None:
        place = next((one for one in self._places().values() if one.did == did), None)
        return None if place is None else self._client(place.url, did)

    # --- deciding ---------------------------------------------------------------------------------

    def _mine(self, id_: str) -> list[RequestInfo]:
        """A request as it is shown now, at each authority where the owner's policy lets this persona decide."""
        found = self._fitting(id_)
        self._shown.require(id_, found[0].id)
        if not all(one.mine_to_decide for one in found):
            raise NotAuthorised(
                "The owner's policy does not name you as an approver.",
                found=self.did,
                hint=" ".join(dict.fromkeys(doubt for one in found for doubt in one.doubts)),
            )
        return found

    def approve(self, id_: str, reason: str = "", *, expires_in: int = APPROVAL_SECONDS) -> int:
        """Approve a request on its terms, which are looked up anew; returns the index of the proven log entry.

        The approval holds for every run with the same code, assets, columns, parameters, outputs and
        recipients by the same requester, and no higher limits, until it expires. Of a session's cells it holds for
        each beginning of them.

        Raises:
            as :meth:`request`. LogInconsistent: the authority's log does not hold the approval that it took.
        """
        found, now, entry = self._mine(id_), int(time.time()), -1
        for request in found:
            approval = Approval(
                approver=self.did,
                authority=request.authority,
                terms=request.proposal.terms,
                code=request.proposal.code_digests,
                requester=request.requester,
                reason=reason,
                issued_at=now,
                expires_at=now + expires_in,
            )
            client = self._client_of(request.authority)
            entry = self._require_logged(client, client.approve(sign(approval, self.identity)), "approval.given")
        return entry

    def deny(self, id_: str, reason: str) -> int:
        """Deny a request; the requester reads the reason. Returns the index of the proven log entry."""
        if not reason.strip():
            raise BadInput("A denial needs a reason; the requester will read it.", hint='--reason "…"')
        found, entry = self._mine(id_), -1
        for request in found:
            denial = Denial(
                approver=self.did,
                authority=request.authority,
                terms=request.proposal.terms,
                requester=request.requester,
                reason=reason,
                issued_at=int(time.time()),
            )
            client = self._client_of(request.authority)
            entry = self._require_logged(client, client.deny(sign(denial, self.identity)), "denial.given")
        return entry

    def _require_logged(self, client: AuthorityClient, index: int, kind: EntryKind) -> int:
        _, entry = self._prove(client, index)
        if entry.kind != kind:
            raise LogInconsistent(
                "The log has something else there.", found=f"entry {index}: {entry.kind}", expected=kind
            )
        return index


def _page(client: AuthorityClient, after: int | None, state: RequestState | None) -> RequestPage:
    try:
        return client.requests(after=after, limit=PAGE, state=state)
    except UnknownName as error:  # it names a call that every authority has
        raise MalformedDocument("An authority has no inbox.", found=_line(error)) from None


def _place(item: AssetInput) -> str:
    """Where a request says that an authority is. A command is only made of it if it is one word of it: a URL."""
    try:
        url = check_url(item.authority_url)
    except BadInput:
        return f"{item.authority}, and the request names no URL of it"
    return f"which the request says is there: %sls connect {url}#{item.authority}"


def _line(error: SlsError) -> str:
    """What went wrong, in one line: an authority may have worded it."""
    return printable(error.sentence[:400])
