"""A cell before anybody is asked about it: whether it is Python, and whether it names what it is to return."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable

from sls_jupyter.errors import BadInput


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
