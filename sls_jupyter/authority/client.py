"""The other side of the authority's HTTP door, for people and for guests."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from sls_jupyter.attestation.evidence import Evidence
from sls_jupyter.documents import b64decode, b64encode, parse_json, verify
from sls_jupyter.errors import BadInput, MalformedDocument, SlsError, Unavailable, VerificationError, from_problem
from sls_jupyter.identity import Contact, Identity, make_token, public_key_from_did, verify_signature
from sls_jupyter.transparency.checkpoint import Checkpoint, log_origin
from sls_jupyter.transparency.cosignature import cosign, witness_name
from sls_jupyter.transparency.memory import CheckpointMemory
from sls_jupyter.transparency.proofs import DisclosedEntry, LogProof

TIMEOUT_SECONDS = 30.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def check_url(url: str) -> str:
    """The URL without a trailing slash; plain HTTP is for this machine only.

    Raises:
        BadInput: not an HTTP URL, or one that would cross a network unencrypted.
    """
    try:
        parts = urlsplit(str(httpx.URL(url)))
        _ = parts.port  # raises when it is no port
    except (ValueError, httpx.InvalidURL):
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise BadInput("This is not the URL of an authority.", found=url[:200], expected="https://host[:port]")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise BadInput(
            "An authority on another machine is reached over HTTPS only.",
            found=url[:200],
            hint=f"Use https://{parts.netloc}{parts.path}",
        )
    return url.rstrip("/")


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


class AuthorityClient:
    """Calls to one authority.

    Args:
        url: where it listens.
        identity: who calls; ``None`` for a guest, which can only ask for challenges and keys.
        did: which authority is expected there; ``None`` takes the one that answers first.

    Every method raises what the authority raised, as the same class, and :class:`Unavailable` when it
    does not answer.
    """

    def __init__(
        self,
        url: str,
        identity: Identity | None = None,
        did: str | None = None,
        *,
        now: Callable[[], float] = time.time,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self.url = check_url(url)
        self.identity = identity
        self._did = did
        self._now = now
        self._facts: AuthorityFacts | None = None
        self._http = httpx.Client(timeout=timeout, trust_env=False)

    def close(self) -> None:
        self._http.close()

    @property
    def did(self) -> str:
        return self._did or self.facts.did

    @property
    def facts(self) -> AuthorityFacts:
        """What :meth:`about` said last; asked for on first use."""
        return self._facts or self.about()

    # --- transport --------------------------------------------------------------------------------

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None, *, signed: bool = False) -> Any:
        return parse_json(self._bytes(method, path, body, signed=signed), max_bytes=MAX_ANSWER_BYTES)

    def _bytes(self, method: str, path: str, body: dict[str, Any] | None = None, *, signed: bool = False) -> bytes:
        data = b"" if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        if signed:
            headers["Authorization"] = "Bearer " + self._token(method, path, data)
        return self._send(self._http.build_request(method, self.url + path, content=data, headers=headers))

    def _token(self, method: str, path: str, data: bytes) -> str:
        if self.identity is None:
            raise BadInput("This call needs an identity.")
        where = urlsplit(self.url + path).path
        return make_token(
            self.identity.signing, audience=self.did, method=method, path=where, body=data, now=int(self._now())
        )

    def _send(self, request: httpx.Request) -> bytes:
        try:
            response = self._http.send(request)
        except httpx.HTTPError as error:
            raise Unavailable(
                "The authority does not answer.",
                found=f"{self.url}: {type(error).__name__}",
                hint="Ask its owner to start it (sls authority serve, or a notebook with sls_jupyter loaded).",
            ) from None
        if response.is_success:
            return response.content
        raise self._error(response)

    def _error(self, response: httpx.Response) -> SlsError:
        try:
            problem = parse_json(response.content)
        except MalformedDocument:
            problem = None
        if isinstance(problem, dict) and "type" in problem:
            return from_problem(problem, f"the authority at {self.url}")
        return Unavailable(
            "Something else than an authority answers there.", found=f"{self.url}: HTTP {response.status_code}"
        )

    # --- the authority and its catalogue ----------------------------------------------------------

    def about(self) -> AuthorityFacts:
        """Who answers at this URL.

        Raises:
            VerificationError: another authority than the one expected.
        """
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
        if self._did is not None and facts.did != self._did:
            raise VerificationError(
                "Another authority answers at this URL.",
                found=facts.did,
                expected=self._did,
                hint="Ask the owner for the present URL and DID of the authority.",
            )
        if facts.origin != log_origin(facts.did):
            raise VerificationError(
                "An authority gives its log another name.", found=facts.origin, expected=log_origin(facts.did)
            )
        self._did, self._facts = facts.did, facts
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
        headers = {"Range": f"bytes={first}-{last}"}
        return self._send(
            self._http.build_request("GET", f"{self.url}/v1/assets/{asset}/parts/{name}", headers=headers)
        )

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
        request = self._http.build_request(
            "POST", f"{self.url}/v1/log/cosignatures/{seen.tree_size}", content=line.encode().encode()
        )
        self._send(request)
        return seen
