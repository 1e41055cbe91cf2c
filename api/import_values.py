"""The values in a file's cells: days and decimals in the formats that a profile may name, and which formats fit. Pure.

A cell is a text, or what a workbook types: a number or a day. A text is read in the profile's format and in no other.
Full-width digits and signs are read as the others are; a currency sign is no part of a number.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from functools import lru_cache
from itertools import permutations
from typing import Final, get_args

from msgspec import Struct

from api.shapes import DateFormat, DecimalFormat, Decision
from ledger.wording import say

ADDED_COLUMNS: Final = ("import_line", "import_column", "import_code", "import_message")
"""The columns that a file of rejected rows has behind its own; corrected and handed in again, they say nothing."""


class Number(Struct, frozen=True, tag="number"):
    """A cell that holds a number, as a plain decimal."""

    text: str


class Day(Struct, frozen=True, tag="day"):
    """A cell that holds a day, as 2026-03-31."""

    text: str


Cell = str | Number | Day
DATE_FORMATS: Final[tuple[DateFormat, ...]] = get_args(DateFormat)
DECIMAL_FORMATS: Final[tuple[DecimalFormat, ...]] = get_args(DecimalFormat)

_READ_TEXTS_KEPT = 8_192
_TIME = r"(?:[ T]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?\Z"
_PARTS = {"YYYY": r"(?P<y>\d{4})", "MM": r"(?P<m>\d{1,2})", "DD": r"(?P<d>\d{1,2})"}
_GROUPS = {"1234.56": "", "1,234.56": ",", "1.234,56": ".", "1 234,56": " "}
_SPACES = str.maketrans(dict.fromkeys("\u00a0\u2007\u2009\u202f\u3000", " "))
_MINUS = str.maketrans({"\u2212": "-"})


def text_of(cell: Cell) -> str:
    """Give what a cell shows."""
    return cell.strip() if isinstance(cell, str) else cell.text


def plain(text: str) -> str:
    """Give a text with the digits and signs of full width, and the spaces, written the plain way."""
    if text.isascii():
        return text.strip()
    return unicodedata.normalize("NFKC", text.translate(_SPACES)).translate(_MINUS).strip()


def _date_pattern(name: str) -> re.Pattern[str]:
    pattern = re.escape(name)
    for part, group in _PARTS.items():
        pattern = pattern.replace(part, group.replace("{1,2}", "{2}") if name == "YYYYMMDD" else group)
    return re.compile(pattern + _TIME, re.ASCII)


def _decimal_pattern(name: str) -> re.Pattern[str]:
    group, point = re.escape(_GROUPS[name]), re.escape(name[-3])
    whole = rf"(?:\d+|\d{{1,3}}(?:{group}\d{{3}})+)" if group else r"\d+"
    return re.compile(rf"-?{whole}(?:{point}\d+)?\Z", re.ASCII)


_DATES = {name: _date_pattern(name) for name in DATE_FORMATS}
_DECIMALS = {name: _decimal_pattern(name) for name in DECIMAL_FORMATS}


@lru_cache(_READ_TEXTS_KEPT)
def day_in(text: str, date_format: DateFormat) -> date | None:
    """Read a day in a format, None where it is not one; a time of day behind it is left out.

    >>> day_in("2026/3/31", "YYYY/MM/DD"), day_in("31/03/2026 08:15", "MM/DD/YYYY")
    (datetime.date(2026, 3, 31), None)
    """
    match = _DATES[date_format].match(plain(text))
    if match is None:
        return None
    try:
        return date(int(match["y"]), int(match["m"]), int(match["d"]))
    except ValueError:
        return None


def read_day(cell: Cell, date_format: DateFormat) -> date | None:
    """Read a cell as a day; a number is one only where the format is digits without signs."""
    if isinstance(cell, Day):
        return date.fromisoformat(cell.text)
    return day_in(text_of(cell), date_format)


@lru_cache(_READ_TEXTS_KEPT)
def decimal_in(text: str, decimal_format: DecimalFormat) -> str | None:
    """Read a decimal in a format and write it the plain way, None where it is not one.

    >>> decimal_in("1.234,56", "1.234,56"), decimal_in("-１，２３４", "1,234.56"), decimal_in("€5", "1234.56")
    ('1234.56', '-1234', None)
    """
    text = plain(text)
    if _DECIMALS[decimal_format].match(text) is None:
        return None
    group, point = _GROUPS[decimal_format], decimal_format[-3]
    text = (text.replace(group, "") if group else text).replace(point, ".")
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, dot, decimals = digits.partition(".")
    return f"{sign}{whole.lstrip('0') or '0'}{dot}{decimals}"


def read_decimal(cell: Cell, decimal_format: DecimalFormat) -> str | None:
    """Read a cell as a decimal; a number is one whatever the format."""
    if isinstance(cell, Number):
        return cell.text
    return None if isinstance(cell, Day) else decimal_in(cell.strip(), decimal_format)


_ERRORS: Final = frozenset(
    (
        *("#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!", "#SPILL!", "#CALC!", "#FIELD!"),
        *("#NV", "#N/V", "#BEZUG!", "#WERT!", "#ZAHL!", "#ÜBERLAUF!", "#KALK!", "#FELD!"),  # German
        *("#NOM?", "#VALEUR!", "#NUL!", "#NOMBRE!", "#PROPAGATION!", "#EPARS!", "#CALCUL!", "#CHAMP!"),  # French
        *("#N/D", "#¡REF!", "#¿NOMBRE?", "#¡VALOR!", "#¡DIV/0!", "#¡NULO!", "#¡NUM!", "#¡DESBORDAMIENTO!"),  # Spanish
        *("#¡CALC!", "#¡CAMPO!"),
        *("#RIF!", "#NOME?", "#VALORE!", "#NULLO!", "#VALOR!", "#NULO!", "#NÚM!"),  # Italian, Portuguese
    )
)
_TOO_NARROW = re.compile(r"#{2,}\Z")


def is_error(cell: Cell) -> bool:
    """Say whether a cell holds what a spreadsheet shows in the place of a value: an error, or signs of a narrow column.

    Shape: in the languages of Excel in Germany, France, Spain, Italy and Portugal too; Chinese has the English ones.

    >>> is_error("#N/A"), is_error("#WERT!"), is_error("#####"), is_error("#1"), is_error(Number("1"))
    (True, True, True, False, False)
    """
    if not isinstance(cell, str) or "#" not in cell:
        return False
    text = cell.strip()
    return text in _ERRORS or bool(_TOO_NARROW.match(text))


_EXPONENT = re.compile(r"-?\d(?:[.,]\d+)?E\+?\d+\Z", re.ASCII | re.IGNORECASE)
_FRACTION = re.compile(r"\d+[.,]0+\Z", re.ASCII)
_KEPT_DIGITS = 15
_ROUNDED = re.compile(rf"\d{{{_KEPT_DIGITS}}}0+\Z", re.ASCII)
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_AS_DAY = re.compile(
    rf"\d{{1,2}}-{_MONTH}(?:-\d\d)?\Z|{_MONTH}-\d\d\Z|(?:\d{{4}}年)?\d{{1,2}}月(?:\d{{1,2}}日)?\Z", re.ASCII
)


def is_damaged(cell: Cell) -> bool:
    """Say whether an identifier looks as a spreadsheet leaves it: rounded, or made a decimal.

    >>> is_damaged("1.23457E+11"), is_damaged("10248.0"), is_damaged("SO-1"), is_damaged(Number("10248"))
    (True, True, False, False)
    """
    if isinstance(cell, Number):
        return not cell.text.isdigit() or len(cell.text) > _KEPT_DIGITS
    return isinstance(cell, Day) or bool(_EXPONENT.match(cell.strip()) or _FRACTION.match(cell.strip()))


def is_rounded(cell: Cell) -> bool:
    """Say whether a text is a number of more digits than a spreadsheet keeps, and those behind them are zeros.

    >>> is_rounded("1234567890123450"), is_rounded("1234567890123456"), is_rounded("123456789012000")
    (True, False, False)
    """
    return isinstance(cell, str) and bool(_ROUNDED.match(cell.strip()))


def is_as_day(cell: Cell) -> bool:
    """Say whether a text is a day as a spreadsheet shows it, which it also makes of ids such as 3-1 or MAR3.

    >>> is_as_day("3-Mar"), is_as_day("Jan-03"), is_as_day("3月1日"), is_as_day("MAR3")
    (True, True, True, False)
    """
    return isinstance(cell, str) and bool(_AS_DAY.match(cell.strip()))


class Fits:
    """Which formats fit the texts of a file's columns, and whether they can be told apart by them."""

    def __init__(self, formats: Sequence[str], read: Callable[[str, str], object]) -> None:
        self._formats = formats
        self._read = lru_cache(_READ_TEXTS_KEPT)(self._compared)
        self._reads = read
        self._counts = dict.fromkeys(formats, 0)
        self._alone = dict.fromkeys(permutations(formats, 2), 0)
        self._example = dict[frozenset[str], str]()

    def _compared(self, text: str) -> tuple[list[str], list[tuple[str, str]], list[tuple[str, str]]]:
        readings = {name: reading for name in self._formats if (reading := self._reads(text, name)) is not None}
        alone = [(one, other) for one in readings for other in self._formats if other not in readings]
        differ = [pair for pair in permutations(readings, 2) if readings[pair[0]] != readings[pair[1]]]
        return list(readings), alone, differ

    def see(self, text: str) -> None:
        """Take a text into account."""
        fitting, alone, differ = self._read(text)
        for name in fitting:
            self._counts[name] += 1
        for pair in alone if fitting else ():
            self._alone[pair] += 1
        for pair in differ:
            self._example.setdefault(frozenset(pair), text)

    def decide(self, name: str) -> Decision:
        """Decide for a format, or tell between which the texts do not decide."""
        best = max(self._counts.values())
        if not best:
            return Decision(name, self._formats[0], True, say("no text is written in another format"))
        top = [each for each in self._formats if self._counts[each] == best]
        rivals = [each for each in self._formats if self._rivals(top[0], each)]
        apart = [each for each in top[1:] if self._alone[top[0], each] or self._alone[each, top[0]]]
        candidates = [each for each in self._formats if each in {top[0], *rivals, *apart}]
        if len(candidates) == 1:
            also = say(" (others read it the same)") if len(top) > 1 else ""
            return Decision(name, top[0], True, say("{best:,} values are written so{also}", best=best, also=also))
        examples = [self._example[pair] for each in rivals if (pair := frozenset((top[0], each))) in self._example]
        told = (
            say("{example!r} is another value in each of them", example=examples[0])
            if examples
            else say("the values are written in several")
        )
        return Decision(name, None, False, say("{told}, and nothing in the file decides", told=told), candidates)

    def _rivals(self, chosen: str, other: str) -> bool:
        """Say whether a format may be meant instead: it reads some text otherwise, and nothing speaks against it."""
        return frozenset((chosen, other)) in self._example and (
            self._alone[other, chosen] > 0 or self._counts[chosen] == self._counts[other]
        )


def date_fits() -> Fits:
    """Give the fits of the date formats."""
    return Fits(DATE_FORMATS, day_in)


def decimal_fits() -> Fits:
    """Give the fits of the decimal formats."""
    return Fits(DECIMAL_FORMATS, decimal_in)


def see_all(fits: Fits, cells: Iterable[Cell]) -> None:
    """Take the texts among some cells into account."""
    for cell in cells:
        if isinstance(cell, str) and (text := cell.strip()):
            fits.see(text)
