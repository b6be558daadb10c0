"""The one place where an authority reads a stream spec."""

from __future__ import annotations

from sls_jupyter.contract.spec import StreamSpec, verify_stream_spec


def read_spec(envelope: bytes) -> StreamSpec:
    """The spec in an envelope, signed by the requester it names, each recipient's key by the recipient.

    Raises:
        MalformedDocument, SignatureInvalid.
    """
    return verify_stream_spec(envelope)
