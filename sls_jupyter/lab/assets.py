"""Assets: mine and others'."""

from __future__ import annotations

from sls_jupyter.lab import messages
from sls_jupyter.lab.asking import Asked


def listed(asked: Asked) -> messages.Assets:
    raise NotImplementedError


def page(asked: Asked) -> messages.AssetPage:
    raise NotImplementedError


def withdraw(asked: Asked) -> messages.CardAnswer:
    raise NotImplementedError
