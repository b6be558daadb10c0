"""From a layer's tar to its root hash.

The hash that Confidential ACI mounts a layer by, and that a container policy names: `sls_jupyter.image.layer.tar` says how a
tar is read, `sls_jupyter.image.layer.ext4` which disk is made of it, `sls_jupyter.image.layer.verity` how the disk is hashed.
Compression, names of images and registries do not matter. One pass, 32 bytes kept for each 4096 of data and some hundred
for each file.
"""

from __future__ import annotations

from sls_jupyter.image.layer.entry import Entry, Readable
from sls_jupyter.image.layer.ext4 import BLOCK_DEVICE, CHAR, DIR, FIFO, REGULAR, SYMLINK, File, Image, ext4_time
from sls_jupyter.image.layer.ext4_tables import finish
from sls_jupyter.image.layer.tar import entries

WHITEOUT, OPAQUE = b".wh.", b".wh..wh..opq"  # OCI image specification, layer.md, "Whiteouts"
_KINDS = {0x30: REGULAR, 0x32: SYMLINK, 0x33: CHAR, 0x34: BLOCK_DEVICE, 0x35: DIR, 0x36: FIFO}
_HARD_LINK = 0x31


def layer_root(source: Readable) -> str:
    """The dm-verity root hash of a layer, 64 lower-case hex digits.

    Args:
        source: the uncompressed tar, read to the tar's end and no further.

    Raises:
        MalformedTar: the tar is cut off, damaged, or one that the reference tool refuses; see `sls_jupyter.image.layer.tar`
            and `sls_jupyter.image.layer.ext4`.
    """
    image = Image()
    for entry in entries(source):
        _add(image, entry)
    return finish(image).hex()


def _add(image: Image, entry: Entry) -> None:
    """One entry of the tar: a deletion in lower layers, a hard link, or a file."""
    image.make_parents(entry.name)
    slash = entry.name.rfind(b"/") + 1
    folder, name = entry.name[:slash], entry.name[slash:]
    if name == OPAQUE:
        image.set_opaque(folder)
    elif name.startswith(WHITEOUT):
        image.create(folder + b"/" + name[len(WHITEOUT) :], File(CHAR))
    elif entry.kind == _HARD_LINK:
        image.link(entry.link, entry.name)
    else:
        mtime = ext4_time(entry.mtime)
        kind = _KINDS.get(entry.kind, 0)
        file = File(
            entry.mode & 0o7777 | kind,
            entry.uid,
            entry.gid,
            entry.size,
            entry.link,
            entry.major,
            entry.minor,
            (ext4_time(entry.atime), ext4_time(entry.ctime), mtime, mtime),
            entry.xattrs,
        )
        inode = image.create(entry.name, file)
        if inode.mode & 0xF000 == REGULAR:
            image.write(inode, entry.name, entry.size, entry.data)
