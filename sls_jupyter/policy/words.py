"""A policy and a decision in plain words, for cards, inboxes and terminals. Text only: whoever shows it escapes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sls_jupyter.contract.grants import Obligations
from sls_jupyter.contract.platform import fragment_words
from sls_jupyter.policy.facts import Decision
from sls_jupyter.policy.model import OwnerPolicy, utc_text

_KIND_WORDS = {"table": "tables", "text": "text", "figure": "figures"}
_NOT_COUNTED = {  # by --min-group, which counts the rows of tables
    "text": "Text is not counted: a print can show single records. --kinds table keeps it back.",
    "figure": "Figures are not counted: a picture can show single records. --kinds table keeps them back.",
}

_WHOLE_ROWS = " Whole rows of the data may leave: --min-group or --max-rows bounds what one run can carry."


def describe_policy(policy: OwnerPolicy, names: Mapping[str, str]) -> tuple[str, ...]:
    """One sentence per rule, in the order in which a person asks: who, what, why, where, what leaves, until when.

    Args:
        names: DID to the name that the reader knows somebody by; a DID without a name is shortened.
    """
    return (
        *(_own_module(policy) if policy.module is not None else _who_and_code(policy, names)),
        _purposes(policy),
        _columns(policy),
        *_tees(policy),
        *_results(policy, names),
        *_sessions(policy),
        *_limits(policy),
    )


def describe_changes(old: OwnerPolicy, new: OwnerPolicy, names: Mapping[str, str]) -> tuple[str, ...]:
    """What a new policy says otherwise than the one before: sentences that go (−), then those that come (+). Empty: nothing."""
    before, after = describe_policy(old, names), describe_policy(new, names)
    gone = [f"− {one}" for one in before if one not in after]
    come = [f"+ {one}" for one in after if one not in before]
    keys = sorted(set(old.recipient_keys) & set(new.recipient_keys))
    come += [
        f"+ Results for {_named([did], names)} are sealed to another key."
        for did in keys
        if old.recipient_keys[did] != new.recipient_keys[did]
    ]
    come += [] if gone or come or old == new else ["+ The same in other words: it is signed anew."]
    return (*gone, *come)


def describe_decision(decision: Decision) -> tuple[str, ...]:
    """The verdict, then each reason with its fix, then (unless denied) what would be granted."""
    count = len(decision.reasons)
    reasons = [f"{reason.text} → {reason.fix}" for reason in decision.reasons]
    if decision.verdict == "deny":
        return (f"Denied, for {count} reason{'s' if count != 1 else ''}:", *reasons)
    head = "Allowed." if decision.verdict == "allow" else "A person has to decide first."
    return (head, *reasons, *_granted(decision))


# --- a policy -------------------------------------------------------------------------------------


def _named(dids: Iterable[str], names: Mapping[str, str], last: str = "and") -> str:
    return _joined([names.get(did) or f"{did[:16]}…{did[-4:]}" for did in dids], last)


def _joined(words: Iterable[str], last: str = "and") -> str:
    *most, end = words
    return f"{', '.join(most)} {last} {end}" if most else end


def _approvers(policy: OwnerPolicy, names: Mapping[str, str]) -> str:
    """The people whose yes is needed, with how many of them."""
    people = policy.approvers or (policy.owner,)
    if len(people) == policy.required_approvals:
        return _named(people, names)
    if policy.required_approvals == 1:
        return _named(people, names, "or")
    return f"{policy.required_approvals} of {_named(people, names)}"


def _own_module(policy: OwnerPolicy) -> tuple[str, ...]:
    return (f"Who may ask, which code may run and who approves: the owner's own Rego module {policy.module}.",)


def _who_and_code(policy: OwnerPolicy, names: Mapping[str, str]) -> tuple[str, ...]:
    approvers = _approvers(policy, names)
    if policy.requesters:
        who = f"Only {_named(policy.requesters, names)} may ask."
    else:
        who = f"Anyone may ask; each request needs approval by {approvers}."
    digests = f"sha256 {_joined([text[7:19] + '…' for text in policy.code_digests])}" if policy.code_digests else ""
    if policy.code == "any":
        open_ended = policy.min_group is None and policy.max_rows is None
        code = f"Any code may run.{_WHOLE_ROWS if open_ended else ''}"
    elif policy.code == "listed":
        code = f"Only this code may run: {digests}."
    else:
        known = f" Code that needs no review: {digests}." if digests else ""
        code = f"Code runs after it was reviewed and approved by {approvers}.{known}"
    return who, code


def _purposes(policy: OwnerPolicy) -> str:
    if not policy.purposes:
        return "For any purpose that the requester states."
    return f"Only for the purpose {_joined([f'“{text}”' for text in policy.purposes], 'or')}."


def _columns(policy: OwnerPolicy) -> str:
    if policy.columns is None:
        return "Every column may be used."
    if not policy.columns:
        return "No column may be used."
    return f"Only these columns may be used: {_joined(policy.columns)}."


def _tees(policy: OwnerPolicy) -> tuple[str, ...]:
    hardware = [tee for tee in policy.tees if not tee.startswith("simulated-")]
    simulated = [tee for tee in policy.tees if tee.startswith("simulated-")]
    sentences = []
    if hardware and not simulated:
        sentences.append(
            f"Keys go to hardware only: {_joined(hardware, 'or')}."
            " A laptop cannot run it; for a demonstration seal with --tee simulated-snp."
        )
    elif hardware:
        sentences.append(f"Keys go to hardware: {_joined(hardware, 'or')}.")
    if simulated:
        also = "also " if hardware else ""
        sentences.append(
            f"Keys {also}go to a SIMULATED TEE ({_joined(simulated, 'or')}):"
            " for demonstrations, no protection from whoever runs the machine."
        )
    for platform, least in sorted(policy.minimum_tcb.items()):
        versions = _joined([f"{component} {version}" for component, version in sorted(least.items())])
        sentences.append(f"On {platform}, firmware is at least at {versions}.")
    if policy.bulletins:
        sentences.append(f"A SEV-SNP machine meets {_joined(policy.bulletins)}, as far as its evidence shows.")
    if policy.mitigations:
        bits = _joined([str(bit) for bit in policy.mitigations])
        sentences.append(f"A SEV-SNP machine has mitigation {bits} in place, at launch and now.")
    for name in policy.fragments:
        sentences.append(f"On Azure, {fragment_words(name)} ({name}): who signs them is inside with the data.")
    for register, values in sorted(policy.registers.items()):
        shown = _joined([f"{value[:12]}…" for value in values], "or")
        sentences.append(f"A TDX machine's {register} is {shown}.")
    return tuple(sentences)


def _results(policy: OwnerPolicy, names: Mapping[str, str]) -> tuple[str, ...]:
    kinds = _joined([_KIND_WORDS[kind] for kind in policy.kinds])
    people = _recipients(policy, names) if policy.recipients else "the requester"
    return (f"Of the results, {kinds} may leave, to {people} only.", *_obligations(policy.obligations()))


def _recipients(policy: OwnerPolicy, names: Mapping[str, str]) -> str:
    pinned = {did: f"{_named([did], names)} (key pinned)" for did in policy.recipient_keys}
    return _named(policy.recipients, {**names, **pinned}, "or")


def _obligations(obligations: Obligations) -> tuple[str, ...]:
    sentences = []
    if obligations.min_group is not None:
        sentences.append(f"A row of a result describes at least {obligations.min_group} records.")
        sentences += [_NOT_COUNTED[kind] for kind in obligations.kinds if kind in _NOT_COUNTED]
    if obligations.max_rows is not None:
        sentences.append(f"A table that leaves has at most {obligations.max_rows} rows.")
    if obligations.max_bytes is not None:
        sentences.append(f"At most {obligations.max_bytes} bytes leave in one run.")
    if obligations.full_errors:
        sentences.append("Error messages leave in full.")
    else:
        sentences.append("Of an error, only its type leaves.")
    return tuple(sentences)


def _sessions(policy: OwnerPolicy) -> tuple[str, ...]:
    """Whether a kernel may be kept for more cells; nothing is said of the default."""
    if not policy.sessions:
        return ("No sessions: each cell is a run of its own.",)
    if policy.max_cells is not None:
        return (f"A session has at most {policy.max_cells} cell{'s' if policy.max_cells != 1 else ''}.",)
    return ()


def _limits(policy: OwnerPolicy) -> tuple[str, ...]:
    sentences = []
    if policy.max_runs is not None:
        each = "; each cell of a session counts as one" if policy.sessions and policy.code != "listed" else ""
        sentences.append(f"At most {policy.max_runs} run{'s' if policy.max_runs != 1 else ''}{each}.")
    if policy.expires_at is not None:
        sentences.append(f"Until {utc_text(policy.expires_at)}.")
    return tuple(sentences)


# --- a decision -----------------------------------------------------------------------------------


def _granted(decision: Decision) -> tuple[str, ...]:
    columns = () if decision.columns is None else (f"Columns: {_joined(decision.columns or ('none',))}.",)
    kinds = _joined([_KIND_WORDS[kind] for kind in decision.obligations.kinds] or ["nothing"])
    return (*columns, f"Results: {kinds}.", *_obligations(decision.obligations))
