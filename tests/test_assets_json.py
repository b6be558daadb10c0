"""Files with a JSON object in each line: every value, or the line and the field that keeps it from being read."""

import gzip
import json

import pyarrow as pa
import pytest
from assets_kit import frame, seal_at
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.assets import json_file
from sls_jupyter.assets.json_file import JsonFile
from sls_jupyter.errors import BadInput, SlsError, Unavailable

TEXT = st.text(st.characters(codec="utf-8"), max_size=6) | st.just("2020-01-01T00:00:00Z")
LEAF = st.sampled_from(
    [TEXT, st.booleans(), st.integers(-(2**62), 2**62), st.floats(allow_nan=False, allow_infinity=False)]
)
VALUES = LEAF | LEAF.map(lambda leaf: st.lists(leaf | st.none(), max_size=3)) | LEAF.map(
    lambda leaf: st.fixed_dictionaries({"m": leaf | st.none()})
)  # fmt: skip


def table(path):
    file = JsonFile.examine(path)
    return pa.Table.from_batches(file.batches(), schema=file.schema)


@st.composite
def records(draw):
    columns = {name: draw(VALUES) for name in ("a", "b")}
    rows = st.fixed_dictionaries({"n": st.just(0)}, optional={name: st.none() | one for name, one in columns.items()})
    return draw(st.lists(rows, min_size=1, max_size=6))


@settings(max_examples=200, deadline=None)
@given(rows=records(), block=st.sampled_from([1, 40, 2**20]))
def test_records_come_back(rows, block, tmp_path_factory):
    """What Python's own parser reads is what is sealed, wherever a block ends; numbers are exact or refused by field."""
    path = tmp_path_factory.mktemp("json") / "t.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_file, "BLOCK_BYTES", block)
        try:
            found = table(path).to_pylist()
        except SlsError as error:
            assert "'a'" in error.message or "'b'" in error.message  # noqa: PT017
            return
    names = {name for row in rows for name in row}
    assert found == [{name: row.get(name) for name in found[0]} for row in rows]
    assert set(found[0]) == names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a":1}\nnope\n', "Line 2"),
        ("[1]\n", "Line 1"),
        ('{"a":1}\n{"a":"x"}\n', "'a' has values of two kinds"),
        ('{"a":12345678901234567891}\n', "'a'"),
        ('{"a":9007199254740993}\n{"a":1.5}\n', "'a'"),
        ('{"x":1,"a":[9007199254740993, 0.5]}\n', "'a'"),
        ('{"a":1}\n{"a":"K\xf6ln"}\n', "UTF-8"),
        ('{"b":[[1],["x"]]}\n', "from 1 on"),
        ('{"a":0}\n{"a":1,"a":2}\n', "Line 2 of t.jsonl names one member twice.\n  found 'a'"),
        ('{"a":{"b":1,"b":null}}\n', "found 'b'"),
    ],
)
@pytest.mark.parametrize("block", [8, 2**20])
def test_what_cannot_be_read_says_where(text, words, block, tmp_path, monkeypatch):
    """The line, the field, the reason; also when the block that shows it is not the first."""
    monkeypatch.setattr(json_file, "BLOCK_BYTES", block)
    (tmp_path / "t.jsonl").write_bytes(text.encode("latin-1"))
    with pytest.raises(SlsError) as caught:
        table(tmp_path / "t.jsonl")
    assert words in str(caught.value)


def test_text_that_looks_like_a_time_stays_text(tmp_path):
    """Nothing is guessed: what stands within quotes is text."""
    (tmp_path / "t.jsonl").write_text('{"a":"2020-01-01","b":["2020-01-01T00:00:00"],"c":{"d":"12:00:00"}}\n')
    assert table(tmp_path / "t.jsonl").to_pylist() == [
        {"a": "2020-01-01", "b": ["2020-01-01T00:00:00"], "c": {"d": "12:00:00"}}
    ]


def test_endings_and_archives(tmp_path):
    """Blank lines, carriage returns and gzip; an archive that ends early is said to be one."""
    lines = b'{"a":1}\r\n\r\n{"a":null}\r\n'
    (tmp_path / "t.ndjson").write_bytes(lines)
    (tmp_path / "t.jsonl.gz").write_bytes(gzip.compress(lines))
    for name in ("t.ndjson", "t.jsonl.gz"):
        assert frame(seal_at(tmp_path / name[2:], tmp_path / name)).a.isna().tolist() == [False, True]
    (tmp_path / "u.jsonl.gz").write_bytes(gzip.compress(lines)[:-9])
    with pytest.raises((Unavailable, BadInput), match=r"u\.jsonl\.gz"):
        seal_at(tmp_path / "a", tmp_path / "u.jsonl.gz")


@pytest.mark.parametrize("text", ["", "\n\n", "{}\n{}\n"])
def test_an_empty_file(text, tmp_path):
    """There is nothing to seal."""
    (tmp_path / "t.jsonl").write_text(text)
    with pytest.raises(BadInput, match="empty"):
        table(tmp_path / "t.jsonl")
