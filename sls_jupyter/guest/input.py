"""The input container: the in-door, the keys, the sealed parts; feeds the program and drives its kernel.

It has the network and the keys and runs no code of anybody's. The program gets tables as Arrow streams
and code as kernel messages, over sockets that only these two containers share.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
from jupyter_client.blocking.client import BlockingKernelClient
from zmq.constants import SocketOption

from sls_jupyter.assets.manifest import AssetManifest
from sls_jupyter.assets.opening import open_code, open_table
from sls_jupyter.attestation.device import Device
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.contract.places import FEED
from sls_jupyter.contract.spec import AssetInput
from sls_jupyter.documents import b64encode
from sls_jupyter.errors import RunFailed, SlsError, to_problem
from sls_jupyter.guest import wire
from sls_jupyter.guest.audit import AuditClient
from sls_jupyter.guest.contract import Contract, Material, accept_contract, accept_material
from sls_jupyter.guest.door import Door
from sls_jupyter.guest.keys import AssetKeys, fetch_keys
from sls_jupyter.guest.parts import opener

MAX_REPLY_BYTES = 1 << 20  # of one message of the kernel's shell channel


@dataclass(frozen=True, slots=True)
class Opened:
    """One input with its keys, ready to be read."""

    item: AssetInput
    manifest: AssetManifest
    keys: AssetKeys
    client: AuthorityClient

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Granted and asked for; ``None`` for a table whose columns are its owner's secret."""
        return self.keys.columns if self.item.columns is None else self.item.columns


class InputRun:
    """One execution, from the contract to the kernel's last reply."""

    def __init__(self, measured: str, device: Device, audit: AuditClient) -> None:
        self._measured, self._device, self._audit = measured, device, audit
        self._accepted = threading.Event()
        self._contract: Contract
        self._material: Material
        self._program_gone = threading.Event()
        self._cancelled = threading.Event()
        self.door = Door(device, self._accept, cancel=self._cancel)

    def _accept(self, body: dict[str, Any], caller: str) -> None:
        contract = accept_contract(body, self._measured, caller, now=int(time.time()))
        self._material = accept_material(body, contract)
        self._contract = contract
        self._audit.contract(contract, self._material)
        self._accepted.set()

    def _cancel(self) -> None:
        if self._cancelled.is_set():
            return
        self._cancelled.set()
        self._audit.record("cancelled-by-requester")
        self.door.events.add("cancelled")

    def run(self, feed: socket.socket) -> None:
        """Everything after the contract; an error becomes the run's last event."""
        self._accepted.wait()
        try:
            opened = self._fetch_all()
            self._feed(feed, opened)
            self.door.events.add("finished", status=self._execute(opened))
        except SlsError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001  # a run has an end, and its requester a sentence
            self._fail(SlsError("The input container failed unexpectedly.", found=type(error).__name__))
        self._audit.over()
        self.door.events.close()

    def _fail(self, error: SlsError) -> None:
        self._audit.record("input-failed", error=error.found if type(error) is SlsError else type(error).__name__)
        self.door.events.add("failed", problem=to_problem(error))

    # --- keys and data ----------------------------------------------------------------------------

    def _fetch_all(self) -> list[Opened]:
        spec, opened = self._contract.spec, []
        clients = {did: self._contract.client_of(did, url) for did, url in spec.authorities()}
        for item, manifest, grant in zip(spec.inputs, self._material.manifests, self._contract.grants, strict=True):
            client = clients[item.authority]
            keys = fetch_keys(client, self._device, spec, self._contract.spec_envelope, grant)
            self._audit.record("key-received", asset=item.asset, columns=len(keys.columns or ()))
            self._audit.released(item.alias, keys.logged)
            self.door.events.add("key", alias=item.alias, authority=item.authority, entry=keys.entry)
            opened.append(Opened(item, manifest, keys, client))
        return opened

    def _feed(self, feed: socket.socket, opened: list[Opened]) -> None:
        """Send the program its tables and parameters, once it has connected."""
        connection, _ = feed.accept()
        tables = [one for one in opened if one.item.kind == "table"]
        with _program_errors():
            file = connection.makefile("wb")
            header = {
                "tables": [one.item.alias for one in tables],
                "parameters": b64encode(self._material.parameters),
                "outputs": list(self._contract.spec.outputs),
                "cells": 1 + len(opened) - len(tables),
            }
            wire.send(file, header)
            for one in tables:
                rows = self._send_table(file, one)
                self._audit.record("table-fed", asset=one.item.asset, rows=rows)
                self.door.events.add("fed", alias=one.item.alias, rows=rows)
            file.flush()
        threading.Thread(target=self._watch, args=(connection,), daemon=True).start()

    def _send_table(self, file: BinaryIO, one: Opened) -> int:
        reader = open_table(
            one.manifest, one.keys.keys, columns=one.columns, open_part=opener(one.client, one.manifest)
        )
        rows = 0
        with pa.ipc.new_stream(file, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
                rows += batch.num_rows
        return rows

    def _watch(self, connection: socket.socket) -> None:
        """The program never sends here; the end of the connection is the end of the program."""
        with connection:
            while connection.recv(1024):
                pass
        self._program_gone.set()

    # --- the kernel -------------------------------------------------------------------------------

    def _cells(self, opened: list[Opened]) -> Iterator[str]:
        for one in opened:
            if one.item.kind == "code":
                files = open_code(one.manifest, one.keys.keys, open_part=opener(one.client, one.manifest))
                yield "\n\n".join(files[path].decode() for path in sorted(files))
        yield self._material.code

    def _execute(self, opened: list[Opened]) -> str:
        """Run the cells in order; ``ok``, ``error`` or ``died``. What they say goes to the output alone."""
        client = BlockingKernelClient(transport="ipc", ip=f"{wire.here(FEED)}/{wire.SHELL_PREFIX}", **wire.PORTS)
        client.session.key = b""  # the socket's folder is shared by two containers; a key would add nothing
        client.context.setsockopt(SocketOption.MAXMSGSIZE, MAX_REPLY_BYTES)
        client.context.setsockopt(SocketOption.RCVHWM, 8)
        client.shell_channel.start()
        self.door.events.add("running")
        self._audit.record("running")
        status = "ok"
        for cell in self._cells(opened):
            request = client.execute(cell, allow_stdin=False, stop_on_error=True)
            status = self._reply(client, request)
            if status != "ok":
                break
        self._audit.record("program-finished", status=status)
        return status

    def _reply(self, client: BlockingKernelClient, request: str) -> str:
        while not self._program_gone.is_set():
            if client.shell_channel.socket.poll(100):
                status = _status(client, request)
                if status:
                    return status
        return "died"


def _status(client: BlockingKernelClient, request: str) -> str:
    """What the next message says about ``request``; "" if it is about something else, or is garbage."""
    try:
        message = client.get_shell_msg(timeout=1)
        if message["parent_header"].get("msg_id") == request:
            return "ok" if message["content"].get("status") == "ok" else "error"
    except Exception:  # noqa: BLE001  # hostile bytes raise anything; the wall clock ends a program that only sends these
        return ""
    return ""


@contextmanager
def _program_errors() -> Iterator[None]:
    try:
        yield
    except (BrokenPipeError, ConnectionError, pa.ArrowException) as error:
        raise RunFailed(
            "The program ended while it was given its data.",
            found=type(error).__name__,
            hint="Most often the data does not fit into --memory.",
        ) from None


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--spec", required=True)
    measured = parser.parse_args().spec
    feed = wire.listen(f"{wire.here(FEED)}/{wire.FEED_SOCKET}")
    run = InputRun(measured, wire.device(), AuditClient("input"))
    run.door.serve(os.environ["SLS_LISTEN"])
    threading.Thread(target=run.run, args=(feed,), daemon=True).start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    return 0


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    os._exit(main())  # nothing to tidy up: the memory goes with the group
