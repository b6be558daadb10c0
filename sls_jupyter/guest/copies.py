"""Arrow arrays by value: a copy has what can be read in an array, and not a byte more.

An Arrow array is a window on buffers. Beside its values they may hold rows before and after the window, what
stood behind a null, capacity that was never used, bits after the last bit of a bitmap. pandas and Arrow
leave all of these in honest programs. So every buffer is made anew:

- exactly as long as the values need, the last bits of a bitmap zero, and no bitmap without a null;
- zero behind a null, nothing at all behind a null text or list, and in the fields of a null struct;
- one form for what reads the same: NaN has one bit pattern, a ``date64`` is a whole day.

The result has the bytes that ``pa.array(array.to_pylist(), type)`` would have (``tests/test_guest_copies.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from sls_jupyter.errors import SlsError

_DAY_MS = 86_400_000
_DAY = {"s": 86_400, "ms": _DAY_MS, "us": _DAY_MS * 1_000, "ns": _DAY_MS * 1_000_000}
_FLOATS = {2: np.dtype("<f2"), 4: np.dtype("<f4"), 8: np.dtype("<f8")}

Mask = np.ndarray[Any, np.dtype[np.bool_]]


class Unreadable(SlsError):
    """An array has values that do not read as what its type says."""


@dataclass(frozen=True, slots=True)
class _Slots:
    """What becomes of each place of an array: its value, an empty value, or null."""

    shown: Mask  # the value is kept; else it is zero, "" or []
    valid: Mask  # not null

    @property
    def bitmap(self) -> pa.Buffer | None:
        return None if self.valid.all() else pa.py_buffer(np.packbits(self.valid, bitorder="little"))

    @property
    def nulls(self) -> int:
        return int(len(self.valid) - np.count_nonzero(self.valid))


def storage_type(kind: pa.DataType) -> pa.DataType:
    """A type as it is stored: without extension types, and without words that no value shows.

    A list's item has a name and may have metadata, and both leave with the schema.
    """
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return storage_type(kind.storage_type)
    if types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, storage_type(kind.value_type), kind.ordered)
    if types.is_fixed_size_list(kind):
        return pa.list_(storage_type(kind.value_type), kind.list_size)
    if types.is_large_list(kind):
        return pa.large_list(storage_type(kind.value_type))
    if types.is_list(kind):
        return pa.list_(storage_type(kind.value_type))
    if types.is_map(kind):
        return pa.map_(storage_type(kind.key_type), storage_type(kind.item_type), kind.keys_sorted)
    if types.is_struct(kind):
        return pa.struct([(kind.field(i).name, storage_type(kind.field(i).type)) for i in range(kind.num_fields)])
    return kind


def by_value(array: pa.Array, *, categories: bool = False) -> pa.Array:
    """The array with its values only, as its storage type.

    Args:
        categories: of a dictionary the values that no row uses stay as well.

    Raises:
        Unreadable: a value does not read as its type says.
    """
    if isinstance(array, pa.ExtensionArray):
        return by_value(array.storage, categories=categories)
    if pa.types.is_dictionary(array.type):
        return _dictionary(array, categories)
    valid = _valid(array)
    return _copy(array, _Slots(valid, valid))


def elements(array: pa.Array) -> int:
    """How many values an array has, those within its values counted too; a null costs nothing to write, and memory to read."""
    if isinstance(array, pa.ExtensionArray):
        return elements(array.storage)
    if pa.types.is_dictionary(array.type):
        return len(array) + elements(array.dictionary)
    inner = 0
    if pa.types.is_struct(array.type):
        inner = sum(elements(array.field(i)) for i in range(array.type.num_fields))
    elif pa.types.is_map(array.type):
        inner = sum(map(elements, _pairs(array)))
    elif _is_list(array.type):
        inner = elements(_child(array))
    return len(array) + inner


# --- one kind of array after the other ------------------------------------------------------------


def _is_list(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _valid(array: pa.Array) -> Mask:
    if array.null_count == 0:
        return np.ones(len(array), bool)
    found: Mask = array.is_valid().to_numpy(zero_copy_only=False)
    return found


def _copy(array: pa.Array, slots: _Slots) -> pa.Array:
    if isinstance(array, pa.ExtensionArray):
        return _copy(array.storage, slots)
    kind, types = array.type, pa.types
    if types.is_null(kind):
        return pa.nulls(len(array))
    if types.is_struct(kind):
        return _struct(array, slots)
    if types.is_fixed_size_list(kind):
        return _fixed_list(array, slots)
    if types.is_list(kind) or types.is_large_list(kind):
        return _list(array, slots)
    if types.is_map(kind):
        return _map(array, slots)
    if types.is_boolean(kind):
        return _booleans(array, slots)
    if types.is_string(kind) or types.is_binary(kind) or types.is_large_string(kind) or types.is_large_binary(kind):
        return _binary(array, slots)
    return _fixed(array, slots)


def _made(array: pa.Array, slots: _Slots, *buffers: Any, children: list[pa.Array] | None = None) -> pa.Array:
    made = [slots.bitmap, *(pa.py_buffer(buffer) for buffer in buffers)]
    kind = storage_type(array.type)
    return pa.Array.from_buffers(kind, len(array), made, null_count=slots.nulls, children=children)


def _read(buffer: pa.Buffer | None, dtype: Any, start: int, count: int) -> np.ndarray[Any, Any]:
    if buffer is None or count == 0:
        return np.zeros(count, dtype)
    return np.frombuffer(buffer, dtype, count, start * np.dtype(dtype).itemsize)


def _booleans(array: pa.Array, slots: _Slots) -> pa.Array:
    buffer = array.buffers()[1]
    bits = np.zeros(len(array), np.uint8)
    if buffer is not None and len(array):
        first, last = array.offset // 8, (array.offset + len(array) + 7) // 8
        packed = np.frombuffer(buffer, np.uint8, last - first, first)
        bits = np.unpackbits(packed, bitorder="little")[array.offset % 8 :][: len(array)]
    return _made(array, slots, np.packbits(bits.astype(bool) & slots.shown, bitorder="little"))


def _fixed(array: pa.Array, slots: _Slots) -> pa.Array:
    """Numbers, times, decimals, binary of one width."""
    kind = array.type
    width = kind.byte_width
    if pa.types.is_floating(kind):
        values = _read(array.buffers()[1], _FLOATS[width], array.offset, len(array))
        strange = np.isnan(values)
        values = np.where(strange, values.dtype.type(np.nan), values) if strange.any() else values
    else:
        values = _read(array.buffers()[1], f"V{width}", array.offset, len(array)) if width else np.zeros(0, "V1")
    if width and not slots.shown.all():
        values = values.copy()
        values[~slots.shown] = np.zeros(1, values.dtype)[0]
    return _made(array, slots, np.ascontiguousarray(_in_range(kind, values)))


def _in_range(kind: pa.DataType, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Days and times of day as they read: the rest of a day is not seen in a ``date64``."""
    if pa.types.is_date64(kind):
        days: np.ndarray[Any, Any] = values.view("<i8") // _DAY_MS * _DAY_MS
        return days
    if pa.types.is_time(kind):
        numbers = values.view("<i4" if kind.byte_width == 4 else "<i8")
        if len(numbers) and not (numbers.min() >= 0 and numbers.max() < _DAY[kind.unit]):
            raise Unreadable("A time of day is beyond the day.")
    return values


def _lengths(array: pa.Array) -> tuple[np.ndarray[Any, Any], int, int]:
    """The length of each value, and where the values begin and end in what they are taken from."""
    large = pa.types.is_large_list(array.type) or pa.types.is_large_string(array.type)
    dtype = "<i8" if large or pa.types.is_large_binary(array.type) else "<i4"
    if not len(array):
        return np.zeros(0, dtype), 0, 0
    offsets = _read(array.buffers()[1], dtype, array.offset, len(array) + 1)
    return np.diff(offsets), int(offsets[0]), int(offsets[-1])


def _offsets(lengths: np.ndarray[Any, Any], shown: Mask) -> np.ndarray[Any, Any]:
    offsets = np.zeros(len(lengths) + 1, lengths.dtype)
    np.cumsum(np.where(shown, lengths, 0), out=offsets[1:], dtype=lengths.dtype)
    return offsets


def _binary(array: pa.Array, slots: _Slots) -> pa.Array:
    lengths, start, end = _lengths(array)
    data = _read(array.buffers()[2], np.uint8, start, end - start)
    if lengths[~slots.shown].any():  # something stands behind a null
        data = data[np.repeat(slots.shown, lengths)]
    return _made(array, slots, _offsets(lengths, slots.shown), np.ascontiguousarray(data))


def _child(array: pa.Array) -> pa.Array:
    """The items of a list array's own values, in order."""
    if pa.types.is_fixed_size_list(array.type):
        size = array.type.list_size
        return array.values.slice(array.offset * size, len(array) * size)
    _, start, end = _lengths(array)
    return array.values.slice(start, end - start)


def _list(array: pa.Array, slots: _Slots) -> pa.Array:
    lengths, _, _ = _lengths(array)
    child = _child(array)
    if lengths[~slots.shown].any():
        child = child.take(pa.array(np.flatnonzero(np.repeat(slots.shown, lengths))))
    return _made(array, slots, _offsets(lengths, slots.shown), children=[by_value(child)])


def _pairs(array: pa.MapArray) -> tuple[pa.Array, pa.Array]:
    """Keys and items of a map array's own values, in order."""
    _, start, end = _lengths(array)
    return array.keys.slice(start, end - start), array.items.slice(start, end - start)


def _map(array: pa.MapArray, slots: _Slots) -> pa.Array:
    lengths, _, _ = _lengths(array)
    keys, items = _pairs(array)
    if lengths[~slots.shown].any():
        kept = pa.array(np.flatnonzero(np.repeat(slots.shown, lengths)))
        keys, items = keys.take(kept), items.take(kept)
    if keys.null_count:
        raise Unreadable("A map has a key that is missing.")
    kind = storage_type(array.type)
    entries = pa.StructArray.from_arrays([by_value(keys), by_value(items)], fields=[kind.key_field, kind.item_field])
    return _made(array, slots, _offsets(lengths, slots.shown), children=[entries])


def _fixed_list(array: pa.Array, slots: _Slots) -> pa.Array:
    """A null list has null items; an empty value has empty ones."""
    child, size = _child(array), array.type.list_size
    shown = np.repeat(slots.shown, size) & _valid(child)
    valid = shown | np.repeat(slots.valid & ~slots.shown, size)
    return _made(array, slots, children=[_copy(child, _Slots(shown, valid))])


def _struct(array: pa.Array, slots: _Slots) -> pa.Array:
    """A struct that is not shown has empty values in its fields."""
    children = []
    for number in range(array.type.num_fields):
        child = array.field(number)
        valid = _valid(child)
        children.append(_copy(child, _Slots(valid & slots.shown, valid | ~slots.shown)))
    return _made(array, slots, children=children)


def _dictionary(array: pa.DictionaryArray, unused: bool = False) -> pa.DictionaryArray:
    """Codes into the values, each once, in the dictionary's order; values that no row has only if ``unused``."""
    import pyarrow.compute as pc

    used = pc.unique(array.indices.drop_null()).sort()
    if unused:
        used = pa.array(np.arange(len(array.dictionary)), array.indices.type)
    places = pc.index_in(array.indices, value_set=used)
    values = by_value(array.dictionary.take(used))
    first = _first_places(values)
    kept = np.unique(first[first >= 0])
    codes = np.where(first >= 0, np.searchsorted(kept, first), -1)
    again = pa.array(codes, pa.int64(), mask=codes < 0).take(places).cast(array.type.index_type)
    return pa.DictionaryArray.from_arrays(
        by_value(again), by_value(values.take(pa.array(kept, pa.int64()))), ordered=array.type.ordered
    )


def _first_places(values: pa.Array) -> np.ndarray[Any, Any]:
    """Where each value of a dictionary stands first; -1 for null, which is no value."""
    seen: dict[str, int] = {}
    return np.array(
        [-1 if value is None else seen.setdefault(repr(value), place) for place, value in enumerate(_python(values))],
        np.int64,
    )


def _python(values: pa.Array) -> list[Any]:
    """Values to compare by; times as their numbers, which compare faster than they convert."""
    plain = pa.types.is_temporal(values.type) and not pa.types.is_interval(values.type)
    found: list[Any] = values.view(f"int{values.type.bit_width}").to_pylist() if plain else values.to_pylist()
    return found
