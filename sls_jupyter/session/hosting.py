"""Where a persona's runs can be placed: this machine, and the hosts that are written down in its folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from sls_jupyter.contract.group import ContainerGroup, group_for
from sls_jupyter.contract.image import GuestImage, WrittenImage
from sls_jupyter.contract.spec import KINDS, AssetInput, Limits, Recipient, StreamSpec, fresh_nonce
from sls_jupyter.documents import Model, canonical_json, sign
from sls_jupyter.errors import BadInput, MalformedDocument, UnknownName, printable
from sls_jupyter.hosts.aci.launch import AciHost
from sls_jupyter.hosts.aci.settings import AciSettings
from sls_jupyter.hosts.local import LocalHost
from sls_jupyter.hosts.podman.host import PodmanHost
from sls_jupyter.hosts.podman.image import guest_image, open_layout
from sls_jupyter.hosts.podman.settings import PodmanSettings
from sls_jupyter.identity import Home, locked, write_whole
from sls_jupyter.safestream.host import Host
from sls_jupyter.session.catalogue import Catalogue

HOSTS_FILE = "hosts.json"
MAX_FILE_BYTES = 2**18
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_SAMPLE_DIGEST = "sha256:" + "0" * 64


HostSettings = AciSettings | PodmanSettings


class HostsFile(Model):
    """``hosts.json``: no secret is in it."""

    version: Literal[1] = 1
    hosts: dict[str, Annotated[HostSettings, Field(discriminator="kind")]]


def read_hosts(home: Home) -> dict[str, HostSettings]:
    """The hosts that are written down, by name.

    Raises:
        MalformedDocument: the file is not one of these, to the member.
    """
    path = home.path / HOSTS_FILE
    if not path.exists():
        return {}
    try:
        found = HostsFile.read(path.read_bytes(), max_bytes=MAX_FILE_BYTES)
    except (ValidationError, MalformedDocument) as error:
        raise MalformedDocument(
            "The list of your hosts cannot be read.",
            found=_first(error),
            expected=f"version 1 of {HOSTS_FILE}",
            hint=f"Move {path} away, and add the hosts again: %sls hosts add …",
        ) from None
    return dict(found.hosts)


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        one = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, one['loc']))}: {one['msg']}"[:300]
    return str(getattr(error, "message", type(error).__name__))


def aci_settings(**fields: Any) -> AciSettings:
    """Settings from what somebody typed.

    Raises:
        BadInput: one cannot be so, with what it has to be.
    """
    try:
        return AciSettings(**fields)
    except ValidationError as error:
        one = error.errors(include_url=False)[0]
        name = "--" + str(one["loc"][0]).replace("_", "-")
        raise BadInput(
            f"A host cannot have this {name}.", found=str(one.get("input"))[:200], expected=one["msg"][:300],
            hint="az account show prints the subscription, az group list the groups, az account list-locations the regions.",
        ) from None  # fmt: skip


class Hosting(Catalogue):
    """Hosts.

    Args:
        hosts: where runs can be placed, by name; by default this machine, and what the persona's folder lists.
    """

    def __init__(self, home: Home, hosts: Mapping[str, Host] | None = None) -> None:
        super().__init__(home)
        self.hosts: dict[str, Host] = dict(hosts) if hosts is not None else self._own_hosts()

    def _own_hosts(self) -> dict[str, Host]:
        found: dict[str, Host] = {"local": LocalHost(self.machine)}
        return found | {name: self._host(name, settings) for name, settings in read_hosts(self.home).items()}

    def _host(self, name: str, settings: HostSettings) -> AciHost | PodmanHost:
        if isinstance(settings, PodmanSettings):
            return PodmanHost.of(name, settings, self.machine)
        return AciHost(name, settings)

    def reread_hosts(self) -> None:
        """Take the hosts as they are written down now; runs keep those that they were started with."""
        self.hosts = self._own_hosts()

    def isolated(self) -> bool:
        """Whether every host of this session keeps programs from their user's files."""
        return all(host.capabilities().isolated for host in self.hosts.values())

    def add_host(self, name: str, settings: HostSettings) -> AciHost | PodmanHost:
        """Write a host down; one of that name is replaced, unless it is this machine.

        Raises:
            BadInput: the name cannot be one.
        """
        if not _NAME.fullmatch(name) or name == "local":
            raise BadInput(
                "A host cannot have this name.", found=name[:80], expected="a-z, 0-9 and -, at most 32, and not local"
            )
        self._keep_hosts(lambda known: {**known, name: settings})
        host = self._host(name, settings)
        self.hosts[name] = host
        return host

    def remove_host(self, name: str) -> None:
        """Forget a host. What runs there goes on: ``sls host sweep`` finds it only while the host is known.

        Raises:
            UnknownName: no host of that name is written down.
        """
        if name not in read_hosts(self.home):
            known = ", ".join(read_hosts(self.home)) or "none"
            raise UnknownName("No such host is written down.", found=name[:80], expected=known)
        self._keep_hosts(lambda known: {key: one for key, one in known.items() if key != name})
        self.hosts.pop(name, None)

    def _keep_hosts(self, change: Callable[[dict[str, HostSettings]], dict[str, HostSettings]]) -> None:
        path = self.home.path / HOSTS_FILE
        with locked(path):
            kept = HostsFile(hosts=change(read_hosts(self.home)))
            write_whole(path, canonical_json(kept.model_dump(mode="json")))

    def podman_settings(self, word: str) -> PodmanSettings:
        """A host on podman whose image lies where the word says: an OCI layout, with ``:TAG`` if it holds several.

        Reads every byte of the image, once on this machine.

        Raises:
            Unavailable, MalformedDocument, UnknownName, DigestMismatch: it cannot be read, or contradicts itself.
            BadInput: its path cannot be written down.
        """
        path, tag = Path(word).expanduser(), ""
        if not path.exists() and ":" in word:
            before, _, tag = word.rpartition(":")
            path = Path(before).expanduser()
        image = guest_image(open_layout(path.absolute(), tag), self.machine)
        try:
            return PodmanSettings(layout=str(path.absolute()), tag=tag, image=WrittenImage.of(image))
        except ValidationError:
            raise BadInput(
                "podman cannot take an image from there.", found=word[:200], expected="a path without commas and colons"
            ) from None

    def aci_host(self, name: str) -> AciHost:
        """A host on Azure, by name.

        Raises:
            UnknownName: there is none of that name.
        """
        host = self.hosts.get(name)
        if not isinstance(host, AciHost):
            known = ", ".join(key for key, one in self.hosts.items() if isinstance(one, AciHost)) or "none"
            if host is None:
                raise UnknownName(f"No host is called {printable(name, 80)}.", expected=", ".join(self.hosts),
                                  hint="%sls hosts add aci --subscription … --resource-group … --region … --image …")  # fmt: skip
            raise UnknownName("This host is not on Azure.", found=name[:80], expected=known,
                              hint="%sls hosts lists them with their kinds.")  # fmt: skip
        return host

    def sample_group(self, image: GuestImage, limits: Limits | None = None) -> ContainerGroup:
        """The group of a run that nobody asks for: as large and as long as a usual one. It is never signed or sent."""
        now = int(datetime.now(UTC).timestamp())
        spec = StreamSpec(
            requester=self.did,
            purpose="",
            inputs=(
                AssetInput(
                    alias="sample", asset=_SAMPLE_DIGEST, kind="table", columns=None, owner=self.did, authority=self.did,
                    authority_url="https://authority.example",
                ),
            ),
            code=_SAMPLE_DIGEST,
            parameters=_SAMPLE_DIGEST,
            outputs=(),
            kinds=KINDS,
            recipients=(Recipient.of(sign(self.identity.contact(), self.identity)),),
            limits=limits or Limits(),
            tees=("sev-snp",),
            nonce=fresh_nonce(),
            issued_at=now,
            expires_at=now + int(timedelta(hours=1).total_seconds()),
        )  # fmt: skip
        return group_for(spec, image)
