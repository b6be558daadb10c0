"""Receipts for people: ``sls verify``, ``%sls verify`` and ``%sls receipt``. No session, no folder and no network.

Everything shown here may come from a file that somebody forged, so a line stays a line: nothing in a receipt
can add one to the checklist.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from sls_jupyter.attestation.files import sort_files
from sls_jupyter.documents import parse_json
from sls_jupyter.errors import BadInput, MalformedDocument
from sls_jupyter.notebook.cards import Block, Card, Cell, Chip, Facts, Heading, Line, Mono, Table
from sls_jupyter.notebook.receipt_options import PINS
from sls_jupyter.notebook.words import count_words, time_words
from sls_jupyter.printing import one_line
from sls_jupyter.receipt.files import read_receipt, verify_file
from sls_jupyter.receipt.statement import RUN_STATES, Predicate

if TYPE_CHECKING:
    from sls_jupyter.attestation.evidence import Check
    from sls_jupyter.receipt.verdict import ReceiptVerdict, Taken, VerifiedReceipt

NOT_PROVEN = (
    "that the data is true",
    "that the code computes what its author says",
    "that the host did not stop another run of the same terms",
)
_CODE = re.compile(r"[0-9a-f]{32}|did:[a-z0-9]+:")
_IMAGE = re.compile(r"sha256:[0-9a-f]{64}")
_IN_TOTO = b"vnd.in-toto"  # stands in every receipt, in the type of its payload
_BEGINNING = b'{"recorded":['  # of a receipt in canonical form: one that was cut off may have no more
_IS_EVIDENCE = "This file is attestation evidence, not a receipt: sls attest verify FILE judges it."


# --- a file and what is expected of it ------------------------------------------------------------


def is_receipt(path: str) -> bool:
    """Whether a file calls itself a receipt: JSON with the members ``statement`` and ``recorded``, or what is left of it."""
    try:
        return looks_like_receipt(read_receipt(path))
    except BadInput:
        return False


def looks_like_receipt(data: bytes) -> bool:
    """Whether these bytes are meant as a receipt, a changed or cut one included."""
    if _calls_itself_receipt(data):
        return True
    try:
        found = parse_json(data)
    except BadInput:
        return False
    return isinstance(found, dict) and {"statement", "recorded"} <= set(found)


def judge(data: bytes, options: argparse.Namespace) -> ReceiptVerdict:
    """Verify a receipt offline, with the options of :mod:`sls_jupyter.notebook.receipt_options`.

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
        images=options.image,
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


@dataclass(frozen=True, slots=True)
class Checks(Block):
    """Every check of a verdict, numbered; in the text form each is one line."""

    checks: Sequence[Check]

    def text(self) -> list[str]:
        width = max((len(one_line(check.name)) for check in self.checks), default=0)
        return [
            f"{number:>2}  {'✓ pass' if check.ok else '✗ FAIL'}  {one_line(check.name):<{width}}  {_found(check)}"
            for number, check in enumerate(self.checks, start=1)
        ]

    def html(self) -> str:
        rows = [
            (str(number), Chip("pass", "good") if check.ok else Chip("FAIL", "bad"), check.name, *_cells(check))
            for number, check in enumerate(self.checks, start=1)
        ]
        table = Table(("", "", "check", "found", "expected"), rows, "No check was made.")
        return f'<div class="sls-checks">{table.html()}</div>'


def _found(check: Check) -> str:
    found = one_line(check.found) or "nothing"
    return (
        f"{found}  (as expected)"
        if check.found == check.expected
        else f"{found}  (expected: {one_line(check.expected)})"
    )


def _cells(check: Check) -> tuple[Cell, Cell]:
    return long_or_words(check.found), "as found" if check.found == check.expected else long_or_words(check.expected)


def long_or_words(text: str) -> Cell:
    """In the code font if a digest, a DID or a key is in it; a sentence stays one."""
    return Mono(text) if _CODE.search(text) else text


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
