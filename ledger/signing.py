"""The signer: the signing key's file outside the database, and what it remembers of what it signed.

It signs nothing that does not continue what it signed last: a ledger that was cut off, or put back from an old copy,
gets no signature.
Source: design, section 5, "Tamper evidence"; C2SP tlog-checkpoint.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ledger.notes import (
    NoteError,
    SigningKey,
    checkpoint_text,
    read_checkpoint,
    read_note,
    read_signing_key,
)
from ledger.refusal import Code, Refusal
from ledger.tree import Tree
from ledger.wording import say, words_of


class Signer:
    """The signing key's file, and beside it what was signed last (FILE.checkpoint)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.memory = path.with_name(path.name + ".checkpoint")

    @property
    def has_key(self) -> bool:
        """Say whether there is a key."""
        return self.path.exists()

    @property
    def key(self) -> SigningKey:
        """Read the key. Errors: Refusal (signing_key_missing) for a file that can't be read or holds something else."""
        try:
            return read_signing_key(_read(self.path))
        except (OSError, UnicodeDecodeError, NoteError) as error:
            reason = error.strerror if isinstance(error, OSError) else words_of(error)
            raise Refusal.of(
                Code.signing_key_missing,
                say("the signing key {path_name} can't be used: {reason}", path_name=self.path.name, reason=reason),
            ) from None

    def create_key(self, origin: str) -> SigningKey:
        """Make a key, of this name, where there is none. Errors: Refusal (signing_key_exists, invalid_value)."""
        if self.has_key or self.memory.exists():
            raise Refusal.of(
                Code.signing_key_exists,
                say(
                    "{path_name} is there, or what it signed: move both away if they belong to another ledger",
                    path_name=self.path.name,
                ),
            )
        try:
            key = SigningKey.generate(origin)
        except NoteError as error:
            raise Refusal.of(Code.invalid_value, words_of(error), "/origin") from None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_private(self.path, f"{key}\n")
        return key

    def next_key(self) -> SigningKey:
        """Make the key that is to follow, beside the present one, or read the one that a rotation left there."""
        beside = Signer(self._next)
        if not beside.has_key:
            write_private(self._next, f"{SigningKey.generate(self.key.name)}\n")
        return beside.key

    def use_next_key(self) -> None:
        """Let the key that follows be the key."""
        self._next.replace(self.path)

    @property
    def _next(self) -> Path:
        return self.path.with_name(self.path.name + ".next")

    def last_signed(self) -> tuple[int, bytes] | None:
        """Give the size and root that were signed last; None before the first.

        Errors: Refusal (signing_key_missing) where the file holds something else.
        """
        try:
            _, size, root = read_checkpoint(read_note(_read(self.memory)).text)
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError, NoteError) as error:
            told = say(
                "what the key signed last can't be read from {memory_name}: {error}",
                memory_name=self.memory.name,
                error=error,
            )
            raise Refusal.of(Code.signing_key_missing, told) from None
        return size, root

    def sign(self, tree: Tree, size: int) -> tuple[bytes, str]:
        """Sign the first `size` events, if they continue what was signed last; give the root and the note.

        Errors: Refusal (ledger_inconsistent) where they do not; signing_key_missing.
        """
        key = self.key
        with self._held():
            last = self.last_signed()
            check_continued(tree, last)
            root = tree.root_at(size)
            note = key.sign(checkpoint_text(key.name, size, root))
            if last is None or last[0] < size:
                write_private(self.memory, note)
        return root, note

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Keep other processes from signing meanwhile."""
        descriptor = os.open(self.path.with_name(self.path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _read(path: Path) -> str:
    """Read a file, never what waits for a writer. Errors: OSError, UnicodeDecodeError."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, say("it is not a file"))
    return path.read_text(encoding="utf-8")


def check_continued(tree: Tree, signed: tuple[int, bytes] | None) -> None:
    """Check that the ledger is what its head says, and continues what was signed.

    Errors: Refusal (ledger_inconsistent).
    """
    size, root = tree.head()
    if tree.root_at(size) != root:
        raise Refusal.of(
            Code.ledger_inconsistent,
            say("the ledger's {size} events do not have the root that its head names", size=size),
        )
    if signed is None:
        return
    if signed[0] > size:
        missing = signed[0] - size
        raise Refusal.of(
            Code.ledger_inconsistent,
            say(
                "the ledger has {size} events, but {signed_size} were signed: {missing} are missing",
                size=size,
                signed_size=signed[0],
                missing=missing,
            ),
        )
    if tree.root_at(signed[0]) != signed[1]:
        raise Refusal.of(
            Code.ledger_inconsistent,
            say(
                "the first {signed_size} events are not those that were signed: their root is another one",
                signed_size=signed[0],
            ),
        )


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
