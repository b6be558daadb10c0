"""Cards of what is sealed and what is asked: assets, requests, answers. One function each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sls_jupyter.contract.spec import StreamSpec
from sls_jupyter.notebook.cards import (
    Block,
    Bullets,
    Card,
    Cell,
    Chip,
    Details,
    Facts,
    Heading,
    Line,
    Mono,
    Python,
    Table,
)
from sls_jupyter.notebook.words import (
    STATES,
    count_words,
    is_simulated,
    limit_words,
    short_id,
    size_words,
    state_chip,
    takes_simulated,
    time_words,
)
from sls_jupyter.policy.words import describe_policy

if TYPE_CHECKING:
    from sls_jupyter.session import AssetInfo, RequestInfo, Sealed
    from sls_jupyter.session.directory import Silent

# --- assets ---------------------------------------------------------------------------------------


def _shape(info: AssetInfo) -> str:
    if info.manifest.kind == "code":
        return "code, confidential" if info.manifest.confidential else "code"
    rows = count_words(info.manifest.rows, "row")
    columns = info.manifest.columns
    return f"{rows} × {count_words(len(columns), 'column')}" if columns else f"{rows}, confidential schema"


def sealed_card(sealed: Sealed) -> Card:
    """What sealing gave, with the log entry that was proven to be in the log."""
    info, proof = sealed.info, sealed.proof
    facts = Facts(
        [
            ("content", _shape(info)),
            ("sealed size", size_words(info.bytes)),
            ("took", f"{sealed.seconds:.2f} s"),
            ("owner", info.owner_name),
            ("log", Chip(f"entry {proof.index}, inclusion proof verified", "good")),
        ]
    )
    evidence = Details(
        "Evidence",
        [
            Facts(
                [
                    ("asset", Mono(info.id)),
                    ("policy", Mono(info.manifest.policy)),
                    ("authority", Mono(info.manifest.authority)),
                    ("log", Mono(proof.origin)),
                    ("log entry", f"{proof.index}: {sealed.entry.kind}, {time_words(sealed.entry.at)}"),
                    ("proof", f"{count_words(len(proof.hashes), 'hash', 'hashes')} up to a signed checkpoint"),
                    ("key groups", ", ".join(group.name for group in info.manifest.groups) or "one"),
                ]
            ),
            *([Table(("column", "type"), _columns(info))] if info.manifest.columns else []),
        ],
    )
    return Card(
        f"Sealed {info.name}",
        [facts, *unreachable_lines(sealed.unreachable), *_policy_blocks(info), evidence],
        simulated=takes_simulated(info.policy),
        tone="good",
    )


def _columns(info: AssetInfo) -> list[tuple[Cell, Cell]]:
    schema = info.manifest.table_schema()
    return [] if schema is None else [(Mono(field.name), Mono(str(field.type))) for field in schema]


def _policy_blocks(info: AssetInfo) -> list[Block]:
    return [Heading("Policy"), Bullets(describe_policy(info.policy, info.names))]


def unreachable_lines(why: str) -> list[Block]:
    """That groups and other people cannot reach this persona's own authority."""
    return [Line(f"! {why}")] if why else []


def silent_lines(silent: Sequence[Silent], what: str) -> list[Block]:
    """A line for each authority that does not answer, so that nobody takes its silence for having nothing."""
    return [Line(line) for one in silent for line in (f"! {one} {one.trouble}: its {what} not listed", f"→ {one.hint}")]


def assets_card(assets: Sequence[AssetInfo], silent: Sequence[Silent] = ()) -> Card:
    """Every asset that can be seen."""
    rows: list[Sequence[Cell]] = [
        (
            Mono(info.name),
            "you" if info.mine else info.owner_name,
            _shape(info),
            size_words(info.bytes),
            ", ".join(info.policy.tees),
            ", ".join(info.policy.purposes) or "any",
        )
        for info in assets
    ]
    empty = "No asset yet: %seal FRAME makes one, %sls connect URL shows another owner's."
    empty = "No asset of an authority that answers." if silent else empty
    table = Table(("asset", "owner", "content", "size", "TEE", "purpose"), rows, empty)
    policies = [Details(f"Policy of {info.owner_name}/{info.name}", _policy_blocks(info)[1:]) for info in assets]
    return Card(
        "Sealed assets",
        [table, *silent_lines(silent, "assets are"), *policies],
        simulated=any(takes_simulated(info.policy) for info in assets),
    )


# --- requests -------------------------------------------------------------------------------------


def requests_card(requests: Sequence[RequestInfo], silent: Sequence[Silent] = ()) -> Card:
    """The inbox."""
    rows: list[Sequence[Cell]] = [
        (
            short_id(one.id),
            state_chip(one.state),
            one.requester_name,
            ", ".join(one.assets),
            one.spec.purpose or "not stated",
            "you" if one.mine_to_decide else "the owner",
        )
        for one in requests
    ]
    heads = ("request", "state", "from", "assets", "purpose", "who decides")
    waiting = sum(one.state == "open" and one.mine_to_decide for one in requests)
    hint = "%sls show ID shows one with its code; %sls approve ID, or %sls deny ID --reason TEXT, decides."
    return Card(
        "Requests",
        [Table(heads, rows, "No request."), *silent_lines(silent, "requests are"), *([Line(hint)] if rows else [])],
        subtitle=f"{waiting} waiting for you" if waiting else "",
        simulated=any(_asks_simulated(one.spec) for one in requests),
        tone="wait" if waiting else "",
    )


def _asks_simulated(spec: StreamSpec) -> bool:
    return any(is_simulated(tee) for tee in spec.tees)


def request_card(request: RequestInfo) -> Card:
    """Everything an approver needs to judge one request."""
    spec = request.spec
    facts: list[tuple[str, Cell]] = [
        ("state", state_chip(request.state)),
        ("purpose", spec.purpose or "not stated"),
        ("assets", ", ".join(request.assets)),
        ("outputs", ", ".join(spec.outputs) or "none by name"),
        ("kinds", ", ".join(spec.kinds)),
        ("limits", limit_words(spec.limits)),
        ("TEE", ", ".join(spec.tees)),
    ]
    inputs: list[Sequence[Cell]] = [
        (Mono(item.alias), item.kind, "all that you grant" if item.columns is None else ", ".join(item.columns))
        for item in spec.inputs
    ]
    evidence: list[tuple[str, Cell]] = [
        ("request", Mono(request.id)),
        ("requester", Mono(spec.requester)),
        ("code", Mono(spec.code)),
        ("parameters", Mono(spec.parameters)),
        *((("recipient", Mono(person.did))) for person in spec.recipients),
        *(((f"asset {item.alias}", Mono(item.asset))) for item in spec.inputs),
    ]
    return Card(
        f"Request {short_id(request.id)}",
        [
            Facts(facts),
            Table(("variable", "kind", "columns"), inputs),
            Heading("Code, exactly as it will run"),
            Python(request.code),
            Line(_recipients_words(spec)),
            *([Line(_decide_words(request))] if request.mine_to_decide and request.state == "open" else []),
            Details("Evidence", [Facts(evidence)]),
        ],
        subtitle=f"from {request.requester_name}",
        simulated=_asks_simulated(spec),
        tone=STATES.get(request.state, ""),
    )


def _recipients_words(spec: StreamSpec) -> str:
    others = [person.did for person in spec.recipients if person.did != spec.requester]
    mine = any(person.did == spec.requester for person in spec.recipients)
    people = [*(["the requester"] if mine else []), *others]
    return f"Results are sealed to {', '.join(people)} only."


def _decide_words(request: RequestInfo) -> str:
    short = short_id(request.id)
    return f"%sls approve {short} approves it; %sls deny {short} --reason TEXT denies it."


def decided_card(request: str, approved: bool, entry: int, reason: str) -> Card:
    """What was signed and where it is logged."""
    facts: list[tuple[str, Cell]] = [("log entry", str(entry)), *([("reason", reason)] if reason else [])]
    return Card(
        f"{'Approved' if approved else 'Denied'} request {short_id(request)}",
        [Facts(facts)],
        tone="good" if approved else "bad",
    )
