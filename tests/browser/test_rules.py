"""The rulebook, a rule change with the decision on it, what waits for approval, and the review: as people use them."""

import json
from collections.abc import Callable
from datetime import date
from typing import Any
from urllib.parse import quote

import pytest

from api.client import Client
from api.demo import PAST_RULE_CHANGE, WAITING_RULE_CHANGE
from api.shapes import ImpactAnswer
from tests.browser.conftest import Visitor, follow
from tests.browser.test_board import FORMS
from tests.http_client import placed
from tests.service_thread import Demo

Visit = Callable[..., Visitor]
REPEAT = {"action": "set_rule", "conditions": {"order_type": "repeat"}, "share": "0.7", "effective_from": "2026-07-01"}
UNMATCHED = {"conditions": {"product_id": "P-NONE"}, "effective_from": "2026-02-01"}
SIMULATION = "/review/simulation?alterations=" + quote(json.dumps([REPEAT]))
PROPOSER = "rules-clerk"
"""Who proposes in these tests (tests/http_client)."""
IMPACT = "[aria-label='Impact by salesperson and period']"


@pytest.fixture(scope="module", autouse=True)
def _finding(demo: Demo) -> None:
    """Let the review find a rule that matches nothing, whose remedy is a rule change."""
    demo.service.change({"action": "set_rule", "share": "0.2", **UNMATCHED}, rule_change_id="unmatched")


def proposed(demo: Demo, rule_change_id: str, **changes: Any) -> str:
    """Propose that repeat orders count otherwise; give the page's address."""
    demo.service.propose({**REPEAT, **changes}, rule_change_id=rule_change_id)
    demo.service.catch_up()
    return f"/rule-changes/{rule_change_id}"


def sell(demo: Demo, order_id: str) -> None:
    """Record a repeat order of the third quarter, which every proposal of these tests touches."""
    demo.service.record(placed(order_id, order_type="repeat", ordered_on="2026-08-03"))
    demo.service.catch_up()


def state(client: Client, rule_change_id: str) -> str:
    """Ask what became of a rule change."""
    return client.rule_change(rule_change_id).answer.state


def changes_told(impact: ImpactAnswer) -> list[str]:
    """Give the amounts of an impact in the order in which the page has them."""
    lines = sorted(impact.lines, key=lambda each: (each.salesperson_id or "", each.period, each.currency))
    return [amount for each in lines for amount in (each.before, each.after, each.change)]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_pages_are_accessible_in_every_theme_language_and_width(visit: Visit, form: dict[str, str]) -> None:
    visitor = visit("approver", "rules", principal="viktor.cfo", **form)
    for path in (
        *("/rulebook?on=2026-03-01&order_type=special", "/rulebook?on=2025-01-01&known=100", "/approvals"),
        *(f"/rule-changes/{PAST_RULE_CHANGE}", f"/rule-changes/{WAITING_RULE_CHANGE}", "/review", SIMULATION),
        *(f"/rule-changes/{PAST_RULE_CHANGE}/orders?period=2026-Q2", "/review?orders=all"),
    ):
        visitor.see(path)


# ---- the rulebook


def test_an_auditor_sees_which_rules_hold_on_a_day_as_known_at_a_point(visit: Visit) -> None:
    visitor = visit("auditor")
    client = visitor.client("auditor")
    for on, known in ((date(2026, 3, 1), None), (date(2026, 5, 1), None), (date(2026, 5, 1), 602)):
        visitor.open(f"/rulebook?on={on}" + (f"&known={known}" if known else ""))
        rules = client.rules(on, known=known).rules
        shares = [stretch.share for rule in rules for stretch in rule.stretches]
        assert visitor.amounts("main table >> nth=0 >> td.num data") == shares
        types = visitor.page.locator("main table >> nth=0 >> tbody tr td:nth-child(7)").all_inner_texts()
        assert types == [rule.conditions.order_type or "" for rule in rules]
    assert visitor.page.locator(".past").count() == 1


def test_a_rule_s_history_leads_to_the_changes_that_brought_it(visit: Visit) -> None:
    visitor = visit("auditor")
    visitor.open("/rulebook?on=2026-05-01")
    row = visitor.page.locator("main table >> nth=0 >> tr", has_text="special").first
    row.locator("summary").focus()
    visitor.page.keyboard.press("Enter")
    assert "before 2026-04-01: 0" in row.locator("details li").first.inner_text()
    follow(row.locator("details li", has_text="from 2026-04-01 on").get_by_role("link", name=PAST_RULE_CHANGE))
    assert visitor.page.locator("h1").inner_text() == f"Rule change {PAST_RULE_CHANGE}"


def test_a_rule_s_versions_are_drawn_and_told_as_the_api_knows_them(visit: Visit, demo: Demo) -> None:
    visitor = visit("auditor", java_script_enabled=False)
    client = visitor.client("auditor")
    visitor.open("/rulebook")
    follow(visitor.page.locator("main table >> nth=0 >> tr", has_text="special").get_by_role("link", name="Versions"))
    told = [
        stretch.share
        for position in (604, 4)
        for rule in client.rules(known=position).rules
        if rule.conditions.order_type == "special"
        for stretch in rule.stretches
    ]
    assert visitor.amounts("#versions td.num data") == told == ["0", "1", "0"]
    drawn = visitor.page.locator("#versions svg")
    assert "orders of type special" in (drawn.get_attribute("aria-label") or "")
    assert drawn.locator("text.share").all_text_contents() == told
    assert drawn.locator("rect.new").count() == 2
    follow(visitor.page.locator("#versions th a").last)
    assert "known=4" in visitor.page.url
    assert visitor.amounts("#versions td.num data") == ["0"]
    demo.service.change({"action": "end_rule", **UNMATCHED}, rule_change_id="ended")
    visitor.open("/rulebook?on=2026-05-01")
    follow(visitor.page.locator("li", has_text="P-NONE").get_by_role("link", name="Versions"))
    assert "ended on all days" in visitor.page.locator("#versions table").inner_text()
    visitor.open("/rulebook?product_id=NOT-THERE")
    assert "no rule of these conditions" in visitor.page.locator("#versions").inner_text()
    demo.service.change({"action": "set_rule", "share": "0.2", **UNMATCHED}, rule_change_id="again")


def test_who_may_read_the_rules_alone_sees_no_link_to_what_they_may_not(visit: Visit) -> None:
    for role in ("ingest", "admin"):
        visitor = visit(role)
        visitor.open("/rulebook?on=2026-05-01&order_type=special")
        assert PAST_RULE_CHANGE in visitor.page.locator("main").inner_text()
        assert visitor.page.locator("main a[href*='rule-changes']").count() == 0
        assert visitor.page.locator("#versions").count() == 0
        visitor.open(f"/rule-changes/{PAST_RULE_CHANGE}", 403)
    visitor = visit()
    visitor.expected.add(403)
    visitor.sign_in("sales")
    visitor.open("/rulebook", 403)


def test_a_day_that_is_none_is_refused(visit: Visit) -> None:
    visitor = visit("finance")
    visitor.open("/rulebook?on=yesterday", 422)
    assert "yesterday" in visitor.page.locator("#on-problem").inner_text()
    assert visitor.page.locator("[name=on]").input_value() == "yesterday"
    visitor.look()


# ---- a rule change


def test_a_rule_change_says_what_it_moved_as_it_was_approved(visit: Visit) -> None:
    visitor = visit("finance")
    told = visitor.client("finance").rule_change(PAST_RULE_CHANGE).answer
    visitor.open(f"/rule-changes/{PAST_RULE_CHANGE}")
    text = visitor.page.locator("main").inner_text()
    for said in (
        *("From 2026-04-01 on, orders of type special count at 1.", told.reason, told.proposer, "viktor.cfo"),
        *("What it moves, as it was approved", told.impact.digest, "it takes the place of", "held: two persons"),
    ):
        assert said in text
    assert visitor.amounts(f"{IMPACT} data") == changes_told(told.impact)
    assert visitor.page.locator("main form").count() == 0
    visitor.open("/rule-changes/NOT-THERE", 404)


def test_an_approver_accepts_an_impact_that_moved_having_seen_both(visit: Visit, demo: Demo) -> None:
    """The order comes while the page is open: the approval is refused with both impacts, then accepted; once."""
    address = proposed(demo, "moving", share="0.65")
    visitor = visit("approver", principal="viktor.cfo", java_script_enabled=False)
    client = visitor.client("auditor")
    visitor.open(address)
    assert visitor.page.locator("[name=accepted_digest]").count() == 0
    seen = client.rule_change("moving").answer.impact
    sell(demo, "SO-MOVES")
    visitor.page.locator("form", has_text="Approve").get_by_label("Reason").fill("As agreed.")
    visitor.expected.add(409)
    follow(visitor.page.get_by_role("button", name="Approve"))
    assert "impact is another one" in visitor.page.locator("[role=alert]").inner_text()
    now = client.rule_change("moving").answer.impact
    assert now.digest != seen.digest
    assert visitor.amounts(f"{IMPACT} tr:not(.differs) data")[:3] == changes_told(seen)[:3]
    assert visitor.page.locator(f"{IMPACT} tr.differs").inner_text().startswith("ann ≠")
    approving = visitor.page.locator("form", has_text="Approve").first
    assert approving.get_by_label("Reason").input_value() == "As agreed."
    visitor.page.get_by_role("button", name="Approve").click()
    assert state(client, "moving") == "proposed", "not without accepting it"
    visitor.page.get_by_label("I accept the impact as it is now").check()
    follow(visitor.page.get_by_role("button", name="Approve"))
    assert visitor.page.url.endswith(f"{address}?done=approved#main")
    decided = client.rule_change("moving").answer
    assert decided.decision is not None
    assert (decided.state, decided.decision.actor, decided.decision.reason) == ("approved", "viktor.cfo", "As agreed.")
    assert decided.impact.digest == now.digest


def test_a_double_click_approves_once(visit: Visit, demo: Demo) -> None:
    visitor = visit("approver", principal="viktor.cfo")
    visitor.open(proposed(demo, "twice", share="0.8"))
    before = demo.service.app.store.head()
    visitor.page.get_by_role("button", name="Approve").dblclick()
    visitor.page.wait_for_url("**?done=approved#main")
    assert state(visitor.client("auditor"), "twice") == "approved"
    assert demo.service.app.store.head() == before + 1
    said = f"Rule change twice was approved; its rules hold from position {before + 1} on."
    assert visitor.page.get_by_role("status").inner_text() == said
    visitor.look()
    for wrong in ("rejected", "nonsense", "<b>"):
        visitor.open(f"/rule-changes/twice?done={wrong}")
        assert visitor.page.get_by_role("status").count() == 0, "what did not happen is not told"


def test_an_approver_rejects_with_a_reason(visit: Visit, demo: Demo) -> None:
    visitor = visit("approver", principal="viktor.cfo")
    visitor.open(proposed(demo, "rejected"))
    form = visitor.page.locator("form", has_text="Reject")
    visitor.expected.add(422)
    form.get_by_label("Reason").fill("   ")
    follow(form.get_by_role("button"))
    assert visitor.page.locator("#reject-reason-problem").count() == 1
    assert form.get_by_label("Reason").get_attribute("aria-invalid") == "true"
    visitor.look()
    form.get_by_label("Reason").fill("Not agreed.")
    follow(form.get_by_role("button"))
    visitor.page.wait_for_url("**?done=rejected#main")
    assert "Not agreed." in visitor.page.locator("#decision").inner_text()
    assert state(visitor.client("auditor"), "rejected") == "rejected"


def test_a_decision_about_what_was_decided_meanwhile_is_refused(visit: Visit, demo: Demo) -> None:
    visitor = visit("approver", principal="viktor.cfo")
    visitor.open(proposed(demo, "meanwhile"))
    demo.service.decide("meanwhile", "reject", reason="no")
    visitor.expected.add(412)
    follow(visitor.page.get_by_role("button", name="Approve"))
    assert "was changed after this page was shown" in visitor.page.locator("[role=alert]").inner_text()
    assert "rejected" in visitor.page.locator("#decision").inner_text()


def test_a_proposer_withdraws_what_is_theirs_and_can_not_approve_it(visit: Visit, demo: Demo) -> None:
    visitor = visit("rules", "approver", principal=PROPOSER)
    visitor.open(proposed(demo, "own"))
    visitor.expected.add(403)
    follow(visitor.page.get_by_role("button", name="Approve"))
    assert "somebody else" in visitor.page.locator("[role=alert]").inner_text()
    form = visitor.page.locator("form", has_text="Withdraw")
    form.get_by_label("Reason").fill("A slip.")
    follow(form.get_by_role("button"))
    visitor.page.wait_for_url("**?done=withdrawn#main")
    assert state(visitor.client("auditor"), "own") == "withdrawn"
    visitor.open(f"/rule-changes/{WAITING_RULE_CHANGE}")
    assert visitor.page.locator("form", has_text="Withdraw").count() == 0


def test_who_only_reads_has_no_forms_and_is_refused(visit: Visit, demo: Demo) -> None:
    address = proposed(demo, "read")
    for role in ("auditor", "finance"):
        visitor = visit(role)
        visitor.open(address)
        assert visitor.page.locator("main form").count() == 0
        visitor.expected.add(403)
        for decision in ("approve", "reject", "withdraw"):
            sent = f"fetch('/console{address}/{decision}', {{method: 'POST'}}).then(answer => answer.status)"
            assert visitor.page.evaluate(sent) == 403
    assert state(visitor.client("auditor"), "read") == "proposed"
    demo.service.decide("read", "reject", reason="no")


# ---- approvals


def test_an_approver_sees_what_waits_then_and_now_and_goes_to_decide(visit: Visit, demo: Demo) -> None:
    address = proposed(demo, "waiting", share="0.9")
    sell(demo, "SO-WAITS")
    visitor = visit("approver", "rules", principal=PROPOSER)
    client = visitor.client("auditor")
    visitor.open("/approvals")
    for rule_change_id, heading in ((WAITING_RULE_CHANGE, "Waiting for you"), ("waiting", "Proposed by you")):
        section = visitor.page.locator("section", has=visitor.page.get_by_role("heading", name=heading))
        assert section.locator("article", has_text=rule_change_id).count() == 1
    then = client.rule_change("waiting", impact_as="proposed").answer.impact
    now = client.rule_change("waiting").answer.impact
    amounts = [
        each
        for both in zip(then.totals, now.totals, strict=True)
        for total in both
        for each in (total.before, total.after, total.change)
    ]
    assert visitor.amounts("article:has-text('waiting') td.num data") == amounts
    assert "the impact has moved" in visitor.page.locator("article", has_text="waiting").inner_text()
    assert PAST_RULE_CHANGE in visitor.page.get_by_role("region", name="Decided last").inner_text()
    follow(visitor.page.locator("article", has_text="waiting").get_by_role("link", name="Look at it"))
    assert visitor.page.url.endswith(f"{address}#decision")
    visit("ingest").open("/approvals", 403)


# ---- the review


def test_a_finding_is_simulated_with_one_click_and_can_be_proposed(visit: Visit) -> None:
    visitor = visit("rules", java_script_enabled=False)
    client = visitor.client("auditor")
    visitor.open("/review")
    review = client.review()
    assert visitor.amounts("main td data") == [each.gross for found in review.findings for each in found.amounts]
    text = visitor.page.locator("main").inner_text()
    for finding in review.findings:
        assert finding.sentence in text
        for order in finding.examples:
            assert visitor.page.get_by_role("link", name=order, exact=True).count() >= 1
    row = visitor.page.locator("tr", has_text="P-NONE")
    follow(row.get_by_role("button", name="Simulate"))
    assert "there is no rule of its own for orders of product P-NONE" in visitor.page.locator("main").inner_text()
    assert visitor.page.locator("section", has_text="No figure changes").count() == 4
    follow(visitor.page.get_by_role("link", name="Propose it"))
    assert visitor.page.get_by_label("Product", exact=True).input_value() == "P-NONE"


def test_a_simulation_is_the_api_s_and_is_handed_out(visit: Visit) -> None:
    visitor = visit("finance")
    visitor.open(SIMULATION)
    visitor.page.get_by_label("Periods").fill("2026-Q2, 2026-Q3")
    follow(visitor.page.get_by_role("button", name="Simulate"))
    assert visitor.page.locator("h2", has_text="2026-Q").all_inner_texts()[1].startswith("2026-Q3")
    for name, form in (("JSON", "json"), ("CSV", "csv")):
        href = visitor.page.locator(".sources").get_by_role("link", name=name).get_attribute("href")
        assert href is not None
        assert f"format={form}" in href
        answered = visitor.page.request.get(f"{visitor.demo.url}{href}")
        assert answered.status == 200
        if form == "json":
            groups = [group for period in answered.json()["periods"] for group in period["groups"]]
    shown = visitor.amounts("[aria-label^='Simulated figures'] tbody data")
    assert shown == [group[name] for group in groups for name in ("actual", "simulated", "change")]
    assert any(group["change"] != "0.00" for group in groups)
    assert visitor.page.locator("svg.chart").count() == 1
    visitor.open("/review/simulation?alterations=no", 400)
    visitor.open("/review/simulation?periods=spring", 422)
    visitor.open("/review/simulation?format=pdf", 422)
