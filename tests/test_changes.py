"""Scenarios of changes for the past that random histories seldom meet; each was a defect once, or nearly."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from itertools import pairwise

import pytest

from ledger import rulebook
from ledger.events import (
    Conditions,
    CustomerClassified,
    DefineOrderType,
    EndRule,
    LedgerOpened,
    Line,
    OrderAmended,
    OrderEvent,
    OrderPlaced,
    RuleChangeApproved,
    RuleChangeProposed,
    SalespersonQuotaSet,
    SalespersonTeamed,
    SetRule,
    Split,
)
from ledger.facts import record_fact, record_quota
from ledger.intake import record
from ledger.periods import parse_period
from ledger.refusal import Code, Refusal
from ledger.rule_changes import change_rules
from ledger.settings import open_ledger
from ledger.store import Store
from projections import closing, profiles, resolution
from projections.attainment import quotas
from projections.impact import ImpactMoved, approve, propose
from projections.movement import MovementLine, movement
from projections.performance import performance
from projections.projector import Projector
from projections.simulation import Assumption, simulate
from tests.strategies import submission

Q1 = parse_period("2026-Q1")
JANUARY, FEBRUARY = date(2026, 1, 1), date(2026, 2, 1)


@pytest.fixture
def store(new_store: Callable[[], Store]) -> Store:
    """Open a ledger in which one type of order counts; the clock stands in May 2026."""
    store = new_store()
    store.clock = store.sequencer._clock = lambda: datetime(2026, 5, 4, 12, tzinfo=UTC)
    open_ledger(store, LedgerOpened("scenarios"), actor="admin")
    rule(store, "opening", DefineOrderType("standard", "1"))
    return store


def rule(store: Store, name: str, *alterations: DefineOrderType | SetRule | EndRule) -> int:
    """Change the rulebook at once; give the position."""
    return change_rules(store, RuleChangeProposed(name, alterations, "as agreed"), actor="asker").position


def sent(store: Store, order_id: str, event: OrderEvent, version: int = 1) -> int:
    """Record an order event; give the position."""
    return record(store, submission(order_id, event, f"{order_id}/{version}"), actor="erp").position


def order(store: Store, order_id: str, *lines: Line, customer: str = "C", kind: str = "standard") -> int:
    """Place an order of ann's in February; give the position."""
    placed = OrderPlaced(FEBRUARY, kind, customer, "EUR", lines or (line("100"),), (Split("ann"),))
    return sent(store, order_id, placed)


def line(amount: str, product: str = "P", category: str | None = None, number: int = 1) -> Line:
    """Make an order line."""
    return Line(number, product, "1", amount, category)


def counts(customer: str, share: str = "0") -> SetRule:
    """Let a customer's orders count at a share."""
    return SetRule(Conditions(customer_id=customer), share, JANUARY)


def credited(store: Store) -> int:
    """Give the quarter's credited amount in whole euros."""
    Projector(store.database).catch_up()
    return sum(figure.credited for figure in performance(store, Q1).figures) // 10**10


def moved(store: Store, after: int, period: str = "2026-Q1") -> list[MovementLine]:
    """Give the movement of a period since a position."""
    head = Projector(store.database).catch_up()
    return movement(store, parse_period(period), from_position=after, to_position=head).lines


def test_what_is_remembered_of_one_rulebook_is_not_taken_for_another(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rulebooks that name equally many customers number different ones."""
    monkeypatch.setattr(resolution, "PROFILES_LISTED_MAX", 0)
    monkeypatch.setattr(profiles, "CASES_MAX", 0)
    for number in range(3):
        order(store, f"O-{number}", customer=f"C{number}")
    assert credited(store) == 300
    for customer in ("C0", "C1", "C2"):
        (found,) = simulate(store, [Q1], Assumption((counts(customer),)))
        assert sum(figure.credited for figure in found.simulated.figures) == 200 * 10**10
    rule(store, "house", counts("C2"))
    assert credited(store) == 200


def test_one_product_put_in_another_s_place_is_in_the_movement(store: Store) -> None:
    """Its cell stays as it was, its lines do not."""
    rule(store, "spares", SetRule(Conditions(category="spare"), "0", JANUARY))
    before = order(store, "O", line("100", category="spare"))
    sent(store, "O", OrderAmended(lines=(line("100", category="machine"),)), 2)
    assert [each.credited for each in moved(store, before)] == [100 * 10**10]


def test_an_approver_is_asked_again_when_the_quarter_was_closed_meanwhile(store: Store) -> None:
    """What would have moved an open quarter now moves a statement; so does a rule that another change set meanwhile."""
    order(store, "O")
    Projector(store.database).catch_up()
    proposal = RuleChangeProposed("late", (counts("C", "0.5"),), "as agreed")
    propose(store, proposal, actor="asker")
    Projector(store.database).catch_up()
    closing.close(store, "2026-Q1", "as planned", actor="finance")
    Projector(store.database).catch_up()
    with pytest.raises(ImpactMoved) as refused:
        approve(store, "late", actor="other")
    assert refused.value.impact.closed_periods == ["2026-Q1"]
    approve(store, "late", actor="other", accepted_digest=refused.value.impact.digest)


def test_of_two_changes_of_one_rule_the_second_is_not_approved_unnoticed(store: Store) -> None:
    """Also where no order is of those days yet, so that no figure moves."""
    for name, share in (("A", "0"), ("B", "0.5")):
        Projector(store.database).catch_up()
        alteration = SetRule(Conditions(order_type="standard"), share, date(2026, 9, 1))
        propose(store, RuleChangeProposed(name, (alteration,), "as agreed"), actor="asker")
    Projector(store.database).catch_up()
    approve(store, "A", actor="other")
    Projector(store.database).catch_up()
    with pytest.raises(ImpactMoved) as refused:
        approve(store, "B", actor="other")
    (met,) = refused.value.impact.shadowed
    assert [part.value.rule_change_id for part in met.replaced] == ["A"]


def test_a_fact_that_is_not_projected_yet_keeps_an_approval_waiting(store: Store) -> None:
    order(store, "O")
    Projector(store.database).catch_up()
    propose(store, RuleChangeProposed("change", (counts("C", "0.5"),), "as agreed"), actor="asker")
    Projector(store.database).catch_up()
    record_fact(store, "C", CustomerClassified("house-account", JANUARY), actor="desk")
    with pytest.raises(Refusal) as refused:
        approve(store, "change", actor="other")
    assert refused.value.code is Code.not_yet_projected


@pytest.mark.parametrize("listed_max", [0, 200])
def test_orders_of_a_type_whose_definition_is_left_out_follow_the_other_rules(
    store: Store, monkeypatch: pytest.MonkeyPatch, listed_max: int
) -> None:
    """However the profiles are listed."""
    monkeypatch.setattr(resolution, "PROFILES_LISTED_MAX", listed_max)
    rule(store, "special", DefineOrderType("special", "0"))
    rule(store, "customer", counts("C", "0.5"))
    order(store, "O", kind="special")
    assert credited(store) == 50
    (found,) = simulate(store, [Q1], Assumption(without=("special",)))
    assert [figure.credited for figure in found.simulated.figures] == [50 * 10**10]


@pytest.mark.parametrize(("period", "flags"), [("2026-Q1", [True]), ("2026-02", [True]), ("2026-Q2", [])])
def test_what_came_after_a_close_is_told_for_all_periods_of_these_days(
    store: Store, period: str, flags: list[bool]
) -> None:
    """After the statement's position, that is: what the close did not know."""
    Projector(store.database).catch_up()
    before = store.head()
    closing.close(store, "2026-Q1", "as planned", actor="finance")
    order(store, "O")
    assert [each.cause.after_close for each in moved(store, before, period) if each.credited] == flags


def test_quotas_of_quarters_and_months_are_those_of_the_year(store: Store) -> None:
    """A quarter's quota goes before its months', which count for the other quarters; each change is in the movement."""
    told = [("2026-P01", "100"), ("2026-Q1", "300"), *((f"2026-P{month:02}", "100") for month in range(4, 13))]
    seen = [0]
    for period, amount in told:
        record_quota(store, "ann", parse_period(period), SalespersonQuotaSet(period, "EUR", amount), actor="desk")
        Projector(store.database).catch_up()
        seen.append(quotas(store, parse_period("FY2026"))["ann", "EUR"] // 10**6)
    assert seen == [0, 100, 300, *range(400, 1_300, 100)]
    changes = [each.quota // 10**6 for each in moved(store, 0, "FY2026") if each.quota]
    assert changes == [after - before for before, after in pairwise(seen)]


def test_a_team_said_for_the_past_is_in_the_movement(store: Store) -> None:
    """It moves no amount of a person's, but says whose days are now another team's."""
    order(store, "O")
    before = Projector(store.database).catch_up()
    record_fact(store, "ann", SalespersonTeamed("north", date(2025, 7, 1), date(2026, 3, 1)), actor="desk")
    (found,) = moved(store, before)
    assert (found.salesperson.value, found.credited, found.cause.kind) == ("ann", 0, "reference_fact")
    (team,) = found.teams
    assert (team.start, team.end, team.before, team.after) == (JANUARY, date(2026, 3, 1), None, "north")


def test_a_name_that_comes_in_between_does_not_make_two_people(store: Store) -> None:
    """A simulation compares by what figures are of, not by what people call it."""
    order(store, "O")
    Projector(store.database).catch_up()
    (found,) = simulate(store, [Q1], Assumption((counts("C", "0.5"),)))
    person = found.actual.figures[0]
    renamed = type(person)(
        (type(person.keys[0])("ann", "Ann Lee"),),
        *(getattr(person, name) for name in person.__struct_fields__[1:]),
    )
    found.actual.figures[0] = renamed
    assert [each.change for each in found.compared] == [-50 * 10**10]


def test_the_same_name_in_capitals_is_the_same_person(store: Store) -> None:
    """Four eyes are two people's."""
    Projector(store.database).catch_up()
    propose(store, RuleChangeProposed("change", (counts("C"),), "as agreed"), actor="alice")
    approval = RuleChangeApproved("change", four_eyes=True)
    with pytest.raises(Refusal) as refused:
        rulebook.decide_on(store.rulebook(), approval, actor="Alice", four_eyes=True)
    assert refused.value.code is Code.own_proposal
    rulebook.decide_on(store.rulebook(), approval, actor="bob", four_eyes=True)


def carried(store: Store, period: str, into: str) -> None:
    """Carry a drift forward."""
    closing.carry_forward(store, closing.CarryForward(period, into, "as agreed"), actor="finance")
    Projector(store.database).catch_up()


def test_what_was_carried_out_of_a_period_is_in_its_movement(store: Store) -> None:
    """Credited and carried out since a statement are the drift; the next statement differs by them."""
    order(store, "O-1")
    Projector(store.database).catch_up()
    closing.close(store, "2026-Q1", "as planned", actor="finance")
    order(store, "O-2", line("70"))
    Projector(store.database).catch_up()
    carried(store, "2026-Q1", "2026-Q2")
    order(store, "O-3", line("5"))
    Projector(store.database).catch_up()
    restated = closing.restate(store, "2026-Q1", "a late order", actor="finance")
    assert restated.movement is not None
    lines = restated.movement.lines
    assert [each.credited for each in lines if each.credited] == [70 * 10**10, 5 * 10**10]
    assert sum(each.credited + each.carried_out for each in lines) == 5 * 10**10
    first, second = (issued.statement.figures[0].credited for issued in store.closings().statements["2026-Q1"])
    assert (first, second) == ("100", "105")


def test_a_late_order_that_does_not_count_is_no_restatement(store: Store) -> None:
    """Its gross amount alone makes no other statement: a drift is resolved once."""
    rule(store, "sample", DefineOrderType("sample", "0"))
    order(store, "O-1")
    Projector(store.database).catch_up()
    closing.close(store, "2026-Q1", "as planned", actor="finance")
    order(store, "O-2", kind="sample")
    Projector(store.database).catch_up()
    with pytest.raises(Refusal) as refused:
        closing.restate(store, "2026-Q1", "a sample", actor="finance")
    assert refused.value.code is Code.nothing_changed


def test_a_drift_is_not_parked_in_a_period_that_has_not_begun(store: Store) -> None:
    """Today is a day of the second quarter."""
    Projector(store.database).catch_up()
    closing.close(store, "2026-Q1", "as planned", actor="finance")
    order(store, "O")
    Projector(store.database).catch_up()
    for into in ("2026-Q3", "2199-Q3"):
        with pytest.raises(Refusal) as refused:
            carried(store, "2026-Q1", into)
        assert refused.value.code is Code.period_not_begun
    carried(store, "2026-Q1", "2026-Q2")


def test_a_value_that_nobody_has_is_told_with_the_impact(store: Store) -> None:
    """A rule may be set before the first order; a typing error looks just like it."""
    order(store, "O", customer="C")
    record_fact(store, "C", CustomerClassified("house-account", JANUARY), actor="desk")
    Projector(store.database).catch_up()
    rules = (
        *(counts("C"), counts("C-99999")),
        *(SetRule(Conditions(customer_class=name), "0", JANUARY) for name in ("house-account", "hous-account")),
    )
    proposed = propose(store, RuleChangeProposed("change", rules, "as agreed"), actor="asker")
    assert proposed.impact.unknown_values == ["customer_id=C-99999", "customer_class=hous-account"]
