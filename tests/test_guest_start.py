"""What a container loads before its run begins: every run pays for it, four times."""

from __future__ import annotations

import subprocess
import sys

import pytest

CLOUD = {"azure", "boto3", "google.cloud", "msal", "securesystemslib"}  # clients that only a store's backend needs


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("input", CLOUD | {"pandas", "IPython", "sqlalchemy"}),
        ("output", CLOUD | {"pandas", "IPython", "sqlalchemy", "httpx"}),
        ("audit", CLOUD | {"pandas", "IPython", "sqlalchemy", "numpy", "pyarrow", "uvicorn"}),
        ("program", CLOUD | {"pandas", "IPython", "numpy", "pyarrow", "pydantic"}),
        ("kernel", CLOUD | {"sqlalchemy", "httpx", "jwt", "pyarrow"}),  # Arrow not before its allocator is bounded
    ],
)
def test_a_container_loads_what_it_uses(module: str, unwanted: set[str]) -> None:
    """A library that nobody calls costs a user's cell half a second, and its faults are the guest's."""
    code = f"import sys, sls_jupyter.guest.{module}; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True)
    assert set(found.stdout.split()) & unwanted == set()
