"""Neighbours are known by what the kernel says of them, not by where their socket lies."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sls_jupyter.contract.places import IDS
from sls_jupyter.errors import Refused
from sls_jupyter.guest import wire
from sls_jupyter.guest.peers import as_measured, is_neighbour, peer_ids, require_ids

ME = (os.getuid(), os.getgid())
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may become another user")

CONNECT = """
import os, socket, sys
path, user, group = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.setgroups([]); os.setgid(group); os.setuid(user)
line = socket.socket(socket.AF_UNIX)
line.connect(path)
line.recv(1)
"""


def test_the_kernel_says_who_is_there() -> None:
    """A peer cannot choose what is read of it."""
    near, far = socket.socketpair()
    with near, far:
        assert peer_ids(near) == ME


def test_under_its_own_ids_a_container_takes_its_neighbour_alone(tmp_path: Path) -> None:
    """The host can put any emptyDir anywhere: a program that reached the audit's socket would write into every log."""
    near, far = socket.socketpair()
    with near, far:
        assert not is_neighbour(near, "audit", "output", own=IDS["audit"])  # the other end is this very test
        assert not is_neighbour(near, "input", "program", own=IDS["input"])


def test_in_a_simulated_group_all_have_one_id() -> None:
    """A laptop has one user id to give, and its evidence says that it is simulated."""
    near, far = socket.socketpair()
    with near, far:
        assert is_neighbour(near, "input", "program", own=ME)
        assert not is_neighbour(near, "input", "program", own=(ME[0] + 1, ME[1]))


def test_other_ids_than_the_measured_are_for_simulated_groups_only() -> None:
    """Where ids are not enforced nobody could be told apart; hardware evidence must not come from such a group."""
    stranger = (4711, 4711)
    with pytest.raises(Refused, match="other ids"):
        require_ids("input", {}, stranger)
    require_ids("input", {"SLS_TEE_DEVICE": "/run/sls/tee/device.sock"}, stranger)
    for role, own in IDS.items():
        require_ids(role, {}, own)
        assert as_measured(role, own)
        assert not any(as_measured(other, own) for other in IDS if other != role)


@needs_root
def test_a_stranger_does_not_take_the_neighbours_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Input listens once: whoever connects first, under other ids, is sent away and the program is still heard."""
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        parent.chmod(0o755)
    monkeypatch.setattr(os, "getgid", lambda: IDS["input"][1])
    path = str(tmp_path / "feed.sock")
    listening = wire.listen(path, everybody=True)
    taken: list[socket.socket] = []
    waiting = threading.Thread(target=lambda: taken.append(wire.accept_one(listening, "input", "program")))
    waiting.start()
    stranger = subprocess.run([sys.executable, "-I", "-c", CONNECT, path, "1003", "1003"], timeout=60, check=False)
    assert stranger.returncode == 0  # its line was closed
    assert waiting.is_alive()
    program = subprocess.Popen([sys.executable, "-I", "-c", CONNECT, path, *map(str, IDS["program"])])
    waiting.join(60)
    assert peer_ids(taken[0]) == IDS["program"]
    taken[0].close()
    assert program.wait(60) == 0
