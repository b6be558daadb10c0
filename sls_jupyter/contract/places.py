"""Where the containers of a group meet, and as whom: mount points, ports, ids. Constants only; the supervisor starts with this."""

from __future__ import annotations

from typing import Literal

Role = Literal["input", "program", "output", "audit"]
ROLES: tuple[Role, ...] = ("input", "program", "output", "audit")
INPUT_PORT, OUTPUT_PORT = 8443, 8444
IDS: dict[Role, tuple[int, int]] = {
    "input": (0, 1001),
    "program": (1002, 1002),
    "output": (0, 1003),
    "audit": (0, 1004),
}
"""User and group of each container, as its policy enforces them. The services are user 0 because the node of the SEV
device is root's, which also closes it to the program; each has a group of its own, by which its neighbours know it.
Without a capability and without new privileges nobody can change them."""
UMASK = 0o022
FEED, RESULT = "/run/sls/feed", "/run/sls/result"
AUDIT: dict[Role, str] = {"input": "/run/sls/audit-input", "output": "/run/sls/audit-output"}  # not the program
PRIVATE_FOLDERS = (  # variables that say where programs keep what they remember
    "HOME",
    "IPYTHONDIR",
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_RUNTIME_DIR",
    "MPLCONFIGDIR",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
)
