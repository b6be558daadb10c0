"""A session's cells on the reviewer's page: the whole notebook so far, with what is new standing open.

A cell is folded only where this persona's own signature says that it approved its code before: an authority's word alone
hides nothing. Every cell is there in full, and what a cell is given stands open in each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sls_jupyter.notebook.cards import Block, Bullets, Details, Heading, Line
from sls_jupyter.notebook.listing import Listing
from sls_jupyter.notebook.values import parameter_blocks
from sls_jupyter.notebook.words import count_words, short_id

if TYPE_CHECKING:
    from sls_jupyter.session import RequestInfo


def notebook_blocks(
    request: RequestInfo, values: Sequence[Mapping[str, Any] | None], rest: str, everything: bool
) -> Iterator[Block]:
    """Each cell with what it is given and returns.

    Args:
        values: the parameters of each cell; ``None`` where they are not the signed ones.
    """
    yield Line(_summary(request))
    cells = request.proposal.cells
    for number, (text, given) in enumerate(zip(request.texts, values, strict=False), start=1):
        state = _state(request, number)
        yield Heading(f"cell {number} of {len(cells)}: {state}", 5)
        listing = Listing(text.code, rest)
        if number <= request.own_cells:
            yield Details(f"code of cell {number}, which you approved before", [listing])
        else:
            yield from _changes(request, number)
            yield listing
        if given or given is None:
            yield from parameter_blocks(request, given, everything, level=5)
        if cells[number - 1].outputs:
            yield Line(f"Returns by name: {', '.join(cells[number - 1].outputs)}.")


def _state(request: RequestInfo, number: int) -> str:
    if number <= request.own_cells:
        return "its code as you approved it before"
    if request.earlier is not None and number in request.earlier.changed:
        return "changed"
    return "approved before, as the authority says" if number <= request.approved_cells else "new"


def _summary(request: RequestInfo) -> str:
    total, own = len(request.proposal.cells), request.own_cells
    what = f"{count_words(total, 'cell')} of one session, run one after another in one kernel: variables live on."
    if not own:
        return f"{what} You approved none of them before."
    left = (
        f"{count_words(total - own, 'cell')} {'is' if total - own == 1 else 'are'} new or changed."
        if own < total
        else ""
    )
    known = "Cell 1 you approved before; its" if own == 1 else f"Cells 1 to {own} you approved before; their"
    return f"{what} {known} code is folded. {left}".strip()


def _changes(request: RequestInfo, number: int) -> Iterator[Block]:
    """What another cell had in this place, in a notebook that was let run."""
    earlier = request.earlier
    if earlier is not None and earlier.changed.get(number):
        yield Line(
            f"In request {short_id(earlier.id)}, which was {earlier.state} as its authority says, it was otherwise:"
        )
        yield Bullets(list(earlier.changed[number]))


def session_holds(request: RequestInfo) -> str:
    """What an approval of a session's cells lets run."""
    cells = count_words(len(request.proposal.cells), "cell")
    same = "the same assets and columns, results, kinds, recipients, TEEs and session, and these limits or lower ones"
    return (
        f"Every session that {request.who} opens on the same terms ({same}) and that runs these {cells}, or the first of"
        " them, in this order with these parameters. Another cell, or one more, is a new request."
    )
