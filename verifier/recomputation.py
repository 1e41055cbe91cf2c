"""Figures from the events alone: an implementation of its own of what events mean.

It folds every order to what is credited, asks the rules as known at a position, and sums. It reads no file of the
bundle but the events.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from verifier.closings import Closings
from verifier.documents import ORDER_SUBJECT, Event
from verifier.facts import Facts
from verifier.figures import Amounts, Figures, counted, less
from verifier.findings import Malformed
from verifier.orders import Credit, Entry, credits_of
from verifier.rules import Rules, RuleVersion, Values, rule_versions


@dataclass(frozen=True, slots=True)
class CountedCredit:
    """A credit with the attributes that rules ask for, and the rule that decides; None: none matches."""

    credit: Credit
    values: Values
    rule: RuleVersion | None

    @property
    def share(self) -> int:
        """Give the share at which it counts."""
        return (self.rule.share or 0) if self.rule else 0


class Known:
    """The rules and facts as known at a position."""

    def __init__(self, events: Iterable[Event], position: int) -> None:
        listed = list(events)
        self.rules = Rules(rule_versions(listed, position))
        self._facts = Facts(listed, position)

    def values(self, entry: Entry) -> Values:
        """Give the attributes that rules ask for of an entry, in their order."""
        return (
            entry.product_id,
            self._facts.category(entry),
            entry.customer_id,
            self._facts.customer_class(entry),
            entry.salesperson_id,
            entry.order_type,
        )


def _day(credit: Credit) -> str:
    return credit.entry.credited_on


class Recomputation:
    """All that the events of a bundle come to; `problems` are orders whose events can't follow each other."""

    def __init__(self, events: Iterable[Event]) -> None:
        by_order = dict[str, list[Event]]()
        self.others = list[Event]()
        for event in events:
            if event.subject.startswith(ORDER_SUBJECT):
                by_order.setdefault(event.owner_id, []).append(event)
            else:
                self.others.append(event)
        self.closings = Closings(self.others)
        self.orders = len(by_order)
        self.problems = list[Malformed]()
        self.credits = list[Credit]()
        for order_id, its_events in by_order.items():
            try:
                self.credits += credits_of(order_id, its_events)
            except Malformed as error:
                self.problems.append(error)
        self.credits.sort(key=_day)

    def counted(self, days: tuple[str, str], position: int) -> Iterator[CountedCredit]:
        """Give what is credited on the days [start, end) as known at a position, with the rule that decides.

        Errors: Malformed where the rulebook's events can't follow each other.
        """
        known = Known(self.others, position)
        first, end = (bisect_left(self.credits, day, key=_day) for day in days)
        for credit in self.credits[first:end]:
            entry = credit.entry
            if credit.position <= position:
                values = known.values(entry)
                yield CountedCredit(credit, values, known.rules.deciding(values, entry.ordered_on))

    def comes_to(self, days: tuple[str, str], position: int) -> tuple[Amounts, Amounts]:
        """Give what is credited, and gross, on the days [start, end) as known at a position. Errors: as of counted."""
        return counted(
            ((each.credit.entry.salesperson_id, each.credit.entry.currency), each.credit.amount, each.share)
            for each in self.counted(days, position)
        )

    def figures(self, period: str, days: tuple[str, str], position: int) -> Figures:
        """Give the figures of a period as a statement at a position has them. Errors: as of counted."""
        credited, gross = self.comes_to(days, position)
        own = less(credited, self.closings.carried_out(period, position))
        return Figures(own, gross, self.closings.booked_into(days, position))

    def drift(self, period: str, days: tuple[str, str], position: int) -> Amounts:
        """Give what of a period is not settled at a position. Errors: as of counted."""
        return less(self.comes_to(days, position)[0], self.closings.settled(period, position))

    def rulebook_position(self, position: int) -> int:
        """Give the position of the last event of the rulebook at or before a position; 0 where there is none."""
        return max(
            (event.position for event in self.others if event.subject == "rulebook" and event.position <= position),
            default=0,
        )
