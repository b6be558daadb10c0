"""The sub-commands of ``%sls``: a table from name to function. Each makes its call on the session and renders."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sls_jupyter.errors import BadInput, SlsError, UnknownName
from sls_jupyter.notebook import going_on, hosts, owning, people, remembered, render, reports, warm, whole
from sls_jupyter.notebook.args import limits_from, look_up
from sls_jupyter.notebook.cards import Card, Facts, Line, Mono, Table
from sls_jupyter.notebook.logs import Asked, Told, log_action
from sls_jupyter.notebook.parsers import POLICY_FIELDS, command_parsers
from sls_jupyter.notebook.review import request_card
from sls_jupyter.notebook.sessions import personas
from sls_jupyter.notebook.words import is_simulated, short_id, state_chip
from sls_jupyter.safestream.request import StreamRequest
from sls_jupyter.safestream.run import Run
from sls_jupyter.session import AssetInfo, RequestInfo, Session
from sls_jupyter.session.choices import believed_hosts, choose, question
from sls_jupyter.session.preparing import NOTHING_KNOWN

MAX_TOGETHER = 64  # inputs of one stream
MAX_PAGES = 10  # requests that the inbox opens at once
MAX_PAGES_CHARACTERS = 200_000  # of code in these; one is opened however long it is


def _nobody(what: str) -> None:
    """Where nobody watches."""
    del what


@dataclass(frozen=True, slots=True)
class Context:
    """What a sub-command works with."""

    session: Session
    options: argparse.Namespace
    cell: str | None = None
    namespace: dict[str, Any] | None = None  # the notebook's variables
    become: Callable[[str, bool], Session] | None = None  # change the persona; True makes it, whatever it is like
    forms: bool = False  # a front end can show a form
    follow: Callable[[Run], None] | None = None  # show a run to its end; in a terminal by default
    progress: Callable[[str], None] = _nobody  # told what takes long


def prepare(
    session: Session,
    options: argparse.Namespace,
    code: str,
    namespace: Mapping[str, Any],
    known: Mapping[str, AssetInfo] = NOTHING_KNOWN,
) -> StreamRequest:
    """The signed contract that the options of a SafeStream describe.

    Args:
        known: assets that were looked up already, as ``Session.prepare`` takes them.
    """
    return session.prepare(
        code,
        options.input,
        outputs=options.output,
        code_assets=options.code,
        parameters={name: look_up(name, namespace) for name in options.parameter},
        purpose=options.purpose,
        recipients=[one for one in options.to if not is_place(one)],
        tees=options.tee or _tees_of(session, getattr(options, "host", None)),
        fragments=options.fragment,
        kinds=options.kinds,
        limits=limits_from(options.cpu, options.memory, options.time, options.result_size),
        known=known,
    )


def is_place(word: str) -> bool:
    """Whether what follows ``--to`` is where results go, a URL, rather than who gets them."""
    return "://" in word


def results_place(options: argparse.Namespace) -> str | None:
    """The URL among those of ``--to``.

    Raises:
        BadInput: there are several.
    """
    places = [one for one in options.to if is_place(one)]
    if len(places) > 1:
        raise BadInput("Results go to one place.", found=f"{len(places)} URLs after --to", hint="Keep one of them.")
    return places[0] if places else None


def _tees_of(session: Session, host: str | None) -> tuple[str, ...]:
    """Who names a host accepts its kind of evidence, and no other of the hosts at hand."""
    named = session.hosts.get(host or "")
    return () if named is None else (named.capabilities().tee,)


def find(name: str) -> Callable[[Context], object]:
    """The function of a sub-command.

    Raises:
        UnknownName: there is none, with the nearest.
    """
    if name in COMMANDS:
        return COMMANDS[name]
    near = difflib.get_close_matches(name, COMMANDS, 1)
    raise UnknownName(
        "%sls has no such command.",
        found=name[:60],
        expected=", ".join(COMMANDS),
        hint=f"Did you mean %sls {near[0]}?" if near else "%sls help lists them.",
    )


# --- one function each ----------------------------------------------------------------------------


def overview(context: Context) -> Card:
    """``%sls`` alone."""
    session = context.session
    assets, requests = session.assets(), session.requests()
    return reports.overview_card(
        session.name, assets, requests, session.runs(), session.hosts, session.silent(), session.unreachable()
    )


def _whoami(context: Context) -> Card:
    background = context.session.background
    why = "" if background is None else background.why_not()
    note = remembered.no_agent(why)
    return remembered.whoami_card(context.session.whoami(), note, shared=context.become is not None)


def _as(context: Context) -> Card:
    assert context.become is not None  # noqa: S101  # the command line has no such command
    others = personas(context.session.home)
    about = context.become(context.options.name, context.options.new).whoami()
    new = about["name"] not in others
    note = f"New persona {about['name']}, with new keys (you have: {', '.join(others)})." if new else ""
    return remembered.whoami_card(about, note, shared=True)


def _assets(context: Context) -> Card:
    return render.assets_card(context.session.assets(), context.session.silent())


def _requests(context: Context) -> object:
    options = context.options
    found = context.session.requests(waiting=options.waiting, mine=options.mine, by=options.by)
    card = render.requests_card(found, context.session.silent(), context.session.doubts())
    waiting = [one for one in found if one.state == "open" and one.mine_to_decide]
    if not (context.forms and waiting):
        return card
    opened = _so_many(waiting)
    left = len(waiting) - len(opened)
    more = [Card(f"{left} more wait", [Line("%sls show ID opens one.")], tone="wait")] if left > 0 else []
    return card, *(part for one in opened for part in _to_decide(context.session, one.id)), *more


def _so_many(waiting: Sequence[RequestInfo]) -> list[RequestInfo]:
    """The first of them, as many as a screen takes: strangers choose how much code they send."""
    opened, left = list[RequestInfo](), MAX_PAGES_CHARACTERS
    for one in waiting[:MAX_PAGES]:
        left -= len(one.code)
        if opened and left < 0:
            break
        opened.append(one)
    return opened


def _to_decide(session: Session, id_: str) -> tuple[object, ...]:
    """One request's page, looked up anew and whole, with its buttons; what is in the way of that is said instead."""
    from sls_jupyter.notebook.widgets import DecisionForm, error_lines

    try:
        request = session.request(id_)
    except SlsError as error:
        return (Card(f"Request {short_id(id_)} cannot be opened", error_lines(error), tone="bad"),)
    return request_card(request, session.names_in(request.spec)), DecisionForm(session, request)


def _show(context: Context) -> Card:
    request, options = context.session.request(context.options.id), context.options
    return request_card(request, context.session.names_in(request.spec), everything=getattr(options, "all", False))


def _approve(context: Context) -> Card:
    options = context.options
    entry = context.session.approve(options.id, options.reason)
    return render.decided_card(options.id, True, entry, options.reason)


def _deny(context: Context) -> Card:
    options = context.options
    entry = context.session.deny(options.id, options.reason)
    return render.decided_card(options.id, False, entry, options.reason)


def _can_run(context: Context) -> Card:
    session = context.session
    tables = [info for info in session.assets() if info.manifest.kind == "table"]
    chosen = [(f"{info.owner_name}/{info.name}", choose(session, info)) for info in tables]
    rows = [(name, ", ".join(one.hosts), one.decision) for name, one in chosen]
    together = session.preflight(question(session, tables[:MAX_TOGETHER])) if len(tables) > 1 else None
    return reports.can_run_card(rows, together, session.names(), session.silent())


def _preflight(context: Context) -> object:
    session, host = context.session, getattr(context.options, "host", None)
    request = prepare(session, context.options, context.cell or "", context.namespace or {})
    decisions, names = session.preflight(request), session.names()
    unbelieved = believed_hosts(session, request)[1]
    card = reports.preflight_card(decisions, names, with_code=context.cell is not None, unbelieved=unbelieved)
    if host is None:
        return card
    return card, hosts.preflight_card(session, host, request)


def _runs(context: Context) -> Card:
    return remembered.runs_card(context.session.runs())


def _result(context: Context) -> object:
    options, session = context.options, context.session
    receipt = getattr(options, "receipt", None)
    if receipt is not None:
        outputs = session.open_sealed(options.run, receipt, accept_simulated=options.accept_simulated)
        return _result_card(context, f"Result in {options.run}", outputs, simulated=options.accept_simulated)
    wanted = options.run.removeprefix("sha256:")[:12]
    if getattr(options, "to", None) and not is_place(options.to):
        return going_on.saved_outputs_card(session, options.run, options.to)
    if getattr(options, "to", None):
        where = session.store_results(options.run, options.to)
        return Card(f"Result of run {wanted}", [Facts([("stored, sealed, in", Mono(where))])])
    outputs = session.result(options.run)
    record = next((one for one in context.session.runs() if one.id.startswith(wanted)), None)
    simulated = record is not None and is_simulated(record.tee)
    not_isolated = record is not None and record.isolated is False
    return _result_card(context, f"Result of run {wanted}", outputs, simulated=simulated, not_isolated=not_isolated)


def _result_card(
    context: Context, title: str, outputs: Mapping[str, Any], *, simulated: bool, not_isolated: bool = False
) -> tuple[object, ...]:
    if context.namespace is not None:
        context.namespace.update(outputs)
    rows = [(Mono(name), type(value).__name__, _extent(value)) for name, value in outputs.items()]
    table = Table(("variable", "type", "size"), rows, "It returned nothing by name.")
    return Card(title, [table], simulated=simulated, not_isolated=not_isolated), *outputs.values()


def _extent(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return " × ".join(f"{number:,}" for number in shape) if shape else "1"


def _cancel(context: Context) -> Card:
    run = context.session.cancel(context.options.run)
    return Card(f"Run {run.id}", [Facts([("state", state_chip(run.state))])])


def _attach(context: Context) -> object:
    return going_on.attach(context.session, context.options.run, context.follow)


def _run_notebook(context: Context) -> Card:
    return whole.run(context.session, context.options, context.progress)


def _agent(context: Context) -> Card:
    return going_on.agent(context.session, context.options.action, force=context.options.force)


def _audit(context: Context) -> Card:
    if context.options.report is not None and (cells := context.session.cells_of_session(context.options.run)):
        return _audit_session(context, context.options.run, cells)
    audit = context.session.audit(context.options.run)
    if context.options.report is None:
        return reports.audit_card(audit)
    from sls_jupyter.notebook.audit_report import audit_page, page_card, write_page

    path = Path(context.options.report or f"audit-{audit.run}.html")
    return page_card(audit, write_page(audit_page(audit, now=datetime.now(UTC)), path))


def _audit_session(context: Context, name: str, cells: Sequence[str]) -> Card:
    """Every cell of a session on one page."""
    from sls_jupyter.notebook.audit_report import session_card, session_page, write_page

    audits = []
    for number, run in enumerate(cells, start=1):
        context.progress(f"Auditing cell {number} of {len(cells)}")
        audits.append(context.session.audit(run))
    path = Path(context.options.report or f"audit-{name}.html")
    return session_card(name, audits, write_page(session_page(name, audits, now=datetime.now(UTC)), path))


def _receipt(context: Context) -> Card:
    from sls_jupyter.notebook.receipts import saved_card

    options = context.options
    verified = context.session.receipt(options.run, witnesses=options.witnesses)
    order = verified.verdict.order
    run = short_id(verified.spec.digest if order is None else order.digest)
    name = options.file or f"receipt-{run}.json"
    record = next((one for one in context.session.runs() if one.id == run), None)
    return saved_card(verified, verified.save(name), isolated=None if record is None else record.isolated)


def _verify(context: Context) -> object:
    from sls_jupyter.notebook import receipts
    from sls_jupyter.notebook.attest import verdict_card, verify_asked

    options = context.options
    found = [path for path in options.files if receipts.is_receipt(path)]
    if found:
        return _verify_receipts(found, options, context.session.trusted_images())
    receipts.no_pins(options)
    return verdict_card(verify_asked(options, context.session.anchors if options.accept_simulated else None))


def _verify_receipts(found: list[str], options: argparse.Namespace, trusted: Collection[str]) -> tuple[Card, ...]:
    from sls_jupyter.notebook.receipts import advice, chain_card, judge_all, read_all, receipt_card

    if len(found) < len(options.files):
        other = next(path for path in options.files if path not in found)
        raise BadInput("Receipts and other files are verified apart.", found=other[:200], expected="receipts only")
    names = ("profile", "at", "minimum", "issuer", "bulletin", "mitigation")
    if given := [name for name in names if getattr(options, name) not in (None, [])]:
        raise BadInput("These options are not for receipts.", found=", ".join(f"--{name}" for name in given))
    read = [one for path in found for one in read_all(path)]
    chain = judge_all(read, options, trusted)
    if chain.of_notebook or (len(read) > 1 and all(verdict.cell is not None for _, verdict in chain.judged)):
        return (chain_card(chain),)
    judged = zip(read, (verdict for _, verdict in chain.judged), strict=True)
    return tuple(
        receipt_card(verdict, file=one.name, advice=advice(one.data or b"", verdict)) for one, verdict in judged
    )


def _cosign(context: Context) -> Card:
    seen = context.session.cosign(context.options.url)
    facts = Facts([("log", Mono(seen.origin)), ("tree size", f"{seen.tree_size:,}")])
    return Card("Cosigned what you saw", [facts], tone="good")


def _log(context: Context) -> Told:
    return log_action(Asked(context.session.home, context.options, context.progress, context.session))


def _withdraw(context: Context) -> Card:
    return owning.withdrawn_card(context.session.withdraw(context.options.name, shred=context.options.shred))


def _mute(context: Context) -> Card:
    session, options = context.session, context.options
    if options.who is None:
        return owning.mutes_card(session.muted(), session.names())
    if options.undo:
        return Card("Not muted any more", [Facts([("DID", Mono(session.unmute(options.who)))])])
    return owning.muted_card(*session.mute(options.who))


def _edit(context: Context) -> object:
    """A form; where none can be shown, or options say what to change, a card that says it in words."""
    options, name = context.options, context.options.frame
    data = look_up(name, context.namespace or {})
    given = {field: getattr(options, field) for field in POLICY_FIELDS if getattr(options, field) is not None}
    if given or not context.forms:
        from sls_jupyter.notebook.editing import edit_card

        return edit_card(context.session, name, given)
    from sls_jupyter.notebook.widgets import policy_form

    return policy_form(context.session, name, data)


def _help(_: Context) -> Card:
    return reports.help_card(
        {
            " ".join([name, *parser.positionals()]): parser.description or ""
            for name, parser in command_parsers().items()
        }
    )


def _marked(command: Callable[[Context], object]) -> Callable[[Context], object]:
    """The command, with NOT ISOLATED on every card that says SIMULATED where this session's hosts have no sandbox."""

    def marked(context: Context) -> object:
        found = command(context)
        parts = found if isinstance(found, tuple) else (found,)
        shown = tuple(one.where(lambda: context.session.isolated()) if isinstance(one, Card) else one for one in parts)
        return shown if isinstance(found, tuple) else shown[0]

    return marked


_COMMANDS: Mapping[str, Callable[[Context], object]] = {
    "whoami": _whoami,
    "as": _as,
    "assets": _assets,
    "requests": _requests,
    "show": _show,
    "approve": _approve,
    "deny": _deny,
    "can-run": _can_run,
    "preflight": _preflight,
    "runs": _runs,
    "result": _result,
    "attach": _attach,
    "cancel": _cancel,
    "run": _run_notebook,
    "submit": lambda context: whole.submit(context.session, context.options),
    "sessions": lambda context: remembered.sessions_card(context.session.sessions()),
    "session close": lambda context: warm.closed_card(context.session.close_session(context.options.name)),
    "agent": _agent,
    "audit": _audit,
    "audit report": _audit,
    "receipt": _receipt,
    "verify": _verify,
    "hosts": lambda context: hosts.hosts(context.session, context.options),
    "connect": lambda context: people.connect(context.session, context.options),
    "name": lambda context: people.name(context.session, context.options),
    "contacts": lambda context: people.contacts(context.session, context.options),
    "contact": lambda context: people.contact(context.session, context.options),
    "cosign": _cosign,
    "log": _log,
    "withdraw": _withdraw,
    "mute": _mute,
    "edit": _edit,
    "help": _help,
}
COMMANDS: Mapping[str, Callable[[Context], object]] = {name: _marked(one) for name, one in _COMMANDS.items()}
