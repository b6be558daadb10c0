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
CLONE_NEW_FLAGS = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}
EPERM, ENOSYS = 1, 38

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


def program_profile() -> dict[str, Any]:
    """The profile as a JSON object."""
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": [
            {
                "names": ["socket", "socketpair"],
                "action": "SCMP_ACT_ERRNO",
                "errnoRet": EPERM,
                "args": [{"index": 0, "value": AF_UNIX, "op": "SCMP_CMP_NE"}],
            },
            {
                "names": ["clone"],
                "action": "SCMP_ACT_ERRNO",
                "errnoRet": EPERM,
                "args": [{"index": 0, "value": CLONE_NEW_FLAGS, "valueTwo": 0, "op": "SCMP_CMP_MASKED_NE"}],
            },
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS},
            {"names": list(REFUSED_CALLS), "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM},
        ],
    }


def program_profile_bytes() -> bytes:
    """The profile's canonical bytes, whose SHA-256 stands in the CCE policy."""
    return canonical_json(program_profile())
