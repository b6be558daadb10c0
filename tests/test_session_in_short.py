"""What a request has that an earlier one had not, in few words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from e2e import World, patients

from sls_jupyter.contract.cells import CellOrder, CellTerms
from sls_jupyter.contract.proposal import CellText
from sls_jupyter.contract.spec import Limits, SessionTerms
from sls_jupyter.documents import digest
from sls_jupyter.guest.parameters import pack_parameters
from sls_jupyter.session.differing import besides, compared_cells
from sls_jupyter.session.in_short import in_short
from sls_jupyter.session.material import Material

CELL = "if x:\n    y = 1\nz = 2"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("short") / "home")
    made.seal("patients", patients(20), allow_code="reviewed", requester=None, columns="age,sex")
    made.seal("other", patients(5), allow_code="reviewed", requester=None)
    yield made
    made.close()


def material(
    world: World, code: str = CELL, inputs: tuple[str, ...] = ("patients:age",), **options: object
) -> Material:
    request = world.analyst.prepare("y = 0", list(inputs), **options)  # type: ignore[arg-type]
    return Material(request.spec, code, request.parameters)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "nothing"),
        ({"code": CELL + "\n"}, "only white space"),
        ({"code": CELL.replace("= 2", "=  2")}, "only white space"),
        ({"code": CELL.replace("z", "    z")}, "only white space, which Python reads"),
        ({"code": CELL.replace("2", "3")}, "one line"),
        ({"code": "w = 0\n" + CELL.replace("2", "3")}, "2 lines"),
        ({"code": "pass\n" * 1500}, "1,500 lines"),
        ({"limits": Limits(wall_seconds=60)}, "limits lower"),
        ({"limits": Limits(wall_seconds=6_000)}, "limits higher"),
        ({"limits": Limits(wall_seconds=60, cpus=2)}, "limits higher, limits lower"),
        ({"inputs": ("patients:age,sex",)}, "more columns"),
        ({"inputs": ("patients",)}, "more columns"),
        ({"inputs": ("patients:sex",)}, "other columns"),
        ({"inputs": ("patients:age", "other")}, "more assets"),
        ({"inputs": ("other=patients:age",)}, "another asset or version"),
        ({"outputs": ["y"]}, "results"),
        ({"kinds": ["table"]}, "kinds of output"),
        ({"purpose": "care"}, "purpose"),
        ({"tees": ["simulated-snp", "sev-snp"]}, "TEEs"),
        ({"parameters": {"n": 3}}, "parameters"),
        ({"recipients": ["hospital"]}, "recipients"),
        ({"code": CELL + "\nw = 1", "purpose": "care", "limits": Limits(cpus=2)}, "one line, limits higher, purpose"),
    ],
)
def test_each_change_is_a_word_or_two(world: World, options: dict[str, object], words: str) -> None:
    """Whatever the terms name is named when it is another."""
    assert in_short(material(world, **options), material(world), ()) == words
    assert in_short(material(world), material(world, inputs=("patients",)), ()) == "fewer columns"


def session(world: World, *cells: tuple[str, dict[str, object], tuple[str, ...]], **changes: object) -> Material:
    """A notebook of these cells: code, parameters and results of each."""
    spec = world.analyst.prepare("pass", ["patients"]).spec
    terms = SessionTerms(cells=20, **changes)  # type: ignore[arg-type]
    spec = spec.model_copy(update={"code": None, "parameters": None, "outputs": (), "session": terms})
    texts = tuple(CellText(code, pack_parameters(given)) for code, given, _ in cells)
    order = CellOrder.model_construct(
        requester=spec.requester,
        session=spec.digest,
        previous=None,
        cells=tuple(
            CellTerms(code=digest(text.code.encode()), parameters=digest(text.parameters), outputs=outputs)
            for text, (_, _, outputs) in zip(texts, cells, strict=True)
        ),
        issued_at=0,
        expires_at=1,
    )
    return replace(Material(spec, texts[-1].code, texts[-1].parameters, order), before=texts[:-1])


def test_notebooks_are_compared_cell_by_cell(world: World) -> None:
    """Cells that changed by their lines, those that came and went by their number, and what each is given."""
    first, second = ("a = 1\nb = 2", {}, ()), ("c = n", {"n": 1}, ())
    old = session(world, first, second)

    def said(new: Material) -> tuple[str, tuple[str, ...]]:
        return in_short(new, old, compared_cells(new, old)), besides(new, old)

    assert said(session(world, first, second)) == ("nothing", ())
    assert said(session(world, first, ("c = n", {"n": 2}, ("c",)))) == (
        "parameters, results",
        ("cell 2: parameter n: 2, was 1", "cell 2: results: c added"),
    )
    assert said(session(world, ("a = 1\nb = 3", {}, ()), second))[0] == "one line"
    assert said(session(world, first, second, ("d = 3", {}, ())))[0] == "one cell new"
    assert said(session(world, second)) == ("one cell gone", ())
    assert said(session(world, first, second, idle_seconds=60))[0] == "session shorter or smaller"
