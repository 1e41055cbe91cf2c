"""Appending: one gap-free order from many writers, and what is acknowledged is there once, whoever was killed."""

import json
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg2.extensions import make_dsn, parse_dsn

from ledger.database import Database
from ledger.events import OrderReclassified, encode
from ledger.roles import OWNER
from ledger.sequencer import Append, Appended, IdsTaken, NewEvent, RulebookMoved, Sequencer, VersionTaken
from ledger.store import Store
from tests.strategies import History, histories, play

PROJECT = Path(__file__).parent.parent
WRITER = """
import sys, threading
from datetime import date
from itertools import count
from ledger.database import Database
from ledger.sequencer import Append, Sequencer, lock_head, utc_now, write
from tests.test_sequencer import an_event

url, name, threads, appends = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
database, told = Database(url), threading.Lock()
sequencer = Sequencer(database)

def acknowledge(event_id, position):
    with told:
        print(event_id, position, flush=True)

def run(thread):
    for number in range(appends) if appends else count():
        event = an_event(f"{name}/{thread}/{number}")
        acknowledge(event.event_id, sequencer.append(Append([event])).first_position)

if name == "hasty":
    with database.transaction() as cursor:
        head = lock_head(cursor)
        write(cursor, head, [an_event("hasty/0/0")], utc_now())
        acknowledge("hasty/0/0", head.position)
        sys.stdin.read()
print("ready", 0, flush=True)
sys.stdin.readline()
for thread in range(threads):
    threading.Thread(target=run, args=(thread,)).start()
"""
"""An application that, once told to begin, tells of each append when it is answered; the hasty one before COMMIT."""


def an_event(event_id: str, *, subject: str = "", version: int = 1, to: str = "special") -> NewEvent:
    """Make an event, of a stream of its own unless one is named."""
    return NewEvent(
        subject=subject or f"order/{event_id}",
        version=version,
        type="order.reclassified",
        source="test",
        event_id=event_id,
        actor="tester",
        effective_on=date(2026, 3, 1),
        data=encode(OrderReclassified(to)),
    )


@pytest.fixture
def sequencer(database: Database) -> Iterator[Sequencer]:
    """Append to a fresh database."""
    sequencer = Sequencer(database)
    yield sequencer
    sequencer.close()


def rows(database: Database, statement: str) -> list[tuple[Any, ...]]:
    """Ask the database."""
    with database.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def administered(database: Database, statement: str) -> None:
    """Alter the database, as the administrator."""
    with database.administration() as cursor:
        cursor.execute(statement)


def stored(database: Database) -> dict[str, int]:
    """Give the position of every event id, having seen that none is there twice and positions are 1..N."""
    found = rows(database, "SELECT event_id, position FROM event ORDER BY position")
    assert [position for _, position in found] == list(range(1, len(found) + 1))
    assert len(dict(found)) == len(found)
    return dict(found)


# ---- an independent reading of RFC 6962


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """Hash a tree as section 2.1 defines it, recursively: split at the largest power of two below the size."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + tree_hash(leaves[:half]) + tree_hash(leaves[half:])).digest()


def assert_head_is_that_of_the_events(database: Database) -> None:
    """Recompute everything that the head row says."""
    events = rows(database, "SELECT state, subject, version, recorded_at FROM event ORDER BY position")
    [(position, root, rulebook_version, recorded_at)] = rows(
        database, "SELECT position, root, rulebook_version, recorded_at FROM head"
    )
    assert position == len(events)
    assert bytes(root) == tree_hash([state.encode() for state, *_ in events])
    assert rulebook_version == max((version for _, subject, version, _ in events if subject == "rulebook"), default=0)
    assert recorded_at == (events[-1][3] if events else datetime(1970, 1, 1, tzinfo=UTC))


def test_our_own_tree_is_that_of_certificate_transparency() -> None:
    """The control of the next tests: the published roots of the reference implementation's test data."""
    leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    tree = [bytes.fromhex(leaf) for leaf in leaves]
    assert tree_hash([]).hex().startswith("e3b0c44298fc1c14")
    assert tree_hash(tree[:1]).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert tree_hash(tree).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def test_the_head_is_that_of_the_events_at_every_size(database: Database, sequencer: Sequencer) -> None:
    assert_head_is_that_of_the_events(database)
    for number, size in enumerate([1, 1, 1, 1, 3, 1, 7, 1, 48, 1, 64, 65, 129]):
        sequencer.append(Append([an_event(f"{number}/{n}") for n in range(size)]))
        assert_head_is_that_of_the_events(database)


@settings(
    deadline=None, max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(histories())
def test_any_history_gives_its_head_and_its_documents(new_database: Callable[[], Database], history: History) -> None:
    """The stored bytes are CloudEvents that say what the columns say; the root is that of those bytes."""
    database = new_database()
    with closing(Store(database)) as store:
        play(store, history)
    assert_head_is_that_of_the_events(database)
    for state, *columns in rows(
        database,
        "SELECT state, event_id, source, type, subject, version, recorded_at, effective_on::text, actor FROM event",
    ):
        document = json.loads(state)
        names = ("id", "source", "type", "subject", "version", "time", "effective", "actor")
        assert {*document} == {*names, "specversion", "data"}
        assert document["specversion"] == "1.0"
        document["time"] = datetime.fromisoformat(document["time"])
        assert [document[name] for name in names] == columns
    database.close()


# ---- one order


def test_an_append_is_answered_with_its_position_and_moment(database: Database, sequencer: Sequencer) -> None:
    assert sequencer.append(Append([an_event("a"), an_event("b")])) == Appended(1, *moment(database, 1))
    assert sequencer.append(Append([an_event("c")])) == Appended(3, *moment(database, 3))
    assert moment(database, 1) == moment(database, 2)


def moment(database: Database, position: int) -> tuple[Any, ...]:
    """Read when the event at a position was recorded."""
    return rows(database, f"SELECT recorded_at FROM event WHERE position = {position}")[0]


def test_time_never_runs_back(database: Database) -> None:
    """Invariant 2's clock: where the server's jumps back, the ledger's stands still, in columns and in bytes."""
    start = datetime(2026, 3, 1, 12, tzinfo=UTC)
    told = [start + timedelta(minutes=minutes) for minutes in (0, 5, -60, 1, 6, -1, 7)]
    clock = iter(told)
    sequencer = Sequencer(database, clock=lambda: next(clock))
    for number in range(len(told)):
        sequencer.append(Append([an_event(f"e{number}")]))
    kept = rows(database, "SELECT recorded_at, (state::json ->> 'time')::timestamptz FROM event ORDER BY position")
    assert kept == [(start + timedelta(minutes=minutes),) * 2 for minutes in (0, 5, 5, 5, 6, 6, 7)]
    sequencer.close()


def test_many_threads_and_processes_make_one_order(database: Database) -> None:
    """Invariant 2: positions are 1..N, and a reader that follows meanwhile never meets a gap or an event too late."""
    appends, shape = 25, {"one": 1, "two": 1, "three": 4}
    store, seen = Store(database), list[int]()
    ours = threading.Thread(
        target=lambda: [store.sequencer.append(Append([an_event(f"o{n}")])) for n in range(appends)]
    )
    with ExitStack() as running:
        writers = [running.enter_context(started(database, name, number, appends)) for name, number in shape.items()]
        begin(*writers)
        ours.start()
        total, patience = (sum(shape.values()) + 1) * appends, time.monotonic() + 20
        while len(seen) < total and time.monotonic() < patience:
            assert not gaps(database, "event")
            seen.extend(document.position for document in store.documents(len(seen), 50))
            assert seen == list(range(1, len(seen) + 1))
        told = acknowledged("".join(writer.communicate()[0] for writer in writers))
        ours.join()
    assert len(seen) == total
    assert len(told) == total - appends
    assert told.items() <= stored(database).items()
    assert_head_is_that_of_the_events(database)
    store.close()


def gaps(database: Database, table: str) -> int:
    """Count the positions that a reader, having seen the highest one, does not find below it."""
    [(highest,)] = rows(database, f"SELECT coalesce(max(position), 0) FROM {table}")
    [(found,)] = rows(database, f"SELECT count(*) FROM {table} WHERE position <= {highest}")
    return int(highest - found)


def test_the_control_numbers_without_a_lock_show_gaps(database: Database) -> None:
    """Numbers from a sequence are committed out of order: the check of the test above sees it."""
    administered(database, f"SET ROLE {OWNER}; CREATE TABLE naive (position bigserial)")
    with database.transaction() as slow:
        slow.execute("INSERT INTO naive DEFAULT VALUES")
        with database.cursor() as fast:
            fast.execute("INSERT INTO naive DEFAULT VALUES")
        assert gaps(database, "naive") == 1
    assert gaps(database, "naive") == 0


def test_each_append_of_a_group_gets_its_own_verdict(database: Database, sequencer: Sequencer) -> None:
    """They wait for one lock, so that most of them share a commit; what forbids one does not touch the others."""
    sequencer.append(Append([an_event("taken", subject="order/1")]))
    appends = {
        "fine": Append([an_event("fine")]),
        "id taken": Append([an_event("new"), an_event("taken")]),
        "version taken": Append([an_event("late", subject="order/1")]),
        "rulebook moved": Append([an_event("stale")], rulebook_version=3),
        "one twin": Append([an_event("twin", subject="order/twin")]),
        "other twin": Append([an_event("twin", subject="order/other")]),
        "next version": Append([an_event("next", subject="order/1", version=2)], rulebook_version=0),
    }
    with ThreadPoolExecutor(len(appends)) as pool:
        with database.transaction() as cursor:
            cursor.execute("SELECT lock_head()")
            answers = {name: pool.submit(sequencer.append, append) for name, append in appends.items()}
            time.sleep(0.2)
        verdicts = {name: answer.result() for name, answer in answers.items()}
    assert isinstance(verdicts["fine"], Appended)
    assert isinstance(verdicts["next version"], Appended)
    assert isinstance(taken := verdicts["id taken"], IdsTaken)
    assert [(entry.event_id, entry.position, entry.subject) for entry in taken.stored] == [("taken", 1, "order/1")]
    late = verdicts["version taken"]
    assert isinstance(late, VersionTaken)
    assert (late.subject, late.version) == ("order/1", 1)
    assert verdicts["rulebook moved"] == RulebookMoved(0)
    assert {type(verdicts["one twin"]), type(verdicts["other twin"])} == {Appended, IdsTaken}
    assert sorted(stored(database)) == ["fine", "next", "taken", "twin"]
    assert_head_is_that_of_the_events(database)


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.sets(st.integers(0, 30), min_size=1, max_size=6), max_size=4), min_size=1, max_size=5))
def test_any_concurrent_appends_make_one_order(database: Database, threads: list[list[set[int]]]) -> None:
    """Invariants 2 and 8, as a property: threads that append any sets of ids, some of them each other's."""
    before, sequencer = stored(database), Sequencer(database)
    prefix = f"{len(before)}:"

    def run(appends: list[set[int]]) -> list[tuple[object, list[str]]]:
        names = [[f"{prefix}{number}" for number in numbers] for numbers in appends]
        return [(sequencer.append(Append([an_event(name) for name in each])), each) for each in names]

    with ThreadPoolExecutor(len(threads)) as pool:
        verdicts = [verdict for answers in pool.map(run, threads) for verdict in answers]
    told = {
        name: verdict.first_position + offset
        for verdict, names in verdicts
        if isinstance(verdict, Appended)
        for offset, name in enumerate(names)
    }
    assert stored(database) == before | told, "what is acknowledged is there once, where it was said; nothing else is"
    for verdict, names in verdicts:
        if isinstance(verdict, IdsTaken):
            taken = {entry.event_id: entry.position for entry in verdict.stored}
            assert taken
            assert taken.items() <= told.items()
            assert taken.keys() <= set(names)
    assert_head_is_that_of_the_events(database)
    sequencer.close()


# ---- faults


def started(database: Database, name: str, threads: int, appends: int = 0) -> subprocess.Popen[str]:
    """Start the application; it will go on for ever unless told how many appends a thread makes."""
    command = [sys.executable, "-c", WRITER, database.url, name, str(threads), str(appends)]
    return subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def begin(*writers: subprocess.Popen[str]) -> None:
    """Let applications begin at the same moment, when all of them are ready."""
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready 0\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()


def acknowledged(output: str) -> dict[str, int]:
    """Read what an application told: complete lines only."""
    return {event_id: int(position) for event_id, position in (line.split() for line in output.splitlines())}


def killed_after(writer: subprocess.Popen[str], lines: int) -> dict[str, int]:
    """Kill the application with SIGKILL when it has told so much; give what it told."""
    assert writer.stdout is not None
    told = "".join(writer.stdout.readline() for _ in range(lines))
    writer.kill()
    told += writer.communicate()[0]
    assert writer.returncode == -9, "the control: it was still at it"
    return acknowledged(told[: told.rfind("\n") + 1])


def test_an_application_that_is_killed_loses_nothing_it_acknowledged(database: Database) -> None:
    """Invariant 8; and whoever comes next appends behind it."""
    writer = started(database, "steady", threads=4)
    begin(writer)
    told = killed_after(writer, 60)
    assert len(told) >= 60
    assert told.items() <= stored(database).items()
    sequencer = Sequencer(database)
    assert sequencer.append(Append([an_event("next")])) == Appended(
        len(stored(database)), *moment(database, len(stored(database)))
    )
    assert_head_is_that_of_the_events(database)
    sequencer.close()


def test_the_control_an_application_that_acknowledges_before_the_commit_loses(database: Database) -> None:
    assert killed_after(started(database, "hasty", threads=1), 1) == {"hasty/0/0": 1}
    assert stored(database) == {}


class CuttingProxy:
    """Stands between a client and the server and cuts a connection, once, at the COMMIT: on its way, or answered."""

    def __init__(self, folder: str, url: str, cut: Literal["request", "answer"]) -> None:
        self._target, self._cut, self.cuts = parse_dsn(url), cut, 0
        self._port = self._target.get("port", "5432")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{folder}/.s.PGSQL.{self._port}")
        self._listener.listen()
        self.url = make_dsn(url, host=folder, port=self._port)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client, self._server()), daemon=True).start()

    def _server(self) -> socket.socket:
        host = self._target.get("host", "/var/run/postgresql")
        if not host.startswith("/"):
            return socket.create_connection((host, int(self._port)))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{self._port}")
        return server

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        with client, server, suppress(ConnectionError):  # an end that went away ends the other's, as one that closed
            while True:
                for end in select.select([client, server], [], [])[0]:
                    data = end.recv(65536)
                    if not data:
                        return
                    if end is client and b"COMMIT" in data and not self.cuts:
                        self.cuts += 1
                        if self._cut == "answer":
                            server.sendall(data)
                            server.recv(65536)
                        return
                    (server if end is client else client).sendall(data)


@contextmanager
def cutting(database: Database, cut: Literal["request", "answer"]) -> Iterator[tuple[CuttingProxy, Database]]:
    """Reach a database through a proxy that cuts."""
    with tempfile.TemporaryDirectory(prefix="cut") as folder:
        proxy = CuttingProxy(folder, database.url, cut)
        reached = Database(proxy.url)
        yield proxy, reached
        reached.close()
        proxy.close()


@pytest.mark.parametrize("cut", ["request", "answer"])
def test_a_connection_lost_at_the_commit_is_resolved(database: Database, cut: Literal["request", "answer"]) -> None:
    """Whether the commit was made or not, the append is acknowledged and stored once, at the position it is told."""
    with cutting(database, cut) as (proxy, reached):
        sequencer = Sequencer(reached)
        verdict = sequencer.append(Append([an_event("a"), an_event("b")]))
        assert proxy.cuts == 1
        assert verdict == Appended(1, *moment(database, 1))
        assert stored(database) == {"a": 1, "b": 2}
        assert sequencer.append(Append([an_event("c")])) == Appended(3, *moment(database, 3))
        assert_head_is_that_of_the_events(database)
        sequencer.close()


@pytest.mark.parametrize(("cut", "copies"), [("request", 0), ("answer", 1)])
def test_the_control_a_lost_commit_tells_nothing(
    database: Database, cut: Literal["request", "answer"], copies: int
) -> None:
    """The client sees the same error whether its row is there or not; who retries blindly has it twice."""
    administered(database, f"SET ROLE {OWNER}; CREATE TABLE naive (id text)")
    with cutting(database, cut) as (_, reached):
        with pytest.raises(psycopg2.OperationalError), reached.transaction() as cursor:
            cursor.execute("INSERT INTO naive VALUES ('a')")
        assert len(rows(database, "SELECT * FROM naive")) == copies


SLOW_COMMIT = """
CREATE FUNCTION slow_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON event DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION slow_commit();
"""


@pytest.mark.parametrize("moment_of_death", ["idle", "waiting for the lock", "in the commit"])
def test_a_backend_that_is_terminated_costs_no_append(
    database: Database, sequencer: Sequencer, moment_of_death: str
) -> None:
    sequencer.append(Append([an_event("before")]))
    with ThreadPoolExecutor() as pool, database.transaction() as cursor:
        if moment_of_death == "idle":
            terminate(database, "state = 'idle' AND query LIKE 'COMMIT%'")
        elif moment_of_death == "in the commit":
            administered(database, SLOW_COMMIT)
        else:
            cursor.execute("SELECT lock_head()")
        answer = pool.submit(sequencer.append, Append([an_event("a")]))
        if moment_of_death == "waiting for the lock":
            terminate(database, "wait_event_type = 'Lock'")
            cursor.execute("ROLLBACK; BEGIN")
        if moment_of_death == "in the commit":
            terminate(database, "wait_event = 'PgSleep'")
        assert answer.result() == Appended(2, *moment(database, 2))
    assert stored(database) == {"before": 1, "a": 2}
    assert_head_is_that_of_the_events(database)


def terminate(database: Database, which: str, *, number: int = 1) -> None:
    """End the one backend of this database of which this holds, as soon as there is one."""
    ours = "datname = current_database() AND pid <> pg_backend_pid()"
    statement = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours} AND {which}"
    patience, ended = time.monotonic() + 10, 0
    while not ended and time.monotonic() < patience:
        with database.administration() as cursor:
            cursor.execute(statement)
            ended = cursor.rowcount
    assert ended == number, "the control: there was one to end"


def test_an_append_survives_the_loss_of_every_idle_connection(database: Database) -> None:
    """As after a restart of the server: the sequencer's and the pool's connections are dead, and nobody knows yet."""
    store = Store(Database(database.url))
    store.sequencer.append(Append([an_event("before")]))
    assert store.head() == 1
    terminate(database, "state = 'idle'", number=2)
    assert store.sequencer.append(Append([an_event("a")])) == Appended(2, *moment(database, 2))
    store.close()


def test_a_taken_id_is_told_also_after_a_lost_connection(database: Database, sequencer: Sequencer) -> None:
    """What is resolved after a loss is our own commit, not somebody's event of the same id with other content."""
    sequencer.append(Append([an_event("a")]))
    terminate(database, "state = 'idle'")
    assert isinstance(sequencer.append(Append([an_event("a", subject="order/other", to="sample")])), IdsTaken)


def test_an_append_that_can_not_be_does_not_harm_the_next(database: Database, sequencer: Sequencer) -> None:
    """An append that holds one id twice is our own mistake; the connection is good for the next all the same."""
    with pytest.raises(psycopg2.errors.UniqueViolation):
        sequencer.append(Append([an_event("a", version=1), an_event("a", version=2)]))
    assert sequencer.append(Append([an_event("b")])) == Appended(1, *moment(database, 1))
