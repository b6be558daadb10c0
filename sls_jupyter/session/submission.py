"""Handing a sealed asset to its authority, so that what is published can be opened, whatever becomes of the answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from sls_jupyter.assets.sealing import SealedAsset, remove
from sls_jupyter.authority.client import AuthorityClient
from sls_jupyter.errors import DigestMismatch, SlsError, Unavailable, UnknownName


@dataclass(frozen=True, slots=True)
class Submission:
    """What an owner publishes: the asset whose parts lie at their place, and what goes with it."""

    sealed: SealedAsset
    policy: bytes  # DSSE
    module: str | None
    keys: bytes = field(repr=False)  # the master keys, HPKE-sealed to the authority

    def publish(self, client: AuthorityClient) -> int:
        """Publish; returns the index of the log entry.

        The parts are removed only when nobody can have published them: the authority answered, and says that it has no
        such asset. After a call that broke off nobody can tell, so it is made again, which changes nothing if it was
        published; and parts without which a published asset could never be opened stay.

        Raises:
            SlsError: what the authority says; nothing is left behind.
            Unavailable: it is not known whether it was published; the parts stay, and the hint says where.
            DigestMismatch: the authority says that it published something else.
        """
        manifest, asset = self.sealed.manifest, self.sealed.digest
        for _ in range(2):
            try:
                told, entry = client.publish(self.sealed.envelope, self.policy, self.module, self.keys)
            except SlsError as error:
                failure = error
                if error.said_by and not _has(client, asset):  # signed by the authority: the call is over there as well
                    remove(manifest)
                    raise
                continue
            if told != asset:
                raise DigestMismatch("An authority published something else.", found=told, expected=asset)
            return entry
        raise Unavailable(
            f"It is not known whether {manifest.name} was published: the authority does not say.",
            found=failure.message,
            hint=f"%sls assets lists it if it was. Its parts stay in {manifest.storage[:300]}; if it was not,"
            " remove that folder and seal again.",
        )


def _has(client: AuthorityClient, asset: str) -> bool:
    """Whether an authority has an asset; one that does not say so may have it."""
    try:
        client.asset(asset)
    except UnknownName:
        return False
    except SlsError:
        return True
    return True
