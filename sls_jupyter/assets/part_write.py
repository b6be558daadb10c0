"""Writing one part, and making sure afterwards that it was written as it should have been."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from sls_jupyter.assets.manifest import Part
from sls_jupyter.assets.part_keys import MasterKeys, decryption, encryption
from sls_jupyter.assets.part_read import Image, foreign_errors, read_footer
from sls_jupyter.documents import digest
from sls_jupyter.errors import VerificationError


def write_part(
    file: BinaryIO,
    schema: pa.Schema,
    tables: Iterable[pa.Table],
    *,
    keys: Mapping[str, bytes],
    footer_key_id: str,
    column_keys: Mapping[str, str],
) -> None:
    """Write a part; each table becomes a row group. Closes ``file``, also on failure.

    Args:
        schema: physical; at least one column.
        column_keys: a key id for *every* top-level column; pyarrow applies it to the leaves below.
    """
    with file:
        properties = encryption(MasterKeys(keys), footer_key_id, column_keys)
        writer = pq.ParquetWriter(file, schema, compression="snappy", encryption_properties=properties)
        try:
            for table in tables:
                writer.write_table(table, row_group_size=max(1, table.num_rows))
        except BaseException:
            with contextlib.suppress(Exception):  # closing writes a footer, which may fail like the rest did
                writer.close()
            writer.is_open = False
            raise
        writer.close()


def check_written(
    file: BinaryIO,
    name: str,
    rows: int,
    *,
    keys: Mapping[str, bytes],
    footer_key_id: str,
    column_keys: Mapping[str, str],
) -> Part:
    """Read a part's footer back and make sure that each column is under the key it should be under.

    pyarrow writes a column that the encryption configuration does not name in plaintext, silently. Here
    the crypto metadata of each column chunk has to ask for its own group's key, or the part is refused.

    Returns:
        the part's entry in the manifest.

    Raises:
        VerificationError: the file is not what was meant to be written.
    """
    with file:
        footer, size = read_footer(file, name)
        asked = MasterKeys(keys)
        with foreign_errors(name):
            image = Image(file, footer, size, name)
            found = pq.ParquetFile(image.reader(), decryption_properties=decryption(asked)).metadata
            right = asked.asked == [footer_key_id] and found.num_rows == rows
            for group in range(found.num_row_groups):
                for leaf in range(found.num_columns):
                    asked.asked.clear()
                    path = found.row_group(group).column(leaf).path_in_schema
                    right = right and set(asked.asked) == {column_keys.get(path.partition(".")[0])}
    if not right:
        raise VerificationError("A part was not written as it should have been; nothing was published.", found=name)
    return Part(name=name, size=size, rows=rows, footer=digest(footer))
