"""The rows of an import as files: rejected ones in its own columns, and all as they are read, with what is wrong.

Columns and codes of a row's problems stand in the same order, as many of the one as of the other; a problem of the
whole row has `*` in the place of a column. The text of a line that is no JSON object is in the first column.
A CSV is written in the encoding and with the delimiter of the file, so that it can be corrected and uploaded again by
the same profile; the columns added are no field's. A text that a spreadsheet would take for a formula gets an
apostrophe, which is taken off when it is read again; numbers are left as they are.
Rows as they are read have a column for each field; there a quantity, an amount or a share that is no number is empty.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Final

from api.exports import BYTE_ORDER_MARK, Column, Kind, Table, columns, guarded
from api.exports import Cell as SheetCell
from api.import_orders import Understanding, unpacked
from api.import_profiles import FIELDS
from api.import_values import ADDED_COLUMNS, Cell, Day, text_of
from api.languages import ENGLISH, translated
from api.staged_imports import Told
from ledger import staging
from ledger.database import Database
from ledger.money import is_micros
from ledger.staging import StagedProblem, StagedRow
from ledger.wording import say

WHOLE_ROW: Final = "*"
_NUMBERS: Final = ("share", "quantity", "amount")
_PAGE_ROWS = 1_000
_NUMBER = re.compile(r"[-+]?[\d.,' ]+\Z", re.ASCII)


def rejected_rows(
    database: Database, import_id: str, encoding: str = "utf-8"
) -> Iterator[tuple[list[Cell], tuple[str, str, str, str]]]:
    """Give the cells of each rejected row, and what is added: line, columns, codes and sentences.

    Shape: a sentence is in the wanted language, in English where the encoding does not have its characters.
    """
    for row, problems in _rows(database, import_id, rejected=True):
        staged = unpacked(row.line, row.cells)
        cells = staged.cells if staged.text is None else [staged.text, *staged.cells[1:]]
        yield cells, _added(row, problems, encoding)


def _rows(database: Database, import_id: str, *, rejected: bool) -> Iterator[tuple[StagedRow, list[StagedProblem]]]:
    """Give each row, or each rejected one, with its problems."""
    after = 0
    while True:
        with database.cursor() as cursor:
            rows = staging.rows(cursor, import_id, after=after, limit=_PAGE_ROWS, rejected=rejected)
            of_line = staging.problems_of(cursor, import_id, rows)
        yield from ((row, of_line[row.line]) for row in rows)
        if len(rows) < _PAGE_ROWS:
            return
        after = rows[-1].line


def _added(row: StagedRow, problems: list[StagedProblem], encoding: str) -> tuple[str, str, str, str]:
    if not row.rejected:
        return str(row.line), "", "", ""
    if not problems:
        sentence = say("another row of order {order_id} is wrong: an order is recorded whole", order_id=row.order_id)
        return str(row.line), "", "", written(sentence, encoding)
    columns = "; ".join(problem.column or WHOLE_ROW for problem in problems)
    codes = "; ".join(problem.code for problem in problems)
    return str(row.line), columns, codes, "; ".join(written(problem.detail, encoding) for problem in problems)


def written(sentence: str, encoding: str) -> str:
    """Tell a sentence in the wanted language, in English where the encoding does not have its characters."""
    told = translated(sentence)
    try:
        told.encode(encoding)
    except UnicodeEncodeError:
        return translated(sentence, ENGLISH)
    return told


def rejected_csv(database: Database, import_id: str, known: Told) -> Iterator[bytes]:
    """Write the rejected rows as a CSV as the file is; of a workbook, in UTF-8 with a byte order mark and commas."""
    encoding, delimiter = known.encoding, known.delimiter or ","
    if encoding in (None, "utf-8"):
        yield BYTE_ORDER_MARK
    elif encoding in ("utf-16-le", "utf-16-be"):
        yield "\ufeff".encode(encoding)
    heads = [*(column.header for column in known.columns), *ADDED_COLUMNS]
    line = io.StringIO(newline="")
    writer = csv.writer(line, delimiter=delimiter, lineterminator="\r\n")

    def taken(cells: Iterable[str]) -> bytes:
        writer.writerow(map(_safe, cells))
        text = line.getvalue()
        line.seek(0)
        line.truncate()
        return text.encode(encoding or "utf-8", "replace")

    yield taken(heads)
    for cells, added in rejected_rows(database, import_id, encoding or "utf-8"):
        yield taken([*(cell if isinstance(cell, str) else text_of(cell) for cell in cells), *added])


def _safe(text: str) -> str:
    return text if _NUMBER.match(text) else guarded(text)


def rejected_table(database: Database, import_id: str, known: Told) -> Table:
    """Give the rejected rows as a table for a workbook; days stay days, and ids are texts."""
    heads = [column.header for column in known.columns]
    names = [f"{name} ({at})" if name in heads[:at] else name for at, name in enumerate(heads)]
    rows = ((*map(_sheet_cell, cells), *added) for cells, added in rejected_rows(database, import_id))
    return Table("rejected", tuple(Column(name, Kind.text) for name in (*names, *ADDED_COLUMNS)), rows)


def _sheet_cell(cell: Cell) -> SheetCell:
    return date.fromisoformat(cell.text) if isinstance(cell, Day) else cell if isinstance(cell, str) else cell.text


def rows_table(database: Database, import_id: str, known: Told, *, rejected: bool) -> Table:
    """Give the rows of an import, or the rejected ones, as they are read."""
    understanding = Understanding([column.header for column in known.columns], known.profile)
    kinds = {name: Kind.amount if name in _NUMBERS else Kind.text for name in FIELDS}
    rows = (
        (row.rejected, *_understood(row, understanding), row.line, *_added(row, problems, "utf-8")[1:])
        for row, problems in _rows(database, import_id, rejected=rejected)
    )
    added = {**dict.fromkeys(ADDED_COLUMNS, Kind.text), ADDED_COLUMNS[0]: Kind.integer}
    heads = columns(rejected=Kind.flag, **kinds, **added)
    return Table("rows", heads, rows)


def _understood(row: StagedRow, understanding: Understanding) -> list[str | None]:
    staged = unpacked(row.line, row.cells)
    told = {} if staged.fault else understanding.understood(staged)
    return [None if name in _NUMBERS and not is_micros(told.get(name, "")) else told.get(name) for name in FIELDS]
