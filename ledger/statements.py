"""Closings: which periods are closed, with which statements, and what was carried forward out of which. Pure.

What the figures of a statement mean, for every closed period, salesperson and currency:

    credited       the period's own credited amount, less what was carried out of the period before
    adjustments    what was booked into the period from other periods while it was open

and therefore, with what is current:

    settled      = the last statement's credited + everything carried out of the period
    drift        = current credited - settled
    the sum over all periods of (last statement's credited + adjustments booked in) + the sum of all drifts
                 = the sum of all current credited

where an open period has no statement, so that its drift is all of its current credited amount. A restatement freezes
current less carried out: its credited takes the drift in. A carry-forward moves the drift: out of here (settled grows),
into there (adjustments grow). Either way the drift is 0 afterwards, and nothing is counted twice: restating the
restated, carrying forward out of two periods, and a change that is later reversed all add up.

Shape: amounts are mappings of (salesperson, None for the unassigned; currency) without zeros.
Units: 10^-10 of the currency, as an amount times a share has.
Source: design, section 4, "Periods"; invariant 11.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import assert_never

import msgspec

from ledger.checks import Checks
from ledger.events import (
    Adjustment,
    DriftCarriedForward,
    PeriodClosed,
    PeriodEvent,
    PeriodRestated,
    Recorded,
    Statement,
    StatementFigure,
)
from ledger.money import credited_of, credited_text
from ledger.periods import Calendar, Period
from ledger.refusal import Code
from ledger.wording import say

SUBJECT = "periods"

Key = tuple[str | None, str]
Amounts = Mapping[Key, int]


@dataclass(frozen=True)
class Issued:
    """A statement as it was issued, and by whom; `event_position` is where that was recorded."""

    statement: Statement
    reason: str
    actor: str
    recorded_at: datetime
    event_position: int


@dataclass(frozen=True)
class Carried:
    """A drift as it was carried forward, and by whom."""

    event: DriftCarriedForward
    actor: str
    recorded_at: datetime
    event_position: int


@dataclass(frozen=True)
class BookedAdjustment:
    """One adjustment booked into a period, with the period it is from. Units: credited in 10^-10 of the currency."""

    from_period: str
    into_period: str
    booked_on: date
    salesperson_id: str | None
    currency: str
    credited: int
    event_position: int


@dataclass(frozen=True)
class Closings:
    """Statements by closed period, in the order in which they were closed, and carry-forwards, after an event."""

    statements: dict[str, tuple[Issued, ...]] = field(default_factory=dict)
    carried: tuple[Carried, ...] = ()
    version: int = 0
    position: int = 0

    @property
    def last_closed(self) -> str | None:
        """The period closed last, which is the latest one; None before the first."""
        return next(reversed(self.statements), None)

    def last_statement(self, period: str) -> Statement | None:
        """Give the statement in force of a period; None of an open one."""
        issued = self.statements.get(period)
        return issued[-1].statement if issued else None

    def carried_out_of(self, period: str) -> list[Carried]:
        """Give the carry-forwards out of a period, oldest first."""
        return [carried for carried in self.carried if carried.event.period == period]


EMPTY = Closings()


# ---- evolving


def evolve(closings: Closings, recorded: Recorded) -> Closings:
    """Apply a recorded event of the periods."""
    event = recorded.data
    assert isinstance(event, PeriodEvent), "the periods' stream holds their events only"
    at = replace(closings, version=recorded.version, position=recorded.position)
    by = recorded.actor, recorded.recorded_at, recorded.position
    match event:
        case PeriodClosed() | PeriodRestated():
            issued = Issued(event.statement, event.reason, *by)
            earlier = closings.statements.get(event.period, ())
            return replace(at, statements={**closings.statements, event.period: (*earlier, issued)})
        case DriftCarriedForward():
            return replace(at, carried=(*closings.carried, Carried(event, *by)))
        case _:
            assert_never(event)


def fold(events: Iterable[Recorded], closings: Closings = EMPTY) -> Closings:
    """Apply events in order."""
    for event in events:
        closings = evolve(closings, event)
    return closings


# ---- what is settled, and what is not


def settled(closings: Closings, period: str) -> dict[Key, int]:
    """Give what of a closed period is settled: the last statement's credited, and all that was carried out of it."""
    statement = closings.last_statement(period)
    frozen = statement.figures if statement else ()
    return _summed([*_amounts(frozen), *carried_out(closings, period).items()])


def carried_out(closings: Closings, period: str) -> dict[Key, int]:
    """Give what was carried forward out of a period."""
    return _summed(pair for carried in closings.carried_out_of(period) for pair in _amounts(carried.event.adjustments))


def drift(closings: Closings, period: str, credited: Amounts) -> dict[Key, int]:
    """Give what of a period's current credited amounts is not settled: of an open period, all."""
    return _less(credited, settled(closings, period))


def adjustments_of(carried: Carried) -> list[BookedAdjustment]:
    """Give the adjustments of a carry-forward."""
    return [
        BookedAdjustment(
            from_period=carried.event.period,
            into_period=carried.event.into_period,
            booked_on=carried.event.booked_on,
            salesperson_id=adjustment.salesperson_id,
            currency=adjustment.currency,
            credited=credited_of(adjustment.credited),
            event_position=carried.event_position,
        )
        for adjustment in carried.event.adjustments
    ]


def adjustments_into(closings: Closings, start: date, end: date) -> list[BookedAdjustment]:
    """Give the adjustments booked on the days [start, end), oldest first."""
    return [
        adjustment
        for carried in closings.carried
        if start <= carried.event.booked_on < end
        for adjustment in adjustments_of(carried)
    ]


def taken_out_of(closings: Closings, calendar: Calendar, start: date, end: date) -> list[BookedAdjustment]:
    """Give what was carried forward out of the periods that end in the days [start, end): each adjustment's other leg,
    with the sign turned, on the last day of the period that it is from. Both together are nothing.
    """
    return [
        replace(adjustment, booked_on=day, credited=-adjustment.credited)
        for carried in closings.carried
        if start <= (day := calendar.period(carried.event.period).last_day) < end
        for adjustment in adjustments_of(carried)
    ]


def booked_into(closings: Closings, start: date, end: date) -> dict[Key, int]:
    """Give the sums of the adjustments booked on the days [start, end)."""
    return _summed(
        ((booked.salesperson_id, booked.currency), booked.credited) for booked in adjustments_into(closings, start, end)
    )


def statement_figures(
    closings: Closings, period: Period, *, credited: Amounts, gross: Amounts
) -> tuple[StatementFigure, ...]:
    """Give the figures of a period's next statement from what it comes to now."""
    own = _less(credited, carried_out(closings, period.name))
    adjustments = booked_into(closings, period.start, period.end)
    return tuple(
        StatementFigure(
            salesperson_id=key[0],
            currency=key[1],
            credited=credited_text(own.get(key, 0)),
            adjustments=credited_text(adjustments.get(key, 0)),
            gross=credited_text(gross.get(key, 0)),
        )
        for key in sorted({*own, *adjustments, *gross}, key=_order)
        if own.get(key) or adjustments.get(key) or gross.get(key)
    )


def drift_adjustments(drift: Amounts) -> tuple[Adjustment, ...]:
    """Give the adjustments that carry a drift forward."""
    return tuple(
        Adjustment(salesperson_id, currency, credited_text(drift[salesperson_id, currency]))
        for salesperson_id, currency in sorted(drift, key=_order)
        if drift[salesperson_id, currency]
    )


def statement_digest(figures: Iterable[StatementFigure]) -> str:
    """Hash the figures of a statement; equal digests are equal figures.

    Shape: SHA-256 over a line per figure, `["S-1","EUR","168","0","200.5"]` (salesperson or null, currency, credited,
    adjustments, gross, as JSON without spaces, amounts as the shortest exact decimals), joined by newlines.
    Ties: sorted by salesperson by code point, null first, then currency; figures that are all 0 are left out.
    """
    rows = (
        ((figure.salesperson_id, figure.currency), (figure.credited, figure.adjustments, figure.gross))
        for figure in figures
    )
    return _digest(rows)


def adjustments_digest(adjustments: Iterable[Adjustment]) -> str:
    """Hash adjustments as the figures of a statement are hashed, with one amount: `["S-1","EUR","-12.5"]`."""
    return _digest(((each.salesperson_id, each.currency), (each.credited,)) for each in adjustments)


def _digest(rows: Iterable[tuple[Key, tuple[str, ...]]]) -> str:
    lines = [
        msgspec.json.encode([*key, *(credited_text(credited_of(amount)) for amount in amounts)])
        for key, amounts in sorted(rows, key=lambda row: _order(row[0]))
        if any(credited_of(amount) for amount in amounts)
    ]
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


# ---- deciding


def decide_close(closings: Closings, calendar: Calendar, event: PeriodClosed, today: date) -> PeriodClosed:
    """Judge the closing of a period, and give it as it is to be recorded, under the period's one name.

    Shape: the first period ever closed may be any; from then on, each follows the one before.
    Errors: Refusal (not_a_closing_period, period_closed, period_out_of_order, period_not_over, invalid_value).
    """
    period = calendar.closing_period(event.period)
    checks = Checks("period", period.name)
    if issued := closings.statements.get(period.name):
        checks.note(
            Code.period_closed,
            say(
                "{issued_actor} closed it at position {event_position}: restate it, or carry its difference forward",
                issued_actor=issued[0].actor,
                event_position=issued[0].event_position,
            ),
            "/period",
        )
    else:
        _check_sequence(checks, closings, calendar, period)
    if today < period.end:
        checks.note(
            Code.period_not_over,
            say(
                "today is {today}, its last day is {last_day}: close it from {period_end} on",
                today=today,
                last_day=period.last_day,
                period_end=period.end,
            ),
            "/period",
        )
    if not issued and event.statement.version != 1:
        sentence = say(
            "the statement is version {statement_version}: closing makes version 1",
            statement_version=event.statement.version,
        )
        checks.note(Code.invalid_value, sentence, "/statement/version")
    checks.text(event.reason, "/reason")
    checks.refuse_if_any()
    _assert_sound(closings, period, event.statement)
    return msgspec.structs.replace(event, period=period.name)


def decide_restate(closings: Closings, calendar: Calendar, event: PeriodRestated) -> PeriodRestated:
    """Judge the restatement of a closed period, and give it as it is to be recorded.

    Errors: Refusal (not_a_closing_period, period_open, period_moved, nothing_changed, invalid_value).
    """
    period = calendar.closing_period(event.period)
    checks = Checks("period", period.name)
    last = closings.last_statement(period.name)
    if last is None:
        checks.note(Code.period_open, say("it is open, it has no statement to restate: close it first"), "/period")
    elif event.statement.version != last.version + 1:
        checks.note(
            Code.period_moved,
            say(
                "its last statement is version {last_version}, the restatement is version {statement_version}:"
                " look at the period again and repeat",
                last_version=last.version,
                statement_version=event.statement.version,
            ),
            "/statement/version",
        )
    elif _settling(event.statement.figures) == _settling(last.figures):
        checks.note(
            Code.nothing_changed,
            say(
                "what is credited is what its statement {last_version} says: there is nothing to restate",
                last_version=last.version,
            ),
            "/period",
        )
    checks.text(event.reason, "/reason")
    checks.refuse_if_any()
    _assert_sound(closings, period, event.statement)
    return msgspec.structs.replace(event, period=period.name)


def decide_carry_forward(closings: Closings, calendar: Calendar, event: DriftCarriedForward) -> DriftCarriedForward:
    """Judge the carrying of a closed period's drift into an open one, and give it as it is to be recorded.

    Errors: Refusal (not_a_closing_period, period_open, period_closed, carry_not_forward, date_outside_period,
    duplicate_adjustment, nothing_changed, invalid_value).
    """
    source = calendar.closing_period(event.period)
    target = calendar.closing_period(event.into_period, pointer="/into_period")
    checks = Checks("period", source.name)
    if source.name not in closings.statements:
        checks.note(Code.period_open, say("it is open, it has nothing to carry forward: close it first"), "/period")
    check_target(checks, closings, source, target)
    checks.day(event.booked_on, "/booked_on")
    if not target.start <= event.booked_on < target.end:
        days = say("{target_start} to {last_day}", target_start=target.start, last_day=target.last_day)
        sentence = say(
            "{booked_on} is not a day of {target_name}: book it on one of {days}",
            booked_on=event.booked_on,
            target_name=target.name,
            days=days,
        )
        checks.note(Code.date_outside_period, sentence, "/booked_on")
    _check_adjustments(checks, event.adjustments)
    checks.text(event.reason, "/reason")
    checks.refuse_if_any()
    assert event.digest == adjustments_digest(event.adjustments), "the digest is of the adjustments"
    return msgspec.structs.replace(event, period=source.name, into_period=target.name)


def _check_sequence(checks: Checks, closings: Closings, calendar: Calendar, period: Period) -> None:
    if closings.last_closed is None:
        return
    following = calendar.next_period(calendar.closing_period(closings.last_closed))
    if period.name != following.name:
        checks.note(
            Code.period_out_of_order,
            say(
                "{last_closed} was closed last, so {following_name} is next: close it first",
                last_closed=closings.last_closed,
                following_name=following.name,
            )
            if following.start < period.start
            else say(
                "it lies before the periods that are closed, up to {last_closed}: {following_name} is next",
                last_closed=closings.last_closed,
                following_name=following.name,
            ),
            "/period",
        )


def check_target(checks: Checks, closings: Closings, source: Period, target: Period) -> None:
    """Note why a period's drift can't be carried into another one: it must be later, and open."""
    if target.start <= source.start:
        checks.note(
            Code.carry_not_forward,
            say("{target_name} does not begin after it: name a later period that is open", target_name=target.name),
            "/into_period",
        )
    elif target.name in closings.statements:
        checks.note(
            Code.period_closed,
            say("{target_name} is closed too: carry into a later period that is open", target_name=target.name),
            "/into_period",
        )


def _check_adjustments(checks: Checks, adjustments: tuple[Adjustment, ...]) -> None:
    if not adjustments:
        checks.note(Code.nothing_changed, say("there is nothing to carry forward: its drift is 0"), "/period")
    seen = set[Key]()
    for index, each in enumerate(adjustments):
        person = (
            say("the unassigned amount")
            if each.salesperson_id is None
            else say("salesperson {salesperson_id!r}", salesperson_id=each.salesperson_id)
        )
        if (each.salesperson_id, each.currency) in seen:
            sentence = say(
                "{person} is adjusted twice in {each_currency}: add the two into one",
                person=person,
                each_currency=each.currency,
            )
            checks.note(Code.duplicate_adjustment, sentence, f"/adjustments/{index}")
        if credited_of(each.credited) == 0:
            sentence = say(
                "the adjustment of {person} in {each_currency} is 0: leave it out",
                person=person,
                each_currency=each.currency,
            )
            checks.note(Code.nothing_changed, sentence, f"/adjustments/{index}/credited")
        seen.add((each.salesperson_id, each.currency))


def _settling(figures: Iterable[StatementFigure]) -> dict[Key, tuple[int, int]]:
    """Give what a statement settles; what is only shown beside it, the gross amounts, does not make another one."""
    amounts = {
        (each.salesperson_id, each.currency): (credited_of(each.credited), credited_of(each.adjustments))
        for each in figures
    }
    return {key: both for key, both in amounts.items() if any(both)}


def _assert_sound(closings: Closings, period: Period, statement: Statement) -> None:
    """See that a statement is what we compute: nobody types one."""
    keys = [(figure.salesperson_id, figure.currency) for figure in statement.figures]
    assert len(set(keys)) == len(keys), "a salesperson has one figure in a currency"
    assert statement.digest == statement_digest(statement.figures), "the digest is of the figures"
    adjustments = _summed(
        ((figure.salesperson_id, figure.currency), credited_of(figure.adjustments)) for figure in statement.figures
    )
    assert adjustments == booked_into(closings, period.start, period.end), "adjustments are what was booked into it"


# ---- amounts


def _amounts(figures: Iterable[StatementFigure | Adjustment]) -> list[tuple[Key, int]]:
    return [((figure.salesperson_id, figure.currency), credited_of(figure.credited)) for figure in figures]


def _summed(pairs: Iterable[tuple[Key, int]]) -> dict[Key, int]:
    sums = defaultdict[Key, int](int)
    for key, amount in pairs:
        sums[key] += amount
    return {key: amount for key, amount in sums.items() if amount}


def _less(amounts: Amounts, others: Amounts) -> dict[Key, int]:
    return _summed([*amounts.items(), *((key, -amount) for key, amount in others.items())])


def _order(key: Key) -> tuple[bool, str, str]:
    return key[0] is not None, key[0] or "", key[1]
