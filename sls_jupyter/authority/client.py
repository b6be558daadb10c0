"""The other side of the authority's HTTP door, for people and for guests."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from sls_jupyter.attestation.claims import Evidence
from sls_jupyter.authority.answers import (
    MAX_PAGE,
    About,
    AssetAnswer,
    ChallengeAnswer,
    Consistency,
    EntryAnswer,
    FilesAnswer,
    HistoryAnswer,
    MutedAnswer,
    MutesAnswer,
    PublishAnswer,
    ReleaseAnswer,
    RequestDetail,
    RequestPage,
    SubmitAnswer,
    WithdrawAnswer,
)
from sls_jupyter.authority.transport import MAX_ANSWER_BYTES, MAX_ANSWER_VALUES, Transport, check_url
from sls_jupyter.contract.proposal import CellText
from sls_jupyter.documents import Model, b64decode, b64encode, verify
from sls_jupyter.errors import BadInput, MalformedDocument, VerificationError
from sls_jupyter.identity import Appointment, Contact, public_key_from_did, verify_signature
from sls_jupyter.transparency.checkpoint import Checkpoint, log_origin
from sls_jupyter.transparency.cosignature import cosign, witness_name
from sls_jupyter.transparency.memory import CheckpointMemory
from sls_jupyter.transparency.proofs import DisclosedEntry, LogProof

A = TypeVar("A", bound=Model)
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
    simulated_roots: tuple[str, ...] | None  # hex of the roots that it believes; None: its version does not say
    version: str


@dataclass(frozen=True, slots=True)
class RunHistory:
    """What one authority has about a run."""

    entries: tuple[DisclosedEntry, ...]
    records: bytes | None  # the record file
    receipt: bytes | None  # its DSSE envelope, signed by the hardware
    extends: Mapping[int, tuple[str, ...]] = field(default_factory=dict)  # hashes in base64, by the size asked about


class AuthorityClient(Transport):
    """The calls of one authority's API, over :class:`Transport`, whose arguments and errors are those of this class."""

    _known: AuthorityFacts | None = None

    @property
    def facts(self) -> AuthorityFacts:
        """What :meth:`about` said last; asked for on first use."""
        return self._known or self.about()

    @property
    def known(self) -> AuthorityFacts | None:
        """What :meth:`about` said last; ``None``: it was not asked. Nobody is asked for it."""
        return self._known

    def _told(
        self, cls: type[A], method: str, path: str, body: dict[str, Any] | None = None, *, signed: bool = False
    ) -> A:
        """The answer of a call, of its one form.

        Raises:
            MalformedDocument: of another form; it names the authority's URL.
        """
        return self._read(cls, self._bytes(method, path, body, signed=signed))

    def _read(self, cls: type[A], data: bytes) -> A:
        try:
            return cls.read(data, max_bytes=MAX_ANSWER_BYTES, max_values=MAX_ANSWER_VALUES)
        except MalformedDocument as error:
            raise self._malformed(error) from None

    def _parsed(self, cls: type[A], value: Any) -> A:
        try:
            return cls.from_json(value)
        except MalformedDocument as error:
            raise self._malformed(error) from None

    def _entry(self, path: str, body: dict[str, Any], *, signed: bool = True) -> int:
        return self._told(EntryAnswer, "POST", path, body, signed=signed).entry

    # --- the authority and its catalogue ----------------------------------------------------------

    def about(self) -> AuthorityFacts:
        """Who answers at this URL, proven by its signature, and whose it is, by the owner's.

        Raises:
            VerificationError, SignatureInvalid: it has another name, or nobody made it theirs.
        """
        told = self._told(About, "GET", "/v1/authority")
        envelope = told.owner_contact.encode()
        facts = AuthorityFacts(
            did=told.did,
            origin=told.origin,
            owner=told.owner,
            owner_contact=verify(envelope, Contact, verify_signature, did=told.owner),
            owner_contact_envelope=envelope,
            hpke_public_key=b64decode(told.hpke_public_key),
            tees=told.tees,
            simulated_roots=told.simulated_roots,
            version=told.version,
        )
        if facts.did != self.did:
            raise VerificationError("An authority gives itself another name.", found=facts.did, expected=self.did)
        appointed = verify(told.appointment.encode(), Appointment, verify_signature, did=facts.owner)
        if appointed.authority != facts.did:
            raise VerificationError(
                "An authority says that it is somebody's who named another one.",
                found=facts.did,
                expected=appointed.authority,
            )
        if facts.origin != log_origin(facts.did):
            raise VerificationError(
                "An authority gives its log another name.", found=facts.origin, expected=log_origin(facts.did)
            )
        self._known = facts
        return facts

    def publish(self, manifest: bytes, policy: bytes, module: str | None, sealed_keys: bytes) -> tuple[str, int]:
        """Publish an asset; returns its id and the index of its log entry."""
        body = {"manifest": manifest.decode(), "policy": policy.decode(), "module": module}
        body |= {"sealed_keys": b64encode(sealed_keys)}
        told = self._told(PublishAnswer, "POST", "/v1/assets", body, signed=True)
        return told.id, told.entry

    def assets(self, *, name: str | None = None, after: str = "", limit: int = MAX_PAGE) -> list[AssetAnswer]:
        """The active version of every asset, by name: one page, as the authority tells it; nothing is verified yet.

        Args:
            name: of the one asset that is asked for.
            after: the last name of the page before; an empty page is the end.
        """
        query = {"limit": limit} | ({} if name is None else {"name": name}) | ({"after": after} if after else {})
        value = self._call("GET", f"/v1/assets?{urlencode(query)}")
        if not isinstance(value, list) or len(value) > limit:
            raise self._malformed(MalformedDocument("This is not a list of assets."))
        return [self._parsed(AssetAnswer, one) for one in value]

    def asset(self, asset: str) -> AssetAnswer:
        """An asset by its id or the beginning of that; by a name, its newest version, whatever its state."""
        return self._told(AssetAnswer, "GET", f"/v1/assets/{quote(asset, safe=':')}")

    def withdraw(self, asset: str, *, shred: bool, all_versions: bool = False) -> WithdrawAnswer:
        """Withdraw or shred one version, or every version of its name (``asset`` may be the name then)."""
        query = urlencode({"all": str(all_versions).lower(), "shred": str(shred).lower()})
        path = f"/v1/assets/{quote(asset, safe=':')}?{query}"
        return self._told(WithdrawAnswer, "DELETE", path, signed=True)

    def files(self, asset: str) -> dict[str, bytes]:
        """The files of a code asset that is not confidential; the reader checks the manifest's digests."""
        told = self._told(FilesAnswer, "GET", f"/v1/assets/{quote(asset, safe=':')}/files", signed=True)
        return {one.path: b64decode(one.content) for one in told.files}

    def read_part(self, asset: str, name: str, first: int, last: int) -> bytes:
        """Bytes ``first`` to ``last``, both included, of a sealed part."""
        where = f"/v1/assets/{asset}/parts/{name}"
        return self._unsigned(where, {"Range": f"bytes={first}-{last}"}, max_bytes=last - first + 1)

    # --- requests ---------------------------------------------------------------------------------

    def submit(
        self, spec: bytes, code: str, contact: bytes | None, parameters: bytes | None = None, *, dry_run: bool = False
    ) -> SubmitAnswer:
        body: dict[str, Any] = {"spec": spec.decode(), "code": code, "dry_run": dry_run}
        body |= {} if contact is None else {"contact": contact.decode()}
        body |= {} if parameters is None else {"parameters": b64encode(parameters)}
        return self._told(SubmitAnswer, "POST", "/v1/requests", body, signed=True)

    def submit_cell(
        self,
        spec: bytes,
        orders: Sequence[bytes],
        cells: Sequence[CellText | None],
        contact: bytes | None = None,
        *,
        dry_run: bool = False,
    ) -> SubmitAnswer:
        """Ask for the newest cell of a session.

        Args:
            orders: those of all cells so far, or from one on that follows a cell granted there.
            cells: of all cells; ``None`` for one whose text the authority has.

        Raises:
            UnknownName: it does not have what was left out; send all.
        """
        texts = [None if one is None else {"code": one.code, "parameters": b64encode(one.parameters)} for one in cells]
        body: dict[str, Any] = {"spec": spec.decode(), "orders": [order.decode() for order in orders], "cells": texts}
        body |= {"dry_run": dry_run} | ({} if contact is None else {"contact": contact.decode()})
        return self._told(SubmitAnswer, "POST", "/v1/cells", body, signed=True)

    def requests(self, *, after: int | None = None, limit: int = MAX_PAGE, state: str | None = None) -> RequestPage:
        """A page of requests, newest first, without their code; nothing is verified yet."""
        query: dict[str, object] = {"limit": limit}
        query |= ({} if after is None else {"after": after}) | ({} if state is None else {"state": state})
        return self._told(RequestPage, "GET", f"/v1/requests?{urlencode(query)}", signed=True)

    def request(self, terms: str) -> RequestDetail:
        """One request with its code and parameters, by its id or the beginning of that; nothing is verified yet."""
        return self._told(RequestDetail, "GET", f"/v1/requests/{quote(terms, safe=':')}", signed=True)

    def approve(self, envelope: bytes) -> int:
        return self._entry("/v1/approvals", {"verdict": envelope.decode()})

    def deny(self, envelope: bytes) -> int:
        return self._entry("/v1/denials", {"verdict": envelope.decode()})

    def muted(self) -> tuple[str, ...]:
        """Whom this authority's owner muted; for the owner."""
        return self._told(MutesAnswer, "GET", "/v1/mutes", signed=True).muted

    def mute(self, did: str) -> int:
        """Take no request of somebody any more; returns how many of theirs were dropped. For the owner."""
        return self._told(MutedAnswer, "POST", "/v1/mutes", {"did": did}, signed=True).dropped

    def unmute(self, did: str) -> None:
        self._bytes("DELETE", f"/v1/mutes/{quote(did, safe=':')}", signed=True)

    # --- the guest's calls ------------------------------------------------------------------------

    def challenge(self, spec: str) -> bytes:
        return bytes.fromhex(self._told(ChallengeAnswer, "POST", f"/v1/challenges/{spec}").nonce)

    def release(
        self, spec: bytes, asset: str, nonce: bytes, hpke_public_key: bytes, evidence: Evidence
    ) -> ReleaseAnswer:
        """Sealed keys, the columns they open, and ``key.released`` in the log; nothing is verified yet."""
        body = {
            "spec": spec.decode(),
            "asset": asset,
            "nonce": nonce.hex(),
            "hpke_public_key": b64encode(hpke_public_key),
            "evidence": evidence.encode().decode(),
        }
        return self._told(ReleaseAnswer, "POST", "/v1/release", body)

    def post_records(self, spec: str, records: bytes, receipt: bytes) -> int:
        """Bring a run's records and its receipt's envelope; returns the index of ``run.records``."""
        body = {"records": records.decode(), "receipt": receipt.decode()}
        return self._entry(f"/v1/runs/{spec}/records", body, signed=False)

    # --- runs and the log -------------------------------------------------------------------------

    def report_end(self, spec: str, state: str, reason: str) -> int:
        body = {"state": state, "reason": reason}
        return self._entry(f"/v1/runs/{spec}/end", body)

    def history(
        self,
        spec: str,
        *,
        witnesses: int = 0,
        cell: int | None = None,
        receipt_within: int | None = None,
        extends: Collection[int] = (),
    ) -> RunHistory:
        """All that the authority has about a run, or about one cell of a session; nothing is verified yet.

        Args:
            witnesses: how many cosignatures the checkpoint must have that ``run.records`` is proven under.
            cell: of a session, from 1; the newest by default.
            receipt_within: nothing is wanted without a receipt; seconds that the authority waits for one,
                :data:`~sls_jupyter.authority.answers.MAX_RECEIPT_WAIT` at most.
            extends: earlier sizes of the log, of which consistency proofs are wanted.
        """
        asked: dict[str, Any] = {"witnesses": witnesses} if witnesses else {}
        asked |= ({} if cell is None else {"cell": cell}) | ({"extends": sorted(extends)} if extends else {})
        asked |= {} if receipt_within is None else {"receipt_within": receipt_within}
        query = f"?{urlencode(asked, doseq=True)}" if asked else ""
        told = self._told(HistoryAnswer, "GET", f"/v1/runs/{spec}{query}", signed=True)
        if told.log != self.did:
            raise VerificationError("An authority shows another log.", found=told.log, expected=self.did)
        return RunHistory(
            entries=told.entries,
            records=None if told.records is None else told.records.encode(),
            receipt=None if told.receipt is None else told.receipt.encode(),
            extends={one.tree_size: one.hashes for one in told.extends},
        )

    def proof(self, index: int) -> LogProof:
        return self._told(LogProof, "GET", f"/v1/log/proof/{index}")

    def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        told = self._parsed(Consistency, {"hashes": self._call("GET", f"/v1/log/consistency/{old}/{new}")})
        return tuple(b64decode(item) for item in told.hashes)

    def follow_log(self, memory: CheckpointMemory) -> Checkpoint:
        """The log's newest checkpoint, proven to extend the last one that ``memory`` saw."""
        facts = self.facts
        key = public_key_from_did(facts.did)
        return memory.follow(lambda: self._bytes("GET", "/v1/log/checkpoint"), facts.origin, key, self.consistency)

    def newest_checkpoint(self) -> bytes:
        """The log's newest checkpoint as it is told, and nothing of it is verified: another one means that something was logged."""
        return self._bytes("GET", "/v1/log/checkpoint")

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
