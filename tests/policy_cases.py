"""Builders for the tests of the room ``policy``: people, digests, a request that an open policy allows."""

from __future__ import annotations

from typing import Any

from sls_jupyter.identity import did_from_public_key
from sls_jupyter.policy.decide import AssetFacts, DecisionInput, InputFacts, RequestFacts
from sls_jupyter.policy.facts import SessionFacts
from sls_jupyter.policy.model import OwnerPolicy

OWNER, ANALYST, COLLEAGUE, STRANGER = (did_from_public_key(bytes([number]) * 32) for number in (1, 2, 3, 4))
ASSET, OTHER, CELL, MODEL = (f"sha256:{letter * 64}" for letter in "abcd")
NOW = 1_800_000_000  # 2027-01-15 08:00 UTC
COLUMNS = ("age", "name", "outcome", "sex")


def policy(**fields: Any) -> OwnerPolicy:
    """A policy that lets the analyst run any code; each test narrows one field."""
    return OwnerPolicy(**{"owner": OWNER, "requesters": (ANALYST,), "code": "any", **fields})


def request(**changes: Any) -> DecisionInput:
    """What the analyst asks for; changes may name fields of the request, of the asset (``asset_…``) or of the input."""
    inside: dict[str, Any] = {
        "requester": ANALYST,
        "purpose": "risk study",
        "columns": None,
        "code": (CELL,),
        "recipients": (ANALYST,),
        "recipient_keys": {ANALYST: OTHER},
        "kinds": ("table",),
        "outputs": ("risk",),
        "limits": {"cpus": 1},
        "tees": ("sev-snp",),
        "fragments": (),
        "session": None,
        "inputs": (InputFacts(asset=ASSET, kind="table", owner=OWNER, authority=OWNER),),
    }
    asset: dict[str, Any] = {"id": ASSET, "kind": "table", "name": "patients", "owner": OWNER, "columns": COLUMNS}
    outside: dict[str, Any] = {"phase": "grant", "now": NOW}
    for name, value in changes.items():
        if name.startswith("asset_"):
            asset[name.removeprefix("asset_")] = value
        else:
            (inside if name in inside else outside)[name] = value
    return DecisionInput(asset=AssetFacts(**asset), request=RequestFacts(**inside), **outside)


def session(**changes: Any) -> SessionFacts:
    """The second cell of a session."""
    fields = {"cells": 40, "idle_seconds": 900, "wall_seconds": 3600, "output_bytes": 2**20, "cell": 2}
    return SessionFacts(**fields | changes)


def release(**changes: Any) -> DecisionInput:
    """The same request when keys are asked for, with claims of verified hardware evidence."""
    claims = {"tee": "sev-snp", "product": "Milan", "simulated": False, "tcb": {"snp": 20, "microcode": 200}}
    return request(**{"phase": "release", "claims": {**claims, **changes.pop("claims", {})}, **changes})
