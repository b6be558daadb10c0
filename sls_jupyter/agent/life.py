"""What the agent does and why it stays: sessions of personas, their authorities, runs, leases; and when it ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from sls_jupyter.errors import BadInput, HostUnsuitable, SlsError, Unavailable, UnknownName
from sls_jupyter.identity import Home
from sls_jupyter.printing import count_words
from sls_jupyter.safestream.run import Run
from sls_jupyter.session import Session
from sls_jupyter.session.background import Served
from sls_jupyter.session.claims import is_driven, is_waiting, waiting_run, was_launched
from sls_jupyter.session.posted import PostedCell, PostedRun, PostedSession

ROUND_SECONDS = 1.0
AUTHORITIES_SECONDS = 5.0  # between two looks whether each authority is served
CANCEL_SECONDS = 10.0  # of one run or session, when the agent is stopped
MAX_RUNS = 256  # that go on at one time, most of them waiting for somebody
LEFT_SECONDS = 60.0  # how long an authority that another program asked for is left to it
ENDED_SECONDS = 30.0  # how long a run that ended is told live; later its kept events are read
_log = logging.getLogger(__name__)


class Keeper:
    """Everything that the agent of one home does.

    Args:
        root: of the home.
        idle_seconds: how long it stays after the last call, if nothing else needs it.
    """

    def __init__(self, root: Path, idle_seconds: float) -> None:
        self.root, self.idle_seconds = root, idle_seconds
        self.started = int(time.time())
        self.leases = 0  # open connections of clients
        self._sessions: dict[str, Session] = {}
        self._runs: dict[str, tuple[str, Run]] = {}  # by id: persona and run
        self._ended: dict[str, float] = {}
        self._left: dict[str, float] = {}  # personas whose authority is left to somebody else, until when
        self._called = time.monotonic()
        self._requests_seen = (-float("inf"), list[str]())
        self._answered = 0  # calls that the authorities answered
        self._lock = threading.RLock()  # of what stands here; nothing is waited for while it is held
        self._launching: dict[str, threading.Lock] = {}  # by run: a call that is made twice starts nothing twice
        self._ending = threading.Event()

    # --- personas ---------------------------------------------------------------------------------

    def called(self) -> None:
        """A client made a call."""
        self._called = time.monotonic()

    def personas(self) -> list[str]:
        """Those that have keys."""
        return Home.with_keys(self.root)

    def session(self, persona: str) -> Session:
        """The session of a persona of this home.

        Raises:
            UnknownName: there is none; the agent makes no keys.
        """
        with self._lock:
            if persona not in self._sessions:
                if persona not in self.personas():
                    raise UnknownName("The agent's home has no such persona.", found=persona[:60])
                session = Session(Home(self.root, persona))
                session.driver = "agent"
                self._sessions[persona] = session
            return self._sessions[persona]

    # --- authorities ------------------------------------------------------------------------------

    def serve(self, persona: str) -> Served:
        """See that a persona's authority is served, by this process unless another one does."""
        session = self.session(persona)
        with self._lock:
            self._left.pop(persona, None)
        url = session.own_authority().url
        return Served(url, session.unreachable())

    def leave(self, persona: str) -> None:
        """Stop serving an authority, because another program of this user will."""
        session = self.session(persona)
        with self._lock:
            self._left[persona] = time.monotonic() + LEFT_SECONDS
        session.stop_serving()

    def _serve_all(self) -> None:
        for persona in self.personas():
            database = self.root / "personas" / persona / "authority" / "authority.db"
            if not database.exists() or self._left.get(persona, 0.0) > time.monotonic():
                continue
            try:
                self.session(persona).own_authority()
            except SlsError as error:
                _log.warning("the authority of %s is not served: %s", persona, type(error).__name__)

    # --- runs -------------------------------------------------------------------------------------

    def launch(self, persona: str, posted: PostedRun) -> Run:
        """Start a run, or find the one of that contract.

        Raises:
            what :meth:`Session.drive` raises.
        """
        session = self.session(persona)
        request = posted.request(session.did)
        id_ = request.spec.digest.removeprefix("sha256:")[:12]
        folder = session.home.folder("runs") / id_
        with self._launch_of(id_):
            known = self._runs.get(id_)
            if known is not None and (known[1].state == "running" or was_launched(folder)):
                return known[1]
            if len(self.going()) >= MAX_RUNS:
                raise Unavailable(
                    "The agent drives as many runs as it can.",
                    found=f"{MAX_RUNS} runs",
                    hint="%sls runs lists them; cancel what nobody needs.",
                )
            session.reread_hosts()
            run = session.drive(posted, request)
            with self._lock:
                self._runs[id_] = (persona, run)
                self._ended.pop(id_, None)
            return run

    def open_session(self, persona: str, posted: PostedSession) -> None:
        """Open a warm session. Raises what :meth:`Session.open_here` raises."""
        session = self.session(persona)
        session.reread_hosts()
        session.open_here(posted)

    def run_cell(self, persona: str, posted: PostedCell) -> Run:
        """Run the next cell of a warm session. Raises what :meth:`Session.drive_cell` raises."""
        run = self.session(persona).drive_cell(posted)
        with self._lock:
            self._runs[run.id] = (persona, run)
            self._ended.pop(run.id, None)
        return run

    def close_session(self, persona: str, name: str) -> bool:
        """End a warm session; false if none of that name is driven here."""
        return self.session(persona).close_here(name)

    def warm(self) -> list[str]:
        """Warm sessions that are open, in words."""
        sessions = list(self._sessions.items())
        return [
            f"session {name} of {persona}: {one.state}, {count_words(len(one.cells), 'cell')}"
            for persona, session in sessions
            for name, one in session.driven_sessions()
        ]

    def _launch_of(self, id_: str) -> threading.Lock:
        with self._lock:
            return self._launching.setdefault(id_, threading.Lock())

    def run(self, id_: str) -> Run:
        """Raises :class:`UnknownName`."""
        with self._lock:
            if id_ not in self._runs:
                raise UnknownName("The agent has no such run.", found=id_[:80])
            return self._runs[id_][1]

    def runs(self) -> list[tuple[str, Run]]:
        """Runs that go on, and those that ended just now, with their personas."""
        with self._lock:
            return list(self._runs.values())

    def going(self) -> list[Run]:
        return [run for _, run in self.runs() if run.state == "running"]

    def _take_up(self) -> None:
        """Go on with the waiting of runs whose agent ended."""
        for persona in self.personas():
            for folder in (self.root / "personas" / persona / "runs").glob("*"):
                if folder.name in self._runs or not is_waiting(folder) or is_driven(folder):
                    continue
                try:
                    self._take_up_one(persona, folder)
                except SlsError as error:
                    _log.warning("run %s cannot be taken up: %s", folder.name, type(error).__name__)
                    if isinstance(error, HostUnsuitable) or not isinstance(error, Unavailable):
                        self.session(persona).give_up(folder.name, error.sentence)

    def _take_up_one(self, persona: str, folder: Path) -> None:
        session = self.session(persona)
        kept = waiting_run(folder, session.spec_of(folder.name).digest, session.identity)
        posted = PostedRun.parse(kept)
        request = posted.request(session.did)
        with self._launch_of(folder.name):
            if is_driven(folder):
                return
            session.reread_hosts()
            run = session.drive(posted, request, anew=False)
            with self._lock:
                self._runs[folder.name] = (persona, run)
        _log.info("run %s is taken up", folder.name)

    def _forget_ended(self) -> None:
        now = time.monotonic()
        for id_, (_, run) in list(self._runs.items()):
            if run.state != "running" and self._ended.setdefault(id_, now) + ENDED_SECONDS < now:
                with self._lock:
                    persona, _ = self._runs.pop(id_)
                    self._ended.pop(id_)
                    self._launching.pop(id_, None)
                self.session(persona).forget_run(id_)  # its events lie on disk

    # --- staying and ending -----------------------------------------------------------------------

    def keeps(self) -> list[str]:
        """What keeps the agent alive, in words; nothing when it is idle."""
        found = [f"run {run.id}: {run.status()}" for run in self.going()]
        found += self.warm()
        if self.leases:
            found.append(f"{count_words(self.leases, 'notebook or shell', 'notebooks or shells')} of yours")
        return found + self._open_requests()

    def _open_requests(self) -> list[str]:
        """Requests that wait in an inbox that this process serves."""
        asked, known = self._requests_seen
        if time.monotonic() - asked < AUTHORITIES_SECONDS:
            return known
        found = []
        for persona, session in list(self._sessions.items()):
            if session.serves():
                try:
                    count = len(session.own_authority().requests(limit=50, state="open").requests)
                except SlsError:
                    continue
                if count:
                    found.append(f"{count_words(count, 'open request')} in the inbox of {persona}")
        self._requests_seen = (time.monotonic(), found)
        return found

    def _is_idle(self) -> bool:
        answered = sum(session.answered_calls() for session in list(self._sessions.values()))
        if answered != self._answered:  # somebody asks an authority: that is a use as well
            self._answered = answered
            self.called()
        if time.monotonic() - self._called < self.idle_seconds:
            return False
        if self.going() or self.leases or self.warm():
            self.called()  # the time begins when the last of them is gone
            return False
        found = self._open_requests()
        answered_meanwhile = sum(session.answered_calls() for session in list(self._sessions.values()))
        self._answered = answered_meanwhile  # our own questions are no use
        return not found

    def live(self, end: Callable[[], None]) -> None:
        """Look after everything until nothing needs it, then call ``end``."""
        looked = -float("inf")
        while not self._ending.wait(ROUND_SECONDS if looked > 0 else 0):
            try:
                if time.monotonic() - looked > AUTHORITIES_SECONDS:
                    looked = time.monotonic()
                    self._serve_all()
                    self._take_up()
                self._forget_ended()
                if not (self.root / "agent").is_dir():
                    _log.info("the home is gone")
                    break
                if self._is_idle():
                    _log.info("nothing needs the agent any more")
                    break
            except Exception as error:  # noqa: BLE001  # one bad folder does not end everybody's runs
                _log.warning("a round failed: %s", type(error).__name__)
        end()

    def bound(self) -> list[Run]:
        """Runs that end with this process: all that go on but those that another agent can take up."""
        return [
            run for persona, run in self.runs() if run.state == "running" and not is_waiting(self._folder(persona, run))
        ]

    def _folder(self, persona: str, run: Run) -> Path:
        return self.root / "personas" / persona / "runs" / run.id

    def require_stoppable(self, *, force: bool, replaced: bool) -> None:
        """Raises :class:`BadInput` while runs or sessions go on, unless that is wanted; they are named.

        Args:
            replaced: another agent is started next, so runs that wait for approval go on.
        """
        runs = self.bound() if replaced else self.going()
        going = [f"{run.id} ({run.status()})" for run in runs] + self.warm()
        if going and not force:
            raise BadInput(
                "The agent drives runs or sessions; stopping it would end them.",
                found=", ".join(going[:10]),
                hint="Wait for them, cancel or close them, or stop it all the same: sls agent stop --force."
                " A run that only waits for approval is taken up again by the next agent.",
            )

    def close(self) -> None:
        """Cancel what was launched, leave what waits to the next agent, stop serving."""
        self._ending.set()
        for session in list(self._sessions.values()):
            session.hold_launches()
        cancelling = [threading.Thread(target=run.cancel, args=(CANCEL_SECONDS,)) for run in self.bound()]
        cancelling += [
            threading.Thread(target=session.close_here, args=(name, CANCEL_SECONDS))
            for session in list(self._sessions.values())
            for name, _ in session.driven_sessions()
        ]
        for one in cancelling:
            one.start()
        for one in cancelling:
            one.join(CANCEL_SECONDS + 5)
        for session in list(self._sessions.values()):
            session.stop_serving()
