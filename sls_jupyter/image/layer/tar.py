"""Reading a layer's tar as the tool reads it that computes a policy's hashes.

A layer's hash depends on how a tar is *understood*, so this follows Go's ``archive/tar`` (which the reference tool uses)
and not Python's ``tarfile``: ustar, PAX (POSIX.1-2001, ``pax`` "Extended Header"), GNU, star and V7 headers; octal and
base-256 numbers; times with nanoseconds from the text of PAX records; GNU sparse files (`sls_jupyter.image.layer.sparse`).

Refused, with the reason: what that reader refuses, and *PAX global headers*, of which it makes a file that no other tool
makes. Names are bytes; nothing here looks at a file system.
"""

from __future__ import annotations

from collections.abc import Iterator

from sls_jupyter.image.layer import sparse
from sls_jupyter.image.layer.entry import CHUNK, Entry, Readable, Stream
from sls_jupyter.image.layer.fields import decimal, malformed, number, text

BLOCK = 512  # bytes
ZERO = bytes(BLOCK)
MAX_SPECIAL = 1 << 20  # bytes of one extended header, long name or long link
HEADER_ONLY = frozenset(
    b"123456"
)  # links, symbolic links, devices, folders, FIFOs: no data follows, whatever size says
USTAR, GNU, STAR, V7 = "ustar", "gnu", "star", "v7"


def entries(source: Readable) -> Iterator[Entry]:
    """The entries of a tar, in order, without holding more than a piece of one in memory.

    Args:
        source: the uncompressed tar; ``read(n)`` returns at most n bytes, and none only at the end.

    Raises:
        MalformedTar: see the module.
    """
    stream = Stream(source)
    pax: dict[bytes, bytes] = {}
    long_name = long_link = b""
    while True:
        block = _header_block(stream)
        if block is None:
            return
        entry, form = _parse(block)
        if entry.kind == ord("g"):
            raise malformed(
                "the layer has a PAX global header, of which the reference tool makes a file and others nothing",
                found=f"a global header at byte {stream.position - BLOCK}",
                expected="a tar without one",
                hint="write the layer's tar anew without it (git archive writes one, also docker build from such a tar)",
            )
        if entry.kind == ord("x"):
            pax = _pax_records(_special(stream, entry.size))
            continue
        if entry.kind in b"LK":
            text = _special(stream, entry.size).split(b"\0", 1)[0]
            if entry.kind == ord("L"):
                long_name = text
            else:
                long_link = text
            continue
        _merge(entry, pax, long_name, long_link)
        body = _Body(stream, 0 if entry.kind in HEADER_ONLY else entry.size)
        rest = -body.left % BLOCK
        _give_data(entry, block if form == GNU else None, body)
        yield entry
        body.drain()
        stream.some(rest)  # cut off at the very end is an end
        pax, long_name, long_link = {}, b"", b""


class _Body:
    """The data of one entry as it lies in the tar."""

    __slots__ = ("left", "stream")

    def __init__(self, stream: Stream, size: int) -> None:
        self.stream, self.left = stream, size

    def read(self, size: int) -> bytes:
        size = min(size, self.left)
        self.left -= size
        return self.stream.exactly(size)

    def pieces(self) -> Iterator[bytes]:
        while self.left:
            yield self.read(CHUNK)

    def drain(self) -> None:
        self.stream.skip(self.left)
        self.left = 0


def _header_block(stream: Stream) -> bytes | None:
    """The next header, or ``None`` at the end: of the bytes, after one block of zeros, or at two of them."""
    block = stream.some(BLOCK)
    if not block:
        return None
    if len(block) != BLOCK:
        raise malformed("the tar ends in the middle of a header", found=f"{len(block)} bytes of {BLOCK}")
    if block != ZERO:
        return block
    block = stream.some(BLOCK)
    if not block or block == ZERO:
        return None
    raise malformed("a block of zeros is followed by something else", found=f"at byte {stream.position - len(block)}")


def _parse(block: bytes) -> tuple[Entry, str]:
    """A header's fields, and which format it is of."""
    _check_sum(block)
    form = _format(block)
    times: list[tuple[int, int] | None] = [None, None]
    major = minor = 0
    prefix = b""
    entry = Entry(
        name=text(block[:100]),
        kind=block[156],
        size=number(block[124:136]),
        mode=number(block[100:108]),
        uid=number(block[108:116]),
        gid=number(block[116:124]),
        mtime=(number(block[136:148]), 0),
        link=text(block[157:257]),
        major=0,
        minor=0,
        atime=None,
        ctime=None,
    )
    if form != V7:
        major, minor = number(block[329:337]), number(block[337:345])
        if form == USTAR:
            prefix = text(block[345:500])
        elif form == STAR:
            prefix = text(block[345:476])
            times = [(number(block[476:488]), 0), (number(block[488:500]), 0)]
        else:
            times, prefix = _gnu_times(block)
    entry.major, entry.minor = major, minor
    entry.atime, entry.ctime = times
    if prefix:
        entry.name = prefix + b"/" + entry.name
    if entry.kind not in HEADER_ONLY and entry.size < 0:
        raise malformed("an entry's size is negative", entry.name)
    return entry, form


def _check_sum(block: bytes) -> None:
    """The sum of a header's bytes, its own field as spaces; old writers took the bytes as signed."""
    field = text(block[148:156].strip(b" \0"))
    total = sum(block) - sum(block[148:156]) + 8 * 32
    stated = int(field, 8) if field and not field.strip(b"01234567") else 0
    if stated != total and stated != total - 256 * sum(byte > 127 for byte in block[:148] + block[156:]):
        raise malformed("a header's checksum is wrong: not a tar, or a damaged one", found=stated, expected=total)


def _format(block: bytes) -> str:
    magic = block[257:265]
    if magic[:6] == b"ustar\0":
        return STAR if block[508:512] == b"tar\0" else USTAR
    return GNU if magic == b"ustar  \0" else V7


def _gnu_times(block: bytes) -> tuple[list[tuple[int, int] | None], bytes]:
    """Times of access and change; where they are no numbers, what an old writer of Go put there: a prefix."""
    fields = (block[345:357], block[357:369])
    try:
        return [(number(one), 0) if one[0] else None for one in fields], b""
    except ValueError:
        prefix = text(block[345:500])
        return [None, None], prefix if prefix.isascii() else b""


def _special(stream: Stream, size: int) -> bytes:
    if size > MAX_SPECIAL:
        raise malformed("an extended header is too large", found=f"{size} bytes", expected=f"at most {MAX_SPECIAL}")
    data = stream.exactly(size)
    stream.some(-size % BLOCK)
    return data


def _pax_records(data: bytes) -> dict[bytes, bytes]:
    """``length key=value\\n``, each; the length counts the whole record."""
    records: dict[bytes, bytes] = {}
    sparse_map: list[bytes] = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 32)
        size = decimal(data[at:space], "a PAX record's length") if space > at else 0
        end = at + size
        if size < 5 or end > len(data) or end - 1 <= space or data[end - 1 : end] != b"\n":
            raise malformed("a PAX record's length is wrong", found=data[at : at + 40])
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or not key or b"\0" in (value if key in (b"path", b"linkpath", b"uname", b"gname") else key):
            raise malformed("a PAX record is not key=value, or holds a NUL", found=data[at : at + 40])
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            if (len(sparse_map) % 2 == 0) != (key == b"GNU.sparse.offset") or b"," in value:
                raise malformed("a sparse file's map is out of order", found=data[at : at + 40])
            sparse_map.append(value)
        else:
            records[key] = value
        at = end
    if sparse_map:
        records[b"GNU.sparse.map"] = b",".join(sparse_map)
    return records


def _merge(entry: Entry, pax: dict[bytes, bytes], long_name: bytes, long_link: bytes) -> None:
    """Let PAX records, and then GNU's long names, replace a header's fields; an empty value replaces none."""
    entry.pax = pax
    entry.name = long_name or pax.get(b"path") or entry.name
    entry.link = long_link or pax.get(b"linkpath") or entry.link
    for key in ("uid", "gid", "size") if pax else ():
        if value := pax.get(key.encode()):
            setattr(entry, key, decimal(value, f"a PAX {key}"))
    for key in ("mtime", "atime", "ctime") if pax else ():
        if value := pax.get(key.encode()):
            setattr(entry, key, _time(value))
    if entry.kind == 0:  # before POSIX a folder was a name with a slash
        entry.kind = ord("5") if entry.name.endswith(b"/") else ord("0")
    if entry.kind not in HEADER_ONLY and entry.size < 0:
        raise malformed("an entry's size is negative", entry.name)


def _give_data(entry: Entry, header: bytes | None, body: _Body) -> None:
    """Let an entry's data be read, holes filled; `header` is its block, if that is of the GNU format."""
    extents = sparse.extents(entry, header, body, body.stream)
    if extents is None:
        entry.data = body.pieces()
    elif entry.kind in HEADER_ONLY:
        raise malformed("an entry without data claims to be a sparse file", entry.name)
    else:
        entry.data = sparse.expanded(extents, entry.size, body)


def _time(value: bytes) -> tuple[int, int]:
    """Seconds and nanoseconds of ``-12.5``: the fraction's text, cut at nine digits, never a float."""
    whole, _, fraction = value.partition(b".")
    seconds = decimal(whole, "a PAX time")
    if not fraction:
        return seconds, 0
    if not fraction.isdigit():
        raise malformed("a PAX time's fraction is no number", found=value[:60])
    nanoseconds = int(fraction[:9].ljust(9, b"0"))
    if whole.startswith(b"-") and nanoseconds:
        return seconds - 1, 10**9 - nanoseconds
    return seconds, nanoseconds
