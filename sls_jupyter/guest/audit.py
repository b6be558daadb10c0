"""The audit sidecar: every container's records in one hash chain, bound by the hardware at the end.

Each container has a socket of its own, so a record's origin is the socket it came over and nobody can
speak for a neighbour. When the run ends, however it ends, the chain's head goes into REPORT_DATA of a
last report, and records and report go to every authority's log.

A record holds what happened and how much, never code, outputs or names. The program has no line to the
sidecar: what a cell could write here would leave past the gate, and lie in plain text in every log.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

from sls_jupyter.attestation.binding import receipt_report_data
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.contract.places import AUDIT
from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.documents import canonical_json, verify
from sls_jupyter.errors import DigestMismatch, SlsError
from sls_jupyter.guest import wire
from sls_jupyter.identity import verify_signature
from sls_jupyter.transparency.chain import Chain, ChainedRecord, encode_records

Speaker = Literal["input", "output"]
SPEAKERS: tuple[Speaker, ...] = ("input", "output")
MAX_RECORDS = 1_000
MAX_RECORD_BYTES = 4096
POST_ATTEMPTS = 5


def _end_container() -> None:
    os._exit(1)  # threads, doors and all


class AuditClient:
    """A container's line to the sidecar. A record that cannot be sent ends the container: nothing is unlogged."""

    def __init__(self, role: Speaker, lost: Callable[[], None] = _end_container) -> None:
        self._file = wire.connect(f"{wire.here(AUDIT[role])}/{wire.AUDIT_SOCKET}").makefile("wb")
        self._lock = threading.Lock()
        self._lost = lost

    def _send(self, message: dict[str, Any]) -> None:
        with self._lock:
            try:
                wire.send(self._file, message)
            except OSError:
                self._lost()

    def record(self, event: str, **fields: str | int | bool | None) -> None:
        self._send({"event": event, "at": int(time.time()), **fields})

    def contract(self, spec_envelope: bytes) -> None:
        """Tell the sidecar which spec runs, so that it knows whose logs to write to."""
        self._send({"contract": spec_envelope.decode()})

    def finish(self, status: str) -> None:
        """The run is over; the sidecar closes the chain."""
        self._send({"finish": status})


class Sidecar:
    """Collects records until somebody who may says that the run is over."""

    def __init__(self, measured: str) -> None:
        self._measured = measured
        self._chain = Chain(measured)
        self._records: list[ChainedRecord] = []
        self._lock = threading.Lock()
        self.spec: StreamSpec | None = None
        self.finished = threading.Event()

    def serve(self, role: str, listening: socket.socket) -> None:
        """Take the records of one container, for ever."""
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=self._follow, args=(role, connection), daemon=True).start()

    def _follow(self, role: str, connection: socket.socket) -> None:
        """One container's records to the last; a container that goes before the end is the end."""
        with connection, connection.makefile("rb") as file:
            try:
                while (message := wire.receive(file)) is not None:
                    self._take(role, message)
            except (SlsError, OSError) as error:
                self.append(role, {"event": "malformed-record", "error": type(error).__name__})
        if not self.finished.is_set():
            self.append(role, {"event": "container-gone"})
            self.finished.set()

    def _take(self, role: str, message: dict[str, Any]) -> None:
        if role == "input" and "contract" in message:
            self._contract(str(message["contract"]).encode())
        elif role == "output" and "finish" in message:
            self.append(role, {"event": "finished", "status": str(message["finish"])[:40]})
            self.finished.set()
        else:
            self.append(role, message)

    def _contract(self, envelope: bytes) -> None:
        spec = verify(envelope, StreamSpec, verify_signature, did=None)
        if spec.digest != self._measured:
            raise DigestMismatch("Another spec than the measured one.", found=spec.digest, expected=self._measured)
        self.spec = spec
        self.append("input", {"event": "contract", "spec": spec.digest})

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


def post(sidecar: Sidecar, measured: str) -> bool:
    """Send the records to every authority of the spec; true when all have them."""
    if sidecar.spec is None:
        return False
    records, head = sidecar.close()
    evidence = wire.device().evidence(receipt_report_data(head))
    done = True
    for did, url in sidecar.spec.authorities():
        done &= _post_one(AuthorityClient(url, did=did), measured, records, evidence)
    return done


def _post_one(client: AuthorityClient, measured: str, records: bytes, evidence: Any) -> bool:
    for attempt in range(POST_ATTEMPTS):
        try:
            client.post_records(measured, records, evidence)
            return True
        except SlsError as error:
            print(f"audit: {client.url}: {type(error).__name__}", file=sys.stderr, flush=True)  # noqa: T201
            time.sleep(0.2 * 2**attempt)
    return False


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--spec", required=True)
    measured = parser.parse_args().spec
    sidecar = Sidecar(measured)
    for role in SPEAKERS:
        listening = wire.listen(f"{wire.here(AUDIT[role])}/{wire.AUDIT_SOCKET}")
        threading.Thread(target=sidecar.serve, args=(role, listening), daemon=True).start()

    def stopped(*_: object) -> None:
        sidecar.append("audit", {"event": "stopped-by-host"})
        sidecar.finished.set()

    signal.signal(signal.SIGTERM, stopped)
    sidecar.finished.wait()
    return 0 if post(sidecar, measured) else 1


if __name__ == "__main__":
    sys.exit(main())
