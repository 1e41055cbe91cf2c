"""Checkpoints: the ledger's size and root, signed by a key outside the database, and recorded in the ledger itself.

So a checkpoint can't be taken away without changing the tree that later ones are of, and witnesses may cosign it.
Source: design, section 5, "Tamper evidence"; C2SP tlog-checkpoint and tlog-cosignature.
"""

import base64
from dataclasses import dataclass

from ledger.events import (
    NAMES,
    CheckpointCosigned,
    CheckpointEvent,
    CheckpointIssued,
    SigningKeyIntroduced,
    encode,
)
from ledger.notes import (
    NoteError,
    Signature,
    SigningKey,
    VerifierKey,
    read_note,
    read_verifier_key,
)
from ledger.refusal import Code, Refusal
from ledger.sequencer import Append, Appended, NewEvent
from ledger.signing import Signer, check_continued
from ledger.store import SOURCE, Store
from ledger.wording import say

KEYS_SUBJECT = "signing_keys"
SUBJECT = "checkpoints"
ATTEMPTS_MAX = 20
_NEXT_KEY = "next key"


@dataclass(frozen=True)
class Checkpoint:
    """A recorded checkpoint: the first `size` events have this root; `position` is that of the event that says so."""

    size: int
    root: bytes
    note: str
    position: int


def issue(store: Store, *, actor: str) -> Checkpoint:
    """Sign the ledger as it is now and record that; where only checkpoints came since the last one, give that.

    Errors: Refusal (signing_key_missing, signing_key_unknown, ledger_inconsistent).
    """
    signer = required_signer(store)
    _check_signer(store, signer)
    for _ in range(ATTEMPTS_MAX):
        size = store.tree.head()[0]
        recorded = recorded_checkpoints(store)
        if recorded and not _has_news(store, recorded[-1].size, size) and _signed_by(recorded[-1], signer.key):
            check_continued(store.tree, signer.last_signed())
            return recorded[-1]
        root, note = signer.sign(store.tree, size)
        event = CheckpointIssued(size, base64.b64encode(root).decode(), note)
        if (position := _append(store, SUBJECT, event, f"checkpoint/{size}", actor)) is not None:
            signer.sign(store.tree, position)  # so that the checkpoint itself can't be taken away unnoticed
            return Checkpoint(size, root, note, position)
    raise RuntimeError(f"other writers were faster {ATTEMPTS_MAX} times in a row: ask again")


def signable(store: Store) -> tuple[int, bytes]:
    """Give the size and the root that would be signed now, and sign nothing. Errors: as of issue."""
    signer = required_signer(store)
    _check_signer(store, signer)
    check_continued(store.tree, signer.last_signed())
    return store.tree.head()


def _check_signer(store: Store, signer: Signer) -> None:
    """Check that the key is the one that the ledger was told of last, and remembers what it signed.

    Errors: Refusal (signing_key_missing, signing_key_unknown, ledger_inconsistent).
    """
    key, told = signer.key, verifier_keys(store)
    if told[-1:] != [str(key.verifier)]:
        current = say("{current} is", current=told[-1]) if told else say("the ledger was told of none")
        raise Refusal.of(
            Code.signing_key_unknown,
            say("{verifier} is not the ledger's signing key: {current}", verifier=key.verifier, current=current),
        )
    if signer.last_signed() is None and any(_signed_by(each, key) for each in recorded_checkpoints(store)):
        raise Refusal.of(
            Code.ledger_inconsistent,
            say(
                "the key has signed this ledger before, but {memory_name} is gone: put it back, or rotate the key",
                memory_name=signer.memory.name,
            ),
        )


def required_signer(store: Store) -> Signer:
    """Give the ledger's signer. Errors: Refusal (signing_key_missing) where none is configured."""
    if store.signer is None:
        raise Refusal.of(Code.signing_key_missing, say("this service has no signing key: it can't sign checkpoints"))
    return store.signer


def recorded_checkpoints(store: Store, *, until: int | None = None) -> list[Checkpoint]:
    """Give the checkpoints recorded up to a position (all), oldest first."""
    return [
        Checkpoint(event.data.size, base64.b64decode(event.data.root), event.data.note, event.position)
        for event in store.stream(SUBJECT)
        if isinstance(event.data, CheckpointIssued) and (until is None or event.position <= until)
    ]


def cosignatures(store: Store, size: int) -> list[CheckpointCosigned]:
    """Give the cosignatures recorded of the checkpoint of so many events."""
    recorded = [event.data for event in store.stream(SUBJECT)]
    return [event for event in recorded if isinstance(event, CheckpointCosigned) and event.size == size]


def verifier_keys(store: Store) -> list[str]:
    """Give the public keys (vkeys) that were introduced, first to current."""
    return [each.data.vkey for each in store.stream(KEYS_SUBJECT) if isinstance(each.data, SigningKeyIntroduced)]


def cosign(store: Store, issued: Checkpoint, note: str, witness: str, *, actor: str) -> None:
    """Record a witness's cosignatures of a checkpoint; what was recorded before is not recorded again.

    Shape: `note` is the checkpoint's with the cosignature below it; `witness` is the vkey that made that.

    Errors: Refusal (invalid_note) where it is another note, or has no cosignature that holds.
    """
    for signature in _cosignatures(issued, note, witness):
        event = CheckpointCosigned(issued.size, witness.strip(), str(signature))
        for _ in range(ATTEMPTS_MAX):
            there = cosignatures(store, issued.size)
            event_id = f"checkpoint/{issued.size}/cosignature/{len(there) + 1}"
            if event in there or _append(store, SUBJECT, event, event_id, actor) is not None:
                break


def _cosignatures(issued: Checkpoint, note: str, witness: str) -> list[Signature]:
    try:
        given, key = read_note(note), read_verifier_key(witness)
        if given.text != read_note(issued.note).text:
            raise NoteError(
                say("the note is not that of the checkpoint of {issued_size} events", issued_size=issued.size)
            )
        if not key.is_witness or not given.is_signed_by(key):
            raise NoteError(say("the note has no cosignature by {key_name}", key_name=key.name))
    except NoteError as error:
        raise Refusal.of(
            Code.invalid_note, say("the cosignature is not recorded: {error}", error=error), "/note"
        ) from None
    return given.signatures_by(key)


def introduce_key(store: Store, key: SigningKey, *, actor: str, endorsed_by: SigningKey | None = None) -> int:
    """Record that a key signs from here on, endorsed by the one before, and give the position.

    Errors: Refusal (signing_key_exists) where another key came first, or this one was introduced before.
    """
    verdict = store.append(Append([introduction(store, key, actor=actor, endorsed_by=endorsed_by)]))
    if not isinstance(verdict, Appended):
        raise Refusal.of(Code.signing_key_exists, say("another key was introduced in between, or this one before"))
    return verdict.first_position


def introduction(store: Store, key: SigningKey, *, actor: str, endorsed_by: SigningKey | None = None) -> NewEvent:
    """Make the event that says that a key signs from here on."""
    vkey = str(key.verifier)
    endorsement = endorsed_by.sign(_endorsed(endorsed_by.name, vkey)) if endorsed_by else None
    event = SigningKeyIntroduced(vkey, endorsement)
    version = len(store.stream(KEYS_SUBJECT)) + 1
    return _new_event(store, KEYS_SUBJECT, event, (version, f"signing_key/{key.verifier.id.hex()}"), actor)


def rotate_key(store: Store, *, actor: str) -> SigningKey:
    """Let a new key sign from here on, endorsed by the present one, and give it; an interrupted rotation is finished.

    Errors: Refusal (signing_key_missing).
    """
    signer = required_signer(store)
    key, before = signer.next_key(), signer.key
    if str(key.verifier) not in verifier_keys(store):
        introduce_key(store, key, actor=actor, endorsed_by=before)
    signer.use_next_key()
    return key


def is_endorsed(introduced: SigningKeyIntroduced, by: VerifierKey) -> bool:
    """Say whether a key's endorsement by another key holds."""
    if introduced.endorsement is None:
        return False
    try:
        note = read_note(introduced.endorsement)
        return note.text == _endorsed(by.name, introduced.vkey) and note.is_signed_by(by)
    except NoteError:
        return False


def _endorsed(origin: str, vkey: str) -> str:
    """Give the text by which a key says which one follows."""
    return f"{origin}\n{_NEXT_KEY}\n{vkey}\n"


def _has_news(store: Store, after: int, until: int) -> bool:
    """Say whether anything but checkpoints and cosignatures was recorded at the positions (after, until]."""
    count = sum(after < event.position <= until for event in store.stream(SUBJECT))
    return count != until - after


def _signed_by(checkpoint: Checkpoint, key: SigningKey) -> bool:
    return read_note(checkpoint.note).is_signed_by(key.verifier)


def _append(store: Store, subject: str, event: CheckpointEvent, event_id: str, actor: str) -> int | None:
    """Record an event; None where another one was faster."""
    version = len(store.stream(subject)) + 1
    verdict = store.append(Append([_new_event(store, subject, event, (version, event_id), actor)]))
    return verdict.first_position if isinstance(verdict, Appended) else None


def _new_event(store: Store, subject: str, event: CheckpointEvent, numbered: tuple[int, str], actor: str) -> NewEvent:
    version, event_id = numbered
    return NewEvent(
        subject=subject,
        version=version,
        type=NAMES[type(event)],
        source=SOURCE,
        event_id=event_id,
        actor=actor,
        effective_on=store.today(),
        data=encode(event),
    )
