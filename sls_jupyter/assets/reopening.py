"""What was written is opened before it is published, by the very code that a group runs."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from sls_jupyter.assets.manifest import AssetManifest
from sls_jupyter.assets.opening import PartOpener, first_rows, to_pandas
from sls_jupyter.errors import SlsError, UnsealableData


def check_opens(manifest: AssetManifest, keys: Mapping[str, bytes], open_part: PartOpener) -> None:
    """Open a table as its recipients will: its schema, its dictionaries, and the first row group as a frame.

    Raises:
        UnsealableData: nobody could open it.
        Unavailable: the storage failed.
    """
    if manifest.kind != "table":
        return
    try:
        to_pandas(first_rows(manifest, keys, open_part))
    except UnsealableData:
        raise
    except (SlsError, pa.ArrowException) as error:
        raise UnsealableData(
            "What was sealed cannot be opened again; nothing was published.",
            found=getattr(error, "message", "") or type(error).__name__,
            hint="Convert the column to a plain type, or leave it out.",
        ) from None
