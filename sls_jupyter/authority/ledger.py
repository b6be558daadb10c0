"""The authority's log over its database: entries, tree and checkpoint move in one transaction.

Callers pass the connection of their own transaction, so an entry and what it records commit together
or not at all. The checkpoint advances by compare-and-swap: of two servers on one database that both
start from the same tree, one commits and the other gets :class:`Unavailable` and tries again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sls_jupyter.authority import store as db
from sls_jupyter.authority.service import Authority
from sls_jupyter.documents import canonical_json
from sls_jupyter.errors import BadInput, Unavailable
from sls_jupyter.transparency import tree
from sls_jupyter.transparency.checkpoint import Checkpoint, sign_checkpoint
from sls_jupyter.transparency.entries import Entry, EntryKind, fresh_salt, make_entry
from sls_jupyter.transparency.merkle import leaf_hash
from sls_jupyter.transparency.proofs import LogProof


@dataclass(frozen=True, slots=True)
class Event:
    """Something to log: facts for everybody, the meaning for the parties."""

    kind: EntryKind
    subject: str  # the spec or asset it is about
    meaning: Mapping[str, Any]
    facts: Mapping[str, str | int | bool] = field(default_factory=dict)


class SqlTiles:
    """The tree's tiles in the database (a ``transparency.tree.TileStore``)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def read_tile(self, level: int, index: int) -> bytes:
        tiles = db.log_tiles
        query = sa.select(tiles.c.hashes).where(tiles.c.level == level, tiles.c.position == index)
        return self._connection.execute(query).scalar() or b""

    def write_tile(self, level: int, index: int, data: bytes) -> None:
        tiles = db.log_tiles
        where = (tiles.c.level == level) & (tiles.c.position == index)
        if self._connection.execute(sa.update(tiles).where(where).values(hashes=data)).rowcount == 0:
            self._connection.execute(sa.insert(tiles).values(level=level, position=index, hashes=data))


def size(connection: Connection, authority: Authority) -> int:
    """Number of entries in the log."""
    row = db.log_checkpoint
    query = sa.select(row.c.tree_size).where(row.c.origin == authority.origin)
    return int(connection.execute(query).scalar() or 0)


def append(connection: Connection, authority: Authority, events: Sequence[Event]) -> int:
    """Append entries and advance the signed checkpoint; returns the first new index.

    Raises:
        Unavailable: another server advanced the log in between; the whole transaction must be retried.
    """
    old, now = size(connection, authority), authority.clock()
    rows, hashes = [], []
    for position, event in enumerate(events, start=old):
        salt, meaning = fresh_salt(), canonical_json(dict(event.meaning))
        entry = make_entry(event.kind, at=now, facts=event.facts, meaning=event.meaning, salt=salt).payload()
        hashes.append(leaf_hash(entry))
        rows.append({"position": position, "entry": entry, "salt": salt, "meaning": meaning, "subject": event.subject})
    root = tree.append(SqlTiles(connection), old, hashes)
    connection.execute(sa.insert(db.log_entries), rows)
    _advance(connection, authority, old, Checkpoint(authority.origin, old + len(rows), root))
    return old


def _advance(connection: Connection, authority: Authority, old: int, checkpoint: Checkpoint) -> None:
    row, note = db.log_checkpoint, sign_checkpoint(checkpoint, authority.identity.signing)
    values = {"tree_size": checkpoint.tree_size, "note": note}
    where = (row.c.origin == authority.origin) & (row.c.tree_size == old)
    if connection.execute(sa.update(row).where(where).values(**values)).rowcount:
        return
    if old:
        raise Unavailable("Another server advanced this log.", hint="Nothing was written; try again.")
    connection.execute(sa.insert(row).values(origin=authority.origin, **values))


def checkpoint(connection: Connection, authority: Authority) -> bytes:
    """The newest signed checkpoint; of an empty log, one of size 0."""
    row = db.log_checkpoint
    note = connection.execute(sa.select(row.c.note).where(row.c.origin == authority.origin)).scalar()
    return note or sign_checkpoint(
        Checkpoint(authority.origin, 0, tree.root(tree.MemoryTileStore(), 0)), authority.identity.signing
    )


def prove(connection: Connection, authority: Authority, index: int) -> LogProof:
    """The entry at ``index`` with its inclusion proof under the newest checkpoint.

    Raises:
        BadInput: there is no such entry.
    """
    total = size(connection, authority)
    if not 0 <= index < total:
        raise BadInput("The log has no such entry.", found=index, expected=f"0 to {total - 1}" if total else "none yet")
    entries = db.log_entries
    entry = connection.execute(sa.select(entries.c.entry).where(entries.c.position == index)).scalar_one()
    hashes = tree.inclusion_proof(SqlTiles(connection), total, index)
    return LogProof.make(
        origin=authority.origin,
        log=authority.did,
        checkpoint=checkpoint(connection, authority),
        index=index,
        entry=entry,
        hashes=hashes,
    )


def consistency(connection: Connection, authority: Authority, old: int, new: int) -> tuple[bytes, ...]:
    """The proof that the tree of size ``new`` extends the one of size ``old``.

    Raises:
        BadInput: sizes out of range.
    """
    total = size(connection, authority)
    if not 0 <= old <= new <= total:
        raise BadInput(
            "These are not sizes of this log.", found=f"{old} and {new}", expected=f"0 ≤ old ≤ new ≤ {total}"
        )
    return tree.consistency_proof(SqlTiles(connection), old, new)


def last(connection: Connection, subject: str, *kinds: EntryKind) -> int | None:
    """Index of the newest entry of one of these kinds about a spec or an asset."""
    entries = db.log_entries
    query = sa.select(entries.c.position, entries.c.entry).where(entries.c.subject == subject)
    rows = connection.execute(query.order_by(entries.c.position.desc()))
    return next((row.position for row in rows if Entry.parse(row.entry).kind in kinds), None)


def about(connection: Connection, subject: str) -> list[tuple[int, bytes | None, bytes | None]]:
    """Every entry about a spec or an asset, oldest first: (index, salt, meaning)."""
    entries = db.log_entries
    query = sa.select(entries.c.position, entries.c.salt, entries.c.meaning).where(entries.c.subject == subject)
    return [(row.position, row.salt, row.meaning) for row in connection.execute(query.order_by(entries.c.position))]
