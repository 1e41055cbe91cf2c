"""The board: what each salesperson comes to in a period, as the API says it, in every form that it is looked at in."""

from collections.abc import Callable

import pytest

from tests.browser.conftest import Visitor, follow

FORMS = [
    {"color_scheme": "light", "locale": "en-GB"},
    {"color_scheme": "dark", "locale": "en-GB"},
    {"color_scheme": "light", "locale": "zh-CN"},
    {"color_scheme": "dark", "locale": "zh-CN", "viewport": {"width": 360, "height": 740}},
]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_it_is_accessible_in_every_theme_language_and_width(
    visit: Callable[..., Visitor], form: dict[str, str]
) -> None:
    visit("finance", **form).see("/board?period=2026-Q2")


def test_figures_are_the_api_s_now_and_as_known_before(visit: Callable[..., Visitor]) -> None:
    visitor = visit("auditor")
    client = visitor.client("auditor")
    for known, address in ((None, ""), (400, "&known=400")):
        visitor.open(f"/board?period=2026-Q2{address}")
        told = client.performance("2026-Q2", known=known).figures
        assert visitor.amounts("main table >> nth=0 >> tbody td:nth-child(3) data") == [each.credited for each in told]
        assert visitor.page.locator(".past").count() == (1 if known else 0)


def test_the_filter_understands_what_people_write(visit: Callable[..., Visitor]) -> None:
    visitor = visit("finance")
    visitor.open("/board")
    for text in ("2026-Q1", "FY2026", "2026-01..2026-03"):
        visitor.page.get_by_role("textbox", name="Period").fill(text)
        follow(visitor.page.get_by_role("button", name="Look"))
        assert text in visitor.page.locator("h1").inner_text()
    visitor.open("/board?period=spring", 422)
    assert "spring" in visitor.page.locator("#period-problem").inner_text()
    assert visitor.page.get_by_role("textbox", name="Period").input_value() == "spring"
    visitor.look()


def test_sales_sees_its_own_figures_alone(visit: Callable[..., Visitor]) -> None:
    visitor = visit("sales", principal="S-01")
    visitor.see("/board?period=2026-Q2")
    rows = visitor.page.locator("main table").first.locator("tbody tr")
    assert rows.count() == 1
    assert "S-01" in rows.inner_text()
    visitor.open("/board?period=2026-Q2&known=nonsense", 422)


def test_it_works_without_javascript(visit: Callable[..., Visitor]) -> None:
    visitor = visit("finance", java_script_enabled=False)
    visitor.open("/board?period=2026-Q1")
    follow(visitor.page.get_by_role("link", name="2026-Q2").first)
    assert visitor.page.locator("h1").inner_text() == "Performance 2026-Q2"


def test_who_is_not_signed_in_comes_back_to_the_page(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.page.goto(f"{visitor.demo.url}/console/board?period=2026-Q1")
    visitor.page.locator("#token").fill(visitor.demo.service.token("finance"))
    follow(visitor.page.locator("main button"))
    assert visitor.page.url.endswith("/console/board?period=2026-Q1")


def test_a_wide_table_fits_beside_others_and_its_numbers_stay_on_one_line(visit: Callable[..., Visitor]) -> None:
    """Headings wrap at words, in Chinese not at all."""
    visitor = visit("finance", viewport={"width": 1100, "height": 900})
    visitor.open("/board?period=2026-Q2")
    people = visitor.page.locator("#people")
    assert people.evaluate("each => each.scrollWidth <= each.clientWidth")
    height = "all => [...new Set(all.map(each => each.getClientRects().length))]"
    assert visitor.page.eval_on_selector_all("#people td.num a", height) == [1]
