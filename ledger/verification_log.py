"""The verdicts of `orderledger verify`, beside the ledger: when it was last verified, and whether it was sound.

It is there for whoever operates the service (GET /metrics), and is no evidence: the verdict of yesterday proves nothing
about a ledger that somebody changed since, and who can write into the database can write a verdict.
"""

from dataclasses import dataclass
from datetime import datetime

from ledger.database import Cursor


@dataclass(frozen=True)
class Verification:
    """One verdict: the events that were read and their root, and how many findings there were."""

    finished_at: datetime
    principal: str
    size: int
    root: bytes
    findings: int
    milliseconds: int

    @property
    def is_sound(self) -> bool:
        """Say whether nothing was found."""
        return self.findings == 0


def append(cursor: Cursor, verification: Verification) -> None:
    """Write a verdict down."""
    cursor.execute(
        "INSERT INTO verification (finished_at, principal, size, root, findings, milliseconds)"
        " VALUES (%(finished_at)s, %(principal)s, %(size)s, %(root)s, %(findings)s, %(milliseconds)s)",
        vars(verification),
    )


def last(cursor: Cursor) -> Verification | None:
    """Read the last verdict, None where the ledger was never verified."""
    cursor.execute(
        "SELECT finished_at, principal, size, root, findings, milliseconds FROM verification"
        " ORDER BY number DESC LIMIT 1"
    )
    row = cursor.fetchone()
    if row is None:
        return None
    finished_at, principal, size, root, findings, milliseconds = row
    return Verification(finished_at, principal, size, bytes(root), findings, milliseconds)
