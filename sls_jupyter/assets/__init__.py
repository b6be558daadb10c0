"""What: sealed tables and code, and the manifest that names them.

A sealed asset is a folder of encrypted Parquet files (*parts*) and one signed manifest.

=============================  =====================================================================
``manifest``                   the signed document: parts, column groups, key ids, schema, policy
``sealing``, ``opening``       the two verbs
``sources``                    what can be sealed: frames, tables, streams and files
``frames``                     pandas frames to Arrow and back to equal frames (a room of its own)
``reopening``                  a seal opens what it wrote before it publishes
``columns``                    how a column's type is stored so that it comes back exactly
``part_write``, ``part_read``  one encrypted Parquet file: written and checked, verified and read
``part_keys``                  master keys, and what pyarrow needs to use them
``storage``                    the folder, behind fsspec
=============================  =====================================================================
"""
