"""The output gate: nothing leaves beyond kinds, rows, bytes and group sizes, in whatever it is wrapped."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.assets.frames import frame_schema
from sls_jupyter.contract.grants import Obligations
from sls_jupyter.contract.spec import KINDS
from sls_jupyter.guest.gate import GROUP_SIZE_COLUMN, BytesLimit, Gate, Table
from sls_jupyter.guest.tables import anew, has_only_known_types, written_bytes

kinds = st.sets(st.sampled_from(KINDS)).map(lambda chosen: tuple(kind for kind in KINDS if kind in chosen))
small = st.one_of(st.none(), st.integers(1, 6))
obligations = st.builds(Obligations, kinds=kinds, min_group=small, max_rows=small, max_bytes=st.integers(0, 4000))
tables = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["a", "b", "rare"])), max_size=12)


def sized(rows: list[tuple[int, str]]) -> pa.Table:
    sizes, names = [size for size, _ in rows], [name for _, name in rows]
    encoded = pa.array(names, pa.string()).dictionary_encode()
    return pa.table({"kind": encoded, GROUP_SIZE_COLUMN: pa.array(sizes, pa.int64())})


@settings(deadline=None, max_examples=150)
@given(rules=obligations, rows=tables)
def test_no_table_leaves_beyond_the_rules(rules: Obligations, rows: list[tuple[int, str]]) -> None:
    """Whatever a table holds, what leaves has allowed rows about large enough groups, and no other words."""
    gate = Gate(rules)
    try:
        found = gate.table("x", "frame", sized(rows))
    except BytesLimit:
        assert rules.max_bytes is not None
        return
    kept = [name for size, name in rows if rules.min_group is None or size >= rules.min_group][: rules.max_rows]
    if found is None:
        assert "table" not in rules.kinds
        return
    assert found.table["kind"].to_pylist() == kept
    assert found.table.column_names == ["kind"]
    assert gate.released_bytes <= (rules.max_bytes or 0)
    if rules.min_group or rules.max_rows:
        words = {word for chunk in found.table["kind"].chunks for word in chunk.dictionary.to_pylist()}
        assert words == set(kept)


@settings(deadline=None, max_examples=100)
@given(several=st.lists(obligations, min_size=1, max_size=4), rows=tables)
def test_the_strictest_of_several_grants_wins(several: list[Obligations], rows: list[tuple[int, str]]) -> None:
    """What leaves under several owners' rules together would leave under each owner's alone."""
    together = several[0]
    for one in several[1:]:
        together = together.combine(one)

    def left(rules: Obligations) -> Table | None:
        return Gate(rules.model_copy(update={"max_bytes": None})).table("x", "frame", sized(rows))

    found = left(together)
    if found is not None:
        for one in several:
            alone = left(one)
            assert alone is not None
            assert found.table.num_rows <= alone.table.num_rows


@settings(deadline=None, max_examples=100)
@given(rules=obligations, texts=st.lists(st.text(max_size=400), max_size=8))
def test_text_leaves_up_to_the_bytes_allowed(rules: Obligations, texts: list[str]) -> None:
    """Many small prints are counted like one large one."""
    gate, left = Gate(rules), []
    try:
        for text in texts:
            left.append(gate.text(text))
    except BytesLimit:
        pass
    released = sum(len(text.encode()) for text in left if text is not None)
    assert released <= (rules.max_bytes or 0)
    assert "text" in rules.kinds or released == 0


def test_a_schema_carries_nothing_but_names_and_types() -> None:
    """Metadata is not a row, so no limit of rows would hold it."""
    secret = {"note": "patient 7"}
    table = pa.table({"a": [1]}).replace_schema_metadata(secret)
    table = pa.table([table["a"]], schema=pa.schema([pa.field("a", pa.int64(), metadata=secret)], metadata=secret))
    found = Gate(Obligations()).table("x", "arrow", table)
    assert found is not None
    assert not found.table.schema.metadata
    assert found.table.schema.field("a").metadata is None


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["x" * 100]).cast(pa.string_view()),
        pa.RunEndEncodedArray.from_arrays(pa.array([10], pa.int32()), pa.array([1])),
        pa.array([[1]], pa.list_view(pa.int64())),
    ],
    ids=["view", "run lengths", "list view"],
)
def test_types_that_unfold_do_not_leave(column: Any) -> None:
    """A few bytes that fill a recipient's memory are refused."""
    assert not has_only_known_types(pa.schema([("a", column.type)]))
    gate = Gate(Obligations())
    assert gate.table("x", "arrow", pa.table({"a": column})) is None
    assert gate.withheld["unsafe"] == 1


def test_a_column_of_nothing_counts_its_rows() -> None:
    """A trillion nulls have no bytes and would still be a trillion rows at the recipient."""
    assert written_bytes(pa.table({"a": pa.nulls(10_000)})) >= 10_000


def test_frames_with_intervals_and_categories_come_through() -> None:
    """The commonest honest result, a grouped ``pd.cut``, keeps its dtypes at the gate."""
    frame = pd.DataFrame({"age": pd.cut(pd.Series([1, 5, 9]), 3), "v": [1.0, 2.0, 3.0]})
    table = pa.Table.from_pandas(frame.astype({"age": str})).append_column(
        "c", pa.array(["a", "b", "a"]).dictionary_encode()
    )
    assert has_only_known_types(table.schema)
    assert has_only_known_types(frame_schema(frame))
    kept = anew(table.filter(pa.array([True, False, True])), "arrow", whole=False)
    assert kept["c"].chunk(0).dictionary.to_pylist() == ["a"]
    assert kept["c"].to_pylist() == ["a", "a"]


def test_a_list_in_a_row_is_not_a_group() -> None:
    """``agg(list)`` would bring every patient's value out in a row that describes many."""
    table = pa.table({"values": [[1, 2, 3]], GROUP_SIZE_COLUMN: [300]})
    gate = Gate(Obligations(min_group=10))
    assert gate.table("x", "frame", table) is None
    assert Gate(Obligations()).table("x", "frame", table) is not None


@pytest.mark.parametrize("name", ["n", "count", "size", "group_size"])
def test_a_column_of_the_data_tells_no_sizes(name: str) -> None:
    """The size of a tumour is not the size of a group, whatever the column is called."""
    gate = Gate(Obligations(min_group=10))
    assert gate.table("x", "frame", pa.table({"k": ["a", "b"], name: [19, 10]})) is None
    assert gate.withheld["min_group"] == 1


def test_a_figure_is_one_picture_and_a_broken_one_is_none() -> None:
    """A bundle brings a picture in several forms; the first that can be read leaves, under the kind ``figure``."""
    svg = "<svg><rect/></svg>"
    found = Gate(Obligations()).display({"image/png": "AAAA", "image/svg+xml": svg, "text/plain": "<Figure>"})
    assert found is not None
    assert list(found) == ["image/svg+xml"]
    gate = Gate(Obligations())
    assert gate.display({"image/png": "AAAA", "text/plain": "<Figure>"}) is None
    assert gate.withheld["unsafe"] == 1
    gate = Gate(Obligations(kinds=("table", "text")))
    assert gate.display({"image/svg+xml": svg}) is None
    assert gate.withheld["figure"] == 1


def test_markup_that_cannot_be_cleaned_leaves_its_plain_form() -> None:
    """A display has several forms; one that is held back does not take the others with it."""
    gate = Gate(Obligations(), clean=lambda *_: None)
    assert gate.display({"text/html": "<p>", "text/plain": "shown"}) == {"text/plain": "shown"}
    assert gate.display({"text/html": "<p>"}) is None


@pytest.mark.parametrize("value", [2**70, float("nan"), {"a": "\ud800"}])
def test_json_without_one_form_does_not_leave(value: Any) -> None:
    """A display that cannot be written would end the whole run at its last step."""
    found = Gate(Obligations()).display({"application/json": value, "text/plain": "shown"})
    assert found == {"text/plain": "shown"}


def test_deep_json_does_not_leave() -> None:
    """Nesting ends the parser of whoever reads it."""
    deep: list[Any] = []
    for _ in range(500):
        deep = [deep]
    gate = Gate(Obligations())
    assert gate.display({"application/json": deep}) is None
    assert gate.display({"application/javascript": "x()"}) is None
    assert gate.withheld["unsafe"] == 2


def test_only_the_first_error_speaks_and_only_its_known_type() -> None:
    """Names of errors are words, and a series of them is a message."""
    gate = Gate(Obligations())
    assert gate.error("patient_7", "ill", ["at line 1"]) == {"name": "Exception", "value": "", "traceback": []}
    assert gate.error("ValueError", "ill", []) is None
    assert Gate(Obligations()).error("ValueError", "ill", ["x"]) == {"name": "ValueError", "value": "", "traceback": []}
    full = Gate(Obligations(full_errors=True, max_bytes=100))
    assert full.error("Own", "why \x1b]0;title\x07", ["line"]) == {
        "name": "Own",
        "value": "why ",
        "traceback": ["line"],
    }
    with pytest.raises(BytesLimit):
        full.error("Own", "v" * 200, [])


@pytest.mark.parametrize(
    ("name", "bases", "told"),
    [
        ("patient_7", ["KeyError", "LookupError", "Exception"], "KeyError"),
        ("patient_7", ["patient_8", "Exception", "BaseException", "object"], "Exception"),
        ("patient_7", [], "Exception"),
        ("dict", ["object"], "Exception"),  # a known name, but of no exception
        ("OutOfBoundsDatetime", ["ValueError"], "OutOfBoundsDatetime"),
        ("ArrowInvalid", ["ValueError", "ArrowException"], "ArrowInvalid"),
        ("KeyboardInterrupt", ["BaseException"], "KeyboardInterrupt"),
    ],
)
def test_an_invented_class_leaves_as_its_nearest_known_base(name: str, bases: list[str], told: str) -> None:
    """A class that the cell names after a patient tells an analyst no more than what kind of error it is."""
    found = Gate(Obligations()).error(name, "ill", [], bases)
    assert found is not None
    assert found["name"] == told


def test_judging_changes_nothing_until_it_is_taken() -> None:
    """An end that comes while a figure is cleaned neither waits for it nor counts it."""
    gate = Gate(Obligations())
    judged = gate.judge_table("x", "arrow", pa.table({"a": [1]}))
    assert gate.verdict() == Gate(Obligations()).verdict()
    assert gate.take(judged).name == "x"
    assert gate.released == {"table": 1}


def test_more_values_than_bytes_are_refused_before_they_are_copied() -> None:
    """A column of nothing is a few bytes here and any number of rows at the recipient."""
    nothing = pa.Array.from_buffers(pa.null(), 10**12, [None])
    with pytest.raises(BytesLimit):
        Gate(Obligations(max_bytes=1000)).judge_table("x", "arrow", pa.table({"a": nothing}))


def test_the_verdict_lists_rules_and_counts() -> None:
    """An auditor reads what was applied, not only what happened to be seen."""
    gate = Gate(Obligations(kinds=("table",), max_rows=1))
    gate.text("x")
    gate.table("x", "frame", pa.table({"a": [1, 2, 3]}))
    verdict = gate.verdict()
    assert verdict["rules"]["max_rows"] == 1
    assert verdict["withheld"] == {"rows": 2, "text": 1}
    assert verdict["released"] == {"table": 1}


@pytest.mark.parametrize("limits", [{"max_rows": 1}, {"min_group": 2}])
def test_a_claimed_number_of_rows_carries_nothing_out(limits: dict[str, int]) -> None:
    """The number is the program's word: under a limit of rows it could be a row written as an integer."""
    table = pa.table({"n": [5], GROUP_SIZE_COLUMN: [5]})
    hidden = int.from_bytes(b"patient 17", "big")
    judged = Gate(Obligations(**limits)).table("", "frame", table, rows=hidden)
    assert judged is not None
    assert judged.rows_before == 1
    for rows in (-1, 0, 10**13, hidden):
        judged = Gate(Obligations()).table("", "frame", table, rows=rows)
        assert judged is not None
        assert judged.rows_before == 1
