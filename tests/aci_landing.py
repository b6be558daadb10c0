"""Groups of the stand-in that really run: their containers on this machine, their doors at an address of their own.

So a whole run goes through the host on ACI. What decides is the resource that was sent: its policy is what the local
firmware enforces and puts into evidence, which is simulated and says so.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sls_jupyter.contract.group import ContainerGroup
from sls_jupyter.hosts.aci.launch import AciHost
from sls_jupyter.hosts.aci.running import AciGroup
from sls_jupyter.hosts.aci.template import group_name, spec_digest_of
from sls_jupyter.hosts.local import LocalHost
from sls_jupyter.hosts.running import LocalGroup
from sls_jupyter.safestream.host import HostCapabilities

_NUMBERS = itertools.count(2)
CHUNK = 65536


class Relay:
    """Passes on what comes to one address."""

    def __init__(self, here: tuple[str, int], there: tuple[str, int]) -> None:
        self._server, self._there = socket.create_server(here), there
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                threading.Thread(target=self._pass, args=(near,), daemon=True).start()

    def _pass(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError), socket.create_connection(self._there) as far:
            back = threading.Thread(target=_pump, args=(far, near), daemon=True)
            back.start()
            _pump(near, far)
            back.join()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


class LandedGroup:
    """One group on this machine."""

    def __init__(self, group: LocalGroup, ports: Mapping[str, int]) -> None:
        number = next(_NUMBERS)
        self.address = f"127.77.{number // 250}.{number % 250 + 1}"
        self._group = group
        self._relays = [Relay((self.address, ports[name]), there) for name, there in group.endpoints.items()]

    def states(self) -> dict[str, tuple[bool, int | None]]:
        return {name: (one.running, one.exit_code) for name, one in self._group.states().items()}

    def stop(self) -> None:
        for relay in self._relays:
            relay.close()
        self._group.stop()


class Landing:
    """Starts the stand-in's groups on this machine."""

    def __init__(self, machine: Path) -> None:
        self.local = LocalHost(machine)
        self.known: dict[str, ContainerGroup] = {}  # by the resource's name

    def __call__(self, resource: dict[str, Any]) -> LandedGroup:
        properties = resource["properties"]
        name = group_name(resource["tags"]["sls-spec"])
        group = self.known[name]
        for container, asked in zip(group.containers, properties["containers"], strict=True):
            assert list(container.command) == asked["properties"]["command"]
        policy = base64.b64decode(properties["confidentialComputeProperties"]["ccePolicy"])
        ports = {
            one["name"]: one["properties"]["ports"][0]["port"]
            for one in properties["containers"]
            if "ports" in one["properties"]
        }
        return LandedGroup(self.local.launch(group, policy), ports)


class Rehearsal(AciHost):
    """The host on ACI, with what the stand-in's groups show: simulated evidence of this machine's installed code."""

    landing: Landing

    def capabilities(self) -> HostCapabilities:
        local = self.landing.local.capabilities()
        return replace(super().capabilities(), tee=local.tee, root=local.root, image=None, isolated=local.isolated)

    def launch(
        self, group: ContainerGroup, cce_policy: bytes, tell: Callable[[str], None] = lambda _: None
    ) -> AciGroup:
        self.landing.known[group_name(spec_digest_of(group))] = group
        return super().launch(group, cce_policy, tell)
