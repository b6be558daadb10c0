"""AMD's chain: the VCEK signed by the ASK, the ASK by the ARK, and what the VCEK says of its chip.

The chain's bytes alone decide everything here, so the answer is cached. The pin of the root and the time
are the caller's to check, each time; so is revocation (:mod:`.crl`).

Sources: AMD 57230 (VCEK certificate and KDS), RFC 5280 section 6.1.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_public_key

from sls_jupyter.attestation.amd.certs import (
    SPL_OIDS,
    STRUCT_VERSION,
    hwid_of,
    product_of,
    require_csp_id,
    require_extensions,
    signed_by,
    small_integer,
)
from sls_jupyter.attestation.amd.roots import AMD_ROOT_KEYS
from sls_jupyter.attestation.certificates import Certificate, spki_of
from sls_jupyter.attestation.claims import Check
from sls_jupyter.errors import MalformedDocument

MAX_CACHED_CHAINS = 64


@dataclass(frozen=True, slots=True)
class ChainRules:
    """What the chains of one kind of evidence look like."""

    prefix: str  # before every common name: nothing for AMD's, SIMULATED for a development chain
    rsa_bits: int  # size of the ASK's key; the ARK's is fixed by its pin
    shipped_roots: bool  # a root key of ours may stand in for an ARK that did not travel
    leaf: str = "VCEK"  # or VLEK, whose names are others and which stands for no chip

    @property
    def authority(self) -> str:
        """Who signs the leaf, in AMD's words."""
        return "ASK" if self.leaf == "VCEK" else "ASVK"


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain's facts, and the checks that its bytes alone decide. The root is *not* pinned here."""

    signer: str  # VCEK or VLEK
    root_pin: bytes  # SHA-256 of the root's SPKI
    product: str
    tcb: bytes  # 8, in the report's layout
    hwid: bytes  # 64, padded; empty for a VLEK
    key: ec.EllipticCurvePublicKey  # the VCEK's or VLEK's
    root_spki: bytes  # the root's SubjectPublicKeyInfo, DER
    root_name: x509.Name
    authority_serials: tuple[tuple[str, int], ...]  # ASK's and, if it travelled, ARK's
    not_before: datetime  # the latest of all certificates
    not_after: datetime  # the earliest
    checks: tuple[Check, ...]


@lru_cache(maxsize=MAX_CACHED_CHAINS)
def examine(rules: ChainRules, ders: tuple[bytes, ...]) -> Chain:
    """Read VCEK, ASK and ARK and check how they hang together. A pure function, cached by the bytes.

    Args:
        ders: VCEK, ASK and, unless a root key is shipped with us, ARK.

    Raises:
        MalformedDocument: a certificate or a required extension cannot be read.
    """
    if len(ders) not in ((2, 3) if rules.shipped_roots else (3,)):
        raise MalformedDocument(
            "A chain has the wrong number of certificates.",
            found=len(ders),
            expected=f"{rules.leaf}, {rules.authority} and ARK",
        )
    certificates = tuple(Certificate.parse(der) for der in ders)
    vcek = certificates[0]
    require_extensions(vcek.private, rules.leaf)
    product = product_of(vcek.private, rules.leaf)
    if small_integer(vcek.private, STRUCT_VERSION, rules.leaf) not in (0, 1):
        raise MalformedDocument(f"A {rules.leaf} has an unknown structure version.", expected="0 or 1")
    if not (isinstance(vcek.key, ec.EllipticCurvePublicKey) and isinstance(vcek.key.curve, ec.SECP384R1)):
        raise MalformedDocument(f"A {rules.leaf}'s key is not one of P-384.")
    root = certificates[2].key if len(certificates) == 3 else _shipped_root(product)
    root_spki = spki_of(root)
    return Chain(
        signer=rules.leaf,
        root_pin=hashlib.sha256(root_spki).digest(),
        product=product,
        tcb=bytes(small_integer(vcek.private, oid, rules.leaf) for oid in SPL_OIDS[product]),
        hwid=_hwid(rules, vcek, product),
        key=vcek.key,
        root_spki=root_spki,
        root_name=certificates[1].issuer,
        authority_serials=tuple(
            (name, item.serial) for name, item in zip((rules.authority, "ARK"), certificates[1:], strict=False)
        ),
        not_before=max(item.not_before for item in certificates),
        not_after=min(item.not_after for item in certificates),
        checks=(
            _signatures(certificates, rules, root),
            _names(certificates, rules, product),
            _authority(certificates, rules),
        ),
    )


def _hwid(rules: ChainRules, leaf: Certificate, product: str) -> bytes:
    if rules.leaf == "VCEK":
        return hwid_of(leaf.private, product)
    require_csp_id(leaf.private)
    return b""


def _shipped_root(product: str) -> rsa.RSAPublicKey:
    key = load_der_public_key(AMD_ROOT_KEYS[product])
    assert isinstance(key, rsa.RSAPublicKey)  # noqa: S101 - our own constant
    return key


def _check(name: str, faults: list[str], expected: str) -> Check:
    return Check(name=name, found="; ".join(faults)[:400] or expected, expected=expected, ok=not faults)


def _signatures(certificates: tuple[Certificate, ...], rules: ChainRules, root: CertificatePublicKeyTypes) -> Check:
    """Each certificate is signed by the next; the root by itself."""
    keys = [*(item.key for item in certificates[1:]), root][: len(certificates)]
    leaf, middle = rules.leaf, rules.authority
    labels = (f"{leaf} not signed by the {middle}", f"{middle} not signed by the ARK", "ARK not signed by itself")
    faults = [label for label, item, key in zip(labels, certificates, keys, strict=False) if not signed_by(item, key)]
    return _check("chain_signatures", faults, "each signed by the next, RSASSA-PSS with SHA-384")


def _names(certificates: tuple[Certificate, ...], rules: ChainRules, product: str) -> Check:
    """Common names are AMD's for this product (a VLEK's are others), and each issuer is the next subject."""
    intermediate = f"SEV-{product}" if rules.leaf == "VCEK" else f"SEV-{rules.leaf}-{product}"
    expected = [f"{rules.prefix}{name}" for name in (f"SEV-{rules.leaf}", intermediate, f"ARK-{product}")]
    faults = [
        f"{item.common_name or 'no single name'} for {name}"
        for item, name in zip(certificates, expected, strict=False)
        if item.common_name != name
    ]
    parents = [*certificates[1:], *certificates[2:3]]
    faults += [
        f"issuer of {item.common_name}"
        for item, parent in zip(certificates, parents, strict=False)
        if item.issuer != parent.subject
    ]
    return _check("chain_names", faults, ", ".join(expected))


def _authority(certificates: tuple[Certificate, ...], rules: ChainRules) -> Check:
    """Who may sign whom: CA bits, path lengths, the ASK's (or ASVK's) key size, no unknown critical extension."""
    leaf, middle, bits = rules.leaf, rules.authority, rules.rsa_bits
    signer, ask, *ark = certificates
    faults = [f"the {leaf} is a CA"] if signer.may_sign else []
    faults += [
        f"{label} is no CA" for label, item in zip((middle, "ARK"), (ask, *ark), strict=False) if not item.may_sign
    ]
    faults += ["the ARK's path length is 0" for item in ark if item.path_length == 0]
    if not isinstance(ask.key, rsa.RSAPublicKey) or ask.key.key_size != bits:
        faults.append(f"the {middle}'s key is not RSA-{bits}")
    faults += [f"critical extension {oid}" for item in certificates for oid in item.unknown_critical]
    return _check("chain_authority", faults, f"ARK and {middle} are CAs, the {leaf} is not, the {middle} is RSA-{bits}")
