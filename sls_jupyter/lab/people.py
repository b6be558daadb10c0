"""Who is known here by which name."""

from __future__ import annotations

from sls_jupyter.lab import messages
from sls_jupyter.lab.asking import Asked


def listed(asked: Asked) -> messages.People:
    raise NotImplementedError


def name(asked: Asked) -> messages.CardAnswer:
    raise NotImplementedError


def connect(asked: Asked) -> messages.CardAnswer:
    raise NotImplementedError


def contact(asked: Asked) -> messages.CardAnswer:
    raise NotImplementedError
