"""Every call of the panel's API: method, path, what it takes and gives, and the function that answers.

All paths stand below ``{base_url}sls_jupyter/v1/``. Each call is about one persona, whose name is the parameter ``persona`` of
the query. ``events``, a stream, is the one call that is not among them (:mod:`sls_jupyter.lab.stream`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from sls_jupyter.documents import Model
from sls_jupyter.lab import assets, cells, inbox, messages, people, receipts, runs, who

_LIST = MappingProxyType({"q": "words that a row must have", "most": "rows that are given, 200 by default"})


@dataclass(frozen=True, slots=True)
class Route:
    """One call; ``answer`` may take seconds, and works in a thread."""

    method: Literal["GET", "POST"]
    path: str  # with names in braces
    answer: Callable[[Any], Model]  # of an Asked, or of an AskedByAnybody
    gives: type[Model]
    takes: type[Model] | None = None
    query: Mapping[str, str] = field(default_factory=dict)  # beside ``persona``: name -> what it means
    anybody: bool = False  # it is answered also where there is no persona
    near: bool = False  # nobody is asked but this user's own folder and processes: it never waits for another party
    alone: bool = False  # not two of one persona at once: its session keeps something from one call to the next


ROUTES = (
    Route("GET", "about", who.about, messages.About, anybody=True, near=True),
    Route("GET", "status", who.status, messages.Status, near=True),
    Route("POST", "personas", who.new_persona, messages.PersonaRow, messages.NewPersona, anybody=True, near=True),
    Route("GET", "requests", inbox.listed, messages.Inbox, query=_LIST, alone=True),
    Route("GET", "requests/{id}", inbox.page, messages.RequestPage),
    Route("POST", "requests/{id}/decision", inbox.decide, messages.Decided, messages.Decide),
    Route("GET", "runs", runs.listed, messages.Runs, query=_LIST, near=True),
    Route("GET", "runs/{id}", runs.page, messages.RunPage, near=True),
    Route("POST", "runs/{id}/cancel", runs.cancel, messages.RunPage),
    Route("POST", "runs/{id}/result", runs.save_result, messages.Saved, messages.SaveTo),
    Route("GET", "runs/{id}/receipt", runs.receipt, messages.File),
    Route("GET", "runs/{id}/audit", runs.audit, messages.CardAnswer),
    Route("GET", "runs/{id}/report", runs.report, messages.File),
    Route("POST", "sessions/{name}/close", runs.close_session, messages.CardAnswer),
    Route("GET", "assets", assets.listed, messages.Assets, query=_LIST),
    Route("GET", "assets/{id}", assets.page, messages.AssetPage),
    Route("POST", "assets/{id}/withdraw", assets.withdraw, messages.CardAnswer, messages.Withdraw),
    Route("GET", "policy", cells.form, messages.PolicyForm, query={"name": "the asset whose policy fills it in"}),
    Route("POST", "policy", cells.policy, messages.PolicyShown, messages.PolicyAsked),
    Route("POST", "preflight", cells.preflight, messages.Preflight, messages.PreflightAsked),
    Route("POST", "notebook", receipts.notebook, messages.NotebookChecked, messages.NotebookAsked),
    Route("GET", "receipts", receipts.listed, messages.Receipts),
    Route("POST", "verify", receipts.verify, messages.Verified, messages.VerifyAsked),
    Route("GET", "people", people.listed, messages.People),
    Route("POST", "people/name", people.name, messages.CardAnswer, messages.CallThem),
    Route("POST", "people/connect", people.connect, messages.CardAnswer, messages.Connect),
    Route("POST", "people/contact", people.contact, messages.CardAnswer, messages.AddContact),
)
