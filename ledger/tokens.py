"""Bearer tokens `olk_<id>_<secret>`: who holds one is its principal, in its roles; only the secret's hash is kept."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ledger.checks import Checks
from ledger.database import Cursor, Database

ROLES: Final = ("ingest", "sales", "rules", "approver", "finance", "auditor", "admin", "monitor")
_PREFIX = "olk"
_ID_BYTES = 6
_SECRET_BYTES = 24


@dataclass(frozen=True)
class Token:
    """A token as kept. For the role sales, the principal is the salesperson's id."""

    id: str
    principal: str
    roles: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def valid_at(self, now: datetime) -> bool:
        """Say whether the token is neither expired nor revoked."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True)
class Presented:
    """What was presented as a token: the id, where there is a token of it, and the token, where the secret is its."""

    token_id: str | None = None
    token: Token | None = None


def create_token(
    database: Database, principal: str, roles: tuple[str, ...], *, now: datetime, expires_at: datetime | None = None
) -> str:
    """Make a token and give its text, which is shown this once. Errors: as of create_token_in."""
    with database.cursor() as cursor:
        return create_token_in(cursor, principal, roles, now=now, expires_at=expires_at)


def create_token_in(
    cursor: Cursor, principal: str, roles: tuple[str, ...], *, now: datetime, expires_at: datetime | None = None
) -> str:
    """Make a token in the caller's transaction and give its text.

    Errors: Refusal for a principal that is not an identifier.
    """
    assert set(roles) <= set(ROLES), "the caller has checked the roles"
    checks = Checks("the token")
    checks.identifier(principal, "/principal")
    checks.refuse_if_any()
    token_id, secret = secrets.token_hex(_ID_BYTES), secrets.token_hex(_SECRET_BYTES)
    cursor.execute(
        "INSERT INTO token (id, secret_hash, principal, roles, created_at, expires_at) VALUES (%s, %s, %s, %s, %s, %s)",
        (token_id, _hash(secret), principal, list(roles), now, expires_at),
    )
    return f"{_PREFIX}_{token_id}_{secret}"


def token_id_of(text: str) -> str:
    """Give the id in a token's text, which is no secret."""
    return text.split("_")[1]


def find_token(database: Database, text: str) -> Token | None:
    """Give the token of this text; None where there is no such token or the secret is wrong."""
    return presented(database, text).token


def presented(database: Database, text: str) -> Presented:
    """Look up what was presented as a token."""
    prefix, _, rest = text.partition("_")
    token_id, _, secret = rest.partition("_")
    if prefix != _PREFIX or not token_id.isascii() or not secret.isascii() or "\x00" in text:
        return Presented()
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT secret_hash, id, principal, roles, created_at, expires_at, revoked_at FROM token WHERE id = %s",
            (token_id,),
        )
        row = cursor.fetchone()
    if row is None:
        return Presented()
    right = hmac.compare_digest(bytes(row[0]), _hash(secret))
    return Presented(token_id, _token(row[1:]) if right else None)


def list_tokens(database: Database) -> list[Token]:
    """Give all tokens, oldest first."""
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT id, principal, roles, created_at, expires_at, revoked_at FROM token ORDER BY created_at, id"
        )
        return [_token(row) for row in cursor]


def revoke_token(database: Database, token_id: str, *, now: datetime) -> bool:
    """Revoke a token at once; False where there is none of that id that is not revoked."""
    with database.cursor() as cursor:
        return revoke_token_in(cursor, token_id, now=now)


def revoke_token_in(cursor: Cursor, token_id: str, *, now: datetime) -> bool:
    """Revoke a token in the caller's transaction; False as of revoke_token."""
    cursor.execute("UPDATE token SET revoked_at = %s WHERE id = %s AND revoked_at IS NULL", (now, token_id))
    return cursor.rowcount == 1


def _token(row: tuple[str, str, list[str], datetime, datetime | None, datetime | None]) -> Token:
    token_id, principal, roles, created_at, expires_at, revoked_at = row
    return Token(token_id, principal, tuple(roles), created_at, expires_at, revoked_at)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
