"""Performance by salesperson alone with the adjustments booked into its days: total = credited + adjustments.

What the days themselves credit is the calculation's. Adjustments are what was carried forward into the days from
earlier, closed periods, less what was carried out of the periods that end in them. Days that have both legs have
nothing of it, and the totals of all periods sum to what is credited. By any other grouping there are none: an
adjustment is a person's, not a customer's or a product's.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from msgspec import structs

from api.period_answers import adjustment_answers
from api.shapes import FigureAnswer, PerformanceAnswer
from ledger.money import CREDITED_DECIMALS, credited_of, credited_text, rounded_text
from ledger.statements import BookedAdjustment, adjustments_into, taken_out_of
from ledger.store import Store
from projections.closing import salesperson_names
from projections.performance import Figure, Key, Performance

BY_SALESPERSON = ("salesperson",)


def booked_with(store: Store, performance: Performance) -> list[BookedAdjustment]:
    """Give the adjustments of a performance's days, as known at its position; none by another grouping."""
    if performance.group_by != BY_SALESPERSON:
        return []
    period = performance.period
    closings = store.closings(performance.view.position)
    into = adjustments_into(closings, period.start, period.end)
    return [*into, *taken_out_of(closings, store.calendar(), period.start, period.end)]


def with_booked(store: Store, performance: Performance, booked: Iterable[BookedAdjustment]) -> Performance:
    """Add a figure of zeros for everybody who is adjusted and has none, so that totals are complete."""
    shown = {(figure.keys[0].value, figure.currency) for figure in performance.figures}
    missing = {(each.salesperson_id, each.currency) for each in booked} - shown
    if not missing:
        return performance
    names = salesperson_names(store, [salesperson_id for salesperson_id, _ in missing])
    zeros = [
        Figure((Key(person, names.get(person)),), currency, 0, 0, 0, 0, gross_orders=0, orders=0)
        for person, currency in missing
    ]
    figures = sorted([*performance.figures, *zeros], key=lambda each: (each.keys[0].value or "", each.currency))
    return replace(performance, figures=figures)


def adjusted_figures(told: Iterable[FigureAnswer], booked: Iterable[BookedAdjustment]) -> list[FigureAnswer]:
    """Tell each figure with the sum of its adjustments, and the total."""
    sums = Counter[tuple[str | None, str]]()
    for each in booked:
        sums[each.salesperson_id, each.currency] += each.credited
    return [_adjusted(figure, sums[figure.group["salesperson"], figure.currency]) for figure in told]


def adjusted(store: Store, told: PerformanceAnswer, booked: Sequence[BookedAdjustment]) -> PerformanceAnswer:
    """Tell a page of a performance with its adjustments."""
    if told.group_by != BY_SALESPERSON:
        return told
    on_page = {(figure.group["salesperson"], figure.currency) for figure in told.figures}
    those = [each for each in booked if (each.salesperson_id, each.currency) in on_page]
    names = salesperson_names(store, [each.salesperson_id for each in those]) if those else {}
    figures = adjusted_figures(told.figures, those)
    return structs.replace(told, figures=figures, adjustments=adjustment_answers(those, names))


def _adjusted(figure: FigureAnswer, adjustments: int) -> FigureAnswer:
    total = credited_of(figure.credited_exact) + adjustments
    return structs.replace(
        figure,
        adjustments=rounded_text(adjustments, CREDITED_DECIMALS, figure.currency),
        adjustments_exact=credited_text(adjustments),
        total=rounded_text(total, CREDITED_DECIMALS, figure.currency),
        total_exact=credited_text(total),
    )
