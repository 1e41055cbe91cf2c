"""Idempotency-Key: a request that is repeated with its key takes effect once, and is answered as it was.

Also where the process ended between the commit and the answer; tests/test_repeating_client.py lets a client die so in
random histories, and tests/test_idempotency_tables.py is about routes that write tables of their own.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Response
from werkzeug.test import TestResponse

from api.access import Caller, take_as_caller
from api.idempotency import keyed, note_key
from ledger import checkpoints, idempotency
from ledger.database import Database, transaction
from ledger.idempotency import Key
from ledger.refusal import Code
from ledger.sequencer import Append, Appended, KeyTaken, Sequencer
from ledger.signing import Signer
from tests.http_client import Service, placed, refused, serving
from tests.test_checkpoints import witnessed
from tests.test_sequencer import an_event

CHANGES, KEY, REPLAYED = "/v1/rule-changes", "Idempotency-Key", "Idempotency-Replayed"
RULE = {"action": "set_rule", "conditions": {"product_id": "P-1"}, "share": "0.5", "effective_from": "2026-01-01"}
PROPOSAL = {"alterations": [RULE], "reason": "as agreed"}


@contextmanager
def serving_proposals(database: Database, folder: Path) -> Iterator[Service]:
    """Serve a ledger that can sign, with three proposals that wait, and an order of a quarter that is over."""
    signer = Signer(folder / "signing-key")
    key = signer.create_key("test")
    with serving(database, signer.path) as service:
        checkpoints.introduce_key(service.app.store, key, actor="admin")
        service.define(standard="1")
        for name in ("approve", "reject", "withdraw"):
            service.propose({**RULE, "conditions": {"product_id": name}}, rule_change_id=f"RC-{name}")
        order(service, "SO-1")
        yield service


@pytest.fixture
def service(database: Database, tmp_path: Path) -> Iterator[Service]:
    """Serve such a ledger."""
    with serving_proposals(database, tmp_path) as service:
        yield service


def order(service: Service, order_id: str) -> None:
    """Record an order of the first quarter of 2024, and let it be projected."""
    service.record(placed(order_id, ordered_on="2024-02-10", amount="7.00"))
    service.catch_up()


def ask(service: Service, path: str, role: str, sent: object, key: str | None) -> TestResponse:
    """Send a request with a key."""
    service.catch_up()
    return service.ask("POST", path, role, sent=sent, headers={KEY: key})


def propose(service: Service, key: str | None = '"k-1"', role: str = "rules", **sent: Any) -> TestResponse:
    """Send a proposal without an id of its own."""
    return ask(service, CHANGES, role, {**PROPOSAL, **sent}, key)


def keys(database: Database) -> list[tuple[Any, ...]]:
    """Give what is kept: principal, key, position, status."""
    with database.cursor() as cursor:
        cursor.execute("SELECT principal, key, position, status FROM idempotency ORDER BY created_at, key")
        return cursor.fetchall()


def told(response: TestResponse) -> tuple[Any, ...]:
    """Give what of an answer must be the same."""
    return response.status_code, response.headers.get("ETag"), response.mimetype, response.text


# ---- each route


@dataclass(frozen=True)
class Keyed:
    """A request of a route that takes a key; `prepare` makes the ledger one in which it can be."""

    path: str
    role: str
    sent: Any
    prepare: Callable[[Service], Any] = lambda service: None


def closed(service: Service) -> None:
    """Close the quarter, and let an order be late."""
    assert service.post("/v1/periods/2024-Q1/close", {"reason": "complete"}, "finance").status_code == 201
    order(service, "LATE")


def signed(service: Service) -> dict[str, str]:
    """Have a checkpoint issued, and cosign it."""
    issued = service.post("/v1/audit/checkpoints", {}, "finance").get_json()
    note, witness = witnessed(issued["note"])
    return {"size": str(issued["size"]), "note": note, "witness": witness}


KEYED = [
    Keyed(CHANGES, "rules", PROPOSAL),
    Keyed(CHANGES, "rules", {**PROPOSAL, "rule_change_id": "RC-1"}),
    Keyed(f"{CHANGES}/RC-approve/approve", "approver", {"reason": "seen"}),
    Keyed(f"{CHANGES}/RC-reject/reject", "approver", {"reason": "no"}),
    Keyed(f"{CHANGES}/RC-withdraw/withdraw", "rules", {}),
    Keyed("/v1/periods/2024-Q1/close", "finance", {"reason": "complete"}),
    Keyed("/v1/periods/2024-Q1/restate", "finance", {"reason": "late"}, closed),
    Keyed("/v1/periods/2024-Q1/carry-forward", "finance", {"reason": "late", "into_period": "2024-Q2"}, closed),
    Keyed("/v1/audit/checkpoints", "finance", {}),
    Keyed("/v1/audit/checkpoints/{size}/cosignatures", "auditor", None, signed),
]


@pytest.mark.parametrize("dies", [False, True], ids=["answered", "died before the answer"])
@pytest.mark.parametrize("asked", KEYED, ids=lambda asked: asked.path.removeprefix("/v1/"))
def test_a_repetition_is_answered_as_before_and_records_nothing(service: Service, asked: Keyed, dies: bool) -> None:
    """The same status, ETag and bytes: the answer that was kept, or the one that is told from what was recorded."""
    made = asked.prepare(service)
    path = asked.path.format(**made or {})
    sent = asked.sent if asked.sent is not None else {"note": made["note"], "witness": made["witness"]}
    first = ask(service, path, asked.role, sent, "k-1")
    assert first.status_code in {200, 201}, first.text
    assert REPLAYED not in first.headers
    ((principal, key, position, status),) = keys(service.database)
    assert (principal, key, status) == (f"{asked.role}-clerk", "k-1", first.status_code)
    assert position is not None
    if dies:
        with service.database.administration() as cursor:
            cursor.execute(
                "UPDATE idempotency SET status = NULL, etag = NULL, media_type = NULL, answer = NULL, language = NULL"
            )
    order(service, "SO-AFTER")
    before = service.trace()
    again = ask(service, path, asked.role, sent, "k-1")
    assert told(again) == told(first)
    assert again.headers[REPLAYED] == "true"
    assert service.trace() == before


def test_without_a_key_nothing_is_kept_and_a_proposal_is_made_twice(service: Service) -> None:
    """The control of the tests above."""
    first, second = propose(service, None), propose(service, None)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.get_json()["rule_change_id"] != second.get_json()["rule_change_id"]
    assert keys(service.database) == []


def test_an_answer_without_a_recording_is_kept_too(service: Service) -> None:
    """What was there before the key: a proposal that was made under its id is answered 200, and so again."""
    propose(service, None, rule_change_id="RC-1")
    first = propose(service, rule_change_id="RC-1")
    assert (first.status_code, keys(service.database)) == (200, [("rules-clerk", "k-1", None, 200)])
    service.decide("RC-1", "reject", reason="no")
    assert told(propose(service, rule_change_id="RC-1")) == told(first)


def test_an_answer_given_again_says_in_which_language_it_is(service: Service) -> None:
    """The bytes that were kept are of the first request's language, whatever the repetition asks for."""
    extra = {"action": "define_order_type", "order_type": "extra", "name": "Extra", "share": "1"}
    service.propose(extra, rule_change_id="RC-extra")
    service.define(extra="1")
    sent = {"alterations": [extra], "reason": "as agreed", "rule_change_id": "RC-extra"}
    first, again, other = (
        service.ask("POST", CHANGES, "rules", sent=sent, headers={KEY: key, "Accept-Language": language})
        for key, language in (("k-1", "zh"), ("k-1", "en"), ("k-2", "en"))
    )
    assert [each.headers["Content-Language"] for each in (first, again, other)] == ["zh", "zh", "en"]
    assert first.get_json()["obstacles"] != other.get_json()["obstacles"]
    assert (told(again), again.headers[REPLAYED]) == (told(first), "true")


# ---- keys


@pytest.mark.parametrize(
    "key", ["", '""', " ", '"', '"a', 'a"', '"a"b"', "a,b", '"a", "b"', '"a";p=1', "a b", "ä", '"\\a"']
)
def test_what_is_no_key_is_refused(service: Service, key: str) -> None:
    before = service.trace()
    assert refused(propose(service, key), Code.idempotency_key_malformed)[0]["pointer"] == "/Idempotency-Key"
    assert service.trace() == before


@pytest.mark.parametrize("key", ["k" * 256, f'"{"k" * 256}"'])
def test_a_key_that_is_too_long_is_refused(service: Service, key: str) -> None:
    refused(propose(service, key), Code.idempotency_key_malformed)


@pytest.mark.parametrize(
    ("one", "other"),
    [("k-1", '"k-1"'), ("k" * 255, f'"{"k" * 255}"'), (r'"a\"\\b"', r'"a\"\\b"'), ("1:/*~", '"1:/*~"')],
)
def test_a_key_is_the_same_quoted_or_bare(service: Service, one: str, other: str) -> None:
    assert told(propose(service, one)) == told(propose(service, other))


def test_a_key_stands_for_one_request(service: Service) -> None:
    """Another body, query or address under it is refused; another header is not another request."""
    first = propose(service)
    before = service.trace()
    for path, role, sent in (
        (CHANGES, "rules", {**PROPOSAL, "reason": "other"}),
        (CHANGES + "?dry_run=false", "rules", PROPOSAL),
        (f"{CHANGES}/RC-withdraw/withdraw", "rules", PROPOSAL),
    ):
        error = refused(ask(service, path, role, sent, "k-1"), Code.idempotency_key_reused)[0]
        assert (error["pointer"], "rules-clerk" in error["detail"]) == ("/Idempotency-Key", True)
    assert service.trace() == before
    assert told(propose(service)) == told(first)


def test_a_decision_is_repeated_whatever_if_match_says(service: Service) -> None:
    """The version that it was about is not the one that there is now, because of it."""
    sent = {"sent": {}, "headers": {KEY: "k-1", "If-Match": '"1"'}}
    first, again = (service.ask("POST", f"{CHANGES}/RC-approve/approve", "approver", **sent) for _ in range(2))
    assert (first.status_code, told(again)) == (200, told(first))
    refused(
        service.ask("POST", f"{CHANGES}/RC-approve/approve", "approver", sent={}, headers={"If-Match": '"1"'}),
        Code.precondition_failed,
    )


def test_a_key_is_of_its_principal(service: Service) -> None:
    """Of two people who choose the same one, each makes a proposal; two tokens of one person are that person."""
    other = service.token("rules", principal="other")
    first, second = propose(service), propose(service, role=other)
    assert first.get_json()["rule_change_id"] != second.get_json()["rule_change_id"]
    assert told(propose(service, role=service.token("rules", principal="other"))) == told(second)


def test_a_refusal_uses_up_no_key(service: Service) -> None:
    refused(propose(service, reason=""), Code.invalid_value)
    refused(propose(service, colour="red"), Code.unknown_field)
    assert keys(service.database) == []
    assert propose(service).status_code == 201


def test_a_dry_run_uses_up_no_key(service: Service) -> None:
    for _ in range(2):
        tried = ask(service, CHANGES + "?dry_run=true", "rules", PROPOSAL, "k-1")
        assert (tried.status_code, keys(service.database)) == (200, [])
    assert propose(service).status_code == 201


def test_a_key_that_is_under_way_is_refused(service: Service) -> None:
    """Until the other is answered, or its process ended: its lock is its connection's."""
    other = Key("rules-clerk", "k-1", b"")
    with idempotency.claimed(service.database, other) as is_ours:
        assert is_ours
        response = propose(service)
        refused(response, Code.idempotency_key_in_use)
        assert int(response.headers["Retry-After"]) >= 1
        assert propose(service, "k-2").status_code == 201
    assert propose(service).status_code == 201


def test_of_many_at_once_one_takes_effect(service: Service) -> None:
    before = len(service.get("/v1/rules/history")["rule_changes"])
    service.catch_up()
    with ThreadPoolExecutor(6) as pool:
        answers = list(
            pool.map(lambda _: service.ask("POST", CHANGES, "rules", sent=PROPOSAL, headers={KEY: "k-1"}), "x" * 6)
        )
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.text for answer in answers if answer.status_code == 201}) == 1
    assert len(service.get("/v1/rules/history")["rule_changes"]) == before + 1


def test_a_key_is_kept_for_seven_days(service: Service) -> None:
    """Older ones go when somebody comes with a key."""
    now = [datetime.now(UTC)]
    propose(service)
    service.app.store.clock = lambda: now[0]
    for days, count in ((6, 1), (2, 2)):
        now[0] += timedelta(days=days)
        service.tokens["rules"] = service.token("rules")
        propose(service)
        assert len(service.get("/v1/rules/history")["rule_changes"]) == 4 + count
    assert len(keys(service.database)) == 1


# ---- in the append's transaction


def a_key(text: str = "k") -> Key:
    """A key."""
    return Key("ann", text, b"fingerprint")


def test_events_and_their_key_are_recorded_together(database: Database) -> None:
    """A taken key keeps the events out; taken events keep the key out; in one group and one after the other."""
    sequencer = Sequencer(database)
    assert isinstance(sequencer.append(Append([an_event("1"), an_event("2")], key=a_key())), Appended)
    assert sequencer.append(Append([an_event("3")], key=a_key())) == KeyTaken()
    assert not isinstance(sequencer.append(Append([an_event("4"), an_event("1")], key=a_key("l"))), Appended)
    assert keys(database) == [("ann", "k", 1, None)]
    assert isinstance(sequencer.append(Append([an_event("3")])), Appended), "the key kept out the key's events only"
    with ThreadPoolExecutor(16) as pool:
        appends = [Append([an_event(f"t{number}")], key=a_key("m")) for number in range(16)]
        verdicts = list(pool.map(sequencer.append, appends))
    (appended,) = [verdict for verdict in verdicts if isinstance(verdict, Appended)]
    assert verdicts.count(KeyTaken()) == 15
    assert keys(database) == [("ann", "k", 1, None), ("ann", "m", appended.first_position, None)]
    sequencer.close()


# ---- routes that write tables of their own


def test_a_view_may_note_the_key_in_a_transaction_of_its_own(service: Service) -> None:
    """With the answer, which is given again; where the transaction fails, the key is free."""
    made = list[int]()

    def view() -> Response:
        response = Response('{"number": 1}', status=201, mimetype="application/json")
        with service.database.cursor() as cursor, transaction(cursor):
            note_key(cursor, response)
            made.append(len(made))
            if len(made) == 1:
                raise RuntimeError("it fails")
        if len(made) == 2:
            raise KeyboardInterrupt("the process ends")
        return response

    def asked() -> Response:
        with service.app.test_request_context("/x", method="POST", headers={KEY: "k-1"}):
            take_as_caller(Caller("ann", is_valid=True))
            return keyed(service.app.store)(view)()

    for failure in (RuntimeError, KeyboardInterrupt):
        with pytest.raises(failure):
            asked()
    again = asked()
    assert (again.status_code, again.get_data(as_text=True), again.headers[REPLAYED]) == (201, '{"number": 1}', "true")
    assert made == [0, 1]
