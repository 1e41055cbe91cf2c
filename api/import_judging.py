"""Judging an order of an import: as it would be submitted, against the rulebook and against what is in the ledger.

Shared by the import of a folder (importer.py) and of a flat file (import_orders.py), which know where in their files
a field comes from. Nothing here knows click or Flask.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import date
from typing import Final

import msgspec

from api.import_files import RowProblem
from api.import_profiles import IDENTIFIERS
from api.import_values import Cell, is_damaged, is_error, text_of
from ledger import orders
from ledger.checks import Checks, shown
from ledger.events import OrderPlaced, Recorded
from ledger.intake import SubmitPlaced
from ledger.money import parse_micros
from ledger.orders import LINES_MAX
from ledger.refusal import Code, Refusal
from ledger.rulebook import OrderType
from ledger.store import Store
from ledger.wording import say

Place = tuple[str, int, str]
"""A file, a line and a column of it."""
NO_DAY: Final = date(1900, 1, 1)
"""Stands for a day that can't be read, and brings no more problems."""


def sentence_shown(column: str, cell: str) -> str:
    """Say that a spreadsheet's error stands in a column."""
    return say(
        "{column} has {cell}, which a spreadsheet shows in the place of a value: correct the cell there, and export it"
        " again",
        column=column,
        cell=shown(cell),
    )


def sentence_damaged(cell: Cell) -> str:
    """Say that a spreadsheet damaged an id."""
    return say("{cell} is what a spreadsheet makes of an id: export the column as text", cell=shown(text_of(cell)))


class JudgedOrder(ABC):
    """An order as it would be submitted, and what is wrong with it, each place once, where the file has it."""

    remedy_unknown_type = say("define it (orderledger rules define), or correct the name")

    def __init__(self, order_id: str, source: str) -> None:
        self.order_id = order_id
        self.found = dict[Place, RowProblem]()
        self.submission = SubmitPlaced(source=source, event_id=order_id, order_id=order_id, data=self._placed())

    @property
    def malformed(self) -> bool:
        """Say whether some row of the order could not be read, and so was noted when it was."""
        return False

    @property
    def bad(self) -> bool:
        """Say whether anything is wrong with any row of the order."""
        return bool(self.found) or self.malformed

    @property
    def lacks_its_type(self) -> bool:
        """Say whether nothing is wrong but that its order type is not defined."""
        codes = {problem.code_name for problem in self.found.values()}
        return codes == {Code.unknown_order_type.name} and not self.malformed

    @abstractmethod
    def _placed(self) -> OrderPlaced:
        """Make the event of the rows, noting what can't be read."""

    @abstractmethod
    def _place(self, pointer: str) -> Place | None:
        """Give where in the file a pointer into an order.placed comes from; None for a row that is noted already."""

    def note(self, code: Code, detail: str, pointer: str) -> None:
        """Note a problem at what the pointer into an order.placed was made from."""
        if (place := self._place(pointer)) is not None:
            self.found.setdefault(place, RowProblem(*place, code.name, detail))

    def note_about(self, code: Code, detail: str, pointer: str) -> None:
        """Note a problem of ours, beginning the sentence with the order."""
        self.note(code, say("order {order_id}: {detail}", order_id=shown(self.order_id), detail=detail), pointer)

    def note_damage(self, name: str, cell: str, pointer: str) -> None:
        """Note what a spreadsheet left in a field, which is a column of that name: an error, or a damaged id."""
        if is_error(cell):
            self.note_about(Code.spreadsheet_error, sentence_shown(name, cell), pointer)
        elif name in IDENTIFIERS and is_damaged(cell):
            self.note_about(Code.damaged_identifier, sentence_damaged(cell), pointer)

    def note_bad_identifier(self, value: str, pointer: str) -> bool:
        """Note an identifier that is none; say whether it was."""
        checks = Checks("order", self.order_id)
        checks.identifier(value, pointer)
        for problem in checks.problems:
            self.note(problem.code, problem.detail, problem.pointer)
        return bool(checks.problems)

    def note_refusal(self, refusal: Refusal) -> None:
        """Note what the ledger refuses."""
        for problem in refusal.problems:
            pointer = problem.pointer.removeprefix("/data")
            if problem.code is Code.unknown_order_type:
                order_type = shown(self.submission.data.order_type)
                sentence = say(
                    "the order type {order_type} is not defined: {remedy_unknown_type}",
                    order_type=order_type,
                    remedy_unknown_type=self.remedy_unknown_type,
                )
                self.note_about(problem.code, sentence, pointer)
            else:
                self.note(problem.code, problem.detail, pointer)

    def note_too_many_lines(self, count: int) -> None:
        """Note that the order has more lines than one takes."""
        sentence = say(
            "it has {count:,} lines, an order takes {lines_max:,}: split it into several orders",
            count=count,
            lines_max=LINES_MAX,
        )
        self.note_about(Code.too_many_lines, sentence, "/order_id")

    def judge(self, order_types: dict[str, OrderType]) -> None:
        """Note everything that forbids the order, whatever else is in the ledger."""
        self.note_bad_identifier(self.order_id, "/order_id")
        try:
            orders.decide(self.order_id, None, self.submission.data, order_types)
        except Refusal as refusal:
            self.note_refusal(refusal)

    def repeats(self, known: Recorded) -> bool:
        """Say whether it is the order of that id in the ledger."""
        assert isinstance(known.data, OrderPlaced), "an order's first event is order.placed"
        return self._is_of_event(known) and _content(known.data) == _content(self.submission.data)

    def _is_of_event(self, known: Recorded) -> bool:
        return (known.source, known.event_id) == (self.submission.source, self.submission.event_id)

    def note_taken(self, known: Recorded) -> None:
        """Note that the ledger has another order of that id."""
        at = say("at position {known_position}", known_position=known.position)
        if not self._is_of_event(known):
            sentence = say(
                "it is in the ledger already, {at}, from source {source}: remove it from the files",
                at=at,
                source=shown(known.source),
            )
            self.note_about(Code.order_exists, sentence, "/order_id")
        else:
            sentence = say(
                "it was imported before, {at}, with other content: correct it there with order.amended", at=at
            )
            self.note_about(Code.event_id_conflict, sentence, "/order_id")


def judge_all(store: Store, batch: Sequence[JudgedOrder], order_types: dict[str, OrderType]) -> set[str]:
    """Judge the orders of a batch; give the ids of those that are in the ledger already, as they are here.

    Shape: a duplicate is not held to the rulebook, which may have changed since it was recorded; what of it can't be
    read is noted all the same. An order with malformed rows is compared with nothing.
    """
    streams = store.streams(orders.subject(judged.order_id) for judged in batch if not judged.malformed)
    duplicates = set[str]()
    for judged in batch:
        known = None if judged.malformed else streams.get(orders.subject(judged.order_id))
        if known and judged.repeats(known[0]):
            duplicates.add(judged.order_id)
            continue
        judged.judge(order_types)
        if known:
            judged.note_taken(known[0])
    return duplicates


def _content(placed: OrderPlaced) -> object:
    """Give what an order says, however its decimals are written."""
    lines = [
        (msgspec.structs.replace(line, quantity="", amount=""), parse_micros(line.quantity), parse_micros(line.amount))
        for line in placed.lines
    ]
    return msgspec.structs.replace(placed, lines=()), lines
