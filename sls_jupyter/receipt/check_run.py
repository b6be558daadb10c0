"""Checks 14 to 16: when the run was, what the gate enforced, and which results there are."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from sls_jupyter.attestation.evidence import Check
from sls_jupyter.contract.grants import combined_obligations
from sls_jupyter.identity import CLOCK_SKEW_SECONDS
from sls_jupyter.receipt.findings import Findings, line, need, refuse
from sls_jupyter.receipt.statement import RUN_STATES


def check_times(found: Findings) -> Iterable[Check]:
    """14. Contract, release, end and records are in their order, and none lies in the future."""

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
    return [
        ("The spec was issued", spec.issued_at, "its keys were released", min(released)),
        (keys, max(released), "the spec expired", spec.expires_at),
        *(("The grant was issued", one.issued_at, "its keys were released", at) for at, one in pairs),
        *((keys, at, "the grant expired", one.expires_at) for at, one in pairs),
        ("The contract was accepted", run.started_at, "the first key was released", min(released)),
        (keys, max(released), "the run ended", run.ended_at),
        (ended, run.ended_at, "it was recorded", recorded),
        ("The run was recorded", last_recorded, "now", int(found.wanted.now.timestamp())),
    ]


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def check_gate(found: Findings) -> Iterable[Check]:
    """15. The gate has said what it let go, under the strictest of all grants."""

    def check() -> str:
        predicate = need(found.stated, "receipt").statement.predicate
        grants = tuple(found.of_all(found.grants, "grant"))
        rules = combined_obligations(need(found.spec, "spec"), grants)
        gate, ended = predicate.gate, RUN_STATES[predicate.run.status]
        if gate is None:
            refuse(f"The gate has not said what it let go ({ended}).", None, "the gate's verdict")
        if gate.rules != rules:
            refuse("The gate enforced other rules.", gate.rules.model_dump_json(), rules.model_dump_json())
        limit = f" ({predicate.run.limit})" if predicate.run.limit else ""
        released = ", ".join(f"{count} {kind}" for kind, count in gate.released.items()) or "nothing"
        return f"{ended}{limit}; released: {released}; {gate.bytes} bytes"

    return [line("gate", "the strictest of all grants was enforced", check)]


def check_results(found: Findings) -> Iterable[Check]:
    """16. The subjects are the results of this spec, sealed to exactly its recipients."""

    def check() -> str:
        spec, statement = need(found.spec, "spec"), need(found.stated, "receipt").statement
        subjects = set(statement.subjects())
        outputs = {f"output/{name}" for name in spec.outputs}
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
