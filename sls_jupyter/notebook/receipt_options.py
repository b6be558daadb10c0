"""The options of ``sls verify`` and ``%sls verify``: whom and what an auditor expects. Imports nothing, for a quick start."""

from __future__ import annotations

import argparse

MAX_WITNESSES = 64
_REPEATABLE = (
    ("owner", "DID", "an owner that you expect: exactly those named; by default the receipt's own are listed"),
    ("log", "KEY", "a log that you expect, by DID or verifier key; as --owner"),
    ("image", "DIGEST", "a guest image that you believe (sha256:…), beside the one installed here"),
    ("witness", "KEY", "a witness that you trust"),
)
WITNESSES_HELP = "ask for it anew, with K witnesses' cosignatures of each log"
PINS = (*(name for name, _, _ in _REPEATABLE), "witnesses")
"""Options that are about receipts only, by the name that argparse keeps them under."""


def add_receipt_options(parser: argparse.ArgumentParser) -> None:
    """Whom and what to expect in a receipt; all of it may be left out."""
    for name, metavar, about in _REPEATABLE:
        parser.add_argument(
            f"--{name}", action="append", default=[], metavar=metavar, help=f"receipt: {about}; repeatable"
        )
    parser.add_argument(
        "--witnesses",
        type=count_of_witnesses,
        metavar="K",
        help="receipt: how many of them must have cosigned each log; all by default",
    )


def count_of_witnesses(text: str) -> int:
    """A number from 0 to 64."""
    if not text.isascii() or not text.isdigit() or len(text) > 3 or int(text) > MAX_WITNESSES:
        raise argparse.ArgumentTypeError(f"not a number of witnesses from 0 to {MAX_WITNESSES}: {text[:20]!r}")
    return int(text)
