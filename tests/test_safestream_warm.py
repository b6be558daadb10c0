"""Warm sessions, whole: variables stay, inputs and keys come once, and whatever happens to a cell is told and chained."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from typing import Any

import pytest
from e2e import LIMITS, World, container, finish, needs_sandbox, until, world
from session_kit import Notebook, notebook

from sls_jupyter.contract.cells import CellOrder
from sls_jupyter.contract.spec import SessionTerms
from sls_jupyter.documents import sign
from sls_jupyter.errors import (
    ApprovalPending,
    BadInput,
    CellRunning,
    DigestMismatch,
    LimitExceeded,
    MalformedDocument,
    OutputWithheld,
    ProgramFailed,
    RunCancelled,
    RunFailed,
    SessionOver,
    SlsError,
    Unavailable,
)
from sls_jupyter.transparency.proofs import verify_log_proof

__all__ = ["world"]
pytestmark = needs_sandbox


def test_cells_of_a_session_share_their_variables_and_inputs(world: World) -> None:
    """A data scientist looks, changes a line and looks again: nothing is read or released a second time."""
    with notebook(world.analyst) as cells:
        assert cells.printed("adults = free[free.age >= 18]; print(len(adults))") == "300\n"
        ended = cells.do("risk = adults.outcome.mean() + shift", ["risk"], shift=1.0)
        assert ended.outputs["risk"] == pytest.approx(4 / 3)
        assert cells.printed("print(risk > 1)") == "True\n"
        history = world.hospital.own_authority().history(cells.request.spec.digest, cell=3)
        kinds = [verify_log_proof(one.proof, expected_log=None).kind for one in history.entries]
        assert kinds.count("key.released") == 1
    assert (cells.warm.state, cells.warm.closed_reason, cells.warm.audited) == ("closed", "asked", True)


def test_receipts_are_chained(world: World) -> None:
    """An auditor sees every cell of a session and that none is left out."""
    with notebook(world.analyst) as cells:
        runs = [cells.do(f"print({number})").run for number in range(3)]
    found = [run.receipt for run in runs]
    assert all(one is not None for one in found)
    stated = [one.verdict.predicate.cell.previous for one in found]
    assert stated == [None, found[0].id, found[1].id]
    assert len({one.id for one in found}) == 3


def test_a_cell_that_raises_leaves_the_session_usable(world: World) -> None:
    """A typo does not cost an hour of variables."""
    with notebook(world.analyst) as cells:
        cells.printed("x = 5")
        failed = cells.do("x = 6\n1 / 0\nx = 7")
        assert isinstance(failed.error, ProgramFailed)
        assert "ZeroDivisionError" in str(failed.error)
        assert failed.run.receipt is not None
        assert cells.printed("print(x)") == "6\n"


def test_an_interrupted_cell_leaves_the_session_usable(world: World) -> None:
    """Stop ends a cell that takes too long, and nothing else."""
    with notebook(world.analyst) as cells:
        cells.printed("x = 5")
        run = cells.start("import time\nprint('here')\nfor _ in range(600): time.sleep(0.1)")
        until(lambda: run.steps["running"].state == "active", "the cell runs")
        time.sleep(0.3)
        run.cancel()
        assert isinstance(run.error, RunCancelled)
        cells.warm.interrupt()  # nothing runs
        assert cells.printed("print(x)") == "5\n"
        late = cells.start("import time\ntime.sleep(1)\nprint('whole')")
        until(lambda: late.steps["running"].state == "active", "the cell runs")
        doors = cells.warm._doors
        assert doors is not None
        doors.into.post("/v1/interrupt", {"cell": 2})  # meant for the cell before, and late
        with pytest.raises(MalformedDocument):
            doors.into.post("/v1/interrupt", {})
        assert [event["text"] for event in finish(late).of("stream")] == ["whole\n"]


def test_one_cell_at_a_time(world: World) -> None:
    """A second cell while one runs is refused, here and in the group."""
    with notebook(world.analyst) as cells:
        cells.printed("x = 1")
        run = cells.start("import time; time.sleep(1)")
        until(lambda: run.steps["running"].state == "active", "the cell runs")
        with pytest.raises(CellRunning):
            cells.start("print(1)")
        order = cells.order("print(1)")
        doors = cells.warm._doors
        assert doors is not None
        ordered = {"order": order.envelope.decode(), "grants": []}
        with pytest.raises(CellRunning, match="A cell is running"):
            doors.out.post("/v1/cells", ordered)
        with pytest.raises(CellRunning, match="A cell is running"):
            doors.into.post("/v1/cells", {**ordered, "code": "", "parameters": ""})
        run.wait()


def test_a_limit_ends_the_session_and_says_which(world: World) -> None:
    """The kernel is gone, and with it the variables; nobody pretends otherwise."""
    limits = LIMITS.model_copy(update={"wall_seconds": 12})
    with notebook(world.analyst, limits=limits) as cells:
        cells.printed("x = 1")
        ended = cells.do("import time; print('before', flush=True); time.sleep(60)")
        assert isinstance(ended.error, LimitExceeded)
        assert ended.error.detail["limit"] == "time"
        assert ended.of("stream")[0]["text"] == "before\n"
        assert ended.run.receipt is not None
        assert cells.warm.wait_closed(30)
        assert cells.warm.closed_reason == "limit"
        with pytest.raises(SessionOver):
            cells.start("print(x)")


@pytest.mark.parametrize(
    ("terms", "reason"),
    [({"idle_seconds": 6}, "idle"), ({"wall_seconds": 15}, "wall"), ({"cells": 1}, "cells")],
)
def test_a_session_ends_by_its_terms(world: World, terms: dict[str, int], reason: str) -> None:
    """A group that nobody uses costs nothing for long, and holds keys no longer than was granted."""
    fields = {"cells": 20, "idle_seconds": 60, "wall_seconds": 120}
    with notebook(world.analyst, terms=SessionTerms(**fields | terms)) as cells:
        assert cells.printed("print(1)") == "1\n"
        assert cells.warm.wait_closed(40)
        assert (cells.warm.state, cells.warm.closed_reason) == ("closed", reason)
        assert cells.warm.audited


def test_a_session_ends_a_cell_that_outlives_it(world: World) -> None:
    """The session's wall time holds within a cell too."""
    with notebook(world.analyst, terms=SessionTerms(cells=5, idle_seconds=60, wall_seconds=15)) as cells:
        cells.printed("x = 1")
        ended = cells.do("import time; time.sleep(60)")
        assert isinstance(ended.error, LimitExceeded)
        assert ended.error.detail["limit"] == "session time"
        assert cells.warm.wait_closed(30)
        assert cells.warm.closed_reason == "wall"


def test_what_leaves_is_bounded_over_the_session(world: World) -> None:
    """A hundred cells of allowed size each are a hundred times that size."""
    terms = SessionTerms(cells=5, idle_seconds=60, wall_seconds=60, output_bytes=2500)
    with notebook(world.analyst, terms=terms) as cells:
        cells.printed("print('x' * 1000)")
        cells.printed("print('x' * 1000)")
        ended = cells.do("print('x' * 1000)")
        assert isinstance(ended.error, LimitExceeded)
        assert ended.error.detail["limit"] == "session output"
        assert ended.of("stream") == []


LATER = """
import threading, time
def talk():
    time.sleep(0.3)
    for _ in range(10):
        print("secret between", flush=True)
        time.sleep(0.05)
thread = threading.Thread(target=talk); thread.start()
"""


def test_what_is_printed_between_cells_does_not_leave(world: World) -> None:
    """A thread that goes on has nobody's approval to speak in another cell; how often it tried is told."""
    with notebook(world.analyst) as cells:
        cells.do(LATER)
        time.sleep(5)
        ended = cells.do("thread.join(); print('mine')")
        assert "".join(event["text"] for event in ended.of("stream")) == "mine\n"
        assert ended.run.summary["withheld"]["between cells"] > 5


def test_owners_limits_hold_for_each_cell(world: World) -> None:
    """Groups of three and a thousand rows do not leave in the seventh cell either."""
    with notebook(world.analyst, ["guarded"]) as cells:
        first = cells.do("sizes = guarded.groupby('sex').outcome.mean().reset_index()", ["sizes"])
        assert len(first.outputs["sizes"]) == 2
        small = cells.do("few = guarded.groupby('age').outcome.mean().reset_index()", ["few"])
        assert len(small.outputs["few"]) == 0
        assert small.run.summary["withheld"]["small groups"] == 60
        raw = cells.do("rows = guarded.head()", ["rows"])
        assert isinstance(raw.error, OutputWithheld)
        assert len(cells.do("again = sizes.copy()", ["again"]).outputs["again"]) == 2


def test_a_killed_program_is_the_end_and_told(world: World) -> None:
    """A cell that ends its own process ends the session; its receipt says so."""
    with notebook(world.analyst) as cells:
        cells.printed("x = 1")
        ended = cells.do("import os; os._exit(3)")
        assert isinstance(ended.error, RunFailed)
        assert cells.warm.wait_closed(30)
        assert cells.warm.closed_reason == "died"


def test_a_host_that_ends_the_group_is_told(world: World) -> None:
    """Its operator can stop a session at any time; the cell that ran has an end, and a receipt that says so."""
    with notebook(world.analyst) as cells:
        cells.printed("x = 1")
        run = cells.start("import time; time.sleep(30)")
        until(lambda: run.steps["running"].state == "active", "the cell runs")
        os.kill(container("output"), signal.SIGKILL)
        with pytest.raises(SlsError):
            run.wait(30)
        assert cells.warm.wait_closed(40)
        assert cells.warm.closed_reason == "died"
        client = world.hospital.own_authority()
        assert client.history(cells.request.spec.digest, cell=2).receipt is not None


def test_the_guest_takes_no_cell_that_was_not_ordered_and_granted(world: World) -> None:
    """Whoever reaches the doors with the requester's key, or sits between, runs nothing that owners did not allow."""
    with notebook(world.analyst) as cells:
        cells.printed("x = 1")
        doors, order = cells.warm._doors, cells.order("print(2)")
        assert doors is not None
        granted = cells.warm._ask([*cells.warm.cells, order])
        good = {
            "order": order.envelope.decode(),
            "grants": [one.decode() for one in granted.cell_grants],
            "code": "print(2)",
            "parameters": "eyJmcmFtZXMiOnt9LCJ2YWx1ZXMiOnt9fQ==",
        }
        own = order.order.model_copy(update={"requester": world.hospital.did})
        forged = {"order": sign(CellOrder(**own.model_dump()), world.hospital.identity).decode()}
        for change, error, words in (
            (forged, SlsError, None),
            ({"grants": []}, SlsError, "has not granted"),
            ({"code": "print(3)"}, DigestMismatch, "cell"),
            ({"order": cells.warm.cells[0].envelope.decode()}, DigestMismatch, "not the next cell"),
            ({"parameters": ""}, DigestMismatch, "parameters"),
        ):
            with pytest.raises(error, match=words):
                doors.into.post("/v1/cells", good | change)
        with pytest.raises((BadInput, SlsError)):
            doors.into.post("/v1/cells", {"code": "print(3)", "parameters": ""})
        ended = cells.do("print(x)")
        assert "".join(event["text"] for event in ended.of("stream")) == "1\n"
        client = world.hospital.own_authority()
        records = client.history(cells.request.spec.digest, cell=2).records
        assert records is not None
        assert records.count(b'"event":"cell-refused"') >= 5


def test_two_sessions_do_not_mix(world: World) -> None:
    """An order and its grants are for one session, whoever runs another on the same terms."""
    with notebook(world.analyst) as one, notebook(world.analyst) as other:
        one.printed("x = 1")
        other.printed("x = 2")
        order = one.order("print(x)")
        granted = one.warm._ask([*one.warm.cells, order])
        replayed = {"order": order.envelope.decode(), "grants": [grant.decode() for grant in granted.cell_grants]}
        doors = other.warm._doors
        assert doors is not None
        with pytest.raises(DigestMismatch, match="another session"):
            doors.out.post("/v1/cells", replayed)
        assert other.printed("print(x)") == "2\n"


def test_a_named_output_of_one_cell_is_not_given_by_the_next(world: World) -> None:
    """Each cell returns what it was ordered to."""
    with notebook(world.analyst) as cells:
        first = cells.do("a = 1", ["a"])
        second = cells.do("b = 2", ["b"])
        assert (first.outputs, second.outputs) == ({"a": 1}, {"b": 2})


def test_code_of_others_runs_once_before_the_first_cell(world: World) -> None:
    """A vendor's model is loaded once, and its variables stay like all others."""
    code = "loaded = globals().get('loaded', 0) + 1\ndef f(x):\n    return x + 1\n"
    world.hospital.seal_code(
        code, "sessionhelpers", allow_code="any", tee="simulated-snp", requester=[world.analyst.did]
    )
    world.analyst._reachable = (-3600.0, [])
    with notebook(world.analyst, code_assets=["sessionhelpers"]) as cells:
        assert cells.do("y = [f(1), loaded]", ["y"]).outputs["y"] == [2, 1]
        assert cells.do("y = [f(2), loaded]", ["y"]).outputs["y"] == [3, 1]


def test_parameters_come_with_each_cell(world: World) -> None:
    """Also large ones, and the earlier ones stay."""
    with notebook(world.analyst) as cells:
        assert cells.printed("print(len(text), k)", text="x" * (1 << 20), k=1) == f"{1 << 20} 1\n"
        assert cells.printed("print(len(text), k)", k=2) == f"{1 << 20} 2\n"


def test_displays_are_one_cells(world: World) -> None:
    """An update of a display of an earlier cell has no place to be shown in a later one's result."""
    with notebook(world.analyst) as cells:
        first = cells.do("from IPython.display import display\nhandle = display('first', display_id=True)")
        assert [event["cell"] for event in first.of("display")] == [1]
        second = cells.do("handle.update('second')\nfree.head(2)")
        assert {event["cell"] for event in second.events} == {2}
        assert len(second.of("table")) == 1


class Nowhere:
    """A host that starts nothing."""

    def __init__(self, host: Any) -> None:
        self.capabilities = host.capabilities

    def launch(self, *_: Any) -> Any:
        raise Unavailable("This host has no room.")


def test_a_host_without_room_leaves_nothing_half_open(world: World) -> None:
    """The cell says why, and can be run again when there is room."""
    with notebook(world.analyst) as cells:
        hosts = cells.warm.manager.hosts
        cells.warm.manager = replace(cells.warm.manager, hosts={name: Nowhere(one) for name, one in hosts.items()})
        ended = cells.do("x = 1")
        assert isinstance(ended.error, Unavailable)
        assert (cells.warm.state, cells.warm.cells) == ("new", [])
        cells.warm.manager = replace(cells.warm.manager, hosts=hosts)
        assert cells.printed("print(1)") == "1\n"
    cells.warm.close()
    assert Notebook(world.analyst).warm.close() is None


def test_a_person_approves_cells_and_a_changed_one_is_asked_for(world: World) -> None:
    """An owner reads the notebook up to each cell; what they approved runs, and nothing else does."""
    world.seal("readcells", allow_code="reviewed", kinds="table,text,figure", full_errors=True)
    with notebook(world.analyst, ["readcells"]) as cells:
        first = cells.do("x = len(readcells)")
        assert isinstance(first.error, ApprovalPending)
        assert cells.warm.state == "new"
        world.hospital.approve(first.error.detail["request"])
        assert cells.do("x = len(readcells)").outputs == {}
        second = cells.do("print(x)")
        assert isinstance(second.error, ApprovalPending)
        assert cells.warm.state == "open"
        world.hospital.approve(second.error.detail["request"])
        assert cells.printed("print(x)") == "300\n"
    with notebook(world.analyst, ["readcells"]) as again:
        assert again.do("x = len(readcells)").outputs == {}
        other = again.do("print(readcells.name)")
        assert isinstance(other.error, ApprovalPending)
        assert again.printed("print(x)") == "300\n"


def test_nobody_waits_for_an_approval_longer_than_the_session_lives(world: World) -> None:
    """The group is gone by then; a cell that goes on asking could never run, and its notebook would not be told."""
    world.seal("idlecells", allow_code="reviewed", kinds="table,text,figure")
    terms = SessionTerms(cells=20, idle_seconds=5, wall_seconds=120)
    with notebook(world.analyst, ["idlecells"], terms=terms) as cells:
        first = cells.do("x = 1")
        assert isinstance(first.error, ApprovalPending)
        world.hospital.approve(first.error.detail["request"])
        assert cells.do("x = 1").outputs == {}
        run = cells.warm.run_cell(cells.order("print(x)"), wait_for_approval=True)
        with pytest.raises(SessionOver):
            run.wait(40)


def test_an_order_whose_answer_is_lost_ends_the_session(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate may be open for a cell that nobody feeds; nothing goes on from there."""
    with notebook(world.analyst) as cells:
        cells.printed("x = 1")
        doors = cells.warm._doors
        assert doors is not None
        send = doors.out.post

        def lose(path: str, value: dict[str, Any], **options: Any) -> None:
            send(path, value, **options)
            raise Unavailable("The container group does not answer.")

        monkeypatch.setattr(doors.out, "post", lose)
        assert isinstance(cells.do("print(x)").error, Unavailable)
        assert cells.warm.wait_closed(40)
        assert cells.warm.closed_reason == "died"


def test_a_withdrawn_asset_reaches_the_next_cell(world: World) -> None:
    """What an owner changes holds from the next cell on."""
    world.seal("gone", kinds="table,text,figure", full_errors=True)
    with notebook(world.analyst, ["gone"]) as cells:
        assert cells.printed("print(len(gone))") == "300\n"
        world.hospital.withdraw("gone")
        refused = cells.do("print(len(gone))")
        assert isinstance(refused.error, SlsError)
        assert refused.of("stream") == []
