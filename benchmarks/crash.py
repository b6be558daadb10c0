"""Kill an authority with SIGKILL while it is busy, again and again, and look for what is missing afterwards.

Usage: python benchmarks/crash.py [--rounds 50] [--seed 1]

Each round starts ``sls authority serve`` on the same folder, publishes assets from several threads and kills the
process at a random moment. After each start, from outside:

1. the log extends the last checkpoint that this client saw (it has not forked, nothing was rolled back)
2. all entries lead to the signed root, and begin with the ones read before
3. every entry that was acknowledged is at the index that was told, and means the asset that was published
4. every asset that was acknowledged is in the catalogue

Exit code 0 if all of it held in every round. A kill is not a power failure: what the system had taken from the
process is still written, so this says nothing about the disk, for which the database flushes at each commit.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa

from sls_jupyter.assets.sealing import SealedAsset, seal
from sls_jupyter.authority import catalogue, ledger
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.authority.embedded import listen
from sls_jupyter.authority.store import Store
from sls_jupyter.documents import parse_json, sign
from sls_jupyter.errors import SlsError
from sls_jupyter.identity import Home
from sls_jupyter.policy.model import OwnerPolicy
from sls_jupyter.transparency.entries import Entry, open_commitment
from sls_jupyter.transparency.memory import CheckpointMemory
from sls_jupyter.transparency.merkle import leaf_hash
from sls_jupyter.transparency.reader import read_log, require_same

THREADS = 3
PERSONA = "hospital"
NURSERY = """
import os, signal, sys
import uvicorn, sls_jupyter.authority.http, sls_jupyter.cli
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(0, 1)
        sys.exit(sls_jupyter.cli.main(["authority", "serve", "--persona", sys.argv[1], "--port", sys.argv[2]]))
    os.write(1, b"%d\\n" % child)
"""


@dataclass
class Crash:
    """One authority on a folder, what it acknowledged, and what was read of its log."""

    folder: Path
    acknowledged: list[tuple[str, int]] = field(default_factory=list)  # asset id, index of its entry
    entries: tuple[bytes, ...] = ()
    published: int = 0
    checked: int = 0  # so many of the acknowledged ones were looked for

    def __post_init__(self) -> None:
        self.home = Home(self.folder, PERSONA)
        self.home.path.mkdir(parents=True, exist_ok=True)
        self.owner, self.memory = self.home.identity(), CheckpointMemory(self.folder / "memory")
        self.lock = threading.Lock()
        with contextlib.closing(listen(0)) as probe:
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def nursery(self) -> Iterator[None]:
        """A process that has imported everything and forks an authority for each line it reads."""
        self._nursery = subprocess.Popen(
            [sys.executable, "-c", NURSERY, PERSONA, str(self.port)],
            env={**os.environ, "SLS_HOME": str(self.folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield
        finally:
            self._nursery.communicate()

    @contextlib.contextmanager
    def serving(self) -> Iterator[int]:
        """The authority in a process of its own (``sls authority serve``); killed on the way out."""
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        print("start", file=self._nursery.stdin, flush=True)
        process = int(self._nursery.stdout.readline())
        try:
            self._wait()
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        with contextlib.closing(AuthorityClient(self.url)) as client:
            while time.monotonic() < deadline:
                with contextlib.suppress(SlsError):
                    self.did, self.hpke = client.about().did, client.facts.hpke_public_key
                    return
                time.sleep(0.01)
        raise AssertionError("The authority does not start.")

    # --- load -------------------------------------------------------------------------------------

    def seal_one(self) -> None:
        """One sealed table; every asset of the load is this one under another name."""
        self.policy = OwnerPolicy(owner=self.owner.did, code="any")
        self.sealed: SealedAsset = seal(
            pa.table({"age": [40]}),
            name="patients",
            owner=self.owner,
            authority=self.did,
            authority_url=self.url,
            policy=self.policy.digest,
            storage=(self.folder / "asset").as_uri(),
            created_at=0,
        )

    def load(self) -> None:
        """Publish until the authority is gone; remember what it acknowledged."""
        policy = sign(self.policy, self.owner)
        with contextlib.closing(AuthorityClient(self.url, self.owner, self.did)) as client:
            while True:
                with self.lock:
                    self.published += 1
                    name = f"asset{self.published}"
                manifest = self.sealed.manifest.model_copy(update={"name": name})
                keys = catalogue.seal_keys(self.hpke, manifest.digest, self.sealed.keys)
                try:
                    told = client.publish(sign(manifest, self.owner), policy, None, keys)
                except SlsError:
                    return
                self.acknowledged.append(told)

    def round(self, seconds: float) -> int:
        """Start, check what the rounds before left, load, kill after so many seconds.

        Returns:
            How many entries were acknowledged.
        """
        before = len(self.acknowledged)
        with self.serving() as process:
            self.check()
            if not hasattr(self, "sealed"):
                self.seal_one()
            threads = [threading.Thread(target=self.load) for _ in range(THREADS)]
            for thread in threads:
                thread.start()
            time.sleep(seconds)
            os.kill(process, signal.SIGKILL)
            for thread in threads:
                thread.join(60)
        return len(self.acknowledged) - before

    def run(self, rounds: int, moments: Iterator[float], tell: Callable[[str], None] = lambda _: None) -> None:
        """So many kills, each after so many seconds, and a last check."""
        with self.nursery():
            for number in range(1, rounds + 1):
                count = self.round(next(moments))
                tell(f"kill {number:3}: {count:4} acknowledged, {len(self.entries):6} were in the log before")
            with self.serving():
                self.check()

    # --- what is there afterwards -----------------------------------------------------------------

    def check(self) -> None:
        """The four checks of this file; raises for what does not hold."""
        told, self.checked = self.acknowledged[self.checked :], len(self.acknowledged)
        with contextlib.closing(AuthorityClient(self.url, self.owner, self.did)) as client:
            checkpoint = client.follow_log(self.memory)  # 1
            entries = read_log(client.log_file, checkpoint)  # 2
            old = [leaf_hash(entry) for entry in self.entries]
            require_same([leaf_hash(entry) for entry in entries[: len(old)]], old)
            self.entries = entries
            assert len({index for _, index in self.acknowledged}) == len(self.acknowledged)
            for asset, index in told:
                self._require_meaning(asset, index)  # 3
                assert client.asset(asset).id == asset  # 4

    def _require_meaning(self, asset: str, index: int) -> None:
        store = Store(self.home.folder("authority") / "authority.db")
        with store.read() as connection:
            ((position, salt, meaning),) = ledger.about(connection, asset)
        store.close()
        assert position == index
        assert salt is not None
        assert meaning is not None
        open_commitment(Entry.parse(self.entries[index]), parse_json(meaning), salt)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    source = random.Random(options.seed)
    moments = iter(lambda: source.uniform(0.02, 0.4), None)
    with tempfile.TemporaryDirectory() as name:
        crash = Crash(Path(name))
        crash.run(options.rounds, moments, partial(print, flush=True))
    told, there = len(crash.acknowledged), len(crash.entries)
    print(f"{options.rounds} kills, {told} acknowledged, {there} in the log, none missing, no fork")


if __name__ == "__main__":
    main()
