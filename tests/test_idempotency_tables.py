"""Idempotency-Key on routes that write tables of their own: webhooks, tokens and imports are made once.

What is kept with a key holds no secret: repeated, the answer has null where the first had it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from werkzeug.test import TestResponse

from api import imports, staged_imports, tokens, webhooks
from api.idempotency import note_key
from ledger.database import Cursor, Database
from ledger.refusal import Code
from ledger.webhook_urls import Reach
from tests.http_client import Service, refused, serving
from tests.test_imports import CSV
from tests.webhook_receiver import receiving

KEY, REPLAYED = "Idempotency-Key", "Idempotency-Replayed"
HOOKS = "/v1/webhooks"


class Death(BaseException):
    """The process of the service ends."""


@pytest.fixture
def service(database: Database) -> Iterator[Service]:
    """Serve a ledger with an order type, whose webhooks may go to this machine."""
    with serving(database) as service:
        service.app.webhook_sender.reach = Reach(insecure=True)
        service.define(standard="1")
        yield service


@dataclass(frozen=True)
class Asked:
    """A request that takes a key; `place` gives the address of what it is about."""

    path: str
    options: dict[str, Any] = field(default_factory=dict)
    role: str = "admin"
    place: Callable[[Service], str] = lambda service: ""
    shown_once: str | None = None
    is_natural: bool = False
    """Twice without a key is once too."""


def hook(service: Service) -> str:
    """Make a webhook of everything that was recorded, all of it delivered; give its id."""
    made = service.post(HOOKS, {"url": "http://127.0.0.1:9/"}, "admin").get_json()
    identifier: str = made["webhook"]["id"]
    return identifier


def upload(service: Service) -> str:
    """Stage a file; give its id."""
    staged = service.ask("POST", "/v1/imports", "ingest", data=CSV, content_type="text/csv")
    identifier: str = staged.get_json()["id"]
    return identifier


FILE = {"data": CSV, "content_type": "text/csv"}
ASKED = [
    Asked("/v1/tokens", {"sent": {"principal": "mara", "roles": ["finance"]}}, shown_once="token"),
    Asked(HOOKS, {"sent": {"url": "https://hooks.example/x"}}, shown_once="secret"),
    Asked(HOOKS + "/{}/rotate-secret", place=hook, shown_once="secret"),
    Asked(HOOKS + "/{}/replay", {"sent": {"from_position": 1}}, place=hook),
    Asked(HOOKS + "/{}/test", place=hook),
    Asked("/v1/imports", FILE, "ingest"),
    Asked("/v1/imports/{}/commit", {"sent": {}}, "ingest", upload, is_natural=True),
    Asked("/v1/imports/{}/discard", {}, "ingest", upload, is_natural=True),
]


def each(asked: list[Asked]) -> pytest.MarkDecorator:
    """Let a test have each of these requests."""
    return pytest.mark.parametrize("asked", asked, ids=lambda asked: asked.path.removeprefix("/v1/"))


each_asked = each(ASKED)


def ask(service: Service, asked: Asked, place: str, key: str | None = '"k-1"') -> TestResponse:
    """Send a request, and let what it begins end."""
    response = service.ask("POST", asked.path.format(place), asked.role, headers={KEY: key}, **asked.options)
    service.app.imports.wait()
    return response


def made(database: Database) -> list[Any]:
    """Give what there is of all that the requests make, and what the access log says of it."""
    with database.cursor() as cursor:
        tables = list[Any]()
        for columns in (
            "id FROM token",
            "id, secret, replay_after FROM webhook_endpoint",
            "number FROM webhook_delivery",
            "id, state FROM import",
            "number FROM access WHERE action IN ('token_created', 'webhook_changed')",
        ):
            cursor.execute(f"SELECT {columns} ORDER BY 1")
            tables.append(cursor.fetchall())
        cursor.execute("SELECT position FROM head")
        return [*tables, cursor.fetchall()]


def kept(database: Database) -> str:
    """Give all that is kept of keys, as text."""
    with database.cursor() as cursor:
        cursor.execute("SELECT string_agg(idempotency::text, ' ') FROM idempotency")
        ((text,),) = cursor.fetchall()
        return text or ""


def without_secret(asked: Asked, response: TestResponse) -> Any:
    """Give an answer as it is told again."""
    return {**response.get_json(), **({asked.shown_once: None} if asked.shown_once else {})}


@contextmanager
def dying(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the process end right behind the commit of the transaction in which the key is noted."""
    noted = list[Cursor]()
    transaction = database.transaction

    def noting(cursor: Cursor, response: Any) -> None:
        note_key(cursor, response)
        noted.append(cursor)

    @contextmanager
    def ending(mode: str = "READ WRITE") -> Iterator[Cursor]:
        with transaction(mode) as cursor:
            yield cursor
        if noted:
            raise Death

    with monkeypatch.context() as patched:
        for module in (imports, tokens, webhooks):
            patched.setattr(module, "note_key", noting)
        patched.setattr(database, "transaction", ending)
        yield
    assert noted


# ---- each route


@each_asked
def test_a_repetition_does_nothing_and_tells_no_secret(service: Service, asked: Asked) -> None:
    place = asked.place(service)
    first = ask(service, asked, place)
    assert first.status_code in {200, 201, 202}, first.text
    assert REPLAYED not in first.headers
    before = made(service.database)
    again = ask(service, asked, place)
    assert (again.status_code, again.mimetype) == (first.status_code, first.mimetype)
    assert again.get_json() == without_secret(asked, first)
    assert again.headers[REPLAYED] == "true"
    assert made(service.database) == before
    if asked.shown_once is not None:
        secret = first.get_json()[asked.shown_once]
        assert len(secret) > 30
        assert secret.rpartition("_")[2] not in kept(service.database)


@each_asked
def test_without_a_key_it_is_done_twice(service: Service, asked: Asked) -> None:
    """The control of the test above; an import that is committed or discarded is so already."""
    place = asked.place(service)
    ask(service, asked, place, None)
    before = made(service.database)
    ask(service, asked, place, None)
    assert (made(service.database) == before) is asked.is_natural
    assert kept(service.database) == ""


@each([asked for asked in ASKED if not asked.is_natural])
def test_what_was_done_is_told_where_the_process_ended_behind_it(
    service: Service, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever never heard the answer is told what was made; what has a secret is there to be revoked or rotated."""
    place = asked.place(service)
    with dying(service.app.store.database, monkeypatch), pytest.raises(Death):
        ask(service, asked, place)
    before = made(service.database)
    answers = [ask(service, asked, place) for _ in range(2)]
    assert made(service.database) == before
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert all(answer.headers[REPLAYED] == "true" for answer in answers)
    assert answers[0].data == answers[1].data
    if asked.shown_once is not None:
        assert answers[0].get_json()[asked.shown_once] is None


@each_asked
def test_a_refusal_uses_up_no_key(service: Service, asked: Asked) -> None:
    """Of a body that is none; where there is no body, of an id that is nobody's."""
    place, wrong = (asked.place(service), {"data": b"{"}) if asked.options else ("nobody", {})
    for _ in range(2):
        response = service.ask("POST", asked.path.format(place), asked.role, headers={KEY: '"k-1"'}, **wrong)
        assert response.status_code in ({400, 415} if asked.options else {404}), response.text
        assert kept(service.database) == ""
    assert ask(service, asked, asked.place(service)).status_code in {200, 201, 202}


# ---- secrets


def test_whoever_never_heard_a_secret_gets_another_one(service: Service) -> None:
    """A token is revoked and made again, a webhook's secret is rotated: under another key."""
    asked = ASKED[0]
    first, lost = ask(service, asked, ""), ask(service, asked, "")
    path = f"/v1/tokens/{lost.get_json()['id']}/revoke"
    assert service.ask("POST", path, "admin").status_code == 200
    assert service.ask("GET", "/v1/rules", first.get_json()["token"]).status_code == 401
    other = ask(service, asked, "", '"k-2"').get_json()
    assert service.ask("GET", "/v1/rules", other["token"]).status_code == 200


def test_a_message_is_sent_once(service: Service) -> None:
    """Trying out a webhook is told again, not tried again."""
    with receiving() as receiver:
        address = service.post(HOOKS, {"url": receiver.url}, "admin").get_json()["webhook"]["id"]
        answers = [ask(service, Asked(HOOKS + "/{}/test"), address) for _ in range(3)]
        assert len({answer.text for answer in answers}) == 1
        assert len(receiver.requests) == 1


# ---- files


def test_a_key_stands_for_one_file(service: Service) -> None:
    """Another file, name or form under it is refused; the file is no larger for it than without."""

    def send(key: str, content: bytes = CSV, form: str = "text/csv", **query: str) -> TestResponse:
        options = {"data": content, "content_type": form, "query_string": query}
        return service.ask("POST", "/v1/imports", "ingest", headers={KEY: key}, **options)

    first = send('"k-1"')
    assert first.status_code == 201
    before = made(service.database)
    refused(send('"k-1"', CSV + b" "), Code.idempotency_key_reused)
    refused(send('"k-1"', name="other"), Code.idempotency_key_reused)
    refused(send('"k-1"', form="application/x-ndjson"), Code.idempotency_key_reused)
    assert made(service.database) == before
    assert send('"k-1"').data == first.data
    refused(send('"k-2"', b"a" * 10_000_000), Code.invalid_csv)  # larger than any body that is kept in memory
    refused(send('"k-2"', b"a" * (64 * 1024 * 1024 + 1)), Code.body_too_large)
    assert send('"k-2"').status_code == 201


def test_a_file_is_staged_anew_where_the_process_ended_before(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept of the first try is never committed."""

    def end(*_: Any) -> None:
        raise Death

    with monkeypatch.context() as patched:
        patched.setattr(staged_imports._Judging, "run", end)
        with pytest.raises(Death):
            ask(service, ASKED[5], "")
    staged = ask(service, ASKED[5], "")
    assert REPLAYED not in staged.headers
    listed = service.get("/v1/imports", "ingest")["imports"]
    assert [each["state"] for each in listed] == ["staged", "needs_profile"]
    left = service.ask("POST", f"/v1/imports/{listed[1]['id']}/commit", "ingest", sent={"accept_good_rows": True})
    refused(left, Code.import_not_ready)
    assert ask(service, ASKED[5], "").data == staged.data
