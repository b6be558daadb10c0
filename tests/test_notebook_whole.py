"""Whole notebooks: one review of all cells, the same results as plain pandas, receipts in the executed file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from e2e import World, needs_sandbox, patients, world

from sls_jupyter.errors import AccessDenied, ApprovalPending, BadInput, UnknownName
from sls_jupyter.notebook import executed, receipts, whole
from sls_jupyter.notebook.commands import COMMANDS, Context
from sls_jupyter.notebook.parsers import command_parsers
from sls_jupyter.receipt.chain import verify_chain
from sls_jupyter.receipt.files import receipts_in, verify_file
from sls_jupyter.session.notebooks import NotebookOptions, read_notebook

__all__ = ["world"]
pytestmark = needs_sandbox
CODES = [
    "adults = {0}[{0}.age >= 40]\nprint(len(adults))",
    "risk = adults.groupby('sex').age.mean()",
    "risk = risk.round(1)\nrisk",
]
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
MEMORY = ["--memory", "768M"]


@pytest.fixture(autouse=True)
def closed(world: World) -> Iterator[None]:
    yield
    for name, _ in world.analyst.driven_sessions():
        world.analyst.close_here(name)


def write(folder: Path, codes: list[str], **asked: Any) -> Path:
    cells: list[dict[str, Any]] = [{"cell_type": "markdown", "metadata": {}, "source": "# Risk"}]
    cells += [
        {"cell_type": "code", "metadata": {}, "source": one, "outputs": [], "execution_count": None} for one in codes
    ]
    for number, cell in enumerate(cells):
        cell["id"] = f"c{number}"
    path = folder / "analysis.ipynb"
    path.write_text(
        json.dumps(
            {
                "nbformat": 4,
                "nbformat_minor": 5,
                "metadata": {"kernelspec": KERNEL} | ({"sls": asked} if asked else {}),
                "cells": cells,
            }
        )
    )
    return path


def run(world: World, path: Path, *words: str) -> tuple[Any, dict[str, Any]]:
    out = path.with_name("out.ipynb")
    options = command_parsers()["run"].parse([str(path), "--to-file", str(out), *MEMORY, *words])
    card = whole.run(world.analyst, options, lambda _: None)
    return card, json.loads(out.read_text())


def test_a_notebook_is_reviewed_once_and_runs_as_pandas_would(world: World, tmp_path: Path) -> None:
    """One page for the owner; each output in its cell; a receipt for each cell; the second time nobody is asked."""
    world.seal("whole_reviewed", allow_code="reviewed", kinds="table,text,figure")
    codes = [one.format("whole_reviewed") for one in CODES]
    path = write(tmp_path, codes, input=["whole_reviewed"], purpose="reviewed once", output=["risk"])
    with pytest.raises(ApprovalPending):
        run(world, path)
    assert not path.with_name("out.ipynb").exists()
    waiting = [one for one in world.hospital.requests(waiting=True) if one.spec.purpose == "reviewed once"]
    assert [one.mine_to_decide for one in waiting] == [True]
    world.hospital.approve(waiting[0].id)
    for _ in range(2):
        card, found = run(world, path)
        assert card.tone == "good", str(card)
    cells = found["cells"]
    adults = patients()[patients().age >= 40]
    assert cells[1]["outputs"][0]["text"] == f"{len(adults)}\n"
    expected = adults.groupby("sex").age.mean().round(1)
    assert str(expected.iloc[0]) in json.dumps(cells[3]["outputs"])
    assert cells[-1]["metadata"]["tags"] == [executed.VERDICT_TAG]
    assert "ran whole · 3 of 3 cells · SIMULATED" in cells[-1]["source"]
    assert "one chain" in cells[-1]["source"]
    inside = receipts_in(path.with_name("out.ipynb"))
    verdicts = [verify_file(one, accept_simulated=True, anchors=world.analyst.anchors) for one in inside]
    assert all(check.ok for check in verify_chain(verdicts))
    ran = str(path.with_name("out.ipynb"))
    options = command_parsers()["verify"].parse([ran, "--accept-simulated"])
    (shown,) = COMMANDS["verify"](Context(world.analyst, options))
    assert "3 receipts" in str(shown)
    empty = command_parsers()["verify"].parse([str(path)])
    with pytest.raises(BadInput, match="no receipts"):
        COMMANDS["verify"](Context(world.analyst, empty))
    nbformat = pytest.importorskip("nbformat")
    nbformat.validate(nbformat.from_dict(found))
    pd.testing.assert_series_equal(world.analyst.result(cells[3]["metadata"]["sls"]["run"])["risk"], expected)


def verified(world: World, path: Path, book: dict[str, Any]) -> dict[str, bool]:
    """The checks of what somebody made of an executed notebook."""
    path.write_text(json.dumps(book))
    options = command_parsers()["verify"].parse([str(path), "--accept-simulated"])
    checks = receipts.judge_all(receipts.read_all(str(path)), options).checks
    assert str(COMMANDS["verify"](Context(world.analyst, options))[0]).count("outputs in this notebook") == 1
    return {check.name: check.ok for check in checks if check.name in ("numbers", "code", "cells")}


def test_receipts_of_another_notebook_prove_nothing_of_this_one(world: World, tmp_path: Path) -> None:
    """Whoever has an executed notebook can write other code above its receipts, or a result into a cell that never ran."""
    _, found = run(world, write(tmp_path, ["a = len(free)\na", "a + 1 "], input=["free"]))
    path, good = tmp_path / "changed.ipynb", {"numbers": True, "code": True, "cells": True}
    assert verified(world, path, found) == good
    for change, failed in (
        (lambda cells: cells[1].update(source="a = 10\na"), {"code"}),
        (lambda cells: cells[1].update(cell_type="markdown", source="nothing"), {"code"}),
        (lambda cells: cells[2]["metadata"].pop("sls"), {"cells"}),
        (lambda cells: cells.insert(2, {**cells[2], "metadata": {}}), {"cells"}),
        (lambda cells: cells.insert(3, cells[2]), {"numbers"}),
    ):
        book = json.loads(json.dumps(found))
        change(book["cells"])
        assert verified(world, path, book) == {name: name not in failed for name in good}


def test_a_cell_that_fails_ends_it_and_says_where(world: World, tmp_path: Path) -> None:
    """What ran before is there, the failed cell has its error, the rest is empty, and no session stays open."""
    path = write(tmp_path, ["a = len(free)\na", "a / 0", "a"], input=["free"])
    card, found = run(world, path)
    assert card.incomplete
    outputs = [cell.get("outputs") for cell in found["cells"][1:4]]
    assert outputs[0]
    assert outputs[1][-1]["output_type"] == "error"
    assert outputs[2] == []
    assert "ended in cell 2 · 1 of 3 cells" in found["cells"][-1]["source"]
    assert not any(one.is_open for one in world.analyst.sessions())


def test_what_is_not_allowed_launches_nothing(world: World, tmp_path: Path) -> None:
    """A denial, a slip in a cell or in the metadata: told before any group is made."""
    world.seal("whole_denied", purpose=["another purpose"])
    with pytest.raises(AccessDenied):
        run(world, write(tmp_path, ["len(whole_denied)"]), "-i", "whole_denied", "--purpose", "risk")
    with pytest.raises(UnknownName, match="fre, which nothing makes"):
        run(world, write(tmp_path, ["len(free)", "len(fre)"], input=["free"]))
    with pytest.raises(BadInput, match="names no sealed table"):
        run(world, write(tmp_path, ["1 + 1"]))
    with pytest.raises(BadInput, match="metadata"):
        run(world, write(tmp_path, ["1 + 1"], inputs=["free"]))
    path = write(tmp_path, ["len(free)"], input=["free"])
    onto_itself = command_parsers()["run"].parse([str(path), "--to-file", str(path)])
    with pytest.raises(BadInput, match="would replace"):
        whole.run(world.analyst, onto_itself, lambda _: None)
    assert not (tmp_path / "out.ipynb").exists()


def test_papermill_runs_it_with_its_parameters(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``papermill --engine safestream``: parameters reach the group, outputs their cells, a failure papermill."""
    import papermill

    from sls_jupyter.notebook import engine

    monkeypatch.setattr(engine, "session_for", lambda _: world.analyst)
    path = write(tmp_path, ["least = 30", "n = int((free.age >= least).sum())\nn"], input=["free"], memory="768M")
    book = json.loads(path.read_text())
    book["cells"][1]["metadata"] = {"tags": ["parameters"]}
    path.write_text(json.dumps(book))
    out = tmp_path / "pm.ipynb"
    options = {"engine_name": "safestream", "kernel_name": "python3", "progress_bar": False}
    papermill.execute_notebook(str(path), str(out), parameters={"least": 60}, **options)
    found = json.loads(out.read_text())
    shown = next(cell for cell in found["cells"] if "least).sum()" in "".join(cell["source"]))
    assert "".join(shown["outputs"][0]["data"]["text/plain"]) == str(int((patients().age >= 60).sum()))
    assert "ran whole" in "".join(found["cells"][-1]["source"])
    failing = write(tmp_path, ["free.age.sum() / 0 / None"], input=["free"], memory="768M")
    with pytest.raises(papermill.PapermillExecutionError):
        papermill.execute_notebook(str(failing), str(out), **options)


def test_every_option_of_the_metadata_is_one_of_the_line(tmp_path: Path) -> None:
    """What a notebook may say of itself is what the command may say of it."""
    known = {action.dest for action in command_parsers()["run"]._actions}
    assert set(NotebookOptions.model_fields) <= known
    path = write(
        tmp_path, ["1"], input=["a"], tee=["sev-snp", "tdx"], kinds=["table"], cpu=2, time="5m", output=["x", "y"]
    )
    own = whole._merged(whole.options_of(read_notebook(path)), None)
    assert (own.input, own.tee, own.kinds, own.cpu, own.time, own.output) == (
        ["a"],
        ["sev-snp", "tdx"],
        ["table"],
        2,
        300,
        ["x", "y"],
    )
    line = command_parsers()["run"].parse(["x.ipynb", "-i", "b", "--cpu", "3"])
    both = whole._merged(whole.options_of(read_notebook(path)), line)
    assert (both.input, both.cpu, both.output) == (["b"], 3, ["x", "y"])
    odd = write(tmp_path, ["1"], input=["--host=x"], purpose="-h", host="--help")
    said = whole._merged(whole.options_of(read_notebook(odd)), None)
    assert (said.input, said.purpose, said.host) == (["--host=x"], "-h", "--help")  # no value is an option
