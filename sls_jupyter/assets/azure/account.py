"""The storage account that this machine's environment opens: read once a use, never written anywhere.

The variables are those of Azure's own tools and of adlfs. Of these, in this order:

==================================  ================================================================
``AZURE_STORAGE_CONNECTION_STRING``  account, endpoint and key (or a SAS) in one text
``AZURE_STORAGE_ACCOUNT_NAME``       the account of URLs that name none; with
``AZURE_STORAGE_ACCOUNT_KEY``        its key, or
``AZURE_STORAGE_SAS_TOKEN``          a SAS, or
``AZURE_STORAGE_ANON``               ``true``: the containers are public, no credential is used
==================================  ================================================================

Without a key or SAS the identity of whoever is logged in is used (``azure.identity.DefaultAzureCredential``).

An endpoint other than the account's own name is taken from the environment alone, and only if it is this very machine: that
is where Azurite listens. What a manifest says never becomes an address.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sls_jupyter.assets.azure.place import EMULATOR, SUFFIXES, AzurePlace, parse_place
from sls_jupyter.errors import BadInput, Unavailable

CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"
NAME, KEY, SAS, ANON = (f"AZURE_STORAGE_{one}" for one in ("ACCOUNT_NAME", "ACCOUNT_KEY", "SAS_TOKEN", "ANON"))


@dataclass(frozen=True, slots=True)
class Account:
    """An account, and with what it is opened. The repr shows no secret."""

    name: str
    suffix: str
    endpoint: str  # of its blob service, without a slash at the end
    connection: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    sas: str | None = field(default=None, repr=False)
    is_anonymous: bool = False

    @property
    def has_secret(self) -> bool:
        return self.key is not None or self.sas is not None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its very spelling; nothing is resolved."""
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def account_here(environ: Mapping[str, str]) -> Account | None:
    """The account that the environment names; ``None`` if it names none.

    Raises:
        BadInput: the variables contradict each other or say too little; their values are not in the error.
        Unavailable: the extra ``azure`` is not installed.
    """
    if environ.get(CONNECTION):
        return _from_connection(environ[CONNECTION])
    key, sas, name = environ.get(KEY) or None, environ.get(SAS) or None, environ.get(NAME, "")
    if not name:
        if key or sas:
            raise BadInput(
                "The environment has a key of a storage account, and not whose it is.",
                found=f"{KEY if key else SAS} without {NAME}",
                hint=f"Set {NAME} as well.",
            )
        return None
    suffix = SUFFIXES[0]
    parse_place(f"az://any@{name}.blob.{suffix}")  # the rules for names
    anonymous = environ.get(ANON, "false").lower() not in ("false", "0", "f", "")
    return Account(name, suffix, f"https://{name}.blob.{suffix}", key=key, sas=sas, is_anonymous=anonymous)


def complete(url: str, environ: Mapping[str, str]) -> AzurePlace:
    """The place that a URL names on this machine; one without an account is in the environment's.

    Raises:
        BadInput: no such place, or a secret in it. Unavailable: see :func:`account_here`.
    """
    if "@" in url.partition("://")[2].partition("/")[0]:
        return parse_place(url)
    here = account_here(environ)
    return parse_place(url, None if here is None else (here.name, here.suffix))


def account_at(place: AzurePlace, environ: Mapping[str, str]) -> Account:
    """The account of a place with the credential of this machine's environment for it.

    Raises:
        BadInput: the environment's credential is for another account; nothing is read from that one instead.
        Unavailable: see :func:`account_here`.
    """
    here = account_here(environ)
    if here is not None and (here.name, here.suffix) == (place.account, place.suffix):
        return here
    if place.is_emulated or (here is not None and (here.has_secret or here.connection is not None)):
        raise BadInput(
            "The environment opens another storage account than the one that is named.",
            found="no account" if here is None else f"{here.name}.blob.{here.suffix}",
            expected=place.host,
            hint=f"Set {CONNECTION} to that account's, or unset it and log in (az login).",
        )
    anonymous = environ.get(ANON, "false").lower() not in ("false", "0", "f", "")
    return Account(place.account, place.suffix, f"https://{place.host}", is_anonymous=anonymous)


def _from_connection(text: str) -> Account:
    try:
        from azure.storage.blob import BlobServiceClient
    except ImportError as error:
        raise missing_extra(error) from None
    try:
        with BlobServiceClient.from_connection_string(text) as client:
            name, endpoint = client.account_name, client.primary_endpoint.partition("?")[0].rstrip("/")
            key = getattr(client.credential, "account_key", None)
    except (ValueError, TypeError, AttributeError):  # its text may hold the key
        name, endpoint, key = None, "", None
    fields = {one.partition("=")[0].strip().lower(): one.partition("=")[2] for one in text.split(";")}
    sas = fields.get("sharedaccesssignature") if "accountkey" not in fields else None
    key = None if sas else key
    parts = urlsplit(endpoint)
    if not name or (key is None and not sas):
        raise BadInput(
            "The connection string cannot be read.",
            found=f"{CONNECTION} without an account, or without a key or SAS",
            hint="Copy it from the account's access keys: az storage account show-connection-string.",
        )
    if is_loopback(parts.hostname or ""):
        if parts.path != f"/{name}":
            raise _odd_endpoint()
        return Account(name, EMULATOR, endpoint, text, key, sas)
    suffix = (parts.hostname or "").removeprefix(f"{name}.blob.")
    if parts.scheme != "https" or parts.path or parts.port not in (None, 443) or suffix not in SUFFIXES[:-1]:
        raise _odd_endpoint()
    return Account(name, suffix, f"https://{name}.blob.{suffix}", text, key, sas)


def _odd_endpoint() -> BadInput:
    return BadInput(
        "The endpoint in the connection string is not its account's own.",
        found="another host, a path, a port, or no TLS",
        expected=f"https://ACCOUNT.blob.{SUFFIXES[0]}, or Azurite on this machine: http://127.0.0.1:PORT/ACCOUNT",
        hint="Nobody else would find the asset there.",
    )


def missing_extra(error: ImportError) -> Unavailable:
    """Azure's packages are not installed."""
    return Unavailable(
        "Azure Blob Storage needs another package.", found=error.name, hint="pip install 'sls-jupyter[azure]'"
    )
