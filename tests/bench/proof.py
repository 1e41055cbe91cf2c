"""Verifying a ledger: how fast its bytes are read and hashed, in one process; and what proofs and the whole take."""

import time
from collections.abc import Callable

from ledger.database import Database
from ledger.store import Store
from ledger.verification import verify_ledger
from projections.verification import verify
from tests.bench.report import Row, note, rate

HASHED_GOAL = 100_000
PROOFS = 1_000

Progress = Callable[[str], None]


def run(database: Database, progress: Progress) -> list[Row]:
    """Verify a loaded, projected ledger."""
    progress("verifying")
    store = Store(database)
    size = store.head()
    hashed_seconds = min(_hashed_seconds(database) for _ in range(3))
    started = time.perf_counter()
    verified = verify(store)
    whole_seconds = time.perf_counter() - started
    assert verified.is_sound, verified.ledger.findings
    started = time.perf_counter()
    for position in range(1, size, max(size // PROOFS, 1)):
        store.tree.inclusion_proof(position, size)
    proof_seconds = (time.perf_counter() - started) / min(PROOFS, size)
    return [
        rate("verify: bytes, hashes, tree and columns, one process", size / hashed_seconds, goal=HASHED_GOAL),
        note("verify: the whole, projection folded anew and compared", f"{size / whole_seconds:,.0f} events/s"),
        note("inclusion proof of one event, the tree read each time", f"{1000 * proof_seconds:,.1f} ms"),
    ]


def _hashed_seconds(database: Database) -> float:
    """Time until every event is read, hashed and held against its leaf and its columns."""
    read_at = list[float]()

    def progress(done: int, total: int) -> None:
        if done == total:
            read_at.append(time.perf_counter())

    started = time.perf_counter()
    verify_ledger(database, progress=progress)
    return read_at[-1] - started
