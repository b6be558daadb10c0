"""The end and the beginning of a compact ext4 image: folders, inode table, bitmaps, group descriptors, superblock."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from sls_jupyter.image.layer.ext4 import (
    BLOCK_DEVICE,
    CHAR,
    DIR,
    FIFO,
    GROUP_DESCRIPTOR_BLOCKS,
    KIND,
    LOST_AND_FOUND,
    MAX_BLOCKS,
    REGULAR,
    SYMLINK,
    Image,
    Inode,
)
from sls_jupyter.image.layer.fields import malformed
from sls_jupyter.image.layer.verity import BLOCK

GROUP = BLOCK * 8  # blocks
_INODE = 256  # bytes
_INODE_USED = 152
_ENTRY = 8  # bytes of a folder's entry without its name
_DESCRIPTOR = 32
_TYPES = {REGULAR: 1, DIR: 2, CHAR: 3, BLOCK_DEVICE: 4, FIFO: 5, SYMLINK: 7}
_COMPAT, _INCOMPAT, _READ_ONLY = (
    0x208,
    0x242,
    0x104A,
)  # sparse_super2, ext_attr; filetype, extents, flex_bg; …, read-only


def finish(image: Image) -> bytes:
    """Write what follows the files; the root hash of the whole image, 32 bytes.

    Raises:
        MalformedTar: the image would be larger than 128 GiB.
    """
    for folder, parent in _folders(image.root):
        start = len(image.blocks)
        data = _folder(folder, parent)
        image.blocks.append(data)
        folder.size = len(data)
        image._extents(folder, start)
    table = len(image.blocks)
    groups, per_group = _groups(table, len(image.inodes))
    _inode_table(image, groups * per_group)
    bitmaps = len(image.blocks)
    valid = bitmaps + 2 * groups
    size = max(valid, (groups - 1) * GROUP + 1)
    if size > MAX_BLOCKS:
        raise malformed("a layer is too large", expected="at most 128 GiB")
    descriptors, free_blocks, free_inodes = b"", 0, 0
    for group in range(groups):
        blocks, used = _block_bitmap(group, groups, valid, size)
        inodes, used_inodes, folders = _inode_bitmap(image.inodes, group * per_group, per_group)
        image.blocks.append(blocks + inodes)
        descriptors += struct.pack(
            "<IIIHHHH12x",
            bitmaps + 2 * group,
            bitmaps + 2 * group + 1,
            table + group * (per_group * _INODE // BLOCK),
            GROUP - used & 0xFFFF,
            per_group - used_inodes & 0xFFFF,
            folders & 0xFFFF,
            0,
        )
        free_blocks += GROUP - used
        free_inodes += per_group - used_inodes
    image.blocks.zeros(size - len(image.blocks))
    descriptors = descriptors.ljust(GROUP_DESCRIPTOR_BLOCKS * BLOCK, b"\0")
    for number in range(GROUP_DESCRIPTOR_BLOCKS):
        image.blocks.put(1 + number, descriptors[number * BLOCK : (number + 1) * BLOCK])
    image.blocks.put(0, _superblock(per_group, groups, size, free_blocks, free_inodes))
    return image.blocks.root()


def _children(folder: Inode) -> list[tuple[bytes, Inode]]:
    """By number, then name."""
    return sorted((folder.children or {}).items(), key=lambda child: (child[1].number, child[0]))


def _folders(root: Inode) -> Iterator[tuple[Inode, Inode]]:
    """Every folder and its parent, the root first, depth first."""
    waiting = [(root, root)]
    while waiting:
        folder, parent = waiting.pop()
        yield folder, parent
        waiting += [(child, folder) for _, child in reversed(_children(folder)) if child.is_dir]


def _folder(folder: Inode, parent: Inode) -> bytes:
    """A folder's blocks: ``.``, ``..`` and the children; each block ends with an empty entry over what is left."""
    data = bytearray()
    left = BLOCK
    for name, inode in [(b".", folder), (b"..", parent), *_children(folder)]:
        length = _ENTRY + len(name) + 3 & ~3
        if left < length + 12:
            data += _rest(left)
            left = BLOCK
        kind = _TYPES.get(inode.mode & KIND, 0)
        data += struct.pack("<IHBB", inode.number, length, len(name), kind) + name.ljust(length - _ENTRY, b"\0")
        left -= length
    return bytes(data + _rest(left))


def _rest(left: int) -> bytes:
    return struct.pack("<IHBB", 0, left, 0, 0).ljust(left, b"\0")


def _groups(blocks: int, inodes: int) -> tuple[int, int]:
    """How many groups, and inodes in each: the fewest groups, then the fewest inodes."""

    def count(per_group: int) -> int:
        data = GROUP - per_group * _INODE // BLOCK - 2  # blocks of a group beside its inodes and bitmaps
        return -(-max(blocks, (inodes - 1) // per_group * data + 1) // data)

    best = min(range(BLOCK // _INODE, GROUP + 1, BLOCK // _INODE), key=count)
    return count(best), best


def _inode_table(image: Image, room: int) -> None:
    """All inodes, in pieces that are whole blocks, and zeros for those that are not there."""
    step = 4096  # inodes
    for start in range(0, len(image.inodes), step):
        image.blocks.append(b"".join(_inode(inode) for inode in image.inodes[start : start + step]))
    whole = -(-len(image.inodes) * _INODE // BLOCK)
    image.blocks.zeros(room * _INODE // BLOCK - whole)


def _inode(inode: Inode | None) -> bytes:
    if inode is None:
        return bytes(_INODE)
    data = inode.data
    if inode.mode & KIND in (CHAR, BLOCK_DEVICE):
        number = (inode.minor & 0xFF | inode.major << 8 | (inode.minor & 0xFFFFFF00) << 12) & 0xFFFFFFFF
        data = struct.pack("<II", 0, number)
    atime, ctime, mtime, crtime = inode.times
    used = struct.pack(
        "<HHIIIIIHHIII60sIIIIHHHHHHHHIIIII",
        inode.mode,
        inode.uid & 0xFFFF,
        inode.size & 0xFFFFFFFF,
        atime & 0xFFFFFFFF,
        ctime & 0xFFFFFFFF,
        mtime & 0xFFFFFFFF,
        0,  # time of deletion
        inode.gid & 0xFFFF,
        inode.links & 0xFFFF,
        inode.blocks,
        inode.flags,
        0,  # version
        data,
        0,  # generation
        inode.attribute_block,
        inode.size >> 32,
        0,
        0,  # blocks, high
        0,  # attribute block, high
        inode.uid >> 16,
        inode.gid >> 16,
        0,
        0,
        _INODE_USED - 128,
        0,
        ctime >> 32,
        mtime >> 32,
        atime >> 32,
        crtime & 0xFFFFFFFF,
        crtime >> 32,
    )
    return (used.ljust(_INODE_USED, b"\0") + inode.attributes).ljust(_INODE, b"\0")


def _block_bitmap(group: int, groups: int, valid: int, size: int) -> tuple[bytes, int]:
    """One bit a block, and how many are used: what is written, and what the disk does not have."""
    used = min(max(valid - group * GROUP, 0), GROUP)
    bits = (1 << used) - 1
    if group == 0:  # group descriptors that are not used
        for block in range(2 + (groups - 1) // (BLOCK // _DESCRIPTOR), 1 + GROUP_DESCRIPTOR_BLOCKS):
            bits &= ~(1 << block)
            used -= 1
    if group == groups - 1 and size % GROUP:
        absent = size % GROUP
        bits |= ((1 << GROUP) - 1) ^ ((1 << absent) - 1)
        used += GROUP - absent
    return bits.to_bytes(BLOCK, "little"), used


def _inode_bitmap(inodes: list[Inode | None], first: int, count: int) -> tuple[bytes, int, int]:
    """One bit an inode, how many are used (those below 11 always are), and how many of them are folders."""
    here = inodes[first : first + count]  # without a gap: those that are not there are below 11
    bits = (1 << len(here)) - 1
    return bits.to_bytes(BLOCK, "little"), len(here), sum(inode is not None and inode.is_dir for inode in here)


def _superblock(per_group: int, groups: int, size: int, free_blocks: int, free_inodes: int) -> bytes:
    """Block 0: 1024 zeros, then the superblock; no UUID, no label, no times."""
    head = struct.pack(
        "<13I6H4I2HI2H3I",
        per_group * groups,
        size,
        0,
        free_blocks,
        free_inodes,
        0,  # first data block
        2,  # block size, 2^(10 + 2)
        2,
        GROUP,
        GROUP,
        per_group,
        0,
        0,
        0,
        0,
        0xEF53,
        1,  # cleanly unmounted
        1,  # on errors go on
        0,
        0,
        0,
        0,  # Linux
        1,  # dynamic inode sizes
        0,
        0,
        LOST_AND_FOUND,  # first inode that is not reserved
        _INODE,
        0,
        _COMPAT,
        _INCOMPAT,
        _READ_ONLY,
    )
    block = bytearray(BLOCK)
    block[1024 : 1024 + len(head)] = head
    extra = _INODE_USED - 128
    struct.pack_into("<HH", block, 1024 + 0x15C, extra, extra)
    block[1024 + 0x174] = 31  # groups of a flexible group, as a power of two
    struct.pack_into("<I", block, 1024 + 0x268, LOST_AND_FOUND)
    return bytes(block)
