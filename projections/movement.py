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
from functools import cached_property
from typing import Final

from ledger.database import Cursor
from ledger.events import (
    NAMES,
    DriftCarriedForward,
    Event,
    OrderEvent,
    Recorded,
    ReferenceFact,
    RuleChangeApproved,
    SalespersonQuotaSet,
    SalespersonTeamed,
)
from ledger.facts import QUOTA_OWNER, fact_pieces, quotas
from ledger.money import credited_of
from ledger.periods import Period
from ledger.refusal import Code, Refusal
from ledger.rulebook import Rulebook
from ledger.store import Store
from ledger.timeline import compared
from ledger.wording import say
from projections.attainment import effective_quota, quota_parts
from projections.changes import CREDIT_FACTS, Change, Moved, effect, fact_change, rule_change
from projections.generation import sql
from projections.performance import Key, View, digest_of, reading, texts_of, view
from projections.resolution import Resolution, Scope

KINDS: Final = ("order_event", "rule_change", "reference_fact", "carry_forward")
_CUTS: Final = (RuleChangeApproved, *CREDIT_FACTS)
_CAUSES: Final = (*_CUTS, SalespersonTeamed, SalespersonQuotaSet, DriftCarriedForward)


@dataclass(frozen=True)
class Cause:
    """The event that moved figures. Units: days_back_dated are those from its effective date to its recording.

    `after_close`: recorded after the statement that closed a period of these days, and effective before its end.
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
class TeamMoved:
    """The salesperson's team on the days [start, end) of the period, before and after; None: no team."""

    start: date
    end: date
    before: str | None
    after: str | None


@dataclass(frozen=True)
class MovementLine:
    """What one event moves for one salesperson in one currency.

    Shape: a change of teams moves no amount and has no currency (""); it says which days are now another team's.
    `carried_out` is what left the period for another one: credited and carried out since a statement are its drift.
    Units: credited, adjustments and carried out in 10^-10 of the currency, gross and quota in micros.
    """

    cause: Cause
    salesperson: Key
    currency: str
    credited: int
    gross: int = 0
    adjustments: int = 0
    quota: int = 0
    carried_out: int = 0
    teams: tuple[TeamMoved, ...] = ()


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
        raise Refusal.of(
            Code.invalid_parameter,
            say("{unknown} is not one of {kinds}", unknown=unknown[0], kinds=", ".join(KINDS)),
            "/kind",
        )
    if from_position > to_position:
        raise Refusal.of(
            Code.invalid_parameter,
            say(
                "position {from_position} is after {to_position}: give the earlier one first",
                from_position=from_position,
                to_position=to_position,
            ),
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
        found = [*self._told(), *self._of_quotas(kinds), *self._of_teams(kinds), *self._of_carries(kinds)]
        return sorted(found, key=lambda line: (line.cause.position, line.salesperson.value or "", line.currency))

    def _stretches(self, cuts: Sequence[Recorded]) -> Iterator[tuple[int, Recorded | None]]:
        """Give where each stretch of the same rules begins (after), and the event that ends it."""
        starts = [self._from, *(cut.position for cut in cuts)]
        yield from zip(starts, [*cuts, None], strict=True)

    def _segments_with_lines(self, cuts: Sequence[Recorded]) -> set[int]:
        """Find the stretches in which order events bring anything to the period.

        The lines say so: one product put in another's place leaves its cell as it was.
        """
        positions = ",".join(str(cut.position) for cut in cuts)
        self._cursor.execute(
            f"SELECT DISTINCT width_bucket(position, ARRAY[{positions}]::bigint[]) FROM credit_line"  # noqa: S608
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
        rulebook = self._store.rulebook_at(self._to)
        return {event.position: self._cause(event, rulebook) for event in self._store.recorded_at_positions(positions)}

    def _cause(self, event: Recorded, rulebook: Rulebook) -> Cause:
        data, reason, rule_change_id = event.data, getattr(event.data, "reason", None), None
        if isinstance(data, RuleChangeApproved):
            rule_change_id = data.rule_change_id
            reason = rulebook.changes[rule_change_id].reason
        return Cause(
            position=event.position,
            kind=_kind(data),
            type=NAMES[type(data)],
            subject=event.subject,
            actor=event.actor,
            recorded_at=event.recorded_at,
            effective_on=event.effective_on,
            days_back_dated=max(0, (self._store.business_date(event.recorded_at) - event.effective_on).days),
            after_close=any(at < event.position and event.effective_on < end for at, end in self._closed),
            rule_change_id=rule_change_id,
            reason=reason,
        )

    @cached_property
    def _closed(self) -> list[tuple[int, date]]:
        """Give the closed periods that these days are of: where the first statement was known, and the end."""
        calendar = self._store.calendar()
        closed = [
            (issued[0].statement.position, calendar.closing_period(name))
            for name, issued in self._store.closings(self._to).statements.items()
        ]
        ours = self._period
        return [(at, period.end) for at, period in closed if period.start < ours.end and ours.start < period.end]

    def _of_quotas(self, kinds: Sequence[str]) -> Iterator[MovementLine]:
        """Give how the period's quotas differ by each quota that was set."""
        for event in self._causes:
            fact = event.data
            if "reference_fact" in kinds and isinstance(fact, SalespersonQuotaSet):
                before, now = (self._quota(event.subject, fact.currency, event.position - back) for back in (1, 0))
                if now != before:
                    cause = self._told_causes({event.position})[event.position]
                    yield MovementLine(cause, _salesperson(event), fact.currency, 0, quota=now - before)

    def _quota(self, subject: str, currency: str, position: int) -> int:
        known = quotas(event for event in self._store.stream(subject) if event.position <= position)
        named = {period: amount for (period, its_currency), amount in known.items() if its_currency == currency}
        return effective_quota(quota_parts(self._store.calendar(), self._period), named) or 0

    def _of_teams(self, kinds: Sequence[str]) -> Iterator[MovementLine]:
        """Give which days of the period are another team's by each fact that says a salesperson's team."""
        for event in self._causes:
            if "reference_fact" in kinds and isinstance(event.data, SalespersonTeamed):
                known = [each for each in self._store.stream(event.subject) if each.position <= event.position]
                sides = (fact_pieces(events, SalespersonTeamed) for events in (known[:-1], known))
                moved = tuple(
                    TeamMoved(max(part.start, self._period.start), min(part.end, self._period.end), *part.value)
                    for part in compared(*sides)
                    if part.start < self._period.end and self._period.start < part.end
                    if part.value[0] != part.value[1]
                )
                if moved:
                    cause = self._told_causes({event.position})[event.position]
                    yield MovementLine(cause, _salesperson(event), "", 0, teams=moved)

    def _of_carries(self, kinds: Sequence[str]) -> Iterator[MovementLine]:
        """Give what was booked into the period from others, and what was carried out of it."""
        if "carry_forward" not in kinds:
            return
        for event in self._causes:
            data = event.data
            if not isinstance(data, DriftCarriedForward):
                continue
            came_in = self._period.start <= data.booked_on < self._period.end
            origin = self._store.calendar().closing_period(data.period)
            went_out = self._period.start <= origin.start and origin.end <= self._period.end
            for each in data.adjustments if came_in or went_out else ():
                amount = credited_of(each.credited)
                yield MovementLine(
                    self._told_causes({event.position})[event.position],
                    Key(each.salesperson_id),
                    each.currency,
                    credited=0,
                    adjustments=amount if came_in else 0,
                    carried_out=-amount if went_out else 0,
                )


def _kind(event: Event) -> str:
    if isinstance(event, OrderEvent):
        return "order_event"
    if isinstance(event, ReferenceFact):
        return "reference_fact"
    return "carry_forward" if isinstance(event, DriftCarriedForward) else "rule_change"


def _salesperson(event: Recorded) -> Key:
    return Key(event.subject.removeprefix(QUOTA_OWNER + "/"))


def _digested(line: MovementLine) -> str:
    person = "" if line.salesperson.value is None else f"={line.salesperson.value}"
    amounts = f"{line.credited}\t{line.gross}\t{line.adjustments}\t{line.quota}\t{line.carried_out}"
    teams = "".join(f"\t{team.start}\t{team.end}\t{team.before}\t{team.after}" for team in line.teams)
    return f"{line.cause.position}\t{person}\t{line.currency}\t{amounts}{teams}"
