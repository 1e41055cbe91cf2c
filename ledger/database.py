"""Connections to PostgreSQL: a bounded pool, transactions, and the runner of the numbered migrations.

Nothing connects before it is asked to. This is the one place that opens connections.
"""

import hashlib
import select
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from importlib import resources
from typing import Any, Generic, TypeVar

import psycopg2
import psycopg2.extensions
from psycopg2.errors import InsufficientPrivilege, NumericValueOutOfRange
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from ledger.roles import APPLICATION, OWNER, create_roles, missing_statements
from ledger.wording import say

Connection = psycopg2.extensions.connection
Cursor = psycopg2.extensions.cursor
Answer = TypeVar("Answer")

SERVER_VERSION_MIN = 140_000
PROBE_SECONDS_MAX = 3
MIGRATION_LOCK = 7_305_817_101
ROLES_MIGRATION = "0006_roles.sql"
"""From the one behind this, migrations run as the role that owns what they make."""
# no schema stands before public, whatever somebody created under the name of a role
_OPTIONS = "-c timezone=UTC -c search_path=public"


class MigrationError(Exception):
    """The database's migrations are not those of this version; nothing was changed."""


class Database:
    """One PostgreSQL database: the address, and a pool of at most `connections_max` connections to it.

    Whoever logs in, the connections act as the application's role, which reads and records and can change nothing
    that is recorded. `admin_url` is the same database for a login that may migrate it; by default the same one. A
    statement may take `statement_seconds_max` (0: any time), then it ends with QueryCanceled.
    """

    def __init__(
        self, url: str, *, admin_url: str = "", connections_max: int = 24, statement_seconds_max: int = 0
    ) -> None:
        self.url = url
        self._options = f"{_OPTIONS} -c role={APPLICATION} -c statement_timeout={statement_seconds_max}s"
        self.admin_url = admin_url or url
        self._free = threading.BoundedSemaphore(connections_max)
        self._idle: list[Connection] = []
        self.observe: Callable[[int], None] = lambda change: None
        """Told of each connection that the pool lends (1) and gets back (-1)."""

    def connect(self) -> Connection:
        """Open a connection of the caller's own, in UTC, committing each statement by itself."""
        return _connected(self.url, self._options)

    @contextmanager
    def administration(self) -> Iterator[Cursor]:
        """Lend a cursor that acts as the login that may migrate, on a connection of its own, closed afterwards."""
        connection = _connected(self.admin_url, _OPTIONS)
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

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
        with self._lent() as connection, connection.cursor() as cursor, transaction(cursor, mode):
            yield cursor

    @contextmanager
    def _lent(self) -> Iterator[Connection]:
        with self._free:
            connection = self._idle_connection() or self.connect()
            self.observe(1)
            try:
                yield connection
            except psycopg2.OperationalError:
                self.close()  # a server that went away left the idle connections dead too
                raise
            finally:
                self.observe(-1)
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


def _connected(url: str, options: str) -> Connection:
    connection = psycopg2.connect(url, options=options, application_name="orderledger")
    connection.autocommit = True
    return connection


class Probe(Generic[Answer]):
    """Asks the database one question, and does not wait long for one that hangs: no driver's timeout covers that.

    Who asks while the question is under way waits for the same answer, so that a database that hangs holds one thread.
    """

    def __init__(self, question: Callable[[], Answer]) -> None:
        self._question = question
        self._lock = threading.Lock()
        self._asked: Future[Answer] | None = None

    def ask(self) -> Answer:
        """Give the answer.

        Errors: those of the question; psycopg2.OperationalError where there is no answer within the time.
        """
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = asked = Future[Answer]()
                threading.Thread(target=self._answer, args=(asked,), daemon=True).start()
            asked = self._asked
        try:
            return asked.result(PROBE_SECONDS_MAX)
        except TimeoutError:
            raise psycopg2.OperationalError(f"no answer within {PROBE_SECONDS_MAX} s") from None

    def _answer(self, asked: "Future[Answer]") -> None:
        try:
            asked.set_result(self._question())
        except Exception as error:  # noqa: BLE001 - whoever waits raises it
            asked.set_exception(error)


@contextmanager
def transaction(cursor: Cursor, mode: str = "READ WRITE") -> Iterator[None]:
    """Make one transaction of what the cursor does, committed at the end, rolled back on any exception."""
    cursor.execute("BEGIN " + mode)
    try:
        yield
    except BaseException:
        if not cursor.connection.closed:
            cursor.execute("ROLLBACK")
        raise
    cursor.execute("COMMIT")


def migrations() -> list[tuple[str, str, str]]:
    """List the migrations of this version in order: (name, SHA-256 of the text, text)."""
    folder = resources.files("ledger") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    texts = [(name, (folder / name).read_text(encoding="utf-8")) for name in names]
    return [(name, hashlib.sha256(text.encode()).hexdigest(), text) for name, text in texts]


def foreign_migrations(cursor: Cursor) -> list[str]:
    """List the migrations that the database and this version do not share, or not with the same text."""
    cursor.execute("SELECT name, sha256 FROM migration")
    ours = {(name, checksum) for name, checksum, _ in migrations()}
    return sorted({name for name, _ in ours ^ set(cursor.fetchall())})


def migrate(database: Database) -> list[str]:
    """Bring the schema to this version and return the names of what was applied; one runner at a time.

    A login that may not migrate is fine where there is nothing to do.
    Errors: MigrationError where an applied migration's text differs from ours, the database knows one that we
    don't (a newer version was here), the server is too old, the database is not UTF-8, or the login may not do
    what is to be done.
    """
    with database.administration() as cursor, transaction(cursor):
        _check_server(cursor)
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
        applied, ours = _applied(cursor), migrations()
        _check_history(applied, {name: checksum for name, checksum, _ in ours})
        fresh = [(name, checksum, text) for name, checksum, text in ours if name not in applied]
        try:
            create_roles(cursor)
            if fresh:
                _check_roles(cursor)
            _let_owner_create(cursor)
            for migration in fresh:
                _apply(cursor, *migration)
        except InsufficientPrivilege as error:
            raise MigrationError(
                say("{error}: {as_administrator}", error=str(error).splitlines()[0], as_administrator=_AS_ADMINISTRATOR)
            ) from error
        return [name for name, _, _ in fresh]


_AS_ADMINISTRATOR = say(
    "set ORDERLEDGER_ADMIN_URL to this database's address for the login that owns it, and run once more"
)
_TABLE_OF_MIGRATIONS = (
    "CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, sha256 text NOT NULL,"
    " applied_at timestamptz NOT NULL DEFAULT now())"
)


def _applied(cursor: Cursor) -> dict[str, str]:
    cursor.execute("SELECT to_regclass('public.migration') IS NOT NULL")
    if one(cursor) == (False,):
        return {}
    cursor.execute("SELECT name, sha256 FROM migration")
    return dict(cursor.fetchall())


def _check_roles(cursor: Cursor) -> None:
    if statements := missing_statements(cursor):
        raise MigrationError(
            say(
                "the login can't act as the ledger's roles: {as_administrator}; or, where it is to migrate, let a"
                " superuser run, once: {statements}",
                as_administrator=_AS_ADMINISTRATOR,
                statements="; ".join(statements),
            )
        )


def _let_owner_create(cursor: Cursor) -> None:
    """Let the owner make the schemas of the projection: neither CREATE DATABASE … TEMPLATE nor a dump keeps that."""
    is_able = f"SELECT has_database_privilege('{OWNER}', current_database(), 'CREATE'), quote_ident(current_database())"
    cursor.execute(is_able)
    able, name = one(cursor)
    if not able:
        grant = f"GRANT CREATE ON DATABASE {name} TO {OWNER}"
        cursor.execute(grant)
        cursor.execute(is_able)
        if not one(cursor)[0]:  # who may not grant is only warned
            raise MigrationError(
                say("the ledger's owner can't create schemas: let the database's owner run {grant}", grant=grant)
            )


def _apply(cursor: Cursor, name: str, checksum: str, text: str) -> None:
    cursor.execute(f"SET LOCAL ROLE {OWNER}" if name > ROLES_MIGRATION else _TABLE_OF_MIGRATIONS)
    cursor.execute(text)
    cursor.execute("INSERT INTO migration (name, sha256) VALUES (%s, %s)", (name, checksum))


def _check_server(cursor: Cursor) -> None:
    version = cursor.connection.server_version
    if version < SERVER_VERSION_MIN:
        raise MigrationError(
            say("PostgreSQL {version} is too old: Orderledger needs 14 or newer", version=version // 10_000)
        )
    cursor.execute("SHOW server_encoding")
    (encoding,) = one(cursor)
    if encoding != "UTF8":
        raise MigrationError(
            say("the database's encoding is {encoding}: create one with ENCODING 'UTF8'", encoding=encoding)
        )


def _check_history(applied: dict[str, str], ours: dict[str, str]) -> None:
    for name, checksum in sorted(applied.items()):
        if name not in ours:
            raise MigrationError(
                say("the database has {name}, which this version lacks: use the newer version", name=name)
            )
        if ours[name] != checksum:
            raise MigrationError(
                say("{name} differs from the text that was applied: restore the released file", name=name)
            )


def one(cursor: Cursor) -> tuple[Any, ...]:
    """Fetch the row that must be there."""
    row = cursor.fetchone()
    assert row is not None, "the statement must give a row"
    return row


def execute_exactly(cursor: Cursor, statement: str, otherwise: str) -> None:
    """Execute a statement, or another one in the same transaction where a number of the first leaves 63 bits."""
    try:
        cursor.execute(f"SAVEPOINT exactly; {statement}")
    except NumericValueOutOfRange:
        cursor.execute(f"ROLLBACK TO exactly; {otherwise}")


def read_whole_numbers(cursor: Cursor) -> None:
    """Let this cursor give numerics as integers, several times faster than decimals; all of ours are whole."""
    psycopg2.extensions.register_type(_WHOLE, cursor)


_NUMERIC = 1700
_WHOLE = psycopg2.extensions.new_type((_NUMERIC,), "WHOLE", lambda text, _: None if text is None else int(text))


def await_lead(connection: Connection, lock: int, stopped: threading.Event, *, milliseconds: int) -> None:
    """Stand by until the connection holds an advisory lock, asking so often; it holds it as long as it is open.

    Returns without the lock where it is stopped first.
    """
    with connection.cursor() as cursor:
        while not stopped.is_set():
            cursor.execute("SELECT pg_try_advisory_lock(%s)", (lock,))
            if one(cursor)[0]:
                return
            stopped.wait(milliseconds / 1000)


def wait_for_notification(connection: Connection, milliseconds: int) -> bool:
    """Wait until the server notifies this listening connection, at most so long; say whether it did."""
    if not select.select([connection], [], [], milliseconds / 1000)[0]:
        return False
    connection.poll()
    notified = bool(connection.notifies)
    connection.notifies.clear()
    return notified
