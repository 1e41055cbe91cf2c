"""Exports: tables written as CSV, NDJSON, XLSX or Parquet, row by row, so that a long one never stands in memory.

A table is its columns and its rows, which are read once. An export of several tables is one file: XLSX has a sheet for
each; CSV and NDJSON tell in the first column, `table`, which one a row is of, and CSV has the columns of all. Parquet
holds one table.

Values: amounts and shares are decimal strings as everywhere and stay exact; instants are UTC. CSV is of RFC 4180 in
UTF-8 without a byte order mark, unless it is asked for; a text that a spreadsheet would take for a formula gets a
leading apostrophe, and one more where it has some already, so that taking one off gives the text back. XLSX has typed
cells: a text is never a formula, a link or a number; an amount of more than 15 digits is a text, because a spreadsheet
would round it. NDJSON has every value as it is. Parquet has typed columns, and amounts are DECIMAL there.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum
from itertools import chain
from pathlib import Path
from tempfile import SpooledTemporaryFile, TemporaryDirectory
from typing import IO, Any, Final

import xlsxwriter
from flask import Response, g, request
from msgspec import Raw

from api.languages import CHINESE, wanted_language
from ledger.events import encode
from ledger.refusal import Code, Refusal
from ledger.wording import instant_text, say
from projections.parquet import write_lines, write_parquet

MEDIA_TYPES: Final = {
    "csv": "text/csv",
    "ndjson": "application/x-ndjson",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "parquet": "application/vnd.apache.parquet",
}
JSON: Final = "json"
_FORMATS: Final[dict[str, str | None]] = {
    **dict.fromkeys(("application/json", "application/*", "*/*")),
    **{media_type: form for form, media_type in MEDIA_TYPES.items()},
    "text/*": "csv",
}
"""The format that each media range asks for."""
CHUNK_BYTES: Final = 64 * 1024
SPOOLED_BYTES_MAX: Final = 4 * 1024 * 1024
SHEET_ROWS_MAX: Final = 1_048_576
CELL_UNITS_MAX: Final = 32_767
DIGITS_MAX: Final = 15
"""A spreadsheet keeps so many digits of a number."""
BYTE_ORDER_MARK: Final = "\ufeff".encode()
_FIRST_SHEET_DAY = date(1900, 3, 1)
"""Spreadsheets count a 29 February 1900, so that days before this one are not the same in all of them."""

_FORMULA = re.compile("'*[-=+@\t\r\n＝＋－＠]")
_UNSAFE_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")

Cell = str | int | date | datetime | Raw | None
Row = Sequence[Cell]


class Kind(Enum):
    """What a column holds; a cell may be empty (None) in any."""

    text = "text"
    integer = "integer"
    amount = "amount"
    """An amount, a quantity or a share, as a decimal string."""
    day = "day"
    instant = "instant"
    flag = "flag"
    structure = "structure"
    """What has parts, as JSON: nested in NDJSON, elsewhere its text."""


@dataclass(frozen=True)
class Column:
    """A column: its name, as in the JSON answers, and what it holds."""

    name: str
    kind: Kind = Kind.text


@dataclass(frozen=True)
class Table:
    """A table of an export: its name, its columns, and its rows of as many cells, which are read once."""

    name: str
    columns: tuple[Column, ...]
    rows: Iterable[Row]


def columns(**kinds: Kind) -> tuple[Column, ...]:
    """Give columns by their names."""
    return tuple(Column(name, kind) for name, kind in kinds.items())


def amounts(*names: str) -> tuple[Column, ...]:
    """Give the columns of amounts that are told rounded and, beside it, exact."""
    return tuple(Column(name, Kind.amount) for each in names for name in (each, f"{each}_exact"))


def cells(heads: Iterable[Column], told: object) -> Row:
    """Give the row of an answer whose members are called as the columns."""
    return tuple(getattr(told, column.name) for column in heads)


def tables_named(tables: Sequence[Table], name: str | None) -> list[Table]:
    """Give the table of a name, or all where none is named."""
    return [table for table in tables if name in (None, table.name)]


# ---- over HTTP


@dataclass(frozen=True)
class Export:
    """How an answer is asked for as a file: the format, and of its tables perhaps only one."""

    form: str
    bom: bool
    only: str | None

    def answered(self, tables: Sequence[Table], name: str, position: int) -> Response:
        """Answer with the tables in a file that is called after what they are of and the position they are pinned to.

        Errors: Refusal (invalid_parameter) where the format holds one table and no one was asked for.
        """
        asked = tables_named(tables, self.only)
        parts = (name, self.only, str(position))
        return exported(asked, self.form, "-".join(part for part in parts if part), bom=self.bom)


def asked_export(query: Mapping[str, Any]) -> Export | None:
    """Give how the request asks for a file, None where it asks for the JSON answer.

    Errors: Refusal (invalid_parameter) for parameters that are for other formats.
    """
    form, only, bom = asked_format(), query.get("table"), query.get("bom")
    check_mark(form, bom=bool(bom))
    if form is not None:
        return Export(form, is_marked(bom), only)
    if only is not None:
        raise Refusal.of(Code.invalid_parameter, say("table is for exports: send Accept: text/csv with it"), "/table")
    return None


def asked_format() -> str | None:
    """Give the format that the request asks for, as MEDIA_TYPES names it; None: the JSON answer.

    Its parameter `format` goes before its Accept header, which nobody can write into a link.
    """
    if (named := request.args.get("format")) is not None:
        return None if named == JSON else named
    g.is_chosen_by_accept = True
    ranges = [(asked.partition(";")[0].strip().lower(), quality) for asked, quality in request.accept_mimetypes]
    unwanted = {media_range for media_range, quality in ranges if quality <= 0}
    for media_range, quality in ranges:  # the best first
        form = _FORMATS.get(media_range)
        if media_range in _FORMATS and quality > 0 and (form is None or MEDIA_TYPES[form] not in unwanted):
            return form
    return None


def check_mark(form: str | None, *, bom: bool) -> None:
    """Refuse a byte order mark for anything but CSV."""
    if bom and form != "csv":
        raise Refusal.of(
            Code.invalid_parameter, say("bom is for CSV: send Accept: text/csv with it, or leave it out"), "/bom"
        )


def is_marked(asked: bool | None) -> bool:
    """Say whether a CSV begins with a byte order mark: as asked for, else where it is answered in Chinese.

    Without the mark, the spreadsheets that Chinese systems have read UTF-8 as GB18030.
    """
    return wanted_language() == CHINESE if asked is None else asked


def exported(tables: Sequence[Table], form: str, name: str, *, bom: bool = False) -> Response:
    """Answer with an export whose file is called so; it is written while it is sent.

    Errors: whatever the first row needs is refused as ever; what fails later cuts the answer off.
    Refusal (invalid_parameter) of several tables in Parquet.
    """
    if form == "parquet" and len(tables) > 1:
        raise Refusal.of(
            Code.invalid_parameter,
            say(
                "Parquet holds one table: name one by table= of {tables}",
                tables=", ".join(table.name for table in tables),
            ),
            "/table",
        )
    return attached(written(tables, form, bom=bom), form, name)


def attached(chunks: Iterator[bytes], form: str, name: str) -> Response:
    """Answer with a file of that name, while it is written."""
    first = next(chunks, b"")
    response = Response(chain((first,), chunks), mimetype=MEDIA_TYPES[form])
    safe = _UNSAFE_IN_NAMES.sub("_", name)
    response.headers["Content-Disposition"] = f'attachment; filename="{safe}.{form}"'
    return response


def written(tables: Sequence[Table], form: str, *, bom: bool = False) -> Iterator[bytes]:
    """Write tables in a format, in chunks."""
    match form:
        case "csv":
            yield from _joined(write_csv(tables, bom=bom))
        case "ndjson":
            yield from _joined(write_ndjson(tables))
        case "parquet":
            (table,) = tables
            with TemporaryDirectory() as folder, write_table(table, Path(folder)).open("rb") as made:
                yield from iter(lambda: made.read(CHUNK_BYTES), b"")
        case _:
            with SpooledTemporaryFile(max_size=SPOOLED_BYTES_MAX) as file:
                write_xlsx(tables, file)
                file.seek(0)
                yield from iter(lambda: file.read(CHUNK_BYTES), b"")


def _joined(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Join small parts into chunks that are worth sending."""
    waiting, size = list[bytes](), 0
    for part in parts:
        waiting.append(part)
        size += len(part)
        if size >= CHUNK_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


# ---- CSV and NDJSON


def write_csv(tables: Sequence[Table], *, bom: bool = False) -> Iterator[bytes]:
    """Write tables as one CSV text, a line at a time."""
    every = list(dict.fromkeys(column for table in tables for column in table.columns))
    assert len({column.name for column in every}) == len(every), "a name stands for one kind in all tables"
    several = len(tables) > 1
    line = io.StringIO(newline="")
    writer = csv.writer(line, lineterminator="\r\n")

    def taken(cells: Iterable[str]) -> bytes:
        writer.writerow(cells)
        text = line.getvalue()
        line.seek(0)
        line.truncate()
        return text.encode()

    if bom:
        yield BYTE_ORDER_MARK
    yield taken([*(["table"] if several else []), *(column.name for column in every)])
    for table in tables:
        own = {column: number for number, column in enumerate(table.columns)}
        places = [own.get(column) for column in every]
        for row in table.rows:
            texts = [_csv_text(cell, column.kind) for cell, column in zip(row, table.columns, strict=True)]
            named = [table.name] if several else []
            yield taken([*named, *("" if place is None else texts[place] for place in places)])


def _csv_text(cell: Cell, kind: Kind) -> str:
    if cell is None:
        return ""
    if kind is Kind.text:
        return guarded(str(cell))
    return _plain(cell)


def guarded(text: str) -> str:
    """Write a text so that no spreadsheet takes it for a formula.

    >>> guarded("=1+1"), guarded("'=1+1"), guarded("'t Hooft")
    ("'=1+1", "''=1+1", "'t Hooft")
    """
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """Read a text that was written so; one that was not is as it is.

    >>> unguarded("'=1+1"), unguarded("''=1+1"), unguarded("=1+1"), unguarded("'t Hooft")
    ('=1+1', "'=1+1", '=1+1', "'t Hooft")
    """
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def _plain(cell: Cell) -> str:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, datetime):
        return instant_text(cell)
    return bytes(cell).decode() if isinstance(cell, Raw) else str(cell)


def write_ndjson(tables: Sequence[Table]) -> Iterator[bytes]:
    """Write tables as JSON objects, one a line."""
    for table in tables:
        names = [column.name for column in table.columns]
        named = {"table": table.name} if len(tables) > 1 else {}
        for row in table.rows:
            cells = (_plain(cell) if isinstance(cell, datetime) else cell for cell in row)
            yield encode({**named, **dict(zip(names, cells, strict=True))}) + b"\n"


# ---- Parquet


_TYPES: Final = {
    Kind.text: "VARCHAR",
    Kind.integer: "BIGINT",
    Kind.amount: "DECIMAL(38, 10)",
    Kind.day: "DATE",
    Kind.instant: "TIMESTAMPTZ",
    Kind.flag: "BOOLEAN",
    Kind.structure: "VARCHAR",
}
"""The type of a column of each kind; no amount has more than ten decimals."""


def write_table(table: Table, folder: Path) -> Path:
    """Write a table as a Parquet file into a folder: every cell as a text first, which is then cast, so exactly."""
    names = [column.name for column in table.columns]
    texts = ([None if cell is None else _plain(cell) for cell in row] for row in table.rows)
    lines = write_lines(folder / "table.ndjson", (dict(zip(names, row, strict=True)) for row in texts))
    select = ", ".join(f'CAST("{column.name}" AS {_TYPES[column.kind]}) AS "{column.name}"' for column in table.columns)
    write_parquet(lines, dict.fromkeys(names, "VARCHAR"), select)
    return lines.path.with_suffix(".parquet")


# ---- XLSX


def write_xlsx(tables: Sequence[Table], file: IO[bytes]) -> None:
    """Write tables as the sheets of a workbook; a table that is too long for one goes on on another."""
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    with xlsxwriter.Workbook(file, options) as workbook:
        formats = _Formats(workbook)
        for table in tables:
            rows = iter(table.rows)
            number, more = 1, True
            while more:
                sheet = workbook.add_worksheet(table.name if number == 1 else f"{table.name} ({number})")
                more = _write_sheet(sheet, table.columns, rows, formats)
                number += 1


class _Formats:
    """The workbook's number formats, each made once."""

    def __init__(self, workbook: Any) -> None:
        self._workbook = workbook
        self._amounts: dict[int, Any] = {}
        self.plain = workbook.add_format()
        self.header = workbook.add_format({"bold": True})
        self.day = workbook.add_format({"num_format": "yyyy-mm-dd"})
        self.instant = workbook.add_format({"num_format": 'yyyy-mm-dd hh:mm:ss.000 "UTC"'})

    def amount(self, decimals: int) -> Any:
        """Give the format of an amount with so many decimals."""
        if decimals not in self._amounts:
            number_format = "#,##0" + ("." + "0" * decimals if decimals else "")
            self._amounts[decimals] = self._workbook.add_format({"num_format": number_format})
        return self._amounts[decimals]


_WIDTHS = {Kind.text: 24, Kind.integer: 10, Kind.amount: 16, Kind.day: 11, Kind.instant: 28, Kind.flag: 8} | {
    Kind.structure: 40
}


def _write_sheet(sheet: Any, heads: tuple[Column, ...], rows: Iterator[Row], formats: _Formats) -> bool:
    """Write as many rows as a sheet takes below its header; say whether there may be more."""
    sheet.freeze_panes(1, 0)
    for number, column in enumerate(heads):
        sheet.set_column(number, number, _WIDTHS[column.kind])
        sheet.write_string(0, number, column.name, formats.header)
    line = 0
    for line, row in zip(range(1, SHEET_ROWS_MAX), rows, strict=False):
        for number, (cell, column) in enumerate(zip(row, heads, strict=True)):
            if cell is not None:
                _write_cell(sheet, (line, number), cell, column.kind, formats)
    return line == SHEET_ROWS_MAX - 1


def _write_cell(sheet: Any, at: tuple[int, int], cell: Cell, kind: Kind, formats: _Formats) -> None:
    if isinstance(cell, bool):
        sheet.write_boolean(*at, cell)
    elif isinstance(cell, datetime) and cell.date() >= _FIRST_SHEET_DAY:
        sheet.write_datetime(*at, cell.astimezone(UTC).replace(tzinfo=None), formats.instant)
    elif isinstance(cell, date) and not isinstance(cell, datetime) and cell >= _FIRST_SHEET_DAY:
        sheet.write_datetime(*at, datetime(cell.year, cell.month, cell.day), formats.day)  # noqa: DTZ001 - a day
    elif kind in (Kind.integer, Kind.amount) and is_number(str(cell)):
        text = str(cell)
        sheet.write_number(*at, float(text), formats.amount(len(text.partition(".")[2])) if "." in text else None)
    else:
        _write_text(sheet, at, sheet_text(_plain(cell)), formats)


def _write_text(sheet: Any, at: tuple[int, int], text: str, formats: _Formats) -> None:
    if text.startswith("<r>") and text.endswith("</r>"):  # the library would take it for markup of its own
        sheet.write_rich_string(*at, formats.plain, text[:1], formats.plain, text[1:])
    else:
        sheet.write_string(*at, text)


def is_number(text: str) -> bool:
    """Say whether a spreadsheet keeps every digit of a decimal.

    >>> is_number("-1234567890123.45"), is_number("9223372036854.775807"), is_number("0.0000000001")
    (True, False, True)
    """
    return len(text.lstrip("-").replace(".", "").lstrip("0")) <= DIGITS_MAX


def sheet_text(text: str) -> str:
    """Give a text that a cell can hold: what is longer is cut, and ends in ….

    Units: a spreadsheet counts UTF-16 code units.
    """
    if len(text) <= CELL_UNITS_MAX // 2:
        return text
    units = text.encode("utf-16-le")
    fits = len(units) <= 2 * CELL_UNITS_MAX
    return text if fits else units[: 2 * (CELL_UNITS_MAX - 1)].decode("utf-16-le", "ignore") + "…"
