"""Reports in the JSON of the Rust crate sev, as trustee hands them around: the same bytes come out that were signed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sls_jupyter.attestation.amd.report import Report, product_of
from sls_jupyter.attestation.amd.sev_crate import report_bytes
from sls_jupyter.attestation.files import judge_files, sort_files
from sls_jupyter.attestation.judge import Wanted
from sls_jupyter.errors import MalformedDocument

SNP = Path(__file__).parent / "vectors" / "snp"
REPORTS = ["aci-genoa-v3", "aci-turin-v5", "genoa-v5-19a002", "vlek-aws-milan-v3", "debug-milan-v2"]
PLAIN = ("version", "guest_svn", "policy", "family_id", "image_id", "vmpl", "report_data", "measurement", "host_data",
         "id_key_digest", "author_key_digest", "report_id", "report_id_ma", "chip_id")  # fmt: skip


def tcb(raw: bytes, fmc: bool) -> dict[str, Any]:
    if fmc:
        return {"fmc": raw[0], "bootloader": raw[1], "tee": raw[2], "snp": raw[3], "microcode": raw[7]}
    return {"fmc": None, "bootloader": raw[0], "tee": raw[1], "snp": raw[6], "microcode": raw[7]}


def old_tcb(raw: bytes) -> dict[str, Any]:
    return {"bootloader": raw[0], "tee": raw[1], "_reserved": list(raw[2:6]), "snp": raw[6], "microcode": raw[7]}


def firmware(report: Report, which: str) -> dict[str, int]:
    return {part: getattr(report, f"{which}_{part}") for part in ("build", "minor", "major")}


def common(data: bytes) -> dict[str, Any]:
    report = Report.parse(data)
    value: dict[str, Any] = {name: getattr(report, name) for name in PLAIN}
    value |= {"sig_algo": report.signature_algo, "plat_info": report.platform_info}
    value |= {"signature": {"r": data[0x2A0:0x2E8], "s": data[0x2E8:0x330]}}
    return value


def old_form(data: bytes) -> dict[str, Any]:
    """As versions 1 to 3 of the crate write it: by place, with what is reserved."""
    report = Report.parse(data)
    value = common(data) | {"_author_key_en": report.key_info, "_reserved_0": 0, "_reserved_1": data[0x188:0x1A0]}
    for which in ("current", "committed"):
        value |= {f"{which}_{part}": number for part, number in firmware(report, which).items()}
    value |= {"_reserved_2": 0, "_reserved_3": 0, "_reserved_4": data[0x1F8:0x2A0]}
    return value | {f"{name}_tcb": old_tcb(getattr(report, f"{name}_tcb")) for name in TCBS}


def new_form(data: bytes) -> dict[str, Any]:
    """As versions from 5 on write it: null for what a report of this version does not have."""
    report = Report.parse(data)
    turin = product_of(report.cpu_family, report.cpu_model) == "Turin"
    value = common(data) | {"key_info": report.key_info}
    for name, number in (("fam_id", report.cpu_family), ("mod_id", report.cpu_model), ("step", report.cpu_stepping)):
        value[f"cpuid_{name}"] = number if report.version >= 3 else None
    for name in ("launch_mit_vector", "current_mit_vector"):
        value[name] = getattr(report, name) if report.version >= 5 else None
    value |= {which: firmware(report, which) for which in ("current", "committed")}
    return value | {f"{name}_tcb": tcb(getattr(report, f"{name}_tcb"), turin) for name in TCBS}


TCBS = ("current", "reported", "committed", "launch")


def written(value: Any) -> Any:
    """As serde writes bytes: a list of numbers."""
    return json.loads(json.dumps(value, default=list))


@pytest.mark.parametrize("form", [old_form, new_form])
@pytest.mark.parametrize("name", REPORTS)
def test_the_signed_bytes_come_back(name: str, form: Any) -> None:
    """One bit elsewhere and no signature would hold."""
    data = (SNP / name / "report.bin").read_bytes()
    assert report_bytes(written(form(data))) == data


@pytest.mark.parametrize("form", [old_form, new_form])
@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: {"tee": "snp", "tee-evidence": json.dumps(value)}])
def test_evidence_of_trustee_is_accepted(form: Any, wrap: Any) -> None:
    """A report as an object, and its certificates as a table in which some are of another purpose."""
    folder = SNP / "genoa-v5-19a002"
    table: list[dict[str, Any]] = [
        {"cert_type": "VCEK", "data": list((folder / "vcek.der").read_bytes())},
        {"cert_type": {"OTHER": "12345678-1234-1234-1234-123456789abc"}, "data": [1, 2, 3]},
        {"cert_type": "Empty", "data": []},
    ]
    report = (folder / "report.bin").read_bytes()
    for part in (written(form(report)), list(report)):
        evidence = json.dumps(wrap({"attestation_report": part, "cert_chain": table})).encode()
        verdict = judge_files(sort_files([evidence]), now=datetime(2026, 7, 22, tzinfo=UTC), wanted=Wanted())
        assert verdict.accepted


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"report_data": [0] * 63}, "report_data"),
        ({"chip_id": [256] * 64}, "chip_id"),
        ({"policy": 1 << 64}, "policy"),
        ({"guest_svn": None}, "guest_svn"),
        ({"current_tcb": 7}, "current_tcb"),
        ({"reported_tcb": {"bootloader": 1}}, "tee"),
        ({"signature": []}, "signature"),
        ({"_reserved_4": [0] * 151}, "_reserved_4"),
    ],
)
def test_what_the_crate_does_not_write_is_refused_at_its_place(changes: dict[str, Any], where: str) -> None:
    """A value is neither padded nor cut to fit."""
    value = written(new_form((SNP / "aci-genoa-v3" / "report.bin").read_bytes()))
    with pytest.raises(MalformedDocument, match=f"at {where}"):
        report_bytes({**value, **changes})
