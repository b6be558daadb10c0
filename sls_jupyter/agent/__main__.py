"""``python -m sls_jupyter.agent``: start the agent of ``SLS_HOME`` and return when it is there.

Exit codes: 0 it serves, 3 another one has that home, 1 it cannot start; then its log says why. The agent itself is a
child in a session of its own, with nothing open but its log.
"""

from __future__ import annotations

import os
import sys

from sls_jupyter.agent.exits import FAILED, TAKEN


def main() -> int:
    """Fork before anything is loaded: what the agent opens is its own."""
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        with os.fdopen(reading, "rb") as told:
            word = told.read(16)
        return {b"serves": 0, b"taken": TAKEN}.get(word, FAILED)
    os.close(reading)
    os.setsid()
    from sls_jupyter.agent.serving import serve

    try:
        serve(writing)
    finally:
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
