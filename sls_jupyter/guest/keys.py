"""Getting keys: evidence that binds this guest's own HPKE key to an authority's challenge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sls_jupyter.attestation.binding import release_report_data
from sls_jupyter.attestation.device import Device
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.authority.protocol import release_info
from sls_jupyter.contract.spec import AssetInput
from sls_jupyter.documents import b64decode, parse_json
from sls_jupyter.hpke import HpkeKey


@dataclass(frozen=True, slots=True)
class AssetKeys:
    """One asset's released keys, in protected memory."""

    keys: Mapping[str, bytes] = field(repr=False)  # key id -> 32 bytes
    columns: tuple[str, ...] | None
    entry: int  # index of key.released in the authority's log


def fetch_keys(client: AuthorityClient, device: Device, spec_digest: str, spec: bytes, item: AssetInput) -> AssetKeys:
    """Prove where we run and what we execute; get the keys of one asset.

    Raises:
        KeyRefused: with the check that failed. Unavailable: the authority does not answer.
    """
    key = HpkeKey.generate()
    nonce = client.challenge(spec_digest)
    evidence = device.evidence(release_report_data(nonce, key.public_bytes))
    sealed, columns, entry = client.release(spec, item.asset, nonce, key.public_bytes, evidence)
    opened = parse_json(key.open(release_info(spec_digest, item.asset), sealed))
    return AssetKeys({name: b64decode(value) for name, value in opened.items()}, columns, entry)
