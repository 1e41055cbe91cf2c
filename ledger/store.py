"""Reading the ledger: streams, the one order of events, the head; the rulebook and the closings at any position.

All SQL over the event table is here, in sequencer.py (appending) and in recorders.py (the library's interface).
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, tzinfo
from functools import lru_cache
from typing import Generic, Protocol, TypeVar
from zoneinfo import ZoneInfo

from ledger import rulebook as rulebooks
from ledger import statements
from ledger.database import Cursor, Database, one, wait_for_notification
from ledger.events import LedgerOpened, Recorded, recorded
from ledger.idempotency import Key, KeyTakenError
from ledger.periods import Calendar, calendar_of
from ledger.refusal import Code, Refusal
from ledger.rulebook import Rulebook
from ledger.sequencer import CHANNEL, Append, Appended, KeyTaken, Sequencer, Verdict, utc_now
from ledger.signing import Signer
from ledger.statements import Closings
from ledger.tree import Tree
from ledger.wording import say

LEDGER_SUBJECT = "ledger"
STOPPING_MILLISECONDS = 500
POSITION_MAX = 2**63 - 1
SOURCE = "orderledger"
"""The `source` of events that the ledger itself numbers."""


class Versioned(Protocol):
    """The state of a stream: it knows the version of the last event in it."""

    @property
    def version(self) -> int:
        """Which version that is."""


State = TypeVar("State", bound=Versioned)


@dataclass(frozen=True)
class StoredDocument:
    """A stored event as the feed hands it out: its position and its bytes."""

    position: int
    state: str

    def cloud_event(self) -> bytes:
        """Give the document with its position, as the CloudEvents extension `sequence`."""
        return f'{self.state[:-1]},"sequence":"{self.position}"}}'.encode()


def head_of(cursor: Cursor) -> int:
    """Read the last position, 0 of an empty ledger."""
    cursor.execute("SELECT position FROM head")
    position: int = one(cursor)[0]
    return position


def refuse_ahead(position: int, head: int, pointer: str = "/position") -> None:
    """Refuse a position behind the ledger's last. Errors: Refusal (position_ahead)."""
    if position > head:
        sentence = say("there is no position {position} yet: the ledger is at {head}", position=position, head=head)
        raise Refusal.of(Code.position_ahead, sentence, pointer, head=head)


def stream_rows(
    cursor: Cursor, subjects: Iterable[str], *, until: int = POSITION_MAX
) -> Iterator[tuple[int, str, str, str]]:
    """Read streams up to a position: (position, type, subject, state), each oldest first.

    Each stream is looked up by itself, with nothing else beside it (OFFSET 0). All at once is a guess of the planner's:
    of a ledger that was filled faster than its statistics were gathered it expects so few different streams that it
    reads the whole table for forty of them.
    """
    cursor.execute(
        "SELECT position, type, asked.subject, state FROM unnest(%s::text[]) AS asked (subject), LATERAL ("
        " SELECT position, type, version, state FROM event WHERE event.subject = asked.subject OFFSET 0) AS found"
        ' WHERE position <= %s ORDER BY asked.subject COLLATE "C", version',
        (list(dict.fromkeys(subjects)), until),
    )
    return iter(cursor)


def count_recorded_in(cursor: Cursor, after: int, until: int, types: Iterable[str]) -> int:
    """Count the events of these stored names at the positions (after, until]; none of orders."""
    cursor.execute(
        "SELECT count(*) FROM event WHERE position > %s AND position <= %s AND type = ANY(%s)"
        " AND NOT starts_with(type, 'order.')",
        (after, until, list(types)),
    )
    count: int = one(cursor)[0]
    return count


class Store:
    """One ledger: what is in it, and the sequencer that appends to it."""

    def __init__(
        self, database: Database, *, clock: Callable[[], datetime] = utc_now, signer: Signer | None = None
    ) -> None:
        self.database = database
        self.clock = clock
        self.signer = signer
        self.tree = Tree(database)
        self.sequencer = Sequencer(database, clock=clock)
        self._rulebooks = _Folded(database, rulebooks.SUBJECT, rulebooks.EMPTY, rulebooks.evolve)
        self._closings = _Folded(database, statements.SUBJECT, statements.EMPTY, statements.evolve)
        self._key: Key | None = None
        self._rehearses = False

    def keyed(self, key: Key) -> "Store":
        """Give this ledger for one request: the first append that succeeds notes its idempotency key."""
        keyed = copy(self)
        keyed._key = key
        return keyed

    def rehearsing(self) -> "Store":
        """Give this ledger for a dry run: an append is judged as ever, and nothing is recorded."""
        rehearsing = copy(self)
        rehearsing._rehearses = True
        return rehearsing

    def append(self, append: Append) -> Verdict:
        """Append all events or none, and say what became of them.

        Errors: as of Sequencer.append; KeyTakenError where the request's idempotency key took effect before.
        """
        asked = append if self._key is None else replace(append, key=self._key)
        verdict = self.sequencer.rehearse(asked) if self._rehearses else self.sequencer.append(asked)
        if isinstance(verdict, KeyTaken):
            raise KeyTakenError
        if isinstance(verdict, Appended):
            self._key = None
        return verdict

    @property
    def has_noted_key(self) -> bool:
        """Say whether an append carried the key that this ledger was given for a request."""
        return self._key is None

    def close(self) -> None:
        """Close the connections."""
        self.sequencer.close()
        self.database.close()

    def head(self) -> int:
        """Give the last position, 0 of an empty ledger."""
        with self.database.cursor() as cursor:
            return head_of(cursor)

    def check_recorded(self, position: int, pointer: str = "/position") -> None:
        """Refuse a position that nothing was recorded at yet. Errors: Refusal (position_ahead)."""
        refuse_ahead(position, self.head(), pointer)

    def stream(self, subject: str) -> list[Recorded]:
        """Read one stream, oldest first."""
        return self.streams([subject]).get(subject, [])

    def streams(self, subjects: Iterable[str]) -> dict[str, list[Recorded]]:
        """Read several streams at once; a subject without events is left out."""
        found = dict[str, list[Recorded]]()
        with self.database.cursor() as cursor:
            for position, _, subject, state in stream_rows(cursor, subjects):
                found.setdefault(subject, []).append(recorded(position, state))
        return found

    def recorded_between(self, after: int, until: int, types: Iterable[str]) -> list[Recorded]:
        """Read the events of these stored names at the positions (after, until], in order; none of orders.

        An index holds what is not of orders, so that many order events in between cost nothing.
        """
        with self.database.cursor() as cursor:
            cursor.execute(
                "SELECT position, state FROM event WHERE position > %s AND position <= %s AND type = ANY(%s)"
                " AND NOT starts_with(type, 'order.') ORDER BY position",
                (after, until, list(types)),
            )
            return [recorded(*row) for row in cursor]

    def recorded_newest(
        self, after: int, until: int, types: Iterable[str], *, actor: str | None = None, limit: int
    ) -> list[Recorded]:
        """Read events of these stored names at the positions (after, until], newest first; none of orders."""
        with self.database.cursor() as cursor:
            cursor.execute(
                "SELECT position, state FROM event WHERE position > %s AND position <= %s AND type = ANY(%s)"
                " AND NOT starts_with(type, 'order.') AND (%s IS NULL OR actor = %s) ORDER BY position DESC LIMIT %s",
                (after, until, list(types), actor, actor, limit),
            )
            return [recorded(*row) for row in cursor]

    def next_recorded(self, after: int, until: int, types: Iterable[str]) -> Recorded | None:
        """Read the first event of these stored names at the positions (after, until]; none of orders."""
        with self.database.cursor() as cursor:
            cursor.execute(
                "SELECT position, state FROM event WHERE position > %s AND position <= %s AND type = ANY(%s)"
                " AND NOT starts_with(type, 'order.') ORDER BY position LIMIT 1",
                (after, until, list(types)),
            )
            row = cursor.fetchone()
            return None if row is None else recorded(*row)

    def count_recorded(self, after: int, until: int, types: Iterable[str]) -> int:
        """Count the events of these stored names at the positions (after, until]; none of orders."""
        with self.database.cursor() as cursor:
            return count_recorded_in(cursor, after, until, types)

    def recorded_at_positions(self, positions: Iterable[int]) -> list[Recorded]:
        """Read the events at these positions, in order."""
        with self.database.cursor() as cursor:
            cursor.execute(
                "SELECT position, state FROM event WHERE position = ANY(%s) ORDER BY position", (list(positions),)
            )
            return [recorded(*row) for row in cursor]

    def documents_at(self, positions: Iterable[int]) -> list[StoredDocument]:
        """Read the stored bytes of the events at these positions, in order."""
        with self.database.cursor() as cursor:
            cursor.execute(
                "SELECT position, state FROM event WHERE position = ANY(%s) ORDER BY position", (list(positions),)
            )
            return [StoredDocument(*row) for row in cursor]

    def documents(self, after: int, limit: int) -> list[StoredDocument]:
        """Read the stored bytes of the events behind a position, in order."""
        with self.database.cursor() as cursor:
            cursor.execute(
                "SELECT position, state FROM event WHERE position > %s ORDER BY position LIMIT %s", (after, limit)
            )
            return [StoredDocument(*row) for row in cursor]

    def documents_soon(
        self, after: int, limit: int, *, milliseconds: int, is_stopping: Callable[[], bool] = lambda: False
    ) -> list[StoredDocument]:
        """Read the events behind a position as soon as there is one, at the latest after so long or when stopping."""
        deadline = time.monotonic_ns() + milliseconds * 1_000_000
        listening = self.database.connect()
        try:
            with listening.cursor() as cursor:
                cursor.execute("LISTEN " + CHANNEL)
            while True:
                documents = self.documents(after, limit)
                left = (deadline - time.monotonic_ns()) // 1_000_000
                if documents or left <= 0 or is_stopping():
                    return documents
                wait_for_notification(listening, min(left, STOPPING_MILLISECONDS))
        finally:
            listening.close()

    def stream_documents(self, subject: str) -> list[StoredDocument]:
        """Read the stored bytes of one stream, oldest first."""
        with self.database.cursor() as cursor:
            cursor.execute("SELECT position, state FROM event WHERE subject = %s ORDER BY version", (subject,))
            return [StoredDocument(*row) for row in cursor]

    def recorded_at(self, position: int) -> datetime | None:
        """Tell when the event at a position was recorded; None where there is none."""
        with self.database.cursor() as cursor:
            cursor.execute("SELECT recorded_at FROM event WHERE position = %s", (position,))
            row = cursor.fetchone()
            return row[0] if row else None

    def position_at(self, instant: datetime) -> int:
        """Give the last position recorded at or before an instant, 0 where there was none.

        recorded_at never decreases with position, so this is a binary search over the primary key.
        """
        low, high = 0, self.head()
        while low < high:
            middle = (low + high + 1) // 2
            at = self.recorded_at(middle)
            assert at is not None, "positions have no gaps"
            low, high = (middle, high) if at <= instant else (low, middle - 1)
        return low

    def settings(self) -> LedgerOpened | None:
        """Give the ledger's settings; None of a ledger that was not initialised."""
        events = self.stream(LEDGER_SUBJECT)
        if not events:
            return None
        opened = events[0].data
        assert isinstance(opened, LedgerOpened), "the ledger's stream begins with ledger.opened"
        return opened

    def asks_four_eyes(self) -> bool:
        """Say whether somebody else than the proposer must approve a rule change; not before the ledger is opened."""
        settings = self.settings()
        return settings is not None and settings.four_eyes

    def calendar(self) -> Calendar:
        """Give the ledger's fiscal calendar."""
        return calendar_of(self.settings())

    def today(self) -> date:
        """Give the business date that it is in the ledger's time zone."""
        return self.business_date(self.clock())

    def business_date(self, instant: datetime) -> date:
        """Give the date that an instant is of in the ledger's time zone."""
        return instant.astimezone(self.time_zone()).date()

    def begin_of(self, day: date) -> datetime:
        """Give the instant at which a business day begins."""
        return datetime.combine(day, datetime.min.time(), self.time_zone())

    def time_zone(self) -> tzinfo:
        """Give the zone of business dates."""
        settings = self.settings()
        return UTC if settings is None or settings.time_zone == "UTC" else ZoneInfo(settings.time_zone)

    def rulebook(self, *, refresh: bool = True) -> Rulebook:
        """Give the latest rulebook; without refreshing, the latest that this process has read."""
        return self._rulebooks.latest(refresh=refresh)

    def rulebook_at(self, position: int) -> Rulebook:
        """Give the rulebook as known at a position."""
        return self._rulebooks.known_at(position)

    def closings(self, position: int | None = None) -> Closings:
        """Give what is closed, restated and carried forward, as known at a position; None: the latest."""
        return self._closings.latest() if position is None else self._closings.known_at(position)

    def closings_of(self, version: int) -> Closings | None:
        """Give the closings as they were at a version; None where it is not reached yet."""
        return self._closings.of_version(version)


class _Folded(Generic[State]):
    """The state of one stream at any version, folded from its events, each of which is read once."""

    def __init__(
        self, database: Database, subject: str, empty: State, evolve: Callable[[State, Recorded], State]
    ) -> None:
        self._database = database
        self._subject = subject
        self._evolve = evolve
        self._empty = self._latest = empty
        self._lock = threading.Lock()
        self._events: list[Recorded] = []
        self._cached = lru_cache(maxsize=32)(self._folded)

    def latest(self, *, refresh: bool = True) -> State:
        """Give the latest state; without refreshing, the latest that was read."""
        if refresh:
            self._read()
        return self._latest

    def known_at(self, position: int) -> State:
        """Give the state as known at a position."""
        self._read()
        known = [event for event in self._events if event.position <= position]
        return self._cached(known[-1].version if known else 0)

    def of_version(self, version: int) -> State | None:
        """Give the state at a version; None where it is not reached yet."""
        latest = self.latest()
        if version == latest.version:
            return latest
        return self._cached(version) if 0 <= version < latest.version else None

    def _folded(self, version: int) -> State:
        state = self._empty
        for event in self._events[:version]:
            state = self._evolve(state, event)
        return state

    def _read(self) -> None:
        with self._lock:
            for position, text in self._rows(self._latest.version):
                event = recorded(position, text)
                self._latest = self._evolve(self._latest, event)
                self._events.append(event)

    def _rows(self, after_version: int) -> Iterator[tuple[int, str]]:
        with self._database.cursor() as cursor:
            cursor.execute(
                "SELECT position, state FROM event WHERE subject = %s AND version > %s ORDER BY version",
                (self._subject, after_version),
            )
            yield from cursor
