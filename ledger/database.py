"""Connections to PostgreSQL: a bounded pool, transactions, and the runner of the numbered migrations.

Nothing connects before it is asked to. This is the one place that opens connections.
"""

import hashlib
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any

import psycopg2
import psycopg2.extensions
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

Connection = psycopg2.extensions.connection
Cursor = psycopg2.extensions.cursor

SERVER_VERSION_MIN = 140_000
MIGRATION_LOCK = 7_305_817_101


class MigrationError(Exception):
    """The database's migrations are not those of this version; nothing was changed."""


class Database:
    """One PostgreSQL database: the address, and a pool of at most `connections_max` connections to it."""

    def __init__(self, url: str, *, connections_max: int = 24) -> None:
        self.url = url
        self._free = threading.BoundedSemaphore(connections_max)
        self._idle: list[Connection] = []

    def connect(self) -> Connection:
        """Open a connection of the caller's own, in UTC, committing each statement by itself."""
        connection = psycopg2.connect(self.url, options="-c timezone=UTC", application_name="orderledger")
        connection.autocommit = True
        return connection

    @contextmanager
    def cursor(self) -> Iterator[Cursor]:
        """Lend a cursor on a pooled connection that commits each statement by itself."""
        with self._lent() as connection, connection.cursor() as cursor:
            yield cursor

    @contextmanager
    def transaction(self, mode: str = "READ WRITE") -> Iterator[Cursor]:
        """Lend a cursor inside one transaction, committed at the end, rolled back on any exception.

        Shape: `mode` is what follows BEGIN, such as "ISOLATION LEVEL REPEATABLE READ, READ ONLY".
        """
        with self._lent() as connection, connection.cursor() as cursor:
            cursor.execute("BEGIN " + mode)
            try:
                yield cursor
            except BaseException:
                if not connection.closed:
                    cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")

    @contextmanager
    def _lent(self) -> Iterator[Connection]:
        with self._free:
            connection = self._idle_connection() or self.connect()
            try:
                yield connection
            except psycopg2.OperationalError:
                self.close()  # a server that went away left the idle connections dead too
                raise
            finally:
                if connection.closed or connection.info.transaction_status != TRANSACTION_STATUS_IDLE:
                    connection.close()
                else:
                    self._idle.append(connection)

    def _idle_connection(self) -> Connection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def close(self) -> None:
        """Close the idle connections; using the database again opens new ones."""
        while (connection := self._idle_connection()) is not None:
            connection.close()


def migrations() -> list[tuple[str, str, str]]:
    """List the migrations of this version in order: (name, SHA-256 of the text, text)."""
    folder = resources.files("ledger") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    texts = [(name, (folder / name).read_text(encoding="utf-8")) for name in names]
    return [(name, hashlib.sha256(text.encode()).hexdigest(), text) for name, text in texts]


def migrate(database: Database) -> list[str]:
    """Bring the schema to this version and return the names of what was applied; one runner at a time.

    Errors: MigrationError where an applied migration's text differs from ours, the database knows one that we
    don't (a newer version was here), the server is too old, or the database is not UTF-8.
    """
    with database.transaction() as cursor:
        _check_server(cursor)
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, sha256 text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now())"
        )
        cursor.execute("SELECT name, sha256 FROM migration")
        applied: dict[str, str] = dict(cursor.fetchall())
        ours = migrations()
        _check_history(applied, {name: checksum for name, checksum, _ in ours})
        fresh = [(name, checksum, text) for name, checksum, text in ours if name not in applied]
        for name, checksum, text in fresh:
            cursor.execute(text)
            cursor.execute("INSERT INTO migration (name, sha256) VALUES (%s, %s)", (name, checksum))
        return [name for name, _, _ in fresh]


def _check_server(cursor: Cursor) -> None:
    version = cursor.connection.server_version
    if version < SERVER_VERSION_MIN:
        raise MigrationError(f"PostgreSQL {version // 10_000} is too old: Orderledger needs 14 or newer")
    cursor.execute("SHOW server_encoding")
    (encoding,) = one(cursor)
    if encoding != "UTF8":
        raise MigrationError(f"the database's encoding is {encoding}: create one with ENCODING 'UTF8'")


def _check_history(applied: dict[str, str], ours: dict[str, str]) -> None:
    for name, checksum in sorted(applied.items()):
        if name not in ours:
            raise MigrationError(f"the database has {name}, which this version lacks: use the newer version")
        if ours[name] != checksum:
            raise MigrationError(f"{name} differs from the text that was applied: restore the released file")


def one(cursor: Cursor) -> tuple[Any, ...]:
    """Fetch the row that must be there."""
    row = cursor.fetchone()
    assert row is not None, "the statement must give a row"
    return row


def read_whole_numbers(cursor: Cursor) -> None:
    """Let this cursor give numerics as integers, several times faster than decimals; all of ours are whole."""
    psycopg2.extensions.register_type(_WHOLE, cursor)


_NUMERIC = 1700
_WHOLE = psycopg2.extensions.new_type((_NUMERIC,), "WHOLE", lambda text, _: None if text is None else int(text))


def wait_for_notification(connection: Connection, milliseconds: int) -> bool:
    """Wait until the server notifies this listening connection, at most so long; say whether it did."""
    if not select.select([connection], [], [], milliseconds / 1000)[0]:
        return False
    connection.poll()
    notified = bool(connection.notifies)
    connection.notifies.clear()
    return notified
