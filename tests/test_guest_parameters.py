"""Parameters into the program: what the notebook gave is what the cell gets, or is refused by the parameter's name."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.errors import BadInput, MalformedDocument
from sls_jupyter.guest import parameters, typed_back
from sls_jupyter.guest.parameters import pack_parameters, unpack_parameters

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
zones = st.sampled_from(
    [None, dt.UTC, dt.timezone(dt.timedelta(hours=5, minutes=30)), zoneinfo.ZoneInfo("Europe/Berlin")]
)
numbers = st.one_of(st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.decimals(), st.fractions())
times = st.one_of(
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.datetimes(timezones=zones),
    st.integers(-(10**18), 10**18).map(pd.Timestamp),
)
keys = st.one_of(st.none(), st.booleans(), st.integers(), texts, st.dates(), st.tuples(st.integers(), texts))
arrays = st.one_of(
    st.lists(st.integers(-9, 9), max_size=4).map(np.array),
    st.lists(st.floats(width=32), max_size=4).map(lambda values: np.array(values, dtype="float32")),
    st.lists(texts, max_size=3).map(np.array),
    st.integers(-9, 9).map(np.int16),
    st.floats().map(np.float64),
)
values = st.recursive(
    st.none() | numbers | texts | st.binary(max_size=4) | times | arrays,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(keys, inner, max_size=3)
        | st.frozensets(keys, max_size=3)
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(st.text("abc_", min_size=1, max_size=5), values, max_size=3))
def test_parameters_come_in_as_they_were(given_values: dict[str, Any]) -> None:
    """Floats stay floats, dicts keep their order and keys, and the same values have the same digest."""
    try:
        packed = pack_parameters(given_values)
    except BadInput as error:  # too deep, or a decimal's signalling NaN
        assert "The parameter " in error.message  # noqa: PT017
        return
    back = unpack_parameters(packed)
    assert {name: _told(value) for name, value in back.items()} == {n: _told(v) for n, v in given_values.items()}
    assert pack_parameters(back) == packed


def _told(value: Any) -> str:
    """A value with its type, and sets in one order."""
    if isinstance(value, frozenset):
        return f"frozenset {sorted(map(repr, value))}"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_told(k)}: {_told(v)}' for k, v in value.items())}}}"
    if type(value) in (list, tuple):
        return f"{type(value).__name__}({', '.join(map(_told, value))})"
    return f"{type(value).__name__} {value!r} {getattr(value, 'dtype', '')} {getattr(value, 'fold', '')}"


def test_equal_values_have_equal_bytes() -> None:
    """The bits of NaN and the order of a set are no difference."""
    odd = np.array([0x7FF8000000000123], dtype="uint64").view("float64")
    assert pack_parameters({"a": odd}) == pack_parameters({"a": np.array([np.nan])})
    assert pack_parameters({"a": {1, 2, 3}}) == pack_parameters({"a": {3, 2, 1}})
    assert pack_parameters({"a": {"x": 1, "y": 2}}) != pack_parameters({"a": {"y": 2, "x": 1}})


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"a": [1, None], "b": pd.Categorical(["x", "y"])}, index=[5, 6]),
        pd.Series([1.5], name=0),
        pl.DataFrame({"a": [2**60, None]}),
    ],
    ids=["frame", "series", "polars"],
)
def test_a_table_is_a_parameter_too(table: Any) -> None:
    """A small lookup table need not be sealed."""
    back = unpack_parameters(pack_parameters({"f": table}))["f"]
    assert type(back) is type(table)
    assert back.equals(table)


class Odd(dict[str, int]):
    """A subclass, which could be anything."""


@pytest.mark.parametrize(
    "value",
    [object(), Odd(a=1), {"a": [print]}, "\ud800", pd.DataFrame({"a": [object()]}), 10**5000],
    ids=["object", "subclass", "function", "half a character", "frame", "digits"],
)
def test_an_unsendable_parameter_is_named(value: Any) -> None:
    """The sentence names the parameter, and says what would do."""
    with pytest.raises(BadInput, match="limit") as raised:
        pack_parameters({"limit": value})
    assert raised.value.found
    assert raised.value.hint


def test_large_parameters_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large data is sealed; the contract's material stays small, and the largest one is named."""
    monkeypatch.setattr(parameters, "MAX_PARAMETERS_BYTES", 100)
    with pytest.raises(BadInput, match="too large") as raised:
        pack_parameters({"a": "x" * 200, "b": 1})
    assert str(raised.value.found).endswith(" a")


@pytest.mark.parametrize(
    "data",
    [
        {"float": "1"},
        {"int": "01"},
        {"dict": [[1, 2], [1, 3]]},
        {"array": ["<f8", [10**12], "AAAA"]},
        {"array": ["|O", [1], "AAAA"]},
        {"numpy": ["|b1", "Ag=="]},
        {"datetime": ["2020-01-01", "../etc/passwd", 0]},
        {"period": ["1", "x"]},
        {"decimal": "x"},
        {"a": 1, "b": 2},
        {"import": "os"},
        {"dict": [[[], 1]]},
    ],
    ids=str,
)
def test_another_form_is_malformed(data: Any) -> None:
    """A stranger's bytes become values of the closed list, or an error of ours."""
    with pytest.raises(MalformedDocument):
        typed_back.decode(data)
