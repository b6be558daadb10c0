"""Publishing: what is written can be read by others at every moment, and nothing that was written changes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_transparency_reader import KEY, ORIGIN, Log, entries_of
from tlog_reader import Reader

from sls_jupyter.errors import LogInconsistent, SignatureInvalid
from sls_jupyter.identity import SigningKey
from sls_jupyter.transparency.publish import publish


class Crash(Exception):
    pass


class Sink(dict):
    """Remembers the order of writes, refuses to change a tile, and may stop at the n-th write."""

    def __init__(self, files=(), stop_after=None):
        super().__init__(files)
        self.order, self.stop_after = [], stop_after

    def __setitem__(self, path, data):
        if self.stop_after is not None and len(self.order) >= self.stop_after:
            raise Crash
        assert path == "checkpoint" or path not in self, f"{path} is written twice"
        super().__setitem__(path, data)
        self.order.append(path)


def put(log, sink, size=None):
    return publish(log, log.note(size), sink, origin=ORIGIN, public_key=KEY.public_bytes)


def readable(sink):
    """What other people's client makes of the published files."""
    return Reader(sink.__getitem__, ORIGIN, KEY.public_bytes).entries()


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=4), st.data())
def test_readers_find_a_whole_log_whenever_it_stops(growth, data):
    """A crash while publishing would leave a checkpoint whose tiles are missing, or a copy that cannot go on."""
    log, size, sink = Log(entries_of(sum(growth))), 0, Sink()
    for more in growth:
        stop, last = data.draw(st.integers(0, 6)), size
        size += more
        sink.order, sink.stop_after = [], stop
        try:
            put(log, sink, size)
        except Crash:
            if "checkpoint" in sink:
                assert len(readable(sink)) <= last
            sink.order, sink.stop_after = [], None
            put(log, sink, size)
        sink.stop_after = None
        assert readable(sink) == entries_of(size)


def test_the_checkpoint_is_written_last_and_once():
    """A reader could see a checkpoint before its tiles; a store would keep needless versions."""
    sink, log = Sink(), Log(entries_of(600))
    first = put(log, sink, 300)
    assert (first.old_size, first.tree_size, first.written) == (0, 300, len(sink.order))
    assert sink.order[-1] == "checkpoint"
    assert sink.order.count("checkpoint") == 1
    sink.order.clear()
    again = put(log, sink, 300)
    assert (again.old_size, again.written, sink.order) == (300, 0, [])
    second = put(log, sink)
    assert second.old_size == 300
    assert set(sink.order) == {
        "tile/entries/001", "tile/entries/002.p/88", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2", "checkpoint",
    }  # fmt: skip


def test_a_file_that_was_cut_off_is_completed():
    """A store without atomic writes would leave half a tile behind for ever."""
    log, sink = Log(entries_of(300)), {}
    put(log, sink)
    whole = dict(sink)
    del sink["checkpoint"]
    for path in ("tile/0/000", "tile/entries/000"):
        sink[path] = sink[path][:100]
    put(log, sink)
    assert sink == whole


def refused(log, sink, size=None):
    before = dict(sink)
    with pytest.raises(LogInconsistent) as error:
        put(log, sink, size)
    assert dict(sink) == before
    return error.value.message


def test_a_published_log_is_never_replaced_by_another():
    """An owner who restored a backup, or rewrote the log, would destroy the evidence."""
    sink = {}
    put(Log(entries_of(300)), sink)
    assert "ahead of this one" in refused(Log(entries_of(299)), sink)
    assert "does not extend its published copy" in refused(Log([b"forged", *entries_of(400)[1:]]), sink)
    assert "does not extend its published copy" in refused(Log([b"forged", *entries_of(300)[1:]]), sink)
    del sink["checkpoint"]
    assert "not the one of this log" in refused(Log([b"forged", *entries_of(300)[1:]]), sink)


def test_a_damaged_database_is_not_published():
    """Readers would be given files that contradict the checkpoint, for ever."""
    log = Log(entries_of(300))
    log.entries[270] = b"changed"
    sink = {}
    with pytest.raises(LogInconsistent, match="entries 256 to 299"):
        put(log, sink)
    assert "checkpoint" not in sink
    log = Log(entries_of(300))
    note = log.note()
    log.write_tile(0, 1, log.read_tile(0, 1)[:-32] + bytes(32))
    with pytest.raises(LogInconsistent, match="own tiles do not lead to the root"):
        publish(log, note, {}, origin=ORIGIN, public_key=KEY.public_bytes)


def test_somebody_elses_log_is_not_touched():
    """A wrong folder would lose the log that another authority published there."""
    sink, log = {}, Log(entries_of(3))
    put(log, sink)
    with pytest.raises(SignatureInvalid):
        publish(log, log.note(), sink, origin=ORIGIN, public_key=SigningKey.generate().public_bytes)
