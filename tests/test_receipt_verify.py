"""Verifying a receipt: each check of the list broken alone, and what liars hand to an auditor."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import IMAGE, NOW, chain, person, recipient
from receipt_forge import (
    LAST_SECOND,
    OTHER,
    first_input,
    forged,
    part,
    predicate,
    reasons,
    record,
    refused,
    run,
    stranger,
    two,
)
from receipt_kit import LATER, SignedRun, signed_run

from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.attestation.claims import Evidence
from sls_jupyter.attestation.device.simulated import POLICY
from sls_jupyter.contract.grants import Obligations
from sls_jupyter.documents import b64decode, b64encode, canonical_json
from sls_jupyter.errors import BadInput, MalformedDocument, VerificationError
from sls_jupyter.receipt.receipt import Receipt
from sls_jupyter.receipt.statement import Statement, Subject

__all__ = ["run", "stranger", "two"]


def test_an_honest_receipt_is_accepted(run: SignedRun) -> None:
    """Every line passes; the word says that no hardware signed it, and whoever was not pinned is listed."""
    verdict = run.check(run.receipt()).require().verdict
    assert verdict.word == "ACCEPTED, SIMULATED"
    assert verdict.simulated
    assert verdict.spec == run.spec
    assert [one.what for one in verdict.taken] == ["owner", "owner", "log", "log", "simulated root"]
    shown = verdict.to_json()
    assert json.loads(json.dumps(shown))["statement"]["spec"]["digest"] == run.spec.digest
    assert [one["number"] for one in shown["checks"]] == list(range(1, len(verdict.checks) + 1))


def test_the_forge_forges_nothing_that_it_is_not_asked_to(run: SignedRun) -> None:
    """The tests below break one thing each, not two."""
    assert run.check(forged(run)).accepted


# --- one check broken at a time -------------------------------------------------------------------

WRONG_EVIDENCE = "Evidence of kind simulated-snp is not acceptable"
LIES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "spec by another signer": (
        {"spec_signer": person("stranger")},
        {"spec": "A StreamSpec is signed by somebody else."},
    ),
    "spec of another requester": (
        {"spec": {"requester": person("stranger").did}},
        {"spec": "A StreamSpec is signed by somebody else."},
    ),
    "a recipient's key that somebody else chose": (
        {"spec": {"recipients": (recipient(person("board")).model_copy(update={"name": "mallory"}),)}},
        {"spec": "A recipient's key is not signed by the recipient."},
    ),
    "inputs in another order": (
        {"statement": lambda said: predicate(inputs=said.predicate.inputs[::-1])(said)},
        {"inputs": "The inputs are not the spec's. asset1, asset0"},
    ),
    "an input left away": (
        {"statement": lambda said: predicate(inputs=said.predicate.inputs[:1])(said)},
        {"inputs": "The inputs are not the spec's. asset0"},
    ),
    "another asset": ({"inputs": {"asset": OTHER}}, {"asset_asset0": "This is the manifest of another asset."}),
    "another owner": (
        {"inputs": {"owner": person("stranger").did}},
        {"asset_asset0": "The spec describes the asset wrongly."},
    ),
    "another kind of asset": ({"inputs": {"kind": "code"}}, {"asset_asset0": "The spec describes the asset wrongly."}),
    "grant by somebody else": (
        {"grant_signer": person("stranger")},
        {"grant_asset0": "A Grant is signed by somebody else."},
    ),
    "grant of another authority": (
        {"grant": {"authority": person("stranger").did}, "grant_signer": person("stranger")},
        {"grant_asset0": "A Grant is signed by somebody else."},
    ),
    "grant for another spec": ({"grant": {"spec": OTHER}}, {"grant_asset0": "The grant is for another run."}),
    "grant for another asset": ({"grant": {"asset": OTHER}}, {"grant_asset0": "The grant is for another run."}),
    "grant of fewer columns": (
        {"grant": {"columns": ("age",)}},
        {"grant_asset0": "The grant does not cover the columns. outcome, sex"},
    ),
    "grant of no columns": ({"grant": {"columns": None}}, {"grant_asset0": "The grant does not cover the columns."}),
    "another image": (
        {
            "statement": lambda said: part("group", image=said.predicate.group.image.model_copy(update={"layers": ()}))(
                said
            )
        },
        {"image": "Another guest image.", "policy": "The policy is not the one for this spec and image."},
    ),
    "another measurement": (
        {
            "statement": lambda said: part(
                "group", image=said.predicate.group.image.model_copy(update={"measurement": "00" * 48})
            )(said)
        },
        {"image": "Another guest image.", "measurement": "000102", "evidence": WRONG_EVIDENCE},
    ),
    "another policy text": (
        {"statement": part("group", cce_policy="package policy\n")},
        {"policy": "The policy is not the one for this spec and image."},
    ),
    "no key": ({"statement": first_input(released=None)}, {"released_asset0": "No key was released."}),
    "another kind of entry": (
        {"released": {"kind": "key.refused", "columns": None}},
        {"released_asset0": "The log's entry is about something else. key.refused"},
    ),
    "key for another TEE": (
        {"released": {"tee": "sev-snp"}},
        {"released_asset0": "The log's entry has another tee. sev-snp"},
    ),
    "key for another spec": (
        {"released_meaning": {"spec": OTHER}},
        {"released_asset0": f"The log's entry is about another spec. {OTHER}"},
    ),
    "key for another asset": (
        {"released_meaning": {"asset": OTHER}},
        {"released_asset0": f"The log's entry is about another asset. {OTHER}"},
    ),
    "key for another requester": (
        {"released_meaning": {"requester": person("stranger").did}},
        {"released_asset0": "The log's entry is about another requester."},
    ),
    "key for other columns": (
        {"released_meaning": {"columns": ["age", "name"]}},
        {"released_asset0": "The log's entry is about another columns."},
    ),
    "records of another receipt": (
        {"recorded": {"receipt": OTHER}},
        {f"recorded_{n}": "The log's entry has another receipt." for n in (1, 2)},
    ),
    "records with another head": (
        {"recorded": {"record_root": OTHER}},
        {f"recorded_{n}": "The log's entry has another record_root." for n in (1, 2)},
    ),
    "another number of records": (
        {"recorded": {"records": 7}},
        {f"recorded_{n}": "The log's entry has another records. 7" for n in (1, 2)},
    ),
    "records from another TEE": (
        {"recorded": {"tee": "sev-snp"}},
        {f"recorded_{n}": "The log's entry has another tee." for n in (1, 2)},
    ),
    "records of another spec": (
        {"recorded_meaning": {"spec": OTHER}},
        {f"recorded_{n}": "The log's entry is about another spec." for n in (1, 2)},
    ),
    "records of another requester": (
        {"recorded_meaning": {"requester": person("stranger").did}},
        {f"recorded_{n}": "The log's entry is about another requester." for n in (1, 2)},
    ),
    "issued after the release": (
        {"released": {"at": NOW - 100}},
        {"times": "The spec was issued after its keys were released."},
    ),
    "released after the spec expired": (
        {"released": {"at": NOW + 3700}},
        {"times": "Keys were released after the spec expired."},
    ),
    "released after the grant expired": (
        {"grant": {"expires_at": NOW - 60}},
        {"times": "Keys were released after the grant expired."},
    ),
    "contract after the release": (
        {"statement": part("run", started_at=NOW + 60, ended_at=NOW + 60)},
        {"times": "The contract was accepted after the first key was released."},
    ),
    "released after the end": (
        {"released": {"at": NOW + 90}},
        {"times": "Keys were released after the run ended."},
    ),
    "recorded before the end": (
        {"statement": part("run", ended_at=NOW + 90)},
        {"times": "The run ended after it was recorded."},
    ),
    "contract after the first of two releases": (
        {"released": {"at": NOW - 10}, "statement": part("run", started_at=NOW + 25, ended_at=NOW + 26)},
        {"times": "The contract was accepted after the first key was released."},
    ),
    "granted after the release": (
        {"grant": {"issued_at": NOW + 60}},
        {"times": "The grant was issued after its keys were released."},
    ),
    "recorded by one log before the end": (
        {"recorded": {"at": NOW + 100, "log": 1}, "statement": part("run", ended_at=NOW + 90)},
        {"times": "The run ended after it was recorded."},
    ),
    "recorded by one log in the future": (
        {"recorded": {"at": NOW + 7200, "log": 0}},
        {"times": "The run was recorded after now."},
    ),
    "from the future": ({"recorded": {"at": NOW + 7200}}, {"times": "The run was recorded after now."}),
    "other rules": (
        {"statement": part("gate", rules=Obligations())},
        {"gate": "The gate enforced other rules."},
    ),
    "no word of the gate": ({"statement": predicate(gate=None)}, {"gate": "The gate has not said what it let go"}),
    "a recipient too many": (
        {
            "statement": lambda said: said.model_copy(
                update={"subject": (*said.subject, Subject.of(f"sealed/{person('stranger').did}", OTHER))}
            )
        },
        {"results": "The subjects are not this run's."},
    ),
    "a recipient missing": (
        {
            "statement": lambda said: said.model_copy(
                update={"subject": tuple(one for one in said.subject if not one.name.startswith("sealed/"))}
            )
        },
        {"results": "The subjects are not this run's."},
    ),
    "an output that was not asked for": (
        {"statement": lambda said: said.model_copy(update={"subject": (*said.subject, Subject.of("output/x", OTHER))})},
        {"results": "The subjects are not this run's."},
    ),
    "outputs of a run that did not end": (
        {"statement": part("run", status="limit", limit="memory")},
        {"results": "A run that did not end by itself returns nothing by name. output/risk"},
    ),
    "a TEE that no owner accepts": (
        {"grant": {"tees": ("sev-snp",)}},
        {"tee": "simulated-snp", "evidence": WRONG_EVIDENCE},
    ),
    "a TEE that the requester does not accept": (
        {"spec": {"tees": ("sev-snp",)}},
        {"tee": "simulated-snp", "evidence": WRONG_EVIDENCE},
    ),
    "code that is not the image's": (
        {"report": {"measurement": bytes(48)}},
        {"measurement": "000000", "evidence": f"{WRONG_EVIDENCE}: measurement."},
    ),
    "a guest that can be debugged": (
        {"report": {"policy": POLICY | 1 << 19}},
        {"debug": "on", "evidence": f"{WRONG_EVIDENCE}: debug."},
    ),
    "a report for something else": (
        {"report": {"report_data": bytes(64)}},
        {"report_data": "000000", "evidence": f"{WRONG_EVIDENCE}: report_data."},
    ),
    "another group's evidence": (
        {"report": {"host_data": bytes(32)}},
        {"init_data": "000000", "evidence": f"{WRONG_EVIDENCE}: init_data."},
    ),
    "a report that was changed after it was signed": (
        {
            "evidence": lambda honest: Evidence.of(
                honest.kind,
                bytes([*honest.report_bytes()[:4], 9, *honest.report_bytes()[5:]]),
                honest.endorsement_bytes(),
            )
        },
        {"signature": "does not verify", "evidence": "does not verify: signature."},
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_each_check_catches_its_own_lie(run: SignedRun, name: str) -> None:
    """Everybody else signed and logged what they should have; the one line says what is wrong."""
    lies, expected = LIES[name]
    refused(run.check(forged(run, **lies)), **expected)


@pytest.mark.parametrize("name", ["inputs in another order", "an input left away"])
def test_a_list_of_inputs_that_is_not_the_specs_fails_every_line_about_inputs(run: SignedRun, name: str) -> None:
    """A line that cannot be looked at has failed, and says so."""
    failed = {check.name for check in run.check(forged(run, **LIES[name][0])).failed}
    assert {"asset", "grant", "released", "owners", "times", "gate"} <= failed


def test_an_asset_belongs_to_the_authority_that_its_owner_named(run: SignedRun) -> None:
    """A requester could have somebody else grant, release and log."""
    other = next(did for did in run.worlds if did != run.spec.inputs[0].authority)
    verdict = run.check(forged(run, inputs={"authority": other}))
    (line,) = (check for check in verdict.failed if check.name == "asset asset0")
    assert line.found.startswith("The spec describes the asset wrongly.")


def test_only_the_run_that_was_asked_for(two: tuple[SignedRun, SignedRun]) -> None:
    """A manager that launched one run must not take the genuine receipt of another."""
    one, other = two
    refused(one.check(other.receipt(), spec=one.spec.digest), spec="The receipt of another run.")
    assert one.check(one.receipt(), spec=one.spec.digest).accepted


def test_no_log_alone_can_backdate_the_evidence(run: SignedRun) -> None:
    """Evidence by a chip whose key leaked later would be judged at a time when it was good."""
    verdict = run.check(forged(run, recorded={"at": NOW + 100, "log": 1})).require().verdict
    assert verdict.at == datetime.fromtimestamp(NOW + 100, UTC)


def test_a_refused_verdict_can_be_raised_with_every_reason(run: SignedRun) -> None:
    """A program that ignores the verdict's flag can still not go on by mistake."""
    verdict = run.check(forged(run, grant={"spec": OTHER}, released={"tee": "sev-snp"}))
    with pytest.raises(VerificationError, match="grant asset0") as caught:
        verdict.require()
    assert "The grant is for another run." in str(caught.value.found)


# --- pieces of other receipts ---------------------------------------------------------------------

PIECES = ("statement", "recorded", "evidence", "released", "grant", "manifest", "spec")


def swapped(run: SignedRun, other: SignedRun, piece: str) -> Receipt:
    """A run's receipt with one piece of another's."""
    mine, theirs = run.receipt(), other.receipt()
    if piece == "statement":
        return mine.model_copy(update={"statement": theirs.statement})
    if piece == "recorded":
        return mine.model_copy(update={"recorded": theirs.recorded})
    if piece == "evidence":
        return mine.model_copy(
            update={"statement": mine.statement.model_copy(update={"signatures": theirs.statement.signatures})}
        )
    said, taken = mine.stated().statement, theirs.stated().statement.predicate
    change = predicate(spec=taken.spec) if piece == "spec" else first_input(**{piece: getattr(taken.inputs[0], piece)})
    return record(run, run.sign(change(said)))


@pytest.mark.parametrize("piece", PIECES)
def test_no_piece_of_another_run_of_the_same_owners_fits(two: tuple[SignedRun, SignedRun], piece: str) -> None:
    """Same people, same logs, same machine: the spec's digest alone tells the runs apart, and is enough."""
    for one, other in itertools.permutations(two):
        assert reasons(one.check(swapped(one, other, piece)))


@pytest.mark.parametrize("piece", PIECES)
def test_no_piece_of_a_run_of_other_owners_fits(run: SignedRun, stranger: SignedRun, piece: str) -> None:
    """Nor does one with the same analyst and machine."""
    for one, other in itertools.permutations((run, stranger)):
        assert reasons(one.check(swapped(one, other, piece)))


def test_swapped_pieces_are_caught_by_the_check_they_are_about(two: tuple[SignedRun, SignedRun]) -> None:
    """Each with its own message."""
    one, other = two
    logged = {f"recorded_{n}": "No log has the receipt with this signature." for n in (1, 2)}
    refused(one.check(swapped(one, other, "evidence")), **logged, report_data="", init_data="", evidence=WRONG_EVIDENCE)
    both = {f"recorded_{n}": "The log's entry has another receipt." for n in (1, 2)}
    refused(one.check(swapped(one, other, "recorded")), **both)
    refused(one.check(swapped(one, other, "released")), released_asset0="The log's entry is about another spec.")


# --- pins -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["owners", "logs"])
def test_pinned_owners_and_logs_are_exactly_those(run: SignedRun, what: str) -> None:
    """One missing is as wrong as one too many."""
    right = sorted(run.worlds) if what == "logs" else [item.owner for item in run.spec.inputs]
    verdict = run.check(run.receipt(), **{what: right}).require().verdict
    assert all(f"{one.what}s" != what for one in verdict.taken)
    for wrong in ((), right[:1], [*right, person("stranger").did], [person("stranger").did, right[0]]):
        refused(run.check(run.receipt(), **{what: wrong}), **{what: ""})


def test_only_an_accepted_image_counts(run: SignedRun) -> None:
    """Honest hardware may run dishonest code."""
    refused(run.check(run.receipt(), images=()), image="Another guest image.")
    refused(run.check(run.receipt(), images={OTHER}), image="Another guest image.")


def test_another_vendors_root_is_not_believed(run: SignedRun) -> None:
    """With a development root pinned, another one is refused."""
    pinned = TrustAnchors(simulated_ark_spki=frozenset({chain().root_pin}))
    assert all(one.what != "simulated root" for one in run.check(run.receipt(), anchors=pinned).require().verdict.taken)
    other = TrustAnchors(simulated_ark_spki=frozenset({chain("another").root_pin}))
    refused(run.check(run.receipt(), anchors=other), root=chain().root_pin.hex(), evidence="does not verify: root.")


def test_simulated_evidence_is_refused_unless_somebody_says_otherwise(run: SignedRun) -> None:
    """A pinned development root is not consent to a demonstration."""
    for anchors in (None, TrustAnchors(simulated_ark_spki=frozenset({chain().root_pin}))):
        verdict = run.check(run.receipt(), accept_simulated=False, anchors=anchors)
        refused(verdict, tee="The receipt rests on SIMULATED evidence")
        assert verdict.word == "REFUSED, SIMULATED"


def renamed(honest: Evidence) -> Evidence:
    return Evidence.of("sev-snp", honest.report_bytes(), honest.endorsement_bytes())


@pytest.mark.parametrize("accept", [True, False])
def test_simulated_evidence_under_a_genuine_name_is_refused(run: SignedRun, accept: bool) -> None:
    """The word SIMULATED is gone then, and so is every root that would vouch for it."""
    tees = {"tees": ("sev-snp",)}
    lies = {"spec": tees, "grant": tees, "released": {"tee": "sev-snp"}, "recorded": {"tee": "sev-snp"}}
    anchors = TrustAnchors(simulated_ark_spki=frozenset({chain().root_pin}))
    verdict = run.check(forged(run, evidence=renamed, **lies), accept_simulated=accept, anchors=anchors)
    assert {"root", "evidence"} <= set(reasons(verdict))


# --- times ----------------------------------------------------------------------------------------


def test_a_receipt_outlives_its_certificates_but_does_not_come_from_the_future(run: SignedRun) -> None:
    """It is judged at the time when the logs recorded it."""
    receipt = run.receipt()
    assert run.check(receipt, now=LATER + timedelta(days=365 * 30)).accepted
    early = datetime.fromtimestamp(NOW - 60, UTC)
    refused(run.check(receipt, now=early), times="The run was recorded after now.")
    with pytest.raises(BadInput, match="time zone"):
        run.check(receipt, now=LATER.replace(tzinfo=None))


@pytest.mark.parametrize(
    "lies",
    [
        {"recorded": {"at": LAST_SECOND}},
        {"released": {"at": LAST_SECOND}},
        {"statement": part("run", ended_at=LAST_SECOND)},
        {"grant": {"expires_at": LAST_SECOND}, "statement": part("run", started_at=LAST_SECOND, ended_at=LAST_SECOND)},
    ],
    ids=["recorded", "released", "ended", "started"],
)
def test_times_at_the_end_of_the_calendar_are_a_failed_line(run: SignedRun, lies: dict[str, Any]) -> None:
    """The last second that a document can hold ends in a verdict, not in a traceback."""
    assert "times" in reasons(run.check(forged(run, **lies)))


# --- how a run ended ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "words"), [("limit", "stopped at a limit"), ("error", "the cell raised"), ("died", "the program ended")]
)
def test_a_run_that_did_not_end_well_has_a_receipt_that_says_so(
    two: tuple[SignedRun, SignedRun], status: str, words: str
) -> None:
    """A refused or failed computation is as provable as a good one."""
    ended = signed_run(two[0].worlds, nonce=100 + len(words), status=status)
    verdict = ended.check(ended.receipt()).require().verdict
    gate, results = (next(c for c in verdict.checks if c.name == name) for name in ("gate", "results"))
    assert gate.found.startswith(words)
    assert results.found == "nothing by name; sealed to 1"


def test_a_run_that_was_stopped_before_its_gate_spoke_is_refused(two: tuple[SignedRun, SignedRun]) -> None:
    """What left is not known, so nothing is certified."""
    stopped = signed_run(two[0].worlds, nonce=200, finish=False)
    verdict = stopped.check(stopped.receipt())
    refused(verdict, gate="The gate has not said what it let go (stopped from outside).")


def test_a_run_without_keys_is_refused(two: tuple[SignedRun, SignedRun]) -> None:
    """A group that got no keys computed nothing."""
    idle = signed_run(two[0].worlds, nonce=201, release_keys=False)
    found = reasons(idle.check(idle.receipt()))
    assert found["released asset0"] == found["released asset1"] == "No key was released."


# --- what is in it, and what it needs -------------------------------------------------------------


def test_no_plaintext_is_in_a_receipt_or_beside_it(run: SignedRun) -> None:
    """Result, cell and keys appear nowhere: not in the receipt, its records, the verdict or any database."""
    receipt = run.receipt()
    text = receipt.payload() + run.records + canonical_json(run.check(receipt).to_json())
    told = text + b"".join(_decoded(json.loads(receipt.payload())))
    kept = b"".join(path.read_bytes() for world in run.worlds.values() for path in world.folder.rglob("*.db*"))
    assert b"run.records" in told
    assert b"run.records" in kept
    for canary in (b"CANARY-7f3a", b64encode(b"CANARY-7f3").encode()[:-2]):
        assert canary not in told + kept
    assert b"reset_index" not in told  # of the cell, which each authority has to decide on


def _decoded(value: Any) -> Iterator[bytes]:
    """Every base64 value in a document and in the documents inside it, decoded."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _decoded(one)
    elif isinstance(value, str):
        with contextlib.suppress(MalformedDocument, ValueError):
            data = b64decode(value)
            yield data
            yield from _decoded(json.loads(data))


OFFLINE = """
import socket, sys
def refuse(*_, **__): raise OSError("no network here")
socket.socket.__init__ = socket.create_connection = socket.getaddrinfo = refuse
from datetime import UTC, datetime
from sls_jupyter.receipt.verify import verify_receipt
data = open(sys.argv[1], "rb").read()
now = datetime.fromtimestamp(int(sys.argv[2]), UTC)
print(verify_receipt(data, now=now, images={sys.argv[3]}, accept_simulated=True).word)
"""


def test_verifying_needs_no_home_no_network_and_leaves_nothing(run: SignedRun, tmp_path: Path) -> None:
    """An auditor has one file and Python."""
    path = run.receipt().save(tmp_path / "receipt.json")
    before = path.read_bytes()
    root = str(Path(__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-B", "-W", "error", "-c", OFFLINE, str(path), str(int(LATER.timestamp())), IMAGE.digest],
        env={"PYTHONPATH": root, "HOME": str(tmp_path / "nowhere"), "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.decode().strip() == "ACCEPTED, SIMULATED", done.stderr.decode()
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


# --- crafted receipts -----------------------------------------------------------------------------


def test_words_of_a_receipt_cannot_write_lines_of_the_verdict(run: SignedRun) -> None:
    """A terminal shows each check's line; none may hold a newline, an escape or a letter that turns text around."""
    name = "image\n\x1b[2K✓ evidence\nACCEPTED\u202e"
    change = lambda said: part("group", image=said.predicate.group.image.model_copy(update={"reference": name}))(said)  # noqa: E731
    for check in run.check(forged(run, statement=change)).checks:
        assert all(text.isprintable() for text in (check.name, check.found, check.expected)), check


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("1" * 64, "0" * 64, "container input, layers: layer 1 of 2 is 0000"),
        ('"--wall-seconds", "', '"--wall-seconds", "9', "container program, command: "),
        ("allow_dump_stacks := false", "allow_dump_stacks := true", "allow_dump_stacks: true, expected false"),
        ("package policy", "package other", "one of them cannot be read"),
    ],
)
def test_where_two_policies_differ_is_said_in_words(run: SignedRun, old: str, new: str, words: str) -> None:
    """Two digests tell an auditor that something is wrong; container and rule tell what."""

    def change(said: Statement) -> Statement:
        return part("group", cce_policy=said.predicate.group.cce_policy.replace(old, new))(said)

    (line,) = (check for check in run.check(forged(run, statement=change)).failed if check.name == "policy")
    assert words in line.found
