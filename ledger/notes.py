"""Signed notes: a text for people and the signatures below it, and the keys that sign and check them (Ed25519).

Shape: a note is its text, which ends in a newline, an empty line, and lines "— NAME BASE64(key id + signature)". A
key's id is the first four bytes of SHA-256(name, newline, algorithm, public key). Verifier keys are written
NAME+ID+BASE64, signing keys PRIVATE+KEY+NAME+ID+BASE64. A witness's cosignature is of its time and the text.
Source: C2SP signed-note, tlog-checkpoint and tlog-cosignature; golang.org/x/mod/sumdb/note for the signing key's form.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.wording import say

SIGNATURE_MARK = "— "
_ED25519, _COSIGNATURE = 0x01, 0x04
_PRIVATE = "PRIVATE+KEY+"
_ID_BYTES, _KEY_BYTES, _SIGNATURE_BYTES, _TIME_BYTES = 4, 32, 64, 8


class NoteError(ValueError):
    """A note or key that is not one, or that its signature does not hold."""


@dataclass(frozen=True)
class VerifierKey:
    """A public key with its name: an owner's (Ed25519), or a witness's, whose signatures are timed."""

    name: str
    public: bytes
    is_witness: bool = False

    @property
    def id(self) -> bytes:
        """Give the four bytes by which a signature names its key."""
        return hashlib.sha256(self.name.encode() + b"\n" + self._algorithm + self.public).digest()[:_ID_BYTES]

    @property
    def _algorithm(self) -> bytes:
        return bytes([_COSIGNATURE if self.is_witness else _ED25519])

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_base64(self._algorithm + self.public)}"

    def check(self, text: str, signature: bytes) -> None:
        """Check one signature of a note's text. Errors: NoteError where it does not hold."""
        message = text.encode()
        if self.is_witness:
            time, signature = signature[:_TIME_BYTES], signature[_TIME_BYTES:]
            message = f"cosignature/v1\ntime {int.from_bytes(time, 'big')}\n".encode() + message
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            raise NoteError(say("the signature by {name} is not of this text", name=self.name)) from None


@dataclass(frozen=True)
class SigningKey:
    """A private key with its name."""

    name: str
    private: bytes

    @classmethod
    def generate(cls, name: str) -> "SigningKey":
        """Make a new key. Errors: NoteError for a name that a note can't hold."""
        _check_name(name)
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @property
    def verifier(self) -> VerifierKey:
        """Give the public key."""
        return VerifierKey(self.name, self._key.public_key().public_bytes_raw())

    @property
    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.private)

    def __str__(self) -> str:
        return f"{_PRIVATE}{self.name}+{self.verifier.id.hex()}+{_base64(bytes([_ED25519]) + self.private)}"

    def __repr__(self) -> str:
        return f"SigningKey({self.name!r})"

    def sign(self, text: str) -> str:
        """Give the signed note of a text that ends in a newline."""
        assert text.endswith("\n"), "a note's text ends in a newline"
        signature = self._key.sign(text.encode())
        return f"{text}\n{SIGNATURE_MARK}{self.name} {_base64(self.verifier.id + signature)}\n"


@dataclass(frozen=True)
class Signature:
    """A line below a note: who signed, by which key, and the signature."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"{SIGNATURE_MARK}{self.name} {_base64(self.key_id + self.signature)}"


@dataclass(frozen=True)
class Note:
    """A note taken apart; nothing in it is checked yet."""

    text: str
    signatures: tuple[Signature, ...]

    def signatures_by(self, key: VerifierKey) -> list[Signature]:
        """Give the signatures that name a key."""
        return [each for each in self.signatures if (each.name, each.key_id) == (key.name, key.id)]

    def is_signed_by(self, key: VerifierKey) -> bool:
        """Say whether the key's signature is there and holds. Errors: NoteError where it is there and does not."""
        own = self.signatures_by(key)
        for each in own:
            key.check(self.text, each.signature)
        return bool(own)


def read_note(note: str) -> Note:
    """Take a signed note apart. Errors: NoteError for what is not one."""
    text, separator, lines = note.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise NoteError(say("a signed note is a text, an empty line, and signature lines"))
    return Note(text + "\n", tuple(map(read_signature, lines[:-1].split("\n"))))


def read_signature(line: str) -> Signature:
    """Read a signature line. Errors: NoteError for what is not one."""
    name, separator, encoded = line.removeprefix(SIGNATURE_MARK).partition(" ")
    if not line.startswith(SIGNATURE_MARK) or not separator:
        raise NoteError(say("{line!r} is not a signature line", line=line[:80]))
    _check_name(name)
    data = _unbase64(encoded)
    if len(data) <= _ID_BYTES:
        raise NoteError(say("the signature by {name} is too short", name=name))
    return Signature(name, data[:_ID_BYTES], data[_ID_BYTES:])


def read_verifier_key(text: str) -> VerifierKey:
    """Read a verifier key. Errors: NoteError for what is not one."""
    name, key_id, data = _key_parts(text.strip())
    key = VerifierKey(name, data[1:], is_witness=data[:1] == bytes([_COSIGNATURE]))
    if data[:1] not in (bytes([_ED25519]), bytes([_COSIGNATURE])) or len(key.public) != _KEY_BYTES or key.id != key_id:
        raise NoteError(say("{text!r} is not a verifier key: NAME+ID+BASE64", text=text[:80]))
    return key


def read_signing_key(text: str) -> SigningKey:
    """Read a signing key. Errors: NoteError for what is not one; the message does not tell the key."""
    if not text.startswith(_PRIVATE):
        raise NoteError(say("this is not a signing key: it begins with PRIVATE+KEY+"))
    name, key_id, data = _key_parts(text.removeprefix(_PRIVATE).strip())
    key = SigningKey(name, data[1:])
    if data[:1] != bytes([_ED25519]) or len(key.private) != _KEY_BYTES or key.verifier.id != key_id:
        raise NoteError(say("this is not a signing key: its parts do not fit each other"))
    return key


def checkpoint_text(origin: str, size: int, root: bytes) -> str:
    """Write the text of a checkpoint."""
    return f"{origin}\n{size}\n{_base64(root)}\n"


def read_checkpoint(text: str) -> tuple[str, int, bytes]:
    """Read a checkpoint's text: its origin, size and root. Errors: NoteError for what is not one."""
    lines = text.split("\n")
    if len(lines) < 4 or not lines[1].isdecimal() or not lines[1].isascii() or str(int(lines[1][:20])) != lines[1]:
        raise NoteError(say("a checkpoint is three lines: its origin, its size, its root"))
    root = _unbase64(lines[2])
    if len(root) != hashlib.sha256().digest_size:
        raise NoteError(say("the checkpoint's root is not a SHA-256"))
    return lines[0], int(lines[1]), root


def _key_parts(text: str) -> tuple[str, bytes, bytes]:
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    _check_name(name)
    try:
        return name, bytes.fromhex(key_id), _unbase64(encoded)
    except ValueError:
        raise NoteError(say("a key is NAME+ID+BASE64")) from None


def _check_name(name: str) -> None:
    if not name or "+" in name or any(character.isspace() or not character.isprintable() for character in name):
        raise NoteError(say("{name!r} can't name a key: no spaces, no +", name=name[:80]))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError(say("{text!r} is not base64", text=text[:80])) from None
