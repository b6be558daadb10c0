"""A whole run through the host on ACI: same outputs and promises as on this machine, and nothing billed after it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from sls_jupyter import cli
from sls_jupyter.contract import cce
from sls_jupyter.contract.group import group_for
from sls_jupyter.contract.image import installed_image
from sls_jupyter.errors import ProgramFailed, RunCancelled, Unavailable
from sls_jupyter.hosts.aci.launch import Pace
from sls_jupyter.notebook.commands import COMMANDS, Context
from sls_jupyter.notebook.parsers import command_parsers
from tests.aci_judging import UtilityVm
from tests.aci_kit import arm
from tests.aci_kit_plain import settings
from tests.aci_landing import Landing, Rehearsal
from tests.aci_standin import Azure, serving
from tests.contract_kit import IMAGE
from tests.e2e import LIMITS, Ended, World, finish, until

PATIENT = LIMITS.model_copy(
    update={"wall_seconds": 100, "cpu_seconds": 60}
)  # the stand-in takes its time on a busy machine


def do(world: World, code: str, **options: Any) -> Ended:
    return finish(world.start(code, limits=PATIENT, **options), 150)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("home"))
    made.seal("free")
    yield made
    made.close()


@pytest.fixture
def azure(world: World) -> Iterator[Azure]:
    landing = Landing(world.analyst.machine)
    image = installed_image()
    with serving(Azure(UtilityVm({image.reference: image.layers}), landing)) as found:
        host = Rehearsal("aci", settings(), arm=arm(found), pace=Pace(120, 0.2))
        host.landing = landing
        world.analyst.hosts = {"aci": host}
        yield found
        assert found.billed() == []
        assert found.refused == []


pytestmark = pytest.mark.timeout(300)


def test_a_cell_runs_there(world, azure):
    """Plan, approval, group, evidence at both doors, keys, gate, receipt: all of it through ACI's calls."""
    ended = do(world, "total = free.groupby('sex', as_index=False).age.mean()\nprint('done')", outputs=["total"])
    run = ended.run
    assert run.state == "done", run.error
    assert list(run.outputs["total"].columns) == ["sex", "age"]
    assert run.receipt is not None
    assert "aci" in run.steps["launched"].detail
    assert len(azure.creates) == len(set(azure.creates)) == 1
    assert len(azure.deletes) == 1


def test_a_cell_that_fails_leaves_nothing(world, azure):
    """The end that costs most is the one that nobody looks at."""
    run = do(world, "1 / 0").run
    assert isinstance(run.error, ProgramFailed)
    assert azure.billed() == []


def test_a_cancelled_run_leaves_nothing(world, azure):
    """An interrupt ends the bill."""
    run = world.start("import time; time.sleep(60)", limits=PATIENT)
    until(lambda: run.steps["running"].state == "active", "the cell runs", 100)
    run.cancel()
    assert isinstance(run.error, RunCancelled)
    assert azure.billed() == []


def test_a_group_that_does_not_start_ends_the_run_with_the_reason(world, azure):
    """The status block says what Azure said, and what to do."""
    azure.fail(
        "operation",
        code="Failed",
        message="The requested resource is not available in the location 'x' at this moment.",
    )
    run = finish(world.start("1")).run
    assert isinstance(run.error, Unavailable)
    assert run.steps["launched"].state == "failed"
    assert "no room" in run.steps["launched"].detail
    assert "another region" in run.error.hint


def test_a_lost_answer_in_a_whole_run_bills_once(world, azure):
    """The network breaks in the one moment in which a second group could be made."""
    azure.fail("lost")
    run = do(world, "x = free.head(1)", outputs=["x"]).run
    assert run.state == "done", run.error
    assert len(azure.creates) == 1


def test_preflight_tells_what_such_a_run_rests_on(world, azure):
    """Before anybody is asked to review: an authority on a loopback serves nobody in Azure."""
    options = command_parsers()["preflight"].parse(["-i", "free", "--host", "aci"])
    decided, tried = COMMANDS["preflight"](Context(world.analyst, options, namespace={}))
    assert "Preflight" in str(decided)
    assert "not ok" in str(tried)
    assert "127.0.0.1 is no public address" in " ".join(str(tried).split())
    assert "sls authority serve" in " ".join(str(tried).split())
    assert azure.creates == []


def test_a_request_is_exported_by_the_command_line(world, azure, monkeypatch, capsys, tmp_path):
    """What the inbox shows can be deployed by other means, and is the group that authorities expect."""
    run = do(world, "y = free.head(1)", outputs=["y"]).run
    request = world.analyst.request(run.summary.get("request") or world.analyst.requests()[0].id)
    world.analyst.add_host("azure", settings())
    monkeypatch.setenv("SLS_HOME", str(world.root))
    file = tmp_path / "group.json"
    arguments = ["export", "arm", request.id, "--host", "azure", "--output", str(file), "--persona", "analyst"]
    assert cli.main(arguments) == 0, capsys.readouterr().err
    body = json.loads(file.read_text())["resources"][0]
    policy = base64.b64decode(body["properties"]["confidentialComputeProperties"]["ccePolicy"])
    assert policy == cce.render(group_for(request.spec, IMAGE))
    assert cli.main(["export", "bicep", request.id, "--host", "azure", "--persona", "analyst"]) == 0
    assert "resource group 'Microsoft.ContainerInstance" in capsys.readouterr().out
