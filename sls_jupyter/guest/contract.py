"""What both doors do with the contract they are brought: accept exactly the measured one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sls_jupyter.contract.grants import Grant, Obligations, combined_obligations
from sls_jupyter.contract.spec import StreamSpec, verify_stream_spec
from sls_jupyter.documents import b64decode, require_digest, verify
from sls_jupyter.errors import BadInput, DigestMismatch, MalformedDocument, NotAuthorised
from sls_jupyter.guest.messages import ContractMessage, MaterialMessage, part_of
from sls_jupyter.identity import verify_signature

if TYPE_CHECKING:
    from sls_jupyter.assets.manifest import AssetManifest
    from sls_jupyter.authority.client import AuthorityClient
    from sls_jupyter.contract.image import GuestImage

MAX_CONTRACT_BYTES = 3 * 2**19  # spec, manifests and grants together: the receipt has to hold them, in base64 again


@dataclass(frozen=True, slots=True)
class Contract:
    """A spec, of a run or of a session, with everything that was granted to it, all signatures checked."""

    spec: StreamSpec
    spec_envelope: bytes
    grants: tuple[Grant, ...]  # one for each input, in the order of spec.inputs
    grant_envelopes: tuple[bytes, ...]  # of these
    chosen: frozenset[str] = frozenset()  # URLs of authorities that the requester chose: these may be private

    def client_of(self, did: str, url: str, **options: Any) -> AuthorityClient:
        """A client of an authority of the spec; a URL that its owner alone chose is a public one, or not reached."""
        from sls_jupyter.authority.client import AuthorityClient  # the output has none

        return AuthorityClient(url, did=did, chosen=url in self.chosen, **options)

    @property
    def obligations(self) -> Obligations:
        return combined_obligations(self.spec, self.grants)


@dataclass(frozen=True, slots=True)
class Material:
    """What the input container needs beside the contract; the digests were compared."""

    code: str | None  # None: a session's comes with its orders
    parameters: bytes | None
    manifests: tuple[AssetManifest, ...]  # in the order of spec.inputs
    manifest_envelopes: tuple[bytes, ...]  # of these
    image: GuestImage  # this group's own: its layers give the policy that the hardware measured


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
    brought = part_of(ContractMessage, body)
    envelope, grant_envelopes = brought.spec.encode(), [grant.encode() for grant in brought.grants]
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
        spec,
        envelope,
        tuple(grant for grant, _ in ordered),
        tuple(one for _, one in ordered),
        frozenset(brought.chosen),
    )


def accept_material(body: dict[str, Any], contract: Contract, init_data: bytes) -> Material:
    """Code, parameters and manifests that the spec names by digest, and the image that this group runs.

    The contract of a session comes without code and parameters.

    Args:
        init_data: HOST_DATA of this guest's own evidence.

    Raises:
        DigestMismatch: any of them is another, or another image.
        BadInput: an asset's owner named another authority or URL, no receipt could hold all this, or there is code where
            the spec has none.
    """
    from sls_jupyter.assets.opening import verify_manifest  # the input alone has material
    from sls_jupyter.contract import cce

    spec, brought = contract.spec, part_of(MaterialMessage, body)
    code, parameters = _code_of(brought, spec)
    if set(brought.manifests) != {item.asset for item in spec.inputs}:
        raise MalformedDocument("The input needs one manifest for each asset.", found=f"{len(brought.manifests)}")
    ordered = tuple(brought.manifests[item.asset].encode() for item in spec.inputs)
    manifests = tuple(verify_manifest(one, item.asset) for one, item in zip(ordered, spec.inputs, strict=True))
    for item, manifest in zip(spec.inputs, manifests, strict=True):
        if (item.authority, item.authority_url) != (manifest.authority, manifest.authority_url):
            raise BadInput(
                f"The spec has another authority for {item.alias} than its owner.",
                found=f"{item.authority} at {item.authority_url}",
                expected=f"{manifest.authority} at {manifest.authority_url}",
                hint="Keys are asked for, and the end of a run is told, where the owner said.",
            )
    image = brought.image.image()
    if (of_image := cce.host_data(cce.policy_for(spec, image))) != init_data:
        raise DigestMismatch(
            "This group runs another guest image than the requester says.",
            found=of_image.hex(),
            expected=init_data.hex(),
            hint="A receipt that names another image would be accepted by nobody. Nothing was computed.",
        )
    require_room((contract.spec_envelope, *contract.grant_envelopes, *ordered))
    return Material(code, parameters, manifests, ordered, image)


def require_room(signed: Iterable[bytes]) -> None:
    """Refuse what no receipt could hold: padding would be a way to results without one.

    Args:
        signed: all envelopes that the receipt will have.
    """
    size = sum(map(len, signed))
    if size > MAX_CONTRACT_BYTES:
        raise BadInput(
            "The contract is too large for a receipt.",
            found=f"{size} bytes of spec, manifests, grants and orders",
            expected=f"{MAX_CONTRACT_BYTES} at most",
            hint="Use fewer inputs, or assets with fewer columns and larger parts; open a new session.",
        )


def _code_of(brought: MaterialMessage, spec: StreamSpec) -> tuple[str | None, bytes | None]:
    """The cell and the parameters of a run; nothing for a session."""
    if spec.code is None or spec.parameters is None:
        if brought.code is not None or brought.parameters is not None:
            raise BadInput("The contract of a session has no code.", hint="Each cell comes with its order.")
        return None, None
    if brought.code is None or brought.parameters is None:
        raise MalformedDocument("The input needs the cell and its parameters.")
    code, parameters = brought.code, b64decode(brought.parameters)
    require_digest(code.encode(), spec.code, "the cell")
    require_digest(parameters, spec.parameters, "the parameters")
    return code, parameters
