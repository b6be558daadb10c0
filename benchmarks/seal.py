"""Sealing and opening against plain Parquet, as ratios inside one run, and peak memory against size.

Usage: python benchmarks/seal.py [--rows 4000000] [--rounds 7]

Both sides use snappy and row groups of 2**20 rows. Plain and sealed alternate and medians are compared, so that
a busy machine slows both. Peak memory is that of a fresh process that seals a stream of record batches.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from sls_jupyter.assets.opening import local_parts, open_table, to_pandas
from sls_jupyter.assets.sealing import ROWS_PER_PART, SealedAsset, seal
from sls_jupyter.identity import SigningKey

POLICY = "sha256:" + "0" * 64
OWNER = SigningKey.generate()


def seal_to(folder: Path, data: object) -> SealedAsset:
    shutil.rmtree(folder, ignore_errors=True)
    return seal(
        data,
        name="benchmark",
        owner=OWNER,
        authority=OWNER.did,
        authority_url="http://localhost",
        policy=POLICY,
        storage=str(folder),
        created_at=0,
    )


def open_all(asset: SealedAsset, columns: list[str] | None = None) -> pd.DataFrame:
    return to_pandas(open_table(asset.manifest, asset.keys, columns=columns, open_part=local_parts(asset.manifest)))


def patients(rows: int) -> pd.DataFrame:
    """Seven columns as a clinic has them: numbers, flags, a category and text."""
    random = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "id": np.arange(rows),
            "age": random.integers(0, 90, rows),
            "bmi": random.normal(25, 4, rows),
            "sex": pd.Categorical(random.choice(["f", "m"], rows)),
            "outcome": random.random(rows) < 0.1,
            "dose": random.normal(size=rows),
            "city": random.choice(["Aachen", "Berlin", "Celle", "Dresden"], rows),
        }
    )


def wide(rows: int) -> pd.DataFrame:
    """Fifty columns, hence fifty column keys."""
    random = np.random.default_rng(2)
    return pd.DataFrame({f"x{i}": random.normal(size=rows) for i in range(50)})


def timed(action: Callable[[], object]) -> float:
    gc.collect()
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def compare(label: str, frame: pd.DataFrame, folder: Path, rounds: int) -> list[tuple[str, float, float]]:
    """Rows of the result: label, median seconds plain, median seconds sealed."""
    plain, sealed = folder / "plain.parquet", folder / "sealed"
    assets: list[SealedAsset] = []
    actions: dict[str, Callable[[], object]] = {
        "write plain": lambda: frame.to_parquet(plain, row_group_size=ROWS_PER_PART),
        "write sealed": lambda: assets.append(seal_to(sealed, frame)),
        "read plain": lambda: pd.read_parquet(plain),
        "read sealed": lambda: open_all(assets[-1]),
    }
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for name in actions:
        actions[name]()  # once unmeasured: imports, page cache
    for number in range(rounds):
        order = list(actions)
        if number % 2:
            order = ["write sealed", "write plain", "read sealed", "read plain"]
        for name in order:
            seconds[name].append(timed(actions[name]))
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    return [
        (f"seal / to_parquet, {label}", middle["write plain"], middle["write sealed"]),
        (f"open / read_parquet, {label}", middle["read plain"], middle["read sealed"]),
    ]


def stream(rows: int) -> Iterator[pa.RecordBatch]:
    random = np.random.default_rng(3)
    for start in range(0, rows, 100_000):
        count = min(100_000, rows - start)
        columns = {"id": np.arange(start, start + count), **{f"x{i}": random.normal(size=count) for i in range(5)}}
        yield pa.RecordBatch.from_pydict(columns)


def peak_of_stream(rows: int, folder: str) -> int:
    """Peak resident bytes of this process after sealing and reading a stream of that many rows."""
    asset = seal_to(Path(folder) / "stream", stream(rows))
    total = sum(batch.num_rows for batch in open_table(
        asset.manifest, asset.keys, columns=None, open_part=local_parts(asset.manifest)
    ))  # fmt: skip
    assert total == rows
    status = Path("/proc/self/status").read_text()  # getrusage would report the parent's peak across fork and exec
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def peak(rows: int, folder: Path) -> int:
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(peak_of_stream, (rows, str(folder)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results = compare(f"{options.rows:,} rows x 7", patients(options.rows), folder, options.rounds)
        results += compare(f"{options.rows // 10:,} rows x 50", wide(options.rows // 10), folder, options.rounds)
        small, large = peak(options.rows, folder), peak(options.rows * 10, folder)
    print(f"{'':44}{'plain':>10}{'sealed':>10}{'ratio':>8}   goal")
    for label, plain, sealed in results:
        goal = "1.10" if label.startswith("seal") else "1.20"
        print(f"{label:44}{plain:9.3f}s{sealed:9.3f}s{sealed / plain:8.2f}   {goal}")
    label = f"peak memory, stream of {options.rows * 10:,} rows / a tenth"
    print(f"{label:44}{small / 2**20:7.0f}MiB{large / 2**20:7.0f}MiB{large / small:8.2f}   flat")


if __name__ == "__main__":
    main()
