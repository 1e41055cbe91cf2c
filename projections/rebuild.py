"""Rebuilding the projection from event 1 beside the serving one, then switching.

An order's credit lines depend on its own events only and carry the positions of the events that brought them, so the
ledger is folded in chunks, in any order, by several processes at once: an order that a chunk continues is read up to
there. The fold is the projector's, which then brings the new generation up to the head; the switch is one row.
"""

import gc
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import get_args

from ledger.database import Cursor, Database, one
from ledger.events import NAMES, ReferenceFact
from ledger.progress import Progress, no_progress
from ledger.recorders import move_tracking, tracked_position
from projections.fact_rows import FactWriter, read_facts
from projections.fold import (
    Folded,
    StoredRow,
    Writer,
    continued_orders,
    fold_parts,
    read_known,
    write_packed,
)
from projections.generation import (
    analyze_generation,
    build_index,
    building,
    create_generation,
    drop_others,
    ensure_generation,
    index_statements,
    schema_name,
    serve_generation,
    use_generation,
)
from projections.projector import BATCH_EVENTS_MAX, hold_serving, project
from projections.terms import take_over

CHUNK_EVENTS = 20_000
SLICE_EVENTS = 2_000
OWNERS_MAX = 1_000
FACT_NAMES = [NAMES[kind] for kind in get_args(ReferenceFact)]
_WRITING_LOCK = 7_305_817_104
_ORDER_EVENTS = (
    "SELECT position, subject, version, type, state FROM event"
    " WHERE position > %s AND position <= %s AND type LIKE 'order.%%' ORDER BY position"
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


def rebuild(database: Database, *, processes: int = 2, progress: Progress = no_progress) -> Rebuilt:
    """Build a new generation and let it serve; readers and the projector go on meanwhile.

    Shape: `progress` is called with the events folded so far and their number. The processes run without garbage
    collection of cycles: a fold makes none, and looking for them takes a third of its time.
    """
    with building(database):
        return _rebuild(database, processes, progress)


def _rebuild(database: Database, processes: int, progress: Progress) -> Rebuilt:
    started = time.monotonic_ns()
    serving = ensure_generation(database)
    with database.transaction() as cursor:
        generation = create_generation(cursor)
        take_over(cursor, schema_name(serving))
        cursor.execute("SELECT position FROM head")
        target: int = one(cursor)[0]
    credit_lines = fold_ledger(database, generation, target, processes=processes, progress=progress)
    _index(database, generation, processes)
    with database.transaction() as cursor:
        if target:
            move_tracking(cursor, schema_name(generation), target)
    position = _switch(database, generation)
    return Rebuilt(generation, position, credit_lines, (time.monotonic_ns() - started) // 1_000_000)


def fold_ledger(database: Database, generation: int, target: int, *, processes: int, progress: Progress) -> int:
    """Write what the events up to a position bring into an empty generation; give the number of credit lines.

    Generations that serve no more are dropped beside it: a drop waits a second for each autovacuum in its way.
    """
    with ThreadPoolExecutor(1) as beside:
        dropped = beside.submit(_drop_others, database, generation)
        credit_lines = _fold_orders(database, generation, target, processes, progress)
        _fold_facts(database, generation, target)
        dropped.result()
    return credit_lines


def _drop_others(database: Database, generation: int) -> None:
    with database.transaction() as cursor:
        drop_others(cursor, generation)


def _fold_orders(database: Database, generation: int, target: int, processes: int, progress: Progress) -> int:
    chunks = [
        Chunk(database.url, generation, after, min(after + CHUNK_EVENTS, target), target)
        for after in range(0, target, CHUNK_EVENTS)
    ]
    if processes == 1:
        _writers.clear()  # a generation's number may be used again
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
    """Write what the order events of a chunk bring; give the number of credit lines.

    The chunk is packed before it is written, so that one process at a time writes: rows of several mixed in the
    tables' blocks would make the block ranges of the indexes as many times as wide.
    """
    database = Database(chunk.url)
    learning = database.connect()
    try:
        with database.cursor() as reader, learning.cursor() as learner:
            # Texts get their integers outside the transaction below, so that no process waits for another's chunk.
            learner.execute(f"SET search_path = {schema_name(chunk.generation)}, public; SET synchronous_commit = off")
            writer = _writer(chunk, learner)
            packed = [part for batch in _batches(reader, chunk) for part in writer.packed(learner, batch)]
        with database.transaction() as cursor:
            use_generation(cursor, chunk.generation)
            cursor.execute("SET LOCAL synchronous_commit = off")  # the switch, a later commit, makes it durable
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_WRITING_LOCK,))
            return write_packed(cursor, packed)
    finally:
        learning.close()
        database.close()


_writers = dict[tuple[str, int], Writer]()


def _writer(chunk: Chunk, cursor: Cursor) -> Writer:
    """Give this process's writer into a generation, which remembers the texts of the chunks before."""
    key = chunk.url, chunk.generation
    if key not in _writers:
        _writers.clear()
        _writers[key] = Writer()
        _writers[key].preload(cursor)
    return _writers[key]


def _batches(cursor: Cursor, chunk: Chunk) -> Iterator[Iterator[Folded]]:
    """Fold the order events of a chunk as the projector does, some at a time."""
    for after in range(chunk.after, chunk.until, SLICE_EVENTS):
        cursor.execute(_ORDER_EVENTS, (after, min(after + SLICE_EVENTS, chunk.until)))
        rows: list[StoredRow] = cursor.fetchall()
        continued = continued_orders(rows).keys()
        yield fold_parts(rows, read_known(cursor, continued, after + 1), continued)


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
