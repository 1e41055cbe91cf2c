"""The projector: follows the ledger and keeps the serving generation of the projection up with it.

Each batch is one transaction: it holds the generation's tracking row, reads the events behind it, writes what they
bring and moves the position on. So however many projectors run, each event is projected once; one of them is active,
the others stand by on an advisory lock. An event that can't be folded stops the projection there, loudly.
"""

import logging
import threading
import time

import psycopg2

from ledger.database import Cursor, Database, await_lead, wait_for_notification
from ledger.recorders import move_tracking, tracked_position
from ledger.sequencer import CHANNEL
from projections.fact_rows import FactWriter, read_facts
from projections.fold import StoredRow, Writer, continued_orders, fold_parts, read_known
from projections.generation import ensure_generation, schema_name, serving_generation, use_generation

BATCH_EVENTS_MAX = 5_000
_ACTIVE_LOCK = 7_305_817_103
_IDLE_MILLISECONDS = 500
_GATHER_MILLISECONDS = 10
"""How long events may gather after a notification: a transaction for each would cost more than its appending."""

_log = logging.getLogger("orderledger.projector")


class Projector:
    """Projects one database's ledger; `run` in a thread of the service, `catch_up` from a command."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._generation = 0
        self._writer = Writer()
        self.failure: Exception | None = None

    def catch_up(self) -> int:
        """Project everything that is recorded, and give the position reached."""
        ensure_generation(self._database)
        return self._catch_up()

    def _catch_up(self) -> int:
        while True:
            try:
                with self._database.transaction() as cursor:
                    position, events = self._project_batch(cursor)
            except BaseException:
                self._generation = 0  # what the writer learned in the transaction is not there
                raise
            if events < BATCH_EVENTS_MAX:
                return position

    def _project_batch(self, cursor: Cursor) -> tuple[int, int]:
        """Project one batch; give the position reached and how many events it had."""
        generation = hold_serving(cursor)
        if generation != self._generation:
            self._generation, self._writer = generation, Writer()
        return project(cursor, self._writer, generation)

    def run(self, stopped: threading.Event) -> None:
        """Follow the ledger until stopped; stand by while another projector is active."""
        while not stopped.is_set():
            try:
                self._follow(stopped)
            except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                _log.warning("the database went away, the projector tries again: %s", str(error).strip())
                stopped.wait(1)
            except Exception as error:  # noqa: BLE001 - whatever it is, the projection stops there and says so
                self.failure = error
                _log.exception("the projection stopped: an event can't be projected")
                return

    def _follow(self, stopped: threading.Event) -> None:
        listening = self._database.connect()
        try:
            with listening.cursor() as cursor:
                cursor.execute("LISTEN " + CHANNEL)
            await_lead(listening, _ACTIVE_LOCK, stopped, milliseconds=_IDLE_MILLISECONDS)
            ensure_generation(self._database)
            while not stopped.is_set():
                self._catch_up()
                wait_for_notification(listening, _IDLE_MILLISECONDS)
                stopped.wait(_GATHER_MILLISECONDS / 1000)
        finally:
            listening.close()


def hold_serving(cursor: Cursor) -> int:
    """Hold the tracking row of the serving generation, so that nobody else projects into it; give the generation."""
    while True:
        generation = serving_generation(cursor)
        assert generation is not None, "there is a serving generation"
        tracked_position(cursor, schema_name(generation), lock=True)
        if serving_generation(cursor) == generation:
            return generation


def project(cursor: Cursor, writer: Writer, generation: int) -> tuple[int, int]:
    """Project the next batch into a generation whose tracking row the transaction holds.

    Shape: the position reached, and the number of events projected.
    """
    position = tracked_position(cursor, schema_name(generation)) or 0
    cursor.execute(
        "SELECT position, subject, version, type, state FROM event WHERE position > %s ORDER BY position LIMIT %s",
        (position, BATCH_EVENTS_MAX),
    )
    rows: list[StoredRow] = cursor.fetchall()
    if not rows:
        return position, 0
    use_generation(cursor, generation)
    continued = continued_orders(rows)
    known = read_known(cursor, continued.keys(), rows[0][0])
    batch = list(fold_parts(rows, known, continued.keys()))
    writer.write_credits(cursor, batch)
    reached = rows[-1][0]
    subjects = {subject for folded in batch for subject in folded.fact_subjects}
    facts = FactWriter()
    for subject, events in read_facts(cursor, subjects, until=reached).items():
        facts.write(cursor, subject, events, after=position)
    move_tracking(cursor, schema_name(generation), reached)
    return reached, len(rows)


def wait_until_projected(database: Database, position: int, *, milliseconds: int) -> bool:
    """Wait, at most so long, until the serving generation has reached a position; say whether it has."""
    deadline = time.monotonic_ns() + milliseconds * 1_000_000
    pause_milliseconds = 2
    while True:
        with database.cursor() as cursor:
            if (projected_position(cursor) or 0) >= position:
                return True
        if time.monotonic_ns() > deadline:
            return False
        time.sleep(pause_milliseconds / 1000)
        pause_milliseconds = min(2 * pause_milliseconds, 50)


def projected_position(cursor: Cursor) -> int | None:
    """Give the position of the serving generation, None where none serves."""
    generation = serving_generation(cursor)
    return None if generation is None else tracked_position(cursor, schema_name(generation))
