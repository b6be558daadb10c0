"""Where two measurements differ is said in words: layer, container, rule."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.contract import cce
from sls_jupyter.hosts.aci.differing import MAX_LINES, differing_layers, differing_policies
from tests.aci_kit import group

MADE = group()
POLICY = cce.render(MADE)
HASH = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(st.lists(HASH, max_size=6), st.lists(HASH, max_size=6))
def test_layers_agree_or_the_first_that_does_not_is_named(found, expected):
    """No difference is passed over, and none is made up."""
    words = differing_layers(found, expected)
    assert bool(words) == (found != expected)
    same = [one == other for one, other in zip(found, expected, strict=False)]
    if not all(same):
        assert words.startswith(f"layer {same.index(False) + 1} of")


def changed(name: str, /, **rules: Any) -> bytes:
    """The policy with another value for some rules of one container."""
    lines = POLICY.decode().split("\n")
    number = next(place for place, line in enumerate(lines) if line.startswith("containers := "))
    containers = json.loads(lines[number].removeprefix("containers := "))
    for one in containers:
        if one["name"] == name:
            one |= rules
    lines[number] = "containers := " + json.dumps(containers, sort_keys=True)
    return "\n".join(lines).encode()


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (changed("output", working_dir="/tmp"), 'container output, working_dir: "/tmp", expected "/"'),
        (changed("audit", layers=[*MADE.image.layers[:-1], "0" * 64]), "container audit, layers: layer 2 of 2 is 0000"),
        (changed("audit", id="image@sha256:1"), "They mean the same"),  # a name that nobody reads
        (changed("input", name="other"), "container input is missing"),
        (POLICY.replace(b"allow_dump_stacks := false", b"allow_dump_stacks := true"), "allow_dump_stacks: true, expected false"),
        (cce.render(replace(MADE, fragments=("aci-infrastructure",))), "fragments: "),
        (b"package policy\n\nx := {", "cannot be read"),
    ],
)  # fmt: skip
def test_a_difference_is_named(found, words):
    """Whoever compares two policies of hundreds of lines is told the one that matters."""
    assert any(words in line for line in differing_policies(found, POLICY))


def test_other_bytes_of_one_meaning_are_no_agreement():
    """Order alone once changed everybody's HOST_DATA: keys are not released, and that is said."""
    lines = POLICY.decode().split("\n")
    number = next(place for place, line in enumerate(lines) if line.startswith("containers := "))
    containers = json.loads(lines[number].removeprefix("containers := "))
    containers[0]["env_rules"].reverse()
    lines[number] = "containers := " + json.dumps(containers)
    (line,) = differing_policies("\n".join(lines).encode(), POLICY)
    assert "mean the same" in line
    assert "no key is released" in line


def test_one_text_has_no_difference():
    """Nothing is reported where there is nothing."""
    assert differing_policies(POLICY, POLICY) == ()


def test_many_differences_are_counted():
    """A wholly different policy fills no screen."""
    found = differing_policies(b"package policy\n", POLICY)
    assert len(found) <= MAX_LINES + 1
    assert found[-1].startswith("and ")
