"""What the agent and its clients say to each other. Both are processes of one user, on one machine."""

from __future__ import annotations

from sls_jupyter.documents import Model

MAX_ANSWER_BYTES = 4 * 2**20  # of anything but events
MAX_BODY_BYTES = 64 * 2**20
STREAM_SECONDS = 240.0  # how long one answer of events or of a lease goes on; the client asks again


class About(Model):
    """``GET /v1/about``."""

    version: str
    code: str  # of the installed files when it started
    pid: int
    started: int  # seconds since 1970
    home: str
    keeps: tuple[str, ...]  # what keeps it alive, a sentence each; empty: it is idle
    runs: tuple[str, ...]  # ids of those that go on
    bound: tuple[str, ...]  # of these, those that would end with it
    idle_seconds: float


class RunInfo(Model):
    """A run that the agent knows."""

    id: str
    persona: str
    state: str
    status: str


class RunList(Model):
    """``GET /v1/runs``."""

    runs: tuple[RunInfo, ...]


class Started(Model):
    """``POST /v1/runs``."""

    id: str


class Ordered(Model):
    """``POST /v1/cells``."""

    order: str  # its digest; the run is called by its first digits


class SessionBody(Model):
    persona: str
    name: str


class Closed(Model):
    """``POST /v1/sessions/close``."""

    closed: bool  # false: no session of that name is driven there


class ServedAnswer(Model):
    """``POST /v1/authorities``."""

    url: str
    unreachable: str


class PersonaBody(Model):
    persona: str


class StopBody(Model):
    force: bool = False  # although runs go on
    replaced: bool = False  # another agent is started next
