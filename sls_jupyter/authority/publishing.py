"""Publishing an authority's log to any fsspec store, and the local side of :mod:`sls_jupyter.transparency.publish`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from sls_jupyter.assets.storage import PROTOCOLS, cloud_errors, open_filesystem
from sls_jupyter.authority import ledger
from sls_jupyter.authority.service import Authority
from sls_jupyter.authority.store import Store
from sls_jupyter.errors import SlsError, Unavailable
from sls_jupyter.identity import write_whole
from sls_jupyter.transparency.publish import Published, publish


class StoredLog:
    """The log in a database (a ``transparency.publish.LogSource``).

    Each read is a transaction of its own: what a checkpoint commits to never changes, and a slow store
    should not hold one open.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def read_tile(self, level: int, index: int) -> bytes:
        with self._store.read() as connection:
            return ledger.SqlTiles(connection).read_tile(level, index)

    def write_tile(self, level: int, index: int, data: bytes) -> None:
        """Publishing reads; the log is written by :func:`sls_jupyter.authority.ledger.append` alone."""
        raise TypeError("This view of the log is read-only.")

    def read_entries(self, start: int, end: int) -> Sequence[bytes]:
        with self._store.read() as connection:
            return ledger.entries_between(connection, start, end)


class FolderSink:
    """Files below an fsspec URL (a ``transparency.publish.Sink``), each written whole or not at all.

    Raises:
        BadInput: not a URL of a store that we know. Unavailable: its package is not installed.
    """

    def __init__(self, url: str) -> None:
        self._fs, self._path, self.url = open_filesystem(url, PROTOCOLS, "A log cannot be published there.")
        self._local = isinstance(self._fs.protocol, tuple) and "file" in self._fs.protocol

    def get(self, path: str, /) -> bytes | None:
        """A file's bytes; ``None`` if it is not there.

        Raises:
            Unavailable: the store cannot be read.
        """
        with self._io():
            try:
                return bytes(self._fs.cat_file(self._at(path)))
            except FileNotFoundError:
                return None

    def __setitem__(self, path: str, data: bytes, /) -> None:
        with self._io():
            if self._local:
                target = Path(self._at(path))
                target.parent.mkdir(parents=True, exist_ok=True)
                write_whole(target, data)
            else:
                self._fs.makedirs(self._at(path).rpartition("/")[0], exist_ok=True)
                self._fs.pipe_file(self._at(path), data)  # an object store replaces an object atomically

    def _at(self, path: str) -> str:
        return f"{self._path.rstrip('/')}/{path}"

    @contextlib.contextmanager
    def _io(self) -> Iterator[None]:
        try:
            with cloud_errors(self.url):
                yield
        except SlsError:
            raise
        except OSError as error:
            raise Unavailable(
                "The place where a log is published cannot be used.",
                found=f"{self.url}: {error.strerror or type(error).__name__}",
                hint="Check that it exists, is not full, and that you may write there; then publish again.",
            ) from None


def publish_log(authority: Authority, url: str, *, witnesses: int = 0) -> Published:
    """Bring the copy of an authority's log at ``url`` up to date; the call behind ``sls log publish``.

    Args:
        url: a folder or an fsspec URL; its files can be served by any static web server.
        witnesses: publish the newest checkpoint with at least so many cosignatures; 0 takes the newest one.

    Raises:
        LogInconsistent: the copy and the log contradict each other; nothing was overwritten.
        UnknownName: no checkpoint has so many cosignatures. BadInput, Unavailable: the store.
    """
    with authority.store.read() as connection:
        note = ledger.witnessed(connection, authority, witnesses)
    key = authority.identity.signing.public_bytes
    return publish(StoredLog(authority.store), note, FolderSink(url), origin=authority.origin, public_key=key)
