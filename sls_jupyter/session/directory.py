"""Whom a persona knows: its own authority, those it is connected to, and everybody's names and keys."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from sls_jupyter.attestation.evidence import TrustAnchors
from sls_jupyter.attestation.simulated import DevelopmentChain
from sls_jupyter.authority.client import AuthorityClient, check_url
from sls_jupyter.authority.embedded import AuthorityServer, ensure_running
from sls_jupyter.authority.service import open_authority
from sls_jupyter.documents import canonical_json, parse_json
from sls_jupyter.errors import BadInput, SignatureInvalid, Unavailable, UnknownName
from sls_jupyter.identity import Contact, Home
from sls_jupyter.printing import one_line
from sls_jupyter.transparency.checkpoint import Checkpoint
from sls_jupyter.transparency.cosignature import witness_key_of
from sls_jupyter.transparency.entries import Entry
from sls_jupyter.transparency.memory import CheckpointMemory
from sls_jupyter.transparency.proofs import LogProof, verify_log_proof

REACHABLE_SECONDS = 1.0  # how long an answer of the authorities stands for being there


@dataclass(frozen=True, slots=True)
class Silent:
    """An authority that this persona knows and that does not answer."""

    url: str
    name: str  # its owner's, if it is known
    persona: str  # of this user, whose it is; "" for somebody else's

    def __str__(self) -> str:
        return one_line(f"{self.name} ({self.url})" if self.name else f"The authority at {self.url}")

    @property
    def hint(self) -> str:
        """What makes it answer."""
        if self.persona:
            return f"start it: sls authority serve --persona {self.persona}"
        return "ask its owner to start it"


def connections_of(home: Home) -> dict[str, str]:
    """Authorities of others that a persona is connected to: URL -> DID, as first seen."""
    path = home.path / "authorities.json"
    return dict(parse_json(path.read_bytes())) if path.exists() else {}


class Directory:
    """A persona, the authorities it can reach, and the people behind them.

    Args:
        home: whose; see :class:`sls_jupyter.identity.Home`.
    """

    def __init__(self, home: Home) -> None:
        self.home = home
        self.identity = home.identity()
        self.machine = home.root / "machine"  # what all personas of this user share: the simulated processor
        self.machine.mkdir(mode=0o700, parents=True, exist_ok=True)
        pin = DevelopmentChain.load_or_create(self.machine).root_pin
        self.anchors = TrustAnchors(simulated_ark_spki=frozenset({pin}))
        self.memory = CheckpointMemory(home.folder("checkpoints"))
        self._server: AuthorityServer | None = None
        self._own_url = ""
        self._starting = threading.Lock()
        self._clients: dict[str, AuthorityClient] = {}  # by URL
        self._reachable: tuple[float, list[AuthorityClient]] = (-REACHABLE_SECONDS, [])
        self._silent: dict[str, Silent] = {}  # by URL, when last asked

    @property
    def name(self) -> str:
        return self.home.persona

    @property
    def did(self) -> str:
        return self.identity.did

    def close(self) -> None:
        """Stop the embedded authority, if this process serves it."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        if self._server is not None:
            self._server.stop()
            self._server = None
            self._own_url = ""

    def whoami(self) -> dict[str, str]:
        """Name, DID and folder of this persona."""
        return {"name": self.name, "did": self.did, "home": str(self.home.path)}

    def _client(self, url: str, did: str | None = None) -> AuthorityClient:
        client = self._clients.get(url)
        if client is None:
            client = self._clients[url] = AuthorityClient(url, self.identity, did)
        return client

    def own_authority(self) -> AuthorityClient:
        """This persona's embedded authority, started if nobody serves it yet."""
        with self._starting:  # completion works in a thread of its own
            if not self._own_url:
                authority = open_authority(self.home, anchors=self.anchors)
                self._own_url, self._server = ensure_running(authority, self.home.folder("authority"))
                self._reachable = (-REACHABLE_SECONDS, [])
        return self._client(self._own_url)

    def connect(self, url: str) -> str:
        """Remember another owner's authority; returns its owner's name.

        Raises:
            BadInput: not a URL of one. Unavailable: nobody answers there.
        """
        try:
            client = AuthorityClient(url, self.identity)
        except BadInput as error:
            if error.expected:
                error.expected += ", or http://127.0.0.1:PORT on this machine"
            raise
        facts = client.about()
        self._keep("authorities.json", {**connections_of(self.home), client.url: facts.did})
        self._keep("authority-names.json", {**self._owner_names(), client.url: facts.owner_contact.name})
        known = self._clients.setdefault(client.url, client)
        if known is not client and known.did == facts.did:
            client.close()  # the one that is known may be in use
        else:
            self._clients[client.url] = client
        self._reachable = (-REACHABLE_SECONDS, [])
        return facts.owner_contact.name

    def _owner_names(self) -> dict[str, str]:
        """Names of the owners of connected authorities, by URL, as last heard."""
        path = self.home.path / "authority-names.json"
        return dict(parse_json(path.read_bytes())) if path.exists() else {}

    def _keep(self, name: str, known: dict[str, str]) -> None:
        """Replace a file of this persona's folder, whole or not at all."""
        path = self.home.path / name
        scratch = path.with_suffix(".new")
        scratch.write_bytes(canonical_json(known))
        scratch.replace(path)

    def did_at(self, url: str) -> str:
        """The DID of the authority at this URL."""
        return self._client(check_url(url)).did

    def witness_key(self) -> str:
        """What a log's owner needs to take this persona's cosignatures."""
        return witness_key_of(self.did)

    def cosign(self, url: str) -> Checkpoint:
        """Follow the log of an authority and bring it this persona's cosignature on what was seen.

        Raises:
            LogInconsistent: it does not extend what this persona saw before; both checkpoints are kept.
            SignatureInvalid: its owner has not said that they trust this witness.
        """
        url = check_url(url)
        try:
            return self._client(url, connections_of(self.home).get(url)).cosign(self.memory)
        except SignatureInvalid as error:
            error.hint = error.hint or f"Ask its owner to run: sls log trust {self.witness_key()}"
            raise

    def authorities(self) -> list[AuthorityClient]:
        """Own, connected, and those of this user's other personas that are being served; own first."""
        asked, known = self._reachable
        if time.monotonic() - asked < REACHABLE_SECONDS:
            return known
        urls: dict[str, str | None] = {}
        if self._own_url or (self.home.path / "authority" / "authority.db").exists():
            urls = {self.own_authority().url: None}
        found: dict[str, str | None] = {**urls, **connections_of(self.home)}
        for url in self._persona_urls():
            found.setdefault(url, None)
        clients: list[AuthorityClient] = []
        for url, did in found.items():
            client = self._client(url, did)
            with self._unless_silent(client):
                client.about()
                clients.append(client)
        self._reachable = (time.monotonic(), clients)
        return clients

    def _persona_urls(self) -> dict[str, str]:
        """Where the authorities of this user's personas listen when they are served: URL -> persona."""
        ports = {one: self.home.root / "personas" / one / "authority" / "port" for one in self.home.personas()}
        return {f"http://127.0.0.1:{port.read_text()}": one for one, port in ports.items() if port.exists()}

    @contextlib.contextmanager
    def _unless_silent(self, client: AuthorityClient) -> Iterator[None]:
        """One authority that does not answer does not hide the others; it is remembered as silent."""
        try:
            yield
        except Unavailable:
            self._silent = {**self._silent, client.url: self._silent_at(client.url)}
        else:
            self._silent = {url: one for url, one in self._silent.items() if url != client.url}

    def _silent_at(self, url: str) -> Silent:
        persona = self._persona_urls().get(url, "")
        return Silent(url, persona or self._owner_names().get(url, ""), persona)

    def silent(self) -> list[Silent]:
        """The authorities that this persona knows and that did not answer when they were asked last."""
        self.authorities()
        return list(self._silent.values())

    def _unknown(self, error: UnknownName) -> UnknownName | Unavailable:
        """What a name that was not found means: nothing has it, or nobody can tell, because an authority is silent."""
        silent = self.silent()
        if not silent:
            return error
        who = " and ".join(map(str, silent))
        suggestion = error.hint if error.hint.startswith("Did you mean") else ""
        hints = "; ".join(dict.fromkeys(one.hint for one in silent))
        return Unavailable(
            f"{error.message.rstrip('.')} at the authorities that answer."
            f" {who} {'does' if len(silent) == 1 else 'do'} not answer.",
            found=error.found,
            expected=error.expected,
            hint=f"{suggestion} Or {hints}".strip() if suggestion else f"{hints[:1].upper()}{hints[1:]}",
        )

    def _client_of(self, did: str) -> AuthorityClient:
        found = next((client for client in self.authorities() if client.did == did), None)
        if found is None:
            raise self._unknown(UnknownName("There is no such authority.", found=did, hint="%sls connect URL adds it."))
        return found

    def names(self) -> dict[str, str]:
        """DID -> name of everybody this persona knows of."""
        found = {self.did: self.name}
        for client in self.authorities():
            facts = client.facts
            found |= {facts.owner: facts.owner_contact.name, facts.did: f"{facts.owner_contact.name}'s authority"}
        for contact in self._contacts():
            found.setdefault(contact.did, contact.name)
        return found

    def _contacts(self) -> list[Contact]:
        """Contacts of this user's personas and of connected authorities' owners."""
        found = {client.facts.owner: client.facts.owner_contact for client in self.authorities()}
        for persona in self.home.personas():
            contact = Home(self.home.root, persona).identity().contact()
            found.setdefault(contact.did, contact)
        return list(found.values())

    def _prove(self, client: AuthorityClient, index: int) -> tuple[LogProof, Entry]:
        """The entry at ``index``, proven under a checkpoint that extends the last one we saw."""
        client.follow_log(self.memory)
        proof = client.proof(index)
        return proof, verify_log_proof(proof, expected_log=client.did)
