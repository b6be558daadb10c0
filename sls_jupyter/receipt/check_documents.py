"""Checks 1 to 5 and 7 to 9: the statement itself, what people and authorities signed, and the group that follows from it."""

from __future__ import annotations

from collections.abc import Iterable

from sls_jupyter.assets.opening import verify_manifest
from sls_jupyter.attestation.claims import Check
from sls_jupyter.contract import cce
from sls_jupyter.contract.differing import differing_policies
from sls_jupyter.contract.grants import Grant
from sls_jupyter.contract.spec import AssetInput, verify_stated_spec
from sls_jupyter.documents import verify
from sls_jupyter.identity import verify_signature
from sls_jupyter.receipt.findings import Findings, NotMade, line, need, refuse
from sls_jupyter.receipt.receipt import Receipt
from sls_jupyter.receipt.statement import InputRecord
from sls_jupyter.receipt.verdict import fail


def check_form(found: Findings) -> Iterable[Check]:
    """1. The file is a receipt, in its one canonical form."""

    def check() -> str:
        receipt = found.data if isinstance(found.data, Receipt) else Receipt.parse(found.data)
        stated = receipt.stated()
        stated.statement.subjects()
        found.receipt, found.stated, found.receipt_id = receipt, stated, stated.id
        return found.receipt_id

    return [line("receipt", "an in-toto statement that evidence signs, in canonical form", check)]


def check_spec(found: Findings) -> Iterable[Check]:
    """2. The spec is signed by its requester, each recipient's key by the recipient; it is the one expected, if one is."""
    wanted = found.wanted.spec

    def check() -> str:
        envelope = need(found.stated, "receipt").statement.predicate.spec.encode()
        spec = verify_stated_spec(envelope)
        spec_id = spec.digest
        if wanted is not None and spec_id != wanted:
            refuse("The receipt of another run.", spec_id, wanted)
        found.spec, found.spec_id = spec, spec_id
        return f"{spec_id} by {spec.requester}, for {', '.join(person.did for person in spec.recipients)}"

    signed = "signed by its requester, each recipient's key by the recipient"
    return [line("spec", signed if wanted is None else f"{wanted}, {signed}", check)]


def check_inputs(found: Findings) -> Iterable[Check]:
    """3. The inputs are those of the spec, in its order."""

    def check() -> str:
        told = [one.alias for one in need(found.stated, "receipt").statement.predicate.inputs]
        asked = [item.alias for item in need(found.spec, "spec").inputs]
        if told != asked:
            refuse("The inputs are not the spec's.", ", ".join(told), ", ".join(asked))
        return ", ".join(asked)

    return [line("inputs", "those of the spec, in its order", check)]


def check_assets(found: Findings) -> Iterable[Check]:
    """4. Each input's manifest is the one that the spec names, signed by the owner that both name."""

    def check(item: AssetInput, one: InputRecord) -> str:
        manifest = verify_manifest(one.manifest.encode(), item.asset)
        is_ = (manifest.owner, manifest.authority, manifest.authority_url, manifest.kind)
        said = (item.owner, item.authority, item.authority_url, item.kind)
        if is_ != said:
            refuse("The spec describes the asset wrongly.", " ".join(said), " ".join(is_))
        found.manifests[item.alias] = manifest
        return f"{item.asset} by {item.owner}"

    return found.each_input("asset", "the manifest that the spec names, signed by its owner", check)


def check_grants(found: Findings) -> Iterable[Check]:
    """5. Each input's authority granted this spec its columns."""

    def check(item: AssetInput, one: InputRecord) -> str:
        grant = verify(one.grant.encode(), Grant, verify_signature, did=item.authority)
        if (grant.spec, grant.asset) != (found.spec_id, item.asset):
            refuse("The grant is for another run.", f"{grant.spec} {grant.asset}", f"{found.spec_id} {item.asset}")
        granted = grant.columns or ()
        if surplus := sorted(set(item.columns or ()) - set(granted)):
            refuse("The grant does not cover the columns.", ", ".join(surplus), ", ".join(granted))
        found.grants[item.alias] = grant
        return f"{grant.digest} by {grant.authority}"

    return found.each_input("grant", "signed by the asset's authority, for this spec and its columns", check)


def check_owners(found: Findings) -> Iterable[Check]:
    """7. The owners are those expected."""
    aliases: dict[str, list[str]] = {}
    try:
        for manifest, (item, _) in zip(found.of_all(found.manifests, "asset"), found.inputs(), strict=True):
            aliases.setdefault(manifest.owner, []).append(item.alias)
    except NotMade as error:
        return [fail("owners", error, "the owners expected")]
    return [found.pinned("owner", {did: ", ".join(names) for did, names in aliases.items()}, found.wanted.owners)]


def check_image(found: Findings) -> Iterable[Check]:
    """8. The guest image is one whose results the auditor believes."""
    expected = ", ".join(sorted(found.wanted.images)) or "an accepted image: give --image"

    def check() -> str:
        image = need(found.stated, "receipt").statement.predicate.group.image.image()
        if image.digest not in found.wanted.images:
            refuse("Another guest image.", f"{image.digest}, called {image.reference}", expected)
        return f"{image.digest}, called {image.reference}"

    return [line("image", expected, check)]


def check_policy(found: Findings) -> Iterable[Check]:
    """9. The container policy is the one that this spec and this image give; its digest has to be HOST_DATA."""

    def check() -> str:
        group = need(found.stated, "receipt").statement.predicate.group
        policy = cce.policy_for(need(found.spec, "spec"), group.image.image())
        stated = group.cce_policy.encode()
        if policy != stated:
            where = "; ".join(differing_policies(stated, policy)[:3])
            refuse(
                "The policy is not the one for this spec and image.",
                f"{cce.host_data(stated).hex()}, which differs: {where}",
                cce.host_data(policy).hex(),
            )
        found.init_data = cce.host_data(policy)
        return found.init_data.hex()

    return [line("policy", "the container policy that spec and image give", check)]
