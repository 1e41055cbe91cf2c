"""How an import reads a file: encodings, delimiters, headers, dates and decimals, and what it never guesses."""

import csv
import io
from collections.abc import Iterable
from datetime import date
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from api.import_encodings import ENCODINGS, decide_encoding
from api.import_headers import HeaderSearch
from api.import_orders import Understanding, packed, unpacked
from api.import_profiles import FIELDS, propose_columns
from api.import_proposal import propose
from api.import_tables import read_csv, read_objects
from api.import_values import (
    DATE_FORMATS,
    DECIMAL_FORMATS,
    Number,
    date_fits,
    decimal_fits,
    decimal_in,
    is_as_day,
    is_damaged,
    is_error,
    is_rounded,
    see_all,
)
from api.shapes import Field, ImportProfile
from ledger.refusal import Code, Refusal

BOMS = {"utf-8": "utf-8-sig", "utf-16-le": "utf-16-le", "utf-16-be": "utf-16-be"}


# ---- encodings


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("order,customer\nSO-1,Bo\n", "utf-8"),
        ("订单号,客户\nSO-1,华光公司\n", "utf-8"),
        ("订单号,客户\nSO-1,华光公司\n", "gb18030"),
        ("訂單號,客戶\nSO-1,華光公司\n", "big5"),
        ("订单号,客户\nSO-1,华光公司\n", "utf-16-le"),
        ("order,customer\nSO-1,Bo\n", "utf-16-be"),
        ("order,customer\nSO-1,Müller\nSO-2,Straße\n", "utf-8"),
        ("order,customer\nSO-1,Müller\nSO-2,Straße\n", "cp1252"),
        ("order,customer\nSO-1,Café Noir\nSO-2,Agnès\n", "cp1252"),
        ("order,customer\nSO-1,Иванов\n", "utf-8"),
        ("order,customer\nSO-1,华光电子有限公司\n", "gb18030"),
    ],
)
def test_an_encoding_is_known_where_one_alone_makes_sense(text: str, encoding: str) -> None:
    decision, _ = decide_encoding(io.BytesIO(text.encode(encoding)), None)
    assert (decision.value, decision.certain) == (encoding, True), decision


@pytest.mark.parametrize("encoding", BOMS)
def test_a_byte_order_mark_decides(encoding: str) -> None:
    raw = ("\ufeff" + "order,customer\nSO-1,业\n").encode(encoding)
    decision, _ = decide_encoding(io.BytesIO(raw), None)
    assert (decision.value, decision.certain) == (encoding, True)
    assert read_csv(io.BytesIO(raw), encoding, ",").headers == ["order", "customer"], "the mark is no part of a name"


@pytest.mark.parametrize(
    "raw",
    [
        b"order,customer\nSO-1,\xd2\xb5\n",  # 业 in GB18030, a Cyrillic letter in UTF-8
        b"order,customer\nSO-1,\xb0\xa1\xb0\xa2\n",  # words in daily use in GB18030 and in Big5
    ],
)
def test_what_reads_well_in_two_encodings_is_asked_for(raw: bytes) -> None:
    decision, shown_in = decide_encoding(io.BytesIO(raw), None)
    assert (decision.certain, decision.value) == (False, None)
    assert shown_in in decision.candidates
    assert len(decision.candidates) > 1
    said, _ = decide_encoding(io.BytesIO(raw), "gb18030")
    assert said.certain


def test_an_encoding_that_is_said_and_can_not_be_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        decide_encoding(io.BytesIO("Müller".encode("cp1252")), "utf-8")
    assert refused.value.code is Code.unknown_encoding


# ---- delimiters, headers


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_delimiter_is_known_by_the_headers(delimiter: str) -> None:
    rows = [["order no.", "date", "amount"], ["SO-1", "2026-03-31", "1"]]
    text = "\n".join(delimiter.join(row) for row in rows)
    decisions = {each.name: each for each in propose(io.BytesIO(text.encode()), "csv", ImportProfile()).decisions}
    assert (decisions["delimiter"].value, decisions["delimiter"].certain) == (delimiter, True)


def test_a_header_that_can_be_divided_in_two_ways_is_asked_for() -> None:
    proposal = propose(io.BytesIO(b"foo,bar;baz\n1,2;3\n"), "csv", ImportProfile())
    (delimiter,) = [each for each in proposal.decisions if each.name == "delimiter"]
    assert (delimiter.certain, set(delimiter.candidates)) == (False, {",", ";"})


@pytest.mark.parametrize(
    ("header", "field"),
    [
        *(
            ("订单号", "order_id"),
            ("訂單編號", "order_id"),
            ("Order No.", "order_id"),
            ("ＯＲＤＥＲ＿ＩＤ", "order_id"),
        ),
        *(
            ("下单日期", "order_date"),
            ("Order Date", "order_date"),
            ("订单类型", "order_type"),
            ("客户", "customer_id"),
        ),
        *(("产品", "product_id"), ("业务员", "salesperson_id"), ("Sales Rep", "salesperson_id"), ("金额", "amount")),
        *(("数量", "quantity"), ("QTY", "quantity"), ("币种", "currency"), ("行号", "line_no"), ("类别", "category")),
        *(
            (" 客户 编号 ", "customer_id"),
            ("客户名称", "customer_name"),
            ("SKU", "product_id"),
            ("Net Value", "amount"),
        ),
    ],
)
def test_a_header_is_understood(header: str, field: str) -> None:
    columns, decisions = propose_columns([header, "whatever"], {})
    assert columns == {field: header}
    assert [decision.certain for decision in decisions] == [True]


def test_a_header_that_names_a_thing_is_its_name_where_another_is_its_id() -> None:
    columns, _ = propose_columns(["customer", "customer no", "产品", "产品编号", "Sales Rep"], {})
    assert columns == {
        "customer_id": "customer no",
        "customer_name": "customer",
        "product_id": "产品编号",
        "product_name": "产品",
        "salesperson_id": "Sales Rep",
    }


def test_two_columns_for_one_field_are_asked_for() -> None:
    _, decisions = propose_columns(["amount", "net amount"], {})
    assert [(each.name, each.certain, each.candidates) for each in decisions] == [
        ("columns/amount", False, ["amount", "net amount"])
    ]
    columns, said = propose_columns(["amount", "net amount"], {"amount": "net amount"})
    assert (columns, said[0].certain) == ({"amount": "net amount"}, True)


# ---- values


@pytest.mark.parametrize(
    ("texts", "decided"),
    [
        (["2026-03-31"], "YYYY-MM-DD"),
        (["2026/3/31"], "YYYY/MM/DD"),
        (["31.03.2026"], "DD.MM.YYYY"),
        (["03/31/2026"], "MM/DD/YYYY"),
        (["31/03/2026"], "DD/MM/YYYY"),
        (["20260331"], "YYYYMMDD"),
        (["2026年3月31日"], "YYYY年MM月DD日"),
        (["２０２６－０３－３１", "2026-03-31 08:15:00"], "YYYY-MM-DD"),
        (["01-03-2026", "31-03-2026"], "DD-MM-YYYY"),
        (["05/05/2026"], "DD/MM/YYYY"),
        (["01-03-2026"], None),
        (["31/03/2026", "03/31/2026"], None),
        (["2026-03-31", "31.03.2026"], None),
    ],
)
def test_a_date_format_is_known_where_some_row_decides(texts: list[str], decided: str | None) -> None:
    fits = date_fits()
    see_all(fits, texts)
    decision = fits.decide("date_format")
    assert (decision.value, decision.certain) == (decided, decided is not None)
    assert decided is not None or len(decision.candidates) == 2


@pytest.mark.parametrize(
    ("texts", "decided"),
    [
        (["1234.56"], "1234.56"),
        (["12", "-5"], "1234.56"),
        (["1,234.56"], "1,234.56"),
        (["1.234,56"], "1.234,56"),
        (["1\u00a0234,56"], "1 234,56"),
        (["1,234", "2.50"], "1,234.56"),
        (["1.234", "2.50"], "1234.56"),
        (["1,234"], None),
        (["1.234"], None),
        (["1.5", "2,5"], None),
    ],
)
def test_a_decimal_format_is_known_where_some_row_decides(texts: list[str], decided: str | None) -> None:
    fits = decimal_fits()
    see_all(fits, texts)
    decision = fits.decide("decimal_format")
    assert (decision.value, decision.certain) == (decided, decided is not None)


@pytest.mark.parametrize("text", ["€5", "$1,234.56", "5 EUR", "¥5", "1e5", "1,23,456.00", "--1", "1.2.3", "", "１２x"])
def test_what_is_no_decimal_is_none_in_any_format(text: str) -> None:
    assert [name for name in DECIMAL_FORMATS if decimal_in(text, name) is not None] == []


@pytest.mark.parametrize(
    ("cell", "damaged"),
    [
        *(("1.23457E+11", True), ("10248.0", True), ("10248,00", True), (Number("10248.5"), True)),
        *((Number("1" * 16), True), ("SO-1", False), ("00123", False), ("E12", False), ("1.5", False)),
        (Number("10248"), False),
    ],
)
def test_an_id_that_a_spreadsheet_made_is_seen(cell: Any, damaged: bool) -> None:
    assert is_damaged(cell) is damaged


@pytest.mark.parametrize(
    "text",
    [
        *("#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!", " #N/A ", "######"),
        *("#NV", "#BEZUG!", "#WERT!", "#ZAHL!", "#N/V", "#NOM?", "#VALEUR!", "#NUL!", "#NOMBRE!"),
        *("#N/D", "#¡REF!", "#¿NOMBRE?", "#¡VALOR!", "#¡NULO!", "#¡NUM!"),
    ],
)
def test_a_cell_that_holds_an_error_is_seen(text: str) -> None:
    assert is_error(text)


@pytest.mark.parametrize("text", ["", "#", "#1", "N/A", "A#####", "#N/A!", "PO#12", "NV", "#WERT", "#NV-1"])
def test_a_text_with_a_number_sign_is_no_error(text: str) -> None:
    assert not is_error(text)


@pytest.mark.parametrize(
    ("text", "as_day", "rounded"),
    [
        *((text, True, False) for text in ("3-Jan", "03-Jan", "Jan-03", "3-Mar", "1-Dec-03", "3月1日", "2003年1月")),
        *((text, False, True) for text in ("1234567890123450", "123456789012345000")),
        *((text, False, False) for text in ("3-1", "MAR3", "3-JAN", "Jan-2003-7", "SO-3-Jan", "2026-03-01", "月1日")),
        *((text, False, False) for text in ("1234567890123456", "1234567890123450-1", "123456789012000", "0" * 5)),
    ],
)
def test_an_id_that_a_spreadsheet_may_have_made_is_seen(text: str, as_day: bool, rounded: bool) -> None:
    assert (is_as_day(text), is_rounded(text), is_damaged(text)) == (as_day, rounded, False)


# ---- where the header is

COLUMNS = "Order No,Order Date,Type,Customer"


@pytest.mark.parametrize(
    ("lines", "line", "decision"),
    [
        ([COLUMNS], 1, None),
        (["", ",,,", COLUMNS], 3, None),
        (["Sales report", "", COLUMNS], 3, ("Order No", True)),
        (["Sales report,,,", "March 2026,,,", ",,,", COLUMNS], 4, ("Order No", True)),
        (["Order,,,", COLUMNS], 2, ("Order No", True)),
        (["Printed,2026-04-01,by,Ann", COLUMNS], 2, ("Order No", True)),
        (["Date,2026-04-01,,", COLUMNS], 2, (None, False)),
        ([COLUMNS, COLUMNS], 1, None),
        (["Order No,foo", "SO-1,Customer"], 1, None),
        (["foo,bar", "a,b"], 1, None),
        (["Order No", "Order No,Order Date,Type"], 2, ("Order Date", True)),
        ([*(f"title {number}" for number in range(30)), COLUMNS], 1, None),
    ],
)
def test_the_header_is_below_titles(lines: list[str], line: int, decision: tuple[str | None, bool] | None) -> None:
    """Rows of one cell, or that name no field; a row that names one beside something else may be the header too."""
    table = read_csv(io.BytesIO("\n".join([*lines, "x,y"]).encode()), "utf-8", ",")
    assert table.headers == [cell for cell in lines[line - 1].split(",") if cell]
    assert decision == (table.decision and (table.decision.value, table.decision.certain))
    assert [row.line for row in table.rows][-1] == len(lines) + 1, "lines are those of the file"


@pytest.mark.parametrize(
    ("search", "headers", "certain"),
    [
        (HeaderSearch("Date"), ["Date", "2026-04-01"], True),
        (HeaderSearch("Order No"), ["Order No", "Order Date", "Type", "Customer"], True),
        (HeaderSearch("nowhere"), ["Order No", "Order Date", "Type", "Customer"], False),
    ],
)
def test_a_profile_says_which_row_is_the_header(search: HeaderSearch, headers: list[str], certain: bool) -> None:
    raw = f"Date,2026-04-01\n{COLUMNS}\nx,y\n".encode()
    table = read_csv(io.BytesIO(raw), "utf-8", ",", search)
    assert table.headers == headers
    assert table.decision is not None
    assert table.decision.certain == certain


def test_columns_that_a_profile_names_are_a_header_too() -> None:
    search = HeaderSearch(columns={"order_id": "foo", "order_date": "bar", "amount": "baz"})
    table = read_csv(io.BytesIO(f"A title\nfoo,bar,baz\n{COLUMNS}\n".encode()), "utf-8", ",", search)
    assert table.headers == ["foo", "bar", "baz"]


# ---- rows


def rows_of(text: str) -> list[tuple[int, tuple[Any, ...], bool]]:
    """Read the rows under a header of two columns."""
    table = read_csv(io.BytesIO(text.encode()), "utf-8", ",")
    return [(row.line, row.cells, row.fault is not None) for row in table.rows]


def test_a_quote_left_open_spoils_its_own_row_only() -> None:
    assert rows_of('a,b\n1,"x\n2,y\n\n3,z\n') == [
        (2, ("1", '"x'), True),
        (3, ("2", "y"), False),
        (5, ("3", "z"), False),
    ]


def test_a_quoted_field_may_hold_line_ends() -> None:
    assert rows_of('a,b\r\n1,"x\r\ny"\r\n2,z\r\n') == [(2, ("1", "x\r\ny"), False), (4, ("2", "z"), False)]


def test_a_row_of_another_width_is_faulty_unless_the_rest_is_empty() -> None:
    assert rows_of("a,b\n1,2,,\n1\n1,2,3\n,,\n") == [
        (2, ("1", "2"), False),
        (3, ("1", ""), True),
        (4, ("1", "2"), True),
    ]


def test_json_keeps_numbers_as_they_are_written() -> None:
    table = read_objects(io.BytesIO(b'{"a": 12.50, "b": 7}\n{"c": null, "a": "x"}\n'), "utf-8")
    assert table.headers == ["a", "b", "c"]
    assert [row.cells for row in table.rows] == [(Number("12.50"), "7", ""), ("x", "", "")]


# ---- whatever is written is read back


TEXTS = (
    st.text("abcXYZ019 .,;|\"'äß华光公司-=", min_size=1, max_size=12)
    .map(str.strip)
    .filter(lambda text: text and text[0] not in "'=-" and not is_damaged(text))
)
AMOUNTS = st.tuples(st.integers(-(10**9), 10**9), st.integers(0, 6))
DAYS = st.dates(date(1900, 1, 1), date(2199, 12, 31))
TABLES = st.lists(st.tuples(TEXTS, DAYS, AMOUNTS), min_size=1, max_size=6)


def plain_decimal(number: int, decimals: int) -> str:
    """Write a decimal the plain way."""
    digits = str(abs(number)).rjust(decimals + 1, "0")
    whole, fraction = digits[: len(digits) - decimals], digits[len(digits) - decimals :]
    return ("-" if number < 0 else "") + whole + (f".{fraction}" if fraction else "")


def written_decimal(text: str, form: str) -> str:
    """Write a plain decimal in a format, with its groups."""
    if form == "1234.56":
        return text
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, dot, fraction = digits.partition(".")
    grouped = f"{int(whole):,}".replace(",", {"1,234.56": ",", "1.234,56": ".", "1 234,56": "\u00a0"}[form])
    return sign + grouped + (form[-3] + fraction if dot else "")


def written_day(day: date, form: str) -> str:
    """Write a day in a format."""
    parts = (("YYYY", f"{day.year:04}"), ("MM", f"{day.month:02}"), ("DD", f"{day.day:02}"))
    for name, text in parts:
        form = form.replace(name, text)
    return form


def written(rows: Iterable[Iterable[str]], delimiter: str, encoding: str, *, bom: bool) -> bytes:
    """Write a CSV."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return (("\ufeff" if bom else "") + text.getvalue()).encode(encoding)


@settings(deadline=None, max_examples=150)
@given(
    TABLES,
    st.sampled_from(ENCODINGS),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(DATE_FORMATS),
    st.sampled_from(DECIMAL_FORMATS),
)
def test_a_table_is_read_back_by_its_profile(
    table: list[tuple[str, date, tuple[int, int]]],
    encoding: Any,
    delimiter: Any,
    date_format: Any,
    decimal_format: Any,
) -> None:
    assume(encoding != "cp1252" or "年" not in date_format)
    if encoding in ("cp1252", "big5"):
        readable = [(name.encode(encoding, "ignore").decode(encoding).strip() or "x", *rest) for name, *rest in table]
        table = readable  # type: ignore[assignment]
    columns: dict[Field, str] = {"order_id": "id", "order_date": "day", "amount": "value"}
    rows = [["id", "day", "value"]]
    for name, day, (number, decimals) in table:
        amount = written_decimal(plain_decimal(number, decimals), decimal_format)
        rows.append([name, written_day(day, date_format), amount])
    bom = encoding in BOMS and encoding != "utf-8"
    if encoding in ("big5", "cp1252", "gb18030"):
        rows = [[cell.replace("\u00a0", " ") for cell in row] for row in rows]
    file = io.BytesIO(written(rows, delimiter, encoding, bom=bom))
    profile = ImportProfile(
        encoding=encoding,
        delimiter=delimiter,
        columns=columns,
        date_format=date_format,
        decimal_format=decimal_format,
        source="s",
    )
    proposal = propose(file, "csv", profile)
    opened = proposal.access.table(file)
    understanding = Understanding(opened.headers, proposal.profile)
    found = []
    for raw in opened.rows:
        assert raw.fault is None
        row = unpacked(raw.line, packed(raw))
        found.append((understanding.order_id(row), understanding.day(row), understanding.decimal(row, "amount")))
    assert found == [(name, day, plain_decimal(*amount)) for name, day, amount in table]


def test_every_field_has_a_name_that_is_understood() -> None:
    """A file whose headers are the fields' own names needs no mapping."""
    columns, decisions = propose_columns(list(FIELDS), {})
    assert columns == {name: name for name in FIELDS}
    assert all(decision.certain for decision in decisions)
