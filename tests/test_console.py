"""The console without a browser: where a sign-in leads, in which language, and what a page's own questions leave."""

import logging
import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import parse_qsl

import pytest

from api.console.amounts import Bar, bars, levels
from api.console.remedies import for_page
from api.languages import LANGUAGE_COOKIE
from api.shapes import ProblemDocument, ProblemError
from ledger.database import Database
from ledger.refusal import Code
from tests.http_client import Service, event, line, placed, refused, serving
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


def test_a_language_chosen_on_a_refused_form_leads_to_the_page_with_the_form(browser: Browser) -> None:
    browser.sign_in("finance")
    refused = browser.send("/console/periods/2026-Q1/restate", {"reason": "why"})
    assert refused.status_code == 422
    assert '<input type="hidden" name="next" value="/console/periods/2026-Q1">' in refused.text


def test_a_form_sent_without_a_session_leads_to_the_sign_in_and_back(browser: Browser) -> None:
    refused = browser.send("/console/periods/2026-Q1/restate", {"reason": "why"})
    assert refused.status_code == 401
    assert 'href="/sign-in?next=/console/periods/2026-Q1"' in refused.text


def test_what_is_not_over_is_not_known_yet(browser: Browser) -> None:
    browser.sign_in("auditor")
    page = browser.get("/console/board?known=2199-01-01")
    assert (page.status_code, "2199-01-01 is not over yet" in page.text) == (422, True)


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


FILTERS = [
    ("/board?period=spring", "period", "spring"),
    ("/board?period=2026-Q1&known=31.02.", "known", "31.02."),
    ("/rulebook?on=x", "on", "x"),
    ("/rulebook?order_type=standard&known=x", "known", "x"),
    ("/review?known=x", "known", "x"),
    ("/review/simulation?periods=spring", "periods", "spring"),
    ("/periods?known=x", "known", "x"),
    ("/periods/2026-Q1?known=x", "known", "x"),
    ("/audit?from=x", "from", "x"),
    ("/audit?late=x", "late", ""),
    ("/audit?kind=x", "kind", ""),
    ("/salespeople/ann?period=spring", "period", "spring"),
    ("/orders/SO-1?compare=x", "compare", "x"),
    ("/comparison?from=x", "from", "x"),
]


@pytest.mark.parametrize(("address", "field", "typed"), FILTERS, ids=[each[0] for each in FILTERS])
def test_a_filter_keeps_what_was_typed_and_says_at_the_field_what_is_wrong(
    browser: Browser, address: str, field: str, typed: str
) -> None:
    browser.sign_in("auditor")
    page = browser.get(f"/console{address}")
    assert (page.status_code, page.mimetype) == (422, "text/html")
    (tag,) = [tag for tag in re.findall(r"<(?:input|select) [^>]*>", page.text) if f' name="{field}"' in tag]
    assert 'aria-invalid="true"' in tag
    assert not typed or f'value="{typed}"' in tag
    assert f'id="{field}-problem"' in page.text
    assert not API_WORDS.search(page.text), "the remedy is one of a page"
    for name, value in parse_qsl(address.partition("?")[2]):
        assert name in ("late", "kind") or f'name="{name}" value="{value}"' in page.text, "the others stay too"


API_WORDS = re.compile(r"at /docs|see /docs|(?:GET|POST|PUT) /v1|ETag|If-Match|RFC ?3339|Idempotency-Key")
OF_PROGRAMS = {
    *(Code.malformed_json, Code.unknown_line, Code.atomic_batch_refused, Code.webhook_not_found),
    *(Code.too_many_webhooks, Code.invalid_note),
}
"""What no page of the console can be refused with."""


@pytest.mark.parametrize("code", [each for each in Code if each not in OF_PROGRAMS], ids=lambda code: code.name)
def test_what_a_page_tells_of_a_refusal_is_for_who_has_a_page(code: Code) -> None:
    error = ProblemError(code.name, "", "", code.remedy)
    told = for_page(ProblemDocument("", code.title, code.status, "", code.name, [error], "", {}))
    assert not API_WORDS.search(f"{told.title} {told.errors[0].remedy}")


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), ("/audit/checkpoints", 405)])
def test_an_address_without_a_page_is_a_page_that_says_so(browser: Browser, path: str, status: int) -> None:
    for signed_in in (False, True):
        if signed_in:
            browser.sign_in("auditor")
        page = browser.get(f"/console{path}")
        assert (page.status_code, page.mimetype) == (status, "text/html")
        assert ('href="/console/board"' in page.text) == signed_in, "the frame is that of who looks"
        assert 'href="/console/"' in page.text
    assert browser.get("/v1/nowhere").mimetype == "application/problem+json"


def test_without_a_period_it_is_the_latest_with_an_order(browser: Browser) -> None:
    browser.sign_in("auditor")
    page = browser.get("/console/board")
    assert "<h1>Performance 2026-Q1</h1>" in page.text
    assert "the latest period in which something is credited" in page.text
    browser.service.record(placed("SO-2", "5", currency="USD", ordered_on=str(browser.service.app.store.today())))
    browser.service.catch_up()
    today = browser.service.app.store.calendar().closing_period_of(browser.service.app.store.today())
    page = browser.get("/console/board")
    assert f"<h1>Performance {today.name}</h1>" in page.text
    months = re.findall(r'<th scope="row"><a href="[^"]*">(20\d\d-\d\d)</a></th>', page.text)
    assert months == [f"{today.start.year}-{month:02}" for month in range(1, 13)] * len({"EUR", "USD"})


def test_the_page_to_sign_in_says_who_has(browser: Browser) -> None:
    browser.sign_in("auditor")
    page = browser.get("/sign-in")
    assert page.text.count("auditor-clerk") == 2, "in the menu and on the page"
    assert 'action="/sign-out"' in page.text
    assert 'href="/console/"' in page.text


def test_a_proposal_without_an_identifier_is_called_by_its_reason(browser: Browser) -> None:
    browser.sign_in("rules")
    row = {"action": "set_rule", "share": "0.5", "effective_from": "2026-01-01", "conditions/order_type": "standard"}
    typed = {f"/alterations/0/{name}": text for name, text in row.items()}
    sent = browser.send("/console/propose", {"do": "propose", "reason": "Half of them count", **typed})
    assert sent.status_code == 303
    browser.service.catch_up()
    page = browser.get(sent.location)
    assert "Rule change Half of them count was proposed; somebody else decides on it." in page.text
    assert "<h1>Rule change Half of them count</h1>" in page.text
    assert f'href="{sent.location.partition("?")[0]}">Half of them count</a>' in browser.get("/console/approvals").text


def test_sales_is_not_told_whether_an_order_is_another_s(browser: Browser) -> None:
    browser.service.record(placed("SO-2", splits=[{"salesperson_id": "bob"}]))
    browser.service.catch_up()
    browser.sign_in("sales")
    for order_id in ("SO-2", "SO-9"):
        page = browser.get(f"/console/orders/{order_id}")
        assert page.status_code == 404
        assert f"There is no order {order_id} of yours." in page.text
        assert "position" not in re.sub(r"<input[^>]*>", "", page.text.partition("<main")[2])


def test_a_salesperson_whom_nothing_names_is_not_there(browser: Browser) -> None:
    """Other than one with nothing in the period, or with a quota or a team alone; sales is told of nobody else."""
    service, person = browser.service, "/console/salespeople"
    others = ("ann", "quota-only", "team-only", "~unassigned")
    for fact, sent in (
        ("quota-only/quotas/2026-Q1", {"amount": "5", "currency": "EUR", "reason": "x"}),
        ("team-only/team", {"team": "north", "effective_from": "2026-01-01", "reason": "x"}),
    ):
        assert service.ask("PUT", f"/v1/salespeople/{fact}", "ingest", sent=sent).status_code == 201
    service.catch_up()
    browser.sign_in("auditor")
    page = browser.get(f"{person}/NOBODY?period=2026-Q1")
    assert (page.status_code, page.mimetype) == (404, "text/html")
    assert "No order, quota or team names the salesperson NOBODY." in page.text
    assert f'<a href="{BOARD}">All salespeople</a>' in page.text
    assert "Nothing is credited in these days." not in page.text
    for known in ("ann?period=2026-Q1&known=0", *(f"{each}?period=2024-Q1" for each in others)):
        page = browser.get(f"{person}/{known}")
        assert (page.status_code, "Nothing is credited in these days." in page.text) == (200, True)
    browser.sign_in("sales")
    assert [browser.get(f"{person}/{other}?period=2026-Q1").status_code for other in ("NOBODY", "quota-only")] == [
        403,
        403,
    ]


def test_the_menu_keeps_the_point_that_a_page_is_known_at(browser: Browser) -> None:
    """In the links to pages that can be turned back; the others, and all of a page of now, are as ever."""
    browser.sign_in("auditor")
    page = browser.get("/console/rulebook?known=1").text
    (menu,) = re.findall(r"<nav aria-label=\"Main\">.*?</nav>", page, re.DOTALL)
    kept = {"board", "orders", "rulebook", "periods", "review"}
    for name in (*kept, "approvals", "comparison", "audit", "help"):
        assert f'href="/console/{name}{"?known=1" if name in kept else ""}"' in menu
    assert 'href="/console/rulebook?known=1" aria-current="page"' in menu
    assert "known=" not in browser.get("/console/rulebook").text.partition("<main")[0]


def test_a_row_of_the_rulebook_leads_to_a_proposal_about_it(browser: Browser) -> None:
    """With its conditions and days, for who may propose; the share is for them to say."""
    service = browser.service
    rule = typed(
        share="0.5", effective_from="2026-01-01", effective_to="2027-01-01", **{"conditions/product_id": "P-9"}
    )
    browser.sign_in("rules")
    assert browser.send("/console/propose", {"do": "propose", "rule_change_id": "R-1", "reason": "x", **rule}).location
    service.catch_up()
    assert service.post("/v1/rule-changes/R-1/approve", {}, "approver").status_code == 200
    service.catch_up()
    page = browser.get("/console/rulebook?on=2026-03-01").text
    links = [unescape(each) for each in re.findall(r'href="([^"]*)">Change this<', page)]
    assert len(links) == 3, "of two rules and an order type"
    form = browser.get(links[0]).text
    for name, value in (*rule.items(), ("/alterations/0/share", "")):
        shown = "" if name.endswith("share") else value
        assert re.search(rf'name="{name}" value="{shown}"', form), name
    assert 'name="/alterations/0/conditions/order_type" value="standard"' in browser.get(links[-1]).text
    assert "Change this" not in browser.get("/console/rulebook?known=1").text, "what is past is not changed"
    browser.sign_in("auditor")
    assert "Change this" not in browser.get("/console/rulebook").text


def test_an_order_s_life_says_what_was_altered(browser: Browser) -> None:
    """Each part before and after, as the events have it, which who sells does not see."""
    service = browser.service
    first = line(quantity="1", amount="900.50")
    lines = [first, line(2, quantity="3", amount="7.5")]
    for kind, data in (
        ("order.amended", {"lines": lines, "ordered_on": "2026-02-03", "currency": "USD"}),
        ("order.reassigned", {"effective_from": "2026-02-03", "splits": [{"salesperson_id": "bob"}]}),
        ("order.amended", {"lines": [first]}),
    ):
        service.record(event(kind, "SO-1", **data))
    service.catch_up()
    browser.sign_in("auditor")

    def told(address: str) -> list[str]:
        """Give the parts of the timeline, without tags."""
        life = browser.get(address).text.partition('id="life"')[2].partition("</section>")[0]
        parts = [re.sub(r"<[^>]*>", "", each).strip() for each in life.split("<li>")]
        return [each.partition("\n")[0] for each in parts if "→" in each]

    assert told("/console/orders/SO-1") == [
        "Ordered on: 2026-03-10 → 2026-02-03",
        "Currency: EUR → USD",
        "line 1: P-1, 4, 1,234.50 EUR → P-1, 1, 900.50 USD",
        "line 2: – → P-2, 3, 7.50 USD",
        "Salespeople: ann → bob",
        "line 2: P-2, 3, 7.50 USD → –",
    ]
    assert told(f"/console/orders/SO-1?known={service.app.store.head() - 3}") == [], "not known then"
    browser.sign_in("sales")
    assert told("/console/orders/SO-1") == []


def test_a_quota_leads_to_the_facts_that_set_it(browser: Browser) -> None:
    """Those that hold at the point that the page is known at; sales sees no events."""
    service, set_at = browser.service, dict[str, int]()
    for period, amount in (("2026-P01", "10"), ("2026-P02", "20"), ("2026-P02", "30"), ("2026-Q2", "7")):
        sent = {"amount": amount, "currency": "EUR", "reason": "x"}
        put = service.ask("PUT", f"/v1/salespeople/ann/quotas/{period}", "ingest", sent=sent)
        assert put.status_code == 201, put.text
        set_at[amount] = (put.json or {})["position"]
    service.catch_up()
    (figure,) = service.get("/v1/performance", period="2026-Q1")["figures"]
    assert (figure["quota"], figure["quota_positions"]) == ("40", [set_at["10"], set_at["30"]])
    page = "/console/salespeople/ann?period=2026-Q1"
    browser.sign_in("auditor")
    for known, amounts in (("", ("10", "30")), (f"&known={set_at['20']}", ("10", "20"))):
        figures = browser.get(page + known).text.partition('aria-label="Figures"')[2].partition("</table>")[0]
        links = [int(each) for each in re.findall(r'href="/console/audit/events/(\d+)"', figures)]
        assert links == [set_at[amount] for amount in amounts]
    browser.sign_in("sales")
    assert "/audit/events/" not in browser.get(page).text


def test_a_reason_that_is_left_empty_is_asked_for(browser: Browser) -> None:
    """The API is sent an empty text, and says what a text is; whoever has a form before them is told to fill it in."""
    browser.sign_in("finance")
    closing = browser.send("/console/periods/2026-Q1/close", {"etag": "*", "reason": " "})
    browser.sign_in("rules")
    proposing = browser.send("/console/propose", {"do": "propose", "reason": "", "/alterations/0/action": "set_rule"})
    for page in (closing.text, proposing.text):
        assert "There is nothing here." in page
        assert "Fill it in." in page
        assert "is not a text" not in page
    assert "Something is missing" in closing.text
    told = refused(browser.service.post("/v1/periods/2026-Q1/close", {"reason": ""}, "finance"), Code.invalid_value)
    assert "is not a text" in told[0]["detail"], "programs are told as ever"


def test_an_import_says_that_it_was_recorded(browser: Browser) -> None:
    browser.sign_in("ingest")
    text = "order_id,ordered_on,order_type,customer_id,salesperson_id,product_id,quantity,amount,currency\n"
    content = (
        f"{text}SO-8,2026-03-10,standard,C-1,ann,P-1,1,1.00,EUR\nSO-9,2026-03-10,standard,C-1,ann,P-1,1,1.00,EUR\n"
    )
    response = browser.service.ask("POST", "/v1/imports?name=erp.csv", "ingest", data=content, content_type="text/csv")
    told: Any = response.json
    page = f"/console/imports/{told['id']}"
    assert told["state"] == "staged", told
    assert "was recorded" not in browser.get(f"{page}?done=recorded").text, "not before it is"
    sent = browser.send(f"{page}/commit", {})
    assert (sent.status_code, sent.location) == (303, f"{page}?done=recorded")
    browser.service.app.imports.wait()
    done = '<p class="done" role="status">erp.csv was recorded: 2 new orders, 0 that were in the ledger before.</p>'
    assert done in browser.get(sent.location).text
    assert "was recorded" not in browser.get(page).text


def test_the_rows_of_a_recorded_file_lead_to_their_orders_for_who_may_see_them(browser: Browser) -> None:
    file = FILE.format("SO-7")
    staged = browser.service.ask("POST", "/v1/imports", "ingest", data=file, content_type="text/csv").json or {}
    for role in ("finance", "ingest"):
        browser.sign_in(role)
        assert "/console/orders/SO-7" not in browser.get(f"/console/imports/{staged['id']}").text
    committed = browser.service.ask("POST", f"/v1/imports/{staged['id']}/commit", "ingest", sent={})
    assert committed.status_code == 202, committed.text
    browser.service.app.imports.wait()
    for role, leads in (("finance", True), ("ingest", False)):
        browser.sign_in(role)
        page = browser.get(f"/console/imports/{staged['id']}").text
        assert ('<a href="/console/orders/SO-7">SO-7</a>' in page) == leads


def typed(**row: str) -> dict[str, str]:
    """Give the form of a proposal with one rule."""
    return {f"/alterations/0/{name}": text for name, text in {"action": "set_rule", **row}.items()}


def test_everything_that_is_wrong_in_a_proposal_is_told_at_once(browser: Browser) -> None:
    """A day that is none, and a share that is none."""
    browser.sign_in("rules")
    row = typed(share="abc", effective_from="2026-13-40", **{"conditions/order_type": "standard"})
    for asked in ({"do": "propose"}, {"preview": "yes"}):
        page = browser.send("/console/propose", {**asked, "reason": "Half", **row})
        wrong = re.findall(r'<input [^>]*name="([^"]*)"[^>]*aria-invalid="true"', page.text)
        assert set(wrong) == {"/alterations/0/share", "/alterations/0/effective_from"}
    head = browser.service.app.store.head()
    browser.send("/console/propose", {"do": "propose", "reason": "", **row})
    assert browser.service.app.store.head() == head, "nothing is recorded"


def test_an_identifier_that_is_taken_is_told_as_one(browser: Browser) -> None:
    browser.sign_in("rules")
    for share, status in (("0.5", 303), ("0.4", 409)):
        row = typed(share=share, effective_from="2026-01-01", **{"conditions/order_type": "standard"})
        sent = browser.send("/console/propose", {"do": "propose", "reason": "x", "rule_change_id": "RC-9", **row})
        assert sent.status_code == status
        browser.service.catch_up()
    assert "The identifier is taken" in sent.text
    assert "write another one, or none" in sent.text
    assert "event_id." not in sent.text


def test_a_period_that_is_none_is_told_with_how_to_write_one(browser: Browser) -> None:
    browser.sign_in("auditor")
    page = browser.get("/console/board?period=2026").text
    assert "is not a period" in page
    assert "2026-Q1, FY2026, 2026-01..2026-03" in page
    assert browser.get("/console/board?period=2026-q1").status_code == 200


def test_who_brings_orders_begins_with_the_imports(browser: Browser) -> None:
    for role, page in (("ingest", "imports"), ("auditor", "board"), ("rules", "board"), ("sales", "board")):
        browser.sign_in(role)
        assert browser.get("/console/").location == f"/console/{page}"


@pytest.mark.parametrize(
    ("path", "accept", "is_page"),
    [
        ("/nope", "text/html,application/xhtml+xml,*/*;q=0.8", True),
        ("/nope", "*/*", False),
        ("/nope", "application/json", False),
        ("/v1/nope", "text/html,*/*;q=0.8", False),
    ],
)
def test_an_address_with_nothing_is_a_page_for_who_has_a_browser(
    browser: Browser, path: str, accept: str, is_page: bool
) -> None:
    told = browser.get(path, Accept=accept)
    assert told.status_code == 404
    assert told.mimetype == ("text/html" if is_page else "application/problem+json")


def test_a_chart_says_its_ends_in_words() -> None:
    shown = [Bar("2026-01", "-5.00"), Bar("2026-02", "1234.50"), Bar("2026-03", "7.00")]
    for draw in (bars, levels):
        (label,) = re.findall(r'aria-label="([^"]*)"', draw("By month", shown))
        assert label == "By month. The highest is 1,234.50 (2026-02), the lowest \u22125.00 (2026-01)."


FILE = (
    "order no,date,order type,customer no,currency,product no,qty,amount,sales rep no\n"
    "{},2026-03-30,standard,C-1,EUR,P-1,1,2208.1,S-01\n"
)
