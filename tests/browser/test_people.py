"""A salesperson's page: the figures are the API's, and the lines behind them, and which of these count."""

from collections.abc import Callable

import pytest

from tests.browser.conftest import Visitor, follow
from tests.browser.test_board import FORMS

PERSON = "/salespeople/S-02?period=2026-Q2"


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_it_is_accessible_in_every_theme_language_and_width(
    visit: Callable[..., Visitor], form: dict[str, str]
) -> None:
    visitor = visit("finance", **form)
    for path in (f"{PERSON}&lines=3", "/salespeople/~unassigned?period=2026-Q2"):
        visitor.see(path)
    visitor.see("/salespeople/nobody?period=2026-Q2", 404)
    visitor.see("/salespeople/S-02?period=spring", 422)


def test_figures_and_lines_are_the_api_s_now_and_as_known_before(visit: Callable[..., Visitor]) -> None:
    """From the board's figure, which links here."""
    visitor = visit("auditor")
    client = visitor.client("auditor")
    for known in (None, 600):
        visitor.open("/board?period=2026-Q2" + (f"&known={known}" if known else ""))
        follow(visitor.page.get_by_role("link", name="Jonas Weber"))
        [figure] = [
            each for each in client.performance("2026-Q2", known=known).figures if each.group["salesperson"] == "S-02"
        ]
        shown = visitor.amounts("[aria-label=Figures] td.num data")
        assert shown == [
            each
            for each in (
                figure.credited,
                figure.adjustments,
                figure.total,
                figure.quota,
                figure.attainment,
                figure.gross,
            )
            if each is not None
        ]
        lines = list(client.credits("2026-Q2", "S-02", known=known))
        counting = [line for line in lines if line.share != "0"]
        assert visitor.amounts("#counting td:nth-child(9) data") == [line.credited for line in counting]
        others = [line.order_id for line in lines if line.share == "0"]
        assert visitor.page.locator("#others tbody th a").all_inner_texts() == others
        assert others
        assert visitor.page.locator(".past").count() == (1 if known else 0)
    assert "special" in visitor.page.locator("#others").inner_text(), "as the rules were at position 600"


def test_each_line_leads_to_its_order_and_to_the_rule_change_that_decides(visit: Callable[..., Visitor]) -> None:
    visitor = visit("finance")
    visitor.open(PERSON)
    row = visitor.page.locator("#counting tr", has_text="SO-4567").first
    assert "2026-08-special-orders" in row.inner_text()
    follow(row.get_by_role("link", name="SO-4567"))
    assert visitor.page.locator("h1").inner_text() == "Order SO-4567"
    visitor.open(PERSON)
    follow(visitor.page.get_by_role("link", name="What has moved"))
    assert visitor.page.locator("h1").inner_text() == "Comparison 2026-Q2, S-02"


def test_long_lists_are_turned_by_address_at_one_position(visit: Callable[..., Visitor]) -> None:
    """Without JavaScript; each page says the position that the first one was of."""
    visitor = visit("finance", java_script_enabled=False)
    visitor.open(f"{PERSON}&lines=20")
    orders = []
    while True:
        orders += visitor.page.locator("#counting tbody th").all_inner_texts()
        further = visitor.page.locator("#counting").get_by_role("link", name="Further lines")
        if not further.count():
            break
        follow(further)
        assert "known=" in visitor.page.url
    lines = [line for line in visitor.client("finance").credits("2026-Q2", "S-02") if line.share != "0"]
    assert orders == [f"{line.order_id}\nline {line.line_no}" for line in lines]
    assert len(lines) > 40
    follow(visitor.page.get_by_role("link", name="First lines"))
    assert visitor.page.locator("#counting tbody th").count() == 20


def test_who_sells_sees_itself_alone(visit: Callable[..., Visitor]) -> None:
    visitor = visit("sales", principal="S-01")
    assert visitor.page.locator("h1").inner_text().startswith("Performance"), "its first page"
    visitor.see("/salespeople/S-01?period=2026-Q3")
    assert visitor.page.locator("#others").get_by_role("link", name="SO-4711").count()
    assert visitor.page.locator("a[href*=rule-changes]").count() == 0, "which it may not see"
    for other in ("S-02", "~unassigned"):
        visitor.see(f"/salespeople/{other}?period=2026-Q3", 403)
        assert "own figures only" in visitor.page.locator("[role=alert]").inner_text()


def test_it_is_printed_to_be_signed(visit: Callable[..., Visitor]) -> None:
    visitor = visit("finance")
    visitor.open(PERSON)
    signature = visitor.page.get_by_text("Day and signature")
    assert not signature.is_visible()
    visitor.page.emulate_media(media="print")
    assert signature.is_visible()
    assert not visitor.page.get_by_role("button", name="Look").is_visible()
    assert not visitor.page.get_by_role("navigation").first.is_visible()


def test_what_is_wrong_is_told_at_the_field(visit: Callable[..., Visitor]) -> None:
    visitor = visit("finance")
    for field, typed in (("Period", "spring"), ("Known at", "yesterday")):
        visitor.open(PERSON)
        visitor.expected.add(422)
        visitor.page.get_by_role("textbox", name=field).fill(typed)
        follow(visitor.page.get_by_role("button", name="Look"))
        wrong = visitor.page.get_by_role("textbox", name=field)
        assert wrong.input_value() == typed
        assert wrong.get_attribute("aria-invalid") == "true"
        assert typed in visitor.page.locator(f"#{wrong.get_attribute('aria-describedby')}").inner_text()
    visitor.open(f"{PERSON}&lines=0", 422)
    visitor.open(f"{PERSON}&line=1", 422)


@pytest.mark.parametrize(
    "path", [PERSON, "/board?period=2026-Q2", "/comparison?period=2026-Q2&from=0", "/periods/2026-Q1"]
)
def test_it_is_printed_on_a_sheet_as_wide_as_a4(visit: Callable[..., Visitor], path: str) -> None:
    """190 mm of 210 between the browser's margins are 718 pixels of its."""
    visitor = visit("finance", viewport={"width": 718, "height": 1000})
    visitor.open(path)
    visitor.page.emulate_media(media="print")
    assert (
        visitor.page.evaluate("Math.max(...[...document.querySelectorAll('*')].map(each => each.scrollWidth))") <= 718
    )
