"""Loopback ports for a group's doors."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from sls_jupyter.contract.group import ContainerGroup

LOOPBACK = "127.0.0.1"


def free_ports(group: ContainerGroup, held: ExitStack) -> dict[str, int]:
    """A free loopback port for each door, held until ``held`` is closed.

    The holder does not listen, and sets SO_REUSEADDR: so a server that sets it, too, can have the port beside it, while
    the kernel gives it to nobody who asks for any (socket(7)). What is closed before the door listens is free again,
    and another run may be given it.
    """
    ports: dict[str, int] = {}
    for container in group.containers:
        if container.port is not None:
            holder = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind((LOOPBACK, 0))
            ports[container.name] = holder.getsockname()[1]
    return ports
