"""What an authority's calls cost beside much that lies there, and under a flood: ratios inside one run.

Usage: python benchmarks/authority.py [--assets 10000] [--requests 100000] [--entries 1000000] [--rounds 15]

Two homes, one empty and one whose database is filled directly: so many published assets, so many requests in the
owner's inbox with their specs, grants and releases, so many log entries. Each step of an honest run goes through
sessions and the real HTTP door of each home in turn, and medians are compared. The flood is a process of its own
that sends releases with made-up challenges at a steady rate. Rows of requests share the bytes of one signed spec.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

from sls_jupyter.attestation.binding import release_report_data
from sls_jupyter.attestation.device.simulated import DevelopmentChain, SimulatedProcessor
from sls_jupyter.authority import ledger
from sls_jupyter.authority import store as db
from sls_jupyter.authority.opening import open_authority
from sls_jupyter.authority.service import Authority
from sls_jupyter.contract import cce
from sls_jupyter.contract.group import group_for
from sls_jupyter.contract.image import installed_image
from sls_jupyter.documents import sign
from sls_jupyter.hpke import HpkeKey
from sls_jupyter.identity import Home
from sls_jupyter.safestream.request import StreamRequest, ask_all
from sls_jupyter.session import Session

CODE = "x = patients.age.mean()\n"
TABLE = pd.DataFrame({"age": range(100), "name": [f"patient {n}" for n in range(100)]})
STEPS = ("seal", "prepare", "ask", "approve", "grant", "release")
FLOOD = """
import secrets, sys, time, httpx
url, rate, asset = sys.argv[1], float(sys.argv[2]), "sha256:" + "0" * 64
with httpx.Client(timeout=10) as client:
    start, sent = time.monotonic(), 0
    while True:
        body = {"spec": "x", "asset": asset, "nonce": secrets.token_hex(32), "hpke_public_key": "", "evidence": ""}
        try:
            client.post(url + "/v1/release", json=body)
        except httpx.HTTPError:
            pass
        sent += 1
        time.sleep(max(0.0, start + sent / rate - time.monotonic()))
"""


def digest_of(kind: str, number: int) -> str:
    return f"sha256:{kind.encode().hex():0<8}{number:056x}"


class Town:
    """A hospital with its authority, and an analyst, in one home."""

    def __init__(self, root: Path) -> None:
        for name in ("hospital", "analyst"):
            (root / "personas" / name).mkdir(mode=0o700, parents=True)
        self.hospital, self.analyst = Session(Home(root, "hospital")), Session(Home(root, "analyst"))
        self.processor = SimulatedProcessor(DevelopmentChain.load_or_create(self.hospital.machine))
        self.options = {"tee": "simulated-snp", "requester": self.analyst.did}
        self.hospital.seal(TABLE, "patients", **self.options)
        self.seconds: defaultdict[str, list[float]] = defaultdict(list)

    def close(self) -> None:
        self.analyst.close()
        self.hospital.close()

    def timed(self, step: str, action: Callable[[], object]) -> object:
        start = time.perf_counter()
        found = action()
        self.seconds[step].append(time.perf_counter() - start)
        return found

    def round(self, number: int) -> None:
        """Every step of one honest run."""
        self.timed("seal", lambda: self.hospital.seal(TABLE, f"table{number}", **self.options))
        made: list[StreamRequest] = []
        self.timed(
            "prepare",
            lambda: made.append(self.analyst.prepare(CODE, ["patients"], outputs=["x"], purpose=f"study {number}")),
        )
        (request,) = made
        clients = self.analyst._run_clients(request)
        self.timed("ask", lambda: ask_all(request, clients))
        self.timed("approve", lambda: self.hospital.approve(request.spec.terms))
        self.timed("grant", lambda: ask_all(request, clients))
        self.timed("release", lambda: self.release(request))

    def release(self, request: StreamRequest) -> None:
        """What a guest does, without the container."""
        (client,) = self.analyst._run_clients(request).values()
        nonce, key, spec = client.challenge(request.spec.digest), self.guest_key, request.spec
        image = installed_image()
        report = self.processor.report(
            release_report_data(nonce, key.public_bytes),
            host_data=cce.host_data(cce.render(group_for(spec, image))),
            measurement=image.measurement,
        )
        evidence = self.processor.sign(report)
        client.release(request.envelope, spec.inputs[0].asset, nonce, key.public_bytes, evidence)

    guest_key = HpkeKey.generate()


# --- filling ----------------------------------------------------------------------------------------


def fill(town: Town, assets: int, requests: int, entries: int) -> None:
    """Lay so much into the hospital's database, as its own code would, but directly."""
    authority = open_authority(town.hospital.home, anchors=town.hospital.anchors)
    info = town.hospital.asset("patients")
    _fill_assets(authority, town, assets)
    request = town.analyst.prepare(CODE, ["patients"], outputs=["x"], purpose="long ago")
    _fill_requests(authority, town, request, info.id, requests)
    _fill_log(authority, info.id, entries)
    authority.store.close()


def _fill_assets(authority: Authority, town: Town, count: int) -> None:
    info = town.hospital.asset("patients")
    with authority.store.read() as connection:
        policy = connection.execute(sa.select(db.assets.c.policy).where(db.assets.c.id == info.id)).scalar_one()
    for start in range(0, count, 1000):
        rows = []
        for number in range(start, min(start + 1000, count)):
            manifest = info.manifest.model_copy(update={"name": f"asset{number}"})
            row = {"id": manifest.digest, "name": manifest.name, "version": 1, "state": "active", "runs": 0}
            rows.append(
                row
                | {
                    "manifest": sign(manifest, town.hospital.identity),
                    "policy": policy,
                    "policy_id": manifest.policy,
                    "created_at": 1,
                }
            )
        with authority.store.write() as connection:
            connection.execute(sa.insert(db.assets), rows)


def _fill_requests(authority: Authority, town: Town, request: StreamRequest, asset: str, count: int) -> None:
    people = (town.hospital.did, town.analyst.did)
    shared = {"spec": request.envelope, "requester": town.analyst.did, "code": CODE, "parameters": request.parameters}
    shared |= {"state": "granted", "known": True, "logged": True, "bytes": 4000, "created_at": 1}
    for start in range(1, count + 1, 5000):
        numbers = range(start, min(start + 5000, count + 1))
        ids = [(number + 1000, digest_of("rq", number), digest_of("sp", number)) for number in numbers]
        with authority.store.write() as connection:
            asked = [{"seq": seq, "id": terms, "but_limits": terms, **shared} for seq, terms, _ in ids]
            connection.execute(sa.insert(db.requests), asked)
            parties = [{"did": did, "seq": seq, "state": "granted"} for seq, _, _ in ids for did in people]
            connection.execute(sa.insert(db.request_parties), parties)
            known = {"requester": town.analyst.did, "known": True, "at": 1, "refusals": 0}
            connection.execute(
                sa.insert(db.specs), [{"id": spec, "envelope": request.envelope, **known} for _, _, spec in ids]
            )
            connection.execute(
                sa.insert(db.grants), [{"spec": spec, "asset": asset, "envelope": b"{}"} for _, _, spec in ids]
            )
            releases = [{"spec": spec, "asset": asset, "requester": town.analyst.did, "at": 1} for _, _, spec in ids]
            connection.execute(sa.insert(db.releases), releases)


def _fill_log(authority: Authority, asset: str, count: int) -> None:
    form = '{"at":1790000000,"commitment":"sha256:%064x","facts":{"keys":3,"tee":"sev-snp"},"kind":"key.released"}'
    for start in range(0, count, 50_000):
        with authority.store.write() as connection:
            first = ledger.size(connection, authority)
            rows = [
                {
                    "position": first + n,
                    "entry": (form % (start + n)).encode(),
                    "salt": bytes(32),
                    "meaning": b"{}",
                    "subject": asset if n % 10 == 0 else digest_of("sp", start + n),
                    "kind": "key.released",
                }
                for n in range(min(50_000, count - start))
            ]
            ledger.append_rows(connection, authority, rows)


# --- measuring --------------------------------------------------------------------------------------


@contextlib.contextmanager
def flooded(url: str, rate: float) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", FLOOD, url, str(rate)])
    time.sleep(2)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def grants_under(town: Town, rate: float, rounds: int) -> tuple[float, float]:
    """Median seconds of an honest grant, alone and beside the flood, alternating."""
    request = town.analyst.prepare(CODE, ["patients"], outputs=["x"], purpose="flood")
    clients = town.analyst._run_clients(request)
    ask_all(request, clients)
    town.hospital.approve(request.spec.terms)
    url, found = town.hospital.own_authority().url, defaultdict[bool, list[float]](list)
    for _ in range(4):
        for flood in (False, True):
            with flooded(url, rate) if flood else contextlib.nullcontext():
                for _ in range(rounds):
                    again = town.analyst.prepare(CODE, ["patients"], outputs=["x"], purpose="flood")
                    start = time.perf_counter()
                    answer = ask_all(again, clients)
                    found[flood].append(time.perf_counter() - start)
                    assert answer.grants, answer.decisions
    return statistics.median(found[False]), statistics.median(found[True])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("assets", 10_000), ("requests", 100_000), ("entries", 1_000_000), ("rounds", 15)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        empty, full = Town(Path(folder) / "empty"), Town(Path(folder) / "full")
        start = time.perf_counter()
        fill(full, options.assets, options.requests, options.entries)
        print(f"filled in {time.perf_counter() - start:.0f} s", flush=True)
        for number in range(options.rounds):
            for town in (empty, full) if number % 2 else (full, empty):
                town.round(number)
        print(
            f"| step | empty, ms | {options.assets:,} assets, {options.requests:,} requests, {options.entries:,} entries, ms | ratio |"
        )
        print("|---|---|---|---|")
        for step in STEPS:
            small, large = (statistics.median(town.seconds[step]) for town in (empty, full))
            print(f"| {step} | {small * 1000:.1f} | {large * 1000:.1f} | {large / small:.2f} |", flush=True)
        calm, busy = grants_under(empty, 200, options.rounds)
        print(
            f"| grant under 200 anonymous calls a second | {calm * 1000:.1f} | {busy * 1000:.1f} | {busy / calm:.2f} |"
        )
        start = time.perf_counter()
        pages, after = 0, None
        client = full.hospital.own_authority()
        while True:
            page = client.requests(after=after)
            pages, after = pages + 1, page.next
            if after is None:
                break
        print(f"the whole inbox in {pages} pages: {time.perf_counter() - start:.1f} s")
        full.close()
        empty.close()


if __name__ == "__main__":
    main()
