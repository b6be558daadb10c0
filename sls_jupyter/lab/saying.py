"""What stands in several messages: people, cards, and somebody else's words as one line."""

from __future__ import annotations

from sls_jupyter.lab import messages
from sls_jupyter.notebook.cards import Card
from sls_jupyter.printing import one_line
from sls_jupyter.session import Session
from sls_jupyter.session.contacts import Who, short_did
from sls_jupyter.session.directory import Silent


def person(who: Who) -> messages.Person:
    """Somebody, as this persona may call them."""
    return messages.Person(
        did=who.did,
        short=short_did(who.did),
        words=one_line(str(who)),
        petname=who.petname,
        said=one_line(who.said, messages.MAX_TEXT),
        warning=one_line(who.warning),
    )


def card(found: Card, session: Session | None = None) -> messages.CardData:
    """A card as data; with a session, NOT ISOLATED stands on it where its programs are not kept apart."""
    shown = found if session is None else found.where(session.isolated)
    return messages.CardData.from_json(shown.data())


def silences(silent: list[Silent]) -> tuple[messages.Silence, ...]:
    """The authorities that do not answer as they should."""
    return tuple(messages.Silence(words=one_line(f"{one} {one.trouble}."), hint=one_line(one.hint)) for one in silent)
