"""The rejected rows of an import as a file: its own columns, and behind them where and what is wrong.

Columns and codes of a row's problems stand in the same order, as many of the one as of the other; a problem of the
whole row has `*` in the place of a column. The text of a line that is no JSON object is in the first column.
A CSV is written in the encoding and with the delimiter of the file, so that it can be corrected and uploaded again by
the same profile; the columns added are no field's. A text that a spreadsheet would take for a formula gets an
apostrophe, which is taken off when it is read again; numbers are left as they are.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Final

from api.exports import BYTE_ORDER_MARK, Column, Kind, Table, guarded
from api.exports import Cell as SheetCell
from api.import_orders import unpacked
from api.import_values import ADDED_COLUMNS, Cell, Day, text_of
from api.languages import ENGLISH, translated
from api.staged_imports import Told
from ledger import staging
from ledger.database import Database
from ledger.staging import StagedProblem, StagedRow
from ledger.wording import say

WHOLE_ROW: Final = "*"
_PAGE_ROWS = 1_000
_NUMBER = re.compile(r"[-+]?[\d.,' ]+\Z", re.ASCII)


def rejected_rows(
    database: Database, import_id: str, encoding: str = "utf-8"
) -> Iterator[tuple[list[Cell], tuple[str, str, str, str]]]:
    """Give the cells of each rejected row, and what is added: line, columns, codes and sentences.

    Shape: a sentence is in the wanted language, in English where the encoding does not have its characters.
    """
    after = 0
    while True:
        with database.cursor() as cursor:
            rows = staging.rows(cursor, import_id, after=after, limit=_PAGE_ROWS, rejected=True)
            of_line = staging.problems_of(cursor, import_id, rows)
        for row in rows:
            staged = unpacked(row.line, row.cells)
            cells = staged.cells if staged.text is None else [staged.text, *staged.cells[1:]]
            yield cells, _added(row, of_line[row.line], encoding)
        if len(rows) < _PAGE_ROWS:
            return
        after = rows[-1].line


def _added(row: StagedRow, problems: list[StagedProblem], encoding: str) -> tuple[str, str, str, str]:
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
