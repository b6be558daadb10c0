"""Telling authorities how a run or a session ended, by our own word; nobody waits long for them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.errors import SlsError
from sls_jupyter.network import within

REPORT_SECONDS = 30.0  # of telling an authority how a run ended; of these a run waits for
REPORT_WAIT_SECONDS = 3.0  # so many, that a process may end after it


@contextlib.contextmanager
def reporting(clients: Mapping[str, AuthorityClient], spec: StreamSpec, state: str, reason: str) -> Iterator[None]:
    """Tell every authority of the spec, all at once, while something else is done.

    Args:
        clients: authority's DID -> client.
        state, reason: as :func:`sls_jupyter.authority.runs.report_end` takes them.
    """

    def tell(did: str) -> None:
        with contextlib.suppress(SlsError), within(REPORT_SECONDS):
            clients[did].report_end(spec.digest, state, reason)

    tellers = [
        threading.Thread(target=tell, args=(did,), name="sls-report", daemon=True) for did, _ in spec.authorities()
    ]
    for one in tellers:
        one.start()
    try:
        yield
    finally:
        deadline = time.monotonic() + REPORT_WAIT_SECONDS
        for one in tellers:
            one.join(max(0.0, deadline - time.monotonic()))


def how_it_ended(end: Mapping[str, Any], *, cancelled: bool) -> tuple[str, str]:
    """State and reason of a run with this end event."""
    status = str(end.get("status", "failed"))
    if cancelled:
        return "cancelled", "interrupt"
    limit = str(end.get("limit", "limit"))
    return {"ok": ("ended", "ok"), "limit": ("killed", limit)}.get(status, ("failed", status))
