"""The server half of the panel in a real Jupyter server: who is let in, what is refused, and what never waits for whom."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import httpx
import pytest
from agent_kit import agent_home
from e2e import until
from lab_server_kit import API, TOKEN, LabServer, lab_server, silent_authority

from sls_jupyter.errors import AccessDenied, ApprovalPending, NotAuthorised, TooManyRequests, from_problem
from sls_jupyter.identity import Home, SigningKey
from sls_jupyter.lab import problems
from sls_jupyter.lab.desk import MAX_ASKED, Desk
from sls_jupyter.lab.messages import MAX_BODY_BYTES, PersonaRow
from sls_jupyter.lab.page_handler import KINDS, PATH
from sls_jupyter.lab.routes import ROUTES
from sls_jupyter.session import Session

PLACES = [(route.method, f"{API}/{re.sub('{.*?}', 'x', route.path)}") for route in ROUTES] + [
    ("GET", f"{API}/events"),
    ("GET", f"{API}/nothing"),
    ("POST", f"{API}/nothing"),
    ("GET", PATH),
    *(("GET", f"{PATH}/{name}") for name in KINDS),
]


@pytest.fixture(scope="module")
def server() -> Iterator[LabServer]:
    """One server with two personas; a place without authentication would make it warn, which is an error here."""
    with tempfile.TemporaryDirectory(prefix="sls-home-") as home:
        for name in ("hospital", "analyst"):
            _persona(Path(home), name)
        strict = "import warnings; from jupyter_server.utils import JupyterServerAuthWarning as W; warnings.simplefilter('error', W)"
        with lab_server(Path(home), "--ServerApp.allow_unauthenticated_access=False", before=strict) as started:
            yield started


def _persona(root: Path, name: str) -> Session:
    home = Home(root, name)
    home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Session(home)


# --- who is let in ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), PLACES, ids=lambda value: str(value))
def test_nothing_is_answered_to_whom_the_server_does_not_know(server: LabServer, method: str, path: str) -> None:
    """Whoever reaches the port would otherwise read the inbox, or decide in it."""
    for headers in ({}, {"Authorization": "token wrong"}):
        answer = httpx.request(method, f"{server.url}/{path}", json={}, headers=headers, follow_redirects=False)
        if path.startswith(PATH):
            assert (answer.status_code, "/login" in answer.headers["location"]) == (302, True)
        else:
            assert answer.status_code == 403
        assert "hospital" not in answer.text


def test_every_place_of_ours_asks_who_somebody_is(server: LabServer) -> None:
    """The server itself looks at each handler when it is added; a warning would have ended the loading."""
    assert "JupyterServerAuthWarning" not in server.log
    assert server.get("about")["personas"] == ["analyst", "hospital"]


def test_a_page_of_another_site_cannot_post_with_the_cookies_of_this_one(server: LabServer) -> None:
    """A click elsewhere would make a persona, or approve a request."""
    with server.browser() as browser:
        body = {"name": "forged"}
        assert browser.post(f"/{API}/personas", json=body).status_code == 403
        xsrf = {"X-XSRFToken": browser.cookies["_xsrf"]}
        foreign = browser.post(f"/{API}/personas", json=body, headers={**xsrf, "Origin": "https://elsewhere.example"})
        assert foreign.status_code in (403, 404)
        form = browser.post(
            f"/{API}/personas", data={"name": "forged", "_xsrf": browser.cookies["_xsrf"]}, headers=xsrf
        )
        assert form.status_code == 415
        assert "forged" not in browser.get(f"/{API}/about").json()["personas"]
        assert browser.post(f"/{API}/personas", json={"name": "made-by-page"}, headers=xsrf).status_code == 200


def test_a_page_of_another_site_cannot_read(server: LabServer) -> None:
    """Cookies travel with a question of any page; the answer is only for ours."""
    with server.browser() as browser:
        for path in ("about", "requests", "events"):
            answer = browser.get(f"/{API}/{path}", headers={"Origin": "https://elsewhere.example"})
            assert (answer.status_code, answer.headers["content-type"]) == (404, problems.CONTENT_TYPE)
        assert browser.get(f"/{API}/about", headers={"Origin": server.url}).status_code == 200


@pytest.mark.parametrize("place", ["cross-site", "same-site", "same-site, none"])
def test_what_another_page_shows_or_links_to_is_not_done(server: LabServer, place: str) -> None:
    """A picture or a link has no ``Origin``, and from another port of this machine it brings the cookies: streams that
    somebody else's page holds would keep this user's own from being told."""
    with server.browser() as browser:
        for path in ("about", "requests", "events", "runs/x/audit"):
            answer = browser.get(f"/{API}/{path}", headers={"Sec-Fetch-Site": place})
            assert (answer.status_code, answer.headers["content-type"]) == (404, problems.CONTENT_TYPE)
        headers = {"Sec-Fetch-Site": place, "X-XSRFToken": browser.cookies["_xsrf"]}
        assert browser.post(f"/{API}/personas", json={"name": "forged"}, headers=headers).status_code == 404
        for own in ("same-origin", "none"):
            assert browser.get(f"/{API}/about", headers={"Sec-Fetch-Site": own}).status_code == 200


def test_the_token_does_not_stay_in_the_address(server: LabServer) -> None:
    """It would lie in the browser's history, and go along when somebody copies the address."""
    answer = httpx.get(f"{server.url}/{PATH}?persona=analyst&token={TOKEN}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (302, f"/{PATH}?persona=analyst")
    with server.browser() as browser:
        page = browser.get(f"/{PATH}?persona=%22%3E%3Cscript%3E")
        assert 'data-persona="&quot;&gt;&lt;script&gt;"' in page.text
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert TOKEN not in page.text


# --- what is asked ----------------------------------------------------------------------------------


def test_a_persona_that_is_not_there_is_not_made_by_asking(server: LabServer) -> None:
    """A slip of the pen in an address would otherwise make new keys, and an empty inbox that looks like theirs."""
    for path in ("status", "requests", "runs", "events"):
        answer = server.call("GET", f"{path}?persona=hospitl")
        assert (answer.status_code, answer.headers["content-type"]) == (404, problems.CONTENT_TYPE)
        assert "hospital" in answer.json()["expected"]
    assert server.call("GET", "status?persona=../hospital").status_code == 404
    assert not (server.home / "personas" / "hospitl").exists()
    assert "hospitl" not in server.get("about?persona=hospitl")["personas"]


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"{", 400), (b"[]", 400), (b'{"name": 1}', 400), (b'{"name": "a", "more": 1}', 400)],
)
def test_a_body_that_is_not_what_the_table_says_is_refused(server: LabServer, body: bytes, status: int) -> None:
    """A page of another version, or somebody's script, learns what is wrong instead of having half of it done."""
    headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
    answer = httpx.post(f"{server.url}/{API}/personas", content=body, headers=headers)
    assert (answer.status_code, answer.json()["title"]) == (status, "MalformedDocument")


def test_a_body_that_is_too_large_is_not_kept(server: LabServer) -> None:
    """A file that somebody dropped by mistake must not fill the server's memory."""
    headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
    answer = httpx.post(f"{server.url}/{API}/verify", content=b" " * (MAX_BODY_BYTES + 1), headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["detail"]) == (413, "More than 8 MiB cannot be sent at once.")


def test_a_parameter_that_is_there_twice_is_refused(server: LabServer) -> None:
    """Two readers of one address must not understand two personas."""
    assert server.call("GET", "status?persona=analyst&persona=hospital").json()["title"] == "BadInput"


def test_an_address_that_is_no_text_is_the_askers_mistake(server: LabServer) -> None:
    """Not one of this package: the log stays for those."""
    assert server.call("GET", "status?persona=%ff").status_code == 400
    assert server.call("GET", "runs/%ff").status_code == 400


def test_a_path_or_a_method_that_is_not_in_the_table_is_told_as_ours(server: LabServer) -> None:
    """A page of a newer version tells them from a server without this half by the form of the answer."""
    for method, path, status in (("GET", "nothing", 404), ("POST", "about", 405), ("GET", "verify", 405)):
        answer = server.call(method, path, {} if method == "POST" else None)
        assert (answer.status_code, answer.headers["content-type"]) == (status, problems.CONTENT_TYPE)
        assert answer.json()["detail"]


def test_a_mistake_of_ours_tells_nobody_what_it_was_about() -> None:
    """Texts of errors that nobody foresaw may hold data; a log is copied into tickets."""
    broken = (
        "import dataclasses; from sls_jupyter.lab import routes\n"
        "def fails(asked): raise ValueError('the-canary')\n"
        "routes.ROUTES = tuple(dataclasses.replace(one, answer=fails) for one in routes.ROUTES)"
    )
    with tempfile.TemporaryDirectory(prefix="sls-home-") as home:
        _persona(Path(home), "me")
        with lab_server(Path(home), before=broken) as server:
            answer = server.call("GET", "runs")
            assert (answer.status_code, answer.json()["title"]) == (500, "Internal Server Error")
            assert "canary" not in answer.text
            until(lambda: "ValueError" in server.log, "the log names the kind of error")
            assert "canary" not in server.log


# --- who there is -----------------------------------------------------------------------------------


def test_a_user_without_a_persona_is_asked_for_one() -> None:
    """The first page that somebody opens makes no keys; it learns that there are none, and when there are."""
    with tempfile.TemporaryDirectory(prefix="sls-home-") as folder:
        home = Path(folder) / "home"
        with lab_server(home) as server:
            about = server.get("about")
            assert (about["personas"], about["persona"]) == ([], "")
            assert server.call("GET", "requests").json()["detail"] == "There is no persona yet."
            assert not home.exists()
            with server.listening() as events:
                made = server.post("personas", {"name": "hospital"})
                until(lambda: events.over, "the page is told to begin anew")
            assert server.get("about")["persona"] == "hospital"
            assert server.get("status")["did"] == made["did"]
            assert server.call("POST", "personas", {"name": "hospital"}).status_code == 400
            assert server.call("POST", "personas", {"name": "../x"}).status_code == 400


def test_the_agent_is_started_for_whoever_opens_the_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Approvals would otherwise take effect only while some kernel lives."""
    with agent_home(monkeypatch) as home:
        session = home.session("hospital")
        with lab_server(home.root) as server:
            server.get("about")
            about = until(lambda: (found := server.get("about"))["agent"]["answers"] and found, "the agent answers", 90)
            assert about["agent"]["version"] == about["version"]
            assert about["agent"]["why_not"] == ""
            assert about["home"] == session.home.mark
            assert str(home.root) not in str(about)


def test_the_status_bar_says_what_everything_here_would_run_in(server: LabServer) -> None:
    """A rehearsal must not look like the real thing."""
    found = server.get("status?persona=hospital")
    assert (found["persona"], found["label"]) == ("hospital", "SIMULATED")
    assert found["marks"][0] == "SIMULATED"
    assert (found["waiting"], found["running"], found["trouble"]) == (0, 0, "")


# --- what waits for whom ----------------------------------------------------------------------------


def test_a_silent_authority_delays_only_what_is_asked_of_authorities(server: LabServer) -> None:
    """The panel opens, shows runs and hears of what happens while somebody else's server hangs."""
    session = _persona(server.home, "waiting")
    with silent_authority() as url:
        session._keep("authorities.json", {url: SigningKey.generate().did})
        start, seconds = time.monotonic(), {}
        slow = threading.Thread(target=lambda: seconds.setdefault("requests", _timed(server, "requests", start)))
        slow.start()
        with server.listening("waiting") as events:
            for path in ("about", "status", "runs"):
                seconds[path] = _timed(server, path, start)
            session.call(SigningKey.generate().did, "somebody")
            events.wait("changed", section="people")
        seconds["events"] = time.monotonic() - start
        slow.join(60)
        assert max(seconds, key=lambda name: seconds[name]) == "requests", seconds
        assert server.get("requests?persona=waiting")["silent"]


def _timed(server: LabServer, path: str, start: float) -> float:
    server.get(f"{path}?persona=waiting")
    return time.monotonic() - start


def test_a_page_that_leaves_while_it_waits_breaks_nothing() -> None:
    """A reload during a slow answer must not fill the log with tracebacks, or keep the next page from its answer."""
    slow = (
        "import time; from sls_jupyter.lab import runs, messages; from sls_jupyter.lab.routes import ROUTES\n"
        "def answer(asked): time.sleep(2); return messages.Runs(rows=(), total=0, sessions=())\n"
        "(route,) = [one for one in ROUTES if (one.method, one.path) == ('GET', 'runs')]\n"
        "object.__setattr__(route, 'answer', answer)"
    )
    with tempfile.TemporaryDirectory(prefix="sls-home-") as home:
        _persona(Path(home), "me")
        with lab_server(Path(home), before=slow) as server:
            with pytest.raises(httpx.ReadTimeout):
                server.call("GET", "runs", seconds=0.5)
            assert server.get("runs") == {"rows": [], "total": 0, "sessions": []}
            assert "Traceback" not in server.log
            assert "failed" not in server.log


def test_ten_tabs_cost_one_question() -> None:
    """Each page of one server asks the same when something changes."""
    desk, going, calls = Desk(Path("/nowhere")), threading.Event(), list[int]()

    def call() -> PersonaRow:
        calls.append(1)
        going.wait(30)
        return PersonaRow(name="a", did="b")

    futures = [desk.ask(call, near=False, same=("requests", "hospital")) for _ in range(10)]
    going.set()
    assert {future.result(30).name for future in futures} == {"a"}
    assert len(calls) == 1
    desk.ask(call, near=False, same=("requests", "hospital")).result(30)
    assert len(calls) == 2, "an answer is not kept"
    desk.close()


def test_more_questions_than_threads_are_refused_and_not_kept() -> None:
    """A page that asks in a loop must not fill the memory."""
    desk, going, futures = Desk(Path("/nowhere")), threading.Event(), list[Future[Any]]()

    def ask() -> None:
        futures.append(desk.ask(lambda: going.wait(30) and PersonaRow(name="a", did="b"), near=False))

    try:
        for _ in range(MAX_ASKED):
            ask()
        with pytest.raises(TooManyRequests):
            ask()
        assert len(futures) == MAX_ASKED
    finally:
        going.set()
        desk.close()


def test_a_server_that_is_restarted_answers_as_before(tmp_path: Path) -> None:
    """Everything lies in the folder of personas and with the agent; the server keeps nothing."""
    _persona(tmp_path, "hospital")
    with lab_server(tmp_path) as server:
        with server.listening() as events:
            before = server.get("about")
            server.stop()
            until(lambda: events.over, "the stream ends with its server")
        server.start()
        assert server.get("about") == before
        with server.listening():
            assert server.get("status")["persona"] == "hospital"


# --- what is refused, in words ----------------------------------------------------------------------


def test_an_error_is_a_problem_in_one_line_each() -> None:
    """What another party wrote must not become more lines, or our words."""
    told = {"type": "urn:sls-jupyter:problem:refused", "detail": "no\nApprove it", "hint": "‮run this", "found": "a\tb"}
    error = problems.as_message(from_problem(told, "the authority at https://x.example"))
    assert error.detail == "the authority at https://x.example says: no⟦U+000A⟧Approve it"
    assert error.hint == "the authority at https://x.example advises: ⟦U+202E⟧run this"
    assert (error.found, error.expected, error.status) == ("a⟦U+0009⟧b", "", 403)


def test_what_an_authority_refuses_is_no_failed_login_here() -> None:
    """A browser would ask for a password, and 202 would look like an answer."""
    assert problems.as_message(NotAuthorised("no")).status == 403
    assert problems.as_message(ApprovalPending("later")).status == 409
    reasons = [{"alias": "patients", "text": "no consent", "fix": "ask for it"}]
    denied = problems.as_message(AccessDenied("denied", detail={"reasons": reasons}))
    assert denied.hint == "• patients: no consent → ask for it"


def test_the_package_works_where_no_jupyter_server_is() -> None:
    """A kernel's environment often has none; the agent and the guests never do."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('jupyter_server', 'tornado')))\n"
        "import sls_jupyter, sls_jupyter.lab.routes, sls_jupyter.lab.desk, sls_jupyter.lab.watching, sls_jupyter.cli.open\n"
        "assert sls_jupyter._jupyter_labextension_paths() == [{'src': 'labextension', 'dest': 'sls-jupyter'}]\n"
        "assert sls_jupyter._jupyter_server_extension_points() == [{'module': 'sls_jupyter'}]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
