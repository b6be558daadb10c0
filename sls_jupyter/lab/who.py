"""Who somebody is here, and what waits for them."""

from __future__ import annotations

from sls_jupyter.lab import messages
from sls_jupyter.lab.asking import Asked


def about(asked: Asked) -> messages.About:
    raise NotImplementedError


def status(asked: Asked) -> messages.Status:
    raise NotImplementedError


def new_persona(asked: Asked) -> messages.PersonaRow:
    raise NotImplementedError
