"""The fiscal calendar: on which days a closing period begins and ends.

Shape: 2026-P03 is the third fiscal month, 2026-Q1 and FY2026 the fiscal quarter and year; [start, end), as ISO days. A
year that the ledger's table of fiscal years names has the table's days, the others begin with the ledger's first month;
the year before the first named one ends where that begins, the one after the last begins where that ends.
Source: docs/events.md, "The ledger".
"""

import re
from typing import Any

from verifier.findings import Malformed, shown

_NAMES = {
    "month": re.compile(r"(\d{4})-P(0[1-9]|1[0-2])", re.ASCII),
    "quarter": re.compile(r"(\d{4})-Q([1-4])", re.ASCII),
    "year": re.compile(r"FY(\d{4})", re.ASCII),
}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}


def period_days(settings: dict[str, Any], name: str) -> tuple[str, str]:
    """Give the first day of a closing period and the first one after it, by the data of ledger.opened.

    Errors: Malformed where the ledger closes no period of that name.

    >>> period_days({"fiscal_year_starts_in": 4}, "2026-Q4")
    ('2027-01-01', '2027-04-01')
    """
    closes = settings.get("closes") or "quarter"
    match = _NAMES[closes].fullmatch(name)
    if match is None:
        raise Malformed(f"{shown(name)} is not the name of a period that this ledger closes: it closes each {closes}")
    bounds = _bounds(settings, int(match[1]))
    months = _MONTHS[closes]
    first = 0 if closes == "year" else months * (int(match[2]) - 1)
    return bounds[first], bounds[first + months]


def _bounds(settings: dict[str, Any], year: int) -> list[str]:
    """Give the first days of a fiscal year's twelve months, and the first day after it."""
    table = settings.get("calendar") or []
    for named in table:
        if len(named["months_start"]) != 12:
            raise Malformed(f"fiscal year {named['name']} has not twelve months")
    numbers = [int(named["name"][2:]) for named in table]
    if year in numbers:
        named = table[numbers.index(year)]
        return [*named["months_start"], named["end"]]
    first_month = settings.get("fiscal_year_starts_in") or 1
    bounds = [_first_of_month(year, first_month + month) for month in range(13)]
    if numbers and year == numbers[0] - 1:
        bounds[12] = table[0]["months_start"][0]
    if numbers and year == numbers[-1] + 1:
        bounds[0] = table[-1]["end"]
    return bounds


def _first_of_month(year: int, month: int) -> str:
    months = year * 12 + month - 1
    return f"{months // 12:04}-{months % 12 + 1:02}-01"
