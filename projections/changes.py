"""What a change of rules or facts moves: its effect on the credit lines that it can be about, and on no others.

Figures are linear in the shares, so what a change moves is the sum of amount x (share after - share before) over the
lines that match it. Their profiles are resolved before and after; only the dated differences go into the SQL, and the
change's own conditions let an index find the lines. The impact of a proposal, a movement's line for a recorded change,
and a fact corrected for the past are all this.
Source: design, section 4, "Figures are a pure function".
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import prod
from typing import Final

import msgspec
from msgspec import Struct

from ledger.database import Cursor
from ledger.events import (
    Alteration,
    Conditions,
    CustomerClassified,
    DatedFact,
    DefineOrderType,
    EndRule,
    ProductCategorised,
    Recorded,
    SetRule,
)
from ledger.facts import ATTRIBUTES, fact_pieces
from ledger.rules import Rules
from ledger.timeline import FIRST_DAY, LAST_DAY, Piece, compared
from projections.attributes import COLUMNS, Attributes, array_sql, every_term, named_terms
from projections.generation import sql
from projections.profiles import Attribute, Profiles
from projections.resolution import Scope, calculate, credits_sql, named_products
from projections.terms import NONE

CREDIT_FACTS: Final[tuple[type[DatedFact], ...]] = (CustomerClassified, ProductCategorised)
"""The facts that change what orders count."""

COMBINATIONS_MAX = 5_000
"""Up to so many profiles are resolved without looking at the lines; where there are more, SQL lists those there are."""

Texts = Mapping[str, str | None]


@dataclass(frozen=True)
class Part:
    """Lines that a change may be about: those that meet all these conditions, of orders of the days [start, end)."""

    conditions: Conditions
    start: date
    end: date


@dataclass(frozen=True)
class Corrected:
    """An attribute that a fact says otherwise: its value before and after; `own` where no fact says one."""

    attribute: str
    before: str | None
    after: str | None
    own_before: bool = False
    own_after: bool = False

    def text_before(self, texts: Texts) -> str | None:
        """Give the attribute's value before the fact of a line with these values of its own."""
        return texts.get(self.attribute) if self.own_before else self.before

    def text_after(self, texts: Texts) -> str | None:
        """Give the attribute's value after the fact."""
        return texts.get(self.attribute) if self.own_after else self.after


@dataclass(frozen=True)
class Change:
    """The rules before and after, the lines that may be touched (those of any part), and a corrected attribute."""

    before: Rules
    after: Rules
    parts: tuple[Part, ...]
    corrected: Corrected | None = None


class Moved(Struct, frozen=True, gc=False):
    """What a change moves for one salesperson (a term) in one period (its index) and currency (a term).

    Units: before and after are what the touched orders count, in 10^-10.
    """

    salesperson: int
    period: int
    currency: int
    before: int
    after: int
    orders: int


@dataclass(frozen=True)
class Effect:
    """What a change moves in all, by salesperson, period and currency; how many orders and salespeople it touches."""

    moved: list[Moved]
    orders: int = 0
    people: int = 0


class TouchedOrder(Struct, frozen=True, gc=False):
    """What a change moves of one order (the position of its first event); otherwise as Moved."""

    order: int
    salesperson: int
    period: int
    currency: int
    before: int
    after: int


@dataclass(frozen=True)
class AskedOrders:
    """Which orders to tell: so many behind that one; of a salesperson (a term), or of all."""

    limit: int
    after: int = 0
    salesperson: int | None = None


def rule_change(before: Rules, after: Rules, alterations: Iterable[Alteration]) -> Change:
    """Describe a change of the rules by alterations."""
    parts = [part for alteration in alterations if (part := _part(alteration)) is not None]
    return Change(before, after, tuple(parts))


def _part(alteration: Alteration) -> Part | None:
    if isinstance(alteration, SetRule | EndRule):
        return Part(alteration.conditions, alteration.effective_from, alteration.effective_to or LAST_DAY)
    if isinstance(alteration, DefineOrderType):
        return Part(Conditions(order_type=alteration.order_type), FIRST_DAY, LAST_DAY)
    return None  # a name and a retirement change no figure


def fact_change(rules: Rules, events: Sequence[Recorded], owner_id: str) -> list[Change]:
    """Describe what the last of an owner's facts changes, stretch by stretch; a team changes no credit."""
    fact = events[-1].data
    if not isinstance(fact, CREDIT_FACTS):
        return []
    kind: type[DatedFact] = type(fact)
    known, now = fact_pieces(events[:-1], kind), fact_pieces(events, kind)
    attribute = ATTRIBUTES[kind]
    conditions = Conditions(**{f"{attribute.owner}_id": owner_id})
    return [
        Change(rules, rules, (Part(conditions, part.start, part.end),), corrected)
        for part in compared(_told(known), _told(now))
        if (corrected := _corrected(attribute.name, kind, *part.value)) is not None
    ]


_Told = tuple[str | None]
"""A value that a fact says, told apart from none said."""


def _told(pieces: Iterable[Piece[str | None]]) -> list[Piece[_Told]]:
    return [Piece(part.start, part.end, (part.value,)) for part in pieces]


def _corrected(attribute: str, kind: type[DatedFact], before: _Told | None, after: _Told | None) -> Corrected | None:
    """Compare what facts say; where a line has no value of its own (a customer's class), nothing said is no value."""
    own = kind is ProductCategorised
    corrected = Corrected(
        attribute,
        before[0] if before else None,
        after[0] if after else None,
        own_before=own and before is None,
        own_after=own and after is None,
    )
    same = (corrected.before, corrected.own_before) == (corrected.after, corrected.own_after)
    return None if same else corrected


def effect(cursor: Cursor, change: Change, scope: Scope, starts: Sequence[date]) -> Effect:
    """Compute what a change moves of the credit lines in a scope, by salesperson, period and currency.

    Shape: `starts` are the first days of the periods, ascending, the first not after the scope's start; a period is
    its index. Salespeople, periods and currencies in which nothing moves are left out.
    """
    return _Effect(cursor, change, scope).computed(starts)


def touched_orders(
    cursor: Cursor, change: Change, scope: Scope, starts: Sequence[date], asked: AskedOrders
) -> list[TouchedOrder]:
    """Give the orders behind an effect, in the order in which they were placed: a row by salesperson and period."""
    return _Effect(cursor, change, scope, asked.salesperson).orders(starts, asked)


class _Effect:
    def __init__(self, cursor: Cursor, change: Change, scope: Scope, salesperson: int | None = None) -> None:
        self._cursor, self._change, self._scope, self._salesperson = cursor, change, scope, salesperson
        self._attributes = Attributes(cursor, scope.position)
        named = {name: change.before.values(name) | change.after.values(name) for name in COLUMNS}
        named["order_type"] = set()  # all of which are looked at
        corrected = change.corrected
        if corrected is not None and not (corrected.own_before or corrected.own_after):
            named[corrected.attribute] = set()  # on each side it is the same for all lines
        self._parts = self._found_parts()
        terms = named_terms(cursor, named) | {"order_type": every_term(cursor, "order_type")}
        self._named = [name for name in COLUMNS if terms[name]]
        self._profiles = Profiles(
            [Attribute(name, self._value(name), terms[name], all_named=name == "order_type") for name in self._named]
        )

    def _value(self, name: str) -> str:
        """Give a line's value; of the attribute that the fact says, its own."""
        corrected = self._change.corrected
        return f"l.{COLUMNS[name]}" if corrected and corrected.attribute == name else self._attributes.value(name)

    def _found_parts(self) -> list[str]:
        """Give each part as a condition on lines, without those that name a value which no line ever had."""
        asked = {name: set[str]() for name in COLUMNS}
        for part in self._change.parts:
            for name, value in msgspec.structs.asdict(part.conditions).items():
                if value is not None:
                    asked[name].add(value)
        self._asked_terms = named_terms(self._cursor, asked)
        terms = {name: {text: term for term, text in found.items()} for name, found in self._asked_terms.items()}
        return [condition for part in self._change.parts if (condition := self._condition(part, terms)) is not None]

    def _condition(self, part: Part, terms: Mapping[str, Mapping[str, int]]) -> str | None:
        sides = [f"l.ordered_on >= DATE '{part.start}' AND l.ordered_on < DATE '{part.end}'"]
        if part.conditions.order_type is None:  # which has an index of its own, exact where block ranges are not
            sides.append(f"l.credited_on >= DATE '{part.start}'")  # never before the order
        for name, value in msgspec.structs.asdict(part.conditions).items():
            if value is not None:
                if value not in terms[name]:
                    return None
                sides.append(f"{self._attributes.value(name)} = {terms[name][value]}")
        return f"({' AND '.join(sides)})"

    def _credits(self) -> str:
        """Give the table to read: the lines themselves where the change is about products."""
        asked = [_names(part.conditions) & {"product_id", "category"} for part in self._change.parts]
        if all(asked):
            return "credit_line"
        terms = {each.name: set(each.terms) for each in self._profiles.attributes}
        for name, found in self._asked_terms.items():
            terms[name] = terms.get(name, set()) | set(found)
        return credits_sql(named_products(self._attributes, terms))

    def _joins(self) -> str:
        asked = {name for name in COLUMNS if self._asked_terms[name]} | set(self._named)
        if self._change.corrected is not None:
            asked.discard(self._change.corrected.attribute)
        return f"{self._attributes.joins(asked)} {self._profiles.joins()}"

    def computed(self, starts: Sequence[date]) -> Effect:
        rows = self._told("change_sums.sql", starts)
        if not rows:
            return Effect([])
        *sums, whole = rows
        moved = [
            Moved(salesperson, period - 1, currency, before, after, orders)
            for salesperson, period, currency, before, after, orders in sums
        ]
        return Effect(moved, whole[5], len({line.salesperson for line in moved} - {NONE}))

    def orders(self, starts: Sequence[date], asked: AskedOrders) -> list[TouchedOrder]:
        rows = self._told("change_orders.sql", starts, after=asked.after, limit=asked.limit)
        return [
            TouchedOrder(order, salesperson, period - 1, currency, before, after)
            for order, salesperson, period, currency, before, after in rows
        ]

    def _told(self, name: str, starts: Sequence[date], **asked: int) -> list[tuple[int, ...]]:
        """Run one of the queries; nothing is told where no share differs."""
        parts = self._sql_parts(starts)
        differences = list(self._differences(parts)) if self._parts else []
        if not differences:
            return []
        columns = [*self._profiles.columns, "valid_from", "valid_to", "share_before", "share_after"]
        packs = [[row[0][number] for row in differences] for number in range(len(self._profiles.columns))]
        arrays = [
            *(array_sql(pack, "bigint") for pack in packs),
            array_sql([row[1] for row in differences], "date"),
            array_sql([row[2] for row in differences], "date"),
            array_sql([row[3] for row in differences], "integer"),
            array_sql([row[4] for row in differences], "integer"),
        ]
        given = f"rule_difference AS (SELECT * FROM unnest({', '.join(arrays)}) AS given ({', '.join(columns)})),"  # noqa: S608
        told = sql(name).format(**asked)
        return calculate(self._cursor, sql("change.sql"), {**parts, "differences": given, "told": told})

    def _sql_parts(self, starts: Sequence[date]) -> dict[str, str]:
        scope = self._scope
        return {
            "credit": self._credits(),
            "joins": self._joins(),
            "profile": self._profiles.sql(),
            "profile_match": self._profiles.match(),
            "matching": self._matching(),
            "thresholds": array_sql(starts, "date"),
            "start": f"DATE '{scope.start}'",
            "end": f"DATE '{scope.end}'",
            "position": str(scope.position),
        }

    def _matching(self) -> str:
        matching = " OR ".join(self._parts)
        return matching if self._salesperson is None else f"({matching}) AND l.salesperson = {self._salesperson}"

    def _differences(self, parts: Mapping[str, str]) -> Iterator[tuple[tuple[int, ...], date, date, int, int]]:
        """Resolve the profiles that the lines may have, before and after, into the dated shares that differ."""
        for profile in self._listed(parts):
            texts = self._profiles.texts(profile)
            for part in compared(self._resolved(texts, after=False), self._resolved(texts, after=True)):
                before, after = part.value[0] or 0, part.value[1] or 0
                if before != after:
                    yield profile, part.start, part.end, before, after

    def _resolved(self, texts: Texts, *, after: bool) -> list[Piece[int]]:
        corrected, rules = self._change.corrected, self._change.after if after else self._change.before
        values = dict(texts)
        if corrected is not None:
            values[corrected.attribute] = corrected.text_after(texts) if after else corrected.text_before(texts)
        resolved = rules.resolve(Conditions(**values))
        return [Piece(part.start, part.end, part.value.share or 0) for part in resolved]

    def _listed(self, parts: Mapping[str, str]) -> Iterable[tuple[int, ...]]:
        only = self._fixed()
        choices = [len(only.get(attribute.name, attribute.terms)) + 1 for attribute in self._profiles.attributes]
        if prod(choices) <= COMBINATIONS_MAX:
            return self._profiles.combinations(only)
        columns = ", ".join(self._profiles.columns)
        self._cursor.execute(
            "SELECT DISTINCT {columns} FROM (SELECT {profile} FROM {credit} l {joins}"  # noqa: S608 - parts of ours
            " WHERE ({matching}) AND l.credited_on >= {start} AND l.credited_on < {end}"
            " AND l.position <= {position}) AS profiled".format(columns=columns, **parts)
        )
        return self._cursor.fetchall()

    def _fixed(self) -> dict[str, set[str]]:
        """Give the attributes of which every part names a value, with those values."""
        fixed = dict[str, set[str]]()
        for name in self._named:
            values = {getattr(part.conditions, name) for part in self._change.parts}
            if None not in values:
                fixed[name] = values
        return fixed


def _names(conditions: Conditions) -> set[str]:
    return {name for name, value in msgspec.structs.asdict(conditions).items() if value is not None}
