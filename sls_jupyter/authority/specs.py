"""The one place where an authority reads a stream spec."""

from __future__ import annotations

from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.documents import verify
from sls_jupyter.identity import verify_signature


def read_spec(envelope: bytes) -> StreamSpec:
    """The spec in an envelope, signed by the requester it names.

    Raises:
        MalformedDocument, SignatureInvalid.
    """
    return verify(envelope, StreamSpec, verify_signature, did=None)
