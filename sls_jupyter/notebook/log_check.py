"""Reading a whole log and checking every entry, for ``sls log check`` and ``%sls log check``."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sls_jupyter.errors import BadInput, MalformedDocument, UnknownName
from sls_jupyter.notebook.cards import Bullets, Card, Facts, Mono
from sls_jupyter.notebook.words import time_words
from sls_jupyter.transparency.tiles import TILE_WIDTH

if TYPE_CHECKING:
    from sls_jupyter.authority.log_reading import LogKey
    from sls_jupyter.identity import Home
    from sls_jupyter.transparency.checkpoint import Checkpoint
    from sls_jupyter.transparency.reader import Fetch


def check(home: Home, options: argparse.Namespace, progress: Callable[[str], None]) -> Card:
    """Read all of a log and check every entry; remembers its checkpoint.

    Raises:
        SlsError: a check fails, the log cannot be read, or what is demanded of it cannot be.
    """
    from sls_jupyter.authority.log_reading import LogKey, compare, open_log
    from sls_jupyter.session.directory import connections_of
    from sls_jupyter.transparency.memory import CheckpointMemory
    from sls_jupyter.transparency.reader import read_log

    for witness in options.witness:
        require_witness_key(witness)
    needed = _needed(options)
    url, did = _find(options.place, connections_of(home))
    memory, expected = CheckpointMemory(home.folder("checkpoints")), options.log or did
    progress("reading the log")
    with open_log(url, witnesses=needed) as (note, fetch):
        key = LogKey.expect(expected) if expected else LogKey.named_in(note)
        checkpoint, witnessed, who = _signatures(options, note, key, needed)
        fetch = _counting(fetch, progress, checkpoint.tree_size)
        entries = read_log(fetch, checkpoint)
        before = compare(memory, note, key, entries, fetch)
    checks = [
        "signed with the log's key" + ("" if key.pinned else ", taken from its own name (--log KEY demands one)"),
        witnessed,
        f"all {checkpoint.tree_size:,} entries are there, in order, and lead to the signed root",
        "never seen before; remembered from now on"
        if before is None
        else f"consistent with tree size {before:,}, seen before",
    ]
    facts = [("size", f"{checkpoint.tree_size:,}"), ("root", Mono(checkpoint.root_hash.hex())), *who]
    return Card(key.origin, [Facts(facts), Bullets(checks)], subtitle="every check passed")


def _needed(options: argparse.Namespace) -> int:
    """How many cosignatures are demanded."""
    given = len(options.witness)
    if options.witnesses is None:
        return given
    if not min(1, given) <= options.witnesses <= given:
        raise BadInput(
            "This many witnesses cannot be demanded.",
            found=f"--witnesses {options.witnesses}",
            expected=f"1 to {given}" if given else "keys of witnesses that you trust",
            hint="Give the key of each witness that you trust: --witness KEY",
        )
    return int(options.witnesses)


def _find(place: str, connected: Mapping[str, str]) -> tuple[str, str | None]:
    """The URL of a log, and the DID of its authority if that is known."""
    if not place.startswith("did:"):
        return place, connected.get(place.rstrip("/"))
    for url, did in connected.items():
        if did == place:
            return url, did
    hint = "Give its URL, or connect to it: %sls connect URL"
    raise UnknownName("You are not connected to this authority.", found=place[:100], hint=hint)


def _signatures(
    options: argparse.Namespace, note: bytes, key: LogKey, needed: int
) -> tuple[Checkpoint, str, list[tuple[str, str]]]:
    """The verified checkpoint, what there is to say of its witnesses, and each of them with its time."""
    from sls_jupyter.transparency.checkpoint import verify_checkpoint
    from sls_jupyter.transparency.cosignature import WitnessPolicy, verify_witnessed

    if not needed:
        return verify_checkpoint(note, key.origin, key.public_key), "no witness was demanded (--witness KEY)", []
    policy = WitnessPolicy.of(needed, options.witness)
    checkpoint, good = verify_witnessed(note, key.origin, key.public_key, policy, now=int(time.time()))
    who = [("cosigned", f"{time_words(one.at)} by {one.witness}") for one in good]
    return checkpoint, f"cosigned by {len(good)} of {len(policy.witnesses)} witnesses, {needed} demanded", who


def _counting(fetch: Fetch, progress: Callable[[str], None], total: int) -> Fetch:
    """Tell the progress by the entry bundles that were asked for."""
    bundles = 0

    def counted(path: str) -> bytes:
        nonlocal bundles
        bundles += path.startswith("tile/entries/")
        progress(f"reading the log: {min(total, bundles * TILE_WIDTH):,} of {total:,} entries")
        return fetch(path)

    return counted


def require_witness_key(key: str) -> None:
    """Tell a log's key from a witness's, which looks much the same.

    Raises:
        BadInput: it is a log's. MalformedDocument: it is neither.
    """
    from sls_jupyter.transparency.cosignature import parse_witness_key
    from sls_jupyter.transparency.note import parse_verifier_key

    try:
        parse_witness_key(key)
    except MalformedDocument:
        with contextlib.suppress(MalformedDocument):
            origin, _ = parse_verifier_key(key)
            raise BadInput(
                "This is a log's key; a witness's key begins with sls-jupyter.witness/ (sls log keys).",
                found=origin[:200],
                hint="Ask its owner for the key of the witness: the second or third one that sls log keys prints.",
            ) from None
        raise
