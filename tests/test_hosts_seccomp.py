"""The compiled seccomp program decides as the measured profile says, for every call and architecture."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.contract.seccomp import program_profile
from sls_jupyter.errors import BadInput, Unavailable
from sls_jupyter.hosts.seccomp import ARCHITECTURES, CALLS, compile_profile

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
MACHINES = sorted(ARCHITECTURES)


def run(program: bytes, number: int, architecture: int, arguments: list[int]) -> int:
    """Execute a BPF program as the kernel does, on one ``struct seccomp_data``."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, *arguments)
    code = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    place = accumulator = 0
    while True:
        operation, if_true, if_false, operand = code[place]
        place += 1
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, operand)
        elif operation == 0x54:
            accumulator &= operand
        elif operation == 0x05:
            place += operand
        elif operation == 0x06:
            return operand
        else:
            holds = {0x15: accumulator == operand, 0x35: accumulator >= operand}[operation]
            place += if_true if holds else if_false


def holds(condition: dict[str, Any], arguments: list[int]) -> bool:
    """The slow definition of a condition, from the OCI runtime specification."""
    argument, value, second = arguments[condition["index"]], condition.get("value", 0), condition.get("valueTwo", 0)
    return {
        "SCMP_CMP_EQ": argument == value,
        "SCMP_CMP_NE": argument != value,
        "SCMP_CMP_MASKED_EQ": argument & value == second,
        "SCMP_CMP_MASKED_NE": argument & value != second,
    }[condition["op"]]


def decide(profile: dict[str, Any], machine: str, number: int, arguments: list[int]) -> int:
    """The slow definition of a profile's answer: the first rule that applies."""
    if machine == "x86_64" and number >= 0x40000000:
        return ERRNO | 1
    for rule in profile["syscalls"]:
        numbers = {CALLS[name][ARCHITECTURES[machine][2]] for name in rule["names"]}
        if number in numbers and all(holds(condition, arguments) for condition in rule.get("args", [])):
            return ERRNO | int(rule.get("errnoRet", 1))
    return ALLOW


WORDS = st.one_of(
    st.sampled_from([0, 1, 2, 16, 1 << 32, (1 << 32) | 1, 0x10000000, 0x7E020000, 0x11, 2**64 - 1]),
    st.integers(0, 2**64 - 1),
)
NUMBERS = st.one_of(
    st.sampled_from(sorted({number for pair in CALLS.values() for number in pair if number is not None})),
    st.integers(0, 2**32 - 1),
)
CONDITIONS = st.fixed_dictionaries(
    {
        "index": st.integers(0, 5),
        "value": WORDS,
        "valueTwo": WORDS,
        "op": st.sampled_from([f"SCMP_CMP_{name}" for name in ("EQ", "NE", "MASKED_EQ", "MASKED_NE")]),
    }
)
RULES = st.fixed_dictionaries(
    {
        "names": st.lists(st.sampled_from(sorted(CALLS)), min_size=1, max_size=3, unique=True),
        "action": st.just("SCMP_ACT_ERRNO"),
        "errnoRet": st.integers(1, 100),
        "args": st.lists(CONDITIONS, max_size=1),
    }
)


@given(machine=st.sampled_from(MACHINES), number=NUMBERS, arguments=st.lists(WORDS, min_size=6, max_size=6))
def test_the_programs_profile_is_compiled_faithfully(machine: str, number: int, arguments: list[int]) -> None:
    """Locally the program is refused exactly what the measured profile refuses."""
    program = compile_profile(program_profile(), machine)
    expected = decide(program_profile(), machine, number, arguments)
    assert run(program, number, ARCHITECTURES[machine][1], arguments) == expected


@given(rules=st.lists(RULES, max_size=4), number=NUMBERS, arguments=st.lists(WORDS, min_size=6, max_size=6))
def test_any_profile_is_compiled_faithfully(rules: list[dict[str, Any]], number: int, arguments: list[int]) -> None:
    """A later profile with other conditions means the same here as on Azure."""
    profile = program_profile() | {"syscalls": rules}
    program = compile_profile(profile, "aarch64")
    assert run(program, number, 0xC00000B7, arguments) == decide(profile, "aarch64", number, arguments)


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_another_architecture_kill(machine: str) -> None:
    """A 32-bit call, whose numbers mean other things, cannot slip through."""
    assert run(compile_profile(program_profile(), machine), 1, 0x40000003, [0] * 6) == KILL


def test_x32_calls_are_refused() -> None:
    """The second set of x86-64 call numbers is no way around."""
    program = compile_profile(program_profile(), "x86_64")
    assert run(program, 0x40000000 | 41, 0xC000003E, [2] + [0] * 5) == ERRNO | 1


@pytest.mark.parametrize(
    "change",
    [
        {"names": ["socket", "no_such_call"]},
        {"action": "SCMP_ACT_LOG"},
        {"errnoRet": 0},
        {"args": [{"index": 0, "op": "SCMP_CMP_GT", "value": 1}]},
        {"args": [{"index": 6, "op": "SCMP_CMP_EQ", "value": 1}]},
        {"args": [{"index": 0, "op": "SCMP_CMP_EQ", "value": -1}]},
        {"args": [{"index": 0, "op": "SCMP_CMP_EQ", "value": 1}] * 2},
        {"includes": {"arches": ["amd64"]}},
    ],
)
def test_what_is_not_understood_is_an_error(change: dict[str, Any]) -> None:
    """A rule that the compiler does not know is never left out."""
    rule = {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1} | change
    with pytest.raises(BadInput):
        compile_profile(program_profile() | {"syscalls": [rule]}, "x86_64")


def test_a_profile_that_denies_by_default_is_an_error() -> None:
    """Another default action is not silently read as ours."""
    with pytest.raises(BadInput):
        compile_profile(program_profile() | {"defaultAction": "SCMP_ACT_ERRNO"}, "x86_64")


def test_an_unknown_processor_is_named() -> None:
    """On another architecture the user reads why, instead of running without the profile."""
    with pytest.raises(Unavailable, match="riscv64"):
        compile_profile(program_profile(), "riscv64")


@pytest.mark.parametrize(
    ("header", "column"),
    [("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", 0), ("/usr/include/asm-generic/unistd.h", 1)],
)
def test_call_numbers_are_the_kernels(header: str, column: int) -> None:
    """A wrong number would refuse a harmless call and allow a dangerous one."""
    if not Path(header).exists():
        pytest.skip(f"{header} is not installed (linux-libc-dev)")
    text = Path(header).read_text()
    numbers = {
        name: int(number) for name, number in re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)", text, re.MULTILINE)
    }
    assert {name: pair[column] for name, pair in CALLS.items()} == {name: numbers.get(name) for name in CALLS}
    assert [name for name, pair in CALLS.items() if None in pair] == ["inotify_init"]  # a misspelt name has no number
