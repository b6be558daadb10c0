"""A read pass: the short-lived right to read one asset's parts, as its owner's authority gives it to a guest.

It is a *service SAS* for each part (``sr=b``), with the same words and a signature of its own: it opens these blobs, for
reading, until a moment, and nothing else in the container. It is a secret, if a small one: what it opens is ciphertext. It
travels sealed to the guest's key, and is in no message, log or repr.

The guest does not take the authority's word for where to go. The host is the one in the signed manifest, the path
is the asset's, and every word of the query is one that is known and says no more than reading these blobs.

Source: "Create a service SAS" and "Create a user delegation SAS" (Microsoft Learn).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote, urlsplit

from pydantic import Field

from sls_jupyter.assets.azure.account import is_loopback
from sls_jupyter.assets.azure.place import AzurePlace
from sls_jupyter.assets.manifest import PartName
from sls_jupyter.documents import Model
from sls_jupyter.errors import VerificationError

MAX_BYTES = 2**20  # of a pass's JSON
GRACE_SECONDS = 3600  # that a pass may hold longer than a run may take
_GUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TIME = r"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z"
_VERSION = r"20[0-9]{2}-[01][0-9]-[0-3][0-9]"
_SIGNATURE = r"[A-Za-z0-9+/]{43}="
_WORDS = {  # of the query, by name, with every value that one may have
    "sv": _VERSION,
    "sr": "b",
    "sp": "r",
    "se": _TIME,
    "st": _TIME,
    "spr": "https(,http)?",
    "skoid": _GUID,
    "sktid": _GUID,
    "skt": _TIME,
    "ske": _TIME,
    "sks": "b",
    "skv": _VERSION,
}
_NEEDED = {"sv", "sr", "sp", "se", "spr"}
Word = Annotated[str, Field(max_length=100)]
Signature = Annotated[str, Field(pattern=rf"^{_SIGNATURE}\Z")]


class ReadPass(Model):
    """What an authority gives. Nothing in it is shown."""

    endpoint: Annotated[str, Field(max_length=200)]  # of the account's blob service
    query: Annotated[Mapping[Word, Word], Field(max_length=len(_WORDS))]
    signatures: Annotated[Mapping[PartName, Signature], Field(max_length=10_000)]  # by part

    def __repr__(self) -> str:
        return f"<ReadPass for {len(self.signatures)} parts>"

    __str__ = __repr__

    def check(
        self, place: AzurePlace, parts: Collection[str], *, now: int, most_seconds: int, this_machine: bool
    ) -> CheckedPass:
        """What may be asked for with this pass.

        Args:
            place: from the signed manifest. parts: names in it.
            now: seconds since 1970. most_seconds: how long a pass may hold from then on.
            this_machine: an emulator on a loopback address may be asked; for runs whose authority is there too, by
                the requester's own choice.

        Raises:
            VerificationError: it is for another place, opens more than these parts for reading, or holds too long.
        """
        at = urlsplit(self.endpoint)
        local = place.is_emulated and this_machine and is_loopback(at.hostname or "")
        home = f"{at.scheme}://{at.netloc}/{place.account}" if local else f"https://{place.host}"
        if self.endpoint != home or not re.fullmatch(r"https?://[a-z0-9.\[\]:-]+(/[a-z0-9]+)?", self.endpoint):
            raise _wrong("another host than its manifest's account", place.host)
        if set(self.signatures) != set(parts):
            raise _wrong("other parts than its manifest has", f"{len(parts)} parts")
        known = all(name in _WORDS and re.fullmatch(_WORDS[name], text) for name, text in self.query.items())
        if not known or not set(self.query) >= _NEEDED or (self.query["spr"] != "https" and not local):
            raise _wrong("more than reading single blobs, or words that are not known", "sr=b, sp=r, spr=https")
        until = _seconds(self.query["se"])
        if not now < until <= now + most_seconds:
            raise _wrong(f"a pass for {until - now} s from now", f"1 to {most_seconds} s")
        return CheckedPass(f"{home}/{place.folder}", _query(self.query), self.signatures, local)


@dataclass(frozen=True, slots=True)
class CheckedPass:
    """URLs of an asset's parts, each with the right to read it."""

    _folder: str = field(repr=False)
    _query: str = field(repr=False)
    _signatures: Mapping[str, str] = field(repr=False)
    on_this_machine: bool

    def url_of(self, part: str) -> str:
        """Where to read a part, with its signature: not to be shown."""
        return f"{self._folder}/{part}?{self._query}&sig={quote(self._signatures[part], safe='')}"


def sas_time(seconds: int) -> str:
    """A moment as a SAS spells it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _seconds(text: str) -> int:
    try:
        return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise _wrong("a time that does not exist", "an expiry in UTC") from None


def _query(words: Mapping[str, str]) -> str:
    return "&".join(f"{name}={quote(text, safe='')}" for name, text in sorted(words.items()))


def _wrong(found: str, expected: str) -> VerificationError:
    return VerificationError(
        "An authority gave a pass for its storage that is not for this asset alone.",
        found=found,
        expected=expected,
        hint="Ask the owner to repair the authority. Nothing was fetched.",
    )
