"""An executed notebook: what each run showed, in its cell, its receipt in the cell's metadata, and a last cell that says the verdict.

Works on a notebook as JSON (format 4), as a file or papermill has it. Outputs are content of the cells, cleaned by the
gate; the sentences of the last cell are ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sls_jupyter.documents import b64decode, parse_json
from sls_jupyter.errors import SlsError
from sls_jupyter.notebook.status import cut_line, withheld_line
from sls_jupyter.printing import count_words, one_line, released
from sls_jupyter.receipt.chain import verify_chain
from sls_jupyter.safestream.run import Run
from sls_jupyter.session.notebooks import MEMBER
from sls_jupyter.session.submitting import RanNotebook

VERDICT_TAG = "sls-verdict"  # of the cell that this module adds
ENDED, SAID = "It ended", ": "  # the line of the verdict that has words of others, and what stands before them
_TEXT = ("text/plain", "text/latex", "text/markdown")


class Outputs:
    """The outputs of one cell, as they grow."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._placed: dict[int, int] = {}  # displays that can be updated -> their place
        self.found: list[dict[str, Any]] = []

    def take(self, event: Mapping[str, Any]) -> None:
        """One event of the run's journal."""
        kind = event["type"]
        if kind == "stream":
            self._stream(str(event["name"]), released(str(event["text"])))
        elif kind == "display":
            self._display(_readable(event["data"]), event)
        elif kind == "table":
            self._display(_drawn(_restored(event)), event)
            self._line(cut_line("", event))
        elif kind == "clear":
            self.found.clear()
            self._placed.clear()

    def finish(self) -> list[dict[str, Any]]:
        """All of them, when the run has ended: with what it returned by name, what was withheld, and its error."""
        for name, value in self._run.outputs.items():
            self.found.append(_display({**_drawn(value)}, {"sls": {"output": name}}))
        for about in self._run.summary.get("tables", ()):
            self._line(cut_line(str(about["name"]), about))
        self._line(withheld_line(self._run.summary.get("withheld", {})))
        if self._run.error is not None:
            self.found.append(error_output(self._run.error))
        return self.found

    def _line(self, line: str) -> None:
        if line:
            self._stream("stdout", line + "\n")

    def _stream(self, name: str, text: str) -> None:
        last = self.found[-1] if self.found else {}
        if last.get("output_type") == "stream" and last["name"] == name:
            last["text"] += text
        else:
            self.found.append({"output_type": "stream", "name": name, "text": text})

    def _display(self, data: dict[str, Any], event: Mapping[str, Any]) -> None:
        number, shown = event.get("display"), _display(data, {})
        if number is not None and event.get("update") and number in self._placed:
            self.found[self._placed[number]] = shown
            return
        if number is not None:
            self._placed[number] = len(self.found)
        self.found.append(shown)


def _display(data: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
    return {"output_type": "display_data", "data": data, "metadata": metadata}


def _readable(data: Mapping[str, Any]) -> dict[str, Any]:
    """A display's data; one that is only a picture says so in text as well."""
    kinds = one_line(", ".join(data))
    texts = {kind: released(str(value)) if kind in _TEXT else value for kind, value in data.items()}
    return {"text/plain": f"<{kinds}>", **texts}


def _restored(event: Mapping[str, Any]) -> Any:
    import pyarrow as pa

    from sls_jupyter.guest.values import restore

    return restore(pa.ipc.open_stream(b64decode(event["table"])).read_all(), event["shape"])


def _drawn(value: Any) -> dict[str, Any]:
    """A value as a notebook shows it."""
    data: dict[str, Any] = {"text/plain": released(repr(value))}
    html = getattr(value, "_repr_html_", None)
    drawn = html() if callable(html) else None
    return data | ({"text/html": drawn} if isinstance(drawn, str) else {})


def error_output(error: SlsError) -> dict[str, Any]:
    """An error of ours, as a kernel tells one."""
    lines = [one_line(line) for line in error.lines()]
    return {
        "output_type": "error",
        "ename": type(error).__name__,
        "evalue": one_line(error.sentence),
        "traceback": lines,
    }


# --- the notebook -----------------------------------------------------------------------------------------------------


def clear(notebook: dict[str, Any]) -> None:
    """Take away what an earlier execution left: outputs, counts, receipts, the verdict."""
    notebook["cells"] = [
        cell for cell in notebook["cells"] if VERDICT_TAG not in (cell.get("metadata") or {}).get("tags", ())
    ]
    for cell in notebook["cells"]:
        if cell.get("cell_type") == "code":
            cell |= {"outputs": [], "execution_count": None}
            ours = cell.setdefault("metadata", {}).get(MEMBER)
            if isinstance(ours, dict):
                for name in ("run", "cell", "session", "receipt"):
                    ours.pop(name, None)


def fill(cell: dict[str, Any], run: Run, outputs: list[dict[str, Any]]) -> None:
    """Put a run's outputs and its receipt into its cell."""
    number = int(run.summary.get("cell", 0))
    cell |= {"outputs": outputs, "execution_count": number or None}
    about: dict[str, Any] = {"run": run.id, "cell": number, "session": str(run.summary.get("session", ""))}
    if run.receipt is not None:
        about["receipt"] = parse_json(run.receipt.receipt.payload())
    metadata = cell.setdefault("metadata", {})
    kept = metadata.get(MEMBER)
    metadata[MEMBER] = {**(kept if isinstance(kept, dict) else {}), **json.loads(json.dumps(about))}


def verdict_cell(ran: RanNotebook, *, cell_id: bool) -> dict[str, Any]:
    """The last cell: what ran, where, and what proves it.

    Args:
        cell_id: the notebook's format has ids of cells (nbformat 4.5).
    """
    head, *rest = verdict_lines(ran)
    text = "\n\n".join([f"**{head}**", *(_quoted(line) for line in rest)])
    cell: dict[str, Any] = {"cell_type": "markdown", "metadata": {"tags": [VERDICT_TAG]}, "source": text}
    return cell | ({"id": "sls-verdict"} if cell_id else {})


def _quoted(line: str) -> str:
    """A line in Markdown. What others said in it is code: no markup, link or picture of theirs comes to life."""
    ours, mark, theirs = line.partition(SAID)
    return f"{ours}{SAID}`{theirs.replace('`', chr(39))}`" if mark and ours == ENDED else line


def verdict_lines(ran: RanNotebook) -> list[str]:
    """The verdict, a sentence each; after :data:`SAID` stand the words of others."""
    total, done = len(ran.asked.cells), sum(one.run.state == "done" for one in ran.cells)
    runs = [one.run for one in ran.cells]
    label = next((str(run.summary["label"]) for run in runs if run.summary.get("label")), "no TEE")
    if any(run.summary.get("simulated") for run in runs) and "SIMULATED" not in label:
        label = f"SIMULATED {label}"
    apart = " · NOT ISOLATED" if any(run.summary.get("isolated") is False for run in runs) else ""
    head = "ran whole" if ran.complete else f"ended in cell {done + 1}"
    lines = [f"SafeStream: this notebook {head} · {done} of {count_words(total, 'cell')} · {label}{apart}"]
    if ran.error is not None:
        lines.append(f"{ENDED}{SAID}{one_line(ran.error.sentence)}")
    lines.append(_receipts_line(runs))
    if runs:
        lines.append(
            f"sls verify takes this file, with a receipt for each cell; sls audit {runs[-1].id} asks the logs."
        )
    return lines


def _receipts_line(runs: list[Run]) -> str:
    """Whether every cell has a receipt, and they are one chain."""
    receipts = [run.receipt for run in runs if run.receipt is not None]
    if len(receipts) < len(runs) or not receipts:
        return f"Receipts: {len(receipts)} of {count_words(len(runs), 'cell')} have one; not every cell is proven."
    refused = [check for check in verify_chain([one.verdict for one in receipts]) if not check.ok]
    if refused:
        return f"Receipts REFUSED: {refused[0].name}"
    return (
        f"Receipts: {count_words(len(receipts), 'receipt')}, each verified, one chain from the first cell to the last."
    )
