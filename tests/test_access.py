"""Access: every route says who may call it; nobody else gets in, sales sees nobody else's figures, and no refusal tells
what there is.
"""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from werkzeug.test import TestResponse

from api.access import READERS, allowed_roles
from api.oidc_settings import OidcSettings
from api.rate_limits import Limits
from ledger.refusal import Code
from ledger.store import Store
from ledger.tokens import ROLES, list_tokens, revoke_token
from projections.projector import Projector
from tests.http_client import OWN_SALESPERSON, Service, fresh_database, placed, refused, serving
from tests.strategies import ORDERS, SALESPEOPLE, History, histories, play

READ = {"rules", "approver", "finance", "auditor"}
EVERYBODY = set(ROLES) - {"monitor"}
MAY = {
    "POST /v1/order-events": {"ingest"},
    "POST /v1/order-events/bulk": {"ingest"},
    "PUT /v1/customers/<path:customer_id>/class": {"ingest"},
    "PUT /v1/products/<path:product_id>/category": {"ingest"},
    "PUT /v1/salespeople/<path:salesperson_id>/team": {"ingest"},
    "PUT /v1/salespeople/<path:salesperson_id>/quotas/<period>": {"ingest"},
    "POST /v1/rule-changes": {"rules"},
    "POST /v1/rule-changes/<path:rule_change_id>/approve": {"approver"},
    "POST /v1/rule-changes/<path:rule_change_id>/reject": {"approver"},
    "POST /v1/rule-changes/<path:rule_change_id>/withdraw": {"rules"},
    "POST /v1/simulations": READ,
    "POST /v1/simulations/orders": READ,
    "GET /v1/movements": READ,
    "GET /v1/orders/<path:order_id>": READ | {"ingest"},
    "GET /v1/orders/<path:order_id>/events": READ | {"ingest"},
    "GET /v1/performance": READ | {"sales"},
    "GET /v1/performance/<path:salesperson_id>/credits": READ | {"sales"},
    "GET /v1/orders/<path:order_id>/explanation": READ | {"sales"},
    "GET /v1/rules/review": READ,
    "GET /v1/periods": READ,
    "GET /v1/periods/<period_id>": READ,
    "GET /v1/periods/<period_id>/statements/<version>": READ,
    "GET /v1/periods/<period_id>/options": {"finance", "auditor"},
    "POST /v1/periods/<period_id>/close": {"finance"},
    "POST /v1/periods/<period_id>/restate": {"finance"},
    "POST /v1/periods/<period_id>/carry-forward": {"finance"},
    "GET /v1/order-types": EVERYBODY,
    "GET /v1/rules": EVERYBODY - {"sales"},
    "GET /v1/rules/history": READ,
    "GET /v1/rule-changes/<path:rule_change_id>": READ,
    "GET /v1/rule-changes/<path:rule_change_id>/orders": READ,
    "GET /v1/events": {"auditor", "finance"},
    "GET /v1/events/<int:event_position>": READ,
    "GET /v1/audit/timeline": READ,
    "POST /v1/verifications": {"auditor", "finance", "admin"},
    "GET /v1/verifications/latest": READ | {"admin"},
    "GET /v1/audit/checkpoint": READ | {"admin"},
    "GET /v1/audit/checkpoints": READ | {"admin"},
    "POST /v1/audit/checkpoints": {"approver", "finance", "admin"},
    "POST /v1/audit/checkpoints/<int:size>/cosignatures": {"auditor", "admin"},
    "GET /v1/audit/bundle": {"auditor", "finance"},
    "GET /v1/audit/proofs/inclusion": READ,
    "GET /v1/audit/proofs/consistency": READ,
    "GET /v1/audit/rule-changes": READ,
    "GET /v1/audit/access": {"auditor", "admin"},
    "POST /v1/imports": {"ingest"},
    "GET /v1/imports": {"ingest", "finance"},
    "GET /v1/imports/<import_id>": {"ingest", "finance"},
    "PUT /v1/imports/<import_id>/profile": {"ingest"},
    "POST /v1/imports/<import_id>/commit": {"ingest"},
    "POST /v1/imports/<import_id>/discard": {"ingest"},
    "GET /v1/imports/<import_id>/preview": {"ingest", "finance"},
    "GET /v1/imports/<import_id>/rejected": {"ingest", "finance"},
    "GET /v1/import-profiles": {"ingest", "finance"},
    "GET /v1/import-profiles/<profile_name>": {"ingest", "finance"},
    "PUT /v1/import-profiles/<profile_name>": {"ingest"},
    "DELETE /v1/import-profiles/<profile_name>": {"ingest"},
    "GET /v1/tokens": {"admin"},
    "POST /v1/tokens": {"admin"},
    "POST /v1/tokens/<token_id>/revoke": {"admin"},
    "GET /metrics": {"monitor", "admin"},
    "GET /v1/webhooks": {"admin"},
    "POST /v1/webhooks": {"admin"},
    "GET /v1/webhooks/<webhook_id>": {"admin"},
    "DELETE /v1/webhooks/<webhook_id>": {"admin"},
    "GET /v1/webhooks/<webhook_id>/deliveries": {"admin"},
    "POST /v1/webhooks/<webhook_id>/enable": {"admin"},
    "POST /v1/webhooks/<webhook_id>/disable": {"admin"},
    "POST /v1/webhooks/<webhook_id>/rotate-secret": {"admin"},
    "POST /v1/webhooks/<webhook_id>/replay": {"admin"},
    "POST /v1/webhooks/<webhook_id>/test": {"admin"},
    "GET /console/": set(ROLES),
    "GET /console/help": set(ROLES),
    "GET /console/board": READ | {"sales"},
    "GET /console/rulebook": EVERYBODY - {"sales"},
    "GET /console/rule-changes/<path:rule_change_id>": READ,
    "GET /console/rule-changes/<path:rule_change_id>/orders": READ,
    "GET /console/review/simulation/orders": READ,
    "POST /console/rule-changes/<path:rule_change_id>/approve": {"approver"},
    "POST /console/rule-changes/<path:rule_change_id>/reject": {"approver"},
    "POST /console/rule-changes/<path:rule_change_id>/withdraw": {"rules"},
    "GET /console/approvals": READ,
    "GET /console/review": READ,
    "GET /console/review/simulation": READ,
    "GET /console/imports": {"ingest", "finance"},
    "POST /console/imports": {"ingest"},
    "GET /console/imports/<import_id>": {"ingest", "finance"},
    "POST /console/imports/<import_id>/profile": {"ingest"},
    "POST /console/imports/<import_id>/commit": {"ingest"},
    "POST /console/imports/<import_id>/discard": {"ingest"},
    "GET /console/tokens": {"admin"},
    "POST /console/tokens": {"admin"},
    "POST /console/tokens/<token_id>/revoke": {"admin"},
    "GET /console/periods": READ,
    "GET /console/periods/<period_id>": READ,
    "GET /console/periods/<period_id>/statements/<version>": READ,
    "POST /console/periods/<period_id>/close": {"finance"},
    "POST /console/periods/<period_id>/restate": {"finance"},
    "POST /console/periods/<period_id>/carry-forward": {"finance"},
    "GET /console/propose": READ,
    "POST /console/propose": READ,
    "GET /console/audit": READ,
    "POST /console/audit/checkpoints": {"approver", "finance"},
    "GET /console/audit/verification": READ,
    "POST /console/audit/verification": {"auditor", "finance"},
    "GET /console/audit/events/<int:position>": READ,
    "GET /console/salespeople/<path:salesperson_id>": READ | {"sales"},
    "GET /console/orders": READ | {"sales"},
    "GET /console/orders/<path:order_id>": READ | {"sales"},
    "GET /console/comparison": READ,
}
"""Who may do what, written down a second time on purpose: a slip in a route's decorator fails here."""
PAGES = {route: roles for route, roles in MAY.items() if " /console/" in route}
API = {route: roles for route, roles in MAY.items() if route not in PAGES}

PUBLIC = {
    *("GET /", "GET /docs", "GET /openapi.json", "GET /errors", "GET /errors/<name>", "GET /static/<path:filename>"),
    *("GET /healthz", "GET /readyz", "GET /sign-in"),
}
PUBLIC_FORMS = {"POST /sign-in", "POST /sign-out", "POST /language"}
"""Sent by pages of this service only: tests/test_sessions.py."""
PUBLIC_WHERE_CONFIGURED = {"GET /sign-in/oidc", "GET /sign-in/oidc/callback"}
"""The organisation's sign-in: tests/test_oidc.py."""
OIDC = OidcSettings("https://id.example.com", "ledger", "x", (("a", "rules"),))
FIGURES = "/v1/performance?period=2026-Q1"
FROM_ELSEWHERE = {"X-Forwarded-For": "198.51.100.7"}
"""What a proxy adds: on the machine itself, the figures for operators take no token."""


@pytest.fixture(scope="module")
def service(server_url: Callable[[str], str], template: str) -> Iterator[Service]:
    """Serve a ledger with an order of ann's and one of bob's."""
    limits = Limits(requests_per_second_max=1_000_000, failures_per_minute_max=1_000_000)
    with fresh_database(server_url, template) as database, serving(database, limits=limits, oidc=OIDC) as service:
        service.define(standard="1")
        service.record(placed("SO-1", "10.00"))
        service.record(placed("SO-2", "20.00", splits=[{"salesperson_id": "bob"}]))
        service.app.projector.catch_up()
        yield service


def routes(service: Service) -> set[str]:
    """Name every route with each of its methods."""
    return {
        f"{method} {rule}"
        for rule in service.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def address(route: str) -> tuple[str, str]:
    """Give a method and an address of a route that exists or is refused for another reason than access."""
    method, path = route.split()
    for name, value in (
        ("<path:order_id>", "SO-1"),
        ("<path:salesperson_id>", OWN_SALESPERSON),
        ("<path:customer_id>", "C-1"),
        ("<path:product_id>", "P-1"),
        ("<period>", "2026-Q1"),
        ("<path:rule_change_id>", "RC-1"),
        ("<period_id>", "2026-Q1"),
        ("<version>", "1"),
        ("<int:size>", "1"),
        ("<int:event_position>", "1"),
        ("<int:position>", "1"),
        ("<token_id>", "000000000000"),
        ("<import_id>", "I-1"),
        ("<profile_name>", "erp"),
        ("<name>", "forbidden"),
        ("<path:filename>", "style.css"),
        ("<webhook_id>", "0123456789abcdef"),
    ):
        path = path.replace(name, value)
    return method, path


def test_every_route_is_in_the_table(service: Service) -> None:
    """And each declares the roles that the table says; () is anybody, None would be a route that says nothing."""
    assert routes(service) == set(MAY) | PUBLIC | PUBLIC_FORMS | PUBLIC_WHERE_CONFIGURED
    for rule in service.app.url_map.iter_rules():
        declared = allowed_roles(service.app, rule.endpoint)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            assert declared is not None
            assert set(declared) == MAY.get(f"{method} {rule}", set())


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_what_the_table_says_and_nothing_else(service: Service, role: str) -> None:
    before = service.trace()
    for route, roles in API.items():
        response = service.ask(*address(route), role, headers=FROM_ELSEWHERE)
        if role in roles:
            assert response.status_code not in {401, 403}, route
        else:
            error = refused(response, Code.forbidden)[0]
            assert role in error["detail"]
            assert all(name in error["detail"] for name in roles), "it names the roles that may"
    assert service.trace() == before


@pytest.mark.parametrize("role", ROLES)
def test_a_role_sees_the_pages_that_the_table_says_and_no_other(service: Service, role: str) -> None:
    before = service.trace()
    for route, roles in PAGES.items():
        response = service.ask(*address(route), role)
        assert (response.status_code == 403) == (role not in roles), (route, response.text)
        assert response.status_code not in {401, 500}, (route, response.text)
        assert response.mimetype == "text/html"
    assert service.trace() == before


def test_who_is_not_signed_in_is_sent_there_from_every_page(service: Service) -> None:
    """And comes back after it: tests/browser. What a form would do is refused."""
    for token in in_vain(service, "auditor").values():
        for route in PAGES:
            method, path = address(route)
            response = service.ask(method, path, token)
            if method == "GET":
                assert (response.status_code, response.location) == (303, f"/sign-in?next={quote(path, safe='/')}")
            else:
                assert response.status_code == 401, route


def in_vain(service: Service, role: str) -> dict[str, str | None]:
    """Give what a role could present in vain: nothing, a wrong secret, an expired token, a revoked one."""
    good, revoked = service.tokens[role], service.token(role)
    revoke_token(service.database, revoked.split("_")[1], now=datetime.now(UTC))
    return {
        "no token": None,
        "wrong": good[:-6] + "000000",
        "expired": service.token(role, expires_at=datetime.now(UTC) - timedelta(seconds=1)),
        "revoked": revoked,
    }


@pytest.mark.parametrize("role", ROLES)
def test_no_role_gets_in_without_a_valid_token(service: Service, role: str) -> None:
    """The whole matrix: each route, with each kind of nothing, is answered alike, whatever the role would be let do."""
    before = service.trace()
    for kind, token in in_vain(service, role).items():
        for route in API:
            response = service.ask(*address(route), token, headers=FROM_ELSEWHERE)
            assert response.status_code == 401, (route, kind)
            assert told(response) == told(service.ask(*address(route), "nonsense", headers=FROM_ELSEWHERE)), route
    assert service.trace() == before


def told(response: TestResponse, *typed: str) -> tuple[object, ...]:
    """Give all that an answer tells, but its request id, how often its token may still ask, and what was typed."""
    text = response.text.replace(response.headers["X-Request-Id"], "")
    for each in typed:
        text = text.replace(each, "…")
    own = {"X-Request-Id", "RateLimit", *(("Content-Length",) if typed else ())}
    return response.status_code, text, [(name, value) for name, value in response.headers if name not in own]


def elsewhere(route: str) -> tuple[str, str]:
    """Give a method and an address of a route at which there is nothing."""
    method, path = route.split()
    return method, re.sub(r"<(?:int:)\w+>", "999", re.sub(r"<(?:path:)?\w+>", "NOT-THERE", path))


def test_who_may_not_is_refused_before_anything_is_looked_up(service: Service) -> None:
    """401 and 403 come before 404 and before what is wrong with a query: the same for what there is and is not."""
    token = in_vain(service, "auditor")["expired"]
    for route, roles in API.items():
        (method, path), (_, nowhere) = address(route), elsewhere(route)
        strangers = [role for role in ROLES if role not in roles]
        for asker in (None, token, *strangers):
            there = service.ask(method, path, asker, headers=FROM_ELSEWHERE)
            for other in (nowhere, f"{path}?hocus=pocus"):
                assert told(service.ask(method, other, asker, headers=FROM_ELSEWHERE)) == told(there), (route, asker)
            assert there.status_code == (403 if asker in strangers else 401)


def test_a_token_of_several_roles_may_what_any_of_them_may(service: Service) -> None:
    token = service.token("ingest", "rules")
    assert service.ask("GET", "/v1/rules/history", token).status_code == 200
    refused(service.ask("POST", "/v1/order-events", token, data=b"-"), Code.malformed_json)
    refused(service.ask("GET", "/v1/events", token), Code.forbidden)


def test_without_a_token_only_public_routes_answer(service: Service) -> None:
    for route in API:
        refused_as_unknown(service, None, route, headers=FROM_ELSEWHERE)
    for route in PUBLIC:
        assert service.ask(*address(route), None).status_code in {200, 503}, route


def refused_as_unknown(service: Service, token: str | None, route: str = "GET /v1/rules", **options: Any) -> None:
    """See that a request is refused, and told how to say who asks."""
    response = service.ask(*address(route), token, **options)
    refused(response, Code.unauthenticated)
    assert response.headers["WWW-Authenticate"].startswith("Bearer ")


def test_a_wrong_token_is_refused(service: Service) -> None:
    good = service.tokens["auditor"]
    prefix, token_id, secret = good.split("_")
    other_secret = service.tokens["admin"].split("_")[2]
    for wrong in (
        *("", "olk", "olk__", "olk_1_2", "x" * 10_000, f"{prefix}_{token_id}_", f"{prefix}_{token_id}_{other_secret}"),
        *(good[:-1], good + "0", good.upper(), f"xyz_{token_id}_{secret}", f"olk_{token_id}_é", "olk_é_1"),
    ):
        refused_as_unknown(service, wrong)
    basic = service.ask("GET", "/v1/rules", None, headers={"Authorization": f"Basic {good}"})
    refused(basic, Code.unauthenticated)


def test_an_expired_token_is_refused(service: Service) -> None:
    now = datetime.now(UTC)
    assert (
        service.ask("GET", "/v1/rules", service.token("auditor", expires_at=now + timedelta(hours=1))).status_code
        == 200
    )
    refused_as_unknown(service, service.token("auditor", expires_at=now - timedelta(seconds=1)))


def test_a_revoked_token_is_refused_at_once(service: Service) -> None:
    token = service.token("ingest", principal="leaver")
    assert service.ask("GET", "/v1/rules", token).status_code == 200
    assert revoke_token(service.database, token.split("_")[1], now=datetime.now(UTC))
    before = service.trace()
    refused(service.ask("POST", "/v1/order-events", token, sent=placed("SO-9")), Code.unauthenticated)
    assert service.trace() == before


def test_only_the_hash_of_a_secret_is_kept(service: Service) -> None:
    secret = service.tokens["admin"].split("_")[2]
    with service.database.cursor() as cursor:
        cursor.execute("SELECT string_agg(token::text, ' ') FROM token")
        (kept,) = cursor.fetchone() or ("",)
    assert secret not in kept
    assert secret.encode().hex() not in kept
    assert "admin" in {token.principal.removesuffix("-clerk") for token in list_tokens(service.database)}


def test_every_event_names_its_principal(service: Service) -> None:
    actors = [event["actor"] for event in service.get("/v1/events")]
    assert actors == ["rules-clerk", "approver-clerk", "ingest-clerk", "ingest-clerk"]


# ---- sales


def people(answered: Any) -> list[Any]:
    """Name the salespeople of an answer's figures."""
    return [figure["group"]["salesperson"] for figure in answered["figures"]]


def test_sales_sees_its_own_figures_only(service: Service) -> None:
    assert people(service.get(FIGURES)) == ["ann", "bob"]
    for group_by in ("salesperson", "month,salesperson", "salesperson,customer,product"):
        assert set(people(service.get("/v1/performance", "sales", period="2026-Q1", group_by=group_by))) == {"ann"}
    assert people(service.get("/v1/performance", "sales", period="2026-Q1", limit=1)) == ["ann"]
    bob = service.token("sales", principal="bob")
    assert people(service.get("/v1/performance", bob, period="2026-Q1", limit=1)) == ["bob"]
    nobody = service.token("sales", principal="carl")
    assert people(service.get("/v1/performance", nobody, period="2026-Q1")) == []


def test_figures_of_one_salesperson_are_told_alone(service: Service) -> None:
    for role in ("auditor", "finance"):
        assert people(service.get("/v1/performance", role, period="2026-Q1", salesperson_id="bob", limit=1)) == ["bob"]
    grouped = {"period": "2026-Q1", "group_by": "month,salesperson", "salesperson_id": "ann"}
    assert set(people(service.get("/v1/performance", **grouped))) == {"ann"}
    for nobody in ("~unassigned", "carl"):
        assert people(service.get("/v1/performance", period="2026-Q1", salesperson_id=nobody)) == []
    assert people(service.get("/v1/performance", "sales", period="2026-Q1", salesperson_id="ann")) == ["ann"]
    for other in ("bob", "nobody", "~unassigned"):
        asked = service.ask("GET", f"{FIGURES}&salesperson_id={other}", "sales")
        assert "its own figures only" in refused(asked, Code.forbidden)[0]["detail"]


def test_sales_gets_no_figures_that_hold_those_of_others(service: Service) -> None:
    for group_by in ("customer", "month,order_type", "product"):
        (error,) = refused(service.ask("GET", f"{FIGURES}&group_by={group_by}", "sales"), Code.forbidden)
        assert all(name in error["detail"] for name in READERS)


def test_sales_sees_its_own_credit_lines_only(service: Service) -> None:
    own = service.get("/v1/performance/ann/credits", "sales", period="2026-Q1")
    assert [credit["gross"] for credit in own["credits"]] == ["10"]
    for other in ("bob", "~unassigned", "ann/../bob", "ANN", "nobody"):
        response = service.ask("GET", f"/v1/performance/{other}/credits?period=2026-Q1", "sales")
        assert all(name in refused(response, Code.forbidden)[0]["detail"] for name in READERS)


def test_a_sales_token_that_also_records_sees_no_more(service: Service) -> None:
    token = service.token("sales", "ingest")
    assert people(service.get("/v1/performance", token, period="2026-Q1")) == ["ann"]
    refused(service.ask("GET", "/v1/performance/bob/credits?period=2026-Q1", token), Code.forbidden)


def test_a_sales_token_that_also_reads_everything_does(service: Service) -> None:
    token = service.token("sales", "finance")
    assert people(service.get("/v1/performance", token, period="2026-Q1")) == ["ann", "bob"]


EXPLAINED = "/v1/orders/{}/explanation{}"
CREDITS = "/v1/performance/{}/credits?period={}"


@pytest.mark.parametrize(
    "query", ["", "?position=3", "?position=4", "?position=999", "?known_at=2020-01-01T00:00:00Z", "?x=1"]
)
def test_an_order_of_others_is_answered_as_one_that_is_not_there(service: Service, query: str) -> None:
    """To the byte, but for what was typed; also at positions before and behind it."""
    others = service.ask("GET", EXPLAINED.format("SO-2", query), "sales")
    for order_id in ("SO-3", "NOT-THERE", "ann", "É", "SO-2x", "SO-1x"):
        missing = service.ask("GET", EXPLAINED.format(order_id, query), "sales")
        assert told(missing, order_id, repr(order_id)[1:-1]) == told(others, "SO-2"), order_id
    assert others.status_code in {404, 422, 503}
    assert service.ask("GET", EXPLAINED.format("SO-1", "?position=3"), "sales").status_code == 200, "the control"


@pytest.mark.parametrize("period", ["2026-Q1", "hocus", "2026-Q1&position=2", "2026-Q1&position=999"])
def test_a_salesperson_is_answered_as_one_that_is_not_there(service: Service, period: str) -> None:
    """Whatever else is wrong with the request."""
    answers = {
        told(service.ask("GET", CREDITS.format(name, period), "sales"), name)[:2]
        for name in ("bob", "carl", "~unassigned", "x" * 200)
    }
    assert len(answers) == 1
    assert {status for status, _ in answers} == {403}


def strings(value: Any) -> Iterator[str]:
    """Give all texts in a document."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)
    elif isinstance(value, str):
        yield value


def sees_own_only(service: Service, person: str) -> None:
    """See that all that a salesperson can read is theirs: as an auditor sees it, and nobody else is named in it."""
    token = service.token("sales", principal=person)
    others = set(SALESPEOPLE) - {person}

    def own(path: str, **options: Any) -> TestResponse:
        response = service.ask("GET", path, token, **options)
        if response.status_code == 200:
            told = response.text if response.is_json else json.dumps(response.text.splitlines())
            named = {other for text in strings(json.loads(told)) for other in others if other in text}
            assert named == set(), (path, named)
        return response

    for grouping in ("salesperson", "salesperson,customer", "product,salesperson,month"):
        path = f"/v1/performance?period=FY2026&group_by={grouping}"
        figures = [each for each in service.get(path)["figures"] if each["group"]["salesperson"] == person]
        assert own(path).get_json()["figures"] == figures
        assert own(path, headers={"Accept": "application/x-ndjson"}).text.count("\n") == len(figures)
        own(path, headers={"Accept": "text/csv"})
    assert own(CREDITS.format(person, "FY2026")).get_json() == service.get(CREDITS.format(person, "FY2026"))
    missing = told(own(EXPLAINED.format("NOT-THERE", "")), "NOT-THERE")
    for order_id in ORDERS:
        typed = order_id.replace("%", "%25")
        response = own(EXPLAINED.format(typed, ""))
        if response.status_code == 200:
            assert {line["salesperson_id"] for line in response.get_json()["lines"]} <= {person}
            own(EXPLAINED.format(typed, "?format=ndjson"))
        else:
            shown = json.dumps(repr(order_id), ensure_ascii=False)[1:-1]
            assert told(response, shown) == tuple(
                part.replace("'…'", "…") if isinstance(part, str) else part for part in missing
            )
    for route, roles in API.items():
        if "sales" not in roles:
            for order_id in ORDERS[:2]:
                method, path = address(route)
                assert (
                    service.ask(method, path.replace("SO-1", order_id), token, headers=FROM_ELSEWHERE).status_code
                    == 403
                )


@given(history=histories(max_steps=15))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_recorded_sales_sees_its_own_only(new_store: Callable[[], Store], history: History) -> None:
    """Through figures, credits, explanations and files; orders, movements and the feed are refused."""
    store = new_store()
    play(store, history)
    Projector(store.database).catch_up()
    with serving(store.database) as service:
        for person in SALESPEOPLE[:3]:
            sees_own_only(service, person)


def test_every_answer_is_safe_to_show(service: Service) -> None:
    """It has a request id; browsers neither guess its type nor run anything; what is private is not kept."""
    for path, role in ((FIGURES, "auditor"), (FIGURES, None), ("/docs", None), ("/nothing", None)):
        headers = service.ask("GET", path, role).headers
        assert headers["X-Request-Id"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert path != FIGURES or headers["Cache-Control"] == "no-store"
