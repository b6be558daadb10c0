"""``sls log``: the actions of the transparency log in a shell.

Results go to standard output, progress to standard error; the calls are those of :mod:`sls_jupyter.notebook.logs`.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from typing import Any, Self

from sls_jupyter.cli.words import say, show
from sls_jupyter.notebook.log_options import ABOUT, add_log_actions
from sls_jupyter.printing import row


def add_log_commands(commands: Any) -> None:
    """Add ``log`` and its actions to the sub-parsers of ``sls``."""
    for action in add_log_actions(commands.add_parser("log", help=ABOUT), database=True):
        action.add_argument("--persona", metavar="NAME", default=argparse.SUPPRESS, help="whose; me by default")


def log_command(options: argparse.Namespace) -> int:
    """Run one action; returns its exit code: 1 too where a part of it failed.

    Raises:
        SlsError: with what was found, what was expected and what to do next.
    """
    from sls_jupyter.identity import Home
    from sls_jupyter.notebook.logs import Asked, log_action
    from sls_jupyter.notebook.sessions import require_persona

    persona = getattr(options, "persona", None)
    if options.action not in ("keys", "cosign", "check"):  # which make them
        require_persona(persona)
    with Working() as working:
        told = log_action(Asked(Home.find(persona), options, working))
    for one in told.parts:
        if isinstance(one, str):
            say(one)
        else:
            show(one)
    return 1 if told.error is not None else 0


class Working:
    """Says on standard error, from the first second on, what is being done and for how long.

    It is called with what that is, as often as there is something new; until then there is nothing to say.
    """

    def __init__(self) -> None:
        self._what = ""
        self._live = sys.stderr.isatty()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="sls-progress", daemon=True)

    def __call__(self, what: str) -> None:
        self._what = what

    def _tell(self) -> None:
        start = time.monotonic()
        while not self._done.wait(1.0 if self._live or time.monotonic() - start < 1.0 else 10.0):
            if not self._what:
                continue
            words = f"{row(self._what)}, {time.monotonic() - start:.0f} s"
            sys.stderr.write(f"\r\x1b[K{words}" if self._live else f"{words}\n")
            sys.stderr.flush()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
