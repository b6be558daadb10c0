"""The doors of the transparency log for people: publish it, have it witnessed, witness others, check one.

``sls log`` and ``%sls log`` are these calls. Those that only look write nothing into the log, so they can be used while
the authority is being served.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sls_jupyter.errors import SlsError, UnknownName
from sls_jupyter.notebook.cards import Card, Facts, Heading, Mono, Table
from sls_jupyter.notebook.log_check import check, require_witness_key
from sls_jupyter.notebook.words import count_words

if TYPE_CHECKING:
    from sls_jupyter.authority.service import Authority
    from sls_jupyter.identity import Home
    from sls_jupyter.session import Session


_FORGOTTEN = "this authority cannot tell any more what it meant."


@dataclass(frozen=True, slots=True)
class Asked:
    """What an action works with."""

    home: Home
    options: argparse.Namespace
    progress: Callable[[str], None]  # told what is being done, as often as there is something new
    session: Session | None = None  # of a notebook; a shell has none, and one is opened where it is needed


@dataclass(frozen=True, slots=True)
class Told:
    """What an action has to say."""

    parts: tuple[Card | str, ...]  # a text is a line
    error: SlsError | None = None  # what failed beside what was done; the parts tell of it


def log_action(asked: Asked) -> Told:
    """Run the action that the options name.

    Raises:
        SlsError: with what was found, what was expected and what to do next.
    """
    return _ACTIONS[asked.options.action](asked)


# --- your authority's log -------------------------------------------------------------------------


@contextlib.contextmanager
def _authority(asked: Asked) -> Iterator[Authority]:
    """The persona's authority on its database, also while another process, or this notebook, serves it."""
    from sls_jupyter.attestation.anchors import TrustAnchors
    from sls_jupyter.authority.opening import open_authority

    authority = open_authority(asked.home, anchors=TrustAnchors(), database=asked.options.database)
    try:
        yield authority
    finally:
        authority.store.close()


def _publish(asked: Asked) -> Told:
    from sls_jupyter.authority.publishing import publish_log

    options = asked.options
    asked.progress(f"publishing to {options.url}")
    with _authority(asked) as authority:
        done = publish_log(authority, options.url, witnesses=options.witnesses)
    facts = Facts(
        [
            ("log", Mono(authority.origin)),
            ("at", Mono(options.url)),
            ("entries", f"{done.tree_size:,}, of which {done.tree_size - done.old_size:,} are new"),
            ("written", count_words(done.written, "file")),
        ]
    )
    return Told((Card("Published" if done.written else "The copy was up to date", [facts]),))


def _keys(asked: Asked) -> Told:
    from sls_jupyter.authority.witnessing import own_witness_key
    from sls_jupyter.transparency.cosignature import witness_key_of
    from sls_jupyter.transparency.note import verifier_key

    with _authority(asked) as authority:
        return Told(
            (
                f"The log of {authority.identity.name}. Whoever witnesses it runs: sls log watch KEY",
                f"  {verifier_key(authority.origin, authority.identity.signing.public_bytes)}",
                "That authority as a witness. A log's owner runs: sls log trust KEY --url ITS_URL",
                f"  {own_witness_key(authority)}",
                "You as a witness. A log's owner runs: sls log trust KEY",
                f"  {witness_key_of(asked.home.identity().did)}",
            )
        )


def _watch(asked: Asked) -> Told:
    from sls_jupyter.authority import witnessing

    with _authority(asked) as authority:
        origin = witnessing.watch(authority, asked.options.key)
        own = witnessing.own_witness_key(authority)
    return Told(
        (
            f"{authority.identity.name} witnesses {origin}",
            f"  → its owner runs: sls log trust {own} --url URL_OF_YOUR_AUTHORITY",
        )
    )


def _trust(asked: Asked) -> Told:
    from sls_jupyter.authority import witnessing
    from sls_jupyter.authority.client import check_url

    options = asked.options
    url = None if options.url is None else check_url(options.url)
    require_witness_key(options.key)
    with _authority(asked) as authority:
        name = witnessing.trust_witness(authority, options.key, url)
    how = f"asked at {url}; sls log collect asks it now" if url else "it brings them: sls log cosign URL"
    return Told((f"{authority.identity.name} takes cosignatures by {name}", f"  {how}"))


def _witnesses(asked: Asked) -> Told:
    from sls_jupyter.authority import witnessing
    from sls_jupyter.authority.witness_loop import standings

    with _authority(asked) as authority:
        size, found = standings(authority)
        watched = witnessing.watched(authority)
        evidence = {origin: pair for origin in watched if (pair := witnessing.evidence(authority, origin)) is not None}
    who = [(Mono(one.name), _size(one.tree_size), Mono(one.url or "brings them itself")) for one in found]
    logs = [(Mono(name), _size(last), "FORKED" if name in evidence else "") for name, last in watched.items()]
    card = Card(
        f"{authority.origin}, {count_words(size, 'entry', 'entries')}",
        [
            Heading("Who may cosign it"),
            Table(("witness", "newest size", "where"), who, "Nobody: sls log trust WITNESS_KEY --url URL"),
            Heading("What its authority witnesses"),
            Table(("log", "newest size", ""), logs, "No log: sls log watch VERIFIER_KEY"),
        ],
    )
    return Told((card, *(line for origin, notes in evidence.items() for line in _forked(origin, notes))))


def _forked(origin: str, notes: tuple[bytes, bytes]) -> Iterator[str]:
    yield from ("", f"✗ {origin} shows two faces. It signed both of these; show them to its owner and its readers:")
    for note in notes:
        yield from ("", *(f"    {line}".rstrip() for line in note.decode().split("\n")[:-1]))


def _size(tree_size: int | None) -> str:
    return "none yet" if tree_size is None else f"{tree_size:,}"


def _collect(asked: Asked) -> Told:
    from sls_jupyter.authority import witnessing
    from sls_jupyter.authority.witness_client import post_checkpoint
    from sls_jupyter.authority.witness_loop import standings

    def post(url: str, request: bytes) -> bytes:
        asked.progress(f"asking the witnesses: {url}")
        return post_checkpoint(url, request)

    with _authority(asked) as authority:
        results = witnessing.collect(authority, post)
        sizes = {one.name: one.tree_size for one in standings(authority)[1]}
    if not results:
        hint = "sls log trust WITNESS_KEY --url URL names one; those without a URL run sls log cosign."
        raise UnknownName("No witness of this log can be asked.", found=f"{len(sizes)} without a URL", hint=hint)
    lines = list[str]()
    for name, error in results.items():
        if error is None:
            lines.append(f"✓ {name}  cosigned tree size {sizes[name]:,}")
        else:
            lines += [f"✗ {name}", *(f"  {line}" for line in error.lines())]
    return Told(tuple(lines), next((error for error in results.values() if error is not None), None))


# --- logs of others -------------------------------------------------------------------------------


def _cosign(asked: Asked) -> Told:
    from sls_jupyter.session import Session

    asked.progress(f"following the log at {asked.options.url}")
    with contextlib.ExitStack() as ending:
        session = asked.session or ending.enter_context(contextlib.closing(Session(asked.home)))
        seen = session.cosign(asked.options.url)
    return Told((f"You cosigned tree size {seen.tree_size:,} of {seen.origin}",))


def _forget(asked: Asked) -> Told:
    from sls_jupyter.authority import ledger

    done = list[str]()
    with _authority(asked) as authority:
        for index in asked.options.entry:
            try:
                ledger.forget(authority, authority.owner, index)
            except SlsError as error:
                if not done:
                    raise
                return Told((*done, *error.lines()), error)
            done.append(f"Entry {index} stays in the log and can be proven; {_FORGOTTEN}")
    return Told(
        (*done, "  Other parties have copies of their own, in receipts too; whoever is to forget them has to be asked.")
    )


def _check(asked: Asked) -> Told:
    return Told((check(asked.home, asked.options, asked.progress),))


_ACTIONS: Mapping[str, Callable[[Asked], Told]] = {
    "publish": _publish,
    "keys": _keys,
    "watch": _watch,
    "trust": _trust,
    "witnesses": _witnesses,
    "collect": _collect,
    "cosign": _cosign,
    "check": _check,
    "forget": _forget,
}
