"""The output gate: what the program shows or returns leaves only as far as every owner allows.

The program is not trusted with what leaves, so this runs in another container and judges what it gets:
kinds, rows, bytes, sizes of groups, detail of errors. Nothing leaves as the program wrote it: a table is
written anew from its values (:mod:`.tables`), a picture from its pixels or shapes, a text without what runs,
fetches, steers or hides (:mod:`.cleaner`, :mod:`.plain_text`), an error under a name that was known before
(:mod:`.well_known`). Pickle, JavaScript and widget views never leave. Everything that is held back is counted
under the rule that held it, and the verdict lists every rule.

Judging takes time, and an end must not wait for it: the methods ``judge_…`` decide and change nothing, and
:meth:`Gate.take` counts what was judged. Only ``take`` needs the caller's lock.

What is *not* decided here: whether the numbers in an allowed table give a person away, and what a picture
shows. A hostile cell can also lie about the sizes of its groups; review of the code stands against that.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from sls_jupyter.contract.grants import Obligations
from sls_jupyter.documents import canonical_json
from sls_jupyter.errors import SlsError
from sls_jupyter.guest.cleaner import cleaned
from sls_jupyter.guest.plain_text import released_text, released_value
from sls_jupyter.guest.well_known import MAX_BASES, known_exception

TABLE_MIME = "application/vnd.apache.arrow.stream"
GROUP_SIZE_COLUMN = "__sls_group_size__"
FIGURE_MIMES = ("image/png", "image/svg+xml", "image/jpeg", "image/webp", "image/gif")  # one leaves, the first that can
MARKUP_MIMES = ("text/html", "text/markdown", "text/latex")
TEXT_MIMES = (*MARKUP_MIMES, "application/json", "text/plain")
MAX_JSON_DEPTH = 20
MAX_CLAIMED_ROWS = 10**12
MAX_ERROR_CHARACTERS = {"name": 200, "value": 2_000}

Clean = Callable[[str, str], tuple[str, str] | None]  # MIME type and text to what may leave of them


class BytesLimit(SlsError):
    """More bytes would leave than all owners and the requester allow."""


class SessionBytesLimit(BytesLimit):
    """More bytes would leave than a session may give out in all its cells."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table that may leave."""

    name: str
    shape: str
    table: pa.Table
    rows_before: int  # of the program's table; more than table.num_rows when a limit cut something
    note: str  # why, in words; "" when nothing was cut


@dataclass(frozen=True, slots=True)
class Judged:
    """One output, decided and not yet counted."""

    kind: str  # what it counts as when it leaves
    value: Any = None  # None: it does not leave
    size: int = 0  # bytes
    withheld: Mapping[str, int] = field(default_factory=dict)  # by rule


_UNSAFE = Judged("", withheld={"unsafe": 1})


@dataclass(slots=True)
class Gate:
    """Judges the outputs of one run, or of a session's cell, under the obligations of all grants together.

    Args:
        left: bytes that a session may still give out.
        clean: what pictures and markup go through; a run gives it a process of its own.
    """

    obligations: Obligations
    clean: Clean = cleaned
    left: int | None = None
    released_bytes: int = 0
    withheld: Counter[str] = field(default_factory=Counter)
    released: Counter[str] = field(default_factory=Counter)

    def take(self, judged: Judged) -> Any:
        """Count an output, and say what of it leaves; ``None`` for nothing.

        Raises:
            BytesLimit: it is more than may leave in all.
        """
        self.withheld.update(judged.withheld)
        if judged.value is None:
            return None
        if judged.kind == "type of an error":  # only the first, because a series of names could spell a text
            return judged.value if self.withheld["error detail"] == 1 else None
        self.released_bytes += judged.size
        self._require_allowed(self.released_bytes)
        self.released[judged.kind] += 1
        return judged.value

    def _require_allowed(self, size: int) -> None:
        allowed = self.obligations.max_bytes
        if allowed is not None and size > allowed:
            raise BytesLimit("The run gives out more bytes than it may.", expected=f"{allowed} bytes at most")
        if self.left is not None and size > self.left:
            raise SessionBytesLimit("The session gives out more bytes than it may.")

    # --- one output at a time, judged and counted -------------------------------------------------

    def text(self, text: str) -> str | None:
        """stdout or stderr."""
        found: str | None = self.take(self.judge_text(text))
        return found

    def display(self, data: Mapping[str, Any]) -> dict[str, Any] | None:
        """A display's MIME bundle, cut to what may leave; ``None`` when nothing may.

        A bundle with an Arrow table is judged as that table by :meth:`table`, not here.
        """
        found: dict[str, Any] | None = self.take(self.judge_display(data))
        return found

    def error(self, name: str, value: str, traceback: list[str], bases: Sequence[str] = ()) -> dict[str, Any] | None:
        """An exception: where every owner allows it in full, else the known name nearest to its type.

        Args:
            bases: names of its type's bases, nearest first.
        """
        found: dict[str, Any] | None = self.take(self.judge_error(name, value, traceback, bases))
        return found

    def table(self, name: str, shape: str, table: pa.Table, *, rows: int | None = None) -> Table | None:
        """A named or displayed table, with small groups and surplus rows removed, written anew.

        Args:
            rows: how many rows the program's table had, when it sent only some of them.
        """
        found: Table | None = self.take(self.judge_table(name, shape, table, rows=rows))
        return found

    # --- judging ----------------------------------------------------------------------------------

    def judge_text(self, text: str) -> Judged:
        """As :meth:`text`, without counting."""
        if "text" not in self.obligations.kinds:
            return _held("text")
        plain = released_text(text)
        return Judged("text", plain, len(plain.encode()))

    def judge_display(self, data: Mapping[str, Any]) -> Judged:
        """As :meth:`display`, without counting."""
        figures = {mime: data[mime] for mime in FIGURE_MIMES if isinstance(data.get(mime), str)}
        if figures:
            return self._figure(figures) if "figure" in self.obligations.kinds else _held("figure")
        if not any(mime in data for mime in TEXT_MIMES):
            return _UNSAFE
        if "text" not in self.obligations.kinds:
            return _held("text")
        texts = {mime: self._text_of(mime, data[mime]) for mime in TEXT_MIMES if mime in data}
        left = {mime: text for mime, text in texts.items() if text is not None}
        lost = any(mime in texts and mime not in left for mime in MARKUP_MIMES)  # then its plain text says little
        held = {"unsafe": 1} if lost else {}
        return Judged("text", left, len(canonical_json(left)), held) if left else _UNSAFE

    def _figure(self, figures: Mapping[str, str]) -> Judged:
        for mime, text in figures.items():
            found = self.clean(mime, text)
            if found is not None:
                return Judged("figure", {found[0]: found[1]}, len(found[1].encode()))
        return _UNSAFE

    def _text_of(self, mime: str, value: Any) -> Any:
        """What leaves of one form of a display; ``None`` for nothing."""
        if mime == "application/json":
            return released_value(value) if _is_json(value) else None
        if not isinstance(value, str):
            return None
        if mime == "text/plain":
            return released_text(value)
        found = self.clean(mime, value)
        if found is None or (value.strip() and not _shows(mime, found[1])):
            return None
        return found[1]

    def judge_error(self, name: str, value: str, traceback: Sequence[str], bases: Sequence[str] = ()) -> Judged:
        """As :meth:`error`, without counting."""
        if not self.obligations.full_errors:
            known = {"name": known_exception(name, bases[:MAX_BASES]), "value": "", "traceback": []}
            return Judged("type of an error", known, withheld={"error detail": 1})
        cut = {"name": name, "value": value}
        detail: dict[str, Any] = {key: released_text(text)[: MAX_ERROR_CHARACTERS[key]] for key, text in cut.items()}
        detail["traceback"] = [released_text(line) for line in traceback]
        return Judged("error", detail, len(canonical_json(detail)))

    def judge_table(self, name: str, shape: str, table: pa.Table, *, rows: int | None = None) -> Judged:
        """As :meth:`table`, without counting.

        Raises:
            BytesLimit: it has more values than bytes may leave; said before memory is made for them.
        """
        if "table" not in self.obligations.kinds:
            return _held("table")
        from sls_jupyter.guest import tables  # and pandas, which a run without tables never needs

        if not tables.has_only_known_types(table.schema):
            return _UNSAFE
        try:
            sized, withheld, notes = self._drop_small_groups(table), Counter[str](), []
        except SlsError:
            return _UNSAFE
        if sized is None:
            return _held("min_group")
        if sized.num_rows < table.num_rows:
            withheld["small groups"] = table.num_rows - sized.num_rows
            notes.append(f"groups under {self.obligations.min_group} are withheld")
        if shape == "value":
            return self._judge_value(name, sized)
        limit = self.obligations.max_rows
        if limit is not None and sized.num_rows > limit:
            withheld["rows"] = sized.num_rows - limit
            notes.append(f"the owner's limit is {limit} rows")
            sized = sized.slice(0, limit)
        self._require_allowed(tables.cells(sized))
        bounded = limit is not None or self.obligations.min_group is not None
        try:
            new = tables.anew(sized, shape, whole=sized.num_rows == table.num_rows, categories=not bounded)
        except tables.Unsafe:
            return _UNSAFE
        left = Table(name, shape, new, self._rows_before(table.num_rows, rows), "; ".join(notes))
        return Judged("table", left, tables.written_bytes(new), withheld)

    def _judge_value(self, name: str, table: pa.Table) -> Judged:
        """A plain value, read and written anew; its longest sequence counts as rows, and is not cut."""
        from sls_jupyter.guest import tables, typed
        from sls_jupyter.guest.result_words import value_in

        try:
            value = value_in(table)
            rows, limit = typed.items_in(value), self.obligations.max_rows
            if limit is not None and rows > limit:
                return _held("rows")
            text = canonical_json(typed.encode(value)).decode()
        except SlsError:
            return _UNSAFE
        new = pa.table({"value": pa.array([text], pa.large_string())})
        return Judged("table", Table(name, "value", new, 1, ""), tables.written_bytes(new))

    def _rows_before(self, sent: int, claimed: int | None) -> int:
        """How many rows the whole table had. The program's word, so only where it may say as much in the table itself."""
        bounded = self.obligations.max_rows is not None or self.obligations.min_group is not None
        if claimed is None or bounded or not sent <= claimed <= MAX_CLAIMED_ROWS:
            return sent
        return claimed

    def _drop_small_groups(self, table: pa.Table) -> pa.Table | None:
        """The table without rows about small groups and without our own column; ``None`` when sizes are unknown."""
        hidden, minimum = GROUP_SIZE_COLUMN in table.column_names, self.obligations.min_group
        if minimum is not None:
            from sls_jupyter.guest import tables

            if not hidden or table.schema.field(GROUP_SIZE_COLUMN).type != pa.int64():
                return None
            if tables.has_sequences(table):  # a list in one row can hold a row of each person
                return None
            table = tables.with_enough(table, GROUP_SIZE_COLUMN, minimum)
        return table.drop_columns([GROUP_SIZE_COLUMN]) if hidden else table

    def verdict(self) -> dict[str, Any]:
        """Every rule with what it let through and what it held back."""
        return {
            "rules": self.obligations.model_dump(mode="json"),
            "released": dict(sorted(self.released.items())),
            "withheld": dict(sorted(self.withheld.items())),
            "bytes": self.released_bytes,
        }


def _held(rule: str) -> Judged:
    return Judged("", withheld={rule: 1})


def _shows(mime: str, text: str) -> bool:
    """Whether anything is left to be seen."""
    return bool((re.sub(r"<[^<>]*>", "", text) if mime == "text/html" else text).strip())


def _is_json(value: Any) -> bool:
    """JSON that has one canonical form."""
    try:
        return _depth(value) <= MAX_JSON_DEPTH and bool(canonical_json(value))
    except (SlsError, RecursionError):
        return False


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)
