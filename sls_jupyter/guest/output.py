"""The output container: listens to the program, lets the gate judge, and serves the out-door.

Content leaves through one door: as one sealed result for each recipient, and before that, as events over
attested TLS while the run goes on, to a requester who is a recipient. A requester who is none is told how the
run ended and that results were sealed, and no more: no name, number or type that the program chose. Nothing
goes back to the program.

Whatever the program does, the run ends: the supervisor has to speak every few seconds, the wall clock
runs here too, and all that the program sends is counted, whether it may leave or not. An end waits for no
judgement: what is being cleaned when the program ends badly does not leave.
"""

from __future__ import annotations

import argparse
import base64
import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from sls_jupyter.contract.places import RESULT
from sls_jupyter.contract.spec import Limits
from sls_jupyter.documents import b64decode, b64encode, digest
from sls_jupyter.errors import MalformedDocument
from sls_jupyter.guest import wire
from sls_jupyter.guest.audit import LAST_WORD_SECONDS, AuditClient
from sls_jupyter.guest.bundle import Result, pack, seal_result, subjects_of
from sls_jupyter.guest.cleaner import Cleaner
from sls_jupyter.guest.contract import Contract, accept_contract
from sls_jupyter.guest.door import Door
from sls_jupyter.guest.gate import TABLE_MIME, BytesLimit, Gate, Judged, Table
from sls_jupyter.guest.hostile import Budget, CountedFile, Once, TooMuch, exit_code, limit_name, type_name
from sls_jupyter.guest.iopub import Displays
from sls_jupyter.guest.reasons import problem_words, uncounted_words
from sls_jupyter.guest.shown import Shown
from sls_jupyter.guest.tables import written
from sls_jupyter.guest.well_known import MAX_BASES

LOST_SECONDS = 1.0  # how long a program may live without its displays' connection
SILENCE_SECONDS = 10.0  # a supervisor that is silent for so long was stopped by its program
GRACE_SECONDS = 15.0  # after the wall clock's limit, for the supervisor to say so itself
MAX_WORD_BYTES = 4096  # of a supervisor's message
RAW_FACTOR = 4  # how many times the allowed bytes the program may send before anything is cut
LEAST_MEMORY_BYTES = 2 << 30
SPEAKERS = ("supervisor", "kernel", "displays")  # the program's connections, one of each
SHAPES = ("frame", "series", "arrow", "polars", "polars series", "value")


def limit_memory(limits: Limits) -> None:
    """Bound this process, so that a hostile table is an error here and not the end of the machine."""
    wire.bound_memory(max(LEAST_MEMORY_BYTES, 4 * RAW_FACTOR * limits.output_bytes))


class OutputRun:
    """One execution as its outputs come in.

    Args:
        bound: called with the run's limits before the program's first byte is read.
    """

    def __init__(
        self, measured: str, device: Any, audit: AuditClient, bound: Callable[[Limits], None] = lambda _: None
    ) -> None:
        self._measured, self._audit, self._bound = measured, audit, bound
        self._accepted = threading.Event()
        self._contract: Contract
        self._gate: Gate
        self._budget: Budget
        self._told = Once()
        self._live = False
        self._shown = Shown()
        self._tables: dict[str, Table] = {}
        self._missing: dict[str, str | None] = {}
        self._reasons: dict[str, dict[str, str]] = {}  # why a named output does not leave
        self._end: dict[str, Any] = {}
        self._ended = threading.Event()  # the program is done or gone
        self._complete = threading.Event()  # every connection of the program is there, and there will be no other
        self._lock = threading.Lock()  # of what was let go and of the end; never held while something is judged
        self._cleaner = Cleaner()
        self._displays: Displays
        self._results: dict[str, bytes] = {}
        self._subjects: dict[str, str] = {}
        self.door = Door(device, self._accept, fetch=self._results.get)

    def _accept(self, body: dict[str, Any], caller: str) -> None:
        contract = accept_contract(body, self._measured, caller, now=int(time.time()))
        self._gate = Gate(contract.obligations, self._cleaner)
        self._budget = Budget(RAW_FACTOR * contract.spec.limits.output_bytes)
        self._displays = Displays(self._budget, self._take_message, self._refuse, self._ended)
        self._live = contract.spec.requester in {person.did for person in contract.spec.recipients}
        self._contract = contract
        self._accepted.set()

    @property
    def accepted(self) -> bool:
        """A contract was brought."""
        return self._accepted.is_set()

    # --- the program's connections ----------------------------------------------------------------

    def run(self, results: socket.socket) -> None:
        """Everything after the contract; ends with the sealed results."""
        self._accepted.wait()
        limits = self._contract.spec.limits
        self._bound(limits)
        threading.Thread(target=self._take_connections, args=(results,), daemon=True).start()
        if not self._ended.wait(limits.wall_seconds + GRACE_SECONDS):
            self._set_end(status="limit", limit="time", allowed=limits.wall_seconds)
        with self._lock:
            verdict = self._gate.verdict()  # nothing is let go from here on
        self._cleaner.close()
        # before the results are sealed: a stop may come in between
        self._audit.gate(str(self._end["status"]), limit=self._end.get("limit"), verdict=verdict)
        try:
            if self._end["status"] != "stopped":
                self._finish(verdict)
        except Exception as error:  # noqa: BLE001  # whatever the program did, the run has an end
            self._end["status"] = "failed"
            self._audit.record("output-failed", error=type(error).__name__)
            self.door.events.add("end", status="failed")
        self._audit.finish(str(self._end["status"]), self._subjects)
        self.door.events.close()

    def stop(self) -> None:
        """The host ends the group: say what was let go until now."""
        self._set_end(status="stopped")

    def _take_connections(self, results: socket.socket) -> None:
        """One connection for each speaker, all before the first cell; nobody connects after that."""
        with results:
            for _ in SPEAKERS:
                connection, _ = results.accept()
                threading.Thread(target=self._follow, args=(connection,), daemon=True).start()
        self._complete.set()

    def _is_complete(self) -> bool:
        """Wait for the program's other connections; false if they do not come."""
        return self._complete.wait(wire.CONNECT_SECONDS)

    def _follow(self, connection: socket.socket) -> None:
        """One connection of the program: its kernel's, its displays' or its supervisor's. Hostile, all of them."""
        with connection, connection.makefile("rwb") as file:
            try:
                hello = wire.receive(file) or {}
                if hello.get("from") == "kernel":
                    self._follow_kernel(file)
                elif hello.get("from") == "supervisor":
                    self._follow_supervisor(connection, file)
                elif hello.get("from") == "displays":
                    self._follow_displays(file)
            except (BytesLimit, TooMuch):
                self._set_end_by_output()
            except Exception:  # noqa: BLE001  # hostile bytes raise anything
                self._set_end(status="malformed")

    def _follow_kernel(self, file: Any) -> None:
        if not self._is_complete():
            return
        file.write(b"\n")
        file.flush()
        while (message := wire.receive(file, count=self._budget.take)) is not None:
            if "end" in message:
                self._displays.drain(int(message["cells"]))
                if message.get("memory") is True:
                    self._set_end(status="limit", limit="memory", allowed=self._contract.spec.limits.memory_bytes)
                self._set_end(status="ok" if message["end"] is True else "error")
            elif message.get("missing") in self._contract.spec.outputs:
                kind = message.get("type")
                self._missing[message["missing"]] = None if kind is None else type_name(kind)
                if self._gate.obligations.full_errors:  # else a cell's own words, such as a type that it invented
                    self._tell(message["missing"], problem_words(message.get("why"), message.get("hint")))
            elif "unopened" in message:
                self._set_end(status="died", **self._unopened(message["unopened"], message.get("column")))
                return
            elif message.get("table") in self._contract.spec.outputs and message.get("shape") in SHAPES:
                self._take_table(str(message["table"]), str(message["shape"]), file, message.get("uncounted"))
            else:
                raise MalformedDocument("The program sent what it was not asked for.")

    def _tell(self, name: str, words: dict[str, str]) -> None:
        """Keep a reason for the end, where a table could have left as well: it may name columns."""
        if words and "table" in self._gate.obligations.kinds:
            self._reasons[name] = words

    def _unopened(self, alias: object, column: object) -> dict[str, Any]:
        """Which input the program could not open: an alias of the contract, and a column's place among the granted."""
        if alias not in [item.alias for item in self._contract.spec.inputs if item.kind == "table"]:
            raise MalformedDocument("The program names an input that there is not.")
        return {"alias": alias, "column": column if type(column) is int and 0 <= column < 2**20 else None}

    def _take_table(self, name: str, shape: str, file: Any, uncounted: Any) -> None:
        with pa.ipc.open_stream(CountedFile(file, self._budget)) as reader:
            table = reader.read_all()
        table.validate(full=True)
        judged = self._gate.judge_table(name, shape, table)
        if "min_group" in judged.withheld:
            granted = {column for grant in self._contract.grants for column in grant.columns or ()}
            self._tell(name, uncounted_words(uncounted or {"why": "small"}, granted))
        with self._lock:
            taken = None if self._ended.is_set() else self._gate.take(judged)
            if taken is not None:
                self._tables[name] = taken

    def _follow_supervisor(self, connection: socket.socket, file: Any) -> None:
        """The supervisor says again and again that it is there, and last that the program has ended or must."""
        threading.Thread(target=self._close_when_ended, args=(connection,), daemon=True).start()
        connection.settimeout(SILENCE_SECONDS)
        try:
            while (message := wire.receive(file, most=MAX_WORD_BYTES)) is not None and "alive" in message:
                continue
        except TimeoutError:
            self._set_end(status="died", code=None)
            return
        if message is None or "limit" not in message:
            time.sleep(0.2)  # let the kernel's own last words arrive first
            self._set_end(status="died", code=exit_code((message or {}).get("ended")))
            return
        name, limits = limit_name(message["limit"]), self._contract.spec.limits
        allowed = {"memory": limits.memory_bytes, "cpu": limits.cpu_seconds, "processes": limits.processes}
        self._set_end(status="limit", limit=name, allowed=allowed.get(name, limits.wall_seconds))

    def _close_when_ended(self, connection: socket.socket) -> None:
        """Closing the supervisor's connection ends a program that we want nothing more from."""
        self._ended.wait()
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    # --- displays ---------------------------------------------------------------------------------

    def _follow_displays(self, file: Any) -> None:
        self._displays.follow(file)
        if not self._ended.wait(LOST_SECONDS):
            self._set_end(status="died", code=None)

    def _take_message(self, message: dict[str, Any]) -> None:
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            self._stream("stderr" if content["name"] == "stderr" else "stdout", str(content["text"]))
        elif kind in ("display_data", "execute_result", "update_display_data"):
            number = self._shown.number((content.get("transient") or {}).get("display_id"))
            place = {} if number is None else {"display": number, "update": kind == "update_display_data"}
            if number is not None or kind != "update_display_data":
                self._display(content["data"], content.get("metadata") or {}, place)
        elif kind == "clear_output":
            self._clear()
        elif kind == "error":
            self._error(content)

    def _stream(self, name: str, text: str) -> None:
        new = self._shown.written(name, text)
        if new:
            start = "\r" * new.startswith("\r")
            judged = self._gate.judge_text(new.removeprefix("\r"))
            self._release("stream", judged, lambda left: {"name": name, "text": start + left})

    def _clear(self) -> None:
        with self._lock:
            if not self._ended.is_set():
                self._shown.clear()
                if self._live:
                    self.door.events.add("clear")

    def _display(self, data: dict[str, Any], metadata: dict[str, Any], place: dict[str, Any]) -> None:
        """A display; ``place`` says which one, where it can be updated."""
        if TABLE_MIME not in data:
            self._release("display", self._gate.judge_display(data), lambda left: {"data": left, **place})
            return
        about = metadata.get(TABLE_MIME) or {}
        table = pa.ipc.open_stream(base64.b64decode(data[TABLE_MIME])).read_all()
        table.validate(full=True)
        shape = about.get("shape") if about.get("shape") in SHAPES else "arrow"
        judged = self._gate.judge_table("", str(shape), table, rows=int(about.get("rows", table.num_rows)))
        self._release("table", judged, lambda left: {**_shown_table(left), **place})

    def _error(self, content: dict[str, Any]) -> None:
        traceback = [str(line) for line in content.get("traceback", [])]
        bases = [str(name) for name in content.get("bases", [])[:MAX_BASES]]
        judged = self._gate.judge_error(str(content["ename"]), str(content["evalue"]), traceback, bases)
        error = self._release("error", judged, lambda error: {"error": error})
        with self._lock:
            if error is not None and not self._ended.is_set():
                self._end["error"] = error

    def _release(self, kind: str, judged: Judged, fields: Callable[[Any], dict[str, Any]]) -> Any:
        """Pass on what was judged; say once for each kind what was held back. Returns what left, or ``None``."""
        with self._lock:
            if self._ended.is_set():
                return None
            left = self._gate.take(judged)
            news = self._told.news(self._gate.withheld)
            if news and self._live:
                self.door.events.add("withheld", what=news)
            if left is None:
                return None
            event = fields(left)
            self._shown.add({"type": kind, **event})
            if self._live:
                self.door.events.add(kind, **event)
            return left

    def _refuse(self, error: Exception) -> None:
        """A message of the program's that is none, or one too many."""
        if isinstance(error, BytesLimit | TooMuch):
            self._set_end_by_output()
            return
        with self._lock:
            self._gate.withheld["malformed"] += not self._ended.is_set()

    # --- the end ----------------------------------------------------------------------------------

    def _set_end(self, **end: Any) -> None:
        """The first word on how the run ended counts."""
        with self._lock:
            if not self._ended.is_set():
                self._end = {**self._end, **end}
                self._ended.set()

    def _set_end_by_output(self) -> None:
        self._set_end(status="limit", limit="output", allowed=self._gate.obligations.max_bytes)

    def _finish(self, verdict: dict[str, Any]) -> None:
        """Seal what was released to every recipient and say how the run ended."""
        spec, status = self._contract.spec, str(self._end["status"])
        released = self._tables if status == "ok" else {}
        outputs = [
            {"name": name, "shape": one.shape, "rows": one.table.num_rows, "of": one.rows_before, "note": one.note}
            for name, one in released.items()
        ]
        tables = tuple(zip(outputs, (one.table for one in released.values()), strict=True))
        packed = pack(Result(tuple(self._shown.events), tables, verdict))
        for person in spec.recipients:
            self._results[person.did] = seal_result(packed, spec.digest, person.did, b64decode(person.hpke_public_key))
        self._subjects = subjects_of(packed, self._results)
        counts = {name: sum(verdict[name].values()) for name in ("released", "withheld")}
        self._audit.record("gate", **counts)
        self._audit.record("result", digest=digest(packed), recipients=len(spec.recipients), bytes=len(packed))
        held_back = [name for name in spec.outputs if status == "ok" and name not in released]
        if not self._live:  # what the program chose is for recipients
            told = {name: self._end[name] for name in ("status", "limit", "allowed") if name in self._end}
            self.door.events.add("end", **told, sealed=True)
            return
        self.door.events.add(
            "end",
            **self._end,
            sealed=True,
            outputs=outputs,
            missing=self._missing,
            reasons=self._reasons,
            held_back=held_back,
            verdict=verdict,
        )


def _ipc(table: pa.Table) -> str:
    return b64encode(written(table))


def _shown_table(judged: Table) -> dict[str, Any]:
    """A displayed table as an event."""
    about = {"shape": judged.shape, "rows": judged.table.num_rows, "of": judged.rows_before, "note": judged.note}
    return {"table": _ipc(judged.table), **about}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--spec", required=True)
    measured = parser.parse_args().spec
    wire.end_with_host()
    warnings.simplefilter("ignore")  # libraries warn with the program's own words, and the log is the host's
    results = wire.listen(f"{wire.here(RESULT)}/{wire.RESULT_SOCKET}")
    run = OutputRun(measured, wire.device(), AuditClient("output"), limit_memory)
    run.door.serve(os.environ["SLS_LISTEN"])
    wire.be_unreadable()
    worker = threading.Thread(target=run.run, args=(results,), daemon=True)
    worker.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    run.stop()
    if run.accepted:
        worker.join(LAST_WORD_SECONDS)
    return 0


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    os._exit(main())  # nothing to tidy up: the memory goes with the group
