"""An order: its state, how events change it (evolve), and what may be recorded of it (decide). Pure.

Meaning of the dates: an order's lines and type hold as of its placing date, whenever they are corrected. Splits hold
over time: what is credited on a day is credited by the split in force on that day, so a return after a handover is
the new salesperson's, and a reassignment as of the placing date is a correction.
Source: design, section 4, "Orders".
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import assert_never

import msgspec
from msgspec import Struct

from ledger.checks import Checks, is_identifier, is_text, shown
from ledger.events import (
    Line,
    OrderAmended,
    OrderCancelled,
    OrderEvent,
    OrderPlaced,
    OrderReassigned,
    OrderReclassified,
    OrderReturned,
    Recorded,
    ReturnedLine,
    Split,
)
from ledger.money import is_currency, is_micros, micros_of, micros_text
from ledger.refusal import Code, Refusal
from ledger.rulebook import OrderType
from ledger.timeline import FIRST_DAY
from ledger.wording import say

LINES_MAX = 1_000
LINE_NO_MAX = 2**31 - 1
SUBJECT_PREFIX = "order/"


class Assignment(Struct, frozen=True, gc=False):
    """The split in force from a day on, until the next one."""

    effective_from: date
    splits: tuple[Split, ...]


class Order(Struct, frozen=True, gc=False):
    """An order as its events left it."""

    ordered_on: date
    order_type: str
    customer_id: str
    currency: str
    lines: tuple[Line, ...]
    assignments: tuple[Assignment, ...]
    customer_name: str | None = None
    returns: tuple[OrderReturned, ...] = ()
    cancelled: OrderCancelled | None = None

    def splits_on(self, day: date) -> tuple[Split, ...]:
        """Give the split in force on a day."""
        splits = self.assignments[0].splits
        for assignment in self.assignments[1:]:
            if assignment.effective_from > day:
                break
            splits = assignment.splits
        return splits


def subject(order_id: str) -> str:
    """Name the stream of an order."""
    return SUBJECT_PREFIX + order_id


def evolve(order: Order | None, event: OrderEvent) -> Order:
    """Apply a recorded event; never refuses, reads no clock and no database."""
    if isinstance(event, OrderPlaced):
        return Order(
            ordered_on=event.ordered_on,
            order_type=event.order_type,
            customer_id=event.customer_id,
            customer_name=event.customer_name,
            currency=event.currency,
            lines=event.lines,
            assignments=(Assignment(FIRST_DAY, event.splits),),
        )
    assert order is not None, "an order's first event is order.placed"
    match event:
        case OrderAmended():
            return _amended(order, event)
        case OrderReclassified():
            return msgspec.structs.replace(order, order_type=event.order_type)
        case OrderReassigned():
            return msgspec.structs.replace(order, assignments=_reassigned(order, event))
        case OrderReturned():
            return msgspec.structs.replace(order, returns=(*order.returns, event))
        case OrderCancelled():
            return msgspec.structs.replace(order, cancelled=event)
        case _:
            assert_never(event)


def fold(events: Iterable[Recorded]) -> Order | None:
    """Apply an order's recorded events, oldest first; None where there are none."""
    order: Order | None = None
    for recorded in events:
        assert isinstance(recorded.data, OrderEvent), "an order's stream holds order events only"
        order = evolve(order, recorded.data)
    return order


def _amended(order: Order, event: OrderAmended) -> Order:
    changes: dict[str, object] = {
        name: value
        for name in ("lines", "ordered_on", "customer_id", "customer_name", "currency")
        if (value := getattr(event, name)) is not None
    }
    if event.customer_id is not None:
        changes["customer_name"] = event.customer_name
    return msgspec.structs.replace(order, **changes)


def _reassigned(order: Order, event: OrderReassigned) -> tuple[Assignment, ...]:
    start = FIRST_DAY if event.effective_from <= order.ordered_on else event.effective_from
    earlier = [assignment for assignment in order.assignments if assignment.effective_from < start]
    if earlier and earlier[-1].splits == event.splits:
        return tuple(earlier)
    return (*earlier, Assignment(start, event.splits))


def left_of_lines(order: Order) -> dict[int, tuple[int, int]]:
    """Give what is sold and not returned, by line number: (quantity, amount) in micros."""
    left = {line.line_no: (micros_of(line.quantity), micros_of(line.amount)) for line in order.lines}
    for returned in order.returns:
        for line in returned.lines:
            quantity, amount = left.get(line.line_no, (0, 0))
            left[line.line_no] = quantity - micros_of(line.quantity), amount - micros_of(line.amount)
    return left


def effective_day(order: Order | None, event: OrderEvent) -> date:
    """Give the business day an event applies to: its own, or the placing date of the order that it corrects."""
    match event:
        case OrderPlaced():
            return event.ordered_on
        case OrderReassigned():
            return event.effective_from
        case OrderReturned():
            return event.returned_on
        case OrderCancelled() if not event.void:
            return event.cancelled_on
        case OrderAmended() | OrderReclassified() | OrderCancelled():
            assert order is not None, "decide lets only order.placed through for a new order"
            return order.ordered_on
        case _:
            assert_never(event)


def decide(order_id: str, order: Order | None, event: OrderEvent, order_types: Mapping[str, OrderType]) -> Order:
    """Judge whether the event may be recorded, and give the order as it would be.

    Errors: Refusal with every problem found; pointers are into the event's data.
    """
    checks = Checks("order", order_id)
    if isinstance(event, OrderPlaced):
        _check_placed(checks, order, event, order_types)
        checks.refuse_if_any()
        return evolve(None, event)
    if order is None:
        raise Refusal.of(
            Code.order_not_found,
            say("{about} is not in the ledger: send its order.placed first", about=checks.about),
            "/order_id",
        )
    _check_open(checks, order, event)
    match event:
        case OrderAmended():
            _check_amended(checks, order, event)
        case OrderReclassified():
            _check_order_type(checks, event.order_type, order.ordered_on, order_types)
        case OrderReassigned():
            _check_reassigned(checks, order, event)
        case OrderReturned():
            _check_returned(checks, order, event)
        case OrderCancelled():
            _check_dated(checks, order, event.cancelled_on, "/cancelled_on")
        case _:
            assert_never(event)
    checks.refuse_if_any()
    changed = evolve(order, event)
    if changed == order:
        raise Refusal.of(
            Code.nothing_changed,
            say("{about} is already as this event would make it: leave it out", about=checks.about),
        )
    return changed


def _check_placed(
    checks: Checks, order: Order | None, event: OrderPlaced, order_types: Mapping[str, OrderType]
) -> None:
    if order is not None:
        raise Refusal.of(
            Code.order_exists,
            say(
                "{about} is already in the ledger: correct it with order.amended, or use another order_id",
                about=checks.about,
            ),
            "/order_id",
        )
    checks.day(event.ordered_on, "/ordered_on")
    _check_order_type(checks, event.order_type, event.ordered_on, order_types)
    checks.identifier(event.customer_id, "/customer_id")
    checks.text(event.customer_name, "/customer_name")
    _check_currency(checks, event.currency)
    _check_lines(checks, event.lines)
    checks.splits(event.splits, "/splits")


def _check_open(checks: Checks, order: Order, event: OrderEvent) -> None:
    """Refuse what a cancelled order no longer takes: of a dated cancellation, who and what type stay correctable."""
    if order.cancelled is None:
        return
    if order.cancelled.void or not isinstance(event, OrderReclassified | OrderReassigned):
        raise Refusal.of(
            Code.order_cancelled,
            say(
                "{about} was cancelled as of {cancelled_on}: place a new order instead",
                about=checks.about,
                cancelled_on=order.cancelled.cancelled_on,
            ),
        )


def _check_order_type(checks: Checks, order_type: str, ordered_on: date, order_types: Mapping[str, OrderType]) -> None:
    known = order_types.get(order_type)
    if known is None:
        checks.note(
            Code.unknown_order_type,
            say(
                "the order type {order_type} is not defined: define it with a rule change, or correct the name",
                order_type=shown(order_type),
            ),
            "/order_type",
        )
    elif known.retired_from is not None and known.retired_from <= ordered_on:
        checks.note(
            Code.retired_order_type,
            say(
                "the order type {order_type} is retired from {retired_from}, the order is of {ordered_on}",
                order_type=shown(order_type),
                retired_from=known.retired_from,
                ordered_on=ordered_on,
            ),
            "/order_type",
        )


def _check_currency(checks: Checks, currency: str) -> None:
    if not is_currency(currency):
        checks.note(
            Code.unknown_currency,
            say(
                "{currency} is not an ISO 4217 currency: send a three-letter code such as 'EUR'",
                currency=shown(currency),
            ),
            "/currency",
        )


def _check_lines(checks: Checks, lines: tuple[Line, ...]) -> None:
    if not 1 <= len(lines) <= LINES_MAX:
        code = Code.too_many_lines if lines else Code.invalid_value
        checks.note(
            code,
            say(
                "an order takes 1 to {lines_max} lines, this one has {lines_count}",
                lines_max=LINES_MAX,
                lines_count=len(lines),
            ),
            "/lines",
        )
        return
    seen = set[int]()
    for index, line in enumerate(lines):
        if line.line_no in seen or not _is_line(line):
            _check_line(checks, line, seen, f"/lines/{index}")
        seen.add(line.line_no)


def _is_line(line: Line) -> bool:
    """Say whether there is nothing to note of a line; the usual case, and an order has many."""
    return (
        1 <= line.line_no <= LINE_NO_MAX
        and is_identifier(line.product_id)
        and is_identifier(line.category)
        and is_text(line.product_name)
        and is_micros(line.quantity)
        and is_micros(line.amount)
    )


def _check_line(checks: Checks, line: Line, seen: set[int], at: str) -> None:
    _check_line_no(checks, line.line_no, seen, at)
    checks.identifier(line.product_id, at + "/product_id")
    checks.identifier(line.category, at + "/category")
    checks.text(line.product_name, at + "/product_name")
    checks.micros(line.quantity, at + "/quantity")
    checks.micros(line.amount, at + "/amount")


def _check_line_no(checks: Checks, line_no: int, seen: set[int], at: str) -> None:
    if not 1 <= line_no <= LINE_NO_MAX:
        checks.note(
            Code.invalid_value, say("{line_no} is not a line number: they start at 1", line_no=line_no), at + "/line_no"
        )
    if line_no in seen:
        checks.note(
            Code.duplicate_line,
            say("line {line_no} is there twice: number the lines apart", line_no=line_no),
            at + "/line_no",
        )


def _check_dated(checks: Checks, order: Order, day: date, pointer: str) -> None:
    checks.day(day, pointer)
    if day < order.ordered_on:
        checks.note(
            Code.date_before_order,
            say(
                "{day} is before the order's own date, {ordered_on}: date it on that day or later",
                day=day,
                ordered_on=order.ordered_on,
            ),
            pointer,
        )


def _check_amended(checks: Checks, order: Order, event: OrderAmended) -> None:
    checks.day(event.ordered_on, "/ordered_on")
    checks.identifier(event.customer_id, "/customer_id")
    checks.text(event.customer_name, "/customer_name")
    if event.currency is not None:
        _check_currency(checks, event.currency)
    if event.lines is not None:
        _check_lines(checks, event.lines)
    checks.refuse_if_any()
    amended = evolve(order, event)
    for returned in amended.returns:
        if returned.returned_on < amended.ordered_on:
            checks.note(
                Code.date_before_order,
                say(
                    "{ordered_on} is after the return of {returned_on}: returns come later",
                    ordered_on=amended.ordered_on,
                    returned_on=returned.returned_on,
                ),
                "/ordered_on",
            )
    sold = {line.line_no: line for line in amended.lines}
    for line_no, left in left_of_lines(amended).items():
        line = sold.get(line_no)
        if line is None or not _is_part(left, line):
            checks.note(
                Code.return_exceeds_sale,
                say(
                    "of line {line_no} more was returned than the amended order sells: keep at least that much",
                    line_no=line_no,
                ),
                "/lines",
            )


def _check_reassigned(checks: Checks, order: Order, event: OrderReassigned) -> None:
    _check_dated(checks, order, event.effective_from, "/effective_from")
    checks.splits(event.splits, "/splits")


def _check_returned(checks: Checks, order: Order, event: OrderReturned) -> None:
    _check_dated(checks, order, event.returned_on, "/returned_on")
    if not event.lines:
        checks.note(Code.invalid_value, say("a return names at least one line"), "/lines")
    sold = {line.line_no: line for line in order.lines}
    left = left_of_lines(order)
    seen = set[int]()
    for index, line in enumerate(event.lines):
        at = f"/lines/{index}"
        quantity, amount = checks.micros(line.quantity, at + "/quantity"), checks.micros(line.amount, at + "/amount")
        if line.line_no not in sold:
            checks.note(
                Code.unknown_line, say("there is no line {line_no} to return", line_no=line.line_no), at + "/line_no"
            )
            continue
        _check_line_no(checks, line.line_no, seen, at)
        seen.add(line.line_no)
        before = left[line.line_no]
        after = before[0] - quantity, before[1] - amount
        if not (_is_part(after, sold[line.line_no]) and _is_part((quantity, amount), sold[line.line_no])):
            _note_return_exceeds(checks, line, before, at)
        elif (quantity, amount) == (0, 0):
            checks.note(
                Code.nothing_changed,
                say("nothing of line {line_no} is returned: leave it out", line_no=line.line_no),
                at,
            )


def _note_return_exceeds(checks: Checks, line: ReturnedLine, left: tuple[int, int], at: str) -> None:
    checks.note(
        Code.return_exceeds_sale,
        say(
            "line {line_no} has quantity {quantity_left} and amount {amount_left} left,"
            " the return asks for {quantity} and {line_amount}: return at most what is left",
            line_no=line.line_no,
            quantity_left=micros_text(left[0]),
            amount_left=micros_text(left[1]),
            quantity=line.quantity,
            line_amount=line.amount,
        ),
        at,
    )


def _is_part(part: tuple[int, int], line: Line) -> bool:
    """Say whether a quantity and an amount each lie between nothing and the whole of the line."""
    wholes = micros_of(line.quantity), micros_of(line.amount)
    return all(min(0, whole) <= value <= max(0, whole) for value, whole in zip(part, wholes, strict=True))
