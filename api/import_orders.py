"""Orders of a flat file: rows that repeat their order's fields, understood by a profile and judged as one order.

A row is an order line. Its order's date, type, customer and currency must be the same on all its rows. Salespeople too,
unless the file has shares: then the people of an order's rows divide it, and rows that say the same line for several
people are one line. Without line numbers, lines are numbered in the order of the file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import msgspec

from api.import_files import RowProblem
from api.import_judging import NO_DAY, JudgedOrder, Place, sentence_damaged, sentence_shown
from api.import_profiles import FIELDS, HEADER_FIELDS, IDENTIFIERS, REQUIRED
from api.import_tables import RawRow
from api.import_values import (
    DATE_FORMATS,
    DECIMAL_FORMATS,
    Cell,
    Number,
    is_as_day,
    is_damaged,
    is_error,
    is_rounded,
    plain,
    read_day,
    read_decimal,
    text_of,
)
from api.shapes import Field, ImportProfile
from ledger.checks import shown
from ledger.events import IDENTIFIER_CHARACTERS_MAX, Line, OrderPlaced, Split
from ledger.orders import LINES_MAX
from ledger.refusal import Code
from ledger.wording import kept, remembered, say

FLAT: Final = "file"
_DIGITS_MAX = 10
_POINTERS: Final[dict[str, Field]] = {
    "/ordered_on": "order_date",
    "/order_type": "order_type",
    "/customer_id": "customer_id",
    "/customer_name": "customer_name",
    "/currency": "currency",
}
_LINE_FIELDS: Final[dict[str, Field]] = {
    "line_no": "line_no",
    "product_id": "product_id",
    "product_name": "product_name",
    "category": "category",
    "quantity": "quantity",
    "amount": "amount",
}
_SPLIT_FIELDS: Final[dict[str, Field]] = {
    "salesperson_id": "salesperson_id",
    "share": "share",
    "salesperson_name": "salesperson_name",
}


@dataclass(frozen=True)
class Row:
    """A row of the file as it was staged; `text` is the line of one that has no cells."""

    line: int
    cells: list[Cell]
    fault: str | None = None
    text: str | None = None


class _Kept(msgspec.Struct, omit_defaults=True):
    cells: list[Cell]
    fault: str | None = None
    text: str | None = None


_KEPT = msgspec.json.Decoder(_Kept)


def packed(row: RawRow) -> str:
    """Give a row as it is staged."""
    return msgspec.json.encode(_Kept(list(row.cells), row.fault and kept(row.fault), row.text)).decode()


def unpacked(line: int, text: str) -> Row:
    """Give a staged row."""
    staged = _KEPT.decode(text)
    return Row(line, staged.cells, staged.fault and remembered(staged.fault), staged.text)


class Understanding:
    """A profile applied to a file's columns: what a row has of each field."""

    def __init__(self, headers: Sequence[str], profile: ImportProfile) -> None:
        self.profile = profile
        self.date_format = profile.date_format or DATE_FORMATS[0]
        self.decimal_format = profile.decimal_format or DECIMAL_FORMATS[0]
        self._at = {name: headers.index(header) for name, header in profile.columns.items() if header in headers}
        self._defaults: dict[str, str] = {str(name): value for name, value in profile.defaults.items()}
        self.has_shares = "share" in self._at

    def column(self, name: Field) -> str:
        """Name the column of a field, as the file does."""
        return self.profile.columns.get(name, name)

    def has(self, name: Field) -> bool:
        """Say whether the file has a column of a field."""
        return name in self._at

    def cell(self, row: Row, name: Field) -> Cell:
        """Give what a row has of a field."""
        at = self._at.get(name)
        return row.cells[at] if at is not None else ""

    def text(self, row: Row, name: Field) -> str:
        """Give a field as a text, or its default."""
        return text_of(self.cell(row, name)) or self._defaults.get(name, "")

    def decimal(self, row: Row, name: Field) -> str | None:
        """Give a field as a decimal, or its default; None where it is none."""
        cell = self.cell(row, name)
        if isinstance(cell, str) and not cell.strip():
            return self.text(row, name)
        return read_decimal(cell, self.decimal_format)

    def day(self, row: Row) -> date | None:
        """Give the order's day; None where it is none."""
        return read_day(self.cell(row, "order_date"), self.date_format)

    def order_id(self, row: Row) -> str | None:
        """Give the order that a row is of; None where it names none, a spreadsheet's error, or what is no id at all."""
        text = self.text(row, "order_id")
        return None if is_error(text) or not 0 < len(text) <= IDENTIFIER_CHARACTERS_MAX else text

    def errors(self, row: Row) -> list[Field]:
        """Give the fields of which a row has a spreadsheet's error."""
        return [name for name, at in self._at.items() if is_error(row.cells[at])]

    def damage(self, cell: Cell) -> str | None:
        """Say how a spreadsheet damaged an id, unless the profile says that it is meant so."""
        profile, written = self.profile, shown(text_of(cell))
        if is_damaged(cell) or (isinstance(cell, Number) and profile.numeric_ids is False):
            return sentence_damaged(cell)
        if is_rounded(cell) and not profile.numeric_ids:
            return say(
                "{cell} may have lost its last digits: a spreadsheet keeps 15; export the column as text, or say"
                " numeric_ids: true in the profile where the zeros are meant",
                cell=written,
            )
        if is_as_day(cell) and not profile.date_ids:
            return say(
                "{cell} may be what a spreadsheet made of an id such as 3-1 or MAR3: export the column as text, or"
                " say date_ids: true in the profile where it is meant",
                cell=written,
            )
        return None

    def understood(self, row: Row) -> dict[str, str]:
        """Give what a row is understood as: each field that has a value."""
        told = {name: self.text(row, name) for name in FIELDS}
        day = self.day(row)
        told["order_date"] = day.isoformat() if day else ""
        for name in ("quantity", "amount", "share"):
            told[name] = self.decimal(row, name) or ""
        return {name: value for name, value in told.items() if value}


def sentence_error(understanding: Understanding, row: Row, name: Field) -> str:
    """Say that a spreadsheet's error stands in the place of a field."""
    return sentence_shown(understanding.column(name), understanding.text(row, name))


class FlatOrder(JudgedOrder):
    """An order made of its rows."""

    def __init__(self, source: str, rows: Sequence[Row], understanding: Understanding) -> None:
        self.rows = rows
        self._understanding = understanding
        self._line_rows = list[Row]()
        self._split_rows = list[Row]()
        order_id = understanding.order_id(rows[0])
        assert order_id is not None, "rows without an order are not staged as one"
        super().__init__(order_id, source)
        for row in rows:
            if row.fault is not None:
                self._note_row(row, None, Code.invalid_csv, row.fault)

    @property
    def malformed(self) -> bool:
        """Say whether some row of the order could not be read, and so was noted when it was."""
        return any(row.fault is not None for row in self.rows)

    def problems(self) -> list[RowProblem]:
        """Give what was found, by line."""
        return sorted(self.found.values(), key=lambda problem: problem.line or 0)

    def _place(self, pointer: str) -> Place | None:
        understanding = self._understanding
        _, part, *rest = pointer.split("/") if pointer else ("", "order_id")
        if part == "lines" and len(rest) == 2 and (at := int(rest[0])) < len(self._line_rows):
            name: Field = _LINE_FIELDS[rest[1]]
            return FLAT, self._line_rows[at].line, understanding.column(name)
        if part == "splits":
            row = self._split_rows[int(rest[0])] if rest else self.rows[0]
            name = _SPLIT_FIELDS[rest[1]] if len(rest) == 2 else "share"
            return FLAT, row.line, understanding.column(name)
        return FLAT, self.rows[0].line, understanding.column(_POINTERS.get(f"/{part}", "order_id"))

    def _note_row(self, row: Row, name: Field | None, code: Code, detail: str) -> None:
        column = None if name is None else self._understanding.column(name)
        sentence = (
            detail if name is None else say("order {order_id}: {detail}", order_id=shown(self.order_id), detail=detail)
        )
        self.found.setdefault((FLAT, row.line, column or ""), RowProblem(FLAT, row.line, column, code.name, sentence))

    def _placed(self) -> OrderPlaced:
        understanding = self._understanding
        readable = [row for row in self.rows if row.fault is None] or list(self.rows[:1])
        first = readable[0]
        for row in readable:
            self._check_row(row, first)
        day = understanding.day(first)
        if day is None and understanding.text(first, "order_date"):
            written = shown(understanding.text(first, "order_date"))
            sentence = say(
                "{written} is not a date written as {date_format}: correct it, or the profile",
                written=written,
                date_format=understanding.date_format,
            )
            self._note_row(first, "order_date", Code.invalid_date, sentence)
        if len(readable) > LINES_MAX and not understanding.has_shares:
            self._line_rows = list(readable[:1])
            self.note_too_many_lines(len(readable))
        return OrderPlaced(
            ordered_on=day or NO_DAY,
            order_type=understanding.text(first, "order_type"),
            customer_id=understanding.text(first, "customer_id"),
            customer_name=understanding.text(first, "customer_name") or None,
            currency=understanding.text(first, "currency").upper(),
            lines=self._lines(readable),
            splits=self._splits(readable),
        )

    def _check_row(self, row: Row, first: Row) -> None:
        """Note what is missing in a row, what a spreadsheet damaged, and what is not as on the order's first row."""
        understanding = self._understanding
        for name in understanding.errors(row):
            self._note_row(row, name, Code.spreadsheet_error, sentence_error(understanding, row, name))
        for name in REQUIRED:
            if not understanding.text(row, name) and (row is first or name not in HEADER_FIELDS):
                column = understanding.column(name)
                sentence = say("{column} is empty: fill it in, or give a default in the profile", column=column)
                self._note_row(row, name, Code.missing_field, sentence)
        for identifier in IDENTIFIERS:
            damage = understanding.damage(understanding.cell(row, identifier))
            if damage is not None:
                self._note_row(row, identifier, Code.damaged_identifier, damage)
        same = (*HEADER_FIELDS, *(() if understanding.has_shares else ("salesperson_id", "salesperson_name")))
        for name in same if row is not first else ():
            here, there = understanding.text(row, name), understanding.text(first, name)
            if here != there:
                sentence = say(
                    "here it is {here}, on line {line} {there}: an order has one",
                    here=shown(here),
                    line=first.line,
                    there=shown(there),
                )
                self._note_row(row, name, Code.invalid_value, sentence)

    def _lines(self, rows: Sequence[Row]) -> tuple[Line, ...]:
        lines = list[Line]()
        self._line_rows = []
        seen = set[Line]()
        for row in rows:
            line = self._line(row, len(lines) + 1)
            if self._understanding.has_shares and self._understanding.has("line_no") and line in seen:
                continue  # the same line again, for another of its people
            seen.add(line)
            lines.append(line)
            self._line_rows.append(row)
            if len(lines) > LINES_MAX:
                break
        return tuple(lines)

    def _line(self, row: Row, number: int) -> Line:
        understanding = self._understanding
        if understanding.has("line_no"):
            text = plain(understanding.text(row, "line_no"))
            if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX:
                number = int(text)
            else:
                self._note_row(
                    row, "line_no", Code.invalid_value, say("{text} is not a line number such as 1", text=shown(text))
                )
                number = -row.line
        return Line(
            line_no=number,
            product_id=understanding.text(row, "product_id"),
            quantity=self._decimal(row, "quantity"),
            amount=self._decimal(row, "amount"),
            category=understanding.text(row, "category") or None,
            product_name=understanding.text(row, "product_name") or None,
        )

    def _decimal(self, row: Row, name: Field) -> str:
        """Read a decimal, or note that it is none and give one that brings no more problems."""
        value = self._understanding.decimal(row, name)
        if value is not None:
            return value
        written = shown(self._understanding.text(row, name))
        sentence = say(
            "{written} is not a decimal written as {decimal_format}, without a currency sign: correct it, or the"
            " profile",
            written=written,
            decimal_format=self._understanding.decimal_format,
        )
        code = Code.invalid_share if name == "share" else Code.invalid_amount
        self._note_row(row, name, code, sentence)
        return "1"

    def _splits(self, rows: Sequence[Row]) -> tuple[Split, ...]:
        understanding = self._understanding
        splits = dict[Split, Row]()
        for row in rows if understanding.has_shares else rows[:1]:
            salesperson_id = understanding.text(row, "salesperson_id")
            if salesperson_id:
                share = self._decimal(row, "share") if understanding.text(row, "share") else "1"
                name = understanding.text(row, "salesperson_name") or None
                splits.setdefault(Split(salesperson_id, _shortest(share), name), row)
        self._split_rows = list(splits.values())
        return tuple(splits)


def _shortest(share: str) -> str:
    """Write a share without the zeros at its end, so that the same one is the same."""
    return share.rstrip("0").rstrip(".") if "." in share else share
