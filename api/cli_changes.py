"""orderledger propose, approve, reject, withdraw; and rules show and rules history, for who is to decide."""

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from api.bodies import decode_body
from api.cli_rules import conditions_of, rules
from api.client import ANY, Refused
from api.commands import echo, format_option
from api.ledgers import opened_ledger
from api.shapes import ImpactAnswer, RuleChangeDetail, RuleChangeRequest
from api.tables import named, print_rows
from ledger.events import Alteration, encode
from ledger.refusal import Code
from ledger.wording import Sentence, instant_text, say
from projections.impact import ImpactMoved

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


@click.command("propose")
@click.argument("file", type=JSON_FILE)
@click.option("--dry-run", is_flag=True, help="Show what it would move, and record nothing.")
@format_option
def propose_command(file: Path, form: str, *, dry_run: bool) -> None:
    """Propose the rule change of a JSON FILE (- for stdin), and show what it would move.

    The file holds {"alterations": […], "reason": "…"}, and if wanted reason_code and rule_change_id.
    """
    request = decode_body(_REQUEST, read_file(file))
    with opened_ledger() as ledger:
        if dry_run:
            print_impact(ledger.preview(request), form)
            echo(say("nothing is recorded: this was a dry run"), err=True)
        else:
            print_change(ledger.propose(request).answer, form)


@click.command("approve")
@click.argument("rule_change_id")
@click.option("--accept", "digest", help="The digest of the impact, where it has moved since the proposal.")
@click.option("--reason")
@format_option
def approve_command(rule_change_id: str, digest: str | None, reason: str | None, form: str) -> None:
    """Approve a proposed rule change, with the impact that was proposed or is accepted by its digest."""
    with opened_ledger() as ledger:
        try:
            told = ledger.approve(rule_change_id, if_match=ANY, reason=reason, accepted_digest=digest)
        except (ImpactMoved, Refused) as refused:
            if moved := moved_digest(refused):
                echo(
                    say(
                        "see it: orderledger rules show {rule_change_id}; then, if you still want it:"
                        " orderledger approve {rule_change_id} --accept {digest}",
                        rule_change_id=rule_change_id,
                        digest=moved,
                    ),
                    err=True,
                )
            raise
    print_change(told, form)


def moved_digest(refused: ImpactMoved | Refused) -> str | None:
    """Give the digest of the impact that an approval was refused with; None where it was for another reason."""
    if isinstance(refused, ImpactMoved):
        return refused.impact.digest
    if refused.code != Code.impact_moved.name:
        return None
    digest: str = refused.facts["impact"]["digest"]
    return digest


@click.command("reject")
@click.argument("rule_change_id")
@click.option("--reason", required=True)
def reject_command(rule_change_id: str, reason: str) -> None:
    """Reject a proposed rule change."""
    with opened_ledger() as ledger:
        print_dismissed(ledger.reject(rule_change_id, reason, if_match=ANY))


@click.command("withdraw")
@click.argument("rule_change_id")
@click.option("--reason")
def withdraw_command(rule_change_id: str, reason: str | None) -> None:
    """Withdraw a rule change that you proposed."""
    with opened_ledger() as ledger:
        print_dismissed(ledger.withdraw(rule_change_id, reason, if_match=ANY))


def print_dismissed(told: RuleChangeDetail) -> None:
    """Print that a rule change is dismissed."""
    echo(
        say(
            "rule change {rule_change_id} is {state} at position {changed_position}",
            rule_change_id=told.rule_change_id,
            state=Sentence(told.state),
            changed_position=told.position,
        )
    )


@rules.command("show")
@click.argument("rule_change_id")
@format_option
def rules_show(rule_change_id: str, form: str) -> None:
    """Show a rule change and what it moves: as it is now while undecided, else as it was decided on."""
    with opened_ledger() as ledger:
        told = ledger.rule_change(rule_change_id).answer
    print_change(told, form)


@rules.command("history")
@format_option
def rules_history(form: str) -> None:
    """List all rule changes, oldest first: what became of each, who proposed and who decided."""
    with opened_ledger() as ledger:
        changes = ledger.rules_history().rule_changes
    rows = [
        {
            "rule_change": told.rule_change_id,
            "state": told.state,
            "proposer": told.proposer,
            "proposed_at": instant_text(told.proposed_at),
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
            "rule change {rule_change_id} is {state} by {by} at position {changed_position}",
            rule_change_id=told.rule_change_id,
            state=Sentence(told.state),
            by=by,
            changed_position=told.position,
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
        "salesperson": named(line.salesperson_id),
        "name": line.name or "",
        "period": line.period,
        "currency": line.currency,
        "before": line.before,
        "after": line.after,
        "change": line.change,
        "orders": line.orders,
    }
