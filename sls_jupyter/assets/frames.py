"""pandas frames to Arrow, slice by slice, with all that brings an equal frame back.

pyarrow's own conversion changes some frames: object columns, categories, indexes with a frequency, nullable
or object indexes. So a frame's dtypes are recorded in the schema's metadata (``sls.pandas``, beside the
standard ``pandas`` entry, which other readers use), and a frame that still would not come back equal is refused
by column name before anything is written.

Known and accepted: a list or tuple in a cell comes back as a numpy array, as from Parquet;
``DataFrame.attrs`` is not kept, for the manifest is not encrypted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from sls_jupyter.assets.columns import PANDAS_METADATA
from sls_jupyter.assets.frames_back import from_arrow, is_object, object_values
from sls_jupyter.errors import UnsealableData

_STANDARD, _OURS = PANDAS_METADATA
SAMPLE_ROWS = 32  # rows that are converted there and back before a frame is accepted
_EXACT_OBJECTS = {"string", "bytes", "integer", "floating", "boolean", "date", "time", "empty"}
_CHECKED_OBJECTS = {"decimal", "datetime", "timedelta", "mixed", "period", "interval"}
_CONVERSION_ERRORS = (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError, KeyError)


# --- to Arrow -------------------------------------------------------------------------------------


def frame_schema(frame: pd.DataFrame) -> pa.Schema:
    """The Arrow schema of a frame, with the metadata that brings it back.

    Raises:
        UnsealableData: naming the first column, index level or label that would not come back.
    """
    _check_labels(frame)
    try:
        empty = pa.Schema.from_pandas(frame.iloc[:0])
    except _CONVERSION_ERRORS as error:
        raise _blame_column(frame, error) from None
    fields, marks = [], {}
    for field, values in zip(empty, _pieces(frame, empty), strict=True):
        whole = values if is_object(values) else values[:0]  # other dtypes say their type
        fields.append(pa.field(field.name, _to_array(field.name, whole, None).type))
        marks[field.name] = _mark(values)
    schema = pa.schema(fields, metadata=_metadata(frame, empty, marks))
    _check_objects(frame, schema)
    _check_sample(frame.iloc[:SAMPLE_ROWS], schema)
    return schema


def frame_batches(frame: pd.DataFrame, schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
    """The frame in batches of at most ``rows`` rows; only one slice is converted at a time."""
    for start in range(0, max(1, len(frame)), rows):  # at least one, for the categories
        part = frame.iloc[start : start + rows]
        if not len(schema):
            yield pa.record_batch([pa.nulls(len(part))], names=["rows"]).select([])
            continue
        arrays = [
            _to_array(field.name, values, field.type)
            for field, values in zip(schema, _pieces(part, schema), strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _pieces(frame: pd.DataFrame, schema: pa.Schema) -> list[Any]:
    """The columns of a frame as Series, then the index levels that are columns in ``schema``."""
    columns = [frame.iloc[:, i] for i in range(frame.shape[1])]
    levels = [frame.index.get_level_values(i) for i in range(frame.index.nlevels)]
    return columns + (levels if len(schema) > len(columns) else [])


def _to_array(name: str, values: Any, kind: pa.DataType | None) -> pa.Array:
    try:
        if isinstance(values.dtype, pd.CategoricalDtype):
            return _dictionary(pa.array(values, from_pandas=True))
        array = pa.array(values, type=kind, from_pandas=True)
    except _CONVERSION_ERRORS as error:  # the error's text may hold a value
        raise _unsealable(name, values, type(error).__name__) from None
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _dictionary(array: pa.DictionaryArray) -> pa.DictionaryArray:
    """Categories that are an extension type (intervals, as ``pd.cut`` makes them) as their storage.

    Arrow's IPC format cannot have an extension type within a dictionary; the recorded dtype restores it.
    """
    if not isinstance(array.type.value_type, pa.BaseExtensionType):
        return array
    return pa.DictionaryArray.from_arrays(array.indices, array.dictionary.storage, ordered=array.type.ordered)


def _unsealable(name: object, values: Any, why: str) -> UnsealableData:
    inferred = pd.api.types.infer_dtype(values, skipna=True) if is_object(values) else ""
    if inferred == "integer":
        hint = "Its integers are beyond 64 bits: convert the column to text or to decimal.Decimal."
    elif inferred.startswith("mixed"):
        hint = "It mixes kinds of values: convert it to one kind, for instance with .astype(str)."
    else:
        hint = "Convert the column to a type that Arrow has, or leave it out."
    found = f"dtype {values.dtype}" + (f" of {inferred} values" if inferred else "") + f" ({why})"
    what = "The index" if str(name).startswith("__index_level_") else f"The column {str(name)!r}"
    return UnsealableData(f"{what} cannot be sealed without loss.", found=found, hint=hint)


def _blame_column(frame: pd.DataFrame, error: Exception) -> UnsealableData:
    """The column that keeps a frame from having an Arrow schema."""
    for i in range(frame.shape[1]):
        series = frame.iloc[:0, i]
        try:
            pa.array(series, from_pandas=True)
        except _CONVERSION_ERRORS as cause:
            return _unsealable(frame.columns[i], series, type(cause).__name__)
    return UnsealableData("This frame has no Arrow schema.", found=type(error).__name__)


def _check_labels(frame: pd.DataFrame) -> None:
    """Refuse labels that cannot come back: doubled ones, mixed kinds, names of levels that are not text."""
    labels = frame.columns
    if (doubled := labels[labels.duplicated()]).size:
        raise UnsealableData(
            f"Two columns are named {str(doubled[0])!r}.",
            hint="Rename one of them; grants name columns, so a name must be unique.",
        )
    if labels.nlevels == 1 and pd.api.types.infer_dtype(labels, skipna=False).startswith("mixed"):
        raise UnsealableData(
            "The column names are of mixed types.",
            found=", ".join(sorted({type(label).__name__ for label in labels})),
            hint="Make them all text: frame.columns = frame.columns.map(str)",
        )
    for name in frame.index.names:
        if name is not None and not isinstance(name, str):
            raise UnsealableData(
                "An index level has a name that is not text.",
                found=f"{str(name)!r} ({type(name).__name__})",
                hint="Rename it: frame.index = frame.index.rename(…)",
            )


# --- what is recorded -----------------------------------------------------------------------------


def _mark(values: Any) -> dict[str, Any]:
    """How to make a column from Arrow: its dtype, and what the dtype's name does not say."""
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return {"dtype": "category", "categories": _mark(dtype.categories)}
    if isinstance(dtype, pd.ArrowDtype):
        return {"dtype": "arrow"}
    if is_object(values):
        return {"dtype": "object", "null": min(_null_kinds(values), default="none")}
    if isinstance(dtype, pd.StringDtype) and dtype.na_value is pd.NA:
        return {"dtype": f"string[{dtype.storage}]"}
    return {"dtype": str(dtype)}


def _null_kinds(values: Any) -> set[str]:
    """How missing values are written in an object column."""
    known = {id(None): "none", id(pd.NA): "na", id(pd.NaT): "nat"}
    return {known.get(id(value), "nan") for value in np.asarray(values, dtype=object)[pd.isna(values)]}


def _metadata(frame: pd.DataFrame, schema: pa.Schema, marks: dict[str, Any]) -> dict[bytes, bytes]:
    """pandas' standard entry, corrected for the whole frame and without ``attrs``; and ours."""
    standard = json.loads(schema.metadata[_STANDARD])
    standard["attributes"] = {}
    for entry in standard["index_columns"]:
        if isinstance(entry, dict) and isinstance(frame.index, pd.RangeIndex):
            entry |= {"start": frame.index.start, "stop": frame.index.stop, "step": frame.index.step}
    for entry in standard["columns"]:
        if marks.get(entry["field_name"], {}).get("dtype") == "arrow":
            entry["numpy_type"] = "object"  # pandas cannot parse the names of nested Arrow dtypes
    frequency = getattr(frame.index, "freqstr", None) if isinstance(frame.index, pd.DatetimeIndex) else None
    ours = {"columns": marks, "frequency": frequency, "labels": _label_mark(frame.columns)}
    return {_STANDARD: json.dumps(standard).encode(), _OURS: json.dumps(ours).encode()}


def _label_mark(labels: pd.Index[Any]) -> Any:
    """What pyarrow forgets about labels: that they are a range (then its three numbers), or of dtype object."""
    if isinstance(labels, pd.RangeIndex):
        return [labels.start, labels.stop, labels.step]
    return "object" if labels.nlevels == 1 and is_object(labels) else None


# --- checks before anything is written ------------------------------------------------------------


def _check_sample(sample: pd.DataFrame, schema: pa.Schema) -> None:
    """Convert some rows there and back; every column, the labels and the index have to be equal."""
    local = schema.with_metadata(_metadata(sample, schema, json.loads(schema.metadata[_OURS])["columns"]))
    batches = list(frame_batches(sample, local, SAMPLE_ROWS))
    try:
        back = from_arrow(pa.Table.from_batches(batches, schema=local))
        pd.testing.assert_index_equal(back.columns, sample.columns, exact=True)
    except (AssertionError, *_CONVERSION_ERRORS) as error:
        raise UnsealableData(
            "The columns of this frame cannot be sealed without loss.",
            found=f"column labels of type {type(sample.columns).__name__} ({type(error).__name__})",
            hint="Make the labels text: frame.columns = frame.columns.map(str)",
        ) from None
    for i in range(sample.shape[1]):
        try:
            pd.testing.assert_series_equal(back.iloc[:, i], sample.iloc[:, i], check_index=False)
        except (AssertionError, ValueError, TypeError):
            raise _unsealable(
                sample.columns[i], sample.iloc[:, i], f"would come back as {back.dtypes.iloc[i]}"
            ) from None
    try:
        pd.testing.assert_index_equal(back.index, sample.index, exact=True)
    except AssertionError:
        raise UnsealableData(
            "The index of this frame cannot be sealed without loss.",
            found=f"{type(sample.index).__name__} of {sample.index.dtype}",
            hint="Make it a column first: frame.reset_index()",
        ) from None


def _check_objects(frame: pd.DataFrame, schema: pa.Schema) -> None:
    """Look at every value of the object columns, whose dtype promises nothing.

    Raises:
        UnsealableData: naming a column whose values mix kinds or would come back changed.
    """
    for field, values in zip(schema, _pieces(frame, schema), strict=True):
        if not is_object(values):
            continue
        if len(kinds := _null_kinds(values)) > 1:
            raise UnsealableData(
                f"The column {field.name!r} has several kinds of missing values.",
                found=", ".join(sorted(kinds)),
                hint="Make them one: column.where(column.notna(), None)",
            )
        inferred = pd.api.types.infer_dtype(values, skipna=True)
        if inferred in _EXACT_OBJECTS:
            continue
        if inferred not in _CHECKED_OBJECTS:
            raise _unsealable(field.name, values, "several kinds in one column")
        back = object_values(pa.chunked_array([_to_array(field.name, values, field.type)]), "none")
        if not all(_same(a, b) for a, b in zip(back, values, strict=True)):
            raise _unsealable(field.name, values, "some values would come back changed")


def _same(back: Any, value: Any) -> bool:
    """Whether a value came back, with sequences of all kinds taken as one kind."""
    if isinstance(value, dict):
        same_keys = isinstance(back, dict) and set(back) == set(value)
        return same_keys and all(_same(back[key], item) for key, item in value.items())
    if isinstance(value, list | tuple | np.ndarray):
        same_length = isinstance(back, list | tuple | np.ndarray) and len(back) == len(value)
        return same_length and all(_same(a, b) for a, b in zip(back, value, strict=True))
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return bool(pd.api.types.is_scalar(back) and pd.isna(back))
    if isinstance(value, bool | np.bool_) != isinstance(back, bool | np.bool_):
        return False
    zone, zone_back = getattr(value, "tzinfo", None), getattr(back, "tzinfo", None)
    return bool(back == value) and (zone is None) == (zone_back is None) and str(zone) == str(zone_back)
