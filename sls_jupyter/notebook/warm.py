"""``--session``: cells of one warm session. The cell that names inputs opens it; the others only say its name."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sls_jupyter.contract.spec import KINDS, Limits, SessionTerms
from sls_jupyter.errors import BadInput
from sls_jupyter.notebook.args import limits_from, look_up
from sls_jupyter.notebook.cards import Card, Facts, Mono
from sls_jupyter.notebook.words import state_chip

if TYPE_CHECKING:
    from sls_jupyter.safestream.ordering import SessionRequest
    from sls_jupyter.safestream.run import Run
    from sls_jupyter.session import AssetInfo, Session, SessionRecord

MAX_CPU_SECONDS = 7 * 86400
OPENING: Mapping[str, Any] = {
    "code": [],
    "purpose": "",
    "to": [],
    "tee": None,
    "fragment": [],
    "kinds": list(KINDS),
    "cpu": None,
    "memory": None,
    "time": None,
    "result_size": None,
    "host": None,
    "cells": None,
    "idle": None,
    "life": None,
}
"""Options that say what a session is, with their defaults: they stand in the cell that opens it."""


def start_cell(
    session: Session, options: argparse.Namespace, code: str, namespace: Mapping[str, Any], host: str | None
) -> Run:
    """Open the session if this cell names inputs, then run the cell in it.

    Raises:
        BadInput: an option that only the opening cell takes, or results to a place. What the session's calls raise.
    """
    require_sealed_here(options)
    if options.input:
        session.open_session(options.session, request(session, options), host=options.host or host)
    else:
        require_later(options)
    parameters = {name: look_up(name, namespace) for name in options.parameter}
    return session.run_cell(
        options.session, code, outputs=options.output, parameters=parameters, wait_for_approval=options.no_wait
    )


def require_later(options: argparse.Namespace) -> None:
    """Refuse, in a cell that opens no session, what says what a session is.

    Raises:
        BadInput: one of these options.
    """
    if given := [name for name, default in OPENING.items() if getattr(options, name) != default]:
        raise BadInput(
            "This option belongs to the cell that opens the session.",
            found=", ".join(f"--{name.replace('_', '-')}" for name in given),
            expected="-o, -p and --no-wait in a later cell",
            hint="With -i in this line too, the session is opened anew: its variables go, and approved cells are not"
            " asked for again.",
        )


def require_session(options: argparse.Namespace) -> None:
    """Refuse, without ``--session``, what only a session has.

    Raises:
        BadInput: one of its options.
    """
    given = [name for name in ("cells", "idle", "life") if getattr(options, name) is not None]
    if given and not options.session:
        raise BadInput(
            "Only a session has this.", found=f"--{given[0]}", hint="Add --session NAME, or leave the option out."
        )


def request(
    session: Session, options: argparse.Namespace, known: Mapping[str, AssetInfo] = MappingProxyType({})
) -> SessionRequest:
    """The signed contract of a session that options describe.

    Args:
        known: assets that were looked up already, as ``Session.prepare`` takes them.
    """
    named = session.hosts.get(options.host or "")
    tees = options.tee or (() if named is None else (named.capabilities().tee,))
    terms = terms_from(options.cells, options.idle, options.life)
    return session.prepare_session(
        options.input,
        code_assets=options.code,
        purpose=options.purpose,
        recipients=options.to,
        tees=tees,
        fragments=options.fragment,
        kinds=options.kinds,
        limits=session_limits(limits_from(options.cpu, options.memory, options.time, options.result_size), terms),
        terms=terms,
        known=known,
    )


def session_limits(limits: Limits, terms: SessionTerms) -> Limits:
    """Limits of a session: the processor's time is counted over its whole life, all else is of each cell."""
    return limits.model_copy(update={"cpu_seconds": min(terms.wall_seconds * limits.cpus, MAX_CPU_SECONDS)})


def terms_from(cells: int | None, idle: int | None, life: int | None) -> SessionTerms:
    """How long a session may live; what is not given keeps its default.

    Raises:
        BadInput: a value is out of range, with the range.
    """
    given = {"cells": cells, "idle_seconds": idle, "wall_seconds": life}
    try:
        return SessionTerms(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise BadInput(
            "A session cannot have this.",
            found=f"{first['loc'][0]} {first['input']}",
            expected=first["msg"].removeprefix("Input should be "),
            hint="For instance --cells 200 --idle 1h --life 12h.",
        ) from None


def require_sealed_here(options: argparse.Namespace) -> None:
    """Refuse a place for the results of a session's cell.

    Raises:
        BadInput: there is one.
    """
    if places := [one for one in options.to if "://" in one]:
        raise BadInput(
            "Results of a session's cells are kept here.",
            found=places[0][:200],
            hint="%sls result RUN --to URL stores those of a cell there, sealed.",
        )


# --- the screen -----------------------------------------------------------------------------------


def closed_card(record: SessionRecord) -> Card:
    """A session that was closed."""
    facts: list[tuple[str, Any]] = [
        ("state", state_chip(record.state)),
        ("cells", str(record.cells)),
        ("contract", Mono(record.id)),
    ]
    return Card(f"Session {record.name}", [Facts(facts)])
