"""Rebuilding the projection from event 1 beside the serving one, then switching.

An order's credit lines depend on its own events only and carry the positions of the events that brought them, so the
ledger is folded in chunks, in any order, by several processes at once: one kind of chunk takes the first events of
orders, the other takes whole orders that have more than one and writes what the later events bring. Both use the same
fold as the projector, which then brings the new generation up to the head; the switch is one row.
"""

import gc
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from typing import get_args

from ledger.database import Cursor, Database, one
from ledger.events import NAMES, ReferenceFact
from ledger.recorders import move_tracking, tracked_position
from projections.fact_rows import FactWriter, read_facts
from projections.fold import Folded, StoredRow, Writer, fold
from projections.generation import (
    analyze_generation,
    build_index,
    create_generation,
    ensure_generation,
    index_statements,
    schema_name,
    serve_generation,
    use_generation,
)
from projections.projector import BATCH_EVENTS_MAX, PART_EVENTS, hold_serving, project

CHUNK_EVENTS = 50_000
SLICE_EVENTS = 2_000
OWNERS_MAX = 1_000
FACT_NAMES = [NAMES[kind] for kind in get_args(ReferenceFact)]
_FIRST_AND_SECOND_EVENTS = (
    "SELECT position, subject, version, type, CASE version WHEN 1 THEN state END FROM event"
    " WHERE position > %s AND position <= %s AND version <= 2 AND type LIKE 'order.%%' ORDER BY position"
)
_WHOLE_ORDERS = (
    "SELECT position, subject, version, type, state FROM event"
    " WHERE subject = ANY(%s) AND position <= %s ORDER BY subject, version"
)


@dataclass(frozen=True)
class Chunk:
    """A part of a rebuild: the positions (after, until] of the ledger up to `target`, into one generation."""

    url: str
    generation: int
    after: int
    until: int
    target: int


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuild did: the new generation, the position it reached, the credit lines written, milliseconds."""

    generation: int
    position: int
    credit_lines: int
    milliseconds: int


def rebuild(
    database: Database, *, processes: int = 2, progress: Callable[[int, int], None] = lambda done, total: None
) -> Rebuilt:
    """Build a new generation and let it serve; readers and the projector go on meanwhile.

    Shape: `progress` is called with the events folded so far and their number. The processes run without garbage
    collection of cycles: a fold makes none, and looking for them takes a third of its time.
    """
    started = time.monotonic_ns()
    ensure_generation(database)
    with database.transaction() as cursor:
        generation = create_generation(cursor)
        cursor.execute("SELECT position FROM head")
        target: int = one(cursor)[0]
    credit_lines = _fold_orders(database, generation, target, processes, progress)
    _fold_facts(database, generation, target)
    _index(database, generation, processes)
    with database.transaction() as cursor:
        if target:
            move_tracking(cursor, schema_name(generation), target)
    position = _switch(database, generation)
    return Rebuilt(generation, position, credit_lines, (time.monotonic_ns() - started) // 1_000_000)


def _fold_orders(
    database: Database, generation: int, target: int, processes: int, progress: Callable[[int, int], None]
) -> int:
    chunks = [
        Chunk(database.url, generation, after, min(after + CHUNK_EVENTS, target), target)
        for after in range(0, target, CHUNK_EVENTS)
    ]
    if processes == 1:
        return sum(map(fold_chunk, chunks))
    done, written = 0, 0
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=gc.disable) as pool:
        futures = {pool.submit(fold_chunk, chunk): chunk for chunk in chunks}
        for future in as_completed(futures):
            written += future.result()
            done += futures[future].until - futures[future].after
            progress(done, target)
    return written


def fold_chunk(chunk: Chunk) -> int:
    """Write what the orders placed, and the orders continued, in a chunk bring; give the number of credit lines."""
    database = Database(chunk.url)
    learning = database.connect()
    writer = _writer(chunk.url, chunk.generation)
    try:
        with database.transaction() as cursor, learning.cursor() as learner:
            use_generation(cursor, chunk.generation)
            cursor.execute("SET LOCAL synchronous_commit = off")  # the switch, a later commit, makes it durable
            # Texts get their integers outside this transaction, so that no process waits for another's chunk.
            learner.execute(f"SET search_path = {schema_name(chunk.generation)}, public")
            return sum(writer.write_credits(cursor, batch, learner) for batch in _batches(database, chunk))
    finally:
        learning.close()
        database.close()


@lru_cache(maxsize=1)
def _writer(_url: str, _generation: int) -> Writer:
    """Give this process's writer into a generation, which remembers the texts of the chunks before."""
    return Writer()


def _batches(database: Database, chunk: Chunk) -> Iterator[Iterator[Folded]]:
    with database.cursor() as cursor:
        for after in range(chunk.after, chunk.until, SLICE_EVENTS):
            cursor.execute(_FIRST_AND_SECOND_EVENTS, (after, min(after + SLICE_EVENTS, chunk.until)))
            rows: list[StoredRow] = cursor.fetchall()
            first = [row for row in rows if row[2] == 1]
            yield (fold(first[at : at + PART_EVENTS], {}) for at in range(0, len(first), PART_EVENTS))
            continued = [subject for _, subject, version, _, _ in rows if version == 2]
            if continued:
                cursor.execute(_WHOLE_ORDERS, (continued, chunk.target))
                whole: list[StoredRow] = cursor.fetchall()
                yield iter([fold(whole, {}, first_too=False)])


def _fold_facts(database: Database, generation: int, target: int) -> None:
    """Write what the reference facts say, some owners at a time."""
    writer, after = FactWriter(), ""
    while True:
        with database.transaction() as cursor:
            use_generation(cursor, generation)
            cursor.execute(
                "SELECT DISTINCT subject FROM event WHERE type = ANY(%s) AND subject > %s AND position <= %s"
                " ORDER BY subject LIMIT %s",
                (FACT_NAMES, after, target, OWNERS_MAX),
            )
            subjects = [subject for (subject,) in cursor.fetchall()]
            for subject, events in read_facts(cursor, subjects, until=target).items():
                writer.write(cursor, subject, events)
        if len(subjects) < OWNERS_MAX:
            return
        after = subjects[-1]


def _index(database: Database, generation: int, processes: int) -> None:
    """Make the indexes at once, each by a server process of its own, and the statistics."""

    def build(statement: str) -> None:
        with database.transaction() as cursor:
            build_index(cursor, generation, statement)

    with ThreadPoolExecutor(processes) as pool:
        list(pool.map(build, index_statements()))
    with database.transaction() as cursor:
        analyze_generation(cursor, generation)


def _switch(database: Database, generation: int) -> int:
    """Bring the new generation up to the head, then let it serve at the position where the old one stands or later."""
    writer = Writer()
    while True:
        with database.transaction() as cursor:
            if _project(cursor, writer, generation)[1] < BATCH_EVENTS_MAX:
                break
    with database.transaction() as cursor:
        hold_serving(cursor)
        while (projected := _project(cursor, writer, generation))[1]:
            pass
        serve_generation(cursor, generation)
        return projected[0]


def _project(cursor: Cursor, writer: Writer, generation: int) -> tuple[int, int]:
    tracked_position(cursor, schema_name(generation), lock=True)
    return project(cursor, writer, generation)
