"""Builders for the tests of authority and contract: an owner's whole world on a folder, with its own clock.

One :class:`World` is an authority on SQLite, its owner, an analyst and a simulated processor that the
authority believes. Its methods are the steps of a run; each takes what a test wants to be different.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from sls_jupyter.assets.sealing import SealedAsset, seal
from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.attestation.binding import release_report_data
from sls_jupyter.attestation.claims import Evidence
from sls_jupyter.attestation.device.simulated import DevelopmentChain, SimulatedProcessor
from sls_jupyter.authority import catalogue, decisions, ledger, release
from sls_jupyter.authority.keyring import Keyring
from sls_jupyter.authority.service import Authority
from sls_jupyter.authority.store import Store
from sls_jupyter.contract import cce
from sls_jupyter.contract.grants import Approval, Denial
from sls_jupyter.contract.group import group_for
from sls_jupyter.contract.image import GuestImage
from sls_jupyter.contract.proposal import Proposal
from sls_jupyter.contract.spec import AssetInput, Limits, Recipient, StreamSpec
from sls_jupyter.documents import digest, sign
from sls_jupyter.hpke import HpkeKey
from sls_jupyter.identity import Appointment, Identity, SigningKey
from sls_jupyter.policy.model import OwnerPolicy
from sls_jupyter.transparency.entries import Entry
from sls_jupyter.transparency.proofs import LogProof, verify_log_proof

NOW = 1_790_000_000  # 2026-09-21 UTC
URL = "https://authority.example"
CODE = "risk = patients.groupby('sex').outcome.mean().reset_index()\n"
IMAGE = GuestImage("registry.example/guest@sha256:" + "a" * 64, ("1" * 64, "2" * 64), bytes(range(48)))
TABLE = pa.table({"age": [40, 50, 60], "name": ["a", "b", "c"], "outcome": [0, 1, 1], "sex": ["f", "m", "f"]})


@dataclass
class Clock:
    """Seconds since 1970-01-01 UTC, moved by hand."""

    seconds: int = NOW

    def __call__(self) -> int:
        return self.seconds


@lru_cache
def chain(label: str = "chip") -> DevelopmentChain:
    """A development chain, made once a process."""
    return DevelopmentChain.generate()


@lru_cache
def person(name: str) -> Identity:
    """Somebody with keys, made once a process."""
    return Identity(name, SigningKey.generate(), HpkeKey.generate())


def recipient(who: Identity) -> Recipient:
    """Somebody as a recipient: the contact that they signed."""
    return Recipient.of(sign(who.contact(), who))


def _proposal(asked: StreamSpec | Proposal) -> Proposal:
    return asked if isinstance(asked, Proposal) else Proposal(asked)


@dataclass(frozen=True)
class Attempt:
    """One try to get keys, and the guest key that would open them."""

    request: release.ReleaseRequest
    key: HpkeKey

    def changed(self, **changes: Any) -> Attempt:
        return replace(self, request=replace(self.request, **changes))


@dataclass
class World:
    """An owner's authority in a folder, and everybody who deals with it.

    ``authority_name`` chooses its keys, so that a second world of the same name on the same database
    is a second server of the same authority.
    """

    folder: Path
    database: str | Path | None = None
    authority_name: str = "authority"
    owner: Identity = field(default_factory=lambda: person("hospital"))
    analyst: Identity = field(default_factory=lambda: person("analyst"))
    clock: Clock = field(default_factory=Clock)
    images: tuple[GuestImage, ...] = (IMAGE,)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.processor = SimulatedProcessor(chain())
        self.authority = Authority(
            owner=self.owner.did,
            owner_contact=sign(self.owner.contact(), self.owner),
            appointment=sign(Appointment(owner=self.owner.did, authority=person(self.authority_name).did), self.owner),
            identity=person(self.authority_name),
            store=Store(self.database or self.folder / "authority.db"),
            keyring=Keyring.load(self.folder),
            anchors=TrustAnchors(simulated_ark_spki=frozenset({chain().root_pin})),
            images=self.images,
            asset_root=self.folder / "assets",
            clock=self.clock,
        )

    def close(self) -> None:
        self.authority.store.close()

    # --- the owner --------------------------------------------------------------------------------

    def policy(self, **changes: Any) -> OwnerPolicy:
        """A policy that lets the analyst run any code on simulated hardware, with ``changes``."""
        open_to_all = {"requesters": (self.analyst.did,), "code": "any", "tees": ("simulated-snp",)}
        return OwnerPolicy(**{"owner": self.owner.did, **open_to_all, **changes})

    def seal(self, policy: OwnerPolicy, name: str = "patients", **changes: Any) -> SealedAsset:
        count = len(list((self.folder / "assets").glob("*")))
        options = {
            "name": name,
            "owner": self.owner,
            "authority": self.authority.did,
            "authority_url": URL,
            "policy": policy.digest,
            "storage": (self.folder / "assets" / str(count)).absolute().as_uri(),
            "created_at": self.clock(),
        }
        return seal(TABLE, **(options | changes))

    def submission(self, sealed: SealedAsset, policy: OwnerPolicy) -> tuple[bytes, bytes, None, bytes]:
        """The arguments of ``publish`` after the authority."""
        keys = catalogue.seal_keys(self.authority.identity.hpke.public_bytes, sealed.digest, sealed.keys)
        return sealed.envelope, sign(policy, self.owner), None, keys

    def publish(self, name: str = "patients", **policy: Any) -> SealedAsset:
        """Seal a table and publish it under :meth:`policy` with changes."""
        chosen = self.policy(**policy)
        sealed = self.seal(chosen, name)
        catalogue.publish(self.authority, *self.submission(sealed, chosen))
        return sealed

    def approval(self, asked: StreamSpec | Proposal, approver: Identity | None = None, **changes: Any) -> bytes:
        """A signed yes to a spec or to the cells of a session, with ``changes``."""
        who, what = approver or self.owner, _proposal(asked)
        fields = {
            "approver": who.did,
            "authority": self.authority.did,
            "terms": what.terms,
            "code": what.code_digests,
            "requester": what.spec.requester,
            "reason": "reviewed",
            "issued_at": self.clock(),
            "expires_at": self.clock() + 3600,
        }
        return sign(Approval(**(fields | changes)), who)

    def denial(self, asked: StreamSpec | Proposal, approver: Identity | None = None, **changes: Any) -> bytes:
        who, what = approver or self.owner, _proposal(asked)
        fields = {
            "approver": who.did,
            "authority": self.authority.did,
            "terms": what.terms,
            "requester": what.spec.requester,
            "reason": "not for this study",
            "issued_at": self.clock(),
        }
        return sign(Denial(**(fields | changes)), who)

    # --- the requester ----------------------------------------------------------------------------

    def input(self, sealed: SealedAsset, alias: str = "patients", **changes: Any) -> AssetInput:
        fields = {
            "alias": alias,
            "asset": sealed.digest,
            "kind": sealed.manifest.kind,
            "columns": ("age", "outcome", "sex"),
            "owner": sealed.manifest.owner,
            "authority": sealed.manifest.authority,
            "authority_url": URL,
        }
        return AssetInput(**(fields | changes))

    def spec(self, *inputs: AssetInput, nonce: int = 0, **changes: Any) -> StreamSpec:
        """What the analyst asks for; ``nonce`` tells one run on the same terms from the next."""
        me = self.analyst
        fields = {
            "requester": me.did,
            "purpose": "risk study",
            "inputs": inputs,
            "code": digest(CODE.encode()),
            "parameters": digest(b""),
            "outputs": ("risk",),
            "kinds": ("table", "figure"),
            "recipients": (recipient(me),),
            "limits": Limits(),
            "tees": ("simulated-snp",),
            "nonce": f"{nonce:032x}",
            "issued_at": self.clock(),
            "expires_at": self.clock() + 3600,
        }
        return StreamSpec(**(fields | changes))

    def submit(self, spec: StreamSpec, **options: Any) -> decisions.Answer:
        """Ask for grants as the analyst."""
        envelope = sign(spec, self.analyst)
        code = options.pop("code", CODE)
        return decisions.submit(self.authority, spec.requester, envelope, code, options.pop("contact", None), **options)

    def granted(self, nonce: int = 0, **policy: Any) -> tuple[SealedAsset, StreamSpec]:
        """A published asset and a spec on it that was granted."""
        sealed = self.publish(**policy)
        spec = self.spec(self.input(sealed), nonce=nonce)
        assert self.submit(spec).verdict == "allow"
        return sealed, spec

    # --- the guest --------------------------------------------------------------------------------

    def host_data(self, spec: StreamSpec, image: GuestImage = IMAGE) -> bytes:
        """What an honest host starts the group of ``spec`` with."""
        return cce.host_data(cce.render(group_for(spec, image)))

    def evidence(self, report_data: bytes, spec: StreamSpec, /, **changes: Any) -> Evidence:
        """Evidence of the honest group of ``spec``; ``processor`` or fields of the report may differ."""
        processor = changes.pop("processor", self.processor)
        report = processor.report(report_data, host_data=self.host_data(spec), measurement=IMAGE.measurement)
        return processor.sign(replace(report, **changes))

    def attempt(self, sealed: SealedAsset, spec: StreamSpec, **changes: Any) -> Attempt:
        """An honest try to get an asset's keys, with a fresh challenge; ``changes`` are of the report."""
        key, nonce = HpkeKey.generate(), release.challenge(self.authority, spec.digest)
        evidence = self.evidence(release_report_data(nonce, key.public_bytes), spec, **changes)
        request = release.ReleaseRequest(
            sign(spec, self.analyst), sealed.digest, nonce, key.public_bytes, evidence.encode()
        )
        return Attempt(request, key)

    # --- the auditor ------------------------------------------------------------------------------

    def size(self) -> int:
        with self.authority.store.read() as connection:
            return ledger.size(connection, self.authority)

    def proof(self, index: int) -> LogProof:
        with self.authority.store.read() as connection:
            return ledger.prove(connection, self.authority, index)

    def entry(self, index: int) -> Entry:
        """One entry of the log, its inclusion proof verified."""
        return verify_log_proof(self.proof(index), expected_log=self.authority.did)

    def log(self) -> list[str]:
        """The kinds of all entries, each proof verified."""
        return [self.entry(index).kind for index in range(self.size())]

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """All rows of one table of the database."""
        with self.authority.store.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(f"select * from {table}")]
