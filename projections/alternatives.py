"""What would make a credit line count that does not: the nearest other circumstances, tried out by the rules. Pure.

Nothing here is a guess: an alternative is listed only where the same resolution that decided (Rules.resolve), asked
about that one other circumstance, gives a share above 0.
Source: issue "Rules change for the past", item 5, "for what does not count, what would make it count".
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from msgspec.structs import replace

from ledger.events import Conditions, EndRule, SetRule
from ledger.money import SHARE_ONE, share_text
from ledger.rulebook import Rulebook, altered
from ledger.rules import Rules, RuleVersion


class Circumstance(StrEnum):
    """What would have to be otherwise."""

    no_customer_class = "no_customer_class"
    """The customer were not of its class (`value`) on the order's day."""
    own_category = "own_category"
    """No fact categorised the product: the category were the order line's own (`value`)."""
    other_salesperson = "other_salesperson"
    """The credit were somebody's whom no rule names."""
    assigned = "assigned"
    """The order were credited to somebody."""
    rule_ended = "rule_ended"
    """The deciding rule were ended on the order's day."""
    other_order_type = "other_order_type"
    """The order were of another type (`value`)."""
    rule_share = "rule_share"
    """The deciding rule had a share above 0; `share` is of the rule at 1."""
    not_cancelled = "not_cancelled"
    """The order were not cancelled; `credited` is of the whole order."""
    not_voided = "not_voided"
    """The order were not voided; `credited` is of the whole order."""


@dataclass(frozen=True)
class Alternative:
    """A circumstance under which it would count: at which share, by which rule version (as it is, if it is altered).

    Units: share in ten-thousandths, credited in 10^-10. Shape: a line's alternatives have a share, an order's have a
    credited amount.
    """

    circumstance: Circumstance
    value: str | None = None
    share: int | None = None
    rule: RuleVersion | None = None
    credited: int | None = None


def decided(rules: Rules, profile: Conditions, day: date) -> RuleVersion | None:
    """Give the version that decides on a day."""
    return next((part.value for part in rules.resolve(profile) if part.start <= day < part.end), None)


def alternatives(
    rulebook: Rulebook, rules: Rules, profile: Conditions, day: date, *, own_category: str | None
) -> tuple[Alternative, ...]:
    """List what would make lines of a profile count that do not: those of a share of 0, and those of nobody.

    Shape: the customer's and product's facts first, then the rules; `rules` are the rulebook's.
    """
    deciding = decided(rules, profile, day)
    found = list[Alternative]()
    if deciding is not None and deciding.share == 0:
        for circumstance, other in _other_profiles(rulebook, profile, day, own_category):
            found += _tried(rules, other, day, circumstance)
        found += _with_rule_altered(rulebook, rules, profile, day, deciding)
    elif profile.salesperson_id is None:
        found += _tried(rules, profile, day, Alternative(Circumstance.assigned))
    return tuple(sorted(found, key=lambda alternative: _ORDER.index(alternative.circumstance)))


_ORDER = [*Circumstance]


def _other_profiles(
    rulebook: Rulebook, profile: Conditions, day: date, own_category: str | None
) -> Iterator[tuple[Alternative, Conditions]]:
    if profile.customer_class is not None:
        yield (
            Alternative(Circumstance.no_customer_class, profile.customer_class),
            replace(profile, customer_class=None),
        )
    if profile.category != own_category:
        yield Alternative(Circumstance.own_category, own_category), replace(profile, category=own_category)
    if profile.salesperson_id is not None:
        yield Alternative(Circumstance.other_salesperson), replace(profile, salesperson_id=None)
    for name, order_type in sorted(rulebook.order_types.items()):
        retired = order_type.retired_from is not None and order_type.retired_from <= day
        if name != profile.order_type and not retired:
            yield Alternative(Circumstance.other_order_type, name), replace(profile, order_type=name)


def _with_rule_altered(
    rulebook: Rulebook, rules: Rules, profile: Conditions, day: date, deciding: RuleVersion
) -> Iterator[Alternative]:
    """Try the deciding rule ended, and at a share of 1, on that day alone."""
    days = day, day + timedelta(1)
    known = [version for conditions, _ in rules.matching(profile) for version in rules.versions[conditions]]
    for circumstance, alteration in (
        (Circumstance.rule_ended, EndRule(deciding.conditions, *days)),
        (Circumstance.rule_share, SetRule(deciding.conditions, share_text(SHARE_ONE), *days)),
    ):
        tried = altered(rulebook, alteration, circumstance).versions[-1]
        for found in _tried(Rules([*known, tried]), profile, day, Alternative(circumstance)):
            yield found if found.rule != tried else dataclasses.replace(found, rule=deciding)


def _tried(rules: Rules, profile: Conditions, day: date, alternative: Alternative) -> Iterator[Alternative]:
    version = decided(rules, profile, day)
    if version is not None and version.share:
        yield Alternative(alternative.circumstance, alternative.value, version.share, version)
