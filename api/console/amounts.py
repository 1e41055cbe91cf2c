"""How the console writes figures, and the charts that stand above their tables.

An amount is the API's decimal string with its digits in groups; nothing is rounded or added up here. A change has a
sign and an arrow, never only a colour. A chart is SVG made of the same amounts, without a style or a script of its own,
so that the pages' Content-Security-Policy holds and it follows their light and dark.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from markupsafe import Markup, escape

from api.languages import translated
from ledger.money import CREDITED_DECIMALS, rounded_text
from ledger.wording import instant_text, say

WIDTH: Final = 720
HEIGHT: Final = 200
_MARGIN: Final = 24
_BREADTH: Final = 360
_ROW: Final = 36
MINUS: Final = "\u2212"


def amount(text: str | None) -> Markup:
    """Write a decimal string for people; what a program reads beside it is the string itself.

    >>> str(amount("-1234.50"))
    '<data value="-1234.50">−1,234.50</data>'
    """
    if text is None:
        return Markup("–")
    whole, point, decimals = text.lstrip("-").partition(".")
    sign = MINUS if text.startswith("-") else ""
    return Markup(f'<data value="{text}">{sign}{int(whole):,}{point}{decimals}</data>')  # noqa: S704 - a decimal of ours


def change(text: str | None) -> Markup:
    """Write a difference, with its sign and an arrow.

    >>> str(change("5.00"))
    '<data class="up" value="5.00">▲ +5.00</data>'
    """
    if text is None:
        return Markup("–")
    value = Decimal(text)
    if not value:
        return Markup('<data value="{}">{}</data>').format(text, text)
    whole, point, decimals = text.lstrip("-").partition(".")
    kind, sign = ("up", "▲ +") if value > 0 else ("down", f"▼ {MINUS}")
    return Markup(f'<data class="{kind}" value="{text}">{sign}{int(whole):,}{point}{decimals}</data>')  # noqa: S704


def percent(text: str | None) -> Markup:
    """Write a share or a ratio as a percentage.

    >>> str(percent("0.5000"))
    '<data value="0.5000">50%</data>'
    """
    if text is None:
        return Markup("–")
    written = f"{(Decimal(text) * 100).normalize():f}"
    return Markup(f'<data value="{text}">{written}%</data>')  # noqa: S704 - a decimal of ours


def instant(when: datetime | None) -> Markup:
    """Write an instant, in UTC."""
    if when is None:
        return Markup("–")
    return Markup('<time datetime="{}">{}</time>').format(
        instant_text(when), f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    )


def total(exact: Iterable[str], currency: str) -> str:
    """Add exact amounts up, and round the sum once."""
    whole = sum(map(Decimal, exact), Decimal(0)).scaleb(CREDITED_DECIMALS)
    return rounded_text(int(whole), CREDITED_DECIMALS, currency)


def difference(before: str, after: str, currency: str) -> str:
    """Give by how much an exact amount changes, rounded once.

    >>> difference("1.005", "3.000", "EUR")
    '2.00'
    """
    return total((after, f"{-Decimal(before):f}"), currency)


def exact(text: str, currency: str) -> Markup:
    """Write an exact amount with the decimals of its currency, or with all where it has more.

    >>> str(exact("7.5", "EUR")), str(exact("7.505", "EUR"))
    ('<data value="7.5">7.50</data>', '<data value="7.505">7.505</data>')
    """
    rounded = total((text,), currency)
    if Decimal(rounded) != Decimal(text):
        return amount(text)
    return Markup('<data value="{}">{}</data>').format(text, amount(rounded).striptags())


FILTERS: Final = {"amount": amount, "exact": exact, "change": change, "percent": percent, "instant": instant}


@dataclass(frozen=True)
class Bar:
    """A bar of a chart: what it is of, its amount, and what is marked above it ('': nothing)."""

    label: str
    value: str
    mark: str = ""


def _described(title: str, shown: Sequence[Bar]) -> str:
    """Say in words what a chart shows: what it is of, and its ends."""
    most, least = (end(shown, key=lambda bar: Decimal(bar.value)) for end in (max, min))
    ends = say(
        "The highest is {highest} ({highest_label}), the lowest {lowest} ({lowest_label}).",
        highest=amount(most.value).striptags(),
        highest_label=most.label,
        lowest=amount(least.value).striptags(),
        lowest_label=least.label,
    )
    return f"{title}. {translated(ends)}"


def bars(title: str, shown: Sequence[Bar]) -> Markup:
    """Draw amounts as bars; `title` says in words what is shown. The table below tells the same numbers."""
    if not shown:
        return Markup("")
    values = [Decimal(bar.value) for bar in shown]
    highest, lowest = max(*values, Decimal(0)), min(*values, Decimal(0))
    span = highest - lowest or Decimal(1)
    room = HEIGHT - 2 * _MARGIN
    step = WIDTH / len(shown)
    zero = _MARGIN + float(highest / span) * room
    parts = [
        Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            WIDTH, HEIGHT, _described(title, shown)
        ),
        Markup("<title>{}</title>").format(title),
    ]
    for at, (bar, value) in enumerate(zip(shown, values, strict=True)):
        size = float(abs(value) / span) * room
        top = zero - size if value >= 0 else zero
        left, middle = at * step + step * 0.15, at * step + step / 2
        parts.append(
            Markup('<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                left, top, step * 0.7, max(size, 0.5)
            )
        )
        parts.append(Markup('<text x="{:.1f}" y="{}">{}</text>').format(middle, HEIGHT - 6, bar.label))
        if bar.mark:
            parts.append(
                Markup('<text class="mark" x="{:.1f}" y="{:.1f}">◆<title>{}</title></text>').format(
                    middle, max(top - 6, 14), escape(bar.mark)
                )
            )
    parts.append(Markup('<line class="axis" x1="0" x2="{}" y1="{:.1f}" y2="{:.1f}"/></svg>').format(WIDTH, zero, zero))
    return Markup("").join(parts)


def levels(title: str, shown: Sequence[Bar]) -> Markup:
    """Draw changes as bars one below the other, each under what it is of; `title` says in words what is shown."""
    if not shown:
        return Markup("")
    values = [Decimal(bar.value) for bar in shown]
    highest, lowest = max(*values, Decimal(0)), min(*values, Decimal(0))
    scale = _BREADTH / float(highest - lowest or Decimal(1))
    zero, height = -float(lowest) * scale, len(shown) * _ROW
    parts = [
        Markup('<svg class="chart levels" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            _BREADTH, height, _described(title, shown)
        ),
        Markup("<title>{}</title>").format(title),
    ]
    for at, (bar, value) in enumerate(zip(shown, values, strict=True)):
        size, top = max(abs(float(value)) * scale, 0.5), at * _ROW
        mark = Markup('<tspan class="mark"> ◆<title>{}</title></tspan>').format(bar.mark) if bar.mark else ""
        parts.append(Markup('<text x="0" y="{}">{}{}</text>').format(top + 13, bar.label, mark))
        parts.append(
            Markup('<text class="end" x="{}" y="{}">{}</text>').format(
                _BREADTH, top + 13, change(bar.value).striptags()
            )
        )
        left = zero if value >= 0 else zero - size
        parts.append(
            Markup('<rect class="bar" x="{:.1f}" y="{}" width="{:.1f}" height="12"/>').format(left, top + 18, size)
        )
    parts.append(Markup('<line class="axis" x1="{0:.1f}" x2="{0:.1f}" y1="0" y2="{1}"/></svg>').format(zero, height))
    return Markup("").join(parts)
