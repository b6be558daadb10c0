"""Placement: a host that meets everybody's conditions, or whose condition no host meets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from builders import World

from sls_jupyter.contract.grants import Grant, Obligations
from sls_jupyter.contract.spec import Limits, StreamSpec
from sls_jupyter.errors import HostUnsuitable
from sls_jupyter.safestream.host import HostCapabilities
from sls_jupyter.safestream.placement import place


class Place:
    """A host that only says what it can."""

    def __init__(self, tee: str = "simulated-snp", cpus: int = 2, memory: int = 8 * 2**30) -> None:
        self._can = HostCapabilities("host", tee, cpus, memory)

    def capabilities(self) -> HostCapabilities:
        return self._can

    def launch(self, group: Any, cce_policy: bytes, tell: Any = None) -> Any:
        raise AssertionError


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("w"))
    yield made
    made.close()


def asked(world: World, *tees: str, **limits: Any) -> tuple[StreamSpec, list[Grant]]:
    sealed = world.publish()
    spec = world.spec(world.input(sealed), tees=("sev-snp", "simulated-snp"), limits=Limits(**limits))
    grant = Grant(
        authority=world.authority.did,
        spec=spec.digest,
        asset=sealed.digest,
        columns=None,
        obligations=Obligations(),
        tees=tees or ("simulated-snp",),
        issued_at=0,
        expires_at=1,
    )
    return spec, [grant]


def test_the_first_host_that_does_is_taken_or_the_one_that_is_named(world: World) -> None:
    """A user need not name a host, and may."""
    hosts = {"small": Place(cpus=1), "a": Place(), "b": Place()}
    spec, grants = asked(world, cpus=2)
    assert place(hosts, None, spec, grants)[0] == "a"
    assert place(hosts, "b", spec, grants)[0] == "b"


@pytest.mark.parametrize(
    ("host", "limits", "tees", "word"),
    [
        (Place(tee="tdx"), {}, (), "tdx"),
        (Place(), {}, ("sev-snp",), "owner of patients accepts sev-snp"),
        (Place(cpus=1), {"cpus": 4}, (), "4 CPUs"),
        (Place(memory=2**30), {"memory_bytes": 3 * 2**30}, (), "3.0 GiB"),
    ],
)
def test_a_condition_that_no_host_meets_is_named(
    world: World, host: Place, limits: dict[str, int], tees: tuple[str, ...], word: str
) -> None:
    """The user learns whose condition it is, and what would do."""
    spec, grants = asked(world, *tees, **limits)
    with pytest.raises(HostUnsuitable) as raised:
        place({"only": host}, None, spec, grants)
    assert word in str(raised.value)
    assert raised.value.hint


def test_an_unknown_host_is_told_with_the_known_ones(world: World) -> None:
    """A misspelt host costs a sentence."""
    spec, grants = asked(world)
    with pytest.raises(HostUnsuitable, match="local") as raised:
        place({"local": Place()}, "azure", spec, grants)
    assert "hosts add" in raised.value.hint
