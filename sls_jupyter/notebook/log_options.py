"""The actions of ``sls log`` and ``%sls log`` with their options; nothing is imported for them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import Any

from sls_jupyter.notebook.receipt_options import count_of_witnesses

ABOUT = "the transparency log: publish, witness and check it"


def add_log_actions(log: argparse.ArgumentParser, *, database: bool) -> Iterable[argparse.ArgumentParser]:
    """Add every action to ``log``; returns their parsers.

    Args:
        database: whether the authority may be one on another database; that of a notebook is its persona's own.
    """
    actions = log.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, about: str, more: str = "", *, own: bool = True) -> Callable[..., Any]:
        command = actions.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}. {more}".strip())
        if own and database:
            command.add_argument("--database", metavar="URL", help="as sls authority serve; SQLite by default")
        command.set_defaults(database=None)
        return command.add_argument

    add = action(
        "publish", "bring a copy of your authority's log up to date", "Any static web server makes the copy a log."
    )
    add("url", metavar="URL", help="folder or fsspec URL (az://, s3://, …) of the copy")
    add(
        "--witnesses",
        type=count_of_witnesses,
        default=0,
        metavar="K",
        help="newest checkpoint with K cosignatures; 0 by default",
    )
    action("keys", "the keys by which others know your log and its witnesses")
    add = action("watch", "let your authority witness a log from now on")
    add("key", metavar="VERIFIER_KEY", help="of the log, as its owner's sls log keys prints it")
    add = action("trust", "let your authority take cosignatures by a witness from now on")
    add("key", metavar="WITNESS_KEY", help="as its owner's sls log keys prints it")
    add("--url", metavar="URL", help="where it can be asked; without it, it brings its cosignatures (sls log cosign)")
    action("witnesses", "who may cosign your log, which logs you witness, how far, and evidence of forks")
    action("collect", "ask every witness with a URL to cosign your log", "It has failed if one of them failed.")
    add = action("cosign", "follow the log of an authority and bring it your cosignature", own=False)
    add("url", metavar="URL", help="of the authority; its log must trust your key (sls log keys)")
    add = action("forget", "forget what entries of your authority's log meant", "It cannot be undone.")
    add("entry", type=int, nargs="+", metavar="ENTRY", help="index of the entry; sls audit shows it")
    add = action("check", "read a whole log and check every entry", "It fails if a check fails.", own=False)
    add("place", metavar="URL|DID", help="a published copy, an authority, or the DID of one you are connected to")
    add("--log", metavar="KEY", help="the log's verifier key, or its authority's DID; by default the one it names")
    add("--witness", action="append", default=[], metavar="KEY", help="a witness that you trust; repeatable")
    add("--witnesses", type=count_of_witnesses, metavar="K", help="how many of them must have cosigned; all by default")
    return actions.choices.values()
