"""The specifications: their vectors read by an independent implementation, their examples compared with the code."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest
import spec_reader as reader
from builders import World
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_wrap
from hpke_by_hand import open_by_hand, public_key_by_hand

from sls_jupyter import errors
from sls_jupyter.assets.manifest import AssetManifest
from sls_jupyter.assets.opening import open_code, open_table, verify_manifest
from sls_jupyter.attestation.binding import door_report_data, release_report_data
from sls_jupyter.authority import guard, limits, serving, transport
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.authority.embedded import AuthorityServer, listen
from sls_jupyter.authority.http import MAX_BODY_BYTES, create_app
from sls_jupyter.authority.protocol import publish_info, release_info
from sls_jupyter.authority.release import CHALLENGE_SECONDS, MAX_OPEN_CHALLENGES
from sls_jupyter.contract import cce
from sls_jupyter.contract.cells import CellGrant, CellOrder
from sls_jupyter.contract.grants import Approval, Denial, Grant
from sls_jupyter.contract.group import group_for
from sls_jupyter.contract.image import GuestImage
from sls_jupyter.contract.spec import StreamSpec, verify_stream_spec
from sls_jupyter.documents import MAX_DEPTH, Document, canonical_json, lp, sign, verify
from sls_jupyter.errors import MalformedDocument, NotAuthorised, SlsError, VerificationError
from sls_jupyter.guest.bundle import open_result, result_info
from sls_jupyter.guest.door import Door
from sls_jupyter.hpke import HpkeKey
from sls_jupyter.identity import Appointment, Contact, SigningKey, public_key_from_did, verify_signature, verify_token
from sls_jupyter.network import Answer
from sls_jupyter.policy.model import OwnerPolicy
from sls_jupyter.transparency.proofs import LogProof, verify_log_proof

ROOT = Path(__file__).resolve().parent.parent
SPECS, VECTORS = ROOT / "docs" / "specs", Path(__file__).parent / "vectors"
CLASSES: dict[str, type[Document]] = {
    cls.__name__: cls
    for cls in (
        Contact,
        Appointment,
        AssetManifest,
        OwnerPolicy,
        StreamSpec,
        Approval,
        Denial,
        Grant,
        CellOrder,
        CellGrant,
    )
}


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))


def text(name: str) -> str:
    return (SPECS / f"{name}.md").read_text(encoding="utf-8")


def blocks(name: str) -> list[Any]:
    """The JSON examples of a specification, in their order."""
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text(name), re.DOTALL)]


def document_examples() -> dict[str, Any]:
    """The example below each heading that is the name of a document."""
    all_ = text("signed-documents") + text("sealed-asset") + text("sessions")
    return {name: json.loads(block) for name, block in re.findall(r"### (\w+)\n\n```json\n(.*?)```", all_, re.DOTALL)}


SIGNING, TOKENS, EXAMPLES = load("documents/signing.json"), load("documents/tokens.json"), document_examples()
ANSWERS, KEYS = load("calls/answers.json"), load("documents/keys.json")
CONTENTS = load("sealed-asset/contents.json")
RELEASE, BINDINGS, MESSAGES = (load(f"key-release/{name}.json") for name in ("release", "bindings", "messages"))


# --- signed-documents.md --------------------------------------------------------------------------


def test_encodings_by_other_means():
    """Another implementation that follows the text joins, writes and names exactly as this one does."""
    for case in SIGNING["lp"]:
        parts = [bytes.fromhex(part) for part in case["parts"]]
        assert reader.lp(*parts).hex() == lp(*parts).hex() == case["bytes"]
        assert reader.split_lp(reader.lp(*parts)) == parts
    for case in SIGNING["canonical_json"]:
        assert reader.canonical(case["value"]).encode() == canonical_json(case["value"]) == case["bytes"].encode()
    for key in SIGNING["keys"]:
        made = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(key["seed"])))
        assert made.did == key["did"]
        assert reader.public_key(key["did"]).public_bytes_raw().hex() == key["public_key"] == made.public_bytes.hex()


@pytest.mark.parametrize("case", SIGNING["refused_dids"], ids=lambda case: case["why"])
def test_dids_to_refuse(case):
    """A key has one name: no second spelling, no other kind of key."""
    with pytest.raises(reader.Refused):
        reader.public_key(case["did"])
    with pytest.raises(MalformedDocument):
        public_key_from_did(case["did"])


@pytest.mark.parametrize("case", SIGNING["envelopes"], ids=lambda case: case["name"])
def test_signed_documents_by_other_means(case):
    """Each kind of document is read, its signature checked and its identifier found, from the text alone."""
    cls, envelope = CLASSES[case["name"]], case["envelope"].encode()
    page = "sessions" if case["name"].startswith("Cell") else "signed-documents"
    (signer,) = re.findall(rf"`{cls.__name__}`.*\| `(\w+)` \|", text(page))
    document, identifier = reader.open_envelope(envelope, cls.payload_type, signer, EXAMPLES[case["name"]])
    assert identifier == case["digest"]
    assert document[signer] == case["signer"]
    ours = verify(envelope, cls, verify_signature, did=None)
    assert ours.digest == identifier
    assert json.loads(ours.payload()) == document


@pytest.mark.parametrize("case", KEYS["ed25519_refused"], ids=lambda case: case["name"])
def test_keys_to_refuse_by_other_means(case):
    """No DID is read that names a key of small order or in a second encoding."""
    number, name = int.from_bytes(b"\xed\x01" + bytes.fromhex(case["key"]), "big"), ""
    while number:
        number, rest = divmod(number, 58)
        name = reader.BASE58[rest] + name
    for read in (reader.public_key, public_key_from_did):
        with pytest.raises((reader.Refused, MalformedDocument)):
            read(f"did:key:z{name}")


def test_terms_by_other_means():
    """An approver of another implementation signs the same terms."""
    (case,) = (case for case in SIGNING["envelopes"] if case["name"] == "StreamSpec")
    spec = reader.parse_canonical(reader.unbase64(json.loads(case["envelope"])["payload"]))
    kept = {name: value for name, value in spec.items() if name not in ("nonce", "issued_at", "expires_at")}
    assert reader.identifier(reader.canonical(kept).encode()) == case["terms"]
    assert StreamSpec.from_json(spec).terms == case["terms"]


def test_recipients_by_other_means():
    """Results go to keys that their recipients signed, seen by another implementation; a changed one is refused by both."""
    envelope = next(case["envelope"] for case in SIGNING["envelopes"] if case["name"] == "StreamSpec")
    spec = json.loads(reader.unbase64(json.loads(envelope)["payload"]))
    (contact,) = (case for case in SIGNING["envelopes"] if case["name"] == "Contact")
    ours = verify_stream_spec(envelope.encode())
    assert reader.recipients_of(spec) == {one.did: reader.unbase64(one.hpke_public_key) for one in ours.recipients}
    assert [one.contact().digest for one in ours.recipients] == [contact["digest"]]
    for field, value in (("name", "board"), ("hpke_public_key", "AAAA"), ("did", SIGNING["keys"][0]["did"])):
        changed = {**spec, "recipients": [{**spec["recipients"][0], field: value}]}
        with pytest.raises(reader.Refused):
            reader.recipients_of(changed)
        with pytest.raises(SlsError):
            StreamSpec.from_json(changed).recipients[0].verify()


@pytest.mark.parametrize("case", SIGNING["refused_envelopes"], ids=lambda case: case["why"])
def test_envelopes_to_refuse(case):
    """What the text says must be refused is refused here too, with our own error."""
    with pytest.raises(reader.Refused):
        reader.open_envelope(case["envelope"].encode(), Contact.payload_type, "did", EXAMPLES["Contact"])
    with pytest.raises(SlsError):
        verify(case["envelope"].encode(), Contact, verify_signature, did=None)


@pytest.mark.parametrize("case", TOKENS["tokens"], ids=lambda case: case["name"])
def test_tokens_by_other_means(case):
    """A token lets its bearer make one call, and both implementations agree which."""
    call = {name: case[name] for name in ("audience", "method", "path", "now")} | {"body": case["body"].encode()}
    if case["why"] is None:
        assert reader.caller_of(case["token"], **call) == verify_token(case["token"], **call) == TOKENS["caller"]
        return
    with pytest.raises(reader.Refused):
        reader.caller_of(case["token"], **call)
    with pytest.raises(NotAuthorised):
        verify_token(case["token"], **call)


# --- authority-calls.md ---------------------------------------------------------------------------


@pytest.mark.parametrize("case", ANSWERS["answers"], ids=lambda case: case["name"])
def test_signed_answers_by_other_means(case):
    """An answer is one authority's to one call, and both implementations agree whose and to which."""
    call = {name: case[name] for name in ("nonce", "method", "target", "status", "authority", "signature")}
    call |= {name: case[name].encode() for name in ("question", "answer")}
    client = AuthorityClient("https://authority.example", did=case["expected"])
    headers = {"sls-authority": case["authority"], "sls-signature": case["signature"]}
    answer = Answer(case["status"], headers, call["answer"])
    asked = (case["nonce"], case["method"], case["target"], call["question"])
    if case["why"] is None:
        reader.require_answer(case["expected"], **call)
        client._require_signed(answer, *asked)
        return
    with pytest.raises(reader.Refused):
        reader.require_answer(case["expected"], **call)
    with pytest.raises(VerificationError):
        client._require_signed(answer, *asked)


def test_the_signed_message_is_the_formula_of_the_text():
    """Byte for byte, with the same result by other means; and the text's example is that of the vectors."""
    case = ANSWERS["answers"][0]
    call = {name: case[name] for name in ("nonce", "method", "target", "status", "authority", "signature")}
    call |= {name: case[name].encode() for name in ("question", "answer")}
    assert reader.require_answer(case["expected"], **call).hex() == ANSWERS["message"]
    for shown in (case["nonce"], case["signature"][:8], case["authority"][:16], case["question"], case["answer"]):
        assert shown in text("authority-calls")


def test_limits_in_the_text():
    """A limit that changes in the code changes in the text."""
    for words in (
        f"{guard.MAX_BODY_BYTES >> 20} MiB to `/v1/assets`",
        f"{guard.SMALL_BODY_BYTES >> 10} KiB to all others",
        f"{MAX_DEPTH} levels and {guard.MAX_BODY_VALUES} values",
        f"{serving.MAX_HEADER_BYTES >> 10} KiB; {serving.HEADER_SECONDS:.0f} seconds",
        f"| body | {serving.BODY_SECONDS:.0f} seconds, and one more for each {serving.BODY_BYTES_A_SECOND >> 10} KiB",
        f"{serving.REFUSED_SECONDS:.0f} for the rest of one that was refused",
        f"{serving.ANSWER_SECONDS:.0f} seconds; {serving.STALLED_SECONDS:.0f} without",
        f"{serving.MAX_CONNECTIONS} at most",
        "| calls | {:.0f} a second and {:.0f} at once".format(*limits.ADDRESS_LIMIT),
        "{:.0f} and {:.0f} of one DID".format(*limits.DID_LIMIT),
        f"({transport.TIMEOUT_SECONDS:.0f} seconds by default)",
        f"{transport.MAX_ANSWER_BYTES >> 20} MiB, {MAX_DEPTH} levels and a million values",
    ):
        assert words in text("authority-calls"), words
    assert transport.MAX_ANSWER_VALUES == 1_000_000


# --- sealed-asset.md ------------------------------------------------------------------------------


class Sealed:
    """One of the three sealed assets, its manifest read by the independent reader."""

    def __init__(self, name: str) -> None:
        self.folder, self.contents = VECTORS / "sealed-asset" / name, CONTENTS[name]
        self.envelope = (self.folder / "manifest.json").read_bytes()
        example = {**EXAMPLES["AssetManifest"], "groups": [{**EXAMPLES["AssetManifest"]["groups"][0], "columns": []}]}
        self.manifest, self.id = reader.open_envelope(self.envelope, AssetManifest.payload_type, "owner", example)
        self.keys = {name: reader.unbase64(key) for name, key in self.contents["keys"].items()}

    def keys_for(self, *columns: str) -> dict[str, bytes]:
        """What an authority would release for these columns."""
        groups = [group for group in self.manifest["groups"] if set(columns) & set(group["columns"])]
        wanted = [self.manifest["footer_key_id"], *(group["key_id"] for group in groups)]
        return {name: self.keys[name] for name in wanted}

    def part(self, name: str, keys: dict[str, bytes], data: bytes | None = None) -> reader.Part:
        (about,) = (part for part in self.manifest["parts"] if part["name"] == name)
        data = (self.folder / name).read_bytes() if data is None else data
        return reader.Part(data, about, self.manifest["footer_key_id"], keys)

    def read(self, columns: list[str], keys: dict[str, bytes]) -> pa.Table:
        names = [part["name"] for part in self.manifest["parts"] if part["name"].startswith("part-")]
        return pa.concat_tables(self.part(name, keys).read(columns) for name in names)

    def opened(self, columns: list[str] | None, keys: dict[str, bytes]) -> pa.RecordBatchReader:
        """By the package itself."""
        manifest = verify_manifest(self.envelope, self.id)
        return open_table(manifest, keys, columns=columns, open_part=lambda name: (self.folder / name).open("rb"))


@pytest.mark.parametrize("name", ["table", "code", "confidential"])
def test_every_column_of_a_sealed_part_is_under_its_own_groups_key(name):
    """Nothing that was sealed lies there in plaintext, seen by reading the footer byte by byte."""
    sealed = Sealed(name)
    assert sealed.id == sealed.contents["id"]
    groups = {column: group["key_id"] for group in sealed.manifest["groups"] for column in group["columns"]}
    names = sealed.contents.get("physical", {column: column for column in groups})
    group_of = {
        physical: groups.get(column) or sealed.manifest["groups"][0]["key_id"] for column, physical in names.items()
    }
    for part in sealed.manifest["parts"]:
        found = sealed.part(part["name"], sealed.keys).key_ids()
        assert found == {column: {group_of[column]} for column in found}
        assert part["name"].startswith("dictionary") or set(found) == set(group_of)


def test_table_by_other_means():
    """With pyarrow, the text and the keys, granted columns are read; the others' bytes are not even fetched."""
    sealed = Sealed("table")
    schema = pa.ipc.read_schema(pa.py_buffer(reader.unbase64(sealed.manifest["arrow_schema"])))
    wanted = sealed.contents["columns"]
    assert {name: reader.physical(i, name) for i, name in enumerate(schema.names)} == sealed.contents["physical"]
    for group in sealed.manifest["groups"]:
        keys = sealed.keys_for(*group["columns"])
        assert len(keys) == 2
        table = sealed.read([reader.physical(schema.get_field_index(name), name) for name in group["columns"]], keys)
        for name, column in zip(group["columns"], table.columns, strict=True):
            values = column.to_pylist()
            if pa.types.is_dictionary(schema.field(name).type):
                number = schema.get_field_index(name)
                part = sealed.part(f"dictionary-{number:05d}.parquet", keys)
                categories = part.read([reader.physical(number, name)]).column(0).to_pylist()
                assert categories == sealed.contents["categories"][name]
                values = [None if code is None else categories[code] for code in values]
            assert values == wanted[name]
        ours = sealed.opened(group["columns"], keys).read_all()
        assert [ours.column(name).to_pylist() for name in group["columns"] if name != "admitted"] == [
            wanted[name] for name in group["columns"] if name != "admitted"
        ]
    assert sealed.opened(None, sealed.keys).schema.equals(schema)


def test_confidential_table_by_other_means():
    """The schema that the manifest keeps back is in the footer, for those who have its key."""
    sealed = Sealed("confidential")
    assert sealed.manifest["arrow_schema"] is None
    assert "y z" not in json.dumps(sealed.manifest)
    part = sealed.part("part-00000.parquet", sealed.keys)
    schema = pa.ipc.read_schema(pa.py_buffer(reader.unbase64(part.metadata()[b"sls.schema"].decode())))
    names = [reader.physical(i, name) for i, name in enumerate(schema.names)]
    table = part.read(names).rename_columns(schema.names)
    assert table.to_pydict() == sealed.contents["columns"] == sealed.opened(None, sealed.keys).read_all().to_pydict()


def test_code_by_other_means():
    """Sealed code is the same format: files, chunk by chunk."""
    sealed = Sealed("code")
    files: dict[str, bytes] = {}
    for row in sealed.read(["path", "chunk", "bytes"], sealed.keys).to_pylist():
        files[row["path"]] = files.get(row["path"], b"") + row["bytes"]
    assert {path: data.decode() for path, data in files.items()} == sealed.contents["files"]
    manifest = verify_manifest(sealed.envelope, sealed.id)
    assert open_code(manifest, sealed.keys, open_part=lambda name: (sealed.folder / name).open("rb")) == files


def test_without_its_key_a_column_stays_closed():
    """Who was granted the ages does not read the sexes, whatever they try with the file."""
    sealed = Sealed("table")
    with pytest.raises(KeyError):
        sealed.read(["sex"], sealed.keys_for("age"))
    wrong = {**sealed.keys, sealed.manifest["groups"][-1]["key_id"]: bytes(32)}
    with pytest.raises(InvalidUnwrap):
        sealed.read(["sex"], wrong)


def test_every_changed_byte_of_a_part_is_refused():
    """The leading bytes, a page, the footer, the end, another part, a byte more or less: each is noticed."""
    sealed, name = Sealed("table"), "part-00000.parquet"
    good = (sealed.folder / name).read_bytes()
    columns = list(sealed.contents["physical"].values())
    for place in range(0, len(good), 7):
        changed = bytearray(good)
        changed[place] ^= 1
        with pytest.raises((ValueError, InvalidTag, OSError)):
            sealed.part(name, sealed.keys, bytes(changed)).read(columns)
    for other in (good[:-1], good + b"\0", (sealed.folder / "part-00001.parquet").read_bytes()):
        with pytest.raises(ValueError, match="another"):
            sealed.part(name, sealed.keys, other)


def test_a_column_that_nobody_named_is_found(tmp_path):
    """The trap itself: pyarrow writes it in plaintext, and reading the footer as the text says shows it."""

    class Wrapping(reader.Kms):
        def wrap_key(self, key_bytes, master_key_identifier):
            return reader.base64.b64encode(aes_key_wrap(self.keys[master_key_identifier], key_bytes)).decode()

    keys = {"f": bytes(32), "a": bytes(32)}
    config = pe.EncryptionConfiguration(
        footer_key="f",
        column_keys={"a": ["age"]},
        plaintext_footer=False,
        double_wrapping=False,
        data_key_length_bits=256,
    )
    factory = pe.CryptoFactory(lambda _: Wrapping(keys))
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), config)
    pq.write_table(pa.table({"age": [1], "name": ["plain"]}), tmp_path / "x", encryption_properties=properties)
    data = (tmp_path / "x").read_bytes()
    footer = data[-int.from_bytes(data[-8:-4], "little") - 8 :]
    part = reader.Part(data, {"size": len(data), "rows": 1, "footer": reader.identifier(footer)}, "f", keys)
    assert b"plain" in data
    with pytest.raises(ValueError, match="plaintext"):
        part.key_ids()


# --- key-release.md -------------------------------------------------------------------------------

SPEC_PAYLOAD = reader.unbase64(json.loads(RELEASE["request"]["spec"])["payload"])
SPEC = json.loads(SPEC_PAYLOAD)


@pytest.mark.parametrize("case", BINDINGS["bindings"], ids=lambda case: case["use"])
def test_bindings_by_other_means(case):
    """What the hardware signs is computed alike by guests and authorities of other makes."""
    parts = [bytes.fromhex(part) for part in case["parts"]]
    door = case["use"] == "door"
    ours = door_report_data(case["role"], *parts) if door else release_report_data(*parts)
    assert reader.report_data(case["label"], case["role"].encode(), *parts) == ours
    assert ours == bytes.fromhex(case["report_data"])
    assert case["label"] in text("key-release")
    if "audience" in case:
        assert reader.identifier(parts[1]) == case["audience"]


def test_evidence_by_other_means():
    """The report in the vector carries this release's binding, image and policy, under a signature that holds."""
    request = RELEASE["request"]
    report_data, measurement, host_data = reader.snp_report(request["evidence"].encode())
    bound = reader.report_data(
        "sls-jupyter/release/v2", b"input", bytes.fromhex(request["nonce"]), reader.unbase64(request["hpke_public_key"])
    )
    assert report_data.hex() == bound.hex() == RELEASE["report_data"]
    assert measurement.hex() == RELEASE["image"]["measurement"]
    policy = (VECTORS / "key-release" / "policy.rego").read_bytes()
    assert host_data.hex() == RELEASE["host_data"] == reader.identifier(policy).removeprefix("sha256:")
    assert reader.identifier(SPEC_PAYLOAD) == RELEASE["spec_digest"]


def test_policy_by_other_means():
    """From any policy of this version follows that of another spec and image, by the rule in the text."""
    image, spec = RELEASE["image"], StreamSpec.from_json(SPEC)
    ours = cce.render(
        group_for(spec, GuestImage(image["reference"], tuple(image["layers"]), bytes.fromhex(image["measurement"])))
    )
    template = (VECTORS / "cce" / "golden.rego").read_bytes()
    assert reader.policy_for(template, RELEASE["spec_digest"], SPEC["limits"], image) == ours
    kept = (VECTORS / "key-release" / "policy.rego").read_bytes()
    assert reader.policy_for(kept, RELEASE["spec_digest"], SPEC["limits"], image) == kept


@pytest.mark.parametrize("case", MESSAGES["messages"], ids=lambda case: case["use"])
def test_messages_by_other_means(case):
    """Keys on their way in, keys on their way out and results: one suite, and an info that says what for."""
    private, sealed, opened = (
        bytes.fromhex(case["private_key"]),
        *map(reader.unbase64, (case["sealed"], case["opened"])),
    )
    info = reader.lp(case["label"], *case["parts"])
    ours = {"publish": publish_info, "release": release_info, "result": result_info}[case["use"]](*case["parts"])
    assert info == ours == bytes.fromhex(case["info"])
    assert reader.unbase64(case["public_key"]) == public_key_by_hand(private) == HpkeKey(private).public_bytes
    assert open_by_hand(private, info, sealed) == HpkeKey(private).open(info, sealed) == opened
    assert case["label"] in text("key-release")
    with pytest.raises(InvalidTag):
        open_by_hand(private, info + b"\0", sealed)


def test_released_keys_open_the_asset():
    """From the answer of the authority to the values of the granted columns, with no line of this package."""
    private = bytes.fromhex(RELEASE["guest_private_key"])
    info = reader.lp("sls-jupyter/release/v1", RELEASE["spec_digest"], RELEASE["request"]["asset"])
    opened = reader.parse_canonical(open_by_hand(private, info, reader.unbase64(RELEASE["answer"]["sealed_keys"])))
    assert opened == RELEASE["opened"]
    keys, sealed = {name: reader.unbase64(key) for name, key in opened.items()}, Sealed("table")
    assert sealed.id == RELEASE["request"]["asset"]
    assert set(keys) == set(sealed.keys_for(*RELEASE["answer"]["columns"]))
    assert sealed.read(["age", "#1"], keys).column("age").to_pylist() == sealed.contents["columns"]["age"]
    with pytest.raises(KeyError):
        sealed.read(["admitted"], keys)


def test_logged_release_by_other_means():
    """The disclosed entry is the one that the log's checkpoint commits to, and means this release."""
    logged = RELEASE["answer"]["logged"]
    proof, entry = logged["proof"], json.loads(reader.unbase64(logged["proof"]["entry"]))
    meaning = reader.canonical(logged["meaning"])
    assert entry["kind"] == "key.released"
    assert entry["commitment"] == reader.identifier(
        reader.lp("sls-jupyter/entry/v1", reader.unbase64(logged["salt"]), meaning)
    )
    assert logged["meaning"]["spec"] == RELEASE["spec_digest"]
    assert verify_log_proof(LogProof.from_json(proof), expected_log=proof["log"]).kind == "key.released"
    assert proof["index"] == RELEASE["answer"]["entry"]


def test_result_by_other_means():
    """A recipient needs their key, the text and Arrow."""
    (case,) = (case for case in MESSAGES["messages"] if case["use"] == "result")
    packed, key = reader.unbase64(case["opened"]), HpkeKey(bytes.fromhex(case["private_key"]))
    index, *tables = reader.split_lp(packed)
    assert reader.parse_canonical(index) == MESSAGES["result"]["index"]
    assert len(reader.unbase64(json.loads(index)["salt"])) == 32
    assert reader.identifier(packed) == MESSAGES["result"]["digest"]
    named = zip(json.loads(index)["tables"], tables, strict=True)
    found = {about["name"]: pa.ipc.open_stream(data).read_all().to_pydict() for about, data in named}
    assert found == MESSAGES["result"]["tables"]
    ours = open_result(reader.unbase64(case["sealed"]), *case["parts"], key)
    assert {about["name"]: table.to_pydict() for about, table in ours.tables} == found


# --- what the documents say is so -----------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.md")), ids=lambda path: path.stem)
def test_examples_are_json(path):
    """Every example parses, and no specification is too long to be read."""
    blocks(path.stem)
    assert len(path.read_text().splitlines()) <= 150 or path.stem == "receipt"


def test_every_payload_type_is_named():
    """Whoever meets a document finds it in the list."""
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "sls_jupyter").rglob("*.py"))
    types = set(re.findall(r'"(application/vnd\.(?:sls|in-toto)[a-z0-9.+-]*)"', sources))
    assert len(types) > 10
    for name in types:
        assert f"`{name}`" in text("signed-documents"), name


@pytest.mark.parametrize("case", SIGNING["envelopes"], ids=lambda case: case["name"])
def test_the_documents_in_the_text_are_those_of_the_vectors(case):
    """A reader who works an example through arrives at the digests in the vectors, with every member there is."""
    example = EXAMPLES[case["name"]]
    assert reader.abbreviates(example, json.loads(reader.unbase64(json.loads(case["envelope"])["payload"])))
    assert set(example) == set(CLASSES[case["name"]].model_fields)
    if case["name"] == "Approval":
        assert reader.abbreviates(blocks("signed-documents")[0], json.loads(case["envelope"]))


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_the_examples_fit_the_golden_documents(name):
    """Members and types in the text are those of the documents that were signed once and keep their bytes."""
    for case in load(f"documents/{re.sub('(?<!^)(?=[A-Z])', '_', name).lower()}.json")["cases"]:
        assert reader.same_shape(EXAMPLES[name], json.loads(case["payload"])), case["name"]


def test_the_other_examples_are_those_of_the_vectors():
    """So are the claims of a token and the key metadata of a part."""
    assert reader.abbreviates(blocks("authority-calls")[-1], TOKENS["claims"])
    part = (VECTORS / "sealed-asset" / "table" / "part-00000.parquet").read_bytes()
    (block,) = re.findall(r"```json\n(.*PKMT1.*)\n", text("sealed-asset"))
    assert block.encode() in part


def test_every_call_exists(tmp_path):
    """Each path of the text is one of the authority's API or of a door."""
    world = World(tmp_path)
    api = create_app(world.authority).openapi()["paths"]
    known = {f"{method.upper()} {path}" for path, methods in api.items() for method in methods}
    door = Door("input", None, lambda body, caller: None)
    known |= {
        f"{method} {route.path.replace(':path', '')}" for route in door._routes() for method in route.methods or ()
    }
    calls = set(re.findall(r"`((?:GET|POST|PUT|DELETE) /[^`?]*)", text("key-release")))
    assert len(calls) > 10
    assert sorted(calls - known) == []
    world.close()


def test_the_release_in_the_text_is_the_one_of_the_vectors():
    """The examples of the release are one release."""
    challenge, request, answer, keys, problem, bundle = blocks("key-release")
    assert challenge == {"nonce": RELEASE["request"]["nonce"]}
    assert reader.abbreviates(request, RELEASE["request"])
    assert reader.abbreviates(answer, RELEASE["answer"])
    assert reader.abbreviates(keys, {name: RELEASE["opened"][name] for name in keys})
    refused = RELEASE["refused"]["answer"]
    assert reader.abbreviates(problem, refused | {"data": {"check": refused["data"]["check"]}})
    assert errors.from_problem(problem).detail == {"check": 4}
    assert reader.abbreviates(bundle, MESSAGES["result"]["index"])


def test_an_authority_of_today_answers_as_the_text_says(tmp_path):
    """The request in the text is understood, and the answer has the members of the one in the text."""
    world = World(tmp_path)
    sealed, spec = world.granted()
    attempt = world.attempt(sealed, spec).request
    body = {
        "spec": sign(spec, world.analyst).decode(),
        "asset": sealed.digest,
        "nonce": attempt.nonce.hex(),
        "hpke_public_key": reader.base64.b64encode(attempt.hpke_public_key).decode(),
        "evidence": attempt.evidence.decode(),
    }
    _, request, answer, *_ = blocks("key-release")
    assert list(body) == list(request)
    server = AuthorityServer(world.authority, listen(0))
    server.start()
    found = httpx.post(f"{server.url}/v1/release", json=body, trust_env=False).json()
    server.stop()
    world.close()
    assert reader.same_shape(answer, found)


def test_numbers_in_the_text():
    """A limit that changes in the code changes in the text."""
    for words in (
        f"older than {CHALLENGE_SECONDS} seconds",
        f"{MAX_OPEN_CHALLENGES} open for one spec",
        f"Bodies above {MAX_BODY_BYTES >> 20} MiB",
    ):
        assert words in text("key-release")
