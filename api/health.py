"""Health: is the process alive, and can it serve."""

from typing import Protocol

import psycopg2
from flask import Response
from msgspec.structs import replace

from api.access import public
from api.answers import answer
from api.languages import translated
from api.routes import Routes
from api.shapes import Health
from ledger.database import Cursor, Probe, foreign_migrations, one
from ledger.store import Store
from ledger.wording import say
from projections.projector import projected_position


class Process(Protocol):
    """What a process of the service knows of itself."""

    def projects(self) -> bool:
        """Say whether its projector is well."""

    def stopping(self) -> bool:
        """Say whether it is about to end."""


def blueprint(store: Store, process: Process, *, lag_events_max: int) -> Routes:
    """Make the routes over a ledger and this process."""
    routes = Routes("health", __name__, description="Health of the service.")

    def asked() -> Health:
        with store.database.transaction("ISOLATION LEVEL REPEATABLE READ, READ ONLY") as cursor:
            return _health(cursor, process, lag_events_max)

    probe = Probe(asked)

    @routes.get("/healthz")
    @routes.answers(200, Health)
    @public
    def get_health() -> Response:
        """Say that the process answers."""
        return answer(Health("alive"))

    @routes.get("/readyz")
    @routes.answers(200, Health)
    @routes.answers(503, Health, "It can't serve, or not with current figures; `reason` says why and what to do.")
    @public
    def get_readiness() -> Response:
        """Say whether the service can answer: the database is there, migrated as this version needs it, and projected.

        Behind by more events than `orderledger serve --lag-max` allows is not ready, nor is a service that stops, or
        whose database has not answered for some seconds.
        """
        try:
            health = probe.ask()
        except psycopg2.OperationalError:
            health = Health("database unreachable", reason=say("the database does not answer: see that it runs"))
        return answer(health, 200) if health.reason is None else answer(_told(health), 503)

    return routes


def _told(health: Health) -> Health:
    return replace(health, reason=translated(health.reason or ""))


def _health(cursor: Cursor, process: Process, lag_events_max: int) -> Health:
    if process.stopping():
        return Health("stopping", reason=say("this process was told to end: ask another"))
    if foreign := foreign_migrations(cursor):
        reason = say(
            "database and service differ in {foreign}: start the version that migrated the database",
            foreign=", ".join(foreign),
        )
        return Health("migrations differ", reason=reason)
    cursor.execute("SELECT position FROM head")
    (head,) = one(cursor)
    projected = projected_position(cursor)
    if projected is None or not process.projects():
        reason = say("an event could not be projected, or nothing is projected yet: the service's log says which")
        return Health("projection stopped", head, projected, reason)
    if head - projected > lag_events_max:
        reason = say(
            "{head} events are not projected yet, more than {lag_events_max}: wait until they are",
            head=head - projected,
            lag_events_max=lag_events_max,
        )
        return Health("projection behind", head, projected, reason)
    return Health("ready", head, projected)
