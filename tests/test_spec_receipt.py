"""docs/specs/receipt.md: its vector read by an independent implementation, and by ours."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import spec_reader as reader
from test_specs import blocks

from sls_jupyter.receipt.receipt import Receipt
from sls_jupyter.receipt.verify import verify_receipt

FOLDER = Path(__file__).parent / "vectors" / "receipt"
DATA, RECORDS = (FOLDER / "receipt.json").read_bytes(), (FOLDER / "records.jsonl").read_bytes()
KNOWN = json.loads((FOLDER / "auditor.json").read_text(encoding="utf-8"))
RECEIPT = reader.parse_canonical(DATA)
PAYLOAD = reader.unbase64(RECEIPT["statement"]["payload"])
STATEMENT = reader.parse_canonical(PAYLOAD)
PREDICATE = STATEMENT["predicate"]


def leaf(entry: bytes) -> bytes:
    return hashlib.sha256(b"\0" + entry).digest()


def root_of(index: int, size: int, hashed: bytes, path: list[bytes]) -> bytes:
    """The root that an inclusion proof leads to (RFC 9162, 2.1.3.2)."""
    fn, sn = index, size - 1
    for sibling in path:
        reader.require(sn > 0, "a proof that is too long")
        if fn & 1 or fn == sn:
            hashed = hashlib.sha256(b"\1" + sibling + hashed).digest()
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            hashed = hashlib.sha256(b"\1" + hashed + sibling).digest()
        fn, sn = fn >> 1, sn >> 1
    reader.require(sn == 0, "a proof that is too short")
    return hashed


def opened(disclosed: dict[str, Any]) -> dict[str, Any]:
    """The entry of a disclosed proof, once log, tree and commitment say so."""
    proof = disclosed["proof"]
    body, _, line = proof["checkpoint"].partition("\n\n")
    name, blob = line.split("\n")[0].removeprefix("— ").split(" ")
    reader.require(name == proof["origin"] == "sls-jupyter.log/" + proof["log"], "another log")
    reader.public_key(proof["log"]).verify(reader.unbase64(blob)[4:], (body + "\n").encode())
    _, size, root = body.split("\n")
    data = reader.unbase64(proof["entry"])
    path = [reader.unbase64(one) for one in proof["hashes"]]
    reader.require(root_of(proof["index"], int(size), leaf(data), path) == reader.unbase64(root), "not in the tree")
    entry = reader.parse_canonical(data)
    meaning = reader.canonical(disclosed["meaning"])
    commitment = reader.identifier(reader.lp("sls-jupyter/entry/v1", reader.unbase64(disclosed["salt"]), meaning))
    reader.require(entry["commitment"] == commitment, "another meaning")
    return dict(entry)


def test_the_examples_are_the_vector():
    """Whoever works the text through arrives at this very receipt, with every member there is."""
    whole, statement = blocks("receipt")
    assert reader.abbreviates(whole, RECEIPT)
    assert reader.abbreviates(statement, STATEMENT)


def test_the_hardware_signed_this_statement_in_this_group():
    """REPORT_DATA and HOST_DATA follow from the receipt by the formulas of the text."""
    (signature,) = RECEIPT["statement"]["signatures"]
    signed = reader.pae(RECEIPT["statement"]["payloadType"], PAYLOAD)
    report_data, measurement, host_data = reader.snp_report(reader.unbase64(signature["sig"]))
    expected = reader.lp("sls-jupyter/receipt/v2", b"audit", reader.identifier(signed))
    assert report_data == hashlib.sha512(expected).digest()
    assert host_data == hashlib.sha256(PREDICATE["group"]["cce_policy"].encode()).digest()
    image = PREDICATE["group"]["image"]
    assert measurement.hex() == image["measurement"]
    pinned = reader.lp("sls-jupyter/image/v2", measurement, *image["layers"])
    assert reader.identifier(pinned) == KNOWN["image"]


def test_everything_is_about_one_spec():
    """The policy, the grants and the logs all name the spec that the requester signed."""
    payload = reader.unbase64(PREDICATE["spec"]["payload"])
    spec, digest = reader.parse_canonical(payload), reader.identifier(payload)
    assert {f"sealed/{did}" for did in reader.recipients_of(spec)} < {one["name"] for one in STATEMENT["subject"]}
    assert f'"--spec", "{digest}"' in PREDICATE["group"]["cce_policy"]
    for item, one in zip(spec["inputs"], PREDICATE["inputs"], strict=True):
        manifest, grant = (reader.unbase64(one[name]["payload"]) for name in ("manifest", "grant"))
        assert (item["alias"], item["asset"]) == (one["alias"], reader.identifier(manifest))
        assert json.loads(grant)["spec"] == digest
        assert opened(one["released"])["kind"] == "key.released"
        assert one["released"]["meaning"]["spec"] == digest
        assert (one["released"]["proof"]["log"], json.loads(manifest)["owner"]) == (item["authority"], item["owner"])


def test_every_owners_log_holds_the_receipt():
    """The identifier in the logs is the SHA-256 of the payload."""
    assert reader.identifier(PAYLOAD) == KNOWN["receipt"]
    assert [one["entry"]["proof"]["log"] for one in RECEIPT["recorded"]] == KNOWN["logs"]
    for one in RECEIPT["recorded"]:
        entry = opened(one["entry"])
        assert (entry["kind"], entry["facts"]["receipt"]) == ("run.records", KNOWN["receipt"])
        assert entry["facts"]["record_root"] == PREDICATE["records"]["head"]


def test_the_records_are_a_subject():
    """A record file that somebody shows is the one that the hardware signed for, to its last line."""
    subjects = {one["name"]: one["digest"]["sha256"] for one in STATEMENT["subject"]}
    assert subjects["records"] == hashlib.sha256(RECORDS).hexdigest()
    *_, last = RECORDS.splitlines()
    assert (reader.identifier(last), len(RECORDS.splitlines())) == tuple(
        PREDICATE["records"][n] for n in ("head", "count")
    )


def test_the_receipts_of_a_session_by_other_means():
    """Each names its order, every authority's grant of it and the receipt before, as the text says."""
    before, cells = None, []
    for number in (1, 2, 3):
        payload = reader.unbase64(
            reader.parse_canonical((FOLDER / f"session-{number}.json").read_bytes())["statement"]["payload"]
        )
        predicate = reader.parse_canonical(payload)["predicate"]
        spec, order, grants = reader.cell_of(predicate)
        assert (len(order["cells"]), order["cells"][:-1]) == (number, cells)
        assert [grant["authority"] for grant in grants] == sorted({one["authority"] for one in spec["inputs"]})
        assert predicate["cell"]["previous"] == before
        before, cells = reader.identifier(payload), order["cells"]


def test_receipts_of_this_version_still_verify():
    """An auditor with a newer version believes what an older one gave; a change of the group must not break this."""
    now = datetime.fromtimestamp(KNOWN["verified_at"], UTC)
    pins = {"images": {KNOWN["image"]}, "owners": KNOWN["owners"], "logs": KNOWN["logs"]}
    verdict = verify_receipt(DATA, now=now, accept_simulated=True, **pins).require().verdict
    assert (verdict.id, verdict.word) == (KNOWN["receipt"], "ACCEPTED, SIMULATED")
    assert Receipt.parse(DATA).payload() == DATA


def test_receipts_from_before_sessions_still_verify():
    """An auditor's old file holds what it held: all but the container policy, which a later version may render otherwise."""
    data, known = (FOLDER / "receipt-v1.json").read_bytes(), json.loads((FOLDER / "auditor-v1.json").read_text())
    now = datetime.fromtimestamp(known["verified_at"], UTC)
    pins = {"images": {known["image"]}, "owners": known["owners"], "logs": known["logs"]}
    verdict = verify_receipt(data, now=now, accept_simulated=True, **pins)
    assert {check.name for check in verdict.failed} <= {"policy", "evidence"}
    assert (verdict.id, verdict.cell) == (known["receipt"], None)


@pytest.mark.parametrize("number", range(1, 19))
def test_the_text_has_the_checks_of_the_code(number):
    """The list in the text and the one in the module are the same list."""
    import sls_jupyter.receipt.verify as module

    (row,) = (line for line in (Path(module.__file__).read_text()).splitlines() if line.startswith(f"    {number:<3}"))
    name = row.split()[1]
    table = (Path(__file__).parent.parent / "docs" / "specs" / "receipt.md").read_text(encoding="utf-8")
    assert f"| {number} | `{name}` |" in table
