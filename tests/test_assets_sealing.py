"""Sealing: whole or not at all, one key for each group, and no more memory for more rows."""

import errno
import subprocess
import sys
import textwrap
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from assets_kit import OWNER, POLICY, frame, reader, seal_at, seal_code_at

from sls_jupyter.assets.opening import verify_manifest
from sls_jupyter.assets.storage import Folder
from sls_jupyter.errors import BadInput, Unavailable, UnknownName

TABLE = pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"], "c d": [True, None, False]})


def test_the_manifest_says_what_was_sealed(tmp_path):
    """A catalogue can show an asset from its manifest alone."""
    asset = seal_at(tmp_path / "a", TABLE, rows_per_part=2, previous=POLICY)
    manifest = verify_manifest(asset.envelope, asset.digest)
    assert (manifest.kind, manifest.name, manifest.owner) == ("table", "patients", OWNER.did)
    assert (manifest.rows, [part.rows for part in manifest.parts]) == (3, [2, 1])
    assert (manifest.columns, manifest.policy, manifest.previous) == (("a", "b", "c d"), POLICY, POLICY)
    assert set(asset.keys) == {manifest.footer_key_id, *(group.key_id for group in manifest.groups)}
    assert {len(key) for key in asset.keys.values()} == {32}


def test_each_column_is_its_own_group(tmp_path):
    """By default a policy can grant every single column."""
    asset = seal_at(tmp_path / "a", TABLE)
    assert [(group.name, group.columns) for group in asset.manifest.groups] == [
        ("a", ("a",)),
        ("b", ("b",)),
        ("column_2", ("c d",)),
    ]


def test_owners_groups(tmp_path):
    """Columns in one group share a key; names of groups never collide."""
    asset = seal_at(tmp_path / "a", TABLE, column_groups={"b": ["c d", "a"]})
    assert [group.columns for group in asset.manifest.groups] == [("a", "c d"), ("b",)]
    assert len({group.name for group in asset.manifest.groups}) == 2
    assert reader(asset).read_all().equals(TABLE)


def test_two_seals_share_nothing(tmp_path):
    """Sealing the same data twice gives other keys, other bytes and another asset."""
    one, two = seal_at(tmp_path / "a", TABLE), seal_at(tmp_path / "b", TABLE)
    assert not set(one.keys) & set(two.keys)
    assert not set(one.keys.values()) & set(two.keys.values())
    assert one.digest != two.digest


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"name": "9 lives"}, BadInput),
        ({"authority": "did:web:x"}, BadInput),
        ({"policy": "sha256:0"}, BadInput),
        ({"created_at": -1}, BadInput),
        ({"rows_per_part": 0}, BadInput),
        ({"column_groups": {"g": ["nope"]}}, UnknownName),
        ({"column_groups": {"g": []}}, BadInput),
        ({"column_groups": {"g h": ["a"]}}, BadInput),
        ({"column_groups": {"g": ["a"], "h": ["a"]}}, BadInput),
        ({"column_groups": {"g": ["a"]}, "confidential": True}, BadInput),
    ],
)
def test_wrong_arguments_write_nothing(options, error, tmp_path):
    """A mistake in the call is found before a folder is made."""
    with pytest.raises(error):
        seal_at(tmp_path / "a", TABLE, **options)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a\0b"])
def test_code_stays_in_its_folder(path, tmp_path):
    """A code asset cannot name a file outside the folder it is unpacked to."""
    with pytest.raises(BadInput):
        seal_code_at(tmp_path / "a", {path: b""})
    with pytest.raises(BadInput):
        seal_code_at(tmp_path / "a", {})


def test_an_asset_is_never_overwritten(tmp_path):
    """Sealing to a place where something is ends in an error, and that something stays."""
    asset = seal_at(tmp_path / "a", TABLE)
    with pytest.raises(BadInput, match="something at the place"):
        seal_at(tmp_path / "a", TABLE)
    assert reader(asset).read_all().equals(TABLE)


def test_interruption_leaves_nothing(tmp_path):
    """Interrupting the kernel in the middle of a seal leaves no asset and no parts."""

    def interrupt(rows, _):
        if rows > 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seal_at(tmp_path / "a", TABLE, rows_per_part=1, progress=interrupt)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("place", [0, 1, 900, "manifest"])
def test_full_disk_leaves_nothing(place, tmp_path, monkeypatch):
    """A disk that fills up, wherever that happens, leaves no asset and says what to do."""
    real = Folder.open_new

    class Full:
        def __init__(self, file):
            self._file, self._left = file, place

        def write(self, data):
            self._left -= len(data)
            if self._left < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self._file.write(data)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self._file.close()

        def __getattr__(self, name):
            return getattr(self._file, name)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    if place == "manifest":
        monkeypatch.setattr(Path, "replace", full)
    else:
        monkeypatch.setattr(Folder, "open_new", lambda self, name: Full(real(self, name)))
    with pytest.raises(Unavailable) as caught:
        seal_at(tmp_path / "a", TABLE)
    assert "disk is full" in caught.value.hint
    assert not (tmp_path / "a").exists()


def test_a_place_that_cannot_be_written(tmp_path):
    """A folder below a file is an error in words."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable):
        seal_at(tmp_path / "file" / "a", TABLE)


def test_a_killed_seal_publishes_nothing(tmp_path):
    """A process that dies between two parts leaves no manifest, hence no asset."""
    code = """
        import os, sys
        sys.path.insert(0, sys.argv[1])
        import pyarrow as pa
        from assets_kit import seal_at
        seal_at(sys.argv[2], pa.table({"x": [1, 2, 3]}), rows_per_part=1, progress=lambda n, _: n > 1 and os._exit(9))
    """
    arguments = [sys.executable, "-c", textwrap.dedent(code), str(Path(__file__).parent), str(tmp_path / "a")]
    assert subprocess.run(arguments).returncode == 9
    assert not (tmp_path / "a" / "manifest.json").exists()


def test_progress_counts_rows(tmp_path):
    """A progress bar can be right: it grows with the rows and ends at their number."""
    seen = []
    seal_at(tmp_path / "a", TABLE, rows_per_part=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 3), (3, 3)]


def test_a_manifest_that_would_be_too_large(tmp_path, monkeypatch):
    """More parts than a manifest can name are refused with the fix, and nothing is left."""
    monkeypatch.setattr("sls_jupyter.assets.sealing.MAX_MANIFEST_BYTES", 1000)
    with pytest.raises(BadInput, match="too large"):
        seal_at(tmp_path / "a", TABLE)
    assert not (tmp_path / "a").exists()


def test_many_columns(tmp_path):
    """Fifty columns are fifty keys, and one of them opens one column."""
    asset = seal_at(tmp_path / "a", pd.DataFrame({f"x{i}": range(3) for i in range(50)}))
    assert len(asset.keys) == 51
    assert frame(asset, ["x7"]).shape == (3, 1)


MEMORY = """
    import sys
    sys.path.insert(0, sys.argv[1])
    import pyarrow as pa
    import sls_jupyter.assets.sealing as sealing
    from assets_kit import reader, seal_at
    sealing.ROW_GROUP_BYTES = 1 << 18

    def stream(rows):
        for start in range(0, rows, 5000):
            yield pa.record_batch({"x": pa.array(range(start, start + 5000)), "y": [str(start)] * 5000})

    rows = int(sys.argv[3])
    asset = seal_at(sys.argv[2], stream(rows), rows_per_part=50_000)
    assert sum(batch.num_rows for batch in reader(asset)) == rows
    print(pa.default_memory_pool().max_memory())
"""


def test_memory_does_not_grow_with_the_asset(tmp_path):
    """Ten times the rows are sealed and opened with the same memory."""

    def peak(rows):
        folder = str(tmp_path / str(rows))
        arguments = [sys.executable, "-c", textwrap.dedent(MEMORY), str(Path(__file__).parent), folder, str(rows)]
        return int(subprocess.check_output(arguments))

    assert peak(2_000_000) < 1.5 * peak(200_000)
