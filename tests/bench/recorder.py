"""Recorder: batches of 500 events through the sequencer, against raw COPY BINARY of the same rows.

Ours: `Sequencer.append`, one commit a batch: locks the head row, numbers the events, makes their JSON documents, hashes
them into the Merkle tree, packs and copies them, stores the head, commits, notifies.
Comparison: the very rows that ours stored, read back as Python values beforehand (the document already made), packed
by the plain packer below and copied with psycopg2 into `raw (LIKE event INCLUDING ALL)` beside it, one commit a batch.
Both take turns in blocks of some batches, on tables of the same size.
"""

import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from itertools import islice

from ledger.database import Connection, Database
from ledger.events import NAMES, encode
from ledger.intake import OrderSubmission
from ledger.orders import subject
from ledger.roles import OWNER
from ledger.sequencer import Append, Appended, NewEvent, Sequencer
from tests.bench.clock import Side
from tests.bench.generator import batches, order_events
from tests.bench.loading import ACTOR, BATCH_EVENTS, Progress
from tests.bench.report import Row, at_least
from tests.bench.server import Server, ledger_database

BLOCK_BATCHES = 20
_COLUMNS = "position, subject, version, type, source, event_id, actor, recorded_at, effective_on, state"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_DAY_0 = date(2000, 1, 1)

StoredEvent = tuple[int, str, int, str, str, str, str, datetime, date, bytes]


def run(server: Server, orders: int, progress: Progress) -> list[Row]:
    """Measure, and give the table's rows."""
    with ledger_database(server) as database:
        ours, theirs = _compared(database, orders, progress)
    return [at_least(f"recorder, batches of {BATCH_EVENTS} / raw COPY BINARY", ours.rate, theirs.rate, goal=0.5)]


def _compared(database: Database, orders: int, progress: Progress) -> tuple[Side, Side]:
    with database.administration() as cursor:
        cursor.execute(f"SET ROLE {OWNER}; CREATE TABLE raw (LIKE event INCLUDING ALL)")
    sequencer, connection = Sequencer(database), database.connect()
    ours, theirs = Side(), Side()
    appends = _appends(orders)
    while block := list(islice(appends, BLOCK_BATCHES)):
        work = sum(len(append.events) for append in block)
        first = theirs.work + 1
        ours.run(work, _append, sequencer, block)
        rows = _stored(database, first)
        theirs.run(work, _copy, connection, rows)
        progress(f"recorder: {ours.work:,} events")
    sequencer.close()
    connection.close()
    return ours, theirs


def _appends(orders: int) -> Iterator[Append]:
    for batch in batches(order_events(orders), BATCH_EVENTS):
        yield Append([new_event(submission) for submission in batch])


def new_event(submission: OrderSubmission) -> NewEvent:
    """Make the event to be appended of a generated submission, whose event id ends in its version."""
    return NewEvent(
        subject=subject(submission.order_id),
        version=int(submission.event_id.rpartition("/")[2]),
        type=NAMES[type(submission.data)],
        source=submission.source,
        event_id=submission.event_id,
        actor=ACTOR,
        effective_on=date(2026, 1, 1),
        data=encode(submission.data),
    )


def _append(sequencer: Sequencer, appends: Sequence[Append]) -> None:
    for append in appends:
        verdict = sequencer.append(append)
        assert isinstance(verdict, Appended), verdict


def _stored(database: Database, first: int) -> list[list[StoredEvent]]:
    """Read back what ours stored from a position on, in batches."""
    with database.cursor() as cursor:
        cursor.execute(f"SELECT {_COLUMNS} FROM event WHERE position >= %s ORDER BY position", (first,))
        rows = [(*row[:-1], row[-1].encode()) for row in cursor]
    return [rows[at : at + BATCH_EVENTS] for at in range(0, len(rows), BATCH_EVENTS)]


def _copy(connection: Connection, batches: Sequence[Sequence[StoredEvent]]) -> None:
    with connection.cursor() as cursor:
        for rows in batches:
            cursor.copy_expert(f"COPY raw ({_COLUMNS}) FROM STDIN (FORMAT binary)", BytesIO(_packed(rows)))


def _packed(rows: Sequence[StoredEvent]) -> bytes:
    """Pack rows plainly. Source: PostgreSQL manual, COPY, "Binary Format"."""
    parts = [b"PGCOPY\n\xff\r\n\x00" + bytes(8)]
    for row in rows:
        texts = [text.encode() for text in (row[1], *row[3:7])]
        parts.append(struct.pack("!hiq", 10, 8, row[0]))
        parts.append(_field(texts[0]))
        parts.append(struct.pack("!ii", 4, row[2]))
        parts += map(_field, texts[1:])
        microseconds = (row[7] - _EPOCH) // timedelta(microseconds=1)
        parts.append(struct.pack("!iqii", 8, microseconds, 4, (row[8] - _DAY_0).days))
        parts.append(_field(row[9]))
    parts.append(b"\xff\xff")
    return b"".join(parts)


def _field(data: bytes) -> bytes:
    return struct.pack("!i", len(data)) + data
