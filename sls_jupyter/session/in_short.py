"""What a request has that an earlier one had not, in few words: ``one line, limits lower``. It decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sls_jupyter.documents import Model
from sls_jupyter.printing import count_words
from sls_jupyter.session.lines import changes, only_space, same_to_python, whole_lines

if TYPE_CHECKING:
    from sls_jupyter.contract.spec import AssetInput, StreamSpec
    from sls_jupyter.session.material import Material
    from sls_jupyter.session.reviewing import CellStep

_NUMBERS = ("no", "one")
_SETS = {
    "outputs": "results",
    "kinds": "kinds of output",
    "recipients": "recipients",
    "tees": "TEEs",
    "fragments": "platform containers",
}


def in_short(new: Material, old: Material, cells: Sequence[CellStep]) -> str:
    """Everything that differs, each in a word or two, the code first; ``nothing`` if nothing does.

    Args:
        cells: where the cells of two sessions differ; of runs there are none.
    """
    code = _texts([(new.code, old.code)]) if new.order is None else _cells(new, old, cells)
    of_cells = (*_parameters(new, old, cells), *_results(new, old, cells))
    found = dict.fromkeys([*code, *_inputs(new.spec, old.spec), *of_cells, *_rest(new, old)])
    return ", ".join(found) or "nothing"


def _texts(pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    """How far the code of cells that stand in for each other differs."""
    changed = [(one, other) for one, other in pairs if one != other]
    if not changed:
        return
    if all(only_space(*pair) for pair in changed):
        silent = all(same_to_python(*pair) for pair in changed)
        yield "only white space" if silent else "only white space, which Python reads"
        return
    count = sum(_lines(one, other) for one, other in changed)
    yield count_words(count, "line") if count != 1 else "one line"


def _lines(new: str, old: str) -> int:
    """Lines that came, went or changed; one that changed counts once."""
    steps = changes(whole_lines(new), whole_lines(old))
    return sum(max(end - start, last - first) for start, end, first, last in steps)


def _cells(new: Material, old: Material, cells: Sequence[CellStep]) -> Iterator[str]:
    pairs = [pair for step in cells for pair in step.pairs]
    yield from _texts([(new.texts[here].code, old.texts[there].code) for here, there in pairs])
    came = sum(len(step.came) for step in cells)
    went = sum(len(step.gone) for step in cells)
    for count, word in ((came, "new"), (went, "gone")):
        if count:
            yield f"{_NUMBERS[1]} cell {word}" if count == 1 else f"{count} cells {word}"


def _inputs(new: StreamSpec, old: StreamSpec) -> Iterator[str]:
    after, before = ({item.alias: item for item in spec.inputs} for spec in (new, old))
    if after.keys() - before.keys():
        yield "more assets"
    if before.keys() - after.keys():
        yield "fewer assets"
    both = [(item, before[alias]) for alias, item in after.items() if alias in before]
    if any(one.asset != other.asset for one, other in both):
        yield "another asset or version"
    if any(one.asset == other.asset and one.authority_url != other.authority_url for one, other in both):
        yield "another address"
    yield from _columns([(one, other) for one, other in both if one.columns != other.columns])


def _columns(both: Sequence[tuple[AssetInput, AssetInput]]) -> Iterator[str]:
    more = any(_has_more(one, other) for one, other in both)
    fewer = any(_has_more(other, one) for one, other in both)
    if both:
        yield "other columns" if more == fewer else "more columns" if more else "fewer columns"


def _has_more(one: AssetInput, other: AssetInput) -> bool:
    """Whether one asks for a column that the other does not; ``None`` is every column."""
    return other.columns is not None and (one.columns is None or bool(set(one.columns) - set(other.columns)))


def _parameters(new: Material, old: Material, cells: Sequence[CellStep]) -> Iterator[str]:
    if new.order is None:
        differs = new.parameters != old.parameters
    else:
        pairs = [pair for step in cells for pair in step.pairs]
        differs = any(new.texts[here].parameters != old.texts[there].parameters for here, there in pairs)
    if differs:
        yield "parameters"


def _results(new: Material, old: Material, cells: Sequence[CellStep]) -> Iterator[str]:
    """Of cells that stand in for each other; those of a run are in its spec."""
    after, before = new.proposal.cells, old.proposal.cells
    pairs = [pair for step in cells for pair in step.pairs]
    if any(after[here].outputs != before[there].outputs for here, there in pairs):
        yield "results"


def _rest(new: Material, old: Material) -> Iterator[str]:
    one, other = new.spec, old.spec
    for name, words in _SETS.items():
        after, before = getattr(one, name), getattr(other, name)
        if set(map(repr, after)) != set(map(repr, before)):
            yield words
    yield from _moved("limits", one.limits, other.limits)
    if one.session is not None and other.session is not None:
        yield from _moved("session", one.session, other.session)
    if one.purpose != other.purpose:
        yield "purpose"


def _moved(what: str, new: Model, old: Model) -> Iterator[str]:
    """Whether limits are higher or lower; both, where some are each."""
    pairs = [(getattr(new, name), getattr(old, name)) for name in type(new).model_fields]
    words = ("higher", "lower") if what == "limits" else ("longer or larger", "shorter or smaller")
    for said, differs in zip(words, (any(a > b for a, b in pairs), any(a < b for a, b in pairs)), strict=True):
        if differs:
            yield f"{what} {said}"
