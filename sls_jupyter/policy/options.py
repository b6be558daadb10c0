"""An owner's words, from the options of ``%seal`` or a YAML file, turned into an :class:`OwnerPolicy`.

Both take the same fields. A list may be given as one text with commas or as several values; a purpose is
never split. Durations count from ``now``, which is an argument.
"""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import yaml
from pydantic import ValidationError

from sls_jupyter.contract.platform import FRAGMENTS
from sls_jupyter.contract.spec import KINDS
from sls_jupyter.errors import BadInput, MalformedDocument
from sls_jupyter.identity import public_key_from_did
from sls_jupyter.naming import split_names
from sls_jupyter.policy.model import HARDWARE_TEES, SIMULATED_TEES, OwnerPolicy
from sls_jupyter.tcb import BULLETINS, bulletin_fault, floor_fault

MAX_YAML_CHARACTERS = 64 * 1024
KNOWN_TEES = (*HARDWARE_TEES, *SIMULATED_TEES)
_PEOPLE = {"requester": "requesters", "recipient": "recipients", "approver": "approvers"}  # option -> field
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
REGISTERS = ("rtmr0", "rtmr1", "rtmr2", "rtmr3")  # of TDX
_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whom an option names."""

    did: str
    key: str | None = None  # SHA-256 of the HPKE key that the owner knows of them; a recipient's is pinned


def by_did(word: str) -> Person:
    """The person whose DID this is; no key of theirs is known.

    Raises:
        MalformedDocument: it is no DID.
    """
    public_key_from_did(word)
    return Person(word)


Lookup = Callable[[str], Person]


def policy_from_options(owner: str, *, now: int, people: Lookup = by_did, **options: object) -> OwnerPolicy:
    """Build a policy from the options of ``%seal``, named with underscores or hyphens.

    Args:
        owner: DID of the owner.
        now: seconds since 1970-01-01 UTC; durations in ``expires`` count from it.
        people: whom a word of ``requester``, ``recipient`` or ``approver`` means; only DIDs mean somebody by default.
        options: ``allow_code``, ``requester``, ``columns``, ``purpose``, ``kinds``, ``min_group``, ``max_rows``,
            ``max_bytes``, ``max_runs``, ``no_sessions``, ``max_cells``, ``expires``, ``tee``, ``minimum_tcb``,
            ``bulletin``, ``mitigations``, ``registers``, ``recipient``, ``approver``,
            ``approvals``, ``full_errors``, ``module``. ``None`` is the same as not given.

    Raises:
        BadInput: an option that does not exist, or a value that means nothing, with what would.
    """
    return _policy(owner, options, now, people)


def _policy(owner: str, options: Mapping[str, object], now: int, people: Lookup) -> OwnerPolicy:
    fields: dict[str, Any] = {}
    for given, value in options.items():
        name = given.replace("_", "-")
        if name not in _READERS and name not in _PEOPLE:
            raise BadInput("A policy has no such field.", found=given, hint=_nearest(name, (*_READERS, *_PEOPLE)))
        if value is not None and name in _PEOPLE:
            fields |= _named(name, value, people)
        elif value is not None:
            fields |= _READERS[name](name, value, now)
    try:
        return OwnerPolicy(owner=owner, **fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "policy"
        raise BadInput(
            "These policy options do not go together.",
            found=f"{where}: {first['msg'].removeprefix('Value error, ')}",
            hint="%seal --help lists the options and what they mean.",
        ) from None


class _Loader(yaml.SafeLoader):
    """Reads what a SafeLoader reads, but a field twice: of two, the last one would win silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key, yaml.ScalarNode) or key.tag.endswith(":merge"):
                continue
            name = self.construct_object(key)
            if name in names:
                raise _field_twice(f"{str(key.value)[:100]} in line {key.start_mark.line + 1}")
            names.add(name)
        return super().construct_mapping(node, deep)


def _field_twice(found: str) -> BadInput:
    return BadInput("The policy file gives a field twice.", found=found, hint="Keep one, with a list of values.")


def policy_from_yaml(text: str, owner: str, now: int, people: Lookup = by_did) -> OwnerPolicy:
    """Build a policy from YAML with the same fields as the options of ``%seal``.

    Raises:
        BadInput: not YAML, not a mapping, a field twice at any depth, or as :func:`policy_from_options`.
    """
    hint = "For instance: allow-code: reviewed"
    if len(text) > MAX_YAML_CHARACTERS:
        raise BadInput("A policy file is too large.", found=f"{len(text)} characters", expected=MAX_YAML_CHARACTERS)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        found = f"line {where.line + 1}: {getattr(error, 'problem', '')}" if where else type(error).__name__
        raise BadInput("The policy file is not YAML.", found=found, hint=hint) from None
    if not (isinstance(node, yaml.MappingNode) and isinstance(values, dict)) or not all(
        isinstance(name, str) for name in values
    ):
        raise BadInput("A policy file is a list of fields and values.", found=type(values).__name__, hint=hint)
    names = [key.value.replace("_", "-") for key, _ in node.value]
    if len(names) != len(set(names)):
        twice = next(name for name in names if names.count(name) > 1)
        raise _field_twice(twice)
    return _policy(owner, values, now, people)


# --- readers: (name, value, now) -> fields ----------------------------------------------------------

_Reader = Callable[[str, object, int], dict[str, Any]]


def _nearest(word: str, words: Mapping[str, object] | tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word, list(words), n=1)
    return f"Did you mean {close[0]}?" if close else "Possible are: " + ", ".join(words)


def _texts(name: str, value: object) -> list[str]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, (list, tuple)) or not all(isinstance(item, str) and item.strip() for item in values):
        raise BadInput(f"The field {name} takes text.", found=_shown(value), expected="one text or a list of texts")
    return [item.strip() for item in values]


def _words(name: str, value: object) -> list[str]:
    """Texts, each split at its commas."""
    words = [word.strip() for text in _texts(name, value) for word in text.split(",")]
    if not all(words):
        raise BadInput(f"The field {name} has an empty item.", found=_shown(value), hint="Leave out extra commas.")
    return words


def _shown(value: object) -> str:
    """A bounded picture of any value: YAML can name one list a billion times, and numbers too long to print."""
    try:
        return reprlib.repr(value)[:80]
    except ValueError:
        return "a very large number"


def _plain(value: object) -> str:
    """A text or a number as text; empty for anything else."""
    if isinstance(value, str):
        return value.strip().lower()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else ""


def _one_of(name: str, words: list[str], known: tuple[str, ...]) -> list[str]:
    for word in words:
        if word not in known:
            raise BadInput(f"The field {name} has no such value.", found=word[:80], hint=_nearest(word, known))
    return words


def _sorted_words(field: str, known: tuple[str, ...] = ()) -> _Reader:
    def read(name: str, value: object, _: int) -> dict[str, Any]:
        words = _one_of(name, _words(name, value), known) if known else _words(name, value)
        return {field: tuple(sorted(set(words)))}

    return read


def _columns(name: str, value: object, _: int) -> dict[str, Any]:
    """One text is split at its commas, but for quoted ones; a list is taken as it is."""
    names = split_names(value) if isinstance(value, str) else _texts(name, value)
    if not all(names):
        raise BadInput(f"The field {name} has an empty item.", found=_shown(value), hint="Leave out extra commas.")
    return {"columns": tuple(sorted(set(names)))}


def _purposes(name: str, value: object, _: int) -> dict[str, Any]:
    return {"purposes": tuple(sorted(set(_texts(name, value))))}


def _kinds(name: str, value: object, _: int) -> dict[str, Any]:
    words = _one_of(name, _words(name, value), KINDS)
    return {"kinds": tuple(kind for kind in KINDS if kind in words)}


def _named(name: str, value: object, lookup: Lookup) -> dict[str, Any]:
    """The people of a field; of recipients also the keys that are known."""
    found: dict[str, Person] = {}
    for word in _words(name, value):
        try:
            person = lookup(word)
        except MalformedDocument:
            hint = "Ask the person for it: %sls whoami shows one's own DID."
            raise BadInput(f"The field {name} takes DIDs.", found=word[:80], expected="did:key:z6Mk…", hint=hint)
        if found.setdefault(person.did, person).key != person.key:
            raise BadInput(f"The field {name} names one person with two keys.", found=person.did, hint="Keep one.")
    fields: dict[str, Any] = {_PEOPLE[name]: tuple(sorted(found))}
    if name == "recipient":
        fields["recipient_keys"] = {did: person.key for did, person in found.items() if person.key is not None}
    return fields


def _number(field: str, least: int) -> _Reader:
    def read(name: str, value: object, _: int) -> dict[str, Any]:
        number = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}", value.strip()) else value
        if not isinstance(number, int) or isinstance(number, bool) or not least <= number < 10**15:
            raise BadInput(f"The field {name} takes a whole number.", found=_shown(value), expected=f"{least} or more")
        return {field: number}

    return read


def _size(name: str, value: object, _: int) -> dict[str, Any]:
    found = re.fullmatch(r"([0-9]{1,15})\s*(k|m|g|ki|mi|gi|)b?", _plain(value))
    number = int(found.group(1)) * _BYTES[found.group(2)] if found else -1
    if not 0 <= number < 2**53:
        raise BadInput(
            f"The field {name} takes a size.", found=_shown(value), expected="a number such as 500000 or 64MiB"
        )
    return {"max_bytes": number}


def _flag(field: str, *, means: bool = True) -> _Reader:
    """True or false; ``means`` is what the field is when the option is true."""

    def read(name: str, value: object, _: int) -> dict[str, Any]:
        if not isinstance(value, bool):
            raise BadInput(f"The field {name} is true or false.", found=_shown(value))
        return {field: value is means}

    return read


def _expires(name: str, value: object, now: int) -> dict[str, Any]:
    """A duration from now, or a moment in UTC, which is later than now."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})\s*([mhdw])", _plain(value))
    if found is not None:
        return {"expires_at": now + int(found.group(1)) * _SECONDS[found.group(2)]}
    moment = _moment(value)
    if moment is None:
        expected = "for instance 30d, 12h or 4w, or a moment such as 2027-01-15T08:00:00Z"
        raise BadInput(f"The field {name} takes a duration.", found=_shown(value), expected=expected)
    if moment <= now:
        hint = "Choose a later one, or leave it away: never."
        raise BadInput(f"The moment of {name} is over.", found=_shown(value), hint=hint)
    return {"expires_at": moment}


def _moment(value: object) -> int | None:
    """Seconds since 1970 of ``2027-01-15T08:00:00Z``; YAML has read it already."""
    if isinstance(value, datetime):
        return int(value.replace(tzinfo=value.tzinfo or UTC).timestamp())
    if not isinstance(value, str) or not _MOMENT.fullmatch(value.strip()):
        return None
    try:
        return int(datetime.fromisoformat(value.strip()).timestamp())
    except ValueError:
        return None


def _code(name: str, value: object, _: int) -> dict[str, Any]:
    """``any``; ``reviewed`` (also ``approved``), with digests that need no review; or only digests."""
    words = ["reviewed" if word == "approved" else word for word in _words(name, value)]
    digests = sorted({word for word in words if re.fullmatch(r"sha256:[0-9a-f]{64}", word)})
    modes = {word for word in words if word not in digests}
    expected = "any, reviewed, or sha256: and 64 lower-case hex digits"
    if not modes <= {"any", "reviewed"}:
        raise BadInput(f"The field {name} has no such value.", found=sorted(modes)[0][:80], expected=expected)
    if len(modes) > 1 or ("any" in modes and digests):
        raise BadInput(f"The values of {name} contradict each other.", found=", ".join(words)[:200], hint="Keep one.")
    return {"code": modes.pop() if modes else "listed", "code_digests": tuple(digests)}


def _tcb(name: str, value: object, _: int) -> dict[str, Any]:
    """``{sev-snp: {snp: 20}}``, or of one product ``{sev-snp/Milan: {snp: 20}}``."""
    if not isinstance(value, dict) or not all(isinstance(parts, dict) for parts in value.values()):
        raise BadInput(
            f"The field {name} takes versions per TEE.",
            found=_shown(value),
            expected="for instance {sev-snp: {snp: 20}}",
        )
    for platform, floor in value.items():
        if fault := floor_fault(str(platform), map(str, floor)):
            raise BadInput(
                f"The field {name} has a floor that no machine is measured against.",
                found=fault,
                expected="a kind or a kind and its product, and components of it, for instance {sev-snp/Milan: {snp: 24}}",
            )
    return {"minimum_tcb": value}


def _bulletins(name: str, value: object, _: int) -> dict[str, Any]:
    words = sorted({word.upper() for word in _words(name, value)})
    for word in words:
        if fault := bulletin_fault(word):
            raise BadInput(f"The field {name} has no such value.", found=fault, expected=", ".join(BULLETINS))
    return {"bulletins": tuple(words)}


def _mitigations(name: str, value: object, _: int) -> dict[str, Any]:
    """Bits of the mitigation vectors of a SEV-SNP report: one number or a list."""
    bits = value if isinstance(value, list | tuple) else [value]
    if not bits or not all(type(bit) is int and 0 <= bit < 64 for bit in bits):
        raise BadInput(f"The field {name} takes bits.", found=_shown(value), expected="numbers from 0 to 63")
    return {"mitigations": tuple(sorted(set(bits)))}


def _registers(name: str, value: object, _: int) -> dict[str, Any]:
    """``{rtmr1: HEX}``, or a list of values for a register."""
    found = value if isinstance(value, dict) else {}
    lists = {key: [values] if isinstance(values, str) else values for key, values in found.items()}
    if not lists or not all(
        key in REGISTERS
        and isinstance(values, list)
        and values
        and all(isinstance(text, str) and re.fullmatch(r"[0-9a-f]{96}", text) for text in values)
        for key, values in lists.items()
    ):
        raise BadInput(
            f"The field {name} takes values of run-time registers.",
            found=_shown(value),
            expected="for instance {rtmr1: 96 lower-case hex digits}, of rtmr0 to rtmr3",
        )
    return {"registers": {key: tuple(sorted(set(values))) for key, values in lists.items()}}


def _module(name: str, value: object, _: int) -> dict[str, Any]:
    (text,) = _texts(name, value)[:1] or ("",)
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", text):
        raise BadInput(f"The field {name} takes the digest of a module.", found=text[:80], expected="sha256:…")
    return {"module": text}


_READERS: dict[str, _Reader] = {
    "allow-code": _code,
    "columns": _columns,
    "purpose": _purposes,
    "kinds": _kinds,
    "min-group": _number("min_group", 1),
    "max-rows": _number("max_rows", 0),
    "max-bytes": _size,
    "max-runs": _number("max_runs", 1),
    "no-sessions": _flag("sessions", means=False),
    "max-cells": _number("max_cells", 1),
    "expires": _expires,
    "tee": _sorted_words("tees", KNOWN_TEES),
    "minimum-tcb": _tcb,
    "bulletin": _bulletins,
    "mitigations": _mitigations,
    "fragment": _sorted_words("fragments", FRAGMENTS),
    "registers": _registers,
    "approvals": _number("required_approvals", 1),
    "full-errors": _flag("full_errors"),
    "module": _module,
}
