"""Verifying the ledger: every stored byte, hash, position, version, the head, the keys and every checkpoint.

What is found wrong is told, not refused: where, and what. Whoever changes an event leaves a leaf that is not the
tree's; whoever changes the tree too, a root that was not signed; whoever cuts the ledger off, one shorter than what the
signer remembers. What came after the last checkpoint is held by the tree alone.
Source: design, section 5, "Tamper evidence"; RFC 6962.
"""

import base64
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never

import msgspec

from ledger.checkpoints import is_endorsed
from ledger.database import Connection, Cursor, Database, migrations
from ledger.events import (
    NAMES,
    CheckpointCosigned,
    CheckpointEvent,
    CheckpointIssued,
    SigningKeyIntroduced,
    decode,
    read_envelope,
    recorded,
)
from ledger.merkle import BLOCK_LEAVES, HASH_BYTES, completed_block, grow, leaf_hash, root_hash, split_hashes
from ledger.notes import Note, NoteError, VerifierKey, read_checkpoint, read_note, read_verifier_key
from ledger.rulebook import SUBJECT as RULEBOOK_SUBJECT

FINDINGS_MAX = 20
"""So many findings of one part are told; of further ones their number."""

_FETCH_ROWS = 2_000
_PROGRESS_EVENTS = 10_000
_COLUMNS = ("subject", "version", "type", "source", "event_id", "actor", "recorded_at", "effective_on")
_READABLE = "CASE WHEN {0} BETWEEN '0001-01-02' AND '9999-12-30' THEN {0} END"
_EVENTS = (
    f"SELECT position, state, {', '.join(_COLUMNS[:-2])},"  # noqa: S608 - names of ours
    f" {_READABLE.format('recorded_at')}, {_READABLE.format('effective_on')} FROM event ORDER BY position"
)
_HEAD = f"SELECT position, {_READABLE.format('recorded_at')}, rulebook_version, root, frontier FROM head"  # noqa: S608
_BLOCKS = "SELECT number, root, leaves FROM merkle_block ORDER BY number"
_PLACES = (
    "SELECT position, subject, version, place FROM ("
    " SELECT position, subject, version, row_number() OVER (PARTITION BY subject ORDER BY position) AS place FROM event"
    ") AS placed WHERE version <> place ORDER BY position LIMIT %s"
)
_TWICE = (
    "SELECT source, event_id, array_agg(position ORDER BY position) FROM event GROUP BY source, event_id"
    " HAVING count(*) > 1 ORDER BY 3 LIMIT %s"
)

RECORDED_TABLES = ("event", "head", "merkle_block", "access")
PROTECTION = {
    *((table, f"{table}_is_immutable", 58, "refuse_change") for table in ("event", "merkle_block", "access")),
    ("head", "head_is_kept", 42, "refuse_change"),
    ("head", "head_grows", 19, "refuse_unless_head_grows"),
}
"""Tables, triggers, what they fire for (pg_trigger.tgtype) and their functions."""
_TRIGGERS = (
    "SELECT tgrelid::regclass::text, tgname, tgtype::integer, tgfoid::regproc::text FROM pg_trigger"
    " WHERE tgrelid = ANY(%s::regclass[]) AND tgenabled = 'A' AND NOT tgisinternal AND tgqual IS NULL"
)
_RIGHTS = (
    "SELECT name, kind FROM unnest(%s) AS name, unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS kind"
    " WHERE has_table_privilege('orderledger_app', name, kind) ORDER BY name, kind"
)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was recorded: of which part, where, and what."""

    part: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.part}, {self.where}: {self.what}"


@dataclass(frozen=True)
class KeptCheckpoint:
    """A checkpoint that somebody keeps outside the database: what it is called, its size and root.

    Shape: its `note`, where it came as one, must be signed by a key of the ledger.
    """

    name: str
    size: int
    root: bytes
    note: Note | None = None


@dataclass
class Verified:
    """What was verified: so many events with this root, checkpoints and keys; what was found, and what to know."""

    size: int = 0
    root: bytes = b""
    checkpoints: int = 0
    keys: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def note(self, part: str, where: str, what: str) -> None:
        """Note a finding; of many in one part, the first ones."""
        of_part = sum(finding.part == part for finding in self.findings)
        if of_part < FINDINGS_MAX:
            self.findings.append(Finding(part, where, what))
        elif of_part == FINDINGS_MAX:
            self.findings.append(Finding(part, "further on", "there are more, which are not told one by one"))


def verify_ledger(
    database: Database, kept: Sequence[KeptCheckpoint] = (), *, progress: Progress = lambda done, total: None
) -> Verified:
    """Read the whole ledger, as it is at the moment, and check it against itself and what others keep of it.

    Shape: `progress` is called with the events read so far and their number.
    """
    verified = Verified()
    with closing(database.connect()) as connection, connection.cursor() as cursor:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True, autocommit=False)
        reading = _Reading(connection, verified, kept)
        reading.read_events(progress)
        reading.check_head(cursor)
        _check_places(cursor, verified)
        _check_protection(cursor, verified)
        reading.check_checkpoints()
    return verified


class _Reading:
    """One pass over the events, in order: the tree that the kept leaves make, and what of it does not fit."""

    def __init__(self, connection: Connection, verified: Verified, kept: Sequence[KeptCheckpoint]) -> None:
        self._connection = connection
        self._verified = verified
        self._kept = kept
        self._blocks = _Blocks(connection, verified)
        self._size = 0
        self._peaks: list[bytes] = []  # of the tree as its leaves were kept
        self._actual: list[bytes] | None = None  # of the tree of the bytes as they are, once these differ
        self._changed: list[tuple[int, bytes]] = []
        self._is_broken = False  # a leaf is missing: from there on there is no tree
        self._last_recorded_at: datetime | None = None
        self._rulebook_version = 0
        self._proof: list[tuple[int, CheckpointEvent]] = []
        self._signed_size = 0
        self._sizes = {each.size for each in kept}
        self._roots = dict[int, tuple[bytes, bytes]]()

    def read_events(self, progress: Progress) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM event")
            (total,) = cursor.fetchone() or (0,)
            cursor.execute("SELECT state FROM event WHERE type = %s", (NAMES[CheckpointIssued],))
            self._sizes |= {size for (state,) in cursor if (size := _size_of(state))}
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
            self._verified.note("event", f"position {position}", "this position is there twice, or is none")
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
        where = f"position {first}" if first == last else f"positions {first} to {last}"
        self._verified.note("event", where, "nothing is there: the events of these positions were removed")
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
            self._roots[position] = self._both_roots()

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
            note("event", f"position {position}", f"the document can't be read: {error}")
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
                    note("event", f"position {position}", f"the column {name} says {beside}, the document {own}")
        if self._last_recorded_at is not None and envelope.time < self._last_recorded_at:
            note("event", f"position {position}", f"it was recorded at {envelope.time}, before the one before it")
        self._last_recorded_at = envelope.time
        if envelope.subject == RULEBOOK_SUBJECT:
            self._rulebook_version = envelope.version
        if isinstance(data, SigningKeyIntroduced | CheckpointIssued | CheckpointCosigned):
            self._proof.append((position, data))

    def check_head(self, cursor: Cursor) -> None:
        """Check the head row against the events, and say which of them were changed."""
        verified = self._verified
        verified.size, (kept_root, actual_root) = self._size, self._both_roots()
        verified.root = actual_root
        self._blocks.check_end(self._size)
        cursor.execute(_HEAD)
        rows = cursor.fetchall()
        if len(rows) != 1:
            verified.note("head", "the head row", f"there are {len(rows)} of it, not one")
            return
        position, recorded_at, rulebook_version, *hashes = rows[0]
        root, frontier = (bytes(each or b"") for each in hashes)
        if position != self._size:
            verified.note("head", "its position", f"it says {position}, the last event is at {self._size}")
        if self._last_recorded_at is not None and recorded_at != self._last_recorded_at:
            verified.note("head", "its recorded_at", f"it says {recorded_at}, the last event {self._last_recorded_at}")
        if rulebook_version != self._rulebook_version:
            said = f"it says {rulebook_version}, the rulebook's last event is version {self._rulebook_version}"
            verified.note("head", "its rulebook_version", said)
        if position == self._size and root not in (kept_root, actual_root):
            self._tell_root(root, frontier)
        elif position == self._size and frontier not in self._frontiers():
            verified.note("head", "its frontier", "it is not that of the events")
        self._tell_changed(root, kept_root)

    def _frontiers(self) -> list[bytes]:
        """Give the frontier that the kept leaves make, and the one that the bytes make."""
        return [b"".join(peaks) for peaks in (self._peaks, self._actual) if peaks is not None]

    def _tell_root(self, root: bytes, frontier: bytes) -> None:
        """Tell that the head's root is another one; where its frontier makes that root, of which events."""
        kept = split_hashes(frontier)
        if root_hash(kept) != root or len(kept) != len(self._peaks):
            self._verified.note("head", "its root", f"it says {root.hex()}, which the events do not have")
            return
        end = 0
        bits = [bit for bit in reversed(range(self._size.bit_length())) if self._size >> bit & 1]
        for bit, own, other in zip(bits, self._peaks, kept, strict=True):
            start, end = end + 1, end + (1 << bit)
            if own != other:
                where = f"position {start}" if start == end else f"positions {start} to {end}"
                self._verified.note("head", "its root", f"it is not that of the events: at {where} they were changed")

    def _tell_changed(self, root: bytes, kept_root: bytes) -> None:
        for position, leaf in self._changed:
            said = f"these are not the bytes that were recorded: their leaf is {leaf.hex()}, the tree keeps another"
            if root != kept_root:
                said += " (or the leaf that the tree keeps was changed)"
            self._verified.note("event", f"position {position}", said)

    def check_checkpoints(self) -> None:
        """Check the keys, checkpoints and cosignatures, and what is kept outside the database."""
        keys = list[VerifierKey]()
        notes = dict[int, Note]()
        for position, event in self._proof:
            match event:
                case SigningKeyIntroduced():
                    self._check_key(position, event, keys)
                case CheckpointIssued():
                    self._check_checkpoint(position, event, keys, notes)
                case CheckpointCosigned():
                    self._check_cosignature(position, event, notes)
                case _:
                    assert_never(event)
        self._verified.keys = list(map(str, keys))
        self._verified.checkpoints = len(notes)
        for kept in self._kept:
            self._check_root("kept checkpoint", kept.name, (kept.size, kept.root))
            if kept.note is not None and not _is_signed_by_any(kept.note, keys):
                self._verified.note("kept checkpoint", kept.name, "no key that the ledger tells of has signed it")
        self._notice_unsigned()

    def _notice_unsigned(self) -> None:
        """Say what is held by the tree alone, and whether anything outside the database was compared."""
        if not self._kept:
            self._verified.notices.append(
                "nothing kept outside the database was compared: neither the signing key's memory nor a checkpoint;"
                " a ledger that was put back from an old copy looks like this"
            )
        if self._signed_size < self._size:
            self._verified.notices.append(
                f"positions {self._signed_size + 1} to {self._size} came after the last checkpoint that was compared:"
                " only the tree holds them"
            )

    def _check_key(self, position: int, introduced: SigningKeyIntroduced, keys: list[VerifierKey]) -> None:
        try:
            key = read_verifier_key(introduced.vkey)
        except NoteError as error:
            self._verified.note("signing key", f"position {position}", str(error))
            return
        if keys and not is_endorsed(introduced, keys[-1]):
            self._verified.notices.append(
                f"the key of position {position} is not endorsed by the one before: ask who introduced it, and why"
            )
        keys.append(key)

    def _check_checkpoint(
        self, position: int, issued: CheckpointIssued, keys: list[VerifierKey], notes: dict[int, Note]
    ) -> None:
        where = f"position {position}"
        try:
            note = read_note(issued.note)
            _, size, root = read_checkpoint(note.text)
            signed = bool(keys) and note.is_signed_by(keys[-1])
        except NoteError as error:
            self._verified.note("checkpoint", where, str(error))
            return
        if not signed:
            self._verified.note("checkpoint", where, "the key that was introduced last before it has not signed it")
        if (size, base64.b64encode(root).decode()) != (issued.size, issued.root):
            self._verified.note("checkpoint", where, "the event and the note that it holds say different things")
        notes[size] = note
        self._check_root("checkpoint", where, (size, root))

    def _check_root(self, part: str, where: str, signed: tuple[int, bytes]) -> None:
        size, root = signed
        if size > self._size:
            said = f"{size} events were signed, the ledger has {self._size}: {size - self._size} are missing at its end"
            self._verified.note(part, where, said)
        elif root == self._roots.get(size, (b"", b""))[1]:
            self._signed_size = max(size, self._signed_size)
        else:
            said = f"the first {size} events are not those that were signed"
            if 0 < self._signed_size < size:
                said += f"; the first {self._signed_size} are"
            self._verified.note(part, where, said)

    def _check_cosignature(self, position: int, cosigned: CheckpointCosigned, notes: dict[int, Note]) -> None:
        try:
            if cosigned.size not in notes:
                raise NoteError(f"it is of a checkpoint of {cosigned.size} events, which is not there")
            text = notes[cosigned.size].text
            if not read_note(f"{text}\n{cosigned.signature}\n").is_signed_by(read_verifier_key(cosigned.witness)):
                raise NoteError("it is not by the witness that it names")
        except NoteError as error:
            self._verified.note("cosignature", f"position {position}", str(error))


class _Blocks:
    """The blocks of the tree, read beside the events."""

    def __init__(self, connection: Connection, verified: Verified) -> None:
        self._verified = verified
        with connection.cursor() as cursor:
            cursor.execute("SELECT coalesce(max(number), -1) + 1 FROM merkle_block")
            (blocks,) = cursor.fetchone() or (0,)
        self.last_position: int = blocks * BLOCK_LEAVES
        self._rows = self._read(connection)
        self._next = next(self._rows, None)
        self._number = -1
        self._root: bytes | None = None
        self._leaves = b""

    @staticmethod
    def _read(connection: Connection) -> Iterator[tuple[int, bytes, bytes]]:
        with connection.cursor(name="blocks") as cursor:
            cursor.itersize = 64
            cursor.execute(_BLOCKS)
            for number, root, leaves in cursor:
                yield number, bytes(root or b""), bytes(leaves or b"")

    def leaf(self, position: int) -> bytes | None:
        """Give the leaf that was kept of a position; None where its block is not there, or not whole."""
        block, at = divmod(position - 1, BLOCK_LEAVES)
        if block != self._number:
            self._go_to(block)
        return self._leaves[at * HASH_BYTES : (at + 1) * HASH_BYTES] or None

    def _go_to(self, block: int) -> None:
        self._number, self._root, self._leaves = block, None, b""
        while self._next is not None and self._next[0] < block:
            self._verified.note("block", f"block {self._next[0]}", "it is there twice, or out of place")
            self._next = next(self._rows, None)
        if self._next is None or self._next[0] != block:
            return
        _, self._root, leaves = self._next
        self._next = next(self._rows, None)
        if len(leaves) == BLOCK_LEAVES * HASH_BYTES:
            self._leaves = leaves
        else:
            self._verified.note(
                "block", _block(block), f"it has {len(leaves)} bytes of leaves, not those of 256 events"
            )

    def check_root(self, block: int, root: bytes) -> None:
        """Check a block's root where its last event was read."""
        if self._root is None:
            self._verified.note("block", _block(block), "it is not there")
        elif self._root != root:
            said = "its root is not that of its leaves: an event was changed and the tree with it, or the tree alone"
            self._verified.note("block", _block(block), said)

    def check_end(self, size: int) -> None:
        """Check that there is no block behind the last event."""
        if self._number == size // BLOCK_LEAVES and self._root is not None and size % BLOCK_LEAVES:
            self._verified.note("block", _block(self._number), f"it is there, but the events end at {size}")
        while self._next is not None:
            self._verified.note("block", _block(self._next[0]), f"it is there, but the events end at {size}")
            self._next = next(self._rows, None)


def _is_signed_by_any(note: Note, keys: Sequence[VerifierKey]) -> bool:
    try:
        return any(note.is_signed_by(key) for key in keys)
    except NoteError:
        return False


def _block(number: int) -> str:
    return f"positions {number * BLOCK_LEAVES + 1} to {(number + 1) * BLOCK_LEAVES}"


def _size_of(state: str) -> int | None:
    """Read which size a checkpoint event is of, if it can be read."""
    try:
        event = recorded(0, state).data
        return read_checkpoint(read_note(event.note).text)[1] if isinstance(event, CheckpointIssued) else None
    except (KeyError, msgspec.MsgspecError, NoteError):
        return None


def _check_places(cursor: Cursor, verified: Verified) -> None:
    """Check that each stream's versions count its events, and that each id is there once."""
    cursor.execute(_PLACES, (FINDINGS_MAX + 1,))
    for position, subject, version, place in cursor.fetchall():
        verified.note("stream", f"position {position}", f"{subject} has version {version} there, in place {place}")
    cursor.execute(_TWICE, (FINDINGS_MAX + 1,))
    for source, event_id, positions in cursor.fetchall():
        said = f"the id {event_id} of {source} is there {len(positions)} times: {', '.join(map(str, positions))}"
        verified.note("event", f"position {positions[-1]}", said)


def _check_protection(cursor: Cursor, verified: Verified) -> None:
    """Check that the database still refuses to change what is recorded: triggers, their functions, and rights."""
    cursor.execute(_TRIGGERS, (list(RECORDED_TABLES),))
    there = {tuple(row) for row in cursor.fetchall()}
    for table, trigger, kind, function in sorted(PROTECTION - there):
        said = f"the trigger {trigger} ({kind}, {function}) is not there, not always on, or another one"
        verified.note("protection", table, said)
    cursor.execute("SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace")
    bodies = dict(cursor.fetchall())
    for name, body in _released_functions().items():
        if bodies.get(name) != body:
            verified.note("protection", f"function {name}", "it is not the one that was released")
    cursor.execute(_RIGHTS, (list(RECORDED_TABLES),))
    for table, right in cursor.fetchall():
        verified.note("protection", table, f"the application has the right to {right} there")


def _released_functions() -> dict[str, str]:
    """Give the text of each function that the migrations make; a later one replaces an earlier one."""
    texts = "\n".join(text for _, _, text in migrations())
    return dict(re.findall(r"CREATE FUNCTION (\w+)\(.*?\$\$(.*?)\$\$", texts, re.DOTALL))
