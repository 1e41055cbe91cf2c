"""Restoring a ledger from the bundle of a whole one: the same events, byte for byte, in an empty database, or nothing.

Everything is in one transaction, which is committed only if the tree over the events has the root of the bundle's
checkpoint. Whether that is signed by the right key is the question of whoever restores: orderledger-verify answers it,
with the key that they bring. The folder is described in docs/bundle.md.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
import psycopg2
from msgspec import Struct

from ledger.database import Cursor
from ledger.events import Envelope, decode, read_envelope
from ledger.merkle import root_hash
from ledger.notes import NoteError, read_checkpoint, read_note
from ledger.progress import Progress, no_progress
from ledger.refusal import Code, Refusal
from ledger.sequencer import CHANNEL, Head, NewEvent, lock_head, write
from ledger.store import Store
from ledger.wording import say

FORMAT: Final = "orderledger-bundle/1"
WHOLE: Final = "whole"
MANIFEST: Final = "manifest.json"
CHECKPOINT: Final = "checkpoint"
EVENTS: Final = "events.ndjson"
CHUNK_EVENTS: Final = 5_000
_VERSION_MAX: Final = 2**31 - 1


class EventLine(Struct, frozen=True):
    """A line of events.ndjson: the exact stored document, as a text."""

    position: int
    state: str


class _Manifest(Struct, frozen=True):
    format: str
    scope: str


@dataclass(frozen=True)
class Anchor:
    """What a checkpoint says of a ledger: how many events it has, and the root over them."""

    origin: str
    size: int
    root: bytes


@dataclass(frozen=True)
class Restored:
    """What is in the ledger now."""

    size: int
    root: bytes


_LINE = msgspec.json.Decoder(EventLine)


def restore(store: Store, folder: Path, progress: Progress = no_progress) -> Restored:
    """Record the events of a whole ledger's bundle in an empty ledger.

    Errors: Refusal (ledger_not_empty, invalid_bundle, checkpoint_differs); nothing is recorded then.
    """
    for name in (MANIFEST, CHECKPOINT, EVENTS):
        if (folder / name).exists() and not (folder / name).is_file():
            raise _broken(say("{name} is not a file", name=name))
    try:
        _check_manifest((folder / MANIFEST).read_bytes())
        anchor = read_anchor((folder / CHECKPOINT).read_text(encoding="utf-8"))
        with (folder / EVENTS).open("rb") as file, store.database.transaction() as cursor:
            return _restore(cursor, _stored_events(file), anchor, progress)
    except OSError as error:
        raise _broken(
            say(
                "{filename} can't be read: {error_strerror}",
                filename=error.filename or folder,
                error_strerror=error.strerror,
            )
        ) from None
    except UnicodeDecodeError:
        raise _broken(say("{checkpoint} is not UTF-8", checkpoint=CHECKPOINT)) from None


def read_anchor(note: str) -> Anchor:
    """Read what a checkpoint says; not who signed it.

    Errors: Refusal (invalid_bundle) for what is no checkpoint.
    """
    try:
        return Anchor(*read_checkpoint(read_note(note).text))
    except NoteError as error:
        raise _broken(say("the checkpoint is not one: {error}", error=error)) from None


def _check_manifest(text: bytes) -> None:
    try:
        manifest = msgspec.json.decode(text, type=_Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _broken(say("{manifest} is not a bundle's: {error}", manifest=MANIFEST, error=error)) from None
    if manifest.format != FORMAT:
        raise _broken(say("its format is {format!r}, this version reads {own!r}", format=manifest.format, own=FORMAT))
    if manifest.scope != WHOLE:
        raise _broken(say("it is of a period, not of the whole ledger: make one with orderledger export --whole DIR"))


def _restore(cursor: Cursor, events: Iterator[NewEvent], anchor: Anchor, progress: Progress) -> Restored:
    head = lock_head(cursor)
    if head.position:
        sentence = say(
            "the ledger has {head_position} events already: nothing is restored into it", head_position=head.position
        )
        raise Refusal.of(Code.ledger_not_empty, sentence)
    while chunk := list(islice(events, CHUNK_EVENTS)):
        _write(cursor, head, chunk)
        progress(head.position, anchor.size)
    if head.position != anchor.size:
        raise _broken(
            say(
                "{events} has {head_position} events, the checkpoint is of {anchor_size}: it is not whole",
                events=EVENTS,
                head_position=head.position,
                anchor_size=anchor.size,
            )
        )
    root = root_hash(head.peaks)
    if root != anchor.root:
        raise Refusal.of(
            Code.checkpoint_differs,
            say(
                "the events make the root {root}, the checkpoint says {anchor_root}: an event was altered, or"
                " the checkpoint is another ledger's; nothing is recorded",
                root=root.hex(),
                anchor_root=anchor.root.hex(),
            ),
        )
    cursor.execute("NOTIFY " + CHANNEL)
    return Restored(head.position, root)


def _write(cursor: Cursor, head: Head, events: list[NewEvent]) -> None:
    first, last = head.position + 1, events[-1].recorded_at
    assert last is not None, "a stored event has its moment"
    try:
        write(cursor, head, events, last)
    except (psycopg2.DataError, psycopg2.IntegrityError) as error:
        reason = str(error).partition("\n")[0]
        raise _broken(
            say(
                "an event of the positions {first} to {last} can't be: {reason}",
                first=first,
                last=first + len(events) - 1,
                reason=reason,
            )
        ) from None


def _stored_events(lines: Iterable[bytes]) -> Iterator[NewEvent]:
    """Read the events as they are to be stored; that they are one ledger's is for the root to say."""
    before = datetime(1970, 1, 1, tzinfo=UTC)
    for number, line in enumerate(lines, 1):
        try:
            given = _LINE.decode(line)
            envelope = read_envelope(given.state)
            decode(envelope.type, given.state)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _broken(
                say("line {number} of {events} is not an event: {error}", number=number, events=EVENTS, error=error)
            ) from None
        except KeyError as error:
            raise _broken(
                say(
                    "line {number} of {events} is of a type that this version does not know: {error}",
                    number=number,
                    events=EVENTS,
                    error=error,
                )
            ) from None
        if given.position != number:
            raise _broken(
                say(
                    "line {number} of {events} is of position {given_position}: one is missing, or misplaced",
                    number=number,
                    events=EVENTS,
                    given_position=given.position,
                )
            )
        if not 1 <= envelope.version <= _VERSION_MAX:
            raise _broken(
                say(
                    "line {number} of {events} has {envelope_version}, which is no version",
                    number=number,
                    events=EVENTS,
                    envelope_version=envelope.version,
                )
            )
        if envelope.time.tzinfo is None or envelope.time < before:
            raise _broken(
                say("line {number} of {events} was recorded before the one before it", number=number, events=EVENTS)
            )
        before = envelope.time
        yield _stored(envelope, given.state)


def _stored(envelope: Envelope, state: str) -> NewEvent:
    return NewEvent(
        subject=envelope.subject,
        version=envelope.version,
        type=envelope.type,
        source=envelope.source,
        event_id=envelope.id,
        actor=envelope.actor,
        effective_on=envelope.effective,
        state=state.encode(),
        recorded_at=envelope.time,
    )


def _broken(sentence: str) -> Refusal:
    return Refusal.of(Code.invalid_bundle, sentence)
