"""The layout of a tiled log: paths and bytes of tiles and entry bundles (C2SP ``tlog-tiles``).

A tile holds up to 256 hashes of one level: leaf hashes at level 0, and above that the roots of the
full tiles one level below. A tile that is not full yet is *partial* and says its width in its path.
An entry bundle holds the entries whose hashes are in the level 0 tile of the same index. Nothing here
touches a disk or a network.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sls_jupyter.errors import BadInput, MalformedDocument

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TILE_WIDTH = 256  # hashes in a full tile
TILE_HEIGHT = 8  # 2**8 == TILE_WIDTH
MAX_LEVEL = 63
MAX_ENTRY_BYTES = 2**16 - 1
_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Tile:
    """Names a tile, or an entry bundle. ``Tile.parse(x).path == x``."""

    level: int | None  # 0 to MAX_LEVEL; None: the entry bundle
    index: int  # >= 0, within the level
    width: int = TILE_WIDTH  # 1 to 256; below 256 the tile is partial

    def __post_init__(self) -> None:
        level_fits = self.level is None or 0 <= self.level <= MAX_LEVEL
        if not level_fits or not 0 <= self.index < 2**63 or not 1 <= self.width <= TILE_WIDTH:
            raise BadInput(
                "There is no such tile.", found=f"level {self.level}, index {self.index}, width {self.width}"
            )

    @property
    def path(self) -> str:
        """Below the log's URL, for instance ``tile/0/x001/x234/067.p/12``."""
        level = "entries" if self.level is None else str(self.level)
        partial = f".p/{self.width}" if self.width < TILE_WIDTH else ""
        return f"tile/{level}/{_index_path(self.index)}{partial}"

    @classmethod
    def parse(cls, path: str) -> Tile:
        """Read a path that a client asks for.

        Raises:
            MalformedDocument: not a tile's path, or not its one spelling.
        """
        match = _PATH.fullmatch(path) if len(path) <= 64 else None
        if match is None:
            raise MalformedDocument(
                "This is not the path of a tile.", found=path[:80], expected="tile/<level>/<index>[.p/<width>]"
            )
        level = None if match["level"] == "entries" else int(match["level"])
        index = int(re.sub("[x/]", "", match["index"]))
        try:
            tile = cls(level, index, int(match["width"] or TILE_WIDTH))
        except BadInput as error:
            raise MalformedDocument(error.message, found=path) from None
        if tile.path != path:
            raise MalformedDocument("A tile's path has one spelling only.", found=path, expected=tile.path)
        return tile


def _index_path(index: int) -> str:
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    return "/".join([*(f"x{part}" for part in parts[:-1]), parts[-1]])


def tile_width(level: int, index: int, size: int) -> int:
    """Number of hashes (0 to 256) that a tile has in a tree of ``size`` leaves."""
    hashes = size >> (TILE_HEIGHT * level)
    return max(0, min(TILE_WIDTH, hashes - index * TILE_WIDTH))


def tiles_between(old_size: int, new_size: int) -> Iterator[Tile]:
    """Every tile and entry bundle to publish when a log grows from one size to another.

    Bundles come first and the highest level last; publish the checkpoint after all of them.
    """
    for level in (None, *range(MAX_LEVEL + 1)):
        shift = TILE_HEIGHT * (level or 0)
        old, new = old_size >> shift, new_size >> shift
        if new == 0:
            return
        for index in range(old // TILE_WIDTH, -(-new // TILE_WIDTH)):
            width = min(TILE_WIDTH, new - index * TILE_WIDTH)
            if index * TILE_WIDTH + width > old:
                yield Tile(level, index, width)


# --- entry bundles --------------------------------------------------------------------------------


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries one after the other, each preceded by its length (2 bytes, big-endian).

    Args:
        entries: 1 to 256 of them, at most MAX_ENTRY_BYTES each.

    Raises:
        BadInput: too many entries, none, or one that is too long.
    """
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise BadInput("An entry bundle cannot hold so many entries.", found=len(entries), expected="1 to 256")
    longest = max(len(entry) for entry in entries)
    if longest > MAX_ENTRY_BYTES:
        raise BadInput("A log entry is too long.", found=f"{longest} bytes", expected=f"{MAX_ENTRY_BYTES} at most")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def decode_bundle(data: bytes) -> tuple[bytes, ...]:
    """The entries of a bundle; what they hash to is for the caller to compare with the tile.

    Raises:
        MalformedDocument: the bytes end within an entry, or hold none or more than 256.
    """
    entries: list[bytes] = []
    at = 0
    while at < len(data) and len(entries) < TILE_WIDTH:
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        entries.append(data[start:at])
    if at != len(data) or not entries:
        raise MalformedDocument(
            "An entry bundle is cut or has too many entries.",
            found=f"{len(data)} bytes, {len(entries)} entries",
            expected="1 to 256 whole entries",
        )
    return tuple(entries)
