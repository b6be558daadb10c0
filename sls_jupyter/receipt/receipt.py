"""The receipt as it is made, travels and is kept.

::

    make_envelope()      in the audit sidecar: a DSSE envelope whose one signature is hardware evidence
    Receipt              that envelope, and each authority's proof that its log holds the receipt's digest

The signature of the envelope is the JSON of an :class:`Evidence`, its key id the kind of evidence, and::

    REPORT_DATA = SHA-512(lp("sls-jupyter/receipt/v2", "audit", "sha256:" || hex(SHA-256(PAE))))

with DSSE's PAE over payload type and payload. The logs' proofs come after the hardware has signed, so
they are beside the envelope; each of them names the receipt's digest and proves itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar, Self, cast

from pydantic import FailFast, Field

from sls_jupyter.attestation.binding import receipt_report_data
from sls_jupyter.attestation.claims import Evidence
from sls_jupyter.documents import Base64, Document, Envelope, Model, digest
from sls_jupyter.errors import MalformedDocument
from sls_jupyter.identity import save_file
from sls_jupyter.receipt.statement import EnvelopeJson, Statement
from sls_jupyter.transparency.checkpoint import MAX_TREE_SIZE
from sls_jupyter.transparency.proofs import DisclosedEntry


def make_envelope(statement: Statement, attest: Callable[[bytes], Evidence]) -> bytes:
    """Have the hardware sign a statement.

    Args:
        attest: gives evidence with this REPORT_DATA (64 bytes).
    """
    unsigned = Envelope(Statement.payload_type, statement.payload(), "", b"")
    evidence = attest(receipt_report_data(digest(unsigned.pae())))
    return replace(unsigned, keyid=evidence.kind, signature=evidence.encode()).encode()


@dataclass(frozen=True, slots=True)
class Stated:
    """An envelope taken apart: what is stated, and the evidence that has to show ``report_data``. Unverified."""

    statement: Statement
    id: str  # digest of the statement's payload
    evidence: Evidence
    report_data: bytes  # 64


def open_envelope(envelope: bytes) -> Stated:
    """Parse a receipt's envelope.

    Raises:
        MalformedDocument: not one, or its signature is no evidence of the kind that the key id names.
    """
    parsed = Envelope.parse(envelope, Statement.payload_type)
    evidence = Evidence.parse(parsed.signature)
    if evidence.kind != parsed.keyid:
        raise MalformedDocument(
            "The key id of a receipt is not the kind of its evidence.", found=parsed.keyid[:60], expected=evidence.kind
        )
    statement, report_data = Statement.parse(parsed.payload), receipt_report_data(digest(parsed.pae()))
    return Stated(statement, digest(parsed.payload), evidence, report_data)


class Extension(Model):
    """That the log of ``run.records`` begins with the tree of an earlier checkpoint in the statement."""

    tree_size: Annotated[int, Field(ge=1, le=MAX_TREE_SIZE)]  # of the earlier checkpoint
    hashes: Annotated[tuple[Base64, ...], Field(max_length=128)]  # RFC 9162 consistency proof


class Recorded(Model):
    """One authority's word that it took this receipt, proven in its log."""

    entry: DisclosedEntry  # run.records
    extends: tuple[Extension, ...]  # one for each smaller tree of this log in the statement, sorted by size


class Receipt(Document):
    """A run's receipt in one file. ``verify_receipt`` is the next step; parsing proves nothing."""

    __slots__ = ("_stated",)  # as in Document
    payload_type: ClassVar[str] = "application/vnd.sls.receipt.v1+json"

    statement: EnvelopeJson
    recorded: Annotated[
        tuple[Recorded, ...], FailFast(), Field(max_length=64)
    ]  # each authority of the spec, sorted by log

    @classmethod
    def of(cls, envelope: bytes, stated: Stated, recorded: tuple[Recorded, ...]) -> Self:
        """A receipt from its parts.

        Args:
            stated: what :func:`open_envelope` made of this very envelope.
        """
        receipt = cls(statement=EnvelopeJson.of(envelope), recorded=recorded)
        object.__setattr__(receipt, "_stated", stated)
        return receipt

    def stated(self) -> Stated:
        """What is in the envelope, which is read once. Unverified.

        Raises:
            MalformedDocument: as :func:`open_envelope`.
        """
        try:
            return cast(Stated, object.__getattribute__(self, "_stated"))
        except AttributeError:
            stated = open_envelope(self.statement.encode())
            object.__setattr__(self, "_stated", stated)
            return stated

    @property
    def id(self) -> str:
        """The receipt's identifier: the digest of its statement, as the logs hold it."""
        return self.stated().id

    def __repr__(self) -> str:
        return f"<Receipt {self.id}, recorded in {len(self.recorded)} log{'s' if len(self.recorded) != 1 else ''}>"

    __str__ = __repr__

    def save(self, path: str | Path) -> Path:
        """Write the receipt, whole or not at all; a file that is there is replaced.

        Raises:
            Unavailable: it cannot be written there.
        """
        return save_file(path, self.payload(), "receipt")
