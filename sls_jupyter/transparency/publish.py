"""Publishing a log where others can read it without asking its authority: a folder, a bucket, a web server's root.

What is written is exactly what C2SP ``tlog-tiles`` asks for, at the same paths, so any static file server
makes it a log. Tiles and bundles come first and the checkpoint last: whoever reads at any moment, also
after a crash, finds a checkpoint and everything that it commits to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sls_jupyter.errors import LogInconsistent
from sls_jupyter.transparency import tree
from sls_jupyter.transparency.checkpoint import Checkpoint, verify_checkpoint
from sls_jupyter.transparency.merkle import HASH_BYTES, leaf_hash
from sls_jupyter.transparency.tiles import TILE_WIDTH, Tile, encode_bundle, tiles_between

CHECKPOINT = "checkpoint"


class LogSource(Protocol):
    """A log as its own server has it."""

    def read_tile(self, level: int, index: int) -> bytes:
        """The newest bytes of a tile; ``b""`` if there is none."""
        ...

    def write_tile(self, level: int, index: int, data: bytes) -> None:
        """Never called here."""
        ...

    def read_entries(self, start: int, end: int) -> Sequence[bytes]:
        """The entries from ``start`` up to ``end``; fewer if they are not there."""
        ...


class Sink(Protocol):
    """Where a log is published: path → bytes. A ``dict`` is one."""

    def get(self, path: str, /) -> bytes | None: ...

    def __setitem__(self, path: str, data: bytes, /) -> None:
        """Write a file, whole or not at all."""
        ...


@dataclass(frozen=True, slots=True)
class Published:
    """What :func:`publish` did."""

    old_size: int  # entries that were published before
    tree_size: int  # entries that are published now
    written: int  # files written, the checkpoint included


def publish(source: LogSource, note: bytes, sink: Sink, *, origin: str, public_key: bytes) -> Published:
    """Bring a published copy up to a checkpoint.

    1. the checkpoint is signed by the log, and the source's tiles lead to its root
    2. the copy's checkpoint is signed by the log too, and the source extends it
    3. every tile and bundle in between is written, unless it is there; none that is there is changed
    4. the checkpoint is written, unless it is the one that is there

    An interrupted call is continued by the next one. Partial tiles of older sizes are left in place.
    What is *not* covered: two publishers at once on a store that cannot compare and swap. They write the
    same tiles, but the older checkpoint may be written last; the next call repairs that.

    Args:
        note: the checkpoint to publish, with all signatures that should be published with it.

    Raises:
        LogInconsistent: a step found something else than it should; nothing was overwritten.
        SignatureInvalid, MalformedDocument: a checkpoint of another key or none at all.
    """
    new = verify_checkpoint(note, origin, public_key)
    _require_root("The log's own tiles do not", source, new)  # 1
    held = sink.get(CHECKPOINT)
    old = Checkpoint(origin, 0, tree.root(source, 0)) if held is None else verify_checkpoint(held, origin, public_key)
    if old.tree_size > new.tree_size:
        raise LogInconsistent(
            "The published log is ahead of this one.",
            found=f"tree size {new.tree_size}",
            expected=f"tree size {old.tree_size} or more",
            hint="The database was rolled back: restore its newest backup. Do not remove the published log.",
        )
    _require_root("The log does not extend its published copy: its tiles do not", source, old)  # 2
    written = sum(
        _write(sink, tile.path, _bytes_of(source, tile)) for tile in tiles_between(old.tree_size, new.tree_size)
    )  # 3
    if held != note:
        sink[CHECKPOINT] = note  # 4
        written += 1
    return Published(old.tree_size, new.tree_size, written)


def _require_root(what: str, source: LogSource, checkpoint: Checkpoint) -> None:
    root = tree.root(source, checkpoint.tree_size)
    if root != checkpoint.root_hash:
        raise LogInconsistent(
            f"{what} lead to the root that was signed for tree size {checkpoint.tree_size}.",
            found=root.hex(),
            expected=checkpoint.root_hash.hex(),
            hint="Nothing was published. Restore the log's database from a backup that matches its checkpoint.",
        )


def _bytes_of(source: LogSource, tile: Tile) -> bytes:
    """A file's bytes; the entries of a bundle are compared with their hashes in the tree."""
    if tile.level is not None:
        return source.read_tile(tile.level, tile.index)[: tile.width * HASH_BYTES]
    start = tile.index * TILE_WIDTH
    entries = source.read_entries(start, start + tile.width)
    hashes = source.read_tile(0, tile.index)[: tile.width * HASH_BYTES]
    if b"".join(map(leaf_hash, entries)) != hashes:
        raise LogInconsistent(
            f"The entries {start} to {start + tile.width - 1} of the log are not the ones in its tree.",
            found=f"{len(entries)} entries",
            expected=f"{tile.width} entries with these hashes",
            hint="Restore the log's database from a backup.",
        )
    return encode_bundle(entries)


def _write(sink: Sink, path: str, data: bytes) -> bool:
    """Write a file that is not there; whether it was written."""
    there = sink.get(path)
    if there == data:
        return False
    if there is not None and not (len(there) < len(data) and data.startswith(there)):  # else it was cut off
        raise LogInconsistent(
            "A published tile is not the one of this log.",
            found=f"{path}: {len(there)} bytes",
            expected=f"the {len(data)} bytes of this log",
            hint="Somebody else wrote there, or the log was rewritten. Nothing was overwritten.",
        )
    sink[path] = data
    return True
