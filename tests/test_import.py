"""An import records a folder once, or says of every bad row where it is, what is wrong and what to do about it."""

import random
import sqlite3
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from api import importer
from api.import_files import LINE_COLUMNS, ORDER_COLUMNS, Problems, RowProblem, Spool
from api.importer import ImportReport, import_folder
from ledger.database import Database
from ledger.events import (
    DefineOrderType,
    Line,
    OrderAmended,
    OrderPlaced,
    RetireOrderType,
    RuleChangeProposed,
    Split,
)
from ledger.intake import SubmitAmended, SubmitPlaced, record
from ledger.orders import LINES_MAX
from ledger.refusal import Code, Refusal
from ledger.rule_changes import change_rules
from ledger.store import Store

ORDERS = f"""{",".join(ORDER_COLUMNS)}
SO-1,2026-01-05,standard,C-1,Hollmann GmbH,ann,Ann Berg,EUR,open,168.00
SO-2,2026-01-06,standard,C-2,"上海华光, Ltd",bob,,EUR,,
SO-3,2026-01-07,standard,C-1,,,,USD,,
"""
LINES = f"""{",".join(LINE_COLUMNS)}
SO-1,1,P-1,Sensor,sensors,2,50,0,100
SO-3,1,P-2,,,1,,,9.000001
SO-1,2,P-2,"Drive 19"" rack",drives,1,,,68.00
SO-2,1,P-1,Sensor,sensors,-1,50,0,-50.5
"""
TYPES = (DefineOrderType("standard", "1"), DefineOrderType("old", "1"))

Place = tuple[str, int | None, str | None, str]


def quiet(_done: int, _total: int) -> None:
    """Show nothing."""


@pytest.fixture
def store(database: Database) -> Store:
    """Give a ledger with two order types."""
    store = Store(database)
    change_rules(store, RuleChangeProposed("types", TYPES, "the types we start with"), actor="admin")
    return store


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a folder to import."""

    def written(orders: str | bytes | None = ORDERS, lines: str | bytes | None = LINES, *, name: str = "march") -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for file, content in (("orders.csv", orders), ("lines.csv", lines)):
            if content is None:
                (folder / file).unlink(missing_ok=True)
            else:
                (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder

    return written


def run(
    store: Store, folder: Path, *, accept_good_rows: bool = False, define_order_types: bool = False
) -> ImportReport:
    return import_folder(
        store,
        folder,
        accept_good_rows=accept_good_rows,
        define_order_types=define_order_types,
        actor="importer",
        progress=quiet,
    )


def places(report: ImportReport) -> list[Place]:
    return [(problem.file, problem.line, problem.column, problem.code.name) for problem in report.problems]


def placed(store: Store, order_id: str) -> OrderPlaced:
    data = store.stream(f"order/{order_id}")[0].data
    assert isinstance(data, OrderPlaced)
    return data


# ---- good files


def test_a_folder_is_recorded_with_its_names_and_exact_amounts(store: Store, write: Callable[..., Path]) -> None:
    report = run(store, write())
    assert list(report.problems) == []
    assert (report.orders, report.lines, report.recorded, report.duplicates, report.rejected) == (3, 4, 3, 0, 0)
    assert (report.position, report.lines_rejected, report.refused) == (store.head(), 0, False)
    assert placed(store, "SO-1") == OrderPlaced(
        date(2026, 1, 5),
        "standard",
        "C-1",
        "EUR",
        (
            Line(1, "P-1", "2", "100", "sensors", "Sensor"),
            Line(2, "P-2", "1", "68.00", "drives", 'Drive 19" rack'),
        ),
        (Split("ann", "1", "Ann Berg"),),
        "Hollmann GmbH",
    )
    assert placed(store, "SO-2").customer_name == "上海华光, Ltd"
    assert placed(store, "SO-2").splits == (Split("bob"),)
    assert (placed(store, "SO-3").splits, placed(store, "SO-3").customer_name) == ((), None)
    event = store.stream("order/SO-3")[0]
    assert (event.source, event.event_id, event.actor) == ("import:march", "SO-3", "importer")


def test_the_same_folder_twice_adds_nothing_and_says_so(store: Store, write: Callable[..., Path]) -> None:
    first = run(store, write())
    again = run(store, write())
    assert (again.recorded, again.duplicates, again.rejected, again.lines_rejected) == (0, 3, 0, 0)
    assert again.position == first.position
    assert not again.problems


def test_a_repeated_folder_with_more_orders_records_what_is_new(store: Store, write: Callable[..., Path]) -> None:
    run(store, write())
    more = write(ORDERS + "SO-4,2026-02-01,standard,C-1,,,,EUR,,\n", LINES + "SO-4,1,P-1,,,1,,,1\n")
    report = run(store, more)
    assert (report.recorded, report.duplicates) == (1, 3)


def test_decimals_written_in_another_way_are_the_same_order(store: Store, write: Callable[..., Path]) -> None:
    run(store, write())
    assert run(store, write(lines=LINES.replace("0,100\n", "0,100.000\n"))).duplicates == 3


def test_what_was_recorded_stays_a_duplicate_when_its_type_was_retired(
    store: Store, write: Callable[..., Path]
) -> None:
    run(store, write())
    retire = RetireOrderType("standard", date(2026, 1, 1))
    change_rules(store, RuleChangeProposed("retire", (retire,), "no longer sold"), actor="admin")
    assert run(store, write()).duplicates == 3


@pytest.mark.parametrize(
    ("orders", "lines"),
    [
        (b"\xef\xbb\xbf" + ORDERS.encode(), b"\xef\xbb\xbf" + LINES.encode()),
        (ORDERS.replace("\n", "\r\n"), LINES.replace("\n", "\r\n")),
        (ORDERS.replace("\n", "\n\n"), LINES + "\r\n\r\n"),
        (ORDERS.rstrip("\n"), LINES.rstrip("\n")),
    ],
    ids=["byte order mark", "CRLF", "blank lines", "no line end at the end"],
)
def test_what_other_programs_make_of_a_csv_file_is_read(
    store: Store, write: Callable[..., Path], orders: str | bytes, lines: str | bytes
) -> None:
    assert run(store, write(orders, lines)).recorded == 3


def test_progress_only_grows_and_ends_at_the_total(store: Store, write: Callable[..., Path]) -> None:
    steps = list[tuple[int, int]]()
    import_folder(store, write(), actor="importer", progress=lambda done, total: steps.append((done, total)))
    done = [step for step, _ in steps]
    assert done == sorted(done)
    assert steps[-1][0] == steps[-1][1]
    assert len({total for _, total in steps}) == 1


# ---- dirt


@dataclass(frozen=True)
class Dirt:
    """A folder with something wrong, the problems it must give, and how many orders are good nevertheless."""

    orders: str | bytes | None = ORDERS
    lines: str | bytes | None = LINES
    problems: tuple[Place, ...] = ()
    good: int = 2


def order_line(line: int, column: str | None, code: Code) -> Place:
    return ("orders.csv", line, column, code.name)


def line_line(line: int, column: str | None, code: Code) -> Place:
    return ("lines.csv", line, column, code.name)


_MANY = "".join(f"SO-3,{number},P-1,,,1,,,1\n" for number in range(2, LINES_MAX + 2))
DIRT = {
    "a day that does not exist": Dirt(
        ORDERS.replace("2026-01-05", "2026-02-30"), problems=(order_line(2, "order_date", Code.invalid_date),)
    ),
    "a spreadsheet's error in the place of a day and a name": Dirt(
        ORDERS.replace("2026-01-05", "#WERT!").replace("Hollmann GmbH", "#N/A"),
        problems=(
            order_line(2, "order_date", Code.spreadsheet_error),
            order_line(2, "customer", Code.spreadsheet_error),
        ),
    ),
    "a spreadsheet's error in the place of an amount and a product": Dirt(
        lines=LINES.replace("-50.5", "#¡VALOR!").replace("P-2,,,", "P-2,#NOM?,,"),
        problems=(line_line(3, "product", Code.spreadsheet_error), line_line(5, "amount", Code.spreadsheet_error)),
        good=1,
    ),
    "ids that a spreadsheet made numbers of": Dirt(
        ORDERS.replace("C-2", "1.23457E+11"),
        LINES.replace("P-2,,", "10248.0,,"),
        problems=(
            order_line(3, "customer_id", Code.damaged_identifier),
            line_line(3, "product_id", Code.damaged_identifier),
        ),
        good=1,
    ),
    "a day in another form": Dirt(
        ORDERS.replace("2026-01-05", "20260105"), problems=(order_line(2, "order_date", Code.invalid_date),)
    ),
    "a day of another millennium": Dirt(
        ORDERS.replace("2026-01-05", "0026-01-05"), problems=(order_line(2, "order_date", Code.invalid_date),)
    ),
    "an unknown order type": Dirt(
        ORDERS.replace("standard,C-2", "stnadard,C-2"),
        problems=(order_line(3, "order_type", Code.unknown_order_type),),
    ),
    "an unknown currency": Dirt(
        ORDERS.replace("USD", "EURO"), problems=(order_line(4, "currency", Code.unknown_currency),)
    ),
    "an empty customer": Dirt(ORDERS.replace("C-2", ""), problems=(order_line(3, "customer_id", Code.missing_field),)),
    "an order_id with a space at its end": Dirt(
        ORDERS.replace("SO-2", "SO-2 "),
        LINES.replace("SO-2", "SO-2 "),
        problems=(order_line(3, "order_id", Code.invalid_value),),
    ),
    "control characters in a name": Dirt(
        ORDERS.replace("Hollmann GmbH", "Holl\x07mann"), problems=(order_line(2, "customer", Code.invalid_value),)
    ),
    "an endless name": Dirt(
        ORDERS.replace("Ann Berg", "a" * 501), problems=(order_line(2, "salesperson", Code.invalid_value),)
    ),
    "several things in one order": Dirt(
        ORDERS.replace("2026-01-05", "tomorrow").replace("ann,", "a" * 121 + ","),
        LINES.replace("0,100\n", '0,"1,5"\n').replace("1,,,68.00", "one,,,"),
        problems=(
            order_line(2, "order_date", Code.invalid_date),
            order_line(2, "salesperson_id", Code.invalid_value),
            line_line(2, "amount", Code.invalid_amount),
            line_line(4, "quantity", Code.invalid_amount),
            line_line(4, "amount", Code.missing_field),
        ),
    ),
    "a line number that is none": Dirt(
        lines=LINES.replace("SO-1,2,", "SO-1,two,"), problems=(line_line(4, "line_no", Code.invalid_value),)
    ),
    "a line number below 1": Dirt(
        lines=LINES.replace("SO-1,2,", "SO-1,0,"), problems=(line_line(4, "line_no", Code.invalid_value),)
    ),
    "a line number twice": Dirt(
        lines=LINES.replace("SO-1,2,", "SO-1,1,"), problems=(line_line(4, "line_no", Code.duplicate_line),)
    ),
    "too many decimals": Dirt(
        lines=LINES.replace("9.000001", "9.0000001"), problems=(line_line(3, "amount", Code.invalid_amount),)
    ),
    "an exponent": Dirt(lines=LINES.replace("-50.5", "1e3"), problems=(line_line(5, "amount", Code.invalid_amount),)),
    "an order_id twice": Dirt(
        ORDERS + "SO-1,2026-01-09,standard,C-9,,,,EUR,,\n", problems=(order_line(5, "order_id", Code.order_exists),)
    ),
    "an order without lines": Dirt(
        ORDERS + "SO-4,2026-01-09,standard,C-9,,,,EUR,,\n",
        problems=(order_line(5, "order_id", Code.missing_field),),
        good=3,
    ),
    "lines without an order": Dirt(
        lines=LINES + "SO-8,1,P-1,,,1,,,1\nSO-9,1,P-1,,,1,,,1\n",
        problems=(line_line(6, "order_id", Code.orphan_line), line_line(7, "order_id", Code.orphan_line)),
        good=3,
    ),
    "too many lines": Dirt(lines=LINES + _MANY, problems=(order_line(4, "order_id", Code.too_many_lines),)),
    "a field too few": Dirt(ORDERS.replace(",USD,,", ",USD,"), problems=(order_line(4, None, Code.invalid_csv),)),
    "a field too many": Dirt(
        lines=LINES.replace("9.000001", "9,000001"), problems=(line_line(3, None, Code.invalid_csv),)
    ),
    "a quote left open": Dirt(
        lines=LINES.replace('"Drive 19"" rack"', '"Drive'), problems=(line_line(4, None, Code.invalid_csv),)
    ),
    "a quote in the middle of a quoted field": Dirt(
        lines=LINES.replace('19"" rack', '19" rack'), problems=(line_line(4, None, Code.invalid_csv),)
    ),
    "a line end inside a field": Dirt(
        ORDERS.replace("上海华光, Ltd", "上海\n华光"),
        problems=(order_line(3, None, Code.invalid_csv), order_line(4, None, Code.invalid_csv)),
    ),
    "Latin-1": Dirt(
        ORDERS.encode().replace(b"Hollmann", b"H\xf6llmann"),
        problems=(order_line(2, "customer", Code.invalid_csv),),
    ),
    "NUL": Dirt(lines=LINES.replace("9.000001", "9\x00"), problems=(line_line(3, "amount", Code.invalid_csv),)),
    "NUL in a column that is not recorded": Dirt(
        ORDERS.replace("open", "op\x00en"), problems=(order_line(2, "status", Code.invalid_csv),)
    ),
    "a huge field": Dirt(
        ORDERS.replace("Hollmann GmbH", "x" * 3_000_000), problems=(order_line(2, None, Code.invalid_csv),)
    ),
}
UNUSABLE = {
    "no orders.csv": Dirt(None, problems=(("orders.csv", None, None, "file_not_found"),)),
    "no lines.csv": Dirt(lines=None, problems=(("lines.csv", None, None, "file_not_found"),)),
    "neither file": Dirt(
        None, None, (("orders.csv", None, None, "file_not_found"), ("lines.csv", None, None, "file_not_found"))
    ),
    "an empty file": Dirt("", problems=(order_line(1, None, Code.invalid_csv),)),
    "two empty files": Dirt("", "", (order_line(1, None, Code.invalid_csv), line_line(1, None, Code.invalid_csv))),
    "a header alone": Dirt(ORDERS.splitlines()[0], problems=(("orders.csv", None, None, "invalid_csv"),)),
    "the files mixed up": Dirt(
        LINES, ORDERS, (order_line(1, None, Code.invalid_csv), line_line(1, None, Code.invalid_csv))
    ),
    "semicolons": Dirt(ORDERS.replace(",", ";"), problems=(order_line(1, None, Code.invalid_csv),)),
    "a column missing": Dirt(ORDERS.replace(",currency", ""), problems=(order_line(1, None, Code.invalid_csv),)),
    "UTF-16": Dirt(ORDERS.encode("utf-16"), problems=(order_line(1, None, Code.invalid_csv),)),
    "a picture": Dirt(bytes(range(256)) * 500, problems=(order_line(1, None, Code.invalid_csv),)),
}


def assert_refused(store: Store, folder: Path, dirt: Dirt) -> None:
    before = store.head()
    report = run(store, folder)
    assert places(report) == list(dirt.problems)
    assert all(len(problem.detail.split()) > 3 and "\n" not in problem.detail for problem in report.problems)
    assert report.refused
    assert (report.recorded, report.duplicates, report.rejected) == (0, 0, report.orders)
    assert store.head() == report.position == before


@pytest.mark.parametrize("dirt", DIRT.values(), ids=DIRT.keys())
def test_a_bad_row_has_its_place_and_its_order_is_rejected_whole(
    store: Store, write: Callable[..., Path], dirt: Dirt
) -> None:
    """Nothing is recorded; when the good rows are accepted, all orders without a bad row are."""
    folder = write(dirt.orders, dirt.lines)
    assert_refused(store, folder, dirt)
    report = run(store, folder, accept_good_rows=True)
    assert places(report) == list(dirt.problems)
    assert report.recorded == dirt.good
    assert (report.recorded + report.rejected, report.refused) == (report.orders, False)
    recorded = [events[0] for number in range(1, 5) if (events := store.stream(f"order/SO-{number}"))]
    assert len(recorded) == dirt.good
    lines = sum(len(event.data.lines) for event in recorded if isinstance(event.data, OrderPlaced))
    assert report.lines_rejected == report.lines - lines


@pytest.mark.parametrize("dirt", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_file_that_is_not_usable_is_not_imported_in_part(
    store: Store, write: Callable[..., Path], dirt: Dirt
) -> None:
    folder = write(dirt.orders, dirt.lines)
    assert_refused(store, folder, dirt)
    before = store.head()
    report = run(store, folder, accept_good_rows=True, define_order_types=True)
    assert places(report) == list(dirt.problems)
    assert store.head() == before


def test_a_folder_that_is_not_there_is_reported(store: Store, tmp_path: Path) -> None:
    report = run(store, tmp_path / "nowhere")
    assert [problem.code for problem in report.problems] == [Code.file_not_found] * 2
    (tmp_path / "folder" / "orders.csv").mkdir(parents=True)
    assert run(store, tmp_path / "folder").refused


def test_a_source_that_is_no_identifier_is_refused(store: Store, write: Callable[..., Path]) -> None:
    with pytest.raises(Refusal, match="--source"):
        run(store, write(name="m" * 130))
    report = import_folder(store, write(), source="erp", actor="importer", progress=quiet)
    assert (report.source, store.stream("order/SO-1")[0].source) == ("erp", "erp")


# ---- order types


def test_missing_order_types_are_defined_by_one_rule_change_when_asked(
    store: Store, write: Callable[..., Path]
) -> None:
    folder = write(ORDERS.replace("standard,C-2", "特殊,C-2").replace("standard,C-1,,", "Second Class,C-1,,"))
    refused = run(store, folder)
    assert places(refused) == [order_line(line, "order_type", Code.unknown_order_type) for line in (3, 4)]
    assert all("--define-order-types" in problem.detail for problem in refused.problems)
    report = run(store, folder, define_order_types=True)
    assert (report.recorded, report.order_types_defined) == (3, ("Second Class", "特殊"))
    *_, change = store.rulebook().changes.values()
    assert change.alterations == (DefineOrderType("Second Class", "1"), DefineOrderType("特殊", "1"))
    assert "import:march" in change.reason
    assert change.approval is not None
    assert change.proposer == change.approval.actor == "importer"


def test_no_order_type_is_defined_for_a_file_that_is_refused(store: Store, write: Callable[..., Path]) -> None:
    before = store.head()
    folder = write(ORDERS.replace("standard,C-2", "special,C-2").replace("USD", "???"))
    assert run(store, folder, define_order_types=True).refused
    assert store.head() == before


def test_an_order_type_that_is_no_identifier_is_not_defined(store: Store, write: Callable[..., Path]) -> None:
    orders = ORDERS.replace("standard", "standard ")
    report = run(store, write(orders), define_order_types=True, accept_good_rows=True)
    assert places(report) == [order_line(line, "order_type", Code.invalid_value) for line in (2, 3, 4)]
    assert report.order_types_defined == ()


def test_a_column_that_holds_no_order_types_does_not_fill_the_rulebook(
    store: Store, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer, "NEW_ORDER_TYPES_MAX", 1)
    orders = ORDERS.replace("standard,C-2", "x1,C-2").replace("standard,C-1,,", "x2,C-1,,")
    report = run(store, write(orders), define_order_types=True)
    assert places(report) == [order_line(4, "order_type", Code.unknown_order_type)]


# ---- what the ledger knows already


def place(store: Store, order_id: str, source: str) -> None:
    data = OrderPlaced(date(2026, 1, 1), "old", "C-1", "EUR", (Line(1, "P-1", "1", "1"),))
    record(store, SubmitPlaced(source=source, event_id=order_id, order_id=order_id, data=data), actor="somebody")


def test_orders_of_another_source_and_other_content_are_problems_of_the_file(
    store: Store, write: Callable[..., Path]
) -> None:
    place(store, "SO-2", "shop")
    place(store, "SO-3", "import:march")
    before = store.head()
    expected = [order_line(3, "order_id", Code.order_exists), order_line(4, "order_id", Code.event_id_conflict)]
    assert places(run(store, write())) == expected
    assert store.head() == before
    report = run(store, write(), accept_good_rows=True)
    assert places(report) == expected
    assert (report.recorded, report.rejected) == (1, 2)


def test_an_order_amended_since_is_still_a_duplicate(store: Store, write: Callable[..., Path]) -> None:
    run(store, write())
    amended = OrderAmended(customer_id="C-9")
    record(store, SubmitAmended(source="desk", event_id="1", order_id="SO-1", data=amended), actor="somebody")
    assert run(store, write()).duplicates == 3


def test_what_others_record_meanwhile_is_reported_with_its_place(store: Store, write: Callable[..., Path]) -> None:
    def interfere(done: int, total: int) -> None:
        if 3 * done == 2 * total and not store.stream("order/SO-2"):
            place(store, "SO-2", "shop")

    report = import_folder(store, write(), actor="importer", progress=interfere)
    assert places(report) == [order_line(3, "order_id", Code.order_exists)]
    assert (report.recorded, report.rejected, report.refused) == (2, 1, False)


# ---- size


def many(orders: int, amount: str) -> tuple[str, str]:
    """Make the texts of many orders of two lines, the lines in random order."""
    lines = [f"SO-{number},{line},P-1,Sensor,s,1,,,{amount}\n" for number in range(orders) for line in (1, 2)]
    random.Random(7).shuffle(lines)  # noqa: S311 - a test's data
    rows = (f"SO-{number},2026-01-05,standard,C-1,Hollmann,ann,,EUR,,\n" for number in range(orders))
    return ORDERS.splitlines()[0] + "\n" + "".join(rows), LINES.splitlines()[0] + "\n" + "".join(lines)


def peak_bytes(store: Store, folder: Path) -> int:
    tracemalloc.start()
    try:
        run(store, folder)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("amount", ["1", "1,5"], ids=["good", "all bad"])
def test_memory_does_not_grow_with_the_files(
    store: Store, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, amount: str
) -> None:
    monkeypatch.setattr(importer, "EVENTS_MAX", 100)
    monkeypatch.setattr(importer, "READ_ROWS", 100)
    amount = f'"{amount}"'
    run(store, write(*many(10, amount), name="warm-up"))
    small, large = write(*many(1_000, amount), name="small"), write(*many(5_000, amount), name="large")
    low, high = peak_bytes(store, small), peak_bytes(store, large)
    assert high < 2 * low, (low, high)


def test_a_full_disk_is_a_refusal_that_names_the_remedy(
    store: Store, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_spool: Spool) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Spool, "index", full)
    before = store.head()
    with pytest.raises(Refusal, match="TMPDIR"):
        run(store, write())
    assert store.head() == before


def test_problems_are_kept_whole_and_in_order() -> None:
    given = [RowProblem("orders.csv", line, "order_id", "order_exists", f"第 {line}") for line in range(2_500)]
    problems = Problems(given)
    assert len(problems) == len(given)
    assert list(problems) == given
    assert str(given[2]) == "orders.csv:2:order_id: 第 2 [order_exists]"
