"""The PostgreSQL server that the benchmark runs on, and the databases it makes there and drops at the end."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

from ledger.database import Database, migrate, one


class Server:
    """A server by its address, and the databases made so far."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers = count(1)
        self._made: list[str] = []

    def create(self) -> str:
        """Make an empty database and give its address."""
        name = f"orderledger_bench_{os.getpid()}_{next(self._numbers)}"
        self._administer(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
        self._made.append(name)
        return make_dsn(self._url, dbname=name)

    def drop(self, url: str) -> None:
        """Drop a database of ours before the end, for its space."""
        name = parse_dsn(url)["dbname"]
        self._made.remove(name)
        self._administer(f"DROP DATABASE {name} WITH (FORCE)")

    def drop_all(self) -> None:
        """Drop what is left."""
        for name in self._made[:]:
            self.drop(make_dsn(self._url, dbname=name))

    def setting(self, name: str) -> str:
        """Read a setting of the server."""
        with self._connection() as connection, connection.cursor() as cursor:
            cursor.execute(f"SHOW {name}")
            return str(one(cursor)[0])

    def _administer(self, statement: str) -> None:
        connection = self._connection()
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()

    def _connection(self) -> psycopg2.extensions.connection:
        return psycopg2.connect(make_dsn(self._url, dbname="postgres"))


@contextmanager
def running() -> Iterator[Server]:
    """Lend ORDERLEDGER_DATABASE_URL's server, else an embedded one with its own, durable, settings."""
    if url := os.environ.get("ORDERLEDGER_DATABASE_URL"):
        with _cleaned(Server(url)) as server:
            yield server
        return
    from ledger.embedded import EmbeddedServer  # noqa: PLC0415 - only where it is needed

    with (
        tempfile.TemporaryDirectory(prefix="orderledger-bench-") as folder,
        EmbeddedServer(Path(folder) / "postgres") as embedded,
        _cleaned(Server(embedded.url("postgres"))) as server,
    ):
        yield server


@contextmanager
def _cleaned(server: Server) -> Iterator[Server]:
    try:
        yield server
    finally:
        server.drop_all()


@contextmanager
def ledger_database(server: Server) -> Iterator[Database]:
    """Lend a fresh, migrated database."""
    url = server.create()
    database = Database(url)
    migrate(database)
    try:
        yield database
    finally:
        database.close()
        server.drop(url)


def machine(server: Server) -> str:
    """Describe what the figures were measured on."""
    settings = ", ".join(f"{name} {server.setting(name)}" for name in ("fsync", "synchronous_commit", "shared_buffers"))
    return f"{os.cpu_count()} cores, PostgreSQL {server.setting('server_version')}, {settings}"
