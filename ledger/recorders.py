"""Our recorders behind the eventsourcing library's abstract ones; the only module that touches the library.

The library's own PostgreSQL module wants psycopg 3, locks the table and notifies inside the transaction; these append
through the sequencer instead. They pass the library's published conformance tests (tests/test_conformance.py).
Stream names are strings here, so the recorders serve applications whose originator ids are strings.
"""

import threading
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import psycopg2
from eventsourcing.persistence import (
    ApplicationRecorder,
    InfrastructureFactory,
    IntegrityError,
    ListenNotifySubscription,
    Notification,
    OperationalError,
    ProcessRecorder,
    StoredEvent,
    Tracking,
    TrackingRecorder,
)
from eventsourcing.utils import resolve_topic

from ledger.database import Cursor, Database, wait_for_notification
from ledger.ids import uuid7
from ledger.sequencer import CHANNEL, Append, Appended, NewEvent, Sequencer, lock_head, utc_now, write

LIBRARY_SOURCE = "eventsourcing"
_READ_TRACKING = "SELECT notification_id FROM tracking WHERE application_name = %s"
_LOCK_TRACKING = _READ_TRACKING + " FOR UPDATE"
_LISTEN_MILLISECONDS = 100


class PostgresApplicationRecorder(ApplicationRecorder):
    """Stored events and notifications over the ledger's event table."""

    def __init__(self, database: Database, sequencer: Sequencer | None = None) -> None:
        self.database = database
        self._sequencer = sequencer or Sequencer(database)

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Append events and return their positions; IntegrityError when a stream is further on."""
        if not stored_events:
            return None
        verdict = self._sequencer.append(Append([_new_event(event) for event in stored_events]))
        if not isinstance(verdict, Appended):
            raise IntegrityError(str(verdict))
        return _positions(verdict.first_position, stored_events)

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Read one stream."""
        with self.database.cursor() as cursor:
            cursor.execute(
                "SELECT subject, version, type, state FROM event"
                " WHERE subject = %s AND version > %s AND version <= %s"
                " ORDER BY CASE WHEN %s THEN -version ELSE version END LIMIT %s",
                (str(originator_id), -1 if gt is None else gt, 2**31 - 1 if lte is None else lte, desc, limit),
            )
            return [StoredEvent(row[0], row[1], row[2], row[3].encode()) for row in cursor]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Read the one order of all events."""
        first = 1 if start is None else start + (not inclusive_of_start)
        with self.database.cursor() as cursor:
            cursor.execute(
                "SELECT subject, version, type, state, position FROM event"
                " WHERE position >= %s AND position <= %s AND (%s OR type = ANY(%s)) ORDER BY position LIMIT %s",
                (first, 2**63 - 1 if stop is None else stop, not topics, list(topics), limit),
            )
            return [Notification(row[0], row[1], row[2], row[3].encode(), row[4]) for row in cursor]

    def max_notification_id(self) -> int | None:
        """Give the last position, None of an empty ledger."""
        with self.database.cursor() as cursor:
            cursor.execute("SELECT max(position) FROM event")
            row = cursor.fetchone()
            return row[0] if row else None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> "PostgresSubscription":
        """Iterate over events as they are recorded."""
        return PostgresSubscription(self, gt, topics)


class PostgresSubscription(ListenNotifySubscription[PostgresApplicationRecorder]):
    """Follows the ledger: listens first, then reads, so that no event waits for the next one."""

    def __init__(
        self, recorder: PostgresApplicationRecorder, gt: int | None = None, topics: Sequence[str] = ()
    ) -> None:
        self._listening = recorder.database.connect()
        with self._listening.cursor() as cursor:
            cursor.execute("LISTEN " + CHANNEL)
        super().__init__(recorder=recorder, gt=gt, topics=topics)
        self._listen_thread = threading.Thread(target=self._listen, daemon=True)
        self._listen_thread.start()

    def __exit__(self, *args: object, **kwargs: Any) -> None:
        """Stop both threads and close the connection."""
        try:
            super().__exit__(*args, **kwargs)
        finally:
            self._listen_thread.join()
            self._listening.close()

    def _listen(self) -> None:
        try:
            while not self._has_been_stopped and not self._thread_error:
                if wait_for_notification(self._listening, _LISTEN_MILLISECONDS):
                    self._has_been_notified.set()
        except psycopg2.Error as error:
            self._thread_error = error
            self.stop()


class PostgresTrackingRecorder(TrackingRecorder):
    """The positions of the ledger's readers."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def insert_tracking(self, tracking: Tracking) -> None:
        """Move a reader on; IntegrityError when it is already there or further."""
        with self.database.transaction() as cursor:
            move_tracking(cursor, tracking.application_name, tracking.notification_id)

    def max_tracking_id(self, application_name: str) -> int | None:
        """Give a reader's position, None when it never moved."""
        with self.database.cursor() as cursor:
            return tracked_position(cursor, application_name)


class PostgresProcessRecorder(PostgresTrackingRecorder, PostgresApplicationRecorder, ProcessRecorder):
    """Appends events and moves a reader in one transaction, for the library's process applications."""

    def __init__(self, database: Database) -> None:
        PostgresApplicationRecorder.__init__(self, database)

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Append events, with `tracking=` moving the reader in the same transaction."""
        tracking: Tracking | None = kwargs.get("tracking")
        with self.database.transaction() as cursor:
            if tracking is not None:
                move_tracking(cursor, tracking.application_name, tracking.notification_id)
            head = lock_head(cursor)
            first = head.position + 1
            try:
                events = [_new_event(event) for event in stored_events]
                write(cursor, head, events, max(utc_now(), head.recorded_at))
            except psycopg2.errors.UniqueViolation as error:
                raise IntegrityError(str(error)) from error
        return _positions(first, stored_events)


class PostgresFactory(InfrastructureFactory[TrackingRecorder]):
    """Builds the recorders from the environment: PERSISTENCE_MODULE=ledger.recorders, ORDERLEDGER_DATABASE_URL."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        url = self.env.get("ORDERLEDGER_DATABASE_URL")
        if not url:
            raise OSError("ORDERLEDGER_DATABASE_URL is not set: give the libpq URL of the ledger's database")
        self._database = Database(url)

    def aggregate_recorder(self, purpose: str = "events") -> PostgresApplicationRecorder:
        """Give the one recorder of events; snapshots are not kept, so `purpose` must be events."""
        if purpose != "events":
            raise OperationalError(f"no recorder for {purpose}: the ledger keeps events and no snapshots")
        return self.application_recorder()

    def application_recorder(self) -> PostgresApplicationRecorder:
        """Give a recorder of events."""
        return PostgresApplicationRecorder(self._database)

    def tracking_recorder(self, tracking_recorder_class: type[TrackingRecorder] | None = None) -> TrackingRecorder:
        """Give a recorder of positions, of the class given or named by TRACKING_RECORDER_TOPIC."""
        topic = self.env.get(self.TRACKING_RECORDER_TOPIC)
        chosen: Any = tracking_recorder_class or (resolve_topic(topic) if topic else PostgresTrackingRecorder)
        recorder: TrackingRecorder = chosen(self._database)
        return recorder

    def process_recorder(self) -> PostgresProcessRecorder:
        """Give a recorder of events and positions."""
        return PostgresProcessRecorder(self._database)

    def close(self) -> None:
        """Close the connections."""
        self._database.close()


def move_tracking(cursor: Cursor, application_name: str, position: int) -> None:
    """Move a reader on within the caller's transaction; IntegrityError when it is already there or further."""
    cursor.execute(
        "INSERT INTO tracking VALUES (%s, %s) ON CONFLICT (application_name)"
        " DO UPDATE SET notification_id = excluded.notification_id"
        " WHERE tracking.notification_id < excluded.notification_id",
        (application_name, position),
    )
    if cursor.rowcount != 1:
        raise IntegrityError(f"{application_name} is already at {position} or further")


def tracked_position(cursor: Cursor, application_name: str, *, lock: bool = False) -> int | None:
    """Give a reader's position within the caller's transaction, holding it against other movers if asked."""
    cursor.execute(
        _LOCK_TRACKING if lock else _READ_TRACKING,
        (application_name,),
    )
    row = cursor.fetchone()
    return row[0] if row else None


def _new_event(event: StoredEvent) -> NewEvent:
    return NewEvent(
        subject=str(event.originator_id),
        version=event.originator_version,
        type=event.topic,
        source=LIBRARY_SOURCE,
        event_id=str(uuid7()),
        actor=LIBRARY_SOURCE,
        effective_on=utc_now().date(),
        state=event.state,
    )


def _positions(first: int, stored_events: Sequence[StoredEvent]) -> list[int]:
    return list(range(first, first + len(stored_events)))
