"""New files in a folder that somebody named: each is there whole or not at all, and none is written over another.

What is put down is sealed already. The last file is the index, which names the others with their digests: a folder
without one is what an interrupted upload left.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from sls_jupyter.assets.storage import PROTOCOLS, open_filesystem, storage_errors
from sls_jupyter.documents import canonical_json, digest
from sls_jupyter.errors import BadInput

INDEX = "index.json"


class Deposit:
    """A folder of its own below a place, such as ``az://CONTAINER@ACCOUNT.blob.core.windows.net/results``.

    Args:
        place: a folder or an fsspec URL, as for :class:`~sls_jupyter.assets.storage.Folder`.
        name: of the new folder.

    Raises:
        BadInput: no such place, or a secret in its URL. Unavailable: the store's package is not installed.
    """

    def __init__(self, place: str, name: str) -> None:
        self._fs, path, url = open_filesystem(place, PROTOCOLS, "Results cannot be stored there.")
        self._path, self.url = f"{path.rstrip('/')}/{name}", f"{url.rstrip('/')}/{name}"
        self._local = isinstance(self._fs.protocol, tuple) and "file" in self._fs.protocol

    def require_free(self) -> None:
        """Look whether the place can be used and has nothing yet, so that nobody waits for a run in vain.

        Raises:
            BadInput: there is something. Unavailable: it cannot be looked at.
        """
        with storage_errors(self.url):
            self._fs.invalidate_cache()
            if self._fs.exists(self._path):
                raise self._taken("a folder that does not exist yet")

    def put(self, files: Mapping[str, bytes]) -> str:
        """Write the files, then their index; returns the URL of the folder.

        Args:
            files: plain names, and what is in them.

        Raises:
            BadInput: one is there already; nothing was written over. Unavailable: the store failed. What was
                written by then stays, without an index.
        """
        index = {name: {"sha256": digest(data), "size": len(data)} for name, data in sorted(files.items())}
        for name, data in [*files.items(), (INDEX, canonical_json(index))]:
            self._write(name, data)
        return self.url

    def _write(self, name: str, data: bytes) -> None:
        at = f"{self._path}/{name}"
        with storage_errors(self.url):
            try:
                if self._local:
                    _write_new(Path(at), data)
                else:
                    self._fs.makedirs(self._path, exist_ok=True)  # where there are folders; elsewhere nothing
                    self._fs.pipe_file(at, data, mode="create")
            except FileExistsError:
                raise self._taken(f"no {name} there yet") from None

    def _taken(self, expected: str) -> BadInput:
        return BadInput(
            "There is something at the place where the results would go.",
            found=self.url,
            expected=expected,
            hint="Choose another folder, or remove what is there.",
        )


def _write_new(path: Path, data: bytes) -> None:
    """A new file on the disk, whole from the moment it has its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        with scratch.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(scratch, path)  # refuses what is there
    finally:
        scratch.unlink(missing_ok=True)
