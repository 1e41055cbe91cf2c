"""Exports: CSV, NDJSON, XLSX and Parquet say what the table says; nothing in them runs, or is rounded or lost."""

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZipFile

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook
from werkzeug.test import EnvironBuilder

from api import exports
from api.app import Config, create_app
from api.exports import CELL_UNITS_MAX, Kind, Row, Table, asked_format, columns, unguarded, written
from ledger.money import decimal_text

COLUMNS = columns(
    name=Kind.text, count=Kind.integer, amount=Kind.amount, day=Kind.day, at=Kind.instant, closed=Kind.flag
)
NOON = datetime(2026, 5, 15, 14, 0, 0, 123456, timezone(timedelta(hours=2)))
ROW = ("Müller, “Köln”\n业务员 🙂", 3, "1234.50", date(2026, 5, 15), NOON, True)
EMPTY = (None,) * 6
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
ATTACKS = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1+1",
    "＋1",
    "－1",
    "＠x",
    '=HYPERLINK("http://x")',
)


def table(*rows: Row, name: str = "things") -> Table:
    """Give a table of these rows."""
    return Table(name, COLUMNS, rows)


def texts(*values: str) -> Table:
    """Give a table of one column of texts."""
    return Table("texts", columns(name=Kind.text), [(value,) for value in values])


def whole(tables: Sequence[Table], form: str, *, bom: bool = False) -> bytes:
    """Write an export in one piece."""
    return b"".join(written(tables, form, bom=bom))


def read_csv(data: bytes) -> list[list[str]]:
    """Read a CSV text as another program does."""
    return list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))


def read_xlsx(data: bytes) -> dict[str, list[list[Any]]]:
    """Read a workbook with another library."""
    book = CalamineWorkbook.from_filelike(io.BytesIO(data))
    return {name: book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in book.sheet_names}


# ---- CSV


def test_csv_is_of_rfc_4180() -> None:
    """Lines end in CRLF, what needs quotes has them, quotes are doubled; UTF-8 without a mark."""
    assert whole([table(ROW, EMPTY)], "csv").decode() == (
        "name,count,amount,day,at,closed\r\n"
        '"Müller, “Köln”\n业务员 🙂",3,1234.50,2026-05-15,2026-05-15T12:00:00.123456Z,true\r\n'
        ",,,,,\r\n"
    )
    assert whole([texts('say "hi"')], "csv") == b'name\r\n"say ""hi"""\r\n'


def test_a_byte_order_mark_is_written_on_request() -> None:
    plain = whole([table(ROW)], "csv")
    assert whole([table(ROW)], "csv", bom=True) == b"\xef\xbb\xbf" + plain


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_text_is_no_formula_in_csv(attack: str) -> None:
    assert read_csv(whole([texts(attack)], "csv")) == [["name"], ["'" + attack]]


def test_a_negative_amount_keeps_its_sign_in_csv() -> None:
    """It is no text, and an apostrophe would make it one."""
    row = (None, -3, "-1234567890123.123456", None, None, False)
    assert read_csv(whole([table(row)], "csv"))[1] == ["", "-3", "-1234567890123.123456", "", "", "false"]


def test_several_tables_are_one_csv_with_the_columns_of_all() -> None:
    other = Table("others", columns(name=Kind.text, share=Kind.amount), [("x", "0.5")])
    assert read_csv(whole([table(ROW), other], "csv")) == [
        ["table", "name", "count", "amount", "day", "at", "closed", "share"],
        ["things", ROW[0], "3", "1234.50", "2026-05-15", "2026-05-15T12:00:00.123456Z", "true", ""],
        ["others", "x", "", "", "", "", "", "0.5"],
    ]


@settings(deadline=None)
@given(st.lists(TEXTS | st.from_regex(r"\A'*[=@-]?'?x?\Z"), max_size=5))
def test_every_text_comes_back_from_csv(values: list[str]) -> None:
    """But for the apostrophe before what begins like a formula, and before those that it has already."""
    _, *rows = read_csv(whole([texts(*values)], "csv"))
    for value, [found] in zip(values, (row or [""] for row in rows), strict=True):
        assert found in {value, "'" + value}
        assert found[:1] not in {"=", "+", "-", "@", "\t", "\r"}
        assert unguarded(found) == value


# ---- NDJSON


def test_ndjson_has_an_object_a_line() -> None:
    first, second = whole([table(ROW, EMPTY)], "ndjson").splitlines()
    assert json.loads(first) == {
        "name": ROW[0],
        "count": 3,
        "amount": "1234.50",
        "day": "2026-05-15",
        "at": "2026-05-15T12:00:00.123456Z",
        "closed": True,
    }
    assert set(json.loads(second).values()) == {None}
    lines = whole([table(ROW), texts("=x")], "ndjson").splitlines()
    assert [json.loads(line)["table"] for line in lines] == ["things", "texts"]
    assert json.loads(lines[1])["name"] == "=x", "it is data for programs, and whole"


# ---- XLSX


def test_xlsx_has_typed_cells() -> None:
    sheets = read_xlsx(whole([table(ROW, EMPTY), texts("x")], "xlsx"))
    assert sheets == {
        "things": [
            ["name", "count", "amount", "day", "at", "closed"],
            [
                ROW[0],
                3.0,
                1234.5,
                date(2026, 5, 15),
                NOON.astimezone(UTC).replace(microsecond=123000, tzinfo=None),
                True,
            ],
        ],
        "texts": [["name"], ["x"]],
    }


@pytest.mark.parametrize(
    "text",
    [
        *ATTACKS,
        "{=1}",
        "http://example.com",
        "mailto:x@y",
        "internal:A1",
        "00123",
        "1e5",
        "TRUE",
        " space ",
        "_x0041_",
        "<r>&</r>",
        "<r><t>other</t></r>",
        "a\tb",
        "a\nb",
        "\x0b",
        "'=1",
        "",
        "&<>\"'",
        "]]>",
        "名" * 500,
    ],
)
def test_a_text_stays_a_text_in_xlsx(text: str) -> None:
    data = whole([texts(text, "end")], "xlsx")
    assert read_xlsx(data)["texts"][1:] == [[text], ["end"]]
    with ZipFile(io.BytesIO(data)) as parts:
        assert b"<f>" not in parts.read("xl/worksheets/sheet1.xml"), "no formula"
        assert not [name for name in parts.namelist() if "_rels/sheet" in name], "no link"


def test_an_amount_beyond_what_a_spreadsheet_keeps_is_a_text() -> None:
    amounts = ["123456789012345", "1234567890123456", "9223372036854.775807", "-0.0000000001", "8.95", "-0.50"]
    rows = [(None, None, amount, None, None, None) for amount in amounts]
    found = [row[2] for row in read_xlsx(whole([table(*rows)], "xlsx"))["things"][1:]]
    assert found == [123456789012345.0, amounts[1], amounts[2], -1e-10, 8.95, -0.5]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(-(10**15), 10**15), st.integers(0, 10)), min_size=1, max_size=20))
def test_every_amount_comes_back_exactly_from_xlsx(numbers: list[tuple[int, int]]) -> None:
    amounts = [decimal_text(number, decimals) for number, decimals in numbers]
    rows = [("x", None, amount, None, None, None) for amount in amounts]
    found = [row[2] for row in read_xlsx(whole([table(*rows)], "xlsx"))["things"][1:]]
    for amount, cell in zip(amounts, found, strict=True):
        assert Decimal(repr(cell) if isinstance(cell, float) else cell) == Decimal(amount)


def test_a_day_that_spreadsheets_do_not_agree_on_is_a_text() -> None:
    rows = [(None, None, None, day, None, None) for day in (date(1, 1, 1), date(1900, 2, 28), date(1900, 3, 1))]
    found = [row[3] for row in read_xlsx(whole([table(*rows)], "xlsx"))["things"][1:]]
    assert found == ["0001-01-01", "1900-02-28", date(1900, 3, 1)]


@pytest.mark.parametrize("letter", ["x", "🙂"])
def test_a_text_too_long_for_a_cell_is_cut_and_says_so(letter: str) -> None:
    ((_,), (text,)) = read_xlsx(whole([texts(letter * 40_000)], "xlsx"))["texts"]
    assert text.endswith(letter + "…")
    assert CELL_UNITS_MAX - 1 <= len(text.encode("utf-16-le")) // 2 <= CELL_UNITS_MAX


def test_a_table_too_long_for_a_sheet_goes_on_on_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "SHEET_ROWS_MAX", 3)
    sheets = read_xlsx(whole([texts("1", "2", "3")], "xlsx"))
    assert sheets == {"texts": [["name"], ["1"], ["2"]], "texts (2)": [["name"], ["3"]]}


@settings(deadline=None, max_examples=50)
@given(st.lists(TEXTS.filter(lambda text: not set(text) & {"\r", "\ufffe", "\uffff"}), min_size=1, max_size=5))
def test_every_text_comes_back_from_xlsx(values: list[str]) -> None:
    """But for what XML can't hold, or makes another line end of."""
    found = read_xlsx(whole([texts(*values, "end")], "xlsx"))["texts"][1:-1]
    assert found == [[value] for value in values]


# ---- Parquet


def read_parquet(data: bytes) -> tuple[dict[str, str], list[tuple[Any, ...]]]:
    """Read a Parquet file: its columns with their types, and its rows, instants as seconds."""
    with TemporaryDirectory() as folder, duckdb.connect() as engine:
        path = Path(folder) / "file.parquet"
        path.write_bytes(data)
        found = engine.read_parquet(str(path))
        kinds = dict(zip(found.columns, map(str, found.types), strict=True))
        instants = [f'epoch("{name}")' if "TIME ZONE" in kind else f'"{name}"' for name, kind in kinds.items()]
        return kinds, found.project(", ".join(instants)).fetchall()


def test_parquet_has_typed_columns() -> None:
    kinds, rows = read_parquet(whole([table(ROW, EMPTY)], "parquet"))
    assert kinds == {
        "name": "VARCHAR",
        "count": "BIGINT",
        "amount": "DECIMAL(38,10)",
        "day": "DATE",
        "at": "TIMESTAMP WITH TIME ZONE",
        "closed": "BOOLEAN",
    }
    assert rows == [(ROW[0], 3, Decimal("1234.50"), date(2026, 5, 15), NOON.timestamp(), True), EMPTY]
    assert read_parquet(whole([table()], "parquet")) == (kinds, []), "what nothing is in has its columns"


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(TEXTS, st.integers(-(10**28) + 1, 10**28 - 1)), min_size=1, max_size=20))
def test_every_text_and_amount_comes_back_exactly_from_parquet(given_rows: list[tuple[str, int]]) -> None:
    rows = [(text, None, decimal_text(number, 10), None, None, None) for text, number in given_rows]
    _, found = read_parquet(whole([table(*rows)], "parquet"))
    assert [(row[0], row[2]) for row in found] == [(row[0], Decimal(row[2])) for row in rows]


# ---- over HTTP


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, None),
        ("*/*", None),
        ("application/json", None),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", None),
        ("text/csv", "csv"),
        ("text/csv; charset=utf-8", "csv"),
        ("text/csv;q=0.5, application/json;q=0.4", "csv"),
        ("text/*", "csv"),
        ("application/x-ndjson", "ndjson"),
        ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
        ("application/vnd.apache.parquet", "parquet"),
        ("image/png", None),
        ("text/csv;q=x, ,;", None),
        ("text/csv;q=0", None),
        ("text/csv;q=0, application/json;q=0.5", None),
        ("text/csv;q=0, application/x-ndjson;q=0.1", "ndjson"),
        ("text/*, text/csv;q=0.0", None),
        ("text/*;q=0, text/csv", "csv"),
    ],
)
def test_the_accept_header_chooses(accept: str | None, form: str | None) -> None:
    app = create_app(Config("postgresql://127.0.0.1:1/none"))
    headers = {} if accept is None else {"Accept": accept}
    with app.request_context(EnvironBuilder(headers=list(headers.items())).get_environ()):
        assert asked_format() == form


def test_a_long_table_is_never_whole_in_memory() -> None:
    """Rows are asked for as chunks are taken."""
    asked = 0

    def rows() -> Any:
        nonlocal asked
        for asked in range(1, 200_001):
            yield ("x" * 40, asked, None, None, datetime(2026, 1, 1, tzinfo=UTC), None)

    chunks = written([Table("long", COLUMNS, rows())], "csv")
    assert len(next(chunks)) < 2 * exports.CHUNK_BYTES
    assert asked < 2_000
