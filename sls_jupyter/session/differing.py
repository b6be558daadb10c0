"""What a request has that an earlier one, which was approved, had not: in words, for who asks and for who decides.

Both requests are signed by the same requester, and code and parameters have the digests in them. That the earlier one
was approved is its authority's word; what is said here helps to read a request and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sls_jupyter.authority.answers import MAX_PAGE, RequestState, RequestSummary
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.contract.proposal import Proposal
from sls_jupyter.contract.spec import AssetInput, StreamSpec
from sls_jupyter.documents import canonical_json, parse_json
from sls_jupyter.errors import SlsError
from sls_jupyter.guest.parameters import MAX_PARAMETER_VALUES, MAX_PARAMETERS_BYTES
from sls_jupyter.printing import count_words, one_line, size_words
from sls_jupyter.session.in_short import in_short
from sls_jupyter.session.lines import compared, too_alike
from sls_jupyter.session.material import Material as Material
from sls_jupyter.session.parameters import read_parameters
from sls_jupyter.session.reviewing import CellStep, Earlier, signed_proposal, texts_in

MAX_LINES = 8  # of code that are shown; the rest is counted
MAX_LINE = 100  # characters of one
MAX_NAMES = 12  # of columns, results or parameters in one sentence
_YES: tuple[RequestState, ...] = ("approved", "granted")
_LIMITS = {
    "cpus": "CPUs",
    "cpu_seconds": "CPU time",
    "wall_seconds": "running time",
    "memory_bytes": "memory",
    "processes": "processes",
    "output_bytes": "bytes of output",
}
_SESSION = {
    "cells": "cells of the session",
    "idle_seconds": "longest pause between cells",
    "wall_seconds": "life of the session",
    "output_bytes": "bytes of all cells' output",
}
_PLAIN = (str, int, float, bool, type(None))


def earlier_like(client: AuthorityClient, asked: Material) -> Earlier | None:
    """The request at an authority that is most like this one, of the same requester, that it let run before.

    One that names none of the same assets is not like it, nor is a run like a session. Looked for among the newest of the requests that the caller
    may see.

    Raises:
        SlsError: the authority does not answer, or shows it otherwise than it was signed.
    """
    new, found = asked.proposal, list[tuple[tuple[int, int, int], Proposal, str]]()
    for state in _YES:
        for summary in client.requests(limit=MAX_PAGE, state=state).requests:
            old = _read(summary, client.did)
            if old is None or not _comparable(old, new):
                continue
            if any(_same_asset(one, other) for one in old.spec.inputs for other in new.spec.inputs):
                found.append((_nearness(old, new), old, state))
    if not found:
        return None
    _, old, said = max(found, key=lambda one: (one[0], one[1].spec.issued_at))
    texts = texts_in(client.request(old.terms))
    old.require_texts(texts)
    before = Material(old.spec, texts[-1].code, texts[-1].parameters, old.order, texts[:-1])
    cells = compared_cells(asked, before)
    return Earlier(
        old.terms,
        said,
        differences(asked, before),
        changed_cells(asked, before),
        texts=texts,
        cells=cells,
        besides=besides(asked, before),
        short=in_short(asked, before, cells),
    )


def _read(summary: RequestSummary, authority: str) -> Proposal | None:
    try:
        return signed_proposal(summary, authority)
    except SlsError:  # an inbox says so where it lists requests
        return None


def _comparable(old: Proposal, new: Proposal) -> bool:
    same = old.spec.requester == new.spec.requester and (old.order is None) == (new.order is None)
    return same and old.terms != new.terms


def _nearness(old: Proposal, new: Proposal) -> tuple[int, int, int]:
    """Cells that both begin with; then how far there is a cell to compare with, which a notebook's own beginning has not."""
    return _shared(old, new), min(len(old.cells), len(new.cells)), _likeness(old.spec, new.spec)


def _shared(old: Proposal, new: Proposal) -> int:
    """How many cells both begin with."""
    if new.order is None:
        return 0
    pairs = zip(old.cells, new.cells, strict=False)
    return next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(old.cells), len(new.cells)))


def _same_asset(one: AssetInput, other: AssetInput) -> bool:
    return one.asset == other.asset or (one.alias, one.owner) == (other.alias, other.owner)


def _likeness(one: StreamSpec, other: StreamSpec) -> int:
    fields = (
        "inputs",
        "code",
        "parameters",
        "purpose",
        "outputs",
        "kinds",
        "recipients",
        "limits",
        "tees",
        "fragments",
    )
    return sum(getattr(one, name) == getattr(other, name) for name in fields)


# --- in words -------------------------------------------------------------------------------------


def differences(new: Material, old: Material) -> tuple[str, ...]:
    """A sentence for each thing that is another one; of code, each line, the first :data:`MAX_LINES` of them."""
    code = _code(new.code, old.code) if new.order is None else _cells(new, old)
    own = _parameters(new.parameters, old.parameters) if new.order is None else ()
    return (*code, *_inputs(new.spec, old.spec), *own, *_terms(new.spec, old.spec))


def besides(new: Material, old: Material) -> tuple[str, ...]:
    """:func:`differences` without the code's; of a session also what its cells are given and return, cell by cell."""
    if new.order is None:
        own = tuple(_parameters(new.parameters, old.parameters))
    else:
        pairs = [pair for step in compared_cells(new, old) for pair in step.pairs]
        own = tuple(f"cell {here + 1}: {words}" for here, there in pairs for words in _given(new, here, old, there))
    return (*_inputs(new.spec, old.spec), *own, *_terms(new.spec, old.spec))


def _terms(one: StreamSpec, other: StreamSpec) -> tuple[str, ...]:
    """All of a spec but its inputs and what it runs."""
    return (
        *_sets("results", one.outputs, other.outputs),
        *_sets("kinds of output", one.kinds, other.kinds),
        *_sets("recipients", _people(one), _people(other)),
        *_limits(one, other),
        *_session(one, other),
        *_sets("TEEs", one.tees, other.tees),
        *_sets("platform containers", one.fragments, other.fragments),
        *([f"purpose: “{one.purpose}”, was “{other.purpose}”"] if one.purpose != other.purpose else []),
    )


def _cells(new: Material, old: Material) -> Iterator[str]:
    """Which cells of a notebook are new, gone or changed."""
    for step in compared_cells(new, old):
        yield from (f"cell {here + 1}: changed" for here, _ in step.pairs)
        yield from [f"{_numbers(step.came)}: new"] if step.came else []
        yield from [f"{_numbers(step.gone)} of before: not there any more"] if step.gone else []


def compared_cells(new: Material, old: Material) -> tuple[CellStep, ...]:
    """Where two notebooks differ; nothing for runs."""
    if new.order is None or old.order is None:
        return ()
    after, before = [list(one.proposal.cells) for one in (new, old)]
    found = []
    for start, end, first, last in compared(after, before):
        here, there = range(first, last), range(start, end)
        paired = len(here) == len(there)
        found.append(
            CellStep(tuple(zip(here, there, strict=True))) if paired else CellStep((), tuple(here), tuple(there))
        )
    return tuple(found)


def _numbers(places: Sequence[int]) -> str:
    return f"cell {places[0] + 1}" if len(places) == 1 else f"cells {places[0] + 1} to {places[-1] + 1}"


def changed_cells(new: Material, old: Material) -> Mapping[int, tuple[str, ...]]:
    """Of each cell that took the place of another, by its number: the lines that came and went, and other parameters."""
    pairs = [pair for step in compared_cells(new, old) for pair in step.pairs]
    return {
        here + 1: (*_code(new.texts[here].code, old.texts[there].code), *_given(new, here, old, there))
        for here, there in pairs
    }


def _given(new: Material, here: int, old: Material, there: int) -> Iterator[str]:
    """What a cell is given and returns, beside the one whose place it took."""
    yield from _parameters(new.texts[here].parameters, old.texts[there].parameters)
    yield from _sets("results", new.proposal.cells[here].outputs, old.proposal.cells[there].outputs)


def _session(new: StreamSpec, old: StreamSpec) -> Iterator[str]:
    """How long a session may live, and what may leave it."""
    one, other = new.session, old.session
    if one is None or other is None:
        return
    for name, words in _SESSION.items():
        after, before = getattr(one, name), getattr(other, name)
        if after != before:
            verb = "raised" if after > before else "lowered"
            yield f"{words}: {verb} from {_amount(name, before)} to {_amount(name, after)}"


def _code(new: str, old: str) -> Iterator[str]:
    """Lines that came and went, as both sides number them."""
    if new == old:
        return
    after, before = new.split("\n"), old.split("\n")
    if too_alike(after, before):
        yield f"code: another text of {count_words(len(after), 'line')}, was {count_words(len(before), 'line')}"
        return
    changed = compared(after, before)
    came, went = sum(step[3] - step[2] for step in changed), sum(step[1] - step[0] for step in changed)
    yield f"code: {count_words(came, 'line')} new (+), {count_words(went, 'line')} gone (−)"
    lines = [line for start, end, first, last in changed for line in _lines(before, start, end, after, first, last)]
    yield from lines[:MAX_LINES]
    if len(lines) > MAX_LINES:
        yield f"code: {count_words(len(lines) - MAX_LINES, 'more such line')}"


def _lines(before: Sequence[str], start: int, end: int, after: Sequence[str], first: int, last: int) -> Iterator[str]:
    for place in range(start, end):
        yield f"− {place + 1}: {one_line(before[place], MAX_LINE)}"
    for place in range(first, last):
        yield f"+ {place + 1}: {one_line(after[place], MAX_LINE)}"


def _inputs(new: StreamSpec, old: StreamSpec) -> Iterator[str]:
    before = {item.alias: item for item in old.inputs}
    for item in new.inputs:
        known = before.pop(item.alias, None)
        if known is None:
            yield f"input {item.alias}: new"
            continue
        if item.asset != known.asset:
            what = "another version, or another asset," if item.owner == known.owner else "an asset of another owner"
            yield f"input {item.alias}: {what} by this name"
        elif item.authority_url != known.authority_url:
            yield f"input {item.alias}: its authority is at another address"
        if item.columns != known.columns:
            yield f"columns of {item.alias}: {_moved(_columns(item), _columns(known))}"
    for alias in before:
        yield f"input {alias}: not asked for any more"


def _columns(item: AssetInput) -> tuple[str, ...]:
    return ("every column that its owner lets go",) if item.columns is None else item.columns


def _people(spec: StreamSpec) -> tuple[str, ...]:
    return tuple(f"{person.name} ({person.did}, key {person.key_digest[7:19]})" for person in spec.recipients)


def _sets(what: str, new: Sequence[str], old: Sequence[str]) -> Iterator[str]:
    if set(new) != set(old):
        yield f"{what}: {_moved(new, old)}"


def _moved(new: Sequence[str], old: Sequence[str]) -> str:
    came, went = [one for one in new if one not in old], [one for one in old if one not in new]
    said = [f"{_names(names)} {word}" for names, word in ((came, "added"), (went, "taken away")) if names]
    return "; ".join(said)


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(one_line(name, MAX_LINE) for name in names[:MAX_NAMES]) + more


def _limits(new: StreamSpec, old: StreamSpec) -> Iterator[str]:
    for name, words in _LIMITS.items():
        one, other = getattr(new.limits, name), getattr(old.limits, name)
        if one != other:
            verb = "raised" if one > other else "lowered"
            yield f"{words}: {verb} from {_amount(name, other)} to {_amount(name, one)}"


def _amount(name: str, value: int) -> str:
    return size_words(value) if name.endswith("_bytes") else f"{value} s" if name.endswith("_seconds") else str(value)


def _parameters(new: bytes, old: bytes) -> Iterator[str]:
    if new == old:
        return
    try:
        after, before = _packed(new), _packed(old)
    except SlsError:
        yield "parameters: others, which cannot be read"
        return
    said = [*_values(after, before)]
    yield from said[:MAX_NAMES]
    if len(said) > MAX_NAMES:
        yield f"parameters: {len(said) - MAX_NAMES} more that differ"


def _packed(data: bytes) -> Mapping[str, tuple[Any, bytes]]:
    """Each parameter's value with the bytes that it is packed as, which tell whether it is the same."""
    values = read_parameters(data)
    bundle = parse_json(data, max_bytes=MAX_PARAMETERS_BYTES, max_values=MAX_PARAMETER_VALUES)
    packed = {**bundle["values"], **bundle["frames"]}
    return {name: (value, canonical_json(packed[name])) for name, value in values.items()}


def _values(after: Mapping[str, tuple[Any, bytes]], before: Mapping[str, tuple[Any, bytes]]) -> Iterator[str]:
    for name in sorted({*after, *before}):
        shown = f"parameter {one_line(name, MAX_LINE)}"
        if name not in before:
            yield f"{shown}: new, {_value(after[name][0])}"
        elif name not in after:
            yield f"{shown}: taken away"
        elif after[name][1] != before[name][1]:
            one, other = _value(after[name][0]), _value(before[name][0])
            yield f"{shown}: {one}, was {other}" if one != other else f"{shown}: {one}, with other content"


def _value(value: object) -> str:
    return one_line(repr(value), MAX_LINE) if isinstance(value, _PLAIN) else f"a {type(value).__name__}"
