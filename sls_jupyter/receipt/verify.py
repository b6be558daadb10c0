"""Verifying a receipt offline, from one file and pinned roots. One check a line; a skipped check is a failed one.

::

    1  receipt        the file is a receipt, in its one canonical form
    2  spec           signed by its requester, each recipient's key by the recipient
    3  inputs         those of the spec
    4  asset          each input's manifest, signed by its owner, as the spec names it
    5  grant          each input's grant, signed by its authority, for this spec and these columns
    6  cell           of a session: its order, signed by the requester, and every authority's grant of it
    7  owners         those that the auditor expects
    8  image          a guest image that the auditor accepts
    9  policy         the container policy that this spec and this image give
    10 released       each input's key.released, in its authority's log, about this spec and this asset
    11 recorded       each authority's run.records, in its log, about this very receipt
    12 extends        each log's last tree begins with its earlier ones
    13 logs           those that the auditor expects
    14 witnesses      every cosignature verifies; enough of them, if the auditor demands some
    15 times          contract, release, end and records in their order, none in the future
    16 gate           it enforced what all grants together demand
    17 results        the subjects are this run's, sealed to exactly the recipients
    18 evidence       a kind of TEE that all accept, and every check of attestation: chain, code, policy, REPORT_DATA

Some have a line for each input, each log or each property of the evidence.

What a verified receipt does *not* prove: that the data is true, that the code computes what its author
says, that the host did not stop another run of the same terms (docs/specs/receipt.md, "What can be hidden").
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import datetime

from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.attestation.appraise import appraise
from sls_jupyter.attestation.azure.facts import endorsers_of
from sls_jupyter.attestation.claims import Check
from sls_jupyter.attestation.device.simulated import root_pin_of
from sls_jupyter.attestation.evidence import ReferenceValues
from sls_jupyter.attestation.verify import verify as verify_evidence
from sls_jupyter.errors import BadInput, EvidenceRejected, SlsError
from sls_jupyter.receipt.check_cell import check_cell
from sls_jupyter.receipt.check_documents import (
    check_assets,
    check_form,
    check_grants,
    check_image,
    check_inputs,
    check_owners,
    check_policy,
    check_spec,
)
from sls_jupyter.receipt.check_logs import (
    check_extends,
    check_logs,
    check_recorded,
    check_releases,
    check_witnesses,
)
from sls_jupyter.receipt.check_run import check_gate, check_results, check_times
from sls_jupyter.receipt.findings import Findings, NotMade, Wanted, need, refuse, words
from sls_jupyter.receipt.receipt import Receipt, Stated
from sls_jupyter.receipt.verdict import ReceiptVerdict, Taken, fail, plain
from sls_jupyter.transparency.cosignature import WitnessPolicy

EVIDENCE = "evidence of an accepted TEE"


def verify_receipt(
    data: bytes | Receipt,
    *,
    now: datetime,
    images: Collection[str],
    anchors: TrustAnchors | None = None,
    owners: Collection[str] | None = None,
    logs: Collection[str] | None = None,
    witnesses: WitnessPolicy | None = None,
    accept_simulated: bool = False,
    spec: str | None = None,
    order: str | None = None,
) -> ReceiptVerdict:
    """Check everything that a receipt states. Reads no clock, no file and no network.

    Evidence is judged at the time when the owners' logs recorded the receipt, so a receipt outlives the
    certificates of its machine; ``now`` only bounds that time.

    Args:
        data: a receipt file, or what was read or put together from one.
        now: with a time zone.
        images: digests of guest images (:attr:`GuestImage.digest`) whose results the caller believes.
        anchors: the vendors' pinned roots by default. If simulated evidence is accepted and no
            development root is among them, the receipt's own is taken, and listed so.
        owners: DIDs of exactly the owners expected; ``None`` takes those in the receipt, and lists them.
        logs: DIDs of exactly the logs expected; ``None`` as above.
        witnesses: who must have cosigned the last checkpoint of each log.
        accept_simulated: accept a receipt that no hardware signed. The verdict says SIMULATED then.
        spec: digest of the spec whose run it is; ``None`` takes any.
        order: digest of the order whose cell it is, in a session; ``None`` takes any.

    Returns:
        The verdict; a refusal is a verdict, not an error.

    Raises:
        BadInput: ``now`` has no time zone.
    """
    if now.tzinfo is None:
        raise BadInput("The time to verify at needs a time zone.", found=now, hint="Use datetime.now(UTC).")
    wanted = Wanted(now, images, anchors or TrustAnchors(), owners, logs, witnesses, accept_simulated, spec, order)
    found = Findings(data, wanted)
    checks = tuple(plain(check) for step in STEPS for check in step(found))
    stated, statement = found.stated, found.stated.statement if found.stated else None
    return ReceiptVerdict(
        accepted=all(check.ok for check in checks),
        id=found.receipt_id,
        kind=stated.evidence.kind if stated else "",
        at=found.judged_at(),
        checks=checks,
        taken=tuple(found.taken),
        spec=found.spec,
        predicate=statement.predicate if statement else None,
        subjects=tuple((one.name, f"sha256:{one.digest.sha256}") for one in statement.subject) if statement else (),
        receipt=found.receipt,
        order=found.order,
    )


def _check_evidence(found: Findings) -> Iterable[Check]:
    """18. The hardware signed this statement, in the group that the spec derives."""
    try:
        stated, init_data = need(found.stated, "receipt"), need(found.init_data, "policy")
        tees = set(need(found.spec, "spec").tees)
        tees = tees.intersection(*(grant.tees for grant in found.of_all(found.grants, "grant")))
        anchors = _anchors(found, stated)
    except NotMade as error:
        return [fail("evidence", error, EVIDENCE)]
    except SlsError as error:
        because = "not checked, because the kind of TEE is not good"
        return [fail("tee", words(error), error.expected), fail("evidence", because, EVIDENCE)]
    measurement = stated.statement.predicate.group.image.image().measurement
    try:
        verified = verify_evidence(stated.evidence, anchors, now=found.judged_at())
        reference = ReferenceValues(
            tees=tees,
            measurements=frozenset({measurement} if measurement else ()),
            init_data=init_data,
            report_data=stated.report_data,
            uvm_feeds=endorsers_of(verified.claims.tee),
        )
        return appraise(verified, reference).checks
    except EvidenceRejected as error:
        made = [Check.model_validate(one) for one in error.detail.get("checks", [])]
        return [*made, fail("evidence", error.message, EVIDENCE)]
    except SlsError as error:
        return [fail("evidence", words(error), EVIDENCE)]


def _anchors(found: Findings, stated: Stated) -> TrustAnchors:
    """Which roots count; simulated ones only for who said so."""
    if not stated.evidence.kind.startswith("simulated"):
        return found.wanted.anchors
    if not found.wanted.accept_simulated:
        refuse(
            "The receipt rests on SIMULATED evidence: no hardware signed it.",
            stated.evidence.kind,
            "evidence of hardware; for a demonstration, --accept-simulated",
        )
    if found.wanted.anchors.simulated_ark_spki:
        return found.wanted.anchors
    pin = root_pin_of(stated.evidence)
    found.taken.append(Taken("simulated root", pin.hex(), "evidence"))
    return replace(found.wanted.anchors, simulated_ark_spki=frozenset({pin}))


STEPS: tuple[Callable[[Findings], Iterable[Check]], ...] = (
    check_form,
    check_spec,
    check_inputs,
    check_assets,
    check_grants,
    check_cell,
    check_owners,
    check_image,
    check_policy,
    check_releases,
    check_recorded,
    check_extends,
    check_logs,
    check_witnesses,
    check_times,
    check_gate,
    check_results,
    _check_evidence,
)
"""In this order; each takes what those before it found good."""
