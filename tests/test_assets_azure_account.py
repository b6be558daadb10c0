"""Whose storage this machine's environment opens: one account, said plainly, its secrets in no text."""

from __future__ import annotations

import pytest

from sls_jupyter.assets.azure.account import account_at, account_here, complete, is_loopback
from sls_jupyter.assets.azure.place import parse_place
from sls_jupyter.errors import BadInput, SlsError

KEY = "a2V5" * 21 + "a2U="
CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"
NAME, SECRET, SAS, ANON = (f"AZURE_STORAGE_{one}" for one in ("ACCOUNT_NAME", "ACCOUNT_KEY", "SAS_TOKEN", "ANON"))
OWN = parse_place("az://c-1@acct.blob.core.windows.net/x")


def connection(name: str = "acct", more: str = "EndpointSuffix=core.windows.net", key: str = KEY) -> dict[str, str]:
    return {CONNECTION: f"DefaultEndpointsProtocol=https;AccountName={name};AccountKey={key};{more}"}


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        (connection(), "az://c-1@acct.blob.core.windows.net/x"),
        (connection(more="EndpointSuffix=core.usgovcloudapi.net"), "az://c-1@acct.blob.core.usgovcloudapi.net/x"),
        (connection(more="BlobEndpoint=https://acct.blob.core.windows.net/"), "az://c-1@acct.blob.core.windows.net/x"),
        (connection("devstoreaccount1", "BlobEndpoint=http://127.0.0.1:1000/devstoreaccount1"),
         "az://c-1@devstoreaccount1.blob.localhost/x"),
        ({CONNECTION: "UseDevelopmentStorage=true"}, "az://c-1@devstoreaccount1.blob.localhost/x"),
        ({NAME: "acct"}, "az://c-1@acct.blob.core.windows.net/x"),
        ({NAME: "acct", SECRET: KEY}, "az://c-1@acct.blob.core.windows.net/x"),
        ({CONNECTION: connection()[CONNECTION], NAME: "other"}, "az://c-1@acct.blob.core.windows.net/x"),
    ],
)  # fmt: skip
def test_a_url_without_an_account_is_in_the_environments(environ: dict[str, str], url: str) -> None:
    """What is written into the manifest is what the sealing really used."""
    place = complete("az://c-1/x", environ)
    assert place.url == url
    assert account_at(place, environ).name == place.account


def test_a_url_with_an_account_stays_as_it_is() -> None:
    """The environment never changes where an owner said that an asset goes."""
    assert complete(OWN.url, connection("other")).url == OWN.url


@pytest.mark.parametrize("environ", [connection("other"), {NAME: "other", SECRET: KEY}, {NAME: "other", SAS: "sig=x"},
                                     connection(more="EndpointSuffix=core.chinacloudapi.cn"),
                                     {CONNECTION: "UseDevelopmentStorage=true"}])  # fmt: skip
def test_another_accounts_credential_is_an_error(environ: dict[str, str]) -> None:
    """A place of one account is never read from, or written to, another one that happens to be in the environment."""
    with pytest.raises(BadInput, match="another storage account") as raised:
        account_at(OWN, environ)
    assert raised.value.expected == OWN.host


def test_an_identity_opens_whatever_account_is_named() -> None:
    """A default account in the environment does not bind who names another one, as long as no secret is in play."""
    for environ in ({}, {NAME: "other"}):
        account = account_at(OWN, environ)
        assert (account.name, account.endpoint, account.has_secret) == ("acct", f"https://{OWN.host}", False)
    assert account_at(OWN, {ANON: "true"}).is_anonymous
    assert not account_at(OWN, {ANON: "0"}).is_anonymous


def test_an_emulators_place_is_this_machines_alone() -> None:
    """A manifest that names an emulator makes nobody ask their own machine without an environment that says so."""
    with pytest.raises(BadInput, match="another storage account"):
        account_at(parse_place("az://c-1@devstoreaccount1.blob.localhost/x"), {})


@pytest.mark.parametrize(
    "environ",
    [{SECRET: KEY}, {SAS: f"sig={KEY}"}, {CONNECTION: f"AccountKey={KEY}"}, {CONNECTION: KEY}, {CONNECTION: "AccountName=acct"},
     connection(more="BlobEndpoint=https://evil.example/"), connection(more="BlobEndpoint=https://evil.example/acct"),
     connection(more="BlobEndpoint=http://acct.blob.core.windows.net"), connection(more="BlobEndpoint=http://127.0.0.1:1/other"),
     connection(more="BlobEndpoint=http://10.0.0.7:10000/acct"), connection(more="BlobEndpoint=http://127.0.0.1.evil.example/acct"),
     connection(more="BlobEndpoint=https://other.blob.core.windows.net"), connection("UP"), {NAME: "a/b"}],
)  # fmt: skip
def test_an_environment_that_makes_no_sense_is_refused_without_its_secrets(environ: dict[str, str]) -> None:
    """An endpoint that is neither the account's own nor this machine gets no request, hence no signature."""
    with pytest.raises(SlsError) as raised:
        account_here(environ)
    error = raised.value
    assert KEY not in f"{error} {error.found} {error.expected} {error.hint} {error.detail}"


def test_an_account_shows_no_secret() -> None:
    """It stands in tracebacks of notebooks."""
    for environ in (connection(), {NAME: "acct", SECRET: KEY}, {NAME: "acct", SAS: f"sig={KEY}"}):
        account = account_here(environ)
        assert account is not None
        assert account.has_secret
        assert KEY not in repr(account)


def test_this_machine_is_known_by_its_spelling() -> None:
    """Nothing is resolved: a name that leads here today may lead elsewhere tomorrow."""
    assert all(map(is_loopback, ["localhost", "127.0.0.1", "127.8.8.8", "::1"]))
    assert not any(map(is_loopback, ["", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "0.0.0.0"]))
