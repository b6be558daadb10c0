"""What several answers are made of: people, silent authorities, cards, the first rows of a long list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from sls_jupyter.errors import BadInput
from sls_jupyter.lab import card_messages, messages
from sls_jupyter.lab.asking import MAX_ROWS
from sls_jupyter.printing import one_line
from sls_jupyter.session.contacts import MAX_SAID, short_did

if TYPE_CHECKING:
    from sls_jupyter.notebook.cards import Block, Card
    from sls_jupyter.session import Session
    from sls_jupyter.session.contacts import Who

T = TypeVar("T")
MOST_ROWS = 2_000  # of a list, whatever is asked for
MAX_WORDS = 200  # characters of a search


def person(who: Who) -> messages.Person:
    """Somebody, with what they call themselves cut to a length that fits."""
    return messages.Person(
        did=who.did,
        short=short_did(who.did),
        words=one_line(str(who)),
        petname=None if who.petname is None else one_line(who.petname),
        said=one_line(who.said[:MAX_SAID]),
        warning=one_line(who.warning),
    )


def silences(session: Session) -> tuple[messages.Silence, ...]:
    """The authorities that did not answer when they were asked last."""
    return tuple(
        messages.Silence(words=one_line(f"{one} {one.trouble}"), hint=one_line(one.hint)) for one in session.silent()
    )


def card_of(session: Session, card: Card) -> card_messages.CardData:
    """A card as data, with NOT ISOLATED where this session's hosts have no sandbox."""
    return card_messages.CardData.from_json(card.where(session.isolated).data())


def blocks_of(blocks: Iterable[Block]) -> tuple[card_messages.BlockData, ...]:
    """Blocks as data."""
    return card_messages.DetailsData.from_json(
        {"kind": "details", "summary": "", "blocks": [block.data() for block in blocks]}
    ).blocks


def fitting(rows: Sequence[T], query: Mapping[str, str], words: Callable[[T], Iterable[str]]) -> list[T]:
    """The rows that have every word of the search ``q``, in any case.

    Args:
        words: the texts of a row that are searched.
    """
    wanted = query.get("q", "")[:MAX_WORDS].casefold().split()
    if not wanted:
        return list(rows)
    texts = ((row, "\n".join(words(row)).casefold()) for row in rows)
    return [row for row, text in texts if all(word in text for word in wanted)]


def first(rows: Sequence[T], query: Mapping[str, str]) -> list[T]:
    """As many of the rows as ``most`` asks for.

    Raises:
        BadInput: it is no such number.
    """
    asked = query.get("most") or str(MAX_ROWS)
    if not (asked.isascii() and asked.isdecimal()) or len(asked) > len(str(MOST_ROWS)):
        raise BadInput("This is no number of rows.", found=asked[:40], expected=f"1 to {MOST_ROWS}")
    return list(rows[: min(int(asked), MOST_ROWS)])
