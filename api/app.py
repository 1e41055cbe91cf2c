"""The Flask application: create_app wires a ledger to the routes; nothing connects before the first request."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask, Response, g, request
from flask_smorest import Api

from api import (
    audit,
    bundles,
    explanations,
    facts,
    feed,
    health,
    metrics,
    movements,
    order_events,
    orders,
    pages,
    performance,
    periods,
    proofs,
    review,
    rule_changes,
    rules,
    simulations,
)
from api.access import allowed_roles, register_access
from api.access_log import AccessLog
from api.bodies import BODY_BYTES_MAX
from api.languages import register_languages
from api.metrics import Metrics
from api.problems import register_problems
from api.request_log import register_request_log
from api.routes import register_components
from ledger import __version__
from ledger.database import Database
from ledger.signing import Signer
from ledger.store import Store
from projections.projector import Projector

CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'"


@dataclass(frozen=True)
class Config:
    """What the application is made from."""

    database_url: str
    connections_max: int = 24
    signing_key: Path | None = None
    statement_seconds_max: int = 60
    lag_events_max: int = 50_000


class Orderledger(Flask):
    """The application, with its ledger and the projector that runs beside it."""

    def __init__(self, config: Config) -> None:
        super().__init__("api")
        database = Database(
            config.database_url,
            connections_max=config.connections_max,
            statement_seconds_max=config.statement_seconds_max,
        )
        self.store = Store(database, signer=Signer(config.signing_key) if config.signing_key else None)
        self._unhurried = Database(config.database_url)
        self.projector = Projector(self._unhurried)
        self.access_log = AccessLog(self.store)
        self.metrics = Metrics(self.store, connections_max=config.connections_max)
        self._stopped = threading.Event()
        self.is_stopping: Callable[[], bool] = self._stopped.is_set
        self._thread: threading.Thread | None = None

    def start_projector(self) -> None:
        """Follow the ledger in a thread of this process."""
        self._thread = threading.Thread(target=self.projector.run, args=(self._stopped,), daemon=True)
        self._thread.start()

    def projects(self) -> bool:
        """Say whether the projector follows the ledger, or stands by, or was not asked to."""
        return self.projector.failure is None and (self._thread is None or self._thread.is_alive())

    def stopping(self) -> bool:
        """Say whether the service is about to stop, so that nobody is kept waiting."""
        return self.is_stopping()

    def stop(self) -> None:
        """Stop the projector after its batch, write what the access log has counted, and close the connections."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        self.access_log.flush()
        self._unhurried.close()
        self.store.close()


def create_app(config: Config) -> Orderledger:
    """Make the application."""
    app = Orderledger(config)
    app.config.update(
        MAX_CONTENT_LENGTH=BODY_BYTES_MAX,
        API_TITLE="Orderledger",
        API_VERSION=__version__,
        OPENAPI_VERSION="3.1.0",
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    register_request_log(app, app.metrics)
    register_languages(app)
    _register_headers(app)
    register_access(app, app.store)
    app.after_request(app.access_log.logged)
    api = Api(app)
    register_problems(app)
    for routes in (
        order_events.blueprint(app.store),
        orders.blueprint(app.store),
        rules.blueprint(app.store),
        rule_changes.blueprint(app.store),
        facts.blueprint(app.store),
        simulations.blueprint(app.store),
        movements.blueprint(app.store),
        performance.blueprint(app.store),
        periods.blueprint(app.store),
        explanations.blueprint(app.store),
        review.blueprint(app.store),
        proofs.blueprint(app.store),
        bundles.blueprint(app.store),
        audit.blueprint(app.store),
        feed.blueprint(app.store, app.stopping),
    ):
        api.register_blueprint(routes, url_prefix="/v1")
    api.register_blueprint(health.blueprint(app.store, app, lag_events_max=config.lag_events_max))
    api.register_blueprint(metrics.blueprint(app.metrics))
    register_components(api)
    app.register_blueprint(pages.blueprint(lambda: _document(app, api)))
    return app


def _register_headers(app: Flask) -> None:
    @app.after_request
    def _add_headers(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.get("request_id", "")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        if request.path.startswith("/v1/"):
            response.headers["Cache-Control"] = "no-store"
        return response


def _document(app: Flask, api: Api) -> dict[str, Any]:
    """Give the OpenAPI document, each operation with the roles that may call it and the shape of its refusals."""
    document: dict[str, Any] = api.spec.to_dict()
    refusal = {
        "description": "Refused.",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
    }
    document["components"].pop("responses", None)
    document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["components"]["schemas"].pop("Error", None)
    document["components"]["schemas"].pop("PaginationMetadata", None)
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(rule))
        for method, operation in document["paths"].get(path, {}).items():
            if method.upper() in (rule.methods or ()):
                operation["x-roles"] = list(allowed_roles(app, rule.endpoint) or ())
                operation["security"] = [{"token": []}] if operation["x-roles"] else []
                if path != "/v1/order-events/bulk":
                    operation["responses"].pop("422", None)
                operation["responses"]["default"] = refusal
    return document
