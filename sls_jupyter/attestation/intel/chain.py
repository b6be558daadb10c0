"""Intel's certificates, and the signatures inside a quote up to the pinned root key.

Three things hang together: the certificate chain (root, CA, PCK), the quoting enclave's report, which the PCK
key signs and which holds a digest of the attestation key, and the quote, which that key signs. Checked here
with ``cryptography`` alone, so that a quote without collateral still gets a verdict on its signatures, and
each broken link its own line. Revocation and TCB level need collateral: :mod:`sls_jupyter.attestation.intel.verify`.

Source: Intel SGX PCK certificate and CRL specification; RFC 5280 section 6.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from sls_jupyter.attestation.certificates import Certificate, spki_of
from sls_jupyter.attestation.claims import Check, compare, within
from sls_jupyter.attestation.intel.quote import Quote

PCK = ("Intel SGX PCK Certificate",)
PCK_CA = ("Intel SGX PCK Platform CA", "Intel SGX PCK Processor CA")
TCB_SIGNING = ("Intel SGX TCB Signing",)
ROOT = ("Intel SGX Root CA",)

_ECDSA = ec.ECDSA(hashes.SHA256())


def _line(name: str, ok: bool, expected: str, found: str) -> Check:
    return Check(name=name, found=expected if ok else found[:400], expected=expected, ok=ok)


def _signed(key: CertificatePublicKeyTypes, signature: bytes, data: bytes) -> bool:
    """Whether a P-256 key made this DER signature."""
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        return False
    try:
        key.verify(signature, data, _ECDSA)
    except InvalidSignature:
        return False
    return True


def _raw_signed(key: CertificatePublicKeyTypes, signature: bytes, data: bytes) -> bool:
    """The same for r and s of 32 bytes each, as they stand in a quote."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    return _signed(key, encode_dss_signature(r, s), data)


# --- a chain of certificates ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chain:
    """A parsed chain, leaf first, and whether its links hold. That depends on its bytes alone."""

    certificates: tuple[Certificate, ...]
    links_hold: bool
    root_pin: bytes  # SHA-256 of the last key's SubjectPublicKeyInfo

    @property
    def leaf_key(self) -> CertificatePublicKeyTypes:
        return self.certificates[0].key


@lru_cache(maxsize=64)
def parse_chain(ders: tuple[bytes, ...]) -> Chain:
    """Parse a chain, leaf first; one or more certificates. The last chains are remembered.

    Raises:
        MalformedDocument: one of them is not a certificate.
    """
    certificates = tuple(Certificate.parse(der) for der in ders)
    pin = hashlib.sha256(spki_of(certificates[-1].key)).digest()
    return Chain(certificates, _links_hold(certificates), pin)


def chain_checks(
    chain: Chain,
    names: Sequence[tuple[str, ...]],
    now: datetime,
    roots: Collection[bytes],
    prefix: str = "",
) -> list[Check]:
    """Check a chain, leaf first, root last: names, root key, signatures, CA bits and the time.

    Args:
        names: for each place in the chain, the common names that may stand there.
        roots: SHA-256 of the SubjectPublicKeyInfo of every root that is believed.
        prefix: goes before the name of each check.
    """
    found = [certificate.common_name for certificate in chain.certificates]
    expected = ", ".join(" or ".join(each) for each in names)
    named = len(found) == len(names) and all(name in each for name, each in zip(found, names, strict=True))
    first = max(certificate.not_before for certificate in chain.certificates)
    last = min(certificate.not_after for certificate in chain.certificates)
    return [
        _line(f"{prefix}chain_names", named, expected, ", ".join(found)),
        _line(f"{prefix}root", chain.root_pin in roots, "the pinned key of Intel's root", chain.root_pin.hex()),
        _line(f"{prefix}chain_signatures", chain.links_hold, "each signed by the next", "one that is not"),
        within(f"{prefix}chain_validity", now, first, last),
    ]


def _links_hold(chain: Sequence[Certificate]) -> bool:
    """Every certificate is signed and named by the next one, which may sign; the last one by itself."""
    issuers = [*chain[1:], chain[-1]]
    return all(
        certificate.issuer == issuer.subject
        and issuer.may_sign
        and (issuer.path_length is None or issuer.path_length >= min(place, len(chain) - 2))
        and not certificate.unknown_critical
        and _signed(issuer.key, certificate.signature, certificate.signed)
        for place, (certificate, issuer) in enumerate(zip(chain, issuers, strict=True))
    )


# --- the signatures of one quote ------------------------------------------------------------------


def quote_checks(quote: Quote, now: datetime, roots: Collection[bytes]) -> list[Check]:
    """Every signature of a quote, from Intel's root key to the report body.

    Raises:
        MalformedDocument: a certificate cannot be read.
    """
    chain = parse_chain(quote.certificates)
    bound = hashlib.sha256(quote.attestation_key + quote.qe_auth).digest() + bytes(32)
    return [
        *chain_checks(chain, (PCK, PCK_CA, ROOT), now, roots),
        _line(
            "qe_signature",
            _raw_signed(chain.leaf_key, quote.qe_signature, quote.qe_report),
            "the quoting enclave's report is signed by the PCK key",
            "does not verify",
        ),
        compare("attestation_key", bound.hex(), quote.qe["report_data"].hex()),
        compare("qe_debug", "on" if quote.qe["attributes"][0] & 0x02 else "off", "off"),
        _line("signature", _quote_signed(quote), "signed by the attestation key", "does not verify"),
    ]


def _quote_signed(quote: Quote) -> bool:
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + quote.attestation_key)
    except ValueError:  # not a point of the curve
        return False
    return _raw_signed(key, quote.signature, quote.signed)
