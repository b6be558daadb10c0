"""What a cell would do, and the cells that seal."""

from __future__ import annotations

from typing import cast

from sls_jupyter.lab import messages
from sls_jupyter.lab.asking import Asked
from sls_jupyter.lab.assets import columns_of
from sls_jupyter.lab.rows import card_of
from sls_jupyter.notebook.editing import changes_of
from sls_jupyter.notebook.policy_forms import options_from, policy_fields
from sls_jupyter.notebook.previews import Input, preview
from sls_jupyter.notebook.seal_cells import default_name, seal_cell
from sls_jupyter.policy.words import describe_policy
from sls_jupyter.printing import one_line
from sls_jupyter.session.catalogue import require_asset_name


def form(asked: Asked) -> messages.PolicyForm:
    """The options of a policy, filled in with the one in force of ``name``, or with the careful default.

    Raises:
        BadInput: the policy in force cannot be said in options.
    """
    name = asked.query.get("name", "")
    info = asked.session.in_force(name) if name else None
    return messages.PolicyForm(
        fields=tuple(
            messages.PolicyField(name=one.name, value=one.value, help=one.help, choices=one.choices, many=one.many)
            for one in policy_fields(info)
        )
    )


def policy(asked: Asked) -> messages.PolicyShown:
    """What options mean, and the cell that seals under them; nothing is published.

    Raises:
        BadInput, UnknownName: an option, the frame or the name cannot be one.
    """
    body, session = cast(messages.PolicyAsked, asked.body), asked.session
    name = body.name or default_name(body.frame)
    require_asset_name(name)
    info = session.in_force(name)
    options, confidential = options_from(body.options, () if info is None else info.manifest.columns)
    new, names = session.policy_from(**options), session.names()
    more = ["--confidential"] if confidential and body.code else []
    return messages.PolicyShown(
        cell=seal_cell(body.frame, name, options, code=body.code, more=more),
        policy=tuple(map(one_line, (*describe_policy(new, names), *session.accepted_images()))),
        changes=tuple(map(one_line, changes_of(info, new, names))),
        replaces=info is not None,
    )


def preflight(asked: Asked) -> messages.Preflight:
    """What a cell would do if it ran now. Nothing is asked, run or logged."""
    found = preview(asked.session, cast(messages.PreflightAsked, asked.body).cell)
    return messages.Preflight(
        verdict=found.verdict,
        line=found.line,
        state=found.state,
        card=None if found.card is None else card_of(asked.session, found.card),
        tables=tuple(_hint(one) for one in found.inputs if one.info.manifest.kind == "table"),
        outputs=found.outputs,
        request=found.request,
    )


def _hint(one: Input) -> messages.TableHint:
    """A table as the cell finds it: a column is granted if the policy grants it and the line asks for it."""
    found = frozenset(map(one_line, one.columns))
    columns = tuple(row.model_copy(update={"granted": row.name in found}) for row in columns_of(one.info))
    return messages.TableHint(alias=one.alias, called=one_line(one.info.called), columns=columns)
