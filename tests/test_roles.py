"""Who logs in and who acts: with every PostgreSQL there is, the roles are made, handed over to, and hold.

What the application's role may not is in tests/test_immutable.py; here real logins try it.
"""

import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege
from psycopg2.extensions import make_dsn

from ledger.database import Database, MigrationError, migrate, transaction
from ledger.embedded import BINARIES_VARIABLE, LOGIN, EmbeddedServer
from ledger.roles import APPLICATION, OWNER
from ledger.sequencer import Append, Appended, Sequencer
from ledger.store import Store
from projections.generation import ensure_generation
from tests.conftest import administer
from tests.test_embedded import KINDS
from tests.test_immutable import APPLICATION_ATTACKS, everything
from tests.test_migrations import OURS
from tests.test_sequencer import an_event, rows

NAME = "orderledger_roles"


@pytest.fixture(scope="module", params=list(KINDS.values()), ids=list(KINDS))
def folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Give a data folder for each PostgreSQL there is."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(BINARIES_VARIABLE, str(request.param))
        path = Path(tempfile.mkdtemp(prefix="roles-"))
        path.chmod(0o755)
        yield path
        shutil.rmtree(path)


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedServer]:
    """Start the server, which makes the roles that are missing."""
    with EmbeddedServer(folder / "pg", settings={"fsync": "off"}) as server:
        yield server


@pytest.fixture
def ledger(server: EmbeddedServer) -> Iterator[Database]:
    """Give a ledger of three events, as the commands open it: the service's login beside the administrator's."""
    administer(server.url, f"CREATE DATABASE {NAME}")
    database = Database(server.url(NAME, login=LOGIN), admin_url=server.url(NAME))
    migrate(database)
    sequencer = Sequencer(database)
    sequencer.append(Append([an_event(f"e{number}") for number in (1, 2, 3)]))
    sequencer.close()
    yield database
    database.close()
    administer(server.url, f"DROP DATABASE {NAME} WITH (FORCE)")


def test_the_service_logs_in_as_a_member_of_the_application_only(ledger: Database) -> None:
    """So there is nothing to go back to from the role that it acts as."""
    rights = "rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls"
    asked = f"SELECT session_user, current_user, {rights} FROM pg_roles WHERE rolname = session_user"
    with ledger.cursor() as cursor:
        cursor.execute(asked)
        assert cursor.fetchall() == [(LOGIN, APPLICATION, False)]
        cursor.execute("SELECT roleid::regrole::text FROM pg_auth_members WHERE member = session_user::regrole")
        assert cursor.fetchall() == [(APPLICATION,)]


BECOMING = (f"SET ROLE {OWNER}", f"SET SESSION AUTHORIZATION {OWNER}", "SET ROLE postgres", f"GRANT {OWNER} TO {LOGIN}")


@pytest.mark.parametrize("become", ["RESET ROLE", "SET ROLE NONE", "RESET SESSION AUTHORIZATION", "DISCARD ALL"])
def test_the_login_can_change_nothing_that_is_recorded(ledger: Database, become: str) -> None:
    """Whichever way it leaves the role, what it tries is refused for want of the privilege."""
    before = everything(ledger)
    connection = ledger.connect()
    with connection.cursor() as cursor:
        cursor.execute(become)
        for statement in (*APPLICATION_ATTACKS.values(), *BECOMING):
            with pytest.raises(InsufficientPrivilege), transaction(cursor):
                cursor.execute(statement)
    connection.close()
    assert everything(ledger) == before


def test_the_owner_has_no_login(ledger: Database) -> None:
    """Nor has the application's role: both are only acted as."""
    for role in (OWNER, APPLICATION):
        with pytest.raises(psycopg2.OperationalError, match="not permitted to log in"):
            psycopg2.connect(make_dsn(ledger.url, user=role))


def test_a_ledger_that_is_up_to_date_opens_without_the_administrator(ledger: Database) -> None:
    """As where the service has only its own login; what is to be done, it says."""
    alone = Database(ledger.url)
    assert migrate(alone) == []
    with ledger.administration() as cursor:
        cursor.execute(f"REVOKE CREATE ON DATABASE {NAME} FROM {OWNER}")
    with pytest.raises(MigrationError, match=f"GRANT CREATE ON DATABASE {NAME} TO {OWNER}"):
        migrate(alone)
    assert migrate(ledger) == [], "the administrator mends it"
    assert migrate(alone) == []


@pytest.mark.parametrize("rights", ["CREATEROLE", "NOCREATEROLE"])
def test_an_administrator_that_is_no_superuser_migrates(server: EmbeddedServer, rights: str) -> None:
    """One that may create roles needs nobody; another says which two statements a superuser must run, and they do."""
    administer(server.url, f"DROP ROLE {LOGIN}, {APPLICATION}", f"DROP ROLE IF EXISTS {OWNER}")
    administer(server.url, f"CREATE ROLE steward LOGIN {rights}", f"CREATE DATABASE {NAME} OWNER steward")
    database = Database(server.url(NAME, login="steward"))
    if rights == "NOCREATEROLE":
        with pytest.raises(MigrationError, match="let a superuser run, once") as refused:
            migrate(database)
        statements = re.findall(r"CREATE ROLE \w+ NOLOGIN ROLE steward", str(refused.value))
        assert len(statements) == 2
        administer(server.url, *statements)
    assert migrate(database)
    with closing(Store(database)) as store:
        assert isinstance(store.sequencer.append(Append([an_event("e")])), Appended), "it acts as the application too"
        assert ensure_generation(database) == 1
    administer(server.url, f"DROP DATABASE {NAME} WITH (FORCE)", f"DROP ROLE steward, {OWNER}, {APPLICATION}")


def test_another_database_s_administrator_needs_to_be_a_member(ledger: Database, server: EmbeddedServer) -> None:
    """The roles are the cluster's: where they are there already, membership is what is missing."""
    administer(server.url, "CREATE ROLE steward LOGIN", "CREATE DATABASE other OWNER steward")
    other = Database(server.url("other", login="steward"))
    with pytest.raises(MigrationError, match=f"GRANT {OWNER} TO steward; GRANT {APPLICATION} TO steward"):
        migrate(other)
    administer(server.url, f"GRANT {OWNER}, {APPLICATION} TO steward")
    assert migrate(other)
    assert rows(other, "SELECT position FROM head") == [(0,)]
    other.close()
    administer(server.url, "DROP DATABASE other WITH (FORCE)", "DROP ROLE steward")


def test_of_many_that_create_the_roles_at_once_none_fails(server: EmbeddedServer) -> None:
    """As parallel runs of the tests do, each with a database of its own in one cluster."""
    administer(server.url, f"DROP ROLE {LOGIN}, {APPLICATION}", f"DROP ROLE IF EXISTS {OWNER}")
    names = [f"{NAME}_{number}" for number in range(4)]
    administer(server.url, *(f"CREATE DATABASE {name}" for name in names))
    barrier = threading.Barrier(len(names))

    def migrated(name: str) -> list[str]:
        barrier.wait()
        return migrate(Database(server.url(name)))

    with ThreadPoolExecutor(len(names)) as pool:
        applied = list(pool.map(migrated, names))
    assert applied == [OURS] * len(names)
    administer(server.url, *(f"DROP DATABASE {name} WITH (FORCE)" for name in names))
