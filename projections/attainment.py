"""Attainment: how far salespeople are towards their quotas of a period, as known at a position.

A quota set for the very period holds; else those set for parts of it are summed, quarters before months. So a year's
attainment follows from its quarters' quotas where no year's quota was set.
Source: design, section 4, "Reference facts".
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date

from ledger.periods import Period
from ledger.statements import Key as Owner
from ledger.store import Store
from projections.performance import Figure, Key, Performance, reading


@dataclass(frozen=True)
class Attained:
    """A salesperson's figure beside the quota. Units: quota in micros; None where there is none."""

    figure: Figure
    quota: int | None


def quotas(store: Store, period: Period, *, position: int | None = None) -> dict[Owner, int]:
    """Give the quotas of a period by salesperson and currency, in micros.

    Errors: Refusal (not_yet_projected) when the position asked for is not projected yet.
    """
    return {(person.value, currency): amount for (person, currency), amount in _quotas(store, period, position).items()}


def attained(store: Store, performance: Performance) -> list[Attained]:
    """Give figures by salesperson beside the quotas known at the same position.

    Shape: who has a quota and no credit is there with a figure of nothing, so that nobody's zero goes unseen.
    """
    assert performance.group_by == ("salesperson",), "quotas are of salespeople"
    found = _quotas(store, performance.period, performance.view.position)
    figures = {(figure.keys[0].value, figure.currency): figure for figure in performance.figures}
    amounts = {(person.value, currency): amount for (person, currency), amount in found.items()}
    for person, currency in found:
        figures.setdefault((person.value, currency), Figure((person,), currency, 0, 0, 0, 0, 0, 0))
    return [Attained(figures[key], amounts.get(key)) for key in sorted(figures, key=lambda key: (key[0] or "", key[1]))]


def _quotas(store: Store, period: Period, position: int | None) -> dict[tuple[Key, str], int]:
    parts = _parts(store, period)
    with reading(store, position) as (cursor, known):
        cursor.execute(
            "SELECT term.value, term.name, quota.currency, quota.period, quota.amount FROM quota"
            " JOIN term ON term.id = quota.salesperson"
            " WHERE quota.period = ANY(%s) AND quota.position <= %s AND quota.superseded > %s",
            (list(parts), known, known),
        )
        by_rank = dict[tuple[Key, str], dict[int, int]]()
        for value, text, currency, name, amount in cursor:
            sums = by_rank.setdefault((Key(value, text), currency), defaultdict(int))
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
