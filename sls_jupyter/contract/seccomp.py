"""The program's seccomp profile, in the form of the OCI runtime specification (config-linux, "seccomp").

Containers of an ACI group share one network namespace, so "no network" for the program is this profile:
no socket family but AF_UNIX, and none of the calls that would go round it (io_uring can open sockets
without the socket call) or reach other processes and the kernel's larger surfaces. The profile is part
of the group, therefore measured; the local host applies the same one on top of its namespaces.
"""

from __future__ import annotations

from typing import Any

from sls_jupyter.documents import canonical_json

AF_UNIX = 1
CLONE_NEW_FLAGS = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
"""CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET} (``linux/sched.h``)."""
EPERM, ENOSYS, EOPNOTSUPP = 1, 38, 95

REFUSED_CALLS = (
    "acct",
    "add_key",
    "bpf",
    "chroot",
    "delete_module",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "memfd_create",
    "memfd_secret",
    "mount",
    "mount_setattr",
    "move_mount",
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
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "syslog",
    "umount2",
    "unshare",
    "userfaultfd",
    "vmsplice",
)


def _refuse_clone_flag(flag: int) -> dict[str, Any]:
    return {
        "names": ["clone"],
        "action": "SCMP_ACT_ERRNO",
        "errnoRet": EPERM,
        "args": [{"index": 0, "value": flag, "valueTwo": flag, "op": "SCMP_CMP_MASKED_EQ"}],
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
            *(_refuse_clone_flag(flag) for flag in CLONE_NEW_FLAGS),
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS},
            {"names": list(REFUSED_CALLS), "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM},
        ],
    }


def program_profile_bytes() -> bytes:
    """The profile's canonical bytes, whose SHA-256 stands in the CCE policy."""
    return canonical_json(program_profile())
