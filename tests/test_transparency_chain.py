"""A run's records: complete, in order, unchanged, and of this run."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.documents import canonical_json, digest
from sls_jupyter.errors import BadInput, LogInconsistent, MalformedDocument
from sls_jupyter.transparency.chain import Chain, chain_start, encode_records, parse_records, verify_chain

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abä", max_size=3), inner, max_size=3),
    max_leaves=6,
)


def chained(count=5, run="run"):
    chain = Chain(run)
    return chain, tuple(chain.append({"event": f"step {number}"}) for number in range(count))


def test_chain_by_hand():
    """Records of yesterday would not verify tomorrow."""
    chain, (first, second) = chained(2)
    label, run = b"sls-jupyter/records/v1", b"run"
    start = digest(b"".join(len(part).to_bytes(8, "big") + part for part in (label, run)))
    assert first.payload() == canonical_json({"seq": 0, "previous": start, "body": {"event": "step 0"}})
    assert second.previous == digest(first.payload())
    assert chain.head == digest(second.payload()) == verify_chain((first, second), "run")


@given(st.lists(st.dictionaries(st.text("abc", max_size=3), JSON, max_size=3), max_size=4))
def test_any_record_survives_the_file(bodies):
    """A record would come back changed from the run's record file."""
    chain = Chain("run")
    records = tuple(chain.append(body) for body in bodies)
    read = parse_records(encode_records(records))
    assert read == records
    assert verify_chain(read, "run") == chain.head
    assert len(chain) == len(records)


@pytest.mark.parametrize(
    "tamper",
    [
        lambda r: r[1:],
        lambda r: r[:2] + r[3:],
        lambda r: (r[0], r[2], r[1], *r[3:]),
        lambda r: (r[0], r[0], *r[1:]),
        lambda r: (r[0], r[1].model_copy(update={"body": {"event": "other"}}), *r[2:]),
        lambda r: (r[0], r[1].model_copy(update={"previous": chain_start()}), *r[2:]),
        lambda r: chained(run="another run")[1],
    ],
    ids=["first removed", "removed", "reordered", "doubled", "changed", "relinked", "another run"],
)
def test_tampered_chain_is_refused(tamper):
    """Somebody could edit what a run is recorded to have done."""
    with pytest.raises(LogInconsistent):
        verify_chain(tamper(chained()[1]), "run")


def test_renumbered_records_are_refused():
    """Records could be linked correctly and still count wrongly, as if some had been lost."""
    _, (first, second) = chained(2)
    with pytest.raises(LogInconsistent, match="complete and in order") as error:
        verify_chain((first, second.model_copy(update={"seq": 7})), "run")
    assert (error.value.found, error.value.expected) == ("record 7", "record 1")


def test_cut_or_changed_end_changes_the_head():
    """The last records could be dropped although the head was logged."""
    chain, records = chained()
    assert verify_chain(records[:-1], "run") != chain.head
    changed = (*records[:-1], records[-1].model_copy(update={"body": {}}))
    assert verify_chain(changed, "run") != chain.head


def test_refused_records_leave_the_chain_as_it_was():
    """One bad record would break all that follow."""
    chain, records = chained()
    circle: dict[str, object] = {}
    circle["self"] = circle
    for bad in (
        {"x": float("nan")},
        {"x": b"bytes"},
        {1: 2},
        {"x": 2**60},
        {"x": "\ud800"},
        circle,
        {"x": "y" * 300_000},
    ):
        with pytest.raises(BadInput):
            chain.append(bad)
    assert verify_chain((*records, chain.append({})), "run") == chain.head


def test_deep_record_is_refused_at_once():
    """A record could be chained that the record file cannot hold."""
    body: object = 1
    chain = Chain()
    for depth in range(40):
        body = [body]
        try:
            record = chain.append({"x": body})
        except MalformedDocument:
            assert depth > 20
            return
        assert parse_records(record.payload() + b"\n") == (record,)
    pytest.fail("no limit")


def test_malformed_record_files_are_refused():
    """A cut or edited record file would be read as a shorter one."""
    data = encode_records(chained()[1])
    for bad in (data[:-1], data + b"\n", data + b"{}\n", data.replace(b":", b": ", 1), b"\xff\n"):
        with pytest.raises(MalformedDocument):
            parse_records(bad)
    assert parse_records(b"") == ()


def test_threads_do_not_share_a_number():
    """Records that containers send at the same time would fork the chain."""
    chain, records = Chain(), []

    def work():
        records.extend(chain.append({"n": number}) for number in range(100))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verify_chain(sorted(records, key=lambda record: record.seq)) == chain.head
