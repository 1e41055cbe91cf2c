"""The demo is a small ledger that a reader believes, the same every time, with a rule changed for the past."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from api.demo import (
    CUSTOMERS,
    DEMO_SALESPERSON,
    EXPLAINED_ORDER,
    HOUSE_ACCOUNT_FROM_JUNE,
    HOUSE_ACCOUNT_UNTIL_JUNE,
    PAST_RULE_CHANGE,
    PERIODS,
    PRODUCTS,
    RECATEGORISED_PRODUCT,
    SALESPEOPLE,
    WAITING_RULE_CHANGE,
    DemoSummary,
    load_demo,
)
from ledger.database import Database
from ledger.events import OrderCancelled, OrderPlaced, OrderReassigned, ProductCategorised, Recorded, Split, recorded
from ledger.money import SHARE_ONE
from ledger.periods import parse_period
from ledger.refusal import Code, Refusal
from ledger.store import Store
from projections.attainment import quotas
from projections.closing import options, period_state, period_states
from projections.impact import approve, proposed_impact
from projections.performance import Credit, credits_behind, performance
from projections.projector import Projector


@pytest.fixture
def demo(database: Database) -> tuple[Store, DemoSummary]:
    """Give the demo, projected."""
    summary = load_demo(database)
    Projector(database).catch_up()
    return Store(database), summary


def events(store: Store) -> list[Recorded]:
    return [recorded(document.position, document.state) for document in store.documents(0, 10_000)]


def digests(store: Store, position: int | None = None) -> list[str]:
    return [performance(store, parse_period(period), position=position).view.digest for period in PERIODS]


def all_credits(store: Store, salesperson_id: str, period: str) -> list[Credit]:
    return credits_behind(store, salesperson_id, parse_period(period), limit=10_000)[0]


def test_it_has_what_a_newcomer_wants_to_see(demo: tuple[Store, DemoSummary]) -> None:
    store, summary = demo
    told = events(store)
    kinds = Counter(type(event.data).__name__ for event in told)
    placed = [event.data for event in told if isinstance(event.data, OrderPlaced)]
    assert summary.events == len(told) == store.head()
    assert kinds["OrderPlaced"] == 600
    assert {order.currency for order in placed} == {"EUR", "USD"}
    assert {order.order_type for order in placed} == {"standard", "special", "sample", "repeat", "new-customer"}
    assert {len(order.splits) for order in placed} == {0, 1, 2, 3}
    assert len(SALESPEOPLE) == 12
    assert len(CUSTOMERS) == 60
    assert {split.salesperson_id for order in placed for split in order.splits} == set(SALESPEOPLE)
    assert {order.customer_id for order in placed} == set(CUSTOMERS)
    assert {line.product_id for order in placed for line in order.lines} == {sold.product_id for sold in PRODUCTS}
    assert {(order.ordered_on.month - 1) // 3 for order in placed} == {0, 1, 2}
    for kind in ("OrderReturned", "OrderAmended", "OrderReclassified", "OrderReassigned", "OrderCancelled"):
        assert kinds[kind] >= 5, kind
    cancelled = [event.data for event in told if isinstance(event.data, OrderCancelled)]
    assert [order.void for order in cancelled].count(True) == 1
    settings = store.settings()
    assert settings is not None
    assert told[0].data == settings
    assert (settings.time_zone, settings.four_eyes) == ("Europe/Berlin", True)


def test_each_event_is_recorded_when_somebody_would_have_known_it(demo: tuple[Store, DemoSummary]) -> None:
    told = events(demo[0])
    moments = [event.recorded_at for event in told]
    assert moments == sorted(moments)
    assert datetime(2026, 1, 2, tzinfo=UTC) <= moments[0]
    assert moments[-1] < datetime(2026, 10, 15, tzinfo=UTC)
    late = [event for event in told if isinstance(event.data, OrderPlaced) and _days_late(event) > 2]
    assert 10 <= len(late) <= 80
    assert all(_days_late(event) >= 0 for event in told if isinstance(event.data, OrderPlaced))
    assert {"erp-import", "mara.finance", "viktor.cfo"} <= {event.actor for event in told}


def _days_late(event: Recorded) -> int:
    return (event.recorded_at.date() - event.effective_on) // timedelta(days=1)


def test_two_loads_are_the_same_ledger(new_database: Callable[[], Database]) -> None:
    loaded = list[tuple[DemoSummary, list[str], list[Any]]]()
    for _ in range(2):
        database = new_database()
        summary = load_demo(database)
        Projector(database).catch_up()
        store = Store(database)
        stored = [msgspec.to_builtins(event) for event in events(store)]
        loaded.append((summary, digests(store), [{**event, "event_id": ""} for event in stored]))
        store.close()
    assert loaded[0] == loaded[1]


def test_the_rule_changed_in_august_moves_figures_from_april_on(demo: tuple[Store, DemoSummary]) -> None:
    """And the figures as they were known before stay where they were."""
    store, summary = demo
    before, changed = summary.position_before_change, summary.position_before_change + 2
    change = store.rulebook().changes[PAST_RULE_CHANGE]
    assert change.approval is not None
    assert (change.proposed_position, change.approval.position) == (before + 1, changed)
    assert change.proposed_at.date() == date(2026, 8, 12)
    assert change.reason
    first, *moved = zip(digests(store, before), digests(store, changed), strict=True)
    assert first[0] == first[1], "the first quarter is untouched"
    assert all(old != new for old, new in moved)
    period = parse_period("2026-Q2")
    old = performance(store, period, position=before)
    new = performance(store, period)
    assert sum(figure.credited for figure in new.figures) > sum(figure.credited for figure in old.figures)
    assert {figure.keys[0].value for figure in old.figures} == {figure.keys[0].value for figure in new.figures}
    assert "李娜" in {figure.keys[0].name for figure in new.figures}


def test_each_rule_change_was_approved_by_another_person_who_saw_its_impact(demo: tuple[Store, DemoSummary]) -> None:
    store, summary = demo
    changes = store.rulebook().changes
    *decided, waiting = changes.values()
    assert [change.approval is not None and change.approval.four_eyes for change in decided] == [True] * len(decided)
    for change in decided:
        assert change.approval is not None
        assert change.approval.actor != change.proposer == "mara.finance"
        assert change.impact is not None
        assert change.approval.impact is not None
        assert change.impact.digest == change.approval.impact.digest
    impact = proposed_impact(store, changes[PAST_RULE_CHANGE].alterations, position=summary.position_before_change)
    assert impact.digest == changes[PAST_RULE_CHANGE].impact.digest  # type: ignore[union-attr]
    assert impact.closed_periods == ["2026-Q2"]
    assert (waiting.rule_change_id, waiting.decision) == (WAITING_RULE_CHANGE, None)
    approved = approve(store, WAITING_RULE_CHANGE, actor="demo-approver")
    assert approved.impact.lines, "a visitor sees an impact, and can approve it"


def test_the_first_quarter_was_restated_and_the_second_has_a_drift_left_to_the_reader(
    demo: tuple[Store, DemoSummary],
) -> None:
    store, summary = demo
    first, second, third, *_ = period_states(store)
    assert [state.period.name for state in (first, second, third)] == list(PERIODS)
    assert ([issued.statement.version for issued in first.statements], first.drift) == ([1, 2], [])
    assert [issued.recorded_at.month for issued in first.statements] == [4, 5]
    assert all(issued.reason for issued in (*first.statements, *second.statements))
    small = period_state(store, "2026-Q1", position=first.statements[1].event_position - 1).drift
    assert sum(line.drift for line in small) > 0
    assert [issued.statement.version for issued in second.statements] == [1]
    assert second.statements[0].event_position < summary.position_before_change
    assert {line.salesperson_id for line in second.drift} == set(SALESPEOPLE)
    assert not third.is_closed
    shown = options(store, "2026-Q2")
    assert (shown.restatement.version, shown.into.name) == (2, "2026-Q3")
    assert len(shown.adjustments) == len(second.drift)


def test_people_have_teams_and_quotas_and_a_product_was_filed_wrongly(demo: tuple[Store, DemoSummary]) -> None:
    store, _ = demo
    teams = performance(store, parse_period("2026-Q2"), group_by=["team"]).figures
    assert {figure.keys[0].value for figure in teams} == {None, "dach", "west-and-north", "china"}
    for period in PERIODS:
        known = quotas(store, parse_period(period))
        leaver = {("S-02", "EUR")} if period == "2026-Q3" else set()
        assert set(known) == {(person, "EUR") for person in SALESPEOPLE} - leaver
    position = next(event.position for event in events(store) if isinstance(event.data, ProductCategorised))
    for known_at, category in ((position - 1, "controllers"), (position, "networking")):
        by_product = performance(
            store, parse_period("2026-Q1"), group_by=["product", "product_category"], position=known_at
        )
        of = {figure.keys[0].value: figure.keys[1].value for figure in by_product.figures}
        assert of[RECATEGORISED_PRODUCT] == category


def test_the_house_accounts_count_only_while_they_are_none(demo: tuple[Store, DemoSummary]) -> None:
    store, _ = demo
    shares = dict[tuple[str, bool], set[int]]()
    for person in SALESPEOPLE:
        for credit in all_credits(store, person, "FY2026"):
            if credit.order_type == "standard":
                since_june = credit.ordered_on >= date(2026, 6, 1)
                shares.setdefault((credit.customer_id, since_june), set()).add(credit.share)
    assert shares[HOUSE_ACCOUNT_UNTIL_JUNE, False] == {0}
    assert shares[HOUSE_ACCOUNT_UNTIL_JUNE, True] == {SHARE_ONE}
    assert shares[HOUSE_ACCOUNT_FROM_JUNE, False] == {SHARE_ONE}
    assert shares[HOUSE_ACCOUNT_FROM_JUNE, True] == {0}


def test_order_4711_is_the_demo_salespersons_and_does_not_count(demo: tuple[Store, DemoSummary]) -> None:
    explained = [
        credit for credit in all_credits(demo[0], DEMO_SALESPERSON, "2026-Q3") if credit.order_id == EXPLAINED_ORDER
    ]
    assert explained
    assert {credit.share for credit in explained} == {0}
    assert {credit.rule and credit.rule.conditions.customer_class for credit in explained} == {"house-account"}
    assert EXPLAINED_ORDER == "SO-4711"


def test_what_the_leaver_sold_and_comes_back_later_is_his_successors(demo: tuple[Store, DemoSummary]) -> None:
    store, _ = demo
    handed_over = dict[str, tuple[Split, ...]]()
    for event in events(store):
        if isinstance(event.data, OrderReassigned) and event.data.effective_from == date(2026, 7, 1):
            handed_over[event.subject.removeprefix("order/")] = event.data.splits
    assert len(handed_over) >= 3
    assert {split.salesperson_id for splits in handed_over.values() for split in splits} == {"S-03"}
    returned = [credit for credit in all_credits(store, "S-03", "2026-Q3") if credit.amount < 0]
    assert handed_over.keys() & {credit.order_id for credit in returned}
    assert not [credit for credit in all_credits(store, "S-02", "2026-Q3") if credit.amount > 0]


def test_it_is_loaded_into_an_empty_ledger_only(database: Database) -> None:
    load_demo(database)
    with pytest.raises(Refusal) as refused:
        load_demo(database)
    assert refused.value.code is Code.ledger_initialised
