"""Runs, sessions and cells as they are handed from one process of a persona to another."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field

from sls_jupyter.assets.opening import verify_manifest
from sls_jupyter.contract.spec import verify_stream_spec
from sls_jupyter.documents import (
    Base64,
    Digest,
    Model,
    Name,
    b64decode,
    b64encode,
    canonical_json,
    require_digest,
)
from sls_jupyter.errors import MalformedDocument
from sls_jupyter.safestream.ordering import SessionRequest
from sls_jupyter.safestream.request import StreamRequest

SESSION_NAME = r"^[A-Za-z][A-Za-z0-9_-]{0,39}\Z"
MAX_POSTED_BYTES = 64 * 2**20  # far above what an authority takes of one request


class PostedRun(Model):
    """Everything that starting a run takes, as JSON."""

    spec: str  # DSSE
    code: str
    parameters: Base64
    manifests: Annotated[Mapping[Digest, str], Field(max_length=64)]  # DSSE, by asset
    contact: str  # DSSE
    host: Annotated[str, Field(max_length=80)] | None = None
    wait_for_approval: bool = False
    results_to: Annotated[str, Field(max_length=4000)] | None = None

    @classmethod
    def of(cls, request: StreamRequest, *, host: str | None, wait_for_approval: bool, results_to: str | None) -> Self:
        return cls(
            spec=request.envelope.decode(),
            code=request.code,
            parameters=b64encode(request.parameters),
            manifests={asset: envelope.decode() for asset, envelope in request.manifests.items()},
            contact=request.contact.decode(),
            host=host,
            wait_for_approval=wait_for_approval,
            results_to=results_to,
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises :class:`MalformedDocument`."""
        return cls.read(data, max_bytes=MAX_POSTED_BYTES)

    def encode(self) -> bytes:
        return canonical_json(self.model_dump(mode="json"))

    def request(self, requester: str) -> StreamRequest:
        """The request in it, if all its parts belong together.

        Args:
            requester: the DID whose request it has to be.

        Raises:
            VerificationError, MalformedDocument: a part is not the one that the signed contract names.
        """
        envelope = self.spec.encode()
        spec = verify_stream_spec(envelope, did=requester)
        if spec.code is None or spec.parameters is None:
            raise MalformedDocument("A session's contract is no run's.", found=spec.digest)
        parameters = b64decode(self.parameters)
        require_digest(self.code.encode(), spec.code, "the code of a run")
        require_digest(parameters, spec.parameters, "the parameters of a run")
        manifests = {asset: text.encode() for asset, text in self.manifests.items()}
        for item in spec.inputs:
            verify_manifest(manifests.get(item.asset, b""), item.asset)
        return StreamRequest(spec, envelope, self.code, parameters, manifests, self.contact.encode())


class PostedSession(Model):
    """A session to be opened under a name; its group starts with its first cell."""

    name: Annotated[str, Field(pattern=SESSION_NAME)]
    spec: str  # DSSE
    manifests: Annotated[Mapping[Digest, str], Field(max_length=64)]  # DSSE, by asset
    contact: str  # DSSE
    host: Annotated[str, Field(max_length=80)] | None = None
    opener: Annotated[str, Field(max_length=80)]  # the process that opens it, see :func:`this_process`

    @classmethod
    def of(cls, name: str, request: SessionRequest, *, host: str | None) -> Self:
        return cls(
            name=name,
            spec=request.envelope.decode(),
            manifests={asset: envelope.decode() for asset, envelope in request.manifests.items()},
            contact=request.contact.decode(),
            host=host,
            opener=this_process(),
        )

    def request(self, requester: str) -> SessionRequest:
        """The request in it, if all its parts belong together.

        Raises:
            VerificationError, MalformedDocument: a part is not the one that the signed contract names.
        """
        envelope = self.spec.encode()
        spec = verify_stream_spec(envelope, did=requester)
        if spec.session is None:
            raise MalformedDocument("A run's contract is no session's.", found=spec.digest)
        manifests = {asset: text.encode() for asset, text in self.manifests.items()}
        for item in spec.inputs:
            verify_manifest(manifests.get(item.asset, b""), item.asset)
        return SessionRequest(spec, envelope, manifests, self.contact.encode())


class PostedCell(Model):
    """The next cell of an open session."""

    call: Annotated[str, Field(pattern=r"^[0-9a-f]{32}\Z")] = Field(default_factory=lambda: secrets.token_hex(16))

    session: Annotated[str, Field(pattern=SESSION_NAME)]
    code: str
    parameters: Base64
    outputs: Annotated[tuple[Name, ...], Field(max_length=256)] = ()
    wait_for_approval: bool = False


def this_process() -> str:
    """A name for this process that no other process of this machine has, as long as it runs."""
    return f"{os.getpid()}:{_started(os.getpid())}"


def is_alive(process: str) -> bool:
    """Whether the process that gave itself this name still runs."""
    pid, _, started = process.partition(":")
    return pid.isascii() and pid.isdigit() and _started(int(pid)) == started != ""


def _started(pid: int) -> str:
    """When a process began, in ticks since the machine did (proc(5)); "" if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]
