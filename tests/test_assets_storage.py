"""The folder of an asset: made once, never half, removed without touching anything else."""

import errno

import pyarrow as pa
import pytest
from assets_kit import reader, seal_at

from sls_jupyter.assets.sealing import remove
from sls_jupyter.assets.storage import Folder, storage_error
from sls_jupyter.errors import BadInput, Unavailable


@pytest.fixture
def small():
    return pa.table({"x": [1, 2, 3]})


@pytest.mark.parametrize("url", ["ftp://host/x", "simplecache::file:///x", "../../etc\0", "zip://x"])
def test_odd_places_are_refused(url):
    """A manifest from a stranger cannot make us open whatever fsspec can open."""
    with pytest.raises((BadInput, Unavailable)):
        Folder(url).create()


def test_missing_package_is_named():
    """Storage whose package is not installed says what to install."""
    with pytest.raises(Unavailable, match="another package"):
        Folder("gs://bucket/x")


def test_folder_must_be_new(tmp_path):
    """An asset never overwrites what is there, not even an empty folder."""
    with pytest.raises(BadInput, match="something at the place"):
        Folder(str(tmp_path)).create()


def test_full_disk_says_so():
    """A full disk is told apart from a missing permission."""
    assert "disk is full" in storage_error(OSError(errno.ENOSPC, "No space left on device"), "x").hint
    assert "disk is full" not in storage_error(OSError(errno.EACCES, "Permission denied"), "x").hint


def test_remove_spares_other_files(tmp_path, small):
    """Removing an asset deletes its own files only, and can be repeated."""
    asset = seal_at(tmp_path / "a", small)
    (tmp_path / "a" / "diary.txt").write_text("mine")
    remove(asset.manifest)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["diary.txt"]
    remove(str(tmp_path / "a"))
    with pytest.raises(Unavailable):
        reader(asset).read_all()


def test_remove_takes_the_empty_folder(tmp_path, small):
    """Nothing is left of a removed asset."""
    remove(seal_at(tmp_path / "a", small).manifest)
    assert not (tmp_path / "a").exists()
    remove(str(tmp_path / "a"))


def test_object_storage(small):
    """The same asset can lie in storage without folders or renames."""
    asset = seal_at("memory://bucket/asset", small)
    assert reader(asset).read_all().equals(small)
    assert Folder("memory://bucket/asset").read_manifest() == asset.envelope
    remove(asset.manifest)
    with pytest.raises(Unavailable):
        Folder("memory://bucket/asset").read_manifest()


def test_manifest_is_the_envelope(tmp_path, small):
    """What lies in the folder is what the owner signed, so that an asset can be found from its folder alone."""
    asset = seal_at(tmp_path / "a", small)
    assert (tmp_path / "a" / "manifest.json").read_bytes() == asset.envelope
    assert asset.manifest.storage == (tmp_path / "a").as_uri()
