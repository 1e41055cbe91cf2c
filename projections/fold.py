"""Folding events into the projection's rows, and writing them; used by the projector and the rebuild alike.

`fold` is pure: stored events and the orders they continue go in, position-stamped credit cells come out. Writing gives
texts their integers and copies the rows in PostgreSQL's binary form.
"""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from itertools import chain
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
from ledger.orders import SUBJECT_PREFIX as ORDER_PREFIX
from ledger.orders import Order, evolve
from ledger.store import stream_rows
from projections.credits import CreditCell, Header, credit_cells, difference, sums
from projections.terms import Terms, record_names

PART_EVENTS = 50
"""Events are folded and packed in parts of so many, while they are in the processor's cache."""
ORDER_EVENTS = get_args(OrderEvent)
StoredRow = tuple[int, str, int, str, str]
"""A stored event as read: (position, subject, version, type, state)."""


@dataclass(slots=True)
class Known:
    """An order that events continue: its state, the position of its first event, and its credits once folded."""

    order: Order
    key: int
    cells: list[CreditCell] | None = None


@dataclass(slots=True)
class Folded:
    """What a batch of events brings. Shape: credits are (position, order key, cells), an entry per event."""

    credits: list[tuple[int, int, list[CreditCell]]] = field(default_factory=list)
    fact_subjects: set[str] = field(default_factory=set)
    names: dict[str, dict[str, tuple[str, int]]] = field(default_factory=dict)


def continued_orders(rows: Iterable[StoredRow]) -> dict[str, int]:
    """Give the orders that events continue, by subject, with the first version of each that does."""
    continued = dict[str, int]()
    for _, subject, version, _, _ in rows:
        if version > 1 and subject.startswith(ORDER_PREFIX):
            continued.setdefault(subject, version)
    return continued


def read_known(cursor: Cursor, continued: AbstractSet[str], before: int) -> dict[str, Known]:
    """Fold the orders that a batch continues from their events before the position at which it begins."""
    known = dict[str, Known]()
    if continued:
        for position, name, subject, state in stream_rows(cursor, continued, until=before - 1):
            _continue(known, position, subject, decode(name, state))
    return known


def _continue(known: dict[str, Known], position: int, subject: str, event: Event) -> None:
    assert isinstance(event, ORDER_EVENTS), "an order's stream holds order events only"
    before = known.get(subject)
    if before is None:
        known[subject] = Known(evolve(None, event), position)
    else:
        before.order = evolve(before.order, event)


def fold_parts(rows: Sequence[StoredRow], known: dict[str, Known], continued: AbstractSet[str]) -> Iterator[Folded]:
    """Fold a batch of events part by part; see `fold`."""
    return (fold(rows[at : at + PART_EVENTS], known, continued) for at in range(0, len(rows), PART_EVENTS))


def fold(rows: Iterable[StoredRow], known: dict[str, Known], continued: AbstractSet[str]) -> Folded:
    """Fold events, oldest first per order, into what they bring.

    Shape: `continued` names the orders that these or later events of the batch continue; `known` holds those that
    began before, and is brought up to date. The other orders are not kept.
    """
    folded = Folded()
    brought = folded.credits.append
    for position, subject, _version, name, state in rows:
        event = decode(name, state)
        if isinstance(event, ORDER_EVENTS):
            if subject in continued:
                brought(_continuing(known, position, subject, event))
            else:
                brought((position, position, credit_cells(evolve(None, event))))
            _note_names(folded.names, event, position)
        elif isinstance(event, ReferenceFact):
            folded.fact_subjects.add(subject)
    return folded


def _continuing(
    known: dict[str, Known], position: int, subject: str, event: OrderEvent
) -> tuple[int, int, list[CreditCell]]:
    """Bring an order up to date and give what the event brings."""
    before = known.get(subject)
    if before is None:
        order = evolve(None, event)
        cells = credit_cells(order)
        known[subject] = Known(order, position, cells)
        return position, position, cells
    old = credit_cells(before.order) if before.cells is None else before.cells
    before.order = evolve(before.order, event)
    before.cells = credit_cells(before.order)
    return position, before.key, difference(old, before.cells)


def _note_names(names: dict[str, dict[str, tuple[str, int]]], event: Event, position: int) -> None:
    if isinstance(event, (OrderPlaced, OrderAmended)):
        if event.customer_name is not None and event.customer_id is not None:
            names.setdefault("customer", {})[event.customer_id] = (event.customer_name, position)
        for line in event.lines or ():
            if line.product_name is not None:
                names.setdefault("product", {})[line.product_id] = (line.product_name, position)
    if isinstance(event, (OrderPlaced, OrderReassigned)):
        for split in event.splits:
            if split.salesperson_name is not None:
                names.setdefault("salesperson", {})[split.salesperson_id] = (split.salesperson_name, position)


Packed = tuple[bytes, bytes]
"""Rows of credit_line and of credit_cell, as COPY takes them."""


class Writer:
    """Packs and writes what was folded into one generation; keeps the integers of the texts it has met."""

    def __init__(self) -> None:
        self.salespeople = Terms("salesperson")
        self.order_types = Terms("order_type")
        self.customers = Terms("customer")
        self.products = Terms("product")
        self.categories = Terms("category")
        self.currencies = Terms("currency")

    def write_credits(self, cursor: Cursor, batch: Iterable[Folded]) -> None:
        """Insert credit lines and cells, all within the caller's transaction."""
        write_packed(cursor, list(self.packed(cursor, batch)))

    def packed(self, learning: Cursor, batch: Iterable[Folded]) -> Iterator[Packed]:
        """Pack the parts of a batch, each while it is fresh; new texts get integers by the cursor `learning`."""
        names = dict[str, dict[str, tuple[str, int]]]()
        for folded in batch:
            for kind, named in folded.names.items():
                names.setdefault(kind, {}).update(named)
            try:
                packed = self._packed(folded)
            except KeyError:
                self._learn(learning, [cell for _, _, cells in folded.credits for cell in cells])
                packed = self._packed(folded)
            yield packed
        for kind, named in names.items():
            record_names(learning, kind, named)

    def preload(self, cursor: Cursor) -> None:
        """Read the integers that are there already, of one kind after the other."""
        for terms in self._all():
            terms.preload(cursor)

    def _all(self) -> tuple[Terms, ...]:
        orders = self.salespeople, self.order_types, self.customers, self.currencies
        return *orders, self.products, self.categories

    def _learn(self, cursor: Cursor, cells: Sequence[CreditCell]) -> None:
        headers = [cell.header for cell in cells]
        self.salespeople.learn(cursor, {header.salesperson_id for header in headers})
        self.order_types.learn(cursor, {header.order_type for header in headers})
        self.customers.learn(cursor, {header.customer_id for header in headers})
        self.currencies.learn(cursor, {header.currency for header in headers})
        self.products.learn(cursor, {product for cell in cells for _, product, *_ in cell.lines})
        self.categories.learn(cursor, {category for cell in cells for _, _, category, *_ in cell.lines})

    def _packed(self, folded: Folded) -> Packed:
        """Pack the rows of a part; KeyError when a text has no integer yet."""
        line_pieces, cell_pieces = list[bytes](), list[bytes]()
        products, categories = self.products.ids, self.categories.ids
        for position, key, cells in folded.credits:
            seq = 0
            for cell in cells:
                head = self._packed_header(position, key, cell.header)
                line_head = _LINE_COLUMNS + head
                for line_no, product, category, quantity, amount, lines, orders in cell.lines:
                    goods, kind = products[product], categories[category]
                    row = _LINE(8, quantity, 8, amount, 2, lines, 2, orders, 4, seq, 4, line_no, 4, goods, 4, kind)
                    line_pieces += line_head, row
                    seq += 1
                for quantity, amount, lines, orders in sums(cell.lines):
                    cell_pieces += _CELL_COLUMNS, head, _CELL(8, quantity, 8, amount, 2, lines, 2, orders)
        return b"".join(line_pieces), b"".join(cell_pieces)

    def _packed_header(self, position: int, key: int, header: Header) -> bytes:
        person, kind = self.salespeople.ids[header.salesperson_id], self.order_types.ids[header.order_type]
        customer, currency = self.customers.ids[header.customer_id], self.currencies.ids[header.currency]
        ordered, credited = _day(header.ordered_on), _day(header.credited_on)
        return _HEADER(8, position, 8, key, 4, person, 4, ordered, 4, credited, 4, kind, 4, customer, 4, currency)


# A binary row: a column count, then length and value of each column, in the order of the table's columns.
# Source: PostgreSQL manual, COPY, "Binary Format".
_COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_COPY_TRAILER = b"\xff\xff"
_LINE_COLUMNS = Layout("!h").pack(16)
_CELL_COLUMNS = Layout("!h").pack(12)
_HEADER = Layout("!iqiqiiiiiiiiiiii").pack
_CELL = Layout("!iqiqihih").pack
_LINE = Layout("!iqiqihihiiiiiiii").pack
_LINE_BYTES = 2 + 4 * (4 + 8) + 10 * (4 + 4) + 2 * (4 + 2)
_DAY_0 = date(2000, 1, 1).toordinal()


def write_packed(cursor: Cursor, packed: Sequence[Packed]) -> int:
    """Insert packed credit lines and cells; give the number of lines."""
    _copy_rows(cursor, "credit_line", [lines for lines, _ in packed])
    _copy_rows(cursor, "credit_cell", [cells for _, cells in packed])
    return sum(len(lines) for lines, _ in packed) // _LINE_BYTES


def _copy_rows(cursor: Cursor, table: str, packed: Iterable[bytes]) -> None:
    cursor.copy_expert(f"COPY {table} FROM STDIN (FORMAT binary)", _Rows(packed))


class _Rows:
    """Packed rows as the file that psycopg2 reads a COPY from."""

    def __init__(self, packed: Iterable[bytes]) -> None:
        self._chunks = chain((_COPY_HEADER,), filter(None, packed), (_COPY_TRAILER,))

    def read(self, _size: int = -1, /) -> bytes:
        """Give the next chunk, of whatever size; empty at the end."""
        return next(self._chunks, b"")

    readline = read


@lru_cache(maxsize=200_000)
def _day(day: date) -> int:
    return day.toordinal() - _DAY_0
