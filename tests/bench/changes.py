"""Changes for the past: an impact against the full calculation, and what people wait for when they ask why.

(a) The impact of setting one order type's share for one quarter, as a proposal computes it, against the full
    calculation of that quarter (`performance` by salesperson), both through the public functions, in turns. At ledgers
    of 1/30, 1/3 and all of the orders, and for a rare and a frequent order type, so that it can be seen with what it
    grows; the orders it touches stand beside it.
(b) The explanation of an order, a salesperson's credit lines of a quarter, and the movement of a quarter over 1,000
    events of which one in fifty is a rule change: p50 and p99 of many, each of another order, salesperson or stretch.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from random import Random
from statistics import quantiles

from ledger.database import Database
from ledger.events import Conditions, RuleChangeProposed, SetRule
from ledger.intake import record_all
from ledger.money import share_text
from ledger.periods import Period, parse_period
from ledger.rule_changes import change_rules
from ledger.store import Store
from projections.explanation import explain
from projections.impact import Impact, proposed_impact
from projections.movement import movement
from projections.performance import credits_behind, performance
from projections.projector import Projector
from tests.bench.clock import medians, seconds
from tests.bench.generator import LINES, SALESPEOPLE, batches, order_events, order_type, salesperson_id
from tests.bench.loading import ACTOR, Progress, load
from tests.bench.rebuild import rebuild_apart
from tests.bench.report import Row, at_most, note
from tests.bench.server import Server, ledger_database

PERIOD = "2024-Q2"
RUNS = 9
ASKED = 300
MOVEMENTS = 60
PARTS = (30, 3, 1)
MOVED_EVENTS = 1_000
EVENTS_A_RULE_CHANGE = 50
FREQUENT, RARE = 0, 17
"""Order types that about one order in ten, and one in eighty, has."""


def run(server: Server, orders: int, progress: Progress) -> Iterator[Row]:
    """Measure over ledgers of its own (the rules of other parts would be in the way), and give the rows."""
    for part in PARTS:
        with ledger_database(server) as database:
            load(database, orders // part, progress)
            rebuild_apart(database.url)
            yield from _impacts(database, orders // part)
            if part == 1:
                yield from _waiting(Store(database), orders, progress)


def _waiting(store: Store, orders: int, progress: Progress) -> Iterator[Row]:
    progress("changes: explanations and credit lines")
    random = Random(5)  # noqa: S311 - seeded
    yield _waited("explanation of an order", lambda: explain(store, _some_order(random, orders)), ASKED)
    period = parse_period(PERIOD)
    yield _waited("a salesperson's credit lines of a quarter", lambda: _credits(store, random, period), ASKED)
    progress("changes: movements")
    first, last = _record_changes(store)
    starts = iter(random.choices(range(first, last - MOVED_EVENTS), k=MOVEMENTS))
    yield _waited(
        f"movement of {PERIOD} over {MOVED_EVENTS:,} events, one in {EVENTS_A_RULE_CHANGE} a rule change",
        lambda: _movement(store, period, next(starts)),
        MOVEMENTS,
    )


def _impacts(database: Database, orders: int) -> Iterator[Row]:
    """Compare the impact of one type's rule for one quarter with the full calculation of the quarter."""
    store, period = Store(database), parse_period(PERIOD)
    for name, kind in (("frequent", FREQUENT), ("rare", RARE)):
        rule = SetRule(Conditions(order_type=order_type(kind)), "0.77", period.start, period.end)
        found = proposed_impact(store, [rule])
        full, ours = medians(_full_times(store, period), _impact_times(store, period, kind))
        label = f"impact of a {name} type, {LINES * orders / 1e6:.1f} M lines, {found.orders:,} orders touched / full"
        yield at_most(label, ours, full, goal=0.4)


def _full_times(store: Store, period: Period) -> Iterator[float]:
    for _ in range(RUNS):
        yield seconds(performance, Store(store.database), period)


def _impact_times(store: Store, period: Period, kind: int) -> Iterator[float]:
    for number in range(RUNS):
        share = share_text(7_000 + number)
        rule = SetRule(Conditions(order_type=order_type(kind)), share, period.start, period.end)
        yield seconds(_impact, Store(store.database), rule)


def _impact(store: Store, rule: SetRule) -> Impact:
    return proposed_impact(store, [rule])


def _waited(what: str, ask: Callable[[], object], times: int) -> Row:
    waited = [1000 * seconds(ask) for _ in range(times)]
    cuts = quantiles(waited, n=100)
    return note(f"{what}, p50 / p99", f"{cuts[49]:,.1f} / {cuts[98]:,.1f} ms")


def _some_order(random: Random, orders: int) -> str:
    return f"SO-{random.randrange(orders):08}"


def _credits(store: Store, random: Random, period: Period) -> object:
    return credits_behind(store, salesperson_id(random.randrange(SALESPEOPLE)), period, limit=5_000)


def _movement(store: Store, period: Period, first: int) -> object:
    return movement(store, period, from_position=first, to_position=first + MOVED_EVENTS)


def _record_changes(store: Store) -> tuple[int, int]:
    """Record some thousand more events, a rule change after every so many orders; give the positions."""
    first = store.head()
    stream = order_events(3 * MOVED_EVENTS, seed=9, prefix="MO")
    for number, batch in enumerate(islice(batches(stream, EVENTS_A_RULE_CHANGE - 2), 3 * MOVED_EVENTS)):
        record_all(store, batch, actor=ACTOR)
        period = parse_period(PERIOD)
        conditions = Conditions(order_type=order_type(number % 20))
        rule = SetRule(conditions, share_text(3_000 + number), period.start, period.end)
        change_rules(store, RuleChangeProposed(f"moving-{number}", (rule,), "a change among orders"), actor=ACTOR)
    return first, Projector(store.database).catch_up()
