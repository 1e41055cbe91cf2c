"""A seeded generator of order events as clients submit them: valid, in an order that intake accepts, and streamed.

Shape: N orders of three lines each over three years, by date, of 2,000 salespeople and 20 order types; one order in
ten is split among two people. About 8 % more events follow up: they come up to some thousand orders later, and only
those orders are held in memory. Customers, products and salespeople are drawn unevenly, as in life: the upper half of
the list gets about seven tenths of the orders.
"""

import heapq
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import islice
from random import Random
from typing import Final

from ledger.events import (
    DefineOrderType,
    Line,
    OrderAmended,
    OrderCancelled,
    OrderPlaced,
    OrderReassigned,
    OrderReclassified,
    OrderReturned,
    ReturnedLine,
    RuleChangeProposed,
    Split,
)
from ledger.intake import (
    OrderSubmission,
    SubmitAmended,
    SubmitCancelled,
    SubmitPlaced,
    SubmitReassigned,
    SubmitReclassified,
    SubmitReturned,
)

SOURCE: Final = "erp"
SALESPEOPLE: Final = 2_000
ORDER_TYPES: Final = 20
CUSTOMERS: Final = 40_000
PRODUCTS: Final = 5_000
CATEGORIES: Final = 60
LINES: Final = 3
DAY_FIRST: Final = date(2023, 1, 1)
DAYS: Final = 1_096
FOLLOWED_UP_PER_MILLE: Final = 75
FOLLOWED_UP_AGAIN_PER_MILLE: Final = 70
DELAY_ORDERS_MAX: Final = 3_000
_SHARES: Final = (("0.5", "0.5"), ("0.7", "0.3"), ("0.6667", "0.3333"))

OPENING: Final = RuleChangeProposed(
    rule_change_id="opening",
    alterations=tuple(
        DefineOrderType(f"type-{number:02}", "0" if number % 10 == 9 else "1") for number in range(ORDER_TYPES)
    ),
    reason="the order types the benchmark starts with",
)
"""Records the order types; it comes before every order."""


def customer_id(number: int) -> str:
    """Name a customer."""
    return f"C-{number:05}"


def product_id(number: int) -> str:
    """Name a product."""
    return f"P-{number:04}"


def salesperson_id(number: int) -> str:
    """Name a salesperson."""
    return f"S-{number:04}"


def order_type(number: int) -> str:
    """Name an order type."""
    return f"type-{number:02}"


def category(product: int) -> str:
    """Name the category of a product."""
    return f"category-{product % CATEGORIES:02}"


def order_events(orders: int, *, seed: int = 1, names: bool = False, prefix: str = "SO") -> Iterator[OrderSubmission]:
    """Give the events of that many orders; with `names`, the names for people that an ERP's export carries too."""
    random = Random(seed)  # noqa: S311 - seeded, to be the same again
    due = list[tuple[int, int, _Placed]]()
    for number in range(orders):
        while due and due[0][0] <= number:
            yield _follow_up(random, due)
        order_id = f"{prefix}-{number:08}"
        placed = _placed(random, DAY_FIRST + timedelta(days=number * DAYS // orders), names=names)
        yield SubmitPlaced(source=SOURCE, event_id=f"{order_id}/1", order_id=order_id, data=placed)
        if random.randrange(1000) < FOLLOWED_UP_PER_MILLE:
            heapq.heappush(due, (number + 1 + random.randrange(DELAY_ORDERS_MAX), number, _Placed(order_id, placed)))
    while due:
        yield _follow_up(random, due)


def batches(events: Iterator[OrderSubmission], size: int) -> Iterator[list[OrderSubmission]]:
    """Cut a stream into lists of that many events; the last may be shorter."""
    while batch := list(islice(events, size)):
        yield batch


class _Placed:
    """An order that waits for a follow-up, and the number of its events so far."""

    __slots__ = ("data", "events", "order_id")

    def __init__(self, order_id: str, data: OrderPlaced) -> None:
        self.order_id = order_id
        self.data = data
        self.events = 1


def _uneven(random: Random, count: int) -> int:
    """Draw a number below `count`, the lower ones more often."""
    return min(random.randrange(count), random.randrange(count))


def _placed(random: Random, day: date, *, names: bool) -> OrderPlaced:
    customer = _uneven(random, CUSTOMERS)
    return OrderPlaced(
        ordered_on=day,
        order_type=order_type(_uneven(random, ORDER_TYPES)),
        customer_id=customer_id(customer),
        currency="USD" if customer % 20 == 0 else "EUR",
        lines=_lines(random, names=names),
        splits=_splits(random, names=names),
        customer_name=f"Customer number {customer} Ltd" if names else None,
    )


def _lines(random: Random, *, names: bool) -> tuple[Line, ...]:
    lines = list[Line]()
    for line_no in range(1, LINES + 1):
        product, quantity = _uneven(random, PRODUCTS), random.randrange(1, 13)
        lines.append(
            Line(
                line_no=line_no,
                product_id=product_id(product),
                quantity=str(quantity),
                amount=_price(product, quantity),
                category=category(product),
                product_name=f"Product number {product}, boxed" if names else None,
            )
        )
    return tuple(lines)


def _price(product: int, quantity: int) -> str:
    """Price so many pieces of a product: fixed prices from 0.99 to some thousand, in cents."""
    cents = quantity * (99 + product * product % 300_000)
    return f"{cents // 100}.{cents % 100:02}"


def _splits(random: Random, *, names: bool) -> tuple[Split, ...]:
    person = _uneven(random, SALESPEOPLE)
    name = f"Salesperson number {person}" if names else None
    if random.randrange(10):
        return (Split(salesperson_id(person), salesperson_name=name),)
    share, rest = random.choice(_SHARES)
    other = (person + 1 + random.randrange(SALESPEOPLE - 1)) % SALESPEOPLE
    return (Split(salesperson_id(person), share, name), Split(salesperson_id(other), rest))


def _follow_up(random: Random, due: list[tuple[int, int, _Placed]]) -> OrderSubmission:
    """Give the next follow-up that is due; a few orders get one more after it, of a kind that can follow any."""
    at, number, order = heapq.heappop(due)
    first = order.events == 1
    order.events += 1
    submission = _first_follow_up(random, order) if first else _reclassified(random, order)
    again = first and not isinstance(submission, SubmitCancelled | SubmitReclassified)
    if again and random.randrange(1000) < FOLLOWED_UP_AGAIN_PER_MILLE:
        heapq.heappush(due, (at + 1 + random.randrange(DELAY_ORDERS_MAX), number, order))
    return submission


def _first_follow_up(random: Random, order: _Placed) -> OrderSubmission:
    chance, placed = random.randrange(100), order.data
    day = placed.ordered_on + timedelta(days=random.randrange(1, 60))
    order_id, event_id = order.order_id, f"{order.order_id}/{order.events}"
    if chance < 35:
        lines = (*placed.lines[:-1], _more(placed.lines[-1]))
        return SubmitAmended(source=SOURCE, event_id=event_id, order_id=order_id, data=OrderAmended(lines=lines))
    if chance < 50:
        return _reclassified(random, order)
    if chance < 65:
        old = placed.splits[0].salesperson_id
        others = (salesperson_id(number) for number in iter(lambda: _uneven(random, SALESPEOPLE), -1))
        new = next(other for other in others if other != old)
        return SubmitReassigned(
            source=SOURCE, event_id=event_id, order_id=order_id, data=OrderReassigned(placed.ordered_on, (Split(new),))
        )
    if chance < 90:
        line = placed.lines[random.randrange(LINES)]
        returned = ReturnedLine(line.line_no, line.quantity, line.amount)
        return SubmitReturned(source=SOURCE, event_id=event_id, order_id=order_id, data=OrderReturned(day, (returned,)))
    return SubmitCancelled(source=SOURCE, event_id=event_id, order_id=order_id, data=OrderCancelled(day))


def _more(line: Line) -> Line:
    """Correct a line to one more piece, at the price of its product."""
    quantity = int(line.quantity) + 1
    amount = _price(int(line.product_id.removeprefix("P-")), quantity)
    return Line(line.line_no, line.product_id, str(quantity), amount, line.category, line.product_name)


def _reclassified(random: Random, order: _Placed) -> SubmitReclassified:
    number = int(order.data.order_type.removeprefix("type-"))
    other = order_type((number + 1 + random.randrange(ORDER_TYPES - 1)) % ORDER_TYPES)
    return SubmitReclassified(
        source=SOURCE,
        event_id=f"{order.order_id}/{order.events}",
        order_id=order.order_id,
        data=OrderReclassified(other),
    )
