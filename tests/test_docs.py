"""What the documents promise exists."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from sls_jupyter.cli.parser import parser
from sls_jupyter.notebook.command_words import joined
from sls_jupyter.notebook.parsers import command_parsers

ROOT = Path(__file__).resolve().parent.parent
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "specs").glob("*.md"))]
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_every_row_of_the_threat_model_names_a_module_and_a_test_that_exist():
    """A security officer who follows a row finds the code and its test."""
    for line in (ROOT / "docs" / "threat-model.md").read_text().splitlines():
        for name in re.findall(r"`([a-z_]+/[a-z_/]+\.(?:py|rego))`", line):
            assert (ROOT / "sls_jupyter" / name).exists(), name
        for name in re.findall(r"`(test_[a-z_*]+\.py)`", line):
            assert list((ROOT / "tests").glob(name)), name


_SPAN = re.compile(r"`(?:\w+=\S+ )*(%{0,2})sls( [^`]*)?`")
_LINE = re.compile(r"^\s*(?:\w+=\S+ )*(%{0,2})sls( .*)?$", re.MULTILINE)
_FENCE = re.compile(r"^\s*```\w*\n(.*?)^\s*```$", re.MULTILINE | re.DOTALL)
_BEHIND = re.compile(r"\s(#\s|[>|&]).*")


def _named(parser: argparse.ArgumentParser, words: list[str]) -> list[str]:
    """What follows the commands that the words begin with."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) and words and words[0] in action.choices:
            return _named(action.choices[words[0]], words[1:])
    return words


def _require_known(percent: str, line: str) -> None:
    """Read a command as its parser does; one that is only named, or goes on with "…", has to exist."""
    words = joined(shlex.split(_BEHIND.sub("", line)))
    cut = "…" in words
    words = words[: words.index("…")] if cut else words
    if percent:
        known = command_parsers()
        assert not words or words[0] in known, line
        if words[1:] and not cut:
            known[words[0]].parse(words[1:])
    elif _named(parser(), words) and not cut:
        parser().parse_args([word for word in words if word != "--help"])


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_every_command_can_be_typed_as_it_stands(path, capsys):
    """Who copies a command, and writes their own values for its capitals, is not told that it is wrong."""
    text = path.read_text()
    fenced = [found for block in _FENCE.findall(text) for found in _LINE.findall(block)]
    for percent, line in [*_SPAN.findall(_FENCE.sub("", text)), *fenced]:
        try:
            _require_known(percent, line)
        except SystemExit:
            pytest.fail(f"{percent}sls{line}: {capsys.readouterr().err}")


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
