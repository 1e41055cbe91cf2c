"""Periods: what is closed and why it differs; finance closes, restates, carries forward, having seen both ways."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from playwright.sync_api import Page

from api.client import ANY
from api.shapes import CarryForwardRequest
from tests.browser.conftest import Visitor, follow
from tests.browser.test_board import FORMS
from tests.http_client import placed

PAGES = ("/periods", "/periods/2026-Q1", "/periods/2026-Q1/statements/1")


def late_order(visitor: Visitor, day: str, amount: str = "70.00") -> None:
    """Let an order of a closed period come in, so that it drifts."""
    order = placed(f"LATE-{uuid4()}", amount, ordered_on=day, splits=[{"salesperson_id": "S-01"}])
    visitor.client("ingest").record(order)
    visitor.demo.service.catch_up()


def press(page: Page, name: str) -> int:
    """Press a button that sends a form; give the status of the page that is answered, not of a preview under way."""
    with page.expect_response(
        lambda told: told.request.method == "POST" and told.request.is_navigation_request()
    ) as sent:
        page.get_by_role("button", name=name, exact=True).click()
    page.wait_for_load_state()
    return sent.value.status


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_they_are_accessible_in_every_theme_language_and_width(
    visit: Callable[..., Visitor], form: dict[str, str]
) -> None:
    visitor = visit("finance", **form)
    late_order(visitor, "2026-05-05")
    for path in (*PAGES, "/periods/2026-Q2", "/periods/2026-Q4"):
        visitor.see(path)


def test_an_auditor_reads_what_the_api_says_now_and_as_known_before(visit: Callable[..., Visitor]) -> None:
    visitor, client = visit("auditor"), visit("auditor").client("auditor")
    late_order(visitor, "2026-05-06")
    visitor.open("/periods")
    told = client.periods().periods[::-1]
    assert visitor.page.locator("tbody th").all_inner_texts() == [each.period for each in told]
    for known, address in ((None, ""), (600, "?known=600")):
        visitor.open(f"/periods/2026-Q2{address}")
        period = client.period("2026-Q2", known).answer
        for column, name in ((3, "settled"), (4, "current"), (5, "drift")):
            shown = visitor.amounts(f"#drift tbody tr > :nth-child({column}) data")
            assert shown == [getattr(each, name) for each in period.drift]
        sums = [each.drift for each in period.drift_totals]
        assert visitor.amounts("#drift tfoot tr > :nth-child(5) data") == sums
        assert visitor.page.get_by_role("button", name="Restate").count() == 0, "an auditor looks"
    visitor.open("/periods/2026-Q2")
    options = client.options("2026-Q2").answer
    assert visitor.amounts("#restate tbody tr > :nth-child(3) data") == [
        each.credited for each in options.restatement.figures
    ]
    assert visitor.amounts("#carried tbody td:last-child data") == [
        each.amount for each in options.carry_forward.adjustments
    ]
    first = visitor.page.locator("#drift tbody tr", has_text="Anna Berger").first
    assert "2026-08-special-orders" in first.inner_text(), "the biggest cause stands beside the drift"


def test_a_statement_is_shown_as_issued_and_printed(visit: Callable[..., Visitor]) -> None:
    visitor = visit("rules")
    visitor.open("/periods/2026-Q1")
    follow(visitor.page.get_by_role("link", name="Statement 1"))
    told = visitor.client("auditor").statement("2026-Q1", 1)
    for column, name in ((3, "credited"), (4, "adjustments"), (5, "total"), (6, "gross")):
        shown = visitor.amounts(f"tbody tr > :nth-child({column}) data")
        assert shown == [getattr(each, name) for each in told.statement.figures]
    assert told.issued.reason in visitor.page.locator("main").inner_text()
    assert told.statement.digest in visitor.page.locator("main").inner_text()
    visitor.page.emulate_media(media="print")
    assert visitor.page.locator("table").is_visible()
    assert not visitor.page.locator("header").is_visible()
    visitor.open("/periods/2026-Q1/statements/99", 404)
    visitor.open("/periods/2026-Q1/statements/one", 404)
    visitor.open("/periods/spring", 422)


def test_the_outcome_of_carrying_forward_is_of_the_day_that_was_typed(visit: Callable[..., Visitor]) -> None:
    """What is shown before is what would be recorded, and a day that would be refused is refused there."""
    visitor = visit("finance", java_script_enabled=False)
    visitor.open("/periods/2026-Q2")
    for typed, told in (("2026-08-15", "2026-08-15"), ("2026-02-30", "2026-02-30"), ("hello", "hello")):
        visitor.page.locator("#booked-on").fill(typed)
        follow(visitor.page.get_by_role("button", name="Show the outcome"))
        carried = visitor.page.locator("#carried")
        assert visitor.page.locator("#booked-on").input_value() == told
        assert (carried.locator(".problem").count() == 0) == (typed == "2026-08-15")
        assert (carried.locator("table").count() == 1) == (typed == "2026-08-15")
    visitor.page.locator("#booked-on").fill("2026-08-15")
    follow(visitor.page.get_by_role("button", name="Show the outcome"))
    assert "2026-08-15" in visitor.page.locator("#carried table").inner_text()


@pytest.mark.parametrize("javascript", [True, False])
def test_finance_restates_once_however_often_it_presses(visit: Callable[..., Visitor], javascript: bool) -> None:
    visitor = visit("finance", java_script_enabled=javascript)
    client = visitor.client("finance")
    late_order(visitor, "2026-02-10")
    before = len(client.period("2026-Q1").answer.statements)
    visitor.open("/periods/2026-Q1")
    visitor.expected.add(422)
    assert press(visitor.page, "Restate 2026-Q1") == 422
    assert visitor.page.locator("#restate .problem").count() == 1, "a reason is missing, says the field"
    visitor.page.locator("#restate-reason").fill("A late order counts.")
    visitor.page.get_by_role("button", name="Restate 2026-Q1").dblclick()
    visitor.page.wait_for_url("**/console/periods/2026-Q1?done=*")
    told = client.period("2026-Q1").answer
    assert len(told.statements) == before + 1
    assert told.statements[-1].reason == "A late order counts."
    assert told.statements[-1].actor == "finance-clerk"
    assert told.drift == []
    assert visitor.page.locator("#ways").count() == 0
    assert visitor.page.get_by_role("status").inner_text().startswith("2026-Q1 was restated: statement")


def test_finance_carries_forward_after_seeing_where_to(visit: Callable[..., Visitor]) -> None:
    visitor = visit("finance")
    late_order(visitor, "2026-02-11")
    visitor.open("/periods/2026-Q1")
    page = visitor.page
    page.locator("#carry-reason").fill("Paid with a later one.")
    into = page.locator("#into option").last.inner_text()
    page.locator("#into").select_option(into)
    page.locator("#carried p a", has_text=into).wait_for()
    assert visitor.amounts("#carried tbody td:last-child data") == ["70.00"], "as the API's options say"
    visitor.expected.add(422)
    page.locator("#booked-on").fill("2020-01-01")
    assert press(page, "Carry forward") == 422
    assert page.locator("#booked-on[aria-invalid=true]").count() == 1
    assert page.locator("#carry-reason").input_value() == "Paid with a later one.", "what was typed is kept"
    assert page.locator("#into").input_value() == into
    page.locator("#booked-on").fill("")
    page.get_by_role("button", name="Carry forward", exact=True).dblclick()
    page.wait_for_url("**/console/periods/2026-Q1?done=*")
    told = visitor.client("auditor").period("2026-Q1").answer
    assert [each.amount for each in told.adjustments_out if each.into_period == into] == ["70.00"]
    assert f"carried forward into {into}" in page.get_by_role("status").inner_text()
    visitor.open("/periods/2026-Q1?done=restate")
    assert page.get_by_role("status").count() == 0, "it is how it stands, or nothing is told"
    assert visitor.amounts("#adjustments td.num data") == [each.amount for each in told.adjustments_out]
    visitor.look()
    follow(page.locator("#adjustments").get_by_role("link", name=into).first)
    assert "Booked into this period" in page.locator("#adjustments").inner_text()


def test_the_outcome_is_shown_without_javascript_too(visit: Callable[..., Visitor]) -> None:
    visitor = visit("finance", java_script_enabled=False)
    late_order(visitor, "2026-05-07")
    visitor.open("/periods/2026-Q2")
    visitor.page.locator("#carry-reason").fill("To be paid.")
    into = visitor.page.locator("#into option").last.inner_text()
    visitor.page.locator("#into").select_option(into)
    assert press(visitor.page, "Show the outcome") == 200
    assert into in visitor.page.locator("#carried > p").inner_text()
    assert visitor.page.locator("#carry-reason").input_value() == "To be paid."
    visitor.open(f"/periods/2026-Q2?into={into}")
    assert into in visitor.page.locator("#carried > p").inner_text(), "and it has an address"
    visitor.open("/periods/2026-Q2?into=2025-Q1", 422)
    visitor.open("/periods/2026-Q2?onto=2026-Q3", 422)


def test_who_acts_on_what_has_moved_is_told_and_keeps_what_was_typed(visit: Callable[..., Visitor]) -> None:
    visitor = visit("finance")
    other = visitor.client("finance")
    late_order(visitor, "2026-02-12")
    late_order(visitor, "2026-05-08")
    visitor.open("/periods/2026-Q2")
    into = visitor.page.locator("#into option").last.inner_text()
    other.carry_forward("2026-Q1", CarryForwardRequest(into, "Somebody else was here."), if_match=ANY)
    visitor.expected.add(412)
    visitor.page.locator("#restate-reason").fill("Counted again.")
    assert press(visitor.page, "Restate 2026-Q2") == 412
    assert "were changed after this page was shown" in visitor.page.locator("main").inner_text()
    assert visitor.page.locator("#restate-reason").input_value() == "Counted again."
    visitor.look()
    other.restate("2026-Q2", "Somebody else did it.", if_match=ANY)
    assert press(visitor.page, "Restate 2026-Q2") == 412
    assert visitor.page.locator("#ways").count() == 0, "there is no drift any more"
    assert "nothing left to do here" in visitor.page.locator("main .note").inner_text()
    assert "Counted again." in visitor.page.locator("main q").inner_text()
    late_order(visitor, "2026-05-09")
    visitor.open("/periods/2026-Q2")
    visitor.page.locator("#restate-reason").fill("Now.")
    assert press(visitor.page, "Restate 2026-Q2") == 303


def test_finance_closes_what_is_shown(visit: Callable[..., Visitor]) -> None:
    visitor, client = visit("finance"), visit("finance").client("finance")
    current = next(each for each in client.periods().periods if each.state == "open").period
    visitor.open(f"/periods/{current}")
    frozen = client.close_period(current, "x", if_match=ANY, dry_run=True).statement
    assert frozen is not None
    assert visitor.amounts("#close tbody tr > :nth-child(5) data") == [each.total for each in frozen.figures]
    visitor.expected.add(422)
    assert press(visitor.page, f"Close {current}") == 422
    visitor.page.locator("#close-reason").fill("Complete in the ERP.")
    assert press(visitor.page, f"Close {current}") == 303
    told = client.period(current).answer
    assert [each.reason for each in told.statements] == ["Complete in the ERP."]
    last = client.periods().periods[-1].period
    visitor.open(f"/periods/{last}")
    assert "can’t be closed yet" in visitor.page.locator("#close").inner_text()


def test_only_finance_may_act(visit: Callable[..., Visitor]) -> None:
    for role in ("rules", "approver"):
        visitor = visit(role)
        visitor.open("/periods/2026-Q2")
        assert visitor.page.locator("main form[method=post]").count() == 0
    visitor = visit("auditor")
    answered = visitor.page.request.post(
        f"{visitor.demo.url}/console/periods/2026-Q2/restate",
        form={"reason": "x", "etag": "*"},
        headers={"Origin": visitor.demo.url},
    )
    assert answered.status == 403
    visit("sales").open("/periods", 403)
