"""From an order to its credit lines: who is credited what, on which days. Pure.

A credit line is one order line's amount for one salesperson, before rules. Each entry of an order (the sale, a return,
a cancellation) is credited by the split in force on its own day; `ordered_on` selects the rule, `credited_on` the
period. What an event changes is the difference of the credit lines before and after it: the reversal of what is no
longer so, and what is new, and nothing else (design, invariants 7 and 9).
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date

from msgspec import Struct
from msgspec.structs import replace

from ledger.events import Line, Split
from ledger.money import MICROS_MAX, divide, micros_of, share_of
from ledger.orders import Order, left_of_lines


class CreditLine(Struct, frozen=True, gc=False):
    """One credit line. Units: quantity and amount in micros, signed; salesperson_id None: nobody is credited.

    `lines` counts the order line itself (1 of a sale, -1 of a cancellation, 0 of a return), `orders` is the same on
    the first line of the order for that salesperson and 0 on the others: summed, they count lines and orders.
    """

    line_no: int
    salesperson_id: str | None
    ordered_on: date
    credited_on: date
    order_type: str
    customer_id: str
    product_id: str
    category: str | None
    currency: str
    quantity: int
    amount: int
    lines: int
    orders: int


def credit_lines(order: Order | None) -> list[CreditLine]:
    """Give all credit lines of an order as it is; none of one that was voided or is not there."""
    if order is None or (order.cancelled is not None and order.cancelled.void):
        return []
    sold = [(line, micros_of(line.quantity), micros_of(line.amount)) for line in order.lines]
    credited = _entry(order, order.ordered_on, sold, 1)
    if order.returns or order.cancelled is not None:
        credited += _given_back(order)
    return credited


def _given_back(order: Order) -> list[CreditLine]:
    """Give the lines of what was returned, and of what a dated cancellation reverses."""
    by_number = {line.line_no: line for line in order.lines}
    credited = list[CreditLine]()
    for returned in order.returns:
        back = [
            (by_number[line.line_no], -micros_of(line.quantity), -micros_of(line.amount)) for line in returned.lines
        ]
        credited += _entry(order, returned.returned_on, back, 0)
    if order.cancelled is not None:
        left = left_of_lines(order)
        rest = [(line, -left[line.line_no][0], -left[line.line_no][1]) for line in order.lines]
        credited += _entry(order, order.cancelled.cancelled_on, rest, -1)
    return credited


def _entry(order: Order, day: date, parts: Iterable[tuple[Line, int, int]], count: int) -> list[CreditLine]:
    """Credit what happened on one day: (line, quantity, amount), counted as `count` orders."""
    splits = order.splits_on(day)
    if len(splits) <= 1:
        person = splits[0].salesperson_id if splits else None
        shared: Iterable[_Part] = [(line, person, quantity, amount) for line, quantity, amount in parts]
    else:
        shared = _divided(splits, parts)
    ordered_on, order_type, customer_id, currency = (
        order.ordered_on,
        order.order_type,
        order.customer_id,
        order.currency,
    )
    counted = set[str | None]()
    credited = list[CreditLine]()
    for line, person, quantity, amount in shared:
        first = 0 if person in counted else count
        counted.add(person)
        credited.append(
            CreditLine(
                line.line_no,
                person,
                ordered_on,
                day,
                order_type,
                customer_id,
                line.product_id,
                line.category,
                currency,
                quantity,
                amount,
                count,
                first,
            )
        )
    return credited


_Part = tuple[Line, str | None, int, int]


def _divided(splits: tuple[Split, ...], parts: Iterable[tuple[Line, int, int]]) -> Iterator[_Part]:
    """Divide each line among people sorted by id, so that equal remainders always fall to the same one."""
    ordered = sorted(splits, key=lambda split: split.salesperson_id)
    shares = [share_of(split.share) for split in ordered]
    for line, quantity, amount in parts:
        quantities, amounts = divide(quantity, shares), divide(amount, shares)
        for index, split in enumerate(ordered):
            yield line, split.salesperson_id, quantities[index], amounts[index]


def reversal(line: CreditLine) -> CreditLine:
    """Give the line that cancels another out."""
    return replace(line, quantity=-line.quantity, amount=-line.amount, lines=-line.lines, orders=-line.orders)


def difference(before: list[CreditLine], after: list[CreditLine]) -> list[CreditLine]:
    """Give the lines that turn one set of credit lines into another: reversals first, then what is new."""
    if not before:
        return after
    gone, new = Counter(before), Counter(after)
    return [*map(reversal, (gone - new).elements()), *(new - gone).elements()]


class CreditCell(Struct, frozen=True, gc=False):
    """What one event brings one salesperson on one day for one order: its credit lines summed, products apart no more.

    Where neither rules nor groups tell products apart, figures are the same over cells, of which there are fewer.
    Units as of CreditLine.
    """

    salesperson_id: str | None
    ordered_on: date
    credited_on: date
    order_type: str
    customer_id: str
    currency: str
    quantity: int
    amount: int
    lines: int
    orders: int


def cells(lines: Iterable[CreditLine]) -> list[CreditCell]:
    """Sum the credit lines that an event brings into cells; a sum beyond 63 bits is given in several."""
    summed = list[CreditCell]()
    sums = dict[tuple[str | None, date, date, str, str, str], tuple[int, int, int, int]]()
    for line in lines:
        key = (
            line.salesperson_id,
            line.ordered_on,
            line.credited_on,
            line.order_type,
            line.customer_id,
            line.currency,
        )
        values = line.quantity, line.amount, line.lines, line.orders
        before = sums.get(key)
        if before is not None:
            total = (
                before[0] + values[0],
                before[1] + values[1],
                before[2] + values[2],
                before[3] + values[3],
            )
            if abs(total[0]) > MICROS_MAX or abs(total[1]) > MICROS_MAX:
                summed.append(CreditCell(*key, *before))
            else:
                values = total
        sums[key] = values
    return summed + [CreditCell(*key, *values) for key, values in sums.items() if any(values)]
