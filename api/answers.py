"""The shapes of answers: one type each, which documents and encodes it. Money and quantities are decimal strings."""

from datetime import date, datetime
from typing import Any

from flask import Response
from msgspec import Struct

from api.problems import ProblemDocument
from ledger.events import (
    Alteration,
    Conditions,
    ImpactSeen,
    Line,
    OrderCancelled,
    OrderReturned,
    RuleChangeProposed,
    Split,
    encode,
)
from ledger.intake import Accepted
from ledger.money import SHARE_ONE, decimal_text, micros_text, ratio_text, rounded_text, share_text
from ledger.orders import Order
from ledger.rulebook import Decision, RuleChange
from ledger.rules import RuleVersion
from ledger.timeline import FIRST_DAY, LAST_DAY, Piece
from projections.attainment import Attained
from projections.performance import CREDITED_DECIMALS, Credit, Figure, Performance, View

ATTAINMENT_DECIMALS = 4


def answer(body: object, status: int = 200, media_type: str = "application/json") -> Response:
    """Answer with a body encoded as JSON."""
    return Response(encode(body), status=status, mimetype=media_type)


class Recorded(Struct, frozen=True):
    """The event is in the ledger; `duplicate` says that it was there before this request.

    `position` is null of a dry run: it would be recorded, as that version of its order.
    """

    position: int | None
    version: int
    duplicate: bool


class BulkResult(Struct, frozen=True, omit_defaults=True):
    """What became of one event of a bulk request, by its index."""

    index: int
    status: int
    recorded: Recorded | None = None
    problem: ProblemDocument | None = None


class BulkAnswer(Struct, frozen=True):
    """What became of a bulk request; `position` is the highest position answered (0: none)."""

    position: int
    results: list[BulkResult]


class Assigned(Struct, frozen=True):
    """The split in force from a day on; no day: from the placing date."""

    effective_from: date | None
    splits: tuple[Split, ...]


class OrderAnswer(Struct, frozen=True):
    """An order as its events left it, at the version and position of the last of them."""

    order_id: str
    version: int
    position: int
    ordered_on: date
    order_type: str
    customer_id: str
    customer_name: str | None
    currency: str
    lines: tuple[Line, ...]
    assignments: list[Assigned]
    returns: tuple[OrderReturned, ...]
    cancelled: OrderCancelled | None


class OrderEvents(Struct, frozen=True):
    """An order's events as recorded, oldest first: CloudEvents documents."""

    events: list[Any]


class OrderTypeAnswer(Struct, frozen=True):
    """An order type; `share` is what it counts at where no rule says otherwise."""

    order_type: str
    name: str | None
    share: str
    retired_from: date | None


class OrderTypes(Struct, frozen=True):
    """The order types of the rulebook known at its position."""

    rulebook_position: int
    order_types: list[OrderTypeAnswer]


class RuleStretch(Struct, frozen=True):
    """The days [effective_from, effective_to) on which a rule counts at a share, and the change that says so."""

    effective_from: date | None
    effective_to: date | None
    share: str
    rule_change_id: str
    position: int


class RuleAnswer(Struct, frozen=True):
    """A counting rule: its conditions and its stretches by date."""

    conditions: Conditions
    stretches: list[RuleStretch]


class Rules(Struct, frozen=True):
    """The counting rules in precedence order, the most specific first."""

    rulebook_position: int
    rules: list[RuleAnswer]


class RuleChangeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A change of the rulebook with its reason; sent again under the same rule_change_id it is answered the same."""

    alterations: tuple[Alteration, ...]
    reason: str
    reason_code: str | None = None
    rule_change_id: str | None = None

    def proposal(self, rule_change_id: str) -> RuleChangeProposed:
        """Give the event that proposes it."""
        return RuleChangeProposed(rule_change_id, self.alterations, self.reason, self.reason_code)


class DecisionAnswer(Struct, frozen=True):
    """What became of a rule change: approved, rejected or withdrawn; in the rulebook since `position` if approved."""

    outcome: str
    actor: str
    recorded_at: datetime
    position: int
    reason: str | None
    impact: ImpactSeen | None
    four_eyes: bool | None


class RuleChangeAnswer(Struct, frozen=True):
    """A rule change: what it alters and why, who proposed it and when, and the decision on it.

    `position` is that of its last event; `proposed_impact` and the decision's `impact` say what was seen, and where.
    """

    rule_change_id: str
    state: str
    position: int
    alterations: tuple[Alteration, ...]
    reason: str
    reason_code: str | None
    proposer: str
    proposed_at: datetime
    proposed_position: int
    proposed_impact: ImpactSeen | None
    decision: DecisionAnswer | None


class RuleHistory(Struct, frozen=True):
    """All rule changes, oldest first."""

    rulebook_position: int
    rule_changes: list[RuleChangeAnswer]


class ViewAnswer(Struct, frozen=True):
    """What an answer was computed from: ask again with `position` and get the same `digest`."""

    position: int
    known_at: datetime | None
    rulebook_position: int
    digest: str


class PeriodAnswer(Struct, frozen=True):
    """A period: the days [start, end)."""

    name: str
    start: date
    end: date


class FigureAnswer(Struct, frozen=True):
    """A group's figures in one currency: rounded half-up to its minor unit, and exact.

    The gross figures are of all credit lines, the others of those that count. By salesperson alone, `quota` is what
    the salesperson is to reach in the period and `attainment` what of it is credited, null without a quota;
    `adjustments` is what was booked into these days from closed periods, and total = credited + adjustments.
    """

    group: dict[str, str | None]
    names: dict[str, str | None]
    currency: str
    credited: str
    credited_exact: str
    gross: str
    gross_exact: str
    orders: int
    gross_orders: int
    quantity: str
    gross_quantity: str
    quota: str | None = None
    attainment: str | None = None
    adjustments: str | None = None
    adjustments_exact: str | None = None
    total: str | None = None
    total_exact: str | None = None


class AdjustmentAnswer(Struct, frozen=True):
    """What of a closed period's drift a salesperson is credited in another one, on a day of it.

    `position` is that of the event; there is none yet of what is only shown.
    """

    from_period: str
    into_period: str
    booked_on: date
    salesperson_id: str | None
    salesperson_name: str | None
    currency: str
    amount: str
    amount_exact: str
    position: int | None


class PerformanceAnswer(Struct, frozen=True):
    """Performance of a period; `next_cursor` asks for the groups behind these, at the same position.

    By salesperson alone, `adjustments` are those booked into these days for the people on the page: what of closed
    periods was resolved by carrying it forward into this one. The view's digest is of what is credited, without them.
    """

    period: PeriodAnswer
    group_by: tuple[str, ...]
    figures: list[FigureAnswer]
    next_cursor: str | None
    view: ViewAnswer
    adjustments: list[AdjustmentAnswer] = []


class CreditAnswer(Struct, frozen=True):
    """One credit line behind a figure: the event that brought it, and the rule that gives its share."""

    position: int
    cause: str
    order_id: str
    line_no: int
    ordered_on: date
    credited_on: date
    order_type: str
    customer_id: str
    product_id: str
    category: str | None
    currency: str
    quantity: str
    gross: str
    share: str
    credited: str
    rule: Conditions | None
    rule_change_id: str | None


class CreditsAnswer(Struct, frozen=True):
    """The credit lines behind a salesperson's figure, in recorded order."""

    salesperson_id: str | None
    period: PeriodAnswer
    credits: list[CreditAnswer]
    next_cursor: str | None
    view: ViewAnswer


class Health(Struct, frozen=True):
    """The service's state: the ledger's last position and the projection's; where it can't serve, why."""

    status: str
    position: int | None = None
    projected_position: int | None = None
    reason: str | None = None


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


def figure_answer(figure: Figure, group_by: tuple[str, ...], quota: int | None = None) -> FigureAnswer:
    """Tell a figure, rounded for showing and exact, beside a quota in micros if there is one."""
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
    )


def performance_answer(performance: Performance, figures: list[Attained], next_cursor: str | None) -> PerformanceAnswer:
    """Tell a page of a performance."""
    period = performance.period
    return PerformanceAnswer(
        period=PeriodAnswer(period.name, period.start, period.end),
        group_by=performance.group_by,
        figures=[figure_answer(each.figure, performance.group_by, each.quota) for each in figures],
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
