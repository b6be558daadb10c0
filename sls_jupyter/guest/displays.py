"""Displayed frames leave the kernel as Arrow, so that the gate judges them as the tables they are."""

from __future__ import annotations

import base64
import io
from typing import Any

import pandas as pd

from sls_jupyter.guest.values import Unreturnable, to_stream

TABLE_MIME = "application/vnd.apache.arrow.stream"
SHOWN_ROWS = 20  # of a longer frame: the first ten and the last ten


def _bundle(value: Any) -> tuple[dict[str, str], dict[str, Any]] | None:
    rows = len(value)
    shown = value
    if rows > SHOWN_ROWS:
        half = SHOWN_ROWS // 2
        shown = pd.concat([value.iloc[:half], value.iloc[-half:]])
        shown.attrs = dict(value.attrs)
    try:
        outgoing = to_stream(shown)
    except Unreturnable:
        return None
    sink = io.BytesIO()
    outgoing.write(sink)
    metadata = {TABLE_MIME: {"rows": rows, "shape": outgoing.shape}}
    return {TABLE_MIME: base64.b64encode(sink.getvalue()).decode()}, metadata


def install(shell: Any) -> None:
    """Register with IPython's display system."""
    formatter = shell.display_formatter.mimebundle_formatter
    formatter.for_type(pd.DataFrame, lambda value, **_: _bundle(value))
    formatter.for_type(pd.Series, lambda value, **_: _bundle(value))
