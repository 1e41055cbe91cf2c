"""A real PostgreSQL for the whole run, and a database of its own for each test, cloned from a migrated template."""

import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import make_dsn

from ledger.database import Database, migrate, transaction
from ledger.roles import OWNER
from ledger.store import Store

collect_ignore = [] if find_spec("playwright") else ["browser"]
"""The tests in a browser need the extra of that name: `make test-browser`."""
_NUMBERS = count(1)
LEDGERS_MAX = 3
os.environ["LC_ALL"] = "C.UTF-8"  # whoever runs the tests, commands speak English unless a test says otherwise


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Give addresses of databases on the test server: ORDERLEDGER_DATABASE_URL's, else an embedded one."""
    if url := os.environ.get("ORDERLEDGER_DATABASE_URL"):
        yield lambda database: make_dsn(url, dbname=database)
        return
    from ledger.embedded import EmbeddedServer  # noqa: PLC0415 - only where it is needed

    folder: Path = tmp_path_factory.mktemp("postgres")
    with EmbeddedServer(folder, settings={"fsync": "off", "synchronous_commit": "off"}) as server:
        yield server.url


@pytest.fixture(scope="session")
def template(server_url: Callable[[str], str]) -> Iterator[str]:
    """Migrate the template once, and drop it with everything cloned from it at the end."""
    name = f"orderledger_test_{os.getpid()}"
    administer(server_url, f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
    database = Database(server_url(name))
    migrate(database)
    database.close()
    yield name
    administer(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def new_database(server_url: Callable[[str], str], template: str) -> Iterator[Callable[[], Database]]:
    """Make as many fresh databases as a test asks for."""
    made: list[tuple[str, Database]] = []

    def make() -> Database:
        name = f"{template}_{next(_NUMBERS)}"
        clone(server_url, template, name)
        database = Database(server_url(name))
        made.append((name, database))
        return database

    yield make
    for name, database in made:
        database.close()
        administer(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def new_store(new_database: Callable[[], Database]) -> Iterator[Callable[[], Store]]:
    """Make empty ledgers; a property makes two per example, so the databases of older ones are emptied and reused."""
    opened: list[Store] = []

    def make() -> Store:
        if len(opened) < LEDGERS_MAX:
            opened.append(Store(new_database()))
        else:
            oldest = opened.pop(0)
            oldest.close()
            empty(oldest.database)
            opened.append(Store(oldest.database))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def database(new_database: Callable[[], Database]) -> Database:
    """Give a fresh, migrated database."""
    return new_database()


def empty(database: Database) -> None:
    """Make a ledger's database as it was when it was migrated: several times faster than another database."""
    with database.administration() as cursor, transaction(cursor):
        cursor.execute("TRUNCATE import, import_chunk, import_row, import_problem, import_profile")
        cursor.execute("SELECT generation FROM projection")
        for (generation,) in cursor.fetchall():
            cursor.execute(f"DROP SCHEMA projection_{generation} CASCADE")
        cursor.execute(
            "ALTER TABLE event DISABLE TRIGGER event_is_immutable;"
            " ALTER TABLE access DISABLE TRIGGER access_is_immutable;"
            " ALTER TABLE merkle_block DISABLE TRIGGER merkle_block_is_immutable;"
            " ALTER TABLE verification DISABLE TRIGGER verification_is_immutable;"
            " TRUNCATE event, access, verification, merkle_block, tracking, token, session, projection, idempotency;"
            " TRUNCATE webhook_endpoint, webhook_delivery;"
            " ALTER TABLE event ENABLE ALWAYS TRIGGER event_is_immutable;"
            " ALTER TABLE access ENABLE ALWAYS TRIGGER access_is_immutable;"
            " ALTER TABLE verification ENABLE ALWAYS TRIGGER verification_is_immutable;"
            " ALTER TABLE merkle_block ENABLE ALWAYS TRIGGER merkle_block_is_immutable;"
            " ALTER TABLE head DISABLE TRIGGER head_grows;"
            " UPDATE head SET position = 0, recorded_at = 'epoch', rulebook_version = 0,"
            " root = sha256(''), frontier = '';"
            " ALTER TABLE head ENABLE ALWAYS TRIGGER head_grows"
        )
    database.close()


def clone(server_url: Callable[[str], str], template: str, name: str) -> None:
    """Make a database as the template is, with the right on it that the copy lacks."""
    grant = f"GRANT CREATE ON DATABASE {name} TO {OWNER}"
    administer(server_url, f"CREATE DATABASE {name} TEMPLATE {template}", grant)


def administer(server_url: Callable[[str], str], *statements: str) -> None:
    """Run statements that must stand outside a transaction, from the maintenance database."""
    connection = psycopg2.connect(server_url("postgres"))
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    connection.close()
