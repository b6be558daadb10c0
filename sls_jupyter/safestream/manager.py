"""The SafeStream Manager: one request from plan to results. It holds no key and sees no sealed data.

The steps are the lines of the status block, in this order and each in one method. Whatever fails, the group is
stopped; only then are authorities that granted told how the run ended. Nobody waits long for them: what an
authority does with that call keeps neither a group with keys nor a cell.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.contract.image import GuestImage
from sls_jupyter.documents import b64encode
from sls_jupyter.errors import HostUnsuitable, RunFailed, SlsError, Unavailable
from sls_jupyter.identity import Identity
from sls_jupyter.network import within
from sls_jupyter.safestream.approving import POLL_APPROVAL_MOST_SECONDS, Asked, await_approval
from sls_jupyter.safestream.belief import ask_beliefs, believed_hosts
from sls_jupyter.safestream.collecting import Collected, Deposit, note_input, refuse_results
from sls_jupyter.safestream.doors import AttestedDoor
from sls_jupyter.safestream.endings import judge_end
from sls_jupyter.safestream.host import ContainerState, Host
from sls_jupyter.safestream.journal import Journal
from sls_jupyter.safestream.launching import Launched, attest, await_audit, facts_of, hand_over, launch, vanished
from sls_jupyter.safestream.receipts import fetch_receipt, judge_own
from sls_jupyter.safestream.reporting import how_it_ended, reporting
from sls_jupyter.safestream.request import Answers, StreamRequest, Waiting, ask_all
from sls_jupyter.safestream.run import Run

CANCEL_SECONDS = 3.0  # how long the group may take to hear that it is cancelled, before it is stopped
RECEIPT_SECONDS = 15.0  # of fetching the receipt from all authorities


@dataclass(frozen=True, slots=True)
class Manager:
    """What a run needs beside its request."""

    identity: Identity
    anchors: TrustAnchors
    image: GuestImage
    hosts: Mapping[str, Host]
    clients: Mapping[str, AuthorityClient]  # authority's DID -> client
    names: Mapping[str, str]  # DID -> name, for messages
    save_result: Callable[[str, str, bytes], object] = field(
        default=lambda *_: None
    )  # (spec, recipient, sealed) -> where
    deposit: Deposit | None = None
    placed: Callable[[Run, GuestImage], None] = field(
        default=lambda *_: None
    )  # its host's image is known, and it is launched next; what this raises ends the run
    ended: Callable[[Run], None] = field(default=lambda _: None)  # the run's state is final
    waiting: Callable[[StreamRequest, str], Waiting] = field(
        default=lambda *_: Waiting()
    )  # (request, DID of an authority where it waits) -> what is known of it there
    patient: bool = False  # an authority that cannot be reached at first is asked again: this run waited before
    chosen: frozenset[str] = frozenset()  # URLs of authorities that the requester chose: the group may reach these

    def launch(
        self, request: StreamRequest, *, host: str | None, wait_for_approval: bool, journal: Journal | None = None
    ) -> Run:
        """Start a run in its thread.

        Args:
            journal: where its events go; what is in it already is shown as what happened before.
        """
        work = _Execution(self, request, host, wait_for_approval).work
        return Run(request.spec.digest, work, self.ended, journal).start()


class _Execution:
    """One run's work."""

    def __init__(self, manager: Manager, request: StreamRequest, host: str | None, wait_for_approval: bool) -> None:
        self.manager, self.request, self.host = manager, request, host
        self.wait_for_approval = wait_for_approval
        self.hosts: Mapping[str, Host] = manager.hosts  # those that every authority believes, once they were asked
        self.spec, self.image = request.spec, manager.image
        self.end: dict[str, Any] = {}
        self.program: ContainerState | None = None  # as the host saw it when its output had ended
        self.granted: dict[str, tuple[str, ...] | None] = {}  # columns, by asset
        self.collected = Collected(self.spec, self.spec.digest, manager.identity, manager.names)

    def work(self, run: Run) -> None:
        answers = self._plan(run)
        answers = self._await_approval(run, answers)
        self.granted = {grant.asset: grant.columns for grant in answers.grants}
        manager = self.manager
        launched = launch(run, self.spec, answers.grants, self.hosts, self.host, manager.placed, self.image)
        running, self.image = launched.running, launched.image
        try:
            run.on_cancel(running.stop)
            launched.tell(run)
            simulated = self._execute(run, launched, answers)
        except BaseException:
            running.stop()
            with self._reporting(run):
                raise
        finally:
            running.stop()
        with self._reporting(run):
            self._conclude(run, simulated)

    # --- planned, approved ------------------------------------------------------------------------

    def _plan(self, run: Run) -> Answers:
        while True:
            try:
                return self._ask_first(run)
            except Unavailable as error:
                if not self.manager.patient or isinstance(error, HostUnsuitable) or self._is_expired():
                    raise
                run.steps.note("planned", f"not reached, asked again: {error.sentence}")
            if run.cancelled.wait(POLL_APPROVAL_MOST_SECONDS):
                run.require_going()

    def _is_expired(self) -> bool:
        return time.time() >= self.spec.expires_at

    def _ask_first(self, run: Run) -> Answers:
        run.steps.begin("planned")
        aliases = ", ".join(item.alias for item in self.spec.inputs)
        beliefs = ask_beliefs(self.manager.clients, self.manager.names)
        self.hosts = believed_hosts(self.manager.hosts, self.host, beliefs)
        answers = ask_all(self.request, self.manager.clients)
        run.steps.note("planned", evidence=f"spec {self.spec.digest}")
        purpose = f"“{self.spec.purpose}”" if self.spec.purpose else "no stated purpose"
        run.steps.done("planned", f"{aliases} for {purpose}")
        run.steps.begin("approved")
        answers.require_not_denied()
        return answers

    def _await_approval(self, run: Run, answers: Answers) -> Answers:
        manager, request = self.manager, self.request

        def waiting(authority: str) -> Waiting:
            return manager.waiting(request, authority)

        asked = Asked(self.spec, self.spec.terms, manager.names, waiting)
        again = partial(ask_all, request, manager.clients)
        return await_approval(run, answers, again, asked, wait=self.wait_for_approval)

    # --- attested ---------------------------------------------------------------------------------

    def _execute(self, run: Run, launched: Launched, answers: Answers) -> bool:
        """Everything for which the group is needed; returns whether its evidence is simulated."""
        running, me, anchors = launched.running, self.manager.identity, self.manager.anchors
        with contextlib.closing(attest(run, launched, me, anchors, tees=self.spec.tees)) as doors:
            run.summary |= facts_of(doors)
            run.on_cancel(lambda: self._tell_cancel(doors.into))
            run.require_going()
            run.steps.begin("keys released")
            request, grants, chosen = self.request, answers.grant_envelopes, self.manager.chosen
            cell = {"code": request.code, "parameters": b64encode(request.parameters)}
            hand_over(doors, request.envelope, grants, chosen, request.manifests, self.image, cell)
            try:
                self._follow(run, doors.into, doors.out)
            except Unavailable as error:
                told = run.cancelled.is_set() or self.end
                raise (error if told else vanished(running, error)) from None
            self.program = running.states().get("program")
            self.collected.collect(run, doors.out, self.end)
        if not self.end.get("sealed"):  # it has no end of its own
            running.stop()
        run.summary["audited"] = await_audit(run.cancelled, running)
        return doors.simulated

    def _conclude(self, run: Run, simulated: bool) -> None:
        """What is done without the group: the receipt is fetched and judged, and so is the end."""
        refusal = self._take_receipt(run, simulated)
        if refusal is None:
            refusal = self.collected.keep(run, self.manager.save_result, self.manager.deposit)
        else:
            refuse_results(run, refusal)
        try:
            judge_end(self.request.with_column_named(self.end, self.granted), run.steps)
        except RunFailed as error:
            if self.program is not None:  # the host's word; the run's end is the output's
                error.detail["container"] = f"program: {self.program.exit_code} {self.program.detail}"
            raise
        if refusal is not None:
            raise refusal

    def _tell_cancel(self, into: AttestedDoor) -> None:
        """Best effort: the group is stopped right after, and the authorities are told by us."""
        with contextlib.suppress(SlsError):
            into.post("/v1/cancel", {}, seconds=CANCEL_SECONDS)

    # --- keys released, running -------------------------------------------------------------------

    def _follow(self, run: Run, into: AttestedDoor, out: AttestedDoor) -> None:
        """Both event streams to their ends; the input's in a thread of its own."""
        failures: list[SlsError] = []

        def follow_input() -> None:
            try:
                for event in into.events():
                    self._take_input(run, event)
            except SlsError as error:
                failures.append(error)

        follower = threading.Thread(target=follow_input, daemon=True)
        follower.start()
        for event in self._output_events(out, follower, failures):
            if event["type"] == "end":
                self.end = event
            else:
                run.emit(event)
        follower.join(5)
        if failures and not self.end:
            raise failures[0]

    def _output_events(self, out: AttestedDoor, follower: threading.Thread, failures: list[SlsError]) -> Any:
        """The output's events; ends early when the input failed, because then no more will come."""
        import queue

        events: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def pump() -> None:
            try:
                for event in out.events():
                    events.put(event)
                events.put(None)
            except SlsError as error:
                events.put(error)

        threading.Thread(target=pump, daemon=True).start()
        while True:
            try:
                event = events.get(timeout=0.1)
            except queue.Empty:
                if self.end.get("problem") or failures:
                    return
                continue
            if event is None:
                return
            if isinstance(event, SlsError):
                failures.append(event)
                follower.join(2)
                return
            yield event

    def _take_input(self, run: Run, event: dict[str, Any]) -> None:
        if event["type"] == "failed":
            self.end = {"status": "failed", "problem": event["problem"]}
        else:
            note_input(run, event, self.manager.names)

    # --- returned ---------------------------------------------------------------------------------

    def _take_receipt(self, run: Run, simulated: bool) -> SlsError | None:
        """Fetch the receipt and verify it; what is wrong with it, or with the results beside it."""
        if not run.summary.get("audited"):
            return None
        try:
            with within(RECEIPT_SECONDS):
                receipt = fetch_receipt(self.spec, self.manager.clients)
            image, anchors = self.image.digest, self.manager.anchors
            verdict = judge_own(receipt, self.spec, image=image, anchors=anchors, accept_simulated=simulated)
            self.collected.compare(run, verdict.require())
        except Unavailable:
            return None  # the run's last line says that there is none; %sls audit fetches it later
        except SlsError as error:
            return error
        return None

    def _reporting(self, run: Run) -> contextlib.AbstractContextManager[None]:
        """Tell every authority how the run ended while something else is done."""
        return reporting(self.manager.clients, self.spec, *self._how_it_ended(run))

    def _how_it_ended(self, run: Run) -> tuple[str, str]:
        return how_it_ended(self.end, cancelled=run.cancelled.is_set())
