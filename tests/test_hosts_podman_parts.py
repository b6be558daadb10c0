"""What podman is told of a container, logs, control groups and roots of layers: without podman."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import podman_kit
import pytest
from host_contract import group_of
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.contract.image import image_of_layers
from sls_jupyter.errors import BadInput, DigestMismatch, Unavailable
from sls_jupyter.hosts.podman import logs
from sls_jupyter.hosts.podman.arguments import Setting, create_arguments, pod_arguments
from sls_jupyter.hosts.podman.cgroup import ControlGroup, paths_of
from sls_jupyter.hosts.podman.command import Found
from sls_jupyter.hosts.podman.image import roots_of
from sls_jupyter.image.layer.root import layer_root
from sls_jupyter.image.stored import Layer, StoredImage

IMAGE = image_of_layers("x@sha256:" + "1" * 64, ("2" * 64,))


# --- arguments ------------------------------------------------------------------------------------


def line(role: str, *, rootless: bool = False, keep_log: bool = True) -> list[str]:
    setting = Setting("sls-pod", "3" * 64, Path("/run/g"), rootless, cpu_limits=True)
    return create_arguments(
        setting,
        group_of(IMAGE).container(role),
        ("A=1", "SLS_TEE_DEVICE=/x")[: 1 + (role != "program")],
        keep_log=keep_log,
    )


@pytest.mark.parametrize("role", ["input", "program", "output", "audit"])
def test_every_container_is_told_what_its_policy_says(role: str) -> None:
    """A container with more than its policy names would make the rehearsal worthless."""
    said, container = line(role), group_of(IMAGE).container(role)
    assert {
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        "--read-only",
        "--unsetenv-all",
        "--umask=0022",
    } <= set(said)
    assert f"--user={container.user}:{container.group}" in said
    assert said[-len(container.command) - 1 :] == ["3" * 64, *container.command]
    mounts = [word for word in said if word.startswith("--mount=")]
    assert len(mounts) == len(container.mounts) + (role != "program")
    assert not [word for word in said if word.startswith(("--privileged", "--device", "--volume", "--cap-add"))]


def test_the_program_alone_has_the_profile_and_no_network_log_or_processor() -> None:
    """A cell that shared these with the services could send data away or sign reports."""
    program, service = line("program", keep_log=False), line("audit")
    assert "--network=none" in program
    assert "--network=host" in service
    assert "--security-opt=seccomp=/run/g/seccomp.json" in program
    assert not [word for word in service if "seccomp" in word]
    assert "--log-driver=none" in program
    assert [word for word in service if "/run/sls/tee" in word]
    assert not [word for word in program if "/run/sls/tee" in word]
    assert all(word.endswith("ro=true") for word in program if word.startswith("--mount="))


def test_limits_of_processes_are_roots_only() -> None:
    """Without root a limit would count every process that this user has, and services could not start."""
    assert [word for word in line("input") if word.startswith("--ulimit=nproc")]
    assert not [word for word in line("input", rootless=True) if word.startswith("--ulimit=nproc")]


def test_a_pod_names_its_folder() -> None:
    """By this label what a dead host left is found."""
    setting = Setting("sls-pod", "3" * 64, Path("/run/g"), rootless=False, cpu_limits=True)
    assert "--label=sls-jupyter.folder=/run/g" in pod_arguments(setting)


# --- logs -----------------------------------------------------------------------------------------


def test_standard_error_is_read_and_put_together(tmp_path: Path) -> None:
    """A line that the monitor cut into parts is one line again; standard output is dropped."""
    path = tmp_path / "log"
    path.write_bytes(b"T stderr P ab\nT stdout F no\nT stderr F cd\nT stderr F last\nbroken\n")
    assert logs.read(path) == "abcd\nlast\n"
    assert logs.read(tmp_path / "absent") == ""


@given(st.binary(max_size=200_000))
def test_no_log_is_larger_than_its_bound(data: bytes) -> None:
    """Whatever is in the file."""
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        file.write(b"T stderr F " + data)
        file.flush()
        assert len(logs.read(Path(file.name)).encode()) <= 3 * logs.MAX_LOG_BYTES


# --- control groups -------------------------------------------------------------------------------


def test_cpu_time_is_read_of_both_hierarchies(tmp_path: Path) -> None:
    """A machine with control groups v1 is watched as well as one with v2."""
    (tmp_path / "9").mkdir()
    (tmp_path / "9" / "cgroup").write_text("4:cpuacct,cpu:/pod/one\n1:name=systemd:/\n0::/two\n")
    paths = paths_of(9, tmp_path)
    assert paths == {"cpuacct": "/pod/one", "cpu": "/pod/one", "name=systemd": "/", "": "/two"}
    old, new = tmp_path / "cpuacct" / "pod" / "one", tmp_path / "two"
    old.mkdir(parents=True)
    (old / "cpuacct.usage").write_text("2500000000\n")
    (old / "cgroup.procs").write_text("7\n8\n")
    assert ControlGroup(paths, tmp_path).cpu_seconds() == 2.5
    assert ControlGroup(paths, tmp_path).processes() == [7, 8]
    new.mkdir()
    (new / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1\n")
    assert ControlGroup(paths, tmp_path).cpu_seconds() == 1.5


def test_a_group_that_is_gone_is_not_taken_for_an_idle_one(tmp_path: Path) -> None:
    """Zero for what cannot be read would be a limit that never ends anything."""
    with pytest.raises(OSError, match="No such file"):
        ControlGroup({"cpuacct": "/gone"}, tmp_path).cpu_seconds()
    (tmp_path / "cpu.stat").write_text("user_usec 1\n")
    with pytest.raises(ValueError, match="usage_usec"):
        ControlGroup({"": "/"}, tmp_path).cpu_seconds()


# --- roots ----------------------------------------------------------------------------------------


def stored(data: bytes, diff_id: str) -> StoredImage:
    layer = Layer(diff_id, diff_id, len(data), lambda: io.BytesIO(data))
    return StoredImage("x", "sha256:" + "0" * 64, {}, (layer,))


def a_tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("file")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
    return out.getvalue()


def test_roots_are_computed_from_the_bytes_and_remembered(tmp_path: Path) -> None:
    """A layer of some hundred megabytes is read once, and only what was read is remembered."""
    import hashlib

    data = a_tar()
    diff_id = "sha256:" + hashlib.sha256(data).hexdigest()
    (root,) = roots_of(stored(data, diff_id), tmp_path)
    assert root == layer_root(io.BytesIO(data))
    assert roots_of(stored(b"never read again", diff_id), tmp_path) == (root,)
    (tmp_path / "layer-roots.json").write_text(json.dumps({diff_id: "no root", 3: []}) + " ")
    assert roots_of(stored(data, diff_id), tmp_path) == (root,)


def test_other_bytes_than_the_image_names_have_no_root(tmp_path: Path) -> None:
    """The judge would be told of a layer that is not the one that runs."""
    with pytest.raises(DigestMismatch):
        roots_of(stored(a_tar(), "sha256:" + "4" * 64), tmp_path)
    assert not (tmp_path / "layer-roots.json").exists()


# --- the image for these tests --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ci", "error", "status", "word"),
    [
        ("", Unavailable("mmdebstrap could not make the base layer"), 0, "skipped"),
        ("true", Unavailable("mmdebstrap could not make the base layer"), 1, "could not make"),
        ("", BadInput("not in the lock file"), 1, "not in the lock file"),
    ],
)
def test_an_unreachable_mirror_skips_but_for_ci(tmp_path, monkeypatch, capsys, ci, error, status, word) -> None:
    """Without a network the other tests still run, as without Azurite; CI never passes for want of one."""

    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(podman_kit, "build", broken)
    monkeypatch.setattr(podman_kit, "find_podman", lambda: Found(None))
    monkeypatch.setattr(podman_kit, "BUILD", tmp_path)
    monkeypatch.setattr(podman_kit.shutil, "which", lambda name: name)
    monkeypatch.setenv("CI", ci)
    assert podman_kit.main() == status
    assert word in capsys.readouterr().out
