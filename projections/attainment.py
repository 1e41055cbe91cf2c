"""Attainment: how far salespeople are towards their quotas of a period, as known at a position.

A quota set for the very period holds; else those set for parts of it are summed, quarters before months. So a year's
attainment follows from its quarters' quotas where no year's quota was set.
Source: design, section 4, "Reference facts".
"""

from collections import defaultdict
from datetime import date

from ledger.periods import Period
from ledger.statements import Key
from ledger.store import Store
from projections.performance import reading


def quotas(store: Store, period: Period, *, position: int | None = None) -> dict[Key, int]:
    """Give the quotas of a period by salesperson and currency, in micros.

    Errors: Refusal (not_yet_projected) when the position asked for is not projected yet.
    """
    parts = _parts(store, period)
    with reading(store, position) as (cursor, known):
        cursor.execute(
            "SELECT term.value, quota.currency, quota.period, quota.amount FROM quota"
            " JOIN term ON term.id = quota.salesperson"
            " WHERE quota.period = ANY(%s) AND quota.position <= %s AND quota.superseded > %s",
            (list(parts), known, known),
        )
        by_rank = dict[Key, dict[int, int]]()
        for salesperson_id, currency, name, amount in cursor:
            sums = by_rank.setdefault((salesperson_id, currency), defaultdict(int))
            sums[parts[name]] += amount
    return {key: sums[min(sums)] for key, sums in by_rank.items()}


def _parts(store: Store, period: Period) -> dict[str, int]:
    """Name the periods whose quotas are of this one or a part of it, with their rank: the coarser goes before."""
    calendar = store.calendar()
    names = {period.name: 0}
    for year in range(max(period.start.year - 1, 1), min(period.end.year + 1, date.max.year) + 1):
        quarters = [f"{year:04}-Q{number}" for number in range(1, 5)]
        months = [f"{year:04}-P{number:02}" for number in range(1, 13)]
        calendar_months = [f"{year:04}-{number:02}" for number in range(1, 13)]
        for rank, kind in enumerate(([f"FY{year:04}"], quarters, months, calendar_months), 1):
            for name in kind:
                part = calendar.period(name)
                if period.start <= part.start and part.end <= period.end:
                    names.setdefault(name, rank)
    return names
