"""Every body of an authority's API, once, and how what a caller says becomes true before anything rests on it.

Envelopes are text, binary values base64. Who calls is known from the token, which is signed over method, path,
query and body (:func:`sls_jupyter.identity.verify_token`); a guest has none and shows evidence instead.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sls_jupyter.contract.spec import MAX_CELLS
from sls_jupyter.documents import Base64, Did, Digest
from sls_jupyter.provenance import Checked, Hearsay

_OWNER = "the owner's signature (authority.catalogue.publish)"


class Body(BaseModel):
    """A call's JSON."""

    model_config = ConfigDict(extra="forbid", strict=True, regex_engine="python-re")


class PublishBody(Body):
    """``POST /v1/assets``."""

    manifest: Annotated[str, Checked(_OWNER)]
    policy: Annotated[str, Checked(f"{_OWNER}, and the manifest's digest of it")]
    module: Annotated[str | None, Checked("the policy's digest of it (authority.catalogue.publish)")] = None
    sealed_keys: Annotated[Base64, Checked("the token: only the owner publishes; the names of the manifest's keys")]


class SubmitBody(Body):
    """``POST /v1/requests``."""

    spec: Annotated[str, Checked("the signatures of requester and recipients (contract.spec.verify_stream_spec)")]
    code: Annotated[str, Checked("the spec's digest of it (authority.decisions)")]
    contact: Annotated[str | None, Checked("the requester's signature; the name in it is self-chosen")] = None
    parameters: Annotated[Base64 | None, Checked("the spec's digest of it (authority.decisions)")] = None
    dry_run: Annotated[bool, Checked("the token, which the requester signed; nothing is written then")] = False


class CellBody(Body):
    """One cell of a session."""

    code: Annotated[str, Checked("the order's digest of it (authority.cells)")]
    parameters: Annotated[Base64, Checked("the order's digest of it (authority.cells)")]


class CellsBody(Body):
    """``POST /v1/cells``."""

    spec: Annotated[str, Checked("the signatures of requester and recipients (contract.spec.verify_stream_spec)")]
    orders: Annotated[
        list[str],
        Field(min_length=1, max_length=MAX_CELLS),
        Checked("the requester's signature, and the chain here (contract.cells.verify_order)"),
    ]
    cells: Annotated[
        list[CellBody | None], Field(min_length=1, max_length=MAX_CELLS), Checked("field by field, see there")
    ]
    contact: Annotated[str | None, Checked("the requester's signature; the name in it is self-chosen")] = None
    dry_run: Annotated[bool, Checked("the token, which the requester signed; nothing is written then")] = False


class VerdictBody(Body):
    """``POST /v1/approvals`` and ``/v1/denials``."""

    verdict: Annotated[str, Checked("the approver's signature, and the policy's approvers (authority.verdicts)")]


class ReleaseBody(Body):
    """``POST /v1/release``."""

    spec: Annotated[str, Checked("the signatures of requester and recipients (contract.spec.verify_stream_spec)")]
    asset: Annotated[Digest, Checked("the spec's inputs (authority.release)")]
    nonce: Annotated[str, Field(pattern=r"^[0-9a-f]{64}\Z"), Checked("the challenges of this spec, used once")]
    hpke_public_key: Annotated[Base64, Checked("REPORT_DATA of the evidence (attestation.binding)")]
    evidence: Annotated[str, Checked("the vendor's certificates (attestation.verify)")]


class RecordsBody(Body):
    """``POST /v1/runs/{spec}/records``."""

    records: Annotated[str, Checked("the head of the chain in the receipt (authority.runs)")]
    receipt: Annotated[str, Checked("the hardware's signature, in the group that the spec derives (authority.runs)")]


class EndBody(Body):
    """``POST /v1/runs/{spec}/end``."""

    state: Annotated[str, Hearsay("an audit names it as what the requester reported")]
    reason: Annotated[str, Hearsay("an audit names it as what the requester reported")]


class MuteBody(Body):
    """``POST /v1/mutes``."""

    did: Annotated[Did, Checked("the token: only the owner mutes")]
