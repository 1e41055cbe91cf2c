"""Reading the rulebook: order types, counting rules, and all rule changes."""

from datetime import date
from typing import Any

from flask import Response
from marshmallow import fields

from api.access import EVERYONE, READERS, allow
from api.answers import answer, rule_answer, rule_change_answer
from api.exports import asked_export
from api.queries import HistoryQuery, ListQuery, recorded_position
from api.routes import Routes
from api.rule_tables import history_tables, order_types_table, rules_table
from api.shapes import OrderTypeAnswer, OrderTypes, RuleHistory, Rules
from ledger.money import share_text
from ledger.rulebook import Rulebook
from ledger.rules import rule_pieces
from ledger.store import Store


class RulesQuery(ListQuery):
    """Which rules."""

    on = fields.Date(metadata={"description": "Only what holds on this business day."})


def blueprint(store: Store) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("rules", __name__, description="Order types and counting rules.")
    _add_reading(routes, store)
    return routes


def _add_reading(routes: Routes, store: Store) -> None:
    @routes.get("/order-types")
    @routes.query(ListQuery)
    @routes.answers(200, OrderTypes)
    @routes.exports()
    @allow(*EVERYONE)
    def get_order_types(query: dict[str, Any]) -> Response:
        """List the order types."""
        export = asked_export(query)
        rulebook, position = _rulebook(store, query)
        told = order_types_answer(rulebook)
        if export is not None:
            return export.answered([order_types_table(told.order_types)], "order-types", position)
        return answer(told)

    @routes.get("/rules")
    @routes.query(RulesQuery)
    @routes.answers(200, Rules)
    @routes.exports()
    @allow("ingest", *READERS, "admin")
    def get_rules(query: dict[str, Any]) -> Response:
        """List the counting rules in precedence order, with the days on which each holds."""
        export = asked_export(query)
        rulebook, position = _rulebook(store, query)
        day: date | None = query.get("on")
        told = rules_answer(rulebook, day)
        if export is not None:
            return export.answered([rules_table(told.rules)], f"rules-{day}" if day else "rules", position)
        return answer(told)

    @routes.get("/rules/history")
    @routes.query(HistoryQuery)
    @routes.answers(200, RuleHistory)
    @routes.exports()
    @allow(*READERS)
    def get_rule_history(query: dict[str, Any]) -> Response:
        """List all rule changes: what, why, who and when."""
        export = asked_export(query)
        rulebook, position = _rulebook(store, query)
        changes = [rule_change_answer(change) for change in rulebook.changes.values()]
        if export is not None:
            return export.answered(history_tables(changes), "rule-history", position)
        return answer(RuleHistory(rulebook.position, changes))


def _rulebook(store: Store, query: dict[str, Any]) -> tuple[Rulebook, int]:
    """Give the rulebook that is asked for, and the position it is known at."""
    position = recorded_position(store, query)
    if position is not None:
        return store.rulebook_at(position), position
    rulebook = store.rulebook()
    return rulebook, rulebook.position


def order_types_answer(rulebook: Rulebook) -> OrderTypes:
    """Tell the order types."""
    types = [
        OrderTypeAnswer(known.order_type, known.name, share_text(known.share), known.retired_from)
        for known in rulebook.order_types.values()
    ]
    return OrderTypes(rulebook.position, types)


def rules_answer(rulebook: Rulebook, day: date | None) -> Rules:
    """Tell the counting rules; of a business day, those that hold on it."""
    rules = [
        rule_answer(conditions, pieces)
        for conditions, versions in rulebook.rules().versions.items()
        if (pieces := [part for part in rule_pieces(versions) if day is None or part.start <= day < part.end])
    ]
    return Rules(rulebook.position, rules)
