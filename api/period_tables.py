"""Closing periods as tables of an export: the list of them, one of them, both ways of its drift, and a statement."""

from collections.abc import Sequence
from typing import Final

from api.exports import Column, Kind, Table, amounts, cells, columns
from api.shapes import ClosingPeriodAnswer, OptionsAnswer, PeriodSummary, StatementAnswer

_PERIODS: Final = columns(
    period=Kind.text,
    start=Kind.day,
    end=Kind.day,
    state=Kind.text,
    statement_version=Kind.integer,
    has_drift=Kind.flag,
)
_SUMS: Final = (Column("currency"), *amounts("amount"))
_STATEMENTS: Final = columns(
    version=Kind.integer,
    reason=Kind.text,
    actor=Kind.text,
    recorded_at=Kind.instant,
    recorded_position=Kind.integer,
    position=Kind.integer,
    rulebook_position=Kind.integer,
    digest=Kind.text,
)
_PERSON: Final = columns(salesperson_id=Kind.text, salesperson_name=Kind.text, currency=Kind.text)
_DRIFT: Final = (*_PERSON, *amounts("current", "settled", "drift"))
_ADJUSTMENTS: Final = (
    *columns(from_period=Kind.text, into_period=Kind.text, booked_on=Kind.day),
    *_PERSON,
    *amounts("amount"),
    Column("position", Kind.integer),
)
_FIGURES: Final = (*_PERSON, *amounts("credited", "adjustments", "total", "gross"))


def periods_tables(periods: Sequence[PeriodSummary]) -> list[Table]:
    """Give closing periods as a table, and the sums booked into them from earlier ones as another one."""
    sums = ((each.period, *cells(_SUMS, amount)) for each in periods for amount in each.adjustments)
    return [
        Table("periods", _PERIODS, (cells(_PERIODS, each) for each in periods)),
        Table("adjustments", (Column("period"), *_SUMS), sums),
    ]


def period_tables(told: ClosingPeriodAnswer) -> list[Table]:
    """Give a closing period as tables: its statements, its drift, and what was booked into it and out of it."""
    adjustments = (*told.adjustments_in, *told.adjustments_out)
    return [
        Table("statements", _STATEMENTS, (cells(_STATEMENTS, each) for each in told.statements)),
        Table("drift", _DRIFT, (cells(_DRIFT, each) for each in told.drift)),
        Table("adjustments", _ADJUSTMENTS, (cells(_ADJUSTMENTS, each) for each in adjustments)),
    ]


def options_tables(told: OptionsAnswer) -> list[Table]:
    """Give a drift as a table, and each of both ways of resolving it: the next statement, and the adjustments."""
    next_statement = ((told.restatement.version, *cells(_FIGURES, each)) for each in told.restatement.figures)
    carried = (cells(_ADJUSTMENTS, each) for each in told.carry_forward.adjustments)
    return [
        Table("drift", _DRIFT, (cells(_DRIFT, each) for each in told.drift)),
        Table("restatement", (Column("version", Kind.integer), *_FIGURES), next_statement),
        Table("carry_forward", _ADJUSTMENTS, carried),
    ]


def statement_table(told: StatementAnswer) -> Table:
    """Give the figures of a statement as a table."""
    return Table("statement", _FIGURES, (cells(_FIGURES, each) for each in told.statement.figures))
