"""The inbox: requests, one request as it will run, decisions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from sls_jupyter.lab import messages
from sls_jupyter.lab.asking import Asked
from sls_jupyter.lab.rows import blocks_of, card_of, first, fitting, person, silences
from sls_jupyter.notebook.diffing import diff_of, rows_data
from sls_jupyter.notebook.render import decided_card, input_words
from sls_jupyter.notebook.review import approval_words, request_page
from sls_jupyter.notebook.words import STATES, asks_simulated
from sls_jupyter.printing import one_line, short_digest
from sls_jupyter.session.reviewing import seen_digest

if TYPE_CHECKING:
    from sls_jupyter.session import RequestInfo


def listed(asked: Asked) -> messages.Inbox:
    """Requests without their code: those that wait first, among these the newest first."""
    session = asked.session
    found = session.requests(opened=False)
    rows = fitting(found, asked.query, _words)
    return messages.Inbox(
        rows=tuple(_row(one, session.did) for one in first(rows, asked.query)),
        total=len(rows),
        waiting=sum(map(_waits_for_me, found)),
        doubts=tuple(map(one_line, session.doubts())),
        silent=silences(session),
    )


def page(asked: Asked) -> messages.RequestPage:
    """One request, looked up anew, with all that whoever decides has to read."""
    session = asked.session
    request = session.request(asked.path["id"])
    parts, history = request_page(request, session.names_in(request.spec)), session.history(request)
    return messages.RequestPage(
        row=_row(request, session.did),
        card=card_of(session, parts.without_code()),
        code=blocks_of(parts.code),
        difference=_difference(request),
        earlier=() if history is None else tuple(map(_earlier, history.on_assets)),
        met=None if history is None else messages.Met(decided=history.of_requester, first_at=history.first_asked),
        signs=_signs(request),
        can_decide=_waits_for_me(request),
        seen=seen_digest(request, session.did),
    )


def decide(asked: Asked) -> messages.Decided:
    """Sign an approval or a denial, if the request is still what the page showed."""
    session, id_, body = asked.session, asked.path["id"], cast(messages.Decide, asked.body)
    request = session.require_seen(id_, body.seen)
    entry = session.approve(request.id, body.reason) if body.approve else session.deny(request.id, body.reason)
    card = decided_card(request.id, body.approve, entry, body.reason)
    return messages.Decided(id=request.id, approved=body.approve, entry=entry, card=card_of(session, card))


def _row(request: RequestInfo, me: str) -> messages.RequestRow:
    return messages.RequestRow(
        id=request.id,
        short=short_digest(request.id),
        state=one_line(request.state),
        tone=STATES.get(request.state, ""),
        who=person(request.who),
        purpose=one_line(request.spec.purpose),
        assets=tuple(one_line(input_words(item)) for item in request.inputs),
        created_at=request.created_at,
        mine_to_decide=request.mine_to_decide,
        own=request.requester == me,
        simulated=asks_simulated(request.spec),
        session=_session(request),
    )


def _session(request: RequestInfo) -> str:
    terms = request.spec.session
    return "" if terms is None else f"cell {len(request.proposal.cells)} of at most {terms.cells}"


def _words(request: RequestInfo) -> tuple[str, ...]:
    assets = map(input_words, request.inputs)
    return (request.id, request.state, str(request.who), request.requester, request.spec.purpose, *assets)


def _waits_for_me(request: RequestInfo) -> bool:
    return request.mine_to_decide and request.state == "open"


def _difference(request: RequestInfo) -> messages.Difference | None:
    earlier = request.earlier
    if earlier is None:
        return None
    diff = diff_of(request.texts, earlier.texts, earlier.cells)
    return messages.Difference.from_json(
        {
            "id": short_digest(earlier.id),
            "state": one_line(earlier.state),
            "summary": earlier.short,
            "changes": list(map(one_line, earlier.besides)),
            "rows": rows_data(diff.rows),
            "left_out": diff.left_out,
        }
    )


def _earlier(request: RequestInfo) -> messages.EarlierRow:
    return messages.EarlierRow(
        id=short_digest(request.id),
        state=one_line(request.state),
        tone=STATES.get(request.state, ""),
        who=one_line(str(request.who)),
        purpose=one_line(request.spec.purpose),
        at=request.created_at,
    )


def _signs(request: RequestInfo) -> str:
    """What an approval signs."""
    what, until = approval_words(request, int(time.time()))
    return one_line(f"You sign the terms {short_digest(request.id)} with your key. It lets run: {what} {until}")
