"""A credit line's attributes as SQL: its own columns, and what reference facts say of it as known at a position.

The facts' tables are bitemporal: a value holds on the days [valid_from, valid_to) as known at the positions [position,
superseded). A customer's class and a product's category are those of the order's day, a salesperson's team is that of
the day of the credit. What no fact of the ledger is about is not joined.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from ledger.database import Cursor, one

COLUMNS: Final[Mapping[str, str]] = {
    "product_id": "product",
    "category": "category",
    "customer_id": "customer",
    "customer_class": "customer_class",
    "salesperson_id": "salesperson",
    "order_type": "order_type",
}
"""The column, and the kind of term, of each attribute of the conditions, in order of precedence."""


@dataclass(frozen=True)
class FactTable:
    """Where the facts that say an attribute are, which column of a line they are about, and on which day."""

    table: str
    owner: str
    day: str
    otherwise: str

    @property
    def alias(self) -> str:
        """Give the name of the joined table."""
        return f"{self.table}_fact"


FACT_TABLES: Final[Mapping[str, FactTable]] = {
    "customer_class": FactTable("customer_class", "customer", "ordered_on", "0"),
    "category": FactTable("product_category", "product", "ordered_on", "l.category"),
    "team": FactTable("salesperson_team", "salesperson", "credited_on", "0"),
}


class Attributes:
    """The attributes of credit lines (l) as known at a position."""

    def __init__(self, cursor: Cursor, position: int) -> None:
        self._position = position
        cursor.execute(
            "SELECT " + ", ".join(f"EXISTS (SELECT FROM {fact.table})" for fact in FACT_TABLES.values())  # noqa: S608
        )
        row = cursor.fetchone() or ()
        self._told = {name for name, exists in zip(FACT_TABLES, row, strict=True) if exists}

    def is_told(self, name: str) -> bool:
        """Say whether the ledger has facts that say this attribute."""
        return name in self._told

    def told_position(self, cursor: Cursor) -> int:
        """Give the position of the last fact known: between two positions with the same, facts say the same."""
        if not self._told:
            return 0
        tables = " UNION ALL ".join(f"SELECT position FROM {FACT_TABLES[name].table}" for name in sorted(self._told))  # noqa: S608
        cursor.execute(f"SELECT max(position) FROM ({tables}) AS told WHERE position <= %s", (self._position,))  # noqa: S608
        return one(cursor)[0] or 0

    def value(self, name: str) -> str:
        """Give the SQL of an attribute's value, a term; 0: none."""
        fact = FACT_TABLES.get(name)
        if fact is None:
            return f"l.{COLUMNS[name]}"
        return f"coalesce({fact.alias}.value, {fact.otherwise})" if name in self._told else fact.otherwise

    def joins(self, names: Iterable[str]) -> str:
        """Give the joins that the values of these attributes need."""
        return " ".join(
            f"LEFT JOIN {fact.table} {fact.alias} ON {fact.alias}.owner = l.{fact.owner}"
            f" AND l.{fact.day} >= {fact.alias}.valid_from AND l.{fact.day} < {fact.alias}.valid_to"
            f" AND {fact.alias}.position <= {self._position} AND {fact.alias}.superseded > {self._position}"
            for name in dict.fromkeys(names)
            if name in self._told and (fact := FACT_TABLES[name]) is not None
        )


def named_terms(cursor: Cursor, named: Mapping[str, Iterable[str]]) -> dict[str, dict[int, str]]:
    """Give the terms, integer -> text, of these values by attribute; a value that no line ever had is left out."""
    kinds = [COLUMNS[attribute] for attribute, values in named.items() for _ in values]
    texts = [value for values in named.values() for value in values]
    found = {kind: dict[int, str]() for kind in COLUMNS.values()}
    if texts:
        cursor.execute(
            "SELECT kind, id, value FROM term"
            " JOIN unnest(%s::text[], %s::text[]) AS named (kind, value) USING (kind, value)",
            (kinds, texts),
        )
        for kind, term, value in cursor:
            found[kind][term] = value
    return {attribute: found[kind] for attribute, kind in COLUMNS.items()}


def every_term(cursor: Cursor, attribute: str) -> dict[int, str]:
    """Give all terms of an attribute, integer -> text: also of values that no rule names any more, or yet."""
    cursor.execute("SELECT id, value FROM term WHERE kind = %s", (COLUMNS[attribute],))
    return dict(cursor.fetchall())


def array_sql(values: Iterable[object], kind: str) -> str:
    """Write an array of integers or dates as one literal, which is read many times faster than a list of them."""
    return f"'{{{','.join(map(str, values))}}}'::{kind}[]"
