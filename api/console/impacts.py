"""Two impacts of one rule change beside each other: as it was seen, and as it is now."""

from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeVar

from api.shapes import ImpactAnswer, ImpactLineAnswer, ImpactTotal, MovedAmounts

Moved = TypeVar("Moved", bound=MovedAmounts)


class Beside(NamedTuple, Generic[Moved]):
    """What a change moves in one place, as it was seen and as it is now; None where it moved or moves nothing."""

    then: Moved | None
    now: Moved | None

    @property
    def either(self) -> Moved:
        """Give the one that is there, for its names."""
        told = self.now or self.then
        assert told is not None, "one of both is there"
        return told

    @property
    def differs(self) -> bool:
        """Say whether the two are not the same."""
        return self.then != self.now


def lines_beside(then: ImpactAnswer, now: ImpactAnswer) -> list[Beside[ImpactLineAnswer]]:
    """Give the lines of two impacts beside each other, by salesperson, period and currency."""
    return _beside(_lines(then), _lines(now))


def totals_beside(then: ImpactAnswer, now: ImpactAnswer) -> list[Beside[ImpactTotal]]:
    """Give the totals of two impacts beside each other, by period and currency."""
    return _beside(_totals(then.totals), _totals(now.totals))


def _lines(impact: ImpactAnswer) -> dict[tuple[str, ...], ImpactLineAnswer]:
    return {(each.salesperson_id or "", each.period, each.currency): each for each in impact.lines}


def _totals(totals: Iterable[ImpactTotal]) -> dict[tuple[str, ...], ImpactTotal]:
    return {(each.period, each.currency): each for each in totals}


def _beside(then: dict[tuple[str, ...], Moved], now: dict[tuple[str, ...], Moved]) -> list[Beside[Moved]]:
    return [Beside(then.get(key), now.get(key)) for key in sorted({*then, *now})]
