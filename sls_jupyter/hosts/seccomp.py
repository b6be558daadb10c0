"""Compile a seccomp profile of the OCI form into the classic BPF program that the kernel takes.

The answer is bytes of ``struct sock_filter``, as ``bwrap --seccomp`` and ``prctl(PR_SET_SECCOMP)`` read
them. A profile that this compiler does not understand completely is an error: a rule that is left out
would be a hole that the measured profile denies.

Sources: OCI runtime specification 1.2 (config-linux, "seccomp"); Linux ``include/uapi/linux/seccomp.h``,
``filter.h`` and ``audit.h``; call numbers of ``asm/unistd_64.h`` (x86-64) and ``asm-generic/unistd.h``.
"""

from __future__ import annotations

import platform
import struct
from collections.abc import Iterable, Mapping
from typing import Any

from sls_jupyter.errors import BadInput, Unavailable

_LOAD, _AND, _JUMP, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x54, 0x05, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _ERRNO, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_X32_CALLS = 0x40000000  # x86-64 only: calls of the x32 ABI have this bit
EPERM = 1

# machine -> (name of the architecture in a profile, AUDIT_ARCH value, column in CALLS)
ARCHITECTURES: dict[str, tuple[str, int, int]] = {
    "x86_64": ("SCMP_ARCH_X86_64", 0xC000003E, 0),
    "aarch64": ("SCMP_ARCH_AARCH64", 0xC00000B7, 1),
}

CALLS: dict[str, tuple[int | None, int | None]] = {  # name -> number on x86-64, on aarch64; None: not there
    "acct": (163, 89),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clone": (56, 220),
    "clone3": (435, 435),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "ioctl": (16, 29),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "landlock_add_rule": (445, 445),
    "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "mmap": (9, 222),
    "move_mount": (429, 429),
    "mq_open": (240, 180),
    "msgget": (68, 186),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "rt_sigaction": (13, 134),
    "semget": (64, 190),
    "setns": (308, 268),
    "setsockopt": (54, 208),
    "settimeofday": (164, 170),
    "shmget": (29, 194),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vmsplice": (278, 75),
}

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


def _load(offset: int) -> Instruction:
    return (_LOAD, 0, 0, offset)


def _return(value: int) -> Instruction:
    return (_RETURN, 0, 0, value)


def _words(value: Any) -> tuple[int, int]:
    """The low and the high 32 bits of an unsigned 64-bit operand."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**64:
        raise BadInput("A seccomp operand is an unsigned 64-bit number.", found=value)
    return value & 0xFFFFFFFF, value >> 32


def _unless_equal(index: int, value: int, mask: int | None, skip_when_equal: int) -> list[Instruction]:
    """Go on when the (masked) argument differs from ``value``; skip so many instructions when it is equal."""
    code: list[Instruction] = []
    offset, masks = _ARGUMENTS + 8 * index, (None, None) if mask is None else _words(mask)
    pairs = list(zip((offset, offset + 4), _words(value), masks, strict=True))
    masked = 0 if mask is None else 1
    for position, (word, operand, bits) in enumerate(pairs):
        code.append(_load(word))
        if bits is not None:
            code.append((_AND, 0, 0, bits))
        last = position == len(pairs) - 1
        # The first word that differs decides; the second is looked at only when the first is equal.
        code.append((_JUMP_EQUAL, skip_when_equal, 0, operand) if last else (_JUMP_EQUAL, 0, 2 + masked, operand))
    return code


def _condition(argument: Mapping[str, Any], body: int) -> list[Instruction]:
    """Instructions that fall through to a body of so many instructions when the condition holds."""
    index, operator, value = argument.get("index"), argument.get("op"), argument.get("value", 0)
    if not isinstance(index, int) or not 0 <= index <= 5 or set(argument) - {"index", "op", "value", "valueTwo"}:
        raise BadInput("A seccomp condition is not understood.", found=dict(argument))
    if operator in {"SCMP_CMP_NE", "SCMP_CMP_MASKED_NE"}:
        masked = operator == "SCMP_CMP_MASKED_NE"
        expected = argument.get("valueTwo", 0) if masked else value
        return _unless_equal(index, expected, value if masked else None, body)
    if operator in {"SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"}:
        masked = operator == "SCMP_CMP_MASKED_EQ"
        expected = argument.get("valueTwo", 0) if masked else value
        over_the_body: Instruction = (_JUMP, 0, 0, body)
        return [*_unless_equal(index, expected, value if masked else None, 1), over_the_body]
    raise BadInput("A seccomp condition has an operator that is not compiled.", found=operator)


def _action(rule: Mapping[str, Any]) -> int:
    errno = rule.get("errnoRet", EPERM)
    if rule.get("action") != "SCMP_ACT_ERRNO" or not isinstance(errno, int) or not 0 < errno < 4096:
        raise BadInput(
            "A seccomp rule has an action that is not compiled.",
            found=rule.get("action"),
            expected="SCMP_ACT_ERRNO with errnoRet from 1 to 4095",
        )
    return _ERRNO | errno


def _rule(rule: Mapping[str, Any], column: int) -> Iterable[Instruction]:
    if set(rule) - {"names", "action", "errnoRet", "args"}:
        raise BadInput("A seccomp rule has members that are not compiled.", found=sorted(rule))
    answer, conditions = _return(_action(rule)), rule.get("args", [])
    if len(conditions) > 1:
        raise BadInput("A seccomp rule has several conditions.", expected="one at most")
    yield _load(_NUMBER)
    for name in rule["names"]:
        if name not in CALLS:
            raise BadInput("A seccomp rule names an unknown system call.", found=name, hint="Add it to CALLS.")
        number = CALLS[name][column]
        if number is None:
            continue
        body = [*(_condition(conditions[0], 1) if conditions else []), answer]
        yield (_JUMP_EQUAL, 0, len(body), number)
        yield from body
        if conditions:
            yield _load(_NUMBER)  # a condition that did not hold left its argument in the accumulator


def compile_profile(profile: Mapping[str, Any], machine: str | None = None) -> bytes:
    """The BPF program of ``profile`` for one architecture, 8 bytes an instruction.

    Calls of another architecture kill the process; x32 calls are refused with EPERM; a call that no rule
    names is allowed. Rules are tried in their order, so a name may come twice with different conditions.

    Args:
        profile: an OCI ``linux.seccomp`` object whose default is to allow and whose rules refuse.
        machine: as ``platform.machine()`` names it; default: this one.

    Raises:
        BadInput: the profile has something that is not compiled.
        Unavailable: the architecture is not in the profile or not known here.
    """
    name = machine or platform.machine()
    known = ARCHITECTURES.get(name)
    if known is None or known[0] not in profile.get("architectures", []):
        raise Unavailable(
            "There is no seccomp profile for this processor.",
            found=name,
            expected=" or ".join(ARCHITECTURES),
            hint="Run on x86-64 or aarch64 Linux.",
        )
    if profile.get("defaultAction") != "SCMP_ACT_ALLOW" or set(profile) - {
        "defaultAction",
        "architectures",
        "syscalls",
    }:
        raise BadInput("A seccomp profile has members that are not compiled.", found=sorted(profile))
    code = [_load(_ARCHITECTURE), (_JUMP_EQUAL, 1, 0, known[1]), _return(_KILL_PROCESS)]
    if name == "x86_64":
        code += [_load(_NUMBER), (_JUMP_AT_LEAST, 0, 1, _X32_CALLS), _return(_ERRNO | EPERM)]
    for rule in profile.get("syscalls", []):
        code += _rule(rule, known[2])
    code.append(_return(_ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
