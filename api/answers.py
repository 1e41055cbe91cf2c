"""Telling what was computed in the shapes of answers (api/shapes), and answering with JSON."""

from datetime import date

from flask import Response

from api.shapes import (
    Assigned,
    CreditAnswer,
    DecisionAnswer,
    FigureAnswer,
    OrderAnswer,
    PerformanceAnswer,
    PeriodAnswer,
    Recorded,
    RuleAnswer,
    RuleChangeAnswer,
    RuleStretch,
    ViewAnswer,
)
from ledger.events import Conditions, encode
from ledger.intake import Accepted
from ledger.money import SHARE_ONE, decimal_text, micros_text, ratio_text, rounded_text, share_text
from ledger.orders import Order
from ledger.rulebook import Decision, RuleChange
from ledger.rules import RuleVersion
from ledger.timeline import FIRST_DAY, LAST_DAY, Piece
from projections.attainment import Attained
from projections.performance import CREDITED_DECIMALS, Credit, Performance, View

ATTAINMENT_DECIMALS = 4


def answer(body: object, status: int = 200, media_type: str = "application/json") -> Response:
    """Answer with a body encoded as JSON."""
    return Response(encode(body), status=status, mimetype=media_type)


def recorded_answer(accepted: Accepted, *, dry_run: bool) -> Recorded:
    """Tell what became of an event, or would."""
    position = accepted.position if accepted.duplicate or not dry_run else None
    return Recorded(position, accepted.version, accepted.duplicate)


def order_answer(order_id: str, order: Order, version: int, position: int) -> OrderAnswer:
    """Tell an order."""
    return OrderAnswer(
        order_id=order_id,
        version=version,
        position=position,
        ordered_on=order.ordered_on,
        order_type=order.order_type,
        customer_id=order.customer_id,
        customer_name=order.customer_name,
        currency=order.currency,
        lines=order.lines,
        assignments=[
            Assigned(open_day(assignment.effective_from), assignment.splits) for assignment in order.assignments
        ],
        returns=order.returns,
        cancelled=order.cancelled,
    )


def rule_answer(conditions: Conditions, pieces: list[Piece[RuleVersion]]) -> RuleAnswer:
    """Tell a rule."""
    return RuleAnswer(
        conditions,
        [
            RuleStretch(
                open_day(part.start),
                open_day(part.end),
                share_text(part.value.share or 0),
                part.value.rule_change_id,
                part.value.position,
            )
            for part in pieces
        ],
    )


def rule_change_answer(change: RuleChange) -> RuleChangeAnswer:
    """Tell a rule change."""
    return RuleChangeAnswer(
        rule_change_id=change.rule_change_id,
        state=change.state,
        position=change.decision.position if change.decision else change.proposed_position,
        alterations=change.alterations,
        reason=change.reason,
        reason_code=change.reason_code,
        proposer=change.proposer,
        proposed_at=change.proposed_at,
        proposed_position=change.proposed_position,
        proposed_impact=change.impact,
        decision=_decision_answer(change.decision) if change.decision else None,
    )


def _decision_answer(decision: Decision) -> DecisionAnswer:
    return DecisionAnswer(
        outcome=decision.outcome,
        actor=decision.actor,
        recorded_at=decision.recorded_at,
        position=decision.position,
        reason=decision.reason,
        impact=decision.impact,
        four_eyes=decision.four_eyes if decision.outcome == "approved" else None,
    )


def figure_answer(attained: Attained, group_by: tuple[str, ...]) -> FigureAnswer:
    """Tell a figure, rounded for showing and exact, beside a quota if there is one."""
    figure, quota = attained.figure, attained.quota
    keys = dict(zip(group_by, figure.keys, strict=True))
    return FigureAnswer(
        group={group: key.value for group, key in keys.items()},
        names={group: key.name for group, key in keys.items()},
        currency=figure.currency,
        credited=rounded_text(figure.credited, CREDITED_DECIMALS, figure.currency),
        credited_exact=decimal_text(figure.credited, CREDITED_DECIMALS),
        gross=rounded_text(figure.gross, 6, figure.currency),
        gross_exact=micros_text(figure.gross),
        orders=figure.orders,
        gross_orders=figure.gross_orders,
        quantity=micros_text(figure.quantity),
        gross_quantity=micros_text(figure.gross_quantity),
        quota=None if quota is None else micros_text(quota),
        attainment=ratio_text(figure.credited, quota * SHARE_ONE, ATTAINMENT_DECIMALS) if quota else None,
        quota_positions=attained.quota_positions,
    )


def performance_answer(performance: Performance, figures: list[Attained], next_cursor: str | None) -> PerformanceAnswer:
    """Tell a page of a performance."""
    period = performance.period
    return PerformanceAnswer(
        period=PeriodAnswer(period.name, period.start, period.end),
        group_by=performance.group_by,
        figures=[figure_answer(each, performance.group_by) for each in figures],
        next_cursor=next_cursor,
        view=view_answer(performance.view),
    )


def credit_answer(credit: Credit) -> CreditAnswer:
    """Tell a credit line."""
    return CreditAnswer(
        position=credit.position,
        cause=credit.cause,
        order_id=credit.order_id,
        line_no=credit.line_no,
        ordered_on=credit.ordered_on,
        credited_on=credit.credited_on,
        order_type=credit.order_type,
        customer_id=credit.customer_id,
        product_id=credit.product_id,
        category=credit.category,
        currency=credit.currency,
        quantity=micros_text(credit.quantity),
        gross=micros_text(credit.amount),
        share=share_text(credit.share),
        credited=decimal_text(credit.amount * credit.share, CREDITED_DECIMALS),
        rule=credit.rule.conditions if credit.rule else None,
        rule_change_id=credit.rule.rule_change_id if credit.rule else None,
    )


def view_answer(view: View) -> ViewAnswer:
    """Tell a view."""
    return ViewAnswer(view.position, view.known_at, view.rulebook_position, view.digest)


def open_day(day: date) -> date | None:
    """Give a day of a range; None where the range is open."""
    return None if day in (FIRST_DAY, LAST_DAY) else day
