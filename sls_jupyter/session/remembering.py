"""What a persona's own folder says: who it is, whom it knows, its runs. Nobody is asked, nothing is started.

It is the layer that a command line loads for ``sls whoami`` or ``sls runs``: no host, no authority, no table. Everything
above it may call others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError

from sls_jupyter.contract.proposal import Proposal, verify_proposal
from sls_jupyter.contract.spec import MAX_CELLS, AssetInput, verify_stream_spec
from sls_jupyter.documents import NO_CONTROLS, Model, Timestamp, parse_json
from sls_jupyter.errors import MalformedDocument, SignatureInvalid, SlsError, UnknownName
from sls_jupyter.session.claims import advice, fate
from sls_jupyter.session.contacts import People
from sls_jupyter.session.unchanged import Unchanged

if TYPE_CHECKING:
    from sls_jupyter.identity import Home
    from sls_jupyter.safestream.run import Run

SPEC, END = "spec.json", "end.json"  # in the folder of a run: its signed contract, how it ended
RESULT, RECEIPT = "result.sealed", "receipt.json"
MAX_REMEMBERED = 10_000  # folders of runs whose contents are kept in memory
ORDER, SESSION_NAME = "order.json", "session"  # in the folder of a session's cell: its signed order, the session's name
SESSION_FILE = "session.json"  # in the folder of a session: what of it others see
WAITS = "waits for approval"  # the state of a run that ended because a person has to decide first


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as this persona remembers it."""

    id: str
    contract: str  # digest of what this execution is bound to: a run's spec, or the order of a session's cell
    state: str
    started_at: int
    inputs: tuple[str, ...]
    purpose: str
    tee: str
    reason: str
    isolated: bool | None = None  # whether its host kept the program apart; None: it was not launched, or is not known
    stored: str = ""  # URL of the folder that has its sealed results, where one was asked for
    now: str = ""  # of a run that goes on: what it does, or whom it waits for
    session: str = ""  # name of the session whose cell it is
    cell: int | None = None  # its number there
    has_result: bool = False  # a result sealed to this persona is kept
    has_receipt: bool = False  # a receipt is kept; whether it verifies is not said


@dataclass(frozen=True, slots=True)
class _AtRest:
    """What of a run does not depend on whether somebody drives it at this moment."""

    record: RunRecord  # without its state
    end: Mapping[str, Any]
    written_ns: int  # when its contract was


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session as this persona remembers it."""

    name: str
    id: str  # first digits of its spec's digest
    state: str  # open, running, closed: WHY, or lost: WHY
    opened_at: int
    cells: int  # that its group has taken
    most: int  # that it may have
    inputs: tuple[str, ...]
    purpose: str
    idle_seconds: int = 0  # that it may be idle between two cells
    idle_since: int | None = (
        None  # seconds since 1970, when who drives it wrote down that a cell had ended; None: not idle
    )

    @property
    def is_open(self) -> bool:
        return self.state in ("open", "running")


class Remembering(People):
    """A persona, the people it knows and the runs that its folder holds."""

    def whoami(self) -> dict[str, str]:
        """Name, DID and folder of this persona."""
        return {"name": self.name, "did": self.did, "home": str(self.home.path)}

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self._folders = Unchanged[_AtRest](MAX_REMEMBERED)  # of runs, by name

    def runs(self) -> list[RunRecord]:
        """Runs of this persona, newest first."""
        return self._records(self.home.folder("runs").iterdir())

    def _records(self, folders: Iterable[Path]) -> list[RunRecord]:
        """The runs of these folders, newest first; one that is no run is left out."""
        found = []
        for folder in folders:
            with contextlib.suppress(SlsError, OSError):
                found.append((self._record(folder), self._at_rest(folder).written_ns))
        return [one for one, _ in sorted(found, key=lambda one: (one[0].started_at, one[1]), reverse=True)]

    def cells_of_session(self, name: str) -> tuple[str, ...]:
        """Runs of the cells that ran in the newest session of a name, in their order; nothing if there is none."""
        session = next((one for one in self.sessions() if one.name == name), None)
        if session is None:
            return ()
        newest: dict[int, str] = {}  # a cell that was not allowed was asked for again under its number
        for record in reversed(self.runs()):
            folder = self.home.folder("runs") / record.id
            if record.session == name and self._asked(record.id).spec.digest[7:19] == session.id and record.cell:
                newest[record.cell] = record.id if (folder / "image").exists() else newest.get(record.cell, record.id)
        return tuple(newest[number] for number in sorted(newest) if number <= session.cells)

    def sessions(self) -> list[SessionRecord]:
        """Sessions of this persona, the newest first."""
        found = []
        for folder in self.home.folder("sessions").iterdir():
            with contextlib.suppress(SlsError, OSError, ValidationError):
                found.append(self._session_record(folder))
        return sorted(found, key=lambda one: one.opened_at, reverse=True)

    def inputs_of_session(self, name: str) -> tuple[AssetInput, ...]:
        """The inputs of the newest session of a name, as its signed contract has them; nothing if there is none."""
        session = next((one for one in self.sessions() if one.name == name), None)
        if session is None:
            return ()
        contract = self.home.folder("sessions") / session.id / "spec.json"
        return verify_stream_spec(contract.read_bytes(), did=self.did).inputs

    def _session_record(self, folder: Path) -> SessionRecord:
        spec = verify_stream_spec((folder / "spec.json").read_bytes(), did=self.did)
        _require_named_after(folder, spec.digest)
        known = _KeptSession.read((folder / SESSION_FILE).read_bytes())
        state = known.state
        if state in ("open", "running"):
            told = fate(folder, {})
            state = state if told == "running" else told
        if spec.session is None:
            raise MalformedDocument("A run's contract lies among the sessions.", found=folder.name)
        idle = state == "open" and known.cells > 0  # the group of a session without a cell has not begun
        return SessionRecord(
            name=known.name,
            id=folder.name,
            state=state,
            opened_at=known.opened_at,
            cells=known.cells,
            most=spec.session.cells,
            inputs=tuple(item.alias for item in spec.inputs),
            purpose=spec.purpose,
            idle_seconds=spec.session.idle_seconds,
            idle_since=int((folder / SESSION_FILE).stat().st_mtime) if idle else None,
        )

    def run_called(self, id_: str) -> RunRecord:
        """The run whose id begins like that.

        Raises:
            UnknownName: none, or several.
        """
        return self._find_run(id_)

    def _live(self, run: str) -> Run | None:
        """The run itself, where this session drives it; a folder alone drives none."""
        del run
        return None

    def _find_run(self, id_: str) -> RunRecord:
        wanted = id_.removeprefix("sha256:")[:12]
        folders = self.home.folder("runs").iterdir() if wanted else ()
        fitting = self._records(one for one in folders if one.name.startswith(wanted))
        if len(fitting) != 1:
            raise UnknownName(
                "There is no such run." if not fitting else "Several runs begin like that.",
                found=id_[:80],
                hint=("" if fitting else self._elsewhere(id_)) or "%sls runs lists them.",
            )
        return fitting[0]

    def _elsewhere(self, id_: str) -> str:
        """Which other persona of this user has such a run, if one has."""
        wanted = id_.removeprefix("sha256:")[:12]
        for persona in self.home.personas():
            folders = (self.home.root / "personas" / persona / "runs").glob("*/spec.json")
            if wanted and persona != self.name and any(path.parent.name.startswith(wanted) for path in folders):
                return f"Persona {persona} has it: sls --persona {persona} audit {wanted}, or %sls as {persona}."
        return ""

    def _record(self, folder: Path) -> RunRecord:
        at_rest, live = self._at_rest(folder), self._live(folder.name)
        known = at_rest.end
        state = fate(folder, known)
        return replace(
            at_rest.record,
            state=state,
            reason=known.get("reason") or advice(state),
            isolated=known.get("isolated") if live is None else live.summary.get("isolated"),
            now=live.status() if live is not None and state == "running" else "",
        )

    def _at_rest(self, folder: Path) -> _AtRest:
        """What a run's folder says, read and verified anew when one of its files has changed."""
        return self._folders.get(folder, (SPEC, ORDER, END), lambda: self._read_run(folder))

    def _read_run(self, folder: Path) -> _AtRest:
        written = (folder / SPEC).stat().st_mtime_ns
        asked, known = self._asked(folder.name), kept_end(folder)
        spec, order = asked.spec, asked.order
        _require_named_after(folder, asked.contract)
        record = RunRecord(
            id=folder.name,
            contract=asked.contract,
            state="",
            started_at=spec.issued_at if order is None else order.issued_at,
            inputs=tuple(item.alias for item in spec.inputs),
            purpose=spec.purpose,
            tee=known.get("tee", ""),
            reason="",
            stored=known.get("stored", ""),
            session=_text(folder / SESSION_NAME) if order is not None else "",
            cell=asked.number,
            has_result=(folder / RESULT).exists(),
            has_receipt=(folder / RECEIPT).exists(),
        )
        return _AtRest(record, known, written)

    def _asked(self, run: str) -> Proposal:
        """What was asked for with a run, from this persona's folder; its own signatures are checked."""
        folder = self.home.folder("runs") / run
        order = folder / ORDER
        asked = verify_proposal((folder / "spec.json").read_bytes(), order.read_bytes() if order.exists() else None)
        if asked.spec.requester != self.did:
            raise SignatureInvalid("That contract is somebody else's.", found=asked.spec.requester, expected=self.did)
        return asked

    def _image_of(self, run: str) -> str:
        """Digest of the guest image that a run was launched with; "" if it is not known."""
        path = self.home.folder("runs") / run / "image"
        return path.read_text() if path.exists() else ""

    def _run_folder(self, contract: str) -> Path:
        folder = self.home.folder("runs") / contract.removeprefix("sha256:")[:12]
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder


class _KeptSession(Model):
    """``session.json``."""

    name: Annotated[str, Field(max_length=40, pattern=NO_CONTROLS)]
    state: Annotated[str, Field(max_length=100, pattern=NO_CONTROLS)]
    opened_at: Timestamp
    cells: Annotated[int, Field(ge=0, le=MAX_CELLS)]


class _KeptEnd(Model):
    """``end.json``: how a run ended. The words in it are shown by cards, which make each of them one line."""

    state: Annotated[str, Field(max_length=200, pattern=NO_CONTROLS)] = ""  # not known yet
    tee: Annotated[str, Field(max_length=200)] = ""
    reason: Annotated[str, Field(max_length=100_000)] = ""
    isolated: bool | None = None
    stored: Annotated[str, Field(max_length=4_000)] = ""


def kept_end(folder: Path) -> dict[str, Any]:
    """What was written down of a run's end; nothing while there is none. What cannot be read is an end that says so.

    Raises:
        OSError: it is there, and the system does not let us have it.
    """
    end = folder / "end.json"
    if not end.exists():
        return {}
    try:
        found = dict(parse_json(end.read_bytes()))  # earlier versions wrote more
        return _KeptEnd.from_json({name: found[name] for name in _KeptEnd.model_fields if name in found}).model_dump()
    except (SlsError, ValidationError, TypeError, ValueError):
        return {"state": "unknown: what was kept of its end cannot be read"}


def _require_named_after(folder: Path, contract: str) -> None:
    """Raises :class:`MalformedDocument`: a folder that was copied is no other run."""
    if folder.name != contract.removeprefix("sha256:")[:12]:
        raise MalformedDocument("A folder has another name than what lies in it.", found=folder.name, expected=contract)


def _text(path: Path) -> str:
    """A name that this package wrote down; "" where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
