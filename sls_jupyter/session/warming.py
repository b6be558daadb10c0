"""Warm sessions of this persona, by name: opened once, then cell after cell in the same group and kernel.

Who drives a session holds its group: the persona's background where there is one, so that a session outlives the
notebook that opened it, else this process. Each cell is a run of its own, with its own folder, events, result and
receipt. Orders are signed by the persona's key where the session is driven.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from sls_jupyter.contract.cells import CellOrder
from sls_jupyter.contract.platform import FragmentName
from sls_jupyter.contract.proposal import CellText
from sls_jupyter.contract.spec import KINDS, Limits, SessionTerms, StreamSpec, verify_stream_spec
from sls_jupyter.documents import b64decode, b64encode, parse_json
from sls_jupyter.errors import BadInput, CellRunning, SessionOver, SlsError, UnknownName
from sls_jupyter.guest.parameters import pack_parameters
from sls_jupyter.identity import Home, write_whole
from sls_jupyter.network import within
from sls_jupyter.policy.decide import Decision
from sls_jupyter.safestream.host import Host
from sls_jupyter.safestream.ordering import OrderedCell, SessionRequest, ask_next, order_cell
from sls_jupyter.safestream.placement import require_host
from sls_jupyter.safestream.request import Waiting
from sls_jupyter.safestream.run import Run
from sls_jupyter.safestream.warm import WarmSession
from sls_jupyter.session.catalogue import AssetInfo
from sls_jupyter.session.cell import one_spelling, require_named, require_python
from sls_jupyter.session.claims import Claim
from sls_jupyter.session.differing import Material, earlier_like
from sls_jupyter.session.names import can_make_any_name, names_of, parsed, require_known
from sls_jupyter.session.posted import MAX_POSTED_BYTES, PostedCell, PostedSession, is_alive
from sls_jupyter.session.preparing import NOTHING_KNOWN
from sls_jupyter.session.proving import Proving
from sls_jupyter.session.remembering import ORDER, SESSION_FILE, SESSION_NAME, SessionRecord
from sls_jupyter.session.running import COMPARE_SECONDS

STARTING_NAMES = ("pd", "np")  # what a cell finds beside its inputs and parameters
CLOSE_SECONDS = 10.0  # of ending a session in order, when its process ends


@dataclass(slots=True)
class _Driven:
    """A session that this process drives."""

    name: str
    request: SessionRequest
    warm: WarmSession
    opener: str
    opened_at: int
    folder: Path
    claim: Claim
    known: set[str] | None  # names that a cell finds; None: nobody can tell
    asked: OrderedCell | None = None  # a cell that was asked for and has not run
    run: Run | None = None  # of the newest cell
    call: str = ""  # that started it
    image: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)


class Warming(Proving):
    """Sessions."""

    def __init__(self, home: Home, hosts: Mapping[str, Host] | None = None) -> None:
        super().__init__(home, hosts)
        self._driven: dict[str, _Driven] = {}
        self._opening = threading.Lock()

    # --- from any process -------------------------------------------------------------------------

    def prepare_session(
        self,
        inputs: Iterable[str],
        *,
        code_assets: Iterable[str] = (),
        purpose: str = "",
        recipients: Iterable[str] = (),
        tees: Iterable[str] = (),
        fragments: Iterable[FragmentName] = (),
        kinds: Iterable[str] = KINDS,
        limits: Limits | None = None,
        terms: SessionTerms | None = None,
        known: Mapping[str, AssetInfo] = NOTHING_KNOWN,
    ) -> SessionRequest:
        """Make and sign the contract of a session; nothing is sent yet.

        Args:
            terms: how long it may live, and what may leave it. The rest is as :meth:`prepare` has it.

        Raises:
            as :meth:`prepare`.
        """
        chosen = self.chosen_inputs(inputs, code_assets, known=known)
        spec, manifests = self._contract(
            chosen, purpose, recipients, tees, fragments, kinds, limits,
            {"code": None, "parameters": None, "outputs": (), "session": terms or SessionTerms()},
        )  # fmt: skip
        return SessionRequest(spec, self._signed(spec), manifests, self._contact())

    def open_session(self, name: str, request: SessionRequest, *, host: str | None = None) -> SessionRecord:
        """Open a session under a name. Its group starts with its first cell, and nobody is asked before.

        A session of that name that this process opened, or a process that is gone, is closed first.

        Raises:
            BadInput: not a name, or another notebook has a session of that name. HostUnsuitable: no such host.
        """
        require_host(self.hosts, host)
        try:
            posted = PostedSession.of(name, request, host=host)
        except ValueError:
            raise BadInput(
                "A session cannot have this name.",
                found=name[:80],
                expected="letters, digits, _ and -, a letter first, 40 at most",
            ) from None
        if self.background is None or not self.background.open_session(posted):
            self.open_here(posted)
        return self._session_called(name)

    def run_cell(
        self,
        name: str,
        code: str,
        *,
        outputs: Iterable[str] = (),
        parameters: Mapping[str, Any] | None = None,
        wait_for_approval: bool = False,
    ) -> Run:
        """Run the next cell of an open session; returns its handle at once. Cancelling it interrupts the cell alone.

        Raises:
            UnknownName: no session of that name is open. CellRunning: one of its cells runs. SessionOver: it has ended.
            BadInput: the cell is no Python, or cannot make an output; nobody is asked.
        """
        code = one_spelling(code)
        if not code:
            raise BadInput("There is no code to run.", hint="Write it below the first line.")
        require_python(code)
        posted = PostedCell(
            session=self._open_name(name),
            code=code,
            parameters=b64encode(pack_parameters(parameters or {})),
            outputs=tuple(sorted(set(outputs))),
            wait_for_approval=wait_for_approval,
        )
        order = None if self.background is None else self.background.run_cell(posted)
        if order is None:
            return self.drive_cell(posted, names=tuple(parameters or ()))
        return self._follow_run(order.removeprefix("sha256:")[:12], order)

    def sessions(self) -> list[SessionRecord]:
        """Sessions of this persona, the newest first."""
        self.settle_sessions()
        return super().sessions()

    def close_session(self, name: str) -> SessionRecord:
        """End a session after the cell that runs; the results of its cells stay.

        Raises:
            UnknownName: no session of that name is open.
        """
        open_name = self._open_name(name)
        if not self.close_here(open_name) and (self.background is None or not self.background.close_session(name)):
            raise BadInput(
                "Another kernel has that session.", found=name[:80], hint="Close it there, or end that kernel."
            )
        return self._session_called(name)

    def _open_name(self, name: str) -> str:
        """The name, if a session is open under it.

        Raises:
            UnknownName: none is; with what became of the one that had it.
        """
        known = self.sessions()
        if any(one.name == name and one.is_open for one in known):
            return name
        before = next((one for one in known if one.name == name), None)
        open_ones = [one.name for one in known if one.is_open]
        if before is not None:
            raise SessionOver(
                f"The session {name} has ended, and its variables are gone.",
                found=before.state,
                hint="Run its cells from the first one: with -i it is opened anew, and approved cells are not asked for"
                " again.",
            )
        raise UnknownName(
            "No session of that name is open.",
            found=name[:80],
            expected=", ".join(open_ones) or None,
            hint="A session's first cell names its inputs: %%safestream --session NAME -i ASSET",
        )

    def _session_called(self, name: str) -> SessionRecord:
        return next(one for one in self.sessions() if one.name == name)

    # --- before a cell is asked for ---------------------------------------------------------------

    def preflight_cell(
        self, request: SessionRequest, before: CellOrder | None, text: CellText, outputs: Iterable[str] = ()
    ) -> dict[str, Decision]:
        """What every owner would decide about the next cell of a session, by alias; nothing is asked, run or logged.

        Args:
            request: of the session, open or not yet. before: the order of the cell before; ``None``: it is the first.

        Raises:
            what an authority raises. UnknownName: one that never heard of the session, of which this is not the first cell.
        """
        cell = order_cell(self.identity, request.spec, before, text, tuple(outputs), now=int(time.time()))
        return dict(ask_next(request, cell, self._run_clients(request)).decisions)

    def open_request(self, name: str) -> tuple[SessionRequest, CellOrder | None]:
        """The contract of an open session of this persona, without manifests, and the order of the last cell that ran.

        Raises:
            UnknownName, SessionOver: none of that name is open.
        """
        record = self._session_called(self._open_name(name))
        envelope = (self.home.folder("sessions") / record.id / "spec.json").read_bytes()
        cells = self.cells_of_session(name)
        before = self._asked(cells[-1]).order if cells else None
        spec = verify_stream_spec(envelope, did=self.did)
        return SessionRequest(spec, envelope, {}, self._contact()), before

    # --- where it is driven -----------------------------------------------------------------------

    def open_here(self, posted: PostedSession) -> None:
        """Open a session that this process drives.

        Raises:
            as :meth:`open_session`.
        """
        request = posted.request(self.did)
        require_host(self.hosts, posted.host)
        with self._opening:
            self._make_way(posted)
            spec = request.spec
            manager = self._manager(spec, self._run_clients(request), self.names_in(spec))
            folder = self.home.folder("sessions") / spec.digest.removeprefix("sha256:")[:12]
            folder.mkdir(mode=0o700, exist_ok=True)
            claim = Claim.take(folder, self.driver)
            (folder / "spec.json").write_bytes(request.envelope)
            warm = WarmSession(manager, request, host=posted.host, waiting=partial(self._waiting_cell, spec))
            sealed_code = any(item.kind == "code" for item in spec.inputs)
            known = None if sealed_code else {*(item.alias for item in spec.inputs), *STARTING_NAMES}
            one = _Driven(posted.name, request, warm, posted.opener, int(time.time()), folder, claim, known)
            warm.manager = replace(manager, ended=partial(self._cell_ended, one))
            self._write(one)
            self._driven[posted.name] = one

    def _make_way(self, posted: PostedSession) -> None:
        """Close the session that has the name, if whoever opens it anew opened it, or nobody holds it any more."""
        before = self._driven.get(posted.name)
        if before is None or before.warm.state == "closed":
            return
        if before.opener != posted.opener and is_alive(before.opener):
            raise BadInput(
                f"Another notebook has a session called {posted.name}.",
                found=f"{len(before.warm.cells)} cells, opened by process {before.opener.partition(':')[0]}",
                hint=f"Choose another name, close it (%sls session close {posted.name}), or leave -i out to go on with it.",
            )
        if before.warm.state == "running":
            raise CellRunning(
                "A cell of the session of that name is running.", hint="Wait for its end, or interrupt it."
            )
        self._close(before)

    def drive_cell(self, posted: PostedCell, *, names: Sequence[str] = ()) -> Run:
        """Run the next cell of a session that this process drives.

        Args:
            names: of its parameters, where they are known without decoding.

        Raises:
            as :meth:`run_cell`.
        """
        one = self._driven.get(posted.session)
        if one is None:
            raise UnknownName(
                "That session is not driven here.", found=posted.session, hint="%sls sessions lists them."
            )
        with one.lock:
            if (
                one.run is not None and one.call == posted.call
            ):  # asked again, because the answer was lost: it runs once
                return one.run
            if one.warm.state == "running":
                raise CellRunning("A cell is running.", hint="Wait for its end, or interrupt it.")
            given = set(names) or _parameter_names(b64decode(posted.parameters))
            self._read_cell_of(one, posted, given)
            cell = self._ordered(one, posted)
            run = self._start_cell(one, cell, wait=posted.wait_for_approval)
            one.asked, one.run, one.call = cell, run, posted.call
            if one.known is not None:
                tree = parsed(posted.code)
                made = None if tree is None or can_make_any_name(tree) else names_of(tree).bound
                one.known = None if made is None else {*one.known, *given, *made}
            return run

    def _read_cell_of(self, one: _Driven, posted: PostedCell, parameters: set[str]) -> None:
        """What is certain to fail in a cell is told before anybody is asked."""
        require_cell(posted.code, None if one.known is None else {*one.known, *parameters}, posted.outputs)

    def _ordered(self, one: _Driven, posted: PostedCell) -> OrderedCell:
        """The order of a cell; the one that was made before, if the same cell was asked for and has not run."""
        before = one.warm.cells[-1].order if one.warm.cells else None
        text = CellText(posted.code, b64decode(posted.parameters))
        asked, now = one.asked, int(time.time())
        same = asked is not None and asked.text == text and asked.order.cell.outputs == posted.outputs
        if (
            asked is not None
            and same
            and asked.order.number == len(one.warm.cells) + 1
            and asked.order.expires_at > now
        ):
            return asked
        return order_cell(self.identity, one.request.spec, before, text, posted.outputs, now=now)

    def _start_cell(self, one: _Driven, cell: OrderedCell, *, wait: bool) -> Run:
        digest = cell.order.digest
        folder = self._run_folder(digest)
        claim = Claim.take(folder, self.driver)
        try:
            (folder / "spec.json").write_bytes(one.request.envelope)
            (folder / ORDER).write_bytes(cell.envelope)
            (folder / SESSION_NAME).write_text(one.name, encoding="utf-8")
            (folder / "end.json").unlink(missing_ok=True)
            journal = self._journal(folder, digest, one.request.spec, anew=True)
            self._claims[digest] = claim
            run = one.warm.run_cell(cell, wait_for_approval=wait, journal=journal)
        except BaseException:
            self._claims.pop(digest, None)
            claim.release()
            raise
        run.summary["session_name"] = one.name
        self._runs[run.id] = run
        self._write(one)
        return run

    def _cell_ended(self, one: _Driven, run: Run) -> None:
        """A cell's run is over: what is remembered of it, and of its session."""
        folder = self._run_folder(run.spec_digest)
        image = folder / "image"
        if image.exists():  # the cell that launched the group
            one.image = image.read_text()
        elif one.image:
            image.write_text(one.image)
        self._remember(run)
        self._write(one)

    def _write(self, one: _Driven) -> None:
        """What other processes see of a session."""
        warm = one.warm
        state = {"new": "open"}.get(warm.state, warm.state)
        state = f"closed: {warm.closed_reason or 'asked'}" if state == "closed" or warm.closed_reason else state
        known = {"name": one.name, "state": state, "opened_at": one.opened_at, "cells": len(warm.cells)}
        write_whole(one.folder / SESSION_FILE, json.dumps(known).encode())

    def close_here(self, name: str, timeout: float = 40.0) -> bool:
        """End a session that this process drives; false if it drives none of that name."""
        one = self._driven.get(name)
        if one is None:
            return False
        self._close(one, timeout)
        return True

    def _close(self, one: _Driven, timeout: float = 40.0) -> None:
        if one.run is not None and one.run.state == "running" and not one.warm.cells:
            one.run.cancel(timeout)  # it waits for a person, or its group is on its way
        one.warm.close(timeout)
        self.settle_sessions()

    def driven_sessions(self) -> list[tuple[str, WarmSession]]:
        """Sessions that this process drives and that are not over."""
        self.settle_sessions()
        return [(name, one.warm) for name, one in list(self._driven.items()) if one.warm.state != "closed"]

    def settle_sessions(self) -> None:
        """Write down the ends of sessions that are over, and let go of them."""
        for name, one in list(self._driven.items()):
            if one.warm.state == "closed" and self._driven.get(name) is one:
                self._driven.pop(name, None)
                self._write(one)
                one.claim.release()

    def _waiting_cell(self, spec: StreamSpec, cells: Sequence[OrderedCell], authority: str) -> Waiting:
        """Since when a cell waits, and what the notebook has that an earlier one had not, as far as that can be had."""
        last = cells[-1]
        asked = Material(spec, last.text.code, last.text.parameters, last.order, tuple(one.text for one in cells[:-1]))
        try:
            client = self._client(dict(spec.authorities())[authority], authority)
            with within(COMPARE_SECONDS):
                since = client.request(asked.proposal.terms).created_at
                earlier = earlier_like(client, asked)
        except (SlsError, ValueError):  # another party's texts
            return Waiting()
        return Waiting(since) if earlier is None else Waiting(since, earlier.id, earlier.state, earlier.differences)

    def close(self) -> None:
        """End the sessions that this process drives, then as before. Others' go on."""
        for one in list(self._driven.values()):
            with contextlib.suppress(SlsError):
                self._close(one, CLOSE_SECONDS)
        super().close()


def require_cell(code: str, known: Collection[str] | None, outputs: Iterable[str]) -> None:
    """Refuse a cell of a session that is certain to fail.

    Args:
        code: in its one spelling. known: names that it finds; ``None``: nobody can tell, and none is judged.

    Raises:
        BadInput, UnknownName: as :func:`require_python`, :func:`require_known` and :func:`require_named`.
    """
    require_python(code)
    if known is not None:
        to_make = [name for name in outputs if name not in known]
        require_known(code, known, to_make)
        require_named(code, to_make)


def _parameter_names(packed: bytes) -> set[str]:
    """Names in a bundle of parameters; nothing of it is decoded."""
    bundle = parse_json(packed, max_bytes=MAX_POSTED_BYTES)
    parts = bundle if isinstance(bundle, dict) else {}
    return {str(name) for part in ("values", "frames") for name in parts.get(part, {})}
