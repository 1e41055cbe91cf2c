"""Review of the rulebook: what in it does nothing, and where orders and their types do not fit, as known at a position.

It is for improving the rulebook after go-live: every finding has its counts, and where the remedy is a rule change, the
alterations ready to be simulated and proposed. It reads the serving generation, in a bounded number of queries, and
judges by the resolution that the figures are computed with.
Source: issue "Rules change for the past", item 7.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Final

from ledger.database import Cursor
from ledger.events import Alteration, Conditions, EndRule, RetireOrderType
from ledger.rulebook import OrderType, Rulebook
from ledger.rules import Rules, RuleVersion, rule_pieces
from ledger.store import Store
from ledger.timeline import FIRST_DAY, LAST_DAY, Piece, overlay
from projections.generation import sql
from projections.performance import View, order_ids, reading, view
from projections.resolution import Resolution, Scope

EXAMPLES_MAX: Final = 20
RECLASSIFICATIONS_MIN: Final = 2
FIRST_ORDER_WORD: Final = "new"
REPEAT_WORD: Final = "repeat"
"""An order type whose id contains the word is taken for one of first orders, or of repeat orders."""


class FindingKind(StrEnum):
    """What was found."""

    unused_order_type = "unused_order_type"
    """No order has the type, and it may still be used."""
    unmatched_rule = "unmatched_rule"
    """No order meets the rule's conditions on one of its days."""
    shadowed_rule = "shadowed_rule"
    """Orders meet the rule's conditions, but more specific rules decide about all of them."""
    alike_order_types = "alike_order_types"
    """The rules that name these types are the same but for the type: one type would do."""
    known_customer_as_first = "known_customer_as_first"
    """Orders of a type for first orders, of customers who ordered before."""
    first_order_as_repeat = "first_order_as_repeat"
    """Orders of a type for repeat orders that are the customer's first."""
    reclassified_often = "reclassified_often"
    """Orders that were given another type at least twice."""


@dataclass(frozen=True)
class ReviewedAmount:
    """What orders are worth in one currency, after returns and cancellations and before rules. Units: micros."""

    currency: str
    amount: int


@dataclass(frozen=True)
class Finding:
    """Something found in the rulebook or its use.

    Shape: about order types or about one rule (`conditions`, with the rules that shadow it); orders and amounts are
    exact counts of the orders concerned, `examples` some of their ids; `alterations` are what to
    simulate, where a rule change is the remedy.
    """

    kind: FindingKind
    order_types: tuple[str, ...] = ()
    conditions: Conditions | None = None
    shadowed_by: tuple[Conditions, ...] = ()
    orders: int = 0
    amounts: tuple[ReviewedAmount, ...] = ()
    examples: tuple[str, ...] = ()
    alterations: tuple[Alteration, ...] = ()


@dataclass(frozen=True)
class Review:
    """The findings, by kind and then as the rulebook orders them, and the view they belong to."""

    findings: tuple[Finding, ...]
    view: View

    def of(self, kind: FindingKind) -> list[Finding]:
        """Give the findings of one kind."""
        return [finding for finding in self.findings if finding.kind is kind]


def review(
    store: Store,
    *,
    position: int | None = None,
    first_orders: Collection[str] | None = None,
    repeats: Collection[str] | None = None,
    examples_max: int = EXAMPLES_MAX,
) -> Review:
    """Review the rulebook as known at a position (the latest projected one where none is given).

    Shape: so many examples of orders at most, which are not in the digest; `first_orders` and `repeats` are the order
    types that say a customer's history; where they are not given, those whose id contains the word.
    Errors: Refusal (not_yet_projected) for a position ahead.
    """
    with reading(store, position) as (cursor, known):
        rulebook = store.rulebook_at(known)
        used = _uses(cursor, rulebook.rules(), known)
        recorded_at = store.recorded_at(known)
        findings = list[Finding]()
        if recorded_at is not None:
            today = recorded_at.date()
            findings += _unused_types(rulebook, used, today)
            findings += _idle_rules(rulebook.rules(), used)
            findings += _alike_types(rulebook, used, today)
        firsts = _types_of(rulebook, first_orders, FIRST_ORDER_WORD)
        asked = {"position": known, "examples_max": examples_max}
        findings += _against_history(cursor, asked, firsts, _types_of(rulebook, repeats, REPEAT_WORD))
        findings += _reclassified(cursor, asked)
    hashed = (repr(replace(each, examples=())) for each in findings)
    digest = hashlib.sha256("\n".join(hashed).encode()).hexdigest()
    return Review(tuple(findings), view(store, known, digest))


def _types_of(rulebook: Rulebook, given: Collection[str] | None, word: str) -> list[str]:
    return sorted(name for name in rulebook.order_types if word in name.casefold()) if given is None else [*given]


# ---- rules and order types


@dataclass(frozen=True)
class _Use:
    """The orders that meet a rule on its days: how many, worth what, and which rules decide about them."""

    orders: int
    amounts: tuple[ReviewedAmount, ...]
    deciders: tuple[Conditions, ...]


_NO_USE = _Use(0, (), ())


@dataclass(frozen=True)
class _Match:
    """Lines of a profile, ordered on the days [valid_from, valid_to), meet a rule, and the decider decides.

    Shape: rules by their place in precedence order.
    """

    profile: tuple[int, ...]
    valid_from: date
    valid_to: date
    rule: int
    decider: int


def _uses(cursor: Cursor, rules: Rules, position: int) -> dict[Conditions, _Use]:
    """Find the use of every rule; a rule that no order meets is left out."""
    resolution = Resolution(cursor, rules, Scope(FIRST_DAY, LAST_DAY, position))
    matches = list(_matches(rules, resolution))
    columns = resolution.profiles.columns
    parts = {key: value for key, value in resolution.sql_parts().items() if key != "rules"} | {
        "credit": "credit_line" if resolution.names_products else "credit_cell",
        "profile_columns": ", ".join(columns),
        "profile_arrays": ", ".join(f"%({column})s::bigint[]" for column in columns),
    }
    values: dict[str, list[object]] = {
        name: [getattr(match, name) for match in matches] for name in ("valid_from", "valid_to", "rule", "decider")
    }
    values |= {column: [match.profile[at] for match in matches] for at, column in enumerate(columns)}
    cursor.execute(sql("review_rules.sql").format(**parts), values)
    ordered, found = [*rules.versions], dict[Conditions, _Use]()
    for rule, currency, orders, amount, deciders in sorted(cursor.fetchall()):
        before = found.get(ordered[rule], _NO_USE)
        amounts = (*before.amounts, ReviewedAmount(currency, int(amount)))
        deciding = {*before.deciders, *(ordered[decider] for decider in deciders)}
        found[ordered[rule]] = _Use(before.orders + orders, amounts, tuple(sorted(deciding, key=ordered.index)))
    return found


def _matches(rules: Rules, resolution: Resolution) -> Iterator[_Match]:
    numbers = {conditions: number for number, conditions in enumerate(rules.versions)}
    for profile in sorted({interval.profile for interval in resolution.intervals}):
        values = Conditions(**resolution.profiles.texts(profile))
        deciding = rules.resolve(values)
        for conditions, pieces in rules.matching(values):
            for part in pieces:
                for winner in deciding:
                    start, end = max(part.start, winner.start), min(part.end, winner.end)
                    if start < end:
                        decider = numbers[winner.value.conditions]
                        yield _Match(profile, start, end, numbers[conditions], decider)


def _unused_types(rulebook: Rulebook, used: dict[Conditions, _Use], today: date) -> Iterator[Finding]:
    for name, order_type in sorted(rulebook.order_types.items()):
        if Conditions(order_type=name) not in used and not _is_retired(order_type, today):
            retire = RetireOrderType(name, today)
            yield Finding(FindingKind.unused_order_type, order_types=(name,), alterations=(retire,))


def _is_retired(order_type: OrderType, today: date) -> bool:
    return order_type.retired_from is not None and order_type.retired_from <= today


def _idle_rules(rules: Rules, used: dict[Conditions, _Use]) -> list[Finding]:
    """Find the rules that match nothing, and those that decide nothing; a rule that is ended altogether is none."""
    unmatched, shadowed = list[Finding](), list[Finding]()
    for conditions, versions in rules.versions.items():
        use, pieces = used.get(conditions), rule_pieces(versions)
        if not pieces:
            continue
        ended = tuple(_ended(conditions, pieces))
        if use is None and ended:
            unmatched.append(Finding(FindingKind.unmatched_rule, conditions=conditions, alterations=ended))
        elif use is not None and conditions not in use.deciders:
            found = Finding(FindingKind.shadowed_rule, conditions=conditions, alterations=ended)
            shadowed.append(replace(found, shadowed_by=use.deciders, orders=use.orders, amounts=use.amounts))
    return unmatched + shadowed


def _ended(conditions: Conditions, pieces: list[Piece[RuleVersion]]) -> Iterator[Alteration]:
    """Give what ends a rule on all its days; nothing for an order type's own, without which no order could count."""
    if conditions != Conditions(order_type=conditions.order_type):
        last = pieces[-1].end
        yield EndRule(conditions, pieces[0].start, None if last == LAST_DAY else last)


def _alike_types(rulebook: Rulebook, used: dict[Conditions, _Use], today: date) -> Iterator[Finding]:
    """Find the types in use that the rules do not tell apart; the one with the most orders stays."""
    groups = dict[frozenset[object], list[str]]()
    shares = _shares_by_type(rulebook.rules())
    for name, order_type in sorted(rulebook.order_types.items()):
        if not _is_retired(order_type, today):
            groups.setdefault(frozenset(shares[name]), []).append(name)
    for names in groups.values():
        if len(names) > 1:
            uses = [used.get(Conditions(order_type=name), _NO_USE) for name in names]
            kept = max(zip(uses, names, strict=True), key=lambda pair: pair[0].orders)[1]
            yield Finding(
                FindingKind.alike_order_types,
                order_types=tuple(names),
                orders=sum(use.orders for use in uses),
                amounts=_summed(amount for use in uses for amount in use.amounts),
                alterations=tuple(RetireOrderType(name, today) for name in names if name != kept),
            )


def _shares_by_type(rules: Rules) -> dict[str, set[object]]:
    """Give what the rules that name an order type say, but for the type: other conditions, and shares by day."""
    said = dict[str, set[object]]()
    for conditions, versions in rules.versions.items():
        pieces = rule_pieces(versions)
        if conditions.order_type is not None and pieces:
            shares = overlay(Piece(part.start, part.end, part.value.share) for part in pieces)
            others = conditions.product_id, conditions.category, conditions.customer_id, conditions.customer_class
            said.setdefault(conditions.order_type, set()).add((*others, conditions.salesperson_id, tuple(shares)))
    return said


def _summed(amounts: Iterable[ReviewedAmount]) -> tuple[ReviewedAmount, ...]:
    sums = Counter[str]()
    for amount in amounts:
        sums[amount.currency] += amount.amount
    return tuple(ReviewedAmount(*item) for item in sorted(sums.items()))


# ---- orders


def _against_history(cursor: Cursor, asked: dict[str, int], firsts: list[str], repeats: list[str]) -> list[Finding]:
    cursor.execute(sql("review_history.sql"), {**asked, "first_orders": firsts, "repeats": repeats})
    found = dict[tuple[str, str], list[tuple[str, int, int, list[int]]]]()
    for kind, order_type, *row in sorted(cursor.fetchall()):
        found.setdefault((kind, order_type), []).append((row[0], row[1], int(row[2]), row[3]))
    return [
        Finding(
            FindingKind(kind),
            order_types=(order_type,),
            orders=sum(orders for _, orders, _, _ in rows),
            amounts=tuple(ReviewedAmount(currency, amount) for currency, _, amount, _ in rows),
            examples=_ids(cursor, sorted(key for *_, keys in rows for key in keys)[: asked["examples_max"]]),
        )
        for (kind, order_type), rows in sorted(found.items(), key=lambda item: (_KINDS.index(item[0][0]), item[0][1]))
    ]


_KINDS = [kind.value for kind in FindingKind]


def _reclassified(cursor: Cursor, asked: dict[str, int]) -> Iterator[Finding]:
    cursor.execute(sql("review_reclassified.sql"), {**asked, "times_min": RECLASSIFICATIONS_MIN})
    rows = cursor.fetchall()
    if rows:
        yield Finding(
            FindingKind.reclassified_often,
            orders=rows[0][1],
            amounts=_summed(ReviewedAmount(row[0], int(row[2])) for row in rows if row[2]),
            examples=_ids(cursor, rows[0][3]),
        )


def _ids(cursor: Cursor, keys: Sequence[int]) -> tuple[str, ...]:
    """Give the ids of orders by the positions of their first events, in this order."""
    ids = order_ids(cursor, keys)
    return tuple(ids[key] for key in keys)
