"""A container's line to the audit sidecar: what it says there, and that it ends with it."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

from sls_jupyter.contract.places import AUDIT
from sls_jupyter.errors import CellRunning, MalformedDocument, SlsError
from sls_jupyter.guest import wire
from sls_jupyter.guest.cells import Cell
from sls_jupyter.guest.contract import Contract, Material
from sls_jupyter.receipt.statement import ImageRecord
from sls_jupyter.transparency.proofs import DisclosedEntry

Speaker = Literal["input", "output"]
SPEAKERS: tuple[Speaker, ...] = ("input", "output")
LAST_WORD_SECONDS = 4.0  # how long a stopped output may take to say what its gate let go
MAX_REFUSALS = 64  # of orders that one door records


def _end_container() -> None:
    os._exit(1)  # threads, doors and all


class AuditClient:
    """A container's line to the sidecar. Without a sidecar the container ends: nothing is unlogged."""

    def __init__(self, role: Speaker, lost: Callable[[], None] = _end_container) -> None:
        connection = wire.connect(f"{wire.here(AUDIT[role])}/{wire.AUDIT_SOCKET}", role, "audit")
        self._file = connection.makefile("wb")
        self._lock = threading.Lock()
        self._lost = lost
        self._over = False
        self._refusals = 0
        threading.Thread(target=self._watch, args=(connection,), daemon=True).start()

    def _watch(self, connection: socket.socket) -> None:
        """The sidecar never sends; the end of the connection before the run's is the end of this container."""
        with connection, contextlib.suppress(OSError):
            connection.recv(1)
        if not self._over:
            self._lost()
        with self._lock, contextlib.suppress(OSError):
            self._file.close()  # the sidecar sees that nothing more is said

    def over(self) -> None:
        """This container has nothing more to say; the sidecar may go."""
        self._over = True

    def _send(self, message: dict[str, Any]) -> None:
        with self._lock:
            try:
                wire.send(self._file, message)
            except (OSError, ValueError):  # it is closed, by the sidecar or by us
                if not self._over:
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
        image = ImageRecord.of(material.image).model_dump(mode="json")
        self._send(
            {"contract": contract.spec_envelope.decode(), "inputs": inputs, "chosen": sorted(contract.chosen)}
            | {"image": image}
        )

    def cell(self, cell: Cell) -> None:
        """A session's cell begins at this door, which has verified its order and the grants to it, at this moment."""
        order = None if cell.order is None else cell.order.decode()
        grants = [grant.decode() for grant in cell.grants]
        self._send({"cell": cell.number, "order": order, "grants": grants, "now": wire.moment()})

    @contextlib.contextmanager
    def telling_refusals(self) -> Iterator[None]:
        """Record that an order was refused: by whom it was forged is not known, so only so many are.

        The words are our own; those on documents that cannot be read may hold some of theirs, and are left away.
        """
        try:
            yield
        except CellRunning:
            raise
        except SlsError as error:
            self._refusals += 1
            if self._refusals <= MAX_REFUSALS:
                why = "" if isinstance(error, MalformedDocument) else error.message[:200]
                self.record("cell-refused", error=type(error).__name__, why=why)
            raise

    def done(self, cell: Cell) -> None:
        """The program has answered this cell; nothing more will be said of it here."""
        self._send({"done": cell.number})

    def released(self, alias: str, logged: DisclosedEntry) -> None:
        """An authority released keys, and this is its log's word for it."""
        self._send({"released": alias, "logged": logged.model_dump(mode="json")})

    def feeding(self, token: str) -> None:
        """A program is being fed; from now on only the output that this token reached through it speaks of the run."""
        self._send({"feeding": token})

    def gate(self, cell: Cell, status: str, *, limit: str | None, verdict: dict[str, Any], token: str) -> None:
        """The cell is done, and this is what the gate let go; the results are still being sealed.

        Args:
            token: what the program brought from its input before its first cell; "" if it brought none.
        """
        said = {"gate": status, "number": cell.number, "limit": limit, "verdict": verdict, "token": token}
        self._send(said)

    def finish(self, cell: Cell, status: str, subjects: dict[str, str], *, token: str, last: bool) -> None:
        """The cell is over; the sidecar closes its chain and writes its receipt.

        Args:
            subjects: digests of the results by name.
            last: there is no session, so the run is over too.
        """
        if last:
            self.over()
        said = {"finish": status, "number": cell.number, "subjects": subjects, "token": token}
        self._send(said | {"now": wire.moment()})

    def closed(self, reason: str) -> None:
        """There will be no other cell."""
        self.over()
        self._send({"closed": reason})
