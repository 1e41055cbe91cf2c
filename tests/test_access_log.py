"""The access log: sign-ins, token changes, exports, audit readings and refusals are written down, without a secret, and
no flood fills it; and every event names the principal that recorded it.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.errors import InsufficientPrivilege, RestrictViolation

from api.app import Config, create_app
from api.audit import AccessEntry
from api.commands import actor
from ledger import checkpoints
from ledger.access_log import ACTIONS, OTHERS, REFUSALS_MAX, SUBJECT_CHARACTERS_MAX, Access, Refusals, last_number
from ledger.database import Database
from ledger.events import LedgerOpened
from ledger.refusal import Code
from ledger.settings import open_ledger
from ledger.signing import Signer
from ledger.tokens import ROLES, list_tokens, revoke_token
from tests.http_client import Service, event, part, person, placed, refused, serving
from tests.test_access import API, MAY
from tests.test_cli import CommandLine
from tests.test_exports import read_xlsx

LOG = "/v1/audit/access"
REPORT = "/v1/audit/rule-changes?period=2026-Q1"
RULE = {"action": "set_rule", "conditions": {"product_id": "P-1"}, "share": "0.5", "effective_from": "2024-01-01"}
CSV, NDJSON = "text/csv", "application/x-ndjson"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PARQUET = "application/vnd.apache.parquet"
FIGURES = "/v1/performance?period=2026-Q1"
NOW = datetime(2026, 5, 15, 12, tzinfo=UTC)


class Logged:
    """A service whose clock the test sets, and what its access log holds."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.now = NOW
        self.before = last_number(service.database)
        self.service.app.store.clock = lambda: self.now

    def ask(self, method: str, path: str, role: str | None, *, address: str = "10.0.0.1", **options: Any) -> int:
        """Make a request from an address; give its status."""
        options["environ_overrides"] = {"REMOTE_ADDR": address}
        return self.service.ask(method, path, role, **options).status_code

    def rows(self, *columns: str, **where: str) -> list[tuple[Any, ...]]:
        """Give columns of the log's entries, oldest first."""
        names = ", ".join(columns or ("action", "outcome", "principal"))
        conditions = " AND ".join(["number > %(before)s", *(f"{name} = %({name})s" for name in where)])
        with self.service.database.cursor() as cursor:
            cursor.execute(f"SELECT {names} FROM access WHERE {conditions} ORDER BY number", {**vars(self), **where})
            return cursor.fetchall()

    def id_of(self, role: str) -> str:
        """Give the id of a token."""
        return self.service.tokens.get(role, role).split("_")[1]


@pytest.fixture
def logged(database: Database) -> Iterator[Logged]:
    """Serve a ledger with two order types."""
    with serving(database) as service:
        service.define(standard="1", sample="0")
        yield Logged(service)


# ---- sign-ins, and what writes nothing


def test_a_tokens_first_request_of_a_day_from_an_address_is_its_sign_in(logged: Logged) -> None:
    for _ in range(3):
        assert logged.ask("GET", "/v1/rules", "auditor") == 200
    assert logged.ask("GET", "/v1/rules", "auditor", address="10.0.0.2") == 200
    logged.now += timedelta(days=1)
    assert logged.ask("GET", "/v1/rules", "auditor") == 200
    token = f"token {logged.id_of('auditor')}"
    assert logged.rows("action", "outcome", "principal", "subject", "address", "at::date::text") == [
        ("signed_in", "done", "auditor-clerk", token, "10.0.0.1", "2026-05-15"),
        ("signed_in", "done", "auditor-clerk", token, "10.0.0.2", "2026-05-15"),
        ("signed_in", "done", "auditor-clerk", token, "10.0.0.1", "2026-05-16"),
    ]


def test_another_process_knows_of_the_sign_in(logged: Logged) -> None:
    logged.ask("GET", "/v1/rules", "auditor")
    with serving(logged.service.database) as other:
        again = Logged(other)
        other.tokens = logged.service.tokens
        again.ask("GET", "/v1/rules", "auditor")
    assert len(logged.rows(action="signed_in")) == 1


def test_an_order_that_is_posted_writes_nothing(logged: Logged) -> None:
    """But the sign-in of the day."""
    for number in range(5):
        assert logged.ask("POST", "/v1/order-events", "ingest", sent=placed(f"SO-{number}")) == 201
    assert logged.ask("POST", "/v1/order-events", "ingest", sent=placed("SO-0")) == 200
    assert logged.ask("POST", "/v1/order-events", "ingest", sent={}) == 422
    assert logged.rows() == [("signed_in", "done", "ingest-clerk")]


def test_what_is_public_or_nowhere_writes_nothing(logged: Logged) -> None:
    for path in ("/", "/docs", "/healthz", "/nowhere", "/v1/nowhere"):
        logged.ask("GET", path, None)
    assert logged.rows() == []


# ---- refused accesses


def test_a_refused_access_tells_of_whom_it_knows(logged: Logged) -> None:
    """Of a wrong secret the token's id, of a token that is no longer valid its principal, of anything else nothing."""
    service = logged.service
    good = service.tokens["finance"]
    prefix, token_id, secret = good.split("_")
    expired = service.token("auditor", principal="late", expires_at=NOW - timedelta(days=1))
    revoked = service.token("auditor", principal="leaver")
    revoke_token(service.database, revoked.split("_")[1], now=NOW)
    for number, token in enumerate(
        (None, f"{prefix}_{token_id}_{secret[::-1]}", f"{prefix}_000000000000_{secret}", expired, revoked, "nonsense")
    ):
        assert logged.ask("GET", "/v1/rules", token, address=f"10.0.1.{number}") == 401
    assert logged.rows("action", "outcome", "principal", "token_id", "subject", "address", "times") == [
        ("refused", "unauthenticated", principal, known, "GET /v1/rules", f"10.0.1.{number}", 1)
        for number, (principal, known) in enumerate(
            [
                (None, None),
                (None, token_id),
                (None, None),
                ("late", expired.split("_")[1]),
                ("leaver", revoked.split("_")[1]),
                (None, None),
            ]
        )
    ]


def test_a_role_that_may_not_is_told_with_what_it_asked_for(logged: Logged) -> None:
    assert logged.ask("GET", "/v1/orders/SO-7/events", "sales") == 403
    assert logged.ask("POST", "/v1/rule-changes/RC-1/approve", "rules", sent={}) == 403
    assert logged.rows("outcome", "principal", "subject", "channel", action="refused") == [
        ("forbidden", "ann", "GET /v1/orders/SO-7/events", "http"),
        ("forbidden", "rules-clerk", "POST /v1/rule-changes/RC-1/approve", "http"),
    ]
    assert len(logged.rows(action="signed_in")) == 2, "their tokens are good all the same"


def test_a_refusal_of_the_domain_is_told_by_its_code(database: Database) -> None:
    """Who approves their own proposal is refused with 403 too."""
    with serving(database) as service:
        logged = Logged(service)
        open_ledger(service.app.store, LedgerOpened("four eyes", four_eyes=True), actor="admin")
        service.define(standard="1")
        both = service.token("rules", "approver", principal="pat")
        service.catch_up()
        assert service.post("/v1/rule-changes", {"alterations": [RULE], "reason": "x", "rule_change_id": "RC"}, both)
        service.catch_up()
        refused(service.post("/v1/rule-changes/RC/approve", {}, both), Code.own_proposal)
        assert logged.rows("outcome", "principal", action="refused") == [("own_proposal", "pat")]


def test_the_request_id_is_that_of_the_answer(logged: Logged) -> None:
    response = logged.service.ask("GET", "/v1/rules", None)
    assert logged.rows("request_id") == [(response.headers["X-Request-Id"],)]


def test_an_address_that_is_not_printable_is_written_printably(logged: Logged) -> None:
    for path in ("/v1/orders/%00%1B[31m/events", "/v1/orders/" + "x" * 2_000 + "/events", "/v1/orders/%ff/events"):
        assert logged.ask("GET", path, "sales") == 403
    subjects = [subject for (subject,) in logged.rows("subject", action="refused")]
    assert subjects[0] == "GET /v1/orders/��[31m/events"
    assert max(map(len, subjects)) == SUBJECT_CHARACTERS_MAX
    assert all(subject.isprintable() for subject in subjects)


def test_no_secret_is_in_the_log(logged: Logged) -> None:
    """Whatever is refused or done: neither a secret, nor an Authorization header, nor what else was in the query."""
    service = logged.service
    for role in ROLES:
        for path in (REPORT, LOG, "/v1/rules", "/v1/events"):
            logged.ask("GET", path, role)
            logged.ask("GET", path, role, headers={"Accept": CSV})
    secrets = [token.split("_")[2] for token in service.tokens.values()]
    for secret in secrets:
        logged.ask("GET", f"/v1/orders/{secret}", None)
        logged.ask("GET", f"/v1/rules?token={secret}", "auditor")
        logged.ask("GET", f"/v1/rules?token={secret}", None)
        logged.ask("GET", f"{LOG}?principal=somebody", "auditor")
        logged.ask("GET", "/v1/rules", None, headers={"Authorization": f"Basic {secret}"})
    service.app.access_log.flush()
    everything = str(logged.rows("access::text"))
    assert everything.count("refused") > 20
    for secret in (*secrets, "somebody", "Basic", "Bearer"):
        assert secret not in everything


# ---- floods


def test_the_same_refusal_within_a_minute_is_counted(logged: Logged) -> None:
    """The first at once; the others as one row, with the first request after the minute."""
    for _ in range(50):
        assert logged.ask("GET", "/v1/rules", None) == 401
        logged.now += timedelta(seconds=1)
    assert logged.rows("times") == [(1,)]
    logged.now += timedelta(seconds=10)
    assert logged.ask("GET", "/healthz", None) == 200
    assert logged.rows("times", "subject", "at::time::text") == [
        (1, "GET /v1/rules", "12:00:00"),
        (49, "GET /v1/rules", "12:00:49"),
    ]
    assert logged.ask("GET", "/v1/rules", None) == 401
    assert logged.rows("times") == [(1,), (49,), (1,)]


def test_a_flood_writes_a_bounded_number_of_rows(logged: Logged) -> None:
    """From however many addresses; and every refusal is in the sum."""
    service = logged.service
    for number in range(600):
        assert logged.ask("GET", "/v1/rules", None, address=f"10.1.{number % 200}.1") == 401
    assert len(logged.rows()) == REFUSALS_MAX + 1
    service.app.access_log.flush()
    rows = logged.rows("times", "subject", "address", "outcome")
    assert len(rows) <= 2 * (REFUSALS_MAX + 1)
    assert sum(times for times, *_ in rows) == 600
    assert (600 - 3 * REFUSALS_MAX - 1, OTHERS, None, OTHERS) in rows
    service.app.access_log.flush()
    assert len(logged.rows()) == len(rows), "nothing is written twice"


def test_what_is_counted_is_written_when_the_service_stops(database: Database) -> None:
    with serving(database) as service:
        logged = Logged(service)
        for _ in range(7):
            service.ask("GET", "/v1/rules", None)
    assert logged.rows("times") == [(1,), (6,)]


def test_refusals_of_many_threads_are_all_counted() -> None:
    refusals = Refusals()

    def refuse(number: int) -> int:
        access = Access(NOW, "http", "refused", "forbidden", None, None, f"GET /{number % 40}", address="10.0.0.1")
        return sum(each.times for each in refusals.taken(access))

    with ThreadPoolExecutor(8) as pool:
        written = sum(pool.map(refuse, range(4_000)))
    assert written == REFUSALS_MAX + 1
    assert written + sum(each.times for each in refusals.left()) == 4_000
    assert refusals.left() == []


# ---- exports and audit readings


@pytest.mark.parametrize(
    ("path", "accept", "entry"),
    [
        (REPORT, None, ("audit_read", "GET /v1/audit/rule-changes period=2026-Q1")),
        (REPORT, CSV, ("exported", f"GET /v1/audit/rule-changes period=2026-Q1 {CSV}")),
        (REPORT + "&position=2", XLSX, ("exported", f"GET /v1/audit/rule-changes period=2026-Q1 position=2 {XLSX}")),
        (LOG + "?limit=1&action=refused", None, ("audit_read", "GET /v1/audit/access")),
        (FIGURES, PARQUET, ("exported", f"GET /v1/performance period=2026-Q1 {PARQUET}")),
        (LOG + "?from=2026-01-01", NDJSON, ("exported", f"GET /v1/audit/access from=2026-01-01 {NDJSON}")),
    ],
)
def test_what_is_handed_out_is_written_down(
    logged: Logged, path: str, accept: str | None, entry: tuple[str, str]
) -> None:
    headers = {"Accept": accept} if accept else {}
    assert logged.ask("GET", path, "auditor", headers=headers) == 200
    assert logged.rows("action", "subject", "outcome", "principal")[1:] == [(*entry, "done", "auditor-clerk")]


def test_what_is_not_answered_is_not_read(logged: Logged) -> None:
    assert logged.ask("GET", "/v1/audit/rule-changes", "auditor") == 422
    assert logged.ask("GET", "/v1/audit/nothing", "auditor") == 404
    assert logged.rows() == [("signed_in", "done", "auditor-clerk")]


# ---- when it can't be written


def as_superuser(database: Database, *statements: str) -> None:
    """Run statements as who logs in, not as the application."""
    connection = psycopg2.connect(database.url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    connection.close()


@pytest.fixture
def broken(logged: Logged) -> Logged:
    """Take the access log away."""
    logged.ask("GET", "/v1/rules", "auditor")
    as_superuser(logged.service.database, "ALTER TABLE access RENAME TO access_away")
    return logged


def test_without_the_log_nothing_is_handed_out_but_orders_are_taken(broken: Logged) -> None:
    service = broken.service
    for path, headers in ((REPORT, {}), (REPORT, {"Accept": CSV}), (REPORT, {"Accept": XLSX})):
        response = service.ask("GET", path, "auditor", headers=headers)
        refused(response, Code.storage_unavailable)
        assert response.headers["X-Request-Id"]
        assert "Content-Disposition" not in response.headers
    assert broken.ask("POST", "/v1/order-events", "ingest", sent=placed("SO-1")) == 201
    assert broken.ask("GET", "/v1/rules", "finance") == 200
    refused(service.ask("GET", "/v1/rules", None), Code.unauthenticated)
    refused(service.ask("GET", "/v1/events", "sales"), Code.forbidden)
    as_superuser(service.database, "ALTER TABLE access_away RENAME TO access")
    assert broken.ask("GET", REPORT, "auditor") == 200, "the control"
    assert broken.ask("GET", "/v1/rules", "finance") == 200
    assert ("finance-clerk",) in broken.rows("principal", action="signed_in"), "it is noted as soon as it can be"


def test_without_the_log_no_token_is_made_or_revoked(broken: Logged, tmp_path: Path) -> None:
    """One transaction: both or neither."""
    database = broken.service.database
    cli = CommandLine(database.url, tmp_path)
    before = list_tokens(database)
    for words in (("token", "create", "eve", "--role", "admin"), ("token", "revoke", broken.id_of("admin"))):
        result = cli.run(*words)
        assert (result.exit_code, result.stdout) == (3, "")
    assert cli.run("audit", "access").exit_code == 3
    assert list_tokens(database) == before


# ---- immutable


@pytest.mark.parametrize("role", ["origin", "replica", "local"])
def test_the_log_is_only_added_to(logged: Logged, role: str) -> None:
    logged.ask("GET", "/v1/rules", "auditor")
    before, database = logged.rows("access::text"), logged.service.database
    for attack in (
        "UPDATE access SET principal = 'x'",
        "UPDATE access SET principal = 'x' WHERE false",
        "DELETE FROM access",
        "TRUNCATE access",
        "TRUNCATE access CASCADE",
    ):
        with pytest.raises(RestrictViolation):
            as_superuser(database, f"SET session_replication_role = {role}", attack)
    row = "(at, channel, action, outcome, subject) VALUES (now(), 'cli', 'refused', 'x', 'y')"
    as_superuser(database, f"SET session_replication_role = {role}", f"INSERT INTO access {row}")
    assert logged.rows("access::text")[:-1] == before
    assert len(logged.rows("access::text")) == len(before) + 1, "the control"


def test_the_application_may_only_add(logged: Logged) -> None:
    """It lacks the right, before any trigger says no."""
    for attack in ("UPDATE access SET principal = 'x'", "DELETE FROM access", "TRUNCATE access", "DROP TABLE access"):
        with logged.service.database.cursor() as cursor, pytest.raises(InsufficientPrivilege):
            cursor.execute(attack)


# ---- reading it


def entries(logged: Logged, role: str = "auditor", **asked: Any) -> list[Any]:
    """Read the log over HTTP."""
    found: list[Any] = logged.service.get(LOG, role, **asked)["entries"]
    return [entry for entry in found if entry["number"] > logged.before]


def test_the_log_is_read_by_days_principal_and_action(logged: Logged) -> None:
    for day, role in ((0, "rules"), (1, "finance"), (2, "rules")):
        logged.now = NOW + timedelta(days=day)
        logged.ask("GET", REPORT, role)
    logged.ask("GET", "/v1/events", "sales")
    assert [each["action"] for each in entries(logged)] == [*["signed_in", "audit_read"] * 3, "signed_in", "refused"]
    assert {each["principal"] for each in entries(logged, principal="rules-clerk")} == {"rules-clerk"}
    assert {each["action"] for each in entries(logged, action="audit_read")} == {"audit_read"}
    some = entries(logged, "admin", **{"from": "2026-05-16", "to": "2026-05-17"})
    assert [each["principal"] for each in some] == ["finance-clerk"] * 2
    assert [each["principal"] for each in entries(logged, to="2026-05-16")] == ["rules-clerk"] * 2
    assert entries(logged, principal="nobody") == []
    assert set(some[0]) == {
        *("number", "at", "channel", "action", "outcome", "principal"),
        *("token_id", "subject", "request_id", "address", "times"),
    }


def test_days_are_those_of_the_ledgers_zone(database: Database) -> None:
    with serving(database) as service:
        open_ledger(service.app.store, LedgerOpened("zoned", time_zone="Asia/Shanghai"), actor="admin")
        logged = Logged(service)
        logged.now = datetime(2026, 5, 15, 16, 30, tzinfo=UTC)
        logged.ask("GET", "/v1/rules", "finance")
        assert entries(logged, to="2026-05-16") == []
        assert len(entries(logged, **{"from": "2026-05-16"}, principal="finance-clerk")) == 1
        assert len(entries(logged, **{"from": "0001-01-01", "to": "9999-12-31"})) >= 1


def test_pages_are_the_whole_log_as_it_was(logged: Logged) -> None:
    """What is written while the pages are read, such as that they are, is not in them."""
    for number in range(7):
        logged.ask("GET", "/v1/rules", "finance", address=f"10.0.0.{number}")
    whole = [each["number"] for each in entries(logged)]
    for limit in (1, 2, 3, 7, 8, 100):
        found, cursor = list[int](), None
        while True:
            page = logged.service.get(
                LOG, limit=limit, **({"cursor": cursor} if cursor else {}), principal="finance-clerk"
            )
            assert len(page["entries"]) <= limit
            found += [each["number"] for each in page["entries"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert found == whole


def test_the_log_is_exported(logged: Logged) -> None:
    for number in range(3):
        logged.ask("GET", "/v1/rules", "finance", address=f"10.0.0.{number}")
    told = entries(logged, principal="finance-clerk")
    response = logged.service.ask("GET", LOG + "?bom=true&principal=finance-clerk", "admin", headers={"Accept": CSV})
    assert response.data.startswith(b"\xef\xbb\xbf")
    assert 'filename="access-' in response.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(response.data.decode("utf-8-sig"), newline="")))
    assert [row["address"] for row in rows][:3] == [each["address"] for each in told]
    assert rows[0]["at"] == "2026-05-15T12:00:00Z" == told[0]["at"]
    sheet, lines = (
        logged.service.ask("GET", LOG + "?principal=finance-clerk", "admin", headers={"Accept": accept}).data
        for accept in (XLSX, NDJSON)
    )
    first = read_xlsx(sheet)["access"][1]
    assert first[:4] == [told[0]["number"], datetime(2026, 5, 15, 12), "http", "signed_in"]  # noqa: DTZ001 - a cell
    assert json.loads(lines.splitlines()[0]) == told[0]


@pytest.mark.parametrize(
    ("query", "code", "pointer"),
    [
        ("from=2026-01-02&to=2026-01-02", Code.empty_range, "/to"),
        ("from=x", Code.invalid_parameter, "/from"),
        ("action=anything", Code.invalid_parameter, "/action"),
        ("principal=%00", Code.invalid_parameter, "/principal"),
        ("principal=", Code.invalid_parameter, "/principal"),
        ("cursor=x", Code.invalid_parameter, "/cursor"),
        ("limit=0", Code.invalid_parameter, "/limit"),
        ("bom=true", Code.invalid_parameter, "/bom"),
        ("position=1", Code.invalid_parameter, "/position"),
    ],
)
def test_bad_input_is_refused(logged: Logged, query: str, code: Code, pointer: str) -> None:
    (error,) = refused(logged.service.ask("GET", f"{LOG}?{query}", "auditor"), code)
    assert error["pointer"] == pointer


# ---- every write names its principal


WRITES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "POST /v1/audit/checkpoints": ("/v1/audit/checkpoints", lambda _: {}),
    "POST /v1/order-events": ("/v1/order-events", lambda name: placed(f"SO-{name}")),
    "POST /v1/order-events/bulk": ("/v1/order-events/bulk", lambda name: {"events": [placed(f"BULK-{name}")]}),
    "PUT /v1/customers/<path:customer_id>/class": (
        "/v1/customers/C-1/class",
        lambda _: {"customer_class": "house-account", "effective_from": "2026-01-01"},
    ),
    "PUT /v1/products/<path:product_id>/category": (
        "/v1/products/P-1/category",
        lambda _: {"category": "K-2", "effective_from": "2026-01-01"},
    ),
    "PUT /v1/salespeople/<path:salesperson_id>/team": (
        "/v1/salespeople/ann/team",
        lambda _: {"team": "north", "effective_from": "2026-01-01"},
    ),
    "PUT /v1/salespeople/<path:salesperson_id>/quotas/<period>": (
        "/v1/salespeople/ann/quotas/2026-Q1",
        lambda _: {"currency": "EUR", "amount": "1000"},
    ),
    "POST /v1/rule-changes": ("/v1/rule-changes", lambda _: {"alterations": [RULE], "reason": "x"}),
    "POST /v1/rule-changes/<path:rule_change_id>/approve": ("/v1/rule-changes/RC-approve/approve", lambda _: {}),
    "POST /v1/rule-changes/<path:rule_change_id>/reject": (
        "/v1/rule-changes/RC-reject/reject",
        lambda _: {"reason": "no"},
    ),
    "POST /v1/rule-changes/<path:rule_change_id>/withdraw": ("/v1/rule-changes/RC-withdraw/withdraw", lambda _: {}),
    "POST /v1/periods/<period_id>/close": ("/v1/periods/2024-Q1/close", lambda _: {"reason": "complete"}),
    "POST /v1/periods/<period_id>/restate": ("/v1/periods/2024-Q1/restate", lambda _: {"reason": "late"}),
    "POST /v1/periods/<period_id>/carry-forward": (
        "/v1/periods/2024-Q1/carry-forward",
        lambda _: {"reason": "late", "into_period": "2024-Q2"},
    ),
}
"""A request of each route that records, in an order in which each can be."""
RECORDS_NOTHING = {
    "POST /v1/simulations",
    "POST /v1/simulations/orders",
    "POST /v1/verifications",
    "POST /v1/tokens",
    "POST /v1/tokens/<token_id>/revoke",
    *(route for route in MAY if " /v1/webhooks" in route and not route.startswith("GET ")),
    "POST /v1/imports",
    "PUT /v1/imports/<import_id>/profile",
    "POST /v1/imports/<import_id>/discard",
    "PUT /v1/import-profiles/<profile_name>",
    "DELETE /v1/import-profiles/<profile_name>",
}
ASKED_ELSEWHERE = {
    "POST /v1/audit/checkpoints/<int:size>/cosignatures",
    "POST /v1/imports/<import_id>/commit",
}
"""A cosignature is of a note that is signed first: tests/test_checkpoints.py; a commit is of a file that is sent first:
tests/test_imports.py.
"""


def test_every_event_names_the_principal_of_its_token(database: Database, tmp_path: Path) -> None:
    """All routes that write; a route that is new fails here until it is asked."""
    writing = {route for route in API if not route.startswith("GET ")}  # pages record by asking these
    assert writing == set(WRITES) | RECORDS_NOTHING | ASKED_ELSEWHERE
    signer = Signer(tmp_path / "signing-key")
    key = signer.create_key("test")
    with serving(database, signer.path) as service:
        checkpoints.introduce_key(service.app.store, key, actor="admin")
        service.define(standard="1")
        by_who = {route: service.token(*sorted(MAY[route]), principal=f"who-{n}") for n, route in enumerate(WRITES)}
        for name in ("approve", "reject"):
            service.propose({**RULE, "conditions": {"product_id": name}}, rule_change_id=f"RC-{name}")
        withdrawing = by_who["POST /v1/rule-changes/<path:rule_change_id>/withdraw"]
        proposed = {"alterations": [{**RULE, "share": "0.2"}], "reason": "x", "rule_change_id": "RC-withdraw"}
        service.catch_up()
        assert service.post("/v1/rule-changes", proposed, withdrawing).status_code == 201
        for number, (route, (path, body)) in enumerate(WRITES.items()):
            if path.startswith("/v1/periods"):
                service.record(placed(f"LATE-{number}", ordered_on="2024-02-10", amount="7.00"))
            service.catch_up()
            before = service.app.store.head()
            method = route.partition(" ")[0]
            response = service.ask(method, path, by_who[route], sent=body(str(number)))
            assert response.status_code in {200, 201}, (route, response.text)
            recorded = service.app.store.documents(before, 100)
            events = [json.loads(document.state) for document in recorded]
            assert {each["actor"] for each in events} == {f"who-{number}"}, route
            behind = [each["type"] for each in events[1:]]  # a close, a restatement and a carry-forward are signed
            assert behind == (["checkpoint.issued"] if path.startswith("/v1/periods") else []), route


def test_corrections_of_orders_name_their_principal_too(logged: Logged) -> None:
    service = logged.service
    service.record(placed("SO-1"))
    for number, sent in enumerate(
        (
            event("order.amended", "SO-1", customer_id="C-2"),
            event("order.reclassified", "SO-1", order_type="sample"),
            event("order.reassigned", "SO-1", effective_from="2026-03-10", splits=[person("bob")]),
            event("order.returned", "SO-1", returned_on="2026-03-20", lines=[part()]),
            event("order.cancelled", "SO-1", cancelled_on="2026-03-21"),
        )
    ):
        position = service.app.store.head()
        token = service.token("ingest", principal=f"desk-{number}")
        assert service.post("/v1/order-events", sent, token).status_code == 201
        (document,) = service.app.store.documents(position, 2)
        assert json.loads(document.state)["actor"] == f"desk-{number}"


# ---- the command line


@pytest.fixture
def cli(database: Database, tmp_path: Path) -> CommandLine:
    """Give a command line on a ledger of one person."""
    cli = CommandLine(database.url, tmp_path)
    cli.done("init", "--no-four-eyes")
    return cli


def log_of(cli: CommandLine, *words: str) -> list[Any]:
    """Read the log on the command line."""
    found: list[Any] = cli.rows("audit", "access", *words)["entries"]
    return found


def test_tokens_made_and_revoked_on_the_command_line_are_written_down(cli: CommandLine) -> None:
    text = cli.done("token", "create", "mara", "--role", "finance", "--role", "rules").strip()
    token_id = text.split("_")[1]
    cli.done("token", "revoke", token_id)
    assert cli.run("token", "revoke", token_id).exit_code == 1
    found = log_of(cli)
    assert [(each["action"], each["subject"].partition(" ")[2]) for each in found[1:3]] == [
        ("token_created", f"{token_id} of mara (finance, rules)"),
        ("token_revoked", token_id),
    ]
    assert found[0]["subject"].endswith(" of admin (admin)"), "init makes one"
    assert {(each["principal"], each["channel"], each["outcome"]) for each in found} == {(actor(), "cli", "done")}
    assert text.split("_")[2] not in json.dumps(found)


def test_reports_and_exports_of_the_command_line_are_written_down(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "report.xlsx"
    cli.done("audit", "rule-changes", "--period", "2026-Q1")
    cli.done("audit", "rule-changes", "--period", "2026-Q1", "--format", "csv")
    cli.done(
        "audit", "rule-changes", "--from", "2026-01-01", "--to", "2026-02-01", "--format", "xlsx", "--output", str(file)
    )
    assert set(read_xlsx(file.read_bytes())) == {"about", "rule_changes", "alterations", "impact", "rules"}
    cli.done("audit", "access", "--format", "ndjson")
    assert [(each["action"], each["subject"]) for each in log_of(cli)[1:]] == [
        ("audit_read", "orderledger audit rule-changes period=2026-Q1 position=2 table"),
        ("exported", "orderledger audit rule-changes period=2026-Q1 position=2 csv"),
        ("exported", "orderledger audit rule-changes period=2026-01-01..2026-02-01 position=2 xlsx"),
        ("exported", "orderledger audit access ndjson"),
    ]


def test_events_of_the_command_line_name_the_systems_user(cli: CommandLine, database: Database) -> None:
    cli.done("rules", "define", "standard", "--reason", "x")
    cli.done("import", cli.folder_of(), "--source", "erp", "--define-order-types")
    cli.done("close", "2025-Q4", "--reason", "x")
    cli.done("rules", "set", "--order-type", "sample", "--share", "0", "--from", "2026-01-01", "--reason", "x")
    with database.cursor() as cursor:
        cursor.execute("SELECT DISTINCT actor FROM event")
        assert cursor.fetchall() == [(actor(),)]


def test_a_visitor_finds_what_to_type(cli: CommandLine, tmp_path: Path) -> None:
    for words in (
        ("rule-changes",),
        ("rule-changes", "--period", "2026-Q1", "--format", "xlsx"),
        ("rule-changes", "--period", "2026-Q1", "--format", "parquet", "--output", str(tmp_path / "x")),
        ("rule-changes", "--period", "2026-Q1", "--format", "parquet", "--table", "rules"),
        ("rule-changes", "--period", "2026-Q1", "--output", str(tmp_path / "x")),
        ("rule-changes", "--period", "2026-Q1", "--bom"),
        ("access", "--action", "anything"),
        ("access", "--from", "2026-02-01", "--to", "2026-01-01"),
    ):
        result = cli.run("audit", *words)
        assert result.exit_code in {1, 2}, words
        assert result.stderr
    assert cli.done("audit", "rule-changes", "--period", "2026-Q1") == (
        "Rule changes:\n(nothing)\n\nRules in force:\n(nothing)\n"
    )
    assert "token_created" in cli.done("audit", "access")


def test_the_log_is_documented() -> None:
    """Each of its columns and actions."""
    text = (Path(__file__).parent.parent / "docs" / "events.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `(\w+)` \|", text.split("## The access log")[1], re.MULTILINE)
    assert documented == [*AccessEntry.__struct_fields__, *ACTIONS]


def test_the_service_starts_without_a_database() -> None:
    """Nothing connects before the first request, nor to write down nothing when it stops."""
    create_app(Config("postgresql://127.0.0.1:1/none")).stop()
