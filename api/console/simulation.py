"""A simulation: what periods would come to under an altered rulebook, which the address names; nothing is recorded."""

from collections import defaultdict
from datetime import datetime
from typing import Final

from flask import Blueprint, Response, request

from api.access import READERS, allow
from api.answers import answer
from api.console.alterations import alterations_text, read_alterations, told_alteration
from api.console.amounts import Bar, bars
from api.console.board import year_around
from api.console.reading import reading
from api.console.shell import FORMATS, Source, asked_known, asking, client, page
from api.exports import JSON, Kind, Row, Table, amounts, cells, columns, exported, is_marked
from api.languages import translated
from api.shapes import SimulatedGroup, SimulatedPeriod, SimulationAnswer, SimulationRequest
from ledger.checks import shown
from ledger.events import Alteration
from ledger.refusal import Code, Refusal
from ledger.store import Store
from ledger.wording import Sentence, say

PERSON: Final = "salesperson"
BARS_MAX: Final = 24
"""More salespeople than that can't be told apart in a chart."""
_SIMULATED: Final = (
    *columns(period=Kind.text, salesperson=Kind.text, name=Kind.text, currency=Kind.text),
    *amounts("actual", "simulated", "change", "gross"),
    *columns(actual_orders=Kind.integer, simulated_orders=Kind.integer),
)


def add_simulation(console: Blueprint, store: Store) -> None:
    """Add the page."""

    @console.get("/review/simulation")
    @reading("alterations", "periods", "known", "format")
    @allow(*READERS)
    @asking("simulation.html", "alterations", "periods", "known")
    def get_simulation() -> Response:
        known, text = asked_known(store), request.args.get("alterations") or "[]"
        alterations = read_alterations(text)
        asked = request.args.get("periods", "").replace(",", " ").split() or _quarters(store)
        told = client().simulate(_request(asked, alterations, known.point))
        if form := request.args.get("format"):
            return _file(told, form)
        here = {"alterations": text, "periods": ",".join(asked), **known.link}
        return page(
            "simulation.html",
            known=known,
            view=told.periods[0].actual_view if told.periods else None,
            made=[told_alteration(each) for each in alterations],
            alterations=alterations_text(alterations),
            asked=", ".join(asked),
            periods=[(each, _charts(each)) for each in told.periods],
            sources=[Source(say("Simulation"), request.path, {**here, "format": JSON})],
        )


def _request(
    periods: list[str], alterations: tuple[Alteration, ...], point: int | datetime | None
) -> SimulationRequest:
    if isinstance(point, datetime):
        return SimulationRequest(tuple(periods), alterations, known_at=point)
    return SimulationRequest(tuple(periods), alterations, position=point)


def _file(told: SimulationAnswer, form: str) -> Response:
    """Answer with the simulation as a file; as JSON with the API's answer."""
    if form == JSON:
        return answer(told)
    rows = (_row(each, group) for each in told.periods for group in each.groups)
    position = told.periods[0].actual_view.position if told.periods else 0
    return as_file(Table("simulation", _SIMULATED, rows), form, f"simulation-{position}")


def as_file(table: Table, form: str, name: str) -> Response:
    """Answer with a table of a page as a file. Errors: Refusal (invalid_parameter) for a format there is not."""
    if form not in FORMATS:
        raise Refusal.of(
            Code.invalid_parameter,
            say("format is {form}: write one of {formats}", form=shown(form), formats=", ".join((JSON, *FORMATS))),
            "/format",
        )
    return exported([table], form, name, bom=is_marked(None))


def _row(simulated: SimulatedPeriod, group: SimulatedGroup) -> Row:
    return (simulated.period.name, group.group[PERSON], group.names[PERSON], *cells(_SIMULATED[3:], group))


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
    return Bar(group.group[PERSON] or "–", group.change)
