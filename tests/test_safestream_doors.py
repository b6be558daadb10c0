"""The notebook's side of the doors: no connection without evidence, no waiting for what has ended."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from builders import chain, person

from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.attestation.binding import door_report_data
from sls_jupyter.attestation.device.simulated import SimulatedProcessor
from sls_jupyter.errors import EvidenceRejected, Unavailable
from sls_jupyter.guest.door import Door
from sls_jupyter.safestream.doors import AttestedDoor, DoorRole, Expected

HOST_DATA, MEASUREMENT = bytes(32), bytes(range(48))
EXPECTED = Expected(
    TrustAnchors(simulated_ark_spki=frozenset({chain().root_pin})), ("simulated-snp",), MEASUREMENT, HOST_DATA
)
NOW = datetime.now(UTC)


class Machine:
    """A simulated machine; ``data`` replaces what a guest asks to be bound, as a proxy's would."""

    def __init__(self, data: bytes | None = None) -> None:
        self._data, self._processor = data, SimulatedProcessor(chain())

    def evidence(self, report_data: bytes) -> Any:
        data = self._data or report_data
        return self._processor.sign(self._processor.report(data, host_data=HOST_DATA, measurement=MEASUREMENT))


def served(machine: Machine, role: DoorRole = "input") -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    Door(role, machine, lambda body, caller: None).serve(f"127.0.0.1:{port}")
    return port


def opened(port: int, expected: Expected = EXPECTED, **options: Any) -> AttestedDoor:
    deadline = time.monotonic() + options.pop("seconds", 10)
    key = person("analyst").signing
    options.setdefault("role", "input")
    return AttestedDoor.open("127.0.0.1", port, key, expected, now=NOW, deadline=deadline, **options)


def test_a_door_opens_on_its_own_evidence_only() -> None:
    """A proxy that forwards a real group's evidence has another certificate than the one in it."""
    door = opened(served(Machine()))
    assert door.result.claims.simulated
    door.close()
    with pytest.raises(EvidenceRejected, match="report_data"):
        opened(served(Machine(door_report_data("input", bytes(32), b"another key"))))


def test_a_door_is_the_one_that_was_asked_for() -> None:
    """All containers of a group have one report: the operator could put an input where the output is wanted."""
    with pytest.raises(EvidenceRejected, match="report_data"):
        opened(served(Machine(), "input"), role="output")


def test_both_doors_are_of_one_guest() -> None:
    """A policy admits a second group of the same containers: the code would go to one and the results come from another."""
    first = opened(served(Machine()))
    guest = first.result.claims.report_id
    first.close()
    machine = Machine()
    with pytest.raises(EvidenceRejected, match="report_id"):
        opened(served(machine), replace(EXPECTED, report_id=guest))
    opened(served(machine), replace(EXPECTED, report_id=machine._processor.report_id.hex())).close()


@pytest.mark.parametrize(
    "changed",
    [
        {"measurement": bytes(48)},
        {"init_data": bytes([1]) * 32},
        {"tees": ("sev-snp",)},
        {"anchors": TrustAnchors(simulated_ark_spki=frozenset())},
    ],
)
def test_another_group_than_the_expected_one_is_refused(changed: dict[str, Any]) -> None:
    """Other code, another policy, another kind, another root: no contract is handed over."""
    expected = Expected(**({name: getattr(EXPECTED, name) for name in EXPECTED.__slots__} | changed))
    with pytest.raises(EvidenceRejected):
        opened(served(Machine()), expected)


def test_a_door_that_never_opens_is_not_waited_for_when_its_container_ended() -> None:
    """A container that dies while starting costs no minute."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    start = time.monotonic()
    with pytest.raises(Unavailable):
        opened(port, seconds=60, alive=lambda: False)
    assert time.monotonic() - start < 5


def test_something_else_behind_the_port_is_said_to_be_so() -> None:
    """A port that another program took answers with anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello")
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(Unavailable):
            opened(listening.getsockname()[1], seconds=0.2)
