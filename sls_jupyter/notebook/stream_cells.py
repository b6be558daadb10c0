"""A ``%%safestream`` cell to begin with, for one asset: its columns, a purpose that its owner names, a first line of pandas."""

from __future__ import annotations

import keyword
import re

from sls_jupyter.errors import SlsError
from sls_jupyter.naming import quoted
from sls_jupyter.notebook.args import as_word
from sls_jupyter.session import AssetInfo
from sls_jupyter.session.inputs import alias_of, picked_columns

MAX_COLUMNS = 12  # that are named on the line; of more than these, all that are granted come without being named


def stream_cell(info: AssetInfo, name: str) -> str:
    """The text of a cell that runs over this asset.

    Args:
        name: what means this asset here, and no other: its name, ``owner/name``, or its digest.
    """
    option, alias = ("-i", _alias(info)) if info.manifest.kind == "table" else ("-c", "")
    words = [option, as_word(f"{name}{_renamed(info, name, alias)}{_columns(info, name)}")]
    words += ["-o", "result"]
    purpose = next((one for one in info.policy.purposes if one.isprintable()), "")
    words += ["--purpose", as_word(purpose)] if purpose and not purpose.startswith("-") else []
    return f"%%safestream {' '.join(words)}\n{_first_line(info, alias)}\n"


def _first_line(info: AssetInfo, alias: str) -> str:
    """Something that the policy lets out: of counted groups, no quantile is."""
    if not alias:
        return "result = ...  # what the sealed code defines is there"
    return f"result = {alias}.{'describe()' if info.policy.min_group is None else 'mean(numeric_only=True)'}"


def granted_columns(info: AssetInfo) -> tuple[str, ...]:
    """The columns that the policy grants, in the table's order; none for a confidential schema."""
    allowed = info.policy.columns
    return tuple(one for one in info.manifest.columns if allowed is None or one in allowed)


def _alias(info: AssetInfo) -> str:
    """The variable that the cell finds it under."""
    plain = re.sub(r"[-.]", "_", info.name)
    return f"{plain}_" if keyword.iskeyword(plain) else plain


def _renamed(info: AssetInfo, name: str, alias: str) -> str:
    if not alias:
        return ""
    try:
        return "" if alias_of(name, info.manifest) == alias else f"={alias}"
    except SlsError:
        return f"={alias}"


def _columns(info: AssetInfo, name: str) -> str:
    """The granted columns as an input names them; nothing where all come anyway, or a line cannot name them."""
    granted = granted_columns(info)
    if info.manifest.kind != "table" or not 0 < len(granted) <= MAX_COLUMNS or not all(map(str.isprintable, granted)):
        return ""
    text = ":" + ",".join(map(quoted, granted))
    try:
        read = picked_columns(f"{name}{text}", info.manifest.columns)
    except SlsError:
        return ""
    return text if read == list(granted) else ""
