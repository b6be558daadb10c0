"""Root hashes of layers: the figures by which Confidential ACI mounts, and a policy names, an image."""

from __future__ import annotations

import contextlib
import io
import random
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_kit import tar, vector, vectors

from sls_jupyter.errors import BadInput, SlsError
from sls_jupyter.image.layer.root import layer_root

EMPTY = "8b4842f06982817534a75bcf71865213b09dfa8313229c384e5201dadbd75e25"


def root(data: bytes) -> str:
    return layer_root(io.BytesIO(data))


@pytest.mark.parametrize("case", vectors(), ids=lambda case: case["file"])
def test_microsofts_tool_computes_the_same(case):
    """One bit otherwise and Azure refuses to mount the layer that was measured here."""
    assert root(vector(case["file"])) == case["root"]


def test_nothing_is_the_empty_file_system():
    """A layer that only deletes nothing is common; the tool has a figure for it."""
    assert root(b"") == root(bytes(512)) == root(bytes(10240)) == root(tar()) == EMPTY


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(vectors()), st.integers(300, 5000))
def test_how_the_bytes_come_does_not_matter(case, most):
    """A registry's stream comes in pieces of any size."""

    class Dripping(io.BytesIO):
        def read(self, size=-1, /):
            return super().read(min(size, most))

    assert layer_root(Dripping(vector(case["file"]))) == case["root"]


def test_a_roots_entry_may_be_written_in_any_way():
    """``./`` at the top is how most layers begin; its mode and owner count."""
    plain = {"type": tarfile.DIRTYPE, "mode": 0o700, "uid": 7}
    assert root(tar(("./", plain))) == root(tar(("/", plain))) == root(tar(("a/..", plain))) != EMPTY
    assert root(tar(("./a/../b//c", b"x"))) == root(tar(("b/c", b"x")))


def test_a_file_twice_is_refused_with_the_reason():
    """Such an image cannot run on Confidential ACI at all; its builder has to hear it before."""
    with pytest.raises(BadInput, match="twice") as caught:
        root(tar(("a", b"1"), ("a", b"2")))
    assert "squash" in caught.value.hint
    with pytest.raises(BadInput, match="twice"):
        root(tar(("a", b"1"), (".wh.a", b"")))
    assert root(tar(("a", b""), ("a", b"2"))) == root(tar(("a", b"2")))  # of an empty one nothing was written


def test_a_global_header_is_refused_with_the_reason():
    """The tool makes a file of it, other tools do not: who measures and who mounts would not agree."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "x"}) as out:
        out.addfile(tarfile.TarInfo("a"))
    with pytest.raises(BadInput, match="global header"):
        root(buffer.getvalue())


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([("a", b""), ("a/", {"type": tarfile.DIRTYPE})], "folder and a file"),
        ([("a", b""), ("a/b", b"")], "no folder"),
        ([("a", {"type": tarfile.LNKTYPE, "linkname": "nowhere"})], "not in the layer"),
        ([("d/", {"type": tarfile.DIRTYPE}), ("a", {"type": tarfile.LNKTYPE, "linkname": "d"})], "is a folder"),
        ([("n" * 256, b"")], "too long"),
        ([("a", {"pax_headers": {"SCHILY.xattr.user.a": "x" * 5000}})], "does not fit"),
        ([("a", {"pax_headers": {"mtime": "soon"}})], "PAX time"),
    ],
)
def test_what_the_tool_refuses_is_refused(members, words):
    """An image that cannot be launched is found out here, in words, and not by Azure."""
    with pytest.raises(BadInput, match=words):
        root(tar(*members))


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(vectors()))
def test_damaged_tars_end_in_an_error_of_ours(chance: random.Random, case):
    """A tar from a registry is anybody's bytes: no traceback, no endless loop."""
    data = bytearray(vector(case["file"])[:20_000] or bytes(512))
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(data) // 512 + 1) * 512 + chance.choice(
            (0, 100, 124, 136, 148, 156, 157, 257, 345, 483)
        )
        data[at : at + 1] = bytes([chance.choice((0, 0x2F, 0x31, 0x53, 0x67, 0x78, 0x80, 0xFF, chance.randrange(256)))])
    for at in range(0, len(data) - 511, 512):
        if data[at + 257 : at + 262] == b"ustar" and chance.random() < 0.9:
            data[at + 148 : at + 156] = b" " * 8
            data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    if chance.random() < 0.3:
        del data[chance.randrange(len(data)) :]
    with contextlib.suppress(SlsError):
        assert len(root(bytes(data))) == 64
