"""One run is one group: an operator who starts a second one under the same policy gets nothing for it."""

from __future__ import annotations

from typing import Any

import pytest
from crosswise_kit import attack
from e2e import World, needs_sandbox, world

from sls_jupyter.errors import EvidenceRejected

__all__ = ["world"]
_CELL = "print('LEFT')"


class Twice:
    """A host that launches each group twice, and shows the in-door of one and the out-door of the other."""

    def __init__(self, host: Any) -> None:
        self._host = host
        self.capabilities = host.capabilities
        self.groups: list[Any] = []

    def launch(self, group: Any, cce_policy: bytes, *rest: Any) -> Any:
        first, second = (self._host.launch(group, cce_policy, *rest) for _ in range(2))
        self.groups += [first, second]
        return Both(first, second)


class Both:
    def __init__(self, first: Any, second: Any) -> None:
        self._groups = first, second
        self.endpoints = {"input": first.endpoints["input"], "output": second.endpoints["output"]}
        self.states, self.logs = first.states, first.logs

    def stop(self) -> None:
        for one in self._groups:
            one.stop()


def test_code_and_results_go_through_one_group(world: World) -> None:
    """The policy admits both groups: data would go into one, and what the other says would be taken for its results."""
    hosts = world.analyst.hosts
    twice = Twice(hosts["local"])
    world.analyst.hosts = {"local": twice}
    try:
        ended = world.do("x = 1")
    finally:
        world.analyst.hosts = hosts
    assert isinstance(ended.error, EvidenceRejected)
    assert "report_id" in str(ended.error)
    assert not any(state.running for one in twice.groups for state in one.states().values())
    kinds = [line.entry.kind for line in world.analyst.audit(ended.run.id).lines]
    assert "key.released" not in kinds


@needs_sandbox
def test_a_second_output_cannot_swear_that_nothing_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Operator and requester would have the results and a receipt, signed by hardware, that says there were none."""
    with attack(world, monkeypatch, early=False):
        ended = world.do(_CELL)
    assert "LEFT" in str(ended.of("stream")), "the attack itself: the other output let it go"
    assert not _accepted(world, ended.run.id)


@needs_sandbox
def test_a_second_output_cannot_swear_before_the_program_is_fed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, with an oath that is under way while the program starts: once it is sworn, nothing may be fed any more."""
    with attack(world, monkeypatch, early=True) as operator:
        ended = world.do(_CELL)
    assert operator.posting.is_set(), "the attack itself: the oath was sworn before the program was there"
    left = "LEFT" in str(ended.of("stream"))
    assert not (left and _accepted(world, ended.run.id))
    assert not left
    assert operator.input_lived is False


def _accepted(world: World, run: str) -> bool:
    verdict = world.analyst.audit(run).verdict
    return verdict is not None and verdict.accepted
