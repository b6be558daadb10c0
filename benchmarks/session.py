"""A warm cell against the same cell in a plain local kernel, and where its time goes.

Both sides keep one kernel and run the same cells in turn, so that a noisy machine is noisy to both. A warm cell is
ordered, granted by its owner's authority, verified at both doors, run, judged, sealed, opened and held against its receipt,
which the authority has logged. Then a whole notebook of cells in one session against as many runs of their own. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from e2e import World
    from session_kit import Notebook

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
TRIVIAL, SECOND = "x = 1 + 1", "import time; time.sleep(1)"


@contextmanager
def plain_kernel() -> Iterator[Callable[[str], float]]:
    """Seconds of one cell in a plain local kernel."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3")

    def run(code: str) -> float:
        start = time.perf_counter()
        client.execute_interactive(code, timeout=60, output_hook=lambda _: None)
        return time.perf_counter() - start

    try:
        yield run
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


class Timed:
    """Adds up the seconds of some functions, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def watch(self, owner: object, name: str, label: str) -> None:
        """Count the calls of ``owner.name``."""
        inner = getattr(owner, name)

        def timed(*args: object, **options: object) -> object:
            start = time.perf_counter()
            try:
                return inner(*args, **options)
            finally:
                self.seconds[label] = self.seconds.get(label, 0.0) + time.perf_counter() - start

        setattr(owner, name, timed)


def median_of(world: World, rounds: int) -> None:
    """One warm cell against the same cell in a plain kernel."""
    from session_kit import Notebook

    from sls_jupyter.contract.spec import SessionTerms
    from sls_jupyter.safestream import warm

    terms = SessionTerms(cells=4 * rounds + 10, idle_seconds=600, wall_seconds=3600)
    cells, spent = Notebook(world.analyst, terms=terms), Timed()
    for name, label in (
        ("ask_cells", "ask the authority"),
        ("await_receipt", "fetch the receipt"),
        ("judge_own", "verify the receipt"),
    ):
        spent.watch(warm, name, label)
    start = time.perf_counter()
    cells.start(TRIVIAL).wait()
    print(f"first cell, launch and all    {time.perf_counter() - start:7.3f} s")
    spent.watch(cells.warm._doors.out, "post", "order to the out-door")
    spent.watch(cells.warm._doors.into, "post", "order to the in-door")
    spent.watch(cells.warm._doors.out, "result_for", "fetch the result")
    spent.watch(cells.warm, "_follow_cell", "the cell, to its end")
    with plain_kernel() as plain:
        for code, count in ((TRIVIAL, rounds), (SECOND, max(3, rounds // 5))):
            compare(cells, plain, spent, code, count)
    cells.warm.close()


def compare(cells: Notebook, plain: Callable[[str], float], spent: Timed, code: str, rounds: int) -> None:
    plain(code), cells.start(code).wait()
    spent.seconds.clear()
    bare, ours, busy = [], [], 0.0
    for _ in range(rounds):
        bare.append(plain(code))
        start, used = time.perf_counter(), time.process_time()
        run = cells.start(code).wait()
        ours.append(time.perf_counter() - start)
        busy += time.process_time() - used
        assert run.receipt is not None, run.summary
    one, other = statistics.median(ours), statistics.median(bare)
    print(f"{code!r}, {rounds} rounds, medians")
    print(f"  plain kernel                {other * 1000:7.1f} ms")
    print(f"  warm cell                   {one * 1000:7.1f} ms")
    print(f"  overhead                    {(one - other) * 1000:7.1f} ms   ratio {one / other:.2f}")
    print(f"  processor time here         {busy / rounds * 1000:7.1f} ms   (notebook and authority)")
    for label, seconds in spent.seconds.items():
        print(f"    {label:<26}{seconds / rounds * 1000:7.1f} ms")


def forty(world: World, cells: int, cold: int) -> None:
    """A notebook of so many cells in one session, against as many runs of their own.

    Args:
        cold: how many of those are run; their sum is taken for all.
    """
    session = world.analyst
    codes = [f"x{number} = {number}" for number in range(cells)]

    def warm() -> float:
        start = time.perf_counter()
        session.open_session("forty", session.prepare_session(["free"]))
        for code in codes:
            session.run_cell("forty", code).wait()
        session.close_session("forty")
        return time.perf_counter() - start

    def alone() -> float:
        start = time.perf_counter()
        for code in codes[:cold]:
            session.run(session.prepare(code, ["free"])).wait()
        return (time.perf_counter() - start) * cells / cold

    one, other = warm(), alone()
    print(f"{cells} cells in one session, opened and closed  {one:7.2f} s   ({one / cells * 1000:.0f} ms a cell)")
    print(f"{cells} runs of their own (of {cold})             {other:7.2f} s   ratio {other / one:.1f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--cells", type=int, default=40)
    parser.add_argument("--cold", type=int, default=8, help="runs of their own that are measured")
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="sls-bench-"))
    os.environ |= {"SLS_HOME": str(root), "SLS_AGENT": "0"}

    from e2e import World

    world = World(root)
    world.seal("free", kinds="table,text,figure", full_errors=True)
    median_of(world, options.rounds)
    forty(world, options.cells, options.cold)
    world.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
