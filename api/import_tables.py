"""Reading a file into rows of raw cells: CSV, the sheet of a workbook, or a JSON object a line; nothing is understood.

Rows are read one by one, so memory does not grow with a text file; a workbook is read whole by its library, so what it
may hold is looked at first: the size of its parts unpacked, and the cells its sheet reaches over.
A quote left open spoils its own line: a row takes at most ROW_LINES_MAX lines and ROW_CHARACTERS_MAX characters.
"""

import csv
import io
import json
import lzma
import re
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import chain, islice
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, Final, get_args
from zipfile import BadZipFile, ZipFile

import python_calamine

from api.exports import unguarded
from api.import_headers import BY_NAMES, ROWS_SEEN, HeaderSearch
from api.import_values import Cell, Day, Number
from api.library_words import csv_fault, is_quote_open
from api.shapes import Decision
from ledger.checks import shown
from ledger.events import NAMES, OrderEvent
from ledger.intake import EVENTS_MAX
from ledger.refusal import Code, Refusal
from ledger.wording import say

ROW_CHARACTERS_MAX: Final = 65_536
ROW_LINES_MAX: Final = 20
COLUMNS_MAX: Final = 200
ROWS_MAX: Final = 1_000_000
UNPACKED_BYTES_MAX: Final = 192 * 1024 * 1024
"""Of a workbook; one of 100,000 rows of 12 columns has 55 to 75 million."""
SMALL_BYTES_MAX: Final = 32 * 1024 * 1024
GROWTH_MAX: Final = 100
"""A part that grows more than so many times, and beyond SMALL_BYTES_MAX, is no sheet: those grow about ten times."""
CELLS_MAX: Final = 8_000_000
PARTS_MAX: Final = 1_000
_SPOOLED_BYTES = 4 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_UNREADABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True)
class RawRow:
    """A row as the file has it: the line it begins on, its cells, and why it can't be read, if it can't.

    Shape: `text` is the line where it can't be divided into cells.
    """

    line: int
    cells: tuple[Cell, ...]
    fault: str | None = None
    text: str | None = None


@dataclass
class RawTable:
    """A file's header and, read once, its rows; which row is the header, where that is not simply the first."""

    headers: list[str]
    rows: Iterator[RawRow] = field(repr=False)
    decision: Decision | None = None


def sentence_too_many(what: str, limit: int) -> str:
    """Say that a file has more of something than is taken."""
    return say("the file has more than {limit:,} {what}: split it", limit=limit, what=what)


TOO_MANY_COLUMNS: Final = sentence_too_many(say("columns"), COLUMNS_MAX)


def _with_rows(rows: Iterator[RawRow], search: HeaderSearch) -> RawTable:
    """Take a row for the header; those above it are left out."""
    top = list(islice(rows, ROWS_SEEN))
    at, decision = search.choose([row.cells for row in top])
    header = top[at] if top else None
    if header is None or header.fault:
        why = header.fault if header else say("it is empty")
        raise Refusal.of(
            Code.invalid_csv, say("the file has no header ({why}): name its columns in the first line", why=why)
        )
    names = [cell if isinstance(cell, str) else cell.text for cell in header.cells]
    while names and not names[-1].strip():
        names.pop()
    if not names:
        raise Refusal.of(
            Code.invalid_csv, say("the file has no header (it is blank): name its columns in the first line")
        )
    if len(names) > COLUMNS_MAX:
        raise Refusal.of(Code.invalid_csv, TOO_MANY_COLUMNS)
    return RawTable(names, _fitted(chain(top[at + 1 :], rows), len(names)), decision)


def _fitted(rows: Iterator[RawRow], width: int) -> Iterator[RawRow]:
    """Give the rows with as many cells as the header has; blank ones are left out."""
    count = 0
    for row in rows:
        cells = row.cells
        if row.fault is None and not any(cells):
            continue
        count += 1
        if count > ROWS_MAX:
            raise Refusal.of(Code.invalid_csv, sentence_too_many(say("rows"), ROWS_MAX))
        fault = row.fault
        if fault is None and (len(cells) < width or any(cells[width:])):
            fault = say(
                "the row has {cells_count} fields, the header names {width}: check the quotes and delimiters",
                cells_count=len(cells),
                width=width,
            )
        if fault is None and any(isinstance(cell, str) and _UNREADABLE.search(cell) for cell in cells):
            fault = say("the row has characters that are no text: leave them out")
        kept = tuple(_readable(cell) for cell in cells[:width])
        yield RawRow(row.line, kept + ("",) * (width - len(kept)), fault, row.text and str(_readable(row.text)))


def _readable(cell: Cell) -> Cell:
    return _UNREADABLE.sub("�", cell) if isinstance(cell, str) else cell


# ---- CSV


def read_csv(file: BinaryIO, encoding: str, delimiter: str, search: HeaderSearch = BY_NAMES) -> RawTable:
    """Read a CSV, each cell without the apostrophe by which our exports guard what begins like a formula.

    Errors: Refusal (invalid_csv) where it has no header, or too much.
    """
    return _with_rows(_csv_rows(text_lines(file, encoding), delimiter), search)


def text_lines(file: BinaryIO, encoding: str) -> Iterator[str]:
    """Give the lines of a text with their ends; of one that is too long its beginning, without an end."""
    file.seek(0)
    text = io.TextIOWrapper(io.BufferedReader(_LeftOpen(file), _CHUNK_BYTES), encoding, newline="")
    is_first = True
    while line := text.readline(ROW_CHARACTERS_MAX):
        rest = line
        while len(rest) == ROW_CHARACTERS_MAX and not rest.endswith(("\n", "\r")):
            rest = text.readline(ROW_CHARACTERS_MAX)
        yield line.removeprefix("\ufeff") if is_first else line
        is_first = False


class _LeftOpen(io.RawIOBase):
    """A file as a reader sees it that must not close it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer."""
        raw = self._file.read(len(buffer))
        buffer[: len(raw)] = raw
        return len(raw)


def _csv_rows(lines: Iterator[str], delimiter: str) -> Iterator[RawRow]:
    waiting = deque[str]()
    number = 0
    while True:
        line = waiting.popleft() if waiting else next(lines, None)
        if line is None:
            return
        number += 1
        taken, row = _csv_row(line, number, delimiter, lines, waiting)
        number += taken
        if row is not None:
            yield row


def _csv_row(
    line: str, number: int, delimiter: str, lines: Iterator[str], waiting: deque[str]
) -> tuple[int, RawRow | None]:
    """Read the row that begins on a line; also give how many lines more it took, which are gone from those waiting."""
    more = list[str]()
    text = line
    fault: str = say("it is too long")
    is_open = False
    while len(text) < ROW_CHARACTERS_MAX and len(more) < ROW_LINES_MAX:
        try:
            cells = next(csv.reader((text.rstrip("\r\n"),), delimiter=delimiter, strict=True), [])
        except csv.Error as error:
            fault, is_open = csv_fault(error), is_quote_open(error)
        else:
            return len(more), RawRow(number, tuple(map(unguarded, cells))) if cells else None
        following = (waiting.popleft() if waiting else next(lines, None)) if is_open else None
        if following is None:
            break
        more.append(following)
        text += following
    waiting.extendleft(reversed(more))
    sentence = say('the row is not CSV ({fault}): quote a field with "…", and double a quote inside', fault=fault)
    cells = line.rstrip("\r\n")[:ROW_CHARACTERS_MAX].split(delimiter)
    return 0, RawRow(number, tuple(map(unguarded, cells)), sentence)


# ---- workbooks


def read_workbook(file: BinaryIO, sheet: str | None, search: HeaderSearch) -> RawTable:
    """Read a sheet of a workbook, which is the named one, or the only one.

    Errors: Refusal (invalid_workbook) for what is none, has no such sheet, or holds too much.
    """
    with _unpacked(file) as safe:
        rows = _sheet(safe, sheet)
    return _with_rows(_typed(rows), search)


def sheet_names(file: BinaryIO) -> list[str]:
    """Give the names of a workbook's sheets that are shown. Errors: as of read_workbook."""
    with _unpacked(file) as safe:
        return _shown_sheets(_workbook(safe))


def _workbook(safe: Any) -> Any:
    safe.seek(0)
    return _understood(lambda: python_calamine.CalamineWorkbook.from_filelike(safe))


def _understood(read: Callable[[], Any]) -> Any:
    """Read with the library. Errors: Refusal (invalid_workbook) of what it does not understand."""
    try:
        return read()
    except Exception:  # noqa: BLE001 - whatever it makes of bytes that anybody may send
        raise _no_workbook(_DAMAGED) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of the library's own language: no Exception
            raise
        raise _no_workbook(_DAMAGED) from None


def _shown_sheets(workbook: Any) -> list[str]:
    visible = python_calamine.SheetVisibleEnum.Visible
    return [each.name for each in workbook.sheets_metadata if each.visible == visible]


def _sheet(safe: Any, name: str | None) -> list[list[Any]]:
    workbook = _workbook(safe)
    names = _shown_sheets(workbook)
    if not names or (name is not None and name not in names):
        raise Refusal.of(
            Code.invalid_workbook,
            say(
                "it has no sheet {name}: name one of {names}", name=shown(name), names=", ".join(map(shown, names[:20]))
            ),
        )
    rows: list[list[Any]] = _understood(
        lambda: workbook.get_sheet_by_name(name or names[0]).to_python(skip_empty_area=False)
    )
    return rows


def _typed(rows: list[list[Any]]) -> Iterator[RawRow]:
    for number, row in enumerate(rows, 1):
        cells = tuple(_cell(value) for value in row)
        if any(cells):
            yield RawRow(number, cells)


def _cell(value: Any) -> Cell:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return Number(number_text(value))
        case datetime():
            return Day(value.date().isoformat())
        case date():
            return Day(value.isoformat())
        case _:
            return str(value)


def number_text(value: float) -> str:
    """Write a spreadsheet's number with the 15 digits that it keeps, plainly.

    >>> number_text(168.0), number_text(0.1 + 0.2), number_text(1e21), number_text(-12.5)
    ('168', '0.3', '1000000000000000000000', '-12.5')
    """
    text = f"{value:.15g}"
    mantissa, _, exponent = text.partition("e")
    if not exponent:
        return text
    sign, mantissa = ("-", mantissa[1:]) if mantissa.startswith("-") else ("", mantissa)
    whole, _, decimals = mantissa.partition(".")
    shift = int(exponent)
    if shift < 0:
        return f"{sign}0.{'0' * (-shift - 1)}{whole}{decimals}"
    return f"{sign}{whole}{decimals.ljust(shift, '0')}"


_DAMAGED = say("it is none, or it is damaged")
_OLD = say("it is an old .xls, or has a password")
_OLD_MAGIC = bytes.fromhex("d0cf11e0a1b11ae1")
_KEPT_PARTS = ("[Content_Types].xml", "_rels/", "xl/")
_REFERENCE = re.compile(rb"""\br\s*=\s*["']\$?([A-Za-z]{0,8})\$?(\d{1,12})["']""")
_OVERLAP_BYTES = 64
_PLACED = rb"""(?:\s+[\w:.-]+\s*=\s*(?:"[^"<]{0,99}"|'[^'<]{0,99}')){0,9}?\s+r\s*="""
_UNPLACED = re.compile(rb"[<:](?:row(?=[\s/>])(" + _PLACED + rb")?|c(?=[\s/>])(?!" + _PLACED + rb"))")
"""A row, or a cell that does not say where it is: it is behind the one before it."""


def _unpacked(file: BinaryIO) -> Any:
    """Give a copy of a workbook that holds no more than it says and than is taken: unpacked, by what it really has."""
    file.seek(0)
    safe = SpooledTemporaryFile(_SPOOLED_BYTES)  # noqa: SIM115 - the caller closes it
    left = UNPACKED_BYTES_MAX
    try:
        with ZipFile(file) as packed, ZipFile(safe, "w") as copy:
            names = [info for info in packed.infolist() if info.filename.startswith(_KEPT_PARTS)]
            if "xl/workbook.xml" not in (parts := {info.filename for info in names}):
                raise _no_workbook(say("it has no xl/workbook.xml"))
            if len(parts) != len(names) or len(names) > PARTS_MAX:
                raise _no_workbook(say("its parts are not those of a workbook"))
            for info in names:
                if info.file_size > max(SMALL_BYTES_MAX, GROWTH_MAX * info.compress_size):
                    raise _no_workbook(say("unpacked it is more than {times} times as large", times=GROWTH_MAX))
                reach, errors = _Reach(), _ErrorsAsTexts()
                with packed.open(info) as part, copy.open(info.filename, "w", force_zip64=True) as kept:
                    while raw := part.read(min(_CHUNK_BYTES, left + 1)):
                        left -= len(raw)
                        if left < 0:
                            raise _no_workbook(
                                say(
                                    "unpacked it is larger than {unpacked_bytes_max:,} bytes",
                                    unpacked_bytes_max=UNPACKED_BYTES_MAX,
                                )
                            )
                        kept.write(reach.seen(errors.see(raw)))
                    kept.write(reach.seen(errors.end()))
    except (BadZipFile, OSError, ValueError, RuntimeError, EOFError, zlib.error, lzma.LZMAError):
        safe.close()
        file.seek(0)
        raise _no_workbook(_OLD if file.read(len(_OLD_MAGIC)) == _OLD_MAGIC else _DAMAGED) from None
    except BaseException:
        safe.close()
        raise
    return safe


class _Reach:
    """The rectangle of cells that a part reaches over, whose references say where they are, or do not."""

    def __init__(self) -> None:
        self._rows = self._columns = 1
        self._before = b""
        self._rows_more = self._columns_more = self._in_row = 0

    def seen(self, raw: bytes) -> bytes:
        """Look at a piece of XML, and give it. Errors: Refusal (invalid_workbook) where it reaches too far."""
        self._see_placed(raw)
        self._see_unplaced(raw)
        rows, columns = self._rows + self._rows_more, self._columns + self._columns_more
        if rows > ROWS_MAX + 1 or rows * columns > CELLS_MAX:
            reached = say("it reaches over {rows:,} rows of {columns:,} columns", rows=rows, columns=columns)
            raise _no_workbook(
                say("{reached}, and {cells_max:,} cells are taken", reached=reached, cells_max=CELLS_MAX)
            )
        return raw

    def _see_placed(self, raw: bytes) -> None:
        for match in _REFERENCE.finditer(self._before + raw):
            column = 0
            for letter in match[1].upper():
                column = 26 * column + letter - 64
            self._rows, self._columns = max(self._rows, int(match[2])), max(self._columns, column)
        self._before = raw[-_OVERLAP_BYTES:]

    def _see_unplaced(self, raw: bytes) -> None:
        for match in _UNPLACED.finditer(raw):
            if raw.startswith(b"row", match.start() + 1):
                self._in_row = 0
                self._rows_more += match[1] is None
            else:
                self._in_row += 1
                self._columns_more = max(self._columns_more, self._in_row)


_ERROR_CELL = re.compile(rb"""(<(?:\w+:)?c\s[^<>]{0,200}?\bt\s*=\s*)(["'])e\2""")
_TAG_BYTES_MAX = 1_024


class _ErrorsAsTexts:
    """A sheet's XML in which the cells that hold errors hold their texts; the library takes them for empty."""

    def __init__(self) -> None:
        self._open = b""

    def see(self, raw: bytes) -> bytes:
        """Take a part of the XML; give what is ready of it, without the tag that may go on in the next part."""
        raw = self._open + raw
        at = raw.rfind(b"<")
        if at < 0 or len(raw) - at > _TAG_BYTES_MAX:
            at = len(raw)
        self._open = raw[at:]
        return _ERROR_CELL.sub(rb"\1\2str\2", raw[:at])

    def end(self) -> bytes:
        """Give what is left."""
        return self._open


def _no_workbook(why: str) -> Refusal:
    return Refusal.of(
        Code.invalid_workbook,
        say("the file can't be read as an .xlsx workbook ({why}): save it as one, or send a CSV", why=why),
    )


# ---- JSON


def read_objects(file: BinaryIO, encoding: str) -> RawTable:
    """Read a JSON object a line; the columns are the names of all of them, in the order in which they first occur.

    Errors: Refusal (invalid_csv) where there is none, or they have too many names, and events_not_rows where the first
    is an order event.
    """
    _refuse_events(file, encoding)
    names = dict[str, None]()
    for _, found, _, _ in _objects(file, encoding):
        names.update(dict.fromkeys(found))
        if len(names) > COLUMNS_MAX:
            raise Refusal.of(Code.invalid_csv, sentence_too_many(say("different names"), COLUMNS_MAX))
    if not names:
        raise Refusal.of(Code.invalid_csv, say("the file has no line with a JSON object: send one object a line"))
    heads = list(names)
    rows = (
        RawRow(line, tuple(found.get(name, "") for name in heads) if not fault else (), fault, text)
        for line, found, fault, text in _objects(file, encoding)
    )
    return RawTable([_UNREADABLE.sub("�", name) for name in heads], _fitted(rows, len(heads)))


_EVENT_NAMES: Final = frozenset(NAMES[event] for event in get_args(OrderEvent))


def _refuse_events(file: BinaryIO, encoding: str) -> None:
    """Refuse a file of order events, which are no rows of orders, by its first object."""
    line = next((line for line in text_lines(file, encoding) if line.strip()), "")
    try:
        first = json.loads(line)
    except (ValueError, RecursionError):
        return
    if isinstance(first, dict) and first.get("type") in _EVENT_NAMES and isinstance(first.get("data"), dict):
        raise Refusal.of(
            Code.events_not_rows,
            say(
                "the file has order events ({type} first), and an import takes rows of orders: send them to POST"
                " /v1/order-events/bulk, up to {events_max:,} at once",
                type=first["type"],
                events_max=EVENTS_MAX,
            ),
        )


def _objects(file: BinaryIO, encoding: str) -> Iterator[tuple[int, dict[str, Cell], str | None, str | None]]:
    for number, line in enumerate(text_lines(file, encoding), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line, parse_float=Number, parse_int=str, parse_constant=_refuse_constant)
            cells = {name: _json_cell(value) for name, value in found.items()} if isinstance(found, dict) else None
        except (ValueError, RecursionError):
            cells = None
        if cells is None:
            yield number, {}, _NO_OBJECT, line.rstrip("\r\n")
        else:
            yield number, cells, None, None


_NO_OBJECT = say("the line is not one JSON object of texts and numbers: write one object a line")


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _json_cell(value: Any) -> Cell:
    match value:
        case str() | Number():
            return value
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case _:
            raise ValueError("nested")
