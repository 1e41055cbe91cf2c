"""orderledger explain, review: why an order counts or does not, and what the rulebook could do without."""

import click

from api.commands import echo, format_option, known_at_option, known_point, position_option
from api.ledgers import opened_ledger
from api.shapes import ViewAnswer
from api.tables import print_rows
from ledger.events import encode
from ledger.wording import say


@click.command("explain")
@click.argument("order_id", metavar="ORDER")
@position_option
@known_at_option
@format_option
def explain_command(order_id: str, position: int | None, known_at: str | None, form: str) -> None:
    """Say why ORDER counts or does not, for whom, and what would make it count; csv has its credit lines."""
    with opened_ledger() as ledger:
        told = ledger.explanation(order_id, known_point(position, known_at))
    if form == "json":
        echo(encode(told).decode())
    elif form == "csv":
        rows = [
            {
                "kind": line.kind,
                "line_no": line.line_no,
                "salesperson": line.salesperson_id or "(unassigned)",
                "credited_on": str(line.credited_on),
                "product": line.product_id,
                "currency": line.currency,
                "amount": line.amount,
                "share": line.share,
                "credited": line.credited_exact,
                "why": line.why,
            }
            for line in told.lines
        ]
        print_rows(rows, form)
    else:
        for sentence in told.sentences:
            echo(sentence)
    _tell_view(told.view)


@click.command("review")
@position_option
@known_at_option
@format_option
def review_command(position: int | None, known_at: str | None, form: str) -> None:
    """Review the rulebook: types never used, rules that decide nothing, orders whose type does not fit."""
    with opened_ledger() as ledger:
        told = ledger.review(known_point(position, known_at))
    if form == "json":
        echo(encode(told).decode())
    else:
        rows = [
            {
                "finding": each.kind,
                "orders": each.orders,
                "what": each.sentence,
                "examples": " ".join(each.examples[:3]),
            }
            for each in told.findings
        ]
        print_rows(rows, form, numeric=("orders",))
    _tell_view(told.view)


def _tell_view(view: ViewAnswer) -> None:
    echo(
        say(
            "as known at position {position}, rulebook {rulebook_position}",
            position=view.position,
            rulebook_position=view.rulebook_position,
        ),
        err=True,
    )


EXPLAIN_COMMANDS = (explain_command, review_command)
