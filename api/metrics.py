"""The service's figures for whoever operates it, in Prometheus' text format: GET /metrics.

What a process counts (requests, refusals, appends, connections in use) is kept by the prometheus_client library, which
adds up the processes of the service where it is told a folder to share (api/metrics_folder.py). What the database knows
(events, projection, last verification) is read when it is asked for, so that it is true of the ledger and not of a
process. No figure names a customer, an order, a salesperson or a principal: labels are routes as they are written in
the code, methods, statuses, codes of refusals, and outcomes and states of webhooks.
"""

import os
from collections.abc import Iterator
from typing import Final

import psycopg2
from flask import Response, g, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from api import metrics_folder
from api.access import allow, from_this_machine
from api.routes import Routes
from ledger import __version__, verification_log
from ledger.database import Cursor, Probe, one
from ledger.store import Store
from ledger.webhooks import count_states
from projections.projector import projected_position

METHODS: Final = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"}
NO_ROUTE: Final = "(none)"
APPEND_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Metrics:
    """What this process counts, and how all of it is told."""

    def __init__(self, store: Store, *, connections_max: int) -> None:
        self._store = store
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "orderledger_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._refusals = Counter(
            "orderledger_refusals", "Requests refused, by code (see /errors).", ("code",), registry=self._registry
        )
        self._rate_limited = Counter(
            "orderledger_rate_limited",
            "Requests refused with 429, by the limit that was reached: of a token or of an address.",
            ("limit",),
            registry=self._registry,
        )
        self._deliveries = Counter(
            "orderledger_webhook_deliveries",
            "Attempts to deliver to webhooks, by outcome.",
            ("outcome",),
            registry=self._registry,
        )
        self._appended = Counter(
            "orderledger_appended_events", "Events appended since the service started.", registry=self._registry
        )
        self._append_seconds = Histogram(
            "orderledger_append_seconds",
            "Time from handing events to the sequencer to its answer.",
            buckets=APPEND_SECONDS,
            registry=self._registry,
        )
        self._count_connections(connections_max)
        store.sequencer.observe = self._observe_append

    def _count_connections(self, connections_max: int) -> None:
        in_use = Gauge(
            "orderledger_pool_connections_in_use",
            "Database connections that are lent out by the pools of all processes.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        limit = Gauge(
            "orderledger_pool_connections_max",
            "Database connections that the pools of all processes may have.",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        in_use.set(0)
        limit.set(connections_max)
        self._store.database.observe = in_use.inc

    def _observe_append(self, events: int, nanoseconds: int) -> None:
        self._append_seconds.observe(nanoseconds / 1e9)
        self._appended.inc(events)

    def count(self, response: Response) -> None:
        """Count a request that is answered."""
        method = request.method if request.method in METHODS else NO_ROUTE
        self._requests.labels(method, str(request.url_rule or NO_ROUTE), response.status_code).inc()
        if (code := g.get("refused_as")) is not None:
            self._refusals.labels(code).inc()
        if (limit := g.get("rate_limited")) is not None:
            self._rate_limited.labels(limit).inc()

    def count_delivery(self, outcome: str) -> None:
        """Count an attempt to deliver to a webhook."""
        self._deliveries.labels(outcome).inc()

    def text(self) -> bytes:
        """Tell all figures, of all processes of the service."""
        registry = self._registry
        if metrics_folder.VARIABLE in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        told = generate_latest(registry)
        return told + generate_latest(_OfLedger(self._store))


class _OfLedger(Collector):
    """The figures that the database knows."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._probe = Probe(self._figures)

    def collect(self) -> Iterator[Metric]:
        """Read them; of a database that does not answer, that alone is told."""
        yield InfoMetricFamily("orderledger_build", "The version that runs.", {"version": __version__})
        try:
            figures = self._probe.ask()
        except psycopg2.Error:
            figures = []
        yield _gauge("database_up", "1 where the database answers.", int(bool(figures)))
        yield from figures

    def _figures(self) -> list[Metric]:
        with self._store.database.transaction("ISOLATION LEVEL REPEATABLE READ, READ ONLY") as cursor:
            return [*self._positions(cursor), *self._webhooks(cursor), *self._last_verification(cursor)]

    def _positions(self, cursor: Cursor) -> Iterator[Metric]:
        cursor.execute("SELECT position FROM head")
        (head,) = one(cursor)
        projected = projected_position(cursor) or 0
        yield _gauge("events", "Events in the ledger.", head)
        yield _gauge("projected_events", "Events that the serving projection has.", projected)
        yield _gauge("projection_lag_events", "Events that are recorded and not projected yet.", head - projected)

    def _webhooks(self, cursor: Cursor) -> Iterator[Metric]:
        told = GaugeMetricFamily("orderledger_webhook_endpoints", "Webhook endpoints, by state.", labels=("state",))
        for state, count in count_states(cursor).items():
            told.add_metric((state,), count)
        yield told

    def _last_verification(self, cursor: Cursor) -> Iterator[Metric]:
        last = verification_log.last(cursor)
        if last is None:
            return
        age = self._store.clock() - last.finished_at
        said = "of the last orderledger verify"
        yield _gauge("last_verification_timestamp_seconds", f"The end {said}.", last.finished_at.timestamp())
        yield _gauge("last_verification_age_seconds", f"The time since the end {said}.", age.total_seconds())
        yield _gauge("last_verification_sound", f"The verdict {said}: 1 where nothing was found.", int(last.is_sound))
        yield _gauge("last_verification_findings", f"The findings {said}.", last.findings)
        yield _gauge("last_verification_events", f"The events {said}.", last.size)


def _gauge(name: str, told: str, value: float) -> Metric:
    return GaugeMetricFamily(f"orderledger_{name}", told, value=value)


def blueprint(metrics: Metrics) -> Routes:
    """Make the route that tells the figures."""
    routes = Routes("metrics", __name__, description="Figures for operators.")

    @routes.get("/metrics")
    @routes.answers(200, str, "The figures, in Prometheus' text format.", "text/plain")
    @from_this_machine
    @allow("monitor", "admin")
    def get_metrics() -> Response:
        """Tell the service's figures, to a token of these roles and to whoever asks on the machine itself, directly."""
        return Response(metrics.text(), content_type=CONTENT_TYPE_PLAIN_0_0_4)

    return routes
