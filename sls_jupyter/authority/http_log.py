"""The log as files over HTTP (C2SP ``tlog-tiles``), and the calls of witnesses (C2SP ``tlog-witness``).

The log's URL prefix is ``/log``: other people's clients find ``/log/checkpoint``, ``/log/tile/0/000`` and
so on there. Tiles never change, so they may be kept for ever; the checkpoint must not be.
"""

from __future__ import annotations

import gzip
from typing import Annotated

from fastapi import FastAPI, Header, Path, Query, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from sls_jupyter.authority import ledger, witnessing
from sls_jupyter.authority.service import Authority
from sls_jupyter.errors import LogInconsistent, SignatureInvalid, SlsError, to_problem
from sls_jupyter.transparency.tiles import Tile
from sls_jupyter.transparency.witness import SIZE_TYPE

TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
FOR_EVER = "public, max-age=31536000, immutable"
NOT_KEPT = "no-cache"
MAX_WITNESSES = 64


def add_log_files(app: FastAPI, authority: Authority) -> None:
    """The read-only files of the log."""

    @app.get("/log/checkpoint")
    def checkpoint(witnesses: Annotated[int, Query(ge=0, le=MAX_WITNESSES)] = 0) -> Response:
        with authority.store.read() as connection:
            note = ledger.witnessed(connection, authority, witnesses)
        return Response(note, headers={"Cache-Control": NOT_KEPT, "Content-Type": TEXT})

    @app.get("/log/{path:path}")
    def tile(path: str, accept_encoding: Annotated[str, Header()] = "") -> Response:
        name = Tile.parse(path)
        with authority.store.read() as connection:
            data = ledger.tile_bytes(connection, authority, name)
        headers = {"Cache-Control": FOR_EVER}
        if name.level is None:  # hashes do not shrink
            headers["Vary"] = "Accept-Encoding"
            if _takes_gzip(accept_encoding):
                headers["Content-Encoding"], data = "gzip", gzip.compress(data, 6, mtime=0)
        return Response(data, headers=headers, media_type=BYTES)


def _takes_gzip(accepted: str) -> bool:
    parts = [part.replace(" ", "").lower() for part in accepted.split(",")]
    return any(part.partition(";")[0] == "gzip" and not part.endswith((";q=0", ";q=0.0")) for part in parts)


def add_witness_calls(app: FastAPI, authority: Authority) -> None:
    """What logs and witnesses ask. The signature on the checkpoint is all the authentication there is."""

    @app.post("/add-checkpoint")
    async def add_checkpoint(request: Request) -> Response:
        body = await request.body()
        try:
            lines = await run_in_threadpool(witnessing.add_checkpoint, authority, body)
        except (LogInconsistent, SignatureInvalid) as error:
            return _refusal(error)
        return Response(lines, headers={"Content-Type": TEXT})

    @app.post("/v1/log/cosignatures/{tree_size}", status_code=201)
    async def cosignatures(request: Request, tree_size: Annotated[int, Path(ge=0, lt=2**63)]) -> dict[str, int]:
        body = await request.body()
        return {"taken": await run_in_threadpool(witnessing.add_cosignatures, authority, tree_size, body)}


def _refusal(error: SlsError) -> Response:
    """The status codes of ``tlog-witness``: 403, 409 with the size that was cosigned last, or 422."""
    if error.detail.get("finding") in ("stale", "forked"):
        return Response(f"{error.detail['tree_size']}\n", 409, headers={"Content-Type": SIZE_TYPE})
    status = 403 if isinstance(error, SignatureInvalid) else 422
    return JSONResponse({**to_problem(error), "status": status}, status, media_type="application/problem+json")
