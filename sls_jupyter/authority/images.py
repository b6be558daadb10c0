"""The guest images that a persona accepts: the code installed here, and OCI images trusted by their layers.

``images.json`` in the persona's home: each image's reference, the root hashes of its layers, its name here and since when.
An authority releases keys to evidence from these only; a requester plans runs on other hosts than the local one with them.
Several may be there at once, the old and the new. The file is read at each use, so distrust holds at once; where it cannot
be read, nothing is accepted. What makes an image worth trust is not checked here: who trusts it built it, or compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sls_jupyter.contract.image import GuestImage, installed_image, simulated_measurement
from sls_jupyter.errors import BadInput, MalformedDocument, UnknownName
from sls_jupyter.identity import Home, locked, write_whole
from sls_jupyter.printing import count_words, short_digest, time_words
from sls_jupyter.receipt.statement import ImageRecord

FILE = "images.json"
MAX_BYTES = 1 << 20
MAX_IMAGES = 64
MAX_LAYERS = 127


class TrustedImage(BaseModel):
    """One entry of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: ImageRecord
    name: str = Field(min_length=1, max_length=200)  # what its owner calls it
    since: int = Field(ge=0)  # seconds since 1970

    @property
    def guest(self) -> GuestImage:
        return self.image.image()

    @property
    def digest(self) -> str:
        return self.guest.digest


class AcceptedImages:
    """Iterates over what is accepted now: the installed code first, then trusted images, the newest last."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def __iter__(self) -> Iterator[GuestImage]:
        return iter((installed_image(), *(one.guest for one in trusted(self._home))))


def trusted(home: Home) -> tuple[TrustedImage, ...]:
    """The trusted images, in the order in which they came.

    Raises:
        MalformedDocument: the file is not one of ours; nothing is accepted then.
    """
    path = home.path / FILE
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return ()
    try:
        found = json.loads(data)
        if len(data) > MAX_BYTES or not isinstance(found, list) or len(found) > MAX_IMAGES:
            raise ValueError
        return tuple(TrustedImage.model_validate(one, strict=False) for one in found)
    except (ValueError, RecursionError, ValidationError):
        raise MalformedDocument(
            "The list of trusted images cannot be read, so none is accepted.",
            found=str(path),
            hint="Remove the file and trust the images again: sls image trust IMAGE",
        ) from None


def trust(home: Home, image: GuestImage, name: str, now: int) -> TrustedImage:
    """Accept an image from now on; one that is trusted already keeps its date, and its name if none is given.

    The same layers from another place are the same image: where it was found last is what is kept of that.

    Args:
        name: what its owner calls it; empty: the name that it has, or its reference.

    Raises:
        BadInput: it has no layers or too many, a measurement that does not follow from them, or the list is full.
    """
    if not 0 < len(image.layers) <= MAX_LAYERS:
        raise BadInput("An image without layers, or with too many, cannot be measured.", found=len(image.layers))
    if image.measurement != simulated_measurement(image.layers):
        raise BadInput(
            "The image's measurement does not follow from its layers.",
            hint="Take the file that `sls image show --json` prints, or the image itself.",
        )
    new = TrustedImage(image=ImageRecord.of(image), name=name or image.reference[:200], since=now)
    with locked(home.path / FILE):
        there = trusted(home)
        for one in there:
            if one.digest == new.digest:
                named = one.model_copy(update={"name": name or one.name, "image": new.image})  # and its date
                if named == one:
                    return one
                _write(home, tuple(named if other is one else other for other in there))
                return named
        if len(there) >= MAX_IMAGES:
            raise BadInput(
                "So many images are trusted that there is no room.", found=len(there), hint="sls image distrust ID"
            )
        _write(home, (*there, new))
    return new


def distrust(home: Home, word: str) -> TrustedImage:
    """Accept an image no more, by whichever of its names.

    Args:
        word: its name, reference, digest, or the digest's first digits.

    Raises:
        UnknownName: none, or several.
    """
    with locked(home.path / FILE):
        there = trusted(home)
        found = named(there, word)
        _write(home, tuple(one for one in there if one.digest != found.digest))
    return found


def named(images: tuple[TrustedImage, ...], word: str) -> TrustedImage:
    """The image that a word names: see :func:`distrust`."""
    plain = word.removeprefix("sha256:")
    found = [
        one
        for one in images
        if word in (one.name, one.image.reference)
        or (len(plain) >= 6 and one.digest.removeprefix("sha256:").startswith(plain))
    ]
    if len({one.digest for one in found}) != 1:
        raise UnknownName(
            f"{'No' if not found else 'More than one'} trusted image is called that.",
            found=word[:200],
            expected=", ".join(short_digest(one.digest) for one in images) or "nothing is trusted",
            hint="sls image trusted",
        )
    return found[-1]  # a list of an earlier build may have the same layers twice


def planned(home: Home, word: str = "") -> GuestImage:
    """The image that a requester plans a run with, on a host that runs images: the one named, else the newest.

    Raises:
        UnknownName: none is trusted, or none of that name.
    """
    there = trusted(home)
    if not there:
        raise UnknownName(
            "No guest image is trusted, so no run can be planned for a host that runs images.",
            hint="sls image build, then sls image trust FOLDER",
        )
    return (named(there, word) if word else there[-1]).guest


def words(images: tuple[TrustedImage, ...]) -> tuple[str, ...]:
    """What an authority accepts, a sentence each, for owners."""
    return (
        "Keys go to the guest code that is installed here, on the local host.",
        *(
            f"Keys go to the image {one.name} ({short_digest(one.digest)}, {count_words(len(one.image.layers), 'layer')}),"
            f" trusted since {time_words(one.since)}."
            for one in images
        ),
    )


def _write(home: Home, images: tuple[TrustedImage, ...]) -> None:
    data = json.dumps([one.model_dump(mode="json") for one in images], indent=1).encode()
    write_whole(home.path / FILE, data)
