"""Sealing to Azure Blob Storage, tried on Azurite: whole or not at all, never over anything, the account in the manifest."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pytest
from assets_kit import reader, seal_at, seal_code_at
from azurite_kit import ACCOUNT, KEY, Azurite, azurite, needs_azurite

from sls_jupyter.assets.opening import local_parts, open_code
from sls_jupyter.assets.sealing import remove
from sls_jupyter.assets.storage import CLAIM, Folder
from sls_jupyter.authority.publishing import FolderSink
from sls_jupyter.errors import BadInput, SlsError, Unavailable, VerificationError

__all__ = ["azurite"]
pytestmark = needs_azurite
SMALL = pa.table({"x": [1, 2, 3], "kind": pa.array(["a", "b", "a"]).dictionary_encode()})


@pytest.fixture
def place(azurite: Azurite) -> str:
    """A folder in a new container, as a user may write it: the account is the environment's."""
    return f"az://{azurite.container()}/some/asset"


def split(url: str) -> tuple[str, str]:
    container, _, path = url.removeprefix("az://").partition("/")
    return container.partition("@")[0], path


def test_an_asset_says_whose_its_container_is(azurite: Azurite, place: str) -> None:
    """A reader elsewhere has only the manifest: without the account it names nobody's container."""
    asset = seal_at(place, SMALL)
    container, path = split(place)
    assert asset.manifest.storage == f"az://{container}@{ACCOUNT}.blob.localhost/{path}"
    assert reader(asset).read_all().equals(SMALL)
    assert reader(asset, ["x"]).read_all().column_names == ["x"]
    assert Folder(asset.manifest.storage).read_manifest() == asset.envelope
    assert CLAIM not in "".join(azurite.names(container))


def test_the_emulators_name_is_taken_as_it_is_written(place: str) -> None:
    """What a manifest says can be typed again: abfs and az name the same bytes."""
    asset = seal_at(place, SMALL)
    assert Folder(asset.manifest.storage.replace("az://", "abfs://")).read_manifest() == asset.envelope
    assert Folder(asset.manifest.storage.replace("az://", "abfs://")).url.startswith("abfs://")


def test_code_lies_there_too(place: str) -> None:
    """One format, one store."""
    asset = seal_code_at(place, {"a.py": b"1", "empty.py": b""})
    assert open_code(asset.manifest, asset.keys, open_part=local_parts(asset.manifest)) == {
        "a.py": b"1",
        "empty.py": b"",
    }


def test_a_table_without_columns_is_its_manifest(azurite: Azurite, place: str) -> None:
    """Rows and no values: nothing but the manifest is there, and it is not written over either."""
    asset = seal_at(place, pa.table({"x": [1, 2]}).select([]))
    assert azurite.names(split(place)[0]) == ["some/asset/manifest.json"]
    assert reader(asset).read_all().num_columns == 0
    with pytest.raises(BadInput, match="something at the place"):
        seal_at(place, SMALL)


def test_a_table_of_several_blocks_and_parts(place: str) -> None:
    """What is larger than one request is whole all the same."""
    table = pa.table({"x": pa.array(range(200_000)), "y": pa.array([i * 0.5 for i in range(200_000)])})
    asset = seal_at(place, table, rows_per_part=70_000)
    assert len(asset.manifest.parts) == 3
    assert reader(asset).read_all().equals(table)


def test_nothing_is_written_over(azurite: Azurite, place: str) -> None:
    """A second seal to a place leaves the first one as it is."""
    asset = seal_at(place, SMALL)
    before = azurite.names(split(place)[0])
    with pytest.raises(BadInput, match="something at the place"):
        seal_at(place, pa.table({"x": [9]}))
    assert azurite.names(split(place)[0]) == before
    assert reader(asset).read_all().equals(SMALL)


@pytest.mark.parametrize("there", ["some/asset", "some/asset/diary.txt", "some/asset/deep/er.txt"])
def test_what_others_put_there_stays(azurite: Azurite, place: str, there: str) -> None:
    """An asset's folder is its own."""
    azurite.blob(split(place)[0], there, b"mine")
    with pytest.raises(BadInput, match="something at the place"):
        seal_at(place, SMALL)
    assert azurite.names(split(place)[0]) == [there]


def test_of_sealers_at_one_place_one_wins_and_the_others_change_nothing(azurite: Azurite, place: str) -> None:
    """Two notebooks that seal to one place at one moment: one asset is there, whole, and the other owner is told."""
    container, path = split(place)
    for attempt in range(4):
        target, tables = f"{place}-{attempt}", [pa.table({"x": [number] * 3000}) for number in range(4)]
        start = threading.Barrier(len(tables))

        def one(table: pa.Table, start: threading.Barrier = start, target: str = target) -> Any:
            start.wait(30)
            try:
                return seal_at(target, table, rows_per_part=1000)
            except SlsError as error:
                return error

        with ThreadPoolExecutor(len(tables)) as pool:
            ended = list(pool.map(one, tables))
        lost = [each for each in ended if isinstance(each, SlsError)]
        assert all(isinstance(each, BadInput) for each in lost), lost
        won = [(each, table) for each, table in zip(ended, tables, strict=True) if not isinstance(each, SlsError)]
        assert len(won) == 1
        assert reader(won[0][0]).read_all().equals(won[0][1])
        names = [name.removeprefix(f"{path}-{attempt}/") for name in azurite.names(container) if f"-{attempt}/" in name]
        assert names == ["manifest.json", *(part.name for part in won[0][0].manifest.parts)]


def test_who_comes_while_somebody_seals_is_refused(azurite: Azurite, place: str) -> None:
    """The place is taken from the first moment, not from the first part on, which may take an hour."""

    def batches() -> Any:
        yield SMALL.select(["x"]).to_batches()[0]
        with pytest.raises(BadInput, match="something at the place"):
            seal_at(place, SMALL)
        yield SMALL.select(["x"]).to_batches()[0]

    source = pa.RecordBatchReader.from_batches(SMALL.select(["x"]).schema, batches())
    assert reader(seal_at(place, source)).read_all().num_rows == 6


def test_a_seal_that_is_late_keeps_off_what_was_sealed_meanwhile(
    azurite: Azurite, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sealer that looked before the other one began, and claims when that one is done: its lock is free again."""
    look, asset = Folder._is_there, None

    def late(folder: Folder) -> bool:
        nonlocal asset
        found = look(folder)
        monkeypatch.setattr(Folder, "_is_there", look)
        asset = seal_at(place, SMALL)
        return found

    monkeypatch.setattr(Folder, "_is_there", late)
    with pytest.raises(BadInput, match="something at the place"):
        seal_at(place, pa.table({"x": [9]}))
    assert asset is not None
    assert reader(asset).read_all().equals(SMALL)
    assert f"{split(place)[1]}/{CLAIM}" not in azurite.names(split(place)[0])


def test_a_seal_that_fails_leaves_nothing(azurite: Azurite, place: str) -> None:
    """Data that ends with an error is no asset, and the place is free again."""

    def batches() -> Any:
        yield SMALL.select(["x"]).to_batches()[0]
        raise ValueError("the database went away")

    source = pa.RecordBatchReader.from_batches(SMALL.select(["x"]).schema, batches())
    with pytest.raises(Exception, match="the database went away"):
        seal_at(place, source)
    assert azurite.names(split(place)[0]) == []
    seal_at(place, SMALL)


def test_a_flipped_byte_is_refused(azurite: Azurite, place: str) -> None:
    """Who operates the storage can lose an asset, not change it."""
    asset = seal_at(place, SMALL)
    container, path = split(place)
    data = bytearray(azurite.blob(container, f"{path}/part-00000.parquet"))
    data[len(data) // 3] ^= 1
    azurite.blob(container, f"{path}/part-00000.parquet", bytes(data))
    with pytest.raises(VerificationError):
        reader(asset).read_all()


def test_remove_spares_other_blobs(azurite: Azurite, place: str) -> None:
    """Removing an asset deletes its own blobs only, never the container, and can be repeated."""
    asset = seal_at(place, SMALL)
    container, path = split(place)
    azurite.blob(container, f"{path}/diary.txt", b"mine")
    azurite.blob(container, f"{path}-2/part-00000.parquet", b"another's")
    for _ in range(2):
        remove(asset.manifest)
    assert azurite.names(container) == [f"{path}-2/part-00000.parquet", f"{path}/diary.txt"]
    with pytest.raises(Unavailable):
        reader(asset).read_all()


def test_a_container_that_is_not_there_is_not_made(azurite: Azurite) -> None:
    """A slip of the pen makes no container; the error says what is missing, and no key."""
    with pytest.raises(Unavailable) as raised:
        seal_at("az://not-there-at-all/x", SMALL)
    assert "ContainerNotFound" in str(raised.value)
    assert KEY not in str(raised.value) + raised.value.hint
    with pytest.raises(Unavailable):
        Folder("az://not-there-at-all/x").read_manifest()


def test_a_key_that_is_refused_is_not_shown(azurite: Azurite, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong key is told as 403, without the request that it signed."""
    wrong = "A" * 86 + "=="
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.connection.replace(KEY, wrong))
    with pytest.raises(Unavailable) as raised:
        seal_at(place, SMALL)
    shown = f"{raised.value} {raised.value.found} {raised.value.hint} {raised.value.detail}"
    assert "403" in shown
    assert wrong not in shown
    assert "Signature" not in shown


def test_a_log_is_published_there(azurite: Azurite, place: str) -> None:
    """The copy of a log names its account too, and what is not there is told from what cannot be read."""
    sink = FolderSink(place)
    assert sink.get("checkpoint") is None
    sink["tile/0/000"] = b"x"
    sink["tile/0/000"] = b"y"
    assert sink.get("tile/0/000") == b"y"
    assert f"@{ACCOUNT}.blob.localhost/" in sink.url
    with pytest.raises(Unavailable, match="Azure Blob Storage cannot be used"):
        FolderSink("az://not-there-at-all/x")["checkpoint"] = b"x"
