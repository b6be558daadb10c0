"""Getting keys: evidence that binds this guest's own HPKE key to an authority's challenge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sls_jupyter.attestation.binding import release_report_data
from sls_jupyter.attestation.device import Device
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.authority.protocol import release_info
from sls_jupyter.contract.spec import AssetInput
from sls_jupyter.documents import b64decode, digest, parse_json
from sls_jupyter.errors import LogInconsistent
from sls_jupyter.hpke import HpkeKey
from sls_jupyter.transparency.proofs import DisclosedEntry, verify_disclosed


@dataclass(frozen=True, slots=True)
class AssetKeys:
    """One asset's released keys, in protected memory."""

    keys: Mapping[str, bytes] = field(repr=False)  # key id -> 32 bytes
    columns: tuple[str, ...] | None
    logged: DisclosedEntry  # key.released, proven in the authority's log

    @property
    def entry(self) -> int:
        """Index of ``key.released``."""
        return self.logged.proof.index


def fetch_keys(client: AuthorityClient, device: Device, spec_digest: str, spec: bytes, item: AssetInput) -> AssetKeys:
    """Prove where we run and what we execute; get the keys of one asset.

    Raises:
        KeyRefused: with the check that failed. Unavailable: the authority does not answer.
        LogInconsistent, SignatureInvalid: it shows no proof that it logged the release.
    """
    key = HpkeKey.generate()
    nonce = client.challenge(spec_digest)
    evidence = device.evidence(release_report_data(nonce, key.public_bytes))
    sealed, columns, logged = client.release(spec, item.asset, nonce, key.public_bytes, evidence)
    _require_about(logged, item, spec_digest, key.public_bytes)
    opened = parse_json(key.open(release_info(spec_digest, item.asset), sealed))
    return AssetKeys({name: b64decode(value) for name, value in opened.items()}, columns, logged)


def _require_about(logged: DisclosedEntry, item: AssetInput, spec_digest: str, public_key: bytes) -> None:
    """The authority logged this very release, to this guest: another group's would hide what that one did.

    Raises:
        LogInconsistent, SignatureInvalid, DigestMismatch: it did not.
    """
    entry = verify_disclosed(logged, expected_log=item.authority)
    expected = {"spec": spec_digest, "asset": item.asset, "guest": digest(public_key)}
    found = {name: (logged.meaning or {}).get(name) for name in expected}
    if entry.kind != "key.released" or logged.salt is None or found != expected:
        raise LogInconsistent(
            "An authority released keys and logged something else.",
            found=f"{entry.kind} {found}",
            expected=f"key.released {expected}",
            hint="Ask the owner to repair the authority. Nothing was computed.",
        )
