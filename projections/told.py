"""What an explanation tells of an order as it is: the events of its life, and its values with who says them."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum


class Origin(StrEnum):
    """Who says a value."""

    fact = "fact"
    order = "order"
    nobody = "nobody"


@dataclass(frozen=True)
class LifeEvent:
    """One event of the order's life."""

    position: int
    type: str
    recorded_at: datetime
    effective_on: date
    actor: str


@dataclass(frozen=True)
class Told:
    """A value that holds for a credit line, and what says so: a reference fact, the order itself, or nobody.

    Shape: position, recorded_at and actor are of the event that says it; the days and the reason are a fact's.
    """

    value: str | None
    origin: Origin
    position: int | None = None
    recorded_at: datetime | None = None
    actor: str | None = None
    effective_from: date | None = None
    effective_to: date | None = None
    reason: str | None = None
