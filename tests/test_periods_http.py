"""Closing periods over HTTP: the whole life of a period, every refusal, and two people at once.

The ledger closes quarters of years that are long over, so that the clock of whoever runs this does not matter.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from threading import Barrier, Event
from typing import Any

import pytest
from werkzeug.test import TestResponse

from ledger.database import Database
from ledger.events import Alteration, Conditions, DefineOrderType, EndRule, RuleChangeProposed, SetRule
from ledger.ids import uuid7
from ledger.refusal import Code
from projections.impact import approve, propose
from projections.projector import wait_until_projected
from tests.http_client import OWN_SALESPERSON, Service, fresh_database, placed, refused, serving, total

Q1, Q2, Q3, Q4 = "2024-Q1", "2024-Q2", "2024-Q3", "2024-Q4"
SPECIAL = Conditions(order_type="special")


@pytest.fixture
def service(database: Database) -> Iterator[Service]:
    """Serve a ledger that is projected as it is written, with two order types: special orders do not count."""
    with serving(database) as service:
        begin(service)
        yield service


def begin(service: Service) -> None:
    """Start the projector and define the order types."""
    service.app.projector.catch_up()
    service.app.start_projector()
    change(service, DefineOrderType("standard", "1"), DefineOrderType("special", "0"))


def change(service: Service, *alterations: Alteration) -> int:
    """Change the rulebook, proposed by one and approved by another; give the approval's position."""
    rule_change_id = str(uuid7())
    wait(service)
    propose(service.app.store, RuleChangeProposed(rule_change_id, alterations, "as agreed"), actor="pat")
    wait(service)
    approved = approve(service.app.store, rule_change_id, actor="abe")
    return wait(service, approved.changed.position)


def wait(service: Service, position: int | None = None) -> int:
    """Wait until a position (the head) is projected."""
    at = service.app.store.head() if position is None else position
    assert wait_until_projected(service.database, at, milliseconds=10_000)
    return at


def order(service: Service, order_id: str, day: str, amount: str, person: str | None = "ann", **more: Any) -> int:
    """Record an order of one line, and wait until it is projected."""
    splits = [{"salesperson_id": person, "salesperson_name": person.title()}] if person else []
    return wait(service, service.record(placed(order_id, amount, ordered_on=day, splits=splits, **more)))


def act(service: Service, command: str, period: str, role: str = "finance", **sent: Any) -> TestResponse:
    """Close, restate or carry forward; `headers` and `dry_run` are not of the body."""
    headers, dry_run = sent.pop("headers", {}), sent.pop("dry_run", None)
    query = {} if dry_run is None else {"dry_run": dry_run}
    body = {"reason": "as agreed", **sent}
    return service.ask("POST", f"/v1/periods/{period}/{command}", role, sent=body, headers=headers, query_string=query)


def done(service: Service, command: str, period: str, **sent: Any) -> Any:
    """Do what must be done; wait until it is projected."""
    response = act(service, command, period, **sent)
    assert response.status_code == 201, response.text
    answered = response.get_json()
    wait(service, answered["position"])
    return answered


def drift(service: Service, period: str, **known: Any) -> dict[tuple[str | None, str], str]:
    """Read a period's drift by person and currency, exact."""
    lines = service.get(f"/v1/periods/{period}", **known)["drift"]
    return {(line["salesperson_id"], line["currency"]): line["drift_exact"] for line in lines}


def totals(service: Service, period: str) -> dict[tuple[str | None, str], tuple[str, str, str]]:
    """Read a performance: what is credited, the adjustments, and the total."""
    figures = service.get("/v1/performance", period=period)["figures"]
    return {
        (each["group"]["salesperson"], each["currency"]): (each["credited"], each["adjustments"], each["total"])
        for each in figures
    }


# ---- the life of a period


def test_a_period_is_closed_drifts_and_is_restated(service: Service) -> None:
    order(service, "SO-1", "2024-02-10", "100.00")
    order(service, "SO-2", "2024-03-31", "50.00", None, currency="USD")
    order(service, "SO-3", "2024-04-01", "10.00")
    listed = service.get("/v1/periods")
    assert [each["period"] for each in listed["periods"][:3]] == [Q1, Q2, Q3]
    assert {(each["state"], each["statement_version"], each["has_drift"]) for each in listed["periods"]} == {
        ("open", None, False)
    }
    before = service.trace()
    dry = act(service, "close", Q1, dry_run="true")
    assert (dry.status_code, dry.get_json()["position"], dry.get_json()["dry_run"]) == (200, None, True)
    assert service.trace() == before

    closed = done(service, "close", Q1, reason="The first quarter is complete.", version=listed["version"])
    assert closed["statement"]["figures"] == dry.get_json()["statement"]["figures"]
    assert (closed["position"], closed["dry_run"], closed["duplicate"]) == (service.app.store.head(), False, False)
    assert (closed["period"]["state"], closed["period"]["has_drift"]) == ("closed", False)
    first = service.get(f"/v1/periods/{Q1}/statements/1")
    assert first["issued"]["reason"] == "The first quarter is complete."
    assert (first["issued"]["actor"], first["issued"]["recorded_position"]) == ("finance-clerk", closed["position"])
    figures = {(each["salesperson_id"], each["currency"]): each for each in first["statement"]["figures"]}
    assert set(figures) == {(None, "USD"), ("ann", "EUR")}
    ann = figures["ann", "EUR"]
    assert (ann["credited"], ann["adjustments"], ann["total"], ann["gross"]) == ("100.00", "0.00", "100.00", "100.00")

    order(service, "SO-4", "2024-03-30", "7.005")
    response = service.ask("GET", f"/v1/periods/{Q1}", "auditor")
    (line,), etag = response.get_json()["drift"], response.headers["ETag"]
    assert (line["settled"], line["current"], line["drift"]) == ("100.00", "107.01", "7.01")
    assert (line["drift_exact"], line["salesperson_name"]) == ("7.005", "Ann")
    assert [each["drift_exact"] for each in response.get_json()["drift_totals"]] == ["7.005"]
    summary = service.get("/v1/periods")["periods"][0]
    assert (summary["state"], summary["statement_version"], summary["has_drift"]) == ("closed", 1, True)

    restated = done(service, "restate", Q1, reason="An order was late.", headers={"If-Match": etag})
    assert restated["statement"]["version"] == 2
    assert drift(service, Q1) == {}
    assert drift(service, Q1, position=restated["position"] - 1) == {("ann", "EUR"): "7.005"}
    assert service.get(f"/v1/periods/{Q1}/statements/1") == first, "invariant 11: a statement never changes"
    second = service.get(f"/v1/periods/{Q1}/statements/2")["statement"]
    assert total(second["figures"], "total_exact") == {"EUR": Decimal("107.005"), "USD": Decimal(50)}
    assert [each["version"] for each in service.get(f"/v1/periods/{Q1}")["statements"]] == [1, 2]


def test_both_options_are_shown_and_either_resolves_just_what_was_shown(service: Service) -> None:
    order(service, "SO-1", "2024-02-10", "100.00")
    done(service, "close", Q1)
    order(service, "SO-2", "2024-02-11", "5.00")
    order(service, "SO-3", "2024-02-11", "6.00", "bob")
    before = service.trace()
    shown = service.get(f"/v1/periods/{Q1}/options", "finance")
    into_later = service.get(f"/v1/periods/{Q1}/options", into=Q4)
    assert service.trace() == before
    assert total(shown["drift"], "drift_exact") == {"EUR": Decimal(11)}
    assert (shown["restatement"]["version"], shown["carry_forward"]["into_period"]) == (2, Q2)
    assert into_later["carry_forward"]["into_period"] == Q4
    assert into_later["restatement"] == shown["restatement"]

    sent = {"into_period": Q2, "version": shown["version"]}
    would = act(service, "carry-forward", Q1, dry_run="true", **sent).get_json()
    assert would["carry_forward"] == shown["carry_forward"]
    would = act(service, "restate", Q1, dry_run="true").get_json()
    assert would["statement"] == shown["restatement"]
    booked = done(service, "carry-forward", Q1, **sent)["carry_forward"]
    assert [each["position"] for each in booked["adjustments"]] == [service.app.store.head()] * 2
    assert [{**each, "position": None} for each in booked["adjustments"]] == shown["carry_forward"]["adjustments"]
    assert booked["totals"] == [{"currency": "EUR", "amount": "11.00", "amount_exact": "11"}]
    assert drift(service, Q1) == {}


def test_a_rule_changed_for_closed_periods_is_carried_forward_and_back_when_it_is_reversed(service: Service) -> None:
    """Restated here, carried there, reversed again: statements, adjustments and drifts sum to what is credited."""
    order(service, "SO-1", "2024-02-10", "100.00", "ann")
    order(service, "SO-2", "2024-02-10", "50.00", "bob", order_type="special")
    order(service, "SO-3", "2024-05-10", "20.00", "bob", order_type="special")
    order(service, "SO-4", "2024-08-10", "30.00", "ann")
    for period in (Q1, Q2):
        done(service, "close", period)
    change(service, SetRule(SPECIAL, "1", date(2024, 1, 1)))
    assert (drift(service, Q1), drift(service, Q2)) == ({("bob", "EUR"): "50"}, {("bob", "EUR"): "20"})
    done(service, "restate", Q2)
    carried = done(service, "carry-forward", Q1, into_period=Q3, booked_on="2024-08-31", reason="too small to restate")
    assert (drift(service, Q1), drift(service, Q2)) == ({}, {})
    assert totals(service, Q3) == {
        ("ann", "EUR"): ("30.00", "0.00", "30.00"),
        ("bob", "EUR"): ("0.00", "50.00", "50.00"),
    }
    (booked,) = service.get("/v1/performance", period="2024-08")["adjustments"]
    assert (booked["from_period"], booked["amount_exact"], booked["position"]) == (Q1, "50", carried["position"])
    assert service.get("/v1/performance", period="2024-09")["adjustments"] == []
    assert totals(service, Q1)["bob", "EUR"] == ("50.00", "-50.00", "0.00"), "as its statement says"
    (leg,) = service.get("/v1/performance", period="2024-03")["adjustments"]
    assert leg == {**booked, "booked_on": "2024-03-31", "amount": "-50.00", "amount_exact": "-50"}
    assert service.get("/v1/performance", period="2024-02")["adjustments"] == []
    assert totals(service, "FY2024")["bob", "EUR"] == ("70.00", "0.00", "70.00"), "once, in whichever quarter"
    own = service.get("/v1/performance", "sales", period=Q3)
    assert (own["figures"][0]["group"]["salesperson"], own["adjustments"]) == (OWN_SALESPERSON, [])
    by_type = service.get("/v1/performance", period=Q3, group_by="order_type")
    assert (by_type["adjustments"], by_type["figures"][0]["total"]) == ([], None)
    (out,) = service.get(f"/v1/periods/{Q1}")["adjustments_out"]
    assert [out] == service.get(f"/v1/periods/{Q3}")["adjustments_in"] == [booked]

    closed = done(service, "close", Q3)["statement"]
    frozen = {
        each["salesperson_id"]: (each["credited"], each["adjustments"], each["total"]) for each in closed["figures"]
    }
    assert frozen == {"ann": ("30.00", "0.00", "30.00"), "bob": ("0.00", "50.00", "50.00")}

    change(service, EndRule(SPECIAL, date(2024, 1, 1)))
    assert (drift(service, Q1), drift(service, Q2)) == ({("bob", "EUR"): "-50"}, {("bob", "EUR"): "-20"})
    done(service, "carry-forward", Q1, into_period=Q4)
    done(service, "carry-forward", Q2, into_period=Q4)
    assert totals(service, Q4) == {("bob", "EUR"): ("0.00", "-70.00", "-70.00")}
    assert [each["has_drift"] for each in service.get("/v1/periods")["periods"][:4]] == [False] * 4
    summary = service.get("/v1/periods")["periods"][3]
    assert [each["amount"] for each in summary["adjustments"]] == ["-70.00"]
    done(service, "close", Q4)
    settled = [
        service.get(f"/v1/periods/{period}/statements/{n}") for period, n in ((Q1, 1), (Q2, 2), (Q3, 1), (Q4, 1))
    ]
    sums = [total(each["statement"]["figures"], "total_exact").get("EUR", 0) for each in settled]
    assert sum(sums) == Decimal(130), "what is credited now, however it was settled"
    whole = [service.get("/v1/performance", period=period)["figures"] for period in (Q1, Q2, Q3, Q4)]
    assert [total(figures, "total_exact").get("EUR", 0) for figures in whole] == sums, "as the statements say"


def test_adjustments_that_nobody_has_a_figure_for_are_paged_with_the_others(service: Service) -> None:
    order(service, "SO-1", "2024-02-10", "1.00", "zoe")
    done(service, "close", Q1)
    for person in ("abe", "zoe", "eve"):
        order(service, f"LATE-{person}", "2024-02-10", "1.00", person)
    order(service, "SO-2", "2024-04-10", "4.00", "eve")
    done(service, "carry-forward", Q1, into_period=Q2)
    whole = service.get("/v1/performance", period=Q2)
    assert [each["group"]["salesperson"] for each in whole["figures"]] == ["abe", "eve", "zoe"]
    assert [each["total"] for each in whole["figures"]] == ["1.00", "5.00", "1.00"]
    assert whole["figures"][0]["names"] == {"salesperson": "Abe"}
    page = service.get("/v1/performance", period=Q2, limit=2)
    rest = service.get("/v1/performance", period=Q2, limit=2, cursor=page["next_cursor"])
    assert page["figures"] + rest["figures"] == whole["figures"]
    assert page["adjustments"] + rest["adjustments"] == whole["adjustments"]


# ---- what is refused


@pytest.fixture(scope="module")
def settled(server_url: Callable[[str], str], template: str) -> Iterator[Service]:
    """Serve a ledger whose first two quarters are closed; the first has a drift."""
    with fresh_database(server_url, template) as database, serving(database) as service:
        begin(service)
        order(service, "SO-1", "2024-02-10", "100.00")
        order(service, "SO-2", "2024-05-10", "20.00")
        done(service, "close", Q1)
        done(service, "close", Q2)
        order(service, "SO-3", "2024-02-10", "5.00")
        yield service


@dataclass(frozen=True)
class Case:
    """A command that is refused."""

    command: str
    period: str
    code: Code
    pointer: str = "/period"
    sent: dict[str, Any] = field(default_factory=dict)


def carry(code: Code, pointer: str, period: str = Q1, into: str = Q3, **sent: Any) -> Case:
    """Make a carry-forward that is refused."""
    return Case("carry-forward", period, code, pointer, {"into_period": into, **sent})


JUDGED = [
    Case("close", Q1, Code.period_closed),
    Case("close", Q2, Code.period_closed),
    Case("close", Q4, Code.period_out_of_order),
    Case("close", "2023-Q4", Code.period_out_of_order),
    Case("close", "2190-Q1", Code.period_out_of_order),
    Case("close", "2024-Q9", Code.invalid_period),
    Case("close", "9999-Q4", Code.invalid_period),
    Case("close", "2024-07", Code.not_a_closing_period),
    Case("close", "FY2024", Code.not_a_closing_period),
    Case("restate", Q3, Code.period_open),
    Case("restate", Q2, Code.nothing_changed, "/period"),
    Case("restate", "2024-Q0", Code.invalid_period),
    Case("restate", Q1, Code.precondition_failed, "/version", {"version": 1}),
    Case("restate", Q1, Code.precondition_failed, "/version", {"version": 10**18}),
    Case("restate", Q1, Code.precondition_failed, "/If-Match", {"headers": {"If-Match": '"1"'}}),
    Case("restate", Q1, Code.precondition_failed, "/If-Match", {"headers": {"If-Match": 'W/"2"'}}),
    Case("restate", Q1, Code.invalid_parameter, "/If-Match", {"headers": {"If-Match": "2"}}),
    Case("restate", Q1, Code.invalid_value, "/version", {"headers": {"If-Match": '"2"'}, "version": 1}),
    Case("restate", Q1, Code.invalid_value, "/reason", {"reason": " "}),
    Case("restate", Q1, Code.wrong_type, "/reason", {"reason": None}),
    Case("restate", Q1, Code.unknown_field, "/figures", {"figures": []}),
    carry(Code.nothing_changed, "/period", Q2),
    carry(Code.period_open, "/period", Q3, Q4),
    carry(Code.period_closed, "/into_period", into=Q2),
    carry(Code.carry_not_forward, "/into_period", into=Q1),
    carry(Code.carry_not_forward, "/into_period", into="2023-Q4"),
    carry(Code.invalid_period, "/into_period", into="2024-Q7"),
    carry(Code.not_a_closing_period, "/into_period", into="2024-09"),
    carry(Code.period_not_begun, "/into_period", into="2190-Q1"),
    carry(Code.date_outside_period, "/booked_on", booked_on="2024-10-01"),
    carry(Code.invalid_date, "/booked_on", booked_on="2024-09-31"),
    carry(Code.precondition_failed, "/version", version=3),
]


@pytest.mark.parametrize("dry_run", ["false", "true"])
@pytest.mark.parametrize("case", JUDGED, ids=lambda case: f"{case.command} {case.period} {case.code.name} {case.sent}")
def test_a_command_that_is_refused_says_why_and_leaves_no_trace(settled: Service, case: Case, dry_run: str) -> None:
    before = settled.trace()
    response = act(settled, case.command, case.period, dry_run=dry_run, **case.sent)
    assert refused(response, case.code)[0]["pointer"] == case.pointer
    assert settled.trace() == before


def test_a_period_that_is_not_over_is_not_closed(service: Service) -> None:
    before = service.trace()
    refused(act(service, "close", "2190-Q1"), Code.period_not_over)
    assert service.trace() == before


def test_only_finance_acts_and_only_finance_and_auditors_see_the_options(settled: Service) -> None:
    before = settled.trace()
    for role in ("sales", "rules", "approver", "auditor", "admin", "ingest"):
        for command in ("close", "restate", "carry-forward"):
            refused(act(settled, command, Q1, role), Code.forbidden)
    refused(settled.ask("GET", f"/v1/periods/{Q1}/options", "rules"), Code.forbidden)
    assert settled.trace() == before


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("2024-Q9", Code.invalid_period),
        ("2024-02", Code.not_a_closing_period),
        (f"{Q1}?position=x", Code.invalid_parameter),
        (f"{Q1}?version=1", Code.invalid_parameter),
        (f"{Q1}/statements/2", Code.not_found),
        (f"{Q1}/statements/0", Code.not_found),
        (f"{Q1}/statements/01", Code.not_found),
        (f"{Q3}/statements/1", Code.not_found),
        (f"{Q3}/options", Code.period_open),
        (f"{Q1}/options?into={Q2}", Code.period_closed),
        (f"{Q1}/options?into={Q1}", Code.carry_not_forward),
        (f"{Q1}/options?into=2024-Q5", Code.invalid_period),
    ],
)
def test_a_question_that_can_not_be_answered_is_refused(settled: Service, path: str, code: Code) -> None:
    refused(settled.ask("GET", f"/v1/periods/{path}", "finance"), code)


def test_a_period_is_told_by_its_one_name_and_as_it_was(settled: Service) -> None:
    whole = settled.get(f"/v1/periods/{Q1}")
    assert settled.get("/v1/periods/2024-01-01..2024-04-01") == whole
    position = settled.get(f"/v1/periods/{Q1}/statements/1")["issued"]["recorded_position"]
    was = settled.get(f"/v1/periods/{Q1}", position=position)
    assert (was["period"]["state"], was["drift"], was["version"]) == ("closed", [], 1)
    assert settled.get(f"/v1/periods/{Q1}", position=position - 1)["period"]["state"] == "open"
    assert settled.get(f"/v1/periods/{Q1}", known_at=was["view"]["known_at"])["view"] == was["view"]
    assert settled.get("/v1/periods", position=0)["periods"] == []


# ---- two at once


def test_of_two_people_at_once_one_resolves_a_drift(service: Service) -> None:
    """Whoever comes second is told so, and nothing is booked twice."""
    order(service, "SO-1", "2024-02-10", "100.00")
    done(service, "close", Q1)
    people = [service.token("finance", principal=name) for name in ("fay", "finn")]
    for number in range(6):
        order(service, f"LATE-{number}", "2024-02-11", "1.00")
        version = service.get(f"/v1/periods/{Q1}")["version"]
        barrier = Barrier(2)

        def resolve(at: int, number: int = number, version: int = version, barrier: Barrier = barrier) -> TestResponse:
            barrier.wait(timeout=10)
            stated = {"version": version} if number % 2 else {}
            if (at + number) % 3 == 0:
                return act(service, "carry-forward", Q1, people[at], into_period=Q3, **stated)
            return act(service, "restate", Q1, people[at], **stated)

        with ThreadPoolExecutor(2) as pool:
            answers = sorted(pool.map(resolve, range(2)), key=lambda answer: answer.status_code)
        assert answers[0].status_code == 201, answers[0].text
        later = answers[1].get_json()["code"]
        assert later in ({"precondition_failed", "period_moved"} if number % 2 else {"period_moved", "nothing_changed"})
        wait(service)
        assert drift(service, Q1) == {}
        assert service.get(f"/v1/periods/{Q1}")["version"] == version + 1
    statement = service.get(f"/v1/periods/{Q1}")["statements"][-1]["version"]
    frozen = service.get(f"/v1/periods/{Q1}/statements/{statement}")["statement"]["figures"]
    carried = service.get(f"/v1/periods/{Q1}")["adjustments_out"]
    assert total(frozen, "credited_exact")["EUR"] + total(carried, "amount_exact").get("EUR", 0) == Decimal(106)


def test_the_same_command_again_by_the_same_person_at_once_is_recorded_once(service: Service) -> None:
    order(service, "SO-1", "2024-02-10", "100.00")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: act(service, "close", Q1), range(4)))
    statuses = sorted(each.status_code for each in answers)
    assert statuses[-1] != 500
    assert statuses.count(201) == 1
    assert set(statuses) <= {200, 201, 409}
    assert len(service.get(f"/v1/periods/{Q1}", position=wait(service))["statements"]) == 1


def test_a_ledger_that_never_rests_can_be_closed(service: Service) -> None:
    """Orders keep arriving while periods are closed and restated; what is recorded before is in the statement."""
    stopped = Event()

    def keep_ordering() -> int:
        number = 0
        while not stopped.is_set():
            service.record(placed(f"BUSY-{number}", "1.00", ordered_on="2024-08-01"))
            number += 1
        return number

    with ThreadPoolExecutor(1) as pool:
        ordering = pool.submit(keep_ordering)
        try:
            for number, (command, period) in enumerate((("close", Q1), ("restate", Q1), ("close", Q2)), 1):
                service.record(placed(f"SO-{number}", "3.00", ordered_on="2024-02-10"))
                response = act(service, command, period)
                assert response.status_code == 201, response.text
                if period == Q1:
                    totals = response.get_json()["statement"]["totals"]
                    assert [each["credited"] for each in totals] == [f"{3 * number}.00"]
        finally:
            stopped.set()
        assert ordering.result(timeout=20) > 0
