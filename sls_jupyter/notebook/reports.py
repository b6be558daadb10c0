"""Cards of what was decided and what happened: preflight, runs, audit, hosts, the overview. One function each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sls_jupyter.notebook.cards import (
    Block,
    Bullets,
    Card,
    Cell,
    Chip,
    Details,
    Facts,
    Heading,
    Line,
    Mono,
    Table,
    Tone,
)
from sls_jupyter.notebook.receipts import failed_words, verdict_words
from sls_jupyter.notebook.remembered import tee_words
from sls_jupyter.notebook.render import silent_lines, unreachable_lines
from sls_jupyter.notebook.words import count_words, is_simulated, size_words, time_words
from sls_jupyter.policy.words import describe_decision

if TYPE_CHECKING:
    from sls_jupyter.errors import HostUnsuitable
    from sls_jupyter.policy.decide import Decision
    from sls_jupyter.receipt.verdict import ReceiptVerdict
    from sls_jupyter.safestream.host import Host
    from sls_jupyter.session import AssetInfo, Audit, RequestInfo, RunRecord
    from sls_jupyter.session.directory import Silent

_VERDICTS: Mapping[str, Chip] = {
    "allow": Chip("allowed", "good"),
    "ask": Chip("needs approval", "wait"),
    "deny": Chip("denied", "bad"),
}

_VERDICT_WORDS = {
    "allow": "this run may start",
    "ask": "this run needs approval",
    "deny": "this run would be denied",
}

_SAID = ("its authority says", "and advises")  # of reasons and fixes: nobody signed them


# --- decisions ------------------------------------------------------------------------------------


def preflight_card(
    decisions: Mapping[str, Decision],
    names: Mapping[str, str],
    *,
    with_code: bool,
    unbelieved: HostUnsuitable | None = None,
) -> Card:
    """What every owner would decide about a run; the first condition that fails, and its fix, stand on top.

    Args:
        decisions: by alias.
        names: DID to the name that the reader knows somebody by.
        unbelieved: what an authority will not believe of the hosts at hand; such a run would get no key.
    """
    worst = worst_of(decisions.values())
    blocks: list[Block] = [] if unbelieved is None else [Line(line) for line in unbelieved.lines()]
    first = next(((alias, one) for alias, one in decisions.items() if one.verdict == worst and worst != "allow"), None)
    if first is not None:
        reason = first[1].reasons[0]
        blocks += [
            Line(f"First, the authority of {first[0]} says: {with_names(reason.text, names)}"),
            Line(f"→ it advises: {with_names(reason.fix, names)}"),
        ]
    rows = [row for alias, one in decisions.items() for row in _reason_rows(alias, "", one, names)]
    blocks.append(Table(("asset", "decision", *_SAID), [(*row[:2], *row[3:]) for row in rows]))
    for alias, one in decisions.items():
        sentences = [with_names(text, names) for text in describe_decision(one)[1 + len(one.reasons) :]]
        if sentences:
            blocks.append(Details(f"What would be granted of {alias}", [Bullets(sentences)]))
    if not with_code:
        blocks.append(Line("No code was given, so it counts as not yet reviewed; %%sls preflight takes a cell."))
    return Card(
        "Preflight",
        blocks,
        subtitle="this run would get no key" if unbelieved is not None else _VERDICT_WORDS[worst],
        simulated=any(is_simulated(tee) for one in decisions.values() for tee in one.tees),
        tone="bad" if unbelieved is not None else _VERDICTS[worst].tone,
    )


def worst_of(decisions: Iterable[Decision]) -> str:
    """deny beats ask beats allow."""
    found = {one.verdict for one in decisions}
    return next(word for word in ("deny", "ask", "allow") if word in found)


def with_names(text: str, names: Mapping[str, str]) -> str:
    """A sentence with the names of people whom the reader knows in place of their DIDs."""
    return re.sub(r"did:key:z[1-9A-HJ-NP-Za-km-z]+", lambda match: names.get(match[0], match[0]), text)


def _reason_rows(asset: str, hosts: str, decision: Decision, names: Mapping[str, str]) -> list[Sequence[Cell]]:
    """One row for each reason; the first one names the asset and the decision."""
    heads: list[Cell] = [Mono(asset), _VERDICTS[decision.verdict], hosts]
    reasons = [(with_names(one.text, names), with_names(one.fix, names)) for one in decision.reasons]
    if not reasons:
        return [(*heads, "Every condition is met.", "")]
    return [(*(heads if number == 0 else ("", "", "")), *pair) for number, pair in enumerate(reasons)]


def can_run_card(
    rows: Iterable[tuple[str, str, Decision]],
    together: Mapping[str, Decision] | None,
    names: Mapping[str, str],
    silent: Sequence[Silent] = (),
) -> Card:
    """What may be run on, and what stands against it, for each asset alone and for all of them in one stream."""
    cells: list[Sequence[Cell]] = []
    simulated = False
    for asset, hosts, decision in rows:
        cells += _reason_rows(asset, hosts or "none", decision, names)
        simulated = simulated or any(is_simulated(tee) for tee in decision.tees)
    heads = ("asset", "decision", "hosts", *_SAID)
    blocks: list[Block] = [Table(heads, cells, "No asset to run on.")]
    if together is not None:
        blocks.append(Facts([("all in one stream", _VERDICTS[worst_of(together.values())])]))
    blocks += silent_lines(silent, "assets are")
    blocks.append(Line("Asked with each owner's own purpose and without code; %%sls preflight -i … asks about a cell."))
    return Card("What may be stitched", blocks, simulated=simulated)


# --- runs -----------------------------------------------------------------------------------------


def audit_card(audit: Audit) -> Card:
    """A run's records and the verdict on its receipt. Whoever sees this card saw every proof of the logs verify."""
    entries: list[Sequence[Cell]] = [
        (
            line.log_name,
            str(line.index),
            Mono(line.entry.kind),
            time_words(line.entry.at),
            facts_words(line.entry.facts),
        )
        for line in audit.lines
    ]
    records: list[Sequence[Cell]] = [
        (str(number), str(record.get("from", "")), Mono(str(record.get("event", ""))), record_words(record))
        for number, record in enumerate(audit.records)
    ]
    missing: list[tuple[str, Cell]] = [("missing", Chip(words, "bad")) for words in missing_words(audit)]
    none = "Not known." if audit.unreached else "The run ended before its sidecar could send any."
    logs: list[tuple[str, Cell]] = [(name, checkpoint_words(size)) for name, size in audit.checkpoints.items()]
    chained = "chained, and their head is the one that the evidence and the log hold"
    proofs = Chip("every proof verified", "good") if audit.checkpoints else Chip("no log could be read", "bad")
    return Card(
        f"Audit of run {audit.run}",
        [
            Facts([*_receipt_facts(audit.verdict), *missing, ("proofs", proofs), *logs]),
            Heading("Log entries"),
            Table(
                ("log", "entry", "what", "when", "facts"),
                entries,
                "No entry of a log that answers." if audit.unreached else "No entry.",
            ),
            Details(
                f"{count_words(len(records), 'record')} of the audit sidecar, {chained}"
                if records
                else "No records of the audit sidecar",
                [Table(("record", "from", "event", "facts"), records, none)],
            ),
        ],
        simulated=audit.simulated,
        not_isolated=audit.isolated is False,
        tone=_audit_tone(audit),
        incomplete=bool(audit.unreached),
    )


def _audit_tone(audit: Audit) -> Tone:
    if audit.verdict is not None and not audit.verdict.accepted:
        return "bad"
    return "note" if missing_words(audit) else "good"


def _receipt_facts(verdict: ReceiptVerdict | None) -> list[tuple[str, Cell]]:
    if verdict is None:
        return [("receipt", Chip("there is none", "note"))]
    words = verdict_words(verdict)
    return [("receipt", Chip(words, "good" if verdict.accepted else "bad")), ("", Mono(verdict.id))]


def missing_words(audit: Audit) -> list[str]:
    """What a complete audit would have and this one has not, one sentence each; nothing if it is complete."""
    kinds = {line.entry.kind for line in audit.lines}
    found = [*audit.unreached, *audit.doubts]
    found += [
        f"{name} released keys and never heard how the run ended: its log does not tell what was done with them."
        for name in audit.unrecorded
    ]
    if audit.verdict is None and audit.unreached:
        found.append("There is no receipt here, and not every log could be asked for it.")
    elif audit.verdict is None and "key.released" in kinds:
        found.append("There is no receipt, though keys were released: no hardware has signed what the run did.")
    elif audit.verdict is None:
        found.append("There is no receipt. No key was released either, so the run read no sealed data.")
    elif not audit.verdict.accepted:
        found.append(f"The receipt does not verify: {failed_words(audit.verdict)}. Do not rely on what it states.")
    if "key.released" in kinds and not audit.records:
        found.append("The records of the audit sidecar are missing.")
    forgotten = sum(line.meaning is None for line in audit.lines)
    if forgotten:
        found.append(
            f"What {count_words(forgotten, 'log entry', 'log entries')} meant was forgotten with the salt: that it is about this run is the log's word."
        )
    return found


def checkpoint_words(size: int) -> str:
    """How far a log was followed."""
    return f"{count_words(size, 'entry', 'entries')} under its signed checkpoint, consistent with the last one seen"


def facts_words(facts: Mapping[str, Any]) -> str:
    """Names with their values, on a line."""
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def record_words(record: Mapping[str, Any]) -> str:
    """What a record of the sidecar says beside its sender, its event and its time."""
    return facts_words({name: value for name, value in record.items() if name not in ("from", "event", "at")})


# --- the rest -------------------------------------------------------------------------------------


def hosts_card(hosts: Mapping[str, Host]) -> Card:
    """Where runs can be placed."""
    known = {name: host.capabilities() for name, host in hosts.items()}
    rows: list[Sequence[Cell]] = [
        (
            Mono(name),
            tee_words(has.tee, not has.isolated),
            str(has.max_cpus),
            size_words(has.max_memory_bytes),
            "; ".join(has.warnings) or "none",
        )
        for name, has in known.items()
    ]
    table = Table(("host", "TEE", "CPUs", "memory", "warnings"), rows, "No host.")
    roots = [(f"root of {name}'s evidence", Mono(has.root)) for name, has in known.items() if has.root]
    more = [(f"{name}'s {what}", said) for name, has in known.items() for what, said in has.facts]
    return Card(
        "Hosts",
        [table, *([Facts([*more, *roots])] if roots or more else [])],
        simulated=any(is_simulated(has.tee) for has in known.values()),
        not_isolated=not all(has.isolated for has in known.values()),
    )


def overview_card(
    name: str,
    assets: Sequence[AssetInfo],
    requests: Sequence[RequestInfo],
    runs: Sequence[RunRecord],
    hosts: Mapping[str, Host],
    silent: Sequence[Silent] = (),
    unreachable: str = "",
) -> Card:
    """``%sls`` alone."""
    mine = sum(info.mine for info in assets)
    waiting = [one for one in requests if one.state == "open" and one.mine_to_decide]
    last = f"; the last, {runs[0].id}: {runs[0].state}" if runs else ""
    inbox: Cell = (
        Chip(f"{count_words(len(waiting), 'request')} waiting for you", "wait") if waiting else "nothing waits"
    )
    known = [host.capabilities() for host in hosts.values()]
    kinds = [has.tee for has in known]
    facts: list[tuple[str, Cell]] = [
        ("assets", f"{mine} yours, {len(assets) - mine} of others"),
        ("inbox", inbox),
        ("runs", f"{len(runs)}{last}"),
        ("hosts", ", ".join(f"{name} ({kind})" for name, kind in zip(hosts, kinds, strict=True)) or "none"),
    ]
    simulated = any(map(is_simulated, kinds))
    troubles = [*unreachable_lines(unreachable), *silent_lines(silent, "assets and requests are")]
    blocks = [Facts(facts), *troubles, Line("%sls help lists what there is.")]
    return Card(f"sls · {name}", blocks, simulated=simulated, not_isolated=not all(has.isolated for has in known))


def help_card(commands: Mapping[str, str]) -> Card:
    """The magics and the sub-commands with what they do."""
    magics: list[Sequence[Cell]] = [
        (Mono("%seal FRAME"), "Seal a table and publish it with a policy."),
        (Mono("%%seal NAME"), "Seal the cell's body as a code asset."),
        (Mono("%%safestream -i ASSET -o NAME"), "Run the cell in an attested container group."),
        (Mono("%sls"), "The overview."),
    ]
    rows: list[Sequence[Cell]] = [(Mono(f"%sls {name}"), text) for name, text in commands.items()]
    return Card("Magics", [Table(("magic", "what it does"), [*magics, *rows]), Line("Each takes --help.")])
