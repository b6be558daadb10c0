"""The other side of the authority's HTTP door, for people and for guests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sls_jupyter.attestation.evidence import Evidence
from sls_jupyter.authority.transport import Transport, check_url
from sls_jupyter.documents import b64decode, b64encode, verify
from sls_jupyter.errors import BadInput, MalformedDocument, VerificationError
from sls_jupyter.identity import Contact, public_key_from_did, verify_signature
from sls_jupyter.transparency.checkpoint import Checkpoint, log_origin
from sls_jupyter.transparency.cosignature import cosign, witness_name
from sls_jupyter.transparency.memory import CheckpointMemory
from sls_jupyter.transparency.proofs import DisclosedEntry, LogProof

__all__ = ["AuthorityClient", "AuthorityFacts", "RunHistory", "check_url"]


@dataclass(frozen=True, slots=True)
class AuthorityFacts:
    """What an authority says of itself; the caller decides which DID it expected."""

    did: str
    origin: str
    owner: str
    owner_contact: Contact
    owner_contact_envelope: bytes
    hpke_public_key: bytes
    tees: tuple[str, ...]
    version: str


@dataclass(frozen=True, slots=True)
class RunHistory:
    """What one authority has about a run."""

    entries: tuple[DisclosedEntry, ...]
    records: bytes | None  # the record file
    receipt: bytes | None  # its DSSE envelope, signed by the hardware


class AuthorityClient(Transport):
    """The calls of one authority's API, over :class:`Transport`, whose arguments and errors are those of this class."""

    _known: AuthorityFacts | None = None

    @property
    def facts(self) -> AuthorityFacts:
        """What :meth:`about` said last; asked for on first use."""
        return self._known or self.about()

    # --- the authority and its catalogue ----------------------------------------------------------

    def about(self) -> AuthorityFacts:
        """Who answers at this URL, proven by its signature."""
        value = self._call("GET", "/v1/authority")
        try:
            envelope = str(value["owner_contact"]).encode()
            facts = AuthorityFacts(
                did=str(value["did"]),
                origin=str(value["origin"]),
                owner=str(value["owner"]),
                owner_contact=verify(envelope, Contact, verify_signature, did=value["owner"]),
                owner_contact_envelope=envelope,
                hpke_public_key=b64decode(value["hpke_public_key"]),
                tees=tuple(map(str, value["tees"])),
                version=str(value["version"]),
            )
        except (KeyError, TypeError):
            raise MalformedDocument("This is not an authority of ours.", found=self.url) from None
        if facts.did != self.did:
            raise VerificationError("An authority gives itself another name.", found=facts.did, expected=self.did)
        if facts.origin != log_origin(facts.did):
            raise VerificationError(
                "An authority gives its log another name.", found=facts.origin, expected=log_origin(facts.did)
            )
        self._known = facts
        return facts

    def publish(self, manifest: bytes, policy: bytes, module: str | None, sealed_keys: bytes) -> tuple[str, int]:
        """Publish an asset; returns its id and the index of its log entry."""
        body = {"manifest": manifest.decode(), "policy": policy.decode(), "module": module}
        answer = self._call("POST", "/v1/assets", {**body, "sealed_keys": b64encode(sealed_keys)}, signed=True)
        return str(answer["id"]), int(answer["entry"])

    def assets(self) -> list[dict[str, Any]]:
        """The newest active version of every asset, as the authority tells it; nothing is verified yet."""
        return list(self._call("GET", "/v1/assets"))

    def asset(self, asset: str) -> dict[str, Any]:
        return dict(self._call("GET", f"/v1/assets/{asset}"))

    def withdraw(self, asset: str, *, shred: bool) -> int:
        query = "?shred=true" if shred else ""
        return int(self._call("DELETE", f"/v1/assets/{asset}{query}", signed=True)["entry"])

    def read_part(self, asset: str, name: str, first: int, last: int) -> bytes:
        """Bytes ``first`` to ``last``, both included, of a sealed part."""
        where = f"/v1/assets/{asset}/parts/{name}"
        return self._unsigned(where, {"Range": f"bytes={first}-{last}"}, max_bytes=last - first + 1)

    # --- requests ---------------------------------------------------------------------------------

    def submit(self, spec: bytes, code: str, contact: bytes | None, *, dry_run: bool = False) -> dict[str, Any]:
        body = {"spec": spec.decode(), "code": code, "dry_run": dry_run}
        body |= {} if contact is None else {"contact": contact.decode()}
        return dict(self._call("POST", "/v1/requests", body, signed=True))

    def requests(self) -> list[dict[str, Any]]:
        return list(self._call("GET", "/v1/requests", signed=True))

    def approve(self, envelope: bytes) -> int:
        return int(self._call("POST", "/v1/approvals", {"verdict": envelope.decode()}, signed=True)["entry"])

    def deny(self, envelope: bytes) -> int:
        return int(self._call("POST", "/v1/denials", {"verdict": envelope.decode()}, signed=True)["entry"])

    # --- the guest's calls ------------------------------------------------------------------------

    def challenge(self, spec: str) -> bytes:
        return bytes.fromhex(self._call("POST", f"/v1/challenges/{spec}")["nonce"])

    def release(
        self, spec: bytes, asset: str, nonce: bytes, hpke_public_key: bytes, evidence: Evidence
    ) -> tuple[bytes, tuple[str, ...] | None, DisclosedEntry]:
        """Sealed keys, the columns they open, and ``key.released`` in the log; nothing is verified yet."""
        body = {
            "spec": spec.decode(),
            "asset": asset,
            "nonce": nonce.hex(),
            "hpke_public_key": b64encode(hpke_public_key),
            "evidence": evidence.encode().decode(),
        }
        answer = self._call("POST", "/v1/release", body)
        columns = None if answer["columns"] is None else tuple(answer["columns"])
        return b64decode(answer["sealed_keys"]), columns, DisclosedEntry.from_json(answer["logged"])

    def post_records(self, spec: str, records: bytes, receipt: bytes) -> int:
        """Bring a run's records and its receipt's envelope; returns the index of ``run.records``."""
        body = {"records": records.decode(), "receipt": receipt.decode()}
        return int(self._call("POST", f"/v1/runs/{spec}/records", body)["entry"])

    # --- runs and the log -------------------------------------------------------------------------

    def report_end(self, spec: str, state: str, reason: str) -> int:
        body = {"state": state, "reason": reason}
        return int(self._call("POST", f"/v1/runs/{spec}/end", body, signed=True)["entry"])

    def history(self, spec: str, *, witnesses: int = 0) -> RunHistory:
        """All that the authority has about a run; nothing is verified yet.

        Args:
            witnesses: how many cosignatures the checkpoint must have that ``run.records`` is proven under.
        """
        query = f"?witnesses={witnesses}" if witnesses else ""
        answer = self._call("GET", f"/v1/runs/{spec}{query}", signed=True)
        try:
            records, receipt = answer["records"], answer["receipt"]
            return RunHistory(
                entries=tuple(map(DisclosedEntry.from_json, answer["entries"])),
                records=None if records is None else str(records).encode(),
                receipt=None if receipt is None else str(receipt).encode(),
            )
        except (KeyError, TypeError):
            raise MalformedDocument("An authority's answer is not of the expected form.") from None

    def proof(self, index: int) -> LogProof:
        return LogProof.from_json(self._call("GET", f"/v1/log/proof/{index}"))

    def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        return tuple(b64decode(item) for item in self._call("GET", f"/v1/log/consistency/{old}/{new}"))

    def follow_log(self, memory: CheckpointMemory) -> Checkpoint:
        """The log's newest checkpoint, proven to extend the last one that ``memory`` saw."""
        facts = self.facts
        key = public_key_from_did(facts.did)
        return memory.follow(lambda: self._bytes("GET", "/v1/log/checkpoint"), facts.origin, key, self.consistency)

    def log_file(self, path: str) -> bytes:
        """A file of the log, such as ``tile/0/000``; nothing is verified yet (:func:`transparency.reader.read_log`)."""
        return self._bytes("GET", f"/log/{path}")

    def forget(self, index: int) -> None:
        """Make the authority forget what an entry of its log meant; for its owner."""
        self._bytes("DELETE", f"/v1/log/entries/{index}/meaning", signed=True)

    def cosign(self, memory: CheckpointMemory) -> Checkpoint:
        """Follow the log as :meth:`follow_log` does, and give it our cosignature on what was seen.

        Raises:
            SignatureInvalid: the log does not know us as a witness. BadInput: this client has no identity.
        """
        if self.identity is None:
            raise BadInput("This call needs an identity.")
        at, seen = int(self._now()), self.follow_log(memory)  # what is seen after ``at`` is later
        line = cosign(seen.encode().decode(), witness_name(self.identity.did), self.identity.signing, at=at)
        self._send("POST", f"/v1/log/cosignatures/{seen.tree_size}", line.encode().encode())
        return seen
