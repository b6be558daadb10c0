"""A schema's metadata that are sealed with it. They may hold anything, and a manifest is not encrypted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sls_jupyter.errors import UnsealableData

PANDAS, OURS, GEO = b"pandas", b"sls.pandas", b"geo"
_OF_GEO = ("version", "primary_column")
_OF_A_GEOMETRY = ("encoding", "geometry_types", "crs", "orientation", "edges", "epoch")  # not: bbox, covering


def kept_metadata(metadata: Mapping[bytes, bytes] | None) -> dict[bytes, bytes] | None:
    """What brings a frame back, and GeoParquet's kinds of geometry with their CRS; nothing that is made of values.

    ``attrs`` of a frame and the extent of a geometry (``bbox``) are left out.

    Raises:
        UnsealableData: they are there and cannot be read.
    """
    given, kept = dict(metadata or {}), {}
    if OURS in given:
        kept[OURS] = given[OURS]
    if PANDAS in given:
        told = _parsed("pandas", given[PANDAS])
        if "attributes" in told:
            told["attributes"] = {}
        kept[PANDAS] = json.dumps(told).encode()
    if GEO in given:
        kept[GEO] = json.dumps(_geo(_parsed("GeoParquet", given[GEO]))).encode()
    return kept or None


def _parsed(what: str, data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UnsealableData(
            f"The {what} metadata of this table cannot be read.",
            found="no JSON object",
            hint="Remove them: table.replace_schema_metadata(None) of pyarrow.",
        )
    return found


def _geo(found: dict[str, Any]) -> dict[str, Any]:
    columns = found.get("columns")
    described = columns.items() if isinstance(columns, dict) else ()
    geometries = {
        name: {key: one[key] for key in _OF_A_GEOMETRY if key in one}
        for name, one in described
        if isinstance(one, dict)
    }
    return {key: found[key] for key in _OF_GEO if key in found} | {"columns": geometries}
