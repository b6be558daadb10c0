"""What is sealed beside pandas frames comes back in a real group as it went in, or was refused before it was published."""

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from e2e import needs_sandbox, world

from sls_jupyter.errors import BadInput, UnsealableData

__all__ = ["world"]
pytestmark = needs_sandbox
BIG = 2**60 + 1
OPEN = {"kinds": "table,text", "full_errors": True}


def test_a_csv_file_with_everything(world, tmp_path):
    """Line breaks within quotes, missing text, long numbers: what pandas reads there is what the cell has here."""
    text = 'id,city,"weight, kg",long\n1,Rome,70.5,12345678901234567891\n,,,\n3,"New\nYork",NA,18446744073709551615\n'
    (tmp_path / "t.csv").write_text(text)
    world.seal("sources_csv", tmp_path / "t.csv", **OPEN)
    cell = "got = x\nkinds = ' '.join(map(str, x.dtypes))"
    ended = world.do(cell, ["sources_csv=x"], outputs=["got", "kinds"])
    got = ended.outputs["got"]
    assert ended.outputs["kinds"].split()[0] == "Int64"
    assert got["city"].isna().tolist() == [False, True, False]
    assert got["city"][2] == "New\nYork"
    assert [int(one) for one in got["long"].dropna()] == [12345678901234567891, 18446744073709551615]


def test_identifiers_of_polars_duckdb_and_arrow(world):
    """Every digit, beside a null, at the top and within lists and structs."""
    made = {
        "sources_polars": pl.DataFrame(
            {"id": [BIG, None], "ids": [[BIG, None], None], "one": [{"id": BIG}, {"id": None}]}
        ),
        "sources_duckdb": duckdb.sql(
            f"select {BIG} id, [{BIG}, null] ids, {{'id': {BIG}}} one union all select null, null, {{'id': null}}"
        ).order("id"),
        "sources_arrow": pa.table({"id": [BIG, None], "ids": [[BIG, None], None], "one": [{"id": BIG}, {"id": None}]}),
    }
    for name, data in made.items():
        world.seal(name, data, **OPEN)
    cell = "".join(f"{name}_ = str([int({name}.id[0]), int({name}.ids[0][0]), {name}.one[0]['id']])\n" for name in made)
    ended = world.do(cell, list(made), outputs=[f"{name}_" for name in made])
    assert set(ended.outputs.values()) == {str([BIG] * 3)}


def test_a_column_with_a_comma_is_picked_and_granted(world):
    """By quotes, or by the names that the table has; the other columns stay where they are."""
    table = pa.table({"weight, kg": [70.5], "age": [30], "name": ["x"]})
    world.seal("sources_comma", table, columns="'weight, kg',age", **OPEN)
    cell = "got = ' '.join(x.columns)"
    for picked in ("'weight, kg'", "weight, kg"):
        assert world.do(cell, [f"sources_comma=x:{picked}"], outputs=["got"]).outputs["got"] == "weight, kg"
    assert world.do(cell, ["sources_comma=x"], outputs=["got"]).outputs["got"] == "weight, kg age"


def test_what_cannot_be_opened_is_not_published(world):
    """The refusal names the column; the catalogue has no such asset."""
    odd = {
        "late infinite date": pa.table({"day": pa.chunked_array([[0] * 9, [2**31 - 1]], pa.int32()).cast(pa.date32())}),
        "objects": pl.DataFrame({"day": pl.Series(["a", 5], dtype=pl.Object)}),
    }
    for data in odd.values():
        with pytest.raises(UnsealableData, match="'day'"):
            world.seal("sources_odd", data, **OPEN)
    assert "sources_odd" not in [info.name for info in world.hospital.assets()]


def test_names_are_refused_before_anybody_is_asked(world):
    """An odd alias, and a parameter that would take a table's place."""
    for inputs, parameters in ((["free=größe"], {}), (["free=p"], {"p": 5}), (["free=p"], {"größe": 5})):
        with pytest.raises(BadInput, match=r"größe|parameter p"):
            world.analyst.prepare("got = 1", inputs, outputs=["got"], parameters=parameters)


@pytest.mark.parametrize("columns", ["", ":odd,fine"])
def test_an_input_that_cannot_be_opened_says_so_by_alias_and_column(world, columns, monkeypatch):
    """An owner's other version, or a hostile owner, sealed what makes no frame: the run ends at once, with its name."""
    monkeypatch.setattr("sls_jupyter.assets.sources._guarded", lambda source: source)
    monkeypatch.setattr("sls_jupyter.assets.sealing.check_opens", lambda *_: None, raising=False)
    times = pa.array([[1], None], pa.list_(pa.time64("ns")))  # Python's times end at microseconds
    table = pa.table({"kept back": [1, 2], "fine": [1, 2], "odd": times})
    world.seal("sources_unopened", table, columns="fine,odd", **OPEN)
    ended = world.do("got = 1", [f"sources_unopened=x{columns}", "free=y"], outputs=["got"])
    assert "input x" in ended.error.message
    assert "'odd'" in str(ended.error)
    assert ended.seconds < 30
