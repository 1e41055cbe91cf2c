"""HTTP: the real service as a subprocess, posted to over loopback; order events per second, end to end.

Bulk: two client processes, one connection each, post atomic bulks of 500 order events (three lines, follow-ups
included), several rounds with new connections. Singles: 16 keep-alive connections (threads of one client process) post
one order each. Every request is answered 201 after its commit, and the service projects meanwhile. The clients'
requests are made beforehand (client.py). Where the time goes: CPU seconds of clients, service and PostgreSQL, from
/proc; all of them share the machine's cores.
"""

import multiprocessing
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import quantiles

from ledger.database import Database
from ledger.events import LedgerOpened
from ledger.rule_changes import change_rules
from ledger.settings import open_ledger
from ledger.store import Store
from ledger.tokens import create_token
from projections.projector import wait_until_projected
from tests.bench.client import Done, Work
from tests.bench.client import run as run_client
from tests.bench.clock import seconds
from tests.bench.generator import OPENING
from tests.bench.loading import ACTOR, Progress
from tests.bench.processes import cpu_seconds, postmaster, watched
from tests.bench.report import Row, memory, note, rate
from tests.bench.server import Server, ledger_database

BULK_CLIENTS = 2
BULK_EVENTS = 500
BULK_ORDERS_MAX = 400_000
ROUNDS = 4
SINGLE_CONNECTIONS = 16
SINGLE_ORDERS = 8_000
START_SECONDS_MAX = 30
_SERVE = "from api.cli import main; main()"


@dataclass(frozen=True)
class Service:
    """The running service: its first process, its port, and a token that may post."""

    pid: int
    port: int
    token: str


@dataclass
class Measured:
    """What the clients of some rounds did, and CPU seconds by whom."""

    events: int
    seconds: float
    milliseconds: list[float]
    cpu: dict[str, float]


def run(server: Server, orders: int, progress: Progress) -> list[Row]:
    """Measure, and give the table's rows."""
    with ledger_database(server) as database, _serving(database) as service, watched(service.pid) as peaks:
        _posted(database, service, _bulk_works(service, "W", 4 * BULK_EVENTS))  # warms it up
        bulk_orders = min(orders, BULK_ORDERS_MAX) // ROUNDS
        rounds = list[Measured]()
        for number in range(ROUNDS):
            rounds.append(_posted(database, service, _bulk_works(service, f"B{number}", bulk_orders)))
            progress(f"http: bulk round {number + 1} of {ROUNDS}")
        lag = seconds(_wait_until_projected, database)
        single = _posted(database, service, _single_works(service, min(orders, SINGLE_ORDERS)))
        progress("http: singles")
    bulk = _together(rounds)
    return [
        rate(f"HTTP bulks of {BULK_EVENTS}, {BULK_CLIENTS} clients", bulk.events / bulk.seconds, goal=8_000),
        note("  rounds", ", ".join(f"{each.events / each.seconds:,.0f}" for each in rounds) + " events/s"),
        *_notes(bulk),
        note("  projected after the last answer", f"{1000 * lag:,.0f} ms"),
        rate(f"HTTP single posts, {SINGLE_CONNECTIONS} clients", single.events / single.seconds, goal=800),
        *_notes(single),
        memory("memory of the service's processes", peaks),
    ]


@contextmanager
def _serving(database: Database) -> Iterator[Service]:
    store = Store(database)
    open_ledger(store, LedgerOpened("bench"), actor=ACTOR)
    change_rules(store, OPENING, actor=ACTOR)
    store.sequencer.close()
    token = create_token(database, "bench", ("ingest",), now=store.clock())
    port = _free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, "serve", "--port", str(port)],
        env=os.environ | {"ORDERLEDGER_DATABASE_URL": database.url},
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_until_serving(process, port)
        yield Service(process.pid, port, token)
    finally:
        process.terminate()
        process.wait(timeout=60)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def _wait_until_serving(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the service did not start: its words are above") from None
            time.sleep(0.1)
        else:
            return


def _bulk_works(service: Service, prefix: str, orders: int) -> list[Work]:
    each = orders // BULK_CLIENTS
    names = [f"{prefix}-{number}" for number in range(BULK_CLIENTS)]
    return [Work(service.port, service.token, name, each, BULK_EVENTS, 1) for name in names]


def _single_works(service: Service, orders: int) -> list[Work]:
    return [Work(service.port, service.token, "S", orders, 1, SINGLE_CONNECTIONS)]


def _posted(database: Database, service: Service, works: Sequence[Work]) -> Measured:
    """Let client processes post at the same time."""
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(len(works) + 1)
    pipes = [context.Pipe(duplex=False) for _ in works]
    processes = [
        context.Process(target=run_client, args=(work, start, its), daemon=True)
        for work, (_, its) in zip(works, pipes, strict=True)
    ]
    for process in processes:
        process.start()
    for _, its in pipes:
        its.close()
    roots = {"service": [service.pid], "PostgreSQL": [postmaster(database) or 0]}
    roots["clients"] = [process.pid or 0 for process in processes]
    start.wait()
    before = _cpu(roots)
    done: list[Done] = [ours.recv() for ours, _ in pipes]
    after = _cpu(roots)
    start.wait()
    for process in processes:
        process.join()
    return Measured(
        sum(each.events for each in done),
        max(each.ended for each in done) - min(each.began for each in done),
        [one for each in done for one in each.milliseconds],
        {name: after[name] - before[name] for name in roots},
    )


def _cpu(roots: dict[str, list[int]]) -> dict[str, float]:
    return {name: sum(cpu_seconds(pid) for pid in pids if pid) for name, pids in roots.items()}


def _together(rounds: Sequence[Measured]) -> Measured:
    return Measured(
        sum(each.events for each in rounds),
        sum(each.seconds for each in rounds),
        [one for each in rounds for one in each.milliseconds],
        {name: sum(each.cpu[name] for each in rounds) for name in rounds[0].cpu},
    )


def _wait_until_projected(database: Database) -> None:
    if not wait_until_projected(database, Store(database).head(), milliseconds=600_000):
        raise RuntimeError("the service's projector does not keep up")


def _notes(measured: Measured) -> Iterator[Row]:
    cuts = quantiles(measured.milliseconds, n=100)
    yield note("  answered in, p50 / p99", f"{cuts[49]:,.1f} / {cuts[98]:,.1f} ms")
    each = ", ".join(f"{name} {1e6 * spent / measured.events:,.0f}" for name, spent in measured.cpu.items())
    busy = sum(measured.cpu.values()) / measured.seconds
    yield note("  CPU per event", f"{each} microseconds; {busy:.2f} cores busy")
