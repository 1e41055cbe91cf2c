"""Periods: the fiscal calendar, what its months, quarters and years are called, and which of them are closed. Pure.

Shape: 2026-03 is the calendar month, 2026-P03 the third fiscal month, 2026-Q1 and FY2026 the fiscal quarter and year,
2026-01-01..2026-04-01 a plain range (half-open), 2026-01..2026-03 the calendar months from the first to the last one.
A fiscal year that the calendar's table names has the table's days, and its quarters are three of its months; every
other year begins with the calendar's first month and is named after the calendar year in which it begins.

Where the table ends, its neighbours give way: the year before ends where the table begins, the year after begins where
it ends, so that the month beside the table is up to 15 days longer or shorter. That, and a table whose years follow
each other (ledger/settings.py sees to both before recording), puts every day into exactly one closing period.

A period that is closed has one name: 2026-P03, 2026-Q1 or FY2026. Another way of writing the same days is taken for it.
Source: design, section 4, "Periods".
"""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from ledger.checks import shown
from ledger.events import FiscalYear, LedgerOpened
from ledger.refusal import Code, Refusal
from ledger.wording import Sentence, say

CLOSES: Final = {"month": 1, "quarter": 3, "year": 12}
"""What a ledger can close, and how many fiscal months that is."""

_MONTH = re.compile(r"(\d{4})-(\d{2})\Z", re.ASCII)
_FISCAL_MONTH = re.compile(r"(\d{4})-P(0[1-9]|1[0-2])\Z", re.ASCII)
_QUARTER = re.compile(r"(\d{4})-Q([1-4])\Z", re.ASCII)
_YEAR = re.compile(r"FY(\d{4})\Z", re.ASCII)
_MONTHS = re.compile(r"(\d{4})-(\d{2})\.\.(\d{4})-(\d{2})\Z", re.ASCII)
_RANGE = re.compile(r"(\d{4}-\d{2}-\d{2})\.\.(\d{4}-\d{2}-\d{2})\Z", re.ASCII)


@dataclass(frozen=True)
class Period:
    """A named range of days [start, end)."""

    name: str
    start: date
    end: date

    @property
    def last_day(self) -> date:
        """The last day of it."""
        return self.end - timedelta(1)


@dataclass(frozen=True)
class Calendar:
    """The fiscal calendar: a start month, what is closed (month, quarter, year), and the years that a table gives."""

    first_month: int = 1
    closes: str = "quarter"
    years: tuple[FiscalYear, ...] = ()

    def period(self, text: str, *, pointer: str = "/period") -> Period:
        """Read a period; 2026-q1 is 2026-Q1.

        Errors: Refusal (invalid_period) for anything else.

        >>> Calendar(first_month=4).period("2026-Q1")
        Period(name='2026-Q1', start=datetime.date(2026, 4, 1), end=datetime.date(2026, 7, 1))
        """
        name = text.upper()
        try:
            days = self._days(name)
        except ValueError:
            days = None
        if days is None or not days[0] < days[1]:
            raise Refusal.of(
                Code.invalid_period,
                say("{text} is not a period", text=shown(text)),
                pointer,
            )
        return Period(name, *days)

    def closing_period(self, text: str, *, pointer: str = "/period") -> Period:
        """Read a period that this ledger closes, however its days are written, and give it its one name.

        Errors: Refusal (invalid_period, not_a_closing_period).

        >>> Calendar(first_month=4, closes="month").closing_period("2027-03").name
        '2026-P12'
        """
        asked = self.period(text, pointer=pointer)
        try:
            closing = self.closing_period_of(asked.start)
        except ValueError:  # a year before 1 or beyond 9999 begins there
            closing = None
        if closing is None or (closing.start, closing.end) != (asked.start, asked.end):
            example = (
                say(
                    ", such as {closing_name} ({closing_start} to {last_day})",
                    closing_name=closing.name,
                    closing_start=closing.start,
                    last_day=closing.last_day,
                )
                if closing
                else ""
            )
            raise Refusal.of(
                Code.not_a_closing_period,
                say(
                    "{text} ({asked_start} to {last_day}) is not a period that this ledger closes:"
                    " it closes each fiscal {closes}{example}",
                    text=text,
                    asked_start=asked.start,
                    last_day=asked.last_day,
                    closes=Sentence(self.closes),
                    example=example,
                ),
                pointer,
            )
        return closing

    def fiscal_period(self, text: str, *, pointer: str = "/period") -> Period:
        """Read a fiscal month, quarter or year, however its days are written, and give it its one name.

        Errors: Refusal (invalid_period).

        >>> Calendar().fiscal_period("2026-01-01..2026-04-01").name
        '2026-Q1'
        """
        asked = self.period(text, pointer=pointer)
        number = self._year_of(asked.start)
        bounds = self._bounds(number)
        for count in CLOSES.values():
            for first in range(0, 12, count):
                if (bounds[first], bounds[first + count]) == (asked.start, asked.end):
                    return Period(_name(number, first, count), asked.start, asked.end)
        raise Refusal.of(
            Code.invalid_period,
            say(
                "{text} ({asked_start} to {last_day}) is no whole fiscal month, quarter or year: write 2026-P03,"
                " 2026-Q1 or FY2026",
                text=text,
                asked_start=asked.start,
                last_day=asked.last_day,
            ),
            pointer,
        )

    def closing_period_of(self, day: date) -> Period:
        """Give the one closing period that a day is in."""
        number = self._year_of(day)
        bounds = self._bounds(number)
        month = max(index for index in range(12) if bounds[index] <= day)
        count = CLOSES[self.closes]
        first = month - month % count
        return Period(_name(number, first, count), bounds[first], bounds[first + count])

    def next_period(self, period: Period) -> Period:
        """Give the closing period that begins where a period ends."""
        return self.closing_period_of(period.end)

    def closing_periods(self, first: date, last: date) -> list[Period]:
        """Give the closing periods of the days from the first to the last one (included), in order."""
        periods = list[Period]()
        while first <= last:
            periods.append(self.closing_period_of(first))
            first = periods[-1].end
        return periods

    def _days(self, text: str) -> tuple[date, date] | None:
        if match := _MONTH.match(text):
            year, month = int(match[1]), int(match[2])
            return date(year, month, 1), first_of_month(year, month + 1)
        if match := _MONTHS.match(text):
            last = date(int(match[3]), int(match[4]), 1)
            return date(int(match[1]), int(match[2]), 1), first_of_month(last.year, last.month + 1)
        if match := _FISCAL_MONTH.match(text):
            return self._fiscal_days(int(match[1]), int(match[2]) - 1, 1)
        if match := _QUARTER.match(text):
            return self._fiscal_days(int(match[1]), 3 * (int(match[2]) - 1), 3)
        if match := _YEAR.match(text):
            return self._fiscal_days(int(match[1]), 0, 12)
        if match := _RANGE.match(text):
            return date.fromisoformat(match[1]), date.fromisoformat(match[2])
        return None

    def _fiscal_days(self, number: int, first: int, count: int) -> tuple[date, date]:
        bounds = self._bounds(number)
        return bounds[first], bounds[first + count]

    def _bounds(self, number: int) -> list[date]:
        """Give the first days of a fiscal year's twelve months, and the first day after it."""
        for year in self.years:
            if year_number(year) == number:
                return [*year.months_start, year.end]
        bounds = [first_of_month(number, self.first_month + month) for month in range(13)]
        if self.years and number == year_number(self.years[0]) - 1:
            bounds[12] = self.years[0].months_start[0]
        if self.years and number == year_number(self.years[-1]) + 1:
            bounds[0] = self.years[-1].end
        return bounds

    def _year_of(self, day: date) -> int:
        """Give the number of the fiscal year that a day is in."""
        by_months = day.year if day.month >= self.first_month else day.year - 1
        if not self.years:
            return by_months
        if day < self.years[0].months_start[0]:
            return min(by_months, year_number(self.years[0]) - 1)
        if day >= self.years[-1].end:
            return max(by_months, year_number(self.years[-1]) + 1)
        return next(year_number(year) for year in self.years if day < year.end)


def calendar_of(settings: LedgerOpened | None) -> Calendar:
    """Give the calendar that the ledger's settings make; without settings, the calendar year by quarters."""
    if settings is None:
        return Calendar()
    return Calendar(settings.fiscal_year_starts_in, settings.closes, settings.calendar)


def parse_period(text: str, calendar: Calendar | None = None) -> Period:
    """Read a period; without a calendar, by calendar years.

    Errors: Refusal (invalid_period).
    """
    return (calendar or Calendar()).period(text)


def is_year_name(name: str) -> bool:
    """Say whether a fiscal year can be called so: FY and four digits."""
    return _YEAR.match(name) is not None


def year_number(year: FiscalYear) -> int:
    """Give the number in a fiscal year's name."""
    return int(year.name[2:])


def first_of_month(year: int, month: int) -> date:
    """Give the first day of a month, which may be beyond 12 (it is of a later year then)."""
    months = year * 12 + month - 1
    return date(months // 12, months % 12 + 1, 1)


def _name(number: int, first: int, count: int) -> str:
    names = {1: f"{number:04}-P{first + 1:02}", 3: f"{number:04}-Q{first // 3 + 1}", 12: f"FY{number:04}"}
    return names[count]
