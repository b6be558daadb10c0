"""The authority's HTTP door: parse, call one function, answer in one shape.

Every error is an ``application/problem+json`` object made by :func:`sls_jupyter.errors.to_problem`.
Callers show who they are by a token made for exactly one call (:func:`identity.make_token`); the
guest has no identity and shows evidence instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from importlib import metadata
from typing import Annotated, Any, BinaryIO

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from pydantic import Field
from starlette.exceptions import HTTPException

from sls_jupyter.authority import catalogue, cells, decisions, inbox, ledger, release, runs
from sls_jupyter.authority.answers import (
    MAX_EXTENDS,
    MAX_PAGE,
    MAX_RECEIPT_WAIT,
    MAX_ROOTS,
    About,
    AssetAnswer,
    ChallengeAnswer,
    DecisionAnswer,
    EntryAnswer,
    FileAnswer,
    FilesAnswer,
    HistoryAnswer,
    MutedAnswer,
    MutesAnswer,
    PublishAnswer,
    ReleaseAnswer,
    RequestDetail,
    RequestPage,
    RequestState,
    SubmitAnswer,
    WithdrawAnswer,
)
from sls_jupyter.authority.arrivals import Arrivals, Look
from sls_jupyter.authority.code_files import open_files
from sls_jupyter.authority.guard import LOOPBACK_NAMES, MAX_BODY_BYTES, Admit, Guard, problem_response, target_of
from sls_jupyter.authority.http_log import MAX_WITNESSES, add_log_files, add_witness_calls
from sls_jupyter.authority.limits import DID_LIMIT, Buckets, by_address
from sls_jupyter.authority.questions import (
    CellsBody,
    EndBody,
    MuteBody,
    PublishBody,
    RecordsBody,
    ReleaseBody,
    SubmitBody,
    VerdictBody,
)
from sls_jupyter.authority.service import Authority
from sls_jupyter.authority.verdicts import record_verdict
from sls_jupyter.authority.witnessing import own_witness_key
from sls_jupyter.contract.proposal import CellText
from sls_jupyter.contract.spec import MAX_CELLS
from sls_jupyter.documents import b64decode, b64encode
from sls_jupyter.errors import BadInput, MalformedDocument, NotAuthorised, SlsError, UnknownName
from sls_jupyter.identity import verify_token
from sls_jupyter.transparency.checkpoint import MAX_TREE_SIZE
from sls_jupyter.transparency.note import verifier_key

_CHUNK_BYTES = 1 << 20
# What callers send and what goes wrong is for nobody's collector, whatever another library of this process configures.
# Older versions of FastAPI, which collect nothing, take the option for a note.
_NO_TELEMETRY: Any = dict.fromkeys(("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False)
__all__ = ["MAX_BODY_BYTES", "create_app"]


def _add_error_handlers(app: FastAPI) -> None:
    def ours(_: Request, error: Exception) -> JSONResponse:
        return problem_response(error if isinstance(error, SlsError) else SlsError("Unknown error."))

    def invalid(_: Request, error: Exception) -> JSONResponse:
        first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": ""}
        where = ".".join(str(part) for part in first["loc"])
        return problem_response(
            MalformedDocument("The request is not of the expected form.", found=f"{where}: {first['msg']}")
        )

    def http(_: Request, error: Exception) -> JSONResponse:
        status = error.status_code if isinstance(error, HTTPException) else 500
        detail = str(error.detail) if isinstance(error, HTTPException) else "Unknown error."
        cls = UnknownName if status == 404 else BadInput
        return problem_response(cls(detail, hint="The API is described at /openapi.json."), status)

    app.add_exception_handler(SlsError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)


async def _caller(request: Request) -> str:
    """The DID of whoever signed this call's token."""
    authority: Authority = request.app.state.authority
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise NotAuthorised("This call needs a token.", hint="Sign one for this call with your identity.")
    did = verify_token(
        token,
        audience=authority.did,
        method=request.method,
        path=target_of(request.scope),
        body=await request.body(),
        now=authority.clock(),
    )
    if did != authority.owner:  # no flood keeps an owner from deciding
        request.app.state.by_did.take(did)
    return did


Person = Annotated[str, Depends(_caller)]
TreeSize = Annotated[int, Field(ge=1, le=MAX_TREE_SIZE)]


def create_app(authority: Authority, hosts: Iterable[str] = LOOPBACK_NAMES, *, admit: Admit | None = None) -> FastAPI:
    """The HTTP application of one authority.

    Args:
        hosts: names that it is reached by, see :class:`Guard`; the loopback's by default.
        admit: limits by address, see :class:`Guard`; :func:`limits.by_address` by default.
    """
    app = FastAPI(
        title="sls authority",
        version=metadata.version("sls-jupyter"),
        redirect_slashes=False,
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
        telemetry=_NO_TELEMETRY,
    )
    app.state.authority = authority
    app.state.by_did = Buckets(*DID_LIMIT)
    app.state.arrivals = Arrivals()
    app.add_middleware(Guard, signer=authority.identity, hosts=hosts, admit=admit or by_address())  # the outermost
    _add_error_handlers(app)

    _add_catalogue(app, authority)
    _add_parts(app, authority)
    _add_requests(app, authority)
    _add_release(app, authority)
    _add_runs(app, authority)
    _add_log(app, authority)
    add_log_files(app, authority)
    add_witness_calls(app, authority)
    return app


def _add_catalogue(app: FastAPI, authority: Authority) -> None:
    @app.get("/v1/authority")
    def about() -> About:
        return About(
            did=authority.did,
            origin=authority.origin,
            owner=authority.owner,
            owner_contact=authority.owner_contact.decode(),
            appointment=authority.appointment.decode(),
            hpke_public_key=b64encode(authority.identity.hpke.public_bytes),
            log_key=verifier_key(authority.origin, authority.identity.signing.public_bytes),
            witness_key=own_witness_key(authority),
            tees=authority.anchors.kinds,
            simulated_roots=_told_roots(authority),
            version=app.version,
        )

    @app.get("/v1/assets")
    def list_assets(
        name: Annotated[str | None, Query(max_length=100)] = None,
        after: Annotated[str, Query(max_length=100)] = "",
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = MAX_PAGE,
    ) -> list[AssetAnswer]:
        with authority.store.read() as connection:
            return catalogue.newest(connection, name=name, after=after, limit=limit)

    @app.post("/v1/assets", status_code=201)
    def publish(body: PublishBody, who: Person) -> PublishAnswer:
        if who != authority.owner:
            raise NotAuthorised("Only the owner publishes here.", found=who, expected=authority.owner)
        asset, entry = catalogue.publish(
            authority, body.manifest.encode(), body.policy.encode(), body.module, b64decode(body.sealed_keys)
        )
        return PublishAnswer(id=asset, entry=entry)

    @app.get("/v1/assets/{asset}")
    def one(asset: str) -> AssetAnswer:
        with authority.store.read() as connection:
            return catalogue.told(connection, catalogue.resolve(connection, asset))

    @app.delete("/v1/assets/{asset}")
    def withdraw(
        asset: str, who: Person, shred: bool = False, every: Annotated[bool, Query(alias="all")] = False
    ) -> WithdrawAnswer:
        done = catalogue.withdraw(authority, who, asset, shred=shred, all_versions=every)
        return WithdrawAnswer(entry=done.entry, closed=done.closed, versions=done.versions, shredded=done.shredded)


def _told_roots(authority: Authority) -> tuple[str, ...] | None:
    """The simulated roots that it believes; an authority that believes too many for an answer does not say which."""
    roots = sorted(pin.hex() for pin in authority.anchors.simulated_ark_spki)
    return tuple(roots) if len(roots) <= MAX_ROOTS else None


def _add_parts(app: FastAPI, authority: Authority) -> None:
    @app.get("/v1/assets/{asset}/files")
    def files(asset: str, who: Person) -> FilesAnswer:
        found = open_files(authority, who, asset)
        return FilesAnswer(
            files=tuple(FileAnswer(path=path, content=b64encode(data)) for path, data in sorted(found.items()))
        )

    @app.get("/v1/assets/{asset}/parts/{name}")
    def part(asset: str, name: str, request: Request) -> Response:
        file, size = catalogue.open_part(authority, asset, name)
        try:
            first, last = _byte_range(request.headers.get("range"), size)
        except HTTPException:
            file.close()
            raise
        headers = {"Content-Length": str(last - first + 1), "Accept-Ranges": "bytes"}
        status = 200
        if request.headers.get("range"):
            status, headers["Content-Range"] = 206, f"bytes {first}-{last}/{size}"
        return StreamingResponse(_read(file, first, last), status, headers, "application/octet-stream")


def _byte_range(header: str | None, size: int) -> tuple[int, int]:
    """The one range ``bytes=first-last`` of RFC 9110, section 14.1.2."""
    if header is None:
        return 0, size - 1
    found = re.fullmatch(r"bytes=([0-9]{1,18})-([0-9]{1,18})", header)
    if found is None or not int(found[1]) <= int(found[2]) < size:
        raise HTTPException(416, "The range is not within the part.")
    return int(found[1]), int(found[2])


def _read(file: BinaryIO, first: int, last: int) -> Iterator[bytes]:
    with file:
        file.seek(first)
        left = last - first + 1
        while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
            left -= len(chunk)
            yield chunk


def _add_requests(app: FastAPI, authority: Authority) -> None:
    @app.post("/v1/requests")
    def submit(body: SubmitBody, who: Person) -> SubmitAnswer:
        contact = None if body.contact is None else body.contact.encode()
        parameters = None if body.parameters is None else b64decode(body.parameters)
        answer = decisions.submit(
            authority, who, body.spec.encode(), body.code, contact, parameters, dry_run=body.dry_run
        )
        return _told_answer(answer)

    @app.post("/v1/cells")
    def submit_cell(body: CellsBody, who: Person) -> SubmitAnswer:
        texts = (None if one is None else CellText(one.code, b64decode(one.parameters)) for one in body.cells)
        contact = None if body.contact is None else body.contact.encode()
        orders = tuple(order.encode() for order in body.orders)
        sent = cells.Submission(body.spec.encode(), orders, tuple(texts), contact)
        return _told_answer(cells.submit(authority, who, sent, dry_run=body.dry_run))

    @app.get("/v1/requests")
    def page(
        who: Person,
        after: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = MAX_PAGE,
        state: RequestState | None = None,
    ) -> RequestPage:
        return inbox.page(authority, who, after=after, limit=limit, state=state)

    @app.get("/v1/requests/{terms}")
    def request(terms: str, who: Person) -> RequestDetail:
        return inbox.one(authority, who, terms)

    @app.post("/v1/approvals", status_code=201)
    def approve(body: VerdictBody, who: Person) -> EntryAnswer:
        return EntryAnswer(entry=record_verdict(authority, who, body.verdict.encode(), approved=True))

    @app.post("/v1/denials", status_code=201)
    def deny(body: VerdictBody, who: Person) -> EntryAnswer:
        return EntryAnswer(entry=record_verdict(authority, who, body.verdict.encode(), approved=False))

    @app.get("/v1/mutes")
    def muted(who: Person) -> MutesAnswer:
        return MutesAnswer(muted=inbox.muted(authority, who))

    @app.post("/v1/mutes", status_code=201)
    def mute(body: MuteBody, who: Person) -> MutedAnswer:
        return MutedAnswer(dropped=inbox.mute(authority, who, body.did))

    @app.delete("/v1/mutes/{did}", status_code=204)
    def unmute(did: str, who: Person) -> None:
        inbox.unmute(authority, who, did)


def _told_answer(answer: inbox.Answer) -> SubmitAnswer:
    return SubmitAnswer(
        request=answer.request,
        verdict=answer.verdict,
        decisions=tuple(DecisionAnswer(asset=asset, decision=one) for asset, one in answer.decisions),
        grants=tuple(json.loads(grant) for grant in answer.grants),
        cell_grant=None if answer.cell_grant is None else json.loads(answer.cell_grant),
    )


def _add_release(app: FastAPI, authority: Authority) -> None:
    @app.post("/v1/challenges/{spec}", status_code=201)
    def challenge(spec: str) -> ChallengeAnswer:
        return ChallengeAnswer(nonce=release.challenge(authority, spec).hex())

    @app.post("/v1/release")
    def release_keys(body: ReleaseBody) -> ReleaseAnswer:
        released = release.release(
            authority,
            release.ReleaseRequest(
                spec_envelope=body.spec.encode(),
                asset=body.asset,
                nonce=bytes.fromhex(body.nonce),
                hpke_public_key=b64decode(body.hpke_public_key),
                evidence=body.evidence.encode(),
            ),
        )
        return ReleaseAnswer(
            sealed_keys=b64encode(released.sealed_keys),
            columns=released.columns,
            entry=released.entry,
            logged=released.logged,
            sealed_pass=None if released.sealed_pass is None else b64encode(released.sealed_pass),
        )


def _add_runs(app: FastAPI, authority: Authority) -> None:
    @app.post("/v1/runs/{spec}/records", status_code=201)
    def records(spec: str, body: RecordsBody) -> EntryAnswer:
        entry = runs.post_records(authority, spec, body.records.encode(), body.receipt.encode())
        app.state.arrivals.tell(spec)
        return EntryAnswer(entry=entry)

    @app.post("/v1/runs/{spec}/end", status_code=201)
    def end(spec: str, body: EndBody, who: Person) -> EntryAnswer:
        return EntryAnswer(entry=runs.report_end(authority, who, spec, body.state, body.reason))

    @app.get("/v1/runs/{spec}", response_model=HistoryAnswer)
    async def history(
        spec: str,
        who: Person,
        witnesses: Annotated[int, Query(ge=0, le=MAX_WITNESSES)] = 0,
        cell: Annotated[int | None, Query(ge=1, le=MAX_CELLS)] = None,
        receipt_within: Annotated[int | None, Query(ge=0, le=MAX_RECEIPT_WAIT)] = None,
        extends: Annotated[list[TreeSize] | None, Query(max_length=MAX_EXTENDS)] = None,
    ) -> Response:
        def look() -> Look:  # in a thread, the writing of the answer too: it may be large
            found = runs.history(
                authority,
                who,
                spec,
                witnesses=witnesses,
                cell=cell,
                with_receipt=receipt_within is not None,
                extends=extends or (),
            )
            return Look(found.receipt is not None, found.model_dump_json().encode())

        arrivals: Arrivals = app.state.arrivals
        found = await arrivals.wait(spec, look, receipt_within or 0)
        return Response(found.answer, media_type="application/json")


def _add_log(app: FastAPI, authority: Authority) -> None:
    @app.get("/v1/log/checkpoint", response_class=PlainTextResponse)
    def checkpoint() -> bytes:
        with authority.store.read() as connection:
            return ledger.checkpoint(connection, authority)

    @app.get("/v1/log/proof/{index}")
    def proof(index: int, witnesses: Annotated[int, Query(ge=0, le=MAX_WITNESSES)] = 0) -> dict[str, Any]:
        with authority.store.read() as connection:
            return ledger.prove(connection, authority, index, witnesses=witnesses).model_dump(mode="json")

    @app.delete("/v1/log/entries/{index}/meaning", status_code=204)
    def forget(index: int, who: Person) -> None:
        ledger.forget(authority, who, index)

    @app.get("/v1/log/consistency/{old}/{new}")
    def consistency(old: int, new: int) -> list[str]:
        with authority.store.read() as connection:
            return [b64encode(item) for item in ledger.consistency(connection, authority, old, new)]
