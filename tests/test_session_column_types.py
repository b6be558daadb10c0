"""A manifest's word for each column, and which of them a cell takes by its name; whatever another writer put there."""

import json

import pandas as pd
import pyarrow as pa
import pytest

from sls_jupyter.assets.metadata import OURS, PANDAS
from sls_jupyter.documents import b64encode
from sls_jupyter.identity import Home
from sls_jupyter.session import Session
from sls_jupyter.session.column_types import ColumnType, _types, column_types


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What the manifest of a sealed table tells."""
    session = Session(Home(tmp_path_factory.mktemp("home"), "hospital"))
    yield lambda data, name="t": dict(column_types(session.seal(data, name, tee="simulated-snp").info.manifest))
    session.close()


def test_the_types_are_pandas_words_for_a_frame(told):
    """What the cell will say to ``frame.dtypes``, without a zone or categories."""
    frame = pd.DataFrame(
        {"n": [1, 2], "kind": pd.Categorical(["a", "b"]), "when": pd.Timestamp("2027-01-01", tz="UTC"), "l": [[1], [2]]}
    )
    assert {name: kind.word for name, kind in told(frame).items()} == {
        "n": "int64",
        "kind": "category",
        "when": "datetime64",
        "l": "object",
    }


def test_they_are_arrows_words_for_another_table(told):
    """What is not from pandas has no other type; names of its fields are not told."""
    table = pa.table({"s": pa.array(["a"]), "st": pa.array([{"secret": 1}]), "d": pa.array(["x"]).dictionary_encode()})
    assert {name: kind.word for name, kind in told(table).items()} == {"s": "string", "st": "struct", "d": "category"}


def test_levels_of_the_index_and_other_labels_are_no_columns_by_name(told):
    """``frame["7"]`` finds no 7, and a level is not among the columns."""
    indexed = told(pd.DataFrame({"a": [1], "b": ["x"]}).set_index("b"))
    assert {name: kind.by_name for name, kind in indexed.items()} == {"a": True, "b": False}
    assert not told(pd.DataFrame({7: [1]}))["7"].by_name
    assert not any(kind.by_name for kind in told(pd.DataFrame({("a", "b"): [1]})).values())


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {PANDAS: b"no json", OURS: b"[1]"},
        {PANDAS: b"[" * 100_000, OURS: b"null"},
        {OURS: json.dumps({"columns": {"a": {"dtype": ["x"]}}, "labels": {"levels": 3}}).encode()},
        {PANDAS: json.dumps({"index_columns": [["a"], {"a": 1}]}).encode(), OURS: json.dumps({"columns": []}).encode()},
    ],
)
def test_odd_metadata_are_as_none(metadata):
    """Another writer's words change nothing of what the schema itself says."""
    schema = pa.schema([pa.field("a", pa.int64())], metadata)
    assert _types(b64encode(schema.serialize().to_pybytes())) == {"a": ColumnType("int64")}


def test_a_word_is_a_word(told):
    """What an owner writes as a type is cut where it stops being one."""
    ours = {"columns": {"a": {"dtype": "int64\u202e<b>"}, "b": {"dtype": "<script>"}}}
    schema = pa.schema([("a", pa.int64()), ("b", pa.int64())], {OURS: json.dumps(ours).encode()})
    assert [kind.word for kind in _types(b64encode(schema.serialize().to_pybytes())).values()] == ["int64", ""]
