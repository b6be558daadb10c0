"""A policy as the options that give it again: the way back of :mod:`sls_jupyter.policy.options`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sls_jupyter.errors import BadInput
from sls_jupyter.naming import quoted
from sls_jupyter.policy.model import OwnerPolicy

_LAST = 253_402_300_799  # the last second that a calendar has


def options_of(policy: OwnerPolicy) -> dict[str, Any]:
    """The options of ``%seal`` that say what a policy says; what is the default anyway is left out.

    A recipient's pinned key is no option: it is the one that is known of them when the options are read.

    Raises:
        BadInput: the policy is a module of the owner's, or ends when no calendar has a day.
    """
    if policy.module is not None:
        raise BadInput(
            "The policy in force is a Rego module of your own.",
            found=policy.module,
            hint="Edit its file, and seal with --policy FILE.rego.",
        )
    default = OwnerPolicy(owner=policy.owner)
    options: dict[str, Any] = {
        "allow_code": _code(policy),
        "requester": list(policy.requesters),
        "columns": None if policy.columns is None else ",".join(map(quoted, policy.columns)),
        "purpose": list(policy.purposes),
        "kinds": ",".join(policy.kinds) if policy.kinds != default.kinds else None,
        "min_group": policy.min_group,
        "max_rows": policy.max_rows,
        "max_bytes": policy.max_bytes,
        "max_runs": policy.max_runs,
        "no_sessions": not policy.sessions or None,
        "max_cells": policy.max_cells,
        "expires": None if policy.expires_at is None else _moment(policy.expires_at),
        "tee": ",".join(policy.tees) if policy.tees != default.tees else None,
        "recipient": list(policy.recipients),
        "approver": list(policy.approvers),
        "approvals": policy.required_approvals if policy.required_approvals > 1 else None,
        "full_errors": policy.full_errors or None,
        "minimum_tcb": {kind: dict(floor) for kind, floor in policy.minimum_tcb.items()} or None,
        "bulletin": list(policy.bulletins),
        "mitigations": list(policy.mitigations),
        "fragment": list(policy.fragments),
        "registers": {name: list(values) for name, values in policy.registers.items()} or None,
    }
    return {name: value for name, value in options.items() if value is not None and value != []}


def _code(policy: OwnerPolicy) -> str:
    words = (() if policy.code == "listed" else (policy.code,), policy.code_digests)
    return ",".join(word for group in words for word in group)


def _moment(seconds: int) -> str:
    if seconds > _LAST:
        raise BadInput("The policy in force ends when no calendar has a day.", found=seconds, hint="Seal it anew.")
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
