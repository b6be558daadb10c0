"""A Merkle tree kept as tiles: append, root and proofs over any store of tiles.

The store is simple on purpose: it keeps the newest bytes of each tile, in memory, in SQL or in files.
A tile in it may be wider than the tree at hand (an append that never reached its checkpoint, or a
reader of an older size): only the first hashes, as many as the size has, are ever used. So an append
that was interrupted is repeated or overwritten by the next one, and no earlier root changes.

The functions trust the store. A log compares :func:`root` with its own checkpoint when it opens, and
clients verify what they are given (:mod:`sls_jupyter.transparency.merkle`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sls_jupyter.errors import BadInput, LogInconsistent
from sls_jupyter.transparency.merkle import EMPTY_ROOT, HASH_BYTES, node_hash, perfect_root
from sls_jupyter.transparency.tiles import TILE_HEIGHT, TILE_WIDTH, tile_width

if TYPE_CHECKING:
    from collections.abc import Iterable

_TILE_BYTES = TILE_WIDTH * HASH_BYTES


class TileStore(Protocol):
    """Where tiles are kept."""

    def read_tile(self, level: int, index: int) -> bytes:
        """The newest bytes of a tile, 32 for each hash in it; ``b""`` if there is none."""
        ...

    def write_tile(self, level: int, index: int, data: bytes) -> None:
        """Replace a tile."""
        ...


class MemoryTileStore:
    """Tiles in a dict, for tests and for clients that fetched them."""

    def __init__(self) -> None:
        self.tiles: dict[tuple[int, int], bytes] = {}

    def read_tile(self, level: int, index: int) -> bytes:
        return self.tiles.get((level, index), b"")

    def write_tile(self, level: int, index: int, data: bytes) -> None:
        self.tiles[level, index] = data


# --- writing --------------------------------------------------------------------------------------


def append(store: TileStore, size: int, leaf_hashes: Iterable[bytes]) -> bytes:
    """Add leaves to a tree and return its new root.

    Writes each touched tile once. Nothing is committed until the caller has stored the checkpoint of
    the new size, best in the same transaction.

    Args:
        size: number of leaves before; the store has at least these.
        leaf_hashes: 32 bytes each, :func:`sls_jupyter.transparency.merkle.leaf_hash` of the entries.

    Raises:
        BadInput: a leaf hash has not 32 bytes.
        LogInconsistent: a tile of the tree is missing or too short.
    """
    leaves = list(leaf_hashes)
    if size < 0 or any(len(leaf) != HASH_BYTES for leaf in leaves):
        raise BadInput("Only leaf hashes of 32 bytes can be appended to a tree.")
    reader = _Reader(store, size + len(leaves))
    fresh, level, position = b"".join(leaves), 0, size
    while fresh:
        index, width = divmod(position, TILE_WIDTH)
        held = _first_hashes(store.read_tile(level, index), width, level, index) if width else b""
        data, roots = held + fresh, []
        for at in range(0, len(data), _TILE_BYTES):
            tile = data[at : at + _TILE_BYTES]
            store.write_tile(level, index, tile)
            reader.tiles[level, index] = tile
            index += 1
            if len(tile) == _TILE_BYTES:
                roots.append(perfect_root(tile))
        fresh, level, position = b"".join(roots), level + 1, position // TILE_WIDTH
    return reader.span(0, reader.size)


# --- reading --------------------------------------------------------------------------------------


def root(store: TileStore, size: int) -> bytes:
    """Root hash (32 bytes) of the first ``size`` leaves.

    Raises:
        LogInconsistent: a tile is missing or too short.
    """
    return _Reader(store, size).span(0, size)


def inclusion_proof(store: TileStore, size: int, index: int) -> tuple[bytes, ...]:
    """The hashes that lead from a leaf to the root of the first ``size`` leaves.

    Args:
        index: of the leaf, 0 <= index < size.

    Raises:
        BadInput: there is no such leaf.
        LogInconsistent: a tile is missing or too short.

    Source: RFC 9162, section 2.1.3.1.
    """
    if not 0 <= index < size:
        raise BadInput("The log has no entry of this index.", found=index, expected=f"0 to {size - 1}")
    reader, proof = _Reader(store, size), []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(reader.span(middle, end))
            end = middle
        else:
            proof.append(reader.span(start, middle))
            start = middle
    return tuple(reversed(proof))


def consistency_proof(store: TileStore, old_size: int, new_size: int) -> tuple[bytes, ...]:
    """The hashes that show that the tree of the new size begins with the tree of the old size.

    Args:
        old_size: 0 <= old_size <= new_size; the proof is empty if it is 0 or ``new_size``.

    Raises:
        BadInput: the log was never smaller than that, or is not that large.
        LogInconsistent: a tile is missing or too short.

    Source: RFC 9162, section 2.1.4.1.
    """
    if not 0 <= old_size <= new_size:
        raise BadInput("There is no proof from this tree size.", found=old_size, expected=f"0 to {new_size}")
    reader, proof = _Reader(store, new_size), []
    start, end = 0, new_size
    while start < old_size < end:
        middle = start + _split(end - start)
        if old_size <= middle:
            proof.append(reader.span(middle, end))
            end = middle
        else:
            proof.append(reader.span(start, middle))
            start = middle
    if 0 < start < old_size:
        proof.append(reader.span(start, end))
    return tuple(reversed(proof))


def _split(count: int) -> int:
    """The largest power of two below ``count`` (which is 2 or more)."""
    return 1 << ((count - 1).bit_length() - 1)


class _Reader:
    """The tree of one size; reads each tile once."""

    def __init__(self, store: TileStore, size: int) -> None:
        self.store, self.size = store, size
        self.tiles: dict[tuple[int, int], bytes] = {}

    def tile(self, level: int, index: int) -> bytes:
        """A tile as this tree has it, cut to its width."""
        data = self.tiles.get((level, index))
        if data is None:
            width = tile_width(level, index, self.size)
            data = _first_hashes(self.store.read_tile(level, index), width, level, index)
            self.tiles[level, index] = data
        return data

    def perfect(self, height: int, index: int) -> bytes:
        """Root of the ``index``-th subtree of ``2**height`` leaves, all of which are there."""
        level, above = divmod(height, TILE_HEIGHT)
        tile, offset = divmod(index << above, TILE_WIDTH)
        return perfect_root(self.tile(level, tile)[offset * HASH_BYTES : (offset + (1 << above)) * HASH_BYTES])

    def span(self, start: int, end: int) -> bytes:
        """Root over the leaves from ``start`` (aligned as RFC 9162 splits) up to ``end``."""
        parts = []
        while start < end:
            height = (end - start).bit_length() - 1
            parts.append(self.perfect(height, start >> height))
            start += 1 << height
        result = parts.pop() if parts else EMPTY_ROOT
        while parts:
            result = node_hash(parts.pop(), result)
        return result


def _first_hashes(data: bytes, width: int, level: int, index: int) -> bytes:
    if len(data) < width * HASH_BYTES:
        raise LogInconsistent(
            f"Tile {index} of level {level} is missing or too short.",
            found=f"{len(data)} bytes",
            expected=f"{width * HASH_BYTES} bytes",
            hint="Restore the log's tiles from a backup, or compute them again from its entries.",
        )
    return data[: width * HASH_BYTES]
