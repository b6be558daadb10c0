"""Kept events: only their persona reads them, a torn end is no harm, and a changed byte is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sls_jupyter.documents import b64decode
from sls_jupyter.errors import MalformedDocument, SlsError, VerificationError
from sls_jupyter.hpke import HpkeKey
from sls_jupyter.identity import Identity, SigningKey
from sls_jupyter.session.kept_events import MAGIC, KeptEvents, KeptReader

ME = Identity("me", SigningKey.generate(), HpkeKey.generate())
SPEC = "sha256:" + "ab" * 32
EVENTS = [{"type": "stream", "text": f"canary {number}"} for number in range(4)] + [{"type": "ended", "state": "done"}]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    kept = KeptEvents(tmp_path / "events.sealed", SPEC, ME)
    for number, event in enumerate(EVENTS):
        kept.append(number, event)
    return tmp_path / "events.sealed"


def read(path: Path, spec: str = SPEC, persona: Identity = ME) -> list[dict[str, Any]]:
    return list(KeptReader(path, spec, persona).read())


def test_what_was_kept_comes_back_and_is_not_to_be_seen(path: Path) -> None:
    """A late kernel sees all of it, a disk thief none."""
    assert read(path) == EVENTS
    assert b"canary" not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0


def test_the_file_of_the_specification_is_read(tmp_path: Path) -> None:
    """What an earlier build kept is read by every later one, and by a stranger's reader."""
    vector = json.loads((Path(__file__).parent / "vectors" / "kept-events" / "run.json").read_text())
    signing = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vector["ed25519"])))
    persona = Identity("vector", signing, HpkeKey(bytes.fromhex(vector["x_wing"])))
    (tmp_path / "events.sealed").write_bytes(b64decode(vector["file"]))
    assert read(tmp_path / "events.sealed", vector["spec"], persona) == vector["events"]


def test_a_torn_end_is_left_away(path: Path) -> None:
    """Whoever wrote was killed in the middle of an event: those before it are there."""
    data, counts = path.read_bytes(), set()
    for size in range(len(MAGIC), len(data)):
        path.write_bytes(data[:size])
        found = read(path)
        assert found == EVENTS[: len(found)]
        counts.add(len(found))
    assert counts == set(range(len(EVENTS)))


def test_a_changed_byte_is_refused(path: Path) -> None:
    """What is shown again is what was shown, or nothing."""
    data = path.read_bytes()
    for place in [*range(0, len(data), 37), len(data) - 1]:
        changed = bytearray(data)
        changed[place] ^= 1
        path.write_bytes(bytes(changed))
        try:
            found = read(path)
        except SlsError:
            continue
        assert found == EVENTS[: len(found)]  # a length that grew makes a torn end
        assert len(found) < len(EVENTS)


def test_events_are_not_left_out_or_put_in_another_order(path: Path) -> None:
    """Each is bound to its number."""
    data, cut = path.read_bytes(), len(MAGIC)
    records = []
    while cut < len(data):
        length = 5 + int.from_bytes(data[cut + 1 : cut + 5], "big")
        records.append(data[cut : cut + length])
        cut += length
    for order in ([0, 2], [0, 2, 1], [0, 1, 1], [1]):
        path.write_bytes(MAGIC + b"".join(records[one] for one in order))
        with pytest.raises((VerificationError, MalformedDocument)):
            read(path)


def test_another_run_or_persona_is_refused(path: Path) -> None:
    """A file that was put in another's place shows nothing; nor does one that somebody else sealed to this persona."""
    with pytest.raises(VerificationError):
        read(path, spec="sha256:" + "cd" * 32)
    with pytest.raises(VerificationError):
        read(path, persona=Identity("other", ME.signing, HpkeKey.generate()))
    forged = KeptEvents(path, SPEC, Identity("forger", SigningKey.generate(), ME.hpke))
    forged.append(0, {"type": "stream", "text": "forged"})
    with pytest.raises(VerificationError):
        read(path)


def test_a_reader_goes_on_where_it_was(tmp_path: Path) -> None:
    """A run of another process is followed by its file."""
    kept, reader = KeptEvents(tmp_path / "e", SPEC, ME), KeptReader(tmp_path / "e", SPEC, ME)
    for number, event in enumerate(EVENTS):
        assert list(reader.read()) == []
        kept.append(number, event)
        assert list(reader.read()) == [event]


def test_a_file_is_taken_up_with_a_key_of_its_own(path: Path) -> None:
    """A run that waited goes on in another process; no number is used twice with one key."""
    data = path.read_bytes()
    path.write_bytes(data[:-3])
    reader = KeptReader(path, SPEC, ME)
    before = list(reader.read())
    again = KeptEvents(path, SPEC, ME, start=len(before), size=reader.size)
    more = [{"type": "status"}, {"type": "ended"}]
    for number, event in enumerate(more, start=len(before)):
        again.append(number, event)
    assert read(path) == [*before, *more]
    assert len(before) == len(EVENTS) - 1


def test_a_full_disk_ends_the_keeping_and_not_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is kept is a beginning without a gap."""
    kept, left = KeptEvents(tmp_path / "e", SPEC, ME), [2]
    real = __import__("os").write

    def write(file: int, data: bytes) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return real(file, data)

    monkeypatch.setattr("os.write", write)
    for number, event in enumerate(EVENTS):
        kept.append(number, event)
    monkeypatch.undo()
    assert kept.failed
    assert read(tmp_path / "e") == EVENTS[:2]
