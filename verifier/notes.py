"""Signed notes, verifier keys and checkpoints: read strictly, signatures checked.

A note is a text and, behind a blank line, signatures of it: "— <key name> <base64(key id, signature)>". A checkpoint is
a note that says the size and the root of a ledger. Lines of signatures by keys that are not asked for are ignored.
Source: C2SP signed-note and tlog-checkpoint; Ed25519 by RFC 8032.
"""

import base64
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from verifier.findings import Malformed, shown
from verifier.shapes import base64_bytes

NOTE_BYTES_MAX = 1_000_000
SIGNATURES_MAX = 100
_ED25519 = b"\x01"
_KEY_NAME = re.compile(r"[^\s+]+")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True)
class VerifierKey:
    """A public key that notes are verified by, with its name."""

    name: str
    key_id: bytes
    public_key: bytes

    def text(self) -> str:
        """Write it as <name>+<key id>+<base64(0x01, public key)>."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.public_key).decode()}"


@dataclass(frozen=True)
class Note:
    """A signed text. Shape: a signature is the key's name, its id and the signature's bytes."""

    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]


@dataclass(frozen=True)
class Checkpoint:
    """What a ledger comes to: its size, and the root of the tree of its first `size` events."""

    origin: str
    size: int
    root: bytes
    note: Note


def parse_key(text: str) -> VerifierKey:
    """Read a verifier key. Errors: Malformed."""
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    if not _KEY_NAME.fullmatch(name) or not re.fullmatch(r"[0-9a-f]{8}", key_id):
        raise Malformed(f"{shown(text)} is no verifier key: <name>+<key id>+<key>")
    data = base64_bytes(encoded, "its key", size=33)
    if data[:1] != _ED25519:
        raise Malformed(f"verifier key {shown(text)} is not of Ed25519")
    expected = hashlib.sha256(f"{name}\n".encode() + data).digest()[:4]
    if key_id != expected.hex():
        raise Malformed(f"verifier key {shown(text)} is damaged: its key id should be {expected.hex()}")
    return VerifierKey(name, expected, data[1:])


def parse_note(data: bytes) -> Note:
    """Read a signed note. Errors: Malformed."""
    if len(data) > NOTE_BYTES_MAX:
        raise Malformed("it is too long to be a signed note")
    try:
        whole = data.decode("utf-8")
    except UnicodeError as error:
        raise Malformed("it is not text in UTF-8") from error
    if any(ord(character) < 0x20 and character != "\n" for character in whole):
        raise Malformed("it has control characters")
    text, blank, lines = whole.rpartition("\n\n")
    if not blank or not text or not lines.endswith("\n"):
        raise Malformed("it is no signed note: a text, a blank line, lines of signatures, each ended")
    signatures = [_signature(line) for line in lines[:-1].split("\n")]
    if len(signatures) > SIGNATURES_MAX:
        raise Malformed("it has too many signatures")
    return Note(text + "\n", tuple(signatures))


def _signature(line: str) -> tuple[str, bytes, bytes]:
    mark, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if mark != "—" or not _KEY_NAME.fullmatch(name):
        raise Malformed(f"{shown(line)} is no line of a signature")
    data = base64_bytes(encoded, "a signature")
    if len(data) < 5:
        raise Malformed(f"{shown(line)} is no line of a signature: it is too short")
    return name, data[:4], data[4:]


def signer(note: Note, keys: list[VerifierKey]) -> VerifierKey | None:
    """Give the first of the keys that signed the note; None where none did.

    Errors: Malformed where a signature that names one of the keys is not that key's.
    """
    found: VerifierKey | None = None
    for key in keys:
        for name, key_id, signature in note.signatures:
            if (name, key_id) == (key.name, key.key_id):
                if not _verifies(key, signature, note.text.encode()):
                    raise Malformed(
                        f"the signature of {name} ({key_id.hex()}) does not fit the text: one of them is forged"
                    )
                found = found or key
    return found


def _verifies(key: VerifierKey, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def parse_checkpoint(data: bytes) -> Checkpoint:
    """Read a checkpoint. Errors: Malformed."""
    note = parse_note(data)
    lines = note.text[:-1].split("\n")
    if len(lines) != 3 or not lines[0] or not _SIZE.fullmatch(lines[1]):
        raise Malformed("it is no checkpoint: the origin, the size and the root, a line each")
    return Checkpoint(lines[0], int(lines[1]), base64_bytes(lines[2], "the root", size=32), note)


def endorsed_key(data: bytes, origin: str, keys: list[VerifierKey]) -> tuple[str, VerifierKey] | None:
    """Give the key that a note names as the next one, as text, and which of the keys signed that; None if none did.

    Errors: Malformed.
    """
    note = parse_note(data)
    lines = note.text[:-1].split("\n")
    if len(lines) != 3 or lines[:2] != [origin, "next key"]:
        raise Malformed("the endorsement does not say which key is next")
    by = signer(note, keys)
    return (lines[2], by) if by else None
