"""Values out of the program and parameters into it: what goes in comes out equal, the rest is refused by name."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.errors import BadInput
from sls_jupyter.guest import values
from sls_jupyter.guest.tables import has_only_known_types
from sls_jupyter.guest.values import Unreturnable, pack_parameters, restore, to_stream, unpack_parameters

FRAME = pd.DataFrame(
    {"a": [1, None], "b": pd.Categorical(["x", "y"]), "c": pd.to_datetime(["2020-01-01", None], utc=True)}
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3),
    max_leaves=8,
)


def through(value: Any) -> Any:
    """To the wire, as the gate reads it, and back."""
    sink = io.BytesIO()
    outgoing = to_stream(value)
    outgoing.write(sink)
    table = pa.ipc.open_stream(sink.getvalue()).read_all()
    assert has_only_known_types(table.schema)
    return restore(table, outgoing.shape)


@pytest.mark.parametrize(
    "frame", [FRAME, FRAME.set_index("b"), FRAME.iloc[:0], FRAME[[]]], ids=["plain", "index", "empty", "bare"]
)
def test_a_frame_comes_back_equal(frame: pd.DataFrame) -> None:
    """A result has the dtypes and the index that the cell gave it."""
    pd.testing.assert_frame_equal(through(frame), frame)


@pytest.mark.parametrize("value", [7, 2.5, True, "text", ""])
def test_a_scalar_comes_back_as_itself(value: Any) -> None:
    """A mean is a number, not a table of one cell."""
    assert through(value) == value
    assert type(through(value)) is type(value)


def test_series_arrow_and_polars_come_back() -> None:
    """Each kind of table keeps its shape; polars becomes Arrow without views."""
    series = pd.Series([1, 2], name="n")
    pd.testing.assert_series_equal(through(series), series)
    assert through(pa.table({"a": ["x"]})).to_pydict() == {"a": ["x"]}
    assert through(pl.DataFrame({"a": ["x"], "b": [[1]]})).to_pydict() == {"a": ["x"], "b": [[1]]}
    assert through(np.float64(2.5)) == 2.5


@pytest.mark.parametrize(
    "value", [None, [1], {"a": 1}, object(), lambda: 1, np.array([1, 2]), 2**70, pd.DataFrame({"a": [1, "x"]})]
)
def test_what_is_no_table_is_refused_with_its_type(value: Any) -> None:
    """Nothing is pickled and nothing guessed."""
    with pytest.raises(Unreturnable) as raised:
        to_stream(value)
    assert raised.value.type_name == type(value).__name__


@settings(deadline=None)
@given(st.dictionaries(st.text("abc_", min_size=1, max_size=5), json_values, max_size=4))
def test_parameters_come_in_as_they_were(given_values: dict[str, Any]) -> None:
    """A JSON value in the cell is the one from the notebook."""
    assert unpack_parameters(pack_parameters(given_values)) == given_values


def test_a_frame_is_a_parameter_too() -> None:
    """A small lookup table need not be sealed."""
    pd.testing.assert_frame_equal(unpack_parameters(pack_parameters({"f": FRAME}))["f"], FRAME)


@pytest.mark.parametrize("value", [object(), {1, 2}, float("nan"), pd.DataFrame({"a": [object()]})])
def test_an_unsendable_parameter_is_named(value: Any) -> None:
    """The sentence names the parameter, and says what would do."""
    with pytest.raises(BadInput, match="limit") as raised:
        pack_parameters({"limit": value})
    assert raised.value.found


def test_large_parameters_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large data is sealed; the contract's material stays small."""
    monkeypatch.setattr(values, "MAX_PARAMETERS_BYTES", 100)
    with pytest.raises(BadInput, match="too large"):
        pack_parameters({"a": "x" * 200})
