"""Rebuild: our projection made anew from event 1, against two ways of the eventsourcing library over the same orders.

(a) Ours: `projections.rebuild.rebuild` in a process of its own, as the command line runs it: reads all events, folds
    orders with their corrections into credit lines, gives texts their integers, writes rows, makes the indexes, brings
    it up to the head and lets it serve. Its rate is events / the whole time.
(b) The library's ProjectionRunner over its own PostgreSQL recorder: a projection with `singledispatchmethod`, whose
    view (a PostgresTrackingRecorder) inserts the credit lines of an order.placed and the tracking in one transaction
    for each event, by its design. Other events only move the tracking, which is less than ours does. On a sample;
    the rates are compared.
(c) What the library needs merely to fold: recorder.select_notifications in pages, the mapper, and a
    `singledispatchmethod` that sums each salesperson's amounts in memory; nothing is written and corrections are only
    counted.
"""

import multiprocessing
from collections.abc import Iterator, Sequence
from itertools import islice
from multiprocessing.connection import Connection as Pipe
from typing import Any
from uuid import UUID

from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner

from ledger.database import Database
from ledger.money import micros_of
from projections.rebuild import Rebuilt, rebuild
from tests.bench.clock import Side, seconds
from tests.bench.library import LibraryLedger, LibraryOrder, environment, library_events, record
from tests.bench.loading import Progress, stored_states
from tests.bench.processes import Peaks, watched
from tests.bench.report import Row, at_least, memory
from tests.bench.server import Server

FOLDED_EVENTS = 200_000
RUNNER_EVENTS = 5_000
RUNS = 3
STORED_TOGETHER = 500
PAGE_EVENTS = 5_000


def run(server: Server, database: Database, progress: Progress) -> list[Row]:
    """Measure over a loaded ledger, and give the table's rows; the projection is up to date afterwards."""
    url = server.create()
    with LibraryLedger(environment(url)) as app:
        store_library_events(app, stored_states(database, FOLDED_EVENTS))
        ours, folded, peaks = _compared(database, app, progress)
    runner = _runner_rate(url)
    server.drop(url)
    return [
        at_least("rebuild, rows written / the library's ProjectionRunner", ours.rate, runner, goal=50),
        at_least("rebuild, rows written / the library's fold in memory", ours.rate, folded.rate, goal=1.5),
        memory("memory of the rebuild's processes", peaks),
    ]


def store_library_events(app: LibraryLedger, states: Iterator[tuple[str, int, str, str]]) -> None:
    """Store the same orders with the library's recorder; an insert of 5,000 hangs in psycopg's pipeline mode."""
    events = library_events(app, states)
    while page := list(islice(events, STORED_TOGETHER)):
        record(app, page)


def _compared(database: Database, app: LibraryLedger, progress: Progress) -> tuple[Side, Side, Peaks]:
    ours, theirs, all_peaks = Side(), Side(), Peaks()
    for number in range(RUNS):
        theirs.run(app.recorder.max_notification_id() or 0, InMemory().over, app)
        rebuilt, peaks = rebuild_apart(database.url)
        ours.work += rebuilt.position
        ours.seconds += rebuilt.milliseconds / 1000
        all_peaks = max(all_peaks, peaks, key=lambda known: known.total)
        progress(f"rebuild: {number + 1} of {RUNS}, {rebuilt.credit_lines:,} credit lines, {rebuilt.milliseconds} ms")
    return ours, theirs, all_peaks


def rebuild_apart(url: str) -> tuple[Rebuilt, Peaks]:
    """Rebuild in a fresh process, and watch the memory of it and its workers."""
    context = multiprocessing.get_context("spawn")
    ours, its = context.Pipe()
    process = context.Process(target=_rebuild, args=(url, its))
    process.start()
    its.close()
    assert process.pid is not None
    with watched(process.pid) as peaks:
        rebuilt: Rebuilt = ours.recv()
    process.join()
    return rebuilt, peaks


def _rebuild(url: str, pipe: "Pipe[Any, Any]") -> None:
    database = Database(url)
    pipe.send(rebuild(database))
    database.close()


class InMemory:
    """(c): the library's own fold, merely in memory."""

    def __init__(self) -> None:
        self.amounts = dict[str, int]()
        self.corrections = 0

    def over(self, app: LibraryLedger) -> None:
        """Fold all notifications."""
        after = 0
        while notifications := app.recorder.select_notifications(after, PAGE_EVENTS, inclusive_of_start=False):
            for notification in notifications:
                self.apply(app.mapper.to_domain_event(notification))
            after = notifications[-1].id

    @singledispatchmethod
    def apply(self, event: object) -> None:
        """Count an event that corrects an order."""
        self.corrections += 1

    @apply.register
    def _placed(self, event: LibraryOrder.Placed) -> None:
        amount = sum([micros_of(line["amount"]) for line in event.lines])
        for split in event.splits:
            person = split["salesperson_id"]
            self.amounts[person] = self.amounts.get(person, 0) + amount


class CreditLines(PostgresTrackingRecorder):
    """(b): the view of the library's projection, rows and tracking in one transaction."""

    def __init__(self, datastore: PostgresDatastore, **arguments: Any) -> None:
        super().__init__(datastore, **arguments)
        self.create_credit_table()

    def create_credit_table(self) -> None:
        """Make the table of the view."""
        with self.datastore.transaction(commit=True) as cursor:
            cursor.execute(
                "CREATE TABLE IF NOT EXISTS credit (position bigint, order_id uuid, line_no integer, salesperson text,"
                " ordered_on date, order_type text, customer text, product text, category text, currency text,"
                " quantity numeric, amount numeric)"
            )

    def insert_credits(self, rows: Sequence[tuple[Any, ...]], tracking: Tracking) -> None:
        """Insert an event's rows with its tracking."""
        with self.datastore.transaction(commit=True) as cursor:
            cursor.executemany("INSERT INTO credit VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)", rows)
            self._insert_tracking(cursor, tracking)


class CreditProjection(Projection[CreditLines]):
    """(b): the library's projection."""

    name = "credits"

    @singledispatchmethod
    def process_event(self, domain_event: object, tracking: Tracking) -> None:
        """Only move on for an event that corrects an order."""
        self.view.insert_tracking(tracking)

    @process_event.register
    def _placed(self, domain_event: LibraryOrder.Placed, tracking: Tracking) -> None:
        self.view.insert_credits(list(_credits(domain_event, tracking.notification_id)), tracking)


def _credits(event: LibraryOrder.Placed, position: int) -> Iterator[tuple[Any, ...]]:
    """Give a credit line for each order line of the first salesperson: the division is left out."""
    person = event.splits[0]["salesperson_id"] if event.splits else None
    order: UUID = event.originator_id
    for line in event.lines:
        yield (
            *(position, order, line["line_no"], person, event.ordered_on, event.order_type, event.customer_id),
            *(line["product_id"], line.get("category"), event.currency, line["quantity"], line["amount"]),
        )


def _runner_rate(url: str) -> float:
    with ProjectionRunner(
        application_class=LibraryLedger,
        projection_class=CreditProjection,
        view_class=CreditLines,
        env=environment(url),
    ) as runner:
        runner.wait(200, timeout=60)
        first = runner.view.max_tracking_id(LibraryLedger.name) or 0
        last = min(first + RUNNER_EVENTS, runner.app.recorder.max_notification_id() or 0)
        duration = seconds(runner.wait, last, timeout=600)
        reached = runner.view.max_tracking_id(LibraryLedger.name) or last
    return (reached - first) / duration
