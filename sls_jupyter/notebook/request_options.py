"""Options of ``%sls requests`` that ``sls requests`` takes too; nothing is imported for them."""

from __future__ import annotations

import argparse


def add_request_filters(parser: argparse.ArgumentParser) -> None:
    """Which requests are listed; ``%sls requests`` and ``sls requests`` take the same."""
    parser.add_argument("--waiting", action="store_true", help="only those that somebody has to decide on")
    parser.add_argument("--mine", action="store_true", help="only those that you asked for")
    parser.add_argument("--from", dest="by", default="", metavar="WHO", help="only those of somebody, by name or DID")
