"""Verifying a ledger: how fast its bytes are hashed into the tree by one process; what all of it takes; and proofs.

The hash part reads every event's bytes, hashes them and grows the tree, whose root must be the head's: what nobody who
verifies can do without. The next row is that pass as `verify` makes it, which also reads and compares the columns,
decodes each document, and holds each leaf against the one that was kept.
"""

from collections.abc import Callable
from contextlib import closing

from ledger.database import Database
from ledger.merkle import grow, leaf_hash, root_hash
from ledger.store import Store
from ledger.verification import verify_ledger
from projections.verification import verify
from tests.bench.clock import seconds
from tests.bench.report import Row, note, rate

HASHED_GOAL = 100_000
FETCH_ROWS = 2_000
PROOFS = 1_000
RUNS = 3

Progress = Callable[[str], None]


def run(database: Database, progress: Progress) -> list[Row]:
    """Verify a loaded, projected ledger."""
    progress("verifying")
    with closing(Store(database)) as store:
        size = store.head()
        hashed = min(seconds(_hash, database, store.tree.head()) for _ in range(RUNS))
        read = min(seconds(verify_ledger, database) for _ in range(RUNS))
        whole = seconds(_verify, store)
        proofs = seconds(_prove, store, size)
    return [
        rate("verify, the hash part: bytes, leaves, tree; one process", size / hashed, goal=HASHED_GOAL),
        note("verify, the ledger: and columns, documents, blocks, streams", f"{size / read:,.0f} events/s"),
        note("verify, the whole: and the projection folded anew, compared", f"{size / whole:,.0f} events/s"),
        note("inclusion proof of one event, the tree read each time", f"{1000 * proofs / min(PROOFS, size):,.1f} ms"),
    ]


def _hash(database: Database, head: tuple[int, bytes]) -> None:
    """Make the tree of all stored bytes; its size and root must be the head's."""
    peaks, size = list[bytes](), 0
    with closing(database.connect()) as connection:
        connection.autocommit = False
        with connection.cursor(name="states") as cursor:
            cursor.itersize = FETCH_ROWS
            cursor.execute("SELECT state FROM event ORDER BY position")
            for (state,) in cursor:
                grow(peaks, size, leaf_hash(state.encode()))
                size += 1
    assert (size, root_hash(peaks)) == head


def _verify(store: Store) -> None:
    verified = verify(store)
    assert verified.is_sound, verified.ledger.findings


def _prove(store: Store, size: int) -> None:
    for position in range(1, size + 1, max(size // PROOFS, 1)):
        store.tree.inclusion_proof(position, size)
