"""Append: the one way into the ledger. Concurrent appends join one transaction and each gets its own verdict.

A group commit locks the head row, numbers the events contiguously, writes them, grows the Merkle tree, stores the new
head and commits; the head row keeps any number of processes safe, threads of one process share a commit. Whatever is
unique (an event's id, its place in its stream) is unique in the database: the fast way writes and lets the database
object; only then the careful way looks up who it was. An unknown outcome (the connection lost at the commit) is
resolved by looking for the events' ids, never by a blind retry.
Source: design, section 5, "Append"; invariants 2 and 8.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from struct import Struct as Layout
from typing import Protocol

import msgspec
import psycopg2
from psycopg2.errors import UniqueViolation

from ledger import idempotency, rulebook
from ledger.database import Connection, Cursor, Database, one
from ledger.events import Envelope, encode
from ledger.idempotency import Key
from ledger.merkle import BLOCK_LEAVES, completed_block, grow, leaf_hash, root_hash, split_hashes

CHANNEL = "ledger_head"
GROUP_EVENTS_MAX = 10_000
ATTEMPTS_MAX = 5
PAUSE_MILLISECONDS = 100
_COPY = (
    "COPY event (position, subject, version, type, source, event_id, actor, recorded_at, effective_on, state)"
    " FROM STDIN (FORMAT binary)"
)
_LOCK_HEAD = "SELECT position, recorded_at, rulebook_version, frontier FROM lock_head()"
_STORE_HEAD = "SELECT store_head(%s, %s, %s, %s, %s)"
_STATES = "SELECT state FROM event WHERE position > %s AND position <= %s ORDER BY position"
_STORE_BLOCKS = (
    "INSERT INTO merkle_block (number, root, leaves) SELECT * FROM unnest(%s::bigint[], %s::bytea[], %s::bytea[])"
)
_COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_COPY_TRAILER = b"\xff\xff"
_CHUNK_ROWS = 64
_POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_POSTGRES_DAY_0 = date(2000, 1, 1).toordinal()


class NewEvent(msgspec.Struct, frozen=True, gc=False):
    """An event to be appended. `state` is given only by the library's recorders, whose bytes are kept as they are, and
    by a restore, which gives the moment too.
    """

    subject: str
    version: int
    type: str
    source: str
    event_id: str
    actor: str
    effective_on: date
    data: bytes = b""
    state: bytes | None = None
    recorded_at: datetime | None = None


@dataclass(frozen=True)
class Append:
    """Events that are appended all or not at all, if the rulebook is still at the version they were judged by.

    With a key, only if that did not take effect before; it is noted in the same transaction.
    """

    events: Sequence[NewEvent]
    rulebook_version: int | None = None
    key: Key | None = None


@dataclass(frozen=True)
class Appended:
    """Stored: the first event's position (the others follow it without a gap) and the moment."""

    first_position: int
    recorded_at: datetime


@dataclass(frozen=True)
class StoredId:
    """An event id that is taken: by which event, at which position."""

    source: str
    event_id: str
    position: int
    type: str
    subject: str
    state: str


@dataclass(frozen=True)
class IdsTaken:
    """Not stored: some of the ids are in the ledger already."""

    stored: tuple[StoredId, ...]


@dataclass(frozen=True)
class VersionTaken:
    """Not stored: a stream is further on (`actual`) than the event for it (`version`) supposed."""

    subject: str
    version: int
    actual: int


@dataclass(frozen=True)
class RulebookMoved:
    """Not stored: the rulebook is at `actual` now, not at the version the events were judged by."""

    actual: int


@dataclass(frozen=True)
class KeyTaken:
    """Not stored: the request's idempotency key took effect before."""


Verdict = Appended | IdsTaken | VersionTaken | RulebookMoved
"""What becomes of an append; of one with a key, it may also be KeyTaken."""


@dataclass
class Head:
    """The head row, held by a lock: where the ledger ends, and the Merkle peaks it grows from.

    Shape: `new_leaves` ends with the leaf at `position`; `new_blocks` are the roots of the blocks completed by it.
    """

    position: int
    recorded_at: datetime
    rulebook_version: int
    peaks: list[bytes]
    new_leaves: list[bytes] = field(default_factory=list)
    new_blocks: list[bytes] = field(default_factory=list)

    def add(self, state: bytes) -> None:
        """Let the tree grow by an event's stored bytes."""
        leaf = leaf_hash(state)
        self.new_leaves.append(leaf)
        if (self.position + 1) % BLOCK_LEAVES == 0:
            self.new_blocks.append(completed_block(self.peaks, leaf))
        grow(self.peaks, self.position, leaf)
        self.position += 1


@dataclass(eq=False)
class _Ticket:
    append: Append
    turn: threading.Lock = field(default_factory=threading.Lock)
    planned: Appended | None = None  # what it will be if the commit under way succeeds
    verdict: Verdict | KeyTaken | None = None
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.turn.acquire()

    @property
    def answered(self) -> bool:
        return self.verdict is not None or self.error is not None


def utc_now() -> datetime:
    """Read the server's clock."""
    return datetime.now(UTC)


class Sequencer:
    """Appends to one database; safe from many threads, which is its fast form, and from many processes."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._clock = clock
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._queue: list[_Ticket] = []
        self._led = False
        self.observe: Callable[[int, int], None] = lambda events, nanoseconds: None
        """Told of each append that got its verdict: the events appended, and the time that it took."""

    def append(self, append: Append) -> Verdict | KeyTaken:
        """Append all events or none, and say what became of them.

        Errors: psycopg2.OperationalError when the database can't be reached, also to find out whether a commit that
        was under way succeeded: send the same events again, their ids tell.
        """
        if not append.events:
            raise ValueError("an append carries at least one event")
        started = time.perf_counter_ns()
        ticket = _Ticket(append)
        with self._lock:
            self._queue.append(ticket)
            lead, self._led = not self._led, True
        if not lead:
            ticket.turn.acquire()
        if not ticket.answered:
            self._lead(ticket)
        if ticket.error is not None:
            raise ticket.error
        assert ticket.verdict is not None
        events = len(append.events) if isinstance(ticket.verdict, Appended) else 0
        self.observe(events, time.perf_counter_ns() - started)
        return ticket.verdict

    def rehearse(self, append: Append) -> Verdict | KeyTaken:
        """Say what would become of an append now, and append nothing."""
        with self._database.transaction("ISOLATION LEVEL REPEATABLE READ, READ ONLY") as cursor:
            cursor.execute("SELECT position, recorded_at, rulebook_version FROM head")
            position, recorded_at, rulebook_version = one(cursor)
            head = Head(position, recorded_at, rulebook_version, peaks=[])
            verdict = _Judge(cursor, head, [append], careful=True).verdict(append)
        return verdict or Appended(head.position + 1, max(self._clock(), head.recorded_at))

    def close(self) -> None:
        """Close the connection; appending again opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _lead(self, own: _Ticket) -> None:
        group = list[_Ticket]()
        try:
            self._commit(group)
        except BaseException as error:
            group += self._take_group(len(group))
            reason = error if isinstance(error, Exception) else RuntimeError("the append was interrupted")
            for ticket in group:
                if not ticket.answered:
                    ticket.error = reason
            if reason is not error:
                raise
        finally:
            with self._lock:
                self._led = bool(self._queue)
                if self._led:
                    self._queue[0].turn.release()
            for ticket in group:
                if ticket is not own:
                    ticket.turn.release()

    def _take_group(self, taken: int = 0) -> list[_Ticket]:
        """Take the waiting tickets, as many as a group may have; the first of a new group whatever its size."""
        with self._lock:
            count, events = 0, 0
            for ticket in self._queue:
                events += len(ticket.append.events)
                if taken + count and events > GROUP_EVENTS_MAX:
                    break
                count += 1
            group, self._queue = self._queue[:count], self._queue[count:]
        return group

    def _commit(self, group: list[_Ticket]) -> None:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                self._resolve(group)
                self._commit_once(group)
                return
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                self.close()
                self._database.close()  # a server that went away left the idle connections dead too
                if attempt == ATTEMPTS_MAX:
                    raise
                time.sleep(attempt * PAUSE_MILLISECONDS / 1000)

    def _commit_once(self, group: list[_Ticket]) -> None:
        if group and all(ticket.answered for ticket in group):
            return
        if self._connection is None:
            self._connection = self._database.connect()
        with self._connection.cursor() as cursor:
            try:
                try:
                    self._write_group(cursor, group, careful=False)
                except UniqueViolation:
                    cursor.execute("ROLLBACK")
                    self._write_group(cursor, group, careful=True)
            except BaseException:
                if not self._connection.closed:
                    cursor.execute("ROLLBACK")
                raise

    def _write_group(self, cursor: Cursor, tickets: list[_Ticket], *, careful: bool) -> None:
        """Judge, write and commit a group; not careful, UniqueViolation says that something was there already."""
        head = lock_head(cursor, begin=True)
        tickets += self._take_group(len(tickets))  # whoever came while the head was another's joins
        group = [ticket for ticket in tickets if not ticket.answered]
        judge = _Judge(cursor, head, [ticket.append for ticket in group], careful=careful)
        verdicts = [judge.verdict(ticket.append) for ticket in group]
        position = head.position + 1
        accepted = [ticket.append for ticket, verdict in zip(group, verdicts, strict=True) if verdict is None]
        recorded_at = max(self._clock(), head.recorded_at)
        for ticket, verdict in zip(group, verdicts, strict=True):
            ticket.planned = None if verdict else Appended(position, recorded_at)
            position += 0 if verdict else len(ticket.append.events)
        write(cursor, head, [event for append in accepted for event in append.events], recorded_at)
        for ticket in group:
            if ticket.append.key is not None and ticket.planned is not None:
                idempotency.note(cursor, ticket.append.key, ticket.planned.first_position, at=recorded_at)
        cursor.execute("COMMIT; NOTIFY " + CHANNEL if accepted else "COMMIT")
        for ticket, verdict in zip(group, verdicts, strict=True):
            ticket.verdict = verdict or ticket.planned

    def _resolve(self, group: list[_Ticket]) -> None:
        """Find out which appends of a lost commit were stored: those whose events stand where they were planned."""
        for ticket in group:
            if ticket.planned is not None:
                with self._database.cursor() as cursor:
                    stored = _stand_as_planned(cursor, ticket.append.events, ticket.planned)
                ticket.verdict, ticket.planned = (ticket.planned if stored else None), None


def lock_head(cursor: Cursor, *, begin: bool = False) -> Head:
    """Hold the head row: nobody else appends until the transaction, begun here if asked, ends."""
    cursor.execute("BEGIN; " + _LOCK_HEAD if begin else _LOCK_HEAD)
    position, recorded_at, rulebook_version, frontier = one(cursor)
    return Head(position, recorded_at, rulebook_version, split_hashes(bytes(frontier)))


def write(cursor: Cursor, head: Head, events: Sequence[NewEvent], recorded_at: datetime) -> None:
    """Write judged events after the held head, and the new head; the caller commits.

    Errors: UniqueViolation when an id or a place in a stream is taken.
    """
    if not events:
        return
    cursor.copy_expert(_COPY, _Rows(head, events, recorded_at))
    frontier = b"".join(head.peaks)
    cursor.execute(_STORE_HEAD, (head.position, recorded_at, head.rulebook_version, root_hash(head.peaks), frontier))
    if head.new_blocks:
        _write_blocks(cursor, head)


def _write_blocks(cursor: Cursor, head: Head) -> None:
    """Keep the blocks of the tree that are completed; the first of them may have begun with events of before."""
    first = head.position // BLOCK_LEAVES - len(head.new_blocks)
    missing = head.position - len(head.new_leaves) - first * BLOCK_LEAVES
    leaves = head.new_leaves[max(-missing, 0) :]
    if missing > 0:
        cursor.execute(_STATES, (first * BLOCK_LEAVES, first * BLOCK_LEAVES + missing))
        leaves = [*(leaf_hash(state.encode()) for (state,) in cursor.fetchall()), *leaves]
    rows = [
        (first + number, root, b"".join(leaves[number * BLOCK_LEAVES : (number + 1) * BLOCK_LEAVES]))
        for number, root in enumerate(head.new_blocks)
    ]
    cursor.execute(_STORE_BLOCKS, tuple(map(list, zip(*rows, strict=True))))
    head.new_leaves, head.new_blocks = leaves[len(rows) * BLOCK_LEAVES :], []


def _stand_as_planned(cursor: Cursor, events: Sequence[NewEvent], planned: Appended) -> bool:
    cursor.execute(
        "SELECT source, event_id FROM event"
        " WHERE position >= %s AND position < %s AND recorded_at = %s ORDER BY position",
        (planned.first_position, planned.first_position + len(events), planned.recorded_at),
    )
    return cursor.fetchall() == [(event.source, event.event_id) for event in events]


class Identified(Protocol):
    """Anything that carries an event's identity."""

    @property
    def source(self) -> str:
        """Who numbered it."""

    @property
    def event_id(self) -> str:
        """How it was numbered."""


def stored_ids(cursor: Cursor, events: Sequence[Identified]) -> list[StoredId]:
    """Look up which of these events' ids are in the ledger."""
    cursor.execute(
        "SELECT source, event_id, position, type, subject, state FROM event"
        " JOIN unnest(%s, %s) AS asked (source, event_id) USING (source, event_id)",
        ([event.source for event in events], [event.event_id for event in events]),
    )
    return [StoredId(*row) for row in cursor.fetchall()]


class _Judge:
    """Says of each append of a group, in order, what forbids it; knows what the ones before it bring."""

    def __init__(self, cursor: Cursor, head: Head, appends: Sequence[Append], *, careful: bool) -> None:
        self._position = head.position
        self._recorded_at = head.recorded_at
        self._careful = careful
        self._rulebook_version = head.rulebook_version
        if careful:
            events = [event for append in appends for event in append.events]
            self._ids = {(stored.source, stored.event_id): stored for stored in stored_ids(cursor, events)}
            self._versions = stream_versions(cursor, {event.subject for event in events})
            keys = [append.key for append in appends if append.key is not None]
            self._keys = idempotency.taken(cursor, keys) if keys else set()

    def verdict(self, append: Append) -> Verdict | KeyTaken | None:
        """Give the verdict that forbids this append, or None."""
        if append.rulebook_version not in (None, self._rulebook_version):
            return RulebookMoved(self._rulebook_version)
        if self._careful and (verdict := self._taken(append)) is not None:
            return verdict
        for event in append.events:
            if event.subject == rulebook.SUBJECT:
                self._rulebook_version = event.version
        return None

    def _taken(self, append: Append) -> Verdict | KeyTaken | None:
        if append.key is not None and append.key.identity in self._keys:
            return KeyTaken()
        ids = [(event.source, event.event_id) for event in append.events]
        if taken := tuple(self._ids[key] for key in ids if key in self._ids):
            return IdsTaken(taken)
        versions = dict[str, int]()
        for event in append.events:
            actual = versions.get(event.subject, self._versions.get(event.subject))
            if actual is not None and event.version != actual + 1:
                return VersionTaken(event.subject, event.version, actual)
            versions[event.subject] = event.version
        self._versions.update(versions)
        if append.key is not None:
            self._keys.add(append.key.identity)
        for event in append.events:
            self._position += 1
            state = event.state or _document(event, self._recorded_at)
            self._ids[event.source, event.event_id] = StoredId(
                event.source, event.event_id, self._position, event.type, event.subject, state.decode()
            )
        return None


def stream_versions(cursor: Cursor, subjects: set[str]) -> dict[str, int]:
    """Give the latest version of each of these streams that is there."""
    cursor.execute(
        "SELECT asked.subject, latest.version FROM unnest(%s) AS asked (subject), LATERAL ("
        " SELECT version FROM event WHERE event.subject = asked.subject ORDER BY version DESC LIMIT 1) AS latest",
        (list(subjects),),
    )
    return dict(cursor.fetchall())


class _Rows:
    """The events as PostgreSQL's binary COPY, made while the server already takes the first of them.

    Source: PostgreSQL manual, COPY, "Binary Format".
    """

    def __init__(self, head: Head, events: Sequence[NewEvent], recorded_at: datetime) -> None:
        self._head = head
        self._recorded_at = recorded_at
        self._chunks = self._made(events)

    def read(self, _size: int = -1, /) -> bytes:
        """Give the next chunk, of whatever size; empty at the end."""
        return next(self._chunks, b"")

    readline = read

    def _made(self, events: Sequence[NewEvent]) -> Iterator[bytes]:
        yield _COPY_HEADER
        for start in range(0, len(events), _CHUNK_ROWS):
            yield b"".join([self._row(event) for event in events[start : start + _CHUNK_ROWS]])
        yield _COPY_TRAILER

    def _row(self, event: NewEvent) -> bytes:
        head, recorded_at = self._head, event.recorded_at or self._recorded_at
        state = event.state if event.state is not None else _document(event, recorded_at)
        head.add(state)
        if event.subject == rulebook.SUBJECT:
            head.rulebook_version = event.version
        subject, event_id = event.subject.encode(), event.event_id.encode()
        return b"".join(
            (
                _POSITION(10, 8, head.position, len(subject)),
                subject,
                _VERSION(4, event.version),
                _field(event.type),
                _field(event.source),
                _LENGTH(len(event_id)),
                event_id,
                _field(event.actor),
                _DATES(8, _microseconds(recorded_at), 4, event.effective_on.toordinal() - _POSTGRES_DAY_0, len(state)),
                state,
            )
        )


_POSITION = Layout("!hiqi").pack
_VERSION = Layout("!ii").pack
_LENGTH = Layout("!i").pack
_DATES = Layout("!iqiii").pack


def _document(event: NewEvent, recorded_at: datetime) -> bytes:
    return encode(
        Envelope(
            id=event.event_id,
            source=event.source,
            type=event.type,
            subject=event.subject,
            version=event.version,
            time=recorded_at,
            effective=event.effective_on,
            actor=event.actor,
            data=msgspec.Raw(event.data),
        )
    )


@lru_cache(maxsize=4096)
def _field(text: str) -> bytes:
    data = text.encode()
    return _LENGTH(len(data)) + data


@lru_cache(maxsize=4)
def _microseconds(instant: datetime) -> int:
    return (instant - _POSTGRES_EPOCH) // timedelta(microseconds=1)
