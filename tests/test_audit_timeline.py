"""The timeline: what was done besides orders, newest first, and what of it came late; an event by its position."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from ledger.database import Database
from ledger.events import NAMES, OrderEvent
from ledger.merkle import leaf_hash
from ledger.refusal import Code
from projections.governance import KINDS
from tests.everything import CLOSED, RULE, close_the_first_quarter
from tests.http_client import Service, placed, refused, serving

TIMELINE = "/v1/audit/timeline"


@pytest.fixture
def service(database: Database, tmp_path: Path) -> Iterator[Service]:
    """Serve a ledger with a closed quarter, and facts and rules before and after that."""
    with serving(database) as service:
        service.define(standard="1")
        service.post("/v1/customers/C-1/class", {"customer_class": "x", "effective_from": "2024-02-01"}, "ingest")
        close_the_first_quarter(service)
        yield service


def entries(service: Service, **query: Any) -> list[Any]:
    """Read a page of the timeline."""
    found: list[Any] = service.get(TIMELINE, **query)["entries"]
    return found


def state(service: Service, **fact: str) -> Any:
    """Record a customer's class; give its entry."""
    path = "/v1/customers/C-2/class"
    assert service.ask("PUT", path, "ingest", sent={"customer_class": "y", **fact}).status_code == 201
    return entries(service, limit=1)[0]


def test_every_event_but_those_of_orders_is_of_one_kind() -> None:
    named = [name for names in KINDS.values() for name in names]
    assert len(named) == len(set(named))
    assert set(named) == {name for kind, name in NAMES.items() if not issubclass(kind, OrderEvent)}


def test_it_has_all_of_it_newest_first(service: Service) -> None:
    events = [each for each in service.get("/v1/events") if not each["type"].startswith("order.")]
    told = entries(service)
    assert [each["position"] for each in told] == [int(each["sequence"]) for each in reversed(events)]
    assert [each["type"] for each in told[::-1]][:2] == ["rule_change.proposed", "rule_change.approved"]
    assert told[0]["kind"] == "carry_forward"
    assert told[0]["what"] == "the drift of 2024-Q1 was carried forward into 2024-Q2"


def test_it_is_read_page_by_page_as_it_was(service: Service) -> None:
    """Whatever is recorded meanwhile."""
    whole, page = entries(service), service.get(TIMELINE, limit=2)
    found = page["entries"]
    state(service, effective_from="2026-01-01")
    while page["next_cursor"]:
        page = service.get(TIMELINE, limit=2, cursor=page["next_cursor"])
        found += page["entries"]
    assert found == whole


def test_what_reaches_into_a_closed_period_says_so(service: Service) -> None:
    """By its days: half-open, and only what was recorded after what the first statement knew."""
    (before,) = entries(service, kind="reference_fact")[-1:] or [None]
    assert before is None or before["closed_periods"] == []
    late = state(service, effective_from="2024-03-31", effective_to="2024-04-01")
    assert late["closed_periods"] == ["2024-Q1"]
    today = service.app.store.today()
    assert late["days_back_dated"] == (today - date(2024, 3, 31)).days
    assert (late["effective_on"], late["effective_to"]) == ("2024-03-31", "2024-04-01")
    assert state(service, effective_from="2024-04-01")["closed_periods"] == []
    assert state(service, effective_from="2023-01-01", effective_to="2024-01-01")["closed_periods"] == []
    ahead = state(service, effective_from=(today + timedelta(30)).isoformat(), customer_class="z")
    assert (ahead["days_back_dated"], ahead["effective_to"]) == (0, None)
    changed = service.change({**RULE, "effective_from": "2024-01-01"})
    positions = [each["position"] for each in entries(service, after_close="true")]
    assert positions == [changed["position"], changed["position"] - 1, late["position"]]
    assert ahead["position"] not in [each["position"] for each in entries(service, back_dated="true")]


def test_a_close_is_not_late(service: Service) -> None:
    """It comes after its period by nature; neither is what a rejected proposal would have been."""
    service.propose({**RULE, "effective_from": "2024-01-01"}, rule_change_id="RC-no")
    service.decide("RC-no", "reject", reason="no")
    for each in entries(service):
        if each["kind"] == "close" or each["type"] == "rule_change.rejected":
            assert (each["days_back_dated"], each["closed_periods"]) == (0, [])


def test_filters_leave_what_they_say(service: Service) -> None:
    whole = entries(service)
    assert {each["kind"] for each in entries(service, kind="close,carry_forward")} == {"close", "carry_forward"}
    assert entries(service, actor="finance-clerk") == [each for each in whole if each["actor"] == "finance-clerk"]
    today = service.app.store.today()
    assert entries(service, **{"from": today.isoformat()}) == whole
    assert entries(service, to=today.isoformat()) == []
    assert entries(service, **{"from": "0001-01-01", "to": "9999-12-31"}) == whole


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("kind=order", Code.invalid_parameter),
        ("kind=", Code.invalid_parameter),
        ("from=2026-01-02&to=2026-01-02", Code.empty_range),
        ("actor=%00", Code.invalid_parameter),
        ("cursor=x", Code.invalid_parameter),
    ],
)
def test_bad_input_is_refused(service: Service, query: str, code: Code) -> None:
    refused(service.ask("GET", f"{TIMELINE}?{query}", "auditor"), code)


def test_a_file_is_whole(service: Service) -> None:
    state(service, effective_from="2024-03-01")
    whole = entries(service)
    lines = service.ask("GET", f"{TIMELINE}?format=ndjson&limit=1", "finance").data.splitlines()
    assert [json.loads(line) for line in lines] == [
        {**each, "closed_periods": ", ".join(each["closed_periods"])} for each in whole
    ]
    text = service.ask("GET", f"{TIMELINE}?format=csv", "finance").text
    assert [int(row["position"]) for row in csv.DictReader(io.StringIO(text))] == [each["position"] for each in whole]


def test_what_was_done_is_told_in_chinese(service: Service) -> None:
    response = service.ask("GET", TIMELINE, "auditor", headers={"Accept-Language": "zh"})
    assert all(any(character >= "\u4e00" for character in each["what"]) for each in response.get_json()["entries"])


def test_an_event_is_given_by_its_position_as_it_was_recorded(service: Service) -> None:
    """Without its last member it is what the leaf hashes."""
    position = service.record(placed("SO-77"))
    for role in ("rules", "approver", "finance", "auditor"):
        response = service.ask("GET", f"/v1/events/{position}", role)
        assert response.get_json()["subject"] == "order/SO-77"
    recorded = response.data.removesuffix(f',"sequence":"{position}"}}'.encode()) + b"}"
    leaf = service.get("/v1/audit/rule-changes", period="FY2026")["rule_changes"][0]["proposal_evidence"]
    first = service.ask("GET", f"/v1/events/{leaf['position']}", "auditor").data
    stored = first.removesuffix(f',"sequence":"{leaf["position"]}"}}'.encode()) + b"}"
    assert leaf_hash(stored).hex() == leaf["leaf_hash"]
    assert recorded.decode() == service.app.store.documents_at([position])[0].state
    for nowhere in (0, position + 1, 10**30):
        (error,) = refused(service.ask("GET", f"/v1/events/{nowhere}", "auditor"), Code.not_found)
        assert "the detail says what is not there" in error["remedy"]


def test_the_quarter_was_closed(service: Service) -> None:
    """The control of what is said to be late."""
    assert service.get(CLOSED)["statements"]
