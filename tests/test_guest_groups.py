"""Sizes of groups: which results are of groups that are large enough, and which show a person's value."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize("script", ["group_shapes.py", "group_chains.py"])
def test_results_of_large_groups_leave_and_nothing_about_a_person_does(script: str) -> None:
    """Cross tables, pivots and what is made of them leave whole; rows of persons do not, whatever they are called."""
    done = subprocess.run([sys.executable, str(HERE / script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
