"""Asking a witness over HTTP: the ``add-checkpoint`` call of C2SP ``tlog-witness``."""

from __future__ import annotations

import re

from sls_jupyter.authority.client import check_url
from sls_jupyter.errors import LogInconsistent, SignatureInvalid, Unavailable, UnknownName
from sls_jupyter.network import Http, NotReached
from sls_jupyter.transparency.witness import MAX_REQUEST_BYTES

TIMEOUT_SECONDS = 10.0
_SIZE = re.compile(r"(0|[1-9][0-9]{0,18})\n", re.ASCII)


def post_checkpoint(url: str, request: bytes) -> bytes:
    """Send a request to a witness; returns its signature lines, not verified.

    Args:
        url: of ``add-checkpoint``, with HTTPS unless it is on this machine.

    Raises:
        LogInconsistent: 409 and 422. With 409 and a size, ``detail["tree_size"]`` is what the witness has seen.
        UnknownName: 404, it does not witness this log. SignatureInvalid: 403, it knows another key of it.
        Unavailable: it does not answer, or not as a witness would.
    """
    http = Http(anywhere=True, seconds=TIMEOUT_SECONDS)  # its log's owner chose this URL
    try:
        answer = http.send("POST", check_url(url), content=request, max_bytes=MAX_REQUEST_BYTES)
    except NotReached as failure:
        raise Unavailable("A witness does not answer.", found=f"{url}: {failure.reason}") from None
    finally:
        http.close()
    if answer.status == 200:
        return answer.body
    raise _refusal(url, answer.status, answer.body)


def _refusal(url: str, status: int, body: bytes) -> Exception:
    size = _SIZE.fullmatch(body.decode("ascii", "replace"))
    if status == 409 and size is not None:
        detail = {"finding": "stale", "tree_size": int(size[1])}
        return LogInconsistent("A witness has seen another size of this log.", found=size[1], detail=detail)
    if status in (409, 422):
        hint = "Compare the checkpoint that it cosigned with this log; the database may have been rolled back."
        return LogInconsistent("A witness does not see this log extend what it cosigned.", found=url, hint=hint)
    if status == 404:
        return UnknownName("A witness does not witness this log.", found=url, hint="Give its owner this log's key.")
    if status == 403:
        return SignatureInvalid("A witness knows another key of this log.", found=url)
    return Unavailable("Something else than a witness answers there.", found=f"{url}: HTTP {status}")
