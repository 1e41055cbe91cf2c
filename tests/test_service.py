"""The service as it runs: a process of its own with two workers, stopped and killed, over a real database."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from api.app import Config, create_app
from api.demo import DEMO_SALESPERSON
from api.metrics_folder import MEMORY
from ledger.database import Database
from ledger.refusal import Code
from ledger.tokens import ROLES
from tests.figures import figures
from tests.http_client import PROBLEM, fresh_database, placed, refused, serving

ORDERLEDGER = (sys.executable, "-c", "from api.cli import main; main()")
SECONDS_MAX = 30
BIG = 100 * 1024 * 1024
CLIENTS, EVENTS_EACH = 4, 60
SOON_STALLED = (
    sys.executable,
    "-c",
    "import api.server; api.server.STALL_SECONDS = 1; from api.cli import main; main()",
)


class Running:
    """A service that was started: where it listens, its process, and the demo's tokens as it printed them."""

    def __init__(self, database: Database, folder: Path, program: tuple[str, ...] = ORDERLEDGER) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.output = folder / f"output-{self.port}"
        settings = {"ORDERLEDGER_DATABASE_URL": database.url, "ORDERLEDGER_DATA_DIR": str(folder / "data")}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*program, "serve", "--demo", "--port", str(self.port), "--log-format", "json"],
                env={**os.environ, **settings, "PYTHONUNBUFFERED": "1"},
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=Path(__file__).parent.parent,
            )
        until(self.is_ready)
        lines = [line.split() for line in self.output.read_text(encoding="utf-8").splitlines()]
        self.tokens = {words[0]: words[1] for words in lines if len(words) == 2 and words[1].startswith("olk_")}

    def ask(self, method: str, path: str, role: str | None = None, **options: Any) -> tuple[int, str, Any]:
        """Make a request; give status, media type and the JSON document answered."""
        headers = {"Content-Type": "application/json", "Connection": "close", **options.pop("headers", {})}
        if role is not None:
            headers["Authorization"] = f"Bearer {self.tokens[role]}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS_MAX)
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # it may answer before it has read everything
                connection.request(method, path, headers=headers, **options)
            answered = connection.getresponse()
            return answered.status, answered.headers.get_content_type(), json.loads(answered.read())
        finally:
            connection.close()

    def log(self) -> list[dict[str, Any]]:
        """Give the lines of its log."""
        lines = self.output.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def figures(self, name: str) -> dict[str, float]:
        """Give the figures of a name that it tells whoever asks on the machine, by their labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=SECONDS_MAX) as answered:
            return figures(answered.read().decode(), name)

    def is_ready(self) -> bool:
        """Say whether it says so; a service that has ended never is."""
        assert self.process.poll() is None, self.output.read_text(encoding="utf-8")
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def workers(self) -> set[int]:
        """Give the ids of its worker processes."""
        return {process for process, parent in processes() if parent == self.process.pid}

    def stop(self) -> int:
        """Tell it to end, and give its exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(SECONDS_MAX)
        finally:
            self.process.kill()


@contextmanager
def running(database: Database, folder: Path, program: tuple[str, ...] = ORDERLEDGER) -> Iterator[Running]:
    """Run a service, and end it at the end if the test has not."""
    service = Running(database, folder, program)
    try:
        yield service
    finally:
        if service.process.poll() is None:
            service.stop()


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.05)


def processes() -> list[tuple[int, int]]:
    """List the processes that are alive, with their parents."""
    if not Path("/proc/self/stat").exists():
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], check=True, capture_output=True, text=True).stdout
        return [(int(line.split()[0]), int(line.split()[1])) for line in listed.splitlines()]
    found = list[tuple[int, int]]()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text(encoding="utf-8").rpartition(")")[2].split()[:2]
        except OSError:  # it has just ended
            continue
        if state != "Z":
            found.append((int(path.parent.name), int(parent)))
    return found


@pytest.fixture(scope="module")
def demo(
    server_url: Callable[[str], str], template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """Run the service on its demo ledger for the tests that only ask it."""
    with fresh_database(server_url, template) as database, running(database, tmp_path_factory.mktemp("demo")) as demo:
        yield demo


# ---- it serves


def test_it_prints_its_address_and_a_token_for_each_role(demo: Running) -> None:
    assert f"http://127.0.0.1:{demo.port}" in demo.output.read_text(encoding="utf-8")
    assert set(demo.tokens) == set(ROLES)


def test_it_is_ready_with_the_whole_ledger_projected(demo: Running) -> None:
    status, _, told = demo.ask("GET", "/readyz")
    assert (status, told["status"]) == (200, "ready")
    until(lambda: demo.ask("GET", "/readyz")[2]["projected_position"] == told["position"])
    alive = {"status": "alive", "position": None, "projected_position": None, "reason": None}
    assert demo.ask("GET", "/healthz")[::2] == (200, alive)


def test_it_serves_the_demos_figures(demo: Running) -> None:
    for period in ("2026-Q1", "2026-Q2", "2026-Q3"):
        status, _, answered = demo.ask("GET", f"/v1/performance?period={period}", "auditor")
        assert status == 200
        assert len({figure["group"]["salesperson"] for figure in answered["figures"]}) >= 12
    own = demo.ask("GET", "/v1/performance?period=FY2026", "sales")[2]["figures"]
    assert {figure["group"]["salesperson"] for figure in own} == {DEMO_SALESPERSON}


def test_two_workers_serve(demo: Running) -> None:
    until(lambda: len(demo.workers()) == 2)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_100_mb_is_refused_and_the_service_lives(demo: Running, chunked: bool) -> None:
    """It is never held whole: what is sent here is made while it is sent, and most of it never is."""
    before, workers = demo.ask("GET", "/readyz")[2]["position"], demo.workers()
    headers = {} if chunked else {"Content-Length": str(BIG)}
    zeros = (b"0" * 65_536 for _ in range(BIG // 65_536))
    status, media_type, problem = demo.ask(
        "POST", "/v1/order-events", "ingest", headers=headers, body=zeros, encode_chunked=chunked
    )
    assert status == 413
    assert media_type == PROBLEM
    assert problem["code"] in {"body_too_large", "malformed_json"}
    assert demo.ask("GET", "/readyz")[2]["position"] == before
    assert demo.workers() == workers


@pytest.mark.parametrize("body", [b"ZZ\r\n", b"2\r\n{}XX0\r\n\r\n", b";=\r\n", b"2\r\n{}\r\n0\r\nno trailer\r\n\r\n"])
@pytest.mark.parametrize("address", ["/v1/order-events", "/v1/imports"])
def test_a_body_whose_chunks_are_none_is_its_clients_fault(demo: Running, address: str, body: bytes) -> None:
    """And nothing else is read from that connection, where nobody knows where the next request begins."""
    before = demo.ask("GET", "/readyz")[2]["position"]
    media_type = "application/json" if address == "/v1/order-events" else "text/csv"
    head = f"POST {address} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {demo.tokens['ingest']}\r\n"
    head += f"Content-Type: {media_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", demo.port), timeout=SECONDS_MAX) as connection:
        connection.sendall(head.encode() + body)
        answered = b"".join(iter(lambda: connection.recv(65_536), b""))
    top, _, document = answered.partition(b"\r\n\r\n")
    assert (top.split()[1], json.loads(document)["code"]) == (b"400", "malformed_json")
    assert demo.ask("GET", "/readyz")[2]["position"] == before
    assert [line for line in demo.log() if line["level"] == "error"] == []


# ---- it ends, and starts again


def test_it_ends_within_seconds_leaves_nothing_behind_and_keeps_everything(
    new_database: Callable[[], Database], tmp_path: Path
) -> None:
    """SIGTERM: exit 0, no worker left, even with a client connected; a second start has the data and the tokens."""
    database = new_database()
    with running(database, tmp_path) as first:
        position = first.ask("POST", "/v1/order-events", "ingest", body=json.dumps(placed("SO-1")))[2]["position"]
        figures = first.ask("GET", f"/v1/performance?period=2026-Q1&position={position}", "auditor")
        workers, started = first.workers(), time.monotonic()
        with socket.create_connection(("127.0.0.1", first.port)):
            assert first.stop() == 0
        assert time.monotonic() - started < 15
        assert workers.isdisjoint(process for process, _ in processes())
    with running(database, tmp_path) as second:
        assert second.tokens == first.tokens
        assert second.ask("GET", f"/v1/performance?period=2026-Q1&position={position}", "auditor") == figures
        again = second.ask("POST", "/v1/order-events", "ingest", body=json.dumps(placed("SO-1")))
        assert again[::2] == (200, {"position": position, "version": 1, "duplicate": True})


def test_a_worker_killed_while_clients_post_loses_and_doubles_nothing(
    new_database: Callable[[], Database], tmp_path: Path
) -> None:
    """Invariant 8: what was acknowledged is in the ledger once, at the position answered; the service recovers."""
    database = new_database()
    with running(database, tmp_path) as service:
        until(lambda: len(service.workers()) == 2)
        before, acknowledged = service.workers(), dict[str, int]()
        clients = [threading.Thread(target=post_all, args=(service, name, acknowledged)) for name in range(CLIENTS)]
        for client in clients:
            client.start()
        until(lambda: len(acknowledged) > CLIENTS * EVENTS_EACH // 4)
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        for client in clients:
            client.join(SECONDS_MAX)
        assert len(acknowledged) == CLIENTS * EVENTS_EACH
        assert faults(acknowledged, stored(database)) == []
        until(lambda: len(service.workers()) == 2)
        assert victim not in service.workers()
        last = max(acknowledged.values())
        status, _, answered = service.ask("GET", f"/v1/performance?period=2026-Q1&position={last}", "auditor")
        assert (status, answered["view"]["position"]) == (200, last)


def test_told_to_stop_while_clients_post_it_loses_nothing(new_database: Callable[[], Database], tmp_path: Path) -> None:
    """What was acknowledged is in the ledger once; what was not is there once when it was sent to the next service."""
    database = new_database()
    acknowledged = dict[str, int]()
    with running(database, tmp_path) as first:
        clients = [
            threading.Thread(target=post_until_gone, args=(first, name, acknowledged)) for name in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        until(lambda: len(acknowledged) > CLIENTS * 10)
        assert first.stop() == 0
        for client in clients:
            client.join(SECONDS_MAX)
        assert CLIENTS * 10 < len(acknowledged) < CLIENTS * EVENTS_EACH
        assert faults(acknowledged, stored(database)) == []
        assert [line for line in first.log() if line["level"] not in {"info", "warning"}] == []
    with running(database, tmp_path) as second:
        for name in range(CLIENTS):
            post_all(second, name, acknowledged)
    assert len(acknowledged) == len(stored(database)) == CLIENTS * EVENTS_EACH
    assert faults(acknowledged, stored(database)) == []


def post_until_gone(service: Running, client: int, acknowledged: dict[str, int]) -> None:
    """Post a client's events one by one until the service is no more."""
    for number in range(EVENTS_EACH):
        sent = placed(f"K-{client}-{number}")
        try:
            _, _, told = service.ask("POST", "/v1/order-events", "ingest", body=json.dumps(sent))
        except (OSError, http.client.HTTPException):
            return
        acknowledged[sent["event_id"]] = told["position"]


# ---- what its operators see


def test_the_figures_are_of_all_its_processes(new_database: Callable[[], Database], tmp_path: Path) -> None:
    """Whichever worker is asked; a worker that was killed has no connections any more, and what it counted stays."""
    database = new_database()
    with running(database, tmp_path) as service:
        until(lambda: len(service.workers()) == 2)
        before = service.figures("orderledger_appended_events_total")[""]
        acknowledged = dict[str, int]()
        for client in range(3):
            post_all(service, client, acknowledged)
        assert service.figures("orderledger_appended_events_total")[""] - before == len(acknowledged)
        limit = service.figures("orderledger_pool_connections_max")[""]
        victim = min(service.workers())
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(service.workers() - {victim}) == 2)
        until(lambda: service.figures("orderledger_pool_connections_max")[""] == limit)
        assert service.figures("orderledger_appended_events_total")[""] - before == len(acknowledged)
        posted = 'method="POST",route="/v1/order-events",status="201"'
        assert service.figures("orderledger_requests_total")[posted] == len(acknowledged)
        assert service.figures("orderledger_append_seconds_count")[""] >= len(acknowledged)
        parents = (Path(tempfile.gettempdir()), Path(MEMORY))
        made = [path for parent in parents for path in parent.glob("orderledger-metrics-*")]
        folders = [path for path in made if owns(path, service)]
        assert len(folders) == 1
        service.stop()
        assert not any(path.exists() for path in folders)


def owns(folder: Path, service: Running) -> bool:
    """Say whether a folder of figures is a service's: by the process ids in its files' names."""
    return any(path.stem.rpartition("_")[2] in set(map(str, service.workers())) for path in folder.glob("*.db"))


def test_each_request_is_a_line_of_the_log_without_a_secret(demo: Running) -> None:
    asked = "1b4e28ba-2fa1-11d2"
    secret = demo.tokens["auditor"].split("_")[2]
    headers = {"X-Request-Id": asked}
    assert demo.ask("GET", "/v1/orders/SO-4711?x=1", "auditor", headers=headers)[0] == 422
    until(lambda: any(line.get("request_id") == asked for line in demo.log()))
    [line] = [line for line in demo.log() if line.get("request_id") == asked]
    assert line["milliseconds"] > 0
    assert {name: line[name] for name in ("principal", "method", "route", "status", "code", "level", "logger")} == {
        "principal": "demo-auditor",
        "method": "GET",
        "route": "/v1/orders/<path:order_id>",
        "status": 422,
        "code": "invalid_parameter",
        "level": "info",
        "logger": "orderledger.requests",
    }
    with socket.create_connection(("127.0.0.1", demo.port)) as connection:
        connection.sendall(f"GET /v1/rules HTTP/1.1\r\nAuthorization\x01: Bearer {secret}\r\n\r\n".encode())
        connection.recv(1000)
    until(lambda: any("Invalid request" in line["message"] for line in demo.log()))
    told = demo.output.read_text(encoding="utf-8").partition("stop with Ctrl-C")[2]
    assert secret not in told
    assert "SO-4711" not in told


def test_a_client_that_stalls_is_dropped(new_database: Callable[[], Database], tmp_path: Path) -> None:
    """It keeps no thread; here after a second instead of thirty."""
    with running(new_database(), tmp_path, SOON_STALLED) as service:
        with socket.create_connection(("127.0.0.1", service.port), timeout=SECONDS_MAX) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
            assert connection.recv(1000) == b""
        until(lambda: any("a client stalled for 1 s" in line["message"] for line in service.log()))
        assert service.ask("GET", "/healthz")[0] == 200


def post_all(service: Running, client: int, acknowledged: dict[str, int]) -> None:
    """Post a client's events one by one, each again until it is acknowledged."""
    for number in range(EVENTS_EACH):
        sent = placed(f"K-{client}-{number}")
        deadline = time.monotonic() + SECONDS_MAX
        while sent["event_id"] not in acknowledged and time.monotonic() < deadline:
            try:
                status, _, told = service.ask("POST", "/v1/order-events", "ingest", body=json.dumps(sent))
            except (OSError, http.client.HTTPException):
                continue  # unknown outcome: the same again
            assert status in {200, 201}, told
            acknowledged[sent["event_id"]] = told["position"]


def stored(database: Database) -> list[tuple[str, int]]:
    """List the event ids that the ledger holds of our clients, with their positions."""
    with database.cursor() as cursor:
        cursor.execute("SELECT event_id, position FROM event WHERE source = 'shop' ORDER BY position")
        return cursor.fetchall()


def faults(acknowledged: Mapping[str, int], stored: list[tuple[str, int]]) -> list[str]:
    """Name the events that are not in the ledger exactly once, where it was said."""
    ids = [event_id for event_id, _ in stored]
    kept = dict(stored)
    return [name for name, position in acknowledged.items() if ids.count(name) != 1 or kept[name] != position]


def test_the_check_for_lost_and_doubled_events_finds_them() -> None:
    """The control of the test above."""
    said = {"a": 1, "b": 2}
    assert faults(said, [("a", 1), ("b", 2), ("unacknowledged", 3)]) == []
    assert faults(said, [("a", 1)]) == ["b"]
    assert faults(said, [("a", 1), ("b", 2), ("b", 3)]) == ["b"]
    assert faults(said, [("a", 1), ("b", 4)]) == ["b"]


# ---- what is wrong on our side


def test_a_database_that_does_not_answer_is_told_with_when_to_retry() -> None:
    client = create_app(Config("postgresql://127.0.0.1:1/none?connect_timeout=2")).test_client()
    response = client.get("/v1/rules", headers={"Authorization": "Bearer olk_1_2"})
    refused(response, Code.storage_unavailable)
    assert int(response.headers["Retry-After"]) >= 1
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200


def test_our_own_mistake_is_told_without_its_inside(database: Database) -> None:
    with serving(database) as service:
        with database.administration() as cursor:
            cursor.execute("ALTER TABLE token RENAME COLUMN roles TO secret_plan")
        response = service.ask("GET", "/v1/rules", "auditor")
    refused(response, Code.internal_error)
    assert "secret_plan" not in response.text
