"""What the utility VM says when it refuses a container, as our error with the container, the rule and the way out.

A denial of the policy comes as text around ``policyDecision< BASE64 >policyDecision``; the JSON within has ``decision``,
``reason.errors`` and, where it fits into 3 KiB, ``input``. All of it is another party's text: it is bounded, and shown
in one line; of variables only the names.

The framework's texts are about every container that is possible, so they may name the wrong thing, or nothing: where
no container fits, it complains of variables that a policy of ours would only have dropped. With the input, the question
is put to the judge here, which says in what it differs from the container that was meant.

Source: hcsshim ``pkg/securitypolicy/securitypolicy_options.go``.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sls_jupyter.contract.group import ContainerGroup
from sls_jupyter.documents import parse_json
from sls_jupyter.errors import MAX_SAID, MalformedDocument, Refused, printable
from sls_jupyter.hosts.judge.deciding import Judge
from sls_jupyter.hosts.judge.diagnosis import Difference
from sls_jupyter.hosts.judge.words import WORDS, Explained, explain, meaning

MAX_TEXT = 64 * 1024  # characters of one event that are looked at
MAX_DECISION_BYTES = 16 * 1024
MAX_DECISIONS = 8  # of one event
MAX_REASONS = 8
_DECISION = re.compile(r"policyDecision<\s{0,4}([A-Za-z0-9+/=_-]{2,24000})\s{0,4}>policyDecision")
_LAYERS = "{image} with its {layers} layers"
_EXPECTED = {
    "layer": _LAYERS,
    "layers": _LAYERS,
    "command": "the group's own command",
    "mounts": "the group's emptyDirs and /etc/resolv.conf",
    "working_directory": "/",
    "no_new_privileges": "allowPrivilegeEscalation: false",
    "privileged": "privileged: false",
    "user": "runAsUser and runAsGroup as the group says",
    "seccomp": "the profile whose digest the policy has",
    "capabilities": "none: the platform's 14 dropped by name",
    "devices": "none",
}
_VAGUE = {"environment": 1, "unknown": 2}
_UNNAMED = Explained(
    "unnamed",
    "",
    "Something differs from the policy that the framework does not name: mounts, group or seccomp profile, most likely.",
    "sls host doctor {host} --record FILE keeps what the platform starts; compare, and report the file.",
    "",
)
_VARIABLES = "invalid env list: "
_ASSIGNED = re.compile(r"(?<![A-Za-z0-9_])([A-Za-z_][A-Za-z0-9_]{0,127})(?==)")
_NAMED = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_PLAIN = ("deviceHash not found", "no matching containers for overlay", "denied by policy")


@dataclass(frozen=True, slots=True)
class Denial:
    """One decision of the policy against what the platform wanted to do."""

    errors: tuple[str, ...]  # the framework's texts, one line each, bounded
    point: str = ""  # enforcement point, such as create_container
    asked: Mapping[str, Any] = field(default_factory=dict, repr=False)  # the input; empty where it was left away

    @property
    def command(self) -> tuple[str, ...]:
        """Of the container that was to start, if the platform said it."""
        words = self.asked.get("argList")
        return _texts(words) if isinstance(words, list) else ()

    @property
    def explained(self) -> Explained:
        """The error that says most; one about variables says only that no container fits, for unknown ones are dropped."""
        found = sorted(map(explain, self.errors), key=lambda one: _VAGUE.get(one.rule, 0))
        first = found[0] if found else explain("")
        return _UNNAMED if first.rule == "environment" else first


def denials_in(text: str) -> tuple[Denial, ...]:
    """The decisions that a text of the platform carries. Never raises; what cannot be read is kept as its own text."""
    text = text[:MAX_TEXT]
    found = [_denial(one[1]) for one, _ in zip(_DECISION.finditer(text), range(MAX_DECISIONS), strict=False)]
    if found:
        return tuple(found)
    plain = next((one for one in _PLAIN if one in text), None)
    return (Denial((plain, printable(text, MAX_SAID))),) if plain else ()


def _denial(encoded: str) -> Denial:
    try:
        altered = b"-_" if re.search("[-_]", encoded) else None
        value = parse_json(
            base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=altered), max_bytes=MAX_DECISION_BYTES
        )
    except (binascii.Error, ValueError, MalformedDocument):
        return Denial(("a decision that cannot be read",))
    if not isinstance(value, dict):
        return Denial(("a decision that says nothing",))
    reason, given = value.get("reason"), value.get("input")
    errors = reason.get("errors") if isinstance(reason, dict) else reason
    texts = _texts(errors if isinstance(errors, list) else [errors])
    given = given if isinstance(given, dict) else {}
    point = next((one for one in (given.get("rule"), value.get("rule")) if isinstance(one, str)), "")
    asked = {name: one for name, one in given.items() if name != "rule"}
    return Denial(texts or ("no reason given",), printable(point, 60), asked)


def _texts(values: Sequence[Any]) -> tuple[str, ...]:
    found = [one for one in values[:MAX_REASONS] if isinstance(one, str) and one]
    return tuple(printable(_without_values(one), MAX_SAID) for one in found)


def _without_values(text: str) -> str:
    """A list of variables by their names: what one of them holds may be a secret of the platform."""
    if not text.startswith(_VARIABLES):
        return text
    listed = text[len(_VARIABLES) :]
    return _VARIABLES + ",".join(dict.fromkeys((_ASSIGNED if "=" in listed else _NAMED).findall(listed)))


def first_denial(texts: Iterable[tuple[str, str]]) -> tuple[str, Denial] | None:
    """The first denial among events, as (container or "", denial).

    Args:
        texts: (container or "", message) each.
    """
    for container, text in texts:
        for found in denials_in(text):
            return container, found
    return None


def container_of(denial: Denial, event_of: str, group: ContainerGroup) -> str:
    """Which container of the group it is about: by its command, else the one whose event it was; "" if unknown."""
    words = denial.command
    same = [one.name for one in group.containers if words and one.command[: len(words)] == words]
    return same[0] if len(same) == 1 else printable(event_of, 63)


def denied(denial: Denial, event_of: str, group: ContainerGroup, policy: bytes, host: str = "HOST") -> Refused:
    """The error of a denial.

    Args:
        event_of: the container whose event carried it; "" for the group's own.
        policy: the group's policy, to compare with where the platform said what it asked.
        host: what its user calls the host, for commands in hints.
    """
    container = container_of(denial, event_of, group)
    who = f"container {container}" if container else "a container"
    differing = _differing(denial, container, policy)
    rule = _explained(differing[0]) if differing else denial.explained
    image = {"image": group.image.reference, "layers": len(group.image.layers)}
    expected = _EXPECTED.get(rule.rule, "what the policy names").format(**image)
    said = "; ".join(denial.errors)
    return Refused(
        f"The utility VM refused {who}: {rule.means[:1].lower()}{rule.means[1:]}",
        found="; ".join([*(f"{one.rule} {printable(one.found, MAX_SAID)}" for one in differing), f"it says “{said}”"]),
        expected="; ".join(printable(one.expected, MAX_SAID) for one in differing) or expected,
        hint=rule.fix.replace("{host}", host),
        detail={
            "container": container,
            "rule": rule.rule,
            "what": rule.what,
            "point": denial.point,
            "errors": list(denial.errors),
        },
    )


def _differing(denial: Denial, container: str, policy: bytes) -> list[Difference]:
    """In what the container that was asked for differs from the policy's; layers are other questions."""
    if denial.point != "create_container" or not denial.command:
        return []
    try:
        found = Judge(policy).compare(denial.asked, container or None)
    except (MalformedDocument, TypeError, AttributeError):  # the platform's own words, of any shape
        return []
    return [one for one in found if one.rule not in ("layers", "started_twice")][:MAX_REASONS]


def _explained(difference: Difference) -> Explained:
    fix = next((one.fix for one in WORDS if one.rule == difference.rule), _UNNAMED.fix)
    return Explained(difference.rule, difference.found, meaning(difference.rule), fix, "")
