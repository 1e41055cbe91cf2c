"""What the events of the periods say: statements, and drifts carried forward.

A statement's `credited` is what the period comes to, less what was carried out of it before; its `adjustments` are what
was booked into it from other periods. A drift is what the period comes to, less the last statement's credited and all
that was carried out of it.
Source: docs/events.md, "Periods"; the design's section 4, "Periods".
"""

from collections.abc import Iterable

from verifier.documents import Event
from verifier.figures import Amounts, read_adjustments, summed

STATEMENTS = ("period.closed", "period.restated")
CARRIED = "period.carried_forward"


class Closings:
    """The statements and carry-forwards among some events."""

    def __init__(self, events: Iterable[Event]) -> None:
        listed = list(events)
        self.statements = [event for event in listed if event.type in STATEMENTS]
        self.carried = [event for event in listed if event.type == CARRIED]

    def statements_of(self, period: str) -> list[Event]:
        """Give the statements of a period, oldest first."""
        return [event for event in self.statements if event.data["period"] == period]

    def periods(self) -> list[str]:
        """Name the periods that have a statement, in the order of their first ones."""
        return list(dict.fromkeys(event.data["period"] for event in self.statements))

    def carried_out(self, period: str, position: int) -> Amounts:
        """Give what was carried forward out of a period up to a position."""
        return summed(
            pair
            for event in self.carried
            if event.data["period"] == period and event.position <= position
            for pair in read_adjustments(event.data["adjustments"]).items()
        )

    def booked_into(self, days: tuple[str, str], position: int) -> Amounts:
        """Give what was booked on the days [start, end) up to a position."""
        return summed(
            pair
            for event in self.carried
            if days[0] <= event.data["booked_on"] < days[1] and event.position <= position
            for pair in read_adjustments(event.data["adjustments"]).items()
        )

    def settled(self, period: str, position: int) -> Amounts:
        """Give what of a period is settled at a position: the last statement's credited, and what was carried out."""
        issued = [event for event in self.statements_of(period) if event.position <= position]
        stated = read_adjustments(issued[-1].data["statement"]["figures"]) if issued else Amounts()
        return summed([*stated.items(), *self.carried_out(period, position).items()])
