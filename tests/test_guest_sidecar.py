"""A session at the sidecar: a chapter and a receipt for each cell, whichever container speaks first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from builders import IMAGE, World
from cells_kit import Notebook

from sls_jupyter.contract.grants import Obligations
from sls_jupyter.documents import digest, sign
from sls_jupyter.errors import BadInput, CellRunning, MalformedDocument, NotAuthorised, Unavailable
from sls_jupyter.guest import audit, posting, sidecar, wire
from sls_jupyter.guest.audit_client import MAX_REFUSALS, AuditClient
from sls_jupyter.guest.posting import MAX_OWED, Courier
from sls_jupyter.guest.sidecar import Due, Sidecar
from sls_jupyter.receipt.receipt import open_envelope
from sls_jupyter.receipt.statement import ImageRecord, Predicate
from sls_jupyter.transparency.chain import parse_records, verify_chain

VERDICT = {"rules": Obligations().model_dump(mode="json"), "released": {}, "withheld": {}, "bytes": 0}
TOKEN = "a" * 64  # of the program that is fed


class Group:
    """The containers of a session, as its sidecar hears them."""

    def __init__(self, world: World) -> None:
        self.world, self.notebook = world, Notebook.open(world)
        answer = self._grant("first = 1")
        spec = self.notebook.spec
        inputs = [{"alias": "patients", "manifest": self._manifest(), "grant": answer.grants[0].decode()}]
        self.sidecar = Sidecar(spec.digest)
        image = ImageRecord.of(IMAGE).model_dump(mode="json")
        self.say("input", contract=sign(spec, world.analyst).decode(), inputs=inputs, image=image)
        self.say("input", feeding=TOKEN)

    def _manifest(self) -> str:
        with self.world.authority.store.read() as connection:
            return str(connection.exec_driver_sql("select manifest from assets").scalar_one().decode())

    def _grant(self, code: str) -> Any:
        self.notebook.add(code)
        self.grants = [self.notebook.ask().cell_grant.decode()]  # type: ignore[union-attr]
        return self.notebook.ask()

    def say(self, role: str, **message: Any) -> None:
        with self.sidecar._changed:
            self.sidecar._take(role, message)

    def next_cell(self) -> dict[str, Any]:
        """The message of a door on a further cell."""
        self._grant("more = 2")
        return self.cell()

    def cell(self) -> dict[str, Any]:
        order = self.notebook.orders[-1]
        message = {"cell": order.number, "order": sign(order, self.world.analyst).decode(), "grants": self.grants}
        return message | {"now": wire.moment()}

    def finish(self, number: int, status: str = "ok", now: int | None = None) -> None:
        self.say("output", gate=status, number=number, limit=None, verdict=VERDICT, token=TOKEN)
        now = wire.moment() if now is None else now
        self.say("output", finish=status, number=number, subjects={}, token=TOKEN, now=now)

    def due(self) -> Due:
        found = self.sidecar.next()
        assert found is not None
        return found


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    world = World(tmp_path)
    yield Group(world)
    world.close()


def stated(due: Due, previous: str | None = None) -> Predicate:
    return due.account.statement(IMAGE, due.records, due.head, now=2**31, previous=previous).predicate


def events(due: Due) -> list[str]:
    return [str(one.body["event"]) for one in parse_records(due.records)]


def test_each_cell_has_a_chain_that_begins_with_its_order(group: Group) -> None:
    """Records of one cell cannot be shown as another's."""
    for door in ("output", "input"):
        group.say(door, **group.cell())
    group.say("input", event="running")
    group.say("input", done=1)
    group.finish(1)
    first = group.due()
    order = group.notebook.orders[0].digest
    assert verify_chain(parse_records(first.records), order) == first.head
    assert events(first) == ["contract", "cell", "cell", "running", "finished"]
    second = group.next_cell()
    for door in ("output", "input"):
        group.say(door, **second)
    group.say("input", done=2)
    group.finish(2, "error")
    due = group.due()
    found = stated(due, digest(b"the receipt before"))
    assert found.cell is not None
    assert (found.run.status, found.cell.previous) == ("error", digest(b"the receipt before"))
    assert found.cell.order.encode() == second["order"].encode()
    assert verify_chain(parse_records(due.records), group.notebook.orders[1].digest) == due.head


def test_what_one_container_says_of_the_next_cell_waits_for_the_other(group: Group) -> None:
    """Two sockets have no common order: the input may be at cell 2 before the output's last word on cell 1 is read."""
    first, ended, second = group.cell(), wire.moment(), group.next_cell()
    group.say("output", **first)
    group.say("input", **first)
    group.say("input", done=1)
    group.say("input", **second)
    group.say("input", event="running")
    group.finish(1, now=ended)
    assert "running" not in events(group.due())
    group.say("output", **second)
    group.say("input", done=2)
    group.finish(2)
    due = group.due()
    assert events(due) == ["cell", "running", "cell", "finished"]
    assert stated(due, digest(b"before")).gate is not None


def test_a_cell_is_not_kept_open_by_an_input_that_says_nothing(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that never answers its input would keep the receipt back; what comes too late is not an error."""
    monkeypatch.setattr(sidecar, "HEARING_SECONDS", 0.1)
    for door in ("output", "input"):
        group.say(door, **group.cell())
    group.finish(1)
    assert stated(group.due()).gate is not None
    group.say("input", done=1)
    group.finish(1)


def test_doors_that_speak_of_different_cells_have_no_verdict(group: Group) -> None:
    """A gate that was open for another cell than the one that ran has judged nothing of it."""
    group.say("input", **group.cell())
    other = group.notebook.replace_last("other = 1")
    group.say("output", **{**group.cell(), "order": sign(other, group.world.analyst).decode()})
    group.say("input", done=1)
    group.finish(1)
    due = group.due()
    assert (stated(due).gate, stated(due).run.status) == (None, "failed")
    assert "another-cell" in events(due)


def test_a_gate_that_was_open_while_another_cell_was_fed_has_no_verdict(group: Group) -> None:
    """Whoever brings orders to the in-door first, or holds an end back, would have cell 2 leave by the rules of cell 1."""
    first = group.cell()
    for door in ("output", "input"):
        group.say(door, **first)
    group.say("input", done=1)
    second = group.next_cell()
    group.say("input", **second)  # cell 1 is open at the output
    group.say("input", done=2)
    group.finish(1)
    group.say("output", **{**second, "now": wire.moment()})  # long after cell 2 was fed
    group.finish(2)
    for _ in range(2):
        due = group.due()
        found = stated(due, digest(b"before") if "contract" not in events(due) else None)
        assert (found.gate, found.run.status) == (None, "failed")
        assert events(due).count("out-of-turn") == 1


def test_a_gate_that_was_open_for_a_cell_that_nobody_fed_has_no_verdict(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order that the output alone gets lets an earlier cell's thread speak; no receipt says that this cell ran."""
    monkeypatch.setattr(sidecar, "HEARING_SECONDS", 0.1)
    group.say("output", **group.cell())
    group.finish(1)
    due = group.due()
    assert (stated(due).gate, events(due)[-1]) == (None, "out-of-turn")


@pytest.mark.parametrize("now", [None, "1", 1.5, True, -1])
def test_a_container_says_when(group: Group, now: Any) -> None:
    """Without that nobody could say which cell a gate was open for."""
    with pytest.raises(MalformedDocument):
        group.say("input", **{**group.cell(), "now": now})


@pytest.mark.parametrize("number", [0, 3, "1", None, True])
def test_a_container_comes_to_the_next_cell_only(group: Group, number: Any) -> None:
    """A number of somebody's choice would be a chapter without an end."""
    with pytest.raises(MalformedDocument):
        group.say("input", **{**group.cell(), "cell": number})
    with pytest.raises(MalformedDocument):
        group.say("output", gate="ok", number=7, token="")


def test_a_host_that_stops_a_cell_is_in_its_receipt(group: Group) -> None:
    """The unfinished cell cannot be denied."""
    for door in ("output", "input"):
        group.say(door, **group.cell())
    group.sidecar.stop()
    group.sidecar._output_ended.set()
    due = group.due()
    assert (stated(due).run.status, stated(due).gate) == ("stopped", None)
    assert events(due)[-1] == "stopped-by-host"
    assert group.sidecar.next() is None


def test_receipts_are_signed_in_order_and_each_names_the_one_before(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell that is left out shows."""
    brought: list[bytes] = []

    def take(_client: Any, _spec: str, _records: bytes, receipt: bytes, attempts: int = 1) -> bool:
        brought.append(receipt)
        return attempts > 0

    monkeypatch.setattr(posting, "_post_one", take)
    cells = [group.cell()]
    for door in ("output", "input"):
        group.say(door, **cells[0])
    group.say("input", done=1)
    group.finish(1)
    cells.append(group.next_cell())
    for door in ("output", "input"):
        group.say(door, **cells[1])
    group.say("input", done=2)
    group.finish(2)
    group.say("output", closed="asked")
    device: Any = SimpleNamespace(evidence=lambda data: group.world.evidence(data, group.notebook.spec))
    assert audit.post(group.sidecar, device)
    first, second = (open_envelope(one).statement for one in brought)
    assert first.predicate.cell is not None
    assert second.predicate.cell is not None
    assert (first.predicate.cell.previous, second.predicate.cell.previous) == (None, first.digest)


# --- owed receipts, refused orders ----------------------------------------------------------------


def test_a_receipt_that_is_not_taken_is_brought_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """An authority that was down for a cell has its receipt in the end; what is still owed is told."""
    answers = {b"a": [False, True], b"b": [True], b"c": [False, False, False]}

    def take(_client: Any, _spec: str, records: bytes, _receipt: bytes, attempts: int = 1) -> bool:
        return answers[records].pop(0) if answers[records] else attempts < 0

    monkeypatch.setattr(posting, "_post_one", take)
    courier = Courier(SimpleNamespace(url="x"), "sha256:")  # type: ignore[arg-type]
    for name in (b"a", b"b", b"c"):
        courier.bring(name, name)
    assert courier.finish() == 1
    assert answers[b"a"] == []


def test_too_many_owed_receipts_end_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing goes on unlogged."""
    hold = threading.Event()
    monkeypatch.setattr(posting, "_post_one", lambda *_, **__: hold.wait(10))
    courier = Courier(SimpleNamespace(url="x"), "sha256:")  # type: ignore[arg-type]

    def bring() -> None:
        for _ in range(MAX_OWED + 2):
            courier.bring(b"", b"")

    with pytest.raises(Unavailable, match="takes no receipts"):
        bring()
    hold.set()
    courier.finish()


def test_receipts_that_are_refused_one_by_one_end_the_group_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """An authority that answers each and takes none would let slow cells go on unlogged, until the session ends."""
    brought = threading.Semaphore(0)

    def refuse(*_: Any, **__: Any) -> bool:
        brought.release()
        return False

    monkeypatch.setattr(posting, "_post_one", refuse)
    courier = Courier(SimpleNamespace(url="x"), "sha256:")  # type: ignore[arg-type]
    for _ in range(MAX_OWED):
        courier.bring(b"", b"")
        assert brought.acquire(timeout=10)  # none waits when the next cell ends
    with pytest.raises(Unavailable, match="takes no receipts"):
        courier.bring(b"", b"")
    assert courier.finish() == MAX_OWED


class Heard(AuditClient):
    """A line that keeps what is said."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self._refusals = 0

    def _send(self, message: dict[str, Any]) -> None:
        self.said.append(message)


def test_refused_orders_are_recorded_so_many_times() -> None:
    """Whoever tries shows in the log, in our words, and cannot fill it."""
    line = Heard()
    secret = "patient 7"
    refusals = [NotAuthorised("An authority has not granted this cell."), MalformedDocument(secret), CellRunning("x")]
    for one in [*refusals, *[BadInput("no") for _ in range(2 * MAX_REFUSALS)]]:
        with pytest.raises(type(one)), line.telling_refusals():
            raise one
    assert len(line.said) == MAX_REFUSALS
    assert (line.said[0]["event"], line.said[0]["error"]) == ("cell-refused", "NotAuthorised")
    assert line.said[0]["why"] == "An authority has not granted this cell."
    assert secret not in str(line.said)


def test_a_session_takes_no_verdict_from_before_the_feed(tmp_path: Path) -> None:
    """A second output could swear for a cell before there is a program; a session is fed before its first cell."""
    world = World(tmp_path)
    group = Group(world)
    group.sidecar._token = None
    for door in ("output", "input"):
        group.say(door, **group.cell())
    group.say("input", done=1)
    group.finish(1)
    due = group.due()
    assert stated(due).gate is None
    assert events(due).count("not-the-programs-output") == 2
    world.close()
