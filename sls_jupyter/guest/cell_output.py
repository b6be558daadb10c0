"""What one cell gives: its gate, what was shown and returned so far, its end, and the results that are sealed of it.

Nothing here lives longer than the cell; what lives as long as the group is in :mod:`.output`. What comes after the end
of a cell is none of its, whoever sent it and whatever is still being judged.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from sls_jupyter.documents import b64decode, b64encode
from sls_jupyter.guest.bundle import Result, pack, seal_result, subjects_of
from sls_jupyter.guest.cells import Cell
from sls_jupyter.guest.contract import Contract
from sls_jupyter.guest.gate import TABLE_MIME, Gate, Judged, Table
from sls_jupyter.guest.hostile import Once, type_name
from sls_jupyter.guest.reasons import problem_words, uncounted_words
from sls_jupyter.guest.shown import Shown
from sls_jupyter.guest.well_known import MAX_BASES

SHAPES = ("frame", "series", "arrow", "polars", "polars series", "value")
STRAYS = "between cells"  # how a verdict counts what came while no cell was open

Tell = Callable[..., None]  # (type of an event, **fields)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A cell's results, and what is told of them."""

    results: Mapping[str, bytes]  # by recipient
    subjects: Mapping[str, str]  # digests by name
    event: Mapping[str, Any]  # the fields of its end
    size: int  # bytes, before sealing


class CellOutput:
    """One cell as its outputs come in.

    Args:
        live: the requester is a recipient, so that events tell what leaves.
        tell: makes an event.
        strays: how much the program sent since the cell before.
    """

    def __init__(self, cell: Cell, contract: Contract, gate: Gate, tell: Tell, *, live: bool, strays: int = 0) -> None:
        self.cell, self.gate = cell, gate
        self.ended = threading.Event()  # the cell is done, or its program gone
        self.end: dict[str, Any] = {}
        self.tables: dict[str, Table] = {}
        self.missing: dict[str, str | None] = {}
        self._reasons: dict[str, dict[str, str]] = {}  # why a named output does not leave
        self._contract, self._tell, self._live = contract, tell, live
        self._told, self._shown = Once(), Shown()
        self._lock = threading.Lock()  # of what was let go and of the end; never held while something is judged
        if strays:
            gate.withheld[STRAYS] = strays

    # --- what the kernel publishes ----------------------------------------------------------------

    def take_message(self, message: dict[str, Any]) -> None:
        """One of Jupyter's messages; raises what it likes, for those of a hostile program."""
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            self._stream("stderr" if content["name"] == "stderr" else "stdout", str(content["text"]))
        elif kind in ("display_data", "execute_result", "update_display_data"):
            number = self._shown.number((content.get("transient") or {}).get("display_id"))
            place = {} if number is None else {"display": number, "update": kind == "update_display_data"}
            if number is not None or kind != "update_display_data":
                self._display(content["data"], content.get("metadata") or {}, place)
        elif kind == "clear_output":
            self._clear()
        elif kind == "error":
            self._error(content)

    def count_malformed(self) -> None:
        """A message was none."""
        with self._lock:
            self.gate.withheld["malformed"] += not self.ended.is_set()

    def _stream(self, name: str, text: str) -> None:
        new = self._shown.written(name, text)
        if new:
            start = "\r" * new.startswith("\r")
            judged = self.gate.judge_text(new.removeprefix("\r"))
            self._release("stream", judged, lambda left: {"name": name, "text": start + left})

    def _clear(self) -> None:
        with self._lock:
            if not self.ended.is_set():
                self._shown.clear()
                if self._live:
                    self._tell("clear")

    def _display(self, data: dict[str, Any], metadata: dict[str, Any], place: dict[str, Any]) -> None:
        """A display; ``place`` says which one, where it can be updated."""
        if TABLE_MIME not in data:
            self._release("display", self.gate.judge_display(data), lambda left: {"data": left, **place})
            return
        about = metadata.get(TABLE_MIME) or {}
        table = pa.ipc.open_stream(base64.b64decode(data[TABLE_MIME])).read_all()
        table.validate(full=True)
        shape = about.get("shape") if about.get("shape") in SHAPES else "arrow"
        judged = self.gate.judge_table("", str(shape), table, rows=int(about.get("rows", table.num_rows)))
        self._release("table", judged, lambda left: {**_shown_table(left), **place})

    def _error(self, content: dict[str, Any]) -> None:
        traceback = [str(line) for line in content.get("traceback", [])]
        bases = [str(name) for name in content.get("bases", [])[:MAX_BASES]]
        judged = self.gate.judge_error(str(content["ename"]), str(content["evalue"]), traceback, bases)
        error = self._release("error", judged, lambda error: {"error": error})
        with self._lock:
            if error is not None and not self.ended.is_set():
                self.end["error"] = error

    def _release(self, kind: str, judged: Judged, fields: Callable[[Any], dict[str, Any]]) -> Any:
        """Pass on what was judged; say once for each kind what was held back. Returns what left, or ``None``."""
        with self._lock:
            if self.ended.is_set():
                return None
            left = self.gate.take(judged)
            news = self._told.news(self.gate.withheld)
            if news and self._live:
                self._tell("withheld", what=news)
            if left is None:
                return None
            event = fields(left)
            self._shown.add({"type": kind, **event})
            if self._live:
                self._tell(kind, **event)
            return left

    # --- named outputs ----------------------------------------------------------------------------

    def take_table(self, name: str, shape: str, table: pa.Table, uncounted: Any) -> None:
        """A named output that was asked for; ``uncounted`` is the program's word on why it knows no sizes of groups."""
        table.validate(full=True)
        judged = self.gate.judge_table(name, shape, table)
        if "min_group" in judged.withheld:
            granted = {column for grant in self._contract.grants for column in grant.columns or ()}
            self._reason(name, uncounted_words(uncounted or {"why": "small"}, granted))
        with self._lock:
            taken = None if self.ended.is_set() else self.gate.take(judged)
            if taken is not None:
                self.tables[name] = taken

    def take_missing(self, name: str, kind: Any, why: Any, hint: Any) -> None:
        """A named output that there is not, with the program's words on it."""
        self.missing[name] = None if kind is None else type_name(kind)
        if self.gate.obligations.full_errors:  # else a cell's own words, such as a type that it invented
            self._reason(name, problem_words(why, hint))

    def _reason(self, name: str, words: dict[str, str]) -> None:
        """Keep a reason for the end, where a table could have left as well: it may name columns."""
        if words and "table" in self.gate.obligations.kinds:
            self._reasons[name] = words

    # --- the end ----------------------------------------------------------------------------------

    def set_end(self, **end: Any) -> None:
        """The first word on how the cell ended counts."""
        with self._lock:
            if not self.ended.is_set():
                self.end = {**self.end, **end}
                self.ended.set()

    @property
    def status(self) -> str:
        """How it ended."""
        return str(self.end["status"])

    def verdict(self) -> dict[str, Any]:
        """What the gate let go; nothing is from here on."""
        with self._lock:
            return self.gate.verdict()

    def seal(self, verdict: dict[str, Any]) -> Sealed:
        """What was released, sealed to every recipient, and what is told of how the cell ended."""
        spec, status = self._contract.spec, self.status
        released = self.tables if status == "ok" else {}
        outputs = [
            {"name": name, "shape": one.shape, "rows": one.table.num_rows, "of": one.rows_before, "note": one.note}
            for name, one in released.items()
        ]
        tables = tuple(zip(outputs, (one.table for one in released.values()), strict=True))
        packed = pack(Result(tuple(self._shown.events), tables, verdict))
        sealed = {
            person.did: seal_result(packed, self.cell.digest, person.did, b64decode(person.hpke_public_key))
            for person in spec.recipients
        }
        subjects = subjects_of(packed, sealed)
        if not self._live:  # what the program chose is for recipients
            told = {name: self.end[name] for name in ("status", "limit", "allowed") if name in self.end}
            return Sealed(sealed, subjects, told | {"sealed": True}, len(packed))
        about = {
            "sealed": True,
            "outputs": outputs,
            "missing": self.missing,
            "reasons": self._reasons,
            "held_back": [name for name in self.cell.outputs if status == "ok" and name not in released],
            "verdict": verdict,
        }
        return Sealed(sealed, subjects, self.end | about, len(packed))


def records_of(sealed: Sealed, verdict: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What the audit's records say of a cell's results, by event: how much, never what."""
    counts = {name: sum(verdict[name].values()) for name in ("released", "withheld")}
    about = {"digest": sealed.subjects["result"], "recipients": len(sealed.results), "bytes": sealed.size}
    return {"gate": counts, "result": about}


def _ipc(table: pa.Table) -> str:
    from sls_jupyter.guest.tables import written

    return b64encode(written(table))


def _shown_table(judged: Table) -> dict[str, Any]:
    """A displayed table as an event."""
    about = {"shape": judged.shape, "rows": judged.table.num_rows, "of": judged.rows_before, "note": judged.note}
    return {"table": _ipc(judged.table), **about}
