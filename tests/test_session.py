"""A persona's session without a run: reading what users write, and the catalogue."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pandas as pd
import pytest
from builders import IMAGE
from e2e import World, patients
from receipt_kit import signed_run, worlds_at

from sls_jupyter.assets.opening import verify_manifest
from sls_jupyter.assets.storage import Folder
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.documents import sign
from sls_jupyter.errors import ApprovalPending, BadInput, HostUnsuitable, SlsError, Unavailable, UnknownName
from sls_jupyter.identity import Home
from sls_jupyter.session import Session, preparing
from sls_jupyter.session.preparing import parse_input


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("home"))
    made.seal("patients", patients(20), columns="age,sex")
    yield made
    made.close()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a", ("a", None, None)),
        ("a=b", ("a", "b", None)),
        ("a:x,y", ("a", None, ["x", "y"])),
        ("north/a=b:x", ("north/a", "b", ["x"])),
        ("sha256:" + "0" * 64 + "=b:x", ("sha256:" + "0" * 64, "b", ["x"])),
    ],
)
def test_an_input_is_asset_alias_and_columns(text: str, found: object) -> None:
    """What stands after -i means one thing."""
    assert parse_input(text) == found


@pytest.mark.parametrize("text", ["", "=a", "a=", "a=1x", "a:", "a:x,,y", ":x"])
def test_an_input_that_cannot_be_read_is_told_the_form(text: str) -> None:
    """A slip of the pen costs a sentence."""
    with pytest.raises(BadInput) as raised:
        parse_input(text)
    assert "ASSET" in str(raised.value)


def test_a_sealed_asset_is_seen_by_another_persona_with_its_owner(world: World) -> None:
    """The catalogue is one list over all authorities that are known."""
    info = world.analyst.asset("hospital/patients")
    assert (info.owner_name, info.mine, world.hospital.asset("patients").mine) == ("hospital", False, True)
    assert world.analyst.asset(info.id).id == info.id


def test_two_owners_assets_of_one_name_have_to_be_told_apart(world: World) -> None:
    """The name alone must not choose whose data is read."""
    world.seal("patients", patients(10), owner="clinic")
    with pytest.raises(BadInput, match="clinic/patients"):
        world.analyst.asset("patients")
    assert world.analyst.asset("clinic/patients").owner_name == "clinic"


def test_a_frame_that_cannot_be_sealed_publishes_nothing(world: World) -> None:
    """A refused seal leaves no asset and no file."""
    folder = world.hospital.home.folder("assets")
    before = sorted(folder.iterdir())
    with pytest.raises(SlsError, match="age"):
        world.seal("broken", patients(3).assign(age=[object(), object(), object()]))
    for wrong in ({"tee": "no-such"}, {"min_group": 0}):
        with pytest.raises(SlsError):
            world.seal("broken", patients(3), **wrong)
    assert sorted(folder.iterdir()) == before
    with pytest.raises(UnknownName):
        world.hospital.asset("broken")


def test_a_publication_whose_answer_is_lost_is_whole_or_said_to_be_unknown(world, monkeypatch) -> None:
    """A published asset can be opened, whatever became of the answer; parts go only when nobody can have published it."""
    hospital, publish, calls = world.hospital, AuthorityClient.publish, []

    def cut_off(times: int, before: bool = False):
        calls.clear()

        def cut(client, *given):
            calls.append(given)
            if before:
                raise Unavailable("The authority does not answer.")
            told = publish(client, *given)
            if len(calls) <= times:
                raise Unavailable("The authority does not answer.")
            return told

        return cut

    monkeypatch.setattr(AuthorityClient, "publish", cut_off(1))
    sealed = hospital.seal(patients(3), "lost")
    assert len(calls) == 2
    assert Folder(sealed.info.manifest.storage).open("part-00000.parquet").read(4) == b"PARE"
    for options in ({"times": 9}, {"times": 0, "before": True}):
        monkeypatch.setattr(AuthorityClient, "publish", cut_off(**options))
        with pytest.raises(Unavailable, match="not known") as raised:
            hospital.seal(patients(3), "unknown")
        storage = verify_manifest(calls[0][0], None).storage
        assert storage in raised.value.hint
        assert Folder(storage).open("part-00000.parquet").read(4) == b"PARE"


def test_an_authority_that_publishes_something_else_is_refused(world, monkeypatch) -> None:
    """The id in the answer is that of the manifest that was sent, and the entry is its publication."""
    publish = AuthorityClient.publish
    for change in (lambda id_, entry: ("sha256:" + "0" * 64, entry), lambda id_, entry: (id_, 1)):
        monkeypatch.setattr(AuthorityClient, "publish", lambda *given, c=change: c(*publish(*given)))
        with pytest.raises(SlsError, match="something else"):
            world.hospital.seal(patients(3), "elsewhere")


def test_an_endless_catalogue_is_a_line_about_its_authority(world, monkeypatch) -> None:
    """Pages that never end are read so far and no further; the others' assets are listed."""
    monkeypatch.setattr("sls_jupyter.session.catalogue.MAX_ASSETS", 1)
    assert world.analyst.asset("hospital/patients")
    assert [one.owner_name for one in world.analyst.assets() if one.owner_name == "hospital"] == []
    assert any("more than is read" in one.reason for one in world.analyst.silent())
    monkeypatch.undo()
    world.analyst.assets()


def test_a_mistake_of_ours_is_not_told_as_an_authoritys_fault(world, monkeypatch) -> None:
    """A programming error is seen as one."""
    monkeypatch.setattr(Session, "_info", lambda *_: {}["missing"])
    with pytest.raises(KeyError):
        world.analyst.assets()


def test_a_client_of_a_url_that_is_known_needs_no_did(world) -> None:
    """A URL that nobody connected to is an unknown name; a known one goes with the DID that must answer there."""
    own = world.hospital.own_authority()
    assert world.analyst._client(own.url) is world.analyst._client(own.url, own.did)
    with pytest.raises(UnknownName):
        world.analyst._client("http://127.0.0.1:9")


def test_what_nobody_has_is_an_unknown_name(world: World) -> None:
    """Runs, requests and results that are not there are told as such."""
    session = world.analyst
    for call in (session.result, session.audit, session.cancel, session.approve):
        with pytest.raises(UnknownName):
            call("0" * 12)
    with pytest.raises(BadInput):
        session.deny("0" * 12, "  ")


def test_a_policy_is_exported_for_key_vault_and_says_what_it_leaves_out(tmp_path, monkeypatch):
    """An owner who moves keys to Azure gets the same conditions there, and is told what Azure cannot attest."""
    monkeypatch.setenv("SLS_HOME", str(tmp_path))
    session = Session(Home.find("exporter"))
    try:
        session.seal(pd.DataFrame({"a": [1]}), "table", allow_code="any", tee="sev-snp,tdx")
        exported = session.export_release("table", "https://x.neu.attest.azure.net", [b"\x11" * 32])
        assert "11" * 32 in exported["key_vault"]
        assert exported["left_out"] == "tdx"
    finally:
        session.close()


# --- authorities that do not answer ---------------------------------------------------------------


@pytest.fixture
def people(tmp_path):
    """A hospital with an asset, and an analyst who saw it."""
    made = World(tmp_path / "home")
    made.seal("patients", patients(20), allow_code="reviewed", requester=None)
    assert made.analyst.asset("patients").name == "patients"
    yield made
    made.close()


def test_a_run_that_has_nowhere_to_go_asks_nobody(people):
    """A misspelt host would cost an owner a review, and the analyst the wait for it."""
    request = people.analyst.prepare("nowhere = 1", ["patients"])
    with pytest.raises(HostUnsuitable, match="no such host"):
        people.analyst.run(request, host="moon")
    assert request.spec.digest not in {one.spec_digest for one in people.analyst.runs()}


def test_a_run_that_is_over_cannot_be_cancelled(people):
    """Nobody is sent to restart a kernel for the sake of a run that ended."""
    run = people.analyst.run(people.analyst.prepare("over = 1", ["patients"]))
    run._thread.join()
    people.analyst._runs.pop(run.id)  # as another kernel of this user sees it
    with pytest.raises(UnknownName, match="is over"):
        people.analyst.cancel(run.id)


def test_an_authority_that_went_away_is_named(people):
    """An owner who is away is not one who has nothing, and the next step is in the error."""
    people.hospital.close()
    people.analyst._reachable = (-3600.0, [])
    assert people.analyst.assets() == []
    (silent,) = people.analyst.silent()
    assert (silent.name, silent.persona) == ("hospital", "hospital")
    for call in (people.analyst.asset, people.analyst.request):
        with pytest.raises(Unavailable) as raised:
            call("patients")
        assert f"hospital ({silent.url}) does not answer" in raised.value.message
        assert raised.value.hint.startswith(
            "Start it: sls agent start, or sls authority serve --persona hospital (and --accept-simulated self"
        )
    with pytest.raises(Unavailable):
        people.analyst.prepare("x = 1", ["patients"])


def test_an_authority_that_answers_again_is_silent_no_more(people):
    """What was said once does not stay on the cards."""
    people.hospital.close()
    people.analyst._reachable = (-3600.0, [])
    assert people.analyst.silent()
    people.hospital.own_authority()
    people.analyst._reachable = (-3600.0, [])
    assert people.analyst.silent() == []
    assert people.analyst.asset("patients").name == "patients"
    with pytest.raises(UnknownName, match="patients"):
        people.analyst.asset("patient")


def test_somebody_else_s_authority_is_named_by_its_owner(people, tmp_path):
    """Of another user's authority the name is known as it was heard, and only its owner can start it."""
    other = Session(Home(tmp_path / "other", "reader"))
    try:
        url = people.hospital.own_authority().url
        assert other.connect(url) == "hospital"
        people.hospital.close()
        again = Session(Home(tmp_path / "other", "reader"))
        with pytest.raises(Unavailable) as raised:
            again.asset("patients")
        assert f"hospital ({url}) does not answer" in raised.value.message
        assert raised.value.hint == "Ask its owner to start it"
        again.close()
    finally:
        other.close()


def test_an_audit_is_given_from_the_receipt_that_is_kept(tmp_path):
    """A log that is away does not take the receipt of one's own run away; it is named as missing."""
    run = signed_run(worlds_at(tmp_path / "worlds", ("hospital",)))
    (world,) = run.worlds.values()
    session = Session(Home(tmp_path / "home", "analyst"))
    session.identity = world.analyst
    for did, url in run.spec.authorities():
        session._clients[url, did, False] = AuthorityClient("http://127.0.0.1:1", world.analyst)
    folder = session._run_folder(run.spec.digest)
    (folder / "spec.json").write_bytes(sign(run.spec, world.analyst))
    (folder / "end.json").write_text(json.dumps({"state": "done", "image": IMAGE.digest}))
    try:
        with pytest.raises(Unavailable, match="no receipt of this run is kept here"):
            session.audit(folder.name)
        run.receipt().save(folder / "receipt.json")
        audit = session.audit(folder.name)
        assert audit.verdict is not None
        assert audit.verdict.id == run.receipt().id
        assert (audit.lines, audit.simulated) == ((), True)
        (words,) = audit.unreached
        assert "could not be reached" in words
    finally:
        session.close()


# --- a cell, before anybody is asked --------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("\n\nx = (", "line 3: x = ("),
        ("x = 1\n  y = 2", "line 2: y = 2"),
        ("x = '\0'", "null bytes"),
        ("y = 1", "The cell never makes x"),
        ("max_x = 1", "The cell never makes x"),
    ],
)
def test_a_cell_that_cannot_give_its_output_is_refused_at_once(world: World, code: str, says: str) -> None:
    """A slip of the pen costs no approval and no group."""
    before = len(world.analyst.runs())
    with pytest.raises(BadInput) as raised:
        world.analyst.prepare(code, ["hospital/patients"], outputs=["x"])
    assert says in str(raised.value)
    assert raised.value.hint
    assert len(world.analyst.runs()) == before


def test_a_slip_of_the_pen_is_told_before_anybody_is_asked(world: World) -> None:
    """Misspelt columns and variables come with the nearest, and leave no run and no request behind."""
    with pytest.raises(UnknownName, match=r"Did you mean age for agee\?") as raised:
        world.analyst.prepare("x = 1", ["hospital/patients:agee,sex"])
    assert raised.value.found == "agee"
    with pytest.raises(UnknownName, match=r"Did you mean patients for pateints\?"):
        world.analyst.prepare("x = pateints.age.mean()", ["hospital/patients"], outputs=["x"])
    with pytest.raises(UnknownName, match="limit in line 1"):
        world.analyst.prepare("x = limit", ["hospital/patients"], outputs=["x"], parameters={"least": 1})
    with pytest.raises(BadInput, match="cannot return json"):
        world.analyst.prepare("import json", ["hospital/patients"], outputs=["json"])
    assert (world.analyst.runs(), world.analyst.requests()) == ([], [])


def test_code_that_runs_before_may_make_any_name(world: World) -> None:
    """A cell that relies on sealed code is judged where it runs."""
    world.hospital.seal_code("limit = 1", "limits", allow_code="any", tee="simulated-snp")
    world.analyst._reachable = (-3600.0, [])
    assert world.analyst.prepare("x = limit", ["hospital/patients"], outputs=["x"], code_assets=["limits"]).code


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("%matplotlib inline\nx = 1", {"outputs": ["x"]}),
        ("x = !ls\nawait f()", {"outputs": ["x"]}),
        ("  x = '\\d'\n  y = 1", {"outputs": ["x"]}),
        ("%%timeit\nx = (", {"outputs": ["x"]}),
        ("from math import *", {"outputs": ["pi"]}),
        ("patients['new'] = 1", {"outputs": ["patients"]}),
        ("pass", {"outputs": ["p"], "parameters": {"p": 1}}),
        ("", {"outputs": ["x"]}),
    ],
)
def test_a_cell_that_can_is_taken(world: World, code: str, options: dict) -> None:
    """Magics, await, inputs and parameters are what a cell may have; a preflight needs no cell."""
    assert world.analyst.prepare(code, ["hospital/patients"], **options).code == code


@pytest.mark.parametrize(
    "other",
    ["x = 1\ny = 2\n", "x = 1\ny = 2\n\n  \n\t\n", "x = 1\r\ny = 2\r\n", "x = 1  \ny = 2\t\n", "x = 1 \r\ny = 2"],
)
def test_what_an_editor_adds_changes_no_terms(world: World, other: str) -> None:
    """A blank line more at the end, or line ends of another system, and the approval still holds."""
    prepared = [world.analyst.prepare(code, ["hospital/patients"]) for code in ("x = 1\ny = 2", other)]
    assert {one.spec.terms for one in prepared} == {prepared[0].spec.terms}
    assert prepared[1].code == "x = 1\ny = 2"


@pytest.mark.parametrize(
    "other", ["x = 1\ny = 2  # two", "x = 1\n\ny = 2", "\nx = 1\ny = 2", "x = 1\ny  = 2", "x = 1\x0c\ny = 2"]
)
def test_what_a_reviewer_could_read_otherwise_changes_the_terms(world: World, other: str) -> None:
    """A comment is code: whoever approved read it."""
    first = world.analyst.prepare("x = 1\ny = 2", ["hospital/patients"])
    assert world.analyst.prepare(other, ["hospital/patients"]).spec.terms != first.spec.terms


def test_a_code_asset_may_make_the_output(world: World) -> None:
    """What sealed code makes, nobody else can see in the cell."""
    world.hospital.seal_code("def fit(): pass", "model", allow_code="any", tee="simulated-snp")
    world.analyst._reachable = (-3600.0, [])
    inputs = ["hospital/patients"]
    assert world.analyst.prepare("pass", inputs, outputs=["fit"], code_assets=["model"]).spec.outputs == ("fit",)


# --- what is remembered ---------------------------------------------------------------------------


def test_runs_of_one_second_are_in_their_order_and_one_that_waits_says_so(people, monkeypatch) -> None:
    """The newest run stands first; a run that a person has to approve has not failed."""
    now = time.time()
    monkeypatch.setattr(preparing, "time", SimpleNamespace(time=lambda: now))
    runs = []
    for number in range(4):
        runs.append(people.start(f"x = {number}", ["patients"]))
        with pytest.raises(ApprovalPending):
            runs[-1].wait(20)
        spec = people.analyst._run_folder(runs[-1].spec_digest) / "spec.json"
        os.utime(spec, ns=(0, number))
    records = people.analyst.runs()
    assert len({record.started_at for record in records}) == 1
    assert [record.id for record in records] == [run.id for run in reversed(runs)]
    assert {record.state for record in records} == {"waits for approval"}


def test_what_is_printed_of_a_seal_or_a_request_is_a_line(world: World) -> None:
    """No wall of base64 under a cell that ends with one of them."""
    sealed = world.hospital.seal(patients(3), "brief")
    assert repr(sealed) == f"<Sealed hospital/brief: log entry {sealed.proof.index}>"
    assert len(repr(world.analyst.prepare("1", ["hospital/patients"]))) < 100
