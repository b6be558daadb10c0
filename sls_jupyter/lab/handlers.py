"""The table of routes as handlers of a Jupyter server, which decides who is let in: token, cookie, XSRF and origin are its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from pathlib import Path
from typing import Any, NoReturn

from jupyter_server.base.handlers import APIHandler
from tornado import web
from tornado.iostream import StreamClosedError

from sls_jupyter.documents import Model
from sls_jupyter.errors import BadInput, SlsError
from sls_jupyter.lab import problems
from sls_jupyter.lab.asking import Asked, AskedByAnybody
from sls_jupyter.lab.desk import Desk
from sls_jupyter.lab.messages import MAX_BODY_BYTES, Error
from sls_jupyter.lab.routes import ROUTES, Route

BASE = "sls_jupyter/v1"
MAX_ARGUMENT = 2_000  # characters of a parameter
MAX_VALUES = 100_000  # of JSON in a body
_NAME = re.compile(r"{(\w+)}")
_log = logging.getLogger(__name__)


class ApiHandler(APIHandler):  # type: ignore[misc]
    """What all calls have in common."""

    desk: Desk

    def initialize(self, desk: Desk) -> None:
        self.desk = desk

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")

    async def prepare(self) -> None:
        """The server's own look at who asks, and one more: a page of another port of this machine sends the cookies along,
        and with a picture or a link no ``Origin`` that the server could look at."""
        await super().prepare()
        place = self.request.headers.get("Sec-Fetch-Site", "none")
        if "Origin" not in self.request.headers and place not in ("same-origin", "none"):
            raise web.HTTPError(404)

    def one_argument(self, name: str) -> str:
        """A parameter of the query; "" where it is not there.

        Raises:
            BadInput: it is there twice, or is too long.
        """
        values = self.get_query_arguments(name)
        if len(values) > 1 or any(len(one) > MAX_ARGUMENT for one in values):
            raise BadInput("A parameter is there twice, or is too long.", found=name)
        return values[0] if values else ""

    def root_folder(self) -> Path | None:
        """The folder that this server shows to its user."""
        found = self.settings.get("server_root_dir")
        return None if not found else Path(str(found)).expanduser().absolute()

    def give(self, message: Model) -> None:
        self.finish(message.model_dump_json())

    def give_problem(self, error: Error) -> None:
        self.set_status(error.status)
        self.finish(error.model_dump_json(), set_content_type=problems.CONTENT_TYPE)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answers that the server itself gives, in the form of ours; texts of errors that nobody foresaw stay here."""
        kind = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(kind, web.HTTPError):
            self.give_problem(
                problems.refused(status_code, self._reason, _REFUSED.get(status_code, self._reason + "."))
            )
        else:
            self.give_problem(problems.unexpected())

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if isinstance(value, web.HTTPError):
            super().log_exception(typ, value, tb)
        elif not isinstance(value, StreamClosedError):
            _log.error("a call failed: %s", problems.place_of(value))


_REFUSED = {
    401: "The Jupyter server does not let you in.",
    403: "The Jupyter server does not let you in.",
    404: "This server answers nothing there, or not to a page of another origin.",
    405: "This cannot be asked for in that way.",
    413: f"More than {MAX_BODY_BYTES // 2**20} MiB cannot be sent at once.",
    415: "A body has to be application/json.",
}


@web.stream_request_body
class RouteHandler(ApiHandler):
    """The calls of one path. A body is kept only of somebody whom the server lets in, and within bounds; it is read in any
    case, because who is cut off while sending never sees the answer."""

    routes: dict[str, Route]

    def initialize(self, desk: Desk, routes: dict[str, Route]) -> None:  # type: ignore[override]
        super().initialize(desk)
        self.routes = routes
        self._body = bytearray()
        self._refusal: web.HTTPError | None = web.HTTPError(403)  # until the server has let them in

    async def prepare(self) -> None:
        try:
            await super().prepare()
            self._require_json()
        except web.HTTPError as refusal:
            self._refusal = refusal
        else:
            self._refusal = None

    def _require_json(self) -> None:
        kind = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if self.request.method == "POST" and kind != "application/json":  # which no form of another page can send
            raise web.HTTPError(415)

    def data_received(self, chunk: bytes) -> None:
        if self._refusal is None and len(self._body) + len(chunk) > MAX_BODY_BYTES:
            self._refusal = web.HTTPError(413)
        if self._refusal is None:
            self._body += chunk
        else:
            self._body.clear()

    @web.authenticated
    async def get(self, **path: str) -> None:
        await self._answer("GET", path)

    @web.authenticated
    async def post(self, **path: str) -> None:
        await self._answer("POST", path)

    async def _answer(self, method: str, path: dict[str, str]) -> None:
        if self._refusal is not None:
            raise self._refusal
        route = self.routes.get(method)
        if route is None:
            raise web.HTTPError(405)
        try:
            answer = await self._asked(route, path)
        except web.HTTPError:
            raise
        except SlsError as error:
            self.give_problem(problems.as_message(error))
        except Exception as error:  # noqa: BLE001  # what it says may be data
            _log.error("%s %s failed: %s", method, route.path, problems.place_of(error))
            self.give_problem(problems.unexpected())
        else:
            self.give(answer)

    async def _asked(self, route: Route, path: dict[str, str]) -> Model:
        persona = self.one_argument("persona")
        query = {name: value for name in route.query if (value := self.one_argument(name))}
        desk, root, body = self.desk, self.root_folder(), bytes(self._body)

        def call() -> Model:
            given = (
                None if route.takes is None else route.takes.read(body, max_bytes=MAX_BODY_BYTES, max_values=MAX_VALUES)
            )
            if route.anybody:
                return route.answer(AskedByAnybody(desk.root, persona, given))
            session = desk.session(persona)
            with desk.alone((session.name, route.path)) if route.alone else contextlib.nullcontext():
                return route.answer(Asked(session, path, query, given, root))

        same = (route.path, persona, *path.items(), *query.items()) if route.method == "GET" else None
        future = desk.ask(call, near=route.near, same=same)
        return await asyncio.shield(asyncio.wrap_future(future))


class NothingHandler(ApiHandler):
    """Every other path below ours: not this API's."""

    @web.authenticated
    def get(self, *_: str) -> NoReturn:
        raise web.HTTPError(404)

    @web.authenticated
    def post(self, *_: str) -> NoReturn:
        raise web.HTTPError(404)


def handlers(base_url: str, desk: Desk) -> list[tuple[str, type[ApiHandler], dict[str, Any]]]:
    """Every path of the table below ``base_url``."""
    base = re.escape(base_url.rstrip("/") + "/" + BASE)
    by_path: dict[str, dict[str, Route]] = {}
    for route in ROUTES:
        by_path.setdefault(route.path, {})[route.method] = route
    found: list[tuple[str, type[ApiHandler], dict[str, Any]]] = [
        (f"{base}/{pattern(path)}", RouteHandler, {"desk": desk, "routes": routes}) for path, routes in by_path.items()
    ]
    return [*found, (f"{base}/.*", NothingHandler, {"desk": desk})]


def pattern(path: str) -> str:
    """A route's path as a regular expression with the names in its braces."""
    return _NAME.sub(lambda name: f"(?P<{name[1]}>[^/]{{1,400}})", path)
