"""Recorded events are immutable: the database refuses to change them, and what a superuser does all the same shows."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg2.errors import InsufficientPrivilege, RestrictViolation

from ledger.database import Cursor, Database
from ledger.roles import APPLICATION, OWNER
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
    "going back with the head": "UPDATE head SET position = 2",
    "another root at the head": "UPDATE head SET root = sha256('')",
    "a head without an event": "UPDATE head SET position = 4",
}
COPY_OF_ONE = (
    "INSERT INTO event SELECT 4, 'order/4', 1, type, source, 'e4', actor, recorded_at, effective_on, state"
    " FROM event WHERE position = 1"
)
ROLES = ("origin", "replica", "local")
AS_OWNER, AS_SUPERUSER = f"SET ROLE {OWNER}", "RESET ROLE"


@pytest.fixture
def ledger(database: Database) -> Database:
    """Give a ledger of three events."""
    store = Store(database)
    assert isinstance(store.sequencer.append(Append([an_event(f"e{number}") for number in (1, 2, 3)])), Appended)
    store.sequencer.close()
    return database


def attacked(cursor: Cursor, role: str, statement: str, *, become: str = AS_SUPERUSER) -> None:
    """Run a statement, as a replica's or an ordinary session would; see it refused for the reason."""
    cursor.execute(f"RESET ROLE; SET session_replication_role = {role}; {become}")
    with pytest.raises(RestrictViolation, match="recorded events are immutable"):
        cursor.execute(statement)


def everything(database: Database) -> list[tuple[Any, ...]]:
    """Give every column of every event, and the head."""
    return rows(database, "SELECT * FROM event ORDER BY position") + rows(database, "SELECT head::text FROM head")


@pytest.mark.parametrize("become", [AS_OWNER, AS_SUPERUSER])
@pytest.mark.parametrize("role", ROLES)
def test_changing_recorded_events_is_refused(ledger: Database, role: str, become: str) -> None:
    """Invariant 1, for every statement that could, also where a session switches ordinary triggers off."""
    before = everything(ledger)
    with ledger.administration() as cursor:
        for statement in ATTACKS.values():
            attacked(cursor, role, statement, become=become)
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


MUTABLE = {
    "tracking",
    "projection",
    "session",
    "idempotency",
    "webhook_endpoint",
    "webhook_delivery",
    "import",
    "import_chunk",
    "import_row",
    "import_problem",
    "import_profile",
    "verification_run",
}
"""What the application may change: where readers and receivers stand, which generation of the projection serves,
sessions, clients' keys, files that wait to be imported, and how far a verification is.
"""
APPLICATION_ATTACKS = ATTACKS | {
    "update of the head": "UPDATE head SET root = root",
    "lock of an event": "SELECT 1 FROM event FOR UPDATE",
    "lock of the head": "SELECT 1 FROM head FOR UPDATE",
    "lock against others": "LOCK TABLE event IN ACCESS EXCLUSIVE MODE",
    "another head": "INSERT INTO head SELECT * FROM head",
    "another migration": "INSERT INTO migration (name, sha256) VALUES ('9999', 'x')",
    "forgotten migration": "DELETE FROM migration",
    "another secret": "UPDATE token SET secret_hash = sha256('')",
    "more roles": "UPDATE token SET roles = '{admin}'",
    "forgotten token": "DELETE FROM token",
    "more roles of a session": "UPDATE session SET roles = '{admin}'",
    "a longer session": "UPDATE session SET expires_at = 'infinity'",
    "grant": f"GRANT UPDATE ON event TO {APPLICATION}; UPDATE event SET actor = 'x'",
    "trigger off": "ALTER TABLE event DISABLE TRIGGER event_is_immutable",
    "triggers off": "ALTER TABLE event DISABLE TRIGGER ALL",
    "trigger for some": "ALTER TABLE event ENABLE REPLICA TRIGGER event_is_immutable",
    "no trigger": "DROP TRIGGER event_is_immutable ON event",
    "no trigger of the head": "DROP TRIGGER head_grows ON head",
    "no function": "DROP FUNCTION refuse_change() CASCADE",
    "function that refuses nothing": "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN RETURN NULL; END'",
    "function without its search path": "ALTER FUNCTION lock_head() RESET search_path",
    "function as its caller": "ALTER FUNCTION store_head SECURITY INVOKER",
    "trigger before the trigger": "CREATE TRIGGER a BEFORE UPDATE ON event EXECUTE FUNCTION refuse_change()",
    "rule": "CREATE RULE a AS ON INSERT TO event DO INSTEAD NOTHING",
    "row security": "ALTER TABLE event ENABLE ROW LEVEL SECURITY",
    "heir": "SELECT create_projection_schema(99); CREATE TABLE projection_99.heir () INHERITS (event)",
    "drop": "DROP TABLE event",
    "drop of the view": "DROP VIEW event_data",
    "other view": "CREATE OR REPLACE VIEW event_data AS SELECT 1",
    "drop of the schema": "DROP SCHEMA public CASCADE",
    "column": "ALTER TABLE event DROP COLUMN actor",
    "rename": "ALTER TABLE event RENAME TO old_event",
    "move": "SELECT create_projection_schema(99); ALTER TABLE event SET SCHEMA projection_99",
    "owner of the table": f"ALTER TABLE event OWNER TO {APPLICATION}",
    "all that the owner has": f"REASSIGN OWNED BY {OWNER} TO {APPLICATION}",
    "nothing that the owner has": f"DROP OWNED BY {OWNER}",
    "member of the owner": f"GRANT {OWNER} TO {APPLICATION}",
    "superuser": f"ALTER ROLE {APPLICATION} SUPERUSER",
    "role": "CREATE ROLE orderledger_other SUPERUSER",
    "replica": "SET session_replication_role = replica",
    "replica for good": f"ALTER ROLE {APPLICATION} SET session_replication_role = replica",
    "catalogue": "UPDATE pg_trigger SET tgenabled = 'D'",
    "catalogue opened": "SET allow_system_table_mods = on",
    "program": "COPY event TO PROGRAM 'true'",
    "file": "COPY event FROM '/dev/null'",
    "table": "CREATE TABLE public.shadow ()",
    "function": "CREATE FUNCTION public.sha256(text) RETURNS text LANGUAGE sql AS 'SELECT 1'",
    "schema": "CREATE SCHEMA postgres",
    "generation renamed": "SELECT create_projection_schema(99); ALTER SCHEMA projection_99 RENAME TO postgres",
    "language": "DROP EXTENSION plpgsql CASCADE",
    "publication": "CREATE PUBLICATION everything FOR TABLE event",
}


def test_the_application_can_change_nothing_that_is_recorded(ledger: Database) -> None:
    """It lacks the privileges, so that no trigger is asked; whatever it tries, the ledger stays as it is."""
    before = everything(ledger)
    for statement in APPLICATION_ATTACKS.values():
        with pytest.raises(InsufficientPrivilege), ledger.transaction() as cursor:
            cursor.execute(statement)
    assert everything(ledger) == before


def test_the_control_what_the_application_does_all_day(ledger: Database) -> None:
    with ledger.cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchall() == [(APPLICATION,)]
    everyday = ("SELECT * FROM event_data", "SELECT lock_head()", COPY_OF_ONE, "DELETE FROM tracking")
    for statement in (*everyday, "UPDATE token SET revoked_at = NULL", "SELECT create_projection_schema(99)"):
        with ledger.cursor() as cursor:
            cursor.execute(statement)
    assert rows(ledger, "SELECT count(*) FROM event") == [(4,)]


HEADS = {
    "goes back": (3, "2, recorded_at, rulebook_version, root"),
    "stays": (3, "3, recorded_at, rulebook_version, root"),
    "skips": (4, "5, recorded_at, rulebook_version, root"),
    "stops before the last event": (5, "4, recorded_at, rulebook_version, root"),
    "is older than it was": (4, "4, recorded_at - interval '1 second', rulebook_version, root"),
    "is of another moment than the event": (4, "4, recorded_at + interval '1 second', rulebook_version, root"),
    "has an older rulebook": (4, "4, recorded_at, rulebook_version - 1, root"),
    "has no root": (4, "4, recorded_at, rulebook_version, ''::bytea"),
}


@pytest.mark.parametrize(("recorded", "head"), HEADS.values(), ids=HEADS)
def test_the_head_only_grows_to_the_last_event(ledger: Database, recorded: int, head: str) -> None:
    """Through the one function that the application has for it."""
    with ledger.cursor() as cursor:
        for position in range(4, recorded + 1):
            cursor.execute(COPY_OF_ONE.replace("4", str(position)))
        with pytest.raises(RestrictViolation, match="the head cannot go"):
            cursor.execute(f"SELECT store_head({head}, frontier) FROM head")
    assert rows(ledger, "SELECT position FROM head") == [(3,)]


def test_the_control_the_head_grows(ledger: Database) -> None:
    with ledger.cursor() as cursor:
        cursor.execute(COPY_OF_ONE)
        cursor.execute("SELECT store_head(4, recorded_at, rulebook_version, root, frontier) FROM head")
    assert rows(ledger, "SELECT position FROM head") == [(4,)]


SHADOWS = """
SELECT create_projection_schema(99);
SET search_path = pg_temp, projection_99, pg_catalog, public;
CREATE TEMPORARY TABLE head AS SELECT * FROM public.head;
CREATE TEMPORARY TABLE event AS SELECT * FROM public.event;
UPDATE pg_temp.head SET position = 1;
DELETE FROM pg_temp.event WHERE position > 2;
CREATE FUNCTION projection_99.never(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT false';
CREATE OPERATOR projection_99.<= (FUNCTION = projection_99.never, LEFTARG = bigint, RIGHTARG = bigint);
CREATE OPERATOR projection_99.< (FUNCTION = projection_99.never, LEFTARG = bigint, RIGHTARG = bigint);
CREATE FUNCTION projection_99.octet_length(bytea) RETURNS integer LANGUAGE sql AS 'SELECT 32';
"""


def test_names_that_stand_before_ours_deceive_no_function(ledger: Database) -> None:
    """The functions that act as the owner mean the ledger's tables and PostgreSQL's operators, whoever calls them."""
    before = everything(ledger)
    connection = ledger.connect()
    with connection.cursor() as cursor:
        cursor.execute(SHADOWS)
        cursor.execute("SELECT position, 1::bigint <= 2::bigint FROM head")
        assert cursor.fetchall() == [(1, False)], "the control: they do stand before"
        cursor.execute("SELECT position FROM lock_head()")
        assert cursor.fetchall() == [(3,)]
        for new in ("2, recorded_at, 0, root", "3, recorded_at, 0, root", "4, recorded_at, 0, ''::bytea"):
            with pytest.raises(RestrictViolation):
                cursor.execute(f"SELECT store_head({new}, frontier) FROM public.head")
    connection.close()
    assert everything(ledger) == before


def test_all_that_there_is_belongs_to_the_owner(ledger: Database) -> None:
    """Also what later migrations make: their tables are facts, unless they are named above."""
    public = "public'::regnamespace"
    foreign = (
        f"SELECT relname FROM pg_class WHERE relnamespace = '{public} AND relowner <> '{OWNER}'::regrole"
        f" UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = '{public} AND proowner <> '{OWNER}'::regrole"
        f" UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = '{public} AND prosecdef"
        " AND NOT 'search_path=pg_catalog, pg_temp' = ANY (proconfig)"
    )
    assert rows(ledger, foreign) == []
    may = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    changing = " OR ".join(
        f"has_table_privilege('{APPLICATION}', oid, '{right}')" for right in ("UPDATE", "DELETE", "TRUNCATE", "TRIGGER")
    )
    assert {name for (name,) in rows(ledger, f"{may} AND ({changing})")} == MUTABLE


def test_whatever_is_recorded_has_its_trigger(ledger: Database) -> None:
    """A table that the application inserts into and may not change has the trigger, and it always fires."""
    before_update_delete_truncate = 2 + 8 + 16 + 32  # PostgreSQL's catalog/pg_trigger.h
    without = (
        "SELECT relname FROM pg_class AS relation WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        f" AND has_table_privilege('{APPLICATION}', oid, 'INSERT')"
        f" AND NOT has_any_column_privilege('{APPLICATION}', oid, 'UPDATE') AND NOT EXISTS ("
        " SELECT FROM pg_trigger WHERE tgrelid = relation.oid AND tgenabled = 'A'"
        f" AND tgfoid = 'refuse_change'::regproc AND tgtype = {before_update_delete_truncate})"
    )
    assert rows(ledger, without) == []
    with ledger.administration() as cursor:
        cursor.execute("ALTER TABLE event ENABLE TRIGGER event_is_immutable")
    assert rows(ledger, without) == [("event",)], "the control: it sees one that does not always fire"


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
