"""Recording rule changes: a proposal, and the decision that brings it into the rulebook.

With four eyes off, a change is one command: the proposal and its approval by the same principal, in one transaction.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from ledger import rulebook as rulebooks
from ledger.checks import shown
from ledger.events import NAMES, Alteration, RuleChangeApproved, RuleChangeProposed, encode
from ledger.refusal import Code, Refusal
from ledger.sequencer import Append, Appended, NewEvent
from ledger.store import SOURCE, Store

ATTEMPTS_MAX = 20


@dataclass(frozen=True)
class Changed:
    """The rule change is in the rulebook since `position`; a repetition of the same command is a duplicate."""

    rule_change_id: str
    position: int
    duplicate: bool = False


def change_rules(store: Store, proposal: RuleChangeProposed, *, actor: str) -> Changed:
    """Propose and approve a rule change in one transaction.

    Errors: Refusal when the proposal can't be, or its id was used for another one; nothing is recorded then.
    """
    for _ in range(ATTEMPTS_MAX):
        rulebook = store.rulebook()
        if proposal.rule_change_id in rulebook.changes:
            return _repeated(rulebook, proposal)
        rulebooks.decide(rulebook, proposal)
        approval = RuleChangeApproved(proposal.rule_change_id, four_eyes=False)
        day = effective_day(proposal.alterations, store.clock().date())
        events = [
            _new_event(proposal, rulebook.version + 1, day, actor),
            _new_event(approval, rulebook.version + 2, day, actor),
        ]
        verdict = store.sequencer.append(Append(events))
        if isinstance(verdict, Appended):
            return Changed(proposal.rule_change_id, verdict.first_position + 1)
    raise RuntimeError(f"other writers were faster {ATTEMPTS_MAX} times in a row: send the change again")


def effective_day(alterations: Iterable[Alteration], today: date) -> date:
    """Give the first day that the alterations apply to; today where none names a day."""
    days = [day for alteration in alterations if (day := getattr(alteration, "effective_from", None)) is not None]
    return min(days, default=today)


def _new_event(event: RuleChangeProposed | RuleChangeApproved, version: int, day: date, actor: str) -> NewEvent:
    step = "proposed" if isinstance(event, RuleChangeProposed) else "approved"
    return NewEvent(
        subject=rulebooks.SUBJECT,
        version=version,
        type=NAMES[type(event)],
        source=SOURCE,
        event_id=f"{event.rule_change_id}/{step}",
        actor=actor,
        effective_on=day,
        data=encode(event),
    )


def _repeated(rulebook: rulebooks.Rulebook, proposal: RuleChangeProposed) -> Changed:
    known = rulebook.changes[proposal.rule_change_id]
    same = (known.alterations, known.reason, known.reason_code) == (
        proposal.alterations,
        proposal.reason,
        proposal.reason_code,
    )
    if not same or known.approved_position is None:
        raise Refusal.of(
            Code.event_id_conflict,
            f"rule change id {shown(proposal.rule_change_id)} was used at position {known.proposed_position} with other"
            " content: send the change under another id",
            "/rule_change_id",
        )
    return Changed(known.rule_change_id, known.approved_position, duplicate=True)
