"""The OpenAPI document and the pages made from it: valid, complete, and true of what the service answers and takes."""

import json
import re
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import to_builtins
from openapi_schema_validator import OAS31Validator, oas31_format_checker
from openapi_spec_validator import OpenAPIV31SpecValidator

from api import openapi_file
from api.access import allowed_roles
from api.app import Config, create_app
from api.bodies import BODY_BYTES_MAX
from api.examples import BODIES
from ledger import __version__
from ledger.checks import Checks
from ledger.money import MICROS_MAX, micros_of, parse_micros, parse_share
from ledger.refusal import Code
from ledger.tokens import ROLES
from tests.documented import document, hold
from tests.everything import BECAUSE, CHANGE, CLOSED, FIRST, HOOKS, RULE, serving_everything
from tests.http_client import PROBLEM, Service, event, fresh_database, placed, refused
from tests.strategies import OrderStep, RuleStep, histories

BULK, CHANGES, FIGURES = "/v1/order-events/bulk", "/v1/rule-changes", "/v1/performance?period=FY2026&limit=2"
OTHER = {**RULE, "share": "0"}
ANOTHER = {"alterations": [OTHER], "reason": "as agreed"}
HOUSE = {"customer_class": "house-account", "effective_from": "2026-01-01"}
MIXED = {"mode": "per_item", "events": [FIRST, placed("SO-9", currency="EURO")]}
FEED = "/v1/events"
OPEN = "/v1/periods/2024-Q2"
UNHURRIED = settings(deadline=None)


class Asked(NamedTuple):
    """A request and the status it is answered with; `sent` is the body, if it has one."""

    method: str
    path: str
    role: str | None
    status: int
    sent: Any = None


ASKED = [
    Asked("POST", "/v1/order-events", "ingest", 200, FIRST),
    Asked("POST", "/v1/order-events", "ingest", 201, placed("SO-4")),
    Asked("POST", "/v1/order-events", "ingest", 422, placed("SO-5", lines=[])),
    Asked("POST", "/v1/order-events", "ingest", 409, event("order.cancelled", "SO-3", cancelled_on="2026-06-01")),
    Asked("POST", BULK, "ingest", 201, {"events": [FIRST]}),
    Asked("POST", BULK, "ingest", 207, MIXED),
    Asked("POST", BULK, "ingest", 413, {"events": [FIRST] * 5_001}),
    Asked("PUT", "/v1/customers/C-1/class", "ingest", 201, HOUSE),
    Asked("PUT", "/v1/products/P-1/category", "ingest", 201, {"category": "K-2", "effective_from": "2026-01-01"}),
    Asked("PUT", "/v1/salespeople/ann/team", "ingest", 201, {"team": "north", "effective_from": "2026-01-01"}),
    Asked("PUT", "/v1/salespeople/ann/quotas/2026-Q1", "ingest", 201, {"currency": "EUR", "amount": "1000"}),
    Asked("PUT", "/v1/salespeople/ann/quotas/2026-Q1", "ingest", 200, {"currency": "EUR", "amount": "1000.00"}),
    Asked("POST", CHANGES + "?dry_run=true", "rules", 200, ANOTHER),
    Asked("POST", CHANGES, "rules", 200, CHANGE),
    Asked("POST", CHANGES, "rules", 201, ANOTHER),
    Asked("GET", "/v1/imports", "finance", 200),
    Asked("PUT", "/v1/import-profiles/erp", "ingest", 201, {"source": "erp", "columns": {"order_id": "no"}}),
    Asked("PUT", "/v1/import-profiles/erp", "ingest", 200, {"date_format": "DD-MM-YYYY"}),
    Asked("GET", "/v1/import-profiles", "finance", 200),
    Asked("GET", "/v1/import-profiles/erp", "finance", 200),
    Asked("DELETE", "/v1/import-profiles/erp", "ingest", 200),
    Asked("GET", CHANGES + "/RC-1", "auditor", 200),
    Asked("GET", CHANGES + "/RC-1/orders", "auditor", 200),
    Asked("GET", CHANGES + "/RC-1/orders?period=2026-Q1&salesperson_id=ann&limit=1", "auditor", 200),
    Asked("POST", CHANGES + "/RC-1/approve", "approver", 409, {}),
    Asked("POST", CHANGES + "/RC/2/approve", "approver", 200, {"reason": "seen"}),
    Asked("POST", CHANGES + "/RC-3/reject", "approver", 200, {"reason": "no"}),
    Asked("POST", CHANGES + "/RC-4/withdraw", "rules", 200, {}),
    Asked("GET", CHANGES + "/RC-4", "auditor", 200),
    Asked("POST", "/v1/simulations", "finance", 200, {"periods": ["FY2026"], "alterations": [OTHER]}),
    Asked("POST", "/v1/simulations", "finance", 422, {"periods": ["FY2026"]}),
    Asked("POST", "/v1/simulations/orders", "finance", 200, {"alterations": [OTHER]}),
    Asked("POST", "/v1/simulations/orders?limit=1", "finance", 422, {}),
    Asked("GET", "/v1/movements?period=FY2026&from_position=0&limit=2", "auditor", 200),
    Asked("GET", "/v1/movements?period=FY2026", "auditor", 422),
    Asked("GET", "/v1/orders/SO-1", "auditor", 200),
    Asked("GET", "/v1/orders/SO-2", "auditor", 200),
    Asked("GET", "/v1/orders/SO-3", "auditor", 200),
    Asked("GET", "/v1/orders/NOT-THERE", "auditor", 404),
    Asked("GET", "/v1/orders/SO-3/events", "auditor", 200),
    Asked("GET", "/v1/order-types", "sales", 200),
    Asked("GET", "/v1/rules?on=2026-03-01", "auditor", 200),
    Asked("GET", "/v1/rules/history", "auditor", 200),
    Asked("GET", FIGURES, "auditor", 200),
    Asked("GET", FIGURES + "&group_by=customer_class,month&position=0", "auditor", 200),
    Asked("GET", FIGURES + "&position=x", "auditor", 422),
    Asked("GET", "/v1/performance/ann/credits?period=FY2026&limit=2", "auditor", 200),
    Asked("GET", "/v1/orders/SO-1/explanation", "auditor", 200),
    Asked("GET", "/v1/orders/SO-2/explanation", "auditor", 200),
    Asked("GET", "/v1/orders/SO-3/explanation", "sales", 200),
    Asked("GET", "/v1/rules/review", "auditor", 200),
    Asked("GET", "/v1/periods", "auditor", 200),
    Asked("GET", CLOSED, "auditor", 200),
    Asked("GET", OPEN + "?position=3", "auditor", 200),
    Asked("GET", CLOSED + "/statements/1", "auditor", 200),
    Asked("GET", CLOSED + "/statements/9", "auditor", 404),
    Asked("GET", CLOSED + "/options", "finance", 200),
    Asked("POST", OPEN + "/close?dry_run=true", "finance", 200, BECAUSE),
    Asked("POST", CLOSED + "/close", "finance", 409, BECAUSE),
    Asked("POST", CLOSED + "/restate?dry_run=true", "finance", 200, BECAUSE),
    Asked("POST", CLOSED + "/carry-forward?dry_run=true", "finance", 200, {**BECAUSE, "into_period": "2024-Q2"}),
    Asked("GET", "/v1/audit/bundle?period=2024-Q1", "auditor", 200),
    Asked("GET", "/v1/audit/bundle", "finance", 422),
    Asked("GET", "/v1/audit/rule-changes?period=FY2026", "auditor", 200),
    Asked("GET", "/v1/audit/rule-changes?from=2024-01-01&to=2024-04-01&limit=1", "finance", 200),
    Asked("GET", "/v1/audit/rule-changes", "auditor", 422),
    Asked("GET", "/v1/audit/access?limit=2", "admin", 200),
    Asked("GET", "/v1/audit/access?action=unheard-of", "admin", 422),
    Asked("GET", "/v1/audit/timeline?limit=5", "auditor", 200),
    Asked("GET", "/v1/audit/timeline?kind=reference_fact&back_dated=true&from=2024-01-01", "finance", 200),
    Asked("GET", "/v1/audit/timeline?kind=order", "auditor", 422),
    Asked("POST", "/v1/verifications", "auditor", 202),
    Asked("GET", "/v1/verifications/latest", "finance", 200),
    Asked("GET", FEED, "auditor", 200),
    Asked("GET", FEED + "/3", "auditor", 200),
    Asked("GET", FEED + "/99999", "auditor", 404),
    Asked("GET", FEED, "sales", 403),
    Asked("GET", FEED, None, 401),
    Asked("POST", "/v1/audit/checkpoints", "finance", 201),
    Asked("GET", "/v1/audit/checkpoint", "auditor", 200),
    Asked("GET", "/v1/audit/checkpoint?size=999", "auditor", 404),
    Asked("GET", "/v1/audit/checkpoints", "auditor", 200),
    Asked("POST", "/v1/audit/checkpoints/1/cosignatures", "auditor", 404, {"note": "x", "witness": "y"}),
    Asked("GET", "/v1/audit/proofs/inclusion?position=3", "auditor", 200),
    Asked("GET", "/v1/audit/proofs/inclusion?position=3&size=2", "auditor", 422),
    Asked("GET", "/v1/audit/proofs/consistency?from=2&to=9", "auditor", 200),
    Asked("GET", "/v1/audit/proofs/consistency?from=9&to=2", "auditor", 422),
    Asked("POST", "/v1/tokens", "admin", 201, {"principal": "mara", "roles": ["finance"]}),
    Asked("POST", "/v1/tokens", "admin", 422, {"principal": "mara", "roles": ["king"]}),
    Asked("GET", "/v1/tokens?limit=1", "admin", 200),
    Asked("GET", "/v1/tokens?cursor=x", "admin", 422),
    Asked("POST", "/v1/tokens/000000000000/revoke", "admin", 404),
    Asked("GET", "/healthz", None, 200),
    Asked("GET", "/readyz", None, 200),
    Asked("GET", "/metrics", "monitor", 200),
    Asked("POST", HOOKS, "admin", 201, {"url": "https://hooks.example/ledger", "from_position": 0}),
    Asked("POST", HOOKS, "admin", 422, {"url": "http://hooks.example/ledger"}),
    Asked("GET", HOOKS, "admin", 200),
    Asked("GET", HOOKS + "/0123456789abcdef", "admin", 200),
    Asked("GET", HOOKS + "/none", "admin", 404),
    Asked("POST", HOOKS + "/0123456789abcdef/disable", "admin", 200),
    Asked("POST", HOOKS + "/0123456789abcdef/test", "admin", 200),
    Asked("GET", HOOKS + "/0123456789abcdef/deliveries", "admin", 200),
    Asked("POST", HOOKS + "/0123456789abcdef/replay", "admin", 200, {"from_position": 1}),
    Asked("GET", HOOKS + "/0123456789abcdef", "admin", 200),
    Asked("POST", HOOKS + "/0123456789abcdef/rotate-secret", "admin", 200),
    Asked("POST", HOOKS + "/0123456789abcdef/enable", "admin", 200),
    Asked("DELETE", HOOKS + "/0123456789abcdef", "admin", 204),
]


@pytest.fixture(scope="module")
def service(
    server_url: Callable[[str], str], template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Serve a ledger that has something of everything the answers can hold."""
    key = tmp_path_factory.mktemp("key") / "signing-key"
    with fresh_database(server_url, template) as database, serving_everything(database, key) as service:
        yield service


@pytest.fixture(autouse=True)
def projected(service: Service) -> None:
    """Project what the requests before recorded, as the service's own projector would."""
    service.catch_up()


def described() -> Any:
    """Read the OpenAPI document; it needs no database."""
    response = create_app(Config("postgresql://127.0.0.1:1/none")).test_client().get("/openapi.json")
    assert (response.status_code, response.mimetype) == (200, "application/json")
    return response.json


IMPORT = "/v1/imports/{import_id}"
ASKED_ELSEWHERE = {
    ("POST", "/v1/audit/checkpoints/{size}/cosignatures"),
    ("POST", "/v1/tokens/{token_id}/revoke"),
    *(("POST", "/v1/imports"), ("GET", IMPORT), ("PUT", f"{IMPORT}/profile"), ("POST", f"{IMPORT}/commit")),
    *(("POST", f"{IMPORT}/discard"), ("GET", f"{IMPORT}/preview"), ("GET", f"{IMPORT}/rejected")),
}
"""A cosignature is of a note that is signed first: tests/test_checkpoints.py; tests/test_tokens.py revokes. A file is
sent first: below.
"""
WITHOUT_BODY = {
    "/v1/audit/checkpoints",
    "/v1/verifications",
    "/v1/tokens/{token_id}/revoke",
    "/v1/webhooks/{webhook_id}",
    *(f"/v1/webhooks/{{webhook_id}}/{verb}" for verb in ("enable", "disable", "rotate-secret", "test")),
    f"{IMPORT}/discard",
}
PROXIED = {"Via": "1.1 proxy"}
"""Not from this machine: there, the figures for operators take no token."""
DOCUMENT = described()
SCHEMAS = DOCUMENT["components"]["schemas"]


def operations() -> Iterator[tuple[str, str, Any]]:
    """Give method, path and description of each operation."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            if isinstance(operation, dict):
                yield method.upper(), path, operation


def conforms(schema: Any, value: Any) -> list[str]:
    """Tell what of a value is not as a schema of the document says."""
    whole = {**schema, "components": DOCUMENT["components"]}
    errors = OAS31Validator(whole, format_checker=oas31_format_checker).iter_errors(value)
    return [f"{list(error.absolute_path)}: {error.message}" for error in errors]


def template(service: Service, asked: Asked) -> str:
    """Give the document's path of a request."""
    rule, _ = service.app.url_map.bind("localhost").match(asked.path.split("?")[0], asked.method, return_rule=True)
    return re.sub("<(?:path:|int:)?(.*?)>", r"{\1}", str(rule))


# ---- the document


def test_the_document_is_openapi_3_1() -> None:
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []
    assert re.fullmatch(r"3\.1\.\d+", DOCUMENT["openapi"])
    assert (DOCUMENT["info"]["title"], DOCUMENT["info"]["version"]) == ("Orderledger", __version__)


def test_every_operation_says_what_it_does_who_may_and_what_it_answers() -> None:
    app = create_app(Config("postgresql://127.0.0.1:1/none"))
    roles = {
        (method, re.sub("<(?:path:|int:)?(.*?)>", r"{\1}", str(rule))): allowed_roles(app, rule.endpoint)
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }
    for method, path, operation in operations():
        assert operation["summary"].endswith("."), path
        assert tuple(operation["x-roles"]) == roles[method, path]
        answers = operation["responses"]
        assert any(status.startswith("2") for status in answers), path
        assert "default" not in answers, "each status is told"
        refused = [answer for status, answer in answers.items() if status >= "400" and path != "/readyz"]
        assert all(PROBLEM in answer["content"] for answer in refused), path
        writes = method == "PUT" or (method not in ("GET", "DELETE") and path not in WITHOUT_BODY)
        assert ("requestBody" in operation) == writes, path
        for parameter in operation.get("parameters", ()):
            assert parameter["description"].endswith("."), (path, parameter["name"])
            assert "example" in parameter or parameter["in"] == "header"


def test_every_route_under_v1_is_an_operation(service: Service) -> None:
    documented = {(method, path) for method, path, _ in operations()}
    for rule in service.app.url_map.iter_rules():
        if str(rule).startswith("/v1/"):
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                assert (method, re.sub("<(?:path:|int:)?(.*?)>", r"{\1}", str(rule))) in documented


def test_every_operation_is_asked_below(service: Service) -> None:
    asked = {(each.method, template(service, each)) for each in ASKED if each.status < 300}
    assert asked | ASKED_ELSEWHERE == {(method, path) for method, path, _ in operations()}


# ---- what is answered


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: f"{asked.method} {asked.path} {asked.status}")
def test_an_answer_is_as_documented(service: Service, asked: Asked) -> None:
    """Its status, code, media type, headers and body: Service.ask holds every answer of the suite to the document."""
    options = {} if asked.sent is None else {"sent": asked.sent}
    response = service.ask(asked.method, asked.path, asked.role, **options)
    assert response.status_code == asked.status, response.text
    operation = DOCUMENT["paths"][template(service, asked)][asked.method.lower()]
    if asked.sent is not None and asked.status < 300 and asked.sent is not MIXED:
        assert conforms(operation["requestBody"]["content"]["application/json"]["schema"], asked.sent) == []


def test_what_is_not_documented_is_found(service: Service) -> None:
    """The control of what Service.ask does: an answer under another operation's name does not pass."""
    response = service.ask("GET", "/v1/rules", "auditor")
    hold(service.app, "GET", "/v1/rules", response)
    for method, path in (("GET", "/v1/order-types"), ("POST", "/v1/order-events"), ("GET", "/metrics")):
        with pytest.raises(AssertionError, match=f"{method} {path} 200"):
            hold(service.app, method, path, response)
    response = service.ask("POST", "/v1/order-events", "ingest", sent={**FIRST, "event_id": "other"})
    with pytest.raises(AssertionError, match=r"add @routes.refuses\(Code.order_exists\)"):
        hold(service.app, "POST", "/v1/rule-changes", response)
    response = service.ask("GET", "/v1/rules", None)
    del response.headers["WWW-Authenticate"]
    with pytest.raises(AssertionError, match="'WWW-Authenticate'] is documented and not there"):
        hold(service.app, "GET", "/v1/rules", response)
    response = service.ask("GET", "/v1/rules", "auditor")
    response.headers["Content-Type"] = "text/plain"
    with pytest.raises(AssertionError, match="text/plain is not documented"):
        hold(service.app, "GET", "/v1/rules", response)
    response.status_code = 418
    with pytest.raises(AssertionError, match="GET /v1/rules 418 is not documented"):
        hold(service.app, "GET", "/v1/rules", response)


def test_every_answer_that_a_test_is_given_is_held(service: Service) -> None:
    """The control of all tests that ask by Service.ask: without the document's answers, nothing passes."""
    answers = document()["paths"]["/v1/rules"]["get"]["responses"]
    with (
        patch.dict(answers, clear=True),
        pytest.raises(AssertionError, match="GET /v1/rules 200 is not documented"),
    ):
        service.ask("GET", "/v1/rules", "auditor")
    assert service.ask("GET", "/v1/rules", "auditor").status_code == 200


def address(path: str) -> str:
    """Give an address of an operation: what it names need not be there."""
    values = {"period": "2024-Q1", "period_id": "2024-Q1", "version": "1", "size": "1", "salesperson_id": "ann"}
    values["event_position"] = "1"
    return re.sub(r"{(\w+)}", lambda name: values.get(name[1], "X-1"), path)


@pytest.mark.parametrize(("method", "path"), [(method, path) for method, path, _ in operations()])
def test_what_follows_from_its_shape_is_refused(service: Service, method: str, path: str) -> None:
    """The refusals that are documented because an operation has roles, a body or parameters are given."""
    operation = DOCUMENT["paths"][path][method.lower()]
    if not operation["x-roles"]:
        assert not {"401", "403", "422"} & set(operation["responses"])
        return
    asked, role = address(path), operation["x-roles"][0]
    refused(service.ask(method, asked, None, headers=PROXIED), Code.unauthenticated)
    other = next(role for role in ROLES if role not in operation["x-roles"])
    refused(service.ask(method, asked, other, headers=PROXIED), Code.forbidden)
    refused(service.ask(method, f"{asked}?unheard_of=1", role, headers=PROXIED), Code.invalid_parameter)
    if "requestBody" not in operation:
        return
    refused(service.ask(method, asked, role, data="x", content_type="text/plain"), Code.unsupported_media_type)
    media_types = list(operation["requestBody"]["content"])
    coded = service.ask(
        method, asked, role, data="x", content_type=media_types[0], headers={"Content-Encoding": "gzip"}
    )
    refused(coded, Code.unsupported_content_encoding)
    assert coded.headers["Accept-Encoding"] == "identity"
    if "application/json" not in media_types:
        return
    refused(service.ask(method, asked, role, data="{"), Code.malformed_json)
    refused(service.ask(method, asked, role, sent=7), Code.wrong_type)
    large = {"CONTENT_LENGTH": str(BODY_BYTES_MAX + 1)}
    refused(service.ask(method, asked, role, environ_overrides=large, data="{}"), Code.body_too_large)


def contents(operation: Any) -> Iterator[Any]:
    """Give what an operation takes and answers, in each media type."""
    for told in (operation.get("requestBody", {}), *operation["responses"].values()):
        yield from told.get("content", {}).values()


def test_every_example_is_as_its_schema_says() -> None:
    """Of parameters, bodies, answers and headers; those of refusals are what the table of codes says."""
    for name, header in DOCUMENT["components"]["headers"].items():
        for example in header["schema"].get("examples", ()):
            assert conforms(header["schema"], example) == [], name
    for name, example in DOCUMENT["components"]["examples"].items():
        problem = example["value"]
        assert conforms({"$ref": "#/components/schemas/ProblemDocument"}, problem) == []
        assert (problem["code"], problem["title"], problem["status"]) == (name, Code[name].title, Code[name].status)
        assert problem["errors"][0]["remedy"] == Code[name].remedy
    for method, path, operation in operations():
        for parameter in operation["parameters"]:
            if "example" in parameter:
                assert conforms(parameter["schema"], parameter["example"]) == [], (path, parameter["name"])
        for content in contents(operation):
            for example in content.get("examples", {}).values():
                assert "$ref" in example or conforms(content["schema"], example["value"]) == [], (method, path)


@pytest.mark.parametrize("operation_id", BODIES)
def test_a_body_written_as_an_example_is_one_the_service_takes(service: Service, operation_id: str) -> None:
    """Or refuses for what is in this ledger and not for how it is written."""
    method, path, operation = next(each for each in operations() if each[2]["operationId"] == operation_id)
    for body in BODIES[operation_id].values():
        response = service.ask(method, address(path), operation["x-roles"][0], sent=body)
        assert response.status_code < 300 or response.get_json()["code"] in {"not_found", "order_exists"}, response.text
        service.catch_up()


def test_every_link_leads_to_an_operation_by_its_parameters() -> None:
    targets = {operation["operationId"]: operation for _, _, operation in operations()}
    assert len(targets) == len(list(operations())), "an operationId names one operation"
    links = [
        link
        for operation in targets.values()
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    ]
    assert len(links) > 10
    for link in links:
        names = {parameter["name"] for parameter in targets[link["operationId"]]["parameters"]}
        assert set(link["parameters"]) <= names, link


def test_money_is_documented_as_the_string_it_is() -> None:
    for name, field in (("FigureAnswer", "credited"), ("Line", "amount"), ("StatementTotal", "total_exact")):
        schema = SCHEMAS[name]["properties"][field]
        assert (schema["type"], conforms(schema, "12.50"), conforms(schema, "1e3") != []) == ("string", [], True)


def test_the_committed_document_is_this_one() -> None:
    committed = openapi_file.FILE.read_text(encoding="utf-8")
    assert committed == openapi_file.text(), "the API has changed: run make openapi and commit the difference"


def test_what_an_import_answers_is_as_documented(service: Service) -> None:
    """From the upload to the end, with what is ambiguous and what is wrong."""
    rows = b"order,date,type,customer,product,qty,amount,currency\nSO-77,01-03-2026,standard,C-1,P-1,1,x,EUR\n"

    def ask(method: str, path: str, **options: Any) -> Any:
        response = service.ask(method, path, "ingest", **options)
        told = IMPORT + path.removeprefix(f"/v1/imports/{staged}") if staged else path
        assert str(response.status_code) in DOCUMENT["paths"][told][method.lower()]["responses"]
        return response.json if response.is_json else None

    staged = ""
    staged = ask("POST", "/v1/imports", data=rows, content_type="text/csv")["id"]
    at = f"/v1/imports/{staged}"
    ask("PUT", f"{at}/profile", sent={"date_format": "DD-MM-YYYY", "defaults": {"category": "K"}})
    for path in (at, f"{at}/preview", f"{at}/rejected"):
        ask("GET", path)
    assert ask("POST", f"{at}/commit", sent={"accept_good_rows": True})["progress"]["orders"] == 0
    service.app.imports.wait()
    staged_again = service.ask("POST", "/v1/imports", "ingest", data=rows, content_type="text/csv").get_json()["id"]
    staged = staged_again
    ask("POST", f"/v1/imports/{staged}/discard")


# ---- what is taken


def pattern(name: str, field: str) -> re.Pattern[str]:
    """Give a field's documented pattern; `$` is the very end there, as in ECMA-262."""
    documented: str = SCHEMAS[name]["properties"][field]["pattern"]
    assert documented.endswith("$")
    return re.compile(documented.removesuffix("$") + r"\Z")


AMOUNT, SHARE = pattern("Line", "amount"), pattern("Split", "share")


def numbers() -> st.SearchStrategy[str]:
    """Texts that are decimals, nearly decimals, or anything."""
    whole = st.sampled_from((1, 13, 14)).flatmap(lambda digits: st.integers(-(10**digits), 10**digits))
    nearly = st.builds(lambda number, places: f"{number}.{'1' * places}", whole, st.sampled_from((0, 1, 6, 7)))
    anything = st.text("0123456789.-+eE, \n_", max_size=24) | st.text(max_size=9)
    return st.one_of(st.from_regex(AMOUNT), st.from_regex(SHARE), nearly, nearly, anything)


@UNHURRIED
@given(numbers())
def test_an_amount_is_taken_where_its_pattern_and_bound_say_so(text: str) -> None:
    documented = AMOUNT.search(text) is not None and abs(micros_of(text)) <= MICROS_MAX
    assert (parse_micros(text) is not None) == documented


@UNHURRIED
@given(numbers())
def test_a_share_is_taken_where_its_pattern_says_so(text: str) -> None:
    assert (parse_share(text) is not None) == (SHARE.search(text) is not None)


@UNHURRIED
@given(st.text(max_size=130) | st.text(st.characters(exclude_categories=("C", "Z")), min_size=110, max_size=125))
def test_an_identifier_or_name_that_is_taken_is_as_documented(text: str) -> None:
    """The document may say less than is enforced (control characters), but nothing that is taken contradicts it."""
    checks, placing = Checks("it"), SCHEMAS["OrderPlaced"]["properties"]
    checks.identifier(text, "")
    assert checks.problems or conforms(placing["customer_id"], text) == []
    checks = Checks("it")
    checks.text(text, "")
    assert checks.problems or conforms(placing["customer_name"], text) == []


@UNHURRIED
@given(histories(max_steps=8))
def test_whatever_the_ledger_takes_is_as_documented(history: list[Any]) -> None:
    sent = {"$ref": "#/components/schemas/RuleChangeRequest"}
    submitted = DOCUMENT["paths"]["/v1/order-events"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    for step in history:
        match step:
            case OrderStep(submission):
                assert conforms(submitted, json.loads(json.dumps(to_builtins(submission)))) == []
            case RuleStep(proposal):
                assert conforms(sent, json.loads(json.dumps(to_builtins(proposal)))) == []


# ---- the pages


def page(service: Service, path: str) -> str:
    """Read a page as its reader sees the text."""
    response = service.ask("GET", path, None)
    assert (response.status_code, response.mimetype) == (200, "text/html"), path
    assert "<script" not in response.text
    assert "style=" not in response.text
    return unescape(response.text)


def test_the_pages_name_every_operation_and_type(service: Service) -> None:
    start, docs = page(service, "/"), page(service, "/docs")
    for method, path, operation in operations():
        for text in (start, docs):
            assert f"{method} {path}<" in text
            assert operation["summary"] in text
        assert f"Roles: {', '.join(operation['x-roles']) or 'anybody'}" in docs
        section = docs.split(f'<h2 id="{operation["operationId"]}">')[1].split("</section>")[0]
        for parameter in operation["parameters"]:
            assert f"<code>{parameter['name']}</code>" in section
            assert parameter["description"] in section
        for content in contents(operation):
            for name in content.get("examples", {}):
                assert (f"/errors/{name}" if name in Code.__members__ else "<summary>Example") in section
    for name in SCHEMAS:
        assert f'<h2 id="{name}">' in docs


@pytest.mark.parametrize("code", Code, ids=lambda code: code.name)
def test_every_code_has_a_page_with_its_remedy(service: Service, code: Code) -> None:
    for path in ("/errors", f"/errors/{code.name}"):
        text = page(service, path)
        for told in (code.name, str(code.status), code.title, code.remedy):
            assert told in text


def test_every_link_of_the_pages_leads_somewhere(service: Service) -> None:
    for path in ("/", "/docs", "/errors", "/errors/forbidden"):
        text = page(service, path)
        anchors = set(re.findall(r'id="(.*?)"', text))
        for link in set(re.findall(r'href="(.*?)"', text)):
            if link.startswith("#"):
                assert link[1:] in anchors
            else:
                signed_in_only = link.startswith("/console/")
                assert service.ask("GET", link, None).status_code == (303 if signed_in_only else 200), link
