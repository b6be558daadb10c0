"""The options of ``sls attest verify`` and ``%sls verify``: how evidence is judged. Imports nothing, for a quick start."""

from __future__ import annotations

import argparse


def add_evidence_options(parser: argparse.ArgumentParser) -> None:
    """How evidence is judged, and what is demanded of it; all of it may be left out."""
    add = parser.add_argument
    add("--profile", choices=("hardware", "aci"), help="the vendor's part alone, or the whole Azure container evidence")
    add("--at", metavar="TIME", help="judge at this time (2026-11-23T10:00:00Z, or seconds); now by default")
    add("--minimum", metavar="FILE", help="JSON with minimums: uvm_svn, tcb, report_version, …")
    add("--bulletin", action="append", default=[], metavar="ID", help="AMD's bulletin that it has to meet; repeatable")
    add(
        "--mitigation",
        action="append",
        default=[],
        type=int,
        metavar="BIT",
        help="of SEV-SNP's mitigation vectors; repeatable",
    )
    add("--issuer", metavar="URL", help="the Azure Attestation instance that a token must be from")
    add(
        "--accept-simulated",
        action="store_true",
        help="believe the SIMULATED processor of this machine; the verdict says so",
    )
