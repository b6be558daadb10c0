"""Whole notebooks: from options and a notebook's own metadata to one request, and from runs to an executed notebook."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sls_jupyter.contract.spec import MAX_CELLS, SessionTerms
from sls_jupyter.errors import ApprovalPending, BadInput
from sls_jupyter.identity import write_whole
from sls_jupyter.notebook import executed, warm
from sls_jupyter.notebook.cards import Card, Facts, Line, Mono
from sls_jupyter.notebook.parsers import notebook_parser
from sls_jupyter.printing import short_digest
from sls_jupyter.safestream.run import Run
from sls_jupyter.session import Session
from sls_jupyter.session.notebooks import MEMBER, NotebookCell, NotebookOptions, cells_of, options_of, read_notebook
from sls_jupyter.session.submitting import NotebookRequest, requested
from sls_jupyter.session.warming import STARTING_NAMES


def request_of_file(session: Session, options: argparse.Namespace) -> tuple[NotebookRequest, dict[str, Any]]:
    """What a notebook file asks for, and the notebook itself.

    Args:
        options: of :func:`~sls_jupyter.notebook.parsers.notebook_parser`.

    Raises:
        BadInput, UnknownName: with the cell or the member of its metadata. What preparing a session raises.
    """
    path = Path(options.notebook)
    found = read_notebook(path)
    return request_of(session, found, path.name, options), found


def request_of(
    session: Session, notebook: Mapping[str, Any], name: str, options: argparse.Namespace | None = None
) -> NotebookRequest:
    """What a notebook asks for.

    Args:
        name: of the notebook, for people.
        options: of a command line; each counts before the notebook's metadata.
    """
    asked = _merged(options_of(notebook), options)
    if not asked.input:
        raise BadInput(
            "The notebook names no sealed table.",
            found=f'no "input" in its metadata "{MEMBER}"',
            hint=f'Name it with -i ASSET, or write {{"{MEMBER}": {{"input": ["ASSET"]}}}} into the notebook\'s metadata.',
        )
    chosen = [item.alias for item, _ in session.chosen_inputs(asked.input, asked.code)]
    known = () if asked.code else (*chosen, *STARTING_NAMES)
    cells = cells_of(notebook, known, asked.output)
    asked.cells = SessionTerms().cells if len(cells) <= SessionTerms().cells else MAX_CELLS
    return NotebookRequest(name[:200], warm.request(session, asked), cells, asked.host)


def submit(session: Session, options: argparse.Namespace) -> Card:
    """``submit``: ask for a notebook; what the owners' authorities say.

    Raises:
        BadInput: the notebook cannot be asked for. AccessDenied: an owner does not allow it.
    """
    asked, _ = request_of_file(session, options)
    run = session.ask_for(asked)
    try:
        run.wait()
    except ApprovalPending as error:
        id_ = short_digest(str(run.summary.get("request", "")))
        return Card(
            f"{asked.name} waits for approval",
            [
                Line(error.message),
                Facts([("request", Mono(id_)), *((f"asked {at}", one) for at, one in enumerate(requested(asked), 1))]),
                Line(f"When it is approved: sls run {asked.name}"),
            ],
            tone="wait",
        )
    return Card(
        f"{asked.name} is allowed", [Line(f"sls run {asked.name} runs it; nobody is asked again.")], tone="good"
    )


def run(session: Session, options: argparse.Namespace, tell: Callable[[str], None]) -> Card:
    """``run``: ask for a notebook, run it, and write it with its outputs.

    Args:
        tell: what is done next.

    Raises:
        BadInput: it cannot be asked for, or the file is there already. AccessDenied, ApprovalPending: nothing ran.
    """
    source = Path(options.notebook)
    out = Path(options.out) if options.out else source.with_name(f"{source.stem}-ran.ipynb")
    if out.resolve() == source.resolve():
        raise BadInput(
            "The executed notebook would replace the one that is run.", found=str(out), hint="--to-file FILE"
        )
    asked, notebook = request_of_file(session, options)
    executed.clear(notebook)
    tell(f"{asked.name}: {len(asked.cells)} cells, asked for at once.")
    session.ask_for(asked, wait_for_approval=options.wait).wait()

    def started(cell: NotebookCell, one: Run) -> None:
        tell(f"cell {int(one.summary.get('cell', 0)) or cell.place + 1} of {len(asked.cells)}")
        outputs = executed.Outputs(one)
        for event in one.follow():
            outputs.take(event)
        executed.fill(notebook["cells"][cell.place], one, outputs.finish())
        write_notebook(out, notebook)

    ran = session.run_notebook(asked, started)
    notebook["cells"].append(executed.verdict_cell(ran, cell_id=int(notebook.get("nbformat_minor", 0)) >= 5))
    write_notebook(out, notebook)
    lines = [Line(one) for one in executed.verdict_lines(ran)]
    return Card(
        f"{asked.name} ran" if ran.complete else f"{asked.name} ended before its last cell",
        [*lines, Facts([("executed notebook", Mono(str(out)))])],
        tone="good" if ran.complete else "bad",
        simulated=any(one.run.summary.get("simulated") for one in ran.cells),
        not_isolated=any(one.run.summary.get("isolated") is False for one in ran.cells),
        incomplete=not ran.complete,
    )


def write_notebook(path: Path, notebook: Mapping[str, Any]) -> None:
    """Write a notebook, whole or not at all.

    Raises:
        BadInput: it cannot be written there.
    """
    try:
        write_whole(path, (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise BadInput("The executed notebook cannot be written.", found=f"{path}: {error.strerror or error}") from None


def _merged(own: NotebookOptions, options: argparse.Namespace | None) -> argparse.Namespace:
    """Options of the line, and where it says nothing those of the notebook, read in the same way."""
    words = ["notebook"]
    for name, value in own.model_dump(exclude_none=True).items():
        option = f"--{name.replace('_', '-')}="  # in one word with its value, which then is no option of its own
        if isinstance(value, tuple) and name in ("tee", "kinds"):
            words += [option + ",".join(value)] if value else []
        elif isinstance(value, tuple):
            words += [option + one for one in value]
        elif value != "":
            words += [option + str(value)]
    found = notebook_parser().parse(words)
    if options is not None:
        nothing = notebook_parser().parse(["notebook"])
        for name, value in vars(options).items():
            if name not in vars(nothing) or value != getattr(nothing, name):
                setattr(found, name, value)
    return found
