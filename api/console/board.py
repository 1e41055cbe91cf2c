"""The board: performance per salesperson in a period, against quota and last statement, and the months around it."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from flask import Blueprint, Response

from api.access import READERS, allow
from api.client import Client
from api.console.amounts import Bar, bars, total
from api.console.reading import LINES_MAX, asked_first, asked_lines, asked_period, reading
from api.console.shell import Known, Source, asked_known, asking, client, page, seen_roles
from api.languages import translated
from api.shapes import DriftAnswer, FigureAnswer, PerformanceAnswer, PeriodSummary, RuleChangeAnswer
from ledger.periods import Calendar, Period, first_of_month
from ledger.store import Store
from ledger.wording import say

Owner = tuple[str | None, str]
"""A salesperson (None: nobody) and a currency."""


class Sums(NamedTuple):
    """What a month comes to, under the rules and before them."""

    credited: str
    gross: str


class Month(NamedTuple):
    """A month of the chart: what is credited in it in one currency, and the rule changes that begin in it."""

    name: str
    figure: Sums
    changes: list[RuleChangeAnswer]


def add_board(console: Blueprint, store: Store) -> None:
    """Add the page."""

    @console.get("/board")
    @reading("period", "known", "first", "lines")
    @allow("sales", *READERS)
    @asking("board.html", "period", "known")
    def get_board() -> Response:
        calendar, known, ledger = store.calendar(), asked_known(store), client()
        lines = asked_lines()
        asked = asked_period(store)
        days = calendar.period(asked)
        told = ledger.performance(asked, known=known.point)
        first = asked_first(len(told.figures))
        sees_all = bool(seen_roles() & set(READERS))
        year = year_around(calendar, days)
        closing = ledger.periods(known.point).periods if sees_all else []
        changes = ledger.rules_history(known.point).rule_changes if sees_all else []
        closed = _closed_as(closing, days)
        query = {"period": asked, **known.query}
        by_month = ("month",) if sees_all else ("month", "salesperson")  # sales may ask for its own alone
        return page(
            "board.html",
            known=known,
            view=told.view,
            period=told.period,
            asked=asked,
            figures=told.figures[first - 1 : first - 1 + lines],
            first=first,
            lines=lines,
            count=len(told.figures),
            lines_max=LINES_MAX,
            totals=_totals(told.figures),
            closed=closed,
            drifts=_drifts(ledger, closed, known),
            around=[each for each in closing if each.start < year.end and each.end > year.start],
            year=year,
            charts=_charts(ledger.performance(year.name, group_by=by_month, known=known.point), year, changes),
            sees_all=sees_all,
            sources=[
                Source(say("Performance"), "/v1/performance", query),
                Source(say("Months"), "/v1/performance", {**query, "period": year.name, "group_by": by_month}),
                *([Source(say("Periods"), "/v1/periods", known.query)] if sees_all else []),
                *([Source(say("Since the statement"), f"/v1/periods/{closed.period}", known.query)] if closed else []),
            ],
        )


def year_around(calendar: Calendar, days: Period) -> Period:
    """Give the fiscal year in which a period begins."""
    years = (calendar.period(f"FY{number:04}") for number in (days.start.year, days.start.year - 1))
    return next((year for year in years if year.start <= days.start < year.end), days)


def _closed_as(closing: Iterable[PeriodSummary], days: Period) -> PeriodSummary | None:
    """Give the closed period of just these days; None where there is none."""
    same = (each for each in closing if (each.start, each.end) == (days.start, days.end))
    return next((each for each in same if each.statement_version is not None), None)


def _drifts(ledger: Client, closed: PeriodSummary | None, known: Known) -> dict[Owner, DriftAnswer] | None:
    """Give by how much each salesperson differs from the last statement; None where there is no statement."""
    if closed is None:
        return None
    drift = ledger.period(closed.period, known.point).answer.drift
    return {(each.salesperson_id, each.currency): each for each in drift}


def _totals(figures: Iterable[FigureAnswer]) -> list[dict[str, str]]:
    """Give the sums by currency, of the exact amounts."""
    by_currency = defaultdict[str, list[FigureAnswer]](list)
    for figure in figures:
        by_currency[figure.currency].append(figure)
    return [
        {
            "currency": currency,
            "credited": total((each.credited_exact for each in those), currency),
            "adjustments": total((each.adjustments_exact or "0" for each in those), currency),
            "total": total((each.total_exact or each.credited_exact for each in those), currency),
            "gross": total((each.gross_exact for each in those), currency),
        }
        for currency, those in sorted(by_currency.items())
    ]


def _charts(
    by_month: PerformanceAnswer, year: Period, changes: Iterable[RuleChangeAnswer]
) -> list[tuple[str, object, list[Month]]]:
    """Give for each currency the chart of a year's months, also of those without an order, and the same as rows."""
    begun, names = _begun(changes), _months(year)
    told = {(each.currency, each.group["month"]): Sums(each.credited, each.gross) for each in by_month.figures}
    charts = []
    for currency in sorted({currency for currency, _ in told}):
        nothing = Sums(total((), currency), total((), currency))
        months = [Month(name, told.get((currency, name), nothing), begun.get(name, [])) for name in names]
        charts.append((currency, _chart(currency, year, months), months))
    return charts


def _months(year: Period) -> list[str]:
    """Name the calendar months that have days of a year."""
    count = (year.last_day.year - year.start.year) * 12 + year.last_day.month - year.start.month + 1
    return [f"{first_of_month(year.start.year, year.start.month + number):%Y-%m}" for number in range(count)]


def _chart(currency: str, year: Period, months: list[Month]) -> object:
    title = translated(
        say("Credited by month of {year} in {currency}; ◆ rules that begin there", year=year.name, currency=currency)
    )
    return bars(
        title, [Bar(m.name, m.figure.credited, "; ".join(change.reason for change in m.changes)) for m in months]
    )


def _begun(changes: Iterable[RuleChangeAnswer]) -> dict[str, list[RuleChangeAnswer]]:
    """Give the approved rule changes by the months in which they begin to hold."""
    begun = defaultdict[str, list[RuleChangeAnswer]](list)
    for change in changes:
        if change.state == "approved":
            days = {getattr(each, "effective_from", None) for each in change.alterations}
            for month in sorted({f"{day:%Y-%m}" for day in days if isinstance(day, date)}):
                begun[month].append(change)
    return begun
