"""What was written is opened before it is published, by the very code that a group runs."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from sls_jupyter.assets.manifest import AssetManifest
from sls_jupyter.assets.opening import PartOpener, open_table, to_pandas
from sls_jupyter.errors import SlsError, UnsealableData


def check_opens(manifest: AssetManifest, keys: Mapping[str, bytes], open_part: PartOpener) -> None:
    """Open a table as its recipients will: its schema, its dictionaries, and the first rows as a frame.

    Raises:
        UnsealableData: nobody could open it.
        Unavailable: the storage failed.
    """
    if manifest.kind != "table":
        return
    reader = open_table(manifest, keys, columns=None, open_part=open_part)
    try:
        batches: list[pa.RecordBatch] = []
        while not sum(batch.num_rows for batch in batches) and (batch := next(reader, None)) is not None:
            batches.append(batch)
        to_pandas(pa.Table.from_batches(batches, schema=reader.schema))
    except UnsealableData:
        raise
    except (SlsError, pa.ArrowException) as error:
        raise UnsealableData(
            "What was sealed cannot be opened again; nothing was published.",
            found=getattr(error, "message", "") or type(error).__name__,
            hint="Convert the column to a plain type, or leave it out.",
        ) from None
    finally:
        reader.close()
