"""Reference facts: a customer's class, a product's category, a salesperson's team and quotas."""

from typing import Any

import msgspec
from flask import Response

from api.access import allow, path_identifier, principal
from api.answers import answer
from api.bodies import read_body
from api.idempotency import asked_store
from api.queries import DryRunQuery
from api.routes import Routes
from api.shapes import FactAnswer, QuotaRequest
from ledger.events import (
    CustomerClassified,
    DatedFact,
    ProductCategorised,
    SalespersonQuotaSet,
    SalespersonTeamed,
)
from ledger.facts import ATTRIBUTES, QUOTA_OWNER, record_fact, record_quota, subject
from ledger.refusal import Code, Refusal
from ledger.store import Store

_CLASS = msgspec.json.Decoder(CustomerClassified)
_CATEGORY = msgspec.json.Decoder(ProductCategorised)
_TEAM = msgspec.json.Decoder(SalespersonTeamed)
_QUOTA = msgspec.json.Decoder(QuotaRequest)


def blueprint(store: Store) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("facts", __name__, description="Facts that rules, groups and quotas are about.")
    _add_dated(routes, store)
    _add_people(routes, store)
    return routes


def _add_dated(routes: Routes, store: Store) -> None:
    @routes.put("/customers/<path:customer_id>/class")
    @routes.takes(CustomerClassified)
    @routes.query(DryRunQuery)
    @routes.answers(200, FactAnswer, "The customer is of that class on those days already; or could be (dry_run).")
    @routes.answers(201, FactAnswer, "The class is recorded.")
    @allow("ingest")
    def put_customer_class(query: dict[str, Any], customer_id: str) -> Response:
        """Record the class of a customer for a range of days, also for the past."""
        return _recorded(store, query, customer_id, read_body(_CLASS))

    @routes.put("/products/<path:product_id>/category")
    @routes.takes(ProductCategorised)
    @routes.query(DryRunQuery)
    @routes.answers(200, FactAnswer, "The product is of that category on those days already; or could be (dry_run).")
    @routes.answers(201, FactAnswer, "The category is recorded.")
    @allow("ingest")
    def put_product_category(query: dict[str, Any], product_id: str) -> Response:
        """Record the category of a product for a range of days, also for the past; it goes before the order lines'."""
        return _recorded(store, query, product_id, read_body(_CATEGORY))


def _add_people(routes: Routes, store: Store) -> None:
    @routes.put("/salespeople/<path:salesperson_id>/team")
    @routes.takes(SalespersonTeamed)
    @routes.query(DryRunQuery)
    @routes.answers(200, FactAnswer, "The salesperson is of that team on those days already; or could be (dry_run).")
    @routes.answers(201, FactAnswer, "The team is recorded.")
    @allow("ingest")
    def put_salesperson_team(query: dict[str, Any], salesperson_id: str) -> Response:
        """Record the team of a salesperson for a range of days, also for the past."""
        return _recorded(store, query, salesperson_id, read_body(_TEAM))

    @routes.put("/salespeople/<path:salesperson_id>/quotas/<period>")
    @routes.takes(QuotaRequest)
    @routes.query(DryRunQuery)
    @routes.answers(200, FactAnswer, "The salesperson has that quota already; or could be (dry_run).")
    @routes.answers(201, FactAnswer, "The quota is recorded.")
    @routes.refuses(Code.unknown_currency)
    @allow("ingest")
    def put_quota(query: dict[str, Any], salesperson_id: str, period: str) -> Response:
        """Record the quota of a salesperson for a fiscal month, quarter or year."""
        days, request = store.calendar().fiscal_period(period, pointer=""), read_body(_QUOTA)
        person, fact = (
            path_identifier(salesperson_id),
            SalespersonQuotaSet(days.name, *msgspec.structs.astuple(request)),
        )
        try:
            return _told(query, record_quota(asked_store(store, query), person, days, fact, actor=principal()))
        except Refusal as refusal:
            return _known(store, subject(QUOTA_OWNER, person), refusal)


def _recorded(store: Store, query: dict[str, Any], owner_id: str, fact: DatedFact) -> Response:
    owner = path_identifier(owner_id)
    try:
        return _told(query, record_fact(asked_store(store, query), owner, fact, actor=principal()))
    except Refusal as refusal:
        return _known(store, subject(ATTRIBUTES[type(fact)].owner, owner), refusal)


def _told(query: dict[str, Any], position: int) -> Response:
    return answer(FactAnswer(None)) if query["dry_run"] else answer(FactAnswer(position), 201)


def _known(store: Store, stream: str, refusal: Refusal) -> Response:
    """Answer a fact that holds already: a repeated PUT is no mistake."""
    if refusal.code is not Code.nothing_changed:
        raise refusal
    events = store.stream(stream)
    return answer(FactAnswer(events[-1].position if events else 0))
