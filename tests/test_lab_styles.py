"""The panel's style sheets: each class that an element is given for its looks has some, and what is named is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "labextension"
SOURCES = "".join(path.read_text() for path in sorted((ROOT / "src").rglob("*.ts")))
SHEETS = "".join(path.read_text() for path in sorted((ROOT / "style").glob("*.css")))


def test_a_row_of_a_list_has_no_class_that_no_sheet_knows() -> None:
    """What two people called otherwise stands unstyled, and nothing else would tell."""
    used = set(re.findall(r"\bsls-row-[a-z]+\b", SOURCES))
    assert used - set(re.findall(r"\bsls-row-[a-z]+\b", SHEETS)) == set()
