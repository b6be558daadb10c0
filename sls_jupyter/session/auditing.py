"""Auditing a run: every entry that the authorities logged about it, each one proven."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sls_jupyter.documents import b64decode
from sls_jupyter.errors import VerificationError
from sls_jupyter.session.running import Running
from sls_jupyter.transparency.chain import parse_records, verify_chain
from sls_jupyter.transparency.entries import Entry, open_commitment
from sls_jupyter.transparency.proofs import LogProof, verify_log_proof


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One log entry about a run, verified: who logged it, where, what it says."""

    log_name: str
    index: int
    entry: Entry
    meaning: Mapping[str, Any] | None  # None: its salt was forgotten


@dataclass(frozen=True, slots=True)
class Audit:
    """A run's records from every authority, each proven to be in its log."""

    run: str
    lines: tuple[AuditLine, ...]
    records: tuple[Mapping[str, Any], ...]  # the audit sidecar's, chained and bound by the hardware
    checkpoints: Mapping[str, int]  # log name -> tree size that the proofs hold under
    simulated: bool


class Auditing(Running):
    """Records and proofs."""

    def audit(self, id_: str) -> Audit:
        """Everything the authorities logged about a run, every proof checked.

        Raises:
            LogInconsistent, SignatureInvalid, DigestMismatch: an entry is not what or where it should be.
        """
        record = self._find_run(id_)
        spec = self._spec(record.id)
        names, lines, checkpoints = self.names(), [], {}
        chained: tuple[Mapping[str, Any], ...] = ()
        for did, url in spec.authorities():
            client, name = self._client(url, did), names.get(did, did)
            history = client.history(spec.digest)
            checkpoints[name] = client.follow_log(self.memory).tree_size
            found = [self._audit_line(name, did, value) for value in history["entries"]]
            lines += found
            if history["records"]:
                chained = self._records(spec.digest, history["records"], found)
        simulated = any("simulated" in str(line.entry.facts.get("tee", "")) for line in lines)
        return Audit(record.id, tuple(lines), chained, checkpoints, simulated)

    def _audit_line(self, name: str, did: str, value: dict[str, Any]) -> AuditLine:
        proof = LogProof.from_json(value["proof"])
        entry = verify_log_proof(proof, expected_log=did)
        meaning = value["meaning"]
        if meaning is not None and value["salt"] is not None:
            open_commitment(entry, meaning, b64decode(value["salt"]))
        return AuditLine(name, proof.index, entry, meaning)

    def _records(self, spec_digest: str, text: str, lines: Sequence[AuditLine]) -> tuple[Mapping[str, Any], ...]:
        """The sidecar's records, if their head is the one that the hardware signed and the log holds."""
        records = parse_records(text.encode())
        head = verify_chain(records, spec_digest)
        roots = {line.entry.facts.get("record_root") for line in lines if line.entry.kind == "run.records"}
        if head not in roots:
            raise VerificationError(
                "The run's records are not the ones in the log.", found=head, expected=", ".join(map(str, roots))
            )
        return tuple(dict(record.body) for record in records)
