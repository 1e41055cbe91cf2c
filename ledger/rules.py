"""Counting rules: their versions, and which one decides for whom on which day. Pure.

Precedence: of the rules whose conditions a credit line meets, the most specific wins: the one that names the product
beats one that does not; between two that do or don't, the one that names the category; then customer, customer class,
salesperson, order type. Rules with the same conditions are versions of one rule: of those covering the day the latest
recorded wins; an ended stretch leaves the day to the next rule in precedence. An order type's own share covers every
day, so a rule always matches.
Source: design, section 4, "Counting rules".
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import msgspec

from ledger.events import Conditions
from ledger.timeline import Piece, filled, overlay, piece

ATTRIBUTES = Conditions.__struct_fields__
"""The conditions' attributes in order of precedence: product first, order type last."""


@dataclass(frozen=True)
class RuleVersion:
    """One recorded version of a rule. Units: share in ten-thousandths, None where the version ends the rule."""

    conditions: Conditions
    share: int | None
    effective_from: date | None
    effective_to: date | None
    position: int
    rule_change_id: str


class Standing(StrEnum):
    """What a rule version whose conditions a credit line meets is worth on the day of its order."""

    decides = "decides"
    less_specific = "less_specific"
    """It would decide, if a more specific rule did not win."""
    superseded = "superseded"
    """A later recorded version of the same rule covers the day."""
    ended = "ended"
    """The rule is ended on the day by this version."""
    other_days = "other_days"
    """It does not cover the day."""


@dataclass(frozen=True)
class Candidate:
    """A rule version whose conditions a credit line meets, and its standing on a day."""

    version: RuleVersion
    standing: Standing


class Rules:
    """The rules of a rulebook in precedence order, the most specific first, ready to be resolved for many profiles."""

    def __init__(self, versions: Iterable[RuleVersion]) -> None:
        grouped = dict[Conditions, list[RuleVersion]]()
        for version in versions:
            grouped.setdefault(version.conditions, []).append(version)
        self.versions = dict(sorted(grouped.items(), key=lambda item: precedence(item[0]), reverse=True))
        self._pieces = {
            msgspec.structs.astuple(conditions): rule_pieces(versions) for conditions, versions in self.versions.items()
        }
        precedences = sorted({precedence(conditions) for conditions in self.versions}, reverse=True)
        self._named_places = [[at for at, names in enumerate(named) if names] for named in precedences]

    def values(self, attribute: str) -> set[str]:
        """Give the values of an attribute that some rule names."""
        named = (getattr(conditions, attribute) for conditions in self.versions)
        return {value for value in named if value is not None}

    def pieces(self, conditions: Conditions) -> list[Piece[RuleVersion]]:
        """Give the stretches on which the rule of exactly these conditions has a share; none where there is no rule."""
        return self._pieces.get(msgspec.structs.astuple(conditions), [])

    def resolve(self, profile: Conditions) -> list[Piece[RuleVersion]]:
        """Give which rule version decides on which days for lines that have the profile's values.

        Shape: the pieces do not overlap, by date, and cover every day on which a rule matches. This one function
        serves the calculation, the impact and the explanation.
        """
        return filled(self._pieces.get(asked, ()) for asked in self._met(profile))

    def matching(self, profile: Conditions) -> list[tuple[Conditions, list[Piece[RuleVersion]]]]:
        """Give the rules whose conditions the profile meets, and the stretches on which each has a share.

        Shape: in precedence order, the most specific first; a rule that is ended on all its days has no stretch.
        """
        return [(Conditions(*asked), self._pieces[asked]) for asked in self._met(profile) if asked in self._pieces]

    def candidates(self, profile: Conditions, day: date) -> list[Candidate]:
        """Give every rule version whose conditions the profile meets, and what each is worth on a day.

        Shape: in precedence order, of one rule the latest recorded first; at most one decides, the one that `resolve`
        gives for the day.
        """
        found, decided = list[Candidate](), False
        for conditions, pieces in self.matching(profile):
            holding = next((part.value for part in pieces if part.start <= day < part.end), None)
            held = False
            for version in reversed(self.versions[conditions]):
                if not _covers(version, day):
                    standing = Standing.other_days
                elif held:
                    standing = Standing.superseded
                elif holding is None:
                    standing = Standing.ended
                else:
                    standing = Standing.less_specific if decided else Standing.decides
                held = held or standing is not Standing.other_days
                found.append(Candidate(version, standing))
            decided = decided or holding is not None
        return found

    def _met(self, profile: Conditions) -> Iterator[tuple[str | None, ...]]:
        """Give the values that rules may ask for and the profile meets, the most specific first."""
        has = msgspec.structs.astuple(profile)
        for places in self._named_places:
            asked: list[str | None] = [None] * len(has)
            for at in places:
                if has[at] is None:
                    break
                asked[at] = has[at]
            else:
                yield tuple(asked)


def _covers(version: RuleVersion, day: date) -> bool:
    covered = piece(version.effective_from, version.effective_to, version)
    return covered.start <= day < covered.end


def precedence(conditions: Conditions) -> tuple[bool, ...]:
    """Give the key by which rules compare: the greater is the more specific."""
    return precedence_of(msgspec.structs.astuple(conditions))


def precedence_of(values: tuple[str | None, ...]) -> tuple[bool, ...]:
    """Give the key by which rules compare, of the values of the attributes in order."""
    return tuple(value is not None for value in values)


def rule_pieces(versions: Iterable[RuleVersion]) -> list[Piece[RuleVersion]]:
    """Give the stretches on which one rule has a share, from its versions in recorded order."""
    laid = overlay(piece(version.effective_from, version.effective_to, version) for version in versions)
    return [part for part in laid if part.value.share is not None]


@dataclass(frozen=True)
class Shadow:
    """Another rule that lines of a rule may meet too, on [start, end): it wins over the rule (above) or loses to it."""

    conditions: Conditions
    version: RuleVersion
    start: date
    end: date
    above: bool


def shadows(rules: Rules, conditions: Conditions, start: date, end: date) -> list[Shadow]:
    """List the rules that shadow, or are shadowed by, a rule with these conditions on the days [start, end).

    Shape: in precedence order. Whether there are lines that both rules match, only the data tells.
    """
    return [
        Shadow(
            other, part.value, max(start, part.start), min(end, part.end), precedence(other) > precedence(conditions)
        )
        for other in rules.versions
        if other != conditions and _compatible(other, conditions)
        for part in rules.pieces(other)
        if part.start < end and start < part.end
    ]


def _compatible(one: Conditions, other: Conditions) -> bool:
    """Say whether a line may meet both: they name no attribute with different values."""
    values = zip(msgspec.structs.astuple(one), msgspec.structs.astuple(other), strict=True)
    return all(ours is None or theirs is None or ours == theirs for ours, theirs in values)
