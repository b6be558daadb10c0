"""What a client remembers of each log: the last checkpoint it saw.

A log that shows one client two histories can do so only as long as nobody compares. Every client
therefore keeps the last checkpoint of every log, and takes a new one only with a proof that it extends
the old one. When a log cannot give that proof, both checkpoints are kept: two signed statements by the
log that contradict each other, for anybody to see.

Files, in one folder, each written whole or not at all::

    <log>.checkpoint       the last checkpoint, a signed note
    <log>.lock             held for the moment of comparing and replacing
    <log>.evidence/        checkpoints that contradict each other, <tree size>-<digest>.checkpoint

``<log>`` is the start of the SHA-256 of the origin; the first line of each note names the origin.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sls_jupyter.errors import LogInconsistent, MalformedDocument, SlsError, Unavailable
from sls_jupyter.identity import write_private
from sls_jupyter.transparency.checkpoint import Checkpoint, verify_checkpoint
from sls_jupyter.transparency.merkle import verify_consistency
from sls_jupyter.transparency.note import SignedNote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    FetchConsistency = Callable[[int, int], tuple[bytes, ...]]

_ATTEMPTS = 5  # of follow(), while other processes of this client move the memory forward


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two checkpoints of one log, and the notes that hold them."""

    known: Checkpoint
    offered: Checkpoint
    held: bytes  # the note of ``known``
    note: bytes  # the note of ``offered``


class CheckpointMemory:
    """The last checkpoint of each log, in a folder that several processes may share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with _disk(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def last(self, origin: str) -> Checkpoint | None:
        """The last checkpoint of a log that was accepted; ``None`` if there was none.

        Raises:
            Unavailable: the file is damaged or cannot be read.
        """
        data = self._read(origin)
        return None if data is None else self._parse(origin, data)

    def evidence(self, origin: str) -> tuple[Path, ...]:
        """Files of checkpoints by this log that contradict each other, by tree size."""
        return tuple(sorted(self._path(origin, "evidence").glob("*.checkpoint")))

    def accept(
        self, signed_checkpoint: bytes, origin: str, public_key: bytes, fetch_consistency: FetchConsistency
    ) -> Checkpoint:
        """Verify a checkpoint, require that it extends the last one, and remember it.

        The first checkpoint of a log is taken as it is: this finds a log that changes its story, not
        one that always told another.

        Args:
            signed_checkpoint: a signed note, fresh from the log.
            public_key: 32 bytes, Ed25519.
            fetch_consistency: ``(old size, new size)`` → hashes, from the log; called when the sizes differ.

        Raises:
            MalformedDocument, SignatureInvalid: as :func:`verify_checkpoint`. Nothing was kept.
            LogInconsistent: ``detail["finding"]`` is ``forked``, ``rolled-back`` (both checkpoints were
                kept as evidence) or ``older``: a checkpoint the log had replaced, by its own proof. An
                honest log and two clients at once can cause ``older``; fetch a new one (:meth:`follow`).
            Unavailable: the folder cannot be written.
        """
        offered = verify_checkpoint(signed_checkpoint, origin, public_key)
        while True:
            held = self._read(origin)
            if held is not None:
                known = self._parse(origin, held)
                self._require_extension(_Pair(known, offered, held, signed_checkpoint), fetch_consistency)
                if known.tree_size == offered.tree_size:
                    return offered
            with self._locked(origin):
                if self._read(origin) == held:
                    self._replace(origin, signed_checkpoint)
                    return offered

    def follow(
        self,
        fetch_checkpoint: Callable[[], bytes],
        origin: str,
        public_key: bytes,
        fetch_consistency: FetchConsistency,
    ) -> Checkpoint:
        """:meth:`accept` a checkpoint that is fetched here, again if another process was faster."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return self.accept(fetch_checkpoint(), origin, public_key, fetch_consistency)
            except LogInconsistent as error:
                if error.detail.get("finding") != "older":
                    raise
        return self.accept(fetch_checkpoint(), origin, public_key, fetch_consistency)

    def replace(self, origin: str, known: Checkpoint | None, note: bytes) -> bool:
        """Remember a checkpoint that the caller verified, if ``known`` is still the last one.

        Returns:
            Whether it was replaced; if not, read :meth:`last` and judge again.
        """
        with self._locked(origin):
            if self.last(origin) != known:
                return False
            self._replace(origin, note)
            return True

    # --- judging ----------------------------------------------------------------------------------

    def _require_extension(self, pair: _Pair, fetch: FetchConsistency) -> None:
        if pair.offered.tree_size < pair.known.tree_size:
            raise self._shrunk(pair, fetch)
        try:
            _check_extension(pair.known, pair.offered, fetch)
        except LogInconsistent as error:
            raise self._contradiction("forked", "A log contradicts what it said before.", pair, error) from None

    def _shrunk(self, pair: _Pair, fetch: FetchConsistency) -> LogInconsistent:
        """Tell a replaced checkpoint from a log that was rolled back: ask the log for the proof."""
        found, expected = f"tree size {pair.offered.tree_size}", f"tree size {pair.known.tree_size} or more"
        try:
            if pair.offered.tree_size == 0:
                raise LogInconsistent("The log is empty again.", found=found, expected=expected)
            _check_extension(pair.offered, pair.known, fetch)
        except SlsError as error:
            return self._contradiction("rolled-back", "A log was rolled back.", pair, error)
        return LogInconsistent(
            "This is an older checkpoint than the last one seen of this log.",
            found=found,
            expected=expected,
            hint="Fetch the log's newest checkpoint. If it stays behind, somebody replays an old one.",
            detail={"finding": "older"},
        )

    def _contradiction(self, finding: str, message: str, pair: _Pair, cause: SlsError) -> LogInconsistent:
        folder = self._keep_evidence(pair)
        return LogInconsistent(
            message,
            found=f"tree size {pair.offered.tree_size}, root {pair.offered.root_hash.hex()} ({cause.message})",
            expected=f"an extension of tree size {pair.known.tree_size}, root {pair.known.root_hash.hex()}",
            hint=f"Do not rely on this log. Both signed checkpoints are kept in {folder}; show them to its owner.",
            detail={"finding": finding, "evidence": str(folder)},
        )

    # --- files ------------------------------------------------------------------------------------

    def _path(self, origin: str, suffix: str) -> Path:
        return self.folder / f"{hashlib.sha256(origin.encode()).hexdigest()[:32]}.{suffix}"

    def _read(self, origin: str) -> bytes | None:
        with _disk(self.folder):
            try:
                return self._path(origin, "checkpoint").read_bytes()
            except FileNotFoundError:
                return None

    def _parse(self, origin: str, data: bytes) -> Checkpoint:
        """Read back our own file; it was verified before it was written."""
        try:
            checkpoint = Checkpoint.parse(SignedNote.parse(data).text.encode())
        except MalformedDocument as error:
            raise self._damaged(origin, error.message) from None
        if checkpoint.origin != origin:
            raise self._damaged(origin, "It belongs to another log.")
        return checkpoint

    def _damaged(self, origin: str, found: str) -> Unavailable:
        path = self._path(origin, "checkpoint")
        return Unavailable(
            "The last checkpoint seen of a log is damaged on this machine.",
            found=found,
            expected=f"a checkpoint of {origin}",
            hint=f"Restore {path} from a backup. If you delete it, the log is believed anew, whatever it says.",
        )

    def _replace(self, origin: str, data: bytes) -> None:
        path = self._path(origin, "checkpoint")
        scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        with _disk(self.folder):
            write_private(scratch, data)
            scratch.replace(path)
            _sync_folder(self.folder)

    def _keep_evidence(self, pair: _Pair) -> Path:
        folder = self._path(pair.known.origin, "evidence")
        with _disk(folder):
            folder.mkdir(mode=0o700, exist_ok=True)
            for checkpoint, note in ((pair.known, pair.held), (pair.offered, pair.note)):
                name = f"{checkpoint.tree_size:019d}-{hashlib.sha256(note).hexdigest()[:16]}.checkpoint"
                with contextlib.suppress(FileExistsError):
                    write_private(folder / name, note)
            _sync_folder(folder)
        return folder

    @contextlib.contextmanager
    def _locked(self, origin: str) -> Iterator[None]:
        with _disk(self.folder):
            descriptor = os.open(self._path(origin, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)


def _check_extension(old: Checkpoint, new: Checkpoint, fetch: FetchConsistency) -> None:
    trivial = old.tree_size in (0, new.tree_size)
    proof = () if trivial else fetch(old.tree_size, new.tree_size)
    verify_consistency(old.tree_size, old.root_hash, new.tree_size, new.root_hash, proof)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            "The folder for the checkpoints of logs cannot be used.",
            found=f"{path}: {error.strerror}",
            hint="Free space on the disk, or set SLS_HOME to a folder that you may write to.",
        ) from None
