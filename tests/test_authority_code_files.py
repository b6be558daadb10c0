"""Sealed code before reviewers: its texts for those who judge a request, confidential code for nobody."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from builders import CODE, URL, World, person

from sls_jupyter.assets.sealing import SealedAsset, seal_code
from sls_jupyter.authority import catalogue, decisions
from sls_jupyter.authority.code_files import open_files
from sls_jupyter.documents import digest, sign
from sls_jupyter.errors import BadInput, NotAuthorised

FILES = {"risk/__init__.py": b"", "risk/model.py": b"def fit(frame):\n    return frame\n"}


@pytest.fixture
def world(tmp_path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


def publish(world: World, *, confidential: bool = False) -> SealedAsset:
    policy = world.policy(code="reviewed")
    sealed = seal_code(
        FILES, name="risk", owner=world.owner, authority=world.authority.did, authority_url=URL, policy=policy.digest,
        storage=(world.folder / "assets" / "code").absolute().as_uri(), created_at=world.clock(),
        confidential=confidential,
    )  # fmt: skip
    catalogue.publish(world.authority, *world.submission(sealed, policy))
    return sealed


def ask(world: World, sealed: SealedAsset) -> None:
    spec = world.spec(world.input(sealed, "risk", columns=None), world.input(world.publish("z"), "z"))
    decisions.submit(world.authority, spec.requester, sign(spec, world.analyst), CODE, None)


def test_the_manifest_names_every_file_by_its_digest(world) -> None:
    """What a reviewer is shown can be compared with what the owner signed."""
    found = {one.path: (one.sha256, one.size) for one in publish(world).manifest.files or ()}
    assert found == {path: (digest(data), len(data)) for path, data in FILES.items()}


def test_code_is_for_those_who_judge_it(world) -> None:
    """Its owner, and the people of a request that names it; nobody else."""
    sealed = publish(world)
    assert open_files(world.authority, world.owner.did, sealed.digest) == FILES
    for who in (world.analyst, person("stranger")):
        with pytest.raises(NotAuthorised):
            open_files(world.authority, who.did, sealed.digest)
    ask(world, sealed)
    assert open_files(world.authority, world.analyst.did, sealed.digest) == FILES
    with pytest.raises(NotAuthorised):
        open_files(world.authority, person("stranger").did, sealed.digest)


def test_confidential_code_and_tables_are_shown_to_nobody(world) -> None:
    """Also not to people of a request; a manifest of confidential code has no digests to guess with."""
    sealed = publish(world, confidential=True)
    assert sealed.manifest.files is None
    ask(world, sealed)
    for who in (world.owner, world.analyst):
        with pytest.raises((BadInput, NotAuthorised)):
            open_files(world.authority, who.did, sealed.digest)
    with pytest.raises(BadInput):
        open_files(world.authority, world.owner.did, world.publish("t").digest)
