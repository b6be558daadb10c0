"""Frames as people have them, of every kind, and the strictest comparison: pandas' own, and the type of every object."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from sls_jupyter.assets.opening import to_pandas


def same_object(got: Any, want: Any) -> bool:
    """Whether two values in a cell are one: type, value, order of keys, dtype, zone and fold."""
    if type(got) is not type(want):
        return False
    if isinstance(want, list | tuple):
        return len(got) == len(want) and all(map(same_object, got, want))
    if isinstance(want, dict):
        return list(got) == list(want) and all(map(same_object, got.values(), want.values()))
    if isinstance(want, np.ndarray):
        same = got.dtype == want.dtype and got.shape == want.shape
        return same and (all(map(same_object, got, want)) if want.dtype == object else got.tobytes() == want.tobytes())
    if isinstance(want, float | np.floating):
        return bool(got == want and math.copysign(1, got) == math.copysign(1, want)) or bool(
            got != got and want != want
        )
    if want is pd.NA or want is pd.NaT or want is None:
        return got is want
    for name in ("tzinfo", "fold", "unit"):
        if str(getattr(got, name, None)) != str(getattr(want, name, None)):
            return False
    return repr(got) == repr(want)


def same_values(got: Any, want: Any, what: str) -> None:
    assert got.dtype == want.dtype, (what, got.dtype, want.dtype)
    if want.dtype == object:
        wrong = [i for i, (a, b) in enumerate(zip(got, want, strict=True)) if not same_object(a, b)]
        assert not wrong, (what, wrong[:5], [(got[i], want[i]) for i in wrong[:3]])
    if isinstance(want.dtype, pd.CategoricalDtype):
        assert want.dtype.ordered == got.dtype.ordered
        same_values(got.dtype.categories, want.dtype.categories, what)
    if isinstance(want.dtype, pd.DatetimeTZDtype):
        assert type(got.dtype.tz) is type(want.dtype.tz), what


def _has_containers(values: Any) -> bool:
    """Whether pandas fails at comparing the values with themselves, for instance ``[[]]`` with ``[[]]``."""
    return values.dtype == object and any(isinstance(one, list | tuple | dict | np.ndarray) for one in values)


def same_frame(got: pd.DataFrame, want: pd.DataFrame) -> None:
    """Raise unless two frames are equal by pandas' strictest comparison and object by object."""
    assert got.shape == want.shape
    plain = [place for place in range(want.shape[1]) if not _has_containers(want.iloc[:, place])]
    pd.testing.assert_frame_equal(
        got.iloc[:, plain],
        want.iloc[:, plain],
        check_freq=True,
        check_exact=True,
        check_column_type=True,
        check_index_type=True,
        check_flags=False,
    )
    for place in range(want.shape[1]):
        same_values(got.iloc[:, place].array, want.iloc[:, place].array, f"column {place}")
    for axis in (0, 1):
        one, other = got.axes[axis], want.axes[axis]
        assert type(one) is type(other)
        assert list(one.names) == list(other.names)
        assert getattr(one, "freq", None) == getattr(other, "freq", None)
        if not isinstance(other, pd.MultiIndex):
            same_values(one, other, f"axis {axis}")
        else:
            one, other = one.remove_unused_levels(), other.remove_unused_levels()
            for level in range(other.nlevels):
                same_values(one.levels[level], other.levels[level], f"axis {axis}, level {level}")


def through_arrow(frame: pd.DataFrame) -> pd.DataFrame:
    """What comes back of a frame without sealing it: the conversion alone."""
    import pyarrow as pa

    from sls_jupyter.assets.frames import prepared

    ready = prepared(frame)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, ready.schema) as writer:
        for batch in ready.batches(7):
            writer.write_batch(batch)
    return to_pandas(pa.ipc.open_stream(sink.getvalue()))


def described(frame: pd.DataFrame) -> str:
    """All that a frame is, as text: to compare what two versions of pandas have."""

    def value(one: Any) -> str:
        if isinstance(one, np.ndarray):
            return f"array({one.dtype}: {', '.join(map(value, one))})"
        if isinstance(one, list | tuple):
            return f"{type(one).__name__}({', '.join(map(value, one))})"
        if isinstance(one, dict):
            return f"dict({', '.join(f'{key}: {value(item)}' for key, item in one.items())})"
        unit = getattr(one, "unit", "")
        return f"{type(one).__name__}({one!s}{unit}{getattr(one, 'fold', '') or ''})"

    def whole(values: Any) -> str:
        dtype = values.dtype
        text = str(dtype)
        if isinstance(dtype, pd.StringDtype):
            text = f"{text} {dtype.storage.partition('_')[0]} {dtype.na_value}"
        if isinstance(dtype, pd.CategoricalDtype):
            text = f"category {dtype.ordered} {whole(dtype.categories)}"
        return f"{text}: {', '.join(map(value, values))}"

    def axis(index: Any) -> str:
        if isinstance(index, pd.MultiIndex):
            index = index.remove_unused_levels()
            levels = "; ".join(map(whole, index.levels))
            return f"MultiIndex {list(index.names)!r} {[list(map(int, codes)) for codes in index.codes]} {levels}"
        return f"{type(index).__name__} {index.name!r} {getattr(index, 'freqstr', None)} {whole(index)}"

    columns = [whole(frame.iloc[:, place].array) for place in range(frame.shape[1])]
    return "\n".join([axis(frame.index), axis(frame.columns), *columns])
