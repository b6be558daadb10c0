"""Who is known here by which name."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sls_jupyter.lab import messages
from sls_jupyter.lab.asking import Asked
from sls_jupyter.lab.rows import card_of, person, silences
from sls_jupyter.notebook.people import added_card, connected_card, named_card
from sls_jupyter.printing import one_line

if TYPE_CHECKING:
    from sls_jupyter.session import Session


def listed(asked: Asked) -> messages.People:
    """Own personas, everybody who has a name here, and the authorities that are known."""
    session = asked.session
    contacts = session.contacts()
    return messages.People(
        personas=tuple(messages.PersonaRow(name=name, did=did) for name, did in session.personas()),
        contacts=tuple(
            messages.ContactRow(
                person=person(who), key="" if contact is None else contact.key_digest, me=who.did == session.did
            )
            for who, contact in contacts
        ),
        authorities=_authorities(session),
        silent=silences(session),
    )


def _authorities(session: Session) -> tuple[messages.AuthorityRow, ...]:
    return tuple(
        messages.AuthorityRow(
            url=one_line(one.url),
            did=one.did,
            owner=person(one.owner),
            mine=one.mine,
            trouble=one_line(one.trouble),
        )
        for one in session.known_authorities()
    )


def name(asked: Asked) -> messages.CardAnswer:
    """Give somebody a name."""
    body = cast(messages.CallThem, asked.body)
    return messages.CardAnswer(card=card_of(asked.session, named_card(asked.session.call(body.did, body.name))))


def connect(asked: Asked) -> messages.CardAnswer:
    """Remember another owner's authority; the card says what that proved, and what nobody did."""
    session, body = asked.session, cast(messages.Connect, asked.body)
    session.connect(body.url, name=body.name)
    url, _, did = body.url.partition("#")
    owner = session.owner_at(url)
    card = connected_card(owner, session.did_at(url), url, compared=did, mine=session.is_mine(owner.did))
    return messages.CardAnswer(card=card_of(session, card))


def contact(asked: Asked) -> messages.CardAnswer:
    """Keep somebody's signed contact."""
    session, body = asked.session, cast(messages.AddContact, asked.body)
    who = session.keep_contact(body.text.encode(), body.name)
    return messages.CardAnswer(card=card_of(session, added_card(who, session.recipient(who.did))))
