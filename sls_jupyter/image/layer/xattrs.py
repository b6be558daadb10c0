"""Extended attributes in ext4: the part in the inode, the block, and what is read back from both.

The layout is Linux's (``Documentation/filesystems/ext4/attributes.rst``); the order of entries, what fits where and what
reading back loses are the reference tool's. Names are bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from sls_jupyter.image.layer.fields import malformed, shown
from sls_jupyter.image.layer.verity import BLOCK

MAGIC = 0xEA020000
INODE_ROOM = 104  # bytes behind the used part of an inode
_IN_INODE = INODE_ROOM - 8
_IN_BLOCK = BLOCK - 36
_MASK = 0xFFFFFFFF
_INSERTION_SORTED = 12  # elements: above, the tool's sort and an order that is none give what only it can know
_PREFIXES = (
    (2, b"system.posix_acl_access"),
    (3, b"system.posix_acl_default"),
    (8, b"system.richacl"),
    (7, b"system."),
    (1, b"user."),
    (4, b"trusted."),
    (6, b"security."),
)
_NAMES = dict(_PREFIXES)


@dataclass(slots=True)
class Placed:
    """Where a file's attributes went."""

    inode: bytes = b""  # 104 bytes, or none
    block: list[tuple[int, bytes, bytes]] = field(default_factory=list)  # index of the prefix, rest of the name, value


def place(attributes: dict[bytes, bytes]) -> Placed:
    """Put attributes, by name, into the inode while they fit, then into the block.

    Raises:
        MalformedTar: they fit into neither, or the order of those in the block is not defined.
    """
    if not attributes:
        return Placed()
    inode: list[tuple[int, bytes, bytes]] = []
    block: list[tuple[int, bytes, bytes]] = []
    inode_left, block_left = _IN_INODE, _IN_BLOCK
    for name in sorted(attributes):
        index, rest = _compressed(name)
        value = attributes[name]
        size = _padded(len(rest)) + 16 + _padded(len(value))
        if inode_left >= size:
            inode.append((index, rest, value))
            inode_left -= size
        elif block_left >= size:
            block.append((index, rest, value))
            block_left -= size
        else:
            raise malformed(
                f"an extended attribute does not fit: {shown(name)}",
                found=f"{len(value)} bytes",
                expected="all attributes of a file in one block of 4096 bytes",
                hint="no such layer runs on Confidential ACI; drop the attribute",
            )
    placed = Placed()
    if inode:
        placed.inode = struct.pack("<I", MAGIC) + _written(inode, INODE_ROOM - 4, 0)
    placed.block = _sorted(block)
    return placed


def block_bytes(attributes: list[tuple[int, bytes, bytes]]) -> bytes:
    """The attribute block, 4096 bytes."""
    return struct.pack("<III20x", MAGIC, 1, 1) + _written(attributes, BLOCK - 32, 32)


def read_inode(part: bytes) -> dict[bytes, bytes]:
    return _read(part[4:], 0) if part else {}


def read_block(attributes: list[tuple[int, bytes, bytes]]) -> dict[bytes, bytes]:
    return _read(block_bytes(attributes)[32:], 32)


def _padded(size: int) -> int:
    return (size + 3) & ~3


def _compressed(name: bytes) -> tuple[int, bytes]:
    for index, prefix in _PREFIXES:
        if name.startswith(prefix):
            return index, name[len(prefix) :]
    return 0, name


def _hash(name: bytes, value: bytes) -> int:
    result = 0
    for byte in name:
        result = ((result << 5) & _MASK) ^ (result >> 27) ^ byte
    for (word,) in struct.iter_unpack("<I", value + bytes(-len(value) % 4)):
        result = ((result << 16) & _MASK) ^ (result >> 16) ^ word
    return result


def _written(attributes: list[tuple[int, bytes, bytes]], size: int, delta: int) -> bytes:
    """Entries from the front, values from the back; offsets count from `delta` bytes before."""
    part = bytearray(size)
    at, end = 0, size
    for index, name, value in attributes:
        end -= _padded(len(value))
        struct.pack_into("<BBHIII", part, at, len(name) & 0xFF, index, end + delta, 0, len(value), _hash(name, value))
        part[at + 16 : at + 16 + len(name)] = name
        at += _padded(len(name)) + 16
        part[end : end + len(value)] = value
    return bytes(part)


def _read(part: bytes, delta: int) -> dict[bytes, bytes]:
    """What the tool reads back: it ends at a name of no bytes (an ACL's, whose prefix is all of it)."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at + 16 <= len(part) and part[at]:
        length, index, offset, _, size, _ = struct.unpack_from("<BBHIII", part, at)
        name = part[at + 16 : at + 16 + length]
        start = offset - delta
        if not 0 <= start <= start + size <= len(part):
            raise malformed(
                "a name of an extended attribute is too long to be read back", found=f"{length} of its bytes"
            )
        found[_NAMES.get(index, b"") + name] = part[start : start + size]
        at += _padded(length) + 16
    return found


def _less(left: tuple[int, bytes, bytes], right: tuple[int, bytes, bytes]) -> bool:
    """The tool's order, which is none: it does not compare the length only where the indexes are equal."""
    return left[0] < right[0] or len(left[1]) < len(right[1]) or left[1] < right[1]


def _sorted(attributes: list[tuple[int, bytes, bytes]]) -> list[tuple[int, bytes, bytes]]:
    """By insertion, as Go sorts up to twelve elements; more are refused where the order would depend on the way."""
    result = list(attributes)
    for end in range(1, len(result)):
        at = end
        while at and _less(result[at], result[at - 1]):
            result[at], result[at - 1] = result[at - 1], result[at]
            at -= 1
    if len(result) > _INSERTION_SORTED and any(
        not _less(left, right) or _less(right, left)
        for place, left in enumerate(result)
        for right in result[place + 1 :]
    ):
        raise malformed(
            "a file has so many extended attributes that their order in the block is not defined",
            found=f"{len(result)} in the block",
            expected=f"at most {_INSERTION_SORTED}",
            hint="drop attributes, or compute this layer's hash with Microsoft's dmverity-vhd",
        )
    return result
