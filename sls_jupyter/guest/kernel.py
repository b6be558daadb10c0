"""The kernel that runs the cell: ipykernel, with its data in place and its named outputs collected.

This is the program's own process, so nothing here is a boundary: a cell can change all of it. It makes
honest code work (tables in, displayed frames as Arrow, named outputs out, sizes of groups noted); what
leaves is judged by the output container.

The kernel is driven from its own process (:mod:`.driving`), over sockets in its scratch space. With its neighbours it speaks
over connections that it makes before the first cell: it gets cells from the input and answers with a status,
sends named outputs and, on another connection, all that it publishes to the output.

It is nobody's notebook: no history, no configuration, start-up files or extensions of a user or the system.
"""

from __future__ import annotations

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
from sls_jupyter.errors import MalformedDocument
from sls_jupyter.guest import wire

ARENA_KIB = 1 << 16  # that Arrow's allocator reserves at first; by itself it takes 1 GiB of what the cell may have
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


def _receive_inputs(file: wire.ByteFile, result: wire.ByteFile, namespace: dict[str, Any]) -> dict[str, Any]:
    """Fill the cells' namespace with tables; returns the feed's header.

    The output gets the input's token at once: so the sidecar knows which output speaks for this program.
    """
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from sls_jupyter.assets.opening import to_pandas
    from sls_jupyter.guest import groups

    header = wire.receive(file)
    if header is None:
        raise SystemExit("the input closed the feed")
    wire.send(result, {"token": header.pop("token")})
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
    return header


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
    os.environ["MIMALLOC_ARENA_RESERVE"] = str(
        ARENA_KIB
    )  # mimalloc.h, mi_option_arena_reserve; read when Arrow is loaded
    folder = private_folder()
    _quiet_fontconfig(folder)
    app = ProgramKernelApp.instance(config=_settings(), transport="ipc", ip=f"{folder}/kernel", **PORTS)
    app.session.key = b""
    app.initialize([])
    result = wire.connect(f"{wire.here(RESULT)}/{wire.RESULT_SOCKET}", "program", "output").makefile("rwb")
    wire.send(result, {"from": "kernel"})
    feed = wire.connect(f"{wire.here(FEED)}/{wire.FEED_SOCKET}", "program", "input").makefile("rwb")
    displays = wire.connect(f"{wire.here(RESULT)}/{wire.RESULT_SOCKET}", "program", "output").makefile("rwb")
    wire.send(displays, {"from": "displays"})

    from sls_jupyter.guest import driving

    try:
        header = _receive_inputs(feed, result, app.shell.user_ns)
    except Unopened as unopened:
        wire.send(result, unopened.message)
        result.read()  # until the output has ended this container
        return
    if result.read(1) != b"\n":  # the output has every connection, and takes no other
        raise SystemExit("the output is not there")
    collector, interrupts = driving.prepare(app.shell, result)
    sys.argv = ["safestream"]

    def serve() -> None:
        client = _talk_to_itself(folder)
        threading.Thread(target=driving.forward, args=(client, displays), daemon=True).start()
        driving.Driver(client, app.shell, feed, collector, interrupts, groups=bool(header["min_group"])).run()

    threading.Thread(target=serve, daemon=True).start()
    app.start()


if __name__ == "__main__":
    main()
