"""Reading parts from a place that somebody else named: public HTTPS and object stores, and nothing else.

A manifest's storage is its owner's word, and the reader is somebody else's machine. So a place is one of a few
plain forms; HTTPS goes to public addresses only and follows no redirect (:mod:`sls_jupyter.network`); an object
store is reached by its cloud's own name. Whatever goes wrong gives one error with one text: a place that is
refused cannot be told from one where nobody listens.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from typing import BinaryIO, cast

from sls_jupyter.assets.storage import open_filesystem
from sls_jupyter.errors import BadInput, SlsError, Unavailable
from sls_jupyter.network import Http, NotReached

ReadRange = Callable[[int, int], bytes]
"""``(first, last)``, both included."""

_BUFFER_BYTES = 1 << 20
_PATH = r"(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)*/?"
_ACCOUNT = r"[a-z0-9]{3,24}\.(dfs|blob)\.core\.(windows\.net|usgovcloudapi\.net|chinacloudapi\.cn)"
_BUCKET = r"[a-z0-9][a-z0-9._-]{1,221}"
_STORES = re.compile(rf"(az|abfss?)://[a-z0-9-]{{3,63}}(@{_ACCOUNT})?{_PATH}|(s3|gs|gcs)://{_BUCKET}{_PATH}")
_WEB = re.compile(rf"https://[A-Za-z0-9.-]{{1,253}}(:[0-9]{{1,5}})?{_PATH}")


class _RangedFile(io.RawIOBase):
    """A file read by ranges. Ciphertext; the reader verifies what it gets."""

    def __init__(self, read_range: ReadRange, size: int) -> None:
        super().__init__()
        self._read_range, self._size = read_range, size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed wants its own alias
        wanted = min(len(buffer), self._size - self._position)
        if wanted <= 0:
            return 0
        data = self._read_range(self._position, self._position + wanted - 1)[:wanted]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def ranged(read_range: ReadRange, size: int) -> BinaryIO:
    """A seekable file of ``size`` bytes over ranges."""
    return cast("BinaryIO", io.BufferedReader(_RangedFile(read_range, size), _BUFFER_BYTES))


def public_opener(url: str, sizes: Mapping[str, int]) -> Callable[[str], BinaryIO]:
    """Opens parts of an asset in the folder ``url``, which its owner named.

    Args:
        sizes: of the parts, by name, from the manifest.

    Raises:
        BadInput: not a plain URL of a public store. Unavailable: from the opener and from reading.
    """
    require_public(url)
    if url.startswith("https:"):
        return lambda name: ranged(_over_https(f"{url.rstrip('/')}/{name}"), sizes[name])
    return lambda name: _in_store(url, name)


def require_public(url: str) -> None:
    """Refuse what is not plainly a public place; fetches nothing.

    Raises:
        BadInput: not a plain URL of a public store.
    """
    is_plain = url.isascii() and not re.search(r"(^|/)\.\.?(/|$)", url)
    if not is_plain or not (_WEB.fullmatch(url) or _STORES.fullmatch(url)):
        raise BadInput(
            "Sealed parts are not read from there.",
            found=url[:200],
            expected="https://, or a plain URL of an object store (az, abfs, s3, gs)",
            hint="Its owner can seal it to another place, or without --to, which the authority then serves.",
        )


def _silent(url: str) -> Unavailable:
    return Unavailable(
        "The storage of an asset cannot be used.",
        found=url[:200],
        hint="Check that the place exists, that you may use it, and that it can be reached.",
    )


def _over_https(url: str) -> ReadRange:
    http = Http(anywhere=False)

    def read(first: int, last: int) -> bytes:
        wanted = last - first + 1
        try:
            answer = http.send("GET", url, headers={"Range": f"bytes={first}-{last}"}, max_bytes=wanted)
        except NotReached:
            raise _silent(url) from None
        if answer.status != 206 or len(answer.body) != wanted:  # a server without ranges is of no use here
            raise _silent(url)
        return answer.body

    return read


def _in_store(url: str, name: str) -> BinaryIO:
    protocol = url.partition("://")[0]
    filesystem, path = open_filesystem(url, (protocol,), "Sealed parts are not read from there.")
    try:
        return cast("BinaryIO", filesystem.open(f"{path.rstrip('/')}/{name}", "rb"))
    except SlsError:
        raise
    except Exception:  # noqa: BLE001  # of a cloud's library; which one it was tells what is there
        raise _silent(url) from None
