"""The ledger that a command is about: this machine's, or a service's at an address; both give the same answers.

What a command prints is made of answers (api/shapes). A Client gets them over HTTP; LocalLedger has the same methods,
and makes the same answers from the store, by what the routes call too.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import TypeVar

import click
import msgspec

from api.adjusted import adjusted, booked_with, with_booked
from api.answers import performance_answer, rule_change_answer, view_answer
from api.client import ANY, AtStatement, Client, Known, Read, Stated, history_point
from api.commands import Remote, actor, asked_remote, opened_store, require_initialised
from api.explanations import explanation_answer
from api.languages import wanted_language
from api.movements import from_position, line_answer, named_period, to_position, totals
from api.performance import beside_quotas
from api.period_answers import closing_period_answer, periods_answer, resolved_answer
from api.proofs import checkpoint_answer
from api.queries import when_projected
from api.review import review_answer
from api.rule_changes import detail, impact_answer
from api.rules import order_types_answer, rules_answer
from api.shapes import (
    CarryForwardRequest,
    CheckpointAnswer,
    ClosingPeriodAnswer,
    ExplanationAnswer,
    ImpactAnswer,
    MovementAnswer,
    OrderTypes,
    PerformanceAnswer,
    PeriodAnswer,
    PeriodsAnswer,
    QuotaRequest,
    ResolvedAnswer,
    ReviewAnswer,
    RuleChangeDetail,
    RuleChangeRequest,
    RuleHistory,
    Rules,
    SimulationAnswer,
    SimulationRequest,
)
from api.simulations import simulation_answer
from ledger import checkpoints
from ledger.events import (
    CustomerClassified,
    DatedFact,
    ProductCategorised,
    RuleChangeRejected,
    RuleChangeWithdrawn,
    SalespersonQuotaSet,
    SalespersonTeamed,
)
from ledger.facts import ATTRIBUTES, QUOTA_OWNER, record_fact, record_quota, subject
from ledger.ids import uuid7
from ledger.refusal import Code, Refusal
from ledger.rule_changes import dismiss
from ledger.rulebook import RuleDecision
from ledger.store import Store
from projections.closing import CarryForward, Resolved, carry_forward, close, period_state, period_states, restate
from projections.explanation import explain
from projections.impact import approve, propose
from projections.movement import KINDS, movement
from projections.performance import performance, projected_head
from projections.projector import Projector
from projections.review import review
from projections.simulation import Assumption, simulate

Result = TypeVar("Result")
REMOTE_ATTEMPTS_MAX = 4
"""Who types waits for seconds, not for minutes."""


class LocalLedger:
    """The ledger of this machine; who types is its actor. Everything that is recorded is projected first."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # ---- figures

    def performance(self, period: str, *, group_by: tuple[str, ...], known: Known) -> PerformanceAnswer:
        """Give performance of a period."""
        store, days = self._store, self._store.calendar().period(period)
        result = performance(store, days, group_by=group_by, position=self._caught_up_at(known))
        booked = booked_with(store, result)
        figures = beside_quotas(store, with_booked(store, result, booked))
        return adjusted(store, performance_answer(result, figures, None), booked)

    def explanation(self, order_id: str, known: Known) -> ExplanationAnswer:
        """Give why an order counts, or does not."""
        return explanation_answer(explain(self._store, order_id, position=self._position(known)))

    def review(self, known: Known) -> ReviewAnswer:
        """Review the rulebook."""
        return review_answer(review(self._store, position=self._caught_up_at(known)))

    def movements(
        self,
        period: str,
        since: int | datetime | AtStatement,
        until: Known | AtStatement,
        *,
        kinds: Iterable[str],
        after_close: bool,
    ) -> MovementAnswer:
        """Break a difference into its causes."""
        store, days = self._store, named_period(self._store, period)
        self._catch_up()
        first = from_position(store, days, history_point("from", since))
        last = to_position(store, days, history_point("to", until))
        found = movement(store, days, from_position=first, to_position=last, kinds=tuple(kinds) or KINDS)
        lines = [line for line in found.lines if line.cause.after_close or not after_close]
        return MovementAnswer(
            period=PeriodAnswer(days.name, days.start, days.end),
            from_position=first,
            to_position=last,
            lines=[line_answer(line) for line in lines],
            totals=totals(lines),
            next_cursor=None,
            view=view_answer(found.view),
        )

    def simulate(self, request: SimulationRequest) -> SimulationAnswer:
        """Give periods as they are and as they would be."""
        days = [self._store.calendar().period(period) for period in request.periods]
        position = self._caught_up_at(request.known_at or request.position)
        assumption = Assumption(request.alterations, request.without)
        found = simulate(self._store, days, assumption, group_by=request.group_by, position=position)
        return simulation_answer(found, request.group_by)

    # ---- the rulebook

    def order_types(self) -> OrderTypes:
        """List the order types."""
        return order_types_answer(self._store.rulebook())

    def rules(self, on: date | None, *, known: Known) -> Rules:
        """List the counting rules."""
        position = self._position(known)
        return rules_answer(self._store.rulebook() if position is None else self._store.rulebook_at(position), on)

    def rules_history(self) -> RuleHistory:
        """List all rule changes."""
        rulebook = self._store.rulebook()
        return RuleHistory(rulebook.position, [rule_change_answer(change) for change in rulebook.changes.values()])

    def rule_change(self, rule_change_id: str) -> Read[RuleChangeDetail]:
        """Give a rule change with its impact."""
        return Read(self._when_projected(lambda: detail(self._store, rule_change_id)), ANY)

    def propose(self, request: RuleChangeRequest) -> Read[RuleChangeDetail]:
        """Propose to change the rulebook."""
        require_initialised(self._store)
        proposal, name = request.proposal(request.rule_change_id or str(uuid7())), actor()
        self._when_projected(lambda: propose(self._store, proposal, actor=name))
        return self.rule_change(proposal.rule_change_id)

    def preview(self, request: RuleChangeRequest) -> ImpactAnswer:
        """Give the impact that a proposal would have."""
        require_initialised(self._store)
        proposal = request.proposal(request.rule_change_id or str(uuid7()))
        rehearsing, name = self._store.rehearsing(), actor()
        proposed = self._when_projected(lambda: propose(rehearsing, proposal, actor=name))
        if proposed.changed.duplicate:
            return self.rule_change(proposal.rule_change_id).answer.impact
        return impact_answer(proposed.impact)

    def approve(
        self, rule_change_id: str, *, if_match: str, reason: str | None, accepted_digest: str | None
    ) -> RuleChangeDetail:
        """Approve a proposal. Errors: ImpactMoved."""
        _check(if_match)
        given, name = {"reason": reason, "accepted_digest": accepted_digest}, actor()
        self._when_projected(lambda: approve(self._store, rule_change_id, actor=name, **given))
        return self.rule_change(rule_change_id).answer

    def reject(self, rule_change_id: str, reason: str, *, if_match: str) -> RuleChangeDetail:
        """Reject a proposal."""
        return self._dismissed(RuleChangeRejected(rule_change_id, reason), if_match)

    def withdraw(self, rule_change_id: str, reason: str | None, *, if_match: str) -> RuleChangeDetail:
        """Withdraw one's own proposal."""
        return self._dismissed(RuleChangeWithdrawn(rule_change_id, reason), if_match)

    # ---- periods

    def periods(self, known: Known) -> PeriodsAnswer:
        """List the closing periods."""
        position, store = self._caught_up_at(known), self._store
        at = projected_head(store) if position is None else position
        return periods_answer(store, period_states(store, position=at), store.closings(at).version, at)

    def period(self, period: str, known: Known) -> Read[ClosingPeriodAnswer]:
        """Give a closing period."""
        state = period_state(self._store, period, position=self._caught_up_at(known))
        return Read(closing_period_answer(self._store, state), ANY)

    def close_period(self, period: str, reason: str, *, if_match: str, dry_run: bool) -> ResolvedAnswer:
        """Close a period."""
        return self._resolved(lambda: close(self._store, period, reason, actor=actor(), dry_run=dry_run), if_match)

    def restate(self, period: str, reason: str, *, if_match: str, dry_run: bool) -> ResolvedAnswer:
        """Give a closed period its next statement."""
        return self._resolved(lambda: restate(self._store, period, reason, actor=actor(), dry_run=dry_run), if_match)

    def carry_forward(
        self, period: str, request: CarryForwardRequest, *, if_match: str, dry_run: bool
    ) -> ResolvedAnswer:
        """Book a closed period's drift into an open one."""
        asking = CarryForward(period, request.into_period, request.reason, request.booked_on)
        return self._resolved(lambda: carry_forward(self._store, asking, actor=actor(), dry_run=dry_run), if_match)

    # ---- facts and checkpoints

    def set_customer_class(self, customer_id: str, fact: CustomerClassified) -> Stated:
        """Record the class of a customer."""
        return self._stated_of(customer_id, fact)

    def set_product_category(self, product_id: str, fact: ProductCategorised) -> Stated:
        """Record the category of a product."""
        return self._stated_of(product_id, fact)

    def set_salesperson_team(self, salesperson_id: str, fact: SalespersonTeamed) -> Stated:
        """Record the team of a salesperson."""
        return self._stated_of(salesperson_id, fact)

    def set_quota(self, salesperson_id: str, period: str, quota: QuotaRequest) -> Stated:
        """Record what a salesperson is to reach."""
        store = self._store
        require_initialised(store)
        days = store.calendar().fiscal_period(period)
        fact = SalespersonQuotaSet(days.name, *msgspec.structs.astuple(quota))
        return self._stated(
            lambda: record_quota(store, salesperson_id, days, fact, actor=actor()), subject(QUOTA_OWNER, salesperson_id)
        )

    def issue_checkpoint(self) -> CheckpointAnswer:
        """Sign the ledger as it is now."""
        require_initialised(self._store)
        return checkpoint_answer(self._store, checkpoints.issue(self._store, actor=actor()))

    # ---- what they share

    def _catch_up(self) -> None:
        Projector(self._store.database).catch_up()

    def _position(self, known: Known) -> int | None:
        return self._store.position_at(known) if isinstance(known, datetime) else known

    def _caught_up_at(self, known: Known) -> int | None:
        """Project what is recorded, and give the position to look at; None: the latest."""
        self._catch_up()
        return self._position(known)

    def _when_projected(self, act: Callable[[], Result]) -> Result:
        """Do something that needs all that is recorded to be projected, which this process sees to."""
        return when_projected(act, Projector(self._store.database).catch_up)

    def _dismissed(self, event: RuleDecision, if_match: str) -> RuleChangeDetail:
        _check(if_match)
        dismiss(self._store, event, actor=actor())
        return self.rule_change(event.rule_change_id).answer

    def _resolved(self, command: Callable[[], Resolved], if_match: str) -> ResolvedAnswer:
        _check(if_match)
        require_initialised(self._store)
        self._catch_up()
        return resolved_answer(self._store, command())

    def _stated_of(self, owner_id: str, fact: DatedFact) -> Stated:
        stream = subject(ATTRIBUTES[type(fact)].owner, owner_id)
        return self._stated(lambda: record_fact(self._store, owner_id, fact, actor=actor()), stream)

    def _stated(self, record: Callable[[], int], stream: str) -> Stated:
        require_initialised(self._store)
        try:
            return Stated(record(), duplicate=False)
        except Refusal as refusal:
            if refusal.code is not Code.nothing_changed:
                raise
            events = self._store.stream(stream)
            return Stated(events[-1].position if events else 0, duplicate=True)


def _check(if_match: str) -> None:
    assert if_match == ANY, "who types on the ledger's machine names no version"


Ledger = LocalLedger | Client
"""What a command asks; both have the same methods, and commands name no version: `if_match` is ANY."""


@contextmanager
def opened_ledger() -> Iterator[Ledger]:
    """Give the ledger that the command is about."""
    remote = asked_remote()
    if remote is None:
        with opened_store() as store:
            yield LocalLedger(store)
    else:
        with opened_client(remote) as client:
            yield client


def opened_client(remote: Remote) -> Client:
    """Give a client of a service. Errors: a usage error for an address or a token that is none."""
    try:
        client = Client(remote.url, remote.token(), attempts_max=REMOTE_ATTEMPTS_MAX)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    client.ask_in(wanted_language())
    return client
