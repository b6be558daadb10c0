"""Policies are read if they are data; everything else of the language is refused with its line."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.errors import MalformedDocument
from sls_jupyter.hosts.judge.reading import MAX_DEPTH, MAX_POLICY_BYTES, Reference, read_module

VECTORS = Path(__file__).parent / "vectors" / "cce"
POLICIES = sorted(VECTORS.rglob("*.rego"))


def value_of(text: str) -> Any:
    return read_module(f"package policy\nx := {text}\n".encode()).values["x"]


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: str(path.relative_to(VECTORS)))
def test_every_policy_at_hand_is_read(path: Path) -> None:
    """Policies of this package, of confcom in several versions, and those that allow everything."""
    module = read_module(path.read_bytes())
    assert module.package == "policy"
    assert {"create_container", "mount_device"} <= set(module.values)


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
        max_leaves=12,
    ),
    st.sampled_from([None, 1, 2]),
)
def test_json_is_read_as_json(value: Any, indent: int | None) -> None:
    """What a policy says is what is judged, written on one line or on many."""
    found = value_of(json.dumps(value, indent=indent))
    assert (found, json.dumps(found)) == (value, json.dumps(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[1, 2,\n  # why\n  3,]", [1, 2, 3]),
        ('{"a": 1,}', {"a": 1}),
        ("`C:\\raw`", "C:\\raw"),
        ("-1.5e2", -150.0),
        ('"\\u00e9\\n"', "é\n"),
        ("data.framework.errors", Reference("errors")),
        ('{"errors": data.framework.errors}', {"errors": Reference("errors")}),
    ],
)
def test_what_rego_has_beside_json(text: str, value: Any) -> None:
    """Commas before the end, comments, raw strings and references are in policies that are deployed."""
    assert value_of(text) == value


def test_statements_of_a_policy() -> None:
    """Imports, defaults, either assignment and semicolons."""
    source = b"# a\npackage policy\nimport future.keywords.in\nimport rego.v1\ndefault a := 1\na = 2; b := 3\ndefault c := 4\n"
    assert dict(read_module(source).values) == {"a": 2, "b": 3, "c": 4}


@pytest.mark.parametrize(
    "text",
    [
        "x := 1\nx := 2",
        "x { true }",
        "x := true { input.a }",
        "x := true\n{ input.a }",
        "x := true if input.a",
        "x := 1\nelse := 2",
        "x := count([1])",
        "x := [y | y := 1]",
        "x := {1, 2}",
        'x := {"a", "b"}',
        'x := {"a": 1, "a": 2}',
        "x := input.a",
        "x := data.other.a",
        "x := data.framework.a.b",
        "x := data.framework",
        "x := data.framework.a[0]",
        "x := [data.framework.a]",
        "default x := data.framework.a",
        "x := 1 + 1",
        "x := 1 y := 2",
        "x := 01",
        "x := 1a",
        "x := 1e999",
        "x := .5",
        "x := 'a'",
        'x := "a\nb"',
        'x := "\\x41"',
        'x := "\\ud800"',
        "x := [1 2]",
        "x := [1",
        "x :=",
        "x",
        "import data.other",
        "input := 1",
        "contains := 1",
        "x := True",
        "\x00",
    ],
)
def test_what_is_no_data_is_refused(text: str) -> None:
    """A rule that is read in part would be judged as another policy."""
    with pytest.raises(MalformedDocument) as caught:
        read_module(f"package policy\n{text}\n".encode())
    assert "line" in str(caught.value)


@pytest.mark.parametrize(
    "source", [b"", b"package", b"package 1", b"x := 1", b"packagepolicy\n", b"\xff", b"\xef\xbb\xbfpackage policy"]
)
def test_what_is_no_module_is_refused(source: bytes) -> None:
    """The package comes first, in UTF-8."""
    with pytest.raises(MalformedDocument):
        read_module(source)


def test_size_and_depth_are_bounded() -> None:
    """A stranger's policy costs no more than its bytes."""
    assert value_of("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None
    for text in ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "[" + "1," * 200_001 + "]", "9" * 65):
        with pytest.raises(MalformedDocument):
            value_of(text)
    with pytest.raises(MalformedDocument, match="bytes"):
        read_module(b"#" * (MAX_POLICY_BYTES + 1))


SOURCE = (VECTORS / "confcom-samples" / "minimal" / "policy.rego").read_bytes()


@settings(deadline=None)
@given(st.integers(0, len(SOURCE) - 1), st.binary(max_size=3))
def test_any_change_is_read_or_refused(place: int, more: bytes) -> None:
    """Bytes of a stranger end in our own error, never in a foreign one."""
    with suppress(MalformedDocument):
        read_module(SOURCE[:place] + more + SOURCE[place + 1 :])


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_no_policy(noise: bytes) -> None:
    """Any bytes end in our own error."""
    with pytest.raises(MalformedDocument):
        read_module(noise)
