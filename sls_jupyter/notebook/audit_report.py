"""The audit of a run as one HTML page for a person, made to be printed on A4.

It has no script, loads nothing, and needs no colour to be understood. Every text goes through
:func:`sls_jupyter.notebook.cards.escape`. The page proves nothing by itself: section "Check it yourself" says how.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sls_jupyter.contract import cce
from sls_jupyter.contract.grants import Grant
from sls_jupyter.contract.platform import fragment_words
from sls_jupyter.documents import Envelope
from sls_jupyter.errors import MalformedDocument
from sls_jupyter.identity import save_file
from sls_jupyter.notebook.cards import (
    Block,
    Bullets,
    Card,
    Cell,
    Chip,
    Facts,
    Heading,
    Line,
    Mono,
    Table,
    Tone,
    Warn,
    escape,
    joined,
    marks,
)
from sls_jupyter.notebook.checks import Checks, long_or_words
from sls_jupyter.notebook.print_style import PRINT_STYLE, page_footer
from sls_jupyter.notebook.receipts import NOT_PROVEN, end_words, failed_words, verdict_words
from sls_jupyter.notebook.reports import checkpoint_words, facts_words, missing_words, record_words
from sls_jupyter.notebook.status import withheld_line
from sls_jupyter.notebook.words import count_words, limit_words, size_words, time_words
from sls_jupyter.receipt.chain import verify_chain

if TYPE_CHECKING:
    from sls_jupyter.contract.spec import AssetInput
    from sls_jupyter.receipt.statement import GateVerdict, Predicate
    from sls_jupyter.receipt.verdict import ReceiptVerdict
    from sls_jupyter.session import Audit
    from sls_jupyter.session.auditing import AuditLine

NO_RECEIPT = "Not known: there is no receipt."
_KINDS = {"table": "tables", "text": "text", "figure": "figures"}
_POLICY = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>"


def audit_page(audit: Audit, *, now: datetime | None = None) -> str:
    """The whole page.

    Args:
        now: when it is written, with a time zone; not said if it is not given.
    """
    receipt = audit.verdict.id if audit.verdict else ""
    return _page(f"Audit of run {audit.run}", page_footer(audit.run, receipt), f"{_head(audit, now)}{_body(audit)}")


def session_page(name: str, audits: Sequence[Audit], *, now: datetime | None = None) -> str:
    """All cells of a session on one page: the chain of their receipts first, then each cell as :func:`audit_page` has it.

    Args:
        audits: of its cells, in their order; one at least.
    """
    cells = "".join(
        f'<article class="cell"><h1>Cell {number}, run <code>{escape(audit.run)}</code></h1>{_body(audit)}</article>\n'
        for number, audit in enumerate(audits, start=1)
    )
    first = audits[0]
    top = _head(first, now, title=f"Session {escape(name)}", kind="Audit report of a session")
    footer = page_footer(first.spec.digest.removeprefix("sha256:")[:12], "")
    return _page(f"Audit of session {name}", footer, f"{top}{_chain_box(audits)}{cells}")


def _page(title: str, footer: str, body: str) -> str:
    head = (
        f'<meta charset="utf-8"/>{_POLICY}<meta name="viewport" content="width=device-width"/>'
        f"<title>{escape(title)}</title><style>{PRINT_STYLE}{footer}</style>"
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body><main>{body}</main></body></html>\n'


def _body(audit: Audit) -> str:
    """The verdict and every section."""
    sections = "".join(
        f'<section class="{name}"><h2>{number}. {escape(title)}</h2>\n{joined(block.html() for block in blocks)}</section>\n'
        for number, (name, title, blocks) in enumerate(_sections(audit), start=1)
    )
    return f"{_verdict_box(audit)}{sections}"


def _chain_box(audits: Sequence[Audit]) -> str:
    """Whether the receipts of all cells are one chain, and each cell in a line."""
    verdicts = [one.verdict for one in audits if one.verdict is not None]
    checks = verify_chain(verdicts) if len(verdicts) == len(audits) else ()
    good = bool(checks) and all(check.ok for check in checks)
    word = "✓ ONE CHAIN" if good else "✗ NO CHAIN"
    said = marks(any(one.simulated for one in audits), any(one.isolated is False for one in audits))
    stamp = "".join(f' <span class="stamp">{one}</span>' for one in said)
    count = count_words(len(audits), "cell")
    line = f"{count}, each with a receipt that verifies and names the one before." if good else (
        f"Of {count}, {len(verdicts)} have a receipt." if len(verdicts) < len(audits)
        else f"Failed: {', '.join(check.name for check in checks if not check.ok)}. Do not rely on what the receipts state together."
    )  # fmt: skip
    rows: list[Sequence[Cell]] = [
        (str(number), Mono(audit.run), "no receipt" if audit.verdict is None else verdict_words(audit.verdict),
         Mono(audit.verdict.id) if audit.verdict else "")
        for number, audit in enumerate(audits, start=1)
    ]  # fmt: skip
    table = Table(("cell", "run", "verdict", "receipt"), rows).html()
    tone = "good" if good else "bad"
    return (
        f'<div class="verdict {tone}"><p class="word"><span>{word}</span>{stamp}</p>\n<p>{escape(line)}</p></div>\n'
        f'<section class="chain"><h2>The cells</h2>\n{table}{Checks(checks, folded=False).html() if checks else ""}</section>\n'
    )


def write_page(text: str, path: Path) -> Path:
    """Write a page, whole or not at all; a file that is there is replaced.

    Raises:
        Unavailable: it cannot be written there.
    """
    return save_file(path, text.encode(), "report")


def page_card(audit: Audit, path: Path) -> Card:
    """Where the page went, and what it says on top."""
    verdict = audit.verdict
    tone: Tone = "note" if verdict is None else "good" if verdict.accepted else "bad"
    words = "there is no receipt" if verdict is None else verdict_words(verdict)
    facts: list[tuple[str, Cell]] = [("file", Mono(str(path))), ("receipt", Chip(words, tone))]
    facts += [("missing", Chip(sentence, "bad")) for sentence in missing_words(audit)]
    return Card(
        f"Audit report of run {audit.run}",
        [Facts(facts)],
        simulated=audit.simulated,
        not_isolated=audit.isolated is False,
        tone=tone,
        incomplete=bool(audit.unreached),
    )


def session_card(name: str, audits: Sequence[Audit], path: Path) -> Card:
    """Where a session's page went, and what it says on top."""
    verdicts = [one.verdict for one in audits if one.verdict is not None]
    good = len(verdicts) == len(audits) and all(check.ok for check in verify_chain(verdicts))
    words = f"one chain of {count_words(len(audits), 'receipt')}" if good else "no chain"
    facts: list[tuple[str, Cell]] = [("file", Mono(str(path))), ("receipts", Chip(words, "good" if good else "bad"))]
    return Card(
        f"Audit report of session {name}",
        [Facts(facts)],
        simulated=any(one.simulated for one in audits),
        not_isolated=any(one.isolated is False for one in audits),
        tone="good" if good else "bad",
        incomplete=any(one.unreached for one in audits),
    )


# --- the top --------------------------------------------------------------------------------------


def _head(audit: Audit, now: datetime | None, *, title: str = "", kind: str = "Audit report") -> str:
    """The top of a page.

    Args:
        title: in HTML; the run by default.
    """
    heading = title or f"Run <code>{escape(audit.run)}</code>"
    written = f"Written {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if now else ""
    purpose = f"“{audit.spec.purpose}”" if audit.spec.purpose else "Its purpose is not stated."
    return (
        f'<header><p class="kind">{escape(kind)} <span>{escape(written)}</span></p>\n'
        f'<h1>{heading}</h1>\n<p class="purpose">{escape(purpose)}</p></header>\n'
    )


def _verdict_box(audit: Audit) -> str:
    verdict = audit.verdict
    tone, word = ("bad", "✗ REFUSED") if verdict else ("none", "! NO RECEIPT")
    if verdict is not None and verdict.accepted:
        tone, word = "good", "✓ ACCEPTED"
    said = marks(audit.simulated or bool(verdict and verdict.simulated), audit.isolated is False)
    stamp = "".join(f' <span class="stamp">{word}</span>' for word in said)
    lines = "".join(f"<p>{escape(line)}</p>\n" for line in _verdict_lines(audit))
    digest = f"<p><code>{escape(verdict.id)}</code></p>" if verdict else ""
    return f'<div class="verdict {tone}"><p class="word"><span>{word}</span>{stamp}</p>\n{lines}{digest}</div>\n'


def _verdict_lines(audit: Audit) -> list[str]:
    verdict = audit.verdict
    if verdict is None:
        lines = ["There is no receipt of this run: no hardware has signed what it did and how it ended."]
        if audit.unreached:
            lines = ["No receipt of this run is known here, and not every log could be asked for it."]
    elif verdict.accepted:
        count = count_words(len(verdict.checks), "check")
        lines = [f"The receipt verifies: all {count} passed, against what the requester's own contract names."]
    else:
        lines = [f"The receipt does not verify. Failed: {failed_words(verdict)}. Do not rely on what it states."]
    if audit.simulated:
        lines.append("No hardware stands behind this run: its evidence is SIMULATED, for demonstrations only.")
    if audit.isolated is False:
        lines.append("The program was NOT ISOLATED: its host had no sandbox, and it could read its user's files.")
    return lines


# --- the sections ---------------------------------------------------------------------------------


def _sections(audit: Audit) -> list[tuple[str, str, Sequence[Block]]]:
    """(class, title, blocks) of each."""
    verdict = audit.verdict
    stated = verdict.predicate if verdict else None
    return [
        ("missing", "What is missing", _missing(audit)),
        ("run", "The run", _run(audit, stated)),
        ("inputs", "Inputs", _inputs(audit, stated)),
        ("gate", "What the output gate enforced", _known(audit, _gate(stated.gate) if stated else [])),
        ("results", "Results and recipients", [*_known(audit, _results(audit)), *_recipients(audit)]),
        ("group", "The container group", _known(audit, _group(verdict, stated) if verdict and stated else [])),
        (
            "checks",
            "Every check of the receipt",
            [Checks(verdict.checks, folded=False)] if verdict else [Line(NO_RECEIPT)],
        ),
        ("logs", "What the logs hold", _logs(audit)),
        ("records", "The audit sidecar's records", _records(audit)),
        ("limits", "What a receipt does not prove", _limits()),
        ("yourself", "Check it yourself", _yourself(audit)),
    ]


def _known(audit: Audit, blocks: Sequence[Block]) -> list[Block]:
    """What the receipt states, if there is one; with a warning if it does not verify."""
    if audit.verdict is None or not blocks:
        return [Line(NO_RECEIPT if audit.verdict is None else "Not known: the receipt cannot be read.")]
    doubt = [] if audit.verdict.accepted else [Line("As stated by a receipt that does not verify: do not rely on it.")]
    return [*doubt, *blocks]


def _missing(audit: Audit) -> list[Block]:
    found = missing_words(audit)
    nothing = "Nothing. Every log that released keys knows how the run ended, and the receipt is here and verifies."
    return [Warn(words) for words in found] or [Line(nothing)]


def _who(audit: Audit, role: str, did: str) -> list[tuple[str, Cell]]:
    """Somebody by name, as the requester knows them, and by DID."""
    return [(role, audit.names.get(did, "not known by name")), ("", Mono(did))]


def _run(audit: Audit, stated: Predicate | None) -> list[Block]:
    spec, asked = audit.spec, audit.asked
    order: list[tuple[str, Cell]] = (
        [
            ("cell", f"{asked.number} of a session, which may have {spec.session.cells}"),
            ("order", Mono(asked.contract)),
        ]
        if spec.session is not None
        else []
    )
    facts: list[tuple[str, Cell]] = [
        ("contract", Mono(spec.digest)),
        *order,
        ("purpose", spec.purpose or "not stated"),
        *_who(audit, "asked by", spec.requester),
        ("asked at", time_words(spec.issued_at)),
        ("ended", end_words(stated) if stated else "not known: there is no receipt"),
        *((f"told {line.log_name}", _told(line)) for line in audit.lines if line.entry.kind in _ENDS),
        ("limits", f"{limit_words(spec.limits)}, {count_words(spec.limits.processes, 'process', 'processes')}"),
        ("TEEs accepted", ", ".join(spec.tees) or "none"),
        ("who else could join", ", ".join(map(fragment_words, spec.fragments)) or "nobody"),
        ("code", Mono(asked.cells[-1].code)),
        ("parameters", Mono(asked.cells[-1].parameters)),
    ]
    return [
        Facts(facts),
        Line(
            "The times of the end are the group's clock, which its host sets; those of the logs are their own."
            " Names are those by which the requester knows people; what was signed are the DIDs."
        ),
    ]


_ENDS = ("run.ended", "run.killed")


def _told(line: AuditLine) -> str:
    by = (line.meaning or {}).get("reported_by")
    return f"{line.entry.kind}, {facts_words(line.entry.facts)}{f', reported by the {by}' if by else ''}"


def _inputs(audit: Audit, stated: Predicate | None) -> list[Block]:
    grants = _grants(stated) if audit.verdict and audit.verdict.accepted else {}
    blocks: list[Block] = []
    for item in audit.spec.inputs:
        facts: list[tuple[str, Cell]] = [
            ("asset", Mono(item.asset)),
            *_who(audit, "owner", item.owner),
            *_who(audit, "authority", item.authority),
            ("columns granted", _granted(audit, item, grants.get(item.alias))),
        ]
        if item.alias in grants:
            facts.append(("grant", Mono(grants[item.alias].digest)))
        blocks += [Heading(f"{item.alias} ({item.kind})", 3), Facts(facts)]
    return blocks


def _grants(stated: Predicate | None) -> dict[str, Grant]:
    """The grants of a verified receipt, by alias."""
    found = {}
    for one in stated.inputs if stated else ():
        try:
            found[one.alias] = Grant.parse(Envelope.parse(one.grant.encode(), Grant.payload_type).payload)
        except MalformedDocument:  # a verified receipt has none of these
            continue
    return found


def _granted(audit: Audit, item: AssetInput, grant: Grant | None) -> str:
    if item.kind == "code":
        return "none: it is code, granted whole"
    if grant is not None:
        return ", ".join(grant.columns or ()) or "none"
    for line in audit.lines:
        if line.entry.kind == "key.released" and line.meaning and line.meaning.get("asset") == item.asset:
            return f"{', '.join(map(str, line.meaning.get('columns') or ())) or 'none'} (keys released, as logged)"
    asked = "every column" if item.columns is None else ", ".join(item.columns)
    return f"no key was released; asked for: {asked}"


def _gate(gate: GateVerdict | None) -> list[Block]:
    if gate is None:
        return [Line("The gate has not said what it let go: the output container was gone before it could.")]
    rules = gate.rules
    released = ", ".join(count_words(count, kind) for kind, count in gate.released.items() if count)
    return [
        Facts(
            [
                ("may leave", ", ".join(_KINDS[kind] for kind in rules.kinds) or "nothing"),
                ("smallest group", _behind(rules.min_group)),
                ("most rows of a table", _limit(rules.max_rows, "row")),
                ("most bytes in all", "no limit" if rules.max_bytes is None else size_words(rules.max_bytes)),
                ("of an error", "the whole message" if rules.full_errors else "its type only"),
                ("let go", f"{released or 'nothing'}; {count_words(gate.bytes, 'byte')}"),
                ("held back", withheld_line(gate.withheld).removeprefix("Withheld: ").rstrip(".") or "nothing"),
            ]
        )
    ]


def _behind(records: int | None) -> str:
    return "no limit" if records is None else f"{count_words(records, 'record')} behind each row"


def _limit(value: int | None, what: str) -> str:
    return "no limit" if value is None else count_words(value, what)


def _results(audit: Audit) -> list[Block]:
    rows = [(_subject(audit, name), Mono(digest)) for name, digest in (audit.verdict.subjects if audit.verdict else ())]
    return [Table(("result", "digest"), rows, "The receipt names no result.")] if rows else []


def _subject(audit: Audit, name: str) -> str:
    """A result's name in a receipt, in words."""
    kind, _, rest = name.partition("/")
    if kind == "sealed":
        return f"everything, as sealed to {audit.names.get(rest, rest)}"
    known = {"result": "everything returned, before sealing", "records": "records of the audit sidecar"}
    return f"table {rest}" if kind == "output" else known.get(name, name)


def _recipients(audit: Audit) -> list[Block]:
    rows = [(audit.names.get(one.did, "not known by name"), Mono(one.did)) for one in audit.spec.recipients]
    return [Table(("recipient", "DID"), rows)]


def _group(verdict: ReceiptVerdict, stated: Predicate) -> list[Block]:
    image = stated.group.image
    found = {check.name: check.found for check in verdict.checks}
    recorded = ", when the last log recorded it" if verdict.accepted else ""
    tee = f"{verdict.kind} (SIMULATED: no hardware)" if verdict.simulated else verdict.kind
    return [
        Facts(
            [
                ("guest image", Mono(image.image().digest)),
                ("called by the requester", Mono(image.reference)),
                *((f"layer {number}", Mono(layer)) for number, layer in enumerate(image.layers, start=1)),
                ("HOST_DATA", Mono(cce.host_data(stated.group.cce_policy.encode()).hex())),
                ("measurement", Mono(image.measurement or "none")),
                ("REPORT_DATA", Mono(found.get("report_data", "not checked"))),
                ("TEE", tee),
                ("TCB", found.get("minimum_tcb", "not checked")),
                ("evidence judged at", f"{verdict.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC{recorded}"),
            ]
        )
    ]


def _logs(audit: Audit) -> list[Block]:
    blocks: list[Block] = [
        Line("Every entry below is proven to be in its log; a failed proof would have ended the audit.")
    ]
    for name, size in audit.checkpoints.items():
        rows: list[Sequence[Cell]] = [
            (str(line.index), line.entry.kind, _moment(line.entry.at), long_or_words(facts_words(line.entry.facts)))
            for line in audit.lines
            if line.log_name == name
        ]
        blocks += [Heading(name, 3), Line(f"{checkpoint_words(size)}.".capitalize())]
        blocks.append(Table(("entry", "what", "when (UTC)", "facts"), rows, "No entry about this run."))
    return [*([Warn(words) for words in audit.unreached]), *blocks]


def _records(audit: Audit) -> list[Block]:
    rows: list[Sequence[Cell]] = [
        (
            str(number),
            _moment(one.get("at")),
            str(one.get("from", "")),
            str(one.get("event", "")),
            long_or_words(record_words(one)),
        )
        for number, one in enumerate(audit.records, start=1)
    ]
    about = "Chained; the digest of the last one is in the log. The times are the group's clock, which its host sets."
    none = "Not known." if audit.unreached else "None: the run ended before any were sent."
    table = Table(("no.", "when (UTC)", "container", "event", "facts"), rows, none)
    return [Line(about), table] if rows else [table]


def _moment(at: object) -> str:
    return time_words(at).removesuffix(" UTC") if isinstance(at, int) else "" if at is None else str(at)


def _limits() -> list[Block]:
    return [
        Line(
            "A verified receipt says which code ran on which assets, on what machine, and what left. It does not prove:"
        ),
        Bullets([f"{words};" for words in NOT_PROVEN[:-1]] + [f"{NOT_PROVEN[-1]}."]),
    ]


@dataclass(frozen=True, slots=True)
class Command(Block):
    """What to type, one option a line."""

    lines: Sequence[str]

    def text(self) -> list[str]:
        return list(self.lines)

    def html(self) -> str:
        return f"<pre>{escape(chr(10).join(self.lines))}</pre>"

    def data(self) -> dict[str, Any]:
        return {"kind": "command", "lines": list(self.lines)}


def _yourself(audit: Audit) -> list[Block]:
    if audit.verdict is None:
        return [
            Line("There is no receipt to check. The requester can ask the logs again:"),
            Command([f"sls audit {audit.run}"]),
        ]
    file = f"receipt-{audit.run}.json"
    pins = [f"--owner {did}" for did in sorted({item.owner for item in audit.spec.inputs})]
    pins += [f"--log {did}" for did, _ in audit.spec.authorities()]
    if audit.verdict.predicate is not None:
        pins.append(f"--image {audit.verdict.predicate.group.image.image().digest}")
    pins += ["--accept-simulated"] if audit.verdict.simulated else []
    return [
        Line(
            "This page is a reading aid and proves nothing. The requester saves the receipt; anybody checks it, offline:"
        ),
        Command([f"sls receipt {audit.run} {file}"]),
        Command([f"sls verify {file} \\", *(f"    {pin} \\" for pin in pins[:-1]), f"    {pins[-1]}"]),
        Line("Take the DIDs and the image's digest from whom you trust, not from here."),
    ]
