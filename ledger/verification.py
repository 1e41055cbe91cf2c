"""Verifying the ledger: every stored byte, hash, position, version, the head, the keys and every checkpoint.

What is found wrong is told, not refused: where, and what. Whoever changes an event leaves a leaf that is not the
tree's; whoever changes the tree too, a root that was not signed; whoever cuts the ledger off, one shorter than what the
signer remembers. What came after the last checkpoint is held by the tree alone.
Source: design, section 5, "Tamper evidence"; RFC 6962.
"""

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime

import msgspec

from ledger.database import Connection, Cursor, Database
from ledger.events import (
    NAMES,
    CheckpointCosigned,
    CheckpointEvent,
    CheckpointIssued,
    SigningKeyIntroduced,
    decode,
    read_envelope,
)
from ledger.findings import FINDINGS_MAX, KeptCheckpoint, Verified, span
from ledger.kept_blocks import KeptBlocks
from ledger.merkle import BLOCK_LEAVES, HASH_BYTES, completed_block, grow, leaf_hash, root_hash, split_hashes
from ledger.progress import Progress, no_progress
from ledger.protection import check_protection, has_tables
from ledger.rulebook import SUBJECT as RULEBOOK_SUBJECT
from ledger.signed import Signed, check_key_at_hand, remembered, signed_size
from ledger.signing import Signer
from ledger.wording import say

_FETCH_ROWS = 2_000
_PROGRESS_EVENTS = 10_000
_COLUMNS = ("subject", "version", "type", "source", "event_id", "actor", "recorded_at", "effective_on")
_READABLE = "CASE WHEN {0} BETWEEN '0001-01-02' AND '9999-12-30' THEN {0} END"
_EVENTS = (
    f"SELECT position, state, {', '.join(_COLUMNS[:-2])},"  # noqa: S608 - names of ours
    f" {_READABLE.format('recorded_at')}, {_READABLE.format('effective_on')} FROM event ORDER BY position"
)
_HEAD = f"SELECT position, {_READABLE.format('recorded_at')}, rulebook_version, root, frontier FROM head"  # noqa: S608
_PLACES = (
    "SELECT position, subject, version, place FROM ("
    " SELECT position, subject, version, row_number() OVER (PARTITION BY subject ORDER BY position) AS place FROM event"
    ") AS placed WHERE version <> place ORDER BY position LIMIT %s"
)
_TWICE = (
    "SELECT source, event_id, array_agg(position ORDER BY position) FROM event GROUP BY source, event_id"
    " HAVING count(*) > 1 ORDER BY 3 LIMIT %s"
)


def verify_ledger(
    database: Database,
    kept: Sequence[KeptCheckpoint] = (),
    *,
    signer: Signer | None = None,
    progress: Progress = no_progress,
) -> Verified:
    """Read the whole ledger, as it is at the moment, and check it against itself and what others keep of it.

    Shape: `progress` is called with the events read so far and their number.
    """
    verified = Verified()
    kept = [*remembered(signer, verified), *kept]
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True, autocommit=False)
        verified.is_read = has_tables(cursor, verified)
        if not verified.is_read:
            return verified
        reading = _Reading(connection, verified, {each.size for each in kept})
        reading.read_events(progress)
        reading.check_head(cursor)
        _check_places(cursor, verified)
        check_protection(cursor, verified)
        Signed(verified, reading.signed_roots).check(reading.signed, kept)
    check_key_at_hand(signer, verified)
    return verified


class _Reading:
    """One pass over the events, in order: the tree that the kept leaves make, and what of it does not fit."""

    def __init__(self, connection: Connection, verified: Verified, sizes: set[int]) -> None:
        self._connection = connection
        self._verified = verified
        self._blocks = KeptBlocks(connection, verified)
        self._size = 0
        self._peaks: list[bytes] = []  # of the tree as its leaves were kept
        self._actual: list[bytes] | None = None  # of the tree of the bytes as they are, once these differ
        self._changed: list[tuple[int, bytes]] = []
        self._is_broken = False  # a leaf is missing: from there on there is no tree
        self._last_recorded_at: datetime | None = None
        self._rulebook_version = 0
        self._sizes = sizes
        self.signed: list[tuple[int, CheckpointEvent]] = []
        self.signed_roots = dict[int, bytes]()

    def read_events(self, progress: Progress) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM event")
            (total,) = cursor.fetchone() or (0,)
            cursor.execute("SELECT state FROM event WHERE type = %s", (NAMES[CheckpointIssued],))
            self._sizes |= {size for (state,) in cursor if (size := signed_size(state))}
        with self._connection.cursor(name="events") as cursor:
            cursor.itersize = _FETCH_ROWS
            cursor.execute(_EVENTS)
            for number, (position, state, *columns) in enumerate(cursor, 1):
                self._read(position, state, columns)
                if number % _PROGRESS_EVENTS == 0:
                    progress(number, total)
        progress(total, total)

    def _read(self, position: int, state: str, columns: list[object]) -> None:
        self._check_document(position, state, columns)
        if position <= self._size:
            self._verified.note("event", span(position), say("this position is there twice, or is none"))
            return
        if position > self._size + 1:
            self._miss(position)
        leaf = leaf_hash(state.encode())
        kept = None if self._is_broken else self._blocks.leaf(position)
        if kept is not None and kept != leaf:
            self._changed.append((position, leaf))
            if self._actual is None:
                self._actual = list(self._peaks)
        self._grow(position, leaf, kept)

    def _miss(self, position: int) -> None:
        """Tell which positions are missing; as far as their leaves were kept, the tree goes on with them."""
        first, last = self._size + 1, position - 1
        said = say("nothing is there: the events of these positions were removed")
        self._verified.note("event", span(first, last), said)
        if self._actual is None:
            self._actual = list(self._peaks)
        for missing in range(first, min(last, self._blocks.last_position) + 1):
            kept = self._blocks.leaf(missing)
            if kept is None:
                break
            self._grow(missing, bytes(HASH_BYTES), kept)
        self._is_broken = self._is_broken or self._size < last
        self._size = last

    def _grow(self, position: int, leaf: bytes, kept: bytes | None) -> None:
        if self._is_broken:
            self._size = position
            return
        if position % BLOCK_LEAVES == 0:
            self._blocks.check_root(position // BLOCK_LEAVES - 1, completed_block(self._peaks, kept or leaf))
        if self._actual is not None:
            grow(self._actual, self._size, leaf)
        grow(self._peaks, self._size, kept or leaf)
        self._size = position
        if position in self._sizes:
            self.signed_roots[position] = self._both_roots()[1]

    def _both_roots(self) -> tuple[bytes, bytes]:
        """Give the root that the kept leaves make, and the one that the bytes make."""
        if self._is_broken:
            return b"", b""
        root = root_hash(self._peaks)
        return root, root if self._actual is None else root_hash(self._actual)

    def _check_document(self, position: int, state: str, columns: list[object]) -> None:
        """Check that the columns beside a document say what it says, and that it can be read."""
        note = self._verified.note
        try:
            envelope = read_envelope(state)
            data = decode(envelope.type, state)
        except (KeyError, msgspec.MsgspecError) as error:
            note("event", span(position), say("the document can't be read: {error}", error=error))
            return
        said = (
            envelope.subject,
            envelope.version,
            envelope.type,
            envelope.source,
            envelope.id,
            envelope.actor,
            envelope.time,
            envelope.effective,
        )
        if said != tuple(columns):
            for name, own, beside in zip(_COLUMNS, said, columns, strict=True):
                if own != beside:
                    note(
                        "event",
                        span(position),
                        say("the column {name} says {beside}, the document {own}", name=name, beside=beside, own=own),
                    )
        if self._last_recorded_at is not None and envelope.time < self._last_recorded_at:
            note(
                "event", span(position), say("it was recorded at {time}, before the one before it", time=envelope.time)
            )
        self._last_recorded_at = envelope.time
        if envelope.subject == RULEBOOK_SUBJECT:
            self._rulebook_version = envelope.version
        if isinstance(data, SigningKeyIntroduced | CheckpointIssued | CheckpointCosigned):
            self.signed.append((position, data))

    def check_head(self, cursor: Cursor) -> None:
        """Check the head row against the events, and say which of them were changed."""
        verified = self._verified
        verified.size, (kept_root, actual_root) = self._size, self._both_roots()
        verified.root = actual_root
        self._blocks.check_end(self._size)
        cursor.execute(_HEAD)
        rows = cursor.fetchall()
        if len(rows) != 1:
            verified.note(
                "head", say("the head row"), say("there are {rows_count} of it, not one", rows_count=len(rows))
            )
            return
        position, recorded_at, rulebook_version, *hashes = rows[0]
        root, frontier = (bytes(each or b"") for each in hashes)
        if position != self._size:
            verified.note(
                "head",
                say("its position"),
                say("it says {position}, the last event is at {size}", position=position, size=self._size),
            )
        if self._last_recorded_at is not None and recorded_at != self._last_recorded_at:
            verified.note(
                "head",
                say("its recorded_at"),
                say(
                    "it says {recorded_at}, the last event {last_recorded_at}",
                    recorded_at=recorded_at,
                    last_recorded_at=self._last_recorded_at,
                ),
            )
        if rulebook_version != self._rulebook_version:
            said = say(
                "it says {rulebook_version}, the rulebook's last event is version {last_version}",
                rulebook_version=rulebook_version,
                last_version=self._rulebook_version,
            )
            verified.note("head", say("its rulebook_version"), said)
        if position == self._size and root not in (kept_root, actual_root):
            self._tell_root(root, frontier)
        elif position == self._size and frontier not in self._frontiers():
            verified.note("head", say("its frontier"), say("it is not that of the events"))
        self._tell_changed(root, kept_root)

    def _frontiers(self) -> list[bytes]:
        """Give the frontier that the kept leaves make, and the one that the bytes make."""
        return [b"".join(peaks) for peaks in (self._peaks, self._actual) if peaks is not None]

    def _tell_root(self, root: bytes, frontier: bytes) -> None:
        """Tell that the head's root is another one; where its frontier makes that root, of which events."""
        kept = split_hashes(frontier)
        if root_hash(kept) != root or len(kept) != len(self._peaks):
            self._verified.note(
                "head", say("its root"), say("it says {root}, which the events do not have", root=root.hex())
            )
            return
        end = 0
        bits = [bit for bit in reversed(range(self._size.bit_length())) if self._size >> bit & 1]
        for bit, own, other in zip(bits, self._peaks, kept, strict=True):
            start, end = end + 1, end + (1 << bit)
            if own != other:
                said = say("the head's root is not that of these events: they were changed")
                self._verified.note("event", span(start, end), said)

    def _tell_changed(self, root: bytes, kept_root: bytes) -> None:
        for position, leaf in self._changed:
            said = say(
                "these are not the bytes that were recorded: their leaf is {leaf}, the tree keeps another",
                leaf=leaf.hex(),
            )
            if root != kept_root:
                said += say(" (or the leaf that the tree keeps was changed)")
            self._verified.note("event", span(position), said)


def _check_places(cursor: Cursor, verified: Verified) -> None:
    """Check that each stream's versions count its events, and that each id is there once."""
    cursor.execute(_PLACES, (FINDINGS_MAX + 1,))
    for position, subject, version, place in cursor.fetchall():
        verified.note(
            "stream",
            span(position),
            say(
                "{subject} has version {version} there, in place {place}", subject=subject, version=version, place=place
            ),
        )
    cursor.execute(_TWICE, (FINDINGS_MAX + 1,))
    for source, event_id, positions in cursor.fetchall():
        said = say(
            "the id {event_id} of {source} is there {positions_count} times: {positions}",
            event_id=event_id,
            source=source,
            positions_count=len(positions),
            positions=", ".join(map(str, positions)),
        )
        verified.note("event", span(positions[-1]), said)
