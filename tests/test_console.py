"""The console without a browser: where a sign-in leads, in which language, and what a page's own questions leave."""

import logging
from collections.abc import Iterator

import pytest

from api.languages import LANGUAGE_COOKIE
from ledger.database import Database
from tests.http_client import Service, placed, serving
from tests.test_sessions import OWN, Browser

BOARD = "/console/board?period=2026-Q1"


@pytest.fixture
def service(database: Database) -> Iterator[Service]:
    """Serve a ledger with an order of ann's."""
    with serving(database) as service:
        service.define(standard="1")
        service.record(placed("SO-1", "1234.50"))
        service.catch_up()
        yield service


@pytest.fixture
def browser(service: Service) -> Browser:
    """Open a browser."""
    return Browser(service)


@pytest.mark.parametrize(
    ("asked", "leads_to"),
    [
        (BOARD, BOARD),
        ("", "/sign-in"),
        ("/v1/tokens", "/sign-in"),
        ("//evil.example/console/", "/sign-in"),
        ("https://evil.example/console/", "/sign-in"),
        ("/console/\\evil.example", "/sign-in"),
        ("/console/\nLocation: https://evil.example", "/sign-in"),
    ],
)
def test_signing_in_leads_to_a_page_of_the_console_and_to_no_other_site(
    browser: Browser, asked: str, leads_to: str
) -> None:
    response = browser.send("/sign-in", {"token": browser.service.tokens["auditor"], "next": asked})
    assert (response.status_code, response.location) == (303, leads_to)


def test_a_language_that_is_chosen_holds_for_pages_and_not_for_programs(browser: Browser) -> None:
    for asked, leads_to in ((BOARD, BOARD), ("//evil.example", "/"), ("https://evil.example", "/")):
        response = browser.send("/language", {"language": "zh", "next": asked})
        assert (response.status_code, response.location) == (303, leads_to)
    browser.sign_in("auditor")
    page = browser.get(BOARD, **{"Accept-Language": "en"})
    assert '<html lang="zh">' in page.text
    assert {"Accept-Language", "Cookie"} <= set(page.vary)
    assert browser.get("/v1/nowhere").headers["Content-Language"] == "en"
    browser.send("/language", {"language": "xx"})
    kept = browser.client.get_cookie(LANGUAGE_COOKIE)
    assert kept is not None
    assert kept.value == "zh"


def test_another_site_s_page_can_t_choose_it(browser: Browser) -> None:
    response = browser.send("/language", {"language": "zh"}, {**OWN, "Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 403
    assert browser.client.get_cookie(LANGUAGE_COOKIE) is None


def test_a_page_is_one_request_in_log_and_limit_whatever_it_asks_itself(
    browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    browser.sign_in("auditor")
    with caplog.at_level(logging.INFO, "orderledger.requests"):
        page = browser.get(BOARD)
    assert page.status_code == 200
    told = [record.request for record in caplog.records if hasattr(record, "request")]
    assert [(each["route"], each["principal"]) for each in told] == [("/console/board", "auditor-clerk")]


def test_nobody_can_say_from_outside_that_the_service_asks_itself(service: Service) -> None:
    response = service.ask("GET", "/v1/rules", None, headers={"orderledger.caller": "x", "Orderledger-Caller": "x"})
    assert response.status_code == 401


def test_a_failure_of_ours_is_a_page_without_internals(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    browser.sign_in("auditor")
    monkeypatch.setattr("api.performance.performance", None)
    page = browser.get(BOARD)
    assert page.status_code == 500
    assert page.mimetype == "text/html"
    assert "NoneType" not in page.text


def test_a_board_of_many_people_comes_in_pages_whose_sums_are_of_all(browser: Browser) -> None:
    browser.service.record(placed("SO-2", "765.50", splits=[{"salesperson_id": "ben"}]))
    browser.service.catch_up()
    browser.sign_in("auditor")
    first = browser.get(f"{BOARD}&lines=1").text
    assert f'href="{BOARD}&amp;lines=1&amp;first=2"' in first
    second = browser.get(f"{BOARD}&lines=1&first=2").text
    assert [("/salespeople/ann" in page, "/salespeople/ben" in page) for page in (first, second)] == [
        (True, False),
        (False, True),
    ]
    assert all('<data value="2000.00">2,000.00</data>' in page for page in (first, second))
    refused = browser.get(f"{BOARD}&first=0")
    assert (refused.status_code, "write 1 or a higher one" in refused.text) == (422, True)


def test_a_list_is_handed_out_by_a_link(service: Service) -> None:
    """The parameter `format` says what a link can't say in a header, and goes before it."""
    address = "/v1/performance?period=2026-Q1"
    csv = service.ask("GET", f"{address}&format=csv", "auditor")
    assert (csv.status_code, csv.mimetype) == (200, "text/csv")
    accepted = service.ask("GET", address, "auditor", headers={"Accept": "text/csv"})
    assert csv.data == accepted.data
    told = service.ask("GET", f"{address}&format=json", "auditor", headers={"Accept": "text/csv"})
    assert told.json == service.get(address)
    assert service.ask("GET", f"{address}&format=pdf", "auditor").status_code == 422
    mark = service.ask("GET", f"{address}&format=csv&bom=true", "auditor")
    assert mark.data == b"\xef\xbb\xbf" + csv.data
