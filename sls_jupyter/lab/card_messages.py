"""Cards as data: what :mod:`sls_jupyter.notebook.cards` makes of each of its blocks, told apart by ``kind``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sls_jupyter.documents import Model

Tone = Literal["", "good", "bad", "wait", "note"]


class CellData(Model):
    """One value of a table or a list of facts."""

    text: str
    look: Literal["", "mono", "chip"] = ""
    tone: Tone = ""


class LineData(Model):
    kind: Literal["line"]
    words: str


class WarnData(Model):
    kind: Literal["warn"]
    words: str
    tone: Tone


class HeadingData(Model):
    kind: Literal["heading"]
    words: str
    level: int


class BulletsData(Model):
    kind: Literal["bullets"]
    items: tuple[str, ...]


class FactData(Model):
    name: str  # "": one more value of the name above
    value: CellData


class FactsData(Model):
    kind: Literal["facts"]
    pairs: tuple[FactData, ...]


class TableData(Model):
    kind: Literal["table"]
    heads: tuple[str, ...]
    rows: tuple[tuple[CellData, ...], ...]
    empty: str


class UnitData(Model):
    """A piece of a row of code."""

    text: str
    look: Literal["", "mark", "keyword", "string", "number", "comment", "builtin", "def"] = ""


class CodeRow(Model):
    """One row on the screen; ``number`` is 0 where it goes on with the line above."""

    number: int
    units: tuple[UnitData, ...]
    odd: bool = False  # letters in it may look like others


class ListingData(Model):
    kind: Literal["listing"]
    notices: tuple[WarnData, ...]
    rows: tuple[CodeRow, ...]


class CheckData(Model):
    number: int
    name: str
    ok: bool
    found: CellData
    expected: CellData


class ChecksData(Model):
    kind: Literal["checks"]
    checks: tuple[CheckData, ...]


class CommandData(Model):
    kind: Literal["command"]
    lines: tuple[str, ...]


class DetailsData(Model):
    kind: Literal["details"]
    summary: str
    blocks: tuple[BlockData, ...]


BlockData = Annotated[
    LineData
    | WarnData
    | HeadingData
    | BulletsData
    | FactsData
    | TableData
    | ListingData
    | ChecksData
    | CommandData
    | DetailsData,
    Field(discriminator="kind"),
]


class CardData(Model):
    """A card as data: what ``%sls`` shows as text and as HTML."""

    title: str
    subtitle: str
    tone: Tone
    marks: tuple[str, ...]  # SIMULATED, NOT ISOLATED
    blocks: tuple[BlockData, ...]


DetailsData.model_rebuild()
