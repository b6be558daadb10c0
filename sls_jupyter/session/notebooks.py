"""A whole notebook as one session: its code cells in order, what each returns, and what it asks for in its own metadata.

The member ``sls`` of a notebook's metadata says what the options of ``%%safestream`` say; what stands on the command
line counts before it. Which cell returns an output is decided by reading the cells: the last one that makes the name.
Nothing is executed, and nobody is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from sls_jupyter.contract.spec import Kind
from sls_jupyter.documents import Model, Name, OneLine, ShortText, parse_json
from sls_jupyter.errors import BadInput, MalformedDocument
from sls_jupyter.session.cell import one_spelling, require_python
from sls_jupyter.session.names import can_make_any_name, made_by, names_of, parsed, require_known

MAX_NOTEBOOK_BYTES = 64 << 20
MAX_WHOLE_CELLS = 500  # code cells of one notebook
MAX_VALUES = 1_000_000  # JSON values: outputs of an earlier execution are among them
MEMBER = "sls"  # of a notebook's metadata
_OURS = ("%%safestream", "%safestream", "%seal", "%%seal", "%sls", "%load_ext sls_jupyter")
_Word = Annotated[OneLine, Field(pattern=r"^(?!--\Z)")]  # the sign that ends a command line's options is none
_Texts = Annotated[tuple[_Word, ...], Field(max_length=64)]


class NotebookOptions(Model):
    """What a notebook asks for: the options of ``%%safestream`` by their long names."""

    input: _Texts = ()
    code: _Texts = ()
    output: Annotated[tuple[Name, ...], Field(max_length=256)] = ()
    purpose: ShortText = ""
    to: _Texts = ()
    tee: _Texts = ()
    fragment: _Texts = ()
    kinds: tuple[Kind, ...] = ()
    cpu: Annotated[int, Field(ge=1, le=31)] | None = None
    memory: _Word = ""
    time: _Word = ""
    result_size: _Word = ""
    host: _Word = ""


@dataclass(frozen=True, slots=True)
class NotebookCell:
    """A code cell that says something."""

    place: int  # among all cells of the notebook, from 0
    code: str  # in its one spelling
    outputs: tuple[str, ...]  # what it returns, sorted


@dataclass(frozen=True, slots=True)
class WholeNotebook:
    """What of a notebook is asked for and run."""

    name: str
    options: NotebookOptions
    cells: tuple[NotebookCell, ...]


def read_notebook(path: Path) -> dict[str, Any]:
    """A notebook's JSON, in version 4 of its format.

    Raises:
        BadInput: there is no such file, it is too large, or it is no notebook.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_NOTEBOOK_BYTES + 1)
    except OSError as error:
        raise BadInput("The notebook cannot be read.", found=f"{path}: {error.strerror or error}") from None
    if len(data) > MAX_NOTEBOOK_BYTES:
        raise BadInput("The notebook is too large.", expected=f"{MAX_NOTEBOOK_BYTES} bytes at most",
                       hint="Clear its outputs and save it.")  # fmt: skip
    try:
        found = parse_json(data, max_bytes=MAX_NOTEBOOK_BYTES, max_values=MAX_VALUES)
    except MalformedDocument as error:
        raise BadInput("This is no notebook.", found=error.message, expected="an .ipynb file") from None
    if not isinstance(found, dict) or found.get("nbformat") != 4 or not isinstance(found.get("cells"), list):
        form = found.get("nbformat") if isinstance(found, dict) else type(found).__name__
        raise BadInput(
            "This is no notebook of format 4.",
            found=f"nbformat {form}",
            expected="nbformat 4, with cells",
            hint="Open it in JupyterLab and save it.",
        )
    require_form(found)
    return found


def require_form(notebook: Mapping[str, Any]) -> None:
    """Raise :class:`BadInput` unless what is read and written of cells beside their source has the form that it has to have."""
    minor = notebook.get("nbformat_minor", 0)
    if type(minor) is not int or minor < 0:
        raise BadInput("The notebook is malformed.", found="nbformat_minor", expected="a number, such as 5")
    for place, cell in enumerate(notebook.get("cells", ()), start=1):
        metadata = cell.get("metadata", {}) if isinstance(cell, Mapping) else None
        if not isinstance(metadata, Mapping) or not isinstance(metadata.get("tags", []), list):
            raise BadInput(
                "The notebook is malformed.",
                found=f"cell {place} or its metadata",
                expected="an object with metadata, whose tags are a list",
                hint="Open it in JupyterLab and save it.",
            )


def options_of(notebook: Mapping[str, Any]) -> NotebookOptions:
    """What a notebook's own metadata asks for.

    Raises:
        BadInput: with the member that cannot be so.
    """
    metadata = notebook.get("metadata")
    asked = metadata.get(MEMBER, {}) if isinstance(metadata, Mapping) else {}
    try:
        options = NotebookOptions.from_json(dict(asked) if isinstance(asked, Mapping) else asked)
    except (ValidationError, MalformedDocument) as error:
        raise BadInput(
            f'The notebook\'s metadata "{MEMBER}" cannot be read.',
            found=_first(error),
            expected=", ".join(NotebookOptions.model_fields),
            hint="They are the options of %%safestream by their long names, such as"
            ' {"input": ["patients"], "purpose": "risk study", "output": ["risk"]}.',
        ) from None
    _require_known(options.to)
    return options


def _require_known(recipients: Iterable[str]) -> None:
    """A file beside a notebook is its writer's; who gets results is the reader's to say."""
    for one in recipients:
        if any(sign in one for sign in "/\\."):
            raise BadInput(
                f'The notebook\'s metadata "{MEMBER}" names a recipient by a file or a place.',
                found=one[:200],
                expected="names of people whom you know, or their DIDs",
                hint="If results are to go there, say so yourself: --to",
            )


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        one = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, one['loc']))}: {one['msg']}"[:300]
    return str(getattr(error, "message", type(error).__name__))


def cells_of(notebook: Mapping[str, Any], known: Iterable[str], outputs: Sequence[str]) -> tuple[NotebookCell, ...]:
    """The code cells, each in its one spelling, with what each returns.

    Args:
        known: inputs and what else the first cell finds; empty if sealed code runs first, which can make any name.
        outputs: names that the notebook returns.

    Raises:
        BadInput: another language, no code, too many cells, a cell that is not Python or holds our own magics, or an
            output that no cell makes. UnknownName: a cell uses what nothing before it makes.
    """
    _require_python_kernel(notebook)
    codes = [(place, _code(place, cell)) for place, cell in enumerate(notebook["cells"])]
    codes = [(place, code) for place, code in codes if code]
    if not codes:
        raise BadInput("There is no code in this notebook.", hint="Write at least one code cell.")
    if len(codes) > MAX_WHOLE_CELLS:
        raise BadInput("The notebook has too many cells.", found=len(codes), expected=f"{MAX_WHOLE_CELLS} at most",
                       hint="Bring several together in one cell.")  # fmt: skip
    _require_names(codes, known)
    returning = _returning(codes, outputs)
    return tuple(NotebookCell(place, code, tuple(sorted(returning.get(place, ())))) for place, code in codes)


def _require_python_kernel(notebook: Mapping[str, Any]) -> None:
    metadata = notebook.get("metadata")
    kernel = metadata.get("kernelspec") if isinstance(metadata, Mapping) else None
    language = kernel.get("language", "python") if isinstance(kernel, Mapping) else "python"
    if str(language).lower() != "python":
        raise BadInput("The notebook is not for a Python kernel.", found=str(language)[:60], expected="python")


def _code(place: int, cell: Any) -> str:
    """The text of a code cell, and "" for any other.

    Raises:
        BadInput: the notebook is malformed there, the cell is no Python, or runs SafeStreams itself.
    """
    source = cell.get("source") if isinstance(cell, Mapping) else None
    text = "".join(source) if isinstance(source, list) and all(isinstance(one, str) for one in source) else source
    if not isinstance(text, str):
        raise BadInput("The notebook is malformed.", found=f"cell {place + 1} has no source")
    if cell.get("cell_type") != "code":
        return ""
    code = one_spelling(text)
    if any(line.lstrip().startswith(_OURS) for line in code.split("\n")):
        raise BadInput(
            "This notebook runs SafeStreams itself.",
            found=f"cell {place + 1}: {next(line for line in code.split(chr(10)) if line.lstrip().startswith(_OURS))[:80]}",
            expected="an ordinary notebook, without magics of sls_jupyter",
            hint="Execute it as any other notebook, or take these cells out.",
        )
    try:
        require_python(code) if code else None
    except BadInput as error:
        error.found = f"cell {place + 1}, {error.found}"
        raise
    return code


def _require_names(codes: Sequence[tuple[int, str]], known: Iterable[str]) -> None:
    """Refuse a cell that uses a name which neither it nor a cell before it makes, as far as reading can tell."""
    there = set(known)
    if not there:
        return
    for place, code in codes:
        try:
            require_known(code, there, ())
        except BadInput as error:  # UnknownName is one
            error.found = f"cell {place + 1}: {error.found}"
            raise
        tree = parsed(code)
        if tree is None or can_make_any_name(tree):
            return
        there |= names_of(tree).bound


def _returning(codes: Sequence[tuple[int, str]], outputs: Sequence[str]) -> dict[int, set[str]]:
    """Which cell returns what: the last one that makes the name; the last of all where reading cannot tell."""
    found: dict[int, set[str]] = {}
    trees = [(place, parsed(code)) for place, code in codes]
    opaque = any(tree is None or can_make_any_name(tree) for _, tree in trees)
    for name in dict.fromkeys(outputs):
        makers = [place for place, tree in trees if tree is not None and name in made_by(tree)]
        if not makers and not opaque:
            raise BadInput(
                f"No cell of the notebook makes {name}, which it is to return.",
                found=f"no {name} = … in {len(codes)} cells",
                expected=f"{name} = …",
                hint=f"Assign {name} in a cell, or leave it out of the outputs.",
            )
        found.setdefault(makers[-1] if makers else codes[-1][0], set()).add(name)
    return found
