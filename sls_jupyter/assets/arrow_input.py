"""Arrow data of other writers, before it is sealed: what no group could open is refused by column.

Types are looked at once, values in every batch, whole columns at a time. Nothing is changed but one thing: a dictionary
with nulls or repeated values, which Arrow allows and pandas does not, gets each of its values once, and codes to match.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from sls_jupyter.errors import UnsealableData

_DAYS = (-719_162, 2_932_896)  # 0001-01-01 and 9999-12-31, which Python's dates can be
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_COMPARABLE = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}  # Arrow compares no views
_ENDLESS = 2**63 - 1  # infinity of duckdb and PostgreSQL; the number below its opposite is pandas' NaT


def lossy(column: str, found: str, hint: str) -> UnsealableData:
    """The refusal of a column."""
    return UnsealableData(f"The column {column!r} cannot be sealed without loss.", found=found, hint=hint)


def require_openable(schema: pa.Schema) -> None:
    """Refuse types that have no values in a cell.

    Raises:
        UnsealableData: naming the column.
    """
    for column in schema:
        if reason := _reason(column.type):
            raise lossy(column.name, *reason)


def _reason(kind: pa.DataType) -> tuple[str, str] | None:
    """Why a type cannot be opened, and the way out; its members' included."""
    if isinstance(kind, pa.OpaqueType):
        return f"{kind.type_name} of {kind.vendor_name}, which is no type of Arrow", "Cast it to a decimal or to text."
    if isinstance(kind, pa.BaseExtensionType):
        return _reason(kind.storage_type)
    if pa.types.is_union(kind):
        return f"type {kind}"[:200], "Make it one type, or a column for each of its members."
    if pa.types.is_interval(kind):
        return f"type {kind}", "Split it into numbers (months, days, nanoseconds), or make it text."
    if pa.types.is_timestamp(kind) and kind.tz is not None and not _is_zone(kind.tz):
        return f"the time zone {kind.tz[:60]!r}, which is not known", "Convert it to UTC, or to a zone such as +02:00."
    if pa.types.is_dictionary(kind):
        return _reason(kind.value_type)
    if any(pa.types.is_dictionary(kind.field(i).type) for i in range(kind.num_fields)):
        return f"categories within it, type {kind}"[:200], "Cast the categories within it to text."
    found = (_reason(kind.field(i).type) for i in range(kind.num_fields))
    return next((one for one in found if one is not None), None)


def _is_zone(name: str) -> bool:
    try:
        pa.lib.string_to_tzinfo(name)
    except Exception:  # noqa: BLE001  (pyarrow asks zoneinfo, which asks files: many kinds of error)
        return False
    return True


@dataclass
class Values:
    """The values of a stream, looked at batch by batch."""

    _proper: dict[int, pa.Array] = field(default_factory=dict)  # column -> dictionary last seen that was proper

    def checked(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch as it is sealed.

        Raises:
            UnsealableData: naming the column and what is wrong with a value of it; the value is not shown.
        """
        arrays = []
        for number, (column, array) in enumerate(zip(batch.schema, batch.columns, strict=True)):
            _validate(column.name, array)
            _look(column.name, column, array)
            arrays.append(self._with_proper_dictionary(number, array))
        if all(new is old for new, old in zip(arrays, batch.columns, strict=True)):
            return batch
        return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)

    def _with_proper_dictionary(self, number: int, array: pa.Array) -> pa.Array:
        if not pa.types.is_dictionary(array.type) or array.type.value_type.num_fields:
            return array
        values, known = array.dictionary, self._proper.get(number)
        if known is not None and known.equals(values):
            return array
        plain = values.cast(_COMPARABLE.get(values.type, values.type))
        once = plain.drop_null().unique()
        if len(once) == len(values):
            self._proper[number] = values
            return array
        codes = pc.index_in(plain, value_set=once).take(array.indices).cast(array.type.index_type)
        return pa.DictionaryArray.from_arrays(codes, once.cast(values.type), ordered=array.type.ordered)


def _validate(name: str, array: pa.Array) -> None:
    """Arrow's own full check: offsets, codes, UTF-8, digits of decimals, times of day."""
    try:
        array.validate(full=True)
    except pa.ArrowException as error:
        text = str(error)  # may hold a value
    else:
        return
    if "UTF8" in text:
        raise lossy(name, "text that is not UTF-8", "Decode it with its own encoding, or cast the column to binary.")
    if "time32" in text or "time64" in text:
        raise lossy(name, "a time of day outside of 24 hours", "Make it a duration, or leave it out.")
    if "date64" in text:
        raise lossy(name, "a date with a time of day", "Cast the column to a timestamp.")
    if "ecimal" in text:
        raise lossy(name, f"a number with more digits than {array.type} has", "Cast the column to text.")
    raise lossy(name, "values that do not fit their type", "Write the data anew with the library that made them.")


def _look(name: str, column: pa.Field, array: pa.Array, *, within: bool = False) -> None:
    """Refuse what is valid in Arrow and has no value in pandas, within nested values too."""
    if not column.nullable and array.null_count:
        what = "missing values in a column" if column.name == name else f"missing values in {column.name[:60]!r} of it"
        raise lossy(name, f"{what} that has none by its schema", "Make the field nullable, or fill them.")
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        _look(name, column.with_type(kind.storage_type), array.storage, within=within)
    elif pa.types.is_dictionary(kind):
        _look(name, column.with_type(kind.value_type).with_nullable(True), array.dictionary, within=within)
    elif pa.types.is_time(kind):
        _require_microseconds(name, array)
    elif pa.types.is_temporal(kind):
        _require_finite(name, array, within=within)
    elif pa.types.is_struct(kind):
        for i, child in enumerate(array.flatten()):
            nullable = kind.field(i).nullable or bool(array.null_count)
            _look(name, kind.field(i).with_nullable(nullable), child, within=True)
    elif pa.types.is_map(kind):
        _look(name, kind.key_field, array.keys, within=True)
        _look(name, kind.item_field, array.items, within=True)
    elif kind.num_fields:
        _look(name, kind.value_field.with_nullable(True), array.flatten(), within=True)


def _require_finite(name: str, array: pa.Array, *, within: bool) -> None:
    """Refuse dates and times that are none of Python's or pandas'; ``within`` nested values they are Python's."""
    kind = array.type
    bits = pa.int32() if kind.bit_width == 32 else pa.int64()
    least, most = pc.min_max(array.view(bits)).as_py().values()
    if least is None:
        return
    first, last = _range(kind, within=within)
    if least < first or most > last:
        named = pa.types.is_date(kind) or within or last < _ENDLESS - 1
        dates = "a date outside of the years 1 to 9999" if named else "a time without an end"
        what = "a duration out of range" if pa.types.is_duration(kind) else dates
        raise lossy(name, f"{what} ({kind})", "Make infinite and impossible values missing, or the column text.")


def _range(kind: pa.DataType, *, within: bool) -> tuple[int, int]:
    """The least and the largest value of a type, in its own unit."""
    if kind == pa.date32():
        return _DAYS
    day = 86_400_000 if kind == pa.date64() else 86_400 * _PER_SECOND[kind.unit]
    if kind == pa.date64():
        return day * _DAYS[0], day * _DAYS[1]
    if pa.types.is_duration(kind):
        most = min(_ENDLESS, day * 999_999_999) if within else _ENDLESS
        return -most, most
    if kind.tz is not None or within:  # a day less at each end, for the zone
        return max(-_ENDLESS + 1, day * (_DAYS[0] + 1)), min(_ENDLESS - 1, day * _DAYS[1] - 1)
    return -_ENDLESS + 1, _ENDLESS - 1


def _require_microseconds(name: str, array: pa.Array) -> None:
    """Python's times of day end at microseconds; a finer one would be cut off wherever a cell looks at it."""
    if array.type != pa.time64("ns"):
        return
    whole = array.view(pa.int64())
    if not pc.all(pc.equal(pc.multiply(pc.divide(whole, 1000), 1000), whole)).as_py():
        hint = "Cast it to time64('us'), or to int64 to keep the nanoseconds."
        raise lossy(name, "times of day with nanoseconds", hint)
