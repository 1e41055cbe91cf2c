"""orderledger propose, approve, reject, withdraw; and rules show and rules history, for who is to decide."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from api.answers import RuleChangeRequest, rule_change_answer
from api.bodies import decode_body
from api.cli_rules import conditions_of, rules
from api.commands import actor, echo, format_option, opened_store, require_initialised
from api.queries import when_projected
from api.rule_changes import ImpactAnswer, RuleChangeDetail, detail, impact_answer
from api.tables import print_rows
from ledger.events import Alteration, RuleChangeProposed, RuleChangeRejected, RuleChangeWithdrawn, encode
from ledger.ids import uuid7
from ledger.rule_changes import dismiss
from ledger.rulebook import RuleDecision
from ledger.store import Store
from ledger.wording import Sentence, say
from projections.impact import ImpactMoved, approve, previewed, propose
from projections.projector import Projector

Result = TypeVar("Result")
_REQUEST = msgspec.json.Decoder(RuleChangeRequest)
_Given = tuple[Alteration, ...] | RuleChangeRequest
_ALTERATIONS: msgspec.json.Decoder[_Given] = msgspec.json.Decoder(_Given)
JSON_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)


def read_file(path: Path) -> bytes:
    """Read a file, or stdin for -."""
    return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()


def read_alterations(path: Path) -> tuple[Alteration, ...]:
    """Read alterations from a JSON list of them, or from a file that can be proposed."""
    found = decode_body(_ALTERATIONS, read_file(path))
    return found.alterations if isinstance(found, RuleChangeRequest) else found


def caught_up(store: Store, act: Callable[[], Result]) -> Result:
    """Do something that needs all that is recorded to be projected, which this process sees to."""
    return when_projected(act, Projector(store.database).catch_up)


def propose_change(store: Store, proposal: RuleChangeProposed) -> RuleChangeDetail:
    """Propose a rule change as who types; give it with its impact."""
    name = actor()
    caught_up(store, lambda: propose(store, proposal, actor=name))
    return caught_up(store, lambda: detail(store, proposal.rule_change_id))


@click.command("propose")
@click.argument("file", type=JSON_FILE)
@click.option("--dry-run", is_flag=True, help="Show what it would move, and record nothing.")
@format_option
def propose_command(file: Path, form: str, *, dry_run: bool) -> None:
    """Propose the rule change of a JSON FILE (- for stdin), and show what it would move.

    The file holds {"alterations": […], "reason": "…"}, and if wanted reason_code and rule_change_id.
    """
    request = decode_body(_REQUEST, read_file(file))
    proposal = request.proposal(request.rule_change_id or str(uuid7()))
    with opened_store() as store:
        require_initialised(store)
        if dry_run:
            found = impact_answer(caught_up(store, lambda: previewed(store, proposal)))
        else:
            told = propose_change(store, proposal)
    if dry_run:
        print_impact(found, form)
        echo(say("nothing is recorded: this was a dry run"), err=True)
    else:
        print_change(told, form)


@click.command("approve")
@click.argument("rule_change_id")
@click.option("--accept", "digest", help="The digest of the impact, where it has moved since the proposal.")
@click.option("--reason")
@format_option
def approve_command(rule_change_id: str, digest: str | None, reason: str | None, form: str) -> None:
    """Approve a proposed rule change, with the impact that was proposed or is accepted by its digest."""
    name = actor()
    with opened_store() as store:
        given = {"reason": reason, "accepted_digest": digest}
        try:
            caught_up(store, lambda: approve(store, rule_change_id, actor=name, **given))
        except ImpactMoved as moved:
            echo(
                say(
                    "see it: orderledger rules show {rule_change_id}; then, if you still want it:"
                    " orderledger approve {rule_change_id} --accept {digest}",
                    rule_change_id=rule_change_id,
                    digest=moved.impact.digest,
                ),
                err=True,
            )
            raise
        print_change(caught_up(store, lambda: detail(store, rule_change_id)), form)


@click.command("reject")
@click.argument("rule_change_id")
@click.option("--reason", required=True)
def reject_command(rule_change_id: str, reason: str) -> None:
    """Reject a proposed rule change."""
    _dismiss(RuleChangeRejected(rule_change_id, reason))


@click.command("withdraw")
@click.argument("rule_change_id")
@click.option("--reason")
def withdraw_command(rule_change_id: str, reason: str | None) -> None:
    """Withdraw a rule change that you proposed."""
    _dismiss(RuleChangeWithdrawn(rule_change_id, reason))


def _dismiss(event: RuleDecision) -> None:
    with opened_store() as store:
        changed = dismiss(store, event, actor=actor())
        state = store.rulebook().changes[event.rule_change_id].state
    echo(
        say(
            "rule change {rule_change_id} is {state} at position {changed_position}",
            rule_change_id=changed.rule_change_id,
            state=Sentence(state),
            changed_position=changed.position,
        )
    )


@rules.command("show")
@click.argument("rule_change_id")
@format_option
def rules_show(rule_change_id: str, form: str) -> None:
    """Show a rule change and what it moves: as it is now while undecided, else as it was decided on."""
    with opened_store() as store:
        told = caught_up(store, lambda: detail(store, rule_change_id))
    print_change(told, form)


@rules.command("history")
@format_option
def rules_history(form: str) -> None:
    """List all rule changes, oldest first: what became of each, who proposed and who decided."""
    with opened_store() as store:
        changes = [rule_change_answer(change) for change in store.rulebook().changes.values()]
    rows = [
        {
            "rule_change": told.rule_change_id,
            "state": told.state,
            "proposer": told.proposer,
            "proposed_at": told.proposed_at.isoformat(),
            "decided_by": told.decision.actor if told.decision else "",
            "position": told.position,
            "alterations": len(told.alterations),
            "reason": told.reason,
        }
        for told in changes
    ]
    print_rows(rows, form, numeric=("position", "alterations"))


def print_change(told: RuleChangeDetail, form: str) -> None:
    """Print a rule change: whole as JSON, else its impact's lines; what is said of it goes to stderr."""
    if form == "json":
        echo(encode(told).decode())
    else:
        print_impact(told.impact, form)
    by = told.decision.actor if told.decision else told.proposer
    echo(
        say(
            "rule change {rule_change_id} is {told_state} by {by} at position {told_position}",
            rule_change_id=told.rule_change_id,
            told_state=Sentence(told.state),
            by=by,
            told_position=told.position,
        ),
        err=True,
    )
    for obstacle in told.obstacles:
        echo(say("it can't be approved any more: {detail}", detail=obstacle.detail), err=True)
    if told.decision is None and not told.obstacles:
        echo(
            say("it waits for a decision: orderledger approve {rule_change_id}", rule_change_id=told.rule_change_id),
            err=True,
        )


def print_impact(impact: ImpactAnswer, form: str) -> None:
    """Print an impact: whole as JSON, else its lines; its sums and what it shadows go to stderr."""
    if form == "json":
        echo(encode(impact).decode())
    else:
        numeric = ("before", "after", "change", "orders")
        print_rows([_impact_row(line) for line in impact.lines], form, numeric=numeric)
    for total in impact.totals:
        echo(
            say(
                "{period}: {before} to {after} {currency} ({change})",
                period=total.period,
                before=total.before,
                after=total.after,
                currency=total.currency,
                change=total.change,
            ),
            err=True,
        )
    for unknown in impact.unknown_values:
        echo(say("no order and no fact has {unknown} yet: is it written as meant?", unknown=unknown), err=True)
    for shadow in impact.shadows:
        named = ", ".join(f"{name}={value}" for name, value in conditions_of(shadow.conditions).items() if value)
        told = {"above": say("wins over"), "below": say("loses to"), "replaced": say("is replaced by")}[shadow.relation]
        echo(
            say(
                "the rule on {named} at {share} {told} alteration {alteration}",
                named=named,
                share=shadow.share,
                told=told,
                alteration=shadow.alteration,
            ),
            err=True,
        )
    closed = (
        say("; closed periods: {closed_periods}", closed_periods=", ".join(impact.closed_periods))
        if impact.closed_periods
        else ""
    )
    echo(
        say(
            "{orders} orders of {people} people are touched{closed}; as known at position"
            " {impact_position}, digest {digest}",
            orders=impact.orders,
            people=impact.people,
            closed=closed,
            impact_position=impact.position,
            digest=impact.digest,
        ),
        err=True,
    )


def _impact_row(line: Any) -> dict[str, object]:
    return {
        "salesperson": line.salesperson_id if line.salesperson_id is not None else "(none)",
        "name": line.name or "",
        "period": line.period,
        "currency": line.currency,
        "before": line.before,
        "after": line.after,
        "change": line.change,
        "orders": line.orders,
    }
