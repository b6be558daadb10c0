"""Opening: granted columns only, lazily, in any order of grants."""

import subprocess
import sys

import pyarrow as pa
import pytest
from assets_kit import frame, granted, reader, seal_at, seal_code_at
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.assets.opening import local_parts, open_code
from sls_jupyter.errors import BadInput, MalformedDocument, UnknownName, VerificationError

TABLE = pa.table({"a": [1, 2, 3], "b": ["x", None, "z"], "c": pa.array(["u", "v", "u"]).dictionary_encode()})


@pytest.fixture(scope="module")
def asset(tmp_path_factory):
    return seal_at(tmp_path_factory.mktemp("open") / "a", TABLE, rows_per_part=2, column_groups={"pair": ["a", "b"]})


@settings(max_examples=30, deadline=None)
@given(columns=st.lists(st.sampled_from(TABLE.column_names), unique=True))
def test_any_grant_reads_exactly_its_columns(asset, columns):
    """With the keys of a grant, its columns come in the schema's order and equal the original."""
    table = reader(asset, columns, granted(asset, *columns)).read_all()
    names = [name for name in TABLE.column_names if name in columns]
    assert table.column_names == names
    assert table.num_rows == 3
    assert table.equals(TABLE.select(names)) or not names


def test_a_column_of_another_group_stays_closed(asset):
    """The error names the group whose key is missing, before a part is touched."""
    with pytest.raises(VerificationError, match="no key for c"):
        reader(asset, ["a", "c"], granted(asset, "a"), open_part=pytest.fail)
    with pytest.raises(VerificationError, match="no key for footer"):
        reader(asset, ["a"], {}, open_part=pytest.fail)


def test_unknown_columns_are_named(asset, tmp_path):
    """A misspelt column is an error that lists the right ones; so it is in a confidential table."""
    with pytest.raises(UnknownName, match="'aa'"):
        reader(asset, ["aa"])
    with pytest.raises(UnknownName, match="'aa'"):
        reader(seal_at(tmp_path / "a", TABLE, confidential=True), ["aa"])


def test_columns_of_a_confidential_table(tmp_path):
    """Its one key opens the schema too, and then a selection works as usual."""
    asset = seal_at(tmp_path / "a", TABLE, confidential=True)
    assert reader(asset, ["c", "a"]).read_all().equals(TABLE.select(["a", "c"]))
    assert reader(seal_at(tmp_path / "b", TABLE.select([]), confidential=True)).read_all().num_rows == 3


def test_parts_are_opened_as_they_are_needed(tmp_path):
    """The first rows of a large asset do not wait for the last ones."""
    asset, opened = seal_at(tmp_path / "a", pa.table({"x": list(range(100))}), rows_per_part=10), []

    def opener(name):
        opened.append(name)
        return local_parts(asset.manifest)(name)

    stream = reader(asset, open_part=opener)
    assert opened == []
    while not stream.read_next_batch().num_rows:
        pass
    assert len(opened) <= 3
    assert sum(batch.num_rows for batch in stream) == 90


def test_a_missing_dictionary_is_named(asset):
    """A manifest that forgets the part with a column's categories does not give codes for values."""
    poorer = asset.manifest.model_copy(update={"parts": asset.manifest.data_parts})
    with pytest.raises(MalformedDocument, match="'c'"):
        reader(type(asset)(poorer, b"", asset.keys)).read_all()


def test_code_comes_back(tmp_path):
    """Files of every size come back byte for byte: empty, binary, and larger than a chunk."""
    files = {"model/__init__.py": b"", "model/fit.py": "def fit(): …\n".encode(), "data.bin": bytes(range(256)) * 9000}
    asset = seal_code_at(tmp_path / "a", files, name="risk_model")
    assert (asset.manifest.kind, asset.manifest.columns) == ("code", ("path", "chunk", "bytes"))
    assert open_code(asset.manifest, asset.keys, open_part=local_parts(asset.manifest)) == files
    secret = seal_code_at(tmp_path / "b", files, confidential=True)
    assert secret.manifest.arrow_schema is None
    assert open_code(secret.manifest, secret.keys, open_part=local_parts(secret.manifest)) == files


def test_a_table_is_not_code(asset):
    """Asking for the files of a table is the caller's mistake."""
    with pytest.raises(BadInput, match="not code"):
        open_code(asset.manifest, asset.keys, open_part=local_parts(asset.manifest))


def test_other_columns_are_not_code(asset):
    """A table that calls itself code does not become files."""
    posing = asset.manifest.model_copy(update={"kind": "code"})
    with pytest.raises(VerificationError):
        open_code(posing, asset.keys, open_part=local_parts(asset.manifest))


def test_opening_needs_neither_pandas_nor_fsspec():
    """The input container opens tables; it should not wait for libraries it does not use."""
    code = "import sys, sls_jupyter.assets.opening; print(sorted({'pandas', 'fsspec', 'polars'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_frames_from_granted_columns(asset):
    """The last step of the notebook: granted columns as a frame."""
    assert frame(asset, ["b", "a"]).shape == (3, 2)
