"""AMD's certificate revocation lists: what a caller supplies is checked, nothing is fetched.

A list can revoke ASK and ARK only: every VCEK has serial number 0 and names no list. So it must be signed by
the ARK of the chain, cover the time asked for, and not name the chain's intermediate or root.

Source: AMD 57230 (KDS, ``/vcek/v1/{product}/crl``), RFC 5280 section 5.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import SignatureAlgorithmOID

from sls_jupyter.attestation.amd.certs import PSS
from sls_jupyter.attestation.amd.chain import Chain
from sls_jupyter.attestation.certificates import FOREIGN_ERRORS
from sls_jupyter.attestation.claims import Check, utc_words
from sls_jupyter.errors import MalformedDocument

MAX_CRL_BYTES = 64 * 1024


def revocation_check(chain: Chain, lists: Collection[bytes], now: datetime) -> Check:
    """Whether one of the lists covers the chain, and none of those that do revokes it.

    Args:
        lists: DER; at least one. Lists of other products are passed over.
        now: with a time zone.
    """
    covering, faults = 0, []
    for data in lists:
        try:
            found = _read(data, chain.root_spki, chain.root_name)
        except MalformedDocument as error:
            faults.append(error.message)
            continue
        if found is not None:
            covering += 1
            faults += _faults(found, chain, now)
    if not covering and not faults:
        faults = ["no list is by this chain's ARK"]
    middle = chain.authority_serials[0][0]
    expected = f"a list by the chain's ARK, valid at this time, that names neither {middle} nor ARK"
    return Check(name="revocation", found="; ".join(faults)[:400] or "not revoked", expected=expected, ok=not faults)


@lru_cache(maxsize=16)
def _read(data: bytes, root_spki: bytes, root_name: x509.Name) -> x509.CertificateRevocationList | None:
    """A list whose signature by this root holds; ``None`` for one of another root.

    Raises:
        MalformedDocument: not a list that can be read.
    """
    if len(data) > MAX_CRL_BYTES:
        raise MalformedDocument("A revocation list is too large.", found=f"{len(data)} bytes")
    try:
        found = x509.load_der_x509_crl(data)
        unknown = [item.oid.dotted_string for item in found.extensions if item.critical]
        # whatever cannot be read fails here, and not later
        _ = len(found), found.next_update_utc, found.last_update_utc
        ours = found.issuer == root_name and _signed(found, root_spki)
    except FOREIGN_ERRORS:
        raise MalformedDocument("This is not a revocation list we can read.") from None
    if unknown:
        raise MalformedDocument("A revocation list has a critical extension.", found=", ".join(unknown)[:200])
    return found if ours else None


def _signed(found: x509.CertificateRevocationList, root_spki: bytes) -> bool:
    key = load_der_public_key(root_spki)
    algorithm = (found.signature_algorithm_oid, type(found.signature_hash_algorithm))
    if not isinstance(key, rsa.RSAPublicKey) or algorithm != (SignatureAlgorithmOID.RSASSA_PSS, hashes.SHA384):
        return False
    try:
        key.verify(found.signature, found.tbs_certlist_bytes, PSS, hashes.SHA384())
    except InvalidSignature:
        return False
    return True


def _faults(found: x509.CertificateRevocationList, chain: Chain, now: datetime) -> Iterator[str]:
    start, end = found.last_update_utc, found.next_update_utc
    if end is None:
        yield "a list without an end"
    elif now > end:
        yield f"the list is over since {utc_words(end)}"
    elif now < start:
        yield f"the list does not begin before {utc_words(start)}"
    for name, serial in chain.authority_serials:
        if found.get_revoked_certificate_by_serial_number(serial) is not None:
            yield f"the {name} is revoked"
