"""Approvals: the proposals that wait for a decision, what each moved when it was proposed and moves now."""

from typing import Final, NamedTuple

from flask import Blueprint, Response

from api.access import READERS, allow, principal
from api.client import Client
from api.console.alterations import told_alteration
from api.console.impacts import Beside, totals_beside
from api.console.rule_change import address_of
from api.console.shell import Source, client, page
from api.shapes import ImpactTotal, RuleChangeAnswer, RuleChangeDetail
from ledger.wording import Sentence, say

IMPACTS_MAX: Final = 20
"""So many proposals are shown with their impacts, each of which is computed; more are named."""
DECIDED_MAX: Final = 20


class Waiting(NamedTuple):
    """A proposal that waits: in words, as it is now, and what it moves beside what it moved when it was proposed."""

    made: list[Sentence]
    now: RuleChangeDetail
    then: RuleChangeDetail
    totals: list[Beside[ImpactTotal]]

    @property
    def has_moved(self) -> bool:
        """Say whether its impact is another one than was proposed."""
        return self.then.impact.digest != self.now.impact.digest


def add_approvals(console: Blueprint) -> None:
    """Add the page."""

    @console.get("/approvals")
    @allow(*READERS)
    def get_approvals() -> Response:
        ledger = client()
        changes = ledger.rules_history().rule_changes
        waiting = [each for each in changes if each.state == "proposed"]
        decided = sorted((each for each in changes if each.decision), key=lambda each: -each.position)
        told = [_waiting(ledger, each) for each in waiting[:IMPACTS_MAX]]
        return page(
            "approvals.html",
            others=[each for each in told if each.now.proposer != principal()],
            mine=[each for each in told if each.now.proposer == principal()],
            further=waiting[IMPACTS_MAX:],
            decided=decided[:DECIDED_MAX],
            sources=[
                Source(say("Rule changes"), "/v1/rules/history"),
                *(_source(each.now.rule_change_id) for each in told),
            ],
        )


def _source(rule_change_id: str) -> Source:
    return Source(say("Rule change {rule_change_id}", rule_change_id=rule_change_id), address_of(rule_change_id))


def _waiting(ledger: Client, change: RuleChangeAnswer) -> Waiting:
    now = ledger.rule_change(change.rule_change_id).answer
    then = ledger.rule_change(change.rule_change_id, impact_as="proposed").answer
    made = [told_alteration(each) for each in change.alterations]
    return Waiting(made, now, then, totals_beside(then.impact, now.impact))
