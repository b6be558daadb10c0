"""Quotes in go-tdx-guest's JSON: the same bytes come out that its library read."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from sls_jupyter.attestation.files import sort_files
from sls_jupyter.attestation.intel.go_tdx import _BODY, _ENCLAVE, looks_like_go_tdx, quote_bytes
from sls_jupyter.attestation.intel.quote import Quote
from sls_jupyter.errors import MalformedDocument

TDX = Path(__file__).parent / "vectors" / "tdx"
QUOTES = {4: TDX / "uptodate-v4" / "quote.bin", 5: TDX / "nomatchingtcb-v5" / "quote.bin"}


def take(data: bytes, fields: Any) -> tuple[dict[str, Any], bytes]:
    found: dict[str, Any] = {}
    for name, size in fields:
        part, data = data[: abs(size)], data[abs(size) :]
        found[name] = base64.b64encode(part).decode() if size > 0 else int.from_bytes(part, "little")
    return found, data


def as_json(data: bytes, *, camel: bool) -> dict[str, Any]:
    """What protojson writes: zero numbers left out, names in camel case unless it is told otherwise."""
    header, rest = take(data, [("version", -2), ("attestation_key_type", -2), ("tee_type", -4), ("pce_svn", 2), ("qe_svn", 2),
                               ("qe_vendor_id", 16), ("user_data", 20)])  # fmt: skip
    value: dict[str, Any] = {"header": header}
    kind = 0
    if header["version"] == 5:
        (descriptor, rest) = take(rest, [("td_quote_body_type", -2), ("td_quote_body_size", -4)])
        kind = descriptor["td_quote_body_type"]
    body, rest = take(rest, _BODY)
    registers, rest = take(rest, [(f"r{number}", 48) for number in range(4)])
    more, rest = take(
        rest, [("report_data", 64), *([("tee_tcb_svn2", 16), ("mr_service_td", 48)] if kind == 3 else [])]
    )
    body |= {"rtmrs": list(registers.values()), **more}
    if kind:
        value["td_quote_body_descriptor"] = {**descriptor, "td_quote_body_v5": body}
    else:
        value["td_quote_body"] = body
    size, rest = take(rest, [("signed_data_size", -4)])
    signed, rest = take(rest[: size["signed_data_size"]], [("signature", 64), ("ecdsa_attestation_key", 64)])
    outer, rest = take(rest, [("certificate_data_type", -2), ("size", -4)])
    enclave, rest = take(rest, _ENCLAVE)
    by, rest = take(rest, [("qe_report_signature", 64), ("auth", -2)])
    auth, rest = take(rest, [("data", by.pop("auth"))])
    chain, rest = take(rest, [("certificate_data_type", -2), ("size", -4)])
    chain |= {"pck_cert_chain": base64.b64encode(rest).decode()}
    report = {"qe_report": enclave, **by, "qe_auth_data": auth, "pck_certificate_chain_data": chain}
    signed["certification_data"] = {**outer, "qe_report_certification_data": report}
    return spelled({**value, **size, "signed_data": signed}, camel)


def spelled(value: Any, camel: bool) -> Any:
    if isinstance(value, dict):
        names = {name: re.sub(r"_(\w)", lambda found: found[1].upper(), name) if camel else name for name in value}
        return {names[name]: spelled(item, camel) for name, item in value.items() if item not in (0, "")}
    return value


@pytest.mark.parametrize("camel", [True, False])
@pytest.mark.parametrize("version", QUOTES)
def test_the_quote_comes_back(version: int, camel: bool) -> None:
    """A quote that was kept by another verifier is judged as the one that the hardware signed."""
    data = QUOTES[version].read_bytes()
    data = data[: Quote.parse(data).length]
    value = as_json(data, camel=camel)
    assert looks_like_go_tdx(value)
    assert quote_bytes(value) == data
    assert sort_files([json.dumps(value).encode()]).quote == data


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"header": None}, "at header"),
        ({"header": {"version": -1}}, "at version"),
        ({"header": {"version": True}}, "at version"),
        ({"tdQuoteBody": {"teeTcbSvn": "AAAA"}}, "at tee_tcb_svn"),
        ({"tdQuoteBody": []}, "at td_quote_body"),
        ({"signedData": {"signature": 3}}, "at signature"),
    ],
)
def test_another_form_is_refused_by_its_member(change: dict[str, Any], words: str) -> None:
    """A file that was cut or edited is told where."""
    value = as_json(QUOTES[4].read_bytes(), camel=True)
    with pytest.raises(MalformedDocument, match=words):
        quote_bytes({**value, **change})


def test_data_that_no_quote_can_hold_are_refused() -> None:
    """The length of the quoting enclave's data has two bytes: more of it ends in our words and not in a traceback."""
    value = as_json(QUOTES[4].read_bytes(), camel=True)
    report = value["signedData"]["certificationData"]["qeReportCertificationData"]
    report["qeAuthData"]["data"] = base64.b64encode(bytes(1 << 16)).decode()
    with pytest.raises(MalformedDocument, match="at qe_auth_data"):
        quote_bytes(value)
