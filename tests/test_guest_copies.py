"""Arrays by value: what leaves has the bytes of a table built from what can be read, and no others."""

from __future__ import annotations

import datetime
import decimal
import math
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.guest.copies import Unreadable, by_value, elements
from sls_jupyter.guest.tables import anew, written

SECRET = 0x5EC2E75EC2E75EC2
(ODD_NAN,) = struct.unpack("<d", struct.pack("<Q", 0xFFF8_0000_005E_C2E7))

plain_types = st.sampled_from(
    [
        *(
            pa.int8(),
            pa.int16(),
            pa.int32(),
            pa.int64(),
            pa.uint8(),
            pa.uint64(),
            pa.float32(),
            pa.float64(),
            pa.bool_(),
        ),
        *(pa.string(), pa.large_string(), pa.binary(), pa.large_binary(), pa.binary(3), pa.null(), pa.date32()),
        *(pa.date64(), pa.time32("ms"), pa.time64("us"), pa.timestamp("us", "Europe/Berlin"), pa.duration("us")),
        *(pa.decimal128(9, 2), pa.decimal256(40, 3)),
    ]
)
names = st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True)
types = st.recursive(
    plain_types,
    lambda inner: st.one_of(
        inner.map(pa.list_),
        inner.map(pa.large_list),
        st.tuples(plain_types.filter(lambda kind: not pa.types.is_null(kind)), inner).map(lambda pair: pa.map_(*pair)),
        st.tuples(inner, st.integers(1, 3)).map(lambda pair: pa.list_(*pair)),
        names.flatmap(
            lambda chosen: st.tuples(*(inner for _ in chosen)).map(
                lambda kinds: pa.struct(list(zip(chosen, kinds, strict=True)))
            )
        ),
    ),
    max_leaves=4,
)


EARLY, LATE = datetime.date(1900, 1, 1), datetime.date(2100, 1, 1)
PLAIN: dict[str, Any] = {  # what to_pylist can give, by the start of a type's name
    "bool": lambda _: st.booleans(),
    "int": lambda kind: st.integers(-(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1),
    "uint": lambda kind: st.integers(0, 2**kind.bit_width - 1),
    "float": lambda _: st.floats(width=32),
    "double": lambda _: st.one_of(st.floats(), st.just(ODD_NAN)),
    "fixed_size_binary": lambda kind: st.binary(min_size=kind.byte_width, max_size=kind.byte_width),
    "fixed_size_list": lambda kind: st.lists(values(kind.value_type), min_size=kind.list_size, max_size=kind.list_size),
    "date": lambda _: st.dates(EARLY, LATE),
    "time32": lambda _: st.times().map(lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)),
    "time64": lambda _: st.times(),
    "timestamp": lambda _: st.integers(-(2**50), 2**50),
    "duration": lambda _: st.integers(-(2**50), 2**50),
    "decimal": lambda kind: st.integers(-(10**8), 10**8).map(lambda n: decimal.Decimal(n).scaleb(-kind.scale)),
    "struct": lambda kind: st.fixed_dictionaries({one.name: values(one.type) for one in kind.fields}),
}


def values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """What a column of this type can hold, null included."""
    if pa.types.is_null(kind):
        return st.none()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return st.one_of(st.none(), st.lists(values(kind.value_type), max_size=3))
    if pa.types.is_map(kind):
        keys = values(kind.key_type).filter(lambda key: key is not None)
        return st.one_of(st.none(), st.lists(st.tuples(keys, values(kind.item_type)), max_size=3))
    found = [make for start, make in PLAIN.items() if str(kind).startswith(start)]
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
    plain = text if "string" in str(kind) else st.binary(max_size=6)
    return st.one_of(st.none(), found[-1](kind) if found else plain)


columns = types.flatmap(lambda kind: st.tuples(st.just(kind), st.lists(values(kind), max_size=7)))


def masked(array: pa.Array, hide: list[bool]) -> pa.Array:
    """The array with further nulls, whose values still lie in the buffers."""
    if pa.types.is_null(array.type) or array.offset:
        return array
    valid = np.array([one.is_valid and not hidden for one, hidden in zip(array, hide, strict=True)], bool)
    bitmap = pa.py_buffer(np.packbits(valid, bitorder="little"))
    buffers = [bitmap, *array.buffers()[1 : array.type.num_buffers]]
    children = None
    if pa.types.is_struct(array.type):
        children = [array.field(i) for i in range(array.type.num_fields)]
    elif hasattr(array, "values"):
        children = [array.values]
    return pa.Array.from_buffers(array.type, len(array), buffers, children=children)


def seen(value: Any) -> Any:
    """A value as a person reads it: every NaN is one."""
    if isinstance(value, list):
        return [seen(item) for item in value]
    if isinstance(value, dict):
        return {name: seen(item) for name, item in value.items()}
    return math.nan if isinstance(value, float) and math.isnan(value) else value


def stream(*arrays: pa.Array) -> bytes:
    return written(
        pa.Table.from_batches([pa.RecordBatch.from_arrays(list(arrays), names=list("abcdef"[: len(arrays)]))])
    )


@settings(deadline=None, max_examples=400)
@given(column=columns, around=st.integers(0, 3), data=st.data())
def test_the_bytes_are_those_of_the_values(column: tuple[pa.DataType, list[Any]], around: int, data: Any) -> None:
    """Whatever lay behind nulls, before and after a slice, two tables that read the same leave as the same bytes."""
    kind, items = column
    hide = data.draw(st.lists(st.booleans(), min_size=len(items), max_size=len(items)))
    array = masked(pa.array(items, kind), hide)
    part = array.slice(min(around, len(array)), max(0, len(array) - 2 * around))
    fresh = pa.array(seen(part.to_pylist()), kind)
    assert stream(by_value(part)) == stream(fresh)
    by_value(part).validate(full=True)


@settings(deadline=None, max_examples=150)
@given(
    words=st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "rare", "c"])), max_size=8),
    values=st.permutations(["a", "b", "rare", "c", "patient 7"]),
    chunks=st.integers(0, 8),
)
def test_a_dictionary_has_used_values_once(words: list[str | None], values: list[str], chunks: int) -> None:
    """Categories of rows that are gone, or that nobody sees, are texts like any other."""
    doubled = pa.array([*values, *values])
    codes = [None if word is None else values.index(word) + len(values) * (i % 2) for i, word in enumerate(words)]
    array = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), doubled)
    new = by_value(pa.concat_arrays([array.slice(0, chunks), array.slice(chunks)]))
    assert new.to_pylist() == words
    assert sorted(new.dictionary.to_pylist()) == sorted({word for word in words if word is not None})
    plain = pa.array(words, pa.string()).dictionary_encode()
    assert by_value(plain).dictionary.to_pylist() == plain.dictionary.to_pylist()  # the order stays
    again = by_value(pa.DictionaryArray.from_arrays(new.indices, new.dictionary))
    assert stream(new) == stream(again)


def test_nothing_lies_behind_a_null() -> None:
    """The case that a statistics office knows: a small group's sum, set to NA, was still there."""
    bitmap = pa.py_buffer(b"\x02")
    hidden = struct.pack("<qq", SECRET, 1)
    array = pa.Array.from_buffers(pa.int64(), 2, [bitmap, pa.py_buffer(hidden)])
    assert struct.pack("<q", SECRET) in stream(array)
    assert struct.pack("<q", SECRET) not in stream(by_value(array))


def test_one_bit_pattern_for_what_reads_the_same() -> None:
    """A NaN has 51 bits, and a date64 a whole day of milliseconds, that nobody sees."""
    odd = struct.pack("<QQ", 0x7FF8_0000_0000_0000 | 0x5EC2E7, 0x3FF0_0000_0000_0000)
    floats = by_value(pa.Array.from_buffers(pa.float64(), 2, [None, pa.py_buffer(odd)]))
    assert stream(floats) == stream(pa.array([float("nan"), 1.0]))
    days = by_value(pa.array([86_400_000 * 3 + 4711], pa.int64()).view(pa.date64()))
    assert days.view(pa.int64()).to_pylist() == [86_400_000 * 3]
    with pytest.raises(Unreadable):
        by_value(pa.array([SECRET >> 2], pa.int64()).view(pa.time64("us")))


def test_names_of_items_and_metadata_do_not_leave() -> None:
    """A list's item has a name, a field metadata, a message its own: none of them is a value."""
    field = pa.field("patient 7", pa.int64(), metadata={"note": "patient 8"})
    schema = pa.schema([pa.field("a", pa.list_(field), metadata={"x": "patient 9"})], metadata={"pandas": "patient 10"})
    table = pa.Table.from_arrays([pa.array([[1]], pa.list_(field))], schema=schema)
    assert b"patient" not in written(anew(table, "arrow", whole=True))


def test_batches_leave_as_one() -> None:
    """Where a program cuts its batches is a number for each batch."""
    whole = pa.table({"a": [1, 2, 3], "b": ["x", None, "y"]})
    cut = pa.concat_tables([whole.slice(0, 1), whole.slice(1, 0), whole.slice(1)])
    assert written(anew(cut, "arrow", whole=True)) == written(anew(whole, "arrow", whole=True))


def test_values_are_counted_where_they_take_no_bytes() -> None:
    """A list of a billion nulls has no bytes here, and memory at the recipient."""
    offsets = pa.py_buffer(struct.pack("<ii", 0, 2_000_000))
    array = pa.Array.from_buffers(pa.list_(pa.null()), 1, [None, offsets], children=[pa.nulls(2_000_000)])
    assert elements(array) > 2_000_000
