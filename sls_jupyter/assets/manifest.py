"""The manifest of a sealed asset: what its owner signs about the parts, without a word of their content."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from sls_jupyter.documents import Base64, Did, Digest, Document, Model, Name, OneLine, Timestamp, b64decode
from sls_jupyter.errors import MalformedDocument, UnknownName

if TYPE_CHECKING:
    import pyarrow as pa

DATA, DICTIONARY = "part", "dictionary"
MAX_MANIFEST_BYTES = 2**20  # of its envelope: a run's receipt has to hold those of all inputs
MAX_ROWS = 2**53 - 1  # the largest integer that canonical JSON holds

MAX_FILES = 4096  # of a code asset

KeyId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}\Z")]  # 16 random bytes
PartName = Annotated[str, Field(pattern=r"^(part|dictionary)-[0-9]{5}\.parquet\Z")]
StorageUrl = Annotated[str, Field(min_length=1, max_length=2000)]


def part_name(kind: str, number: int) -> str:
    """``part-00000.parquet`` holds rows, ``dictionary-00003.parquet`` the categories of column 3 of the schema."""
    return f"{kind}-{number:05d}.parquet"


class Part(Model):
    """One encrypted Parquet file of the asset.

    ``footer`` is the SHA-256 of the file's last ``n + 8`` bytes, where ``n`` is the little-endian 32-bit
    number 8 bytes before its end: the FileCryptoMetaData, the encrypted FileMetaData, ``n`` itself and the
    magic ``PARE``. The footer carries the file's own random AAD, which each page authenticates, so this
    digest and the size bind the whole file (Apache Parquet, "Parquet Modular Encryption", section 4.4).
    """

    name: PartName
    size: Annotated[int, Field(ge=12, le=MAX_ROWS)]  # bytes
    rows: Annotated[int, Field(ge=0, le=MAX_ROWS)]
    footer: Digest


class ColumnGroup(Model):
    """Columns under one master key: they are granted together or not at all."""

    name: Name
    key_id: KeyId
    columns: tuple[str, ...]  # top-level names, sorted; empty when the schema is confidential


class FileDigest(Model):
    """One file of sealed code that reviewers may read: what they are shown is compared with it."""

    path: Annotated[str, Field(min_length=1, max_length=4096)]  # plain, relative, POSIX
    sha256: Digest  # of the file's bytes
    size: Annotated[int, Field(ge=0, le=MAX_ROWS)]  # bytes


class AssetManifest(Document):
    """A sealed asset, as its owner signs it; its digest is the asset's identifier.

    Whoever reads it learns the names and types of the columns (unless ``confidential``), the number of rows
    and the sizes. Values, categories and statistics are in the parts only.
    """

    payload_type: ClassVar[str] = "application/vnd.sls.asset-manifest.v2+json"
    deeply_frozen: ClassVar[bool] = True

    kind: Literal["table", "code"]
    name: Name
    owner: Did
    authority: Did
    authority_url: OneLine
    storage: StorageUrl  # fsspec URL of the folder
    arrow_schema: Base64 | None  # Arrow IPC schema message; None: confidential, in the parts' encrypted footers
    rows: Annotated[int, Field(ge=0, le=MAX_ROWS)]
    parts: tuple[Part, ...]  # the data in its order, then the dictionaries
    footer_key_id: KeyId
    groups: tuple[ColumnGroup, ...]  # sorted by name
    confidential: bool  # a table's schema, or code that reviewers may not read
    files: Annotated[tuple[FileDigest, ...], Field(min_length=1, max_length=MAX_FILES)] | None  # of code for reviewers
    policy: Digest
    created_at: Timestamp
    previous: Digest | None  # the asset that this one replaces

    def signer(self) -> str:
        return self.owner

    @model_validator(mode="after")
    def _consistent(self) -> AssetManifest:
        names = [group.name for group in self.groups]
        columns = [column for group in self.groups for column in group.columns]
        key_ids = [self.footer_key_id, *(group.key_id for group in self.groups)]
        if names != sorted(set(names)):
            raise ValueError("groups: unique and sorted by name")
        if any(list(group.columns) != sorted(group.columns) for group in self.groups):
            raise ValueError("groups: columns are sorted")
        if len(set(columns)) != len(columns) or len(set(key_ids)) != len(key_ids):
            raise ValueError("groups: no column and no key is in two groups")
        if (self.files is not None) != (self.kind == "code" and not self.confidential):
            raise ValueError("files: present exactly for code that reviewers may read")
        paths = [one.path for one in self.files or ()]
        if paths != sorted(set(paths)):
            raise ValueError("files: unique and sorted by path")
        if self.confidential != (self.arrow_schema is None):
            raise ValueError("arrow_schema: absent exactly when the asset is confidential")
        expected = [part_name(DATA, number) for number in range(len(self.data_parts))]
        dictionaries = [part.name for part in self.parts[len(expected) :]]
        if [part.name for part in self.data_parts] != expected or dictionaries != sorted(set(dictionaries)):
            raise ValueError("parts: the data parts in order, then the dictionaries")
        if self.data_parts and sum(part.rows for part in self.data_parts) != self.rows:
            raise ValueError("rows: the sum of the data parts")
        return self

    @property
    def data_parts(self) -> tuple[Part, ...]:
        """The parts that hold rows; none when the table has no columns."""
        return tuple(part for part in self.parts if part.name.startswith(DATA))

    def part(self, name: str) -> Part:
        """The part of that name.

        Raises:
            UnknownName: there is none.
        """
        for part in self.parts:
            if part.name == name:
                return part
        raise UnknownName("The asset has no such part.", found=name)

    def table_schema(self) -> pa.Schema | None:
        """The table's Arrow schema; ``None`` when it is confidential.

        Raises:
            MalformedDocument: the bytes are no schema.
        """
        return None if self.arrow_schema is None else read_schema(b64decode(self.arrow_schema))

    @property
    def columns(self) -> tuple[str, ...]:
        """Top-level names in the schema's order; empty when the schema is confidential."""
        schema = self.table_schema()
        return () if schema is None else tuple(schema.names)

    def groups_for(self, columns: Iterable[str] | None) -> tuple[ColumnGroup, ...]:
        """Every group that holds one of ``columns``; all groups for ``None`` and for a confidential schema.

        Raises:
            UnknownName: the asset has no such column.
        """
        if columns is None or self.arrow_schema is None:
            return self.groups
        wanted = set(columns)
        known = {column for group in self.groups for column in group.columns}
        if unknown := sorted(wanted - known):
            raise UnknownName(
                f"The asset {self.name} has no column {unknown[0]!r}.",
                found=", ".join(unknown),
                expected="one of: " + ", ".join(self.columns),
            )
        return tuple(group for group in self.groups if wanted & set(group.columns))

    def key_ids_for(self, columns: Iterable[str] | None) -> tuple[str, ...]:
        """The keys needed to read ``columns``: the footer's first, then one for each group."""
        return (self.footer_key_id, *(group.key_id for group in self.groups_for(columns)))


def read_schema(data: bytes) -> pa.Schema:
    """An Arrow schema from the bytes of its IPC message.

    Raises:
        MalformedDocument: the bytes are no schema, or name one column twice.
    """
    import pyarrow as pa

    try:
        schema = pa.ipc.read_schema(pa.py_buffer(data))
        names = schema.names
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        raise MalformedDocument(
            "The schema of an asset is not an Arrow IPC schema.", found=type(error).__name__
        ) from None
    if len(set(names)) != len(names):
        raise MalformedDocument("The schema of an asset names one column twice.")
    return schema
