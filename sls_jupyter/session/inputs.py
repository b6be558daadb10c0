"""The names of a run, before anybody is asked: assets with alias and columns, parameters, results."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Iterable

from sls_jupyter.assets.manifest import AssetManifest
from sls_jupyter.errors import BadInput
from sls_jupyter.naming import among, split_names

MAX_NAME = 100  # characters, as in the contract


def parse_input(text: str) -> tuple[str, str | None, list[str] | None]:
    """``ASSET[=alias][:col,col]`` as asset, alias, columns. A column with a comma is quoted: ``ASSET:age,'weight, kg'``.

    Raises:
        BadInput: an empty part, or an alias that cannot be a variable.
    """
    name, alias, tail = _parts(text)
    return name, alias, None if tail is None else _required(split_names(tail), text)


def picked_columns(text: str, known: Collection[str]) -> list[str] | None:
    """The columns that an input names, where those of its table are ``known``; ``None``: it names none.

    Raises:
        BadInput: an empty part, or they can be read in two ways.
    """
    _, _, tail = _parts(text)
    return None if tail is None else _required(among(tail, known), text)


def cut_input(text: str) -> tuple[str, str | None, str | None]:
    """The parts of ``ASSET[=alias][:col,col]`` as they stand, also of one that is not finished; nothing is refused."""
    scheme = next((one for one in ("sha256:", "did:key:") if text.startswith(one)), "")
    head, colon, tail = text[len(scheme) :].partition(":")
    name, equals, alias = (scheme + head).partition("=")
    return name, alias if equals else None, tail if colon else None


def _parts(text: str) -> tuple[str, str | None, str | None]:
    name, alias, tail = cut_input(text)
    if not name or alias == "":
        raise _unread(text)
    if alias is not None:
        require_variable(alias, f"The alias {alias[:60]!r} of {name}", "Choose another: -i ASSET=alias")
    return name, alias, tail


def _required(columns: list[str], text: str) -> list[str]:
    if not all(columns):
        raise _unread(text)
    return columns


def _unread(text: str) -> BadInput:
    return BadInput(
        "This input cannot be read.",
        found=text[:100],
        expected="ASSET[=alias][:column,column]",
        hint="A column whose name has a comma is put within quotes.",
    )


def alias_of(name: str, manifest: AssetManifest) -> str:
    """The variable that a table gets if its input names none: the asset's own name. Code needs no variable.

    Raises:
        BadInput: it can be none.
    """
    alias = as_variable(manifest.name)
    if manifest.kind == "table":
        require_variable(alias, f"The name of the asset {name}", f"Give it an alias: -i {name}=alias")
    return alias


def as_variable(name: str) -> str:
    """The variable that an asset's name stands for; whether it can be one is not checked."""
    return re.sub(r"[-.]", "_", name)


def require_variable(name: str, what: str, hint: str) -> None:
    """Refuse what cannot be a variable of a cell, or not be written in a contract.

    Raises:
        BadInput: beginning with ``what``.
    """
    wrong = (
        f"a word of Python: {name}" if keyword.iskeyword(name)
        else f"{len(name)} characters" if len(name) > MAX_NAME
        else name[:60] if not (name.isidentifier() and name.isascii())
        else None
    )  # fmt: skip
    if wrong is not None:
        expected = f"letters a to z, digits and _, {MAX_NAME} at most, and no word of Python; ASSET[=alias]"
        raise BadInput(f"{what} cannot be a variable.", found=wrong, expected=expected, hint=hint)


def require_separate_names(aliases: Iterable[str], parameters: Iterable[str], outputs: Iterable[str]) -> None:
    """Refuse names that no cell could use, or that two things would have.

    Raises:
        BadInput: naming the table, the parameter or the result.
    """
    tables = list(aliases)
    if len(set(tables)) < len(tables):
        raise BadInput("Two inputs have one alias.", found=", ".join(tables), hint="Write -i NAME=another_alias.")
    for name in parameters:
        if not isinstance(name, str):
            raise BadInput("A parameter's name is text.", found=type(name).__name__)
        require_variable(name, f"The parameter {name[:60]!r}", "Rename it.")
        if name in tables:
            raise BadInput(
                f"The parameter {name} has the name of a table.",
                found=f"{name} twice: an input and a parameter",
                expected="a name of its own for each",
                hint=f"Rename the parameter, or write -i ASSET=another_alias for the table {name}.",
            )
    for name in outputs:
        require_variable(str(name), f"The result {str(name)[:60]!r}", "Assign it to another variable in the cell.")
