"""Reading the ledger: streams, the one order of events, the head, and the rulebook at any position.

All SQL over the event table is here, in sequencer.py (appending) and in recorders.py (the library's interface).
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from ledger import rulebook as rulebooks
from ledger.database import Database, one, wait_for_notification
from ledger.events import LedgerOpened, Recorded, recorded
from ledger.rulebook import Rulebook
from ledger.sequencer import CHANNEL, Sequencer, utc_now

LEDGER_SUBJECT = "ledger"
STOPPING_MILLISECONDS = 500
SOURCE = "orderledger"
"""The `source` of events that the ledger itself numbers."""


@dataclass(frozen=True)
class StoredDocument:
    """A stored event as the feed hands it out: its position and its bytes."""

    position: int
    state: str

    def cloud_event(self) -> bytes:
        """Give the document with its position, as the CloudEvents extension `sequence`."""
        return f'{self.state[:-1]},"sequence":"{self.position}"}}'.encode()


class Store:
    """One ledger: what is in it, and the sequencer that appends to it."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.database = database
        self.clock = clock
        self.sequencer = Sequencer(database, clock=clock)
        self._lock = threading.Lock()
        self._rulebook_events: list[Recorded] = []
        self._latest_rulebook = rulebooks.EMPTY
        self._rulebook_known_at = lru_cache(maxsize=32)(self._folded_rulebook)

    def close(self) -> None:
        """Close the connections."""
        self.sequencer.close()
        self.database.close()

    def head(self) -> int:
        """Give the last position, 0 of an empty ledger."""
        with self.database.cursor() as cursor:
            cursor.execute("SELECT position FROM head")
            position: int = one(cursor)[0]
            return position

    def stream(self, subject: str) -> list[Recorded]:
        """Read one stream, oldest first."""
        return self.streams([subject]).get(subject, [])

    def streams(self, subjects: Iterable[str]) -> dict[str, list[Recorded]]:
        """Read several streams at once; a subject without events is left out."""
        found = dict[str, list[Recorded]]()
        with self.database.cursor() as cursor:
            cursor.execute(
                "SELECT subject, position, state FROM event WHERE subject = ANY(%s) ORDER BY subject, version",
                (list(subjects),),
            )
            for subject, position, state in cursor:
                found.setdefault(subject, []).append(recorded(position, state))
        return found

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

    def rulebook(self, *, refresh: bool = True) -> Rulebook:
        """Give the latest rulebook; without refreshing, the latest that this process has read."""
        if refresh:
            self._read_rulebook()
        return self._latest_rulebook

    def rulebook_at(self, position: int) -> Rulebook:
        """Give the rulebook as known at a position."""
        self._read_rulebook()
        known = [event for event in self._rulebook_events if event.position <= position]
        return self._rulebook_known_at(known[-1].version if known else 0)

    def _folded_rulebook(self, version: int) -> Rulebook:
        return rulebooks.fold(self._rulebook_events[:version])

    def _read_rulebook(self) -> None:
        with self._lock:
            for position, state in self._rulebook_rows(self._latest_rulebook.version):
                event = recorded(position, state)
                self._latest_rulebook = rulebooks.evolve(self._latest_rulebook, event)
                self._rulebook_events.append(event)

    def _rulebook_rows(self, after_version: int) -> Iterator[tuple[int, str]]:
        with self.database.cursor() as cursor:
            cursor.execute(
                "SELECT position, state FROM event WHERE subject = %s AND version > %s ORDER BY version",
                (rulebooks.SUBJECT, after_version),
            )
            yield from cursor
