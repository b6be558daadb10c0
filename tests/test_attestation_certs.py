"""AMD's certificates: what is read of them, what the cache does, and that strangers' bytes do no harm."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from forge import Forge, tampered
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.attestation.amd.certs import AMD_ARC, HWID, require_extensions
from sls_jupyter.attestation.amd.chain import examine
from sls_jupyter.attestation.amd.roots import AMD_ROOT_KEYS, AMD_ROOT_PINS
from sls_jupyter.attestation.amd.verify import GENUINE_RULES, SIMULATED_RULES
from sls_jupyter.attestation.certificates import Certificate, spki_of
from sls_jupyter.errors import MalformedDocument

VECTORS = Path(__file__).parent / "vectors" / "snp"
CHAIN = Forge().chain().endorsements

PINS = {
    "Milan": "9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9",
    "Genoa": "429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831",
    "Turin": "4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08",
}


def test_pins_are_the_published_ones() -> None:
    """A changed byte in a shipped root would let a stranger's chain in, or keep AMD's out."""
    assert {name: pin.hex() for name, pin in AMD_ROOT_PINS.items()} == PINS


@pytest.mark.parametrize("product", sorted(PINS))
def test_shipped_roots_are_those_of_amd_certificates(product: str) -> None:
    """The shipped key is the key of AMD's own root certificate."""
    root = x509.load_pem_x509_certificates((VECTORS / "roots" / f"{product.lower()}_ask_ark.pem").read_bytes())[1]
    assert spki_of(root.public_key()) == AMD_ROOT_KEYS[product]


def test_serial_number_zero_loads_in_silence() -> None:
    """AMD's certificates have serial number 0; a warning for each would drown the real ones."""
    pem = (VECTORS / "aci-turin-v5" / "vcek.pem").read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Certificate.parse(der).common_name == "SEV-VCEK"


def test_wrapped_hardware_id_of_a_real_certificate() -> None:
    """The published certificate with an OCTET STRING around its hardware id can be read."""
    certificate = Certificate.parse((VECTORS / "vcek-hwid-octetstring" / "vcek.der").read_bytes())
    assert certificate.private[AMD_ARC + HWID][2:] == bytes(range(64))


def test_missing_extensions_are_named_all_at_once() -> None:
    """Whoever made the certificate learns everything that is missing, in AMD's own words."""
    certificate = Certificate.parse((VECTORS / "vcek-hwid-octetstring" / "vcek.der").read_bytes())
    require_extensions(certificate.private, "VCEK")
    left = {oid: value for oid, value in certificate.private.items() if oid[len(AMD_ARC) :] not in ("3.3", "4", "3.8")}
    with pytest.raises(MalformedDocument, match="A VCEK lacks 3 of its extensions") as refused:
        require_extensions(left, "VCEK")
    assert refused.value.found == "no hwID, snpSPL, ucodeSPL"
    with pytest.raises(MalformedDocument, match="A VLEK lacks 1 of its extensions"):
        require_extensions(certificate.private, "VLEK")


def test_the_same_bytes_are_examined_once() -> None:
    """A second piece of evidence from the same chip costs no RSA."""
    assert examine(SIMULATED_RULES, CHAIN) is examine(SIMULATED_RULES, tuple(bytes(bytearray(der)) for der in CHAIN))


def test_the_cache_tells_rules_apart() -> None:
    """A verdict under one kind's rules is never the other's."""
    assert all(check.ok for check in examine(SIMULATED_RULES, CHAIN).checks)
    assert not all(check.ok for check in examine(GENUINE_RULES, CHAIN).checks)


def test_root_pin_is_the_digest_of_the_key() -> None:
    """Pins are over the public key, so a root that is issued again keeps its pin."""
    spki = spki_of(Certificate.parse(CHAIN[2]).key)
    assert examine(SIMULATED_RULES, CHAIN).root_pin == hashlib.sha256(spki).digest()


@given(st.binary(max_size=64) | st.binary(min_size=1, max_size=64).map(lambda start: (start * 9000)[:9000]))
def test_random_bytes_raise_our_errors_only(data: bytes) -> None:
    """A stranger's bytes never end in a foreign traceback."""
    with pytest.raises(MalformedDocument):
        Certificate.parse(data)


def holds(chain: tuple[bytes, ...]) -> bool:
    """Whether a chain can be read and passes every check that its bytes decide."""
    try:
        return all(check.ok for check in examine.__wrapped__(SIMULATED_RULES, chain).checks)
    except MalformedDocument:
        return False


@pytest.mark.parametrize("index", [0, 1, 2])
def test_every_flipped_bit_is_refused(index: int) -> None:
    """No single bit of a certificate can change, the parts that nothing signs included."""
    assert holds(CHAIN)
    changed = list(CHAIN)
    for bit in range(8 * len(CHAIN[index])):
        changed[index] = tampered(CHAIN[index], bit)
        assert not holds(tuple(changed)), f"bit {bit}"


@given(st.sampled_from([0, 1, 2]), st.data())
def test_damaged_certificates_raise_our_errors_only(index: int, data: st.DataObject) -> None:
    """A certificate with some bytes overwritten is read or refused; nothing else comes out."""
    der = bytearray(CHAIN[index])
    for _ in range(data.draw(st.integers(1, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    changed = [*CHAIN]
    changed[index] = bytes(der)
    assert tuple(changed) == CHAIN or not holds(tuple(changed))
