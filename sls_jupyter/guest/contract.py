"""What both doors do with the contract they are brought: accept exactly the measured one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sls_jupyter.assets.manifest import AssetManifest
from sls_jupyter.assets.opening import verify_manifest
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.contract.grants import Grant, Obligations, combined_obligations
from sls_jupyter.contract.spec import StreamSpec, verify_stream_spec
from sls_jupyter.documents import b64decode, require_digest, verify
from sls_jupyter.errors import BadInput, DigestMismatch, MalformedDocument, NotAuthorised
from sls_jupyter.identity import verify_signature

MAX_CHOSEN = 64  # URLs of authorities
MAX_CONTRACT_BYTES = 3 * 2**19  # spec, manifests and grants together: the receipt has to hold them, in base64 again


@dataclass(frozen=True, slots=True)
class Contract:
    """A spec with everything that was granted to it, all signatures checked."""

    spec: StreamSpec
    spec_envelope: bytes
    grants: tuple[Grant, ...]  # one for each input, in the order of spec.inputs
    grant_envelopes: tuple[bytes, ...]  # of these
    chosen: frozenset[str] = frozenset()  # URLs of authorities that the requester chose: these may be private

    def client_of(self, did: str, url: str, **options: Any) -> AuthorityClient:
        """A client of an authority of the spec; a URL that its owner alone chose is a public one, or not reached."""
        return AuthorityClient(url, did=did, chosen=url in self.chosen, **options)

    @property
    def obligations(self) -> Obligations:
        return combined_obligations(self.spec, self.grants)


@dataclass(frozen=True, slots=True)
class Material:
    """What the input container needs beside the contract; the digests were compared."""

    code: str
    parameters: bytes
    manifests: tuple[AssetManifest, ...]  # in the order of spec.inputs
    manifest_envelopes: tuple[bytes, ...]  # of these


def accept_contract(body: dict[str, Any], measured: str, caller: str, *, now: int) -> Contract:
    """The contract in the body of ``POST /v1/contract``.

    Args:
        measured: the spec's digest in this container's command, hence in HOST_DATA.
        caller: DID of who brings it, already authenticated.

    Raises:
        NotAuthorised: somebody else than the spec's requester brings it.
        DigestMismatch: another spec than the measured one.
        SignatureInvalid, MalformedDocument, BadInput: the spec or a grant.
    """
    try:
        envelope = str(body["spec"]).encode()
        grant_envelopes = [str(grant).encode() for grant in body["grants"]]
    except (KeyError, TypeError):
        raise MalformedDocument("A contract is a spec and its grants.") from None
    spec = verify_stream_spec(envelope)
    if spec.digest != measured:
        raise DigestMismatch("This group was measured for another spec.", found=spec.digest, expected=measured)
    if caller != spec.requester:
        raise NotAuthorised("Only its requester may bring a spec.", found=caller, expected=spec.requester)
    grants = [(verify(one, Grant, verify_signature, did=None), one) for one in grant_envelopes]
    ordered = []
    for item in spec.inputs:
        fitting = [
            (grant, one)
            for grant, one in grants
            if (grant.authority, grant.spec, grant.asset) == (item.authority, spec.digest, item.asset)
            and grant.expires_at > now
        ]
        if not fitting:
            raise BadInput(f"No valid grant for {item.alias}.", expected=f"one signed by {item.authority}")
        ordered.append(fitting[0])
    return Contract(
        spec, envelope, tuple(grant for grant, _ in ordered), tuple(one for _, one in ordered), chosen_in(body)
    )


def chosen_in(body: dict[str, Any]) -> frozenset[str]:
    """The URLs of authorities that the requester says are their own choice; none if they say nothing.

    Raises:
        MalformedDocument: not a short list of texts.
    """
    chosen = body.get("chosen", [])
    if not isinstance(chosen, list) or len(chosen) > MAX_CHOSEN or not all(isinstance(url, str) for url in chosen):
        raise MalformedDocument("The chosen URLs of a contract are a list of texts.", expected=f"{MAX_CHOSEN} at most")
    return frozenset(chosen)


def accept_material(body: dict[str, Any], contract: Contract) -> Material:
    """Code, parameters and manifests that the spec names by digest.

    Raises:
        DigestMismatch: any of them is another.
        BadInput: an asset's owner named another authority or URL, or no receipt could hold all this.
    """
    spec = contract.spec
    try:
        code, parameters = str(body["code"]), b64decode(body["parameters"])
        envelopes = {name: str(envelope).encode() for name, envelope in dict(body["manifests"]).items()}
        ordered = tuple(envelopes[item.asset] for item in spec.inputs)
        manifests = tuple(verify_manifest(one, item.asset) for one, item in zip(ordered, spec.inputs, strict=True))
    except (KeyError, TypeError, ValueError):
        raise MalformedDocument("The input needs code, parameters and one manifest for each asset.") from None
    require_digest(code.encode(), spec.code, "the cell")
    require_digest(parameters, spec.parameters, "the parameters")
    for item, manifest in zip(spec.inputs, manifests, strict=True):
        if (item.authority, item.authority_url) != (manifest.authority, manifest.authority_url):
            raise BadInput(
                f"The spec has another authority for {item.alias} than its owner.",
                found=f"{item.authority} at {item.authority_url}",
                expected=f"{manifest.authority} at {manifest.authority_url}",
                hint="Keys are asked for, and the end of a run is told, where the owner said.",
            )
    size = sum(map(len, (contract.spec_envelope, *contract.grant_envelopes, *ordered)))
    if size > MAX_CONTRACT_BYTES:
        raise BadInput(
            "The contract is too large for a receipt.",
            found=f"{size} bytes of spec, manifests and grants",
            expected=f"{MAX_CONTRACT_BYTES} at most",
            hint="Use fewer inputs, or assets with fewer columns and larger parts.",
        )
    return Material(code, parameters, manifests, ordered)
