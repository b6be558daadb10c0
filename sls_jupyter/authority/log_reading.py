"""Reading a whole log wherever it lies: an authority, a published copy on the web, a folder or any fsspec store.

A log is three things here: its checkpoint, its files, and the key that must have signed it. What was read is
compared with the last checkpoint that the reader saw of the same log, which is how a log that shows its
readers different faces is caught (:mod:`sls_jupyter.transparency.memory`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sls_jupyter.authority.client import check_url
from sls_jupyter.authority.publishing import FolderSink
from sls_jupyter.documents import parse_json
from sls_jupyter.errors import (
    BadInput,
    LogInconsistent,
    MalformedDocument,
    SlsError,
    Unavailable,
    UnknownName,
    from_problem,
)
from sls_jupyter.identity import public_key_from_did
from sls_jupyter.network import Http, NotReached
from sls_jupyter.transparency import tree
from sls_jupyter.transparency.checkpoint import LOG_NAME, Checkpoint, log_origin
from sls_jupyter.transparency.memory import CheckpointMemory
from sls_jupyter.transparency.merkle import leaf_hash
from sls_jupyter.transparency.note import SignedNote, parse_verifier_key
from sls_jupyter.transparency.publish import CHECKPOINT
from sls_jupyter.transparency.reader import Fetch, read_log
from sls_jupyter.transparency.tiles import MAX_ENTRY_BYTES, TILE_WIDTH

TIMEOUT_SECONDS = 30.0
MAX_FILE_BYTES = TILE_WIDTH * (2 + MAX_ENTRY_BYTES)  # the largest file of a log is an entry bundle
_WHERE = "A log's URL is the one below which its file named checkpoint lies, or its authority's."


# --- whose ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LogKey:
    """A log's name and the key that must have signed it."""

    origin: str
    public_key: bytes  # 32, Ed25519
    pinned: bool  # known from elsewhere; False: taken from the name in the log itself

    @classmethod
    def expect(cls, key: str) -> LogKey:
        """From what its owner gave: a verifier key, ``origin+id+key``, or the DID of the log's authority.

        Raises:
            MalformedDocument: neither of them.
        """
        if key.startswith("did:"):
            return cls(log_origin(key), public_key_from_did(key), pinned=True)
        return cls(*parse_verifier_key(key), pinned=True)

    @classmethod
    def named_in(cls, note: bytes) -> LogKey:
        """From the name in a checkpoint: a log of this project is named after its key.

        Raises:
            MalformedDocument: not a checkpoint. BadInput: a log of others, whose name tells no key.
        """
        origin = Checkpoint.parse(SignedNote.parse(note).text.encode()).origin
        if not origin.startswith(LOG_NAME):
            raise BadInput(
                "The name of this log does not tell its key.",
                found=origin[:200],
                expected=f"{LOG_NAME}did:key:…",
                hint="Give the log's verifier key: --log KEY",
            )
        return cls(origin, public_key_from_did(origin.removeprefix(LOG_NAME)), pinned=False)


# --- where ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def open_log(url: str, *, witnesses: int = 0) -> Iterator[tuple[bytes, Fetch]]:
    """A log's checkpoint and its files, of which nothing is verified yet.

    Args:
        url: of an authority, of a published copy over HTTP, or a folder or fsspec URL.
        witnesses: ask an authority for its newest checkpoint with so many cosignatures; a copy has only one.

    Raises:
        UnknownName: there is no log, or none with so many cosignatures.
        BadInput: not a URL that can be read. Unavailable: the place cannot be reached.
    """
    if not url.startswith(("http://", "https://")):
        fetch = _in_folder(url)
        yield fetch(CHECKPOINT), fetch
        return
    with contextlib.closing(Http(anywhere=True, seconds=TIMEOUT_SECONDS)) as client:  # the reader typed this URL
        base, name = check_url(url), f"{CHECKPOINT}?witnesses={witnesses}" if witnesses else CHECKPOINT
        try:
            note = _get(client, f"{base}/{name}")
        except UnknownName:
            base = f"{base}/log"
            note = _get(client, f"{base}/{name}")
        yield note, lambda path: _get(client, f"{base}/{path}")


def _in_folder(url: str) -> Fetch:
    folder = FolderSink(url)

    def fetch(path: str) -> bytes:
        data = folder.get(path)
        if data is None:
            raise UnknownName("A file of the log is not there.", found=f"{folder.url}/{path}", hint=_WHERE)
        return data

    return fetch


def _get(client: Http, url: str) -> bytes:
    try:
        answer = client.send("GET", url, max_bytes=MAX_FILE_BYTES)
    except NotReached as failure:
        raise Unavailable(
            "The log cannot be reached.", found=f"{url}: {failure.reason}", hint="Check the URL, or try again."
        ) from None
    if answer.status == 200:
        return answer.body
    raise _refusal(url, answer.status, answer.body)


def _refusal(url: str, status: int, body: bytes) -> SlsError:
    """What an authority says, or what a web server's status means."""
    with contextlib.suppress(MalformedDocument):
        problem = parse_json(body)
        if isinstance(problem, dict) and str(problem.get("type", "")).startswith("urn:sls-jupyter:"):
            return from_problem(problem, f"whoever answers at {url}")
    if status == 404:
        return UnknownName("A file of the log is not there.", found=url, hint=_WHERE)
    return Unavailable("Something else than a log answers there.", found=f"{url}: HTTP {status}", hint=_WHERE)


# --- the same as before ---------------------------------------------------------------------------


def compare(memory: CheckpointMemory, note: bytes, key: LogKey, entries: Sequence[bytes], fetch: Fetch) -> int | None:
    """Require that a log that was read extends what was seen of it before, or is the start of that; remember it.

    Args:
        note: the checkpoint to whose root ``entries`` were proven to lead.
        fetch: the log's files, from which a longer tree is read if one was seen before.

    Returns:
        The tree size that was seen before; ``None`` for a log that is new.

    Raises:
        LogInconsistent: as :meth:`CheckpointMemory.accept`; or ``detail["finding"]`` is ``behind``: the log ends
            before what was seen, and does not have the rest.
    """
    known = memory.last(key.origin)
    if known is not None and known.tree_size > len(entries):
        if tuple(_longer(fetch, known, len(entries))[: len(entries)]) != tuple(entries):
            raise LogInconsistent("A log contradicts what it said before.", hint="Do not rely on this log.")
        return known.tree_size

    def consistency(old: int, new: int) -> tuple[bytes, ...]:
        store = tree.MemoryTileStore()
        tree.append(store, 0, map(leaf_hash, entries))
        return tree.consistency_proof(store, old, new)

    memory.accept(note, key.origin, key.public_key, consistency)
    return None if known is None else known.tree_size


def _longer(fetch: Fetch, known: Checkpoint, size: int) -> tuple[bytes, ...]:
    try:
        return read_log(fetch, known)
    except UnknownName as error:
        raise LogInconsistent(
            "This log ends before the last checkpoint that you saw of it.",
            found=f"tree size {size}",
            expected=f"tree size {known.tree_size} or more",
            hint="Have the copy published again. If an authority's own log stays behind, it was rolled back.",
            detail={"finding": "behind", "missing": error.found},
        ) from None
