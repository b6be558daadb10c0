"""What goes wrong, as a message; a text that may hold data never gets into the server's log."""

from __future__ import annotations

import traceback
from pathlib import Path

from sls_jupyter.errors import AccessDenied, SlsError, to_problem
from sls_jupyter.lab.messages import Error
from sls_jupyter.printing import one_line

CONTENT_TYPE = "application/problem+json"
MOST = 2_000  # characters of one text
# what waits was not done; and who asked the server is let in, whatever an authority says
_STATUS = {202: 409, 401: 403}


def as_message(error: SlsError) -> Error:
    """An error of ours, each text in one line, with what another party said as its words."""
    problem = to_problem(error)
    hint = error.hint and (f"{error.said_by} advises: {error.hint}" if error.said_by else error.hint)
    if isinstance(error, AccessDenied):  # each reason has its own fix
        hint = " ".join(line.strip() for line in error.lines()[1:])
    return Error(
        type=str(problem["type"]),
        title=str(problem["title"]),
        status=_STATUS.get(error.status, error.status),
        detail=one_line(error.sentence, MOST),
        found=one_line(error.found or "", MOST),
        expected=one_line(error.expected or "", MOST),
        hint=one_line(hint, MOST),
    )


def unexpected() -> Error:
    """A mistake of this package; what it was about may be data, so it is not told."""
    return Error(
        type="about:blank",
        title="Internal Server Error",
        status=500,
        detail="The server half of sls_jupyter made a mistake and did not do this.",
        hint="The server's log has where it happened.",
    )


def refused(status: int, title: str, detail: str) -> Error:
    """The server itself lets nobody in, or not like that."""
    return Error(type="about:blank", title=title, status=status, detail=detail)


def place_of(error: BaseException) -> str:
    """Which kind of error, and where it was raised: no text of it."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return type(error).__name__ + where
