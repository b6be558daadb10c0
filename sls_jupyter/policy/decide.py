"""The decision of one owner about one asset in one stream: allow, ask or deny, with every reason and its fix.

Our module (``owner.rego``) always runs. An owner's own module, named in the policy by its digest, takes the
place of three of its rules: who may ask, which code may run, whose approval is needed. Its input is the whole
:class:`DecisionInput`, with the policy as ``policy`` and without nulls; it answers::

    {"verdict": "allow" | "ask" | "deny", "reasons": [{"code", "text", "fix"}], "obligations": {…}}

``reasons`` and ``obligations`` may be left out. Everything else that the parameters say stays enforced
outside of it: denials by people, expiry, number of runs, purposes, recipients, columns, kinds of output,
kinds of TEE, simulation, TCB. Its obligations are combined with the parameters', the stricter of both; so
an own module can only narrow, never widen. If it is missing, changed, malformed, too slow, or fails: deny.

What is *not* checked here: signatures, whether an approval is about these terms, whether the claims are
those of verified evidence, and the order of events. The caller did that before.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from sls_jupyter.contract.grants import Obligations
from sls_jupyter.documents import digest
from sls_jupyter.errors import SlsError
from sls_jupyter.policy import engine
from sls_jupyter.policy.facts import (
    AssetFacts,
    Decision,
    DecisionInput,
    InputFacts,
    Reason,
    RequestFacts,
    Verdict,
    in_order,
    no_decision,
)
from sls_jupyter.policy.model import OwnerPolicy, utc_text
from sls_jupyter.policy.modules import ENTRYPOINT, check_text
from sls_jupyter.policy.own import ask_own_module

__all__ = ["AssetFacts", "Decision", "DecisionInput", "InputFacts", "Reason", "RequestFacts", "check_module", "decide"]

_SEVERITY: dict[Verdict, int] = {"allow": 0, "ask": 1, "deny": 2}
_Level = Literal["deny", "ask", "note"]
_LEVELS: tuple[_Level, ...] = ("deny", "ask", "note")
_OUR_ENTRYPOINT = "sls/owner_policy/result"
_MAX_NAMED = 20  # columns in a sentence
_ASKED = {
    "requester",
    "purpose",
    "code",
    "recipients",
    "recipient_keys",
    "kinds",
    "fragments",
    "session",
}  # what our rules read of a request
_MAX_TEES = 64  # of a request; there are not so many kinds


def decide(policy: OwnerPolicy, module: str | None, request: DecisionInput) -> Decision:
    """Decide about one asset in one stream. Never raises for what a request or a module contains.

    Args:
        policy: verified; signed by the asset's owner.
        module: the text of the owner's own module if ``policy.module`` names one.
        request: the facts; the clock is in it.

    Returns:
        ``deny`` beats ``ask`` beats ``allow``; every condition that fails is named, not the first.
        With an own module a decision blocks for about 0.1 s, at most 5 s; without, about 1 ms.
    """
    columns = _Columns.compare(policy, request)
    verdict, reasons = _ours(_our_facts(policy, request, columns))
    obligations = policy.obligations().combine(Obligations(kinds=request.request.kinds, full_errors=True))
    if policy.module is not None or module is not None:
        own_verdict, own_reasons, own_obligations = ask_own_module(policy, module, request)
        verdict = max(verdict, own_verdict, key=_SEVERITY.__getitem__)
        reasons += own_reasons
        obligations = obligations.combine(own_obligations)
    return Decision(
        verdict=verdict,
        reasons=reasons,
        columns=columns.granted,
        tees=tuple(sorted(set(policy.tees) & set(request.request.tees))),
        obligations=obligations,
    )


def check_module(text: str) -> str:
    """Check an owner's own module before it is published: its words, then whether it compiles.

    Returns:
        The digest of its UTF-8 text, for ``OwnerPolicy.module``.

    Raises:
        BadInput: with every line that has to change, or the compiler's first message.
    """
    check_text(text)
    engine.compile_apart(text, ENTRYPOINT)
    return digest(text.encode())


# --- how ------------------------------------------------------------------------------------------


@cache
def _our_module() -> str:
    return Path(__file__).with_name("owner.rego").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of both sides, compared here: a table may have thousands of them."""

    granted: tuple[str, ...] | None  # None: all, or not a table
    unknown: tuple[str, ...] = ()  # requested, but the asset has none of that name
    kept: tuple[str, ...] = ()  # requested, but the owner keeps them back

    @classmethod
    def compare(cls, policy: OwnerPolicy, request: DecisionInput) -> _Columns:
        if request.asset.kind != "table":
            return cls(None)
        grantable, known, asked = policy.columns, request.asset.columns, request.request.columns
        if asked is None:
            asked = grantable if known is None else _within(known, grantable)
            return cls(asked)
        existing = _within(asked, known)
        granted = _within(existing, grantable)
        return cls(granted, _without(asked, existing), _without(existing, granted))


def _within(names: tuple[str, ...], allowed: tuple[str, ...] | None) -> tuple[str, ...]:
    chosen = None if allowed is None else frozenset(allowed)
    return tuple(name for name in names if chosen is None or name in chosen)


def _without(names: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    left_out = frozenset(others)
    return tuple(name for name in names if name not in left_out)


def _our_facts(policy: OwnerPolicy, request: DecisionInput, columns: _Columns) -> dict[str, Any]:
    """What our rules read, each list bounded in a requester's hands: the engine compares element by element."""
    asked = request.request
    return {
        **request.model_dump(mode="json", exclude={"asset", "request"}),
        "asset": {"id": request.asset.id, "owner": request.asset.owner},
        "request": {
            **asked.model_dump(mode="json", include=_ASKED),
            "tees": list(asked.tees[:_MAX_TEES]),
        },
        "policy": policy.model_dump(mode="json", exclude={"columns"}),
        "columns": {
            "unknown": _some(columns.unknown),
            "kept": _some(columns.kept),
            "existing": _some(request.asset.columns or ()),
            "grantable": _some(policy.columns or ()),
        },
        "words": {"expires_at": utc_text(policy.expires_at) if policy.expires_at is not None else "never"},
    }


def _some(names: tuple[str, ...]) -> list[str]:
    """As many as a sentence bears."""
    more = len(names) - _MAX_NAMED
    return [*names[:_MAX_NAMED], *([f"and {more} more"] if more > 0 else [])]


def _ours(facts: dict[str, Any]) -> tuple[Verdict, tuple[Reason, ...]]:
    try:
        result = engine.evaluate(_our_module(), _OUR_ENTRYPOINT, facts)
        deny, ask, note = (in_order(_in_words(rule, level) for rule in result[level]) for level in _LEVELS)
    except (SlsError, KeyError, TypeError, ValidationError) as error:
        return "deny", (no_decision(error),)
    verdict: Verdict = "deny" if deny else "ask" if ask else "allow"
    return verdict, (*deny, *ask, *note)


def _in_words(rule: dict[str, Any], level: _Level) -> Reason:
    """Put the values of a rule of ours into its sentences."""
    values = {name: _listed(value) if isinstance(value, list) else value for name, value in rule["values"].items()}
    return Reason(code=rule["code"], text=rule["text"].format(**values), fix=rule["fix"].format(**values), level=level)


def _listed(values: list[Any]) -> str:
    return ", ".join(map(str, values)) or "nothing"
