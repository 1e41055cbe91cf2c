"""Printing rows: a table for people, JSON or CSV for programs."""

import csv
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

import click

from api.languages import translated, worded
from ledger.events import encode
from ledger.wording import say

NONE: Final = say("(none)")
FORMATS = ("table", "json", "csv")


def named(value: str | None) -> str:
    """Give who or what a row is of, or a word for nobody and nothing, which a table has in the wanted language."""
    return NONE if value is None else value


def print_rows(rows: Sequence[Mapping[str, object]], form: str, *, numeric: Sequence[str] = ()) -> None:
    """Print rows of the same columns; in a table, numeric columns are aligned right."""
    if form == "json":
        told = [{name: str(value) if isinstance(value, str) else value for name, value in row.items()} for row in rows]
        click.echo(encode(told).decode())
    elif form == "csv":
        writer = csv.DictWriter(sys.stdout, fieldnames=list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)
    elif rows:
        _print_table(
            [
                list(rows[0]),
                *[
                    [translated(value) if isinstance(value, str) else str(value) for value in row.values()]
                    for row in rows
                ],
            ],
            numeric,
        )
    else:
        click.echo(worded("(nothing)"))


def _print_table(table: list[list[str]], numeric: Sequence[str]) -> None:
    header, table = table[0], [[worded(heading) for heading in table[0]], *table[1:]]
    widths = [max(_width(row[column]) for row in table) for column in range(len(header))]
    for number, row in enumerate(table):
        cells = [_padded(cell, widths[at], right=header[at] in numeric) for at, cell in enumerate(row)]
        click.echo("  ".join(cells).rstrip())
        if number == 0:
            click.echo("  ".join("-" * width for width in widths))


def _padded(text: str, width: int, *, right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space


def _width(text: str) -> int:
    """Give the columns a text takes in a terminal; Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
