"""A run's results for one recipient: released displays and tables in one message, HPKE-sealed.

``lp(index, table, table, …)``: the index is canonical JSON with a salt, the displays and the tables' names,
shapes and row counts; each table is an Arrow IPC stream. Sealed with ``info = lp("sls-jupyter/result/v1",
spec digest, recipient's DID)``, so one run's result cannot be shown as another's.

A receipt names results by SHA-256, under these names (:func:`subjects_of`)::

    result          the bundle, before sealing; its salt keeps anybody from guessing the content
    output/NAME     lp("sls-jupyter/output/v1", salt, NAME, Arrow IPC stream)
    sealed/DID      the bundle as it was sealed to this recipient
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from sls_jupyter.documents import b64decode, b64encode, canonical_json, digest, lp, parse_json
from sls_jupyter.errors import MalformedDocument
from sls_jupyter.hpke import HpkeKey, seal

MAX_INDEX_BYTES = 1 << 30
SALT_BYTES = 32


def result_info(spec: str, recipient: str) -> bytes:
    """HPKE ``info`` of a sealed result."""
    return lp("sls-jupyter/result/v1", spec, recipient)


@dataclass(frozen=True, slots=True)
class Result:
    """What one recipient gets."""

    events: tuple[dict[str, Any], ...]  # displays, text and errors, in order
    tables: tuple[tuple[dict[str, Any], pa.Table], ...]  # ({name, shape, rows, note}, table)
    verdict: dict[str, Any]
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(SALT_BYTES), repr=False)


def pack(result: Result) -> bytes:
    """The result's bytes, before sealing."""
    index = {
        "events": list(result.events),
        "salt": b64encode(result.salt),
        "tables": [about for about, _ in result.tables],
        "verdict": result.verdict,
    }
    if not result.tables:
        return lp(canonical_json(index))
    from sls_jupyter.guest.tables import written  # and pandas

    return lp(canonical_json(index), *(written(table) for _, table in result.tables))


def subjects_of(packed: bytes, sealed: Mapping[str, bytes] = MappingProxyType({})) -> dict[str, str]:
    """What a receipt calls these results: digest (``sha256:…``) by name.

    Args:
        packed: a bundle before it is sealed.
        sealed: recipient's DID to the bundle sealed to it; a recipient who has opened a bundle gives none.

    Raises:
        MalformedDocument: not a bundle.
    """
    index, *tables = _split(packed) or (b"",)
    about = _read_index(index)
    salt = b64decode(about["salt"])
    try:
        named = list(zip((str(one["name"]) for one in about["tables"]), tables, strict=True))
    except (KeyError, TypeError, ValueError):
        raise MalformedDocument("A result is not of the expected form.") from None
    return {
        "result": digest(packed),
        **{f"output/{name}": digest(lp("sls-jupyter/output/v1", salt, name, table)) for name, table in named},
        **{f"sealed/{did}": digest(data) for did, data in sealed.items()},
    }


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


def _read_index(data: bytes) -> dict[str, Any]:
    index = parse_json(data, max_bytes=MAX_INDEX_BYTES)
    kinds = {"events": list, "salt": str, "tables": list, "verdict": dict}
    if not isinstance(index, dict) or {name: type(value) for name, value in index.items()} != kinds:
        raise MalformedDocument("A result is not of the expected form.")
    return index


def unseal(sealed: bytes, spec: str, recipient: str, key: HpkeKey) -> bytes:
    """The bundle that was sealed to ``recipient``, not yet read.

    Raises:
        VerificationError: another run's, another recipient's, or changed.
    """
    return key.open(result_info(spec, recipient), sealed)


def open_result(sealed: bytes, spec: str, recipient: str, key: HpkeKey) -> Result:
    """Open what was sealed to ``recipient``.

    Raises:
        VerificationError: another run's, another recipient's, or changed.
        MalformedDocument: sealed for us, but not a result.
    """
    return read_result(unseal(sealed, spec, recipient, key))


def read_result(packed: bytes) -> Result:
    """The result in an unsealed bundle.

    Raises:
        MalformedDocument: not a bundle.
    """
    parts = _split(packed)
    if not parts:
        raise MalformedDocument("A result is empty.")
    index = _read_index(parts[0])
    try:
        tables = tuple(
            (dict(about), pa.ipc.open_stream(data).read_all())
            for about, data in zip(index["tables"], parts[1:], strict=True)
        )
        return Result(tuple(index["events"]), tables, dict(index["verdict"]), b64decode(index["salt"]))
    except (KeyError, TypeError, ValueError, pa.ArrowException):
        raise MalformedDocument("A result is not of the expected form.") from None
