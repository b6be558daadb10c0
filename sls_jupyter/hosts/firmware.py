"""The local machine's stand-in for what a confidential machine has below the host: firmware and utility VM.

On Azure the utility VM reads the CCE policy from the host, the hardware puts its digest into every
report, and the utility VM admits only what the policy names. Here one object does the same for a local
group: it reads the policy's bytes back, admits each container or refuses it with the reason, and gives
out simulated evidence with that policy's digest and the measurement of the code that really is there.

It runs in the operator's own process, so it convinces nobody: that is why its evidence is of another kind.
Everything is denied that is not named. The order of the questions is that of hcsshim's ``framework.rego``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pydantic import Field, ValidationError

from sls_jupyter.contract import cce
from sls_jupyter.contract.group import Container, ContainerGroup
from sls_jupyter.contract.image import GuestImage, measure_installed
from sls_jupyter.documents import Model, parse_json
from sls_jupyter.errors import MalformedDocument, Refused

MAX_POLICY_BYTES = 1 << 20
EMPTY_DIR = "sandbox:///tmp/atlas/emptydir/"  # where the utility VM keeps emptyDirs
_CONTAINERS = "containers := "


# --- the policy, read back ------------------------------------------------------------------------


class PolicyEnvRule(Model):
    pattern: str
    required: bool
    strategy: Literal["string", "re2"]

    def admits(self, assignment: str) -> bool:
        """Whether ``NAME=value`` is what this rule allows; an expression must match all of it."""
        if self.strategy == "string":
            return assignment == self.pattern
        try:
            return re.fullmatch(self.pattern, assignment) is not None
        except re.error:
            return False


class PolicyMount(Model):
    destination: str
    options: tuple[str, ...]
    source: str  # a regular expression
    type: Literal["bind"]

    def admits(self, source: str, destination: str, access: str) -> bool:
        """Whether a mount with this access, ``ro`` or ``rw``, is what this rule allows."""
        options = ("rbind", "rshared", access)
        return (destination, options) == (self.destination, self.options) and bool(re.fullmatch(self.source, source))


class PolicyContainer(Model):
    """One container of the policy. What this machine cannot give (a privilege, a shell) has no value here."""

    allow_elevated: Literal[False]
    allow_stdio_access: Literal[False]
    capabilities: dict[str, tuple[()]]
    command: tuple[str, ...]
    env_rules: tuple[PolicyEnvRule, ...]
    exec_processes: tuple[()]
    id: str = ""  # the pause container has none
    layers: tuple[str, ...]
    mounts: tuple[PolicyMount, ...]
    name: str
    no_new_privileges: Literal[True]
    seccomp_profile_sha256: str
    signals: tuple[Literal[9], Literal[15]]
    user: dict[str, object]
    working_dir: Literal["/"]


class _Policy(Model):
    containers: tuple[PolicyContainer, ...] = Field(max_length=64)


def _frame() -> list[str]:
    """The lines of a policy without containers: all that is not about a container is the same in every policy."""
    return cce.render(ContainerGroup(GuestImage("", (), b""), ())).decode().split("\n")


def read_policy(policy: bytes) -> tuple[PolicyContainer, ...]:
    """The containers of a policy, if every other byte is as :func:`cce.render` writes it.

    Raises:
        MalformedDocument: it is not a policy of ours, to the byte.
    """
    try:
        lines = policy.decode("ascii").split("\n") if len(policy) <= MAX_POLICY_BYTES else []
    except UnicodeDecodeError:
        lines = []
    frame = _frame()
    place = next(number for number, line in enumerate(frame) if line.startswith(_CONTAINERS))
    pairs = enumerate(zip(lines, frame, strict=False))
    changed = [number for number, (line, ours) in pairs if line != ours and number != place]
    if changed or len(lines) != len(frame) or not lines[place].startswith(_CONTAINERS):
        raise MalformedDocument(
            "This is not a CCE policy as this version writes it.",
            found=f"other text in line {changed[0] + 1}" if changed else f"{len(lines)} lines",
            expected=f"{len(frame)} lines, of which only the containers vary",
            hint="Render the policy with the same version of sls-jupyter on both sides.",
        )
    return _read_containers(lines[place].removeprefix(_CONTAINERS))


def _read_containers(text: str) -> tuple[PolicyContainer, ...]:
    value = parse_json(text.encode(), max_bytes=MAX_POLICY_BYTES)
    if json.dumps(value, sort_keys=True, ensure_ascii=True) != text:
        raise MalformedDocument("The containers of a CCE policy are not in their one form.")
    try:
        return _Policy.model_validate_json(json.dumps({"containers": value})).containers
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MalformedDocument(
            "A CCE policy allows what this machine cannot enforce.",
            found=f"{where}: {first['msg']}",
            hint="Render the policy with sls_jupyter.contract.cce.render.",
        ) from None


# --- admission ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StartRequest:
    """What a host asks to be started. Its words are the host's own; only the policy makes them true."""

    name: str  # for messages, never for a decision
    command: tuple[str, ...]
    environment: tuple[str, ...]  # NAME=value
    mounts: tuple[tuple[str, str, str], ...]  # source, destination, ro or rw
    seccomp_sha256: str  # of the profile that will be applied; "" for none


def start_request(container: Container, environment: Iterable[str]) -> StartRequest:
    """The request that starts ``container`` of a group with this environment."""
    return StartRequest(
        name=container.name,
        command=container.command,
        environment=tuple(environment),
        mounts=tuple(
            (EMPTY_DIR + mount.volume, mount.destination, "ro" if mount.read_only else "rw")
            for mount in container.mounts
        ),
        seccomp_sha256=container.seccomp_sha256,
    )


def _environment_admitted(rules: Iterable[PolicyEnvRule], environment: tuple[str, ...]) -> bool:
    rules = tuple(rules)
    names = [assignment.partition("=")[0] for assignment in environment]
    allowed = all(any(rule.admits(assignment) for rule in rules) for assignment in environment)
    complete = all(any(rule.admits(assignment) for assignment in environment) for rule in rules if rule.required)
    return allowed and complete and len(names) == len(set(names))


def _mounts_admitted(rules: tuple[PolicyMount, ...], mounts: tuple[tuple[str, str, str], ...]) -> bool:
    """Every mount has its own rule and every rule its mount."""
    pairs = zip(
        sorted(rules, key=lambda rule: rule.destination), sorted(mounts, key=lambda pair: pair[1]), strict=False
    )
    return len(rules) == len(mounts) and all(rule.admits(*mount) for rule, mount in pairs)


class Stoppable(Protocol):
    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Question:
    """One thing that a container of the policy and a request must agree on."""

    about: str
    agrees: Callable[[PolicyContainer], bool]
    found: object
    expected: Callable[[PolicyContainer], object]


def _questions(request: StartRequest, layers: tuple[str, ...]) -> tuple[_Question, ...]:
    names = [assignment.partition("=")[0] for assignment in request.environment]
    return (
        _Question("code", lambda item: item.layers == layers, ", ".join(layers), lambda item: ", ".join(item.layers)),
        _Question(
            "command",
            lambda item: item.command == request.command,
            " ".join(request.command),
            lambda item: " ".join(item.command),
        ),
        _Question(
            "environment",
            lambda item: _environment_admitted(item.env_rules, request.environment),
            names,  # never the values
            lambda item: [rule.pattern for rule in item.env_rules],
        ),
        _Question(
            "list of mounts",
            lambda item: _mounts_admitted(item.mounts, request.mounts),
            [f"{destination} ({access})" for _, destination, access in request.mounts],
            lambda item: [f"{rule.destination} ({rule.options[-1]})" for rule in item.mounts],
        ),
        _Question(
            "seccomp profile",
            lambda item: item.seccomp_profile_sha256 == request.seccomp_sha256,
            request.seccomp_sha256 or "none",
            lambda item: item.seccomp_profile_sha256 or "none",
        ),
    )


class Firmware:
    """One group's policy, enforced. Each container of the policy starts once.

    Args:
        policy: the bytes whose SHA-256 is HOST_DATA.
        measure: measures the guest code as it is now; an argument for tests only.

    Raises:
        MalformedDocument: :func:`read_policy`.
    """

    def __init__(self, policy: bytes, *, measure: Callable[[], GuestImage] = measure_installed) -> None:
        self._containers = read_policy(policy)
        self._started: set[int] = set()  # places in the policy
        self._measure = measure
        self.host_data = cce.host_data(policy)  # 32 bytes
        self.measurement = measure().measurement  # 48 bytes, fixed when the group is launched, as in hardware

    def admit(self, request: StartRequest) -> None:
        """Let one container start, or say why not.

        The code on disk is measured again. Each question narrows the policy's containers down; the first
        that leaves none is the reason.

        Raises:
            Refused: the policy has no such container, or it was started before.
        """
        left = dict(enumerate(self._containers))
        for question in _questions(request, self._measure().layers):
            agreeing = {place: item for place, item in left.items() if question.agrees(item)}
            if not agreeing:
                raise self._refusal(request, question, list(left.values()))
            left = agreeing
        waiting = sorted(set(left) - self._started)
        if not waiting:
            raise Refused(f"The container {request.name} is started a second time.", expected="one start")
        self._started.add(waiting[0])

    @staticmethod
    def _refusal(request: StartRequest, question: _Question, left: list[PolicyContainer]) -> Refused:
        """The refusal, with what the policy says about the container that was most likely meant."""
        meant = next((item for item in left if item.name == request.name), left[0] if left else None)
        return Refused(
            f"The policy of this group does not admit the container {request.name}: another {question.about}.",
            found=question.found,
            expected=question.expected(meant) if meant else "nothing: the policy has no containers",
            hint="Plan the run again; if the package was updated since, restart the kernel first.",
            detail={"container": request.name, "reason": question.about},
        )

    def serve_device(self, path: Path, machine_folder: Path) -> Stoppable:
        """Give out simulated evidence of this group on a Unix socket, until stopped.

        Args:
            path: of the socket; at most 107 bytes.
            machine_folder: where this machine's development chain is kept.

        Raises:
            Unavailable: the chain or the socket cannot be made.
        """
        from sls_jupyter.attestation.device import serve_simulated
        from sls_jupyter.attestation.simulated import DevelopmentChain, SimulatedProcessor

        processor = SimulatedProcessor(DevelopmentChain.load_or_create(machine_folder))
        return serve_simulated(
            path,
            lambda report_data: processor.evidence(report_data, host_data=self.host_data, measurement=self.measurement),
        )
