"""A cold ``%%safestream`` against papermill running the same plain notebook, side by side.

Prints one table of ratios. Both sides start from nothing: papermill starts a kernel and runs a notebook
that reads a Parquet file, aggregates and plots; the other starts a container group, attests it, releases
keys and runs the same cell over the sealed table. The two alternate, so that a noisy machine is noisy to
both. Nothing here is a test.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CELL = """
import pandas as pd
risk = patients.groupby(["sex", pd.cut(patients.age, 5)], observed=True).outcome.mean().reset_index()
risk.plot.bar(x="age", y="outcome")
"""


def plain_notebook(folder: Path) -> Path:
    """A notebook with the cell, over the same table in a plain Parquet file."""
    import nbformat

    read = f"import pandas as pd\npatients = pd.read_parquet({str(folder / 'patients.parquet')!r})"
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in (read, CELL, "risk")]
    path = folder / "plain.ipynb"
    nbformat.write(notebook, path)
    return path


def patients(rows: int):
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "age": random.integers(20, 90, rows),
            "sex": random.choice(["f", "m"], rows),
            "bmi": random.normal(27, 4, rows).round(1),
            "outcome": random.integers(0, 2, rows),
        }
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="sls-bench-"))
    os.environ["SLS_HOME"] = str(folder / "home")

    from sls_jupyter.identity import Home
    from sls_jupyter.session import Session

    frame = patients(options.rows)
    frame.to_parquet(folder / "patients.parquet")
    notebook = plain_notebook(folder)
    owner, analyst = Session(Home.find("hospital")), Session(Home.find("analyst"))
    owner.seal(frame, "patients", allow_code="any", requester=[analyst.did], tee="simulated-snp")
    papermill, stream, steps = [], [], []
    for _ in range(options.rounds):
        start = time.perf_counter()
        command = [
            sys.executable,
            "-m",
            "papermill",
            "-k",
            "python3",
            "--no-progress-bar",
            notebook,
            folder / "out.ipynb",
        ]
        subprocess.run(command, check=True, capture_output=True)
        papermill.append(time.perf_counter() - start)
        start = time.perf_counter()
        run = analyst.run(analyst.prepare(CELL, ["patients"], outputs=["risk"])).wait()
        stream.append(time.perf_counter() - start)
        steps.append({step.name: step.seconds or 0.0 for step in run.steps})
    owner.close()
    analyst.close()
    print(f"{options.rows} rows, {options.rounds} rounds, medians")
    print(f"  papermill, plain notebook   {statistics.median(papermill):6.2f} s")
    print(f"  cold %%safestream           {statistics.median(stream):6.2f} s")
    print(f"  ratio                       {statistics.median(stream) / statistics.median(papermill):6.2f}   (goal ≤ 2)")
    for name in steps[0]:
        print(f"    {name:<16} {statistics.median(one[name] for one in steps):6.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
