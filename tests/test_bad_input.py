"""Bad input: each is refused with a stable code, a pointer that resolves and a remedy, and leaves no trace.

Every table's case is a line: what is wrong, the code, the JSON pointer, and what is sent. The last test sees that no
code of ledger/refusal.py is without a case, here or in the test that it names.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from api.bodies import BODY_BYTES_MAX
from api.queries import POSITION_WAIT_MILLISECONDS
from ledger.intake import EVENTS_MAX
from ledger.orders import LINES_MAX
from ledger.refusal import Code
from tests.http_client import (
    Service,
    Zeros,
    amended,
    cancelled,
    fresh_database,
    line,
    lines,
    many,
    new,
    part,
    person,
    placed,
    reassigned,
    refused,
    resolve,
    returned,
    serving,
    shares,
    sold_by,
    without,
)

EVENTS, BULK, RULES = "/v1/order-events", "/v1/order-events/bulk", "/v1/rule-changes"
CLASS = "/v1/customers/C-1/class"
WRITERS = {EVENTS: "ingest", BULK: "ingest", RULES: "rules"}


class Case(NamedTuple):
    """What is wrong, the code it is refused with, the pointer to it, and the document sent."""

    wrong: str
    code: Code
    pointer: str
    sent: Any


@pytest.fixture(scope="module")
def service(server_url: Callable[[str], str], template: str) -> Iterator[Service]:
    """Serve a ledger with an order, a partly returned one and a cancelled one; all tests here leave it as it is."""
    with fresh_database(server_url, template) as database, serving(database) as service:
        record_orders(service)
        yield service


def record_orders(service: Service) -> None:
    """Record what the cases need to be wrong about."""
    service.define(standard="1", old="1")
    service.change({"action": "retire_order_type", "order_type": "old", "effective_from": "2026-01-01"})
    service.record(placed("SO-1", lines=[line(1), line(2)]))
    service.record(placed("SO-2"))
    service.record({**returned(part()), "event_id": "return-SO-2"})
    service.record(placed("SO-3"))
    service.record({**cancelled("SO-3"), "event_id": "cancel-SO-3"})
    service.app.projector.catch_up()


@pytest.fixture(autouse=True)
def no_trace(service: Service) -> Iterator[None]:
    """See that nothing a test sends is recorded: the head and the number of events stay."""
    before = service.trace()
    yield
    assert service.trace() == before


EVENT_CASES = [
    Case("unknown field", Code.unknown_field, "/colour", {**new(), "colour": "red"}),
    Case("unknown field of the data", Code.unknown_field, "/data/totel", new(totel="1")),
    Case("unknown field of a line", Code.unknown_field, "/data/lines/1/a~1b~0c.d", lines(**{"a/b~c.d": 1})),
    Case("unknown event type", Code.invalid_value, "/type", {**new(), "type": "order.shipped"}),
    Case("no event type", Code.missing_field, "/type", without(new(), "type")),
    Case("no data", Code.missing_field, "/data", without(new(), "data")),
    Case("no amount", Code.missing_field, "/data/lines/0/amount", new(lines=[without(line(), "amount")])),
    Case("a number for the event type", Code.wrong_type, "/type", {**new(), "type": 5}),
    Case("data of another type", Code.wrong_type, "/data", {**new(), "data": []}),
    Case("a line of another type", Code.wrong_type, "/data/lines/0", new(lines=["P-1"])),
    Case("null", Code.wrong_type, "/order_id", {**new(), "order_id": None}),
    Case("text for a number", Code.wrong_type, "/data/lines/1/line_no", lines(line_no="2")),
    Case("a truth value for a number", Code.wrong_type, "/data/lines/1/line_no", lines(line_no=True)),
    Case("amount as a number", Code.wrong_type, "/data/lines/1/amount", lines(amount=12.5)),
    Case("quantity as a number", Code.wrong_type, "/data/lines/1/quantity", lines(quantity=3)),
    Case("share as a number", Code.wrong_type, "/data/splits/0/share", shares(1)),
    Case("seven decimals", Code.invalid_amount, "/data/lines/1/amount", lines(amount="0.1234567")),
    Case("fourteen digits", Code.invalid_amount, "/data/lines/1/amount", lines(amount="10000000000000")),
    Case("beyond 9.2 trillion", Code.invalid_amount, "/data/lines/1/amount", lines(amount="9223372036854.775808")),
    Case("an exponent", Code.invalid_amount, "/data/lines/1/quantity", lines(quantity="1e3")),
    Case("a separator", Code.invalid_amount, "/data/lines/1/amount", lines(amount="1,234.50")),
    Case("digits of another script", Code.invalid_amount, "/data/lines/1/amount", lines(amount="１２")),
    Case("not a number", Code.invalid_amount, "/data/lines/1/amount", lines(amount="NaN")),
    Case("no digits", Code.invalid_amount, "/data/lines/1/amount", lines(amount="")),
    Case("a line end after the amount", Code.invalid_amount, "/data/lines/1/amount", lines(amount="1\n")),
    Case("shares below 1", Code.splits_not_one, "/data/splits", shares("0.5", "0.4999")),
    Case("shares above 1", Code.splits_not_one, "/data/splits", shares("0.5", "0.5001")),
    Case("shares of a handover", Code.splits_not_one, "/data/splits", reassigned(person("ann", "0.5"))),
    Case("a zero share", Code.invalid_share, "/data/splits/1/share", shares("1", "0")),
    Case("a negative share", Code.invalid_share, "/data/splits/1/share", shares("1", "-0.5")),
    Case("five decimals of a share", Code.invalid_share, "/data/splits/0/share", shares("0.33333", "0.66667")),
    Case("somebody twice", Code.duplicate_salesperson, "/data/splits/1/salesperson_id", sold_by("ann", "ann")),
    Case("unknown order type", Code.unknown_order_type, "/data/order_type", new(order_type="unheard-of")),
    Case("retired order type", Code.retired_order_type, "/data/order_type", new(order_type="old")),
    Case("unknown currency", Code.unknown_currency, "/data/currency", new(currency="EURO")),
    Case("a currency in small letters", Code.unknown_currency, "/data/currency", new(currency="eur")),
    Case("gold", Code.unknown_currency, "/data/currency", new(currency="XAU")),
    Case("30 February", Code.invalid_date, "/data/ordered_on", new(ordered_on="2026-02-30")),
    Case("29 February of no leap year", Code.invalid_date, "/data/ordered_on", new(ordered_on="2026-02-29")),
    Case("year 0", Code.invalid_date, "/data/ordered_on", new(ordered_on="0000-01-01")),
    Case("a date in another form", Code.invalid_date, "/data/ordered_on", new(ordered_on="01.03.2026")),
    Case("an instant for a date", Code.invalid_date, "/data/ordered_on", new(ordered_on="2026-03-01T00:00:00Z")),
    Case("1899", Code.invalid_date, "/data/ordered_on", new(ordered_on="1899-12-31")),
    Case("2200", Code.invalid_date, "/data/ordered_on", new(ordered_on="2200-01-01")),
    Case("returned before ordered", Code.date_before_order, "/data/returned_on", returned(part(), on="2026-03-09")),
    Case("cancelled before ordered", Code.date_before_order, "/data/cancelled_on", cancelled(on="2026-03-09")),
    Case("more money back than sold", Code.return_exceeds_sale, "/data/lines/0", returned(part(amount="40.01"))),
    Case("more pieces back than sold", Code.return_exceeds_sale, "/data/lines/0", returned(part(1, "4", "1"))),
    Case("a sale instead of a return", Code.return_exceeds_sale, "/data/lines/0", returned(part(amount="-1"))),
    Case("a return of no such line", Code.unknown_line, "/data/lines/0/line_no", returned(part(7))),
    Case("nothing returned", Code.nothing_changed, "/data/lines/0", returned(part(1, "0", "0"))),
    Case("a return without lines", Code.invalid_value, "/data/lines", returned()),
    Case("amended below the return", Code.return_exceeds_sale, "/data/lines", amended("SO-2", line(amount="59.99"))),
    Case("an amendment of nothing", Code.nothing_changed, "/data", amended("SO-1")),
    Case("the same split again", Code.nothing_changed, "/data", reassigned(person("ann"))),
    Case("an order that is not there", Code.order_not_found, "/order_id", cancelled("NOT-THERE")),
    Case("an order that is there", Code.order_exists, "/order_id", {**placed("SO-1"), "event_id": "bad"}),
    Case("a cancelled order", Code.order_cancelled, "/data", cancelled("SO-3")),
    Case("the same id, other content", Code.event_id_conflict, "/event_id", placed("SO-1", amount="1")),
    Case("the same id, another order", Code.event_id_conflict, "/event_id", {**placed("SO-2"), "order_id": "NEW"}),
    Case("the same id, another event", Code.event_id_conflict, "/event_id", {**cancelled(), "event_id": "place-SO-1"}),
    Case("another version", Code.version_conflict, "/expected_version", {**cancelled(), "expected_version": 2}),
    Case("a line number twice", Code.duplicate_line, "/data/lines/1/line_no", lines(line_no=1)),
    Case("line 0", Code.invalid_value, "/data/lines/1/line_no", lines(line_no=0)),
    Case("line 2147483648", Code.invalid_value, "/data/lines/1/line_no", lines(line_no=2**31)),
    Case("no lines", Code.invalid_value, "/data/lines", new(lines=[])),
    Case("a line too many", Code.too_many_lines, "/data/lines", many(LINES_MAX + 1)),
    Case("10,000 lines", Code.too_many_lines, "/data/lines", many(10_000)),
    Case("NUL in a product", Code.invalid_value, "/data/lines/1/product_id", lines(product_id="P\0")),
    Case("NUL in a name", Code.invalid_value, "/data/customer_name", new(customer_name="A\0B")),
    Case("NUL in an amount", Code.invalid_amount, "/data/lines/1/amount", lines(amount="1\0")),
    Case("NUL in a source", Code.invalid_value, "/source", {**new(), "source": "sh\0op"}),
    Case("NUL in an event id", Code.invalid_value, "/event_id", {**cancelled(), "event_id": "\0"}),
    Case("NUL in an order's id", Code.invalid_value, "/order_id", cancelled("SO\0-1")),
    Case("a line end in an event id", Code.invalid_value, "/event_id", {**new(), "event_id": "e\r\n1"}),
    Case("a tab in a salesperson", Code.invalid_value, "/data/splits/0/salesperson_id", sold_by("a\tb")),
    Case("a C1 control character", Code.invalid_value, "/data/lines/1/category", lines(category="\x85")),
    Case("text that turns around", Code.invalid_value, "/data/customer_id", new(customer_id="C\u202e1")),
    Case("a zero-width space", Code.invalid_value, "/order_id", {**new(), "order_id": "SO\u200b-1"}),
    Case("a space at the end", Code.invalid_value, "/order_id", {**new(), "order_id": "SO-1 "}),
    Case("an empty identifier", Code.invalid_value, "/data/customer_id", new(customer_id="")),
    Case("a name too long", Code.invalid_value, "/data/lines/1/product_name", lines(product_name="x" * 501)),
    Case("a blank name", Code.invalid_value, "/data/customer_name", new(customer_name="  ")),
]


def rule(**changes: Any) -> dict[str, Any]:
    """A change of one rule."""
    alteration = {"action": "set_rule", "conditions": {"order_type": "standard"}, "share": "0.5"}
    return change({**alteration, "effective_from": "2026-01-01", **changes})


def change(*alterations: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A rule change."""
    return {"alterations": list(alterations), "reason": "as agreed", **more}


END = {"action": "end_rule", "effective_from": "2026-01-01", "conditions": {"category": "K"}}
DEFINE = {"action": "define_order_type", "order_type": "standard", "share": "1"}
SET = rule()["alterations"][0]
TYPE, PRODUCT = "/alterations/0/conditions/order_type", "/alterations/0/conditions/product_id"
RULE_CASES = [
    Case("unknown field", Code.unknown_field, "/alterations/0/to", rule(to="2026-02-01")),
    Case("unknown action", Code.invalid_value, "/alterations/0/action", rule(action="drop_rule")),
    Case("no reason", Code.missing_field, "/reason", without(rule(), "reason")),
    Case("an empty reason", Code.invalid_value, "/reason", {**rule(), "reason": ""}),
    Case("no alterations", Code.invalid_value, "/alterations", change()),
    Case("a share as a number", Code.wrong_type, "/alterations/0/share", rule(share=1)),
    Case("an empty range", Code.empty_range, "/alterations/0/effective_to", rule(effective_to="2026-01-01")),
    Case("no such day", Code.invalid_date, "/alterations/0/effective_from", rule(effective_from="2026-04-31")),
    Case("no conditions", Code.invalid_value, "/alterations/0/conditions", rule(conditions={})),
    Case("NUL in a condition", Code.invalid_value, PRODUCT, rule(conditions={"product_id": "\0"})),
    Case("unknown order type", Code.unknown_order_type, TYPE, rule(conditions={"order_type": "x"})),
    Case("an order type twice", Code.order_type_exists, "/alterations/0/order_type", change(DEFINE)),
    Case("no such rule", Code.unknown_rule, "/alterations/0/conditions", change(END)),
    Case("said twice", Code.contradictory_alterations, "/alterations/1", change(SET, {**SET, "share": "0"})),
    Case("what holds already", Code.nothing_changed, "/alterations", rule(share="1")),
    Case("a control character in its id", Code.invalid_value, "/rule_change_id", {**rule(), "rule_change_id": "a\0"}),
]
CLASSED = {"customer_class": "house", "effective_from": "2026-01-01"}
CLASS_CASES = [
    Case("no such day", Code.invalid_date, "/effective_from", {**CLASSED, "effective_from": "2026-02-30"}),
    Case("an empty range", Code.empty_range, "/effective_to", {**CLASSED, "effective_to": "2025-01-01"}),
    Case("unknown field", Code.unknown_field, "/class", {**CLASSED, "class": "house"}),
    Case("no class", Code.missing_field, "/customer_class", {"effective_from": "2026-01-01"}),
    Case("NUL", Code.invalid_value, "/customer_class", {**CLASSED, "customer_class": "\0"}),
]


def check_pointer(case: Case, error: Any, prefix: str, document: Any) -> None:
    """See that the pointer is the expected one, and resolves in what was sent; of a missing field, its parent does."""
    assert error["pointer"] == prefix + case.pointer
    if case.code is not Code.missing_field:
        resolve(document, error["pointer"])
        return
    parent, _, name = error["pointer"].rpartition("/")
    assert name not in resolve(document, parent)


@pytest.mark.parametrize("case", EVENT_CASES, ids=lambda case: case.wrong)
def test_a_bad_event_is_refused(service: Service, case: Case) -> None:
    """Alone, in an atomic batch behind a good one, which goes unrecorded too, and in a batch per item."""
    check_pointer(case, refused(service.post(EVENTS, case.sent), case.code)[0], "", case.sent)
    batch = {"events": [placed("GOOD"), case.sent]}
    lead, error = refused(service.post(BULK, batch), Code.atomic_batch_refused)[:2]
    assert (error["code"], lead["pointer"]) == (case.code.name, "")
    check_pointer(case, error, "/events/1", batch)
    response = service.post(BULK, {"events": [case.sent], "mode": "per_item"})
    (result,) = response.get_json()["results"]
    problem = result["problem"]
    assert (response.status_code, result["status"], problem["code"]) == (422, case.code.status, case.code.name)
    check_pointer(case, problem["errors"][0], "", case.sent)


@pytest.mark.parametrize("case", RULE_CASES, ids=lambda case: case.wrong)
def test_a_bad_rule_change_is_refused(service: Service, case: Case) -> None:
    check_pointer(case, refused(service.post(RULES, case.sent, "rules"), case.code)[0], "", case.sent)


@pytest.mark.parametrize("case", CLASS_CASES, ids=lambda case: case.wrong)
def test_a_bad_customer_class_is_refused(service: Service, case: Case) -> None:
    response = service.ask("PUT", CLASS, "ingest", sent=case.sent)
    check_pointer(case, refused(response, case.code)[0], "", case.sent)


# ---- bodies


TEXTS = {EVENTS: b'{"type": "order.placed", "source": %s}', BULK: b'{"mode": %s}', RULES: b'{"reason": %s}'}
NOT_JSON = {
    "a value that is none": b"order 1",
    "half a document": b'"shop',
    "not a number": b"NaN",
    "invalid UTF-8": b'"\xff"',
    "overlong UTF-8": b'"\xc0\x80"',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "a lone surrogate": b'"\\ud800"',
    "a pair the wrong way round": b'"\\udc00\\ud800"',
    "a raw control character": b'"\x01"',
}


@pytest.mark.parametrize("path", TEXTS)
@pytest.mark.parametrize("value", NOT_JSON.values(), ids=NOT_JSON)
def test_a_body_that_is_not_json_is_refused(service: Service, path: str, value: bytes) -> None:
    for body in (b"", TEXTS[path] % value):
        refused(service.ask("POST", path, WRITERS[path], data=body), Code.malformed_json)


@pytest.mark.parametrize("more", [b"{}", b",", b"\0", b"]", b"x"])
def test_a_body_with_more_behind_its_document_is_refused(service: Service, more: bytes) -> None:
    refused(service.ask("POST", EVENTS, "ingest", data=json.dumps(new()).encode() + more), Code.malformed_json)


@pytest.mark.parametrize("path", TEXTS)
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"x":', b"}")])
def test_a_body_nested_without_end_is_refused(service: Service, path: str, opening: bytes, closing: bytes) -> None:
    """What it is called depends on where it is, but it is refused, and the process lives."""
    nested = opening * 200_000 + b"1" + closing * 200_000
    for body in (nested, TEXTS[path] % nested, b'{"events": [%s]}' % nested, b'{"x": %s}' % nested):
        assert service.ask("POST", path, WRITERS[path], data=body).status_code in {400, 422}


@pytest.mark.parametrize("path", TEXTS)
@pytest.mark.parametrize("body", [b"[[[", b"[", b'{"type": 5', b'{"reason": 5,', b'{"mode": 5, "x": nul}'])
def test_a_body_that_is_not_json_is_told_so_whatever_is_wrong_before(service: Service, path: str, body: bytes) -> None:
    refused(service.ask("POST", path, WRITERS[path], data=body), Code.malformed_json)


def test_a_fault_of_json_is_told_as_what_it_is(service: Service) -> None:
    for value, told in ((rb'"\ud800"', "half a surrogate pair"), (b'"shop', "truncated"), (rb'"\ud800', "truncated")):
        (error,) = refused(service.ask("POST", EVENTS, "ingest", data=TEXTS[EVENTS] % value), Code.malformed_json)
        assert told in error["detail"]


def test_a_number_beyond_every_type_is_of_the_wrong_one(service: Service) -> None:
    (error,) = refused(service.ask("POST", EVENTS, "ingest", data=b'{"type": 1e999}'), Code.wrong_type)
    assert error["pointer"] == "/type"


@pytest.mark.parametrize("sent", [None, [], "order.placed", 1, True])
def test_a_body_that_is_no_object_is_refused(service: Service, sent: object) -> None:
    for path, role in WRITERS.items():
        assert refused(service.post(path, sent, role), Code.wrong_type)[0]["pointer"] == ""


def test_a_body_of_another_media_type_is_refused(service: Service) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        response = service.ask("POST", EVENTS, "ingest", data=b"{}", content_type=content_type)
        refused(response, Code.unsupported_media_type)


DEFINING = {"alterations": [{"action": "define_order_type", "order_type": "x", "share": "1"}], "reason": "r"}


@pytest.mark.parametrize(
    ("path", "sent", "field", "twice", "pointer"),
    [
        (EVENTS, new(), '"order_id"', '"order_id": "SO-other", "order_id"', "/order_id"),
        (EVENTS, new(), '"order_id"', r'"order\u005fid": "SO-other", "order_id"', "/order_id"),
        (EVENTS, new(), '"amount"', '"amount": "1", "amount"', "/data/lines/0/amount"),
        (RULES, DEFINING, '"share"', '"share": "1", "share"', "/alterations/0/share"),
        (RULES, DEFINING, '"reason"', '"reason": "r", "reason": "s", "reason"', "/reason"),
    ],
)
def test_a_field_that_is_twice_in_an_object_is_refused(
    service: Service, path: str, sent: Any, field: str, twice: str, pointer: str
) -> None:
    """Whichever is meant, and also where both say the same."""
    body = json.dumps(sent).replace(field, twice, 1).encode()
    (error,) = refused(service.ask("POST", path, WRITERS[path], data=body), Code.duplicate_field)
    assert error["pointer"] == pointer


@pytest.mark.parametrize("coding", ["gzip", "GZIP, identity", "br", 'nonsense"<'])
def test_a_body_of_another_content_coding_is_refused(service: Service, coding: str) -> None:
    """RFC 9110, 8.4 and 15.5.16; another media type has no Accept-Encoding."""
    response = service.ask("POST", EVENTS, "ingest", sent=new(), headers={"Content-Encoding": coding})
    (error,) = refused(response, Code.unsupported_content_encoding)
    assert coding[:4] in error["detail"]
    assert response.headers["Accept-Encoding"] == "identity"
    plain = service.ask("POST", EVENTS, "ingest", data=b"{}", content_type="text/plain")
    assert "Accept-Encoding" not in plain.headers


def test_a_body_that_is_said_to_be_as_it_is_is_read(service: Service) -> None:
    refused(
        service.ask("POST", EVENTS, "ingest", sent={}, headers={"Content-Encoding": "Identity"}), Code.missing_field
    )


@pytest.mark.parametrize("stated", [True, False])
def test_a_body_of_100_mb_is_refused_without_being_read(service: Service, stated: bool) -> None:
    """Not at all where its length is stated, and up to the limit where it comes in chunks."""
    body = Zeros(100 * 1024 * 1024)
    environ: dict[str, Any] = {"wsgi.input_terminated": True, "wsgi.input": body}
    if stated:
        environ["CONTENT_LENGTH"] = str(body.size)
    response = service.ask("POST", EVENTS, "ingest", content_type="application/json", environ_overrides=environ)
    assert response.status_code == 413
    assert body.size - body.left <= (0 if stated else BODY_BYTES_MAX + 1024 * 1024)
    if stated:
        assert "larger than 16 MiB" in refused(response, Code.body_too_large)[0]["detail"]


def test_a_batch_of_too_many_or_no_events_is_refused(service: Service) -> None:
    too_many = {"events": [placed("GOOD")] * (EVENTS_MAX + 1)}
    assert refused(service.post(BULK, too_many), Code.too_many_events)[0]["pointer"] == "/events"
    assert refused(service.post(BULK, {"events": []}), Code.invalid_value)[0]["pointer"] == "/events"
    bad_mode = {"events": [placed("GOOD")], "mode": "some"}
    assert refused(service.post(BULK, bad_mode), Code.invalid_value)[0]["pointer"] == "/mode"


def test_an_id_used_twice_in_a_batch_stands_for_one_content(service: Service) -> None:
    batch = {"events": [placed("GOOD"), placed("GOOD", amount="1")]}
    error = refused(service.post(BULK, batch), Code.atomic_batch_refused)[1]
    assert (error["code"], error["pointer"]) == ("event_id_conflict", "/events/1/event_id")


# ---- addresses and parameters


FIGURES, FEED = "/v1/performance?period=2026-Q1", "/v1/events"
QUERY_CASES = [
    Case("no period", Code.invalid_parameter, "/period", "/v1/performance"),
    Case("a month 13", Code.invalid_period, "/period", "/v1/performance?period=2026-13"),
    Case("a quarter 5", Code.invalid_period, "/period", "/v1/performance?period=2026-Q5"),
    Case("no day at all", Code.invalid_period, "/period", "/v1/performance?period=2026-02-01..2026-02-01"),
    Case("NUL in a period", Code.invalid_period, "/period", "/v1/performance?period=2026%00"),
    Case("unknown parameter", Code.invalid_parameter, "/colour", FIGURES + "&colour=red"),
    Case("both", Code.invalid_parameter, "/known_at", FIGURES + "&position=1&known_at=2026-01-01T00:00:00Z"),
    Case("negative position", Code.invalid_parameter, "/position", FIGURES + "&position=-1"),
    Case("a number too large", Code.invalid_parameter, "/position", FIGURES + "&position=9223372036854775808"),
    Case("no instant", Code.invalid_parameter, "/known_at", FIGURES + "&known_at=yesterday"),
    Case("negative limit", Code.invalid_parameter, "/limit", FIGURES + "&limit=-1"),
    Case("limit too large", Code.invalid_parameter, "/limit", FEED + "?limit=5001"),
    Case("negative after", Code.invalid_parameter, "/after", FEED + "?after=-1"),
    Case("wait too long", Code.invalid_parameter, "/wait", FEED + "?wait=21"),
    Case("unknown grouping", Code.invalid_parameter, "/group_by", FIGURES + "&group_by=moon"),
    Case("no grouping", Code.invalid_parameter, "/group_by", FIGURES + "&group_by="),
    Case("of no id", Code.invalid_parameter, "/salesperson_id", FIGURES + "&salesperson_id=%20"),
    Case("one's by month", Code.invalid_parameter, "/salesperson_id", FIGURES + "&group_by=month&salesperson_id=ann"),
    Case("a made-up cursor", Code.invalid_parameter, "/cursor", FIGURES + "&cursor=%00%ff"),
    Case("another route's cursor", Code.invalid_parameter, "/cursor", FIGURES + "&cursor=Ny40LjA"),
    Case("no such day", Code.invalid_parameter, "/on", "/v1/rules?on=2026-02-30"),
    Case("no such order", Code.order_not_found, "", "/v1/orders/NOT-THERE"),
    Case("no such rule change", Code.not_found, "", "/v1/rule-changes/NOT-THERE"),
    Case("no such address", Code.not_found, "", "/v1/nothing"),
    Case("a method it does not take", Code.method_not_allowed, "", EVENTS),
]


@pytest.mark.parametrize("case", QUERY_CASES, ids=lambda case: case.wrong)
def test_a_bad_question_is_refused(service: Service, case: Case) -> None:
    """The pointer names the parameter."""
    errors = refused(service.ask("GET", case.sent, "auditor"), case.code)
    assert [error["pointer"] for error in errors] == [case.pointer]


def test_what_is_wrong_with_a_parameter_is_a_sentence(service: Service) -> None:
    """Whoever says it: the libraries' texts end with a full stop, ours do not."""
    for more, told in (
        ("position=1&known_at=2026-01-01T00:00:00Z", "known_at: give position or known_at, not both."),
        ("position=x", "position: Not a valid integer."),
    ):
        (error,) = refused(service.ask("GET", f"{FIGURES}&{more}", "auditor"), Code.invalid_parameter)
        assert error["detail"] == f"{told} See /docs for the parameters."


def test_a_method_that_an_address_does_not_take_is_told_with_those_it_takes(service: Service) -> None:
    """RFC 9110, 15.5.6: the answer names them in Allow."""
    for method, path, allowed in (("GET", EVENTS, {"POST"}), ("DELETE", "/v1/rules", {"GET", "HEAD"})):
        response = service.ask(method, path, "auditor")
        refused(response, Code.method_not_allowed)
        assert {each.strip() for each in response.headers["Allow"].split(",")} - {"OPTIONS"} == allowed


@pytest.mark.parametrize("path", ["/v1//periods", "/v1/rules//history"])
def test_an_address_with_a_slash_too_many_is_none(service: Service, path: str) -> None:
    """And no redirection, whose page would be HTML."""
    refused(service.ask("GET", path, "auditor"), Code.not_found)


@pytest.mark.parametrize("path", [FIGURES + "&", "/v1/orders/SO-1?", "/v1/rules?", "/v1/periods?"])
def test_a_position_beyond_the_ledger_is_refused_at_once(service: Service, path: str) -> None:
    """Nobody was told it, so there is nothing to wait for; what is recorded and not projected: test_http_walk.py."""
    head, begun = service.app.store.head(), time.monotonic()
    response = service.ask("GET", f"{path}position={head + 1}", "auditor")
    (error,) = refused(response, Code.position_ahead)
    assert time.monotonic() - begun < POSITION_WAIT_MILLISECONDS / 1000
    assert (error["pointer"], f"the ledger is at {head}" in error["detail"]) == ("/position", True)
    assert "Retry-After" not in response.headers
    assert service.ask("GET", f"{path}position={head}", "auditor").status_code == 200


@pytest.mark.parametrize("wait", ["", "&wait=20"])
def test_nobody_waits_for_events_behind_a_position_beyond_the_ledger(service: Service, wait: str) -> None:
    head, begun = service.app.store.head(), time.monotonic()
    for after in (head + 1, 2**63 - 1):
        (error,) = refused(service.ask("GET", f"{FEED}?after={after}{wait}", "auditor"), Code.position_ahead)
        assert (error["pointer"], f"the ledger is at {head}" in error["detail"]) == ("/after", True)
    assert time.monotonic() - begun < 10
    assert service.get(FEED, after=head) == []


# ---- the codes


HERE = {
    *(Code.malformed_json, Code.unsupported_media_type, Code.unsupported_content_encoding, Code.body_too_large),
    Code.duplicate_field,
    Code.too_many_events,
    *(Code.atomic_batch_refused, Code.position_ahead),
}
ELSEWHERE = {
    "test_access.py": {Code.unauthenticated, Code.forbidden},
    "test_cli.py": {
        Code.file_not_found,
        Code.invalid_csv,
        Code.orphan_line,
        Code.ledger_not_initialised,
        Code.ledger_initialised,
    },
    "test_imports.py": {
        Code.ambiguous_value,
        Code.unmapped_column,
        Code.spreadsheet_error,
        Code.damaged_identifier,
        Code.unknown_encoding,
        Code.events_not_rows,
        Code.invalid_workbook,
        Code.import_not_found,
        Code.import_not_ready,
    },
    "test_periods.py": {Code.invalid_calendar, Code.calendar_gap, Code.not_a_closing_period},
    "test_statements.py": {
        Code.period_closed,
        Code.period_open,
        Code.period_not_over,
        Code.period_out_of_order,
        Code.period_moved,
        Code.carry_not_forward,
        Code.date_outside_period,
        Code.duplicate_adjustment,
    },
    "test_http_walk.py": {Code.not_yet_projected},
    "test_periods_http.py": {Code.period_not_begun},
    "test_checkpoints.py": {
        Code.signing_key_missing,
        Code.signing_key_exists,
        Code.signing_key_unknown,
        Code.invalid_note,
        Code.checkpoint_not_found,
        Code.ledger_inconsistent,
    },
    "test_bundle.py": {
        Code.nothing_recorded,
        Code.folder_unusable,
        Code.invalid_bundle,
        Code.checkpoint_differs,
        Code.ledger_not_empty,
    },
    "test_rate_limits.py": {Code.rate_limited},
    "test_sessions.py": {Code.cross_site_request},
    "test_oidc.py": {Code.sign_in_refused, Code.no_role, Code.sign_in_unavailable},
    "test_service.py": {Code.storage_unavailable, Code.internal_error},
    "test_operations.py": {Code.took_too_long},
    "test_preconditions.py": {Code.precondition_required, Code.precondition_failed},
    "test_idempotency.py": {
        Code.idempotency_key_malformed,
        Code.idempotency_key_reused,
        Code.idempotency_key_in_use,
    },
    "test_webhooks.py": {Code.invalid_url, Code.too_many_webhooks},
    "test_webhooks_http.py": {Code.webhook_not_found},
    "test_http_changes.py": {
        Code.rule_change_decided,
        Code.own_proposal,
        Code.not_the_proposer,
        Code.impact_moved,
        Code.change_needed,
    },
}
NOT_PROVOKED = dict[Code, str]()


def test_every_code_is_provoked() -> None:
    """Here, or in the test named, which mentions it; or there is a reason why not."""
    tables = {case.code for case in (*EVENT_CASES, *RULE_CASES, *CLASS_CASES, *QUERY_CASES)}
    provoked = tables.union(HERE, *ELSEWHERE.values())
    assert (provoked | set(NOT_PROVOKED), provoked & set(NOT_PROVOKED)) == (set(Code), set())
    for name, codes in ELSEWHERE.items():
        text = Path(__file__).with_name(name).read_text(encoding="utf-8")
        assert [code for code in codes if code.name not in text] == []
