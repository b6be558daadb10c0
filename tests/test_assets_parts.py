"""One encrypted part: every byte is covered, and no key is asked for that is not needed."""

import io
import subprocess
import sys
import textwrap

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from assets_kit import all_bytes, granted, reader, seal_at
from hypothesis import given, settings
from hypothesis import strategies as st

from sls_jupyter.assets import opening, part_read, part_write
from sls_jupyter.assets.part_keys import MasterKeys, decryption
from sls_jupyter.assets.part_read import opened_part, read_footer
from sls_jupyter.documents import digest
from sls_jupyter.errors import DigestMismatch, Unavailable, VerificationError

B = pa.list_(pa.string())
TABLE = pa.table({"a": [1, 2, 3], "b": [["x"], None, []], "c": pa.array(["u", "v", "u"]).dictionary_encode()})


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """A small asset and the bytes of its parts."""
    folder = tmp_path_factory.mktemp("sealed") / "a"
    asset = seal_at(folder, TABLE, rows_per_part=2)
    return asset, {part.name: (folder / part.name).read_bytes() for part in asset.manifest.parts}


def opened_with(sealed, changed):
    """Read the whole table from bytes in memory."""
    asset, data = sealed
    return reader(asset, open_part=lambda name: io.BytesIO((data | changed)[name])).read_all()


def test_untouched_parts_open(sealed):
    """The other tests of this file would mean nothing if the parts did not open at all."""
    assert opened_with(sealed, {}).equals(TABLE)


def test_every_flipped_byte_is_refused(sealed):
    """Whichever byte of whichever part is changed, reading ends in our error: no wrong value, no abort."""
    asset, parts_data = sealed
    for name in ("part-00000.parquet", "dictionary-00002.parquet"):
        columns = {"c": pa.string()} if name.startswith("dict") else {"a": pa.int64(), "b": B, "c": pa.int32()}
        for place in range(len(parts_data[name])):
            changed = bytearray(parts_data[name])
            changed[place] ^= 1 << (place % 8)
            with (
                pytest.raises(VerificationError),
                opened_part(io.BytesIO(changed), asset.manifest.part(name), MasterKeys(asset.keys)) as opened,
            ):
                list(opened.read(list(columns), list(columns.values())))


@settings(max_examples=150, deadline=None)
@given(choice=st.data())
def test_every_change_is_refused(sealed, choice):
    """Cut, grown, zeroed or overwritten: a part that is not the sealed one never opens."""
    name = choice.draw(st.sampled_from(sorted(sealed[1])))
    data = sealed[1][name]
    start = choice.draw(st.integers(0, len(data)))
    end = choice.draw(st.integers(start, len(data)))
    changed = data[:start] + choice.draw(st.binary(max_size=40)) + data[end:]
    if changed == data:
        return
    with pytest.raises(VerificationError):
        opened_with(sealed, {name: changed})


@pytest.mark.parametrize(
    "data", [b"", b"PARE", b"PAREPARE", b"PAR1" + b"\0" * 50 + b"PAR1", b"PARE" + b"\xff" * 4 + b"PARE"]
)
def test_no_parquet_file(sealed, data):
    """A file that is something else is refused before anything is parsed."""
    with pytest.raises(DigestMismatch):
        opened_with(sealed, {"part-00000.parquet": data})


def test_swapped_parts_are_refused(sealed, tmp_path):
    """Neither another part of the asset nor the same part of a twin asset passes for a part."""
    data = sealed[1]
    with pytest.raises(DigestMismatch):
        opened_with(sealed, {"part-00000.parquet": data["part-00001.parquet"]})
    seal_at(tmp_path / "twin", TABLE, rows_per_part=2)
    with pytest.raises(DigestMismatch):
        opened_with(sealed, {"part-00000.parquet": (tmp_path / "twin" / "part-00000.parquet").read_bytes()})


def test_bytes_between_pages_and_footer_are_refused(sealed):
    """Bytes that no page covers and no digest sees still change the size, and the size is signed."""
    data = sealed[1]["part-00000.parquet"]
    footer, size = read_footer(io.BytesIO(data), "x")
    grown = data[: size - len(footer)] + b"\0" * 64 + footer
    with pytest.raises(DigestMismatch, match="bytes"):
        opened_with(sealed, {"part-00000.parquet": grown})


def test_pages_of_a_twin_are_refused(sealed, tmp_path):
    """The right footer over another file's pages does not decrypt: pages carry the file's own AAD."""
    asset, data = sealed
    twin = seal_at(tmp_path / "twin", TABLE, rows_per_part=2)
    assert twin.digest != asset.digest
    ours, theirs = data["part-00000.parquet"], (tmp_path / "twin" / "part-00000.parquet").read_bytes()
    footer, size = read_footer(io.BytesIO(ours), "x")
    mixed = theirs[: size - len(footer)] + footer
    with pytest.raises(VerificationError):
        opened_with(sealed, {"part-00000.parquet": mixed})


def test_the_footer_is_pinned(sealed):
    """Storage that shows another footer on a second read changes nothing: what was verified is what is used."""
    asset, data = sealed
    part = asset.manifest.parts[0]

    class Fickle(io.BytesIO):
        reads = 0

        def _spoil(self):
            self.reads += 1
            if self.reads == 4:  # magic, tail and footer were read and verified
                self.getbuffer()[-200:] = b"\0" * 200

        def read(self, size=-1):
            self._spoil()
            return super().read(size)

        def readinto(self, buffer):
            self._spoil()
            return super().readinto(buffer)

    with opened_part(Fickle(data[part.name]), part, MasterKeys(asset.keys)) as opened:
        assert [table.num_rows for table in opened.read(["a"], [pa.int64()])] == [2]


def test_footer_digest_is_the_documented_one(sealed):
    """A stranger can compute the digest from the docstring of Part alone."""
    asset, data = sealed
    for part in asset.manifest.parts:
        raw = data[part.name]
        assert digest(raw[-int.from_bytes(raw[-8:-4], "little") - 8 :]) == part.footer
        assert len(raw) == part.size


def test_only_granted_keys_are_asked_for(sealed):
    """Reading one column never asks for the key of another, even when it is there."""
    asset, data = sealed
    part, keys = asset.manifest.parts[0], MasterKeys(asset.keys)
    with opened_part(io.BytesIO(data[part.name]), part, keys) as opened:
        list(opened.read(["b"], [pa.list_(pa.string())]))
    assert set(keys.asked) == set(granted(asset, "b"))


def test_only_granted_bytes_are_fetched(tmp_path):
    """A narrow grant on a wide table does not read the whole part from storage."""
    asset = seal_at(tmp_path / "a", pa.table({"wide": [str(i) * 9 for i in range(20000)], "n": [1] * 20000}))
    fetched = []

    class Counting(io.BytesIO):
        def readinto(self, buffer):
            fetched.append(len(buffer))
            return super().readinto(buffer)

    data = (tmp_path / "a" / "part-00000.parquet").read_bytes()
    reader(asset, ["n"], open_part=lambda _: Counting(data)).read_all()
    assert sum(fetched) < len(data) / 20


def test_a_column_without_its_key_stays_closed(sealed):
    """Without its key a column is refused in words; pyarrow alone would end the process."""
    asset, data = sealed
    part = asset.manifest.parts[0]
    keys = MasterKeys(granted(asset, "a"))
    with (
        opened_part(io.BytesIO(data[part.name]), part, keys) as opened,
        pytest.raises(VerificationError, match="not released"),
    ):
        list(opened.read(["b"], [pa.list_(pa.string())]))


@pytest.mark.parametrize("bad", [b"", b"short", b"\0" * 32])
def test_wrong_keys(sealed, bad):
    """Another key, or one of the wrong size, opens nothing and says so."""
    asset, data = sealed
    for key_id in asset.keys:
        with pytest.raises(VerificationError):
            reader(asset, keys={**asset.keys, key_id: bad}, open_part=lambda name: io.BytesIO(data[name])).read_all()


def test_failing_storage_is_not_called_tampering(sealed):
    """A broken connection is news about storage, not about the asset."""
    asset, data = sealed

    class Broken(io.BytesIO):
        def readinto(self, _):
            raise ConnectionResetError("canary")

    with pytest.raises(Unavailable):
        reader(asset, open_part=lambda name: Broken(data[name])).read_all()


def test_a_column_that_was_left_in_plaintext_fails_the_seal(tmp_path, monkeypatch):
    """If the library ever wrote a column unencrypted, the seal ends and nothing is published."""
    real = part_write.encryption
    monkeypatch.setattr(part_write, "encryption", lambda k, f, columns: real(k, f, dict(list(columns.items())[1:])))
    with pytest.raises(VerificationError, match="nothing was published"):
        seal_at(tmp_path / "a", pa.table({"x": [1], "y": [2]}))
    assert not (tmp_path / "a").exists()


def test_a_column_under_another_key_fails_the_seal(tmp_path, monkeypatch):
    """If two columns' keys were mixed up, the seal ends and nothing is published."""
    real = part_write.encryption

    def swapped(keys, footer, columns):
        return real(keys, footer, dict(zip(columns, reversed(columns.values()), strict=True)))

    monkeypatch.setattr(part_write, "encryption", swapped)
    with pytest.raises(VerificationError):
        seal_at(tmp_path / "a", pa.table({"x": [1], "y": [2]}))


def test_values_names_and_statistics_are_sealed(tmp_path):
    """Nothing of the data is readable in the folder; of a confidential table not even its columns' names."""
    table = pa.table({"canary_name": ["canary-value"] * 9, "k": pa.array(["canary-kind"] * 9).dictionary_encode()})
    seal_at(tmp_path / "a", table)
    assert b"canary-" not in all_bytes(tmp_path)
    asset = seal_at(tmp_path / "b", table, confidential=True)
    assert b"canary" not in all_bytes(tmp_path / "b")
    assert reader(asset).read_all().equals(table)
    assert "canary" not in repr(asset)


def test_it_is_standard_parquet(sealed, tmp_path):
    """Any engine that knows Parquet Modular Encryption reads a part with the master keys."""
    asset, data = sealed
    properties = decryption(MasterKeys(asset.keys))
    file = pq.ParquetFile(pa.BufferReader(data["part-00000.parquet"]), decryption_properties=properties)
    assert file.read(columns=["a"]).column(0).to_pylist() == [1, 2]


def test_keys_are_not_in_the_parts(sealed):
    """The parts hold wrapped data keys only, and no repr shows a key."""
    asset, data = sealed
    for key in asset.keys.values():
        assert all(key not in part and key.hex().encode() not in part for part in data.values())
        assert key.hex() not in repr(asset)
        assert repr(key)[2:-1] not in repr(asset)


def test_the_process_survives(tmp_path):
    """Reading granted columns, refusing others and leaving a stream unread does not abort the interpreter."""
    code = """
        import sys
        sys.path.insert(0, sys.argv[1])
        import pyarrow as pa
        from assets_kit import granted, reader, seal_at
        asset = seal_at(sys.argv[2], pa.table({"a": list(range(999)), "b": ["x"] * 999}), rows_per_part=100)
        keys = granted(asset, "a")
        assert reader(asset, ["a"], keys).read_all().num_rows == 999
        try:
            reader(asset, ["a", "b"], keys)
        except Exception as error:
            assert "no key for b" in str(error), error
        unread = reader(asset, ["a"], keys)
        unread.read_next_batch(), unread.read_next_batch()
    """
    tests = str(__import__("pathlib").Path(__file__).parent)
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), tests, str(tmp_path / "a")], capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("private", [0, 1 << 30])
@pytest.mark.parametrize("wanted", [["c0"], ["c0", "c1", "c2"], ["c0", "c2", "c3", "c6"], [f"c{i}" for i in range(7)]])
def test_neighbours_and_gaps_among_columns(tmp_path, monkeypatch, private, wanted):
    """Whichever columns are granted, and in whatever memory a part is held, the same values come back."""
    monkeypatch.setattr(part_read, "PRIVATE_BYTES", private)
    kinds = [
        list(range(6)),
        ["x", None] * 3,
        [[1], []] * 3,
        [{"a": 1, "b": "y"}] * 6,
        [0.5] * 6,
        [b"z"] * 6,
        [None] * 6,
    ]
    table = pa.table({f"c{i}": values for i, values in enumerate(kinds)})
    asset = seal_at(tmp_path / "a", table, rows_per_part=4)
    assert reader(asset, wanted).read_all().equals(table.select(wanted))


@pytest.fixture
def numbers(tmp_path, monkeypatch):
    """One part of ten columns of numbers, of which each row group comes in several batches."""
    monkeypatch.setattr(opening, "_FEW_BYTES", 0)
    monkeypatch.setattr(part_read, "BATCH_BITS", 0)
    monkeypatch.setattr(part_read, "BATCH_ROWS", 700)
    table = pa.table({f"c{i}": pa.array(range(i, i + 9000), mask=None if i % 2 else mask(i)) for i in range(10)})
    return table, seal_at(tmp_path / "a", table), tmp_path / "a" / "part-00000.parquet"


def mask(start):
    return np.arange(9000) % 7 == start % 7


@pytest.mark.parametrize("wanted", [None, ["c0", "c2", "c3", "c4", "c5", "c6", "c8", "c9"]])
def test_columns_that_are_read_side_by_side(numbers, wanted):
    """Two threads read the columns of one part; the table is the one that was sealed, in its order."""
    table, asset, _ = numbers
    assert reader(asset, wanted).read_all().equals(table.select(wanted or table.column_names))


def test_a_change_in_what_is_read_side_by_side_is_refused(numbers):
    """An error in either thread is ours, and the reading ends."""
    _, asset, path = numbers
    data = path.read_bytes()
    for place in (len(data) // 20, len(data) // 2, len(data) * 9 // 10):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises((DigestMismatch, VerificationError)):
            reader(asset, open_part=lambda _, changed=changed: io.BytesIO(bytes(changed))).read_all()
    short = OSError("gone")

    class Failing(io.BytesIO):
        def readinto(self, buffer):
            raise short

    with pytest.raises(Unavailable):
        reader(asset, open_part=lambda _: Failing(data)).read_all()
