"""One receipt under examination: what the auditor wants, and what was found good so far.

A step that needs something asks for it with :func:`need`; if an earlier step did not find it good, the line
says so and has failed. So no step can be skipped without a failed line.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NoReturn, TypeVar

from sls_jupyter.assets.manifest import AssetManifest
from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.attestation.claims import Check
from sls_jupyter.contract.cells import CellGrant, CellOrder
from sls_jupyter.contract.grants import Grant
from sls_jupyter.contract.spec import AssetInput, StreamSpec
from sls_jupyter.errors import SlsError
from sls_jupyter.receipt.receipt import Receipt, Stated
from sls_jupyter.receipt.statement import InputRecord
from sls_jupyter.receipt.verdict import Taken, fail, passed, same_set
from sls_jupyter.transparency.cosignature import WitnessPolicy
from sls_jupyter.transparency.entries import Entry

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the auditor expects; see :func:`sls_jupyter.receipt.verify.verify_receipt`."""

    now: datetime
    images: Collection[str]
    anchors: TrustAnchors
    owners: Collection[str] | None
    logs: Collection[str] | None
    witnesses: WitnessPolicy | None
    accept_simulated: bool
    spec: str | None  # digest
    order: str | None = None  # digest, of one cell of a session


@dataclass(slots=True)
class Findings:
    """What is in here was verified by the step that put it here; ``stated`` alone was only parsed."""

    data: bytes | Receipt
    wanted: Wanted
    receipt: Receipt | None = None
    stated: Stated | None = None
    receipt_id: str = ""  # digests, each computed once: the documents may be large
    spec: StreamSpec | None = None
    spec_id: str = ""
    manifests: dict[str, AssetManifest] = field(default_factory=dict)  # by alias
    grants: dict[str, Grant] = field(default_factory=dict)  # by alias
    releases: dict[str, Entry] = field(default_factory=dict)  # key.released, by alias
    records: dict[str, Entry] = field(default_factory=dict)  # run.records, by log
    order: CellOrder | None = None  # of a cell; a run has none
    cell_grants: tuple[CellGrant, ...] = ()  # of every authority, once they were found good
    init_data: bytes | None = None  # 32, of the policy that spec and image give
    taken: list[Taken] = field(default_factory=list)

    def inputs(self) -> list[tuple[AssetInput, InputRecord]]:
        """The spec's inputs, each with what the receipt has of it."""
        spec, stated = need(self.spec, "spec"), need(self.stated, "receipt")
        records = stated.statement.predicate.inputs
        if [one.alias for one in records] != [item.alias for item in spec.inputs]:
            raise NotMade("list of inputs")
        return list(zip(spec.inputs, records, strict=True))

    def of_all(self, found: Mapping[str, T], what: str) -> list[T]:
        """What was found of every input, in the order of the spec."""
        return [need(found.get(item.alias), what) for item, _ in self.inputs()]

    def logs(self) -> list[str]:
        """The authorities of the spec, sorted; each signs its log with the key of its DID."""
        return [did for did, _ in need(self.spec, "spec").authorities()]

    def judged_at(self) -> datetime:
        """When the last of the owners' logs recorded the receipt, so that no one of them can backdate it; else now."""
        times = [entry.at for entry in self.records.values()]
        return datetime.fromtimestamp(max(times), UTC) if times else self.wanted.now

    def ordered(self) -> CellOrder | None:
        """The order of the cell, found good; ``None`` for a run.

        Raises:
            NotMade: it was not, or it is not known whether this is a run.
        """
        if need(self.spec, "spec").session is None:
            return None
        return need(self.order, "cell")

    # --- lines ------------------------------------------------------------------------------------

    def each_input(self, name: str, expected: str, check: Callable[[AssetInput, InputRecord], object]) -> list[Check]:
        """A line for each input; one line that says why not, if they cannot be told."""
        try:
            pairs = self.inputs()
        except NotMade as error:
            return [fail(name, str(error), expected)]
        return [_line_of(f"{name} {item.alias}", expected, check, item, one) for item, one in pairs]

    def pinned(self, what: str, found: Mapping[str, str], expected: Collection[str] | None) -> Check:
        """The line that these are the ones expected; without an expectation they are listed as taken.

        Args:
            found: DID to the inputs that it is about.
        """
        if expected is not None:
            return same_set(f"{what}s", list(found), list(expected))
        self.taken += [Taken(what, did, about) for did, about in found.items()]
        return passed(f"{what}s", ", ".join(sorted(found)), f"taken from the receipt: pin each with --{what}")


def _line_of(
    name: str, expected: str, check: Callable[[AssetInput, InputRecord], object], item: AssetInput, one: InputRecord
) -> Check:
    return line(name, expected, lambda: check(item, one))


class NotMade(Exception):  # no error: the reason why a line could not be looked at
    """A check needs something that an earlier check did not find good."""

    def __init__(self, what: str) -> None:
        super().__init__(f"not checked, because the {what} is not good")


def need(value: T | None, what: str) -> T:
    """The value, if there is one.

    Raises:
        NotMade: there is none.
    """
    if value is None:
        raise NotMade(what)
    return value


def refuse(message: str, found: object, expected: object) -> NoReturn:
    """End a check as failed."""
    raise SlsError(message, found=found, expected=expected)


def line(name: str, expected: str, check: Callable[[], object]) -> Check:
    """One check: what ``check`` returns was found, and is good; an error is a failed line."""
    try:
        return passed(name, check(), expected)
    except NotMade as error:
        return fail(name, error, expected)
    except SlsError as error:
        return fail(name, words(error), error.expected or expected)


def words(error: SlsError) -> str:
    """An error in a line."""
    return f"{error.message} {error.found or ''}".strip()
