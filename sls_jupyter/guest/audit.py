"""The audit sidecar: every container's records in a hash chain for each cell, and the receipts that the hardware signs.

Each container has a socket of its own that takes one connection, so a record's origin is the socket it came
over and nobody can speak for a neighbour. When a cell ends, however it ends, the sidecar writes its receipt: what the input
got and the output let go, with the head of the chain; in a session also the receipt before. The digest of what it signs goes
into REPORT_DATA of a last report, and records and receipt go to every authority's log.

A record holds what happened and how much, never code, outputs or names. The program has no line to the
sidecar: what a cell could write here would leave past the gate, and lie in plain text in every log.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time

from sls_jupyter.attestation.device.interface import Device
from sls_jupyter.contract.places import AUDIT
from sls_jupyter.guest import wire
from sls_jupyter.guest.audit_client import SPEAKERS
from sls_jupyter.guest.peers import require_ids
from sls_jupyter.guest.sidecar import Sidecar
from sls_jupyter.receipt.receipt import make_envelope

MEMORY_BYTES = 768 << 20  # of this process


def post(sidecar: Sidecar, device: Device) -> bool:
    """Have every receipt signed and send it with its records to every authority; true when all have all of them."""
    from sls_jupyter.guest.posting import Couriers

    couriers, previous = None, None
    while (due := sidecar.next()) is not None:
        spec, image = due.account.spec, sidecar.image
        if image is None:
            return False
        now = int(time.time())
        statement = due.account.statement(image, due.records, due.head, now=now, previous=previous)
        couriers = couriers or Couriers(spec.digest, spec.authorities(), sidecar.chosen)
        couriers.bring(due.records, make_envelope(statement, device.evidence))
        previous = statement.digest
        if spec.session is None:
            break
    return couriers is not None and couriers.finish()


def _work(sidecar: Sidecar) -> None:
    """Everything up to the end of this process."""
    done = False
    try:
        from sls_jupyter.guest import posting  # noqa: F401  # loaded while the run goes on

        done = post(sidecar, wire.device())
    finally:
        os._exit(0 if done else 1)  # the main thread waits for a signal that need not come


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--spec", required=True)
    sidecar = Sidecar(parser.parse_args().spec)
    wire.end_with_host()
    wire.bound_memory(MEMORY_BYTES)
    require_ids("audit")
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
