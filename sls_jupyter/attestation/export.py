"""The same conditions for somebody else's key broker: Azure Key Vault, behind Azure Attestation.

An owner who keeps a key in Key Vault (secure key release) writes there what our own authority would check:
which policy the group was started with, that Microsoft knew its utility VM, and that nobody can debug it. Only
what the vault's grammar can say is exported; requesters, purposes, columns and run counts stay with our
authority. The layer below policy knows no owner policy: the caller passes the plain values.

Equality only: the vault's grammar lists ranges, but its text says that the first version has ``equals`` alone.
The values keep the JSON type that the service puts into its tokens (``false``, ``0``). Neither export has met
the services; ``tests/vectors/export`` pins their bytes.

Sources: Azure Key Vault secure key release policy grammar; Azure Attestation policy grammar, version 1.0.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Collection
from dataclasses import dataclass

from sls_jupyter.attestation.azure.maa import SNP
from sls_jupyter.errors import BadInput

EXPORTED_TEES = ("sev-snp",)  # others run on no container group in Azure
HOST_DATA_BYTES = 32
MAX_GROUPS = 50  # a release policy has a limit of its own in size

_AUTHORITY = re.compile(r"https://[a-z0-9](?:[a-z0-9.-]{0,200}[a-z0-9])?\Z")
COMPLIANCE_CLAIM, _ = SNP.required["compliance"]
_HOST_DATA_CLAIM, _ = SNP.init_data


@dataclass(frozen=True, slots=True)
class ReleaseConditions:
    """What has to hold for a key to be released elsewhere.

    Raises:
        BadInput: an address or a digest is not in its form, or no accepted kind of TEE can be exported.
    """

    authority: str  # the instance of Azure Attestation, such as https://sharedweu.weu.attest.azure.net
    host_data: tuple[bytes, ...]  # 32 bytes each: SHA-256 of the CCE policies that may have the key
    tees: tuple[str, ...]  # the kinds that the owner accepts; those beside EXPORTED_TEES are left out

    def __post_init__(self) -> None:
        if not _AUTHORITY.match(self.authority):
            raise BadInput(
                "The address of an attestation instance is not in its form.",
                found=self.authority[:200],
                expected="https://, a host name in lower case, and nothing after it",
            )
        wrong = [value.hex()[:80] for value in self.host_data if len(value) != HOST_DATA_BYTES or not any(value)]
        if wrong or not 1 <= len(self.host_data) <= MAX_GROUPS:
            raise BadInput(
                "A key release needs the digests of the policies that may have the key.",
                found=", ".join(wrong)[:200] or f"{len(self.host_data)} digests",
                expected=f"1 to {MAX_GROUPS} digests of {HOST_DATA_BYTES} bytes, none of them all zero",
            )
        if not set(self.tees) & set(EXPORTED_TEES):
            raise BadInput(
                "No kind of TEE that is accepted here can have a key from Key Vault.",
                found=", ".join(self.tees) or "no kind",
                expected=", ".join(EXPORTED_TEES),
                hint="Accept sev-snp, or keep the key in your own authority.",
            )

    @property
    def left_out(self) -> tuple[str, ...]:
        """Accepted kinds that the export does not release to; it is stricter than the owner's policy by them."""
        return tuple(kind for kind in self.tees if kind not in EXPORTED_TEES)

    def digests(self) -> list[str]:
        """The digests as the claim spells them, sorted, each once."""
        return sorted({value.hex() for value in self.host_data})


def release_conditions(authority: str, host_data: Collection[bytes], tees: Collection[str]) -> ReleaseConditions:
    """The conditions from any collections; see :class:`ReleaseConditions`."""
    return ReleaseConditions(authority, tuple(sorted(host_data)), tuple(sorted(tees)))


def key_vault_policy(conditions: ReleaseConditions) -> bytes:
    """Azure Key Vault's release policy, as JSON with two spaces of indent and a final newline.

    One entry for each digest, since alternatives inside one entry are not nested in the vault's examples.
    """
    fixed = [{"claim": claim, "equals": value} for claim, value in SNP.required.values()]
    entries = [
        {
            "authority": conditions.authority,
            "allOf": [*fixed, {"claim": _HOST_DATA_CLAIM, "equals": digest}],
        }
        for digest in conditions.digests()
    ]
    return json.dumps({"version": "1.0.0", "anyOf": entries}, indent=2).encode() + b"\n"


def key_vault_parameter(policy: bytes, *, immutable: bool = True) -> dict[str, object]:
    """The ``release_policy`` of Key Vault's REST call that creates or imports a key."""
    return {
        "contentType": "application/json; charset=utf-8",
        "data": urlsafe_b64encode(policy).rstrip(b"=").decode(),
        "immutable": immutable,
    }


def maa_policy(conditions: ReleaseConditions) -> str:
    """A policy for an own instance of Azure Attestation (SEV-SNP), which then gives tokens to these groups alone.

    Anybody's group gets a token from a shared instance, so this is a second line and never replaces
    :func:`key_vault_policy`. The compliance status is left to that one: the service adds it to its tokens, and no
    source says that its policies can read it.
    """
    fixed = " &&\n    ".join(
        f'[type=="{claim}", value=={json.dumps(value)}]'
        for claim, value in SNP.required.values()
        if claim != COMPLIANCE_CLAIM
    )
    rules = "\n".join(
        f'    {fixed} &&\n    [type=="{_HOST_DATA_CLAIM}", value=="{digest}"] => permit();'
        for digest in conditions.digests()
    )
    return f"version= 1.0;\nauthorizationrules\n{{\n{rules}\n}};\nissuancerules\n{{\n}};\n"
