"""The SEV-SNP report: one encoding of each report, and only our own errors."""

from __future__ import annotations

from dataclasses import replace

import pytest
from forge import Forge
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.attestation.amd import report as snp
from sls_jupyter.attestation.amd.verify import require_report
from sls_jupyter.attestation.claims import ChecksFailed
from sls_jupyter.errors import BadInput, MalformedDocument

GOOD = Forge().report()


def numbers(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1)


def blob(length: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=length, max_size=length)


reports = st.builds(
    snp.Report,
    version=st.sampled_from([3, 4]),
    guest_svn=numbers(32),
    policy=numbers(26).map(lambda bits: bits | snp.POLICY_MUST_BE_ONE),
    family_id=blob(16),
    image_id=blob(16),
    vmpl=numbers(32),
    signature_algo=numbers(32),
    current_tcb=blob(8),
    platform_info=numbers(64),
    key_info=numbers(5),
    report_data=blob(64),
    measurement=blob(48),
    host_data=blob(32),
    id_key_digest=blob(48),
    author_key_digest=blob(48),
    report_id=blob(32),
    report_id_ma=blob(32),
    reported_tcb=blob(8),
    cpu_family=numbers(8),
    cpu_model=numbers(8),
    cpu_stepping=numbers(8),
    chip_id=blob(64),
    committed_tcb=blob(8),
    current_build=numbers(8),
    current_minor=numbers(8),
    current_major=numbers(8),
    committed_build=numbers(8),
    committed_minor=numbers(8),
    committed_major=numbers(8),
    launch_tcb=blob(8),
    launch_mit_vector=st.just(0),
    current_mit_vector=st.just(0),
    **dict.fromkeys(("current_etcb", "launch_etcb", "committed_etcb"), st.just(bytes(32))),
    signature_r=numbers(576),
    signature_s=numbers(576),
)


@given(reports)
def test_round_trip(report: snp.Report) -> None:
    """A field that the parser misplaces would be signed in one place and read in another."""
    assert snp.Report.parse(report.encode()) == report


@given(st.binary(max_size=snp.REPORT_BYTES + 8) | blob(snp.REPORT_BYTES))
def test_random_bytes_raise_our_errors_only(data: bytes) -> None:
    """A stranger's bytes never end in a foreign traceback."""
    with pytest.raises(MalformedDocument):
        snp.Report.parse(data)


@given(st.binary(max_size=16), st.integers(0, snp.REPORT_BYTES - 1))
def test_overwritten_reports_parse_strictly_or_not_at_all(patch: bytes, offset: int) -> None:
    """Whatever is accepted has exactly one encoding."""
    data = GOOD.encode()
    changed = data[:offset] + patch + data[offset + len(patch) :]
    try:
        report = snp.Report.parse(changed)
    except MalformedDocument:
        return
    assert report.encode() == changed


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"policy": 0x1F}, "policy"),
        ({"policy": GOOD.policy | 1 << 26}, "policy"),
        ({"policy": GOOD.policy | 1 << 63}, "policy"),
        ({"key_info": 1 << 5}, "key info"),
        ({"version": 2}, "CPUID"),
        ({"launch_mit_vector": 1}, "mitigation"),
        ({"version": 4, "current_mit_vector": 1}, "mitigation"),
    ],
)
def test_reserved_fields(changes: dict[str, int], named: str) -> None:
    """A bit whose meaning we do not know is not ignored."""
    with pytest.raises(MalformedDocument, match=named):
        snp.Report.parse(replace(GOOD, **changes).encode())


@pytest.mark.parametrize("offset", [0x4C, 0x18B, 0x19F, 0x1EB, 0x1EF, 0x208, 0x29F, 0x330, 0x49F])
def test_reserved_bytes(offset: int) -> None:
    """Reserved bytes are zero, those behind the signature too."""
    data = bytearray(GOOD.encode())
    data[offset] = 1
    with pytest.raises(MalformedDocument, match="reserved bytes"):
        snp.Report.parse(bytes(data))


def test_unknown_platform_bits_are_kept() -> None:
    """The platform sets PLATFORM_INFO; refusing its new bits would refuse new machines (Turin did so)."""
    report = replace(GOOD, platform_info=2**64 - 1)
    assert snp.Report.parse(report.encode()).platform_info == 2**64 - 1


def test_mitigation_vectors_from_version_five() -> None:
    """Version 5 reports carry them."""
    report = replace(GOOD, version=5, launch_mit_vector=0x3F, current_mit_vector=2**63)
    assert snp.Report.parse(report.encode()) == report


@pytest.mark.parametrize(
    "changes", [{"host_data": bytes(31)}, {"vmpl": -1}, {"cpu_model": 256}, {"signature_r": 2**576}]
)
def test_encode_never_pads_or_cuts(changes: dict[str, object]) -> None:
    """A value of the wrong size is an error, not another value."""
    with pytest.raises(BadInput):
        replace(GOOD, **changes).encode()  # type: ignore[arg-type]


def test_version_six_is_read_and_not_believed() -> None:
    """Its layout is AMD's (56860, revision 1.59), but nobody has shown a genuine one: a mistake in it would go unseen."""
    report = replace(GOOD, version=6, current_etcb=b"\1" * 32, launch_etcb=b"\2" * 32, committed_etcb=b"\3" * 32)
    data = report.encode()
    assert (data[0x220:0x240], data[0x240:0x260], data[0x260:0x280]) == (b"\1" * 32, b"\2" * 32, b"\3" * 32)
    assert snp.Report.parse(data) == report
    with pytest.raises(MalformedDocument, match="reserved"):
        snp.Report.parse(data[:0x208] + b"\1" + data[0x209:])
    with pytest.raises(MalformedDocument, match="reserved"):
        snp.Report.parse(replace(report, version=5).encode())
    with pytest.raises(ChecksFailed) as refused:
        require_report(data)
    assert [(check.name, check.ok) for check in refused.value.checks] == [("report_format", False)]


@given(st.sampled_from(sorted(snp.TCB_LAYOUT)), blob(8))
def test_tcb_round_trip(product: str, raw: bytes) -> None:
    """A TCB value reads back component by component; one with reserved bytes set is another product's."""
    try:
        components = snp.decode_tcb(raw, product)
    except MalformedDocument:
        assert any(raw[2:6]) if product != "Turin" else any(raw[4:7])
    else:
        assert snp.encode_tcb(components, product) == raw


def test_turin_layout() -> None:
    """Turin puts FMC first and SNP fourth; read as a Milan it would look newer than it is."""
    raw = bytes.fromhex("0101010400000051")
    assert snp.decode_tcb(raw, "Turin") == {"fmc": 1, "bootloader": 1, "tee": 1, "snp": 4, "microcode": 0x51}
    with pytest.raises(MalformedDocument, match="Milan"):
        snp.decode_tcb(raw, "Milan")


@pytest.mark.parametrize(
    ("family", "model", "product"),
    [
        (0x19, 0x01, "Milan"),
        (0x19, 0x0F, "Milan"),
        (0x19, 0x10, "Genoa"),
        (0x19, 0x1F, "Genoa"),
        (0x19, 0x20, None),
        (0x19, 0x9F, None),
        (0x19, 0xA0, "Genoa"),
        (0x19, 0xAF, "Genoa"),
        (0x19, 0xB0, None),
        (0x1A, 0x00, "Turin"),
        (0x1A, 0x11, "Turin"),
        (0x1A, 0x12, None),
        (0x1A, 0x50, "Venice"),
        (0x1A, 0x58, None),
        (0x00, 0x00, None),
    ],
)
def test_products(family: int, model: int, product: str | None) -> None:
    """CPUs map to products by table only."""
    assert snp.product_of(family, model) == product


def test_flags() -> None:
    """Debugging and migration are read from the right bits."""
    assert not GOOD.debug
    assert not GOOD.migration_agent
    assert replace(GOOD, policy=GOOD.policy | 1 << 19).debug
    assert replace(GOOD, policy=GOOD.policy | 1 << 18).migration_agent
    assert replace(GOOD, report_id_ma=bytes(32)).migration_agent
