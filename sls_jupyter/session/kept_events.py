"""The events of a run on disk, for its requester's eyes only: ``events.sealed`` in the run's folder.

A content key is sealed to the requester's own key and signed by them; each event is encrypted with it as it comes. So
only the persona reads them, and nobody else can have written them. The format is in docs/specs/kept-events.md.

What is *not* seen: that the last events are missing. A file that ends without ``ended`` is one of a run that goes on,
or is lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from sls_jupyter import hpke
from sls_jupyter.documents import lp
from sls_jupyter.errors import MalformedDocument, VerificationError
from sls_jupyter.identity import Identity, verify_signature

NAME = "events.sealed"
LABEL = "sls-jupyter/kept-events/v1"
MAGIC = b"sls-kept-events/1\n"
MAX_RECORD_BYTES = 768 * 2**20  # above the largest event of a door, in base64
_KEY, _EVENT = b"K", b"E"
_HEAD_BYTES = 5  # kind, then the length of what follows
_SIGNATURE_BYTES = 64


def _info(spec: str) -> bytes:
    return lp(LABEL, spec)


def _aad(spec: str, number: int) -> bytes:
    return lp(LABEL, spec, number.to_bytes(8, "big"))


def _signed(spec: str, sealed: bytes) -> bytes:
    return lp(f"{LABEL} key", spec, sealed)


def _nonce(count: int) -> bytes:
    return count.to_bytes(12, "big")


class KeptEvents:
    """The writing end.

    Args:
        path: the file; there is none yet, or one of the same run that ended early.
        start: number of the first event that will be appended; 0 begins the file anew.
        size: bytes of the file that hold the events before ``start``.
    """

    def __init__(self, path: Path, spec: str, persona: Identity, *, start: int = 0, size: int = 0) -> None:
        self._spec, self._next, self._count = spec, start, 0
        key = secrets.token_bytes(32)  # a new one each time: no number is used twice with one key
        self._cipher = ChaCha20Poly1305(key)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_APPEND, 0o600)
        self.failed = False
        os.ftruncate(self._file, size)
        sealed = hpke.seal(persona.hpke.public_bytes, _info(spec), key)
        signed = sealed + persona.sign(_signed(spec, sealed))
        self._write((MAGIC if size == 0 else b"") + _record(_KEY, signed))

    def append(self, number: int, event: dict[str, Any]) -> None:
        """Keep one event. After the first that cannot be written (a full disk) no other is; the run goes on."""
        if self.failed or number != self._next:
            self.failed = True
            return
        plain = json.dumps(event, ensure_ascii=False).encode()
        sealed = self._cipher.encrypt(_nonce(self._count), plain, _aad(self._spec, number))
        self._next, self._count = self._next + 1, self._count + 1
        self._write(_record(_EVENT, sealed))
        if event["type"] == "ended":
            self.close()

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            self.failed = True

    def close(self) -> None:
        """Bring what was written to the disk, and write no more."""
        with contextlib.suppress(OSError):
            os.fsync(self._file)
            os.close(self._file)
        self.failed = True


def _record(kind: bytes, data: bytes) -> bytes:
    return kind + len(data).to_bytes(4, "big") + data


class KeptReader:
    """The reading end; it can be asked again for what came meanwhile.

    Attributes:
        size: bytes of the file up to the end of the last whole event.
    """

    def __init__(self, path: Path, spec: str, persona: Identity) -> None:
        self._path, self._spec, self._persona = path, spec, persona
        self._cipher: ChaCha20Poly1305 | None = None
        self._number = self._count = 0
        self.size = 0

    def read(self) -> Iterator[dict[str, Any]]:
        """Events that were not read before; a torn last one is left for later.

        Raises:
            VerificationError, SignatureInvalid: the file was changed, or is another persona's or another run's.
            MalformedDocument: it is no such file.
        """
        try:
            file = self._path.open("rb")
        except OSError:
            return
        with file:
            if self.size == 0:
                magic = file.read(len(MAGIC))
                if magic != MAGIC[: len(magic)]:
                    raise MalformedDocument("These are not the kept events of a run.", found=str(self._path))
                if len(magic) < len(MAGIC):
                    return
                self.size = len(MAGIC)
            file.seek(self.size)
            while (record := _read_record(file)) is not None:
                kind, data = record
                event = self._take(kind, data)
                self.size += _HEAD_BYTES + len(data)
                if event is not None:
                    yield event

    def is_ahead(self) -> bool:
        """Whether more was read than is in the file: it was begun anew."""
        try:
            return self._path.stat().st_size < self.size
        except OSError:
            return self.size > 0

    def _take(self, kind: bytes, data: bytes) -> dict[str, Any] | None:
        if kind == _KEY:
            sealed, signature = data[:-_SIGNATURE_BYTES], data[-_SIGNATURE_BYTES:]
            verify_signature(self._persona.did, signature, _signed(self._spec, sealed))
            self._cipher, self._count = ChaCha20Poly1305(self._persona.hpke.open(_info(self._spec), sealed)), 0
            return None
        if self._cipher is None:
            raise MalformedDocument("Kept events come before their key.", found=str(self._path))
        try:
            plain = self._cipher.decrypt(_nonce(self._count), data, _aad(self._spec, self._number))
        except (InvalidTag, ValueError):
            raise VerificationError(
                "The kept events of a run were changed.",
                found=f"event {self._number} in {self._path}",
                hint="Its results and its receipt are kept apart and have checks of their own: %sls audit RUN.",
            ) from None
        self._number, self._count = self._number + 1, self._count + 1
        return dict(json.loads(plain))  # our own writing: nobody else has the key


def _read_record(file: Any) -> tuple[bytes, bytes] | None:
    head = file.read(_HEAD_BYTES)
    if len(head) < _HEAD_BYTES:
        return None
    kind, length = head[:1], int.from_bytes(head[1:], "big")
    if kind not in (_KEY, _EVENT) or length > MAX_RECORD_BYTES:
        raise MalformedDocument("The kept events of a run are damaged.", found=str(getattr(file, "name", "")))
    data = file.read(length)
    return (kind, data) if len(data) == length else None
