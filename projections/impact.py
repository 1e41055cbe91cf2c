"""The impact of a rule change, and proposing and approving one by it.

A proposal carries the impact that its proposer saw, an approval the one that its approver saw: its position and the
digest of its figures, from which it can be computed again at any time. If the impact has moved since the proposal, an
approval is refused with the new one, until the approver accepts that. What is approved is the impact at the position
that the approval names; order events that are recorded in the same moments are judged by the rulebook as ever.
Source: design, section 4, "Rule changes".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from msgspec import Struct

from ledger import rule_changes
from ledger import rulebook as rulebooks
from ledger.checks import DAY_MAX, DAY_MIN, shown
from ledger.database import Cursor
from ledger.events import (
    NAMES,
    Alteration,
    EndRule,
    ImpactSeen,
    RuleChangeApproved,
    RuleChangeProposed,
    SetRule,
    encode,
)
from ledger.periods import Calendar, Period
from ledger.refusal import Code, Problem, Refusal
from ledger.rule_changes import ATTEMPTS_MAX, Changed
from ledger.rulebook import Rulebook, RuleChange
from ledger.rules import Rules, RuleVersion, Shadow, shadows
from ledger.store import Store
from ledger.timeline import LAST_DAY, Piece
from ledger.wording import say
from projections.attributes import COLUMNS, named_terms
from projections.changes import CREDIT_FACTS, AskedOrders, Change, Effect, effect, rule_change, touched_orders
from projections.performance import Key, digest_of, order_ids, projected_head, reading, salesperson_term, texts_of
from projections.resolution import Scope


class ImpactLine(Struct, frozen=True, gc=False):
    """What a rule change moves for one salesperson in one period and currency.

    Units: before and after are what the touched orders count, in 10^-10 of the currency.
    """

    salesperson: Key
    period: str
    currency: str
    before: int
    after: int
    orders: int

    @property
    def change(self) -> int:
        """Give what is moved."""
        return self.after - self.before


class ImpactOrder(Struct, frozen=True, gc=False):
    """What a rule change moves of one order for one salesperson in one period. Units: as of ImpactLine.

    Shape: `placed` is the position of the order's first event.
    """

    placed: int
    order_id: str
    salesperson: Key
    period: str
    currency: str
    before: int
    after: int


@dataclass(frozen=True)
class Wanted:
    """Which orders of an impact: so many behind the one placed at `after`; of the days of a period, or all.

    Shape: `of` leaves those of one salesperson, or of nobody (None).
    """

    limit: int
    after: int = 0
    period: Period | None = None
    of: tuple[str | None] | None = None


@dataclass(frozen=True)
class Shadowed:
    """What an alteration of the change (by its index) meets: stretches of the same rule that it replaces, and other
    rules that shadow it or are shadowed by it.
    """

    alteration: int
    replaced: list[Piece[RuleVersion]]
    shadows: list[Shadow]


@dataclass(frozen=True)
class Impact:
    """What a rule change would move, as known at a position, by salesperson, period and currency.

    Shape: `unknown_values` are conditions, such as customer_id=C-7, whose value no order and no fact has yet: a rule
    may be set before the first order, but a typing error looks just like it.
    """

    position: int
    lines: list[ImpactLine]
    orders: int
    people: int
    closed_periods: list[str]
    shadowed: list[Shadowed]
    unknown_values: list[str]

    @cached_property
    def digest(self) -> str:
        """Hash what an approver looks at: the figures, the closed periods, the rules that the change meets."""
        return digest_of(_digested(self))

    @property
    def seen(self) -> ImpactSeen:
        """Give what is recorded of it."""
        return ImpactSeen(self.position, self.digest)


class ImpactMoved(Refusal):
    """An approval refused because the impact is another one than was seen: `impact` is the new one."""

    def __init__(self, detail: str, impact: Impact) -> None:
        super().__init__((Problem(Code.impact_moved, detail, "/accepted_digest"),))
        self.impact = impact


@dataclass(frozen=True)
class Proposed:
    """A recorded proposal with its impact."""

    changed: Changed
    impact: Impact


def impact(
    store: Store, before: Rulebook, after: Rulebook, alterations: Sequence[Alteration], *, position: int
) -> Impact:
    """Compute what alterations move, that turn one rulebook into another, of what is known at a position.

    Errors: Refusal (not_yet_projected) for a position ahead of the projection.
    """
    change = rule_change(before.rules(), after.rules(), alterations)
    periods = all_periods(store.calendar())
    with reading(store, position) as (cursor, known):
        scope = Scope(periods[0].start, periods[-1].end, known)
        moved = effect(cursor, change, scope, [period.start for period in periods])
        lines = _lines(cursor, moved, periods)
        unknown = _unknown_values(cursor, alterations)
    closed = store.closings(position).statements
    touched = {line.period for line in lines}
    return Impact(
        position=known,
        lines=lines,
        orders=moved.orders,
        people=moved.people,
        closed_periods=[name for name in closed if name in touched],
        shadowed=_shadowed(change.before, change.after, alterations),
        unknown_values=unknown,
    )


def proposed_impact(store: Store, alterations: Sequence[Alteration], *, position: int | None = None) -> Impact:
    """Compute the impact that alterations would have on the rulebook and the orders known at a position.

    Errors: Refusal when the alterations can't be made, or the position is not projected yet.
    """
    at = store.head() if position is None else position
    before = store.rulebook_at(at)
    return impact(store, before, rulebooks.judge(before, "proposal", alterations), alterations, position=at)


def recorded_position(change: RuleChange) -> int:
    """Give the position of a recorded rule change's impact; of one made in one command the position before it."""
    seen = change.approval.impact if change.approval and change.approval.impact else change.impact
    return seen.position if seen else change.proposed_position - 1


def recorded_impact(store: Store, change: RuleChange) -> Impact:
    """Compute a recorded rule change's impact again: as it was approved, else as it was proposed.

    Shape: at the position that was recorded. Nothing is judged again.
    """
    position = recorded_position(change)
    before = store.rulebook_at(position)
    after = rulebooks.all_altered(before, change.alterations, change.rule_change_id)
    return impact(store, before, after, change.alterations, position=position)


def impact_orders(store: Store, change: RuleChange, position: int, wanted: Wanted) -> list[ImpactOrder]:
    """Give the orders that a recorded rule change's impact at a position is made of. Errors: as of orders_moved."""
    before = store.rulebook_at(position)
    after = rulebooks.all_altered(before, change.alterations, change.rule_change_id)
    return orders_moved(store, rule_change(before.rules(), after.rules(), change.alterations), position, wanted)


def orders_moved(store: Store, change: Change, position: int, wanted: Wanted) -> list[ImpactOrder]:
    """Give the orders that a change touches, of what is known at a position, in the order of their placing.

    Shape: an order has a row for each salesperson, period and currency in which it is worth another amount.
    Errors: Refusal (not_yet_projected) for a position ahead of the projection.
    """
    periods = all_periods(store.calendar())
    days = wanted.period or Period("", periods[0].start, periods[-1].end)
    with reading(store, position) as (cursor, known):
        person = salesperson_term(cursor, wanted.of[0]) if wanted.of else None
        found = touched_orders(
            cursor,
            change,
            Scope(days.start, days.end, known),
            [period.start for period in periods],
            AskedOrders(wanted.limit, wanted.after, person),
        )
        texts = texts_of(cursor, {term for each in found for term in (each.salesperson, each.currency)})
        ids = order_ids(cursor, [each.order for each in found])
    return [
        ImpactOrder(
            placed=each.order,
            order_id=ids[each.order],
            salesperson=texts[each.salesperson],
            period=periods[each.period].name,
            currency=texts[each.currency].value or "",
            before=each.before,
            after=each.after,
        )
        for each in found
    ]


def current_impact(store: Store, change: RuleChange) -> Impact:
    """Compute the impact that a recorded proposal has now. Errors: Refusal when it can't be made any more."""
    position = projected_head(store)
    before = store.rulebook_at(position)
    after = rulebooks.judge(before, change.rule_change_id, change.alterations)
    return impact(store, before, after, change.alterations, position=position)


def current_position(store: Store, change: RuleChange) -> int:
    """Give the position of the impact that a recorded proposal has now. Errors: as of current_impact."""
    position = projected_head(store)
    rulebooks.judge(store.rulebook_at(position), change.rule_change_id, change.alterations)
    return position


def propose(store: Store, proposal: RuleChangeProposed, *, actor: str) -> Proposed:
    """Record a proposal with the impact that it has now; the same proposal again is answered as a duplicate.

    Errors: Refusal when the proposal can't be, its id was used for another one, or the projection is behind.
    """
    for _ in range(ATTEMPTS_MAX):
        position, rulebook = _latest(store)
        if (known := rulebook.changes.get(proposal.rule_change_id)) is not None:
            changed = rule_changes.propose(store, rulebook, proposal, actor=actor)
            assert changed is not None, "a repetition is answered or refused"
            return Proposed(changed, recorded_impact(store, known))
        after = rulebooks.decide(rulebook, proposal)
        found = impact(store, rulebook, after, proposal.alterations, position=position)
        carrying = RuleChangeProposed(
            proposal.rule_change_id, proposal.alterations, proposal.reason, proposal.reason_code, found.seen
        )
        changed = rule_changes.propose(store, rulebook, carrying, actor=actor)
        if changed is not None:
            return Proposed(changed, found)
    raise RuntimeError(f"other writers were faster {ATTEMPTS_MAX} times in a row: send the proposal again")


def approve(
    store: Store, rule_change_id: str, *, actor: str, reason: str | None = None, accepted_digest: str | None = None
) -> Proposed:
    """Approve a proposed rule change: the impact that the proposal carries, or the one accepted by its digest.

    Errors: ImpactMoved when the impact is another one; Refusal when there is no such proposal, it is decided, one's
    own, or can't be made any more, or the projection is behind; nothing is recorded then.
    """
    for _ in range(ATTEMPTS_MAX):
        position, rulebook = _latest(store)
        bare = RuleChangeApproved(rule_change_id, store.asks_four_eyes(), reason)
        after = rulebooks.decide_on(rulebook, bare, actor=actor, four_eyes=bare.four_eyes)
        change = rulebook.changes[rule_change_id]
        found = impact(store, rulebook, after, change.alterations, position=position)
        _check_seen(change, found, accepted_digest)
        event = RuleChangeApproved(rule_change_id, bare.four_eyes, reason, found.seen)
        changed = rule_changes.decide_on(store, rulebook, event, actor=actor)
        if changed is not None:
            return Proposed(changed, found)
    raise RuntimeError(f"other writers were faster {ATTEMPTS_MAX} times in a row: approve again")


def _latest(store: Store) -> tuple[int, Rulebook]:
    """Give the latest projected position and the rulebook known there, which must be the latest one.

    Orders may be recorded faster than they are projected, so the ledger's head would hardly ever be at hand. The
    rulebook must not have moved, and that the append sees to; nor may a fact that changes credits stand behind.
    Errors: Refusal (not_yet_projected) where the projection has not reached the last of these events.
    """
    position = projected_head(store)
    rulebook = store.rulebook_at(position)
    if (latest := store.rulebook()).version != rulebook.version:
        raise Refusal.of(
            Code.not_yet_projected,
            say(
                "the rulebook moved at position {latest_position}, the projection is at {position}: retry in a moment",
                latest_position=latest.position,
                position=position,
            ),
            projected_position=position,
        )
    facts = [NAMES[kind] for kind in CREDIT_FACTS]
    if behind := store.recorded_between(position, store.head(), facts):
        raise Refusal.of(
            Code.not_yet_projected,
            say(
                "a fact was recorded at position {behind_position}, the projection is at {position}: retry in a moment",
                behind_position=behind[0].position,
                position=position,
            ),
            projected_position=position,
        )
    return position, rulebook


def _check_seen(change: RuleChange, found: Impact, accepted_digest: str | None) -> None:
    """Refuse an approval of another impact than was seen: the accepted one, else the proposal's."""
    proposed = change.impact.digest if change.impact else None
    if found.digest != (proposed if accepted_digest is None else accepted_digest):
        raise ImpactMoved(
            say(
                "the impact of rule change {rule_change_id} has moved since it was seen: at position"
                " {found_position} it is {digest}; look at it, and approve with that accepted_digest",
                rule_change_id=shown(change.rule_change_id),
                found_position=found.position,
                digest=found.digest,
            ),
            found,
        )


@lru_cache(maxsize=4)
def all_periods(calendar: Calendar) -> list[Period]:
    """Give every closing period that anything can be credited in."""
    return calendar.closing_periods(DAY_MIN, DAY_MAX)


def _lines(cursor: Cursor, moved: Effect, periods: Sequence[Period]) -> list[ImpactLine]:
    texts = texts_of(cursor, {term for line in moved.moved for term in (line.salesperson, line.currency)})
    lines = [
        ImpactLine(
            texts[each.salesperson],
            periods[each.period].name,
            texts[each.currency].value or "",
            each.before,
            each.after,
            each.orders,
        )
        for each in moved.moved
    ]
    return sorted(lines, key=lambda line: (line.salesperson.value or "", line.currency))


def _unknown_values(cursor: Cursor, alterations: Sequence[Alteration]) -> list[str]:
    asked = {name: set[str]() for name in COLUMNS}
    for alteration in alterations:
        if isinstance(alteration, SetRule):
            for name in COLUMNS:
                asked[name] |= {getattr(alteration.conditions, name)} - {None}
    asked["order_type"].clear()  # those are defined, or refused
    known = named_terms(cursor, asked)
    return [f"{name}={value}" for name in COLUMNS for value in sorted(asked[name] - set(known[name].values()))]


def _shadowed(before: Rules, after: Rules, alterations: Sequence[Alteration]) -> list[Shadowed]:
    found = [
        Shadowed(index, *_met(before, after, alteration))
        for index, alteration in enumerate(alterations)
        if isinstance(alteration, SetRule | EndRule)
    ]
    return [each for each in found if each.replaced or each.shadows]


def _met(before: Rules, after: Rules, alteration: SetRule | EndRule) -> tuple[list[Piece[RuleVersion]], list[Shadow]]:
    """Give what holds by the same conditions on an alteration's days, and the other rules that its lines may meet."""
    start, end = alteration.effective_from, alteration.effective_to or LAST_DAY
    replaced = [
        Piece(max(start, part.start), min(end, part.end), part.value)
        for part in before.pieces(alteration.conditions)
        if part.start < end and start < part.end
    ]
    return replaced, shadows(after, alteration.conditions, start, end)


def _digested(impact: Impact) -> Iterator[str]:
    for line in impact.lines:
        person = "" if line.salesperson.value is None else f"={line.salesperson.value}"
        yield f"{person}\t{line.period}\t{line.currency}\t{line.before}\t{line.after}\t{line.orders}"
    yield from (f"closed\t{name}" for name in impact.closed_periods)
    for each in impact.shadowed:
        for part in each.replaced:
            yield f"replaced\t{each.alteration}\t{part.start}\t{part.end}\t{part.value.share}"
        for other in each.shadows:
            named = encode(other.conditions).decode()
            days = f"{other.start}\t{other.end}\t{other.version.share}\t{other.above}"
            yield f"shadow\t{each.alteration}\t{named}\t{days}"
