"""Editing a policy: what is in force, what would be, and what that changes, in words, before anything is published."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sls_jupyter.errors import BadInput
from sls_jupyter.naming import quoted
from sls_jupyter.notebook.cards import Block, Bullets, Card, Heading, Line, Mono, Table
from sls_jupyter.notebook.seal_cells import BODY, IN_A_FILE, fits_a_line, policy_yaml, seal_cell, seal_line
from sls_jupyter.notebook.words import takes_simulated
from sls_jupyter.policy.model import OwnerPolicy
from sls_jupyter.policy.words import describe_changes, describe_policy
from sls_jupyter.policy.written import options_of
from sls_jupyter.session import AssetInfo, Session


def not_on_a_line(options: Mapping[str, Any]) -> str:
    """What a ``%seal`` line cannot say of these options."""
    left = [name.replace("_", "-") for name in options if name in IN_A_FILE]
    return f"{', '.join(left)} can only stand in a file: seal with --policy FILE, with the YAML." if left else ""


def edit_cell(info: AssetInfo, *, elsewhere: str = "", body: str = BODY) -> str:
    """The cell that seals an own asset again under the policy in force, to be changed by its owner.

    A policy that is a Rego module keeps its other fields; the module's file has to be named by its owner.

    Args:
        elsewhere: URL of the authority that has the asset's keys, if it is not this persona's own.
        body: of code.

    Raises:
        BadInput: the policy in force cannot be said in options.
    """
    code = info.manifest.kind == "code"
    more = [*(["--authority", elsewhere] if elsewhere else []), *_as_it_was_sealed(info)]
    options = options_of(info.policy.model_copy(update={"module": None}))
    if info.policy.module is not None:
        more += ["--policy", "FILE.rego"]
        if not fits_a_line(options):
            raise BadInput(
                "The policy in force is a Rego module, with fields that no line has.", found=info.policy.module
            )
    return seal_cell(re.sub(r"[-.]", "_", info.name), info.name, options, code=code, more=more, body=body)


def _as_it_was_sealed(info: AssetInfo) -> list[str]:
    """The options of ``%seal`` that are none of its policy."""
    if info.manifest.kind == "code":
        return ["--confidential"] if info.manifest.confidential else []
    groups = [group for group in info.manifest.groups if len(group.columns) > 1]  # a column alone needs none
    return [word for one in groups for word in ("--group", f"{one.name}={','.join(map(quoted, one.columns))}")]


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
