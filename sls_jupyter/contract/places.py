"""Where the containers of a group meet: mount points and ports. Constants only; the supervisor starts with this."""

from __future__ import annotations

from typing import Literal

Role = Literal["input", "program", "output", "audit"]
ROLES: tuple[Role, ...] = ("input", "program", "output", "audit")
INPUT_PORT, OUTPUT_PORT = 8443, 8444
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
