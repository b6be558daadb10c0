"""A folder in Azure Blob Storage, by the one URL that says all of it: container, account and path.

::

    az://CONTAINER@ACCOUNT.blob.core.windows.net/PATH
    abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH

Both name the same bytes; which of them an owner writes stays as it is, and ``abfss`` is written as ``abfs``: every
account is reached over TLS. A URL never holds a secret: a manifest is public. The emulator Azurite has accounts
under ``blob.localhost``, a name that means nothing on any other machine; the port is not in the URL.

Sources: "Naming and Referencing Containers, Blobs, and Metadata" and "Storage account overview" (Microsoft Learn) for
the names; Hadoop's ABFS driver for the spelling of ``abfs``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from sls_jupyter.errors import BadInput

SCHEMES = ("az", "abfs", "abfss")
EMULATOR = "localhost"
SUFFIXES = ("core.windows.net", "core.usgovcloudapi.net", "core.chinacloudapi.cn", EMULATOR)
EXPECTED = "az://CONTAINER@ACCOUNT.blob.core.windows.net/PATH"
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_CONTAINER = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(-[a-z0-9]+)*|\$web")
_PATH = re.compile(r"([A-Za-z0-9._~!$'()*+,;=:@-]+(/[A-Za-z0-9._~!$'()*+,;=:@-]+)*)?")
_SECRET = re.compile(r"[?#%&]|(?i:sig|accountkey|sharedaccesssignature|endpoint)=|//[^/@]*:[^/@]*@")


@dataclass(frozen=True, slots=True)
class AzurePlace:
    """A folder in a container of a storage account."""

    scheme: str  # "az" or "abfs"
    container: str
    account: str
    suffix: str  # one of SUFFIXES: the cloud that the account is in
    path: str  # without a slash at its ends; "" is the container itself

    @property
    def host(self) -> str:
        """The blob service of the account, which also serves what ``dfs`` does."""
        return f"{self.account}.blob.{self.suffix}"

    @property
    def url(self) -> str:
        """The place, spelt completely."""
        service = "blob" if self.scheme == "az" or self.suffix == EMULATOR else "dfs"
        return f"{self.scheme}://{self.container}@{self.account}.{service}.{self.suffix}/{self.path}".rstrip("/")

    @property
    def is_emulated(self) -> bool:
        """Whether this is an emulator's: a place that only this machine has."""
        return self.suffix == EMULATOR

    @property
    def folder(self) -> str:
        """``container/path``."""
        return f"{self.container}/{self.path}".rstrip("/")

    def __str__(self) -> str:
        return self.url


def is_azure(url: str) -> bool:
    """Whether a URL has one of the schemes of Azure Blob Storage, in any case of letters."""
    return url.partition("://")[0].lower() in SCHEMES and "://" in url


def parse_place(url: str, account: tuple[str, str] | None = None) -> AzurePlace:
    """The place that a URL names.

    Args:
        account: name and suffix for a URL without an account; without them such a URL is refused.

    Raises:
        BadInput: no such URL, or one with a secret in it. What was found is told in words, for it may hold a secret.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES or not url.isascii() or not url.isprintable():
        _refuse("another scheme, or characters that a URL cannot have")
    if _SECRET.search(url):
        raise BadInput(
            "The place of an asset is public: it cannot hold a secret.",
            found="a query, an escape or a key in the URL",
            expected=EXPECTED,
            hint="Leave the token away. Log in (az login), or set AZURE_STORAGE_CONNECTION_STRING.",
        )
    authority, _, path = rest.partition("/")
    container, at, host = authority.partition("@")
    if not _CONTAINER.fullmatch(container):
        _refuse("a container's name that Azure does not allow")
    path = path.removesuffix("/")
    if not _PATH.fullmatch(path) or any(step.strip(".") == "" for step in path.split("/") if path):
        _refuse("a path with empty steps, dots or unusual characters")
    if at:
        name, suffix = _account_of(host)
    elif account is None:
        raise BadInput(
            "The URL of a container does not say whose it is.",
            found="no account",
            expected=EXPECTED,
            hint="Write the account, or set AZURE_STORAGE_ACCOUNT_NAME or AZURE_STORAGE_CONNECTION_STRING.",
        )
    else:
        name, suffix = account
    return AzurePlace("az" if scheme == "az" else "abfs", container, name, suffix, path)


def _account_of(host: str) -> tuple[str, str]:
    name, _, rest = host.partition(".")
    service, _, suffix = rest.partition(".")
    if not _ACCOUNT.fullmatch(name) or service not in ("blob", "dfs") or suffix not in SUFFIXES:
        _refuse("a host that is no storage account of a known cloud")
    return name, suffix


def _refuse(found: str) -> NoReturn:
    raise BadInput("This is not the URL of a folder in Azure Blob Storage.", found=found, expected=EXPECTED)
