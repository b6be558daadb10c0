"""Nothing that another party filled in is shown or used as if it were true: a walk over every field of every message."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import pytest
from e2e import World, needs_sandbox, patients
from pydantic import BaseModel
from walk_kit import Meddler, hearsay, leaves, models_in, unmarked

from sls_jupyter.authority import answers, questions
from sls_jupyter.documents import Model
from sls_jupyter.errors import ApprovalPending, SlsError
from sls_jupyter.guest import messages
from sls_jupyter.notebook import render, reports
from sls_jupyter.provenance import Checked, Hearsay
from sls_jupyter.session import Session

ANSWERS = models_in(answers, below=Model)
BODIES = models_in(questions, below=questions.Body)
DOORS = models_in(messages, below=Model)
MESSAGES = [*ANSWERS, *BODIES, *DOORS]
Look = Callable[[], set[str]]
LISTED = Path(__file__).parent.parent / "docs" / "hearsay.md"


@pytest.mark.parametrize("model", MESSAGES, ids=lambda model: model.__name__)
def test_every_field_says_how_it_becomes_true(model: type[BaseModel]) -> None:
    """A field that is neither compared with something signed nor marked as hearsay is refused here."""
    assert unmarked([model]) == []


def test_a_new_field_without_a_mark_is_found() -> None:
    """The walk can fail."""

    class New(Model):
        told: str
        empty: Annotated[str, Hearsay("")]
        twice: Annotated[str, Hearsay("shown as their word"), Checked("a signature of somebody")]
        fine: Annotated[str, Checked("the signature of its owner")]

    assert unmarked([New]) == ["New.told", "New.empty", "New.twice"]


def test_the_documentation_lists_what_is_hearsay() -> None:
    """A security officer reads all of it in one place, and nothing else."""
    rows = [line.split("|") for line in LISTED.read_text().splitlines() if line.startswith("| `")]
    listed = {row[1].strip(" `"): row[2].strip() for row in rows}
    assert listed == hearsay(MESSAGES)


# --- a hostile authority ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A hospital with two tables and code, an analyst with two requests that wait for the hospital, and a finished run."""
    made = World(tmp_path_factory.mktemp("walk"))
    made.hospital.own_authority()
    made.seal("free", patients(40))
    made.seal("other", patients(20), allow_code="reviewed", requester=None)
    made.hospital.seal_code("def f(x):\n    return x\n", "helpers", allow_code="any", tee="simulated-snp")
    made.analyst._reachable = (-3600.0, [])
    for code in ("x = other.age.mean()\n", "x = other.age.max()\n"):
        with pytest.raises(ApprovalPending):
            made.start(
                code, ["other"], code_assets=["helpers"], outputs=["x"], purpose=code, parameters={"k": 1}
            ).wait()
    for code in ("x = free.age.mean()", "x = free.age.max()"):
        assert made.do(code, outputs=["x"]).outputs
    yield made
    made.close()


@pytest.fixture
def meddler(world: World, monkeypatch: pytest.MonkeyPatch) -> Meddler:
    return Meddler(monkeypatch, only=world.hospital.own_authority().did)


def fresh(session: Session) -> None:
    session._reachable = (-3600.0, [])
    session._silent = {}
    session._owned = {}


def listed(session: Session) -> Look:
    def look() -> set[str]:
        assets = session.assets()
        return {f"{render.assets_card([one], [])}\n{one.id} {one.policy.digest}" for one in assets}

    return look


def requests_of(session: Session) -> Look:
    def look() -> set[str]:
        found = [one for one in session.requests() if not one.doubts]  # doubts are the first thing on a card
        return {f"{(one.id, one.code, one.parameters, one.inputs, one.who, one.mine_to_decide)}" for one in found}

    return look


def shown(session: Session) -> Look:
    request = next(one for one in session.requests() if one.mine_to_decide)

    def look() -> set[str]:
        info = session.request(request.id)
        return set() if info.doubts else {str(render.request_card(info))}

    return look


def preflight(world: World) -> Look:
    session = world.analyst

    def look() -> set[str]:
        request = session.prepare("x = free.age.mean()", ["free"], outputs=["x"])
        decisions = session.preflight(request)
        return {str(reports.preflight_card(decisions, session.names(), with_code=True))}

    return look


def audited(world: World) -> Look:
    session, (run, *_) = world.analyst, world.analyst.runs()

    def look() -> set[str]:
        audit = session.audit(run.id)
        records = set(map(str, audit.records)) if not audit.doubts else set()
        return {f"{line.index} {line.entry} {line.meaning}" for line in audit.lines} | records

    return look


def outcome(look: Look) -> set[str]:
    """What a person is shown; nothing where it is refused with an error of ours. Any other exception is a fault."""
    try:
        return {re.sub(r"\d\d:\d\d(:\d\d)?", "…", one) for one in look()}  # the time of day goes on
    except SlsError:
        return set()


SCREENS: dict[str, Callable[[World], tuple[Session, Look]]] = {
    "assets": lambda world: (world.analyst, listed(world.analyst)),
    "requests": lambda world: (world.hospital, requests_of(world.hospital)),
    "request": lambda world: (world.hospital, shown(world.hospital)),
    "preflight": lambda world: (world.analyst, preflight(world)),
    "audit": lambda world: (world.analyst, audited(world)),
}


def _told(cls: type[BaseModel], path: tuple[str | int, ...]) -> bool:
    """Whether a field may be shown as its sender says it."""
    return f"{cls.__name__}.{path[0]}" in hearsay([cls]) or isinstance(_inner(cls, path), Hearsay)


def _inner(cls: type[BaseModel], path: tuple[str | int, ...]) -> object:
    """The mark of the innermost field of ours that a path goes through."""
    names = {"requests": answers.RequestSummary, "decisions": answers.DecisionAnswer, "files": answers.FileAnswer}
    inner = names.get(str(path[0]))
    return Hearsay("nested") if inner and len(path) > 2 and f"{inner.__name__}.{path[2]}" in hearsay([inner]) else None


@pytest.mark.parametrize("screen", SCREENS)
def test_what_one_field_of_a_hostile_answer_can_do(world: World, meddler: Meddler, screen: str) -> None:
    """One field after the other is changed and signed again: whatever is not hearsay is refused, doubted, or not used."""
    session, look = SCREENS[screen](world)
    fresh(session)
    honest = outcome(look)
    assert honest
    assert session.silent() == []
    faults, tried = [], 0
    for cls, value in list(meddler.seen.items()):
        for path in leaves(value):
            if not path:
                continue
            meddler.change(cls, path)
            fresh(session)
            believed = outcome(look) - honest
            tried += meddler.touched > 0
            if meddler.touched and believed and not _told(cls, path):
                faults.append(f"{cls.__name__}.{'.'.join(map(str, path))}: {_difference(honest, believed)}")
    meddler.stop()
    assert tried > 5
    assert faults == []


@needs_sandbox
def test_another_runs_log_entries_are_not_shown_as_this_ones(world: World, meddler: Meddler) -> None:
    """Each entry is true and proven, and about something else."""
    session, (_, old, *_) = world.analyst, world.analyst.runs()
    look = audited(world)
    honest = outcome(look)
    session.audit(old.id)
    other = meddler.all[answers.HistoryAnswer][-1]
    assert honest
    for entry in other["entries"]:
        for entries in ([*meddler.seen[answers.HistoryAnswer]["entries"], entry], [entry]):
            meddler.swap(answers.HistoryAnswer, "entries", entries)
            assert outcome(look) <= honest, entry["meaning"]


def _difference(honest: set[str], believed: set[str]) -> list[str]:
    """The lines that nobody showed before."""
    before = {line for one in honest for line in one.splitlines()}
    return [line.strip() for one in believed for line in one.splitlines() if line not in before]
