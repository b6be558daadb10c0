"""What a utility VM for confidential containers brings along, whatever the policy says. Facts, with their source.

Source: hcsshim ``pkg/securitypolicy/securitypolicy_linux.go`` (mounts), ``securitypolicy_internal.go``
(capabilities) and ``internal/guestpath``. On Azure the guest adds its own network files (``/etc/resolv.conf``,
``/etc/hosts``, ``/etc/hostname``) to the mounts of one group; a caller who knows their sources adds them here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

UNPRIVILEGED_CAPABILITIES = (  # what containerd gives a container
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)
PRIVILEGED_CAPABILITIES = tuple(  # all of Linux 5.9
    f"CAP_{name}"
    for name in (  # noqa: SIM905
        "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
        "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT "
        "SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE "
        "AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ "
        "PERFMON BPF CHECKPOINT_RESTORE"
    ).split()
)
CAPABILITY_SETS = ("ambient", "bounding", "effective", "inheritable", "permitted")


def mount(kind: str, source: str, destination: str, options: str) -> dict[str, Any]:
    """A mount as the framework sees one; options are separated by commas."""
    return {"destination": destination, "source": source, "options": options.split(","), "type": kind}


DEFAULT_MOUNTS = (
    mount("proc", "proc", "/proc", "nosuid,noexec,nodev"),
    mount("tmpfs", "tmpfs", "/dev", "nosuid,strictatime,mode=755,size=65536k"),
    mount("devpts", "devpts", "/dev/pts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
    mount("tmpfs", "shm", "/dev/shm", "nosuid,noexec,nodev,mode=1777,size=65536k"),  # noqa: S108
    mount("mqueue", "mqueue", "/dev/mqueue", "nosuid,noexec,nodev"),
    mount("sysfs", "sysfs", "/sys", "nosuid,noexec,nodev,ro"),
    mount("tmpfs", "tmpfs", "/run", "nosuid,strictatime,mode=755,size=65536k"),
    mount("cgroup", "cgroup", "/sys/fs/cgroup", "nosuid,noexec,nodev,relatime,ro"),
    mount("cgroup2", "cgroup2", "/sys/fs/cgroup", "nosuid,noexec,nodev,relatime,ro"),
)
PRIVILEGED_MOUNTS = (
    mount("cgroup", "cgroup", "/sys/fs/cgroup", "nosuid,noexec,nodev,relatime,rw"),
    mount("cgroup2", "cgroup2", "/sys/fs/cgroup", "nosuid,noexec,nodev,relatime,rw"),
    mount("sysfs", "sysfs", "/sys", "nosuid,noexec,nodev,rw"),
)
LAYER_MOUNTS = "/run/mounts/scsi/m[0-9]+"  # where a read-only layer may be mounted


@dataclass(frozen=True, slots=True)
class Machine:
    """A utility VM. The defaults are those of a Linux VM; nothing of it is under the policy's control."""

    default_mounts: tuple[dict[str, Any], ...] = DEFAULT_MOUNTS
    privileged_mounts: tuple[dict[str, Any], ...] = PRIVILEGED_MOUNTS
    sandbox_prefix: str = "sandbox://"
    huge_pages_prefix: str = "hugepages://"
    plan9_prefix: str = "plan9://"
    privileged_capabilities: tuple[str, ...] = PRIVILEGED_CAPABILITIES
    unprivileged_capabilities: tuple[str, ...] = UNPRIVILEGED_CAPABILITIES
