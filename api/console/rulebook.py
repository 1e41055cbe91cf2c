"""The rulebook: which orders count at which share on a day, the most specific rule first, and each rule's history."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

import msgspec
from flask import Blueprint, Response, request

from api.access import READERS, allow
from api.client import Client
from api.console.proposal import Draft, proposed_rule
from api.console.reading import asked_day, reading
from api.console.shell import Source, asked_known, asking, client, page, seen_roles
from api.console.versions import Version, picture
from api.languages import translated
from api.rule_tables import altered_conditions
from api.shapes import RuleAnswer, RuleChangeAnswer, RuleStretch
from ledger.events import Alteration, Conditions, DefineOrderType, EndRule, SetRule
from ledger.rules import ATTRIBUTES
from ledger.store import Store
from ledger.wording import say
from projections.sentences import orders_of

ATTRIBUTE_NAMES: Final = (
    ("product_id", say("Product")),
    ("category", say("Product category")),
    ("customer_id", say("Customer")),
    ("customer_class", say("Customer class")),
    ("salesperson_id", say("Salesperson")),
    ("order_type", say("Order type")),
)
"""The columns of the decision table: the conditions' attributes, the most specific first."""
VERSIONS_MAX: Final = 24
"""Each of them is asked of the API; a rule that was altered more often shows the last ones."""


@dataclass(frozen=True)
class Row:
    """A rule of the decision table: its place in the order of precedence, and the stretch that holds on the day."""

    precedence: int
    rule: RuleAnswer
    holding: RuleStretch | None

    @property
    def link(self) -> dict[str, str]:
        """Give its conditions as parameters of the page's address."""
        return named_conditions(self.rule.conditions)

    @property
    def changed(self) -> str:
        """Give the address at which a change of it is proposed: of its conditions, for the days that it holds."""
        return _changed(self.rule.conditions, self.holding)


def add_rulebook(console: Blueprint, store: Store) -> None:
    """Add the page."""

    @console.get("/rulebook")
    @reading("on", "known", *ATTRIBUTES)
    @allow("ingest", *READERS, "admin")
    @asking("rulebook.html", "on", "known")
    def get_rulebook() -> Response:
        known, day, ledger = asked_known(store), asked_day("on") or store.today(), client()
        rules, types = ledger.rules(known=known.point), ledger.order_types(known.point).order_types
        sees_changes = bool(seen_roles() & set(READERS))
        changes = ledger.rules_history(known.point).rule_changes if sees_changes else []
        asked = Conditions(**{name: request.args[name] for name in ATTRIBUTES if request.args.get(name)})
        chosen = named_conditions(asked)
        versions = _versions(ledger, changes, asked) if chosen and sees_changes else []
        rows = [Row(number, rule, _holding(rule, day)) for number, rule in enumerate(rules.rules, 1)]
        title = say(
            "The versions of the rule for {orders}: days from left to right, the latest recorded on top",
            orders=orders_of(asked) if chosen else "",
        )
        sources = [
            Source(say("Rules"), "/v1/rules", {"on": day, **known.query}),
            Source(say("Rules of all days"), "/v1/rules", known.query),
            Source(say("Order types"), "/v1/order-types", known.query),
        ]
        if sees_changes:
            sources.append(Source(say("Rule changes"), "/v1/rules/history", known.query))
        return page(
            "rulebook.html",
            known=known,
            day=day,
            attributes=ATTRIBUTE_NAMES,
            orders_of=orders_of,
            holding=[row for row in rows if row.holding],
            others=[row for row in rows if not row.holding],
            ended=_ended(rules.rules, changes),
            types=[
                (each, _changes_of(each.order_type, changes), _changed_type(each.order_type, rows)) for each in types
            ],
            may_propose="rules" in seen_roles() and not known.text,
            position=rules.rulebook_position,
            sees_changes=sees_changes,
            chosen=chosen,
            asked=asked,
            versions=versions[::-1],
            picture=picture(translated(title), versions, day),
            sources=sources,
        )


def named_conditions(conditions: Conditions) -> dict[str, str]:
    """Give the conditions that a rule names, by attribute."""
    named: dict[str, str] = msgspec.to_builtins(conditions)
    return named


def _changed_type(order_type: str, rows: Iterable[Row]) -> str:
    """Give the address at which another share is proposed for an order type, for the days that its rule holds."""
    conditions = Conditions(order_type=order_type)
    return _changed(conditions, next((row.holding for row in rows if row.rule.conditions == conditions), None))


def _changed(conditions: Conditions, days: RuleStretch | None) -> str:
    """Give the address at which another share is proposed for lines of these conditions on the days of a stretch."""
    given = (("effective_from", days.effective_from), ("effective_to", days.effective_to)) if days else ()
    text = {name: day.isoformat() for name, day in given if day}
    return Draft((proposed_rule(named_conditions(conditions), text),)).address


def _holding(rule: RuleAnswer, day: date) -> RuleStretch | None:
    """Give the stretch of a rule that a day is in."""
    return next(
        (
            each
            for each in rule.stretches
            if (each.effective_from or date.min) <= day and (each.effective_to is None or day < each.effective_to)
        ),
        None,
    )


def _ended(rules: Iterable[RuleAnswer], changes: Iterable[RuleChangeAnswer]) -> list[tuple[Conditions, dict[str, str]]]:
    """Give the rules that once were and hold on no day any more, with their conditions as the address has them."""
    there = {rule.conditions for rule in rules}
    altered = {altered_conditions(made): None for change in _approved(changes) for made in change.alterations}
    return [(conditions, named_conditions(conditions)) for conditions in altered if conditions not in there]


def _approved(changes: Iterable[RuleChangeAnswer]) -> list[RuleChangeAnswer]:
    """Give the changes that the rulebook has, in the order in which it got them."""
    return sorted((each for each in changes if each.state == "approved"), key=lambda each: each.position)


def _changes_of(order_type: str, changes: Iterable[RuleChangeAnswer]) -> list[RuleChangeAnswer]:
    """Give the changes that defined, renamed or retired an order type."""
    return [
        change
        for change in _approved(changes)
        if any(getattr(made, "order_type", None) == order_type for made in change.alterations)
    ]


def _versions(ledger: Client, changes: Iterable[RuleChangeAnswer], asked: Conditions) -> list[Version]:
    """Give the rule of these conditions as each change left it, oldest first."""
    concerned = [each for each in _approved(changes) if any(_alters(made, asked) for made in each.alterations)]
    return [Version(each, _stretches(ledger, each.position, asked)) for each in concerned[-VERSIONS_MAX:]]


def _alters(made: Alteration, asked: Conditions) -> bool:
    return isinstance(made, DefineOrderType | SetRule | EndRule) and altered_conditions(made) == asked


def _stretches(ledger: Client, position: int, asked: Conditions) -> list[RuleStretch]:
    rules = ledger.rules(known=position).rules
    return next((rule.stretches for rule in rules if rule.conditions == asked), [])
