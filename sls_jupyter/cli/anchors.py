"""Which simulated processors a command was told to believe, beside the pinned vendors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sls_jupyter.errors import BadInput

if TYPE_CHECKING:
    from sls_jupyter.attestation.anchors import TrustAnchors
    from sls_jupyter.identity import Home


def believed(accepted: Sequence[str], home: Home) -> TrustAnchors:
    """AMD's roots, and the simulated ones that the operator named."""
    from sls_jupyter.attestation.anchors import TrustAnchors
    from sls_jupyter.attestation.device.simulated import DevelopmentChain

    pins = set()
    for one in accepted:
        if one == "self":
            pins.add(DevelopmentChain.load_or_create(home.root / "machine").root_pin)
        else:
            pins.add(_pin_in(Path(one)))
    return TrustAnchors(simulated_ark_spki=frozenset(pins))


def _pin_in(path: Path) -> bytes:
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            "The root pin cannot be read.",
            found=f"{path}: {getattr(error, 'strerror', None) or type(error).__name__}",
            expected="self, for this machine's simulated processor, or a file with a root pin",
        ) from None
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise BadInput(
            "This is not a root pin.", found=path, expected="64 lower-case hex digits, SHA-256 of the root's public key"
        )
    return bytes.fromhex(text)
