"""Floors of firmware: a name that no machine has is refused, wherever a floor is written or read."""

from __future__ import annotations

import pytest

from sls_jupyter.attestation.amd.report import TCB_LAYOUT
from sls_jupyter.attestation.evidence import Minimums
from sls_jupyter.attestation.profile import PROFILES
from sls_jupyter.errors import BadInput, MalformedDocument
from sls_jupyter.identity import SigningKey
from sls_jupyter.policy.options import policy_from_options
from sls_jupyter.tcb import COMPONENTS, floor_fault

WRONG = {
    "sev-snp/genoa": ({"snp": 255}, "did you mean 'Genoa'"),
    "sev-snp/Rome": ({"snp": 1}, "known are Milan, Genoa, Turin"),
    "SEV-SNP": ({"snp": 1}, "did you mean 'sev-snp'"),
    "sevsnp": ({"snp": 1}, "did you mean 'sev-snp'"),
    "sev-snp/Milan": ({"fmc": 1}, "no component of sev-snp/Milan"),
    "sev-snp": ({"snp": 1, "micro-code": 1}, "did you mean 'microcode'"),
    "sev-snp/": ({"snp": 1}, "no product of sev-snp"),
    "tdx/Sapphire": ({"pce": 1}, "names no product"),
    "tdx": ({"module": 9}, "no component of tdx"),
    "sev-snp/Turin": ({}, "names no component"),
}


def test_the_names_are_those_that_evidence_has() -> None:
    """A component that reports have can be asked for, and no other; every kind of evidence here is known."""
    for kind in ("sev-snp", "simulated-snp"):
        assert {product: set(parts) for product, parts in COMPONENTS[kind].items()} == {
            product: set(filter(None, layout)) for product, layout in TCB_LAYOUT.items()
        }
    assert {kind for kind in PROFILES if not kind.startswith("maa-")} <= set(COMPONENTS)


@pytest.mark.parametrize("platform", WRONG)
def test_a_floor_with_a_mistake_is_refused_with_the_right_spelling(platform: str) -> None:
    """It would be one that no machine is measured against, silently."""
    floor, words = WRONG[platform]
    assert words in floor_fault(platform, floor)
    with pytest.raises(MalformedDocument, match=words):
        Minimums.from_json(f'{{"tcb": {{"{platform}": {str(floor).replace(chr(39), chr(34))}}}}}'.encode())
    with pytest.raises(BadInput) as raised:
        policy_from_options(SigningKey.generate().did, now=0, minimum_tcb={platform: floor})
    assert words in str(raised.value.found)


@pytest.mark.parametrize("platform", ["sev-snp", "sev-snp/Milan", "sev-snp/Turin", "simulated-snp", "tdx", "sgx"])
def test_a_floor_that_can_be_met_is_one(platform: str) -> None:
    """Kinds alone and with a product."""
    component = "pce" if platform in ("tdx", "sgx") else "microcode"
    assert floor_fault(platform, [component]) == ""
    assert Minimums.from_json(f'{{"tcb": {{"{platform}": {{"{component}": 7}}}}}}'.encode()).tcb
