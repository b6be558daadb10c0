"""Merkle tree mathematics of RFC 9162, section 2.1, without any storage.

Leaves and inner nodes are hashed under different prefixes, so neither can be passed off as the other.
The functions here take hashes and numbers, never signatures: a checkpoint must have been verified
before its root is used (:mod:`sls_jupyter.transparency.checkpoint`).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

from sls_jupyter.errors import LogInconsistent

if TYPE_CHECKING:
    from collections.abc import Sequence

HASH_BYTES = 32  # SHA-256
EMPTY_ROOT = hashlib.sha256(b"").digest()  # root hash of a tree without leaves
_LEAF, _NODE = b"\x00", b"\x01"
_HINT = "Do not rely on this log until its owner has explained the difference."


def leaf_hash(entry: bytes) -> bytes:
    """``SHA-256(0x00 || entry)``, 32 bytes."""
    return hashlib.sha256(_LEAF + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """``SHA-256(0x01 || left || right)``, 32 bytes."""
    return hashlib.sha256(_NODE + left + right).digest()


@lru_cache(maxsize=512)  # at most 4 MiB: proofs of one log share its right border and its upper tiles
def perfect_root(hashes: bytes) -> bytes:
    """Root over ``2**k`` hashes that stand one after the other (32 bytes each)."""
    sha256 = hashlib.sha256
    while len(hashes) > HASH_BYTES:
        pairs = range(0, len(hashes), 2 * HASH_BYTES)
        hashes = b"".join([sha256(_NODE + hashes[at : at + 2 * HASH_BYTES]).digest() for at in pairs])
    return hashes


# --- proofs ---------------------------------------------------------------------------------------


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Check that a leaf is in the tree with this root.

    Args:
        index: position of the leaf, 0 <= index < size.
        size: number of leaves in the tree.
        leaf: 32 bytes, :func:`leaf_hash` of the entry.
        proof: hashes from the leaf's sibling up to the root's child, 32 bytes each.
        root: 32 bytes, from a verified checkpoint of this size.

    Raises:
        LogInconsistent: the index lies outside of the tree, the proof has another number of hashes
            than this index and size need, or it leads to another root.

    Source: RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size:
        raise LogInconsistent(
            "An inclusion proof is for an entry that is not in the tree.",
            found=f"index {index}",
            expected=f"an index below the tree size {size}",
            hint=_HINT,
        )
    inner, border = _shape(index, size)
    _require_hashes("An inclusion proof", (leaf, root, *proof), len(proof), inner + border)
    _require_root("An inclusion proof", _climb(leaf, index, inner, proof), root)


def verify_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the larger tree begins with exactly the leaves of the smaller one.

    Args:
        old_size: number of leaves of the earlier tree, 0 <= old_size <= new_size.
        old_root: 32 bytes, from a verified checkpoint of ``old_size``.
        new_size: number of leaves of the later tree.
        new_root: 32 bytes, from a verified checkpoint of ``new_size``.
        proof: as :func:`sls_jupyter.transparency.tree.consistency_proof` makes it; empty if the sizes
            are equal or the old tree is empty.

    Raises:
        LogInconsistent: the tree has shrunk, the proof has another number of hashes than these sizes
            need, or it leads to another root than one of the two.

    Source: RFC 9162, section 2.1.4.2.
    """
    if not 0 <= old_size <= new_size:
        raise LogInconsistent(
            "A log has shrunk.", found=f"tree size {new_size}", expected=f"tree size {old_size} or more", hint=_HINT
        )
    if old_size in (0, new_size):
        _require_hashes("A consistency proof", (old_root, new_root, *proof), len(proof), 0)
        if old_size == 0:
            _require_root("An empty tree", old_root, EMPTY_ROOT)
        if old_size == new_size:
            _require_root("A tree of the same size", new_root, old_root)
        return
    trailing = (old_size & -old_size).bit_length() - 1  # height of the last perfect subtree of the old tree
    last, whole_old = (old_size - 1) >> trailing, old_size == 1 << trailing
    inner, border = _shape(last, ((new_size - 1) >> trailing) + 1)
    expected = inner + border + (0 if whole_old else 1)
    _require_hashes("A consistency proof", (old_root, new_root, *proof), len(proof), expected)
    start, rest = (old_root, proof) if whole_old else (proof[0], proof[1:])
    within_old = [part for height, part in enumerate(rest) if height >= inner or last >> height & 1]
    _require_root("A consistency proof", _climb(start, 0, 0, within_old), old_root)
    _require_root("A consistency proof", _climb(start, last, inner, rest), new_root)


def _shape(index: int, size: int) -> tuple[int, int]:
    """How many hashes lie on the way up before the path meets the tree's right border, and after."""
    inner = (index ^ (size - 1)).bit_length()
    return inner, (index >> inner).bit_count()


def _climb(start: bytes, index: int, inner: int, proof: Sequence[bytes]) -> bytes:
    """The root that a path leads to; beyond ``inner`` every hash is a left sibling."""
    result = start
    for height, sibling in enumerate(proof):
        is_left_child = height < inner and not index >> height & 1
        result = node_hash(result, sibling) if is_left_child else node_hash(sibling, result)
    return result


def _require_hashes(what: str, hashes: Sequence[bytes], found: int, expected: int) -> None:
    if found != expected:
        raise LogInconsistent(
            f"{what} has the wrong number of hashes.",
            found=f"{found} hashes",
            expected=f"{expected} hashes",
            hint=_HINT,
        )
    for value in hashes:
        if len(value) != HASH_BYTES:
            raise LogInconsistent(
                f"{what} holds something that is not a SHA-256 hash.",
                found=f"{len(value)} bytes",
                expected=f"{HASH_BYTES} bytes",
                hint=_HINT,
            )


def _require_root(what: str, found: bytes, expected: bytes) -> None:
    if found != expected:
        raise LogInconsistent(
            f"{what} does not lead to the root that was signed.", found=found.hex(), expected=expected.hex(), hint=_HINT
        )
