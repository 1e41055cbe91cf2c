"""The review of the rulebook: what does nothing, where orders do not fit, and what putting it right would move."""

from collections import defaultdict
from datetime import datetime
from typing import Final, NamedTuple

from flask import Blueprint, Response, request

from api.access import READERS, allow
from api.console.alterations import alterations_text, read_alterations, told_alteration
from api.console.amounts import Bar, bars
from api.console.board import year_around
from api.console.reading import reading
from api.console.shell import Source, asked_known, client, page
from api.languages import translated
from api.shapes import FindingAnswer, SimulatedGroup, SimulatedPeriod, SimulationRequest
from ledger.events import Alteration
from ledger.store import Store
from ledger.wording import Sentence, say

KINDS: Final = {
    "unused_order_type": say("Order types without orders"),
    "unmatched_rule": say("Rules that match no order"),
    "shadowed_rule": say("Rules that decide nothing"),
    "alike_order_types": say("Order types that the rules do not tell apart"),
    "known_customer_as_first": say("First orders of customers who had ordered before"),
    "first_order_as_repeat": say("Repeat orders that are the first"),
    "reclassified_often": say("Orders whose type was changed again and again"),
}
"""The kinds of findings, as headings; another one is told by its code."""
BARS_MAX: Final = 24
"""More salespeople than that can't be told apart in a chart."""


class Found(NamedTuple):
    """A finding by its number, with its remedy in words and as addresses carry it ('': there is none)."""

    number: int
    finding: FindingAnswer
    made: list[Sentence]
    alterations: str


def add_review(console: Blueprint, store: Store) -> None:
    """Add the pages."""
    _add_findings(console, store)
    _add_simulation(console, store)


def _add_findings(console: Blueprint, store: Store) -> None:
    @console.get("/review")
    @reading("known")
    @allow(*READERS)
    def get_review() -> Response:
        known = asked_known(store)
        told = client().review(known.point)
        kinds = defaultdict[str, list[Found]](list)
        for number, finding in enumerate(told.findings, 1):
            kinds[finding.kind].append(_found(number, finding))
        return page(
            "review.html",
            known=known,
            view=told.view,
            kinds=[(KINDS.get(kind, kind), found) for kind, found in kinds.items()],
            sources=[Source(say("Findings"), "/v1/rules/review", known.query)],
        )


def _found(number: int, finding: FindingAnswer) -> Found:
    made = [told_alteration(each) for each in finding.alterations]
    return Found(number, finding, made, alterations_text(finding.alterations) if finding.alterations else "")


def _add_simulation(console: Blueprint, store: Store) -> None:
    @console.get("/review/simulation")
    @reading("alterations", "periods", "known")
    @allow(*READERS)
    def get_simulation() -> Response:
        known, text = asked_known(store), request.args.get("alterations", "")
        alterations = read_alterations(text)
        asked = request.args.get("periods", "").replace(",", " ").split() or _quarters(store)
        told = client().simulate(_request(asked, alterations, known.point))
        return page(
            "simulation.html",
            known=known,
            view=told.periods[0].actual_view if told.periods else None,
            made=[told_alteration(each) for each in alterations],
            alterations=alterations_text(alterations),
            asked=", ".join(asked),
            periods=[(each, _charts(each)) for each in told.periods],
            sources=[
                Source(say("Performance {period}", period=each), "/v1/performance", {"period": each, **known.query})
                for each in asked
            ],
        )


def _request(
    periods: list[str], alterations: tuple[Alteration, ...], point: int | datetime | None
) -> SimulationRequest:
    if isinstance(point, datetime):
        return SimulationRequest(tuple(periods), alterations, known_at=point)
    return SimulationRequest(tuple(periods), alterations, position=point)


def _quarters(store: Store) -> list[str]:
    """Name the quarters of the current fiscal year."""
    calendar = store.calendar()
    year = year_around(calendar, calendar.closing_period_of(store.today()))
    return [f"{year.name.removeprefix('FY')}-Q{number}" for number in range(1, 5)]


def _charts(simulated: SimulatedPeriod) -> list[object]:
    """Give a chart of the changes in each currency, where anything changes."""
    groups = defaultdict[str, list[SimulatedGroup]](list)
    for group in simulated.groups:
        groups[group.currency].append(group)
    moved = {name: those for name, those in groups.items() if any(each.actual != each.simulated for each in those)}
    return [
        bars(translated(_title(simulated.period.name, currency)), [_bar(each) for each in those])
        for currency, those in moved.items()
        if len(those) <= BARS_MAX
    ]


def _title(period: str, currency: str) -> Sentence:
    return say("What would change per salesperson in {period}, in {currency}", period=period, currency=currency)


def _bar(group: SimulatedGroup) -> Bar:
    return Bar(group.group["salesperson"] or "–", group.change)
