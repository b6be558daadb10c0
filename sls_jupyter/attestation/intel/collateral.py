"""Intel's collateral for one quote: what its parts are, and who signed them.

One JSON object with nine texts, as dcap-qvl and most caches write it. It comes from the caller: nothing is
fetched here. dcap-qvl checks the signatures over TCB info, QE identity and CRLs; it does not read the chain
of the PCK CRL, nor the root certificates inside the chains, nor the signer's name (a PCK key would do), so
all three chains are checked here as well, name by name.

Source: Intel PCS API version 4; dcap-qvl 0.7.0, run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Self, cast

from cryptography import x509

from sls_jupyter.attestation.claims import Check, utc_words
from sls_jupyter.attestation.intel.chain import PCK_CA, ROOT, TCB_SIGNING, chain_checks, parse_chain
from sls_jupyter.attestation.intel.quote import pem_certificates
from sls_jupyter.documents import parse_json, unhex
from sls_jupyter.errors import MalformedDocument

MAX_COLLATERAL_BYTES = 256 * 1024  # those seen have 14 to 19 KiB
CHAINS = MappingProxyType(
    {
        "pck_crl_issuer_chain": (PCK_CA, ROOT),
        "tcb_info_issuer_chain": (TCB_SIGNING, ROOT),
        "qe_identity_issuer_chain": (TCB_SIGNING, ROOT),
    }
)
"""Each chain with the names that may stand in it, leaf first."""
HEX_PARTS = ("root_ca_crl", "pck_crl", "tcb_info_signature", "qe_identity_signature")
JSON_PARTS = ("tcb_info", "qe_identity")
_AROUND = " \t\r\n\0"  # services and caches end chains with blank lines, C programs with a zero byte
PARTS = (*CHAINS, *HEX_PARTS, *JSON_PARTS)


@dataclass(frozen=True, slots=True)
class Collateral:
    """Collateral with every part there and readable. Not verified."""

    parts: Mapping[str, str | bytes]  # the constructor arguments of dcap-qvl's QuoteCollateralV3
    tcb_info: Mapping[str, Any]
    qe_identity: Mapping[str, Any]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read collateral; members beside the nine are not looked at.

        Raises:
            MalformedDocument: a part is missing, empty, of another type, or cannot be read.
        """
        value = parse_json(data, max_bytes=MAX_COLLATERAL_BYTES)
        if not isinstance(value, dict):
            raise MalformedDocument("Collateral is a JSON object.", found=type(value).__name__)
        missing = [name for name in PARTS if not isinstance(value.get(name), str) or not value[name]]
        if missing:
            raise MalformedDocument("Parts of the collateral are missing.", found=", ".join(missing))
        parts: dict[str, str | bytes] = {name: value[name] for name in JSON_PARTS}
        parts |= {name: value[name].strip(_AROUND) + "\n" for name in CHAINS}
        parts |= {name: _unhex(name, value[name]) for name in HEX_PARTS}
        return cls(MappingProxyType(parts), *(_json_object(name, value[name]) for name in JSON_PARTS))

    def checks(self, now: datetime, roots: Collection[bytes]) -> list[Check]:
        """Every chain up to the pinned root.

        Raises:
            MalformedDocument: a certificate cannot be read.
        """
        found: list[Check] = []
        for name, names in CHAINS.items():
            try:
                chain = parse_chain(pem_certificates(str(self.parts[name]).encode()))
            except MalformedDocument as error:
                raise MalformedDocument(
                    f"The part {name} of the collateral is no chain of certificates.",
                    found=error.message,
                    hint="Fetch the collateral again.",
                ) from None
            found += chain_checks(chain, names, now, roots, prefix=name.removesuffix("issuer_chain"))
        return found

    def out_of_time(self, now: datetime) -> list[str]:
        """What does not hold at ``now``, in words: the lists of revoked certificates, TCB info, QE identity."""
        found = []
        for name, what in (("root_ca_crl", "the root's CRL"), ("pck_crl", "the CRL of PCK certificates")):
            try:
                crl = x509.load_der_x509_crl(cast("bytes", self.parts[name]))
            except ValueError:  # for dcap-qvl to refuse
                continue
            found += _outside(what, crl.last_update_utc, crl.next_update_utc, now)
        for what, value in (("TCB info", self.tcb_info), ("QE identity", self.qe_identity)):
            found += _outside(what, _time(value.get("issueDate")), _time(value.get("nextUpdate")), now)
        return found


def _outside(what: str, first: datetime | None, last: datetime | None, now: datetime) -> list[str]:
    if first is not None and now < first:
        return [f"{what} begins {utc_words(first)}"]
    return [f"{what} ended {utc_words(last)}"] if last is not None and now > last else []


def _time(text: Any) -> datetime | None:
    """A time of Intel's (``2025-06-19T09:50:46Z``); what is none is dcap-qvl's to refuse."""
    try:
        return datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _unhex(name: str, text: str) -> bytes:
    try:
        return unhex(text)
    except ValueError:
        raise MalformedDocument("A part of the collateral is not hexadecimal.", found=name) from None


def _json_object(name: str, text: str) -> Mapping[str, Any]:
    value = parse_json(text.encode("utf-8", "replace"), max_bytes=MAX_COLLATERAL_BYTES)
    if not isinstance(value, dict):
        raise MalformedDocument("A part of the collateral is not a JSON object.", found=name)
    return MappingProxyType(value)
