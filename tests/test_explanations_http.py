"""Explanations and the review of the rulebook over HTTP; a salesperson is told their own part and nothing else."""

from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from ledger.events import Conditions, CustomerClassified, DefineOrderType, RuleChangeProposed, SetRule
from ledger.facts import record_fact
from ledger.refusal import Code
from projections.impact import approve, propose
from tests.http_client import (
    OWN_SALESPERSON,
    Service,
    cancelled,
    event,
    fresh_database,
    person,
    placed,
    refused,
    serving,
    total,
)

DAY = date(2026, 1, 1)
SHARED = [person(OWN_SALESPERSON, "0.4"), person("bob", "0.6")]


@pytest.fixture(scope="module")
def service(server_url: Callable[[str], str], template: str) -> Iterator[Service]:
    """Serve a ledger with orders that count and that do not, one of a house account, shared, voided and moved ones."""
    with fresh_database(server_url, template) as database, serving(database) as service:
        store = service.app.store
        service.app.projector.catch_up()
        house = SetRule(Conditions(customer_class="house-account"), "0", DAY)
        opening = RuleChangeProposed(
            "opening",
            (DefineOrderType("standard", "1"), DefineOrderType("unheard-of", "1"), DefineOrderType("repeat", "0.5")),
            "to begin with",
        )
        accounts = RuleChangeProposed("accounts", (house,), "the office serves them")
        for proposal in (opening, accounts):
            propose(store, proposal, actor="pat")
            service.app.projector.catch_up()
            approve(store, proposal.rule_change_id, actor="abe")
            service.app.projector.catch_up()
        record_fact(store, "C-9", CustomerClassified("house-account", DAY), actor="ruth")
        service.record(placed("OWN", "10.00"))
        service.record(placed("HOUSE", "10.00", customer_id="C-9"))
        service.record(placed("SHARED", "10.00", splits=SHARED))
        service.record(placed("BOBS", "20.00", splits=[person("bob")]))
        service.record(placed("REPEAT", "20.00", customer_id="C-2", order_type="repeat"))
        for order_id, splits in (("VOID", [person(OWN_SALESPERSON)]), ("VOID-SHARED", SHARED)):
            service.record(placed(order_id, "8.00", splits=splits))
            service.record({**cancelled(order_id, "2026-03-10", void=True), "event_id": f"void-{order_id}"})
        service.record(placed("MOVED", "9.00"))
        service.record(event("order.reassigned", "MOVED", effective_from="2026-03-10", splits=[person("bob")]))
        service.record(event("order.amended", "MOVED", customer_id="C-3"))
        service.app.projector.catch_up()
        yield service


def explained(service: Service, order_id: str, role: str = "auditor", **known: Any) -> Any:
    """Read an explanation."""
    return service.get(f"/v1/orders/{order_id}/explanation", role, **known)


def test_an_order_that_does_not_count_is_explained_in_sentences_and_as_data(service: Service) -> None:
    told = explained(service, "HOUSE")
    assert "C-9 is a house account since 1 January 2026" in told["sentences"][0]
    assert told["sentences"][1] == "It would count at 1 if C-9 were not a house account."
    (line,) = told["lines"]
    decider, loser = line["rules"]
    assert (line["share"], line["amount"], line["credited"], line["credited_exact"]) == ("0", "10", "0.00", "0")
    assert (decider["standing"], decider["conditions"]) == ("decides", {"customer_class": "house-account"})
    assert (decider["proposer"], decider["approver"], decider["four_eyes"]) == ("pat", "abe", False)
    assert (loser["standing"], loser["share"]) == ("less_specific", "1")
    assert (line["customer_class"]["value"], line["customer_class"]["actor"]) == ("house-account", "ruth")
    assert line["alternatives"][0]["circumstance"] == "no_customer_class"
    assert "decides" in line["why"]


def test_an_explanation_is_as_known_at_a_position_and_sums_to_the_figure(service: Service) -> None:
    told = explained(service, "SHARED")
    assert total(told["lines"], "credited_exact") == total(told["totals"], "credited_exact") == {"EUR": Decimal(10)}
    position, known_at = told["view"]["position"], told["view"]["known_at"]
    assert explained(service, "SHARED", position=position) == told == explained(service, "SHARED", known_at=known_at)
    path = "/v1/orders/SHARED/explanation"
    refused(service.ask("GET", f"{path}?position=3", "auditor"), Code.order_not_found)
    refused(service.ask("GET", f"{path}?position={position + 1}", "auditor"), Code.position_ahead)
    refused(service.ask("GET", f"{path}?line=1", "auditor"), Code.invalid_parameter)


def test_sales_is_told_its_own_lines_only(service: Service) -> None:
    assert explained(service, "OWN", "sales") == explained(service, "OWN")
    told = explained(service, "SHARED", "sales")
    assert [(line["salesperson_id"], line["credited"]) for line in told["lines"]] == [(OWN_SALESPERSON, "4.00")]
    assert [each["salesperson_id"] for each in told["totals"]] == [OWN_SALESPERSON]
    assert "bob" not in str(told)
    assert explained(service, "VOID", "sales")["alternatives"][0]["credited_exact"] == "8"
    told = explained(service, "VOID-SHARED", "sales")
    assert (told["voided"], told["alternatives"]) == (True, []), "what it would bring is not theirs alone"


def test_an_order_that_was_reassigned_away_is_told_as_it_went_and_not_to_whom(service: Service) -> None:
    """The credit lines of whose it was list it, with what took it back; what became of it later is not theirs."""
    told, whole = explained(service, "MOVED", "sales"), explained(service, "MOVED")
    credited = service.get(f"/v1/performance/{OWN_SALESPERSON}/credits", "sales", period="FY2026")["credits"]
    assert [each["credited"] for each in credited if each["order_id"] == "MOVED"] == ["9", "-9"]
    assert (told["lines"], told["totals"], told["alternatives"]) == ([], [], [])
    (_, moved, *later) = whole["life"]
    assert later, "the control: there is more to tell"
    assert told["life"] == whole["life"][:2]
    gone = f"was reassigned (position {moved['position']}): nothing of it is credited to {OWN_SALESPERSON} any more."
    assert told["sentences"] == [f"Order MOVED of 10 March 2026 {gone}"]
    assert "bob" not in str(told)
    assert told["customer_id"] != whole["customer_id"]
    before = explained(service, "MOVED", "sales", position=moved["position"] - 1)
    assert [line["credited"] for line in before["lines"]] == ["9.00"]


def test_an_order_of_others_is_answered_like_one_that_is_not_there(service: Service) -> None:
    of_others = service.ask("GET", "/v1/orders/BOBS/explanation", "sales")
    nothing = service.ask("GET", "/v1/orders/NONE/explanation", "sales")
    refused(of_others, Code.order_not_found)
    refused(nothing, Code.order_not_found)
    one, other = of_others.get_json(), nothing.get_json()
    del one["request_id"], other["request_id"]
    assert str(one).replace("BOBS", "NONE") == str(other)


def test_the_rulebook_is_reviewed(service: Service) -> None:
    told = service.get("/v1/rules/review")
    found = {each["kind"]: each for each in told["findings"]}
    assert found["unused_order_type"]["order_types"] == ["unheard-of"]
    assert found["unused_order_type"]["alterations"][0]["action"] == "retire_order_type"
    repeat = found["first_order_as_repeat"]
    assert (repeat["orders"], repeat["examples"]) == (1, ["REPEAT"])
    assert repeat["amounts"] == [{"currency": "EUR", "gross": "20.00", "gross_exact": "20"}]
    assert "20.00 EUR" in repeat["sentence"]
    assert service.get("/v1/rules/review", position=told["view"]["position"]) == told
    assert service.get("/v1/rules/review", position=0)["findings"] == []
