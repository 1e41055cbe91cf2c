"""Resolving the rulebook for the calculation: from rules that people wrote to dated intervals that SQL can join.

A line's profile is its values of the attributes that rules name, every value that no rule names folded into 0. The
profiles are listed, each is resolved by the same function that explains an order (Rules.resolve), and the small table
of intervals is joined back by the SQL. So there is one resolution, and no engine's dialect in it.
Source: design, section 5, "The calculation".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import product
from math import prod

from ledger.database import Cursor
from ledger.events import Conditions
from ledger.rulebook import Rules
from projections.terms import NONE

PROFILES_LISTED_MAX = 2_000
COLUMNS: Mapping[str, str] = {
    "product_id": "product",
    "category": "category",
    "customer_id": "customer",
    "customer_class": "customer_class",
    "salesperson_id": "salesperson",
    "order_type": "order_type",
}
"""The column, and the kind of term, of each attribute of the conditions, in order of precedence."""


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


class Resolution:
    """The rulebook resolved for the credit lines of a scope: the parts of the SQL that depend on the rules.

    Shape: `attributes` are those that rules name, `values` the terms they name of each; `versions` are the rule
    versions that an interval's `rule` indexes.
    """

    def __init__(self, cursor: Cursor, rules: Rules, scope: Scope) -> None:
        self.scope = scope
        self.versions = [version for versions in rules.versions.values() for version in versions]
        named = {attribute: rules.values(attribute) for attribute in COLUMNS}
        named["order_type"] = named["order_type"] or {""}
        terms = _terms(cursor, named)
        self.attributes = [attribute for attribute in COLUMNS if named[attribute]]
        self.values = {attribute: terms[attribute] for attribute in self.attributes}
        self.intervals = list(self._resolved(cursor, rules))

    def _resolved(self, cursor: Cursor, rules: Rules) -> Iterator[Interval]:
        index = {id(version): number for number, version in enumerate(self.versions)}
        for profile in self._profiles(cursor):
            texts = {
                attribute: self.values[attribute].get(term)
                for attribute, term in zip(self.attributes, profile, strict=True)
            }
            for part in rules.resolve(Conditions(**texts)):
                assert part.value.share is not None, "a deciding version has a share"
                yield Interval(profile, part.start, part.end, part.value.share, index[id(part.value)])

    def _profiles(self, cursor: Cursor) -> list[tuple[int, ...]]:
        """List the profiles that lines may have: all combinations, or where those are many, the ones there are."""
        choices = [[NONE, *self.values[attribute]] for attribute in self.attributes]
        if prod(map(len, choices)) <= PROFILES_LISTED_MAX:
            return list(product(*choices))
        columns = ", ".join(self._profile_column(attribute) for attribute in self.attributes)
        cursor.execute(
            f"SELECT DISTINCT {columns} FROM credit_line l {self.class_join()}"  # noqa: S608 - integers of ours
            " WHERE l.credited_on >= %s AND l.credited_on < %s AND l.position <= %s",
            (self.scope.start, self.scope.end, self.scope.position),
        )
        return cursor.fetchall()

    def _profile_column(self, attribute: str) -> str:
        value = "coalesce(c.customer_class, 0)" if attribute == "customer_class" else f"l.{COLUMNS[attribute]}"
        if attribute == "order_type":
            return f"{value} AS {attribute}_profile"
        terms = ", ".join(map(str, sorted(self.values[attribute]))) or str(NONE)
        return f"CASE WHEN {value} IN ({terms}) THEN {value} ELSE {NONE} END AS {attribute}_profile"

    def class_join(self, *, always: bool = False) -> str:
        """Give the join that finds a line's customer class, where a rule (or the caller) asks for it."""
        if not always and "customer_class" not in self.attributes:
            return ""
        return (
            "LEFT JOIN customer_class c ON c.customer = l.customer"
            " AND l.ordered_on >= c.valid_from AND l.ordered_on < c.valid_to"
            f" AND c.position <= {self.scope.position} AND c.superseded > {self.scope.position}"
        )

    def sql_parts(self) -> dict[str, str]:
        """Give the parts of the SQL files that depend on the rules and the scope, by their names there."""
        return {
            "profile": ", ".join(self._profile_column(attribute) for attribute in self.attributes),
            "profile_match": " AND ".join(f"p.{attribute}_profile = r.{attribute}" for attribute in self.attributes),
            "class_join": self.class_join(),
            "rules": self._rules_sql(),
            "start": f"DATE '{self.scope.start}'",
            "end": f"DATE '{self.scope.end}'",
            "position": str(self.scope.position),
        }

    def _rules_sql(self) -> str:
        """Give the resolved intervals as a common table expression."""
        columns = ", ".join([*self.attributes, "valid_from", "valid_to", "share", "rule"])
        arrays = [
            *("ARRAY[{}]::integer[]".format(",".join(map(str, terms))) for terms in self._columns_of_terms()),
            "ARRAY[{}]::date[]".format(",".join(f"'{interval.valid_from}'" for interval in self.intervals)),
            "ARRAY[{}]::date[]".format(",".join(f"'{interval.valid_to}'" for interval in self.intervals)),
            "ARRAY[{}]::integer[]".format(",".join(str(interval.share) for interval in self.intervals)),
            "ARRAY[{}]::integer[]".format(",".join(str(interval.rule) for interval in self.intervals)),
        ]
        return f"rule_interval AS (SELECT * FROM unnest({', '.join(arrays)}) AS given ({columns})),"  # noqa: S608

    def _columns_of_terms(self) -> list[list[int]]:
        return [[interval.profile[number] for interval in self.intervals] for number in range(len(self.attributes))]


def _terms(cursor: Cursor, named: Mapping[str, set[str]]) -> dict[str, dict[int, str]]:
    """Give the terms, integer -> text, of the values named; a value that no line ever had is left out."""
    found = dict[str, dict[int, str]]()
    for attribute, values in named.items():
        cursor.execute(
            "SELECT id, value FROM term WHERE kind = %s AND value = ANY(%s)", (COLUMNS[attribute], list(values))
        )
        found[attribute] = dict(cursor.fetchall())
    return found
