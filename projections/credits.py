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


CreditLine = tuple[int, str, str | None, int, int, int, int]
"""One credit line, but for its header: (line_no, product_id, category, quantity, amount, lines, orders).

Units: quantity and amount in micros, signed. `lines` counts the order line itself (1 of a sale, -1 of a cancellation,
0 of a return), `orders` is the same on the first line of the cell and 0 on the others: summed, they count lines and
orders. A plain tuple: a rebuild makes millions of them.
"""


class CreditCell(Struct, frozen=True, gc=False):
    """The credit lines of one header. Where nobody tells products apart, figures are the same over their sums."""

    header: Header
    lines: list[CreditLine]


def credit_cells(order: Order | None) -> list[CreditCell]:
    """Give all credit lines of an order as it is; none of one that was voided or is not there."""
    if order is None or (order.cancelled is not None and order.cancelled.void):
        return []
    orders, sold = 1, list[CreditLine]()
    for line in order.lines:
        quantity, amount = micros_of(line.quantity), micros_of(line.amount)
        sold.append((line.line_no, line.product_id, line.category, quantity, amount, 1, orders))
        orders = 0
    credited = _entry(order, order.ordered_on, sold)
    if order.returns or order.cancelled is not None:
        credited += _given_back(order)
    return credited


def _given_back(order: Order) -> list[CreditCell]:
    """Give the lines of what was returned, and of what a dated cancellation reverses."""
    by_number = {line.line_no: line for line in order.lines}
    credited = list[CreditCell]()
    for returned in order.returns:
        back = [
            _back(by_number[line.line_no], micros_of(line.quantity), micros_of(line.amount)) for line in returned.lines
        ]
        credited += _entry(order, returned.returned_on, back)
    if order.cancelled is not None:
        left = left_of_lines(order)
        rest = [_back(line, *left[line.line_no], -1, 0 if at else -1) for at, line in enumerate(order.lines)]
        credited += _entry(order, order.cancelled.cancelled_on, rest)
    return credited


def _back(line: Line, quantity: int, amount: int, lines: int = 0, orders: int = 0) -> CreditLine:
    return line.line_no, line.product_id, line.category, -quantity, -amount, lines, orders


def _entry(order: Order, day: date, lines: list[CreditLine]) -> list[CreditCell]:
    """Credit what happened on one day: a cell for each salesperson."""
    splits = order.splits_on(day)
    if len(splits) > 1:
        return [CreditCell(_header(order, day, person), its_lines) for person, its_lines in _divided(splits, lines)]
    return [CreditCell(_header(order, day, splits[0].salesperson_id if splits else None), lines)]


def _header(order: Order, day: date, person: str | None) -> Header:
    return Header(person, order.ordered_on, day, order.order_type, order.customer_id, order.currency)


def _divided(splits: tuple[Split, ...], lines: list[CreditLine]) -> list[tuple[str, list[CreditLine]]]:
    """Divide each line among people sorted by id, so that equal remainders always fall to the same one."""
    ordered = sorted(splits, key=lambda split: split.salesperson_id)
    shares = [share_of(split.share) for split in ordered]
    divided = [(split.salesperson_id, list[CreditLine]()) for split in ordered]
    for line_no, product, category, quantity, amount, count, orders in lines:
        quantities, amounts = divide(quantity, shares), divide(amount, shares)
        for (_, its_lines), its_quantity, its_amount in zip(divided, quantities, amounts, strict=True):
            its_lines.append((line_no, product, category, its_quantity, its_amount, count, orders))
    return divided


def difference(before: list[CreditCell], after: list[CreditCell]) -> list[CreditCell]:
    """Give the lines that turn one set of credit lines into another: reversals first, then what is new."""
    gone, new = list[CreditCell](), list(after)
    for cell in before:
        if cell in new:
            new.remove(cell)
        else:
            gone.append(cell)
    if len({cell.header for cell in (*gone, *new)}) == len(gone) + len(new):
        return [*(CreditCell(cell.header, [reversal(line) for line in cell.lines]) for cell in gone), *new]
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
    line_no, product, category, quantity, amount, count, orders = line
    return line_no, product, category, -quantity, -amount, -count, -orders


Sums = tuple[int, int, int, int]
"""Quantity, amount, lines and orders."""


def sums(lines: Sequence[CreditLine]) -> list[Sums]:
    """Sum the credit lines of a cell; a sum beyond 63 bits is given in several, one of nothing not at all."""
    quantity = amount = count = orders = 0
    for _, _, _, more, worth, counted, ordered in lines:
        quantity += more
        amount += worth
        count += counted
        orders += ordered
    if not -MICROS_MAX <= quantity <= MICROS_MAX or not -MICROS_MAX <= amount <= MICROS_MAX:
        half = len(lines) // 2
        return sums(lines[:half]) + sums(lines[half:])
    return [(quantity, amount, count, orders)] if quantity or amount or count or orders else []
