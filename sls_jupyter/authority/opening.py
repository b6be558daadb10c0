"""A persona's authority, with keys and database made on first use, and its log found sound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sls_jupyter.attestation.anchors import TrustAnchors
from sls_jupyter.authority.images import AcceptedImages
from sls_jupyter.authority.keyring import Keyring
from sls_jupyter.authority.ledger import require_sound
from sls_jupyter.authority.service import Authority, wall_clock
from sls_jupyter.authority.store import Store
from sls_jupyter.contract.image import GuestImage
from sls_jupyter.documents import sign
from sls_jupyter.hpke import HpkeKey
from sls_jupyter.identity import Appointment, Home, Identity, SigningKey, read_or_create_private


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
        images: accepted guest images; by default the code installed here and the images that the persona trusts.

    Raises:
        LogInconsistent: the database does not hold the log that this authority signed; both are named.
    """
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
        images=images or AcceptedImages(home),
        asset_root=home.folder("assets"),
        clock=clock,
    )
    with authority.store.read() as connection:
        require_sound(connection, authority)
    return authority
