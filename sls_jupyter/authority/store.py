"""The authority's database: the whole schema in one place, and transactions.

SQLite by default, any SQLAlchemy URL when served to many. Rows hold signed documents as their bytes;
columns beside them only repeat what is looked up, each look-up by an index: what a call costs does not grow
with what lies there. A database of an earlier version is not carried over. A writer takes the write lock when its transaction
begins, so what it reads does not change before it commits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.pool import ConnectionPoolEntry

from sls_jupyter.errors import BadInput, Unavailable

metadata = sa.MetaData()
_WRITE_LOCK = 0x736C73  # PostgreSQL advisory lock, any number that is ours
_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")

assets = sa.Table(
    "assets",
    metadata,
    sa.Column("id", sa.String(71), primary_key=True),  # digest of the manifest
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),  # of the name, from 1 upwards
    sa.Column(
        "state", sa.String(10), nullable=False
    ),  # active (one of each name at most), superseded, withdrawn, shredded
    sa.Column("runs", sa.Integer, nullable=False, server_default="0"),  # specs that its keys were released for
    sa.Column("manifest", sa.LargeBinary, nullable=False),  # DSSE
    sa.Column("policy", sa.LargeBinary, nullable=False),  # DSSE
    sa.Column("policy_id", sa.String(71), nullable=False),  # digest of the policy
    sa.Column("module", sa.Text),  # an owner's own Rego module
    sa.Column("created_at", _BIG, nullable=False),
    sa.CheckConstraint("state in ('active', 'superseded', 'withdrawn', 'shredded')"),
    sa.UniqueConstraint("name", "version"),
)
_ACTIVE = assets.c.state == "active"
sa.Index("one_active", assets.c.name, unique=True, sqlite_where=_ACTIVE, postgresql_where=_ACTIVE)

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("asset", sa.String(71), sa.ForeignKey("assets.id"), primary_key=True),
    sa.Column("key_id", sa.String(32), primary_key=True),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),  # by the store key
)

requests = sa.Table(
    "requests",
    metadata,
    sa.Column("seq", _BIG, primary_key=True, autoincrement=True),  # in the order of arrival
    sa.Column("id", sa.String(71), nullable=False, unique=True),  # the proposal's terms
    sa.Column("but_limits", sa.String(71), nullable=False, index=True),  # what is asked for, limits aside
    sa.Column("spec", sa.LargeBinary, nullable=False),  # DSSE of the newest spec on these terms
    sa.Column("order", sa.LargeBinary),  # DSSE of the newest order on them, in a session
    sa.Column("requester", sa.String(100), nullable=False),
    sa.Column("contact", sa.LargeBinary),  # DSSE
    sa.Column(
        "texts", sa.LargeBinary, nullable=False
    ),  # JSON: code and parameters of each cell, which approvers review
    sa.Column("state", sa.String(10), nullable=False),  # open, granted, approved, denied
    sa.Column("known", sa.Boolean, nullable=False),  # a policy of an asset asked for names the requester
    sa.Column(
        "logged", sa.Boolean, nullable=False
    ),  # it stays, and request.received is in the log; False: may be dropped
    sa.Column("bytes", sa.Integer, nullable=False),  # of spec, order, contact, code and parameters
    sa.Column("created_at", _BIG, nullable=False),
    sa.CheckConstraint("state in ('open', 'granted', 'approved', 'denied')"),
    sa.Index("requests_droppable", "logged", "seq", "requester", "created_at", "bytes"),
    sa.Index("requests_of", "requester", "state", "created_at"),
)

request_parties = sa.Table(  # whose inbox a request is in: its requester's and the approvers'
    "request_parties",
    metadata,
    sa.Column("did", sa.String(100), primary_key=True),
    sa.Column("seq", _BIG, primary_key=True, autoincrement=False),
    sa.Column("state", sa.String(10), nullable=False),  # of the request
    sa.Index("request_parties_state", "did", "state", "seq"),
    sa.Index("request_parties_seq", "seq"),
)

readers = sa.Table(  # who may read the files of a code asset that is not confidential: a request names both
    "readers",
    metadata,
    sa.Column("asset", sa.String(71), primary_key=True),
    sa.Column("did", sa.String(100), primary_key=True),
    sa.Column("seq", _BIG, primary_key=True, autoincrement=False),  # of the request
    sa.Index("readers_seq", "seq"),
)

mutes = sa.Table(  # from whom no request is taken
    "mutes",
    metadata,
    sa.Column("did", sa.String(100), primary_key=True),
    sa.Column("at", _BIG, nullable=False),
)

verdicts = sa.Table(
    "verdicts",
    metadata,
    sa.Column("id", sa.String(71), primary_key=True),  # digest of the approval or denial
    sa.Column("request", sa.String(71), nullable=False, index=True),  # the terms
    sa.Column("approver", sa.String(100), nullable=False),
    sa.Column("approved", sa.Boolean, nullable=False),
    sa.Column("envelope", sa.LargeBinary, nullable=False),  # DSSE
    sa.Column("entry", _BIG, nullable=False),  # index of its log entry
)

beginnings = sa.Table(  # what an approval covers: each beginning of its list of cells, the whole list too
    "beginnings",
    metadata,
    sa.Column("key", sa.String(71), primary_key=True),  # as ``but_limits``
    sa.Column("verdict", sa.String(71), sa.ForeignKey("verdicts.id"), primary_key=True),
    sa.Index("beginnings_verdict", "verdict"),
)

specs = sa.Table(
    "specs",
    metadata,
    sa.Column("id", sa.String(71), primary_key=True),  # digest of a spec that was granted
    sa.Column("envelope", sa.LargeBinary, nullable=False),  # DSSE
    sa.Column("requester", sa.String(100), nullable=False),
    sa.Column("known", sa.Boolean, nullable=False),  # as in requests
    sa.Column("at", _BIG, nullable=False),
    sa.Column("refusals", sa.Integer, nullable=False, server_default="0"),  # of key release, that were logged
    sa.Index("specs_granted", "known", "at", "requester"),
)

grants = sa.Table(
    "grants",
    metadata,
    sa.Column("spec", sa.String(71), primary_key=True),
    sa.Column("asset", sa.String(71), sa.ForeignKey("assets.id"), primary_key=True),
    sa.Column("envelope", sa.LargeBinary, nullable=False),  # DSSE
)

orders = sa.Table(  # cells of sessions that were granted; of one number the newest is in the session's chain
    "orders",
    metadata,
    sa.Column("seq", _BIG, primary_key=True, autoincrement=True),
    sa.Column("session", sa.String(71), sa.ForeignKey("specs.id"), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),  # from 1, without a gap
    sa.Column("id", sa.String(71), nullable=False, unique=True),  # digest of the order
    sa.Column("envelope", sa.LargeBinary, nullable=False),  # DSSE
    sa.Column("grant", sa.LargeBinary, nullable=False),  # DSSE of the cell's grant
    sa.Column("at", _BIG, nullable=False),
    sa.Index("orders_of", "session", "number", "seq"),
)

challenges = sa.Table(
    "challenges",
    metadata,
    sa.Column("nonce", sa.String(64), primary_key=True),
    sa.Column("spec", sa.String(71), nullable=False, index=True),
    sa.Column("expires_at", _BIG, nullable=False, index=True),
)

releases = sa.Table(
    "releases",
    metadata,
    sa.Column("spec", sa.String(71), primary_key=True),
    sa.Column("asset", sa.String(71), primary_key=True),
    sa.Column("requester", sa.String(100), nullable=False),
    sa.Column("report_id", sa.String(64), nullable=False),  # of the guest, hex; "" where its TEE has none
    sa.Column("at", _BIG, nullable=False),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("spec", sa.String(71), primary_key=True),
    sa.Column("requester", sa.String(100), nullable=False, index=True),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("at", _BIG, nullable=False),
)

receipts = sa.Table(
    "receipts",
    metadata,
    sa.Column("spec", sa.String(71), primary_key=True),
    sa.Column("id", sa.String(71), primary_key=True),  # digest of the receipt's statement
    sa.Column("cell", sa.Integer, nullable=False),  # of a session, from 1; 0: a run
    sa.Column("envelope", sa.LargeBinary, nullable=False),  # DSSE, signed by the hardware
    sa.Column("records", sa.LargeBinary, nullable=False),  # the audit sidecar's chain, JSON
    sa.Column("released", sa.Integer, nullable=False),  # how many of our releases it shows
    sa.Column("entry", _BIG, nullable=False),  # index of run.records
    sa.Index("receipts_of", "spec", "cell"),
)

log_entries = sa.Table(
    "log_entries",
    metadata,
    sa.Column("position", _BIG, primary_key=True, autoincrement=False),
    sa.Column("entry", sa.LargeBinary, nullable=False),
    sa.Column("salt", sa.LargeBinary),  # forgotten on request
    sa.Column("meaning", sa.LargeBinary),  # canonical JSON, for the parties only
    sa.Column("subject", sa.String(71)),  # spec or asset the entry is about
    sa.Column("kind", sa.String(24)),  # of the entry
    sa.Index("log_subject", "subject", "kind", "position"),
)

log_tiles = sa.Table(
    "log_tiles",
    metadata,
    sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("position", _BIG, primary_key=True, autoincrement=False),
    sa.Column("hashes", sa.LargeBinary, nullable=False),  # 1 to 256 hashes of 32 bytes
)

log_checkpoint = sa.Table(
    "log_checkpoint",
    metadata,
    sa.Column("origin", sa.String(200), primary_key=True),
    sa.Column("tree_size", _BIG, nullable=False),
    sa.Column("note", sa.LargeBinary, nullable=False),  # signed note
)

log_cosignatures = sa.Table(  # of this log's checkpoints, by witnesses it trusts
    "log_cosignatures",
    metadata,
    sa.Column("tree_size", _BIG, primary_key=True, autoincrement=False),
    sa.Column("witness", sa.String(200), primary_key=True),
    sa.Column("line", sa.Text, nullable=False),  # of the signed note
)

log_witnesses = sa.Table(  # who may cosign this log
    "log_witnesses",
    metadata,
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("public_key", sa.LargeBinary, nullable=False),  # 32 bytes
    sa.Column("url", sa.Text),  # where it answers add-checkpoint; a notebook has none
)

witnessed = sa.Table(  # logs of others that this authority cosigns
    "witnessed",
    metadata,
    sa.Column("origin", sa.String(200), primary_key=True),
    sa.Column("public_key", sa.LargeBinary, nullable=False),  # 32 bytes
    sa.Column("note", sa.LargeBinary),  # the checkpoint cosigned last
    sa.Column("evidence", sa.LargeBinary),  # JSON: the note cosigned here, and the first that contradicts it
)


class Store:
    """A database with the schema above, created when it is not there.

    Args:
        url: a SQLAlchemy URL, or a path for SQLite.

    Raises:
        BadInput: not a URL, or its driver is not installed. Unavailable: it cannot be opened or made.
    """

    def __init__(self, url: str | Path) -> None:
        text = f"sqlite:///{url}" if isinstance(url, Path) else url
        try:
            self.engine = sa.create_engine(text, connect_args={"timeout": 30} if text.startswith("sqlite") else {})
        except (sa.exc.ArgumentError, ModuleNotFoundError) as error:
            raise BadInput(
                "This is not the URL of a database that can be used here.",
                found=type(error).__name__,  # never the URL: it may hold a password
                expected="sqlite:////path/authority.db or postgresql+psycopg://user@host/name",
                hint="For PostgreSQL, install its driver: pip install psycopg",
            ) from None
        if self.engine.dialect.name == "sqlite":
            sa.event.listen(self.engine, "connect", _configure_sqlite)
            sa.event.listen(self.engine, "begin", _begin_sqlite)
        with self.read() as connection:
            there = sa.inspect(connection)
            missing = set(metadata.tables) - set(there.get_table_names())
            for name in {"assets", "requests", "releases", "receipts"} - missing:
                _require_present({one["name"] for one in there.get_columns(name)}, metadata.tables[name])
        if missing:  # a reader need not wait for a writer
            with self.write() as connection:
                metadata.create_all(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading one state of the database; nothing written through it is kept."""
        with _as_unavailable(), self.engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that holds the write lock from its first statement on."""
        with (
            _as_unavailable(),
            self.engine.connect().execution_options(sls_write=True) as connection,
            connection.begin(),
        ):
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_WRITE_LOCK})"))
            yield connection

    def forget(self) -> None:
        """Take deleted rows out of the files too: SQLite keeps them in its write-ahead log for a while.

        What is *not* covered: backups, the disk's own copies, and PostgreSQL, whose administrator has to
        vacuum the table and retire its archived log.

        Raises:
            Unavailable: readers kept the file busy.
        """
        if self.engine.dialect.name != "sqlite":
            return
        with _as_unavailable(), self.engine.connect().execution_options(sls_begin=False) as connection:
            busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar_one()
        if busy:
            raise Unavailable("The database is in use, so deleted keys are still in its file.", hint="Try again.")

    def close(self) -> None:
        self.engine.dispose()


def _require_present(columns: set[str], table: sa.Table) -> None:
    if columns != {one.name for one in table.columns}:
        raise Unavailable(
            "This database was made by another version of the program.",
            found=f"columns of {table.name}: {', '.join(sorted(columns))}"[:300],
            hint="Databases are not carried over: use the version that made it, or a new persona and seal again.",
        )


def _configure_sqlite(connection: object, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # type: ignore[attr-defined]  # we say BEGIN ourselves
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("sls_begin", True):
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("sls_write") else "BEGIN")


@contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except (sa.exc.DatabaseError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
        raise Unavailable(
            "The authority's database cannot be used.",
            found=str(getattr(error, "orig", None) or type(error).__name__)[:200],
            hint="Check that its disk is mounted, writable and not full, then try again; nothing was half written.",
        ) from None
