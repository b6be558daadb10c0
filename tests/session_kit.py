"""A warm session of whole groups on this machine, for tests and benchmarks: cells in, what a notebook would show out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from e2e import LIMITS, RUN_SECONDS, Ended, finish

from sls_jupyter.contract.image import installed_image
from sls_jupyter.contract.proposal import CellText
from sls_jupyter.contract.spec import SessionTerms
from sls_jupyter.documents import sign
from sls_jupyter.guest.parameters import pack_parameters
from sls_jupyter.safestream.manager import Manager
from sls_jupyter.safestream.ordering import OrderedCell, SessionRequest, order_cell
from sls_jupyter.safestream.run import Run
from sls_jupyter.safestream.warm import WarmSession
from sls_jupyter.session import Session


def session_request(
    session: Session, inputs: Iterable[str], terms: SessionTerms, **options: Any
) -> tuple[SessionRequest, Manager]:
    """A session's spec over these inputs, signed, and a manager that reaches its authorities."""
    options.setdefault("limits", LIMITS)
    run = session.prepare("pass", list(inputs), **options)
    fields = {"code": None, "parameters": None, "outputs": (), "session": terms}
    spec = type(run.spec).from_json(run.spec.model_copy(update=fields).model_dump(mode="json"))
    manager = Manager(
        identity=session.identity,
        anchors=session.anchors,
        image=installed_image(),
        hosts=session.hosts,
        clients=session._run_clients(run),
        names=session.names_in(spec),
        chosen=session._chosen_urls(spec),
    )
    return SessionRequest(spec, sign(spec, session.identity), run.manifests, run.contact), manager


class Notebook:
    """Orders cell after cell in one warm session."""

    def __init__(self, session: Session, inputs: Iterable[str] = ("free",), **options: Any) -> None:
        terms = options.pop("terms", SessionTerms(cells=20, idle_seconds=60, wall_seconds=120))
        self.identity = session.identity
        self.request, manager = session_request(session, inputs, terms, **options)
        self.warm = WarmSession(manager, self.request)

    def order(self, code: str, outputs: Sequence[str] = (), **parameters: Any) -> OrderedCell:
        """The next cell's order."""
        before = self.warm.cells[-1].order if self.warm.cells else None
        text = CellText(code, pack_parameters(parameters))
        return order_cell(self.identity, self.request.spec, before, text, outputs, now=int(time.time()))

    def start(self, code: str, outputs: Sequence[str] = (), **parameters: Any) -> Run:
        return self.warm.run_cell(self.order(code, outputs, **parameters))

    def do(self, code: str, outputs: Sequence[str] = (), **parameters: Any) -> Ended:
        """Run a cell to its end, whatever that is."""
        return finish(self.start(code, outputs, **parameters), RUN_SECONDS)

    def printed(self, code: str, **parameters: Any) -> str:
        """What a cell prints; a cell that fails fails the test."""
        ended = self.do(code, **parameters)
        assert ended.outputs == {}
        return "".join(event["text"] for event in ended.of("stream"))


@contextlib.contextmanager
def notebook(session: Session, inputs: Iterable[str] = ("free",), **options: Any) -> Iterator[Notebook]:
    """A session that is closed in the end."""
    made = Notebook(session, inputs, **options)
    try:
        yield made
    finally:
        made.warm.close()
