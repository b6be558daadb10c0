"""Whom a persona knows: its own authority, those it is connected to, and everybody's names and keys."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.attestation.device.simulated import DevelopmentChain
from sls_jupyter.authority.client import AuthorityClient, check_url
from sls_jupyter.authority.embedded import (
    AuthorityServer,
    did_in,
    ensure_running,
    is_served,
    port_is_taken,
    socket_of,
    url_in,
)
from sls_jupyter.authority.images import trusted, words
from sls_jupyter.authority.opening import open_authority
from sls_jupyter.contract.spec import Recipient, StreamSpec
from sls_jupyter.documents import canonical_json, parse_json
from sls_jupyter.errors import (
    BadInput,
    LogInconsistent,
    SignatureInvalid,
    SlsError,
    Unavailable,
    UnknownName,
    VerificationError,
    printable,
)
from sls_jupyter.identity import Home, locked, public_key_from_did, write_whole
from sls_jupyter.network import within
from sls_jupyter.printing import one_line
from sls_jupyter.session.background import Background
from sls_jupyter.session.contacts import Who
from sls_jupyter.session.remembering import Remembering
from sls_jupyter.transparency.checkpoint import Checkpoint
from sls_jupyter.transparency.cosignature import witness_key_of
from sls_jupyter.transparency.entries import Entry
from sls_jupyter.transparency.memory import CheckpointMemory
from sls_jupyter.transparency.merkle import verify_consistency
from sls_jupyter.transparency.proofs import LogProof, proof_checkpoint, verify_log_proof

T = TypeVar("T")
EACH_SECONDS = 10.0  # how long an authority may take to answer when several are asked
IMPATIENT_SECONDS = 2.0  # the same, of one that did not answer when it was asked last
MAX_REASON = 200  # characters of what an authority said was wrong
REACHABLE_SECONDS = 1.0  # how long an answer of the authorities stands for being there


@dataclass(frozen=True, slots=True)
class Silent:
    """An authority that this persona knows and that does not answer, or not as one would."""

    url: str
    name: str  # its owner's, if it is known
    persona: str  # of this user, whose it is; "" for somebody else's
    reason: str = ""  # what is wrong with its answer; "" when there is none

    def __str__(self) -> str:
        return one_line(f"{self.name} ({self.url})" if self.name else f"The authority at {self.url}")

    @property
    def trouble(self) -> str:
        """What it does, as the rest of a sentence that begins with who."""
        return f"does not answer as it should ({self.reason})" if self.reason else "does not answer"

    @property
    def hint(self) -> str:
        """What makes it answer."""
        if self.reason:
            return "tell its owner what it says"
        if self.persona:
            return f"start it: sls agent start, or sls authority serve --persona {self.persona} (and --accept-simulated self, for a simulated TEE)"
        return "ask its owner to start it"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an authority that this persona knows is, and which one must answer there."""

    url: str
    did: str  # of a persona of this user: by its own key; of others: as it was connected to
    persona: str = ""  # of this user, whose it is
    private: Path | None = None  # the socket over which this user reaches it


@dataclass(frozen=True, slots=True)
class KnownAuthority:
    """An authority that this persona knows, and what is wrong with it."""

    url: str
    did: str
    owner: Who
    mine: bool  # of a persona of this user
    trouble: str  # "" if it answers as it should


def connections_of(home: Home) -> dict[str, str]:
    """Authorities of others that a persona is connected to: URL -> DID, as first seen."""
    path = home.path / "authorities.json"
    return dict(parse_json(path.read_bytes())) if path.exists() else {}


def _another(url: str, *, found: str, expected: str) -> VerificationError:
    return VerificationError(
        "Another authority is there than the one that you know at this URL.",
        found=found,
        expected=expected,
        hint=f"Ask its owner which DID is right. If it is the new one: %sls connect {url}#{found}",
    )


class Directory(Remembering):
    """A persona, the authorities it can reach, and the people behind them.

    Args:
        home: whose; see :class:`sls_jupyter.identity.Home`.
    """

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self.machine = home.root / "machine"  # what all personas of this user share: the simulated processor
        self.machine.mkdir(mode=0o700, parents=True, exist_ok=True)
        pin = DevelopmentChain.load_or_create(self.machine).root_pin
        self.anchors = TrustAnchors(simulated_ark_spki=frozenset({pin}))
        self.memory = CheckpointMemory(home.folder("checkpoints"))
        self.background: Background | None = None  # what goes on when this process ends, if there is one
        self._server: AuthorityServer | None = None
        self._own_url = ""
        self._starting = threading.Lock()
        self._closing = threading.Event()
        self._noting = threading.Lock()  # for what is known of silent authorities
        self._clients: dict[tuple[str, str, bool], AuthorityClient] = {}  # by URL, DID and whether it is known
        self._reachable: tuple[float, list[AuthorityClient]] = (-REACHABLE_SECONDS, [])
        self._silent: dict[tuple[str, str], Silent] = {}  # by URL and topic, when last asked

    def close(self) -> None:
        """Stop the embedded authority, if this process serves it; leave the background."""
        self._closing.set()
        if self.background is not None:
            self.background.close()
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        self.stop_serving()

    # --- which authority is where ---------------------------------------------------------------------

    def _places(self) -> dict[str, Place]:
        """Every authority that this persona knows, by URL; this user's own are told by their keys alone."""
        found = {}
        for persona in self.home.personas():
            folder = self._authority_of(persona)
            with contextlib.suppress(Unavailable):  # a key that is not kept as it should be names nobody
                url, did = url_in(folder), did_in(folder)
                if url is not None and did is not None:
                    found[url] = Place(url, did, persona, socket_of(folder))
        for url, did in connections_of(self.home).items():
            found.setdefault(url, Place(url, did))
        return found

    def known_logs(self) -> dict[str, str]:
        """The log of every authority that this persona knows, and its owner: DID -> DID, "" if it was not told. Nobody is asked."""
        owners, own = self._owners(), {folder: one.did for folder, one in self._personas().items()}
        return {one.did: own.get(one.persona, owners.get(one.url, "")) for one in self._places().values()}

    def _client(self, url: str, did: str | None = None) -> AuthorityClient:
        """A client of the authority ``did``: where this persona knows it, or else at ``url``, which others chose.

        Args:
            did: ``None`` means the one that this persona knows at the URL.

        Raises:
            VerificationError: this persona knows another authority at that URL.
            UnknownName: no DID is given, and none is known there.
        """
        places = self._places()
        if did is None:
            if url not in places:
                raise UnknownName("No authority is known there.", found=url[:200], hint="%sls connect URL adds it.")
            did = places[url].did
        place = next((one for one in places.values() if one.did == did), None)
        if place is None and url in places:
            raise _another(url, found=did, expected=places[url].did)
        key = (url if place is None else place.url, did, place is not None)
        client = self._clients.get(key)
        if client is None:
            private = None if place is None else place.private
            client = AuthorityClient(key[0], self.identity, did, private=private, chosen=place is not None)
            client = self._clients.setdefault(key, client)
        return client

    def _asked_for(self, url: str) -> AuthorityClient:
        """A client of the authority at a URL that this user typed: the one known there, or whichever proves itself."""
        url = check_url(url)
        place = self._places().get(url)
        if place is not None:
            return self._client(url, place.did)
        key = (url, "", True)
        return self._clients.get(key) or self._clients.setdefault(key, AuthorityClient(url, self.identity))

    def own_authority(self) -> AuthorityClient:
        """This persona's embedded authority, started if nobody serves it yet, or not any more.

        The background serves it where there is one, and then it outlives this process.
        """
        folder = self.home.folder("authority")
        with self._starting:  # completion works in a thread of its own
            if not self._own_url or (self._server is None and not is_served(folder)):
                served = None if self.background is None else self.background.serve()
                if served is None:
                    authority = open_authority(self.home, anchors=self.anchors)
                    self._own_url, self._server = ensure_running(authority, folder)
                else:
                    self._own_url = served.url
                self._reachable = (-REACHABLE_SECONDS, [])
            did = did_in(folder)
        assert did is not None  # noqa: S101  # it was opened
        return self._client(self._own_url, did)

    def accepted_images(self) -> tuple[str, ...]:
        """Which guest images this persona's authority gives keys to, in words; nothing, while it is the installed one alone.

        Raises:
            MalformedDocument: the list of trusted images cannot be read.
        """
        images = trusted(self.home)
        return words(images) if images else ()

    def trusted_images(self) -> frozenset[str]:
        """Digests of the images that this persona trusts; receipts that name them are believed."""
        return frozenset(one.digest for one in trusted(self.home))

    def serves(self) -> bool:
        """Whether this process serves this persona's authority."""
        return self._server is not None

    def answered_calls(self) -> int:
        """How many calls this process has answered for this persona's authority."""
        return 0 if self._server is None else self._server.answered_calls

    def stop_serving(self) -> None:
        """Stop the embedded authority, if this process serves it."""
        with self._starting:
            if self._server is not None:
                self._server.stop()
                self._server = None
                self._own_url = ""

    def unreachable(self) -> str:
        """Why groups and other people cannot reach this persona's authority, with the way out; "" if they can."""
        if self._server is None:
            served = self.background.serve() if self.background is not None and self._own_url else None
            return "" if served is None else served.unreachable
        if self._server.reachable:
            return ""
        error = port_is_taken(self._own_url)
        return f"{error.message} {error.hint}"

    def _authority_to_seal_to(self, url: str) -> AuthorityClient:
        """The authority at a URL, if this persona's keys may go there.

        Raises:
            BadInput: this persona never connected to it, or it is not this persona's.
        """
        url = check_url(url)
        place = self._places().get(url)
        if place is None:
            did = self._asked_for(url).did
            raise BadInput(
                "You never connected to that authority, so nothing is sealed to it.",
                found=f"{did} at {url}",
                hint=f"Compare the DID with the one that its operator tells you, then: %sls connect {url}#{did}",
            )
        client = self._client(url, place.did)
        owner = client.about().owner
        if owner != self.did:
            raise BadInput(
                "That authority takes the assets of somebody else.",
                found=owner,
                expected=self.did,
                hint="Seal to an authority of your own: without --authority it is this persona's.",
            )
        return client

    # --- connections ----------------------------------------------------------------------------------

    def connect(self, url: str, *, name: str = "", did: str = "") -> str:
        """Remember another owner's authority, which proves its DID; returns what its owner is called here.

        Args:
            url: where it is; ``URL#DID`` takes that authority only, also in place of another one that was
                known there.
            name: what to call the owner. By default what they call themselves, if that is plain and looks like
                nobody who is known; somebody who has a name here keeps it.
            did: the same as ``#DID`` in the URL.

        Raises:
            BadInput: not a URL of one, or the owner needs another name; nothing is kept.
            Unavailable: nobody answers there.
            VerificationError: another authority is there than the one known or named.
        """
        url, _, named = url.partition("#")
        if did and named and did != named:
            raise BadInput("Two DIDs are named for one authority.", found=f"{did}, {named}"[:200])
        named = did or named
        try:
            url = check_url(url)
        except BadInput as error:
            if error.expected:
                error.expected += ", or http://127.0.0.1:PORT on this machine"
            raise
        place = self._places().get(url)
        private = None if place is None else place.private
        if named:
            public_key_from_did(named)
        with contextlib.closing(AuthorityClient(url, self.identity, named or None, private=private)) as client:
            facts = client.about()
        if place is not None and facts.did != place.did and (place.persona or not named):
            raise _another(url, found=facts.did, expected=place.did)
        owner = self._meet(Recipient.of(facts.owner_contact_envelope), name, f"%sls connect {url} --as NAME")
        with locked(self.home.path / "authorities.json"):
            self._keep("authorities.json", {**connections_of(self.home), url: facts.did})
            self._keep("authority-owners.json", {**self._owners(), url: facts.owner})
        self._reachable = (-REACHABLE_SECONDS, [])
        return str(owner)

    def owner_at(self, url: str) -> Who:
        """Whose authority the one at this URL says that it is."""
        facts = self._asked_for(url).facts
        return self.who(facts.owner, facts.owner_contact.name)

    def _owners(self) -> dict[str, str]:
        """DIDs of the owners of connected authorities, by URL, as told when they were connected."""
        path = self.home.path / "authority-owners.json"
        return dict(parse_json(path.read_bytes())) if path.exists() else {}

    def _keep(self, name: str, known: dict[str, str]) -> None:
        """Replace a file of this persona's folder, whole or not at all."""
        write_whole(self.home.path / name, canonical_json(known))

    def did_at(self, url: str) -> str:
        """The DID that the authority at this URL proves, or the one that is known there."""
        return self._asked_for(url).did

    def witness_key(self) -> str:
        """What a log's owner needs to take this persona's cosignatures."""
        return witness_key_of(self.did)

    def cosign(self, url: str) -> Checkpoint:
        """Follow the log of an authority and bring it this persona's cosignature on what was seen.

        Raises:
            LogInconsistent: it does not extend what this persona saw before; both checkpoints are kept.
            SignatureInvalid: its owner has not said that they trust this witness.
        """
        try:
            return self._asked_for(url).cosign(self.memory)
        except SignatureInvalid as error:
            error.hint = error.hint or f"Ask its owner to run: sls log trust {self.witness_key()}"
            raise

    def authorities(self) -> list[AuthorityClient]:
        """Own, connected, and those of this user's other personas that are being served; own first."""
        asked, known = self._reachable
        if time.monotonic() - asked < REACHABLE_SECONDS:
            return known
        asking = self._known_clients()
        answering = [client for client, _ in self._each(asking, lambda client: client.about(), topic="about")]
        by_did: dict[str, AuthorityClient] = {}  # one authority may be known at several URLs; the first one counts
        for client in answering:
            by_did.setdefault(client.did, client)
        clients = list(by_did.values())
        self._reachable = (time.monotonic(), clients)
        return clients

    def served_here(self) -> list[AuthorityClient]:
        """Those of this user's own personas that are being served, this persona's first; none of them is asked."""
        places = [one for one in self._places().values() if one.persona and is_served(self._authority_of(one.persona))]
        return [self._client(one.url, one.did) for one in sorted(places, key=lambda one: one.persona != self.name)]

    def connected(self) -> list[AuthorityClient]:
        """Authorities of others that this persona is connected to; none of them is asked."""
        return [self._client(one.url, one.did) for one in self._places().values() if not one.persona]

    def _authority_of(self, persona: str) -> Path:
        return self.home.root / "personas" / persona / "authority"

    def _known_clients(self) -> list[AuthorityClient]:
        """A client of every authority that this persona knows, own first, whether it answers or not."""
        if self._own_url or (self.home.path / "authority" / "authority.db").exists():
            self.own_authority()
        places = sorted(self._places().values(), key=lambda one: one.persona != self.name)
        return [self._client(place.url, place.did) for place in places]

    def _each(
        self,
        clients: Sequence[AuthorityClient],
        call: Callable[[AuthorityClient], T],
        *,
        topic: str = "",
        seconds: float = EACH_SECONDS,
    ) -> list[tuple[AuthorityClient, T]]:
        """Ask several authorities side by side, each within one deadline; the answers of those that gave one.

        What one of them does wrong is remembered of that one (:meth:`silent`), and the others' answers count.

        Args:
            topic: what is asked for; an answer to something else does not make up for silence on this.
            seconds: that each has, if it answered when it was asked last.
        """
        if not clients:
            return []

        def ask(client: AuthorityClient) -> list[tuple[AuthorityClient, T]]:
            silent, answers = {url for url, _ in self._silent}, []
            with self._unless_silent(client, topic), within(IMPATIENT_SECONDS if client.url in silent else seconds):
                answers.append((client, call(client)))
            return answers

        with ThreadPoolExecutor(len(clients), "sls-ask") as pool:
            return [answer for answers in pool.map(ask, clients) for answer in answers]

    def each(self, clients: Sequence[AuthorityClient], call: Callable[[AuthorityClient], None], *, topic: str) -> None:
        """Have several authorities asked side by side, each within one deadline, as this persona's own lists are.

        Args:
            call: works in a thread of its own; what it raises is remembered of that authority (:meth:`silent`).
            topic: what is asked for; an answer to something else does not make up for silence on this.
        """
        self._each(clients, call, topic=topic)

    def _persona_urls(self) -> dict[str, str]:
        """Where the authorities of this user's personas listen when they are served: URL -> persona."""
        return {place.url: place.persona for place in self._places().values() if place.persona}

    @contextlib.contextmanager
    def _unless_silent(self, client: AuthorityClient, topic: str = "") -> Iterator[None]:
        """What one authority does wrong does not hide the others; it is remembered, with what was wrong."""
        try:
            yield
        except UnknownName:
            raise
        except Unavailable:
            self._remember_silent(client.url, topic, "")
        except SlsError as error:
            self._remember_silent(client.url, topic, printable(error.message)[:MAX_REASON])
        else:
            with self._noting:
                self._silent = {key: one for key, one in self._silent.items() if key != (client.url, topic)}

    def _remember_silent(self, url: str, topic: str, reason: str) -> None:
        with self._noting:
            self._silent = {**self._silent, (url, topic): replace(self._silent_at(url), reason=reason)}

    def _silent_at(self, url: str) -> Silent:
        persona, owner = self._persona_urls().get(url, ""), self._owners().get(url)
        return Silent(url, persona or (str(self.who(owner)) if owner else ""), persona)

    def known_authorities(self) -> list[KnownAuthority]:
        """Every authority that this persona knows, own first. Of one that does not answer the owner is as they were told before."""
        answering = {client.did: client.facts for client in self.authorities()}
        troubles = {one.url: f"{one.trouble}: {one.hint}" for one in self.silent()}
        own, told = {name: one.did for name, one in self._personas().items()}, self._owners()
        found = []
        for place in self._places().values():
            facts = answering.get(place.did)
            owner = own.get(place.persona) or told.get(place.url) or place.did
            who = self.who(owner) if facts is None else self.who(facts.owner, facts.owner_contact.name)
            found.append(KnownAuthority(place.url, place.did, who, bool(place.persona), troubles.get(place.url, "")))
        return sorted(found, key=lambda one: (not one.mine, one.owner.did != self.did, one.url))

    def silent(self) -> list[Silent]:
        """The authorities that this persona knows and that did not answer when they were asked last."""
        self.authorities()
        return list({one.url: one for one in self._silent.values()}.values())

    def _unknown(self, error: UnknownName) -> UnknownName | Unavailable:
        """What a name that was not found means: nothing has it, or nobody can tell, because an authority is silent."""
        silent = self.silent()
        if not silent:
            return error
        who = " and ".join(f"{one} {one.trouble}" for one in silent)
        suggestion = error.hint if error.hint.startswith("Did you mean") else ""
        hints = "; ".join(dict.fromkeys(one.hint for one in silent))
        return Unavailable(
            f"{error.message.rstrip('.')} at the authorities that answer. {who}.",
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
        """DID -> how a card calls them, of everybody this persona has heard of; see :meth:`who`."""
        found = self._labels()
        for client in self.authorities():
            owner = self.who(client.facts.owner, client.facts.owner_contact.name)
            found[owner.did] = str(owner)
            found[client.did] = f"{owner}'s authority" if owner.petname is not None else f"the authority of {owner}"
        return found

    def owners(self) -> dict[str, Who]:
        """The owners of the authorities that answer, by DID, each with what they call themselves in their signed contact."""
        facts = [client.facts for client in self.authorities()]
        return {one.owner: self.who(one.owner, one.owner_contact.name) for one in facts}

    def names_in(self, spec: StreamSpec) -> dict[str, str]:
        """:meth:`names`, and everybody whom a signed spec names."""
        said = {person.did: person.name for person in spec.recipients}
        people = (spec.requester, *(item.owner for item in spec.inputs), *said)
        return {did: str(self.who(did, said.get(did, ""))) for did in people} | self.names()

    def _prove(self, client: AuthorityClient, index: int) -> tuple[LogProof, Entry]:
        """The entry at ``index``, proven in a tree that the log which this persona follows extends.

        Raises:
            LogInconsistent: another entry, or a tree that is not the beginning of the one that is followed.
        """
        proof = client.proof(index)
        entry, old = verify_log_proof(proof, expected_log=client.did), proof_checkpoint(proof)
        if proof.index != index:
            raise LogInconsistent("A log proves another entry.", found=proof.index, expected=index)
        if old.origin != client.facts.origin:
            raise LogInconsistent("A log proves it under another name.", found=old.origin, expected=client.facts.origin)
        newest = client.follow_log(self.memory)
        path = client.consistency(old.tree_size, newest.tree_size) if old.tree_size < newest.tree_size else ()
        verify_consistency(old.tree_size, old.root_hash, newest.tree_size, newest.root_hash, path)
        return proof, entry
