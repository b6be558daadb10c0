"""The HPKE ``info`` strings of the authority's protocol, for both of its sides."""

from __future__ import annotations

from sls_jupyter.documents import lp


def publish_info(asset: str) -> bytes:
    """Of master keys on their way to the authority: ``lp("sls-jupyter/publish/v1", asset id)``."""
    return lp("sls-jupyter/publish/v1", asset)


def release_info(spec: str, asset: str) -> bytes:
    """Of master keys on their way to a guest: ``lp("sls-jupyter/release/v1", spec digest, asset id)``."""
    return lp("sls-jupyter/release/v1", spec, asset)
