"""The SafeStream Manager: one request from plan to results. It holds no key and sees no sealed data.

The steps are the lines of the status block, in this order and each in one method. Whatever fails, the group is
stopped; only then are authorities that granted told how the run ended. Nobody waits long for them: what an
authority does with that call keeps neither a group with keys nor a cell.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sls_jupyter.attestation.evidence import TrustAnchors
from sls_jupyter.attestation.profile import profile_of
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.contract import cce
from sls_jupyter.contract.group import group_for
from sls_jupyter.contract.image import GuestImage
from sls_jupyter.documents import b64encode, digest
from sls_jupyter.errors import (
    ApprovalPending,
    DigestMismatch,
    SlsError,
    Unavailable,
)
from sls_jupyter.guest.bundle import Result, read_result, subjects_of, unseal
from sls_jupyter.guest.values import restore
from sls_jupyter.identity import Identity
from sls_jupyter.network import within
from sls_jupyter.safestream.doors import CONNECT_SECONDS, AttestedDoor, Expected
from sls_jupyter.safestream.endings import judge_end
from sls_jupyter.safestream.host import Host, RunningGroup
from sls_jupyter.safestream.placement import place
from sls_jupyter.safestream.receipts import fetch_receipt, judge_own
from sls_jupyter.safestream.request import Answers, StreamRequest, ask_all
from sls_jupyter.safestream.run import Run

POLL_APPROVAL_SECONDS = 1.0
CANCEL_SECONDS = 3.0  # how long the group may take to hear that it is cancelled, before it is stopped
REPORT_SECONDS = 30.0  # of telling an authority how a run ended; of these a run waits for
REPORT_WAIT_SECONDS = 3.0  # so many, that a process may end after it
RECEIPT_SECONDS = 15.0  # of fetching the receipt from all authorities
AUDIT_SECONDS = 20.0  # how long the sidecar may take to send its records


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
    ended: Callable[[Run], None] = field(default=lambda _: None)  # the run's state is final
    chosen: frozenset[str] = frozenset()  # URLs of authorities that the requester chose: the group may reach these

    def launch(self, request: StreamRequest, *, host: str | None, wait_for_approval: bool) -> Run:
        """Start a run in its thread."""
        work = _Execution(self, request, host, wait_for_approval).work
        return Run(request.spec.digest, work, self.ended).start()


class _Execution:
    """One run's work."""

    def __init__(self, manager: Manager, request: StreamRequest, host: str | None, wait_for_approval: bool) -> None:
        self.manager, self.request, self.host = manager, request, host
        self.wait_for_approval = wait_for_approval
        self.spec = request.spec
        self.end: dict[str, Any] = {}
        self.sealed: dict[str, bytes] = {}  # by recipient; kept once the receipt says that they are this run's
        self.granted: dict[str, tuple[str, ...] | None] = {}  # columns, by asset
        self.results: dict[str, str] = {}  # digests of what came back, by the receipt's names

    def work(self, run: Run) -> None:
        answers = self._plan(run)
        answers = self._await_approval(run, answers)
        self.granted = {grant.asset: grant.columns for grant in answers.grants}
        name, host = place(self.manager.hosts, self.host, self.spec, answers.grants)
        group = group_for(self.spec, self.manager.image)
        policy = cce.render(group)
        run.steps.begin("launched", f"on {name}")
        running = host.launch(group, policy)
        try:
            run.on_cancel(running.stop)
            run.require_going()
            run.steps.done("launched", f"4 containers on {name}")
            run.summary["isolated"] = host.capabilities().isolated
            for warning in host.capabilities().warnings:
                run.steps.note("launched", evidence=warning)
            simulated = self._execute(run, running, cce.host_data(policy), answers)
        except BaseException:
            running.stop()
            self._report_end(run)
            raise
        finally:
            running.stop()
        with self._reporting(run):
            self._conclude(run, simulated)

    # --- planned, approved ------------------------------------------------------------------------

    def _plan(self, run: Run) -> Answers:
        run.steps.begin("planned")
        aliases = ", ".join(item.alias for item in self.spec.inputs)
        answers = ask_all(self.request, self.manager.clients)
        run.steps.note("planned", evidence=f"spec {self.spec.digest}")
        purpose = f"“{self.spec.purpose}”" if self.spec.purpose else "no stated purpose"
        run.steps.done("planned", f"{aliases} for {purpose}")
        run.steps.begin("approved")
        answers.require_not_denied()
        return answers

    def _await_approval(self, run: Run, answers: Answers) -> Answers:
        while answers.verdict != "allow":
            waiting = [item for item in self.spec.inputs if answers.decisions[item.alias].verdict == "ask"]
            owners = ", ".join(dict.fromkeys(self.manager.names.get(item.owner, item.owner) for item in waiting))
            if not self.wait_for_approval:
                raise self._pending(answers, owners)
            run.steps.note("approved", f"waiting for {owners}")
            if run.cancelled.wait(POLL_APPROVAL_SECONDS):
                run.require_going()
            answers = ask_all(self.request, self.manager.clients)
            answers.require_not_denied()
        for grant in answers.grants:
            alias = next(item.alias for item in self.spec.inputs if item.asset == grant.asset)
            run.steps.note("approved", evidence=f"{alias}: grant {grant.digest} by {grant.authority}")
        count = len(answers.grants)
        run.steps.done("approved", f"{count} grant{'s' if count > 1 else ''}")
        return answers

    def _pending(self, answers: Answers, owners: str) -> ApprovalPending:
        reasons = [reason.text for one in answers.decisions.values() for reason in one.reasons if reason.level == "ask"]
        return ApprovalPending(
            f"{owners} must approve this first; the request is in their inbox.",
            found=f"the owner's authority says: {' '.join(dict.fromkeys(reasons))}",
            hint="Run the cell again when they have, or use --no-wait and let the run wait for them.",
            detail={"request": self.spec.terms},
        )

    # --- attested ---------------------------------------------------------------------------------

    def _door(self, run: Run, running: RunningGroup, name: str, host_data: bytes, deadline: float) -> AttestedDoor:
        address, port = running.endpoints[name]

        def alive() -> bool:
            return running.states()[name].running and not run.cancelled.is_set()

        expected = Expected(self.manager.anchors, self.spec.tees, self.manager.image.measurement, host_data)
        try:
            key, now = self.manager.identity.signing, datetime.now(UTC)
            return AttestedDoor.open(address, port, key, expected, now=now, deadline=deadline, alive=alive)
        except SlsError as error:
            state = running.states()[name]
            if not state.running:
                error.detail["container"] = f"{name} ended: {state.exit_code} {state.detail}"
                error.hint = f"The {name} container ended early. {running.logs(name)[-500:]}".strip()
            raise

    def _execute(self, run: Run, running: RunningGroup, host_data: bytes, answers: Answers) -> bool:
        """Everything for which the group is needed; returns whether its evidence is simulated."""
        run.steps.begin("attested")
        deadline = time.monotonic() + CONNECT_SECONDS
        with contextlib.ExitStack() as doors:
            into = self._door(run, running, "input", host_data, deadline)
            doors.callback(into.close)
            out = self._door(run, running, "output", host_data, deadline)
            doors.callback(out.close)
            claims, checks = into.result.claims, into.result.checks
            run.steps.note("attested", evidence=f"measurement {claims.measurement}")
            run.steps.note("attested", evidence=f"HOST_DATA {claims.init_data} (the policy of this very run)")
            for check in checks:
                run.steps.note("attested", evidence=f"✓ {check.name}: {check.found}")
            label = profile_of(claims.tee).label
            run.steps.done("attested", f"{label}, {len(checks)} checks at each door")
            run.summary |= {"tee": claims.tee, "label": label, "checks": len(checks), "simulated": claims.simulated}
            run.on_cancel(lambda: self._tell_cancel(into))
            run.require_going()
            self._hand_over(run, into, out, answers)
            self._follow(run, into, out)
            self._collect(run, out)
        self._await_audit(run, running)
        return claims.simulated

    def _conclude(self, run: Run, simulated: bool) -> None:
        """What is done without the group: the receipt is fetched and judged, and so is the end."""
        refusal = self._take_receipt(run, simulated)
        if refusal is None:
            for recipient, data in self.sealed.items():
                where = self.manager.save_result(self.spec.digest, recipient, data)
                if recipient != self.manager.identity.did:
                    who = self.manager.names.get(recipient, recipient)
                    run.steps.note("returned", evidence=f"for {who}, with the receipt: {where}")
        else:
            run.outputs.clear()
            run.summary["receipt_refused"] = refusal.message
        judge_end(self.request.with_column_named(self.end, self.granted), run.steps)
        if refusal is not None:
            raise refusal

    def _hand_over(self, run: Run, into: AttestedDoor, out: AttestedDoor, answers: Answers) -> None:
        run.steps.begin("keys released")
        contract = {
            "spec": self.request.envelope.decode(),
            "grants": [envelope.decode() for envelope in answers.grant_envelopes],
            "chosen": sorted(self.manager.chosen),
        }
        out.post("/v1/contract", contract)
        material = {
            "code": self.request.code,
            "parameters": b64encode(self.request.parameters),
            "manifests": {asset: envelope.decode() for asset, envelope in self.request.manifests.items()},
        }
        into.post("/v1/contract", contract | material)

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
        kind = event["type"]
        if kind == "key":
            owner = self.manager.names.get(event["authority"], event["authority"])
            run.steps.note(
                "keys released",
                f"{event['alias']}",
                evidence=f"{event['alias']}: entry {event['entry']} in the log of {owner}",
            )
            run.summary.setdefault("entries", {})[event["authority"]] = event["entry"]
        elif kind == "fed":
            run.steps.note("keys released", evidence=f"{event['alias']}: {event['rows']} rows read inside the group")
        elif kind == "running":
            count = len(run.summary.get("entries", {}))
            run.steps.done("keys released", f"by {count} authorit{'ies' if count > 1 else 'y'}")
            run.steps.begin("running")
        elif kind == "failed":
            self.end = {"status": "failed", "problem": event["problem"]}

    # --- checked, sealed, returned ----------------------------------------------------------------

    def _collect(self, run: Run, out: AttestedDoor) -> None:
        """Fetch each recipient's sealed result; open our own."""
        if not self.end.get("sealed"):
            return
        run.steps.done("running")
        run.steps.begin("checked")
        self._tell_verdict(run)
        run.steps.begin("sealed")
        sealed = {person.did: out.result_for(person.did) for person in self.spec.recipients}
        for recipient, data in sealed.items():
            self.sealed[recipient] = data
            self.results[f"sealed/{recipient}"] = digest(data)
        run.steps.done("sealed", f"to {', '.join(self.manager.names.get(did, did) for did in sealed)}")
        run.steps.begin("returned")
        me = self.manager.identity
        if me.did in sealed:
            packed = unseal(sealed[me.did], self.spec.digest, me.did, me.hpke)
            self.results |= subjects_of(packed)
            self._take_result(run, read_result(packed))
        run.steps.done("returned", ", ".join(run.outputs) or "nothing by name")

    def _tell_verdict(self, run: Run) -> None:
        """What the gate held back; a requester who is no recipient is not told."""
        verdict = self.end.get("verdict")
        if verdict is None:
            run.steps.done("checked", "only recipients are told what was withheld")
            return
        withheld = {name: count for name, count in verdict["withheld"].items() if count}
        held = ", ".join(f"{count} {name}" for name, count in withheld.items())
        run.steps.note("checked", evidence=f"rules: {verdict['rules']}")
        run.steps.done("checked", f"withheld: {held}" if held else "nothing withheld")
        run.summary["withheld"] = withheld

    def _take_result(self, run: Run, result: Result) -> None:
        for about, table in result.tables:
            run.outputs[about["name"]] = restore(table, about["shape"])
            run.summary.setdefault("tables", []).append(about)

    def _await_audit(self, run: Run, running: RunningGroup) -> None:
        """The sidecar ends when every authority has its records; a group that has no end of its own is stopped."""
        if not self.end.get("sealed"):
            running.stop()
        deadline = time.monotonic() + AUDIT_SECONDS
        while running.states()["audit"].running and time.monotonic() < deadline:
            if run.cancelled.wait(0.02):
                return
        state = running.states()["audit"]
        run.summary["audited"] = not state.running and state.exit_code == 0

    def _take_receipt(self, run: Run, simulated: bool) -> SlsError | None:
        """Fetch the receipt and verify it; what is wrong with it, or with the results beside it."""
        if not run.summary.get("audited"):
            return None
        try:
            with within(RECEIPT_SECONDS):
                receipt = fetch_receipt(self.spec, self.manager.clients)
            image, anchors = self.manager.image.digest, self.manager.anchors
            verdict = judge_own(receipt, self.spec, image=image, anchors=anchors, accept_simulated=simulated)
            verified, stated = verdict.require(), dict(verdict.subjects)
            for name, found in self.results.items():
                if stated.get(name) != found:
                    raise DigestMismatch(
                        "A result is not the receipt's.",
                        found=found,
                        expected=stated.get(name),
                        hint="Do not use it. Keep the receipt, and ask the owners what their logs hold.",
                    )
        except Unavailable:
            return None  # the run's last line says that there is none; %sls audit fetches it later
        except SlsError as error:
            return error
        run.receipt, run.summary["receipt"] = verified, verified.id
        run.steps.note("returned", evidence=f"receipt {verified.id}")
        return None

    @contextlib.contextmanager
    def _reporting(self, run: Run) -> Iterator[None]:
        """Tell every authority how the run ended, by our own word and all at once, while something else is done."""
        state, reason = self._how_it_ended(run)
        tellers = [
            threading.Thread(target=self._tell_end, args=(did, state, reason), name="sls-report", daemon=True)
            for did, _ in self.spec.authorities()
        ]
        for one in tellers:
            one.start()
        try:
            yield
        finally:
            deadline = time.monotonic() + REPORT_WAIT_SECONDS
            for one in tellers:
                one.join(max(0.0, deadline - time.monotonic()))

    def _report_end(self, run: Run) -> None:
        with self._reporting(run):
            pass

    def _how_it_ended(self, run: Run) -> tuple[str, str]:
        status = str(self.end.get("status", "failed"))
        if run.cancelled.is_set():
            return "cancelled", "interrupt"
        limit = str(self.end.get("limit", "limit"))
        return {"ok": ("ended", "ok"), "limit": ("killed", limit)}.get(status, ("failed", status))

    def _tell_end(self, did: str, state: str, reason: str) -> None:
        with contextlib.suppress(SlsError), within(REPORT_SECONDS):
            self.manager.clients[did].report_end(self.spec.digest, state, reason)
