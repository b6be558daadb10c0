"""Runs: start them, remember them, fetch their results again."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sls_jupyter.contract.image import installed_image
from sls_jupyter.contract.spec import StreamSpec, verify_stream_spec
from sls_jupyter.documents import parse_json
from sls_jupyter.errors import ApprovalPending, SlsError, UnknownName
from sls_jupyter.guest.bundle import open_result, subjects_of, unseal
from sls_jupyter.guest.values import restore
from sls_jupyter.identity import Home
from sls_jupyter.safestream.host import Host
from sls_jupyter.safestream.manager import Manager
from sls_jupyter.safestream.placement import require_host
from sls_jupyter.safestream.request import StreamRequest
from sls_jupyter.safestream.run import Run
from sls_jupyter.session.preparing import Preparing

WAITS = "waits for approval"  # the state of a run that ended because a person has to decide first


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as this persona remembers it."""

    id: str
    spec_digest: str
    state: str
    started_at: int
    inputs: tuple[str, ...]
    purpose: str
    tee: str
    reason: str
    isolated: bool | None = None  # whether its host kept the program apart; None: it was not launched, or is not known


class Running(Preparing):
    """Runs of this persona: its own folder remembers them, their results stay sealed there."""

    def __init__(self, home: Home, hosts: Mapping[str, Host] | None = None) -> None:
        super().__init__(home, hosts)
        self._runs: dict[str, Run] = {}

    def run(self, request: StreamRequest, *, host: str | None = None, wait_for_approval: bool = False) -> Run:
        """Start a run; returns its handle at once.

        Args:
            wait_for_approval: let the run wait for a person; otherwise it ends with
                :class:`ApprovalPending` when one is needed.

        Raises:
            HostUnsuitable: there is no host of that name; nothing was asked.
        """
        require_host(self.hosts, host)
        manager = Manager(
            identity=self.identity,
            anchors=self.anchors,
            image=installed_image(),
            hosts=self.hosts,
            clients=self._run_clients(request),
            names=self.names_in(request.spec),
            save_result=self._save_result,
            ended=self._remember,
            chosen=self._chosen_urls(request.spec),
        )
        folder = self._run_folder(request.spec.digest)
        (folder / "spec.json").write_bytes(request.envelope)
        (folder / "image").write_text(manager.image.digest)
        run = manager.launch(request, host=host, wait_for_approval=wait_for_approval)
        self._runs[run.id] = run
        return run

    def runs(self) -> list[RunRecord]:
        """Runs of this persona, newest first."""
        found = []
        for folder in self.home.folder("runs").iterdir():
            with contextlib.suppress(SlsError, OSError):
                record = self._record(folder)
                found.append((record.started_at, (folder / "spec.json").stat().st_mtime_ns, record))
        return [record for *_, record in sorted(found, key=lambda one: one[:2], reverse=True)]

    def result(self, id_: str) -> dict[str, Any]:
        """The named outputs of a finished run, from its sealed result.

        Raises:
            UnknownName: no such run, or it gave no result to this persona.
        """
        record, sealed = self._sealed_result(id_)
        result = open_result(sealed, record.spec_digest, self.did, self.identity.hpke)
        return {about["name"]: restore(table, about["shape"]) for about, table in result.tables}

    def result_digests(self, id_: str) -> dict[str, str]:
        """Digests of a finished run's results, by the names that a receipt has for them.

        Raises:
            UnknownName: no such run, or it gave no result to this persona.
        """
        record, sealed = self._sealed_result(id_)
        packed = unseal(sealed, record.spec_digest, self.did, self.identity.hpke)
        return subjects_of(packed, {self.did: sealed})

    def _sealed_result(self, id_: str) -> tuple[RunRecord, bytes]:
        record = self._find_run(id_)
        path = self._run_folder(record.spec_digest) / "result.sealed"
        if not path.exists():
            raise UnknownName("The run has no result for you.", found=record.state, hint="%sls audit RUN says why.")
        return record, path.read_bytes()

    def cancel(self, id_: str) -> Run:
        """Cancel a run of this session.

        Raises:
            UnknownName: no such run, it is over, or it belongs to another kernel.
        """
        record = self._find_run(id_)
        run = self._runs.get(record.id)
        if run is None and (self._run_folder(record.spec_digest) / "end.json").exists():
            raise UnknownName(
                "That run is over.", found=record.state, hint=f"%sls audit {record.id} shows how it went."
            )
        if run is None:
            raise UnknownName(
                "That run belongs to another kernel.", found=record.state, hint="Interrupt or restart that kernel."
            )
        return run.cancel()

    def _find_run(self, id_: str) -> RunRecord:
        fitting = [one for one in self.runs() if id_ and one.id.startswith(id_.removeprefix("sha256:")[:12])]
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
        spec = self._spec(folder.name)
        live = self._runs.get(folder.name)
        end = folder / "end.json"
        known = parse_json(end.read_bytes()) if end.exists() else {}
        state = known.get("state") or ("running" if live is not None else "unknown: its kernel has told no end")
        return RunRecord(
            id=folder.name,
            spec_digest=spec.digest,
            state=state,
            started_at=spec.issued_at,
            inputs=tuple(item.alias for item in spec.inputs),
            purpose=spec.purpose,
            tee=known.get("tee", ""),
            reason=known.get("reason", ""),
            isolated=known.get("isolated") if live is None else live.summary.get("isolated"),
        )

    def _spec(self, run: str) -> StreamSpec:
        """The contract of a run, from this persona's folder; its own signature is checked."""
        path = self.home.folder("runs") / run / "spec.json"
        return verify_stream_spec(path.read_bytes(), did=self.did)

    def _remember(self, run: Run) -> None:
        state = {
            "state": WAITS if isinstance(run.error, ApprovalPending) else run.state,
            "tee": run.summary.get("tee", ""),
            "reason": run.error.sentence if run.error else "",
            "isolated": run.summary.get("isolated"),
        }
        folder = self._run_folder(run.spec_digest)
        (folder / "end.json").write_text(json.dumps(state))
        if run.receipt is not None:
            run.receipt.save(folder / "receipt.json")

    def _image_of(self, run: str) -> str:
        """Digest of the guest image that a run was launched with; "" if it is not known."""
        path = self.home.folder("runs") / run / "image"
        return path.read_text() if path.exists() else ""

    def close(self) -> None:
        """Cancel every run, then stop the embedded authority."""
        for run in self._runs.values():
            run.cancel(timeout=5)
        super().close()

    def _run_folder(self, spec_digest: str) -> Path:
        folder = self.home.folder("runs") / spec_digest.removeprefix("sha256:")[:12]
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _save_result(self, spec_digest: str, recipient: str, sealed: bytes) -> Path:
        name = "result" if recipient == self.did else f"result-{recipient.rpartition(':')[2][-12:]}"
        path = self._run_folder(spec_digest) / f"{name}.sealed"
        path.write_bytes(sealed)
        return path
