"""What is written down of a host on podman: where its image lies, and which one that was."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from sls_jupyter.contract.image import WrittenImage
from sls_jupyter.documents import Document


class PodmanSettings(Document):
    """One host."""

    payload_type: ClassVar[str] = "application/vnd.sls.host-podman.v1+json"  # written down, never signed
    max_payload_bytes: ClassVar[int] = 2**16

    kind: Literal["podman"] = "podman"
    layout: Annotated[str, Field(pattern=r"^/[^\0\n,:]{1,1023}\Z")]  # the OCI layout, a folder or a tar
    tag: Annotated[str, Field(pattern=r"^([A-Za-z0-9_][A-Za-z0-9._-]{0,127})?\Z")] = ""
    image: WrittenImage

    @model_validator(mode="after")
    def _is_measured(self) -> PodmanSettings:
        if not self.image.measurement:
            raise ValueError("image: what simulated evidence shows is needed here")
        return self
