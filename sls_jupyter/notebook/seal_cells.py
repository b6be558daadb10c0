"""The cells that seal under given options: a ``%seal`` line, and where a line cannot say it, with the policy in a file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml

from sls_jupyter.errors import BadInput
from sls_jupyter.notebook.args import as_word

IN_A_FILE = frozenset({"minimum_tcb", "mitigations", "registers"})  # no options of %seal; a file for --policy has them
BODY = "# Put the code here: what stands below the first line is sealed."
_LINE_END = re.compile(r"[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


def seal_line(frame: str, options: Mapping[str, Any], *, more: Sequence[str] = (), magic: str = "%seal") -> str:
    """The ``%seal`` line that says the same as these options; fields that no line has are left out.

    Args:
        more: words of other options, as they are.
    """
    words = [magic, as_word(frame), *map(as_word, more)]
    for name, value in options.items():
        if name not in IN_A_FILE:
            words += _said(name, value)
    return " ".join(words)


def _said(name: str, value: object) -> list[str]:
    option = f"--{name.replace('_', '-')}"
    if value is True:
        return [option]
    values = value if isinstance(value, list | tuple) else [value]
    return [
        word
        for one in map(str, values)
        for word in ([f"{option}={as_word(one)}"] if one.startswith("-") else [option, as_word(one)])
    ]


def policy_yaml(options: Mapping[str, Any]) -> str:
    """The same as a file for ``--policy``."""
    fields = {name.replace("_", "-"): value for name, value in options.items() if name != "as"}
    return str(yaml.safe_dump(fields, sort_keys=False, allow_unicode=True))


def fits_a_line(options: Mapping[str, Any]) -> bool:
    """Whether one line can say all of these options."""
    texts = [str(one) for value in options.values() for one in (value if isinstance(value, list | tuple) else [value])]
    return not IN_A_FILE & set(options) and not any(map(_LINE_END.search, texts))


def seal_cell(
    frame: str, name: str, options: Mapping[str, Any], *, code: bool = False, more: Sequence[str] = (), body: str = BODY
) -> str:
    """A cell that seals a table or a piece of code under these options, as if somebody had typed it.

    Args:
        frame: a variable or a file; of code it is not looked at. name: of the asset; "": as the frame is called.
        more: words of options that are none of the policy. body: of code.

    Raises:
        BadInput: no line can name this frame.
    """
    if any(map(_LINE_END.search, more)):
        raise BadInput("What was sealed has a name that no line can say.", found=repr(more)[:200])
    if code:
        return _code_cell(name, options, more, body)
    frame = _frame(frame)
    named = [*(["--as", name] if name and name != default_name(frame) else []), *more]
    if fits_a_line(options):
        return seal_line(frame, options, more=named)
    file = f"{name or default_name(frame)}-policy.yaml"
    line = seal_line(frame, {"policy": file}, more=named)
    return f"{_written(file, policy_yaml(options))}\n{line}"


def _code_cell(name: str, options: Mapping[str, Any], more: Sequence[str], body: str) -> str:
    if fits_a_line(options):
        return f"{seal_line(name, options, more=more, magic='%%seal')}\n{body}"
    file = f"{name}-policy.yaml"
    words = seal_line(name, {"policy": file}, more=more, magic="").strip()
    return f"{_written(file, policy_yaml(options))}\nget_ipython().run_cell_magic('seal', {words!r}, {_literal(body)})"


def default_name(frame: str) -> str:
    """What ``%seal FRAME`` calls the asset if nobody says how."""
    return frame if frame.isidentifier() else PurePosixPath(frame.removesuffix(".gz")).stem


def _frame(frame: str) -> str:
    if not frame.strip() or _LINE_END.search(frame):
        raise BadInput("This cannot stand on a line.", found=repr(frame)[:80], expected="a variable, or a file's path")
    return f"./{frame}" if frame.startswith("-") else frame


def _written(file: str, text: str) -> str:
    return f"from pathlib import Path\n\n_ = Path({file!r}).write_text({_literal(text)}, encoding='utf-8')"


def _literal(text: str) -> str:
    """A text as Python reads it, in lines where that can be."""
    plain = text.isprintable() or all(line.isprintable() for line in text.split("\n"))
    if plain and "\\" not in text and "'''" not in text and not text.startswith("'") and not text.endswith("'"):
        return f"'''{text}'''"
    return repr(text)
