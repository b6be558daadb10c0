"""What a crash left behind is found by its tag and deleted; what is not ours is not touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from sls_jupyter.contract import cce
from sls_jupyter.hosts.aci.sweep import delete, leftovers
from tests.aci_answers import Group
from tests.aci_kit import FAST, arm, group, host
from tests.aci_standin import Azure, serving

_CRASH = """
import os, sys, time
sys.path.insert(0, "tests")
from tests.aci_kit import group, host
from sls_jupyter.contract import cce
from types import SimpleNamespace
made = group()
running = host(SimpleNamespace(url=sys.argv[1])).launch(made, cce.render(made))
print(running.name, flush=True)
if sys.argv[2] == "end":
    sys.exit(0)
if sys.argv[2] == "raise":
    raise RuntimeError("a bug in a notebook")
time.sleep(60)
"""


@pytest.fixture
def azure() -> Iterator[Azure]:
    with serving(Azure()) as found:
        yield found


def in_a_process(azure: Azure, ending: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _CRASH, azure.url, ending]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


@pytest.mark.parametrize("ending", ["end", "raise"])
def test_a_group_ends_with_its_interpreter(azure, ending):
    """A script that ends, or fails, leaves nothing that costs money."""
    with in_a_process(azure, ending) as child:
        assert child.stdout is not None
        assert child.stdout.readline().startswith("sls-")
        child.wait(60)
    assert azure.billed() == []


def test_a_killed_process_leaves_a_group_that_the_sweep_finds(azure):
    """Nobody can clean up after SIGKILL but the next one who looks."""
    with in_a_process(azure, "sleep") as child:
        assert child.stdout is not None
        name = child.stdout.readline().strip()
        os.kill(child.pid, signal.SIGKILL)
        child.wait(60)
    assert azure.billed() == [name]
    now = datetime.now(UTC)
    (found,) = leftovers(arm(azure), now)
    assert (found.name, found.region) == (name, "northeurope")
    assert found.age is not None
    assert timedelta(0) <= found.age < timedelta(minutes=30)
    assert leftovers(arm(azure), now, timedelta(hours=1)) == ()
    assert delete(arm(azure), found, FAST) == ""
    assert azure.billed() == []


def test_what_is_not_ours_is_not_listed(azure):
    """Other people's groups are in the same resource group."""
    made = group()
    running = host(azure).launch(made, cce.render(made))
    asked = azure.groups[running.name].asked
    azure.groups["theirs"] = Group("theirs", {**asked, "tags": {"sls-jupyter": "something else"}})
    azure.groups["untagged"] = Group("untagged", {**asked, "tags": {}})
    azure.groups["undated"] = Group(
        "undated", {**asked, "tags": {"sls-jupyter": "container-group", "sls-created": "yesterday"}}
    )
    found = leftovers(arm(azure), datetime.now(UTC))
    assert [one.name for one in found] == ["undated", running.name]
    assert found[0].age is None
    running.stop()


def test_a_deletion_that_fails_says_so(azure):
    """The list is not called clean while something is billed."""
    made = group()
    running = host(azure).launch(made, cce.render(made))
    azure.fail("answer DELETE", 10**6, status=403, code="AuthorizationFailed", message="no")
    (found,) = leftovers(arm(azure), datetime.now(UTC))
    assert "does not let you" in delete(arm(azure), found, FAST)
    azure.failures.clear()
    running.stop()
