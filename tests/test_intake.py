"""Intake: an order event is in the ledger exactly once, judged by what the ledger says, or it left no trace."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger import orders
from ledger.database import Cursor, Database, one
from ledger.events import (
    Line,
    OrderAmended,
    OrderCancelled,
    OrderEvent,
    OrderPlaced,
    OrderReassigned,
    OrderReclassified,
    OrderReturned,
    RetireOrderType,
    ReturnedLine,
    RuleChangeProposed,
    Split,
)
from ledger.intake import Accepted, OrderSubmission, Outcome, record, record_all, record_each
from ledger.money import SHARE_ONE, share_of, share_text
from ledger.refusal import Code, Refusal
from ledger.rule_changes import change_rules
from ledger.store import SOURCE, Store, stream_rows
from tests.strategies import (
    OPENING,
    History,
    Model,
    OrderStep,
    RuleStep,
    batches,
    histories,
    interleavings,
    play,
    play_batches,
    play_step,
    submission,
)

ON_DATABASES = settings(
    deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
MARCH, MAY = date(2026, 3, 1), date(2026, 5, 1)
LINES = (Line(1, "P-1", "12.5", "100"), Line(2, "P-2", "1", "0"))
PLACED = OrderPlaced(MARCH, "standard", "C-1", "EUR", LINES, (Split("ann"),))
UNKNOWN = replace(PLACED, order_type="unknown")


@pytest.fixture
def store(database: Database) -> Store:
    """Open a ledger whose order types are defined."""
    return opened(database)


def opened(database: Database) -> Store:
    """Define the order types in an empty ledger."""
    store = Store(database)
    change_rules(store, OPENING, actor="tester")
    return store


def sent(event_id: str, event: OrderEvent = PLACED, order_id: str = "SO-1", **more: Any) -> OrderSubmission:
    """Make a submission."""
    return submission(order_id, event, event_id, **more)


def trace(store: Store) -> tuple[Any, ...]:
    """Give everything by which the ledger could show that something was recorded."""
    with store.database.cursor() as cursor:
        cursor.execute("SELECT head::text, (SELECT count(*) FROM event), (SELECT max(position) FROM event) FROM head")
        return one(cursor)


def codes(outcomes: Sequence[Outcome]) -> list[str]:
    """Say in a word what became of each: new, again, or the refusal's code."""
    return [
        outcome.code.name if isinstance(outcome, Refusal) else "again" if outcome.duplicate else "new"
        for outcome in outcomes
    ]


def refused(store: Store, submission: OrderSubmission) -> Refusal:
    """Submit what must be refused, and see that it left no trace."""
    before = trace(store)
    with pytest.raises(Refusal) as refusal:
        record(store, submission, actor="tester")
    assert trace(store) == before
    return refusal.value


# ---- exactly once


def test_an_event_is_recorded_with_its_actor_and_days(store: Store) -> None:
    accepted = record(store, sent("e1"), actor="clerk")
    (event,) = store.stream(orders.subject("SO-1"))
    assert accepted == Accepted(event.position, 1)
    assert (event.data, event.actor, event.effective_on) == (PLACED, "clerk", MARCH)
    assert (event.source, event.event_id) == ("erp", "e1")


def test_the_same_again_is_a_duplicate(store: Store) -> None:
    """Invariant 8: it is answered with the position of the first, and the ledger stays as it was."""
    first = record(store, sent("e1"), actor="tester")
    before = trace(store)
    for again in (store, Store(store.database)):
        assert record(again, sent("e1"), actor="somebody else") == Accepted(first.position, 1, duplicate=True)
    assert trace(store) == before


def test_an_id_of_another_source_is_another_event(store: Store) -> None:
    record(store, sent("e1"), actor="tester")
    other = record(store, sent("e1", order_id="SO-2", source="shop"), actor="tester")
    assert not other.duplicate


def written(text: str, share: str) -> OrderPlaced:
    """Place an order whose amount, quantity and shares are written like this."""
    rest = SHARE_ONE - share_of(share)
    splits = (Split("ann", share), *([Split("ben", share_text(rest))] if rest else []))
    return replace(PLACED, lines=(Line(1, "P-1", text, text),), splits=splits)


REWRITTEN = [(("100", "1"), ("100.00", "1")), (("12.5", "0.5"), ("12.50", "0.5000")), (("-7", "1"), ("-7.0", "1"))]
REWRITTEN_ZERO = [(("0", "1"), ("0.00", "1")), (("0", "1"), ("-0", "1"))]
REWRITTEN_ONE = [(("5", "1"), ("5", "1.0")), (("5", "1.0000"), ("5", "1"))]


@pytest.mark.parametrize(
    "pairs",
    [
        REWRITTEN,
        REWRITTEN_ZERO,
        REWRITTEN_ONE,
    ],
    ids=["numbers", "zeros", "whole shares"],
)
def test_numbers_written_in_another_way_are_the_same_content(
    store: Store, pairs: list[tuple[tuple[str, str], tuple[str, str]]]
) -> None:
    for number, pair in enumerate(pairs):
        twice = [sent(f"e{number}", written(*texts), f"SO-{number}") for texts in pair]
        assert [record(store, each, actor="tester").duplicate for each in twice] == [False, True], pair


def test_the_same_id_with_other_content_is_refused(store: Store) -> None:
    position = record(store, sent("e1"), actor="tester").position
    for other in (
        sent("e1", replace(PLACED, ordered_on=MAY)),
        sent("e1", replace(PLACED, lines=(replace(LINES[0], amount="100.01"), LINES[1]))),
        sent("e1", replace(PLACED, lines=LINES[::-1])),
        sent("e1", order_id="SO-2"),
        sent("e1", OrderCancelled(MAY)),
        sent("e1", UNKNOWN),
    ):
        refusal = refused(store, other)
        assert (refusal.code, refusal.problems[0].pointer) == (Code.event_id_conflict, "/event_id")
        assert f"position {position}" in str(refusal)


def test_a_repetition_is_answered_by_what_was_recorded_not_by_todays_rules(store: Store) -> None:
    """The type is retired, the order cancelled: the same events again are duplicates, not refusals."""
    sendings = [sent("e1"), sent("e2", OrderReclassified("special")), sent("e3", OrderCancelled(MAY))]
    record_all(store, sendings, actor="tester")
    change_rules(store, retire("special"), actor="tester")
    change_rules(store, retire("standard"), actor="tester")
    assert codes(record_each(store, sendings, actor="tester")) == ["again"] * 3


def retire(order_type: str) -> RuleChangeProposed:
    """Propose that a type be retired from January."""
    return RuleChangeProposed(f"retire {order_type}", (RetireOrderType(order_type, date(2026, 1, 1)),), "over")


# ---- batches

BATCH = [sent("e1"), sent("e2", OrderReclassified("special")), sent("e3", UNKNOWN, "SO-2"), sent("e4", order_id="SO-3")]


def test_each_records_what_can_be(store: Store) -> None:
    assert codes(record_each(store, BATCH, actor="tester")) == ["new", "new", "unknown_order_type", "new"]
    assert [len(store.stream(f"order/SO-{number}")) for number in (1, 2, 3)] == [2, 0, 1]


def test_orders_that_are_there_already_are_refused_however_many(store: Store) -> None:
    """Each was taken for new; nobody else writes, so the batch comes to its end, and its good events are recorded."""
    numbers = range(50)
    record_all(store, [sent(f"old-{number}", order_id=f"SO-{number}") for number in numbers], actor="tester")
    again = [sent(f"e-{number}", order_id=f"SO-{number}") for number in numbers]
    with pytest.raises(Refusal) as refusal:
        record_all(store, again, actor="tester")
    assert [problem.code.name for problem in refusal.value.problems] == ["atomic_batch_refused"] + ["order_exists"] * 50
    outcomes = record_each(store, [*again, sent("e-new", order_id="SO-50")], actor="tester")
    assert codes(outcomes) == ["order_exists"] * 50 + ["new"]


def test_atomic_records_all_or_nothing(store: Store) -> None:
    before = trace(store)
    with pytest.raises(Refusal) as refusal:
        record_all(store, BATCH, actor="tester")
    assert trace(store) == before
    problems = [f"{problem.code.name} {problem.pointer}" for problem in refusal.value.problems]
    assert problems == ["atomic_batch_refused ", "unknown_order_type /events/2/data/order_type"]
    accepted = record_all(store, [BATCH[0], BATCH[1], BATCH[3]], actor="tester")
    assert [(one.position, one.version) for one in accepted] == [(3, 1), (4, 2), (5, 1)]


def test_an_atomic_batch_may_hold_what_is_recorded_already(store: Store) -> None:
    record(store, BATCH[0], actor="tester")
    assert codes(record_all(store, [BATCH[0], BATCH[3], BATCH[1]], actor="tester")) == ["again", "new", "new"]


def test_an_event_behind_a_recorded_one_is_judged_by_the_order_as_it_is(store: Store) -> None:
    """A batch is sent again with one event more; in between the order got the line that the new event is about."""
    third_line = OrderAmended(lines=(*LINES, Line(3, "P-3", "1", "7")))
    record_all(store, [sent("e1"), sent("e2", third_line)], actor="tester")
    back = sent("e3", OrderReturned(MAY, (ReturnedLine(3, "1", "7"),)))
    assert codes(record_each(store, [sent("e1"), back], actor="tester")) == ["again", "new"]


def test_repeats_inside_one_request_are_recorded_once(store: Store) -> None:
    outcomes = record_each(store, [sent("e1"), sent("e1"), sent("e1", replace(PLACED, currency="USD"))], actor="tester")
    assert codes(outcomes) == ["new", "again", "event_id_conflict"]
    assert len(store.stream("order/SO-1")) == 1
    assert codes(record_each(store, [sent("e2", UNKNOWN, "SO-2")] * 2, actor="t")) == ["unknown_order_type"] * 2


def test_several_events_of_one_order_build_on_each_other(store: Store) -> None:
    events: list[OrderEvent] = [
        PLACED,
        OrderReturned(MAY, (ReturnedLine(1, "10", "80"),)),
        OrderReturned(MAY, (ReturnedLine(1, "10", "10"),)),  # 2.5 are left
        OrderReassigned(MAY, (Split("ben"),)),
        OrderCancelled(MAY),
        OrderAmended(currency="USD"),
    ]
    outcomes = record_each(store, [sent(f"e{n}", event) for n, event in enumerate(events)], actor="tester")
    assert codes(outcomes) == ["new", "new", "return_exceeds_sale", "new", "new", "order_cancelled"]
    assert [one.version for one in outcomes if isinstance(one, Accepted)] == [1, 2, 3, 4]


def test_an_expected_version_is_held_against_the_order(store: Store) -> None:
    record_all(store, [sent("e1", expected_version=0), sent("e2", OrderReclassified("special"))], actor="tester")
    for expected, between in ((0, [3, 4]), (1, [4]), (3, [])):
        refusal = refused(store, sent("e3", OrderCancelled(MAY), expected_version=expected))
        assert (refusal.code, refusal.problems[0].pointer) == (Code.version_conflict, "/expected_version")
        assert refusal.facts == {"expected_version": expected, "actual_version": 2, "positions": between}
    assert not record(store, sent("e3", OrderCancelled(MAY), expected_version=2), actor="tester").duplicate


def test_a_version_conflict_names_the_version_that_is(store: Store) -> None:
    record(store, sent("e1"), actor="tester")
    assert refused(store, sent("e2", expected_version=7)).facts["actual_version"] == 1


@pytest.mark.parametrize(
    "bad",
    [
        *("", " a", "x" * 121, "a\nb"),
        "a\x00b",
        "\ud800",
    ],
    ids=["empty", "space", "long", "newline", "NUL", "surrogate"],
)
def test_an_id_that_is_none_is_refused(store: Store, bad: str) -> None:
    for event in (PLACED, OrderCancelled(MAY)):
        for field in ("source", "event_id", "order_id"):
            refusal = refused(store, replace(sent("e1", event), **{field: bad}))
            assert (refusal.code, refusal.problems[0].pointer) == (Code.invalid_value, "/" + field)


def test_a_client_can_not_take_an_id_of_the_ledgers_own(store: Store) -> None:
    with suppress(Refusal):
        record(store, sent("retire special/proposed", source=SOURCE), actor="tester")
    assert not change_rules(store, retire("special"), actor="tester").duplicate


# ---- races


def together(*calls: Callable[[], Outcome]) -> list[Outcome]:
    """Call at the same moment, each in a thread of its own; refusals are outcomes."""
    barrier = threading.Barrier(len(calls))

    def call(one: Callable[[], Outcome]) -> Outcome:
        barrier.wait()
        try:
            return one()
        except Refusal as refusal:
            return refusal

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


def test_one_of_many_that_place_an_order_at_once_wins(store: Store) -> None:
    """From two stores, as two processes would have them, under different event ids."""
    stores = (store, Store(store.database))
    for order_id in ("R-1", "R-2", "R-3"):
        calls = [
            partial(record, stores[n % 2], sent(f"{order_id}/{n}", order_id=order_id), actor="t") for n in range(6)
        ]
        assert sorted(codes(together(*calls))) == ["new"] + ["order_exists"] * 5
        assert len(store.stream(orders.subject(order_id))) == 1
    stores[1].close()


def test_the_same_event_sent_many_times_at_once_is_recorded_once(store: Store) -> None:
    stores = (store, Store(store.database))
    outcomes = together(*(partial(record, stores[n % 2], sent("e1"), actor="t") for n in range(8)))
    assert sorted(codes(outcomes)) == ["again"] * 7 + ["new"]
    assert len({one.position for one in outcomes if isinstance(one, Accepted)}) == 1
    stores[1].close()


def test_returns_that_race_never_take_back_more_than_was_sold(store: Store) -> None:
    """12.5 pieces were sold; of eight returns of 3 at once, from two stores, four fit."""
    record(store, sent("e1"), actor="tester")
    stores = (store, Store(store.database))
    back = OrderReturned(MAY, (ReturnedLine(1, "3", "1"),))
    outcomes = together(*(partial(record, stores[n % 2], sent(f"r{n}", back), actor="t") for n in range(8)))
    assert sorted(codes(outcomes)) == ["new"] * 4 + ["return_exceeds_sale"] * 4
    assert [event.version for event in store.stream("order/SO-1")] == [1, 2, 3, 4, 5]
    stores[1].close()


def test_a_rulebook_that_moved_in_between_is_judged_by(store: Store) -> None:
    """This store last read the rulebook before another one retired the type: the order is refused, not slipped in."""
    record(store, sent("e1"), actor="tester")
    change_rules(Store(store.database), retire("standard"), actor="tester")
    assert store.rulebook(refresh=False).version == 2, "the control: this store has not noticed"
    assert refused(store, sent("e2", order_id="SO-2")).code is Code.retired_order_type
    assert not record(store, sent("e3", replace(PLACED, order_type="special"), "SO-2"), actor="tester").duplicate


# ---- random histories


@ON_DATABASES
@given(histories())
def test_a_valid_history_is_recorded_as_it_is(new_database: Callable[[], Database], history: History) -> None:
    """What the ledger says of orders and rules is what the events make of them; sent again, nothing is recorded."""
    store, model = Store(new_database()), Model()
    for step in history:
        position = play_step(store, step)
        model.apply(step)
        assert store.head() == position
    for order_id, order in model.orders.items():
        assert orders.fold(store.stream(orders.subject(order_id))) == order
    assert store.rulebook().order_types == model.book.order_types
    before = trace(store)
    play(store, [step for step in history if isinstance(step, OrderStep | RuleStep)])
    assert trace(store) == before
    store.close()


@ON_DATABASES
@given(histories(max_steps=12), st.data())
def test_whatever_is_sent_again_is_in_the_ledger_once(
    new_database: Callable[[], Database], history: History, data: st.DataObject
) -> None:
    """Invariant 8: between any two steps, any earlier events again, alone or together, to either of two stores."""
    database, submissions = new_database(), list[OrderSubmission]()
    stores = Store(database), Store(database)
    for number, step in enumerate(history):
        play_step(stores[number % 2], step)
        if isinstance(step, OrderStep):
            submissions.append(step.submission)
        again = data.draw(st.lists(st.sampled_from(submissions), max_size=4)) if submissions else []
        before = trace(stores[0])
        outcomes = record_each(data.draw(st.sampled_from(stores)), again, actor="somebody else")
        assert codes(outcomes) == ["again"] * len(again)
        assert trace(stores[0]) == before
    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM event WHERE type LIKE 'order.%%'")
        assert one(cursor) == (len(submissions),)
    for store in stores:
        store.close()


@ON_DATABASES
@given(histories(max_steps=15), st.data())
def test_batches_and_order_of_arrival_make_no_difference(
    new_database: Callable[[], Database], history: History, data: st.DataObject
) -> None:
    """Invariant 5, as far as the ledger goes: the same orders and rules come out of any valid arrangement."""
    one_by_one, other = Store(new_database()), Store(new_database())
    play(one_by_one, history)
    play_batches(other, data.draw(batches(data.draw(interleavings(history)))))
    assert one_by_one.head() == other.head()
    ids = {step.submission.order_id for step in history if isinstance(step, OrderStep)}
    for subject in map(orders.subject, ids):
        assert [event.data for event in one_by_one.stream(subject)] == [event.data for event in other.stream(subject)]
    shares = [[(v.conditions, v.share) for v in store.rulebook().versions] for store in (one_by_one, other)]
    assert shares[0] == shares[1]
    one_by_one.close()
    other.close()


@ON_DATABASES
@given(histories(max_steps=15))
def test_what_was_known_at_a_position_stays(new_database: Callable[[], Database], history: History) -> None:
    """Invariant 3, for the rulebook: asked later for an earlier position, the ledger says what it said then."""
    store = Store(new_database())
    said = [(play_step(store, step), store.rulebook()) for step in history]
    for position, book in said:
        assert store.rulebook_at(position) == Store(store.database).rulebook_at(position) == book
    store.close()


def test_orders_are_looked_up_by_index_before_any_statistics_are_gathered(database: Database) -> None:
    """A ledger filled faster than the server analyses it reads the streams it continues, never the whole table."""
    with database.administration() as cursor:
        cursor.execute("ALTER TABLE event SET (autovacuum_enabled = false)")
    store = Store(database)
    change_rules(store, OPENING, actor="admin")
    record_all(store, [submission(f"SO-{number}", PLACED, f"e-{number}") for number in range(2_000)], actor="load")
    asked = {orders.subject(f"SO-{number}") for number in range(0, 2_000, 5)}
    with database.transaction() as cursor:
        before = _rows_read(cursor)
        assert {subject for _, _, subject, _ in stream_rows(cursor, asked)} == asked
        assert _rows_read(cursor) == before + len(asked)
        cursor.execute("SELECT state FROM event WHERE subject = ANY(%s)", (list(asked),))
        assert _rows_read(cursor) > before + 2_000  # the control: what the planner makes of all at once
    store.close()


def _rows_read(cursor: Cursor) -> int:
    """Count the rows of events that were read, by an index (of whatever column) or without."""
    cursor.execute("SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'event'")
    count: int = one(cursor)[0]
    return count
