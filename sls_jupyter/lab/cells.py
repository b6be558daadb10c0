"""What a cell would do, and the cells that seal."""

from __future__ import annotations

from sls_jupyter.lab import messages
from sls_jupyter.lab.asking import Asked


def form(asked: Asked) -> messages.PolicyForm:
    raise NotImplementedError


def policy(asked: Asked) -> messages.PolicyShown:
    raise NotImplementedError


def preflight(asked: Asked) -> messages.Preflight:
    raise NotImplementedError
