"""Reading parts from a place that somebody else named: public HTTPS and object stores, and nothing else.

A manifest's storage is its owner's word, and the reader is somebody else's machine. So a place is one of a few
plain forms; HTTPS goes to public addresses only and follows no redirect (:mod:`sls_jupyter.network`); an object
store is reached by its cloud's own name. Azure's is read over HTTPS too, with the pass that the owner's authority
gave (:mod:`sls_jupyter.assets.azure.read_pass`), or without one where the container is public. Whatever goes wrong
gives one error with one text: a place that is refused cannot be told from one where nobody listens.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import BinaryIO, cast

from sls_jupyter.assets.azure.place import AzurePlace, is_azure, parse_place
from sls_jupyter.assets.azure.read_pass import CheckedPass
from sls_jupyter.assets.ranged import ranged
from sls_jupyter.assets.storage import open_filesystem
from sls_jupyter.errors import BadInput, SlsError, Unavailable
from sls_jupyter.network import Answer, Http, NotReached, pause

_PATH = r"(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)*/?"
_BUCKET = r"[a-z0-9][a-z0-9._-]{1,221}"
_STORES = re.compile(rf"(s3|gs|gcs)://{_BUCKET}{_PATH}")
_WEB = re.compile(rf"https://[A-Za-z0-9.-]{{1,253}}(:[0-9]{{1,5}})?{_PATH}")
_BUSY = (500, 503)  # Azure's words for "again, in a while": OperationTimedOut, ServerBusy
_TRIES, _PAUSE_SECONDS = 4, 0.5
_REFUSAL_BYTES = 1 << 16  # of Azure's words about what went wrong, which nobody reads


def public_opener(url: str, sizes: Mapping[str, int], given: CheckedPass | None = None) -> Callable[[str], BinaryIO]:
    """Opens parts of an asset in the folder ``url``, which its owner named.

    Args:
        sizes: of the parts, by name, from the manifest.
        given: the right to read them, of an asset on Azure that is not public.

    Raises:
        BadInput: not a plain URL of a public store. Unavailable: from the opener and from reading.
    """
    require_public(url, emulated=given is not None or not sizes)
    if is_azure(url):
        place = parse_place(url)
        return lambda name: _in_azure(place, name, given, sizes[name])
    if url.startswith("https:"):
        return lambda name: _over_https(f"{url.rstrip('/')}/{name}", sizes[name])
    return lambda name: _in_store(url, name)


def require_public(url: str, *, emulated: bool = False) -> None:
    """Refuse what is not plainly a public place; fetches nothing.

    Args:
        emulated: a place of Azurite, on the very machine, is meant.

    Raises:
        BadInput: not a plain URL of a public store.
    """
    if is_azure(url):
        try:
            place = parse_place(url)
        except BadInput:
            raise _not_there(url) from None
        if place.is_emulated and not emulated:
            raise _not_there(url)
        return
    is_plain = url.isascii() and not re.search(r"(^|/)\.\.?(/|$)", url)
    if not is_plain or not (_WEB.fullmatch(url) or _STORES.fullmatch(url)):
        raise _not_there(url)


def _not_there(url: str) -> BadInput:
    return BadInput(
        "Sealed parts are not read from there.",
        found=url.partition("?")[0][:200],
        expected="https://, or a complete URL of an object store (az and abfs with their account, s3, gs)",
        hint="Its owner can seal it to another place, or without --to, which the authority then serves.",
    )


def _silent(url: str) -> Unavailable:
    return Unavailable(
        "The storage of an asset cannot be used.",
        found=url[:200],
        hint="Check that the place exists, that you may use it, and that it can be reached.",
    )


def _over_https(url: str, size: int) -> BinaryIO:
    http = Http(anywhere=False)

    def read(first: int, last: int) -> bytes:
        wanted = last - first + 1
        return _whole(_ask(http, url, first, last, wanted, shown=url), wanted, shown=url)

    return ranged(read, size, http.close)


def _in_azure(place: AzurePlace, name: str, given: CheckedPass | None, size: int) -> BinaryIO:
    """A blob over HTTPS. The URL that is asked for may hold a signature: it is in no error."""
    url = f"https://{place.host}/{place.folder}/{name}" if given is None else given.url_of(name)
    shown = f"{place}/{name}"
    http = Http(anywhere=given is not None and given.on_this_machine)

    def read(first: int, last: int) -> bytes:
        wanted = last - first + 1
        for tried in range(_TRIES):
            answer = _ask(http, url, first, last, max(wanted, _REFUSAL_BYTES), shown=shown)
            if answer.status not in _BUSY or tried == _TRIES - 1:
                break
            pause(_PAUSE_SECONDS * 2**tried)
        return _whole(answer, wanted, shown=shown)

    return ranged(read, size, http.close)


def _ask(http: Http, url: str, first: int, last: int, most: int, *, shown: str) -> Answer:
    try:
        return http.send("GET", url, headers={"Range": f"bytes={first}-{last}"}, max_bytes=most)
    except NotReached:
        raise _silent(shown) from None


def _whole(answer: Answer, wanted: int, *, shown: str) -> bytes:
    if answer.status != 206 or len(answer.body) != wanted:  # a server without ranges is of no use here
        raise _silent(shown)
    return answer.body


def _in_store(url: str, name: str) -> BinaryIO:
    protocol = url.partition("://")[0]
    filesystem, path, _ = open_filesystem(url, (protocol,), "Sealed parts are not read from there.")
    try:
        return cast("BinaryIO", filesystem.open(f"{path.rstrip('/')}/{name}", "rb"))
    except SlsError:
        raise
    except Exception:  # noqa: BLE001  # of a cloud's library; which one it was tells what is there
        raise _silent(url) from None
