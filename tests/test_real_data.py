"""Order data that nobody here wrote gives the totals that were published or computed apart from this project.

Four sets are in ../shared/data (or where ORDERLEDGER_TEST_DATA says), too big for a clone: without them those tests
skip. The TPC-H set is made on the spot by tpchgen-cli, a program of others; what it must give is summed here with the
csv and decimal modules.
"""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from api.import_files import LINE_COLUMNS, ORDER_COLUMNS
from api.importer import import_folder
from ledger.database import Database
from ledger.events import Conditions, RuleChangeProposed, SetRule
from ledger.periods import Calendar, parse_period
from ledger.refusal import Code
from ledger.rule_changes import change_rules
from ledger.store import Store
from projections.closing import CarryForward, carry_forward, close, period_state, restate
from projections.impact import Impact, approve, propose
from projections.performance import performance
from projections.projector import Projector

DATA = Path(os.environ.get("ORDERLEDGER_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
SETS = {"northwind": 830, "superstore": 5009, "adventureworks-seed": 1566, "chinook": 412}
ORPHAN_LINES = {"adventureworks-seed": 41}
ALWAYS, ALL_DAYS = date(1900, 1, 1), "1900-01-01..2199-12-31"
ALL = "[all]"
TPCH_ORDERS = 3_000

Figures = dict[str, tuple[int, Decimal]]
"""Orders and exact amount by salesperson; an empty id: nobody is credited."""

needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"{DATA} is not there: set ORDERLEDGER_TEST_DATA to the folder with the real data sets"
)


@dataclass
class Expected:
    """The figures of one set by column ("[all]", "[excl:TYPE]") and period, and each column's total."""

    columns: list[str] = field(default_factory=list)
    totals: dict[str, tuple[int, Decimal]] = field(default_factory=dict)
    by_period: dict[tuple[str, str], Figures] = field(default_factory=dict)

    def periods(self) -> list[str]:
        """Name the periods: the whole, the years, the quarters."""
        return sorted({period for _, period in self.by_period})

    def quarters(self) -> list[str]:
        """Name the quarters in order."""
        return [period for period in self.periods() if "-Q" in period]

    def order_types(self) -> list[str]:
        """Name the order types that a column leaves out."""
        return [column.removeprefix("[excl:").removesuffix("]") for column in self.columns if column != ALL]


def read_expected(folder: Path) -> Expected:
    expected = Expected()
    for name in ("total", "year", "quarter"):
        with (folder / "expected" / f"by_salesperson_{name}.csv").open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            expected.columns = [part[len("orders") :] for part in reader.fieldnames or () if part.startswith("orders")]
            for row in reader:
                period = {"total": ALL_DAYS, "year": f"FY{row.get('year')}", "quarter": row.get("quarter", "")}[name]
                for column in expected.columns:
                    figure = (int(row["orders" + column]), Decimal(row["amount" + column]))
                    if row["salesperson_id"] == "TOTAL":
                        expected.totals[column] = figure
                    else:
                        expected.by_period.setdefault((column, period), {})[row["salesperson_id"]] = figure
    return expected


def imported(database: Database, folder: Path, *, orphans: int = 0) -> Store:
    """Import a folder as the command does, and project it."""
    store = Store(database)
    report = import_folder(
        store,
        folder,
        accept_good_rows=bool(orphans),
        define_order_types=True,
        actor="tester",
        progress=lambda _done, _total: None,
    )
    assert [problem.code for problem in report.problems] == [Code.orphan_line] * orphans
    assert (report.recorded, report.lines_rejected) == (report.orders, orphans)
    Projector(database).catch_up()
    return store


def figures(store: Store, period: str, *, position: int | None = None) -> Figures:
    """Ask for the performance of a period, with exact amounts; people of whom nothing is known are not in it."""
    found = performance(store, parse_period(period), group_by=["salesperson"], position=position).figures
    assert len({figure.currency for figure in found}) <= 1, "these sets are in one currency"
    return {figure.keys[0].value or "": (figure.orders, Decimal(figure.credited).scaleb(-10)) for figure in found}


def total(of: Figures) -> tuple[int, Decimal]:
    return sum(orders for orders, _ in of.values()), sum((amount for _, amount in of.values()), Decimal(0))


def digests(store: Store, periods: Iterable[str], position: int) -> list[str]:
    return [performance(store, parse_period(period), position=position).view.digest for period in periods]


def set_share(store: Store, order_type: str, share: str, since: date, reason: str) -> int:
    """Set at which share a type counts from a day on, and project it; give the position."""
    rule = SetRule(Conditions(order_type=order_type), share, since)
    rule_change_id = f"test-{store.head()}"
    change = change_rules(store, RuleChangeProposed(rule_change_id, (rule,), reason), actor="tester")
    Projector(store.database).catch_up()
    return change.position


@needs_data
@pytest.mark.parametrize("name", SETS)
def test_every_published_figure_is_given(database: Database, name: str) -> None:
    expected = read_expected(DATA / name)
    store = imported(database, DATA / name, orphans=ORPHAN_LINES.get(name, 0))
    assert len(expected.periods()) > 4
    assert total(figures(store, ALL_DAYS)) == expected.totals[ALL]
    assert expected.totals[ALL][0] == SETS[name]
    for period in expected.periods():
        assert figures(store, period) == expected.by_period[ALL, period], period
    for order_type in expected.order_types():
        set_share(store, order_type, "0", ALWAYS, f"{order_type} does not count")
        assert total(figures(store, ALL_DAYS)) == expected.totals[f"[excl:{order_type}]"]
        for period in expected.periods():
            assert figures(store, period) == expected.by_period[f"[excl:{order_type}]", period], (order_type, period)
        set_share(store, order_type, "1", ALWAYS, f"{order_type} counts again")
    store.close()


@needs_data
@pytest.mark.parametrize("name", SETS)
def test_a_type_that_stops_counting_at_a_quarter_moves_the_quarters_from_there_on(
    new_database: Callable[[], Database], name: str
) -> None:
    """And the figures known before the change stay what they were."""
    expected = read_expected(DATA / name)
    quarters = expected.quarters()
    boundary = quarters[len(quarters) // 2]
    for order_type in expected.order_types():
        store = imported(new_database(), DATA / name, orphans=ORPHAN_LINES.get(name, 0))
        before = store.head()
        old = digests(store, quarters, before)
        since = parse_period(boundary).start
        after = set_share(store, order_type, "0", since, f"{order_type} does not count from {since}")
        for quarter in quarters:
            column = ALL if quarter < boundary else f"[excl:{order_type}]"
            assert figures(store, quarter) == expected.by_period[column, quarter], (order_type, quarter)
            assert figures(store, quarter, position=before) == expected.by_period[ALL, quarter], (order_type, quarter)
        assert digests(store, quarters, before) == old
        assert digests(store, quarters, after) != old, f"{order_type} never occurs from {boundary} on"
        store.close()


# ---- closed quarters


@dataclass(frozen=True)
class Quarters:
    """Quarters that are closed one after the other, from `first` to before `into`; then a type stops counting.

    It does from the second on. Of the quarters in which it occurs some are restated, the others carried forward.
    """

    first: str
    restated: tuple[str, ...]
    carried: tuple[str, ...]
    into: str

    @property
    def closed(self) -> list[str]:
        """Name all that are closed."""
        last = parse_period(self.into).start - timedelta(1)
        return [period.name for period in Calendar().closing_periods(parse_period(self.first).start, last)]

    @property
    def untouched(self) -> list[str]:
        """Name those in which the change moves nothing: the first, and where the type does not occur."""
        return [quarter for quarter in self.closed if quarter not in (*self.restated, *self.carried)]


CLOSED = {
    "northwind": Quarters("1996-Q4", ("1997-Q1", "1997-Q2"), ("1997-Q3", "1997-Q4"), "1998-Q1"),
    "superstore": Quarters("2015-Q4", ("2016-Q1", "2016-Q2"), ("2016-Q3", "2016-Q4"), "2017-Q1"),
    "adventureworks-seed": Quarters("2011-Q1", ("2011-Q2",), ("2011-Q3", "2011-Q4"), "2012-Q1"),
    "chinook": Quarters("2021-Q4", ("2022-Q1", "2023-Q2"), ("2024-Q3",), "2024-Q4"),
}
"""AdventureWorks has three quarters in all; of Chinook's twelve, three have the type that is published apart."""

Amounts = dict[str, Decimal]
"""Exact amounts by salesperson; who has none is left out."""


def amounts_of(of: Figures) -> Amounts:
    return {person: amount for person, (_, amount) in of.items() if amount}


def difference(new: Amounts, old: Amounts) -> Amounts:
    moved = {person: new.get(person, Decimal(0)) - old.get(person, Decimal(0)) for person in {*new, *old}}
    return {person: amount for person, amount in moved.items() if amount}


def added(amounts: Iterable[Amounts]) -> Amounts:
    sums = dict[str, Decimal]()
    for each in amounts:
        for person, amount in each.items():
            sums[person] = sums.get(person, Decimal(0)) + amount
    return {person: amount for person, amount in sums.items() if amount}


def statement_amounts(store: Store, period: str, version: int, *, adjustments: bool = False) -> Amounts:
    """Give what a statement says was credited in the period itself, or booked into it."""
    figures = store.closings().statements[period][version - 1].statement.figures
    told = {each.salesperson_id or "": Decimal(each.adjustments if adjustments else each.credited) for each in figures}
    return {person: amount for person, amount in told.items() if amount}


def drift_amounts(store: Store, period: str) -> Amounts:
    return {line.salesperson_id or "": Decimal(line.drift).scaleb(-10) for line in period_state(store, period).drift}


def close_all(store: Store, periods: Iterable[str]) -> None:
    for period in periods:
        close(store, period, f"{period} is complete", actor="fay")
        Projector(store.database).catch_up()


def exclude(store: Store, order_type: str, since: date) -> Impact:
    """Let a type stop counting: proposed by one, approved by another; give the impact that was approved."""
    rule = SetRule(Conditions(order_type=order_type), "0", since)
    propose(store, RuleChangeProposed("exclude", (rule,), f"{order_type} does not count"), actor="pat")
    Projector(store.database).catch_up()
    impact = approve(store, "exclude", actor="abe").impact
    Projector(store.database).catch_up()
    return impact


@needs_data
@pytest.mark.parametrize("name", CLOSED)
def test_closed_quarters_are_restated_or_carried_forward_when_a_type_stops_counting(
    database: Database, name: str
) -> None:
    """Every figure follows from expected/; quarters that the change does not touch keep their digests."""
    expected, plan = read_expected(DATA / name), CLOSED[name]
    store = imported(database, DATA / name, orphans=ORPHAN_LINES.get(name, 0))

    def published(column: str, quarter: str) -> Amounts:
        return amounts_of(expected.by_period.get((column, quarter), {}))

    order_type, excluded = next(
        (each, column)
        for each in expected.order_types()
        for column in [f"[excl:{each}]"]
        if all(published(ALL, quarter) != published(column, quarter) for quarter in (*plan.restated, *plan.carried))
    )
    moved = {quarter: difference(published(excluded, quarter), published(ALL, quarter)) for quarter in plan.closed[1:]}
    close_all(store, plan.closed)
    for quarter in plan.closed:
        assert statement_amounts(store, quarter, 1) == published(ALL, quarter), quarter
    first, performance_digests = store.closings().statements, digests(store, plan.untouched, store.head())

    impact = exclude(store, order_type, parse_period(plan.closed[1]).start)
    assert set(impact.closed_periods) == {*plan.restated, *plan.carried}
    for quarter in plan.closed:
        assert drift_amounts(store, quarter) == moved.get(quarter, {}), quarter
    resolve(store, plan)
    assert [drift_amounts(store, quarter) for quarter in plan.closed] == [{}] * len(plan.closed)
    for quarter in plan.restated:
        assert statement_amounts(store, quarter, 2) == published(excluded, quarter), quarter
    close_all(store, [plan.into])
    assert statement_amounts(store, plan.into, 1) == published(excluded, plan.into)
    carried = added(moved[quarter] for quarter in plan.carried)
    assert statement_amounts(store, plan.into, 1, adjustments=True) == carried

    current = [published(excluded, quarter) for quarter in (*plan.closed[1:], plan.into)]
    assert settled_amounts(store) == added([published(ALL, plan.first), *current])
    last = store.closings().statements
    assert [last[quarter][0] for quarter in plan.closed] == [first[quarter][0] for quarter in plan.closed]
    assert {len(last[quarter]) for quarter in plan.untouched} == {1}
    assert digests(store, plan.untouched, store.head()) == performance_digests
    store.close()


def resolve(store: Store, plan: Quarters) -> None:
    """Restate some quarters, and carry the others forward."""
    for quarter in plan.restated:
        restate(store, quarter, "as approved", actor="fay")
        Projector(store.database).catch_up()
    for quarter in plan.carried:
        carry_forward(store, CarryForward(quarter, plan.into, "as approved"), actor="fay")
        Projector(store.database).catch_up()


def settled_amounts(store: Store) -> Amounts:
    """Sum the last statements of all periods: what was credited in them, and what was booked into them."""
    return added(
        statement_amounts(store, period, len(issued), adjustments=booked)
        for period, issued in store.closings().statements.items()
        for booked in (False, True)
    )


# ---- TPC-H


@dataclass(frozen=True)
class Sale:
    """One line item, as the independent sums see it."""

    clerk: str
    day: date
    priority: str
    order: str
    amount: Decimal


@pytest.fixture(scope="module")
def tpch(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Sale]]:
    """Make TPC-H orders: a folder to import, and the sales in it."""
    made, folder = tmp_path_factory.mktemp("tpch"), tmp_path_factory.mktemp("tpch-import")
    program = shutil.which("tpchgen-cli", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert program is not None, "tpchgen-cli is not installed: it is a development dependency"
    scale = str(Decimal(TPCH_ORDERS) / 1_500_000)
    command = [program, "csv", "--quiet", "--scale-factor", scale, "--tables", "orders,lineitem", "-o", str(made)]
    subprocess.run(command, check=True, timeout=60)
    orders = {row["o_orderkey"]: row for row in _rows(made / "orders.csv")}
    items = list(_rows(made / "lineitem.csv"))
    _write(folder / "orders.csv", ORDER_COLUMNS, (_order_cells(row) for row in orders.values()))
    _write(folder / "lines.csv", LINE_COLUMNS, (_line_cells(row) for row in items))
    return folder, [_sale(orders[item["l_orderkey"]], item) for item in items]


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def _order_cells(row: dict[str, str]) -> list[str]:
    clerk = row["o_clerk"]
    header = [row["o_orderkey"], row["o_orderdate"], row["o_orderpriority"], row["o_custkey"], ""]
    return [*header, clerk, clerk.title(), "USD", row["o_orderstatus"], row["o_totalprice"]]


def _line_cells(row: dict[str, str]) -> list[str]:
    product = [row["l_orderkey"], row["l_linenumber"], row["l_partkey"], "", row["l_shipmode"]]
    return [*product, row["l_quantity"], "", row["l_discount"], row["l_extendedprice"]]


def _sale(order: dict[str, str], item: dict[str, str]) -> Sale:
    day = date.fromisoformat(order["o_orderdate"])
    amount = Decimal(item["l_extendedprice"])
    return Sale(order["o_clerk"], day, order["o_orderpriority"], order["o_orderkey"], amount)


def quarter_of(day: date) -> str:
    return f"{day.year}-Q{(day.month + 2) // 3}"


def summed(sales: Iterable[Sale], counts: Callable[[Sale], bool]) -> dict[str, Figures]:
    """Sum sales per quarter and clerk; a clerk of whom nothing counts has zeros."""
    orders = dict[tuple[str, str], set[str]]()
    amounts = dict[tuple[str, str], Decimal]()
    for sale in sales:
        key = quarter_of(sale.day), sale.clerk
        orders.setdefault(key, set())
        amounts.setdefault(key, Decimal(0))
        if counts(sale):
            orders[key].add(sale.order)
            amounts[key] += sale.amount
    by_quarter = dict[str, Figures]()
    for (quarter, clerk), amount in amounts.items():
        by_quarter.setdefault(quarter, {})[clerk] = (len(orders[quarter, clerk]), amount)
    return by_quarter


def test_tpch_sums_per_clerk_and_quarter(database: Database, tpch: tuple[Path, list[Sale]]) -> None:
    folder, sales = tpch
    store = imported(database, folder)
    assert len({sale.order for sale in sales}) == TPCH_ORDERS
    expected = summed(sales, lambda _sale: True)
    assert len(expected) > 20
    assert {quarter: figures(store, quarter) for quarter in expected} == expected
    before, since = store.head(), date(1995, 4, 1)
    set_share(store, "1-URGENT", "0", since, "urgent orders do not count from April 1995")
    changed = summed(sales, lambda sale: sale.priority != "1-URGENT" or sale.day < since)
    assert changed != expected
    assert {quarter: figures(store, quarter) for quarter in changed} == changed
    assert {quarter: figures(store, quarter, position=before) for quarter in expected} == expected
    store.close()
