"""Threads: 64 threads that save one event each, again and again, through our recorder and through the library's own.

Both are the eventsourcing library's ApplicationRecorder interface (`insert_events` of one StoredEvent, acknowledged
when it is durable), with the same events. Ours: ledger.recorders, whose threads share commits. Comparison:
eventsourcing.postgres on psycopg 3 in a database of its own, at its default settings except a pool of one connection
per thread. Both take turns in blocks.
"""

import threading
from collections.abc import Iterable, Sequence
from itertools import islice

from eventsourcing.persistence import ApplicationRecorder, StoredEvent

from ledger.recorders import PostgresApplicationRecorder
from tests.bench.clock import Side
from tests.bench.generator import order_events
from tests.bench.library import LibraryLedger, environment, library_events
from tests.bench.loading import Progress
from tests.bench.recorder import new_event
from tests.bench.report import Row, at_least
from tests.bench.server import Server, ledger_database

THREADS = 64
SAVES_PER_THREAD = 20
BLOCKS = 6


def run(server: Server, orders: int, progress: Progress) -> list[Row]:
    """Measure, and give the table's rows."""
    library_url = server.create()
    with ledger_database(server) as database, LibraryLedger(environment(library_url, pool_size=THREADS)) as app:
        events = _events(app, min(orders, THREADS * SAVES_PER_THREAD * (BLOCKS + 1)))
        ours, theirs = _compared(PostgresApplicationRecorder(database), app.recorder, events, progress)
    server.drop(library_url)
    return [at_least(f"{THREADS} threads, one event each / the library's recorder", ours.rate, theirs.rate, goal=3)]


def _events(app: LibraryLedger, count: int) -> list[StoredEvent]:
    """Make the placing events of so many orders, so that no thread has to wait for another's."""
    placed = (event for event in map(new_event, order_events(count)) if event.version == 1)
    states = ((event.subject, 1, event.type, '{"data":' + event.data.decode() + "}") for event in placed)
    return list(library_events(app, states))


def _compared(
    our_recorder: ApplicationRecorder,
    their_recorder: ApplicationRecorder,
    events: Sequence[StoredEvent],
    progress: Progress,
) -> tuple[Side, Side]:
    ours, theirs = Side(), Side()
    stream = iter(events)
    block = len(events) // (BLOCKS + 1)
    warm = list(islice(stream, block))
    for recorder in (our_recorder, their_recorder):
        _save_all(recorder, warm)  # opens the connections
    for number in range(BLOCKS):
        work = list(islice(stream, block))
        ours.run(len(work), _save_all, our_recorder, work)
        theirs.run(len(work), _save_all, their_recorder, work)
        progress(f"threads: block {number + 1} of {BLOCKS}")
    return ours, theirs


def _save_all(recorder: ApplicationRecorder, events: Sequence[StoredEvent]) -> None:
    """Save the events, one a call, from many threads."""
    shares = [events[number::THREADS] for number in range(THREADS)]
    failures = list[Exception]()
    threads = [threading.Thread(target=_save, args=(recorder, share, failures)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _save(recorder: ApplicationRecorder, events: Iterable[StoredEvent], failures: list[Exception]) -> None:
    try:
        for event in events:
            recorder.insert_events([event])
    except Exception as error:  # noqa: BLE001 - told by the main thread
        failures.append(error)
