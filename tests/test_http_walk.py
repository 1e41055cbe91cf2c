"""The whole way through HTTP: orders in, performance out, a rule changed for the past, both figures, and why."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from itertools import combinations
from typing import Any
from urllib.parse import quote

import pytest
from msgspec import convert

from ledger.database import Database
from ledger.intake import OrderSubmission, record
from ledger.refusal import Code
from ledger.store import Store
from projections.performance import GROUPINGS
from tests.http_client import OWN_SALESPERSON, Service, event, line, person, placed, refused, serving, total

PERFORMANCE = "/v1/performance"
CREDITS = f"/v1/performance/{OWN_SALESPERSON}/credits"
ANN = (OWN_SALESPERSON, "EUR")


@pytest.fixture
def service(database: Database) -> Iterator[Service]:
    """Serve a ledger whose order types are defined: special orders and samples do not count."""
    with serving(database) as service:
        service.define(standard="1", special="0", sample="0")
        yield service


def special_orders_count(service: Service, share: str = "1", **more: str) -> Any:
    """Let special orders count from the first of March: a rule changed for the past."""
    rule = {"action": "set_rule", "conditions": {"order_type": "special"}, "effective_from": "2026-03-01"}
    return service.change({**rule, "share": share}, **more)


def all_pages(service: Service, path: str, rows: str, **query: Any) -> Iterator[Any]:
    """Page through an answer; gives each whole page."""
    cursor: dict[str, str] = {}
    while True:
        page = service.get(path, **query, **cursor)
        yield page
        if page["next_cursor"] is None:
            return
        assert len(page[rows]) == query["limit"]
        cursor = {"cursor": page["next_cursor"]}


def test_a_recorded_position_is_waited_for_and_then_answered_with_when_to_retry(service: Service) -> None:
    """It is never answered with figures of another position; once it is projected it is."""
    position = service.record(placed("SO-1", splits=[person(OWN_SALESPERSON)]))
    path = f"{PERFORMANCE}?period=2026-Q1&position={position}"
    response = service.ask("GET", path, "auditor")
    assert refused(response, Code.not_yet_projected)[0]["pointer"] == "/position"
    assert int(response.headers["Retry-After"]) >= 1
    service.catch_up()
    assert service.ask("GET", path, "auditor").status_code == 200


def test_a_cursor_goes_on_with_its_own_question_only(service: Service) -> None:
    """Another period, grouping, position or person beside it is refused, not ignored; the limit may change."""
    for number in range(3):
        service.record(placed(f"SO-{number}", splits=[person(f"p-{number}")]))
    service.catch_up()
    asked: dict[str, Any] = {"period": "2026-Q1", "limit": 1}
    cursor = service.get(PERFORMANCE, **asked)["next_cursor"]
    assert len(service.get(PERFORMANCE, **{**asked, "limit": 5}, cursor=cursor)["figures"]) == 2
    for other in (
        {"position": 1},
        {"period": "2026-Q2"},
        {"group_by": "customer"},
        {"known_at": "2026-01-01T00:00:00Z"},
    ):
        response = service.ask("GET", PERFORMANCE, "auditor", query_string={**asked, **other, "cursor": cursor})
        assert refused(response, Code.invalid_parameter)[0]["pointer"] == "/cursor"


@pytest.mark.parametrize("instant", ["2026-07-31", "2026-07-31T12:00:00"])
def test_an_instant_names_its_zone(service: Service, instant: str) -> None:
    """Which moment a day or a local time is, is not guessed."""
    response = service.ask("GET", PERFORMANCE, "auditor", query_string={"period": "2026-Q1", "known_at": instant})
    assert refused(response, Code.invalid_parameter)[0]["pointer"] == "/known_at"


# ---- the story


def test_a_rule_changed_for_the_past_gives_the_new_figure_and_the_old_one_stays(service: Service) -> None:
    """Invariant 3: a figure known at a position never changes; every write's position can be read at once."""
    service.app.start_projector()
    service.record(placed("SO-1", "100.00"))
    bulk = {"events": [placed("SO-2", "40.00", order_type="special"), placed("SO-3", "2.50")]}
    sent = service.post("/v1/order-events/bulk", bulk)
    assert (sent.status_code, sent.get_json()["position"]) == (201, 5)
    before = service.get(PERFORMANCE, period="2026-Q1", position=5)
    assert [figure["credited"] for figure in before["figures"]] == ["102.50"]
    assert [figure["gross"] for figure in before["figures"]] == ["142.50"]
    assert (before["view"]["position"], before["view"]["rulebook_position"]) == (5, 2)

    changed = special_orders_count(service)
    assert (changed["state"], changed["position"]) == ("approved", 7)
    after = service.get(PERFORMANCE, period="2026-Q1", position=changed["position"])
    assert [figure["credited"] for figure in after["figures"]] == ["142.50"]

    by_position = service.get(PERFORMANCE, period="2026-Q1", position=before["view"]["position"])
    by_instant = service.get(PERFORMANCE, period="2026-Q1", known_at=before["view"]["known_at"])
    assert by_position == by_instant == before
    assert after["view"]["digest"] != before["view"]["digest"]


def test_each_write_can_be_read_by_the_position_it_answered(service: Service) -> None:
    service.app.start_projector()
    for number in range(1, 16):
        position = service.record(placed(f"SO-{number}", "1.00"))
        assert service.figures(period="2026-Q1", position=position)[ANN] == f"{number}.00"


def test_before_the_first_event_and_before_the_first_instant_there_is_nothing(service: Service) -> None:
    service.record(placed())
    service.app.projector.catch_up()
    for known in ({"position": 0}, {"known_at": "2001-01-01T00:00:00Z"}):
        answered = service.get(PERFORMANCE, period="2026-Q1", **known)
        assert (answered["figures"], answered["view"]["position"]) == ([], 0)
    assert service.figures(period="2026-Q1", known_at=datetime.now(UTC).isoformat())[ANN] == "100.00"


# ---- the lines behind a figure


def test_the_credit_lines_behind_a_figure_sum_to_it_while_new_events_arrive(service: Service) -> None:
    """The cursor pins the position: what is recorded between two pages is in neither."""
    for number in range(7):
        service.record(placed(f"SO-{number}", f"{number}.33", order_type=("standard", "special")[number % 2]))
    service.record(event("order.returned", "SO-4", returned_on="2026-03-20", lines=[line_part("1", "1.11")]))
    special_orders_count(service, "0.3333")
    service.app.projector.catch_up()
    figure = service.get(PERFORMANCE, period="2026-Q1")
    lines, positions = list[Any](), set[int]()
    for page in all_pages(service, CREDITS, "credits", period="2026-Q1", limit=3):
        lines += page["credits"]
        positions.add(page["view"]["position"])
        service.record(placed(f"LATE-{len(lines)}", "9.99"))
        service.app.projector.catch_up()
    assert positions == {figure["view"]["position"]}
    assert len(lines) == 8
    assert total(lines, "credited") == total(figure["figures"], "credited_exact")
    assert total(lines, "gross") == total(figure["figures"], "gross_exact")
    assert total(lines, "quantity") == total(figure["figures"], "gross_quantity")


def line_part(quantity: str, amount: str, line_no: int = 1) -> dict[str, Any]:
    """What comes back of a line."""
    return {"line_no": line_no, "quantity": quantity, "amount": amount}


def test_a_credit_line_names_its_event_and_its_rule(service: Service) -> None:
    position = service.record(placed(order_type="special"))
    changed = special_orders_count(service, "0.5", rule_change_id="march-special")
    service.app.projector.catch_up()
    (credit,) = service.get(CREDITS, period="2026-Q1")["credits"]
    assert (credit["position"], credit["cause"], credit["order_id"], credit["line_no"]) == (
        *(position, "order.placed", "SO-1", 1),
    )
    assert (credit["gross"], credit["share"], credit["credited"]) == ("100", "0.5", "50")
    assert credit["rule"] == {"order_type": "special"}
    assert credit["rule_change_id"] == changed["rule_change_id"] == "march-special"


def test_performance_is_paged_at_one_position(service: Service) -> None:
    for number in range(5):
        service.record(placed(f"SO-{number}", splits=[{"salesperson_id": f"S-{number}"}]))
    service.app.projector.catch_up()
    whole = service.get(PERFORMANCE, period="2026-Q1")
    figures, views = list[Any](), list[Any]()
    for page in all_pages(service, PERFORMANCE, "figures", period="2026-Q1", limit=2):
        figures += page["figures"]
        views.append(page["view"])
        service.record(placed(f"LATE-{len(figures)}", splits=[{"salesperson_id": f"A-{len(figures)}"}]))
        service.app.projector.catch_up()
    assert figures == whole["figures"]
    assert views == [whole["view"]] * 3


# ---- groupings


@pytest.mark.parametrize("size", [1, 2, 3])
def test_every_grouping_divides_the_same_total(service: Service, size: int) -> None:
    fill(service)
    service.app.projector.catch_up()
    whole = service.get(PERFORMANCE, period="FY2026")["figures"]
    for names in list(combinations(GROUPINGS, size))[:: 1 if size < 3 else 6]:
        answered = service.get(PERFORMANCE, period="FY2026", group_by=",".join(names))
        assert answered["group_by"] == list(names)
        for field in ("credited_exact", "gross_exact", "gross_quantity"):
            assert total(answered["figures"], field) == total(whole, field), names


def fill(service: Service) -> None:
    """Record orders of several types, months, customers, products and people, with a class and rules on them."""
    for number in range(9):
        people = [{"salesperson_id": "ann", "share": "0.3333"}, {"salesperson_id": "bob", "share": "0.6667"}]
        service.record(
            placed(
                f"SO-{number}",
                ordered_on=f"2026-0{number % 4 + 1}-15",
                order_type=("standard", "special", "sample")[number % 3],
                customer_id=f"C-{number % 2}",
                lines=[line(1, amount=f"{number}.01", category="K-1"), line(2, amount="0.05"), line(3, quantity="-1")],
                splits=people if number % 4 else [],
            )
        )
    special_orders_count(service, "0.7777")
    classify(service, "C-1", customer_class="house-account", effective_from="2026-02-01")
    by_product = {"action": "set_rule", "conditions": {"product_id": "P-3"}, "effective_from": "2026-01-01"}
    service.change({**by_product, "share": "1.5"})


def classify(service: Service, customer_id: str, **fact: Any) -> int:
    """Record a customer's class; give the position."""
    response = service.ask("PUT", f"/v1/customers/{customer_id}/class", "ingest", sent=fact)
    assert response.status_code == 201, response.text
    position: int = response.get_json()["position"]
    return position


def test_orders_and_quantities_that_do_not_count_are_in_the_gross_figures_only(service: Service) -> None:
    service.record(placed("SO-1"))
    service.record(placed("SO-2", order_type="sample"))
    service.app.projector.catch_up()
    (figure,) = service.get(PERFORMANCE, period="2026-03")["figures"]
    assert (figure["orders"], figure["gross_orders"]) == (1, 2)
    assert (figure["quantity"], figure["gross_quantity"]) == ("4", "8")
    for group_by in ("salesperson", "customer", "product", "month"):
        (figure,) = service.get(PERFORMANCE, period="2026-03", group_by=group_by)["figures"]
        counts = figure["orders"], figure["gross_orders"]
        assert (counts, [type(count) for count in counts]) == ((1, 2), [int, int]), group_by


def test_currencies_are_never_added_and_each_rounds_to_its_minor_unit(service: Service) -> None:
    for currency in ("EUR", "JPY", "KWD"):
        service.record(placed(currency, "10.5555", currency=currency))
    service.app.projector.catch_up()
    assert service.figures(period="2026-Q1") == {
        (OWN_SALESPERSON, "EUR"): "10.56",
        (OWN_SALESPERSON, "JPY"): "11",
        (OWN_SALESPERSON, "KWD"): "10.556",
    }
    exact = {figure["credited_exact"] for figure in service.get(PERFORMANCE, period="2026-Q1")["figures"]}
    assert exact == {"10.5555"}


def test_an_order_without_a_split_shows_as_unassigned(service: Service) -> None:
    service.record(placed(splits=[]))
    service.app.projector.catch_up()
    assert service.figures(period="2026-Q1") == {(None, "EUR"): "100.00"}
    behind = service.get("/v1/performance/~unassigned/credits", period="2026-Q1")
    assert (behind["salesperson_id"], [credit["gross"] for credit in behind["credits"]]) == (None, ["100"])
    service.record(event("order.reassigned", "SO-1", effective_from="2026-03-10", splits=[{"salesperson_id": "ann"}]))
    service.app.projector.catch_up()
    assert service.figures(period="2026-Q1") == {ANN: "100.00"}


def test_a_house_account_counts_as_its_rule_says_on_the_days_it_is_one(service: Service) -> None:
    rule = {"action": "set_rule", "conditions": {"customer_class": "house-account"}, "effective_from": "2026-01-01"}
    service.change({**rule, "share": "0"})
    for month in (1, 2, 3):
        service.record(placed(f"SO-{month}", ordered_on=f"2026-0{month}-15"))
    house = {"customer_class": "house-account", "effective_from": "2026-02-01", "effective_to": "2026-03-01"}
    position = classify(service, "C-1", **house, reason="served by the office")
    service.app.projector.catch_up()
    by_month = service.figures(period="2026-Q1", group_by="month")
    assert by_month == {("2026-01", "EUR"): "100.00", ("2026-02", "EUR"): "0.00", ("2026-03", "EUR"): "100.00"}
    assert service.figures(period="2026-Q1", position=position - 1)[ANN] == "300.00"


# ---- orders


def test_an_order_is_read_as_it_is_and_as_it_was(service: Service) -> None:
    first = service.record(placed("SO/1 订单", customer_name="Müller & Co"))
    amended = service.record(event("order.amended", "SO/1 订单", lines=[line(1, amount="80.00"), line(2)]))
    service.record(event("order.reassigned", "SO/1 订单", effective_from="2026-04-01", splits=[]))
    service.record(event("order.returned", "SO/1 订单", returned_on="2026-05-01", lines=[line_part("1", "20")]))
    last = service.record(event("order.cancelled", "SO/1 订单", cancelled_on="2026-06-01"))
    now = service.get("/v1/orders/SO/1 订单", role="ingest")
    assert (now["version"], now["position"], now["order_id"]) == (5, last, "SO/1 订单")
    assert [assigned["effective_from"] for assigned in now["assignments"]] == [None, "2026-04-01"]
    assert (len(now["returns"]), now["cancelled"]["cancelled_on"]) == (1, "2026-06-01")
    assert [sold["amount"] for sold in now["lines"]] == ["80.00", "100.00"]
    was = service.get("/v1/orders/SO/1 订单", position=first)
    assert (was["version"], was["position"], was["cancelled"]) == (1, first, None)
    assert [sold["amount"] for sold in was["lines"]] == ["100.00"]
    assert service.get("/v1/orders/SO/1 订单", position=amended)["version"] == 2
    assert service.get("/v1/orders/SO/1 订单", known_at=datetime.now(UTC).isoformat()) == now
    refused(service.ask("GET", f"/v1/orders/SO/1 订单?position={first - 1}", "auditor"), Code.order_not_found)


@pytest.mark.parametrize("order_id", ["SO/events", "SO/explanation", "a/b/events", "/events", "%2Fevents"])
def test_an_identifier_may_end_as_an_address_does_where_its_slashes_are_encoded(
    service: Service, order_id: str
) -> None:
    service.record(placed(order_id))
    path = f"/v1/orders/{quote(order_id, safe='')}"
    assert service.get(path)["order_id"] == order_id
    (first,) = service.get(f"{path}/events")["events"]
    assert first["subject"] == f"order/{order_id}"
    assert service.get(f"{path.replace('%2F', '%2f')}/explanation")["order_id"] == order_id
    assert order_id in service.ask("GET", f"/console/orders/{quote(order_id, safe='')}", "auditor").text
    refused(service.ask("GET", "/v1/imports/a%2Fb", "ingest"), Code.import_not_found)


def test_a_rule_change_may_be_called_as_an_address_ends(service: Service) -> None:
    """Also its Location, and the console's links to it, are of itself."""
    service.change({"action": "define_order_type", "order_type": "gift", "share": "1"}, rule_change_id="RC")
    rule = {"action": "define_order_type", "order_type": "loan", "share": "1"}
    sent = {"rule_change_id": "RC/orders", "reason": "agreed", "alterations": [rule]}
    made = service.ask("POST", "/v1/rule-changes", "rules", json=sent, headers={"Prefer": "return=minimal"})
    assert made.headers["Location"] == "/v1/rule-changes/RC%2Forders"
    assert service.get(made.headers["Location"])["rule_change_id"] == "RC/orders"
    assert 'href="/console/rule-changes/RC%2Forders"' in service.ask("GET", "/console/approvals", "auditor").text


def test_an_orders_events_are_given_as_recorded(service: Service) -> None:
    sent = [placed(), event("order.reclassified", "SO-1", order_type="special")]
    positions = [service.record(each) for each in sent]
    events = service.get("/v1/orders/SO-1/events")["events"]
    assert [(each["type"], each["data"]) for each in events] == [(each["type"], each["data"]) for each in sent]
    assert [(each["sequence"], each["version"]) for each in events] == [(str(positions[0]), 1), (str(positions[1]), 2)]


def test_the_same_event_again_is_answered_as_a_duplicate(service: Service) -> None:
    first = service.post("/v1/order-events", placed(amount="100.00"))
    before = service.trace()
    again = service.post("/v1/order-events", placed(amount="100"))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json == {**first.get_json(), "duplicate": True}
    assert service.trace() == before


# ---- bulk


def test_an_atomic_batch_is_recorded_whole_or_not_at_all(service: Service) -> None:
    before = service.trace()
    batch = [placed("SO-1"), placed("SO-2", order_type="unheard-of"), placed("SO-3", currency="EURO")]
    errors = refused(service.post("/v1/order-events/bulk", {"events": batch}), Code.atomic_batch_refused)
    assert [error["pointer"] for error in errors[1:]] == ["/events/1/data/order_type", "/events/2/data/currency"]
    assert service.trace() == before
    good = service.post("/v1/order-events/bulk", {"mode": "atomic", "events": [batch[0], placed("SO-4")]})
    assert (good.status_code, [result["status"] for result in good.get_json()["results"]]) == (201, [201, 201])


def test_a_batch_per_item_answers_each_event(service: Service) -> None:
    """201: all are in the ledger; 207: some; 422: none. Events follow each other within the batch."""
    service.record(placed("SO-0"))
    returned = event("order.returned", "SO-1", returned_on="2026-03-11", lines=[line_part("4", "100")])
    bad = [placed("SO-2", order_type="unheard-of"), {"type": "order.placed"}]
    for events, status, each in (
        ([placed("SO-0"), placed("SO-1"), returned], 201, [200, 201, 201]),
        ([placed("SO-3"), *bad], 207, [201, 422, 422]),
        (bad, 422, [422, 422]),
    ):
        response = service.post("/v1/order-events/bulk", {"mode": "per_item", "events": events})
        answered = response.get_json()
        assert response.status_code == status
        assert [(result["index"], result["status"]) for result in answered["results"]] == list(enumerate(each))
        recorded = [result["recorded"]["position"] for result in answered["results"] if "recorded" in result]
        assert answered["position"] == max(recorded, default=0)
    assert answered["results"][1]["problem"]["code"] == "missing_field"


# ---- the rulebook


def test_rules_and_order_types_are_read_as_known_at_a_position(service: Service) -> None:
    first = special_orders_count(service, "0.5")
    by_customer = {"action": "set_rule", "conditions": {"customer_id": "C-1"}, "effective_from": "2026-01-01"}
    service.change({**by_customer, "share": "2", "effective_to": "2026-07-01"})
    rules = service.get("/v1/rules")["rules"]
    named = [{name for name, value in rule["conditions"].items() if value} for rule in rules]
    assert named[0] == {"customer_id"}, "the most specific first"
    special = next(rule for rule in rules if rule["conditions"].get("order_type") == "special")
    assert [(part["effective_from"], part["effective_to"], part["share"]) for part in special["stretches"]] == [
        (None, "2026-03-01", "0"),
        ("2026-03-01", None, "0.5"),
    ]
    on_that_day = service.get("/v1/rules", on="2026-07-01")["rules"]
    assert [rule["conditions"] for rule in on_that_day if "customer_id" in rule["conditions"]] == []
    before = service.get("/v1/rules", position=first["proposed_position"])
    assert (before["rulebook_position"], len(before["rules"])) == (first["proposed_position"], 3)
    assert {part["share"] for rule in before["rules"] for part in rule["stretches"]} == {"0", "1"}
    types = service.get("/v1/order-types", role="sales")["order_types"]
    assert [(known["order_type"], known["name"], known["share"]) for known in types][1] == ("special", "Special", "0")
    assert service.get("/v1/order-types", position=0)["order_types"] == []


def test_a_rule_change_is_made_once_and_says_who_and_why(service: Service) -> None:
    made = special_orders_count(service, rule_change_id="RC-1", reason_code="policy")
    before = service.trace()
    rule = {"action": "set_rule", "conditions": {"order_type": "special"}, "effective_from": "2026-03-01", "share": "1"}
    again = {"alterations": [rule], "reason": "as agreed", "reason_code": "policy", "rule_change_id": "RC-1"}
    response = service.post("/v1/rule-changes", again, "rules")
    assert (response.status_code, response.json) == (200, made)
    refused(service.post("/v1/rule-changes", {**again, "reason": "another"}, "rules"), Code.event_id_conflict)
    assert service.trace() == before
    assert service.get("/v1/rule-changes/RC-1") == made
    who = made["proposer"], made["decision"]["actor"], made["reason"]
    assert who == ("rules-clerk", "approver-clerk", "as agreed")
    history = service.get("/v1/rules/history")["rule_changes"]
    assert history[-1].items() <= made.items()
    assert [change["state"] for change in history] == ["approved", "approved"]


def test_a_rule_ended_for_the_past_leaves_the_day_to_the_next(service: Service) -> None:
    service.record(placed(order_type="special"))
    special_orders_count(service)
    service.change({"action": "end_rule", "conditions": {"order_type": "special"}, "effective_from": "2026-03-05"})
    service.app.projector.catch_up()
    assert service.figures(period="2026-Q1")[ANN] == "0.00"


# ---- the feed


def test_the_feed_gives_every_event_once_in_order(service: Service) -> None:
    for number in range(5):
        service.record(placed(f"SO-{number}"))
    seen, after = list[Any](), 0
    while batch := service.get("/v1/events", after=after, limit=3):
        seen += batch
        after = int(batch[-1]["sequence"])
    assert [int(each["sequence"]) for each in seen] == list(range(1, 8))
    for each in seen:
        assert {"specversion", "id", "source", "type", "subject", "time", "data"} <= set(each)
        assert each["specversion"] == "1.0"
    assert [each["type"] for each in seen[:3]] == ["rule_change.proposed", "rule_change.approved", "order.placed"]
    media = service.ask("GET", "/v1/events", "finance").mimetype
    assert media == "application/cloudevents-batch+json"


def test_a_long_poll_wakes_when_an_event_arrives(service: Service) -> None:
    """It answers long before its 20 s are over, with the new event; without one it answers an empty batch."""
    head = service.get("/v1/events")[-1]["sequence"]
    answered = list[Any]()
    waiting = threading.Thread(target=lambda: answered.append(service.get("/v1/events", after=head, wait=20)))
    started = time.monotonic()
    waiting.start()
    time.sleep(0.3)
    assert not answered
    position = service.record(placed())
    waiting.join(timeout=10)
    assert [[int(each["sequence"]) for each in batch] for batch in answered] == [[position]]
    assert time.monotonic() - started < 10
    assert service.get("/v1/events", after=position, wait=1) == []


def test_only_half_of_the_threads_wait_for_events(database: Database) -> None:
    """One more is answered at once, with what there is; a place that is free again is taken again."""
    with serving(database, threads=4) as service:
        head = service.app.store.head()
        path = f"/v1/events?after={head}"

        def poll(seconds: int) -> tuple[int, str | None, float]:
            began = time.monotonic()
            response = service.ask("GET", path, "auditor", headers={"Prefer": f"wait={seconds}"})
            took = time.monotonic() - began
            return len(response.get_json()), response.headers.get("Preference-Applied"), took

        with ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(poll, 20) for _ in range(2)]
            time.sleep(0.5)
            count, applied, seconds = poll(20)
            assert (count, applied, seconds < 5) == (0, None, True)
            service.define(standard="1")
            for polled in waiting:
                count, applied, _ = polled.result(timeout=10)
                assert (count > 0, applied) == (True, "wait=20")
        head = service.app.store.head()
        path = f"/v1/events?after={head}"
        assert poll(1)[:2] == (0, "wait=1")


def test_whoever_follows_the_feed_misses_nothing_and_sees_nothing_twice(service: Service) -> None:
    """Long polls that begin and wake at any moment, while threads of this process and of another one write."""
    each = 12
    other = Store(Database(service.database.url))

    def write(writer: int) -> None:
        for number in range(each):
            sent = placed(f"SO-{writer}-{number}")
            if writer % 2:
                assert service.post("/v1/order-events", sent).status_code == 201
            else:
                assert record(other, convert(sent, OrderSubmission), actor="other").position

    def follow(limit: int) -> list[int]:
        seen, after = list[int](), 0
        while after < 2 + 4 * each:
            batch = service.get("/v1/events", after=after, limit=limit, wait=20)
            assert batch, "there is more to come"
            seen += [int(event["sequence"]) for event in batch]
            after = seen[-1]
        return seen

    with ThreadPoolExecutor(7) as pool:
        followers = [pool.submit(follow, limit) for limit in (1, 3, 1_000)]
        writers = [pool.submit(write, writer) for writer in range(4)]
        for writing in writers:
            writing.result(timeout=60)
        for following in followers:
            assert following.result(timeout=60) == list(range(1, 3 + 4 * each))
    other.close()


def test_money_is_exact_whatever_its_size(service: Service) -> None:
    """A line holds up to 9.2 trillion with six decimals; the sum of many is exact."""
    largest = "9223372036854.775807"
    for number in range(3):
        service.record(placed(f"SO-{number}", largest))
    service.app.projector.catch_up()
    (figure,) = service.get(PERFORMANCE, period="2026-Q1")["figures"]
    assert Decimal(figure["credited_exact"]) == 3 * Decimal(largest)
