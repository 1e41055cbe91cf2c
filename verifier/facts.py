"""What is known of customers and products on a day: a customer's class, a product's category.

Each fact says a value for the days [effective_from, effective_to); on each day the latest recorded holds. A product's
category by such a fact goes before the one that the order line says, even where the fact says: none.
Source: docs/events.md, "Reference facts".
"""

from collections.abc import Iterable

from verifier.documents import Event
from verifier.orders import LAST_DAY, Entry

_VALUES = {"customer.classified": "customer_class", "product.categorised": "category"}


class Facts:
    """The classes and categories as known at a position."""

    def __init__(self, events: Iterable[Event], position: int) -> None:
        self._said = dict[tuple[str, str], list[Event]]()
        for event in events:
            if event.type in _VALUES and event.position <= position:
                self._said.setdefault((event.type, event.owner_id), []).append(event)

    def customer_class(self, entry: Entry) -> str | None:
        """Give the class of the customer on the order's day."""
        return self._value("customer.classified", entry.customer_id, entry.ordered_on, None)

    def category(self, entry: Entry) -> str | None:
        """Give the category of the product on the order's day."""
        return self._value("product.categorised", entry.product_id, entry.ordered_on, entry.category)

    def _value(self, kind: str, owner_id: str, day: str, otherwise: str | None) -> str | None:
        for event in reversed(self._said.get((kind, owner_id), ())):
            if event.data["effective_from"] <= day < (event.data.get("effective_to") or LAST_DAY):
                value: str | None = event.data[_VALUES[kind]]
                return value
        return otherwise
