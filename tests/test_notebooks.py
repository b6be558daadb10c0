"""The example notebooks run from start to end, as `make demo` and papermill run them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from browser_kit import axe, measure, needs_chromium

from sls_jupyter.notebook.sheet import SHEET_ID

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module", params=NOTEBOOKS)
def executed(request, tmp_path_factory):
    out = tmp_path_factory.mktemp(request.param)
    command = [sys.executable, str(ROOT / "notebooks" / "run.py"), request.param, "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return request.param, out, done.stdout


def test_a_newcomer_is_told_what_happened_and_where_the_notebook_lies(executed):
    """The last screen names the steps, the files and that the TEE was simulated."""
    name, out, screen = executed
    assert "SIMULATED" in screen
    assert f"{name}.ipynb" in screen
    assert f"{name}.html" in screen
    assert (out / f"{name}.html").stat().st_size > 10_000


def test_every_result_says_simulated(executed):
    """No reader of a saved notebook can take the demonstration for protection."""
    name, out, _ = executed
    text = (out / f"{name}.ipynb").read_text()
    assert "SIMULATED TEE" in text


def test_a_saved_notebook_needs_no_widgets_and_no_scripts(executed):
    """The executed notebook reads the same in any viewer: plain text and HTML without scripts."""
    name, out, _ = executed
    for cell in nbformat.read(out / f"{name}.ipynb", as_version=4).cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            assert not data or "text/plain" in data or "image/png" in data
            assert "<script" not in "".join(data.get("text/html", ""))


def test_a_notebook_has_one_style_sheet(executed):
    """The looks of all cards are in the notebook once, not with each of them."""
    name, out, _ = executed
    assert (out / f"{name}.html").read_text().count(f'<style id="{SHEET_ID}">') == 1
    assert (out / f"{name}.ipynb").read_text().count(f'<style id=\\"{SHEET_ID}\\">') == 1


def test_the_page_loads_nothing_and_runs_nothing(executed):
    """Who opens the page tells nobody, and sees the same without a network: links are there to be clicked, no more."""
    name, out, _ = executed
    page = (out / f"{name}.html").read_text()
    loading = re.findall(r"""(?:\bsrc=|url\(|@import|<link\b[^>]*href=|\bimport\()\s*["']?(?!data:)[^\s"')>]+""", page)
    assert loading == []
    assert not re.findall(r"""<script(?![^>]*type="application/vnd\.jupyter\.widget-state\+json")""", page)
    assert not re.findall(r"""(?<!<a )\bhref=["'](?:https?:)?//""", page)
    assert "Content-Security-Policy" in page
    assert "default-src 'none'" in page


@needs_chromium
def test_the_page_can_be_read_in_a_narrow_window_and_with_a_screen_reader(executed, tmp_path):
    """Cards and code of an executed notebook are whole at 600 pixels, and axe-core finds nothing wrong with the page."""
    name, out, _ = executed
    page = (out / f"{name}.html").read_text()
    found = measure(page, [600], tmp_path)[600]
    assert (found["outside"], found["scrolling"], found["across"]) == ([], [], 600)
    assert axe(page.replace("<details>", "<details open>"), tmp_path) == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebooks_are_committed_without_outputs(name):
    """Nothing of a machine, a path or a run lands in the repository."""
    for cell in nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells:
        assert not cell.get("outputs")
        assert not cell.get("execution_count")
