"""Charts of pages: well-formed whatever they show, and nothing that a client named gets out of its text."""

import math
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from app.api import charts

NUMBERS = st.floats(-1e12, 1e12)
MAYBE = st.none() | NUMBERS
# What XML allows in a text; the store holds no NUL, and browsers bear the rest.
NAMES = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"], exclude_characters="￾￿"))
INTERVALS = st.builds(charts.Interval, NAMES, MAYBE, MAYBE, MAYBE, MAYBE)
BARS = st.builds(charts.Bar, NAMES, NUMBERS, st.floats(0, 1e6))
ROWS = st.floats(1, 1e6)
LINES = st.builds(
    charts.Line, NAMES, st.lists(st.tuples(ROWS, NUMBERS), min_size=1, max_size=4), st.booleans()
)
POINTS = st.builds(charts.Point, NUMBERS, NUMBERS, st.floats(0, 1), NAMES)


def drawn(chart: str) -> ET.Element | None:
    """The chart as parsed, every number in it finite; None where there is nothing to draw."""
    if not chart:
        return None
    root = ET.fromstring(chart)
    for element in root.iter():
        for name, value in element.attrib.items():
            if name in {"x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width"} and element is not root:
                assert math.isfinite(float(value))
    return root


def texts(root: ET.Element | None) -> set[str]:
    assert root is not None
    return {each.text or "" for each in root.iter() if each.tag in {"text", "title"}}


@given(st.lists(INTERVALS, max_size=5), NAMES)
def test_intervals_are_drawn_whatever_is_known(rows: list[charts.Interval], axis: str) -> None:
    root = drawn(charts.intervals(rows, axis))
    numbers = [(each.low, each.high, each.expected, each.measured) for each in rows]
    if any(value is not None for row in numbers for value in row):
        assert {each.label for each in rows} <= texts(root)
    else:
        assert root is None


@given(st.lists(BARS, max_size=5), NAMES)
def test_bars_are_drawn(rows: list[charts.Bar], axis: str) -> None:
    root = drawn(charts.bars(rows, axis))
    assert (root is None) == (not rows)


@given(st.lists(NUMBERS, max_size=30), st.booleans(), NAMES)
def test_a_search_is_drawn_with_a_dot_per_trial(
    scores: list[float], larger_is_better: bool, axis: str
) -> None:
    tried = [(2 * number, score) for number, score in enumerate(scores)]
    root = drawn(charts.best_so_far(tried, larger_is_better=larger_is_better, y_axis=axis))
    assert (root is None) == (not scores)
    if root is not None:
        assert sum(each.tag == "circle" for each in root.iter()) == len(scores)
        assert {f"trial {number}: {score:.4g}" for number, score in tried} <= texts(root)


@given(st.lists(LINES, max_size=12), NAMES)
def test_lines_are_drawn(series: list[charts.Line], axis: str) -> None:
    root = drawn(charts.lines(series, "rows", axis))
    if series:
        assert {each.label for each in series} <= texts(root)


@given(st.lists(POINTS, max_size=20), NAMES)
def test_points_are_drawn(points: list[charts.Point], axis: str) -> None:
    root = drawn(charts.scatter(points, "true", axis))
    assert (root is None) == (not points)


def test_places_follow_numbers() -> None:
    rows = [charts.Interval("a", 0.0, 1.0, 0.25), charts.Interval("b", 0.0, 1.0, 0.75)]
    root = drawn(charts.intervals(rows, "loss"))
    assert root is not None
    low, high = sorted(float(each.attrib["cx"]) for each in root.iter("circle"))
    ranges = [each for each in root.iter("line") if each.attrib["class"] == "range"]
    start, end = (float(ranges[0].attrib[name]) for name in ("x1", "x2"))
    assert (low - start) / (end - start) == (1 / 4)
    assert (high - start) / (end - start) == (3 / 4)
