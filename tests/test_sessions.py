"""Sessions of browsers: a cookie acts as the token that signed in, ends with it, and is of no use to other sites;
security headers on every answer, and no secret in a log.
"""

import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.access import SESSION_COOKIE
from api.request_log import lines
from ledger.database import Database, one
from ledger.refusal import Code
from ledger.tokens import revoke_token, token_of_id
from tests.http_client import Service, placed, refused, serving

NOW = datetime(2026, 5, 15, 12, tzinfo=UTC)
OWN = {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}
RULES = "/v1/rules"
ALTERATION = {"action": "set_rule", "conditions": {"product_id": "P-1"}, "share": "0", "effective_from": "2026-01-01"}
CHANGE = {"alterations": [ALTERATION], "reason": "x"}


class Browser:
    """A browser: it keeps cookies, and says where its requests come from."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.client: FlaskClient = service.app.test_client()

    def get(self, path: str, **headers: str) -> TestResponse:
        """Follow a link."""
        return self.client.get(path, headers=headers)

    def send(self, path: str, form: dict[str, str], headers: dict[str, str] = OWN, **options: Any) -> TestResponse:
        """Send a form."""
        return self.client.post(path, data=form, headers=headers, **options)

    def sign_in(self, role: str = "auditor", **options: Any) -> str:
        """Sign in with a token; give the session's secret."""
        response = self.send("/sign-in", {"token": self.service.tokens.get(role, role)}, **options)
        assert (response.status_code, response.headers["Location"]) == (303, "/sign-in"), response.text
        return self.secret

    @property
    def secret(self) -> str:
        """The session's secret that the browser keeps; '' where it keeps none."""
        cookie = self.client.get_cookie(SESSION_COOKIE)
        return cookie.value if cookie else ""


@pytest.fixture
def service(database: Database) -> Iterator[Service]:
    """Serve a ledger with an order type, at noon."""
    with serving(database) as service:
        service.define(standard="1")
        service.app.store.clock = lambda: NOW
        yield service


@pytest.fixture
def browser(service: Service) -> Browser:
    """Open a browser."""
    return Browser(service)


def after(service: Service, **passed: float) -> None:
    """Move the service's clock."""
    now = NOW + timedelta(**passed)
    service.app.store.clock = lambda: now


# ---- signing in and out


def test_a_token_signs_in_and_the_cookie_acts_as_it(browser: Browser) -> None:
    assert browser.get(RULES).status_code == 401
    assert '<input id="token" name="token" type="password"' in browser.get("/sign-in").text
    browser.sign_in("sales")
    assert browser.get("/v1/order-types").status_code == 200
    refused(browser.get(RULES), Code.forbidden)
    page = browser.get("/sign-in").text
    assert "<strong>ann</strong>" in page
    assert "roles sales" in page
    for text in (page, browser.get("/").text):
        assert "<script" not in text


def test_the_cookie_is_kept_from_scripts_and_other_sites(browser: Browser) -> None:
    response = browser.send("/sign-in", {"token": browser.service.tokens["auditor"]})
    name, *attributes = response.headers["Set-Cookie"].split("; ")
    assert name == f"{SESSION_COOKIE}={browser.secret}"
    assert len(browser.secret) >= 43
    assert {"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=43200"} <= set(attributes)
    assert "Secure" not in attributes
    assert response.headers["Cache-Control"] == browser.get("/sign-in").headers["Cache-Control"] == "no-store"


def test_the_cookie_is_sent_over_https_only_where_there_is_https(database: Database, browser: Browser) -> None:
    token = {"token": browser.service.tokens["auditor"]}
    over_https = {**OWN, "Origin": "https://localhost"}
    response = browser.send("/sign-in", token, over_https, base_url="https://localhost")
    assert "Secure" in response.headers["Set-Cookie"].split("; ")
    with serving(database, secure_cookies=True) as careful:
        response = Browser(careful).send("/sign-in", {"token": careful.tokens["auditor"]})
        assert "Secure" in response.headers["Set-Cookie"].split("; ")


@pytest.mark.parametrize(
    "token", ["", "nonsense", "olk_000000000000_1", "expired", "revoked", "x" * 100_000, "\0", "é"]
)
def test_what_is_not_a_valid_token_does_not_sign_in(browser: Browser, token: str) -> None:
    """The form is shown again, and says so to everybody."""
    service = browser.service
    if token == "expired":  # noqa: S105 - the case
        token = service.token("auditor", expires_at=NOW)
    if token == "revoked":  # noqa: S105 - the case
        token = service.token("auditor")
        revoke_token(service.database, token.split("_")[1], now=NOW)
    response = browser.send("/sign-in", {"token": token})
    assert response.status_code == 401
    assert 'role="alert"' in response.text
    assert token == "" or token not in response.text
    assert browser.secret == ""
    with service.database.cursor() as cursor:
        cursor.execute("SELECT action, outcome FROM access")
        assert ("refused", "unauthenticated") in cursor.fetchall()
        cursor.execute("SELECT count(*) FROM session")
        assert one(cursor) == (0,)


def test_signing_in_begins_another_session_and_ends_the_one_before(browser: Browser) -> None:
    """So that nobody can have planted the one that is used."""
    browser.client.set_cookie(SESSION_COOKIE, "planted")
    first = browser.sign_in("auditor")
    second = browser.sign_in("finance")
    assert len({"planted", first, second}) == 3
    assert "finance-clerk" in browser.get("/sign-in").text
    browser.client.set_cookie(SESSION_COOKIE, first)
    assert browser.get(RULES).status_code == 401


def test_signing_out_ends_the_session_on_the_server(browser: Browser) -> None:
    secret = browser.sign_in()
    assert browser.send("/sign-out", {}).status_code == 303
    assert browser.secret == ""
    browser.client.set_cookie(SESSION_COOKIE, secret)
    assert browser.get(RULES).status_code == 401
    assert browser.send("/sign-out", {}).status_code == 303, "again is no mistake"


def test_a_sign_in_is_noted_and_no_request_of_the_session_again(browser: Browser) -> None:
    browser.sign_in()
    browser.get(RULES)
    token_id = browser.service.tokens["auditor"].split("_")[1]
    with browser.service.database.cursor() as cursor:
        cursor.execute("SELECT action, outcome, principal, token_id, subject FROM access WHERE principal LIKE 'audi%'")
        expected = ("signed_in", "done", "auditor-clerk", token_id, f"session of token {token_id}")
        assert cursor.fetchall() == [expected]


def test_only_the_hash_of_a_sessions_secret_is_kept(browser: Browser) -> None:
    secret = browser.sign_in()
    with browser.service.database.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(session::text, ' ') || (SELECT string_agg(access::text, ' ') FROM access) FROM session"
        )
        (kept,) = one(cursor)
    assert secret not in kept
    assert secret.encode().hex() not in kept


# ---- how a session ends


def test_a_session_ends_with_its_token_at_once_in_every_process(browser: Browser) -> None:
    service = browser.service
    token = service.token("auditor")
    secret = browser.sign_in(token)
    with serving(service.database) as other:
        other.app.store.clock = service.app.store.clock
        elsewhere = Browser(other)
        elsewhere.client.set_cookie(SESSION_COOKIE, secret)
        assert (browser.get(RULES).status_code, elsewhere.get(RULES).status_code) == (200, 200)
        service.post(f"/v1/tokens/{token.split('_')[1]}/revoke", {}, "admin")
        assert (browser.get(RULES).status_code, elsewhere.get(RULES).status_code) == (401, 401)


def test_a_session_ends_when_its_token_expires(browser: Browser) -> None:
    browser.sign_in(browser.service.token("auditor", expires_at=NOW + timedelta(minutes=5)))
    for minutes, status in ((4.9, 200), (5, 401)):
        after(browser.service, minutes=minutes)
        assert browser.get(RULES).status_code == status


def test_a_session_ends_after_twelve_hours_however_it_is_used(browser: Browser) -> None:
    browser.sign_in()
    for minutes in range(0, 12 * 60, 30):
        after(browser.service, minutes=minutes)
        assert browser.get(RULES).status_code == 200
    after(browser.service, hours=12)
    assert browser.get(RULES).status_code == 401


def test_a_session_ends_after_an_hour_unused(browser: Browser) -> None:
    browser.sign_in()
    for minutes, status in ((59, 200), (118, 200), (178, 401)):
        after(browser.service, minutes=minutes)
        assert browser.get(RULES).status_code == status


def test_what_a_session_uses_its_token_uses(browser: Browser) -> None:
    browser.sign_in()
    after(browser.service, minutes=3)
    browser.get(RULES)
    token = token_of_id(browser.service.database, browser.service.tokens["auditor"].split("_")[1])
    assert token is not None
    assert token.last_used_at == NOW + timedelta(minutes=3)


def test_sessions_that_ended_long_ago_are_forgotten(browser: Browser) -> None:
    browser.sign_in()
    for days, count in ((30, 2), (31, 2)):
        after(browser.service, days=days)
        browser.sign_in()
        with browser.service.database.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM session")
            assert one(cursor) == (count,)


def test_wrong_cookies_are_guesses_and_ended_sessions_are_not(browser: Browser) -> None:
    browser.sign_in()
    after(browser.service, hours=13)
    assert {browser.get(RULES).status_code for _ in range(70)} == {401}
    for number in range(60):
        browser.client.set_cookie(SESSION_COOKIE, f"guess-{number}")
        assert browser.get(RULES).status_code == 401
    browser.client.set_cookie(SESSION_COOKIE, "guess")
    refused(browser.get(RULES), Code.rate_limited)


# ---- other sites' pages


CROSS = [
    {},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"},
    {"Sec-Fetch-Site": "none", "Origin": "null"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "http://localhost:8000"},
    {"Origin": "http://evil@localhost"},
    {"Origin": "ftp://localhost"},
    {"Origin": "http://[::1"},
    {"Referer": "http://localhost/sign-in"},
]


def test_another_sites_page_can_not_use_the_session(browser: Browser) -> None:
    """Nor sign its visitor in or out; reading is harmless, since the page can't see the answer."""
    browser.sign_in("rules")
    before = browser.service.trace()
    for headers in CROSS:
        refused(browser.client.post("/v1/rule-changes", json=CHANGE, headers=headers), Code.cross_site_request)
        for path in ("/sign-in", "/sign-out"):
            refused(browser.send(path, {"token": browser.service.tokens["admin"]}, headers), Code.cross_site_request)
        assert browser.get(RULES, **headers).status_code == 200
        assert "rules-clerk" in browser.get("/sign-in").text
    assert browser.service.trace() == before


def test_another_sites_page_can_not_have_a_bundle_made(browser: Browser) -> None:
    """It is read, but a checkpoint is recorded for it."""
    browser.sign_in("auditor")
    before = browser.service.trace()
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}):
        refused(browser.get("/v1/audit/bundle?period=2026-Q1", **headers), Code.cross_site_request)
    assert browser.service.trace() == before
    answered = browser.get("/v1/audit/bundle?period=2026-Q1", **OWN)
    assert answered.status_code != 403, answered.text


def test_pages_of_our_own_can(browser: Browser) -> None:
    """Also behind a proxy that ends TLS."""
    browser.sign_in("rules")
    browser.service.catch_up()
    for number, headers in enumerate(
        (
            OWN,
            {"Sec-Fetch-Site": "same-origin"},
            {"Sec-Fetch-Site": "none"},
            {"Origin": "http://localhost"},
            {"Origin": "https://LOCALHOST"},
        )
    ):
        sent = {**CHANGE, "alterations": [{**ALTERATION, "conditions": {"product_id": f"P-{number}"}}]}
        response = browser.client.post("/v1/rule-changes", json=sent, headers=headers)
        assert response.status_code == 201, response.text
        (event,) = browser.service.get("/v1/events", after=browser.service.app.store.head() - 1)
        assert event["actor"] == "rules-clerk"
        browser.service.catch_up()


def test_over_https_a_page_that_came_by_http_is_another_site(browser: Browser) -> None:
    browser.client.set_cookie(SESSION_COOKIE, "any", domain="localhost")
    response = browser.client.post(
        "/v1/rule-changes", json=CHANGE, headers={"Origin": "http://localhost"}, base_url="https://localhost"
    )
    refused(response, Code.cross_site_request)


def test_whether_a_session_is_valid_is_not_told_to_other_sites(browser: Browser) -> None:
    browser.client.set_cookie(SESSION_COOKIE, "nonsense")
    refused(browser.client.post("/v1/rule-changes", json=CHANGE), Code.cross_site_request)


def test_a_bearer_token_needs_no_origin_and_goes_before_the_cookie(browser: Browser) -> None:
    browser.sign_in("auditor")
    bearer = {"Authorization": f"Bearer {browser.service.tokens['ingest']}", "Sec-Fetch-Site": "cross-site"}
    response = browser.client.post("/v1/order-events", json=placed("SO-1"), headers=bearer)
    assert response.status_code == 201
    assert browser.get(RULES, Authorization="Bearer nonsense").status_code == 401
    assert browser.get(RULES, Authorization="Basic eDp5").status_code == 401


# ---- headers and logs


ANYTHING = [
    *(("GET", path) for path in ("/", "/docs", "/sign-in", "/static/style.css", "/healthz", "/openapi.json")),
    *(("GET", path) for path in ("/nowhere", "/v1/nowhere", RULES, "/v1/events", "/v1/orders/x/events", "/v1/x%00")),
    *(("HOCUS", RULES), ("POST", "/v1/order-events"), ("POST", "/sign-in"), ("OPTIONS", RULES)),
]
POLICY = {
    "default-src": "'none'",
    "style-src": "'self'",
    "img-src": "'self'",
    "script-src": "'self'",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}


def test_every_answer_has_its_security_headers(service: Service) -> None:
    """Also refusals; https alone is asked for where there is https."""
    for method, path in ANYTHING:
        for role, scheme in ((None, "http"), ("auditor", "http"), (None, "https"), ("auditor", "https")):
            headers = service.ask(method, path, role, base_url=f"{scheme}://localhost").headers
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "same-origin"
            assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
            parts = headers["Content-Security-Policy"].split(";")
            assert dict(part.strip().split(" ", 1) for part in parts) == POLICY
            assert ("Strict-Transport-Security" in headers) == (scheme == "https")


def test_a_failure_of_ours_has_them_too(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.app.store, "head", None)
    response = service.ask("GET", "/v1/orders/SO-1/explanation", "auditor")
    refused(response, Code.internal_error)
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]


def test_no_secret_is_in_the_services_log(browser: Browser, caplog: pytest.LogCaptureFixture) -> None:
    """Wherever somebody puts one by mistake: in a path, a query, a header, a body, a form, a cookie, a request id."""
    caplog.set_level(logging.DEBUG)
    service = browser.service
    token, session = service.tokens["rules"], browser.sign_in("rules")
    for text in (token, session):
        for path in (
            f"/{text}",
            f"/v1/orders/{text}",
            f"/v1/rules/{text}",
            f"/v1/rules?token={text}",
            f"/v1/tokens/{text}/revoke",
        ):
            for role in (None, "auditor"):
                service.ask("GET", path, role)
                service.ask("POST", path, role, sent={"token": text, text: text})
        for name in ("Authorization", "X-Request-Id", "Cookie", "Referer", "User-Agent", "Origin", text):
            browser.get(RULES, **{name: text})
        service.ask("GET", RULES, f"{text}x")
        browser.send("/sign-in", {"token": f"{text} "})
        browser.send("/sign-in", {"token": f"{text}x", text: text})
    service.app.store.head = None  # type: ignore[method-assign,assignment]
    service.ask("GET", f"/v1/orders/{token}/explanation", "auditor")
    written = [lines(form).format(record) for record in caplog.records for form in ("json", "text")]
    assert len(written) > 60
    assert any("Traceback" in line for line in written), "a failure is among them"
    for secret in (token.split("_")[2], session, browser.secret):
        assert [line for line in written if secret in line] == []
    with service.database.cursor() as cursor:
        cursor.execute("SELECT string_agg(access::text, ' ') FROM access")
        (noted,) = one(cursor)
    assert re.search(r"refused", noted)
