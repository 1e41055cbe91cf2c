"""Movements: the difference of a period's figures between two positions, a line per causing event and salesperson.

The ledger between the two positions is cut at the events that change how lines count (approved rule changes, classes of
customers, categories of products). Between two cuts the rules are the same, so what order events bring is their lines
at those rules; at a cut, what the event moves is its effect on the lines known before it. The sum is the difference,
exactly, because every line's value is followed from the first position to the last.
Source: design, section 4, "Figures are a pure function"; invariant 6.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from ledger.database import Cursor
from ledger.events import (
    NAMES,
    CustomerClassified,
    DriftCarriedForward,
    Event,
    OrderEvent,
    ProductCategorised,
    Recorded,
    ReferenceFact,
    RuleChangeApproved,
    SalespersonQuotaSet,
)
from ledger.facts import QUOTA_OWNER, quotas
from ledger.money import credited_of
from ledger.periods import Period
from ledger.refusal import Code, Refusal
from ledger.rulebook import Rulebook
from ledger.statements import Closings
from ledger.store import Store
from projections.changes import Change, Moved, effect, fact_change, rule_change
from projections.generation import sql
from projections.performance import Key, View, digest_of, reading, texts_of, view
from projections.resolution import Resolution, Scope

KINDS: Final = ("order_event", "rule_change", "reference_fact", "carry_forward")
_CAUSES: Final = (RuleChangeApproved, CustomerClassified, ProductCategorised, SalespersonQuotaSet, DriftCarriedForward)
_CUTS: Final = (RuleChangeApproved, CustomerClassified, ProductCategorised)


@dataclass(frozen=True)
class Cause:
    """The event that moved figures. Units: days_back_dated are those from its effective date to its recording.

    `after_close`: recorded after the period was closed, and effective before its end.
    """

    position: int
    kind: str
    type: str
    subject: str
    actor: str
    recorded_at: datetime
    effective_on: date
    days_back_dated: int
    after_close: bool
    rule_change_id: str | None
    reason: str | None


@dataclass(frozen=True)
class MovementLine:
    """What one event moves for one salesperson in one currency.

    Units: credited and adjustments in 10^-10 of the currency, gross and quota in micros.
    """

    cause: Cause
    salesperson: Key
    currency: str
    credited: int
    gross: int = 0
    adjustments: int = 0
    quota: int = 0


@dataclass(frozen=True)
class Movement:
    """The lines of a period's movement between two positions, by position, salesperson and currency."""

    period: Period
    from_position: int
    lines: list[MovementLine]
    view: View


_Amounts = tuple[int, int]
"""Credited and gross of a line under way."""


def movement(
    store: Store, period: Period, *, from_position: int, to_position: int, kinds: Sequence[str] = KINDS
) -> Movement:
    """Break the difference of a period's figures between two positions into its causes.

    Shape: `kinds` leaves only lines of these kinds; with all kinds the lines sum exactly to the difference.
    Errors: Refusal for positions in the wrong order (invalid_parameter), or not projected yet.
    """
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise Refusal.of(Code.invalid_parameter, f"{unknown[0]} is not one of {', '.join(KINDS)}", "/kind")
    if from_position > to_position:
        raise Refusal.of(
            Code.invalid_parameter,
            f"position {from_position} is after {to_position}: give the earlier one first",
            "/from_position",
        )
    with reading(store, to_position) as (cursor, known):
        lines = _Movement(store, cursor, period, (from_position, known)).lines(kinds)
    digest = digest_of(_digested(line) for line in lines)
    return Movement(period, from_position, lines, view(store, known, digest))


class _Movement:
    def __init__(self, store: Store, cursor: Cursor, period: Period, positions: tuple[int, int]) -> None:
        self._store, self._cursor, self._period = store, cursor, period
        self._from, self._to = positions
        self._causes = store.recorded_between(*positions, [NAMES[kind] for kind in _CAUSES])
        self._lines = list[tuple[int, int, int, _Amounts]]()  # position, salesperson, currency (terms), amounts

    def lines(self, kinds: Sequence[str]) -> list[MovementLine]:
        rulebook = self._store.rulebook_at(self._from)
        cuts = [event for event in self._causes if isinstance(event.data, _CUTS)]
        brought = self._segments_with_lines(cuts)
        for number, (after, cut) in enumerate(self._stretches(cuts)):
            until = self._to if cut is None else cut.position - 1
            if "order_event" in kinds and number in brought:
                self._add_orders(rulebook, after, until)
            if cut is not None:
                rulebook = self._add_cut(rulebook, cut, kinds)
        found = [*self._told(), *self._of_quotas(kinds), *self._of_carries(kinds)]
        return sorted(found, key=lambda line: (line.cause.position, line.salesperson.value or "", line.currency))

    def _stretches(self, cuts: Sequence[Recorded]) -> Iterator[tuple[int, Recorded | None]]:
        """Give where each stretch of the same rules begins (after), and the event that ends it."""
        starts = [self._from, *(cut.position for cut in cuts)]
        yield from zip(starts, [*cuts, None], strict=True)

    def _segments_with_lines(self, cuts: Sequence[Recorded]) -> set[int]:
        """Find the stretches in which order events bring anything to the period."""
        positions = ",".join(str(cut.position) for cut in cuts)
        self._cursor.execute(
            f"SELECT DISTINCT width_bucket(position, ARRAY[{positions}]::bigint[]) FROM credit_cell"  # noqa: S608
            " WHERE position > %s AND position <= %s AND credited_on >= %s AND credited_on < %s",
            (self._from, self._to, self._period.start, self._period.end),
        )
        return {number for (number,) in self._cursor.fetchall()}

    def _add_orders(self, rulebook: Rulebook, after: int, until: int) -> None:
        scope = Scope(self._period.start, self._period.end, until)
        resolution = Resolution(self._cursor, rulebook.rules(), scope)
        parts = resolution.sql_parts() | {
            "credit": resolution.credits(),
            "after": str(after),
            "until": str(until),
        }
        self._cursor.execute(sql("movement.sql").format(**parts))
        for position, salesperson, currency, gross, credited in self._cursor.fetchall():
            self._add(position, salesperson, currency, (int(credited), int(gross)))

    def _add_cut(self, rulebook: Rulebook, cut: Recorded, kinds: Sequence[str]) -> Rulebook:
        """Add what a rule change or a fact moves of the lines known before it; give the rulebook after it."""
        after = rulebook
        if isinstance(cut.data, RuleChangeApproved):
            after = self._store.rulebook_at(cut.position)
        if _kind(cut.data) in kinds:
            scope = Scope(self._period.start, self._period.end, cut.position - 1)
            for change in self._changes(rulebook, after, cut):
                for moved in effect(self._cursor, change, scope, [self._period.start]).moved:
                    self._add_moved(cut.position, moved)
        return after

    def _changes(self, before: Rulebook, after: Rulebook, cut: Recorded) -> list[Change]:
        if isinstance(cut.data, RuleChangeApproved):
            alterations = after.changes[cut.data.rule_change_id].alterations
            return [rule_change(before.rules(), after.rules(), alterations)]
        events = [event for event in self._store.stream(cut.subject) if event.position <= cut.position]
        return fact_change(before.rules(), events, cut.subject.partition("/")[2])

    def _add_moved(self, position: int, moved: Moved) -> None:
        self._add(position, moved.salesperson, moved.currency, (moved.after - moved.before, 0))

    def _add(self, position: int, salesperson: int, currency: int, amounts: _Amounts) -> None:
        if any(amounts):
            self._lines.append((position, salesperson, currency, amounts))

    def _told(self) -> Iterator[MovementLine]:
        """Give the lines of orders, rules and classes with their causes and texts."""
        causes = self._told_causes({position for position, *_ in self._lines})
        texts = texts_of(self._cursor, {term for _, person, currency, _ in self._lines for term in (person, currency)})
        sums = dict[tuple[int, int, int], _Amounts]()
        for position, person, currency, amounts in self._lines:  # a fact with several stretches comes in several
            before = sums.get((position, person, currency), (0, 0))
            sums[position, person, currency] = (before[0] + amounts[0], before[1] + amounts[1])
        for (position, person, currency), (credited, gross) in sums.items():
            if credited or gross:
                yield MovementLine(causes[position], texts[person], texts[currency].value or "", credited, gross)

    def _told_causes(self, positions: set[int]) -> dict[int, Cause]:
        closings = self._store.closings(self._to)
        rulebook = self._store.rulebook_at(self._to)
        return {
            event.position: _cause(event, self._period, closings, rulebook)
            for event in self._store.recorded_at_positions(positions)
        }

    def _of_quotas(self, kinds: Sequence[str]) -> Iterator[MovementLine]:
        """Give what quotas of the period were set to, set against what they were before."""
        if "reference_fact" not in kinds:
            return
        for event in self._causes:
            fact = event.data
            if isinstance(fact, SalespersonQuotaSet) and self._is_ours(fact):
                events = self._store.stream(event.subject)
                before, now = (
                    quotas(known for known in events if known.position <= at)
                    for at in (event.position - 1, event.position)
                )
                key = fact.period, fact.currency
                change = now.get(key, 0) - before.get(key, 0)
                person = Key(event.subject.removeprefix(QUOTA_OWNER + "/"))
                if change:
                    cause = self._told_causes({event.position})[event.position]
                    yield MovementLine(cause, person, fact.currency, 0, quota=change)

    def _is_ours(self, fact: SalespersonQuotaSet) -> bool:
        of = self._store.calendar().period(fact.period)
        return self._period.start <= of.start and of.end <= self._period.end

    def _of_carries(self, kinds: Sequence[str]) -> Iterator[MovementLine]:
        """Give what was booked into the period from others."""
        if "carry_forward" not in kinds:
            return
        for event in self._causes:
            data = event.data
            if isinstance(data, DriftCarriedForward) and self._period.start <= data.booked_on < self._period.end:
                cause = self._told_causes({event.position})[event.position]
                for each in data.adjustments:
                    yield MovementLine(
                        cause, Key(each.salesperson_id), each.currency, 0, adjustments=credited_of(each.credited)
                    )


def _kind(event: Event) -> str:
    if isinstance(event, OrderEvent):
        return "order_event"
    if isinstance(event, ReferenceFact):
        return "reference_fact"
    return "carry_forward" if isinstance(event, DriftCarriedForward) else "rule_change"


def _cause(event: Recorded, period: Period, closings: Closings, rulebook: Rulebook) -> Cause:
    data, reason, rule_change_id = event.data, getattr(event.data, "reason", None), None
    if isinstance(data, RuleChangeApproved):
        rule_change_id = data.rule_change_id
        reason = rulebook.changes[rule_change_id].reason
    issued = closings.statements.get(period.name)
    closed = issued is not None and issued[0].event_position < event.position
    return Cause(
        position=event.position,
        kind=_kind(data),
        type=NAMES[type(data)],
        subject=event.subject,
        actor=event.actor,
        recorded_at=event.recorded_at,
        effective_on=event.effective_on,
        days_back_dated=max(0, (event.recorded_at.date() - event.effective_on).days),
        after_close=closed and event.effective_on < period.end,
        rule_change_id=rule_change_id,
        reason=reason,
    )


def _digested(line: MovementLine) -> str:
    person = "" if line.salesperson.value is None else f"={line.salesperson.value}"
    amounts = f"{line.credited}\t{line.gross}\t{line.adjustments}\t{line.quota}"
    return f"{line.cause.position}\t{person}\t{line.currency}\t{amounts}"
