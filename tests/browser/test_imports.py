"""Imports on the console: a file is uploaded, its reading decided, looked at, recorded; bad rows come back."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from ledger import staging
from tests.browser.conftest import Visitor, follow
from tests.browser.test_board import FORMS

HEAD = "order_id,order_date,order_type,customer_id,salesperson_id,product_id,quantity,amount,currency\r\n"
GOOD = (
    f"{HEAD}IM-{{0}}-1,2026-09-05,standard,C-1001,S-01,P-1,2,1168.00,EUR\r\n"
    "IM-{0}-2,2026-04-06,standard,C-1001,S-02,P-1,1,84.50,EUR\r\n"
)
BAD = (
    f"{GOOD}IM-{{0}}-3,2026-09-32,standard,C-1001,S-01,P-1,2,9.00,EUR\r\n"
    "IM-{0}-4,2026-09-07,unheard-of,C-1001,S-01,P-1,2,9.00,EUR\r\n"
)
EITHER = HEAD.replace(",", ";") + "IM-{0}-1;05/06/2026;standard;C-1001;S-01;P-1;2;1.234;EUR\r\n"
STATE = "#state .state"


def upload(visitor: Visitor, name: str, text: str, **chosen: str) -> None:
    """Choose a file on the page for it, and send it."""
    visitor.open("/imports")
    content = text.format(name.partition(".")[0]).encode()
    visitor.page.locator("#file").set_input_files({"name": name, "mimeType": "text/plain", "buffer": content})
    for field, value in chosen.items():
        visitor.page.locator(f"#{field}").select_option(value)
    follow(visitor.page.get_by_role("button", name="Upload and look"))


def import_id(page: Page) -> str:
    """Give the id of the import that a page shows."""
    return page.url.partition("?")[0].rpartition("/")[2]


def counts(page: Page, section: str) -> dict[str, str]:
    """Give the counts of a part of the page, by what they count."""
    names, values = (page.locator(f"{section} .counts {part}").all_inner_texts() for part in ("dt", "dd"))
    return dict(zip(names, values, strict=True))


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_pages_are_accessible_in_every_theme_language_and_width(
    visit: Callable[..., Visitor], form: dict[str, str]
) -> None:
    ingest, finance = visit("ingest", **form), visit("finance", **form)
    client = ingest.client("ingest")
    ingest.see("/imports")
    for kind, text in (("either", EITHER), ("bad", BAD)):
        name = f"axe-{FORMS.index(form)}-{kind}"
        staged = client.stage_content(text.format(name).encode(), "csv", name)
        ingest.see(f"/imports/{staged.id}")
        finance.see(f"/imports/{staged.id}?rejected=yes")
    client.commit_import(staged.id, accept_good_rows=True)
    client.committed_import(staged.id)
    ingest.see(f"/imports/{staged.id}")


def test_a_file_is_looked_at_and_recorded_once(visit: Callable[..., Visitor]) -> None:
    """Its figures are the API's; while it is recorded the page follows; a double click records once."""
    visitor = visit("ingest")
    page, store = visitor.page, visitor.demo.service.app.store
    upload(visitor, "good.csv", GOOD)
    staged = visitor.client("ingest").import_(import_id(page))
    assert staged.impact is not None
    assert page.locator(STATE).inner_text() == "ready to be recorded"
    told = counts(page, "section")
    assert (told["Rows"], told["New orders"]) == ("2", "2") == (str(staged.counts.rows), str(staged.impact.orders))
    assert visitor.amounts() == [each.amount for each in staged.impact.amounts]
    assert "2026-Q2" in page.locator(".note").inner_text(), "a closed period is told"
    before = store.head()
    with staging.held(store.database, staged.id):
        page.get_by_role("button", name="Record").dblclick()
        expect(page.locator(STATE)).to_have_text("being recorded")
        assert page.locator("progress").get_attribute("max") == "2"
    expect(page.locator(STATE)).to_have_text("recorded", timeout=20_000)
    assert counts(page, "#state")["Orders recorded"] == "2"
    assert store.head() == before + 2
    visitor.open("/imports")
    assert page.get_by_role("row", name="good.csv").locator("td.num").all_inner_texts() == ["2", "0", "0"]


def test_what_is_uncertain_is_decided_and_kept_for_the_next_file(visit: Callable[..., Visitor]) -> None:
    visitor = visit("ingest")
    page = visitor.page
    upload(visitor, "either.csv", EITHER)
    assert page.locator(STATE).inner_text() == "waits for a decision"
    assert page.get_by_role("button", name="Record").count() == 0
    candidates = page.locator("#date_format option").all_inner_texts()
    assert {"DD/MM/YYYY", "MM/DD/YYYY"} < set(candidates)
    page.locator("#date_format").select_option("DD/MM/YYYY")
    page.locator("#decimal_format").select_option("1.234,56")
    page.locator("#save_as").fill("erp")
    follow(page.get_by_role("button", name="Read the file so"))
    assert page.locator(STATE).inner_text() == "ready to be recorded"
    assert visitor.amounts() == ["1234"]
    assert "→ 2026-06-05" in page.locator(".rows").inner_text()
    assert page.locator("#date_format").input_value() == "DD/MM/YYYY"
    assert visitor.client("ingest").import_profile("erp").decimal_format == "1.234,56"
    upload(visitor, "again.csv", EITHER, profile="erp")
    assert page.locator(STATE).inner_text() == "ready to be recorded"


def test_a_column_is_mapped_and_a_default_given(visit: Callable[..., Visitor]) -> None:
    visitor = visit("ingest")
    page = visitor.page
    upload(visitor, "mapped.csv", GOOD.replace("salesperson_id", "rep").replace("currency", "money"))
    assert page.locator(STATE).inner_text() == "waits for a decision"
    page.locator("#columns-salesperson_id").select_option("rep")
    page.locator("#columns-currency").select_option("money")
    page.locator("#defaults-category").fill("K-1")
    follow(page.get_by_role("button", name="Read the file so"))
    staged = visitor.client("ingest").import_(import_id(page))
    assert (staged.profile.columns["salesperson_id"], staged.profile.defaults) == ("rep", {"category": "K-1"})
    assert staged.state == "staged"


def test_bad_rows_are_refused_or_left_out_and_come_back(visit: Callable[..., Visitor], tmp_path: Path) -> None:
    visitor = visit("ingest")
    page, store, client = visitor.page, visitor.demo.service.app.store, visitor.client("ingest")
    upload(visitor, "bad.csv", BAD)
    follow(page.get_by_role("link", name="Rejected rows (2)"))
    rows = list(client.preview_import(import_id(page), rejected=True))
    assert page.locator(".rows tbody th").all_inner_texts() == [str(row.line) for row in rows] == ["4", "5"]
    assert all(row.errors[0].detail in page.locator(".rows").inner_text() for row in rows)
    assert page.locator(".rows .wrong").all_inner_texts() == ["2026-09-32", "unheard-of"]
    before = store.head()
    visitor.expected |= {409, 422}
    assert page.get_by_label("Record all orders").is_disabled()
    page.eval_on_selector("[name=rows][value=all]", "each => { each.disabled = false; each.checked = true }")
    follow(page.get_by_role("button", name="Record"))
    assert "2 of its 4 rows" in page.locator("#rows-problem").inner_text()
    assert store.head() == before
    visitor.look()
    page.get_by_label("Record the good orders").check()
    follow(page.get_by_role("button", name="Record"))
    expect(page.locator(STATE)).to_have_text("recorded", timeout=20_000)
    assert store.head() == before + 2
    with page.expect_download() as downloading:
        page.locator("#state").get_by_role("link", name="CSV").click()
    named = client.rejected_rows(import_id(page), tmp_path / "rejected.csv")
    assert Path(downloading.value.path()).read_bytes() == named.read_bytes()


def test_it_works_without_javascript(visit: Callable[..., Visitor]) -> None:
    visitor = visit("ingest", java_script_enabled=False)
    page, store = visitor.page, visitor.demo.service.app.store
    upload(visitor, "plain.csv", GOOD)
    before = store.head()
    page.get_by_role("button", name="Record").dblclick()
    expect(page.locator(STATE)).not_to_have_text("ready to be recorded")
    visitor.client("ingest").committed_import(import_id(page))
    visitor.open(f"/imports/{import_id(page)}")
    assert counts(page, "#state")["Orders recorded"] == "2"
    assert store.head() == before + 2
    upload(visitor, "dropped.csv", GOOD)
    page.get_by_text("Discard this file").click()
    follow(page.get_by_role("button", name="Discard"))
    assert page.locator(STATE).inner_text() == "discarded"
    assert visitor.client("ingest").import_(import_id(page)).state == "discarded"


def test_what_is_refused_is_told_at_its_field_and_what_was_typed_stays(visit: Callable[..., Visitor]) -> None:
    visitor = visit("ingest")
    page = visitor.page
    visitor.expected |= {415, 422}
    upload(visitor, "scan.pdf", GOOD)
    assert "scan.pdf" in page.locator("#file-problem").inner_text()
    visitor.look()
    upload(visitor, "empty.csv", "")
    assert "empty" in page.get_by_role("alert").inner_text()
    upload(visitor, "sourced.csv", GOOD)
    page.locator("#source").fill("x" * 300)
    follow(page.get_by_role("button", name="Read the file so"))
    assert page.locator("#source-problem").inner_text() != ""
    assert page.locator("#source").input_value() == "x" * 300
    visitor.look()
    visitor.open("/imports/not-there", 404)
    visitor.open(f"/imports/{visitor.client('ingest').imports_page().imports[0].id}?after=x", 422)


def test_finance_looks_and_acts_nowhere_and_others_do_not_look(visit: Callable[..., Visitor]) -> None:
    visitor = visit("finance")
    staged = visitor.client("ingest").stage_content(BAD.format("looked").encode(), "csv", "looked")
    visitor.open("/imports")
    assert visitor.page.locator("main form").count() == 0
    follow(visitor.page.get_by_role("link", name="looked"))
    assert "every character is ASCII" in visitor.page.locator("main").inner_text()
    assert visitor.page.locator("main form").count() == 0
    visit("auditor").open(f"/imports/{staged.id}", 403)


def test_a_file_larger_than_other_bodies_goes(visit: Callable[..., Visitor]) -> None:
    """As 100,000 rows are; up to 64 MiB."""
    visitor = visit("ingest")
    visitor.page.set_default_timeout(120_000)
    rows = (f"IM-wide-{n},2026-09-05,standard,C-1,S-01,P-1,2,1.00,EUR,{'x' * 118_000}\r\n" for n in range(150))
    upload(visitor, "wide.csv", HEAD.replace("currency", "currency,remark") + "".join(rows))
    assert visitor.page.locator(STATE).inner_text() == "ready to be recorded"
    assert counts(visitor.page, "section")["Orders"] == "150"
    follow(visitor.page.get_by_role("link", name="Further rows"))
    assert visitor.page.locator(".rows tbody th").first.inner_text() == "52"
