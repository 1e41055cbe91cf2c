"""What was done to the ledger besides orders, newest first: rule changes, closes, facts, checkpoints, and how late.

Nothing is judged and nothing is kept: each entry is an event, with how many days after its first day it was recorded,
and the periods of its days that were closed by then.
Source: design, section 1, "Which changes were recorded after a close but effective before it?".
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final, assert_never

from ledger.events import (
    CheckpointCosigned,
    CheckpointIssued,
    CustomerClassified,
    DatedFact,
    DriftCarriedForward,
    EndRule,
    LedgerOpened,
    OrderEvent,
    PeriodClosed,
    PeriodEvent,
    PeriodRestated,
    ProductCategorised,
    Recorded,
    ReferenceFact,
    RulebookEvent,
    RuleChangeApproved,
    RuleChangeProposed,
    RuleChangeRejected,
    RuleChangeWithdrawn,
    SalespersonQuotaSet,
    SalespersonTeamed,
    SetRule,
    SigningKeyIntroduced,
)
from ledger.facts import value_of
from ledger.rulebook import Rulebook
from ledger.store import Store
from ledger.timeline import FIRST_DAY, LAST_DAY
from ledger.wording import Sentence, say

KINDS: Final = {
    "rule_change": ("rule_change.proposed", "rule_change.approved", "rule_change.rejected", "rule_change.withdrawn"),
    "close": ("period.closed",),
    "restatement": ("period.restated",),
    "carry_forward": ("period.carried_forward",),
    "reference_fact": (
        "customer.classified",
        "product.categorised",
        "salesperson.teamed",
        "salesperson.quota_set",
    ),
    "checkpoint": ("checkpoint.issued", "checkpoint.cosigned", "signing_key.introduced"),
    "opening": ("ledger.opened",),
}
"""The kinds of entries, and the stored names of the events that are of each."""
BATCH: Final = 500
Days = tuple[date, date | None]


@dataclass(frozen=True)
class Asked:
    """Which entries: at the positions (after, until], of these kinds, by whom (None: anybody), and how late."""

    after: int
    until: int
    kinds: tuple[str, ...] = tuple(KINDS)
    actor: str | None = None
    back_dated: bool = False
    after_close: bool = False


@dataclass(frozen=True)
class Done:
    """An event, its days, how many of them it came late, and the periods of its days that were closed by then."""

    event: Recorded
    effective_to: date | None
    days_back_dated: int
    closed_periods: list[str]


def timeline(store: Store, asked: Asked) -> Iterator[Done]:
    """Give what was done, newest first, as it is read."""
    types = [name for kind in asked.kinds for name in KINDS[kind]]
    late, until = _Late(store), asked.until
    while events := store.recorded_newest(asked.after, until, types, actor=asked.actor, limit=BATCH):
        for event in events:
            done = late.told(event)
            if (done.days_back_dated or not asked.back_dated) and (done.closed_periods or not asked.after_close):
                yield done
        until = events[-1].position - 1


class _Late:
    """Tells how late events came, by the ledger as it is."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rulebook: Rulebook = store.rulebook()
        self._calendar = store.calendar()
        self._zone = store.time_zone()
        self._closed = [
            (issued[0].statement.position, self._calendar.period(name))
            for name, issued in store.closings().statements.items()
        ]

    def told(self, event: Recorded) -> Done:
        data = event.data
        days = list(self._days(event))
        ends = {end for _, end in days}
        recorded_on = event.recorded_at.astimezone(self._zone).date()
        moves = isinstance(data, RuleChangeProposed | RuleChangeApproved | ReferenceFact | DriftCarriedForward)
        return Done(
            event=event,
            effective_to=ends.pop() if len(ends) == 1 else None,
            days_back_dated=max(0, (recorded_on - event.effective_on).days) if moves else 0,
            closed_periods=self._closed_of(event.position, days) if moves else [],
        )

    def _days(self, event: Recorded) -> Iterable[Days]:
        """Give the days that an event is about where they may be a closed period's."""
        match event.data:
            case RuleChangeProposed() | RuleChangeApproved() as change:
                for each in self._rulebook.changes[change.rule_change_id].alterations:
                    if isinstance(each, SetRule | EndRule):
                        yield each.effective_from, each.effective_to
            case SalespersonQuotaSet(period=name):
                period = self._calendar.period(name)
                yield period.start, period.end
            case fact if isinstance(fact, DatedFact):
                yield fact.effective_from, fact.effective_to

    def _closed_of(self, position: int, days: Iterable[Days]) -> list[str]:
        return [
            period.name
            for closed_at, period in self._closed
            if closed_at < position
            and any((start or FIRST_DAY) < period.end and period.start < (end or LAST_DAY) for start, end in days)
        ]


def kind_of(name: str) -> str:
    """Give the kind of an event by its stored name."""
    return next(kind for kind, names in KINDS.items() if name in names)


def rule_change_of(event: Recorded) -> str | None:
    """Give the rule change that an event is of; None for another one."""
    return event.data.rule_change_id if isinstance(event.data, RulebookEvent) else None


def period_of(event: Recorded) -> str | None:
    """Give the period that an event is of; None for another one."""
    return event.data.period if isinstance(event.data, PeriodEvent | SalespersonQuotaSet) else None


def of_done(event: Recorded) -> Sentence:
    """Say what was done."""
    data = event.data
    assert not isinstance(data, OrderEvent), "orders are not told here"
    if isinstance(data, RulebookEvent):
        return _of_rule_change(data)
    if isinstance(data, ReferenceFact):
        return _of_fact(event.subject.partition("/")[2], data)
    match data:
        case PeriodClosed():
            return say("{period} was closed: statement {version}", period=data.period, version=data.statement.version)
        case PeriodRestated():
            return say("{period} was restated: statement {version}", period=data.period, version=data.statement.version)
        case DriftCarriedForward():
            return say(
                "the drift of {period} was carried forward into {into}", period=data.period, into=data.into_period
            )
        case CheckpointIssued():
            return say("a checkpoint of {size} events was signed", size=data.size)
        case CheckpointCosigned():
            witness = data.witness.partition("+")[0]
            return say("{witness} cosigned the checkpoint of {size} events", witness=witness, size=data.size)
        case SigningKeyIntroduced():
            return say("the key {key} signs from here on", key=data.vkey.rpartition("+")[0])
        case LedgerOpened():
            return say("the ledger {name} was opened", name=data.name)
        case _:
            assert_never(data)


def _of_rule_change(data: RulebookEvent) -> Sentence:
    known = {"rule_change": data.rule_change_id}
    match data:
        case RuleChangeProposed():
            return say("rule change {rule_change} was proposed", **known)
        case RuleChangeApproved():
            return say("rule change {rule_change} was approved", **known)
        case RuleChangeRejected():
            return say("rule change {rule_change} was rejected", **known)
        case RuleChangeWithdrawn():
            return say("rule change {rule_change} was withdrawn", **known)
        case _:
            assert_never(data)


def _of_fact(owner: str, data: ReferenceFact) -> Sentence:
    if isinstance(data, SalespersonQuotaSet):
        known = {"owner": owner, "period": data.period, "currency": data.currency}
        if data.amount is None:
            return say("salesperson {owner} has no quota in {currency} for {period}", **known)
        return say("salesperson {owner} has the quota {amount} {currency} for {period}", amount=data.amount, **known)
    value = value_of(data)
    match data:
        case CustomerClassified() if value is None:
            return say("customer {owner} has no class", owner=owner)
        case CustomerClassified():
            return say("customer {owner} has the class {value}", owner=owner, value=value)
        case ProductCategorised() if value is None:
            return say("product {owner} has no category", owner=owner)
        case ProductCategorised():
            return say("product {owner} has the category {value}", owner=owner, value=value)
        case SalespersonTeamed() if value is None:
            return say("salesperson {owner} has no team", owner=owner)
        case SalespersonTeamed():
            return say("salesperson {owner} has the team {value}", owner=owner, value=value)
        case _:
            assert_never(data)
