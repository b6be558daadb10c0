"""HTTP calls to a registry and to where it sends us: bounded, and within a time (:mod:`sls_jupyter.network`).

A registry names other places itself: a token service, a storage service, where to put a blob. What a *public* registry
names is reached at public addresses only, so that it cannot use us to call services of this network; the address that
is connected to is the one that was checked. A registry on this machine or in a private network may name any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

from sls_jupyter.errors import Unavailable
from sls_jupyter.network import Answer, Http, NotReached, Stream, is_public, origin_of

SECONDS = 30.0  # of a whole call with a small answer
MAX_URL = 16 << 10  # characters


class Calls:
    """A client of one registry."""

    def __init__(self, origin: str) -> None:
        self._origin, self._public = origin_of(origin), True  # until its address was seen
        self._own, self._outside = Http(anywhere=True), Http(anywhere=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._own.close()
        self._outside.close()

    def is_own(self, url: str) -> bool:
        """Whether a URL is at the registry itself."""
        return origin_of(url) == self._origin

    @contextmanager
    def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        seconds: float,
        what: str,
    ) -> Iterator[Stream]:
        """A call whose answer is read piece by piece.

        Args:
            seconds: until the last byte.
            what: is asked, for the error.

        Raises:
            Unavailable: no whole answer in time.
        """
        own = self.is_own(url)
        client = self._outside if self._public and not own else self._own
        try:
            with client.stream(method, url, headers=headers, content=content, seconds=seconds) as answer:
                if own:
                    self._public = not answer.peer or is_public(answer.peer)
                yield answer
        except NotReached as failure:
            raise Unavailable(
                f"{what} cannot be reached, or stopped",
                found=failure.reason,
                expected=f"all of it within {seconds:g} s",
                hint="Try again; is its name right?",
            ) from None

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes = b"",
        most: int,
        what: str,
    ) -> Answer:
        """A call with a small answer.

        Args:
            most: bytes of the answer's body.

        Raises:
            Unavailable: no whole answer in time, or a larger one.
        """
        with self.stream(method, url, headers=headers, content=content, seconds=SECONDS, what=what) as answer:
            body = bytearray()
            for piece in answer.pieces:
                body += piece
                if len(body) > most:
                    raise Unavailable(f"{what} answers with too much", expected=f"at most {most} bytes")
            return Answer(answer.status, answer.headers, bytes(body))


def url_of(text: str, *, base: str = "") -> str:
    """A URL that a stranger wrote, which can be asked for.

    Args:
        base: where it stands, if it may be relative to that.

    Raises:
        Unavailable: it is none.
    """
    try:
        url = urljoin(base, text) if base else text
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and parts.hostname.isascii()
    except ValueError:
        good = False
    if not good or len(url) > MAX_URL or not (url.isascii() and url.isprintable() and " " not in url):
        raise Unavailable("a registry names a URL that is none", found=text[:100], expected="https://HOST/…")
    return url
