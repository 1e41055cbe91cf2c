"""The rulebook as tables of an export: order types, counting rules, and rule changes with what they alter."""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec.structs import astuple

from api.exports import Column, Kind, Row, Table, amounts, cells, columns
from api.shapes import ImpactAnswer, ImpactOrderAnswer, OrderTypeAnswer, RuleAnswer, RuleChangeAnswer
from ledger.events import Alteration, Conditions, EndRule, ImpactSeen, SetRule
from ledger.rules import ATTRIBUTES


def condition_columns(prefix: str = "") -> tuple[Column, ...]:
    """Give the columns of a rule's conditions."""
    return tuple(Column(prefix + name) for name in ATTRIBUTES)


def condition_cells(conditions: Conditions | None) -> Row:
    """Give the cells of a rule's conditions; empty ones where there is no rule."""
    return astuple(conditions or Conditions())


_ORDER_TYPES: Final = columns(order_type=Kind.text, name=Kind.text, share=Kind.amount, retired_from=Kind.day)
_STRETCH: Final = columns(
    effective_from=Kind.day,
    effective_to=Kind.day,
    share=Kind.amount,
    rule_change_id=Kind.text,
    position=Kind.integer,
)
_CHANGE: Final = columns(
    rule_change_id=Kind.text,
    state=Kind.text,
    position=Kind.integer,
    reason=Kind.text,
    reason_code=Kind.text,
    proposer=Kind.text,
    proposed_at=Kind.instant,
    proposed_position=Kind.integer,
)
_DECISION: Final = columns(
    actor=Kind.text, recorded_at=Kind.instant, position=Kind.integer, reason=Kind.text, four_eyes=Kind.flag
)
_DECISION_NAMES: Final = ("decided_by", "decided_at", "decision_position", "decision_reason", "four_eyes")
_ALTERATIONS: Final = (
    *columns(rule_change_id=Kind.text, alteration=Kind.integer, action=Kind.text, name=Kind.text),
    *condition_columns(),
    *columns(share=Kind.amount, effective_from=Kind.day, effective_to=Kind.day),
)

_IMPACT: Final = (
    *columns(salesperson_id=Kind.text, name=Kind.text, period=Kind.text, currency=Kind.text),
    *amounts("before", "after", "change"),
    Column("orders", Kind.integer),
)
_ORDERS: Final = (
    *columns(order_id=Kind.text, salesperson_id=Kind.text, name=Kind.text, period=Kind.text, currency=Kind.text),
    *amounts("before", "after", "change"),
)
_SHADOW: Final = columns(effective_from=Kind.day, effective_to=Kind.day, share=Kind.amount, rule_change_id=Kind.text)


def order_types_table(types: Iterable[OrderTypeAnswer]) -> Table:
    """Give order types as a table."""
    return Table("order_types", _ORDER_TYPES, (cells(_ORDER_TYPES, each) for each in types))


def rules_table(rules: Iterable[RuleAnswer]) -> Table:
    """Give counting rules as a table: a row for each stretch; `precedence` 1 is that of the most specific rule."""
    rows = (
        (number, *condition_cells(rule.conditions), *cells(_STRETCH, stretch))
        for number, rule in enumerate(rules, 1)
        for stretch in rule.stretches
    )
    return Table("rules", (Column("precedence", Kind.integer), *condition_columns(), *_STRETCH), rows)


def history_tables(changes: Iterable[RuleChangeAnswer]) -> list[Table]:
    """Give rule changes as a table, and what each alters as another one."""
    told = list(changes)
    heads = (
        *_CHANGE,
        *_impact_columns("proposed"),
        *(Column(name, column.kind) for name, column in zip(_DECISION_NAMES, _DECISION, strict=True)),
        *_impact_columns("decision"),
    )
    return [
        Table("rule_changes", heads, map(_change_row, told)),
        Table("alterations", _ALTERATIONS, (row for each in told for row in _alteration_rows(each))),
    ]


def impact_tables(impact: ImpactAnswer) -> list[Table]:
    """Give what a rule change moves as a table, and the rules that it meets as another one."""
    shadows = (
        (each.alteration, each.relation, *condition_cells(each.conditions), *cells(_SHADOW, each))
        for each in impact.shadows
    )
    heads = (*columns(alteration=Kind.integer, relation=Kind.text), *condition_columns(), *_SHADOW)
    return [Table("impact", _IMPACT, (cells(_IMPACT, line) for line in impact.lines)), Table("shadows", heads, shadows)]


def impact_orders_table(orders: Iterable[ImpactOrderAnswer]) -> Table:
    """Give the orders of an impact as a table."""
    return Table("orders", _ORDERS, (cells(_ORDERS, each) for each in orders))


def _impact_columns(prefix: str) -> tuple[Column, ...]:
    return Column(f"{prefix}_impact_position", Kind.integer), Column(f"{prefix}_impact_digest")


def _change_row(told: RuleChangeAnswer) -> Row:
    decision = told.decision
    return (
        *cells(_CHANGE, told),
        *_impact_cells(told.proposed_impact),
        *(cells(_DECISION, decision) if decision else (None,) * len(_DECISION)),
        *_impact_cells(decision.impact if decision else None),
    )


def _impact_cells(impact: ImpactSeen | None) -> Row:
    return (impact.position, impact.digest) if impact else (None, None)


def _alteration_rows(told: RuleChangeAnswer) -> Iterator[Row]:
    for number, made in enumerate(told.alterations):
        yield (
            *(told.rule_change_id, number, made.__struct_config__.tag, getattr(made, "name", None)),
            *condition_cells(altered_conditions(made)),
            *(getattr(made, name, None) for name in ("share", "effective_from", "effective_to")),
        )


def altered_conditions(made: Alteration) -> Conditions:
    """Give the conditions that an alteration is about; of an order type, its own."""
    return made.conditions if isinstance(made, SetRule | EndRule) else Conditions(order_type=made.order_type)
