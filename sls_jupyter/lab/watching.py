"""Looking, while somebody listens, whether anything about a persona is otherwise than it was.

A *watch* is two threads of one persona. One looks each second at what is on this machine: the persona's folder, the agent's
runs, the authorities of this user's own personas. The other looks more seldom at the authorities of others, each within
a time of its own, so that a silent one delays nobody. They end when the last listener has gone.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

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
    """Events for one reader: ``hello`` as soon as whatever changes from then on will be told, then what has changed.

    Args:
        wake: called, from any thread, when there is something to take.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._events: deque[Event] = deque()

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


class _Watching:
    """The listeners of one watch, from the first that comes to the last that goes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._begun = False
        self.over = threading.Event()

    def add(self, listener: Listener) -> bool:
        """False: the last one has gone meanwhile."""
        with self._lock:
            if self.over.is_set():
                return False
            self._listeners.append(listener)
            if self._begun:
                listener.put(HELLO)
            return True

    def remove(self, listener: Listener) -> None:
        with self._lock:
            self._listeners.remove(listener)
            if not self._listeners:
                self.over.set()

    def count(self) -> int:
        with self._lock:
            return len(self._listeners)

    def begin(self) -> None:
        """What is here has been looked at: what changes from now on is told."""
        with self._lock:
            listeners = [] if self._begun else self._listeners
            self._begun = True
            for one in listeners:
                one.put(HELLO)

    def tell(self, events: Iterable[Event]) -> None:
        with self._lock:
            if self._begun:  # who begins later asks for everything anyway
                for event in events:
                    for one in self._listeners:
                        one.put(event)


class Watch:
    """Looks after one persona for as long as somebody listens."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._watching: _Watching | None = None

    @contextlib.contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Have somebody told of what changes."""
        with self._lock:
            watching = self._watching
            if watching is None or not watching.add(listener):
                watching = self._watching = _Watching()
                watching.add(listener)
                self._start(watching)
        try:
            yield
        finally:
            watching.remove(listener)

    def listeners(self) -> int:
        with self._lock:
            return 0 if self._watching is None else self._watching.count()

    def close(self) -> None:
        """Look no more, whoever listens."""
        with self._lock:
            if self._watching is not None:
                self._watching.over.set()

    def _start(self, watching: _Watching) -> None:
        for work in (self._look_here, self._look_elsewhere):
            name = f"sls-watch-{self._session.name}"
            threading.Thread(target=work, args=(watching,), name=name, daemon=True).start()

    def _look_here(self, watching: _Watching) -> None:
        look, lookout = _Folder(self._session), self._session.lookout
        with lookout.listening(lambda change: watching.tell(_of_change(change))):
            for _ in _rounds(watching.over, HERE_SECONDS):
                with _not_ending():
                    watching.tell(look.look())
                    lookout.look_here()
                watching.begin()

    def _look_elsewhere(self, watching: _Watching) -> None:
        for _ in _rounds(watching.over, ELSEWHERE_SECONDS):
            with _not_ending():
                self._session.lookout.look_elsewhere()


def _rounds(over: threading.Event, seconds: float) -> Iterator[None]:
    """One round after the other, each that long at least."""
    while not over.is_set():
        start = time.monotonic()
        yield
        over.wait(max(0.1, seconds - (time.monotonic() - start)))


@contextlib.contextmanager
def _not_ending() -> Iterator[None]:
    """One bad folder does not end the looking."""
    try:
        yield
    except Exception as error:  # noqa: BLE001
        _log.warning("a look at what has changed failed: %s", place_of(error))


# --- what is otherwise ------------------------------------------------------------------------------


class _Folder:
    """A persona's folder, and what the agent drives of it, beside how they were at the look before."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._marks: dict[str, object] = {}
        self._runs: dict[str, glance.RunGlance] = {}
        self._live: dict[str, LiveRun] = {}

    def look(self) -> list[Event]:
        home, found = self._session.home, list[Event]()
        if self._differs("people", glance.people(home)):  # names are everywhere
            found += [_changed("people"), _changed("assets"), _changed("requests"), _changed("runs")]
        if self._differs("hosts", glance.hosts(home)):
            found.append(_changed("status"))
        if self._differs("sessions", glance.sessions(home)):
            found.append(_changed("runs"))
        return found + self._of_runs()

    def _differs(self, what: str, mark: object) -> bool:
        known = self._marks.get(what)
        self._marks[what] = mark
        return known != mark

    def _of_runs(self) -> list[Event]:
        live = {} if self._session.background is None else self._session.background.live()
        found = glance.runs(self._session.home)
        known, before = self._runs, self._live
        self._runs, self._live = found, live
        other = [id_ for id_ in {**known, **found} if _stands(found.get(id_)) != _stands(known.get(id_))]
        told = [id_ for id_ in live if live[id_] != before.get(id_)]
        moved = [id_ for id_, one in found.items() if one.driven and one != known.get(id_)]
        events = [_changed("runs")] if other or set(live) != set(before) else []
        events += [Event(type="run", id=id_) for id_ in dict.fromkeys([*other, *told, *moved])]
        ended = [id_ for id_ in other if id_ in known and not known[id_].ended and id_ in found and found[id_].ended]
        return events + [Event(type="ended", id=id_, words=self._end_of(id_)) for id_ in ended]

    def _end_of(self, id_: str) -> str:
        try:
            record = self._session.run_called(id_)
        except SlsError:
            return f"Run {id_} is over."
        return one_line(f"Run {id_} on {', '.join(record.inputs)}: {record.state}", MAX_WORDS)


def _stands(one: glance.RunGlance | None) -> object:
    """How a run stands, whatever it tells while it goes on."""
    return None if one is None else (one.ended, one.driven, one.mark if one.ended else ())


def _of_change(change: Change) -> list[Event]:
    """What an authority's change is to somebody who watches. One that answers for the first time changes the lists too."""
    asked = [Event(type="asked", id=one.id, words=_asked_words(one)) for one in change.asked]
    return [_changed("requests"), _changed("assets"), *asked]


def _asked_words(one: RequestInfo) -> str:
    return one_line(f"{one.who} asks for {', '.join(one.assets)}: {one.spec.purpose}", MAX_WORDS)


def _changed(section: Section) -> Event:
    return Event(type="changed", section=section)
