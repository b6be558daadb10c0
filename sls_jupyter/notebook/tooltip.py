"""Help at the cursor (Shift+Tab): a magic's options, wherever on its line the cursor stands.

The magics' docstrings have the same text, so ``%safestream?`` shows it too. IPython looks up the name next to the
cursor, which on a magic's line is an asset or a word of a purpose; so the kernel is asked here first.
"""

from __future__ import annotations

import re
from typing import Any

from sls_jupyter.notebook.command_words import joined
from sls_jupyter.notebook.parsers import command_parsers, safestream_parser, seal_parser
from sls_jupyter.notebook.unfinished import words_of

_MAGIC = re.compile(r"\s*(%%?)(seal|safestream|sls)(?!\S)(.*)")


def help_at(code: str, cursor: int) -> str:
    """The help of the magic on the cursor's line, as its ``--help`` prints it; "" if none of ours stands there."""
    start = code.rfind("\n", 0, cursor) + 1
    found = _MAGIC.match(code[start:].partition("\n")[0])
    if found is None:
        return ""
    signs, name, rest = found.groups()
    if name == "seal":
        return seal_help(cell=signs == "%%")
    return stream_help() if name == "safestream" else command_help(rest)


def seal_help(*, cell: bool) -> str:
    """Of ``%seal`` or ``%%seal``."""
    return seal_parser(cell).format_help()


def stream_help() -> str:
    """Of ``%%safestream``."""
    return safestream_parser().format_help()


def command_help(line: str = "") -> str:
    """Of the command that a line of ``%sls`` begins with, or the list of all of them."""
    finished, word = words_of(line)
    words = joined([*finished, word.text])
    command = command_parsers().get(words[0])
    if command is not None:
        return command.within(words[1:]).format_help()
    width = max(map(len, command_parsers()))
    lines = [f"  {name:<{width}}  {parser.description}" for name, parser in command_parsers().items()]
    return "\n".join(
        ["%sls shows the overview; with one of these:", "", *lines, "", "%sls COMMAND --help has its options."]
    )


def install(shell: Any) -> None:
    """Let a kernel answer with a magic's help where the cursor stands on its line, and as before everywhere else."""
    kernel = getattr(shell, "kernel", None)
    if kernel is None or not hasattr(kernel, "do_inspect"):
        return
    before = kernel.do_inspect

    def do_inspect(code: str, cursor_pos: int, *args: Any, **options: Any) -> Any:
        try:
            found = help_at(code, cursor_pos)
        except Exception:  # noqa: BLE001  # help is never worth an error
            found = ""
        if not found:
            return before(code, cursor_pos, *args, **options)
        return {"status": "ok", "found": True, "data": {"text/plain": found}, "metadata": {}}

    kernel.do_inspect = do_inspect


def uninstall(shell: Any) -> None:
    """Let it answer as it did."""
    kernel = getattr(shell, "kernel", None)
    if kernel is not None:
        vars(kernel).pop("do_inspect", None)
