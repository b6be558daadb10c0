"""A cell before anybody is asked about it: its one spelling, whether it is Python, whether it names what it is to return."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable

from sls_jupyter.errors import BadInput

_BLANKS = re.compile(r"[ \t]+$", re.MULTILINE)


def one_spelling(code: str) -> str:
    """The cell without what an editor adds and nobody reads: what is signed, approved and run.

    Lines end with ``\\n`` (a lone carriage return ends one, in cells with magics too), none ends with blanks, and the last
    one says something. No text within quotes changes: where blanks at the ends of lines stand in a string they stay, all
    of them, and a cell that Python alone cannot read (it has magics) loses only what stands after its last line.
    """
    unix = re.sub(r"\r\n?", "\n", code)  # as Python reads them, within quotes too
    ended = re.sub(r"(?:\n[ \t]*)+\Z", "", unix) if unix.strip() else ""
    stripped = _BLANKS.sub("", ended)
    if stripped == unix:
        return unix
    meaning = _meaning(unix)
    if meaning is None:
        return unix if ended.endswith("\\") else ended
    return next((one for one in (stripped, ended) if _meaning(one) == meaning), unix)


def _meaning(code: str) -> str | None:
    """What Python makes of the code, wherever it stands; ``None``: it cannot read it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.dump(ast.parse(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def require_python(code: str) -> None:
    """Refuse a cell that cannot run, as the Python and the IPython here read it; magics are theirs to judge.

    Raises:
        BadInput: with the line.
    """
    from IPython.core.inputtransformer2 import TransformerManager

    blank = len(code) - len(code.lstrip())  # IPython drops these lines, so the numbers would be others
    skipped = code[:blank].count("\n")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are shown where the cell runs
            compile(TransformerManager().transform_cell(code), "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError as error:
        line, text = (error.lineno or 1) + skipped, (error.text or "").strip()
        raise BadInput(
            f"The cell is no valid Python: {error.msg}.",
            found=f"line {line}{f': {text[:100]}' if text else ''}",
            hint="Correct this line of the cell. Nobody was asked, and nothing ran.",
        ) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise BadInput("The cell is no valid Python.", found=type(error).__name__, hint="Simplify the cell.") from None


def require_named(code: str, names: Iterable[str]) -> None:
    """Refuse a cell that is to return what it nowhere names; ``import *`` could make any name.

    Raises:
        BadInput: with the first such name.
    """
    if re.search(r"\bimport\s*\*", code):
        return
    for name in names:
        if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", code):
            raise BadInput(
                f"The cell never makes {name}, which it is to return.",
                found=f"no {name} in its {len(code.splitlines())} lines",
                expected=f"{name} = …",
                hint=f"Assign {name} in the cell, or leave -o {name} away.",
            )
