"""Who logs in and who acts: with every PostgreSQL there is, the roles are made, handed over to, and hold.

What the application's role may not is in tests/test_immutable.py; here real logins try it.
"""

import re
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from click.testing import CliRunner
from psycopg2.errors import InsufficientPrivilege
from psycopg2.extensions import make_dsn

from api.cli import main
from api.commands import EXIT_UNREACHABLE
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
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module", params=list(KINDS.values()), ids=list(KINDS))
def server(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """Give a server of each PostgreSQL there is, which makes the service's login as it starts."""
    with pytest.MonkeyPatch.context() as patched, tempfile.TemporaryDirectory(prefix="roles-") as folder:
        patched.setenv(BINARIES_VARIABLE, str(request.param))
        Path(folder).chmod(0o755)
        with EmbeddedServer(Path(folder) / "pg", settings={"fsync": "off"}) as started:
            yield started


@pytest.fixture
def without_roles(server: EmbeddedServer) -> Iterator[None]:
    """Let a test make the roles in its own way; afterwards they are as they were."""
    forget = (f"DROP ROLE IF EXISTS {LOGIN}", f"DROP ROLE IF EXISTS {APPLICATION}", f"DROP ROLE IF EXISTS {OWNER}")
    administer(server.url, *forget)
    yield
    administer(server.url, *forget, f"CREATE ROLE {APPLICATION}", f"CREATE ROLE {LOGIN} LOGIN IN ROLE {APPLICATION}")


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


@pytest.mark.usefixtures("without_roles")
@pytest.mark.parametrize("rights", ["CREATEROLE", "NOCREATEROLE"])
def test_an_administrator_that_is_no_superuser_migrates(server: EmbeddedServer, rights: str) -> None:
    """One that may create roles needs nobody; another says which two statements a superuser must run, and they do."""
    administer(server.url, f"CREATE ROLE steward LOGIN {rights}", f"CREATE DATABASE {NAME} OWNER steward")
    database = Database(server.url(NAME, login="steward"))
    if rights == "NOCREATEROLE":
        with pytest.raises(MigrationError, match="let a superuser run, once:") as refused:
            migrate(database)
        statements = re.findall(r"CREATE ROLE \w+ NOLOGIN ROLE steward", str(refused.value))
        assert len(statements) == 2
        administer(server.url, *statements)
    assert migrate(database)
    with closing(Store(database)) as store:
        assert isinstance(store.sequencer.append(Append([an_event("e")])), Appended), "it acts as the application too"
        assert ensure_generation(database) == 1
    administer(server.url, f"DROP DATABASE {NAME} WITH (FORCE)", "DROP ROLE steward")


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


@pytest.mark.usefixtures("without_roles")
def test_the_statements_of_the_readme_give_the_service_a_login(
    server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The administrator's address is needed while there is something to migrate, and then no more."""
    [statements] = re.findall(r"```sql\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    administer(server.url, f"CREATE DATABASE {NAME}", *statements.strip().splitlines())
    monkeypatch.setenv("ORDERLEDGER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ORDERLEDGER_DATABASE_URL", server.url(NAME, login="orderledger_service"))
    early = CliRunner().invoke(main, ["init"])
    assert early.exit_code == EXIT_UNREACHABLE
    assert "set ORDERLEDGER_ADMIN_URL" in early.stderr
    monkeypatch.setenv("ORDERLEDGER_ADMIN_URL", server.url(NAME))
    assert CliRunner().invoke(main, ["init"]).exit_code == 0
    monkeypatch.delenv("ORDERLEDGER_ADMIN_URL")
    assert CliRunner().invoke(main, ["facts", "class", "C-1", "house", "--from", "2026-01-01"]).exit_code == 0
    administer(server.url, f"DROP DATABASE {NAME} WITH (FORCE)", "DROP ROLE orderledger_service")


@pytest.mark.usefixtures("without_roles")
def test_of_many_that_create_the_roles_at_once_none_fails(server: EmbeddedServer) -> None:
    """As parallel runs of the tests do, each with a database of its own in one cluster."""
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
