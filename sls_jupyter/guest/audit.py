"""The audit sidecar: every container's records in one hash chain, and the receipt that the hardware signs.

Each container has a socket of its own that takes one connection, so a record's origin is the socket it came
over and nobody can speak for a neighbour. When the run ends, however it ends, the sidecar writes the receipt: what the input
got and the output let go, with the head of the chain. The digest of what it signs goes into REPORT_DATA of a
last report, and records and receipt go to every authority's log.

A record holds what happened and how much, never code, outputs or names. The program has no line to the
sidecar: what a cell could write here would leave past the gate, and lie in plain text in every log.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from sls_jupyter.attestation.device import Device
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.contract.image import GuestImage, installed_image
from sls_jupyter.contract.places import AUDIT
from sls_jupyter.contract.spec import verify_stream_spec
from sls_jupyter.documents import canonical_json
from sls_jupyter.errors import DigestMismatch, SlsError
from sls_jupyter.guest import wire
from sls_jupyter.guest.account import Account
from sls_jupyter.guest.contract import Contract, Material
from sls_jupyter.receipt.receipt import make_envelope
from sls_jupyter.transparency.chain import Chain, ChainedRecord, encode_records
from sls_jupyter.transparency.proofs import DisclosedEntry

Speaker = Literal["input", "output"]
SPEAKERS: tuple[Speaker, ...] = ("input", "output")
MEMORY_BYTES = 768 << 20  # of this process
MAX_RECORDS = 1_000
MAX_RECORD_BYTES = 4096
POST_ATTEMPTS = 5
POST_SECONDS = 5.0  # of one attempt
LAST_WORD_SECONDS = 1.0  # how long a stopped output may take to say what its gate let go
HEARING_SECONDS = 0.5  # how much longer the sidecar listens for it


def _end_container() -> None:
    os._exit(1)  # threads, doors and all


class AuditClient:
    """A container's line to the sidecar. Without a sidecar the container ends: nothing is unlogged."""

    def __init__(self, role: Speaker, lost: Callable[[], None] = _end_container) -> None:
        connection = wire.connect(f"{wire.here(AUDIT[role])}/{wire.AUDIT_SOCKET}")
        self._file = connection.makefile("wb")
        self._lock = threading.Lock()
        self._lost = lost
        self._over = False
        threading.Thread(target=self._watch, args=(connection,), daemon=True).start()

    def _watch(self, connection: socket.socket) -> None:
        """The sidecar never sends; the end of the connection before the run's is the end of this container."""
        with connection, contextlib.suppress(OSError):
            connection.recv(1)
        if not self._over:
            self._lost()

    def over(self) -> None:
        """This container has nothing more to say; the sidecar may go."""
        self._over = True

    def _send(self, message: dict[str, Any]) -> None:
        with self._lock:
            try:
                wire.send(self._file, message)
            except OSError:
                self._lost()

    def record(self, event: str, **fields: str | int | bool | None) -> None:
        self._send({"event": event, "at": int(time.time()), **fields})

    def contract(self, contract: Contract, material: Material) -> None:
        """Tell the sidecar which spec runs, with what its owners signed: so it knows whose logs to write to."""
        inputs = [
            {"alias": item.alias, "manifest": manifest.decode(), "grant": grant.decode()}
            for item, manifest, grant in zip(
                contract.spec.inputs, material.manifest_envelopes, contract.grant_envelopes, strict=True
            )
        ]
        self._send({"contract": contract.spec_envelope.decode(), "inputs": inputs, "chosen": sorted(contract.chosen)})

    def released(self, alias: str, logged: DisclosedEntry) -> None:
        """An authority released keys, and this is its log's word for it."""
        self._send({"released": alias, "logged": logged.model_dump(mode="json")})

    def gate(self, status: str, *, limit: str | None, verdict: dict[str, Any]) -> None:
        """The program is done, and this is what the gate let go; the results are still being sealed."""
        self._send({"gate": status, "limit": limit, "verdict": verdict})

    def finish(self, status: str, subjects: dict[str, str]) -> None:
        """The run is over; the sidecar closes the chain and writes the receipt.

        Args:
            subjects: digests of the results by name.
        """
        self.over()
        self._send({"finish": status, "subjects": subjects})


class Sidecar:
    """Collects records until somebody who may says that the run is over."""

    def __init__(self, measured: str) -> None:
        self._measured = measured
        self._chain = Chain(measured)
        self._records: list[ChainedRecord] = []
        self._lock = threading.Lock()
        self._stopped = False
        self._output_ended = threading.Event()  # it said its last word, or will never
        self.account: Account | None = None
        self.chosen: frozenset[str] = frozenset()  # URLs of authorities that the requester chose
        self.finished = threading.Event()

    def serve(self, role: str, listening: socket.socket) -> None:
        """Take the records of one container, from the one connection that it makes before anything else."""
        self._follow(role, wire.accept_one(listening))

    def _follow(self, role: str, connection: socket.socket) -> None:
        """One container's records to the last; a container that goes before the end is the end."""
        with connection, connection.makefile("rb") as file:
            try:
                while (message := wire.receive(file)) is not None:
                    self._take(role, message)
            except (SlsError, OSError) as error:
                self.append(role, {"event": "malformed-record", "error": type(error).__name__})
        if role == "output":
            self._output_ended.set()
        if not self.finished.is_set():
            self.append(role, {"event": "container-gone"})
            self.finished.set()

    def _take(self, role: str, message: dict[str, Any]) -> None:
        if role == "input" and "contract" in message:
            self.chosen = frozenset(str(url) for url in message.get("chosen") or ())  # bounded by the input
            self._contract(str(message["contract"]).encode(), message.get("inputs"))
        elif role == "input" and "released" in message and self.account is not None:
            self.account.release(str(message["released"]), message.get("logged"))
        elif role == "output" and "gate" in message and self.account is not None:
            self.account.gate(str(message["gate"]), message.get("limit"), message.get("verdict"))
        elif role == "output" and "finish" in message:
            self._finish(message)
        else:
            self.append(role, message)

    def _finish(self, message: dict[str, Any]) -> None:
        status = str(message["finish"])[:40]
        self.append("output", {"event": "finished", "status": status})
        if self.account is not None:
            self.account.finish(status, message.get("subjects"))
        self._output_ended.set()
        self.finished.set()

    def stop(self) -> None:
        """The host ends the group; whatever is known until then is the run."""
        self._stopped = True
        self.finished.set()

    def wait(self) -> None:
        """Until the run is over and the output has had the time for its last word."""
        self.finished.wait()
        self._output_ended.wait(LAST_WORD_SECONDS + HEARING_SECONDS)
        if self._stopped:
            self.append("audit", {"event": "stopped-by-host"})
            if self.account is not None:
                self.account.stopped()

    def _contract(self, envelope: bytes, inputs: object) -> None:
        spec = verify_stream_spec(envelope)
        if spec.digest != self._measured:
            raise DigestMismatch("Another spec than the measured one.", found=spec.digest, expected=self._measured)
        self.append("input", {"event": "contract", "spec": spec.digest})
        self.account = Account(spec, envelope, inputs, now=int(time.time()))

    def append(self, role: str, record: dict[str, Any]) -> None:
        """Chain a record, bounded in size and number."""
        body = {"from": role, **{name: value for name, value in record.items() if name != "from"}}
        with self._lock:
            if len(self._records) >= MAX_RECORDS:
                return
            if len(self._records) == MAX_RECORDS - 1 or len(canonical_json(body)) > MAX_RECORD_BYTES:
                body = {"from": role, "event": "record-too-large"}
            self._records.append(self._chain.append(body))

    def close(self) -> tuple[bytes, str]:
        """The chained records and the digest of the last one."""
        with self._lock:
            return encode_records(self._records), self._chain.head


def post(sidecar: Sidecar, device: Device, image: GuestImage) -> bool:
    """Have the receipt signed and send it with the records to every authority; true when all have them."""
    account = sidecar.account
    if account is None:
        return False
    records, head = sidecar.close()
    statement = account.statement(image, records, head, now=int(time.time()))
    receipt, parties = make_envelope(statement, device.evidence), account.spec.authorities()
    clients = [
        AuthorityClient(url, did=did, timeout=POST_SECONDS, chosen=url in sidecar.chosen) for did, url in parties
    ]
    with ThreadPoolExecutor(len(clients)) as pool:  # none waits for another: a stop may come at any time
        return all(list(pool.map(lambda client: _post_one(client, account.spec.digest, records, receipt), clients)))


def _post_one(client: AuthorityClient, spec: str, records: bytes, receipt: bytes) -> bool:
    for attempt in range(POST_ATTEMPTS):
        try:
            client.post_records(spec, records, receipt)
            return True
        except Exception as error:  # noqa: BLE001  # whatever one authority answers, the others are told
            print(f"audit: {client.url}: {type(error).__name__}", file=sys.stderr, flush=True)  # noqa: T201
            if attempt + 1 < POST_ATTEMPTS:
                time.sleep(0.2 * 2**attempt)
    return False


def _work(sidecar: Sidecar) -> None:
    """Everything up to the end of this process."""
    sidecar.wait()
    done = False
    try:
        done = post(sidecar, wire.device(), installed_image())
    finally:
        os._exit(0 if done else 1)  # the main thread waits for a signal that need not come


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--spec", required=True)
    sidecar = Sidecar(parser.parse_args().spec)
    wire.end_with_host()
    wire.bound_memory(MEMORY_BYTES)
    for role in SPEAKERS:
        listening = wire.listen(f"{wire.here(AUDIT[role])}/{wire.AUDIT_SOCKET}")
        threading.Thread(target=sidecar.serve, args=(role, listening), daemon=True).start()
    worker = threading.Thread(target=_work, args=(sidecar,))
    worker.start()
    signal.sigwait({signal.SIGTERM})  # no handler: it could wait for a lock that its own thread holds
    sidecar.stop()
    worker.join()
    return 1


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    sys.exit(main())
