"""Writes ``vectors/frames/pandas-N.arrow``: frames of every kind as this pandas seals them, and what each of them is.

Usage: python tests/frames_vectors.py (with the environment of the pandas whose file it is)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
from frame_kinds import INDEXES, KEPT, LABELS, grid
from frames_kit import described

from sls_jupyter.assets.frames import prepared

FOLDER = Path(__file__).parent / "vectors" / "frames"
MAJOR = int(pd.__version__.partition(".")[0])


def kinds() -> Iterator[tuple[str, pd.DataFrame]]:
    """A frame for each kind, by name."""
    for name, values in KEPT.items():
        yield f"column: {name}", pd.DataFrame({"x": values, "n": range(len(values))})
    for name, index in INDEXES.items():
        yield f"index: {name}", grid(index, ["a", "b"])
    for name, labels in LABELS.items():
        yield f"labels: {name}", grid(columns=labels)


def stream(frame: pd.DataFrame) -> bytes:
    """A frame as a group gets it."""
    ready = prepared(frame)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, ready.schema) as writer:
        for batch in ready.batches(1 << 16):
            writer.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())


def main() -> None:
    rows = [{"name": name, "is": described(frame), "stream": stream(frame)} for name, frame in kinds()]
    schema = pa.schema([("name", pa.string()), ("is", pa.string()), ("stream", pa.binary())])
    with pa.ipc.new_file(
        FOLDER / f"pandas-{MAJOR}.arrow", schema, options=pa.ipc.IpcWriteOptions(compression="zstd")
    ) as file:
        file.write_table(pa.Table.from_pylist(rows, schema))


if __name__ == "__main__":
    main()
