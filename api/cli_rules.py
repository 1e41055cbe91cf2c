"""orderledger rules: list the counting rules and order types, or change them."""

from datetime import datetime
from typing import Any

import click

from api.commands import DAY, actor, echo, format_option, opened_store, position_option, require_initialised
from api.ledgers import opened_ledger
from api.queries import when_projected
from api.tables import print_rows
from ledger.events import Conditions, DefineOrderType, EndRule, RuleChangeProposed, SetRule
from ledger.ids import uuid7
from ledger.rule_changes import change_rules
from ledger.wording import say
from projections.impact import propose
from projections.projector import Projector


@click.group(invoke_without_command=True)
@click.pass_context
def rules(context: click.Context) -> None:
    """List the counting rules, or change them."""
    if context.invoked_subcommand is None:
        context.invoke(rules_list)


@rules.command("list")
@click.option("--on", type=DAY, help="Only what holds on this business day.")
@position_option
@format_option
def rules_list(on: datetime | None = None, position: int | None = None, form: str = "table") -> None:
    """List the counting rules in precedence order, the most specific first."""
    with opened_ledger() as ledger:
        found = ledger.rules(on.date() if on else None, known=position).rules
    rows = [
        {
            **{name: value or "" for name, value in conditions_of(rule.conditions).items()},
            "from": str(stretch.effective_from or ""),
            "to": str(stretch.effective_to or ""),
            "share": stretch.share,
            "rule_change": stretch.rule_change_id,
            "position": stretch.position,
        }
        for rule in found
        for stretch in rule.stretches
    ]
    print_rows(rows, form, numeric=("share", "position"))


def conditions_of(conditions: Conditions) -> dict[str, str | None]:
    """Give the conditions by name."""
    return {name: getattr(conditions, name) for name in conditions.__struct_fields__}


def condition_options(command: Any) -> Any:
    """Add an option for each condition of a rule."""
    for name in reversed(Conditions.__struct_fields__):
        command = click.option(f"--{name.replace('_', '-')}", help="Only for this value.")(command)
    return command


def change(alteration: DefineOrderType | SetRule | EndRule, reason: str) -> None:
    """Make a rule change of one alteration, or propose it where somebody else must approve; tell its position."""
    proposal = RuleChangeProposed(str(uuid7()), (alteration,), reason)
    name = actor()
    with opened_store() as store:
        require_initialised(store)
        if store.asks_four_eyes():
            when_projected(lambda: propose(store, proposal, actor=name), Projector(store.database).catch_up)
            echo(
                say(
                    "rule change {rule_change_id} waits for approval by somebody else:"
                    " orderledger approve {rule_change_id}",
                    rule_change_id=proposal.rule_change_id,
                )
            )
            return
        changed = change_rules(store, proposal, actor=name)
        echo(
            say(
                "rule change {rule_change_id} is in the rulebook since position {changed_position}",
                rule_change_id=changed.rule_change_id,
                changed_position=changed.position,
            )
        )


@rules.command("define")
@click.argument("order_type")
@click.option("--share", default="1", show_default=True, help="What it counts at where no rule says otherwise.")
@click.option("--name", help="A name for people.")
@click.option("--reason", required=True)
def rules_define(order_type: str, share: str, name: str | None, reason: str) -> None:
    """Define an order type."""
    change(DefineOrderType(order_type, share, name), reason)


@rules.command("set")
@condition_options
@click.option("--share", required=True, help="0: does not count; 0.5: counts half.")
@click.option("--from", "start", type=DAY, required=True, help="The first day.")
@click.option("--to", "end", type=DAY, help="The first day after; none: for good.")
@click.option("--reason", required=True)
def rules_set(share: str, start: datetime, end: datetime | None, reason: str, **conditions: str | None) -> None:
    """Let orders matching the conditions count at a share on a range of days, also in the past."""
    change(SetRule(Conditions(**conditions), share, start.date(), end.date() if end else None), reason)


@rules.command("end")
@condition_options
@click.option("--from", "start", type=DAY, required=True, help="The first day without the rule.")
@click.option("--to", "end", type=DAY, help="The first day on which it holds again; none: never.")
@click.option("--reason", required=True)
def rules_end(start: datetime, end: datetime | None, reason: str, **conditions: str | None) -> None:
    """End the rule with exactly these conditions: the next in precedence decides."""
    change(EndRule(Conditions(**conditions), start.date(), end.date() if end else None), reason)


@rules.command("types")
@format_option
def rules_types(form: str) -> None:
    """List the order types."""
    with opened_ledger() as ledger:
        types = ledger.order_types().order_types
    rows = [
        {
            "order_type": known.order_type,
            "name": known.name or "",
            "share": known.share,
            "retired_from": str(known.retired_from or ""),
        }
        for known in types
    ]
    print_rows(rows, form, numeric=("share",))
