"""Cards of what is sealed and what is asked: assets, requests, answers. One function each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

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
    Table,
    Warn,
)
from sls_jupyter.notebook.review import request_card as request_card
from sls_jupyter.notebook.words import (
    asks_simulated,
    count_words,
    short_id,
    size_words,
    state_chip,
    takes_simulated,
    time_words,
)
from sls_jupyter.policy.words import describe_changes, describe_policy

if TYPE_CHECKING:
    from sls_jupyter.session import AssetInfo, RequestInfo, Sealed
    from sls_jupyter.session.directory import Silent
    from sls_jupyter.session.inbox import InputReview

MAX_LEFT_OUT = 8  # names on a card of what was not sealed

# --- assets ---------------------------------------------------------------------------------------


def content_words(info: AssetInfo) -> str:
    """How much there is, without a word of its content."""
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
            ("content", content_words(info)),
            ("sealed size", size_words(info.bytes)),
            ("took", f"{sealed.seconds:.2f} s"),
            ("owner", info.owner_name),
            *([("version", _replaced(sealed))] if sealed.version > 1 else []),
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
        [
            facts,
            *unreachable_lines(sealed.unreachable),
            *_left_out(sealed),
            *_changed(sealed),
            *_policy_blocks(info),
            evidence,
        ],
        simulated=takes_simulated(info.policy),
        tone="good",
    )


def asset_card(info: AssetInfo, doubts: Sequence[str] = ()) -> Card:
    """What an asset's owner signed, for whoever compares digests; its columns and its policy are shown beside the card.

    Args:
        doubts: what could not be had, a sentence each.
    """
    manifest = info.manifest
    facts: list[tuple[str, Cell]] = [
        ("asset", Mono(info.id)),
        ("owner", Mono(manifest.owner)),
        ("policy", Mono(manifest.policy)),
        ("authority", Mono(manifest.authority)),
        ("sealed at", f"{time_words(manifest.created_at)} (by its owner's word)"),
        ("sealed in", count_words(len(manifest.parts), "part")),
        ("key groups", ", ".join(group.name for group in manifest.groups) or "one"),
        *([("took the place of", Mono(manifest.previous))] if manifest.previous else []),
        ("signatures", Chip("manifest and policy are signed by the owner", "good")),
    ]
    warnings = [Warn(words, "note") for words in doubts]
    return Card(info.called, [*warnings, Facts(facts)], content_words(info), simulated=takes_simulated(info.policy))


def _left_out(sealed: Sealed) -> list[Block]:
    """What of a frame was not sealed."""
    shown = ", ".join(repr(name[:40]) for name in sealed.left_out[:MAX_LEFT_OUT])
    more = f" and {len(sealed.left_out) - MAX_LEFT_OUT} more" if len(sealed.left_out) > MAX_LEFT_OUT else ""
    words = f"! The frame's attrs are not sealed: {shown}{more}. Make a column of what runs need."
    return [Line(words)] if shown else []


def _changed(sealed: Sealed) -> list[Block]:
    """What the policy says otherwise than that of the version before."""
    if sealed.policy_before is None:
        return []
    changes = describe_changes(sealed.policy_before, sealed.info.policy, sealed.info.names)
    return [Heading("What the policy says otherwise than before"), Bullets(list(changes))] if changes else []


def _replaced(sealed: Sealed) -> str:
    earlier = "the earlier one is" if sealed.version == 2 else f"the {sealed.version - 1} earlier ones are"
    return f"{sealed.version}: {earlier} closed, with no new grant and no key on an older one"


def _columns(info: AssetInfo) -> list[tuple[Cell, Cell]]:
    schema = info.manifest.table_schema()
    return [] if schema is None else [(Mono(field.name), Mono(str(field.type))) for field in schema]


def _policy_blocks(info: AssetInfo) -> list[Block]:
    return [Heading("Policy"), Bullets([*describe_policy(info.policy, info.names), *info.images])]


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
            content_words(info),
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


def requests_card(requests: Sequence[RequestInfo], silent: Sequence[Silent] = (), doubts: Sequence[str] = ()) -> Card:
    """The inbox.

    Args:
        doubts: a sentence for each request that an authority shows and that does not verify.
    """
    rows: list[Sequence[Cell]] = [
        (
            short_id(one.id),
            state_chip(one.state),
            time_words(one.created_at) if one.created_at else "not said",
            str(one.who),
            ", ".join(input_words(item) for item in one.inputs),
            f"“{one.spec.purpose}”" if one.spec.purpose else "not stated",
            "you" if one.mine_to_decide else "the owner",
        )
        for one in requests
    ]
    heads = ("request", "state (said)", "asked (said)", "from", "assets", "purpose (said)", "who decides")
    waiting = sum(one.state == "open" and one.mine_to_decide for one in requests)
    lines = [
        Line(
            "A state and a time are the word of the authority, a purpose that of the requester; the rest was signed and verified."
        ),
        Line("%sls show ID shows one with its code; %sls approve ID, or %sls deny ID --reason TEXT, decides."),
    ]
    return Card(
        "Requests",
        [
            *(Warn(words) for words in doubts),
            Table(heads, rows, "No request."),
            *silent_lines(silent, "requests are"),
            *(lines if rows else []),
        ],
        subtitle=f"{waiting} waiting for you" if waiting else "",
        simulated=any(asks_simulated(one.spec) for one in requests),
        tone="wait" if waiting else "",
    )


def input_words(item: InputReview) -> str:
    """An asset by its owner's name for it, with the code's where that is another."""
    name = item.name if item.name is not None else f"{short_id(item.asset)} (name not known)"
    return name if item.alias == name else f"{name} (as {item.alias})"


def decided_card(request: str, approved: bool, entry: int, reason: str) -> Card:
    """What was signed and where it is logged."""
    facts: list[tuple[str, Cell]] = [("log entry", str(entry)), *([("reason", reason)] if reason else [])]
    return Card(
        f"{'Approved' if approved else 'Denied'} request {short_id(request)}",
        [Facts(facts)],
        tone="good" if approved else "bad",
    )
