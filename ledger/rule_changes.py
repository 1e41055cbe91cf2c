"""Recording rule changes: a proposal, and the decision on it: approved, rejected or withdrawn.

The impact that a proposer or an approver saw comes from projections/impact.py, which calls these. Where four eyes are
off, a change may also be one command: the proposal and its approval by the same principal, in one transaction.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from ledger import rulebook as rulebooks
from ledger.checks import shown
from ledger.events import (
    NAMES,
    Alteration,
    RulebookEvent,
    RuleChangeApproved,
    RuleChangeProposed,
    encode,
)
from ledger.refusal import Code, Refusal
from ledger.rulebook import Rulebook, RuleChange, RuleDecision
from ledger.sequencer import Append, Appended, NewEvent
from ledger.store import SOURCE, Store
from ledger.wording import say

ATTEMPTS_MAX = 20


@dataclass(frozen=True)
class Changed:
    """The rulebook's stream has the event at `position`; a repetition of the same command is a duplicate."""

    rule_change_id: str
    position: int
    duplicate: bool = False


def change_rules(store: Store, proposal: RuleChangeProposed, *, actor: str) -> Changed:
    """Propose and approve a rule change in one transaction, where four eyes are off.

    Errors: Refusal when the proposal can't be, its id was used for another one, or the ledger asks for four eyes;
    nothing is recorded then.
    """
    if store.asks_four_eyes():
        raise Refusal.of(
            Code.own_proposal,
            say(
                "{actor} can't propose and approve rule change {rule_change_id} at once: this ledger"
                " asks for four eyes, so propose it and have somebody else approve it",
                actor=actor,
                rule_change_id=shown(proposal.rule_change_id),
            ),
        )
    for _ in range(ATTEMPTS_MAX):
        rulebook = store.rulebook()
        if (known := rulebook.changes.get(proposal.rule_change_id)) is not None:
            return _repeated(known, proposal, whole=True)
        rulebooks.decide(rulebook, proposal)
        approval = RuleChangeApproved(proposal.rule_change_id, four_eyes=False)
        if (position := _appended(store, rulebook, [proposal, approval], proposal.alterations, actor)) is not None:
            return Changed(proposal.rule_change_id, position + 1)
    raise RuntimeError(f"other writers were faster {ATTEMPTS_MAX} times in a row: send the change again")


def propose(store: Store, rulebook: Rulebook, proposal: RuleChangeProposed, *, actor: str) -> Changed | None:
    """Record a proposal judged by this rulebook; None where the rulebook has moved since: judge again.

    Errors: Refusal when the proposal can't be, or its id was used for another one; nothing is recorded then.
    """
    if (known := rulebook.changes.get(proposal.rule_change_id)) is not None:
        return _repeated(known, proposal, whole=False)
    rulebooks.decide(rulebook, proposal)
    position = _appended(store, rulebook, [proposal], proposal.alterations, actor)
    return None if position is None else Changed(proposal.rule_change_id, position)


def decide_on(store: Store, rulebook: Rulebook, event: RuleDecision, *, actor: str) -> Changed | None:
    """Record a decision judged by this rulebook; None where the rulebook has moved since: judge again.

    Errors: Refusal when the decision can't be (rulebook.decide_on); nothing is recorded then.
    """
    rulebooks.decide_on(rulebook, event, actor=actor, four_eyes=store.asks_four_eyes())
    alterations = rulebook.changes[event.rule_change_id].alterations
    position = _appended(store, rulebook, [event], alterations, actor)
    return None if position is None else Changed(event.rule_change_id, position)


def dismiss(store: Store, event: RuleDecision, *, actor: str) -> Changed:
    """Record that a proposal is rejected or withdrawn. Errors: as of decide_on."""
    for _ in range(ATTEMPTS_MAX):
        if (changed := decide_on(store, store.rulebook(), event, actor=actor)) is not None:
            return changed
    raise RuntimeError(f"other writers were faster {ATTEMPTS_MAX} times in a row: send the decision again")


def effective_day(alterations: Iterable[Alteration], today: date) -> date:
    """Give the first day that the alterations apply to; today where none names a day."""
    days = [day for alteration in alterations if (day := getattr(alteration, "effective_from", None)) is not None]
    return min(days, default=today)


_STEPS = {name: name.partition(".")[2] for name in NAMES.values() if name.startswith("rule_change.")}


def _appended(
    store: Store,
    rulebook: Rulebook,
    events: list[RulebookEvent],
    alterations: Iterable[Alteration],
    actor: str,
) -> int | None:
    """Append events behind the rulebook they were judged by; the first one's position, None where it has moved."""
    day = effective_day(alterations, store.today())
    new = [
        NewEvent(
            subject=rulebooks.SUBJECT,
            version=rulebook.version + number,
            type=NAMES[type(event)],
            source=SOURCE,
            event_id=f"{event.rule_change_id}/{_STEPS[NAMES[type(event)]]}",
            actor=actor,
            effective_on=day,
            data=encode(event),
        )
        for number, event in enumerate(events, 1)
    ]
    verdict = store.append(Append(new))
    return verdict.first_position if isinstance(verdict, Appended) else None


def _repeated(known: RuleChange, proposal: RuleChangeProposed, *, whole: bool) -> Changed:
    """Answer a command sent again; `whole` when it was to propose and approve."""
    same = (known.alterations, known.reason, known.reason_code) == (
        proposal.alterations,
        proposal.reason,
        proposal.reason_code,
    )
    approval = known.approval
    if not same or (whole and approval is None):
        raise Refusal.of(
            Code.event_id_conflict,
            say(
                "rule change id {rule_change_id} was used at position {proposed_position} with other"
                " content: send the change under another id",
                rule_change_id=shown(proposal.rule_change_id),
                proposed_position=known.proposed_position,
            ),
            "/rule_change_id",
        )
    position = approval.position if whole and approval else known.proposed_position
    return Changed(known.rule_change_id, position, duplicate=True)
