"""Processor time of ``sls --help``, ``whoami`` and ``runs`` (also with 50 runs in the folder), against an interpreter that does nothing.

Beside it stands what cannot be avoided: an interpreter that imports the cryptography and pydantic that keys and documents
need. All take turns and the median of each counts; processor time is user and system time of the process, which a busy machine changes
less than the time on a clock.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sls_jupyter.contract.spec import AssetInput, Limits, Recipient, StreamSpec, fresh_nonce
from sls_jupyter.documents import digest, sign
from sls_jupyter.identity import Home

RUNS, ROUNDS, GOAL_SECONDS = 50, 5, 0.3
PLAIN = "python -c pass"
NEEDED = "python, with the imports that keys and documents need"
_IMPORTS = (
    "import argparse, cryptography.hazmat.primitives.asymmetric.ed25519, cryptography.hazmat.primitives.hpke;"
    "from pydantic import BaseModel, Field"
)


def remember_runs(home: Home, count: int) -> None:
    """Put runs into a persona's folder, as its session would: a signed contract each, and how it ended."""
    me = home.identity()
    person, now = Recipient.of(sign(me.contact(), me)), int(time.time())
    for number in range(count):
        patients = AssetInput(
            alias="patients",
            asset=digest(b"%d" % number),
            kind="table",
            columns=("age", "outcome", "sex"),
            owner=me.did,
            authority=me.did,
            authority_url="http://127.0.0.1:8642",
        )
        spec = StreamSpec(
            requester=me.did,
            purpose="risk study",
            inputs=(patients,),
            code=digest(b"code"),
            parameters=digest(b""),
            outputs=("risk",),
            kinds=("table", "figure"),
            recipients=(person,),
            limits=Limits(),
            tees=("simulated-snp",),
            nonce=fresh_nonce(),
            issued_at=now + number,
            expires_at=now + number + 3600,
        )
        folder = home.folder("runs") / spec.digest.removeprefix("sha256:")[:12]
        folder.mkdir(mode=0o700)
        (folder / "spec.json").write_bytes(sign(spec, me))
        (folder / "end.json").write_text('{"state": "done", "tee": "simulated-snp", "isolated": true}')


def processor_seconds(arguments: list[str], root: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "SLS_HOME": str(root), "SLS_PERSONA": "me"}
    subprocess.run([sys.executable, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        empty, full = Path(folder, "empty"), Path(folder, "full")
        for root, count in ((empty, 0), (full, RUNS)):
            os.environ["SLS_HOME"] = str(root)
            remember_runs(Home.find("me"), count)
        sls = ["-m", "sls_jupyter.cli"]
        commands = {
            PLAIN: (["-c", "pass"], empty),
            NEEDED: (["-c", _IMPORTS], empty),
            "sls --help": ([*sls, "--help"], empty),
            "sls whoami": ([*sls, "whoami"], empty),
            "sls runs": ([*sls, "runs"], empty),
            f"sls runs, {RUNS} of them": ([*sls, "runs"], full),
        }
        for arguments, root in commands.values():  # warm
            processor_seconds(arguments, root)
        rounds = [{name: processor_seconds(*one) for name, one in commands.items()} for _ in range(ROUNDS)]
    times = {name: statistics.median(one[name] for one in rounds) for name in commands}
    print(f"  processor time, medians of {ROUNDS}; goal for each sls below {GOAL_SECONDS} s")
    for name, seconds in times.items():
        print(f"  {name:<54}{seconds:6.3f} s  {seconds / times[PLAIN]:6.1f}  {seconds / times[NEEDED]:5.2f}")
    print(f"  {'':<54}{'':>8}  ratios to the first and the second line")
    return 0


if __name__ == "__main__":
    sys.exit(main())
