"""From the events of an order to what is credited to whom on which day.

An order's lines, header and type hold as of its placing date, whenever they are corrected. Splits hold by the day of
what is credited: the sale by the split in force on the order's day, a return or a cancellation by the one on its own
day. What an event brings is the difference between what is credited after it and before.
Source: docs/events.md, "Order events"; the design's section 4, "Orders".
Units: quantities and amounts in micros.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from verifier.decimals import divided, micros, share
from verifier.documents import Event
from verifier.findings import Malformed, shown

FIRST_DAY = "0001-01-01"
LAST_DAY = "9999-12-31"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is credited is of this: an order line, for a salesperson (None: nobody), on a day.

    `ordered_on` selects the rule, `credited_on` the period; `category` is what the line says, before any fact.
    """

    order_id: str
    line_no: int
    salesperson_id: str | None
    ordered_on: str
    credited_on: str
    order_type: str
    customer_id: str
    product_id: str
    category: str | None
    currency: str


@dataclass(frozen=True, slots=True)
class Credit:
    """What the event at a position adds to an entry: signed micros."""

    position: int
    entry: Entry
    quantity: int
    amount: int


Part = tuple[dict[str, Any], int, int]
"""A line of the order, and how much of its quantity and amount is meant."""


@dataclass
class Order:
    """An order as its events left it. `assignments`: the split in force from a day on, by day."""

    order_id: str
    placed: dict[str, Any]
    assignments: list[tuple[str, list[dict[str, Any]]]]
    returns: list[dict[str, Any]] = field(default_factory=list)
    cancelled: dict[str, Any] | None = None

    def split_on(self, day: str) -> list[dict[str, Any]]:
        """Give the split in force on a day."""
        return [split for since, split in self.assignments if since <= day][-1]


def credits_of(order_id: str, events: Iterable[Event]) -> Iterator[Credit]:
    """Give what each event of an order brings, oldest first.

    Errors: Malformed where an event can't follow the ones before it.
    """
    order: Order | None = None
    before = dict[Entry, tuple[int, int]]()
    for event in events:
        try:
            order = _changed(order_id, order, event)
            after = _entries(order)
        except Malformed as error:
            raise Malformed(error.what, event.where) from error
        for entry in {**before, **after}:
            had, has = before.get(entry, (0, 0)), after.get(entry, (0, 0))
            if had != has:
                yield Credit(event.position, entry, has[0] - had[0], has[1] - had[1])
        before = after


def _changed(order_id: str, order: Order | None, event: Event) -> Order:
    """Apply an event."""
    data = event.data
    if order is None or event.type == "order.placed":
        if order is not None or event.type != "order.placed":
            raise Malformed(f"an order's first event, and no other, is order.placed: order {shown(order_id)}")
        return Order(order_id, dict(data), [(FIRST_DAY, data.get("splits") or [])])
    match event.type:
        case "order.amended":
            corrected = ("lines", "ordered_on", "customer_id", "currency")
            order.placed |= {name: data[name] for name in corrected if data.get(name) is not None}
        case "order.reclassified":
            order.placed |= {"order_type": data["order_type"]}
        case "order.reassigned":
            since = FIRST_DAY if data["effective_from"] <= order.placed["ordered_on"] else data["effective_from"]
            earlier = [each for each in order.assignments if each[0] < since]
            order.assignments = [*earlier, (since, data["splits"])]
        case "order.returned":
            order.returns.append(data)
        case "order.cancelled":
            order.cancelled = data
    return order


def _entries(order: Order) -> dict[Entry, tuple[int, int]]:
    """Give all that is credited of an order as it is: (quantity, amount) of each entry, without zeros."""
    sums = dict[Entry, tuple[int, int]]()
    if order.cancelled is not None and order.cancelled.get("void"):
        return sums
    for day, parts in _happenings(order):
        for entry, quantity, amount in _divided(order, day, parts):
            had = sums.get(entry, (0, 0))
            sums[entry] = had[0] + quantity, had[1] + amount
    return {entry: both for entry, both in sums.items() if both != (0, 0)}


def _happenings(order: Order) -> Iterator[tuple[str, list[Part]]]:
    """Give the sale, each return, and what a cancellation reverses: the day, and how much of each line."""
    lines = {line["line_no"]: line for line in order.placed["lines"]}
    if len(lines) != len(order.placed["lines"]):
        raise Malformed(f"order {shown(order.order_id)} has a line twice")
    left = {number: (micros(line["quantity"]), micros(line["amount"])) for number, line in lines.items()}
    yield order.placed["ordered_on"], [(lines[number], *whole) for number, whole in left.items()]
    for returned in order.returns:
        parts = list[Part]()
        for back in returned["lines"]:
            number, quantity, amount = back["line_no"], micros(back["quantity"]), micros(back["amount"])
            if number not in lines:
                raise Malformed(f"order {shown(order.order_id)} has no line {number} to return")
            left[number] = left[number][0] - quantity, left[number][1] - amount
            parts.append((lines[number], -quantity, -amount))
        yield returned["returned_on"], parts
    if order.cancelled is not None:
        yield (
            order.cancelled["cancelled_on"],
            [(lines[number], -quantity, -amount) for number, (quantity, amount) in left.items()],
        )


def _divided(order: Order, day: str, parts: list[Part]) -> Iterator[tuple[Entry, int, int]]:
    """Divide what happened on a day among the people of the split in force; equal remainders go by their ids."""
    split = sorted(order.split_on(day), key=lambda each: each["salesperson_id"])
    people: list[str | None] = [each["salesperson_id"] for each in split] or [None]
    shares = [share(each.get("share") or "1") for each in split] or [share("1")]
    if len(set(people)) != len(people) or sum(shares) != share("1"):
        raise Malformed(f"the shares of order {shown(order.order_id)} on {day} do not sum to 1, a person each")
    for line, quantity, amount in parts:
        for person, its_quantity, its_amount in zip(
            people, divided(quantity, shares), divided(amount, shares), strict=True
        ):
            yield _entry(order, day, line, person), its_quantity, its_amount


def _entry(order: Order, day: str, line: dict[str, Any], person: str | None) -> Entry:
    return Entry(
        order_id=order.order_id,
        line_no=line["line_no"],
        salesperson_id=person,
        ordered_on=order.placed["ordered_on"],
        credited_on=day,
        order_type=order.placed["order_type"],
        customer_id=order.placed["customer_id"],
        product_id=line["product_id"],
        category=line.get("category"),
        currency=order.placed["currency"],
    )
