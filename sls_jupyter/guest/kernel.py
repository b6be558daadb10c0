"""The kernel that runs the cell: ipykernel, with its data in place and its named outputs collected.

This is the program's own process, so nothing here is a boundary: a cell can change all of it. It makes
honest code work (tables in, displayed frames as Arrow, named outputs out, sizes of groups noted); what
leaves is judged by the output container.

The kernel is driven from its own process, over sockets in its scratch space. With its neighbours it speaks
over connections that it makes before the first cell: it gets cells from the input and answers with a status,
sends named outputs and, on another connection, all that it publishes to the output.

It is nobody's notebook: no history, no configuration, start-up files or extensions of a user or the system.
"""

from __future__ import annotations

import contextlib
import linecache
import os
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from ipykernel.kernelapp import IPKernelApp
from jupyter_client.blocking.client import BlockingKernelClient
from traitlets.config import Config

from sls_jupyter.contract.places import FEED, PRIVATE_FOLDERS, RESULT
from sls_jupyter.documents import b64decode
from sls_jupyter.errors import MalformedDocument
from sls_jupyter.guest import wire

PORTS = {"shell_port": 1, "stdin_port": 2, "control_port": 3, "hb_port": 4, "iopub_port": 5}  # ipc suffixes


class ProgramKernelApp(IPKernelApp):  # type: ignore[misc]  # ipykernel is untyped to us
    """An IPKernelApp that reads no configuration and leaves no connection file."""

    def load_config_file(self, *_: Any, **__: Any) -> None:
        """There is none: what a folder of the machine says is not part of the run."""

    def write_connection_file(self, **_: Any) -> None:
        """Nobody needs one; only this process knows the sockets."""


class Unopened(Exception):  # internal; becomes a message of the output container
    """A table that does not become a frame; the error's text names the column."""

    def __init__(self, alias: str, names: list[str], error: MalformedDocument) -> None:
        super().__init__()
        column = next((place for place, name in enumerate(names) if repr(name) in error.message), None)
        self.message = {"unopened": alias, "column": column}  # its place among those that were granted


def _receive_inputs(file: wire.ByteFile, namespace: dict[str, Any]) -> dict[str, Any]:
    """Fill the cell's namespace with tables and parameters; returns the feed's header."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from sls_jupyter.assets.opening import to_pandas
    from sls_jupyter.guest import groups
    from sls_jupyter.guest.parameters import unpack_parameters

    header = wire.receive(file)
    if header is None:
        raise SystemExit("the input closed the feed")
    if header["min_group"]:
        groups.install()
    namespace |= {"pd": pd, "np": np}  # what a pandas cell takes for granted; a table of that name wins
    unopened: Unopened | None = None
    for alias in header["tables"]:
        with pa.ipc.open_stream(file) as reader:
            names = list(reader.schema.names)
            try:
                for _ in reader if unopened else ():  # else the input would blame the table that it is at
                    continue
                namespace[alias] = None if unopened else to_pandas(reader)
            except MalformedDocument as error:
                unopened = Unopened(alias, names, error)
    if unopened:
        raise unopened
    namespace |= unpack_parameters(b64decode(header["parameters"]))
    return header


class Collector:
    """After the last cell, or the first that fails, sends the named outputs to the output container.

    Args:
        least: the smallest group that an owner lets out; ``None`` for no such rule.
    """

    def __init__(self, shell: Any, result: wire.ByteFile, cells: int, outputs: list[str], least: int | None) -> None:
        self._shell, self._result, self._cells, self._outputs, self._least = shell, result, cells, outputs, least
        self._seen = 0
        self._running: list[Any] = []  # the cell, and the cells that it runs itself

    def before_cell(self, info: Any) -> None:
        """IPython's ``pre_run_cell`` event."""
        self._running.append(info)

    def after_cell(self, outcome: Any) -> None:
        """IPython's ``post_run_cell`` event; a cell within a cell (``run_cell``, ``%run``) is none of ours."""
        if any(outcome.info is info for info in self._running):
            while self._running.pop() is not outcome.info:
                continue
        if self._running:  # an empty one has no event before it
            return
        self._seen += 1
        if outcome.success and self._seen < self._cells:
            return
        good = bool(outcome.success) and self._send_all()
        memory = isinstance(outcome.error_in_exec, MemoryError)  # then there may be none left to show the error
        wire.send(self._result, {"end": good, "cells": self._seen, "memory": memory})

    def _send_all(self) -> bool:
        """Send every named output; false if computing one of them fails, whose error is shown as the cell's."""
        for name in self._outputs:
            try:
                message, value = self._outgoing(name)
            except BaseException:  # noqa: BLE001  # a lazy query, a hostile object: what it raises ends the run
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
            value = to_stream(self._shell.user_ns[name], least=self._least)
        except Unreturnable as error:
            return {"missing": name, "type": error.type_name, "why": error.why, "hint": error.hint}, None
        message: dict[str, Any] = {"table": name, "shape": value.shape}
        if value.uncounted is not None:
            message["uncounted"] = {"why": value.uncounted.why, "where": value.uncounted.where[:5]}
        return message, value


# --- between the neighbours and the kernel's own sockets ------------------------------------------


def _forward(client: BlockingKernelClient, file: wire.ByteFile) -> None:
    """Send the output all that the kernel publishes, as it is."""
    while True:
        wire.send_frames(file, client.iopub_channel.socket.recv_multipart())


def _drive(client: BlockingKernelClient, shell: Any, file: wire.ByteFile) -> None:
    """Execute the input's cells and say how each went. When there are no more, the output ends this container."""
    from sls_jupyter.guest.counted import LEDGER

    while (message := wire.receive(file)) is not None:
        cell, asset = file.read(int(message["bytes"])).decode(), bool(message["asset"])
        known = set(linecache.cache)
        with contextlib.suppress(SyntaxError):  # the kernel will say so
            LEDGER.read_code(shell.transform_cell(cell))
        request = client.execute(cell, allow_stdin=False, stop_on_error=True, store_history=not asset)
        status = _reply(client, request)
        if message["confidential"]:
            _forget(shell, known)
        wire.send(file, {"status": status})


def _reply(client: BlockingKernelClient, request: str) -> str:
    while True:
        message = client.get_shell_msg()
        if message["parent_header"].get("msg_id") == request:
            return "ok" if message["content"].get("status") == "ok" else "error"


def _forget(shell: Any, known: set[str]) -> None:
    """Drop the text of code that ran. Its functions stay, and their bytes can still be read by who wants to."""
    for name in set(linecache.cache) - known:
        linecache.cache.pop(name, None)
    for name in ("_i", "_ii", "_iii"):
        shell.user_ns[name] = ""


def _talk_to_itself(folder: str) -> BlockingKernelClient:
    """A client of this process's own kernel, connected to what it publishes."""
    client = BlockingKernelClient(transport="ipc", ip=f"{folder}/kernel", **PORTS)
    client.session.key = b""
    client.shell_channel.start()
    client.iopub_channel.start()
    if not client.iopub_channel.socket.poll(int(wire.CONNECT_SECONDS * 1000)):
        raise SystemExit("the kernel does not publish")
    return client


# --- the process ----------------------------------------------------------------------------------


def private_folder() -> str:
    """A folder of this run alone, mode 0700, that every program below looks to for its own files."""
    folder = tempfile.mkdtemp(prefix="home-", dir=wire.here("/tmp"))  # noqa: S108  # the container's own
    os.environ.update(dict.fromkeys(PRIVATE_FOLDERS, folder))
    os.environ["PYTHONNOUSERSITE"] = "1"  # for what the cell starts; this process is isolated already
    tempfile.tempdir = None
    return folder


def _quiet_fontconfig(folder: str) -> None:
    """Plotting libraries ask fontconfig for fonts; there are only the ones they bring along."""
    path = Path(folder) / "fonts.conf"
    path.write_text("<fontconfig></fontconfig>")
    os.environ["FONTCONFIG_FILE"] = str(path)


def _settings() -> Config:
    """Nothing is remembered, and nothing runs but what the run's contract names."""
    config = Config()
    config.HistoryManager.enabled = False
    config.HistoryManager.hist_file = ":memory:"
    config.InteractiveShellApp.exec_PYTHONSTARTUP = False
    config.InteractiveShellApp.ignore_cwd = True
    config.InteractiveShellApp.reraise_ipython_extension_failures = True
    config.IPKernelApp.quiet = True
    return config


def main() -> None:
    os.umask(0o077)
    folder = private_folder()
    _quiet_fontconfig(folder)
    app = ProgramKernelApp.instance(config=_settings(), transport="ipc", ip=f"{folder}/kernel", **PORTS)
    app.session.key = b""
    app.initialize([])
    result = wire.connect(f"{wire.here(RESULT)}/{wire.RESULT_SOCKET}").makefile("rwb")
    wire.send(result, {"from": "kernel"})
    feed = wire.connect(f"{wire.here(FEED)}/{wire.FEED_SOCKET}").makefile("rwb")
    displays = wire.connect(f"{wire.here(RESULT)}/{wire.RESULT_SOCKET}").makefile("rwb")
    wire.send(displays, {"from": "displays"})

    from sls_jupyter.guest import displays as formats

    try:
        header = _receive_inputs(feed, app.shell.user_ns)
    except Unopened as unopened:
        wire.send(result, unopened.message)
        result.read()  # until the output has ended this container
        return
    formats.install(app.shell, least=header["min_group"])
    if result.read(1) != b"\n":  # the output has every connection, and takes no other
        raise SystemExit("the output is not there")
    collector = Collector(app.shell, result, int(header["cells"]), list(header["outputs"]), header["min_group"])
    app.shell.events.register("pre_run_cell", collector.before_cell)
    app.shell.events.register("post_run_cell", collector.after_cell)
    sys.argv = ["safestream"]
    threading.Thread(target=_serve, args=(folder, app.shell, feed, displays), daemon=True).start()
    app.start()


def _serve(folder: str, shell: Any, feed: wire.ByteFile, displays: wire.ByteFile) -> None:
    client = _talk_to_itself(folder)
    threading.Thread(target=_forward, args=(client, displays), daemon=True).start()
    _drive(client, shell, feed)


if __name__ == "__main__":
    main()
