"""Runs and sessions: how far they are, what they gave."""

from __future__ import annotations

from sls_jupyter.lab import messages
from sls_jupyter.lab.asking import Asked


def listed(asked: Asked) -> messages.Runs:
    raise NotImplementedError


def page(asked: Asked) -> messages.RunPage:
    raise NotImplementedError


def cancel(asked: Asked) -> messages.RunPage:
    raise NotImplementedError


def save_result(asked: Asked) -> messages.Saved:
    raise NotImplementedError


def receipt(asked: Asked) -> messages.File:
    raise NotImplementedError


def audit(asked: Asked) -> messages.CardAnswer:
    raise NotImplementedError


def report(asked: Asked) -> messages.File:
    raise NotImplementedError


def close_session(asked: Asked) -> messages.CardAnswer:
    raise NotImplementedError
