"""A request's parameters for a reviewer's eyes: decoded from a stranger's bytes, never executed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from sls_jupyter.documents import parse_json
from sls_jupyter.errors import MalformedDocument, SlsError
from sls_jupyter.guest.values import MAX_PARAMETERS_BYTES, unpack_parameters


def read_parameters(data: bytes) -> Mapping[str, Any]:
    """The values behind the names that a cell will see; the caller compared the digest.

    Raises:
        MalformedDocument: they are not of the form that this package packs, and are not decoded.
    """
    bundle = parse_json(data, max_bytes=MAX_PARAMETERS_BYTES)
    if not isinstance(bundle, dict) or set(bundle) != {"values", "frames"}:
        raise MalformedDocument("These are no parameters.", expected="values and frames")
    try:
        return unpack_parameters(data)
    except (SlsError, pa.ArrowException, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise MalformedDocument("The parameters cannot be decoded.", found=type(error).__name__) from None
