"""A list of checks on the screen: those that failed stand open, those that passed are folded and counted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sls_jupyter.notebook.cards import Block, Cell, Chip, Facts, Mono, Table, cell_data, cell_html, escape, joined
from sls_jupyter.notebook.words import count_words
from sls_jupyter.printing import one_line

if TYPE_CHECKING:
    from sls_jupyter.attestation.claims import Check

_CODE = re.compile(r"[0-9a-f]{32}|did:[a-z0-9]+:")
_PASS, _FAIL = Chip("pass", "good"), Chip("FAIL", "bad")


@dataclass(frozen=True, slots=True)
class Checks(Block):
    """Every check of a verdict, numbered; in the text form each is one line.

    Args:
        folded: fold what passed; a page for paper has nothing to open, and shows one table.
    """

    checks: Sequence[Check]
    folded: bool = True

    def text(self) -> list[str]:
        width = max((len(one_line(check.name)) for check in self.checks), default=0)
        return [
            f"{number:>2}  {'✓ pass' if check.ok else '✗ FAIL'}  {one_line(check.name):<{width}}  {_found(check)}"
            for number, check in enumerate(self.checks, start=1)
        ] or ["No check was made."]

    def html(self) -> str:
        numbered = list(enumerate(self.checks, start=1))
        if not numbered or not self.folded:
            rows = [(str(number), _PASS if one.ok else _FAIL, one.name, *_cells(one)) for number, one in numbered]
            return Table(("no.", "result", "check", "found", "expected"), rows, "No check was made.").html()
        failed = [_failed_item(number, one) for number, one in numbered if not one.ok]
        passed = [_passed_item(number, one) for number, one in numbered if one.ok]
        words = f"✓ {count_words(len(passed), 'check')} passed"
        folded = joined([f"<details><summary>{words}</summary>", _items(passed), "</details>"]) if passed else ""
        return joined(filter(None, [_items(failed) if failed else "", folded]))

    def data(self) -> dict[str, Any]:
        found = [(number, one, _cells(one)) for number, one in enumerate(self.checks, start=1)]
        checks = [
            {
                "number": number,
                "name": one_line(one.name),
                "ok": one.ok,
                "found": cell_data(a),
                "expected": cell_data(b),
            }
            for number, one, (a, b) in found
        ]
        return {"kind": "checks", "checks": checks}


def _items(items: Iterable[str]) -> str:
    return joined(['<ol class="sls-checks">', *items, "</ol>"])


def _failed_item(number: int, check: Check) -> str:
    facts = Facts([("found", long_or_words(check.found) or "nothing"), ("expected", long_or_words(check.expected))])
    return (
        f'<li value="{number}">{cell_html(_FAIL)} <strong>{escape(one_line(check.name))}</strong>\n{facts.html()}</li>'
    )


def _passed_item(number: int, check: Check) -> str:
    found = cell_html(_clean(check.found or "nothing"))
    said = "as expected" if check.found == check.expected else f"expected: {cell_html(_clean(check.expected))}"
    return f'<li value="{number}"><strong>{escape(one_line(check.name))}</strong>: {found} ({said})</li>'


def _clean(text: str) -> Cell:
    return long_or_words(one_line(text))


def _found(check: Check) -> str:
    found = one_line(check.found) or "nothing"
    return (
        f"{found}  (as expected)"
        if check.found == check.expected
        else f"{found}  (expected: {one_line(check.expected)})"
    )


def _cells(check: Check) -> tuple[Cell, Cell]:
    return long_or_words(check.found), "as found" if check.found == check.expected else long_or_words(check.expected)


def long_or_words(text: str) -> Cell:
    """In the code font if a digest, a DID or a key is in it; a sentence stays one."""
    return Mono(text) if _CODE.search(text) else text
