"""``sls image hash``: whatever a layer or an image is kept as, the same figures come out."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import subprocess
import tarfile

import pyarrow as pa
import pytest
from image_kit import digest, docker_archive, tar, vector, vectors, write_layout

from sls_jupyter.cli import main
from sls_jupyter.errors import BadInput, MalformedDocument, SlsError
from sls_jupyter.image.finding import found, roots
from sls_jupyter.image.layer.root import layer_root

CASES = vectors()[:3]
PLAIN = [vector(case["file"]) for case in CASES]
ROOTS = [case["root"] for case in CASES]


def zstd(data: bytes) -> bytes:
    return pa.compress(data, codec="zstd", asbytes=True)


@pytest.fixture
def layout(tmp_path):
    stored = [
        (PLAIN[0], PLAIN[0], ""),
        (PLAIN[1], gzip.compress(PLAIN[1]), "+gzip"),
        (PLAIN[2], zstd(PLAIN[2]), "+zstd"),
    ]
    write_layout(tmp_path / "oci", stored, tag="guest")
    return tmp_path / "oci"


def test_compression_does_not_matter(tmp_path, layout):
    """Registries compress as they like; what is mounted is the same."""
    assert [root for root, _ in roots(str(layout))] == ROOTS
    for data, suffix in ((PLAIN[0], ""), (gzip.compress(PLAIN[0]), ".gz"), (zstd(PLAIN[0]), ".zst")):
        path = tmp_path / f"layer.tar{suffix}"
        path.write_bytes(data)
        assert roots(str(path)) == [(ROOTS[0], str(path))]


def test_an_archive_is_told_from_a_layer(tmp_path, layout):
    """A tar may be an image or a layer; nobody should have to say which."""
    docker_archive(tmp_path / "saved.tar", PLAIN)
    assert [root for root, _ in roots(str(tmp_path / "saved.tar"))] == ROOTS
    for start in ("", "./"):
        with tarfile.open(tmp_path / "oci.tar", "w") as out:
            for file in sorted(layout.rglob("*")):
                out.add(file, f"{start}{file.relative_to(layout)}", recursive=False)
        assert [root for root, _ in roots(str(tmp_path / "oci.tar"))] == ROOTS
    (tmp_path / "layer.tar").write_bytes(tar(("app/", {"type": tarfile.DIRTYPE}), ("app/manifest.json", b"[]")))
    assert len(roots(str(tmp_path / "layer.tar"))) == 1


def test_an_image_is_named_by_its_tag(tmp_path, layout):
    """A layout may hold several."""
    assert [root for root, _ in roots(f"{layout}:guest")] == ROOTS
    with pytest.raises(BadInput, match="no image of that name"):
        roots(f"{layout}:other")
    docker_archive(tmp_path / "saved.tar", PLAIN[:1])
    assert [root for root, _ in roots(f"{tmp_path / 'saved.tar'}:guest:1")] == ROOTS[:1]


def test_bytes_that_are_not_those_named_are_refused(layout):
    """Else the figures would be those of another image than the one that is launched."""
    stored = gzip.compress(PLAIN[1])
    blob = layout / "blobs" / "sha256" / digest(stored)[7:]
    blob.write_bytes(gzip.compress(PLAIN[1], 1) + b"")
    with pytest.raises(SlsError, match="not those that its image names"):
        roots(str(layout))
    blob.write_bytes(stored[:-20])
    with pytest.raises(SlsError, match="cut off"):
        roots(str(layout))
    blob.unlink()
    with pytest.raises(SlsError, match="not in it"):
        roots(str(layout))


def test_a_wrong_uncompressed_digest_is_refused(tmp_path):
    """A runtime would refuse it too, later."""
    write_layout(tmp_path, [(PLAIN[0], gzip.compress(PLAIN[1]), "+gzip")])
    with pytest.raises(SlsError, match="uncompressed"):
        roots(str(tmp_path))


def test_skopeos_archive_of_an_image(tmp_path, layout):
    """What podman and skopeo write is read, too."""
    if not shutil.which("skopeo"):
        pytest.skip("skopeo is not installed: apt-get install skopeo")
    write_layout(layout, [(data, gzip.compress(data), "+gzip") for data in PLAIN], tag="guest")
    target = tmp_path / "saved.tar"
    subprocess.run(
        ["skopeo", "copy", "-q", f"oci:{layout}:guest", f"docker-archive:{target}:guest:1"], check=True, timeout=60
    )
    assert [root for root, _ in roots(str(target))] == ROOTS


def test_sparse_files_are_hashed_as_they_are_read(tmp_path):
    """GNU tar writes holes as a map; the disk has zeros."""
    if not shutil.which("tar"):
        pytest.skip("no tar")
    (tmp_path / "f").mkdir()
    file = tmp_path / "f" / "sparse"
    with file.open("wb") as out:
        for place in (0, 1 << 20, 3 << 20, 5 << 20, 5 << 21):
            out.seek(place)
            out.write(b"data" * 1024)
        out.truncate(12 << 20)
    found = set()
    for options in (
        [],
        ["-S"],
        ["-S", "--format=gnu"],
        *(["-S", f"--sparse-version={one}"] for one in ("0.0", "0.1", "1.0")),
    ):
        form = [] if any("--format" in one for one in options) else ["--format=posix"]
        times = [
            "--mtime=@1700000000",
            "--owner=0",
            "--group=0",
            "--sort=name",
            "--pax-option=delete=atime,delete=ctime",
        ]
        times = times if form else times[:-1]
        data = subprocess.check_output(
            ["tar", "-c", "-C", str(tmp_path / "f"), *form, *times, *options, "sparse"], timeout=60
        )
        found.add(layer_root(io.BytesIO(data)))
    assert len(found) == 1


def test_the_command_prints_as_sha256sum_does(tmp_path, capsys, layout):
    """Lines of it can be compared, kept and sorted as those of sha256sum."""
    (tmp_path / "a.tar").write_bytes(PLAIN[0])
    assert main(["image", "hash", str(tmp_path / "a.tar")]) == 0
    assert capsys.readouterr().out == f"{ROOTS[0]}  {tmp_path / 'a.tar'}\n"
    assert main(["image", "hash", str(tmp_path / "none.tar"), str(layout)]) == 1
    shown = capsys.readouterr()
    assert [line.split("  ")[0] for line in shown.out.splitlines()] == ROOTS
    assert "no such file" in shown.err


def test_a_file_that_is_no_tar_is_said_to_be_none(tmp_path, capsys):
    """No traceback for a wrong file."""
    (tmp_path / "notes.txt").write_text("hello " * 500)
    assert main(["image", "hash", str(tmp_path / "notes.txt")]) == 1
    assert "not a tar" in capsys.readouterr().err
    with pytest.raises(SlsError), found(str(tmp_path)):
        pass


@pytest.mark.parametrize("way", ["absolute", "parent", "link"])
def test_an_unpacked_archive_names_nothing_outside_itself(tmp_path, way):
    """Who hashes a folder from elsewhere has only that folder read."""
    folder = tmp_path / "image"
    folder.mkdir()
    (tmp_path / "private").write_bytes(PLAIN[0])
    (folder / "link").symlink_to(tmp_path / "private")
    layer = {"absolute": str(tmp_path / "private"), "parent": "../private", "link": "link"}[way]
    (folder / "config").write_text(json.dumps({"rootfs": {"type": "layers", "diff_ids": [digest(PLAIN[0])]}}))
    (folder / "manifest.json").write_text(json.dumps([{"Config": "config", "RepoTags": ["a:1"], "Layers": [layer]}]))
    with pytest.raises(MalformedDocument, match="is not in it"):
        roots(str(folder))
    (folder / "inside").write_bytes(PLAIN[0])
    (folder / "manifest.json").write_text(json.dumps([{"Config": "config", "RepoTags": [], "Layers": ["inside"]}]))
    assert [root for root, _ in roots(str(folder))] == ROOTS[:1]
