"""What every test has, wherever the suite is started: no terminal, and interrupts. And which files come first.

A shell starts its background jobs with SIGINT ignored, and whatever they start inherits that.

Workers take whole files (``--dist loadfile``). The longest come first, or one of them would run alone at the end.
"""

from __future__ import annotations

import os
import signal

import pytest

os.environ.pop("COLUMNS", None)  # workers of the suite are given the width of a terminal
os.environ.pop("LINES", None)
os.environ["SLS_AGENT"] = "0"  # a test that wants the agent starts it for a home of its own, and ends it

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


LONG = (  # files that take half a minute and more, the longest first; those with whole runs follow
    "test_lab_browser_looks.py",
    "test_lab_browser_notebook.py",
    "test_lab_browser.py",
    "test_lab_page_browser.py",
    "test_lab_hostile_browser.py",
    "test_lab_server.py",
    "test_lab_watching.py",
    "test_agent_kernels.py",
    "test_agent.py",
    "test_promises_hostile.py",
    "test_promises_failures.py",
    "test_image_build.py",
    "test_hosts_podman_runs.py",
    "test_notebooks.py",
    "test_notebook_looks.py",
    "test_readme.py",
    "test_provenance.py",
    "test_hosts_watch.py",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In workers only: who starts the suite by hand wants the quick tests first."""
    if hasattr(config, "workerinput"):
        rank = {name: place for place, name in enumerate(LONG)}
        items.sort(
            key=lambda item: rank.get(item.path.name, len(LONG) + (not item.path.name.startswith("test_promises_")))
        )
