"""Warm sessions in the agent: a kernel that is killed takes no variable with it, and two kernels keep out of each other's way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from agent_kit import agent_home
from e2e import needs_sandbox, patients, until

from sls_jupyter.notebook import whole
from sls_jupyter.notebook.parsers import command_parsers

pytestmark = needs_sandbox
OPEN = "%%safestream --session look -i patients --memory 768M\n"
NEXT = "%%safestream --session look {}\n{}"


def test_a_session_outlives_its_kernel_and_is_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty cells in, the kernel dies: a new one goes on in the same group; its first cell opens the session anew."""
    with agent_home(monkeypatch) as home:
        hospital, analyst = home.session("hospital"), home.session("analyst")
        home.seal(hospital, analyst)
        kernel = home.kernel()
        opened = kernel.run(OPEN + "adults = patients[patients.age >= 30]\nprint(len(adults))", timeout=120)
        assert opened.error == ""
        assert "250" in opened.plain
        assert kernel.run(NEXT.format("-o n", "n = len(adults) + 1"), timeout=60).error == ""
        home.kill(kernel)
        second = home.kernel()
        assert second.run(NEXT.format("-o m", "m = n + 1\nprint(m)"), timeout=60).error == ""
        assert second.run("assert m == 252", timeout=60).error == ""
        listed = second.run("%sls sessions", timeout=60)
        assert "3 of 100" in listed.plain
        third = home.kernel()
        refused = third.run(OPEN + "1", timeout=60)
        assert refused.error == ""  # whoever opened it is gone, so it is opened anew
        assert third.run("%sls session close look", timeout=90).error == ""
        over = third.run(NEXT.format("", "adults"), timeout=60)
        assert "SessionOver" in over.error
        until(lambda: not home.containers(), "the group is gone", 30)


def test_an_interrupt_costs_the_cell_and_not_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopping a cell that takes too long keeps every variable."""
    with agent_home(monkeypatch) as home:
        hospital, analyst = home.session("hospital"), home.session("analyst")
        home.seal(hospital, analyst)
        kernel = home.kernel()
        assert kernel.run(OPEN + "kept = 7", timeout=120).error == ""
        waiting = NEXT.format("", "print('on', flush=True)\nimport time\ntime.sleep(300)")
        stopped = kernel.run(waiting, when=lambda shown: "on\n" in shown.stdout, timeout=90)
        assert "KeyboardInterrupt" in stopped.error
        assert kernel.run(NEXT.format("-o kept", "kept += 1"), timeout=60).error == ""
        assert kernel.run("assert kept == 8", timeout=60).error == ""


def forty() -> list[str]:
    """An analysis of two owners' tables in forty cells, each with what those before it left."""
    cells = ["people = patients.assign(person=range(len(patients))).merge(claims, on='person')", "steps = []"]
    cells += [
        f"part = people[people.age % 19 == {number}]\nsteps.append((len(part), float(part.cost.sum()), str(part.sex.iloc[0])))"
        for number in range(19)
    ]
    cells += [f"people['m{number}'] = people.cost.rolling({number + 2}).mean().fillna(0)" for number in range(18)]
    return [*cells, "total = people.groupby('sex')[['cost', 'm17']].sum()\ncount = len(steps)\ntotal"]


def test_forty_cells_are_what_pandas_gives_also_when_the_kernel_dies_half_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two owners' tables, a kernel that is killed after cell 20, another that goes on; and all of it as a whole notebook."""
    claims = pd.DataFrame({"person": range(300), "cost": [float(i * 37 % 101) for i in range(300)]})
    space: dict[str, Any] = {"patients": patients(), "claims": claims, "pd": pd}
    for code in forty():
        exec(code.removesuffix("\ntotal"), space)  # what a plain kernel would have
    with agent_home(monkeypatch) as home:
        hospital, insurer, analyst = home.session("hospital"), home.session("insurer"), home.session("analyst")
        home.seal(hospital, analyst)
        insurer.seal(
            claims, "claims", requester=analyst.did, tee="simulated-snp", kinds="table,text,figure", allow_code="any"
        )
        first, *rest = forty()
        kernel = home.kernel()
        opened = "%%safestream --session look -i patients -i claims --memory 768M\n"
        assert kernel.run(opened + first, timeout=120).error == ""
        for code in rest[:19]:
            assert kernel.run(NEXT.format("", code), timeout=60).error == ""
        home.kill(kernel)
        kernel = home.kernel()
        for code in rest[19:-1]:
            assert kernel.run(NEXT.format("", code), timeout=60).error == ""
        assert kernel.run(NEXT.format("-o total -o count", rest[-1]), timeout=60).error == ""
        last = next(one for one in analyst.runs() if one.session == "look")
        assert last.cell == 40
        found = analyst.result(last.id)
        pd.testing.assert_frame_equal(found["total"], space["total"])
        assert found["count"] == space["count"]
        path = tmp_path / "forty.ipynb"
        source = [
            {"cell_type": "code", "metadata": {}, "source": one, "outputs": [], "execution_count": None}
            for one in forty()
        ]
        asked = {"input": ["patients", "claims"], "output": ["total", "count"], "memory": "768M"}
        path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {"sls": asked}, "cells": source}))
        card = whole.run(analyst, command_parsers()["run"].parse([str(path)]), lambda _: None)
        assert "ran whole · 40 of 40 cells" in str(card)
        assert "one chain" in str(card)
        done = json.loads((tmp_path / "forty-ran.ipynb").read_text())["cells"][39]["metadata"]["sls"]["run"]
        pd.testing.assert_frame_equal(analyst.result(done)["total"], space["total"])
