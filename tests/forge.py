"""A forge of SEV-SNP evidence: whole chains under a test root, each with exactly one thing wrong.

It uses the real certificate and report code, so a forged chain differs from a good one in the named
part only. RSA keys are made once a process.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from sls_jupyter.attestation.amd import report as snp
from sls_jupyter.attestation.amd.issue import VALID_FROM, VALID_TO, Issuer, amd_extensions
from sls_jupyter.attestation.amd.verify import SIMULATED_PREFIX
from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.attestation.certificates import spki_of
from sls_jupyter.attestation.claims import Evidence
from sls_jupyter.attestation.device.simulated import TCB, DevelopmentChain, SimulatedProcessor
from sls_jupyter.attestation.evidence import ReferenceValues

NOW = datetime(2026, 8, 1, tzinfo=UTC)
REPORT_DATA, HOST_DATA, MEASUREMENT = b"r" * 64, b"h" * 32, b"m" * 48


@lru_cache
def rsa_key(label: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@lru_cache
def chip_key(label: str = "chip") -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


@dataclass(frozen=True)
class Forge:
    """What one forged chain looks like; ``replace`` or keywords change one thing."""

    product: str = "Genoa"
    prefix: str = SIMULATED_PREFIX
    root: str = "root"  # which root key
    tcb: bytes = b""
    chip_id: bytes = bytes(range(64))
    vcek_name: str = "SEV-VCEK"
    ask_name: str = ""
    ask_bits: int = 2048
    ask_is_ca: bool = True
    root_path_length: int | None = None
    vcek_is_ca: bool = False
    valid: tuple[datetime, datetime] = (VALID_FROM, VALID_TO)
    extensions: dict[str, bytes | None] = field(default_factory=dict)  # OID below AMD's arc; None removes it
    vcek_key: Any = None
    vcek_signer: str = ""  # another key in the ASK's place

    def chain(self) -> DevelopmentChain:
        ark = Issuer(f"{self.prefix}ARK-{self.product}", rsa_key(self.root))
        ask_key = rsa_key("ask", self.ask_bits)
        ask_name = self.prefix + (self.ask_name or f"SEV-{self.product}")
        signer = Issuer(ask_name, rsa_key(self.vcek_signer) if self.vcek_signer else ask_key)
        key = self.vcek_key or chip_key()
        amd = {k: v for k, v in {**self._extensions(), **self.extensions}.items() if v is not None}
        return DevelopmentChain(
            key,
            (
                signer.issue(
                    self.prefix + self.vcek_name, key.public_key(), ca=self.vcek_is_ca, amd=amd, valid=self.valid
                ),
                ark.issue(ask_name, ask_key.public_key(), ca=self.ask_is_ca, path_length=0 if self.ask_is_ca else None),
                ark.issue(ark.common_name, ark.key.public_key(), path_length=self.root_path_length),
            ),
        )

    def _extensions(self) -> dict[str, bytes]:
        return amd_extensions(self.product, self.tcb or snp.encode_tcb(TCB, self.product), self.chip_id)

    def processor(self) -> SimulatedProcessor:
        return SimulatedProcessor(self.chain(), report_id=b"i" * 32)

    def root_pin(self) -> bytes:
        return hashlib.sha256(spki_of(rsa_key(self.root).public_key())).digest()

    def anchors(self) -> TrustAnchors:
        """A relying party that believes this root for simulated evidence and for nothing else."""
        return TrustAnchors(simulated_ark_spki=frozenset({self.root_pin()}))

    def genuine_anchors(self) -> TrustAnchors:
        """A relying party in a test's world, where AMD's key is this root."""
        return TrustAnchors(amd={self.product: self.root_pin()})

    def report(self, **changes: Any) -> snp.Report:
        """A good, unsigned report of a good chip of this product, with ``changes``."""
        good = Forge(product=self.product, chip_id=self.chip_id).processor()
        return replace(good.report(REPORT_DATA, host_data=HOST_DATA, measurement=MEASUREMENT), **changes)

    def evidence(self, *, kind: str = "simulated-snp", **changes: Any) -> Evidence:
        """A report with ``changes``, properly signed by this chain's chip, under any kind's name."""
        return self.processor().sign(self.report(**changes)).model_copy(update={"kind": kind})


def genuine_looking(**changes: Any) -> Forge:
    """A chain that has everything AMD's has, but for the root key."""
    return Forge(prefix="", ask_bits=4096, **changes)


def reference(**changes: Any) -> ReferenceValues:
    """Reference values that the forge's evidence meets, with ``changes``."""
    good = ReferenceValues(
        measurements=frozenset({MEASUREMENT}),
        init_data=HOST_DATA,
        report_data=REPORT_DATA,
        tees=frozenset({"simulated-snp"}),
    )
    return replace(good, **changes)


def with_report(evidence: Evidence, report: bytes) -> Evidence:
    return Evidence.of(evidence.kind, report, evidence.endorsement_bytes())


def with_chain(evidence: Evidence, chain: tuple[bytes, ...]) -> Evidence:
    return Evidence.of(evidence.kind, evidence.report_bytes(), chain)


def tampered(certificate: bytes, bit: int) -> bytes:
    """The certificate with one bit flipped."""
    changed = bytearray(certificate)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
