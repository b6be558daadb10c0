"""Signed additions to a policy: who may add, in which version, and what then counts as the policy's own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from judge_kit import FRAGMENT, LAYERS, asked, container, policy

from sls_jupyter.errors import MalformedDocument
from sls_jupyter.hosts.judge.deciding import Judge, Verdict
from sls_jupyter.hosts.judge.starts import layer_steps, overlay_step

ASK = {"issuer": "did:x509:one", "feed": "feed", "namespace": "infra", "has_header_svn": False}
OTHER_LAYERS = ["c" * 64]


def module(*containers: dict[str, Any], **values: Any) -> bytes:
    stated = {"svn": "3", "framework_version": "0.4.1", "containers": list(containers)} | values
    lines = [f"{name} := {json.dumps(value)}" for name, value in stated.items() if value is not None]
    return "\n".join(["package infra", *lines, ""]).encode()


def load(judging: Judge, source: bytes, **changes: Any) -> Verdict:
    """Both questions about a fragment; the second only if the first is allowed."""
    ask = ASK | changes
    first = judging.decide("load_fragment", {**ask, "fragment_loaded": False})
    return (
        judging.decide("load_fragment", {**ask, "fragment_loaded": True}, fragment=source) if first.allowed else first
    )


def starts(judging: Judge, layers: list[str]) -> bool:
    steps = [*layer_steps(layers), overlay_step("c0", [ask["target"] for _, ask in layer_steps(layers)])]
    return all(judging.decide(*step).allowed for step in [*steps, ("create_container", asked())])


def with_fragment(**changes: Any) -> Judge:
    return Judge(policy(container(), fragments=[FRAGMENT | changes]))


def test_a_fragments_containers_start_once_it_is_loaded() -> None:
    """What Microsoft's infrastructure fragment does: containers that the policy itself does not name."""
    judging, added = with_fragment(), container(layers=OTHER_LAYERS)
    assert not starts(judging, OTHER_LAYERS)
    assert load(judging, module(added)).allowed
    assert starts(judging, OTHER_LAYERS)
    assert starts(with_fragment(), LAYERS)


def test_only_what_the_policy_includes_is_taken() -> None:
    """A fragment cannot bring what it was not asked for."""
    judging = with_fragment(includes=["fragments"])
    assert load(judging, module(container(layers=OTHER_LAYERS))).allowed
    assert not starts(judging, OTHER_LAYERS)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"issuer": "did:x509:two"}, "invalid fragment issuer"),
        ({"feed": "another"}, "invalid fragment feed"),
    ],
)
def test_others_add_nothing(changes: dict[str, Any], text: str) -> None:
    """Issuer and feed are the policy's, or the fragment is not even read."""
    assert load(with_fragment(), module(), **changes).errors == (text,)


@pytest.mark.parametrize(
    ("svn", "minimum", "text"),
    [
        ("3", "2", None),
        (3, "2", None),
        ("2", "2", None),
        ("1.2.0", "1.1.9", None),
        ("1", "2", "fragment svn is below the specified minimum"),
        ("1.0.0", "1.1.0", "fragment svn is below the specified minimum"),
        ("3", "1.0.0", "fragment svn and the specified minimum are different types"),
        ("1.0.0", "3", "fragment svn and the specified minimum are different types"),
    ],
)
def test_an_old_fragment_is_refused(svn: Any, minimum: str, text: str | None) -> None:
    """A withdrawn fragment cannot be brought back."""
    verdict = load(with_fragment(minimum_svn=minimum), module(svn=svn))
    assert (verdict.allowed, verdict.errors) == (text is None, (text,) if text else ())


def test_the_header_may_state_the_version() -> None:
    """Then it is checked before the fragment is read, and the two have to agree."""
    header = {"has_header_svn": True, "header_svn": 3}
    assert load(with_fragment(), module(), **header).allowed
    assert load(with_fragment(), module(svn=None), **header).allowed
    low = load(with_fragment(), module(), has_header_svn=True, header_svn=1)
    assert (low.allowed, low.errors) == (False, ())
    apart = load(with_fragment(), module(svn="4"), **header)
    assert apart.errors == ("svn in header 3 does not match svn in fragment rego 4",)
    none = load(with_fragment(), module(svn=None))
    assert none.errors == (
        "fragment svn is below the specified minimum",
        "missing fragment svn in either header or rego payload",
    )


@pytest.mark.parametrize("version", [None, "0.9.0"])
def test_a_fragment_for_another_framework_is_refused(version: str | None) -> None:
    """Its members could mean something else there."""
    verdict = load(with_fragment(), module(framework_version=version))
    assert not verdict.allowed
    assert any(text.startswith("fragment framework_version is") for text in verdict.errors)


def test_fragments_may_name_fragments() -> None:
    """If the policy includes that; each is asked for by issuer and feed like the first."""
    second = {"issuer": "did:x509:two", "feed": "more", "namespace": "second"}
    source = module(container(layers=OTHER_LAYERS)).replace(b"package infra", b"package second")
    judging = with_fragment()
    assert not load(judging, source, **second).allowed
    nested = FRAGMENT | {"issuer": "did:x509:two", "feed": "more"}
    assert load(judging, module(fragments=[nested])).allowed
    assert load(judging, source, **second).allowed
    assert starts(judging, OTHER_LAYERS)


def test_a_second_fragment_of_a_feed_adds_to_the_first() -> None:
    """Both bring containers."""
    judging = with_fragment()
    for layer in ("d", "e"):
        assert load(judging, module(container(layers=[layer * 64]))).allowed
    assert len(judging.state.of_fragments("containers")) == 2


def test_two_entries_that_include_different_things_are_an_error() -> None:
    """The framework has two answers then, which is none."""
    entries = [FRAGMENT, FRAGMENT | {"includes": ["containers"]}]
    verdict = load(Judge(policy(container(), fragments=entries)), module())
    assert not verdict.allowed
    assert "multiple outputs" in verdict.problem
    assert load(Judge(policy(container(), fragments=[FRAGMENT, FRAGMENT])), module()).allowed


@pytest.mark.parametrize(
    ("required", "receipts", "allowed"),
    [
        ([], [], True),
        (["*"], [], False),
        (["*"], [{"issuer": "any", "ttl_subjects": []}], True),
        (["ledger"], [{"issuer": "other", "ttl_subjects": ["list"]}], False),
        (["ledger", "TTL:list"], [{"issuer": "ledger", "ttl_subjects": ["list"]}], True),
        (["TTL:list"], [{"issuer": "list", "ttl_subjects": []}], False),
    ],
)
def test_receipts_that_the_policy_asks_for(required: list[str], receipts: list[Any], allowed: bool) -> None:
    """Each of them, from receipts that were verified before."""
    verdict = load(with_fragment(required_receipts=required), module(), receipts=receipts)
    assert verdict.allowed is allowed
    assert all(text.startswith("missing receipt from ") for text in verdict.errors)
    assert bool(verdict.errors) is not allowed


def test_lists_of_ledgers() -> None:
    """Only ledgers that the policy takes from this list's signer."""
    entry = {"issuer": "i", "subject": "s", "minimum_svn": 2, "allowed_ledgers": ["a", "b"]}
    ask = {"issuer": "i", "subject": "s", "svn": 2, "ledgers": ["b", "c"]}
    own = {"api_version": "0.12.0", "framework_version": "0.5.0"}
    judging = Judge(policy(container(), transparency_trust_lists=[entry], **own))
    point = "load_transparency_trust_list"
    assert judging.decide(point, ask).allowed
    assert judging.decide(point, ask | {"ledgers": ["c"]}).errors == (
        "The provided TTL does not contain any ledgers it is allowed to load",
    )
    unknown = ("no TTL candidate matches the provided TTL's issuer, subject and svn",)
    assert judging.decide(point, ask | {"svn": 1}).errors == unknown
    assert Judge(policy(container(), **own)).decide(point, ask).errors == unknown
    anything = Judge(policy(container(), transparency_trust_lists=[entry | {"allowed_ledgers": ["*"]}], **own))
    assert anything.decide(point, ask | {"ledgers": ["c"]}).allowed


@pytest.mark.parametrize("package", ["policy", "framework", "api", "metadata", "data"])
def test_a_fragment_is_data_in_a_package_of_its_own(package: str) -> None:
    """It cannot take the place of the policy or of the framework."""
    with pytest.raises(MalformedDocument):
        load(with_fragment(), module().replace(b"package infra", f"package {package}".encode()))


def test_a_fragment_that_is_not_the_one_asked_about_adds_nothing() -> None:
    """The question names the package; another text is not read in its place."""
    assert not load(with_fragment(), module(), namespace="other").allowed
