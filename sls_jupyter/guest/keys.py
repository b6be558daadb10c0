"""Getting keys: evidence that binds this guest's own HPKE key to an authority's challenge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sls_jupyter.assets.azure.read_pass import MAX_BYTES, ReadPass
from sls_jupyter.assets.manifest import AssetManifest
from sls_jupyter.attestation.binding import release_report_data
from sls_jupyter.attestation.device.interface import Device
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.authority.protocol import pass_info, release_info
from sls_jupyter.contract.grants import Grant
from sls_jupyter.contract.spec import AssetInput, StreamSpec
from sls_jupyter.documents import b64decode, digest, parse_json
from sls_jupyter.errors import LogInconsistent
from sls_jupyter.hpke import HpkeKey
from sls_jupyter.transparency.checkpoint import log_origin
from sls_jupyter.transparency.note import SignedNote
from sls_jupyter.transparency.proofs import DisclosedEntry, verify_disclosed


@dataclass(frozen=True, slots=True)
class AssetKeys:
    """One asset's released keys, in protected memory."""

    keys: Mapping[str, bytes] = field(repr=False)  # key id -> 32 bytes
    columns: tuple[str, ...] | None
    logged: DisclosedEntry  # key.released, proven in the authority's log
    read_pass: ReadPass | None = field(default=None, repr=False)  # as it was given; guest.parts judges it

    @property
    def entry(self) -> int:
        """Index of ``key.released``."""
        return self.logged.proof.index


@dataclass(frozen=True, slots=True)
class Opened:
    """One input with its keys, ready to be read."""

    item: AssetInput
    manifest: AssetManifest
    keys: AssetKeys
    client: AuthorityClient

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Granted and asked for; ``None`` for a table whose columns are its owner's secret."""
        return self.keys.columns if self.item.columns is None else self.item.columns


def fetch_keys(client: AuthorityClient, device: Device, spec: StreamSpec, envelope: bytes, grant: Grant) -> AssetKeys:
    """Prove where we run and what we execute; get the keys of one asset.

    Args:
        envelope: of the spec. grant: of the asset.

    Raises:
        KeyRefused: with the check that failed. Unavailable: the authority does not answer.
        MalformedDocument: what it sealed is not keys, or no read pass.
        LogInconsistent, SignatureInvalid: it shows no proof that it logged the release.
    """
    key, spec_digest = HpkeKey.generate(), spec.digest
    nonce = client.challenge(spec_digest)
    evidence = device.evidence(release_report_data(nonce, key.public_bytes))
    told = client.release(envelope, grant.asset, nonce, key.public_bytes, evidence)
    meaning = {
        "spec": spec_digest,
        "asset": grant.asset,
        "requester": spec.requester,
        "guest": digest(key.public_bytes),
        "columns": list(grant.columns or ()),
    }
    _require_logged(told.logged, grant.authority, evidence.kind, meaning)
    opened = parse_json(key.open(release_info(spec_digest, grant.asset), b64decode(told.sealed_keys)))
    keys = {name: b64decode(value) for name, value in opened.items()}
    given = None
    if told.sealed_pass is not None:
        data = key.open(pass_info(spec_digest, grant.asset), b64decode(told.sealed_pass))
        given = ReadPass.read(data, max_bytes=MAX_BYTES)
    return AssetKeys(keys, told.columns, told.logged, given)


def _require_logged(logged: DisclosedEntry, authority: str, tee: str, meaning: Mapping[str, Any]) -> None:
    """The authority logged this very release, to this guest, in a proof that an auditor will accept.

    Another group's entry would hide what that one did, and one with anything more in it would make a receipt
    that nobody accepts, or none.

    Raises:
        LogInconsistent, SignatureInvalid, DigestMismatch: it did not.
    """
    entry = verify_disclosed(logged, expected_log=authority)
    lines = len(SignedNote.parse(logged.proof.checkpoint.encode()).signatures)
    found = (entry.kind, entry.facts.get("tee"), logged.salt is not None, logged.meaning, logged.proof.origin, lines)
    if found != ("key.released", tee, True, meaning, log_origin(authority), 1):
        raise LogInconsistent(
            "An authority released keys and logged something else.",
            found=f"{entry.kind} {entry.facts.get('tee')} with {lines} signatures",
            expected="key.released of this spec, asset and guest, signed by the log alone",
            hint="Ask the owner to repair the authority. Nothing was computed.",
        )
