"""Rule changes: proposed with their impact, then approved, rejected or withdrawn; and reading one with its impact."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Literal

import msgspec
from flask import Response
from msgspec.structs import asdict

from api.access import READERS, allow, principal
from api.answers import answer, open_day, rule_change_answer
from api.bodies import read_body
from api.exports import asked_export
from api.idempotency import asked_store, keyed
from api.preconditions import checked_version, conditional, tagged
from api.problems import problem_error
from api.queries import (
    PAGE_MAX,
    DryRunQuery,
    ImpactOrdersQuery,
    RuleChangeQuery,
    at_head,
    read_cursor,
    write_cursor,
)
from api.routes import Routes
from api.rule_tables import history_tables, impact_orders_table, impact_tables
from api.shapes import (
    Approval,
    ImpactAnswer,
    ImpactAs,
    ImpactLineAnswer,
    ImpactOrderAnswer,
    ImpactOrdersAnswer,
    ImpactPreview,
    ImpactTotal,
    ProblemError,
    Rejection,
    RuleChangeDetail,
    RuleChangeRequest,
    ShadowAnswer,
    TouchedOrdersAnswer,
    Withdrawal,
)
from api.values import UNASSIGNED
from ledger.checks import shown
from ledger.events import RulebookEvent, RuleChangeRejected, RuleChangeWithdrawn
from ledger.ids import uuid7
from ledger.money import CREDITED_DECIMALS, credited_text, rounded_text, share_text
from ledger.refusal import Code, Refusal
from ledger.rule_changes import dismiss
from ledger.rulebook import RuleChange, RuleDecision
from ledger.rules import RuleVersion
from ledger.store import Store
from ledger.timeline import Piece
from ledger.wording import say
from projections.impact import (
    Impact,
    ImpactLine,
    ImpactMoved,
    ImpactOrder,
    Shadowed,
    Wanted,
    approve,
    current_impact,
    current_position,
    impact_orders,
    propose,
    recorded_impact,
    recorded_position,
)

JUDGED = (
    Code.order_type_exists,
    Code.unknown_order_type,
    Code.unknown_rule,
    Code.nothing_changed,
    Code.contradictory_alterations,
    Code.not_yet_projected,
)
"""What alterations of the rulebook may be judged to be."""
_CHANGE = msgspec.json.Decoder(RuleChangeRequest)
_APPROVAL = msgspec.json.Decoder(Approval)
_REJECTION = msgspec.json.Decoder(Rejection)
_WITHDRAWAL = msgspec.json.Decoder(Withdrawal)


def blueprint(store: Store) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("rule_changes", __name__, description="Rule changes: proposals, their impact, and decisions.")
    _add_proposing(routes, store)
    _add_orders(routes, store)
    _add_approving(routes, store)
    _add_dismissing(routes, store)
    return routes


def _add_proposing(routes: Routes, store: Store) -> None:
    @routes.post("/rule-changes")
    @routes.query(DryRunQuery)
    @routes.takes(RuleChangeRequest)
    @routes.answers(200, (RuleChangeDetail, ImpactPreview), "It was proposed before; or, of a dry run, the impact.")
    @routes.answers(201, RuleChangeDetail, "It is proposed, and waits for a decision.")
    @routes.refuses(*JUDGED, Code.event_id_conflict)
    @routes.leads_to(201, "get_rule_change", rule_change_id="$response.body#/rule_change_id")
    @routes.leads_to(201, "post_approval", rule_change_id="$response.body#/rule_change_id")
    @routes.leads_to(201, "post_rejection", rule_change_id="$response.body#/rule_change_id")
    @routes.leads_to(201, "post_withdrawal", rule_change_id="$response.body#/rule_change_id")
    @keyed(store, lambda position: _told_again(store, position))
    @allow("rules")
    def post_rule_change(query: dict[str, Any]) -> Response:
        """Propose to change the rulebook, also for the past, and see what that would move."""
        request = read_body(_CHANGE)
        proposal = request.proposal(request.rule_change_id or str(uuid7()))
        actor, ledger = principal(), asked_store(store, query)
        proposed = at_head(store, lambda: propose(ledger, proposal, actor=actor))
        if proposed.changed.duplicate:
            return _answered(detail(store, proposal.rule_change_id))
        if query["dry_run"]:
            return answer(ImpactPreview(impact_answer(proposed.impact)))
        change = found_rule_change(store, proposal.rule_change_id)
        return _answered(_told(change, proposed.impact, "now"), 201)

    @routes.get("/rule-changes/<path:rule_change_id>")
    @routes.query(RuleChangeQuery)
    @routes.answers(200, RuleChangeDetail)
    @routes.exports()
    @routes.tells_header("ETag")
    @routes.refuses(Code.not_yet_projected)
    @allow(*READERS)
    def get_rule_change(query: dict[str, Any], rule_change_id: str) -> Response:
        """Give one rule change, the decision on it, and its impact.

        The ETag is its version, which a decision names by If-Match: 1 of a proposal, 2 of one that is decided.
        """
        export = asked_export(query)
        told = _as_proposed(store, rule_change_id) if "impact_as" in query else detail(store, rule_change_id)
        if export is not None:
            tables = [*history_tables([told]), *impact_tables(told.impact)]
            return export.answered(tables, f"rule-change-{rule_change_id}", told.impact.position)
        return _answered(told)


def _add_orders(routes: Routes, store: Store) -> None:
    @routes.get("/rule-changes/<path:rule_change_id>/orders")
    @routes.query(ImpactOrdersQuery)
    @routes.answers(200, ImpactOrdersAnswer)
    @routes.exports()
    @routes.refuses(Code.not_yet_projected, Code.invalid_period)
    @allow(*READERS)
    def get_rule_change_orders(query: dict[str, Any], rule_change_id: str) -> Response:
        """Give the orders that the impact of a rule change is made of. As a file (by Accept) they are whole.

        The limit is of orders; one has a row for each salesperson, period and currency.
        """
        export = asked_export(query)
        change = found_rule_change(store, rule_change_id)
        position, impact_as = _seen(store, change, as_proposed="impact_as" in query)
        after = 0
        if "cursor" in query:
            position, after = read_cursor(query["cursor"], 2)
        limit, period = PAGE_MAX if export else query["limit"], query.get("period")
        wanted = wanted_orders(store, period, query.get("salesperson_id"), limit=limit, after=after)
        found = impact_orders(store, change, position, wanted)
        if export is not None:
            rows = (_order_answer(each) for each in _all_orders(store, change, position, wanted, found))
            return export.answered([impact_orders_table(rows)], f"impact-{rule_change_id}", position)
        told = touched_orders(position, found, limit)
        approved = change.approval.position if change.approval and impact_as == "approved" else None
        about = {"rule_change_id": rule_change_id, "impact_as": impact_as, "approved_position": approved}
        return answer(ImpactOrdersAnswer(**{**asdict(told), **about}))


def wanted_orders(store: Store, period: str | None, whose: str | None, *, limit: int, after: int) -> Wanted:
    """Say which orders of an impact are asked for. Errors: Refusal (invalid_period)."""
    days = None if period is None else store.calendar().period(period)
    return Wanted(limit, after, days, None if whose is None else (None if whose == UNASSIGNED else whose,))


def touched_orders(position: int, found: list[ImpactOrder], limit: int, *, body: bytes = b"") -> TouchedOrdersAnswer:
    """Tell a page of so many orders; the body says which, where they are asked for by one."""
    is_full = len({each.placed for each in found}) == limit
    cursor = write_cursor(position, found[-1].placed, body=body) if is_full else None
    return TouchedOrdersAnswer(position, [_order_answer(each) for each in found], cursor)


def _seen(store: Store, change: RuleChange, *, as_proposed: bool) -> tuple[int, ImpactAs]:
    """Give the position of the impact that is told of a rule change, and which one it is."""
    if not as_proposed and change.decision is None:
        try:
            return current_position(store, change), "now"
        except Refusal as refusal:
            if refusal.code is Code.not_yet_projected:
                raise
    if as_proposed or change.approval is None:
        return recorded_position(replace(change, decision=None)), "proposed"
    return recorded_position(change), "approved"


def _all_orders(
    store: Store, change: RuleChange, position: int, wanted: Wanted, found: list[ImpactOrder]
) -> Iterator[ImpactOrder]:
    """Give all orders of an impact, from a first page on."""
    while found:
        yield from found
        found = impact_orders(store, change, position, replace(wanted, after=found[-1].placed))


def _add_approving(routes: Routes, store: Store) -> None:
    @routes.post("/rule-changes/<path:rule_change_id>/approve")
    @routes.takes(Approval)
    @routes.query(DryRunQuery)
    @routes.answers(200, RuleChangeDetail, "The rulebook is changed; or, of a dry run, could be.")
    @routes.refuses(*JUDGED, Code.rule_change_decided, Code.own_proposal, Code.impact_moved)
    @keyed(store, lambda position: _told_again(store, position))
    @conditional
    @allow("approver")
    def post_approval(query: dict[str, Any], rule_change_id: str) -> Response:
        """Approve a proposal: from here on the rulebook is changed, for the past too.

        What is approved is the impact that was proposed. If it has moved since, this is refused with the new one
        (impact_moved, `facts.impact`), until `accepted_digest` names that.
        """
        approval, actor = read_body(_APPROVAL), principal()
        ledger = _deciding(store, query, rule_change_id, approval.version)
        given = {"reason": approval.reason, "accepted_digest": approval.accepted_digest}
        try:
            approved = at_head(store, lambda: approve(ledger, rule_change_id, actor=actor, **given))
        except ImpactMoved as moved:
            raise Refusal(moved.problems, {"impact": impact_answer(moved.impact)}) from None
        change = found_rule_change(store, rule_change_id)
        return _answered(_told(change, approved.impact, "approved" if change.approval else "now"))


def _add_dismissing(routes: Routes, store: Store) -> None:
    @routes.post("/rule-changes/<path:rule_change_id>/reject")
    @routes.takes(Rejection)
    @routes.query(DryRunQuery)
    @routes.answers(200, RuleChangeDetail, "It is rejected; or, of a dry run, could be.")
    @routes.refuses(Code.rule_change_decided, Code.own_proposal, Code.not_yet_projected)
    @keyed(store, lambda position: _told_again(store, position))
    @conditional
    @allow("approver")
    def post_rejection(query: dict[str, Any], rule_change_id: str) -> Response:
        """Reject a proposal, with a reason; the rulebook stays as it is."""
        sent = read_body(_REJECTION)
        ledger = _deciding(store, query, rule_change_id, sent.version)
        return _dismissed(ledger, RuleChangeRejected(rule_change_id, sent.reason))

    @routes.post("/rule-changes/<path:rule_change_id>/withdraw")
    @routes.takes(Withdrawal)
    @routes.query(DryRunQuery)
    @routes.answers(200, RuleChangeDetail, "It is withdrawn; or, of a dry run, could be.")
    @routes.refuses(Code.rule_change_decided, Code.not_the_proposer, Code.not_yet_projected)
    @keyed(store, lambda position: _told_again(store, position))
    @conditional
    @allow("rules")
    def post_withdrawal(query: dict[str, Any], rule_change_id: str) -> Response:
        """Withdraw one's own proposal; the rulebook stays as it is."""
        sent = read_body(_WITHDRAWAL)
        ledger = _deciding(store, query, rule_change_id, sent.version)
        return _dismissed(ledger, RuleChangeWithdrawn(rule_change_id, sent.reason))


def _deciding(store: Store, query: dict[str, Any], rule_change_id: str, sent: int | None) -> Store:
    """Give the ledger to decide in, having checked that the request is about the rule change as it is.

    Errors: Refusal (not_found; as of checked_version).
    """
    version = _version(found_rule_change(store, rule_change_id))
    checked_version(
        say("rule change {rule_change_id}", rule_change_id=shown(rule_change_id)),
        version,
        sent=sent,
        demanded=not query["dry_run"],
    )
    return asked_store(store, query)


def _dismissed(store: Store, event: RuleDecision) -> Response:
    dismiss(store, event, actor=principal())
    return _answered(detail(store, event.rule_change_id))


def _answered(told: RuleChangeDetail, status: int = 200) -> Response:
    return tagged(answer(told, status), told.version)


def _told_again(store: Store, position: int) -> Response:
    """Tell what was recorded at a position as it was told then."""
    (event,) = store.recorded_at_positions([position])
    assert isinstance(event.data, RulebookEvent), "the key is of a rule change"
    change = store.rulebook_at(position).changes[event.data.rule_change_id]
    impact_as: ImpactAs = "approved" if change.approval else "proposed" if change.decision else "now"
    return _answered(_told(change, recorded_impact(store, change), impact_as), 200 if change.decision else 201)


def found_rule_change(store: Store, rule_change_id: str) -> RuleChange:
    """Give a rule change. Errors: Refusal (not_found)."""
    change = store.rulebook().changes.get(rule_change_id)
    if change is None:
        raise Refusal.of(
            Code.not_found,
            say(
                "there is no rule change {rule_change_id}: see the history of the rules",
                rule_change_id=shown(rule_change_id),
            ),
        )
    return change


def detail(store: Store, rule_change_id: str) -> RuleChangeDetail:
    """Tell a rule change with its impact. Errors: Refusal (not_found, not_yet_projected)."""
    change = found_rule_change(store, rule_change_id)
    if change.decision is not None:
        return _told(change, recorded_impact(store, change), "approved" if change.approval else "proposed")
    try:
        return _told(change, current_impact(store, change), "now")
    except Refusal as refusal:
        if refusal.code is Code.not_yet_projected:
            raise
        obstacles = [problem_error(problem) for problem in refusal.problems]
        return _told(change, recorded_impact(store, change), "proposed", obstacles)


def _as_proposed(store: Store, rule_change_id: str) -> RuleChangeDetail:
    """Tell a rule change with the impact that its proposer saw. Errors: Refusal (not_found, not_yet_projected)."""
    change = found_rule_change(store, rule_change_id)
    return _told(change, recorded_impact(store, replace(change, decision=None)), "proposed")


def _told(
    change: RuleChange,
    impact: Impact,
    impact_as: ImpactAs,
    obstacles: list[ProblemError] | None = None,
) -> RuleChangeDetail:
    told = asdict(rule_change_answer(change))
    return RuleChangeDetail(
        **told,
        version=_version(change),
        impact_as=impact_as,
        impact=impact_answer(impact),
        obstacles=obstacles or [],
    )


def _version(change: RuleChange) -> int:
    """Give how many events are recorded of a rule change: the proposal, and the decision."""
    return 2 if change.decision else 1


def impact_answer(impact: Impact) -> ImpactAnswer:
    """Tell an impact."""
    sums = defaultdict[tuple[str, str], list[int]](lambda: [0, 0])
    for line in impact.lines:
        sums[line.period, line.currency][0] += line.before
        sums[line.period, line.currency][1] += line.after
    return ImpactAnswer(
        position=impact.position,
        digest=impact.digest,
        orders=impact.orders,
        people=impact.people,
        closed_periods=impact.closed_periods,
        lines=[_line_answer(line) for line in impact.lines],
        totals=[
            ImpactTotal(**_amounts(currency, both), period=period) for (period, currency), both in sorted(sums.items())
        ],
        shadows=[each for found in impact.shadowed for each in _shadow_answers(found)],
        unknown_values=impact.unknown_values,
    )


def _line_answer(line: ImpactLine) -> ImpactLineAnswer:
    return ImpactLineAnswer(
        **_amounts(line.currency, (line.before, line.after)),
        salesperson_id=line.salesperson.value,
        name=line.salesperson.name,
        period=line.period,
        orders=line.orders,
    )


def _order_answer(order: ImpactOrder) -> ImpactOrderAnswer:
    return ImpactOrderAnswer(
        **_amounts(order.currency, (order.before, order.after)),
        order_id=order.order_id,
        salesperson_id=order.salesperson.value,
        name=order.salesperson.name,
        period=order.period,
    )


def _amounts(currency: str, both: Iterable[int]) -> dict[str, Any]:
    before, after = both
    told = {"currency": currency}
    for name, amount in (("before", before), ("after", after), ("change", after - before)):
        told[name] = rounded_text(amount, CREDITED_DECIMALS, currency)
        told[f"{name}_exact"] = credited_text(amount)
    return told


def _shadow_answers(found: Shadowed) -> Iterator[ShadowAnswer]:
    for part in found.replaced:
        yield _shadow_answer(found.alteration, "replaced", part)
    for shadow in found.shadows:
        met = Piece(shadow.start, shadow.end, shadow.version)
        yield _shadow_answer(found.alteration, "above" if shadow.above else "below", met)


def _shadow_answer(
    alteration: int, relation: Literal["replaced", "above", "below"], met: Piece[RuleVersion]
) -> ShadowAnswer:
    return ShadowAnswer(
        alteration=alteration,
        relation=relation,
        conditions=met.value.conditions,
        share=share_text(met.value.share or 0),
        effective_from=open_day(met.start),
        effective_to=open_day(met.end),
        rule_change_id=met.value.rule_change_id,
    )
