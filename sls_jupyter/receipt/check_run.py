"""Checks 15 to 17: when the run was, what the gate enforced, and which results there are."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from sls_jupyter.attestation.claims import Check
from sls_jupyter.contract.cells import cell_obligations
from sls_jupyter.contract.grants import Grant, Obligations, combined_obligations
from sls_jupyter.identity import CLOCK_SKEW_SECONDS
from sls_jupyter.receipt.findings import Findings, line, need, refuse
from sls_jupyter.receipt.statement import RUN_STATES


def check_times(found: Findings) -> Iterable[Check]:
    """15. Contract, release, end and records are in their order, and none lies in the future."""

    def check() -> str:
        run = need(found.stated, "receipt").statement.predicate.run
        recorded = [need(found.records.get(log), "log entry").at for log in found.logs()]
        for earlier, first, later, second in _order(found, min(recorded), max(recorded)):
            if first > second + CLOCK_SKEW_SECONDS:
                refuse(f"{earlier} after {later}.", _time(first), f"{_time(second)} at the latest")
        return f"{_time(run.started_at)} to {_time(run.ended_at)}, recorded {_time(min(recorded))}"

    return [line("times", f"in order, to {CLOCK_SKEW_SECONDS} s", check)]


def _order(found: Findings, recorded: int, last_recorded: int) -> list[tuple[str, int, str, int]]:
    """(what, when, what must not have been before it, when)."""
    spec, run = need(found.spec, "spec"), need(found.stated, "receipt").statement.predicate.run
    released = [entry.at for entry in found.of_all(found.releases, "release of keys")]
    pairs = list(zip(released, found.of_all(found.grants, "grant"), strict=True))
    keys, ended = "Keys were released", "The run ended"
    # a session's keys are released with its first cell, and each of its receipts is about one cell
    accepted = [("The contract was accepted", run.started_at, "the first key was released", min(released))]
    return [
        ("The spec was issued", spec.issued_at, "its keys were released", min(released)),
        (keys, max(released), "the spec expired", spec.expires_at),
        *(("The grant was issued", one.issued_at, "its keys were released", at) for at, one in pairs),
        *((keys, at, "the grant expired", one.expires_at) for at, one in pairs),
        *(accepted if found.ordered() is None else []),
        ("The run began", run.started_at, "it ended", run.ended_at),
        (keys, max(released), "the run ended", run.ended_at),
        (ended, run.ended_at, "it was recorded", recorded),
        ("The run was recorded", last_recorded, "now", int(found.wanted.now.timestamp())),
    ]


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def check_gate(found: Findings) -> Iterable[Check]:
    """16. The gate has said what it let go, under the strictest of all grants."""

    def check() -> str:
        predicate = need(found.stated, "receipt").statement.predicate
        grants = tuple(found.of_all(found.grants, "grant"))
        rules = _rules(found, grants)
        gate, ended = predicate.gate, RUN_STATES[predicate.run.status]
        if gate is None:
            refuse(f"The gate has not said what it let go ({ended}).", None, "the gate's verdict")
        if gate.rules != rules:
            refuse("The gate enforced other rules.", gate.rules.model_dump_json(), rules.model_dump_json())
        limit = f" ({predicate.run.limit})" if predicate.run.limit else ""
        released = ", ".join(f"{count} {kind}" for kind, count in gate.released.items()) or "nothing"
        return f"{ended}{limit}; released: {released}; {gate.bytes} bytes"

    return [line("gate", "the strictest of all grants was enforced", check)]


def _rules(found: Findings, grants: tuple[Grant, ...]) -> Obligations:
    """What had to be enforced."""
    spec = need(found.spec, "spec")
    if found.ordered() is None:
        return combined_obligations(spec, grants)
    return cell_obligations(spec, grants, need(found.cell_grants or None, "cell grants"))


def check_results(found: Findings) -> Iterable[Check]:
    """17. The subjects are the results of this spec, sealed to exactly its recipients."""

    def check() -> str:
        spec, statement = need(found.spec, "spec"), need(found.stated, "receipt").statement
        subjects = set(statement.subjects())
        order = found.ordered()
        outputs = {f"output/{name}" for name in (spec.outputs if order is None else order.cell.outputs)}
        needed = {"records"}
        if statement.predicate.run.status != "stopped":  # nothing is sealed for anybody then
            needed |= {"result", *(f"sealed/{person.did}" for person in spec.recipients)}
        if needed - subjects or subjects - needed - outputs:
            refuse("The subjects are not this run's.", ", ".join(sorted(subjects)), ", ".join(sorted(needed)))
        named = sorted(subjects & outputs)
        if named and statement.predicate.run.status != "ok":
            refuse("A run that did not end by itself returns nothing by name.", ", ".join(named), "none")
        returned = ", ".join(name.removeprefix("output/") for name in named) or "nothing by name"
        return f"{returned}; sealed to {len(needed) - 2 if 'result' in needed else 'nobody'}"

    return [line("results", "sealed to exactly the recipients of the spec, and nothing else", check)]
