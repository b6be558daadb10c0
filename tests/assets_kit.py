"""Builders for the tests of the room ``assets``: an owner, a quick seal, a look at every byte."""

from pathlib import Path

from sls_jupyter.assets.opening import local_parts, open_table, to_pandas
from sls_jupyter.assets.sealing import SealedAsset, seal, seal_code
from sls_jupyter.identity import SigningKey

OWNER = SigningKey.generate()
POLICY = "sha256:" + "5" * 64
TERMS = {
    "name": "patients",
    "owner": OWNER,
    "authority": OWNER.did,
    "authority_url": "http://127.0.0.1:8321",
    "policy": POLICY,
    "created_at": 1_700_000_000,
}


def seal_at(folder: Path, data, **options) -> SealedAsset:
    return seal(data, **(TERMS | {"storage": str(folder)} | options))


def seal_code_at(folder: Path, files, **options) -> SealedAsset:
    return seal_code(files, **(TERMS | {"storage": str(folder)} | options))


def reader(asset: SealedAsset, columns=None, keys=None, open_part=None):
    opener = open_part or local_parts(asset.manifest)
    return open_table(asset.manifest, asset.keys if keys is None else keys, columns=columns, open_part=opener)


def frame(asset: SealedAsset, columns=None):
    return to_pandas(reader(asset, columns))


def granted(asset: SealedAsset, *columns: str) -> dict[str, bytes]:
    """The keys that an authority releases for these columns."""
    return {key_id: asset.keys[key_id] for key_id in asset.manifest.key_ids_for(columns)}


def all_bytes(folder: Path) -> bytes:
    """Every byte below a folder, names included."""
    return b"\n".join(str(path).encode() + path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
