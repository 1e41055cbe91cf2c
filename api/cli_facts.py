"""orderledger facts: record a customer's class, a product's category, a salesperson's team or quota."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import click

from api.commands import DAY, WrongUse, actor, echo, opened_store, require_initialised
from ledger.events import CustomerClassified, DatedFact, ProductCategorised, SalespersonQuotaSet, SalespersonTeamed
from ledger.facts import record_fact, record_quota
from ledger.refusal import Code, Refusal
from ledger.store import Store
from ledger.wording import say


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


def _record(record: Callable[[Store], int]) -> None:
    with opened_store() as store:
        require_initialised(store)
        try:
            echo(say("recorded at position {position}", position=record(store)))
        except Refusal as refusal:
            if refusal.code is not Code.nothing_changed:
                raise
            echo(say("it is so already: nothing is recorded"))


def _record_dated(kind: Callable[..., DatedFact], owner_id: str, values: dict[str, Any]) -> None:
    start: datetime = values["start"]
    end: date | None = values["end"].date() if values["end"] else None
    fact = kind(_value(values["value"], values["none"]), start.date(), end, values["reason"])
    _record(lambda store: record_fact(store, owner_id, fact, actor=actor()))


@facts.command("class")
@click.argument("customer_id")
@dated_options
def facts_class(customer_id: str, **values: Any) -> None:
    """Record the class of a customer, such as house-account."""
    _record_dated(CustomerClassified, customer_id, values)


@facts.command("category")
@click.argument("product_id")
@dated_options
def facts_category(product_id: str, **values: Any) -> None:
    """Record the category of a product; it goes before the order lines' own."""
    _record_dated(ProductCategorised, product_id, values)


@facts.command("team")
@click.argument("salesperson_id")
@dated_options
def facts_team(salesperson_id: str, **values: Any) -> None:
    """Record the team of a salesperson."""
    _record_dated(SalespersonTeamed, salesperson_id, values)


@facts.command("quota")
@click.argument("salesperson_id")
@click.argument("period")
@click.argument("amount", required=False)
@click.option("--none", is_flag=True, help="Instead of AMOUNT: there is no quota.")
@click.option("--currency", required=True)
@click.option("--reason")
def facts_quota(salesperson_id: str, period: str, amount: str | None, *, none: bool, **values: Any) -> None:
    """Record what a salesperson is to reach in a fiscal month, quarter or year."""
    quota = _value(amount, none)

    def record(store: Store) -> int:
        days = store.calendar().fiscal_period(period)
        fact = SalespersonQuotaSet(days.name, values["currency"], quota, values["reason"])
        return record_quota(store, salesperson_id, days, fact, actor=actor())

    _record(record)
