"""Idempotency keys: a client's names for requests that have no identity of their own, so that each takes effect once.

A key is of one principal. Its row is written in the transaction that records what the request asks for, so there is no
moment at which the one is there without the other; the answer is filled in afterwards, and where the process ended
before, it is told again from what was recorded. While a request is under way its key is held by a lock of the database
session, which goes with the process. Refusals leave no row. Whoever comes with a key takes away those that are older
than KEPT_DAYS.
Source: IETF draft-ietf-httpapi-idempotency-key-header; invariant 8.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from ledger.database import Cursor, Database, one

KEPT_DAYS: Final = 7
KEY_CHARACTERS_MAX: Final = 255


@dataclass(frozen=True)
class Key:
    """A key as a request carries it; `fingerprint` is of what the request asks for."""

    principal: str
    text: str
    fingerprint: bytes

    @property
    def identity(self) -> tuple[str, str]:
        """Give what is unique: whose key, and which."""
        return self.principal, self.text


@dataclass(frozen=True)
class KeptAnswer:
    """An answer as it was given, and the language that it is told in."""

    status: int
    etag: str | None
    media_type: str
    body: str
    language: str | None


@dataclass(frozen=True)
class Kept:
    """A key that took effect: by which request, at which position, and the answer, if there was time to keep it."""

    fingerprint: bytes
    position: int | None
    answer: KeptAnswer | None


class KeyTakenError(Exception):
    """The key took effect in between, by another request: nothing was recorded by this one."""


@contextmanager
def claimed(database: Database, key: Key) -> Iterator[bool]:
    """Hold a key for the request that is under way with it; False where another request holds it.

    Shape: on a connection of its own, so that requests that wait for the pool don't hold what others wait for.
    """
    digest = hashlib.sha256("\n".join(key.identity).encode()).digest()
    number = int.from_bytes(digest[:8], "big", signed=True)
    connection = database.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", (number,))
            (is_held,) = one(cursor)
            try:
                yield is_held
            finally:
                if is_held and not connection.closed:
                    cursor.execute("SELECT pg_advisory_unlock(%s)", (number,))
    finally:
        connection.close()


def find(cursor: Cursor, key: Key, *, now: datetime) -> Kept | None:
    """Give what a key did, None for one that is new; those that are kept for long enough are taken away first."""
    cursor.execute("DELETE FROM idempotency WHERE created_at < %s", (now - timedelta(days=KEPT_DAYS),))
    cursor.execute(
        "SELECT fingerprint, position, status, etag, media_type, answer, language FROM idempotency"
        " WHERE principal = %s AND key = %s",
        key.identity,
    )
    row = cursor.fetchone()
    if row is None:
        return None
    fingerprint, position, *answer = row
    return Kept(bytes(fingerprint), position, None if answer[0] is None else KeptAnswer(*answer))


def note(cursor: Cursor, key: Key, position: int | None, *, at: datetime) -> None:
    """Note that a key takes effect, in the caller's transaction. Errors: UniqueViolation for one that did before."""
    cursor.execute(
        "INSERT INTO idempotency (principal, key, fingerprint, position, created_at) VALUES (%s, %s, %s, %s, %s)",
        (*key.identity, key.fingerprint, position, at),
    )


def keep_answer(cursor: Cursor, key: Key, answer: KeptAnswer) -> None:
    """Keep the answer of a key that is noted, so that it is given again byte for byte."""
    cursor.execute(
        "UPDATE idempotency SET status = %s, etag = %s, media_type = %s, answer = %s, language = %s"
        " WHERE principal = %s AND key = %s",
        (answer.status, answer.etag, answer.media_type, answer.body, answer.language, *key.identity),
    )


def taken(cursor: Cursor, keys: Iterable[Key]) -> set[tuple[str, str]]:
    """Look up which of these keys took effect before."""
    identities = [key.identity for key in keys]
    cursor.execute(
        "SELECT principal, key FROM idempotency JOIN unnest(%s, %s) AS asked (principal, key) USING (principal, key)",
        ([principal for principal, _ in identities], [text for _, text in identities]),
    )
    return set(cursor.fetchall())
