"""What the audit sidecar collects: a chapter for each cell, with a chain of records of its own, until the group is over.

Input and output speak over sockets of their own, so what one says can overtake what the other says of the cell before.
Each therefore says which cell it has come to, and a record belongs to the cell that its speaker was at. A chapter is
closed when the output has said its last word on the cell, and the input too or has had the time to.

Each also says when: see :mod:`.chapter`.
"""

from __future__ import annotations

import contextlib
import hmac
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

from sls_jupyter.contract.image import GuestImage
from sls_jupyter.contract.spec import verify_stream_spec
from sls_jupyter.errors import DigestMismatch, MalformedDocument, SlsError
from sls_jupyter.guest import wire
from sls_jupyter.guest.account import Account
from sls_jupyter.guest.audit_client import LAST_WORD_SECONDS, Speaker
from sls_jupyter.guest.chapter import Chapter, moment_of
from sls_jupyter.receipt.statement import ImageRecord
from sls_jupyter.transparency.chain import Chain, encode_records

HEARING_SECONDS = 0.5  # how much longer the sidecar listens for the last word of a container
INPUT_SECONDS = 10.0  # how long an input that may feed nothing any more may take to be gone


@dataclass(frozen=True, slots=True)
class Due:
    """A cell whose receipt can be written."""

    account: Account
    records: bytes  # the record file
    head: str  # digest of the last of them


class Sidecar:
    """Collects records until somebody who may says that the run, or the session, is over."""

    def __init__(self, measured: str) -> None:
        self._measured = measured
        self._chapters = {1: Chapter(1)}
        self._first = 1  # whose chapter is not closed
        self._at: dict[str, int] = {"input": 1, "output": 1}  # the cell that each has come to
        self._changed = threading.Condition()
        self._stopped = False
        self._token: str | None = None  # of the program that is fed
        self._unfed = False  # the output's verdict came before anything was fed, so without a token
        self._input: socket.socket | None = None
        self._input_gone = threading.Event()
        self._output_ended = threading.Event()  # it said its last word, or will never
        self._group: Account | None = None  # what is known of contract and keys
        self.image: GuestImage | None = None  # this group's own
        self.chosen: frozenset[str] = frozenset()  # URLs of authorities that the requester chose
        self.finished = threading.Event()

    @property
    def account(self) -> Account | None:
        """Of the run, or of the session's cell that is not closed."""
        return self._chapters[self._first].account

    def serve(self, role: Speaker, listening: socket.socket) -> None:
        """Take the records of one container, from the one connection that it makes before anything else."""
        self._follow(role, wire.accept_one(listening, "audit", role))

    def _follow(self, role: str, connection: socket.socket) -> None:
        """One container's records to the last; a container that goes before the end is the end."""
        if role == "input":
            self._input = connection
        with connection, connection.makefile("rb") as file:
            try:
                while (message := wire.receive(file)) is not None:
                    with self._changed:
                        self._take(role, message)
                        self._changed.notify_all()
            except (SlsError, OSError) as error:
                self.append(role, {"event": "malformed-record", "error": type(error).__name__})
        (self._output_ended if role == "output" else self._input_gone).set()
        if not self.finished.is_set():
            self.append(role, {"event": "container-gone"})
            self._finish_all()

    def _take(self, role: str, message: dict[str, Any]) -> None:
        if role == "input" and "contract" in message:
            self.chosen = frozenset(str(url) for url in message.get("chosen") or ())  # bounded by the input
            self._contract(str(message["contract"]).encode(), message.get("inputs"), message.get("image"))
        elif "cell" in message and self._group is not None:
            self._cell(role, message)
        elif role == "input" and "released" in message and self._group is not None:
            self._group.release(str(message["released"]), message.get("logged"))
        elif role == "input" and "feeding" in message:
            self._token = str(message["feeding"])
        elif role == "input" and "done" in message:
            self._chapter(message["done"]).done = True
        elif role == "output" and ("gate" in message or "finish" in message):
            self._judged(self._chapter(message.get("number", 1)), message)
        elif role == "output" and "closed" in message:
            self._output_ended.set()
            self._finish_all()
        else:
            self.append(role, message)

    def _contract(self, envelope: bytes, inputs: object, image: object) -> None:
        spec = verify_stream_spec(envelope)
        if spec.digest != self._measured:
            raise DigestMismatch("Another spec than the measured one.", found=spec.digest, expected=self._measured)
        self.append("input", {"event": "contract", "spec": spec.digest})
        self.image = ImageRecord.from_json(image).image()
        self._group = Account(spec, envelope, inputs, now=int(time.time()))
        if spec.session is None:
            self._chapters[1].account = self._group

    def _cell(self, role: str, message: dict[str, Any]) -> None:
        """A container has verified the order of this cell; both have to say the same."""
        number = message["cell"]
        if type(number) is not int or number not in (self._at[role], self._at[role] + 1):
            raise MalformedDocument("A container comes to another cell than the next.")
        assert self._group is not None  # noqa: S101  # the caller has looked
        self._at[role] = number
        chapter = self._chapters.setdefault(number, Chapter(number))
        chapter.begun.setdefault(role, moment_of(message))
        found = self._group.of_cell(message.get("order"), message.get("grants"), now=int(time.time()))
        if chapter.account is None:
            chapter.account = found
        elif chapter.account.contract != found.contract:
            chapter.account.doubt()
            self.append(role, {"event": "another-cell", "order": found.contract})
        self.append(role, {"event": "cell", "order": found.contract})
        for one in (number - 1, number):
            self._hold_to_turn(one)

    def _hold_to_turn(self, number: int) -> None:
        if (chapter := self._chapters.get(number)) is not None:
            chapter.hold_to_turn(self._chapters.get(number + 1))

    def _chapter(self, number: object) -> Chapter:
        """The chapter of a cell; of one that was closed already, a page that nobody reads."""
        if type(number) is not int or number > max(self._chapters):
            raise MalformedDocument("A container speaks of a cell that there is not.")
        return self._chapters.get(number) or Chapter(number)

    def _judged(self, chapter: Chapter, message: dict[str, Any]) -> None:
        """What an output says that no fed program spoke to is not what happened: the receipt has no verdict then.

        A platform may start a second one of each container. A run's verdict from before the feed is held to that in the end
        (:meth:`_end_feeding`); in a session, which is fed before its first cell, there is none.
        """
        token, account, finish = str(message.get("token")).encode(), chapter.account, "finish" in message
        if not self._is_of_program(token):
            self.append("output", {"event": "not-the-programs-output"})
        elif finish:
            status = str(message["finish"])[:40]
            self.append("output", {"event": "finished", "status": status})
            if account is not None:
                account.finish(status, message.get("subjects"))
        elif account is not None:
            account.gate(str(message["gate"]), message.get("limit"), message.get("verdict"))
        if finish:
            chapter.finished_at = time.monotonic()
            if self._is_session:
                chapter.ended = moment_of(message)
                self._hold_to_turn(chapter.number)
            else:
                self._output_ended.set()
                self._finish_all()

    def _is_of_program(self, token: bytes) -> bool:
        if self._token is not None:
            return hmac.compare_digest(token, self._token.encode())
        self._unfed = True
        return not self._is_session

    @property
    def _is_session(self) -> bool:
        return self._group is not None and self._group.spec.session is not None

    def _finish_all(self) -> None:
        with self._changed:
            self.finished.set()
            self._changed.notify_all()

    def stop(self) -> None:
        """The host ends the group; whatever is known until then is the run."""
        self._stopped = True
        self._finish_all()

    def wait(self) -> None:
        """Until the run is over and the output has had the time for its last word."""
        self.finished.wait()
        self._output_ended.wait(LAST_WORD_SECONDS + HEARING_SECONDS)
        if self._unfed:
            self._end_feeding()
        if self._stopped:
            self.append("audit", {"event": "stopped-by-host"})
            if self.account is not None:
                self.account.stopped()

    def _end_feeding(self) -> None:
        """Hold an output to a verdict from before anything was fed: nothing may be fed after it.

        The input ends when its line is closed, and is read to its end. If it began to feed before that, or does not end, the
        program may have another output, which lets its results go: then there is no verdict.
        """
        if self._input is not None:
            with contextlib.suppress(OSError):
                self._input.shutdown(socket.SHUT_WR)
            gone = self._input_gone.wait(INPUT_SECONDS)
            if (self._token is not None or not gone) and self.account is not None:
                self.account.retract()
                self.append("output", {"event": "not-the-programs-output"})

    def append(self, role: str, record: dict[str, Any]) -> None:
        """Keep a record, bounded in size and number.

        Raises:
            MalformedDocument: no chain can hold it.
        """
        with self._changed:
            number = max(self._at.get(role, self._first), self._first)
            self._chapters.setdefault(number, Chapter(number)).keep(role, record)

    def close(self) -> tuple[bytes, str]:
        """The chained records of what is not closed, and the digest of the last one."""
        with self._changed:
            account = self.account
            chain = Chain(self._measured if account is None else account.contract)
            return encode_records([chain.append(body) for body in self._chapters[self._first].records]), chain.head

    # --- receipts ---------------------------------------------------------------------------------

    def next(self) -> Due | None:
        """The next cell whose receipt can be written, in order; ``None`` when all have been."""
        with self._changed:
            while not self.finished.is_set() and (left := self._hearing()) > 0:
                self._changed.wait(left)
            over = self.finished.is_set() and self._hearing() > 0
        if over:
            self.wait()
        elif self._unfed and self.finished.is_set():
            self._end_feeding()
        with self._changed:
            account = self.account
            if account is None:
                return None
            if self._is_session:
                self._chapters[self._first].hold_to_turn(self._chapters.get(self._first + 1), last=True)
            due = Due(account, *self.close())
            self._first += 1
            self._chapters = {number: one for number, one in self._chapters.items() if number >= self._first}
            self._chapters.setdefault(self._first, Chapter(self._first))
            return due

    def _hearing(self) -> float:
        """For how many seconds there may still be something to hear of the present cell."""
        chapter = self._chapters[self._first]
        if chapter.finished_at is None:
            return 3600.0
        if chapter.done or self.finished.is_set():
            return 0.0
        return chapter.finished_at + HEARING_SECONDS - time.monotonic()
