"""Orders and grants of a session: only the next cell of this very session, granted by everybody, is one."""

from __future__ import annotations

from typing import Any

import pytest
from contract_kit import SPEC
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sls_jupyter.contract.cells import (
    CellGrant,
    CellOrder,
    CellTerms,
    cell_obligations,
    cell_terms,
    verify_cell_grants,
    verify_order,
)
from sls_jupyter.contract.grants import Grant, Obligations
from sls_jupyter.contract.spec import SessionTerms, StreamSpec
from sls_jupyter.documents import digest, sign
from sls_jupyter.errors import BadInput, DigestMismatch, MalformedDocument, NotAuthorised, SignatureInvalid
from sls_jupyter.identity import Home, Identity

NOW = 1_790_000_000


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> dict[str, Identity]:
    root = tmp_path_factory.mktemp("people")
    return {name: Home(root, name).identity() for name in ("analyst", "first", "second", "stranger")}


@pytest.fixture(scope="module")
def spec(people) -> StreamSpec:
    inputs = tuple(
        item.model_copy(update={"authority": people[name].did})
        for item, name in zip(SPEC.inputs, ("second", "first"), strict=True)
    )
    return SPEC.model_copy(
        update={"requester": people["analyst"].did, "inputs": inputs, "code": None, "parameters": None}
        | {"outputs": (), "session": SessionTerms(cells=3)}
    )


def cells(count: int) -> tuple[CellTerms, ...]:
    return tuple(CellTerms(code=digest(b"%d" % number), parameters=digest(b"")) for number in range(count))


def order(spec: StreamSpec, count: int, previous: CellOrder | None = None, **changes: Any) -> CellOrder:
    fields = {
        "requester": spec.requester,
        "session": spec.digest,
        "previous": None if previous is None else previous.digest,
        "cells": cells(count),
        "issued_at": NOW,
        "expires_at": NOW + 60,
    }
    return CellOrder(**fields | changes)


def grants(spec: StreamSpec, one: CellOrder, people: dict[str, Identity], **changes: Any) -> list[bytes]:
    fields: dict[str, Any] = {"session": spec.digest, "order": one.digest, "obligations": Obligations()}
    fields |= {"issued_at": NOW, "expires_at": NOW + 60, **changes}
    return [sign(CellGrant(authority=people[name].did, **fields), people[name]) for name in ("first", "second")]


def session_grants(spec: StreamSpec, **obligations: Any) -> list[Grant]:
    return [
        Grant(
            authority=item.authority, spec=spec.digest, asset=item.asset, columns=None, tees=("sev-snp",),
            obligations=Obligations(**obligations), issued_at=NOW, expires_at=NOW + 60,
        )
        for item in spec.inputs
    ]  # fmt: skip


def test_a_chain_is_followed_cell_by_cell(people, spec):
    """Each order names the one before and all cells so far; there are as many as the session has."""
    previous = None
    for count in (1, 2, 3):
        envelope = sign(order(spec, count, previous), people["analyst"])
        previous = verify_order(envelope, spec, previous, now=NOW)
        assert (previous.number, previous.cell) == (count, cells(count)[-1])
    with pytest.raises(BadInput, match="no more cells"):
        verify_order(sign(order(spec, 4, previous), people["analyst"]), spec, previous, now=NOW)


def test_nothing_but_the_next_cell_is_taken(people, spec):
    """A gap, a repetition, another past, another session: each with its own words."""
    analyst = people["analyst"]
    first = order(spec, 1)
    second = order(spec, 2, first)

    def refused(one: CellOrder, previous: CellOrder | None, words: str) -> None:
        with pytest.raises(DigestMismatch, match=words):
            verify_order(sign(one, analyst), spec, previous, now=NOW)

    refused(second, None, "not the next cell")
    refused(first, first, "not the next cell")
    refused(order(spec, 3, second), first, "not the next cell")
    refused(order(spec, 2, order(spec, 1, issued_at=NOW - 1)), first, "another chain")
    refused(second.model_copy(update={"cells": tuple(reversed(second.cells))}), first, "another chain")
    refused(order(spec.model_copy(update={"nonce": "1" * 32}), 1), None, "another session")


def test_only_its_requester_orders_and_in_time(people, spec):
    """Neither host nor manager makes an order, and an old one is worth nothing."""
    with pytest.raises(SignatureInvalid):
        verify_order(sign(order(spec, 1, requester=people["stranger"].did), people["stranger"]), spec, None, now=NOW)
    for now in (NOW + 60, NOW - 3600):
        with pytest.raises(BadInput, match="not valid at this time"):
            verify_order(sign(order(spec, 1), people["analyst"]), spec, None, now=now)


def test_every_authority_has_to_grant_this_very_cell(people, spec):
    """A grant that is missing, another's, for another cell, or stale lets nothing run."""
    one = order(spec, 1)
    both, known = grants(spec, one, people), session_grants(spec)

    def verified(envelopes: list[bytes], now: int = NOW) -> tuple[CellGrant, ...]:
        return verify_cell_grants(envelopes, spec, known, one, now=now)

    assert [grant.authority for grant in verified(both)] == [did for did, _ in spec.authorities()]
    with pytest.raises(NotAuthorised, match="has not granted"):
        verified(both[:1])
    with pytest.raises(MalformedDocument, match="twice"):
        verified([both[0], both[0]])
    strange = sign(
        CellGrant(authority=people["stranger"].did, session=spec.digest, order=one.digest, obligations=Obligations(),
                  issued_at=NOW, expires_at=NOW + 60), people["stranger"])  # fmt: skip
    with pytest.raises(NotAuthorised, match="no authority of the session"):
        verified([*both, strange])
    for replayed in (
        grants(spec, order(spec, 1, issued_at=NOW - 1), people),
        grants(spec, one, people, session="sha256:" + "0" * 64),
    ):
        with pytest.raises(DigestMismatch, match="another cell"):
            verified(replayed)
    with pytest.raises(BadInput, match="not valid at this time"):
        verified(both, now=NOW + 60)


@pytest.mark.parametrize(
    "weaker",
    [{"full_errors": True}, {"min_group": 4}, {"min_group": None}, {"max_rows": 11}, {"kinds": ("table", "text")}],
)
def test_a_cell_is_never_granted_more_than_the_session(people, spec, weaker):
    """What an authority promised for the session bounds each of its cells."""
    promised = {"kinds": ("table",), "min_group": 5, "max_rows": 10, "full_errors": False}
    one, known = order(spec, 1), session_grants(spec, **promised)
    same = grants(spec, one, people, obligations=Obligations(**promised))
    assert cell_obligations(spec, known, verify_cell_grants(same, spec, known, one, now=NOW)).max_rows == 10
    stricter = grants(spec, one, people, obligations=Obligations(**promised | {"min_group": 9}))
    assert cell_obligations(spec, known, verify_cell_grants(stricter, spec, known, one, now=NOW)).min_group == 9
    with pytest.raises(BadInput, match="more than it granted the session"):
        verify_cell_grants(
            grants(spec, one, people, obligations=Obligations(**promised | weaker)), spec, known, one, now=NOW
        )


@given(st.integers(1, 6), st.integers(0, 5))
def test_terms_name_every_cell(count: int, changed: int) -> None:
    """No cell, parameter or output can change, and none be left out, without other terms."""
    session = SPEC.model_copy(update={"code": None, "parameters": None, "outputs": (), "session": SessionTerms()})
    asked = list(cells(count))
    terms = cell_terms(session, asked)
    assert terms == cell_terms(session.model_copy(update={"nonce": "2" * 32, "issued_at": 0}), asked)
    assert terms != cell_terms(session, asked[:-1])
    for update in ({"code": digest(b"x")}, {"parameters": digest(b"x")}, {"outputs": ("x",)}):
        other = [one.model_copy(update=update) if at == changed % count else one for at, one in enumerate(asked)]
        assert cell_terms(session, other) != terms


@pytest.mark.parametrize(
    "fields",
    [{"session": SessionTerms()}, {"code": None}, {"parameters": None}, {"code": None, "parameters": None},
     {"code": None, "parameters": None, "session": SessionTerms()}],
)  # fmt: skip
def test_a_spec_has_code_or_is_a_sessions(fields):
    """Never both: what is measured is then one or the other."""
    with pytest.raises(ValidationError):
        StreamSpec(**SPEC.model_dump() | fields)
