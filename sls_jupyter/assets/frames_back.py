"""Arrow tables back to the pandas frames they were made from, by what :mod:`.frames` recorded."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from sls_jupyter.assets.columns import PANDAS_METADATA
from sls_jupyter.assets.plain_frame import plain_frame
from sls_jupyter.errors import MalformedDocument

_STANDARD, _OURS = PANDAS_METADATA


def from_arrow(table: pa.Table) -> pd.DataFrame:
    """The frame that a table was made from, or the part of it that the table still has.

    Raises:
        MalformedDocument: the schema's metadata is not what sealing writes.
    """
    metadata = table.schema.metadata or {}
    if _OURS not in metadata or _STANDARD not in metadata:
        return plain_frame(table)
    try:
        ours, standard = json.loads(metadata[_OURS]), json.loads(metadata[_STANDARD])
        marks, index_columns = ours["columns"], standard["index_columns"]
        level_names = {entry["field_name"]: entry["name"] for entry in standard["columns"]}
    except (ValueError, KeyError, TypeError) as error:
        raise MalformedDocument("The pandas metadata of a table is damaged.", found=type(error).__name__) from None
    levels = [entry for entry in index_columns if isinstance(entry, str)]
    names = [name for name in table.column_names if name not in levels]
    with ThreadPoolExecutor(os.cpu_count(), "sls-open") as pool:
        arrays = list(pool.map(lambda name: _values(table.column(name), marks[name]), names))
    present = [
        (_values(table.column(name), marks[name]), level_names[name]) for name in levels if name in table.column_names
    ]
    index = _index(present, index_columns, table.num_rows, ours["frequency"])
    series = {i: _as_series(values, index) for i, values in enumerate(arrays)}
    frame = pd.DataFrame(series, index=index, copy=False)
    frame.columns = _labels(table.schema, names, ours["labels"])
    return frame


def _as_series(values: Any, index: pd.Index[Any]) -> Any:
    """An object array as a Series, so that pandas does not guess another dtype; others as they are."""
    return pd.Series(values, index=index, dtype=object, copy=False) if is_object(values) else values


def _as_index(values: Any, name: Any = None) -> pd.Index[Any]:
    index: pd.Index[Any] = pd.Index(values, name=name, copy=False, dtype=object if is_object(values) else None)
    return index


def _labels(schema: pa.Schema, names: list[str], mark: Any) -> pd.Index[Any]:
    """The labels of the columns ``names``, from pandas' standard metadata and what :func:`_label_mark` adds."""
    labels: pd.Index[Any] = schema.empty_table().select(names).to_pandas().columns
    if isinstance(mark, list):
        start, stop, step = mark
        counted = pd.RangeIndex(start, stop, step, name=labels.name)
        return counted if len(counted) == len(labels) else labels
    return labels.astype(object) if mark == "object" else labels


def _index(present: list[tuple[Any, Any]], index_columns: list[Any], rows: int, frequency: str | None) -> pd.Index[Any]:
    if len(present) > 1:
        levels = [_as_index(values) for values, _ in present]
        return pd.MultiIndex.from_arrays(levels, names=[name for _, name in present])
    if present:
        index = _as_index(*present[0])
        return index if frequency is None else pd.DatetimeIndex(index, freq=frequency)
    for entry in index_columns:
        if isinstance(entry, dict):
            counted = pd.RangeIndex(entry["start"], entry["stop"], entry["step"], name=entry["name"])
            if len(counted) == rows:
                return counted
    return pd.RangeIndex(rows)


def _values(column: pa.ChunkedArray, mark: dict[str, Any]) -> Any:
    """A column as an array of the dtype that ``mark`` names."""
    dtype = mark["dtype"]
    if dtype == "category":
        return _categorical(column, mark["categories"])
    if dtype == "arrow":
        return pd.arrays.ArrowExtensionArray(column)
    if dtype == "object":
        return object_values(column, mark["null"])
    kind = pd.api.types.pandas_dtype(dtype)
    if hasattr(kind, "__from_arrow__"):
        return kind.__from_arrow__(column)
    return column.to_numpy().astype(kind, copy=False)


def _categorical(column: pa.ChunkedArray, mark: dict[str, Any]) -> pd.Categorical:
    column = column.unify_dictionaries() if column.num_chunks > 1 and not _one_dictionary(column) else column
    values = column.chunk(0).dictionary if column.num_chunks else pa.array([], column.type.value_type)
    categories = _as_index(_values(pa.chunked_array([values]), mark))
    codes = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in column.chunks]
    joined = np.concatenate(codes) if codes else np.array([], "int8")
    return pd.Categorical.from_codes(joined, categories=categories, ordered=column.type.ordered)


def _one_dictionary(column: pa.ChunkedArray) -> bool:
    first = column.chunk(0).dictionary
    return all(chunk.dictionary.equals(first) for chunk in column.chunks)


def object_values(column: pa.ChunkedArray, null: str) -> np.ndarray[Any, Any]:
    values: np.ndarray[Any, Any]
    kind = column.type
    direct = any(
        test(kind)
        for test in (
            pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary,
            pa.types.is_list, pa.types.is_large_list, pa.types.is_decimal,
        )
    )  # fmt: skip
    if direct:
        values = column.to_numpy()
        values = values if values.flags.writeable else values.copy()
    else:
        values = np.empty(len(column), dtype=object)
        values[:] = column.to_pylist()
    if null != "none" and column.null_count:
        replacement = {"nan": np.nan, "na": pd.NA, "nat": pd.NaT}.get(null)
        values[column.is_null().to_numpy()] = replacement
    return values


def is_object(values: Any) -> bool:
    return bool(pd.api.types.is_object_dtype(values.dtype))
