"""Periods: fiscal months, quarters and years, and plain ranges of days. Pure.

Shape: 2026-03 (the calendar month), 2026-Q1 and FY2026 (of the fiscal year that begins in the ledger's start month and
is named after the calendar year in which it begins), and 2026-01-01..2026-04-01 (half-open).
"""

import re
from dataclasses import dataclass
from datetime import date

from ledger.checks import shown
from ledger.refusal import Code, Refusal

_MONTH = re.compile(r"(\d{4})-(\d{2})\Z", re.ASCII)
_QUARTER = re.compile(r"(\d{4})-Q([1-4])\Z", re.ASCII)
_YEAR = re.compile(r"FY(\d{4})\Z", re.ASCII)
_RANGE = re.compile(r"(\d{4}-\d{2}-\d{2})\.\.(\d{4}-\d{2}-\d{2})\Z", re.ASCII)


@dataclass(frozen=True)
class Period:
    """A named range of days [start, end)."""

    name: str
    start: date
    end: date


def parse_period(text: str, *, fiscal_year_starts_in: int = 1) -> Period:
    """Read a period.

    Errors: Refusal (invalid_period) for anything else.

    >>> parse_period("2026-Q1", fiscal_year_starts_in=4)
    Period(name='2026-Q1', start=datetime.date(2026, 4, 1), end=datetime.date(2026, 7, 1))
    """
    try:
        start, end = _days(text, fiscal_year_starts_in)
    except ValueError:
        start, end = None, None
    if start is None or end is None or not start < end:
        raise Refusal.of(
            Code.invalid_period,
            f"{shown(text)} is not a period: write 2026-03, 2026-Q1, FY2026 or 2026-01-01..2026-04-01 (half-open)",
            "/period",
        )
    return Period(text, start, end)


def _days(text: str, first_month: int) -> tuple[date | None, date | None]:
    if match := _MONTH.match(text):
        return _months(int(match[1]), int(match[2]), 1)
    if match := _QUARTER.match(text):
        return _months(int(match[1]), first_month + 3 * (int(match[2]) - 1), 3)
    if match := _YEAR.match(text):
        return _months(int(match[1]), first_month, 12)
    if match := _RANGE.match(text):
        return date.fromisoformat(match[1]), date.fromisoformat(match[2])
    return None, None


def _months(year: int, month: int, count: int) -> tuple[date, date]:
    """Give `count` months from a month on, which may be beyond 12 (it is of the next year then)."""
    if month < 1 or (month > 12 and count == 1):
        raise ValueError("no such month")
    first, last = year * 12 + month - 1, year * 12 + month - 1 + count
    return date(first // 12, first % 12 + 1, 1), date(last // 12, last % 12 + 1, 1)
