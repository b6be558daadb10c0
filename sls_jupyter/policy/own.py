"""An owner's own module in use: it is asked in a process of its own, and its answer is read strictly.

Every failure is a denial with its reason: a module that is missing or changed, does not pass the check of
its text, is too slow, or answers with anything but a decision.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from sls_jupyter.contract.grants import Obligations
from sls_jupyter.documents import digest
from sls_jupyter.errors import MalformedDocument, SlsError
from sls_jupyter.policy import engine
from sls_jupyter.policy.facts import DecisionInput, Reason, Verdict, in_order, no_decision
from sls_jupyter.policy.model import OwnerPolicy
from sls_jupyter.policy.modules import ENTRYPOINT, check_text

_VERDICTS = ("allow", "ask", "deny")
_MAX_REASONS = 32
_NEEDS_ESCAPE = re.compile(r'["\\\x00-\x1f]')

Answer = tuple[Verdict, tuple[Reason, ...], Obligations]


def ask_own_module(policy: OwnerPolicy, module: str | None, request: DecisionInput) -> Answer:
    """What the owner's own module says; every failure is a denial with its reason."""
    if module is None or policy.module is None or digest(module.encode(errors="replace")) != policy.module:
        found = "none" if module is None else "another one"
        text = f"The policy module that the owner signed is needed; there is {found}."
        return _refusal(Reason(code="module-changed", text=text, fix="Ask the owner to publish the asset again."))
    facts = {**request.model_dump(mode="json"), "policy": policy.model_dump(mode="json")}
    if odd := _odd_text(facts):
        text = f"The owner's own module cannot judge text with quotes, backslashes or line breaks, as in {odd}."
        return _refusal(Reason(code="odd-text", text=text, fix="Write it without these characters and ask again."))
    try:
        check_text(module)
        return _read(engine.evaluate_apart(module, ENTRYPOINT, _without_nulls(facts)))
    except SlsError as error:
        return _refusal(no_decision(error))


def _refusal(reason: Reason) -> Answer:
    return "deny", (reason,), Obligations(full_errors=True)


def _read(answer: object) -> Answer:
    """An own module's answer, strictly; what it leaves out about obligations narrows nothing."""
    known = {"verdict", "reasons", "obligations"}
    if not isinstance(answer, dict) or not answer.keys() <= known or answer.get("verdict") not in _VERDICTS:
        raise MalformedDocument(
            "The owner's own module answers with something that is not a decision.",
            expected='verdict ("allow", "ask" or "deny"), reasons, obligations',
            hint="Tell the owner; nothing was granted.",
        )
    verdict: Verdict = answer["verdict"]
    try:
        reasons = in_order(map(Reason.model_validate, list(answer.get("reasons", ()))[:_MAX_REASONS]))
        wanted = {"full_errors": True, **answer.get("obligations", {})}
        if isinstance(wanted.get("kinds"), list):
            wanted["kinds"] = tuple(wanted["kinds"])
        obligations = Obligations.model_validate(wanted)
    except (ValidationError, TypeError):
        raise MalformedDocument(
            "The reasons or obligations of the owner's own module are not readable.",
            expected="reasons of code, text and fix; obligations as in a grant",
            hint="Tell the owner; nothing was granted.",
        ) from None
    if verdict != "allow" and not reasons:
        text = f"The owner's own module says {verdict} and gives no reason."
        reasons = (Reason(code="own-module", text=text, fix="Ask the owner what to change."),)
    return verdict, reasons, obligations


def _odd_text(value: object, where: str = "the request") -> str:
    """Where a string is that the engine would count or compare as it is spelt; empty if there is none."""
    if isinstance(value, str):
        return where if _NEEDS_ESCAPE.search(value) else ""
    parts: Iterable[tuple[object, str]] = ()
    if isinstance(value, dict):
        parts = [*((item, f"the field {name}") for name, item in value.items()), *((name, where) for name in value)]
    elif isinstance(value, list):
        parts = ((item, where) for item in value)
    return next((odd for item, place in parts if (odd := _odd_text(item, place))), "")


def _without_nulls(value: Any) -> Any:
    """The same facts without absent members: the engine orders null differently from OPA."""
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
