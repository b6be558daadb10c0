"""The inbox: requests, one request as it will run, decisions."""

from __future__ import annotations

from sls_jupyter.lab import messages
from sls_jupyter.lab.asking import Asked


def listed(asked: Asked) -> messages.Inbox:
    raise NotImplementedError


def page(asked: Asked) -> messages.RequestPage:
    raise NotImplementedError


def decide(asked: Asked) -> messages.Decided:
    raise NotImplementedError
