"""Another way to the same figures: slow, by the day, from the orders as they are; shares nothing with projections/.

It takes an order's final state (ledger.orders.evolve) and the recorded rule versions, divides with fractions, and asks
every rule of every day by reading the design's sentence about precedence literally.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from ledger import orders, rulebook
from ledger.events import (
    Conditions,
    CustomerClassified,
    DatedFact,
    OrderEvent,
    ProductCategorised,
    Recorded,
    SalespersonTeamed,
    Split,
)
from ledger.orders import Order
from ledger.rules import RuleVersion
from ledger.store import Store

ATTRIBUTES = ("product_id", "category", "customer_id", "customer_class", "salesperson_id", "order_type")


@dataclass(frozen=True)
class Credited:
    """One amount for one salesperson, with everything that a figure may be grouped by."""

    order_id: str
    line_no: int
    salesperson: str | None
    team: str | None
    order_type: str
    customer: str
    customer_class: str | None
    product: str
    product_category: str | None
    currency: str
    ordered_on: date
    credited_on: date
    quantity: int
    amount: int
    lines: int

    @property
    def month(self) -> str:
        """The month it is credited in."""
        return f"{self.credited_on:%Y-%m}"


Row = tuple[int, int, int, int, int, int]


@dataclass
class World:
    """What is known at a position: orders, dated facts by their owner's stream, and rule versions."""

    orders: dict[str, Order]
    facts: dict[str, list[DatedFact]]
    versions: tuple[RuleVersion, ...]

    def credits(self) -> list[Credited]:
        """Credit every order."""
        return [credit for order_id, order in self.orders.items() for credit in self._credits(order_id, order)]

    def _credits(self, order_id: str, order: Order) -> Iterable[Credited]:
        if order.cancelled is not None and order.cancelled.void:
            return
        for day, line_no, quantity, amount, lines in _entries(order):
            line = next(line for line in order.lines if line.line_no == line_no)
            split = sorted(_split_on(order, day), key=lambda part: part.salesperson_id)
            people: list[str | None] = [part.salesperson_id for part in split] or [None]
            shares = [Fraction(part.share) for part in split] or [Fraction(1)]
            parts = zip(people, _divide(quantity, shares), _divide(amount, shares), strict=True)
            for person, its_quantity, its_amount in parts:
                yield Credited(
                    order_id=order_id,
                    line_no=line_no,
                    salesperson=person,
                    team=self._said(f"salesperson/{person}", SalespersonTeamed, "team", day),
                    order_type=order.order_type,
                    customer=order.customer_id,
                    customer_class=self.class_on(order.customer_id, order.ordered_on),
                    product=line.product_id,
                    product_category=self.category_on(line.product_id, order.ordered_on, line.category),
                    currency=order.currency,
                    ordered_on=order.ordered_on,
                    credited_on=day,
                    quantity=its_quantity,
                    amount=its_amount,
                    lines=lines,
                )

    def class_on(self, customer_id: str, day: date) -> str | None:
        """Give a customer's class."""
        return self._said(f"customer/{customer_id}", CustomerClassified, "customer_class", day)

    def category_on(self, product_id: str, day: date, otherwise: str | None) -> str | None:
        """Give a product's category; `otherwise` what its order line says."""
        return self._said(f"product/{product_id}", ProductCategorised, "category", day, otherwise)

    def _said(
        self, stream: str, kind: type[DatedFact], field: str, day: date, otherwise: str | None = None
    ) -> str | None:
        latest = otherwise
        for fact in self.facts.get(stream, []):
            covers = fact.effective_from <= day and (fact.effective_to is None or day < fact.effective_to)
            if isinstance(fact, kind) and covers:
                latest = getattr(fact, field)
        return latest

    def share(self, credit: Credited) -> int:
        """Give the share at which a credit counts."""
        values = (credit.product, credit.product_category, credit.customer, credit.customer_class)
        profile = dict(zip(ATTRIBUTES, (*values, credit.salesperson, credit.order_type), strict=True))
        deciding = dict[tuple[bool, ...], RuleVersion]()
        for version in self.versions:
            covers = (version.effective_from or date.min) <= credit.ordered_on < (version.effective_to or date.max)
            if covers and _meets(version.conditions, profile):
                deciding[tuple(getattr(version.conditions, name) is not None for name in ATTRIBUTES)] = version
        for named in sorted(deciding, reverse=True):
            share = deciding[named].share
            if share is not None:
                return share
        return 0

    def figures(self, start: date, end: date, group_by: tuple[str, ...]) -> dict[tuple[str | None, ...], Row]:
        """Give gross, credited, gross quantity, quantity, gross orders and orders by the keys and the currency."""
        sums = defaultdict[tuple[str | None, ...], list[int]](lambda: [0, 0, 0, 0])
        all_lines = defaultdict[tuple[tuple[str | None, ...], str], int](int)
        counting = defaultdict[tuple[tuple[str | None, ...], str], int](int)
        for credit in self.credits():
            if not start <= credit.credited_on < end:
                continue
            key = (*(getattr(credit, name) for name in group_by), credit.currency)
            share = self.share(credit)
            counted_quantity = credit.quantity if share else 0
            for at, value in enumerate((credit.amount, credit.amount * share, credit.quantity, counted_quantity)):
                sums[key][at] += value
            all_lines[key, credit.order_id] += credit.lines
            counting[key, credit.order_id] += credit.lines if share else 0
        figures = {
            key: (values[0], values[1], values[2], values[3], _orders(all_lines, key), _orders(counting, key))
            for key, values in sums.items()
        }
        return {key: row for key, row in figures.items() if any(row)}


def world(store: Store, position: int) -> World:
    """Read what is known at a position, straight from the stored events."""
    with store.database.cursor() as cursor:
        cursor.execute("SELECT DISTINCT subject FROM event WHERE position <= %s", (position,))
        subjects = [subject for (subject,) in cursor.fetchall()]
    streams = {
        subject: [event for event in events if event.position <= position]
        for subject, events in store.streams(subjects).items()
    }
    return World(
        orders={name[6:]: _order(events) for name, events in streams.items() if name.startswith("order/")},
        facts={name: _facts(events) for name, events in streams.items()},
        versions=rulebook.fold(streams.get("rulebook", [])).versions,
    )


def _order(events: list[Recorded]) -> Order:
    order: Order | None = None
    for event in events:
        assert isinstance(event.data, OrderEvent)
        order = orders.evolve(order, event.data)
    assert order is not None
    return order


def _facts(events: list[Recorded]) -> list[DatedFact]:
    return [event.data for event in events if isinstance(event.data, DatedFact)]


def _entries(order: Order) -> Iterable[tuple[date, int, int, int, int]]:
    left = {line.line_no: [_micros(line.quantity), _micros(line.amount)] for line in order.lines}
    for line in order.lines:
        yield order.ordered_on, line.line_no, _micros(line.quantity), _micros(line.amount), 1
    for returned in order.returns:
        for back in returned.lines:
            quantity, amount = _micros(back.quantity), _micros(back.amount)
            left[back.line_no][0] -= quantity
            left[back.line_no][1] -= amount
            yield returned.returned_on, back.line_no, -quantity, -amount, 0
    if order.cancelled is not None:
        for line_no, (quantity, amount) in left.items():
            yield order.cancelled.cancelled_on, line_no, -quantity, -amount, -1


def _split_on(order: Order, day: date) -> tuple[Split, ...]:
    return [assignment.splits for assignment in order.assignments if assignment.effective_from <= day][-1]


def _divide(whole: int, shares: list[Fraction]) -> list[int]:
    sign = -1 if whole < 0 else 1
    exact = [abs(whole) * share for share in shares]
    parts = [int(part) for part in exact]
    rest = abs(whole) - sum(parts)
    order = sorted(range(len(parts)), key=lambda at: (parts[at] - exact[at], at))
    return [sign * (part + (at in order[:rest])) for at, part in enumerate(parts)]


def _micros(text: str) -> int:
    return int(Fraction(text) * 10**6)


def _meets(conditions: Conditions, profile: dict[str, str | None]) -> bool:
    return all(getattr(conditions, name) in (None, value) for name, value in profile.items())


def _orders(lines: dict[tuple[tuple[str | None, ...], str], int], key: tuple[str | None, ...]) -> int:
    counts = [count for (its_key, _), count in lines.items() if its_key == key]
    return sum((count > 0) - (count < 0) for count in counts)
