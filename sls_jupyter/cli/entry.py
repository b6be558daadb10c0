"""``sls`` on the command line: an owner's authority as a service, and the calls that need no notebook.

Exit codes: 0 done, 1 it failed (with what was found, expected and what to do next on standard error; of ``preflight``: or
such a run would get no key, or its host is not ok), 2 the command line cannot be read (of ``verify`` and ``attest``: or a file).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Sequence

from sls_jupyter.cli.parser import parser
from sls_jupyter.cli.words import in_shell, tell
from sls_jupyter.errors import SlsError
from sls_jupyter.notebook.command_words import joined

_BROKEN_PIPE = 141  # what a shell reports of a command that wrote to a pipe nobody reads


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    _show_every_character()
    try:
        try:
            return _main(sys.argv[1:] if arguments is None else arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # "| head" has what it wanted
        with contextlib.suppress(OSError, ValueError):  # the interpreter flushes once more when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE


def _show_every_character() -> None:
    """What the terminal cannot show is shown by its number: nothing fails, and no two texts look the same."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _main(arguments: Sequence[str]) -> int:
    try:
        options = parser().parse_args(joined(arguments))
    except SlsError as error:  # a value that an option cannot have
        error.hint = in_shell(error.hint, None)
        tell(*error.lines())
        return 2
    try:
        return _run(options)
    except SlsError as error:
        error.hint = in_shell(error.hint, options.persona)
        tell(*error.lines())
        return 1
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace) -> int:
    """Load what the command needs, and no more, and run it."""
    command = options.command
    if command == "help":
        parser().print_help()
        return 0
    if command == "log":
        from sls_jupyter.cli.log import log_command

        return log_command(options)
    if command == "image":
        from sls_jupyter.cli.image import image_command

        return image_command(options)
    if command == "host":
        from sls_jupyter.cli.host import host

        return host(options)
    if command == "export":
        from sls_jupyter.cli.host import export

        return export(options)
    if command == "authority":
        from sls_jupyter.cli.serve import serve

        return serve(options)
    if command == "open":
        from sls_jupyter.cli.open import open_panel

        return open_panel(options)
    if command in ("attest", "verify"):
        from sls_jupyter.cli.evidence import attest, verify

        return attest(options) if command == "attest" else verify(options)
    from sls_jupyter.cli.session import session_command

    return session_command(options)
