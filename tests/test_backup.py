"""A backup, as docs/operations.md describes it, brought back into another server: everything is there, and goes on.

Both servers are embedded ones, in folders of their own; the commands are those of the document.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest
from psycopg2.errors import InsufficientPrivilege, RestrictViolation

from api.demo import load_demo
from ledger import checkpoints
from ledger.database import Database, migrate, one
from ledger.embedded import LOGIN, EmbeddedServer, EmbeddedServerError, find_binaries
from ledger.intake import OrderSubmission, record
from ledger.refusal import Code, Refusal
from ledger.signing import Signer
from ledger.store import Store
from projections.performance import performance
from projections.projector import Projector
from tests.http_client import placed

ROOT = Path(__file__).parent.parent
GROUPS = ("salesperson",), ("order_type", "month")


def programs_missing() -> str:
    """Say why a backup can't be made here, "" where it can."""
    try:
        folder = find_binaries()
    except EmbeddedServerError as error:
        return str(error)
    missing = [name for name in ("pg_dump", "pg_restore") if not (folder / name).exists()]
    return f"{folder} has no {' and no '.join(missing)}" if missing else ""


pytestmark = pytest.mark.skipif(bool(programs_missing()), reason=programs_missing())


class Machine:
    """A folder as ORDERLEDGER_DATA_DIR: an embedded server, and the signing key beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.signer = Signer(folder / "signing-key")

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the command line on this machine."""
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "ORDERLEDGER_DATA_DIR": str(self.folder)}
        command = [sys.executable, "-m", "api.cli", *words]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=self.folder, check=False)

    def done(self, *words: str) -> str:
        """Run a command that must be done; give what it prints."""
        done = self.run(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def store(self) -> Iterator[Store]:
        """Open the ledger as the service does: with the login that reads and records."""
        with EmbeddedServer(self.folder / "postgres") as server:
            database = Database(server.url(login=LOGIN), admin_url=server.url())
            migrate(database)
            with closing(Store(database, signer=self.signer)) as store:
                yield store


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """Make the machine that is backed up, with the demo ledger, a key that signed, and a backup of both."""
    machine = Machine(tmp_path_factory.mktemp("first"))
    with machine.store() as store:
        load_demo(store.database, signer=store.signer)
        checkpoints.issue(store, actor="auditor")
        Projector(store.database).catch_up()
    backup = machine.folder / "backup"
    backup.mkdir()
    for path in machine.folder.glob("signing-key*"):
        shutil.copy2(path, backup)
    machine.done("database", "pg_dump", "--format=custom", f"--file={backup / 'ledger.dump'}")
    return machine


def restored(first: Machine, folder: Path, *, with_key: bool = True) -> Machine:
    """Bring the backup back on another machine, with the signing key's files or without."""
    folder.mkdir()
    machine, backup = Machine(folder), first.folder / "backup"
    if with_key:
        for path in backup.glob("signing-key*"):
            shutil.copy2(path, folder)
    machine.done("database", "pg_restore", "--exit-on-error", "--dbname=orderledger", str(backup / "ledger.dump"))
    return machine


def submission(order_id: str) -> OrderSubmission:
    """Make an order."""
    made: OrderSubmission = msgspec.convert(placed(order_id), OrderSubmission)
    return made


def figures(store: Store, position: int) -> list[str]:
    """Give the digests of the year's figures, as known at a position and before the rule was changed for the past."""
    year = store.calendar().period("FY2026")
    return [
        performance(store, year, group_by=groups, position=known).view.digest
        for groups in GROUPS
        for known in (602, position)
    ]


def shape(machine: Machine) -> str:
    """Describe the schema with owners and grants, as pg_dump does, without what is random or the machine's."""
    lines = machine.done("database", "pg_dump", "--schema-only").splitlines()
    return "\n".join(line for line in lines if not line.startswith(("\\restrict", "\\unrestrict")))


@pytest.fixture(scope="module")
def second(first: Machine, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """Restore everything."""
    return restored(first, tmp_path_factory.mktemp("other") / "second")


def test_the_restored_ledger_is_verified_and_its_figures_are_the_same(first: Machine, second: Machine) -> None:
    """The root, the figures now and as they were, and the projection, which is not built anew."""
    with first.store() as store:
        head, position = store.tree.head(), store.head()
        told = figures(store, position)
    with second.store() as store:
        assert store.tree.head() == head
        assert figures(store, position) == told
    document = json.loads(second.done("verify", "--processes", "1", "--format", "json"))
    assert (document["sound"], document["size"], document["notices"]) == (True, position, [])
    assert document["projected_position"] == position


def test_roles_owners_grants_and_triggers_are_there(first: Machine, second: Machine) -> None:
    """The same schema to the letter, and what it forbids is forbidden."""
    with second.store():
        pass  # its migrations give the one grant that a dump does not keep
    assert shape(second) == shape(first)
    assert "GRANT SELECT,INSERT ON TABLE public.event TO orderledger_app" in shape(second)
    with second.store() as store:
        with store.database.cursor() as cursor, pytest.raises(InsufficientPrivilege):
            cursor.execute("UPDATE event SET actor = 'x'")
        with store.database.administration() as cursor:
            with pytest.raises(RestrictViolation):
                cursor.execute("DELETE FROM event")
            cursor.execute(
                "SELECT has_database_privilege('orderledger_owner', current_database(), 'CREATE'),"
                " (SELECT rolsuper FROM pg_roles WHERE rolname = 'orderledger')"
            )
            assert one(cursor) == (True, False)


def test_the_ledger_goes_on_and_signs_what_follows(first: Machine, tmp_path: Path) -> None:
    """Events are appended behind the last one, projected, and signed by the same key."""
    machine = restored(first, tmp_path / "third")
    with machine.store() as store:
        position = store.head()
        accepted = record(store, submission("SO-after"), actor="shop")
        assert accepted.position == position + 1
        assert Projector(store.database).catch_up() == position + 1
        issued = checkpoints.issue(store, actor="auditor")
        assert issued.size == position + 1
        again = Projector(store.database).catch_up()
    machine.done("rebuild", "--processes", "1")
    assert json.loads(machine.done("verify", "--processes", "1", "--format", "json"))["size"] == again


def test_without_the_signing_key_everything_is_there_but_nothing_is_signed(first: Machine, tmp_path: Path) -> None:
    """A new key signs from then on, but the old one does not vouch for it, and whoever verifies is told so."""
    machine = restored(first, tmp_path / "keyless", with_key=False)
    told = machine.done("verify", "--processes", "1")
    assert told.startswith("note: nothing kept outside the database was compared")
    assert told.splitlines()[-1].startswith("verified: ")
    with machine.store() as store, pytest.raises(Refusal) as refused:
        checkpoints.issue(store, actor="auditor")
    assert refused.value.code is Code.signing_key_missing
    machine.done("key", "create")
    machine.done("checkpoint")
    told = machine.done("verify", "--processes", "1")
    assert "is not endorsed by the one before: ask who introduced it, and why" in told
    assert "2 keys" in told


def test_a_key_that_was_copied_after_the_dump_tells_what_the_dump_lacks(first: Machine, tmp_path: Path) -> None:
    """So the key is copied first; and a restore that lost signed events is not passed off as the whole ledger."""
    machine = restored(first, tmp_path / "late")
    with machine.store() as store:
        position = store.head()
        record(store, submission("SO-lost"), actor="shop")
        checkpoints.issue(store, actor="auditor")
        lost = store.head() - position
    older = restored(first, tmp_path / "older", with_key=False)
    for path in machine.folder.glob("signing-key*"):
        shutil.copy2(path, older.folder)
    done = older.run("verify", "--processes", "1")
    assert done.returncode == 1
    assert lost == 2, "the order, and the checkpoint"
    told = f"{position + lost} events were signed, the ledger has {position}: {lost} are missing at its end"
    assert told in done.stdout
    with older.store() as store, pytest.raises(Refusal) as refused:
        checkpoints.issue(store, actor="auditor")
    assert refused.value.code is Code.ledger_inconsistent


def test_a_program_that_is_not_there_and_one_that_fails(first: Machine) -> None:
    """The first is refused, of the other the status is passed on."""
    done = first.run("database", "no-such-program")
    assert (done.returncode, "no-such-program can't be run" in done.stderr) == (1, True)
    assert first.run("database", "psql", "--command", "SELECT 1 / 0").returncode == 1
    assert first.done("database", "psql", "-At", "--command", "SELECT count(*) = max(position) FROM event") == "t\n"


def test_a_server_of_ones_own_is_named_to_the_programs(server_url: Callable[[str], str], tmp_path: Path) -> None:
    """ORDERLEDGER_ADMIN_URL goes before ORDERLEDGER_DATABASE_URL: dumping takes more than the service may."""
    environment = {
        "PATH": f"{find_binaries()}:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "ORDERLEDGER_DATA_DIR": str(tmp_path),
        "ORDERLEDGER_ADMIN_URL": server_url("postgres"),
        "ORDERLEDGER_DATABASE_URL": server_url("nothing"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "api.cli", "database", "psql", "-At", "--command", "SELECT current_database()"],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
        check=False,
    )
    assert done.stdout == "postgres\n", done.stderr
