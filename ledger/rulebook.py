"""The rulebook: order types, counting rules and rule changes as known at a position, and what may be altered. Pure.

`decide` and `decide_on` judge proposals and decisions before they are recorded; `evolve` and `fold` apply what was
recorded and never refuse. Which rule wins is in rules.py.
Source: design, section 4, "Rule changes".
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import assert_never

import msgspec

from ledger.checks import Checks, shown
from ledger.events import (
    Alteration,
    Conditions,
    DefineOrderType,
    EndRule,
    ImpactSeen,
    Recorded,
    RenameOrderType,
    RetireOrderType,
    RulebookEvent,
    RuleChangeApproved,
    RuleChangeProposed,
    RuleChangeRejected,
    RuleChangeWithdrawn,
    SetRule,
)
from ledger.money import share_of
from ledger.refusal import Code, Refusal
from ledger.rules import Rules, RuleVersion, rule_pieces
from ledger.timeline import Piece, overlay, piece
from ledger.wording import Sentence, say

SUBJECT = "rulebook"


@dataclass(frozen=True)
class OrderType:
    """A class of order. Units: share in ten-thousandths."""

    order_type: str
    name: str | None
    share: int
    retired_from: date | None = None


@dataclass(frozen=True)
class Decision:
    """What became of a rule change: approved, rejected or withdrawn, by whom, when, and seeing which impact."""

    outcome: str
    actor: str
    recorded_at: datetime
    position: int
    reason: str | None
    impact: ImpactSeen | None = None
    four_eyes: bool = False


@dataclass(frozen=True)
class RuleChange:
    """A request to alter the rulebook, and the decision on it; None as long as it waits for one."""

    rule_change_id: str
    alterations: tuple[Alteration, ...]
    reason: str
    reason_code: str | None
    proposer: str
    proposed_at: datetime
    proposed_position: int
    impact: ImpactSeen | None = None
    decision: Decision | None = None

    @property
    def state(self) -> str:
        """Give proposed, approved, rejected or withdrawn."""
        return self.decision.outcome if self.decision else "proposed"

    @property
    def approval(self) -> Decision | None:
        """Give the decision if it brought the alterations into the rulebook."""
        return self.decision if self.state == "approved" else None


@dataclass(frozen=True)
class Rulebook:
    """All order types, rule versions (in recorded order) and rule changes as known after the event at `position`."""

    order_types: dict[str, OrderType]
    versions: tuple[RuleVersion, ...]
    changes: dict[str, RuleChange]
    version: int = 0
    position: int = 0

    def rules(self) -> "Rules":
        """Give the rules that the versions make."""
        return Rules(self.versions)


EMPTY = Rulebook({}, (), {})


def without(events: Iterable[Recorded], left_out: Collection[str]) -> Rulebook:
    """Fold the rulebook's events as if these approved rule changes had never been made.

    Errors: Refusal when one is not an approved change, or a later change needs an order type that one defines.
    """
    rulebook, found = EMPTY, set[str]()
    for event in events:
        approved = event.data.rule_change_id if isinstance(event.data, RuleChangeApproved) else None
        if approved in left_out:
            found.add(str(approved))
            continue
        if approved is not None:
            _check_needed_types(rulebook, rulebook.changes[approved])
        rulebook = evolve(rulebook, event)
    for index, asked in enumerate(left_out):
        if asked not in found:
            sentence = say(
                "there is no approved rule change {asked} to leave out: see the history of the rules",
                asked=shown(asked),
            )
            raise Refusal.of(Code.not_found, sentence, f"/without/{index}")
    return rulebook


def _check_needed_types(rulebook: Rulebook, change: RuleChange) -> None:
    known = set(rulebook.order_types)
    for alteration in change.alterations:
        needed = (
            alteration.conditions.order_type if isinstance(alteration, SetRule | EndRule) else alteration.order_type
        )
        if isinstance(alteration, DefineOrderType):
            known.add(alteration.order_type)
        elif needed is not None and needed not in known:
            raise Refusal.of(
                Code.change_needed,
                say(
                    "rule change {rule_change_id} is about the order type {needed}, which a change"
                    " that is left out defines: leave both out",
                    rule_change_id=shown(change.rule_change_id),
                    needed=shown(needed),
                ),
                "/without",
            )


def evolve(rulebook: Rulebook, recorded: Recorded) -> Rulebook:
    """Apply a recorded event of the rulebook; only an approval changes rules."""
    event = recorded.data
    assert isinstance(event, RulebookEvent), "the rulebook's stream holds rule changes only"
    at = replace(rulebook, version=recorded.version, position=recorded.position)
    match event:
        case RuleChangeProposed():
            return _with_change(at, _proposed(recorded, event))
        case RuleChangeApproved():
            at = all_altered(at, at.changes[event.rule_change_id].alterations, event.rule_change_id)
            decision = Decision("approved", *_by(recorded), event.reason, event.impact, event.four_eyes)
            return _decided(at, event.rule_change_id, decision)
        case RuleChangeRejected():
            return _decided(at, event.rule_change_id, Decision("rejected", *_by(recorded), event.reason))
        case RuleChangeWithdrawn():
            return _decided(at, event.rule_change_id, Decision("withdrawn", *_by(recorded), event.reason))
        case _:
            assert_never(event)


def _proposed(recorded: Recorded, event: RuleChangeProposed) -> RuleChange:
    return RuleChange(
        rule_change_id=event.rule_change_id,
        alterations=event.alterations,
        reason=event.reason,
        reason_code=event.reason_code,
        proposer=recorded.actor,
        proposed_at=recorded.recorded_at,
        proposed_position=recorded.position,
        impact=event.impact,
    )


def _by(recorded: Recorded) -> tuple[str, datetime, int]:
    return recorded.actor, recorded.recorded_at, recorded.position


def _with_change(rulebook: Rulebook, change: RuleChange) -> Rulebook:
    return replace(rulebook, changes={**rulebook.changes, change.rule_change_id: change})


def _decided(rulebook: Rulebook, rule_change_id: str, decision: Decision) -> Rulebook:
    return _with_change(rulebook, replace(rulebook.changes[rule_change_id], decision=decision))


def fold(events: Iterable[Recorded], rulebook: Rulebook = EMPTY) -> Rulebook:
    """Apply events in order."""
    for event in events:
        rulebook = evolve(rulebook, event)
    return rulebook


def altered(rulebook: Rulebook, alteration: Alteration, rule_change_id: str) -> Rulebook:
    """Give the rulebook with one alteration made, by the change of that id at the rulebook's position."""
    match alteration:
        case DefineOrderType():
            share = share_of(alteration.share)
            defined = OrderType(alteration.order_type, alteration.name, share)
            own = Conditions(order_type=alteration.order_type)
            version = RuleVersion(own, share, None, None, rulebook.position, rule_change_id)
            types = {**rulebook.order_types, alteration.order_type: defined}
            return replace(rulebook, order_types=types, versions=(*rulebook.versions, version))
        case RenameOrderType():
            return _with_type(rulebook, replace(rulebook.order_types[alteration.order_type], name=alteration.name))
        case RetireOrderType():
            known = rulebook.order_types[alteration.order_type]
            return _with_type(rulebook, replace(known, retired_from=alteration.effective_from))
        case SetRule():
            return _with_version(rulebook, alteration, share_of(alteration.share), rule_change_id)
        case EndRule():
            return _with_version(rulebook, alteration, _share_without(rulebook, alteration.conditions), rule_change_id)
        case _:
            assert_never(alteration)


def all_altered(rulebook: Rulebook, alterations: Iterable[Alteration], rule_change_id: str) -> Rulebook:
    """Give the rulebook with alterations made that were judged when they were recorded."""
    for alteration in alterations:
        rulebook = altered(rulebook, alteration, rule_change_id)
    return rulebook


def _with_version(
    rulebook: Rulebook, alteration: SetRule | EndRule, share: int | None, rule_change_id: str
) -> Rulebook:
    days = alteration.effective_from, alteration.effective_to
    version = RuleVersion(alteration.conditions, share, *days, rulebook.position, rule_change_id)
    return replace(rulebook, versions=(*rulebook.versions, version))


def _share_without(rulebook: Rulebook, conditions: Conditions) -> int | None:
    """Give what holds where a rule is ended: the next in precedence; an order type's own share as it was defined."""
    own = conditions.order_type is not None and conditions == Conditions(order_type=conditions.order_type)
    return rulebook.order_types[conditions.order_type].share if own and conditions.order_type else None


def _with_type(rulebook: Rulebook, order_type: OrderType) -> Rulebook:
    return replace(rulebook, order_types={**rulebook.order_types, order_type.order_type: order_type})


def decide(rulebook: Rulebook, proposal: RuleChangeProposed) -> Rulebook:
    """Judge a proposal against the rulebook, and give the rulebook as it would be.

    Errors: Refusal with every problem found; pointers are into the proposal.
    """
    checks = Checks("rule change", proposal.rule_change_id)
    checks.identifier(proposal.rule_change_id, "/rule_change_id")
    checks.text(proposal.reason, "/reason")
    checks.identifier(proposal.reason_code, "/reason_code")
    return _judged(checks, rulebook, proposal.rule_change_id, proposal.alterations)


def judge(rulebook: Rulebook, rule_change_id: str, alterations: Sequence[Alteration]) -> Rulebook:
    """Judge alterations alone, as for a simulation, and give the rulebook as it would be. Errors: as of decide."""
    return _judged(Checks("rule change", rule_change_id), rulebook, rule_change_id, alterations)


def _judged(checks: Checks, rulebook: Rulebook, rule_change_id: str, alterations: Sequence[Alteration]) -> Rulebook:
    if not alterations:
        checks.note(Code.invalid_value, say("it alters nothing: give at least one alteration"), "/alterations")
    proposed = rulebook
    for index, alteration in enumerate(alterations):
        at = f"/alterations/{index}"
        before = len(checks.problems)
        _check_alteration(checks, proposed, alteration, at)
        _check_contradiction(checks, alterations[:index], alteration, at)
        if len(checks.problems) == before:
            proposed = altered(proposed, alteration, rule_change_id)
    checks.refuse_if_any()
    if _meaning(proposed) == _meaning(rulebook):
        checks.note(Code.nothing_changed, say("the rulebook already says exactly this"), "/alterations")
        checks.refuse_if_any()
    return proposed


RuleDecision = RuleChangeApproved | RuleChangeRejected | RuleChangeWithdrawn


def decide_on(rulebook: Rulebook, event: RuleDecision, *, actor: str, four_eyes: bool) -> Rulebook:
    """Judge a decision on a proposed rule change, and give the rulebook as it would be.

    Errors: Refusal when there is no such proposal, it is decided, it is the wrong person's to decide, or it can't be
    made any more because the rulebook has moved since; pointers of the latter are into the proposal.
    """
    change = rulebook.changes.get(event.rule_change_id)
    name = shown(event.rule_change_id)
    if change is None:
        raise Refusal.of(
            Code.not_found,
            say("there is no rule change {name}: see the history of the rules", name=name),
            "/rule_change_id",
        )
    checks = Checks("rule change", event.rule_change_id)
    checks.text(event.reason, "/reason")
    checks.refuse_if_any()
    if change.decision is not None:
        told = change.decision
        raise Refusal.of(
            Code.rule_change_decided,
            say(
                "rule change {name} was {outcome} by {told_actor} at position {told_position}: propose another one",
                name=name,
                outcome=Sentence(told.outcome),
                told_actor=told.actor,
                told_position=told.position,
            ),
            position=told.position,
        )
    _check_person(change, event, actor=actor, four_eyes=four_eyes)
    if not isinstance(event, RuleChangeApproved):
        return rulebook
    return judge(rulebook, change.rule_change_id, change.alterations)


def _check_person(change: RuleChange, event: RuleDecision, *, actor: str, four_eyes: bool) -> None:
    """Refuse the proposer as approver where the ledger asks for four eyes, and anybody else as who withdraws."""
    name, own = shown(change.rule_change_id), change.proposer.casefold() == actor.casefold()
    if isinstance(event, RuleChangeWithdrawn):
        if not own:
            raise Refusal.of(
                Code.not_the_proposer,
                say(
                    "rule change {name} is {proposer}'s to withdraw: reject it instead",
                    name=name,
                    proposer=change.proposer,
                ),
            )
    elif own and four_eyes:
        raise Refusal.of(
            Code.own_proposal,
            say(
                "{actor} proposed rule change {name}, so somebody else decides on it (four eyes); the proposer may"
                " withdraw it",
                actor=actor,
                name=name,
            ),
        )


def _check_alteration(checks: Checks, rulebook: Rulebook, alteration: Alteration, at: str) -> None:
    match alteration:
        case DefineOrderType():
            checks.identifier(alteration.order_type, at + "/order_type")
            checks.text(alteration.name, at + "/name")
            checks.share(alteration.share, at + "/share")
            if alteration.order_type in rulebook.order_types:
                known = shown(alteration.order_type)
                checks.note(
                    Code.order_type_exists,
                    say("order type {known} is defined: set a rule instead", known=known),
                    at + "/order_type",
                )
        case RenameOrderType():
            checks.text(alteration.name, at + "/name")
            _check_known_type(checks, rulebook, alteration.order_type, at + "/order_type")
        case RetireOrderType():
            checks.day(alteration.effective_from, at + "/effective_from")
            _check_known_type(checks, rulebook, alteration.order_type, at + "/order_type")
        case SetRule():
            checks.share(alteration.share, at + "/share")
            _check_rule(checks, rulebook, alteration, at)
        case EndRule():
            _check_rule(checks, rulebook, alteration, at)
            if alteration.conditions not in rulebook.rules().versions:
                checks.note(
                    Code.unknown_rule, say("there is no rule with exactly these conditions"), at + "/conditions"
                )
        case _:
            assert_never(alteration)


def _check_rule(checks: Checks, rulebook: Rulebook, alteration: SetRule | EndRule, at: str) -> None:
    named = msgspec.structs.asdict(alteration.conditions)
    for attribute, value in named.items():
        checks.identifier(value, f"{at}/conditions/{attribute}")
    if not any(value is not None for value in named.values()):
        checks.note(Code.invalid_value, say("a rule names at least one condition"), at + "/conditions")
    if alteration.conditions.order_type is not None:
        _check_known_type(checks, rulebook, alteration.conditions.order_type, at + "/conditions/order_type")
    checks.days(alteration.effective_from, alteration.effective_to, at)


def _check_known_type(checks: Checks, rulebook: Rulebook, order_type: str, pointer: str) -> None:
    if order_type not in rulebook.order_types:
        checks.note(
            Code.unknown_order_type,
            say("order type {order_type} is not defined: define it first", order_type=shown(order_type)),
            pointer,
        )


def _check_contradiction(checks: Checks, earlier: Sequence[Alteration], alteration: Alteration, at: str) -> None:
    for index, other in enumerate(earlier):
        if _contradict(other, alteration):
            checks.note(
                Code.contradictory_alterations,
                say("it alters on some day what /alterations/{index} alters too: say each thing once", index=index),
                at,
            )


def _contradict(one: Alteration, other: Alteration) -> bool:
    if isinstance(one, SetRule | EndRule) and isinstance(other, SetRule | EndRule):
        ours = piece(one.effective_from, one.effective_to, None)
        theirs = piece(other.effective_from, other.effective_to, None)
        return one.conditions == other.conditions and ours.start < theirs.end and theirs.start < ours.end
    if isinstance(one, SetRule | EndRule) or isinstance(other, SetRule | EndRule):
        return False
    return type(one) is type(other) and one.order_type == other.order_type


def _meaning(rulebook: Rulebook) -> tuple[object, ...]:
    """Give what the rulebook says, without who said it when: for finding out whether a change changes anything."""
    shares = {
        conditions: overlay(Piece(part.start, part.end, part.value.share) for part in rule_pieces(versions))
        for conditions, versions in rulebook.rules().versions.items()
    }
    return rulebook.order_types, {conditions: pieces for conditions, pieces in shares.items() if pieces}
