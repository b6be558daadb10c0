"""CSV files come in as pandas reads them, or say what is wrong and where; types are decided on the whole file."""

import csv
import gzip
import io
import random

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from assets_kit import frame, seal_at
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.assets import csv_file
from sls_jupyter.assets.csv_file import MISSING, CsvFile
from sls_jupyter.assets.plain_frame import plain_frame
from sls_jupyter.assets.sources import open_source
from sls_jupyter.errors import BadInput, SlsError, Unavailable, UnsealableData


def table(path, delimiter=","):
    file = CsvFile.examine(path, delimiter)
    return pa.Table.from_batches(file.batches(), schema=file.schema)


@pytest.fixture
def read(tmp_path):
    def reading(text):
        path = tmp_path / "t.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return table(path)

    return reading


def column(read, *values):
    return read("x\n" + "\n".join(values) + "\n")["x"]


# --- pandas and the csv module say what is right ----------------------------------------------------

NUMBERS = st.one_of(
    st.integers(-(2**64), 2**65).map(str),
    st.integers(-5, 5).map(lambda n: f" {n:+d}"),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(
        ["1.", ".5", "-0", "007", "0x1F", "1e5", "inf", "-Infinity", "1_000", "1,000", "12.5.1", "+-5", "٣"]
    ),
)
WORDS = st.one_of(
    st.sampled_from(["", *MISSING, "True", "FALSE", "true", "yes", "NAN", " NA", "2020-01-01", "12:30"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"), max_size=6),
)
COLUMNS = st.one_of(
    st.lists(st.integers(-99, 99).map(str) | st.just(""), min_size=1, max_size=8),
    st.lists(NUMBERS | st.just("NA"), min_size=1, max_size=8),
    st.lists(st.sampled_from(["True", "false", "TRUE"]), min_size=1, max_size=8),
    st.lists(WORDS | NUMBERS, min_size=1, max_size=8),
)


@st.composite
def files(draw):
    """A CSV text of two columns and what its fields say, as the csv module of Python wrote it."""
    fields = draw(COLUMNS)
    other = [f"line {i}" for i in range(len(fields))]
    out = io.StringIO()
    returns = any("\r" in field for field in fields)  # Python's module leaves one bare beside line feeds
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
    writer = csv.writer(
        out,
        quoting=csv.QUOTE_ALL if returns else quoting,
        lineterminator=draw(st.sampled_from(["\n", "\r\n"])),
    )
    writer.writerows([("x", "other"), *zip(fields, other, strict=True)])
    return out.getvalue(), fields


@settings(max_examples=300, deadline=None)
@given(made=files())
def test_fields_come_back_as_they_are_written(made, tmp_path_factory):
    """As many records as the file has; each field is missing by the list, or its text, or the number that it spells."""
    text, fields = made
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_bytes(text.encode())
    found = table(path)
    values, kind = found["x"].to_pylist(), found["x"].type
    assert len(values) == len(fields)
    for value, field in zip(values, fields, strict=True):
        if field in MISSING:
            assert value is None
        elif pa.types.is_integer(kind):
            assert value == int(field)
        elif kind == pa.float64():
            assert value == float(field)
            assert "." in field or not field.strip("+- ").isdigit() or int(field) == value  # no digit is lost
        elif kind == pa.bool_():
            assert str(value).lower() == field.lower()
        else:
            assert value == field


def _whole(field: str) -> int:
    try:
        return int(field)
    except ValueError:
        return 0


@settings(max_examples=300, deadline=None)
@given(made=files())
def test_what_pandas_takes_for_numbers_is_one(made, tmp_path_factory):
    """The kind of a column is the one that pandas.read_csv gives it, but where pandas would lose digits."""
    text, fields = made
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_bytes(text.encode())
    ours, theirs = plain_frame(table(path))["x"], pd.read_csv(path)["x"]
    beyond = any(abs(_whole(field)) >= 2**63 for field in fields)  # beside such a number pandas reads NA as text
    assert beyond or ours.isna().tolist() == theirs.isna().tolist()
    kinds = {"i": "number", "u": "number", "f": "number", "b": "bool"}
    got, want = kinds.get(ours.dtype.kind, "text"), kinds.get(theirs.dtype.kind, "text")
    if got == "bool" and theirs.isna().any():
        want = "bool"  # pandas has objects then
    if want == "number" and got == "text":
        floats = [float(value) for value in ours.dropna()]  # each is a number; one is too long, or beyond a float
        assert any(abs(one) >= 2**53 or np.isinf(one) for one in floats)
    else:
        assert got == want


@pytest.mark.parametrize("block", [97, 1000])
def test_no_record_is_torn_at_the_border_of_a_block(block, tmp_path, monkeypatch):
    """Line breaks within quotes may lie anywhere."""
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", block)
    chance = random.Random(block)
    rows = [(str(i), "a\nb,\r\n" * chance.randint(0, 4) + '"' * chance.randint(0, 2)) for i in range(500)]
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "text"), *rows])
    found = table(tmp_path / "t.csv")
    assert found["id"].to_pylist() == list(range(500))
    assert [text or "" for text in found["text"].to_pylist()] == [text for _, text in rows]


def test_types_are_decided_on_the_whole_file(tmp_path, monkeypatch):
    """What the last block holds counts as much as what the first one does, also in a compressed file."""
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 64)
    lines = ["i,u,f,b,s,m", *["1,1,1,True,1,"] * 50, f"-1,{2**64 - 1},1.5,false,x,", "2,3,1,True,1,"]
    with gzip.open(tmp_path / "t.csv.gz", "wt") as file:
        file.write("\n".join(lines))
    kinds = [pa.int64(), pa.uint64(), pa.float64(), pa.bool_(), pa.string(), pa.float64()]
    assert open_source(tmp_path / "t.csv.gz").schema.types == kinds
    assert frame(seal_at(tmp_path / "a", tmp_path / "t.csv.gz")).s.tolist() == ["1"] * 50 + ["x", "1"]


# --- single rules -----------------------------------------------------------------------------------


def test_integers_keep_their_digits(read):
    """Missing values and length make no float of an identifier."""
    assert column(read, str(2**60 + 1), "NA").to_pylist() == [2**60 + 1, None]
    assert column(read, "12345678901234567891", "7").type == pa.uint64()
    assert column(read, "12345678901234567891", "-7").to_pylist() == ["12345678901234567891", "-7"]
    assert column(read, "123456789012345678901234").to_pylist() == ["123456789012345678901234"]
    assert column(read, "9007199254740993", "2.5").to_pylist() == ["9007199254740993", "2.5"]


def test_hexadecimal_and_thousands_are_text(read):
    """Arrow takes 0x10 for 16; pandas and people do not."""
    assert column(read, "0x10", "17").to_pylist() == ["0x10", "17"]
    assert column(read, '"1,000"', "17").to_pylist() == ["1,000", "17"]


def test_missing_text_is_missing(read):
    """Empty fields and NA, quoted or not, in text as in numbers."""
    found = read('a,b\nRome,1\n,\n"NA",NA\nnull,4\n"",5\n')
    assert found["a"].to_pylist() == ["Rome", None, None, None, None]
    assert found["b"].to_pylist() == [1, None, None, 4, 5]


def test_headers(read):
    """Names with line breaks, separators and the word NA stay; an empty one gets pandas' name for it."""
    assert read('"a\nb","c,d",,NA\n1,2,3,4\n').column_names == ["a\nb", "c,d", "Unnamed: 2", "NA"]
    assert read("a,b").num_rows == 0
    assert read(b"\xef\xbb\xbfa,b\r1,2\r").to_pydict() == {"a": [1], "b": [2]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1\n", "1 fields in record 2"),
        ("a,b\n1,2\n1,2,3\n", "3 fields in record 3"),
        ('a,b\n1,"x\n2,3\n', "not closed"),
        ("a,a\n1,2\n", "'a'"),
        ("a,b\n1,Köln\n".encode("latin-1"), "encoding"),
        (b"a,b\n" + b"1,ok\n" * 100 + "1,Köln\n".encode("cp1252"), "encoding"),
        ("a,b\n1,x\n".encode("utf-16"), "encoding"),
        ("a,b\n1,x\n".encode("utf-16-le"), "encoding"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(read, text, words):
    """Each reason is named; none is "a type"."""
    with pytest.raises(UnsealableData) as caught:
        read(text)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["", "\n\n", "\r\n"])
def test_an_empty_file(read, text):
    """There is nothing to seal."""
    with pytest.raises(BadInput, match="empty"):
        read(text)


def test_a_late_byte_that_is_not_utf_8_names_its_column(tmp_path, monkeypatch):
    """Far behind the first block, it is still the encoding that is spoken of, and the column."""
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 64)
    (tmp_path / "t.csv").write_bytes(b"id,city\n" + b"1,Rom\n" * 100 + b"2,K\xf6ln\n")
    with pytest.raises(UnsealableData, match="'city'") as caught:
        table(tmp_path / "t.csv")
    assert "encoding" in str(caught.value)


def test_a_record_longer_than_a_block(tmp_path, monkeypatch):
    """Its size is bounded; the reason is named."""
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 64)
    (tmp_path / "t.csv").write_text("id,note\n1,x\n" + '2,"' + "long\n" * 100 + '"\n')
    with pytest.raises(UnsealableData, match="too long, or a quotation"):
        table(tmp_path / "t.csv")


def test_a_damaged_compressed_file(tmp_path):
    """An archive that ends early is a file that cannot be read, not a traceback."""
    data = gzip.compress(b"a,b\n" + b"1,2\n" * 100_000)
    (tmp_path / "t.csv.gz").write_bytes(data[: len(data) // 2])
    (tmp_path / "u.csv.gz").write_bytes(b"a,b\n1,2\n")
    for name in ("t.csv.gz", "u.csv.gz"):
        with pytest.raises((Unavailable, BadInput), match=name):
            open_source(tmp_path / name)


def test_a_file_that_changes_between_the_passes(tmp_path):
    """What was decided is what is sealed."""
    (tmp_path / "t.csv").write_text("a\n1\n2\n")
    file = CsvFile.examine(tmp_path / "t.csv", ",")
    for text in ("a\n1\n", "a\n1\nx\n"):
        (tmp_path / "t.csv").write_text(text)
        with pytest.raises(SlsError, match=r"changed|another content"):
            list(file.batches())


def test_tabs(tmp_path):
    """A file of tabs has its own suffix."""
    (tmp_path / "t.tsv").write_text("a\tb\n1\tx, y\n")
    assert frame(seal_at(tmp_path / "s", tmp_path / "t.tsv")).to_dict("list") == {"a": [1], "b": ["x, y"]}


def test_the_first_look_is_seen_and_can_be_interrupted(tmp_path, monkeypatch):
    """A large file shows its rows while it is looked at, and Ctrl-C leaves nothing behind."""
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 64)
    (tmp_path / "t.csv").write_text("a\n" + "1\n" * 200)
    seen = []
    seal_at(tmp_path / "a", tmp_path / "t.csv", progress=lambda *rows: seen.append(rows))
    assert seen[0][0] == 0
    assert seen[-1] == (200, 200)

    def interrupted(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seal_at(tmp_path / "b", tmp_path / "t.csv", progress=interrupted)
    assert not (tmp_path / "b").exists()
