"""Access: every route says who may call it; nobody else gets in, and sales sees nobody else's figures."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.access import allowed_roles
from ledger.refusal import Code
from ledger.tokens import ROLES, list_tokens, revoke_token
from tests.http_client import OWN_SALESPERSON, Service, fresh_database, placed, refused, serving

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
    "GET /v1/events": {"auditor", "finance"},
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
    "GET /v1/import-profiles/<profile_name>": {"ingest", "finance"},
    "PUT /v1/import-profiles/<profile_name>": {"ingest"},
    "DELETE /v1/import-profiles/<profile_name>": {"ingest"},
    "GET /metrics": {"monitor", "admin"},
}
"""Who may do what, written down a second time on purpose: a slip in a route's decorator fails here."""

PUBLIC = {
    *("GET /", "GET /docs", "GET /openapi.json", "GET /errors", "GET /errors/<name>", "GET /static/<path:filename>"),
    *("GET /healthz", "GET /readyz"),
}
FIGURES = "/v1/performance?period=2026-Q1"
FROM_ELSEWHERE = {"X-Forwarded-For": "198.51.100.7"}
"""What a proxy adds: on the machine itself, the figures for operators take no token."""


@pytest.fixture(scope="module")
def service(server_url: Callable[[str], str], template: str) -> Iterator[Service]:
    """Serve a ledger with an order of ann's and one of bob's."""
    with fresh_database(server_url, template) as database, serving(database) as service:
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
        ("<import_id>", "I-1"),
        ("<profile_name>", "erp"),
        ("<name>", "forbidden"),
        ("<path:filename>", "style.css"),
    ):
        path = path.replace(name, value)
    return method, path


def test_every_route_is_in_the_table(service: Service) -> None:
    """And each declares the roles that the table says; () is anybody, None would be a route that says nothing."""
    assert routes(service) == set(MAY) | PUBLIC
    for rule in service.app.url_map.iter_rules():
        declared = allowed_roles(service.app, rule.endpoint)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            assert declared is not None
            assert set(declared) == MAY.get(f"{method} {rule}", set())


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_what_the_table_says_and_nothing_else(service: Service, role: str) -> None:
    before = service.trace()
    for route, roles in MAY.items():
        response = service.ask(*address(route), role, headers=FROM_ELSEWHERE)
        if role in roles:
            assert response.status_code not in {401, 403}, route
        else:
            error = refused(response, Code.forbidden)[0]
            assert role in error["detail"]
            assert all(name in error["detail"] for name in roles), "it names the roles that may"
    assert service.trace() == before


def test_a_token_of_several_roles_may_what_any_of_them_may(service: Service) -> None:
    token = service.token("ingest", "rules")
    assert service.ask("GET", "/v1/rules/history", token).status_code == 200
    refused(service.ask("POST", "/v1/order-events", token, data=b"-"), Code.malformed_json)
    refused(service.ask("GET", "/v1/events", token), Code.forbidden)


def test_without_a_token_only_public_routes_answer(service: Service) -> None:
    for route in MAY:
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


def test_sales_gets_no_figures_that_hold_those_of_others(service: Service) -> None:
    for group_by in ("customer", "month,order_type", "product"):
        refused(service.ask("GET", f"{FIGURES}&group_by={group_by}", "sales"), Code.forbidden)


def test_sales_sees_its_own_credit_lines_only(service: Service) -> None:
    own = service.get("/v1/performance/ann/credits", "sales", period="2026-Q1")
    assert [credit["gross"] for credit in own["credits"]] == ["10"]
    for other in ("bob", "~unassigned", "ann/../bob", "ANN", "nobody"):
        response = service.ask("GET", f"/v1/performance/{other}/credits?period=2026-Q1", "sales")
        refused(response, Code.forbidden)


def test_a_sales_token_that_also_records_sees_no_more(service: Service) -> None:
    token = service.token("sales", "ingest")
    assert people(service.get("/v1/performance", token, period="2026-Q1")) == ["ann"]
    refused(service.ask("GET", "/v1/performance/bob/credits?period=2026-Q1", token), Code.forbidden)


def test_a_sales_token_that_also_reads_everything_does(service: Service) -> None:
    token = service.token("sales", "finance")
    assert people(service.get("/v1/performance", token, period="2026-Q1")) == ["ann", "bob"]


def test_every_answer_is_safe_to_show(service: Service) -> None:
    """It has a request id; browsers neither guess its type nor run anything; what is private is not kept."""
    for path, role in ((FIGURES, "auditor"), (FIGURES, None), ("/docs", None), ("/nothing", None)):
        headers = service.ask("GET", path, role).headers
        assert headers["X-Request-Id"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert path != FIGURES or headers["Cache-Control"] == "no-store"
