"""Bearer tokens `olk_<id>_<secret>`: who holds one is its principal, in its roles; only the secret's hash is kept."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from ledger import access_log
from ledger.access_log import Access
from ledger.checks import Checks, shown
from ledger.database import Cursor, Database
from ledger.refusal import Code
from ledger.wording import instant_text, say

ROLES: Final = ("ingest", "sales", "rules", "approver", "finance", "auditor", "admin", "monitor")
_PREFIX = "olk"
_ID_BYTES = 6
_SECRET_BYTES = 24
_SELECT = "SELECT secret_hash, id, principal, roles, created_at, expires_at, revoked_at, last_used_at FROM token"


@dataclass(frozen=True)
class Token:
    """A token as kept. For the role sales, the principal is the salesperson's id.

    `last_used_at` is exact to a minute, or to that of the last process that took it.
    """

    id: str
    principal: str
    roles: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def valid_at(self, now: datetime) -> bool:
        """Say whether the token is neither expired nor revoked."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True)
class Presented:
    """What was presented as a token: the id, where there is a token of it, and the token, where the secret is its."""

    token_id: str | None = None
    token: Token | None = None


@dataclass(frozen=True)
class NewToken:
    """A token that is asked for: whose it is, in which roles, and from when on it is no longer valid."""

    principal: str
    roles: tuple[str, ...]
    expires_at: datetime | None = None

    def check(self, now: datetime) -> None:
        """Refuse what can't be a token. Errors: Refusal (invalid_value) with every problem."""
        checks = Checks("the token")
        checks.identifier(self.principal, "/principal")
        if not self.roles:
            checks.note(
                Code.invalid_value, say("it needs a role: one or more of {roles}", roles=", ".join(ROLES)), "/roles"
            )
        for index, role in enumerate(self.roles):
            pointer = f"/roles/{index}"
            if role not in ROLES:
                sentence = say(
                    "there is no role {role}: name one or more of {roles}", role=shown(role), roles=", ".join(ROLES)
                )
                checks.note(Code.invalid_value, sentence, pointer)
            elif role in self.roles[:index]:
                checks.note(Code.invalid_value, say("the role {role} is named twice: name it once", role=role), pointer)
        if self.expires_at is not None and self.expires_at <= now:
            sentence = say(
                "it would end at {expires_at}, which is over: give a later expires_at, or none",
                expires_at=instant_text(self.expires_at),
            )
            checks.note(Code.invalid_value, sentence, "/expires_at")
        checks.refuse_if_any()


def issue_token(database: Database, new: NewToken, entry: Access) -> tuple[str, Token]:
    """Make a token and note it in the access log, both or neither; give its text, shown this once, and the token.

    Shape: `entry` says who makes it, and when; action and subject are written here.
    Errors: Refusal (invalid_value) as of NewToken.check.
    """
    new.check(entry.at)
    with database.transaction() as cursor:
        return issue_token_in(cursor, new, entry)


def issue_token_in(cursor: Cursor, new: NewToken, entry: Access) -> tuple[str, Token]:
    """Make a token that was checked, and note it in the access log, in the caller's transaction."""
    text = create_token_in(cursor, new.principal, new.roles, now=entry.at, expires_at=new.expires_at)
    subject = f"token {token_id_of(text)} of {new.principal} ({', '.join(new.roles)})"
    access_log.append(cursor, replace(entry, action=access_log.TOKEN_CREATED, subject=subject))
    return text, Token(token_id_of(text), new.principal, new.roles, entry.at, new.expires_at)


def withdraw_token(database: Database, token_id: str, entry: Access) -> bool:
    """Revoke a token at once and note it in the access log, both or neither; False as of revoke_token."""
    with database.transaction() as cursor:
        if not revoke_token_in(cursor, token_id, now=entry.at):
            return False
        access_log.append(cursor, replace(entry, action=access_log.TOKEN_REVOKED, subject=f"token {token_id}"))
    return True


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
        cursor.execute(f"{_SELECT} WHERE id = %s", (token_id,))
        row = cursor.fetchone()
    if row is None:
        return Presented()
    right = hmac.compare_digest(bytes(row[0]), _hash(secret))
    return Presented(token_id, _token(row) if right else None)


def list_tokens(database: Database) -> list[Token]:
    """Give all tokens, oldest first."""
    with database.cursor() as cursor:
        cursor.execute(f"{_SELECT} ORDER BY created_at, id")
        return [_token(row) for row in cursor]


def token_of_id(database: Database, token_id: str) -> Token | None:
    """Give the token of an id, None where there is none."""
    with database.cursor() as cursor:
        cursor.execute(f"{_SELECT} WHERE id = %s", (token_id,))
        row = cursor.fetchone()
    return _token(row) if row else None


def note_use(database: Database, token_id: str, *, now: datetime) -> None:
    """Note that a token is used. It waits for nobody: while another process writes to the token, nothing is noted."""
    with database.cursor() as cursor:
        cursor.execute(
            "UPDATE token SET last_used_at = %(now)s WHERE id = (SELECT id FROM token WHERE id = %(id)s"
            " AND (last_used_at IS NULL OR last_used_at < %(now)s) FOR NO KEY UPDATE SKIP LOCKED)",
            {"now": now, "id": token_id},
        )


def revoke_token(database: Database, token_id: str, *, now: datetime) -> bool:
    """Revoke a token at once; False where there is none of that id that is not revoked."""
    with database.cursor() as cursor:
        return revoke_token_in(cursor, token_id, now=now)


def revoke_token_in(cursor: Cursor, token_id: str, *, now: datetime) -> bool:
    """Revoke a token in the caller's transaction; False as of revoke_token."""
    cursor.execute("UPDATE token SET revoked_at = %s WHERE id = %s AND revoked_at IS NULL", (now, token_id))
    return cursor.rowcount == 1


def _token(row: tuple[Any, ...]) -> Token:
    _, token_id, principal, roles, *moments = row
    return Token(token_id, principal, tuple(roles), *moments)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
