"""A place on Azure has one spelling, says whose it is, and holds no secret."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sls_jupyter.assets.azure.place import SUFFIXES, AzurePlace, is_azure, parse_place
from sls_jupyter.errors import BadInput

HERE = ("hospital", "core.windows.net")


@pytest.mark.parametrize(
    ("written", "complete"),
    [
        ("az://c-1@acct.blob.core.windows.net/a/b", "az://c-1@acct.blob.core.windows.net/a/b"),
        ("az://c-1@acct.dfs.core.windows.net/a/b/", "az://c-1@acct.blob.core.windows.net/a/b"),
        ("abfs://c-1@acct.dfs.core.windows.net/a", "abfs://c-1@acct.dfs.core.windows.net/a"),
        ("abfss://c-1@acct.dfs.core.windows.net/a", "abfs://c-1@acct.dfs.core.windows.net/a"),
        ("abfs://c-1@acct.blob.core.windows.net/a", "abfs://c-1@acct.dfs.core.windows.net/a"),
        ("abfs://c-1@acct.dfs.core.usgovcloudapi.net/a", "abfs://c-1@acct.dfs.core.usgovcloudapi.net/a"),
        ("az://c-1@acct.blob.core.chinacloudapi.cn/year=2026/x", "az://c-1@acct.blob.core.chinacloudapi.cn/year=2026/x"),
        ("az://c-1/a", "az://c-1@hospital.blob.core.windows.net/a"),
        ("abfs://c-1/a", "abfs://c-1@hospital.dfs.core.windows.net/a"),
        ("az://c-1@acct.blob.localhost/a", "az://c-1@acct.blob.localhost/a"),
        ("abfs://c-1@acct.blob.localhost/a", "abfs://c-1@acct.blob.localhost/a"),
        ("az://$web@acct.blob.core.windows.net", "az://$web@acct.blob.core.windows.net"),
    ],
)  # fmt: skip
def test_a_place_is_spelt_completely(written: str, complete: str) -> None:
    """Every spelling that Azure's tools take gives one of two: what is signed means the same to everybody."""
    assert parse_place(written, HERE).url == complete
    assert parse_place(complete).url == complete


def test_without_an_account_it_is_nobodys() -> None:
    """A guess at whose container it is would be a place of somebody else's."""
    with pytest.raises(BadInput, match="does not say whose"):
        parse_place("az://c-1/a")


SECRET = "s3cr3tS1gnature0fNobody"


@pytest.mark.parametrize(
    "url",
    [f"az://c-1@acct.blob.core.windows.net/a?sv=2024-11-04&sig={SECRET}", f"az://c-1@acct.blob.core.windows.net/a#{SECRET}",
     f"az://c-1@acct.blob.core.windows.net/sig={SECRET}", f"az://c-1:{SECRET}@acct.blob.core.windows.net/a",
     f"az://c-1@acct.blob.core.windows.net/AccountKey={SECRET}", f"az://AccountName=x;AccountKey={SECRET}",
     f"abfs://c-1@acct.dfs.core.windows.net/a%3Fsig={SECRET}", f"az://c-1@acct.blob.core.windows.net/a&sig={SECRET}",
     f"az://c-1/{SECRET}?{SECRET}", f"az://SharedAccessSignature={SECRET}/x"],
)  # fmt: skip
def test_a_secret_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    """A manifest is public, and an error is sent to support."""
    with pytest.raises(BadInput) as raised:
        parse_place(url, HERE)
    error = raised.value
    assert SECRET not in f"{error} {error.found} {error.expected} {error.hint} {error.detail}"


@pytest.mark.parametrize(
    "url",
    ["az://C@acct.blob.core.windows.net/a", "az://ab@acct.blob.core.windows.net/a", "az://a--b@acct.blob.core.windows.net/a",
     "az://-ab@acct.blob.core.windows.net/a", "az://c-1@acct.blob.core.windows.net.evil.example/a", "AZ://c-1/a",
     "az://c-1@127.0.0.1/a", "az://c-1@acct.file.core.windows.net/a", "az://c-1@Acct.blob.core.windows.net/a",
     "az://c-1@acct.blob.core.windows.net:443/a", "az://c-1@acct.blob.core.windows.net//a", "az:///a", "az://c-1@/a",
     "az://c-1@acct.blob.core.windows.net/a/../b", "az://c-1@acct.blob.core.windows.net/./a", "az://c-1/a b", "az://c-1/a\n",
     "az://c-1/\u00e4", "az://c-1/a\\b", "s3://bucket/x", "az:/c-1/a", "az://c-1@a@acct.blob.core.windows.net/a",
     "az://c-1@evil.example/acct.blob.core.windows.net", "az://c-1@acct.blob.core.windows.net/a//"],
)  # fmt: skip
def test_what_is_no_place_on_azure(url: str) -> None:
    """A host that is no account, a path that climbs, a name that Azure does not have."""
    with pytest.raises(BadInput):
        parse_place(url, HERE)


@given(
    scheme=st.sampled_from(["az", "abfs"]),
    container=st.from_regex(r"[a-z0-9](-?[a-z0-9]){2,30}", fullmatch=True),
    account=st.from_regex(r"[a-z0-9]{3,24}", fullmatch=True),
    suffix=st.sampled_from(SUFFIXES),
    path=st.from_regex(r"(?!sig=)[a-z0-9_][a-z0-9_.-]{0,8}(/[A-Z][a-z0-9=]{0,8}){0,3}", fullmatch=True),
)
def test_what_is_written_is_read_again(scheme: str, container: str, account: str, suffix: str, path: str) -> None:
    """One spelling for each place, and one place for each spelling."""
    place = AzurePlace(scheme, container, account, suffix, path)
    assert is_azure(place.url)
    assert parse_place(place.url) == place
