"""Which verdict of an approver counts for what is asked now.

An approval holds for the very terms; for the same with lower limits; and, of a list of cells, for each beginning of it.
A denial holds for the very terms, and for every list of cells that goes on from them. What covers something is ended
by a later denial of what it covers, or of what it begins with (decisions 19 and 27).

A database finds verdicts by keys; what counts is what the signed documents behind them say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sls_jupyter.authority import store as db
from sls_jupyter.authority.specs import read_proposal
from sls_jupyter.contract.grants import Approval, Denial
from sls_jupyter.contract.proposal import Proposal
from sls_jupyter.documents import verify
from sls_jupyter.identity import verify_signature

MAX_COVERING = 4  # newest approvals of one approver, of other terms, that are looked at
_CHUNK = 500  # values of one statement


@dataclass(frozen=True, slots=True)
class Said:
    """One verdict, and what it is about."""

    about: Proposal
    verdict: Approval | Denial

    @property
    def at(self) -> int:
        return self.verdict.issued_at

    @property
    def is_denial(self) -> bool:
        return isinstance(self.verdict, Denial)

    def holds_at(self, now: int) -> bool:
        """Whether it is an approval that has not expired."""
        return isinstance(self.verdict, Approval) and self.verdict.expires_at > now


def standing(asked: Proposal, said: Sequence[Said], now: int) -> Approval | Denial | None:
    """Of one approver's verdicts, the one that counts for ``asked``.

    Args:
        said: in the order in which they came; about the same session or run, with whatever limits.
        now: seconds since 1970-01-01 UTC.
    """
    covering = [one for one in said if _covers(one, asked) and one.holds_at(now) and not _is_ended(one, said)]
    direct: list[tuple[int, int, Said]] = []  # of one second: a denial before it begins, then the very terms
    for one in said:
        if one.about.terms == asked.terms:
            direct.append((one.at, 1, one))
        elif one.is_denial and one.about.spec_terms == asked.spec_terms and one.about.begins(asked):
            direct.append((one.at, 2, one))
    direct += [(one.at, 0, one) for one in covering if one.about.spec_terms == asked.spec_terms]
    own = max(reversed(direct), key=lambda ranked: ranked[:2], default=None)
    if own is not None and (own[2].is_denial or own[2].holds_at(now)):
        return own[2].verdict
    newest = max(reversed(covering), key=lambda one: one.at, default=None)
    if newest is not None:
        return newest.verdict
    return None if own is None else own[2].verdict


def _covers(one: Said, asked: Proposal) -> bool:
    """Whether it is an approval of other terms that holds for these too."""
    return not one.is_denial and one.about.terms != asked.terms and asked.is_within(one.about)


def _is_ended(approval: Said, said: Sequence[Said]) -> bool:
    """Whether what it approves, or a beginning of that, was denied as late or later, with whatever limits."""
    return any(one.is_denial and one.at >= approval.at and one.about.begins(approval.about) for one in said)


# --- from the database ----------------------------------------------------------------------------

_verdicts, _requests, _begun = db.verdicts, db.requests, db.beginnings
_ROWS = sa.select(*_verdicts.c, _requests.c.spec, _requests.c.order).join_from(
    _verdicts, _requests, _verdicts.c.request == _requests.c.id
)
_PLACE = sa.func.row_number().over(partition_by=_verdicts.c.approver, order_by=_verdicts.c.entry.desc())
_RANKED = (
    sa.select(_verdicts.c.id, _PLACE.label("place"))
    .join_from(_verdicts, _begun, _begun.c.verdict == _verdicts.c.id)
    .where(_begun.c.key == sa.bindparam("key"), _verdicts.c.approved.is_(True))
    .subquery()
)
# built once: putting a statement together takes longer than running it
_EXACT = _ROWS.where(_verdicts.c.request == sa.bindparam("terms"))
_COVERING = _ROWS.where(_verdicts.c.id.in_(sa.select(_RANKED.c.id).where(_RANKED.c.place <= MAX_COVERING)))
_DENIALS = _ROWS.where(
    _verdicts.c.approved.is_(False), _requests.c.but_limits.in_(sa.bindparam("keys", expanding=True))
)
_ALL = sa.union_all(
    *(
        one.add_columns(sa.literal(covering).label("covering"))
        for one, covering in ((_EXACT, False), (_COVERING, True), (_DENIALS, False))
    )
)
_ENDING = _ROWS.where(
    _verdicts.c.approved.is_(False),
    _requests.c.but_limits.in_(
        sa.select(_begun.c.key).where(_begun.c.verdict.in_(sa.bindparam("covering", expanding=True)))
    ),
)


@dataclass(frozen=True, slots=True)
class Heard:
    """All verdicts of anybody that may count for one proposal, read at one time."""

    asked: Proposal
    said: tuple[Said, ...]
    ids: frozenset[str]

    def counting(self, approvers: Sequence[str], now: int, also: Approval | None = None) -> list[Approval | Denial]:
        """The verdict of each approver that counts, where there is one.

        Args:
            also: an approval that is not stored yet.
        """
        said = list(self.said)
        if also is not None and also.approver in approvers and also.terms == self.asked.terms:
            said.append(Said(self.asked, also))
        each = (standing(self.asked, [one for one in said if one.verdict.approver == who], now) for who in approvers)
        return [one for one in each if one is not None]


def hear(connection: Connection, asked: Proposal) -> Heard:
    """Read and verify what may count for ``asked``."""
    rows = _rows(connection, asked)
    return Heard(asked, tuple(_read(asked, rows)), frozenset(row["id"] for row in rows))


def verdict_ids(connection: Connection, asked: Proposal) -> frozenset[str]:
    """:attr:`Heard.ids`, with nothing verified."""
    return frozenset(row["id"] for row in _rows(connection, asked))


def approved_before(
    connection: Connection, asked: Proposal, approvers: Sequence[str], now: int
) -> tuple[int, Approval | None]:
    """How many of the cells, from the first on, one of the approvers has approved already, and an approval that says so.

    Of a run it is none.
    """
    if asked.order is None:
        return 0, None
    keys = asked.beginnings
    known: set[str] = set()
    for some in _chunks(keys):
        query = sa.select(_begun.c.key).join_from(_begun, _verdicts)
        query = query.where(_begun.c.key.in_(some), _verdicts.c.approver.in_(approvers))
        known.update(connection.execute(query.distinct()).scalars())
    for count in [at for at, key in enumerate(keys, start=1) if key in known][::-1][:MAX_COVERING]:
        for one in hear(connection, beginning_of(asked, count)).counting(approvers, now):
            if isinstance(one, Approval) and one.expires_at > now:
                return count, one
    return 0, None


def beginning_of(asked: Proposal, count: int) -> Proposal:
    """The first ``count`` cells of a session as a proposal; nobody signed it as an order."""
    order = asked.order
    if order is None or count == len(asked.cells):
        return asked
    previous = None if count == 1 else order.previous
    return Proposal(asked.spec, order.model_copy(update={"cells": order.cells[:count], "previous": previous}))


def _rows(connection: Connection, asked: Proposal) -> list[Any]:
    """Verdicts with what they are about, in the order in which they came: those on these very terms, the newest approvals
    that cover them, every denial of a beginning, and every denial of a beginning of what covers them."""

    def rows(statement: sa.Executable, **values: Any) -> Sequence[Any]:
        return connection.execute(statement, values).mappings().all()

    first, *more = _chunks(asked.beginnings)
    found = list(rows(_ALL, terms=asked.terms, key=asked.beginnings[-1], keys=list(first)))
    covering = [row["id"] for row in found if row["covering"]]
    for some in more:
        found += rows(_DENIALS, keys=list(some))
    if asked.order is not None and covering:
        found += rows(_ENDING, covering=covering)
    return sorted({row["id"]: row for row in found}.values(), key=lambda row: row["entry"])


def _chunks(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), _CHUNK):
        yield keys[start : start + _CHUNK]


def _read(asked: Proposal, rows: Sequence[Any]) -> Iterator[Said]:
    """Each verdict with the proposal that it is about: its requester's, and verified."""
    read: dict[str, Proposal] = {asked.terms: asked}
    for row in rows:
        cls: type[Approval | Denial] = Approval if row["approved"] else Denial
        verdict = verify(row["envelope"], cls, verify_signature, did=row["approver"])
        if verdict.terms not in read:
            read[verdict.terms] = read_proposal(row["spec"], row["order"])
        about = read[verdict.terms]
        if about.terms == verdict.terms and about.spec_but_limits == asked.spec_but_limits:
            yield Said(about, verdict)


def keep_beginnings(connection: Connection, asked: Proposal, verdict: str) -> None:
    """Store what an approval covers."""
    rows = [{"key": key, "verdict": verdict} for key in dict.fromkeys(asked.beginnings)]
    connection.execute(sa.insert(db.beginnings), rows)
