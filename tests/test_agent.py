"""The agent, real: it is one, it ends when nothing needs it, and runs and authorities outlive who asked for them."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_kit import AgentHome, agent_home, ended, lives, start
from e2e import files, needs_sandbox, sightings, until

import sls_jupyter
from sls_jupyter import network
from sls_jupyter.agent import starting
from sls_jupyter.agent.client import AgentClient
from sls_jupyter.authority import embedded
from sls_jupyter.authority.embedded import is_served
from sls_jupyter.errors import BadInput, RunLost, Unavailable, UnknownName
from sls_jupyter.identity import Home
from sls_jupyter.network import NotReached
from sls_jupyter.session import Session

pytestmark = needs_sandbox
SLOW = "import time\nfor i in range(40): print(i, flush=True); time.sleep(0.1)\nx = patients.groupby('sex').age.mean().reset_index()"
HELLO = "print('inside')\nx = patients.head(3)"


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[AgentHome]:
    with agent_home(monkeypatch) as made:
        yield made


def people(home: AgentHome, **options: Any) -> tuple[Session, Session]:
    owner, analyst = home.session("hospital"), home.session("analyst")
    home.seal(owner, analyst, **options)
    return owner, analyst


# --- one process ----------------------------------------------------------------------------------


def test_two_who_start_at_once_get_one_agent(home: AgentHome) -> None:
    """Two notebooks that open together would otherwise serve one authority twice."""
    Home(home.root, "me").identity()
    code = "import pathlib, sys; from sls_jupyter.agent import starting; print(starting.ensure(pathlib.Path(sys.argv[1])).pid)"
    starters = [
        subprocess.Popen([sys.executable, "-c", code, str(home.root)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    told = {one.communicate(timeout=120)[0].strip() for one in starters}
    found = home.agent()
    assert found is not None
    assert told == {str(found.pid)}


def test_it_has_nothing_of_who_started_it(home: AgentHome) -> None:
    """A terminal that closes, a folder that is unmounted, a pipe that somebody waits for."""
    starting.ensure(home.root)
    found = home.agent()
    assert found is not None
    process = Path(f"/proc/{found.pid}")
    assert process.joinpath("cwd").readlink() == Path("/")
    opened = {str(path.readlink()) for path in (process / "fd").iterdir() if path.exists()}
    assert not [path for path in opened if path.startswith("pipe:") and path not in _own_pipes(found.pid)]
    assert {str((process / "fd" / number).readlink()) for number in "012"} == {"/dev/null"}
    assert int(process.joinpath("stat").read_text().rpartition(")")[2].split()[3]) != os.getsid(0)
    assert (home.root / "agent").stat().st_mode & 0o777 == 0o700
    assert (home.root / "agent" / "log").stat().st_mode & 0o777 == 0o600


def _own_pipes(pid: int) -> set[str]:
    """Pipes of which the process has both ends."""
    found = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir() if path.exists()]
    return {path for path in found if found.count(path) > 1}


def test_it_ends_when_nothing_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process stays behind on a machine that nobody uses any more."""
    with agent_home(monkeypatch, idle=1.0) as home:
        owner, analyst = people(home, allow_code="reviewed")
        run = start(analyst, "x = 1", wait=True)
        until(lambda: owner.requests(waiting=True), "a request waits")
        owner.close(), analyst.close()
        home.sessions.clear()
        time.sleep(3)
        assert is_served(home.root / "agent")  # a run waits for approval
        watching = Session(owner.home)
        watching.background = home.session("hospital").background
        watching.deny(watching.requests(waiting=True)[0].id, "no")
        time.sleep(3)
        assert is_served(home.root / "agent")  # a notebook is open
        watching.close()
        until(lambda: not is_served(home.root / "agent"), "the agent ends", 60)  # to ask it would be a use of it
        assert Session(analyst.home).runs()[0].state == "failed", run


def test_it_ends_when_its_home_is_gone(home: AgentHome) -> None:
    """A demonstration's folder that is thrown away leaves no process."""
    pid = starting.ensure(home.root).pid
    shutil.rmtree(home.root)
    until(lambda: not lives(pid), "the agent ends", 30)


def test_another_version_is_replaced_when_it_is_idle_and_named_when_it_is_busy(
    home: AgentHome, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After an upgrade nobody has to know that there is an agent, unless it has work to do."""
    copy = tmp_path / "other" / "sls_jupyter"
    shutil.copytree(Path(sls_jupyter.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))

    def start_other() -> None:
        environment = home.environment() | {"PYTHONPATH": str(copy.parent)}
        subprocess.run([sys.executable, "-P", "-m", "sls_jupyter.agent"], env=environment, check=True, timeout=120)

    Home(home.root, "me").identity()
    start_other()
    other = home.agent()
    assert other is not None
    assert starting.ensure(home.root).pid != other.pid
    owner, analyst = people(home, allow_code="reviewed")
    run = start(analyst, HELLO, wait=True, outputs=["x"])
    until(lambda: "waiting for" in run.steps["approved"].detail, "it waits")
    analyst.close(), owner.close()
    starting.stop(home.root, force=True)
    start_other()  # it takes up what waits
    other = until(lambda: (one := home.agent()) and one.runs and one, "it drives the run")
    assert other.bound == ()
    assert starting.ensure(home.root).pid != other.pid  # and hands it over
    owner = home.session("hospital")
    owner.approve(until(lambda: owner.requests(waiting=True), "the request is there")[0].id)
    assert ended(home.session("analyst").attach(run.id)).error is None
    owner.close(), home.sessions[-1].close()
    starting.stop(home.root, force=True)
    start_other()
    busy = home.agent()
    assert busy is not None
    told = busy.model_copy(update={"bound": ("abc",), "keeps": ("run abc",)})
    with monkeypatch.context() as patched:
        patched.setattr(starting, "find", lambda _: told)
        with pytest.raises(Unavailable) as raised:
            starting.ensure(home.root)
    assert "sls agent stop" in raised.value.hint
    assert "run abc" in str(raised.value.found)


def test_a_start_that_fails_says_why(home: AgentHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no silent fall-back: runs would end with their kernel and nobody would know."""
    monkeypatch.setenv("SLS_AGENT_IDLE", "never")
    owner = home.session("hospital")
    with pytest.raises(Unavailable, match="cannot be started") as raised:
        owner.own_authority()
    assert "SLS_AGENT_IDLE is no time" in str(raised.value.found)
    monkeypatch.setenv("SLS_AGENT_IDLE", "60")
    owner.own_authority()


def test_where_nothing_can_be_started_all_is_in_the_process(home: AgentHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that allows no background process is no reason to fail; it is said once."""
    monkeypatch.setattr(subprocess, "run", _forbidden)
    owner, analyst = people(home)
    assert ended(start(analyst, HELLO, outputs=["x"])).state == "done"
    assert home.agent() is None
    assert owner.background is not None
    assert "no process can be started" in owner.background.why_not()


def _forbidden(*_: Any, **__: Any) -> Any:
    raise PermissionError(1, "Operation not permitted")


def test_another_user_s_process_is_no_client_and_no_agent(home: AgentHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket's folder is closed to others; were it not, the system's word on the other end would still hold."""
    starting.ensure(home.root)
    client = AgentClient(home.root / "agent")
    assert client.about().home == str(home.root)
    client.close()
    monkeypatch.setattr(network, "peer_is_us", lambda _: False)
    with pytest.raises(NotReached):
        AgentClient(home.root / "agent").about()


# --- runs -----------------------------------------------------------------------------------------


def test_a_run_is_followed_by_two_from_anywhere(home: AgentHome) -> None:
    """A second kernel sees all of it, from the start, while it goes on and when it is over."""
    _, analyst = people(home)
    run = start(analyst, SLOW, outputs=["x"])
    until(lambda: run.steps["running"].state == "active", "the cell runs", 60)
    other = home.session("analyst")
    (record,) = other.runs()
    assert (record.state, record.now) == ("running", "running")
    second = other.attach(run.id)
    seen = [list[Any](), list[Any]()]
    threads = [
        threading.Thread(target=lambda one=one, mine=mine: mine.extend(e for e in one.follow() if e["type"] != "tick"))
        for one, mine in zip((run, second), seen, strict=True)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert seen[0] == seen[1]
    assert "".join(e["text"] for e in seen[0] if e["type"] == "stream").split() == [str(i) for i in range(40)]
    assert len(second.outputs["x"]) == 2
    assert second.receipt is not None
    assert second.receipt.id == run.receipt.id  # type: ignore[union-attr]
    third = home.session("analyst").attach(run.id)
    assert [e for e in third.follow() if e["type"] != "tick"] == seen[0]
    with pytest.raises(UnknownName, match="over"):
        other.cancel(run.id)


def test_the_same_contract_is_one_run(home: AgentHome) -> None:
    """A call that is made again because its answer was lost starts nothing twice, not even after the end."""
    _, analyst = people(home)
    request = analyst.prepare(HELLO, ["patients"])
    first = analyst.run(request)
    assert home.session("analyst").run(request).id == first.id
    ended(first)
    assert ended(home.session("analyst").run(request)).state == "done"
    starting.stop(home.root, force=True)
    with pytest.raises(BadInput, match="launched already"):
        home.session("analyst").run(request)


def test_any_session_cancels(home: AgentHome) -> None:
    """The stop button of whichever kernel there is; the group is gone and the logs know."""
    _, analyst = people(home)
    run = start(analyst, "while True: pass")
    until(lambda: run.steps["running"].state == "active", "the cell runs", 60)
    assert home.session("analyst").cancel(run.id).state == "cancelled"
    assert ended(run).state == "cancelled"
    until(lambda: not home.containers(), "containers end", 15)


def test_what_a_run_gave_is_written_as_files(home: AgentHome, tmp_path: Path) -> None:
    """Figures and text too, by a session that did not see the run."""
    _, analyst = people(home)
    run = ended(start(analyst, HELLO + "\nx.plot.bar(x='sex', y='age')", outputs=["x"]))
    assert run.error is None
    names = [path.name for path in home.session("analyst").save_result(run.id, tmp_path / "new")]
    assert names[0] == "x.parquet"
    assert any(name.startswith("figure-") for name in names)
    assert "inside" in (tmp_path / "new" / "text.txt").read_text()


def test_the_agent_is_not_stopped_under_a_run_unless_forced(home: AgentHome) -> None:
    """Who stops it reads what would end."""
    _, analyst = people(home)
    run = start(analyst, "while True: pass")
    until(lambda: run.steps["running"].state == "active", "the cell runs", 60)
    with pytest.raises(BadInput, match="drives runs") as raised:
        starting.stop(home.root, force=False)
    assert run.id in str(raised.value.found)
    starting.stop(home.root, force=True)
    assert ended(run).state == "cancelled"


def test_an_agent_that_is_killed_loses_its_runs_and_nothing_else(home: AgentHome) -> None:
    """Containers end with it, a run without an end is called lost, and what waited for a person goes on waiting."""
    owner, analyst = people(home)
    home.seal(owner, analyst, "guarded", allow_code="reviewed")
    going = start(analyst, "while True: pass")
    until(lambda: going.steps["running"].state == "active", "the cell runs", 60)
    waiting = start(analyst, "y = guarded.head(2)", inputs=("guarded",), outputs=["y"], wait=True)
    until(lambda: "waiting for hospital" in waiting.steps["approved"].detail, "it waits")
    sealed = next(home.root.glob(f"personas/analyst/runs/{waiting.id}/waiting.sealed")).read_bytes()
    assert b"guarded.head" not in sealed
    damaged = start(analyst, "z = 1", inputs=("guarded",), wait=True)
    until(lambda: "waiting for hospital" in damaged.steps["approved"].detail, "it waits")
    home.kill_agent()
    (home.root / f"personas/analyst/runs/{damaged.id}/waiting.sealed").write_bytes(sealed)  # of another run
    until(lambda: not home.containers(), "containers end", 15)
    assert isinstance(ended(going).error, RunLost)
    state = {one.id: one.state for one in home.session("analyst").runs()}
    assert state[going.id] == "lost: its agent ended"
    with pytest.raises(UnknownName, match="over"):
        home.session("analyst").cancel(going.id)
    owner = home.session("hospital")
    for one in until(lambda: owner.requests(waiting=True), "the authority is there again"):
        owner.approve(one.id)
    assert ended(waiting).error is None
    assert len(waiting.outputs["y"]) == 2
    assert [step.state for step in waiting.steps] == ["done"] * 9
    (record,) = [one for one in home.session("analyst").runs() if one.id == damaged.id]
    assert (record.state, "does not open" in record.reason) == ("failed", True)
    late = home.session("analyst").attach(going.id)
    assert isinstance(ended(late).error, RunLost)
    assert "audit" in ended(late).error.hint  # type: ignore[union-attr]


def test_a_run_goes_on_waiting_while_an_owner_is_away(home: AgentHome) -> None:
    """The owner's machine sleeps overnight as well."""
    owner, analyst = people(home, allow_code="reviewed")
    run = start(analyst, HELLO, wait=True)
    until(lambda: "waiting for hospital" in run.steps["approved"].detail, "it waits")
    starting.stop(home.root, force=True)
    lock = until(lambda: embedded.take_lock(owner.home.path / "authority"), "the authority is away")
    try:
        until(lambda: "not reached" in run.steps["planned"].detail, "it is taken up, and asks in vain", 90)
        assert run.state == "running"
    finally:
        os.close(lock)
    owner = home.session("hospital")
    owner.approve(until(lambda: owner.requests(waiting=True), "the authority is there again")[0].id)
    assert ended(run).error is None


# --- what is kept ---------------------------------------------------------------------------------


def test_nothing_that_a_run_showed_is_on_disk_or_in_the_log(home: AgentHome) -> None:
    """A disk thief finds neither what a cell printed nor what it returned nor what its error said."""
    canary, control = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    half = len(canary) // 2
    made = f"{canary[:half]!r} + {canary[half:]!r}"
    _, analyst = people(home, full_errors=True)
    cell = f"s = {made}\nprint(s)\nx = pd.DataFrame({{'s': [s]}})\nx"
    run = ended(start(analyst, cell, outputs=["x"], purpose=control))
    failed = ended(start(analyst, f"raise ValueError({made})"))
    assert canary in str(failed.error)
    assert run.outputs["x"]["s"][0] == canary
    again = home.session("analyst").attach(run.id)
    assert any(canary in str(event) for event in again.follow())
    starting.stop(home.root, force=True)
    assert sightings({"output": canary}, files(home.root)) == set()
    assert sightings({"purpose": control}, files(home.root)), "the search finds what is there"


# --- authorities ----------------------------------------------------------------------------------


def test_an_authority_outlives_its_owner_s_session(home: AgentHome) -> None:
    """The owner's kernel restarts; analysts go on."""
    owner, analyst = people(home)
    owner.close()
    assert ended(start(analyst, HELLO)).error is None
    again = home.session("hospital")
    assert [one.name for one in again.assets()] == ["patients"]
    assert again.unreachable() == ""


def test_a_port_that_another_program_holds_is_told(home: AgentHome) -> None:
    """Sessions work all the same; groups and other people do not reach the authority, and the owner reads why."""
    owner, _ = people(home)
    starting.stop(home.root, force=True)
    port = int((owner.home.path / "authority" / "port").read_text())
    with contextlib.closing(embedded.listen(port)):
        again = home.session("hospital")
        assert [one.name for one in again.assets()] == ["patients"]
        assert f"Port {port} of your authority is held by another program" in again.unreachable()


def test_an_authority_is_left_to_who_serves_it_as_a_service(home: AgentHome) -> None:
    """`sls authority serve` takes the place of the agent, and the agent does not take it back."""
    owner, analyst = people(home)
    command = [sys.executable, "-m", "sls_jupyter.cli", "authority", "serve", "--persona", "hospital"]
    with subprocess.Popen(
        [*command, "--accept-simulated", "self"], env=home.environment(), stdout=subprocess.PIPE, text=True
    ) as service:
        try:
            assert service.stdout is not None
            while (line := service.stdout.readline()) and "Interrupt" not in line:
                pass
            assert line
            analyst._reachable = (-3600.0, [])
            assert [one.name for one in analyst.assets()] == ["patients"]
            assert owner.own_authority().about().owner == owner.did
            assert ended(start(analyst, HELLO)).error is None
        finally:
            service.terminate()
