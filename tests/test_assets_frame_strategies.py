# ruff: noqa: DTZ001  moments without a zone are what many tables have
"""Frames that nobody thought of: whatever is in a column, it comes back to the last object, or its column is refused."""

import datetime as dt
import uuid
import zoneinfo
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from frames_kit import same_frame, through_arrow
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sls_jupyter.assets.frames import prepared
from sls_jupyter.errors import UnsealableData

ZONES = st.sampled_from([dt.UTC, zoneinfo.ZoneInfo("Europe/Berlin"), dt.timezone(dt.timedelta(hours=5, minutes=30))])
FLOATS = st.floats(allow_nan=False) | st.just(np.nan)
VALUES = {
    "str": st.text(max_size=4),  # halves of characters too
    "bytes": st.binary(max_size=4),
    "int": st.integers(-(2**65), 2**65) | st.integers(-9, 9),
    "float": FLOATS,
    "bool": st.booleans(),
    "decimal": st.decimals(allow_nan=False) | st.just(Decimal("NaN")),
    "date": st.dates(),
    "time": st.times(),
    "datetime": st.datetimes(allow_imaginary=True),
    "zoned": st.datetimes(timezones=ZONES),
    "timedelta": st.timedeltas(),
    "uuid": st.uuids(),
    "timestamp": st.integers(-(2**62), 2**62).map(pd.Timestamp),
    "timedelta64": st.integers(-(2**62), 2**62).map(pd.Timedelta),
    "int64": st.integers(-(2**63), 2**63 - 1).map(np.int64),
    "float32": st.floats(width=32, allow_nan=False).map(np.float32),
    "array": st.lists(st.integers(0, 9), max_size=3).map(lambda numbers: np.array(numbers, "int16")),
    "set": st.sets(st.integers(0, 3)),
    "other": st.just(uuid.UUID),
}


def nested(values):
    return (
        st.lists(st.none() | values, max_size=3)
        | st.lists(values, max_size=3).map(tuple)
        | st.tuples(st.none() | values, st.integers(0, 9))
        | st.fixed_dictionaries({"a": st.none() | values, "b": values})
        | st.fixed_dictionaries({"a": values}, optional={"b": values})
    )


@st.composite
def object_columns(draw):
    """Values of one kind, nested up to two levels, some of them missing; now and then one of another kind."""
    values = VALUES[draw(st.sampled_from(sorted(VALUES)))]
    for _ in range(draw(st.integers(0, 2))):
        values = nested(values)
    missing = draw(st.sampled_from([None, np.nan, pd.NA, pd.NaT]))
    found = (
        draw(st.lists(values | st.just(missing), max_size=8))
        if draw(st.booleans())
        else draw(st.lists(values, max_size=8))
    )
    if draw(st.integers(0, 4)) == 0:
        found = [*found, draw(st.one_of(*VALUES.values()))]
    array = np.empty(len(found), dtype=object)
    for place, value in enumerate(found):
        array[place] = value
    return pd.Series(array, dtype=object)


def equal_or_refused(frame, *words):
    try:
        back = through_arrow(frame)
    except UnsealableData as error:
        refusal = error
    else:
        same_frame(back, frame)
        return
    assert any(word in str(refusal) for word in words), refusal
    assert refusal.hint


SETTINGS = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@SETTINGS
@given(values=object_columns())
def test_a_column_of_objects_is_kept_or_refused(values):
    """No value changes: not its type, not its zone, not a digit, not the order of its keys."""
    equal_or_refused(pd.DataFrame({"odd one": values}), "'odd one'")


DTYPES = {
    "int64": st.integers(-(2**63), 2**63 - 1), "uint8": st.integers(0, 255), "float64": FLOATS, "bool": st.booleans(),
    "Int64": st.none() | st.integers(-(2**63), 2**63 - 1), "boolean": st.none() | st.booleans(),
    "datetime64[ns]": st.integers(-(2**63) + 1, 2**63 - 1), "datetime64[s]": st.integers(-(2**40), 2**40),
    "timedelta64[us]": st.integers(-(2**63) + 1, 2**63 - 1), "object": st.none() | st.text("ab,é", max_size=3),
    "string": st.none() | st.text("ab,é", max_size=3), "category": st.none() | st.sampled_from(["b", "a"]),
    "period[M]": st.none() | st.dates(dt.date(1900, 1, 1)).map(lambda day: pd.Period(day, "M")),
    "datetime64[us, Europe/Berlin]": st.none() | st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1), timezones=st.just(dt.UTC)),
    "Sparse[int64]": st.integers(0, 2),
    "interval": st.none() | st.integers(0, 9).map(lambda start: pd.Interval(start + 0.5, start + 2.0)),
}  # fmt: skip


def column(draw, kind, rows):
    values = draw(st.lists(DTYPES[kind], min_size=rows, max_size=rows))
    if kind.startswith(("datetime64[ns]", "datetime64[s]", "timedelta64")):
        return pd.Series(
            np.array(values, dtype="int64").view(kind.replace("datetime64", "M8").replace("timedelta64", "m8"))
        )
    if kind == "interval":
        return pd.Series(pd.arrays.IntervalArray(values, dtype="interval[float64, right]"))
    return pd.Series(values, dtype=kind)


@st.composite
def frames(draw):
    """Frames of several dtypes with an index of no, one or two levels, of any dtype."""
    rows = draw(st.integers(0, 6))
    kinds = draw(st.lists(st.sampled_from(sorted(DTYPES)), max_size=4))
    result = pd.DataFrame({place: column(draw, kind, rows) for place, kind in enumerate(kinds)}, index=range(rows))
    result.columns = [f"c{place}" for place in range(len(kinds))]
    indexes = [kind for kind in sorted(DTYPES) if not kind.startswith("Sparse")]
    levels = draw(st.lists(st.sampled_from(indexes), max_size=3))
    name = st.sampled_from([None, "c0", "row", 0])
    if len(levels) == 1:
        result.index = pd.Index(column(draw, levels[0], rows).array, name=draw(name))
    elif levels:
        arrays = [column(draw, kind, rows).array for kind in levels]
        result.index = pd.MultiIndex.from_arrays(arrays, names=[draw(name) for _ in levels])
    return result


@SETTINGS
@given(before=frames())
def test_a_frame_of_any_dtypes_is_kept(before):
    """Every dtype as a column and as a level of the index, with what is missing in it."""
    equal_or_refused(before, "index", "column")


LABELS = {
    "text": st.text("ab,. '\"(", max_size=4), "int": st.integers(-9, 9), "float": FLOATS, "bool": st.booleans(),
    "date": st.dates(), "moment": st.integers(-(2**62), 2**62).map(pd.Timestamp), "span": st.integers(-(2**62), 2**62).map(pd.Timedelta),
    "period": st.dates(dt.date(1900, 1, 1)).map(lambda day: pd.Period(day, "M")), "none": st.none(),
    "interval": st.integers(0, 9).map(lambda start: pd.Interval(start, start + 2)),
}  # fmt: skip


@st.composite
def label_sets(draw):
    """Labels of one kind or mixed, as categories or in levels."""
    chosen = draw(st.lists(st.sampled_from(sorted(LABELS)), min_size=1, max_size=2))
    values = st.one_of(*(LABELS[one] for one in chosen))
    found = draw(st.lists(values, min_size=1, max_size=4, unique_by=str))
    width = len(found)
    shape = draw(st.sampled_from(["plain", "object", "category", "levels"]))
    if shape == "levels":
        return pd.MultiIndex.from_arrays([found, draw(st.lists(LABELS["text"], min_size=width, max_size=width))])
    if shape == "category":
        return pd.CategoricalIndex(pd.Categorical(found))
    return pd.Index(found, dtype=object if shape == "object" else None)


@SETTINGS
@given(labels=label_sets())
def test_labels_of_any_kind_are_kept_or_refused(labels):
    """What a pivot makes of any column."""
    equal_or_refused(pd.DataFrame([range(len(labels))], columns=labels), "labels", "columns")


@pytest.mark.parametrize("rows", [0, 1, 40, 5_000])
@pytest.mark.parametrize("odd", [print, {1}, 2**70, 1 + 2j])
def test_one_odd_value_is_found_wherever_it_is(rows, odd):
    """Not in the first rows only, and the row is said."""
    values = pd.Series([*range(rows), odd, *range(rows)], dtype=object)
    with pytest.raises(UnsealableData, match="'x'") as caught:
        prepared(pd.DataFrame({"x": values}))
    assert f"row {rows} " in caught.value.found
