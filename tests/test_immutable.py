"""Recorded events are immutable: the database refuses to change them, and what a superuser does all the same shows."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg2.errors import RestrictViolation

from ledger.database import Cursor, Database
from ledger.sequencer import Append, Appended
from ledger.store import Store
from tests.strategies import History, histories, play
from tests.test_sequencer import an_event, rows, tree_hash

ATTACKS = {
    "update": "UPDATE event SET actor = 'somebody else'",
    "update of nothing": "UPDATE event SET state = '{}' WHERE false",
    "update through the view": "UPDATE event_data SET actor = 'somebody else'",
    "upsert": "INSERT INTO event SELECT * FROM event ON CONFLICT (position) DO UPDATE SET actor = 'x'",
    "delete": "DELETE FROM event WHERE position = 3",
    "delete of nothing": "DELETE FROM event WHERE false",
    "delete through the view": "DELETE FROM event_data",
    "truncate": "TRUNCATE event",
    "truncate with others": "TRUNCATE tracking, event CASCADE",
    "delete of the head": "DELETE FROM head",
    "truncate of the head": "TRUNCATE head",
}
COPY_OF_ONE = (
    "INSERT INTO event SELECT 4, 'order/4', 1, type, source, 'e4', actor, recorded_at, effective_on, state"
    " FROM event WHERE position = 1"
)
ROLES = ("origin", "replica", "local")


@pytest.fixture
def ledger(database: Database) -> Database:
    """Give a ledger of three events."""
    store = Store(database)
    assert isinstance(store.sequencer.append(Append([an_event(f"e{number}") for number in (1, 2, 3)])), Appended)
    store.sequencer.close()
    return database


def attacked(cursor: Cursor, role: str, statement: str) -> None:
    """Run a statement as the superuser, as a replica's or an ordinary session would; see it refused for the reason."""
    cursor.execute(f"SET session_replication_role = {role}")
    with pytest.raises(RestrictViolation, match="recorded events are immutable"):
        cursor.execute(statement)


def everything(database: Database) -> list[tuple[Any, ...]]:
    """Give every column of every event, and the head."""
    return rows(database, "SELECT * FROM event ORDER BY position") + rows(database, "SELECT head::text FROM head")


@pytest.mark.parametrize("role", ROLES)
def test_changing_recorded_events_is_refused(ledger: Database, role: str) -> None:
    """Invariant 1, for every statement that could, also where a session switches ordinary triggers off."""
    before = everything(ledger)
    with ledger.administration() as cursor:
        for statement in ATTACKS.values():
            attacked(cursor, role, statement)
    assert everything(ledger) == before


@pytest.mark.parametrize("role", ROLES)
def test_the_control_recording_is_allowed(ledger: Database, role: str) -> None:
    with ledger.administration() as cursor:
        cursor.execute(f"SET session_replication_role = {role}; {COPY_OF_ONE}")
        assert cursor.rowcount == 1
    assert rows(ledger, "SELECT count(*) FROM event") == [(4,)]


@pytest.mark.parametrize("attack", ["update", "delete", "truncate", "truncate with others", "delete of the head"])
def test_the_control_without_the_triggers_the_statements_work(ledger: Database, attack: str) -> None:
    """So it is the triggers that refuse, and the statements above are sound."""
    before = everything(ledger)
    with ledger.administration() as cursor:
        cursor.execute("ALTER TABLE event DISABLE TRIGGER USER; ALTER TABLE head DISABLE TRIGGER USER")
        cursor.execute(ATTACKS[attack])
    assert everything(ledger) != before


def test_the_control_ordinary_triggers_do_not_fire_for_a_replica(ledger: Database) -> None:
    """What ENABLE ALWAYS is for."""
    with ledger.administration() as cursor:
        cursor.execute("ALTER TABLE event ENABLE TRIGGER event_is_immutable")
        cursor.execute("BEGIN; SET LOCAL session_replication_role = replica; DELETE FROM event; COMMIT")
    assert rows(ledger, "SELECT count(*) FROM event") == [(0,)]


COLUMNS = (
    "position",
    "subject",
    "version",
    "type",
    "source",
    "event_id",
    "actor",
    "recorded_at",
    "effective_on",
    "state",
)


@settings(
    deadline=None, max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(histories(max_steps=12), st.lists(st.sampled_from(COLUMNS), min_size=1, unique=True), st.sampled_from(ROLES))
def test_no_history_can_be_changed(
    new_database: Callable[[], Database], history: History, columns: list[str], role: str
) -> None:
    """Invariant 1, as a property: whichever columns of whichever events, the ledger stays as it is."""
    database = new_database()
    with closing(Store(database)) as store:
        play(store, history)
    before = everything(database)
    with database.administration() as cursor:
        for position in range(1, len(before)):
            changes = ", ".join(f"{column} = {column}" for column in columns)
            attacked(cursor, role, f"UPDATE event SET {changes} WHERE position = {position}")
            attacked(cursor, role, f"DELETE FROM event WHERE position >= {position}")
    assert everything(database) == before
    database.close()


TAMPERED = {
    "edited": "UPDATE event SET state = replace(state, 'special', 'sample ') WHERE position = 2",
    "removed": "DELETE FROM event WHERE position = 3",
    "reordered": "UPDATE event SET state = (SELECT state FROM event other WHERE other.position = 3 - event.position)"
    " WHERE position IN (1, 2)",
}


@pytest.mark.parametrize("tampering", TAMPERED.values(), ids=TAMPERED)
def test_what_a_superuser_changes_all_the_same_shows(ledger: Database, tampering: str) -> None:
    """With the triggers off anything goes, but the root is not that of the events any more."""

    def root_is_that_of_the_events() -> bool:
        states = [state.encode() for (state,) in rows(ledger, "SELECT state FROM event ORDER BY position")]
        [(root,)] = rows(ledger, "SELECT root FROM head")
        return bytes(root) == tree_hash(states)

    assert root_is_that_of_the_events()
    with ledger.administration() as cursor:
        cursor.execute("ALTER TABLE event DISABLE TRIGGER USER")
        cursor.execute(tampering)
        assert cursor.rowcount >= 1
    assert not root_is_that_of_the_events()


@pytest.mark.parametrize("column", ["source", "subject"])
def test_the_database_itself_keeps_ids_and_places_unique(ledger: Database, column: str) -> None:
    """Exactly once does not rest on our code alone: an id, and a place in a stream, can be taken once."""
    other = {"source": "'order/new', 1, type, source, event_id", "subject": "subject, version, type, source, 'new'"}[
        column
    ]
    with ledger.cursor() as cursor, pytest.raises(psycopg2.errors.UniqueViolation):
        cursor.execute(
            f"INSERT INTO event SELECT 4, {other}, actor, recorded_at, effective_on, state FROM event LIMIT 1"
        )
