"""Receipts of a session without a group: two owners' authorities, real orders, grants and releases, signed cell by cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from builders import IMAGE, NOW, World
from cells_kit import CELLS, Notebook, session_spec
from receipt_kit import LATER, Direct

from sls_jupyter.authority import release, runs
from sls_jupyter.contract.cells import CellGrant, CellOrder, cell_obligations
from sls_jupyter.contract.grants import Grant
from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.documents import sign, verify
from sls_jupyter.guest.account import Account
from sls_jupyter.guest.bundle import Result, pack, seal_result, subjects_of
from sls_jupyter.identity import verify_signature
from sls_jupyter.receipt.receipt import Receipt, make_envelope
from sls_jupyter.receipt.statement import CellRecord, EnvelopeJson, Statement
from sls_jupyter.receipt.verdict import ReceiptVerdict
from sls_jupyter.receipt.verify import verify_receipt
from sls_jupyter.safestream.receipts import fetch_receipt
from sls_jupyter.transparency.chain import Chain, encode_records

Change = Callable[[Statement], Statement]


@dataclass
class Cell:
    """One cell that ran: its statement, as the hardware signs it, and its records."""

    order: CellOrder
    records: bytes
    envelope: bytes
    statement: Statement


@dataclass
class SignedSession:
    """A session over one asset of each owner."""

    worlds: dict[str, World]
    spec: StreamSpec
    notebook: Notebook
    told: list[dict[str, str]]
    released: dict[str, Any] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)

    @classmethod
    def open(cls, worlds: dict[str, World], **changes: Any) -> SignedSession:
        inputs, manifests = [], {}
        for number, world in enumerate(worlds.values()):
            world.clock.seconds = NOW
            sealed = world.publish(f"asset{number}")
            inputs.append(world.input(sealed, f"asset{number}"))
            manifests[f"asset{number}"] = sealed
        first = next(iter(worlds.values()))
        spec = session_spec(first, *inputs, **changes)
        told = [{"alias": one.alias, "manifest": manifests[one.alias].envelope.decode(), "grant": ""} for one in inputs]
        made = cls(worlds, spec, Notebook(first, spec), told)
        made._sealed = manifests  # type: ignore[attr-defined]
        return made

    def run(self, code: str, *, post: bool = True, change: Change = lambda one: one, **cell: Any) -> Cell:
        """Order, grant, execute and sign one cell; the clocks move on by ten seconds.

        Args:
            change: what the group states instead. cell: fields of the record ``cell`` that differ.
        """
        order = self.notebook.add(code)
        answers = {did: self._ask(world) for did, world in self.worlds.items()}
        if order.number == 1:
            self._release(answers)
        cell_grants = [answers[did].cell_grant for did, _ in self.spec.authorities()]
        at = self.notebook.world.clock()
        account = Account(self.spec, sign(self.spec, self.notebook.world.analyst), self.told, now=at)
        for alias, logged in self.released.items():
            account.release(alias, logged)
        records, head = self._records(order)
        self._finish(account, order, cell_grants)
        record = CellRecord(
            order=EnvelopeJson.of(sign(order, self.notebook.world.analyst)),
            grants=tuple(map(EnvelopeJson.of, cell_grants)),
            previous=self.cells[-1].statement.digest if self.cells else None,
        )
        for world in self.worlds.values():
            world.clock.seconds += 10
        statement = account.statement(IMAGE, records, head, now=at + 10)
        record = record.model_copy(update=cell)
        statement = change(
            statement.model_copy(update={"predicate": statement.predicate.model_copy(update={"cell": record})})
        )
        made = Cell(order, records, self.sign(statement), statement)
        self.cells.append(made)
        if post:
            self.post(made)
        return made

    def _ask(self, world: World) -> Any:
        return Notebook(world, self.spec, self.notebook.orders, self.notebook.texts).ask()

    def _release(self, answers: dict[str, Any]) -> None:
        grants = {}
        for answer in answers.values():
            for envelope in answer.grants:
                grants[verify(envelope, Grant, verify_signature, did=None).asset] = envelope.decode()
        for one, item in zip(self.told, self.spec.inputs, strict=True):
            one["grant"] = grants[item.asset]
            world = self.worlds[item.authority]
            found = release.release(world.authority, world.attempt(self._sealed[item.alias], self.spec).request)  # type: ignore[attr-defined]
            self.released[item.alias] = found.logged.model_dump(mode="json")

    def _records(self, order: CellOrder) -> tuple[bytes, str]:
        chain = Chain(order.digest)
        return encode_records([chain.append({"event": "running", "cell": order.number})]), chain.head

    def _finish(self, account: Account, order: CellOrder, cell_grants: Sequence[bytes]) -> None:
        grants = [verify(one["grant"].encode(), Grant, verify_signature, did=None) for one in self.told]
        granted = [verify(one, CellGrant, verify_signature, did=None) for one in cell_grants]
        rules = cell_obligations(self.spec, grants, granted)
        verdict = {"rules": rules.model_dump(mode="json"), "released": {"table": 1}, "withheld": {}, "bytes": 64}
        packed, me = pack(Result((), (), verdict)), self.notebook.world.analyst
        sealed = {me.did: seal_result(packed, order.digest, me.did, me.hpke.public_bytes)}
        account.gate("ok", None, verdict)
        account.finish("ok", subjects_of(packed, sealed))

    def sign(self, statement: Statement, **report: Any) -> bytes:
        """What an honest processor signs for this group."""
        return make_envelope(statement, lambda data: self.notebook.world.evidence(data, self.spec, **report))

    def post(self, cell: Cell) -> list[int]:
        return [
            runs.post_records(world.authority, self.spec.digest, cell.records, cell.envelope)
            for world in self.worlds.values()
        ]

    def receipt(self, cell: int | None = None) -> Receipt:
        clients: dict[str, Any] = {did: Direct(world) for did, world in self.worlds.items()}
        return fetch_receipt(self.spec, clients, cell=cell)

    def check(self, data: bytes | Receipt, **options: Any) -> ReceiptVerdict:
        """Verify as an auditor who accepts simulation and pins nobody."""
        defaults: dict[str, Any] = {"now": LATER, "images": {IMAGE.digest}, "accept_simulated": True}
        return verify_receipt(data if isinstance(data, bytes) else data.payload(), **(defaults | options))


def signed_session(worlds: dict[str, World], codes: Sequence[str] = CELLS[:3]) -> SignedSession:
    """A session that ran these cells."""
    made = SignedSession.open(worlds)
    for code in codes:
        made.run(code)
    return made
