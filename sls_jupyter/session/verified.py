"""Manifests and policies whose signatures were found good, by the bytes that they were found in."""

from __future__ import annotations

import threading
from collections import OrderedDict

from sls_jupyter.assets.manifest import AssetManifest
from sls_jupyter.assets.opening import verify_manifest
from sls_jupyter.documents import digest, lp, verify
from sls_jupyter.errors import DigestMismatch
from sls_jupyter.identity import verify_signature
from sls_jupyter.policy.model import OwnerPolicy

MAX_BYTES = 32 * 2**20  # of envelopes whose content is kept; what was used longest ago goes first

Signed = tuple[AssetManifest, OwnerPolicy]


class VerifiedAssets:
    """What :func:`verify_asset` gave, for the same bytes the next time: a signature does not change its mind."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._known: OrderedDict[str, tuple[int, Signed]] = OrderedDict()
        self._lock = threading.Lock()

    def verify(self, id_: str, manifest: bytes, policy: bytes) -> Signed:
        """The same as :func:`verify_asset`, which is asked where these very bytes are not known to be good."""
        key = digest(lp("sls-jupyter/verified-asset", id_, manifest, policy))
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key][1]
        signed, size = verify_asset(id_, manifest, policy), len(manifest) + len(policy)
        with self._lock:
            if key not in self._known and size <= self._max_bytes:
                self._known[key] = (size, signed)
                self._bytes += size
            while self._bytes > self._max_bytes:
                self._bytes -= self._known.popitem(last=False)[1][0]
        return signed


def verify_asset(id_: str, manifest: bytes, policy: bytes) -> Signed:
    """An asset's manifest and policy, both signed by its owner.

    Which authority may list it is not looked at.

    Args:
        id_: the manifest's digest. manifest, policy: DSSE envelopes.

    Raises:
        SignatureInvalid, DigestMismatch, MalformedDocument: one of them does not verify, or they do not belong together.
    """
    said = verify_manifest(manifest, id_)
    rules = verify(policy, OwnerPolicy, verify_signature, did=said.owner)
    if rules.digest != said.policy:
        raise DigestMismatch(
            "The policy of an asset is not the one that its manifest names.", found=rules.digest, expected=said.policy
        )
    return said, rules
