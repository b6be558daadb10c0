"""An authority as a witness of other logs, and its own log's witnesses.

As a witness it cosigns the logs it was told about (:func:`watch`, :func:`add_checkpoint`). As a log it asks
the witnesses it was told about (:func:`trust_witness`, :func:`collect`), and takes cosignatures that others
bring (:func:`add_cosignatures`): a notebook is no server, so it brings its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sls_jupyter.authority import ledger
from sls_jupyter.authority import store as db
from sls_jupyter.authority.service import Authority
from sls_jupyter.authority.store import Store
from sls_jupyter.documents import canonical_json, parse_json
from sls_jupyter.errors import BadInput, LogInconsistent, SignatureInvalid, SlsError, UnknownName
from sls_jupyter.transparency.checkpoint import Checkpoint, verify_checkpoint
from sls_jupyter.transparency.cosignature import (
    parse_witness_key,
    verify_cosignature,
    witness_key_of,
    witness_name,
)
from sls_jupyter.transparency.note import NoteSignature, SignedNote, parse_verifier_key
from sls_jupyter.transparency.witness import AddCheckpoint, Witness, ask_witness, parse_signature_lines

Post = Callable[[str, bytes], bytes]
"""``(URL, request)`` → the witness's signature lines; raises its refusal."""


def own_witness_key(authority: Authority) -> str:
    """What others need to trust this authority as a witness."""
    return witness_key_of(authority.did)


# --- as a witness ---------------------------------------------------------------------------------


def watch(authority: Authority, verifier_key: str) -> str:
    """Cosign a log from now on; returns its origin.

    Args:
        verifier_key: of the log, ``origin+id+key`` as its owner gives it.

    Raises:
        MalformedDocument: not such a key. BadInput: another key of that origin is known, or it is our own log.
    """
    origin, key = parse_verifier_key(verifier_key)
    if origin == authority.origin or key == authority.identity.signing.public_bytes:
        raise BadInput("A log cannot be its own witness.", found=origin)
    rows = db.witnessed
    with authority.store.write() as connection:
        known = connection.execute(sa.select(rows.c.public_key).where(rows.c.origin == origin)).scalar()
        if known is None:
            connection.execute(sa.insert(rows).values(origin=origin, public_key=key))
        elif known != key:
            raise BadInput(
                "This log is witnessed with another key.",
                found=key.hex(),
                expected=known.hex(),
                hint="A log that changes its key is a new log, with a name of its own.",
            )
    return origin


class _SqlMemory:
    """The checkpoints that this authority cosigned last (a ``transparency.witness.WitnessMemory``)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def last(self, origin: str) -> Checkpoint | None:
        with self._store.read() as connection:
            return _last(connection, origin)

    def replace(self, origin: str, known: Checkpoint | None, note: bytes) -> bool:
        with self._store.write() as connection:
            if _last(connection, origin) != known:
                return False
            rows = db.witnessed
            connection.execute(sa.update(rows).where(rows.c.origin == origin).values(note=note))
            return True


def _last(connection: Connection, origin: str) -> Checkpoint | None:
    rows = db.witnessed
    note = connection.execute(sa.select(rows.c.note).where(rows.c.origin == origin)).scalar()
    return None if note is None else _checkpoint_in(note)


def add_checkpoint(authority: Authority, body: bytes) -> bytes:
    """Cosign a checkpoint of a log that this authority watches: C2SP ``tlog-witness``, ``add-checkpoint``.

    The first checkpoint that contradicts one cosigned here is kept as evidence (:func:`evidence`).

    Raises:
        As :func:`sls_jupyter.transparency.witness.consider`.
    """
    now, request, rows = authority.clock(), AddCheckpoint.parse(body), db.witnessed
    with authority.store.read() as connection:
        logs = {row.origin: row.public_key for row in connection.execute(sa.select(rows.c.origin, rows.c.public_key))}
    name = witness_name(authority.did)
    witness = Witness(name, authority.identity.signing, logs, _SqlMemory(authority.store))
    try:
        return witness.add_checkpoint(request, now=now).encode().encode()
    except LogInconsistent as error:
        if error.detail.get("finding") == "forked":
            _keep_evidence(authority, request.note)
        raise


def _keep_evidence(authority: Authority, note: bytes) -> None:
    """Both notes: what is cosigned later would contradict the first one only with a proof."""
    new, rows = _checkpoint_in(note), db.witnessed
    where = (rows.c.origin == new.origin) & rows.c.evidence.is_(None)
    with authority.store.write() as connection:
        held = connection.execute(sa.select(rows.c.note).where(rows.c.origin == new.origin)).scalar()
        if held is None:
            return
        known = _checkpoint_in(held)
        if known.tree_size != new.tree_size or known.root_hash == new.root_hash:
            return  # another server has cosigned a larger tree meanwhile; these two do not contradict each other
        pair = [one.decode(errors="replace") for one in (held, note)]
        connection.execute(sa.update(rows).where(where).values(evidence=canonical_json(pair)))


def _checkpoint_in(note: bytes) -> Checkpoint:
    return Checkpoint.parse(SignedNote.parse(note).text.encode())


def watched(authority: Authority) -> dict[str, int | None]:
    """Origin → tree size that was cosigned last, of each log that this authority witnesses."""
    rows = db.witnessed
    with authority.store.read() as connection:
        found = connection.execute(sa.select(rows.c.origin, rows.c.note).order_by(rows.c.origin)).all()
    return {origin: None if note is None else _checkpoint_in(note).tree_size for origin, note in found}


def evidence(authority: Authority, origin: str) -> tuple[bytes, bytes] | None:
    """The checkpoint that was cosigned and the first one that contradicted it; ``None`` if none did."""
    rows = db.witnessed
    with authority.store.read() as connection:
        found = connection.execute(sa.select(rows.c.evidence).where(rows.c.origin == origin)).scalar()
    if found is None:
        return None
    held, contradiction = parse_json(found)
    return str(held).encode(), str(contradiction).encode()


# --- as a log -------------------------------------------------------------------------------------


def trust_witness(authority: Authority, key: str, url: str | None = None) -> str:
    """Take cosignatures of this witness from now on; returns its name.

    Args:
        key: its verifier key of type 0x04 or 0x06, as it gives it (:func:`own_witness_key`).
        url: the prefix of its ``add-checkpoint``; ``None`` for one that brings its cosignatures.

    Raises:
        MalformedDocument: not such a key. BadInput: another key of that name is known, or it is our own.
    """
    name, public_key = parse_witness_key(key)
    if public_key == authority.identity.signing.public_bytes:
        raise BadInput("A log cannot be its own witness.", found=name)
    rows = db.log_witnesses
    with authority.store.write() as connection:
        known = connection.execute(sa.select(rows.c.public_key).where(rows.c.name == name)).scalar()
        if known is None:
            connection.execute(sa.insert(rows).values(name=name, public_key=public_key, url=url))
        elif known != public_key:
            raise BadInput("A witness of this name has another key.", found=public_key.hex(), expected=known.hex())
        else:
            connection.execute(sa.update(rows).where(rows.c.name == name).values(url=url))
    return name


def _witnesses(connection: Connection) -> Iterator[tuple[str, bytes, str | None]]:
    rows = db.log_witnesses
    for row in connection.execute(sa.select(rows).order_by(rows.c.name)):
        yield row.name, row.public_key, row.url


def collect(authority: Authority, post: Post) -> dict[str, SlsError | None]:
    """Ask every witness with a URL to cosign the newest checkpoint; one that fails does not stop the others.

    Returns:
        For each witness that was asked, ``None`` or what went wrong.
    """
    with authority.store.read() as connection:
        note, asked = ledger.checkpoint(connection, authority), list(_witnesses(connection))

    def proof(old: int, new: int) -> tuple[bytes, ...]:
        with authority.store.read() as connection:
            return ledger.consistency(connection, authority, old, new)

    results: dict[str, SlsError | None] = {}
    for name, key, url in asked:
        if url is None:
            continue
        send = _sender(post, url)
        try:
            _keep(authority, note, name, ask_witness(send, note, proof, name=name, public_key=key))
        except SlsError as error:
            results[name] = error
        else:
            results[name] = None
    return results


def _sender(post: Post, url: str) -> Callable[[bytes], bytes]:
    return lambda request: post(f"{url.rstrip('/')}/add-checkpoint", request)


def add_cosignatures(authority: Authority, tree_size: int, lines: bytes) -> int:
    """Take cosignatures of a checkpoint of ours that somebody brings; returns how many were good.

    Lines of strangers are ignored, as the specification demands.

    Raises:
        UnknownName: this log never had that size.
        SignatureInvalid: a line of a known witness does not verify, or none is by one.
        MalformedDocument: not signature lines.
    """
    brought = parse_signature_lines(lines)
    with authority.store.read() as connection:
        total = ledger.size(connection, authority)
        if not 0 <= tree_size <= total:
            raise UnknownName("This log has no such size.", found=tree_size, expected=f"0 to {total}")
        note = ledger.note_at(connection, authority, tree_size)
        known = {name: key for name, key, _ in _witnesses(connection)}
    good = 0
    for line in brought:
        if line.name in known:
            verify_cosignature(SignedNote.parse(_only(note, line)), line.name, known[line.name])
            _keep(authority, note, line.name, line)
            good += 1
    if not good:
        raise SignatureInvalid("No cosignature is by a witness of this log.", found=f"{len(brought)} lines")
    return good


def _only(note: bytes, line: NoteSignature) -> bytes:
    parsed = SignedNote.parse(note)
    return SignedNote(parsed.text, (parsed.signatures[0], line)).encode()


def _keep(authority: Authority, note: bytes, name: str, line: NoteSignature) -> None:
    size = verify_checkpoint(note, authority.origin, authority.identity.signing.public_bytes).tree_size
    rows, text = db.log_cosignatures, line.encode().rstrip("\n")
    where = (rows.c.tree_size == size) & (rows.c.witness == name)
    with authority.store.write() as connection:
        if connection.execute(sa.update(rows).where(where).values(line=text)).rowcount == 0:
            connection.execute(sa.insert(rows).values(tree_size=size, witness=name, line=text))
