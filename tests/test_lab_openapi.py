"""What the browser's half knows of the API is what the server's half says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sls_jupyter.lab.messages import API
from sls_jupyter.lab.openapi import document
from sls_jupyter.lab.routes import ROUTES

FOLDER = Path(__file__).parent.parent / "labextension"
GENERATOR = FOLDER / "node_modules" / "openapi-typescript"


def test_the_document_is_what_the_code_says() -> None:
    """``make bundle`` writes it; a message that changed without it would be read as it was before."""
    assert (FOLDER / "openapi.json").read_text() == json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def test_the_types_name_every_message_and_every_field() -> None:
    """Also where no npm is: what TypeScript was told is not older than the document."""
    text = (FOLDER / "src" / "core" / "api-types.ts").read_text()
    for name, schema in document()["components"]["schemas"].items():
        found = re.search(rf"^        (?:readonly )?{name}: {{\n(.*?)^        }};", text, re.MULTILINE | re.DOTALL)
        assert found or not schema.get("properties"), name
        for member in schema.get("properties", {}) if found else ():
            assert re.search(rf'^            readonly "?{member}"?\??: ', found[1], re.MULTILINE), f"{name}.{member}"


@pytest.mark.skipif(
    not GENERATOR.is_dir() or shutil.which("npm") is None, reason="labextension/node_modules: make bundle"
)
def test_the_types_are_those_that_the_generator_makes(tmp_path: Path) -> None:
    """Byte for byte, with the options that package.json has."""
    script = json.loads((FOLDER / "package.json").read_text())["scripts"]["types"]
    made = tmp_path / "api-types.ts"
    words = [str(made) if word.endswith(".ts") else word for word in script.split()]
    subprocess.run([str(FOLDER / "node_modules" / ".bin" / words[0]), *words[1:]], cwd=FOLDER, check=True, timeout=100)
    assert made.read_text() == (FOLDER / "src" / "core" / "api-types.ts").read_text()


def test_every_route_is_in_the_document_with_what_it_takes() -> None:
    """A call that the document does not have has no types."""
    paths = document()["paths"]
    assert document()["info"]["version"] == str(API)
    for route in ROUTES:
        operation = paths[f"/{route.path}"][route.method.lower()]
        assert ("requestBody" in operation) == (route.takes is not None)
        assert {one["name"] for one in operation["parameters"]} >= {"persona", *route.query}
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
