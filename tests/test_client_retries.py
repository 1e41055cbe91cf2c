"""What the client repeats, when, and how it is recorded once all the same. Nothing waits: the sleep is replaced."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from datetime import UTC, date, datetime
from itertools import cycle, repeat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api.client import ANY, Client, Patience, Refused, Unreachable
from api.problems import problem_document
from api.shapes import ImportProfile, ProblemDocument, QuotaRequest, RuleChangeRequest, WebhookRequest
from ledger.database import Database
from ledger.events import Conditions, CustomerClassified, SetRule
from ledger.refusal import Code, Refusal
from tests.http_client import Service, placed, serving
from tests.service_thread import Answering, answering, listening, losing, serving_demo

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOKEN = "olk_1_secret"  # noqa: S105 - of nobody
RECORDED = b'{"position":7,"version":1,"duplicate":false}'
Step = Callable[[Answering], None]


class Slept(list[float]):
    """The seconds that a client would have slept."""

    def patience(self, **more: Any) -> Patience:
        """Give patience that costs nothing; by chance it is always the longest."""
        return Patience(clock=lambda: NOW, sleep=self.append, chance=lambda: 1.0, **more)


class Asked:
    """The requests that a recording server was asked."""

    def __init__(self, url: str, requests: list[tuple[str, str, dict[str, str], bytes]]) -> None:
        self.url = url
        self.requests = requests

    def headers(self, name: str) -> list[str | None]:
        """Give a header of each request."""
        return [headers.get(name) for _, _, headers, _ in self.requests]


def refuse(code: Code, **headers: str) -> Step:
    """Answer with a problem document."""
    document = ProblemDocument(f"/errors/{code.name}", str(code.title), code.status, "as asked", code.name, [], "r-1")
    body = msgspec.json.encode(document)
    return lambda request: request.answer(code.status, body, Content_Type="application/problem+json", **headers)


def say(status: int, body: bytes = RECORDED, **headers: str) -> Step:
    """Answer with JSON."""
    return lambda request: request.answer(status, body, **{"Content_Type": "application/json", **headers})


def vanish(request: Answering) -> None:
    """Answer nothing."""
    request.vanish()


def stop_halfway(request: Answering) -> None:
    """Answer a part of what was announced."""
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(b'{"position":')
    request.vanish()


@contextmanager
def recording(*steps: Step) -> Iterator[Asked]:
    """Serve a scripted answer to each request, and record what was asked; the last one is for all that follow."""
    asked = list[tuple[str, str, dict[str, str], bytes]]()

    class Scripted(Answering):
        def handle_request(self, body: bytes) -> None:
            asked.append((self.command, self.path, dict(self.headers), body))
            steps[min(len(asked), len(steps)) - 1](self)

    with answering(Scripted) as url:
        yield Asked(url, asked)


@pytest.mark.parametrize(
    "step",
    [
        vanish,
        stop_halfway,
        refuse(Code.storage_unavailable, Retry_After="1"),
        say(429, b"slow down"),
        say(502, b"<html>"),
        say(504, b""),
    ],
)
def test_a_request_is_repeated_until_it_is_answered(step: Step) -> None:
    """Its content is the same each time."""
    slept = Slept()
    with recording(step, step, say(201)) as asked:
        client = Client(asked.url, TOKEN, patience=slept.patience())
        assert client.record(placed("SO-1")).position == 7
    assert len(asked.requests) == 3
    assert len({body for *_, body in asked.requests}) == 1
    assert len(slept) == 2


def test_it_pauses_where_the_feed_does_not_wait() -> None:
    """As the service does not where many wait already; so it is not asked without end."""
    slept = Slept()
    with recording(say(200, b"[]"), say(200, b"[]"), refuse(Code.position_ahead)) as asked:
        with pytest.raises(Refused):
            next(Client(asked.url, TOKEN, patience=slept.patience()).events(7))
        assert [path for _, path, *_ in asked.requests] == ["/v1/events?after=7&limit=1000&wait=20"] * 3
    assert slept == [1.0, 1.0]


def test_it_waits_twice_as_long_each_time_and_gives_up() -> None:
    slept = Slept()
    with recording(vanish) as asked:
        client = Client(asked.url, TOKEN, attempts_max=8, patience=slept.patience(seconds_max=10.0))
        with pytest.raises(Unreachable) as unreachable:
            client.order("SO-1")
    assert slept == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert asked.url in str(unreachable.value)
    assert "secret" not in str(unreachable.value)


def test_a_chance_spreads_clients() -> None:
    """Two that failed together don't come back together."""
    seconds = {Patience().seconds(4, None) for _ in range(20)}
    assert len(seconds) > 10
    assert all(each is not None and 0 <= each <= 4 for each in seconds)


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("7", 7.5),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.5),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.5),
        ("soon", 0.5),
        ("-3", 0.5),
        (None, 0.5),
        ("121", None),
    ],
)
def test_a_time_that_the_service_names_is_waited_for(retry_after: str | None, seconds: float | None) -> None:
    """In seconds or as a moment; longer than two minutes is told instead of waited for."""
    assert Slept().patience().seconds(1, retry_after) == seconds


def test_one_that_takes_too_long_is_refused_at_once() -> None:
    slept = Slept()
    with (
        recording(refuse(Code.storage_unavailable, Retry_After="3600")) as asked,
        pytest.raises(Refused) as refused,
    ):
        Client(asked.url, TOKEN, patience=slept.patience()).record(placed())
    assert (refused.value.code, len(asked.requests), slept) == ("storage_unavailable", 1, [])


@pytest.mark.parametrize("code", [Code.unknown_order_type, Code.forbidden, Code.internal_error, Code.version_conflict])
def test_what_would_be_refused_again_is_not_repeated(code: Code) -> None:
    slept = Slept()
    with recording(refuse(code)) as asked, pytest.raises(Refused) as refused:
        Client(asked.url, TOKEN, patience=slept.patience()).record(placed())
    assert (refused.value.code, refused.value.request_id, len(asked.requests)) == (code.name, "r-1", 1)


def test_what_has_no_name_of_its_own_gets_a_key_that_stays_while_it_is_repeated() -> None:
    """A new one for each call; reading, orders and dry runs need none."""
    slept, change = Slept(), RuleChangeRequest((), "None.")
    with recording(vanish, vanish, say(200, b"{}")) as asked:
        client = Client(asked.url, TOKEN, patience=slept.patience())
        for _ in range(2):
            with pytest.raises(Unreachable, match="does not know"):
                client.propose(change)
        with pytest.raises(Unreachable, match="does not know"):
            client.preview(change)
    first, second, third, fourth, preview = asked.headers("Idempotency-Key")
    assert first == second == third
    assert first is not None
    assert first[0] == first[-1] == '"'
    assert fourth not in (first, None)
    assert preview is None


def test_a_request_with_the_same_key_that_is_under_way_is_waited_for() -> None:
    """Any other conflict is not."""
    slept = Slept()
    problem = msgspec.json.encode(
        ProblemDocument("/errors/idempotency_key_in_use", "", 409, "wait", "idempotency_key_in_use", [], "r-1")
    )
    with (
        recording(say(409, problem, Retry_After="2"), say(200, b"{}")) as asked,
        pytest.raises(Unreachable, match="does not know"),
    ):
        Client(asked.url, TOKEN, patience=slept.patience()).issue_checkpoint()
    assert slept == [2.5]


def test_a_decision_says_which_version_it_is_about() -> None:
    with recording(refuse(Code.nothing_changed)) as asked:
        client = Client(asked.url, TOKEN)
        for decide in (
            lambda: client.approve("RC-1", if_match='"4"'),
            lambda: client.close_period("2026-Q1", "Done.", if_match=ANY),
        ):
            with pytest.raises(Refused):
                decide()
    assert asked.headers("If-Match") == ['"4"', "*"]


def test_what_is_no_answer_of_ours_is_told_as_such() -> None:
    """Another server at that address; nothing is repeated, and nothing of it is believed."""
    with recording(say(200, b"<html>")) as asked, pytest.raises(Unreachable, match="does not know"):
        Client(asked.url, TOKEN).order("SO-1")
    with recording(say(302, b"", Location="/elsewhere")) as moved, pytest.raises(Unreachable, match="302"):
        Client(moved.url, TOKEN).order("SO-1")
    assert (len(asked.requests), len(moved.requests)) == (1, 1)


def test_the_token_is_in_no_log_and_no_text(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    slept = Slept()
    with recording(vanish, say(201)) as asked:
        Client(asked.url, TOKEN, patience=slept.patience()).record(placed())
    assert asked.headers("Authorization") == [f"Bearer {TOKEN}"] * 2
    assert "secret" not in caplog.text


# ---- on the real service


@pytest.fixture
def service(database: Database) -> Iterator[Service]:
    """Serve a ledger with an order type."""
    with serving(database) as service:
        service.define(standard="1")
        yield service


def events(service: Service) -> int:
    """Count the order events in the ledger."""
    with service.database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM event WHERE source = 'shop'")
        (count,) = cursor.fetchone() or (0,)
    return int(count)


def test_an_answer_that_is_lost_after_the_commit_leaves_one_event(service: Service) -> None:
    """Alone and in batches. The control: under other names the same orders would be recorded again."""
    slept = Slept()
    with listening(service.app) as url, losing(url, repeat(True, 2)) as lossy:
        client = Client(lossy, service.tokens["ingest"], patience=slept.patience())
        recorded = client.record(placed("SO-1"))
        assert (recorded.duplicate, events(service)) == (True, 1)
        assert client.record(placed("SO-1")).position == recorded.position
    with listening(service.app) as url, losing(url, repeat(True, 1)) as lossy:
        client = Client(lossy, service.tokens["ingest"], patience=slept.patience())
        results = list(client.record_all(placed(f"B-{number}") for number in range(4)))
        assert [result.recorded.duplicate for result in results if result.recorded] == [True] * 4
        assert events(service) == 5
        for number in range(4):
            client.record({**placed(f"C-{number}"), "event_id": f"other-{number}"})
        assert events(service) == 9


def test_a_client_that_sends_everything_twice_leaves_the_same_ledger(new_database: Callable[[], Database]) -> None:
    """Every other answer is lost after the commit; orders, batches, facts and proposals are recorded once each."""
    ledgers, repeated = list[list[tuple[Any, ...]]](), list[int]()
    losses: tuple[Iterator[bool], ...] = (repeat(False), cycle((True, False)))
    for lost in losses:
        slept = Slept()
        with serving(new_database()) as service:
            service.define(standard="1")
            service.app.start_projector()
            with listening(service.app) as url, losing(url, lost) as lossy:
                record_much(Client(lossy, service.token("ingest", "rules"), patience=slept.patience()))
            with service.database.cursor() as cursor:
                cursor.execute("SELECT source, subject, version, type FROM event ORDER BY position")
                ledgers.append(cursor.fetchall())
            repeated.append(len(slept))
    assert repeated == [0, 5]
    assert ledgers[0] == ledgers[1]
    assert len(ledgers[0]) > 6


def record_much(client: Client) -> None:
    """Record in five requests."""
    client.record(placed("SO-1"))
    list(client.record_all(placed(f"B-{number}") for number in range(4)))
    client.set_customer_class("C-1", CustomerClassified("house-account", date(2026, 3, 1), None, None))
    client.set_quota("ann", "2026-Q1", QuotaRequest("EUR", "1000"))
    rule = SetRule(Conditions(customer_class="house-account"), "0", date(2026, 3, 1), None)
    client.propose(RuleChangeRequest((rule,), "As agreed.", rule_change_id="RC-1"))


def test_what_is_decided_is_recorded_once_whatever_is_lost(
    server_url: Callable[[str], str], template: str, tmp_path: Path
) -> None:
    """By the key. The control: where the key does not come through, the proposal is there twice."""
    rule = SetRule(Conditions(customer_id="C-1001"), "0.5", date(2026, 1, 1), None)
    change, slept = RuleChangeRequest((rule,), "As agreed."), Slept()
    other = RuleChangeRequest((msgspec.structs.replace(rule, share="0.4"),), "Or so.")
    with serving_demo(server_url, template, tmp_path / "signing-key") as demo:
        tokens = [demo.service.token(*roles) for roles in (("rules", "finance", "auditor"), ("approver",))]
        before = recorded_types(demo.service)
        with losing(demo.url, cycle((True, False))) as lossy:
            client, approver = (Client(lossy, token, patience=slept.patience()) for token in tokens)
            proposed = client.propose(change)
            approver.approve(proposed.answer.rule_change_id, if_match=proposed.etag)
            client.restate("2026-Q2", "Counts.", if_match=client.period("2026-Q2").etag)
            client.issue_checkpoint()
        made = recorded_types(demo.service) - before
        assert (made["rule_change.proposed"], made["rule_change.approved"], made["period.restated"]) == (1, 1, 1)
        assert len(slept) == 5
        with losing(demo.url, cycle((True, False)), without="Idempotency-Key") as careless:
            Client(careless, tokens[0], patience=slept.patience()).propose(other)
        assert (recorded_types(demo.service) - before)["rule_change.proposed"] == 3


def recorded_types(service: Service) -> Counter[str]:
    """Count what is recorded, by type."""
    with service.database.cursor() as cursor:
        cursor.execute("SELECT type, count(*) FROM event GROUP BY type")
        return Counter(dict(cursor.fetchall()))


def test_what_is_deleted_is_gone_also_where_the_answer_was_lost(service: Service) -> None:
    """It is deleted once. The control: what was never there is refused."""
    slept = Slept()
    with listening(service.app) as url, losing(url, cycle((True, False))) as lossy:
        client = Client(url, service.token("admin", "ingest"), patience=slept.patience())
        careless = Client(lossy, service.token("admin", "ingest"), patience=slept.patience())
        made = client.create_webhook(WebhookRequest("https://192.0.43.8/hook")).webhook
        client.save_import_profile("erp", ImportProfile(date_format="DD-MM-YYYY"))
        careless.delete_webhook(made.id)
        careless.drop_import_profile("erp")
        assert (len(slept), client.webhooks().webhooks) == (2, [])
        with pytest.raises(Refused, match="webhook_not_found"):
            client.delete_webhook(made.id)
        with pytest.raises(Refused, match="import_not_found"):
            client.drop_import_profile("erp")
    with service.database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM access WHERE subject = %s", (f"delete webhook {made.id}",))
        assert cursor.fetchone() == (1,)


ABSENT = refuse(Code.webhook_not_found)


@pytest.mark.parametrize(
    ("first", "second", "error"),
    [
        (vanish, ABSENT, None),
        (say(502, b"<html>"), ABSENT, None),
        (refuse(Code.storage_unavailable), ABSENT, None),
        (refuse(Code.rate_limited), ABSENT, Refused),  # it was not begun
        (vanish, say(404, b"<html>"), Unreachable),  # a proxy's
        (vanish, refuse(Code.forbidden), Refused),
    ],
)
def test_a_deletion_is_done_where_it_may_have_been(first: Step, second: Step, error: type[Exception] | None) -> None:
    """And the service says that there is nothing."""
    with recording(first, second) as asked:
        client = Client(asked.url, TOKEN, patience=Slept().patience())
        with nullcontext() if error is None else pytest.raises(error):
            client.delete_webhook("w-1")
    assert len(asked.requests) == 2


def test_threads_share_a_client(service: Service) -> None:
    """More of them than there are connections."""
    with listening(service.app) as url, Client(url, service.tokens["ingest"]) as client, ThreadPoolExecutor(24) as pool:
        recorded = list(pool.map(client.record, (placed(f"T-{number}") for number in range(96))))
    assert len({each.position for each in recorded}) == events(service) == 96


def test_a_service_that_is_gone_is_unreachable(service: Service) -> None:
    """Also by a connection that was good before."""
    slept = Slept()
    with listening(service.app) as url:
        client = Client(url, service.tokens["ingest"], patience=slept.patience())
        client.record(placed("SO-1"))
    with pytest.raises(Unreachable):
        client.record(placed("SO-2"))
    assert len(slept) == 5


def test_a_failed_problem_document_is_the_services_own_shape(service: Service) -> None:
    with service.app.test_request_context():
        told = problem_document(Refusal.of(Code.order_exists, "order SO-1 is there", "/order_id", version=3))
    refused = Refused(told)
    assert (refused.facts, refused.errors[0].pointer, refused.detail) == ({"version": 3}, "/order_id", told.detail)


def test_a_download_that_breaks_off_is_begun_again(tmp_path: Any) -> None:
    """The file is whole, or it is not there."""
    slept = Slept()
    with recording(stop_halfway, say(200, b"whole")) as asked:
        path = Client(asked.url, TOKEN, patience=slept.patience()).bundle("2026-Q1", tmp_path / "bundle.zip")
    assert path.read_bytes() == b"whole"
    with recording(stop_halfway) as asked, pytest.raises(Unreachable):
        Client(asked.url, TOKEN, attempts_max=2, patience=slept.patience()).bundle("2026-Q1", tmp_path / "no.zip")
    assert [each.name for each in tmp_path.iterdir()] == ["bundle.zip"]
