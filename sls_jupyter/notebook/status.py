"""The status block of a run, and the lines under it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sls_jupyter.errors import ApprovalPending
from sls_jupyter.notebook.cards import STYLE, Tone, escape
from sls_jupyter.notebook.words import count_words, is_simulated
from sls_jupyter.printing import one_line
from sls_jupyter.safestream.run import Run, Step

NO_RECEIPT = "NO RECEIPT: the group could not send one to every authority"
_SIGNS = {"waiting": "·", "active": "…", "done": "✓", "failed": "✗"}
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
    """A picture of a run as it is at this moment; ``text/plain`` and ``text/html``."""

    def __init__(self, run: Run) -> None:
        self._steps = [(_clean(step), _seconds(step)) for step in run.steps]
        self._run_id, self._state = run.id, run.state
        self._pending = isinstance(run.error, ApprovalPending)
        self._simulated = is_simulated(str(run.summary.get("tee", "")))

    @property
    def _title(self) -> str:
        words = "waits for approval" if self._pending else self._state
        return f"SafeStream {self._run_id} · {words}" + (" · SIMULATED" if self._simulated else "")

    def lines(self) -> list[str]:
        """The text form, line by line."""
        lines = [self._title]
        for step, seconds in self._steps:
            if step.state != "waiting":
                lines.append(f"  {self._sign(step)} {step.name:<13} {seconds:>8}  {step.detail}".rstrip())
        return lines

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def _sign(self, step: Step) -> str:
        return "…" if self._pending and step.state == "failed" else _SIGNS[step.state]

    def _repr_html_(self) -> str:
        tone = "wait" if self._pending else _TONES[self._state]
        title, _, rest = self._title.partition(" · ")
        badge = '<span class="sls-chip sls-sim sls-note">SIMULATED</span>' if self._simulated else ""
        head = f'<span class="sls-title">{escape(title)}</span>'
        head += f'<span class="sls-chip">{escape(rest.removesuffix(" · SIMULATED"))}</span>{badge}'
        rows = "".join(self._row(step, seconds) for step, seconds in self._steps)
        return (
            f'{STYLE}<div class="sls-card sls-{tone}" role="status" aria-label="SafeStream {escape(self._run_id)}">'
            f'<div class="sls-head">{head}</div><table class="sls-steps"><tbody>{rows}</tbody></table></div>'
        )

    def _row(self, step: Step, seconds: str) -> str:
        detail = f"<span>{escape(step.detail)}</span>"
        if step.evidence:
            items = "".join(f"<li><code>{escape(line)}</code></li>" for line in step.evidence)
            detail = f"<details><summary>{escape(step.detail) or 'evidence'}</summary><ul>{items}</ul></details>"
        faint = ' style="opacity:.5"' if step.state == "waiting" else ""
        return (
            f'<tr{faint}><td style="width:1.6em">{self._sign(step)}</td>'
            f'<td style="width:9em;white-space:nowrap">{escape(step.name)}</td>'
            f'<td style="width:5em;text-align:right;font-variant-numeric:tabular-nums">{seconds}</td>'
            f'<td style="padding-left:12px">{detail}</td></tr>'
        )

    def _repr_mimebundle_(self, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> dict[str, str]:
        del include, exclude
        return {"text/plain": repr(self), "text/html": self._repr_html_()}


def _clean(step: Step) -> Step:
    """The step with each of its texts in one line: names and messages of others are among them."""
    return replace(step, detail=one_line(step.detail), evidence=[one_line(line) for line in step.evidence])


def _seconds(step: Step) -> str:
    if step.state == "waiting" or (step.started is None and step.seconds is None):
        return ""
    seconds = step.seconds if step.seconds is not None else time.monotonic() - (step.started or 0.0)
    return f"{seconds:.2f} s" if step.seconds is not None else f"{seconds:.0f} s"


def step_line(step: Step) -> str:
    """One finished step, where a block cannot be updated in place."""
    return f"{_SIGNS[step.state]} {step.name:<13} {_seconds(step):>8}  {one_line(step.detail)}".rstrip()


def summary_line(run: Run) -> str:
    """The one line under a finished run: what it rests on, and what the logs hold."""
    about = run.summary
    label = str(about.get("label", "no TEE"))
    if about.get("simulated") and "SIMULATED" not in label:
        label = f"SIMULATED {label}"
    parts = [label, f"{count_words(int(about.get('checks', 0)), 'check')} passed"]
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


def withheld_line(counts: Mapping[str, int]) -> str:
    """What the output gate held back and why, in one line; nothing when it held back nothing."""
    parts = []
    for kind, count in counts.items():
        one, many, why = _WITHHELD.get(kind, (kind, kind, "it may not leave"))
        if count:
            parts.append(f"{count_words(count, one, many)} ({why})")
    return one_line(f"Withheld: {'; '.join(parts)}.") if parts else ""
