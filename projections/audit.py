"""The audit report of the rulebook: which rules were in force on some days, who asked for them and who approved.

For the days asked, as known at a position: every rule version whose days reach into them, and every rule change that
was proposed or decided on one of them, or whose effect reaches into them. Of a change: its people, reasons and times,
how far back it was dated, which closed periods it touched, its impact computed again where it was seen, and where the
ledger proves all that. Nothing is judged here, and nothing is kept: it is the ledger's own events, laid out.
Source: design, section 1 (the auditor's questions) and section 6, /audit/rule-changes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import assert_never

from ledger.events import Alteration, DefineOrderType, EndRule, RenameOrderType, RetireOrderType, SetRule, recorded
from ledger.merkle import leaf_hash
from ledger.periods import Period
from ledger.rulebook import Rulebook, RuleChange
from ledger.rules import RuleVersion
from ledger.statements import Closings
from ledger.store import Store
from ledger.timeline import FIRST_DAY, LAST_DAY, Piece, overlay, piece
from projections.impact import Impact, recorded_impact
from projections.performance import View, digest_of, reading, view


@dataclass(frozen=True)
class Evidence:
    """Where the ledger holds an event: its position, its id, and its leaf in the Merkle tree (hex)."""

    position: int
    event_id: str
    leaf_hash: str


@dataclass(frozen=True)
class AlteredDays:
    """The days that an alteration of a change is about, and how many of them the change came late.

    Shape: an open side is None; an alteration without days of its own (a type defined or renamed) is never back-dated.
    """

    alteration: Alteration
    effective_from: date | None
    effective_to: date | None
    days_back_dated: int


@dataclass(frozen=True)
class AuditedChange:
    """A rule change in a report, why it is there, and where it is proved; `decided` is None while it waits."""

    change: RuleChange
    altered: list[AlteredDays]
    recorded_inside: bool
    effect_inside: bool
    proposed: Evidence
    decided: Evidence | None

    @property
    def days_back_dated(self) -> int:
        """Give how many days the change came after the first day that it is about; 0 if it did not."""
        return max((each.days_back_dated for each in self.altered), default=0)


@dataclass(frozen=True)
class TouchedPeriod:
    """A period that was closed when a change was decided on: whether the change is about its days (`reached`), and
    whether its impact moves figures of it (`moved`; a return moves those of a later day than its order's).
    """

    period: str
    statement_version: int
    reached: bool
    moved: bool


@dataclass(frozen=True)
class Assessment:
    """What a change moved: its impact where it was seen, and the closed periods that it touched.

    Shape: `reproduced` says whether the impact has the digest that was recorded; None where none was.
    """

    impact: Impact
    reproduced: bool | None
    touched: list[TouchedPeriod]


@dataclass(frozen=True)
class AuditedVersion:
    """A rule version whose days reach into those asked, and on which of these it decides what its rule says.

    Shape: where later versions of the same rule hold in its place, `superseded_by` are their changes; `stretches` is
    empty where they do on all of its days.
    """

    version: RuleVersion
    stretches: list[Piece[RuleVersion]]
    superseded_by: list[str]


@dataclass(frozen=True)
class AuditReport:
    """Rule versions in order of precedence, and rule changes in order of their proposals, as known at a position.

    The view's digest is of the events that the report stands on, and of the days on which its versions hold.
    """

    days: Period
    changes: list[AuditedChange]
    versions: list[AuditedVersion]
    view: View


def audit_report(store: Store, days: Period, *, position: int | None = None) -> AuditReport:
    """Report on the days asked, as known at a position (the latest projected one where none is given).

    Errors: Refusal (not_yet_projected) for a position ahead of the projection.
    """
    with reading(store, position) as (_, known):
        pass  # the impacts are computed by themselves, each at its own position
    rulebook = store.rulebook_at(known)
    changes = _changes(store, rulebook, days)
    versions = [each for group in rulebook.rules().versions.values() for each in _versions(group, days)]
    return AuditReport(days, changes, versions, view(store, known, digest_of(_digested(days, changes, versions))))


def assess(store: Store, change: RuleChange) -> Assessment:
    """Compute a change's impact again where it was seen, and tell the closed periods that it touched.

    Shape: of an approved change as it was approved; of any other as it was proposed, and what it would have touched.
    Errors: Refusal (not_yet_projected) where the projection has not come so far, as while it is behind.
    """
    impact = recorded_impact(store, change)
    seen = change.approval.impact if change.approval else change.impact
    closings = store.closings(change.approval.position if change.approval else change.proposed_position)
    return Assessment(
        impact=impact,
        reproduced=None if seen is None else seen == impact.seen,
        touched=_touched(store, change, impact, closings),
    )


def effective_days(alteration: Alteration) -> tuple[date | None, date | None] | None:
    """Give the days [from, to) that an alteration is about, None where a side is open; None for a mere name."""
    match alteration:
        case SetRule() | EndRule():
            return alteration.effective_from, alteration.effective_to
        case RetireOrderType():
            return alteration.effective_from, None
        case DefineOrderType():
            return None, None
        case RenameOrderType():
            return None
        case _:
            assert_never(alteration)


# ---- changes


def _changes(store: Store, rulebook: Rulebook, days: Period) -> list[AuditedChange]:
    found, zone = list[tuple[RuleChange, bool, bool]](), store.time_zone()
    for change in rulebook.changes.values():
        recorded_inside = any(days.start <= at.astimezone(zone).date() < days.end for at in _moments(change))
        effect_inside = change.approval is not None and any(
            _meets(effective_days(alteration), days) for alteration in change.alterations
        )
        if recorded_inside or effect_inside:
            found.append((change, recorded_inside, effect_inside))
    evidence = _evidence(store, [change for change, _, _ in found])
    return [
        AuditedChange(
            change=change,
            altered=_altered(change, zone),
            recorded_inside=recorded_inside,
            effect_inside=effect_inside,
            proposed=evidence[change.proposed_position],
            decided=evidence[change.decision.position] if change.decision else None,
        )
        for change, recorded_inside, effect_inside in found
    ]


def _moments(change: RuleChange) -> list[datetime]:
    return [change.proposed_at, *([change.decision.recorded_at] if change.decision else [])]


def _meets(days: tuple[date | None, date | None] | None, period: Period) -> bool:
    if days is None:
        return False
    start, end = days
    return (start or FIRST_DAY) < period.end and period.start < (end or LAST_DAY)


def _altered(change: RuleChange, zone: tzinfo) -> list[AlteredDays]:
    came_on = (change.approval.recorded_at if change.approval else change.proposed_at).astimezone(zone).date()
    altered = list[AlteredDays]()
    for alteration in change.alterations:
        start, end = effective_days(alteration) or (None, None)
        late = max(0, (came_on - start).days) if start else 0
        altered.append(AlteredDays(alteration, start, end, late))
    return altered


def _evidence(store: Store, changes: Iterable[RuleChange]) -> dict[int, Evidence]:
    """Give the evidence of the changes' proposals and decisions, by position."""
    positions = [
        position
        for change in changes
        for position in (change.proposed_position, *([change.decision.position] if change.decision else []))
    ]
    return {
        document.position: Evidence(
            position=document.position,
            event_id=recorded(document.position, document.state).event_id,
            leaf_hash=leaf_hash(document.state.encode()).hex(),
        )
        for document in store.documents_at(positions)
    }


def _touched(store: Store, change: RuleChange, impact: Impact, closings: Closings) -> list[TouchedPeriod]:
    moved = {line.period for line in impact.lines}
    about = [
        effective_days(alteration) for alteration in change.alterations if isinstance(alteration, SetRule | EndRule)
    ]
    calendar = store.calendar()
    touched = list[TouchedPeriod]()
    for name, issued in closings.statements.items():
        reached = any(_meets(days, calendar.period(name)) for days in about)
        if reached or name in moved:
            touched.append(TouchedPeriod(name, issued[-1].statement.version, reached, name in moved))
    return touched


# ---- rule versions


def _versions(versions: list[RuleVersion], days: Period) -> Iterator[AuditedVersion]:
    """Give the versions of one rule, in recorded order, whose days reach into those asked."""
    own = [piece(each.effective_from, each.effective_to, number) for number, each in enumerate(versions)]
    laid = [part for part in overlay(own) if part.start < days.end and days.start < part.end]
    for number, version in enumerate(versions):
        start, end = max(own[number].start, days.start), min(own[number].end, days.end)
        if start < end:
            later = [part for part in laid if part.value > number and part.start < end and start < part.end]
            yield AuditedVersion(
                version=version,
                stretches=[
                    Piece(max(part.start, start), min(part.end, end), version) for part in laid if part.value == number
                ],
                superseded_by=list(dict.fromkeys(versions[part.value].rule_change_id for part in later)),
            )


def _digested(days: Period, changes: Iterable[AuditedChange], versions: Iterable[AuditedVersion]) -> Iterator[str]:
    yield f"{days.start}\t{days.end}"
    for change in changes:
        yield f"{change.proposed.leaf_hash}\t{change.decided.leaf_hash if change.decided else ''}"
    for audited in versions:
        held = "\t".join(f"{part.start}\t{part.end}" for part in audited.stretches)
        yield f"{audited.version.position}\t{audited.version.share}\t{held}"
