"""Auditing a run: every entry that the authorities logged about it, each one proven; and its receipt."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.errors import Unavailable, VerificationError
from sls_jupyter.receipt.files import read_receipt, verify_file
from sls_jupyter.receipt.receipt import Receipt
from sls_jupyter.receipt.verdict import ReceiptVerdict
from sls_jupyter.receipt.verify import verify_receipt
from sls_jupyter.safestream.receipts import fetch_receipt
from sls_jupyter.session.running import Running
from sls_jupyter.transparency.chain import parse_records, verify_chain
from sls_jupyter.transparency.entries import Entry
from sls_jupyter.transparency.proofs import DisclosedEntry, verify_disclosed


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One log entry about a run, verified: who logged it, where, what it says."""

    log_name: str
    index: int
    entry: Entry
    meaning: Mapping[str, Any] | None  # None: its salt was forgotten


@dataclass(frozen=True, slots=True)
class Audit:
    """A run's records from every authority, each proven to be in its log, and the verdict on its receipt."""

    run: str
    spec: StreamSpec
    names: Mapping[str, str]  # DID -> name, as this persona knows them
    lines: tuple[AuditLine, ...]
    records: tuple[Mapping[str, Any], ...]  # the audit sidecar's, chained and bound by the hardware
    checkpoints: Mapping[str, int]  # log name -> tree size that the proofs hold under
    verdict: ReceiptVerdict | None  # None: there is no receipt
    unrecorded: tuple[str, ...]  # names of logs that released keys and never heard how the run ended
    simulated: bool


def _label(did: str, names: Mapping[str, str]) -> str:
    """A log's name on the screen; with its DID where two have one name."""
    name = names.get(did, did)
    return name if list(names.values()).count(name) <= 1 else f"{name} ({did})"


class Auditing(Running):
    """Records, proofs and receipts."""

    def audit(self, id_: str) -> Audit:
        """Everything the authorities logged about a run, every proof checked.

        Raises:
            LogInconsistent, SignatureInvalid, DigestMismatch: an entry is not what or where it should be.
        """
        record = self._find_run(id_)
        spec = self._spec(record.id)
        names, lines, checkpoints = self.names(), [], {}
        chained: tuple[Mapping[str, Any], ...] = ()
        unrecorded = []
        for did, url in spec.authorities():
            client, name = self._client(url, did), _label(did, names)
            history = client.history(spec.digest)
            checkpoints[name] = client.follow_log(self.memory).tree_size
            found = [self._audit_line(name, did, value) for value in history.entries]
            lines += found
            kinds = {line.entry.kind for line in found}
            if "key.released" in kinds and "run.records" not in kinds:
                unrecorded.append(name)
            if history.records:
                chained = self._records(spec.digest, history.records, found)
        simulated = any("simulated" in str(line.entry.facts.get("tee", "")) for line in lines)
        verdict = None
        with contextlib.suppress(Unavailable):
            verdict = self._judge_receipt(record.id, spec, self._any_receipt(spec, witnesses=0))
        return Audit(record.id, spec, names, tuple(lines), chained, checkpoints, verdict, tuple(unrecorded), simulated)

    def _audit_line(self, name: str, did: str, disclosed: DisclosedEntry) -> AuditLine:
        return AuditLine(name, disclosed.proof.index, verify_disclosed(disclosed, expected_log=did), disclosed.meaning)

    def _records(self, spec_digest: str, data: bytes, lines: Sequence[AuditLine]) -> tuple[Mapping[str, Any], ...]:
        """The sidecar's records, if their head is the one that the hardware signed and the log holds."""
        records = parse_records(data)
        head = verify_chain(records, spec_digest)
        roots = {line.entry.facts.get("record_root") for line in lines if line.entry.kind == "run.records"}
        if head not in roots:
            raise VerificationError(
                "The run's records are not the ones in the log.", found=head, expected=", ".join(map(str, roots))
            )
        return tuple(dict(record.body) for record in records)

    # --- the receipt ------------------------------------------------------------------------------

    def receipt(self, id_: str, *, witnesses: int = 0) -> Receipt:
        """The receipt of a run of this persona, from its folder or from the authorities.

        Args:
            witnesses: how many cosignatures each log's last checkpoint must have; with more than none it is
                asked for anew.

        Raises:
            Unavailable: there is none (yet). VerificationError: it does not verify.
        """
        record = self._find_run(id_)
        spec = self._spec(record.id)
        receipt = self._any_receipt(spec, witnesses=witnesses)
        self._judge_receipt(record.id, spec, receipt).require()
        receipt.save(self._run_folder(record.spec_digest) / "receipt.json")
        return receipt

    def _any_receipt(self, spec: StreamSpec, *, witnesses: int) -> Receipt:
        """The receipt, good or not."""
        path = self._run_folder(spec.digest) / "receipt.json"
        if path.exists() and not witnesses:
            return Receipt.parse(read_receipt(path))
        clients = {did: self._client(url, did) for did, url in spec.authorities()}
        return fetch_receipt(spec, clients, witnesses=witnesses)

    def check_results(self, id_: str, receipt: Receipt) -> dict[str, bool]:
        """Whether the results of a run that this persona holds are the ones that a receipt names, by its names.

        Raises:
            UnknownName: no such run, or it gave no result to this persona.
        """
        stated = receipt.stated().statement.subjects()
        return {name: stated.get(name) == found for name, found in self.result_digests(id_).items()}

    def verify(self, source: str | Path | bytes | Receipt, **pins: Any) -> ReceiptVerdict:
        """Verify anybody's receipt offline; :func:`sls_jupyter.receipt.files.verify_file` has the options."""
        return verify_file(source, **pins)

    def _judge_receipt(self, run: str, spec: StreamSpec, receipt: Receipt) -> ReceiptVerdict:
        """Against what this persona knows of the run: its owners, its logs, the image it was launched with."""
        return verify_receipt(
            receipt.payload(),
            now=datetime.now(UTC),
            images=self._images_of(run),
            anchors=self.anchors,
            owners={item.owner for item in spec.inputs},
            logs={did for did, _ in spec.authorities()},
            accept_simulated=any(tee.startswith("simulated") for tee in spec.tees),
            spec=spec.digest,
        )
