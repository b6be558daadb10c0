"""The file system that a layer becomes, looked at by those who know ext4 without us."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile

import pytest
from image_kit import tar

from sls_jupyter.image.layer import ext4, root
from sls_jupyter.image.layer.ext4 import clean, ext4_time, reread
from sls_jupyter.image.layer.fields import MalformedTar
from sls_jupyter.image.layer.verity import BLOCK, BlockDigests

LARGE = 600 << 20  # bytes: more than four extents


class Large(io.RawIOBase):
    """A tar with one file of 600 MiB, and one behind it."""

    def __init__(self):
        first, second = tarfile.TarInfo("d/large"), tarfile.TarInfo("d/small")
        first.size, second.size = LARGE, 5
        self.parts = [first.tobuf(), LARGE, second.tobuf(), b"hello".ljust(512, b"\0")]

    def read(self, size=-1, /):
        while self.parts and not self.parts[0]:
            del self.parts[0]
        part = self.parts[0] if self.parts else b""
        if isinstance(part, int):
            self.parts[0] = part - min(size, part)
            return b"x" * min(size, part)
        if self.parts:
            self.parts[0] = part[size:]
        return part[:size]


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """Where the next image's blocks are kept, too."""
    if not shutil.which("e2fsck") or not shutil.which("debugfs"):
        pytest.skip("e2fsprogs are not installed: apt-get install e2fsprogs")
    path = tmp_path / "disk"

    class Written(BlockDigests):
        __slots__ = ("file",)

        def __init__(self):
            super().__init__()
            self.file = path.open("wb", buffering=0)

        def append(self, data):
            self.file.seek(len(self) * BLOCK)
            self.file.write(data)
            super().append(data)

        def put(self, number, block):
            self.file.seek(number * BLOCK)
            self.file.write(block)
            super().put(number, block)

        def root(self):
            self.file.truncate(len(self) * BLOCK)
            self.file.close()
            return super().root()

    monkeypatch.setattr(ext4, "BlockDigests", Written)
    return path


def debugfs(disk, request):
    return subprocess.run(["debugfs", "-R", request, str(disk)], capture_output=True, check=True, timeout=60).stdout


def check(disk):
    """e2fsck finds nothing but the one thing that the reference tool leaves: bits of inodes that cannot be."""
    done = subprocess.run(["e2fsck", "-fn", str(disk)], capture_output=True, text=True, timeout=60)
    wrong = [line for line in done.stdout.splitlines() if "?" in line and "Padding at end of inode bitmap" not in line]
    assert wrong == []


def test_a_file_above_512_mebibytes_is_found_through_its_index(disk):
    """Its extents do not fit in the inode; models and wheels are that large, and the kernel has to read them."""
    root.layer_root(Large())
    check(disk)
    assert debugfs(disk, "cat /d/small") == b"hello"
    stated = debugfs(disk, "stat /d/large").decode()
    assert f"Size: {LARGE}" in stated
    assert "(ETB0)" in stated
    assert "(131072-153599)" in stated


def test_the_files_of_a_layer_are_on_the_disk(disk):
    """A hash over a disk that no kernel can mount would be worth nothing."""
    xattrs = {"SCHILY.xattr.user.note": "v" * 500, "SCHILY.xattr.security.capability": "c"}
    root.layer_root(
        io.BytesIO(
            tar(
                ("etc/", {"type": tarfile.DIRTYPE, "mode": 0o750, "uid": 70_000}),
                ("etc/a", {"data": b"x" * 9000, "mtime": 1_700_000_000, "pax_headers": xattrs}),
                ("etc/link", {"type": tarfile.SYMTYPE, "linkname": "l" * 200}),
                ("etc/hard", {"type": tarfile.LNKTYPE, "linkname": "etc/a"}),
                ("dev/null", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}),
                *((f"many/{number:04}", b"") for number in range(900)),
                ("etc/.wh.gone", b""),
                ("many/.wh..wh..opq", b""),
            )
        )
    )
    check(disk)
    assert debugfs(disk, "cat /etc/hard") == b"x" * 9000
    assert b"Links: 2" in debugfs(disk, "stat /etc/a")
    assert b"user.note" in debugfs(disk, "ea_list /etc/a")
    assert b'trusted.overlay.opaque (1) = "y"' in debugfs(disk, "ea_list /many")
    assert b"User: 70000" in debugfs(disk, "stat /etc")
    assert b"character special" in debugfs(disk, "stat /etc/gone")


@pytest.mark.parametrize(
    ("time", "value"),
    [
        (None, 0),
        ((0, 0), 0),
        ((1, 5), 5 << 34 | 1),
        ((-1, 5), (1 << 64) - 1),
        ((-(2**31) - 1, 0), 0x80000000),
        ((2**40, 0), 0x37FFFFFFF),
        ((-62_135_596_800, 0), 0),
    ],
)
def test_times_are_cut_as_the_tool_cuts_them(time, value):
    """Layers with odd times (1970, 2446, before the epoch) exist, and their hash depends on it."""
    assert ext4_time(time) == value


def test_times_before_1970_do_not_survive_being_read_back():
    """A folder that is made from its parent's times takes what the tool reads back."""
    assert reread(ext4_time((100, 7))) == ext4_time((100, 7))
    assert reread(ext4_time((-5, 0))) == 0x37FFFFFFF
    assert reread(0x80000000) == ext4_time((-(2**31), 0))


@pytest.mark.parametrize("path", [b"/a/./b//../b/", b"a/b", b"./a/b", b"../../a/b", b"x/../a/b/."])
def test_paths_are_cleaned(path):
    """However a tar writes it, it is one file."""
    assert clean(path) == b"a/b"


@pytest.mark.parametrize("how", ["attributes", "links"])
def test_what_is_kept_of_a_layer_is_bounded(monkeypatch, how):
    """A small layer of many large attributes, or of many hard links, must not take all memory."""
    monkeypatch.setattr(ext4, "MAX_KEPT", 100_000)
    large = {"pax_headers": {"SCHILY.xattr.user.a": "x" * 3900}}
    if how == "attributes":
        members = [(f"f{number}", large) for number in range(40)]
    else:
        members = [(f"{number:0200}", {"type": tarfile.LNKTYPE, "linkname": "a"}) for number in range(400)]
    root.layer_root(io.BytesIO(tar(("a", b""), *members[:20])))
    with pytest.raises(MalformedTar, match="too large to be kept"):
        root.layer_root(io.BytesIO(tar(("a", b""), *members)))


def test_attributes_that_are_replaced_are_not_counted_twice(monkeypatch):
    """What a layer says again of a folder takes the place of what it said."""
    monkeypatch.setattr(ext4, "MAX_KEPT", 10_000)
    again = {"type": tarfile.DIRTYPE, "pax_headers": {"SCHILY.xattr.user.a": "x" * 3900}}
    root.layer_root(io.BytesIO(tar(*[("d/", again)] * 10)))
