"""What comes back of a run or of a session's cell: its results, sealed and opened, held against the receipt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.documents import digest
from sls_jupyter.errors import DigestMismatch, SlsError
from sls_jupyter.guest.bundle import Result, read_result, subjects_of, unseal
from sls_jupyter.guest.values import restore
from sls_jupyter.identity import Identity
from sls_jupyter.receipt.verdict import VerifiedReceipt
from sls_jupyter.safestream.doors import AttestedDoor
from sls_jupyter.safestream.run import Run

Deposit = Callable[[Run, Mapping[str, bytes]], str]  # (run, sealed results by recipient) -> URL


def note_input(run: Run, event: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """What the input tells on the way, in the run's status."""
    kind = event["type"]
    if kind == "key":
        owner = names.get(event["authority"], event["authority"])
        evidence = f"{event['alias']}: entry {event['entry']} in the log of {owner}"
        run.steps.note("keys released", f"{event['alias']}", evidence=evidence)
        run.summary.setdefault("entries", {})[event["authority"]] = event["entry"]
    elif kind == "fed":
        run.steps.note("keys released", evidence=f"{event['alias']}: {event['rows']} rows read inside the group")
    elif kind == "running":
        if run.steps["keys released"].state == "active":
            count = len(run.summary.get("entries", {}))
            run.steps.done("keys released", f"by {count} authorit{'ies' if count > 1 else 'y'}")
        run.steps.begin("running")


class Collected:
    """The results of one run or one cell.

    Args:
        contract: digest that results are bound to: the spec's, or the cell's order's.
        names: DID -> name, for messages.
    """

    def __init__(self, spec: StreamSpec, contract: str, identity: Identity, names: Mapping[str, str]) -> None:
        self._spec, self._contract, self._me, self._names = spec, contract, identity, names
        self._sealed: dict[str, bytes] = {}  # by recipient; kept once the receipt says that they are this run's
        self._digests: dict[str, str] = {}  # of what came back, by the receipt's names

    def collect(self, run: Run, out: AttestedDoor, end: Mapping[str, Any], cell: int | None = None) -> None:
        """Fetch each recipient's sealed result and open our own: ``checked``, ``sealed``, ``returned``."""
        if not end.get("sealed"):
            return
        run.steps.done("running")
        run.steps.begin("checked")
        _tell_verdict(run, end.get("verdict"))
        run.steps.begin("sealed")
        for person in self._spec.recipients:
            data = out.result_for(person.did, cell)
            self._sealed[person.did] = data
            self._digests[f"sealed/{person.did}"] = digest(data)
        run.steps.done("sealed", f"to {', '.join(self._names.get(did, did) for did in self._sealed)}")
        run.steps.begin("returned")
        if self._me.did in self._sealed:
            packed = unseal(self._sealed[self._me.did], self._contract, self._me.did, self._me.hpke)
            self._digests |= subjects_of(packed)
            _take_result(run, read_result(packed))
        run.steps.done("returned", ", ".join(run.outputs) or "nothing by name")

    def compare(self, run: Run, receipt: VerifiedReceipt) -> None:
        """Raise :class:`DigestMismatch` unless every result is the one that the receipt names; keep the receipt."""
        stated = dict(receipt.verdict.subjects)
        for name, found in self._digests.items():
            if stated.get(name) != found:
                raise DigestMismatch(
                    "A result is not the receipt's.",
                    found=found,
                    expected=stated.get(name),
                    hint="Do not use it. Keep the receipt, and ask the owners what their logs hold.",
                )
        run.receipt, run.summary["receipt"] = receipt, receipt.id
        run.steps.note("returned", evidence=f"receipt {receipt.id}")

    def keep(self, run: Run, save: Callable[[str, str, bytes], object], deposit: Deposit | None) -> SlsError | None:
        """Keep what is sealed, and put it where the requester wants it; what went wrong with that."""
        for recipient, data in self._sealed.items():
            where = save(self._contract, recipient, data)
            if recipient != self._me.did:
                who = self._names.get(recipient, recipient)
                run.steps.note("returned", evidence=f"for {who}, with the receipt: {where}")
        if deposit is None or not self._sealed:
            return None
        try:
            url = deposit(run, self._sealed)
        except SlsError as error:  # the results are kept here all the same
            error.hint = f"The result is kept here: %sls result {run.id} shows it, with --to URL it is stored again."
            return error
        run.summary["stored"] = url
        run.steps.note("returned", evidence=f"stored, sealed, in {url}")
        return None


def refuse_results(run: Run, refusal: SlsError) -> None:
    """A receipt that is not what it has to be: nothing that came back is shown as a result."""
    run.outputs.clear()
    run.summary["receipt_refused"] = refusal.message


def _tell_verdict(run: Run, verdict: Any) -> None:
    """What the gate held back; a requester who is no recipient is not told."""
    if verdict is None:
        run.steps.done("checked", "only recipients are told what was withheld")
        return
    withheld = {name: count for name, count in verdict["withheld"].items() if count}
    held = ", ".join(f"{count} {name}" for name, count in withheld.items())
    run.steps.note("checked", evidence=f"rules: {verdict['rules']}")
    run.steps.done("checked", f"withheld: {held}" if held else "nothing withheld")
    run.summary["withheld"] = withheld


def _take_result(run: Run, result: Result) -> None:
    for about, table in result.tables:
        run.outputs[about["name"]] = restore(table, about["shape"])
        run.summary.setdefault("tables", []).append(about)
