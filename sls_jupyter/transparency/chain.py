"""The hash chain of one run's records, as the audit sidecar keeps it.

Each record names its number and the digest of the one before; the first one names the run. The digest
of the last record, the *head*, is what goes into the receipt and the logs. A chain alone cannot show
that its end was cut off: compare the head with the one that was logged.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, JsonValue

from sls_jupyter.documents import Digest, Document, canonical_json, digest, lp, parse_json
from sls_jupyter.errors import BadInput, LogInconsistent, MalformedDocument

MAX_RECORD_BYTES = 256 * 1024  # of one record as canonical JSON
_LABEL = "sls-jupyter/records/v1"


class ChainedRecord(Document):
    """One record and its place in the chain; its :attr:`digest` is what the next one names."""

    payload_type: ClassVar[str] = "application/vnd.sls.record.v1+json"

    seq: Annotated[int, Field(ge=0, le=2**53)]
    previous: Digest
    body: Mapping[str, JsonValue]


def chain_start(run: str = "") -> str:
    """What the first record names: ``SHA-256(lp("sls-jupyter/records/v1", run))``.

    Args:
        run: what the chain belongs to, for instance the spec's digest; so records of one run cannot
            be shown as those of another.
    """
    return digest(lp(_LABEL, run))


class Chain:
    """Builds a chain. Several threads may append; each record gets its own number."""

    def __init__(self, run: str = "") -> None:
        self._seq, self._head = 0, chain_start(run)
        self._lock = threading.Lock()

    @property
    def head(self) -> str:
        """Digest of the last record, or :func:`chain_start` before the first."""
        return self._head

    def __len__(self) -> int:
        return self._seq

    def append(self, record: Mapping[str, Any]) -> ChainedRecord:
        """Add a record.

        Args:
            record: JSON values; at most MAX_RECORD_BYTES with its place in the chain.

        Raises:
            MalformedDocument: a value that canonical JSON cannot hold. The chain is as before.
            BadInput: too large. The chain is as before.
        """
        with self._lock:
            linked = _link(self._seq, self._head, record)
            self._seq, self._head = self._seq + 1, linked.digest
            return linked


def _link(seq: int, previous: str, record: Mapping[str, Any]) -> ChainedRecord:
    try:
        body = parse_json(canonical_json({"body": dict(record)}))["body"]  # as deep as in the record file
    except RecursionError:
        raise MalformedDocument("A record is nested too deeply.") from None
    linked = ChainedRecord(seq=seq, previous=previous, body=body)
    size = len(linked.payload())
    if size > MAX_RECORD_BYTES:
        raise BadInput("A record is too large.", found=f"{size} bytes", expected=f"{MAX_RECORD_BYTES} at most")
    return linked


def verify_chain(records: Iterable[ChainedRecord], run: str = "") -> str:
    """Check that records are complete from the first one on, in order and unchanged.

    Returns:
        The head. Compare it with the one that was logged: only then is nothing missing at the end.

    Raises:
        LogInconsistent: a record is missing, doubled, moved, changed, or of another run.
    """
    head = chain_start(run)
    for seq, record in enumerate(records):
        if record.seq != seq:
            raise LogInconsistent(
                "A run's records are not complete and in order.",
                found=f"record {record.seq}",
                expected=f"record {seq}",
                hint="Ask for the run's record file again; if it stays so, records were removed.",
            )
        if record.previous != head:
            raise LogInconsistent(
                f"Record {seq} does not follow the one before it.",
                found=record.previous,
                expected=head,
                hint="A record was changed, or belongs to another run.",
            )
        head = record.digest
    return head


# --- the record file ------------------------------------------------------------------------------


def encode_records(records: Iterable[ChainedRecord]) -> bytes:
    """One record a line, canonical JSON, each line with its newline."""
    return b"".join(record.payload() + b"\n" for record in records)


def parse_records(data: bytes) -> tuple[ChainedRecord, ...]:
    """Read a record file; :func:`verify_chain` is the next step.

    Raises:
        MalformedDocument: a line is not a record, or the last one is cut.
    """
    if data and not data.endswith(b"\n"):
        raise MalformedDocument("A record file ends within a record.", hint="Ask for the file again.")
    return tuple(ChainedRecord.parse(line) for line in data.split(b"\n")[:-1])
