"""Pictures at the gate: decoded, and encoded anew from their pixels.

What a picture file holds beside its picture (texts, times, profiles, thumbnails, further frames, bytes after
the end) does not leave, and a decoder of a recipient never sees the program's own bytes. Colours under a
pixel that is wholly transparent are not seen, so they go too. This runs in a process of its own
(:mod:`.cleaner`), because decoders are the least safe code there is.

What stays: the lowest bits of the colours can hold a text that nobody sees. Whoever lets pictures out trusts
the code that draws them.
"""

from __future__ import annotations

import base64
import binascii
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PICTURE_BYTES = 32 * 2**20
MAX_PIXELS = 25_000_000  # 100 MB while they are worked on
MAX_SIDE = 16_384  # pixels; what browsers and graphics cards draw
FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/gif": "GIF", "image/webp": "WEBP"}
JPEG_QUALITY = 90


def prepare() -> None:
    """Load whatever :func:`redrawn` needs, for a process that can open nothing afterwards."""
    from PIL import Image, MpoImagePlugin, TiffImagePlugin, WebPImagePlugin

    _ = MpoImagePlugin, TiffImagePlugin, WebPImagePlugin
    Image.preinit()
    for file_format in FORMATS.values():
        _written(Image.new("L", (1, 1)), file_format)


def redrawn(mime: str, text: str) -> tuple[str, str] | None:
    """A picture in base64 as another file of the same pixels, with its MIME type; ``None`` if it is none.

    JPEG stays JPEG; everything else becomes PNG, of an animation the first frame.
    """
    from PIL import Image

    if mime not in FORMATS or len(text) > MAX_PICTURE_BYTES * 4 // 3:
        return None
    try:
        data = base64.b64decode(text, validate=False)
        with Image.open(io.BytesIO(data), formats=[FORMATS[mime]]) as source:
            if (
                max(source.size) > MAX_SIDE or source.width * source.height > MAX_PIXELS
            ):  # known from the header, before anything is decoded
                return None
            source.load()
            if mime == "image/jpeg":
                return mime, _written(_pixels(source, ("L", "RGB")), "JPEG", quality=JPEG_QUALITY)
            return "image/png", _written(_pixels(source, ("1", "L", "RGB", "RGBA")), "PNG")
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, binascii.Error, Image.DecompressionBombError):
        return None


def _pixels(source: Image, modes: tuple[str, ...]) -> Image:
    """A picture of nothing but the pixels that are seen."""
    from PIL import Image

    transparent = "RGBA" in modes and (
        source.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in source.info
    )
    if transparent:
        seen = source.convert("RGBA")
        clean = Image.new("RGBA", seen.size, (0, 0, 0, 0))
        clean.paste(seen, mask=seen.getchannel("A").point(lambda alpha: 255 if alpha else 0))
        return clean
    if source.mode.startswith("I;16"):
        source = source.convert("I").point(lambda grey: grey / 256)
    mode = source.mode if source.mode in modes else "L" if source.mode in ("I", "F") else "RGB"
    plain = source.convert(mode)
    return Image.frombytes(mode, plain.size, plain.tobytes())  # without the info that some encoders write out


def _written(picture: Image, file_format: str, **options: int) -> str:
    sink = io.BytesIO()
    picture.save(sink, file_format, **options)
    return base64.b64encode(sink.getvalue()).decode()
