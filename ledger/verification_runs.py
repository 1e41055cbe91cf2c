"""The verification that the service was asked for last: how far it is, and what it found; one at a time per ledger.

Whether one goes on is no state in the table, which a process that ended would leave behind, but a lock of a database
session. Its row changes while it goes on, and makes room for the next one; the verdict is in verification_log.
"""

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ledger.database import Connection, Cursor, Database, one

_LOCK: Final = (7_305_817, 14)
_IS_HELD = (
    "EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND (classid, objid, objsubid) = (%s, %s, 2)"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
)


@dataclass(frozen=True)
class Run:
    """A verification: who asked for it and when, the steps done and their number (0: not counted yet).

    Shape: `told` is what was verified and found, as whoever verified wrote it, None of one that has not finished; of
    such a one `goes_on` says whether somebody is at it.
    """

    number: int
    principal: str
    started_at: datetime
    done: int
    total: int
    finished_at: datetime | None
    told: str | None
    goes_on: bool


def hold(database: Database) -> Connection | None:
    """Give a connection that holds the ledger's verification until it is closed; None where another one does."""
    connection = database.connect()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", _LOCK)
        if one(cursor)[0]:
            return connection
    connection.close()
    return None


def release(held: Connection) -> None:
    """Let go of the ledger's verification, and close the connection.

    The server lets a closed connection's lock go when it comes to it: until then the verification would seem to go on.
    """
    with closing(held), held.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", _LOCK)


def claim(cursor: Cursor) -> None:
    """Let nobody else begin one until the caller's transaction ends."""
    cursor.execute("LOCK TABLE verification_run IN EXCLUSIVE MODE")


def begin(cursor: Cursor, principal: str, now: datetime) -> Run:
    """Write down that a verification begins, in the place of the one before."""
    cursor.execute("DELETE FROM verification_run")
    cursor.execute(
        "INSERT INTO verification_run (principal, started_at) VALUES (%s, %s) RETURNING number", (principal, now)
    )
    return Run(one(cursor)[0], principal, now, 0, 0, None, None, goes_on=True)


def advance(cursor: Cursor, number: int, done: int, total: int) -> None:
    """Write down how far it is."""
    cursor.execute("UPDATE verification_run SET done = %s, total = %s WHERE number = %s", (done, total, number))


def finish(cursor: Cursor, number: int, told: str, now: datetime) -> None:
    """Write down what was found."""
    cursor.execute(
        "UPDATE verification_run SET done = total, told = %s, finished_at = %s WHERE number = %s", (told, now, number)
    )


def last(cursor: Cursor) -> Run | None:
    """Read the last one; None where the service was never asked for any."""
    cursor.execute(
        "SELECT number, principal, started_at, done, total, finished_at, told,"  # noqa: S608 - text of ours
        f" finished_at IS NULL AND {_IS_HELD} FROM verification_run ORDER BY number DESC LIMIT 1",
        _LOCK,
    )
    row = cursor.fetchone()
    return None if row is None else Run(*row)
