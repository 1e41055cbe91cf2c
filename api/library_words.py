"""What the libraries say that read requests, made sentences again, so that it can be told in another language.

A library gives a finished text. The templates here are those of its texts that a client can meet; a text that none of
them fits stays as it is, in English.
"""

import csv
import re
from functools import cache
from typing import Final

from ledger.wording import Sentence, say, words_of

TEMPLATES: Final = (
    # msgspec: bodies
    "Expected `{expected}`, got `{got}`",
    "Expected `{expected}`",
    "Expected `int` >= {least}",
    "Expected `int` <= {most}",
    "Expected `array` of length >= {least}",
    "Expected `array` of length <= {most}",
    "Expected `str` of length >= {least}",
    "Expected `str` of length <= {most}",
    "Expected `datetime` with a timezone component",
    "Object missing required field `{field}`",
    "Object contains unknown field `{field}`",
    "Invalid enum value {value}",
    "Invalid value {value}",
    "JSON is malformed: {reason} (byte {byte})",
    "Input data was truncated",
    # marshmallow: query parameters
    "Unknown field.",
    "Missing data for required field.",
    "Field may not be null.",
    "Not a valid integer.",
    "Not a valid boolean.",
    "Not a valid string.",
    "Not a valid date.",
    "Not a valid datetime.",
    "Number too large.",
    "Must be one of: {choices}.",
    "Must be greater than or equal to {least} and less than or equal to {most}.",
    "Must be greater than or equal to {least}.",
    "Must be less than or equal to {most}.",
    "Shorter than minimum length {least}.",
    "Longer than maximum length {most}.",
    "Length must be between {least} and {most}.",
    # werkzeug: addresses and methods
    (
        "The requested URL was not found on the server. If you entered the URL manually please check your spelling and"
        " try again."
    ),
    "The method is not allowed for the requested URL.",
    "The data value transmitted exceeds the capacity limit.",
    "The browser (or proxy) sent a request that this server could not understand.",
    "The server does not support the media type transmitted in the request.",
)


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple(
        (template, re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.*)", re.escape(template)), re.DOTALL))
        for template in TEMPLATES
    )


def recognised(text: str) -> str:
    """Give a library's text as a sentence where it is a known one.

    >>> recognised("Must be less than or equal to 5000.").values
    {'most': '5000'}
    """
    if isinstance(text, Sentence):
        return text
    for template, pattern in _patterns():
        if match := pattern.fullmatch(text):
            return Sentence(template, match.groupdict())
    return text


_OPEN_QUOTE: Final = "unexpected end of data"


def is_quote_open(error: csv.Error) -> bool:
    """Say whether a CSV's row may go on in the next line."""
    return str(error) == _OPEN_QUOTE


def csv_fault(error: csv.Error) -> str:
    """Say what is wrong with a row that the csv module does not read."""
    text = words_of(error)
    if isinstance(text, Sentence):
        return text
    if is_quote_open(error):
        return say("a quote is left open")
    if text.endswith("expected after '\"'"):
        return say("something stands behind a closing quote")
    return say("its quotes are not as they should be")
