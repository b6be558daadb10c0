"""What every device that gives out evidence does for the guest it runs in."""

from __future__ import annotations

from typing import Protocol

from sls_jupyter.attestation.claims import Evidence
from sls_jupyter.errors import BadInput

REPORT_DATA_BYTES = 64


def require_report_data(report_data: bytes) -> None:
    """Refuse what does not fit into REPORT_DATA.

    Raises:
        BadInput: not 64 bytes.
    """
    if len(report_data) != REPORT_DATA_BYTES:
        raise BadInput("REPORT_DATA has 64 bytes.", found=f"{len(report_data)} bytes", expected="64 bytes")


class Device(Protocol):
    """Whatever gives out evidence about the guest it runs in."""

    def evidence(self, report_data: bytes) -> Evidence:
        """Evidence with these 64 bytes as REPORT_DATA.

        Raises:
            BadInput: not 64 bytes.
            Unavailable: the device does not answer, or not with evidence.
        """
        ...
