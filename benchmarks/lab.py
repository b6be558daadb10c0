"""What the panel in JupyterLab costs beside few and beside many assets and requests, in a real browser.

Usage: python benchmarks/lab.py [--small 50 200] [--large 500 2000] [--rounds 4] [--latencies 10] [--quiet 20]

A hospital with an agent, its authority, JupyterLab and Debian's Chromium; its assets are sealed and the requests, of one analyst,
are signed and submitted by the real calls. All requests wait for the hospital, which is the worst case. Each round is a new
window, so that every section is drawn for the first time. A section is drawn at the second frame after it is no longer busy.
The main thread's time is that of the whole page by Chromium's own count (``TaskDuration``), whoever used it: what JupyterLab
uses while nobody does anything is told beside it. ``ScriptDuration`` leaves out what goes on after a promise, and a section is
drawn after one: it says little. There are no runs here, so Runs and Receipts are empty. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
if TYPE_CHECKING:
    from lab_kit import Place, Tab

SECTIONS = ("Inbox", "Assets", "Runs", "Receipts", "People")
GROWING = ("Inbox", "Assets")  # whose rows are shown in pages
PURPOSE = "risk study"
OPEN = """([label, what]) => new Promise(resolve => {
  const panel = document.querySelector('#sls-panel .sls-panel');
  const tab = [...panel.querySelectorAll('[role=tab]')].find(one => one.textContent.startsWith(label));
  const section = document.getElementById(tab.getAttribute('aria-controls')).querySelector('.sls-section');
  const start = performance.now();
  const watcher = new MutationObserver(() => {
    if (section.hasAttribute('aria-busy')) return;
    watcher.disconnect();
    const done = () => resolve([performance.now() - start, section.querySelectorAll('.sls-rows > li').length]);
    requestAnimationFrame(() => requestAnimationFrame(done));
  });
  watcher.observe(section, {attributes: true, attributeFilter: ['aria-busy']});
  if (what === 'panel') window.jupyterapp.shell.activateById('sls-panel');
  else (what === 'more' ? section.querySelector('.sls-more button') : tab).click();
})"""
BADGE = """number => { window.slsBadge = new Promise(resolve => {
  const item = document.querySelector('.sls-status');
  const look = () => { if (item.textContent.endsWith(` ${number} waiting`)) { watcher.disconnect(); resolve(Date.now()); } };
  const watcher = new MutationObserver(look);
  watcher.observe(item, {childList: true, characterData: true, subtree: true});
  look();
}); }"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one thing that was done in a page: milliseconds, and what it asked the server for."""

    until_drawn: float
    main: float  # of the main thread
    script: float  # of it, in scripts
    layout: float  # of it, in style and layout
    calls: int
    kilobytes: float  # as they went over the line
    rows: int


@dataclass
class Meter:
    """Counts in one page."""

    tab: Tab
    ours: dict[str, str] = field(default_factory=dict)  # number of a request -> its path
    sizes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.devtools = self.tab.context.new_cdp_session(self.tab.page)
        self.devtools.on("Network.requestWillBeSent", self._sent)
        self.devtools.on("Network.loadingFinished", self._finished)
        for domain in ("Network", "Performance"):
            self.devtools.send(f"{domain}.enable")

    def _sent(self, event: dict[str, Any]) -> None:
        path = event["request"]["url"].partition("/sls_jupyter/v1/")[2].partition("?")[0]
        if path and path != "events":
            self.ours[event["requestId"]] = path

    def _finished(self, event: dict[str, Any]) -> None:
        if event["requestId"] in self.ours:
            self.sizes[event["requestId"]] = int(event["encodedDataLength"])

    def seconds(self) -> dict[str, float]:
        return {one["name"]: one["value"] for one in self.devtools.send("Performance.getMetrics")["metrics"]}

    def open(self, section: str, what: str = "tab") -> Cost:
        """Click, and wait until it is drawn."""
        self.ours.clear(), self.sizes.clear()
        before = self.seconds()
        took, rows = self.tab.page.evaluate(OPEN, [section, what])
        after = self.seconds()
        self.tab.page.wait_for_timeout(300)  # until what was finished is told
        used = {name: (after[name] - before[name]) * 1000 for name in after}
        layout = used["LayoutDuration"] + used["RecalcStyleDuration"]
        sent = sum(self.sizes.values()) / 1000
        return Cost(took, used["TaskDuration"], used["ScriptDuration"], layout, len(self.ours), sent, rows)

    def idle(self, seconds: float = 3.0) -> float:
        """Milliseconds of the main thread in one second while nobody does anything."""
        before = self.seconds()["TaskDuration"]
        self.tab.page.wait_for_timeout(seconds * 1000)
        return (self.seconds()["TaskDuration"] - before) * 1000 / seconds


# --- a home with much in it -----------------------------------------------------------------------


class Requests:
    """Requests of the analyst's, each for other code, submitted as a run submits them; nothing is launched."""

    def __init__(self, place: Place) -> None:
        self._session, self.count = place.analyst, 0

    def submit(self) -> float:
        """When it was begun, in seconds since 1970."""
        from sls_jupyter.safestream.request import ask_all

        code = f"ages = patients[patients.age > {self.count}].groupby('sex').age.mean()"
        request = self._session.prepare(code, ["patients"], outputs=["ages"], purpose=PURPOSE)
        clients, start = self._session._run_clients(request), time.time()
        assert ask_all(request, clients).verdict == "ask"
        self.count += 1
        return start


def fill(place: Place, assets: int, requests: int) -> Requests:
    """The asset that is there, and so many in all; so many requests."""
    from e2e import patients

    start, tiny = time.perf_counter(), patients(20)
    for number in range(assets - 1):
        place.hospital.seal(
            tiny, f"table{number:03}", requester=place.analyst.did, tee="simulated-snp", purpose=[PURPOSE]
        )
    sealed, made = time.perf_counter(), Requests(place)
    for _ in range(requests):
        made.submit()
    ended = time.perf_counter()
    print(f"{assets} assets sealed in {sealed - start:.0f} s, {requests} requests submitted in {ended - sealed:.0f} s")
    return made


# --- measuring ------------------------------------------------------------------------------------


def sections(place: Place, rounds: int) -> None:
    """Every section, drawn for the first time in a new window; then all rows of the long ones."""
    costs, idle = defaultdict[str, list[Cost]](list), list[float]()
    for number in range(rounds + 1):
        tab = place.window("hospital")
        meter = Meter(tab)
        tab.page.wait_for_timeout(1500)
        idle.append(meter.idle())
        found = {name: meter.open(name, "panel" if name == "Inbox" else "tab") for name in SECTIONS}
        for name in GROWING:
            tab.panel(name)
            found |= {f"{name}, {one.rows} rows": one for one in grown(meter, name)}
        tab.close()
        if number == 0:
            print(f"  the first window of this server: its Inbox after {found['Inbox'].until_drawn:.0f} ms")
            continue
        for name, cost in found.items():
            costs[name].append(cost)
    print(f"  main thread while nobody does anything: {statistics.median(idle):.1f} ms each second")
    print(
        "  milliseconds, least and median     drawn after    main thread         script      layout  calls     kB  rows"
    )
    for name, several in costs.items():
        times = [
            spread([getattr(one, what) for one in several]) for what in ("until_drawn", "main", "script", "layout")
        ]
        last = several[-1]
        print(f"    {name:<22}{'  '.join(times)}  {last.calls:>5}  {last.kilobytes:>6.1f}  {last.rows:>4}")


def grown(meter: Meter, section: str) -> list[Cost]:
    """``Show more`` until there is no more."""
    found, panel = list[Cost](), meter.tab.panel(section)
    while panel.locator(".sls-more button").count():
        found.append(meter.open(section, "more"))
    return found


def latency(place: Place, requests: Requests, times: int) -> None:
    """From the submission in this process to the badge of the hospital's window."""
    tab, found = place.window("hospital"), list[float]()
    tab.panel("Runs")
    for _ in range(times):
        tab.page.wait_for_timeout(1000 + random.random() * 1000)  # somewhere between two looks of the server
        tab.page.evaluate(BADGE, requests.count + 1)
        start = requests.submit()
        found.append(tab.page.evaluate("() => window.slsBadge") / 1000 - start)
    tab.close()
    print(
        f"  from submit to the badge, {times} times: median {statistics.median(found):.2f} s, worst {max(found):.2f} s"
    )


def hidden(place: Place, requests: Requests, seconds: float) -> None:
    """What a panel asks for that was open and is folded away, while a request comes each second."""
    tab = place.window("hospital")
    tab.panel("Assets"), tab.panel("Inbox").locator(".sls-rows > li").first.wait_for()
    tab.page.locator('li.lm-TabBar-tab[data-id="sls-panel"]').click()
    tab.page.locator("#sls-panel").wait_for(state="hidden")
    tab.page.wait_for_timeout(3000)
    tab.sent.clear()
    end, before = time.monotonic() + seconds, requests.count
    while time.monotonic() < end:
        requests.submit()
        tab.page.wait_for_timeout(1000)
    asked = Counter(tab.sent_to_us())
    tab.close()
    words = ", ".join(f"{path} {count}" for path, count in asked.items()) or "nothing"
    print(f"  a hidden panel, {seconds:.0f} s, {requests.count - before} requests came; it asked for: {words}")


def plain(place: Place, rounds: int) -> None:
    """The same list without the panel: in a kernel of its own, and by the session's own call."""
    from notebook_kit import Kernel

    kernel = Kernel(place.home.environment())
    assert kernel.run("%load_ext sls_jupyter\n%sls as hospital", timeout=120).error == ""
    several = [timed(lambda: kernel.run("%sls requests", timeout=120)) for _ in range(rounds + 1)]
    kernel.stop()
    print(f"  %sls requests in a kernel              {spread(several[1:])} ms, the first time {several[0]:.0f}")
    for words, options in (("session.requests(opened=False)", {"opened": False}), ("session.requests()", {})):
        session = place.home.session("hospital")
        calls = [timed(lambda: session.requests(**options)) for _ in range(rounds + 1)]  # noqa: B023
        print(f"  {words:<38} {spread(calls[1:])} ms, the first time {calls[0]:.0f}")


def pace() -> str:
    """How calm the machine is."""
    took = timed(lambda: sum(number * number for number in range(2_000_000)))
    return f"a loop of plain Python takes {took:.0f} ms now; load of the machine {os.getloadavg()[0]:.1f}"


def timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1000


def spread(values: list[float]) -> str:
    return f"{min(values):6.0f} {statistics.median(values):6.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, nargs=2, default=(50, 200), metavar=("ASSETS", "REQUESTS"))
    parser.add_argument("--large", type=int, nargs=2, default=(500, 2000), metavar=("ASSETS", "REQUESTS"))
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--latencies", type=int, default=10)
    parser.add_argument("--quiet", type=float, default=20.0, help="seconds that a hidden panel is listened to")
    options = parser.parse_args()
    os.environ.setdefault("SLS_AGENT", "0")  # as in the tests; the home of each size has an agent

    from lab_kit import CHROMIUM, two_people

    if CHROMIUM is None:
        print("There is no Chromium to look with (Debian: apt-get install chromium).")
        return 0
    for assets, requests in (options.small, options.large):
        print(pace())
        with tempfile.TemporaryDirectory(prefix="sls-bench-") as folder, two_people(Path(folder)) as place:
            made = fill(place, assets, requests)
            sections(place, options.rounds)
            latency(place, made, options.latencies)
            hidden(place, made, options.quiet)
            plain(place, options.rounds)
    print(pace())
    return 0


if __name__ == "__main__":
    sys.exit(main())
