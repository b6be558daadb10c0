"""dm-verity: one hash over a disk, from the hashes of its blocks.

The kernel's hash tree (Linux ``Documentation/admin-guide/device-mapper/verity.rst``, hash type 1) with what Confidential
ACI fixes: SHA-256, data and hash blocks of 4096 bytes, a salt of 32 zero bytes that goes before each block. A level is
the digests of the level below, one after the other, padded with zeros to whole blocks; the root hash is the hash of the
only block of the last level. Thirty-two bytes are kept for each block.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

BLOCK = 4096  # bytes
DIGEST = 32  # bytes
ZERO_BLOCK = bytes(BLOCK)
_SALTED = hashlib.sha256(bytes(32))


def block_digest(block: bytes | bytearray | memoryview) -> bytes:
    """SHA-256 of the salt and one block of 4096 bytes."""
    state = _SALTED.copy()
    state.update(block)
    return state.digest()


_ZEROS = bytes(1 << 20)
ZERO_DIGEST = block_digest(ZERO_BLOCK)


class BlockDigests:
    """The digests of a disk's blocks, in order, as the disk is written from its start.

    ``len()`` is the number of blocks. Blocks that are known only later are left out with `skip` and put in with `put`.
    """

    __slots__ = ("_digests",)

    def __init__(self) -> None:
        self._digests = bytearray()

    def __len__(self) -> int:
        return len(self._digests) // DIGEST

    def skip(self, blocks: int) -> None:
        """Leave room for blocks that `put` fills in."""
        self._digests += bytes(blocks * DIGEST)

    def put(self, number: int, block: bytes) -> None:
        """Set (again) the block of that number."""
        self._digests[number * DIGEST : (number + 1) * DIGEST] = block_digest(block)

    def append(self, data: bytes | memoryview) -> None:
        """Write data from a block's start; a last part of a block is filled up with zeros."""
        whole = len(data) & -BLOCK
        view = memoryview(data)
        if whole == BLOCK:  # most files are small
            self._digests += block_digest(view[:BLOCK])
        elif whole == len(data) <= len(_ZEROS) and data == _ZEROS[:whole]:  # holes
            self.zeros(whole // BLOCK)
        elif whole:
            self._digests += _many(view, whole)
        if whole != len(data):
            state = _SALTED.copy()
            state.update(view[whole:])
            state.update(ZERO_BLOCK[len(data) - whole :])
            self._digests += state.digest()

    def zeros(self, blocks: int) -> None:
        """Write blocks of zeros."""
        self._digests += ZERO_DIGEST * blocks

    def root(self) -> bytes:
        """The root hash, 32 bytes.

        Raises:
            ValueError: nothing was written.
        """
        if not self._digests:
            raise ValueError("a disk without blocks has no root hash")
        level = bytes(self._digests)
        while True:
            level += bytes(-len(level) % BLOCK)
            if len(level) == BLOCK:
                return block_digest(level)
            level = _many(memoryview(level), len(level))


def _many(view: memoryview, size: int) -> bytes:
    """The digests of whole blocks, joined; most of the time of a large layer is spent here."""
    copy: Callable[[], hashlib._Hash] = _SALTED.copy
    digests = []
    for start in range(0, size, BLOCK):
        state = copy()
        state.update(view[start : start + BLOCK])
        digests.append(state.digest())
    return b"".join(digests)
