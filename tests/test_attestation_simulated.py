"""The simulated processor: a stable chip per machine, private keys, and no way to look like hardware."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from forge import HOST_DATA, MEASUREMENT, NOW, REPORT_DATA, reference

from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.attestation.appraise import appraise
from sls_jupyter.attestation.certificates import Certificate
from sls_jupyter.attestation.claims import Evidence
from sls_jupyter.attestation.device.simulated import DevelopmentChain, SimulatedProcessor
from sls_jupyter.attestation.verify import verify
from sls_jupyter.errors import BadInput, Unavailable

FILE = "development-chain.json"


def test_whole_way(tmp_path: Path) -> None:
    """From the processor over the wire to an accepted result that says SIMULATED."""
    chain = DevelopmentChain.load_or_create(tmp_path / "tee")
    evidence = SimulatedProcessor(chain).evidence(REPORT_DATA, host_data=HOST_DATA, measurement=MEASUREMENT)
    anchors = TrustAnchors(simulated_ark_spki=frozenset({chain.root_pin}))
    result = appraise(verify(Evidence.parse(evidence.encode()), anchors, now=NOW), reference())
    assert result.claims.simulated
    assert result.claims.chip_id == chain.chip_id.hex()
    assert result.claims.init_data == HOST_DATA.hex()


@pytest.mark.parametrize("product", ["Milan", "Turin"])
def test_other_products(product: str) -> None:
    """A simulated machine of another generation verifies like the real one would."""
    chain = DevelopmentChain.generate(product=product)
    evidence = SimulatedProcessor(chain).evidence(REPORT_DATA, host_data=HOST_DATA, measurement=MEASUREMENT)
    anchors = TrustAnchors(simulated_ark_spki=frozenset({chain.root_pin}))
    assert verify(evidence, anchors, now=NOW).claims.product == product


def test_same_machine_same_chip(tmp_path: Path) -> None:
    """A restart keeps the chip, so roots that were trusted stay trusted."""
    first, second = (DevelopmentChain.load_or_create(tmp_path) for _ in range(2))
    assert (first.root_pin, first.chip_id) == (second.root_pin, second.chip_id)


def test_machines_differ(tmp_path: Path) -> None:
    """Each machine has a root of its own; there is no key that everybody knows."""
    one, other = (DevelopmentChain.load_or_create(tmp_path / name) for name in "ab")
    assert one.root_pin != other.root_pin
    assert one.chip_id != other.chip_id


def test_two_starts_at_once_agree(tmp_path: Path) -> None:
    """Processes that start together end up with one chip."""
    pins: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: pins.append(DevelopmentChain.load_or_create(tmp_path).root_pin))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pins) == 4
    assert len(set(pins)) == 1
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_keys_are_private(tmp_path: Path) -> None:
    """Other users of the machine cannot read the chip's key, and one that they could read is refused."""
    DevelopmentChain.load_or_create(tmp_path)
    path = tmp_path / FILE
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(Unavailable, match="chmod 600"):
        DevelopmentChain.load_or_create(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff", b"[1]"])
def test_damaged_file(tmp_path: Path, damage: bytes) -> None:
    """A damaged file is named and never silently replaced by another chip."""
    DevelopmentChain.load_or_create(tmp_path)
    (tmp_path / FILE).write_bytes(damage)
    with pytest.raises(Unavailable, match=r"damaged(.|\n)*Delete"):
        DevelopmentChain.load_or_create(tmp_path)


def test_key_of_another_chip(tmp_path: Path) -> None:
    """A key that is not the certificate's is found when it is loaded and not at the first refusal."""
    one, other = DevelopmentChain.generate(), DevelopmentChain.generate()
    path = tmp_path / FILE
    path.write_bytes(DevelopmentChain(one.vcek_key, other.endorsements)._stored())
    path.chmod(0o600)
    with pytest.raises(Unavailable, match="damaged"):
        DevelopmentChain.load_or_create(tmp_path)


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file in the folder's place is an error with the way out."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable, match="SLS_HOME"):
        DevelopmentChain.load_or_create(tmp_path / "file")


def test_every_certificate_says_simulated() -> None:
    """No human mistakes the certificates for AMD's."""
    names = [Certificate.parse(der).common_name for der in DevelopmentChain.generate().endorsements]
    assert names == ["SIMULATED-SEV-VCEK", "SIMULATED-SEV-Genoa", "SIMULATED-ARK-Genoa"]


def test_no_key_in_a_repr() -> None:
    """A chain that ends up in a log does not take its key along."""
    assert "key" not in repr(DevelopmentChain.generate())


@pytest.mark.parametrize("name", ["report_data", "host_data", "measurement"])
def test_wrong_lengths(name: str) -> None:
    """The processor signs values of the right size only; it never pads."""
    values = {"report_data": REPORT_DATA, "host_data": HOST_DATA, "measurement": MEASUREMENT}
    values[name] += b"\0"
    with pytest.raises(BadInput, match="bytes"):
        SimulatedProcessor(DevelopmentChain.generate()).evidence(**values)
