"""The status block of a run, and the lines under it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from typing import Any

from sls_jupyter.errors import ApprovalPending
from sls_jupyter.identity import Home
from sls_jupyter.notebook.cards import Mono, Tone, cell_html, escape, frame_html, joined, mark_chips, marks
from sls_jupyter.notebook.sheet import SHEET, due_sheet
from sls_jupyter.notebook.words import count_words, is_simulated
from sls_jupyter.printing import one_line, short_digest
from sls_jupyter.safestream.run import Run, Step
from sls_jupyter.session.remembering import WAITS

RUN_TYPE = "application/vnd.sls-jupyter.run.v1+json"
"""Which run a card is of, for a front end that knows how to draw it anew. All others show the HTML beside it."""

NO_RECEIPT = "NO RECEIPT: the group could not send one to every authority"
_SIGNS = {"waiting": "·", "active": "…", "done": "✓", "failed": "✗"}
_STATES = {"waiting": "not yet", "active": "now", "done": "done", "failed": "failed"}
_TONES: Mapping[str, Tone] = {"running": "wait", "done": "good", "failed": "bad", "cancelled": "note"}
_WITHHELD = {  # rule of the gate -> one, many, why
    "text": ("text", "texts", "print and the text of a value may not leave"),
    "table": ("table", "tables", "tables may not leave"),
    "figure": ("figure", "figures", "figures may not leave"),
    "min_group": ("table", "tables", "it does not tell the sizes of its groups"),
    "small groups": ("row", "rows", "about too small a group"),
    "rows": ("row", "rows", "over an owner's limit"),
    "unsafe": ("display", "displays", "only tables, text and pictures can leave"),
    "error detail": ("error message", "error messages", "only the type of an error may leave"),
    "malformed": ("message", "messages", "not one of a kernel"),
}


class StatusBlock:
    """A picture of a run as it is at this moment; ``text/plain`` and ``text/html``, and which run it is of.

    Args:
        sheet: the style sheet or nothing, where the picture takes the place of one that had it; found out by default.
        home: whose run it is; without it the picture is no more than that.
    """

    def __init__(self, run: Run, sheet: str | None = None, home: Home | None = None) -> None:
        self._sheet = sheet
        self._about = {} if home is None else {RUN_TYPE: run_data(run, home)}
        self._steps = [(_clean(step), seconds_words(step)) for step in run.steps]
        self._called, self._state = run_title(run), run.state
        self._pending = isinstance(run.error, ApprovalPending)
        self._request = short_digest(str(run.summary.get("request", "")))  # what %sls show and approve take
        simulated = is_simulated(str(run.summary.get("tee", "")))
        self._marks = simulated, run.summary.get("isolated") is False
        self._as_of = "" if run.state != "running" else f"As of {_now()} · %sls attach {run.id} brings the end."

    @property
    def _title(self) -> str:
        if self._pending and self._request:
            return " · ".join((f"Request {self._request}", WAITS, *marks(*self._marks)))
        words = WAITS if self._pending else self._state
        return " · ".join((self._called, words, *marks(*self._marks)))

    def lines(self) -> list[str]:
        """The text form, line by line."""
        lines = [self._title]
        for step, seconds in self._steps:
            if step.state != "waiting":
                lines.append(f"  {self._sign(step)} {step.name:<13} {seconds:>8}  {step.detail}".rstrip())
        return [*lines, f"  {self._as_of}"] if self._as_of else lines

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def _sign(self, step: Step) -> str:
        return "…" if self._pending and step.state == "failed" else _SIGNS[step.state]

    def html(self) -> str:
        """The block's markup without the style sheet. It is no live region: its times change every second."""
        tone: Tone = "wait" if self._pending else _TONES[self._state]
        title, state, *_ = self._title.split(" · ")
        beside = (f'<span class="sls-chip">{escape(state)}</span>', mark_chips(*self._marks))
        heads = " ".join(f'<th scope="col">{name}</th>' for name in ("step", "took", "what it found"))
        rows = joined(self._row(step, seconds) for step, seconds in self._steps)
        table = (
            f'<table class="sls-steps"><thead class="sls-heads"><tr>{heads}</tr></thead>\n<tbody>{rows}</tbody></table>'
        )
        as_of = [f'<p class="sls-sub">{cell_html(self._as_of)}</p>'] if self._as_of else []
        return frame_html(tone, title, beside, [table, *as_of])

    def _row(self, step: Step, seconds: str) -> str:
        detail = cell_html(step.detail)
        if step.evidence:
            items = joined(f"<li>{cell_html(Mono(line))}</li>" for line in step.evidence)
            detail = f"<details><summary>{escape(step.detail) or 'evidence'}</summary>\n<ul>{items}</ul></details>"
        later = ' class="sls-later"' if step.state == "waiting" else ""
        sign = f'<span role="img" aria-label="{_STATES[step.state]}">{self._sign(step)}</span>'
        return f'<tr{later}><th scope="row">{sign} {escape(step.name)}</th> <td>{seconds}</td> <td>{detail}</td></tr>'

    def _repr_html_(self) -> str:
        """The block as a page by itself."""
        return SHEET + self.html()

    def _repr_mimebundle_(self, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> dict[str, Any]:
        del include, exclude
        sheet = due_sheet() if self._sheet is None else self._sheet
        return {"text/plain": repr(self), "text/html": sheet + self.html(), **self._about}


def run_data(run: Run, home: Home) -> dict[str, str]:
    """Which run a card is of, whose, and how far it was: what finds it again in a saved notebook.

    The receipt's digest is what this kernel found when it verified it; whoever reads a card that somebody saved
    verifies the receipt anew. Of the home only its mark is told (:attr:`Home.mark`): no path and no key.
    """
    return {
        "run": run.id,
        "state": WAITS if isinstance(run.error, ApprovalPending) else run.state,
        "persona": home.persona,
        "home": home.mark,
        "version": _version(),
        "receipt": str(run.summary.get("receipt", "")),
    }


@cache
def _version() -> str:
    return version("sls-jupyter")


class StepLine:
    """What a run does now, in a line that a screen reader says when it changes: the step, and no time that runs."""

    def __init__(self, run: Run) -> None:
        self._label = run_title(run)
        self.words = f"{self._label}: {_now_words(run)}"

    def __repr__(self) -> str:
        return self.words

    def _repr_mimebundle_(self, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> dict[str, str]:
        del include, exclude
        label = f'role="status" aria-live="polite" aria-label="{escape(self._label)}"'
        return {"text/plain": self.words, "text/html": f'<p class="sls-now" {label}>{escape(self.words)}</p>\n'}


def run_title(run: Run) -> str:
    """A run's title: its id, and in a session whose cell it is."""
    name, number = str(run.summary.get("session_name", "")), run.summary.get("cell")
    return f"SafeStream {run.id}" + (f", {one_line(name)} cell {number}" if name and number else "")


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())


def _now_words(run: Run) -> str:
    """The step that a run is at, or how it ended."""
    if isinstance(run.error, ApprovalPending):
        return WAITS
    if run.state != "running":
        return run.state
    steps = list(run.steps)
    at = next((number for number, step in enumerate(steps, start=1) if step.state == "active"), 0)
    return f"step {at} of {len(steps)}, {steps[at - 1].name}" if at else "starting"


def _clean(step: Step) -> Step:
    """The step with each of its texts in one line: names and messages of others are among them."""
    return replace(step, detail=one_line(step.detail), evidence=[one_line(line) for line in step.evidence])


def seconds_words(step: Step) -> str:
    """How long a step took, or takes by now; "" if it has not begun."""
    if step.state == "waiting" or (step.began is None and step.seconds is None):
        return ""
    return f"{step.took():.2f} s" if step.seconds is not None else f"{step.took():.0f} s"


def step_line(step: Step) -> str:
    """One finished step, where a block cannot be updated in place."""
    return f"{_SIGNS[step.state]} {step.name:<13} {seconds_words(step):>8}  {one_line(step.detail)}".rstrip()


def summary_line(run: Run) -> str:
    """The one line under a finished run: what it rests on, and what the logs hold."""
    about = run.summary
    label = str(about.get("label", "no TEE"))
    if about.get("simulated") and "SIMULATED" not in label:
        label = f"SIMULATED {label}"
    isolated = [] if about.get("isolated") is not False else marks(False, True)
    parts = [label, *isolated, f"{count_words(int(about.get('checks', 0)), 'check')} passed"]
    receipt = str(about.get("receipt", ""))
    none = "no receipt yet" if run.state == "running" else NO_RECEIPT
    none = f"receipt REFUSED: {about['receipt_refused']}" if about.get("receipt_refused") else none
    parts.append(f"receipt {receipt[: len('sha256:') + 8]}…" if receipt else none)
    entries = sorted(about.get("entries", {}).values())
    if entries:
        sign = " ✓" if receipt else ""
        parts.append(f"log {'entry' if len(entries) == 1 else 'entries'} {', '.join(map(str, entries))}{sign}")
    return one_line(" · ".join([*parts, f"%sls audit {run.id}"]))


def cut_line(name: str, about: Mapping[str, Any]) -> str:
    """``n of m rows`` with the reason, or nothing when nothing was cut."""
    rows, of = int(about.get("rows", 0)), int(about.get("of", 0))
    if rows >= of:
        return ""
    note = about.get("note") or ("the first and the last are shown" if not name else "a limit cut the rest")
    return one_line(f"{name + ': ' if name else ''}{rows:,} of {of:,} rows: {note}")


def held_lines(run: Run) -> tuple[str, ...]:
    """What of a run's output was withheld, and which tables were cut; a line each."""
    held = withheld_line(run.summary.get("withheld", {}))
    cuts = (cut_line(about["name"], about) for about in run.summary.get("tables", ()))
    return tuple(line for line in (held, *cuts) if line)


def withheld_line(counts: Mapping[str, int]) -> str:
    """What the output gate held back and why, in one line; nothing when it held back nothing."""
    parts = []
    for kind, count in counts.items():
        one, many, why = _WITHHELD.get(kind, (kind, kind, "it may not leave"))
        if count:
            parts.append(f"{count_words(count, one, many)} ({why})")
    return one_line(f"Withheld: {'; '.join(parts)}.") if parts else ""
