"""``sls image build``: the same bytes for everybody, and in the image what the guest needs."""

from __future__ import annotations

import ast
import importlib.metadata
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from image_kit import tar, write_layout

from sls_jupyter.contract.image import GUEST_DISTRIBUTIONS, OUTSIDE_THE_GUEST, PACKAGE, guest_files
from sls_jupyter.errors import BadInput, SlsError
from sls_jupyter.image import dependencies
from sls_jupyter.image.archive import open_image
from sls_jupyter.image.base import _debian
from sls_jupyter.image.build import build, code_items, guest_code
from sls_jupyter.image.write import Item, Layout, folder, write_tar

PYTHON = ("usr/bin/python3.11", {"data": b"\x7fELF", "mode": 0o755})


@pytest.fixture
def base(tmp_path):
    (tmp_path / "base.tar").write_bytes(tar(PYTHON))
    return tmp_path / "base.tar"


@pytest.fixture
def few(monkeypatch):
    """Two small packages in place of all that the guest needs."""
    monkeypatch.setattr(dependencies, "GUEST_DISTRIBUTIONS", ("rfc8785",))
    monkeypatch.setattr(dependencies, "ALSO_NEEDED", ("idna",))


@pytest.fixture
def wheels(monkeypatch):
    """pip in its place: it writes what it would, with what differs between two machines."""
    made = iter(range(100))

    def run(command, **_):
        target, number = Path(command[command.index("--target") + 1]), next(made)
        for name, version in (("rfc8785", dependencies.locked(dependencies.lock_file())["rfc8785"]), ("idna", "")):
            version = version or dependencies.locked(dependencies.lock_file())["idna"]
            info = target / f"{name}-{version}.dist-info"
            info.mkdir(parents=True)
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            (info / "RECORD").write_text(f"made {number}")
            (target / name).mkdir()
            (target / name / "__init__.py").write_text("x = 1\n")
            (target / name / "__pycache__").mkdir()
            (target / name / "__pycache__" / "__init__.cpython-311.pyc").write_bytes(bytes([number]))
        (target / "bin").mkdir()
        (target / "bin" / "tool").write_text(f"#!/somewhere/{number}/python")
        return type("Done", (), {"returncode": 0, "stderr": ""})()

    monkeypatch.setattr(dependencies.subprocess, "run", run)


def files_of(folder_: Path) -> dict[str, bytes]:
    return {path.relative_to(folder_).as_posix(): path.read_bytes() for path in folder_.rglob("*") if path.is_file()}


def names_of(image, number: int) -> dict[str, tarfile.TarInfo]:
    with image.layers[number].opened() as file, tarfile.open(fileobj=io.BytesIO(file.read())) as layer:
        return {member.name: member for member in layer.getmembers()}


def test_built_twice_in_two_folders_it_is_the_same_bytes(tmp_path, base, few, wheels):
    """Otherwise nobody could compare the image of a run with the source that it is said to be of."""
    first = build(tmp_path / "one" / "image", base=str(base))
    second = build(tmp_path / "two", base=str(base))
    assert first.digest == second.digest
    assert files_of(first.path) == files_of(second.path)
    image = open_image(first.path, "guest")
    assert len(image.roots()) == 3
    again = build(tmp_path / "three", base=str(first.path))  # upon the base of the first, not upon all of it
    assert [layer.digest for layer in open_image(again.path, "x").layers] == [layer.digest for layer in image.layers]


def test_what_is_in_the_image(tmp_path, base, few, wheels):
    """Root's files, no bytecode, no scripts of this machine; the environment that the policy allows."""
    image = open_image(build(tmp_path / "image", base=str(base)).path, "guest")
    packages, code = names_of(image, 1), names_of(image, 2)
    assert all(one.uid == one.gid == one.mtime == 0 for one in (*packages.values(), *code.values()))
    assert not [name for name in (*packages, *code) if name.endswith((".pyc", "RECORD", "tool"))]
    assert "usr/local/lib/python3.11/dist-packages/rfc8785/__init__.py" in packages
    assert {name for name in code if name.startswith("run/sls/")} == {
        f"run/sls/{one}" for one in ("feed", "result", "audit-input", "audit-output")
    }
    assert code["tmp"].mode == 0o1777
    settings = image.config["config"]
    assert settings["Env"][:2] == ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp"]
    assert "Entrypoint" not in settings
    assert "idna==" in settings["Labels"]["sls.dependencies"]


def test_real_wheels_come_at_the_locked_versions(tmp_path, few):
    """What is measured is what was tested."""
    versions = dependencies.install(tmp_path / "packages", dependencies.lock_file(), (), "3.11")
    lock = dependencies.locked(dependencies.lock_file())
    assert versions == {"idna": lock["idna"], "rfc8785": lock["rfc8785"]}
    (tmp_path / "lock.txt").write_text("idna==3.10\n")
    with pytest.raises(BadInput, match="not in the lock file"):
        dependencies.install(tmp_path / "other", tmp_path / "lock.txt", (), "3.11")


def test_a_package_that_nobody_locked_is_not_built_in(tmp_path, base, few, wheels):
    """``--with`` takes from the lock file only."""
    with pytest.raises(BadInput, match="lock file"):
        build(tmp_path / "image", base=str(base), extra=["no-such-package"])
    assert not (tmp_path / "image").exists()


def test_a_base_without_the_right_python_is_refused(tmp_path, few, wheels):
    """The wheels are for one version; another would fail inside the group, after approval."""
    (tmp_path / "other.tar").write_bytes(tar(("usr/bin/python3.13", b"")))
    for name in ("other.tar", "none.tar"):
        (tmp_path / "none.tar").write_bytes(tar(("a", b"")))
        with pytest.raises(BadInput, match="Python"):
            build(tmp_path / "image", base=str(tmp_path / name))
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "x").touch()
    with pytest.raises(BadInput, match="in use"):
        build(tmp_path / "image", base=str(tmp_path / "none.tar"))


def test_packages_go_where_the_bases_python_looks(tmp_path, few, wheels):
    """Images of Docker's ``python`` have their own in /usr/local."""
    data = tar(("usr/local/bin/python3.11", b""), PYTHON)
    write_layout(tmp_path / "python", [(data, data, "")])
    image = open_image(build(tmp_path / "image", base=str(tmp_path / "python")).path, "guest")
    assert "usr/local/lib/python3.11/site-packages/idna/__init__.py" in names_of(image, 1)
    assert image.config["config"]["Labels"]["org.opencontainers.image.base.name"].count("@sha256:") == 1


def test_all_that_the_guest_imports_is_in_the_image():
    """An import that fails would be found by the first run on Azure."""
    roles = ("input", "program", "kernel", "output", "audit", "cleaner", "markup", "pictures", "svg", "latex")
    later = ("attestation.device.find",)  # what these import when they are needed
    names = [*(f"guest.{role}" for role in roles), *later]
    loading = "import sys, " + ", ".join(f"sls_jupyter.{name}" for name in names)
    listing = "print(*(one.__file__ for name, one in sys.modules.items() if name.startswith('sls_jupyter')), sep='\\n')"
    loaded = subprocess.check_output(
        [sys.executable, "-I", "-c", f"{loading}; {listing}"], text=True, timeout=100
    ).split("\n")
    theirs = importlib.metadata.packages_distributions()
    needed = {
        dependencies.normal(theirs[name][0])
        for file in loaded
        if file
        for node in ast.walk(ast.parse(Path(file).read_bytes()))
        for name in _imported(node)
        if name in theirs and name != "sls_jupyter"
    }
    guest = {dependencies.normal(name) for name in (*GUEST_DISTRIBUTIONS, *dependencies.ALSO_NEEDED)}
    assert "pyarrow" in needed
    outside = {"adlfs", "azure-storage-blob"}  # who seals and who mints links; a guest reads them as any other URL
    assert needed - guest - outside == set()


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    return [node.module.split(".")[0]] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []


def test_the_code_layer_is_the_guests_code(tmp_path):
    """Not the notebook, not the hosts; everything that is measured locally."""
    found = set(guest_code())
    assert {path.relative_to(PACKAGE).as_posix() for path in guest_files()} <= found
    assert not [name for name in found if name.split("/")[0] in OUTSIDE_THE_GUEST]
    assert "attestation/data/amd_intermediates.pem" in found
    assert [item for item in code_items("p") if item.name == "tmp"]


def test_the_base_has_nothing_of_the_machine_that_made_it():
    """mmdebstrap's tar has times, package tools and manuals; the layer has not."""
    raw = tar(
        ("./etc/packages.txt", b"partial\nlibc6_2_amd64.deb\na_1_all.deb\n"),
        ("./usr/share/man/man1/x.1", b""),
        ("./usr/bin/dpkg", b""),
        ("./usr/bin/python3", {"type": tarfile.SYMTYPE, "linkname": "python3.11", "mtime": 5}),
        ("./usr/share/ca-certificates/mozilla/B.crt", b"B\n"),
        ("./usr/share/ca-certificates/mozilla/A.crt", b"A\n"),
        ("./usr/share/doc/libc6/copyright", b"GPL"),
        ("./etc/hostname", b"builder"),
    )
    with tarfile.open(fileobj=io.BytesIO(raw)) as source:
        items = {item.name: item for item in _debian(source)}
    assert items["usr/share/sls/packages.txt"].data == b"a_1_all.deb\nlibc6_2_amd64.deb\n"
    assert items["etc/ssl/certs/ca-certificates.crt"].data == b"A\nB\n"
    assert items["usr/bin/python3"].link == "python3.11"
    assert "usr/share/doc/libc6/copyright" in items
    assert not {"usr/bin/dpkg", "etc/hostname", "usr/share/man/man1/x.1"} & set(items)
    assert b"1002" in items["etc/passwd"].data


def test_items_are_sorted_and_have_their_folders(tmp_path):
    """The order in which a disk lists files must not show."""
    one, two = io.BytesIO(), io.BytesIO()
    items = [Item("b/c", data=b"1"), folder("b", 0o700), Item("a", data=b"2")]
    write_tar(items, one, 7)
    write_tar(list(reversed(items)), two, 7)
    assert one.getvalue() == two.getvalue()
    one.seek(0)
    with tarfile.open(fileobj=one) as read:
        assert [(member.name, member.mode) for member in read] == [("a", 0o644), ("b", 0o700), ("b/c", 0o644)]
    layout = Layout(tmp_path / "layout")
    layout.add_items(items, "test", 0)
    assert (
        layout.finish({}, "t") == json.loads((tmp_path / "layout" / "index.json").read_text())["manifests"][0]["digest"]
    )
    with pytest.raises(SlsError):
        open_image(tmp_path / "layout", "x", "other")
