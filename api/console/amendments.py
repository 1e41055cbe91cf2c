"""What an order's events altered of it, as they were recorded: each part before and after."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from api.shapes import RecordedEvent
from ledger.wording import Sentence, say

PARTS: Final[dict[str, Sentence]] = {
    "ordered_on": say("Ordered on"),
    "order_type": say("Order type"),
    "customer_id": say("Customer"),
    "customer_name": say("Name of the customer"),
    "currency": say("Currency"),
    "splits": say("Salespeople"),
    "lines": say("line"),
}
"""What of an order its events may alter."""
_ALTER: Final = ("order.amended", "order.reclassified", "order.reassigned")

State = Mapping[str, Any]


class Altered(NamedTuple):
    """A part of an order before and after an event; None: it was not there. Shape: a line as the event has it."""

    part: str
    before: Any
    after: Any
    currencies: tuple[str, str]
    line_no: int | None = None


def alterations_of(events: Iterable[RecordedEvent]) -> dict[int, list[Altered]]:
    """Give what each of an order's events, oldest first, altered of it, by position; of those that may alter it."""
    state: State = {}
    altered = dict[int, list[Altered]]()
    for event in events:
        given = {name: value for name, value in event.data.items() if name in PARTS}
        if event.type == "order.placed":
            state = given
        elif event.type in _ALTER:
            now = {**state, **given}
            altered[event.position] = list(_differences(state, now))
            state = now
    return altered


def _differences(before: State, after: State) -> Iterator[Altered]:
    currencies = before["currency"], after["currency"]
    for part in PARTS:
        was, became = before.get(part), after.get(part)
        if part == "lines":
            yield from _lines(_by_number(was), _by_number(became), currencies)
        elif was != became:
            yield Altered(part, was, became, currencies)


def _lines(before: State, after: State, currencies: tuple[str, str]) -> Iterator[Altered]:
    for number in sorted({*before, *after}, key=int):
        was, became = before.get(number), after.get(number)
        if was != became:
            yield Altered("lines", was, became, currencies, int(number))


def _by_number(lines: Iterable[State] | None) -> State:
    return {str(line["line_no"]): line for line in lines or ()}
