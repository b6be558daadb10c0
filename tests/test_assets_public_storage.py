"""Parts from a place that somebody else named: a few plain forms, public addresses, and one error for all causes."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import pytest

from sls_jupyter.assets import public_storage
from sls_jupyter.assets.public_storage import public_opener
from sls_jupyter.assets.ranged import ranged
from sls_jupyter.errors import BadInput, SlsError, Unavailable
from sls_jupyter.network import Answer, NotReached

SIZES = {"part-00000.parquet": 8}
NAME = next(iter(SIZES))


@pytest.mark.parametrize(
    "url",
    ["http://a.example/x", "http://127.0.0.1/latest/meta-data", "local:///etc", "/etc", "etc", "file:///etc",
     "zip::https://a.example/x.zip", "filecache::s3://bucket/x", "simplecache::https://a.example", "github://o:r@main/x",
     "ftp://a.example/x", "sftp://a.example/x", "memory://x", "data:,x", "jupyter://a", "dbfs:/x", "hdfs://a/x",
     "reference://x", "smb://a/b", "git://x", "libarchive://x", "tar://x::https://a.example",
     "https://user:secret@a.example/x", "https://a.example/x?sig=1", "https://a.example/x#y", "https://a.example/../x",
     "https://a.example/x/..", "https://a.example/%2e%2e/x", "https://a.example\\@b", "https://[::1]/x", "https:///x",
     "HTTPS://a.example/x", "https://a.example/\u2025/x", "https://a.example/x\n", "s3://bucket/../x", "s3://b/x?versionId=1",
     "az://container@evil.example/x", "abfs://c@127.0.0.1/x", "abfss://c@account.dfs.core.windows.net.evil.example/x",
     "abfs://c@evil.example/.dfs.core.windows.net", "az://container:x/y", "gs://", "s3://", "",
     "az://container/x", "abfs://c@account.blob.core.windows.net/x?sv=1&sig=x", "az://c@account.blob.localhost/x",
     "az://Container@account.blob.core.windows.net/x", "abfs://c@account.dfs.core.windows.net//x"],
)  # fmt: skip
def test_places_from_which_nothing_is_read(url):
    """What is not plainly a public store is refused before anything is fetched, with one text."""
    with pytest.raises(BadInput, match="not read from there"):
        public_opener(url, SIZES)


@pytest.mark.parametrize(
    "url",
    ["https://a.example/assets/x", "https://a.example:8443/x/", "s3://bucket/some/asset-1", "gs://bucket/x",
     "gcs://bucket_1/x", "az://container@account.blob.core.windows.net/x", "abfs://container@account.dfs.core.windows.net/x",
     "abfss://container@account.blob.core.windows.net/x/y"],
)  # fmt: skip
def test_places_that_are_plain(url):
    """Object stores and HTTPS are what owners seal to; finding the opener fetches nothing."""
    assert callable(public_opener(url, SIZES))


def test_whatever_goes_wrong_there_is_one_text():
    """A private address, a closed port and a name that does not exist look the same to whoever named them."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as here:
        port = here.getsockname()[1]
        texts = set()
        for host in (f"127.0.0.1:{port}", "127.0.0.1:1", "localhost", "nobody.invalid", "10.0.0.1", "169.254.169.254"):
            url = f"https://{host}/x"
            with pytest.raises(Unavailable) as raised:
                public_opener(url, SIZES)(NAME).read()
            texts.add(str(raised.value).replace(url, "URL"))
        here.settimeout(0.01)
        with pytest.raises(TimeoutError):
            here.accept()
    assert len(texts) == 1


class Web:
    """Answers in place of a server on the public network."""

    def __init__(self, status: int = 206, body: bytes | None = None, fail: bool = False) -> None:
        self.status, self.body, self.fail = status, body, fail
        self.asked: list[tuple[str, str, int]] = []

    def __call__(self, *, anywhere: bool) -> Web:
        assert not anywhere
        return self

    def close(self) -> None:
        pass

    def send(self, method: str, url: str, *, headers: dict[str, str], max_bytes: int) -> Answer:
        self.asked.append((url, headers["Range"], max_bytes))
        if self.fail:
            raise NotReached("x")
        return Answer(self.status, {}, b"PARE1234"[:max_bytes] if self.body is None else self.body)


def test_parts_over_https_are_read_by_ranges(monkeypatch):
    """No more is asked for, and no more is taken, than the manifest says that there is."""
    web = Web()
    monkeypatch.setattr(public_storage, "Http", web)
    assert public_opener("https://a.example/x/", SIZES)(NAME).read() == b"PARE1234"
    assert web.asked == [(f"https://a.example/x/{NAME}", "bytes=0-7", 8)]


@pytest.mark.parametrize("web", [Web(200), Web(302), Web(404), Web(500), Web(206, b"x"), Web(fail=True)])
def test_a_server_that_gives_no_range_is_told_as_one_that_is_not_there(monkeypatch, web):
    """Found or not, redirected or refused: the text tells nothing."""
    monkeypatch.setattr(public_storage, "Http", web)
    with pytest.raises(Unavailable) as raised:
        public_opener("https://a.example/x", SIZES)(NAME).read()
    assert str(raised.value).count("https://a.example") == 1


def test_a_store_whose_library_fails_is_told_in_one_text(monkeypatch):
    """Which of its many errors a cloud's library raises is not told."""

    class Store:
        def open(self, *_: Any) -> Any:
            raise RuntimeError("AccessDenied: bucket exists")

    monkeypatch.setattr(public_storage, "open_filesystem", lambda url, *_: (Store(), "bucket/x", url))
    with pytest.raises(SlsError) as raised:
        public_opener("s3://bucket/x", SIZES)(NAME)
    assert "AccessDenied" not in str(raised.value)


def test_a_file_over_ranges():
    """Seeking and reading go as in a file on the disk."""
    data = bytes(range(100))
    file = ranged(lambda first, last: data[first : last + 1], len(data))
    assert file.seek(-10, 2) == 90
    assert file.read() == data[90:]
    assert file.seek(5) == 5
    assert file.read(3) == data[5:8]
    assert file.seek(1000) == 1000
    assert file.read() == b""


class Busy(Web):
    """Azure when it has much to do: so many answers that say "later"."""

    def __init__(self, times: int, status: int = 503) -> None:
        super().__init__()
        self.left, self.said = times, status

    def send(self, method: str, url: str, *, headers: dict[str, str], max_bytes: int) -> Answer:
        answer = super().send(method, url, headers=headers, max_bytes=max_bytes)
        self.left -= 1
        return answer if self.left < 0 else Answer(self.said, {}, b"<?xml?>" * 20)


AZURE = "abfs://c-1@acct.dfs.core.windows.net/x"


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long a reader would have paused."""
    paused: list[float] = []
    monkeypatch.setattr(public_storage, "pause", paused.append)
    return paused


def test_a_public_container_is_read_without_any_credential(monkeypatch, quickly):
    """At the account's blob service, whatever the environment says: a group has none."""
    web = Web(body=b"PARE1234")
    monkeypatch.setattr(public_storage, "Http", web)
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=other;AccountKey=x")
    assert public_opener(AZURE, SIZES)(NAME).read() == b"PARE1234"
    assert [one[:2] for one in web.asked] == [(f"https://acct.blob.core.windows.net/c-1/x/{NAME}", "bytes=0-7")]
    assert quickly == []


@pytest.mark.parametrize("status", [500, 503])
def test_a_store_that_is_busy_is_asked_again(monkeypatch, quickly, status):
    """Azure throttles; a run of an hour does not end at that."""
    monkeypatch.setattr(public_storage, "Http", Busy(3, status))
    assert public_opener(AZURE, SIZES)(NAME).read() == b"PARE1234"
    assert quickly == sorted(set(quickly))
    assert len(quickly) == 3


@pytest.mark.parametrize(
    ("times", "status", "asked"), [(99, 503, 4), (99, 403, 1), (99, 404, 1), (99, 302, 1), (99, 412, 1)]
)
def test_what_stays_wrong_is_an_error(monkeypatch, quickly, times, status, asked):
    """So many times, and only for what may pass; no redirect is followed."""
    web = Busy(times, status)
    monkeypatch.setattr(public_storage, "Http", web)
    with pytest.raises(Unavailable):
        public_opener(AZURE, SIZES)(NAME).read()
    assert (len(web.asked), len(quickly)) == (asked, asked - 1)
