"""Editing a policy: what is in force, what would be, and what that changes, in words, before anything is published."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import yaml

from sls_jupyter.notebook.cards import Block, Bullets, Card, Heading, Line, Mono, Table
from sls_jupyter.notebook.words import takes_simulated
from sls_jupyter.policy.model import OwnerPolicy
from sls_jupyter.policy.words import describe_changes, describe_policy
from sls_jupyter.policy.written import options_of
from sls_jupyter.session import AssetInfo, Session

_NO_OPTION = frozenset({"minimum_tcb", "mitigations", "registers"})  # of %seal; a file for --policy has it


def seal_line(frame: str, options: Mapping[str, Any]) -> str:
    """The ``%seal`` line that says the same as these options."""
    words = ["%seal", frame]
    for name, value in options.items():
        if name in _NO_OPTION:
            continue
        for one in value if isinstance(value, list) else [value]:
            words.append(f"--{name.replace('_', '-')}")
            words += [] if one is True else [_quoted(str(one))]
    return " ".join(words)


def _quoted(word: str) -> str:
    """A word as it stands on a magic's line, where ``$`` and braces have a meaning."""
    return shlex.quote(word.replace("$", "$$").replace("{", "{{").replace("}", "}}"))


def policy_yaml(options: Mapping[str, Any]) -> str:
    """The same as a file for ``--policy``."""
    fields = {name.replace("_", "-"): value for name, value in options.items() if name != "as"}
    return str(yaml.safe_dump(fields, sort_keys=False, allow_unicode=True))


def not_on_a_line(options: Mapping[str, Any]) -> str:
    """What a ``%seal`` line cannot say of these options."""
    left = [name.replace("_", "-") for name in options if name in _NO_OPTION]
    return f"{', '.join(left)} can only stand in a file: seal with --policy FILE, with the YAML." if left else ""


def start_from(info: AssetInfo | None) -> dict[str, Any]:
    """The options that an edit begins with: those of the policy in force, or the careful default.

    Raises:
        BadInput: the policy in force cannot be said in options.
    """
    return {"allow_code": "reviewed"} if info is None else options_of(info.policy)


def changes_of(info: AssetInfo | None, new: OwnerPolicy, names: Mapping[str, str]) -> list[str]:
    """What a new policy changes, a sentence each."""
    if info is None:
        return ["+ There is no policy of this name in force: this one is the first."]
    return list(describe_changes(info.policy, new, names)) or ["The policy stays as it is."]


def edit_card(session: Session, frame: str, given: Mapping[str, Any]) -> Card:
    """The policy in force, or what these options would change of it; nothing is published.

    Raises:
        BadInput, UnknownName: an option means nothing, or the policy in force cannot be said in options.
    """
    info, names = session.in_force(frame), session.names()
    options = {**start_from(info), **{name: value for name, value in given.items() if value is not None}}
    new = session.policy_from(**options)
    blocks: list[Block] = []
    if given or info is None:
        blocks += [Heading("What would change"), Bullets(changes_of(info, new, names))]
    title = "The policy in force" if info is not None and not given else "The policy then"
    blocks += [Heading(title), Bullets([*describe_policy(new, names), *session.accepted_images()])]
    note = not_on_a_line(options)
    blocks += [
        Heading("To publish it"),
        Table(("the same on a line",), [(Mono(seal_line(frame, options)),)]),
        *([Line(note), *(Line(row) for row in policy_yaml(options).splitlines())] if note else []),
        Line(
            "Nothing was published. %sls edit FRAME --min-group 10, and other options of %seal, show what they change."
        ),
    ]
    return Card(f"Policy of {frame}", blocks, simulated=takes_simulated(new))
