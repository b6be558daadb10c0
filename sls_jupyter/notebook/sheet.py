"""The looks of all cards, and which output of a notebook carries them.

A notebook is one page, so it has the style sheet once: in the first card that a kernel shows, and in the same cell again
when that is run again. Every other card relies on it. A card without it (the cell was deleted, a viewer shows each output
by itself or takes style sheets away) still reads well: it is made of headings, lists, tables and folds as HTML has
them, and its frame and its line breaks are in an attribute of its own.

Colours are JupyterLab's variables. Where there are none, a card brings ground and ink together, for light and for dark.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

SHEET_ID = "sls-sheet"
INLINE = "max-width:860px;overflow-wrap:anywhere;border-left:4px solid var(--sls-tone,#8893a2);padding:8px 14px"
"""What a card has without the sheet."""

NARROW = {"-few": 420, "": 680, "-many": 800}
"""Tables of up to 3, 5 and more columns -> pixels of a card in which their rows have no place side by side."""


def _stacked(table: str, width: int) -> str:
    """Rules by which each cell of a narrow table stands in a line of its own, behind the name of its column."""
    row = f".sls-card.sls-card {table}>tbody>tr"
    return f"""@container (max-width:{width}px){{
.sls-card.sls-card {table},.sls-card {table}>tbody,{row},{row}>td{{display:block;width:auto}}
.sls-card {table}>thead{{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}}
{row}{{padding:4px 0;border-bottom:1px solid var(--jp-border-color2,var(--sls-line))}}
{row}>td{{border:0;padding:1px 0}}{row}>td:empty{{display:none}}
{row}>td::before{{content:attr(data-head) ": ";opacity:.8}}
}}
"""


SHEET = f"""<style id="{SHEET_ID}">
.sls-card{{--sls-ground:#fff;--sls-ink:#1f2328;--sls-line:rgba(128,128,128,.35);
--sls-g:#1a7f37;--sls-b:#c4232d;--sls-w:#0969da;--sls-n:#9a6700;
--sls-keyword:#00697a;--sls-string:#a8311c;--sls-number:#3d6b1f;--sls-builtin:#6b3fa0;--sls-def:#1f5fbf}}
@media (prefers-color-scheme:dark){{.sls-card{{--sls-ground:#16181c;--sls-ink:#e6e8eb;
--sls-g:#4ac26b;--sls-b:#ff8182;--sls-w:#6cb6ff;--sls-n:#e0a526;
--sls-keyword:#5ccfe6;--sls-string:#f2a38f;--sls-number:#a5d185;--sls-builtin:#cfa8ff;--sls-def:#86b6ff}}}}
.sls-card{{font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px;line-height:1.5;container-type:inline-size;
color:var(--jp-ui-font-color1,var(--sls-ink));background:var(--jp-layout-color0,var(--sls-ground));
border:1px solid var(--jp-border-color2,var(--sls-line));border-left-width:4px!important;border-radius:4px;margin:4px 0}}
.sls-card *{{box-sizing:border-box}}
.sls-good{{--sls-tone:var(--jp-success-color1,var(--sls-g))}}.sls-bad{{--sls-tone:var(--jp-error-color1,var(--sls-b))}}
.sls-wait{{--sls-tone:var(--jp-info-color1,var(--sls-w))}}.sls-note{{--sls-tone:var(--jp-warn-color1,var(--sls-n))}}
.sls-head{{display:flex;flex-wrap:wrap;gap:2px 10px;align-items:baseline;margin:0 0 6px}}
.sls-card.sls-card h3{{font-size:15px;font-weight:600;line-height:1.4;margin:0;padding:0;color:inherit}}
.sls-card.sls-card h4,.sls-card.sls-card h5{{font-size:12px;font-weight:600;margin:10px 0 2px;padding:0;color:inherit;opacity:.8}}
.sls-card.sls-card h5{{font-weight:500}}
.sls-sub{{opacity:.8}}
.sls-chip{{display:inline-block;max-width:100%;border:1px solid var(--sls-tone,#8893a2);border-radius:9px;padding:0 8px;font-size:11px;
line-height:17px}}
.sls-sim{{font-weight:600;letter-spacing:.05em;border-style:dashed}}
.sls-card p{{margin:4px 0}}.sls-card ul,.sls-card ol{{margin:4px 0;padding-left:20px}}.sls-card li{{margin:1px 0}}
.sls-card dl{{display:grid;grid-template-columns:minmax(4em,max-content) 1fr;gap:1px 14px;margin:6px 0}}
.sls-card.sls-card dt{{opacity:.8;float:none;width:auto;font-weight:400;max-width:16em;overflow-wrap:break-word}}
.sls-card.sls-card dd{{margin:0;grid-column:2;min-width:0;width:auto;float:none}}
.sls-card.sls-card table{{border-collapse:collapse;margin:6px 0;font-size:13px;width:100%;table-layout:auto}}
.sls-card.sls-card th,.sls-card.sls-card td{{text-align:left;vertical-align:top;padding:3px 12px 3px 0;overflow-wrap:break-word;
border:0;border-bottom:1px solid var(--jp-border-color2,var(--sls-line));background:none;color:inherit;white-space:normal;max-width:none}}
.sls-card.sls-card th{{font-weight:600;opacity:.8;font-size:12px}}
.sls-long{{overflow-wrap:anywhere}}.sls-card td .sls-long,.sls-card th .sls-long{{display:inline-block;min-width:6em}}
.sls-card.sls-card.sls-card code,.sls-card.sls-card pre{{font-family:var(--jp-code-font-family,ui-monospace,monospace);font-size:12px;
background:none;color:inherit;padding:0}}
.sls-card.sls-card.sls-card tr{{background:none}}.sls-card code{{white-space:normal}}
.sls-card.sls-card pre{{border:1px solid var(--jp-border-color2,var(--sls-line));border-radius:3px;padding:8px 10px;margin:6px 0;
white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.45}}
.sls-card.sls-card .sls-steps th,.sls-card.sls-card .sls-steps td{{border:0;padding-top:1px;padding-bottom:1px}}
.sls-card.sls-card .sls-steps tbody th{{font-weight:400;font-size:13px;opacity:1;white-space:nowrap}}
.sls-card.sls-card .sls-steps td:nth-child(2){{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}}
.sls-card.sls-card .sls-steps td:nth-child(3){{width:99%}}
.sls-card.sls-card .sls-steps .sls-later>*{{opacity:.8}}
.sls-heads{{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}}
.sls-checks li{{margin:3px 0}}.sls-checks dl{{margin:2px 0 6px}}
.sls-card.sls-card pre.sls-code{{padding:6px 0}}
.sls-code .sls-row{{display:block;padding:0 10px 0 7.2em;text-indent:-6.5em}}
.sls-code .sls-row>*{{text-indent:0}}
.sls-no{{opacity:.8;user-select:none;white-space:pre}}.sls-odd{{background:rgba(217,130,0,.16)}}
.sls-mark{{border:1px dashed var(--jp-warn-color1,var(--sls-n));border-radius:3px;font-weight:600}}
.sls-keyword{{color:var(--jp-mirror-editor-keyword-color,var(--sls-keyword))}}
.sls-string{{color:var(--jp-mirror-editor-string-color,var(--sls-string))}}
.sls-number{{color:var(--jp-mirror-editor-number-color,var(--sls-number))}}
.sls-comment{{font-style:italic;opacity:.8}}
.sls-builtin{{color:var(--jp-mirror-editor-builtin-color,var(--sls-builtin))}}
.sls-def{{color:var(--jp-mirror-editor-def-color,var(--sls-def))}}
.sls-card .sls-warn{{border:1px solid var(--sls-tone);border-left-width:4px;padding:2px 8px;font-weight:600}}
.sls-card dd,.sls-card td,.sls-card p,.sls-card li{{unicode-bidi:isolate}}
.sls-card details{{margin:4px 0}}.sls-card td details{{margin:0}}.sls-card summary{{cursor:pointer}}
.sls-now{{font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px;margin:2px 0}}
@container (max-width:480px){{
.sls-card.sls-card dl{{display:block}}.sls-card.sls-card dt{{max-width:none}}.sls-card.sls-card dd{{margin:0 0 4px}}
.sls-card.sls-card .sls-steps tbody th{{white-space:normal}}
}}
{"".join(_stacked(f".sls-columns{name}", width) for name, width in NARROW.items())}</style>
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an output stands: in which cell, if the front end says so, and which execution of it makes the output."""

    cell: str
    execution: str


class Carrier:
    """Which cell of a notebook carries the sheet."""

    def __init__(self) -> None:
        self._place: Place | None = None
        self._lock = threading.Lock()

    def sheet_at(self, place: Place | None) -> str:
        """The sheet, if the output that is made at this place has to carry it; else nothing.

        Args:
            place: ``None`` outside a notebook, where each output may be a page by itself.
        """
        if place is None:
            return SHEET
        with self._lock:
            known = self._place
            again = known and place.cell and known.cell == place.cell and known.execution != place.execution
            if known and not again:
                return ""
            self._place = place
            return SHEET


_CARRIER = Carrier()


def due_sheet() -> str:
    """The sheet, if the output that is made now has to carry it. Ask once for each output."""
    return _CARRIER.sheet_at(_here())


def _here() -> Place | None:
    """The cell that runs now. JupyterLab, Notebook and VS Code say which; who runs a notebook once from top to end does not."""
    from IPython.core.getipython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    if kernel is None or not hasattr(kernel, "get_parent"):
        return None
    parent = kernel.get_parent() or {}
    return Place(str(parent.get("metadata", {}).get("cellId") or ""), str(parent.get("header", {}).get("msg_id", "")))
