"""The access log: who signed in, made and revoked tokens, took data out, read audit data, and was refused.

It lies beside the ledger in a table of its own, to which rows are only ever added. It is not part of the ledger: no
position, no proof, nothing is computed from it. What somebody recorded is in the ledger's events, which name their
principal. It holds no secret and nothing that a person typed but the days, periods and positions they asked for.

A row stands for what was handed out (`outcome` done) or refused (the refusal's code). Of the same refusal within a
minute (same address, token, code and subject) the first is written at once; the others are counted, and written as one
row (`times`) once the minute is over. Beyond REFUSALS_MAX different ones in a minute all others are counted together.
So a flood of wrong tokens writes at most 2 x (REFUSALS_MAX + 1) rows a minute in each process.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from ledger.database import Cursor, Database, one

SIGNED_IN: Final = "signed_in"
TOKEN_CREATED: Final = "token_created"  # noqa: S105 - an action
TOKEN_REVOKED: Final = "token_revoked"  # noqa: S105 - an action
EXPORTED: Final = "exported"
AUDIT_READ: Final = "audit_read"
WEBHOOK_CHANGED: Final = "webhook_changed"
REFUSED: Final = "refused"
ACTIONS: Final = (SIGNED_IN, TOKEN_CREATED, TOKEN_REVOKED, EXPORTED, AUDIT_READ, REFUSED, WEBHOOK_CHANGED)
"""Everything that is written down; only ever added to."""

DONE: Final = "done"
HTTP, CLI = "http", "cli"
SUBJECT_CHARACTERS_MAX: Final = 300
REFUSALS_MAX: Final = 20
TOGETHER: Final = timedelta(minutes=1)
OTHERS: Final = "(others)"
PAGE_MAX: Final = 5_000
_INSERT = "INSERT INTO access (at, channel, action, outcome, principal, token_id, subject, request_id, address, times)"
_NOT_SIGNED_IN = (
    "NOT EXISTS (SELECT FROM access WHERE action = 'signed_in' AND token_id = %s AND at >= %s"
    " AND address IS NOT DISTINCT FROM %s)"
)
_ROW = "%s, %s, %s, %s, %s, %s, %s, %s, %s, %s"


@dataclass(frozen=True)
class Access:
    """One entry; `number` is its place in the log, 0 of one that is not written yet."""

    at: datetime
    channel: str
    action: str
    outcome: str
    principal: str | None
    token_id: str | None
    subject: str
    request_id: str | None = None
    address: str | None = None
    times: int = 1
    number: int = 0


@dataclass(frozen=True)
class Asked:
    """Which entries: those at [since, until), of a principal, of an action; None: of any."""

    since: datetime | None = None
    until: datetime | None = None
    principal: str | None = None
    action: str | None = None


def append(cursor: Cursor, access: Access) -> None:
    """Write an entry, in the caller's transaction."""
    cursor.execute(f"{_INSERT} VALUES ({_ROW})", _row(access))


def append_sign_in(cursor: Cursor, access: Access) -> None:
    """Write a token's sign-in, unless it is written that it signed in from this address on that day (UTC)."""
    assert access.action == SIGNED_IN
    first = access.at.replace(hour=0, minute=0, second=0, microsecond=0)
    cursor.execute(
        f"{_INSERT} SELECT {_ROW} WHERE {_NOT_SIGNED_IN}",
        (*_row(access), access.token_id, first, access.address),
    )


def _row(access: Access) -> tuple[object, ...]:
    assert access.action in ACTIONS
    return (
        *(access.at, access.channel, access.action, access.outcome, access.principal, access.token_id),
        *(access.subject[:SUBJECT_CHARACTERS_MAX], access.request_id, access.address, access.times),
    )


def last_number(database: Database) -> int:
    """Give the number of the last entry, 0 where there is none."""
    with database.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(number), 0) FROM access")
        number: int = one(cursor)[0]
        return number


def read(database: Database, asked: Asked, *, after: int, last: int, limit: int) -> list[Access]:
    """Read the entries numbered (after, last] that are asked for, oldest first, at most so many."""
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT at, channel, action, outcome, principal, token_id, subject, request_id, address, times, number"
            " FROM access WHERE number > %(after)s AND number <= %(last)s"
            " AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)"
            " AND (%(until)s::timestamptz IS NULL OR at < %(until)s)"
            " AND (%(principal)s::text IS NULL OR principal = %(principal)s)"
            " AND (%(action)s::text IS NULL OR action = %(action)s)"
            " ORDER BY number LIMIT %(limit)s",
            {**vars(asked), "after": after, "last": last, "limit": limit},
        )
        return [Access(*row) for row in cursor]


def read_all(database: Database, asked: Asked, *, last: int) -> Iterator[Access]:
    """Read all entries up to a number that are asked for, oldest first, a page at a time."""
    after = 0
    while page := read(database, asked, after=after, last=last, limit=PAGE_MAX):
        yield from page
        after = page[-1].number


_Key = tuple[str | None, str | None, str, str]


class Refusals:
    """The refusals of the last minute in one process: which to write now, and how many of the same came since."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: datetime | None = None
        self._counted: dict[_Key, Access | None] = {}

    def taken(self, access: Access) -> list[Access]:
        """Take a refusal that was answered; give what is to be written now, the oldest first."""
        with self._lock:
            due = self._closed() if self._since and access.at - self._since >= TOGETHER else []
            self._since = self._since or access.at
            key: _Key = (access.address, access.token_id, access.outcome, access.subject)
            if key not in self._counted and len(self._counted) >= REFUSALS_MAX:
                access = replace(access, outcome=OTHERS, principal=None, token_id=None, subject=OTHERS, address=None)
                key = (None, None, OTHERS, OTHERS)
            if key not in self._counted:
                self._counted[key] = None
                return [*due, access]
            before = self._counted[key]
            self._counted[key] = replace(access, times=before.times + 1 if before else 1)
            return due

    def left(self, now: datetime | None = None) -> list[Access]:
        """Give what is counted and not written: of a minute that is over by now; without a now, all."""
        if self._since is None or (now is not None and now - self._since < TOGETHER):
            return []
        with self._lock:
            return self._closed()

    def _closed(self) -> list[Access]:
        due = [access for access in self._counted.values() if access is not None]
        self._counted, self._since = {}, None
        return due
