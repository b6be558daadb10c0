"""The device of this guest: a simulated processor where one is named, else what the hardware shows.

Absent hardware is an error that says what was looked for. Nothing falls back from real to simulated.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

from sls_jupyter.attestation.device.interface import Device
from sls_jupyter.attestation.device.linux import find_hardware
from sls_jupyter.attestation.device.served import SimulatedDevice
from sls_jupyter.errors import Unavailable


def find_device(environ: Mapping[str, str], root: Path = Path("/")) -> Device:
    """The device of this guest.

    ``SLS_TEE_DEVICE`` names the socket of a simulated processor; it is the only thing that selects one, and
    where it is set nothing else is looked for. Otherwise the hardware's devices are looked for below ``root``
    (:func:`sls_jupyter.attestation.device.linux.find_hardware` has the order).

    Raises:
        Unavailable: none was found; lists what was looked for.
    """
    name = environ.get("SLS_TEE_DEVICE", "")
    return _simulated(name) if name else _hardware(environ, root)


def _hardware(environ: Mapping[str, str], root: Path) -> Device:
    device, looked = find_hardware(environ, root)
    if device is None:
        raise Unavailable(
            "No device that gives out attestation evidence was found.",
            found="; ".join(["SLS_TEE_DEVICE is not set", *looked]),
            expected="a SEV-SNP device with its certificates, configfs-tsm, or the socket of a simulated processor",
            hint="Run this inside a container group that a host of sls-jupyter started.",
        )
    return device


def _simulated(name: str) -> Device:
    path = Path(name)
    try:
        is_socket = stat.S_ISSOCK(path.stat().st_mode)
    except (OSError, ValueError):
        is_socket = False
    if not is_socket:
        raise Unavailable(
            "The simulated processor's socket is not there.",
            found=f"SLS_TEE_DEVICE={name}",
            expected="a Unix socket",
            hint="The host that started this group must keep its simulated processor running.",
        )
    return SimulatedDevice(path)
