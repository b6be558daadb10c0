"""The program's seccomp profile, in the form of the OCI runtime specification (config-linux, "seccomp").

Containers of an ACI group share one network namespace, so "no network" for the program is this profile:
no socket family but AF_UNIX, and none of the calls that would go round it (io_uring can open sockets
without the socket call) or reach other processes and the kernel's larger surfaces. The profile is part
of the group, therefore measured; the local host applies the same one on top of its namespaces.

It also leaves no room for memory and CPU time that nobody counts: System V objects and message queues, shared
memory without a file, larger socket buffers, queues of file events (1 GB for each user), rules of Landlock; and SIGCHLD stays as it is, because the time of a child whose
parent ignores it goes to nobody.
"""

from __future__ import annotations

import json
from typing import Any

AF_UNIX = 1
SIGCHLD, SO_SNDBUF, SO_SNDBUFFORCE, MAP_SHARED_ANONYMOUS = 17, 7, 32, 0x21
CLONE_NEW_FLAGS = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
"""CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET} (``linux/sched.h``)."""
EPERM, ENOSYS, EOPNOTSUPP = 1, 38, 95

REFUSED_CALLS = (
    "acct",
    "add_key",
    "bpf",
    "chroot",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "init_module",
    "inotify_init",
    "inotify_init1",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "memfd_create",
    "memfd_secret",
    "mount",
    "mount_setattr",
    "move_mount",
    "mq_open",
    "msgget",
    "name_to_handle_at",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pidfd_getfd",
    "pivot_root",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "quotactl",
    "reboot",
    "request_key",
    "semget",
    "setns",
    "settimeofday",
    "shmget",
    "swapoff",
    "swapon",
    "syslog",
    "umount2",
    "unshare",
    "userfaultfd",
    "vmsplice",
)


REPORT_IOCTLS = (
    0xC0205300,  # SNP_GET_REPORT
    0xC0205301,  # SNP_GET_DERIVED_KEY
    0xC0205302,  # SNP_GET_EXT_REPORT
    0xC0285301,  # the same of kernels before 5.19 on Azure
    0xC4405401,  # TDX_CMD_GET_REPORT0
)
"""Requests to a TEE's device (``linux/sev-guest.h``, ``linux/tdx-guest.h``): a program that could have REPORT_DATA
signed could forge the receipt of its own run. The kernel looks at the lower 32 bits only, so the filter does too."""


def _refuse(name: str, argument: int, value: int, mask: int = 0xFFFFFFFF) -> dict[str, Any]:
    """Refuse a call whose argument, masked, has this value. An ``int`` of C is its lower 32 bits."""
    return {
        "names": [name],
        "action": "SCMP_ACT_ERRNO",
        "errnoRet": EPERM,
        "args": [{"index": argument, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}],
    }


def program_profile() -> dict[str, Any]:
    """The profile as a JSON object."""
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": [
            {
                "names": ["socket", "socketpair"],
                "action": "SCMP_ACT_ERRNO",
                "errnoRet": EOPNOTSUPP,  # libzmq takes EPERM from getifaddrs for a bug and aborts the process
                "args": [{"index": 0, "value": AF_UNIX, "op": "SCMP_CMP_NE"}],
            },
            *(_refuse("clone", 0, flag, flag) for flag in CLONE_NEW_FLAGS),
            *(_refuse("ioctl", 1, request) for request in REPORT_IOCTLS),
            *(_refuse("setsockopt", 2, option) for option in (SO_SNDBUF, SO_SNDBUFFORCE)),
            _refuse("mmap", 3, MAP_SHARED_ANONYMOUS, MAP_SHARED_ANONYMOUS),
            _refuse("rt_sigaction", 0, SIGCHLD),
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS},
            {"names": list(REFUSED_CALLS), "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM},
        ],
    }


def program_profile_bytes() -> bytes:
    """The profile's bytes, whose SHA-256 stands in the CCE policy.

    They are the compact JSON that Go writes of the OCI structure, as the utility VM measures it: the structure's own
    order of members, which :func:`program_profile` keeps; ``index``, ``value`` and ``op`` always there, what is empty left away.
    Source: hcsshim ``pkg/securitypolicy`` (``MeasureSeccompProfile``); the digest of the profile of November 2026 was compared with it.
    """
    return json.dumps(program_profile(), separators=(",", ":")).encode()
