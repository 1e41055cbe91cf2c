"""Closing, restating and carrying forward: what is refused, that all of it adds up, and recording it once."""

import hashlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger import closing, statements
from ledger.closing import Booked, carry_forward, close, restate
from ledger.database import Database
from ledger.events import (
    Adjustment,
    DriftCarriedForward,
    LedgerOpened,
    PeriodClosed,
    PeriodEvent,
    PeriodRestated,
    Recorded,
    Statement,
    StatementFigure,
)
from ledger.money import credited_of, credited_text
from ledger.periods import Calendar
from ledger.refusal import Code, Refusal
from ledger.settings import open_ledger
from ledger.statements import (
    EMPTY,
    Closings,
    Key,
    adjustments_digest,
    adjustments_into,
    decide_carry_forward,
    decide_close,
    decide_restate,
    drift,
    drift_adjustments,
    evolve,
    fold,
    settled,
    statement_digest,
    statement_figures,
)
from ledger.store import Store

NOON = datetime(2027, 5, 1, 12, tzinfo=UTC)
TODAY = NOON.date()
QUARTERS = Calendar()
PERIODS = ("2026-Q1", "2026-Q2", "2026-Q3", "2026-Q4", "2027-Q1", "2027-Q2")
"""2027-Q2 is never over on TODAY."""


def statement(version: int, *figures: StatementFigure, position: int = 7) -> Statement:
    """Make a statement with its digest."""
    return Statement(version, position, 1, figures, statement_digest(figures))


def figure(person: str | None, credited: str, adjustments: str = "0", currency: str = "EUR") -> StatementFigure:
    """Make a figure of which all counts."""
    return StatementFigure(person, currency, credited, adjustments, credited)


def closed(period: str = "2026-Q1", *figures: StatementFigure, version: int = 1, reason: str = "done") -> PeriodClosed:
    """Make the closing of a period."""
    return PeriodClosed(period, statement(version, *figures), reason)


def restated(period: str, version: int, *figures: StatementFigure, reason: str = "late orders") -> PeriodRestated:
    """Make a restatement."""
    return PeriodRestated(period, statement(version, *figures), reason)


def carried(period: str, into: str, day: str, *adjustments: Adjustment, reason: str = "small") -> DriftCarriedForward:
    """Make a carry-forward."""
    digest = adjustments_digest(adjustments)
    return DriftCarriedForward(period, into, date.fromisoformat(day), 9, adjustments, digest, reason)


def recorded(event: PeriodEvent, version: int, actor: str = "fay") -> Recorded:
    """Make the record of an event, each at ten times its version."""
    return Recorded(10 * version, statements.SUBJECT, version, f"e{version}", "test", actor, NOON, TODAY, event)


def after(*events: PeriodEvent) -> Closings:
    """Fold events."""
    return fold(recorded(event, version) for version, event in enumerate(events, 1))


def decide(closings: Closings, event: PeriodEvent, calendar: Calendar = QUARTERS, today: date = TODAY) -> PeriodEvent:
    """Judge an event of whatever type."""
    match event:
        case PeriodClosed():
            return decide_close(closings, calendar, event, today)
        case PeriodRestated():
            return decide_restate(closings, calendar, event)
        case DriftCarriedForward():
            return decide_carry_forward(closings, calendar, event)


# ---- what is refused

ANN, BOB = figure("ann", "100"), figure("bob", "20.0000000001")
TEN = Adjustment("ann", "EUR", "10")
Q1 = closed("2026-Q1", ANN, BOB)
Q2 = closed("2026-Q2", ANN)
OPEN_NEXT = carried("2026-Q1", "2026-Q2", "2026-04-01", TEN)


@dataclass(frozen=True)
class Case:
    """A command on closings that is refused."""

    code: Code
    pointer: str
    before: tuple[PeriodEvent, ...]
    command: PeriodEvent
    told: str = ""
    calendar: Calendar = field(default=QUARTERS)
    today: date = TODAY


CASES = [
    Case(Code.invalid_period, "/period", (), closed("2026-Q9")),
    Case(Code.not_a_closing_period, "/period", (), closed("2026-03"), "2026-Q1"),
    Case(Code.period_closed, "/period", (Q1,), Q1, "fay closed it at position 10"),
    Case(Code.period_closed, "/period", (Q1, Q2), Q1),
    Case(Code.period_closed, "/period", (Q1,), closed("2026-01-01..2026-04-01"), "'2026-Q1'"),
    Case(Code.period_out_of_order, "/period", (Q1,), closed("2026-Q3"), "2026-Q2 is next"),
    Case(Code.period_out_of_order, "/period", (Q1,), closed("2025-Q4"), "2026-Q2 is next"),
    Case(Code.period_not_over, "/period", (), Q1, "close it from 2026-04-01 on", today=date(2026, 3, 31)),
    Case(Code.invalid_value, "/statement/version", (), closed(version=2)),
    Case(Code.invalid_value, "/reason", (), closed(reason="")),
    Case(Code.invalid_value, "/reason", (), closed(reason="  ")),
    Case(Code.period_open, "/period", (), restated("2026-Q1", 2, ANN)),
    Case(Code.period_open, "/period", (Q1,), restated("2026-Q2", 2, ANN)),
    Case(Code.period_moved, "/statement/version", (Q1,), restated("2026-Q1", 1, ANN), "version 1"),
    Case(Code.period_moved, "/statement/version", (Q1,), restated("2026-Q1", 3, ANN)),
    Case(Code.nothing_changed, "/period", (Q1,), restated("2026-Q1", 2, BOB, ANN), "its statement 1"),
    Case(Code.nothing_changed, "/period", (Q2,), restated("2026-Q2", 2, figure("ann", "100.0"))),
    Case(Code.invalid_value, "/reason", (Q1,), restated("2026-Q1", 2, ANN, reason="")),
    Case(Code.not_a_closing_period, "/period", (Q1,), restated("FY2026", 2, ANN)),
    Case(Code.period_open, "/period", (), OPEN_NEXT),
    Case(Code.period_closed, "/into_period", (Q1, Q2), OPEN_NEXT, "2026-Q2 is closed"),
    Case(Code.carry_not_forward, "/into_period", (Q1,), carried("2026-Q1", "2026-Q1", "2026-02-01", TEN)),
    Case(Code.carry_not_forward, "/into_period", (Q1,), carried("2026-Q1", "2025-Q4", "2025-12-01", TEN)),
    Case(Code.not_a_closing_period, "/into_period", (Q1,), carried("2026-Q1", "2026-05", "2026-05-01", TEN)),
    Case(Code.invalid_period, "/into_period", (Q1,), carried("2026-Q1", "later", "2026-05-01", TEN)),
    Case(Code.date_outside_period, "/booked_on", (Q1,), carried("2026-Q1", "2026-Q2", "2026-07-01", TEN)),
    Case(Code.date_outside_period, "/booked_on", (Q1,), carried("2026-Q1", "2026-Q2", "2026-03-31", TEN)),
    Case(Code.nothing_changed, "/period", (Q1,), carried("2026-Q1", "2026-Q2", "2026-04-01")),
    Case(
        Code.nothing_changed,
        "/adjustments/1/credited",
        (Q1,),
        carried("2026-Q1", "2026-Q2", "2026-04-01", TEN, Adjustment(None, "EUR", "0.0")),
        "unassigned",
    ),
    Case(
        Code.duplicate_adjustment,
        "/adjustments/1",
        (Q1,),
        carried("2026-Q1", "2026-Q2", "2026-04-01", TEN, TEN),
        "salesperson 'ann'",
    ),
    Case(Code.invalid_value, "/reason", (Q1,), carried("2026-Q1", "2026-Q2", "2026-04-01", TEN, reason="")),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code.name} {case.pointer}")
def test_a_command_that_cannot_be_is_refused(case: Case) -> None:
    with pytest.raises(Refusal) as refused:
        decide(after(*case.before), case.command, case.calendar, case.today)
    [problem] = refused.value.problems
    assert (problem.code, problem.pointer) == (case.code, case.pointer)
    assert case.told in problem.detail


def test_the_control_the_same_commands_in_their_place_are_accepted() -> None:
    for before, command in (
        ((), closed("2024-Q3")),  # the first closed may be any
        ((), Q1),
        ((Q1,), Q2),
        ((Q1, restated("2026-Q1", 2, ANN), OPEN_NEXT), closed("2026-Q2", figure("ann", "0", "10"))),
        ((Q1,), restated("2026-Q1", 2, ANN)),
        ((Q1,), OPEN_NEXT),
        ((Q1,), carried("2026-Q1", "2030-Q2", "2030-06-30", TEN, Adjustment("ann", "USD", "-1"))),
        ((Q1, Q2, OPEN_NEXT), carried("2026-Q1", "2026-Q3", "2026-07-01", TEN)),
    ):
        assert decide(after(*before), command) == command


def test_a_period_closes_on_the_day_after_its_last() -> None:
    assert decide_close(EMPTY, QUARTERS, Q1, date(2026, 4, 1)) == Q1


def test_what_is_recorded_bears_the_periods_one_name() -> None:
    months = Calendar(closes="month")
    assert decide(EMPTY, closed("2026-03"), months) == closed("2026-P03")
    closings = after(closed("2026-P03"))
    assert decide(closings, restated("2026-03", 2, ANN), months) == restated("2026-P03", 2, ANN)
    moved = carried("2026-03", "2026-04", "2026-04-30", TEN)
    assert decide(closings, moved, months) == replace(moved, period="2026-P03", into_period="2026-P04")


def test_a_statement_that_is_not_what_we_compute_is_our_own_mistake() -> None:
    for wrong in (
        replace(Q1, statement=replace(Q1.statement, digest="")),
        closed("2026-Q1", ANN, ANN),
        closed("2026-Q1", figure("ann", "100", "10")),  # nothing was booked into it
    ):
        with pytest.raises(AssertionError):
            decide(EMPTY, wrong)
    with pytest.raises(AssertionError):
        decide(after(Q1), replace(OPEN_NEXT, digest=""))


# ---- what closings say


def test_closings_say_who_issued_what_and_what_was_carried_where() -> None:
    closings = after(Q1, restated("2026-Q1", 2, ANN), OPEN_NEXT)
    first, second = closings.statements["2026-Q1"]
    assert (first.statement.version, first.reason, first.actor, first.event_position) == (1, "done", "fay", 10)
    assert (second.statement, second.reason, second.recorded_at) == (statement(2, ANN), "late orders", NOON)
    assert closings.last_statement("2026-Q1") == second.statement
    assert closings.last_statement("2026-Q2") is None
    assert (closings.last_closed, closings.version, closings.position) == ("2026-Q1", 3, 30)
    assert [each.event for each in closings.carried_out_of("2026-Q1")] == [OPEN_NEXT]
    assert EMPTY.last_closed is None
    [booked] = adjustments_into(closings, date(2026, 4, 1), date(2026, 4, 2))
    assert (booked.from_period, booked.into_period, booked.salesperson_id) == ("2026-Q1", "2026-Q2", "ann")
    assert (booked.currency, booked.credited, booked.event_position) == ("EUR", credited_of("10"), 30)
    assert adjustments_into(closings, date(2026, 4, 2), date(2026, 7, 1)) == []
    assert adjustments_into(closings, date(2026, 1, 1), date(2026, 4, 1)) == []


def test_what_is_settled_is_the_last_statement_and_what_was_carried_out() -> None:
    assert settled(EMPTY, "2026-Q1") == {}
    closings = after(Q1, OPEN_NEXT)
    assert settled(closings, "2026-Q1") == {
        ("ann", "EUR"): credited_of("110"),
        ("bob", "EUR"): credited_of("20.0000000001"),
    }
    now: dict[Key, int] = {("ann", "EUR"): credited_of("110"), ("cyd", "USD"): 5}
    assert drift(closings, "2026-Q1", now) == {("bob", "EUR"): -credited_of("20.0000000001"), ("cyd", "USD"): 5}
    assert drift(closings, "2026-Q2", now) == now


def test_digests_are_of_figures_whatever_their_order_and_spelling() -> None:
    """And a reader with hashlib and json comes to the same."""
    figures = [figure("王", "1"), figure("ann", "-0.50", "2", "USD"), figure(None, "3"), figure("ann", "4")]
    lines = [
        [None, "EUR", "3", "0", "3"],
        ["ann", "EUR", "4", "0", "4"],
        ["ann", "USD", "-0.5", "2", "-0.5"],
        ["王", "EUR", "1", "0", "1"],
    ]
    text = "\n".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in lines)
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert statement_digest(figures) == digest
    assert statement_digest([*reversed(figures), figure("nobody", "0")]) == digest
    assert statement_digest(figures[1:]) != digest
    assert statement_digest([replace(figures[0], gross="2"), *figures[1:]]) != digest
    assert adjustments_digest([TEN]) == hashlib.sha256(b'["ann","EUR","10"]').hexdigest()
    assert statement_digest([figure('a","EUR', "1")]) != statement_digest([figure("a", "1")])


@given(st.integers(-(10**30), 10**30))
def test_exact_amounts_are_read_as_they_are_written(credited: int) -> None:
    assert credited_of(credited_text(credited)) == credited


# ---- everything adds up


class Books:
    """Current credited amounts by period, and the closings that random commands make of them."""

    def __init__(self) -> None:
        self.current: dict[str, dict[Key, int]] = {period: {} for period in PERIODS}
        self.closings = EMPTY
        self.resolved = 0

    def change(self, period: str, key: Key, amount: int) -> None:
        """Credit something in a period, whether it is closed or not."""
        self.current[period][key] = self.current[period].get(key, 0) + amount

    def drift(self, period: str) -> dict[Key, int]:
        """Give what of a period is not settled."""
        return drift(self.closings, period, self.current[period])

    def issue(self, period: str) -> None:
        """Close or restate a period with what it comes to now."""
        version = len(self.closings.statements.get(period, ())) + 1
        now = self.current[period]
        figures = statement_figures(self.closings, QUARTERS.period(period), credited=now, gross=now)
        issued = statement(version, *figures)
        event: PeriodEvent = PeriodRestated(period, issued, "x") if version > 1 else PeriodClosed(period, issued, "x")
        self.record(event, period)

    def issue_next(self) -> None:
        """Close the period that is next."""
        count = len(self.closings.statements)
        if count < len(PERIODS):
            self.issue(PERIODS[count])

    def late(self, number: int, key: Key, amount: int) -> None:
        """Credit something in a closed period."""
        if closed_ones := list(self.closings.statements):
            self.change(closed_ones[number % len(closed_ones)], key, amount)

    def carry_drift(self, number: int, ahead: int) -> None:
        """Carry a drift there is into one of the periods that are open, or too early for it."""
        drifting = [period for period in self.closings.statements if self.drift(period)]
        if drifting:
            into = PERIODS[(len(self.closings.statements) + ahead) % len(PERIODS)]
            self.carry(drifting[number % len(drifting)], into)

    def restate_drift(self, number: int) -> None:
        """Restate a period that has a drift."""
        drifting = [period for period in self.closings.statements if self.drift(period)]
        if drifting:
            self.issue(drifting[number % len(drifting)])

    def carry(self, period: str, into: str) -> None:
        """Carry a period's drift into another one."""
        adjustments = drift_adjustments(self.drift(period))
        self.record(carried(period, into, QUARTERS.period(into).start.isoformat(), *adjustments), period)

    def record(self, event: PeriodEvent, period: str) -> None:
        """Record an event where it is not refused; the period's drift is resolved then."""
        before = self.closings
        try:
            decided = decide(before, event)
        except Refusal:
            return
        self.closings = evolve(before, recorded(decided, before.version + 1))
        self.resolved += 1
        assert self.drift(period) == {}
        for name, issued in before.statements.items():
            assert self.closings.statements[name][: len(issued)] == issued, "a statement never changes"
        assert self.closings.carried[: len(before.carried)] == before.carried

    def check(self) -> None:
        """See that what is frozen, booked and drifting is what is credited, to the last unit."""
        total, current = dict[Key, int](), dict[Key, int]()
        for name in PERIODS:
            days = QUARTERS.period(name)
            last = self.closings.last_statement(name)
            figures = last.figures if last else ()
            frozen = [((each.salesperson_id, each.currency), credited_of(each.credited)) for each in figures]
            booked = adjustments_into(self.closings, days.start, days.end)
            into = [((each.salesperson_id, each.currency), each.credited) for each in booked]
            add(total, [*frozen, *into, *self.drift(name).items()])
            add(current, self.current[name].items())
            for each in figures:
                key = (each.salesperson_id, each.currency)
                assert credited_of(each.adjustments) == sum(amount for of, amount in into if of == key)
        assert nonzero(total) == nonzero(current)


def add(sums: dict[Key, int], amounts: Iterable[tuple[Key, int]]) -> None:
    """Add amounts to sums."""
    for key, amount in amounts:
        sums[key] = sums.get(key, 0) + amount


def nonzero(sums: dict[Key, int]) -> dict[Key, int]:
    """Leave out what sums to 0."""
    return {key: amount for key, amount in sums.items() if amount}


NUMBERS = st.integers(0, 5)
KEYS: tuple[Key, ...] = ((None, "EUR"), ("ann", "EUR"), ("ann", "USD"), ("王伟", "EUR"))
AMOUNTS = st.integers(-3, 3) | st.integers(-(10**25), 10**25)
COMMANDS = st.one_of(
    st.tuples(st.just("change"), st.sampled_from(PERIODS), st.sampled_from(KEYS), AMOUNTS),
    st.tuples(st.just("late"), NUMBERS, st.sampled_from(KEYS), AMOUNTS),
    st.tuples(st.just("late"), NUMBERS, st.sampled_from(KEYS), AMOUNTS),
    st.tuples(st.just("issue"), st.sampled_from(PERIODS)),
    st.tuples(st.just("issue_next")),
    st.tuples(st.just("restate_drift"), NUMBERS),
    st.tuples(st.just("carry"), st.sampled_from(PERIODS), st.sampled_from(PERIODS)),
    st.tuples(st.just("carry_drift"), NUMBERS, st.integers(-1, 2)),
)


@settings(deadline=None, max_examples=300)
@given(st.lists(COMMANDS, min_size=15, max_size=40))
def test_statements_adjustments_and_drifts_sum_to_what_is_credited(commands: list[tuple[Any, ...]]) -> None:
    """At every step; restating the restated, carrying out of several periods and reversed changes included."""
    books = Books()
    books.issue_next()
    for name, *arguments in commands:
        getattr(books, name)(*arguments)
        books.check()


def test_restating_carrying_and_reversing_add_up() -> None:
    """One such sequence by hand: a late order is restated, another carried, and then the first is taken back."""
    books, ann = Books(), ("ann", "EUR")
    books.change("2026-Q1", ann, 100)
    books.issue("2026-Q1")
    books.change("2026-Q1", ann, 7)
    books.issue("2026-Q1")
    books.change("2026-Q1", ann, 5)
    books.carry("2026-Q1", "2026-Q2")
    books.change("2026-Q1", ann, -7)
    assert books.drift("2026-Q1") == {ann: -7}
    books.issue("2026-Q1")
    books.issue("2026-Q2")
    books.check()
    credited = [[statements.settled(books.closings, name).get(ann) for name in PERIODS[:2]]]
    assert credited == [[105, None]]
    versions = [each.statement.figures for each in books.closings.statements["2026-Q1"]]
    assert [credited_of(figures[0].credited) for figures in versions] == [100, 107, 100]
    [second] = books.closings.statements["2026-Q2"]
    assert second.statement.figures == (StatementFigure("ann", "EUR", "0", "0.0000000005", "0"),)
    assert books.resolved == 5


# ---- recording


@pytest.fixture
def store(database: Database) -> Iterable[Store]:
    """Give an initialised ledger in which it is noon of NOON."""
    opened = Store(database, clock=lambda: NOON)
    open_ledger(opened, LedgerOpened("ledger"), actor="tester")
    yield opened
    opened.close()


def test_closing_restating_and_carrying_are_recorded_in_one_stream(store: Store) -> None:
    """Under ids and on days that the event alone gives; and known at every position."""
    first = close(store, Q1, version=0, actor="fay")
    second = restate(store, restated("2026-Q1", 2, ANN), version=first.version, actor="gil")
    third = carry_forward(store, OPEN_NEXT, version=second.version, actor="fay")
    assert (first, third.position) == (Booked(Q1, 2, 1), 4)
    events = store.stream("periods")
    assert [event.event_id for event in events] == [
        "2026-Q1/statement/1",
        "2026-Q1/statement/2",
        "2026-Q1/carry-forward/1",
    ]
    assert [event.effective_on for event in events] == [date(2026, 3, 31), date(2026, 3, 31), date(2026, 4, 1)]
    assert [(event.version, event.actor, event.source) for event in events] == [
        (1, "fay", "orderledger"),
        (2, "gil", "orderledger"),
        (3, "fay", "orderledger"),
    ]
    assert store.closings() == fold(events)
    assert [store.closings(position).version for position in range(5)] == [0, 0, 1, 2, 3]
    assert store.closings(2) == store.closings_of(1) == fold(events[:1])
    assert store.closings_of(4) is store.closings_of(-1) is None
    again = Store(store.database)
    assert again.closings() == store.closings()


def test_the_same_command_again_is_a_duplicate(store: Store) -> None:
    """By the same principal, judged by the same closings; whatever came afterwards."""
    first = close(store, Q1, version=0, actor="fay")
    carried_once = carry_forward(store, OPEN_NEXT, version=1, actor="fay")
    assert close(store, Q1, version=0, actor="fay") == Booked(Q1, first.position, 1, duplicate=True)
    assert carry_forward(store, OPEN_NEXT, version=1, actor="fay") == Booked(
        OPEN_NEXT, carried_once.position, 2, duplicate=True
    )
    assert store.head() == carried_once.position


@pytest.mark.parametrize("actor", ["fay", "gil"])
def test_a_command_judged_by_closings_of_before_is_refused(store: Store, actor: str) -> None:
    """Who comes second looks again, also where the other one did nearly the same."""
    close(store, Q1, version=0, actor="fay")
    head = store.head()
    other = replace(Q1, reason="another") if actor == "fay" else Q1
    with pytest.raises(Refusal) as refused:
        close(store, other, version=0, actor=actor)
    assert refused.value.code is Code.period_moved
    assert refused.value.code.status == 409
    assert refused.value.facts == {"version": 1, "position": head}
    assert "fay closed 2026-Q1" in str(refused.value)
    with pytest.raises(Refusal) as refused:
        restate(store, restated("2026-Q1", 2, ANN), version=5, actor=actor)
    assert (refused.value.code, refused.value.facts) == (Code.period_moved, {"version": 1})
    assert store.head() == head


def test_a_refused_command_records_nothing(store: Store) -> None:
    commands: list[tuple[Callable[..., Booked], PeriodEvent, Code]] = [
        (close, closed("2027-Q2"), Code.period_not_over),
        (close, closed("2026-03"), Code.not_a_closing_period),
        (restate, restated("2026-Q1", 2, ANN), Code.period_open),
        (carry_forward, OPEN_NEXT, Code.period_open),
    ]
    for command, event, code in commands:
        with pytest.raises(Refusal) as refused:
            command(store, event, version=0, actor="fay")
        assert refused.value.code is code
    assert store.head() == 1


def test_of_two_at_once_one_is_recorded(database: Database, store: Store) -> None:
    """Two processes close the same period, judged by the same closings: one statement, one refusal that names it."""
    others = [Store(database, clock=lambda: NOON) for _ in range(4)]
    together = Barrier(len(others))

    def attempt(number: int) -> Booked | Code:
        together.wait()
        try:
            return close(others[number], replace(Q1, reason=f"by {number}"), version=0, actor=f"fay-{number}")
        except Refusal as refusal:
            return refusal.code

    with ThreadPoolExecutor(len(others)) as pool:
        verdicts = list(pool.map(attempt, range(len(others))))
    assert verdicts.count(Code.period_moved) == len(others) - 1
    assert len(store.stream("periods")) == 1
    assert [isinstance(verdict, Booked) for verdict in verdicts].count(True) == 1
    for other in others:
        other.sequencer.close()


def test_the_control_one_after_the_other_both_are_recorded(store: Store) -> None:
    close(store, Q1, version=0, actor="fay")
    close(store, Q2, version=store.closings().version, actor="gil")
    assert list(store.closings().statements) == ["2026-Q1", "2026-Q2"]


@pytest.mark.parametrize(("zone", "day"), [("UTC", date(2026, 3, 31)), ("Asia/Shanghai", date(2026, 4, 1))])
def test_a_period_is_over_when_it_is_in_the_ledgers_time_zone(database: Database, zone: str, day: date) -> None:
    late = Store(database, clock=lambda: datetime(2026, 3, 31, 20, tzinfo=UTC))
    open_ledger(late, LedgerOpened("ledger", time_zone=zone), actor="tester")
    assert late.today() == day
    if day < date(2026, 4, 1):
        with pytest.raises(Refusal):
            close(late, Q1, version=0, actor="fay")
    else:
        close(late, Q1, version=0, actor="fay")
    late.close()


def test_every_recorded_event_of_the_periods_is_named_in_a_refusal() -> None:
    for event, word in ((Q1, "closed"), (restated("2026-Q1", 2, ANN), "restated"), (OPEN_NEXT, "carried forward out")):
        assert f"fay {word}" in str(closing._moved([recorded(event, 1)]))
