"""Attainment: how far salespeople are towards their quotas of a period, as known at a position.

A quota set for the very period holds; else those set for parts of it are summed, the longer part before the shorter:
a quarter's quota before those of its months, which then count for the other quarters only. So a year's attainment
follows from its quarters' and months' quotas where no year's quota was set.
Source: design, section 4, "Reference facts".
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from ledger.periods import Calendar, Period
from ledger.statements import Key as Owner
from ledger.store import Store
from projections.performance import Figure, Key, Performance, reading


@dataclass(frozen=True)
class Attained:
    """A salesperson's figure beside the quota, and the positions of the facts that set it.

    Units: quota in micros; None where there is none.
    """

    figure: Figure
    quota: int | None
    quota_positions: tuple[int, ...] = ()


def quotas(store: Store, period: Period, *, position: int | None = None) -> dict[Owner, int]:
    """Give the quotas of a period by salesperson and currency, in micros.

    Errors: Refusal (not_yet_projected) when the position asked for is not projected yet.
    """
    found = _quotas(store, period, position)
    return {(person.value, currency): amount for (person, currency), (amount, _) in found.items()}


def attained(store: Store, performance: Performance) -> list[Attained]:
    """Give figures by salesperson beside the quotas known at the same position.

    Shape: who has a quota and no credit is there with a figure of nothing, so that nobody's zero goes unseen.
    """
    assert performance.group_by == ("salesperson",), "quotas are of salespeople"
    found = _quotas(store, performance.period, performance.view.position)
    figures = {(figure.keys[0].value, figure.currency): figure for figure in performance.figures}
    told = {(person.value, currency): quota for (person, currency), quota in found.items()}
    for person, currency in found:
        figures.setdefault((person.value, currency), Figure((person,), currency, 0, 0, 0, 0, 0, 0))
    places = sorted(figures, key=lambda key: (key[0] or "", key[1]))
    return [Attained(figures[key], *told.get(key, (None, ()))) for key in places]


def _quotas(store: Store, period: Period, position: int | None) -> dict[tuple[Key, str], tuple[int, tuple[int, ...]]]:
    """Give the quotas of a period, each with the positions of the facts that set it, by salesperson and currency."""
    parts = quota_parts(store.calendar(), period)
    with reading(store, position) as (cursor, known):
        cursor.execute(
            "SELECT term.value, term.name, quota.currency, quota.period, quota.amount, quota.position FROM quota"
            " JOIN term ON term.id = quota.salesperson"
            " WHERE quota.period = ANY(%s) AND quota.position <= %s AND quota.superseded > %s",
            ([part.name for part in parts], known, known),
        )
        found = dict[tuple[Key, str], dict[str, tuple[int, int]]]()
        for value, text, currency, name, amount, set_at in cursor:
            found.setdefault((Key(value, text), currency), {})[name] = amount, set_at
    summed = dict[tuple[Key, str], tuple[int, tuple[int, ...]]]()
    for key, named in found.items():
        taken = [named[name] for name in _taken(parts, named)]
        summed[key] = sum(amount for amount, _ in taken), tuple(sorted(set_at for _, set_at in taken))
    return summed


def effective_quota(parts: Sequence[Period], named: Mapping[str, int]) -> int | None:
    """Give the quota that those set for parts of a period make, None where there is none.

    Shape: `parts` are the period itself and what lies in it, the longer before the shorter.
    """
    taken = _taken(parts, named)
    return sum(named[name] for name in taken) if taken else None


def _taken(parts: Sequence[Period], named: Collection[str]) -> list[str]:
    """Name the parts whose quotas make that of a period."""
    taken = list[Period]()
    for part in parts:
        if part.name in named and not any(part.start < other.end and other.start < part.end for other in taken):
            taken.append(part)
    return [part.name for part in taken]


@lru_cache(maxsize=64)
def quota_parts(calendar: Calendar, period: Period) -> tuple[Period, ...]:
    """Give a period and the fiscal years, quarters and months within it, the longer before the shorter."""
    years = range(max(period.start.year - 1, 1), min(period.end.year + 1, date.max.year) + 1)
    names = [
        *(f"FY{year:04}" for year in years),
        *(f"{year:04}-Q{number}" for year in years for number in range(1, 5)),
        *(f"{year:04}-P{number:02}" for year in years for number in range(1, 13)),
    ]
    within = [
        part for name in names if period.start <= (part := calendar.period(name)).start and part.end <= period.end
    ]
    return period, *(part for part in within if part.name != period.name)
