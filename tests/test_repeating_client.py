"""A client that repeats every request twice and dies in between leaves the same ledger as one that does not.

Over random histories: one client sends each request once and hears the answer. The other dies before the commit or
between the commit and the answer, begins again, and sends what it was answered a second time. Order events and facts
have an identity of their own; everything else carries an Idempotency-Key. The control leaves the keys out.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal, assert_never

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec import to_builtins
from werkzeug.test import TestResponse

from api import rule_changes
from ledger.facts import ATTRIBUTES
from ledger.sequencer import Append, Appended
from ledger.store import Store
from tests.http_client import Service, placed, serving
from tests.strategies import OPENING, FactStep, OrderStep, QuotaStep, RuleStep, Step, histories

GROUPINGS = ("salesperson", "order_type,month", "team,customer_class,product_category")
PATHS = {"customer_class": "customers/{}/class", "category": "products/{}/category", "team": "salespeople/{}/team"}
Fate = Literal["lives", "dies before", "dies after"]
FATES: tuple[Fate, ...] = ("lives", "dies before", "dies after")


class Death(BaseException):
    """The process of the service ends."""


@dataclass(frozen=True)
class Request:
    """A request as a client makes it; in the path, CHANGE is the last proposal that it was told of."""

    method: str
    path: str
    role: str
    sent: Any
    is_keyed: bool = True


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[Request, Fate]]:
    """Requests of every kind that records, each with what becomes of the service at its first try."""
    asked = list[Request]()
    for step in draw(histories(max_steps=8)):
        asked += requests_of(
            step, draw(st.sampled_from(("approve",) * 4 + ("reject", "withdraw"))) if asked else "approve"
        )
        if draw(st.booleans()):
            asked.append(draw(st.sampled_from(PERIODS)))
    return [(each, draw(st.sampled_from(FATES))) for each in asked]


def about_period(command: str, name: str = "2026-Q1", **more: str) -> Request:
    """Close, restate or carry forward."""
    return Request("POST", f"/v1/periods/{name}/{command}", "finance", {"reason": "as agreed", **more})


PERIODS = [
    *(about_period("close"), about_period("close", "2026-Q2"), about_period("restate")),
    about_period("carry-forward", into_period="2026-Q2"),
    about_period("carry-forward", into_period="2026-Q3"),
]


def requests_of(step: Step, decision: str) -> list[Request]:
    """Give the requests that make a step of a history."""
    match step:
        case OrderStep(submission):
            return [Request("POST", "/v1/order-events", "ingest", to_builtins(submission), is_keyed=False)]
        case RuleStep(proposal):
            sent = {"alterations": to_builtins(proposal.alterations), "reason": proposal.reason}
            role, why = "rules" if decision == "withdraw" else "approver", {"reason": "as agreed"}
            return [
                Request("POST", "/v1/rule-changes", "rules", sent),
                Request("POST", f"/v1/rule-changes/CHANGE/{decision}", role, why),
            ]
        case FactStep(owner_id, fact):
            path = PATHS[ATTRIBUTES[type(fact)].name].format(owner_id)
            return [Request("PUT", f"/v1/{path}", "ingest", to_builtins(fact), is_keyed=False)]
        case QuotaStep(salesperson_id, quota):
            path = f"/v1/salespeople/{salesperson_id}/quotas/{quota.period}"
            sent = {"currency": quota.currency, "amount": quota.amount}
            return [Request("PUT", path, "ingest", sent, is_keyed=False)]
        case _:
            assert_never(step)


class Client:
    """A client of one ledger, and the service that may die under it."""

    def __init__(self, service: Service, *, keys: bool) -> None:
        self.service = service
        self.keys = count(1) if keys else None
        self.change = ""
        self.fate: Fate = "lives"
        self.deaths = 0
        self._append = service.app.store.sequencer.append
        service.app.store.sequencer.append = self._appended  # type: ignore[method-assign]

    def _appended(self, append: Append) -> Any:
        """Append as ever, unless the process ends just before or just after it."""
        fate, self.fate = self.fate, "lives"
        verdict = None if fate == "dies before" else self._append(append)
        if fate == "lives" or (verdict is not None and not isinstance(verdict, Appended)):
            return verdict
        self.deaths += 1
        raise Death

    def send_once(self, request: Request) -> None:
        """Send a request and hear the answer."""
        self._heard(request, self._sent(request, {}))

    def send_twice(self, request: Request, fate: Fate) -> None:
        """Send a request until it is answered, and once more, always with the same key."""
        headers = {"Idempotency-Key": f'"request-{next(self.keys)}"'} if self.keys and request.is_keyed else {}
        self.fate = fate
        with suppress(Death):
            self._sent(request, headers)
        self.fate = "lives"
        answers = [self._sent(request, headers) for _ in range(2)]
        if headers and answers[0].status_code < 300:
            assert answers[0].data == answers[1].data
            assert answers[1].headers["Idempotency-Replayed"] == "true"
        self._heard(request, answers[-1])

    def _sent(self, request: Request, headers: dict[str, str]) -> TestResponse:
        self.service.catch_up()
        path = request.path.replace("CHANGE", self.change)
        return self.service.ask(request.method, path, request.role, sent=request.sent, headers=headers)

    def _heard(self, request: Request, response: TestResponse) -> None:
        assert response.status_code < 500, response.text
        if request.path == "/v1/rule-changes" and response.status_code < 300:
            self.change = response.get_json()["rule_change_id"]


@contextmanager
def client(store: Store, patched: pytest.MonkeyPatch, *, keys: bool) -> Iterator[Client]:
    """Serve an empty ledger whose proposals are numbered, so that two ledgers can be compared."""
    with serving(store.database) as service:
        patched.setattr(rule_changes, "uuid7", lambda: f"RC-{len(service.app.store.rulebook().changes) + 1}")
        yield Client(service, keys=keys)


def left(service: Service) -> tuple[list[Any], list[Any]]:
    """Give a ledger's events, but for ids and times, and its figures by their digests."""
    service.catch_up()
    documents = [json.loads(each.state) for each in service.app.store.documents(0, 10_000)]
    names = ("type", "subject", "version", "actor", "effective", "data")
    events = [{name: document[name] for name in names} for document in documents]
    asked = [service.get("/v1/performance", period="FY2026", group_by=group_by) for group_by in GROUPINGS]
    periods = service.get("/v1/periods")["periods"]
    return events, [*((each["view"]["digest"], each["figures"]) for each in asked), periods]


@pytest.fixture
def patched() -> Iterator[pytest.MonkeyPatch]:
    """Give a patch for all examples of a property."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


UNSHRUNK = [Phase.explicit, Phase.reuse, Phase.generate]
"""A life takes seconds: one that fails is told as it was found."""


@settings(deadline=None, max_examples=12, phases=UNSHRUNK, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lives())
def test_whoever_repeats_and_dies_leaves_the_same_ledger(
    new_store: Callable[[], Store], patched: pytest.MonkeyPatch, life: list[tuple[Request, Fate]]
) -> None:
    with client(new_store(), patched, keys=False) as calm:
        for request, _ in life:
            calm.send_once(request)
        expected = left(calm.service)
    with client(new_store(), patched, keys=True) as troubled:
        for request, fate in life:
            troubled.send_twice(request, fate)
        assert left(troubled.service) == expected


RULE = {"action": "set_rule", "conditions": {"product_id": "P-1"}, "share": "0.5", "effective_from": "2026-01-01"}
ORDERS = [placed(name, ordered_on="2026-02-10", order_type="standard") for name in ("SO-1", "SO-2")]
DECIDED = [
    *requests_of(RuleStep(OPENING), "approve"),
    Request("POST", "/v1/order-events", "ingest", ORDERS[0], is_keyed=False),
    PERIODS[0],
    Request("POST", "/v1/order-events", "ingest", ORDERS[1], is_keyed=False),
    Request("POST", "/v1/rule-changes", "rules", {"alterations": [RULE], "reason": "as agreed"}),
    Request("POST", "/v1/rule-changes/CHANGE/reject", "approver", {"reason": "no"}),
    PERIODS[2],
]


@pytest.mark.parametrize("keys", [True, False])
@pytest.mark.parametrize("fate", FATES)
def test_the_keys_are_what_makes_it_so(
    new_store: Callable[[], Store], patched: pytest.MonkeyPatch, fate: Fate, keys: bool
) -> None:
    """The control: without them a proposal that is repeated is another proposal. And it does die."""
    with client(new_store(), patched, keys=False) as calm:
        for request in DECIDED:
            calm.send_once(request)
        expected = left(calm.service)
    assert len(expected[0]) == 8
    with client(new_store(), patched, keys=keys) as troubled:
        for request in DECIDED:
            troubled.send_twice(request, fate)
        assert (left(troubled.service) == expected) == keys
        assert (troubled.deaths > 5) == (fate != "lives")
