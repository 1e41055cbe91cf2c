"""The import of a folder with orders.csv and lines.csv: judged whole, then recorded, each order exactly once.

The rows wait in a temporary database (import_files.py), so memory stays small whatever the size of the files and the
order of their rows, and what is recorded is what was judged even if the files change meanwhile. Nothing of a bad
file is recorded unless its good rows are accepted, and an order with any bad row never is.
Nothing here knows click or Flask.
Source: issue 2, item 8; the columns are those of the shared data's README.
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Final

from api.import_files import (
    LINE_COLUMNS,
    LINES_FILE,
    ORDER_COLUMNS,
    ORDERS_FILE,
    FiledLine,
    FiledOrder,
    Problems,
    RowProblem,
    Spool,
    rows_of,
)
from api.import_judging import NO_DAY, JudgedOrder, Place, judge_all
from ledger.checks import Checks, shown
from ledger.events import DefineOrderType, Line, OrderPlaced, RuleChangeProposed, Split
from ledger.ids import uuid7
from ledger.intake import EVENTS_MAX, Accepted, record_each
from ledger.money import SHARE_ONE
from ledger.orders import LINES_MAX
from ledger.progress import Progress
from ledger.refusal import Code, Refusal
from ledger.rule_changes import change_rules
from ledger.rulebook import OrderType
from ledger.store import Store
from ledger.wording import say

READ_ROWS: Final = 1_000
BATCH_LINES_MAX: Final = 50_000
NEW_ORDER_TYPES_MAX: Final = 1_000
"""More new types than that in one import are taken for a column that does not hold order types."""

_PHASE_STEPS = 1_000


@dataclass
class ImportReport:
    """What became of a folder. Orders and lines count rows of the files, the rest says what became of the orders.

    Shape: recorded + duplicates + rejected = orders; a duplicate was in the ledger already with the same content.
    `lines_rejected` are the rows of lines.csv that are in the ledger with no order. `position` is the ledger's head
    after the import, `order_types_defined` are the types that it defined.
    """

    source: str
    orders: int = 0
    lines: int = 0
    recorded: int = 0
    duplicates: int = 0
    rejected: int = 0
    lines_rejected: int = 0
    order_types_defined: tuple[str, ...] = ()
    position: int = 0
    problems: Problems = field(default_factory=Problems)

    @property
    def refused(self) -> bool:
        """Say whether the import was refused as a whole: there are problems and nothing of it is in the ledger."""
        return bool(self.problems) and not self.recorded and not self.duplicates


def import_folder(  # noqa: PLR0913 - the options of the command
    store: Store,
    folder: Path,
    *,
    source: str | None = None,
    accept_good_rows: bool = False,
    define_order_types: bool = False,
    actor: str,
    progress: Progress,
) -> ImportReport:
    """Import the orders of a folder, and report every row that can't be.

    Shape: `progress` is told (done, total) in steps that have no unit. Each order is the event `order_id` of `source`
    ("import:" and the folder's name if not given), so the same folder again adds nothing.
    Errors: Refusal for a source that is not an identifier, for order types to be defined where four eyes are asked
    for, and where the temporary database finds no room. What is wrong with the files is in the report.
    """
    source = source or f"import:{folder.resolve().name}"
    checks = Checks("the import (name it with --source)")
    checks.identifier(source, "/source")
    checks.refuse_if_any()
    report = ImportReport(source)
    try:
        with closing(Spool()) as spool:
            run = _Import(store, spool, report, progress, actor)
            if run.read(folder) and (run.judge(define_order_types) or accept_good_rows):
                run.define_order_types()
                run.record()
            report.problems = Problems(spool.problems())
    except sqlite3.OperationalError as error:
        sentence = say(
            "the temporary copy of the files could not be kept ({error}): set TMPDIR to a disk with room", error=error
        )
        raise Refusal.of(Code.storage_unavailable, sentence) from None
    report.rejected = report.orders - report.recorded - report.duplicates
    report.position = store.head()
    return report


# ---- judging


class _Judged(JudgedOrder):
    """An order of the folder's two files."""

    remedy_unknown_type = say(
        "define it with 'orderledger rules define', import with --define-order-types to have it defined at share"
        " 1, or correct the name"
    )

    def __init__(self, source: str, order: FiledOrder) -> None:
        self.order = order
        super().__init__(order.order_id, source)

    def problems(self) -> list[RowProblem]:
        """Give what was found, in the order of the columns."""
        return sorted(self.found.values(), key=lambda problem: _COLUMNS.index(problem.column))

    @property
    def malformed(self) -> bool:
        """Say whether some row of the order could not be read, and so was noted when it was."""
        return self.order.malformed or any(line.malformed for line in self.order.lines)

    def _place(self, pointer: str) -> Place | None:
        if match := _LINE_POINTER.match(pointer):
            line = self.order.lines[int(match[1])]
            return None if line.malformed else (LINES_FILE, line.line, _LINE_NAMES.get(match[2], match[2]))
        column = _ORDER_POINTERS.get(pointer, "order_id")
        return None if self.order.malformed else (ORDERS_FILE, self.order.line, column)

    def note(self, code: Code, detail: str, pointer: str) -> None:
        """Note a problem; of an order that is there twice, not that its row has no lines."""
        if pointer != "/lines" or self.order.repeats is None:
            super().note(code, detail, pointer)

    def allow_order_type(self, order_types: dict[str, OrderType]) -> None:
        """Take the order's type for one that is going to be defined, if it can be."""
        order_type = self.submission.data.order_type
        is_new = order_type and order_type not in order_types
        if is_new and not self.note_bad_identifier(order_type, "/order_type"):
            order_types[order_type] = OrderType(order_type, None, SHARE_ONE)

    def judge(self, order_types: dict[str, OrderType]) -> None:
        """Note everything that forbids the order, whatever else is in the ledger."""
        order = self.order
        if order.repeats is not None:
            sentence = say(
                "this order_id is on line {repeats} too: give each order one row and its own order_id",
                repeats=order.repeats,
            )
            self.note_about(Code.order_exists, sentence, "/order_id")
        elif order.lines_count > LINES_MAX:
            self.note_too_many_lines(order.lines_count)
        elif not order.lines:
            sentence = say("it has no line in {lines_file}: add its lines, or remove the order", lines_file=LINES_FILE)
            self.note_about(Code.missing_field, sentence, "/order_id")
        super().judge(order_types)

    def _placed(self) -> OrderPlaced:
        cells = self.order.cells
        for pointer, column in {"/order_id": "order_id", **_ORDER_POINTERS}.items():
            self.note_damage(column, cells[column], pointer)
        for column, pointer in _ORDER_REQUIRED.items():
            if not cells[column]:
                self.note_about(Code.missing_field, say("{column} is empty: fill it in", column=column), pointer)
        person = Split(cells["salesperson_id"], salesperson_name=cells["salesperson"] or None)
        return OrderPlaced(
            ordered_on=self._day(cells["order_date"]),
            order_type=cells["order_type"],
            customer_id=cells["customer_id"],
            customer_name=cells["customer"] or None,
            currency=cells["currency"],
            lines=tuple(self._line(index, line) for index, line in enumerate(self.order.lines)),
            splits=(person,) if cells["salesperson_id"] else (),
        )

    def _day(self, text: str) -> date:
        """Read a day, or note that it is none and give one that brings no more problems."""
        try:
            if _DAY.match(text):
                return date.fromisoformat(text)
        except ValueError:
            pass
        self.note_about(
            Code.invalid_date,
            say("{text} is not a date of the calendar: write 2026-03-31", text=shown(text)),
            "/ordered_on",
        )
        return NO_DAY

    def _line(self, index: int, line: FiledLine) -> Line:
        at = f"/lines/{index}"
        named = dict(zip(_LINE_FIELDS, line.cells, strict=True))
        for name, cell in named.items():
            self.note_damage(name, cell, f"{at}/{name}")
        for name in _LINE_REQUIRED:
            if not named[name]:
                self.note_about(Code.missing_field, say("{column} is empty: fill it in", column=name), f"{at}/{name}")
        number = named["line_no"]
        if not _LINE_NO.match(number):
            self.note_about(
                Code.invalid_value,
                say("{text} is not a line number such as 1", text=shown(number)),
                f"{at}/line_no",
            )
        return Line(
            line_no=int(number) if _LINE_NO.match(number) else -index,
            product_id=named["product_id"],
            quantity=named["quantity"],
            amount=named["amount"],
            category=named["category"] or None,
            product_name=named["product"] or None,
        )


_COLUMNS: tuple[str | None, ...] = (*ORDER_COLUMNS, *LINE_COLUMNS)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)
_LINE_NO = re.compile(r"-?\d{1,10}\Z", re.ASCII)
_LINE_FIELDS = ("line_no", "product_id", "product", "category", "quantity", "amount")
_LINE_REQUIRED = ("line_no", "product_id", "quantity", "amount")
_LINE_POINTER = re.compile(r"/lines/(\d+)/(\w+)\Z", re.ASCII)
_LINE_NAMES = {"product_name": "product"}
_ORDER_POINTERS = {
    "/ordered_on": "order_date",
    "/order_type": "order_type",
    "/customer_id": "customer_id",
    "/customer_name": "customer",
    "/currency": "currency",
    "/splits/0/salesperson_id": "salesperson_id",
    "/splits/0/salesperson_name": "salesperson",
}
_ORDER_REQUIRED = {
    "order_id": "/order_id",
    "order_date": "/ordered_on",
    "order_type": "/order_type",
    "customer_id": "/customer_id",
    "currency": "/currency",
}


# ---- the import


class _Import:
    """One import under way."""

    def __init__(self, store: Store, spool: Spool, report: ImportReport, progress: Progress, actor: str) -> None:
        self._store = store
        self._spool = spool
        self._report = report
        self._progress = progress
        self._actor = actor
        self._missing_types = set[str]()
        self._unusable = False

    def read(self, folder: Path) -> bool:
        """Read both files; False when one of them can't be taken at all."""
        sizes = [_size(folder / name) for name in (ORDERS_FILE, LINES_FILE)]
        self._report.orders = self._read_file(folder / ORDERS_FILE, "orders", 0, sum(sizes))
        self._report.lines = self._read_file(folder / LINES_FILE, "lines", sizes[0], sum(sizes))
        self._report.lines_rejected = self._report.lines
        if not self._unusable and not self._report.orders:
            sentence = say("there is no order under the header: give a file with at least one")
            self._note(RowProblem(ORDERS_FILE, None, None, Code.invalid_csv.name, sentence))
        if self._unusable:
            return False
        self._spool.index()
        return True

    def judge(self, define_order_types: bool) -> bool:
        """Judge every order and line, leaving out the bad; True when there are none."""
        for line, order_id in self._spool.orphans():
            sentence = say(
                "order {order_id} is not in {orders_file}: add the order there, or remove the line",
                order_id=shown(order_id),
                orders_file=ORDERS_FILE,
            )
            self._note(RowProblem(LINES_FILE, line, "order_id", Code.orphan_line.name, sentence))
        defined = self._store.rulebook().order_types
        known = dict(defined)
        done = 0
        for batch in self._batches():
            for judged in batch if define_order_types else ():
                if len(known) < len(defined) + NEW_ORDER_TYPES_MAX:
                    judged.allow_order_type(known)
            judge_all(self._store, batch, known)
            for judged in batch:
                for problem in judged.problems():
                    self._note(problem)
                if judged.bad:
                    self._spool.reject(judged.order)
                elif judged.submission.data.order_type not in defined:
                    self._missing_types.add(judged.submission.data.order_type)
            done += len(batch)
            self._step(1, done, self._report.orders)
        return not self._spool.noted

    def define_order_types(self) -> None:
        """Define the order types that good orders have and the rulebook lacks, in one rule change."""
        missing = tuple(sorted(self._missing_types))
        if not missing:
            return
        if self._store.asks_four_eyes():
            named = ", ".join(shown(order_type) for order_type in missing[:10]) + (" …" if missing[10:] else "")
            raise Refusal.of(
                Code.own_proposal,
                say(
                    "the order types {named} are not defined, and in this ledger somebody else approves what {actor}"
                    " defines: propose them (orderledger rules define), have them approved, and import again; nothing"
                    " is recorded",
                    named=named,
                    actor=self._actor,
                ),
            )
        reason = f"These order types came with the import {self._report.source}; they count in full until a rule says"
        proposal = RuleChangeProposed(
            rule_change_id=f"import-{uuid7()}",
            alterations=tuple(DefineOrderType(order_type, "1") for order_type in missing),
            reason=f"{reason} otherwise.",
        )
        change_rules(self._store, proposal, actor=self._actor)
        self._report.order_types_defined = missing

    def record(self) -> None:
        """Record what was judged good."""
        report, done = self._report, 0
        for batch in self._batches():
            outcomes = record_each(self._store, [judged.submission for judged in batch], actor=self._actor)
            for judged, outcome in zip(batch, outcomes, strict=True):
                if isinstance(outcome, Accepted):
                    report.recorded += not outcome.duplicate
                    report.duplicates += outcome.duplicate
                    report.lines_rejected -= len(judged.order.lines)
                    continue
                judged.note_refusal(outcome)  # somebody recorded it, or changed the rules, while we judged
                for problem in judged.problems():
                    self._note(problem)
            done += len(batch)
            self._step(2, done, report.orders)
        self._step(2, 1, 1)

    def _read_file(self, path: Path, table: str, done: int, total: int) -> int:
        columns = ORDER_COLUMNS if table == "orders" else LINE_COLUMNS
        count = 0
        rows = rows_of(path, columns, self._note)
        while chunk := list(islice(rows, READ_ROWS)):
            kept = [row for row, _ in chunk if row is not None]
            self._spool.add(table, kept)
            count += len(kept)
            done += sum(size for _, size in chunk)
            self._step(0, done, total)
        return count

    def _batches(self) -> Iterator[list[_Judged]]:
        """Give the orders in batches of so many orders, and so many lines, as one request and our memory take."""
        batch, lines = list[_Judged](), 0
        for order in self._spool.filed_orders():
            if len(batch) == EVENTS_MAX or (batch and lines + len(order.lines) > BATCH_LINES_MAX):
                yield batch
                batch, lines = [], 0
            batch.append(_Judged(self._report.source, order))
            lines += len(order.lines)
        if batch:
            yield batch

    def _note(self, problem: RowProblem) -> None:
        self._unusable = self._unusable or problem.line in (None, 1)
        self._spool.note(problem)

    def _step(self, phase: int, done: int, total: int) -> None:
        self._progress(phase * _PHASE_STEPS + min(done, total) * _PHASE_STEPS // max(total, 1), 3 * _PHASE_STEPS)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
