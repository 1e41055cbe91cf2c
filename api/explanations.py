"""GET an order's explanation: its credit lines, the rules each meets, which decides and why, what would make it count.

A sales token sees its own lines only; an order in which it never had a part is answered like one that is not there.
As a file it is its credit lines, each with the rule that decides.
"""

from dataclasses import replace
from typing import Any, Final

import msgspec
from flask import Response

from api.access import READERS, allow, only_own_figures, path_identifier
from api.answers import answer, view_answer
from api.exports import Column, Kind, Row, Table, asked_export, cells, columns
from api.languages import translated
from api.queries import ListQuery, recorded_position
from api.routes import Routes
from api.rule_tables import condition_cells, condition_columns
from api.shapes import (
    AlternativeAnswer,
    ExplainedLineAnswer,
    ExplainedRuleAnswer,
    ExplainedTotalAnswer,
    ExplanationAnswer,
)
from ledger.money import CREDITED_DECIMALS, credited_text, micros_text, rounded_text, share_text
from ledger.refusal import Code
from ledger.rules import Standing
from ledger.store import Store
from projections.alternatives import Alternative
from projections.explanation import (
    ExplainedLine,
    ExplainedRule,
    ExplainedTotal,
    Explanation,
    explain,
    no_such_order,
)
from projections.sentences import sentence_left, sentences, why

_LINE: Final = columns(
    kind=Kind.text,
    line_no=Kind.integer,
    salesperson_id=Kind.text,
    salesperson_name=Kind.text,
    ordered_on=Kind.day,
    credited_on=Kind.day,
    order_type=Kind.text,
    customer_id=Kind.text,
    product_id=Kind.text,
    product_name=Kind.text,
)
_TOLD: Final = columns(category=Kind.text, customer_class=Kind.text, team=Kind.text)
"""What a fact, the order or nobody says: a file has the value alone."""
_CREDITED: Final = columns(
    currency=Kind.text,
    quantity=Kind.amount,
    amount=Kind.amount,
    share=Kind.amount,
    credited=Kind.amount,
    credited_exact=Kind.amount,
    why=Kind.text,
)
_RULE: Final = columns(
    rule_change_id=Kind.text,
    rule_reason=Kind.text,
    rule_reason_code=Kind.text,
    rule_effective_from=Kind.day,
    rule_effective_to=Kind.day,
)


def blueprint(store: Store) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("explanations", __name__, description="Why an order counts, or does not.")

    @routes.get("/orders/<path:order_id>/explanation")
    @routes.query(ListQuery)
    @routes.answers(200, ExplanationAnswer)
    @routes.exports()
    @routes.refuses(Code.order_not_found)
    @allow("sales", *READERS)
    def get_explanation(query: dict[str, Any], order_id: str) -> Response:
        """Explain what an order brings whom, and why. A sales token sees its own lines only.

        As a file (by Accept) it is the credit lines, each with the rule that decides.
        """
        export = asked_export(query)
        told = _told(store, order_id, recorded_position(store, query))
        if export is not None:
            return export.answered([lines_table(told)], f"explanation-{order_id}", told.view.position)
        return answer(told)

    return routes


def _told(store: Store, order_id: str, position: int | None) -> ExplanationAnswer:
    """Tell an order as known at a position to who asks. Errors: as of explain and _own_part."""
    found = explain(store, path_identifier(order_id), position=position)
    own = only_own_figures()
    if own is None:
        return explanation_answer(found)
    if own in found.left:
        return _told_left(explain(store, order_id, position=found.left[own]), own)
    return explanation_answer(_own_part(found, own))


def _told_left(explanation: Explanation, own: str) -> ExplanationAnswer:
    """Tell an order as known when it was taken from a salesperson: nothing of it is theirs, nor what came later."""
    told = explanation_answer(replace(explanation, lines=(), alternatives=()))
    return msgspec.structs.replace(told, sentences=[translated(sentence_left(explanation, own))])


def _own_part(explanation: Explanation, own: str) -> Explanation:
    """Leave only what concerns a salesperson; what the whole order would bring is theirs alone or not told.

    Errors: Refusal (order_not_found) where they have no part in it.
    """
    if own not in explanation.people:
        raise no_such_order(explanation.order_id, explanation.view.position)
    lines = tuple(line for line in explanation.lines if line.salesperson_id == own)
    alone = explanation.people == {own}
    return replace(explanation, lines=lines, alternatives=explanation.alternatives if alone else ())


def explanation_answer(explanation: Explanation) -> ExplanationAnswer:
    """Tell an explanation."""
    return ExplanationAnswer(
        order_id=explanation.order_id,
        ordered_on=explanation.ordered_on,
        order_type=explanation.order_type,
        order_type_name=explanation.order_type_name,
        customer_id=explanation.customer_id,
        customer_name=explanation.customer_name,
        currency=explanation.currency,
        voided=explanation.voided,
        cancellation=explanation.cancellation,
        sentences=[translated(sentence) for sentence in sentences(explanation)],
        lines=[_line(line) for line in explanation.lines],
        totals=[_total(total) for total in explanation.totals()],
        alternatives=[_alternative(alternative) for alternative in explanation.alternatives],
        life=list(explanation.life),
        view=view_answer(explanation.view),
    )


def _line(line: ExplainedLine) -> ExplainedLineAnswer:
    return ExplainedLineAnswer(
        kind=line.kind,
        line_no=line.line_no,
        salesperson_id=line.salesperson_id,
        salesperson_name=line.salesperson_name,
        ordered_on=line.ordered_on,
        credited_on=line.credited_on,
        order_type=line.order_type,
        customer_id=line.customer_id,
        product_id=line.product_id,
        product_name=line.product_name,
        category=line.category,
        customer_class=line.customer_class,
        team=line.team,
        currency=line.currency,
        quantity=micros_text(line.quantity),
        amount=micros_text(line.amount),
        share=share_text(line.share),
        credited=line.credited_text,
        credited_exact=credited_text(line.credited),
        why=translated(why(line)),
        rules=[_rule(rule) for rule in line.rules],
        alternatives=[_alternative(alternative) for alternative in line.alternatives],
    )


def _rule(rule: ExplainedRule) -> ExplainedRuleAnswer:
    return ExplainedRuleAnswer(
        conditions=rule.conditions,
        standing=rule.standing,
        share=None if rule.share is None else share_text(rule.share),
        effective_from=rule.effective_from,
        effective_to=rule.effective_to,
        position=rule.position,
        rule_change_id=rule.rule_change_id,
        proposer=rule.proposer,
        proposed_at=rule.proposed_at,
        proposed_position=rule.proposed_position,
        approver=rule.approver,
        approved_at=rule.approved_at,
        four_eyes=rule.four_eyes,
        reason=rule.reason,
        reason_code=rule.reason_code,
    )


def _total(total: ExplainedTotal) -> ExplainedTotalAnswer:
    return ExplainedTotalAnswer(
        salesperson_id=total.salesperson_id,
        currency=total.currency,
        gross_exact=micros_text(total.gross),
        credited=rounded_text(total.credited, CREDITED_DECIMALS, total.currency),
        credited_exact=credited_text(total.credited),
    )


def _alternative(alternative: Alternative) -> AlternativeAnswer:
    rule = alternative.rule
    return AlternativeAnswer(
        circumstance=alternative.circumstance,
        value=alternative.value,
        share=None if alternative.share is None else share_text(alternative.share),
        credited_exact=None if alternative.credited is None else credited_text(alternative.credited),
        rule=rule.conditions if rule else None,
        rule_change_id=rule.rule_change_id if rule else None,
    )


def lines_table(told: ExplanationAnswer) -> Table:
    """Give the credit lines of an explanation as a table, each with the rule that decides, where one does."""
    heads = (Column("order_id"), *_LINE, *_TOLD, *_CREDITED, *_RULE, *condition_columns("rule_"))
    return Table("lines", heads, ((told.order_id, *_line_cells(line)) for line in told.lines))


def _line_cells(line: ExplainedLineAnswer) -> Row:
    rule = next((rule for rule in line.rules if rule.standing == Standing.decides), None)
    values = line.category.value, line.customer_class.value, line.team.value
    decided = rule and (rule.rule_change_id, rule.reason, rule.reason_code, rule.effective_from, rule.effective_to)
    return (
        *cells(_LINE, line),
        *values,
        *cells(_CREDITED, line),
        *(decided or [None] * len(_RULE)),
        *condition_cells(rule.conditions if rule else None),
    )
