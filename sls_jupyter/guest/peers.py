"""Who is at the other end of a Unix socket, by the kernel's word (``SO_PEERCRED``, unix(7)).

A policy of the platform fixes the user and the group of each container, and lets a host put any emptyDir at any mount
point. So a socket's place says nothing about who is behind it, and the ids do: each container takes connections from
its neighbours' ids alone and speaks to nobody else.

A simulated host gives all containers of a group one id, in namespaces of their own: there the neighbour's has to be this
container's. That is accepted with a simulated processor only, whose evidence says what it is.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Mapping

from sls_jupyter.contract.places import IDS, Role
from sls_jupyter.errors import Refused

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid
Ids = tuple[int, int]


def peer_ids(connection: socket.socket) -> Ids | None:
    """User and group of the process at the other end, when it connected or listened; ``None`` off Linux."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    _, user, group = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
    return user, group


def as_measured(role: Role, own: Ids | None = None) -> bool:
    """Whether this container runs under the ids that its policy names."""
    return (own or (os.getuid(), os.getgid())) == IDS[role]


def require_ids(role: Role, environ: Mapping[str, str] | None = None, own: Ids | None = None) -> None:
    """This container has its own ids, or is in a simulated group.

    Raises:
        Refused: neither; nobody could tell neighbours from strangers.
    """
    found = own or (os.getuid(), os.getgid())
    if not as_measured(role, found) and "SLS_TEE_DEVICE" not in (os.environ if environ is None else environ):
        raise Refused(
            f"The container {role} runs under other ids than its policy says.",
            found="user {}, group {}".format(*found),
            expected="user {}, group {}".format(*IDS[role]),
            hint="Launch the group with runAsUser and runAsGroup of its template.",
        )


def is_neighbour(connection: socket.socket, me: Role, neighbour: Role, own: Ids | None = None) -> bool:
    """Whether the other end is the container ``neighbour``; in a simulated group, another of this user's."""
    mine = own or (os.getuid(), os.getgid())
    found = peer_ids(connection)
    if as_measured(me, mine):
        return found == IDS[neighbour]
    return found is None or found[0] == mine[0]
