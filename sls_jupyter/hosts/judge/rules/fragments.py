"""Signed additions to a policy, and lists of ledgers: which of them the policy takes.

A fragment is asked about twice: before it is read, by issuer and feed (and by the version in its header, where it
has one), and after, by the version that it states. What the policy lets it include then counts as the policy's own.
Signatures and receipts are checked before the policy is asked, not here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sls_jupyter.hosts.judge.case import Allowed, Case
from sls_jupyter.hosts.judge.reading import Module
from sls_jupyter.hosts.judge.rules.devices import require
from sls_jupyter.hosts.judge.state import Change
from sls_jupyter.hosts.judge.values import (
    Conflict,
    Undefined,
    at,
    compare,
    count,
    distinct,
    each,
    holds,
    is_version,
    member,
    number,
    same,
    text,
    true_at,
)
from sls_jupyter.hosts.judge.versions import SECTIONS, section, version_of


def loading(case: Case) -> Module | None:
    """The fragment that is being loaded, if the question names its package."""
    found = case.fragment
    return found if found is not None and same(case.asked.get("namespace"), found.package) else None


def stated_svn(case: Case) -> Any:
    """The version that the fragment states in its text.

    Raises:
        Undefined: it states none, or is not read yet.
    """
    module = loading(case)
    return at(dict(module.values) if module else {}, "svn")


def states_svn(case: Case) -> bool:
    module = loading(case)
    return module is not None and module.values.get("svn", False) is not False


@holds
def issued(case: Case, fragment: Any) -> bool:
    """Whether an entry of the policy is about this issuer."""
    return same(case.of("issuer"), at(fragment, "issuer"))


@holds
def names(case: Case, fragment: Any) -> bool:
    """Whether an entry of the policy is about this issuer and feed."""
    return issued(case, fragment) and same(case.of("feed"), at(fragment, "feed"))


def named(case: Case) -> list[Any]:
    return [fragment for fragment in case.stated.fragments() if names(case, fragment)]


@holds
def _as_versions(svn: Any, minimum: Any) -> bool:
    return is_version(svn) and is_version(minimum) and compare(svn, minimum) >= 0


@holds
def _as_numbers(svn: Any, minimum: Any) -> bool:
    return number(svn) >= number(minimum)


def svn_fits(svn: Any, minimum: Any) -> bool:
    return _as_versions(svn, minimum) or _as_numbers(svn, minimum)


@holds
def header_fits(case: Case, fragment: Any) -> bool:
    return not case.is_set("has_header_svn") or svn_fits(case.of("header_svn"), at(fragment, "minimum_svn"))


@holds
def _svn_fits_inside(case: Case, fragment: Any) -> bool:
    minimum, header = at(fragment, "minimum_svn"), case.is_set("has_header_svn")
    if not states_svn(case):
        return header and svn_fits(case.of("header_svn"), minimum)
    svn = stated_svn(case)
    return (not header or number(case.of("header_svn")) == number(svn)) and svn_fits(svn, minimum)


# --- receipts -------------------------------------------------------------------------------------


@holds
def receipt_there(case: Case, required: Any) -> bool:
    receipts = case.of("receipts")
    if same(required, "*"):
        return count(receipts) > 0
    subject = text(required).removeprefix("TTL:")
    if subject != required:
        return any(member(subject, one.get("ttl_subjects")) for one in each(receipts) if isinstance(one, dict))
    return any(same(one.get("issuer"), required) for one in each(receipts) if isinstance(one, dict))


def required_receipts(fragment: Any) -> list[Any]:
    return list(each(fragment.get("required_receipts", [])))


# --- loading --------------------------------------------------------------------------------------


def _sections(case: Case, includes: Any) -> dict[str, Any]:
    module = loading(case)
    if module is None:
        raise Undefined
    version = version_of(module, "framework")
    found = {name: section(name, module.values.get(name, []), version) for name in SECTIONS}
    return {name: found[name] for name in each(includes) if isinstance(name, str) and name in found}


def _issuer(case: Case, includes: Any) -> dict[str, Any]:
    """What is known of the issuer when this fragment is added to its feed."""
    feed = text(case.of("feed"))
    feeds: dict[str, Any] = dict(case.state.issuers.get(text(case.of("issuer")), {"feeds": {}})["feeds"])
    return {"feeds": feeds | {feed: [_sections(case, includes), *feeds.get(feed, [])]}}


def _first_time(case: Case) -> Allowed:
    fitting = [
        fragment
        for fragment in named(case)
        if header_fits(case, fragment) and all(receipt_there(case, one) for one in required_receipts(fragment))
    ]
    require(bool(fitting))
    entries = [*case.state.parameters, *case.stated.own("fragments")]
    known = [one["parameters"] for one in entries if names(case, one) and true_at(one, "parameters")]
    return Allowed(parameters=tuple(known))


def _second_time(case: Case) -> Allowed:
    includes = [at(fragment, "includes") for fragment in named(case) if _svn_fits_inside(case, fragment)]
    found = distinct([_issuer(case, one), member("namespace", one)] for one in includes)
    require(bool(found))
    if len(found) > 1:
        raise Conflict("complete rules must not produce multiple outputs: load_fragment")
    module = loading(case)
    nested = [one for one in each(module.get("fragments") if module else None) if true_at(one, "parameters")]
    parameters = tuple({name: at(one, name) for name in ("issuer", "feed", "parameters")} for one in nested)
    return Allowed((Change("update", "issuers", case.of("issuer"), found[0][0]),), parameters=parameters)


def load_fragment(case: Case) -> Allowed:
    return _second_time(case) if case.is_set("fragment_loaded") else _first_time(case)


# --- lists of ledgers -----------------------------------------------------------------------------


@holds
def trust_list_fits(case: Case, entry: Any) -> bool:
    return (
        same(at(entry, "issuer"), case.of("issuer"))
        and same(at(entry, "subject"), case.of("subject"))
        and svn_fits(case.of("svn"), at(entry, "minimum_svn"))
    )


def allowed_ledgers(case: Case) -> list[Any]:
    """Of the ledgers that a list brings, those that the policy takes from it."""
    entries = [entry for entry in case.stated.trust_lists() if trust_list_fits(case, entry)]
    taken = [ledger for entry in entries for ledger in each(entry.get("allowed_ledgers"))]
    brought = distinct(each(case.asked.get("ledgers")))
    return brought if "*" in taken else [ledger for ledger in brought if member(ledger, taken)]


def load_transparency_trust_list(case: Case) -> Allowed:
    ledgers = allowed_ledgers(case)
    require(bool(ledgers))
    return Allowed(ledgers=tuple(ledgers))


RULES: dict[str, Callable[[Case], Allowed]] = {
    "load_fragment": load_fragment,
    "load_transparency_trust_list": load_transparency_trust_list,
}
