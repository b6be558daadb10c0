"""Sealing and opening frames of many shapes, as ratios to plain Parquet in the same run; each shape in a fresh process.

Usage: python benchmarks/shapes.py [--rounds 5] [--scale 1.0] [SHAPE ...]

Plain is ``DataFrame.to_parquet`` and ``read_parquet`` with snappy and the same row groups. Plain and sealed alternate, and medians
are compared. Plain Parquet gives lists back as arrays and text as pandas' own: "same objects" is plain with what was written made of them;
"pyarrow alone" is the same file encrypted and decrypted without our code, the floor of what encryption costs.
Peak memory is that of a process that seals (opens) against one that writes (reads) plainly, each beyond what the process had
with the frame in it (before it opened).
"""

from __future__ import annotations

import argparse
import datetime as dt
import gc
import multiprocessing
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sls_jupyter.assets.opening import local_parts, open_table, to_pandas
from sls_jupyter.assets.part_keys import MasterKeys, decryption
from sls_jupyter.assets.part_write import write_part
from sls_jupyter.assets.sealing import ROWS_PER_PART, SealedAsset, seal
from sls_jupyter.identity import SigningKey

OWNER = SigningKey.generate()
GOALS = {
    "seal": 1.3,
    "open": 1.5,
    "open, same objects": 1.5,
    "one column": 1.5,
    "seal, memory": 1.3,
    "open, memory": 1.3,
}


def _random() -> np.random.Generator:
    return np.random.default_rng(1)


def embeddings(rows: int) -> pd.DataFrame:
    """Lists of 384 floats; 20,000 rows."""
    return pd.DataFrame({"id": range(rows), "e": _random().random((rows, 384)).tolist()})


def arrays(rows: int) -> pd.DataFrame:
    """The same as numpy arrays."""
    return pd.DataFrame({"id": range(rows), "e": list(_random().random((rows, 384), dtype=np.float32))})


def dicts(rows: int) -> pd.DataFrame:
    """Dicts of three keys; 200,000 rows."""
    numbers = _random().random(rows)
    return pd.DataFrame({"d": [{"a": i, "b": x, "c": f"text {i % 97}"} for i, x in enumerate(numbers.tolist())]})


def lists(rows: int) -> pd.DataFrame:
    """Lists of up to nine integers; 400,000 rows."""
    lengths = _random().integers(0, 10, rows).tolist()
    return pd.DataFrame({"l": [list(range(length)) for length in lengths]})


def dates(rows: int) -> pd.DataFrame:
    """Dates as objects; 2,000,000 rows."""
    days = [dt.date(1950, 1, 1) + dt.timedelta(int(n)) for n in range(25_000)]
    places = _random().integers(0, len(days), rows).tolist()
    return pd.DataFrame({"born": pd.Series([days[place] for place in places], dtype=object)})


def wide(rows: int) -> pd.DataFrame:
    """2,000 columns; 1,000 rows."""
    return pd.DataFrame(_random().random((rows, 2_000)), columns=[f"x{i}" for i in range(2_000)])


def text(rows: int) -> pd.DataFrame:
    """Text as objects; 1,000,000 rows."""
    numbers = _random().integers(0, 10**6, rows).tolist()
    return pd.DataFrame({"t": pd.Series([f"patient {number}" for number in numbers], dtype=object)})


def long(rows: int) -> pd.DataFrame:
    """Three columns; 10,000,000 rows."""
    random = _random()
    return pd.DataFrame({"i": np.arange(rows), "x": random.random(rows), "y": random.integers(0, 9, rows)})


def zones(rows: int) -> pd.DataFrame:
    """Moments with a zone, and nullable integers; 2,000,000 rows."""
    moments = pd.date_range("2020", periods=rows, freq="s", tz="Europe/Berlin")
    numbers = pd.array(np.arange(rows), dtype="Int64")
    numbers[::7] = pd.NA
    return pd.DataFrame({"at": moments, "n": numbers})


def fifty(rows: int) -> pd.DataFrame:
    """50 columns, of which one is opened too; 200,000 rows."""
    return pd.DataFrame({f"x{i}": _random().random(rows) for i in range(50)})


SHAPES: dict[str, tuple[Callable[[int], pd.DataFrame], int]] = {
    "embeddings": (embeddings, 20_000), "arrays": (arrays, 20_000), "dicts": (dicts, 200_000), "lists": (lists, 400_000),
    "dates": (dates, 2_000_000), "wide": (wide, 1_000), "text": (text, 1_000_000), "long": (long, 10_000_000),
    "zones": (zones, 2_000_000), "fifty": (fifty, 200_000),
}  # fmt: skip


FLOORS = ("wide", "fifty")  # shapes of which it is shown what the encryption itself costs
SAME: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "embeddings": lambda frame: frame.assign(e=[one.tolist() for one in frame["e"]]),
    "lists": lambda frame: frame.assign(l=[one.tolist() for one in frame["l"]]),
    "text": lambda frame: frame.astype(object),
}  # what plain Parquet gives as arrays, or as pandas' own text, as the objects that were written


# --- what is measured -----------------------------------------------------------------------------


def seal_to(folder: Path, data: object) -> SealedAsset:
    shutil.rmtree(folder, ignore_errors=True)
    return seal(
        data, name="shape", owner=OWNER, authority=OWNER.did, authority_url="http://localhost",
        policy="sha256:" + "0" * 64, storage=str(folder), created_at=0,
    )  # fmt: skip


def open_all(asset: SealedAsset, columns: list[str] | None = None) -> pd.DataFrame:
    return to_pandas(open_table(asset.manifest, asset.keys, columns=columns, open_part=local_parts(asset.manifest)))


def encrypted(frame: pd.DataFrame, asset: SealedAsset, path: Path) -> None:
    """The same columns under the same keys, written by pyarrow without any of our checks."""
    table = pa.Table.from_pandas(frame)
    keys = {name: group.key_id for group in asset.manifest.groups for name in group.columns}
    with path.open("wb") as file:
        write_part(
            file, table.schema, [table], keys=asset.keys, footer_key_id=asset.manifest.footer_key_id, column_keys=keys
        )


def decrypted(asset: SealedAsset, path: Path) -> pd.DataFrame:
    """That file, read by pyarrow alone."""
    with path.open("rb") as file:
        return pq.ParquetFile(file, decryption_properties=decryption(MasterKeys(asset.keys))).read().to_pandas()


def timed(action: Callable[[], object]) -> float:
    gc.collect()
    start = time.perf_counter()
    kept = action()
    seconds = time.perf_counter() - start
    del kept
    return seconds


def _actions(shape: str, frame: pd.DataFrame, folder: Path) -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    plain, sealed = folder / "plain.parquet", folder / "sealed"
    assets: list[SealedAsset] = []
    one = [str(frame.columns[0])]
    pairs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "seal": (
            lambda: frame.to_parquet(plain, row_group_size=ROWS_PER_PART),
            lambda: assets.append(seal_to(sealed, frame)),
        ),
        "open": (lambda: pd.read_parquet(plain), lambda: open_all(assets[-1])),
    }
    if shape in FLOORS:
        pairs["seal, pyarrow alone"] = (pairs["seal"][0], lambda: encrypted(frame, assets[-1], folder / "floor"))
        pairs["open, pyarrow alone"] = (pairs["open"][0], lambda: decrypted(assets[-1], folder / "floor"))
    if shape in SAME:
        pairs["open, same objects"] = (lambda: SAME[shape](pd.read_parquet(plain)), lambda: open_all(assets[-1]))
    if frame.shape[1] == 50:
        pairs["one column"] = (lambda: pd.read_parquet(plain, columns=one), lambda: open_all(assets[-1], one))
    return pairs


def times(shape: str, scale: float, rounds: int, folder: str) -> dict[str, tuple[float, float]]:
    """Median seconds, plain and sealed, of each thing that is done to a shape."""
    make, rows = SHAPES[shape]
    frame = make(int(rows * scale))
    found = {}
    for label, pair in _actions(shape, frame, Path(folder)).items():
        for action in pair:
            action()  # once unmeasured: imports, page cache
        seconds: tuple[list[float], list[float]] = ([], [])
        for number in range(rounds):
            for which in (0, 1) if number % 2 else (1, 0):
                seconds[which].append(timed(pair[which]))
        found[label] = (statistics.median(seconds[0]), statistics.median(seconds[1]))
    return found


def _status(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) * 1024


def memory(shape: str, scale: float, what: str, sealed: bool, folder: str) -> int:
    """Bytes at the peak of one action beyond what there was before, in a process that did nothing else."""
    make, rows = SHAPES[shape]
    path = Path(folder)
    if what == "seal":
        frame = make(int(rows * scale))
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before = _status("VmRSS")
        kept: Any = seal_to(path / "sealed", frame) if sealed else frame.to_parquet(path / "plain.parquet")
        if sealed:
            pd.to_pickle((kept.envelope, dict(kept.keys)), path / "asset.pickle")  # of our own, between two processes
    else:
        from sls_jupyter.assets.opening import verify_manifest

        if sealed:
            envelope, keys = pd.read_pickle(path / "asset.pickle")
            manifest = verify_manifest(envelope, None)
        before = _status("VmRSS")
        if sealed:
            kept = to_pandas(open_table(manifest, keys, columns=None, open_part=local_parts(manifest)))
        else:
            kept = pd.read_parquet(path / "plain.parquet")
    return _status("VmHWM") - before


def _fresh(action: Callable[..., Any], *arguments: Any) -> Any:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(action, arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shapes", nargs="*", metavar="SHAPE", help=", ".join(SHAPES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of rows")
    options = parser.parse_args()
    print(f"{'':28}{'plain':>12}{'sealed':>12}{'ratio':>8}   goal", flush=True)
    for shape in options.shapes or SHAPES:
        with tempfile.TemporaryDirectory() as folder:
            for label, (plain, sealed) in _fresh(times, shape, options.scale, options.rounds, folder).items():
                line = f"{shape + ', ' + label:28}{plain:11.3f}s{sealed:11.3f}s{sealed / plain:8.2f}"
                print(f"{line}   {GOALS.get(label, '')}", flush=True)
            for what in ("seal", "open"):
                plain, sealed = (
                    _fresh(memory, shape, options.scale, what, which, folder) / 2**20 for which in (False, True)
                )
                line = (
                    f"{shape + ', ' + what + ', memory':28}{plain:9.0f}MiB{sealed:9.0f}MiB{sealed / max(plain, 1):8.2f}"
                )
                print(f"{line}   {GOALS[what + ', memory']}", flush=True)


if __name__ == "__main__":
    main()
