"""Webhooks over HTTP and on the command line: made, read, switched, tried out and replayed; secrets are shown once."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api import webhook_messages
from api.shapes import WEBHOOK_TYPES, DeliveryAnswer, WebhookAnswer, WebhookRequest
from api.webhook_dispatcher import ATTEMPTS_MAX, RETRY_SECONDS
from api.webhook_messages import CarriedForwardData, EventData, Message, RuleChangeData, StatementData, TestData
from api.webhook_sender import SECONDS_MAX
from ledger.access_log import WEBHOOK_CHANGED
from ledger.database import Database
from ledger.refusal import Code
from ledger.webhook_urls import Reach
from ledger.webhooks import DEFAULT_TYPES, DELIVERIES_KEPT, ENDPOINTS_MAX, EVENT_TYPES, OUTCOMES
from tests.figures import figures
from tests.http_client import Service, placed, refused, serving
from tests.test_cli import CommandLine
from tests.test_webhooks import until
from tests.webhook_receiver import Receiver, receiving

HOOKS = "/v1/webhooks"
DOCUMENT = (Path(__file__).parent.parent / "docs" / "webhooks.md").read_text(encoding="utf-8")


@pytest.fixture
def service(database: Database) -> Iterator[Service]:
    """Serve a ledger whose webhooks may go to this machine."""
    with serving(database) as service:
        service.app.webhook_sender.reach = Reach(insecure=True)
        yield service


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Give a receiver."""
    with receiving() as receiver:
        yield receiver


def make(service: Service, url: str, **asked: Any) -> tuple[str, str]:
    """Make a webhook; give its address and its secret."""
    response = service.post(HOOKS, {"url": url, **asked}, "admin")
    assert response.status_code == 201, response.text
    return f"{HOOKS}/{response.get_json()['webhook']['id']}", response.get_json()["secret"]


def post(service: Service, path: str, sent: Any = None) -> Any:
    """Ask for what must be done."""
    response = service.ask("POST", path, "admin", **({} if sent is None else {"sent": sent}))
    assert response.status_code == 200, response.text
    return response.json


def test_closes_restatements_and_rule_changes_are_told(service: Service, receiver: Receiver) -> None:
    """By the running service, each with an address at which whoever may read it finds it."""
    _, secret = make(service, receiver.url, event_types=EVENT_TYPES)
    service.app.start_webhooks()
    service.define(standard="1")
    for command, sent in (("close", {}), ("restate", {}), ("carry-forward", {"into_period": "2024-Q2"})):
        service.record(placed(f"BEFORE-{command}", ordered_on="2024-02-10"))
        service.catch_up()
        response = service.post(f"/v1/periods/2024-Q1/{command}", {"reason": "as agreed", **sent}, "finance")
        assert response.status_code == 201, response.text
    receiver.wait_for(5)
    messages = [each.verified(secret) for each in receiver.requests]
    assert [each["type"] for each in messages] == [
        *("rule_change.proposed", "rule_change.approved"),
        *("period.closed", "period.restated", "period.carried_forward"),
    ]
    assert [each["data"]["actor"] for each in messages][1:3] == ["approver-clerk", "finance-clerk"]
    assert [each["data"].get("statement") for each in messages][2:4] == [1, 2]
    assert messages[4]["data"]["into_period"] == "2024-Q2"
    for message in messages:
        assert service.get(message["data"]["address"])
        assert "amount" not in str(message)
        assert not re.search(r"\b100\b", str(message["data"])), "digits of ids and moments are no amount"


def test_a_webhook_is_made_read_and_deleted(service: Service) -> None:
    """Its secret is in the answer that makes it, and nowhere else."""
    position = service.define(standard="1")
    address, secret = make(service, "https://hooks.example/x", description="ERP")
    found = service.get(address, "admin")
    assert (found["url"], found["description"], found["state"]) == ("https://hooks.example/x", "ERP", "active")
    assert (found["position"], found["waiting"], found["event_types"]) == (position, 0, list(DEFAULT_TYPES))
    assert (found["created_by"], found["last_attempt"], found["replay"]) == ("admin-clerk", None, None)
    other, _ = make(service, "https://hooks.example/y", from_position=0, event_types=["rule_change.proposed"])
    listed = service.get(HOOKS, "admin")
    assert (listed["head"], [each["waiting"] for each in listed["webhooks"]]) == (position, [0, 1])
    for path in (HOOKS, address, f"{address}/deliveries"):
        assert secret not in service.ask("GET", path, "admin").text
    assert service.ask("DELETE", address, "admin").status_code == 204
    refused(service.ask("GET", address, "admin"), Code.webhook_not_found)
    assert [each["id"] for each in service.get(HOOKS, "admin")["webhooks"]] == [other.rpartition("/")[2]]


def test_what_a_client_is_told_by_default_is_what_the_ledger_tells() -> None:
    """A client has the types without the ledger's modules."""
    assert WEBHOOK_TYPES == DEFAULT_TYPES


@pytest.mark.parametrize(
    ("sent", "code", "pointer"),
    [
        ({}, Code.missing_field, "/url"),
        ({"url": 7}, Code.wrong_type, "/url"),
        ({"url": "https://10.0.0.1/"}, Code.invalid_url, "/url"),
        ({"url": "https://a.example/", "secret": "whsec_x"}, Code.unknown_field, "/secret"),
        ({"url": "https://a.example/", "event_types": []}, Code.invalid_value, "/event_types"),
        ({"url": "https://a.example/", "event_types": ["order.placed"]}, Code.invalid_value, "/event_types/0"),
        ({"url": "https://a.example/", "event_types": [EVENT_TYPES[0]] * 2}, Code.invalid_value, "/event_types"),
        ({"url": "https://a.example/", "from_position": 1}, Code.invalid_value, "/from_position"),
        ({"url": "https://a.example/", "from_position": -1}, Code.invalid_value, "/from_position"),
        ({"url": "https://a.example/", "from_position": 2**80}, Code.invalid_value, "/from_position"),
        ({"url": "https://a.example/", "description": "a\0b"}, Code.invalid_value, "/description"),
    ],
)
def test_a_bad_webhook_is_refused(service: Service, sent: Any, code: Code, pointer: str) -> None:
    assert refused(service.post(HOOKS, sent, "admin"), code)[0]["pointer"] == pointer
    assert service.get(HOOKS, "admin")["webhooks"] == []


@pytest.mark.parametrize("webhook_id", ["none", "0123456789abcdef", "%00", "x" * 300, "%ED%A0%80"])
def test_a_webhook_that_is_not_there(service: Service, webhook_id: str) -> None:
    address = f"{HOOKS}/{webhook_id}"
    for method, path, sent in (
        *(("GET", address, None), ("DELETE", address, None), ("GET", f"{address}/deliveries", None)),
        *(("POST", f"{address}/{verb}", None) for verb in ("enable", "disable", "rotate-secret", "test")),
        ("POST", f"{address}/replay", {"from_position": 1}),
    ):
        response = service.ask(method, path, "admin", **({} if sent is None else {"sent": sent}))
        refused(response, Code.webhook_not_found)


def test_a_webhook_is_tried_out(service: Service, receiver: Receiver) -> None:
    """In any state; what became of it is answered and kept, and moves nothing."""
    address, secret = make(service, receiver.url)
    post(service, f"{address}/disable")
    receiver.answers.extend([200, 418])
    tried, failed = post(service, f"{address}/test"), post(service, f"{address}/test")
    assert (tried["outcome"], tried["status"], tried["position"]) == ("delivered", 200, None)
    assert (failed["outcome"], failed["status"]) == ("refused", 418)
    message = receiver.requests[0].verified(secret)
    assert (message["type"], message["data"]["requested_by"]) == ("webhook.test", "admin-clerk")
    assert receiver.requests[0].id != receiver.requests[1].id
    found = service.get(address, "admin")
    assert (found["state"], found["failures"], found["last_attempt"]["status"]) == ("disabled", 0, 418)


def test_a_webhook_is_switched_replayed_and_given_another_secret(service: Service, receiver: Receiver) -> None:
    service.define(standard="1")
    address, old = make(service, receiver.url, from_position=0, event_types=["rule_change.approved"])
    assert post(service, f"{address}/disable")["state_reason"] == "disabled by admin-clerk"
    deliver = service.app.dispatcher.deliver_due
    assert deliver() == 0
    enabled = post(service, f"{address}/enable")
    assert (enabled["state"], enabled["state_reason"], enabled["waiting"]) == ("active", None, 1)
    assert deliver() == 1
    refused(service.ask("POST", f"{address}/replay", "admin", sent={"from_position": 9}), Code.invalid_value)
    asked = post(service, f"{address}/replay", {"from_position": 1, "to_position": 99})
    assert (asked["replay"], asked["waiting"]) == ({"from_position": 1, "to_position": 2}, 1)
    rotated = post(service, f"{address}/rotate-secret")
    assert rotated["secret"] != old
    assert rotated["webhook"]["previous_secret_until"] is not None
    assert deliver() == 1
    first, second = receiver.requests
    assert (first.id, first.verified(old)) == (second.id, second.verified(old))
    assert second.verified(rotated["secret"])


def test_the_deliveries_are_paged_backwards(service: Service, receiver: Receiver) -> None:
    address, _ = make(service, receiver.url)
    for _ in range(5):
        post(service, f"{address}/test")
    found, query = list[int](), {"limit": 2}
    while True:
        page = service.get(f"{address}/deliveries", "admin", **query)
        found += [each["number"] for each in page["deliveries"]]
        if page["next_cursor"] is None:
            break
        query = {"limit": 2, "cursor": page["next_cursor"]}
    assert found == sorted(found, reverse=True)
    assert len(found) == 5
    refused(service.ask("GET", f"{address}/deliveries?cursor=x", "admin"), Code.invalid_parameter)


def test_who_changed_webhooks_is_written_down(service: Service) -> None:
    address, secret = make(service, "https://hooks.example/x?key=k-1")
    for verb in ("disable", "enable", "rotate-secret"):
        post(service, f"{address}/{verb}")
    service.ask("DELETE", address, "admin")
    refused(service.ask("DELETE", address, "admin"), Code.webhook_not_found)
    entries = service.get("/v1/audit/access", "admin", action=WEBHOOK_CHANGED)["entries"]
    webhook_id = address.rpartition("/")[2]
    assert [(each["principal"], each["subject"]) for each in entries] == [
        ("admin-clerk", f"{verb} webhook {webhook_id}")
        for verb in ("create", "disable", "enable", "rotate-secret", "delete")
    ]
    with service.database.cursor() as cursor:
        cursor.execute("SELECT string_agg(access::text, ' ') FROM access")
        (kept,) = cursor.fetchone() or ("",)
    assert "k-1" not in kept
    assert secret.removeprefix("whsec_") not in kept


def test_deliveries_and_failing_webhooks_are_in_the_figures(service: Service, receiver: Receiver) -> None:
    """And no figure names a webhook or its URL."""
    service.define(standard="1")
    address, _ = make(service, receiver.url, from_position=0)
    receiver.answers.append(410)
    service.app.dispatcher.deliver_due()
    text = service.ask("GET", "/metrics", None).text
    assert figures(text, "orderledger_webhook_deliveries_total") == {'outcome="gone"': 1}
    assert figures(text, "orderledger_webhook_endpoints") == {
        'state="active"': 0,
        'state="disabled"': 1,
        'state="failing"': 0,
    }
    assert address.rpartition("/")[2] not in text
    assert "127.0.0.1" not in text


# ---- the command line


def test_webhooks_on_the_command_line(database: Database, tmp_path: Path, receiver: Receiver) -> None:
    cli = CommandLine(database.url, tmp_path)
    cli.done("init", "--no-four-eyes")
    assert cli.run("webhook", "create", receiver.url).exit_code == 1
    webhook_id, secret = cli.done("webhook", "create", receiver.url, "--insecure", "--from-position", "0").split()
    cli.done("webhook", "disable", webhook_id)
    (listed,) = cli.rows("webhook", "list")
    assert (listed["id"], listed["state"], listed["url"]) == (webhook_id, "disabled", receiver.url)
    assert listed["reason"].startswith("disabled by cli:")
    cli.done("webhook", "enable", webhook_id)
    assert cli.done("webhook", "test", webhook_id, "--insecure").startswith("delivered in ")
    receiver.requests[0].verified(secret)
    assert "forbidden_address" in cli.run("webhook", "test", webhook_id).output
    assert receiver.requests[1:] == []
    again = cli.done("webhook", "rotate-secret", webhook_id).strip()
    assert again.startswith("whsec_")
    assert again != secret
    assert cli.run("webhook", "replay", webhook_id, "--from-position", "1").exit_code == 1
    assert [each["outcome"] for each in cli.rows("webhook", "deliveries", webhook_id)] == [
        "forbidden_address",
        "delivered",
    ]
    cli.done("webhook", "delete", webhook_id)
    assert cli.run("webhook", "delete", webhook_id).exit_code == 1
    assert cli.rows("webhook", "list") == []
    logged = [each["subject"] for each in cli.rows("audit", "access", "--action", WEBHOOK_CHANGED)["entries"]]
    assert [each.split()[0] for each in logged] == ["create", "disable", "enable", "rotate-secret", "delete"]


# ---- the document


def table(heading: str) -> list[str]:
    """Give the names in the first column of the table below a heading."""
    section = DOCUMENT.split(f"{heading}\n")[1].split("\n#")[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


@pytest.mark.parametrize("data", [EventData, RuleChangeData, StatementData, CarriedForwardData, TestData, Message])
def test_every_field_of_a_message_is_documented(data: type[msgspec.Struct]) -> None:
    """With those of what it extends in the table of that."""
    of_all = {field.name for field in msgspec.structs.fields(EventData)} if data.__base__ is EventData else set()
    names = [field.name for field in msgspec.structs.fields(data) if field.name not in of_all]
    assert table(f"### {data.__name__}") == names


def test_the_document_says_what_is() -> None:
    """The types, outcomes, waits and limits, and every field that an admin sends or reads."""
    assert table("## Which events") == [*EVENT_TYPES, webhook_messages.TEST_TYPE]
    assert table("## What becomes of an attempt") == list(OUTCOMES)
    waits = re.search(r"After a failed try the next is made ([^;]*);", re.sub(r"\s+", " ", DOCUMENT))
    assert waits is not None
    units = {"s": 1, "min": 60, "h": 3600}
    told = [int(number) * units[unit] for number, unit in re.findall(r"(\d+) (s|min|h)\b", waits[1])]
    assert told == list(RETRY_SECONDS)
    for said in (f"{ATTEMPTS_MAX} tries", f"{SECONDS_MAX} s", f"{ENDPOINTS_MAX} webhooks", f"last {DELIVERIES_KEPT} "):
        assert said in re.sub(r"\s+", " ", DOCUMENT), said
    for struct in (WebhookRequest, WebhookAnswer, DeliveryAnswer):
        for field in msgspec.structs.fields(struct):
            assert f"`{field.name}`" in DOCUMENT, field.name


def test_the_documents_example_verifies_what_is_sent(service: Service, receiver: Receiver) -> None:
    """The program in the document takes what the service sends, and refuses it with another secret."""
    (program,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    names = dict[str, Any]()
    exec(program, names)  # noqa: S102 - our own document
    verify: Callable[[str, dict[str, str], bytes], Any] = names["verified"]
    address, secret = make(service, receiver.url)
    post(service, f"{address}/test")
    received = receiver.requests[0]
    assert verify(secret, received.headers, received.body) == received.message
    for other in ("whsec_" + "A" * 44, secret[:-4] + "AAA="):
        with pytest.raises(ValueError, match="signature"):
            verify(other, received.headers, received.body)
    with pytest.raises(ValueError, match="old"):
        verify(secret, {**received.headers, "webhook-timestamp": "1000000000"}, received.body)


def test_a_stopped_service_delivers_nothing_more(service: Service, receiver: Receiver) -> None:
    """The dispatcher ends with the service."""
    make(service, receiver.url, event_types=["rule_change.proposed"])
    service.app.start_webhooks()
    service.define(standard="1")
    receiver.wait_for(1)
    service.app.stop()
    thread = service.app._dispatching
    assert thread is not None
    until(lambda: not thread.is_alive())
