"""Fixed documents for the golden files: every field set, no randomness, keys from constant seeds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sls_jupyter.contract.cells import CellGrant, CellOrder, CellTerms
from sls_jupyter.contract.grants import Approval, Denial, Grant, Obligations
from sls_jupyter.contract.image import GuestImage
from sls_jupyter.contract.spec import AssetInput, Limits, Recipient, SessionTerms, StreamSpec
from sls_jupyter.documents import b64encode
from sls_jupyter.identity import Appointment, Contact, did_from_public_key

ANALYST, OWNER, BANK, FIRST, SECOND = (did_from_public_key(bytes([number]) * 32) for number in (1, 2, 3, 4, 5))
HPKE_KEY = b64encode(bytes(range(256)) * 4 + bytes(192))  # 1216 bytes; the shape of a key, nobody's
CELL, MODEL, TABLE = (f"sha256:{letter * 64}" for letter in "abc")
SIGNATURE = b64encode(bytes(range(64)))  # the shape of a signature, nobody's
IMAGE = GuestImage("registry.example/guest@sha256:" + "d" * 64, ("e" * 64, "f" * 64), bytes(range(48)))

SPEC = StreamSpec(
    requester=ANALYST,
    purpose="Risikostudie für Größe & Alter",
    inputs=(
        AssetInput(
            alias="model", asset=MODEL, kind="code", columns=None, owner=BANK, authority=SECOND,
            authority_url="https://bank.example",
        ),
        AssetInput(
            alias="patients", asset=TABLE, kind="table", columns=("age", "größe", "sex"), owner=OWNER, authority=FIRST,
            authority_url="https://hospital.example:8443/authority",
        ),
    ),
    code=CELL,
    parameters="sha256:" + "9" * 64,
    outputs=("risk", "summary"),
    kinds=("table", "figure"),
    recipients=tuple(
        Recipient(did=did, name=name, hpke_public_key=HPKE_KEY, signature=SIGNATURE)
        for did, name in sorted(((ANALYST, "analyst"), (OWNER, "Größe & Söhne")))
    ),
    limits=Limits(cpus=4, cpu_seconds=1200, wall_seconds=900, memory_bytes=2**33, processes=128, output_bytes=2**20),
    tees=("sev-snp", "simulated-snp"),
    nonce="00112233445566778899aabbccddeeff",
    issued_at=1_790_000_000,
    expires_at=1_790_086_400,
)  # fmt: skip
APPROVAL = Approval(
    approver=OWNER, authority=FIRST, terms=SPEC.terms, code=SPEC.code_digests, requester=ANALYST,
    reason="reviewed on 2026-09-21", issued_at=1_790_000_100, expires_at=1_797_776_100,
)  # fmt: skip
DENIAL = Denial(
    approver=OWNER, authority=FIRST, terms=SPEC.terms, requester=ANALYST, reason="Ask for fewer columns.",
    issued_at=1_790_000_200,
)  # fmt: skip
GRANT = Grant(
    authority=FIRST, spec=SPEC.digest, asset=TABLE, columns=("age", "sex"),
    obligations=Obligations(kinds=("table",), min_group=10, max_rows=1000, max_bytes=2**20, full_errors=True),
    tees=("sev-snp",), issued_at=1_790_000_300, expires_at=1_790_086_400,
)  # fmt: skip
SESSION = SPEC.model_copy(
    update={"code": None, "parameters": None, "outputs": ()}
    | {"session": SessionTerms(cells=40, idle_seconds=900, wall_seconds=7200, output_bytes=2**28)}
)
FIRST_CELL = CellTerms(code=CELL, parameters="sha256:" + "9" * 64, outputs=("risk", "summary"))
SECOND_CELL = CellTerms(code="sha256:" + "8" * 64, parameters="sha256:" + "7" * 64)
ORDER = CellOrder(
    requester=ANALYST, session=SESSION.digest, previous="sha256:" + "6" * 64, cells=(FIRST_CELL, SECOND_CELL),
    issued_at=1_790_000_400, expires_at=1_790_004_000,
)  # fmt: skip
CELL_GRANT = CellGrant(
    authority=FIRST, session=SESSION.digest, order=ORDER.digest,
    obligations=Obligations(kinds=("table",), min_group=10, max_rows=1000, max_bytes=2**20, full_errors=True),
    issued_at=1_790_000_500, expires_at=1_790_004_000,
)  # fmt: skip
CONTACT = Contact(did=ANALYST, name="analyst", hpke_public_key=HPKE_KEY)
APPOINTMENT = Appointment(owner=OWNER, authority=FIRST)


# --- another value for every field ----------------------------------------------------------------


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every value in a JSON document that is no container, and of every list."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        yield path
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path


def other(value: Any) -> Any:
    """Another value of the same kind, as an attacker would choose it: as little different as possible."""
    if isinstance(value, list):
        return value[:-1]
    if isinstance(value, int):
        return value + 1
    if value is None:
        return ["age"]
    if len(value) == len(SIGNATURE) and value.endswith("=="):
        return b64encode(bytes(64))
    if value.startswith("did:"):
        return BANK if value != BANK else OWNER
    if len(value) > 1000:
        return b64encode(bytes(1216))
    if value.startswith("sha256:") or len(value) == 32:
        return value[:-1] + ("0" if value[-1] != "0" else "1")
    return {"table": "code", "code": "table", "figure": "text", "simulated-snp": "tdx"}.get(value, value + "x")


def changed(value: Any, path: tuple[str | int, ...]) -> Any:
    """A copy of a JSON value with :func:`other` at ``path``."""
    if not path:
        return other(value)
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(copy[path[0]], path[1:])
    return copy


def changed_specs(spec: StreamSpec) -> Iterator[tuple[str, StreamSpec]]:
    """For every value in a spec, the spec with that value changed (sorted again where order has no meaning)."""
    value = spec.model_dump(mode="json")
    yield "fragments", StreamSpec.from_json(value | {"fragments": ["aci-infrastructure"]})
    if spec.session is None:
        of_session = {
            "code": None,
            "parameters": None,
            "outputs": [],
            "session": SESSION.model_dump(mode="json")["session"],
        }
        yield "session", StreamSpec.from_json(value | of_session)
    for path in leaves(value):
        if path == ("fragments",) or (len(path) == 1 and value[path[0]] in (None, [])):
            continue  # an empty list has no other value by itself; what makes a run or a session comes together
        copy = changed(value, path)
        copy["recipients"] = sorted(copy["recipients"], key=lambda person: person["did"])
        copy["tees"] = sorted(copy["tees"])
        copy["kinds"] = [kind for kind in ("table", "text", "figure") if kind in copy["kinds"]]
        if copy["inputs"] and copy["recipients"]:
            yield ".".join(map(str, path)), StreamSpec.from_json(copy)
