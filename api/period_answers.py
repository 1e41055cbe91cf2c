"""The shapes of answers about closing periods, statements, drifts and adjustments.

Every amount is told twice: rounded half-up to the currency's minor unit, and exact. Totals are per currency and rounded
once: the sum of rounded lines may differ from them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from msgspec import Struct

from api.answers import AdjustmentAnswer, PeriodAnswer, ViewAnswer, view_answer
from api.movements import MovementLineAnswer, line_answer
from api.values import ExactAmount, Instant, Money
from ledger.events import DriftCarriedForward, PeriodClosed, PeriodRestated, Statement, StatementFigure, encode
from ledger.money import CREDITED_DECIMALS, credited_of, credited_text, rounded_text
from ledger.periods import Period
from ledger.statements import BookedAdjustment, Issued, adjustments_of
from ledger.store import Store
from projections.closing import DriftLine, Options, PeriodState, Resolved, salesperson_names
from projections.performance import digest_of, view

Names = Mapping[str | None, str]


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


# ---- telling


def periods_answer(store: Store, states: Sequence[PeriodState], version: int, position: int) -> PeriodsAnswer:
    """Tell all closing periods."""
    summaries = [period_summary(state) for state in states]
    return PeriodsAnswer(summaries, version, _view(store, position, summaries))


def period_summary(state: PeriodState) -> PeriodSummary:
    """Tell a closing period in short."""
    period = state.period
    return PeriodSummary(
        period=period.name,
        start=period.start,
        end=period.end,
        state="closed" if state.is_closed else "open",
        statement_version=state.statements[-1].statement.version if state.statements else None,
        has_drift=bool(state.drift),
        adjustments=_sums((each.currency, each.credited) for each in state.adjustments),
    )


def closing_period_answer(store: Store, state: PeriodState) -> ClosingPeriodAnswer:
    """Tell a closing period."""
    out = [adjustment for carried in state.carried_out for adjustment in adjustments_of(carried)]
    people = [line.salesperson_id for line in state.drift]
    names = salesperson_names(store, [*people, *(each.salesperson_id for each in [*state.adjustments, *out])])
    summary, drift = period_summary(state), drift_answers(state.drift, names)
    statements = [statement_summary(issued) for issued in state.statements]
    adjustments_in, adjustments_out = adjustment_answers(state.adjustments, names), adjustment_answers(out, names)
    return ClosingPeriodAnswer(
        period=summary,
        version=state.version,
        statements=statements,
        drift=drift,
        drift_totals=drift_totals(state.drift),
        adjustments_in=adjustments_in,
        adjustments_out=adjustments_out,
        view=_view(store, state.position, [summary, *statements, *drift, *adjustments_in, *adjustments_out]),
    )


def statement_answer(store: Store, period: Period, issued: Issued) -> StatementAnswer:
    """Tell a statement."""
    return StatementAnswer(
        PeriodAnswer(period.name, period.start, period.end),
        statement_summary(issued),
        statement_figures(store, issued.statement),
    )


def options_answer(store: Store, options: Options) -> OptionsAnswer:
    """Tell both ways of resolving a drift."""
    state = options.state
    names = salesperson_names(store, [line.salesperson_id for line in state.drift])
    booked = [
        BookedAdjustment(
            from_period=state.period.name,
            into_period=options.into.name,
            booked_on=options.booked_on,
            salesperson_id=each.salesperson_id,
            currency=each.currency,
            credited=credited_of(each.credited),
            event_position=0,
        )
        for each in options.adjustments
    ]
    drift = drift_answers(state.drift, names)
    restatement = statement_figures(store, options.restatement)
    carry_forward = _carry_forward(options.into.name, options.booked_on, booked, names)
    return OptionsAnswer(
        period=period_summary(state),
        version=state.version,
        drift=drift,
        drift_totals=drift_totals(state.drift),
        restatement=restatement,
        carry_forward=carry_forward,
        view=_view(store, state.position, [*drift, restatement, carry_forward]),
    )


def resolved_answer(store: Store, resolved: Resolved) -> ResolvedAnswer:
    """Tell what a command recorded, or would."""
    booked, position = resolved.booked, resolved.booked.position or None
    event = booked.event
    return ResolvedAnswer(
        position=position,
        version=booked.version,
        duplicate=booked.duplicate,
        dry_run=position is None,
        period=period_summary(resolved.state),
        statement=statement_figures(store, event.statement)
        if isinstance(event, PeriodClosed | PeriodRestated)
        else None,
        carry_forward=_carried(store, event, booked.position) if isinstance(event, DriftCarriedForward) else None,
        movement=[line_answer(line) for line in resolved.movement.lines] if resolved.movement else None,
    )


def statement_summary(issued: Issued) -> StatementSummary:
    """Tell who issued a statement, when and why."""
    statement = issued.statement
    return StatementSummary(
        version=statement.version,
        reason=issued.reason,
        actor=issued.actor,
        recorded_at=issued.recorded_at,
        recorded_position=issued.event_position,
        position=statement.position,
        rulebook_position=statement.rulebook_position,
        digest=statement.digest,
    )


def statement_figures(store: Store, statement: Statement) -> StatementFigures:
    """Tell the figures of a statement."""
    names = salesperson_names(store, [figure.salesperson_id for figure in statement.figures])
    sums = defaultdict[str, list[int]](lambda: [0, 0, 0])
    for figure in statement.figures:
        sums[figure.currency] = [sum(pair) for pair in zip(sums[figure.currency], _amounts(figure), strict=True)]
    return StatementFigures(
        version=statement.version,
        position=statement.position,
        rulebook_position=statement.rulebook_position,
        digest=statement.digest,
        figures=[
            StatementFigureAnswer(
                figure.salesperson_id,
                names.get(figure.salesperson_id),
                figure.currency,
                *_frozen_texts(_amounts(figure), figure.currency),
            )
            for figure in statement.figures
        ],
        totals=[StatementTotal(currency, *_frozen_texts(sums[currency], currency)) for currency in sorted(sums)],
    )


def drift_answers(lines: Iterable[DriftLine], names: Names) -> list[DriftAnswer]:
    """Tell a drift, line by line."""
    return [
        DriftAnswer(
            line.salesperson_id,
            names.get(line.salesperson_id),
            line.currency,
            *_texts(line.currency, line.current, line.settled, line.drift),
        )
        for line in lines
    ]


def drift_totals(lines: Sequence[DriftLine]) -> list[DriftTotal]:
    """Sum a drift per currency."""
    totals = list[DriftTotal]()
    for currency in sorted({line.currency for line in lines}):
        those = [line for line in lines if line.currency == currency]
        current, settled = sum(line.current for line in those), sum(line.settled for line in those)
        totals.append(DriftTotal(currency, *_texts(currency, current, settled, current - settled)))
    return totals


def adjustment_answers(booked: Iterable[BookedAdjustment], names: Names) -> list[AdjustmentAnswer]:
    """Tell adjustments."""
    return [
        AdjustmentAnswer(
            from_period=each.from_period,
            into_period=each.into_period,
            booked_on=each.booked_on,
            salesperson_id=each.salesperson_id,
            salesperson_name=names.get(each.salesperson_id),
            currency=each.currency,
            amount=rounded_text(each.credited, CREDITED_DECIMALS, each.currency),
            amount_exact=credited_text(each.credited),
            position=each.event_position or None,
        )
        for each in booked
    ]


def _carried(store: Store, event: DriftCarriedForward, position: int) -> CarryForwardAnswer:
    booked = [
        BookedAdjustment(
            from_period=event.period,
            into_period=event.into_period,
            booked_on=event.booked_on,
            salesperson_id=each.salesperson_id,
            currency=each.currency,
            credited=credited_of(each.credited),
            event_position=position,
        )
        for each in event.adjustments
    ]
    names = salesperson_names(store, [each.salesperson_id for each in booked])
    return _carry_forward(event.into_period, event.booked_on, booked, names)


def _carry_forward(
    into_period: str, booked_on: date, booked: Sequence[BookedAdjustment], names: Names
) -> CarryForwardAnswer:
    totals = _sums((each.currency, each.credited) for each in booked)
    return CarryForwardAnswer(into_period, booked_on, adjustment_answers(booked, names), totals)


def _view(store: Store, position: int, parts: Iterable[Struct]) -> ViewAnswer:
    return view_answer(view(store, position, digest_of(encode(part).decode() for part in parts)))


def _sums(amounts: Iterable[tuple[str, int]]) -> list[CurrencyAmount]:
    sums = defaultdict[str, int](int)
    for currency, amount in amounts:
        sums[currency] += amount
    return [CurrencyAmount(currency, *_texts(currency, sums[currency])) for currency in sorted(sums)]


def _amounts(figure: StatementFigure) -> list[int]:
    return [credited_of(text) for text in (figure.credited, figure.adjustments, figure.gross)]


def _frozen_texts(amounts: Sequence[int], currency: str) -> list[str]:
    credited, adjustments, gross = amounts
    return _texts(currency, credited, adjustments, credited + adjustments, gross)


def _texts(currency: str, *amounts: int) -> list[str]:
    """Give each amount rounded, then exact."""
    return [
        text
        for amount in amounts
        for text in (rounded_text(amount, CREDITED_DECIMALS, currency), credited_text(amount))
    ]
