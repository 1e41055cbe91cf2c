"""Folding events into the projection's rows, and writing them; used by the projector and the rebuild alike.

`fold` is pure: stored events and the orders they continue go in, position-stamped credit lines come out. Writing gives
texts their integers and copies the rows in PostgreSQL's binary form, all within the caller's transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from io import BytesIO
from operator import attrgetter
from struct import Struct as Layout
from typing import get_args

from ledger.database import Cursor
from ledger.events import (
    Event,
    OrderAmended,
    OrderEvent,
    OrderPlaced,
    OrderReassigned,
    ReferenceFact,
    decode,
)
from ledger.orders import Order, evolve
from projections.credits import CreditLine, cells, credit_lines, difference
from projections.terms import Terms, record_names

ORDER_EVENTS = get_args(OrderEvent)
StoredRow = tuple[int, str, int, str, str]
"""A stored event as read: (position, subject, version, type, state)."""


@dataclass(slots=True)
class Known:
    """An order that events continue: its state, and the position of its first event."""

    order: Order
    key: int


@dataclass(slots=True)
class Folded:
    """What a batch of events brings. Shape: credits are (position, order key, lines), an entry per event."""

    credits: list[tuple[int, int, list[CreditLine]]] = field(default_factory=list)
    fact_subjects: set[str] = field(default_factory=set)
    names: dict[str, dict[str, tuple[str, int]]] = field(default_factory=dict)


def fold(rows: Iterable[StoredRow], known: dict[str, Known], *, after: int = 0, first_too: bool = True) -> Folded:
    """Fold events, oldest first per order, into what they bring; `known` is brought up to date on the way.

    Shape: events up to the position `after`, and without `first_too` each order's first event, only build up their
    orders and bring nothing.
    """
    folded = Folded()
    for position, subject, _version, name, state in rows:
        event = decode(name, state)
        if isinstance(event, ORDER_EVENTS):
            before = known.get(subject)
            brings = position > after and (first_too or before is not None)
            lines = _order_lines(known, before, position, subject, event, brings)
            if brings:
                folded.credits.append((position, known[subject].key, lines))
                _note_names(folded.names, event, position)
        elif isinstance(event, ReferenceFact):
            folded.fact_subjects.add(subject)
    return folded


def _order_lines(
    known: dict[str, Known], before: Known | None, position: int, subject: str, event: OrderEvent, brings: bool
) -> list[CreditLine]:
    """Bring an order up to date and give the credit lines that the event brings."""
    if before is None:
        order = evolve(None, event)
        known[subject] = Known(order, position)
        return credit_lines(order) if brings else []
    old = before.order
    before.order = evolve(old, event)
    return difference(credit_lines(old), credit_lines(before.order)) if brings else []


def _note_names(names: dict[str, dict[str, tuple[str, int]]], event: Event, position: int) -> None:
    if isinstance(event, OrderPlaced | OrderAmended):
        if event.customer_name is not None and event.customer_id is not None:
            names.setdefault("customer", {})[event.customer_id] = (event.customer_name, position)
        for line in event.lines or ():
            if line.product_name is not None:
                names.setdefault("product", {})[line.product_id] = (line.product_name, position)
    if isinstance(event, OrderPlaced | OrderReassigned):
        for split in event.splits:
            if split.salesperson_name is not None:
                names.setdefault("salesperson", {})[split.salesperson_id] = (split.salesperson_name, position)


class Writer:
    """Writes folded batches into one generation; keeps the integers of the texts it has met."""

    def __init__(self) -> None:
        self.salespeople = Terms("salesperson")
        self.order_types = Terms("order_type")
        self.customers = Terms("customer")
        self.products = Terms("product")
        self.categories = Terms("category")
        self.currencies = Terms("currency")
        self._names = dict[str, dict[str, tuple[str, int]]]()

    def write_credits(self, cursor: Cursor, batch: Iterable[Folded], learning: Cursor | None = None) -> int:
        """Insert credit lines and cells, and count the lines; new texts get integers by the cursor `learning`.

        Shape: each part of the batch is packed while it is fresh (small parts stay in the processor's cache); those
        with new texts wait until all of these are learned at once.
        """
        packed, waiting = list[tuple[bytes, bytes]](), list[Folded]()
        for folded in batch:
            try:
                packed.append((self._packed_lines(folded), self._packed_cells(folded)))
            except KeyError:
                waiting.append(folded)
            for kind, names in folded.names.items():
                self._names.setdefault(kind, {}).update(names)
        if waiting:
            self._learn(learning or cursor, waiting)
            packed += [(self._packed_lines(folded), self._packed_cells(folded)) for folded in waiting]
        for kind, names in self._names.items():
            record_names(learning or cursor, kind, names)
        self._names.clear()
        copy_rows(cursor, "credit_line", [lines for lines, _ in packed])
        copy_rows(cursor, "credit_cell", [cells for _, cells in packed])
        return sum(len(lines) for lines, _ in packed) // _rows(_LINE, 1).size

    def _learn(self, cursor: Cursor, batch: Sequence[Folded]) -> None:
        lines = [line for folded in batch for _, _, lines in folded.credits for line in lines]
        for terms, text_of in (
            (self.salespeople, attrgetter("salesperson_id")),
            (self.order_types, attrgetter("order_type")),
            (self.customers, attrgetter("customer_id")),
            (self.products, attrgetter("product_id")),
            (self.categories, attrgetter("category")),
            (self.currencies, attrgetter("currency")),
        ):
            terms.learn(cursor, set(map(text_of, lines)))

    def _packed_lines(self, folded: Folded) -> bytes:
        """Pack the credit lines as COPY takes them; KeyError when a text has no integer yet."""
        values = list[int]()
        extend = values.extend
        salespeople, order_types, customers = self.salespeople.ids, self.order_types.ids, self.customers.ids
        products, categories, currencies = self.products.ids, self.categories.ids, self.currencies.ids
        for position, key, lines in folded.credits:
            for seq, line in enumerate(lines):
                extend(
                    (
                        16,
                        8,
                        position,
                        8,
                        key,
                        8,
                        line.quantity,
                        8,
                        line.amount,
                        _INT | salespeople[line.salesperson_id],
                        _day(line.ordered_on),
                        _day(line.credited_on),
                        _INT | order_types[line.order_type],
                        _INT | customers[line.customer_id],
                        _INT | currencies[line.currency],
                        2,
                        line.lines,
                        2,
                        line.orders,
                        _INT | seq,
                        _INT | line.line_no,
                        _INT | products[line.product_id],
                        _INT | categories[line.category],
                    )
                )
        return pack_rows(_LINE, values)

    def _packed_cells(self, folded: Folded) -> bytes:
        """Pack the credit cells as COPY takes them; their texts are those of the lines, which have their integers."""
        values = list[int]()
        extend = values.extend
        salespeople, order_types, customers = self.salespeople.ids, self.order_types.ids, self.customers.ids
        currencies = self.currencies.ids
        for position, key, lines in folded.credits:
            for cell in cells(lines):
                extend(
                    (
                        12,
                        8,
                        position,
                        8,
                        key,
                        8,
                        cell.quantity,
                        8,
                        cell.amount,
                        _INT | salespeople[cell.salesperson_id],
                        _day(cell.ordered_on),
                        _day(cell.credited_on),
                        _INT | order_types[cell.order_type],
                        _INT | customers[cell.customer_id],
                        _INT | currencies[cell.currency],
                        2,
                        cell.lines,
                        2,
                        cell.orders,
                    )
                )
        return pack_rows(_CELL, values)


# A binary row: a column count, then length and value of each column; the length and value of a 4-byte column are
# packed as one 8-byte integer. Source: PostgreSQL manual, COPY, "Binary Format".
_COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_COPY_TRAILER = b"\xff\xff"
_INT = 4 << 32
_CELL = "hiqiqiqiqqqqqqqihih"
_LINE = _CELL + "qqqq"
_ROWS_PACKED = 512
_DAY_0 = date(2000, 1, 1).toordinal()


def pack_rows(row: str, values: list[int]) -> bytes:
    """Pack the values of rows of one layout, many rows in a call."""
    step = _ROWS_PACKED * len(row)
    full = len(values) // step
    packed = [_rows(row, _ROWS_PACKED).pack(*values[at * step : (at + 1) * step]) for at in range(full)]
    rest = values[full * step :]
    return b"".join((*packed, _rows(row, len(rest) // len(row)).pack(*rest)))


def copy_rows(cursor: Cursor, table: str, packed: Sequence[bytes]) -> None:
    """Copy packed rows into a table."""
    if any(packed):
        rows = BytesIO(b"".join((_COPY_HEADER, *packed, _COPY_TRAILER)))
        cursor.copy_expert(f"COPY {table} FROM STDIN (FORMAT binary)", rows)


@lru_cache(maxsize=2_000)
def _rows(row: str, count: int) -> Layout:
    return Layout("!" + row * count)


@lru_cache(maxsize=200_000)
def _day(day: date) -> int:
    return _INT | (day.toordinal() - _DAY_0) & 0xFFFFFFFF
