"""A comparison: every cent between two points has a cause, and the causes lead down to the orders."""

from collections import defaultdict
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal

import pytest

from api.client import AtStatement
from api.shapes import MovementAnswer
from tests.browser.conftest import Visitor, follow
from tests.browser.test_board import FORMS

Q2 = "/comparison?period=2026-Q2"


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_it_is_accessible_in_every_theme_language_and_width(
    visit: Callable[..., Visitor], form: dict[str, str]
) -> None:
    visitor = visit("finance", **form)
    for path in (Q2, f"{Q2}&from=603&to=604&salesperson=S-02", "/comparison?period=2026-Q3&lines=20"):
        visitor.open(path)
        visitor.page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        visitor.look()
    visitor.see(f"{Q2}&from=spring", 422)


def by_person(moved: MovementAnswer, currency: str) -> list[str]:
    """Sum a movement's lines for each salesperson, and round each sum once; the most first."""
    sums = defaultdict[str | None, Decimal](Decimal)
    for line in moved.lines:
        if line.currency == currency:
            sums[line.salesperson_id] += Decimal(line.credited_exact)
    changes = [each.quantize(Decimal("0.01"), ROUND_HALF_UP) for each in sums.values() if each]
    return [str(each) for each in sorted(changes, key=lambda each: -abs(each))]


def test_figures_are_the_api_s_and_the_causes_sum_to_the_difference(visit: Callable[..., Visitor]) -> None:
    """From the last statement to now, as of a closed period it is by itself."""
    visitor = visit("auditor")
    client = visitor.client("auditor")
    visitor.open(Q2)
    moved = client.movements("2026-Q2", AtStatement(1))
    statement = client.statement("2026-Q2", 1).statement
    sums = visitor.amounts("[aria-label=Sums] td data")
    for at, (before, total) in enumerate(zip(statement.totals, moved.totals, strict=True)):
        then, now, change, gross, adjustments, carried_out = sums[at * 6 : at * 6 + 6]
        assert (then, change, gross) == (before.credited, total.credited, total.gross)
        assert (adjustments, carried_out) == (total.adjustments, total.carried_out)
        assert Decimal(now) - Decimal(then) == Decimal(change)
        causes = visitor.amounts(f"#causes-{total.currency} tbody td:nth-last-child(2) > a > data")
        assert sum(map(Decimal, causes)) == Decimal(change)
        assert causes == sorted(causes, key=lambda each: -abs(Decimal(each)))
        people = visitor.amounts(f"#people-{total.currency} tbody td:nth-child(4) data")
        assert [each for each in people if Decimal(each)] == by_person(moved, total.currency)
    assert visitor.page.locator("#causes-EUR .state", has_text="after the close").count() == 4
    svg = visitor.page.locator("#causes-EUR svg")
    assert "recorded after the close" in (svg.get_attribute("aria-label") or "")
    assert "2026-08-special-orders" in (svg.text_content() or "")


def test_a_cause_leads_down_to_the_orders(visit: Callable[..., Visitor]) -> None:
    visitor = visit("finance", java_script_enabled=False)
    visitor.open(Q2)
    visitor.page.get_by_text("12 salespeople").click()
    follow(visitor.page.locator("#causes-EUR details").get_by_role("link", name="Jonas Weber"))
    assert "to=604" in visitor.page.url
    [order] = visitor.page.locator("[aria-label^='Orders that'] tbody tr").all()
    assert order.get_by_role("link").first.inner_text() == "SO-4567"
    assert visitor.amounts("[aria-label^='Orders that'] td data") == ["0.00", "7720.53", "7720.53"]
    follow(order.get_by_role("link").first)
    assert "known=604" in visitor.page.url
    assert "compare=603" in visitor.page.url
    assert len(visitor.amounts("#differences td:nth-child(6) data")) == 3


def test_points_are_statements_positions_and_days(visit: Callable[..., Visitor]) -> None:
    """An open period is compared with nothing: position 0."""
    visitor = visit("rules")
    visitor.open(Q2)
    visitor.page.get_by_role("combobox", name="Before").fill("2026-08-01")
    visitor.page.get_by_role("combobox", name="After").fill("604")
    follow(visitor.page.get_by_role("button", name="Compare"))
    assert visitor.page.locator("#causes-EUR tbody tr").count() == 1
    assert visitor.page.get_by_role("combobox", name="Before").input_value() == "2026-08-01"
    visitor.open("/comparison?period=2026-Q1&from=statement-1&to=statement-2")
    assert "statement 1" in visitor.page.locator("main").inner_text()
    visitor.open("/comparison?period=2026-Q3&lines=5")
    assert visitor.amounts("[aria-label=Sums] td:nth-child(2) data") == ["0.00", "0.00"]
    follow(visitor.page.get_by_role("link", name="As many as possible"))
    assert visitor.page.get_by_role("link", name="As many as possible").count() == 0
    visitor.open("/comparison")


def test_what_is_wrong_is_told_at_the_field(visit: Callable[..., Visitor]) -> None:
    visitor = visit("finance")
    for field, asked in (
        ("Before", f"{Q2}&from=spring"),
        ("Before", f"{Q2}&from=statement-7"),
        ("Before", f"{Q2}&from=600&to=500"),
        ("After", f"{Q2}&to=spring"),
        ("Period", "/comparison?period=spring"),
    ):
        visitor.open(asked, 422)
        wrong = visitor.page.get_by_role("textbox" if field == "Period" else "combobox", name=field)
        assert wrong.get_attribute("aria-invalid") == "true", asked
        assert visitor.page.locator(f"#{wrong.get_attribute('aria-describedby')}").inner_text()
    refused = visit("sales", principal="S-01")
    refused.see(Q2, 403)
