"""Simulation: the same calculation under another rulebook, written nowhere.

The other rulebook is the one known at a position with alterations made, or with recorded changes left out as if they
had never been made ("what if"), or both.
Source: design, section 4, "Simulation".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ledger import rulebook as rulebooks
from ledger.events import Alteration
from ledger.periods import Period
from ledger.refusal import Code, Refusal
from ledger.rulebook import Rulebook
from ledger.rules import Rules
from ledger.store import Store
from ledger.wording import say
from projections.changes import rule_change
from projections.impact import ImpactOrder, Wanted, orders_moved
from projections.performance import Figure, Key, Performance, performance, projected_head

PERIODS_MAX = 40


@dataclass(frozen=True)
class Assumption:
    """What a simulation assumes: alterations made, and recorded rule changes (by id) left out."""

    alterations: tuple[Alteration, ...] = ()
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Compared:
    """A group's figures as they are and as they would be; None where there is nothing."""

    keys: tuple[Key, ...]
    currency: str
    actual: Figure | None
    simulated: Figure | None

    @property
    def change(self) -> int:
        """Give the change of the credited amount, in 10^-10 of the currency."""
        return (self.simulated.credited if self.simulated else 0) - (self.actual.credited if self.actual else 0)


@dataclass(frozen=True)
class Simulated:
    """A period as it is and as it would be; both views are of the same position."""

    actual: Performance
    simulated: Performance

    @property
    def compared(self) -> list[Compared]:
        """Give the groups beside each other, in the order of their keys."""
        actual, simulated = _by_values(self.actual), _by_values(self.simulated)
        values = sorted(actual.keys() | simulated.keys(), key=lambda key: ([each or "" for each in key[0]], key[1]))
        return [
            Compared((actual.get(key) or simulated[key]).keys, key[1], actual.get(key), simulated.get(key))
            for key in values
        ]


def _by_values(side: Performance) -> dict[tuple[tuple[str | None, ...], str], Figure]:
    """Give figures by what they are of; the names for people may change between two calculations."""
    return {(tuple(key.value for key in figure.keys), figure.currency): figure for figure in side.figures}


def simulate(
    store: Store,
    periods: Sequence[Period],
    assumption: Assumption,
    *,
    group_by: Sequence[str] = ("salesperson",),
    position: int | None = None,
) -> list[Simulated]:
    """Compute periods as they are and as they would be, as known at a position (the latest projected one).

    Errors: Refusal for an assumption of nothing, alterations that can't be made, changes that can't be left out, too
    many periods, and a position that is not projected yet.
    """
    _check_assumed(assumption)
    if not 1 <= len(periods) <= PERIODS_MAX:
        raise Refusal.of(
            Code.invalid_value,
            say(
                "{periods_count} periods: give 1 to {periods_max}", periods_count=len(periods), periods_max=PERIODS_MAX
            ),
            "/periods",
        )
    at = projected_head(store) if position is None else position
    rules = assumed(store, assumption, position=at).rules()
    return list(_simulated(store, periods, rules, tuple(group_by), at))


def _check_assumed(assumption: Assumption) -> None:
    if not assumption.alterations and not assumption.without:
        raise Refusal.of(Code.invalid_value, say("nothing is assumed: give alterations, or rule changes to leave out"))


def simulated_orders(store: Store, assumption: Assumption, position: int, wanted: Wanted) -> list[ImpactOrder]:
    """Give the orders that an assumption touches, of what is known at a position. Errors: as of simulate."""
    _check_assumed(assumption)
    before, after = store.rulebook_at(position), assumed(store, assumption, position=position)
    left_out = [each for name in assumption.without for each in before.changes[name].alterations]
    change = rule_change(before.rules(), after.rules(), (*assumption.alterations, *left_out))
    return orders_moved(store, change, position, wanted)


def assumed(store: Store, assumption: Assumption, *, position: int) -> Rulebook:
    """Give the rulebook known at a position under an assumption. Errors: as of simulate."""
    rulebook = store.rulebook_at(position)
    if assumption.without:
        events = [event for event in store.stream(rulebooks.SUBJECT) if event.position <= position]
        rulebook = rulebooks.without(events, assumption.without)
    if assumption.alterations:
        rulebook = rulebooks.judge(rulebook, "simulation", assumption.alterations)
    return rulebook


def _simulated(
    store: Store, periods: Sequence[Period], rules: Rules, group_by: tuple[str, ...], position: int
) -> Iterator[Simulated]:
    for period in periods:
        actual = performance(store, period, group_by=group_by, position=position)
        yield Simulated(actual, performance(store, period, group_by=group_by, position=position, rules=rules))
