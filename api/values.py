"""The values of answers: money, quantities and shares are decimal strings, never JSON numbers; instants are UTC.

The types document the fields of answers (OpenAPI is made from them); nothing is checked by them.
"""

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta

from ledger.events import ExactAmount, Share

__all__ = ["UNASSIGNED", "ExactAmount", "Instant", "Money", "Quantity", "Ratio", "Share"]

UNASSIGNED: Final = "~unassigned"
"""Stands for nobody where a salesperson is named."""

_DECIMAL: Final = {"pattern": r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"}

Instant = Annotated[datetime, Meta(tz=True, description="An instant, RFC 3339 in UTC.")]
Money = Annotated[
    str,
    Meta(
        description="Money as a decimal string, rounded half-up to the currency's minor unit.",
        examples=["12.50"],
        extra_json_schema=_DECIMAL,
    ),
]
Quantity = Annotated[
    str, Meta(description="A quantity as an exact decimal string.", examples=["4"], extra_json_schema=_DECIMAL)
]
Ratio = Annotated[
    str,
    Meta(
        description="A ratio as a decimal string with at most four decimals, rounded half-up.",
        examples=["0.8750"],
        extra_json_schema=_DECIMAL,
    ),
]
