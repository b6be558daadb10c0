"""The kernel that runs the cell: ipykernel, with its data in place and its named outputs collected.

This is the program's own process, so nothing here is a boundary: a cell can change all of it. It makes
honest code work (tables in, displayed frames as Arrow, named outputs out, sizes of groups noted); what
leaves is judged by the output container.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from ipykernel.kernelapp import IPKernelApp

from sls_jupyter.contract.places import FEED, RESULT
from sls_jupyter.documents import b64decode
from sls_jupyter.guest import wire


class ProgramKernelApp(IPKernelApp):  # type: ignore[misc]  # ipykernel is untyped to us
    """An IPKernelApp whose iopub socket lies with the output and whose other sockets lie with the input."""

    ip: str

    def init_iopub(self, context: Any) -> None:
        shell, self.ip = self.ip, f"{wire.here(RESULT)}/{wire.IOPUB_PREFIX}"
        try:
            super().init_iopub(context)
        finally:
            self.ip = shell

    def write_connection_file(self, **_: Any) -> None:
        """Nobody needs one; both neighbours know the sockets."""


def _receive_inputs(file: wire.ByteFile, namespace: dict[str, Any]) -> dict[str, Any]:
    """Fill the cell's namespace with tables and parameters; returns the feed's header."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from sls_jupyter.assets.opening import to_pandas
    from sls_jupyter.guest.values import unpack_parameters

    header = wire.receive(file)
    if header is None:
        raise SystemExit("the input closed the feed")
    namespace |= {"pd": pd, "np": np}  # what a pandas cell takes for granted; a table of that name wins
    for alias in header["tables"]:
        with pa.ipc.open_stream(file) as reader:
            namespace[alias] = to_pandas(reader)
    namespace |= unpack_parameters(b64decode(header["parameters"]))
    return header


class Collector:
    """After the last cell, or the first that fails, sends the named outputs to the output container."""

    def __init__(self, shell: Any, result: wire.ByteFile, cells: int, outputs: list[str]) -> None:
        self._shell, self._result, self._cells, self._outputs = shell, result, cells, outputs
        self._seen = 0

    def after_cell(self, outcome: Any) -> None:
        """IPython's ``post_run_cell`` event."""
        self._seen += 1
        if outcome.success and self._seen < self._cells:
            return
        if outcome.success:
            for name in self._outputs:
                self._send(name)
        memory = isinstance(outcome.error_in_exec, MemoryError)  # then there may be none left to show the error
        wire.send(self._result, {"end": bool(outcome.success), "cells": self._seen, "memory": memory})

    def _send(self, name: str) -> None:
        from sls_jupyter.guest.values import Unreturnable, to_stream

        if name not in self._shell.user_ns:
            wire.send(self._result, {"missing": name, "type": None})
            return
        try:
            value = to_stream(self._shell.user_ns[name])
        except Unreturnable as error:
            wire.send(self._result, {"missing": name, "type": error.type_name})
            return
        wire.send(self._result, {"table": name, "shape": value.shape})
        value.write(self._result)


def _quiet_fontconfig() -> None:
    """Plotting libraries ask fontconfig for fonts; there are only the ones they bring along."""
    path = Path(os.environ["XDG_CACHE_HOME"]) / "fonts.conf"
    path.write_text("<fontconfig></fontconfig>")
    os.environ["FONTCONFIG_FILE"] = str(path)


def main() -> None:
    for name in ("MPLCONFIGDIR", "IPYTHONDIR", "XDG_CACHE_HOME"):
        os.environ.setdefault(name, "/tmp")  # noqa: S108  # the container's own memory
    _quiet_fontconfig()
    app = ProgramKernelApp.instance(transport="ipc", ip=f"{wire.here(FEED)}/{wire.SHELL_PREFIX}", **wire.PORTS)
    app.session.key = b""
    app.initialize(["--IPKernelApp.quiet=True"])
    result = wire.connect(f"{wire.here(RESULT)}/{wire.RESULT_SOCKET}").makefile("rwb")
    wire.send(result, {"from": "kernel"})
    feed = wire.connect(f"{wire.here(FEED)}/{wire.FEED_SOCKET}").makefile("rwb")

    from sls_jupyter.guest import displays, groups

    groups.install()
    header = _receive_inputs(feed, app.shell.user_ns)
    displays.install(app.shell)
    if result.read(1) != b"\n":  # the output listens to iopub from here on
        raise SystemExit("the output is not there")
    collector = Collector(app.shell, result, int(header["cells"]), list(header["outputs"]))
    app.shell.events.register("post_run_cell", collector.after_cell)
    sys.argv = ["safestream"]
    app.start()


if __name__ == "__main__":
    main()
