"""The output gate: what the program shows or returns leaves only as far as every owner allows.

The program is not trusted with what leaves, so this runs in another container and judges what it gets:
kinds, rows, bytes, sizes of groups, detail of errors. Only Arrow and a list of safe MIME types leave;
pickle never does; HTML and SVG are sanitised; JavaScript and widget views are dropped. Everything that
is held back is counted under the rule that held it, and the verdict lists every rule.

What is *not* decided here: whether the numbers in an allowed table give a person away. A hostile cell
can also lie about the sizes of its groups; review of the code stands against that.
"""

from __future__ import annotations

import builtins
import re
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import nh3
import pyarrow as pa

from sls_jupyter.contract.grants import Obligations
from sls_jupyter.contract.spec import Kind
from sls_jupyter.documents import canonical_json
from sls_jupyter.errors import SlsError
from sls_jupyter.guest.tables import has_only_known_types, has_sequences, stripped, with_enough, written_bytes

TABLE_MIME = "application/vnd.apache.arrow.stream"
GROUP_SIZE_COLUMN = "__sls_group_size__"
COUNT_COLUMNS = ("n", "count", "size", "group_size")  # what a table may call its own group sizes
FIGURE_MIMES = ("image/png", "image/jpeg", "image/svg+xml")
TEXT_MIMES = ("text/html", "text/markdown", "text/latex", "application/json", "text/plain")

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"pHYs", b"gAMA", b"sRGB"}  # none that holds text
_SVG_TAGS = {
    *("svg", "g", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan", "title", "desc"),
    *("defs", "clipPath", "linearGradient", "radialGradient", "stop", "marker", "use"),
}
_SVG_ATTRIBUTES = {
    *("d", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "rx", "ry", "width", "height", "viewBox", "points"),
    *("transform", "fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "opacity"),
    *("stroke-linecap", "stroke-linejoin", "font-size", "font-family", "text-anchor", "clip-path", "id", "offset"),
    *("gradientUnits", "gradientTransform", "stop-color", "stop-opacity", "preserveAspectRatio", "version", "xmlns"),
}
_HTML_ATTRIBUTES = {tag: names - {"cite", "href", "src"} for tag, names in nh3.ALLOWED_ATTRIBUTES.items()}
_FRAGMENT = re.compile(r"url\(#[A-Za-z0-9_.:-]+\)")
MAX_JSON_DEPTH = 20
MAX_CLAIMED_ROWS = 10**12
_ANSI_OTHER_THAN_COLOUR = re.compile(r"\x1b(?!\[[0-9;]*m)[^A-Za-z]*[A-Za-z]?")


T = TypeVar("T")


class BytesLimit(SlsError):
    """More bytes would leave than all owners and the requester allow."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table that may leave."""

    name: str
    shape: str
    table: pa.Table
    rows_before: int  # of the program's table; more than table.num_rows when a limit cut something
    note: str  # why, in words; "" when nothing was cut


@dataclass(slots=True)
class Gate:
    """Judges one run's outputs under the obligations of all grants together."""

    obligations: Obligations
    released_bytes: int = 0
    withheld: Counter[str] = field(default_factory=Counter)
    released: Counter[str] = field(default_factory=Counter)

    # --- one output at a time ---------------------------------------------------------------------

    def text(self, text: str) -> str | None:
        """stdout or stderr."""
        if not self._kind("text"):
            return None
        return self._count("text", _clean(text), len(text.encode()))

    def display(self, data: Mapping[str, Any]) -> dict[str, Any] | None:
        """A display's MIME bundle, cut to what may leave; ``None`` when nothing may.

        A bundle with an Arrow table is judged as that table by :meth:`table`, not here.
        """
        figures = {mime: data[mime] for mime in FIGURE_MIMES if isinstance(data.get(mime), str)}
        if figures:
            return self._figure(figures)
        if not any(mime in data for mime in TEXT_MIMES):
            self.withheld["unsafe"] += 1
            return None
        if not self._kind("text"):
            return None
        texts = {
            mime: _clean_mime(mime, data[mime]) for mime in TEXT_MIMES if mime in data and _is_text(mime, data[mime])
        }
        if not texts:
            self.withheld["unsafe"] += 1
            return None
        return self._count("text", texts, len(canonical_json(texts)))

    def _figure(self, figures: dict[str, str]) -> dict[str, Any] | None:
        if not self._kind("figure"):
            return None
        clean: dict[str, str] = {}
        if "image/png" in figures:
            png = _clean_png(figures["image/png"])
            clean |= {} if png is None else {"image/png": png}
        elif "image/svg+xml" in figures:
            clean["image/svg+xml"] = _clean_svg(figures["image/svg+xml"])
        if not clean:
            self.withheld["unsafe"] += 1
            return None
        return self._count("figure", clean, sum(map(len, clean.values())))

    def error(self, name: str, value: str, traceback: list[str]) -> dict[str, Any] | None:
        """An exception: its type always leaves, the rest where every owner allows it.

        A type that is not Python's own could be named after a secret, so it leaves as ``Exception``; and only
        the first, because a series of names could spell one.
        """
        if self.obligations.full_errors:
            detail = {
                "name": _clean(name)[:200],
                "value": _clean(value)[:2000],
                "traceback": [_clean(line) for line in traceback],
            }
            return self._count("error", detail, len(canonical_json(detail)))
        self.withheld["error detail"] += 1
        if self.withheld["error detail"] > 1:
            return None
        known = isinstance(getattr(builtins, name, None), type)
        return {"name": name if known else "Exception", "value": "", "traceback": []}

    def table(self, name: str, shape: str, table: pa.Table, *, rows: int | None = None) -> Table | None:
        """A named or displayed table, with small groups and surplus rows removed.

        Args:
            rows: how many rows the program's table had, when it sent only some of them.
        """
        if not self._kind("table"):
            return None
        if not has_only_known_types(table.schema):
            self.withheld["unsafe"] += 1
            return None
        before, notes = self._rows_before(table.num_rows, rows), []
        sized = self._drop_small_groups(table)
        if sized is None:
            self.withheld["min_group"] += 1
            return None
        if sized.num_rows < table.num_rows:
            self.withheld["small groups"] += table.num_rows - sized.num_rows
            notes.append(f"groups under {self.obligations.min_group} are withheld")
        limit = self.obligations.max_rows
        if limit is not None and sized.num_rows > limit:
            self.withheld["rows"] += sized.num_rows - limit
            notes.append(f"the owner's limit is {limit} rows")
            sized = sized.slice(0, limit)
        sized = stripped(sized, values=self.obligations.min_group is not None or limit is not None)
        return self._count("table", Table(name, shape, sized, before, "; ".join(notes)), written_bytes(sized))

    def _rows_before(self, sent: int, claimed: int | None) -> int:
        """How many rows the whole table had. The program's word, so only where it may say as much in the table itself."""
        bounded = self.obligations.max_rows is not None or self.obligations.min_group is not None
        if claimed is None or bounded or not sent <= claimed <= MAX_CLAIMED_ROWS:
            return sent
        return claimed

    # --- rules ------------------------------------------------------------------------------------

    def _kind(self, kind: Kind) -> bool:
        if kind in self.obligations.kinds:
            return True
        self.withheld[kind] += 1
        return False

    def _drop_small_groups(self, table: pa.Table) -> pa.Table | None:
        """The table without rows about small groups and without our own column; ``None`` when sizes are unknown."""
        hidden = GROUP_SIZE_COLUMN in table.column_names
        names = [GROUP_SIZE_COLUMN] if hidden else [name for name in COUNT_COLUMNS if name in table.column_names]
        minimum = self.obligations.min_group
        if minimum is not None:
            sizes = next((name for name in names if pa.types.is_integer(table.schema.field(name).type)), None)
            if sizes is None or has_sequences(table.schema):  # a list in one row can hold a row of each person
                return None
            table = with_enough(table, sizes, minimum)
        return table.drop_columns([GROUP_SIZE_COLUMN]) if hidden else table

    def _count(self, kind: str, value: T, size: int) -> T:
        allowed = self.obligations.max_bytes
        self.released_bytes += size
        if allowed is not None and self.released_bytes > allowed:
            raise BytesLimit("The run gives out more bytes than it may.", expected=f"{allowed} bytes at most")
        self.released[kind] += 1
        return value

    def verdict(self) -> dict[str, Any]:
        """Every rule with what it let through and what it held back."""
        return {
            "rules": self.obligations.model_dump(mode="json"),
            "released": dict(sorted(self.released.items())),
            "withheld": dict(sorted(self.withheld.items())),
            "bytes": self.released_bytes,
        }


# --- cleaning -------------------------------------------------------------------------------------


def _clean(text: str) -> str:
    """Text without terminal control sequences other than colours."""
    return _ANSI_OTHER_THAN_COLOUR.sub("", text)


def _is_text(mime: str, value: Any) -> bool:
    """JSON that has one canonical form, and text that is text."""
    if mime != "application/json":
        return isinstance(value, str)
    try:
        return _depth(value) <= MAX_JSON_DEPTH and bool(canonical_json(value))
    except (SlsError, RecursionError):
        return False


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def _clean_mime(mime: str, value: Any) -> Any:
    """A text without what runs, and without what fetches: an address can carry data to whoever serves it."""
    if mime == "text/html":
        return nh3.clean(_clean(value), attributes=_HTML_ATTRIBUTES, url_schemes=set(), link_rel=None)
    if mime in ("text/markdown", "text/latex"):
        text = _clean(value).replace("![", "!\\[")
        return nh3.clean(text, attributes=_HTML_ATTRIBUTES, url_schemes=set(), link_rel=None) if "<" in text else text
    return value if mime == "application/json" else _clean(value)


def _no_addresses(_: str, name: str, value: str) -> str | None:
    """An SVG attribute, unless it names something outside the picture."""
    plain = value.lower().replace("/*", "\\")
    fetches = any(word in plain for word in ("url", "src", "image", "\\"))
    return value if not fetches or _FRAGMENT.fullmatch(value) else None


def _clean_svg(text: str) -> str:
    attributes = {"*": _SVG_ATTRIBUTES}
    return nh3.clean(
        text,
        tags=_SVG_TAGS,
        attributes=attributes,
        attribute_filter=_no_addresses,
        url_schemes=set(),
        link_rel=None,
    )


def _clean_png(text: str) -> str | None:
    """A PNG without the chunks that hold text or anything but the picture; ``None`` if it is none."""
    import base64
    import binascii

    try:
        data = base64.b64decode(text, validate=False)
    except (binascii.Error, ValueError):
        return None
    if not data.startswith(_PNG_SIGNATURE):
        return None
    kept, position = [_PNG_SIGNATURE], len(_PNG_SIGNATURE)
    while position + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        if kind in _PNG_CHUNKS:
            kept.append(data[position : position + 12 + length])
        position += 12 + length
        if kind == b"IEND":
            return base64.b64encode(b"".join(kept)).decode()
    return None
