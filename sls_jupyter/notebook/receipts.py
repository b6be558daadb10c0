"""Receipts for people: ``sls verify``, ``%sls verify`` and ``%sls receipt``. No session, no folder and no network.

Everything shown here may come from a file that somebody forged, so a line stays a line: nothing in a receipt
can add one to the checklist.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sls_jupyter.attestation.claims import Check
from sls_jupyter.attestation.files import sort_files
from sls_jupyter.documents import digest, parse_json
from sls_jupyter.errors import BadInput, MalformedDocument
from sls_jupyter.notebook.cards import Block, Card, Cell, Chip, Facts, Heading, Line, Mono, Table
from sls_jupyter.notebook.checks import Checks
from sls_jupyter.notebook.receipt_options import PINS
from sls_jupyter.notebook.words import count_words, time_words
from sls_jupyter.printing import one_line
from sls_jupyter.receipt.chain import verify_chain
from sls_jupyter.receipt.files import CellFound, cells_in, cells_of, read_receipt, verify_file
from sls_jupyter.receipt.findings import line, need, refuse
from sls_jupyter.receipt.statement import RUN_STATES, Predicate
from sls_jupyter.session.cell import one_spelling

if TYPE_CHECKING:
    from sls_jupyter.receipt.verdict import ReceiptVerdict, Taken, VerifiedReceipt

NOT_PROVEN = (
    "that the data is true",
    "that the code computes what its author says",
    "that the host did not stop another run of the same terms",
)
_IMAGE = re.compile(r"sha256:[0-9a-f]{64}")
_IN_TOTO = b"vnd.in-toto"  # stands in every receipt, in the type of its payload
_BEGINNING = b'{"recorded":['  # of a receipt in canonical form: one that was cut off may have no more
_NOT_OF_NOTEBOOK = (
    "That the outputs in this notebook are what its cells gave: whoever has the file can write others. Receipts have the"
    " digests of the sealed results; sls result RUN shows the requester's own."
)
_IS_EVIDENCE = "This file is attestation evidence, not a receipt: sls attest verify FILE judges it."


# --- a file and what is expected of it ------------------------------------------------------------


def is_receipt(path: str) -> bool:
    """Whether a file calls itself a receipt: JSON with the members ``statement`` and ``recorded``, or what is left of it.

    A notebook is one of receipts, or of nothing that can be verified.
    """
    if path.endswith(".ipynb"):
        return True
    try:
        return looks_like_receipt(read_receipt(path))
    except BadInput:
        return False


@dataclass(frozen=True, slots=True)
class Found:
    """A receipt, and in an executed notebook the cell in whose place it stands; or a cell with outputs and without one."""

    name: str
    data: bytes | None = field(repr=False)
    code: str | None = field(default=None, repr=False)  # of that cell; None: a file of its own


def read_all(file: str) -> list[Found]:
    """What a file has: its receipt, or those of a notebook that was run whole. Nothing is verified.

    Raises:
        BadInput: it cannot be read, or is no such notebook.
    """
    return _cells(file, cells_in(file)) if file.endswith(".ipynb") else [Found(file, read_receipt(file))]


def found_in(name: str, data: bytes) -> list[Found]:
    """The same of a file's bytes.

    Args:
        name: that the file has, or had where it comes from.

    Raises:
        BadInput: it calls itself a notebook, and is none that was run whole.
    """
    return _cells(name, cells_of(data, name)) if name.endswith(".ipynb") else [Found(name, data)]


def _cells(name: str, cells: Iterable[CellFound]) -> list[Found]:
    kept = [one for one in cells if one.receipt is not None or one.shows]
    return [Found(f"{name}, cell {one.place}", one.receipt, one.source) for one in kept]


def judge_all(found: Sequence[Found], options: argparse.Namespace, trusted: Collection[str] = ()) -> Chained:
    """Verify receipts that were given together: each, their chain and, in a notebook, that they are of the code that stands there.

    Args:
        options, trusted: as :func:`judge` takes them.
    """
    pairs = [(one, judge(one.data, options, trusted)) for one in found if one.data is not None]
    checks = () if all(one.code is None for one in found) else _notebook_checks(found, pairs)
    return Chained([(one.name, verdict) for one, verdict in pairs], checks)


def _notebook_checks(found: Sequence[Found], pairs: Sequence[tuple[Found, ReceiptVerdict]]) -> tuple[Check, ...]:
    def code() -> str:
        for one, verdict in pairs:
            if one.code is not None:
                stated = need(verdict.order, "cell of a receipt").cell.code
                stands = digest(one_spelling(one.code).encode("utf-8", "surrogatepass"))
                if stands != stated:
                    refuse(f"Other code than ran stands in {one.name}.", stands, stated)
        return count_words(len(pairs), "cell")

    def cells() -> str:
        bare = [one.name for one in found if one.data is None]
        if bare:
            refuse("A cell has outputs and no receipt.", ", ".join(bare)[:500], "a receipt in each")
        return count_words(len(found), "cell")

    return (
        line("code", "each receipt is of the code in its cell", code),
        line("cells", "every cell with outputs has a receipt", cells),
    )


def looks_like_receipt(data: bytes) -> bool:
    """Whether these bytes are meant as a receipt, a changed or cut one included."""
    if _calls_itself_receipt(data):
        return True
    try:
        found = parse_json(data)
    except BadInput:
        return False
    return isinstance(found, dict) and {"statement", "recorded"} <= set(found)


def judge(data: bytes, options: argparse.Namespace, trusted: Collection[str] = ()) -> ReceiptVerdict:
    """Verify a receipt offline, with the options of :mod:`sls_jupyter.notebook.receipt_options`.

    Args:
        trusted: digests of the images that this persona trusts; they are believed, too.

    Raises:
        BadInput: an option cannot be used. A refusal is a verdict, not an error.
    """
    for image in options.image:
        if not _IMAGE.fullmatch(image):
            raise BadInput("This is not an image's digest.", found=image[:80], expected="sha256: and 64 hex digits")
    return verify_file(
        data,
        owners=options.owner,
        logs=options.log,
        images=[*options.image, *trusted],
        witnesses=options.witness,
        needed=options.witnesses,
        accept_simulated=options.accept_simulated,
    )


def no_pins(options: argparse.Namespace) -> None:
    """Refuse options that would be ignored, because the files are evidence and no receipt.

    Raises:
        BadInput: there is one.
    """
    if given := [name for name in PINS if getattr(options, name) not in ([], None)]:
        raise BadInput(
            "These options are for receipts only.",
            found=", ".join(f"--{name}" for name in given),
            expected="a file with the members statement and recorded",
            hint="Leave them out, or give a receipt.",
        )


def _calls_itself_receipt(data: bytes) -> bool:
    return _IN_TOTO in data or data.startswith(_BEGINNING)


def advice(data: bytes, verdict: ReceiptVerdict) -> str:
    """What to do with a file that is no receipt; nothing for one that is."""
    if verdict.id:
        return ""
    if _calls_itself_receipt(data):
        return "This looks like a receipt that was changed or cut off. Ask for it again where you got it."
    try:
        sort_files([data])
    except MalformedDocument:
        return "This file is not a receipt. %sls receipt RUN and sls receipt RUN save one."
    except BadInput:
        return _IS_EVIDENCE  # a part of it
    return _IS_EVIDENCE


# --- what a person sees ---------------------------------------------------------------------------


def verdict_words(verdict: ReceiptVerdict) -> str:
    """The verdict with what it rests on, in one line."""
    if not verdict.id:
        return f"{verdict.word}: check 1 failed, so that no other could be made"
    failed, count = verdict.failed, len(verdict.checks)
    words = f"{len(failed)} of {count} checks failed" if failed else f"all {count_words(count, 'check')} passed"
    return f"{verdict.word}: {words}" + ("; no hardware signed this receipt" if verdict.simulated else "")


def end_words(predicate: Predicate) -> str:
    """How the run ended, and when, as the receipt states it."""
    run = predicate.run
    limit = f" ({run.limit})" if run.limit else ""
    return f"{RUN_STATES[run.status]}{limit}, {time_words(run.started_at)} to {time_words(run.ended_at)}"


def receipt_card(verdict: ReceiptVerdict, *, file: str = "", advice: str = "") -> Card:
    """Green or red: the verdict, every check, what nobody pinned, and what a receipt does not prove."""
    blocks: list[Block] = [Facts(_facts(verdict, file))]
    if advice:
        blocks.append(Line(f"→ {advice}"))
    if not verdict.accepted:
        blocks += _refusal(verdict)
    blocks += [Heading("Checks"), Checks(verdict.checks if verdict.id else verdict.checks[:1])]
    if not verdict.id:  # the others only say that they were not made; verdict_json has them
        return Card("REFUSED", blocks, simulated=verdict.simulated, tone="bad")
    if verdict.taken:
        blocks += [Heading("Taken from the receipt itself"), *_taken(verdict.taken)]
    blocks += [Heading("What a receipt does not prove"), Line(f"{_list(NOT_PROVEN)}.".capitalize())]
    title = "ACCEPTED" if verdict.accepted else "REFUSED"
    return Card(title, blocks, simulated=verdict.simulated, tone="good" if verdict.accepted else "bad")


def failed_words(verdict: ReceiptVerdict) -> str:
    """The failed checks, by number and name."""
    return ", ".join(f"{number} {check.name}" for number, check in enumerate(verdict.checks, 1) if not check.ok)


def _refusal(verdict: ReceiptVerdict) -> list[Block]:
    if not verdict.id:
        return [Line("Do not rely on anything that this file states.")]
    blocks: list[Block] = [
        Line(f"Do not rely on anything that this file states. Failed: {one_line(failed_words(verdict))}.")
    ]
    if verdict.predicate is not None and any(check.name == "image" for check in verdict.failed):
        digest = verdict.predicate.group.image.image().digest
        blocks += [
            Line("→ If whoever builds the guest image vouches for this one, name it:"),
            _pin(f"--image {digest}"),
        ]
    return blocks


def _pin(options: str) -> Block:
    return Facts([("add", Mono(options))])


def _facts(verdict: ReceiptVerdict, file: str) -> list[tuple[str, Cell]]:
    said = "" if verdict.accepted else ", as stated"
    facts: list[tuple[str, Cell]] = [
        ("verdict", Chip(verdict_words(verdict), "good" if verdict.accepted else "bad")),
        ("receipt", Mono(verdict.id) if verdict.id else "none: the file cannot be read as one"),
    ]
    if verdict.predicate is not None:
        facts.append((f"run{said}", end_words(verdict.predicate)))
    if verdict.order is not None:
        before = Mono(verdict.previous) if verdict.previous is not None else "none: this is the first cell"
        facts += [(f"cell{said}", f"{verdict.cell} of its session"), (f"receipt before{said}", before)]
    if verdict.spec is not None:
        facts += [
            (f"contract{said}", Mono(verdict.spec.digest)),
            (f"requester{said}", Mono(verdict.spec.requester)),
            (f"purpose{said}", verdict.spec.purpose or "not stated"),
        ]
    if verdict.kind:
        at = f"judged at {verdict.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        facts.append((f"evidence{said}", f"{verdict.kind}{' (SIMULATED)' if verdict.simulated else ''}, {at}"))
    return [*facts, ("file", Mono(file))] if file else facts


# --- the receipts of a session --------------------------------------------------------------------


@dataclass(frozen=True)
class Chained:
    """Receipts that were given together, with the verdict on each and on their chain."""

    judged: Sequence[tuple[str, ReceiptVerdict]]  # (file, verdict)
    of_notebook: tuple[Check, ...] = ()  # what was checked of the notebook that they stand in

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        return (*verify_chain([verdict for _, verdict in self.judged]), *self.of_notebook)

    @property
    def accepted(self) -> bool:
        """Every receipt verifies, and they are a chain."""
        return all(check.ok for check in self.checks)

    @property
    def simulated(self) -> bool:
        return any(verdict.simulated for _, verdict in self.judged)

    def to_json(self) -> str:
        """For programs."""
        receipts = [{"file": file, **verdict.to_json()} for file, verdict in self.judged]
        chain = [check.model_dump() for check in self.checks]
        return json.dumps({"accepted": self.accepted, "chain": chain, "receipts": receipts}, indent=2)


def chain_words(chain: Chained) -> str:
    """The verdict on receipts that were given together, in one line."""
    refused = sum(not verdict.accepted for _, verdict in chain.judged)
    failed = [check.name for check in chain.checks if not check.ok]
    word = ("ACCEPTED" if chain.accepted else "REFUSED") + (", SIMULATED" if chain.simulated else "")
    count = count_words(len(chain.judged), "receipt")
    if chain.accepted:
        return f"{word}: {count}, one after the other" + ("; no hardware signed them" if chain.simulated else "")
    why = [*([f"{refused} of {count} refused"] if refused else []), *failed]
    return one_line(f"{word}: {', '.join(why)}")


def chain_card(chain: Chained) -> Card:
    """Green or red: each receipt in a line, then what makes them one chain."""
    rows: list[Sequence[Cell]] = [
        (
            Mono(file),
            "" if verdict.cell is None else str(verdict.cell),
            Chip(verdict_words(verdict), "good" if verdict.accepted else "bad"),
            Mono(verdict.id) if verdict.id else "cannot be read",
        )
        for file, verdict in chain.judged
    ]
    blocks: list[Block] = [
        Line(f"{count_words(len(rows), 'receipt')}, as those of one session's cells."),
        Table(("file", "cell", "verdict", "receipt"), rows),
        Heading("Checks of the chain"),
        Checks(chain.checks),
        Heading("What a chain does not prove"),
        Line(
            "That the session had no more cells after the last of these. sls verify FILE has all checks of one receipt."
        ),
        *([Line(_NOT_OF_NOTEBOOK)] if chain.of_notebook else []),
    ]
    title = "ACCEPTED" if chain.accepted else "REFUSED"
    return Card(title, blocks, simulated=chain.simulated, tone="good" if chain.accepted else "bad")


def _taken(taken: Sequence[Taken]) -> list[Block]:
    rows = [(one.what, Mono(one.value), one.about) for one in taken]
    options = [f"--{one.what} {shlex.quote(one.value)}" for one in taken if one.what in PINS]
    return [
        Line("Nobody but the receipt says that these are the right ones. If you know whom to expect, name them:"),
        Table(("what", "who", "about"), rows),
        *([_pin(" ".join(options))] if options else []),
    ]


def _list(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])}, or {words[-1]}"


def verdict_json(verdict: ReceiptVerdict, advice: str = "") -> str:
    """For programs, in ASCII: nothing in it steers a terminal."""
    return json.dumps({**verdict.to_json(), **({"advice": advice} if advice else {})}, indent=2)


def saved_card(verified: VerifiedReceipt, path: Path, *, isolated: bool | None = None) -> Card:
    """Where a receipt went, and its digest.

    Args:
        isolated: whether its run was kept from its user's files, as this persona remembers it.
    """
    simulated = verified.verdict.simulated
    facts: list[tuple[str, Cell]] = [
        ("receipt", Mono(verified.id)),
        ("file", Mono(str(path))),
        ("recorded in", count_words(len(verified.receipt.recorded), "log")),
    ]
    words = (
        f"sls verify {shlex.quote(str(path))}{' --accept-simulated' if simulated else ''} checks it, offline, anywhere."
    )
    said = None if isolated is None else not isolated
    return Card("Receipt saved", [Facts(facts), Line(words)], simulated=simulated, tone="good", not_isolated=said)
