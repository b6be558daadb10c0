"""Runs and sessions: how far they are, what they gave."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from sls_jupyter.errors import BadInput, SlsError, Unavailable
from sls_jupyter.lab import messages
from sls_jupyter.lab.asking import Asked
from sls_jupyter.lab.rows import card_of, first, fitting
from sls_jupyter.notebook.cards import marks
from sls_jupyter.notebook.receipts import failed_words
from sls_jupyter.notebook.status import held_lines, run_title, seconds_words, summary_line
from sls_jupyter.notebook.words import STATES, is_simulated
from sls_jupyter.printing import age_words, one_line, short_digest
from sls_jupyter.session.remembering import WAITS

if TYPE_CHECKING:
    from sls_jupyter.safestream.run import Run, Step
    from sls_jupyter.session import RunRecord, Session, SessionRecord

_GOING = ("running", "waiting")  # how the states of runs begin that are not over
Action = Literal["cancel", "result", "receipt", "audit"]


def listed(asked: Asked) -> messages.Runs:
    """Runs and sessions of this persona, newest first, from its own folder."""
    rows = fitting(asked.session.runs(), asked.query, _words)
    return messages.Runs(
        rows=tuple(map(_row, first(rows, asked.query))),
        total=len(rows),
        sessions=tuple(map(_session_row, asked.session.sessions())),
    )


def page(asked: Asked) -> messages.RunPage:
    """One run: its steps, what it rests on, whom it waits for."""
    return _page(asked.session, asked.path["id"])


def cancel(asked: Asked) -> messages.RunPage:
    """End a run, whichever process drives it."""
    session, id_ = asked.session, asked.path["id"]
    session.forget_run(session.cancel(id_).id)  # its page is drawn from what is kept
    return _page(session, id_)


def save_result(asked: Asked) -> messages.Saved:
    """Write what a run gave into a new folder below the folder that the server shows."""
    root, body = asked.root, cast(messages.SaveTo, asked.body)
    if root is None:
        raise BadInput("This server shows no folder, so nothing can be saved.", hint="%sls result RUN --to FOLDER")
    folder = _below(root, body.folder)
    paths = asked.session.save_result(asked.path["id"], folder)
    where = folder.relative_to(root.resolve())
    return messages.Saved(folder=where.as_posix(), files=tuple((where / path.name).as_posix() for path in paths))


def receipt(asked: Asked) -> messages.File:
    """The receipt, from the run's folder or from the authorities, when it verifies."""
    verified = asked.session.receipt(asked.path["id"])
    run = asked.session.run_called(asked.path["id"]).id
    return messages.File(name=f"receipt-{run}.json", text=verified.receipt.payload().decode())


def audit(asked: Asked) -> messages.CardAnswer:
    """What all logs hold about a run, every proof checked."""
    from sls_jupyter.notebook.reports import audit_card

    found = asked.session.audit(asked.path["id"])
    return messages.CardAnswer(card=card_of(asked.session, audit_card(found)))


def report(asked: Asked) -> messages.File:
    """The same as a page to print."""
    from sls_jupyter.notebook.audit_report import audit_page

    found = asked.session.audit(asked.path["id"])
    return messages.File(name=f"audit-{found.run}.html", text=audit_page(found, now=datetime.now(UTC)))


def close_session(asked: Asked) -> messages.CardAnswer:
    """End a session after the cell that runs."""
    from sls_jupyter.notebook.warm import closed_card

    record = asked.session.close_session(asked.path["name"])
    return messages.CardAnswer(card=card_of(asked.session, closed_card(record)))


# --- rows -----------------------------------------------------------------------------------------


def _row(record: RunRecord, run: Run | None = None) -> messages.RunRow:
    kind, isolated = record.state.partition(":")[0], record.isolated
    if run is not None and isolated is None:
        isolated = cast(bool | None, run.summary.get("isolated"))
    tee = record.tee or ("" if run is None else str(run.summary.get("tee", "")))
    now = run.status() if run is not None and run.state == "running" and kind == "running" else record.now
    return messages.RunRow(
        id=record.id,
        state=one_line(record.state),
        tone=STATES.get(record.state, STATES.get(kind, "")),
        started_at=record.started_at,
        inputs=tuple(map(one_line, record.inputs)),
        purpose=one_line(record.purpose),
        tee=one_line(tee),
        marks=marks(is_simulated(tee), isolated is False),
        now=one_line(now),
        reason=one_line(record.reason),
        session=one_line(record.session),
        cell=record.cell,
        going=kind in _GOING,
        actions=_actions(record, going=kind in _GOING),
    )


def _actions(record: RunRecord, *, going: bool) -> tuple[Action, ...]:
    found: list[tuple[Action, bool]] = [
        ("cancel", going),
        ("result", record.has_result),
        ("receipt", record.has_receipt),
        ("audit", not going),
    ]
    return tuple(name for name, can in found if can)


def _words(record: RunRecord) -> tuple[str, ...]:
    said = (record.state, record.purpose, record.tee, record.now, record.reason, record.session)
    return (record.id, *record.inputs, *said)


def _session_row(record: SessionRecord) -> messages.SessionRow:
    return messages.SessionRow(
        name=one_line(record.name),
        id=record.id,
        state=one_line(record.state),
        tone=STATES.get(record.state.partition(":")[0], ""),
        opened_at=record.opened_at,
        cells=record.cells,
        most=record.most,
        idle_seconds=record.idle_seconds if record.is_open else 0,
        idle_since=record.idle_since,
        inputs=tuple(map(one_line, record.inputs)),
        purpose=one_line(record.purpose),
    )


# --- one run --------------------------------------------------------------------------------------


def _page(session: Session, id_: str) -> messages.RunPage:
    record = session.run_called(id_)
    try:
        run: Run | None = session.glance(record.id)
        lines: tuple[str, ...] = ()
    except Unavailable:
        raise
    except SlsError as error:  # nothing was kept of it, or it was changed: the rest of the page stands by itself
        run, lines = None, (one_line(f"{error.sentence} {error.hint}".strip()),)
    waits, ask = ("", "") if run is None else _waiting(session, record, run)
    receipt_id, refused = _receipt(session, record)
    return messages.RunPage(
        row=_row(record, run),
        title=f"SafeStream {record.id}" if run is None else run_title(run),
        steps=() if run is None else tuple(map(_step, run.steps)),
        summary=summary_line(run) if run is not None and run.state == "done" and not refused else "",
        lines=(*lines, *(() if run is None else held_lines(run)), *refused),
        waits=waits,
        ask=ask,
        receipt=receipt_id,
        outputs=() if run is None else tuple(one_line(str(one["name"])) for one in run.summary.get("tables", ())),
    )


def _step(step: Step) -> messages.StepRow:
    return messages.StepRow(
        name=step.name,
        state=step.state,
        took=seconds_words(step),
        detail=one_line(step.detail),
        evidence=tuple(map(one_line, step.evidence)),
    )


def _waiting(session: Session, record: RunRecord, run: Run) -> tuple[str, str]:
    """Whom a run waits for and since when, and what to send to them; nothing where it waits for nobody."""
    told, step = run.summary.get("waits"), run.steps["approved"]
    ended = record.state == WAITS
    going = record.state.partition(":")[0] in _GOING and step.state == "active"
    if not isinstance(told, dict) or not (ended or going):
        return "", ""
    owners = " and ".join(str(session.who(str(did))) for did in told.get("owners", ()))
    since = told.get("since") or step.began
    age = f" since {age_words(time.time() - since)}" if isinstance(since, int | float) else ""
    request = short_digest(str(run.summary.get("request", "")))
    return one_line(f"waits for {owners}{age}"), f"Please decide on request {request}: sls show {request}"


def _receipt(session: Session, record: RunRecord) -> tuple[str, tuple[str, ...]]:
    """The digest of the kept receipt if it verifies; else a line that says why it does not."""
    try:
        verdict = session.kept_receipt(record.id)
    except SlsError as error:
        return "", (one_line(f"The receipt that is kept cannot be read: {error.sentence}"),)
    if verdict is None:
        return "", ()
    if verdict.accepted:
        return verdict.id, ()
    return "", (one_line(f"The receipt that is kept does not verify: {failed_words(verdict)}. Do not rely on it."),)


# --- where results are saved ----------------------------------------------------------------------


def _below(root: Path, folder: str) -> Path:
    """The folder, if it is a new one below ``root``, links followed.

    Raises:
        BadInput: it is not.
    """
    base = root.resolve()
    try:
        found = (base / folder).resolve()
    except (OSError, ValueError, RuntimeError):
        found = base
    if found == base or not found.is_relative_to(base):
        raise BadInput(
            "Results are saved into a folder of their own below the one that this server shows.",
            found=folder[:200],
            expected=f"a new folder in {base}",
            hint="Name a folder that does not exist yet, such as results.",
        )
    return found
