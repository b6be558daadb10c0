"""Requests as a session hands them to the reviewer's page, made by hand: everything in them fits together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sls_jupyter.contract.cells import CellOrder, CellTerms
from sls_jupyter.contract.proposal import CellText, Proposal
from sls_jupyter.contract.spec import KINDS, SessionTerms, StreamSpec
from sls_jupyter.documents import digest
from sls_jupyter.guest.parameters import pack_parameters
from sls_jupyter.session import RequestInfo, Session
from sls_jupyter.session.contacts import Who
from sls_jupyter.session.inbox import InputReview

CELL = "risk = patients.groupby(by).outcome.mean().reset_index()\n"


def reviewed(
    session: Session,
    inputs: list[str],
    code: str = CELL,
    *,
    names: Mapping[str, str] | None = None,
    texts: Mapping[str, Mapping[str, str]] | None = None,
    confidential: tuple[str, ...] = (),
    kinds: Mapping[str, tuple[str, ...]] | None = None,
    requester: Who | None = None,
    **options: Any,
) -> RequestInfo:
    """A request that this session could have got.

    Args:
        inputs: as ``session.prepare`` takes them; code assets are among ``options``.
        names: alias to the name that its owner gave an asset; the alias itself by default.
        texts: alias to the files of a code asset.
        kinds: alias to what its owner lets out.
    """
    spec = session.prepare("", inputs, **options).spec.model_copy(update={"code": digest(code.encode())})
    packed = pack_parameters(options.get("parameters") or {})
    who = requester or Who(spec.requester, None, "analyst")
    return RequestInfo(
        id=spec.terms,
        state="open",
        requester=spec.requester,
        who=who,
        authority=session.did,
        spec=spec,
        code=code,
        parameters=packed,
        inputs=tuple(
            InputReview(
                alias=item.alias,
                kind=item.kind,
                asset=item.asset,
                name=(names or {}).get(item.alias, item.alias),
                owner=Who(item.owner, "hospital"),
                columns=item.columns if item.kind == "table" else None,
                kinds=(kinds or {}).get(item.alias, KINDS),
                text=(texts or {}).get(item.alias),
                confidential=item.alias in confidential,
            )
            for item in spec.inputs
        ),
        mine_to_decide=True,
        doubts=(),
    )


def changed_spec(request: RequestInfo, **changes: Any) -> RequestInfo:
    """The request with another spec, and the number that belongs to it."""
    spec: StreamSpec = request.spec.model_copy(update=changes)
    return replace(request, spec=spec, id=spec.terms)


def reviewed_session(
    session: Session,
    inputs: list[str],
    cells: list[str],
    *,
    given: Mapping[int, Mapping[str, Any]] | None = None,
    **options: Any,
) -> RequestInfo:
    """A request for the newest of these cells of one session.

    Args:
        given: number of a cell to its parameters. options: fields of the request, or what :func:`reviewed` takes.
    """
    fields = {name: options.pop(name) for name in ("own_cells", "approved_cells", "earlier") if name in options}
    run = reviewed(session, inputs, cells[-1], **options)
    changes = {"code": None, "parameters": None, "outputs": (), "session": SessionTerms(cells=20)}
    spec = run.spec.model_copy(update=changes)
    packed = [pack_parameters((given or {}).get(number) or {}) for number in range(1, len(cells) + 1)]
    terms = [
        CellTerms(code=digest(code.encode()), parameters=digest(parameters))
        for code, parameters in zip(cells, packed, strict=True)
    ]
    order = CellOrder(
        requester=spec.requester,
        session=spec.digest,
        previous="sha256:" + "0" * 64 if len(cells) > 1 else None,
        cells=tuple(terms),
        issued_at=spec.issued_at,
        expires_at=spec.expires_at,
    )
    texts = tuple(CellText(code, parameters) for code, parameters in zip(cells, packed, strict=True))
    asked = Proposal(spec, order)
    changed = {"id": asked.terms, "spec": spec, "order": order, "parameters": packed[-1], "before": texts[:-1]}
    return replace(run, **changed, **fields)
