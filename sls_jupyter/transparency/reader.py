"""Reading a whole log back: every entry, compared with the tree that the log signed.

Works on anything that gives the files of C2SP ``tlog-tiles`` by their path: an authority over HTTP, a
published folder, a ``dict``. The root is computed from the entries alone; tiles only help to say which
entry is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from sls_jupyter.errors import LogInconsistent, MalformedDocument
from sls_jupyter.transparency import tree
from sls_jupyter.transparency.checkpoint import Checkpoint
from sls_jupyter.transparency.merkle import HASH_BYTES, leaf_hash
from sls_jupyter.transparency.tiles import TILE_WIDTH, Tile, decode_bundle

Fetch = Callable[[str], bytes]
"""The bytes of the file at a path such as ``tile/0/000``; raises when it is not there."""
_HINT = "Do not rely on this copy of the log; read it from its authority, or show both to its owner."


def read_log(fetch: Fetch, checkpoint: Checkpoint) -> tuple[bytes, ...]:
    """Every entry of a log, in order, proven to be all of those that a checkpoint commits to.

    Args:
        fetch: gives the log's files.
        checkpoint: already verified; this function does not look at signatures.

    Raises:
        LogInconsistent: an entry was removed, changed, moved, doubled or added, or the whole does not
            lead to the root that was signed; each with its own message.
        MalformedDocument: a file that is no tile or bundle.
    """
    store, entries = tree.MemoryTileStore(), list[bytes]()
    root = tree.root(store, 0)
    for bundle in _bundles(fetch, checkpoint.tree_size):
        root = tree.append(store, len(entries), map(leaf_hash, bundle))
        entries += bundle
    if root != checkpoint.root_hash:
        raise LogInconsistent(
            "The entries of a log do not lead to the root that was signed.",
            found=root.hex(),
            expected=checkpoint.root_hash.hex(),
            hint=_HINT,
        )
    return tuple(entries)


def _bundles(fetch: Fetch, size: int) -> Iterator[tuple[bytes, ...]]:
    for index in range(-(-size // TILE_WIDTH)):
        width = min(TILE_WIDTH, size - index * TILE_WIDTH)
        entries = decode_bundle(fetch(Tile(None, index, width).path))
        tile = fetch(Tile(0, index, width).path)
        if len(tile) != width * HASH_BYTES:
            raise MalformedDocument(
                "A tile has the wrong length.", found=f"{len(tile)} bytes", expected=f"{width * HASH_BYTES} bytes"
            )
        expected = [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]
        require_same([leaf_hash(entry) for entry in entries], expected, start=index * TILE_WIDTH)
        yield entries


def require_same(found: Sequence[bytes], expected: Sequence[bytes], *, start: int = 0) -> None:
    """Compare the leaf hashes of entries with the ones that were there before.

    Args:
        found: 32 bytes each, of the entries at hand.
        expected: 32 bytes each, from a tile, or from an earlier reading of the same log.
        start: index of the first one in the log, for the message.

    Raises:
        LogInconsistent: they differ; the message says how, and from which index on.
    """
    if list(found) == list(expected):
        return
    pairs = enumerate(zip(found, expected, strict=False))
    at = next((index for index, (one, other) in pairs if one != other), min(len(found), len(expected)))
    raise LogInconsistent(
        f"{_difference(found, expected)}, at index {start + at}.",
        found=f"{len(found)} entries, {found[at].hex() if at < len(found) else 'none'} there",
        expected=f"{len(expected)} entries, {expected[at].hex() if at < len(expected) else 'none'} there",
        hint=_HINT,
    )


def _difference(found: Sequence[bytes], expected: Sequence[bytes]) -> str:
    have, want = Counter(found), Counter(expected)
    extra, missing = have - want, want - have
    if not extra and not missing:
        return "Entries of a log were moved"
    if not extra:
        return "An entry of a log was removed"
    if all(value in want for value in extra):
        return "An entry of a log is there more often than it was logged"
    return "An entry of a log was changed" if missing else "An entry was added to a log"
