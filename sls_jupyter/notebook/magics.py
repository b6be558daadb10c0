"""The magics. Each reads its line, makes one call on the session and shows what came of it.

A magic never asks a question and never prints an error and goes on: it raises, so that papermill and
"run all" stop where they should. ``@no_var_expand``: IPython would replace ``{…}`` and ``$…`` in the line and
in the cell's body; our own replacement is for the line only (see :mod:`sls_jupyter.notebook.args`).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from IPython.display import display
from traitlets import Unicode

from sls_jupyter.errors import BadInput
from sls_jupyter.notebook import commands, tooltip, warm
from sls_jupyter.notebook.args import HelpWanted, look_up, split
from sls_jupyter.notebook.command_words import joined
from sls_jupyter.notebook.follow import can_update, say
from sls_jupyter.notebook.handle import RunHandle
from sls_jupyter.notebook.logs import Told
from sls_jupyter.notebook.parsers import POLICY_FIELDS, command_parsers, safestream_parser, seal_parser
from sls_jupyter.notebook.render import sealed_card
from sls_jupyter.notebook.sessions import session_for
from sls_jupyter.printing import row
from sls_jupyter.safestream.run import Run
from sls_jupyter.session import Session

PROGRESS_AFTER_SECONDS = 1.0  # what is faster shows no progress
PROGRESS_SECONDS = 0.5

F = TypeVar("F", bound=Callable[..., Any])


def _magic(*helps: str) -> Callable[[F], F]:
    """A line and cell magic whose text IPython leaves as it is; asking for help prints it, and its docstring has it too."""

    def decorate(function: F) -> F:
        function.__doc__ = "\n\n".join([function.__doc__ or "", *helps])
        return cast(F, line_cell_magic(no_var_expand(function)))

    return decorate


class SlsMagics(Magics):  # type: ignore[misc]  # IPython has no types here
    """``%seal``, ``%%seal``, ``%%safestream`` and ``%sls``."""

    persona = Unicode("", help="Whose session the magics use; empty: SLS_PERSONA, or else me.").tag(config=True)
    host = Unicode("", help="Where runs go when --host is not given; empty: the first that fits.").tag(config=True)

    @property
    def session(self) -> Session:
        """The session of the chosen persona."""
        return session_for(self.persona or None)

    def become(self, persona: str, new: bool = False) -> Session:
        """Change the persona of all magics of this notebook."""
        session = session_for(persona, new=new)
        self.persona = persona
        return session

    @_magic(tooltip.seal_help(cell=False), tooltip.seal_help(cell=True))
    def seal(self, line: str, cell: str | None = None) -> None:
        """Seal a table (``%seal FRAME``) or this cell's code (``%%seal NAME``). ``%seal --help`` lists the options."""
        try:
            options = seal_parser(cell is not None).parse(split(line, self.shell.user_ns))
        except HelpWanted as wanted:
            say(*str(wanted).rstrip().split("\n"))
            return
        policy = {name: getattr(options, name) for name in POLICY_FIELDS}
        place = {"policy": options.policy, "storage": options.storage, "authority": options.authority}
        if cell is not None:
            confidential = options.confidential
            sealed = self.session.seal_code(cell, options.name, confidential=confidential, **place, **policy)
        else:
            data, name = self._frame(options)
            groups, progress = _groups(options.group), _sealing(name, _Progress(updates=can_update(self.shell)))
            sealed = self.session.seal(data, name, column_groups=groups, progress=progress, **place, **policy)
        display(sealed_card(sealed).where(self.session.isolated))

    def _frame(self, options: argparse.Namespace) -> tuple[Any, str]:
        """The data and the asset's name: a variable's, or a file's."""
        text, space = options.frame, self.shell.user_ns
        if text in space or (text.isidentifier() and not Path(text).exists()):
            hint = "Run the cell that makes it first. If a file is meant: its path has its suffix, such as data.csv."
            return look_up(text, space, hint=hint), options.name or text
        return text, options.name or Path(text.removesuffix(".gz")).stem

    @_magic(tooltip.stream_help())
    def safestream(self, line: str, cell: str | None = None) -> RunHandle | None:
        """Run this cell in an attested container group. ``%safestream --help`` lists the options."""
        try:
            options = safestream_parser().parse(split(line, self.shell.user_ns))
        except HelpWanted as wanted:
            say(*str(wanted).rstrip().split("\n"))
            return None
        if cell is None or not cell.strip():
            raise BadInput("There is no code to run.", hint="Write %%safestream in the first line, the code below it.")
        session = self.session
        run = self._start(session, options, cell)
        handle = RunHandle(session, run, self.shell, ours=not options.no_wait)
        if options.no_wait:
            return handle.settle()
        handle.wait()
        return None

    def _start(self, session: Session, options: argparse.Namespace, cell: str) -> Run:
        """A run of its own, or the next cell of a warm session."""
        warm.require_session(options)
        if options.session:
            return warm.start_cell(session, options, cell, self.shell.user_ns, self.host or None)
        request = commands.prepare(session, options, cell, self.shell.user_ns)
        return session.run(
            request,
            host=options.host or self.host or None,
            wait_for_approval=options.no_wait,
            results_to=commands.results_place(options),
        )

    @_magic(tooltip.command_help())
    def sls(self, line: str, cell: str | None = None) -> None:
        """The overview, or one of its commands. ``%sls help`` lists them."""
        words = joined(split(line, self.shell.user_ns))
        if not words:
            _show(commands.overview(self._context(argparse.Namespace(), cell)))
            return
        name, *rest = ["help"] if words[0] in ("-h", "--help") else words
        function = commands.find(name)
        try:
            options = command_parsers()[name].parse(rest)
        except HelpWanted as wanted:
            say(*str(wanted).rstrip().split("\n"))
            return
        _show(function(self._context(options, cell)))

    def _context(self, options: argparse.Namespace, cell: str | None) -> commands.Context:
        forms = can_update(self.shell)
        progress = _Progress(updates=forms).say
        context = (self.session, options, cell, self.shell.user_ns, self.become, forms, self._follow, progress)
        return commands.Context(*context)

    def _follow(self, run: Run) -> None:
        """Show a run that this cell did not start."""
        RunHandle(self.session, run, self.shell, ours=False).wait()


magics_class(SlsMagics)


def _show(found: object) -> None:
    """Cards and values as outputs, lines as text; what failed beside them is raised at the end."""
    parts = found.parts if isinstance(found, Told) else found if isinstance(found, tuple) else (found,)
    for one in parts:
        if isinstance(found, Told) and isinstance(one, str):
            say(one)
        else:
            display(one)
    if isinstance(found, Told) and found.error is not None:
        raise found.error


def _groups(pairs: list[tuple[str, list[str]]] | None) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, columns in pairs or ():
        if name in groups:
            raise BadInput("Two column groups have one name.", found=name, hint="Write it once: --group NAME=a,b,c")
        groups[name] = columns
    return groups


def _sealing(name: str, progress: _Progress) -> Callable[[int, int | None], None]:
    """Counts the rows of a seal."""

    def say(rows: int, total: int | None) -> None:
        progress.say(f"Sealing {name}: {rows:,}{f' of {total:,}' if total else ''} rows")

    return say


class _Progress:
    """One line that says how far it is, if it takes long enough for somebody to wonder."""

    def __init__(self, *, updates: bool) -> None:
        self._updates = updates
        self._due = time.monotonic() + PROGRESS_AFTER_SECONDS
        self._handle: Any = None

    def say(self, what: str) -> None:
        if not self._updates or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + PROGRESS_SECONDS
        text = {"text/plain": row(what)}
        if self._handle is None:
            self._handle = display(text, raw=True, display_id=True)
        else:
            self._handle.update(text, raw=True)


# --- loading --------------------------------------------------------------------------------------


def register(shell: Any) -> SlsMagics:
    """Give a shell the magics, their completion and their help at the cursor; a second time changes nothing."""
    known = shell.magics_manager.registry.get("SlsMagics")
    if known is not None:
        return cast(SlsMagics, known)
    from sls_jupyter.notebook import complete

    magics = SlsMagics(shell)
    shell.register_magics(magics)
    complete.install(shell, magics)
    tooltip.install(shell)
    return magics


def unregister(shell: Any) -> None:
    """Take all of it away again."""
    from sls_jupyter.notebook import complete

    complete.uninstall(shell)
    tooltip.uninstall(shell)
    shell.magics_manager.registry.pop("SlsMagics", None)
    for kind in shell.magics_manager.magics.values():
        for name in ("seal", "safestream", "sls"):
            kind.pop(name, None)
