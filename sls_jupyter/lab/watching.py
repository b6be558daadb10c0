"""Looking, while somebody listens, whether anything about a persona is otherwise than it was.

A *watch* is two threads of one persona. One looks each second at what is on this machine: the persona's folder, the agent's
runs, the authorities of this user's own personas. The other looks more seldom at the authorities of others, each within
a time of its own, so that a silent one delays nobody. They end when the last listener has gone.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from sls_jupyter.errors import SlsError
from sls_jupyter.lab.messages import Event, Section
from sls_jupyter.lab.problems import place_of
from sls_jupyter.printing import one_line
from sls_jupyter.session import RequestInfo, Session, glance
from sls_jupyter.session.background import LiveRun
from sls_jupyter.session.lookout import Change

HERE_SECONDS = 1.0
ELSEWHERE_SECONDS = 10.0
MAX_QUEUED = 200  # events that a slow reader may leave; then it is told that it missed some
MAX_WORDS = 400  # characters of a sentence
HELLO = Event(type="hello")
_log = logging.getLogger(__name__)


class Listener:
    """Events for one reader.

    Args:
        wake: called, from any thread, when there is something to take.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._events: deque[Event] = deque([HELLO])

    def put(self, event: Event) -> None:
        """Add an event, once where it waits already; a reader that left too many begins anew."""
        with self._lock:
            if event in self._events:
                return
            if len(self._events) >= MAX_QUEUED:
                self._events.clear()
                event = HELLO
            self._events.append(event)
        self._wake()

    def take(self) -> list[Event]:
        """What waits, in its order."""
        with self._lock:
            found = list(self._events)
            self._events.clear()
        return found


class Watch:
    """Looks after one persona for as long as somebody listens."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._ending = threading.Event()
        self._told = False  # somebody was told what there is

    def add(self, listener: Listener) -> None:
        with self._lock:
            self._listeners.append(listener)
            if len(self._listeners) == 1:
                self._ending = threading.Event()
                for look in (_Here(self._session), _Elsewhere(self._session)):
                    threading.Thread(
                        target=self._go_on,
                        args=(look, self._ending),
                        name=f"sls-watch-{self._session.name}",
                        daemon=True,
                    ).start()

    def remove(self, listener: Listener) -> None:
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)
            if not self._listeners:
                self._ending.set()

    def close(self) -> None:
        with self._lock:
            self._listeners.clear()
            self._ending.set()

    def listeners(self) -> int:
        with self._lock:
            return len(self._listeners)

    def tell(self, event: Event) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for one in listeners:
            one.put(event)

    def _go_on(self, look: _Here | _Elsewhere, ending: threading.Event) -> None:
        while not ending.is_set():
            start = time.monotonic()
            try:
                look.look(lambda event: None if ending.is_set() else self.tell(event))
            except Exception as error:  # noqa: BLE001  # one bad folder does not end the looking
                _log.warning("a look at what has changed failed: %s", place_of(error))
            ending.wait(max(0.1, look.seconds - (time.monotonic() - start)))


Tell = Callable[[Event], None]


class _Here:
    """What is on this machine."""

    seconds = HERE_SECONDS

    def __init__(self, session: Session) -> None:
        self._session = session
        self._marks: dict[str, object] = {}
        self._runs: dict[str, glance.RunGlance] | None = None
        self._live: dict[str, LiveRun] = {}

    def look(self, tell: Tell) -> None:
        home = self._session.home
        if self._differs("people", glance.people(home)):
            for section in ("people", "assets", "requests", "runs"):  # names are everywhere
                tell(_changed(section))
        if self._differs("hosts", glance.hosts(home)):
            tell(_changed("status"))
        for event in self._of_runs():
            tell(event)
        for change in self._session.lookout.look_here():
            for event in _of_change(change):
                tell(event)

    def _differs(self, what: str, mark: object) -> bool:
        """Whether a mark is another one than at the last look; the first look tells of nothing."""
        known = self._marks.get(what, mark)
        self._marks[what] = mark
        return known != mark

    def _of_runs(self) -> Iterator[Event]:
        home = self._session.home
        live = {} if self._session.background is None else self._session.background.live()
        found = glance.runs(home)
        sessions = self._differs("sessions", glance.sessions(home))
        known, before = self._runs, self._live
        self._runs, self._live = found, live
        if known is None:
            return
        touched = [id_ for id_ in {**found, **known} if _stands(found.get(id_)) != _stands(known.get(id_))]
        if touched or sessions or set(live) != set(before):
            yield _changed("runs")
        for id_ in {*touched, *(one for one in live if live[one] != before.get(one)), *_moved(found, known)}:
            yield Event(type="run", id=id_)
        for id_ in touched:
            if (one := found.get(id_)) is not None and one.ended and id_ in known and not known[id_].ended:
                yield Event(type="ended", id=id_, words=self._end_of(id_))

    def _end_of(self, id_: str) -> str:
        try:
            record = self._session.run_called(id_)
        except SlsError:
            return f"Run {id_} is over."
        inputs = ", ".join(record.inputs)
        return one_line(f"Run {id_} on {inputs}: {record.state}", MAX_WORDS)


class _Elsewhere:
    """The authorities of others."""

    seconds = ELSEWHERE_SECONDS

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, tell: Tell) -> None:
        def told(change: Change) -> None:
            for event in _of_change(change):
                tell(event)

        self._session.lookout.look_elsewhere(told)


def _of_change(change: Change) -> Iterator[Event]:
    """What an authority's change is to somebody who watches; its first look is in the lists already."""
    if change.first:
        return
    yield _changed("requests")
    yield _changed("assets")
    for one in change.asked:
        yield Event(type="asked", id=one.id, words=_asked_words(one))


def _asked_words(one: RequestInfo) -> str:
    return one_line(f"{one.who} asks for {', '.join(one.assets)}: {one.spec.purpose}", MAX_WORDS)


def _changed(section: Section) -> Event:
    return Event(type="changed", section=section)


def _stands(one: glance.RunGlance | None) -> object:
    """How a run stands, whatever it tells meanwhile."""
    return None if one is None else (one.ended, one.driven, one.mark[:3] if one.ended else ())


def _moved(found: dict[str, glance.RunGlance], known: dict[str, glance.RunGlance]) -> list[str]:
    """Runs that go on and whose folder is otherwise."""
    return [id_ for id_, one in found.items() if one.driven and id_ in known and one.mark != known[id_].mark]
