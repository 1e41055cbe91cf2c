"""Migrations: applied once, in order, by one runner at a time; a history that is not ours is refused untouched."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg2
import pytest

from ledger import database as databases
from ledger.database import ROLES_MIGRATION, Database, MigrationError, migrate, migrations
from ledger.rule_changes import change_rules
from ledger.store import Store
from projections.generation import ensure_generation, shape, sql
from projections.projector import Projector
from projections.rebuild import rebuild
from tests.conftest import administer
from tests.strategies import OPENING
from tests.test_projector import credit_lines, place
from tests.test_sequencer import rows

OURS = [name for name, _, _ in migrations()]


@pytest.fixture
def empty(server_url: Callable[[str], str], request: pytest.FixtureRequest) -> Iterator[Database]:
    """Give a database in which nothing was done; the encoding may be asked for."""
    name = f"orderledger_empty_{os.getpid()}"
    encoding = getattr(request, "param", "UTF8")
    administer(server_url, f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    database = Database(server_url(name))
    yield database
    database.close()
    administer(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def schema(database: Database) -> list[tuple[Any, ...]]:
    """Describe every column, function and trigger, and what the runner noted."""
    with database.administration() as cursor:
        cursor.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'"
            " UNION ALL SELECT proname, prosrc, '' FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
            " UNION ALL SELECT tgname, tgrelid::regclass::text, tgenabled::text FROM pg_trigger ORDER BY 1, 2, 3"
        )
        found = cursor.fetchall()
        cursor.execute("SELECT to_regclass('migration') IS NOT NULL")
        if cursor.fetchone() == (True,):
            cursor.execute("SELECT name, sha256, applied_at::text FROM migration ORDER BY name")
            found += cursor.fetchall()
    return found


def altered(database: Database, statement: str) -> list[tuple[Any, ...]]:
    """Alter what the runner noted; give the schema before anybody migrates."""
    with database.administration() as cursor:
        cursor.execute(statement)
    return schema(database)


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [int(name[:4]) for name in OURS] == list(range(1, len(OURS) + 1))


def test_an_empty_database_gets_every_migration_in_order(empty: Database) -> None:
    assert migrate(empty) == OURS


def test_migrating_again_does_nothing(database: Database) -> None:
    before = schema(database)
    assert migrate(database) == []
    assert schema(database) == before


def test_only_what_is_missing_is_applied(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a newer version comes upon an older one's database."""
    every = migrations()
    with monkeypatch.context() as older:
        older.setattr(databases, "migrations", lambda: every[:1])
        assert migrate(empty) == OURS[:1]
    assert migrate(empty) == OURS[1:]


def test_a_ledger_from_before_the_roles_goes_on(
    empty: Database, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its events, head and projection change hands and stay what they are; recording and projecting go on."""
    every = migrations()
    with monkeypatch.context() as older:
        older.setattr(databases, "migrations", lambda: [entry for entry in every if entry[0] < ROLES_MIGRATION])
        migrate(empty)
    with closing(Store(database)) as store:
        change_rules(store, OPENING, actor="tester")
        place(store, first=1, count=3)
    events, [head] = rows(database, "SELECT * FROM event"), rows(database, "SELECT * FROM head")
    with empty.administration() as cursor:
        cursor.executemany(f"INSERT INTO event VALUES ({', '.join(['%s'] * 10)})", events)
        cursor.execute("UPDATE head SET (one, position, recorded_at, rulebook_version, root, frontier) = %s", (head,))
        cursor.execute(f"CREATE SCHEMA projection_7; SET search_path = projection_7, public; {sql('schema.sql')}")
        cursor.execute("INSERT INTO projection VALUES (7, %s, true)", (shape(),))
        cursor.execute("INSERT INTO tracking VALUES ('projection_7', 0)")
    assert migrate(empty)[0] == ROLES_MIGRATION
    assert (rows(empty, "SELECT * FROM event"), rows(empty, "SELECT * FROM head")) == (events, [head])
    with closing(Store(empty)) as store:
        position = place(store, first=4, count=1)
        assert position == len(events) + 1
        assert ensure_generation(empty) == 7
        Projector(empty).catch_up()
        assert credit_lines(store) == 4
        for generation in (8, 9):  # the second drops what serves no more
            rebuild(empty)
            assert ensure_generation(empty) == generation
            assert credit_lines(store) == 4
    assert rows(empty, "SELECT to_regnamespace('projection_7') IS NULL") == [(True,)]


def test_a_migration_whose_text_changed_is_refused(database: Database) -> None:
    """An applied migration is history: it is not edited, and nothing else is done either."""
    before = altered(database, f"UPDATE migration SET sha256 = repeat('0', 64) WHERE name = '{OURS[0]}'")
    with pytest.raises(MigrationError, match=OURS[0]):
        migrate(database)
    assert schema(database) == before


def test_a_migration_of_a_newer_version_is_refused(database: Database) -> None:
    before = altered(database, "INSERT INTO migration (name, sha256) VALUES ('9999_newer.sql', 'x')")
    with pytest.raises(MigrationError, match=r"9999_newer\.sql.*newer version"):
        migrate(database)
    assert schema(database) == before


def test_the_control_the_same_database_is_fine_once_restored(database: Database) -> None:
    altered(database, "INSERT INTO migration (name, sha256) VALUES ('9999_newer.sql', 'x')")
    altered(database, "DELETE FROM migration WHERE name = '9999_newer.sql'")
    assert migrate(database) == []


def test_a_migration_that_fails_leaves_nothing(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is missing is one transaction: the good ones before the bad one are rolled back with it."""
    before = schema(empty)
    broken = ("9998_broken.sql", "x", "CREATE TABLE half (done int); SELECT 1 / 0")
    with monkeypatch.context() as release:
        release.setattr(databases, "migrations", lambda: [*migrations(), broken])
        with pytest.raises(psycopg2.errors.DivisionByZero):
            migrate(empty)
    assert schema(empty) == before
    assert migrate(empty) == OURS


def test_of_two_that_migrate_at_once_one_does_it(empty: Database) -> None:
    """The other waits, then finds nothing to do; neither fails."""
    databases_of_two = [Database(empty.url), Database(empty.url)]
    barrier = threading.Barrier(2)

    def migrated(database: Database) -> list[str]:
        barrier.wait()
        return migrate(database)

    with ThreadPoolExecutor(2) as pool:
        applied = list(pool.map(migrated, databases_of_two))
    assert sorted(applied) == [[], OURS]
    for database in databases_of_two:
        database.close()


@pytest.mark.parametrize("empty", ["SQL_ASCII"], indirect=True)
def test_a_database_that_is_not_utf_8_is_refused(empty: Database) -> None:
    """It would take names apart, and count bytes for characters."""
    with pytest.raises(MigrationError, match="SQL_ASCII"):
        migrate(empty)
