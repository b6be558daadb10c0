"""Receipts, verified by the function that ``sls verify`` calls."""

from __future__ import annotations

from sls_jupyter.lab import messages
from sls_jupyter.lab.asking import Asked


def listed(asked: Asked) -> messages.Receipts:
    raise NotImplementedError


def verify(asked: Asked) -> messages.Verified:
    raise NotImplementedError


def notebook(asked: Asked) -> messages.NotebookChecked:
    raise NotImplementedError
