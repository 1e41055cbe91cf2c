"""Health: is the process alive, and can it serve."""

import psycopg2
from flask import Response

from api.access import public
from api.answers import Health, answer
from api.routes import Routes
from ledger.store import Store
from projections.projector import Projector, projected_position


def blueprint(store: Store, projector: Projector) -> Routes:
    """Make the routes over a ledger and this process's projector."""
    routes = Routes("health", __name__, description="Health of the service.")

    @routes.get("/healthz")
    @routes.answers(200, Health)
    @public
    def get_health() -> Response:
        """Say that the process answers."""
        return answer(Health("alive"))

    @routes.get("/readyz")
    @routes.answers(200, Health)
    @routes.answers(503, Health, "It can't serve: the database or the projection is down.")
    @public
    def get_readiness() -> Response:
        """Say whether the service can answer: the database is there and the projection follows the ledger."""
        try:
            head = store.head()
            with store.database.cursor() as cursor:
                projected = projected_position(cursor)
        except psycopg2.Error:
            return answer(Health("database unreachable"), 503)
        if projector.failure is not None or projected is None:
            return answer(Health("projection stopped", head, projected), 503)
        return answer(Health("ready", head, projected))

    return routes
