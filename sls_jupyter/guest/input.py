"""The input container: the in-door, the keys, the sealed parts; feeds the program and drives its kernel.

It has the network and the keys and runs no code of anybody's. The program gets tables as Arrow streams
and cells as text over one connection, which it makes before it has either; nobody connects after it.

What is decoded is bounded twice: all tables together by the program's memory, which they have to fit into, and
this process by its own share, so that a small part with large values is an error that names the table.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa

from sls_jupyter.assets.manifest import AssetManifest
from sls_jupyter.assets.opening import open_code, open_table
from sls_jupyter.assets.part_read import PRIVATE_BYTES
from sls_jupyter.attestation.device import Device
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.contract.places import FEED
from sls_jupyter.contract.spec import AssetInput
from sls_jupyter.documents import b64encode
from sls_jupyter.errors import LimitExceeded, RunFailed, SlsError, to_problem
from sls_jupyter.guest import wire
from sls_jupyter.guest.audit import AuditClient
from sls_jupyter.guest.contract import Contract, Material, accept_contract, accept_material
from sls_jupyter.guest.counting import counted
from sls_jupyter.guest.door import Door
from sls_jupyter.guest.keys import AssetKeys, fetch_keys
from sls_jupyter.guest.parts import opener

MAX_REPLY_BYTES = 1024  # of the program's word on a cell
MEMORY_BYTES = (768 << 20) + 2 * PRIVATE_BYTES  # of this process, with the sealed bytes of two parts
SEALED_FACTOR, SEALED_SLACK_BYTES = 2, 64 << 20  # sealed bytes that are read for each byte of the program's memory


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
        self._sealed = self._decoded = 0  # bytes of all inputs, as they are read and as the program gets them
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
            with wire.accept_one(feed) as connection:
                file = connection.makefile("rwb")  # not closed: that would write what a dead program did not take
                self._feed(file, opened)
                self.door.events.add("finished", status=self._execute(file, opened))
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

    def _feed(self, file: wire.ByteFile, opened: list[Opened]) -> None:
        """Send the program its tables and parameters."""
        tables = [one for one in opened if one.item.kind == "table"]
        with self._program_errors("its parameters"):
            header = {
                "tables": [one.item.alias for one in tables],
                "parameters": b64encode(self._material.parameters),
                "outputs": list(self._contract.spec.outputs),
                "cells": 1 + len(opened) - len(tables),
                "min_group": self._contract.obligations.min_group,
            }
            wire.send(file, header)
        for one in tables:
            with self._program_errors(f"the table {one.item.alias}"):
                rows = self._send_table(file, one)
                file.flush()
                self._audit.record("table-fed", asset=one.item.asset, rows=rows)
                self.door.events.add("fed", alias=one.item.alias, rows=rows)

    def _send_table(self, file: wire.ByteFile, one: Opened) -> int:
        rows = 0
        with self._memory_errors(one.item.alias):
            reader = open_table(one.manifest, one.keys.keys, columns=one.columns, open_part=self._opener(one))
            with pa.ipc.new_stream(file, reader.schema) as writer:
                for batch in reader:
                    self._count(one.item.alias, batch, whole=batch.num_rows == 0)
                    writer.write_batch(batch)
                    rows += batch.num_rows
        return rows

    def _opener(self, one: Opened) -> Callable[[str], BinaryIO]:
        def count(size: int) -> None:
            self._sealed += size
            allowed = SEALED_FACTOR * self._contract.spec.limits.memory_bytes + SEALED_SLACK_BYTES
            if self._sealed > allowed:
                raise _too_large(one.item.alias, f"{self._sealed} sealed bytes and more", allowed)

        return counted(opener(one.client, one.manifest), count)

    def _count(self, alias: str, batch: pa.RecordBatch, *, whole: bool) -> None:
        """Take a batch's bytes from the program's memory; its categories too if it is ``whole``: they are sent once."""
        for array in batch.columns:
            self._decoded += (array if whole or not pa.types.is_dictionary(array.type) else array.indices).nbytes
        allowed = self._contract.spec.limits.memory_bytes
        if self._decoded > allowed:
            raise _too_large(alias, f"{self._decoded} bytes and more", allowed)

    @contextmanager
    def _program_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except (BrokenPipeError, ConnectionError, pa.ArrowException) as error:
            raise RunFailed(
                f"The program ended while it was given {what}.",
                found=f"{type(error).__name__} after {self._decoded} bytes of tables",
                expected=f"tables that fit into {self._contract.spec.limits.memory_bytes} bytes, with all that is around",
                hint="Most often the data does not fit into --memory.",
            ) from None

    @contextmanager
    def _memory_errors(self, alias: str) -> Iterator[None]:
        try:
            yield
        except MemoryError:
            raise _too_large(alias, "a value that the input container cannot hold", MEMORY_BYTES) from None

    # --- the kernel -------------------------------------------------------------------------------

    def _cells(self, opened: list[Opened]) -> Iterator[tuple[str, bool, bool]]:
        """Each cell's text, whether it is an asset, and whether that is confidential."""
        for one in opened:
            if one.item.kind == "code":
                with self._memory_errors(one.item.alias):
                    files = open_code(one.manifest, one.keys.keys, open_part=self._opener(one))
                    cell = "\n\n".join(files[path].decode() for path in sorted(files))
                yield cell, True, one.manifest.confidential
        yield self._material.code, False, False

    def _execute(self, file: wire.ByteFile, opened: list[Opened]) -> str:
        """Run the cells in order; ``ok``, ``error`` or ``died``. What they say goes to the output alone."""
        self.door.events.add("running")
        self._audit.record("running")
        status = "ok"
        for cell, asset, confidential in self._cells(opened):
            status = _execute_one(file, cell.encode(), asset=asset, confidential=confidential)
            if status != "ok":
                break
        self._audit.record("program-finished", status=status)
        return status


def _execute_one(file: wire.ByteFile, cell: bytes, *, asset: bool, confidential: bool) -> str:
    """Have the program run one cell; only whether it says ``ok`` is read."""
    try:
        wire.send(file, {"bytes": len(cell), "asset": asset, "confidential": confidential})
        file.write(cell)
        file.flush()
        reply = wire.receive(file, most=MAX_REPLY_BYTES)
    except (OSError, SlsError):  # it is gone, or hostile
        return "died"
    if reply is None:
        return "died"
    return "ok" if reply.get("status") == "ok" else "error"


def _too_large(alias: str, found: str, allowed: int) -> LimitExceeded:
    return LimitExceeded(
        f"The input {alias} is larger than this run's memory.",
        found=found,
        expected=f"{allowed} bytes at most, for all inputs",
        hint="Ask for fewer columns, or raise --memory.",
        detail={"limit": "memory", "allowed": allowed, "alias": alias},
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--spec", required=True)
    measured = parser.parse_args().spec
    wire.end_with_host()
    wire.bound_memory(MEMORY_BYTES)
    feed = wire.listen(f"{wire.here(FEED)}/{wire.FEED_SOCKET}")
    run = InputRun(measured, wire.device(), AuditClient("input"))
    run.door.serve(os.environ["SLS_LISTEN"])
    threading.Thread(target=run.run, args=(feed,), daemon=True).start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    return 0


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    os._exit(main())  # nothing to tidy up: the memory goes with the group
