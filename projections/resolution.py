"""Resolving the rulebook for the calculation: from rules that people wrote to dated intervals that SQL can join.

A line's profile is its values of the attributes that rules name (profiles.py). The profiles are listed, each is
resolved by the same function that explains an order (Rules.resolve), and the small table of intervals is joined back
by the SQL. So there is one resolution, and no engine's dialect in it.
Source: design, section 5, "The calculation".
"""

import threading
from collections.abc import Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from ledger.database import Cursor, execute_exactly, one
from ledger.events import Conditions
from ledger.rules import Rules
from ledger.timeline import FIRST_DAY, LAST_DAY
from projections.attributes import COLUMNS, Attributes, array_sql, every_term, named_terms
from projections.profiles import Attribute, Profiles

PROFILES_LISTED_MAX = 200
AMOUNT = "p.amount"
AMOUNT_OF_ANY_SIZE = "CAST(p.amount AS numeric(38, 0))"

_HEADER = "position, order_key, salesperson, ordered_on, credited_on, order_type, customer, currency"


@dataclass(frozen=True)
class Scope:
    """Which credit lines: those credited on the days [start, end), as known at a position."""

    start: date
    end: date
    position: int


@dataclass(frozen=True)
class Interval:
    """Lines of one profile, ordered on the days [valid_from, valid_to), count at a share by a rule (its index)."""

    profile: tuple[int, ...]
    valid_from: date
    valid_to: date
    share: int
    rule: int


class _Met:
    """The profiles of a period's lines up to a position, and the days between which their orders lie."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.position = 0
        self.days = dict[tuple[int, ...], tuple[date, date]]()


@lru_cache(maxsize=64)
def _met_profiles(_key: Hashable) -> _Met:
    """Remember the profiles between calculations: after a change of shares, and for the lines of yesterday, they are
    the same.
    """
    return _Met()


class Resolution:
    """The rulebook resolved for the credit lines of a scope: the parts of the SQL that depend on the rules.

    Shape: `versions` are the rule versions that an interval's `rule` indexes.
    """

    def __init__(self, cursor: Cursor, rules: Rules, scope: Scope) -> None:
        self.scope = scope
        self.versions = [version for versions in rules.versions.values() for version in versions]
        named = {attribute: rules.values(attribute) for attribute in COLUMNS}
        terms = named_terms(cursor, named) | {"order_type": every_term(cursor, "order_type")}
        self.attributes = Attributes(cursor, scope.position)
        self.profiles = Profiles(
            [
                Attribute(name, self.attributes.value(name), terms[name], all_named=name == "order_type")
                for name in COLUMNS
                if terms[name]
            ]
        )
        self._named = [name for name in COLUMNS if terms[name]]
        self.intervals = list(self._resolved(cursor, rules))

    def _resolved(self, cursor: Cursor, rules: Rules) -> Iterator[Interval]:
        index = {id(version): number for number, version in enumerate(self.versions)}
        for profile, first_day, last_day in self._listed(cursor):
            for part in rules.resolve(Conditions(**self.profiles.texts(profile))):
                assert part.value.share is not None, "a deciding version has a share"
                if part.start <= last_day and first_day < part.end:
                    yield Interval(profile, part.start, part.end, part.value.share, index[id(part.value)])

    def _listed(self, cursor: Cursor) -> Iterator[tuple[tuple[int, ...], date, date]]:
        """List the profiles that lines may have, and the days between which their orders lie.

        Shape: all combinations on all days, or where those are many, the profiles and days there are. Of these some
        may be from beyond the position: one that no line has makes no difference.
        """
        if self.profiles.count <= PROFILES_LISTED_MAX:
            return ((profile, FIRST_DAY, LAST_DAY) for profile in self.profiles.combinations())
        met = _met_profiles(self._met_key(cursor))
        with met.lock:
            if met.position < self.scope.position:
                self._meet(cursor, met)
            return ((profile, *days) for profile, days in [*met.days.items()])

    def _met_key(self, cursor: Cursor) -> Hashable:
        """Name what decides which profiles the lines of the period have: how they are numbered, and the facts known."""
        numbered = self.profiles.sql(), self.profiles.joins()
        told = self.attributes.told_position(cursor)
        cursor.execute("SELECT oid FROM pg_namespace WHERE nspname = current_schema()")  # a name may be used again
        return cursor.connection.dsn, one(cursor), self.scope.start, self.scope.end, numbered, told

    def _meet(self, cursor: Cursor, met: "_Met") -> None:
        """Look at the lines behind the position up to which the period's profiles are known."""
        columns = ", ".join(self.profiles.columns)
        cursor.execute(
            f"SELECT {columns}, min(ordered_on), max(ordered_on)"  # noqa: S608 - numbers of ours
            f" FROM (SELECT l.ordered_on, {self.profiles.sql()} FROM {self.credits()} l {self.joins()}"
            " WHERE l.credited_on >= %s AND l.credited_on < %s AND l.position > %s AND l.position <= %s) AS profiled"
            f" GROUP BY {columns}",
            (self.scope.start, self.scope.end, met.position, self.scope.position),
        )
        for *profile, first_day, last_day in cursor.fetchall():
            known = met.days.get(tuple(profile), (first_day, last_day))
            met.days[tuple(profile)] = min(first_day, known[0]), max(last_day, known[1])
        met.position = self.scope.position

    def joins(self, *more: str) -> str:
        """Give the joins that a line's profile, and more attributes that the caller asks for, need."""
        return f"{self.attributes.joins([*self._named, *more])} {self.profiles.joins()}"

    @property
    def names_products(self) -> bool:
        """Say whether some rule tells the products of one order apart."""
        return bool(self._named_products())

    def credits(self, *, by_product: bool = False) -> str:
        """Give the table that the calculation reads."""
        return "credit_line" if by_product else credits_sql(self._named_products())

    def orders_with_named_products(self) -> str:
        """Give the condition under which a line (l) is of an order with a product or category that rules name."""
        return (
            "AND l.order_key IN (SELECT order_key FROM credit_line"  # noqa: S608 - numbers and dates of ours
            f" WHERE ({self._named_products()}) AND credited_on >= DATE '{self.scope.start}'"
            f" AND credited_on < DATE '{self.scope.end}' AND position <= {self.scope.position})"
        )

    def _named_products(self) -> str:
        return named_products(self.attributes, {each.name: each.terms for each in self.profiles.attributes})

    def sql_parts(self) -> dict[str, str]:
        """Give the parts of the SQL files that depend on the rules and the scope, by their names there."""
        return {
            "profile": self.profiles.sql(),
            "profile_match": self.profiles.match(),
            "joins": self.joins(),
            "rules": self._rules_sql(),
            "start": f"DATE '{self.scope.start}'",
            "end": f"DATE '{self.scope.end}'",
            "position": str(self.scope.position),
        }

    def _rules_sql(self) -> str:
        """Give the resolved intervals as a common table expression."""
        columns = ", ".join([*self.profiles.columns, "valid_from", "valid_to", "share", "rule"])
        packs = [[part.profile[number] for part in self.intervals] for number in range(len(self.profiles.columns))]
        arrays = [
            *(array_sql(pack, "bigint") for pack in packs),
            array_sql([part.valid_from for part in self.intervals], "date"),
            array_sql([part.valid_to for part in self.intervals], "date"),
            array_sql([part.share for part in self.intervals], "integer"),
            array_sql([part.rule for part in self.intervals], "integer"),
        ]
        return f"rule_interval AS (SELECT * FROM unnest({', '.join(arrays)}) AS given ({columns})),"  # noqa: S608


def calculate(cursor: Cursor, statement: str, parts: Mapping[str, str]) -> list[tuple[int, ...]]:
    """Run one of the SQL files that multiply amounts by shares, and give its rows.

    Products of 63 bits are tried first; the server refuses those that need more.
    """
    first, otherwise = (statement.format(amount=amount, **parts) for amount in (AMOUNT, AMOUNT_OF_ANY_SIZE))
    execute_exactly(cursor, first, otherwise)
    return cursor.fetchall()


def named_products(attributes: Attributes, terms: Mapping[str, Collection[int]]) -> str:
    """Give the condition under which a credit line has a product or category among these; "" where there is none."""
    named = [
        f"{COLUMNS[name]} IN ({', '.join(map(str, terms[name]))})"
        for name in ("product_id", "category")
        if terms.get(name)
    ]
    if terms.get("category") and attributes.is_told("category"):
        named.append("product IN (SELECT owner FROM product_category)")
    return " OR ".join(named)


def credits_sql(named: str) -> str:
    """Give a table that has the sums of the credit lines, with products only where this condition names them.

    Shape: of the lines that it names, the cell's part is taken back and the line put in its place; all other lines
    are in their cells, without product and category.
    """
    if not named:
        return "credit_cell"
    return (
        f"(SELECT {_HEADER}, quantity, amount, lines, orders, 0 AS product, 0 AS category FROM credit_cell"  # noqa: S608
        f" UNION ALL SELECT {_HEADER}, quantity, amount, lines, CAST(0 AS smallint), product, category"
        f" FROM credit_line WHERE {named}"
        f" UNION ALL SELECT {_HEADER}, -quantity, -amount, CAST(-lines AS smallint), CAST(0 AS smallint), 0, 0"
        f" FROM credit_line WHERE {named})"
    )
