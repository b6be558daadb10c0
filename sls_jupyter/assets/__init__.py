"""What: sealed tables and code, and the manifest that names them.

A sealed asset is a folder of encrypted Parquet files (*parts*) and one signed manifest.

========================  ==========================================================================
``manifest``              the signed document: parts, column groups, key ids, schema, policy
``sealing``, ``opening``  the two verbs
``sources``, ``frames``   what can be sealed: streams, files and tables; pandas frames and back
``columns``               how a column's type is stored so that it comes back exactly
``parts``                 one encrypted Parquet file: written and checked, read and refused
``storage``               the folder, behind fsspec
========================  ==========================================================================
"""
