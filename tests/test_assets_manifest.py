"""The asset manifest: bytes that never change, groups that decide which keys leave."""

import base64
import json
from pathlib import Path

import pyarrow as pa
import pytest
from assets_kit import OWNER, seal_at

from sls_jupyter.assets.manifest import AssetManifest, read_schema
from sls_jupyter.assets.opening import verify_manifest
from sls_jupyter.documents import digest, sign
from sls_jupyter.errors import DigestMismatch, MalformedDocument, SignatureInvalid, UnknownName
from sls_jupyter.identity import SigningKey

GOLDEN = Path(__file__).parent / "vectors" / "documents" / "asset_manifest.json"
CASES = json.loads(GOLDEN.read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_golden_bytes(case):
    """A manifest that was signed once keeps its bytes, and the asset its identifier, in every later version."""
    manifest = AssetManifest.from_json(json.loads(case["payload"]))
    assert manifest.payload().decode() == case["payload"]
    assert manifest.digest == case["digest"] == digest(case["payload"].encode())
    assert AssetManifest.parse(case["payload"].encode()) == manifest


def table() -> dict:
    return json.loads(next(case["payload"] for case in CASES if case["name"] == "table"))


def test_keys_follow_the_columns():
    """A grant of one column releases the footer's key and that column's group, and no other."""
    manifest = AssetManifest.from_json(table())
    assert manifest.columns == ("name", "birthday", "age")
    assert [group.name for group in manifest.groups_for(["birthday"])] == ["identity"]
    assert manifest.key_ids_for(["age"]) == (manifest.footer_key_id, "1" * 32)
    assert manifest.key_ids_for([]) == (manifest.footer_key_id,)
    assert len(manifest.key_ids_for(None)) == 3


def test_unknown_column_is_named():
    """A misspelt column is an error that lists the right ones, not an empty grant."""
    with pytest.raises(UnknownName, match="'agee'") as caught:
        AssetManifest.from_json(table()).key_ids_for(["age", "agee"])
    assert "name, birthday, age" in str(caught.value)


def test_confidential_schema_is_granted_whole():
    """Where nobody may know the columns, every grant is a grant of the whole table."""
    manifest = AssetManifest.from_json(json.loads(CASES[1]["payload"]))
    assert manifest.columns == ()
    assert manifest.groups_for(["whatever"]) == manifest.groups


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 4},
        {"confidential": True},
        {"arrow_schema": None},
        {"arrow_schema": "####"},
        {"kind": "files"},
        {"surprise": 1},
        {"footer_key_id": "1" * 32},
        {"groups": [{"name": "b", "key_id": "1" * 32, "columns": []}, {"name": "a", "key_id": "2" * 32, "columns": []}]},
        {"groups": [{"name": "a", "key_id": "1" * 32, "columns": ["x"]}, {"name": "b", "key_id": "2" * 32, "columns": ["x"]}]},
        {"groups": [{"name": "a", "key_id": "1" * 32, "columns": ["y", "x"]}]},
        {"parts": [{"name": "../part-00000.parquet", "size": 99, "rows": 3, "footer": "sha256:" + "0" * 64}]},
        {"parts": [{"name": "part-00001.parquet", "size": 99, "rows": 3, "footer": "sha256:" + "0" * 64}]},
        {"parts": [{"name": "part-00000.parquet\n", "size": 99, "rows": 3, "footer": "sha256:" + "0" * 64}]},
    ],
)  # fmt: skip
def test_inconsistent_manifest_is_refused(change):
    """A manifest that contradicts itself, or that leads out of its folder, is not a manifest."""
    with pytest.raises(MalformedDocument):
        AssetManifest.from_json(table() | change)


@pytest.mark.parametrize("data", [b"", b"no schema", pa.schema([("a", pa.int8()), ("a", pa.int8())]).serialize()])
def test_schema_from_a_stranger(data):
    """Bytes that are no schema end in our error, not in one of Arrow's."""
    with pytest.raises(MalformedDocument):
        read_schema(bytes(data))
    with pytest.raises(MalformedDocument):
        _ = AssetManifest.from_json(table() | {"arrow_schema": base64.b64encode(bytes(data)).decode()}).columns


def test_verify_manifest_wants_the_owner_and_the_asset(tmp_path):
    """Neither somebody else's signature nor another asset of the same owner passes."""
    asset = seal_at(tmp_path / "a", pa.table({"x": [1]}))
    assert verify_manifest(asset.envelope, asset.digest) == asset.manifest
    assert verify_manifest(asset.envelope, None) == asset.manifest
    with pytest.raises(SignatureInvalid):
        verify_manifest(sign(asset.manifest, SigningKey.generate()), None)
    with pytest.raises(DigestMismatch):
        verify_manifest(asset.envelope, "sha256:" + "0" * 64)
    assert asset.manifest.owner == OWNER.did
