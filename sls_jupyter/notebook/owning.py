"""Cards of what an owner takes back: assets, and the right to ask."""

from __future__ import annotations

from collections.abc import Mapping

from sls_jupyter.notebook.cards import Bullets, Card, Cell, Facts, Line, Mono, Table
from sls_jupyter.notebook.words import count_words
from sls_jupyter.session import Withdrawn


def withdrawn_card(done: Withdrawn) -> Card:
    """What was closed, and what stays."""
    meant = (
        f"{count_words(done.versions, 'version')} of {done.name}" if done.id is None else f"one version of {done.name}"
    )
    what = "shredded" if done.shredded == done.versions else "withdrawn"
    by_this = "all by this call" if done.closed == done.versions else f"{done.closed} by this call"
    facts: list[tuple[str, Cell]] = [("closed", f"{meant}, {by_this}"), ("log entry", str(done.entry))]
    facts += [] if done.id is None else [("asset", Mono(done.id))]
    title = f"{what.capitalize()}: {meant}" if done.closed else f"Was {what} before: {meant}"
    return Card(title, [Facts(facts), Bullets(_meaning(done))])


def _meaning(done: Withdrawn) -> list[str]:
    it = "it" if done.versions == 1 else "them"
    said = [f"Your authority gives no new grant for {it}, and no keys on grants that it gave before."]
    if done.shredded:
        which = it if done.shredded == done.versions else f"{done.shredded} of {it}"
        said.append(f"It destroyed its keys of {which}: from what it stores now, nobody can open that again.")
        said.append("Copies of its database that were made before, and its store key, are not reached from here.")
    if done.shredded < done.versions:
        which = f"the other {done.versions - done.shredded}" if done.shredded else it
        said.append(f"It keeps its keys of {which}; --shred destroys these.")
    said.append("Results that left stay where they are, and a group that holds keys already runs to its end.")
    if done.id is not None:
        said.append(f"Other versions of {done.name} are as they were; the name alone means all of them.")
    return said


def muted_card(did: str, dropped: int) -> Card:
    """What muting did."""
    facts = Facts([("DID", Mono(did)), ("requests dropped", str(dropped))])
    said = [
        "Your authority takes no request of theirs; they are told so.",
        "Grants that they have hold until they expire; withdraw the asset to end those.",
        "%sls mute WHO --undo takes it back.",
    ]
    return Card("Muted", [facts, Bullets(said)])


def mutes_card(muted: tuple[str, ...], names: Mapping[str, str]) -> Card:
    """Whom this persona muted."""
    if not muted:
        return Card("You muted nobody", [Line("%sls mute WHO takes no request of somebody any more.")])
    rows: list[tuple[Cell, Cell]] = [(names.get(did, ""), Mono(did)) for did in muted]
    return Card("Muted", [Table(("name", "DID"), rows)])
