"""Rego's values: what is equal, what is defined, what an expression matches, which version is newer."""

from __future__ import annotations

from typing import Any

import pytest

from sls_jupyter.hosts.judge.values import (
    Undefined,
    anchored,
    at,
    compare,
    count,
    distinct,
    every,
    is_version,
    matches,
    number,
    same,
    true_at,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (True, 1),
        (False, 0),
        (None, False),
        ("1", 1),
        ([1], [2]),
        ([1], [1, 1]),
        ({"a": 1}, {"a": 2}),
        ({}, []),
        ("", None),
    ],
)
def test_values_of_different_kind_are_never_equal(one: Any, other: Any) -> None:
    """Python takes True for 1; a policy does not."""
    assert not same(one, other)
    assert not same([one], [other])


def test_numbers_are_equal_by_value() -> None:
    """A signal that JSON writes as 9.0 is signal 9."""
    assert same({"a": [9, None, True]}, {"a": [9.0, None, True]})


def test_only_false_and_what_is_missing_fail() -> None:
    """``null``, zero and the empty text are true in Rego."""
    found = {"null": None, "zero": 0, "empty": "", "no": False}
    assert [name for name in [*found, "missing"] if true_at(found, name)] == ["null", "zero", "empty"]


@pytest.mark.parametrize(
    ("value", "path"), [({}, ["a"]), ([], [0]), ([1], [-1]), ([1], [True]), ("a", [0]), (None, ["a"])]
)
def test_a_missing_member_is_undefined(value: Any, path: list[Any]) -> None:
    """There is no default for what a policy leaves away."""
    with pytest.raises(Undefined):
        at(value, *path)


def test_what_is_no_collection_has_no_elements() -> None:
    """``every`` over nothing holds, over no collection it does not."""
    assert every([], lambda _: False)
    assert not every(None, lambda _: True)
    with pytest.raises(Undefined):
        count(None)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("(?i)(FABRIC)_.+=.+", "fabric_a=b", True),
        ("a.b", "a\nb", False),
        ("a", "a\n", False),
        ("a", "xa", False),
        ("^a|b$", "xb", True),  # anchors stand already, so none are added
        ("a|b", "xb", True),
        ("(a|b)", "xb", False),
        ("a\\$", "a$b", True),  # what ends in a dollar sign gets none
        ("\\pL+", "é", True),
        ("[0-9]{1,5}", "123456", False),
    ],
)
def test_expressions_are_those_of_re2_anchored_as_the_framework_does(pattern: str, text: str, found: bool) -> None:
    """Python's ``re`` differs in line ends, flags and classes; a rehearsal with it would be another policy."""
    assert matches(anchored(pattern), text) is found


@pytest.mark.parametrize("pattern", ["(?=a)", "(a)\\1", "(", "a{1001}", "\\C", "\\\\\\C", "(?<!a)b", None, 1])
def test_what_re2_does_not_know_matches_nothing(pattern: Any) -> None:
    """An expression that Go refuses denies; it is not matched by other rules."""
    with pytest.raises(Undefined):
        matches(pattern, "a")


def test_an_expression_costs_time_by_length_only() -> None:
    """A policy cannot stop the judge with an expression that backtracks."""
    assert not matches(anchored("(a+)+(a+)+b"), "a" * 5000)  # would take longer than the universe has lasted


@pytest.mark.parametrize(
    ("one", "other", "order"),
    [
        ("0.5.0", "0.2.3", 1),
        ("0.10.0", "0.9.0", 1),
        ("0.2.3", "0.2.3", 0),
        ("1.0.0-alpha", "1.0.0", -1),
        ("1.0.0-2", "1.0.0-10", -1),
        ("1.0.0-1", "1.0.0-a", -1),
        ("1.0.0-a", "1.0.0-a.1", -1),
        ("1.0.0+build", "1.0.0", 0),
    ],
)
def test_versions_are_ordered_by_precedence(one: str, other: str, order: int) -> None:
    """0.10 comes after 0.9; engines that compare texts get this wrong."""
    assert (compare(one, other), compare(other, one)) == (order, -order)


@pytest.mark.parametrize("version", ["1.0", "1.0.0.0", "v1.0.0", "01.0.0", "", None, 1, "1.0.0-", "1.0.0 "])
def test_what_is_no_version_is_not_compared(version: Any) -> None:
    """A policy with such a version is one that cannot be read."""
    assert not is_version(version)
    with pytest.raises(Undefined):
        compare(version, "1.0.0")


@pytest.mark.parametrize(
    ("value", "found"), [("4", 4), (4, 4), ("1.5", 1.5), (None, 0), (True, 1), ("-3", -3), ("1e2", 100)]
)
def test_versions_of_fragments_are_numbers_too(value: Any, found: float) -> None:
    """confcom writes them as texts."""
    assert number(value) == found


@pytest.mark.parametrize("value", ["", "a", "1.2.3", "0x1", "inf", "nan", "1_0", "\u0661", [], {}])
def test_what_is_no_number_is_undefined(value: Any) -> None:
    """No minimum is met by a text that is no number."""
    with pytest.raises(Undefined):
        number(value)


def test_each_value_is_kept_once() -> None:
    """Texts and other values in one list, in order; a long list of texts is no quadratic one."""
    many = [str(number) for number in range(50_000)]
    assert distinct(["a", 1, "a", 1.0, True, "1", None, [1], [1.0], *many, *many]) == ["a", 1, True, "1", None, [1]] + [
        one for one in many if one != "1"
    ]
