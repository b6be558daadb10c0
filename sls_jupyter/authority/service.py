"""The authority itself: who it is, what it trusts, and the parts it is made of."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sls_jupyter.assets.azure.minting import Minter
from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.authority.keyring import Keyring
from sls_jupyter.authority.store import Store
from sls_jupyter.contract.image import GuestImage
from sls_jupyter.identity import Identity
from sls_jupyter.transparency.checkpoint import log_origin


def wall_clock() -> int:
    """Seconds since 1970-01-01 UTC."""
    return int(time.time())


@dataclass(frozen=True, slots=True)
class Authority:
    """One owner's authority.

    Its own key signs grants and the log; the owner's key, which it does not have, signs assets,
    policies and approvals.
    """

    owner: str  # DID whose assets it takes and who approves by default
    owner_contact: bytes  # DSSE envelope of the owner's Contact
    appointment: bytes  # DSSE envelope of the owner's Appointment of this authority
    identity: Identity
    store: Store
    keyring: Keyring
    anchors: TrustAnchors
    images: Iterable[GuestImage]  # guest images whose evidence it accepts
    asset_root: Path  # sealed parts below this folder are served, others are read where they are
    clock: Callable[[], int] = field(default=wall_clock)
    minter: Minter = field(default_factory=Minter)  # of read passes, with the credential of its process

    @property
    def did(self) -> str:
        return self.identity.did

    @property
    def origin(self) -> str:
        """Name of its log (C2SP tlog-checkpoint, "origin")."""
        return log_origin(self.did)
