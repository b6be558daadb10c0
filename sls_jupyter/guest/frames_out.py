"""Any frame that a cell returns as a plain table with words, and back; what a sealed frame may be is narrower."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from sls_jupyter.assets.frames import prepared
from sls_jupyter.assets.opening import to_pandas
from sls_jupyter.documents import canonical_json
from sls_jupyter.errors import SlsError, UnsealableData
from sls_jupyter.guest import result_words, typed, typed_back
from sls_jupyter.guest.result_words import METADATA, NAMELESS, Level, ResultWords, Sparse

ROWS_PER_BATCH = 1 << 16
MAX_TYPED_ROWS = 200_000  # of a column whose cells are written one by one


def taken_apart(frame: pd.DataFrame, name: list[Any] | None = None) -> tuple[pd.DataFrame, ResultWords]:
    """A frame that can be sealed, and what it lacks of the other.

    Args:
        name: of a Series, alone in a list.

    Raises:
        UnsealableData: naming the column, label or index level that has no exact form.
    """
    words: dict[str, Any] = {"series": name}
    plain = frame.copy(deep=False)
    if not _plain_labels(frame.columns):
        try:
            words |= {
                "labels": result_words.levels_of(frame.columns),
                "multi": isinstance(frame.columns, pd.MultiIndex),
            }
            _require_same_labels(ResultWords(**words), frame.columns)
        except (SlsError, ValueError, TypeError) as error:
            raise _unlike("The labels of the columns", error) from None
        plain.columns = pd.Index([f"{i} {label}"[:200] for i, label in enumerate(map(_shown, frame.columns))])
    words["sparse"] = _densify(plain)
    words["typed"] = [str(label) for i, label in enumerate(plain.columns) if _write_typed(plain, i, frame.columns[i])]
    if not _plain_index(plain):
        plain, about = _index_as_columns(plain)
        words["typed"] += about.pop("typed")
        words |= about
    return plain, ResultWords(**words)


def _shown(label: Any) -> str:
    return ", ".join(map(str, label)) if isinstance(label, tuple) else str(label)


def _plain_labels(labels: pd.Index[Any]) -> bool:
    """Labels that the words of a sealed frame can say."""
    texts = labels.nlevels == 1 and all(type(label) is str for label in labels) and labels.is_unique
    name = labels.name is None or type(labels.name) is str
    return bool(texts and name and labels.dtype in ("object", "str") and not isinstance(labels, pd.CategoricalIndex))


def _unlike(what: str, error: Exception) -> UnsealableData:
    found = f"{error.message} {error.found or ''}" if isinstance(error, SlsError) else type(error).__name__
    return UnsealableData(f"{what} would not come back equal.", found=found.strip(),
                          hint="Make them text, for instance with .map(str).")  # fmt: skip


def _require_same_labels(words: ResultWords, labels: pd.Index[Any]) -> None:
    made = result_words.index_of(words.labels or [], words.multi)
    try:
        pd.testing.assert_index_equal(made, labels, exact=True)
    except AssertionError:
        raise UnsealableData("They change.", found=f"{type(labels).__name__} of {labels.dtype}") from None


def _densify(frame: Any) -> dict[str, Sparse]:
    """Make sparse columns dense, in place."""
    found = {}
    for i, dtype in enumerate(frame.dtypes):
        if isinstance(dtype, pd.SparseDtype):
            found[str(frame.columns[i])] = Sparse(of=str(dtype.subtype), fill=typed.encode(dtype.fill_value))
            frame.isetitem(i, frame.iloc[:, i].sparse.to_dense())
    return found


def _seals(frame: pd.DataFrame) -> UnsealableData | None:
    """Why a frame cannot be sealed."""
    try:
        for _ in prepared(frame).batches(ROWS_PER_BATCH):
            pass
    except UnsealableData as error:
        return error
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        return UnsealableData("A column has no form in Arrow.", found=type(error).__name__,
                              hint="Convert it, for instance with .astype(str).")  # fmt: skip
    return None


def _write_typed(frame: Any, place: int, label: Any) -> bool:
    """Write an object column that Arrow has no type for as typed values, in place; whether that was needed."""
    column = frame.iloc[:, place]
    if not pd.api.types.is_object_dtype(column.dtype):
        return False
    why = _seals(column.to_frame(frame.columns[place]).reset_index(drop=True))
    if why is None:
        return False
    try:
        if len(column) > MAX_TYPED_ROWS:
            raise why
        texts = [canonical_json(typed.encode(value)).decode() for value in column.tolist()]
    except typed.Untyped as error:
        kind = pd.api.types.infer_dtype(column, skipna=True)
        raise UnsealableData(
            f"The column {str(label)!r} would not come back equal.",
            found=f"{kind} values; {error.found}",
            hint=why.hint,
        ) from None
    frame.isetitem(place, pd.Series(texts, index=frame.index, dtype="str" if pd.__version__ >= "3" else "string"))
    return True


def _plain_index(frame: pd.DataFrame) -> bool:
    """An index that comes back by the words of a sealed frame."""
    index = frame.index
    if isinstance(index, pd.TimedeltaIndex) or any(name is not None and type(name) is not str for name in index.names):
        return isinstance(index, pd.TimedeltaIndex) and index.freq is None and type(index.name) in (str, type(None))
    if set(map(str, index.names)) & set(map(str, frame.columns)):
        return False
    return isinstance(index, pd.RangeIndex) or _seals(frame.iloc[:, :0]) is None


def _index_as_columns(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
    index, plain = frame.index, frame.reset_index(drop=True)
    names, kinds, written = [], [], []
    for i in range(index.nlevels):
        values, name = index.get_level_values(i), f"__sls_level_{i}__"
        plain[name] = pd.Series(values.to_numpy() if values.dtype == object else values).reset_index(drop=True)
        frequency = getattr(index, "freqstr", None) if index.nlevels == 1 else None
        try:
            kinds.append(Level(dtype=_index_dtype(values), values=[], frequency=frequency))
            names.append(typed.encode(values.name))
        except typed.Untyped as error:
            raise _unlike("The name of an index level", error) from None
        if _write_typed(plain, plain.shape[1] - 1, "index" if values.name is None else values.name):
            written.append(name)
    levels = list(plain.columns[-index.nlevels :])
    return plain, {"levels": levels, "names": names, "kinds": kinds, "typed": written}


def _index_dtype(values: pd.Index[Any]) -> str:
    return "category" if isinstance(values, pd.CategoricalIndex) else result_words.dtype_name(values.dtype)


# --- to Arrow and back --------------------------------------------------------------------------------


def to_arrow(frame: pd.DataFrame, name: list[Any] | None = None) -> tuple[pa.Schema, list[pa.RecordBatch]]:
    """A frame as batches of one schema.

    Raises:
        UnsealableData: as :func:`taken_apart`, and when the whole would not come back equal.
    """
    plain, words = taken_apart(frame, name)
    ready = prepared(plain)  # converted once
    schema, batches = ready.schema, list(ready.batches(ROWS_PER_BATCH))
    if not words.empty:
        schema = schema.with_metadata({**schema.metadata, METADATA: words.encode()})
        batches = [batch.replace_schema_metadata(schema.metadata) for batch in batches]
    return schema, batches


def from_arrow(table: pa.Table) -> tuple[pd.DataFrame, ResultWords]:
    """The frame of a table that :func:`to_arrow` wrote.

    Raises:
        NotUnderstood, MalformedDocument: the words are of another form.
    """
    claim = (table.schema.metadata or {}).get(METADATA)
    words = ResultWords() if claim is None else result_words.parse(claim)
    frame: Any = to_pandas(table)
    for name in words.typed:
        place = frame.columns.get_loc(name)
        cells = np.empty(len(frame), dtype=object)
        for i, text in enumerate(frame[name].tolist()):
            cells[i] = typed_back.decode(json.loads(text))
        frame.isetitem(place, pd.Series(cells, index=frame.index, dtype=object))
    for name, sparse in words.sparse.items():
        place = frame.columns.get_loc(name)
        dtype = pd.SparseDtype(pd.api.types.pandas_dtype(sparse.of), typed_back.decode(sparse.fill))
        frame.isetitem(place, frame[name].astype(dtype))
    if words.levels:
        frame = _with_index(frame, words)
    if words.labels is not None:
        frame.columns = result_words.index_of(words.labels, words.multi)
    return frame, words


def _with_index(frame: pd.DataFrame, words: ResultWords) -> pd.DataFrame:
    made = []
    for level, name, kind in zip(words.levels or [], words.names or [], words.kinds or [], strict=True):
        values: Any = pd.Index(frame.pop(level).array, name=typed_back.decode(name), tupleize_cols=False)
        values = values if kind.dtype == "category" else values.astype(kind.dtype)
        if kind.frequency is not None and isinstance(values, pd.DatetimeIndex | pd.TimedeltaIndex):
            again: Any = type(values)
            values = again(values, freq=kind.frequency, name=values.name)
        made.append(values)
    frame.index = pd.MultiIndex.from_arrays(made, names=[one.name for one in made]) if len(made) > 1 else made[0]
    return frame


def series_column(series: pd.Series[Any]) -> tuple[pd.DataFrame, list[Any] | None]:
    """A Series as a frame of one column, and its name if the column's cannot say it."""
    if type(series.name) is str and series.name not in series.index.names:
        return series.to_frame(), None
    try:
        return series.to_frame(NAMELESS), [typed.encode(series.name)]
    except typed.Untyped as error:
        raise _unlike("The name of the Series", error) from None
