"""What there is to be said of how a file is read: what it may be, what was decided, and why."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, get_args

from api.import_profiles import FIELDS
from api.import_proposal import DELIMITER_NAMES
from api.shapes import DateFormat, DecimalFormat, Decision, Encoding, ImportAnswer
from ledger.wording import Sentence, say

TITLES: Final[dict[str, Sentence]] = {
    "order_id": say("Order number"),
    "order_date": say("Day of the order"),
    "order_type": say("Order type"),
    "customer_id": say("Customer, its id"),
    "customer_name": say("Customer, its name"),
    "salesperson_id": say("Salesperson, the id"),
    "salesperson_name": say("Salesperson, the name"),
    "share": say("Share of the salesperson"),
    "currency": say("Currency"),
    "line_no": say("Number of the line"),
    "product_id": say("Product, its id"),
    "product_name": say("Product, its name"),
    "category": say("Product category"),
    "quantity": say("Quantity"),
    "amount": say("Amount"),
    "encoding": say("Encoding"),
    "delimiter": say("Delimiter"),
    "sheet": say("Sheet"),
    "date_format": say("How days are written"),
    "decimal_format": say("How amounts are written"),
    "numeric_ids": say("Ids that are numbers"),
    "date_ids": say("Ids that look like days"),
}
YES_OR_NO: Final = (("true", say("take them as they are")), ("false", say("they are damaged")))


@dataclass(frozen=True)
class Choice:
    """Something that a profile may say of a file.

    Shape: `name` is also the pointer into the profile; `given` what somebody said ('': nothing); `decided` what holds,
    in words; `samples` what the file has there.
    """

    name: str
    title: Sentence
    options: list[tuple[str, str]]
    given: str
    decided: str
    why: str
    is_certain: bool = True
    is_column: bool = False
    samples: list[str] = field(default_factory=list)


def choices(told: ImportAnswer) -> list[Choice]:
    """Give all that may be said of an import's file, formats before columns."""
    decisions = {decision.name: decision for decision in told.decisions}
    return [*_formats(told, decisions), *_columns(told, decisions)]


def _columns(told: ImportAnswer, decisions: dict[str, Decision]) -> Iterable[Choice]:
    samples = {column.header: column.samples for column in told.columns}
    headers = [header for header in samples if header.strip()]
    for name in FIELDS:
        decision = decisions.get(f"columns/{name}")
        header = told.profile.columns.get(name, "")
        first = decision.candidates if decision else []
        yield Choice(
            f"columns/{name}",
            TITLES[name],
            [(each, each) for each in dict.fromkeys((*first, *headers))],
            told.given.columns.get(name, ""),
            header,
            decision.why if decision else _without_column(name, told),
            decision.certain if decision else True,
            is_column=True,
            samples=samples.get(header, []),
        )


def _without_column(name: str, told: ImportAnswer) -> str:
    defaults = dict[str, str](told.profile.defaults.items())
    if name in defaults:
        return say("no column is called so: it is {default} everywhere", default=defaults[name])
    return say("no column is called so")


def _formats(told: ImportAnswer, decisions: dict[str, Decision]) -> Iterable[Choice]:
    for name, options in _format_options(told, decisions):
        decision = decisions.get(name)
        given, held = _said(getattr(told.given, name)), _said(getattr(told.profile, name))
        yield Choice(
            name,
            TITLES[name],
            options,
            given,
            dict(options).get(held, held),
            decision.why if decision else "",
            decision.certain if decision else True,
        )


def _format_options(told: ImportAnswer, decisions: dict[str, Decision]) -> Iterable[tuple[str, list[tuple[str, str]]]]:
    if told.form != "xlsx":
        yield "encoding", [(name, name) for name in get_args(Encoding)]
    if told.form == "csv":
        yield "delimiter", list(DELIMITER_NAMES.items())
    if told.form == "xlsx":
        decision = decisions.get("sheet")
        names = (*(decision.candidates if decision else ()), told.profile.sheet, told.given.sheet)
        yield "sheet", [(name, name) for name in dict.fromkeys(names) if name]
    yield "date_format", [(name, name) for name in get_args(DateFormat)]
    yield "decimal_format", [(name, name) for name in get_args(DecimalFormat)]
    yield "numeric_ids", list(YES_OR_NO)
    yield "date_ids", list(YES_OR_NO)


def _said(value: str | bool | None) -> str:
    """Write a part of a profile as the form has it."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value
