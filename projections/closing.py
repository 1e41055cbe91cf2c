"""Closing periods by their figures: statements, the drift since the last one, and the two ways of resolving it.

What a period comes to is computed at the latest projected position, so that a ledger that never rests can be closed
too: who wants to see what is recorded already waits for it first, as the API does. Judging and recording are
ledger/closing.py's, at the version of the closings that the computation began with, so that a drift is resolved once
however many people try.
Source: design, section 4, "Periods"; invariant 11.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date

from ledger import closing, statements
from ledger.checks import Checks
from ledger.closing import Booked
from ledger.database import one
from ledger.events import Adjustment, DriftCarriedForward, PeriodClosed, PeriodRestated, Statement
from ledger.periods import Period
from ledger.refusal import Code, Refusal
from ledger.statements import BookedAdjustment, Carried, Closings, Issued, Key
from ledger.store import Store
from ledger.wording import say
from projections.movement import Movement, movement
from projections.performance import performance, projected_head, reading

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
    booked_on: date
    adjustments: tuple[Adjustment, ...]


@dataclass(frozen=True)
class Resolved:
    """What was recorded (in a dry run nothing: its position is 0), and the period after it.

    Shape: the state is told by the figures that the command computed, so it needs no waiting for the projection. A
    restatement comes with its movement: from the statement before to this one.
    """

    booked: Booked
    state: PeriodState
    movement: Movement | None = None


@dataclass(frozen=True)
class _Now:
    """A period's figures at the head, and the closings they go with."""

    period: Period
    position: int
    closings: Closings
    credited: Mapping[Key, int]
    gross: Mapping[Key, int]


def period_states(store: Store, *, position: int | None = None) -> list[PeriodState]:
    """Tell the closing periods as known at a position (the latest projected one), oldest first.

    Shape: from the first in which anything is credited, or that is closed, to that of today; further where a later one
    is closed or booked into.
    """
    at = projected_head(store) if position is None else position
    closings, calendar = store.closings(at), store.calendar()
    days = [calendar.closing_period(name).start for name in closings.statements]
    days += [carried.event.booked_on for carried in closings.carried]
    first = _first_credited(store, at)
    started = days if first is None else [first, *days]
    periods = calendar.closing_periods(min(started), max([store.today(), *days])) if started else []
    return [
        _state(
            _now(store, period.name, position=at) if period.name in closings.statements else _bare(closings, period, at)
        )
        for period in periods
    ]


def period_state(store: Store, name: str, *, position: int | None = None) -> PeriodState:
    """Tell a closing period as known at a position (the latest projected one).

    Errors: Refusal (invalid_period, not_a_closing_period, not_yet_projected).
    """
    return _state(_now(store, name, position=position))


def options(store: Store, name: str, *, into: str | None = None) -> Options:
    """Show both ways of resolving a period's drift: `into` an open period, the one after the last closed.

    Errors: Refusal; period_open where there is no statement, and where `into` can't be carried into.
    """
    now = _now(store, name)
    if now.period.name not in now.closings.statements:
        raise Refusal.of(
            Code.period_open,
            say("period {period_name} is open: it has no statement to differ from", period_name=now.period.name),
        )
    target = store.calendar().closing_period(into, pointer="/into_period") if into else _next_open(store, now.closings)
    checks = Checks("period", now.period.name)
    statements.check_target(checks, now.closings, now.period, target)
    checks.refuse_if_any()
    return Options(_state(now), _statement(store, now), target, _booking_day(store, target), _adjustments(now))


def close(
    store: Store, name: str, reason: str, *, actor: str, version: int | None = None, dry_run: bool = False
) -> Resolved:
    """Close a period with its first statement; with `dry_run`, all but that it is recorded.

    Errors: Refusal, as ledger.closing says.
    """
    now = _now(store, name, version=version)
    event = PeriodClosed(now.period.name, _statement(store, now), reason)
    if dry_run:
        decided = statements.decide_close(now.closings, store.calendar(), event, store.today())
        return _resolved(store, now, Booked(decided, 0, now.closings.version))
    return _resolved(store, now, closing.close(store, event, version=now.closings.version, actor=actor))


def restate(
    store: Store, name: str, reason: str, *, actor: str, version: int | None = None, dry_run: bool = False
) -> Resolved:
    """Give a closed period its next statement, which takes its drift in. Errors: Refusal, as of close."""
    now = _now(store, name, version=version)
    event = PeriodRestated(now.period.name, _statement(store, now), reason)
    if dry_run:
        booked = Booked(statements.decide_restate(now.closings, store.calendar(), event), 0, now.closings.version)
    else:
        booked = closing.restate(store, event, version=now.closings.version, actor=actor)
    return _with_movement(store, now, _resolved(store, now, booked))


@dataclass(frozen=True)
class CarryForward:
    """A request to book a closed period's drift into an open one: on `booked_on`, today if that is a day of it."""

    period: str
    into_period: str
    reason: str
    booked_on: date | None = None


def carry_forward(
    store: Store, asked: CarryForward, *, actor: str, version: int | None = None, dry_run: bool = False
) -> Resolved:
    """Book a closed period's drift as adjustments into an open period. Errors: Refusal, as of close."""
    now = _now(store, asked.period, version=version)
    target = store.calendar().closing_period(asked.into_period, pointer="/into_period")
    _check_begun(store, target)
    adjustments = _adjustments(now)
    event = DriftCarriedForward(
        period=now.period.name,
        into_period=target.name,
        booked_on=asked.booked_on or _booking_day(store, target),
        position=now.position,
        adjustments=adjustments,
        digest=statements.adjustments_digest(adjustments),
        reason=asked.reason,
    )
    if dry_run:
        decided = statements.decide_carry_forward(now.closings, store.calendar(), event)
        return _resolved(store, now, Booked(decided, 0, now.closings.version))
    return _resolved(store, now, closing.carry_forward(store, event, version=now.closings.version, actor=actor))


def resolved_at(store: Store, position: int) -> Resolved:
    """Tell what a command recorded at a position, as it was told then."""
    (recorded,) = store.recorded_at_positions([position])
    event = recorded.data
    assert isinstance(event, PeriodClosed | PeriodRestated | DriftCarriedForward), "it is an event of the periods"
    at = event.position if isinstance(event, DriftCarriedForward) else event.statement.position
    now = _now(store, event.period, position=at)
    resolved = _resolved(store, now, Booked(event, position, recorded.version))
    return _with_movement(store, now, resolved) if isinstance(event, PeriodRestated) else resolved


def _with_movement(store: Store, now: _Now, restated: Resolved) -> Resolved:
    before = now.closings.last_statement(now.period.name)
    assert before is not None, "only a closed period is restated"
    moved = movement(store, now.period, from_position=before.position, to_position=now.position)
    return replace(restated, movement=moved)


def _check_begun(store: Store, target: Period) -> None:
    """Refuse to park a drift in the future: nobody would see it there, and it can't be taken back."""
    if (today := store.today()) < target.start:
        raise Refusal.of(
            Code.period_not_begun,
            say(
                "period {target_name} begins on {target_start}, today is {today}: carry into a period that has begun",
                target_name=target.name,
                target_start=target.start,
                today=today,
            ),
            "/into_period",
        )


def salesperson_names(store: Store, salesperson_ids: Iterable[str | None]) -> dict[str | None, str]:
    """Give the names of salespeople, where an event gave one: the latest."""
    with reading(store, None) as (cursor, _):
        cursor.execute(
            "SELECT value, name FROM term WHERE kind = 'salesperson' AND value = ANY(%s) AND name IS NOT NULL",
            (list({each for each in salesperson_ids if each is not None}),),
        )
        return dict(cursor.fetchall())


def _now(store: Store, name: str, *, position: int | None = None, version: int | None = None) -> _Now:
    at = projected_head(store) if position is None else position
    closings = store.closings(at)
    if version not in (None, closings.version):
        raise Refusal.of(
            Code.period_moved,
            say(
                "the periods are at version {closings_version}, not {version}: look at the period again and repeat",
                closings_version=closings.version,
                version=version,
            ),
            "/version",
            version=closings.version,
        )
    period = store.calendar().closing_period(name)
    figures = performance(store, period, position=at).figures
    keys = {(figure.keys[0].value, figure.currency): figure for figure in figures}
    credited = {key: figure.credited for key, figure in keys.items() if figure.credited}
    gross = {key: figure.gross * MICROS_TO_CREDITED for key, figure in keys.items() if figure.gross}
    return _Now(period, at, closings, credited, gross)


def statement_at(store: Store, name: str, position: int) -> Statement:
    """Give the statement that a closing period would get, or got, as known at a position.

    Errors: Refusal (invalid_period, not_a_closing_period, not_yet_projected).
    """
    return _statement(store, _now(store, name, position=position))


def adjustments_at(store: Store, name: str, position: int) -> tuple[Adjustment, ...]:
    """Give the adjustments that would carry a closed period's drift forward, or did, as known at a position.

    Errors: Refusal, as of statement_at.
    """
    return _adjustments(_now(store, name, position=position))


def _adjustments(now: _Now) -> tuple[Adjustment, ...]:
    return statements.drift_adjustments(statements.drift(now.closings, now.period.name, now.credited))


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


def _resolved(store: Store, now: _Now, booked: Booked) -> Resolved:
    closings = store.closings_of(booked.version)
    assert closings is not None, "what was recorded is there"
    return Resolved(booked, _state(replace(now, closings=closings)))


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


def _bare(closings: Closings, period: Period, position: int) -> _Now:
    """Give what is known of an open period without computing its figures: it has no drift to tell."""
    return _Now(period, position, closings, {}, {})


def _first_credited(store: Store, position: int) -> date | None:
    with reading(store, position) as (cursor, known):
        cursor.execute("SELECT min(credited_on) FROM credit_cell WHERE position <= %s", (known,))
        first: date | None = one(cursor)[0]
        return first


def _booking_day(store: Store, target: Period) -> date:
    """Give the day of a period that an adjustment is booked on where none is named: the one nearest to today."""
    return min(max(store.today(), target.start), target.last_day)


def _next_open(store: Store, closings: Closings) -> Period:
    calendar = store.calendar()
    assert closings.last_closed is not None, "a period is closed"
    return calendar.next_period(calendar.closing_period(closings.last_closed))
