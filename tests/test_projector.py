"""The projector and the rebuild as they run: one active, others standing by, each event once, failures loud."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date

import psycopg2
import pytest

from ledger.database import Database
from ledger.events import Line, OrderPlaced, Split
from ledger.intake import SubmitPlaced, record_all
from ledger.periods import Period
from ledger.rule_changes import change_rules
from ledger.sequencer import Append, NewEvent
from ledger.store import Store
from projections import projector as projector_module
from projections.generation import create_generation, drop_generation, schema_name, serving_generation
from projections.performance import performance
from projections.projector import Projector, projected_position, wait_until_projected
from projections.rebuild import rebuild
from tests.strategies import OPENING

YEAR = Period("2026", date(2026, 1, 1), date(2027, 1, 1))


@pytest.fixture
def store(new_store: Callable[[], Store]) -> Store:
    """Give a ledger with order types."""
    store = new_store()
    change_rules(store, OPENING, actor="tester")
    return store


def place(store: Store, first: int, count: int) -> int:
    """Place orders of one line of 10.00 each; give the last position."""
    submissions = [
        SubmitPlaced(
            source="erp",
            event_id=f"e{number}",
            order_id=f"SO-{number}",
            data=OrderPlaced(
                date(2026, 1 + number % 12, 1), "standard", "C-1", "EUR", (Line(1, "P-1", "1", "10"),), (Split("S-1"),)
            ),
        )
        for number in range(first, first + count)
    ]
    return record_all(store, submissions, actor="tester")[-1].position


def credit_lines(store: Store) -> int:
    """Count the credit lines that serve."""
    with store.database.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {schema_name(serving_generation(cursor) or 0)}.credit_line")
        return int((cursor.fetchone() or (0,))[0])


@contextmanager
def running(database: Database) -> Iterator[Projector]:
    """Run a projector in a thread, as the service does."""
    projector, stopped = Projector(database), threading.Event()
    thread = threading.Thread(target=projector.run, args=(stopped,))
    thread.start()
    try:
        yield projector
    finally:
        stopped.set()
        thread.join()


def test_several_projectors_at_once_project_each_event_once(store: Store) -> None:
    """Whoever catches up at the same time, an event's lines are written by one of them."""
    place(store, 0, 500)
    start = threading.Barrier(4)

    def catch_up() -> None:
        start.wait()
        Projector(store.database).catch_up()

    threads = [threading.Thread(target=catch_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert credit_lines(store) == 500


def test_a_projector_follows_and_another_takes_over(store: Store) -> None:
    """Writes are projected as they come; when the active projector stops, the one standing by goes on."""
    with running(store.database):
        assert wait_until_projected(store.database, place(store, 0, 10), milliseconds=5_000)
        with running(store.database):
            assert wait_until_projected(store.database, place(store, 10, 10), milliseconds=5_000)
            first = threading.active_count()
        assert threading.active_count() == first - 1
    with running(store.database):
        assert wait_until_projected(store.database, place(store, 20, 10), milliseconds=5_000)
    assert credit_lines(store) == 30


def test_waiting_for_a_position_ends(store: Store) -> None:
    """Nobody projects: waiting says so in time."""
    before = time.monotonic()
    assert not wait_until_projected(store.database, place(store, 0, 1), milliseconds=100)
    assert time.monotonic() - before < 5


def test_an_event_that_can_not_be_projected_stops_the_projection_there(store: Store) -> None:
    """An unknown event is never skipped: the position stays before it, and the failure is told."""
    last = place(store, 0, 3)
    Projector(store.database).catch_up()
    unknown = NewEvent("order/SO-0", 2, "order.teleported", "erp", "x", "tester", date(2026, 1, 1), b"{}")
    store.sequencer.append(Append([unknown]))
    place(store, 10, 3)
    with running(store.database) as projector:
        deadline = time.monotonic() + 10
        while projector.failure is None and time.monotonic() < deadline:
            time.sleep(0.02)
    assert isinstance(projector.failure, KeyError)
    with store.database.cursor() as cursor:
        assert projected_position(cursor) == last


@pytest.mark.parametrize("processes", [1, 2])
def test_a_rebuild_goes_on_beside_writers_readers_and_the_projector(store: Store, processes: int) -> None:
    """Figures known at a position are the same before, during and after; nothing written meanwhile is lost."""
    position = place(store, 0, 300)
    Projector(store.database).catch_up()
    answer = performance(store, YEAR, position=position).view.digest
    stopped = threading.Event()
    answers, written = set[str](), [300]

    def write() -> None:
        while not stopped.is_set():
            place(store, written[0], 20)
            written[0] += 20

    def read() -> None:
        while not stopped.is_set():
            answers.add(performance(store, YEAR, position=position).view.digest)

    threads = [threading.Thread(target=write), threading.Thread(target=read)]
    with running(store.database):
        for thread in threads:
            thread.start()
        rebuilt = rebuild(store.database, processes=processes)
        stopped.set()
        for thread in threads:
            thread.join()
        assert wait_until_projected(store.database, store.head(), milliseconds=10_000)
    assert answers == {answer}
    assert credit_lines(store) == written[0] > 300
    with store.database.cursor() as cursor:
        assert serving_generation(cursor) == rebuilt.generation
    assert performance(store, YEAR).figures[0].orders == written[0]


def test_a_second_rebuild_drops_the_generation_before_the_last(store: Store) -> None:
    """One generation serves, at most one more is kept for readers that began with it."""
    place(store, 0, 5)
    for _ in range(3):
        rebuild(store.database, processes=1)
    with store.database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM information_schema.schemata WHERE schema_name LIKE 'projection%'")
        assert cursor.fetchone() == (2,)


def test_autovacuum_looks_after_what_serves_alone(store: Store) -> None:
    """What is being loaded would be read by it half full, in vain."""

    def options(generation: int) -> list[str | None]:
        with store.database.cursor() as cursor:
            names = [f"{schema_name(generation)}.{table}" for table in ("credit_line", "credit_cell")]
            cursor.execute("SELECT reloptions::text FROM pg_class WHERE oid = ANY(%s::regclass[])", (names,))
            return [option for (option,) in cursor.fetchall()]

    with store.database.transaction() as cursor:
        loading = create_generation(cursor)
    assert options(loading) == ["{autovacuum_enabled=off}"] * 2
    with store.database.transaction() as cursor:
        drop_generation(cursor, loading)
    assert options(rebuild(store.database, processes=1).generation) == [None] * 2


def test_an_empty_ledger_can_be_rebuilt(new_store: Callable[[], Store]) -> None:
    """There is nothing to fold, and a generation serves."""
    store = new_store()
    assert rebuild(store.database, processes=1).position == 0
    assert performance(store, YEAR).figures == []


def test_what_was_learned_in_a_lost_transaction_is_learned_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The integers of texts that a transaction gave are gone with it; the next one must not write them."""
    position = place(store, 0, 3)
    projector = Projector(store.database)
    with monkeypatch.context() as patch:
        patch.setattr(projector_module, "move_tracking", lost)
        with pytest.raises(psycopg2.OperationalError):
            projector.catch_up()
    assert projector.catch_up() == position
    figures = performance(store, YEAR).figures
    assert [(figure.keys[0].value, figure.gross) for figure in figures] == [("S-1", 30_000_000)]


def lost(*_: object) -> None:
    """Lose the connection, as far as the caller can tell."""
    raise psycopg2.OperationalError("the connection is lost")
