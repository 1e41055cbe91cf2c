"""Orders: what each event makes of an order, and every reason for which one is refused."""

from collections.abc import Sequence
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from ledger import orders
from ledger.events import (
    Line,
    OrderAmended,
    OrderCancelled,
    OrderEvent,
    OrderPlaced,
    OrderReassigned,
    OrderReclassified,
    OrderReturned,
    ReturnedLine,
    Split,
)
from ledger.money import micros_of
from ledger.orders import LINES_MAX, Order
from ledger.refusal import Refusal
from ledger.rulebook import OrderType
from tests.strategies import DAY_MAX, DAY_MIN, History, Model, OrderStep, histories

MARCH, APRIL, MAY, JUNE = (date(2026, month, 1) for month in (3, 4, 5, 6))
ANN, BEN = (Split("ann"),), (Split("ben"),)
BOTH = (Split("ann", "0.3333"), Split("ben", "0.6667"))
LINES = (Line(1, "P-1", "10", "100.00"), Line(2, "P-2", "-1", "-5.50", "K-1"), Line(7, "P-3", "0", "20"))
PLACED = OrderPlaced(MARCH, "standard", "C-1", "EUR", LINES, ANN, "Customer One")
TYPES = {
    "standard": OrderType("standard", None, 10_000),
    "special": OrderType("special", None, 5_000),
    "old": OrderType("old", None, 10_000, retired_from=MARCH),
}


def order(*events: OrderEvent) -> Order:
    """Place the order, and record these events of it."""
    made = orders.decide("SO-7", None, PLACED, TYPES)
    for event in events:
        made = orders.decide("SO-7", made, event, TYPES)
    return made


# ---- what each event does


def test_placing_gives_the_order() -> None:
    placed = order()
    assert (placed.ordered_on, placed.order_type, placed.currency) == (MARCH, "standard", "EUR")
    assert (placed.customer_id, placed.customer_name) == ("C-1", "Customer One")
    assert placed.lines == LINES
    assert placed.splits_on(date.min) == placed.splits_on(JUNE) == ANN
    assert (placed.returns, placed.cancelled) == ((), None)


def test_an_order_may_be_credited_to_nobody() -> None:
    nobody = orders.decide("SO-7", None, replace(PLACED, splits=()), TYPES)
    assert nobody.splits_on(JUNE) == ()
    assert orders.decide("SO-7", nobody, OrderReassigned(APRIL, ANN), TYPES).splits_on(APRIL) == ANN
    assert order(OrderReassigned(APRIL, ())).splits_on(APRIL) == ()


@pytest.mark.parametrize(
    ("event", "changed"),
    [
        (OrderAmended(lines=LINES[:1]), {"lines": LINES[:1]}),
        (OrderAmended(ordered_on=APRIL), {"ordered_on": APRIL}),
        (OrderAmended(currency="JPY"), {"currency": "JPY"}),
        (OrderAmended(customer_name="New name"), {"customer_name": "New name"}),
        (OrderAmended(customer_id="C-2"), {"customer_id": "C-2", "customer_name": None}),
        (OrderAmended(customer_id="C-2", customer_name="Two"), {"customer_id": "C-2", "customer_name": "Two"}),
        (OrderReclassified("special"), {"order_type": "special"}),
        (
            OrderReturned(MAY, (ReturnedLine(1, "4", "40"),)),
            {"returns": (OrderReturned(MAY, (ReturnedLine(1, "4", "40"),)),)},
        ),
        (OrderCancelled(MAY), {"cancelled": OrderCancelled(MAY)}),
        (OrderCancelled(MAY, void=True), {"cancelled": OrderCancelled(MAY, void=True)}),
    ],
)
def test_an_event_changes_what_it_names_and_nothing_else(event: OrderEvent, changed: dict[str, object]) -> None:
    assert order(event) == replace(order(), **changed)


def test_a_reassignment_credits_from_its_day_on() -> None:
    handed_over = order(OrderReassigned(MAY, BEN))
    assert handed_over.splits_on(MAY - timedelta(1)) == ANN
    assert handed_over.splits_on(MAY) == handed_over.splits_on(JUNE) == BEN


def test_a_reassignment_as_of_the_placing_date_corrects_everything() -> None:
    corrected = order(OrderReassigned(MAY, BEN), OrderReassigned(MARCH, BOTH))
    assert corrected.splits_on(date.min) == corrected.splits_on(JUNE) == BOTH


def test_a_reassignment_replaces_the_later_ones() -> None:
    changed = order(OrderReassigned(JUNE, BOTH), OrderReassigned(MAY, BEN))
    assert (changed.splits_on(APRIL), changed.splits_on(MAY), changed.splits_on(JUNE)) == (ANN, BEN, BEN)


@settings(deadline=None, max_examples=40)
@given(histories())
def test_splits_over_time_are_the_reassignments_gone_through_day_by_day(history: History) -> None:
    model, expected = Model(), dict[str, dict[date, tuple[Split, ...]]]()
    days = [DAY_MIN + timedelta(number) for number in range(0, (DAY_MAX - DAY_MIN).days + 300, 5)]
    for step in history:
        event = step.submission.data if isinstance(step, OrderStep) else None
        if isinstance(step, OrderStep) and isinstance(event, OrderPlaced):
            expected[step.submission.order_id] = dict.fromkeys(days, event.splits)
        elif isinstance(step, OrderStep) and isinstance(event, OrderReassigned):
            at = model.orders[step.submission.order_id].ordered_on
            first = DAY_MIN if event.effective_from <= at else event.effective_from
            after = [day for day in days if day >= first]
            expected[step.submission.order_id].update(dict.fromkeys(after, event.splits))
        model.apply(step)
    for order_id, by_day in expected.items():
        assert {day: model.orders[order_id].splits_on(day) for day in days} == by_day


@settings(deadline=None, max_examples=40)
@given(histories())
def test_what_is_left_of_a_line_lies_between_nothing_and_the_whole(history: History) -> None:
    """However often an order is amended and partly returned; and what is left and what came back make the whole."""
    model = Model()
    for step in history:
        model.apply(step)
    for made in model.orders.values():
        back = [line for returned in made.returns for line in returned.lines]
        for line in made.lines:
            left = orders.left_of_lines(made)[line.line_no]
            for index, whole in enumerate((micros_of(line.quantity), micros_of(line.amount))):
                gone = [(micros_of(b.quantity), micros_of(b.amount))[index] for b in back if b.line_no == line.line_no]
                assert min(0, whole) <= left[index] <= max(0, whole)
                assert left[index] + sum(gone) == whole


@pytest.mark.parametrize(
    ("event", "day"),
    [
        (PLACED, MARCH),
        (OrderReassigned(MAY, BEN), MAY),
        (OrderReturned(JUNE, (ReturnedLine(1, "1", "1"),)), JUNE),
        (OrderCancelled(JUNE), JUNE),
        (OrderCancelled(JUNE, void=True), MARCH),
        (OrderAmended(ordered_on=APRIL), MARCH),
        (OrderReclassified("special"), MARCH),
    ],
)
def test_an_event_applies_to_its_own_day_or_to_the_orders(event: OrderEvent, day: date) -> None:
    assert orders.effective_day(None if isinstance(event, OrderPlaced) else order(), event) == day


# ---- what is refused


def lines(**changes: object) -> tuple[Line, ...]:
    """Make one line that differs from a good one."""
    return (replace(LINES[0], **changes),)


def back(line_no: int = 1, quantity: str = "1", amount: str = "10", on: date = MAY) -> OrderReturned:
    """Return one line."""
    return OrderReturned(on, (ReturnedLine(line_no, quantity, amount),))


TOO_EARLY, TOO_LATE = date(1899, 12, 31), date(2200, 1, 1)
REFUSED_AT_PLACING: dict[str, tuple[dict[str, object], list[str]]] = {
    "type unknown": ({"order_type": "Standard"}, ["unknown_order_type /order_type"]),
    "type retired": ({"order_type": "old"}, ["retired_order_type /order_type"]),
    "too early": ({"ordered_on": TOO_EARLY}, ["invalid_date /ordered_on"]),
    "too late": ({"ordered_on": TOO_LATE}, ["invalid_date /ordered_on"]),
    "currency": ({"currency": "eur"}, ["unknown_currency /currency"]),
    "gold": ({"currency": "XAU"}, ["unknown_currency /currency"]),
    "customer": ({"customer_id": ""}, ["invalid_value /customer_id"]),
    "customer's space": ({"customer_id": " C"}, ["invalid_value /customer_id"]),
    "customer too long": ({"customer_id": "x" * 121}, ["invalid_value /customer_id"]),
    "customer's NUL": ({"customer_id": "a\x00b"}, ["invalid_value /customer_id"]),
    "customer's surrogate": ({"customer_id": "\ud800"}, ["invalid_value /customer_id"]),
    "customer's name": ({"customer_name": "a\nb"}, ["invalid_value /customer_name"]),
    "no lines": ({"lines": ()}, ["invalid_value /lines"]),
    "many lines": ({"lines": LINES[:1] * (LINES_MAX + 1)}, ["too_many_lines /lines"]),
    "line twice": ({"lines": LINES[:1] * 2}, ["duplicate_line /lines/1/line_no"]),
    "line 0": ({"lines": lines(line_no=0)}, ["invalid_value /lines/0/line_no"]),
    "line too high": ({"lines": lines(line_no=2**31)}, ["invalid_value /lines/0/line_no"]),
    "product": ({"lines": lines(product_id="")}, ["invalid_value /lines/0/product_id"]),
    "category": ({"lines": lines(category=" ")}, ["invalid_value /lines/0/category"]),
    "product's name": ({"lines": lines(product_name=" ")}, ["invalid_value /lines/0/product_name"]),
    "quantity": ({"lines": lines(quantity="1e3")}, ["invalid_amount /lines/0/quantity"]),
    "amount": ({"lines": lines(amount="1,50")}, ["invalid_amount /lines/0/amount"]),
    "amount too large": ({"lines": lines(amount="9223372036854.775808")}, ["invalid_amount /lines/0/amount"]),
    "shares below 1": ({"splits": (Split("ann", "0.5"), Split("ben", "0.4999"))}, ["splits_not_one /splits"]),
    "shares above 1": ({"splits": (Split("ann", "1"), Split("ben", "0.0001"))}, ["splits_not_one /splits"]),
    "share of 0": ({"splits": (Split("ann", "1"), Split("ben", "0"))}, ["invalid_share /splits/1/share"]),
    "share": ({"splits": (Split("ann", "100%"),)}, ["invalid_share /splits/0/share"]),
    "twice": ({"splits": (Split("ann", "0.5"),) * 2}, ["duplicate_salesperson /splits/1/salesperson_id"]),
    "salesperson": ({"splits": (Split(""),)}, ["invalid_value /splits/0/salesperson_id"]),
    "salesperson's name": ({"splits": (Split("ann", "1", ""),)}, ["invalid_value /splits/0/salesperson_name"]),
    "all at once": (
        {"order_type": "x", "currency": "y", "lines": lines(amount="z")},
        ["unknown_order_type /order_type", "unknown_currency /currency", "invalid_amount /lines/0/amount"],
    ),
}


@pytest.mark.parametrize(("changes", "problems"), REFUSED_AT_PLACING.values(), ids=REFUSED_AT_PLACING)
def test_placing_is_refused(changes: dict[str, object], problems: list[str]) -> None:
    """Every problem is told at once, with its pointer."""
    assert refusal_of(None, replace(PLACED, **changes)) == problems


RETURNED, ALL_BACK = back(1, "4", "40"), back(1, "10", "100")
GONE, VOID = OrderCancelled(MAY), OrderCancelled(MAY, void=True)
REFUSED_LATER: dict[str, tuple[Sequence[OrderEvent], OrderEvent, list[str]]] = {
    "placed again": ((), PLACED, ["order_exists /order_id"]),
    "amended: nothing": ((), OrderAmended(), ["nothing_changed "]),
    "amended: the same": ((), OrderAmended(lines=LINES, currency="EUR"), ["nothing_changed "]),
    "amended: lines": ((), OrderAmended(lines=lines(amount="?")), ["invalid_amount /lines/0/amount"]),
    "amended: currency": ((), OrderAmended(currency="EURO"), ["unknown_currency /currency"]),
    "amended: date": ((), OrderAmended(ordered_on=TOO_LATE), ["invalid_date /ordered_on"]),
    "amended: customer": ((), OrderAmended(customer_id=""), ["invalid_value /customer_id"]),
    "amended: name": ((), OrderAmended(customer_name=""), ["invalid_value /customer_name"]),
    "amended after its return": ((RETURNED,), OrderAmended(ordered_on=JUNE), ["date_before_order /ordered_on"]),
    "amended: too little": ((RETURNED,), OrderAmended(lines=lines(quantity="3")), ["return_exceeds_sale /lines"]),
    "amended: without what came back": ((RETURNED,), OrderAmended(lines=LINES[1:]), ["return_exceeds_sale /lines"]),
    "reclassified: unknown": ((), OrderReclassified("x"), ["unknown_order_type /order_type"]),
    "reclassified: retired": ((), OrderReclassified("old"), ["retired_order_type /order_type"]),
    "reclassified: the same": ((), OrderReclassified("standard"), ["nothing_changed "]),
    "reassigned: early": ((), OrderReassigned(MARCH - timedelta(1), BEN), ["date_before_order /effective_from"]),
    "reassigned: shares": ((), OrderReassigned(MAY, (Split("ben", "0.9"),)), ["splits_not_one /splits"]),
    "reassigned: the same": ((), OrderReassigned(MAY, ANN), ["nothing_changed "]),
    "returned: early": ((), back(on=MARCH - timedelta(1)), ["date_before_order /returned_on"]),
    "returned: late": ((), back(on=TOO_LATE), ["invalid_date /returned_on"]),
    "returned: no line": ((), OrderReturned(MAY, ()), ["invalid_value /lines"]),
    "returned: unknown line": ((), back(3), ["unknown_line /lines/0/line_no"]),
    "returned: line twice": ((), OrderReturned(MAY, RETURNED.lines * 2), ["duplicate_line /lines/1/line_no"]),
    "returned: not a number": ((), back(1, "one"), ["invalid_amount /lines/0/quantity"]),
    "returned: nothing": ((), back(1, "0", "0.00"), ["nothing_changed /lines/0"]),
    "returned: quantity": ((), back(1, "10.000001", "1"), ["return_exceeds_sale /lines/0"]),
    "returned: amount": ((), back(1, "1", "100.01"), ["return_exceeds_sale /lines/0"]),
    "returned: sign": ((), back(1, "-1", "-1"), ["return_exceeds_sale /lines/0"]),
    "returned: sign of a credit": ((), back(2, "1", "5.50"), ["return_exceeds_sale /lines/0"]),
    "returned: no quantity to return": ((), back(7, "1", "20"), ["return_exceeds_sale /lines/0"]),
    "returned: more than is left": ((RETURNED,), back(1, "7", "1"), ["return_exceeds_sale /lines/0"]),
    "returned: all is back": ((ALL_BACK,), back(1, "0", "0.01"), ["return_exceeds_sale /lines/0"]),
    "cancelled: early": ((), OrderCancelled(MARCH - timedelta(1)), ["date_before_order /cancelled_on"]),
    "cancelled: late": ((), OrderCancelled(TOO_LATE, void=True), ["invalid_date /cancelled_on"]),
    "cancelled, then again": ((GONE,), VOID, ["order_cancelled "]),
    "cancelled, then amended": ((GONE,), OrderAmended(currency="USD"), ["order_cancelled "]),
    "cancelled, then returned": ((GONE,), RETURNED, ["order_cancelled "]),
    "void, then reclassified": ((VOID,), OrderReclassified("special"), ["order_cancelled "]),
    "void, then reassigned": ((VOID,), OrderReassigned(MARCH, BEN), ["order_cancelled "]),
}


@pytest.mark.parametrize(("before", "event", "problems"), REFUSED_LATER.values(), ids=REFUSED_LATER)
def test_an_event_is_refused(before: Sequence[OrderEvent], event: OrderEvent, problems: list[str]) -> None:
    assert refusal_of(order(*before), event) == problems


@pytest.mark.parametrize("event", [back(), OrderAmended(currency="USD"), OrderReclassified("special"), GONE])
def test_an_order_that_is_not_there_takes_no_event(event: OrderEvent) -> None:
    assert refusal_of(None, event) == ["order_not_found /order_id"]


def test_who_and_what_type_stay_correctable_after_a_dated_cancellation() -> None:
    changed = order(GONE, OrderReclassified("special"), OrderReassigned(MARCH, BEN))
    assert (changed.order_type, changed.splits_on(MAY), changed.cancelled) == ("special", BEN, GONE)


def test_a_type_retired_later_still_takes_the_order_of_an_earlier_day() -> None:
    early = orders.decide("SO-7", None, replace(PLACED, order_type="old", ordered_on=MARCH - timedelta(1)), TYPES)
    assert early.order_type == "old"


def refusal_of(made: Order | None, event: OrderEvent) -> list[str]:
    """Give the codes and pointers of a refusal; its sentences name the order."""
    with pytest.raises(Refusal) as refused:
        orders.decide("SO-7", made, event, TYPES)
    assert all("order 'SO-7'" in problem.detail for problem in refused.value.problems)
    return [f"{problem.code.name} {problem.pointer}" for problem in refused.value.problems]


@settings(deadline=None, max_examples=30)
@given(histories())
def test_an_order_is_judged_as_it_will_be_read(history: History) -> None:
    """What decide gives is what evolve makes of the same order."""
    model = Model()
    for step in history:
        if isinstance(step, OrderStep):
            before = model.orders.get(step.submission.order_id)
            model.apply(step)
            assert orders.evolve(before, step.submission.data) == model.orders[step.submission.order_id]
        else:
            model.apply(step)
