"""People on the screen: who has which name here, what was proven about them and what was not."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from sls_jupyter.errors import BadInput
from sls_jupyter.notebook.cards import Card, Cell, Facts, Line, Mono, Table

if TYPE_CHECKING:
    from sls_jupyter.contract.spec import Recipient
    from sls_jupyter.session import Session
    from sls_jupyter.session.contacts import People, Who

# --- the sub-commands of %sls ---------------------------------------------------------------------


def connect(session: Session, options: argparse.Namespace) -> Card:
    """``connect URL``."""
    url = options.url.partition("#")[0]
    name, did = getattr(options, "name", ""), getattr(options, "did", "")
    session.connect(options.url, name=name, did=did)
    owner, compared = session.owner_at(url), did or "#" in options.url
    return connected_card(owner, session.did_at(url), url, compared=compared, mine=session.is_mine(owner.did))


def name(session: People, options: argparse.Namespace) -> Card:
    """``name WHO NAME``."""
    return named_card(session.call(options.who, options.name))


def contacts(session: People, _: argparse.Namespace) -> Card:
    """``contacts``."""
    return contacts_card(session.contacts(), session.did)


def contact(session: People, options: argparse.Namespace) -> Card:
    """``contact [FILE]`` and ``contact add FILE``."""
    words = options.words
    if words[:1] == ["add"]:
        if len(words) != 2:
            raise BadInput("One contact file is added at a time.", expected="contact add FILE [--as NAME]")
        who = session.add_contact(words[1], options.name)
        return added_card(who, session.recipient(who.did))
    if len(words) > 1 or options.name:
        raise BadInput("Your own contact is saved to one file.", expected="contact [FILE], or contact add FILE")
    path = session.save_contact(words[0] if words else f"contact-{session.name}.json")
    return own_contact_card(session.recipient(session.did), path)


# --- their cards ----------------------------------------------------------------------------------


def connected_card(owner: Who, authority: str, url: str, *, compared: object, mine: bool) -> Card:
    """What connecting proved, and what nobody proved.

    Args:
        authority: its DID.
        compared: the user had the DID from elsewhere and gave it.
        mine: it is the authority of a persona of this user.
    """
    facts = Facts([("authority", Mono(authority)), ("URL", Mono(url)), ("owner", str(owner)), ("", Mono(owner.did))])
    lines = ["Proven: whoever answers at this URL has the key of this DID, and the owner signed that it is theirs."]
    if mine:
        lines.append(f"{owner} is a persona of yours.")
    elif compared:
        lines.append("It is the DID that you gave. What the owner is called is only a name.")
    else:
        lines.append(
            "Not proven: that this is whom you mean. What they call themselves is their own word."
            " Compare the DID with its owner by another channel, for instance by telephone."
        )
    if not mine:
        lines.append(f"You call its owner {owner}; %sls name {quote(str(owner))} NAME changes that.")
    return Card(
        f"Connected to {owner}",
        [facts, *map(Line, lines), Line("%sls assets lists what it has.")],
        tone="good",
    )


def named_card(who: Who) -> Card:
    """A name that was given."""
    return Card(f"You call them {who}", [Facts([("DID", Mono(who.did))])], tone="good")


def added_card(who: Who, contact: Recipient) -> Card:
    """A contact that is kept."""
    said = (
        "The contact is signed by this DID. That it is whom you mean is not proven: compare the DID by another channel."
    )
    return Card(
        f"Kept the contact of {who}",
        [
            Facts(_key_facts(contact)),
            Line(said),
            Line(f"%%safestream --to {quote(str(who))} and %seal --recipient {quote(str(who))} use it."),
        ],
        tone="good",
    )


def own_contact_card(contact: Recipient, path: Path) -> Card:
    """One's own contact, on its way to others."""
    hint = "Give the file to whoever seals results to you: %sls contact add FILE. Tell them the DID by another channel."
    return Card(
        "Saved your contact", [Facts([("file", Mono(str(path))), *_key_facts(contact)]), Line(hint)], tone="good"
    )


def contacts_card(contacts: Sequence[tuple[Who, Recipient | None]], me: str) -> Card:
    """Everybody who has a name here."""
    rows: list[Sequence[Cell]] = [
        (str(who) + (" (you)" if who.did == me else ""), Mono(who.did), "yes" if contact is not None else "no")
        for who, contact in contacts
    ]
    hint = "%sls name WHO NAME gives somebody another name; %sls contact add FILE keeps a contact."
    return Card("Contacts", [Table(("name", "DID", "key known"), rows, "Nobody yet."), Line(hint)])


def _key_facts(contact: Recipient) -> list[tuple[str, Cell]]:
    return [("DID", Mono(contact.did)), ("key", Mono(contact.key_digest))]
