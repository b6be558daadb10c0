"""What can be named in a notebook's cells: a catalogue that a background thread refreshes.

A completion waits at most 50 ms for the first one and takes what there is: no answer is better than a late one.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sls_jupyter.errors import SlsError
from sls_jupyter.printing import is_mark, visible
from sls_jupyter.session import AssetInfo, Session
from sls_jupyter.session.column_types import ColumnType, column_types

BUDGET_SECONDS = 0.05
MAX_WORD = 120  # characters of a name that is offered
FRESH_SECONDS = 5.0  # a catalogue older than this is refreshed while it is used

Columns = Mapping[str, ColumnType]


@dataclass(frozen=True, slots=True)
class Names:
    """What can be named."""

    columns: Mapping[str, Columns] = field(default_factory=dict)  # table -> grantable columns
    code: tuple[str, ...] = ()
    purposes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # asset -> those of its policy; (): any
    spelled: Mapping[str, str] = field(default_factory=dict)  # owner/name and digest -> the asset as it is called above
    requests: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    personas: tuple[str, ...] = ()
    people: tuple[str, ...] = ()  # whoever has a name here
    hosts: tuple[str, ...] = ()
    sessions: Mapping[str, Mapping[str, Columns]] = field(default_factory=dict)  # that are open -> alias -> its columns

    def asset(self, word: str) -> str:
        """What the maps above call the asset that a line names like that; the word itself if none does."""
        return self.spelled.get(word, word)


def read_names(session: Session) -> Names:
    """The names that a session knows now."""
    assets = session.assets()
    times = [info.name for info in assets]
    called = {info.id: info.name if times.count(info.name) == 1 else info.called for info in assets}
    types = {info.id: _types(info) for info in assets if info.manifest.kind == "table"}
    return Names(
        columns={called[info.id]: _grantable(info, types[info.id]) for info in assets if info.id in types},
        code=tuple(called[info.id] for info in assets if info.manifest.kind == "code"),
        purposes={called[info.id]: info.policy.purposes for info in assets},
        spelled={word: called[info.id] for info in assets for word in (info.called, info.id)},
        requests=tuple(one.id.removeprefix("sha256:")[:12] for one in session.requests()),
        runs=tuple(one.id for one in session.runs()),
        personas=tuple(session.home.personas()),
        people=tuple(str(who) for who, _ in session.contacts()),
        hosts=tuple(session.hosts),
        sessions=_open_sessions(session, types),
    )


def _types(info: AssetInfo) -> Columns:
    """The columns of a table; none where its schema cannot be read: the other assets keep theirs."""
    with contextlib.suppress(SlsError):
        return column_types(info.manifest)
    return {}


def _grantable(info: AssetInfo, columns: Columns) -> Columns:
    allowed = info.policy.columns
    return {name: kind for name, kind in columns.items() if allowed is None or name in allowed}


def _open_sessions(session: Session, types: Mapping[str, Columns]) -> dict[str, dict[str, Columns]]:
    """The columns that a cell finds in each open session, by its alias; of inputs that are still listed."""
    found: dict[str, dict[str, Columns]] = {}
    for one in session.sessions():
        if one.is_open:
            inputs = {item.alias: item for item in session.inputs_of_session(one.name) if item.asset in types}
            found[one.name] = {
                alias: {
                    name: kind
                    for name, kind in types[item.asset].items()
                    if item.columns is None or name in item.columns
                }
                for alias, item in inputs.items()
            }
    return found


class Catalogue:
    """Names of one session, refreshed in the background.

    Args:
        find: gives the session. It is called in the background too: the first call may have to make it.
    """

    def __init__(self, find: Callable[[], Session]) -> None:
        self._find = find
        self._names = Names()
        self._read_at = -FRESH_SECONDS
        self._reading = threading.Lock()
        self._first = threading.Event()

    def names(self) -> Names:
        """What is known; starts a refresh when that is old."""
        if time.monotonic() - self._read_at > FRESH_SECONDS and self._reading.acquire(blocking=False):
            threading.Thread(target=self._refresh, name="sls-catalogue", daemon=True).start()
        self._first.wait(BUDGET_SECONDS)
        return self._names

    def _refresh(self) -> None:
        try:
            with contextlib.suppress(SlsError, OSError, RuntimeError):  # RuntimeError: the session was closed meanwhile
                self._names = read_names(self._find())
            self._read_at = time.monotonic()
            self._first.set()
        finally:
            self._reading.release()


def is_word(text: str) -> bool:
    """Whether a name stays one word on a magic's line: nothing in it separates, quotes, substitutes or hides.

    Letters and digits of any script, and ``_ . / @ + -`` within; what the line gives a meaning of its own (``= : ,``),
    a sign of IPython's or the shell's, and every character that is not seen are not among them.
    """
    if not is_seen(text) or text[0] in "-+.":
        return False
    return all(one.isalnum() or one in "_./@+-" or is_mark(one) for one in text)


def is_seen(text: str) -> bool:
    """Whether a text is short, stands in one line, and each of its characters can be seen."""
    return 0 < len(text) <= MAX_WORD and visible(text) == text and not {"\n", "\t"} & set(text)
