"""Invariants 3, 6 and 9 of changes for the past: movements add up, an impact is the movement that follows, a change
reversed brings back the figures, and a simulation is what the ledger would say.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ledger.events import Alteration, Conditions, RuleChangeProposed, SetRule
from ledger.periods import Period
from ledger.refusal import Refusal
from ledger.rule_changes import change_rules
from ledger.rules import RuleVersion
from ledger.store import Store
from projections import changes
from projections.impact import Impact, proposed_impact
from projections.movement import Movement, movement
from projections.performance import Performance, performance
from projections.projector import Projector
from projections.simulation import Assumption, simulate
from tests.strategies import History, RuleStep, alterations, histories, play, play_step

ALL_TIME = Period("all", date(2025, 1, 1), date(2028, 1, 1))
QUARTER = Period("2026-Q2", date(2026, 4, 1), date(2026, 7, 1))
NewStore = Callable[[], Store]
Sums = Counter[tuple[str | None, str, str]]
over_histories = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


def sums(result: Performance) -> Sums:
    """Give credited and gross by salesperson and currency, without zeros."""
    found = Sums()
    for figure in result.figures:
        found[figure.keys[0].value, figure.currency, "credited"] += figure.credited
        found[figure.keys[0].value, figure.currency, "gross"] += figure.gross
    return nonzero(found)


def moved(result: Movement) -> Sums:
    """Sum a movement's lines."""
    found = Sums()
    for line in result.lines:
        found[line.salesperson.value, line.currency, "credited"] += line.credited
        found[line.salesperson.value, line.currency, "gross"] += line.gross
    return nonzero(found)


def nonzero(found: Sums) -> Sums:
    return Sums({key: value for key, value in found.items() if value})


def less(after: Sums, before: Sums) -> Sums:
    difference = Sums(after)
    difference.subtract(before)
    return nonzero(difference)


def impact_sums(found: Impact, periods: Iterable[str] | None = None) -> Sums:
    """Sum an impact over its periods."""
    total = Sums()
    for line in found.lines:
        if periods is None or line.period in periods:
            total[line.salesperson.value, line.currency, "credited"] += line.change
    return nonzero(total)


@given(history=histories(), data=st.data())
@over_histories
def test_a_movement_sums_exactly_to_the_difference(new_store: NewStore, history: History, data: st.DataObject) -> None:
    """Invariant 6, between any two positions, for any period; no line is empty, each event's lines are one a person."""
    store = new_store()
    positions = [0, *play(store, history)]
    Projector(store.database).catch_up()
    first = data.draw(st.sampled_from(positions))
    last = data.draw(st.sampled_from([position for position in positions if position >= first]))
    for period in (ALL_TIME, QUARTER):
        found = movement(store, period, from_position=first, to_position=last)
        before, after = (sums(performance(store, period, position=at)) for at in (first, last))
        assert moved(found) == less(after, before)
        assert all(first < line.cause.position <= last for line in found.lines)
        keys = [(line.cause.position, line.salesperson.value, line.currency) for line in found.lines]
        assert len(set(keys)) == len(keys)
        assert all(line.credited or line.gross or line.quota or line.teams for line in found.lines)


@given(history=histories(), data=st.data())
@over_histories
def test_an_impact_is_the_movement_that_follows_and_a_simulation_what_it_leads_to(
    new_store: NewStore, monkeypatch: pytest.MonkeyPatch, history: History, data: st.DataObject
) -> None:
    """When nothing else happens in between; listing the profiles or finding them in the lines gives the same."""
    store = new_store()
    head = play(store, history)[-1]
    Projector(store.database).catch_up()
    drawn = tuple(data.draw(st.lists(alterations(store.rulebook()), min_size=1, max_size=3)))
    try:
        found = proposed_impact(store, drawn)
    except Refusal:
        assume(False)
    with monkeypatch.context() as patch:
        patch.setattr(changes, "COMBINATIONS_MAX", 0)
        assert proposed_impact(store, drawn).digest == found.digest
    (simulated,) = simulate(store, [ALL_TIME], Assumption(alterations=drawn))
    change_rules(store, RuleChangeProposed("impact", drawn, "as proposed"), actor="tester")
    after = Projector(store.database).catch_up()
    followed = movement(store, ALL_TIME, from_position=head, to_position=after)
    assert moved(followed) == impact_sums(found)
    assert simulated.simulated.view.digest == performance(store, ALL_TIME).view.digest
    assert {line.salesperson.value for line in found.lines} >= {line.salesperson.value for line in followed.lines}
    for line in followed.lines:
        assert (line.cause.kind, line.cause.rule_change_id, line.gross) == ("rule_change", "impact", 0)


@given(history=histories(), data=st.data())
@over_histories
def test_a_change_left_out_gives_what_the_ledger_would_say_without_it(
    new_store: NewStore, history: History, data: st.DataObject
) -> None:
    """What if this change had never been made: the figures of the ledger in which it was not."""
    with_it, without_it = new_store(), new_store()
    made = [step.proposal.rule_change_id for step in history[1:] if isinstance(step, RuleStep)]
    assume(made)
    left_out = data.draw(st.sampled_from(made))
    play(with_it, history)
    Projector(with_it.database).catch_up()
    try:
        (simulated,) = simulate(with_it, [ALL_TIME], Assumption(without=(left_out,)))
        for step in history:
            if not (isinstance(step, RuleStep) and step.proposal.rule_change_id == left_out):
                play_step(without_it, step)
    except Refusal:
        assume(False)
    Projector(without_it.database).catch_up()
    assert simulated.simulated.view.digest == performance(without_it, ALL_TIME).view.digest


@given(history=histories(), data=st.data())
@over_histories
def test_a_reversed_change_brings_back_the_same_digest(
    new_store: NewStore, history: History, data: st.DataObject
) -> None:
    """A rule set otherwise for some days and set back again leaves no trace in the figures."""
    store = new_store()
    play(store, history)
    Projector(store.database).catch_up()
    before = performance(store, ALL_TIME).view.digest
    kind = data.draw(st.sampled_from(sorted(store.rulebook().order_types)))
    conditions, days = Conditions(order_type=kind), (date(2026, 3, 1), date(2026, 8, 1))
    stretches = store.rulebook().rules().pieces(conditions)
    there = SetRule(conditions, "0.1234", *days)
    back: list[Alteration] = [
        SetRule(conditions, share_of(part.value), max(part.start, days[0]), min(part.end, days[1]))
        for part in stretches
        if part.start < days[1] and days[0] < part.end
    ]
    for name, wanted in (("there", (there,)), ("back", tuple(back))):
        change_rules(store, RuleChangeProposed(name, wanted, "and back"), actor="tester")
    Projector(store.database).catch_up()
    assert performance(store, ALL_TIME).view.digest == before


def share_of(version: RuleVersion) -> str:
    """Write the share of a version."""
    assert version.share is not None
    return f"{version.share // 10_000}.{version.share % 10_000:04}"
