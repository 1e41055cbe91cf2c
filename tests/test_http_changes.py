"""Changes for the past through HTTP: proposed with their impact, decided by somebody else, simulated, and explained by
movements; facts and quotas. What is refused leaves no trace in the ledger.
"""

import threading
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from ledger.database import Database
from ledger.events import Conditions, LedgerOpened, RuleChangeProposed, SetRule
from ledger.refusal import Code
from ledger.settings import open_ledger
from projections.closing import close
from projections.impact import propose
from tests.http_client import Service, event, fresh_database, line, placed, refused, resolve, serving, total

CHANGES, SIMULATIONS, MOVEMENTS = "/v1/rule-changes", "/v1/simulations", "/v1/movements"
Rule = dict[str, Any]


@pytest.fixture
def service(database: Database) -> Iterator[Service]:
    """Serve a ledger of four eyes, in which special orders do not count, with orders in two quarters of 2025."""
    with serving(database) as service:
        fill(service)
        yield service


def fill(service: Service, *, four_eyes: bool = True) -> None:
    """Open the ledger and record its orders."""
    open_ledger(service.app.store, LedgerOpened("Test", four_eyes=four_eyes), actor="admin")
    service.define(standard="1", special="0")
    ann_and_bob = [{"salesperson_id": "ann", "share": "0.5"}, {"salesperson_id": "bob", "share": "0.5"}]
    for number, day, kind, more in (
        (1, "2025-02-10", "standard", {}),
        (2, "2025-02-11", "special", {"splits": ann_and_bob}),
        (3, "2025-05-12", "special", {}),
        (4, "2025-05-13", "special", {"splits": [], "currency": "USD"}),
    ):
        service.record(placed(f"SO-{number}", f"{number}00.01", ordered_on=day, order_type=kind, **more))
    service.catch_up()


def counting(share: str = "1", start: str = "2025-02-01", order_type: str = "special", **more: Any) -> Rule:
    """Let orders of a type count at a share."""
    rule = {"action": "set_rule", "conditions": {"order_type": order_type}, "share": share, "effective_from": start}
    return {**rule, **more}


def defining(order_type: str = "gift", share: str = "1") -> Rule:
    """Define an order type."""
    return {"action": "define_order_type", "order_type": order_type, "share": share}


def ask(service: Service, path: str, role: str = "approver", **sent: Any) -> Any:
    """Send a decision, or a question."""
    return service.post(path, sent, role)


# ---- proposals and their impact


def test_a_proposal_shows_what_it_moves_and_changes_nothing(service: Service) -> None:
    """Per salesperson, period and currency, exact and rounded; dry runs tell the same and record nothing."""
    before = service.trace()
    sent = {"alterations": [counting("0.5")], "reason": "agreed in the meeting"}
    tried = service.post(CHANGES + "?dry_run=true", sent, "rules")
    assert (tried.status_code, service.trace()) == (200, before)
    figures = service.figures(period="FY2025")
    proposed = service.propose(counting("0.5"))
    impact = proposed["impact"]
    assert tried.get_json()["impact"] == impact
    assert (proposed["state"], proposed["impact_as"], proposed["obstacles"]) == ("proposed", "now", [])
    lines = [
        (each["salesperson_id"], each["period"], each["currency"], each["before"], each["after"], each["orders"])
        for each in impact["lines"]
    ]
    assert lines == [
        (None, "2025-Q2", "USD", "0.00", "200.01", 1),
        ("ann", "2025-Q1", "EUR", "0.00", "50.00", 1),
        ("ann", "2025-Q2", "EUR", "0.00", "150.01", 1),
        ("bob", "2025-Q1", "EUR", "0.00", "50.00", 1),
    ]
    assert impact["lines"][1]["change_exact"] == "50.0025"
    totals = {(each["period"], each["currency"]): each["change_exact"] for each in impact["totals"]}
    assert totals == {("2025-Q1", "EUR"): "100.005", ("2025-Q2", "EUR"): "150.005", ("2025-Q2", "USD"): "200.005"}
    assert impact["orders"] == 3
    assert service.figures(period="FY2025") == figures
    assert proposed["proposed_impact"] == {"position": impact["position"], "digest": impact["digest"]}


def test_an_impact_names_closed_periods_and_the_rules_it_meets(service: Service) -> None:
    close(service.app.store, "2025-Q1", reason="done", actor="finance")
    service.change({**counting("2"), "conditions": {"customer_id": "C-1", "order_type": "special"}})
    impact = service.propose({**counting("0.5"), "conditions": {"customer_id": "C-1"}})["impact"]
    assert impact["closed_periods"] == ["2025-Q1"]
    relations = {tuple(sorted(each["conditions"].items())): each["relation"] for each in impact["shadows"]}
    assert relations[("customer_id", "C-1"), ("order_type", "special")] == "above"
    assert relations[(("order_type", "standard"),)] == "below"


def test_a_proposal_sent_again_is_answered_the_same(service: Service) -> None:
    sent = {"alterations": [counting()], "reason": "as agreed", "rule_change_id": "RC-1"}
    first = service.post(CHANGES, sent, "rules")
    service.catch_up()
    before = service.trace()
    again = service.post(CHANGES, sent, "rules")
    assert (first.status_code, again.status_code) == (201, 200)
    told = [{**response.get_json()["impact"], "position": 0} for response in (first, again)]
    assert told[0] == told[1]
    tried = service.post(CHANGES + "?dry_run=true", sent, "rules")
    assert (tried.status_code, tried.get_json()) == (again.status_code, again.get_json())
    refused(service.post(CHANGES, {**sent, "reason": "another"}, "rules"), Code.event_id_conflict)
    refused(service.post(CHANGES + "?dry_run=true", {**sent, "reason": "another"}, "rules"), Code.event_id_conflict)
    assert service.trace() == before


def test_orders_recorded_faster_than_projected_do_not_keep_a_proposal_out(service: Service) -> None:
    """Its impact is at the projected position, and is computed again there, whatever came before the proposal."""
    store, projected = service.app.store, int(service.get("/v1/events")[-1]["sequence"])
    service.record(placed("SO-9", "7", ordered_on="2025-03-01", order_type="special"))
    proposal = RuleChangeProposed("RC-1", (SetRule(Conditions(order_type="special"), "1", date(2025, 2, 1)),), "agreed")
    made = propose(store, proposal, actor="rules-clerk")
    assert (made.impact.position, made.changed.position) == (projected, projected + 2)
    service.catch_up()
    again = propose(store, proposal, actor="rules-clerk")
    assert (again.changed.duplicate, again.impact) == (True, made.impact)
    refused(ask(service, f"{CHANGES}/RC-1/approve"), Code.impact_moved)


def test_an_undecided_change_shows_its_impact_of_now_a_decided_one_that_of_then(service: Service) -> None:
    """Computed again at the recorded position, it has the recorded digest."""
    proposed = service.propose(counting(), rule_change_id="RC-1")
    service.record(placed("SO-9", "7", ordered_on="2025-03-01", order_type="special"))
    service.catch_up()
    now = service.get(f"{CHANGES}/RC-1")
    assert now["impact_as"] == "now"
    assert now["impact"]["digest"] != now["proposed_impact"]["digest"] == proposed["impact"]["digest"]
    approved = service.decide("RC-1", "approve", accepted_digest=now["impact"]["digest"], reason="seen")
    service.record(placed("SO-10", "8", ordered_on="2025-03-01", order_type="special"))
    service.catch_up()
    then = service.get(f"{CHANGES}/RC-1")
    assert then == approved
    assert (then["state"], then["impact_as"], then["decision"]["reason"]) == ("approved", "approved", "seen")
    assert {name: then["impact"][name] for name in ("position", "digest")} == then["decision"]["impact"]
    service.propose(counting("0.2"), rule_change_id="RC-2")
    dismissed = service.decide("RC-2", "reject", reason="too late")
    assert (dismissed["state"], dismissed["impact_as"]) == ("rejected", "proposed")
    assert dismissed["impact"]["digest"] == dismissed["proposed_impact"]["digest"]


def test_what_the_proposer_saw_can_be_asked_for_at_any_time(service: Service) -> None:
    """Also where another impact was approved, so that both can be laid beside each other."""
    proposed = service.propose(counting(), rule_change_id="RC-1")
    service.record(placed("SO-9", "7", ordered_on="2025-03-01", order_type="special"))
    service.catch_up()
    asked = f"{CHANGES}/RC-1?impact_as=proposed"
    before = service.get(asked)
    assert before["impact"] == proposed["impact"] != service.get(f"{CHANGES}/RC-1")["impact"]
    assert (before["impact_as"], before["version"]) == ("proposed", 1)
    moved = service.get(f"{CHANGES}/RC-1")["impact"]["digest"]
    approved = service.decide("RC-1", "approve", accepted_digest=moved)
    after = service.get(asked)
    assert after == {**approved, "impact": proposed["impact"], "impact_as": "proposed"}
    refused(service.ask("GET", f"{CHANGES}/RC-1?impact_as=never", "auditor"), Code.invalid_parameter)


def test_an_impact_is_the_movement_that_follows(service: Service) -> None:
    proposed = service.propose(counting("0.5"))
    approved = service.decide(proposed["rule_change_id"], "approve")
    moved = service.get(MOVEMENTS, period="FY2025", from_position=approved["position"] - 1)
    assert total(moved["lines"], "credited_exact") == total(proposed["impact"]["totals"], "change_exact")
    assert {each["cause"]["rule_change_id"] for each in moved["lines"]} == {proposed["rule_change_id"]}


def test_what_can_not_be_approved_any_more_says_why(service: Service) -> None:
    for name in ("RC-1", "RC-2"):
        service.propose(defining(), rule_change_id=name)
    service.decide("RC-1", "approve")
    told = service.get(f"{CHANGES}/RC-2")
    assert [problem["code"] for problem in told["obstacles"]] == ["order_type_exists"]
    assert told["impact_as"] == "proposed"
    before = service.trace()
    refused(ask(service, f"{CHANGES}/RC-2/approve"), Code.order_type_exists)
    assert service.trace() == before


def test_an_id_may_look_like_a_path(service: Service) -> None:
    for name in ("2026/04/special", "x/approve", "reject"):
        proposed = service.propose(counting(), rule_change_id=name)
        assert service.get(f"{CHANGES}/{name}") == proposed
        assert service.decide(name, "withdraw", "rules")["state"] == "withdrawn"


def test_nothing_is_proposed_or_approved_by_figures_that_lag_behind(service: Service) -> None:
    service.propose(counting(), rule_change_id="RC-1")
    service.record(placed("SO-9", "7", order_type="special"))
    before = service.trace()
    sent = {"alterations": [counting("0.1")], "reason": "as agreed"}
    for path, body, role in ((CHANGES, sent, "rules"), (f"{CHANGES}/RC-1/approve", {}, "approver")):
        response = service.post(path, body, role)
        refused(response, Code.not_yet_projected)
        assert response.headers["Retry-After"]
    assert service.trace() == before


# ---- decisions


def test_four_eyes(service: Service) -> None:
    """Whoever proposes can't approve or reject; only the proposer withdraws. The ledger says that it asked for it."""
    both = service.token("rules", "approver", principal="both")
    sent = {"alterations": [counting()], "reason": "as agreed", "rule_change_id": "RC-1"}
    assert service.post(CHANGES, sent, both).status_code == 201
    service.catch_up()
    before = service.trace()
    refused(ask(service, f"{CHANGES}/RC-1/approve", both), Code.own_proposal)
    refused(ask(service, f"{CHANGES}/RC-1/reject", both, reason="no"), Code.own_proposal)
    refused(ask(service, f"{CHANGES}/RC-1/withdraw", "rules"), Code.not_the_proposer)
    assert service.trace() == before
    assert service.decide("RC-1", "approve")["decision"]["four_eyes"] is True


def test_without_four_eyes_one_person_may_and_the_ledger_says_so(database: Database) -> None:
    with serving(database) as service:
        fill(service, four_eyes=False)
        both = service.token("rules", "approver", principal="both")
        sent = {"alterations": [counting()], "reason": "as agreed", "rule_change_id": "RC-1"}
        assert service.post(CHANGES, sent, both).status_code == 201
        decision = service.decide("RC-1", "approve", both)["decision"]
        assert (decision["actor"], decision["four_eyes"]) == ("both", False)
        opened, *_, approved = service.get("/v1/events")
        assert (opened["type"], opened["data"].get("four_eyes", False)) == ("ledger.opened", False)
        assert (approved["type"], approved["data"]["four_eyes"]) == ("rule_change.approved", False)


@pytest.mark.parametrize(
    ("decision", "role", "sent"),
    [("approve", "approver", {}), ("reject", "approver", {"reason": "no"}), ("withdraw", "rules", {})],
)
def test_what_is_decided_stays_decided(service: Service, decision: str, role: str, sent: Any) -> None:
    service.propose(counting(), rule_change_id="RC-1")
    service.decide("RC-1", decision, role, **sent)
    before = service.trace()
    for again, by, body in (
        ("approve", "approver", {}),
        ("reject", "approver", {"reason": "r"}),
        ("withdraw", "rules", {}),
    ):
        refused(service.post(f"{CHANGES}/RC-1/{again}", body, by), Code.rule_change_decided)
    for again, by, body in (
        ("approve", "approver", {}),
        ("reject", "approver", {"reason": "r"}),
        ("withdraw", "rules", {}),
    ):
        refused(service.post(f"{CHANGES}/NOT-THERE/{again}", body, by), Code.not_found)
    assert service.trace() == before


def test_an_approval_is_of_the_impact_that_was_seen(service: Service) -> None:
    """It is refused with the new impact when that has moved, until the approver accepts it by its digest."""
    proposed = service.propose(counting(), rule_change_id="RC-1")
    service.record(placed("SO-9", "7", ordered_on="2025-03-01", order_type="special"))
    service.catch_up()
    before = service.trace()
    answered = ask(service, f"{CHANGES}/RC-1/approve")
    assert refused(answered, Code.impact_moved)[0]["pointer"] == "/accepted_digest"
    impact = answered.get_json()["facts"]["impact"]
    assert impact == service.get(f"{CHANGES}/RC-1")["impact"]
    for stale in (proposed["impact"]["digest"], "", "0" * 64, "x" * 10_000):
        refused(ask(service, f"{CHANGES}/RC-1/approve", accepted_digest=stale), Code.impact_moved)
    assert service.trace() == before
    approved = service.decide("RC-1", "approve", accepted_digest=impact["digest"])
    assert approved["impact"] == impact
    assert approved["decision"]["impact"]["digest"] == impact["digest"] != approved["proposed_impact"]["digest"]


def test_orders_that_a_change_does_not_touch_move_no_impact(service: Service) -> None:
    service.propose(counting(), rule_change_id="RC-1")
    service.record(placed("SO-9", "7", ordered_on="2025-03-01"))
    service.record(placed("SO-10", "7", ordered_on="2025-01-31", order_type="special"))
    assert service.decide("RC-1", "approve")["state"] == "approved"


@pytest.mark.parametrize(("second", "code"), [("0.5", Code.impact_moved), ("1", Code.nothing_changed)])
def test_of_two_approved_at_once_the_second_is_judged_by_the_rulebook_of_the_first(
    service: Service, second: str, code: Code
) -> None:
    """Its impact is another one than was proposed, or there is nothing left to change; never both unnoticed."""
    service.propose(counting("1"), rule_change_id="RC-1")
    service.propose(counting(second), rule_change_id="RC-2")
    service.app.start_projector()
    answered, start = list[Any](), threading.Barrier(2)

    def approve(name: str) -> None:
        start.wait()
        answered.append(ask(service, f"{CHANGES}/{name}/approve"))

    threads = [threading.Thread(target=approve, args=(name,)) for name in ("RC-1", "RC-2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done, failed = sorted(answered, key=lambda response: int(response.status_code))
    assert done.status_code == 200
    refused(failed, code)
    states = [change["state"] for change in service.get("/v1/rules/history")["rule_changes"]]
    assert sorted(states[-2:]) == ["approved", "proposed"]


def test_proposals_made_at_once_are_all_recorded(service: Service) -> None:
    service.app.start_projector()
    answered, start = list[int](), threading.Barrier(5)

    def send(number: int) -> None:
        start.wait()
        sent = {"alterations": [counting(f"0.{number}")], "reason": "as agreed", "rule_change_id": f"RC-{number}"}
        answered.append(service.post(CHANGES, sent, "rules").status_code)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answered == [201] * 5


# ---- facts, teams and quotas


def test_a_category_for_the_past_goes_before_the_lines_own(service: Service) -> None:
    service.record(placed("SO-9", ordered_on="2025-03-01", lines=[line(category="old")]))
    fact = {"category": "new", "effective_from": "2025-01-01", "effective_to": "2025-04-01"}
    path = "/v1/products/P-1/category"
    assert [service.ask("PUT", path, "ingest", sent=fact).status_code for _ in range(2)] == [201, 200]
    service.catch_up()
    groups = service.figures(period="2025-Q1", group_by="product_category")
    assert set(groups) == {("new", "EUR")}


def test_figures_are_grouped_by_team_on_the_day_of_the_credit(service: Service) -> None:
    service.change(counting())
    for team, start in (("north", "2025-01-01"), ("south", "2025-04-01")):
        sent = {"team": team, "effective_from": start}
        assert service.ask("PUT", "/v1/salespeople/ann/team", "ingest", sent=sent).status_code == 201
    service.catch_up()
    assert service.figures(period="FY2025", group_by="team") == {
        (None, "EUR"): "100.01",
        (None, "USD"): "400.01",
        ("north", "EUR"): "200.02",
        ("south", "EUR"): "300.01",
    }


def put_quota(service: Service, person: str, period: str, amount: str | None) -> int:
    """Set a quota in EUR; give the status."""
    sent = {"currency": "EUR", "amount": amount}
    return service.ask("PUT", f"/v1/salespeople/{person}/quotas/{period}", "ingest", sent=sent).status_code


def test_attainment_is_what_is_credited_of_the_quota(service: Service) -> None:
    """Whoever has a quota and no credit is there with 0; without a quota, and of a quota of 0, there is none."""
    assert put_quota(service, "ann", "2025-Q1", "400") == 201
    assert put_quota(service, "ann", "2025-01-01..2025-04-01", "400.00") == 200, "the same days by another name"
    assert put_quota(service, "carl", "FY2025", "1000") == 201
    assert put_quota(service, "carl", "2025-Q1", "1000") == 201
    assert put_quota(service, "dora", "2025-03", "0") == 201
    service.catch_up()

    def told(period: str, **query: Any) -> dict[str, tuple[Any, ...]]:
        figures = service.get("/v1/performance", period=period, **query)["figures"]
        names = ("credited", "quota", "attainment")
        return {each["group"]["salesperson"]: tuple(each[name] for name in names) for each in figures}

    assert told("2025-Q1") == {
        "ann": ("100.01", "400", "0.25"),
        "bob": ("0.00", None, None),
        "carl": ("0.00", "1000", "0"),
        "dora": ("0.00", "0", None),
    }
    assert told("FY2025")["carl"] == ("0.00", "1000", "0")
    assert told("FY2025")["ann"][1] == "400"
    assert put_quota(service, "ann", "2025-Q1", None) == 201
    service.catch_up()
    assert told("2025-Q1")["ann"] == ("100.01", None, None)
    moved = service.get(MOVEMENTS, period="2025-Q1", from_position=0, kind="reference_fact")["lines"]
    assert [(each["salesperson_id"], each["quota"]) for each in moved if each["salesperson_id"] == "ann"] == [
        ("ann", "400.00"),
        ("ann", "-400.00"),
    ]


def test_people_with_a_quota_alone_are_seen_by_whoever_may(service: Service) -> None:
    for person in ("carl", "dora"):
        put_quota(service, person, "2025-Q1", "10")
    service.catch_up()
    dora = service.token("sales", principal="dora")
    figures = service.get("/v1/performance", dora, period="2025-Q1")["figures"]
    assert [each["group"]["salesperson"] for each in figures] == ["dora"]


# ---- simulation


def test_a_simulation_is_what_the_change_would_lead_to_and_writes_nothing(service: Service) -> None:
    before = service.trace()
    sent = {"periods": ["2025-Q1", "2025-Q2"], "alterations": [counting("0.5")]}
    simulated = service.post(SIMULATIONS, sent, "finance").get_json()["periods"]
    assert service.trace() == before
    position = simulated[0]["actual_view"]["position"]
    service.change(counting("0.5"))
    for each in simulated:
        name = each["period"]["name"]
        after, was = (service.get("/v1/performance", period=name, **known) for known in ({}, {"position": position}))
        assert each["simulated_view"]["digest"] == after["view"]["digest"]
        assert each["actual_view"] == was["view"]
        assert total(each["groups"], "change_exact") == total(each["totals"], "change_exact")
        assert total(each["groups"], "simulated_exact") == total(after["figures"], "credited_exact")
        assert total(each["groups"], "gross_exact") == total(was["figures"], "gross_exact")


def test_a_recorded_change_is_left_out_as_if_it_had_never_been_made(service: Service) -> None:
    before = service.get("/v1/performance", period="FY2025", group_by="order_type,month")
    service.change(counting("0.5"), rule_change_id="RC-1")
    sent = {"periods": ["FY2025"], "without": ["RC-1"], "group_by": ["order_type", "month"]}
    (simulated,) = service.post(SIMULATIONS, sent, "auditor").get_json()["periods"]
    assert simulated["simulated_view"]["digest"] == before["view"]["digest"]
    earlier = {"periods": ["FY2025"], "alterations": [counting("0.5")], "known_at": before["view"]["known_at"]}
    (then,) = service.post(SIMULATIONS, earlier, "approver").get_json()["periods"]
    assert then["actual_view"]["position"] == before["view"]["position"]


# ---- movements


def test_a_movement_is_paged_at_its_two_positions(service: Service) -> None:
    whole = service.get(MOVEMENTS, period="FY2025", from_position=0)
    assert total(whole["lines"], "credited_exact") == total(whole["totals"], "credited_exact")
    cursor, lines = dict[str, str](), list[Any]()
    while True:
        page = service.get(MOVEMENTS, period="FY2025", from_position=0, limit=2, **cursor)
        lines += page["lines"]
        assert (page["from_position"], page["to_position"]) == (0, whole["to_position"])
        assert (page["view"], page["totals"]) == (whole["view"], whole["totals"])
        service.record(placed(f"LATE-{len(lines)}", ordered_on="2025-01-02"))
        service.catch_up()
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert lines == whole["lines"]


def test_a_movement_from_a_statement_tells_what_came_after_the_close(service: Service) -> None:
    """A statement and now; only what was recorded after the close and is effective before the period's end."""
    early = service.record(placed("SO-5", "5", ordered_on="2025-01-05"))
    service.catch_up()
    close(service.app.store, "2025-Q1", reason="done", actor="finance")
    late = service.record(placed("SO-6", "6", ordered_on="2025-03-31"))
    service.record(event("order.cancelled", "SO-1", cancelled_on="2025-05-01"))
    changed = service.change(counting("0.5"), rule_change_id="RC-1")
    moved = service.get(MOVEMENTS, period="2025-01-01..2025-04-01", from_statement=1)
    assert (moved["period"]["name"], moved["from_position"]) == ("2025-Q1", early)
    causes = {each["cause"]["position"]: each["cause"] for each in moved["lines"]}
    assert list(causes) == [late, changed["position"]]
    assert all(cause["after_close"] and cause["days_back_dated"] > 0 for cause in causes.values())
    by_rule = causes[changed["position"]]
    assert (by_rule["kind"], by_rule["rule_change_id"], by_rule["reason"]) == ("rule_change", "RC-1", "as agreed")
    assert (by_rule["actor"], by_rule["effective_on"]) == ("approver-clerk", "2025-02-01")
    only = service.get(MOVEMENTS, period="2025-Q1", from_position=0, after_close="true")
    assert [each["cause"]["position"] for each in only["lines"]] == [late, changed["position"], changed["position"]]
    orders = service.get(MOVEMENTS, period="2025-Q1", from_statement=1, kind="order_event,reference_fact")
    assert [each["cause"]["position"] for each in orders["lines"]] == [late]
    assert total(orders["lines"], "credited_exact") == {"EUR": Decimal(6)}


def test_a_movement_between_instants_is_that_between_their_positions(service: Service) -> None:
    events = service.get("/v1/events")
    first, last = events[2], events[-2]
    between = {"from_known_at": first["time"], "to_known_at": last["time"]}
    moved = service.get(MOVEMENTS, period="FY2025", **between)
    assert (moved["from_position"], moved["to_position"]) == (int(first["sequence"]), int(last["sequence"]))
    by_position = service.get(MOVEMENTS, period="FY2025", from_position=first["sequence"], to_position=last["sequence"])
    assert by_position == moved


# ---- refusals


class Case(NamedTuple):
    """What is wrong, the code and pointer it is refused with, and what is asked; a GET where nothing is sent."""

    wrong: str
    code: Code
    pointer: str
    path: str
    sent: Any = None


def changing(*alterations: Rule, **more: Any) -> Any:
    """What is sent to propose."""
    return {"alterations": list(alterations), "reason": "as agreed", **more}


def simulating(*alterations: Rule, **more: Any) -> Any:
    """What is sent to simulate."""
    return {"periods": ["2025-Q1"], "alterations": list(alterations), **more}


def ending(start: str, **more: Any) -> Rule:
    """End the rule of special orders."""
    conditions = {"order_type": "special"}
    return {"action": "end_rule", "conditions": conditions, "effective_from": start, **more}


RETIRED = {"action": "retire_order_type", "order_type": "special", "effective_from": "2026-01-01"}
NAMED = {"action": "rename_order_type", "order_type": "special", "name": "Special"}
TEAM, CATEGORY, QUOTA = "/v1/salespeople/ann/team", "/v1/products/P-1/category", "/v1/salespeople/ann/quotas/2025-Q1"
APPROVE, REJECT, WITHDRAW = (f"{CHANGES}/OPEN/{decision}" for decision in ("approve", "reject", "withdraw"))
FROM = MOVEMENTS + "?period=2025-Q1&from_position=0"
ALTERED, SECOND = "/alterations/0", "/alterations/1"
CASES = [
    Case(
        "an empty range",
        Code.empty_range,
        ALTERED + "/effective_to",
        CHANGES,
        changing(counting(effective_to="2025-02-01")),
    ),
    Case(
        "an inverted range",
        Code.empty_range,
        ALTERED + "/effective_to",
        CHANGES,
        changing(ending("2025-02-01", effective_to="2025-01-01")),
    ),
    Case(
        "overlapping ranges",
        Code.contradictory_alterations,
        SECOND,
        CHANGES,
        changing(counting("1", effective_to="2025-06-01"), counting("0.5", "2025-05-31")),
    ),
    Case("set and ended", Code.contradictory_alterations, SECOND, CHANGES, changing(counting(), ending("2025-03-01"))),
    Case("retired twice", Code.contradictory_alterations, SECOND, CHANGES, changing(RETIRED, RETIRED)),
    Case("renamed twice", Code.contradictory_alterations, SECOND, CHANGES, changing(NAMED, {**NAMED, "name": "S"})),
    Case("a share out of range", Code.invalid_share, ALTERED + "/share", CHANGES, changing(counting("10"))),
    Case("a negative share", Code.invalid_share, ALTERED + "/share", CHANGES, changing(counting("-0.5"))),
    Case("five decimals", Code.invalid_share, ALTERED + "/share", CHANGES, changing(counting("0.33333"))),
    Case(
        "unknown type retired",
        Code.unknown_order_type,
        ALTERED + "/order_type",
        CHANGES,
        changing({**RETIRED, "order_type": "x"}),
    ),
    Case("nothing changed", Code.nothing_changed, "/alterations", CHANGES, changing(counting("0"))),
    Case("nothing changed by two", Code.nothing_changed, "/alterations", CHANGES, changing(NAMED, counting("0"))),
    Case(
        "a reason code that is none", Code.invalid_value, "/reason_code", CHANGES, changing(counting(), reason_code=" ")
    ),
    Case(
        "dry run of nothing", Code.nothing_changed, "/alterations", CHANGES + "?dry_run=true", changing(counting("0"))
    ),
    Case("dry run of what", Code.invalid_parameter, "/dry_run", CHANGES + "?dry_run=maybe", changing(counting())),
    Case("approval of an unknown field", Code.unknown_field, "/digest", APPROVE, {"digest": "x"}),
    Case("approval with an empty reason", Code.invalid_value, "/reason", APPROVE, {"reason": ""}),
    Case("rejection without a reason", Code.missing_field, "/reason", REJECT, {}),
    Case("rejection with a blank reason", Code.invalid_value, "/reason", REJECT, {"reason": "  "}),
    Case("withdrawal with a NUL", Code.invalid_value, "/reason", WITHDRAW, {"reason": "\0"}),
    Case("no category", Code.missing_field, "/category", CATEGORY, {"effective_from": "2025-01-01"}),
    Case(
        "a category that is none",
        Code.invalid_value,
        "/category",
        CATEGORY,
        {"category": "", "effective_from": "2025-01-01"},
    ),
    Case(
        "no days of a team",
        Code.empty_range,
        "/effective_to",
        TEAM,
        {"team": "n", "effective_from": "2025-01-01", "effective_to": "2025-01-01"},
    ),
    Case("a quota below 0", Code.invalid_amount, "/amount", QUOTA, {"currency": "EUR", "amount": "-1"}),
    Case("a quota as a number", Code.wrong_type, "/amount", QUOTA, {"currency": "EUR", "amount": 1}),
    Case("a quota in no currency", Code.unknown_currency, "/currency", QUOTA, {"currency": "EURO", "amount": "1"}),
    Case(
        "a quota for no period", Code.invalid_period, "", QUOTA.replace("Q1", "Q5"), {"currency": "EUR", "amount": "1"}
    ),
    Case(
        "a quota for some days",
        Code.invalid_period,
        "",
        QUOTA.replace("2025-Q1", "2025-01-01..2025-01-08"),
        {"currency": "EUR", "amount": "1"},
    ),
    Case("simulating nothing", Code.invalid_value, "", SIMULATIONS, simulating()),
    Case("simulating no period", Code.invalid_value, "/periods", SIMULATIONS, simulating(counting(), periods=[])),
    Case("41 periods", Code.invalid_value, "/periods", SIMULATIONS, simulating(counting(), periods=["2025-Q1"] * 41)),
    Case(
        "a period that is none",
        Code.invalid_period,
        "/periods/1",
        SIMULATIONS,
        simulating(counting(), periods=["2025-Q1", "Q1"]),
    ),
    Case("simulating what holds", Code.nothing_changed, "/alterations", SIMULATIONS, simulating(counting("0"))),
    Case(
        "simulating a share out of range",
        Code.invalid_share,
        ALTERED + "/share",
        SIMULATIONS,
        simulating(counting("11")),
    ),
    Case("an unknown change left out", Code.not_found, "/without/1", SIMULATIONS, simulating(without=["USED", "x"])),
    Case("an undecided change left out", Code.not_found, "/without/0", SIMULATIONS, simulating(without=["OPEN"])),
    Case("one that another needs", Code.change_needed, "/without", SIMULATIONS, simulating(without=["NEEDED"])),
    Case(
        "a grouping that is none",
        Code.invalid_parameter,
        "/group_by",
        SIMULATIONS,
        simulating(counting(), group_by=["moon"]),
    ),
    Case("no grouping", Code.invalid_parameter, "/group_by", SIMULATIONS, simulating(counting(), group_by=[])),
    Case(
        "both",
        Code.invalid_value,
        "/known_at",
        SIMULATIONS,
        simulating(counting(), position=1, known_at="2025-01-01T00:00:00Z"),
    ),
    Case("a negative position", Code.invalid_value, "/position", SIMULATIONS, simulating(counting(), position=-1)),
    Case(
        "an instant without a zone",
        Code.invalid_value,
        "/known_at",
        SIMULATIONS,
        simulating(counting(), known_at="2025-01-01T00:00:00"),
    ),
    Case("a position to come", Code.position_ahead, "/position", SIMULATIONS, simulating(counting(), position=10**6)),
    Case("from nowhere", Code.invalid_parameter, "/from_position", MOVEMENTS + "?period=2025-Q1"),
    Case("no period", Code.invalid_parameter, "/period", MOVEMENTS + "?from_position=0"),
    Case("from two", Code.invalid_parameter, "/from_statement", FROM + "&from_statement=1"),
    Case("to two", Code.invalid_parameter, "/to_known_at", FROM + "&to_position=1&to_known_at=2025-01-01T00:00:00Z"),
    Case(
        "the wrong way round",
        Code.invalid_parameter,
        "/from_position",
        MOVEMENTS + "?period=2025-Q1&from_position=3&to_position=2",
    ),
    Case("a kind that is none", Code.invalid_parameter, "/kind", FROM + "&kind=order_event,weather"),
    Case("no kind", Code.invalid_parameter, "/kind", FROM + "&kind="),
    Case("a made-up cursor", Code.invalid_parameter, "/cursor", FROM + "&cursor=x"),
    Case("a position of the future", Code.position_ahead, "/to_position", FROM + "&to_position=1000000"),
    Case("from the future", Code.position_ahead, "/from_position", MOVEMENTS + "?period=2025-Q1&from_position=1000000"),
    Case(
        "from a statement of an open period",
        Code.period_open,
        "/from_statement",
        MOVEMENTS + "?period=2025-Q1&from_statement=1",
    ),
    Case(
        "from a statement of a month",
        Code.not_a_closing_period,
        "/period",
        MOVEMENTS + "?period=2025-01&from_statement=1",
    ),
    Case("statement 0", Code.invalid_parameter, "/from_statement", MOVEMENTS + "?period=2025-Q1&from_statement=0"),
    Case(
        "a statement to come", Code.invalid_parameter, "/from_statement", MOVEMENTS + "?period=2024-Q4&from_statement=2"
    ),
]


@pytest.fixture(scope="module")
def kept(server_url: Callable[[str], str], template: str) -> Iterator[Service]:
    """Serve a ledger with a proposal, a change that another needs, and a closed period; nothing here alters it."""
    with fresh_database(server_url, template) as database, serving(database) as service:
        fill(service)
        service.change(defining("used"), rule_change_id="USED")
        service.change(defining("gift"), rule_change_id="NEEDED")
        service.change(counting("0.5", order_type="gift"), rule_change_id="NEEDING")
        service.propose(counting(), rule_change_id="OPEN")
        service.catch_up()
        close(service.app.store, "2024-Q4", reason="done", actor="finance")
        service.catch_up()
        yield service


def role_of(path: str) -> str:
    """Name a role that may ask."""
    roles = {SIMULATIONS: "finance", MOVEMENTS: "auditor", APPROVE: "approver", REJECT: "approver"}
    bare = path.split("?", maxsplit=1)[0]
    return roles.get(bare, "rules" if bare.startswith(CHANGES) else "ingest")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.wrong)
def test_what_is_refused_says_where_and_leaves_no_trace(kept: Service, case: Case) -> None:
    before = kept.trace()
    method = "GET" if case.sent is None else "PUT" if role_of(case.path) == "ingest" else "POST"
    response = kept.ask(method, case.path, role_of(case.path), **({} if case.sent is None else {"sent": case.sent}))
    error = refused(response, case.code)[0]
    assert error["pointer"] == case.pointer
    if case.sent is not None and case.code not in {Code.missing_field, Code.invalid_parameter}:
        resolve(case.sent, case.pointer)
    assert kept.trace() == before
