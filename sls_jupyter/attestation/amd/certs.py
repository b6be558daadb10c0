"""AMD's certificates, one at a time: VCEK (the chip's key at one TCB), ASK (intermediate), ARK (root).

A VLEK is a key that a cloud loads into its chips in the VCEK's place; its intermediate is called ASVK.

``cryptography``'s path builder does not fit, since a VCEK has no key usage, key identifiers or alternative
name, and every genuine one has serial number 0. So the reading is here, by hand; how three of them hang
together is :mod:`sls_jupyter.attestation.amd.chain`.

Sources: AMD 57230 (VCEK certificate and KDS), RFC 5280 section 4.
"""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from sls_jupyter.attestation.amd.report import TCB_LAYOUT
from sls_jupyter.attestation.certificates import Certificate
from sls_jupyter.errors import MalformedDocument

PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA384()), salt_length=48)

AMD_ARC = "1.3.6.1.4.1.3704.1."
STRUCT_VERSION, PRODUCT_NAME, HWID, CSP_ID = "1", "2", "4", "5"  # below AMD_ARC
SPL_OIDS = {
    "Milan": ("3.1", "3.2", "3.4", "3.5", "3.6", "3.7", "3.3", "3.8"),
    "Genoa": ("3.1", "3.2", "3.4", "3.5", "3.6", "3.7", "3.3", "3.8"),
    "Turin": ("3.9", "3.1", "3.2", "3.3", "3.5", "3.6", "3.7", "3.8"),
}
"""The extension for each byte of a TCB value, byte 0 first; parallel to ``report.TCB_LAYOUT``."""
EXTENSION_NAMES = {
    STRUCT_VERSION: "structVersion",
    PRODUCT_NAME: "productName",
    HWID: "hwID",
    CSP_ID: "cspID",
    "3.1": "blSPL",
    "3.2": "teeSPL",
    "3.3": "snpSPL",
    "3.8": "ucodeSPL",
    "3.9": "fmcSPL",
    **{f"3.{number}": f"spl{number}" for number in (4, 5, 6, 7)},
}
"""As AMD 57230 calls them."""
HWID_BYTES = {"Milan": 64, "Genoa": 64, "Turin": 8}


def signed_by(certificate: Certificate, issuer: CertificatePublicKeyTypes) -> bool:
    """Whether an RSA key signed this certificate, with exactly AMD's parameters."""
    if not certificate.pss_sha384 or not isinstance(issuer, rsa.RSAPublicKey):
        return False
    try:
        issuer.verify(certificate.signature, certificate.signed, PSS, hashes.SHA384())
    except (InvalidSignature, ValueError):
        return False
    return True


# --- the extensions of VCEK and VLEK ------------------------------------------------------------------------


def _der_content(value: bytes, tag: int, oid: str, leaf: str) -> bytes:
    """The content of one short DER element that is the whole of ``value``."""
    if len(value) < 2 or value[0] != tag or value[1] != len(value) - 2 or value[1] > 127:
        raise MalformedDocument(
            f"An extension of a {leaf} is malformed.", found=value[:40].hex(), expected=AMD_ARC + oid
        )
    return value[2:]


def _extension(private: Mapping[str, bytes], oid: str, leaf: str) -> bytes:
    if AMD_ARC + oid not in private:
        raise MalformedDocument(f"A {leaf} lacks an extension.", found="nothing", expected=AMD_ARC + oid)
    return private[AMD_ARC + oid]


def require_extensions(private: Mapping[str, bytes], leaf: str) -> None:
    """Everything that a VCEK or VLEK states is there.

    Raises:
        MalformedDocument: with the name of each extension that is missing.
    """
    name = private.get(AMD_ARC + PRODUCT_NAME, b"")[2:].partition(b"-")[0].decode("ascii", "replace")
    levels = SPL_OIDS.get(name, SPL_OIDS["Milan"])
    needed = (STRUCT_VERSION, PRODUCT_NAME, HWID if leaf == "VCEK" else CSP_ID, *levels)
    missing = [oid for oid in needed if AMD_ARC + oid not in private]
    if missing:
        raise MalformedDocument(
            f"A {leaf} lacks {len(missing)} of its extensions.",
            found="no " + ", ".join(EXTENSION_NAMES[oid] for oid in missing),
            expected=f"all of {AMD_ARC}x that AMD 57230 names",
        )


def small_integer(private: Mapping[str, bytes], oid: str, leaf: str) -> int:
    """An INTEGER from 0 to 255; above 127 DER needs two bytes. ``leaf``: VCEK or VLEK, for words."""
    content = _der_content(_extension(private, oid, leaf), 0x02, oid, leaf)
    value = int.from_bytes(content, "big")
    if value > 255 or content != value.to_bytes(1 + (value > 127), "big"):
        raise MalformedDocument(f"A number in a {leaf} is out of range.", found=content[:40].hex(), expected="0 to 255")
    return value


def product_of(private: Mapping[str, bytes], leaf: str) -> str:
    """``Milan-B0`` is a Milan: the part before the hyphen, if it is a product we know. ``leaf``: VCEK or VLEK, for words."""
    text = _der_content(_extension(private, PRODUCT_NAME, leaf), 0x16, PRODUCT_NAME, leaf)
    product = text.partition(b"-")[0].decode("ascii", "replace")
    if product not in TCB_LAYOUT:
        raise MalformedDocument(f"A {leaf} is for an unknown product.", found=product[:40], expected=sorted(TCB_LAYOUT))
    return product


def hwid_of(private: Mapping[str, bytes], product: str) -> bytes:
    """The hardware id padded to CHIP_ID's 64 bytes: raw, or in one DER OCTET STRING; nothing else."""
    value, size = _extension(private, HWID, "VCEK"), HWID_BYTES[product]
    if len(value) != size:
        value = _der_content(value, 0x04, HWID, "VCEK")
    if len(value) != size:
        raise MalformedDocument("A VCEK's hardware id has the wrong size.", found=len(value), expected=size)
    return value.ljust(64, b"\0")


def require_csp_id(private: Mapping[str, bytes]) -> None:
    """A VLEK names the cloud it was given to, and no chip."""
    _der_content(_extension(private, CSP_ID, "VLEK"), 0x16, CSP_ID, "VLEK")
    if AMD_ARC + HWID in private:
        raise MalformedDocument("A VLEK names a chip.", expected="no hardware id")
