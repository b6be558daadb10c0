"""Waiting for the people who have to approve: what a run's status says meanwhile, and the error where nobody waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.errors import ApprovalPending, Unavailable
from sls_jupyter.printing import short_digest, time_words
from sls_jupyter.safestream.request import Answers, Waiting
from sls_jupyter.safestream.run import Run

POLL_APPROVAL_SECONDS = 1.0  # between two questions whether a person has decided, in the first minute;
POLL_APPROVAL_MOST_SECONDS = 5.0  # later less often


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, and how to tell of it."""

    spec: StreamSpec
    terms: str  # what a person decides on, by digest
    names: Mapping[str, str]  # DID -> name
    waiting: Callable[[str], Waiting]  # DID of an authority where it waits -> what is known of it there


def await_approval(run: Run, answers: Answers, again: Callable[[], Answers], asked: Asked, *, wait: bool) -> Answers:
    """Wait until every authority allows what was asked; ``approved`` of the run's status.

    Args:
        answers: the first ones. again: asks once more.
        wait: for people; otherwise it is an error that one is needed.

    Raises:
        ApprovalPending: a person has to decide. AccessDenied: somebody said no. RunCancelled: meanwhile.
    """
    told: Waiting | None = None
    while answers.verdict != "allow":
        held = [item for item in asked.spec.inputs if answers.decisions[item.alias].verdict == "ask"]
        owners = ", ".join(dict.fromkeys(asked.names.get(item.owner, item.owner) for item in held))
        told = told or asked.waiting(held[0].authority)
        dids = list(dict.fromkeys(item.owner for item in held))
        run.state_facts(request=asked.terms, waits={"owners": dids, "since": told.since})
        if not wait:
            raise _pending(asked, answers, owners, told)
        run.steps.note("approved", f"waiting for {owners}: request {short_digest(asked.terms)}{_since(told)}")
        for line in _compared(told):
            run.steps.note("approved", evidence=line)
        answers = _after_a_while(run, answers, again, asked)
    for grant in answers.grants:
        alias = next(item.alias for item in asked.spec.inputs if item.asset == grant.asset)
        run.steps.note("approved", evidence=f"{alias}: grant {grant.digest} by {grant.authority}")
    count = len(answers.grants)
    run.steps.done("approved", f"{count} grant{'s' if count > 1 else ''}")
    return answers


def _after_a_while(run: Run, answers: Answers, again: Callable[[], Answers], asked: Asked) -> Answers:
    """The authorities' next answers; the same as before while one of them cannot be reached."""
    waited = run.steps["approved"].took()
    if run.cancelled.wait(min(POLL_APPROVAL_MOST_SECONDS, POLL_APPROVAL_SECONDS * (1 + waited // 60))):
        run.require_going()
    try:
        answers = again()
    except Unavailable as error:  # an owner's machine may sleep as well; the contract's own time ends the waiting
        if time.time() >= asked.spec.expires_at:
            raise
        run.steps.note("approved", evidence=f"not reached for a while: {error.sentence}")
        return answers
    answers.require_not_denied()
    return answers


def _pending(asked: Asked, answers: Answers, owners: str, told: Waiting) -> ApprovalPending:
    reasons = [reason.text for one in answers.decisions.values() for reason in one.reasons if reason.level == "ask"]
    id_ = short_digest(asked.terms)
    return ApprovalPending(
        f"{owners} must approve request {id_} first; it is in their inbox{_since(told)}.",
        found=f"the owner's authority says: {' '.join(dict.fromkeys(reasons))}",
        hint="Run the cell again when they have, or use --no-wait and let the run wait for them."
        f" %sls show {id_} is what they see.",
        detail={"request": asked.terms, "since": told.since, "compared": list(_compared(told))},
    )


def _since(told: Waiting) -> str:
    return "" if told.since is None else f" since {time_words(told.since)}"


def _compared(told: Waiting) -> tuple[str, ...]:
    """Why an earlier yes does not hold for this request."""
    if not told.differences:
        return ()
    return (
        f"It differs from request {short_digest(told.earlier)}, which was {told.state}, as its authority says:",
        *told.differences,
    )
