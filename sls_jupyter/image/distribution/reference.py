"""Names of images in registries: ``HOST[:PORT]/REPOSITORY[:TAG][@sha256:…]`` (OCI distribution specification)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from sls_jupyter.errors import BadInput

_REFERENCE = re.compile(
    r"(?P<host>(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?)"
    r"/(?P<repository>[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_HUB = {"docker.io", "index.docker.io", "registry-1.docker.io"}


@dataclass(frozen=True, slots=True)
class Reference:
    """Where an image is, and which."""

    host: str  # with its port, if it was named
    repository: str
    tag: str = ""
    digest: str = ""  # sha256:…, and then nothing else counts

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a name; without tag and digest it is ``latest``.

        Raises:
            BadInput: no such name, or none that says its registry.
        """
        found = _REFERENCE.fullmatch(text) if len(text) <= 512 else None
        if found is None or not _is_host(found["host"]):
            raise BadInput(
                "this is not the name of an image in a registry",
                found=text[:200],
                expected="HOST/REPOSITORY:TAG or HOST/REPOSITORY@sha256:…",
                hint="name the registry too, as docker.io/library/python:3.11",
            )
        tag = found["tag"] or ("" if found["digest"] else "latest")
        repository = found["repository"]
        if found["host"] in _HUB and "/" not in repository:
            repository = f"library/{repository}"
        return cls(found["host"], repository, tag, found["digest"] or "")

    @property
    def origin(self) -> str:
        """Scheme and host of its API: TLS, but on this machine."""
        if self.host in _HUB:
            return "https://registry-1.docker.io"
        return f"{'http' if is_loopback(self.host) else 'https'}://{self.host}"

    @property
    def version(self) -> str:
        """What stands for it in a URL."""
        return self.digest or self.tag

    def at(self, digest: str) -> Reference:
        """The same repository's image of that digest."""
        return Reference(self.host, self.repository, "", digest)

    def __str__(self) -> str:
        tag, digest = self.tag and f":{self.tag}", self.digest and f"@{self.digest}"
        return f"{self.host}/{self.repository}{tag}{digest}"


def _is_host(host: str) -> bool:
    """A first part is a host if it could be no repository: with a dot, a port, or this machine."""
    return "." in host or ":" in host or host == "localhost"


def is_loopback(host: str) -> bool:
    """Whether a host, with or without a port, is this machine by its very name."""
    name = host[1 : host.index("]")] if host.startswith("[") else host.partition(":")[0]
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
