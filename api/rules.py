"""Reading the rulebook: order types, counting rules, and all rule changes."""

from datetime import date
from typing import Any

from flask import Response
from marshmallow import fields

from api.access import EVERYONE, READERS, allow
from api.answers import (
    OrderTypeAnswer,
    OrderTypes,
    RuleHistory,
    Rules,
    answer,
    rule_answer,
    rule_change_answer,
)
from api.queries import KnownAtQuery, recorded_position
from api.routes import Routes
from ledger.money import share_text
from ledger.rulebook import Rulebook
from ledger.rules import rule_pieces
from ledger.store import Store


class RulesQuery(KnownAtQuery):
    """Which rules."""

    on = fields.Date(metadata={"description": "Only what holds on this business day."})


def blueprint(store: Store) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("rules", __name__, description="Order types and counting rules.")
    _add_reading(routes, store)
    return routes


def _add_reading(routes: Routes, store: Store) -> None:
    @routes.get("/order-types")
    @routes.query(KnownAtQuery)
    @routes.answers(200, OrderTypes)
    @allow(*EVERYONE)
    def get_order_types(query: dict[str, Any]) -> Response:
        """List the order types."""
        rulebook = _rulebook(store, query)
        types = [
            OrderTypeAnswer(known.order_type, known.name, share_text(known.share), known.retired_from)
            for known in rulebook.order_types.values()
        ]
        return answer(OrderTypes(rulebook.position, types))

    @routes.get("/rules")
    @routes.query(RulesQuery)
    @routes.answers(200, Rules)
    @allow("ingest", *READERS, "admin")
    def get_rules(query: dict[str, Any]) -> Response:
        """List the counting rules in precedence order, with the days on which each holds."""
        rulebook = _rulebook(store, query)
        day: date | None = query.get("on")
        rules = [
            rule_answer(conditions, pieces)
            for conditions, versions in rulebook.rules().versions.items()
            if (pieces := [part for part in rule_pieces(versions) if day is None or part.start <= day < part.end])
        ]
        return answer(Rules(rulebook.position, rules))

    @routes.get("/rules/history")
    @routes.query(KnownAtQuery)
    @routes.answers(200, RuleHistory)
    @allow(*READERS)
    def get_rule_history(query: dict[str, Any]) -> Response:
        """List all rule changes: what, why, who and when."""
        rulebook = _rulebook(store, query)
        changes = [rule_change_answer(change) for change in rulebook.changes.values()]
        return answer(RuleHistory(rulebook.position, changes))


def _rulebook(store: Store, query: dict[str, Any]) -> Rulebook:
    position = recorded_position(store, query)
    return store.rulebook() if position is None else store.rulebook_at(position)
