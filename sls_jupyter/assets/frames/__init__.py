"""pandas frames to Arrow and back to equal frames, or a refusal that names the column before anything is written.

===============  ===================================================================================
``families``     the table of dtypes: for each the way in, the way back, and what equal means
``objects``      columns of Python objects: lists, tuples, arrays, dicts of values of one kind
``scalars``      the Python types that such a column may hold
``rectangles``   lists of floats that all have one length, at the speed of arrays
``zones``        time zones
``frequencies``  words for frequencies
``index``        the index: levels, a counted one, its frequency
``labels``       labels of columns, from the columns' names
``way_in``       a frame as a table and its words (``sls.pandas``, beside the standard ``pandas`` entry)
``way_back``     a table as a frame, by those words
``refusals``     how a column is refused, and with which row
===============  ===================================================================================

Exact is decided by types and whole columns, never by samples. Known and accepted: ``DataFrame.attrs`` is not kept,
for the manifest is not encrypted.
"""

from sls_jupyter.assets.frames.way_back import from_arrow
from sls_jupyter.assets.frames.way_in import Prepared, frame_batches, frame_schema, prepared

__all__ = ["Prepared", "frame_batches", "frame_schema", "from_arrow", "prepared"]
