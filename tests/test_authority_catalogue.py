"""The catalogue: what an authority takes in, what it lists, and what is left after shredding."""

from __future__ import annotations

import sqlite3

import pytest
from builders import World, person

from sls_jupyter.assets.opening import verify_manifest
from sls_jupyter.authority import catalogue
from sls_jupyter.authority.store import Store
from sls_jupyter.documents import canonical_json, digest, sign
from sls_jupyter.errors import (
    BadInput,
    DigestMismatch,
    NotAuthorised,
    SlsError,
    Unavailable,
    UnknownName,
    VerificationError,
)
from sls_jupyter.hpke import seal

MODULE = 'package sls.owner\n\nimport rego.v1\n\ndecision := {"verdict": "allow"}\n'


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


def publish(world: World, *submission) -> tuple[str, int]:
    return catalogue.publish(world.authority, *submission)


def states(world: World, name: str) -> dict[str, str]:
    with world.authority.store.read() as connection:
        rows = connection.exec_driver_sql("select id, state from assets where name = ?", (name,))
        return {row.id: row.state for row in rows}


def newest(world: World) -> dict[str, str]:
    with world.authority.store.read() as connection:
        manifests = [verify_manifest(canonical_json(one.manifest), one.id) for one in catalogue.newest(connection)]
    return {manifest.name: manifest.digest for manifest in manifests}


def stored_bytes(world: World) -> bytes:
    """Every byte of the database's files."""
    return b"".join(path.read_bytes() for path in sorted(world.folder.glob("authority.db*")))


def test_publishing_twice_changes_nothing(world):
    """An owner who seals again after a lost answer gets the same asset and the same log entry."""
    policy = world.policy()
    submission = world.submission(world.seal(policy), policy)
    first = publish(world, *submission)
    assert publish(world, *submission) == first
    assert world.log() == ["asset.published"]
    assert len(world.rows("assets")) == 1


def test_asset_of_somebody_else_is_not_taken(world):
    """An authority speaks for its own owner only."""
    stranger = person("stranger")
    policy = world.policy(owner=stranger.did)
    sealed = world.seal(policy, owner=stranger)
    _, _, module, keys = world.submission(sealed, policy)
    with pytest.raises(NotAuthorised):
        publish(world, sealed.envelope, sign(policy, stranger), module, keys)
    assert world.rows("assets") == []


def test_asset_for_another_authority_is_not_taken(world):
    """A manifest that names another authority would send guests there, so it is refused here."""
    policy = world.policy()
    sealed = world.seal(policy, authority=person("another authority").did)
    with pytest.raises(NotAuthorised):
        publish(world, *world.submission(sealed, policy))


def test_another_policy_is_refused(world):
    """The policy that counts is the one the manifest was signed with."""
    policy = world.policy()
    submission = world.submission(world.seal(policy), world.policy(max_runs=99))
    with pytest.raises(DigestMismatch):
        publish(world, *submission)


def test_policy_signed_by_somebody_else_is_refused(world):
    """Nobody but the owner writes the policy of the owner's asset."""
    policy = world.policy()
    envelope, _, module, keys = world.submission(world.seal(policy), policy)
    with pytest.raises(SlsError):
        publish(world, envelope, sign(policy, world.analyst), module, keys)


@pytest.mark.parametrize("module", [MODULE + "# changed\n", None])
def test_module_is_the_one_the_policy_names(world, module):
    """A module that was changed or left away on the way is refused."""
    policy = world.policy(module=digest(MODULE.encode()))
    envelope, policy_envelope, _, keys = world.submission(world.seal(policy), policy)
    with pytest.raises(DigestMismatch):
        publish(world, envelope, policy_envelope, module, keys)


def test_module_that_calls_out_is_refused_when_published(world):
    """An owner learns at once, not at the first request, that a module may not reach the network."""
    module = MODULE.replace('"allow"', 'http.send({"url": "https://x.example", "method": "get"}).body')
    policy = world.policy(module=digest(module.encode()))
    envelope, policy_envelope, _, keys = world.submission(world.seal(policy), policy)
    with pytest.raises(BadInput, match=r"http\.send"):
        publish(world, envelope, policy_envelope, module, keys)


def sealed_value(world: World, sealed, value) -> bytes:
    info = catalogue.publish_info(sealed.digest)
    return seal(world.authority.identity.hpke.public_bytes, info, canonical_json(value))


@pytest.mark.parametrize("value", [{}, [], "x", {"k": 1}, {"0" * 32: "AAAA"}])
def test_keys_that_do_not_fit_are_refused(world, value):
    """An asset that nobody could ever open is refused when it is published."""
    policy = world.policy()
    sealed = world.seal(policy)
    envelope, policy_envelope, module, _ = world.submission(sealed, policy)
    with pytest.raises(BadInput):
        publish(world, envelope, policy_envelope, module, sealed_value(world, sealed, value))


def test_keys_of_another_asset_are_refused(world):
    """Keys are sealed for one asset: those of another do not open."""
    policy = world.policy()
    first, second = world.seal(policy, "first"), world.seal(policy, "second")
    envelope, policy_envelope, module, _ = world.submission(first, policy)
    with pytest.raises(VerificationError):
        publish(world, envelope, policy_envelope, module, world.submission(second, policy)[3])


def test_newest_version_of_each_name(world):
    """Analysts see one asset a name: the newest that was not taken back."""
    first = world.publish("patients")
    other = world.publish("trial")
    world.clock.seconds += 10
    second = world.publish("patients")
    assert newest(world) == {"patients": second.digest, "trial": other.digest}
    assert states(world, "patients") == {first.digest: "superseded", second.digest: "active"}
    catalogue.withdraw(world.authority, world.owner.did, second.digest, shred=False)
    assert newest(world) == {"trial": other.digest}  # the older, looser one does not come up again
    third = world.publish("patients")
    assert newest(world)["patients"] == third.digest
    assert world.entry(world.size() - 1).facts["version"] == 3


@pytest.mark.parametrize("shred", [False, True])
def test_a_name_means_all_of_its_versions(world, shred):
    """Withdrawing a name leaves no version of it open, and shredding it no key; another name is not touched."""
    versions = [world.publish("patients").digest for _ in range(3)]
    other = world.publish("trial").digest
    done = catalogue.withdraw(world.authority, world.owner.did, "patients", shred=shred, all_versions=True)
    assert (done.closed, done.versions) == (3, 3)
    assert set(states(world, "patients").values()) == {"shredded" if shred else "withdrawn"}
    assert {row[0] for row in world.rows("keys")} == ({other} if shred else {*versions, other})
    assert world.log()[-3:] == ["asset.shredded" if shred else "asset.withdrawn"] * 3
    assert done.entry == world.size() - 1


def test_a_digest_means_one_version(world):
    """Also when only its beginning is written; two that begin alike are refused."""
    first, second = world.publish("patients").digest, world.publish("patients").digest
    catalogue.withdraw(world.authority, world.owner.did, first[:20], shred=True)
    assert states(world, "patients") == {first: "shredded", second: "active"}
    for short in ("sha256:", first[:10]):
        with pytest.raises(BadInput, match="more digits"):
            catalogue.withdraw(world.authority, world.owner.did, short, shred=True)
    with world.authority.store.write() as connection:
        twin = first[:-1] + ("0" if first[-1] != "0" else "1")
        connection.exec_driver_sql(
            "insert into assets select ?, 'twin', 1, state, 0, manifest, policy, policy_id, module, created_at from assets where id = ?",
            (twin, first),
        )
    with pytest.raises(BadInput, match="Several"):
        catalogue.withdraw(world.authority, world.owner.did, first[:40], shred=True)


def test_a_page_of_the_catalogue(world, monkeypatch):
    """All names once, in their order, however short the pages; one asset at least on each."""
    names = [f"t{number}" for number in range(5)]
    for name in names:
        world.publish(name)
    for limit, size in ((2, catalogue.MAX_PAGE_BYTES), (100, 1)):
        monkeypatch.setattr(catalogue, "MAX_PAGE_BYTES", size)
        found: list[str] = []
        with world.authority.store.read() as connection:
            while page := catalogue.newest(connection, after=found[-1] if found else "", limit=limit):
                found += [verify_manifest(canonical_json(one.manifest), one.id).name for one in page]
        assert found == names


def test_a_database_of_another_version_is_told(tmp_path):
    """What an older program left is not half understood."""
    path = tmp_path / "authority.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table assets (id text primary key, name text)")
    connection.close()
    with pytest.raises(Unavailable, match="another version"):
        Store(path)


def test_only_the_owner_withdraws(world):
    """Nobody else can take an asset out of the catalogue."""
    sealed = world.publish()
    with pytest.raises(NotAuthorised):
        catalogue.withdraw(world.authority, world.analyst.did, sealed.digest, shred=True)
    with pytest.raises(UnknownName):
        catalogue.withdraw(world.authority, world.owner.did, "sha256:" + "0" * 64, shred=False)
    assert newest(world)


def test_withdrawing_twice_is_one_entry(world):
    """The log says once what happened once; shredding is for ever and withdrawing does not undo it."""
    sealed, owner = world.publish(), world.owner.did
    first = catalogue.withdraw(world.authority, owner, sealed.digest, shred=False)
    again = catalogue.withdraw(world.authority, owner, sealed.digest, shred=False)
    assert (first.closed, again.closed, again.entry) == (1, 0, first.entry)
    gone = catalogue.withdraw(world.authority, owner, sealed.digest, shred=True)
    assert catalogue.withdraw(world.authority, owner, sealed.digest, shred=False).entry == gone.entry
    assert world.log() == ["asset.published", "asset.withdrawn", "asset.shredded"]
    assert set(states(world, "patients").values()) == {"shredded"}


def test_shredded_keys_are_gone_from_the_disk(world):
    """After shredding, not even the wrapped keys are in any byte of the database's files."""
    sealed = world.publish()
    wrapped = [row[2] for row in world.rows("keys")]
    assert all(key in stored_bytes(world) for key in wrapped)
    catalogue.withdraw(world.authority, world.owner.did, sealed.digest, shred=True)
    assert not any(key in stored_bytes(world) for key in wrapped)


def test_master_keys_are_never_stored_in_the_clear(world):
    """Whoever copies the database without the store key has no master key."""
    sealed = world.publish()
    assert not any(key in stored_bytes(world) for key in sealed.keys.values())


def test_wrapped_key_works_in_its_own_row_only(world):
    """An operator who swaps two wrapped keys in the database gets an error, not another column's key."""
    keyring = world.authority.keyring
    wrapped = keyring.wrap("asset", "one", b"k" * 32)
    assert keyring.unwrap("asset", "one", wrapped) == b"k" * 32
    for asset, key_id, data in (("asset", "two", wrapped), ("other", "one", wrapped), ("asset", "one", wrapped[:-1])):
        with pytest.raises(VerificationError):
            keyring.unwrap(asset, key_id, data)
    assert "store_key" not in repr(keyring)


def test_parts_are_served_from_the_own_folder_only(world, tmp_path_factory):
    """A manifest that points to some other place on the disk does not make the authority read it."""
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "asset"
    policy = world.policy()
    sealed = world.seal(policy, storage=elsewhere.as_uri())
    publish(world, *world.submission(sealed, policy))
    with pytest.raises(UnknownName):
        catalogue.open_part(world.authority, sealed.digest, "part-00000.parquet")


def test_another_policy_for_a_name_is_logged(world: World) -> None:
    """An owner who loosens a policy by sealing again leaves a trace, also within one second."""
    world.publish("audited")
    world.publish("audited")
    assert "policy.changed" not in world.log()
    world.publish("audited", max_runs=5)
    assert world.log()[-2:] == ["asset.published", "policy.changed"]
    world.publish("audited", max_runs=5)
    assert world.log()[-1] == "asset.published"
