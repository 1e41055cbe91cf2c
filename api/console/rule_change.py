"""A rule change: what it alters and why, what it moves, and the decision on it, which is made right there."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from flask import Blueprint, Response, g, redirect, request, url_for
from werkzeug.wrappers import Response as Answer

from api.access import READERS, allow
from api.client import Client
from api.console.alterations import told_alteration
from api.console.impacts import lines_beside, totals_beside
from api.console.reading import reading
from api.console.remedies import remedied
from api.console.rulebook import named_conditions
from api.console.shell import Form, Source, called, client, page, sent_form, told_done
from api.rule_tables import altered_conditions
from api.shapes import ImpactAnswer, RuleChangeDetail
from api.transport import Refused
from ledger.refusal import Code
from ledger.wording import Sentence, say
from projections.sentences import orders_of


def add_rule_change(console: Blueprint) -> None:
    """Add the page and its forms."""

    @console.get("/rule-changes/<path:rule_change_id>")
    @reading("done")
    @allow(*READERS)
    def get_rule_change(rule_change_id: str) -> Response:
        return _shown(rule_change_id)

    @console.post("/rule-changes/<path:rule_change_id>/approve")
    @allow("approver")
    def post_approval(rule_change_id: str) -> Answer:
        def approve(ledger: Client) -> object:
            accepted = _typed("accepted_digest")
            return ledger.approve(rule_change_id, if_match=_seen(), reason=_typed("reason"), accepted_digest=accepted)

        return _decided(rule_change_id, "approve", "approved", approve)

    @console.post("/rule-changes/<path:rule_change_id>/reject")
    @allow("approver")
    def post_rejection(rule_change_id: str) -> Answer:
        def reject(ledger: Client) -> object:
            return ledger.reject(rule_change_id, _typed("reason") or "", if_match=_seen())

        return _decided(rule_change_id, "reject", "rejected", reject)

    @console.post("/rule-changes/<path:rule_change_id>/withdraw")
    @allow("rules")
    def post_withdrawal(rule_change_id: str) -> Answer:
        def withdraw(ledger: Client) -> object:
            return ledger.withdraw(rule_change_id, _typed("reason"), if_match=_seen())

        return _decided(rule_change_id, "withdraw", "withdrawn", withdraw)


def address_of(rule_change_id: str) -> str:
    """Give the address of a rule change in the API."""
    return f"/v1/rule-changes/{quote(rule_change_id, safe='')}"


def _typed(name: str) -> str | None:
    return request.form.get(name, "").strip() or None


def _seen() -> str:
    """Give the version that the form was shown with."""
    return request.form.get("if_match", "")


def _decided(rule_change_id: str, decision: str, done: str, decide: Callable[[Client], object]) -> Answer:
    """Decide, and go to the page; where that is refused, show it again with the form as it was sent."""
    try:
        decide(client())
    except Refused as refused:
        g.refused_as = refused.code
        told = refused.facts.get("impact") if refused.code == Code.impact_moved.name else None
        moved = msgspec.convert(told, ImpactAnswer) if told else None
        return _shown(rule_change_id, {decision: sent_form(refused)}, moved)
    return redirect(url_for("console.get_rule_change", rule_change_id=rule_change_id, done=done, _anchor="main"), 303)


def _done(told: RuleChangeDetail) -> Sentence | None:
    """Say what was just done to a rule change; what it has become since is not told."""
    name = called(told.rule_change_id, told.reason)
    said = {
        "proposed": say("Rule change {name} was proposed; somebody else decides on it.", name=name),
        "approved": say(
            "Rule change {name} was approved; its rules hold from position {position} on.",
            name=name,
            position=told.decision.position if told.decision else told.position,
        ),
        "rejected": say("Rule change {name} was rejected; the rulebook stays as it is.", name=name),
        "withdrawn": say("Rule change {name} was withdrawn; the rulebook stays as it is.", name=name),
    }
    return told_done(**{told.state: said[told.state]})


def _shown(rule_change_id: str, sent: Mapping[str, Form] | None = None, moved: ImpactAnswer | None = None) -> Response:
    """Show a rule change; `sent` is a form that was refused, `moved` the impact that it was refused with."""
    ledger = client()
    read = ledger.rule_change(rule_change_id)
    told, now = read.answer, moved or read.answer.impact
    then = ledger.rule_change(rule_change_id, impact_as="proposed").answer.impact
    forms: dict[str, Any] = {name: Form() for name in ("approve", "reject", "withdraw")} | dict(sent or {})
    address = address_of(rule_change_id)
    return page(
        "rule_change.html",
        status=next((form.status for form in (sent or {}).values()), 200),
        told=told,
        done=_done(told),
        obstacles=[remedied(each) for each in told.obstacles],
        named=named_conditions,
        orders_of=orders_of,
        etag=read.etag,
        made=[(told_alteration(each), named_conditions(altered_conditions(each))) for each in told.alterations],
        then=then,
        now=now,
        has_moved=then.digest != now.digest,
        beside=lines_beside(then, now),
        totals=totals_beside(then, now),
        forms=forms,
        refused=next((form for form in (sent or {}).values()), None),
        sources=[
            Source(say("Rule change"), address),
            Source(say("With the impact as proposed"), address, {"impact_as": "proposed"}),
        ],
    )
