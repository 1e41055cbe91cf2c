"""Tokens over HTTP: made once, listed without their secrets, revoked at once for every process; and their last use."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from api import last_uses
from api.last_uses import LastUses
from ledger.database import Database
from ledger.refusal import Code
from ledger.tokens import ROLES, note_use, token_of_id
from tests.http_client import Service, refused, serving
from tests.test_cli import CommandLine
from tests.test_exports import read_xlsx

TOKENS = "/v1/tokens"
NOW = datetime(2026, 5, 15, 12, tzinfo=UTC)
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@pytest.fixture
def service(database: Database) -> Iterator[Service]:
    """Serve an empty ledger at noon."""
    with serving(database) as service:
        service.app.store.clock = lambda: NOW
        yield service


def made(service: Service, **sent: Any) -> Any:
    """Make a token over HTTP."""
    response = service.post(TOKENS, {"principal": "mara", "roles": ["finance"], **sent}, "admin")
    assert response.status_code == 201, response.text
    return response.json


def status(service: Service, token: str) -> int:
    """Give the status that a token is answered with."""
    return service.ask("GET", "/v1/rules", token).status_code


def noted(database: Database) -> list[tuple[Any, ...]]:
    """Read what the access log says of tokens made and revoked."""
    with database.cursor() as cursor:
        cursor.execute("SELECT action, subject, principal FROM access WHERE action LIKE 'token%' ORDER BY number")
        return cursor.fetchall()


# ---- making


def test_a_token_is_made_and_its_text_told_once(service: Service) -> None:
    end = NOW + timedelta(days=1)
    answered = made(service, roles=["finance", "rules"], expires_at=end.isoformat())
    text = answered.pop("token")
    assert answered == {
        "id": text.split("_")[1],
        "principal": "mara",
        "roles": ["finance", "rules"],
        "created_at": "2026-05-15T12:00:00Z",
        "expires_at": "2026-05-16T12:00:00Z",
    }
    assert status(service, text) == 200
    listed = service.ask("GET", TOKENS, "admin").text
    assert text.split("_")[2] not in listed
    assert noted(service.database) == [
        ("token_created", f"token {answered['id']} of mara (finance, rules)", "admin-clerk")
    ]


def test_an_expiry_is_told_in_utc_whatever_zone_it_was_sent_in(service: Service) -> None:
    answered = made(service, expires_at="2026-05-16T12:00:00+02:00")
    listed = {token["id"]: token for token in service.get(TOKENS, "admin")["tokens"]}
    assert answered["expires_at"] == listed[answered["id"]]["expires_at"] == "2026-05-16T10:00:00Z"


@pytest.mark.parametrize(
    ("sent", "pointers"),
    [
        ({"roles": []}, ["/roles"]),
        ({"roles": ["finance", "king"]}, ["/roles/1"]),
        ({"roles": ["finance", "finance"]}, ["/roles/1"]),
        ({"principal": ""}, ["/principal"]),
        ({"principal": " mara", "roles": ["king"]}, ["/principal", "/roles/0"]),
        ({"principal": "m\0"}, ["/principal"]),
        ({"principal": "x" * 1_000}, ["/principal"]),
        ({"expires_at": "2026-05-15T12:00:00Z"}, ["/expires_at"]),
        ({"expires_at": "2026-05-15T13:00:00+02:00"}, ["/expires_at"]),
        ({"expires_at": "9999-12-31T23:59:59-12:00"}, ["/expires_at"]),
        ({"expires_at": "0001-01-01T00:00:00+12:00"}, ["/expires_at"]),
        ({"expires_at": "2026-05-16T00:00:00"}, ["/expires_at"]),
    ],
)
def test_what_can_not_be_a_token_is_refused_with_every_problem(
    service: Service, sent: dict[str, Any], pointers: list[str]
) -> None:
    """And none is made, nor anything noted."""
    errors = refused(
        service.post(TOKENS, {"principal": "mara", "roles": ["finance"], **sent}, "admin"), Code.invalid_value
    )
    assert [error["pointer"] for error in errors] == pointers
    assert noted(service.database) == []
    assert len(service.get(TOKENS, "admin")["tokens"]) == len(ROLES)


def test_without_the_access_log_no_token_is_made_or_revoked(service: Service) -> None:
    token = made(service)
    connection = psycopg2.connect(service.database.url)
    with connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE access RENAME TO access_away")
    connection.close()
    assert service.post(TOKENS, {"principal": "eve", "roles": ["admin"]}, "admin").status_code == 500
    assert service.post(f"{TOKENS}/{token['id']}/revoke", {}, "admin").status_code == 500
    assert status(service, token["token"]) == 200
    with service.database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM token WHERE principal = 'eve'")
        assert cursor.fetchone() == (0,)


# ---- listing


def test_tokens_are_listed_page_by_page_oldest_first(service: Service) -> None:
    for number in range(5):
        made(service, principal=f"P-{number}")
    listed, cursor = list[str](), None
    while True:
        page = service.get(TOKENS, "admin", limit=4, **({"cursor": cursor} if cursor else {}))
        assert len(page["tokens"]) <= 4
        listed += [token["id"] for token in page["tokens"]]
        if (cursor := page["next_cursor"]) is None:
            break
    whole = service.get(TOKENS, "admin")["tokens"]
    assert listed == [token["id"] for token in whole]
    assert len(whole) == len(ROLES) + 5
    assert [token["created_at"] for token in whole] == sorted(token["created_at"] for token in whole)


def test_the_list_is_a_file_too(service: Service) -> None:
    """With the same cells; the access log notes it as an export."""
    made(service, principal="=1+1", roles=["finance", "rules"])
    response = service.ask("GET", TOKENS, "admin", headers={"Accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(response.text)))
    told = {token["id"]: token for token in service.get(TOKENS, "admin")["tokens"]}
    assert {row["id"] for row in rows} == set(told)
    (row,) = (row for row in rows if "1+1" in row["principal"])
    assert row["principal"] == "'=1+1"
    assert (row["roles"], row["expires_at"], row["revoked_at"]) == ("finance rules", "", "")
    sheet = service.ask("GET", TOKENS, "admin", headers={"Accept": XLSX})
    assert list(read_xlsx(sheet.data)) == ["tokens"]
    with service.database.cursor() as cursor:
        cursor.execute("SELECT subject FROM access WHERE action = 'exported' ORDER BY number")
        assert cursor.fetchall()[0] == (f"GET {TOKENS} text/csv",)


# ---- revoking


def test_a_token_is_revoked_once_and_answered_the_same_again(service: Service) -> None:
    token = made(service)
    answers = []
    for minutes in (0, 5):
        service.app.store.clock = lambda minutes=minutes: NOW + timedelta(minutes=minutes)  # type: ignore[misc]
        answers.append(service.post(f"{TOKENS}/{token['id']}/revoke", {}, "admin"))
    assert [response.status_code for response in answers] == [200, 200]
    assert {response.json["revoked_at"] for response in answers if response.json} == {"2026-05-15T12:00:00Z"}
    assert [action for action, *_ in noted(service.database)] == ["token_created", "token_revoked"]


@pytest.mark.parametrize("token_id", ["000000000000", "x", "%00", "olk_1_2", "é"])
def test_a_token_that_is_not_there_is_not_revoked(service: Service, token_id: str) -> None:
    refused(service.ask("POST", f"{TOKENS}/{token_id}/revoke", "admin"), Code.not_found)
    assert noted(service.database) == []


def test_a_revocation_holds_at_once_in_every_process(service: Service) -> None:
    """No process keeps that a token was valid: neither the one that revokes it nor another with its own connections."""
    token = made(service)["token"]
    with serving(service.database) as other:
        other.app.store.clock = service.app.store.clock
        assert {status(service, token), status(other, token)} == {200}
        service.post(f"{TOKENS}/{token.split('_')[1]}/revoke", {}, "admin")
        assert {status(service, token), status(other, token)} == {401}
        another = made(service)["token"]
        assert status(other, another) == 200
        other.post(f"{TOKENS}/{another.split('_')[1]}/revoke", {}, service.tokens["admin"])
        assert status(service, another) == 401


def test_an_expiry_holds_at_once_in_every_process(service: Service) -> None:
    token = made(service, expires_at=(NOW + timedelta(seconds=5)).isoformat())["token"]
    with serving(service.database) as other:
        for each in (service, other):
            for seconds, expected in ((4, 200), (5, 401)):
                each.app.store.clock = lambda seconds=seconds: NOW + timedelta(seconds=seconds)  # type: ignore[misc]
                assert status(each, token) == expected


# ---- the last use


def last_use(service: Service, token_id: str) -> datetime | None:
    """Read when a token was used last."""
    token = token_of_id(service.database, token_id)
    assert token is not None
    return token.last_used_at


def test_the_last_use_is_noted_once_a_minute(service: Service) -> None:
    token = made(service)
    assert last_use(service, token["id"]) is None
    for seconds, noted_at in ((0, 0), (30, 0), (59, 0), (60, 60), (61, 60), (200, 200)):
        service.app.store.clock = lambda seconds=seconds: NOW + timedelta(seconds=seconds)  # type: ignore[misc]
        assert status(service, token["token"]) == 200
        assert last_use(service, token["id"]) == NOW + timedelta(seconds=noted_at)
    (listed,) = (each for each in service.get(TOKENS, "admin")["tokens"] if each["id"] == token["id"])
    assert listed["last_used_at"] == "2026-05-15T12:03:20Z"


def test_a_token_that_is_not_valid_is_not_used(service: Service) -> None:
    token = made(service)
    service.post(f"{TOKENS}/{token['id']}/revoke", {}, "admin")
    assert status(service, token["token"]) == 401
    assert status(service, token["token"][:-1]) == 401
    assert last_use(service, token["id"]) is None


def test_the_last_use_never_goes_back_and_waits_for_nobody(service: Service) -> None:
    """A row that somebody holds is left as it is; the request goes on."""
    token = made(service)
    note_use(service.database, token["id"], now=NOW)
    note_use(service.database, token["id"], now=NOW - timedelta(hours=1))
    assert last_use(service, token["id"]) == NOW
    with service.database.transaction() as cursor:
        cursor.execute("UPDATE token SET revoked_at = NULL WHERE id = %s", (token["id"],))
        note_use(service.database, token["id"], now=NOW + timedelta(hours=1))
        service.app.store.clock = lambda: NOW + timedelta(hours=2)
        assert status(service, token["token"]) == 200
    assert last_use(service, token["id"]) == NOW


def test_what_can_not_be_noted_keeps_nobody_out(service: Service) -> None:
    token = made(service)["token"]
    connection = psycopg2.connect(service.database.url)
    with connection, connection.cursor() as cursor:
        cursor.execute("REVOKE UPDATE ON token FROM orderledger_app")
        cursor.execute("REVOKE UPDATE (last_used_at, revoked_at) ON token FROM orderledger_app")
    connection.close()
    assert status(service, token) == 200
    assert last_use(service, token.split("_")[1]) is None


def test_what_is_known_of_uses_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_uses, "KEYS_MAX", 3)
    uses, written = LastUses(), list[str]()
    for key in ("a", "b", "c", "d", "a", "d", "d"):
        uses.note(key, NOW, lambda key=key: written.append(key))  # type: ignore[misc]
    assert written == ["a", "b", "c", "d", "a"]
    assert len(uses._noted) == 3


def test_the_command_line_lists_the_last_use(database: Database, tmp_path: Path) -> None:
    cli = CommandLine(database.url, tmp_path)
    cli.done("init", "--no-four-eyes")
    token_id = cli.done("token", "create", "mara", "--role", "finance").strip().split("_")[1]
    note_use(database, token_id, now=NOW)
    listed = {row["id"]: row for row in json.loads(cli.done("token", "list", "--format", "json"))}
    assert listed[token_id]["last_used"] == "2026-05-15T12:00:00Z"
    assert {row["last_used"] for row in listed.values()} == {"", "2026-05-15T12:00:00Z"}


def test_the_command_line_refuses_a_token_that_is_over(database: Database, tmp_path: Path) -> None:
    cli = CommandLine(database.url, tmp_path)
    cli.done("init", "--no-four-eyes")
    refusal = cli.run("token", "create", "mara", "--role", "finance", "--expires", "2020-01-01")
    assert refusal.exit_code == 1
    assert "which is over" in refusal.stderr
