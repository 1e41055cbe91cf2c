"""orderledger facts: record a customer's class, a product's category, a salesperson's team or quota."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any, TypeVar

import click

from api.client import Stated
from api.commands import DAY, WrongUse, echo
from api.ledgers import opened_ledger
from api.shapes import QuotaRequest
from ledger.events import CustomerClassified, DatedFact, ProductCategorised, SalespersonTeamed
from ledger.wording import say

Fact = TypeVar("Fact", bound=DatedFact)


@click.group()
def facts() -> None:
    """Record facts about customers, products and salespeople, also for the past."""


def dated_options(command: Any) -> Any:
    """Add the value of a dated fact, its days and its reason."""
    for option in (
        click.option("--reason"),
        click.option("--to", "end", type=DAY, help="The first day after; none: for good."),
        click.option("--from", "start", type=DAY, required=True, help="The first day."),
        click.option("--none", is_flag=True, help="Instead of VALUE: there is none on those days."),
        click.argument("value", required=False),
    ):
        command = option(command)
    return command


def _value(value: str | None, none: bool) -> str | None:
    if (value is None) != none:
        raise WrongUse(say("give a value, or --none"))
    return value


def _tell(stated: Stated) -> None:
    told = (
        say("it is so already: nothing is recorded")
        if stated.duplicate
        else say("recorded at position {position}", position=stated.position)
    )
    echo(told)


def _dated(kind: Callable[..., Fact], values: dict[str, Any]) -> Fact:
    """Give a dated fact as it was typed."""
    start: datetime = values["start"]
    end: date | None = values["end"].date() if values["end"] else None
    return kind(_value(values["value"], values["none"]), start.date(), end, values["reason"])


@facts.command("class")
@click.argument("customer_id")
@dated_options
def facts_class(customer_id: str, **values: Any) -> None:
    """Record the class of a customer, such as house-account."""
    fact = _dated(CustomerClassified, values)
    with opened_ledger() as ledger:
        _tell(ledger.set_customer_class(customer_id, fact))


@facts.command("category")
@click.argument("product_id")
@dated_options
def facts_category(product_id: str, **values: Any) -> None:
    """Record the category of a product; it goes before the order lines' own."""
    fact = _dated(ProductCategorised, values)
    with opened_ledger() as ledger:
        _tell(ledger.set_product_category(product_id, fact))


@facts.command("team")
@click.argument("salesperson_id")
@dated_options
def facts_team(salesperson_id: str, **values: Any) -> None:
    """Record the team of a salesperson."""
    fact = _dated(SalespersonTeamed, values)
    with opened_ledger() as ledger:
        _tell(ledger.set_salesperson_team(salesperson_id, fact))


@facts.command("quota")
@click.argument("salesperson_id")
@click.argument("period")
@click.argument("amount", required=False)
@click.option("--none", is_flag=True, help="Instead of AMOUNT: there is no quota.")
@click.option("--currency", required=True)
@click.option("--reason")
def facts_quota(salesperson_id: str, period: str, amount: str | None, *, none: bool, **values: Any) -> None:
    """Record what a salesperson is to reach in a fiscal month, quarter or year."""
    quota = QuotaRequest(values["currency"], _value(amount, none), values["reason"])
    with opened_ledger() as ledger:
        _tell(ledger.set_quota(salesperson_id, period, quota))
