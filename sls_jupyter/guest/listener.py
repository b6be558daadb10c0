"""What the program says to the output: three connections of a hostile program, and what ends a group.

Of a program that is gone the supervisor has the first word, because it knows of limits and exit codes: while it
speaks, a lost connection is no end until it has looked once more. Its silence is counted in looks, not by the
clock alone, so that a machine that stood still has silenced nobody.
"""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pyarrow as pa

from sls_jupyter.errors import MalformedDocument
from sls_jupyter.guest import wire
from sls_jupyter.guest.cell_output import SHAPES, CellOutput
from sls_jupyter.guest.contract import Contract
from sls_jupyter.guest.gate import BytesLimit, SessionBytesLimit
from sls_jupyter.guest.hostile import Budget, CountedFile, TooMuch, exit_code, limit_name
from sls_jupyter.guest.iopub import Displays

LOOK_SECONDS = 0.25
SILENT_LOOKS = 40  # a supervisor that is silent for so many, 10 s at least, was stopped by its program
LAST_SIGNS = 2  # of a supervisor, after its displays were lost: between two of them it has looked at everything
MAX_TOKEN = 64  # hex digits
MAX_WORD_BYTES = 4096  # of a supervisor's message
RAW_FACTOR = 4  # how many times the allowed bytes the program may send before anything is cut
SPEAKERS = ("supervisor", "kernel", "displays")  # the program's connections, one of each
SHOWN = ("stream", "display_data", "execute_result", "update_display_data", "clear_output", "error")


class Listener:
    """Reads the program's connections, as long as the group lives. What a cell gives goes to the one that is open."""

    def __init__(self) -> None:
        self._contract: Contract
        self._budget: Budget
        self._displays: Displays
        self._cell: CellOutput | None = None  # the one that is open
        self._lost: dict[str, Any] = {}  # how the group ended, if it did not end in order
        self._changed = threading.Condition()  # of these two
        self._over = threading.Event()  # nothing more is wanted of the program
        self._strays = 0  # messages since the last cell
        self._token = ""  # of this program's input
        self._signs = 0  # how often the supervisor has spoken
        self._complete = threading.Event()  # every connection of the program is there, and there will be no other

    def _listen_for(self, contract: Contract) -> None:
        """This is what will run."""
        self._contract = contract
        self._budget = Budget(RAW_FACTOR * contract.spec.limits.output_bytes)
        self._displays = Displays(self._budget, self._take_message, self._refuse, self._over)

    @property
    def _is_session(self) -> bool:
        return self._contract.spec.session is not None

    # --- the program's connections ----------------------------------------------------------------

    def _present(self) -> CellOutput | None:
        """The cell that what comes now can be of; ``None`` between cells."""
        cell = self._cell
        return None if cell is None or cell.ended.is_set() else cell

    def _take_connections(self, results: socket.socket) -> None:
        """One connection for each speaker, all before the first cell; nobody connects after that."""
        with results:
            for _ in SPEAKERS:
                connection = wire.accept_from(results, "output", "program")
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
            except (BytesLimit, TooMuch) as error:
                self._lose_by_output(error)
            except Exception:  # noqa: BLE001  # hostile bytes raise anything
                self._lose(status="malformed")

    def _follow_kernel(self, file: Any) -> None:
        if not self._is_complete():
            return
        file.write(b"\n")
        file.flush()
        while (message := wire.receive(file, count=self._budget.take)) is not None:
            if "token" in message and not self._token:  # before the first cell: the kernel's own code says it
                self._token = str(message["token"])[:MAX_TOKEN]
            elif "unopened" in message:
                self._lose(status="died", **self._unopened(message["unopened"], message.get("column")))
                return
            elif "end" in message:
                self._take_end(message)
            elif "table" in message and message.get("shape") in SHAPES:
                self._take_table(message, file)
            elif "missing" in message:
                self._take_missing(message)
            else:
                raise MalformedDocument("The program sent what it was not asked for.")

    def _take_end(self, message: dict[str, Any]) -> None:
        """The kernel's word that a cell is done."""
        cell = self._present()
        if cell is None or message.get("cell") != cell.cell.number:
            self._strays += 1
            return
        self._displays.drain(int(message["cells"]), cell.ended)
        if message.get("memory") is True:
            self._lose(status="limit", limit="memory", allowed=self._allowed("memory"))
        cell.set_end(status="ok" if message["end"] is True else "error")

    def _take_table(self, message: dict[str, Any], file: Any) -> None:
        name, cell = str(message["table"]), self._present()
        if cell is not None and name not in cell.cell.outputs:
            raise MalformedDocument("The program sent what it was not asked for.")
        with pa.ipc.open_stream(CountedFile(file, self._budget)) as reader:
            table = reader.read_all()
        if cell is None:
            self._strays += 1
        else:
            cell.take_table(name, str(message["shape"]), table, message.get("uncounted"))

    def _take_missing(self, message: dict[str, Any]) -> None:
        name, cell = message["missing"], self._present()
        if cell is None:
            self._strays += 1
        elif name in cell.cell.outputs:
            cell.take_missing(name, message.get("type"), message.get("why"), message.get("hint"))
        else:
            raise MalformedDocument("The program sent what it was not asked for.")

    def _unopened(self, alias: object, column: object) -> dict[str, Any]:
        """Which input the program could not open: an alias of the contract, and a column's place among the granted."""
        if alias not in [item.alias for item in self._contract.spec.inputs if item.kind == "table"]:
            raise MalformedDocument("The program names an input that there is not.")
        return {"alias": alias, "column": column if type(column) is int and 0 <= column < 2**20 else None}

    def _follow_supervisor(self, connection: socket.socket, file: Any) -> None:
        """The supervisor says again and again that it is there, and last that the program has ended or must."""
        threading.Thread(target=self._hold_to_word, args=(connection,), daemon=True).start()
        while (message := wire.receive(file, most=MAX_WORD_BYTES)) is not None and "alive" in message:
            self._signs += 1
        if message is None or "limit" not in message:
            time.sleep(0.2)  # let the kernel's own last words arrive first
            if message is None:
                self._lose_by_death("closed")
            else:
                self._lose_by_death("ended", message.get("ended"))
            return
        name = limit_name(message["limit"])
        name = "session time" if name == "time" and self._is_session else name
        self._lose(status="limit", limit=name, allowed=self._allowed(name))

    def _hold_to_word(self, connection: socket.socket) -> None:
        """End a group whose supervisor is silent. Closing its connection ends a program that we want nothing more from."""
        signs, silent = self._signs, 0
        while silent < SILENT_LOOKS and not self._over.wait(LOOK_SECONDS):
            silent = silent + 1 if self._signs == signs else 0
            signs = self._signs
        self._lose_by_death("silent")
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def _follow_displays(self, file: Any) -> None:
        self._displays.follow(file)
        enough = self._signs + LAST_SIGNS
        for _ in range(SILENT_LOOKS):
            if self._over.wait(LOOK_SECONDS) or self._lost or self._signs >= enough:
                break
        self._lose_by_death("lost")

    def _take_message(self, named: int | None, message: dict[str, Any]) -> None:
        """A message of the kernel's, to the open cell, unless it names another one."""
        cell = self._present()
        if cell is not None and named in (None, cell.cell.number):
            cell.take_message(message)
        elif message["msg_type"] in SHOWN:
            self._strays += 1

    def _refuse(self, error: Exception) -> None:
        """A message of the program's that is none, or one too many."""
        cell = self._present()
        if isinstance(error, BytesLimit | TooMuch):
            self._lose_by_output(error)
        elif cell is not None:
            cell.count_malformed()

    # --- the end ----------------------------------------------------------------------------------

    def _allowed(self, limit: str) -> int:
        """How much of a limit there was."""
        limits, session = self._contract.spec.limits, self._contract.spec.session
        known = {"memory": limits.memory_bytes, "cpu": limits.cpu_seconds, "processes": limits.processes}
        if session is not None:
            known |= {"session time": session.wall_seconds, "session output": session.output_bytes}
        return known.get(limit, limits.wall_seconds)

    def _lose(self, **end: Any) -> None:
        """The program is gone, or has to go, and with it the cell that is open. The first word on it counts."""
        with self._changed:
            cell = self._cell
            if not self._lost and not (cell is None and not self._is_session):
                self._lost = end
            self._changed.notify_all()
        if cell is not None:
            cell.set_end(**end)

    def _lose_by_death(self, seen: str, code: object = None) -> None:
        """``seen`` says what of the program was seen to end (:data:`sls_jupyter.safestream.endings.DEATHS`)."""
        self._lose(status="died", code=exit_code(code), seen=seen)

    def _lose_by_output(self, error: Exception) -> None:
        cell = self._present()
        if isinstance(error, SessionBytesLimit):
            self._lose(status="limit", limit="session output", allowed=self._allowed("session output"))
            return
        allowed = RAW_FACTOR * self._contract.spec.limits.output_bytes if cell is None else None
        self._lose(status="limit", limit="output", allowed=allowed if cell is None else cell.gate.obligations.max_bytes)
