"""Fuzz every parser that reads bytes from a stranger: only our own errors may come out.

::

    python fuzz/fuzz_parsers.py                      each parser in turn, 60 seconds each
    python fuzz/fuzz_parsers.py quote --seconds 600  one of them
    python fuzz/fuzz_parsers.py --list

With atheris (``pip install atheris``; Linux, coverage-guided) the library steers; without it, a plain mutator
of the same seeds runs, which finds less and needs nothing. Seeds are the tests' own vectors. An input that
ends in anything but our own error, or takes longer than a second, is written to ``build/fuzz/`` and the run
ends with status 1.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import random
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sls_jupyter.errors import SlsError

ROOT = Path(__file__).resolve().parent.parent
VECTORS = ROOT / "tests" / "vectors"
FINDINGS = ROOT / "build" / "fuzz"
MAX_INPUT_BYTES = 32 * 1024
SLOW_SECONDS = 1.0

Parser = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Target:
    """One parser by name, and where its seeds lie; imported only when it is its turn."""

    module: str
    path: str  # attribute, dotted
    seeds: tuple[str, ...]  # patterns below tests/vectors
    strings: bool = False  # the seeds are the strings in these JSON files, not the files
    text: bool = False  # it reads text; bytes that are none are given as the command line would

    def load(self) -> Parser:
        found = importlib.import_module(f"sls_jupyter.{self.module}")
        for part in self.path.split("."):
            found = getattr(found, part)
        parser: Callable[..., object] = found  # type: ignore[assignment]
        return (lambda data: parser(data.decode(errors="surrogateescape"))) if self.text else parser


TARGETS = {
    "report": Target("attestation.amd.report", "Report.parse", ("snp/*/report.bin",)),
    "certificate": Target("attestation.certificates", "Certificate.parse", ("snp/*/*.der",)),
    "evidence": Target("attestation.claims", "Evidence.parse", ("documents/*",)),
    "forms": Target("attestation.azure.forms", "recognise", ("snp/*/*", "uvm/*/*")),
    "cose": Target("attestation.cose.sign1", "Sign1.parse", ("uvm/**/*.cose",)),
    "cbor": Target("attestation.cose.cbor", "decode", ("uvm/**/*.cose",)),
    "ledger-keys": Target("attestation.azure.ccf_receipt", "parse_ledger_keys", ("uvm/**/*.json",)),
    "quote": Target("attestation.intel.quote", "Quote.parse", ("tdx/*/quote.bin", "sgx/*/quote.bin")),
    "collateral": Target("attestation.intel.collateral", "Collateral.parse", ("tdx/*/collateral.json",)),
    "token": Target("attestation.azure.maa_token", "Token.parse", ("maa/*.jwt",)),
    "certificate-table": Target("attestation.device.linux", "certificate_table", ("snp/*/*.der",)),
    "json": Target("documents", "parse_json", ("documents/*", "log/*")),
    "did": Target("identity", "public_key_from_did", ("log/entries.json", "documents/*.json"), strings=True, text=True),
    "contact": Target("identity", "Contact.parse", ("documents/contact.json",), strings=True),
    "manifest": Target("assets.manifest", "AssetManifest.parse", ("documents/asset_manifest.json",), strings=True),
    "owner-policy": Target("policy.model", "OwnerPolicy.parse", ("documents/owner_policy.json",), strings=True),
    "cce-policy": Target(
        "hosts.judge.reading", "read_module", ("cce/golden.rego", "cce/example-policy-attestation.rego")
    ),
    "spec": Target("contract.spec", "StreamSpec.parse", ("documents/stream_spec.json",), strings=True),
    "approval": Target("contract.grants", "Approval.parse", ("documents/approval.json",), strings=True),
    "denial": Target("contract.grants", "Denial.parse", ("documents/denial.json",), strings=True),
    "grant": Target("contract.grants", "Grant.parse", ("documents/grant.json",), strings=True),
    "receipt": Target("receipt.receipt", "Receipt.parse", ("receipt/**/*.json",)),
    "receipt-envelope": Target("receipt.receipt", "open_envelope", ("receipt/**/*.json",), strings=True),
    "note": Target("transparency.note", "SignedNote.parse", ("log/*.json",), strings=True),
    "checkpoint": Target("transparency.checkpoint", "Checkpoint.parse", ("log/*.json",), strings=True),
    "add-checkpoint": Target("transparency.witness", "AddCheckpoint.parse", ("log/cosignatures.json",), strings=True),
    "signature-lines": Target("transparency.witness", "parse_signature_lines", ("log/*.json",), strings=True),
    "verifier-key": Target("transparency.note", "parse_verifier_key", ("log/*.json",), strings=True, text=True),
    "witness-key": Target("transparency.cosignature", "parse_witness_key", ("log/*.json",), strings=True, text=True),
    "tile-path": Target("transparency.tiles", "Tile.parse", ("log/tiles.json",), strings=True, text=True),
    "bundle": Target("transparency.tiles", "decode_bundle", ("log/entries.json",), strings=True),
    "entry": Target("transparency.entries", "Entry.parse", ("log/entries.json",), strings=True),
    "log-proof": Target("transparency.proofs", "LogProof.parse", ("log/entries.json",), strings=True),
    "records": Target("transparency.chain", "parse_records", ("log/entries.json",), strings=True),
}


def seeds_of(target: Target) -> list[bytes]:
    """The target's seeds, and nothing at all as the last of them."""
    paths = sorted(path for pattern in target.seeds for path in VECTORS.glob(pattern) if path.is_file())
    files = [path.read_bytes() for path in paths]
    if target.strings:
        files = [
            seed for path, data in zip(paths, files, strict=True) if path.suffix == ".json" for seed in inside(data)
        ]
    return [data for data in files if len(data) <= MAX_INPUT_BYTES] + [b""]


def inside(data: bytes) -> list[bytes]:
    """Every string in a JSON file; one of hex digits as what it stands for, too."""
    found: set[bytes] = set()

    def walk(value: object) -> None:
        if isinstance(value, str):
            found.add(value.encode())
            if re.fullmatch(r"(?:[0-9a-f]{2}){16,}", value):
                found.add(bytes.fromhex(value))
        elif isinstance(value, list | dict):
            for one in value.values() if isinstance(value, dict) else value:
                walk(one)

    walk(json.loads(data))
    return sorted(found)


def attempt(name: str, parser: Parser, data: bytes) -> None:
    """Parse once; a foreign error or a slow answer is kept and raised."""
    start = time.perf_counter()
    try:
        parser(data)
    except SlsError:
        pass
    except BaseException:
        keep(name, data)
        raise
    if time.perf_counter() - start > SLOW_SECONDS:
        keep(name, data)
        raise TimeoutError(f"{name} took longer than {SLOW_SECONDS} seconds")


def keep(name: str, data: bytes) -> None:
    FINDINGS.mkdir(parents=True, exist_ok=True)
    path = FINDINGS / f"{name}-{hashlib.sha256(data).hexdigest()[:16]}"
    path.write_bytes(data)
    sys.stderr.write(f"{name}: {len(data)} bytes that should not do this: {path.relative_to(ROOT)}\n")


# --- without atheris ------------------------------------------------------------------------------


def mutations(seeds: list[bytes], source: random.Random) -> Iterator[bytes]:
    """Endless variations: flipped bits, other bytes, cuts, repetitions, pieces of other seeds."""
    while True:
        data = bytearray(source.choice(seeds))
        for _ in range(source.randint(1, 6)):
            at, end = sorted(source.randint(0, len(data)) for _ in range(2))
            match source.randrange(5):
                case 0 if at < len(data):
                    data[at] ^= 1 << source.randrange(8)
                case 1 if at < len(data):
                    data[at] = source.choice((0, 1, 0x7F, 0x80, 0xFF, source.randrange(256)))
                case 2:
                    del data[at : min(end, at + 64)]
                case 3:
                    data[at:at] = data[at : min(end, at + 64)] * source.randint(1, 8)
                case _:
                    other = source.choice(seeds)
                    start = source.randint(0, len(other))
                    data[at:at] = other[start : start + source.randint(0, 64)]
        yield bytes(data[:MAX_INPUT_BYTES])


def run_plain(name: str, seconds: float, seed: int) -> None:
    target = TARGETS[name]
    parser, until, count = target.load(), time.monotonic() + seconds, 0
    for data in mutations(seeds_of(target), random.Random(seed)):
        attempt(name, parser, data)
        count += 1
        if time.monotonic() >= until:
            break
    sys.stdout.write(f"{name}: {count} inputs in {seconds:.0f} s, nothing found\n")


# --- with atheris ---------------------------------------------------------------------------------


def run_atheris(name: str, seconds: float, seed: int) -> None:
    """One target; atheris ends the process when it is done."""
    import atheris

    with atheris.instrument_imports(include=["sls_jupyter"]):
        parser = TARGETS[name].load()
    corpus = FINDINGS / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for data in seeds_of(TARGETS[name]):
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    options = [f"-max_total_time={int(seconds)}", f"-max_len={MAX_INPUT_BYTES}", f"-seed={seed}", str(corpus)]
    atheris.Setup([sys.argv[0], *options], lambda data: attempt(name, parser, data))
    atheris.Fuzz()


def has_atheris() -> bool:
    try:
        return importlib.util.find_spec("atheris") is not None
    except (ImportError, ValueError):
        return False


# --- the command ----------------------------------------------------------------------------------


def available() -> list[str]:
    """Targets whose parser is there in this version."""
    found = []
    for name, target in TARGETS.items():
        try:
            target.load()
        except (ImportError, AttributeError) as error:
            sys.stderr.write(f"{name}: skipped, {error}\n")
        else:
            found.append(name)
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="?", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args(arguments)
    warnings.simplefilter("error")  # a warning from a library is a finding too
    if options.list:
        sys.stdout.write("\n".join(TARGETS) + "\n")
        return 0
    run = run_atheris if has_atheris() else run_plain
    if options.target:
        run(options.target, options.seconds, options.seed)
        return 0
    command = [sys.executable, __file__, "--seconds", str(options.seconds), "--seed", str(options.seed)]
    results = [subprocess.run([*command, name], check=False).returncode for name in available()]
    return 1 if any(results) else 0


if __name__ == "__main__":
    sys.exit(main())
