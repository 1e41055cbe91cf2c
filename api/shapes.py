"""The shapes of bodies and answers: one type each, which documents, encodes and, in a client, decodes it.

Money and quantities are decimal strings. Nothing here knows Flask, the store or the database: a client has these types
without them. What makes an answer of what was computed is beside the route that gives it.
"""

from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from api.values import ExactAmount, Instant, Money, Quantity, Ratio, Share
from ledger.events import (
    Alteration,
    Amount,
    Conditions,
    CurrencyCode,
    Fact,
    Identifier,
    ImpactSeen,
    Line,
    OrderCancelled,
    OrderReturned,
    Reason,
    RuleChangeProposed,
    Split,
)
from projections.told import LifeEvent, Told

HIDDEN: Final = "…"


class Secretive(Struct, frozen=True):
    """What has a secret as its first field, which a log or a traceback must not show: its repr does not."""

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        secret, *others = self.__struct_fields__
        hidden = None if getattr(self, secret) is None else HIDDEN
        return [(secret, hidden), *((name, getattr(self, name)) for name in others)]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


class ProblemError(Struct, frozen=True):
    """One thing wrong in a request."""

    code: str
    detail: str
    pointer: str
    remedy: str


class ProblemDocument(Struct, frozen=True):
    """What is answered instead (application/problem+json)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[ProblemError]
    request_id: str
    facts: dict[str, Any] = {}


class Health(Struct, frozen=True):
    """The service's state: the ledger's last position and the projection's; where it can't serve, why."""

    status: str
    position: int | None = None
    projected_position: int | None = None
    reason: str | None = None


# ---- orders


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
    """What became of a bulk request; `position` is the highest position answered (0: none; of a dry run, null)."""

    position: int | None
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


class RecordedEvent(Struct, frozen=True):
    """An event as the feed hands it out: a CloudEvents document, and `sequence` is its position."""

    id: str
    source: str
    type: str
    subject: str
    version: int
    time: Instant
    effective: date
    actor: str
    data: dict[str, Any]
    sequence: str
    specversion: str = "1.0"

    @property
    def position(self) -> int:
        """Give its place in the one order."""
        return int(self.sequence)


# ---- the rulebook


class OrderTypeAnswer(Struct, frozen=True):
    """An order type; `share` is what it counts at where no rule says otherwise."""

    order_type: str
    name: str | None
    share: Share
    retired_from: date | None


class OrderTypes(Struct, frozen=True):
    """The order types of the rulebook known at its position."""

    rulebook_position: int
    order_types: list[OrderTypeAnswer]


class RuleStretch(Struct, frozen=True):
    """The days [effective_from, effective_to) on which a rule counts at a share, and the change that says so."""

    effective_from: date | None
    effective_to: date | None
    share: Share
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
    recorded_at: Instant
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
    proposed_at: Instant
    proposed_position: int
    proposed_impact: ImpactSeen | None
    decision: DecisionAnswer | None


class RuleHistory(Struct, frozen=True):
    """All rule changes, oldest first."""

    rulebook_position: int
    rule_changes: list[RuleChangeAnswer]


# ---- figures


class ViewAnswer(Struct, frozen=True):
    """What an answer was computed from: ask again with `position` and get the same `digest`."""

    position: int
    known_at: Instant | None
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
    `quota_positions` are those of the facts that set it, or its parts; `adjustments` is what was booked into these days
    from closed periods, less what was carried out of the periods that end in them (so that nothing is counted twice),
    and total = credited + adjustments.
    """

    group: dict[str, str | None]
    names: dict[str, str | None]
    currency: str
    credited: Money
    credited_exact: ExactAmount
    gross: Money
    gross_exact: ExactAmount
    orders: int
    gross_orders: int
    quantity: Quantity
    gross_quantity: Quantity
    quota: ExactAmount | None = None
    attainment: Ratio | None = None
    quota_positions: tuple[int, ...] = ()
    adjustments: Money | None = None
    adjustments_exact: ExactAmount | None = None
    total: Money | None = None
    total_exact: ExactAmount | None = None


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
    amount: Money
    amount_exact: ExactAmount
    position: int | None


class PerformanceAnswer(Struct, frozen=True):
    """Performance of a period; `next_cursor` asks for the groups behind these, at the same position.

    By salesperson alone, `adjustments` are those of these days for the people on the page: what of closed periods was
    resolved by carrying it forward into these days; and, with the sign turned, on the last day of its period, what was
    carried out of a period that ends in them. The view's digest is of what is credited, without them.
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
    quantity: Quantity
    gross: ExactAmount
    share: Share
    credited: ExactAmount
    rule: Conditions | None
    rule_change_id: str | None


class CreditsAnswer(Struct, frozen=True):
    """The credit lines behind a salesperson's figure, in recorded order.

    `in_ledger`: an order, a quota or a team names the salesperson, in whatever period and after whatever position; true
    of nobody (null).
    """

    salesperson_id: str | None
    in_ledger: bool
    period: PeriodAnswer
    credits: list[CreditAnswer]
    next_cursor: str | None
    view: ViewAnswer


# ---- decisions on rule changes, and what they move


class Approval(Struct, frozen=True, forbid_unknown_fields=True):
    """The approval of the impact that was proposed, or of another one, which `accepted_digest` names."""

    reason: str | None = None
    accepted_digest: str | None = None
    version: int | None = None


class Rejection(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a proposal is rejected."""

    reason: str
    version: int | None = None


class Withdrawal(Struct, frozen=True, forbid_unknown_fields=True):
    """Why the proposer withdraws a proposal, if there is more to say."""

    reason: str | None = None
    version: int | None = None


class MovedAmounts(Struct, frozen=True):
    """What amounts count before and after a change, and the difference: rounded half-up, and exact."""

    currency: str
    before: Money
    before_exact: ExactAmount
    after: Money
    after_exact: ExactAmount
    change: Money
    change_exact: ExactAmount


class ImpactLineAnswer(MovedAmounts, frozen=True):
    """What a rule change moves for one salesperson (null: unassigned) in one period and currency.

    The amounts are of the touched orders alone, not of everything in the period.
    """

    salesperson_id: str | None
    name: str | None
    period: str
    orders: int


class ImpactTotal(MovedAmounts, frozen=True):
    """What a rule change moves in one period and currency."""

    period: str


class ImpactOrderAnswer(MovedAmounts, frozen=True):
    """What a rule change moves of one order for one salesperson (null: unassigned) in one period and currency."""

    order_id: str
    salesperson_id: str | None
    name: str | None
    period: str


class ShadowAnswer(Struct, frozen=True):
    """A rule that the alteration of that index meets on the days [effective_from, effective_to).

    `relation` replaced: it is of the same conditions, and the alteration takes its place; above: its lines may be the
    altered rule's too, and it wins over that; below: it loses to it.
    """

    alteration: int
    relation: Literal["replaced", "above", "below"]
    conditions: Conditions
    share: Share
    effective_from: date | None
    effective_to: date | None
    rule_change_id: str


class ImpactAnswer(Struct, frozen=True):
    """What a rule change moves, as known at `position`; `digest` is of the lines, closed periods and rules met.

    `unknown_values` are conditions whose value no order and no fact has yet: to come, or a typing error.
    """

    position: int
    digest: str
    orders: int
    people: int
    closed_periods: list[str]
    lines: list[ImpactLineAnswer]
    totals: list[ImpactTotal]
    shadows: list[ShadowAnswer]
    unknown_values: list[str]


ImpactAs = Literal["now", "approved", "proposed"]


class RuleChangeDetail(RuleChangeAnswer, frozen=True):
    """A rule change with its whole impact: of an undecided one `now`, else as it was `approved` or `proposed`.

    `obstacles` are the problems for which an undecided one can't be approved any more; its impact is as proposed then.
    `version` is what a decision names: 1 of a proposal, 2 of one that is decided.
    """

    version: int
    impact_as: ImpactAs
    impact: ImpactAnswer
    obstacles: list[ProblemError]


class TouchedOrdersAnswer(Struct, frozen=True):
    """The orders that a change of the rules touches, as known at `position`, in the order of their placing.

    A page has whole orders: a row for each salesperson, period and currency in which one is worth another amount.
    """

    position: int
    orders: list[ImpactOrderAnswer]
    next_cursor: str | None


class ImpactOrdersAnswer(TouchedOrdersAnswer, frozen=True):
    """The orders that an impact of a rule change is made of; its lines are their sums.

    `approved_position` is where what they are worth after it is known from; null where that is known nowhere yet.
    """

    rule_change_id: str
    impact_as: ImpactAs
    approved_position: int | None


class ImpactPreview(Struct, frozen=True):
    """The impact that a proposal would have; nothing is recorded."""

    impact: ImpactAnswer


# ---- the review of the rulebook


class FindingAmount(Struct, frozen=True):
    """What the orders concerned are worth in one currency, after returns and cancellations and before rules."""

    currency: str
    gross: Money
    gross_exact: ExactAmount


class FindingAnswer(Struct, frozen=True):
    """Something found: as a sentence, and the same as data; `alterations` are what to simulate or propose, if any.

    `orders` counts all that are concerned, `examples` names some of them.
    """

    kind: str
    sentence: str
    order_types: tuple[str, ...]
    conditions: Conditions | None
    shadowed_by: tuple[Conditions, ...]
    orders: int
    amounts: list[FindingAmount]
    examples: tuple[str, ...]
    alterations: tuple[Alteration, ...]


class ReviewAnswer(Struct, frozen=True):
    """The findings, by kind."""

    findings: list[FindingAnswer]
    view: ViewAnswer


# ---- explanations


class AlternativeAnswer(Struct, frozen=True):
    """A circumstance under which it would count: at which share and by which rule, or what it would bring."""

    circumstance: str
    value: str | None
    share: Share | None
    credited_exact: ExactAmount | None
    rule: Conditions | None
    rule_change_id: str | None


class ExplainedRuleAnswer(Struct, frozen=True):
    """A rule version whose conditions the line meets, its standing on the order's day, and who brought it.

    No share: the version ends the rule on its days.
    """

    conditions: Conditions
    standing: str
    share: Share | None
    effective_from: date | None
    effective_to: date | None
    position: int
    rule_change_id: str
    proposer: str
    proposed_at: Instant
    proposed_position: int
    approver: str
    approved_at: Instant
    four_eyes: bool
    reason: str
    reason_code: str | None


class ExplainedLineAnswer(Struct, frozen=True):
    """A credit line, the rules it meets in precedence order, why the one that decides does, and what it is credited.

    `alternatives` say what would make it count, of a line that does not or is nobody's.
    """

    kind: str
    line_no: int
    salesperson_id: str | None
    salesperson_name: str | None
    ordered_on: date
    credited_on: date
    order_type: str
    customer_id: str
    product_id: str
    product_name: str | None
    category: Told
    customer_class: Told
    team: Told
    currency: str
    quantity: Quantity
    amount: ExactAmount
    share: Share
    credited: Money
    credited_exact: ExactAmount
    why: str
    rules: list[ExplainedRuleAnswer]
    alternatives: list[AlternativeAnswer]


class ExplainedTotalAnswer(Struct, frozen=True):
    """What the order brings a salesperson over all time."""

    salesperson_id: str | None
    currency: str
    gross_exact: ExactAmount
    credited: Money
    credited_exact: ExactAmount


class ExplanationAnswer(Struct, frozen=True):
    """An order as known at a position: in sentences, and the same facts as data. The lines sum to the totals.

    A voided order has no lines; `cancellation` is the event that cancelled or voided it.
    """

    order_id: str
    ordered_on: date
    order_type: str
    order_type_name: str | None
    customer_id: str
    customer_name: str | None
    currency: str
    voided: bool
    cancellation: LifeEvent | None
    sentences: list[str]
    lines: list[ExplainedLineAnswer]
    totals: list[ExplainedTotalAnswer]
    alternatives: list[AlternativeAnswer]
    life: list[LifeEvent]
    view: ViewAnswer


# ---- simulations


Position = Annotated[int, Meta(ge=0, le=2**63 - 1, description="As known after the event at this position.")]
KnownAt = Annotated[datetime, Meta(tz=True, description="As known at this instant; instead of position.")]


class SimulationRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What to assume (alterations made, recorded rule changes left out, or both), for which periods and groups."""

    periods: tuple[str, ...]
    alterations: tuple[Alteration, ...] = ()
    without: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ("salesperson",)
    position: Position | None = None
    known_at: KnownAt | None = None


class SimulatedOrdersRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What to assume, as for a simulation; of the orders that it touches those of a period, or of a salesperson.

    `salesperson_id` ~unassigned is nobody.
    """

    alterations: tuple[Alteration, ...] = ()
    without: tuple[str, ...] = ()
    period: str | None = None
    salesperson_id: str | None = None
    position: Position | None = None
    known_at: KnownAt | None = None


class SimulatedAmounts(Struct, frozen=True):
    """What is credited and what would be, rounded half-up to the currency's minor unit and exact; gross is the same."""

    currency: str
    actual: Money
    actual_exact: ExactAmount
    simulated: Money
    simulated_exact: ExactAmount
    change: Money
    change_exact: ExactAmount
    gross: Money
    gross_exact: ExactAmount


class SimulatedGroup(SimulatedAmounts, frozen=True):
    """A group's figures as they are and as they would be; the orders are those that count."""

    group: dict[str, str | None]
    names: dict[str, str | None]
    actual_orders: int
    simulated_orders: int


class SimulatedPeriod(Struct, frozen=True):
    """A period as it is and as it would be; both views are of the same position."""

    period: PeriodAnswer
    groups: list[SimulatedGroup]
    totals: list[SimulatedAmounts]
    actual_view: ViewAnswer
    simulated_view: ViewAnswer


class SimulationAnswer(Struct, frozen=True):
    """The periods in the order asked for; groups that a rule would not change are there too."""

    group_by: tuple[str, ...]
    periods: list[SimulatedPeriod]


# ---- movements


class CauseAnswer(Struct, frozen=True):
    """The event that moved figures; `days_back_dated` are those from its effective date to its recording.

    `after_close`: recorded after the statement that closed a period of these days, and effective before its end.
    """

    position: int
    kind: str
    type: str
    subject: str
    actor: str
    recorded_at: Instant
    effective_on: date
    days_back_dated: int
    after_close: bool
    rule_change_id: str | None
    reason: str | None


class MovementAmounts(Struct, frozen=True):
    """What is moved in one currency: rounded half-up to its minor unit, and exact.

    `credited` and `gross` are of the period's own orders; `adjustments` were carried into it, `carried_out` out of it:
    credited and carried out since a statement are the period's drift. `quota` is the change of the period's quota.
    """

    currency: str
    credited: Money
    credited_exact: ExactAmount
    gross: Money
    gross_exact: ExactAmount
    adjustments: Money
    adjustments_exact: ExactAmount
    quota: Money
    quota_exact: ExactAmount
    carried_out: Money
    carried_out_exact: ExactAmount


class TeamAnswer(Struct, frozen=True):
    """The salesperson's team on the days [start, end) of the period, before and after; null: no team."""

    start: date
    end: date
    before: str | None
    after: str | None


class MovementLineAnswer(MovementAmounts, frozen=True):
    """What one event moves for one salesperson (null: unassigned).

    A change of teams moves no amount and has no currency (""): `teams` says which days are now another team's.
    """

    cause: CauseAnswer
    salesperson_id: str | None
    name: str | None
    teams: list[TeamAnswer]


class MovementAnswer(Struct, frozen=True):
    """The lines by position, salesperson and currency; those of all kinds sum exactly to the difference.

    `totals` are of all lines asked for, on this page or not; the view's digest is of the lines of the kinds asked for.
    """

    period: PeriodAnswer
    from_position: int
    to_position: int
    lines: list[MovementLineAnswer]
    totals: list[MovementAmounts]
    next_cursor: str | None
    view: ViewAnswer


# ---- periods


class CurrencyAmount(Struct, frozen=True):
    """A sum in one currency."""

    currency: str
    amount: Money
    amount_exact: ExactAmount


class PeriodSummary(Struct, frozen=True):
    """A closing period, the days [start, end): open, or closed with a statement.

    `has_drift`: it comes to something else now than what its statement and its carry-forwards settled. `adjustments`
    are the sums booked into it from earlier periods.
    """

    period: str
    start: date
    end: date
    state: str
    statement_version: int | None
    has_drift: bool
    adjustments: list[CurrencyAmount]


class PeriodsAnswer(Struct, frozen=True):
    """The closing periods, oldest first; `version` is what a command may name to act on just this."""

    periods: list[PeriodSummary]
    version: int
    view: ViewAnswer


class StatementSummary(Struct, frozen=True):
    """Who issued a statement, when and why.

    `position` is what its figures were known at, `recorded_position` that of the event that holds it.
    """

    version: int
    reason: str
    actor: str
    recorded_at: Instant
    recorded_position: int
    position: int
    rulebook_position: int
    digest: str


class DriftAnswer(Struct, frozen=True):
    """A salesperson's difference since the last statement: drift = current - settled."""

    salesperson_id: str | None
    salesperson_name: str | None
    currency: str
    current: Money
    current_exact: ExactAmount
    settled: Money
    settled_exact: ExactAmount
    drift: Money
    drift_exact: ExactAmount


class DriftTotal(Struct, frozen=True):
    """The sums of a period's drift lines in one currency."""

    currency: str
    current: Money
    current_exact: ExactAmount
    settled: Money
    settled_exact: ExactAmount
    drift: Money
    drift_exact: ExactAmount


class ClosingPeriodAnswer(Struct, frozen=True):
    """A closing period with its statements (oldest first), its drift, and what was booked into it and out of it."""

    period: PeriodSummary
    version: int
    statements: list[StatementSummary]
    drift: list[DriftAnswer]
    drift_totals: list[DriftTotal]
    adjustments_in: list[AdjustmentAnswer]
    adjustments_out: list[AdjustmentAnswer]
    view: ViewAnswer


class StatementFigureAnswer(Struct, frozen=True):
    """A salesperson's frozen figures in one currency: total = credited + adjustments."""

    salesperson_id: str | None
    salesperson_name: str | None
    currency: str
    credited: Money
    credited_exact: ExactAmount
    adjustments: Money
    adjustments_exact: ExactAmount
    total: Money
    total_exact: ExactAmount
    gross: Money
    gross_exact: ExactAmount


class StatementTotal(Struct, frozen=True):
    """The sums of a statement in one currency."""

    currency: str
    credited: Money
    credited_exact: ExactAmount
    adjustments: Money
    adjustments_exact: ExactAmount
    total: Money
    total_exact: ExactAmount
    gross: Money
    gross_exact: ExactAmount


class StatementFigures(Struct, frozen=True):
    """The figures of a statement: as known at a position and its rulebook; equal digests are equal figures."""

    version: int
    position: int
    rulebook_position: int
    digest: str
    figures: list[StatementFigureAnswer]
    totals: list[StatementTotal]


class StatementAnswer(Struct, frozen=True):
    """A statement as it was issued; it never changes."""

    period: PeriodAnswer
    issued: StatementSummary
    statement: StatementFigures


class CarryForwardAnswer(Struct, frozen=True):
    """A drift booked as adjustments into an open period."""

    into_period: str
    booked_on: date
    adjustments: list[AdjustmentAnswer]
    totals: list[CurrencyAmount]


class OptionsAnswer(Struct, frozen=True):
    """A period's drift and the two ways of resolving it: its next statement, or adjustments in a later period.

    Both leave no drift. Name `version` in the command, and it acts on just this or is refused.
    """

    period: PeriodSummary
    version: int
    drift: list[DriftAnswer]
    drift_totals: list[DriftTotal]
    restatement: StatementFigures
    carry_forward: CarryForwardAnswer
    view: ViewAnswer


class ResolvedAnswer(Struct, frozen=True):
    """What is recorded at `position` (null: it was a dry run, it would be), and the period after it.

    The period is told by the figures that the command computed; `version` is for the next command to name. `movement`
    is a restatement's: why the statement differs from the one before.
    """

    position: int | None
    version: int
    duplicate: bool
    dry_run: bool
    period: PeriodSummary
    statement: StatementFigures | None
    carry_forward: CarryForwardAnswer | None
    movement: list[MovementLineAnswer] | None


class ResolveRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a period is closed or restated; `version` (as well as If-Match) is the one that was looked at."""

    reason: Reason
    version: int | None = None


class CarryForwardRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Into which open period a drift is booked and why; without `booked_on`, on the day of it nearest to today."""

    into_period: Identifier
    reason: Reason
    booked_on: date | None = None
    version: int | None = None


# ---- facts


class FactAnswer(Struct, frozen=True):
    """The fact is in the ledger, at this position or before it; null: it would be recorded (dry_run)."""

    position: int | None


class QuotaRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What a salesperson is to reach in a period, in one currency; null: no quota."""

    currency: CurrencyCode
    amount: Amount | None
    reason: Reason | None = None


# ---- checkpoints and proofs


class CosignatureAnswer(Struct, frozen=True):
    """A witness's signature of a checkpoint: by which key, and the line below the note."""

    witness: str
    signature: str


class CheckpointAnswer(Struct, frozen=True):
    """The first `size` events have this Merkle root; `note` is that, signed. `position` is where it was recorded."""

    size: int
    root: str
    note: str
    position: int
    cosignatures: list[CosignatureAnswer]


class CheckpointPreview(Struct, frozen=True):
    """What would be signed: the first `size` events have this Merkle root."""

    size: int
    root: str


class CheckpointsAnswer(Struct, frozen=True):
    """The keys that signed, first to current, and the checkpoints, oldest first."""

    vkeys: list[str]
    checkpoints: list[CheckpointAnswer]


class InclusionAnswer(Struct, frozen=True):
    """The audit path of an event's leaf in the tree of `size` events, from the leaf upwards (RFC 6962, 2.1.1)."""

    position: int
    leaf_index: int
    leaf_hash: str
    size: int
    root: str
    hashes: list[str]


class ConsistencyAnswer(Struct, frozen=True):
    """The proof that the older tree is the beginning of the newer one (RFC 6962, 2.1.2)."""

    old_size: int
    old_root: str
    size: int
    root: str
    hashes: list[str]


class VerificationFinding(Struct, frozen=True):
    """Something that is not as it was recorded: of which part of the ledger, where, and what."""

    part: str
    where: str
    what: str


class VerificationRun(Struct, frozen=True):
    """A verification that the service was asked for; `done` of `total` steps (0: not counted yet).

    Its state: running; sound, or unsound with findings; stopped, where its process ended before. What it verified is
    null until it has finished, and the projection's part also where there was none to compare. `root` is base64.
    """

    number: int
    state: Literal["running", "sound", "unsound", "stopped"]
    principal: str
    started_at: Instant
    finished_at: Instant | None
    done: int
    total: int
    size: int | None
    root: str | None
    checkpoints: int | None
    statements: int | None
    projected_position: int | None
    credit_lines: int | None
    findings: list[VerificationFinding]
    notices: list[str]


class VerdictAnswer(Struct, frozen=True):
    """A verdict that is noted beside the ledger: the first `size` events, with this root (base64), and what was found.

    It is no evidence: who can write into the database can write a verdict.
    """

    finished_at: Instant
    principal: str
    size: int
    root: str
    is_sound: bool
    findings_count: int
    milliseconds: int


class VerificationAnswer(Struct, frozen=True):
    """The verification that the service was asked for last, and the last verdict, which may be of `orderledger verify`.

    Either is null where there was none yet.
    """

    run: VerificationRun | None
    last_verdict: VerdictAnswer | None


# ---- what was done to the ledger, for auditors


class TimelineEntry(Struct, frozen=True):
    """Something that was done to the ledger, orders aside; `what` tells it in a sentence.

    `effective_on` is the first day that it is about, `effective_to` the first that it no longer is (null: open, or no
    range). `days_back_dated` are those from the first day to its recording, of what changes figures: a proposed or
    approved rule change, a fact, a carry-forward. `closed_periods` were closed when it was recorded, and it is about
    days of theirs.
    """

    position: int
    kind: str
    type: str
    what: str
    subject: str
    event_id: str
    actor: str
    recorded_at: Instant
    effective_on: date
    effective_to: date | None
    days_back_dated: int
    closed_periods: list[str]
    rule_change_id: str | None
    period: str | None
    reason: str | None


class TimelineAnswer(Struct, frozen=True):
    """What was done, newest first, up to a position; `next_cursor` asks for what is older."""

    position: int
    entries: list[TimelineEntry]
    next_cursor: str | None


class Cosignature(Fact, frozen=True):
    """A checkpoint's note with a witness's cosignature below it, and the witness's vkey."""

    note: str
    witness: str


# ---- imports of files

Form = Literal["csv", "xlsx", "ndjson"]

Encoding = Literal["utf-8", "utf-16-le", "utf-16-be", "gb18030", "big5", "cp1252"]

Delimiter = Literal[",", ";", "\t", "|"]

DateFormat = Literal[
    "YYYY-MM-DD",
    "YYYY/MM/DD",
    "YYYY.MM.DD",
    "YYYYMMDD",
    "YYYY年MM月DD日",
    "DD.MM.YYYY",
    "DD/MM/YYYY",
    "MM/DD/YYYY",
    "DD-MM-YYYY",
    "MM-DD-YYYY",
]

DecimalFormat = Literal["1234.56", "1,234.56", "1.234,56", "1 234,56"]

Field = Literal[
    "order_id",
    "order_date",
    "order_type",
    "customer_id",
    "customer_name",
    "salesperson_id",
    "salesperson_name",
    "share",
    "currency",
    "line_no",
    "product_id",
    "product_name",
    "category",
    "quantity",
    "amount",
]

DefaultField = Literal["order_type", "customer_id", "salesperson_id", "currency", "product_id", "category", "quantity"]


class ImportProfile(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a file is to be read; what is left out is proposed from its content, and asked for where it is ambiguous."""

    encoding: Annotated[Encoding | None, Meta(description="Of a text file.")] = None
    delimiter: Annotated[Delimiter | None, Meta(description="Between the fields of a CSV.")] = None
    sheet: Annotated[str | None, Meta(description="Of a workbook: the sheet's name.")] = None
    header: Annotated[
        str | None,
        Meta(description="Where rows are above the header: a cell that it has. The first row with such a cell is it."),
    ] = None
    columns: Annotated[
        dict[Field, str], Meta(description="The header of the column that has a field; others are proposed.")
    ] = {}
    date_format: DateFormat | None = None
    decimal_format: Annotated[
        DecimalFormat | None, Meta(description="How the file writes one thousand two hundred thirty-four and 56/100.")
    ] = None
    numeric_ids: Annotated[
        bool | None,
        Meta(
            description="Of a workbook: take number cells for ids, whatever zeros they have lost. Of any file: take"
            " ids of more than 15 digits as they are, also where those behind the 15th are zeros."
        ),
    ] = None
    date_ids: Annotated[
        bool | None, Meta(description="Take ids such as 3-Jan, Jan-03 or 3月1日 as they are: no spreadsheet made them.")
    ] = None
    defaults: Annotated[
        dict[DefaultField, str], Meta(description="What a field is where the file has no column, or nothing in it.")
    ] = {}
    source: Annotated[
        str | None,
        Meta(description="Who numbers these orders: an order of a source is recorded once. Default: import:NAME."),
    ] = None


class SavedProfile(Struct, frozen=True):
    """A saved profile in the list: what it is called, and who saved it last and when."""

    name: str
    actor: str
    saved_at: Instant


class SavedProfileList(Struct, frozen=True):
    """Saved profiles by name; `next` is where the list goes on."""

    profiles: list[SavedProfile]
    next: str | None


class Decision(Struct, frozen=True):
    """How one thing about a file is read: what was decided, why, and whether that is certain.

    `candidates` are what it may be where it is not; the profile must then say which.
    """

    name: str
    value: str | None
    certain: bool
    why: str
    candidates: list[str] = []


class SeenColumn(Struct, frozen=True):
    """A column of the file: its header, the fields that it has (none: it is not read), and some of its values."""

    header: str
    fields: list[str]
    samples: list[str]


class PeriodAmount(Struct, frozen=True):
    """What the good orders of a closing period come to in a currency, before rules; `closed`: it would drift."""

    period: str
    closed: bool
    currency: str
    orders: int
    amount: str


class Impact(Struct, frozen=True):
    """What committing would record: the good orders that are not in the ledger yet.

    Shape: `closed_periods` are those that orders are dated in; what counts of them is a drift from the statement.
    `new_order_types` are not defined, and that is all that some orders lack: they are rejected, and no part of what
    would be recorded, until a rule change defines their type.
    """

    orders: int = 0
    lines: int = 0
    duplicates: int = 0
    amounts: list[PeriodAmount] = []
    closed_periods: list[str] = []
    new_order_types: list[str] = []
    new_customers: int = 0
    new_salespeople: int = 0


class ImportProblem(Struct, frozen=True):
    """One thing wrong: in a row (line, column), or in how the file is read (a pointer into the profile)."""

    line: int | None
    column: str | None
    code: str
    detail: str
    remedy: str
    pointer: str = ""


class ImportCounts(Struct, frozen=True):
    """What the file has; an order with any bad row is rejected with all of them."""

    rows: int
    orders: int
    rejected_orders: int
    rejected_rows: int
    problems: int


class ImportProgress(Struct, frozen=True):
    """How far the commit is, in orders; duplicates were in the ledger before, refused ones are rejected since."""

    done: int
    orders: int
    recorded: int
    duplicates: int
    refused: int


class ImportSummary(Struct, frozen=True):
    """An import in the list."""

    id: str
    name: str
    form: str
    state: str
    actor: str
    sha256: str
    size: int
    created_at: Instant
    changed_at: Instant
    progress: ImportProgress


class ImportAnswer(ImportSummary, frozen=True, kw_only=True):
    """An import: how its file is read and why, what it has, what committing would record, and what is wrong.

    `profile` is what was decided, given or proposed, and `given` what somebody said of it; `errors` are the first 100,
    the preview shows all. `position` is the ledger's.
    """

    profile: ImportProfile
    given: ImportProfile
    decisions: list[Decision]
    columns: list[SeenColumn]
    counts: ImportCounts
    impact: Impact | None
    errors: list[ImportProblem]
    position: int


class ImportList(Struct, frozen=True):
    """Imports, the latest first; `next` is where the list goes on."""

    imports: list[ImportSummary]
    next: str | None


class PreviewRow(Struct, frozen=True):
    """A row as the file has it, beside what it is understood as, with what is wrong."""

    line: int
    raw: list[str]
    understood: dict[str, str]
    rejected: bool
    errors: list[ImportProblem]


class PreviewAnswer(Struct, frozen=True):
    """Rows of the file; `next` is where they go on."""

    headers: list[str]
    rows: list[PreviewRow]
    next: int | None


class CommitRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """How to commit: all of the file or nothing, unless the good rows are accepted."""

    accept_good_rows: bool = False


# ---- tokens

RoleName = Annotated[str, Meta(description="ingest, sales, rules, approver, finance, auditor, admin or monitor.")]


class TokenRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A token to make; of role sales, the principal is the salesperson's id. Without `expires_at` it does not end."""

    principal: str
    roles: tuple[RoleName, ...]
    expires_at: Instant | None = None


class TokenAnswer(Struct, frozen=True):
    """A token without its secret; `last_used_at` is exact to about a minute."""

    id: str
    principal: str
    roles: tuple[RoleName, ...]
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None
    last_used_at: Instant | None


class NewTokenAnswer(Secretive, frozen=True):
    """The token that was made, and its text, which is told this once: null where the answer is told again."""

    token: str | None
    id: str
    principal: str
    roles: tuple[RoleName, ...]
    created_at: Instant
    expires_at: Instant | None


class TokensAnswer(Struct, frozen=True):
    """Tokens, oldest first; `next_cursor` asks for those behind."""

    tokens: list[TokenAnswer]
    next_cursor: str | None


# ---- webhooks


WEBHOOK_TYPES: Final = ("period.closed", "period.restated", "period.carried_forward", "rule_change.approved")
"""What a webhook is told of that does not say of what."""


class WebhookRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Whom to tell of which events: those behind `from_position` (0: of all), without it those from now on."""

    url: str
    event_types: tuple[str, ...] = WEBHOOK_TYPES
    description: str | None = None
    from_position: int | None = None


class ReplayRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Which events to deliver again: those at [from_position, to_position], by default up to the webhook's position."""

    from_position: int
    to_position: int | None = None


class DeliveryAnswer(Struct, frozen=True):
    """An attempt to deliver: of which message, the event's position (null: a test), and what became of it.

    `outcome` is delivered, refused, gone, timeout, unreachable or forbidden_address; `status` what was answered, if
    anything was.
    """

    number: int
    message_id: str
    position: int | None
    attempt: int
    at: Instant
    outcome: str
    status: int | None
    detail: str
    milliseconds: int


class ReplayAnswer(Struct, frozen=True):
    """What is still to be delivered again: the events at [from_position, to_position]."""

    from_position: int
    to_position: int


class WebhookAnswer(Struct, frozen=True):
    """A webhook. Every event of its types up to `position` was delivered; `waiting` events are not yet, or again.

    `state` is active, disabled or failing (no try is left), `state_reason` says why it is not active. `failures` are
    the attempts in a row that failed, and `next_attempt_at` is when the next one is made (null: as soon as there is an
    event). Until `previous_secret_until` the secret before the last rotation signs too.
    """

    id: str
    url: str
    description: str | None
    event_types: tuple[str, ...]
    state: str
    state_reason: str | None
    position: int
    waiting: int
    replay: ReplayAnswer | None
    failures: int
    next_attempt_at: Instant | None
    last_attempt: DeliveryAnswer | None
    previous_secret_until: Instant | None
    created_at: Instant
    created_by: str


class Webhooks(Struct, frozen=True):
    """All webhooks, oldest first; the ledger's last position is `head`."""

    head: int
    webhooks: list[WebhookAnswer]


class WebhookSecret(Secretive, frozen=True):
    """A webhook with its secret, which is shown this once: null where the answer is told again."""

    secret: str | None
    webhook: WebhookAnswer


class Deliveries(Struct, frozen=True):
    """The attempts that are kept of a webhook, the last one first; `next_cursor` asks for those before."""

    deliveries: list[DeliveryAnswer]
    next_cursor: str | None
