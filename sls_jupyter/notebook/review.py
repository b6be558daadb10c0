"""The reviewer's page: one request as it will run, for whoever has to say yes or no.

What stands here was verified against something signed, or says whose word it is. Nothing of code or parameters is left
out without a sentence that says so and how to see the rest. It is an ordinary output, not a form: a saved notebook keeps
what was read before somebody decided.
"""

from __future__ import annotations

import builtins
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sls_jupyter.contract.spec import KINDS, StreamSpec
from sls_jupyter.documents import b64decode, digest
from sls_jupyter.errors import SlsError
from sls_jupyter.notebook.cards import Block, Card, Cell, Details, Facts, Heading, Line, Mono, Table, Warn
from sls_jupyter.notebook.listing import Listing
from sls_jupyter.notebook.words import (
    STATES,
    asks_simulated,
    count_words,
    limit_words,
    said_state,
    short_id,
    time_words,
)
from sls_jupyter.printing import one_line
from sls_jupyter.session.inbox import APPROVAL_SECONDS
from sls_jupyter.session.parameters import read_parameters

if TYPE_CHECKING:
    import pandas as pd

    from sls_jupyter.session import RequestInfo
    from sls_jupyter.session.inbox import InputReview

MAX_VALUE = 20_000  # characters of one parameter, unless everything is asked for
MAX_ROWS, MAX_COLUMNS, MAX_CELL = 10, 12, 80  # of a table among the parameters
_KIND_WORDS = {"table": "tables", "text": "text", "figure": "figures"}
_NOBODY: Mapping[str, str] = MappingProxyType({})
_TAKEN = frozenset(dir(builtins)) | {"pd", "np"}  # names that code takes for granted


def request_card(
    request: RequestInfo, people: Mapping[str, str] = _NOBODY, *, everything: bool = False, now: int | None = None
) -> Card:
    """Everything an approver needs to judge one request.

    Args:
        people: DID to what this persona calls somebody.
        everything: whole parameters, however long; code is always whole.
        now: seconds since 1970; the clock's by default.
    """
    values, doubts = _parameters(request)
    shown = [*request.doubts, *doubts, *_doubts(request)]
    blocks: list[Block] = [
        *(Warn(words) for words in shown),
        *([Warn("Clear up these doubts before you approve anything.")] if shown else []),
        Facts(_facts(request)),
        *_assets(request, values),
        *_leaving(request, people),
        *_parameter_blocks(request, values, everything),
        *_code(request),
        *_holds(request, int(time.time()) if now is None else now),
        Details("Evidence", [Facts(_evidence(request.spec))]),
    ]
    return Card(
        f"Request {short_id(request.id)}",
        blocks,
        subtitle=f"from {request.who}",
        simulated=asks_simulated(request.spec),
        tone="bad" if shown else STATES.get(request.state, ""),
    )


# --- what does not fit ----------------------------------------------------------------------------


def _doubts(request: RequestInfo) -> Iterator[str]:
    """What is here and is not what was signed; the session looked before, and this page looks again."""
    spec = request.spec
    if digest(request.code.encode(errors="surrogatepass")) != spec.code:
        yield "The code below is not the code that the requester signed."
    if request.id != spec.terms:
        yield "The request's number is not that of its terms."
    if [(one.alias, one.asset, one.kind) for one in request.inputs] != [
        (item.alias, item.asset, item.kind) for item in spec.inputs
    ]:
        yield "The assets below are not those that the requester signed."


def _parameters(request: RequestInfo) -> tuple[Mapping[str, Any], list[str]]:
    """The values that the code will get, if they are the signed ones; else what is wrong."""
    if digest(request.parameters) != request.spec.parameters:
        words = "are not those that the requester signed" if request.parameters else "were not handed over"
        return {}, [f"The parameters {words}: what the code will be given is not known."]
    try:
        return read_parameters(request.parameters), []
    except SlsError as error:
        return {}, [f"The parameters cannot be read: {error.sentence}"]


# --- who asks for what ----------------------------------------------------------------------------


def _facts(request: RequestInfo) -> list[tuple[str, Cell]]:
    spec = request.spec
    return [
        ("state", said_state(request.state)),
        ("asked by", str(request.who)),
        ("purpose", f"“{spec.purpose}” (the requester's words)" if spec.purpose else "not stated"),
        ("limits", limit_words(spec.limits)),
        ("TEE", ", ".join(spec.tees)),
    ]


def _label(item: InputReview) -> str:
    """An asset by its owner and the name that its owner gave it."""
    return f"{item.owner}/{item.name}" if item.name is not None else f"an asset of {item.owner} whose name is not known"


def _assets(request: RequestInfo, values: Mapping[str, Any]) -> list[Block]:
    rows: list[Sequence[Cell]] = [
        (
            Mono(item.alias),
            _label(item),
            _content(item),
            "" if item.kind == "code" else _columns(item.columns),
            _kinds(item.kinds),
        )
        for item in request.inputs
    ]
    return [
        Heading("Assets: what each name of the code stands for"),
        Table(("in the code", "is the asset", "content", "columns the code gets", "its owner lets out"), rows),
        *(Warn(words) for words in _strange_names(request.inputs, values)),
    ]


def _content(item: InputReview) -> str:
    if not item.confidential:
        return item.kind
    return "confidential code" if item.kind == "code" else "table that does not tell its columns"


def _columns(columns: Sequence[str] | None) -> str:
    return "every column that its owner lets go" if columns is None else ", ".join(columns) or "none"


def _kinds(kinds: Sequence[str]) -> str:
    return ", ".join(_KIND_WORDS.get(kind, kind) for kind in kinds) or "nothing"


def _as_variable(name: str | None) -> str | None:
    """The alias that an asset gets when its requester chooses none."""
    return None if name is None else name.replace("-", "_").replace(".", "_")


def _strange_names(inputs: Sequence[InputReview], values: Mapping[str, Any]) -> Iterator[str]:
    """Names that mean something else than they say."""
    for item in inputs:
        others = [one for one in inputs if one is not item and item.alias == _as_variable(one.name)]
        if item.alias == _as_variable(item.name) and not others:
            continue
        words = f"{item.alias} = {_label(item)}"
        for one in others:
            words += f", although {_label(one)} is in this request too, as {one.alias}"
        yield f"{words}." if item.kind == "code" else f"{words}. In the code, {item.alias} means that asset."
    aliases = {item.alias for item in inputs}
    for item in inputs:
        if item.kind == "table" and item.alias in _TAKEN:
            yield f"The asset {item.alias} takes the place of what Python means by that name."
    for name in values:
        if name in aliases:
            yield f"The parameter {one_line(name, 80)} takes the place of the asset: the code sees its value instead."
        elif name in _TAKEN:
            yield f"The parameter {one_line(name, 80)} takes the place of what Python means by that name."


# --- what leaves ----------------------------------------------------------------------------------


def _leaving(request: RequestInfo, people: Mapping[str, str]) -> list[Block]:
    spec = request.spec
    together = [kind for kind in KINDS if kind in spec.kinds and all(kind in item.kinds for item in request.inputs)]
    facts: list[tuple[str, Cell]] = [
        ("can leave", f"{_kinds(together)} (what every owner lets out, of {_kinds(spec.kinds)} asked for)"),
        ("named results", ", ".join(spec.outputs) or "none by name"),
        *((f"sealed {'to' if at == 0 else 'and to'}", words) for at, words in enumerate(_recipients(request, people))),
    ]
    return [Heading("What can leave, and to whom"), Facts(facts)]


def _recipients(request: RequestInfo, people: Mapping[str, str]) -> Iterator[str]:
    for person in request.spec.recipients:
        name = people.get(person.did, "")
        if person.did == request.requester:
            yield f"the requester: {request.who}"
        elif name and not name.startswith("unknown"):
            yield f"{name} (known to you by this name), {person.did}"
        else:
            yield f"{name or 'unknown'} (unknown to you: ask who this is), {person.did}"


# --- parameters -----------------------------------------------------------------------------------


def _parameter_blocks(request: RequestInfo, values: Mapping[str, Any], everything: bool) -> list[Block]:
    if digest(request.parameters) != request.spec.parameters:
        return [Heading("Parameters"), Line("Not shown: see the doubts above.")]
    if not values:
        return [Heading("Parameters"), Line("None.")]
    blocks: list[Block] = [Heading(f"Parameters: {count_words(len(values), 'value')} that the code is given, in JSON")]
    plain = {name: value for name, value in values.items() if not hasattr(value, "columns")}
    lines, cuts = [], []
    for name, value in plain.items():
        text = json.dumps(value, ensure_ascii=False)
        if len(text) > MAX_VALUE and not everything:
            cuts.append((name, len(text)))
            text = text[:MAX_VALUE] + " …"
        lines.append(f"{_name(name)} = {text}")
    if lines:
        blocks.append(Listing("\n".join(lines)))
    blocks += [
        Warn(f"{_name(name)}: {MAX_VALUE:,} of {size:,} characters are shown. {_all(request)}", "note")
        for name, size in cuts
    ]
    for name, value in values.items():
        if name not in plain:
            blocks += _frame(request, name, value, everything)
    return blocks


def _name(name: str) -> str:
    return name if name.isidentifier() else json.dumps(name, ensure_ascii=False)


def _all(request: RequestInfo) -> str:
    return f"%sls show {short_id(request.id)} --all shows everything."


def _frame(request: RequestInfo, name: str, frame: pd.DataFrame, everything: bool) -> list[Block]:
    """A table among the parameters: its shape, its types, its first rows."""
    rows, columns = (len(frame), len(frame.columns)) if everything else (MAX_ROWS, MAX_COLUMNS)
    part = frame.iloc[:rows, :columns]
    heads = [f"{column} ({kind})" for column, kind in zip(part.columns, part.dtypes, strict=True)]
    labels = None if type(part.index).__name__ == "RangeIndex" else part.index.tolist()
    if labels is not None:
        heads = [f"index {', '.join(str(name) for name in part.index.names)}", *heads]
    cells = [
        [_shortened(value, everything) for value in ([labels[at], *line] if labels is not None else line)]
        for at, line in enumerate(part.itertuples(index=False, name=None))
    ]
    words = f"{_name(name)} = a table, {count_words(len(frame), 'row')} × {count_words(len(frame.columns), 'column')}"
    cut = len(frame) > len(part) or len(frame.columns) > len(part.columns)
    notes = [
        Warn(f"{_name(name)}: {len(part)} rows and {len(part.columns)} columns are shown. {_all(request)}", "note")
    ]
    return [Line(words), Table(heads, cells, "It has no row."), *(notes if cut else [])]


def _shortened(value: object, everything: bool) -> Mono:
    return Mono(one_line(str(value), None if everything else MAX_CELL))


# --- code -----------------------------------------------------------------------------------------


def _code(request: RequestInfo) -> list[Block]:
    """Every text that runs, in the order of the guest: the code assets as the contract lists them, then the cell."""
    assets = [item for item in request.inputs if item.kind == "code"]
    count = len(assets) + 1
    blocks: list[Block] = [
        Heading("Code, exactly as it will run" + (f": {count} texts, in this order" if assets else ""))
    ]
    for number, item in enumerate(assets, start=1):
        blocks += [Heading(f"{number} of {count}: code asset {item.alias} = {_label(item)}"), *_asset_text(item)]
    if assets:
        blocks.append(Heading(f"{count} of {count}: the cell"))
    return [*blocks, Listing(request.code)]


def _asset_text(item: InputReview) -> list[Block]:
    if item.confidential:
        return [
            Warn(
                f"Confidential: not shown; its owner, {item.owner}, vouches for it. It can do all that code can.",
                "note",
            )
        ]
    if not item.text:
        return [Warn("Not shown: its text could not be had. Approve nothing that you cannot read.")]
    files = [(path, item.text[path]) for path in sorted(item.text)]
    together = [Line("Its files are put together in this order, an empty line between them, and run as one cell.")]
    blocks: list[Block] = list(together if len(files) > 1 else [])
    for path, text in files:
        blocks += [Line(f"file {path}"), Listing(text)]
    return blocks


# --- the answer -----------------------------------------------------------------------------------


def _holds(request: RequestInfo, now: int) -> list[Block]:
    short = short_id(request.id)
    days, until = APPROVAL_SECONDS // 86400, time_words(now + APPROVAL_SECONDS)
    same = "this code, these assets and columns, parameters, results, kinds, recipients, limits and TEEs"
    return [
        Heading("What an approval holds for"),
        Line(f"Every run that {request.who} asks for on the same terms: {same}. Anything else is a new request."),
        Line(f"For {days} days from its signature (until {until} if you sign now), or until a policy ends before."),
        *(
            [Line(f"%sls approve {short} approves it; %sls deny {short} --reason TEXT denies it.")]
            if request.mine_to_decide and request.state == "open"
            else []
        ),
    ]


def _evidence(spec: StreamSpec) -> list[tuple[str, Cell]]:
    facts: list[tuple[str, Cell]] = [
        ("request", Mono(spec.terms)),
        ("requester", Mono(spec.requester)),
        ("code", Mono(spec.code)),
        ("parameters", Mono(spec.parameters)),
    ]
    for person in spec.recipients:
        facts += [("recipient", Mono(person.did)), ("sealed to key", Mono(digest(b64decode(person.hpke_public_key))))]
    for item in spec.inputs:
        facts += [(f"asset {item.alias}", Mono(item.asset)), ("its owner", Mono(item.owner))]
        facts += [("its authority", Mono(f"{item.authority} at {item.authority_url}"))]
    return facts
