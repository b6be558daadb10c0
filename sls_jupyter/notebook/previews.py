"""What a ``%%safestream`` cell would do if it ran now, in one line. Nothing is asked, run or logged.

It is read and judged as the magic would, by dry runs. What only the notebook knows (values of ``-p``, variables on the
first line, what earlier cells of a session made) is not guessed: where the answer depends on it, the line says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from sls_jupyter.contract.proposal import CellText
from sls_jupyter.errors import BadInput, HostUnsuitable, MalformedDocument, SlsError
from sls_jupyter.guest.parameters import pack_parameters
from sls_jupyter.naming import quoted
from sls_jupyter.network import within
from sls_jupyter.notebook import commands, warm
from sls_jupyter.notebook.args import HelpWanted
from sls_jupyter.notebook.cards import Bullets, Card, Heading
from sls_jupyter.notebook.cell_lines import ReadCell, read_cell
from sls_jupyter.notebook.reports import preflight_card, worst_of
from sls_jupyter.notebook.stream_cells import granted_columns
from sls_jupyter.policy.facts import Decision
from sls_jupyter.printing import one_line
from sls_jupyter.safestream.request import Requested
from sls_jupyter.session import AssetInfo, Session
from sls_jupyter.session.cell import one_spelling
from sls_jupyter.session.choices import believed_hosts
from sls_jupyter.session.differing import Material
from sls_jupyter.session.inputs import alias_of, parse_input, picked_columns
from sls_jupyter.session.reviewing import Earlier
from sls_jupyter.session.warming import STARTING_NAMES, require_cell

SECONDS = 8.0  # of one preview, whatever authorities do
MAX_INPUTS = 6  # that the line names
MAX_COLUMNS = 4  # of one table that it names
MAX_NAME = 40  # characters of a column's name in it
MAX_WORDS = 300  # of a state
_NEEDED = ("--input", "--code", "--session", "the line")  # without their values nothing can be asked
_ASKED_ABOUT = {
    "--purpose": ("purpose",),
    "--to": ("recipient", "recipient-key"),
    "--kinds": ("kinds",),
    "--tee": ("tee",),
}

Verdict = Literal["run", "ask", "no", "error", "unknown"]


@dataclass(frozen=True, slots=True)
class Input:
    """An asset that the cell names."""

    alias: str
    info: AssetInfo
    columns: tuple[str, ...]  # that the cell would find, in the table's order; () where the names are confidential
    asked: tuple[str, ...] | None = None  # that its line names


@dataclass(frozen=True, slots=True)
class Preview:
    """What would become of a cell."""

    verdict: Verdict
    state: str
    inputs: tuple[Input, ...] = ()
    outputs: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()  # that would leave
    recipients: tuple[str, ...] = ("you",)
    session: str = ""
    card: Card | None = field(default=None, repr=False)
    request: str = ""  # what a request for exactly this has as its id; "" where that is not known before it runs

    @property
    def line(self) -> str:
        """``runs remotely on hospital/patients · age, sex → table, figure leave to you``; "" where its first line cannot be read."""
        if not self.inputs and not self.kinds:
            return ""  # its line cannot be read
        named = [_input_words(one) for one in self.inputs[:MAX_INPUTS]]
        more = len(self.inputs) - len(named)
        on = ", ".join([*named, *([f"{more} more"] if more else [])]) or "…"
        leave = ", ".join(self.kinds) or "nothing"
        verb = "leave" if len(self.kinds) > 1 else "leaves"
        where = f" in session {self.session}" if self.session else ""
        return one_line(f"runs remotely on {on}{where} → {leave} {verb} to {', '.join(self.recipients)}")


def preview(session: Session, text: str) -> Preview:
    """Judge a whole cell; raises nothing for what is wrong with it or with an authority."""
    try:
        cell = read_cell(text)
    except HelpWanted:
        return Preview("unknown", "shows its options and does nothing else")
    except SlsError as error:
        return Preview("error", _words(error))
    with within(SECONDS):
        return _judge(session, cell)


def _judge(session: Session, cell: ReadCell) -> Preview:
    options = cell.options
    begun = Preview(
        "unknown", "", outputs=tuple(options.output), kinds=tuple(options.kinds), session=one_line(options.session)
    )
    try:
        known = dict(_looked_up(session, (*options.input, *options.code)))
        inputs = tuple(_input(text, known) for text in (*options.input, *options.code))
        begun = replace(begun, inputs=inputs, recipients=_recipients(session, options.to))
        if missing := [one for one in _NEEDED if one in cell.unknown]:
            return replace(begun, state=_only_the_notebook(cell, missing))
        asked = _ask(session, cell, known)
        return _decided(session, cell, replace(begun, inputs=inputs or asked.inputs), asked)
    except HostUnsuitable as error:
        return replace(begun, verdict="no", state=_words(error))
    except SlsError as error:
        mine = isinstance(error, BadInput) and not isinstance(error, MalformedDocument) and not error.said_by
        return replace(begun, verdict="error" if mine else "unknown", state=_words(error))


# --- what the cell names --------------------------------------------------------------------------


def _looked_up(session: Session, texts: Iterable[str]) -> Iterator[tuple[str, AssetInfo]]:
    for text in texts:
        name = parse_input(text)[0]
        yield name, session.asset_lately(name)


def _input(text: str, known: Mapping[str, AssetInfo]) -> Input:
    name, alias, _ = parse_input(text)
    info = known[name]
    columns = picked_columns(text, info.manifest.columns)
    return _found(alias or alias_of(name, info.manifest), info, columns)


def _found(alias: str, info: AssetInfo, columns: Sequence[str] | None) -> Input:
    granted = granted_columns(info) if info.manifest.kind == "table" else ()
    found = tuple(one for one in granted if columns is None or one in columns)
    return Input(alias, info, found, None if columns is None else tuple(columns))


def _input_words(one: Input) -> str:
    if one.info.manifest.kind == "code":
        return f"{one.info.called} (code)"
    named = one.columns if one.asked is None else one.asked
    some = [one_line(quoted(name), MAX_NAME) for name in named[:MAX_COLUMNS]]
    more = len(named) - len(some)
    columns = ", ".join([*some, *([f"{more} more"] if more else [])])
    return f"{one.info.called} · {columns}" if columns else one.info.called


def _recipients(session: Session, words: Iterable[str]) -> tuple[str, ...]:
    people = [session.find(word) for word in words if not commands.is_place(word)]
    return tuple("you" if did == session.did else str(session.who(did)) for did in dict.fromkeys(people)) or ("you",)


# --- asking, without a trace ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a dry run said."""

    request: Requested
    material: Material
    decisions: Mapping[str, Decision]
    inputs: tuple[Input, ...] = ()  # of a session that is open


def _ask(session: Session, cell: ReadCell, known: Mapping[str, AssetInfo]) -> _Asked:
    """Judge the cell as the magic would; parameters are stood in for.

    Raises:
        as the magic before anybody is asked; what an authority raises.
    """
    options = cell.options
    if not cell.body.strip():
        raise BadInput("There is no code to run.")
    warm.require_session(options)
    if options.session:
        warm.require_sealed_here(options)
        return _ask_opening(session, cell, known) if options.input else _ask_next(session, cell)
    commands.results_place(options)
    request = commands.prepare(session, options, cell.body, dict.fromkeys(options.parameter), known)
    material = Material(request.spec, request.code, request.parameters)
    return _Asked(request, material, session.preflight(request))


def _ask_opening(session: Session, cell: ReadCell, known: Mapping[str, AssetInfo]) -> _Asked:
    """The first cell of a session that it opens."""
    options, request = cell.options, warm.request(session, cell.options, known)
    code, tables = one_spelling(cell.body), [one for one in request.spec.inputs if one.kind == "table"]
    names = {*(one.alias for one in tables), *options.parameter, *STARTING_NAMES}
    require_cell(code, None if len(tables) < len(request.spec.inputs) else names, options.output)
    text = _text(cell)
    decisions = session.preflight_cell(request, None, text, options.output)
    return _Asked(request, Material(request.spec, text.code, text.parameters), decisions)


def _ask_next(session: Session, cell: ReadCell) -> _Asked:
    """A later cell of an open session. Names that earlier cells made are not known here, so names are not judged."""
    warm.require_later(cell.options)
    request, before = session.open_request(cell.options.session)
    text = _text(cell)
    require_cell(text.code, None, ())
    decisions = session.preflight_cell(request, before, text, cell.options.output)
    tables = tuple(_found(one.alias, session.asset_lately(one.asset), one.columns) for one in request.spec.inputs)
    return _Asked(request, Material(request.spec, text.code, text.parameters), decisions, tables)


def _text(cell: ReadCell) -> CellText:
    return CellText(one_spelling(cell.body), pack_parameters(dict.fromkeys(cell.options.parameter)))


# --- the verdict ----------------------------------------------------------------------------------


def _decided(session: Session, cell: ReadCell, begun: Preview, asked: _Asked) -> Preview:
    decisions, names = asked.decisions, session.names_lately()
    unbelieved = believed_hosts(session, asked.request, names)[1]
    kinds = tuple(kind for kind in begun.kinds if all(kind in one.obligations.kinds for one in decisions.values()))
    card = preflight_card(decisions, names, with_code=True, unbelieved=unbelieved)
    begun = replace(begun, kinds=kinds, card=card.where(session.isolated), request=_terms(cell, asked))
    denied = _denied(cell, decisions)
    if denied:
        return replace(begun, verdict="no", state=f"would be denied: {', '.join(denied)}")
    if unbelieved is not None:
        return replace(begun, verdict="no", state="would get no key from here")
    if cell.unknown:
        return replace(begun, state=_only_the_notebook(cell, list(cell.unknown)))
    if worst_of(decisions.values()) == "allow":
        return replace(begun, verdict="run", state=f"{_why_allowed(begun, asked)} ✓")
    return _would_ask(session, cell, begun, asked)


def _terms(cell: ReadCell, asked: _Asked) -> str:
    return "" if cell.unknown or cell.options.parameter or cell.options.session else asked.request.spec.terms


def _denied(cell: ReadCell, decisions: Mapping[str, Decision]) -> list[str]:
    """What stands against the cell, in the words of its authorities' codes; not what a left-out option may change."""
    open_ = {code for option in cell.unknown for code in _ASKED_ABOUT.get(option, ())}
    codes = [
        one.code for decision in decisions.values() if decision.verdict == "deny" for one in decision.reasons
        if one.level == "deny" and one.code not in open_
    ]  # fmt: skip
    return list(dict.fromkeys(one_line(code.replace("-", " "), 40) for code in codes))


def _why_allowed(begun: Preview, asked: _Asked) -> str:
    """Whether people said yes, or the policies alone let it run."""
    code = {asked.material.spec.code, *(one.info.id for one in begun.inputs if one.info.manifest.kind == "code")}
    for policy in (one.info.policy for one in begun.inputs):
        if not policy.requesters or policy.module or (policy.code == "reviewed" and not code <= {*policy.code_digests}):
            return "approved"
    return "allowed"


def _would_ask(session: Session, cell: ReadCell, begun: Preview, asked: _Asked) -> Preview:
    held = [item for item in asked.request.spec.inputs if asked.decisions[item.alias].verdict == "ask"]
    who = ", ".join(dict.fromkeys(str(session.who(item.owner)) for item in held))
    if cell.options.parameter:
        names = ", ".join(cell.options.parameter)
        return replace(begun, state=_cut(f"would ask {who}, unless it was approved with these values of {names}"))
    earlier = session.earlier_request(asked.material, held[0].authority)
    if earlier is None:
        return replace(begun, verdict="ask", state=_cut(f"would ask {who}"))
    state = f"{_changed(earlier.short)}: would ask {who}"
    return replace(begun, verdict="ask", state=_cut(state), card=_with_differences(begun.card, earlier))


def _changed(short: str) -> str:
    """``one line changed``: what differs from the approved request, in a few words."""
    return f"{short} changed" if re.fullmatch(r"one line|\d+ lines", short) else short


def _with_differences(card: Card | None, earlier: Earlier) -> Card | None:
    if card is None:
        return None
    heading = Heading(f"What is otherwise than in request {earlier.id[7:19]}, which was {earlier.state}")
    return replace(card, blocks=[heading, Bullets(list(earlier.differences)), *card.blocks])


def _only_the_notebook(cell: ReadCell, options: Sequence[str]) -> str:
    names = ", ".join(dict.fromkeys(f"{name} ({option})" for option in options for name in cell.unknown[option]))
    return _cut(f"cannot be told before it runs: only the notebook knows {names}")


def _words(error: SlsError) -> str:
    return _cut(error.sentence)


def _cut(text: str) -> str:
    return one_line(text, MAX_WORDS)
