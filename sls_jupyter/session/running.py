"""Runs: start them, remember them, fetch their results again."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sls_jupyter.assets.deposit import Deposit
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.contract.image import GuestImage, installed_image
from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.errors import ApprovalPending, SlsError, UnknownName
from sls_jupyter.guest.bundle import open_result, subjects_of, unseal
from sls_jupyter.guest.values import restore
from sls_jupyter.identity import Home, write_whole
from sls_jupyter.network import within
from sls_jupyter.safestream.host import Host
from sls_jupyter.safestream.journal import Journal
from sls_jupyter.safestream.manager import Manager
from sls_jupyter.safestream.mirror import Mirror
from sls_jupyter.safestream.placement import require_host
from sls_jupyter.safestream.request import StreamRequest, Waiting
from sls_jupyter.safestream.run import Run
from sls_jupyter.session import kept_events
from sls_jupyter.session.claims import Claim
from sls_jupyter.session.differing import Material, earlier_like
from sls_jupyter.session.kept_events import KeptEvents, KeptReader
from sls_jupyter.session.posted import PostedRun
from sls_jupyter.session.preparing import Preparing
from sls_jupyter.session.remembering import WAITS, RunRecord, kept_end
from sls_jupyter.session.reviewing import Earlier

COMPARE_SECONDS = 5.0  # of looking up what a request that waits differs in
_JOURNAL_FACTOR = 3  # of the output budget: base64, and room
_JOURNAL_MORE_BYTES = 64 * 2**20  # for steps and what they rest on


class Running(Preparing):
    """Runs of this persona: its own folder remembers them, their results and events stay sealed there.

    Where the session has a background, that drives them, and they go on when this process ends.
    """

    driver = "kernel"  # how others call this process where they tell who drives a run

    def __init__(self, home: Home, hosts: Mapping[str, Host] | None = None) -> None:
        super().__init__(home, hosts)
        self._runs: dict[str, Run] = {}
        self._claims: dict[str, Claim] = {}  # of the runs that this process drives
        self._ending = threading.Event()

    def run(
        self,
        request: StreamRequest,
        *,
        host: str | None = None,
        wait_for_approval: bool = False,
        results_to: str | None = None,
    ) -> Run:
        """Start a run; returns its handle at once.

        Args:
            wait_for_approval: let the run wait for a person; otherwise it ends with
                :class:`ApprovalPending` when one is needed.
            results_to: a folder or fsspec URL: the sealed results and the receipt are put into a new folder there,
                named by the run, when they were found to be this run's.

        Raises:
            HostUnsuitable: there is no host of that name; nothing was asked.
            BadInput, Unavailable: results cannot be put there; nothing was asked.
        """
        require_host(self.hosts, host)
        place = results_to if results_to is None or "://" in results_to else str(Path(results_to).absolute())
        posted = PostedRun.of(request, host=host, wait_for_approval=wait_for_approval, results_to=place)
        return self._start(posted, request)

    def _start(self, posted: PostedRun, request: StreamRequest) -> Run:
        """Start a run where this session's runs go on."""
        return self.drive(posted, request)

    def drive(self, posted: PostedRun, request: StreamRequest, *, anew: bool = True) -> Run:
        """Start a run in this process.

        Args:
            request: the one in ``posted``.
            anew: false takes up one that waited in a process that ended: its journal goes on.

        Raises:
            as :meth:`run`. BadInput: another process drives it, or it was launched already.
        """
        digest, folder = request.spec.digest, self._run_folder(request.spec.digest)
        require_host(self.hosts, posted.host)
        deposit = None if posted.results_to is None else self._deposit(digest, posted.results_to)
        clients, names = self._run_clients(request), self.names_in(request.spec)
        claim = Claim.take(folder, self.driver)
        try:
            (folder / "spec.json").write_bytes(request.envelope)
            (folder / "end.json").unlink(missing_ok=True)
            if posted.wait_for_approval:
                claim.waits(posted.encode(), digest, self.identity)
            journal = self._journal(folder, digest, request.spec, anew=anew)
            manager = replace(self._manager(request.spec, clients, names, deposit), patient=not anew)
            self._claims[digest] = claim
            wait = posted.wait_for_approval
            run = manager.launch(request, host=posted.host, wait_for_approval=wait, journal=journal)
        except BaseException:
            self._claims.pop(digest, None)
            if anew:  # nobody takes up what its caller was told has failed
                claim.forget_waiting()
            claim.release()
            raise
        self._runs[run.id] = run
        return run

    def _manager(
        self,
        spec: StreamSpec,
        clients: Mapping[str, AuthorityClient],
        names: Mapping[str, str],
        deposit: Callable[[Run, Mapping[str, bytes]], str] | None = None,
    ) -> Manager:
        """What executes a contract of this persona's."""
        return Manager(
            identity=self.identity,
            anchors=self.anchors,
            image=installed_image(),
            hosts=dict(self.hosts),
            clients=clients,
            names=names,
            save_result=self._save_result,
            deposit=deposit,
            placed=self._place,
            ended=self._remember,
            waiting=self._waiting,
            chosen=self._chosen_urls(spec),
        )

    def _journal(self, folder: Path, contract: str, spec: StreamSpec, *, anew: bool) -> Journal:
        """A journal that is kept in the run's folder, sealed; with what is there already, unless it begins anew.

        Args:
            contract: digest of what the run is bound to. spec: whose output budget bounds all events.
        """
        most = _JOURNAL_FACTOR * spec.limits.output_bytes + _JOURNAL_MORE_BYTES
        path, past, size = folder / kept_events.NAME, list[dict[str, Any]](), 0
        if not anew:
            reader = KeptReader(path, contract, self.identity)
            with contextlib.suppress(SlsError):  # a file that was changed is begun anew
                past = list(reader.read())
                size = reader.size
        kept = KeptEvents(path, contract, self.identity, start=len(past) if size else 0, size=size)
        return Journal(past if size else (), kept.append, max_bytes=most)

    def _waiting(self, request: StreamRequest, authority: str) -> Waiting:
        """Since when a request waits, and what it has that an earlier one had not; nothing, where that cannot be had."""
        spec = request.spec
        try:
            client = self._run_clients(request)[authority]
            with within(COMPARE_SECONDS):
                since = client.request(spec.terms).created_at
                earlier = earlier_like(client, Material(spec, request.code, request.parameters))
        except (SlsError, ValueError):  # another party's texts
            return Waiting()
        if earlier is None:
            return Waiting(since)
        return Waiting(since, earlier.id, earlier.state, earlier.differences)

    def earlier_request(self, asked: Material, authority: str) -> Earlier | None:
        """The request like this one that an authority let run before; ``None`` also where that cannot be had in time.

        Args:
            authority: DID of one that the spec names.
        """
        try:
            with within(COMPARE_SECONDS):
                return earlier_like(self._client(dict(asked.spec.authorities())[authority], authority), asked)
        except (SlsError, ValueError):  # another party's texts
            return None

    def runs(self) -> list[RunRecord]:
        """Runs of this persona, newest first; of those that go on, what they do."""
        live = {} if self.background is None else self.background.live()
        return [
            replace(one, now=live[one.id].status) if one.id in live and one.state == "running" else one
            for one in super().runs()
        ]

    def result(self, id_: str) -> dict[str, Any]:
        """The named outputs of a finished run, from its sealed result.

        Raises:
            UnknownName: no such run, or it gave no result to this persona.
        """
        record, sealed = self._sealed_result(id_)
        result = open_result(sealed, record.contract, self.did, self.identity.hpke)
        return {about["name"]: restore(table, about["shape"]) for about, table in result.tables}

    def result_digests(self, id_: str) -> dict[str, str]:
        """Digests of a finished run's results, by the names that a receipt has for them.

        Raises:
            UnknownName: no such run, or it gave no result to this persona.
        """
        record, sealed = self._sealed_result(id_)
        packed = unseal(sealed, record.contract, self.did, self.identity.hpke)
        return subjects_of(packed, {self.did: sealed})

    def _sealed_result(self, id_: str) -> tuple[RunRecord, bytes]:
        record = self._find_run(id_)
        path = self._run_folder(record.contract) / "result.sealed"
        if not path.exists():
            raise UnknownName("The run has no result for you.", found=record.state, hint="%sls audit RUN says why.")
        return record, path.read_bytes()

    def _deposit(self, spec_digest: str, place: str) -> Callable[[Run, Mapping[str, bytes]], str]:
        """Puts the sealed results of a run into a folder of its own at ``place``, which is found to be free."""
        deposit = Deposit(place, spec_digest.removeprefix("sha256:")[:12])
        deposit.require_free()

        def put(run: Run, sealed: Mapping[str, bytes]) -> str:
            files = {self._result_name(recipient): data for recipient, data in sealed.items()}
            if run.receipt is not None:
                files["receipt.json"] = run.receipt.receipt.payload()
            return deposit.put(files)

        return put

    def store_results(self, id_: str, place: str) -> str:
        """Put the sealed results of an earlier run, and its receipt, into a new folder at ``place``; returns its URL.

        Raises:
            UnknownName: no such run, or it gave no result. BadInput, Unavailable: they cannot be put there.
        """
        record = self._find_run(id_)
        folder = self._run_folder(record.contract)
        files = {path.name: path.read_bytes() for path in sorted(folder.glob("result*.sealed"))}
        if not files:
            raise UnknownName("The run has no result.", found=record.state, hint="%sls audit RUN says why.")
        receipt = folder / "receipt.json"
        where = Deposit(place, record.id).put(
            files | ({"receipt.json": receipt.read_bytes()} if receipt.exists() else {})
        )
        write_whole(folder / "end.json", json.dumps(kept_end(folder) | {"stored": where}).encode())
        return where

    def _live(self, run: str) -> Run | None:
        return self._runs.get(run)

    def give_up(self, id_: str, reason: str) -> None:
        """Write down that a run that waited cannot be taken up.

        Raises:
            BadInput: another process drives it.
        """
        folder = self.home.folder("runs") / id_
        claim = Claim.take(folder, self.driver)
        try:
            write_whole(folder / "end.json", json.dumps({"state": "failed", "reason": reason}).encode())
            claim.forget_waiting()
        finally:
            claim.release()

    def hold_launches(self) -> None:
        """Launch nothing any more: this process is about to end, and what waits is left to another one."""
        self._ending.set()

    def spec_of(self, run: str) -> StreamSpec:
        """The signed contract of a run of this persona, by the name of its folder."""
        return self._asked(run).spec

    def forget_run(self, id_: str) -> None:
        """Let go of a run that has ended; it is read from its folder from now on."""
        run = self._runs.get(id_)
        if run is not None and run.state != "running":
            self._runs.pop(id_, None)

    def _place(self, run: Run, image: GuestImage) -> None:
        """Note the image of the host that a run was placed on, which its receipt has to name; and that it is launched.

        Raises:
            BadInput: it was launched before.
        """
        if self._ending.is_set():
            threading.Event().wait()  # this process ends; another one asks again, and launches
        (self._run_folder(run.spec_digest) / "image").write_text(image.digest)
        self._claims[run.spec_digest].launched()

    def _remember(self, run: Run) -> None:
        state = {
            "state": WAITS if isinstance(run.error, ApprovalPending) else run.state,
            "tee": run.summary.get("tee", ""),
            "reason": run.error.sentence if run.error else "",
            "isolated": run.summary.get("isolated"),
            "stored": run.summary.get("stored", ""),
        }
        folder, claim = self._run_folder(run.spec_digest), self._claims.pop(run.spec_digest)
        try:
            if run.receipt is not None:
                run.receipt.save(folder / "receipt.json")
            write_whole(folder / "end.json", json.dumps(state).encode())
            claim.forget_waiting()
        finally:
            claim.release()

    def close(self) -> None:
        """Cancel every run that this process drives, then stop the embedded authority. Others' runs go on."""
        for run in list(self._runs.values()):
            if not isinstance(run, Mirror):
                run.cancel(timeout=5)
        super().close()

    def _result_name(self, recipient: str) -> str:
        return "result.sealed" if recipient == self.did else f"result-{recipient.rpartition(':')[2][-12:]}.sealed"

    def _save_result(self, spec_digest: str, recipient: str, sealed: bytes) -> Path:
        path = self._run_folder(spec_digest) / self._result_name(recipient)
        path.write_bytes(sealed)
        return path
