"""Profiles of TEEs: every kind that can be verified is described, and simulated is never hardware."""

from __future__ import annotations

import pytest

from sls_jupyter.attestation.profile import HARDWARE_TEES, PROFILES, SIMULATED_TEES, profile_of
from sls_jupyter.attestation.verify import VERIFIERS
from sls_jupyter.errors import UnknownName


def test_simulated_is_not_hardware() -> None:
    """A policy that accepts hardware only must not name the simulated kind."""
    assert HARDWARE_TEES == ("sev-snp", "tdx", "sgx")
    assert SIMULATED_TEES == ("simulated-snp",)
    assert "SIMULATED" in profile_of("simulated-snp").label


def test_every_verifiable_kind_has_a_profile() -> None:
    """A kind without a profile could be verified but never placed or labelled."""
    assert set(VERIFIERS) <= set(PROFILES)


def test_init_data_sits_where_the_hardware_has_it() -> None:
    """The group's policy digest goes into the field the design names for each TEE."""
    fields = {kind: (item.init_data_field, item.init_data_bytes) for kind, item in PROFILES.items()}
    assert fields["sev-snp"] == fields["simulated-snp"] == ("HOST_DATA", 32)
    assert fields["tdx"] == ("MRCONFIGID", 48)
    assert fields["sgx"] == ("CONFIGID", 64)


def test_unknown_kind() -> None:
    """A misspelt kind is named, with the kinds there are."""
    with pytest.raises(UnknownName, match="sev-snp"):
        profile_of("sev-snip")
