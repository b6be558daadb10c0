"""Assets: mine and others'."""

from __future__ import annotations

from typing import cast

from sls_jupyter.errors import SlsError
from sls_jupyter.lab import messages
from sls_jupyter.lab.asking import Asked
from sls_jupyter.lab.rows import card_of, first, fitting, person, silences
from sls_jupyter.notebook.editing import edit_cell
from sls_jupyter.notebook.owning import withdrawn_card
from sls_jupyter.notebook.render import asset_card, content_words
from sls_jupyter.notebook.reports import with_names
from sls_jupyter.notebook.seal_cells import BODY
from sls_jupyter.notebook.stream_cells import granted_columns, stream_cell
from sls_jupyter.notebook.words import size_words, takes_simulated
from sls_jupyter.policy.facts import Decision
from sls_jupyter.policy.words import describe_policy
from sls_jupyter.printing import one_line
from sls_jupyter.session import AssetInfo, Session
from sls_jupyter.session.catalogue import CELL_FILE
from sls_jupyter.session.choices import Choice, choose
from sls_jupyter.session.contacts import Who
from sls_jupyter.session.versions import AssetVersion


def listed(asked: Asked) -> messages.Assets:
    """Every asset that this persona can see, its own first; the first of those with the words of ``q``."""
    session = asked.session
    owners = session.owners()
    rows = [
        _row(info, owners.get(info.manifest.owner) or session.who(info.manifest.owner)) for info in session.assets()
    ]
    found = fitting(rows, asked.query, lambda one: (one.called, one.owner.words, *one.purposes))
    return messages.Assets(rows=tuple(first(found, asked.query)), total=len(found), silent=silences(session))


def page(asked: Asked) -> messages.AssetPage:
    """One asset by its id: what may be done with it, and what stands against it.

    Raises:
        UnknownName, Unavailable: there is none, or nobody can tell.
    """
    session = asked.session
    info = session.asset(asked.path["id"])
    owner = session.owners().get(info.manifest.owner) or session.who(info.manifest.owner)
    versions = session.versions(info)
    edit, doubts = _edit(session, info)
    return messages.AssetPage(
        row=_row(info, owner),
        columns=columns_of(info),
        policy=tuple(map(one_line, (*describe_policy(info.policy, info.names), *info.images))),
        choice=_choice(session, info),
        versions=tuple(map(_version, versions)),
        insert=stream_cell(info, _name_of(session, info)),
        edit=edit,
        card=card_of(session, asset_card(info, doubts)),
    )


def withdraw(asked: Asked) -> messages.CardAnswer:
    """Stop granting one version of an asset of this persona; with ``shred`` destroy its keys, too.

    Raises:
        as :meth:`Session.withdraw`.
    """
    body = cast(messages.Withdraw, asked.body)
    done = asked.session.withdraw(asked.path["id"], shred=body.shred)
    return messages.CardAnswer(card=card_of(asked.session, withdrawn_card(done)))


# --- parts ----------------------------------------------------------------------------------------


def columns_of(info: AssetInfo) -> tuple[messages.ColumnRow, ...]:
    """The columns of a table with their types and whether its owner grants them; none for a confidential schema."""
    schema = info.manifest.table_schema() if info.manifest.kind == "table" else None
    granted = frozenset(granted_columns(info)) if schema is not None else frozenset()
    return tuple(
        messages.ColumnRow(name=one_line(one.name), type=one_line(str(one.type)), granted=one.name in granted)
        for one in schema or ()
    )


def _row(info: AssetInfo, owner: Who) -> messages.AssetRow:
    return messages.AssetRow(
        id=info.id,
        name=info.name,
        called=one_line(info.called),
        owner=person(owner),
        mine=info.mine,
        kind=info.manifest.kind,
        content=content_words(info),
        size=size_words(info.bytes),
        tees=info.policy.tees,
        purposes=tuple(map(one_line, info.policy.purposes)),
        simulated=takes_simulated(info.policy),
    )


def _version(one: AssetVersion) -> messages.VersionRow:
    return messages.VersionRow(
        id=one.info.id,
        number=one.number,
        at=one.info.manifest.created_at,
        state="open" if one.state == "active" else "closed",
    )


def _edit(session: Session, info: AssetInfo) -> tuple[str, list[str]]:
    """The cell that seals an own asset again under its policy; where there can be none, why."""
    if not info.mine:
        return "", []
    try:
        own = session.own_authority()
        elsewhere = "" if info.manifest.authority == own.did else info.manifest.authority_url
        return edit_cell(info, elsewhere=elsewhere, body=_body(session, info)), []
    except SlsError as error:
        return "", [f"{error.sentence} {error.hint}".strip()]


def _body(session: Session, info: AssetInfo) -> str:
    """The code of a cell that was sealed, where its owner let reviewers read it."""
    if info.manifest.kind != "code" or info.manifest.confidential:
        return BODY
    files = session.code_in(info)
    return files[CELL_FILE] if set(files) == {CELL_FILE} else BODY


def _name_of(session: Session, info: AssetInfo) -> str:
    """What means this asset on a line, and no other: its name, with its owner where several have it, or its digest."""
    for name in (info.name, info.called):
        try:
            if session.asset(name).id == info.id:
                return name
        except SlsError:
            continue
    return info.id


def _choice(session: Session, info: AssetInfo) -> messages.Choice:
    try:
        chosen = choose(session, info)
    except SlsError as error:
        because = (one_line(error.hint),) if error.hint else ()
        return messages.Choice(verdict="unknown", words=f"This cannot be told now. {error.sentence}", because=because)
    return _chosen(session, info, chosen)


def _chosen(session: Session, info: AssetInfo, chosen: Choice) -> messages.Choice:
    decision = chosen.decision
    because = _reasons(session, decision)
    if decision.verdict == "deny":
        return messages.Choice(verdict="no", words="You may not run on it.", because=because)
    if not chosen.hosts:
        return messages.Choice(
            verdict="no", words="No host at hand can run on it.", because=(*_no_host(session, info, chosen), *because)
        )
    where = f"on {', '.join(chosen.hosts)}"
    if decision.verdict == "ask":
        return messages.Choice(verdict="ask", words=f"You may ask to run on it, {where}.", because=because)
    return messages.Choice(verdict="run", words=f"You may run on it now, {where}.", because=because)


def _reasons(session: Session, decision: Decision) -> tuple[str, ...]:
    """The authority's own words, with the names of people whom this persona knows."""
    names = session.names()
    return tuple(one_line(with_names(f"{one.text} → {one.fix}", names)) for one in decision.reasons)


def _no_host(session: Session, info: AssetInfo, chosen: Choice) -> tuple[str, ...]:
    if chosen.unbelieved is not None:
        return tuple(line.strip() for line in chosen.unbelieved.lines())
    made = sorted({host.capabilities().tee for host in session.hosts.values()})
    return (f"Its policy takes {', '.join(info.policy.tees)}; the hosts at hand make {', '.join(made) or 'nothing'}.",)
