"""The kernel's driver, in the kernel's own process: cells from the input go in, their named outputs go to the output.

Three threads: one reads what the input sends, one has the kernel execute it piece by piece, and the kernel's main thread
runs it.

Everything that the kernel publishes names the request that it answers, ``cell-NUMBER.PIECE``. This is the program's own
word: the output uses it to keep apart what an honest program shows in one cell and in another.
"""

from __future__ import annotations

import contextlib
import linecache
import os
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient

from sls_jupyter.guest import displays, wire
from sls_jupyter.guest.interrupts import Interrupts


@dataclass(frozen=True, slots=True)
class Ordered:
    """A cell that the input announced."""

    number: int
    parts: int  # pieces of code
    outputs: tuple[str, ...]
    least: int | None  # the smallest group that an owner lets out; None for no such rule
    parameters: bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """Code of an asset, or of the cell itself, which is the last piece."""

    code: str
    asset: bool
    confidential: bool


class Collector:
    """After the last piece of a cell, or the first that fails, sends the named outputs to the output container.

    Of the first cells the pieces before the last one are code assets.
    """

    def __init__(self, shell: Any, result: wire.ByteFile, interrupts: Interrupts) -> None:
        self._shell, self._result, self._interrupts = shell, result, interrupts
        self._cell = Ordered(0, 0, (), None, b"")
        self._seen = 0  # pieces of this cell
        self._running: list[Any] = []  # the piece, and the cells that it runs itself

    @property
    def least(self) -> int | None:
        """The smallest group that may be shown in the cell that runs."""
        return self._cell.least

    def begin(self, cell: Ordered) -> None:
        """What runs from here on is of this cell."""
        self._cell, self._seen = cell, 0

    def before_cell(self, info: Any) -> None:
        """IPython's ``pre_run_cell`` event."""
        self._running.append(info)
        self._interrupts.allow()

    def after_cell(self, outcome: Any) -> None:
        """IPython's ``post_run_cell`` event; a cell within a cell (``run_cell``, ``%run``) is none of ours."""
        if any(outcome.info is info for info in self._running):
            while self._running.pop() is not outcome.info:
                continue
        if self._running:  # an empty one has no event before it
            return
        late = self._interrupts.forbid()
        self._seen += 1
        if outcome.success and self._seen < self._cell.parts and not late:
            return
        good = bool(outcome.success) and not late and self._send_all()
        memory = isinstance(outcome.error_in_exec, MemoryError)  # then there may be none left to show the error
        end = {"end": good, "cell": self._cell.number, "cells": self._seen, "memory": memory}
        wire.send(self._result, end)

    def _send_all(self) -> bool:
        """Send every named output; false if computing one of them fails, whose error is shown as the cell's."""
        for name in self._cell.outputs:
            try:
                message, value = self._outgoing(name)
            except BaseException:  # noqa: BLE001  # a lazy query, a hostile object: what it raises ends the run
                self._interrupts.forbid()
                self._shell.showtraceback()
                return False
            wire.send(self._result, message)
            if value is not None:
                value.write(self._result)
        return True

    def _outgoing(self, name: str) -> tuple[dict[str, Any], Any]:
        from sls_jupyter.guest.values import Unreturnable, to_stream

        if name not in self._shell.user_ns:
            return {"missing": name, "type": None}, None
        try:
            with self._interruptible():
                value = to_stream(self._shell.user_ns[name], least=self._cell.least)
        except Unreturnable as error:
            return {"missing": name, "type": error.type_name, "why": error.why, "hint": error.hint}, None
        message: dict[str, Any] = {"table": name, "shape": value.shape}
        if value.uncounted is not None:
            message["uncounted"] = {"why": value.uncounted.why, "where": value.uncounted.where[:5]}
        return message, value

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """A lazy query may take long."""
        self._interrupts.allow()
        yield
        if self._interrupts.forbid():
            raise KeyboardInterrupt


def forward(client: BlockingKernelClient, file: wire.ByteFile) -> None:
    """Send the output all that the kernel publishes, as it is."""
    while True:
        wire.send_frames(file, client.iopub_channel.socket.recv_multipart())


class Driver:
    """Executes what the input sends and says how each piece went. When there is no more, the output ends this container.

    Args:
        file: the line to the input. groups: whether sizes of groups are noted already.
    """

    def __init__(
        self, client: BlockingKernelClient, shell: Any, file: wire.ByteFile, collector: Collector,
        interrupts: Interrupts, *, groups: bool,
    ) -> None:  # fmt: skip
        self._client, self._shell, self._file, self._collector = client, shell, file, collector
        self._interrupts, self._groups = interrupts, groups
        self._todo: queue.SimpleQueue[Ordered | Piece | None] = queue.SimpleQueue()
        self._label = ""

    def run(self) -> None:
        """To the last cell; a failure of ours is the end of this process, which its supervisor tells."""
        threading.Thread(target=self._or_die, args=(self._read,), daemon=True).start()
        self._or_die(self._work)

    def _or_die(self, work: Any) -> None:
        try:
            work()
        except BaseException:  # noqa: BLE001  # nobody would ever answer the input
            os._exit(1)

    def _read(self) -> None:
        while (message := wire.receive(self._file)) is not None:
            if "interrupt" in message:
                self._interrupts.ask(int(message["interrupt"]))
            elif "cell" in message:
                parameters = self._file.read(int(message["parameters"]))
                about = (int(message["cell"]), int(message["parts"]), tuple(message["outputs"]), message["min_group"])
                self._todo.put(Ordered(*about, parameters))
            else:
                code = self._file.read(int(message["bytes"])).decode()
                self._todo.put(Piece(code, bool(message["asset"]), bool(message["confidential"])))
        self._todo.put(None)

    def _work(self) -> None:
        part = 0
        while (one := self._todo.get()) is not None:
            if isinstance(one, Ordered):
                part = 0
                self._begin(one)
            else:
                part += 1
                wire.send(self._file, {"status": self._run(one, part)})

    def _begin(self, cell: Ordered) -> None:
        from sls_jupyter.guest.parameters import unpack_parameters

        if cell.least and not self._groups:
            from sls_jupyter.guest import groups

            groups.install()
            self._groups = True
        self._collector.begin(cell)
        self._interrupts.begin(cell.number)
        self._label = f"cell-{cell.number}"
        self._shell.user_ns.update(unpack_parameters(cell.parameters) if cell.parameters else {})

    def _run(self, piece: Piece, part: int) -> str:
        from sls_jupyter.guest.counted import LEDGER

        known = set(linecache.cache)
        with contextlib.suppress(SyntaxError):  # the kernel will say so
            LEDGER.read_code(self._shell.transform_cell(piece.code))
        status = self._execute(piece, f"{self._label}.{part}")
        if piece.confidential:
            self._forget(known)
        if status != "ok" or not piece.asset:
            self._interrupts.end()
        return status

    def _execute(self, piece: Piece, request: str) -> str:
        session = self._client.session
        content = {
            "code": piece.code,
            "silent": False,
            "store_history": not piece.asset,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,  # one piece at a time: there is nothing to stop, and the next cell would be refused
        }
        header = session.msg_header("execute_request") | {"msg_id": request}
        self._client.shell_channel.send(session.msg("execute_request", content, header=header))
        while True:
            message = self._client.get_shell_msg()
            if message["parent_header"].get("msg_id") == request:
                return "ok" if message["content"].get("status") == "ok" else "error"

    def _forget(self, known: set[str]) -> None:
        """Drop the text of code that ran. Its functions stay, and their bytes can still be read by who wants to."""
        for name in set(linecache.cache) - known:
            linecache.cache.pop(name, None)
        for name in ("_i", "_ii", "_iii"):
            self._shell.user_ns[name] = ""


def prepare(shell: Any, result: wire.ByteFile) -> tuple[Collector, Interrupts]:
    """Register with the kernel what shows frames and collects named outputs; called by the main thread."""
    interrupts = Interrupts()
    collector = Collector(shell, result, interrupts)
    displays.install(shell, lambda: collector.least)
    shell.events.register("pre_run_cell", collector.before_cell)
    shell.events.register("post_run_cell", collector.after_cell)
    return collector, interrupts
