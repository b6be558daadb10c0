"""A run's results for one recipient: released displays and tables in one message, HPKE-sealed.

``lp(index, table, table, …)``: the index is canonical JSON with the displays and the tables' names,
shapes and row counts; each table is an Arrow IPC stream. Sealed with ``info = lp("sls-jupyter/result/v1",
spec digest, recipient's DID)``, so one run's result cannot be shown as another's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from sls_jupyter.documents import canonical_json, lp, parse_json
from sls_jupyter.errors import MalformedDocument
from sls_jupyter.hpke import HpkeKey, seal

MAX_INDEX_BYTES = 1 << 30


def result_info(spec: str, recipient: str) -> bytes:
    """HPKE ``info`` of a sealed result."""
    return lp("sls-jupyter/result/v1", spec, recipient)


@dataclass(frozen=True, slots=True)
class Result:
    """What one recipient gets."""

    events: tuple[dict[str, Any], ...]  # displays, text and errors, in order
    tables: tuple[tuple[dict[str, Any], pa.Table], ...]  # ({name, shape, rows, note}, table)
    verdict: dict[str, Any]


def _to_ipc(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def pack(result: Result) -> bytes:
    """The result's bytes, before sealing."""
    index = {"events": list(result.events), "tables": [about for about, _ in result.tables], "verdict": result.verdict}
    return lp(canonical_json(index), *(_to_ipc(table) for _, table in result.tables))


def seal_result(packed: bytes, spec: str, recipient: str, public_key: bytes) -> bytes:
    """The result for one recipient."""
    return seal(public_key, result_info(spec, recipient), packed)


def _split(data: bytes) -> Sequence[bytes]:
    parts, position = [], 0
    while position < len(data):
        length = int.from_bytes(data[position : position + 8], "big")
        parts.append(data[position + 8 : position + 8 + length])
        if position + 8 + length > len(data):
            raise MalformedDocument("A result is cut short.")
        position += 8 + length
    return parts


def open_result(sealed: bytes, spec: str, recipient: str, key: HpkeKey) -> Result:
    """Open what was sealed to ``recipient``.

    Raises:
        VerificationError: another run's, another recipient's, or changed.
        MalformedDocument: sealed for us, but not a result.
    """
    parts = _split(key.open(result_info(spec, recipient), sealed))
    if not parts:
        raise MalformedDocument("A result is empty.")
    index = parse_json(parts[0], max_bytes=MAX_INDEX_BYTES)
    try:
        tables = tuple(
            (dict(about), pa.ipc.open_stream(data).read_all())
            for about, data in zip(index["tables"], parts[1:], strict=True)
        )
        return Result(tuple(index["events"]), tables, dict(index["verdict"]))
    except (KeyError, TypeError, ValueError, pa.ArrowException):
        raise MalformedDocument("A result is not of the expected form.") from None
