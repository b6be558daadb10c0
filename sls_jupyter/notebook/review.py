"""The reviewer's page: one request as it will run, for whoever has to say yes or no.

What stands here was verified against something signed, or says whose word it is. Nothing of code or parameters is left
out without a sentence that says so and how to see the rest. It is an ordinary output, not a form: a saved notebook keeps
what was read before somebody decided.
"""

from __future__ import annotations

import builtins
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sls_jupyter.contract.platform import fragment_words
from sls_jupyter.contract.spec import KINDS
from sls_jupyter.documents import b64decode, digest
from sls_jupyter.errors import SlsError
from sls_jupyter.notebook.cards import Block, Bullets, Card, Cell, Details, Facts, Heading, Line, Mono, Table, Warn
from sls_jupyter.notebook.listing import Listing
from sls_jupyter.notebook.review_cells import notebook_blocks, session_holds
from sls_jupyter.notebook.values import parameter_blocks, rest_words
from sls_jupyter.notebook.words import (
    STATES,
    asks_simulated,
    limit_words,
    said_state,
    short_id,
    size_words,
    time_words,
)
from sls_jupyter.printing import one_line
from sls_jupyter.session.inbox import APPROVAL_SECONDS
from sls_jupyter.session.parameters import read_parameters

if TYPE_CHECKING:
    from sls_jupyter.session import RequestInfo
    from sls_jupyter.session.inbox import InputReview
    from sls_jupyter.session.reviewing import Earlier

_KIND_WORDS = {"table": "tables", "text": "text", "figure": "figures"}
_NOBODY: Mapping[str, str] = MappingProxyType({})
_TAKEN = frozenset(dir(builtins)) | {"pd", "np"}  # names that code takes for granted


@dataclass(frozen=True, slots=True)
class Page:
    """A reviewer's page in its parts, in the order in which they are read."""

    head: Card  # title and tone, no block
    doubts: tuple[str, ...]  # the sentences that ``facts`` begins with
    facts: tuple[Block, ...]
    compared: tuple[Block, ...]
    holds: tuple[Block, ...]  # assets, what can leave, parameters
    code: tuple[Block, ...]
    answer: tuple[Block, ...]  # what an approval holds for
    evidence: tuple[Block, ...]

    def card(self) -> Card:
        """All of it."""
        return replace(
            self.head,
            blocks=(*self.facts, *self.compared, *self.holds, *self.code, *self.answer, *self.evidence),
        )

    def without_code(self) -> Card:
        """All but the code, and what differs from before, for a screen that has places of their own for both."""
        return replace(self.head, blocks=(*self.facts, *self.holds, *self.answer, *self.evidence))


def request_card(
    request: RequestInfo, people: Mapping[str, str] = _NOBODY, *, everything: bool = False, now: int | None = None
) -> Card:
    """Everything an approver needs to judge one request, as :func:`request_page` has it."""
    return request_page(request, people, everything=everything, now=now).card()


def request_page(
    request: RequestInfo, people: Mapping[str, str] = _NOBODY, *, everything: bool = False, now: int | None = None
) -> Page:
    """Everything an approver needs to judge one request, part by part.

    Args:
        people: DID to what this persona calls somebody.
        everything: whole parameters, and whole code too where it has more rows than a screen can take.
        now: seconds since 1970; the clock's by default.
    """
    values, doubts = _parameters(request)
    shown = [*request.doubts, *doubts, *_doubts(request)]
    head = Card(
        f"Request {short_id(request.id)}",
        (),
        subtitle=f"from {request.who}",
        simulated=asks_simulated(request.spec),
        tone="bad" if shown else STATES.get(request.state, ""),
    )
    return Page(
        head,
        doubts=tuple(shown),
        facts=(
            *(Warn(words) for words in shown),
            *([Warn("Clear up these doubts before you approve anything.")] if shown else []),
            Facts(_facts(request)),
        ),
        compared=tuple(_compared(request.earlier)),
        holds=(
            *_assets(request, {name: value for given in values for name, value in (given or {}).items()}),
            *_leaving(request, people),
            *(parameter_blocks(request, values[-1], everything) if request.order is None else ()),
        ),
        code=tuple(_code(request, values, everything)),
        answer=tuple(_holds(request, int(time.time()) if now is None else now)),
        evidence=(Details("Evidence", [Facts(_evidence(request))]),),
    )


# --- what does not fit ----------------------------------------------------------------------------


def _doubts(request: RequestInfo) -> Iterator[str]:
    """What is here and is not what was signed; the session looked before, and this page looks again."""
    spec, asked = request.spec, request.proposal
    codes = [digest(one.code.encode(errors="surrogatepass")) for one in request.texts]
    if codes != [cell.code for cell in asked.cells]:
        yield "The code below is not the code that the requester signed."
    if request.id != asked.terms:
        yield "The request's number is not that of its terms."
    if [(one.alias, one.asset, one.kind) for one in request.inputs] != [
        (item.alias, item.asset, item.kind) for item in spec.inputs
    ]:
        yield "The assets below are not those that the requester signed."


def _parameters(request: RequestInfo) -> tuple[list[Mapping[str, Any] | None], list[str]]:
    """The values that each cell will get, if they are the signed ones, else ``None``; and what is wrong."""
    found: list[Mapping[str, Any] | None] = []
    doubts = []
    for number, cell in enumerate(request.proposal.cells):
        given = request.texts[number].parameters if number < len(request.texts) else b""
        where = "" if request.order is None else f" of cell {number + 1}"
        values, doubt = _read(given, cell.parameters, where)
        found.append(values)
        doubts += [doubt] if doubt else []
    return found, doubts


def _read(given: bytes, signed: str, where: str) -> tuple[Mapping[str, Any] | None, str]:
    if digest(given) != signed:
        words = "are not those that the requester signed" if given else "were not handed over"
        return None, f"The parameters{where} {words}: what the code will be given is not known."
    try:
        return read_parameters(given), ""
    except SlsError as error:
        return {}, f"The parameters{where} cannot be read: {error.sentence}"


# --- what is new ----------------------------------------------------------------------------------


def _compared(earlier: Earlier | None) -> list[Block]:
    """What differs from a request that was let run before; the whole request stands below all the same."""
    if earlier is None:
        return []
    said = f"Request {short_id(earlier.id)} of the same requester was {earlier.state}, as its authority says."
    return [Heading("What is other than before"), Line(said), Bullets(list(earlier.differences))]


# --- who asks for what ----------------------------------------------------------------------------


def _facts(request: RequestInfo) -> list[tuple[str, Cell]]:
    spec = request.spec
    return [
        ("state", said_state(request.state)),
        *([("asked", f"{time_words(request.created_at)} (as its authority says)")] if request.created_at else []),
        ("asked by", str(request.who)),
        ("purpose", f"“{spec.purpose}” (the requester's words)" if spec.purpose else "not stated"),
        *_session(request),
        ("limits" if spec.session is None else "limits of a cell", limit_words(spec.limits)),
        ("TEE", ", ".join(spec.tees)),
        ("who else may join", _joining(spec.fragments)),
    ]


def _session(request: RequestInfo) -> list[tuple[str, Cell]]:
    """How long the kernel is kept, and which cell this is."""
    session = request.spec.session
    if session is None:
        return []
    lives = f"{session.idle_seconds} s between two cells, {session.wall_seconds} s in all"
    leaves = f"{size_words(session.output_bytes)} of output in all"
    words = f"cell {len(request.proposal.cells)} of at most {session.cells} in one kernel; {lives}; {leaves}"
    return [("session", words)]


def _joining(fragments: Sequence[str]) -> str:
    """Whose containers an approver lets in beside the four of the run."""
    return "; ".join(f"{fragment_words(name)} ({name})" for name in fragments) or "nobody"


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
        ("named results", ", ".join(_outputs(request)) or "none by name"),
        *((f"sealed {'to' if at == 0 else 'and to'}", words) for at, words in enumerate(_recipients(request, people))),
    ]
    return [Heading("What can leave, and to whom"), Facts(facts)]


def _outputs(request: RequestInfo) -> tuple[str, ...]:
    """Every name that the code, or a cell of it, returns."""
    return tuple(dict.fromkeys(name for cell in request.proposal.cells for name in cell.outputs))


def _recipients(request: RequestInfo, people: Mapping[str, str]) -> Iterator[str]:
    for person in request.spec.recipients:
        name = people.get(person.did, "")
        if person.did == request.requester:
            yield f"the requester: {request.who}"
        elif name and not name.startswith("unknown"):
            yield f"{name} (known to you by this name), {person.did}"
        else:
            yield f"{name or 'unknown'} (unknown to you: ask who this is), {person.did}"


# --- code -----------------------------------------------------------------------------------------


def _code(request: RequestInfo, values: Sequence[Mapping[str, Any] | None], everything: bool) -> list[Block]:
    """Every text that runs, in the order of the guest: the code assets as the contract lists them, then the cells."""
    assets = [item for item in request.inputs if item.kind == "code"]
    count, rest = len(assets) + len(request.proposal.cells), "" if everything else rest_words(request)
    blocks: list[Block] = [
        Heading("Code, exactly as it will run" + (f": {count} texts, in this order" if count > 1 else ""))
    ]
    for number, item in enumerate(assets, start=1):
        blocks += [
            Heading(f"{number} of {count}: code asset {item.alias} = {_label(item)}", 5),
            *_asset_text(item, rest),
        ]
    if request.order is not None:
        return [*blocks, *notebook_blocks(request, values, rest, everything)]
    if assets:
        blocks.append(Heading(f"{count} of {count}: the cell", 5))
    return [*blocks, Listing(request.code, rest)]


def _asset_text(item: InputReview, rest: str) -> list[Block]:
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
        blocks += [Line(f"file {path}"), Listing(text, rest)]
    return blocks


# --- the answer -----------------------------------------------------------------------------------


def _holds(request: RequestInfo, now: int) -> list[Block]:
    short = short_id(request.id)
    return [
        Heading("What an approval holds for"),
        *map(Line, approval_words(request, now)),
        *(
            [Line(f"%sls approve {short} approves it; %sls deny {short} --reason TEXT denies it.")]
            if request.mine_to_decide and request.state == "open"
            else []
        ),
    ]


def approval_words(request: RequestInfo, now: int) -> tuple[str, str]:
    """What an approval lets run, and how long."""
    days, until = APPROVAL_SECONDS // 86400, time_words(now + APPROVAL_SECONDS)
    same = "this code, these assets and columns, parameters, results, kinds, recipients and TEEs, and these limits or lower ones"
    what = f"Every run that {request.who} asks for on the same terms: {same}. Anything else is a new request."
    return (
        what if request.order is None else session_holds(request),
        f"For {days} days from its signature (until {until} if you sign now), or until a policy ends before.",
    )


def _evidence(request: RequestInfo) -> list[tuple[str, Cell]]:
    spec, asked = request.spec, request.proposal
    facts: list[tuple[str, Cell]] = [("request", Mono(asked.terms)), ("requester", Mono(spec.requester))]
    for number, cell in enumerate(asked.cells, start=1):
        of_cell = "" if request.order is None else f" of cell {number}"
        facts += [(f"code{of_cell}", Mono(cell.code)), (f"parameters{of_cell}", Mono(cell.parameters))]
    for person in spec.recipients:
        facts += [("recipient", Mono(person.did)), ("sealed to key", Mono(digest(b64decode(person.hpke_public_key))))]
    for item in spec.inputs:
        facts += [(f"asset {item.alias}", Mono(item.asset)), ("its owner", Mono(item.owner))]
        facts += [("its authority", Mono(f"{item.authority} at {item.authority_url}"))]
    return facts
