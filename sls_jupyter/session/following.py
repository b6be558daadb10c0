"""Runs that another process drives or drove: following them from their first event, ending them, keeping their outputs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sls_jupyter.errors import RunFailed, RunLost, Unavailable, UnknownName
from sls_jupyter.guest.bundle import open_result
from sls_jupyter.identity import Home
from sls_jupyter.safestream.host import Host
from sls_jupyter.safestream.mirror import Mirror
from sls_jupyter.safestream.request import StreamRequest
from sls_jupyter.safestream.run import Run
from sls_jupyter.session import kept_events
from sls_jupyter.session.claims import driver_of, is_driven, is_waiting
from sls_jupyter.session.kept_events import KeptReader
from sls_jupyter.session.outputs_to import write_outputs
from sls_jupyter.session.pictures import Pictures
from sls_jupyter.session.posted import PostedRun
from sls_jupyter.session.remembering import RunRecord, kept_end
from sls_jupyter.session.running import Running

TAIL_SECONDS = 0.2  # between two looks at the kept events of a run that another process drives
CANCEL_SECONDS = 20.0


class Following(Running):
    """Any run of this persona, from any process."""

    def __init__(self, home: Home, hosts: Mapping[str, Host] | None = None) -> None:
        super().__init__(home, hosts)
        self._pictures = Pictures()

    def attach(self, id_: str) -> Run:
        """A handle of any run of this persona: it shows everything from the start, and follows to the end.

        Live runs are followed where they are driven, others from their kept events.

        Raises:
            UnknownName: there is no such run, or nothing is kept of it.
        """
        record = self._find_run(id_)
        known = self._runs.get(record.id)
        if known is not None and (known.state == "running" or record.state != "running"):
            return known
        kept = (self._run_folder(record.contract) / kept_events.NAME).exists()
        if not kept and record.state != "running":
            raise _nothing_kept(record)
        return self._follow_run(record.id, record.contract)

    def glance(self, id_: str) -> Run:
        """A run as it stands now, for who only looks: steps and facts, no outputs. Nothing is started, followed or asked.

        It is not to be waited for or cancelled.

        Raises:
            UnknownName: there is no such run, or nothing is kept of it. VerificationError, MalformedDocument: what was
                kept of it was changed.
        """
        record = self._find_run(id_)
        known = self._runs.get(record.id)
        if known is not None and not isinstance(known, Mirror):
            return known
        if not (self._run_folder(record.contract) / kept_events.NAME).exists():
            raise _nothing_kept(record)
        picture = self._pictures.of(record.contract, self._reader)
        if picture.state == "running" and record.state.partition(":")[0] in ("lost", "unknown"):
            picture.lose(_without_end(record.id, self._run_folder(record.contract)))
        return picture

    def cancel(self, id_: str) -> Run:
        """End a run of this persona, whichever process drives it; returns when it has ended, or its time is over.

        Raises:
            UnknownName: no such run, it is over, or another kernel drives it that cannot be told.
        """
        record = self._find_run(id_)
        folder, known = self._run_folder(record.contract), self._runs.get(record.id)
        if known is not None and known.state == "running":
            return known.cancel(CANCEL_SECONDS)
        state = record.state.partition(":")[0]
        if state == "waiting":
            if self.background is None or not self.background.wake():
                raise UnknownName(
                    "Nobody drives that run, and there is no agent that could end it.", found=record.state
                )
        elif state != "running":
            raise UnknownName(
                "That run is over.", found=record.state, hint=f"%sls audit {record.id} shows how it went."
            )
        elif driver_of(folder) != "agent" or self.background is None:
            raise UnknownName(
                "That run belongs to another kernel.", found=record.state, hint="Interrupt or restart that kernel."
            )
        return self.attach(record.id).cancel(CANCEL_SECONDS)

    def save_result(self, id_: str, folder: str | Path) -> list[Path]:
        """Write what a finished run gave into a new folder: tables as Parquet, figures and text as files.

        Args:
            folder: that does not exist yet, or is empty.

        Returns:
            The files, in the order in which the cell gave them.

        Raises:
            UnknownName: no such run, it gave nothing to this persona. BadInput: something is in the folder.
            Unavailable: it cannot be written there.
        """
        record, sealed = self._sealed_result(id_)
        return write_outputs(Path(folder), open_result(sealed, record.contract, self.did, self.identity.hpke))

    # --- runs that the background drives ----------------------------------------------------------

    def _start(self, posted: PostedRun, request: StreamRequest) -> Run:
        id_ = None if self.background is None else self.background.launch(posted)
        return super()._start(posted, request) if id_ is None else self._follow_run(id_, request.spec.digest)

    def _follow_run(self, id_: str, spec_digest: str) -> Run:
        """The handle of a run that another process drives or drove."""
        known = self._runs.get(id_)
        if known is not None and known.state == "running":
            return known
        run = Mirror(
            spec_digest,
            self._events_of(id_, spec_digest),
            cancel=lambda: self._cancel_elsewhere(id_),
            finish=self._fetch_outputs,
        )
        self._runs[id_] = run
        run.start()
        return run

    # --- where the events of a run come from ------------------------------------------------------

    def _reader(self, spec_digest: str) -> KeptReader:
        return KeptReader(self._run_folder(spec_digest) / kept_events.NAME, spec_digest, self.identity)

    def _events_of(self, id_: str, spec_digest: str) -> Iterator[dict[str, Any]]:
        """A run's journal from its first event on: from who drives it as it grows, or as it was kept.

        Raises:
            RunLost: it has no end, and nobody drives it. RunFailed: nobody could take it up. Unavailable: this session was closed meanwhile.
        """
        position, number = 0, 0  # of the next event that is told, and of the next one that is read from the file
        folder, reader = self._run_folder(spec_digest), self._reader(spec_digest)
        while True:
            if self.background is not None:
                for event in self.background.events(id_, position):
                    position += 1
                    yield event
                    if event["type"] == "ended":
                        return
            if self._closing.is_set():
                raise Unavailable("This session is closed.", hint=f"%sls attach {id_} in a new one shows the run.")
            driven = is_driven(folder)  # before the last look
            for event in reader.read():
                number += 1
                if number > position:
                    position += 1
                    yield event
                    if event["type"] == "ended":
                        return
            if not driven and not (is_waiting(folder) and self.background and self.background.wake()):
                raise _without_end(id_, folder)
            time.sleep(TAIL_SECONDS)  # who drives it, or will, tells more

    def _cancel_elsewhere(self, id_: str) -> None:
        if self.background is not None:
            self.background.cancel(id_)

    def _fetch_outputs(self, run: Run) -> None:
        """What is not in a journal: the outputs of a run that has ended."""
        sealed = self._run_folder(run.spec_digest) / "result.sealed"
        if sealed.exists() and "receipt_refused" not in run.summary:
            run.outputs.update(self.result(run.spec_digest))


def _nothing_kept(record: RunRecord) -> UnknownName:
    return UnknownName(
        "Nothing is kept of what this run showed.",
        found=record.state,
        hint=f"%sls result {record.id} has its results, %sls audit {record.id} its records.",
    )


def _without_end(id_: str, folder: Path) -> RunFailed:
    """What it means that a run's events have no end and nobody drives it."""
    known = kept_end(folder)
    if known.get("reason"):
        return RunFailed("The run could not be taken up again.", found=str(known["reason"]), hint="Run the cell again.")
    return RunLost(
        f"Run {id_} is lost: its {driver_of(folder) or 'kernel'} ended before it did.",
        expected="an end",
        hint=f"Its containers ended with it. %sls audit {id_} shows what the owners' logs hold; run the cell again.",
    )
