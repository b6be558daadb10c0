"""Two organisations with two versions of pandas: what one sealed the other opens, and it is the same to the last object."""

import json

import pandas as pd
import pyarrow as pa
import pytest
from frames_kit import described
from frames_vectors import FOLDER, MAJOR, kinds

from sls_jupyter.assets.opening import to_pandas

KINDS = dict(kinds())


def rows(major):
    with pa.memory_map(str(FOLDER / f"pandas-{major}.arrow")) as file:
        return {row["name"]: row for row in pa.ipc.open_file(file).read_all().to_pylist()}


SEALED = {major: rows(major) for major in (2, 3)}


@pytest.mark.parametrize("major", SEALED)
@pytest.mark.parametrize("name", KINDS)
def test_a_frame_of_the_other_pandas_is_the_same(major, name):
    """Dtypes, missing values, zones and labels are those of the pandas that sealed them."""
    row = SEALED[major][name]
    assert described(to_pandas(pa.ipc.open_stream(row["stream"]))) == row["is"]


def test_the_files_are_those_of_today():
    """Every kind is in both files, and this pandas still makes what its file says."""
    assert SEALED[2].keys() == SEALED[3].keys() == KINDS.keys()
    assert {name: described(frame) for name, frame in KINDS.items()} == {
        name: row["is"] for name, row in SEALED[MAJOR].items()
    }


def test_text_of_the_first_version_is_still_text():
    """Before, text was only called ``str``; a missing one became the text 'None' under pandas 2."""
    words = {"columns": {"city": {"dtype": "str"}}, "frequency": None, "labels": None}
    standard = pa.Schema.from_pandas(pd.DataFrame({"city": ["Rome", "Oslo"]})).metadata[b"pandas"]
    table = pa.table({"city": ["Rome", None]})
    table = table.replace_schema_metadata({"pandas": standard, "sls.pandas": json.dumps(words)})
    assert to_pandas(table).city.isna().tolist() == [False, True]
