"""The rulebook: order types, counting rules, rule changes; and the facts about customers that rules name."""

from datetime import date
from typing import Any

import msgspec
from flask import Response
from marshmallow import fields

from api.access import EVERYONE, READERS, allow, path_identifier, principal
from api.answers import (
    ClassAnswer,
    OrderTypeAnswer,
    OrderTypes,
    RuleChangeAnswer,
    RuleChangeRequest,
    RuleHistory,
    Rules,
    answer,
    rule_answer,
    rule_change_answer,
)
from api.bodies import read_body
from api.queries import KnownAtQuery, recorded_position
from api.routes import Routes
from ledger.checks import shown
from ledger.events import CustomerClassified
from ledger.facts import record_fact, subject
from ledger.ids import uuid7
from ledger.money import share_text
from ledger.refusal import Code, Refusal
from ledger.rule_changes import change_rules
from ledger.rulebook import Rulebook, rule_pieces
from ledger.store import Store

_CHANGE = msgspec.json.Decoder(RuleChangeRequest)
_CLASS = msgspec.json.Decoder(CustomerClassified)


class RulesQuery(KnownAtQuery):
    """Which rules."""

    on = fields.Date(metadata={"description": "Only what holds on this business day."})


def blueprint(store: Store) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("rules", __name__, description="Order types, counting rules and their changes.")
    _add_reading(routes, store)
    _add_changing(routes, store)
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
    @allow(*EVERYONE)
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

    @routes.get("/rule-changes/<path:rule_change_id>")
    @routes.answers(200, RuleChangeAnswer)
    @allow(*READERS)
    def get_rule_change(rule_change_id: str) -> Response:
        """Give one rule change."""
        return answer(rule_change_answer(_rule_change(store.rulebook(), rule_change_id)))


def _add_changing(routes: Routes, store: Store) -> None:
    @routes.post("/rule-changes")
    @routes.takes(RuleChangeRequest)
    @routes.answers(200, RuleChangeAnswer, "It was made before.")
    @routes.answers(201, RuleChangeAnswer, "The rulebook is changed.")
    @allow("rules")
    def post_rule_change() -> Response:
        """Change the rulebook, also for the past: proposal and approval in one command, with a reason."""
        request = read_body(_CHANGE)
        proposal = request.proposal(request.rule_change_id or str(uuid7()))
        changed = change_rules(store, proposal, actor=principal())
        change = _rule_change(store.rulebook(), changed.rule_change_id)
        return answer(rule_change_answer(change), 200 if changed.duplicate else 201)

    @routes.put("/customers/<path:customer_id>/class")
    @routes.takes(CustomerClassified)
    @routes.answers(200, ClassAnswer, "The customer is of that class on those days already.")
    @routes.answers(201, ClassAnswer, "The class is recorded.")
    @allow("ingest")
    def put_customer_class(customer_id: str) -> Response:
        """Record the class of a customer for a range of days, also for the past."""
        fact = read_body(_CLASS)
        try:
            return answer(ClassAnswer(record_fact(store, path_identifier(customer_id), fact, actor=principal())), 201)
        except Refusal as refusal:
            if refusal.code is not Code.nothing_changed:
                raise
            known = store.stream(subject("customer", customer_id))
            return answer(ClassAnswer(known[-1].position if known else 0))


def _rulebook(store: Store, query: dict[str, Any]) -> Rulebook:
    position = recorded_position(store, query)
    return store.rulebook() if position is None else store.rulebook_at(position)


def _rule_change(rulebook: Rulebook, rule_change_id: str) -> Any:
    change = rulebook.changes.get(rule_change_id)
    if change is None:
        raise Refusal.of(Code.not_found, f"there is no rule change {shown(rule_change_id)}: see GET /v1/rules/history")
    return change
