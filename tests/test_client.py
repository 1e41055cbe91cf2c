"""The Python client: each of its methods asks the real service, and gives what that answers as its own types."""

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import msgspec
import pytest

from api.client import ANY, UNASSIGNED, AtStatement, Client, Page, Patience, Refused, Stated
from api.shapes import (
    WEBHOOK_TYPES,
    CarryForwardRequest,
    CreditAnswer,
    ImportProfile,
    QuotaRequest,
    Recorded,
    ReplayRequest,
    RuleChangeRequest,
    SimulationRequest,
    TokenRequest,
    WebhookRequest,
)
from ledger.events import Conditions, CustomerClassified, ProductCategorised, SalespersonTeamed, SetRule
from ledger.intake import SubmitPlaced
from ledger.webhook_urls import Reach
from tests.http_client import placed
from tests.service_thread import Demo, losing, serving_demo
from tests.test_imports import CSV
from tests.webhook_receiver import receiving

ROOT = Path(__file__).parent.parent
PAST = datetime(2026, 7, 31, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def demo(server_url: Callable[[str], str], template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Serve a demo ledger; the tests record, and look at what they recorded only."""
    with serving_demo(server_url, template, tmp_path_factory.mktemp("key") / "signing-key") as demo:
        yield demo


@pytest.fixture
def client(demo: Demo) -> Iterator[Client]:
    """Give a client that may do everything but approve what it proposes."""
    with demo.client("ingest", "rules", "finance", "auditor") as client:
        yield client


def test_it_needs_neither_flask_nor_the_database_driver() -> None:
    """A client's machine has msgspec and urllib3; nothing else of ours is imported."""
    program = """
import sys
class Missing:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {"flask", "werkzeug", "marshmallow", "click", "psycopg2", "eventsourcing",
                                      "cryptography", "duckdb", "iso4217"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
from api.client import Client
print(*sorted(name for name in sys.modules if name.partition(".")[0] in {"api", "ledger", "projections"}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == [
        *("api", "api.client", "api.shapes", "api.transport", "api.values"),
        *("ledger", "ledger.events", "projections", "projections.told"),
    ]


# ---- orders


def test_orders_are_recorded_read_and_explained(client: Client) -> None:
    order = placed("C/1 ä?")
    recorded = client.record(order)
    assert (recorded.version, recorded.duplicate) == (1, False)
    again = client.record(msgspec.convert(order, SubmitPlaced))
    assert again == msgspec.structs.replace(recorded, duplicate=True)
    assert client.order("C/1 ä?").position == recorded.position
    [event] = client.order_events("C/1 ä?")
    assert (event.position, event.type, event.data["customer_id"]) == (recorded.position, "order.placed", "C-1")
    assert client.explanation("C/1 ä?", recorded.position).order_id == "C/1 ä?"
    with pytest.raises(Refused) as refused:
        client.order("C/1 ä?", position_of(recorded) - 1)
    assert (refused.value.status, refused.value.code) == (404, "order_not_found")
    assert refused.value.request_id


@pytest.mark.parametrize("order_id", [".", "..", "~", "a/b", "a//b", "50%", "订单"])
def test_an_identifier_may_be_of_any_characters(client: Client, order_id: str) -> None:
    client.record(placed(order_id))
    assert client.order(order_id).order_id == order_id


def test_many_events_are_recorded_in_batches_as_they_come(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results come while events are still made, with an index among all; twice the same adds nothing."""
    monkeypatch.setattr("api.client.EVENTS_MAX", 3)
    made = list[int]()

    def orders() -> Iterator[dict[str, Any]]:
        for number in range(8):
            made.append(number)
            yield placed(f"MANY-{number}")

    results = client.record_all(orders())
    assert (next(results).index, len(made)) == (0, 4)
    assert [result.index for result in results] == list(range(1, 8))
    again = list(client.record_all(orders(), mode="per_item"))
    assert [(result.index, result.status) for result in again] == [(number, 200) for number in range(8)]
    monkeypatch.setattr("api.client.BATCH_BYTES_MAX", 400)
    assert [result.index for result in client.record_all(orders())] == list(range(8))


def test_a_batch_that_is_refused_says_where(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pointers and indexes count from the first event of all, not of the batch."""
    monkeypatch.setattr("api.client.EVENTS_MAX", 2)
    orders = [placed("BAD-0"), placed("BAD-1"), placed("BAD-2"), placed("BAD-3", currency="XXX")]
    results = client.record_all(orders)
    assert [next(results).index, next(results).index] == [0, 1]
    with pytest.raises(Refused) as refused:
        next(results)
    assert refused.value.code == "atomic_batch_refused"
    assert refused.value.errors[-1].pointer == "/events/3/data/currency"
    each = list(client.record_all(orders, mode="per_item"))
    assert [(result.index, result.status) for result in each] == [(0, 200), (1, 200), (2, 201), (3, 422)]
    assert each[3].problem is not None
    [alone] = client.record_all(orders[3:], mode="per_item")
    assert (alone.index, alone.status) == (0, 422)


# ---- figures


def test_figures_are_whole_at_any_point_of_history(client: Client, demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many pages there are; and as known at a position or an instant."""
    position = demo.summary.position_before_change
    whole = client.performance("2026-Q2", group_by=("customer", "order_type"), known=position)
    assert whole.view.position == position
    assert client.performance("2026-Q2", known=PAST).view.position < demo.summary.events
    credits_whole = list(client.credits("2026-Q2", "S-01", known=position))
    since = client.movements("2026-Q2", AtStatement(1), demo.summary.events)
    monkeypatch.setattr("api.client.PAGE_MAX", 7)
    assert client.performance("2026-Q2", group_by=("customer", "order_type"), known=position) == whole
    assert list(client.credits("2026-Q2", "S-01", known=position)) == credits_whole
    assert client.movements("2026-Q2", AtStatement(1), demo.summary.events) == since
    assert len(whole.figures) > 14
    assert len(credits_whole) > 14
    assert len(since.lines) > 14
    assert list(client.credits("2026-Q2", None, known=position))
    assert client.movements("2026-Q2", PAST, position, kinds=("rule_change",), after_close=True).lines == []


@pytest.mark.parametrize("counts", [True, False])
def test_lines_that_count_and_the_others_are_lists_of_their_own(client: Client, demo: Demo, counts: bool) -> None:
    """Page by page, in the order of the whole list."""
    known = demo.summary.events
    for person in ("S-02", None):
        told, cursor = list[CreditAnswer](), None
        while True:
            page = client.credits_page("2026-Q2", person, Page(3, cursor), known=known, counts=counts)
            told, cursor = [*told, *page.credits], page.next_cursor
            if cursor is None:
                break
        whole = [line for line in client.credits("2026-Q2", person, known=known) if (Decimal(line.share) > 0) == counts]
        assert told == whole
    assert whole or not counts


def test_what_moved_most_comes_first(client: Client, demo: Demo) -> None:
    """The lines of a cause together; the totals are of all lines, however many are asked for."""
    asked = "2026-Q3", 0, demo.summary.events
    whole, largest = client.movements(*asked), client.largest_movements(*asked, limit=5_000)
    assert sorted(map(repr, largest.lines)) == sorted(map(repr, whole.lines))
    assert largest.totals == whole.totals
    sizes = list[Decimal]()
    for _, those in groupby(largest.lines, key=lambda line: (line.cause.position, line.currency)):
        sizes.append(abs(sum((Decimal(line.credited_exact) for line in those), Decimal())))
    causes = {(line.cause.position, line.currency) for line in whole.lines}
    assert len(sizes) == len(causes), "each cause is in one place"
    assert sizes == sorted(sizes, reverse=True)
    first = client.largest_movements(*asked, limit=2)
    assert first.lines == largest.lines[:2]
    assert first.totals == whole.totals
    for whose, person in (("S-02", "S-02"), (UNASSIGNED, None)):
        own = client.largest_movements(*asked, whose=whose, limit=5_000)
        assert {line.salesperson_id for line in own.lines} == {person}
        assert len(own.lines) == sum(line.salesperson_id == person for line in whole.lines)
    assert client.largest_movements(*asked, whose="nobody", limit=1).totals == []


def test_what_if_and_exports(client: Client, tmp_path: Path) -> None:
    request = SimulationRequest(("2026-Q2",), without=("2026-08-special-orders",))
    assert client.simulate(request).periods[0].totals
    path = client.export("/v1/performance", tmp_path / "figures.csv", query={"period": "2026-Q2"})
    assert path.read_text(encoding="utf-8").startswith("salesperson,salesperson_name,currency,credited")
    with pytest.raises(Refused):
        client.export("/v1/performance", tmp_path / "none.csv")
    assert [each.name for each in tmp_path.iterdir()] == ["figures.csv"]


# ---- the rulebook


def request_for(order_type: str, rule_change_id: str | None = None) -> RuleChangeRequest:
    """A rule change of nothing much."""
    rule = SetRule(Conditions(customer_id="C-NEW", order_type=order_type), "0.5", date(2026, 1, 1), None)
    return RuleChangeRequest((rule,), "As agreed.", rule_change_id=rule_change_id)


def test_rules_are_read_proposed_and_decided_on(client: Client, demo: Demo) -> None:
    assert client.preview(request_for("standard")).orders == 0
    first, second, third = (client.propose(request_for("standard", f"client-{n}")) for n in range(3))
    assert first.answer.state == "proposed"
    with demo.client("approver") as approver:
        assert approver.approve("client-0", if_match=first.etag, reason="Fine.").state == "approved"
        assert approver.reject("client-1", "No.", if_match=second.etag).state == "rejected"
        with pytest.raises(Refused) as refused:
            approver.approve("client-0", if_match=ANY)
    assert refused.value.status == 409
    assert client.withdraw("client-2", if_match=third.etag).state == "withdrawn"
    assert client.rule_change("client-0").answer.decision is not None
    assert [each.state for each in client.rules_history().rule_changes[-3:]] == ["approved", "rejected", "withdrawn"]
    assert "special" in {each.order_type for each in client.order_types().order_types}
    assert client.rules(date(2026, 5, 15), known=PAST).rules != client.rules(date(2026, 5, 15)).rules
    assert client.review().view.position


# ---- periods


def test_periods_are_read_closed_restated_and_carried_forward(client: Client) -> None:
    states = {each.period: each.state for each in client.periods().periods}
    assert states["2026-Q2"] == "closed"
    seen = client.period("2026-Q2")
    assert seen.etag == f'"{seen.answer.version}"'
    assert client.statement("2026-Q2", 1).issued.version == 1
    assert client.options("2026-Q2").answer.drift
    assert client.restate("2026-Q2", "Shown.", if_match=ANY, dry_run=True).position is None
    request = CarryForwardRequest("2026-Q3", "Paid later.", booked_on=date(2026, 9, 30))
    assert client.carry_forward("2026-Q2", request, if_match=seen.etag, dry_run=True).carry_forward is not None
    restated = client.restate("2026-Q2", "Special orders count.", if_match=seen.etag)
    assert restated.statement is not None
    assert restated.statement.version == 2
    with pytest.raises(Refused) as refused:
        client.carry_forward("2026-Q2", request, if_match=seen.etag)
    assert refused.value.status in {409, 412}
    assert client.close_period("2026-Q3", "Done.", if_match=ANY).period.state == "closed"


# ---- facts, the feed and the audit


def test_facts_are_stated_once(client: Client) -> None:
    """A fact that holds already is a duplicate, where it is."""
    day = date(2026, 3, 1)
    states: tuple[Callable[[], Stated], ...] = (
        lambda: client.set_customer_class("C/9", CustomerClassified("house-account", day, None, None)),
        lambda: client.set_product_category("P-9", ProductCategorised("sensors", day, None, None)),
        lambda: client.set_salesperson_team("S-9", SalespersonTeamed("north", day, None, None)),
        lambda: client.set_quota("S-9", "2026-Q1", QuotaRequest("EUR", "1000.00")),
    )
    for state in states:
        first, again = state(), state()
        assert (first.duplicate, again.duplicate) == (False, True)
        assert first.position == again.position


def position_of(recorded: Recorded) -> int:
    """Give the position of what was recorded."""
    assert recorded.position is not None
    return recorded.position


def test_the_feed_goes_on_without_end(client: Client) -> None:
    """Every event once, in order; then it waits for the next one."""
    last = position_of(client.record(placed("FEED-1")))
    read = list(itertools.islice(client.events(last - 25, limit=10), 25))
    assert [event.position for event in read] == list(range(last - 24, last + 1))
    following = client.events(last)
    assert client.record(placed("FEED-2")).position == last + 1
    assert next(following).subject == "order/FEED-2"


def test_checkpoints_proofs_and_a_bundle(client: Client, tmp_path: Path) -> None:
    issued = client.issue_checkpoint()
    assert client.checkpoint(issued.size) == issued == client.checkpoint()
    assert issued in client.checkpoints().checkpoints
    assert client.inclusion(1, issued.size).root == issued.root
    assert client.consistency(1, issued.size).old_size == 1
    with ZipFile(client.bundle("2026-Q1", tmp_path / "bundle.zip")) as archive:
        assert json.loads(archive.read("manifest.json"))["period"] == "2026-Q1"


# ---- files, tokens and webhooks


def test_a_file_is_staged_looked_at_and_committed(client: Client, tmp_path: Path) -> None:
    """Its bad rows come back as a file; what is saved of how to read it is kept for the next."""
    file = tmp_path / "erp.csv"
    file.write_bytes(CSV + b"SO-9,2026-03-05,standard,C-1,x,ann,A,P-1,x,x,many,1,EUR\r\n")
    staged = client.stage_import(file)
    assert (staged.state, staged.name, staged.counts.orders, staged.counts.rejected_orders) == (
        "staged",
        file.name,
        3,
        1,
    )
    assert [row.line for row in client.preview_import(staged.id)] == [2, 3, 4, 5]
    [bad] = client.preview_import(staged.id, rejected=True)
    assert [(bad.line, error.column) for error in bad.errors] == [(5, "数量")]
    with pytest.raises(Refused) as refused:
        client.commit_import(staged.id)
    assert refused.value.code == "import_not_ready"
    client.commit_import(staged.id, accept_good_rows=True)
    seen = list[tuple[int, int]]()
    ended = client.committed_import(staged.id, lambda done, total: seen.append((done, total)))
    assert (ended.state, ended.progress.recorded, seen[-1]) == ("committed", 2, (2, 2))
    assert ended.position > staged.position
    path = client.rejected_rows(staged.id, tmp_path / "rejected.csv")
    assert "SO-9" in path.read_text(encoding="utf-8")
    assert client.order("SO-1").order_id == "SO-1"
    profile = ImportProfile(date_format="YYYY-MM-DD", source="erp")
    assert client.save_import_profile("erp", profile) == profile == client.import_profile("erp")
    other = client.stage_import(file, form="csv", name="other", profile="erp")
    assert (other.name, other.profile.source) == ("other", "erp")
    again = client.set_import_profile(other.id, ImportProfile(source="import:erp.csv"))
    assert again.impact is not None
    assert again.impact.duplicates == 2
    assert client.discard_import(other.id).state == "discarded"
    assert client.import_(other.id).state == "discarded"
    assert [each.id for each in client.imports()][:2] == [other.id, staged.id]
    assert [(each.name, each.actor) for each in client.import_profiles()] == [("erp", "ingest-clerk")]
    client.drop_import_profile("erp")
    with pytest.raises(Refused):
        client.import_profile("erp")
    with pytest.raises(ValueError, match="form"):
        client.stage_import(tmp_path / "erp.pdf")


def test_tokens_are_made_listed_and_revoked(demo: Demo) -> None:
    with demo.client("admin") as admin:
        made = admin.create_token(TokenRequest("mara", ("finance", "rules")))
        assert made.token is not None
        assert made.token not in repr(made)
        assert f"token='…', id={made.id!r}, principal='mara'" in repr(made)
        with Client(demo.url, made.token) as mara:
            assert mara.periods().periods
            assert made.id in {token.id for token in admin.tokens()}
            assert admin.revoke_token(made.id).revoked_at is not None
            with pytest.raises(Refused) as refused:
                mara.periods()
    assert refused.value.status == 401


def test_webhooks_are_made_tried_switched_and_deleted(demo: Demo) -> None:
    demo.service.app.webhook_sender.reach = Reach(insecure=True)
    with demo.client("admin") as admin, receiving() as receiver:
        made = admin.create_webhook(WebhookRequest(receiver.url, description="ERP"))
        name = made.webhook.id
        assert (made.webhook.description, made.webhook.event_types) == ("ERP", WEBHOOK_TYPES)
        assert made.secret is not None
        assert made.secret not in repr(made)
        assert repr(made) == f"WebhookSecret(secret='…', webhook={made.webhook!r})"
        assert admin.test_webhook(name).outcome == "delivered"
        assert [each.position for each in admin.deliveries(name)] == [None]
        assert admin.disable_webhook(name).state == "disabled"
        assert admin.enable_webhook(name).state == "active"
        replayed = admin.replay_webhook(name, ReplayRequest(1, 2)).replay
        assert replayed is not None
        assert (replayed.from_position, replayed.to_position) == (1, 2)
        assert admin.rotate_webhook_secret(name).secret not in {None, made.secret}
        assert admin.webhook(name) in admin.webhooks().webhooks
        admin.delete_webhook(name)
        assert name not in {each.id for each in admin.webhooks().webhooks}


def test_a_secret_whose_answer_was_lost_is_not_told_again(demo: Demo) -> None:
    """It is made once all the same."""
    patience = Patience(sleep=lambda _: None)
    admin_token = demo.service.tokens["admin"]
    with losing(demo.url, iter((True, False))) as lossy, Client(lossy, admin_token, patience=patience) as admin:
        made = admin.create_token(TokenRequest("lost", ("finance",)))
        assert made.token is None
        assert [token.id for token in admin.tokens() if token.principal == "lost"] == [made.id]


# ---- what is no answer


def test_an_address_or_a_token_that_is_none_is_told_without_the_token() -> None:
    for url, token in (
        ("orders.example.com", "olk_1_2"),
        ("ftp://orders.example.com", "olk_1_2"),
        ("http://me:password@orders.example.com", "olk_1_2"),
        ("http://orders.example.com", "olk_1_secret\nX-Other: 1"),
        ("http://orders.example.com", ""),
    ):
        with pytest.raises(ValueError, match=r"address|token") as told:
            Client(url, token)
        assert "secret" not in str(told.value)
        assert "password" not in str(told.value)


def test_an_instant_has_a_zone(client: Client) -> None:
    with pytest.raises(ValueError, match="zone"):
        client.performance("2026-Q1", known=datetime.now(UTC).replace(tzinfo=None) - timedelta(1))


def test_a_refusal_says_what_and_nothing_of_the_token(demo: Demo) -> None:
    token = demo.service.tokens["sales"]
    with Client(demo.url, token) as client, pytest.raises(Refused) as refused:
        client.rules_history()
    assert (refused.value.status, refused.value.code) == (403, "forbidden")
    assert token not in f"{refused.value!r} {refused.value} {client!r}"
