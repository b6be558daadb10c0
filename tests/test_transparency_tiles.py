"""The layout of tiles, and what a reader that knows nothing of this package (``tlog_reader``) makes of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from tlog_reader import Reader

from sls_jupyter.errors import BadInput, MalformedDocument
from sls_jupyter.identity import SigningKey
from sls_jupyter.transparency import tiles, tree
from sls_jupyter.transparency.checkpoint import Checkpoint, sign_checkpoint
from sls_jupyter.transparency.merkle import leaf_hash

VECTORS = json.loads((Path(__file__).parent / "vectors/log/tiles.json").read_text())


# --- layout ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", VECTORS["paths"], ids=lambda case: case["path"])
def test_paths_of_the_specification(case):
    """Other people's clients would look for our tiles elsewhere."""
    tile = tiles.Tile(case["level"], case["index"], case["width"])
    assert tile.path == case["path"]
    assert tiles.Tile.parse(case["path"]) == tile


@pytest.mark.parametrize("path", VECTORS["not_paths"])
def test_other_spellings_are_no_paths(path):
    """A request could reach a tile by a second name, or a file that is no tile."""
    with pytest.raises(MalformedDocument):
        tiles.Tile.parse(path)


@given(st.none() | st.integers(0, 63), st.integers(0, 2**63 - 1), st.integers(1, 256))
def test_any_tile_has_one_path(level, index, width):
    """A tile with a large index could not be fetched."""
    tile = tiles.Tile(level, index, width)
    assert tiles.Tile.parse(tile.path) == tile


@pytest.mark.parametrize("case", VECTORS["sizes"], ids=lambda case: str(case["size"]))
def test_tile_counts_of_the_specification(case):
    """A tree of this size would be published with other tiles than clients expect."""
    published = [tile for tile in tiles.tiles_between(0, case["size"]) if tile.level is not None]
    full = {str(level): sum(t.level == level and t.width == 256 for t in published) for level in range(3)}
    partial = {str(tile.level): tile.width for tile in published if tile.width < 256}
    assert {level: full[level] for level in case["full"]} == case["full"]
    assert partial == case["partial"]


@settings(deadline=None)
@given(st.integers(0, 1500), st.integers(0, 1500))
def test_growth_publishes_what_the_new_size_needs(old, more):
    """A reader of the new checkpoint would miss a tile, or an old full one would be written again."""
    before, after = set(tiles.tiles_between(0, old)), set(tiles.tiles_between(0, old + more))
    fresh = set(tiles.tiles_between(old, old + more))
    assert fresh == after - before
    for tile in after:
        assert tile.level is None or tiles.tile_width(tile.level, tile.index, old + more) == tile.width


@given(st.lists(st.binary(max_size=400), min_size=1, max_size=256))
def test_bundles_round_trip(entries):
    """An entry would come back changed, or as two."""
    assert tiles.decode_bundle(tiles.encode_bundle(entries)) == tuple(entries)


def test_bundle_limits():
    """A cut bundle would be read as a shorter one, or a long entry would lose its end."""
    longest = bytes(tiles.MAX_ENTRY_BYTES)
    assert tiles.decode_bundle(tiles.encode_bundle([longest])) == (longest,)
    assert tiles.encode_bundle([b"ab", b""]).hex() == "000261620000"
    for entries in ([longest + b"x"], [], [b""] * 257):
        with pytest.raises(BadInput):
            tiles.encode_bundle(entries)
    whole = tiles.encode_bundle([b"one", b"two"])
    for data in (whole[:-1], whole[:1], whole + b"\0", b"", b"\0\0" * 257):
        with pytest.raises(MalformedDocument):
            tiles.decode_bundle(data)


# --- the log that it reads ------------------------------------------------------------------------

ORIGIN, KEY = "hospital.example/log", SigningKey(Ed25519PrivateKey.from_private_bytes(b"\x07" * 32))


def publish(entries, batch):
    """The files of a log that was written through the package, published after each batch."""
    files, store, size = {}, tree.MemoryTileStore(), 0
    while True:
        new = entries[size : size + batch]
        root = tree.append(store, size, [leaf_hash(entry) for entry in new])
        for tile in tiles.tiles_between(size, size + len(new)):
            if tile.level is None:
                start = tile.index * 256
                files[tile.path] = tiles.encode_bundle(entries[start : start + tile.width])
            else:
                files[tile.path] = store.read_tile(tile.level, tile.index)
        size += len(new)
        files["checkpoint"] = sign_checkpoint(Checkpoint(ORIGIN, size, root), KEY)
        if size == len(entries):
            return files


@pytest.mark.parametrize(
    ("count", "batch"), [(0, 1), (1, 1), (255, 50), (256, 256), (257, 100), (1000, 333), (66_000, 20_000)]
)
def test_independent_reader_accepts_our_log(count, batch):
    """A client that other people wrote could not read our log."""
    entries = [b"entry %d" % index for index in range(count)]
    assert Reader(publish(entries, batch).__getitem__, ORIGIN, KEY.public_bytes).entries() == entries


def test_independent_reader_notices_changes():
    """The agreement above would prove nothing if the reader accepted everything."""
    entries = [b"entry %d" % index for index in range(600)]
    for path in ("tile/0/000", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/001", "checkpoint"):
        files = publish(entries, 600)
        files[path] = files[path][:40] + bytes([files[path][40] ^ 1]) + files[path][41:]
        with pytest.raises((ValueError, KeyError)):
            Reader(files.__getitem__, ORIGIN, KEY.public_bytes).entries()
