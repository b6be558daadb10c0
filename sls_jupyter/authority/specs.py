"""The one place where an authority reads what is asked for."""

from __future__ import annotations

from sls_jupyter.contract.cells import CellOrder
from sls_jupyter.contract.proposal import Proposal, verify_proposal
from sls_jupyter.contract.spec import StreamSpec, verify_stream_spec
from sls_jupyter.documents import parse_signed


def read_spec(envelope: bytes) -> StreamSpec:
    """The spec in an envelope, signed by the requester it names, each recipient's key by the recipient.

    Raises:
        MalformedDocument, SignatureInvalid.
    """
    return verify_stream_spec(envelope)


def read_proposal(spec: bytes, order: bytes | None) -> Proposal:
    """A run's spec, or a session's with the order of its newest cell, as they are kept here.

    Raises:
        MalformedDocument, SignatureInvalid, DigestMismatch, BadInput.
    """
    return verify_proposal(spec, order)


def parse_order(envelope: bytes) -> CellOrder:
    """An order without a look at its signature: one that was verified when it was kept, or is verified next.

    Raises:
        MalformedDocument.
    """
    return parse_signed(envelope, CellOrder)
