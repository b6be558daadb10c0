"""The authority's log over its database: entries, tree and checkpoint move in one transaction.

Callers pass the connection of their own transaction, so an entry and what it records commit together
or not at all. The checkpoint advances by compare-and-swap: of two servers on one database that both
start from the same tree, one commits and the other gets :class:`Unavailable` and tries again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sls_jupyter.authority import store as db
from sls_jupyter.authority.service import Authority
from sls_jupyter.documents import b64encode, canonical_model_json
from sls_jupyter.errors import BadInput, LogInconsistent, NotAuthorised, Unavailable, UnknownName
from sls_jupyter.transparency import tree
from sls_jupyter.transparency.checkpoint import Checkpoint, sign_checkpoint, verify_checkpoint
from sls_jupyter.transparency.cosignature import add_signatures
from sls_jupyter.transparency.entries import Entry, EntryKind, commit_bytes, fresh_salt
from sls_jupyter.transparency.merkle import HASH_BYTES, leaf_hash
from sls_jupyter.transparency.note import NoteSignature
from sls_jupyter.transparency.proofs import DisclosedEntry, LogProof
from sls_jupyter.transparency.tiles import TILE_WIDTH, Tile, encode_bundle, tile_width

# built once: putting a statement together takes longer than running it
_TILE = sa.select(db.log_tiles.c.hashes).where(
    db.log_tiles.c.level == sa.bindparam("level"), db.log_tiles.c.position == sa.bindparam("position")
)
_ENTRY = sa.select(db.log_entries.c.entry).where(db.log_entries.c.position == sa.bindparam("position"))
_DISCLOSED = sa.select(
    db.log_entries.c.position, db.log_entries.c.entry, db.log_entries.c.salt, db.log_entries.c.meaning
).where(db.log_entries.c.position.in_(sa.bindparam("positions", expanding=True)))
_SIZE = sa.select(db.log_checkpoint.c.tree_size).where(db.log_checkpoint.c.origin == sa.bindparam("origin"))
_CHECKPOINT = sa.select(db.log_checkpoint.c.tree_size, db.log_checkpoint.c.note).where(
    db.log_checkpoint.c.origin == sa.bindparam("origin")
)
_COSIGNATURES = (
    sa.select(db.log_cosignatures.c.line)
    .where(db.log_cosignatures.c.tree_size == sa.bindparam("tree_size"))
    .order_by(db.log_cosignatures.c.witness)
)
_WRITE_TILE = sa.update(db.log_tiles).where(
    db.log_tiles.c.level == sa.bindparam("at_level"), db.log_tiles.c.position == sa.bindparam("at_position")
)
_INSERT = sa.insert(db.log_entries)
_ADVANCE = sa.update(db.log_checkpoint).where(
    db.log_checkpoint.c.origin == sa.bindparam("of_origin"), db.log_checkpoint.c.tree_size == sa.bindparam("old")
)
_ABOUT = (
    sa.select(db.log_entries.c.position)
    .where(db.log_entries.c.subject == sa.bindparam("subject"))
    .order_by(db.log_entries.c.position.desc())
    .limit(sa.bindparam("at_most", type_=sa.Integer))
)
_OF_KINDS = _ABOUT.where(db.log_entries.c.kind.in_(sa.bindparam("kinds", expanding=True)))
_CHUNK = 500  # values of one statement


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
        return self._connection.execute(_TILE, {"level": level, "position": index}).scalar() or b""

    def write_tile(self, level: int, index: int, data: bytes) -> None:
        tile = {"at_level": level, "at_position": index, "hashes": data}
        if self._connection.execute(_WRITE_TILE, tile).rowcount == 0:
            self._connection.execute(sa.insert(db.log_tiles).values(level=level, position=index, hashes=data))


class _Remembered(SqlTiles):
    """Tiles that are read once, for many proofs of one transaction."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._read: dict[tuple[int, int], bytes] = {}

    def read_tile(self, level: int, index: int) -> bytes:
        if (level, index) not in self._read:
            self._read[level, index] = super().read_tile(level, index)
        return self._read[level, index]


def size(connection: Connection, authority: Authority) -> int:
    """Number of entries in the log."""
    return int(connection.execute(_SIZE, {"origin": authority.origin}).scalar() or 0)


def append(connection: Connection, authority: Authority, events: Sequence[Event]) -> int:
    """Append entries and advance the signed checkpoint; returns the first new index.

    Give all events of a transaction at once: the tree, the signature and the checkpoint are then written once.

    Raises:
        Unavailable: another server advanced the log in between; the whole transaction must be retried.
    """
    old, now = size(connection, authority), authority.clock()
    rows = [_row(position, event, now) for position, event in enumerate(events, start=old)]
    return _append(connection, authority, old, rows)


def _row(position: int, event: Event, now: int) -> dict[str, Any]:
    salt, meaning = fresh_salt(), canonical_model_json(dict(event.meaning))
    value = {"kind": event.kind, "at": now, "facts": dict(event.facts), "commitment": commit_bytes(meaning, salt)}
    entry = Entry.from_json(value).payload()
    about = {"subject": event.subject, "kind": event.kind}
    return {"position": position, "entry": entry, "salt": salt, "meaning": meaning, **about}


def append_rows(connection: Connection, authority: Authority, rows: Sequence[Mapping[str, Any]]) -> int:
    """Append rows of ``log_entries`` whose positions follow the log's last one; returns the first position.

    Raises:
        Unavailable: as :func:`append`.
    """
    return _append(connection, authority, size(connection, authority), rows)


def _append(connection: Connection, authority: Authority, old: int, rows: Sequence[Mapping[str, Any]]) -> int:
    root = tree.append(SqlTiles(connection), old, [leaf_hash(row["entry"]) for row in rows])
    if rows:
        connection.execute(_INSERT, rows)
        _advance(connection, authority, old, Checkpoint(authority.origin, old + len(rows), root))
    return old


def _advance(connection: Connection, authority: Authority, old: int, checkpoint: Checkpoint) -> None:
    row, note = db.log_checkpoint, sign_checkpoint(checkpoint, authority.identity.signing)
    values = {"tree_size": checkpoint.tree_size, "note": note}
    if connection.execute(_ADVANCE, values | {"of_origin": authority.origin, "old": old}).rowcount:
        return
    if old:
        raise Unavailable("Another server advanced this log.", hint="Nothing was written; try again.")
    connection.execute(sa.insert(row).values(origin=authority.origin, **values))


def checkpoint(connection: Connection, authority: Authority) -> bytes:
    """The newest signed checkpoint, with the cosignatures it has; of an empty log, one of size 0."""
    row = connection.execute(_CHECKPOINT, {"origin": authority.origin}).first()
    return note_at(connection, authority, 0) if row is None else _with_cosignatures(connection, *row)


def note_at(connection: Connection, authority: Authority, tree_size: int) -> bytes:
    """The checkpoint of a size that this log had, byte for byte as it was signed, with its cosignatures.

    The signature is deterministic and the root follows from the tiles, so no old note is stored.
    """
    root = tree.root(SqlTiles(connection), tree_size)
    note = sign_checkpoint(Checkpoint(authority.origin, tree_size, root), authority.identity.signing)
    return _with_cosignatures(connection, tree_size, note)


def _with_cosignatures(connection: Connection, tree_size: int, note: bytes) -> bytes:
    lines = connection.execute(_COSIGNATURES, {"tree_size": tree_size}).scalars().all()
    return add_signatures(note, map(NoteSignature.parse, lines)) if lines else note


def witnessed(connection: Connection, authority: Authority, needed: int) -> bytes:
    """The newest checkpoint that at least this many of the log's witnesses cosigned.

    Raises:
        UnknownName: there is none yet.
    """
    if needed == 0:
        return checkpoint(connection, authority)
    rows = db.log_cosignatures
    query = sa.select(rows.c.tree_size).group_by(rows.c.tree_size).having(sa.func.count() >= needed)
    found = connection.execute(query.order_by(rows.c.tree_size.desc()).limit(1)).scalar()
    if found is None:
        raise UnknownName(
            "No checkpoint of this log has so many cosignatures.",
            expected=f"{needed} witnesses",
            hint="Ask its owner to have it witnessed.",
        )
    return note_at(connection, authority, found)


def prove(connection: Connection, authority: Authority, index: int, *, witnesses: int = 0) -> LogProof:
    """The entry at ``index`` with its inclusion proof.

    Args:
        witnesses: how many cosignatures the proof's checkpoint must have; with 0 it is the newest one.

    Raises:
        BadInput: there is no such entry. UnknownName: no checkpoint has so many cosignatures.
    """
    checkpoint = _signed(authority, witnessed(connection, authority, witnesses))
    there = 0 <= index < checkpoint.tree_size
    entry = connection.execute(_ENTRY, {"position": index}).scalar() if there else None
    return _prove(authority, index, entry, checkpoint, SqlTiles(connection))


@dataclass(frozen=True, slots=True)
class _Signed:
    """A checkpoint of ours, as text and as what it says."""

    note: bytes
    tree_size: int


def _signed(authority: Authority, note: bytes) -> _Signed:
    said = verify_checkpoint(note, authority.origin, authority.identity.signing.public_bytes)
    return _Signed(note, said.tree_size)


def _prove(
    authority: Authority, index: int, entry: bytes | None, checkpoint: _Signed, tiles: tree.TileStore
) -> LogProof:
    total = checkpoint.tree_size
    if entry is None or not 0 <= index < total:
        raise BadInput("The log has no such entry.", found=index, expected=f"0 to {total - 1}" if total else "none yet")
    hashes = tree.inclusion_proof(tiles, total, index)
    return LogProof.make(
        origin=authority.origin, log=authority.did, checkpoint=checkpoint.note, index=index, entry=entry, hashes=hashes
    )


def disclose(connection: Connection, authority: Authority, index: int) -> DisclosedEntry:
    """The entry at ``index`` with its proof, salt and meaning; for the parties only.

    Raises:
        As :func:`prove`.
    """
    return disclose_all(connection, authority, {index: 0})[0]


def disclose_all(
    connection: Connection, authority: Authority, witnesses: Mapping[int, int]
) -> tuple[DisclosedEntry, ...]:
    """Entries with their proofs, salts and meanings; for the parties only.

    Args:
        witnesses: index of an entry -> how many cosignatures the checkpoint of its proof must have.

    Raises:
        As :func:`prove`.
    """
    notes = {one: _signed(authority, witnessed(connection, authority, one)) for one in set(witnesses.values())}
    tiles, wanted = _Remembered(connection), list(witnesses)
    some = (wanted[start : start + _CHUNK] for start in range(0, len(wanted), _CHUNK))
    rows = {row.position: row for one in some for row in connection.execute(_DISCLOSED, {"positions": one})}
    return tuple(
        _disclosed(_prove(authority, index, row and row.entry, notes[needed], tiles), row)
        for index, needed in witnesses.items()
        for row in (rows.get(index),)
    )


def _disclosed(proof: LogProof, row: Any) -> DisclosedEntry:
    salt, meaning = row.salt, row.meaning
    return DisclosedEntry(
        proof=proof,
        salt=None if salt is None else b64encode(salt),
        meaning=None if meaning is None else json.loads(meaning),
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
    where = (entries.c.subject == subject) & entries.c.kind.in_(kinds)
    found = connection.execute(sa.select(sa.func.max(entries.c.position)).where(where)).scalar()
    return None if found is None else int(found)


def indices(connection: Connection, subject: str, at_most: int, *kinds: EntryKind) -> list[int]:
    """Where the newest entries about a spec or an asset are, oldest first; with ``kinds``, those only."""
    query = _OF_KINDS if kinds else _ABOUT
    values = {"subject": subject, "at_most": at_most} | ({"kinds": kinds} if kinds else {})
    return list(connection.execute(query, values).scalars())[::-1]


def about(connection: Connection, subject: str) -> list[tuple[int, bytes | None, bytes | None]]:
    """Every entry about a spec or an asset, oldest first: (index, salt, meaning)."""
    entries = db.log_entries
    query = sa.select(entries.c.position, entries.c.salt, entries.c.meaning).where(entries.c.subject == subject)
    return [(row.position, row.salt, row.meaning) for row in connection.execute(query.order_by(entries.c.position))]


# --- the log as files -----------------------------------------------------------------------------


def entries_between(connection: Connection, start: int, end: int) -> list[bytes]:
    """The entries from ``start`` up to ``end``, as the tree hashed them."""
    entries = db.log_entries
    query = sa.select(entries.c.entry).where(entries.c.position >= start, entries.c.position < end)
    return list(connection.execute(query.order_by(entries.c.position)).scalars())


def tile_bytes(connection: Connection, authority: Authority, tile: Tile) -> bytes:
    """A tile or an entry bundle, as wide as its name says.

    Raises:
        UnknownName: the log does not reach so far.
    """
    held = tile_width(tile.level or 0, tile.index, size(connection, authority))
    if tile.width > held:
        raise UnknownName("The log has no such tile.", found=tile.path, expected=f"{held} hashes there")
    if tile.level is None:
        start = tile.index * TILE_WIDTH
        return encode_bundle(entries_between(connection, start, start + tile.width))
    return SqlTiles(connection).read_tile(tile.level, tile.index)[: tile.width * HASH_BYTES]


# --- the database and the log agree ---------------------------------------------------------------


def require_sound(connection: Connection, authority: Authority) -> None:
    """Check, before anything is served, that the database holds the log that was signed.

    1. it holds no other authority's log
    2. our key signed the checkpoint in it, and its size is the one that is stored
    3. the tiles lead to the checkpoint's root
    4. the last entry is the last one of the tree, and the last tile's entries have its hashes

    What is *not* checked: the entries below the last tile; :mod:`sls_jupyter.transparency.reader` reads all.

    Raises:
        LogInconsistent, SignatureInvalid, MalformedDocument: with what was found and what was signed.
    """
    row = db.log_checkpoint
    stored = {origin: (count, note) for origin, count, note in connection.execute(sa.select(row))}
    others = sorted(set(stored) - {authority.origin})
    if others:  # 1
        raise _unsound("The database holds the log of another authority.", others[0], authority.origin)
    total, note = stored.get(authority.origin, (0, note_at(connection, authority, 0)))
    signed = verify_checkpoint(note, authority.origin, authority.identity.signing.public_bytes)  # 2
    if signed.tree_size != total:
        raise _unsound("The stored size of the log is not the signed one.", total, signed.tree_size)
    root = tree.root(SqlTiles(connection), total)
    if root != signed.root_hash:  # 3
        raise _unsound("The log's tiles do not lead to its signed root.", root.hex(), signed.root_hash.hex())
    _require_last_entries(connection, total)  # 4


def _require_last_entries(connection: Connection, total: int) -> None:
    last_position = connection.execute(sa.select(sa.func.max(db.log_entries.c.position))).scalar()
    count = 0 if last_position is None else last_position + 1
    if count != total:
        raise _unsound("The log has not as many entries as were signed.", f"{count} entries", f"{total} entries")
    index = max(0, total - 1) // TILE_WIDTH
    entries = entries_between(connection, index * TILE_WIDTH, total)
    hashes = SqlTiles(connection).read_tile(0, index)[: len(entries) * HASH_BYTES]
    found = b"".join(map(leaf_hash, entries))
    if found != hashes or len(entries) != total - index * TILE_WIDTH:
        raise _unsound("The log's last entries are not the ones in its tree.", f"{len(entries)} entries", "others")


def _unsound(message: str, found: object, expected: object) -> LogInconsistent:
    hint = "Nothing is served. Restore the database from a backup; do not delete its log, others remember it."
    return LogInconsistent(message, found=found, expected=expected, hint=hint)


# --- forgetting -----------------------------------------------------------------------------------


def forget(authority: Authority, caller: str, index: int) -> None:
    """Forget what an entry meant: this authority's copy of its salt and meaning.

    The entry stays in the log and is proven as before. Whoever still has the salt can show its meaning;
    when all parties have forgotten it, nobody can, because the commitment alone does not tell. What is
    *not* forgotten: the request that the entry is about (its spec is needed for as long as it may run),
    backups, and PostgreSQL's own files (:meth:`sls_jupyter.authority.store.Store.forget`).

    Raises:
        NotAuthorised: only the owner forgets here. The other parties keep their own copies, and forget those.
        BadInput: there is no such entry.
    """
    if caller != authority.owner:
        raise NotAuthorised("Only the owner can make this authority forget.", found=caller, expected=authority.owner)
    rows = db.log_entries
    with authority.store.write() as connection:
        where = rows.c.position == (index if 0 <= index < 2**63 else -1)
        values = {"salt": None, "meaning": None}
        if connection.execute(sa.update(rows).where(where).values(**values)).rowcount == 0:
            total = size(connection, authority)
            raise BadInput("The log has no such entry.", found=index, expected=f"0 to {total - 1}")
    authority.store.forget()
