"""A ledger with the generator's orders in it, for the parts that need one: recorded through intake, once."""

from collections.abc import Callable, Iterator

from ledger.database import Database
from ledger.intake import record_all
from ledger.rule_changes import change_rules
from ledger.store import Store
from tests.bench.clock import Side
from tests.bench.generator import OPENING, batches, order_events

ACTOR = "bench"
BATCH_EVENTS = 500

Progress = Callable[[str], None]


def load(database: Database, orders: int, progress: Progress) -> Side:
    """Record the orders, judged and appended in batches as the bulk endpoint does; give what intake took."""
    store = Store(database)
    change_rules(store, OPENING, actor=ACTOR)
    intake = Side()
    for number, batch in enumerate(batches(order_events(orders), BATCH_EVENTS)):
        intake.run(len(batch), record_all, store, batch, actor=ACTOR)
        if number % 100 == 99:
            progress(f"recorded {intake.work:,} events")
    store.sequencer.close()
    with database.administration() as cursor:
        cursor.execute("VACUUM ANALYZE event")
    return intake


def stored_states(database: Database, limit: int) -> Iterator[tuple[str, int, str, str]]:
    """Read the first stored events: (subject, version, type, state)."""
    connection = database.connect()
    connection.autocommit = False
    try:
        with connection.cursor("stored_states") as cursor:
            cursor.itersize = 5_000
            cursor.execute(
                "SELECT subject, version, type, state FROM event WHERE starts_with(subject, 'order/')"
                " ORDER BY position LIMIT %s",
                (limit,),
            )
            yield from cursor
    finally:
        connection.close()
