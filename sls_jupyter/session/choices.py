"""What would become of a run over an asset, before there is a cell: asked of its authority, without a request and without a trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sls_jupyter.errors import HostUnsuitable
from sls_jupyter.policy.decide import Decision
from sls_jupyter.safestream.request import Requested, StreamRequest
from sls_jupyter.session.catalogue import AssetInfo
from sls_jupyter.session.preparing import Preparing


@dataclass(frozen=True, slots=True)
class Choice:
    """The decision on a run over one asset alone, by its authority's word, and where it could be placed."""

    decision: Decision
    hosts: tuple[str, ...]  # at hand, whose evidence both the authority and the policy take
    unbelieved: HostUnsuitable | None = None  # why the authority believes no host at hand


def choose(session: Preparing, info: AssetInfo) -> Choice:
    """What would become of a run over this asset alone, without code and for a purpose that its owner names.

    Raises:
        SlsError: its authority does not answer.
    """
    request = question(session, [info])
    (decision,) = session.preflight(request).values()
    believed, why = believed_hosts(session, request)
    fitting = [name for name in believed if session.hosts[name].capabilities().tee in decision.tees]
    return Choice(decision, tuple(fitting), why)


def question(session: Preparing, assets: Sequence[AssetInfo]) -> StreamRequest:
    """A request over these assets, with a purpose that all their owners name, if there is one; it is not sent.

    Raises:
        as ``prepare``.
    """
    named = [set(info.policy.purposes) for info in assets if info.policy.purposes]
    purposes = sorted(set.intersection(*named)) if named else []
    tables = [f"{info.id}=a{number}" for number, info in enumerate(assets) if info.manifest.kind == "table"]
    code = [info.id for info in assets if info.manifest.kind == "code"]
    return session.prepare("", tables, code_assets=code, purpose=purposes[0] if purposes else "")


def believed_hosts(
    session: Preparing, request: Requested, names: Mapping[str, str] | None = None
) -> tuple[list[str], HostUnsuitable | None]:
    """The hosts whose evidence every authority of a request says that it believes; where there is none, why.

    Args:
        names: as ``Session.believed_hosts`` takes them.
    """
    try:
        return session.believed_hosts(request, names=names), None
    except HostUnsuitable as error:
        return [], error
