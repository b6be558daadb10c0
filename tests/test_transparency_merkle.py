"""The tree agrees with other implementations and with the recursive definition of RFC 9162."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.errors import BadInput, LogInconsistent
from sls_jupyter.transparency import merkle, tree

VECTORS = json.loads((Path(__file__).parent / "vectors/log/tree.json").read_text())
ENTRIES = [bytes.fromhex(text) for text in VECTORS["entries"]]
ROOTS = [bytes.fromhex(text) for text in VECTORS["roots"]]


# --- the definition, RFC 9162 section 2.1, word by word; shares no code with the package -------------


def mth(entries):
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = split(len(entries))
    return hashlib.sha256(b"\x01" + mth(entries[:k]) + mth(entries[k:])).digest()


def split(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def path(m, entries):
    if len(entries) == 1:
        return []
    k = split(len(entries))
    if m < k:
        return [*path(m, entries[:k]), mth(entries[k:])]
    return [*path(m - k, entries[k:]), mth(entries[:k])]


def subproof(m, entries, complete):
    if m == len(entries):
        return [] if complete else [mth(entries)]
    k = split(len(entries))
    if m <= k:
        return [*subproof(m, entries[:k], complete), mth(entries[k:])]
    return [*subproof(m - k, entries[k:], False), mth(entries[:k])]


# --- builders -------------------------------------------------------------------------------------


def grown(entries, batches=()):
    """A store with these entries, appended in batches of the given sizes and then the rest."""
    store, size, root = tree.MemoryTileStore(), 0, merkle.EMPTY_ROOT
    for count in (*batches, len(entries)):
        batch = entries[size : size + count]
        root = tree.append(store, size, [merkle.leaf_hash(entry) for entry in batch])
        size += len(batch)
    return store, root


def numbers(count):
    return [index.to_bytes(3, "big") for index in range(count)]


SIZES = st.integers(1, 700)
SLOW = settings(max_examples=100, deadline=None)


# --- other implementations ------------------------------------------------------------------------


def test_leaf_hashes_and_roots_are_those_of_other_logs():
    """Other people's clients would compute other roots for our entries."""
    assert [merkle.leaf_hash(entry).hex() for entry in ENTRIES] == VECTORS["leaf_hashes"]
    assert [grown(ENTRIES[:size])[1] for size in range(9)] == ROOTS


@pytest.mark.parametrize("case", VECTORS["inclusion"], ids=str)
def test_inclusion_proofs_are_those_of_other_logs(case):
    """Other people's clients would refuse our inclusion proofs, or we theirs."""
    proof = [bytes.fromhex(text) for text in case["proof"]]
    store, _ = grown(ENTRIES)
    assert list(tree.inclusion_proof(store, case["size"], case["index"])) == proof
    leaf = merkle.leaf_hash(ENTRIES[case["index"]])
    merkle.verify_inclusion(case["index"], case["size"], leaf, proof, ROOTS[case["size"]])


@pytest.mark.parametrize("case", VECTORS["consistency"], ids=str)
def test_consistency_proofs_are_those_of_other_logs(case):
    """Other people's witnesses would refuse to follow our log."""
    proof = [bytes.fromhex(text) for text in case["proof"]]
    store, _ = grown(ENTRIES)
    assert list(tree.consistency_proof(store, case["old"], case["new"])) == proof
    merkle.verify_consistency(case["old"], ROOTS[case["old"]], case["new"], ROOTS[case["new"]], proof)


# --- the definition -------------------------------------------------------------------------------


@SLOW
@given(st.lists(st.binary(max_size=8), max_size=20), st.lists(st.integers(0, 7), max_size=6))
def test_root_equals_definition(entries, batches):
    """A root would depend on how entries were batched, or differ from the RFC's."""
    assert grown(entries, batches)[1] == mth(entries)


@SLOW
@given(SIZES, st.lists(st.integers(0, 300), max_size=4), st.data())
def test_proofs_equal_definition(count, batches, data):
    """Proofs across several tiles would not be those of RFC 9162, for the newest or an older size."""
    entries = numbers(count)
    store, _ = grown(entries, batches)
    size = data.draw(st.integers(1, count))
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    assert tree.root(store, size) == mth(entries[:size])
    assert list(tree.inclusion_proof(store, size, index)) == path(index, entries[:size])
    assert list(tree.consistency_proof(store, old, size)) == subproof(old, entries[:size], True)


@SLOW
@given(st.integers(1, 40), st.data())
def test_defined_proofs_verify(count, data):
    """The verifier would refuse proofs that are right by definition."""
    entries = numbers(count)
    index, old = data.draw(st.integers(0, count - 1)), data.draw(st.integers(0, count))
    merkle.verify_inclusion(index, count, merkle.leaf_hash(entries[index]), path(index, entries), mth(entries))
    proof = subproof(old, entries, True) if old else []
    merkle.verify_consistency(old, mth(entries[:old]), count, mth(entries), proof)


def test_tree_of_three_levels():
    """Proofs in a log of more than 65,536 entries would be wrong."""
    leaves = [merkle.leaf_hash(entry) for entry in numbers(70_000)]
    store = tree.MemoryTileStore()
    root = tree.append(store, 0, leaves)
    for index in (0, 65_535, 65_536, 69_999):
        merkle.verify_inclusion(index, 70_000, leaves[index], tree.inclusion_proof(store, 70_000, index), root)
    for old in (1, 255, 256, 65_536, 65_537, 69_999):
        proof = tree.consistency_proof(store, old, 70_000)
        merkle.verify_consistency(old, tree.root(store, old), 70_000, root, proof)


# --- tampering ------------------------------------------------------------------------------------


def corruptions(proof):
    """The proof with one hash removed, added, cut, exchanged or changed in one bit."""
    yield [*proof, proof[-1] if proof else bytes(32)]
    yield [bytes(32), *proof]
    for at, value in enumerate(proof):
        yield [*proof[:at], *proof[at + 1 :]]
        yield [*proof[:at], value[:-1], *proof[at + 1 :]]
        yield [*proof[:at], bytes([value[0] ^ 8]) + value[1:], *proof[at + 1 :]]
        if at and proof[at - 1] != value:
            yield [*proof[: at - 1], value, proof[at - 1], *proof[at + 1 :]]


@SLOW
@given(st.integers(1, 600), st.data())
def test_changed_inclusion_proof_is_refused(count, data):
    """An entry that is not in the log, or stands elsewhere, could be passed off as logged."""
    entries = numbers(count)
    store, root = grown(entries)
    index = data.draw(st.integers(0, count - 1))
    leaf, proof = merkle.leaf_hash(entries[index]), list(tree.inclusion_proof(store, count, index))
    wrong = [(index, count, leaf, bad, root) for bad in corruptions(proof)]
    wrong += [(other, count, leaf, proof, root) for other in (index - 1, index + 1, index ^ 2, count, -1)]
    wrong += [(index, count, merkle.leaf_hash(b"other"), proof, root), (index, count, leaf, proof, bytes(32))]
    wrong += [(index, 0, leaf, proof, root), (index, count, leaf[:31], proof, root), (index, count, leaf, proof, b"")]
    for case in wrong:
        with pytest.raises(LogInconsistent):
            merkle.verify_inclusion(*case)


@SLOW
@given(st.integers(2, 600), st.data())
def test_changed_consistency_proof_is_refused(count, data):
    """A log that rewrote its past could be passed off as one that only grew."""
    store, root = grown(numbers(count))
    old = data.draw(st.integers(1, count - 1))
    old_root, proof = tree.root(store, old), list(tree.consistency_proof(store, old, count))
    wrong = [(old, old_root, count, root, bad) for bad in corruptions(proof)]
    wrong += [(old, root, count, old_root, proof), (old, old_root, count, bytes(32), proof)]
    wrong += [
        (old, bytes(32), count, root, proof),
        (count, root, old, old_root, proof),
        (-1, old_root, count, root, proof),
    ]
    wrong += [(old, old_root[:31], count, root, proof), (count, old_root, count, root, [])]
    for case in wrong:
        with pytest.raises(LogInconsistent):
            merkle.verify_consistency(*case)


@SLOW
@given(st.integers(2, 500), st.data())
def test_rewritten_log_cannot_prove_consistency(count, data):
    """An authority could remove, change, exchange or double an entry that a client has seen."""
    entries = numbers(count)
    seen = data.draw(st.integers(1, count))
    at = data.draw(st.integers(0, seen - 1))
    _, known = grown(entries[:seen])
    rewritten = {
        "removed": [*entries[:at], *entries[at + 1 :], b"fill"],
        "changed": [*entries[:at], b"changed", *entries[at + 1 :]],
        "doubled": [*entries[: at + 1], *entries[at:]],
        "reordered": [*entries[:at], *reversed(entries[at : at + 2]), *entries[at + 2 :]],
    }
    for other in rewritten.values():
        if other[:seen] == entries[:seen]:
            continue  # the exchange or the doubling was behind what the client saw
        store, root = grown(other)
        proof = tree.consistency_proof(store, seen, len(other))
        with pytest.raises(LogInconsistent):
            merkle.verify_consistency(seen, known, len(other), root, proof)


def test_messages_say_what_was_found():
    """A user could not tell a shrunk log from a short proof."""
    with pytest.raises(LogInconsistent, match="shrunk") as error:
        merkle.verify_consistency(5, ROOTS[5], 3, ROOTS[3], [])
    assert (error.value.found, error.value.expected) == ("tree size 3", "tree size 5 or more")
    with pytest.raises(LogInconsistent, match="number of hashes") as error:
        merkle.verify_inclusion(2, 3, merkle.leaf_hash(ENTRIES[2]), [], ROOTS[3])
    assert (error.value.found, error.value.expected) == ("0 hashes", "1 hashes")
    for index in (-1, 3):
        with pytest.raises(LogInconsistent, match="not in the tree"):
            merkle.verify_inclusion(index, 3, merkle.leaf_hash(ENTRIES[2]), [ROOTS[2]], ROOTS[3])
    with pytest.raises(LogInconsistent, match="root") as error:
        merkle.verify_inclusion(0, 1, merkle.leaf_hash(b"x"), [], ROOTS[1])
    assert error.value.expected == ROOTS[1].hex()


# --- the store ------------------------------------------------------------------------------------


@SLOW
@given(st.integers(0, 600), st.integers(1, 300), st.integers(0, 300))
def test_interrupted_append_leaves_no_trace(size, lost, later):
    """A crash between the tiles and the checkpoint would change the roots of the log afterwards."""
    store, _ = grown(numbers(size))
    tree.append(store, size, [merkle.leaf_hash(b"lost %d" % index) for index in range(lost)])
    assert tree.root(store, size) == grown(numbers(size))[1]
    root = tree.append(store, size, [merkle.leaf_hash(entry) for entry in numbers(size + later)[size:]])
    assert root == tree.root(store, size + later) == grown(numbers(size + later))[1]


@pytest.mark.parametrize(("level", "index"), [(0, 0), (0, 2), (1, 0)])
def test_missing_tile_is_named(level, index):
    """A damaged store would sign a wrong root instead of saying which tile is gone."""
    store, _ = grown(numbers(600))
    store.write_tile(level, index, store.read_tile(level, index)[:-32])
    with pytest.raises(LogInconsistent, match=f"Tile {index} of level {level}"):
        tree.inclusion_proof(store, 600, 3)


def test_bad_arguments_are_refused():
    """A wrong index or size would end in a foreign traceback."""
    store, _ = grown(numbers(3))
    calls = (
        lambda: tree.inclusion_proof(store, 3, 3),
        lambda: tree.inclusion_proof(store, 3, -1),
        lambda: tree.consistency_proof(store, 4, 3),
        lambda: tree.append(store, 3, [b"short"]),
    )
    for call in calls:
        with pytest.raises(BadInput):
            call()
