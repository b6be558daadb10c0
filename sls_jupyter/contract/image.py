"""The guest image: which code runs inside the group, and how it is measured.

On Azure the image is a list of dm-verity layers and the launch measurement is Microsoft's UVM. The
local host has neither, so there the installed guest code itself plays both parts: one SHA-256 over it
is the only layer, one SHA-384 the measurement. Changed guest code is therefore another layer, another
CCE policy, another HOST_DATA and another measurement.

What is *not* measured locally: the Python interpreter and the bytes of third-party packages. Their
names and versions are; of an OCI image the layers cover every byte. ``sls image build`` makes it from
``constraints.txt``, the lock file that ``make demo`` and ``make test`` install from, so what is measured is what was tested.
"""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field

from sls_jupyter.documents import Model, digest, lp

PACKAGE = Path(__file__).resolve().parent.parent
OUTSIDE_THE_GUEST = ("agent", "notebook", "lab", "labextension", "hosts", "safestream", "session", "cli", "image")
GUEST_DISTRIBUTIONS = (
    "cryptography",
    "httpx",
    "ipykernel",
    "jupyter_client",
    "nh3",
    "pandas",
    "pillow",
    "pyarrow",
    "pydantic",
    "rfc8785",
    "uvicorn",
)


@dataclass(frozen=True, slots=True)
class GuestImage:
    """An image of the guest and what evidence from it must show.

    It is known by its layers and its measurement. The reference says where it lies: nothing that anybody trusts
    follows from it, so the same layers in another registry, or compressed otherwise, are the same image.
    """

    reference: str  # name@sha256:…; where a host gets it, and what it is shown as
    layers: tuple[str, ...]  # dm-verity root hashes, 64 hex digits each; locally one digest of the code
    measurement: bytes  # 48, SHA-384

    @property
    def layers_id(self) -> str:
        """How a container policy calls its layers: SHA-256 of ``lp("sls-jupyter/layers/v1", layer, …)``."""
        return digest(lp("sls-jupyter/layers/v1", *self.layers))

    @property
    def digest(self) -> str:
        """What an auditor pins: SHA-256 of ``lp("sls-jupyter/image/v2", measurement, layer, …)``."""
        return digest(lp("sls-jupyter/image/v2", self.measurement, *self.layers))


class WrittenImage(Model):
    """The guest image of a host, as it is written down: by its layers, as an owner trusts it."""

    reference: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.:/_-]{0,254}@sha256:[0-9a-f]{64}\Z")]
    layers: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}\Z")], ...], Field(min_length=1, max_length=127)
    ]
    """dm-verity root hashes, in order."""
    measurement: Annotated[str, Field(pattern=r"^(?:[0-9a-f]{96})?\Z")]  # of simulated evidence; "" on hardware alone

    @classmethod
    def of(cls, image: GuestImage) -> Self:
        return cls(reference=image.reference, layers=image.layers, measurement=image.measurement.hex())

    def image(self) -> GuestImage:
        return GuestImage(self.reference, self.layers, bytes.fromhex(self.measurement))


def simulated_measurement(layers: tuple[str, ...]) -> bytes:
    """What simulated evidence shows for an OCI image: SHA-384 of ``lp("sls-jupyter/oci-image/v1", layer, …)``, 48 bytes.

    On Azure the hardware measures Microsoft's utility VM instead, and the layers are in the policy alone.
    """
    return hashlib.sha384(lp("sls-jupyter/oci-image/v1", *layers)).digest()


def image_of_layers(reference: str, layers: tuple[str, ...]) -> GuestImage:
    """The image of these layers; its measurement is what simulated evidence shows for it."""
    return GuestImage(reference, layers, simulated_measurement(layers))


def guest_files() -> list[Path]:
    """Every Python, Rego and JSON file that a container of the group may execute or read."""
    files = (path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".rego", ".json"} and path.is_file())
    return sorted(path for path in files if path.relative_to(PACKAGE).parts[0] not in OUTSIDE_THE_GUEST)


def _material() -> bytes:
    parts: list[bytes | str] = ["sls-jupyter/guest-code/v1", platform.python_version(), platform.machine()]
    for name in GUEST_DISTRIBUTIONS:
        parts.append(f"{name}=={metadata.version(name)}")
    for path in guest_files():
        parts += [path.relative_to(PACKAGE).as_posix(), path.read_bytes()]
    return lp(*parts)


def measure_installed() -> GuestImage:
    """Measure the guest code as it is on disk now. Takes some milliseconds."""
    material = _material()
    layer = hashlib.sha256(material).hexdigest()
    return GuestImage(f"sls-jupyter-guest@sha256:{layer}", (layer,), hashlib.sha384(material).digest())


@cache
def installed_image() -> GuestImage:
    """The guest code as it was when this process first asked."""
    return measure_installed()
