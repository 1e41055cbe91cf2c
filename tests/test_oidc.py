"""Signing in with the organisation's account: what the provider says is believed once it is proven, and once only."""

import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from joserfc.jwk import ECKey, RSAKey
from werkzeug.test import TestResponse

from api import cli_oidc
from api.access import SESSION_COOKIE
from api.cli import main
from api.cli_oidc import oidc_settings
from api.oidc import COOKIE, COOKIE_PATH
from api.oidc_settings import OidcSettings, is_secure_url, read_roles
from ledger.database import Database, one
from ledger.events import LedgerOpened
from ledger.refusal import Code
from ledger.settings import open_ledger
from tests.http_client import Service, refused, serving
from tests.oidc_provider import (
    CLIENT,
    GROUPS,
    SECRET,
    Provider,
    Signing,
    providing,
    signed_by_a_stranger,
    signed_by_the_public_key,
    unsigned,
)

NOW = datetime(2026, 5, 15, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
RULES = "/v1/rules"
BEGIN = "/sign-in/oidc"
PAGE = {"Accept": "text/html"}


@pytest.fixture
def provider() -> Iterator[Provider]:
    """Run a provider, at noon."""
    with providing(lambda: NOW) as provider:
        yield provider


@pytest.fixture
def service(database: Database, provider: Provider) -> Iterator[Service]:
    """Serve a ledger whose operator has configured the provider, at noon."""
    with serving(database, oidc=provider.settings) as service:
        service.define(standard="1")
        service.app.store.clock = lambda: NOW
        yield service


@pytest.fixture
def browser(service: Service) -> FlaskClient:
    """Open a browser, which keeps cookies."""
    return service.app.test_client()


def begun(browser: FlaskClient) -> str:
    """Follow the link for signing in; give the provider's address to which it leads."""
    response = browser.get(BEGIN)
    assert response.status_code == 303, response.text
    return response.headers["Location"]


def signed_in(browser: FlaskClient, provider: Provider, **headers: str) -> TestResponse:
    """Sign in, and come back."""
    return browser.get(provider.come_back(begun(browser)), headers=headers)


def sessions(service: Service) -> int:
    """Count the sessions there are."""
    with service.database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM session")
        count: int = one(cursor)[0]
        return count


def after(service: Service, provider: Provider, **passed: float) -> None:
    """Move the clock, of the service and of the provider."""
    now = NOW + timedelta(**passed)
    service.app.store.clock = provider.clock = lambda: now


# ---- a good sign-in


def test_the_organisations_account_signs_in(browser: FlaskClient, service: Service, provider: Provider) -> None:
    assert f'<a href="{BEGIN}">Sign in with your organisation</a>' in browser.get("/sign-in").text
    assert provider.asked == [], "nothing is asked before somebody signs in"
    response = signed_in(browser, provider)
    assert (response.status_code, response.headers["Location"]) == (303, "/sign-in"), response.text
    assert browser.get(RULES).status_code == 200
    refused(browser.get("/v1/tokens"), Code.forbidden)
    page = browser.get("/sign-in").text
    assert "<strong>oidc:4711</strong>" in page
    assert "roles auditor" in page
    with service.database.cursor() as cursor:
        cursor.execute("SELECT action, outcome, token_id, subject FROM access WHERE principal = 'oidc:4711'")
        signed, *others = cursor.fetchall()
    assert signed == ("signed_in", "done", None, "session by OpenID Connect (auditor)")
    assert [(action, outcome) for action, outcome, *_ in others] == [("refused", "forbidden")]


def test_the_session_ends_as_any_other(browser: FlaskClient, service: Service, provider: Provider) -> None:
    signed_in(browser, provider)
    for minutes in range(0, 12 * 60, 30):
        after(service, provider, minutes=minutes)
        assert browser.get(RULES).status_code == 200
    after(service, provider, hours=12)
    assert browser.get(RULES).status_code == 401


def test_both_cookies_are_kept_from_scripts(browser: FlaskClient, provider: Provider) -> None:
    response = browser.get(BEGIN)
    name, *attributes = response.headers["Set-Cookie"].split("; ")
    assert name.startswith(f"{COOKIE}=")
    assert {"HttpOnly", "SameSite=Lax", "Path=/sign-in/oidc", "Max-Age=600"} <= set(attributes)
    assert response.headers["Cache-Control"] == "no-store"
    asked = dict(parse_qsl(urlsplit(response.headers["Location"]).query))
    assert asked["redirect_uri"] == "http://localhost/sign-in/oidc/callback"
    assert not any(asked[secret] in name for secret in ("state", "nonce", "code_challenge"))
    back = browser.get(provider.come_back(response.headers["Location"]))
    kept, forgotten = sorted(back.headers.getlist("Set-Cookie"), reverse=True)
    assert {"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=43200"} <= set(kept.split("; "))
    assert forgotten.startswith(f"{COOKIE}=;")
    assert browser.get_cookie(COOKIE, path=COOKIE_PATH) is None


def test_over_https_one_comes_back_over_https(database: Database, provider: Provider) -> None:
    with serving(database, oidc=provider.settings, secure_cookies=True) as service:
        response = service.app.test_client().get(BEGIN)
        asked = dict(parse_qsl(urlsplit(response.headers["Location"]).query))
        assert asked["redirect_uri"] == "https://localhost/sign-in/oidc/callback"
        assert "Secure" in response.headers["Set-Cookie"].split("; ")


def test_signing_in_ends_the_session_before(browser: FlaskClient, provider: Provider) -> None:
    signed_in(browser, provider)
    cookie = browser.get_cookie(SESSION_COOKIE)
    assert cookie is not None
    signed_in(browser, provider)
    browser.set_cookie(SESSION_COOKIE, cookie.value)
    assert browser.get(RULES).status_code == 401


def test_a_provider_that_wants_the_secret_in_the_form_gets_it_there(browser: FlaskClient, provider: Provider) -> None:
    provider.discovered = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert signed_in(browser, provider).status_code == 303


@pytest.mark.parametrize("audience", [[CLIENT], [CLIENT, "another"]])
def test_an_audience_of_several_names_who_asked(browser: FlaskClient, provider: Provider, audience: list[str]) -> None:
    provider.claims |= {"aud": audience, "azp": CLIENT}
    assert signed_in(browser, provider).status_code == 303


# ---- what is not believed

WRONG: dict[str, dict[str, Any]] = {
    "nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "audience": {"aud": "another"},
    "audience, asked for by us": {"aud": "another", "azp": CLIENT},
    "audience of one, asked for by us": {"aud": ["another"], "azp": CLIENT},
    "no audience": {"aud": None},
    "authorized party": {"aud": [CLIENT, "another"], "azp": "another"},
    "no authorized party": {"aud": [CLIENT, "another"]},
    "issuer": {"iss": "https://elsewhere.example"},
    "no issuer": {"iss": None},
    "expired": {"exp": SECONDS - 61},
    "no expiry": {"exp": None},
    "issued later": {"iat": SECONDS + 61},
    "not valid yet": {"nbf": SECONDS + 61},
    "nobody": {"sub": None},
    "no identifier": {"sub": "a\nb"},
    "no text": {"sub": 4711},
    "too long": {"sub": "x" * 10_000},
    "access token": {"at_hash": "AAAA"},
}


@pytest.mark.parametrize("case", WRONG)
def test_a_token_with_a_wrong_claim_is_refused(
    browser: FlaskClient, service: Service, provider: Provider, case: str
) -> None:
    provider.claims |= WRONG[case]
    refused(signed_in(browser, provider), Code.sign_in_refused)
    assert (sessions(service), browser.get_cookie(SESSION_COOKIE)) == (0, None)
    with service.database.cursor() as cursor:
        cursor.execute("SELECT action, outcome FROM access")
        assert ("refused", "sign_in_refused") in cursor.fetchall()


@pytest.mark.parametrize("sign", [unsigned, signed_by_the_public_key, signed_by_a_stranger, lambda *_: "nonsense"])
def test_a_token_that_the_provider_did_not_sign_is_refused(
    browser: FlaskClient, service: Service, provider: Provider, sign: Signing
) -> None:
    provider.sign = sign
    refused(signed_in(browser, provider), Code.sign_in_refused)
    assert sessions(service) == 0


def test_a_key_that_came_later_is_asked_for_and_one_that_never_came_refused(
    browser: FlaskClient, provider: Provider
) -> None:
    assert signed_in(browser, provider).status_code == 303
    assert signed_in(browser, provider).status_code == 303
    assert provider.asked.count("/keys") == 1, "they are kept"
    provider.key = ECKey.generate_key("P-256", {"kid": "two"})
    assert signed_in(browser, provider).status_code == 303
    assert provider.asked.count("/keys") == 2
    unpublished = RSAKey.generate_key(2048, {"kid": "three"})
    published, sign = provider.key, provider.sign

    def signed_with_another(provider: Provider, claims: dict[str, Any]) -> str:
        provider.key = unpublished
        try:
            return sign(provider, claims)
        finally:
            provider.key = published

    provider.sign = signed_with_another
    refused(signed_in(browser, provider), Code.sign_in_refused)
    assert provider.asked.count("/keys") == 3


def test_keys_are_forgotten_after_an_hour(browser: FlaskClient, service: Service, provider: Provider) -> None:
    signed_in(browser, provider)
    after(service, provider, hours=1)
    signed_in(browser, provider)
    assert provider.asked.count("/keys") == 2


# ---- state, codes, and using them again


def test_only_the_browser_that_began_comes_back(browser: FlaskClient, service: Service, provider: Provider) -> None:
    """With its own state, and the cookie as it was written, and soon."""
    back = provider.come_back(begun(browser))
    refused(service.app.test_client().get(back), Code.sign_in_refused)
    refused(browser.get(re.sub("state=.*", "state=another", back)), Code.sign_in_refused)
    refused(browser.get(back), Code.sign_in_refused)
    for planted in ("x", "é", "x" * 3_000):
        begun(browser)
        browser.set_cookie(COOKIE, planted, path=COOKIE_PATH)
        refused(browser.get(back), Code.sign_in_refused)
    back = provider.come_back(begun(browser))
    after(service, provider, minutes=10, seconds=1)
    refused(browser.get(back), Code.sign_in_refused)
    assert (sessions(service), "/token" in provider.asked) == (0, False)


def test_a_sign_in_is_used_once(browser: FlaskClient, service: Service, provider: Provider) -> None:
    """Neither with the same code, which the provider refuses, nor with another for the same state; in any process."""
    address = begun(browser)
    cookie = browser.get_cookie(COOKIE, path=COOKIE_PATH)
    assert cookie is not None
    back = provider.come_back(address)
    assert browser.get(back).status_code == 303
    with serving(service.database, oidc=provider.settings) as other:
        other.app.store.clock = service.app.store.clock
        for again, sentence in ((back, "does not take the code"), (provider.come_back(address), "used before")):
            elsewhere = other.app.test_client()
            elsewhere.set_cookie(COOKIE, cookie.value, path=COOKIE_PATH)
            assert sentence in refused(elsewhere.get(again), Code.sign_in_refused)[0]["detail"]
            assert elsewhere.get_cookie(SESSION_COOKIE) is None
    assert sessions(service) == 1


def test_a_code_is_of_the_browser_that_began(browser: FlaskClient, service: Service, provider: Provider) -> None:
    """Somebody else's code is of another verifier, which the provider compares (PKCE)."""
    stolen = dict(parse_qsl(urlsplit(provider.come_back(begun(service.app.test_client()))).query))["code"]
    own = provider.come_back(begun(browser))
    refused(browser.get(re.sub("code=[^&]*", f"code={stolen}", own)), Code.sign_in_refused)


@pytest.mark.parametrize("query", ["error=access_denied", "", "code=", "code=1&iss=https://elsewhere.example"])
def test_coming_back_without_a_code_is_refused(browser: FlaskClient, provider: Provider, query: str) -> None:
    state = dict(parse_qsl(urlsplit(begun(browser)).query))["state"]
    error = refused(browser.get(f"{BEGIN}/callback?state={state}&{query}"), Code.sign_in_refused)[0]
    assert ("access_denied" in error["detail"]) == ("error" in query)
    assert "/token" not in provider.asked


def test_no_address_says_where_to_go(browser: FlaskClient, provider: Provider) -> None:
    wish = "&".join(f"{name}=https://elsewhere.example" for name in ("next", "redirect_uri", "return_to", "url"))
    address = browser.get(f"{BEGIN}?{wish}").headers["Location"]
    assert "elsewhere" not in address
    response = browser.get(f"{provider.come_back(address)}&{wish}")
    assert (response.status_code, response.headers["Location"]) == (303, "/sign-in")


def test_who_fails_too_often_is_not_listened_to(browser: FlaskClient, provider: Provider) -> None:
    back = provider.come_back(begun(browser))
    statuses = {browser.get(f"{BEGIN}/callback?state=guess").status_code for _ in range(70)}
    assert statuses == {403, 429}
    assert browser.get(back).status_code == 429


# ---- a provider that does not answer as it should


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys", "/token"])
@pytest.mark.parametrize("status", [302, 404, 500])
def test_while_the_provider_fails_nobody_signs_in_by_it(
    browser: FlaskClient, provider: Provider, caplog: pytest.LogCaptureFixture, path: str, status: int
) -> None:
    back = provider.come_back(begun(browser)) if path == "/token" else BEGIN
    provider.statuses[path] = status
    with caplog.at_level(logging.WARNING):
        response = browser.get(back)
    refused(response, Code.sign_in_unavailable)
    assert response.headers["Retry-After"] == "1"
    assert f"status {status}" in caplog.text
    assert "Traceback" not in caplog.text
    assert SECRET not in caplog.text


def test_a_provider_that_is_down_is_left_alone_for_some_seconds(database: Database) -> None:
    with providing(lambda: NOW) as provider:
        settings = provider.settings
    with serving(database, oidc=settings) as service:
        service.app.store.clock = lambda: NOW
        page = service.app.test_client().get(BEGIN, headers=PAGE)
        assert (page.status_code, page.mimetype, page.headers["Retry-After"]) == (503, "text/html", "1")
        assert 'role="alert"' in page.text
        assert 'name="token"' in page.text, "one can sign in with a token"
        assert service.ask("GET", RULES, "auditor").status_code == 200


def test_a_provider_that_failed_is_asked_again_after_some_seconds(
    browser: FlaskClient, service: Service, provider: Provider
) -> None:
    provider.statuses["/keys"] = 500
    for _ in range(3):
        refused(browser.get(BEGIN), Code.sign_in_unavailable)
    assert provider.asked.count("/keys") == 1
    provider.statuses.clear()
    after(service, provider, seconds=5)
    assert signed_in(browser, provider).status_code == 303


@pytest.mark.parametrize(
    "told",
    [
        {"issuer": "https://elsewhere.example"},
        {"token_endpoint": "http://elsewhere.example/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": None},
    ],
)
def test_what_a_provider_says_of_itself_is_checked(
    browser: FlaskClient, provider: Provider, told: dict[str, Any]
) -> None:
    provider.discovered = told
    refused(browser.get(BEGIN), Code.sign_in_unavailable)


# ---- who somebody is here


def test_a_user_without_a_role_is_told_who_and_what_to_do(
    browser: FlaskClient, service: Service, provider: Provider
) -> None:
    for groups in ([], ["others"], None, 5, [["ledger-audit"]], [{"a": 1}], "ledger-audi"):
        provider.claims["groups"] = groups
        assert "oidc:4711" in refused(signed_in(browser, provider), Code.no_role)[0]["detail"]
    page = signed_in(browser, provider, **PAGE)
    assert (page.status_code, page.mimetype) == (403, "text/html")
    assert "oidc:4711" in page.text
    assert "ask whoever manages" in page.text
    assert sessions(service) == 0
    with service.database.cursor() as cursor:
        cursor.execute("SELECT DISTINCT principal, outcome FROM access WHERE outcome = 'no_role'")
        assert cursor.fetchall() == [("oidc:4711", "no_role")]


def test_roles_taken_away_are_gone_at_the_next_sign_in(browser: FlaskClient, provider: Provider) -> None:
    """And stay until then, for twelve hours at most."""
    provider.claims["groups"] = ["ledger-audit", "ledger-rules"]
    signed_in(browser, provider)
    assert "roles rules, auditor" in browser.get("/sign-in").text
    provider.claims["groups"] = "ledger-audit"
    assert "roles rules, auditor" in browser.get("/sign-in").text
    signed_in(browser, provider)
    assert "roles auditor" in browser.get("/sign-in").text


def test_a_salesperson_sees_their_own_figures(browser: FlaskClient, provider: Provider) -> None:
    """The role sales is of the salesperson of that id, and goes with no other role."""
    provider.claims |= {"sub": "ann", "groups": ["ledger-sales"]}
    signed_in(browser, provider)
    assert "<strong>ann</strong>" in browser.get("/sign-in").text
    assert browser.get("/v1/performance/ann/credits?period=2026-Q1").status_code == 200
    refused(browser.get("/v1/performance/bob/credits?period=2026-Q1"), Code.forbidden)
    provider.claims["groups"] = ["ledger-sales", "ledger-rules"]
    assert "sales goes with no other" in refused(signed_in(browser, provider), Code.no_role)[0]["detail"]


def test_a_token_of_the_same_principal_is_the_same_person(database: Database, provider: Provider) -> None:
    """So four eyes hold: whoever proposes by the organisation's account can't decide by the token."""
    provider.claims["groups"] = ["ledger-rules"]
    own = {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}
    with serving(database, oidc=provider.settings) as service:
        open_ledger(service.app.store, LedgerOpened("Test", four_eyes=True), actor="admin")
        service.define(standard="1")
        service.app.projector.catch_up()
        service.app.store.clock = lambda: NOW
        browser = service.app.test_client()
        signed_in(browser, provider)
        alteration = {"action": "set_rule", "conditions": {"product_id": "P-1"}, "share": "0"}
        change = {"alterations": [{**alteration, "effective_from": "2026-01-01"}], "reason": "x"}
        proposed = browser.post("/v1/rule-changes", json=change, headers=own)
        assert proposed.status_code == 201, proposed.text
        service.app.projector.catch_up()
        approval = f"/v1/rule-changes/{proposed.get_json()['rule_change_id']}/approve"
        refused(service.post(approval, {}, service.token("approver", principal="oidc:4711")), Code.own_proposal)


def test_an_address_of_mail_counts_when_it_is_verified(database: Database, provider: Provider) -> None:
    settings = OidcSettings(provider.issuer, CLIENT, SECRET, GROUPS, principal_claim="email")
    with serving(database, oidc=settings) as service:
        service.app.store.clock = lambda: NOW
        browser = service.app.test_client()
        for verified in (None, False, "true"):
            provider.claims |= {"email": "ann@example.com", "email_verified": verified}
            refused(signed_in(browser, provider), Code.sign_in_refused)
        provider.claims["email_verified"] = True
        assert signed_in(browser, provider).status_code == 303
        assert "oidc:ann@example.com" in browser.get("/sign-in").text


# ---- what an operator configures


def test_without_settings_there_is_no_such_sign_in(database: Database) -> None:
    with serving(database) as service:
        for path in (BEGIN, f"{BEGIN}/callback"):
            refused(service.ask("GET", path, None), Code.not_found)
        assert "your organisation" not in service.ask("GET", "/sign-in", None).text


@pytest.mark.parametrize(
    ("url", "is_secure"),
    [
        ("https://id.example.com/realm", True),
        ("http://127.0.0.1:8080", True),
        ("http://localhost", True),
        ("http://[::1]:80", True),
        ("http://id.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("https://user@id.example.com", False),
        ("https://id.example.com:x", False),
        ("https://id.example.com/a b", False),
        ("https://", False),
        ("ftp://127.0.0.1", False),
        ("", False),
    ],
)
def test_only_https_is_taken_but_on_this_machine(url: str, is_secure: bool) -> None:
    assert is_secure_url(url) == is_secure


def test_groups_are_mapped_to_roles() -> None:
    assert read_roles(" a=rules, a = approver,,CN=x=sales,") == (("a", "rules"), ("a", "approver"), ("CN=x", "sales"))


def test_the_secret_is_not_shown() -> None:
    assert SECRET not in repr(OidcSettings("https://id.example.com", CLIENT, SECRET, GROUPS))


GOOD = {
    "ORDERLEDGER_OIDC_ISSUER": "https://id.example.com",
    "ORDERLEDGER_OIDC_CLIENT_ID": CLIENT,
    "ORDERLEDGER_OIDC_CLIENT_SECRET": "x",
    "ORDERLEDGER_OIDC_ROLES": "a=rules",
    "ORDERLEDGER_OIDC_PRINCIPAL_CLAIM": "email",
    "ORDERLEDGER_OIDC_ROLES_CLAIM": "roles",
}


def test_the_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert oidc_settings() is None
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    expected = OidcSettings("https://id.example.com", CLIENT, "x", (("a", "rules"),), "email", "roles")
    assert oidc_settings() == expected


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"ORDERLEDGER_OIDC_CLIENT_SECRET": ""}, "set ORDERLEDGER_OIDC_CLIENT_SECRET, too"),
        ({"ORDERLEDGER_OIDC_ISSUER": "http://id.example.com"}, "is not a https:// URL"),
        ({"ORDERLEDGER_OIDC_ROLES": "a=king"}, "'a=king' is not GROUP=ROLE"),
        ({"ORDERLEDGER_OIDC_ROLES": "rules"}, "is not GROUP=ROLE"),
        ({"ORDERLEDGER_OIDC_ROLES": ","}, "nobody could sign in"),
    ],
)
def test_serving_says_which_setting_can_not_be_used(changes: dict[str, str], sentence: str) -> None:
    result = CliRunner().invoke(main, ["serve"], env=GOOD | changes)
    assert result.exit_code == 2
    assert sentence in result.stderr


def test_serving_says_that_authlib_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_oidc, "find_spec", lambda _: None)
    result = CliRunner().invoke(main, ["serve"], env=GOOD)
    assert (result.exit_code, "pip install 'orderledger[oidc]'" in result.stderr) == (2, True)
