"""Rules of the browser's half that no compiler knows: read from its source, so also where there is no Node."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "labextension"
SOURCE = FOLDER / "src"
FILES = sorted(path for path in SOURCE.rglob("*.ts") if path.name != "api-types.ts")
TEXT = r"'(?:[^'\\\n]|\\.)*'"
TRANSLATED = re.compile(rf"\.__\(\s*({TEXT})|\._n\(\s*({TEXT})\s*,\s*({TEXT})")
IMPORT = re.compile(r"""^(?:import|export)\s[^;]*?from '([^']+)'""", re.MULTILINE)


def imports(path: Path) -> list[str]:
    return IMPORT.findall(path.read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_text_of_others_never_becomes_markup(path: Path) -> None:
    """A name with a tag in it would be one; elements are made by ``h`` of core/dom.ts."""
    used = re.findall(
        r"\b(?:innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|eval)\b", path.read_text()
    )
    assert used == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_translated_text_has_a_doubled_percent_sign(path: Path) -> None:
    """JupyterLab would show ``%%safestream`` as ``%safestream``: a name of a cell magic is an argument."""
    texts = ["".join(found) for found in TRANSLATED.findall(path.read_text())]
    assert [one for one in texts if "%%" in one] == []


def test_what_stands_outside_lab_needs_no_jupyterlab() -> None:
    """``sls open`` has the panel without it, and Notebook has less of it."""
    inner = [path for path in FILES if path.relative_to(SOURCE).parts[0] != "lab"]
    assert len(inner) > 20
    for path in inner:
        assert [one for one in imports(path) if not one.startswith(".")] == [], path.name
        assert [one for one in imports(path) if re.search(r"(^|/)lab(/|$)", one)] == [], path.name


def test_core_imports_nothing_of_the_views() -> None:
    """Imports run downwards: core, then sections, then the panel, then the places that it stands in."""
    for path in sorted((SOURCE / "core").glob("*.ts")):
        assert all(re.fullmatch(r"\./[\w-]+", one) for one in imports(path)), path.name
    for path in sorted((SOURCE / "sections").glob("*.ts")):
        assert all(re.fullmatch(r"\./[\w-]+|\.\./core/[\w-]+", one) for one in imports(path)), path.name


def test_the_packages_that_are_named_are_the_ones_that_are_used() -> None:
    """One that nothing imports is downloaded by everybody who builds; one that is not named comes by chance."""
    used = {"/".join(one.split("/")[:2]) for path in FILES for one in imports(path) if one.startswith("@")}
    assert used == set(json.loads((FOLDER / "package.json").read_text())["dependencies"])


def test_the_lock_names_no_registry() -> None:
    """Whoever builds takes the packages from where their npm takes packages; their digests are in the lock."""
    packages = json.loads((FOLDER / "package-lock.json").read_text())["packages"]
    assert [name for name, one in packages.items() if "resolved" in one] == []
    assert [name for name, one in packages.items() if name and "integrity" not in one] == []
