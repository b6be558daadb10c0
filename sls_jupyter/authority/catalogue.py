"""The catalogue: publish an asset with its policy and keys, look it up, withdraw or shred it.

A name is one thing: of its versions the newest is active, and publishing another one closes it in the same
transaction. A version that is superseded, withdrawn or shredded gets no grant and no key.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.engine.row import RowMapping

from sls_jupyter.assets.azure.place import is_azure, parse_place
from sls_jupyter.assets.manifest import AssetManifest
from sls_jupyter.assets.opening import local_parts, verify_manifest
from sls_jupyter.authority import ledger
from sls_jupyter.authority import store as db
from sls_jupyter.authority.answers import AssetAnswer
from sls_jupyter.authority.protocol import publish_info
from sls_jupyter.authority.service import Authority
from sls_jupyter.documents import b64decode, b64encode, canonical_json, parse_json, verify
from sls_jupyter.errors import BadInput, DigestMismatch, NotAuthorised, UnknownName
from sls_jupyter.hpke import seal
from sls_jupyter.identity import verify_signature
from sls_jupyter.policy.decide import check_module
from sls_jupyter.policy.model import OwnerPolicy
from sls_jupyter.transparency.entries import EntryKind

MAX_PAGE_BYTES = 8 * 2**20
PROBE_SECONDS = 60  # of a read pass that shows that one can be made
_DIGEST = "sha256:"
_WHOLE_DIGEST = len(_DIGEST) + 64
_LEAST_DIGITS = 8  # of a digest that is not written out
_ASSET = sa.select(db.assets).where(db.assets.c.id == sa.bindparam("asset"))  # built once


@dataclass(frozen=True, slots=True)
class Published:
    """An asset of the catalogue with everything its owner signed about it."""

    id: str
    state: str
    manifest_envelope: bytes
    policy_envelope: bytes
    manifest: AssetManifest
    policy: OwnerPolicy
    module: str | None
    runs: int  # specs that its keys were released for, and further cells of their sessions that were granted


def seal_keys(authority_key: bytes, asset: str, keys: Mapping[str, bytes]) -> bytes:
    """An asset's master keys, HPKE-sealed to its authority; the owner's side of :func:`publish`."""
    return seal(
        authority_key, publish_info(asset), canonical_json({name: b64encode(key) for name, key in keys.items()})
    )


def _open_keys(authority: Authority, manifest: AssetManifest, sealed: bytes) -> dict[str, bytes]:
    value = parse_json(authority.identity.hpke.open(publish_info(manifest.digest), sealed))
    items = value.items() if isinstance(value, dict) else ()
    keys = {str(name): b64decode(str(key)) for name, key in items}
    expected = {manifest.footer_key_id, *(group.key_id for group in manifest.groups)}
    if set(keys) != expected or any(len(key) != 32 for key in keys.values()):
        raise BadInput(
            "The keys do not fit the asset.",
            found=f"{len(keys)} keys",
            expected=f"{len(expected)} keys of 32 bytes, one for each column group and one for the footer",
        )
    return keys


def publish(
    authority: Authority, manifest_envelope: bytes, policy_envelope: bytes, module: str | None, sealed_keys: bytes
) -> tuple[str, int]:
    """Take an asset into the catalogue; publishing the same asset again changes nothing.

    Returns:
        The asset's id and the index of its log entry.

    Raises:
        NotAuthorised: signed by somebody whose assets this authority does not take.
        DigestMismatch: the policy or its module is not the one the manifest names.
        BadInput: the keys do not fit, the module is refused, or no group could ever read from that storage.
        Unavailable: the storage lets this authority make no read pass.
    """
    manifest = verify_manifest(manifest_envelope, None)
    policy = verify(policy_envelope, OwnerPolicy, verify_signature, did=manifest.owner)
    if manifest.owner != authority.owner or manifest.authority != authority.did:
        raise NotAuthorised(
            "This authority does not take the asset.",
            found=f"owner {manifest.owner}, authority {manifest.authority}",
            expected=f"owner {authority.owner}, authority {authority.did}",
            hint="Seal it for this authority: %seal … --authority URL, as this authority's owner.",
        )
    module_digest = None if module is None else check_module(module)
    for what, found, expected in (
        ("policy", policy.digest, manifest.policy),
        ("policy module", module_digest, policy.module),
    ):
        if found != expected:
            raise DigestMismatch(f"The {what} is not the one that was named.", found=found, expected=expected)
    unknown = sorted(set(policy.columns or ()) - set(manifest.columns)) if manifest.columns else []
    if unknown:
        raise BadInput(
            "The policy grants a column that the table does not have.",
            found=", ".join(unknown),
            expected="some of: " + ", ".join(manifest.columns),
            hint="Correct --columns and seal again.",
        )
    _require_readable(authority, manifest)
    master_keys, asset = _open_keys(authority, manifest, sealed_keys), manifest.digest
    row: dict[str, Any] = {"id": asset, "name": manifest.name, "state": "active", "module": module}
    row |= {"manifest": manifest_envelope, "policy": policy_envelope, "created_at": authority.clock()}
    row |= {"policy_id": manifest.policy}
    wrapped = [
        {"asset": asset, "key_id": name, "wrapped": authority.keyring.wrap(asset, name, key)}
        for name, key in master_keys.items()
    ]
    with authority.store.write() as connection:
        known = ledger.last(connection, asset, "asset.published")
        if known is not None:
            return asset, known
        version, changed = _supersede(connection, manifest)
        connection.execute(sa.insert(db.assets).values(**row, version=version))
        connection.execute(sa.insert(db.keys), wrapped)
        meaning = {"asset": asset, "name": manifest.name, "owner": manifest.owner, "policy": manifest.policy}
        facts: dict[str, str | int | bool] = {"asset_kind": manifest.kind, "version": version}
        events = [ledger.Event("asset.published", asset, meaning, facts)]
        if changed:
            events.append(ledger.Event("policy.changed", asset, meaning))
        return asset, ledger.append(connection, authority, events)


def _require_readable(authority: Authority, manifest: AssetManifest) -> None:
    """Whether a pass can be made for groups to come; better now than when the first of them runs."""
    if is_azure(manifest.storage):
        names = [part.name for part in manifest.parts[:1]]
        authority.minter.mint(parse_place(manifest.storage), names, until=authority.clock() + PROBE_SECONDS)


def _supersede(connection: Connection, manifest: AssetManifest) -> tuple[int, bool]:
    """Close the active version of this name; the number of the next one, and whether its policy is another."""
    rows, named = db.assets, db.assets.c.name == manifest.name
    last = int(connection.execute(sa.select(sa.func.max(rows.c.version)).where(named)).scalar() or 0)
    query = sa.select(rows.c.id, rows.c.policy_id).where(named, rows.c.state == "active")
    active = connection.execute(query).first()
    if active is None:
        return last + 1, False
    connection.execute(sa.update(rows).where(rows.c.id == active.id).values(state="superseded"))
    return last + 1, active.policy_id != manifest.policy


def _published(row: RowMapping) -> Published:
    manifest = verify_manifest(row["manifest"], row["id"])
    policy = verify(row["policy"], OwnerPolicy, verify_signature, did=manifest.owner)
    return Published(
        row["id"], row["state"], row["manifest"], row["policy"], manifest, policy, row["module"], row["runs"]
    )


def find(connection: Connection, asset: str) -> Published:
    """The asset with this id, whatever its state.

    Raises:
        UnknownName: never published here.
    """
    row = connection.execute(_ASSET, {"asset": asset}).mappings().first()
    if row is None:
        raise _no_asset(asset)
    return _published(row)


def resolve(connection: Connection, text: str) -> str:
    """The id of what somebody calls an asset: its id, the beginning of it, or a name for its newest version.

    Raises:
        UnknownName: none. BadInput: several ids begin like that.
    """
    rows, where = db.assets, db.assets.c.id == text
    if text.startswith(_DIGEST):
        if len(text) < len(_DIGEST) + _LEAST_DIGITS:
            raise BadInput("A digest needs more digits.", found=text, expected=f"{_LEAST_DIGITS} at least")
        if len(text) < _WHOLE_DIGEST:
            where = (rows.c.id >= text) & (rows.c.id < text + "g")  # hex digits end before it
        query = sa.select(rows.c.id).where(where).limit(2)
    else:
        query = sa.select(rows.c.id).where(rows.c.name == text).order_by(rows.c.version.desc()).limit(1)
    found = connection.execute(query).scalars().all()
    if len(found) > 1:
        raise BadInput("Several assets begin like that.", found=text[:80], hint="Write more of the digest, or all.")
    if not found:
        raise _no_asset(text)
    return str(found[0])


def _no_asset(text: str) -> UnknownName:
    return UnknownName("This authority has no such asset.", found=text[:80], hint="%sls assets lists what there is.")


def newest(
    connection: Connection, *, name: str | None = None, after: str = "", limit: int | None = None
) -> list[AssetAnswer]:
    """The active version of every name, by name; a page of it with ``after`` (a name) and ``limit``.

    What was verified when it was published is not verified again: anybody may ask, and whoever reads it verifies it.
    """
    rows = db.assets
    query = sa.select(rows).where(rows.c.state == "active", rows.c.name > after).order_by(rows.c.name)
    if name is not None:
        query = query.where(rows.c.name == name)
    size, found = 0, list[AssetAnswer]()
    for row in connection.execute(query.limit(limit)).mappings():
        size += len(row["manifest"]) + len(row["policy"]) + len(row["module"] or "")
        if found and limit is not None and size > MAX_PAGE_BYTES:
            break
        found.append(_told(row))
    return found


def told(connection: Connection, asset: str) -> AssetAnswer:
    """What the catalogue tells everybody about the asset with this id, whatever its state.

    Raises:
        UnknownName: never published here.
    """
    row = connection.execute(sa.select(db.assets).where(db.assets.c.id == asset)).mappings().first()
    if row is None:
        raise _no_asset(asset)
    return _told(row)


def _told(row: RowMapping) -> AssetAnswer:
    envelopes = {name: json.loads(row[name]) for name in ("manifest", "policy")}
    return AssetAnswer(id=row["id"], state=row["state"], module=row["module"], **envelopes)


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What withdrawing or shredding did."""

    entry: int  # index of the newest log entry about it
    closed: int  # versions that it changed
    versions: int  # that it was about
    shredded: int  # of these, how many have no keys any more


def withdraw(authority: Authority, caller: str, asset: str, *, shred: bool, all_versions: bool = False) -> Withdrawn:
    """Stop granting an asset; with ``shred``, destroy its master keys, so nobody opens it ever again.

    Withdrawing what is withdrawn, or anything with what is shredded, changes nothing.

    Args:
        asset: its id, the beginning of it, or a name.
        all_versions: every version of its name, in one transaction; else this one alone.

    Raises:
        NotAuthorised, UnknownName. BadInput: several ids begin like that. Unavailable: after shredding, when a
        reader kept the database's files busy; the keys are deleted then, and calling again takes them out of the files.
    """
    if caller != authority.owner:
        raise NotAuthorised("Only its owner can withdraw an asset.", found=caller, expected=authority.owner)
    rows = db.assets
    with authority.store.write() as connection:
        chosen = resolve(connection, asset)
        name = connection.execute(sa.select(rows.c.name).where(rows.c.id == chosen)).scalar_one()
        where = rows.c.name == name if all_versions else rows.c.id == chosen
        query = sa.select(rows.c.id, rows.c.name, rows.c.state).where(where).order_by(rows.c.version)
        done = _withdraw(connection, authority, connection.execute(query).all(), shred=shred)
    if shred:
        authority.store.forget()
    return done


def _withdraw(connection: Connection, authority: Authority, versions: Sequence[Any], *, shred: bool) -> Withdrawn:
    kind: EntryKind = "asset.shredded" if shred else "asset.withdrawn"
    final = ("shredded",) if shred else ("shredded", "withdrawn")
    open_ = [row for row in versions if row.state not in final]
    shredded = len(versions) if shred else sum(row.state == "shredded" for row in versions)
    if not open_:
        known = ledger.last(connection, versions[-1].id, "asset.shredded", kind)
        return Withdrawn(cast(int, known), 0, len(versions), shredded)
    for row in open_:
        state = "shredded" if shred else "withdrawn"
        connection.execute(sa.update(db.assets).where(db.assets.c.id == row.id).values(state=state))
        if shred:
            connection.execute(sa.delete(db.keys).where(db.keys.c.asset == row.id))
    events = [ledger.Event(kind, row.id, {"asset": row.id, "name": row.name}) for row in open_]
    first = ledger.append(connection, authority, events)
    return Withdrawn(first + len(events) - 1, len(open_), len(versions), shredded)


def unwrap_keys(
    connection: Connection, authority: Authority, published: Published, key_ids: tuple[str, ...]
) -> dict[str, bytes]:
    """The named master keys of an asset, in the clear. Only key release calls this."""
    rows = db.keys
    query = sa.select(rows).where(rows.c.asset == published.id, rows.c.key_id.in_(key_ids))
    wrapped = {row["key_id"]: row["wrapped"] for row in connection.execute(query).mappings()}
    return {name: authority.keyring.unwrap(published.id, name, wrapped[name]) for name in key_ids}


def open_part(authority: Authority, asset: str, name: str) -> tuple[BinaryIO, int]:
    """A sealed part and its size, for a guest that cannot reach the owner's disk. Ciphertext only.

    Raises:
        UnknownName: no such part, or its storage is not this authority's folder.
    """
    with authority.store.read() as connection:
        manifest = find(connection, asset).manifest
    part = next((item for item in manifest.parts if item.name == name), None)
    inside = manifest.storage.startswith(authority.asset_root.as_uri() + "/") and ".." not in manifest.storage
    if part is None or not inside:
        raise UnknownName(
            "This authority does not serve that part.", found=name, hint=f"Read it from {manifest.storage}."
        )
    file = local_parts(manifest)(name)
    found = file.seek(0, io.SEEK_END)
    file.seek(0)
    if found != part.size:
        file.close()
        raise DigestMismatch(
            "A sealed part is not the one that was sealed.",
            found=f"{name} of {found} bytes",
            expected=f"{part.size} bytes",
            hint="Its owner can restore it from a backup, or seal the table again.",
        )
    return file, part.size
