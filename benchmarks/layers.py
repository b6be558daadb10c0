"""Root hash of a layer of some 160 MB, against ``sha256sum`` of the same bytes, and the memory that it takes.

The layer is made of this machine's own files below /usr, many of them small. The two take turns, and the fastest of each
counts, so that a busy machine slows both. Memory is that of a process of its own, with the interpreter.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

MEGABYTES, SMALL, ROUNDS = 160, 64 << 10, 5
GOAL_RATIO, GOAL_MEMORY = 8.0, 64 << 20


def make_layer(path: Path) -> tuple[int, int]:
    """How many files, and bytes."""
    files = size = 0
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as out:
        for most in (SMALL, 64 << 20):  # half in small files
            for file in sorted(Path("/usr").rglob("*")):
                if size > MEGABYTES * 10**6 * (0.5 if most == SMALL else 1):
                    break
                if file.is_file() and not file.is_symlink() and file.stat().st_size <= most:
                    name = f"{most}{file}"
                    out.add(file, name, recursive=False)
                    files, size = files + 1, size + file.stat().st_size
    return files, path.stat().st_size


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measured(path: str) -> int:
    """In a process of its own: the hash, and the most memory that it took."""
    from sls_jupyter.image.finding import tar_root

    tar_root(Path(path))
    status = Path("/proc/self/status").read_text()  # getrusage counts the process that started this one, too
    print(int(status.split("VmHWM:")[1].split()[0]) * 1024)
    return 0


def main() -> int:
    from sls_jupyter.image.finding import tar_root

    with tempfile.TemporaryDirectory() as folder:
        layer = Path(folder) / "layer.tar"
        files, size = make_layer(layer)
        times = [
            (seconds(lambda: tar_root(layer)), seconds(lambda: subprocess.check_output(["sha256sum", layer])))
            for _ in range(ROUNDS)
        ]
        memory = int(subprocess.check_output([sys.executable, __file__, str(layer)]))
    ours, plain = min(first for first, _ in times), min(second for _, second in times)
    print(f"  a layer of {size / 1e6:.0f} MB, {files} files")
    print(f"  sha256sum          {plain:7.2f} s")
    print(f"  root hash          {ours:7.2f} s")
    print(f"  ratio              {ours / plain:7.2f}   (goal ≤ {GOAL_RATIO:.0f})")
    print(f"  memory             {memory / 2**20:7.0f} MiB (goal ≤ {GOAL_MEMORY >> 20})")
    return 0


if __name__ == "__main__":
    sys.exit(measured(sys.argv[1]) if len(sys.argv) > 1 else main())
