"""Imports over HTTP: a file is staged and told, committed once whatever is killed, and its bad rows come back."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import xlsxwriter
from werkzeug.test import TestResponse

from api.exports import MEDIA_TYPES
from api.staged_imports import begin, run
from ledger.database import Database
from ledger.refusal import Code
from ledger.staging import forget_old, held
from tests.http_client import Service, placed, refused, serving
from tests.test_real_data import ALL, DATA, SETS, figures, needs_data, read_expected

ROOT = Path(__file__).parent.parent

HEADERS = "订单号,下单日期,订单类型,客户编号,客户名称,业务员编号,业务员,产品编号,产品名称,类别,数量,金额,币种"
ROWS = (
    "SO-1,2026-03-05,standard,C-1,华光公司,ann,Ann Berg,P-1,传感器,传感,2,168.00,EUR",
    "SO-2,2026-03-06,standard,C-2,Müller AG,bob,Bob,P-1,传感器,传感,1,84.5,EUR",
    "SO-1,2026-03-05,standard,C-1,华光公司,ann,Ann Berg,P-2,驱动器,驱动,1,32.00,EUR",
)
CSV = "\r\n".join((HEADERS, *ROWS, "")).encode()
XLSX, NDJSON = MEDIA_TYPES["xlsx"], MEDIA_TYPES["ndjson"]


class Importing:
    """A service with an order type, and short ways to import."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def send(self, content: bytes, media_type: str = "text/csv", role: str = "ingest", **query: str) -> TestResponse:
        """Upload a file."""
        return self.service.ask(
            "POST", "/v1/imports", role, data=content, content_type=media_type, query_string={"name": "f", **query}
        )

    def staged(self, content: bytes, media_type: str = "text/csv", **query: str) -> Any:
        """Upload a file that can be staged."""
        response = self.send(content, media_type, **query)
        assert response.status_code == 201, response.text
        return response.json

    def act(self, method: str, told: Any, what: str, **options: Any) -> TestResponse:
        """Ask something of an import."""
        return self.service.ask(method, f"/v1/imports/{told['id']}/{what}", "ingest", **options)

    def commit(self, told: Any, accept: bool = False) -> Any:
        """Commit, and wait until it has ended."""
        response = self.act("POST", told, "commit", sent={"accept_good_rows": accept})
        assert response.status_code == 202, response.text
        self.service.app.imports.wait()
        return self.again(told)

    def again(self, told: Any) -> Any:
        """Read an import again."""
        return self.service.get(f"/v1/imports/{told['id']}", "finance")

    def profile(self, told: Any, **said: Any) -> Any:
        """Read it by another profile."""
        response = self.act("PUT", told, "profile", sent=said)
        assert response.status_code == 200, response.text
        return response.json


@pytest.fixture
def importing(database: Database) -> Iterator[Importing]:
    """Serve a ledger with one order type."""
    with serving(database) as service:
        service.define(standard="1")
        yield Importing(service)


def test_a_file_is_staged_told_and_committed_once(importing: Importing) -> None:
    before = importing.service.trace()
    told = importing.staged(CSV)
    assert (told["state"], told["errors"]) == ("staged", [])
    assert importing.service.trace() == before, "nothing is recorded yet"
    assert told["counts"] == {"rows": 3, "orders": 2, "rejected_orders": 0, "rejected_rows": 0, "problems": 0}
    assert all(decision["certain"] and decision["why"] for decision in told["decisions"])
    impact = told["impact"]
    assert impact["amounts"] == [
        {"period": "2026-Q1", "closed": False, "currency": "EUR", "orders": 2, "amount": "284.5"}
    ]
    assert (impact["new_customers"], impact["new_salespeople"], impact["closed_periods"]) == (2, 2, [])
    done = importing.commit(told)
    assert (done["state"], done["actor"]) == ("committed", "ingest-clerk")
    assert {each["actor"] for each in importing.service.get("/v1/events")[-2:]} == {"ingest-clerk"}
    assert done["progress"] == {"done": 2, "orders": 2, "recorded": 2, "duplicates": 0, "refused": 0}
    importing.service.catch_up()
    assert importing.service.figures(period="2026-Q1") == {("ann", "EUR"): "200.00", ("bob", "EUR"): "84.50"}
    again = importing.staged(CSV)
    assert (again["impact"]["orders"], again["impact"]["duplicates"]) == (0, 2)
    head = importing.service.app.store.head()
    assert importing.commit(again)["progress"]["duplicates"] == 2
    assert importing.service.app.store.head() == head


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (CSV + b"SO-2,2026-03-06\r\n", (5, None, "invalid_csv")),
        (
            CSV.replace(ROWS[2].encode(), ROWS[2].replace("C-1", "C-9").encode()),
            (4, "客户编号", "invalid_value"),
        ),
    ],
    ids=["unreadable", "another customer"],
)
def test_a_bad_row_of_an_order_that_is_recorded_already_is_told(
    importing: Importing, content: bytes, told: tuple[int, str | None, str]
) -> None:
    """The other rows may say what is recorded, but the file says more."""
    importing.commit(importing.staged(CSV))
    again = importing.staged(content)
    assert [(each["line"], each["column"], each["code"]) for each in again["errors"]] == [told]
    assert (again["counts"]["rejected_orders"], again["impact"]["duplicates"]) == (1, 1)


# ---- what is refused


@pytest.mark.parametrize(
    ("content", "media_type", "code"),
    [
        (b"", "text/csv", Code.invalid_csv),
        (HEADERS.encode(), "text/csv", Code.invalid_csv),
        (b"\r\n\r\n,,,\r\n", "text/csv", Code.invalid_csv),
        (b"\x00\x00\x02\xff\xfe" * 100, "text/csv", Code.unknown_encoding),
        (bytes(range(256)) * 50, "text/csv", Code.unknown_encoding),
        (b"\xef\xbb\xbf\xff\xff\n", "text/csv", Code.unknown_encoding),
        (b"a" * 10_000_000, "text/csv", Code.invalid_csv),
        (b'"' + b"a,\n" * 3_000_000, "text/csv", Code.invalid_csv),
        (CSV, XLSX, Code.invalid_workbook),
        (b"PK\x03\x04" + b"x" * 1000, XLSX, Code.invalid_workbook),
        (b"[]\n1\n", NDJSON, Code.invalid_csv),
        (b"{" * 100_000, NDJSON, Code.invalid_csv),
        (b'{"a":[1]}\n', NDJSON, Code.invalid_csv),
        (CSV, "application/pdf", Code.unsupported_media_type),
    ],
    ids=range(14),
)
def test_what_can_not_be_read_is_refused_and_nothing_kept(
    importing: Importing, content: bytes, media_type: str, code: Code
) -> None:
    before = importing.service.trace()
    refused(importing.send(content, media_type), code)
    assert importing.service.get("/v1/imports", "ingest")["imports"] == []
    assert importing.service.trace() == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (CSV, "it is none, or it is damaged"),
        (bytes.fromhex("d0cf11e0a1b11ae1") + b"x" * 1000, "it is an old .xls, or has a password"),
    ],
)
def test_why_a_workbook_can_not_be_read_is_told_in_words_of_ours(
    importing: Importing, content: bytes, words: str
) -> None:
    (error,) = refused(importing.send(content, XLSX), Code.invalid_workbook)
    assert f"({words})" in error["detail"]


@pytest.mark.parametrize(
    ("row", "words"),
    [(b'SO-9,"x', "a quote is left open"), (b'SO-9,"x"y"', "something stands behind a closing quote")],
)
def test_why_a_row_can_not_be_read_is_told_in_words_of_ours(importing: Importing, row: bytes, words: str) -> None:
    (error,) = (each for each in importing.staged(CSV + row)["errors"] if each["column"] is None)
    assert (error["line"], error["code"]) == (5, "invalid_csv")
    assert f"({words})" in error["detail"]


def workbook(rows: list[list[Any]], sheet: str = "Orders") -> bytes:
    """Make a workbook of rows."""
    file = io.BytesIO()
    options = {"in_memory": True, "default_date_format": "yyyy-mm-dd", "strings_to_formulas": False}
    with xlsxwriter.Workbook(file, options) as book:
        page = book.add_worksheet(sheet)
        for number, row in enumerate(rows):
            page.write_row(number, 0, row)
    return file.getvalue()


def tampered(content: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """Change one part of a workbook."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            part = old.read(info)
            new.writestr(info.filename, change(part) if info.filename == name else part)
    return made.getvalue()


SHEET = "xl/worksheets/sheet1.xml"
WIDE = b"<row>" + b"<c/>" * 99 + b"<c><v>1</v></c></row></sheetData>"


@pytest.mark.parametrize(
    "change",
    [
        lambda part: part.replace(b'r="A2"', b'r="XFD1048576"'),
        lambda part: part.replace(b'r="A2"', b"r='xfd1048576'"),
        lambda part: part + b" " * 600_000_000,
        lambda part: part + b" " * 40_000_000,
        lambda part: part.replace(b"</sheetData>", b"<row/>" * 100_000 + WIDE),
        lambda part: part.replace(b"</sheetData>", b"""<row x="' r='1'"/>""" * 100_000 + WIDE),
        lambda part: part.replace(b"</sheetData>", b"<row/>" * 1_000_001 + b"</sheetData>"),
        lambda part: b"<x/>",
        lambda part: part[: len(part) // 2],
        lambda part: b"\xff" * 1000,
    ],
    ids=[
        *("far cell", "far cell in small letters", "bomb", "smaller bomb", "rows without numbers"),
        *("rows that only seem to have them", "rows without end", "no sheet", "cut off", "junk"),
    ],
)
def test_a_workbook_that_would_take_all_memory_is_refused(
    importing: Importing, change: Callable[[bytes], bytes]
) -> None:
    content = tampered(workbook([HEADERS.split(","), ROWS[0].split(",")]), SHEET, change)
    assert len(content) < 1_000_000
    response = importing.send(content, XLSX)
    assert refused(response, Code[response.get_json()["code"]])
    assert response.get_json()["code"] in {"invalid_workbook", "invalid_csv"}


def test_a_sheet_is_looked_at_whatever_its_part_is_called(importing: Importing) -> None:
    content, moved = workbook([HEADERS.split(","), ROWS[0].split(",")]), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(moved, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            part = old.read(info).replace(b"worksheets/sheet1.xml", b"others/1.xml")
            new.writestr(info.filename.replace("worksheets/sheet1.xml", "others/1.xml"), part)
    assert importing.staged(moved.getvalue(), XLSX)["counts"]["rows"] == 1
    far = tampered(moved.getvalue(), "xl/others/1.xml", lambda part: part.replace(b'r="A2"', b'r="XFD1048576"'))
    (error,) = refused(importing.send(far, XLSX), Code.invalid_workbook)
    assert "1,048,576 rows of 16,384 columns" in error["detail"]


def test_cells_need_not_say_where_they_are(importing: Importing) -> None:
    content = workbook([HEADERS.split(","), *(row.split(",") for row in ROWS)])
    plain = tampered(content, SHEET, lambda part: re.sub(rb' r="[A-Z]*\d+"', b"", part))
    assert len(plain) < len(content)
    told = importing.staged(plain, XLSX)
    assert (told["counts"]["rows"], told["impact"]) == (3, importing.staged(content, XLSX)["impact"])


def test_a_file_of_more_than_64_mib_is_refused(importing: Importing) -> None:
    refused(importing.send(b"x" * (64 * 1024 * 1024 + 1)), Code.body_too_large)
    assert importing.send(b"x" * (17 * 1024 * 1024)).status_code == 422, "more than other bodies, and no CSV"


def test_an_order_id_that_is_far_too_long_is_told(importing: Importing) -> None:
    """No index of the database takes it."""
    long = "".join(sha256(bytes([number])).hexdigest() for number in range(256))
    told = importing.staged(CSV.replace(b"SO-2", long.encode()))
    assert [(each["line"], each["column"], each["code"]) for each in told["errors"]] == [(3, "订单号", "invalid_value")]
    assert len(told["errors"][0]["detail"]) < 500


# ---- what is ambiguous


def test_an_ambiguous_date_and_decimal_wait_for_a_profile(importing: Importing) -> None:
    """01-03-2026 and 1,234 are told with what they may be; nothing is committed until the profile says which."""
    rows = f'{HEADERS};\nSO-1,01-03-2026,standard,C-1,,ann,,P-1,,,1,"1,234",EUR\n'.replace(";", "")
    told = importing.staged(rows.encode())
    assert told["state"] == "needs_profile"
    assert [(error["code"], error["pointer"]) for error in told["errors"]] == [
        ("ambiguous_value", "/date_format"),
        ("ambiguous_value", "/decimal_format"),
    ]
    assert "DD-MM-YYYY" in told["errors"][0]["detail"]
    errors = refused(importing.act("POST", told, "commit", sent={}), Code.import_not_ready)
    assert [error["pointer"] for error in errors] == ["", "/date_format", "/decimal_format"]
    said = importing.profile(told, date_format="DD-MM-YYYY", decimal_format="1.234,56")
    assert (said["state"], said["errors"]) == ("staged", [])
    preview = importing.service.get(f"/v1/imports/{told['id']}/preview", "finance")["rows"][0]
    assert (preview["understood"]["order_date"], preview["understood"]["amount"]) == ("2026-03-01", "1.234")
    assert preview["raw"][1] == "01-03-2026"
    other = importing.profile(told, date_format="MM-DD-YYYY", decimal_format="1,234.56")
    assert other["impact"]["amounts"][0]["amount"] == "1234"
    assert importing.commit(other)["progress"]["recorded"] == 1


def test_a_field_without_a_column_waits_for_a_profile(importing: Importing) -> None:
    rows = b"order,date,cust,product,qty,amount\nSO-1,2026-03-31,C-1,P-1,1,5\n"
    told = importing.staged(rows)
    assert {error["pointer"] for error in told["errors"]} == {
        *("/columns/order_type", "/columns/customer_id", "/columns/currency"),
    }
    assert {error["code"] for error in told["errors"]} == {"unmapped_column"}
    defaults = {"order_type": "standard", "currency": "EUR"}
    said = importing.profile(told, columns={"customer_id": "cust"}, defaults=defaults)
    assert told["given"] == {}
    assert said["given"] == {"columns": {"customer_id": "cust"}, "defaults": defaults}
    assert importing.commit(said)["state"] == "committed"


def of_either(*people: str) -> bytes:
    """Give rows whose column of salespeople is called so alone."""
    rows = (f"SO-9{at},2026-03-05,standard,C-1,{who},P-1,1,5,EUR" for at, who in enumerate(people))
    header = "order_id,order_date,order_type,customer_id,salesperson,product_id,quantity,amount,currency"
    return "\n".join((header, *rows, "")).encode()


def mapped(told: Any, name: str = "salesperson_id") -> Any:
    """Give the decision on a column."""
    (decision,) = [each for each in told["decisions"] if each["name"] == f"columns/{name}"]
    return decision


@pytest.mark.parametrize("people", [("Ann Berg", "Bob"), ("Ann Berg",), ("Zoe", "Yan", "ann")])
def test_a_column_that_may_have_names_waits_for_a_profile(importing: Importing, people: tuple[str, ...]) -> None:
    """Otherwise whoever is known by an id would be credited once more, under a name."""
    importing.commit(importing.staged(CSV))
    importing.service.catch_up()
    told = importing.staged(of_either(*people), name="names")
    assert (told["state"], told["impact"]) == ("needs_profile", None)
    (error,) = told["errors"]
    assert (error["code"], error["pointer"]) == ("unmapped_column", "/columns/salesperson_id")
    known = sum(each == "ann" for each in people)
    assert f"{known} of its {len(people)} values are ids that the ledger knows" in error["detail"]
    assert ("'Ann Berg' is the name of 'ann'" in error["detail"]) == ("Ann Berg" in people)
    assert mapped(told)["candidates"][0] == "salesperson"
    refused(importing.act("POST", told, "commit", sent={}), Code.import_not_ready)
    said = importing.profile(told, columns={"salesperson_id": "salesperson"})
    assert (said["state"], mapped(said)["why"]) == ("staged", "the profile says so")
    assert said["impact"]["new_salespeople"] == len(people) - known


def test_a_column_of_ids_that_the_ledger_knows_needs_no_profile(importing: Importing) -> None:
    importing.commit(importing.staged(CSV))
    importing.service.catch_up()
    told = importing.staged(of_either("ann", "new", "#N/A", ""), name="ids")
    assert told["state"] == "staged"
    assert mapped(told)["why"].endswith("1 of its 2 values are ids that the ledger knows")


def test_in_a_ledger_that_knows_nobody_a_column_has_ids_and_that_is_told(importing: Importing) -> None:
    told = importing.staged(of_either("Ann Berg"))
    assert told["state"] == "staged"
    assert "what it has is taken as ids" in mapped(told)["why"]
    assert told["impact"]["new_salespeople"] == 1


def test_customers_and_products_wait_too(importing: Importing) -> None:
    importing.commit(importing.staged(CSV))
    importing.service.catch_up()
    rows = CSV.replace("客户编号,客户名称,".encode(), "x,客户,".encode()).replace("产品编号".encode(), b"y")
    told = importing.staged(rows.replace("产品名称".encode(), "产品".encode()), name="names")
    details = {error["pointer"]: error["detail"] for error in told["errors"]}
    assert details.keys() == {"/columns/customer_id", "/columns/product_id"}
    assert "'Müller AG' is the name of 'C-2'" in details["/columns/customer_id"]
    said = importing.profile(told, columns={"customer_id": "x", "product_id": "y"})
    assert (said["state"], mapped(said, "customer_name")["value"]) == ("staged", "客户")


@pytest.mark.parametrize("damaged", ["1.23457E+11", "10248.0"])
def test_an_id_that_a_spreadsheet_damaged_is_told(importing: Importing, damaged: str) -> None:
    told = importing.staged(CSV.replace(b"SO-2", damaged.encode()))
    assert [(each["line"], each["column"], each["code"]) for each in told["errors"]] == [
        (3, "订单号", "damaged_identifier")
    ]


@pytest.mark.parametrize(
    ("damaged", "said"),
    [
        ("3-Jan", "date_ids"),
        ("Mar-01", "date_ids"),
        ("3月1日", "date_ids"),
        ("1234567890123450", "numeric_ids"),
    ],
)
def test_an_id_that_a_spreadsheet_may_have_damaged_is_taken_where_the_profile_says_so(
    importing: Importing, damaged: str, said: str
) -> None:
    told = importing.staged(CSV.replace(b"SO-2", damaged.encode()).replace(b"P-1", damaged.encode()))
    assert {(each["line"], each["column"], each["code"]) for each in told["errors"]} == {
        (2, "产品编号", "damaged_identifier"),
        (3, "产品编号", "damaged_identifier"),
        (3, "订单号", "damaged_identifier"),
    }
    assert all(f"{said}: true" in each["detail"] for each in told["errors"])
    again = importing.profile(told, **{said: True})
    assert (again["errors"], again["profile"][said]) == ([], True)
    assert importing.commit(again)["progress"]["recorded"] == 2


ERROR_ROWS = [
    "SO-1,#N/A,standard,C-1,,ann,,P-1,,,1,5,EUR",
    "SO-2,2026-03-05,#REF!,#NAME?,#VALUE!,#NULL!,,#NUM!,,####,#DIV/0!,#########,#N/A",
    "#N/A,2026-03-05,standard,C-1,,ann,,P-1,,,1,5,EUR",
    "#N/A,2026-03-06,standard,C-2,,ann,,P-1,,,1,5,EUR",
]
ERROR_CELLS = {
    (2, "下单日期"),
    *((3, column) for column in ("订单类型", "客户名称", "类别", "币种", "客户编号", "业务员编号", "产品编号")),
    *((3, column) for column in ("数量", "金额")),
    *((line, "订单号") for line in (4, 5)),
}


def test_an_error_of_a_spreadsheet_is_told_in_every_column(importing: Importing) -> None:
    told = importing.staged("\n".join((HEADERS, *ERROR_ROWS)).encode())
    assert {(each["line"], each["column"]) for each in told["errors"]} == ERROR_CELLS
    assert {each["code"] for each in told["errors"]} == {"spreadsheet_error"}
    assert all("in the place of a value" in each["detail"] for each in told["errors"])
    assert told["impact"]["orders"] == 0


def test_an_error_in_a_workbook_is_no_empty_cell(importing: Importing) -> None:
    """The formula that makes it is in the cell; also where the workbook is read in parts that divide the cell's tag."""
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True}) as book:
        page = book.add_worksheet()
        page.write_row(0, 0, HEADERS.split(","))
        for number, row in enumerate(ERROR_ROWS, 1):
            for at, text in enumerate(row.split(",")):
                if text.startswith("#") and set(text) != {"#"}:
                    page.write_formula(number, at, "=1/0", None, text)
                else:
                    page.write_string(number, at, text)
    raw = file.getvalue()
    with zipfile.ZipFile(file) as made:
        cell_at = made.read(SHEET).index(b't="e"')
    for padding in (0, 1024 * 1024 - cell_at - 3):
        padded = tampered(raw, SHEET, lambda part: part.replace(b"<sheetData>", b"<sheetData>" + b" " * padding))  # noqa: B023
        told = importing.staged(padded, XLSX)
        assert {(each["line"], each["column"]) for each in told["errors"]} == ERROR_CELLS
        assert {each["code"] for each in told["errors"]} == {"spreadsheet_error"}


def test_ids_in_number_cells_wait_for_a_profile(importing: Importing) -> None:
    """A number keeps no leading zeros, and nobody can know how many there were; days and amounts are typed."""
    rows: list[list[Any]] = [
        HEADERS.split(","),
        [10248, date(2026, 3, 5), "standard", "C-1", "", "", "", "P-1", "", "", 2, 168.1, "EUR"],
    ]
    told = importing.staged(workbook(rows), XLSX)
    assert [(error["code"], error["pointer"]) for error in told["errors"]] == [("damaged_identifier", "/numeric_ids")]
    said = importing.profile(told, numeric_ids=True)
    preview = importing.service.get(f"/v1/imports/{told['id']}/preview", "ingest")["rows"][0]["understood"]
    assert (preview["order_id"], preview["order_date"], preview["amount"]) == ("10248", "2026-03-05", "168.1")
    assert importing.commit(said)["progress"]["recorded"] == 1


def test_a_name_has_one_limit(importing: Importing) -> None:
    assert importing.staged(CSV, name="n" * 100)["profile"]["source"] == "import:" + "n" * 100
    (error,) = refused(importing.send(CSV, name="a\tb"), Code.invalid_value)
    assert (error["pointer"], "it takes 1 to 100 printable characters" in error["detail"]) == ("/name", True)
    refused(importing.send(CSV, name="n" * 101), Code.invalid_parameter)


def test_a_saved_profile_is_used_by_its_name(importing: Importing) -> None:
    path = "/v1/import-profiles/erp"
    said = {"date_format": "DD-MM-YYYY", "source": "erp", "defaults": {"currency": "EUR"}}
    assert importing.service.ask("PUT", path, "ingest", sent=said).status_code == 201
    assert importing.service.ask("PUT", path, "ingest", sent=said).status_code == 200
    assert importing.service.get(path, "finance") == said
    told = importing.staged(
        CSV.replace(b"2026-03-05", b"05-03-2026").replace(b"2026-03-06", b"06-03-2026"), profile="erp"
    )
    assert (told["state"], told["profile"]["source"]) == ("staged", "erp")
    refused(importing.service.ask("PUT", path, "ingest", sent={"encoding": "ascii"}), Code.invalid_value)
    refused(importing.send(CSV, profile="nobody's"), Code.import_not_found)
    assert importing.service.ask("DELETE", path, "ingest").status_code == 200
    errors = refused(importing.service.ask("GET", path, "ingest"), Code.import_not_found)
    assert "see the list of profiles" in errors[0]["detail"]


def test_saved_profiles_are_listed_by_name(importing: Importing) -> None:
    service = importing.service
    for name in ("b", "a", "订单", "a-b", "b"):
        path = f"/v1/import-profiles/{name}"
        assert service.ask("PUT", path, "ingest", sent={"source": "erp"}).status_code in {200, 201}
    listed = service.get("/v1/import-profiles", "finance")
    assert [each["name"] for each in listed["profiles"]] == ["a", "a-b", "b", "订单"]
    assert {each["actor"] for each in listed["profiles"]} == {"ingest-clerk"}
    assert all(each["saved_at"].endswith("Z") for each in listed["profiles"])
    assert listed["next"] is None
    page = service.get("/v1/import-profiles", "ingest", after="a", limit=2)
    assert ([each["name"] for each in page["profiles"]], page["next"]) == (["a-b", "b"], "b")
    assert service.get("/v1/import-profiles", "ingest", after="b\x00")["profiles"][0]["name"] == "订单"
    assert service.get("/v1/import-profiles", "ingest", after=page["next"])["next"] is None


def test_the_lists_of_imports_and_profiles_are_files_too(importing: Importing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, however long, with what the JSON answers say; the progress of a commit stands in its own columns."""
    service = importing.service
    monkeypatch.setattr("api.imports.PAGE_MAX", 2)
    for name in ("c", "a", "b"):
        importing.staged(CSV + name.encode())
        service.ask("PUT", f"/v1/import-profiles/{name}", "ingest", sent={"source": name})
    for path, called in (("/v1/imports", "imports"), ("/v1/import-profiles", "profiles")):
        told = service.get(path, "finance")[called]
        answered = service.ask("GET", f"{path}?format=csv&limit=1", "finance")
        rows = list(csv.DictReader(io.StringIO(answered.text)))
        flat = [each | each.pop("progress") if "progress" in each else each for each in told]
        assert rows == [{name: str(value) for name, value in each.items() if name != "progress"} for each in flat]
        assert len(rows) == 3


def test_a_sheet_that_is_not_in_the_workbook_is_told(importing: Importing) -> None:
    content = workbook([HEADERS.split(","), ROWS[0].split(",")], sheet="Orders")
    told = importing.staged(content, XLSX)
    assert told["profile"]["sheet"] == "Orders"
    path = "/v1/import-profiles/book"
    importing.service.ask("PUT", path, "ingest", sent={"sheet": "Nosuch"})
    for other in (importing.profile(told, sheet="Nosuch"), importing.staged(content, XLSX, profile="book")):
        assert other["state"] == "needs_profile"
        (error,) = other["errors"]
        assert (error["code"], error["pointer"]) == ("ambiguous_value", "/sheet")
        assert "'Nosuch'" in error["detail"]
        assert "'Orders'" in error["detail"]


# ---- bad rows


BAD = "\r\n".join(
    (
        HEADERS,
        ROWS[0],
        "SO-2,2026-13-06,nosuch,C-2,Bo,bob,Bob,P-1,,,x,€84.5,EURO",
        "SO-1,2026-03-05,standard,C-9,华光公司,ann,Ann Berg,P-2,驱动器,驱动,1,32.00,EUR",
        ",2026-03-05,standard,C-1,,,,P-1,,,1,-5,EUR",
        "SO-3,2026-03-05,standard,C-1,=cmd|'/C calc'!A0,ann,,P-1,@SUM(A1),,1,-5.00,EUR",
        "SO-3,2026-03-05",
        "SO-4,2026-03-05,standard,C-1,'=1,ann,,P-1,,,1,5.00,EUR",
        "",
    )
).encode()


def test_every_row_is_judged_and_every_error_told_beside_it(importing: Importing) -> None:
    told = importing.staged(BAD)
    found = {(each["line"], each["column"], each["code"]) for each in told["errors"]}
    assert found == {
        (3, "下单日期", "invalid_date"),
        (3, "订单类型", "unknown_order_type"),
        (3, "数量", "invalid_amount"),
        (3, "金额", "invalid_amount"),
        (3, "币种", "unknown_currency"),
        (4, "客户编号", "invalid_value"),
        (5, "订单号", "missing_field"),
        (7, None, "invalid_csv"),
    }
    assert all(each["detail"] and each["remedy"] for each in told["errors"])
    assert told["impact"]["new_order_types"] == [], "the order of that type is wrong in other places too"
    assert (told["counts"]["orders"], told["counts"]["rejected_orders"], told["impact"]["orders"]) == (4, 3, 1)
    page = importing.service.get(f"/v1/imports/{told['id']}/preview", "ingest", limit=2, rejected="true")
    assert [row["line"] for row in page["rows"]] == [2, 3]
    assert {each["code"] for each in page["rows"][1]["errors"]} >= {"invalid_date"}
    rest = importing.service.get(f"/v1/imports/{told['id']}/preview", "ingest", after=page["next"], rejected="true")
    assert [row["line"] for row in rest["rows"]] == [4, 5, 6, 7]


def test_bad_rows_are_refused_or_left_out_and_come_back_to_be_corrected(importing: Importing) -> None:
    told = importing.staged(BAD)
    before = importing.service.trace()
    refused(importing.act("POST", told, "commit", sent={}), Code.import_not_ready)
    assert importing.service.trace() == before
    assert importing.commit(told, accept=True)["progress"]["recorded"] == 1
    response = importing.act("GET", told, "rejected")
    assert response.mimetype == "text/csv"
    rows = list(csv.DictReader(io.StringIO(response.data.decode("utf-8-sig"))))
    assert [row["import_line"] for row in rows] == ["2", "3", "4", "5", "6", "7"]
    assert rows[4]["客户名称"] == "'=cmd|'/C calc'!A0", "it is no formula"
    assert (rows[4]["产品名称"], rows[4]["金额"]) == ("'@SUM(A1)", "-5.00"), "a number is none either"
    assert "another row" in rows[0]["import_message"]
    for row in rows[1:3]:
        columns, codes = row["import_column"].split("; "), row["import_code"].split("; ")
        assert set(zip(columns, codes, strict=True)) == {
            (each["column"], each["code"]) for each in told["errors"] if each["line"] == int(row["import_line"])
        }
    assert (rows[5]["import_column"], rows[5]["import_code"]) == ("*", "invalid_csv")
    assert "invalid_csv" in rows[5]["import_code"]
    correct = response.data.replace(b"C-9", b"C-1").replace(b"SO-3,2026-03-05,,", b"gone,2026-03-05,,")
    corrected = importing.staged(correct)
    assert {each["line"] for each in corrected["errors"]} == {3, 5, 7}
    assert importing.commit(corrected, accept=True)["progress"]["recorded"] == 2
    (event,) = importing.service.get("/v1/orders/SO-3/events")["events"]
    assert event["data"]["customer_name"] == "=cmd|'/C calc'!A0", "as it was, without the apostrophe"


def test_rejected_rows_come_as_a_workbook_too(importing: Importing) -> None:
    told = importing.staged(BAD)
    response = importing.act("GET", told, "rejected", headers={"Accept": XLSX})
    assert response.mimetype == XLSX
    linked = importing.act("GET", told, "rejected", query_string={"format": "xlsx"})
    assert linked.mimetype == XLSX
    again = importing.staged(response.data, XLSX)
    assert again["counts"]["rows"] == 6
    assert {each["code"] for each in again["errors"]} >= {"invalid_date", "unknown_order_type", "unknown_currency"}


@pytest.mark.parametrize("rejected", ["false", "true"])
def test_rows_as_they_are_read_come_as_files(importing: Importing, rejected: str) -> None:
    """All of them, each field as the JSON has it, or empty where it is no number; and no formula."""
    told = importing.staged(BAD)
    shown = importing.service.get(f"/v1/imports/{told['id']}/preview", "ingest", rejected=rejected)["rows"]
    files = dict[str, TestResponse]()
    for form, media_type in MEDIA_TYPES.items():
        asked = {"rejected": rejected, "limit": "1", "format": form}
        files[form] = importing.act("GET", told, "preview", query_string=asked)
        assert (files[form].status_code, files[form].mimetype) == (200, media_type)
        assert re.search(rf'"rows-f-\d+\.{form}"', files[form].headers["Content-Disposition"])
    for row, same in zip(map(json.loads, files["ndjson"].text.splitlines()), shown, strict=True):
        assert (row["import_line"], row["rejected"]) == (same["line"], same["rejected"])
        assert row["import_code"] == "; ".join(each["code"] for each in same["errors"])
        left_out = {name for name, value in same["understood"].items() if row[name] != value}
        assert all(row[name] is None and name in ("quantity", "amount") for name in left_out)
    rows = {row["import_line"]: row for row in csv.DictReader(io.StringIO(files["csv"].text))}
    assert rows["6"]["customer_name"] == "'=cmd|'/C calc'!A0"
    assert (rows["6"]["amount"], rows["3"]["amount"]) == ("-5.00", "")


def test_the_same_order_with_other_content_is_refused(importing: Importing) -> None:
    importing.commit(importing.staged(CSV))
    other = importing.staged(CSV.replace(b"84.5", b"85.5"))
    assert [(each["line"], each["code"]) for each in other["errors"]] == [(3, "event_id_conflict")]
    importing.service.record(placed("SO-9"))
    elsewhere = importing.staged("\n".join((HEADERS, ROWS[0].replace("SO-1", "SO-9"))).encode())
    assert [each["code"] for each in elsewhere["errors"]] == ["order_exists"]


def test_shares_divide_an_order(importing: Importing) -> None:
    rows = (
        "order,date,type,customer,sales rep,share,line,product,qty,amount,currency",
        "SO-1,2026-03-05,standard,C-1,ann,0.5,1,P-1,2,100.00,EUR",
        "SO-1,2026-03-05,standard,C-1,bob,0.50,1,P-1,2,100.00,EUR",
    )
    importing.commit(importing.staged("\n".join(rows).encode()))
    importing.service.catch_up()
    assert importing.service.figures(period="2026-Q1") == {("ann", "EUR"): "50.00", ("bob", "EUR"): "50.00"}
    told = importing.staged("\n".join(rows).replace("SO-1", "SO-2").replace("0.50", "0.4").encode())
    assert [each["code"] for each in told["errors"]] == ["splits_not_one"]


def test_an_import_may_be_discarded_and_then_only_that_is_kept(importing: Importing) -> None:
    told = importing.staged(CSV)
    for _ in range(2):
        assert importing.act("POST", told, "discard").get_json()["state"] == "discarded"
    assert importing.service.get(f"/v1/imports/{told['id']}/preview", "ingest")["rows"] == []
    refused(importing.act("POST", told, "commit", sent={}), Code.import_not_ready)
    refused(importing.act("PUT", told, "profile", sent={}), Code.import_not_ready)
    listed = importing.service.get("/v1/imports", "finance", limit=1)
    assert (listed["imports"][0]["id"], listed["next"]) == (told["id"], told["id"])
    assert importing.service.get("/v1/imports", "finance", before=told["id"])["imports"] == []
    assert importing.service.get("/v1/imports", "finance", before="\x00")["imports"] == []
    for method, what in (("GET", "preview"), ("GET", "rejected"), ("POST", "discard")):
        refused(importing.act(method, {"id": "nobody"}, what), Code.import_not_found)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_header_of_too_many_columns_is_told(importing: Importing, delimiter: str) -> None:
    heads = [*HEADERS.split(","), *(f"c{at}" for at in range(287))]
    content = (delimiter.join(heads) + "\n" + delimiter.join("x" * 300)).encode()
    (error,) = refused(importing.send(content), Code.invalid_csv)
    assert error["detail"] == "the file has more than 200 columns: split it"


@pytest.mark.parametrize("said", ["", "订单号"])
def test_a_header_that_is_there_twice_is_to_be_renamed(importing: Importing, said: str) -> None:
    """Told once, also where the profile names it, which can't tell them apart."""
    told = importing.staged(CSV.replace("客户名称".encode(), "订单号".encode()))
    if said:
        told = importing.profile(told, columns={"order_id": said})
    (error,) = told["errors"]
    assert (told["state"], error["pointer"]) == ("needs_profile", "/columns/order_id")
    assert error["detail"] == ("order_id: the header '订单号' is there 2 times; rename all but one of them in the file")


def test_columns_of_two_names_for_one_field_are_told_once(importing: Importing) -> None:
    told = importing.staged(CSV.replace("客户名称".encode(), "单号".encode()))
    (error,) = told["errors"]
    assert error["detail"] == "order_id: 2 columns may be it; say in the profile which: '订单号' or '单号'"


@pytest.mark.parametrize("form", ["csv", "xlsx", "ndjson"])
def test_an_apostrophe_too_many_makes_another_id(importing: Importing, form: str) -> None:
    """A CSV has one more, as our exports write it, also that of rejected rows; a text of the others is as it is."""
    ids, guard = ("=AP", "'=AP", "'t Hooft"), "'" if form == "csv" else ""
    written = (guard + ids[0], guard + ids[1], ids[2])
    heads = HEADERS.replace("客户名称", "'=x").split(",")
    rows = [row.replace(f"SO-{at}", order).split(",") for row, at, order in zip(ROWS, (1, 2, 1), written, strict=True)]
    if form == "csv":
        content = "\n".join(map(",".join, [heads, *rows])).encode()
    elif form == "xlsx":
        content = workbook([heads, *rows])
    else:
        content = "\n".join(json.dumps(dict(zip(heads, row, strict=True))) for row in rows).encode()
    told = importing.staged(content, MEDIA_TYPES[form])
    assert told["columns"][4]["header"] == ("=x" if form == "csv" else "'=x")
    bad = importing.staged(content.replace(b"2026-03-0", b"2026-13-0"), MEDIA_TYPES[form]) if form == "csv" else told
    assert importing.commit(told)["progress"]["recorded"] == 3
    assert importing.service.get("/v1/orders/'%3DAP", "finance")["order_id"] == "'=AP"
    for order in ids:
        assert importing.service.ask("GET", f"/v1/orders/{quote(order)}", "finance").status_code == 200
    if form == "csv":
        back = importing.act("GET", bad, "rejected").data.replace(b"2026-13-0", b"2026-03-0")
        assert importing.staged(back)["impact"]["duplicates"] == 3


def test_json_lines_are_rows(importing: Importing) -> None:
    names = HEADERS.split(",")
    lines = [dict(zip(names, row.split(","), strict=True)) for row in ROWS]
    lines[1]["金额"] = 84.5  # type: ignore[assignment]
    content = "\n".join((*(json.dumps(line, ensure_ascii=False) for line in lines), "{nonsense")).encode()
    told = importing.staged(content, NDJSON)
    assert [(each["line"], each["code"]) for each in told["errors"]] == [(4, "invalid_csv")]
    assert importing.commit(told, accept=True)["progress"]["recorded"] == 2
    (row,) = csv.DictReader(io.StringIO(importing.act("GET", told, "rejected").data.decode("utf-8-sig")))
    assert (row["订单号"], row["下单日期"], row["import_line"]) == ("{nonsense", "", "4")
    (shown,) = importing.service.get(f"/v1/imports/{told['id']}/preview", "ingest", rejected="true")["rows"]
    assert (shown["raw"][:2], shown["understood"]) == (["{nonsense", ""], {})


TITLES = ("Umsatzbericht März 2026", "")


@pytest.mark.parametrize("form", ["csv", "semicolons", "xlsx"])
def test_a_report_has_its_title_above_the_header(importing: Importing, form: str) -> None:
    """It is left out and that is told; lines are those of the file, and so is the file of rejected rows to correct."""
    rows = [*TITLES, HEADERS, ROWS[0], ROWS[1].replace("84.5", "#BEZUG!"), ROWS[2]]
    if form == "xlsx":
        told = importing.staged(workbook([row.split(",") for row in rows]), XLSX)
    else:
        told = importing.staged("\n".join(rows).replace(",", ";" if form == "semicolons" else ",").encode())
    (decision,) = [each for each in told["decisions"] if each["name"] == "header"]
    assert (decision["value"], decision["certain"]) == ("订单号", True)
    assert "(rows: 1)" in decision["why"]
    assert (told["state"], told["profile"]["header"], told["counts"]["rows"]) == ("staged", "订单号", 3)
    assert [(error["line"], error["column"], error["code"]) for error in told["errors"]] == [
        (5, "金额", "spreadsheet_error")
    ]
    preview = importing.service.get(f"/v1/imports/{told['id']}/preview", "ingest")["rows"]
    assert [row["line"] for row in preview] == [4, 5, 6]
    back = importing.act("GET", told, "rejected").data.replace(b"#BEZUG!", b"84.5")
    saved = {name: value for name, value in told["profile"].items() if name != "delimiter"}
    importing.service.ask("PUT", "/v1/import-profiles/report", "ingest", sent=saved)
    corrected = importing.staged(back, profile="report")
    assert (corrected["state"], corrected["errors"], corrected["counts"]["rows"]) == ("staged", [], 1)
    assert importing.commit(corrected)["progress"]["recorded"] == 1


def test_a_header_that_may_be_in_two_rows_waits_for_a_profile(importing: Importing) -> None:
    raw = "\n".join(("日期,2026-04-01", HEADERS, *ROWS)).encode()
    told = importing.staged(raw)
    assert (told["state"], [(error["code"], error["pointer"]) for error in told["errors"]]) == (
        "needs_profile",
        [("ambiguous_value", "/header")],
    )
    assert told["decisions"][2]["candidates"] == ["日期", "订单号"]
    said = importing.profile(told, header="订单号")
    assert (said["state"], said["errors"], said["impact"]["orders"]) == ("staged", [], 2)
    wrong = importing.profile(told, header="Bestellnummer")
    assert [error["pointer"] for error in wrong["errors"]] == ["/header"]
    blank = importing.act("PUT", told, "profile", sent={"header": " "})
    assert refused(blank, Code.invalid_value)[0]["pointer"] == "/header"


@pytest.mark.parametrize("later", ["", '{"order":"SO-9"}\n'])
def test_a_file_of_order_events_is_refused_with_where_they_go(importing: Importing, later: str) -> None:
    """Told by its first object; whatever comes behind it."""
    text = "\n" + json.dumps(placed("SO-7")) + "\n" + later
    (error,) = refused(importing.send(text.encode(), NDJSON), Code.events_not_rows)
    assert "(order.placed first)" in error["detail"]
    assert "POST /v1/order-events/bulk" in error["detail"]
    assert "POST /v1/order-events/bulk" in error["remedy"]
    assert importing.service.get("/v1/imports", "finance")["imports"] == []


def test_an_order_event_among_rows_is_a_wrong_row(importing: Importing) -> None:
    row = dict(zip(HEADERS.split(","), ROWS[1].split(","), strict=True))
    lines = [json.dumps(each) for each in (row, placed("SO-7"), row)]
    told = importing.staged("\n".join(lines).encode(), NDJSON)
    assert [(error["line"], error["code"]) for error in told["errors"]] == [(2, "invalid_csv")]


def test_types_that_are_defined_later_are_seen_when_it_is_committed(importing: Importing) -> None:
    told = importing.staged(CSV.replace(b"standard", b"special"))
    assert told["impact"]["new_order_types"] == ["special"]
    refused(importing.act("POST", told, "commit", sent={}), Code.import_not_ready)
    importing.service.define(special="1")
    assert importing.commit(told)["progress"]["recorded"] == 2


# ---- killed in between


def many(count: int) -> bytes:
    """Make a file of so many orders of one line."""
    rows = (
        f"SO-{number},2026-03-05,standard,C-{number % 90},,ann,,P-{number % 30},,,1,{number % 997}.50,EUR"
        for number in range(count)
    )
    return "\n".join((HEADERS, *rows)).encode()


KILLED = """
import os, sys
from api import staged_imports
from ledger.database import Database
from ledger.store import Store

url, import_id, after = sys.argv[1:]
record, batches = staged_imports.record_each, []

def dying(store, submissions, *, actor):
    outcomes = record(store, submissions, actor=actor)
    batches.append(outcomes)
    if len(batches) == int(after):
        os._exit(9)  # recorded, and nobody was told
    return outcomes

staged_imports.record_each = dying
staged_imports.run(Store(Database(url)), import_id)
"""


KILLED_STAGING = """
import os, sys
from io import BytesIO
from api import staged_imports
from api.shapes import ImportProfile
from ledger.database import Database
from ledger.store import Store

url, content = sys.argv[1:]
staged_imports._add_rows = lambda *_: os._exit(9)
upload = staged_imports.read_upload("f", "csv", iter([content.encode()]), BytesIO())
staged_imports.stage(Store(Database(url)), upload, ImportProfile(), actor="ingest-clerk")
"""


def test_an_upload_that_was_killed_while_it_was_read_tells_so_and_is_read_again(importing: Importing) -> None:
    command = [sys.executable, "-c", KILLED_STAGING, importing.service.database.url, CSV.decode()]
    assert subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}).returncode == 9
    (listed,) = importing.service.get("/v1/imports", "ingest")["imports"]
    told = importing.again(listed)
    assert (told["state"], told["counts"]["rows"], told["counts"]["problems"]) == ("needs_profile", 0, 1)
    (error,) = told["errors"]
    assert (error["code"], error["line"]) == ("import_not_ready", None)
    assert "not read to its end" in error["detail"]
    page = importing.service.ask("GET", f"/console/imports/{told['id']}", "ingest").text
    assert "not read to its end" in page
    assert "several ways" not in page
    read = importing.profile(told)
    assert (read["state"], read["errors"], read["counts"]["rows"]) == ("staged", [], 3)


def test_a_commit_that_was_killed_is_taken_over_and_each_order_is_there_once(importing: Importing) -> None:
    """Killed twice, each time after a batch is recorded and before that is noted; then somebody asks how far it is."""
    store = importing.service.app.store
    told = importing.staged(many(6_500))
    begin(store, told["id"], accept_good_rows=False, actor="ingest-clerk")
    before = store.head()
    for after in ("2", "3"):
        command = [sys.executable, "-c", KILLED, importing.service.database.url, told["id"], after]
        assert subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}).returncode == 9
    assert store.head() == before + 4_000, "the batch that was not noted was found again"
    assert importing.again(told)["state"] == "committing"
    importing.service.app.imports.wait()
    done = importing.again(told)
    assert done["state"] == "committed"
    assert done["progress"] == {"done": 6_500, "orders": 6_500, "recorded": 6_500, "duplicates": 0, "refused": 0}
    assert store.head() == before + 6_500


@pytest.mark.parametrize("orders", [20, 5_100])
def test_of_two_commits_of_one_file_at_once_one_tells_duplicates(importing: Importing, orders: int) -> None:
    """Both begin before either records: what the first one recorded is not the second one's work."""
    store = importing.service.app.store
    told = [importing.staged(many(orders)) for _ in range(2)]
    for each in told:
        begin(store, each["id"], accept_good_rows=False, actor="ingest-clerk")
    for each in told:
        assert run(store, each["id"])
    counted = [importing.again(each)["progress"] for each in told]
    assert [(each["recorded"], each["duplicates"]) for each in counted] == [(orders, 0), (0, orders)]


def test_one_process_at_a_time_commits_and_one_that_stops_leaves_the_rest(importing: Importing) -> None:
    store = importing.service.app.store
    told = importing.staged(many(5_500))
    begin(store, told["id"], accept_good_rows=False, actor="ingest-clerk")
    with held(store.database, told["id"]) as is_held:
        assert is_held
        assert not run(store, told["id"]), "somebody else has it"
    asked = iter((False, False, True))
    assert not run(store, told["id"], lambda: next(asked))
    assert (importing.again(told)["progress"]["done"] >= 2_000, store.head() > 2_000) == (True, True)
    importing.service.app.take_over_imports()
    for _ in range(600):
        if importing.again(told)["state"] == "committed":
            break
        importing.service.app.imports.wait()
    assert importing.again(told)["progress"]["recorded"] == 5_500


def test_all_or_nothing_also_when_somebody_comes_in_between(importing: Importing) -> None:
    """Up to 5,000 orders are one transaction: one that was taken since the file was judged leaves all out."""
    store = importing.service.app.store
    told = importing.staged(CSV)
    begin(store, told["id"], accept_good_rows=False, actor="ingest-clerk")
    importing.service.record(placed("SO-2"))
    before = store.head()
    assert run(store, told["id"])
    again = importing.again(told)
    assert (again["state"], store.head()) == ("staged", before)
    assert [(each["line"], each["code"]) for each in again["errors"]] == [(3, "order_exists")]
    assert importing.commit(again, accept=True)["progress"]["recorded"] == 1


# ---- closed periods, and time


def test_orders_of_a_closed_period_are_told_before_they_are_recorded(importing: Importing) -> None:
    service = importing.service
    service.record(placed("SO-0", ordered_on="2024-02-01"))
    service.catch_up()
    closed = service.post("/v1/periods/2024-Q1/close", {"reason": "done"}, "finance")
    assert closed.status_code == 201, closed.text
    told = importing.staged(CSV.replace(b"SO-2,2026", b"SO-2,2024"))
    assert told["impact"]["closed_periods"] == ["2024-Q1"]
    assert [(each["period"], each["closed"]) for each in told["impact"]["amounts"]] == [
        ("2024-Q1", True),
        ("2026-Q1", False),
    ]


def test_files_are_dropped_some_days_after_they_were_committed_or_left(importing: Importing) -> None:
    service = importing.service
    done, left = importing.staged(CSV), importing.staged(CSV)
    importing.commit(done)
    now = service.app.store.clock()
    for days, kept in ((6, (3, 3)), (8, (0, 3)), (31, (0, 0))):
        with service.database.transaction() as cursor:
            forget_old(cursor, now + timedelta(days))
        rows = [len(service.get(f"/v1/imports/{each['id']}/preview", "ingest")["rows"]) for each in (done, left)]
        assert tuple(rows) == kept
    assert (importing.again(done)["state"], importing.again(left)["state"]) == ("committed", "discarded")


# ---- data that nobody here wrote


CHINESE = {
    "order_id": "订单号",
    "order_date": "下单日期",
    "order_type": "订单类型",
    "customer_id": "客户编号",
    "customer": "客户名称",
    "salesperson_id": "业务员编号",
    "salesperson": "业务员",
    "currency": "币种",
    "line_no": "行号",
    "product_id": "产品编号",
    "product": "产品名称",
    "category": "类别",
    "quantity": "数量",
    "amount": "金额",
}


def flat(folder: Path) -> bytes:
    """Make one file of a data set, as an ERP in China would: GB18030, semicolons, 年月日, the lines mixed."""
    with (folder / "orders.csv").open(encoding="utf-8", newline="") as file:
        orders = {row["order_id"]: row for row in csv.DictReader(file)}
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(CHINESE.values()), delimiter=";")
    writer.writeheader()
    with (folder / "lines.csv").open(encoding="utf-8", newline="") as file:
        for line in sorted(csv.DictReader(file), key=lambda line: (line["product_id"], line["order_id"])):
            row = {**orders[line["order_id"]], **line}
            year, month, day = row["order_date"].split("-")
            row["order_date"] = f"{year}年{int(month)}月{int(day)}日"
            writer.writerow({chinese: row[name] for name, chinese in CHINESE.items()})
    return text.getvalue().encode("gb18030")


@needs_data
def test_northwind_as_an_erp_in_china_exports_it(database: Database) -> None:
    expected = read_expected(DATA / "northwind")
    with serving(database) as service:
        service.change(
            *({"action": "define_order_type", "order_type": name, "share": "1"} for name in expected.order_types())
        )
        importing = Importing(service)
        told = importing.staged(flat(DATA / "northwind"), name="northwind")
        assert (told["state"], told["errors"]) == ("staged", [])
        decided = {decision["name"]: decision["value"] for decision in told["decisions"]}
        assert (decided["encoding"], decided["delimiter"]) == ("gb18030", ";")
        assert (decided["date_format"], decided["decimal_format"]) == ("YYYY年MM月DD日", "1234.56")
        done = importing.commit(told)
        assert done["progress"]["recorded"] == SETS["northwind"]
        service.catch_up()
        for period in expected.periods():
            assert figures(service.app.store, period) == expected.by_period[ALL, period], period
