"""A simulated secure processor: the SEV-SNP wire format, signed by a chain made on this machine.

It proves nothing about hardware. It exists so that every step behind real hardware runs, byte for byte,
on a laptop. Its certificates say SIMULATED in every name, its evidence is of the kind ``simulated-snp``,
and a relying party believes it only after adding this chain's root to its own trust anchors.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from sls_jupyter.attestation.amd import report as snp
from sls_jupyter.attestation.amd.chain import examine
from sls_jupyter.attestation.amd.issue import Issuer, amd_extensions
from sls_jupyter.attestation.amd.verify import SIMULATED_PREFIX, SIMULATED_RSA_BITS, SIMULATED_RULES
from sls_jupyter.attestation.certificates import spki_of
from sls_jupyter.attestation.claims import Evidence
from sls_jupyter.documents import Base64, Document, b64decode, b64encode
from sls_jupyter.errors import BadInput, MalformedDocument, Unavailable
from sls_jupyter.identity import write_private

PRODUCT = "Genoa"
_CPUID = {"Milan": (0x19, 0x01, 0x01), "Genoa": (0x19, 0x11, 0x01), "Turin": (0x1A, 0x02, 0x01)}
TCB = {"bootloader": 10, "fmc": 1, "tee": 0, "snp": 0x17, "microcode": 0x54}
POLICY = 0x3001F  # ABI 0.31, SMT allowed, nothing else: what Azure's container groups show
_FILE = "development-chain.json"


def root_pin_of(evidence: Evidence) -> bytes:
    """The pin (SHA-256, 32 bytes) of the development root that simulated evidence brings along. Proves nothing.

    Raises:
        MalformedDocument: there is none, or it is no certificate.
    """
    try:
        root = x509.load_der_x509_certificate(evidence.endorsement_bytes()[2])
        return hashlib.sha256(spki_of(root.public_key())).digest()
    except (IndexError, ValueError, UnsupportedAlgorithm):
        raise MalformedDocument("Simulated evidence has no root certificate.", found=evidence.kind) from None


# --- the chain ------------------------------------------------------------------------------------


class _Stored(Document):
    """The private file of a development chain."""

    payload_type = "application/vnd.sls.development-chain.v1+json"

    vcek_key: Base64  # PKCS #8, DER
    endorsements: tuple[Base64, Base64, Base64]  # VCEK, ASK, ARK, DER


@dataclass(frozen=True, slots=True)
class DevelopmentChain:
    """One simulated chip: its VCEK key and the certificates above it.

    The keys of ARK and ASK are thrown away when the chain is made, so nobody can extend it. The two are
    RSA-2048, not AMD's RSA-4096: a first start must not take seconds, and the verifier knows the
    difference. Every certificate is valid from 2025 to 2049, whatever this machine's clock says.
    """

    vcek_key: ec.EllipticCurvePrivateKey = field(repr=False)
    endorsements: tuple[bytes, bytes, bytes]  # VCEK, ASK, ARK, DER

    @classmethod
    def generate(cls, *, product: str = PRODUCT, tcb: bytes | None = None, chip_id: bytes | None = None) -> Self:
        """A new chip. Takes about a tenth of a second.

        Args:
            product: Milan, Genoa or Turin.
            tcb: 8 bytes in the product's layout; by default a recent one.
            chip_id: 64 bytes; random by default. On Turin only the first 8 count.
        """
        tcb = snp.encode_tcb(TCB, product) if tcb is None else tcb
        chip_id = secrets.token_bytes(64) if chip_id is None else chip_id
        ark_name, ask_name, vcek_name = (
            SIMULATED_PREFIX + name for name in (f"ARK-{product}", f"SEV-{product}", "SEV-VCEK")
        )
        ark, ask = (
            Issuer(name, rsa.generate_private_key(public_exponent=65537, key_size=SIMULATED_RSA_BITS))
            for name in (ark_name, ask_name)
        )
        vcek = ec.generate_private_key(ec.SECP384R1())
        extensions = amd_extensions(product, tcb, chip_id)
        return cls(
            vcek,
            (
                ask.issue(vcek_name, vcek.public_key(), ca=False, amd=extensions),
                ark.issue(ask_name, ask.key.public_key(), path_length=0),
                ark.issue(ark_name, ark.key.public_key()),
            ),
        )

    @classmethod
    def load_or_create(cls, folder: Path) -> Self:
        """This machine's chip: read from ``folder``, made on first use with mode 0600.

        Two processes that start together agree: the first to finish its file wins, the other reads it.

        Raises:
            Unavailable: the folder cannot be used, others may read the file, or it is damaged.
        """
        path = folder / _FILE
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists():
                with contextlib.suppress(FileExistsError):
                    write_private(path, cls.generate()._stored())
            mode = stat.S_IMODE(path.stat().st_mode)
            data = path.read_bytes()
        except OSError as error:
            raise Unavailable(
                "The simulated processor's keys cannot be kept.",
                found=f"{path}: {error.strerror}",
                hint="Free some space, or set SLS_HOME to a folder that you may write to.",
            ) from None
        if mode & 0o077:
            raise Unavailable(
                "The simulated processor's keys can be read by others.",
                found=f"mode {mode:04o}",
                expected="mode 0600",
                hint=f"chmod 600 {path}",
            )
        return cls._from_stored(data, path)

    def _stored(self) -> bytes:
        key = self.vcek_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        vcek, ask, ark = (b64encode(der) for der in self.endorsements)
        return _Stored(vcek_key=b64encode(key), endorsements=(vcek, ask, ark)).payload()

    @classmethod
    def _from_stored(cls, data: bytes, path: Path) -> Self:
        try:
            stored = _Stored.parse(data)
            key = load_der_private_key(b64decode(stored.vcek_key), password=None)
            vcek, ask, ark = (b64decode(text) for text in stored.endorsements)
            chain = examine(SIMULATED_RULES, (vcek, ask, ark))
            if not isinstance(key, ec.EllipticCurvePrivateKey) or spki_of(key.public_key()) != spki_of(chain.key):
                raise MalformedDocument("The key is not the certificate's.")
        except (MalformedDocument, ValueError, TypeError) as error:
            raise Unavailable(
                "The simulated processor's keys are damaged.",
                found=type(error).__name__,
                hint=f"Delete {path}; a new chip is made, and its root has to be trusted again.",
            ) from None
        return cls(key, (vcek, ask, ark))

    @property
    def root_pin(self) -> bytes:
        """SHA-256 of the root's SPKI, 32 bytes: what a relying party puts into its trust anchors."""
        return examine(SIMULATED_RULES, self.endorsements).root_pin

    @property
    def product(self) -> str:
        return examine(SIMULATED_RULES, self.endorsements).product

    @property
    def tcb(self) -> bytes:
        """8 bytes in the product's layout."""
        return examine(SIMULATED_RULES, self.endorsements).tcb

    @property
    def chip_id(self) -> bytes:
        """64 bytes."""
        return examine(SIMULATED_RULES, self.endorsements).hwid


# --- the processor --------------------------------------------------------------------------------


def sign_report(report: snp.Report, key: ec.EllipticCurvePrivateKey) -> bytes:
    """The 1184 bytes of ``report`` with a fresh signature."""
    data = report.encode()
    r, s = decode_dss_signature(key.sign(data[: snp.SIGNED_BYTES], ec.ECDSA(hashes.SHA384())))
    return (
        data[: snp.SIGNED_BYTES]
        + r.to_bytes(72, "little")
        + s.to_bytes(72, "little")
        + bytes(snp.REPORT_BYTES - snp.SIGNED_BYTES - 144)
    )


def _require_length(name: str, value: bytes, length: int) -> None:
    if len(value) != length:
        raise BadInput(f"{name} has {length} bytes.", found=f"{len(value)} bytes", expected=f"{length} bytes")


@dataclass(frozen=True, slots=True)
class SimulatedProcessor:
    """The secure processor of a simulated chip, running one guest."""

    chain: DevelopmentChain
    report_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def evidence(self, report_data: bytes, *, host_data: bytes, measurement: bytes) -> Evidence:
        """Evidence of kind ``simulated-snp``.

        Args:
            report_data: 64 bytes, what the guest asks to have signed.
            host_data: 32 bytes, what the host was started with: SHA-256 of the CCE policy.
            measurement: 48 bytes, SHA-384 of the guest code.

        Raises:
            BadInput: a value has another length.
        """
        report = self.report(report_data, host_data=host_data, measurement=measurement)
        return self.sign(report)

    def sign(self, report: snp.Report) -> Evidence:
        """Evidence of any report, as it is; the processor does not judge it."""
        return Evidence.of("simulated-snp", sign_report(report, self.chain.vcek_key), self.chain.endorsements)

    def report(self, report_data: bytes, *, host_data: bytes, measurement: bytes) -> snp.Report:
        """The unsigned report, shaped like one of Azure's container groups."""
        _require_length("REPORT_DATA", report_data, 64)
        _require_length("HOST_DATA", host_data, 32)
        _require_length("MEASUREMENT", measurement, 48)
        family, model, stepping = _CPUID[self.chain.product]
        tcb = self.chain.tcb
        return snp.Report(
            version=3,
            guest_svn=2,
            policy=POLICY,
            family_id=b"\x01".ljust(16, b"\0"),
            image_id=b"\x02".ljust(16, b"\0"),
            vmpl=0,
            signature_algo=snp.ECDSA_P384_SHA384,
            current_tcb=tcb,
            platform_info=0x25,  # SMT, ECC, alias check complete
            key_info=snp.VCEK,
            report_data=report_data,
            measurement=measurement,
            host_data=host_data,
            id_key_digest=hashlib.sha384(b"sls-jupyter simulated ID key").digest(),
            author_key_digest=bytes(48),
            report_id=self.report_id,
            report_id_ma=snp.NO_MIGRATION_AGENT,
            reported_tcb=tcb,
            cpu_family=family,
            cpu_model=model,
            cpu_stepping=stepping,
            chip_id=self.chain.chip_id,
            committed_tcb=tcb,
            current_build=0,
            current_minor=0,
            current_major=0,
            committed_build=0,
            committed_minor=0,
            committed_major=0,
            launch_tcb=tcb,
            launch_mit_vector=0,
            current_mit_vector=0,
            current_etcb=bytes(32),
            launch_etcb=bytes(32),
            committed_etcb=bytes(32),
            signature_r=0,
            signature_s=0,
        )
