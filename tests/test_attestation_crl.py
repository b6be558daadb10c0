"""AMD's revocation lists: believed only by the chain's own root, in their time, and never fetched."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from forge import NOW, genuine_looking, rsa_key
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.attestation.amd.certs import PSS
from sls_jupyter.attestation.azure.forms import recognise
from sls_jupyter.attestation.certificates import Certificate
from sls_jupyter.attestation.refusals import CertificateRevoked
from sls_jupyter.attestation.verify import verify

FORGE = genuine_looking()
EVIDENCE = FORGE.evidence(kind="sev-snp")
DAY = timedelta(days=1)
ASK, ARK = (Certificate.parse(der).serial for der in EVIDENCE.endorsement_bytes()[1:])


def crl(
    *serials: int, name: str = "ARK-Genoa", key: str = "root", start: Any = NOW - DAY, end: Any = NOW + DAY, **more: Any
) -> bytes:
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateRevocationListBuilder(issuer, start, end)
    for serial in serials:
        revoked = x509.RevokedCertificateBuilder(serial, start).build()
        builder = builder.add_revoked_certificate(revoked)
    if more.get("critical"):
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x05\x00")
        builder = builder.add_extension(unknown, critical=True)
    padding = None if more.get("old_padding") else PSS
    return builder.sign(rsa_key(key), hashes.SHA384(), rsa_padding=padding).public_bytes(Encoding.DER)


def anchors(*lists: bytes) -> Any:
    return replace(FORGE.genuine_anchors(), revocation_lists=lists)


def found(*lists: bytes) -> str:
    with pytest.raises(CertificateRevoked) as caught:
        verify(EVIDENCE, anchors(*lists), now=NOW)
    assert caught.value.detail["failed"] == ["revocation"]
    return str(caught.value.found)


def test_list_that_revokes_nothing_of_ours() -> None:
    """A good list of the chain's root passes, and its line is in the result."""
    lists = (crl(0, 12345), crl(name="ARK-Milan", key="other"))
    checks = verify(EVIDENCE, anchors(*lists), now=NOW).checks
    assert [check.found for check in checks if check.name == "revocation"] == ["not revoked"]


def test_no_list_no_line() -> None:
    """Without a list the result does not say that revocation was checked."""
    assert "revocation" not in [check.name for check in verify(EVIDENCE, anchors(), now=NOW).checks]


@pytest.mark.parametrize(("serial", "name"), [(ASK, "ASK"), (ARK, "ARK")], ids=["ASK", "ARK"])
def test_revoked(serial: int, name: str) -> None:
    """An intermediate or a root that AMD took back is refused."""
    assert f"the {name} is revoked" in found(crl(serial))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"key": "other"}, "no list is by"),
        ({"name": "ARK-Milan"}, "no list is by"),
        ({"old_padding": True}, "no list is by"),
        ({"start": NOW - 3 * DAY, "end": NOW - DAY}, "the list is over since"),
        ({"start": NOW + DAY, "end": NOW + 2 * DAY}, "does not begin before"),
        ({"critical": True}, "critical extension"),
    ],
)
def test_lists_that_do_not_count(changes: dict[str, Any], reason: str) -> None:
    """A stranger's list, an old one, one that cannot be understood: a list was supplied and does not cover the chain."""
    assert reason in found(crl(**changes))


def test_flipped_bits() -> None:
    """A changed list is not AMD's any more; a bit of every byte."""
    good = crl()
    for position in range(len(good)):
        changed = bytearray(good)
        changed[position] ^= 1 << position % 8
        found(bytes(changed))


def test_recognised_by_content() -> None:
    """A list is told from a certificate, as DER and as PEM."""
    der = crl(5)
    assert recognise(der).revocation_lists == (der,)
    pem = x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)
    assert recognise(pem).revocation_lists == (der,)
    for certificate in EVIDENCE.endorsement_bytes():
        assert recognise(certificate).certificates == (certificate,)


@given(st.binary(max_size=100))
def test_random_lists(data: bytes) -> None:
    """A stranger's bytes end in a failed check."""
    found(data)
