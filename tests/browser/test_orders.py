"""An order's page: its life, why it counts or does not, and what was known of it then beside what is known now."""

from collections.abc import Callable

import pytest

from tests.browser.conftest import Visitor, follow
from tests.browser.test_board import FORMS


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_it_is_accessible_in_every_theme_language_and_width(
    visit: Callable[..., Visitor], form: dict[str, str]
) -> None:
    visitor = visit("auditor", **form)
    for path in ("/orders", "/orders/SO-4711", "/orders/SO-4567?compare=600", "/orders/SO-4711?compare=440"):
        visitor.open(path)
        visitor.page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        visitor.look()
    visitor.see("/orders/SO-NONE", 404)
    visitor.see("/orders/SO-4711?compare=then", 422)


def test_it_says_what_the_api_explains(visit: Callable[..., Visitor]) -> None:
    """Why is order 4711 on nobody's statement? It is looked up, and every rule that was tried is there."""
    visitor = visit("auditor", java_script_enabled=False)
    visitor.open("/orders")
    visitor.page.get_by_role("textbox", name="Order").fill("SO-4711")
    follow(visitor.page.get_by_role("button", name="Look up"))
    told = visitor.client("auditor").explanation("SO-4711")
    assert visitor.page.locator(".told p").all_inner_texts() == told.sentences
    assert visitor.amounts("[aria-label='What it brings 1'] td data") == [
        each for total in told.totals for each in (total.gross_exact, total.credited)
    ]
    assert visitor.page.locator(".timeline li").count() == len(told.life)
    assert visitor.page.locator("h3").count() == len(told.lines)
    visitor.page.get_by_text("every rule that was tried").first.click()
    rules = visitor.page.get_by_role("region", name="Rules tried 1.1").locator("tbody tr")
    assert rules.count() == len(told.lines[0].rules)
    for row, rule in zip(rules.all_inner_texts(), told.lines[0].rules, strict=True):
        assert all(each in row for each in (rule.rule_change_id, rule.proposer, rule.approver, rule.reason))
    assert "customer were not of the class house-account" in visitor.page.locator("details").first.inner_text()


def test_what_was_known_then_stands_beside_what_is_known_now(visit: Callable[..., Visitor]) -> None:
    visitor = visit("finance")
    client = visitor.client("finance")
    visitor.open("/orders/SO-4567")
    visitor.page.get_by_role("textbox", name="Beside it").fill("600")
    follow(visitor.page.get_by_role("button", name="Compare"))
    then, now = client.explanation("SO-4567", 600), client.explanation("SO-4567")
    assert visitor.page.locator(".told p").all_inner_texts() == [*then.sentences, *now.sentences]
    amounts = visitor.amounts("#differences td:nth-child(6) data")
    assert amounts == [line.credited for line in now.lines], "nothing of it counted then"
    visitor.open("/orders/SO-4567?known=600&compare=723")
    assert visitor.page.locator(".told p").all_inner_texts() == [*then.sentences, *now.sentences], "the earlier first"
    visitor.open("/orders/SO-4711?compare=440")
    assert "was not in the ledger" in visitor.page.locator(".beside").inner_text()
    visitor.open("/orders/SO-4711?compare=723")
    assert "the same at both points" in visitor.page.locator("#differences").inner_text()


def test_who_sells_sees_its_own_part(visit: Callable[..., Visitor]) -> None:
    visitor = visit("sales", principal="S-02")
    follow(visitor.page.get_by_role("link", name="Orders"))
    visitor.page.get_by_role("textbox", name="Order").fill("SO-4567")
    visitor.page.keyboard.press("Enter")
    assert "credited to Jonas Weber" in visitor.page.locator(".told").inner_text()
    assert visitor.page.locator("a[href*=rule-changes], a[href*=rule_change], a[href*='/events']").count() == 0
    visitor.see("/orders/SO-4711", 404)
    assert "SO-4711" in visitor.page.locator("#order-problem").inner_text(), "as one that is not there"


def test_what_is_wrong_is_told_at_the_field(visit: Callable[..., Visitor]) -> None:
    visitor = visit("auditor")
    for field, path, status in (
        ("Order", "/orders/SO-NONE", 404),
        ("Order", "/orders/SO-4711?known=3", 404),
        ("Known at", "/orders/SO-4711?known=then", 422),
        ("Known at", "/orders/SO-4711?known=999999", 422),
        ("Beside it, known at", "/orders/SO-4711?compare=then", 422),
    ):
        visitor.open(path, status)
        wrong = visitor.page.get_by_role("textbox", name=field, exact=field == "Order").first
        assert wrong.get_attribute("aria-invalid") == "true", path
        assert visitor.page.locator(f"#{wrong.get_attribute('aria-describedby')}").inner_text()


def test_paper_has_what_is_folded_on_the_screen(visit: Callable[..., Visitor]) -> None:
    visitor = visit("auditor")
    visitor.open("/orders/SO-4711")
    tried = visitor.page.locator("details:not([open]) table.tried").first
    for is_seen in (False, True):
        visitor.page.emulate_media(media="print" if is_seen else "screen")
        size = visitor.page.locator("details:not([open])").first.bounding_box()
        seen = tried.evaluate("each => each.checkVisibility() && each.getBoundingClientRect().height > 0")
        assert seen == is_seen
        assert (size or {"height": 0})["height"] > 100 or not is_seen
