"""What whoever operates the service sees of it: figures, readiness, request ids and the log's lines."""

import json
import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg2
import pytest

from api.access import public
from api.app import Config, create_app
from api.health import _health
from api.rate_limits import Limits
from api.request_log import lines
from api.server import Discreet
from ledger import verification_log
from ledger.database import Database, transaction
from ledger.refusal import Code
from ledger.verification_log import Verification
from tests.figures import figures, labels
from tests.http_client import Service, placed, refused, serving

FROM_ELSEWHERE = {"environ_overrides": {"REMOTE_ADDR": "198.51.100.7"}}


@pytest.fixture
def service(database: Database) -> Iterator[Service]:
    """Serve a ledger with an order type."""
    with serving(database) as service:
        service.define(standard="1")
        yield service


def told(service: Service) -> str:
    """Read the figures as on the machine itself."""
    response = service.ask("GET", "/metrics", None)
    assert (response.status_code, response.mimetype) == (200, "text/plain")
    return response.text


# ---- figures


def test_events_and_appends_are_counted(service: Service) -> None:
    """Events in the ledger are the database's; those appended, with the time that it took, are this service's."""
    before = told(service)
    assert figures(before, "orderledger_events") == {"": 2}
    for number in range(5):
        service.record(placed(f"SO-{number}"))
    service.post("/v1/order-events", placed("SO-1"))
    after = told(service)
    assert figures(after, "orderledger_events") == {"": 7}
    assert figures(after, "orderledger_projection_lag_events") == {"": 5}
    service.catch_up()
    assert figures(told(service), "orderledger_projection_lag_events") == {"": 0}
    grown = {
        name: figures(after, name)[""] - figures(before, name)[""]
        for name in ("orderledger_appended_events_total", "orderledger_append_seconds_count")
    }
    assert grown["orderledger_appended_events_total"] == 5
    assert grown["orderledger_append_seconds_count"] >= 5
    assert figures(after, "orderledger_append_seconds_sum")[""] > 0
    assert figures(after, "orderledger_append_seconds_bucket")['le="+Inf"'] >= 5


def test_requests_are_counted_by_route_and_refusals_by_code(service: Service) -> None:
    for order_id in ("SO-1", "SO-2"):
        assert service.ask("GET", f"/v1/orders/{order_id}", "auditor").status_code == 404
    service.ask("GET", "/v1/orders/SO-1", None)
    service.ask("GET", "/nowhere", None)
    service.ask("HOCUS", "/v1/rules", "auditor")
    text = told(service)
    requests = figures(text, "orderledger_requests_total")
    assert requests['method="GET",route="/v1/orders/<path:order_id>",status="404"'] == 2
    assert requests['method="GET",route="/v1/orders/<path:order_id>",status="401"'] == 1
    assert requests['method="GET",route="(none)",status="404"'] == 1
    assert requests['method="(none)",route="(none)",status="405"'] == 1
    refusals = figures(text, "orderledger_refusals_total")
    assert refusals == {
        'code="order_not_found"': 2,
        'code="not_found"': 1,
        'code="unauthenticated"': 1,
        'code="method_not_allowed"': 1,
    }


def test_the_pool_is_told(service: Service) -> None:
    """The connection that reads the figures is none of them: they are told before it is lent."""
    assert figures(told(service), "orderledger_pool_connections_max") == {"": 12}
    assert figures(told(service), "orderledger_pool_connections_in_use") == {"": 0}
    with service.app.store.database.cursor(), service.app.store.database.cursor():
        assert figures(told(service), "orderledger_pool_connections_in_use") == {"": 2}
    assert figures(told(service), "orderledger_pool_connections_in_use") == {"": 0}


@pytest.mark.parametrize("findings", [0, 3])
def test_the_last_verification_is_told_with_its_age_and_verdict(service: Service, findings: int) -> None:
    assert figures(told(service), "orderledger_last_verification_sound") == {}
    now = service.app.store.clock()
    service.app.store.clock = lambda: now
    for ago, found in ((90, 7), (60, findings)):
        with service.database.cursor() as cursor:
            verdict = Verification(now - timedelta(seconds=ago), "cli:root", 3, bytes(32), found, 12)
            verification_log.append(cursor, verdict)
    text = told(service)
    assert figures(text, "orderledger_last_verification_age_seconds") == {"": 60}
    assert figures(text, "orderledger_last_verification_sound") == {"": int(findings == 0)}
    assert figures(text, "orderledger_last_verification_findings") == {"": findings}


def test_requests_beyond_a_limit_are_counted(database: Database) -> None:
    with serving(database, limits=Limits(requests_per_second_max=1, workers=10)) as service:
        for _ in range(3):
            service.ask("GET", "/v1/rules", "auditor")
        assert figures(told(service), "orderledger_rate_limited_total") == {'limit="token"': 2}
        assert figures(told(service), "orderledger_refusals_total") == {'code="rate_limited"': 2}


def test_no_figure_names_anybody(service: Service) -> None:
    """Labels are of routes, methods, statuses, codes, bounds and the version: nothing of a customer, nothing secret."""
    service.record(placed("SO-7", customer_id="C-secret"))
    service.ask("GET", "/v1/orders/SO-7", "auditor")
    service.ask("GET", "/v1/customers/C-secret", None)
    text = told(service)
    assert {name for name, _ in labels(text)} == {"method", "route", "status", "code", "le", "version", "state"}
    routes = {str(rule) for rule in service.app.url_map.iter_rules()} | {"(none)"}
    assert {value for name, value in labels(text) if name == "route"} <= routes
    for secret in ("C-secret", "SO-7", "clerk", *(token.split("_")[2] for token in service.tokens.values())):
        assert secret not in text


def test_figures_take_a_token_except_on_the_machine_itself(service: Service) -> None:
    """A proxy on the same machine that says for whom it asks is not the machine itself."""
    for address in ("127.0.0.1", "127.1.2.3", "::1"):
        response = service.ask("GET", "/metrics", None, environ_overrides={"REMOTE_ADDR": address})
        assert response.status_code == 200, address
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
        refused(service.ask("GET", "/metrics", None, headers={name: "198.51.100.7"}), Code.unauthenticated)
    for address in ("198.51.100.7", "12.7.0.1", "", "::2"):
        response = service.ask("GET", "/metrics", None, environ_overrides={"REMOTE_ADDR": address})
        refused(response, Code.unauthenticated)
    assert service.ask("GET", "/metrics", "monitor", **FROM_ELSEWHERE).status_code == 200
    refused(service.ask("GET", "/metrics", "auditor", **FROM_ELSEWHERE), Code.forbidden)
    refused(service.ask("GET", "/v1/order-types", "monitor"), Code.forbidden)


def test_without_the_database_the_figures_of_the_process_are_told() -> None:
    client = create_app(Config("postgresql://127.0.0.1:1/none?connect_timeout=2")).test_client()
    client.get("/readyz")
    text = client.get("/metrics").text
    assert figures(text, "orderledger_database_up") == {"": 0}
    assert figures(text, "orderledger_events") == {}
    assert figures(text, "orderledger_requests_total") == {'method="GET",route="/readyz",status="503"': 1}


# ---- readiness


def readiness(service: Service) -> tuple[int, str, str | None]:
    """Ask whether it is ready; give the status, the state and the reason."""
    response = service.ask("GET", "/readyz", None)
    answered: dict[str, Any] = response.get_json()
    return response.status_code, answered["status"], answered["reason"]


def test_it_is_ready_when_everything_is_there(service: Service) -> None:
    assert readiness(service) == (200, "ready", None)


def test_a_database_that_hangs_is_told_and_holds_one_thread(service: Service) -> None:
    """Who asks for the state is answered within seconds, however often; when it goes on, so does the service."""
    with service.database.administration() as cursor, transaction(cursor):
        cursor.execute("LOCK TABLE head IN ACCESS EXCLUSIVE MODE")
        before = threading.active_count()
        assert [readiness(service)[:2] for _ in range(2)] == [(503, "database unreachable")] * 2
        assert figures(service.ask("GET", "/metrics", "monitor").text, "orderledger_database_up") == {"": 0}
        assert threading.active_count() - before <= 2, "one for the state, one for the figures"
    assert [readiness(service)[:2] for _ in range(2)][-1] == (200, "ready"), "the first may be what was asked then"


def test_it_is_not_ready_with_a_database_of_another_version(service: Service) -> None:
    """Newer or older: the one that is missing on either side is named."""
    with service.database.administration() as cursor:
        cursor.execute("INSERT INTO migration (name, sha256) VALUES ('9999_newer.sql', 'x')")
        cursor.execute("DELETE FROM migration WHERE name = '0009_verification.sql'")
    status, state, reason = readiness(service)
    assert (status, state) == (503, "migrations differ")
    assert "0009_verification.sql, 9999_newer.sql" in (reason or "")


def test_it_is_not_ready_while_the_projection_is_too_far_behind(service: Service) -> None:
    for number in range(3):
        service.record(placed(f"SO-{number}"))
    with service.database.transaction() as cursor:
        assert _health(cursor, service.app, 3).status == "ready"
        behind = _health(cursor, service.app, 2)
    assert (behind.status, behind.position, behind.projected_position) == ("projection behind", 5, 2)
    assert behind.reason == "3 events are not projected yet, more than 2: wait until they are"


def test_it_is_not_ready_when_an_event_stopped_the_projection(service: Service) -> None:
    service.app.start_projector()
    assert readiness(service)[0] == 200
    service.app.projector.failure = ValueError("an event that can't be folded")
    assert readiness(service)[:2] == (503, "projection stopped")


def test_it_is_not_ready_when_the_projector_has_ended(service: Service) -> None:
    """Whatever ended it, a process that has a projector no more says so."""
    service.app.start_projector()
    service.app._stopped.set()
    assert service.app._thread is not None
    service.app._thread.join()
    service.app.is_stopping = lambda: False
    assert readiness(service)[:2] == (503, "projection stopped")


def test_it_is_not_ready_when_it_was_told_to_stop(service: Service) -> None:
    service.app.is_stopping = lambda: True
    assert readiness(service)[:2] == (503, "stopping")


# ---- a limit of time


def test_a_statement_that_takes_too_long_ends_and_is_told_so(database: Database) -> None:
    limited = create_app(Config(database.url, statement_seconds_max=1))

    def slow() -> str:
        with limited.store.database.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(20)")
        return ""

    limited.add_url_rule("/slow", view_func=public(slow))
    response = limited.test_client().get("/slow")
    refused(response, Code.took_too_long)
    with Database(database.url).cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchall() == [("0",)], "commands and the projector have any time"
    limited.stop()


# ---- request ids and lines


@pytest.mark.parametrize("asked", ["0190a1b2-c3d4", "trace:4bf92f3577b34da6", "A" * 64])
def test_a_sane_request_id_is_taken_over(service: Service, asked: str) -> None:
    response = service.ask("GET", "/v1/orders/SO-1", "auditor", headers={"X-Request-Id": asked})
    assert response.headers["X-Request-Id"] == response.get_json()["request_id"] == asked


@pytest.mark.parametrize(
    "asked", ["", "short", "A" * 65, "a b c d e f g h", "olk_0123456789_secret", "id;DROP;TABLE", "é" * 9]
)
def test_another_is_replaced_by_a_new_one(service: Service, asked: str) -> None:
    """So is a token that was put into the wrong header."""
    made = service.ask("GET", "/healthz", None, headers={"X-Request-Id": asked}).headers["X-Request-Id"]
    assert made != asked
    assert len(made) == 36


def test_a_line_per_request_as_json_and_as_text(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "orderledger.requests"):
        service.ask("POST", "/v1/order-events", "ingest", sent=placed("SO-1"), headers={"X-Request-Id": "request-1"})
        service.ask("POST", "/v1/order-events", None, sent=placed("SO-1"), headers={"X-Request-Id": "request-2"})
    done, turned_away = caplog.records
    document = json.loads(lines("json").format(done))
    assert list(document)[:4] == ["at", "level", "logger", "message"]
    assert (document["principal"], document["status"], document["code"]) == ("ingest-clerk", 201, None)
    document = json.loads(lines("json").format(turned_away))
    assert (document["principal"], document["status"], document["code"]) == (None, 401, "unauthenticated")
    text = lines("text").format(turned_away)
    assert text.endswith(" - request-2 unauthenticated")
    assert " 401 POST /v1/order-events " in text


def test_a_failure_is_one_line_of_json_with_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("orderledger.api").exception("request %s failed", "request-1")
    line = lines("json").format(caplog.records[0])
    assert "\n" not in line
    assert json.loads(line)["message"] == "request request-1 failed"
    assert "two\nlines" in json.loads(line)["exception"]
    assert "Traceback" in lines("text").format(caplog.records[0])


@pytest.mark.parametrize(
    ("message", "arguments", "left"),
    [
        ("Invalid request from ip=::1: Invalid HTTP Header: 'Bearer olk_1_2'", (), "Invalid request from ip="),
        ("Error handling request %s %s", ("GET", "/v1/orders/SO-1"), "a request failed outside the application"),
        ("Worker (pid:%s) exited", (7,), "Worker (pid:7) exited"),
    ],
)
def test_what_gunicorn_quotes_of_requests_is_left_out(message: str, arguments: tuple[Any, ...], left: str) -> None:
    record = logging.LogRecord("gunicorn.error", logging.WARNING, "", 1, message, arguments, None)
    assert Discreet().filter(record)
    assert record.getMessage().startswith(left)
    assert "olk_" not in record.getMessage()


def test_the_pools_connections_do_not_outlive_an_error(service: Service) -> None:
    """What is lent is given back, also by who failed."""
    with pytest.raises(psycopg2.errors.UndefinedTable), service.app.store.database.cursor() as cursor:
        cursor.execute("SELECT * FROM nothing_of_that_name")
    assert figures(told(service), "orderledger_pool_connections_in_use") == {"": 0}
