"""Owns the drawing of charts: SVG that is readable in light and dark, in print, and without any script. Pure.

Colours are classes of `usage/static/usage/reports.css`: nothing here is styled in place, so the strictest content
security policy lets it through. The numbers are in a table beside each chart; here they are in the titles of columns.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 8, 12, 26
PLOT_WIDTH, PLOT_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
GAP = 0.28  # of a column's step
WIDEST = 44.0
MOST_LABELS = 10
TICKS = 5
NICE = (1, 2, 5, 10)


class Svg(str):
    """A drawing that a template puts in as it is: every text in it has been escaped."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


@dataclass(frozen=True, slots=True)
class Column:
    """One column: what stands under it, what is told when one points at it, and its parts from the bottom up."""

    label: str
    title: str
    parts: tuple[int, ...]

    @property
    def height(self) -> int:
        return sum(self.parts)


def columns(data: Sequence[Column], name: str, written: Callable[[int], str]) -> Svg:
    """Columns over time. `name` says what they show to whoever cannot see them; `written` writes the scale."""
    top = scale(max((column.height for column in data), default=0))
    drawn = "".join(_column(number, column, len(data), top[-1]) for number, column in enumerate(data))
    return Svg(
        f'<svg class="drawn-chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(name)}">'
        f"{_grid(top, written)}{drawn}{_labels(data)}</svg>"
    )


def share(part: int, whole: int) -> Svg:
    """A bar as long as `part` is of `whole`, for a row of a table."""
    width = 100 * part / whole if whole else 0
    return Svg(
        '<svg class="share" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="4"/><rect class="part-0" width="{width:.1f}" height="4"/></svg>'
    )


def scale(most: int) -> list[int]:
    """Round numbers from nothing to at least `most`, evenly apart."""
    step = 1
    while step * NICE[-1] * TICKS < most:
        step *= 10
    step *= next(nice for nice in NICE if step * nice * TICKS >= most)
    needed = max(1, -(-most // step))
    return [step * number for number in range(needed + 1)]


def _grid(ticks: Sequence[int], written: Callable[[int], str]) -> str:
    lines = []
    for tick in ticks:
        y = TOP + PLOT_HEIGHT * (1 - tick / ticks[-1])
        lines.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(written(tick))}</text>')
    return "".join(lines)


def _column(number: int, column: Column, count: int, top: int) -> str:
    step = PLOT_WIDTH / count
    width = min(step * (1 - GAP), WIDEST)
    x = LEFT + step * number + (step - width) / 2
    y = float(TOP + PLOT_HEIGHT)
    drawn = []
    for index, part in enumerate(column.parts):
        height = PLOT_HEIGHT * part / top
        y -= height
        if part:
            drawn.append(_rectangle(f"part-{index}", x, y, width, max(height, 0.5)))
    # The whole height can be pointed at, also where the column is low.
    drawn.append(_rectangle("hover", x, TOP, width, PLOT_HEIGHT))
    return f"<g><title>{escape(column.title)}</title>{''.join(drawn)}</g>"


def _rectangle(kind: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _labels(data: Sequence[Column]) -> str:
    every = -(-len(data) // MOST_LABELS) or 1
    step = PLOT_WIDTH / max(len(data), 1)
    labels = []
    for number, column in list(enumerate(data))[::every]:
        x = LEFT + step * (number + 0.5)
        labels.append(f'<text x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(column.label)}</text>')
    return "".join(labels)
