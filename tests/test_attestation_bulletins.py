"""AMD's bulletins as a table: what a machine does not meet is named, and refuses where somebody asked for it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sls_jupyter import cli
from sls_jupyter.attestation.amd.bulletins import bulletin_table, default_floors
from sls_jupyter.attestation.claim_checks import met_bulletins, minimum_tcb, set_mitigations
from sls_jupyter.attestation.claims import Claims
from sls_jupyter.attestation.evidence import Minimums
from sls_jupyter.attestation.files import judge_files, sort_files
from sls_jupyter.attestation.judge import Wanted
from sls_jupyter.errors import MalformedDocument
from sls_jupyter.tcb import BULLETINS, floor_fault

SNP = Path(__file__).parent / "vectors" / "snp"
GENOA = SNP / "genoa-v5-19a002"
NOW = datetime(2026, 7, 22, tzinfo=UTC)


def machine(**changes: Any) -> Claims:
    """A Milan that meets everything in the table."""
    tcb = changes.pop("tcb", {"bootloader": 4, "tee": 0, "snp": 29, "microcode": 222})
    values = {
        "tee": "sev-snp",
        "simulated": False,
        "product": "Milan",
        "chip_id": "ab",
        "measurement": "00" * 48,
        "init_data": "00" * 32,
        "report_data": "00" * 64,
        "debug": False,
        "migration_agent": False,
        "vmpl": 0,
        "guest_svn": 0,
        "report_version": 5,
        "tcb": tcb,
        "committed_tcb": tcb,
        "launch_tcb": tcb,
        "platform_info": f"{1 << 5:016x}",
        "cpuid": "19-01-01",
        "mitigations": f"{0b10110:016x}",
    }
    return Claims.model_validate({**values, **changes})


def faults(name: str, **changes: Any) -> str:
    (check,) = met_bulletins(machine(**changes), [name])
    return "" if check.ok else check.found


def genoa(wanted: Wanted, now: datetime = NOW) -> Any:
    files = [(GENOA / name).read_bytes() for name in ("report.bin", "vcek.der")]
    return judge_files(sort_files(files), now=now, profile="hardware", wanted=wanted)


def test_the_table_and_the_names_that_can_be_asked_for_are_one_list() -> None:
    """A bulletin that can be demanded and is in no table would refuse every machine; one of the table can be demanded."""
    table = bulletin_table().bulletins
    assert sorted(item.id for item in table) == sorted(BULLETINS)
    for item in table:
        assert item.source.startswith("https://www.amd.com/")
        assert datetime.fromisoformat(item.date) <= datetime.fromisoformat(bulletin_table().as_of)
        for row in item.rows:
            assert not row.tcb or not floor_fault(f"sev-snp/{row.product}", row.tcb)
            assert not (row.default and (row.second_hand or item.second_hand)), "second hand never refuses by itself"


def test_only_what_was_read_in_the_bulletin_refuses_by_itself() -> None:
    """Azure's machines meet these; a higher floor would refuse every group there."""
    assert default_floors() == {"sev-snp/Milan": {"snp": 24}, "sev-snp/Genoa": {"snp": 23}}


@pytest.mark.parametrize("name", [name for name in BULLETINS if name != "AMD-SB-3027"])
def test_a_machine_that_is_up_to_date_meets_all(name: str) -> None:
    """An owner who asks for a bulletin gets a run on a machine that has it."""
    assert faults(name) == ""


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("AMD-SB-3019", {"tcb": {"snp": 22, "microcode": 222}}, "snp 22 is 2 too low"),
        ("AMD-SB-3019", {"tcb": {"snp": 24, "microcode": 213}}, "microcode 213 is 6 too low"),
        ("AMD-SB-3019", {"cpuid": "19-01-02", "tcb": {"snp": 24, "microcode": 67}}, "microcode 67 is 1 too low"),
        ("AMD-SB-3019", {"cpuid": "19-01-07"}, "of the processor 19-01-07 is not in the table"),
        ("AMD-SB-3019", {"cpuid": "", "report_version": 2}, "a report that names no processor is not in the table"),
        ("AMD-SB-3016", {"mitigations": "0" * 16}, "mitigation 2 is not in place"),
        ("AMD-SB-3016", {"report_version": 3}, "version 3 does not tell of mitigation 2"),
        ("AMD-SB-3015", {"platform_info": "0" * 16}, "bit 5 of PLATFORM_INFO is not set"),
        ("AMD-SB-3027", {}, "what it asks of Milan is not in the table"),
        ("AMD-SB-3034", {"product": "Turin"}, "what it asks of Turin is not in the table"),
    ],
)
def test_a_machine_that_does_not_meet_one_is_told_why(name: str, changes: dict[str, Any], words: str) -> None:
    """Whoever runs the machine has to know which component to update, and to what; what is not known is not met."""
    assert words in faults(name, **changes)


def test_another_stepping_has_another_microcode() -> None:
    """71 is newer than 222 on a Milan-X: one floor for both would refuse every one of them."""
    assert faults("AMD-SB-3019", cpuid="19-01-02", tcb={"snp": 24, "microcode": 68}) == ""


def test_a_mitigation_has_to_be_there_at_launch_and_now() -> None:
    """A guest that started before its host was mitigated is not protected by what came later."""
    assert [check.ok for check in set_mitigations(machine(), [1, 2, 4])] == [True]
    assert set_mitigations(machine(), [5])[0].found == "mitigation 5 is not in place"
    assert set_mitigations(machine(), []) == []


def test_a_floor_says_which_component_by_how_much_and_whose() -> None:
    """Two of three TCBs may be fine: then it is the third that somebody has to update."""
    claims = machine(tcb={"snp": 30}, committed_tcb={"snp": 20})
    check = minimum_tcb(
        claims, {"sev-snp": {"snp": 24}, "sev-snp/Milan": {"tee": 1}}, {"sev-snp": "the owner's policy"}
    )
    assert check.found == "snp 20 (committed) is 4 too low; tee is missing"
    assert check.expected == "snp 24, tee 1 (the owner's policy; AMD-SB-3019 of 2025-02-03)"


def test_a_verdict_names_what_nobody_asked_for() -> None:
    """A machine with known holes is accepted by the profile, and the verdict does not hide them."""
    verdict = genoa(Wanted())
    assert verdict.accepted
    named = [note for note in verdict.notes if "AMD-SB-3016 of 2026-04-14" in note]
    assert ["CVE-2023-20585" in note and "mitigation 2" in note for note in named] == [True]
    assert not any("days old" in note for note in verdict.notes)


@pytest.mark.parametrize(
    ("wanted", "at", "verified"),
    [
        ({"report_data": "ab" * 64}, datetime(2026, 7, 22, tzinfo=UTC), True),
        ({}, datetime(2020, 1, 1, tzinfo=UTC), False),
    ],
)
def test_a_refusal_names_them_too(wanted: dict[str, Any], at: datetime, verified: bool) -> None:
    """Whoever mends what was refused hears of the bulletins at once; whose word they rest on is said."""
    verdict = genoa(Wanted(**wanted), at)
    assert not verdict.accepted
    assert any("AMD-SB-3016 of 2026-04-14" in note for note in verdict.notes)
    assert any("its own word" in note for note in verdict.notes) is not verified


def test_the_age_of_the_table_is_that_of_today() -> None:
    """A verdict for a time that is long over is given with today's knowledge, and the other way round."""
    then, today = datetime(2026, 7, 22, tzinfo=UTC), datetime(2027, 6, 1, tzinfo=UTC)
    files = sort_files([b"\x05" + bytes(1183), (GENOA / "vcek.der").read_bytes()])
    for now, clock, said in ((then, today, True), (today, then, False)):
        verdict = judge_files(files, now=now, today=clock)
        assert not verdict.accepted
        assert ["days old" in note for note in verdict.notes].count(True) == said


def test_a_demanded_bulletin_refuses() -> None:
    """An owner's demand is a check of the list, with the bulletin's name and date."""
    verdict = genoa(Wanted(bulletins=("AMD-SB-3016",)))
    assert not verdict.accepted
    (failed,) = [check for check in verdict.checks if not check.ok]
    assert (failed.name, failed.expected) == ("bulletin", "a machine that meets AMD-SB-3016 of 2026-04-14")


def test_an_old_table_says_so_once() -> None:
    """After half a year there are bulletins that this version does not know."""
    notes = genoa(Wanted(), datetime(2027, 6, 1, tzinfo=UTC)).notes
    assert [note for note in notes if "days old (2026-11-26)" in note] == [notes[-1]]
    assert bulletin_table().age_note(datetime(2027, 5, 25, tzinfo=UTC)) == ""
    assert bulletin_table().age_note(datetime(2027, 5, 26, tzinfo=UTC)) != ""


def test_a_name_with_a_mistake_is_no_demand() -> None:
    """A bulletin that does not exist would be met by every machine, or by none."""
    with pytest.raises(MalformedDocument, match=r"file of minimums") as refused:
        Minimums.from_json(b'{"bulletins": ["AMD-SB3016"]}')
    assert "did you mean 'AMD-SB-3016'?" in (refused.value.found or "")


@pytest.mark.parametrize(
    ("option", "code", "words"),
    [
        (["--bulletin", "amd-sb-3016"], 1, "AMD-SB-3016"),
        (["--bulletin", "AMD-SB-9"], 2, "no bulletin of the table"),
        (["--mitigation", "2"], 1, "mitigation 2"),
        (["--mitigation", "64"], 2, "cannot be demanded"),
    ],
)
def test_a_shell_can_demand_them(option: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``sls attest verify --bulletin`` is what a security officer types."""
    paths = [str(GENOA / name) for name in ("report.bin", "vcek.der")]
    assert cli.main(["attest", "verify", *paths, "--at", "2026-07-22", *option]) == code
    told = capsys.readouterr()
    assert words in told.out + told.err
