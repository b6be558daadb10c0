"""What the end of a run means for whoever waits for its results: one error for each way to end, with its fix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sls_jupyter.errors import LimitExceeded, OutputWithheld, ProgramFailed, RunFailed, from_problem
from sls_jupyter.guest.well_known import known_exception
from sls_jupyter.safestream.run import Steps

LIMIT_HINTS = {
    "memory": "Ask for more with --memory 4G, or read fewer columns with -i name:a,b.",
    "cpu": "Ask for more with --time 30m, or compute less.",
    "time": "Ask for more with --time 30m, or compute less.",
    "processes": "Start fewer processes; pandas and scikit-learn need n_jobs=1 here.",
    "session time": "Open a new session; its spec says how long it may live.",
    "session output": "Open a new session, or return less; its spec says how much may leave in all.",
    "output": "Ask for more with --result-size 256M, or return less; an owner's own limit (--max-bytes) holds all the same.",
}

DEATHS = {  # what the output saw of a program that ended before its cell did
    "ended": "its kernel ended",
    "closed": "its supervisor ended without a word",
    "silent": "its supervisor said nothing any more",
    "lost": "its kernel shows nothing any more",
}

_UNITS = {"cpu": "seconds of CPU time", "time": "seconds", "session time": "seconds", "processes": "processes"}


def judge_end(end: Mapping[str, Any], steps: Steps) -> None:
    """Raise what the end of a run means for whoever waits for its results; nothing for a good one.

    Args:
        end: the last event of the output, or of an input that failed.
        steps: the step that is to blame is named there.

    Raises:
        LimitExceeded, ProgramFailed, OutputWithheld, RunFailed: with the fix; what the input raised.
    """
    status, problem = end.get("status"), end.get("problem")
    if isinstance(problem, dict) and "type" in problem:
        raise from_problem(problem, "the container group")
    if status != "ok":
        steps.blame("running")  # what it said until then was checked and returned all the same
    if status == "limit":
        limit, allowed = end.get("limit", "?"), end.get("allowed")
        raise LimitExceeded(
            f"The run was stopped at its limit of {limit}.",
            expected=f"{_amount(str(limit), allowed)} at most" if allowed is not None else None,
            hint=LIMIT_HINTS.get(str(limit), "Ask for less."),
            detail={"limit": limit, "allowed": allowed},
        )
    if status == "error":
        raise _program_error(end)
    if end.get("alias"):
        raise RunFailed(
            f"The input {end['alias']} cannot be opened in the group.",
            found=_unopened(end),
            hint="Leave this column out (-i ASSET=alias:a,b), or ask the owner to seal the table again with this version.",
        )
    if status != "ok":
        raise RunFailed(
            "The program ended before its cell did.",
            found=_death(end),
            hint="The cell ended its own process, or crashed it.",
        )
    steps.blame("returned")
    _require_outputs(end)


def _death(end: Mapping[str, Any]) -> str:
    """How a program ended; of the words only known ones, because they come from a container."""
    seen, code = DEATHS.get(str(end.get("seen"))), end.get("code")
    words = f"{end.get('status')}" if seen is None else seen
    return words if code is None else f"{words}: {code}" if seen else f"{words} {code}"


def _program_error(end: Mapping[str, Any]) -> ProgramFailed:
    if end.get("sealed") and "verdict" not in end:
        return ProgramFailed(
            "The cell raised an error.",
            hint="You are no recipient of this run's results, so its error is not told to you; a recipient has it.",
        )
    error = end.get("error") or {"name": "an error", "value": ""}
    detail, name = error.get("value") or "", str(error["name"])
    return ProgramFailed(  # the message is kept on disk with the run; what the cell says is not in it
        f"The cell raised {name if known_exception(name) == name else 'an error of its own'}.",
        found=f"{name}: {detail}" if detail else None,
        hint=""
        if detail
        else "The owners' policies let only the type of an error out; try the code on data of your own.",
        detail={"error": error},
    )


def _unopened(end: Mapping[str, Any]) -> str:
    name, place = end.get("name"), end.get("column")
    if isinstance(name, str):
        return f"a column that does not make a frame: {name!r}"
    return f"a column that does not make a frame: number {place + 1}" if isinstance(place, int) else "no frame"


def _require_outputs(end: Mapping[str, Any]) -> None:
    missing, held, reasons = end.get("missing") or {}, end.get("held_back") or [], end.get("reasons") or {}
    for name, kind in missing.items():
        why = reasons.get(name) or {}
        given = "no such variable" if kind is None else f"a {kind}"
        raise RunFailed(
            f"The cell gave no {name} to return.",
            found=f"{given}: {why['found']}" if "found" in why else given,
            expected="a table (pandas, polars, Arrow), or a value of numbers, text, dates, lists and dicts",
            hint=why.get("hint") or f"Assign {name} in the cell, or leave -o {name} away.",
        )
    lost = [name for name in held if name not in missing]
    if lost:
        rules, withheld = end["verdict"]["rules"], end["verdict"]["withheld"]
        found, expected, hint = _why_withheld(rules, withheld, reasons.get(lost[0]))
        raise OutputWithheld(f"The output gate withheld {', '.join(lost)}.", found=found, expected=expected, hint=hint)


def _amount(limit: str, allowed: object) -> str:
    """A limit with its unit."""
    if limit in ("memory", "output", "session output") and isinstance(allowed, int):
        return f"{allowed / 2**20:,.4g} MiB" if allowed >= 2**20 else f"{allowed:,} bytes"
    return f"{allowed} {_UNITS[limit]}" if limit in _UNITS else str(allowed)


def _why_withheld(
    rules: dict[str, Any], withheld: dict[str, int], why: Mapping[str, str] | None
) -> tuple[str, str, str]:
    """Found, expected and hint for a table that the gate held back."""
    if "min_group" in withheld:
        told = why or {}
        return (
            told.get("found", "a table that does not tell the size of its groups"),
            f"groups of {rules['min_group']} records at least",
            told.get("hint", "Return what groupby(...) gives with size, count, sum, mean or std."),
        )
    if "rows" in withheld and rules.get("max_rows") is not None:
        limit = rules["max_rows"]
        return "a value with more items", f"{limit} at most", "Return a table, which is cut, or fewer items."
    if "unsafe" in withheld and "table" in rules["kinds"]:
        return (
            "a table with a type of column that does not leave",
            "numbers, text, times, categories, or lists of these",
            "Convert the column, for instance with .astype(str).",
        )
    return (
        "a table",
        f"kinds {', '.join(rules['kinds'])}",
        "Ask the owner for another policy, or return one of the allowed kinds.",
    )
