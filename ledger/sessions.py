"""Sessions of browsers: whoever signed in acts in a name and roles for some hours; only the secret's hash is kept.

A session ends with its token (revoked or expired), SESSION_HOURS after it began, IDLE_MINUTES after its last use, or
when it is signed out.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from ledger.database import Cursor, Database
from ledger.tokens import Token

SESSION_HOURS: Final = 12
IDLE_MINUTES: Final = 60
FORGOTTEN_DAYS: Final = 30
_SECRET_BYTES = 32
_PREFIX = "ols_"
"""So that people and scanners know what it is; the underscore keeps it from being taken over as a request id."""


@dataclass(frozen=True)
class Session:
    """A session as kept, with when its token ends; without a token it has the roles that it was opened with."""

    secret_hash: bytes
    token_id: str | None
    principal: str
    roles: tuple[str, ...]
    last_used_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    token_expires_at: datetime | None
    token_revoked_at: datetime | None

    @property
    def id(self) -> str:
        """Name the session in logs: the beginning of the hash, which is no secret."""
        return self.secret_hash.hex()[:12]

    def valid_at(self, now: datetime) -> bool:
        """Say whether the session, and the token that it began with, may still be used."""
        ends = (self.expires_at, self.last_used_at + timedelta(minutes=IDLE_MINUTES), self.token_expires_at)
        is_revoked = self.revoked_at is not None or self.token_revoked_at is not None
        return not is_revoked and all(end is None or now < end for end in ends)


@dataclass(frozen=True)
class Vouched:
    """Who somebody is, and in which roles, where no token says it but somebody who is trusted to."""

    principal: str
    roles: tuple[str, ...]


def open_session_in(cursor: Cursor, token: Token, *, now: datetime) -> str:
    """Begin a session of a token in the caller's transaction, and give its secret; what ended long ago is forgotten."""
    secret = new_secret()
    opened = _insert(cursor, secret, (token.id, token.principal, list(token.roles)), now=now)
    assert opened, "a secret is drawn once"
    return secret


def open_vouched_session_in(cursor: Cursor, secret: str, vouched: Vouched, *, now: datetime) -> bool:
    """Begin a session of somebody without a token, as open_session_in; False where the secret was used before."""
    return _insert(cursor, secret, (None, vouched.principal, list(vouched.roles)), now=now)


def new_secret() -> str:
    """Draw the secret of a session."""
    return _PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def _insert(cursor: Cursor, secret: str, whose: tuple[str | None, str, list[str]], *, now: datetime) -> bool:
    cursor.execute("DELETE FROM session WHERE expires_at < %s", (now - timedelta(days=FORGOTTEN_DAYS),))
    cursor.execute(
        "INSERT INTO session (secret_hash, token_id, principal, roles, created_at, last_used_at, expires_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (_hash(secret), *whose, now, now, now + timedelta(hours=SESSION_HOURS)),
    )
    return cursor.rowcount == 1


def find_session(database: Database, secret: str) -> Session | None:
    """Give the session of this secret, whether it is still valid or not."""
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT session.secret_hash, session.token_id, session.principal, session.roles, session.last_used_at,"
            " session.expires_at, session.revoked_at, token.expires_at, token.revoked_at"
            " FROM session LEFT JOIN token ON token.id = session.token_id WHERE session.secret_hash = %s",
            (_hash(secret),),
        )
        row = cursor.fetchone()
    if row is None:
        return None
    secret_hash, token_id, principal, roles, *moments = row
    return Session(bytes(secret_hash), token_id, principal, tuple(roles), *moments)


def note_session_use(database: Database, session: Session, *, now: datetime) -> None:
    """Note that a session is used; while another process writes to it, nothing is noted."""
    with database.cursor() as cursor:
        cursor.execute(
            "UPDATE session SET last_used_at = %(now)s WHERE secret_hash = (SELECT secret_hash FROM session"
            " WHERE secret_hash = %(hash)s AND last_used_at < %(now)s FOR NO KEY UPDATE SKIP LOCKED)",
            {"now": now, "hash": session.secret_hash},
        )


def close_session_in(cursor: Cursor, secret: str, *, now: datetime) -> bool:
    """End a session at once, in the caller's transaction; False where there is none that has not ended so."""
    cursor.execute(
        "UPDATE session SET revoked_at = %s WHERE secret_hash = %s AND revoked_at IS NULL", (now, _hash(secret))
    )
    return cursor.rowcount == 1


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
