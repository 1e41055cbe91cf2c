"""The versions of one rule on two axes: on which days it counts at which share, as known since when.

Shape: a row for each rule change that altered the rule, the latest one on top; in it the days from left to right. What
the change brought itself is marked; the rest it left as it was. The table below tells the same.
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple

from markupsafe import Markup

from api.console.amounts import WIDTH
from api.shapes import RuleChangeAnswer, RuleStretch

_SIDE: Final = 150
_TOP: Final = 30
_ROW: Final = 36
_BOTTOM: Final = 26
_LABEL: Final = 86
"""How far apart two days must be for both to be written."""
_SHARE: Final = 40
"""How wide a stretch must be for its share to be written in it."""


class Version(NamedTuple):
    """A rule as one change left it: its stretches as known from the change's approval on."""

    change: RuleChangeAnswer
    stretches: list[RuleStretch]

    @property
    def position(self) -> int:
        """Give the position from which on it is known."""
        return self.change.position

    def is_new(self, stretch: RuleStretch) -> bool:
        """Say whether the change brought this stretch itself."""
        return stretch.rule_change_id == self.change.rule_change_id


class _Days:
    """The days of the picture from left to right; open ends reach its edges."""

    def __init__(self, versions: Sequence[Version], day: date) -> None:
        stretches = [stretch for version in versions for stretch in version.stretches]
        bounds = {bound for each in stretches for bound in (each.effective_from, each.effective_to) if bound}
        self.bounds = sorted(bounds)
        first, last = min([*bounds, day]), max([*bounds, day])
        margin = max((last - first).days // 8, 30)
        self.first = date.fromordinal(max(first.toordinal() - margin, 1))
        self.span = min((last - self.first).days + margin, (date.max - self.first).days)

    def x(self, day: date) -> float:
        return _SIDE + (day - self.first).days / self.span * (WIDTH - 2 - _SIDE)

    def edges(self, stretch: RuleStretch) -> tuple[float, float]:
        last = self.first + timedelta(self.span)
        return self.x(stretch.effective_from or self.first), self.x(stretch.effective_to or last)

    def written(self) -> list[date]:
        """Give the days at which something begins or ends, without those that would cover another's label."""
        kept: list[date] = []
        for bound in self.bounds:
            if not kept or self.x(bound) - self.x(kept[-1]) >= _LABEL:
                kept.append(bound)
        return kept


def picture(title: str, versions: Sequence[Version], day: date) -> Markup:
    """Draw the versions of a rule; `title` says in words what is shown, `day` is marked."""
    if not versions:
        return Markup("")
    days, bottom = _Days(versions, day), _TOP + _ROW * len(versions)
    label = Markup('<text x="{:.1f}" y="{}">{}</text>')
    head = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>')
    line = Markup('<line class="{}" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>')
    at, rows = days.x(day), [(version, _TOP + _ROW * number) for number, version in enumerate(reversed(versions))]
    parts = [
        head.format(WIDTH, bottom + _BOTTOM, title, title),
        *(tile for version, top in rows for tile in _tiles(version, days, top)),
        line.format("axis", _SIDE, WIDTH, bottom, bottom),
        line.format("now", at, at, _TOP - 8, bottom),
        *(text for version, top in rows for text in _texts(version, days, top)),
        *(label.format(days.x(bound), bottom + 18, bound) for bound in days.written()),
        label.format(min(at, WIDTH - 40), _TOP - 14, day),
        Markup("</svg>"),
    ]
    return Markup("").join(parts)


def _tiles(version: Version, days: _Days, top: int) -> Iterator[Markup]:
    """Draw the stretches of a version."""
    tile = Markup('<rect class="{}" x="{:.1f}" y="{}" width="{:.1f}" height="{}"><title>{}</title></rect>')
    for stretch in version.stretches:
        left, right = days.edges(stretch)
        kind = "tile new" if version.is_new(stretch) else "tile"
        yield tile.format(kind, left, top + 4, max(right - left, 1), _ROW - 8, _told(stretch))


def _texts(version: Version, days: _Days, top: int) -> Iterator[Markup]:
    """Write from when on a version is known, and the shares of its stretches."""
    decided, middle = version.change.decision, top + _ROW // 2 + 4
    since = f"{decided.recorded_at:%Y-%m-%d} · {version.position}" if decided else str(version.position)
    yield Markup('<text class="side" x="{}" y="{}">{}</text>').format(_SIDE - 10, middle, since)
    for stretch in version.stretches:
        left, right = days.edges(stretch)
        if right - left >= _SHARE:
            yield Markup('<text class="share" x="{:.1f}" y="{}">{}</text>').format(
                (left + right) / 2, middle, stretch.share
            )


def _told(stretch: RuleStretch) -> str:
    days = f"{stretch.effective_from or '…'} – {stretch.effective_to or '…'}"
    return f"{days}: {stretch.share} ({stretch.rule_change_id})"
