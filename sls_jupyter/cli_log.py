"""``sls log``: the doors of the transparency log for people. Publish it, have it witnessed, witness others, check one.

Results go to standard output, progress to standard error. Commands that only look write nothing into the
log, so they can be used while the authority is being served.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from sls_jupyter.errors import BadInput, UnknownName
from sls_jupyter.notebook.receipt_options import count_of_witnesses
from sls_jupyter.printing import row
from sls_jupyter.transparency.tiles import TILE_WIDTH

if TYPE_CHECKING:
    from sls_jupyter.authority.log_reading import LogKey
    from sls_jupyter.authority.service import Authority
    from sls_jupyter.identity import Home
    from sls_jupyter.notebook.cards import Card
    from sls_jupyter.transparency.checkpoint import Checkpoint
    from sls_jupyter.transparency.reader import Fetch


def add_log_commands(commands: Any) -> None:
    """Add ``log`` and its actions to the sub-parsers of ``sls``."""
    log = commands.add_parser("log", help="the transparency log: publish, witness and check it")
    actions = log.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, about: str, more: str = "", *, database: bool = True) -> Callable[..., Any]:
        command = actions.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}. {more}".strip())
        command.add_argument("--persona", metavar="NAME", default=argparse.SUPPRESS, help="whose; me by default")
        if database:
            command.add_argument("--database", metavar="URL", help="as sls authority serve; SQLite by default")
        return command.add_argument  # type: ignore[no-any-return]

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
    action("collect", "ask every witness with a URL to cosign your log", "Exit status 1 if one of them failed.")
    add = action("cosign", "follow the log of an authority and bring it your cosignature", database=False)
    add("url", metavar="URL", help="of the authority; its log must trust your key (sls log keys)")
    add = action("forget", "forget what entries of your authority's log meant", "It cannot be undone.")
    add("entry", type=int, nargs="+", metavar="ENTRY", help="index of the entry; sls audit shows it")
    add = action("check", "read a whole log and check every entry", "Exit status 1 if a check fails.", database=False)
    add("place", metavar="URL|DID", help="a published copy, an authority, or the DID of one you are connected to")
    add("--log", metavar="KEY", help="the log's verifier key, or its authority's DID; by default the one it names")
    add("--witness", action="append", default=[], metavar="KEY", help="a witness that you trust; repeatable")
    add("--witnesses", type=count_of_witnesses, metavar="K", help="how many of them must have cosigned; all by default")


def log_command(options: argparse.Namespace) -> int:
    """Run one action; returns its exit code.

    Raises:
        SlsError: with what was found, what was expected and what to do next.
    """
    return _ACTIONS[options.action](options)


# --- the screen -----------------------------------------------------------------------------------


def _say(*lines: str) -> None:
    """Print lines; nothing in one, such as a stranger's name, steers the terminal or begins another."""
    sys.stdout.writelines(row(line) + "\n" for line in lines)
    sys.stdout.flush()


def _show(card: Card) -> None:
    """Print a card, whose lines are clean."""
    sys.stdout.write(f"{card}\n")
    sys.stdout.flush()


class _Working:
    """Says on standard error, from the first second on, what is being done and for how long."""

    def __init__(self, what: str) -> None:
        self.what, self.detail = what, ""
        self._live = sys.stderr.isatty()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="sls-progress", daemon=True)

    def _tell(self) -> None:
        start = time.monotonic()
        while not self._done.wait(1.0 if self._live or time.monotonic() - start < 1.0 else 10.0):
            words = f"{row(self.what + self.detail)}, {time.monotonic() - start:.0f} s"
            sys.stderr.write(f"\r\x1b[K{words}" if self._live else f"{words}\n")
            sys.stderr.flush()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


# --- your authority's log -------------------------------------------------------------------------


def _home(options: argparse.Namespace) -> Home:
    from sls_jupyter.identity import Home

    return Home.find(getattr(options, "persona", None))


@contextlib.contextmanager
def _authority(options: argparse.Namespace) -> Iterator[Authority]:
    """The persona's authority on its database, also while another process serves it."""
    from sls_jupyter.attestation.evidence import TrustAnchors
    from sls_jupyter.authority.service import open_authority
    from sls_jupyter.notebook.sessions import require_persona

    if options.action != "keys":  # which makes them
        require_persona(getattr(options, "persona", None))
    authority = open_authority(_home(options), anchors=TrustAnchors(), database=options.database)
    try:
        yield authority
    finally:
        authority.store.close()


def _publish(options: argparse.Namespace) -> int:
    from sls_jupyter.authority.publishing import publish_log
    from sls_jupyter.notebook.cards import Card, Facts, Mono
    from sls_jupyter.notebook.words import count_words

    with _authority(options) as authority, _Working(f"publishing to {options.url}"):
        done = publish_log(authority, options.url, witnesses=options.witnesses)
    _show(
        Card(
            "Published" if done.written else "The copy was up to date",
            [
                Facts(
                    [
                        ("log", Mono(authority.origin)),
                        ("at", Mono(options.url)),
                        ("entries", f"{done.tree_size:,}, of which {done.tree_size - done.old_size:,} are new"),
                        ("written", count_words(done.written, "file")),
                    ]
                )
            ],
        )
    )
    return 0


def _keys(options: argparse.Namespace) -> int:
    from sls_jupyter.authority.witnessing import own_witness_key
    from sls_jupyter.transparency.cosignature import witness_key_of
    from sls_jupyter.transparency.note import verifier_key

    with _authority(options) as authority:
        log = verifier_key(authority.origin, authority.identity.signing.public_bytes)
        _say(f"The log of {authority.identity.name}. Whoever witnesses it runs: sls log watch KEY", f"  {log}")
        _say(
            "That authority as a witness. A log's owner runs: sls log trust KEY --url ITS_URL",
            f"  {own_witness_key(authority)}",
        )
    own = witness_key_of(_home(options).identity().did)
    _say("You as a witness. A log's owner runs: sls log trust KEY", f"  {own}")
    return 0


def _watch(options: argparse.Namespace) -> int:
    from sls_jupyter.authority import witnessing

    with _authority(options) as authority:
        origin = witnessing.watch(authority, options.key)
        _say(f"{authority.identity.name} witnesses {origin}")
        _say(f"  → its owner runs: sls log trust {witnessing.own_witness_key(authority)} --url URL_OF_YOUR_AUTHORITY")
    return 0


def _trust(options: argparse.Namespace) -> int:
    from sls_jupyter.authority import witnessing
    from sls_jupyter.authority.client import check_url

    url = None if options.url is None else check_url(options.url)
    _require_witness_key(options.key)
    with _authority(options) as authority:
        name = witnessing.trust_witness(authority, options.key, url)
        _say(f"{authority.identity.name} takes cosignatures by {name}")
    _say(f"  asked at {url}; sls log collect asks it now" if url else "  it brings them: sls log cosign URL")
    return 0


def _require_witness_key(key: str) -> None:
    """Tell a log's key from a witness's, which looks much the same.

    Raises:
        BadInput: it is a log's. MalformedDocument: it is neither.
    """
    from sls_jupyter.errors import MalformedDocument
    from sls_jupyter.transparency.cosignature import parse_witness_key
    from sls_jupyter.transparency.note import parse_verifier_key

    try:
        parse_witness_key(key)
    except MalformedDocument:
        with contextlib.suppress(MalformedDocument):
            origin, _ = parse_verifier_key(key)
            raise BadInput(
                "This is a log's key; a witness's key begins with sls-jupyter.witness/ (sls log keys).",
                found=origin[:200],
                hint="Ask its owner for the key of the witness: the second or third one that sls log keys prints.",
            ) from None
        raise


def _witnesses(options: argparse.Namespace) -> int:
    from sls_jupyter.authority import witnessing
    from sls_jupyter.authority.witness_loop import standings
    from sls_jupyter.notebook.cards import Card, Heading, Mono, Table
    from sls_jupyter.notebook.words import count_words

    with _authority(options) as authority:
        size, found = standings(authority)
        watched = witnessing.watched(authority)
        evidence = {origin: pair for origin in watched if (pair := witnessing.evidence(authority, origin)) is not None}
    who = [(Mono(one.name), _size(one.tree_size), Mono(one.url or "brings them itself")) for one in found]
    logs = [(Mono(name), _size(last), "FORKED" if name in evidence else "") for name, last in watched.items()]
    _show(
        Card(
            f"{authority.origin}, {count_words(size, 'entry', 'entries')}",
            [
                Heading("Who may cosign it"),
                Table(("witness", "newest size", "where"), who, "Nobody: sls log trust WITNESS_KEY --url URL"),
                Heading("What its authority witnesses"),
                Table(("log", "newest size", ""), logs, "No log: sls log watch VERIFIER_KEY"),
            ],
        )
    )
    for origin, notes in evidence.items():
        _say("", f"✗ {origin} shows two faces. It signed both of these; show them to its owner and its readers:")
        for note in notes:
            _say("", *(f"    {line}".rstrip() for line in note.decode().split("\n")[:-1]))
    return 0


def _size(tree_size: int | None) -> str:
    return "none yet" if tree_size is None else f"{tree_size:,}"


def _collect(options: argparse.Namespace) -> int:
    from sls_jupyter.authority import witnessing
    from sls_jupyter.authority.witness_client import post_checkpoint
    from sls_jupyter.authority.witness_loop import standings

    with _authority(options) as authority, _Working("asking the witnesses") as working:

        def post(url: str, request: bytes) -> bytes:
            working.detail = f": {url}"
            return post_checkpoint(url, request)

        results = witnessing.collect(authority, post)
        sizes = {one.name: one.tree_size for one in standings(authority)[1]}
    if not results:
        hint = "sls log trust WITNESS_KEY --url URL names one; those without a URL run sls log cosign."
        raise UnknownName("No witness of this log can be asked.", found=f"{len(sizes)} without a URL", hint=hint)
    for name, error in results.items():
        if error is None:
            _say(f"✓ {name}  cosigned tree size {sizes[name]:,}")
        else:
            _say(f"✗ {name}", *(f"  {line}" for line in error.lines()))
    return 1 if any(results.values()) else 0


# --- logs of others -------------------------------------------------------------------------------


def _cosign(options: argparse.Namespace) -> int:
    from sls_jupyter.session import Session

    session = Session(_home(options))
    with contextlib.closing(session), _Working(f"following the log at {options.url}"):
        seen = session.cosign(options.url)
    _say(f"You cosigned tree size {seen.tree_size:,} of {seen.origin}")
    return 0


def _forget(options: argparse.Namespace) -> int:
    from sls_jupyter.authority import ledger

    with _authority(options) as authority:
        for index in options.entry:
            ledger.forget(authority, authority.owner, index)
            _say(
                f"Entry {index} stays in the log and can be proven; this authority cannot tell any more what it meant."
            )
    _say("  Other parties have copies of their own, in receipts too; whoever is to forget them has to be asked.")
    return 0


def _check(options: argparse.Namespace) -> int:
    from sls_jupyter.authority.log_reading import LogKey, compare, open_log
    from sls_jupyter.notebook.cards import Bullets, Card, Facts, Mono
    from sls_jupyter.session.directory import connections_of
    from sls_jupyter.transparency.memory import CheckpointMemory
    from sls_jupyter.transparency.reader import read_log

    for witness in options.witness:
        _require_witness_key(witness)
    needed, home = _needed(options), _home(options)
    url, did = _find(options.place, connections_of(home))
    memory, expected = CheckpointMemory(home.folder("checkpoints")), options.log or did
    with _Working("reading the log") as working, open_log(url, witnesses=needed) as (note, fetch):
        key = LogKey.expect(expected) if expected else LogKey.named_in(note)
        checkpoint, witnessed, who = _signatures(options, note, key, needed)
        fetch = _counting(fetch, working, checkpoint.tree_size)
        entries = read_log(fetch, checkpoint)
        before = compare(memory, note, key, entries, fetch)
    checks = [
        "signed with the log's key" + ("" if key.pinned else ", taken from its own name (--log KEY demands one)"),
        witnessed,
        f"all {checkpoint.tree_size:,} entries are there, in order, and lead to the signed root",
        "never seen before; remembered from now on"
        if before is None
        else f"consistent with tree size {before:,}, seen before",
    ]
    facts = [("size", f"{checkpoint.tree_size:,}"), ("root", Mono(checkpoint.root_hash.hex())), *who]
    _show(Card(key.origin, [Facts(facts), Bullets(checks)], subtitle="every check passed"))
    return 0


def _needed(options: argparse.Namespace) -> int:
    """How many cosignatures are demanded."""
    given = len(options.witness)
    if options.witnesses is None:
        return given
    if not min(1, given) <= options.witnesses <= given:
        raise BadInput(
            "This many witnesses cannot be demanded.",
            found=f"--witnesses {options.witnesses}",
            expected=f"1 to {given}" if given else "keys of witnesses that you trust",
            hint="Give the key of each witness that you trust: --witness KEY",
        )
    return int(options.witnesses)


def _find(place: str, connected: Mapping[str, str]) -> tuple[str, str | None]:
    """The URL of a log, and the DID of its authority if that is known."""
    if not place.startswith("did:"):
        return place, connected.get(place.rstrip("/"))
    for url, did in connected.items():
        if did == place:
            return url, did
    hint = "Give its URL, or connect to it: sls connect URL"
    raise UnknownName("You are not connected to this authority.", found=place[:100], hint=hint)


def _signatures(
    options: argparse.Namespace, note: bytes, key: LogKey, needed: int
) -> tuple[Checkpoint, str, list[tuple[str, str]]]:
    """The verified checkpoint, what there is to say of its witnesses, and each of them with its time."""
    from sls_jupyter.notebook.words import time_words
    from sls_jupyter.transparency.checkpoint import verify_checkpoint
    from sls_jupyter.transparency.cosignature import WitnessPolicy, verify_witnessed

    if not needed:
        return verify_checkpoint(note, key.origin, key.public_key), "no witness was demanded (--witness KEY)", []
    policy = WitnessPolicy.of(needed, options.witness)
    checkpoint, good = verify_witnessed(note, key.origin, key.public_key, policy, now=int(time.time()))
    who = [("cosigned", f"{time_words(one.at)} by {one.witness}") for one in good]
    return checkpoint, f"cosigned by {len(good)} of {len(policy.witnesses)} witnesses, {needed} demanded", who


def _counting(fetch: Fetch, working: _Working, total: int) -> Fetch:
    """Tell the progress by the entry bundles that were asked for."""
    bundles = 0

    def counted(path: str) -> bytes:
        nonlocal bundles
        bundles += path.startswith("tile/entries/")
        working.detail = f": {min(total, bundles * TILE_WIDTH):,} of {total:,} entries"
        return fetch(path)

    return counted


_ACTIONS: Mapping[str, Callable[[argparse.Namespace], int]] = {
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
