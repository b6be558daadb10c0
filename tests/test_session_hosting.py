"""Hosts that a persona writes down: kept strictly, without a secret, used by its sessions, tried and swept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sls_jupyter.contract import cce
from sls_jupyter.contract.image import GuestImage, WrittenImage
from sls_jupyter.documents import canonical_json
from sls_jupyter.errors import BadInput, HostUnsuitable, MalformedDocument, Unavailable, UnknownName
from sls_jupyter.hosts.aci.launch import AciHost, Pace
from sls_jupyter.hosts.local import LocalHost
from sls_jupyter.hosts.podman.host import PodmanHost
from sls_jupyter.identity import Home
from sls_jupyter.notebook import hosts as shown
from sls_jupyter.notebook.args import HelpWanted
from sls_jupyter.notebook.commands import COMMANDS, Context
from sls_jupyter.notebook.parsers import command_parsers
from sls_jupyter.safestream.placement import place
from sls_jupyter.session import Session, host_checks, images
from sls_jupyter.session.host_checks import check_host, exported, left_behind, read_seen, record_host, sweep
from sls_jupyter.session.hosting import HOSTS_FILE, aci_settings, read_hosts
from tests.aci_judging import UtilityVm
from tests.aci_kit import FAST, arm
from tests.aci_kit_plain import GROUP, REGION, SUBSCRIPTION, settings
from tests.aci_standin import Azure, serving
from tests.contract_kit import GRANT, IMAGE, SPEC

ADD = (
    f"add aci --subscription {SUBSCRIPTION} --resource-group {GROUP} --region {REGION} --image registry.example/guest:1"
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path, "analyst")
    made.folder("runs")
    return made


@pytest.fixture
def session(home: Home) -> Iterator[Session]:
    made = Session(home)
    yield made
    made.close()


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Azure]:
    """The stand-in, which every host on Azure calls from now on."""
    with serving(Azure(UtilityVm({IMAGE.reference: IMAGE.layers}))) as found:
        monkeypatch.setattr(AciHost, "arm", property(lambda _: arm(found)))
        monkeypatch.setattr(AciHost, "pace", Pace(20, FAST))
        yield found


def command(session: Session, line: str) -> Any:
    words = line.split()
    return COMMANDS[words[0]](Context(session, command_parsers()[words[0]].parse(words[1:]), namespace={}))


def test_a_host_is_written_down_listed_and_forgotten(home, session, monkeypatch):
    """What one notebook added, the next one has; the file holds nothing that opens a subscription."""
    monkeypatch.setattr(images, "image_for_azure", lambda home, word: GuestImage(IMAGE.reference, IMAGE.layers, b""))
    card = str(command(session, "hosts " + ADD))
    assert "aci is added" in card
    assert all(layer in card for layer in IMAGE.layers)
    again = Session(home)
    assert list(again.hosts) == ["local", "aci"]
    listed = str(command(again, "hosts"))
    for word in ("sev-snp", REGION, "28", "not known", "aci's cost"):
        assert word in listed
    text = (home.path / HOSTS_FILE).read_text()
    assert json.loads(text)["version"] == 1
    assert not any(word in text.lower() for word in ("key", "secret", "password", "token", "sas"))
    command(again, "hosts remove aci")
    assert list(again.hosts) == ["local"]
    assert read_hosts(home) == {}
    again.close()


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2}, {"more": 1}, {"hosts": {"aci": {"kind": "aci"}}}, {"hosts": []},
        {"hosts": {"aci": {**settings().model_dump(mode="json"), "password": "x"}}},
        {"hosts": {"aci": {**settings().model_dump(mode="json"), "subscription": "../x"}}},
    ],
)  # fmt: skip
def test_a_file_that_is_another_one_is_refused(home, change):
    """A file that was changed by hand, or is of another version, starts nothing anywhere."""
    kept = {"version": 1, "hosts": {"aci": settings().model_dump(mode="json")}}
    (home.path / HOSTS_FILE).write_bytes(canonical_json({**kept, **change}))
    with pytest.raises(MalformedDocument) as raised:
        read_hosts(home)
    assert "hosts add" in raised.value.hint


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("subscription", "mine"),
        ("resource_group", "a/b"),
        ("resource_group", "."),
        ("region", "North Europe"),
        ("pull_identity", "me"),
    ],
)
def test_what_cannot_be_is_told_with_the_option(field, value):
    """A slip is found before Azure is asked."""
    good = {"subscription": SUBSCRIPTION, "resource_group": GROUP, "region": REGION, "image": WrittenImage.of(IMAGE)}
    with pytest.raises(BadInput) as raised:
        aci_settings(**{**good, field: value})
    assert "--" + field.replace("_", "-") in raised.value.message


@pytest.mark.parametrize(
    "line", ["hosts add", "hosts add podman x", "hosts remove", "hosts what", "hosts add aci", "hosts add gcp"]
)
def test_a_line_that_says_too_little_is_told_how_it_goes(session, line):
    """The usage is in the error."""
    with pytest.raises(BadInput):
        command(session, line)


def test_a_price_has_a_source(session, monkeypatch):
    """Costs that are shown can be checked by whoever pays."""
    monkeypatch.setattr(images, "image_for_azure", lambda home, word: IMAGE)
    with pytest.raises(BadInput, match="source"):
        command(session, f"hosts {ADD} --price EUR 0.05 0.006")
    assert "EUR an hour" in str(command(session, f"hosts {ADD} --price EUR 0.05 0.006 --price-source contract"))
    with pytest.raises(BadInput, match="number"):
        command(session, f"hosts {ADD} --price EUR a b --price-source contract")


def test_a_slip_is_told_before_the_registry_is_read(session, monkeypatch):
    """A registry may be slow; a mistyped subscription need not wait for it."""
    monkeypatch.setattr(images, "image_for_azure", lambda home, word: pytest.fail("the registry was read"))
    for good in (SUBSCRIPTION, REGION):
        with pytest.raises(BadInput, match="cannot have this"):
            command(session, "hosts " + ADD.replace(good, "../x"))


def test_a_private_container_is_not_called_unreadable(monkeypatch):
    """Nobody's failure to read says nothing about a group that has a pass; of other stores it does."""

    def nobody(*_: object) -> None:
        raise Unavailable("It cannot be read.")

    monkeypatch.setattr(host_checks, "public_opener", nobody)
    with pytest.raises(Unavailable, match="not checked: nobody can read it without a pass"):
        host_checks._look("az://account/container/x", {"a": 4})
    with pytest.raises(Unavailable, match="It cannot be read"):
        host_checks._look("https://store.example/x", {"a": 4})


def test_podman_is_neither_recorded_nor_swept(tmp_path, monkeypatch, capsys):
    """An option that does nothing is refused, not passed over."""
    from sls_jupyter import cli

    monkeypatch.setenv("SLS_HOME", str(tmp_path))
    monkeypatch.setattr(
        Session, "_own_hosts", lambda self: {"podman": PodmanHost.__new__(PodmanHost), "local": LocalHost(self.machine)}
    )
    assert cli.main(["host", "doctor", "podman", "--record", str(tmp_path / "seen.json")]) == 1
    assert "nothing to record" in capsys.readouterr().err
    assert not (tmp_path / "seen.json").exists()
    assert cli.main(["host", "sweep", "podman"]) == 1
    assert "The next launch there removes what is left" in capsys.readouterr().err


def test_names_of_hosts(session):
    """This machine stays this machine."""
    for name in ("local", "", "A", "a b", "../x"):
        with pytest.raises(BadInput):
            session.add_host(name, settings())
    for unknown in ("local", "aci"):
        with pytest.raises(UnknownName):
            session.remove_host(unknown)
        with pytest.raises(UnknownName, match="not on Azure" if unknown == "local" else "No host is called aci"):
            session.aci_host(unknown)


def test_placement_takes_the_host_that_every_owner_accepts(session):
    """An owner who accepts hardware only gets hardware; one who accepts simulated evidence only is not overruled."""
    session.add_host("aci", settings())
    spec = SPEC.model_copy(
        update={"tees": ("sev-snp", "simulated-snp"), "limits": SPEC.limits.model_copy(update={"cpus": 1})}
    )
    assert place(session.hosts, None, spec, [GRANT])[0] == "aci"
    assert place(session.hosts, "aci", spec, [GRANT])[1].capabilities().image == IMAGE
    with pytest.raises(HostUnsuitable):
        place(session.hosts, "aci", spec, [GRANT.model_copy(update={"tees": ("simulated-snp",)})])


def test_a_host_is_tried_recorded_and_swept(session, azure, tmp_path):
    """The doctor's lines, the record that they believe, and what is left behind, as one persona's calls."""
    session.add_host("aci", settings())
    before = {one.what: one for one in check_host(session, "aci", read_layers=lambda _: IMAGE.layers)}
    assert not before["Confidential SKU"].ok
    seen = record_host(session, "aci", str(tmp_path / "seen.json"))
    assert read_seen(session.home, "aci") == seen
    assert json.loads((tmp_path / "seen.json").read_text())["complete"] is True
    after = {one.what: one for one in check_host(session, "aci", read_layers=lambda _: IMAGE.layers)}
    assert after["Confidential SKU"].ok
    assert after["platform's variables"].ok
    card = shown.findings_card("Host aci", list(after.values()))
    assert card.subtitle == "all ok"
    group = session.sample_group(IMAGE)
    running = session.hosts["aci"].launch(group, cce.render(group))
    (found,) = left_behind(session, "aci")
    assert found.name == running.name
    assert sweep(session, "aci", found) == ""
    assert azure.billed() == []


def test_a_record_that_cannot_be_read_is_no_record(session):
    """A damaged file makes no line ok."""
    (session.home.folder("hosts") / "aci-seen.json").write_text("{")
    assert read_seen(session.home, "aci") is None


def test_an_exported_template_is_of_the_host_and_the_run(session):
    """Who deploys by other means deploys the same group."""
    session.add_host("aci", settings())
    group = session.sample_group(IMAGE)
    name, text = exported(session, "aci", group, "arm")
    resource = json.loads(text)["resources"][0]
    assert (resource["name"], resource["location"]) == (name, REGION)
    assert exported(session, "aci", group, "bicep")[1].startswith("resource group 'Microsoft.ContainerInstance")


def test_the_command_line_does_the_same(azure, tmp_path, monkeypatch, capsys):
    """A script needs no notebook."""
    from sls_jupyter import cli

    monkeypatch.setenv("SLS_HOME", str(tmp_path))
    monkeypatch.setattr(images, "image_for_azure", lambda home, word: IMAGE)
    assert cli.main(["host", *ADD.split()]) == 0
    assert "No secret" in capsys.readouterr().out
    assert cli.main(["host", "doctor", "aci", "--json"]) == 1
    lines = json.loads(capsys.readouterr().out)
    assert {"credentials", "image", "cost"} <= {one["what"] for one in lines}
    assert cli.main(["host", "doctor", "aci", "--record", str(tmp_path / "seen.json")]) == 1  # no such registry
    assert "recorded what northeurope brings" in capsys.readouterr().err
    assert cli.main(["host", "sweep", "aci"]) == 0
    assert "Nothing of ours" in capsys.readouterr().out
    assert cli.main(["host", "remove", "aci"]) == 0
    assert cli.main(["host", "sweep", "aci"]) == 1
    assert cli.main(["host", "doctor", "--record", "x"]) == 1


def test_sweeping_deletes_only_when_somebody_says_so(azure, tmp_path, monkeypatch, capsys):
    """A run that goes on is not ended by a script that wanted to look."""
    from sls_jupyter import cli

    monkeypatch.setenv("SLS_HOME", str(tmp_path))
    session = Session(Home.find())
    host = session.add_host("aci", settings())
    group = session.sample_group(IMAGE)
    running = host.launch(group, cce.render(group))
    assert cli.main(["host", "sweep", "aci"]) == 1
    told = capsys.readouterr()
    assert running.name in told.out
    assert "--yes" in told.err
    assert azure.billed() == [running.name]
    assert cli.main(["host", "sweep", "aci", "--older", "1h", "--yes"]) == 0
    assert azure.billed() == [running.name]
    assert cli.main(["host", "sweep", "aci", "--yes"]) == 0
    assert azure.billed() == []
    running.stop()
    session.close()


def test_help_names_the_options_of_a_host():
    """%sls hosts --help says what a host needs."""
    with pytest.raises(HelpWanted) as help_:
        command_parsers()["hosts"].parse(["--help"])
    assert "--subscription" in str(help_.value)
