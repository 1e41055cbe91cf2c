"""Proposing and what if: rows of a form, the impact beside it as the API says it, and every problem at its field."""

import json
from collections.abc import Callable
from datetime import date
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from api.client import Client
from api.console.proposal import LINES_MAX, Outcome
from api.shapes import ImpactAnswer, ImpactLineAnswer, SimulationRequest
from ledger.events import Conditions, SetRule
from tests.browser.conftest import Visitor
from tests.browser.test_board import FORMS
from tests.browser.test_periods import press

SAMPLES = {"action": "set_rule", "conditions": {"order_type": "sample"}, "share": "0.2", "effective_from": "2026-01-01"}
NOBODY = {**SAMPLES, "conditions": {"order_type": "sample", "customer_id": "C-9999"}}
TYPED = {"/alterations/0/conditions/order_type": "sample", "/alterations/0/share": "0.2"}


def drafted(*alterations: object, **more: str) -> str:
    """Give the address of a draft."""
    return "/propose?" + urlencode({"alterations": json.dumps(alterations), **more})


def fill(visitor: Visitor, **typed: str) -> None:
    """Type into fields by their names."""
    for name, text in typed.items():
        visitor.page.locator(f"[name='{name}']").fill(text)


def propose_twice(visitor: Visitor) -> None:
    """Click twice on the button that proposes, and wait until the page is another one."""
    shown = visitor.page.url
    visitor.page.get_by_role("button", name="Propose", exact=True).dblclick()
    visitor.page.wait_for_url(lambda url: url != shown)


def proposals(client: Client) -> list[str]:
    """Give the reasons of all rule changes."""
    return [each.reason for each in client.rules_history().rule_changes]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_it_is_accessible_in_every_theme_language_and_width(
    visit: Callable[..., Visitor], form: dict[str, str]
) -> None:
    visitor = visit("rules", **form)
    visitor.see("/propose")
    visitor.see(drafted(NOBODY, SAMPLES, {"action": "retire_order_type"}))
    visitor.see(drafted(NOBODY, SAMPLES, periods="2026-Q2", without="2026-08-special-orders"))
    visit("auditor", **form).see(drafted(SAMPLES))


def test_the_impact_is_shown_as_it_is_typed_and_proposed_once(visit: Callable[..., Visitor]) -> None:
    visitor = visit("rules", principal="mara")
    client = visitor.client("rules")
    visitor.open("/propose")
    fill(visitor, **TYPED, **{"/alterations/0/effective_from": "2026-01-01"})
    visitor.page.locator("#impact table").first.wait_for()
    impact = client.preview({"alterations": [SAMPLES], "reason": "x"})
    lines = "#impact [aria-label='Impact by salesperson'] tbody tr > :nth-child"
    for column, name in ((5, "before"), (6, "after"), (7, "change")):
        assert visitor.amounts(f"{lines}({column}) data") == [getattr(each, name) for each in impact.lines]
    sums = visitor.amounts("#impact [aria-label='Impact by period'] tbody tr > :nth-child(5) data")
    assert sums == [each.change for each in impact.totals]
    shown = visitor.page.locator("#impact").inner_text()
    assert impact.digest in shown
    assert all(each in shown for each in impact.closed_periods)
    assert "is replaced" in shown
    visitor.expected.add(422)
    assert press(visitor.page, "Propose") == 422
    assert visitor.page.locator("#reason[aria-invalid=true]").count() == 1
    assert visitor.page.locator("[name='/alterations/0/share']").input_value() == "0.2", "what was typed is kept"
    visitor.look()
    fill(visitor, reason="Samples count a little.", rule_change_id="2026-11-samples")
    propose_twice(visitor)
    assert proposals(client).count("Samples count a little.") == 1
    told = client.rule_change("2026-11-samples").answer
    assert (told.proposer, told.state, told.impact.digest) == ("mara", "proposed", impact.digest)


def test_rows_problems_and_proposing_without_javascript(visit: Callable[..., Visitor]) -> None:
    visitor = visit("rules", java_script_enabled=False)
    visitor.open("/propose")
    page = visitor.page
    fill(visitor, reason="Consignment counts.", **{"/alterations/0/share": "half"})
    assert press(page, "A new order type") == 200
    fill(visitor, **{"/alterations/1/order_type": "consignment", "/alterations/1/share": "1"})
    assert press(page, "An order type is retired") == 200
    fill(visitor, **{"/alterations/2/order_type": "no-such-type", "/alterations/2/effective_from": "2026-01-01"})
    fill(visitor, **{"/alterations/0/effective_from": "2026-01-01", "/alterations/0/effective_to": "2025-01-01"})
    visitor.expected.add(422)
    assert press(page, "Propose") == 422
    for name in ("0/share", "0/effective_to", "2/order_type"):
        assert page.locator(f"[name='/alterations/{name}'][aria-invalid=true]").count() == 1, name
    assert "names at least one condition" in page.locator("#row-0").inner_text()
    assert page.locator("[name='/alterations/0/share']").input_value() == "half"
    assert press(page, "Leave out row 3") == 200
    assert press(page, "Leave out row 1") == 200
    assert page.locator("fieldset[id^=row-]").count() == 1
    assert page.locator("[name='/alterations/0/order_type']").input_value() == "consignment"
    assert press(page, "Show the impact") == 200
    assert "It moves no figure" in page.locator("#impact").inner_text()
    address = page.get_by_role("link", name="Address of this draft").get_attribute("href") or ""
    page.goto(visitor.demo.url + address)
    assert page.locator("#reason").input_value() == "Consignment counts."
    visitor.expected.add(409)  # no script stops the second click while the first is being done
    propose_twice(visitor)
    assert proposals(visitor.client("rules")).count("Consignment counts.") == 1


def test_a_row_in_which_nothing_is_typed_yet_is_not_wrong_before_it_is_proposed(visit: Callable[..., Visitor]) -> None:
    visitor = visit("rules", java_script_enabled=False)
    visitor.open(drafted(SAMPLES))
    page = visitor.page
    assert press(page, "A rule ends") == 200
    assert page.locator("[aria-invalid=true], .problem").count() == 0
    assert page.locator("#impact table").count() > 0, "what is typed is computed"
    visitor.expected.add(422)
    fill(visitor, reason="Samples count a little.")
    assert press(page, "Propose") == 422
    assert page.locator("#row-1 [aria-invalid=true]").count() > 0
    assert "Fill it in." in page.locator("#row-1").inner_text()
    assert "Row 2" in page.locator("#impact").inner_text()


def test_what_is_corrected_after_a_refusal_is_no_more_told_as_wrong(visit: Callable[..., Visitor]) -> None:
    visitor = visit("rules")
    page = visitor.page
    visitor.expected |= {422}
    visitor.open("/propose")
    fill(visitor, **{**TYPED, "/alterations/0/share": "abc", "/alterations/0/effective_from": "2026-13-40"})
    fill(visitor, reason="x")
    assert press(page, "Propose") == 422
    assert page.locator(".refused").count() == 1
    assert page.locator("form[data-preview] .problem").count() == len({"share", "effective_from"})
    fill(visitor, **{"/alterations/0/share": "0.2"})
    expect(page.locator("form[data-preview] .problem")).to_have_count(1)
    assert page.locator(".refused").count() == 1
    fill(visitor, **{"/alterations/0/effective_from": "2026-01-01"})
    expect(page.locator("form[data-preview] .problem")).to_have_count(0)
    assert page.locator(".refused, [aria-invalid]").count() == 0
    assert page.locator("#impact .strip").count() == 1


def test_who_may_not_propose_asks_what_if(visit: Callable[..., Visitor]) -> None:
    for role in ("finance", "auditor", "approver"):
        visitor = visit(role)
        visitor.open("/propose")
        assert visitor.page.get_by_role("button", name="Propose", exact=True).count() == 0
        fill(visitor, **TYPED, **{"/alterations/0/effective_from": "2026-01-01"})
        visitor.page.locator("#impact table").first.wait_for()
    rule = SetRule(Conditions(order_type="sample"), "0.2", date(2026, 1, 1))
    told = visitor.client("auditor").simulate(SimulationRequest(("2026-Q2",), (rule,)))
    moved = [each for each in told.periods[0].groups if each.change_exact != "0"]
    table = "#impact [aria-label='What if in 2026-Q2']"
    for column, name in ((3, "actual"), (4, "simulated"), (5, "change")):
        assert visitor.amounts(f"{table} tbody tr > :nth-child({column}) data") == [
            getattr(each, name) for each in moved
        ]
        sums = visitor.amounts(f"{table} tfoot tr > :nth-child({column}) data")
        assert sums == [getattr(each, name) for each in told.periods[0].totals]
    answered = visitor.page.request.post(
        f"{visitor.demo.url}/console/propose", form={"do": "propose"}, headers={"Origin": visitor.demo.url}
    )
    assert answered.status == 403
    visit("sales").open("/propose", 403)


def test_a_recorded_change_is_left_out(visit: Callable[..., Visitor]) -> None:
    visitor = visit("finance")
    visitor.open("/propose?without=2026-08-special-orders&periods=2026-Q2")
    told = visitor.client("finance").simulate({"periods": ["2026-Q2"], "without": ["2026-08-special-orders"]})
    sums = visitor.amounts("#impact tfoot tr > :nth-child(5) data")
    assert sums == [each.change for each in told.periods[0].totals]
    visitor.open("/propose?without=no-such-change&periods=2026-Q2")
    assert "no-such-change" in visitor.page.locator("#impact .note").inner_text()
    assert visitor.page.locator("#without[aria-invalid=true]").count() == 1


def test_an_address_that_is_no_draft_is_refused_and_a_long_one_is_kept_whole(visit: Callable[..., Visitor]) -> None:
    visitor = visit("rules")
    visitor.open(drafted(*({"action": "rename_order_type", "name": f"N {number}"} for number in range(120))))
    assert visitor.page.locator("[name='/alterations/119/name']").input_value() == "N 119"
    assert press(visitor.page, "A rule ends") == 200
    assert visitor.page.locator("fieldset[id^=row-]").count() == 121
    for text in (
        "[",
        "{}",
        '[{"action":"drop_everything"}]',
        '[{"action":"set_rule","shore":"1"}]',
        "[1]",
        '[{"action":[]}]',
    ):
        visitor.open("/propose?" + urlencode({"alterations": text}), 422)
        assert "are no alterations" in visitor.page.locator("[role=alert]").inner_text()


def test_of_a_large_impact_the_biggest_lines_are_shown() -> None:
    changes = [str(number) for number in range(-2 * LINES_MAX, LINES_MAX)]
    lines = [
        ImpactLineAnswer("EUR", "0", "0", each, each, each, each, salesperson_id=each, name=None, period="", orders=1)
        for each in changes
    ]
    impact = ImpactAnswer(1, "", 1, 1, [], lines, [], [], [])
    assert [line.change for line in Outcome(impact=impact).lines] == changes[:LINES_MAX]
    assert Outcome().lines == []
