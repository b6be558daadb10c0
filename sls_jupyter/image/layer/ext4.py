"""The compact ext4 image of a layer: its files, and the hash of each block, without writing it anywhere.

What a host of Confidential ACI mounts as a layer is this image; its bytes follow from the tar alone: no UUID, no time of
making. Blocks of 4096 bytes; block 0 is the superblock; eight blocks of group descriptors (128 GiB); then, in the order
of the tar, the data of files and long symbolic links and blocks of extended attributes; folders, depth first; the inode
table; bitmaps (`sls_jupyter.image.layer.ext4_tables`). Inodes count in the order of creation, from 11, ``lost+found``.
Structures: Linux ``Documentation/filesystems/ext4``. Which layout of the many possible ones: what Microsoft's
``dmverity-vhd`` (microsoft/hcsshim ``ext4/``) makes, found bit for bit by trying.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from sls_jupyter.image.layer import xattrs
from sls_jupyter.image.layer.fields import malformed, shown
from sls_jupyter.image.layer.verity import BLOCK, BlockDigests

ROOT, LOST_AND_FOUND = 2, 11  # numbers of inodes
GROUP_DESCRIPTOR_BLOCKS = 8
MAX_BLOCKS = 128 * 2**30 // BLOCK
MAX_FILE = 128 * 2**30  # bytes
MAX_LINKS = 65_000
MAX_INODES = 2_000_000  # bounds memory; ours, the tool has none
MAX_KEPT = 256 << 20  # bytes of names, links and attributes that are kept to the end; bounds memory, as above
_EACH = 128  # bytes that a name or an attribute costs beside its own
KIND = 0xF000
FIFO, CHAR, DIR, BLOCK_DEVICE, REGULAR, SYMLINK = 0x1000, 0x2000, 0x4000, 0x6000, 0x8000, 0xA000
HUGE_FILE, EXTENTS = 0x40000, 0x80000  # flags of inodes
_INLINE_LINK = 59  # bytes of a symbolic link inside the inode
_EXTENT = 0x8000  # blocks
_EXTENTS_PER_BLOCK = BLOCK // 12 - 1
_NO_TIME = -62_135_596_800  # the year 1, which the tool cannot tell from no time
_U32, _U64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF

Time = tuple[int, int]  # seconds since 1970, nanoseconds


@dataclass(slots=True)
class File:
    """What is to be created: a mode with its kind, owners, times as ext4 has them, and what its kind needs."""

    mode: int
    uid: int = 0
    gid: int = 0
    size: int = 0
    link: bytes = b""
    major: int = 0
    minor: int = 0
    times: tuple[int, int, int, int] = (0, 0, 0, 0)  # of access, change of the inode, change, creation
    attributes: dict[bytes, bytes] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Inode:
    number: int
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    links: int = 0
    flags: int = HUGE_FILE
    blocks: int = 0  # in blocks of the file system, as the flag says
    times: tuple[int, int, int, int] = (0, 0, 0, 0)
    major: int = 0
    minor: int = 0
    data: bytes = b""  # of the 60 bytes: extents or a short link
    attributes: bytes = b""  # in the inode
    attribute_block: int = 0
    block_attributes: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    children: dict[bytes, Inode] | None = None

    @property
    def is_dir(self) -> bool:
        return self.mode & KIND == DIR


class Image:
    """A file system in the making."""

    def __init__(self) -> None:
        self.blocks = BlockDigests()
        self.blocks.skip(1 + GROUP_DESCRIPTOR_BLOCKS)
        self.inodes: list[Inode | None] = [None]
        self._kept = 0  # bytes
        self.root = self._inode(File(DIR | 0o755), None)
        self.root.links += 1
        self.inodes += [None] * (LOST_AND_FOUND - len(self.inodes) - 1)
        self.create(b"lost+found", File(DIR | 0o700))

    def create(self, path: bytes, file: File) -> Inode:
        """Add a file, or give what is there its new attributes; data of a regular file follows by `write`.

        Raises:
            MalformedTar: a file in place of a folder or the other way round, a second file with data in the place of
                the first, a parent that is none, a name above 255 bytes, attributes that do not fit.
        """
        folder, name, existing = self._look_up(path)
        kind = file.mode & KIND
        reused = None
        if existing is not None:
            if existing.is_dir != (kind == DIR):
                raise malformed("a folder and a file have the same name in one layer", path)
            if existing.is_dir or existing.links < 2:
                reused = existing
        elif kind == DIR and folder.links >= MAX_LINKS:
            raise malformed("a folder holds too many folders", path, expected=f"fewer than {MAX_LINKS}")
        inode = self._inode(file, reused, path)
        if inode is not existing:
            assert folder.children is not None  # noqa: S101  # as _look_up returned it
            if existing is not None:
                existing.links -= 1
            self._keep(_EACH + len(name))
            folder.children[name] = inode
            inode.links += 1
            folder.links += inode.is_dir
        return inode

    def write(self, inode: Inode, path: bytes, size: int, data: Iterable[bytes]) -> None:
        """Give a regular file its data: pieces of whole blocks, but the last.

        Raises:
            MalformedTar: the data are not `size` bytes, or the image is full.
        """
        start, written = len(self.blocks), 0
        for piece in data:
            written += len(piece)
            if start + written // BLOCK > MAX_BLOCKS:
                raise _full()
            self.blocks.append(piece)
        if written != size:
            raise malformed("a file has more or less data than its size", path, found=written, expected=size)
        if size:
            self._extents(inode, start)

    def link(self, target: bytes, path: bytes) -> None:
        """Add a hard link.

        Raises:
            MalformedTar: no such target, a folder, or another file would be lost.
        """
        folder, name, existing = self._look_up(path)
        if existing is not None and (existing.is_dir or existing.links < 2):
            raise malformed("a hard link takes the place of a file that was there before", path)
        _, _, linked = self._look_up(target)
        if linked is None:
            raise malformed(f"a hard link's target is not in the layer: {shown(target)}", path)
        if linked.is_dir:
            raise malformed(f"a hard link's target is a folder: {shown(target)}", path)
        if linked is not existing and linked.links >= MAX_LINKS:
            raise malformed("a file has too many hard links", path, expected=f"at most {MAX_LINKS}")
        assert folder.children is not None  # noqa: S101  # as _look_up returned it
        if existing is not None:
            existing.links -= 1
        linked.links += 1
        self._keep(_EACH + len(name))
        folder.children[name] = linked

    def make_parents(self, path: bytes) -> None:
        """Make the folders above a path that are not there: with mode, owner and times of their own parent."""
        here, so_far = self.root, b""
        for name in clean(path).split(b"/")[:-1]:
            so_far += b"/" + name
            child = (here.children or {}).get(name)
            if child is None:
                times = tuple(reread(time) for time in here.times)
                child = self.create(
                    so_far,
                    File(here.mode, here.uid, here.gid, major=here.major, minor=here.minor, times=times),  # type: ignore[arg-type]
                )
            here = child

    def set_opaque(self, path: bytes) -> None:
        """Mark a folder as hiding what lower layers have in it; its other attributes stay, as far as they are read back."""
        _, _, inode = self._look_up(path)
        if inode is None:
            raise malformed("an opaque mark for a folder that is not there", path)
        attributes = read_back(inode)
        link = inode.data if inode.mode & KIND == SYMLINK else b""
        if inode.flags & EXTENTS or (inode.mode & KIND == REGULAR and inode.size):
            raise malformed("an opaque mark inside something that is no folder", path)
        attributes[b"trusted.overlay.opaque"] = b"y"
        times = tuple(reread(time) for time in inode.times)
        again = File(inode.mode, inode.uid, inode.gid, inode.size, link, inode.major, inode.minor, times, attributes)  # type: ignore[arg-type]
        self.create(path, again)

    def _inode(self, file: File, inode: Inode | None, path: bytes = b"/") -> Inode:
        """A new inode, or an old one with everything but number, links, children, blocks and attribute block anew."""
        kind = file.mode & KIND or REGULAR
        new = inode is None
        if inode is None:
            if len(self.inodes) >= MAX_INODES:
                raise malformed("a layer has too many entries", expected=f"at most {MAX_INODES}")
            inode = Inode(len(self.inodes) + 1)
            if kind == DIR:
                inode.children, inode.links = {}, 1
        elif inode.flags & EXTENTS:
            raise malformed(
                "the layer has this file twice, or a deletion of what it has itself",
                path,
                expected="each file with data once in a layer",
                hint="no such image can run on Confidential ACI; squash the layer or write its tar anew",
            )
        if kind == REGULAR and file.size > MAX_FILE:
            raise malformed("a file is too large", path, found=file.size, expected=f"at most {MAX_FILE} bytes")
        inode.mode = file.mode & ~KIND | kind | (0o777 if kind == SYMLINK else 0)
        inode.uid, inode.gid = file.uid & _U32, file.gid & _U32
        inode.flags, inode.times = HUGE_FILE, file.times
        inode.major, inode.minor = file.major & _U32, file.minor & _U32
        inode.data = file.link if kind == SYMLINK and len(file.link) <= _INLINE_LINK else b""
        inode.size = file.size if kind == REGULAR else len(file.link) if kind == SYMLINK else 0
        placed = xattrs.place({**xattrs.read_inode(inode.attributes), **file.attributes})
        self._keep(_held(len(placed.inode), placed.block) - _held(len(inode.attributes), inode.block_attributes))
        self._keep(len(inode.data))
        inode.attributes, inode.block_attributes = placed.inode, placed.block
        if placed.block or inode.attribute_block:
            self._attribute_block(inode)
        if kind == SYMLINK and inode.size > _INLINE_LINK:
            start = len(self.blocks)
            self.blocks.append(file.link)
            self._extents(inode, start)
        if new:
            self.inodes.append(inode)
        return inode

    def _keep(self, size: int) -> None:
        """Count what stays in memory."""
        self._kept += size
        if self._kept > MAX_KEPT:
            raise malformed(
                "a layer's names, links and extended attributes are too large to be kept",
                found=f"more than {MAX_KEPT >> 20} MiB",
                expected=f"at most {MAX_KEPT >> 20} MiB",
                hint="drop extended attributes, or divide the layer",
            )

    def _attribute_block(self, inode: Inode) -> None:
        """Write it, in its old place if it had one, even if it is empty now."""
        if not inode.attribute_block:
            inode.attribute_block = len(self.blocks)
            inode.blocks += 1
            self.blocks.skip(1)
        self.blocks.put(inode.attribute_block, xattrs.block_bytes(inode.block_attributes))

    def _extents(self, inode: Inode, start: int) -> None:
        """Say where data lie: one run of blocks, in extents of 32,768; above four, in blocks of their own."""
        length = len(self.blocks) - start
        if start + length > MAX_BLOCKS:
            raise _full()
        count = -(-length // _EXTENT)
        inode.flags |= EXTENTS
        inode.blocks += length
        if count <= 4:
            inode.data = _extent_node(4, start, 0, count, length)
            return
        nodes = count // _EXTENTS_PER_BLOCK + 1
        inode.blocks += nodes
        data = struct.pack("<HHHHI", 0xF30A, nodes, 4, 1, 0)
        for node in range(nodes):
            offset = node * _EXTENTS_PER_BLOCK * _EXTENT
            data += struct.pack("<IIHH", offset, len(self.blocks), 0, 0)
            here = min(count - node * nodes, _EXTENTS_PER_BLOCK)
            self.blocks.append(_extent_node(_EXTENTS_PER_BLOCK, start, offset, here, length).ljust(BLOCK, b"\0"))
        inode.data = data

    def _look_up(self, path: bytes) -> tuple[Inode, bytes, Inode | None]:
        """The folder of a path, the last name, and what is there."""
        cleaned = clean(path)
        if not cleaned:
            return self.root, b"", self.root
        *parents, name = cleaned.split(b"/")
        if len(name) > 255:
            raise malformed("a name is too long", path, found=f"{len(name)} bytes", expected="at most 255")
        folder: Inode | None = self.root
        for parent in parents:
            folder = folder and (folder.children or {}).get(parent)
        if folder is None or folder.children is None:
            raise malformed("a path goes through something that is no folder", path)
        return folder, name, folder.children.get(name)


def _held(inline: int, block: list[tuple[int, bytes, bytes]]) -> int:
    return inline + sum(_EACH + len(name) + len(value) for _, name, value in block)


def clean(path: bytes) -> bytes:
    """A path from the root without ``.``, ``..``, doubled and outer slashes."""
    parts: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def ext4_time(time: Time | None) -> int:
    """Seconds, signed in 32 bits with two more behind, and nanoseconds above; what is too early or late is cut."""
    if time is None or time == (_NO_TIME, 0):
        return 0
    seconds, nanoseconds = time
    if seconds < -0x80000000:
        return 0x80000000
    if seconds > 0x37FFFFFFF:
        return 0x37FFFFFFF
    return seconds & _U64 | nanoseconds << 34


def reread(value: int) -> int:
    """A time after the tool has read it back and written it again: those before 1970 do not survive."""
    if value == 0:
        return 0
    seconds, nanoseconds = value & 0x3FFFFFFFF, value >> 34
    if 0x7FFFFFFF < seconds < 0x100000000:
        seconds -= 0x100000000
    return ext4_time((seconds + nanoseconds // 10**9, nanoseconds % 10**9))


def read_back(inode: Inode) -> dict[bytes, bytes]:
    """An inode's extended attributes as the tool reads them: the block's, then the inode's."""
    found = xattrs.read_block(inode.block_attributes) if inode.attribute_block else {}
    found.update(xattrs.read_inode(inode.attributes))
    found.pop(b"system.data", None) if inode.attributes else None
    return found


def _extent_node(room: int, start: int, offset: int, count: int, length: int) -> bytes:
    """A header and the leaves of one node; `offset` is its first block in the file."""
    parts = [struct.pack("<HHHHI", 0xF30A, count, room, 0, 0)]
    for place in range(count):
        block = offset + place * _EXTENT
        parts.append(struct.pack("<IHHI", block, min(length - block & _U32, _EXTENT), 0, start + offset + block & _U32))
    return b"".join(parts)


def _full() -> Exception:
    return malformed("a layer is too large", expected="at most 128 GiB")
