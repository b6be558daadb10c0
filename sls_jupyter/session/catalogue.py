"""Sealed assets: seal and publish one's own, look up everybody's."""

from __future__ import annotations

import contextlib
import difflib
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
from sls_jupyter.attestation.export import key_vault_policy, maa_policy, release_conditions
from sls_jupyter.authority.catalogue import seal_keys
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.documents import canonical_json, digest, sign, verify
from sls_jupyter.errors import BadInput, UnknownName, VerificationError
from sls_jupyter.identity import verify_signature
from sls_jupyter.policy.model import OwnerPolicy
from sls_jupyter.policy.options import policy_from_options, policy_from_yaml
from sls_jupyter.session.directory import Directory
from sls_jupyter.transparency.entries import Entry
from sls_jupyter.transparency.proofs import LogProof


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
    unreachable: str = ""  # why groups cannot reach the authority now, and how to end that

    def __repr__(self) -> str:
        return f"<Sealed {self.info.owner_name}/{self.info.name}: log entry {self.proof.index}>"


class Catalogue(Directory):
    """Sealing and looking up.

    Every lookup checks the owner's signatures on manifest and policy.
    """

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
        client = self.own_authority() if authority is None else self._authority_to_seal_to(authority)
        facts = client.facts
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
        unreachable = self.unreachable() if authority is None else ""
        return Sealed(self.asset(asset), time.monotonic() - start, proof, proven, unreachable)

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
        known = self.assets()
        fitting = [one for one in known if name in (one.name, one.id, f"{one.owner_name}/{one.name}")]
        if not fitting and name.startswith("sha256:"):
            for client in self.authorities():
                with contextlib.suppress(UnknownName), self._unless_silent(client):
                    return self._info(client, client.asset(name), self.names())
        if not fitting:
            near = difflib.get_close_matches(name, [one.name for one in known], 3)
            error = UnknownName(
                f"There is no asset {name}.",
                expected=", ".join(near or sorted({one.name for one in known})[:8]) or None,
                hint=f"Did you mean {near[0]}?"
                if near
                else "%sls assets lists what you can see; %sls connect URL adds another owner's authority.",
            )
            raise self._unknown(error)
        if len(fitting) > 1:
            raise BadInput(
                f"Several owners have an asset {name}.",
                found=", ".join(f"{one.owner_name}/{one.name}" for one in fitting),
                hint=f"Name the owner: -i {fitting[0].owner_name}/{name}",
            )
        return fitting[0]

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

    def withdraw(self, name: str, *, shred: bool = False) -> int:
        """Stop granting an asset; with ``shred``, destroy its keys for good. Returns the log's index."""
        info = self.asset(name)
        return self._client(info.manifest.authority_url, info.manifest.authority).withdraw(info.id, shred=shred)

    def _assets_of(self, client: AuthorityClient, names: Mapping[str, str]) -> list[AssetInfo]:
        return [self._info(client, value, names) for value in client.assets()]

    def _info(self, client: AuthorityClient, value: dict[str, Any], names: Mapping[str, str]) -> AssetInfo:
        """An asset of a catalogue.

        Raises:
            SignatureInvalid, DigestMismatch, MalformedDocument: it does not verify.
            VerificationError: its owner gave its keys to another authority than the one that lists it.
        """
        envelope = canonical_json(value["manifest"])
        manifest = verify_manifest(envelope, str(value["id"]))
        if manifest.authority != client.did:
            raise VerificationError(
                "An authority lists an asset of another one.", found=manifest.authority, expected=client.did
            )
        policy = verify(canonical_json(value["policy"]), OwnerPolicy, verify_signature, did=manifest.owner)
        owner = names.get(manifest.owner, manifest.owner)
        return AssetInfo(
            manifest.digest, manifest.name, owner, manifest, envelope, policy, manifest.owner == self.did, names
        )
