"""What the panel hears without asking: requests, runs, people; each from whoever makes it happen, in whichever process."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from agent_kit import agent_home, ended, start
from e2e import LIMITS, World, finish, needs_sandbox, patients, until
from lab_server_kit import API, TOKEN, lab_server, silent_authority

from sls_jupyter.identity import SigningKey
from sls_jupyter.lab.messages import Event
from sls_jupyter.lab.watching import HELLO, MAX_QUEUED, Listener, Watch
from sls_jupyter.safestream.request import StreamRequest, ask_all
from sls_jupyter.session import Session, directory


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A hospital that reads code before it runs; nobody else's requests are heard."""
    made = World(tmp_path / "home")
    made.seal("patients", patients(20), allow_code="reviewed", columns="age,sex", kinds="table")
    made.seal("open", patients(20), kinds="table")
    yield made
    made.close()


def ask(world: World, code: str = "x = patients.age.mean()", purpose: str = "heart study") -> StreamRequest:
    """The analyst asks, and waits for the owner."""
    request = world.analyst.prepare(code, ["patients"], purpose=purpose)
    ask_all(request, world.analyst._run_clients(request))
    return request


@contextlib.contextmanager
def watched(session: Session) -> Iterator[list[Event]]:
    """Everything that one listener was told; the looking has ended afterwards."""
    seen: list[Event] = []
    listener = Listener(lambda: seen.extend(listener.take()))
    with Watch(session).listening(listener):
        heard(seen, "hello")
        yield seen
    name = f"sls-watch-{session.name}"
    until(lambda: name not in [one.name for one in threading.enumerate()], "it ends with its last listener", 60)


def heard(seen: list[Event], type_: str, seconds: float = 30.0, **fields: Any) -> Event:
    """The first such event."""

    def find() -> Event | None:
        fitting = (one for one in list(seen) if one.type == type_)
        return next((one for one in fitting if all(getattr(one, key) == value for key, value in fields.items())), None)

    found = until(find, f"{type_} {fields} in {seen}", seconds)
    assert isinstance(found, Event)
    return found


# --- requests ---------------------------------------------------------------------------------------


def test_who_must_decide_hears_of_a_request_and_who_asked_of_the_decision(world: World) -> None:
    """Both windows of the demo: one asks, the other's badge rises; one decides, the other's row changes."""
    with watched(world.hospital) as owner, watched(world.analyst) as analyst:
        request = ask(world)
        told = heard(owner, "asked")
        assert told.words == "analyst asks for patients: heart study"
        assert world.hospital.lookout.waiting() == 1
        heard(analyst, "changed", section="requests")
        analyst.clear()
        world.hospital.requests()
        world.hospital.approve(told.id)
        heard(analyst, "changed", section="requests")
        until(lambda: world.hospital.lookout.waiting() == 0, "nothing waits any more")
        assert request.spec.terms == told.id
    assert not [one for one in analyst if one.type == "asked"], "who asked decides on nothing"


def test_requests_of_somebody_whom_no_policy_names_are_heard_of(world: World) -> None:
    """They are no entries of the log before they are decided; nobody would see the second one otherwise."""
    world.seal("anyone", patients(20), allow_code="reviewed", requester=(), kinds="table")
    with watched(world.hospital) as seen:
        for code in ("x = anyone.age.mean()", "x = anyone.age.max()"):
            request = world.analyst.prepare(code, ["anyone"], purpose="heart study")
            ask_all(request, world.analyst._run_clients(request))
            heard(seen, "asked", id=request.spec.terms)


def test_a_request_that_somebody_else_saw_first_is_told_all_the_same(world: World) -> None:
    """The status bar counts what waits as well; its look must not swallow the notification."""
    with watched(world.hospital) as seen:
        ask(world)
        world.hospital.lookout.look_here()
        heard(seen, "asked")
        ask(world, "x = 1")
        world.hospital.lookout.look_here()
        until(lambda: len([one for one in seen if one.type == "asked"]) == 2, "both are told, each once")


def test_what_a_stranger_calls_things_stays_one_line(world: World) -> None:
    """A purpose must not become a second notification, or turn the words around."""
    with watched(world.hospital) as seen:
        ask(world, purpose="study\nApproved by hospital‮ " + "x" * 450)
        words = heard(seen, "asked").words
        assert "\n" not in words
        assert "⟦U+202E⟧" in words
        assert words.endswith("more characters)")


def test_a_page_that_comes_later_hears_too(world: World) -> None:
    """Two windows of one persona, one watch."""
    watch, first, second = Watch(world.hospital), list[Event](), list[Event]()
    one, other = Listener(lambda: first.extend(one.take())), Listener(lambda: second.extend(other.take()))
    with watch.listening(one):
        heard(first, "hello")
        with watch.listening(other):
            heard(second, "hello")
            ask(world)
            assert heard(first, "asked") == heard(second, "asked")
        assert watch.listeners() == 1


# --- runs and people --------------------------------------------------------------------------------


@needs_sandbox
def test_a_run_of_another_process_is_heard_of_from_its_steps_to_its_end(world: World) -> None:
    """A cell of any kernel: its card is drawn anew while it goes on, and somebody is told how it ended."""
    seen: list[Event]
    other = Session(world.analyst.home)  # as another process has it
    with watched(other) as seen:
        run = world.start("x = open.head()", ["open"], outputs=["x"], limits=LIMITS)
        heard(seen, "run", id=run.id)
        finish(run)
        assert heard(seen, "ended", id=run.id).words == f"Run {run.id} on open: done"
        heard(seen, "changed", section="runs")
    other.close()


def test_names_connections_and_hosts_are_heard_of(world: World) -> None:
    """What one window calls somebody the other shows; names are in every section."""
    with watched(world.analyst) as seen:
        world.analyst.call(SigningKey.generate().did, "somebody")
        for section in ("people", "requests", "assets", "runs"):
            heard(seen, "changed", section=section)
        (world.analyst.home.path / "hosts.json").write_text("{}")
        heard(seen, "changed", section="status")


def test_a_silent_authority_delays_nothing_that_is_here(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's server hangs; this user's own inbox rings all the same."""
    monkeypatch.setattr(directory, "EACH_SECONDS", 60.0)
    with contextlib.ExitStack() as hanging:
        url = hanging.enter_context(silent_authority())
        world.hospital._keep("authorities.json", {url: SigningKey.generate().did})
        with watched(world.hospital) as seen:
            ask(world)
            heard(seen, "asked")
            hanging.close()


# --- readers ----------------------------------------------------------------------------------------


def test_a_slow_reader_loses_events_and_learns_that_it_did() -> None:
    """A laptop that sleeps must not fill the server's memory."""
    listener = Listener(lambda: None)
    for number in range(3 * MAX_QUEUED):
        listener.put(Event(type="run", id=str(number)))
    found = listener.take()
    assert len(found) <= MAX_QUEUED
    assert HELLO in found
    assert found[-1].id == str(3 * MAX_QUEUED - 1)


def test_an_event_that_waits_is_not_told_twice() -> None:
    """A hundred changes of a list are one reason to ask for it."""
    listener = Listener(lambda: None)
    for _ in range(100):
        listener.put(Event(type="changed", section="runs"))
    assert len(listener.take()) == 1


# --- the stream -------------------------------------------------------------------------------------


def test_the_stream_of_a_server_rings_for_a_request(world: World) -> None:
    """From a kernel's question to the browser's notification, through three processes."""
    with lab_server(world.root) as server, server.listening("hospital") as events:
        ask(world)
        told = events.wait("asked")
        assert told["words"] == "analyst asks for patients: heart study"
        assert server.get("status?persona=hospital")["waiting"] == 1
        assert server.get("status?persona=analyst")["waiting"] == 0


def test_a_page_that_goes_away_is_not_looked_for(world: World) -> None:
    """A closed tab costs nothing; the next one begins anew."""
    with lab_server(world.root, before=_COUNTED) as server:
        for _ in range(3):
            with httpx.stream("GET", f"{server.url}/{API}/events", headers={"Authorization": f"token {TOKEN}"}) as told:
                assert "hello" in next(told.iter_lines())
        until(lambda: "0 watch" in server.log.rpartition("threads: ")[2], "the last watch has ended", 60)
        assert server.get("about")["api"] == 1


_COUNTED = """
import sys, threading
def count():
    found = [one for one in threading.enumerate() if one.name.startswith("sls-watch")]
    print("threads:", len(found), "watch", file=sys.stderr, flush=True)
    again = threading.Timer(0.5, count)
    again.daemon = True
    again.start()
count()
"""


@needs_sandbox
def test_the_agents_run_is_told_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """No kernel lives, and the panel shows how far it is."""
    with agent_home(monkeypatch) as home:
        owner, analyst = home.session("hospital"), home.session("analyst")
        home.seal(owner, analyst)
        with lab_server(home.root) as server, server.listening("analyst") as events:
            run = start(analyst, "import time; time.sleep(2); x = patients.head()", outputs=["x"])
            events.wait("run", id=run.id)
            ended(run)
            assert events.wait("ended", id=run.id)["words"] == f"Run {run.id} on patients: done"
            assert len(events.of("run", id=run.id)) >= 3, "more than its beginning and its end"
