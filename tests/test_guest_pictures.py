"""Pictures are drawn anew: pixels leave, and nothing else of a file."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from sls_jupyter.guest import pictures
from sls_jupyter.guest.pictures import redrawn

SECRET = b"patient 7"


def encoded(image: Image.Image, file_format: str, **options: Any) -> str:
    sink = io.BytesIO()
    image.save(sink, file_format, **options)
    return base64.b64encode(sink.getvalue()).decode()


def decoded(text: str) -> Image.Image:
    image = Image.open(io.BytesIO(base64.b64decode(text)))
    image.load()
    return image


def chunks(text: str) -> list[bytes]:
    data, position, found = base64.b64decode(text), 8, []
    while position < len(data):
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        found.append(kind)
        position += 12 + length
    assert position == len(data)
    return found


def png(*extra: tuple[bytes, bytes], end: bytes = b"", width: int = 1) -> str:
    """A grey PNG of one row with more chunks in it, and bytes after its end."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, 8, 0, 0, 0, 0))
    middle = b"".join(chunk(kind, data) for kind, data in extra)
    body = chunk(b"IDAT", zlib.compress(bytes(1 + width)))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + head + middle + body + chunk(b"IEND", b"") + end).decode()


def test_a_png_leaves_with_its_pixels_only() -> None:
    """Texts, times, profiles, rows of data after the end: a PNG has room for all of them."""
    extra = [(b"tEXt", b"note\0" + SECRET), (b"eXIf", SECRET), (b"prVt", SECRET * 100), (b"pHYs", b"\0" * 9)]
    found = redrawn("image/png", png(*extra, end=SECRET))
    assert found is not None
    assert found[0] == "image/png"
    assert set(chunks(found[1])) == {b"IHDR", b"IDAT", b"IEND"}
    assert decoded(found[1]).getpixel((0, 0)) == 0


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA"])
def test_every_format_keeps_its_picture(file_format: str, mode: str) -> None:
    """What an analyst draws is what a recipient sees, whatever library wrote the file."""
    plain = Image.new("RGB", (8, 8), (200, 30, 30))
    image = plain.quantize() if mode == "P" else plain.convert(mode)
    text = encoded(image.convert("RGB") if file_format == "JPEG" else image, file_format)
    found = redrawn(f"image/{file_format.lower()}", text)
    assert found is not None
    assert found[0] == ("image/jpeg" if file_format == "JPEG" else "image/png")
    before, after = (one.convert("RGB").getpixel((4, 4)) for one in (image, decoded(found[1])))
    assert all(abs(a - b) < 12 for a, b in zip(before, after, strict=True))


def test_words_of_other_formats_do_not_leave() -> None:
    """A comment, EXIF, a second frame and a palette entry that no pixel has are texts in a picture."""
    image = Image.new("RGB", (8, 8))
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    palette = Image.new("P", (8, 8))
    palette.putpalette([0, 0, 0, *SECRET[:9]])
    files = {
        "image/jpeg": encoded(image, "JPEG", exif=exif, comment=SECRET, icc_profile=SECRET, dpi=(301, 301)),
        "image/gif": encoded(palette, "GIF", comment=SECRET, save_all=True, append_images=[image]),
        "image/webp": encoded(image, "WEBP", exif=exif, xmp=SECRET, icc_profile=SECRET, lossless=True),
    }
    for mime, text in files.items():
        assert SECRET in base64.b64decode(text)
        found = redrawn(mime, text)
        assert found is not None
        assert SECRET not in base64.b64decode(found[1])
        after = decoded(found[1])
        assert getattr(after, "n_frames", 1) == 1
        assert not {"exif", "comment", "icc_profile", "xmp", "dpi"} & set(after.info)


def test_a_transparent_pixel_has_no_colour() -> None:
    """A colour that nobody sees is three bytes that nobody sees."""
    image = Image.new("RGBA", (2, 1), (80, 97, 116, 0))
    image.putpixel((1, 0), (1, 2, 3, 128))
    found = redrawn("image/png", encoded(image, "PNG"))
    assert found is not None
    assert [decoded(found[1]).getpixel((x, 0)) for x in (0, 1)] == [(0, 0, 0, 0), (1, 2, 3, 128)]


@pytest.mark.parametrize("bad", ["", "AAAA", "not base64 \udc80", png()[:40], base64.b64encode(b"GIF89a").decode()])
def test_what_is_no_picture_does_not_leave_as_one(bad: str) -> None:
    """A broken picture could be any bytes, and one format does not pass for another."""
    assert redrawn("image/png", bad) is None
    assert redrawn("image/jpeg", png()) is None
    assert redrawn("image/tiff", png()) is None


def test_too_many_pixels_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kilobyte of PNG can be a gigabyte of pixels; the header says so before anything is read."""
    assert redrawn("image/png", png(width=pictures.MAX_PIXELS + 1)) is None
    monkeypatch.setattr(pictures, "MAX_PICTURE_BYTES", 10)
    assert redrawn("image/png", png()) is None
