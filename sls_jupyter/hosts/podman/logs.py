"""What a container wrote to standard error, from the file that podman's monitor (conmon) keeps of it.

Each line of the file is ``TIME STREAM TAG TEXT``; the tag is ``P`` for a part that goes on in the next line and ``F`` for
the end of one. The file is bounded: when it is full the monitor begins it anew, so the end of a log is there, not all.

Source: conmon ``src/ctr_logging.c``; Kubernetes' format of container logs.
"""

from __future__ import annotations

from pathlib import Path

MAX_LOG_BYTES = 64 * 1024  # of each container, the end of it
_MAX_FILE_BYTES = 1 << 20


def read(path: Path) -> str:
    """The last :data:`MAX_LOG_BYTES` of standard error; empty where no log is kept."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES)
    except OSError:
        return ""
    text = bytearray()
    for line in data.split(b"\n"):
        words = line.split(b" ", 3)
        if len(words) == 4 and words[1] == b"stderr":
            text += words[3] + (b"\n" if words[2].startswith(b"F") else b"")
    return bytes(text[-MAX_LOG_BYTES:]).decode(errors="replace")
