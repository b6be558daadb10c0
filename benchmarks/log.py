"""The log's speed, as ratios inside one run: against hashing alone, and against pymerkle on the same leaves.

Usage: python benchmarks/log.py [--entries 100000] [--large 1000000] [--rounds 5]

pymerkle is asked for if it is there (pip install pymerkle): its licence is not ours, so it is no dependency and
the package never imports it. Appending alternates with the other side, and medians of batches are compared, so that
a busy machine slows both. Proofs are of random entries, each in a transaction of its own; between them only the roots
of the last 512 runs of hashes are remembered (``merkle.perfect_root``).
"""

from __future__ import annotations

import argparse
import hashlib
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.authority import ledger
from sls_jupyter.authority.opening import open_authority
from sls_jupyter.authority.service import Authority
from sls_jupyter.identity import Home
from sls_jupyter.transparency import tree
from sls_jupyter.transparency.merkle import leaf_hash, verify_inclusion

BATCH = 1000
SUBJECT = "sha256:" + "0" * 64


def entries(start: int, count: int) -> list[bytes]:
    """Bytes of the size of a real entry."""
    commitment = "sha256:%064x"
    form = '{"at":1790000000,"commitment":"%s","facts":{"keys":3,"tee":"sev-snp"},"kind":"key.released"}'
    return [(form % (commitment % number)).encode() for number in range(start, start + count)]


def rows(start: int, leaves: list[bytes]) -> list[dict[str, object]]:
    return [
        {"position": start + n, "entry": leaf, "salt": bytes(32), "meaning": b"{}", "subject": SUBJECT}
        for n, leaf in enumerate(leaves)
    ]


def events(count: int) -> list[ledger.Event]:
    meaning = {"spec": SUBJECT, "asset": SUBJECT, "requester": "did:key:z6Mk"}
    return [ledger.Event("key.released", SUBJECT, meaning, {"tee": "sev-snp", "keys": 3})] * count


def timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def authority_in(folder: Path, name: str) -> Authority:
    home = Home(folder, name)
    home.path.mkdir(parents=True)
    return open_authority(home, anchors=TrustAnchors())


def append_rows(authority: Authority, batch: list[dict[str, object]]) -> None:
    with authority.store.write() as connection:
        ledger.append_rows(connection, authority, batch)


def append_events(authority: Authority, batch: list[ledger.Event]) -> None:
    with authority.store.write() as connection:
        ledger.append(connection, authority, batch)


def hash_tree(leaves: list[bytes]) -> bytes:
    """What hashlib alone takes for the same leaves and the nodes above them."""
    sha256, hashes = hashlib.sha256, [hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves]
    while len(hashes) > 1:
        pairs = zip(hashes[::2], hashes[1::2], strict=False)
        hashes = [sha256(b"\1" + left + right).digest() for left, right in pairs] + (
            hashes[-1:] if len(hashes) % 2 else []
        )
    return hashes[0]


def pymerkle() -> ModuleType | None:
    try:
        import pymerkle
    except ImportError:
        return None
    return pymerkle


# --- appending ------------------------------------------------------------------------------------


def appending(folder: Path, count: int) -> Iterator[tuple[str, float, float]]:
    """Medians of seconds for a batch: the plain side, and ours."""
    log, whole, other = authority_in(folder, "log"), authority_in(folder, "whole"), pymerkle()
    theirs = None if other is None else other.SqliteTree(str(folder / "pymerkle.db"))
    seconds: dict[str, list[float]] = {"hash": [], "rows": [], "events": [], "pymerkle": []}
    for start in range(0, count, BATCH):
        leaves = entries(start, BATCH)
        seconds["hash"].append(timed(lambda leaves=leaves: hash_tree(leaves)))
        seconds["rows"].append(timed(lambda leaves=leaves, start=start: append_rows(log, rows(start, leaves))))
        seconds["events"].append(timed(lambda: append_events(whole, events(BATCH))))
        if theirs is not None:
            seconds["pymerkle"].append(timed(lambda leaves=leaves: theirs.append_entries(leaves, BATCH)))
    middle = {name: statistics.median(values) for name, values in seconds.items() if values}
    yield "append 1,000 entries to SQLite / hashlib alone", middle["hash"], middle["rows"]
    yield "  made and committed to as well / hashlib alone", middle["hash"], middle["events"]
    if theirs is not None:
        yield "append 1,000 entries to SQLite / pymerkle", middle["pymerkle"], middle["rows"]
        yield from against(log, theirs, count)


def against(log: Authority, theirs: object, count: int) -> Iterator[tuple[str, float, float]]:
    """Inclusion proofs over the same leaves."""
    indices, ours_, theirs_ = random.Random(1).sample(range(count), 20), [], []
    for index in indices:
        ours_.append(timed(lambda index=index: prove(log, index)))
        theirs_.append(timed(lambda index=index: theirs.prove_inclusion(index + 1, count)))  # type: ignore[attr-defined]
    yield f"inclusion proof at {count:,} entries / pymerkle", statistics.median(theirs_), statistics.median(ours_)


# --- proofs ---------------------------------------------------------------------------------------


def prove(authority: Authority, index: int) -> tuple[bytes, ...]:
    """A proof from the database, with a transaction of its own."""
    with authority.store.read() as connection:
        total = ledger.size(connection, authority)
        return tree.inclusion_proof(ledger.SqlTiles(connection), total, index)


def proofs(folder: Path, count: int, rounds: int) -> tuple[float, float, float]:
    """Median and 99th percentile of seconds for an inclusion proof, and the median of a whole ``LogProof``."""
    authority = authority_in(folder, "large")
    for start in range(0, count, 50 * BATCH):
        append_rows(authority, rows(start, entries(start, min(50 * BATCH, count - start))))
    seconds, documents = [], []
    for index in random.Random(2).sample(range(count), 200 * rounds):
        seconds.append(timed(lambda index=index: prove(authority, index)))
    with authority.store.read() as connection:
        root = tree.root(ledger.SqlTiles(connection), count)
        for index in random.Random(3).sample(range(count), 100):
            documents.append(timed(lambda index=index: ledger.prove(connection, authority, index)))
            leaf = leaf_hash(entries(index, 1)[0])
            verify_inclusion(index, count, leaf, prove(authority, index), root)
    return statistics.median(seconds), statistics.quantiles(seconds, n=100)[98], statistics.median(documents)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=100_000, help="appended in batches of 1,000")
    parser.add_argument("--large", type=int, default=1_000_000, help="entries of the tree that proofs are taken from")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        print(f"{'':52}{'plain':>11}{'ours':>11}{'ratio':>9}")
        for label, plain, ours in appending(Path(name), options.entries):
            print(f"{label:52}{plain * 1e3:9.3f}ms{ours * 1e3:9.3f}ms{ours / plain:9.2f}")
        if pymerkle() is None:
            print("pymerkle is not installed, so nothing was compared with it: pip install pymerkle")
        middle, worst, document = proofs(Path(name), options.large, options.rounds)
    print(
        f"inclusion proof at {options.large:,} entries: median {middle * 1e3:.3f} ms, 99 % below {worst * 1e3:.3f} ms (goal: 1 ms)"
    )
    print(f"  as a document with entry and checkpoint: median {document * 1e3:.3f} ms")


if __name__ == "__main__":
    main()
