"""Parameters for a reviewer's eyes: what is decoded costs no more than it weighs."""

from __future__ import annotations

import random
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from sls_jupyter.documents import b64encode, canonical_json
from sls_jupyter.errors import MalformedDocument
from sls_jupyter.guest.parameters import pack_parameters
from sls_jupyter.session.parameters import read_parameters

FRAME = pd.DataFrame(
    {
        "n": [1, 2, 3],
        "x": [0.5, None, 1.5],
        "name": ["a", "ö", None],
        "kind": pd.Categorical(["u", "v", "u"]),
        "at": pd.to_datetime(["2026-01-01"] * 3),
    }
)


def bundle(*tables: pa.Table, **options: Any) -> bytes:
    frames = {}
    for number, table in enumerate(tables):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
            writer.write_table(table)
        frames[f"f{number}"] = ["arrow", b64encode(sink.getvalue().to_pybytes())]
    return canonical_json({"values": {}, "frames": frames})


def test_a_reviewer_reads_what_the_cell_will_see() -> None:
    """Numbers, texts, lists and frames come back as they were packed."""
    found = read_parameters(pack_parameters({"n": 3, "names": ["a", None], "frame": FRAME}))
    assert (found["n"], found["names"]) == (3, ["a", None])
    pd.testing.assert_frame_equal(found["frame"], FRAME)


@pytest.mark.parametrize(
    ("table", "options"),
    [
        (pa.table({"zeros": pa.array([0] * 10**6)}), {"compression": "zstd"}),
        (pa.table({"words": pa.array(["x" * 10**4] * 9).dictionary_encode()}), {"compression": "lz4"}),
        (pa.table({"nothing": pa.nulls(10**7)}), {}),
        (pa.table({"lists": pa.array([[None] * 10**6])}), {}),
        (pa.table({"runs": pa.RunEndEncodedArray.from_arrays([2**30], [1])}), {}),
        (pa.table({"empty": pa.array([b""] * 9, pa.binary(0))}), {}),
    ],
    ids=lambda value: "",
)
def test_a_frame_that_grows_when_it_is_decoded_is_not_decoded(table: pa.Table, options: dict[str, Any]) -> None:
    """A few bytes that stand for a billion values do not fill the memory of whoever looks."""
    with pytest.raises(MalformedDocument, match="not of a plain form"):
        read_parameters(bundle(table, **options))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"frames":{},"values":{"a":1,"a":2}}',
        b'{"frames":{"a":["arrow",""]},"values":{"a":1}}',
        b'{"frames":{"a":["pickle",""]},"values":{}}',
        b'{"frames":{},"values":{"a":{"array":["<f8",[1000000000],"AAAA"]}}}',
        b'{"frames":{},"values":{"a":{"module":"os"}}}',
        b'{"frames":{"a":1},"values":{}}',
        b'{"frames":{"a":["arrow","AAAA"]},"values":{}}',
        b'{"frames":[],"values":{}}',
        b"[" * 10**5,
    ],
)
def test_what_is_no_bundle_is_malformed(data: bytes) -> None:
    """A requester may sign the digest of any bytes."""
    with pytest.raises(MalformedDocument):
        read_parameters(data)


def test_any_damage_is_an_error_of_ours() -> None:
    """Changed bytes in a frame are read or refused; nothing crashes."""
    good = bytearray(bundle(pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"]})))
    chance, read = random.Random(7), 0
    start = good.index(b"f0") + 14
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    for _ in range(400):
        damaged = bytearray(good)
        for _ in range(chance.randint(1, 3)):
            damaged[chance.randrange(start, len(good) - 20)] = chance.choice(letters)
        try:
            read_parameters(bytes(damaged))
            read += 1
        except MalformedDocument:
            pass
    assert read < 400
