"""What was signed, held against the events: the keys, checkpoints and cosignatures that the ledger tells of, and what
others keep of it.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

import msgspec

from ledger.checkpoints import is_endorsed
from ledger.events import CheckpointCosigned, CheckpointEvent, CheckpointIssued, SigningKeyIntroduced, recorded
from ledger.findings import KeptCheckpoint, Verified, span
from ledger.notes import Note, NoteError, VerifierKey, read_checkpoint, read_note, read_verifier_key
from ledger.refusal import Refusal
from ledger.signing import Signer
from ledger.wording import say, words_of


class Signed:
    """Checks what was signed of a ledger, whose roots at the sizes that were signed are known."""

    def __init__(self, verified: Verified, roots: Mapping[int, bytes]) -> None:
        self._verified = verified
        self._roots = roots
        self._keys: list[VerifierKey] = []
        self._notes: dict[int, Note] = {}
        self._signed_size = 0

    def check(self, events: Iterable[tuple[int, CheckpointEvent]], kept: Sequence[KeptCheckpoint]) -> None:
        """Check the recorded events (position, event), in order, and what is kept outside the database."""
        for position, event in events:
            match event:
                case SigningKeyIntroduced():
                    self._check_key(position, event)
                case CheckpointIssued():
                    self._check_checkpoint(position, event)
                case CheckpointCosigned():
                    self._check_cosignature(position, event)
                case _:
                    assert_never(event)
        self._verified.keys = list(map(str, self._keys))
        self._verified.checkpoints = len(self._notes)
        for each in kept:
            self._check_root("kept checkpoint", each.name, (each.size, each.root))
            if each.note is not None and not _is_signed_by_any(each.note, self._keys):
                self._verified.note("kept checkpoint", each.name, say("no key that the ledger tells of has signed it"))
        self._notice_unsigned(has_kept=bool(kept))

    def _notice_unsigned(self, *, has_kept: bool) -> None:
        """Say what is held by the tree alone, and whether anything outside the database was compared."""
        if not has_kept:
            self._verified.notices.append(
                say(
                    "nothing kept outside the database was compared: neither the signing key's memory nor a checkpoint;"
                    " a ledger that was put back from an old copy looks like this"
                )
            )
        if self._signed_size < self._verified.size:
            self._verified.notices.append(
                say(
                    "positions {first} to {last} came after the last checkpoint that was"
                    " compared: only the tree holds them",
                    first=self._signed_size + 1,
                    last=self._verified.size,
                )
            )

    def _check_key(self, position: int, introduced: SigningKeyIntroduced) -> None:
        try:
            key = read_verifier_key(introduced.vkey)
        except NoteError as error:
            self._verified.note("signing key", span(position), words_of(error))
            return
        if self._keys and not is_endorsed(introduced, self._keys[-1]):
            self._verified.notices.append(
                say(
                    "the key of position {position} is not endorsed by the one before: ask who introduced it, and why",
                    position=position,
                )
            )
        self._keys.append(key)

    def _check_checkpoint(self, position: int, issued: CheckpointIssued) -> None:
        where = span(position)
        try:
            note = read_note(issued.note)
            _, size, root = read_checkpoint(note.text)
            signed = bool(self._keys) and note.is_signed_by(self._keys[-1])
        except NoteError as error:
            self._verified.note("checkpoint", where, words_of(error))
            return
        if not signed:
            self._verified.note(
                "checkpoint", where, say("the key that was introduced last before it has not signed it")
            )
        if (size, base64.b64encode(root).decode()) != (issued.size, issued.root):
            self._verified.note("checkpoint", where, say("the event and the note that it holds say different things"))
        self._notes[size] = note
        self._check_root("checkpoint", where, (size, root))

    def _check_root(self, part: str, where: str, signed: tuple[int, bytes]) -> None:
        (size, root), there = signed, self._verified.size
        if size > there:
            said = say(
                "{size} events were signed, the ledger has {there}: {missing} are missing at its end",
                size=size,
                there=there,
                missing=size - there,
            )
            self._verified.note(part, where, said)
        elif root == self._roots.get(size):
            self._signed_size = max(size, self._signed_size)
        else:
            said = say("the first {size} events are not those that were signed", size=size)
            if 0 < self._signed_size < size:
                said += say("; the first {signed_size} are", signed_size=self._signed_size)
            self._verified.note(part, where, said)

    def _check_cosignature(self, position: int, cosigned: CheckpointCosigned) -> None:
        try:
            if cosigned.size not in self._notes:
                raise NoteError(
                    say(
                        "it is of a checkpoint of {cosigned_size} events, which is not there",
                        cosigned_size=cosigned.size,
                    )
                )
            text = self._notes[cosigned.size].text
            if not read_note(f"{text}\n{cosigned.signature}\n").is_signed_by(read_verifier_key(cosigned.witness)):
                raise NoteError(say("it is not by the witness that it names"))
        except NoteError as error:
            self._verified.note("cosignature", span(position), words_of(error))


def _is_signed_by_any(note: Note, keys: Sequence[VerifierKey]) -> bool:
    try:
        return any(note.is_signed_by(key) for key in keys)
    except NoteError:
        return False


def signed_size(state: str) -> int | None:
    """Read which size a checkpoint event is of, if it can be read."""
    try:
        event = recorded(0, state).data
        return read_checkpoint(read_note(event.note).text)[1] if isinstance(event, CheckpointIssued) else None
    except (KeyError, msgspec.MsgspecError, NoteError):
        return None


def remembered(signer: Signer | None, verified: Verified) -> list[KeptCheckpoint]:
    """Give what the signing key signed last, to be held against the ledger; a memory that can't be read is told."""
    try:
        last = signer.last_signed() if signer else None
    except Refusal as refusal:
        verified.note("signing key", say("its memory"), refusal.problems[0].detail)
        return []
    return [KeptCheckpoint(say("what the signing key signed last"), *last)] if last else []


def check_key_at_hand(signer: Signer | None, verified: Verified) -> None:
    """Tell where the signing key at hand is not the one that the ledger was told of last, or can't be read."""
    if signer is None or not signer.has_key:
        return
    try:
        vkey = str(signer.key.verifier)
    except Refusal as refusal:
        verified.note("signing key", say("its file"), refusal.problems[0].detail)
        return
    if verified.is_read and verified.keys[-1:] != [vkey]:
        verified.note(
            "signing key",
            say("its file"),
            say("{vkey} is not the key that the ledger was told of last", vkey=vkey),
        )
