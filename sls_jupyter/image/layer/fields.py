"""Fields of tar headers: text, octal and base-256 numbers, decimal ones of PAX records; and how a tar is refused.

As Go's ``archive/tar`` reads them, see `sls_jupyter.image.layer.tar`.
"""

from __future__ import annotations

from functools import lru_cache

from sls_jupyter.errors import BadInput

_INT64 = 1 << 63


class MalformedTar(BadInput):
    """A tar that the reference tool refuses, too, or that two tools understand differently."""


def malformed(
    message: str, name: bytes | None = None, *, found: object = None, expected: object = None, hint: str = ""
) -> MalformedTar:
    """The error for a tar, with the entry's name where there is one."""
    return MalformedTar(
        message + (f" ({shown(name)})" if name is not None else ""),
        found=shown(found) if isinstance(found, bytes) else found,
        expected=expected,
        hint=hint or "take the layer's uncompressed tar from where it was made again",
    )


def shown(name: bytes) -> str:
    """A name of a tar for people: UTF-8 where it is, else escaped, and not without end."""
    return name.decode("utf-8", "backslashreplace")[:200]


def text(data: bytes) -> bytes:
    """What stands before the first NUL."""
    return data.split(b"\0", 1)[0]


@lru_cache(8192)  # modes, owners and times are the same in most headers
def number(data: bytes) -> int:
    """Octal text, or two's complement in base 256 when the first bit is set."""
    if not data[0] & 0x80:
        return octal(data)
    if data[0] & 0x40:
        value = int.from_bytes(data, "big", signed=True)
    else:
        value = int.from_bytes(data, "big") - (0x80 << 8 * (len(data) - 1))
    if not -_INT64 <= value < _INT64:
        raise malformed("a header holds a number beyond 64 bits", found=data.hex())
    return value


def octal(data: bytes) -> int:
    """Octal text with spaces and NULs around it; nothing is 0."""
    digits = text(data.strip(b" \0"))
    if not digits:
        return 0
    if digits.strip(b"01234567"):
        raise malformed("a header holds a number that is not octal", found=digits)
    return int(digits, 8)


def decimal(data: bytes, what: str) -> int:
    """A decimal number of 64 bits with an optional sign."""
    digits = data[1:] if data[:1] in (b"+", b"-") else data
    if not digits.isdigit() or len(digits) > 40 or not -_INT64 <= int(data) < _INT64:
        raise malformed(f"{what} is no number of 64 bits", found=data[:60])
    return int(data)
