"""Sealed assets: seal and publish one's own, look up everybody's."""

from __future__ import annotations

import difflib
import itertools
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote
from typing import Any

from sls_jupyter.assets.manifest import AssetManifest
from sls_jupyter.assets.sealing import SealedAsset, remove, seal, seal_code
from sls_jupyter.attestation.export import key_vault_policy, maa_policy, release_conditions
from sls_jupyter.authority.answers import AssetAnswer
from sls_jupyter.authority.catalogue import seal_keys
from sls_jupyter.authority.client import AuthorityClient, check_url
from sls_jupyter.documents import canonical_model_json, digest, sign
from sls_jupyter.errors import (
    BadInput,
    DigestMismatch,
    LogInconsistent,
    MalformedDocument,
    UnknownName,
    VerificationError,
)
from sls_jupyter.identity import Home
from sls_jupyter.naming import among
from sls_jupyter.policy.model import OwnerPolicy
from sls_jupyter.policy.options import Person, policy_from_options, policy_from_yaml
from sls_jupyter.printing import one_line
from sls_jupyter.session.directory import Directory
from sls_jupyter.session.submission import Submission
from sls_jupyter.session.verified import VerifiedAssets
from sls_jupyter.transparency.entries import Entry
from sls_jupyter.transparency.proofs import LogProof

MAX_ASSETS = 20_000  # of one authority's catalogue that is read whole
MAX_CATALOGUE_BYTES = 256 * 2**20  # of its manifests
CELL_FILE = "cell.py"  # of code that was one cell
_DIGEST = "sha256:"


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
    images: tuple[str, ...] = ()  # of one's own: which guest images get its keys, in words, if there are trusted ones

    @property
    def called(self) -> str:
        """``owner/name``, so that it can be typed: with the owner's name here, or with their DID."""
        owner = self.manifest.owner if self.owner_name.startswith("unknown ") else self.owner_name
        return f"{owner}/{self.name}"

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
    unreachable: str = ""  # why groups cannot reach the authority now, and how to end that
    left_out: tuple[str, ...] = ()  # entries of a frame's ``attrs``, which no asset has
    policy_before: OwnerPolicy | None = None  # of the version that it closed

    @property
    def version(self) -> int:
        """Of its name, as the log says; from 2 upwards it closed the one before."""
        found = self.entry.facts.get("version", 1)
        return found if isinstance(found, int) else 1

    def __repr__(self) -> str:
        return one_line(f"<Sealed {self.info.owner_name}/{self.info.name}: log entry {self.proof.index}>")


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What withdrawing or shredding did, as the authority says."""

    name: str
    id: str | None  # the one version that was meant; None: all of the name
    closed: int  # versions that it changed
    versions: int  # that were meant
    shredded: int  # of these, how many have no keys any more
    entry: int  # index of the newest log entry about it


MAX_CALLED = 2_000  # characters of what is looked up: an owner and a name, or a digest


def require_asset_name(name: str) -> None:
    """Raises :class:`BadInput`: an asset cannot have this name."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}", name):
        raise BadInput("An asset's name is letters, digits, _ . -", found=name[:60], hint="Choose one with --as.")


def _is_called(info: AssetInfo, name: str) -> bool:
    return (
        info.id.startswith(name)
        if name.startswith(_DIGEST)
        else name in (info.name, info.called, f"{info.manifest.owner}/{info.name}")
    )


def _meant(columns: object, data: Any) -> object:
    """The option ``columns``; where a text can be read by the names that a table has, the names that it means."""
    known = getattr(data, "column_names", getattr(data, "columns", None))
    if not isinstance(columns, str) or known is None or isinstance(data, str | Path):
        return columns
    names = {str(one) for one in known if isinstance(one, str | tuple | int)}
    return among(columns, names) if "," in columns else columns


class Catalogue(Directory):
    """Sealing and looking up.

    Every lookup checks the owner's signatures on manifest and policy; the same bytes once (:mod:`~sls_jupyter.session.verified`).
    """

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self._verified = VerifiedAssets()

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
            UnsealableData, BadInput: nothing is published then, and nothing left behind.
            Unavailable: the same, unless the message says that it is not known.
        """

        options["columns"] = _meant(options.get("columns"), data)

        def make(place: dict[str, Any]) -> SealedAsset:
            return seal(data, name=name, column_groups=column_groups, progress=progress, **place)

        sealed = self._publish(make, name, policy, storage, authority, options)
        attrs = getattr(data, "attrs", None)
        return replace(sealed, left_out=tuple(map(str, attrs)) if isinstance(attrs, Mapping) else ())

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
        files = {CELL_FILE: code.encode()} if isinstance(code, str) else dict(code)

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
        require_asset_name(name)
        owner_policy, module = self._policy(policy, options)
        client = self.own_authority() if authority is None else self._authority_to_seal_to(authority)
        facts = client.about()  # anew: an authority may have been restored with other keys since
        replaced = next((one for one in self._named(client, name, {}) if one.mine), None)
        folder = storage or (self.home.folder("assets") / f"{name}-{secrets.token_hex(6)}").as_uri()
        sealed = make(
            {
                "owner": self.identity,
                "authority": facts.did,
                "authority_url": client.url if authority is None else check_url(authority),  # where others reach it
                "policy": owner_policy.digest,
                "storage": folder,
                "created_at": int(time.time()),
                "previous": None if replaced is None else replaced.id,
            }
        )
        try:
            keys = seal_keys(facts.hpke_public_key, sealed.digest, sealed.keys)
            submission = Submission(sealed, sign(owner_policy, self.identity), module, keys)
            before = client.follow_log(self.memory).tree_size
        except BaseException:
            remove(sealed.manifest)
            raise
        entry = submission.publish(client)
        proof, proven = self._prove_published(client, sealed, entry, before)
        info = self._info(client, client.asset(sealed.digest), self.names())
        if info.id != sealed.digest:
            raise DigestMismatch("An authority shows another asset.", found=info.id, expected=sealed.digest)
        unreachable = self.unreachable() if authority is None else ""
        before_it = None if replaced is None else replaced.policy
        return Sealed(info, time.monotonic() - start, proof, proven, unreachable, policy_before=before_it)

    def _prove_published(
        self, client: AuthorityClient, sealed: SealedAsset, index: int, before: int
    ) -> tuple[LogProof, Entry]:
        """The log entry that an asset was published with.

        Args:
            before: how long the log was before that.

        Raises:
            LogInconsistent: the log has something else there, or an older publication.
        """
        proof, entry = self._prove(client, index)
        found = (entry.kind, entry.facts.get("asset_kind"))
        if found != ("asset.published", sealed.manifest.kind) or index < before:
            raise LogInconsistent(
                "The log has something else there.",
                found=f"entry {index}: {found[0]} {found[1]}",
                expected=f"asset.published {sealed.manifest.kind} at {before} or later",
            )
        return proof, entry

    def _policy(self, policy: str | Path | None, options: dict[str, Any]) -> tuple[OwnerPolicy, str | None]:
        now = int(time.time())
        if policy is None:
            return policy_from_options(self.did, now=now, people=self._person, **options), None
        path = Path(policy)
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput("The policy file cannot be read.", found=f"{path}: {type(error).__name__}") from None
        if path.suffix == ".rego":
            options = {**options, "module": digest(text.encode())}
            return policy_from_options(self.did, now=now, people=self._person, **options), text
        if any(value is not None for value in options.values()):
            given = ", ".join(name for name, value in options.items() if value is not None)
            raise BadInput(
                "A policy comes from a file or from options, not from both.",
                found=given,
                hint="Put these into the file, or leave --policy away.",
            )
        return policy_from_yaml(text, self.did, now, self._person), None

    def policy_from(self, **options: Any) -> OwnerPolicy:
        """The policy that :meth:`seal` would publish with these options; nothing is published.

        Raises:
            BadInput, UnknownName: an option means nothing.
        """
        return self._policy(None, options)[0]

    def in_force(self, name: str) -> AssetInfo | None:
        """This persona's own asset that sealing ``name`` again would replace, with its policy; ``None``: there is none."""
        found = self._named(self.own_authority(), name, self.names())
        return next((info for info in found if info.mine and info.name == name), None)

    def _person(self, word: str) -> Person:
        """Whom a policy's word means: a petname, a DID, a contact file; with the key that is known of them."""
        did = self.find(word)
        try:
            return Person(did, self.recipient(word).key_digest)
        except UnknownName:
            return Person(did)

    def assets(self) -> list[AssetInfo]:
        """Every asset this persona can see, its own first."""
        names = self.names()
        answers = self._each(self.authorities(), lambda client: self._assets_of(client, names), topic="assets")
        found = [info for _, infos in answers for info in infos]
        return sorted(found, key=lambda info: (not info.mine, info.owner_name, info.name))

    def asset(self, name: str) -> AssetInfo:
        """The asset of that name, ``owner/name``, or id.

        Raises:
            UnknownName: none, with the nearest names. BadInput: several owners have one.
            Unavailable: none, and an authority that may have it does not answer.
        """
        names = self.names()
        answers = self._each(self.authorities(), lambda client: self._named(client, name, names))
        fitting = [info for _, infos in answers for info in infos]
        if not fitting:
            raise self._unknown(self._no_asset(name))
        if len(fitting) > 1:
            raise BadInput(
                f"Several owners have an asset {name}.",
                found=", ".join(one.called for one in fitting),
                hint=f"Name the owner: -i {quote(fitting[0].called)}",
            )
        return fitting[0]

    def _no_asset(self, name: str) -> UnknownName:
        known = sorted({one.name for one in self.assets()})
        near = difflib.get_close_matches(name, known, 3)
        return UnknownName(
            f"There is no asset {name}.",
            expected=", ".join(near or known[:8]) or None,
            hint=f"Did you mean {near[0]}?"
            if near
            else "%sls assets lists what you can see; %sls connect URL adds another owner's authority.",
        )

    def export_release(self, name: str, authority: str, host_data: Iterable[bytes]) -> dict[str, str]:
        """An asset's policy as release policies of services elsewhere, for these very container policies.

        Args:
            authority: ``https://`` URL of the Azure Attestation instance whose tokens Key Vault accepts.
            host_data: SHA-256 of each container policy that may get the key, 32 bytes each.

        Returns:
            ``key_vault``: JSON of the release policy; ``maa``: the attestation policy; ``left_out``: kinds of TEE
            that the owner accepts and the export does not, comma-separated. Neither service has read them yet.

        Raises:
            BadInput: the policy accepts nothing that Azure can attest, or an argument is wrong.
        """
        policy = self.asset(name).policy
        conditions = release_conditions(authority, tuple(host_data), policy.tees)
        vault = key_vault_policy(conditions).decode()
        return {"key_vault": vault, "maa": maa_policy(conditions), "left_out": ",".join(conditions.left_out)}

    def withdraw(self, name: str, *, shred: bool = False) -> Withdrawn:
        """Stop granting an asset of this persona; with ``shred``, destroy its keys for good.

        Args:
            name: a name means all of its versions; ``sha256:…``, or the beginning of it, means that version alone.
                An asset of somebody else with the same name is not meant.

        Raises:
            UnknownName: this persona has none. BadInput: several begin like that, or lie at several authorities.
            LogInconsistent: the authority's log does not hold what it says that it did.
        """
        answers = self._each(self.authorities(), lambda client: self._held(client, name))
        holders = [(client, found) for client, found in answers if isinstance(found, AssetInfo)]
        if unclear := next((found for _, found in answers if isinstance(found, BadInput)), None):
            raise unclear
        if not holders:
            raise self._unknown(
                UnknownName(
                    f"You have no asset {name}.",
                    expected=", ".join(sorted(one.name for one in self.assets() if one.mine)[:8]) or None,
                    hint="%sls assets lists yours first; only an owner withdraws.",
                )
            )
        if len(holders) > 1:
            found = ", ".join(f"{info.id} at {client.url}" for client, info in holders)
            raise BadInput(f"You have {name} at several authorities.", found=found, hint="Name the digest you mean.")
        client, info = holders[0]
        every = not name.startswith(_DIGEST)
        told = client.withdraw(info.name if every else info.id, shred=shred, all_versions=every)
        _, entry = self._prove(client, told.entry)
        if entry.kind not in ("asset.shredded", *(() if shred else ("asset.withdrawn",))):
            raise LogInconsistent(
                "The log has something else there.",
                found=f"entry {told.entry}: {entry.kind}",
                expected="asset.shredded" if shred else "asset.withdrawn",
                hint="Ask the authority's operator what it did, and withdraw again.",
            )
        id_ = None if every else info.id
        return Withdrawn(info.name, id_, told.closed, told.versions, told.shredded, told.entry)

    def _held(self, client: AuthorityClient, name: str) -> AssetInfo | BadInput | None:
        """This persona's asset of that name or digest at one authority, whatever its state; by its own signature.

        Returns:
            ``None``: it has none. An error: several begin like that, which is not the authority's fault.
        """
        try:
            info = self._info(client, client.asset(name), {})
        except MalformedDocument:
            raise
        except UnknownName:
            return None
        except BadInput as error:
            return error
        return info if info.mine and _is_called(info, name) else None

    def _assets_of(self, client: AuthorityClient, names: Mapping[str, str]) -> list[AssetInfo]:
        """The whole catalogue of one authority, page by page."""
        found: list[AssetInfo] = []
        size = 0
        while page := client.assets(after=found[-1].name if found else ""):
            new = [self._info(client, value, names) for value in page]
            if any(one.name >= two.name for one, two in itertools.pairwise([*found[-1:], *new])):
                raise MalformedDocument("A catalogue is not in its order.", found=client.url)
            found += new
            size += sum(len(one.manifest_envelope) for one in new)
            if len(found) > MAX_ASSETS or size > MAX_CATALOGUE_BYTES:
                raise MalformedDocument(
                    "A catalogue has more than is read of one authority.",
                    found=f"{client.url}: more than {len(found) - 1} assets, {size} bytes",
                    expected=f"{MAX_ASSETS} assets, {MAX_CATALOGUE_BYTES} bytes",
                    hint="Name the asset (-i OWNER/NAME): it is looked up without the list.",
                )
        return found

    def _named(self, client: AuthorityClient, name: str, names: Mapping[str, str]) -> list[AssetInfo]:
        """What one authority has of that name, ``owner/name``, or id; one look-up, however much lies there."""
        if len(name) > MAX_CALLED:  # longer than any address can be, too
            return []
        try:
            plain = name.rpartition("/")[2]
            values = [client.asset(name)] if name.startswith(_DIGEST) else client.assets(name=plain)
        except UnknownName:
            return []
        return [info for value in values if _is_called(info := self._info(client, value, names), name)]

    def _info(self, client: AuthorityClient, value: AssetAnswer, names: Mapping[str, str]) -> AssetInfo:
        """An asset of a catalogue.

        Raises:
            SignatureInvalid, DigestMismatch, MalformedDocument: it does not verify.
            VerificationError: its owner gave its keys to another authority than the one that lists it.
        """
        envelope = canonical_model_json(value.manifest)
        manifest, policy = self._verified.verify(value.id, envelope, canonical_model_json(value.policy))
        if manifest.authority != client.did:
            raise VerificationError(
                "An authority lists an asset of another one.", found=manifest.authority, expected=client.did
            )
        owner, mine = names.get(manifest.owner, manifest.owner), manifest.owner == self.did
        images = self.accepted_images() if mine else ()
        return AssetInfo(manifest.digest, manifest.name, owner, manifest, envelope, policy, mine, names, images)
