"""Invariants 3 to 7 and 9 over random histories: one result, whichever way it is reached, and no churn."""

from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.database import Cursor
from ledger.money import micros_of
from ledger.periods import Period
from ledger.store import Store
from projections import profiles, resolution
from projections import projector as projector_module
from projections.attributes import FACT_TABLES
from projections.generation import schema_name, serving_generation, sql, use_generation
from projections.performance import GROUPINGS, Credit, Performance, credits_behind, performance
from projections.projector import Projector
from projections.rebuild import rebuild
from projections.resolution import AMOUNT_OF_ANY_SIZE, Resolution, Scope
from tests.oracle import World, world
from tests.strategies import (
    SALESPEOPLE,
    History,
    RuleStep,
    batches,
    histories,
    interleavings,
    play,
    play_batches,
)

YEAR = Period("2026", date(2025, 1, 1), date(2028, 1, 1))
QUARTER = Period("2026-Q2", date(2026, 4, 1), date(2026, 7, 1))
ALL_GROUPINGS = [(name,) for name in GROUPINGS] + [("salesperson", "month"), ("order_type", "customer", "product")]
NewStore = Callable[[], Store]
over_histories = settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


def agrees(result: Performance, known: World) -> None:
    """Hold a performance against the oracle's figures."""
    expected = known.figures(result.period.start, result.period.end, result.group_by)
    assert {
        (*(key.value for key in figure.keys), figure.currency): (
            *(figure.gross, figure.credited, figure.gross_quantity, figure.quantity),
            *(figure.gross_orders, figure.orders),
        )
        for figure in result.figures
    } == expected


def digests(store: Store, position: int | None = None) -> list[str]:
    """Give the digests of some groupings of a year and a quarter."""
    return [
        performance(store, period, group_by=group_by, position=position).view.digest
        for period, group_by in ((YEAR, ("salesperson", "month", "order_type")), (QUARTER, ("customer", "product")))
    ]


def project_in_batches(store: Store, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bring the projection up to date, so many events at a time."""
    with monkeypatch.context() as patch:
        patch.setattr(projector_module, "BATCH_EVENTS_MAX", size)
        Projector(store.database).catch_up()


def stored_credits(cursor: Cursor) -> Counter[tuple[Any, ...]]:
    """Read the serving generation's credit lines with their texts, so that generations can be compared."""
    generation = serving_generation(cursor)
    assert generation is not None
    schema = schema_name(generation)
    names = ("salesperson", "order_type", "customer", "product", "category", "currency")
    joins = " ".join(f"LEFT JOIN {schema}.term {name} ON {name}.id = l.{name}" for name in names)
    cursor.execute(
        f"SELECT position, order_key, line_no, ordered_on, credited_on, quantity, amount, lines, orders,"
        f" {', '.join(f'{name}.value' for name in names)} FROM {schema}.credit_line l {joins}"
    )
    lines = Counter(cursor.fetchall())
    texts = ("salesperson", "order_type", "customer", "currency")
    joins = " ".join(f"LEFT JOIN {schema}.term {name} ON {name}.id = c.{name}" for name in texts)
    cursor.execute(
        f"SELECT position, order_key, ordered_on, credited_on, quantity, amount, lines, orders,"
        f" {', '.join(f'{name}.value' for name in texts)} FROM {schema}.credit_cell c {joins}"
    )
    of_cells = _summed(Counter(cursor.fetchall()), (0, 1, 2, 3, 8, 9, 10, 11))
    assert _summed(lines, (0, 1, 3, 4, 9, 10, 11, 14)) == of_cells
    return lines


def _summed(rows: Counter[tuple[Any, ...]], keys: tuple[int, ...]) -> dict[tuple[Any, ...], list[int]]:
    """Sum quantity, amount, lines and orders, which stand between dates and texts, by the other columns."""
    sums = dict[tuple[Any, ...], list[int]]()
    for row, count in rows.items():
        measures = row[keys[3] + 1 : keys[4]]
        key = tuple(row[at] for at in keys)
        sums[key] = [before + count * value for before, value in zip(sums.get(key, [0] * 4), measures, strict=True)]
    return {key: values for key, values in sums.items() if any(values)}


@given(history=histories(), size=st.integers(1, 9), data=st.data())
@over_histories
def test_incremental_rebuilt_and_independent_figures_are_one_result(
    new_store: NewStore, monkeypatch: pytest.MonkeyPatch, history: History, size: int, data: st.DataObject
) -> None:
    """Projecting as it comes, rebuilding from event 1, and the slow oracle give the same figures at every position."""
    store = new_store()
    positions = play(store, history)
    project_in_batches(store, size, monkeypatch)
    known = world(store, positions[-1])
    for group_by in ALL_GROUPINGS:
        agrees(performance(store, YEAR, group_by=group_by), known)
    agrees(performance(store, QUARTER), known)
    middle = data.draw(st.sampled_from(positions))
    agrees(performance(store, YEAR, group_by=("order_type", "month"), position=middle), world(store, middle))
    with store.database.cursor() as cursor:
        incremental = stored_credits(cursor)
    before = digests(store), digests(store, middle)
    rebuild(store.database, processes=1)
    with store.database.cursor() as cursor:
        assert stored_credits(cursor) == incremental
    assert (digests(store), digests(store, middle)) == before


@given(history=histories(max_steps=15))
@settings(parent=over_histories, max_examples=15)
def test_however_many_values_rules_name_the_figures_are_the_same(
    new_store: NewStore, monkeypatch: pytest.MonkeyPatch, history: History
) -> None:
    """Listing profiles or finding them, cases or joins, one integer or several: ways to the same figures."""
    store = new_store()
    play(store, history)
    Projector(store.database).catch_up()
    usual = digests(store)
    with monkeypatch.context() as patch:
        patch.setattr(profiles, "CASES_MAX", 0)
        assert digests(store) == usual
        patch.setattr(resolution, "PROFILES_LISTED_MAX", 0)
        assert digests(store) == usual
        patch.setattr(profiles, "_PROFILE_MAX", 1)
        assert digests(store) == usual


@given(history=histories(), data=st.data())
@over_histories
def test_a_figure_known_at_a_position_never_changes(new_store: NewStore, history: History, data: st.DataObject) -> None:
    """What was answered at the head of the day is answered for that position ever after."""
    store = new_store()
    cut = data.draw(st.integers(1, len(history)))
    position = play(store, history[:cut])[-1]
    Projector(store.database).catch_up()
    answered = digests(store)
    play(store, history[cut:])
    Projector(store.database).catch_up()
    assert digests(store, position) == answered


@given(history=histories(), data=st.data())
@over_histories
def test_order_of_arrival_and_batches_do_not_matter(new_store: NewStore, history: History, data: st.DataObject) -> None:
    """The same events in another order across orders, in any batches, give the same current figures."""
    straight, rearranged = new_store(), new_store()
    play(straight, history)
    other = data.draw(interleavings(_only_orders_move(history)))
    play_batches(rearranged, data.draw(batches(other)))
    for store in (straight, rearranged):
        Projector(store.database).catch_up()
    assert digests(straight) == digests(rearranged)


def _only_orders_move(history: History) -> History:
    """Put rules and facts first, keeping their order, where that is valid: order events are what arrives anyhow."""
    return (
        [step for step in history if isinstance(step, RuleStep)]
        + [step for step in history if not isinstance(step, RuleStep)]
        if not _retires(history)
        else history
    )


def _retires(history: History) -> bool:
    return any(
        type(alteration).__name__ == "RetireOrderType"
        for step in history
        if isinstance(step, RuleStep)
        for alteration in step.proposal.alterations
    )


@given(history=histories(), data=st.data())
@over_histories
def test_the_lines_behind_a_figure_sum_to_it(new_store: NewStore, history: History, data: st.DataObject) -> None:
    """Invariant 6: what is behind a figure adds up to it, and what came since a position to the difference.

    Between two positions at which the same rulebook holds, the lines recorded in between are the movement.
    """
    store = new_store()
    positions = play(store, history)
    Projector(store.database).catch_up()
    head = positions[-1]
    before = data.draw(st.sampled_from(positions))
    people = [None, *SALESPEOPLE]
    figures = {person: _sums(performance(store, YEAR, position=head), person) for person in people}
    earlier = {person: _sums(performance(store, YEAR, position=before), person) for person in people}
    same_rules = not _rules_or_classes_between(store, before)
    for person in people:
        lines, view = credits_behind(store, person, YEAR, position=head, limit=100_000)
        assert view.position == head
        assert _of_lines(lines) == figures[person]
        if same_rules:
            since, _ = credits_behind(store, person, YEAR, position=head, after=(before, 10**9), limit=100_000)
            earlier[person].update(_of_lines(since))  # not +, which leaves out what is not above 0
            assert earlier[person] == figures[person]


def _sums(result: Performance, person: str | None) -> Counter[tuple[str, str]]:
    """Give gross and credited per currency of one salesperson."""
    sums = Counter[tuple[str, str]]()
    for figure in result.figures:
        if figure.keys[0].value == person:
            sums[figure.currency, "gross"] += figure.gross
            sums[figure.currency, "credited"] += figure.credited
    return sums


def _of_lines(lines: list[Credit]) -> Counter[tuple[str, str]]:
    sums = Counter[tuple[str, str]]()
    for line in lines:
        sums[line.currency, "gross"] += line.amount
        sums[line.currency, "credited"] += line.amount * line.share
    return sums


def _rules_or_classes_between(store: Store, position: int) -> bool:
    documents = store.documents(position, 1_000)
    return any('"subject":"order/' not in document.state for document in documents)


@given(history=histories())
@over_histories
def test_lines_add_up_and_nothing_churns(new_store: NewStore, history: History) -> None:
    """An order's credit lines sum to what its lines are worth; no event reverses a line only to write it again."""
    store = new_store()
    play(store, history)
    Projector(store.database).catch_up()
    with store.database.cursor() as cursor:
        rows = stored_credits(cursor)
        cursor.execute("SELECT position, subject, type FROM event")
        events = {position: (subject, name) for position, subject, name in cursor.fetchall()}
    sums = Counter[tuple[str, int]]()
    for row, count in rows.items():
        position, order_key, line_no, amount = (row[at] for at in (0, 1, 2, 6))
        subject, name = events[position]
        assert name.startswith("order."), "only order events write credit lines"
        assert subject == events[order_key][0], "an event writes lines of its own order only"
        sums[subject, line_no] += amount * count
    for order_id, order in world(store, store.head()).orders.items():
        for line_no, amount in _worth(order).items():
            assert sums.pop((f"order/{order_id}", line_no), 0) == amount
    assert not any(sums.values()), "what is no longer a line is reversed to nothing"
    for row in rows:
        negated = (*row[:5], *(-value for value in row[5:9]), *row[9:])
        assert negated == row or negated not in rows, "one event reverses a line and writes it again"


def _worth(order: Any) -> dict[int, int]:
    worth = {line.line_no: micros_of(line.amount) for line in order.lines}
    for returned in order.returns:
        for line in returned.lines:
            worth[line.line_no] -= micros_of(line.amount)
    return dict.fromkeys(worth, 0) if order.cancelled is not None else worth


@given(history=histories(), group=st.sampled_from(["l.salesperson", "l.order_type", "l.customer", "l.product"]))
@settings(parent=over_histories, max_examples=12)
def test_the_same_sql_gives_the_same_figures_in_another_engine(
    new_store: NewStore, history: History, group: str
) -> None:
    """The calculation's SQL runs unchanged in DuckDB over the exported lines and resolved rules."""
    store = new_store()
    play(store, history)
    position = Projector(store.database).catch_up()
    with store.database.transaction() as cursor, duckdb.connect() as engine:
        use_generation(cursor, serving_generation(cursor) or 0)
        rules = store.rulebook_at(position).rules()
        resolved = Resolution(cursor, rules, Scope(YEAR.start, YEAR.end, position))
        credit = resolved.credits(by_product=group == "l.product")
        statement = sql("performance.sql").format(
            **resolved.sql_parts() | {"credit": credit, "keys": f"{group} AS key_0", "key_names": "key_0", "rules": ""},
            amount=AMOUNT_OF_ANY_SIZE,
        )
        _export(cursor, engine, resolved)
        cursor.execute(statement.replace("WITH", "WITH " + resolved.sql_parts()["rules"], 1))
        ours = {row[:2]: [int(value) for value in row[2:]] for row in cursor.fetchall()}
        theirs = {row[:2]: [int(value) for value in row[2:]] for row in engine.execute(statement).fetchall()}
    assert ours == theirs


def _export(cursor: Cursor, engine: duckdb.DuckDBPyConnection, resolved: Resolution) -> None:
    for table in ("credit_line", "credit_cell", *(fact.table for fact in FACT_TABLES.values())):
        cursor.execute(
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND table_name = %s ORDER BY ordinal_position",
            (table,),
        )
        columns = cursor.fetchall()
        engine.execute(f"CREATE TABLE {table} ({', '.join(f'{name} {kind}' for name, kind in columns)})")
        cursor.execute(f"SELECT * FROM {table}")
        if rows := cursor.fetchall():
            engine.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", rows)
    names = [*resolved.profiles.columns, "valid_from", "valid_to", "share", "rule"]
    kinds = ["DATE" if name.startswith("valid") else "BIGINT" for name in names]
    engine.execute(
        f"CREATE TABLE rule_interval ({', '.join(f'{name} {kind}' for name, kind in zip(names, kinds, strict=True))})"
    )
    if resolved.intervals:
        engine.executemany(
            f"INSERT INTO rule_interval VALUES ({', '.join('?' * len(names))})",
            [(*part.profile, part.valid_from, part.valid_to, part.share, part.rule) for part in resolved.intervals],
        )
