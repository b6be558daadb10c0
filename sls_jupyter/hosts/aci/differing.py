"""Where a policy that Azure has differs from ours, in words: it may be one that another tool wrote."""

from __future__ import annotations

from sls_jupyter.contract import differing
from sls_jupyter.contract.differing import MAX_LINES as MAX_LINES
from sls_jupyter.contract.differing import differing_layers as differing_layers
from sls_jupyter.hosts.judge.reading import read_module


def differing_policies(found: bytes, expected: bytes) -> tuple[str, ...]:
    """As :func:`sls_jupyter.contract.differing.differing_policies`, of any policy that the judge can read."""
    return differing.differing_policies(found, expected, lambda policy: read_module(policy).values)
