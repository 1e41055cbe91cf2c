"""The Flask application: create_app wires a ledger to the routes; nothing connects before the first request."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask, Request, Response, g, request
from flask_smorest import Api
from werkzeug.routing import MapAdapter

from api import (
    audit,
    bundles,
    explanations,
    facts,
    feed,
    health,
    imports,
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
    sign_in,
    simulations,
    timeline,
    tokens,
    verifications,
    webhooks,
)
from api.access import register_access
from api.access_log import AccessLog
from api.addresses import register_addresses, tell_slashes_apart
from api.bodies import BODY_BYTES_MAX
from api.console import pages as console
from api.console.shell import refusal_page
from api.languages import register_languages
from api.metrics import Metrics
from api.oidc_settings import OidcSettings
from api.openapi import document
from api.problems import register_problems
from api.rate_limits import Limits, RateLimits
from api.request_log import register_request_log
from api.routes import register_components
from api.webhook_dispatcher import Dispatcher
from api.webhook_sender import Sender
from ledger import __version__
from ledger.database import Database
from ledger.signing import Signer
from ledger.store import Store
from ledger.webhook_urls import Reach
from projections.projector import Projector

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    # not no-referrer, with which browsers hide from us too where a form was sent from (Origin: null)
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self';"
    " connect-src 'self'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
PRIVATE = ("/v1/", "/sign-", "/console/")
"""The addresses whose answers nobody keeps."""
HTTPS_ONLY = "max-age=31536000"
"""For a year, said where the request came by https: browsers come by https only."""


@dataclass(frozen=True)
class Config:
    """What the application is made from."""

    database_url: str
    connections_max: int = 24
    threads: int = 16
    signing_key: Path | None = None
    statement_seconds_max: int = 60
    lag_events_max: int = 50_000
    limits: Limits = field(default_factory=Limits)
    webhook_reach: Reach = field(default_factory=Reach)
    secure_cookies: bool = False
    oidc: OidcSettings | None = None


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
        self.webhook_sender = Sender(config.webhook_reach)
        self.dispatcher = Dispatcher(self.store, self.webhook_sender, observe=self.metrics.count_delivery)
        self._dispatching: threading.Thread | None = None
        self._stopped = threading.Event()
        self.is_stopping: Callable[[], bool] = self._stopped.is_set
        self.described: Callable[[], dict[str, Any]] = dict
        self._thread: threading.Thread | None = None
        self.imports = imports.Commits(self.store, self.stopping)
        self.verifications = verifications.Verifications(self.store, self._unhurried, self.stopping)

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Find routes by the path as it was sent."""
        adapter = super().create_url_adapter(request)
        if request is not None and adapter is not None:
            tell_slashes_apart(adapter, request)
        return adapter

    def start_projector(self) -> None:
        """Follow the ledger in a thread of this process."""
        self._thread = threading.Thread(target=self.projector.run, args=(self._stopped,), daemon=True)
        self._thread.start()

    def start_webhooks(self) -> None:
        """Deliver what is recorded to the webhooks, in a thread of this process."""
        self._dispatching = threading.Thread(target=self.dispatcher.run, args=(self._stopped,), daemon=True)
        self._dispatching.start()

    def take_over_imports(self) -> None:
        """Go on with the imports that another process began to commit and left."""
        self.imports.take_over()

    def projects(self) -> bool:
        """Say whether the projector follows the ledger, or stands by, or was not asked to."""
        return self.projector.failure is None and (self._thread is None or self._thread.is_alive())

    def stopping(self) -> bool:
        """Say whether the service is about to stop, so that nobody is kept waiting."""
        return self.is_stopping()

    def stop(self) -> None:
        """Stop the projector after its batch and the dispatcher after what it began, write what the access log has
        counted, and close the connections.
        """
        self._stopped.set()
        for thread in (self._thread, self._dispatching):
            if thread is not None:
                thread.join()
        self.imports.wait()
        self.verifications.wait()
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
    app.url_map.merge_slashes = False  # its redirection would be a page of HTML
    app.json.sort_keys = False  # type: ignore[attr-defined]
    register_addresses(app)
    register_request_log(app, app.metrics)
    register_languages(app)
    _register_headers(app)
    limits = RateLimits(config.limits)
    register_access(app, app.store, limits)
    app.after_request(app.access_log.logged)
    api = Api(app)
    register_problems(app, refusal_page)
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
        imports.blueprint(app.store, app.imports),
        audit.blueprint(app.store),
        timeline.blueprint(app.store),
        verifications.blueprint(app.store, app.verifications),
        tokens.blueprint(app.store),
        feed.blueprint(app.store, app.stopping, waiting_max=config.threads // 2),
        webhooks.blueprint(app.store, app.webhook_sender),
    ):
        api.register_blueprint(routes, url_prefix="/v1")
    api.register_blueprint(health.blueprint(app.store, app, lag_events_max=config.lag_events_max))
    api.register_blueprint(metrics.blueprint(app.metrics))
    register_components(api)
    app.described = cache(lambda: document(app, api))
    app.register_blueprint(pages.blueprint(app.described))
    app.register_blueprint(console.blueprint(app.store))
    app.register_blueprint(sign_in.blueprint(app.store, limits, secure_cookies=config.secure_cookies))
    if config.oidc is not None:
        from api import oidc  # noqa: PLC0415 - it needs Authlib, which is an extra

        pages_of_oidc = oidc.blueprint(app.store, limits, config.oidc, secure_cookies=config.secure_cookies)
        app.register_blueprint(pages_of_oidc)
    return app


def _register_headers(app: Flask) -> None:
    @app.after_request
    def _add_headers(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.get("request_id", "")
        response.headers.extend(SECURITY_HEADERS)
        if response.status_code == 204:
            response.headers.pop("Content-Type", None)  # of no content there is no type
        if g.get("is_chosen_by_accept"):
            response.vary.add("Accept")
        if request.is_secure:
            response.headers["Strict-Transport-Security"] = HTTPS_ONLY
        if request.path.startswith(PRIVATE):
            response.headers["Cache-Control"] = "no-store"
        return response
