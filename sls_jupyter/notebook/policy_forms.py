"""The options of ``%seal`` as fields of a form, filled in with a policy, and back: texts to options."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sls_jupyter.contract.platform import FRAGMENTS
from sls_jupyter.contract.spec import KINDS
from sls_jupyter.documents import parse_json
from sls_jupyter.errors import BadInput
from sls_jupyter.naming import among, quoted, split_names
from sls_jupyter.notebook.parsers import CONFIDENTIAL, POLICY_FIELDS, seal_parser
from sls_jupyter.notebook.seal_cells import IN_A_FILE
from sls_jupyter.policy.model import DEFAULT_KINDS, HARDWARE_TEES
from sls_jupyter.policy.options import KNOWN_TEES
from sls_jupyter.policy.written import options_of
from sls_jupyter.session import AssetInfo

YES, NO = "yes", "no"
_MODES = ("reviewed", "any")
_SETS: Mapping[str, tuple[str, ...]] = {"kinds": KINDS, "tee": KNOWN_TEES, "fragment": FRAGMENTS}
_DEFAULTS: Mapping[str, tuple[str, ...]] = {"kinds": DEFAULT_KINDS, "tee": HARDWARE_TEES}
_COMMAS = frozenset({"kinds", "tee", "columns"})  # lists that stand in one word of a line
_FILE_HELP = "as JSON; it can only stand in a file, so the cell writes one"


@dataclass(frozen=True, slots=True)
class PolicyField:
    """One option: ``value`` is a text, of a list one item a line."""

    name: str  # as on a line, without the hyphens before it
    value: str
    help: str
    choices: tuple[str, ...] = ()
    many: bool = False


def policy_fields(info: AssetInfo | None) -> tuple[PolicyField, ...]:
    """Every option of a policy, with what the one in force says; without one, with the careful default.

    Fields that no line has are among them where the policy in force has them, so that nothing of it gets lost.

    Raises:
        BadInput: the policy in force is a module of its owner's.
    """
    if info is None:
        return fields_of({}, ())
    fields = fields_of(options_of(info.policy), info.manifest.columns if info.manifest.kind == "table" else ())
    if info.manifest.kind == "code":
        value = YES if info.manifest.confidential else NO
        fields = (*fields, PolicyField("confidential", value, CONFIDENTIAL, (NO, YES)))
    return fields


def fields_of(options: Mapping[str, Any], columns: Sequence[str]) -> tuple[PolicyField, ...]:
    """Every field with what these options say.

    Args:
        columns: of the table, where they are known.
    """
    return (
        *(_field(dest, options, columns) for dest in POLICY_FIELDS),
        *(
            PolicyField(name.replace("_", "-"), json.dumps(options[name], sort_keys=True), _FILE_HELP)
            for name in sorted(IN_A_FILE & set(options))
        ),
    )


def _field(dest: str, options: Mapping[str, Any], columns: Sequence[str]) -> PolicyField:
    action = seal_parser(False).action_of(dest)
    name, words = dest.replace("_", "-"), action.help or ""
    if action.nargs == 0:
        return PolicyField(name, YES if options.get(dest) else NO, words, (NO, YES))
    if dest == "allow_code":
        value = str(options.get(dest, "reviewed"))
        return PolicyField(name, value, words, tuple(dict.fromkeys((*_MODES, value))))
    values = tuple(_values(dest, options))
    if dest == "columns":
        return PolicyField(name, "\n".join(map(quoted, values)), words, tuple(map(quoted, columns)), many=True)
    many = dest in _COMMAS or _appends(dest)
    return PolicyField(name, "\n".join(values), words, _SETS.get(dest, ()), many=many)


def _appends(dest: str) -> bool:
    return type(seal_parser(False).action_of(dest)).__name__ == "_AppendAction"


def _values(dest: str, options: Mapping[str, Any]) -> Iterator[str]:
    """What an option says, item by item; where it is the default, what that means."""
    value = options.get(dest, _DEFAULTS.get(dest, ()))
    if isinstance(value, str) and dest in _COMMAS:
        value = split_names(value)
    yield from map(str, value) if isinstance(value, list | tuple) else [str(value)]


# --- back -----------------------------------------------------------------------------------------


def options_from(texts: Mapping[str, str], columns: Collection[str] = ()) -> tuple[dict[str, Any], bool]:
    """The options of a policy that a filled-in form says, and whether code is confidential.

    Empty fields, and those that say the default, are left out. Which values mean something is found out where a policy is
    made of them.

    Args:
        texts: by the fields' names. columns: of the table, where they are known.

    Raises:
        BadInput: there is no such field, or its text is not of its form.
    """
    options: dict[str, Any] = {}
    given = {name.replace("-", "_"): text.strip() for name, text in texts.items()}
    confidential = _flag("confidential", given.pop("confidential", NO) or NO)
    if unknown := sorted(set(given) - {*POLICY_FIELDS, *IN_A_FILE}):
        raise BadInput("A policy has no such field.", found=unknown[0][:80], expected=", ".join(POLICY_FIELDS))
    for dest in (*POLICY_FIELDS, *sorted(IN_A_FILE)):
        if given.get(dest):
            value = _option(dest, given[dest], columns)
            options |= {} if value is None else {dest: value}
    return options, confidential


def _option(dest: str, text: str, columns: Collection[str]) -> Any:
    if dest in IN_A_FILE:
        return parse_json(text.encode())
    if seal_parser(False).action_of(dest).nargs == 0:
        return True if _flag(dest, text) else None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if dest == "columns":
        return ",".join(
            quoted(name) for line in lines for name in (among(line, columns) if columns else split_names(line))
        )
    if dest in _COMMAS:
        chosen = [word.strip() for line in lines for word in line.split(",")]
        return None if set(chosen) == set(_DEFAULTS[dest]) else ",".join(chosen)
    if not _appends(dest) and len(lines) > 1:
        raise BadInput(f"The field {dest.replace('_', '-')} takes one value.", found=f"{len(lines)} lines")
    return lines if _appends(dest) else lines[0]


def _flag(name: str, text: str) -> bool:
    if text not in (YES, NO):
        raise BadInput(f"The field {name.replace('_', '-')} is {YES} or {NO}.", found=text[:40])
    return text == YES
