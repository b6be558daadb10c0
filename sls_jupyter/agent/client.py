"""The other side of the agent's door: bounded calls over its socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from sls_jupyter.agent.messages import (
    MAX_ANSWER_BYTES,
    About,
    Closed,
    Ordered,
    PersonaBody,
    RunList,
    ServedAnswer,
    SessionBody,
    Started,
    StopBody,
)
from sls_jupyter.authority.embedded import socket_of
from sls_jupyter.documents import Model, canonical_json, parse_json
from sls_jupyter.errors import MalformedDocument, from_problem
from sls_jupyter.network import Answer, Http, NotReached
from sls_jupyter.safestream.doors import MAX_EVENT_BYTES
from sls_jupyter.session.posted import PostedCell, PostedRun, PostedSession

_URL = "http://agent"
CALL_SECONDS = 60.0
CLOSE_SECONDS = 60.0  # a session ends after the receipts of its cells
ABOUT_SECONDS = 10.0
M = TypeVar("M", bound=Model)


class AgentClient:
    """Calls to the agent of one folder. Each raises :class:`NotReached` when nobody of this user answers there."""

    def __init__(self, folder: Path) -> None:
        self._http = Http(anywhere=True, private=socket_of(folder), seconds=CALL_SECONDS)

    def about(self) -> About:
        return self._told(About, "GET", "/v1/about", seconds=ABOUT_SECONDS)

    def launch(self, persona: str, posted: PostedRun) -> str:
        return self._told(Started, "POST", f"/v1/runs?persona={persona}", posted.encode()).id

    def open_session(self, persona: str, posted: PostedSession) -> None:
        self._call("POST", f"/v1/sessions?persona={persona}", _body(posted), CALL_SECONDS)

    def run_cell(self, persona: str, posted: PostedCell) -> str:
        return self._told(Ordered, "POST", f"/v1/cells?persona={persona}", _body(posted)).order

    def close_session(self, persona: str, name: str) -> bool:
        body = _body(SessionBody(persona=persona, name=name))
        return self._told(Closed, "POST", "/v1/sessions/close", body, seconds=CLOSE_SECONDS).closed

    def runs(self) -> RunList:
        return self._told(RunList, "GET", "/v1/runs", seconds=ABOUT_SECONDS)

    def cancel(self, run: str) -> None:
        self._call("POST", f"/v1/runs/{run}/cancel", b"{}", CALL_SECONDS)

    def serve(self, persona: str) -> ServedAnswer:
        return self._told(ServedAnswer, "POST", "/v1/authorities", _body(PersonaBody(persona=persona)))

    def leave(self, persona: str) -> None:
        self._call("POST", "/v1/authorities/leave", _body(PersonaBody(persona=persona)), CALL_SECONDS)

    def stop(self, *, force: bool, replaced: bool) -> None:
        self._call("POST", "/v1/stop", _body(StopBody(force=force, replaced=replaced)), CALL_SECONDS)

    def events(self, run: str, start: int) -> Iterator[dict[str, Any]]:
        """Events for as long as the agent tells them in one answer, at most :data:`messages.STREAM_SECONDS`.

        Raises:
            UnknownName: it has no such run (any more).
        """
        for line in self._lines(f"/v1/runs/{run}/events?from={start}"):
            event = json.loads(line)
            if isinstance(event, dict) and isinstance(event.get("type"), str):
                yield event

    def lease(self) -> None:
        """Hold the agent for the time of one answer."""
        for _ in self._lines("/v1/lease"):
            pass

    def close(self) -> None:
        self._http.close()

    def _lines(self, path: str) -> Iterator[bytes]:
        lines = self._http.lines(_URL + path, max_line_bytes=MAX_EVENT_BYTES, max_body_bytes=MAX_ANSWER_BYTES)
        for line in lines:
            if isinstance(line, Answer):
                _body_of(line)
            elif line:
                yield line

    def _told(self, cls: type[M], method: str, path: str, body: bytes = b"", seconds: float = CALL_SECONDS) -> M:
        return cls.read(self._call(method, path, body, seconds), max_bytes=MAX_ANSWER_BYTES)

    def _call(self, method: str, path: str, body: bytes, seconds: float) -> bytes:
        headers = {"Content-Type": "application/json"} if body else {}
        answer = self._http.send(
            method, _URL + path, headers=headers, content=body, max_bytes=MAX_ANSWER_BYTES, seconds=seconds
        )
        return _body_of(answer)


def _body(message: Model) -> bytes:
    return canonical_json(message.model_dump(mode="json"))


def _body_of(answer: Answer) -> bytes:
    """The body of a good answer.

    Raises:
        what the agent raised, as our own words: it runs this very code. NotReached: something else answers.
    """
    if 200 <= answer.status < 300:
        return answer.body
    try:
        problem = dict(parse_json(answer.body))
    except (MalformedDocument, TypeError, ValueError):
        raise NotReached(f"HTTP {answer.status}") from None
    error = from_problem(problem)
    error.said_by = str(problem.get("said_by") or "")
    raise error
