"""The files of an import: orders.csv and lines.csv read row by row, joined by order_id, and what is wrong with them.

Each file is read once into a temporary database on disk (sqlite3 of the standard library with an empty file name: it
has no place in the ledger and is gone with the process). There the rows are joined, so that a line finds its order
wherever it stands, in memory that does not grow with the files.

A row is one physical line: fields hold no line ends, so a quote left open spoils its own row and no other.
"""

import csv
import re
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from api.languages import translated
from api.library_words import csv_fault
from ledger.checks import shown
from ledger.orders import LINES_MAX
from ledger.refusal import Code
from ledger.wording import say

ORDERS_FILE: Final = "orders.csv"
LINES_FILE: Final = "lines.csv"
# fmt: off
ORDER_COLUMNS: Final = (
    "order_id", "order_date", "order_type", "customer_id", "customer", "salesperson_id", "salesperson", "currency",
    "status", "header_amount",
)
LINE_COLUMNS: Final = (
    "order_id", "line_no", "product_id", "product", "category", "quantity", "unit_price", "discount", "amount",
)
# fmt: on
ROW_BYTES_MAX: Final = 65_536


class RowProblem(msgspec.Struct, frozen=True, gc=False):
    """One thing wrong in a file: where, its code, and a sentence that says what and the remedy.

    Shape: `line` counts from 1, the header being line 1; None where the whole file is meant. `column` is None where
    the whole row is.
    """

    file: str
    line: int | None
    column: str | None
    code_name: str
    detail: str

    @property
    def code(self) -> Code:
        """The code, with its title and general remedy."""
        return Code[self.code_name]

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return f"{place}: {self.detail} [{self.code_name}]"


class Problems:
    """All problems of an import, packed, so that a million bad rows are reported from little memory."""

    _PACK_PROBLEMS = 1_000

    def __init__(self, problems: Iterable[RowProblem] = ()) -> None:
        self._packs = list[bytes]()
        self._loose = list[RowProblem]()
        self._packed = 0
        for problem in problems:
            self.add(problem)

    def add(self, problem: RowProblem) -> None:
        """Add a problem at the end."""
        self._loose.append(problem)
        if len(self._loose) == self._PACK_PROBLEMS:
            self._packs.append(zlib.compress(msgspec.msgpack.encode(self._loose), 1))
            self._packed += len(self._loose)
            self._loose = []

    def __len__(self) -> int:
        return self._packed + len(self._loose)

    def __iter__(self) -> Iterator[RowProblem]:
        for pack in self._packs:
            yield from msgspec.msgpack.decode(zlib.decompress(pack), type=list[RowProblem])
        yield from self._loose


# ---- reading the files

Note = Callable[[RowProblem], None]


@dataclass(frozen=True)
class Row:
    """A row of a file: its line, and its cells; of one that can't be read the cells are empty but for the order_id."""

    line: int
    cells: tuple[str, ...]
    malformed: bool = False


_UNREADABLE = re.compile("[\x00\ud800-\udfff]")
_LINE_ENDS = "\r\n"


def rows_of(path: Path, columns: tuple[str, ...], note: Note) -> Iterator[tuple[Row | None, int]]:
    """Read the rows of a file, None for a blank line, each with the bytes it took; the header is checked first."""
    try:
        with path.open("rb") as file:
            header = file.readline(ROW_BYTES_MAX)
            if problem := _header_problem(header, path.name, columns):
                note(RowProblem(path.name, 1, None, Code.invalid_csv.name, problem))
                return
            yield None, len(header)
            for line, (raw, size) in enumerate(_physical_lines(file), 2):
                yield _row(_Raw(path.name, line, raw, size), columns, note), size
    except OSError as error:
        sentence = say(
            "{path} can't be read ({error_strerror}): give a folder with orders.csv and lines.csv",
            path=shown(str(path)),
            error_strerror=error.strerror,
        )
        note(RowProblem(path.name, None, None, Code.file_not_found.name, sentence))


def _physical_lines(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Give the beginning of each line, at most ROW_BYTES_MAX, and the bytes that all of it has."""
    while raw := file.readline(ROW_BYTES_MAX):
        size, ended = len(raw), raw.endswith(b"\n")
        while size >= ROW_BYTES_MAX and not ended and (rest := file.readline(ROW_BYTES_MAX)):
            size, ended = size + len(rest), rest.endswith(b"\n")
        yield raw, size


def _header_problem(raw: bytes, name: str, columns: tuple[str, ...]) -> str | None:
    expected = say("the first line must be {columns}", columns=",".join(columns))
    if not raw:
        return say("{name} is empty: {expected}", name=name, expected=expected)
    try:
        cells = next(csv.reader((raw.removeprefix(b"\xef\xbb\xbf").decode().strip(_LINE_ENDS),)), [])
    except (UnicodeDecodeError, csv.Error):
        return say("the header is not UTF-8 text: save the file as UTF-8 CSV; {expected}", expected=expected)
    if tuple(cells) == columns:
        return None
    return say("the header is {cells}: {expected}", cells=shown(",".join(cells)), expected=expected)


class _Raw(NamedTuple):
    """A physical line before it is understood."""

    file: str
    line: int
    raw: bytes
    size: int


def _row(at: _Raw, columns: tuple[str, ...], note: Note) -> Row | None:
    """Understand one row, noting what makes it unreadable."""
    text = at.raw.decode("utf-8", "surrogateescape").rstrip(_LINE_ENDS)
    if not text:
        return None
    cells = list[str]()
    try:
        if at.size > ROW_BYTES_MAX:
            raise csv.Error(say("longer than {row_bytes_max:,} bytes", row_bytes_max=ROW_BYTES_MAX))
        cells = next(csv.reader((text,), strict=True))
    except csv.Error as error:
        found = _row_problem(
            say(
                'is not CSV ({error}): quote a field with "…", without line ends or single " inside',
                error=csv_fault(error),
            )
        )
    else:
        found = _cell_problems(cells, columns) if len(cells) != len(columns) or _UNREADABLE.search(text) else []
    if not found:
        return Row(at.line, tuple(cells))
    for column, sentence in found:
        note(RowProblem(at.file, at.line, column, Code.invalid_csv.name, sentence))
    order_id = (cells or text.split(",", 1))[0].strip('"')
    return Row(at.line, (_UNREADABLE.sub("�", order_id), *[""] * (len(columns) - 1)), malformed=True)


def _cell_problems(cells: list[str], columns: tuple[str, ...]) -> list[tuple[str | None, str]]:
    if len(cells) != len(columns):
        return _row_problem(
            say(
                "has {cells_count} fields, it takes {columns_count}: {columns}",
                cells_count=len(cells),
                columns_count=len(columns),
                columns=",".join(columns),
            )
        )
    return [
        (column, say("{cell} has bytes that are not UTF-8, or NUL: save the file as UTF-8", cell=shown(cell)))
        for column, cell in zip(columns, cells, strict=True)
        if _UNREADABLE.search(cell)
    ]


def _row_problem(sentence: str) -> list[tuple[str | None, str]]:
    return [(None, say("the row {sentence}", sentence=sentence))]


# ---- the temporary database

_SCHEMA = """
CREATE TABLE orders (line INTEGER PRIMARY KEY, malformed INTEGER, order_id TEXT, order_date TEXT, order_type TEXT,
    customer_id TEXT, customer TEXT, salesperson_id TEXT, salesperson TEXT, currency TEXT);
CREATE TABLE lines (line INTEGER PRIMARY KEY, malformed INTEGER, order_id TEXT, line_no TEXT, product_id TEXT,
    product TEXT, category TEXT, quantity TEXT, amount TEXT);
CREATE TABLE repeated (line INTEGER PRIMARY KEY, first INTEGER);
CREATE TABLE rejected (line INTEGER PRIMARY KEY);
CREATE TABLE problem (file TEXT, line INTEGER, column_name TEXT, code TEXT, detail TEXT);
"""
_INDEX = """
CREATE INDEX orders_by_id ON orders (order_id);
CREATE INDEX lines_by_order ON lines (order_id);
INSERT INTO repeated SELECT * FROM (
    SELECT o.line, (SELECT min(e.line) FROM orders e WHERE e.order_id = o.order_id) AS first FROM orders o)
    WHERE first < line;
"""
_JOINED = """
SELECT o.line, o.malformed, r.first, o.order_id, order_date, order_type, customer_id, customer, salesperson_id,
    salesperson, currency, l.line, l.malformed, line_no, product_id, product, category, quantity, amount
FROM orders o LEFT JOIN repeated r ON r.line = o.line
    LEFT JOIN lines l ON l.order_id = o.order_id AND r.first IS NULL
WHERE o.line NOT IN (SELECT line FROM rejected) ORDER BY o.line, l.line
"""
_ORPHANS = """
SELECT line, order_id FROM lines l WHERE NOT malformed AND NOT EXISTS (SELECT 1 FROM orders o
    WHERE o.order_id = l.order_id) ORDER BY line
"""
_PROBLEMS = "SELECT file, line, column_name, code, detail FROM problem ORDER BY file = 'lines.csv', line, rowid"
_ORDER_CELLS = range(8)
_LINE_AT = 3 + len(_ORDER_CELLS)
_LINE_CELLS = (0, 1, 2, 3, 4, 5, 8)


@dataclass(frozen=True)
class FiledLine:
    """A row of lines.csv: line_no, product_id, product, category, quantity and amount."""

    line: int
    malformed: bool
    cells: tuple[str, str, str, str, str, str]


@dataclass(frozen=True)
class FiledOrder:
    """A row of orders.csv with its lines, at most one more than an order takes; `repeats` is an earlier row's line."""

    line: int
    malformed: bool
    repeats: int | None
    cells: dict[str, str]
    lines: list[FiledLine]
    lines_count: int

    @property
    def order_id(self) -> str:
        """The order's id."""
        return self.cells["order_id"]


def _filed(rows: Iterator[Any]) -> FiledOrder:
    """Make an order of its joined rows."""
    line, malformed, repeats, *rest = head = next(rows)
    lines = list[FiledLine]()
    count = 0
    for row in chain((head,), rows):
        if row[_LINE_AT] is not None:
            count += 1
            if count <= LINES_MAX + 1:
                lines.append(FiledLine(row[_LINE_AT], bool(row[_LINE_AT + 1]), row[_LINE_AT + 2 :]))
    cells = dict(zip(ORDER_COLUMNS, rest[: len(_ORDER_CELLS)], strict=False))
    return FiledOrder(line, bool(malformed), repeats, cells, lines, count)


class Spool:
    """The rows of both files, joined by order_id, and the problems found, on disk."""

    def __init__(self) -> None:
        self.noted = 0
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.executescript("PRAGMA journal_mode = OFF; PRAGMA cache_size = -65536;" + _SCHEMA + "BEGIN;")

    def close(self) -> None:
        """Drop everything."""
        self._connection.close()

    def add(self, table: str, rows: Iterable[Row]) -> None:
        """Add rows of a file."""
        kept = _ORDER_CELLS if table == "orders" else _LINE_CELLS
        marks = ",".join("?" * (len(kept) + 2))
        values = ((row.line, row.malformed, *(row.cells[index] for index in kept)) for row in rows)
        self._connection.executemany(f"INSERT INTO {table} VALUES ({marks})", values)  # noqa: S608 - names of ours

    def index(self) -> None:
        """Make the rows ready to be joined, after the last one was added."""
        self._connection.executescript(_INDEX + "BEGIN;")

    def filed_orders(self) -> Iterator[FiledOrder]:
        """Give the orders that are not rejected, each with its lines, in the order of orders.csv."""
        for _, rows in groupby(self._connection.execute(_JOINED), itemgetter(0)):
            yield _filed(rows)

    def orphans(self) -> Iterator[tuple[int, str]]:
        """Give the lines without an order: where they are, and the order_id they name."""
        yield from self._connection.execute(_ORPHANS)

    def reject(self, order: FiledOrder) -> None:
        """Leave an order out from now on; of an order that is there twice, both."""
        lines = [(line,) for line in (order.line, order.repeats) if line is not None]
        self._connection.executemany("INSERT OR IGNORE INTO rejected VALUES (?)", lines)

    def note(self, problem: RowProblem) -> None:
        """Keep a problem, told in the wanted language."""
        self.noted += 1
        told = msgspec.structs.replace(problem, detail=translated(problem.detail))
        self._connection.execute("INSERT INTO problem VALUES (?, ?, ?, ?, ?)", msgspec.structs.astuple(told))

    def problems(self) -> Iterator[RowProblem]:
        """Give the problems by file and line."""
        for row in self._connection.execute(_PROBLEMS):
            yield RowProblem(*row)
