"""Secure key release elsewhere: the exported policies keep their bytes and say only what the vault can check."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from pathlib import Path

import pytest

from sls_jupyter.attestation.export import key_vault_parameter, key_vault_policy, maa_policy, release_conditions
from sls_jupyter.attestation.profile import HARDWARE_TEES
from sls_jupyter.errors import BadInput

GOLDEN = Path(__file__).parent / "vectors" / "export"
AUTHORITY = "https://sharedweu.weu.attest.azure.net"
DIGESTS = [bytes([0xAB]) * 32, bytes([0x12]) * 32]
CONDITIONS = release_conditions(AUTHORITY, DIGESTS, HARDWARE_TEES)


def test_golden_key_vault_policy() -> None:
    """A changed byte is another release policy, which somebody has to look at."""
    assert key_vault_policy(CONDITIONS) == (GOLDEN / "key_vault_policy.json").read_bytes()


def test_golden_maa_policy() -> None:
    """The same for the policy of an own attestation instance."""
    assert maa_policy(CONDITIONS) == (GOLDEN / "maa_policy.txt").read_text()


def test_golden_parameter() -> None:
    """The vault gets the policy as base64url without padding, and immutable unless asked otherwise."""
    parameter = key_vault_parameter(key_vault_policy(CONDITIONS))
    assert json.dumps(parameter, indent=2) + "\n" == (GOLDEN / "key_vault_parameter.json").read_text()
    data = str(parameter["data"])
    assert urlsafe_b64decode(data + "=" * (-len(data) % 4)) == key_vault_policy(CONDITIONS)
    assert key_vault_parameter(b"{}", immutable=False)["immutable"] is False


def test_every_entry_is_complete() -> None:
    """No alternative releases to a debuggable group, to another boundary, or to a group with another policy."""
    policy = json.loads(key_vault_policy(CONDITIONS))
    assert [entry["authority"] for entry in policy["anyOf"]] == [AUTHORITY] * 2
    for entry, digest in zip(policy["anyOf"], sorted(DIGESTS), strict=True):
        wanted = {condition["claim"]: condition["equals"] for condition in entry["allOf"]}
        assert all(set(condition) == {"claim", "equals"} for condition in entry["allOf"])
        assert wanted["x-ms-sevsnpvm-hostdata"] == digest.hex()
        assert wanted["x-ms-sevsnpvm-is-debuggable"] is False
        assert (wanted["x-ms-sevsnpvm-vmpl"], wanted["x-ms-attestation-type"]) == (0, "sevsnpvm")
        assert wanted["x-ms-compliance-status"] == "azure-compliant-uvm"


def test_order_and_repetition_do_not_matter() -> None:
    """One owner policy gives one export."""
    again = release_conditions(AUTHORITY, [*reversed(DIGESTS), DIGESTS[0]], ("sgx", "tdx", "sev-snp"))
    assert key_vault_policy(again) == key_vault_policy(CONDITIONS)


def test_kinds_left_out_are_named() -> None:
    """An export that is stricter than the owner's policy says by which kinds."""
    assert CONDITIONS.left_out == ("sgx", "tdx")


@pytest.mark.parametrize(
    ("authority", "digests", "tees"),
    [
        ("http://sharedweu.weu.attest.azure.net", DIGESTS, ["sev-snp"]),
        (AUTHORITY + "/", DIGESTS, ["sev-snp"]),
        (AUTHORITY + '"]', DIGESTS, ["sev-snp"]),
        ("https://", DIGESTS, ["sev-snp"]),
        (AUTHORITY, [], ["sev-snp"]),
        (AUTHORITY, [b"short"], ["sev-snp"]),
        (AUTHORITY, [bytes(32)], ["sev-snp"]),
        (AUTHORITY, [bytes([number]) * 32 for number in range(1, 60)], ["sev-snp"]),
        (AUTHORITY, DIGESTS, ["simulated-snp"]),
        (AUTHORITY, DIGESTS, []),
    ],
)
def test_conditions_that_cannot_be_exported(authority: str, digests: list[bytes], tees: list[str]) -> None:
    """A release policy with a hole, or for a simulated TEE, is never written."""
    with pytest.raises(BadInput):
        release_conditions(authority, digests, tees)
