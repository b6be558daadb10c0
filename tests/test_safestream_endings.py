"""How a run ended, in words with a fix, and at the step that is to blame."""

from __future__ import annotations

from typing import Any

import pytest

from sls_jupyter.errors import LimitExceeded, OutputWithheld, ProgramFailed, RunFailed, SlsError
from sls_jupyter.safestream.endings import judge_end
from sls_jupyter.safestream.run import Steps

RULES = {"kinds": ["table"], "min_group": 10}
GOOD: dict[str, Any] = {"status": "ok", "missing": {}, "held_back": []}


def held(*why: str, kinds: tuple[str, ...] = ("table",)) -> dict[str, Any]:
    return {
        **GOOD,
        "held_back": ["x"],
        "verdict": {"rules": RULES | {"kinds": kinds}, "withheld": dict.fromkeys(why, 1)},
    }


@pytest.mark.parametrize(
    ("end", "kind", "word", "step"),
    [
        ({"status": "limit", "limit": "memory", "allowed": 2**30}, LimitExceeded, "1,024 MiB", "running"),
        ({"status": "limit", "limit": "cpu", "allowed": 5}, LimitExceeded, "5 seconds of CPU time", "running"),
        ({"status": "died", "alias": "x", "column": 2, "name": "age"}, RunFailed, "'age'", "running"),
        ({"status": "died", "alias": "x", "column": 2}, RunFailed, "number 3", "running"),
        ({"status": "died", "alias": "x", "column": None}, RunFailed, "input x", "running"),
        ({"status": "error", "error": {"name": "KeyError", "value": "age"}}, ProgramFailed, "KeyError: age", "running"),
        (
            {"status": "error", "error": {"name": "Secret17", "value": ""}},
            ProgramFailed,
            "an error of its own",
            "running",
        ),
        (
            {"status": "error", "error": {"name": "ArrowInvalid", "value": ""}},
            ProgramFailed,
            "raised ArrowInvalid",
            "running",
        ),
        ({"status": "error", "sealed": True}, ProgramFailed, "no recipient", "running"),
        ({"status": "died", "code": 137}, RunFailed, "137", "running"),
        ({"status": "died", "code": -9, "seen": "ended"}, RunFailed, "its kernel ended: -9", "running"),
        ({"status": "died", "code": None, "seen": "silent"}, RunFailed, "said nothing any more", "running"),
        ({"status": "died", "code": None, "seen": "a word of its own"}, RunFailed, "died", "running"),
        ({}, RunFailed, "before its cell", "running"),
        ({**GOOD, "missing": {"x": None}}, RunFailed, "no such variable", "returned"),
        ({**GOOD, "missing": {"x": "function"}}, RunFailed, "a function", "returned"),
        (held("min_group"), OutputWithheld, "groups of 10", "returned"),
        (held("unsafe"), OutputWithheld, "astype", "returned"),
        (held("table", kinds=("figure",)), OutputWithheld, "kinds figure", "returned"),
    ],
)
def test_each_end_says_what_and_what_to_do(end: dict[str, Any], kind: type[SlsError], word: str, step: str) -> None:
    """A person who reads only this error has to know the next step."""
    steps = Steps(lambda *_: None)
    with pytest.raises(kind) as caught:
        judge_end(end, steps)
    assert word in str(caught.value)
    assert caught.value.hint or kind is ProgramFailed
    steps.fail("x")
    assert [one.name for one in steps if one.state == "failed"] == [step]


def test_a_good_end_raises_nothing() -> None:
    """A result would be lost to an error that is none."""
    judge_end(GOOD, Steps(lambda *_: None))
