"""The table of dtypes: for each family its test, the way in, the way back, and what equal means.

=============  ==================================  ===================================================================
family         in Arrow                            equal means
=============  ==================================  ===================================================================
numbers        the same numbers                    bit for bit, NaN stays NaN and is no null
nullable       values and nulls                    values and missing ones; NaN and NA are two things
moments        timestamps, durations               unit, zone and who made the zone
text           text and nulls                      dtype with its storage and its missing value
categories     a dictionary, all values            categories, used or not, with their own dtype, and their order
sparse         the values, one for each row        dtype with its fill value
arrow          itself                              the Arrow type
periods        numbers with the period's length    dtype
intervals      both ends                           dtype
objects        as :mod:`.objects` finds            the exact type of each value, and how missing ones are written
=============  ==================================  ===================================================================

:func:`to_arrow` gives a *mark*, the words that :func:`back` needs. Both look at whole columns. What a family cannot
bring back equal it refuses with :class:`Inexact`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sls_jupyter.assets.frames import objects
from sls_jupyter.assets.frames.frequencies import frequency_of, with_frequency
from sls_jupyter.assets.frames.refusals import Inexact
from sls_jupyter.assets.frames.scalars import as_numpy, owned
from sls_jupyter.assets.frames.zones import made_zone, zone_words

Mark = dict[str, Any]  # JSON
_NULLABLE = {f"{name}Dtype" for name in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")} | {
    "Float32Dtype", "Float64Dtype", "BooleanDtype",
}  # fmt: skip
_MASKED = {
    "i": pd.arrays.IntegerArray,
    "u": pd.arrays.IntegerArray,
    "f": pd.arrays.FloatingArray,
    "b": pd.arrays.BooleanArray,
}


@dataclass(frozen=True)
class Family:
    """One row of the table.

    Args:
        has: whether a dtype belongs to it.
        to_arrow: a whole column (or index) as an array, with its mark.
        claims: whether a mark's ``dtype`` belongs to it.
        back: the values again.
    """

    has: Callable[[Any], bool]
    to_arrow: Callable[[Any], tuple[Any, Mark]]
    claims: Callable[[str], bool]
    back: Callable[[pa.ChunkedArray, Mark], Any]


def to_arrow(values: Any) -> tuple[Any, Mark]:
    """A column, index level or array of any dtype as an Arrow array or chunked array, and its mark.

    Raises:
        Inexact: it would not come back equal.
    """
    for family in FAMILIES:
        if family.has(values.dtype):
            return family.to_arrow(values)
    raise Inexact(f"dtype {str(values.dtype)[:100]}")


def back(column: pa.ChunkedArray, mark: Mark) -> Any:
    """The values that :func:`to_arrow` was given, as an array that can be changed."""
    for family in FAMILIES:
        if family.claims(mark["dtype"]):
            return family.back(column, mark)
    return _named(column, mark)


def as_index(values: Any, name: Any = None) -> pd.Index[Any]:
    """Values as an index of the same dtype."""
    index: pd.Index[Any] = pd.Index(values, name=name, copy=False, dtype=object if objects.is_object(values) else None)
    return index


# --- numbers --------------------------------------------------------------------------------------


def _numbers(values: Any) -> tuple[Any, Mark]:
    if not values.dtype.isnative:
        raise Inexact(
            f"dtype {values.dtype} of the other byte order", "Say column.astype(column.dtype.newbyteorder('='))"
        )
    return pa.array(values.to_numpy(), from_pandas=False), {"dtype": str(values.dtype)}


def _numbers_back(column: pa.ChunkedArray, mark: Mark) -> Any:
    values = column.to_numpy()
    wanted = np.dtype(mark["dtype"])
    if column.null_count and wanted.kind != "f":
        raise ValueError("missing values in a column that cannot have them")
    return owned(values.astype(wanted, copy=False))


def _nullable(values: Any) -> tuple[Any, Mark]:
    return pa.array(values.array), {"dtype": str(values.dtype)}


def _nullable_back(column: pa.ChunkedArray, mark: Mark) -> Any:
    dtype: Any = pd.api.types.pandas_dtype(mark["dtype"])
    mask = column.is_null().to_numpy()
    filled = column.fill_null(False if dtype.kind == "b" else 0) if column.null_count else column
    numbers = filled.to_numpy().astype(dtype.numpy_dtype, copy=False)
    return _MASKED[dtype.kind](owned(numbers), owned(mask))


# --- moments --------------------------------------------------------------------------------------


def _moments(values: Any) -> tuple[Any, Mark]:
    if not isinstance(values.dtype, pd.DatetimeTZDtype):
        return pa.array(values.to_numpy()), {"dtype": str(values.dtype)}
    name, maker = zone_words(values.dtype.tz)
    numbers = pa.array(pd.DatetimeIndex(values).tz_convert(None).to_numpy())
    unit = values.dtype.unit
    return numbers.cast(pa.timestamp(unit, name)), {"dtype": f"datetime64[{unit}, {name}]", "zone": maker}


def _moments_back(column: pa.ChunkedArray, mark: Mark) -> Any:
    values = owned(column.to_numpy())
    if "," not in mark["dtype"]:
        return values.astype(mark["dtype"], copy=False)
    named: Any = pd.api.types.pandas_dtype
    zone = made_zone(column.type.tz, mark["zone"]) if "zone" in mark else named(mark["dtype"]).tz
    return pd.DatetimeIndex(values).tz_localize("UTC").tz_convert(zone).array


# --- text -----------------------------------------------------------------------------------------


def _text(values: Any) -> tuple[Any, Mark]:
    dtype = values.dtype
    name = "string" if dtype.na_value is pd.NA else "str"
    array = pa.array(values.array, from_pandas=True)
    return array, {"dtype": f"{name}[{_storage(dtype)}]" if name == "string" or _storage(dtype) != "pyarrow" else "str"}


def _storage(dtype: Any) -> str:
    return "pyarrow" if dtype.storage.startswith("pyarrow") else "python"  # pandas 2 has another pyarrow for NaN


def _text_back(column: pa.ChunkedArray, mark: Mark) -> Any:
    name, _, storage = mark["dtype"].partition("[")
    storage = storage[:-1] or "pyarrow"
    made: Any = pd.StringDtype
    if name == "string":
        return made(storage).__from_arrow__(column)
    try:
        dtype = made(storage, na_value=np.nan)
    except TypeError:  # pandas 2.2 has no such dtype; its own text is this
        return objects.back(column, {"null": "nan", "kind": "str"})
    return dtype.__from_arrow__(column)


# --- categories, sparse, and the types of others --------------------------------------------------


def _categories(values: Any) -> tuple[Any, Mark]:
    dtype = values.dtype
    kinds, mark = to_arrow(dtype.categories)
    if (every := frequency_of(dtype.categories)) is not None:
        mark["frequency"] = every
    kinds = kinds.combine_chunks() if isinstance(kinds, pa.ChunkedArray) else kinds
    if isinstance(kinds, pa.ExtensionArray):  # Arrow IPC cannot have one in a dictionary; the mark restores it
        kinds = kinds.storage
    codes = np.asarray(values.codes if isinstance(values, pd.CategoricalIndex) else values.array.codes)
    array = pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), kinds, ordered=bool(dtype.ordered))
    return array, {"dtype": "category", "categories": mark}


def _categories_back(column: pa.ChunkedArray, mark: Mark) -> Any:
    column = column if _one_dictionary(column) else column.unify_dictionaries()
    values = column.chunk(0).dictionary if column.num_chunks else pa.array([], column.type.value_type)
    categories = as_index(back(pa.chunked_array([values]), mark["categories"]))
    with contextlib.suppress(ValueError):  # a gate lets no category leave that no row has
        categories = with_frequency(categories, mark["categories"].get("frequency"))
    codes = [as_numpy(chunk.indices.fill_null(-1)) for chunk in column.chunks]
    joined = np.concatenate(codes) if codes else np.array([], "int8")
    return pd.Categorical.from_codes(joined, categories=categories, ordered=column.type.ordered)


def _one_dictionary(column: pa.ChunkedArray) -> bool:
    chunks = column.chunks
    return all(chunk.dictionary.equals(chunks[0].dictionary) for chunk in chunks[1:])


def _sparse(values: Any) -> tuple[Any, Mark]:
    fill, numpy = values.dtype.fill_value, isinstance(values.dtype.fill_value, np.generic)
    fill = fill.item() if numpy else fill
    if values.dtype.subtype.kind not in "iufb" or type(fill) not in (bool, int, float):
        raise Inexact(f"dtype {values.dtype}", "Say column.sparse.to_dense()")
    array, mark = _numbers(pd.Series(values.array.to_dense()))
    if fill != fill:
        fill = "nan"
    return array, {"dtype": "sparse", "of": mark["dtype"], "fill": fill} | ({"numpy": True} if numpy else {})


def _sparse_back(column: pa.ChunkedArray, mark: Mark) -> Any:
    fill = float("nan") if mark["fill"] == "nan" else mark["fill"]
    dense = _numbers_back(column, {"dtype": mark["of"]})
    fill = dense.dtype.type(fill) if mark.get("numpy") else fill
    return pd.arrays.SparseArray(dense, dtype=pd.SparseDtype(dense.dtype, fill))


def _named(column: pa.ChunkedArray, mark: Mark) -> Any:
    """Periods, which pandas brings back itself."""
    dtype: Any = pd.api.types.pandas_dtype(mark["dtype"])
    return dtype.__from_arrow__(column)


def _own(values: Any) -> tuple[Any, Mark]:
    return pa.array(values.array), {"dtype": str(values.dtype)}


def _intervals(values: Any) -> tuple[Any, Mark]:
    if isinstance(values.dtype.subtype, pd.DatetimeTZDtype):
        zone_words(values.dtype.subtype.tz)
    array = pa.array(values.array)
    again = _intervals_back(pa.chunked_array([array]), {"dtype": str(values.dtype)})
    if again.dtype != values.dtype or not again.equals(values.array):
        raise Inexact(f"dtype {values.dtype}", "Make two columns of it, with .array.left and .array.right.")
    return array, {"dtype": str(values.dtype)}


def _intervals_back(column: pa.ChunkedArray, mark: Mark) -> Any:
    """From both ends; an interval that is missing has none."""
    of, _, closed = mark["dtype"][len("interval[") : -1].rpartition(", ")
    if isinstance(column.type, pa.BaseExtensionType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
    left, right = (back(pc.struct_field(column, [side]), {"dtype": of}) for side in (0, 1))
    made: Any = pd.arrays.IntervalArray
    return made.from_arrays(left, right, closed=closed)


def _starts(*words: str) -> Callable[[str], bool]:
    return lambda name: name.startswith(words)


FAMILIES = (
    Family(
        lambda dtype: isinstance(dtype, np.dtype) and dtype.kind == "O", objects.to_arrow, "object".__eq__, objects.back
    ),
    Family(
        lambda dtype: type(dtype).__name__ in _NULLABLE,
        _nullable,
        _starts("Int", "UInt", "Float", "boolean"),
        _nullable_back,
    ),
    Family(
        lambda dtype: isinstance(dtype, np.dtype) and dtype.kind in "iufb" and dtype.itemsize <= 8,
        _numbers,
        _starts("int8", "int16", "int32", "int64", "uint", "float", "bool"),
        _numbers_back,
    ),
    Family(
        lambda dtype: isinstance(dtype, pd.DatetimeTZDtype) or (isinstance(dtype, np.dtype) and dtype.kind in "mM"),
        _moments,
        _starts("datetime64", "timedelta64"),
        _moments_back,
    ),
    Family(lambda dtype: isinstance(dtype, pd.StringDtype), _text, _starts("str"), _text_back),
    Family(lambda dtype: isinstance(dtype, pd.CategoricalDtype), _categories, "category".__eq__, _categories_back),
    Family(lambda dtype: isinstance(dtype, pd.SparseDtype), _sparse, "sparse".__eq__, _sparse_back),
    Family(
        lambda dtype: isinstance(dtype, pd.ArrowDtype),
        lambda values: (values.array.__arrow_array__(), {"dtype": "arrow"}),
        "arrow".__eq__,
        lambda column, _: pd.arrays.ArrowExtensionArray(column),
    ),
    Family(lambda dtype: isinstance(dtype, pd.PeriodDtype), _own, _starts("period"), _named),
    Family(lambda dtype: isinstance(dtype, pd.IntervalDtype), _intervals, _starts("interval"), _intervals_back),
)
