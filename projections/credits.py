"""From an order to its credit lines: who is credited what, on which days. Pure.

A credit line is one order line's amount for one salesperson, before rules. The lines of one order for one salesperson
on one day share all but the product: together they are a credit cell, a header with its lines. Each entry of an order
(the sale, a return, a cancellation) is credited by the split in force on its own day; `ordered_on` selects the rule,
`credited_on` the period. What an event changes is the difference of the credit lines before and after it: the reversal
of what is no longer so, and what is new, and nothing else (design, invariants 7 and 9).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date

from msgspec import Struct

from ledger.events import Line, Split
from ledger.money import MICROS_MAX, divide, micros_of, share_of
from ledger.orders import Order, left_of_lines


class Header(Struct, frozen=True, gc=False):
    """What the credit lines of a cell share; salesperson_id None: nobody is credited."""

    salesperson_id: str | None
    ordered_on: date
    credited_on: date
    order_type: str
    customer_id: str
    currency: str


class CreditLine(Struct, frozen=True, gc=False):
    """One credit line, but for its header. Units: quantity and amount in micros, signed.

    `lines` counts the order line itself (1 of a sale, -1 of a cancellation, 0 of a return), `orders` is the same on
    the first line of the cell and 0 on the others: summed, they count lines and orders.
    """

    line_no: int
    product_id: str
    category: str | None
    quantity: int
    amount: int
    lines: int
    orders: int


class CreditCell(Struct, frozen=True, gc=False):
    """The credit lines of one header. Where nobody tells products apart, figures are the same over their sums."""

    header: Header
    lines: list[CreditLine]


Part = tuple[Line, int, int]
"""An order line, and what of its quantity and amount is meant, in micros."""


def credit_cells(order: Order | None) -> list[CreditCell]:
    """Give all credit lines of an order as it is; none of one that was voided or is not there."""
    if order is None or (order.cancelled is not None and order.cancelled.void):
        return []
    sold = [(line, micros_of(line.quantity), micros_of(line.amount)) for line in order.lines]
    credited = _entry(order, order.ordered_on, sold, 1)
    if order.returns or order.cancelled is not None:
        credited += _given_back(order)
    return credited


def _given_back(order: Order) -> list[CreditCell]:
    """Give the lines of what was returned, and of what a dated cancellation reverses."""
    by_number = {line.line_no: line for line in order.lines}
    credited = list[CreditCell]()
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


def _entry(order: Order, day: date, parts: Sequence[Part], count: int) -> list[CreditCell]:
    """Credit what happened on one day, counted as `count` orders: a cell for each salesperson."""
    splits = order.splits_on(day)
    if len(splits) > 1:
        return [
            CreditCell(_header(order, day, person), _lines(its_parts, count))
            for person, its_parts in _divided(splits, parts)
        ]
    person = splits[0].salesperson_id if splits else None
    return [CreditCell(_header(order, day, person), _lines(parts, count))]


def _header(order: Order, day: date, person: str | None) -> Header:
    return Header(person, order.ordered_on, day, order.order_type, order.customer_id, order.currency)


def _lines(parts: Sequence[Part], count: int) -> list[CreditLine]:
    orders, lines = count, list[CreditLine]()
    add = lines.append
    for line, quantity, amount in parts:
        add(CreditLine(line.line_no, line.product_id, line.category, quantity, amount, count, orders))
        orders = 0
    return lines


def _divided(splits: tuple[Split, ...], parts: Sequence[Part]) -> list[tuple[str, list[Part]]]:
    """Divide each line among people sorted by id, so that equal remainders always fall to the same one."""
    ordered = sorted(splits, key=lambda split: split.salesperson_id)
    shares = [share_of(split.share) for split in ordered]
    divided = [(split.salesperson_id, list[Part]()) for split in ordered]
    for line, quantity, amount in parts:
        quantities, amounts = divide(quantity, shares), divide(amount, shares)
        for (_, its_parts), its_quantity, its_amount in zip(divided, quantities, amounts, strict=True):
            its_parts.append((line, its_quantity, its_amount))
    return divided


def difference(before: list[CreditCell], after: list[CreditCell]) -> list[CreditCell]:
    """Give the lines that turn one set of credit lines into another: reversals first, then what is new."""
    gone, new = list[CreditCell](), list(after)
    for cell in before:
        if cell in new:
            new.remove(cell)
        else:
            gone.append(cell)
    old_lines, new_lines = _flat(gone), _flat(new)
    changed = dict[Header, list[CreditLine]]()
    for header, line in (old_lines - new_lines).elements():
        changed.setdefault(header, []).append(reversal(line))
    for header, line in (new_lines - old_lines).elements():
        changed.setdefault(header, []).append(line)
    return [CreditCell(header, lines) for header, lines in changed.items()]


def _flat(cells: Iterable[CreditCell]) -> Counter[tuple[Header, CreditLine]]:
    return Counter([(cell.header, line) for cell in cells for line in cell.lines])


def reversal(line: CreditLine) -> CreditLine:
    """Give the line that cancels another out."""
    return CreditLine(
        line.line_no, line.product_id, line.category, -line.quantity, -line.amount, -line.lines, -line.orders
    )


Sums = tuple[int, int, int, int]
"""Quantity, amount, lines and orders."""


def sums(lines: Iterable[CreditLine]) -> list[Sums]:
    """Sum the credit lines of a cell; a sum beyond 63 bits is given in several, one of nothing not at all."""
    summed = list[Sums]()
    quantity = amount = count = orders = 0
    for line in lines:
        more, worth = quantity + line.quantity, amount + line.amount
        if not -MICROS_MAX <= more <= MICROS_MAX or not -MICROS_MAX <= worth <= MICROS_MAX:
            summed.append((quantity, amount, count, orders))
            more, worth, count, orders = line.quantity, line.amount, 0, 0
        quantity, amount, count, orders = more, worth, count + line.lines, orders + line.orders
    if quantity or amount or count or orders:
        summed.append((quantity, amount, count, orders))
    return summed
