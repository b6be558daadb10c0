"""What would go wrong on Azure is told before anything is billed, a line each; what was not checked is not ok."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sls_jupyter.contract import cce
from sls_jupyter.contract.spec import Limits
from sls_jupyter.errors import NotAuthorised, Unavailable
from sls_jupyter.hosts.aci.arm import Arm
from sls_jupyter.hosts.aci.denials import denials_in
from sls_jupyter.hosts.aci.launch import AciHost
from sls_jupyter.hosts.aci.preflight import FRESH_DAYS, Rests, preflight
from sls_jupyter.hosts.aci.probe import Probe, Seen, seen_in
from sls_jupyter.hosts.doctor import Finding
from sls_jupyter.hosts.judge.starts import PLATFORM_VARIABLES
from sls_jupyter.notebook.hosts import findings_card
from tests.aci_answers import decision_text
from tests.aci_judging import RESOLV_CONF, UtilityVm
from tests.aci_kit import group, host
from tests.aci_kit_plain import SUBSCRIPTION
from tests.aci_standin import Azure, serving
from tests.contract_kit import IMAGE

NOW = datetime(2026, 12, 1, tzinfo=UTC)
LAYERS = {IMAGE.reference: IMAGE.layers}
PRICES = {"currency": "EUR", "vcpu_hour": 0.05, "gigabyte_hour": 0.006, "as_of": "2026-11-25", "source": "our contract"}


@pytest.fixture
def azure() -> Iterator[Azure]:
    judge = UtilityVm(LAYERS, (*PLATFORM_VARIABLES, "NEW_ENDPOINT=http://10.0.0.1:2377/secret"))
    with serving(Azure(judge, largest=(8.0, 32.0))) as found:
        yield found


def seen(**changes: Any) -> Seen:
    fields = {
        "at": "2026-11-25T10:00:00Z", "region": "northeurope", "api_version": "2023-05-01", "errors": ("invalid command",),
        "complete": True, "variables": ("PATH", "TERM"), "mounts": (), "user": "0", "groups": ("1004",),
        "capabilities": (), "no_new_privileges": True,
    }  # fmt: skip
    return Seen(**{**fields, **changes})


GOOD = Rests(
    read_layers=lambda _: IMAGE.layers,
    authorities=(("hospital", "https://authority.example", lambda: None),),
    storage=(("patients", "https://storage.example/x", lambda: None),),
    tees=(("patients", ("sev-snp",)),),
    bulletins=(("patients", ()),),
    seen=seen(),
    resolve=lambda _: ["93.184.216.34"],
)


def lines(at: AciHost, rests: Rests = GOOD, of: Any = None) -> dict[str, Finding]:
    return {one.what: one for one in preflight(at, of or group(), rests, NOW)}


def wrong(at: AciHost, rests: Rests = GOOD, of: Any = None) -> dict[str, Finding]:
    """The lines that are not ok; each has its fix."""
    found = {what: one for what, one in lines(at, rests, of).items() if not one.ok}
    assert all(one.fix for one in found.values())
    return found


def test_a_host_on_which_all_is_well(azure):
    """Only then is every line ok; nothing is made for it."""
    assert wrong(host(azure, prices=PRICES)) == {}
    assert azure.creates == []
    assert lines(host(azure, prices=PRICES))["cost"].found.startswith("0.42 EUR an hour for 7 vCPU, 11.9 GB")


@pytest.mark.parametrize(
    ("change", "line", "word"),
    [
        ({"read_layers": None}, "image", "not checked"),
        ({"read_layers": lambda _: (IMAGE.layers[0], "0" * 64)}, "image", "layer 2 of 2 is 0000"),
        ({"read_layers": lambda _: IMAGE.layers[:1]}, "image", "1 layers"),
        ({"tees": (("patients", ("simulated-snp",)),)}, "patients: TEE", "simulated-snp"),
        ({"bulletins": (("patients", ("AMD-SB-9999",)),)}, "owners' minimums", "AMD-SB-9999"),
        ({"bulletins": (("patients", ("AMD-SB-3019",)),)}, "owners' minimums", "not checked"),
        ({"demands": ("patients's mitigations 3",)}, "owners' minimums", "mitigations 3"),
        ({"authorities": (("h", "http://127.0.0.1:8642", lambda: None),), "resolve": lambda _: ["127.0.0.1"]}, "h: authority", "127.0.0.1"),
        ({"authorities": (("h", "https://h.lan", lambda: None),), "resolve": lambda _: ["10.0.0.7"]}, "h: authority", "10.0.0.7"),
        ({"authorities": (("h", "http://h.example", lambda: None),)}, "h: authority", "not HTTPS"),
        ({"resolve": lambda _: []}, "hospital: authority", "no address"),
        ({"seen": None}, "Confidential SKU", "not checked"),
        ({"seen": None}, "platform", "not checked"),
        ({"seen": seen(region="westeurope")}, "Confidential SKU", "not checked"),
        ({"seen": seen(at="2026-10-01T00:00:00Z")}, "platform", "not checked"),
        ({"seen": seen(complete=False)}, "platform", "did not say"),
        ({"seen": seen(mounts=({"destination": "/etc/new", "source": "x", "options": ("rw",), "type": "bind"},))}, "platform's mounts", "/etc/new"),
    ],
)  # fmt: skip
def test_each_thing_that_is_wrong_has_its_line_and_its_fix(azure, change, line, word):
    """One thing wrong, one line not ok."""
    if "seen" in change and isinstance(change["seen"], Seen) and change["seen"].mounts:
        change = {"seen": Seen.from_json(change["seen"].model_dump(mode="json"))}
    found = wrong(host(azure, prices=PRICES), replace(GOOD, **change))
    assert line in found
    assert word in found[line].found


@pytest.mark.parametrize("which", ["authorities", "storage"])
def test_what_does_not_answer_is_not_ok(azure, which):
    """A place that cannot be read from here is not taken for one that a group can read."""

    def silent() -> None:
        raise Unavailable("Nobody answers.", hint="Ask its owner.")

    changed = replace(GOOD, **{which: (("x", "https://x.example", silent),)})
    found = wrong(host(azure, prices=PRICES), changed)
    assert [one.fix for one in found.values()] == ["Ask its owner."]


def test_a_new_variable_of_the_platform_is_told_and_harmless(azure):
    """The owners of other clean rooms woke up to this; here it is a line."""
    line = lines(host(azure), replace(GOOD, seen=seen(variables=("APP_IDENTITY_ENDPOINT", "NEW_ENDPOINT"))))[
        "platform's variables"
    ]
    assert line.ok
    assert line.found.startswith("NEW_ENDPOINT is new since")
    assert "APP_IDENTITY_ENDPOINT" not in line.found


def test_quota_size_price_and_leftovers_are_told(azure):
    """What Azure would refuse, and what already costs money."""
    azure.quota = 5
    assert "0 of 5 used" in wrong(host(azure))["quota of vCPUs"].found
    assert "needs 7" in wrong(host(azure))["quota of vCPUs"].fix
    assert "not known (give --price)" in lines(host(azure))["cost"].found
    assert lines(host(azure))["cost"].ok
    assert "of 31" in wrong(host(azure), of=group(limits=Limits(cpus=30)))["size of the group"].found
    azure.quota = 100
    made = group()
    running = host(azure).launch(made, cce.render(made))
    assert "sls host sweep azure-eu" in wrong(host(azure))["left behind"].fix
    running.stop()


def test_a_group_that_the_region_may_have_no_room_for_is_told(azure):
    """The list is about ordinary groups: a larger one is not called ok, and regions are named that took one."""
    azure.largest = (4.0, 16.0)
    other = ("azure-us", seen(region="eastus"))
    found = wrong(host(azure), replace(GOOD, elsewhere=(other, ("old", seen(region="x", at="2026-01-01T00:00:00Z")))))
    assert list(found) == ["region"]
    assert "room for 7 vCPU, 11.9 GB" in found["region"].found
    assert found["region"].fix.endswith("Another region: eastus took one on 2026-11-25 (--host azure-us).")
    assert "Another region" not in wrong(host(azure))["region"].fix
    assert lines(host(azure), of=group(limits=Limits(cpus=1)))["region"].ok


def test_an_identity_is_a_warning_that_stops_nothing(azure):
    """Others were down because the platform changed an identity's variables; who has one is told, and runs."""
    name = "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/puller"
    of = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/research{name}"
    found = lines(host(azure, pull_identity=of))
    assert found["identity"].ok
    assert "AcrPull" in found["identity"].fix
    assert (lines(host(azure))["identity"].ok, lines(host(azure))["identity"].fix) == (True, "")
    card = str(findings_card("x", [found["identity"]]))
    assert "all ok" in card
    assert "ok, but" in card
    assert "→ identity: Give it AcrPull" in card


def test_without_a_login_nothing_behind_it_counts_as_checked(azure):
    """One cause, and what rests on it is not called ok."""
    found = wrong(host(azure, resource_group="another"))
    assert "az group create" in found["credentials"].fix
    assert found["region, quota"].found.startswith("not checked")


def test_a_fragment_that_nobody_compared_is_not_ok(azure):
    """Which version a region brings is not known before a group starts."""
    found = wrong(host(azure), of=group(fragments=("aci-infrastructure",)))
    assert found["fragments"].found.startswith("not checked")
    assert "fragments" not in wrong(host(azure), of=group(fragments=()))


# --- records ----------------------------------------------------------------------------------------


def test_a_record_tells_what_the_platform_brings_and_nothing_more(azure):
    """A group is refused on purpose: its denial is the record. No value and no address is in it; nothing is left."""
    told: list[str] = []
    found = Probe(host(azure)).run(group(), group(), told.append)
    assert found.complete
    assert "invalid command" in found.errors
    assert found.unknown_variables() == ("NEW_ENDPOINT",)
    assert found.unknown_mounts() == ()
    assert "/etc/resolv.conf" in [one.destination for one in found.mounts]
    assert (found.user, found.no_new_privileges, found.capabilities) == ("0", True, ())
    text = json.dumps(found.model_dump(mode="json"))
    assert not any(one in text for one in ("secret", "10.0.0.1", "2377"))
    assert azure.billed() == []
    assert Seen.from_json(json.loads(text)) == found


def test_a_record_without_a_credential_asks_for_no_group(azure, monkeypatch):
    """Nothing was sent, so nobody is told that something may be billed."""

    def nobody(*_: Any) -> None:
        raise NotAuthorised("No credential for Azure was found.")

    at, told = host(azure), list[str]()
    monkeypatch.setattr(Arm, "get", nobody)
    monkeypatch.setattr(Arm, "delete", nobody)
    with pytest.raises(NotAuthorised):
        Probe(at).run(group(), group(), told.append)
    assert told == []
    assert azure.creates == []


def test_a_platform_that_admits_what_the_policy_does_not_is_told(azure):
    """A region without enforcement is found out before a run goes there."""
    azure.judge = None
    with pytest.raises(Unavailable, match="does not admit"):
        Probe(host(azure)).run(group(), group())
    assert azure.billed() == []


def test_a_record_of_a_strange_denial_is_bounded_and_redacted():
    """Whatever the platform writes, the record stays small and names no node."""
    asked = {
        "rule": "create_container", "argList": ["a"], "envList": ["A=" + "x" * 99, "no variable", 7],
        "mounts": [{"source": "/run/gcs/c/0123456789abcdef0123/x", "destination": "/y", "options": "rw", "type": 3}, 5],
        "user": "root", "groups": {"id": 1}, "capabilities": [1], "noNewPrivileges": "no",
    }  # fmt: skip
    denial = denials_in(decision_text({"input": asked, "reason": {"errors": ["node 0123456789abcdef0123"]}}))[0]
    found = seen_in(denial, at=NOW, region="r", api_version="v")
    assert found.variables == ("A",)
    assert found.errors == ("node N",)
    assert found.mounts[0].source == "/run/gcs/c/N/x"
    assert found.no_new_privileges is None


def test_a_mount_that_is_new_is_seen_in_the_record():
    """What would stop every run is known the day before."""
    vm = UtilityVm(LAYERS, mounts=(RESOLV_CONF, {**RESOLV_CONF, "destination": "/etc/new"}))
    with serving(Azure(vm)) as azure:
        assert Probe(host(azure)).run(group(), group()).unknown_mounts() == ("/etc/new",)


def test_records_are_believed_for_some_time():
    """The fresh record of today is no promise for next year."""
    assert timedelta(days=FRESH_DAYS) < timedelta(days=60)
