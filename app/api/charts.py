"""Charts as SVG for pages that load nothing: dots with intervals, lines, points, bars. Every text is escaped."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

_WIDTH = 860
_LABELS = 300  # pixels that names have, left of a chart with a row per name
_MOST_LETTERS = 44
_ROW, _MARGIN = 24, 28
_HEIGHT, _LEFT, _TOP, _BOTTOM = 320, 64, 28, 44  # of charts with two axes
_LEAST_SPAN = 1e-290
_COLOURS = (
    *("#2563ab", "#d1711c", "#2f8f4e", "#b5373f", "#7a55a8"),
    *("#7d5a4f", "#c45a9b", "#6b6b6b", "#9a9a21", "#1f93a3"),
)


@dataclass(frozen=True)
class Interval:
    """A row: a range, what is in the middle of it, and what came out; each may be missing."""

    label: str
    low: float | None
    high: float | None
    expected: float | None = None
    measured: float | None = None


@dataclass(frozen=True)
class Line:
    """Points in order of x; `is_open` where it was not followed to its end."""

    label: str
    points: Sequence[tuple[float, float]]
    is_open: bool = False


@dataclass(frozen=True)
class Point:
    """A dot, the larger the more of all it stands for (0 to 1)."""

    x: float
    y: float
    weight: float = 0.0
    title: str = ""


@dataclass(frozen=True)
class Bar:
    """A number with its spread."""

    label: str
    value: float
    spread: float


def intervals(rows: Sequence[Interval], axis: str) -> Markup:
    """A row per name: a line from low to high, a circle where it was expected, a filled one where it was measured."""
    known = [
        value
        for row in rows
        for value in (row.low, row.high, row.expected, row.measured)
        if value is not None
    ]
    if not known:
        return Markup("")
    place = _scale(min(known), max(known), _LABELS, _WIDTH - 20)
    parts = [_axis_below(min(known), max(known), place, len(rows), axis)]
    for number, row in enumerate(rows):
        y = _MARGIN + number * _ROW
        parts.append(_label(row.label, y))
        if row.low is not None and row.high is not None:
            parts.append(_line(place(row.low), y, place(row.high), y, "range"))
        if row.expected is not None:
            parts.append(_dot(place(row.expected), y, "expected", f"{row.label}: {row.expected:.4g}"))
        if row.measured is not None:
            parts.append(_dot(place(row.measured), y, "measured", f"{row.label}: {row.measured:.4g}"))
    return _svg(parts, _MARGIN + len(rows) * _ROW + 10, axis)


def bars(rows: Sequence[Bar], axis: str) -> Markup:
    """A bar per name, with a line one spread to each side of its end."""
    if not rows:
        return Markup("")
    least = min(0.0, *(row.value - row.spread for row in rows))
    most = max(0.0, *(row.value + row.spread for row in rows))
    place = _scale(least, most, _LABELS, _WIDTH - 20)
    parts = [_axis_below(least, most, place, len(rows), axis)]
    for number, row in enumerate(rows):
        y = _MARGIN + number * _ROW
        parts.append(_label(row.label, y))
        left, right = sorted((place(0.0), place(row.value)))
        parts.append(
            Markup('<rect class="bar" x="{:.1f}" y="{}" width="{:.1f}" height="12"/>').format(
                left, y - 6, right - left
            )
        )
        parts.append(_line(place(row.value - row.spread), y, place(row.value + row.spread), y, "range"))
    return _svg(parts, _MARGIN + len(rows) * _ROW + 10, axis)


def lines(series: Sequence[Line], x_axis: str, y_axis: str) -> Markup:
    """Lines over a logarithmic x axis, with a legend below."""
    points = [point for line in series for point in line.points]
    if not points:
        return Markup("")
    x = _scale(math.log(min(p[0] for p in points)), math.log(max(p[0] for p in points)), _LEFT, _WIDTH - 20)
    lowest, highest = min(p[1] for p in points), max(p[1] for p in points)
    y = _scale(lowest, highest, _HEIGHT - _BOTTOM, _TOP)
    parts = [_axis_left(lowest, highest, y, y_axis, _WIDTH - 20)]
    parts += [
        _text(x(math.log(value)), _HEIGHT - _BOTTOM + 16, f"{value:,.0f}", "middle")
        for value in sorted({p[0] for p in points})
    ]
    parts.append(_text((_LEFT + _WIDTH) / 2, _HEIGHT - 8, x_axis, "middle"))
    for number, line in enumerate(series):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(f"{x(math.log(px)):.1f},{y(py):.1f}" for px, py in line.points)
        dashes = "4 4" if line.is_open or number >= len(_COLOURS) else "none"
        parts.append(
            Markup(
                '<polyline class="line" points="{}" stroke="{}" stroke-dasharray="{}"><title>{}</title></polyline>'
            ).format(path, colour, dashes, line.label)
        )
        at = _HEIGHT + 8 + (number // 2) * 18
        left = _LEFT + (number % 2) * (_WIDTH - _LEFT) / 2
        parts.append(
            Markup(
                '<line x1="{:.0f}" y1="{}" x2="{:.0f}" y2="{}" stroke="{}" stroke-width="3" stroke-dasharray="{}"/>'
            ).format(left, at - 4, left + 22, at - 4, colour, dashes)
        )
        parts.append(_text(left + 28, at, _shortened(line.label), "start"))
    return _svg(parts, _HEIGHT + 8 + (len(series) + 1) // 2 * 18, y_axis)


def best_so_far(scores: Sequence[tuple[int, float]], *, larger_is_better: bool, y_axis: str) -> Markup:
    """Scores in the order in which they were tried, and the best so far as a line of steps."""
    if not scores:
        return Markup("")
    values = [score for _, score in scores]
    lowest, highest, last = min(values), max(values), max(number for number, _ in scores)
    x = _scale(0, max(1, last), _LEFT, _WIDTH - 20)
    y = _scale(lowest, highest, _HEIGHT - _BOTTOM, _TOP)
    parts = [_axis_left(lowest, highest, y, y_axis, _WIDTH - 20)]
    parts += [
        _text(x(value), _HEIGHT - _BOTTOM + 16, f"{value:.0f}", "middle")
        for value in sorted({round(each) for each in _ticks(0, max(1, last))})
    ]
    parts.append(_text((_LEFT + _WIDTH) / 2, _HEIGHT - 8, "trial", "middle"))
    best = max if larger_is_better else min
    steps: list[tuple[int, float]] = []
    for number, score in scores:
        reached = best(steps[-1][1], score) if steps else score
        steps += [(number, steps[-1][1]), (number, reached)] if steps else [(number, reached)]
    path = " ".join(f"{x(number):.1f},{y(score):.1f}" for number, score in [*steps, (last, steps[-1][1])])
    parts.append(
        Markup('<polyline class="line" points="{}" stroke="{}"><title>best so far</title></polyline>').format(
            path, _COLOURS[0]
        )
    )
    parts += [
        Markup('<circle class="point" cx="{:.1f}" cy="{:.1f}" r="3"><title>{}</title></circle>').format(
            x(number), y(score), f"trial {number}: {score:.4g}"
        )
        for number, score in scores
    ]
    return _svg(parts, _HEIGHT, y_axis)


def scatter(points: Sequence[Point], x_axis: str, y_axis: str) -> Markup:
    """Points on two axes of the same unit, with the diagonal on which both agree."""
    if not points:
        return Markup("")
    values = [value for point in points for value in (point.x, point.y)]
    low, high = min(values), max(values)
    right = _HEIGHT * 1.4
    x, y = _scale(low, high, _LEFT, right), _scale(low, high, _HEIGHT - _BOTTOM, _TOP)
    parts = [_axis_left(low, high, y, y_axis, right), _line(x(low), y(low), x(high), y(high), "range")]
    parts += [
        _text(x(value), _HEIGHT - _BOTTOM + 16, f"{value:.4g}", "middle") for value in _ticks(low, high)
    ]
    parts.append(_text((_LEFT + right) / 2, _HEIGHT - 8, x_axis, "middle"))
    parts += [
        Markup('<circle class="point" cx="{:.1f}" cy="{:.1f}" r="{:.1f}"><title>{}</title></circle>').format(
            x(point.x), y(point.y), 3 + 7 * math.sqrt(point.weight), point.title
        )
        for point in points
    ]
    return _svg(parts, _HEIGHT, f"{x_axis} and {y_axis}")


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    span = (high - low) or max(abs(high), 1e-9)

    def place(value: float) -> float:
        return start + (value - low) / span * (end - start)

    return place


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers within the range, about five."""
    span = high - low
    if not _LEAST_SPAN < span < math.inf:  # a step of less could not be told from none
        return [low]
    step = 10.0 ** math.floor(math.log10(span / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 6)
    first = math.ceil(low / step)
    return [number * step for number in range(first, math.floor(high / step) + 1)]


def _axis_below(low: float, high: float, place: Callable[[float], float], n_rows: int, label: str) -> Markup:
    bottom = _MARGIN + n_rows * _ROW - _ROW / 2
    parts: list[Markup] = []
    for value in _ticks(low, high):
        parts.append(_line(place(value), 8, place(value), bottom, "grid"))
        parts.append(_text(place(value), bottom + 16, f"{value:.4g}", "middle"))
    parts.append(_text(_LABELS - 10, bottom + 16, label, "end"))
    return Markup("").join(parts)


def _axis_left(low: float, high: float, place: Callable[[float], float], label: str, right: float) -> Markup:
    parts: list[Markup] = []
    for value in _ticks(low, high):
        parts.append(_line(_LEFT, place(value), right, place(value), "grid"))
        parts.append(_text(_LEFT - 6, place(value) + 4, f"{value:.4g}", "end"))
    parts.append(_text(4, 12, label, "start"))
    return Markup("").join(parts)


def _label(text: str, y: float) -> Markup:
    return Markup('<text x="{}" y="{:.0f}" text-anchor="end"><title>{}</title>{}</text>').format(
        _LABELS - 10, y + 4, text, _shortened(text)
    )


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(x, y, anchor, text)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(
        kind, x1, y1, x2, y2
    )


def _dot(x: float, y: float, kind: str, title: str) -> Markup:
    return Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="4.5"><title>{}</title></circle>').format(
        kind, x, y, title
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 1]}…"


def _svg(parts: Iterable[Markup], height: float, label: str) -> Markup:
    return Markup('<svg viewBox="0 0 {} {:.0f}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, height, label, Markup("").join(parts)
    )
