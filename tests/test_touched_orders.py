"""The orders that a rule change touches, recorded or only tried: they are what its impact is the sum of."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from api.demo import PAST_RULE_CHANGE, WAITING_RULE_CHANGE, load_demo
from ledger.refusal import Code
from tests.http_client import Service, fresh_database, refused, serving

CHANGES = (PAST_RULE_CHANGE, WAITING_RULE_CHANGE, "2026-01-opening")
SIMULATED = "/v1/simulations/orders"
Line = tuple[str | None, str, str]
"""Whom, in which period and currency."""


@pytest.fixture(scope="module")
def service(server_url: Callable[[str], str], template: str) -> Iterator[Service]:
    """Serve the demo ledger."""
    with fresh_database(server_url, template) as database:
        load_demo(database)
        with serving(database) as service:
            service.catch_up()
            yield service


def path_of(rule_change_id: str) -> str:
    """Give the address of the orders."""
    return f"/v1/rule-changes/{rule_change_id}/orders"


def tried(service: Service, query: str = "", **asked: Any) -> Any:
    """Give the orders that an assumption touches."""
    response = service.post(f"{SIMULATED}{query}", asked, "auditor")
    assert response.status_code == 200, response.text
    return response.json


def summed(orders: list[Any]) -> dict[Line, tuple[Decimal, Decimal, int]]:
    """Add up what orders are worth before and after, exact, and count them."""
    sums = defaultdict[Line, list[Any]](lambda: [Decimal(0), Decimal(0), 0])
    for each in orders:
        line = sums[each["salesperson_id"], each["period"], each["currency"]]
        line[0] += Decimal(each["before_exact"])
        line[1] += Decimal(each["after_exact"])
        line[2] += 1
    return {key: (before, after, count) for key, (before, after, count) in sums.items()}


@pytest.mark.parametrize("rule_change_id", CHANGES)
@pytest.mark.parametrize("asked", [{}, {"impact_as": "proposed"}])
def test_they_sum_to_the_impact(service: Service, rule_change_id: str, asked: dict[str, str]) -> None:
    """By salesperson, period and currency, to the last decimal; each order is counted once."""
    detail = service.get(f"/v1/rule-changes/{rule_change_id}", **asked)
    impact, told = detail["impact"], service.get(path_of(rule_change_id), limit=5000, **asked)
    assert (told["impact_as"], told["position"]) == (detail["impact_as"], impact["position"])
    assert summed(told["orders"]) == {
        (line["salesperson_id"], line["period"], line["currency"]): (
            Decimal(line["before_exact"]),
            Decimal(line["after_exact"]),
            line["orders"],
        )
        for line in impact["lines"]
    }
    assert len({each["order_id"] for each in told["orders"]}) == impact["orders"]


def test_those_of_a_period_and_a_salesperson_are_asked_for(service: Service) -> None:
    path = path_of(PAST_RULE_CHANGE)
    everything = service.get(path)["orders"]
    for each in everything[:5]:
        whose = each["salesperson_id"] or "~unassigned"
        told = service.get(path, period=each["period"], salesperson_id=whose)["orders"]
        same = [o for o in everything if (o["salesperson_id"], o["period"]) == (each["salesperson_id"], each["period"])]
        assert told == same
    assert service.get(path, salesperson_id="nobody-of-that-name")["orders"] == []
    assert service.get(path, period="2020-Q1")["orders"] == []


def test_a_page_has_whole_orders_and_the_next_one_goes_on(service: Service) -> None:
    """At the position of the first page, whatever is recorded meanwhile."""
    path, pages = path_of(WAITING_RULE_CHANGE), list[Any]()
    everything = service.get(path)
    query: dict[str, Any] = {"limit": 7}
    while True:
        page = service.get(path, **query)
        assert len({each["order_id"] for each in page["orders"]}) <= 7
        pages += page["orders"]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert pages == everything["orders"]
    refused(service.ask("GET", f"{path}?period=2026-Q1&cursor={query['cursor']}", "auditor"), Code.invalid_parameter)


@pytest.mark.parametrize("rule_change_id", [PAST_RULE_CHANGE, WAITING_RULE_CHANGE])
def test_what_is_tried_touches_what_it_will_when_it_is_proposed(service: Service, rule_change_id: str) -> None:
    told = service.get(path_of(rule_change_id), impact_as="proposed", limit=5000)
    alterations = service.get(f"/v1/rule-changes/{rule_change_id}")["alterations"]
    asked = {"alterations": alterations, "position": told["position"]}
    assert tried(service, "?limit=5000", **asked)["orders"] == told["orders"]
    first = tried(service, "?limit=3", **asked)
    behind = tried(service, f"?limit=5000&cursor={first['next_cursor']}", **asked)
    assert first["orders"] + behind["orders"] == told["orders"]
    other = service.post(f"{SIMULATED}?cursor={first['next_cursor']}", {**asked, "period": "2026-Q1"}, "auditor")
    refused(other, Code.invalid_parameter)


def test_a_change_that_is_left_out_touches_what_a_simulation_says(service: Service) -> None:
    """By salesperson and period, exact."""
    without = [PAST_RULE_CHANGE]
    orders = tried(service, "?limit=5000", without=without, period="2026-Q2")["orders"]
    asked = {"periods": ["2026-Q2"], "without": without}
    (simulated,) = service.post("/v1/simulations", asked, "auditor").get_json()["periods"]
    changes = {
        (each["group"]["salesperson"], "2026-Q2", each["currency"]): Decimal(each["change_exact"])
        for each in simulated["groups"]
        if Decimal(each["change_exact"])
    }
    assert changes
    assert {key: after - before for key, (before, after, _) in summed(orders).items()} == changes


def test_what_can_not_be_asked_for_is_refused(service: Service) -> None:
    path = path_of(PAST_RULE_CHANGE)
    refused(service.ask("GET", path_of("NOT-THERE"), "auditor"), Code.not_found)
    refused(service.ask("GET", f"{path}?period=soon", "auditor"), Code.invalid_period)
    refused(service.ask("GET", f"{path}?salesperson_id=%00", "auditor"), Code.invalid_parameter)
    refused(service.post(SIMULATED, {}, "auditor"), Code.invalid_value)
    refused(service.post(SIMULATED, {"without": [PAST_RULE_CHANGE], "period": "soon"}, "auditor"), Code.invalid_period)
    asked = {"without": [PAST_RULE_CHANGE], "salesperson_id": "\x00"}
    refused(service.post(SIMULATED, asked, "auditor"), Code.invalid_value)
