"""Counting rules: what the approved rule changes say, and which rule decides.

The most specific matching rule wins: compare the sets of conditions in the order product, category, customer, customer
class, salesperson, order type; a rule that names the product beats one that does not; then category; and so on. Rules
with the same conditions are versions of one rule: of those covering the day, the latest recorded wins. Where it ends
the rule, the day is the next rule's. An order type's own share is its rule with only the order type as condition: it
covers every day, and ending that rule brings it back.
Source: the design's section 4, "Counting rules"; docs/events.md, "The rulebook".
Units: shares in ten-thousandths.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from verifier.decimals import share
from verifier.documents import ATTRIBUTES, Event
from verifier.findings import Malformed, shown
from verifier.orders import FIRST_DAY, LAST_DAY

Values = tuple[str | None, ...]
"""A value, or none, for each of ATTRIBUTES, in their order."""


@dataclass(frozen=True, slots=True)
class RuleVersion:
    """One recorded version of a rule; share None: it ends the rule on its days [start, end)."""

    conditions: Values
    share: int | None
    start: str
    end: str
    position: int
    rule_change_id: str

    def is_met(self, values: Values) -> bool:
        """Say whether values meet the conditions."""
        return all(asked in (None, value) for asked, value in zip(self.conditions, values, strict=True))

    def named(self) -> tuple[bool, ...]:
        """Say which attributes it names: the greater, the more specific."""
        return tuple(asked is not None for asked in self.conditions)


def rule_versions(events: Iterable[Event], position: int) -> list[RuleVersion]:
    """Give the versions of all rules as known at a position, in recorded order.

    Errors: Malformed where something is approved that was not proposed.
    """
    proposed = dict[str, list[dict[str, Any]]]()
    own_shares = dict[str, int]()
    versions = list[RuleVersion]()
    for event in events:
        if event.position > position or event.subject != "rulebook":
            continue
        name = event.data["rule_change_id"]
        if event.type == "rule_change.proposed":
            proposed[name] = event.data["alterations"]
        elif event.type == "rule_change.approved":
            if name not in proposed:
                raise Malformed(f"rule change {shown(name)} was not proposed before it was approved", event.where)
            for alteration in proposed[name]:
                versions += _versions(alteration, own_shares, event.position, name)
    return versions


def _versions(alteration: dict[str, Any], own_shares: dict[str, int], position: int, name: str) -> list[RuleVersion]:
    """Give the version that an alteration makes, if it is about what counts."""
    match alteration["action"]:
        case "define_order_type":
            order_type = alteration["order_type"]
            own_shares[order_type] = share(alteration["share"])
            conditions = _conditions({"order_type": order_type})
            return [RuleVersion(conditions, own_shares[order_type], FIRST_DAY, LAST_DAY, position, name)]
        case "set_rule" | "end_rule":
            conditions = _conditions(alteration["conditions"])
            start, end = alteration["effective_from"], alteration.get("effective_to") or LAST_DAY
            if alteration["action"] == "set_rule":
                counts: int | None = share(alteration["share"])
            else:
                names_type_only = conditions == _conditions({"order_type": conditions[-1]})
                counts = own_shares.get(conditions[-1] or "") if names_type_only else None
            return [RuleVersion(conditions, counts, start, end, position, name)]
    return []


def _conditions(named: dict[str, Any]) -> Values:
    return tuple(named.get(attribute) for attribute in ATTRIBUTES)


class Rules:
    """The rules that versions make, ready to be asked often: values that no rule names are as good as none."""

    def __init__(self, versions: Iterable[RuleVersion]) -> None:
        self._versions = list(versions)
        self._named = [{version.conditions[at] for version in self._versions} for at in range(len(ATTRIBUTES))]
        self.days = sorted({day for version in self._versions for day in (version.start, version.end)})
        """The days on which anything changes."""
        self._decided = dict[tuple[Values, int], RuleVersion | None]()

    def folded(self, values: Values) -> Values:
        """Leave out the values that no rule names: they make no difference."""
        return tuple(value if value in named else None for value, named in zip(values, self._named, strict=True))

    def deciding(self, values: Values, day: str) -> RuleVersion | None:
        """Give the version that decides for values on a day; None where no rule matches."""
        key = self.folded(values), bisect_right(self.days, day)
        if key not in self._decided:
            self._decided[key] = self._decide(key[0], day)
        return self._decided[key]

    def _decide(self, values: Values, day: str) -> RuleVersion | None:
        latest = dict[tuple[bool, ...], RuleVersion]()
        for version in self._versions:
            if version.start <= day < version.end and version.is_met(values):
                latest[version.named()] = version
        standing = [named for named, version in latest.items() if version.share is not None]
        return latest[max(standing)] if standing else None
