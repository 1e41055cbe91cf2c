"""Closing periods by their figures: statements, the drift since the last one, and the two ways of resolving it.

What a period comes to is computed at the ledger's head. Judging and recording are ledger/closing.py's, at the version
of the closings that the computation began with, so that a drift is resolved once however many people try.
Source: design, section 4, "Periods"; invariant 11.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from ledger import closing, statements
from ledger.closing import Booked
from ledger.events import Adjustment, DriftCarriedForward, PeriodClosed, PeriodRestated, Statement
from ledger.periods import Period
from ledger.refusal import Code, Refusal
from ledger.statements import BookedAdjustment, Carried, Closings, Issued, Key
from ledger.store import Store
from projections.performance import performance

MICROS_TO_CREDITED = 10_000
"""An amount in micros is so many 10^-10."""


@dataclass(frozen=True)
class DriftLine:
    """A salesperson's difference since the last statement, in one currency. Units: 10^-10 of the currency.

    drift = current - settled; settled = what the last statement says and what was carried out of the period.
    """

    salesperson_id: str | None
    currency: str
    current: int
    settled: int

    @property
    def drift(self) -> int:
        """Give what is not settled."""
        return self.current - self.settled


@dataclass(frozen=True)
class PeriodState:
    """A closing period as known at a position: its statements, its drift, what was booked into it and out of it.

    Shape: an open period has no statements and no drift; `version` is what a command names to act on this state.
    """

    period: Period
    position: int
    version: int
    statements: tuple[Issued, ...]
    drift: list[DriftLine]
    adjustments: list[BookedAdjustment]
    carried_out: list[Carried]

    @property
    def is_closed(self) -> bool:
        """Say whether it has a statement."""
        return bool(self.statements)


@dataclass(frozen=True)
class Options:
    """The two ways of resolving a period's drift, before choosing: the next statement, or adjustments elsewhere."""

    state: PeriodState
    restatement: Statement
    into: Period
    adjustments: tuple[Adjustment, ...]


@dataclass(frozen=True)
class _Now:
    """A period's figures at the head, and the closings they go with."""

    period: Period
    position: int
    closings: Closings
    credited: Mapping[Key, int]
    gross: Mapping[Key, int]


def period_state(store: Store, name: str, *, position: int | None = None) -> PeriodState:
    """Tell a closing period as known at a position (the head).

    Errors: Refusal (invalid_period, not_a_closing_period, not_yet_projected).
    """
    return _state(_now(store, name, position=position))


def options(store: Store, name: str, *, into: str | None = None) -> Options:
    """Show both ways of resolving a period's drift. Errors: Refusal; period_open where there is no statement."""
    now = _now(store, name)
    if now.period.name not in now.closings.statements:
        raise Refusal.of(Code.period_open, f"period {now.period.name} is open: it has no statement to differ from")
    target = store.calendar().closing_period(into, pointer="/into_period") if into else _next_open(store, now.closings)
    drift = statements.drift(now.closings, now.period.name, now.credited)
    return Options(_state(now), _statement(store, now), target, statements.drift_adjustments(drift))


def close(
    store: Store, name: str, reason: str, *, actor: str, version: int | None = None, dry_run: bool = False
) -> Booked:
    """Close a period with its first statement. Errors: Refusal, as ledger.closing says; with `dry_run` all but that
    it is recorded: its position is 0.
    """
    now = _now(store, name, version=version)
    event = PeriodClosed(now.period.name, _statement(store, now), reason)
    if dry_run:
        decided = statements.decide_close(now.closings, store.calendar(), event, store.today())
        return Booked(decided, 0, now.closings.version)
    return closing.close(store, event, version=now.closings.version, actor=actor)


def restate(
    store: Store, name: str, reason: str, *, actor: str, version: int | None = None, dry_run: bool = False
) -> Booked:
    """Give a closed period its next statement, which takes its drift in. Errors: Refusal, as of close."""
    now = _now(store, name, version=version)
    event = PeriodRestated(now.period.name, _statement(store, now), reason)
    if dry_run:
        decided = statements.decide_restate(now.closings, store.calendar(), event)
        return Booked(decided, 0, now.closings.version)
    return closing.restate(store, event, version=now.closings.version, actor=actor)


@dataclass(frozen=True)
class CarryForward:
    """A request to book a closed period's drift into an open one: on `booked_on`, today if that is a day of it."""

    period: str
    into_period: str
    reason: str
    booked_on: date | None = None


def carry_forward(
    store: Store, asked: CarryForward, *, actor: str, version: int | None = None, dry_run: bool = False
) -> Booked:
    """Book a closed period's drift as adjustments into an open period. Errors: Refusal, as of close."""
    now = _now(store, asked.period, version=version)
    target = store.calendar().closing_period(asked.into_period, pointer="/into_period")
    drift = statements.drift(now.closings, now.period.name, now.credited)
    adjustments = statements.drift_adjustments(drift)
    event = DriftCarriedForward(
        period=now.period.name,
        into_period=target.name,
        booked_on=asked.booked_on or min(max(store.today(), target.start), target.last_day),
        position=now.position,
        adjustments=adjustments,
        digest=statements.adjustments_digest(adjustments),
        reason=asked.reason,
    )
    if dry_run:
        decided = statements.decide_carry_forward(now.closings, store.calendar(), event)
        return Booked(decided, 0, now.closings.version)
    return closing.carry_forward(store, event, version=now.closings.version, actor=actor)


def _now(store: Store, name: str, *, position: int | None = None, version: int | None = None) -> _Now:
    at = store.head() if position is None else position
    closings = store.closings(at)
    if version not in (None, closings.version):
        raise Refusal.of(
            Code.period_moved,
            f"the periods are at version {closings.version}, not {version}: look at the period again and repeat",
            version=closings.version,
        )
    period = store.calendar().closing_period(name)
    figures = performance(store, period, position=at).figures
    keys = {(figure.keys[0].value, figure.currency): figure for figure in figures}
    credited = {key: figure.credited for key, figure in keys.items() if figure.credited}
    gross = {key: figure.gross * MICROS_TO_CREDITED for key, figure in keys.items() if figure.gross}
    return _Now(period, at, closings, credited, gross)


def _statement(store: Store, now: _Now) -> Statement:
    figures = statements.statement_figures(now.closings, now.period, credited=now.credited, gross=now.gross)
    last = now.closings.last_statement(now.period.name)
    return Statement(
        version=last.version + 1 if last else 1,
        position=now.position,
        rulebook_position=store.rulebook_at(now.position).position,
        figures=figures,
        digest=statements.statement_digest(figures),
    )


def _state(now: _Now) -> PeriodState:
    name = now.period.name
    settled = statements.settled(now.closings, name)
    issued = now.closings.statements.get(name, ())
    keys = sorted(now.credited.keys() | settled.keys(), key=lambda key: (key[0] or "", key[1]))
    lines = [DriftLine(*key, now.credited.get(key, 0), settled.get(key, 0)) for key in keys]
    return PeriodState(
        period=now.period,
        position=now.position,
        version=now.closings.version,
        statements=issued,
        drift=[line for line in lines if line.drift] if issued else [],
        adjustments=statements.adjustments_into(now.closings, now.period.start, now.period.end),
        carried_out=now.closings.carried_out_of(name),
    )


def _next_open(store: Store, closings: Closings) -> Period:
    calendar = store.calendar()
    assert closings.last_closed is not None, "a period is closed"
    return calendar.next_period(calendar.closing_period(closings.last_closed))
