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
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from sls_jupyter.authority import catalogue, decisions, ledger, release, runs
from sls_jupyter.authority.guard import LOOPBACK_NAMES, MAX_BODY_BYTES, Admit, Guard, problem_response, target_of
from sls_jupyter.authority.http_log import MAX_WITNESSES, add_log_files, add_witness_calls
from sls_jupyter.authority.service import Authority
from sls_jupyter.authority.witnessing import own_witness_key
from sls_jupyter.documents import Base64, Digest, b64decode, b64encode
from sls_jupyter.errors import BadInput, MalformedDocument, NotAuthorised, SlsError, UnknownName
from sls_jupyter.identity import verify_token
from sls_jupyter.transparency.note import verifier_key

_CHUNK_BYTES = 1 << 20
__all__ = ["MAX_BODY_BYTES", "create_app"]


class Body(BaseModel):
    """A request's JSON: envelopes are text, binary values base64."""

    model_config = ConfigDict(extra="forbid", strict=True, regex_engine="python-re")


class PublishBody(Body):
    manifest: str
    policy: str
    module: str | None = None
    sealed_keys: Base64


class SubmitBody(Body):
    spec: str
    code: str
    contact: str | None = None
    dry_run: bool = False


class VerdictBody(Body):
    verdict: str


class ReleaseBody(Body):
    spec: str
    asset: Digest
    nonce: Annotated[str, Field(pattern=r"^[0-9a-f]{64}\Z")]
    hpke_public_key: Base64
    evidence: str


class RecordsBody(Body):
    records: str
    receipt: str


class EndBody(Body):
    state: str
    reason: str


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
    return verify_token(
        token,
        audience=authority.did,
        method=request.method,
        path=target_of(request.scope),
        body=await request.body(),
        now=authority.clock(),
    )


Person = Annotated[str, Depends(_caller)]


def create_app(authority: Authority, hosts: Iterable[str] = LOOPBACK_NAMES, *, admit: Admit | None = None) -> FastAPI:
    """The HTTP application of one authority.

    Args:
        hosts: names that it is reached by, see :class:`Guard`; the loopback's by default.
        admit: limits by address, see :class:`Guard`.
    """
    app = FastAPI(
        title="sls authority",
        version=metadata.version("sls-jupyter"),
        redirect_slashes=False,
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
    )
    app.state.authority = authority
    app.add_middleware(Guard, signer=authority.identity, hosts=hosts, admit=admit)  # the outermost
    _add_error_handlers(app)

    _add_catalogue(app, authority)
    _add_requests(app, authority)
    _add_release(app, authority)
    _add_runs(app, authority)
    _add_log(app, authority)
    add_log_files(app, authority)
    add_witness_calls(app, authority)
    return app


def _add_catalogue(app: FastAPI, authority: Authority) -> None:
    @app.get("/v1/authority")
    def about() -> dict[str, Any]:
        return {
            "did": authority.did,
            "origin": authority.origin,
            "owner": authority.owner,
            "owner_contact": authority.owner_contact.decode(),
            "hpke_public_key": b64encode(authority.identity.hpke.public_bytes),
            "log_key": verifier_key(authority.origin, authority.identity.signing.public_bytes),
            "witness_key": own_witness_key(authority),
            "tees": ["simulated-snp"] if authority.anchors.simulated_ark_spki else [],
            "version": app.version,
        }

    @app.get("/v1/assets")
    def list_assets() -> list[dict[str, Any]]:
        with authority.store.read() as connection:
            return [catalogue.to_json(published) for published in catalogue.newest(connection)]

    @app.post("/v1/assets", status_code=201)
    def publish(body: PublishBody, who: Person) -> dict[str, Any]:
        if who != authority.owner:
            raise NotAuthorised("Only the owner publishes here.", found=who, expected=authority.owner)
        asset, entry = catalogue.publish(
            authority, body.manifest.encode(), body.policy.encode(), body.module, b64decode(body.sealed_keys)
        )
        return {"id": asset, "entry": entry}

    @app.get("/v1/assets/{asset}")
    def one(asset: str) -> dict[str, Any]:
        with authority.store.read() as connection:
            return catalogue.to_json(catalogue.find(connection, asset))

    @app.delete("/v1/assets/{asset}")
    def withdraw(asset: str, who: Person, shred: bool = False) -> dict[str, int]:
        return {"entry": catalogue.withdraw(authority, who, asset, shred=shred)}

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
    def submit(body: SubmitBody, who: Person) -> dict[str, Any]:
        contact = None if body.contact is None else body.contact.encode()
        answer = decisions.submit(authority, who, body.spec.encode(), body.code, contact, dry_run=body.dry_run)
        return {
            "request": answer.request,
            "verdict": answer.verdict,
            "decisions": [
                {"asset": asset, "decision": decision.model_dump(mode="json")} for asset, decision in answer.decisions
            ],
            "grants": [json.loads(grant) for grant in answer.grants],
        }

    @app.get("/v1/requests")
    def inbox(who: Person) -> list[dict[str, Any]]:
        return decisions.inbox(authority, who)

    @app.post("/v1/approvals", status_code=201)
    def approve(body: VerdictBody, who: Person) -> dict[str, int]:
        return {"entry": decisions.record_verdict(authority, who, body.verdict.encode(), approved=True)}

    @app.post("/v1/denials", status_code=201)
    def deny(body: VerdictBody, who: Person) -> dict[str, int]:
        return {"entry": decisions.record_verdict(authority, who, body.verdict.encode(), approved=False)}


def _add_release(app: FastAPI, authority: Authority) -> None:
    @app.post("/v1/challenges/{spec}", status_code=201)
    def challenge(spec: str) -> dict[str, str]:
        return {"nonce": release.challenge(authority, spec).hex()}

    @app.post("/v1/release")
    def release_keys(body: ReleaseBody) -> dict[str, Any]:
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
        return {
            "sealed_keys": b64encode(released.sealed_keys),
            "columns": released.columns,
            "entry": released.entry,
            "logged": released.logged.model_dump(mode="json"),
        }


def _add_runs(app: FastAPI, authority: Authority) -> None:
    @app.post("/v1/runs/{spec}/records", status_code=201)
    def records(spec: str, body: RecordsBody) -> dict[str, int]:
        return {"entry": runs.post_records(authority, spec, body.records.encode(), body.receipt.encode())}

    @app.post("/v1/runs/{spec}/end", status_code=201)
    def end(spec: str, body: EndBody, who: Person) -> dict[str, int]:
        return {"entry": runs.report_end(authority, who, spec, body.state, body.reason)}

    @app.get("/v1/runs/{spec}")
    def history(spec: str, who: Person, witnesses: Annotated[int, Query(ge=0, le=MAX_WITNESSES)] = 0) -> dict[str, Any]:
        return runs.history(authority, who, spec, witnesses=witnesses)


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
