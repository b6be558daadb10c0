"""A session at one authority, driven by hand: :class:`Notebook` orders its cells one after another.

What a test wants to be different is an argument; the requester's signatures are always real.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from builders import World

from sls_jupyter.authority import cells
from sls_jupyter.authority.inbox import Answer
from sls_jupyter.contract.cells import CellOrder, CellTerms
from sls_jupyter.contract.proposal import CellText, Proposal
from sls_jupyter.contract.spec import AssetInput, SessionTerms, StreamSpec
from sls_jupyter.documents import digest, sign
from sls_jupyter.identity import Identity

NO_PARAMETERS = b'{"frames":{},"values":{}}'
CELLS = ("total = len(patients)\n", "mean = patients.age.mean()\n", "risk = patients.outcome.mean()\n", "print(risk)\n")


def terms_of(code: str, parameters: bytes = NO_PARAMETERS, outputs: Sequence[str] = ()) -> CellTerms:
    return CellTerms(code=digest(code.encode()), parameters=digest(parameters), outputs=tuple(outputs))


def session_spec(world: World, *inputs: AssetInput, nonce: int = 0, **changes: Any) -> StreamSpec:
    """A session of the analyst's; ``nonce`` tells one from the next on the same terms."""
    session = changes.pop("session", SessionTerms(cells=10))
    fields = {"code": None, "parameters": None, "outputs": (), "session": session, "expires_at": world.clock() + 36_000}
    return world.spec(*inputs, nonce=nonce, **fields | changes)


@dataclass
class Notebook:
    """One session: its spec, and the orders and texts so far."""

    world: World
    spec: StreamSpec
    orders: list[CellOrder] = field(default_factory=list)
    texts: list[CellText] = field(default_factory=list)

    @classmethod
    def open(cls, world: World, *, nonce: int = 0, policy: dict[str, Any] | None = None, **spec: Any) -> Notebook:
        """A session over one asset that is published now under :meth:`World.policy` with changes."""
        sealed = world.publish(**policy or {})
        return cls(world, session_spec(world, world.input(sealed), nonce=nonce, **spec))

    def again(self, nonce: int = 1, **changes: Any) -> Notebook:
        """Another session on the same terms."""
        times = {"issued_at": self.world.clock(), "expires_at": self.world.clock() + 36_000}
        return Notebook(self.world, self.spec.model_copy(update={"nonce": f"{nonce:032x}", **times, **changes}))

    @property
    def proposal(self) -> Proposal:
        return Proposal(self.spec, self.orders[-1])

    def add(self, code: str, **changes: Any) -> CellOrder:
        """Order one more cell."""
        order, text = self.ordered(code, **changes), CellText(code, NO_PARAMETERS)
        self.orders.append(order)
        self.texts.append(text)
        return order

    def ordered(self, code: str, *, after: int | None = None, **changes: Any) -> CellOrder:
        """An order that follows the first ``after`` ones; all of them by default."""
        before = self.orders[: len(self.orders) if after is None else after]
        fields: dict[str, Any] = {
            "requester": self.spec.requester,
            "session": self.spec.digest,
            "previous": before[-1].digest if before else None,
            "cells": (*(one.cell for one in before), terms_of(code)),
            "issued_at": self.world.clock(),
            "expires_at": self.world.clock() + 3600,
        }
        return CellOrder(**fields | changes)

    def replace_last(self, code: str) -> CellOrder:
        """Another cell in the place of the newest one."""
        self.orders.pop()
        self.texts.pop()
        return self.add(code)

    def envelopes(self, signer: Identity | None = None) -> tuple[bytes, ...]:
        return tuple(sign(one, signer or self.world.analyst) for one in self.orders)

    def ask(self, **changes: Any) -> Answer:
        """Ask about the newest cell; ``orders``, ``texts``, ``caller``, ``spec`` or ``dry_run`` may differ."""
        dry_run = changes.pop("dry_run", False)
        caller = changes.pop("caller", self.spec.requester)
        fields = {
            "spec": sign(self.spec, self.world.analyst),
            "orders": self.envelopes(),
            "texts": tuple(self.texts),
            "contact": None,
        }
        return cells.submit(self.world.authority, caller, cells.Submission(**fields | changes), dry_run=dry_run)

    def run(self, *codes: str) -> list[Answer]:
        """Order cells and ask for each in its turn."""
        answers = []
        for code in codes:
            self.add(code)
            answers.append(self.ask())
        return answers

    def verdicts(self, *codes: str) -> list[str]:
        return [answer.verdict for answer in self.run(*codes)]
