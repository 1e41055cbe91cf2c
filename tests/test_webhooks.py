"""Webhooks as a receiver sees them: signed by the convention, at least once, in order, and nowhere they must not go."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from api import webhook_dispatcher
from api.webhook_dispatcher import ATTEMPTS_MAX, RETRY_SECONDS, Dispatcher
from api.webhook_messages import event_message, message_id, signed_headers, trial_message
from api.webhook_sender import Attempt, Sender
from ledger import webhooks
from ledger.events import DefineOrderType, RuleChangeProposed
from ledger.refusal import Code, Refusal
from ledger.rule_changes import change_rules
from ledger.store import Store
from ledger.webhook_urls import Reach, is_public, read_networks
from ledger.webhooks import DELIVERIES_KEPT, EVENT_TYPES, Asked, Delivery, Endpoint, find_endpoint
from tests.test_projector import place
from tests.webhook_receiver import Receiver, receiving

HERE = Reach(insecure=True)
BOTH = ("rule_change.proposed", "rule_change.approved")


class Clock:
    """The time, which tests set forward."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        """Tell the time."""
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock() -> Clock:
    """Give a clock that can be set forward."""
    return Clock()


@pytest.fixture
def store(new_store: Callable[[], Store], clock: Clock) -> Store:
    """Give an empty ledger."""
    store = new_store()
    store.clock = clock
    return store


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Give a receiver."""
    with receiving() as receiver:
        yield receiver


def change(store: Store, *numbers: int) -> list[int]:
    """Change the rulebook so many times; each records a proposal and an approval. Give their positions."""
    positions = list[int]()
    for number in numbers:
        proposal = RuleChangeProposed(f"RC/{number}", (DefineOrderType(f"type-{number}", "1"),), "as agreed")
        last = change_rules(store, proposal, actor="mara").position
        positions += [last - 1, last]
    return positions


def subscribe(store: Store, url: str, *types: str, from_position: int | None = 0) -> Endpoint:
    """Make an endpoint."""
    asked = Asked(url, types or BOTH, None, from_position)
    webhooks.check_asked(asked, HERE, head=store.head())
    with store.database.transaction() as cursor:
        return webhooks.create_in(cursor, asked, head=store.head(), now=store.clock(), creator="tester")


def now_as(store: Store, endpoint: Endpoint) -> Endpoint:
    """Read an endpoint again."""
    found = find_endpoint(store.database, endpoint.id)
    assert found is not None
    return found


def dispatcher(store: Store, **of_sender: Any) -> Dispatcher:
    """Make a dispatcher that sends to this machine, without jitter."""
    return Dispatcher(store, Sender(HERE, **of_sender), jitter=lambda _: 0)


@contextmanager
def running(*dispatchers: Dispatcher) -> Iterator[list[threading.Event]]:
    """Run dispatchers in threads, as the service does; give what stops each."""
    stops = [threading.Event() for _ in dispatchers]
    threads = [threading.Thread(target=each.run, args=(stop,)) for each, stop in zip(dispatchers, stops, strict=True)]
    for thread in threads:
        thread.start()
    try:
        yield stops
    finally:
        for stop in stops:
            stop.set()
        for thread in threads:
            thread.join()


def until(condition: Callable[[], bool], seconds: int = 15) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not become so"
        time.sleep(0.02)


# ---- signatures


def test_a_delivery_is_signed_and_thin(store: Store, receiver: Receiver) -> None:
    """The convention's library verifies it; it names the event and where to read it, and holds no amount."""
    proposed, _ = change(store, 7)
    endpoint = subscribe(store, receiver.url)
    assert dispatcher(store).deliver_due() == 2
    first, second = receiver.requests
    assert (first.path, first.headers["content-type"]) == ("/hook?key=k-1", "application/json")
    assert first.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert re.fullmatch(f"msg_{endpoint.id}_{proposed}_[0-9a-f]{{16}}", first.id)
    message = first.verified(endpoint.secret)
    recorded = store.recorded_at_positions([proposed])[0]
    assert message == {
        "type": "rule_change.proposed",
        "timestamp": recorded.recorded_at.isoformat().replace("+00:00", "Z"),
        "data": {
            "position": proposed,
            "source": "orderledger",
            "event_id": recorded.event_id,
            "subject": "rulebook",
            "effective": recorded.effective_on.isoformat(),
            "recorded_at": recorded.recorded_at.isoformat().replace("+00:00", "Z"),
            "actor": "mara",
            "rule_change_id": "RC/7",
            "address": "/v1/rule-changes/RC%2F7",
        },
    }
    assert second.verified(endpoint.secret)["type"] == "rule_change.approved"


def test_what_was_tampered_with_does_not_verify(store: Store, receiver: Receiver) -> None:
    """The control: another body, id, time or secret is refused by the library."""
    change(store, 1)
    endpoint = subscribe(store, receiver.url)
    dispatcher(store).deliver_due()
    received = receiver.requests[0]
    received.verified(endpoint.secret)
    for other in (
        replace(received, body=received.body.replace(b"mara", b"carl")),
        replace(received, headers={**received.headers, "webhook-id": "msg_other"}),
        replace(received, headers={**received.headers, "webhook-timestamp": str(int(time.time()) - 60)}),
    ):
        with pytest.raises(WebhookVerificationError):
            other.verified(endpoint.secret)
    with pytest.raises(WebhookVerificationError):
        received.verified(webhooks.new_secret())


def test_a_signature_is_that_of_the_convention(store: Store) -> None:
    """The header is the one that its library makes; a secret has the length that it asks for."""
    endpoint = subscribe(store, "https://hooks.example/")
    now = datetime(2026, 5, 4, 3, 2, 1, 999_999, UTC)
    outgoing = trial_message(endpoint, now=now, requested_by="Zoë")
    headers = signed_headers(outgoing, (endpoint.secret,), now=now)
    assert headers["webhook-signature"] == Webhook(endpoint.secret).sign(outgoing.id, now, outgoing.body.decode())
    assert headers["webhook-timestamp"] == str(int(now.timestamp()))
    assert len(endpoint.secret) == len("whsec_") + 44
    assert endpoint.secret not in repr(endpoint)


def test_after_a_rotation_both_secrets_hold_for_a_day(store: Store, receiver: Receiver, clock: Clock) -> None:
    change(store, 1, 2, 3)
    old = subscribe(store, receiver.url, "rule_change.approved").secret
    (endpoint,) = webhooks.list_endpoints(store.database)
    with store.database.transaction() as cursor:
        new = webhooks.rotate_in(cursor, endpoint.id, now=store.clock())
    deliver = dispatcher(store).deliver_next
    deliver(endpoint.id)
    assert receiver.requests[0].verified(old) == receiver.requests[0].verified(new)
    clock.ahead = timedelta(hours=24, seconds=1)
    deliver(endpoint.id)
    assert (receiver.requests[1].is_signed(old), receiver.requests[1].is_signed(new)) == (False, True)
    with store.database.transaction() as cursor:
        newest = webhooks.rotate_in(cursor, endpoint.id, now=store.clock())
        newer = webhooks.rotate_in(cursor, endpoint.id, now=store.clock())
    deliver(endpoint.id)
    assert [receiver.requests[2].is_signed(each) for each in (new, newest, newer)] == [False, True, True]


# ---- at least once, in order


def test_an_endpoint_is_told_of_its_types_from_its_position_on(store: Store, receiver: Receiver) -> None:
    """By default of what comes from now on; orders in between are passed over."""
    change(store, 1)
    late = subscribe(store, receiver.url, "rule_change.approved", from_position=None)
    everything = subscribe(store, receiver.url, "rule_change.approved")
    store.rulebook()
    change_rules(store, RuleChangeProposed("std", (DefineOrderType("standard", "1"),), "x"), actor="mara")
    place(store, 0, 20)
    change(store, 2)
    assert dispatcher(store).deliver_due() == 5
    assert (late.position, everything.position) == (2, 0)
    assert [each.id.split("_")[1:3] for each in receiver.requests[:2]] == [[late.id, "4"], [late.id, "26"]]
    assert receiver.positions == [4, 26, 2, 4, 26]
    assert dispatcher(store).deliver_due() == 0


def test_what_could_not_be_delivered_is_when_the_receiver_is_back(store: Store, clock: Clock) -> None:
    """Refused connections are tries; the same id comes when it is due, and then what is behind it."""
    with receiving() as receiver:
        port, url = receiver.port, receiver.url
    positions = change(store, 1, 2)
    endpoint = subscribe(store, url)
    delivering = dispatcher(store)
    assert delivering.deliver_due() == 1
    assert delivering.deliver_due() == 0, "it waits"
    found = now_as(store, endpoint)
    assert (found.position, found.failures, found.state) == (0, 1, "active")
    assert found.next_attempt_at is not None
    clock.ahead = timedelta(seconds=RETRY_SECONDS[0] + 1)
    with receiving(port) as receiver:
        assert delivering.deliver_due() == 4
        assert receiver.positions == positions
        assert all(each.is_signed(endpoint.secret) for each in receiver.requests)
    found = now_as(store, endpoint)
    assert (found.position, found.failures, found.next_attempt_at) == (positions[-1], 0, None)
    told = webhooks.read_deliveries(store.database, endpoint.id, before=None, limit=9)
    assert [(each.attempt, each.outcome) for each in reversed(told)][:2] == [(1, "unreachable"), (2, "delivered")]


def test_after_the_last_try_an_endpoint_stops_until_it_is_enabled(
    store: Store, receiver: Receiver, clock: Clock
) -> None:
    """On the convention's schedule; then it is failing, with what it did not get, and goes on there."""
    positions = change(store, 1)
    endpoint = subscribe(store, receiver.url)
    receiver.answers.extend([500] * ATTEMPTS_MAX)
    delivering, waits = dispatcher(store), []
    for _ in range(ATTEMPTS_MAX):
        assert delivering.deliver_due() == 1
        if (due := now_as(store, endpoint).next_attempt_at) is not None:
            waits.append(round((due - store.clock()).total_seconds()))
            clock.ahead = due - datetime.now(UTC)
    assert waits == list(RETRY_SECONDS)
    clock.ahead += timedelta(days=30)
    assert delivering.deliver_due() == 0
    found = now_as(store, endpoint)
    assert (found.state, found.position, found.failures) == ("failing", 0, ATTEMPTS_MAX)
    assert "all 10 tries at position 1 failed, the last: the receiver answered 500" in (found.state_reason or "")
    with store.database.transaction() as cursor:
        webhooks.enable_in(cursor, endpoint.id)
    delivering.deliver_due()
    assert receiver.positions == positions
    assert len({each.id for each in receiver.requests}) == 2


def test_a_wait_has_jitter_and_heeds_the_receiver(store: Store, receiver: Receiver) -> None:
    """Up to a fifth is added; Retry-After counts where it is longer, up to a day, and what is none is passed over."""
    change(store, 1)
    for asked, seconds in (("3600", 3600), ("1", 6), ("9" * 8, 86_400), ("soon", 6), ("9" * 400, 6), ("-5", 6)):
        endpoint = subscribe(store, receiver.url)
        receiver.answers.append(partial(answer_later, asked=asked))
        Dispatcher(store, Sender(HERE), jitter=lambda parts: parts - 1).deliver_next(endpoint.id)
        due = now_as(store, endpoint).next_attempt_at
        assert due is not None
        assert round((due - store.clock()).total_seconds()) == seconds, asked


def answer_later(handler: BaseHTTPRequestHandler, *, asked: str) -> None:
    """Answer that it is too much."""
    handler.send_response(429)
    handler.send_header("retry-after", asked)
    handler.end_headers()


def test_a_process_killed_before_it_notes_a_delivery_delivers_it_again(store: Store, receiver: Receiver) -> None:
    """At least once: the receiver took it, nobody noted that; the second time it has the same id."""
    (position,) = change(store, 1)[1:]
    endpoint = subscribe(store, receiver.url, "rule_change.approved")
    program = (
        "import os, signal, sys\n"
        "from api.webhook_dispatcher import Dispatcher\n"
        "from api.webhook_sender import Sender\n"
        "from ledger import webhooks\n"
        "from ledger.database import Database\n"
        "from ledger.store import Store\n"
        "from ledger.webhook_urls import Reach\n"
        "webhooks.note_delivered = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "Dispatcher(Store(Database(sys.argv[1])), Sender(Reach(insecure=True))).deliver_due()\n"
    )
    root = Path(__file__).parent.parent
    killed = subprocess.run(
        [sys.executable, "-c", program, store.database.url], cwd=root, env=os.environ, check=False, timeout=60
    )
    assert killed.returncode == -9
    assert (len(receiver.taken), now_as(store, endpoint).position) == (1, 0)
    dispatcher(store).deliver_due()
    assert len({each.id for each in receiver.taken}) == 1
    assert len(receiver.taken) == 2
    assert receiver.taken[0].body == receiver.taken[1].body
    assert now_as(store, endpoint).position == position


def test_of_two_dispatchers_one_delivers_and_the_other_takes_over(store: Store, receiver: Receiver) -> None:
    """While both live, each event is delivered once; when the active one stops, the other goes on."""
    endpoint = subscribe(store, receiver.url)
    with running(dispatcher(store), dispatcher(store)) as stops:
        first = change(store, *range(10))
        until(lambda: now_as(store, endpoint).position == first[-1])
        stops[0].set()
        second = change(store, *range(10, 20))
        until(lambda: now_as(store, endpoint).position == second[-1])
    assert receiver.positions == first + second


def test_a_receiver_that_hangs_holds_up_nobody_else(store: Store, receiver: Receiver) -> None:
    """And the service can stop meanwhile: it waits for that one request, within its time limit."""
    released = threading.Event()
    with receiving() as hanging:
        hanging.answers.append(lambda _: wait_for(released))
        stuck, healthy = subscribe(store, hanging.url), subscribe(store, receiver.url)
        with running(dispatcher(store)):
            positions = change(store, 0)
            hanging.wait_for(1)
            positions += change(store, 1, 2, 3)
            until(lambda: now_as(store, healthy).position == positions[-1])
            assert (len(hanging.requests), now_as(store, stuck).position) == (1, 0)
            released.set()
    assert receiver.positions == positions


def wait_for(event: threading.Event) -> None:
    """Wait, for a receiver that hangs."""
    event.wait(20)


def test_a_message_that_can_not_be_made_stops_its_endpoint_loudly(
    store: Store, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistake of ours is never skipped: the endpoint is failing and stays where it is."""

    def broken(_endpoint: Endpoint, _event: object) -> None:
        raise KeyError("an event of another version")

    monkeypatch.setattr(webhook_dispatcher, "event_message", broken)
    change(store, 1)
    endpoint = subscribe(store, receiver.url)
    with running(dispatcher(store)):
        until(lambda: now_as(store, endpoint).state == "failing")
    assert (now_as(store, endpoint).position, receiver.requests) == (0, [])
    assert "a message can't be made" in caplog.text


STATUSES = st.sampled_from((200, 204, 299, 301, 400, 404, 410, 429, 500, 503))


@given(st.lists(STATUSES, max_size=14), st.integers(0, 6))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_receiver_answers_it_gets_every_event_in_order(
    store: Store, receiver: Receiver, clock: Clock, statuses: list[int], killed_at: int
) -> None:
    """For any pattern of failures, of a stop at any delivery, and of enabling again: in order, and none is missing."""
    if store.head() == 0:
        change(store, 1, 2, 3)
    receiver.requests.clear()
    receiver.answers.clear()
    receiver.answers.extend(statuses)
    endpoint, delivering = subscribe(store, receiver.url), dispatcher(store)
    for step in range(100):
        found = now_as(store, endpoint)
        if found.position == store.head():
            break
        if found.state != "active":
            with store.database.transaction() as cursor:
                webhooks.enable_in(cursor, endpoint.id)
        elif found.next_attempt_at is not None:
            clock.ahead += max(timedelta(), found.next_attempt_at - store.clock())
        delivering.deliver_next(endpoint.id)
        if step == killed_at:  # what was noted is lost, as when the process was killed before
            put_back(store, found)
    with store.database.transaction() as cursor:
        webhooks.delete_in(cursor, endpoint.id)
    assert list(dict.fromkeys(receiver.positions)) == list(range(1, store.head() + 1))
    assert receiver.positions == sorted(receiver.positions)
    assert len(receiver.positions) <= store.head() + 1
    assert all(each.is_signed(endpoint.secret) for each in receiver.requests)


def put_back(store: Store, endpoint: Endpoint) -> None:
    """Put an endpoint's position back."""
    with store.database.cursor() as cursor:
        cursor.execute("UPDATE webhook_endpoint SET position = %s WHERE id = %s", (endpoint.position, endpoint.id))


# ---- replays


def replay(store: Store, endpoint: Endpoint, from_position: int, to_position: int | None = None) -> None:
    """Ask for a replay."""
    with store.database.transaction() as cursor:
        webhooks.replay_in(cursor, endpoint.id, from_position, to_position)


def test_a_replay_delivers_again_under_the_same_ids_before_anything_new(store: Store, receiver: Receiver) -> None:
    positions = change(store, 1, 2, 3)
    endpoint, delivering = subscribe(store, receiver.url), dispatcher(store)
    delivering.deliver_due()
    new = change(store, 4)
    replay(store, endpoint, 2, 4)
    delivering.deliver_due()
    assert receiver.positions == [*positions, 2, 3, 4, *new]
    ids = {each.message["data"]["position"]: each.id for each in receiver.taken[:6]}
    assert [each.id for each in receiver.taken[6:9]] == [ids[2], ids[3], ids[4]]
    replay(store, endpoint, 8)
    delivering.deliver_due()
    assert receiver.positions[-1] == 8
    found = now_as(store, endpoint)
    assert (found.position, found.replay_after, found.replay_until) == (8, None, None)


def test_a_replay_in_which_nothing_is_left_ends(store: Store, receiver: Receiver) -> None:
    change(store, 1, 2)
    endpoint = subscribe(store, receiver.url, "rule_change.approved")
    delivering = dispatcher(store)
    delivering.deliver_due()
    replay(store, endpoint, 3, 3)
    change(store, 3)
    delivering.deliver_due()
    assert receiver.positions == [2, 4, 6]
    assert now_as(store, endpoint).replay_after is None


def test_a_replay_of_what_was_not_delivered_is_refused(store: Store, receiver: Receiver) -> None:
    change(store, 1)
    endpoint = subscribe(store, receiver.url)
    for from_position, to_position in ((1, None), (0, None), (-3, 2)):
        with pytest.raises(Refusal) as refused:
            replay(store, endpoint, from_position, to_position)
        assert refused.value.code is Code.invalid_value
    dispatcher(store).deliver_due()
    with pytest.raises(Refusal):
        replay(store, endpoint, 2, 1)


def test_a_replay_asked_for_while_one_is_delivered_counts(store: Store, receiver: Receiver) -> None:
    """What is noted of the older one does not end the newer one."""
    change(store, 1, 2)
    endpoint, delivering = subscribe(store, receiver.url), dispatcher(store)
    delivering.deliver_due()
    replay(store, endpoint, 2, 2)

    def ask(handler: BaseHTTPRequestHandler) -> None:
        replay(store, endpoint, 1, 3)
        handler.send_response(200)
        handler.end_headers()

    receiver.answers.append(ask)
    receiver.answers.append(200)
    delivering.deliver_due()
    assert [each.message["data"]["position"] for each in receiver.requests[4:]] == [2, 1, 2, 3]


# ---- answers that are none


def outcome(url: str, **of_sender: Any) -> Attempt:
    """Send something."""
    reach = of_sender.pop("reach", HERE)
    return Sender(reach, **of_sender).send(url, {"content-type": "application/json"}, b"{}")


def test_410_disables_an_endpoint(store: Store, receiver: Receiver) -> None:
    change(store, 1)
    endpoint = subscribe(store, receiver.url)
    receiver.answers.append(410)
    assert dispatcher(store).deliver_due() == 1
    found = now_as(store, endpoint)
    assert (found.state, found.position) == ("disabled", 0)
    assert "410" in (found.state_reason or "")
    assert dispatcher(store).deliver_due() == 0


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(receiver: Receiver, status: int) -> None:
    receiver.answers.append(status)
    made = outcome(receiver.url)
    assert (made.outcome, made.status) == ("refused", status)
    assert [each.path for each in receiver.requests] == ["/hook?key=k-1"]


def drip(handler: BaseHTTPRequestHandler, text: bytes = b"HTTP/1.1 100 Continue\r\nx: ") -> None:
    """Answer a byte at a time, for ever."""
    for _ in range(200):
        for number in range(len(text)):
            handler.wfile.write(text[number : number + 1])
            time.sleep(0.05)


def test_a_receiver_that_drips_is_given_up_in_time(receiver: Receiver) -> None:
    """No single read takes long; the limit is of the whole request."""
    receiver.answers.append(drip)
    began = time.monotonic()
    made = outcome(receiver.url, seconds_max=1)
    assert (made.outcome, made.detail) == ("timeout", "no answer within 1 s")
    assert time.monotonic() - began < 3


def test_a_receiver_that_says_nothing_is_given_up_in_time(receiver: Receiver) -> None:
    receiver.answers.append(lambda _: time.sleep(3))
    assert outcome(receiver.url, seconds_max=1).outcome == "timeout"


def test_what_a_receiver_streams_is_not_read(receiver: Receiver) -> None:
    """It took the event, and what else it has to say is left to it."""
    written = [0]

    def stream(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while written[0] < 2**30:
            written[0] += handler.wfile.write(b"0" * 65_536)

    receiver.answers.append(stream)
    made = outcome(receiver.url, seconds_max=5)
    assert (made.outcome, made.status) == ("delivered", 200)
    assert written[0] < 2**29
    assert made.milliseconds < 3_000


def say(handler: BaseHTTPRequestHandler, text: bytes) -> None:
    """Say just that."""
    handler.wfile.write(text)


@pytest.mark.parametrize(
    "text",
    [b"hello", b"HTTP/1.1 200 " + b"x" * 70_000, b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200, b"HTTP/1.1 abc\r\n\r\n"],
)
def test_an_answer_that_is_none_is_a_failure(receiver: Receiver, text: bytes) -> None:
    receiver.answers.append(lambda handler: say(handler, text))
    assert outcome(receiver.url).outcome == "unreachable"


# ---- where to


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "hooks.example",
            "ftp://hooks.example/",
            "javascript:alert(1)",
            "https://",
            "https:///x",
            "//hooks.example",
        ),
        *(
            "https://user@hooks.example/",
            "https://user:pass@hooks.example/",
            "https://hooks.example/#x",
            "https://a b/",
        ),
        *("https://hooks.example:0/", "https://hooks.example:65536/", "https://hooks.example:x/", "https://[::1"),
        *(
            "https://hooks.example\\@10.0.0.1/",
            "https://hooks.example/\r\nx: y",
            "https://höks.example/",
            "https://a..b/",
        ),
        *(
            "https://10.1.2.3/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://0.0.0.0/",
        ),
        *("https://169.254.169.254/latest", "https://[fe80::1]/", "https://[fd00::1]/", "https://224.0.0.1/"),
        *("http://hooks.example/", "https://hooks.example/" + "x" * 2_000, "https://" + "a" * 64 + ".example/"),
    ],
)
def test_a_url_that_is_not_taken(url: str) -> None:
    with pytest.raises(Refusal) as refused:
        Reach().target(url)
    assert refused.value.code is Code.invalid_url
    assert refused.value.problems[0].pointer == "/url"


def test_a_url_that_is_taken() -> None:
    target = Reach().target("https://Hooks.Example:8443/a?b=c")
    assert (target.host, target.port, target.path) == ("hooks.example", 8443, "/a?b=c")
    assert target.host_header == "hooks.example:8443"
    assert Reach().target("https://[2606:4700::1111]").host_header == "[2606:4700::1111]"
    assert Reach().target("https://hooks.example?x").path == "/?x"
    assert HERE.target("http://localhost:8080/").port == 8080


@pytest.mark.parametrize(
    "address",
    [
        *(
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "127.0.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",  # noqa: S104 - nothing is bound
            "224.0.0.1",
        ),
        *("255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fd00::1", "fec0::1", "ff02::1", "2001:db8::1"),
        *("64:ff9b::a00:1", "2002:a00:1::", "2001::1", "::ffff:127.0.0.1", "::7f00:1"),
    ],
)
def test_an_address_that_is_not_public(address: str) -> None:
    """Nor is a name that is that address, beside a public one or alone: nothing is opened."""
    assert not Reach().allows(ip_address(address), "https")
    opened = outcome("https://hooks.example/", reach=Reach(), look_up=lambda *_: ["93.184.215.14", address])
    assert (opened.outcome, opened.status) == ("forbidden_address", None)
    assert not HERE.allows(ip_address(address), "http") or ip_address(address).is_loopback or "127.0.0.1" in address


def test_public_addresses_and_networks_of_ones_own_are_reached() -> None:
    for address in ("93.184.215.14", "2606:4700::1111"):
        assert is_public(ip_address(address))
    own = Reach(networks=read_networks("10.1.0.0/16, fd00::/8"))
    assert own.allows(ip_address("10.1.2.3"), "https")
    assert own.allows(ip_address("::ffff:10.1.2.3"), "https")
    assert own.allows(ip_address("fd12::1"), "https")
    assert not own.allows(ip_address("10.2.0.1"), "https")
    assert not own.allows(ip_address("10.1.2.3"), "http"), "what leaves this machine is encrypted"
    with pytest.raises(ValueError, match=r"10\.1\.0\.1/16"):
        read_networks("10.1.0.1/16")


def test_an_endpoint_whose_name_turns_private_is_not_reached(store: Store, receiver: Receiver) -> None:
    """The address is judged at every attempt, and it is a failed attempt: nothing is skipped."""
    change(store, 1)
    endpoint = subscribe(store, "https://hooks.example/")
    Dispatcher(store, Sender(Reach(), look_up=lambda *_: ["127.0.0.1"])).deliver_due()
    (made,) = webhooks.read_deliveries(store.database, endpoint.id, before=None, limit=9)
    assert (made.outcome, made.detail) == (
        "forbidden_address",
        "hooks.example is 127.0.0.1, which is no public address",
    )
    found = now_as(store, endpoint)
    assert (found.position, found.failures, receiver.requests) == (0, 1, [])


def test_a_name_is_looked_up_once_and_the_connection_goes_there(receiver: Receiver) -> None:
    """A second answer of the name server can lead nowhere else; an address that takes none is followed by the next."""
    looked = list[str]()

    def look_up(host: str, _port: int) -> list[str]:
        looked.append(host)
        return ["127.0.0.2", "127.0.0.1"]

    made = outcome(f"http://hooks.example:{receiver.port}/x", look_up=look_up)
    assert (made.outcome, looked) == ("delivered", ["hooks.example"])
    assert receiver.requests[0].headers["host"] == f"hooks.example:{receiver.port}"


def test_a_name_that_is_none_is_a_failure() -> None:
    made = outcome("https://nothing.invalid/", look_up=lambda *_: [])
    assert (made.outcome, made.detail) == ("unreachable", "it has no address")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Make a key and a certificate of hooks.example in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "receiver.pem"
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, *form) + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_the_certificate_must_be_trusted_and_of_the_name(certificate: Path) -> None:
    """Though the connection goes to an address: the name is the URL's."""
    with receiving(certificate=str(certificate)) as receiver:
        here = {"look_up": lambda *_: ["127.0.0.1"]}
        trusted = outcome(f"https://hooks.example:{receiver.port}/", certificates=str(certificate), **here)
        assert (trusted.outcome, trusted.status) == ("delivered", 200)
        other = outcome(f"https://other.example:{receiver.port}/", certificates=str(certificate), **here)
        assert (other.outcome, other.detail) == ("unreachable", "the receiver's certificate is not of that name")
        unknown = outcome(f"https://hooks.example:{receiver.port}/", **here)
        assert unknown.outcome == "unreachable"
        assert unknown.detail.startswith("the receiver's certificate is not trusted: ")
        assert len(receiver.requests) == 1


# ---- what is kept


def test_no_secret_and_no_part_of_the_url_is_logged(
    store: Store, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    change(store, 1)
    endpoint = subscribe(store, receiver.url)
    receiver.answers.append(500)
    dispatcher(store).deliver_due()
    assert endpoint.id in caplog.text
    for secret in (endpoint.secret, endpoint.secret.removeprefix("whsec_"), "k-1", "/hook"):
        assert secret not in caplog.text
        told = webhooks.read_deliveries(store.database, endpoint.id, before=None, limit=9)
        assert secret not in repr(told)


def test_the_last_deliveries_are_kept_of_each_endpoint(store: Store) -> None:
    """Another endpoint's are not counted among them."""
    one, other = subscribe(store, "https://a.example/"), subscribe(store, "https://b.example/")
    now = store.clock()
    for endpoint, count in ((other, 3), (one, DELIVERIES_KEPT + 5)):
        for number in range(count):
            webhooks.note_test(
                store.database, Delivery(endpoint.id, f"m-{number}", None, 1, now, "delivered", 200, "", 1)
            )
    kept = webhooks.read_deliveries(store.database, one.id, before=None, limit=9_999)
    assert (len(kept), kept[0].message_id, kept[-1].message_id) == (DELIVERIES_KEPT, "m-504", "m-5")
    assert len(webhooks.read_deliveries(store.database, other.id, before=None, limit=9_999)) == 3


def test_an_endpoint_deleted_while_its_receiver_is_asked_leaves_nothing(store: Store, receiver: Receiver) -> None:
    change(store, 1)
    for status in (200, 500):
        endpoint = subscribe(store, receiver.url)

        def delete(handler: BaseHTTPRequestHandler, endpoint: Endpoint = endpoint, status: int = status) -> None:
            with store.database.transaction() as cursor:
                webhooks.delete_in(cursor, endpoint.id)
            handler.send_response(status)
            handler.end_headers()

        receiver.answers.append(delete)
        assert dispatcher(store).deliver_due() == 1
        assert find_endpoint(store.database, endpoint.id) is None


def test_a_failure_of_one_disabled_meanwhile_leaves_it_disabled(store: Store, receiver: Receiver) -> None:
    change(store, 1)
    endpoint = subscribe(store, receiver.url)

    def disable(handler: BaseHTTPRequestHandler) -> None:
        with store.database.transaction() as cursor:
            webhooks.disable_in(cursor, endpoint.id, "disabled by tester")
        handler.send_response(500)
        handler.end_headers()

    receiver.answers.append(disable)
    dispatcher(store).deliver_due()
    found = now_as(store, endpoint)
    assert (found.state, found.state_reason, found.failures) == ("disabled", "disabled by tester", 0)


def test_there_are_at_most_so_many_endpoints(store: Store) -> None:
    """Each has a thread of its own while it is delivered to."""
    for _ in range(webhooks.ENDPOINTS_MAX):
        subscribe(store, "https://hooks.example/")
    with pytest.raises(Refusal) as refused:
        subscribe(store, "https://hooks.example/")
    assert refused.value.code is Code.too_many_webhooks


def test_another_event_at_the_same_position_has_another_id(new_store: Callable[[], Store], receiver: Receiver) -> None:
    """A backup is put back and something else recorded: who drops what they have had must not drop that."""
    one, other = new_store(), new_store()
    endpoint = subscribe(one, receiver.url)
    messages = set[str]()
    for store in (one, other):
        (position, _) = change(store, 1)
        messages.add(message_id(endpoint, store.recorded_at_positions([position])[0]))
    assert len(messages) == 2


def test_every_type_has_a_message(store: Store) -> None:
    """What an endpoint may choose, the messages know; orders are none of it."""
    change(store, 1)
    endpoint = subscribe(store, "https://hooks.example/", *EVENT_TYPES)
    for event in store.recorded_between(0, store.head(), EVENT_TYPES):
        assert event_message(endpoint, event).body
    assert not [name for name in EVENT_TYPES if name.startswith("order.")]
