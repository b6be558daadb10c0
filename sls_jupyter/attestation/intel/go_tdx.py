"""A TDX quote in the JSON that go-tdx-guest writes of it, put together again to the bytes that were signed.

Protocol buffers in JSON: members in camel or snake case, bytes in base64, a number of zero left out. Nothing is believed
here: a value that was changed makes a quote whose signature does not hold.

Source: google/go-tdx-guest, ``proto/tdx.proto`` (QuoteV4, QuoteV5) and the offsets of ``abi/abi.go``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sls_jupyter.documents import b64decode
from sls_jupyter.errors import MalformedDocument

_BODY = (
    *(("tee_tcb_svn", 16), ("mr_seam", 48), ("mr_signer_seam", 48), ("seam_attributes", 8), ("td_attributes", 8)),
    *(("xfam", 8), ("mr_td", 48), ("mr_config_id", 48), ("mr_owner", 48), ("mr_owner_config", 48)),
)
_ENCLAVE: Sequence[tuple[str, int]] = (
    *(("cpu_svn", 16), ("misc_select", -4), ("reserved1", 28), ("attributes", 16), ("mr_enclave", 32)),
    *(("reserved2", 32), ("mr_signer", 32), ("reserved3", 96), ("isv_prod_id", -2), ("isv_svn", -2)),
    *(("reserved4", 60), ("report_data", 64)),
)
"""Name and bytes; a negative size is a number of so many bytes, little-endian."""
_BODY_TYPES = {2: 584, 3: 648}  # of version 5: TDX 1.0 and 1.5


def looks_like_go_tdx(value: Mapping[str, Any]) -> bool:
    """Whether this may be such a quote, by the names of its members."""
    names = {_plain(name) for name in value}
    return {"header", "signeddata"} <= names and bool(names & {"tdquotebody", "tdquotebodydescriptor"})


def quote_bytes(value: Mapping[str, Any]) -> bytes:
    """The quote that it describes.

    Raises:
        MalformedDocument: a member is missing, or of another type or length than the format says.
    """
    message = _Message(value, "quote")
    header = message.inner("header")
    version = header.number("version", 2)
    head = version + header.number("attestation_key_type", 2) + header.number("tee_type", 4)
    head += header.data("pce_svn", 2) + header.data("qe_svn", 2)
    head += header.data("qe_vendor_id", 16) + header.data("user_data", 20)
    body = _body_5(message) if int.from_bytes(version, "little") == 5 else _body(message.inner("td_quote_body"))
    signed = _signed_data(message.inner("signed_data"))
    return head + body + len(signed).to_bytes(4, "little") + signed


def _body(body: _Message) -> bytes:
    data = b"".join(body.data(name, size) for name, size in _BODY)
    return data + b"".join(body.items("rtmrs", 4, 48)) + body.data("report_data", 64)


def _body_5(message: _Message) -> bytes:
    described = message.inner("td_quote_body_descriptor")
    kind = described.number("td_quote_body_type", 2)
    inner = described.inner("td_quote_body_v5")
    data = _body(inner)
    if int.from_bytes(kind, "little") == 3:
        data += inner.data("tee_tcb_svn2", 16) + inner.data("mr_service_td", 48)
    if _BODY_TYPES.get(int.from_bytes(kind, "little")) != len(data):
        raise _malformed("td_quote_body_type", int.from_bytes(kind, "little"), "2 or 3")
    return kind + len(data).to_bytes(4, "little") + data


def _signed_data(signed: _Message) -> bytes:
    data = signed.data("signature", 64) + signed.data("ecdsa_attestation_key", 64)
    certified = signed.inner("certification_data")
    report = certified.inner("qe_report_certification_data")
    enclave, auth = report.inner("qe_report"), report.inner("qe_auth_data").data("data", None)
    if len(auth) >= 1 << 16:
        raise _malformed("qe_auth_data", f"{len(auth)} bytes", "65535 bytes at most")
    chain = report.inner("pck_certificate_chain_data")
    inner = b"".join(enclave.data(name, size) if size > 0 else enclave.number(name, -size) for name, size in _ENCLAVE)
    inner += report.data("qe_report_signature", 64) + len(auth).to_bytes(2, "little") + auth
    certificates = chain.data("pck_cert_chain", None)
    inner += chain.number("certificate_data_type", 2) + len(certificates).to_bytes(4, "little") + certificates
    return data + certified.number("certificate_data_type", 2) + len(inner).to_bytes(4, "little") + inner


def _plain(name: object) -> str:
    return re.sub("_", "", str(name)).lower()


def _malformed(name: str, found: object, expected: object) -> MalformedDocument:
    return MalformedDocument(
        f"A quote in go-tdx-guest's JSON cannot be read at {name}.", found=str(found)[:80], expected=expected
    )


class _Message:
    """One message of the protocol buffer, with its members by name in either spelling."""

    def __init__(self, value: object, name: str) -> None:
        if not isinstance(value, Mapping):
            raise _malformed(name, type(value).__name__, "an object")
        self.members = {_plain(key): item for key, item in value.items()}

    def inner(self, name: str) -> _Message:
        return _Message(self.members.get(_plain(name)), name)

    def number(self, name: str, size: int) -> bytes:
        value = self.members.get(_plain(name), 0)
        if type(value) is not int or not 0 <= value < 1 << 8 * size:
            raise _malformed(name, value, f"a number of {size} bytes")
        return value.to_bytes(size, "little")

    def data(self, name: str, size: int | None) -> bytes:
        return _data(name, self.members.get(_plain(name), ""), size)

    def items(self, name: str, count: int, size: int) -> list[bytes]:
        value = self.members.get(_plain(name))
        if not isinstance(value, list) or len(value) != count:
            raise _malformed(name, type(value).__name__, f"a list of {count}")
        return [_data(name, item, size) for item in value]


def _data(name: str, value: object, size: int | None) -> bytes:
    if not isinstance(value, str):
        raise _malformed(name, type(value).__name__, "base64")
    data = b64decode(value)
    if size is not None and len(data) != size:
        raise _malformed(name, f"{len(data)} bytes", f"{size} bytes")
    return data
