"""Evidence in files, for people: ``sls attest verify``, ``sls attest show`` and ``%sls verify``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from sls_jupyter.attestation.amd.describe import describe
from sls_jupyter.attestation.amd.report import Report
from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.attestation.azure.forms import MAX_FILE_BYTES, gather
from sls_jupyter.attestation.evidence import YOURS
from sls_jupyter.attestation.files import Verdict, judge_files, sort_files
from sls_jupyter.attestation.judge import NOTHING_ELSE, PROFILES, Profile, Wanted
from sls_jupyter.errors import BadInput, MalformedDocument
from sls_jupyter.notebook.cards import Block, Card, Facts, Heading, Line, Mono, Table
from sls_jupyter.notebook.checks import Checks
from sls_jupyter.notebook.receipts import looks_like_receipt
from sls_jupyter.printing import count_words, one_line
from sls_jupyter.tcb import BULLETINS


def read_files(paths: Sequence[str]) -> list[bytes]:
    """The files' bytes; a folder stands for the files in it.

    Raises:
        BadInput: a file cannot be read, or is too large.
    """
    found = []
    for path in map(Path, paths):
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            try:
                data = file.read_bytes() if file.stat().st_size <= MAX_FILE_BYTES else None
            except OSError as error:
                raise BadInput("A file cannot be read.", found=f"{file}: {error.strerror}") from None
            if data is None:
                raise BadInput("A file is too large.", found=str(file), expected=f"{MAX_FILE_BYTES} bytes at most")
            found.append(data)
    return found


def read_time(text: str | None) -> datetime:
    """``2026-11-23``, ``2026-11-23T10:00:00Z`` or seconds since 1970; now if it is not given.

    Raises:
        BadInput: none of these.
    """
    if text is None:
        return datetime.now(UTC)
    try:
        if text.isdigit() and len(text) > 8:
            return datetime.fromtimestamp(int(text), UTC)
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except (ValueError, OverflowError, OSError):
        raise BadInput("This is no time.", found=text[:60], expected="2026-11-23T10:00:00Z, or seconds") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def read_wanted(path: str | None) -> Wanted:
    """Minimums and whatever else is wanted, from a JSON file with the fields of :class:`Wanted`; without a
    source it is whoever's file it is.

    Raises:
        BadInput: not such a file.
    """
    if path is None:
        return NOTHING_ELSE
    (data,) = read_files([path])
    try:
        wanted = Wanted.from_json(data)
    except MalformedDocument as error:
        known = ", ".join(Wanted.model_fields)
        found = error.found or error.message
        raise BadInput("The file of minimums is not valid.", found=found, expected=known) from None
    if "source" in wanted.model_fields_set:
        return wanted
    return wanted.model_copy(update={"source": f"{YOURS} in {one_line(Path(path).name)[:200]}"})


def _demanding(wanted: Wanted, bulletins: Sequence[str], mitigations: Sequence[int]) -> Wanted:
    """The same, and these bulletins and bits as well.

    Raises:
        BadInput: no such bulletin or bit.
    """
    more = {
        "bulletins": (*wanted.bulletins, *(name.upper() for name in bulletins)),
        "mitigations": (*wanted.mitigations, *mitigations),
    }
    try:
        return Wanted.model_validate({**wanted.model_dump(exclude_unset=True), **more})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BadInput(
            "This cannot be demanded of a machine.",
            found=first["msg"].removeprefix("Value error, "),
            expected=f"{', '.join(BULLETINS)}; bits from 0 to 63",
        ) from None


def verify_files(
    paths: Sequence[str],
    *,
    profile: str | None = None,
    at: str | None = None,
    minimum: str | None = None,
    bulletins: Sequence[str] = (),
    mitigations: Sequence[int] = (),
    issuer: str | None = None,
    anchors: TrustAnchors | None = None,
) -> Verdict:
    """Verify whatever evidence the files hold.

    Raises:
        BadInput, MalformedDocument: the input cannot be used. A refusal is a verdict, not an error.
    """
    wanted = _demanding(read_wanted(minimum), bulletins, mitigations)
    data = read_files(paths)
    return verify_data(data, ", ".join(paths), profile=profile, at=at, wanted=wanted, issuer=issuer, anchors=anchors)


def verify_data(
    data: Sequence[bytes],
    name: str,
    *,
    profile: str | None = None,
    at: str | None = None,
    wanted: Wanted = NOTHING_ELSE,
    issuer: str | None = None,
    anchors: TrustAnchors | None = None,
) -> Verdict:
    """The same of files' bytes.

    Args:
        name: of these files, for messages.

    Raises:
        as :func:`verify_files`.
    """
    if profile is not None and profile not in PROFILES:
        raise BadInput("There is no such profile.", found=profile[:40], expected=", ".join(PROFILES))
    chosen: Profile | None = None if profile is None else "aci" if profile == "aci" else "hardware"
    if any(map(looks_like_receipt, data)):
        raise BadInput(
            "This is a receipt, not attestation evidence.",
            found=name[:200],
            hint="sls verify FILE judges a receipt with the evidence in it.",
        )
    found = sort_files(data)
    return judge_files(
        found,
        now=read_time(at),
        profile=chosen,
        wanted=wanted,
        issuer=issuer,
        anchors=anchors,
        today=datetime.now(UTC),
    )


def verify_asked(options: argparse.Namespace, anchors: TrustAnchors | None) -> Verdict:
    """The same, as the options of ``sls attest verify`` and ``%sls verify`` ask for it.

    Raises:
        BadInput, MalformedDocument: as :func:`verify_files`.
    """
    return verify_files(
        options.files,
        profile=options.profile,
        at=options.at,
        minimum=options.minimum,
        bulletins=options.bulletin,
        mitigations=options.mitigation,
        issuer=options.issuer,
        anchors=anchors,
    )


def verdict_card(verdict: Verdict) -> Card:
    """Green or red, with every check; SIMULATED where it is."""
    blocks: list[Block] = [
        Facts([("kind", verdict.kind), ("profile", verdict.profile), ("at", verdict.at.isoformat(timespec="seconds"))])
    ]
    if not verdict.accepted:
        blocks += [Line(verdict.reason), Line(f"→ {verdict.hint}")]
    blocks += [Heading("Checks"), Checks(verdict.checks)]
    blocks += [Line(note) for note in verdict.notes]
    failed = sum(not check.ok for check in verdict.checks)
    subtitle = f"{failed} of {len(verdict.checks)} checks failed" if failed else f"{len(verdict.checks)} checks passed"
    title = "Accepted" if verdict.accepted else "Refused"
    return Card(title, blocks, subtitle, simulated=verdict.simulated, tone="good" if verdict.accepted else "bad")


def verdict_words(verdict: Verdict) -> str:
    """The verdict with what it rests on, in one line."""
    word = ("ACCEPTED" if verdict.accepted else "REFUSED") + (", SIMULATED" if verdict.simulated else "")
    failed = [check.name for check in verdict.checks if not check.ok]
    why = (
        f"all {count_words(len(verdict.checks), 'check')} passed"
        if verdict.accepted
        else ", ".join(failed) or verdict.reason
    )
    return one_line(f"{word}: {why}" + ("; no hardware signed this evidence" if verdict.simulated else ""))


def verdict_json(verdict: Verdict) -> str:
    """For programs, in ASCII: nothing in it steers a terminal."""
    return json.dumps(verdict.to_json(), indent=2)


def report_card(paths: Sequence[str]) -> Card:
    """Every field of the report in the files.

    Raises:
        MalformedDocument: the report cannot be read. BadInput: there is none.
    """
    parts = gather(read_files(paths))
    if parts.report is None:
        raise BadInput(
            "There is no SEV-SNP report in these files.", hint="Give a report as bytes, hex, base64 or JSON."
        )
    try:
        report = Report.parse(parts.report)
    except MalformedDocument as error:
        error.hint = error.hint or "sls attest verify says what else is wrong with it."
        raise
    rows = [(field.name, Mono(field.value), field.meaning) for field in describe(report)]
    note = "Parsed only: no signature was checked. sls attest verify does that."
    return Card("SEV-SNP report", [Table(("field", "value", "meaning"), rows), Line(note)])
