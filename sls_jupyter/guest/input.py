"""The input container: the in-door, the keys, the sealed parts; feeds the program and drives its kernel.

It has the network and the keys and runs no code of anybody's. The program gets tables as Arrow streams
and cells as text over one connection, which it makes before it has either; nobody connects after it.

A session's cells come one after another as signed orders, and what orders a cell is verified before anything of it is
used (:mod:`.cells`). Keys are fetched, and tables fed, with the first one: a session without a cell has neither.

What is decoded is bounded twice: all tables together by the program's memory, which they have to fit into, and
this process by its own share, so that a small part with large values is an error that names the table.
"""

from __future__ import annotations

import argparse
import os
import queue
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import pyarrow as pa

from sls_jupyter.assets.opening import open_code, open_table
from sls_jupyter.assets.part_read import PRIVATE_BYTES
from sls_jupyter.attestation.binding import own_report_data
from sls_jupyter.attestation.device.interface import Device
from sls_jupyter.attestation.own import own_init_data
from sls_jupyter.contract.places import FEED, INPUT_PORT
from sls_jupyter.errors import RunFailed, SessionOver, SlsError, to_problem
from sls_jupyter.guest import wire
from sls_jupyter.guest.audit_client import AuditClient
from sls_jupyter.guest.cells import Cell, Cells
from sls_jupyter.guest.contract import Contract, Material, accept_contract, accept_material
from sls_jupyter.guest.counting import counted, too_large
from sls_jupyter.guest.door import Door
from sls_jupyter.guest.feed import Feed
from sls_jupyter.guest.keys import Opened, fetch_keys
from sls_jupyter.guest.messages import CodeMessage, InterruptMessage, OrderMessage, part_of
from sls_jupyter.guest.parts import opener
from sls_jupyter.guest.peers import as_measured, require_ids

TOKEN_BYTES = 32
MEMORY_BYTES = (768 << 20) + 2 * PRIVATE_BYTES  # of this process, with the sealed bytes of two parts
SEALED_FACTOR, SEALED_SLACK_BYTES = 2, 64 << 20  # sealed bytes that are read for each byte of the program's memory


class InputRun:
    """One execution, from the contract to the kernel's last reply."""

    def __init__(self, measured: str, device: Device, audit: AuditClient) -> None:
        self._measured, self._device, self._audit = measured, device, audit
        self._accepted = threading.Event()
        self._contract: Contract
        self._material: Material
        self._chain: Cells
        self._sealed = self._decoded = 0  # bytes of all inputs, as they are read and as the program gets them
        self._cancelled, self._over = threading.Event(), threading.Event()  # no cell is fed any more
        self._ordered: queue.SimpleQueue[Cell] = queue.SimpleQueue()  # verified; one at most
        self._feed: Feed | None = None  # once there is a program
        self._running: Cell | None = None
        self._interrupted: int | None = None  # number of the cell that is to be interrupted
        self._telling = threading.Lock()  # of the last three
        self.door = Door(
            "input", device, self._accept, cancel=self._cancel, order=self._order, interrupt=self._interrupt
        )

    def _accept(self, body: dict[str, Any], caller: str) -> None:
        contract = accept_contract(body, self._measured, caller, now=int(time.time()))
        own = own_init_data(self._device.evidence(own_report_data()))
        self._material = accept_material(body, contract, own)
        self._contract, self._chain = contract, Cells(contract, self._material)
        self._audit.contract(contract, self._material)
        if not self._is_session:
            self._ordered.put(self._chain.only())
        self._accepted.set()

    @property
    def _is_session(self) -> bool:
        return self._contract.spec.session is not None

    def _order(self, body: dict[str, Any]) -> None:
        with self._audit.telling_refusals():
            if self._over.is_set():
                raise SessionOver("The session has ended.", hint="Open it again: approved cells are not asked for.")
            ordered, brought = part_of(OrderMessage, body), part_of(CodeMessage, body)
            cell = self._chain.take(ordered, brought, now=int(time.time()))
        self._audit.cell(cell)
        self._ordered.put(cell)
        if self._feed is not None:
            self._feed.wake()

    def _cancel(self) -> None:
        if self._cancelled.is_set():
            return
        self._cancelled.set()
        self._audit.record("cancelled-by-requester")
        self.door.events.add("cancelled")

    def _interrupt(self, body: dict[str, Any]) -> None:
        """Interrupt the cell with this number, from its order on; nothing when it is over, or was never ordered."""
        number = InterruptMessage.from_json(body).cell
        with self._telling:
            running, feed = self._running, self._feed
            if number != self._chain.running:
                return
            if self._interrupted != number:
                self._interrupted = number
                self._audit.record("interrupted-by-requester")
                self._tell("interrupted", number)
        if feed is not None and running is not None:  # else it is told when it begins
            feed.interrupt(number)

    def _tell(self, kind: str, cell: int, **fields: Any) -> None:
        """An event; of a session's cell, with its number."""
        self.door.events.add(kind, **({"cell": cell} if self._is_session else {}), **fields)

    def run(self, feed: socket.socket) -> None:
        """Everything after the contract; an error becomes the run's last event."""
        self._accepted.wait()
        first = self._begun()
        try:
            opened = self._fetch_all(first)
            with wire.accept_one(feed, "input", "program") as connection:
                line, token = Feed(connection), secrets.token_hex(TOKEN_BYTES)
                self._audit.feeding(token)
                self._feed_tables(line.file, opened, token, first)
                self._feed = line
                cell: Cell | None = first
                assets = [one for one in opened if one.item.kind == "code"]
                while cell is not None:
                    self._tell("finished", cell.number, status=self._execute(line, cell, assets))
                    cell = self._next(line)
        except SlsError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001  # a run has an end, and its requester a sentence
            self._fail(SlsError("The input container failed unexpectedly.", found=type(error).__name__))
        self._over.set()
        self._audit.over()
        self.door.events.close()

    def _begun(self) -> Cell:
        """The next cell, when it is there."""
        cell = self._ordered.get()
        with self._telling:
            self._running = cell
        return cell

    def _next(self, line: Feed) -> Cell | None:
        """A session's next cell; ``None`` when there will be no other."""
        return self._begun() if self._is_session and line.wait() else None

    def _fail(self, error: SlsError) -> None:
        self._audit.record("input-failed", error=error.found if type(error) is SlsError else type(error).__name__)
        about = {"cell": self._chain.number} if self._is_session else {}
        self.door.events.add("failed", **about, problem=to_problem(error))

    # --- keys and data ----------------------------------------------------------------------------

    def _fetch_all(self, cell: Cell) -> list[Opened]:
        spec, opened = self._contract.spec, []
        clients = {did: self._contract.client_of(did, url) for did, url in spec.authorities()}
        for item, manifest, grant in zip(spec.inputs, self._material.manifests, self._contract.grants, strict=True):
            client = clients[item.authority]
            keys = fetch_keys(client, self._device, spec, self._contract.spec_envelope, grant)
            self._audit.record("key-received", asset=item.asset, columns=len(keys.columns or ()))
            self._audit.released(item.alias, keys.logged)
            self._tell("key", cell.number, alias=item.alias, authority=item.authority, entry=keys.entry)
            opened.append(Opened(item, manifest, keys, client))
        return opened

    def _feed_tables(self, file: wire.ByteFile, opened: list[Opened], token: str, cell: Cell) -> None:
        """Send the program its tables, and the token by which its output is known."""
        tables = [one for one in opened if one.item.kind == "table"]
        with self._program_errors("its first message"):
            wire.send(file, {"tables": [one.item.alias for one in tables], "min_group": cell.obligations.min_group,
                             "token": token})  # fmt: skip
        for one in tables:
            with self._program_errors(f"the table {one.item.alias}"):
                rows = self._send_table(file, one)
                file.flush()
                self._audit.record("table-fed", asset=one.item.asset, rows=rows)
                self._tell("fed", cell.number, alias=one.item.alias, rows=rows)

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
                raise too_large(one.item.alias, f"{self._sealed} sealed bytes and more", allowed)

        seconds = self._contract.spec.limits.wall_seconds
        return counted(opener(one.client, one.manifest, one.keys.read_pass, wall_seconds=seconds), count)

    def _count(self, alias: str, batch: pa.RecordBatch, *, whole: bool) -> None:
        """Take a batch's bytes from the program's memory; its categories too if it is ``whole``: they are sent once."""
        for array in batch.columns:
            self._decoded += (array if whole or not pa.types.is_dictionary(array.type) else array.indices).nbytes
        allowed = self._contract.spec.limits.memory_bytes
        if self._decoded > allowed:
            raise too_large(alias, f"{self._decoded} bytes and more", allowed)

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
            raise too_large(alias, "a value that the input container cannot hold", MEMORY_BYTES) from None

    # --- the kernel -------------------------------------------------------------------------------

    def _text_of(self, one: Opened) -> str:
        """The code of an asset."""
        with self._memory_errors(one.item.alias):
            files = open_code(one.manifest, one.keys.keys, open_part=self._opener(one))
            return "\n\n".join(files[path].decode() for path in sorted(files))

    def _execute(self, line: Feed, cell: Cell, assets: list[Opened]) -> str:
        """Run a cell; ``ok``, ``error`` or ``died``. What it says goes to the output alone.

        Args:
            assets: code that runs before the first cell; each is taken from there once it ran without an error.
        """
        self._tell("running", cell.number)
        self._audit.record("running")
        with self._program_errors("its parameters"):
            line.begin(cell, len(assets) + 1)
        if self._interrupted == cell.number:  # before there was a line
            line.interrupt(cell.number)
        status = "ok"
        while assets and status == "ok":
            one = assets[0]
            status = line.execute(self._text_of(one).encode(), asset=True, confidential=one.manifest.confidential)
            if status == "ok":
                assets.pop(0)
        if status == "ok":
            status = line.execute(cell.code.encode(), asset=False, confidential=False)
        with self._telling:
            self._running = None
        self._audit.record("program-finished", status=status)
        self._audit.done(cell)
        self._chain.done()
        return status


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--spec", required=True)
    measured = parser.parse_args().spec
    wire.end_with_host()
    wire.bound_memory(MEMORY_BYTES)
    require_ids("input")
    feed = wire.listen(f"{wire.here(FEED)}/{wire.FEED_SOCKET}", everybody=as_measured("input"))
    run = InputRun(measured, wire.device(), AuditClient("input"))
    run.door.serve(os.environ.get("SLS_LISTEN", f"0.0.0.0:{INPUT_PORT}"))
    threading.Thread(target=run.run, args=(feed,), daemon=True).start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    return 0


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    os._exit(main())  # nothing to tidy up: the memory goes with the group
