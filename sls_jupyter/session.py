"""One persona's session: everything a magic, the command line or a script can do, as plain calls.

``sls_jupyter.connect()`` gives one. It knows the persona's keys, its embedded authority (started when it
is first needed), the other authorities it is connected to, and the hosts runs can be placed on.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sls_jupyter.assets.manifest import AssetManifest
from sls_jupyter.assets.opening import verify_manifest
from sls_jupyter.assets.sealing import SealedAsset, remove, seal, seal_code
from sls_jupyter.attestation.evidence import TrustAnchors
from sls_jupyter.attestation.simulated import DevelopmentChain
from sls_jupyter.authority.catalogue import seal_keys
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.authority.embedded import AuthorityServer, ensure_running
from sls_jupyter.authority.service import open_authority
from sls_jupyter.contract.grants import Approval, Denial
from sls_jupyter.contract.image import installed_image
from sls_jupyter.contract.spec import (
    KINDS,
    SPEC_SECONDS,
    AssetInput,
    Limits,
    Recipient,
    StreamSpec,
    fresh_nonce,
)
from sls_jupyter.documents import b64decode, canonical_json, digest, parse_json, sign, verify
from sls_jupyter.errors import BadInput, SlsError, Unavailable, UnknownName
from sls_jupyter.guest.bundle import open_result
from sls_jupyter.guest.values import pack_parameters, restore
from sls_jupyter.hosts.local import LocalHost
from sls_jupyter.identity import Contact, Home, verify_signature
from sls_jupyter.policy.decide import Decision
from sls_jupyter.policy.model import OwnerPolicy
from sls_jupyter.policy.options import policy_from_options, policy_from_yaml
from sls_jupyter.safestream.host import Host
from sls_jupyter.safestream.manager import Manager
from sls_jupyter.safestream.request import Answers, StreamRequest, ask_all
from sls_jupyter.safestream.run import Run
from sls_jupyter.transparency.chain import parse_records, verify_chain
from sls_jupyter.transparency.entries import Entry, open_commitment
from sls_jupyter.transparency.memory import CheckpointMemory
from sls_jupyter.transparency.proofs import LogProof, verify_log_proof

APPROVAL_SECONDS = 90 * 86400  # how long an approval holds unless the policy ends earlier


@dataclass(frozen=True, slots=True)
class AssetInfo:
    """An asset as its authority's catalogue tells it, signatures checked."""

    id: str
    name: str
    owner_name: str
    manifest: AssetManifest
    manifest_envelope: bytes = field(repr=False)
    policy: OwnerPolicy
    mine: bool
    names: Mapping[str, str] = field(repr=False)  # DID -> name

    @property
    def bytes(self) -> int:
        """Sealed size."""
        return sum(part.size for part in self.manifest.parts)


@dataclass(frozen=True, slots=True)
class Sealed:
    """What sealing gave: the asset, and the proof that its publication is in the log."""

    info: AssetInfo
    seconds: float
    proof: LogProof
    entry: Entry


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """A request that waits for somebody, or did."""

    id: str
    state: str
    requester: str
    requester_name: str
    authority: str
    code: str
    spec: StreamSpec
    assets: tuple[str, ...]
    mine_to_decide: bool


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


class Session:
    """Everything one persona can do.

    Args:
        home: whose; see :class:`sls_jupyter.identity.Home`.
        hosts: where runs can be placed, by name; the local host by default.
    """

    def __init__(self, home: Home, hosts: Mapping[str, Host] | None = None) -> None:
        self.home = home
        self.identity = home.identity()
        self._machine = home.root / "machine"
        self._machine.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._chain = DevelopmentChain.load_or_create(self._machine)
        self.anchors = TrustAnchors(simulated_ark_spki=frozenset({self._chain.root_pin}))
        self.hosts: dict[str, Host] = dict(hosts) if hosts is not None else {"local": LocalHost(self._machine)}
        self._server: AuthorityServer | None = None
        self._own_url = ""
        self._clients: dict[str, AuthorityClient] = {}  # by URL
        self._runs: dict[str, Run] = {}
        self._memory = CheckpointMemory(home.folder("checkpoints"))

    @property
    def name(self) -> str:
        return self.home.persona

    @property
    def did(self) -> str:
        return self.identity.did

    def close(self) -> None:
        """Stop the embedded authority, if this process serves it, and every run."""
        for run in self._runs.values():
            run.cancel(timeout=5)
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        if self._server is not None:
            self._server.stop()
            self._server = None
            self._own_url = ""

    # --- authorities ------------------------------------------------------------------------------

    def _client(self, url: str, did: str | None = None) -> AuthorityClient:
        client = self._clients.get(url)
        if client is None:
            client = self._clients[url] = AuthorityClient(url, self.identity, did)
        return client

    def own_authority(self) -> AuthorityClient:
        """This persona's embedded authority, started if nobody serves it yet."""
        if not self._own_url:
            authority = open_authority(self.home, anchors=self.anchors)
            self._own_url, self._server = ensure_running(authority, self.home.folder("authority"))
        return self._client(self._own_url)

    def _connections(self) -> dict[str, str]:
        """Connected authorities of others: URL -> DID, as first seen."""
        path = self.home.path / "authorities.json"
        return dict(parse_json(path.read_bytes())) if path.exists() else {}

    def connect(self, url: str) -> str:
        """Remember another owner's authority; returns its owner's name.

        Raises:
            BadInput: not a URL of one. Unavailable: nobody answers there.
        """
        client = AuthorityClient(url, self.identity)
        facts = client.about()
        known = {**self._connections(), client.url: facts.did}
        path = self.home.path / "authorities.json"
        scratch = path.with_suffix(".new")
        scratch.write_bytes(canonical_json(known))
        scratch.replace(path)
        self._clients[client.url] = client
        return facts.owner_contact.name

    def authorities(self) -> list[AuthorityClient]:
        """Own, connected, and those of this user's other personas that are being served; own first."""
        urls = {self._own_url: None} if self._own_url or self._has_assets() else {}
        if urls:
            urls = {self.own_authority().url: None}
        found: dict[str, str | None] = {**urls, **self._connections()}
        for persona in self.home.personas():
            port = self.home.root / "personas" / persona / "authority" / "port"
            if port.exists():
                found.setdefault(f"http://127.0.0.1:{port.read_text()}", None)
        clients = []
        for url, did in found.items():
            client = self._client(url, did)
            with contextlib.suppress(Unavailable):
                client.about()
                clients.append(client)
        return clients

    def _has_assets(self) -> bool:
        return (self.home.path / "authority" / "authority.db").exists()

    def names(self) -> dict[str, str]:
        """DID -> name of everybody this persona knows of."""
        found = {self.did: self.name}
        for client in self.authorities():
            facts = client.about()
            found |= {facts.owner: facts.owner_contact.name, facts.did: f"{facts.owner_contact.name}'s authority"}
        for contact in self._contacts():
            found.setdefault(contact.did, contact.name)
        return found

    def _contacts(self) -> list[Contact]:
        """Contacts of this user's personas and of connected authorities' owners."""
        found = {client.about().owner: client.about().owner_contact for client in self.authorities()}
        for persona in self.home.personas():
            contact = Home(self.home.root, persona).identity().contact()
            found.setdefault(contact.did, contact)
        return list(found.values())

    def whoami(self) -> dict[str, str]:
        """Name, DID and folder of this persona."""
        return {"name": self.name, "did": self.did, "home": str(self.home.path)}

    # --- sealing ----------------------------------------------------------------------------------

    def _policy(self, policy: str | Path | None, options: dict[str, Any]) -> tuple[OwnerPolicy, str | None]:
        now = int(time.time())
        if policy is None:
            return policy_from_options(self.did, now=now, **options), None
        path = Path(policy)
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput("The policy file cannot be read.", found=f"{path}: {type(error).__name__}") from None
        if path.suffix == ".rego":
            options = {**options, "module": digest(text.encode())}
            return policy_from_options(self.did, now=now, **options), text
        if any(value is not None for value in options.values()):
            given = ", ".join(name for name, value in options.items() if value is not None)
            raise BadInput(
                "A policy comes from a file or from options, not from both.",
                found=given,
                hint="Put these into the file, or leave --policy away.",
            )
        return policy_from_yaml(text, self.did, now), None

    def seal(
        self,
        data: Any,
        name: str,
        *,
        policy: str | Path | None = None,
        column_groups: Mapping[str, Sequence[str]] | None = None,
        storage: str | None = None,
        authority: str | None = None,
        progress: Callable[[int, int | None], None] | None = None,
        **options: Any,
    ) -> Sealed:
        """Seal a table and publish it with its policy.

        Args:
            data: a frame, anything Arrow, or the path of a file; see :func:`sls_jupyter.assets.sealing.seal`.
            policy: a YAML file with the options' names, or a .rego module.
            storage: fsspec URL of the folder to seal into; this persona's own folder by default.
            authority: URL of the authority that gets the keys; this persona's own by default.
            options: of the policy, see :func:`sls_jupyter.policy.options.policy_from_options`.

        Raises:
            UnsealableData, BadInput, Unavailable: nothing is published then, and nothing left behind.
        """

        def make(place: dict[str, Any]) -> SealedAsset:
            return seal(data, name=name, column_groups=column_groups, progress=progress, **place)

        return self._publish(make, name, policy, storage, authority, options)

    def seal_code(
        self,
        code: str | Mapping[str, bytes],
        name: str,
        *,
        confidential: bool = False,
        policy: str | Path | None = None,
        storage: str | None = None,
        authority: str | None = None,
        **options: Any,
    ) -> Sealed:
        """Seal code (one cell's text, or files by path) and publish it with its policy."""
        files = {"cell.py": code.encode()} if isinstance(code, str) else dict(code)

        def make(place: dict[str, Any]) -> SealedAsset:
            return seal_code(files, name=name, confidential=confidential, **place)

        return self._publish(make, name, policy, storage, authority, options)

    def _publish(
        self,
        make: Callable[[dict[str, Any]], SealedAsset],
        name: str,
        policy: str | Path | None,
        storage: str | None,
        authority: str | None,
        options: dict[str, Any],
    ) -> Sealed:
        start = time.monotonic()
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}", name):
            raise BadInput("An asset's name is letters, digits, _ . -", found=name[:60], hint="Choose one with --as.")
        owner_policy, module = self._policy(policy, options)
        client = self.own_authority() if authority is None else self._client(authority)
        facts = client.about()
        previous = next((one.id for one in self._assets_of(client, {}) if one.name == name and one.mine), None)
        folder = storage or (self.home.folder("assets") / f"{name}-{secrets.token_hex(6)}").as_uri()
        sealed = make(
            {
                "owner": self.identity,
                "authority": facts.did,
                "authority_url": client.url,
                "policy": owner_policy.digest,
                "storage": folder,
                "created_at": int(time.time()),
                "previous": previous,
            }
        )
        try:
            keys = seal_keys(facts.hpke_public_key, sealed.digest, sealed.keys)
            asset, entry = client.publish(sealed.envelope, sign(owner_policy, self.identity), module, keys)
        except BaseException:
            remove(sealed.manifest)
            raise
        proof, proven = self._prove(client, entry)
        return Sealed(self.asset(asset), time.monotonic() - start, proof, proven)

    def _prove(self, client: AuthorityClient, index: int) -> tuple[LogProof, Entry]:
        """The entry at ``index``, proven under a checkpoint that extends the last one we saw."""
        client.follow_log(self._memory)
        proof = client.proof(index)
        return proof, verify_log_proof(proof, expected_log=client.did)

    # --- the catalogue ----------------------------------------------------------------------------

    def _info(self, value: dict[str, Any], names: Mapping[str, str]) -> AssetInfo:
        envelope = canonical_json(value["manifest"])
        manifest = verify_manifest(envelope, str(value["id"]))
        policy = verify(canonical_json(value["policy"]), OwnerPolicy, verify_signature, did=manifest.owner)
        owner = names.get(manifest.owner, manifest.owner)
        return AssetInfo(
            manifest.digest, manifest.name, owner, manifest, envelope, policy, manifest.owner == self.did, names
        )

    def _assets_of(self, client: AuthorityClient, names: Mapping[str, str]) -> list[AssetInfo]:
        return [self._info(value, names) for value in client.assets()]

    def assets(self) -> list[AssetInfo]:
        """Every asset this persona can see, its own first."""
        names = self.names()
        found = [info for client in self.authorities() for info in self._assets_of(client, names)]
        return sorted(found, key=lambda info: (not info.mine, info.owner_name, info.name))

    def asset(self, name: str) -> AssetInfo:
        """The asset of that name, ``owner/name``, or id.

        Raises:
            UnknownName: none, with the nearest names. BadInput: several owners have one.
        """
        known = self.assets()
        fitting = [one for one in known if name in (one.name, one.id, f"{one.owner_name}/{one.name}")]
        if not fitting and name.startswith("sha256:"):
            for client in self.authorities():
                with contextlib.suppress(UnknownName):
                    return self._info(client.asset(name), self.names())
        if not fitting:
            import difflib

            near = difflib.get_close_matches(name, [one.name for one in known], 3)
            raise UnknownName(
                f"There is no asset {name}.",
                expected=", ".join(near or sorted({one.name for one in known})[:8]) or None,
                hint=f"Did you mean {near[0]}?"
                if near
                else "%sls assets lists what you can see; %sls connect URL adds another owner's authority.",
            )
        if len(fitting) > 1:
            raise BadInput(
                f"Several owners have an asset {name}.",
                found=", ".join(f"{one.owner_name}/{one.name}" for one in fitting),
                hint=f"Name the owner: -i {fitting[0].owner_name}/{name}",
            )
        return fitting[0]

    def withdraw(self, name: str, *, shred: bool = False) -> int:
        """Stop granting an asset; with ``shred``, destroy its keys for good. Returns the log's index."""
        info = self.asset(name)
        return self._client(info.manifest.authority_url, info.manifest.authority).withdraw(info.id, shred=shred)

    # --- requests ---------------------------------------------------------------------------------

    def requests(self) -> list[RequestInfo]:
        """Requests that wait for this persona, and its own; newest first."""
        found = []
        for client in self.authorities():
            owner = client.about().owner
            for value in client.requests():
                spec = verify(str(value["spec"]).encode(), StreamSpec, verify_signature, did=None)
                found.append(
                    RequestInfo(
                        id=str(value["id"]),
                        state=str(value["state"]),
                        requester=spec.requester,
                        requester_name=str(value["requester_name"]) or spec.requester,
                        authority=str(value["authority"]),
                        code=str(value["code"]),
                        spec=spec,
                        assets=tuple(value["assets"]),
                        mine_to_decide=spec.requester != self.did or owner == self.did,
                    )
                )
        return found

    def request(self, id_: str) -> RequestInfo:
        """The request whose id begins like that.

        Raises:
            UnknownName: none, or several.
        """
        wanted = id_.removeprefix("sha256:")
        fitting = [one for one in self.requests() if wanted and one.id.removeprefix("sha256:").startswith(wanted)]
        mine = [one for one in fitting if one.mine_to_decide] or fitting
        if len(mine) != 1:
            raise UnknownName(
                "There is no such request." if not mine else "Several requests begin like that.",
                found=id_[:80],
                hint="%sls requests lists them.",
            )
        return mine[0]

    def _client_of(self, did: str) -> AuthorityClient:
        found = next((client for client in self.authorities() if client.did == did), None)
        if found is None:
            raise Unavailable("That authority does not answer.", found=did, hint="%sls connect URL, or start it.")
        return found

    def approve(self, id_: str, reason: str = "", *, expires_in: int = APPROVAL_SECONDS) -> int:
        """Approve a request on its terms; returns the index of the log entry.

        The approval holds for every run with the same code, assets, columns, parameters, outputs and
        recipients by the same requester, until it expires.
        """
        request, now = self.request(id_), int(time.time())
        approval = Approval(
            approver=self.did,
            authority=request.authority,
            terms=request.spec.terms,
            code=request.spec.code_digests,
            requester=request.requester,
            reason=reason,
            issued_at=now,
            expires_at=now + expires_in,
        )
        return self._client_of(request.authority).approve(sign(approval, self.identity))

    def deny(self, id_: str, reason: str) -> int:
        """Deny a request; the requester reads the reason. Returns the index of the log entry."""
        if not reason.strip():
            raise BadInput("A denial needs a reason; the requester will read it.", hint='--reason "…"')
        request = self.request(id_)
        denial = Denial(
            approver=self.did,
            authority=request.authority,
            terms=request.spec.terms,
            requester=request.requester,
            reason=reason,
            issued_at=int(time.time()),
        )
        return self._client_of(request.authority).deny(sign(denial, self.identity))

    # --- runs -------------------------------------------------------------------------------------

    def prepare(
        self,
        code: str,
        inputs: Iterable[str],
        *,
        outputs: Iterable[str] = (),
        code_assets: Iterable[str] = (),
        parameters: Mapping[str, Any] | None = None,
        purpose: str = "",
        recipients: Iterable[str] = (),
        tees: Iterable[str] = (),
        kinds: Iterable[str] = KINDS,
        limits: Limits | None = None,
    ) -> StreamRequest:
        """Make and sign the contract of one run; nothing is sent yet.

        Args:
            inputs: ``ASSET[=alias][:col,col]`` each; the alias is the variable in the cell.
            outputs: names of variables to return.
            code_assets: names of sealed code that runs before the cell.
            recipients: DIDs or names; the requester by default.
            tees: accepted kinds of TEE; those of this session's hosts by default.

        Raises:
            UnknownName, BadInput: with the fix.
        """
        chosen = [self._input(text, "table") for text in inputs] + [self._input(name, "code") for name in code_assets]
        if not chosen:
            raise BadInput("A SafeStream needs at least one asset.", hint="Name it with -i ASSET.")
        aliases = [item.alias for item, _ in chosen]
        if len(set(aliases)) < len(aliases):
            raise BadInput("Two inputs have one alias.", found=", ".join(aliases), hint="Write -i NAME=another_alias.")
        packed, now = pack_parameters(parameters or {}), int(time.time())
        accepted = sorted(set(tees) or {host.capabilities().tee for host in self.hosts.values()})
        spec = StreamSpec(
            requester=self.did,
            purpose=purpose,
            inputs=tuple(sorted((item for item, _ in chosen), key=lambda item: item.alias)),
            code=digest(code.encode()),
            parameters=digest(packed),
            outputs=tuple(sorted(set(outputs))),
            kinds=tuple(kind for kind in KINDS if kind in set(kinds)),
            recipients=self._recipients(recipients),
            limits=limits or Limits(),
            tees=tuple(accepted),
            nonce=fresh_nonce(),
            issued_at=now,
            expires_at=now + SPEC_SECONDS,
        )
        manifests = {info.id: info.manifest_envelope for _, info in chosen}
        contact = sign(self.identity.contact(), self.identity)
        return StreamRequest(spec, sign(spec, self.identity), code, packed, manifests, contact)

    def _input(self, text: str, kind: str) -> tuple[AssetInput, AssetInfo]:
        name, alias, columns = parse_input(text)
        info = self.asset(name)
        if info.manifest.kind != kind:
            raise BadInput(
                f"{name} is sealed {info.manifest.kind}.", expected=f"a sealed {kind}", hint="Tables: -i. Code: -c."
            )
        unknown = sorted(set(columns or ()) - set(info.manifest.columns)) if info.manifest.columns else []
        if unknown:
            raise UnknownName(
                f"{name} has no column {unknown[0]}.",
                found=", ".join(unknown),
                expected=", ".join(info.manifest.columns),
            )
        item = AssetInput(
            alias=alias or name.rpartition("/")[2].replace("-", "_").replace(".", "_"),
            asset=info.id,
            kind=info.manifest.kind,
            columns=None if columns is None else tuple(sorted(set(columns))),
            owner=info.manifest.owner,
            authority=info.manifest.authority,
            authority_url=info.manifest.authority_url,
        )
        return item, info

    def _recipients(self, wanted: Iterable[str]) -> tuple[Recipient, ...]:
        contacts = {contact.did: contact for contact in self._contacts()}
        contacts[self.did] = self.identity.contact()
        by_name = {contact.name: contact for contact in contacts.values()}
        found = {}
        for one in list(wanted) or [self.did]:
            contact = contacts.get(one) or by_name.get(one)
            if contact is None:
                raise UnknownName(
                    "This recipient's key is not known.",
                    found=one,
                    expected=", ".join(sorted(by_name)),
                    hint="%sls connect URL of the recipient's authority makes it known.",
                )
            found[contact.did] = Recipient(did=contact.did, hpke_public_key=contact.hpke_public_key)
        return tuple(found[did] for did in sorted(found))

    def preflight(self, request: StreamRequest) -> dict[str, Decision]:
        """What every owner would decide, by alias; nothing is asked, run or logged."""
        return dict(self._ask(request, dry_run=True).decisions)

    def _ask(self, request: StreamRequest, *, dry_run: bool) -> Answers:
        return ask_all(request, self._run_clients(request), dry_run=dry_run)

    def _run_clients(self, request: StreamRequest) -> dict[str, AuthorityClient]:
        return {did: self._client(url, did) for did, url in request.spec.authorities()}

    def run(self, request: StreamRequest, *, host: str | None = None, wait_for_approval: bool = False) -> Run:
        """Start a run; returns its handle at once.

        Args:
            wait_for_approval: let the run wait for a person; otherwise it ends with
                :class:`ApprovalPending` when one is needed.
        """
        manager = Manager(
            identity=self.identity,
            anchors=self.anchors,
            image=installed_image(),
            hosts=self.hosts,
            clients=self._run_clients(request),
            names=self.names(),
            save_result=self._save_result,
        )
        folder = self._run_folder(request.spec.digest)
        (folder / "spec.json").write_bytes(request.envelope)
        run = manager.launch(request, host=host, wait_for_approval=wait_for_approval)
        self._runs[run.id] = run
        return run

    # --- what is remembered of runs ---------------------------------------------------------------

    def _run_folder(self, spec_digest: str) -> Path:
        folder = self.home.folder("runs") / spec_digest.removeprefix("sha256:")[:12]
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _save_result(self, spec_digest: str, recipient: str, sealed: bytes) -> None:
        name = "result" if recipient == self.did else f"result-{recipient.rpartition(':')[2][-12:]}"
        (self._run_folder(spec_digest) / f"{name}.sealed").write_bytes(sealed)

    def _remember(self, run: Run) -> None:
        state = {
            "state": run.state,
            "tee": run.summary.get("tee", ""),
            "reason": run.error.message if run.error else "",
        }
        (self._run_folder(run.spec_digest) / "end.json").write_text(json.dumps(state))

    def runs(self) -> list[RunRecord]:
        """Runs of this persona, newest first."""
        found = []
        for folder in self.home.folder("runs").iterdir():
            with contextlib.suppress(SlsError, OSError):
                found.append(self._record(folder))
        return sorted(found, key=lambda record: record.started_at, reverse=True)

    def _record(self, folder: Path) -> RunRecord:
        spec = verify((folder / "spec.json").read_bytes(), StreamSpec, verify_signature, did=self.did)
        live = self._runs.get(folder.name)
        if live is not None and live.state != "running":
            self._remember(live)
        end = folder / "end.json"
        known = parse_json(end.read_bytes()) if end.exists() else {}
        state = known.get("state") or ("running" if live is not None else "unknown: its kernel ended")
        return RunRecord(
            id=folder.name,
            spec_digest=spec.digest,
            state=state,
            started_at=spec.issued_at,
            inputs=tuple(item.alias for item in spec.inputs),
            purpose=spec.purpose,
            tee=known.get("tee", ""),
            reason=known.get("reason", ""),
        )

    def _find_run(self, id_: str) -> RunRecord:
        fitting = [one for one in self.runs() if id_ and one.id.startswith(id_.removeprefix("sha256:")[:12])]
        if len(fitting) != 1:
            raise UnknownName(
                "There is no such run." if not fitting else "Several runs begin like that.",
                found=id_[:80],
                hint="%sls runs lists them.",
            )
        return fitting[0]

    def result(self, id_: str) -> dict[str, Any]:
        """The named outputs of a finished run, from its sealed result.

        Raises:
            UnknownName: no such run, or it gave no result to this persona.
        """
        record = self._find_run(id_)
        path = self._run_folder(record.spec_digest) / "result.sealed"
        if not path.exists():
            raise UnknownName("The run has no result for you.", found=record.state, hint="%sls audit RUN says why.")
        result = open_result(path.read_bytes(), record.spec_digest, self.did, self.identity.hpke)
        return {about["name"]: restore(table, about["shape"]) for about, table in result.tables}

    def cancel(self, id_: str) -> Run:
        """Cancel a run of this session.

        Raises:
            UnknownName: no such run, or it belongs to another kernel.
        """
        record = self._find_run(id_)
        run = self._runs.get(record.id)
        if run is None:
            raise UnknownName(
                "That run belongs to another kernel.", found=record.state, hint="Interrupt or restart that kernel."
            )
        return run.cancel()

    def audit(self, id_: str) -> Audit:
        """Everything the authorities logged about a run, every proof checked.

        Raises:
            LogInconsistent, SignatureInvalid, DigestMismatch: an entry is not what or where it should be.
        """
        record = self._find_run(id_)
        spec = verify(
            (self._run_folder(record.spec_digest) / "spec.json").read_bytes(),
            StreamSpec,
            verify_signature,
            did=self.did,
        )
        names, lines, checkpoints = self.names(), [], {}
        chained: tuple[Mapping[str, Any], ...] = ()
        for did, url in spec.authorities():
            client, name = self._client(url, did), names.get(did, did)
            history = client.history(spec.digest)
            checkpoints[name] = client.follow_log(self._memory).tree_size
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
            raise SlsError(
                "The run's records are not the ones in the log.", found=head, expected=", ".join(map(str, roots))
            )
        return tuple(dict(record.body) for record in records)


def parse_input(text: str) -> tuple[str, str | None, list[str] | None]:
    """``ASSET[=alias][:col,col]`` as asset, alias, columns.

    Raises:
        BadInput: an empty part, or an alias that cannot be a variable.
    """
    head, colon, tail = text.partition(":") if not text.startswith("sha256:") else _split_digest(text)
    name, equals, alias = head.partition("=")
    columns = [column.strip() for column in tail.split(",")] if colon else None
    if not name or (equals and not alias.isidentifier()) or (columns is not None and not all(columns)):
        raise BadInput("This input cannot be read.", found=text[:100], expected="ASSET[=alias][:column,column]")
    return name, alias or None, columns


def _split_digest(text: str) -> tuple[str, str, str]:
    head, colon, tail = text[7:].partition(":")
    return "sha256:" + head, colon, tail
