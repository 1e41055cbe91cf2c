"""Performance: a quarter's figures after a rule change, against a plain GROUP BY over the same typed lines.

Ours: `projections.performance.performance` by salesperson with a store that has read no rule before: reads the rulebook
(20 order types with dated rules, a house-account rule with some hundred customers in the class, some rules for
customers and salespeople; in a second round for products too), resolves it, computes gross and credited amounts,
quantities and orders, and gives them with their texts and a digest. Before each run one type's share changes, and the
change is projected.
Comparison: `SELECT salesperson, sum(amount), sum(quantity) … GROUP BY salesperson` on the same credit lines.
Both take turns; medians are compared.
"""

from collections.abc import Iterator
from datetime import date
from random import Random

from ledger.database import Database
from ledger.events import Alteration, Conditions, CustomerClassified, RuleChangeProposed, SetRule
from ledger.facts import record_fact
from ledger.money import share_text
from ledger.periods import Period, parse_period
from ledger.rule_changes import change_rules
from ledger.store import Store
from projections.generation import serving_generation, use_generation
from projections.performance import performance
from projections.projector import Projector
from tests.bench.clock import medians, seconds
from tests.bench.generator import (
    CUSTOMERS,
    ORDER_TYPES,
    PRODUCTS,
    SALESPEOPLE,
    customer_id,
    order_type,
    product_id,
    salesperson_id,
)
from tests.bench.loading import ACTOR, Progress
from tests.bench.report import Row, at_most

HOUSE_ACCOUNTS = 300
NAMED = 5
RUNS = 9
PERIOD = "2024-Q2"


def run(database: Database, progress: Progress) -> list[Row]:
    """Measure over a loaded ledger, and give the table's rows."""
    store = Store(database)
    period = parse_period(PERIOD)
    _change(store, "bench-rules", tuple(_rules(Random(2))))  # noqa: S311 - seeded, to be the same again
    _classify(store)
    with database.transaction() as cursor:
        use_generation(cursor, serving_generation(cursor) or 0)
        cursor.execute("ANALYZE customer_class")
    progress("performance: rules recorded")
    plain, ours = medians(_plain_times(database, period), _our_times(store, period, "change"))
    rows = [at_most(f"performance of {PERIOD} after a rule change / plain GROUP BY", ours, plain, goal=2)]
    _change(store, "bench-product-rules", tuple(_product_rules(Random(3))))  # noqa: S311 - seeded
    plain, ours = medians(_plain_times(database, period), _our_times(store, period, "product"))
    rows.append(at_most("  the same, some rules naming products", ours, plain, goal=2))
    return rows


def _change(store: Store, name: str, alterations: tuple[Alteration, ...]) -> None:
    change_rules(store, RuleChangeProposed(name, alterations, "the rules of the benchmark"), actor=ACTOR)
    _project(store.database)


def _classify(store: Store) -> None:
    for number in Random(4).sample(range(CUSTOMERS), HOUSE_ACCOUNTS):  # noqa: S311 - seeded
        fact = CustomerClassified("house-account", date(2023, 1 + number % 12, 1))
        record_fact(store, customer_id(number), fact, actor=ACTOR)
    _project(store.database)


def _rules(random: Random) -> Iterator[Alteration]:
    """Give two dated rules of each order type, and some of each other condition."""
    for number in range(ORDER_TYPES):
        own = Conditions(order_type=order_type(number))
        yield SetRule(own, share_text(1_000 * (1 + number % 9)), date(2023, 7, 1), date(2024, 5, 1))
        yield SetRule(own, share_text(500 * (1 + number % 19)), date(2024, 5, 1))
    yield SetRule(Conditions(customer_class="house-account"), "0", date(2023, 1, 1))
    for number in range(NAMED):
        day = date(2024, 4 + number % 3, 10)
        yield SetRule(Conditions(customer_id=customer_id(random.randrange(CUSTOMERS))), "0.5", day)
        yield SetRule(Conditions(salesperson_id=salesperson_id(random.randrange(SALESPEOPLE))), "1.2", day)


def _product_rules(random: Random) -> Iterator[Alteration]:
    for number in range(NAMED):
        product = product_id(random.randrange(PRODUCTS))
        yield SetRule(Conditions(product_id=product), "0", date(2024, 4 + number % 3, 10))


def _project(database: Database) -> None:
    Projector(database).catch_up()


def _our_times(store: Store, period: Period, name: str) -> Iterator[float]:
    database = store.database
    for number in range(RUNS):
        rule = SetRule(Conditions(order_type=order_type(1)), share_text(2_000 + number + len(name)), date(2024, 4, 1))
        _change(store, f"bench-{name}-{number}", (rule,))
        yield seconds(performance, Store(database), period)


def _plain_times(database: Database, period: Period) -> Iterator[float]:
    for _ in range(RUNS):
        yield seconds(_plain, database, period)


def _plain(database: Database, period: Period) -> None:
    with database.transaction("ISOLATION LEVEL REPEATABLE READ, READ ONLY") as cursor:
        use_generation(cursor, serving_generation(cursor) or 0)
        cursor.execute(
            "SELECT salesperson, sum(amount), sum(quantity) FROM credit_line"
            " WHERE credited_on >= %s AND credited_on < %s GROUP BY salesperson",
            (period.start, period.end),
        )
        cursor.fetchall()
