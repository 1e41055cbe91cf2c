"""Prefer: an answer without its body, where what is needed of it is in headers; and how long to wait for an event."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from ledger.database import Database
from ledger.refusal import Code
from tests.http_client import Service, new, placed, refused
from tests.test_idempotency import KEYED, PROPOSAL, Keyed, serving_proposals
from tests.test_imports import CSV

MINIMAL, FULL = {"Prefer": "return=minimal"}, {"Prefer": "return=representation"}
APPLIED, POSITION, REPLAYED = "Preference-Applied", "Ledger-Position", "Idempotency-Replayed"
TOLD_IN_FULL = {
    "/v1/simulations",
    "/v1/simulations/orders",
    "/v1/tokens",
    "/v1/webhooks",
    "/v1/webhooks/<webhook_id>/disable",
    "/v1/webhooks/<webhook_id>/enable",
    "/v1/webhooks/<webhook_id>/replay",
    "/v1/webhooks/<webhook_id>/rotate-secret",
    "/v1/webhooks/<webhook_id>/test",
}
EVENTS = "/v1/events"


@pytest.fixture
def service(database: Database, tmp_path: Path) -> Iterator[Service]:
    """Serve a ledger with proposals that wait, and an order."""
    with serving_proposals(database, tmp_path) as service:
        yield service


def ask(service: Service, method: str, path: str, role: str, sent: Any, headers: dict[str, str]) -> TestResponse:
    """Ask once everything is projected."""
    service.catch_up()
    return service.ask(method, path, role, sent=sent, headers=headers)


def test_every_post_and_put_reads_it_but_those_whose_answer_is_the_point(service: Service) -> None:
    views = service.app.view_functions
    named = [
        (str(rule), [each["name"] for each in getattr(views[rule.endpoint], "request_headers", ())])
        for rule in service.app.url_map.iter_rules()
        if str(rule).startswith("/v1/") and {"POST", "PUT"} & set(rule.methods or ())
    ]
    assert {path for path, names in named if "Prefer" not in names} == TOLD_IN_FULL


@pytest.mark.parametrize("asked", KEYED, ids=lambda asked: asked.path.removeprefix("/v1/"))
def test_a_command_is_answered_without_its_body_and_again_as_each_repetition_prefers(
    service: Service, asked: Keyed
) -> None:
    """Status and ETag stay (200 is 204), the position is a header; the key keeps the whole answer."""
    place = asked.prepare(service) or {}
    path = asked.path.format(**place)
    sent = asked.sent if asked.sent is not None else {name: place[name] for name in ("note", "witness")}
    key = {"Idempotency-Key": '"k-1"'}
    brief = ask(service, "POST", path, asked.role, sent, {**key, **MINIMAL})
    whole = ask(service, "POST", path, asked.role, sent, key)
    again = ask(service, "POST", path, asked.role, sent, {**key, **MINIMAL})
    told = ask(service, "POST", path, asked.role, sent, {**key, **FULL})
    assert (whole.headers.get(APPLIED), told.headers[APPLIED]) == (None, "return=representation")
    assert told.data == whole.data != b""
    assert [each.headers.get(REPLAYED) for each in (brief, whole, again, told)] == [None, "true", "true", "true"]
    for each in (brief, again):
        assert each.status_code == {200: 204}.get(whole.status_code, whole.status_code)
        assert (each.data, each.headers.get("Content-Type"), each.headers[APPLIED]) == (b"", None, "return=minimal")
        assert each.headers.get("ETag") == whole.headers.get("ETag")
        assert each.headers[POSITION] == str(whole.get_json()["position"])
    assert POSITION not in whole.headers


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("POST", "/v1/order-events", new()),
        ("POST", "/v1/order-events/bulk", {"events": [placed("SO-8"), placed("SO-9")]}),
        ("PUT", "/v1/customers/C-1/class", {"customer_class": "house", "effective_from": "2026-01-01"}),
        ("PUT", "/v1/products/P-1/category", {"category": "tools", "effective_from": "2026-01-01"}),
        ("PUT", "/v1/salespeople/ann/team", {"team": "north", "effective_from": "2026-01-01"}),
        ("PUT", "/v1/salespeople/ann/quotas/2026-Q1", {"currency": "EUR", "amount": "9"}),
    ],
    ids=lambda value: value.removeprefix("/v1/") if isinstance(value, str) else "",
)
def test_what_is_recorded_is_answered_by_its_position_alone(
    service: Service, method: str, path: str, sent: Any
) -> None:
    """Recorded: 201; there already: 204, with the position where it is."""
    assert ask(service, method, path + "?dry_run=true", "ingest", sent, {}).status_code == 200
    first = ask(service, method, path, "ingest", sent, MINIMAL)
    second = ask(service, method, path, "ingest", sent, MINIMAL)
    assert (first.status_code, first.data, first.headers[POSITION]) == (201, b"", str(service.app.store.head()))
    assert (second.status_code, second.data) == (201 if path.endswith("bulk") else 204, b"")
    assert second.headers[POSITION] == first.headers[POSITION]
    service.catch_up()
    assert service.get("/v1/performance", period="2026-Q1", position=first.headers[POSITION])


def test_a_duplicate_is_told_by_204_and_the_position_where_it_is(service: Service) -> None:
    position = service.record(placed("SO-2"))
    service.record(placed("SO-3"))
    again = service.ask("POST", "/v1/order-events", "ingest", sent=placed("SO-2"), headers=MINIMAL)
    assert (again.status_code, again.headers[POSITION]) == (204, str(position))


def test_what_the_service_named_is_found_by_location(service: Service) -> None:
    """The address that a body would have led to: of a rule change, a statement, a checkpoint, a file and its commit."""
    proposed = ask(service, "POST", "/v1/rule-changes", "rules", PROPOSAL, MINIMAL)
    closed = ask(service, "POST", "/v1/periods/2024-Q1/close", "finance", {"reason": "complete"}, MINIMAL)
    signed = ask(service, "POST", "/v1/audit/checkpoints", "finance", {}, MINIMAL)
    staged = service.ask("POST", "/v1/imports", "ingest", data=CSV, content_type="text/csv", headers=MINIMAL)
    for response, start in (
        (proposed, "/v1/rule-changes/"),
        (closed, "/v1/periods/2024-Q1/statements/1"),
        (signed, "/v1/audit/checkpoint?size="),
        (staged, "/v1/imports/"),
    ):
        assert (response.status_code, response.data) == (201, b"")
        assert response.headers["Location"].startswith(start)
        service.get(response.headers["Location"], "finance")
    place = staged.headers["Location"]
    begun = service.ask("POST", place + "/commit", "ingest", sent={"accept_good_rows": True}, headers=MINIMAL)
    assert (begun.status_code, begun.data, begun.headers["Location"]) == (202, b"", place)


@pytest.mark.parametrize("mode", ["atomic", "per_item"])
def test_results_per_item_are_the_point(service: Service, mode: str) -> None:
    """Of 207 and 422; an atomic refusal is a problem like any other."""
    wrong = new(order_type="none")
    for events in ([placed("SO-8"), wrong], [wrong]):
        sent = {"mode": mode, "events": events}
        response = ask(service, "POST", "/v1/order-events/bulk", "ingest", sent, MINIMAL)
        assert response.status_code in ({422} if mode == "atomic" else {207, 422})
        assert response.get_json()["errors" if mode == "atomic" else "results"]
        assert APPLIED not in response.headers


def test_a_problem_and_a_dry_run_are_told_in_full(service: Service) -> None:
    refused(ask(service, "POST", "/v1/rule-changes/NONE/approve", "approver", {}, MINIMAL), Code.not_found)
    for dry in ("true", "1", "yes"):
        preview = ask(service, "POST", f"/v1/rule-changes?dry_run={dry}", "rules", PROPOSAL, MINIMAL)
        assert (preview.status_code, list(preview.get_json()), APPLIED in preview.headers) == (200, ["impact"], False)
    told = ask(service, "POST", "/v1/rule-changes?dry_run=true", "rules", PROPOSAL, FULL)
    assert (told.status_code, told.headers[APPLIED]) == (200, "return=representation")


def test_a_secret_that_is_shown_once_is_shown(service: Service) -> None:
    sent = {"principal": "mara", "roles": ["finance"]}
    made = service.ask("POST", "/v1/tokens", "admin", sent=sent, headers=MINIMAL)
    assert (made.status_code, made.get_json()["token"][:4], APPLIED in made.headers) == (201, "olk_", False)
    identifier = made.get_json()["id"]
    revoked = service.ask("POST", f"/v1/tokens/{identifier}/revoke", "admin", headers=MINIMAL)
    assert (revoked.status_code, POSITION in revoked.headers) == (204, False)


@pytest.mark.parametrize(
    ("header", "is_minimal"),
    [
        ("return=minimal", True),
        ("Return = minimal", True),
        ('return="minimal"', True),
        ("return=minimal; foo=bar", True),
        ("respond-async, wait=5 , return=minimal", True),
        (', ,foo="a, b=\\"c", return=minimal', True),
        ("return=minimal, return=representation", True),
        ("return=representation, return=minimal", False),
        ("return=least", False),
        ("return", False),
        ("return=", False),
        ("minimal", False),
        ("return=minimal=minimal", False),
        ('foo="return=minimal', False),
        ('foo="bar, return=minimal', False),
        ("foo=return=minimal", False),
        ("", False),
        ("\x7f\xff=;,\"'", False),
    ],
)
def test_what_is_no_preference_known_here_is_ignored(service: Service, header: str, is_minimal: bool) -> None:
    response = service.ask("POST", "/v1/order-events", "ingest", sent=new(), headers={"Prefer": header})
    assert (response.status_code, response.data == b"") == (201, is_minimal)
    assert (response.headers.get(APPLIED) == "return=minimal") == is_minimal


def test_it_is_no_part_of_what_a_reading_answers(service: Service) -> None:
    for path in ("/v1/rules", EVENTS):
        read = service.ask("GET", path, "auditor", headers=MINIMAL)
        assert (read.status_code, read.data != b"", APPLIED in read.headers) == (200, True, False)


@pytest.mark.parametrize(
    ("header", "query", "applied"),
    [
        ("wait=1", "", "wait=1"),
        ("WAIT = 1; x, return=minimal", "", "wait=1"),
        ("wait=0", "", "wait=0"),
        ("wait=1", "&wait=0", None),
        ("wait=-1", "", None),
        ("wait=1.5", "", None),
        ("wait=²", "", None),
        ("wait", "", None),
    ],
)
def test_who_would_wait_for_an_event_waits(service: Service, header: str, query: str, applied: str | None) -> None:
    """As by wait in the query, which goes before it; what is no number of seconds is ignored."""
    began = time.monotonic()
    path = f"{EVENTS}?after={service.app.store.head()}{query}"
    response = service.ask("GET", path, "auditor", headers={"Prefer": header})
    assert (response.status_code, response.get_json(), response.headers.get(APPLIED)) == (200, [], applied)
    assert (time.monotonic() - began >= 1) == (applied == "wait=1")


@pytest.mark.parametrize("seconds", ["20", "21", "9" * 30])
def test_nobody_is_kept_waiting_longer_than_that(service: Service, seconds: str) -> None:
    """More is the most there is; where there are events, nobody waits."""
    response = service.ask("GET", EVENTS, "auditor", headers={"Prefer": f"wait={seconds}"})
    assert (response.headers[APPLIED], response.get_json() != []) == ("wait=20", True)
