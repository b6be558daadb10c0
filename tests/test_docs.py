"""What the documents promise exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_every_row_of_the_threat_model_names_a_module_and_a_test_that_exist():
    """A security officer who follows a row finds the code and its test."""
    for line in (ROOT / "docs" / "threat-model.md").read_text().splitlines():
        for name in re.findall(r"`([a-z_]+/[a-z_/]+\.(?:py|rego))`", line):
            assert (ROOT / "sls_jupyter" / name).exists(), name
        for name in re.findall(r"`(test_[a-z_*]+\.py)`", line):
            assert list((ROOT / "tests").glob(name)), name


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_relative_links_lead_somewhere(path):
    """No link of the documentation is dead."""
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_the_rooms_in_the_architecture_page_are_the_rooms_there_are():
    """The table of contents of the code is complete."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    for folder in (ROOT / "sls_jupyter").iterdir():
        if folder.is_dir() and not folder.name.startswith("_"):
            assert f"`{folder.name}/`" in text, folder.name
