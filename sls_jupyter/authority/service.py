"""The authority itself: who it is, what it trusts, and the parts it is made of."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sls_jupyter.attestation.evidence import TrustAnchors
from sls_jupyter.authority.keyring import Keyring
from sls_jupyter.authority.store import Store
from sls_jupyter.contract.image import GuestImage, installed_image
from sls_jupyter.hpke import HpkeKey
from sls_jupyter.identity import Appointment, Home, Identity, SigningKey, read_or_create_private
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
    images: tuple[GuestImage, ...]  # guest images whose evidence it accepts
    asset_root: Path  # sealed parts below this folder are served, others are read where they are
    clock: Callable[[], int] = field(default=wall_clock)

    @property
    def did(self) -> str:
        return self.identity.did

    @property
    def origin(self) -> str:
        """Name of its log (C2SP tlog-checkpoint, "origin")."""
        return log_origin(self.did)


def _authority_identity(folder: Path, name: str) -> Identity:
    seed = read_or_create_private(folder / "ed25519", SigningKey.generate().private_key.private_bytes_raw(), 32)
    hpke = read_or_create_private(folder / "x-wing", HpkeKey.generate().private_bytes, 96)
    return Identity(name, SigningKey(Ed25519PrivateKey.from_private_bytes(seed)), HpkeKey(hpke))


def open_authority(
    home: Home,
    *,
    anchors: TrustAnchors,
    database: str | None = None,
    images: tuple[GuestImage, ...] | None = None,
    clock: Callable[[], int] = wall_clock,
) -> Authority:
    """The authority of one persona, with its keys and database made on first use.

    Args:
        anchors: roots that evidence may end in. A development root is in it only where its owner's
            machine is trusted to simulate.
        database: a SQLAlchemy URL; SQLite in the persona's home by default.
        images: accepted guest images; the code installed here by default.

    Raises:
        LogInconsistent: the database does not hold the log that this authority signed; both are named.
    """
    from sls_jupyter.authority.ledger import require_sound
    from sls_jupyter.documents import sign

    folder = home.folder("authority")
    owner = home.identity()
    identity = _authority_identity(folder, f"{home.persona}'s authority")
    authority = Authority(
        owner=owner.did,
        owner_contact=sign(owner.contact(), owner),
        appointment=sign(Appointment(owner=owner.did, authority=identity.did), owner),
        identity=identity,
        store=Store(database or folder / "authority.db"),
        keyring=Keyring.load(folder),
        anchors=anchors,
        images=images or (installed_image(),),
        asset_root=home.folder("assets"),
        clock=clock,
    )
    with authority.store.read() as connection:
        require_sound(connection, authority)
    return authority
